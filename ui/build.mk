# SPDX-License-Identifier: GPL-2.0-or-later
ui-y += ui/input.o
ui-y += ui/input-keys.o
ui-y += ui/input-cmds.o
