/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pci-probe.h - a function with everything and a bridge, for tests of hw/pci. */
#ifndef TERN_TESTS_UNIT_PCI_PROBE_H
#define TERN_TESTS_UNIT_PCI_PROBE_H

#define UNUSED __attribute__((unused))

#include <sys/eventfd.h>
#include "accel.h"
#include "tests/contract/bench.h"

/* ---- a function with everything, and a bridge --------------------------- */

typedef struct Probe {
    PciDevice pci;
    MemRegion regs;
    uint32_t value;
} Probe;

static UNUSED uint64_t probe_read(void *dev, uint64_t off, unsigned size)
{
    return 0x11223344;
}

static UNUSED void probe_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    ((Probe *)dev)->value = val;
}

static const MemOps probe_ops = {
    .read = probe_read, .write = probe_write, .min = 4, .max = 4,
};

static UNUSED MACHINE_CALL bool probe_realize(Device *dev, Error **errp)
{
    Probe *s = (Probe *)dev;

    pci_set_pin(&s->pci, 1);
    mem_init_io(&s->regs, "probe", 4096, &probe_ops, s);
    pci_bar(&s->pci, 0, PCI_BAR_MEM64, &s->regs);
    pci_pm_cap(&s->pci, 0);
    return msi_init(&s->pci, 0x60, 4, true, true, errp) &&
           msix_init_bar(&s->pci, 70, 2, errp);
}

static UNUSED MACHINE_CALL void probe_unrealize(Device *dev)
{
    mem_fini(&((Probe *)dev)->regs);
}

static UNUSED void probe_reset(Device *dev, ResetKind kind)
{
    ((Probe *)dev)->value = 0;
}

DEVICE(probe_type, {
    .name = "probe", .category = "misc", .desc = "for tests", .doc = "No.",
    .size = sizeof(Probe), .on = &bus_pci,
    .on_info = &(const PciInfo){
        .vendor = 0x1234, .device = 0x5678, .class_code = 0x020000,
        .subvendor = 0x1111, .subdevice = 0x2222, .revision = 3,
    },
    .vmstate = &vm_none, .realize = probe_realize,
    .unrealize = probe_unrealize, .reset = probe_reset,
});

static UNUSED MACHINE_CALL bool bridge_realize(Device *dev, Error **errp)
{
    pci_set_pin((PciDevice *)dev, 1);
    pci_bridge_init((PciBridge *)dev, &bus_pci);
    return true;
}

static UNUSED MACHINE_CALL void bridge_unrealize(Device *dev)
{
    pci_bridge_fini((PciBridge *)dev);
}

static UNUSED void bridge_reset(Device *dev, ResetKind kind)
{
}

DEVICE(bridge_type, {
    .name = "probe-bridge", .category = "bridge", .desc = "for tests",
    .doc = "No.", .size = sizeof(PciBridge), .on = &bus_pci,
    .on_info = &(const PciInfo){
        .vendor = 0x1234, .device = 0x0001, .class_code = 0x060400,
        .bridge = true,
    },
    .vmstate = &vm_none, .realize = bridge_realize,
    .unrealize = bridge_unrealize, .reset = bridge_reset,
});

static UNUSED NO_TSA Device *add(const char *json)
{
    Json *o = json_parse(json, strlen(json), NULL);
    Error *err = NULL;
    Device *dev;

    bench_start();
    dev = device_add(o, true, &err);
    if (!dev) {
        FAIL("%s: %s", json, error_text(err));
        error_free(err);
    }
    json_free(o);
    if (dev) {
        device_reset(dev, RESET_COLD);
    }
    return dev;
}

static UNUSED NO_TSA Probe *probe(const char *addr, const char *bus)
{
    char *s = g_strdup_printf("{'driver': 'probe', 'addr': '%s', 'bus': '%s'}",
                              addr, bus);
    Device *dev = add(s);

    g_free(s);
    return (Probe *)dev;
}

static UNUSED NO_TSA uint32_t rd(void *d, unsigned off)
{
    return pci_config_read(d, off, 4);
}

static UNUSED NO_TSA void wr(void *d, unsigned off, uint32_t v)
{
    pci_config_write(d, off, v, 4);
}

#endif
