# SPDX-License-Identifier: GPL-2.0-or-later
hw-y += hw/char/serial.o
hw-y += hw/char/serial-isa.o
hw-y += hw/char/parallel-isa.o
hw-y += hw/char/debugcon-isa.o
