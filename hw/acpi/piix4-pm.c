/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * piix4-pm.c - function 3 of the 82371AB: power management and SMBus host
 * (Intel 82371AB data sheet, order 290562, chapters 7 and 11), with the APM
 * command port.
 *
 * Thread class: machine lock.
 */
#include "accel.h"
#include "hw/acpi/cpu-hotplug.h"
#include "hw/acpi/pci-hotplug.h"
#include "hw/acpi/pm.h"
#include "hw/acpi/smbus.h"
#include "pc.h"

#define PMBASE 0x40
#define PMREGMISC 0x80
#define DEVACTB 0x58
#define GPE_PORT 0xafe0
#define GPE_LEN 4
#define ACPI_ENABLE 0xf1
#define ACPI_DISABLE 0xf0

typedef struct Piix4Pm {
    PciDevice pci;
    MemRegion io, apm_io;
    AcpiPm pm;
    Smbus smb;
    AcpiPciHotplug hp;
    AcpiCpuHotplug cpuhp;
    uint32_t smb_io_base;
    uint8_t apmc, apms;
    bool io_on, hotplug_bridges, hotplug_root, memory_hotplug, smm_compat,
         no_acpi_index;
    bool smm_enabled;
    uint8_t s3_off, s4_off, s4_val;
} Piix4Pm;

static MACHINE_CALL void piix4_map(Piix4Pm *s)
{
    uint8_t *c = s->pci.config;
    uint16_t base = ld_le32(c + PMBASE) & 0xffc0;
    bool on = c[PMREGMISC] & 1;

    mem_begin();
    mem_set_enabled(&s->io, on);
    mem_set_address(&s->io, base);
    mem_commit();
}

static MACHINE_CALL
void piix4_config_write(PciDevice *d, uint32_t off, uint32_t v,
                               unsigned size)
{
    pci_config_write_default(d, off, v, size);
    if ((off < PMBASE + 4 && off + size > PMBASE) ||
        (off <= PMREGMISC && off + size > PMREGMISC)) {
        piix4_map((Piix4Pm *)d);
    }
}

static uint64_t apm_read(void *dev, uint64_t off, unsigned size)
{
    Piix4Pm *s = dev;

    return off ? s->apms : s->apmc;
}

static void apm_write(void *dev, uint64_t off, uint64_t v, unsigned size)
    NO_TSA;
static void apm_write(void *dev, uint64_t off, uint64_t v, unsigned size)
{
    Piix4Pm *s = dev;

    if (off) {
        s->apms = v;
        return;
    }
    s->apmc = v;
    if (v == ACPI_ENABLE || v == ACPI_DISABLE) {
        acpi_pm_enable(&s->pm, v == ACPI_ENABLE);
    }
    /* DEVACTB's APMC enable makes the write an SMI. */
    if (s->smm_enabled && s->pci.config[DEVACTB + 3] & 2 && cpu_current) {
        cpu_interrupt(cpu_current, CPU_INT_SMI);
    }
}

static const MemOps apm_ops = { .read = apm_read, .write = apm_write,
                                .max = 1 };

static MACHINE_CALL bool piix4_realize(Device *dev, Error **errp)
{
    Piix4Pm *s = (Piix4Pm *)dev;
    PciDevice *d = &s->pci;

    d->config_write = piix4_config_write;
    pci_set_pin(d, 1);
    st_le32(d->wmask + PMBASE, 0xffc0);
    for (unsigned i = 0x44; i < 0x100; i++) {
        d->wmask[i] = 0xff;
    }
    d->wmask[0x90] = d->wmask[0x91] = d->wmask[0xd2] = 0;
    s->pm.s3_off = s->s3_off;
    s->pm.s4_off = s->s4_off;
    s->pm.s4_val = s->s4_val;
    s->pm.acpi_only = !s->smm_enabled;
    mem_init(&s->io, "piix4-pm", 64);
    s->io.flags |= MRF_OFF;
    device_region(dev, &s->io);
    mem_add(mem_io.root, 0, &s->io);
    acpi_pm_init(&s->pm, dev, &s->io, pc->gsi[9]);
    acpi_gpe_init(&s->pm, dev, mem_io.root, GPE_PORT, GPE_LEN);
    mem_init_io(&s->apm_io, "apm-io", 2, &apm_ops, s);
    device_region(dev, &s->apm_io);
    mem_add(mem_io.root, 0xb2, &s->apm_io);
    smbus_init(&s->smb, dev);
    st_le16(d->config + 0x90, s->smb_io_base | 1);
    d->config[0xd2] = 0x09;
    mem_add(mem_io.root, s->smb_io_base, &s->smb.io);
    acpi_pci_hotplug_init(&s->hp, dev, &s->pm, mem_io.root);
    acpi_cpu_hotplug_init(&s->cpuhp, dev, &s->pm, mem_io.root);
    if (s->hotplug_root) {
        acpi_pci_hotplug_bus(&s->hp, pc->pci, s->hotplug_bridges);
    }
    return true;
}

static MACHINE_CALL void piix4_unrealize(Device *dev)
{
    Piix4Pm *s = (Piix4Pm *)dev;

    acpi_cpu_hotplug_fini(&s->cpuhp);
    acpi_pci_hotplug_fini(&s->hp);
    smbus_fini(&s->smb);
    mem_fini(&s->apm_io);
    acpi_pm_fini(&s->pm);
    mem_fini(&s->io);
}

