/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * direct.c - what firmware would do with the board before it starts a kernel,
 * for kernels that are started without it: shadow RAM (82441FX data sheet, PAM
 * registers), memory types (Intel SDM volume 3, 12.11), interrupt routes and
 * IDE channels (82371SB, PIRQRC, ELCR and IDETIM), the power-management block
 * (82371AB, PMBA and PMREGMISC), ACPI tables.
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. Set-up follows the reset of all devices and precedes the blobs: both are
 *    reset functions, this one registered first.
 */
#include <glib.h>
#include "accel.h"
#include "hw/fw/blob.h"

#define PM_BASE 0x600

bool direct_boot;
uint64_t direct_rsdp;
static struct { uint64_t base, len; uint8_t *data; } tables;   /* a blob's     */

static MACHINE_CALL void set_up(void)
{
    static const uint8_t routes[4] = { 10, 10, 11, 11 };
    PciDevice *host = pci_find(0, PCI_DEVFN(0, 0));
    PciDevice *isa = pci_find(0, PCI_DEVFN(1, 0));
    PciDevice *ide = pci_find(0, PCI_DEVFN(1, 1));
    PciDevice *pm = (PciDevice *)pc->pm;

    if (host) {
        for (unsigned reg = 0x59; reg <= 0x5f; reg++) {
            pci_config_write(host, reg, 0x33, 1);
        }
    }
    for (int i = 0; isa && i < 4; i++) {
        pci_config_write(isa, 0x60 + i, routes[i], 1);
    }
    if (ide && ide->dev.type->on_info &&
        ((const PciInfo *)ide->dev.type->on_info)->class_code >> 8 == 0x0101) {
        pci_config_write(ide, 0x40, 0x80008000, 4);
    }
    mem_store(&mem_io, 0x4d0, 1, 0, MEM_ATTRS_NONE);
    mem_store(&mem_io, 0x4d1, 1, 0x0c, MEM_ATTRS_NONE);
    if (pm) {
        pci_config_write(pm, 0x40, PM_BASE | 1, 4);
        pci_config_write(pm, 0x80, 1, 1);
        pci_config_write(pm, 0x3c, 9, 1);
    }
}

/* Write-back but for the display's window and the PCI hole; a kernel that finds
 * these registers blank gives up its page attributes. */
static void set_up_mtrrs(X86Cpu *c)
{
    X86Regs *r = &c->regs;
    uint64_t size = 1 * GiB, phys = (1ull << c->phys_bits) - 1;

    while (size > 4 * GiB - pc->below_4g) {
        size /= 2;
    }
    memset(r->mtrr_fixed, 0x05, sizeof(r->mtrr_fixed));
    memset(r->mtrr_fixed, 0x06, 2 * sizeof(r->mtrr_fixed[0]));
    r->mtrr_fixed[2] = 0;              /* a0000..bffff                        */
    if (size) {
        r->mtrr_base[0] = 4 * GiB - size;
        r->mtrr_mask[0] = (phys & ~(size - 1)) | 0x800;
    }
    r->mtrr_deftype = 0xc06;
    if (accel->type->cpu_reset) {
        accel->type->cpu_reset(&c->cpu);
    }
}

/* What was plugged since, as long as it fits the same place. */
static MACHINE_CALL void tables_again(void)
{
    uint64_t len, rsdp;
    uint8_t *data;

    if (tables.data && acpi_place(pc, tables.base, &data, &len, &rsdp, NULL)) {
        if (len == tables.len && rsdp == direct_rsdp) {
            memcpy(tables.data, data, len);
        }
        g_free(data);
    }
}

/* ACPI 6.4, 5.2.10 and 16.3.2: who slept goes on in real mode where the FACS, the
 * first of the tables, says. */
static MACHINE_CALL void waking_vector(X86Regs *r)
{
    uint64_t v = 0;

    mem_load(&mem_system, tables.base + 12, 4, &v, MEM_ATTRS_NONE);
    r->seg[X86_CS].sel = v >> 4;
    r->seg[X86_CS].base = v & 0xffff0;
    r->rip = v & 15;
}

static MACHINE_CALL void set_up_reset(void *arg, ResetKind kind)
{
    if (kind != RESET_COLD && kind != RESET_WAKE) {
        return;
    }
    if (pc->pci) {
        set_up();
        if (machine->ready && kind == RESET_COLD) {
            tables_again();
        }
    }
    if (kind == RESET_WAKE && tables.data && cpu_count) {
        waking_vector(&x86_cpu(cpus[0])->regs);
    }
    for (unsigned i = 0; i < cpu_count; i++) {
        set_up_mtrrs(x86_cpu(cpus[i]));
    }
}

static MACHINE_CALL bool place_tables(Pc *p, Error **errp)
{
    uint64_t len, base, rsdp;
    uint8_t *data;

    /* Once for the size, then where they end with low RAM. */
    if (!acpi_place(p, 0, &data, &len, &rsdp, errp)) {
        return false;
    }
    g_free(data);
    if (len > p->below_4g / 2) {
        return error_set(errp, "no room for %" PRIu64 " bytes of ACPI tables",
                         len);
    }
    base = e820_take_top(p, len);
    if (!acpi_place(p, base, &data, &len, &rsdp, errp)) {
        return false;
    }
    direct_rsdp = rsdp;
    if (!blob_add("ACPI tables", base, data, len, 0, errp)) {
        return false;
    }
    tables.base = base;
    tables.len = len;
    tables.data = data;
    return true;
}

bool direct_setup(Pc *p, Error **errp)
{
    if (p->below_4g < 2 * MiB) {
        error_set(errp, "a kernel needs at least 2 MiB of memory");
        error_hint(errp, "Give the guest more memory with -m.");
        return false;
    }
    direct_boot = true;
    reset_register(set_up_reset, NULL);
    if (p->is_isapc || !p->acpi) {
        return true;
    }
    set_up();                          /* the tables tell where things are    */
    return place_tables(p, errp);
}
