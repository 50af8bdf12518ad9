# SPDX-License-Identifier: GPL-2.0-or-later
insn-objs := target/x86/insn-table.o target/x86/insn-decode.o \
             target/x86/insn-att.o
target-y += $(insn-objs)

unit-insn-objs = $(insn-objs)
uses-tests/unit/insn.o = CAPSTONE
target-y += target/x86/features.o
target-y += target/x86/model.o
target-y += target/x86/cpu.o
target-y += target/x86/expand.o
target-y += target/x86/core-notes.o
target-y += target/x86/cpuid.o
target-y += target/x86/hyperv.o
target-y += target/x86/topo.o
target-y += target/x86/state.o
target-y += target/x86/gva.o
target-y += target/x86/tsc.o
target-y += target/x86/info-regs.o
target-y += target/x86/info-mem.o
target-y += target/x86/info-apic.o
target-y += target/x86/mce.o
target-y += target/x86/query.o