/* Read-only values stay: vendor, class, the SMBus block. */
static MACHINE_CALL void piix4_reset(Device *dev, ResetKind kind)
{
    Piix4Pm *s = (Piix4Pm *)dev;
    uint8_t *c = s->pci.config;

    memset(c + 0x40, 0, 0x50);
    c[PMBASE] = 1;                     /* I/O space                           */
    /* APMC enable tells firmware that it need not set SMM up. */
    c[DEVACTB + 3] = s->smm_enabled ? 0 : 2;
    c[0x5f] = 0x10;                    /* as the board's straps read          */
    c[0x63] = 0x60;
    s->apmc = s->apms = 0;
    acpi_pm_reset(&s->pm);
    smbus_reset(&s->smb);
    acpi_pci_hotplug_reset(&s->hp);
    acpi_cpu_hotplug_reset(&s->cpuhp);
    piix4_map(s);
}

static MACHINE_CALL
bool piix4_after_load(void *opaque, int version, Error **errp)
{
    Piix4Pm *s = opaque;

    piix4_map(s);
    acpi_sci_update(&s->pm);
    return true;
}

static const VmState piix4_state = {
    .name = "piix4_pm", .version = 1, .oldest = 1,
    .after_load = piix4_after_load,
    .fields = (const VmField[]){
        VM_STRUCT(Piix4Pm, pm, &acpi_pm_state),
        VM_STRUCT(Piix4Pm, smb, &smbus_state),
        VM_STRUCT(Piix4Pm, hp, &acpi_pci_hotplug_state),
        VM_STRUCT(Piix4Pm, cpuhp, &acpi_cpu_hotplug_state),
        VM_U8(Piix4Pm, apmc), VM_U8(Piix4Pm, apms),
        VM_END
    },
};

static const Prop piix4_props[] = {
    PROP_U32("smb_io_base", Piix4Pm, smb_io_base, 0,
             .desc = "first port of the SMBus host"),
    PROP_U8("disable_s3", Piix4Pm, s3_off, 0, .desc = "no suspend to RAM"),
    PROP_U8("disable_s4", Piix4Pm, s4_off, 0, .desc = "no suspend to disk"),
    PROP_U8("s4_val", Piix4Pm, s4_val, 2, .max = 7,
            .desc = "sleep type that means suspend to disk"),
    PROP_BOOL("acpi-pci-hotplug-with-bridge-support", Piix4Pm, hotplug_bridges,
              true, .desc = "hot-plug behind bridges",
              .compat = (const PropCompat[]){ { 107, "off" }, { 0 } }),
    PROP_BOOL("acpi-root-pci-hotplug", Piix4Pm, hotplug_root, true,
              .desc = "hot-plug on the root bus"),
    PROP_BOOL("memory-hotplug-support", Piix4Pm, memory_hotplug, true,
              .desc = "memory devices may be plugged"),
    PROP_BOOL("smm-compat", Piix4Pm, smm_compat, false,
              .desc = "SMM bits as machine types before 6.0 had them"),
    PROP_BOOL("x-not-migrate-acpi-index", Piix4Pm, no_acpi_index, false,
              .desc = "leave the ACPI index out of the saved state"),
    PROP_BOOL("smm-enabled", Piix4Pm, smm_enabled, false, .flags = PF_HIDDEN,
              .desc = "SMIs are delivered"),
    PROP_END
};

static const PciInfo piix4_info = {
    .vendor = 0x8086, .device = 0x7113, .class_code = 0x068000, .revision = 3,
    .no_hotplug = true,
};

DEVICE(piix4_pm, {
    .name = "PIIX4_PM", .category = "bridge", .on = &bus_pci,
    .on_info = &piix4_info, .flags = DT_INTERNAL | DT_NO_HOTPLUG,
    .desc = "PM",
    .doc = "Power management, SMBus and hot-plug control of the pc machine; "
           "-global PIIX4_PM.disable_s3=1 and disable_s4=1 hide sleep states.",
    .size = sizeof(Piix4Pm), .props = piix4_props, .vmstate = &piix4_state,
    .realize = piix4_realize, .unrealize = piix4_unrealize,
    .reset = piix4_reset,
});

PciDevice *piix4_pm_create(PciBus *bus, int devfn, IrqLine sci, Error **errp)
{
    PciDevice *d = pci_new(devfn, false, "PIIX4_PM");
    Piix4Pm *s = (Piix4Pm *)d;

    s->smb_io_base = 0xb100;
    s->smm_enabled = pc->smm == OOA_ON ||
                     (pc->smm == OOA_AUTO && accel_has_smm());

    if (!device_realize(&d->dev, &bus->bus, errp)) {
        device_free(&d->dev);
        return NULL;
    }
    return d;
}

void piix4_pm_sleep_states(Device *dev, bool *s3, bool *s4, uint8_t *s4_val)
{
    Piix4Pm *s = (Piix4Pm *)dev;

    *s3 = !s->s3_off;
    *s4 = !s->s4_off;
    *s4_val = s->s4_val;
}
