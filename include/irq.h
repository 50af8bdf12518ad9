/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * irq.h - interrupt and GPIO lines. A line is a value that its source embeds; the
 * sink fills it. Level-triggered semantics: `level` 0 or 1 (a sink may give
 * larger values a meaning). MACHINE_CALL unless the sink says otherwise.
 */
#ifndef TERN_IRQ_H
#define TERN_IRQ_H

#include "base.h"

typedef void IrqFn(void *to, int n, int level);
typedef struct IrqLine {
    IrqFn *set;
    void *to;
    int n;
} IrqLine;

static inline IrqLine irq_line(IrqFn *set, void *to, int n)
{
    return (IrqLine){ set, to, n };
}
static inline void irq_set(const IrqLine *i, int level)
{
    if (i->set) {
        i->set(i->to, i->n, level);
    }
}
static inline void irq_raise(const IrqLine *i)
{
    irq_set(i, 1);
}
static inline void irq_lower(const IrqLine *i)
{
    irq_set(i, 0);
}
static inline void irq_pulse(const IrqLine *i)
{
    irq_set(i, 1);
    irq_set(i, 0);
}

#endif
