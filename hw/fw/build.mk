# SPDX-License-Identifier: GPL-2.0-or-later
hw-y += hw/fw/fw-cfg.o
hw-y += hw/fw/bios.o
hw-y += hw/fw/blob.o
hw-y += hw/fw/boot-order.o
hw-y += hw/fw/setup.o
