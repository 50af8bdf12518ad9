# SPDX-License-Identifier: GPL-2.0-or-later
insn-objs := target/x86/insn-table.o target/x86/insn-decode.o \
             target/x86/insn-att.o
target-y += $(insn-objs)

unit-insn-objs = $(insn-objs)
uses-tests/unit/insn.o = CAPSTONE
