/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pc-board.h - steps of building the pc, private to hw/pc. MACHINE_CALL. */
#ifndef TERN_HW_PC_BOARD_H
#define TERN_HW_PC_BOARD_H

#include "pc.h"

/* accel/kvm: the in-kernel PIC, IOAPIC. */
bool kvm_irqchip_create(Pc *p, Error **errp) MACHINE_CALL;
/* … and the in-kernel PIT, which drives GSI 0 itself. */
Device *kvm_pit_create(IsaBus *isa, Error **errp) MACHINE_CALL;
/* target/x86: boot and secondary vCPUs by -smp and -cpu. */
bool pc_cpus(Pc *p, Error **errp) MACHINE_CALL;
/* Ports named by -serial, -parallel, -debugcon. */
bool pc_serials(Pc *p, Error **errp) MACHINE_CALL;
bool pc_floppies(Pc *p, Error **errp) MACHINE_CALL;
bool pc_display(Pc *p, Error **errp) MACHINE_CALL;
/* Port 0xf0 and IRQ 13, for pc_ferr. */
void pc_ferr_create(Pc *p) MACHINE_CALL;
bool pc_isa_disks(Pc *p, Error **errp) MACHINE_CALL;
/* CMOS contents that firmware reads: memory, drives, boot order. */
bool cmos_fill(Pc *p, Error **errp) MACHINE_CALL;

#endif
