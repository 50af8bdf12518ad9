/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pc.c - the pc board (i440FX/PIIX3): memory layout, interrupt wiring, the
 * devices that are always there and the ones the user's options add.
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. RAM below 4 GiB ends at below_4g; the rest starts at 4 GiB.
 * 2. A GSI's level reaches PIC and IOAPIC, or the kernel's; never both.
 */
#include <glib.h>
#include "accel.h"
#include "blk.h"
#include "chr.h"
#include "machine-opts.h"
#include "numa.h"
#include "pc.h"
#include "pc-board.h"

Pc *pc;

static IrqLine pic_in[16], ioapic_in[PC_GSI_COUNT];

/* ---- memory -------------------------------------------------------------- */

static MACHINE_CALL bool pc_memory(Pc *p, Error **errp)
{
    uint64_t size = p->m.ram_size;
    uint64_t lowmem = p->max_ram_below_4g ? p->max_ram_below_4g : 0xe0000000u;

    if (p->max_ram_below_4g > 4 * GiB) {
        return error_set(errp, "'max-ram-below-4g' must be at most 4 GiB");
    }
    if (!p->max_ram_below_4g && size >= lowmem) {
        /* Room for the PCI hole, in whole gigabytes so that 1-GiB pages map. */
        lowmem = 0xc0000000u;
    }
    p->below_4g = MIN2(size, lowmem);
    p->above_4g = size - p->below_4g;
    p->pci_hole_first = p->below_4g;

    mem_begin();
    if (numa_by_backends()) {
        mem_init(&p->ram_all, p->m.type->default_ram_id, size);
        numa_fill_region(&p->ram_all);
    } else {
        mem_init_block(&p->ram_all, p->m.ram->id, p->m.ram);
    }
    mem_init_alias(&p->ram_below, "ram-below-4g", &p->ram_all, 0, p->below_4g);
    mem_add(mem_system.root, 0, &p->ram_below);
    if (p->above_4g) {
        mem_init_alias(&p->ram_above, "ram-above-4g", &p->ram_all, p->below_4g,
                       p->above_4g);
        mem_add(mem_system.root, 4 * GiB, &p->ram_above);
    }
    mem_init(&p->pci_mem, "pci", 0);
    /* Without PCI nothing switches between RAM and the ROMs above 640 KiB. */
    mem_add_prio(mem_system.root, 0, &p->pci_mem, p->is_isapc ? 1 : -1);
    mem_init(&p->smram, "smram", 4 * GiB);
    if (accel_has_smm()) {
        mem_init(&p->smm_root, "smm", 0);
        mem_init_alias(&p->smm_rest, "smm-rest", mem_system.root, 0, 0);
        mem_add(&p->smm_root, 0, &p->smm_rest);
        mem_add_prio(&p->smm_root, 0, &p->smram, 1);
        mem_space_init(&p->smm_space, "smm", &p->smm_root);
    }
    mem_commit();
    if (!mem_init_rom(&p->rom, "pc.rom", 0x20000, errp)) {
        return false;
    }
    mem_add_prio(&p->pci_mem, 0xc0000, &p->rom, 1);
    return true;
}

/* ---- interrupts ---------------------------------------------------------- */

static void gsi_set(void *to, int n, int level)
{
    if (accel_irq.pic_in_kernel) {
        accel_irq.set_gsi(n, level);
        return;
    }
    if (n < 16) {
        irq_set(&pic_in[n], level);
    }
    /* The 8254 is wired to IOAPIC pin 2, as the MADT's override says. */
    if (accel_irq.ioapic_in_kernel) {
        accel_irq.set_gsi(n ? n : 2, level);
    } else {
        irq_set(&ioapic_in[n ? n : 2], level);
    }
}

