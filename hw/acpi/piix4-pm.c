/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * piix4-pm.c - function 3 of the 82371AB: power management and SMBus host
 * (Intel 82371AB data sheet, order 290562, chapters 7 and 11), with the APM
 * command port.
 *
 * Thread class: machine lock.
 */
#include "hw/acpi/hotplug.h"
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
    AcpiCpuHotplug cpu_hp;
    uint32_t smb_io_base;
    uint8_t apmc, apms;
    bool io_on, hotplug_bridges, hotplug_root, memory_hotplug, smm_compat,
         no_acpi_index, smm_enabled;
    uint8_t s3_off, s4_off, s4_val;
} Piix4Pm;

static void piix4_map(Piix4Pm *s)
{
    uint8_t *c = s->pci.config;
    uint16_t base = ld_le32(c + PMBASE) & 0xffc0;
    bool on = c[PMREGMISC] & 1;

    mem_begin();
    mem_set_enabled(&s->io, on);
    mem_set_address(&s->io, base);
    mem_commit();
}

static void piix4_config_write(PciDevice *d, uint32_t off, uint32_t v,
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

static bool piix4_realize(Device *dev, Error **errp)
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
    smbus_init(&s->smb, dev, "i2c");
    st_le16(d->config + 0x90, s->smb_io_base | 1);
    d->config[0xd2] = 0x09;
    device_region(dev, &s->smb.io);
    mem_add(mem_io.root, s->smb_io_base, &s->smb.io);
    acpi_pci_hotplug_init(&s->hp, dev, &s->pm, mem_io.root,
                          s->hotplug_bridges, s->hotplug_root);
    acpi_cpu_hotplug_init(&s->cpu_hp, dev, &s->pm, mem_io.root);
    return true;
}

static void piix4_unrealize(Device *dev)
{
    Piix4Pm *s = (Piix4Pm *)dev;

    acpi_cpu_hotplug_fini(&s->cpu_hp);
    acpi_pci_hotplug_fini(&s->hp);
    smbus_fini(&s->smb);
    mem_fini(&s->apm_io);
    acpi_pm_fini(&s->pm);
    mem_fini(&s->io);
}

static void piix4_reset(Device *dev, ResetKind kind)
{
    Piix4Pm *s = (Piix4Pm *)dev;
    uint8_t *c = s->pci.config;

    st_le32(c + PMBASE, 1);
    memset(c + 0x44, 0, 0x90 - 0x44);
    c[0x5b] = s->smm_enabled ? 0 : 2;
    c[0x5f] = 0x90;
    c[0x63] = 0x60;
    if (!s->smm_enabled) {
        c[0x5b] = 0x02;
    }
    c[0x5f] = 0x10;
    c[0x5b] = 0;
    s->apmc = s->apms = 0;
    acpi_pm_reset(&s->pm);
    smbus_reset(&s->smb);
    acpi_pci_hotplug_reset(&s->hp);
    piix4_map(s);
}
