/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * i440fx.c - the 82441FX PCI and memory controller: host bridge, PAM and SMRAM
 * registers (Intel 82441FX data sheet, order 290549, sections 3.2 and 4.1), and
 * the sysbus device that carries configuration mechanism 1.
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. Each PAM segment shows exactly one of its aliases, or none: no alias means
 *    plain RAM, which lies below them all.
 * 2. Memory is remapped only inside one mem_begin/mem_commit.
 * 3. Once SMRAM's D_LCK is set, its other bits and D_OPEN cannot change until
 *    reset.
 */
#include <glib.h>
#include "pc.h"

#define PAM_FIRST 0x59
#define PAM_COUNT 13
#define SMRAM_REG 0x72
#define SMRAM_D_OPEN 0x40
#define SMRAM_D_CLS 0x20
#define SMRAM_D_LCK 0x10
#define SMRAM_G_SMRAME 0x08

typedef struct I440fxHost {
    Device dev;
    uint64_t hole64_size;
    uint32_t short_root_bus;
    uint64_t below_4g, above_4g;
    bool x_pci_hole64_fix, bypass_iommu;
    PciHostPorts ports;
} I440fxHost;

typedef struct I440fx {
    PciDevice pci;
    MemRegion pam_pci[PAM_COUNT], pam_ro[PAM_COUNT];
    MemRegion smram_hide, smram_low;
    bool pam_mapped;
} I440fx;

/* ---- PAM and SMRAM ------------------------------------------------------- */

/* Segment i: register 0x59 bits 4-5 is f0000-fffff; then two a register. */
static uint8_t pam_mode(const I440fx *s, int i)
{
    unsigned nibble = i == PAM_COUNT - 1 ? 1 : i + 2;

    return s->pci.config[PAM_FIRST + nibble / 2] >> (nibble & 1 ? 4 : 0) & 3;
}

static MACHINE_CALL void i440fx_update(I440fx *s)
{
    uint8_t smram = s->pci.config[SMRAM_REG];

    mem_begin();
    for (int i = 0; i < PAM_COUNT; i++) {
        uint8_t mode = pam_mode(s, i);

        /* Write-only (mode 2) reads from PCI; the write side is not told apart
         * from PCI by any firmware known, so it decodes to PCI as a whole. */
        mem_set_enabled(&s->pam_pci[i], mode == 0 || mode == 2);
        mem_set_enabled(&s->pam_ro[i], mode == 1);
    }
    mem_set_enabled(&s->smram_hide, !(smram & SMRAM_D_OPEN));
    mem_set_enabled(&s->smram_low, smram & SMRAM_G_SMRAME);
    mem_commit();
}

static MACHINE_CALL
void i440fx_config_write(PciDevice *d, uint32_t off, uint32_t v,
                                unsigned size)
{
    I440fx *s = (I440fx *)d;
    uint8_t old_smram = d->config[SMRAM_REG];

    pci_config_write_default(d, off, v, size);
    if (old_smram & SMRAM_D_LCK) {
        d->config[SMRAM_REG] = old_smram;
    } else if (d->config[SMRAM_REG] & SMRAM_D_LCK) {
        d->config[SMRAM_REG] &= ~SMRAM_D_OPEN;
    }
    if (off < SMRAM_REG + 1 && off + size > PAM_FIRST) {
        i440fx_update(s);
    }
}

static MACHINE_CALL bool i440fx_realize(Device *dev, Error **errp)
{
    I440fx *s = (I440fx *)dev;
    PciDevice *d = &s->pci;
    MemRegion *sys = mem_system.root, *ram = &pc->ram_all;

    d->config_write = i440fx_config_write;
    memset(d->wmask + PAM_FIRST, 0x33, 7);
    d->wmask[PAM_FIRST] = 0x30;
    d->wmask[SMRAM_REG] = 0x78;
    d->wmask[0x50] = 0xff;
    d->wmask[0x51] = 0xff;
    d->wmask[0x57] = 0x77;
    for (unsigned i = 0x60; i < 0x68; i++) {
        d->wmask[i] = 0xff;
    }
    for (int i = 0; i < PAM_COUNT; i++) {
        uint64_t at = i == PAM_COUNT - 1 ? 0xf0000 : 0xc0000 + i * 0x4000ull;
        uint64_t size = i == PAM_COUNT - 1 ? 0x10000 : 0x4000;

        mem_init_alias(&s->pam_pci[i], "pam-pci", &pc->pci_mem, at, size);
        mem_init_alias(&s->pam_ro[i], "pam-rom", ram, at, size);
        s->pam_ro[i].flags |= MRF_READONLY | MRF_OFF;
        mem_add_prio(sys, at, &s->pam_pci[i], 1);
        mem_add_prio(sys, at, &s->pam_ro[i], 1);
    }
    mem_init_alias(&s->smram_hide, "smram-region", &pc->pci_mem, 0xa0000,
                   0x20000);
    mem_add_prio(sys, 0xa0000, &s->smram_hide, 1);
    mem_init_alias(&s->smram_low, "smram-low", ram, 0xa0000, 0x20000);
    s->smram_low.flags |= MRF_OFF;
    mem_add(&pc->smram, 0xa0000, &s->smram_low);
    s->pam_mapped = true;
    return true;
}

