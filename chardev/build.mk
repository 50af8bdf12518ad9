# SPDX-License-Identifier: GPL-2.0-or-later
chardev-y += chardev/chr.o
chardev-y += chardev/fd.o
chardev-y += chardev/mux.o
