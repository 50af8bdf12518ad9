# SPDX-License-Identifier: GPL-2.0-or-later
hw-y += hw/machine/machine.o
hw-y += hw/machine/runstate.o
hw-y += hw/machine/options.o
hw-y += hw/machine/startup.o
hw-y += hw/machine/defaults.o
hw-y += hw/machine/config.o
hw-y += hw/machine/ports.o
