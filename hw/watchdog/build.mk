# SPDX-License-Identifier: GPL-2.0-or-later
hw-y += hw/watchdog/watchdog.o
hw-y += hw/watchdog/ib700.o
hw-y += hw/watchdog/i6300esb.o
