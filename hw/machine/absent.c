/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * absent.c - weak definitions of parts that a build may lack; a part that is
 * linked in replaces its own.
 */
#include <glib.h>
#include "chr.h"
#include "machine.h"
#include "pc.h"
#include "hw/machine/startup.h"
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#define WEAK __attribute__((weak))

WEAK PciDevice *piix4_pm_create(PciBus *b, int devfn, IrqLine sci, Error **errp)
{
    return (PciDevice *)b;
}
WEAK CharPort *chr_mux_over(CharPort *base, const char *label, Error **errp)
{
    error_set(errp, "no mux");
    return NULL;
}
WEAK void chr_mux_focus(CharPort *p, CharFront *f)
{
}
WEAK void chr_mux_close_all(void)
{
}
WEAK CharPort *chr_mon_mux(const char *label, const char *text, Error **errp)
{
    error_set(errp, "no mux");
    return NULL;
}
