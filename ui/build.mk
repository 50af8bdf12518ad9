# SPDX-License-Identifier: GPL-2.0-or-later
ui-y += ui/input.o
ui-y += ui/input-keys.o
ui-y += ui/input-cmds.o
ui-y += ui/font.o
ui-y += ui/glyph.o
ui-y += ui/surface.o
ui-y += ui/console.o