static MACHINE_CALL void i440fx_unrealize(Device *dev)
{
    I440fx *s = (I440fx *)dev;
    MemRegion *sys = mem_system.root;

    if (!s->pam_mapped) {
        return;
    }
    mem_begin();
    for (int i = 0; i < PAM_COUNT; i++) {
        mem_remove(sys, &s->pam_pci[i]);
        mem_remove(sys, &s->pam_ro[i]);
    }
    mem_remove(sys, &s->smram_hide);
    mem_remove(&pc->smram, &s->smram_low);
    mem_commit();
    s->pam_mapped = false;
}

static MACHINE_CALL void i440fx_reset(Device *dev, ResetKind kind)
{
    I440fx *s = (I440fx *)dev;
    uint8_t *c = s->pci.config;

    /* It keeps its registers over S3: the firmware finds its copy in RAM. */
    if (kind == RESET_WAKE) {
        return;
    }
    memset(c + 0x50, 0, 0x73 - 0x50);
    /* DRAM row boundary of the fourth bank pair as the peer's board shows it. */
    c[0x57] = 0x10;
    c[SMRAM_REG] = 0x02;
    i440fx_update(s);
}

static MACHINE_CALL
bool i440fx_after_load(void *opaque, int version, Error **errp)
{
    i440fx_update(opaque);
    return true;
}

static const VmState i440fx_state = {
    .name = "I440FX", .version = 1, .oldest = 1,
    .after_load = i440fx_after_load,
    .fields = (const VmField[]){ VM_END },
};

static const PciInfo i440fx_info = {
    .vendor = 0x8086, .device = 0x1237, .class_code = 0x060000, .revision = 2,
    .no_hotplug = true,
};

DEVICE(i440fx, {
    .name = "i440FX", .category = "bridge", .on = &bus_pci,
    .on_info = &i440fx_info, .flags = DT_INTERNAL | DT_NO_HOTPLUG,
    .desc = "Host bridge",
    .doc = "The 82441FX host bridge of the pc machine: shadow RAM and SMRAM "
           "control.",
    .size = sizeof(I440fx), .vmstate = &i440fx_state,
    .realize = i440fx_realize, .unrealize = i440fx_unrealize,
    .reset = i440fx_reset,
});

/* ---- the sysbus side: mechanism 1 ---------------------------------------- */

static MACHINE_CALL bool host_realize(Device *dev, Error **errp)
{
    I440fxHost *s = (I440fxHost *)dev;

    pc->pci = pci_root_new(dev, "pci.0", false, &pc->pci_mem, mem_io.root, 0);
    pci_host_ports_init(&s->ports, dev, pc->pci, mem_io.root, 0xcf8);
    return true;
}

static MACHINE_CALL void host_unrealize(Device *dev)
{
    pci_host_ports_fini(&((I440fxHost *)dev)->ports);
}

static void host_reset(Device *dev, ResetKind kind)
{
    ((I440fxHost *)dev)->ports.address = 0;
}

static const VmState host_state = {
    .name = "PCIHost", .version = 1, .oldest = 1,
    .fields = (const VmField[]){ VM_U32(I440fxHost, ports.address), VM_END },
};

static const Prop host_props[] = {
    PROP_SIZE("pci-hole64-size", I440fxHost, hole64_size, 2 * GiB,
              .desc = "size of the 64-bit PCI window"),
    PROP_U32("short_root_bus", I440fxHost, short_root_bus, 0,
             .desc = "path of the root bus without its bus number"),
    PROP_BOOL("x-pci-hole64-fix", I440fxHost, x_pci_hole64_fix, true,
              .desc = "place the 64-bit PCI window above RAM"),
    PROP_BOOL("bypass-iommu", I440fxHost, bypass_iommu, false,
              .desc = "functions of this bridge are not translated"),
    PROP_SIZE("below-4g-mem-size", I440fxHost, below_4g, 0,
              .desc = "RAM below 4 GiB"),
    PROP_SIZE("above-4g-mem-size", I440fxHost, above_4g, 0,
              .desc = "RAM from 4 GiB up"),
    PROP_END
};

/* As Open Firmware names a bridge by its ports: SeaBIOS finds devices so. */
static char *host_fw_name(const Device *dev)
{
    return g_strdup("pci@i0cf8");
}

DEVICE(i440fx_host, {
    .name = "i440FX-pcihost", .category = "bridge", .on = &bus_system,
    .parent = "pci-host-bridge", .flags = DT_INTERNAL | DT_NO_HOTPLUG,
    .desc = "PCI host of the i440FX",
    .doc = "The root of the pc machine's PCI bus.",
    .size = sizeof(I440fxHost), .props = host_props, .vmstate = &host_state,
    .realize = host_realize, .unrealize = host_unrealize, .reset = host_reset,
    .fw_name = host_fw_name,
});

bool i440fx_create(Pc *p, Error **errp)
{
    Device *host = device_make("i440FX-pcihost");

    obj_put(&p->m.obj, "i440fx", &host->obj);
    device_set_int(host, "below-4g-mem-size", p->below_4g);
    device_set_int(host, "above-4g-mem-size", p->above_4g);
    if (!device_realize(host, NULL, errp)) {
        return false;
    }
    p->host = host;
    return pci_make(p->pci, PCI_DEVFN(0, 0), "i440FX", errp) != NULL;
}
