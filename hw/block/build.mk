# SPDX-License-Identifier: GPL-2.0-or-later
hw-y += hw/block/conf.o