static void intr_set(void *to, int n, int level)
{
    X86Cpu *c = cpu_count ? x86_cpu(cpus[0]) : NULL;
    IrqLine lint0;

    if (!c) {
        return;
    }
    if (c->apic) {
        lint0 = apic_lint0(c);
        irq_set(&lint0, level);
    } else if (level) {
        cpu_interrupt(&c->cpu, CPU_INT_HARD);
    } else {
        cpu_interrupt_clear(&c->cpu, CPU_INT_HARD);
    }
}

static MACHINE_CALL bool pc_irq_chips(Pc *p, Error **errp)
{
    if (accel_irq.pic_in_kernel) {
        return kvm_irqchip_create(p, errp);
    }
    if (!pic_create(p->isa, irq_line(intr_set, NULL, 0), pic_in, errp)) {
        return false;
    }
    if (p->is_isapc) {
        return true;
    }
    p->ioapic = ioapic_create(ioapic_in, errp);
    return p->ioapic != NULL;
}

/* ---- devices ------------------------------------------------------------- */

static MACHINE_CALL bool pc_timers(Pc *p, Error **errp)
{
    IrqLine irq0 = p->gsi[0], irq8 = p->gsi[8], hpet_in[2];

    if (p->hpet && !p->is_isapc) {
        p->hpet_dev = hpet_create(p->gsi, hpet_in, errp);
        if (!p->hpet_dev) {
            return false;
        }
        irq0 = hpet_in[0];
        irq8 = hpet_in[1];
    }
    p->rtc = rtc_create(p->isa, irq8, errp);
    if (!p->rtc) {
        return false;
    }
    if (p->pit != OOA_OFF) {
        p->pit_dev = accel_irq.pit_in_kernel
                   ? kvm_pit_create(p->isa, errp)
                   : pit_create(p->isa, irq0, errp);
        if (!p->pit_dev || !pcspk_create(p->isa, p->pit_dev, errp)) {
            return false;
        }
    }
    return true;
}

static MACHINE_CALL bool pc_super_io(Pc *p, Error **errp)
{
    if (!pc_serials(p, errp) || !pc_floppies(p, errp)) {
        return false;
    }
    if (p->i8042) {
        p->kbd = i8042_create(p->isa, p->gsi[1], p->gsi[12], errp);
        if (!p->kbd || (p->vmport != OOA_OFF &&
                        !vmport_create(p->isa, p->kbd, errp))) {
            return false;
        }
    }
    return port92_create(p->isa, errp);
}

static MACHINE_CALL bool pc_build(Machine *m, Error **errp)
{
    Pc *p = (Pc *)m;
    PciDevice *piix;

    pc = p;
    p->acpi = p->acpi_prop != OOA_OFF && !p->is_isapc;
    for (int i = 0; i < PC_GSI_COUNT; i++) {
        p->gsi[i] = irq_line(gsi_set, p, i);
    }
    if (!pc_memory(p, errp) || !pc_cpus(p, errp) ||
        !machine_go_on(bios_load(p, errp), errp) || !fwcfg_create(p, true, errp)) {
        return false;
    }
    if (p->is_isapc) {
        Device *bridge = device_make("isabus-bridge");

        if (!device_realize(bridge, NULL, errp)) {
            device_free(bridge);
            return false;
        }
        p->isa = isa_bus_new(bridge, mem_system.root, mem_io.root);
    } else {
        if (!i440fx_create(p, errp)) {
            return false;
        }
        piix = piix3_create(p, PCI_DEVFN(1, 0), errp);
        if (!piix) {
            return false;
        }
    }
    for (int i = 0; i < 16; i++) {
        p->isa->irq[i] = p->gsi[i];
    }
    pc_ferr_create(p);
    /* In this order they have the numbers in the object tree that scripts know. */
    if (!dma8237_create(p->isa, errp) || !pc_irq_chips(p, errp) ||
        !pc_timers(p, errp) ||
        !pc_super_io(p, errp) ||
        !machine_go_on(pc_display(p, errp), errp)) {
        return false;
    }
    if (p->is_isapc) {
        return pc_isa_disks(p, errp);
    }
    if (!piix3_ide_create(p->pci, PCI_DEVFN(1, 1), errp)) {
        return false;
    }
    if (p->acpi) {
        PciDevice *pm = piix4_pm_create(p->pci, PCI_DEVFN(1, 3), p->gsi[9],
                                        errp);

        if (!pm) {
            return false;
        }
        p->pm = &pm->dev;
    }
    return true;
}

