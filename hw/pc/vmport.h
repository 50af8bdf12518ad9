/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vmport.h - commands of VMware's port. MACHINE_CALL. */
#ifndef TERN_HW_PC_VMPORT_H
#define TERN_HW_PC_VMPORT_H

#include "device.h"
#include "x86.h"

/* Answers one command: what EAX is to be. gpr: the vCPU's registers, by
 * X86_RAX…; 32 bits count. */
typedef uint32_t VmportCall(void *opaque, uint64_t *gpr);
/* command below 0x80; NULL takes it away. */
void vmport_register(Device *port, unsigned command, VmportCall *call,
                     void *opaque) MACHINE_CALL;
extern Device *vmport_device;          /* NULL: this machine has no port      */

#endif
