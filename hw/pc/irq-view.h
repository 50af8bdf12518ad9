/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * irq-view.h - how `info pic` and `info irq` look at interrupt controllers,
 * ours and an accelerator's. A type of device joins by a row. MACHINE_CALL.
 */
#ifndef TERN_HW_PC_IRQ_VIEW_H
#define TERN_HW_PC_IRQ_VIEW_H

#include "device.h"

typedef struct PicRegs {
    uint8_t irr, imr, isr, priority_add, irq_base, read_isr, elcr,
            special_nested;
} PicRegs;
typedef struct IoapicRegs {
    uint8_t version, id, select;
    uint32_t irr;
    uint64_t entry[24];
} IoapicRegs;
typedef struct IrqView {
    const char *type;                  /* of the device                       */
    const char *title;                 /* in `info irq`                       */
    void (*pic)(Device *dev, PicRegs *r) MACHINE_PTR;      /* or              */
    void (*ioapic)(Device *dev, IoapicRegs *r) MACHINE_PTR;
    /* How often each input rose: *n inputs from *first on; NULL: unknown. */
    const uint64_t *(*counts)(Device *dev, unsigned *first, unsigned *n)
        MACHINE_PTR;
} IrqView;
#define IRQ_VIEW(sym, ...) SET_MEMBER(irq_views, IrqView, sym, __VA_ARGS__)

#endif