static MACHINE_CALL bool pc_ready(Machine *m, Error **errp)
{
    Pc *p = (Pc *)m;

    return cmos_fill(p, errp) && machine_go_on(fwcfg_fill(p, errp), errp) &&
           machine_go_on(linux_load(p, errp), errp) &&
           machine_go_on(option_roms_load(p, errp), errp) &&
           machine_go_on(smbios_build(p, errp), errp) &&
           (!p->acpi || p->is_isapc || acpi_build(p, errp));
}

/* ---- machine types ------------------------------------------------------- */

/* Firmware and guests of a PC take the 8259s for granted. */
static bool pic_set(Obj *o, const Prop *p, const Json *v, Error **errp)
{
    return ((Pc *)o)->pic != OOA_OFF ||
           error_set(errp, "a PC cannot be without its interrupt controllers "
                     "(pic=off)");
}

static const PropEnum smbios_ep_enum = {
    .type = "SmbiosEntryPointType",
    .names = (const char *const[]){ "32", "64", "auto", NULL },
};

static const Prop pc_props[] = {
    PROP_AUTO("vmport", Pc, vmport, OOA_AUTO,
              .desc = "Enable vmport (pc & q35)"),
    PROP_AUTO("smm", Pc, smm, OOA_AUTO, .desc = "Enable SMM"),
    PROP_AUTO("acpi", Pc, acpi_prop, OOA_AUTO, .desc = "Enable ACPI"),
    PROP_BOOL("hpet", Pc, hpet, true, .desc = "Enable/disable HPET"),
    PROP_AUTO("pit", Pc, pit, OOA_AUTO, .desc = "Enable/disable i8254 PIT"),
    PROP_AUTO("pic", Pc, pic, OOA_AUTO, .set = pic_set,
              .desc = "Enable/disable i8259 PIC"),
    PROP_BOOL("i8042", Pc, i8042, true, .desc = "Enable/disable i8042"),
    PROP_BOOL("sata", Pc, sata, true, .desc = "Enable/disable Serial ATA bus"),
    PROP_BOOL("smbus", Pc, smbus, true,
              .desc = "Enable/disable system management bus"),
    PROP_BOOL("fd-bootchk", Pc, fd_bootchk, true,
              .desc = "Boot signature check of floppies"),
    PROP_BOOL("default-bus-bypass-iommu", Pc, bypass_iommu, false,
              .desc = "Root bus functions bypass an IOMMU"),
    PROP_SIZE("max-ram-below-4g", Pc, max_ram_below_4g, 0, .max = 4 * GiB,
              .desc = "Maximum ram below the 4G boundary (32bit boundary)"),
    PROP_SIZE("max-fw-size", Pc, max_fw_size, 8 * MiB,
              .desc = "Maximum combined firmware size"),
    PROP_ENUM("smbios-entry-point-type", Pc, smbios_ep, &smbios_ep_enum, 0,
              .type = "str",
              .desc = "SMBIOS Entry Point type [32, 64]"),
    PROP_STR("pflash0", Pc, pflash0, .desc = "Node name of the firmware flash"),
    PROP_STR("pflash1", Pc, pflash1,
             .desc = "Node name of the variables flash"),
    PROP_STR("pcspk-audiodev", Pc, pcspk_audiodev,
             .desc = "Audio backend of the PC speaker"),
    PROP_STR("x-oem-id", Pc, oem_id, .type = "string",
             .desc = "OEM id of ACPI tables, up to 6 characters"),
    PROP_STR("x-oem-table-id", Pc, oem_table_id, .type = "string",
             .desc = "OEM table id of ACPI tables, up to 8 characters"),
    PROP_END
};

