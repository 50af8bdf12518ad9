/* SPDX-License-Identifier: GPL-2.0-or-later */
/* shpc.h - a bridge's standard hot-plug controller, private to its files. */
#ifndef HW_PCI_SHPC_H
#define HW_PCI_SHPC_H

#include "pci.h"

#define SHPC_LEN 0x100
#define SHPC_SLOTS 31                  /* devices 1 to 31                     */

typedef struct Shpc {
    PciDevice *fn;                     /* the bridge                          */
    PciBus *below;
    uint8_t cap;                       /* of its capability                   */
    MemRegion mem;
    uint8_t regs[SHPC_LEN];            /* what the guest sees                 */
    bool asserted;                     /* the interrupt                       */
} Shpc;

/* Registers as BAR 0, the capability at `cap`. */
bool shpc_init(Shpc *s, PciDevice *fn, unsigned cap, Error **errp) MACHINE_CALL;
void shpc_fini(Shpc *s) MACHINE_CALL;
void shpc_reset(Shpc *s) MACHINE_CALL;
/* Before configuration space is read, and after it has been written. */
void shpc_config_read(Shpc *s) MACHINE_CALL;
void shpc_config_write(Shpc *s, uint32_t off, unsigned size) MACHINE_CALL;
/* The bridge's bus; it takes devices by this controller unless it has another way
 * already. */
void shpc_bus(Shpc *s, PciBus *below) MACHINE_CALL;

#endif
