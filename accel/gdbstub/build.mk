# SPDX-License-Identifier: GPL-2.0-or-later
accel-y += accel/gdbstub/packet.o
accel-y += accel/gdbstub/regs.o
accel-y += accel/gdbstub/commands.o
accel-y += accel/gdbstub/query.o
accel-y += accel/gdbstub/stub.o
