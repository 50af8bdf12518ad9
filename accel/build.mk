# SPDX-License-Identifier: GPL-2.0-or-later
accel-y += accel/accel.o
accel-y += accel/vcpu.o
