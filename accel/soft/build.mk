# SPDX-License-Identifier: GPL-2.0-or-later
soft-engine-objs := $(patsubst %,accel/soft/%.o,bind block debug event exec gate \
    ops-alu ops-flow ops-fuse ops-int ops-msr ops-str ops-sys seg smm task thunk \
    tlb vec vec-misc x87 xsave)
accel-y += $(soft-engine-objs)
accel-y += accel/soft/accel.o accel/soft/glue.o accel/soft/kvmclock.o

# The handlers' tail calls are jumps only when optimised, and never under a
# sanitizer; elsewhere a loop calls them.
soft-flags := $(if $(SANITIZERS),,-O2 -DSOFT_TAIL)
$(foreach o,$(soft-engine-objs),$(eval CFLAGS-$(o) = $(soft-flags)))

unit-soft-diff-objs = $(soft-engine-objs) target/x86/insn-table.o \
    target/x86/insn-decode.o target/x86/insn-att.o
unit-soft-sys-objs = $(unit-soft-diff-objs)
unit-soft-state-objs = $(unit-soft-diff-objs)
unit-soft-modes-objs = $(unit-soft-diff-objs)
unit-soft-fuzz-objs = $(unit-soft-diff-objs)
unit-soft-faults-objs = $(unit-soft-diff-objs)
unit-soft-paging-objs = $(unit-soft-diff-objs)
