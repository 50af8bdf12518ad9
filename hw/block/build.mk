# SPDX-License-Identifier: GPL-2.0-or-later
hw-y += hw/block/conf.o
hw-y += hw/block/fdc.o
hw-y += hw/block/floppy.o
hw-y += hw/block/pflash.o
