# SPDX-License-Identifier: GPL-2.0-or-later
hw-y += hw/acpi/pm.o
hw-y += hw/acpi/smbus.o
hw-y += hw/acpi/pci-hotplug.o
hw-y += hw/acpi/piix4-pm.o
hw-y += hw/acpi/aml.o
hw-y += hw/acpi/dsdt.o
hw-y += hw/acpi/acpi.o
