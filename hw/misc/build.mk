# SPDX-License-Identifier: GPL-2.0-or-later
hw-y += hw/misc/pci-testdev.o
hw-y += hw/misc/pc-testdev.o
hw-y += hw/misc/pvpanic.o
hw-y += hw/misc/isa-debug-exit.o
hw-y += hw/misc/vmcoreinfo.o
hw-y += hw/misc/vmgenid.o
