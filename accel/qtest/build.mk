# SPDX-License-Identifier: GPL-2.0-or-later
accel-y += accel/qtest/qtest.o
accel-y += accel/qtest/server.o
