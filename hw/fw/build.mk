# SPDX-License-Identifier: GPL-2.0-or-later
hw-y += hw/fw/fw-cfg.o
hw-y += hw/fw/bios.o
