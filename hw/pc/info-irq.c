/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * info-irq.c - interrupt controllers for people: `info pic`, `info irq`,
 * x-query-irq.
 *
 * Thread class: machine lock.
 */
#include <glib.h>
#include "hw/pc/irq-view.h"
#include "monitor.h"
#include "schema/schema.h"

#define PINS 24

static const IrqView *view_of(const Device *dev)
{
    SET_EACH(irq_views, IrqView, v) {
        if (strcmp((*v)->type, dev->type->name) == 0) {
            return *v;
        }
    }
    return NULL;
}

/* I/O APICs first, then 8259s, the last made first. */
static MACHINE_CALL bool collect(Device *dev, void *arg)
{
    GPtrArray *list = arg;
    const IrqView *v = view_of(dev);

    if (v) {
        g_ptr_array_insert(list, v->ioapic ? 0 : -1, dev);
    }
    return true;
}

static GPtrArray *chips(void) MACHINE_CALL;
static GPtrArray *chips(void)
{
    GPtrArray *list = g_ptr_array_new();

    device_each(collect, list);
    return list;
}

/* ---- info pic ----------------------------------------------------------- */

static void print_bits(const char *name, uint32_t bits)
{
    mon_printf("  %-8s ", name);
    if (!bits) {
        mon_puts("(none)\n");
        return;
    }
    for (unsigned n = 0; n < PINS; n++) {
        if (bits >> n & 1) {
            mon_printf("%-2u ", n);
        }
    }
    mon_puts("\n");
}

static void print_entry(unsigned n, uint64_t e)
{
    static const char *const modes[8] = {
        "fixed", "lowest", "SMI", "...", "NMI", "INIT", "...", "extINT",
    };
    bool logical = e & 1 << 11;
    unsigned dest = e >> 56;

    mon_printf("  pin %-2u 0x%016" PRIx64 " dest=%x vec=%-3u active-%s %-5s "
               "%-6s %-6s %s\n", n, e, logical ? dest : dest & 15,
               (unsigned)e & 0xff, e & 1 << 13 ? "lo" : "hi",
               e & 1 << 15 ? "level" : "edge", e & 1 << 16 ? "masked" : "",
               modes[e >> 8 & 7], logical ? "logical" : "physical");
}

static void print_ioapic(const IoapicRegs *r)
{
    uint32_t remote = 0;

    mon_printf("ioapic0: ver=0x%x id=0x%02x sel=0x%02x", r->version, r->id,
               r->select);
    if (r->select >= 0x10) {
        mon_printf(" (redir[%u])", (r->select - 0x10u) >> 1);
    }
    mon_puts("\n");
    for (unsigned n = 0; n < PINS; n++) {
        print_entry(n, r->entry[n]);
        remote |= (uint32_t)(r->entry[n] >> 14 & 1) << n;
    }
    print_bits("IRR", r->irr);
    print_bits("Remote IRR", remote);
}

static void print_pic(unsigned n, const PicRegs *r)
{
    mon_printf("pic%u: irr=%02x imr=%02x isr=%02x hprio=%u irq_base=%02x "
               "rr_sel=%u elcr=%02x fnm=%u\n", n, r->irr, r->imr, r->isr,
               r->priority_add, r->irq_base, r->read_isr, r->elcr,
               r->special_nested);
}

void hmp_info_pic(const Json *args)
{
    GPtrArray *list = chips();
    unsigned pics = 0;

    for (guint i = 0; i < list->len; i++) {
        Device *dev = g_ptr_array_index(list, i);
        const IrqView *v = view_of(dev);
        IoapicRegs r = { 0 };

        if (v->ioapic) {
            v->ioapic(dev, &r);
            print_ioapic(&r);
        } else {
            pics++;
        }
    }
    for (guint i = list->len; i-- > 0;) {
        Device *dev = g_ptr_array_index(list, i);
        const IrqView *v = view_of(dev);
        PicRegs r = { 0 };

        if (v->pic) {
            v->pic(dev, &r);
            print_pic(--pics, &r);
        }
    }
    g_ptr_array_free(list, TRUE);
}

/* ---- info irq ----------------------------------------------------------- */

static void add_counts(GString *s, Device *dev, const IrqView *v) MACHINE_CALL;
static void add_counts(GString *s, Device *dev, const IrqView *v)
{
    unsigned first = 0, n = 0;
    const uint64_t *c = v->counts ? v->counts(dev, &first, &n) : NULL;

    for (unsigned i = 0; c && i < n; i++) {
        if (c[i]) {
            g_string_append_printf(s, "%2u: %" PRIu64 "\n", first + i, c[i]);
        }
    }
}

bool cmd_x_query_irq(const void *arg, void *ret, Error **errp)
{
    HumanReadableText *text = ret;
    GString *s = g_string_new(NULL);
    GPtrArray *list = chips();
    const char *title = NULL;

    for (guint i = 0; i < list->len; i++) {
        Device *dev = g_ptr_array_index(list, i);
        const IrqView *v = view_of(dev);

        if (g_strcmp0(title, v->title) != 0) {
            title = v->title;
            g_string_append_printf(s, "IRQ statistics for %s:\n", title);
        }
        add_counts(s, dev, v);
    }
    g_ptr_array_free(list, TRUE);
    text->human_readable_text = g_string_free(s, FALSE);
    return true;
}
