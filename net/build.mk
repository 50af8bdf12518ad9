# SPDX-License-Identifier: GPL-2.0-or-later
net-y += net/options.o