static MACHINE_CALL bool isapc_build(Machine *m, Error **errp)
{
    ((Pc *)m)->is_isapc = true;
    return pc_build(m, errp);
}

#define PC_TYPE(sym, nm, al, ver, def, depr) \
MACHINE(pc_##sym, { \
    .name = nm, .alias = al, .version = ver, .is_default = def, \
    .deprecated = depr, .parent = "generic-pc-machine", \
    .desc = "Standard PC (i440FX + PIIX, 1996)", .max_cpus = 255, \
    .default_cpu = "qemu64", .default_ram_id = "pc.ram", \
    .default_ram = 128 * MiB, .size = sizeof(Pc), .props = pc_props, \
    .build = pc_build, .ready = pc_ready, \
})

PC_TYPE(7_2, "pc-i440fx-7.2", "pc", 702, true, false);
PC_TYPE(7_1, "pc-i440fx-7.1", NULL, 701, false, false);
PC_TYPE(7_0, "pc-i440fx-7.0", NULL, 700, false, false);
PC_TYPE(6_2, "pc-i440fx-6.2", NULL, 602, false, false);
PC_TYPE(6_1, "pc-i440fx-6.1", NULL, 601, false, false);
PC_TYPE(6_0, "pc-i440fx-6.0", NULL, 600, false, false);
PC_TYPE(5_2, "pc-i440fx-5.2", NULL, 502, false, false);
PC_TYPE(5_1, "pc-i440fx-5.1", NULL, 501, false, false);
PC_TYPE(5_0, "pc-i440fx-5.0", NULL, 500, false, false);
PC_TYPE(4_2, "pc-i440fx-4.2", NULL, 402, false, false);
PC_TYPE(4_1, "pc-i440fx-4.1", NULL, 401, false, false);
PC_TYPE(4_0, "pc-i440fx-4.0", NULL, 400, false, false);
PC_TYPE(3_1, "pc-i440fx-3.1", NULL, 301, false, false);
PC_TYPE(3_0, "pc-i440fx-3.0", NULL, 300, false, false);
PC_TYPE(2_12, "pc-i440fx-2.12", NULL, 212, false, false);
PC_TYPE(2_11, "pc-i440fx-2.11", NULL, 211, false, false);
PC_TYPE(2_10, "pc-i440fx-2.10", NULL, 210, false, false);
PC_TYPE(2_9, "pc-i440fx-2.9", NULL, 209, false, false);
PC_TYPE(2_8, "pc-i440fx-2.8", NULL, 208, false, false);
PC_TYPE(2_7, "pc-i440fx-2.7", NULL, 207, false, false);
PC_TYPE(2_6, "pc-i440fx-2.6", NULL, 206, false, false);
PC_TYPE(2_5, "pc-i440fx-2.5", NULL, 205, false, false);
PC_TYPE(2_4, "pc-i440fx-2.4", NULL, 204, false, false);
PC_TYPE(2_3, "pc-i440fx-2.3", NULL, 203, false, false);
PC_TYPE(2_2, "pc-i440fx-2.2", NULL, 202, false, false);
PC_TYPE(2_1, "pc-i440fx-2.1", NULL, 201, false, false);
PC_TYPE(2_0, "pc-i440fx-2.0", NULL, 200, false, false);
PC_TYPE(1_7, "pc-i440fx-1.7", NULL, 107, false, true);
PC_TYPE(1_6, "pc-i440fx-1.6", NULL, 106, false, true);
PC_TYPE(1_5, "pc-i440fx-1.5", NULL, 105, false, true);
PC_TYPE(1_4, "pc-i440fx-1.4", NULL, 104, false, true);

MACHINE(isapc, {
    .name = "isapc", .parent = "generic-pc-machine", .desc = "ISA-only PC",
    .max_cpus = 1, .default_cpu = "486", .default_ram_id = "pc.ram",
    .default_ram = 128 * MiB, .no_pci = true, .size = sizeof(Pc),
    .props = pc_props, .build = isapc_build, .ready = pc_ready,
});
