/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dsdt.c - the pc board in ACPI's namespace: PCI root with its windows and
 * interrupt routing, ISA devices, hot-plug slots, HPET, processors, sleep
 * states (ACPI 6.3, chapters 6 and 7; PCI Firmware 3.2, chapter 4). Names and
 * resources are those that guests of this machine type know.
 *
 * Thread class: machine lock.
 */
#include "hw/acpi/cpu-hotplug.h"
#include "hw/acpi/pci-hotplug.h"
#include "hw/acpi/tables.h"
#include "hw/misc/misc.h"


static void fixed_io(Aml *a, uint16_t port, uint8_t len)
{
    aml_res_io(a, port, port, 1, len);
}

/* ---- interrupt links ----------------------------------------------------- */

/* One of the four links that PIIX3's route registers PRQ0..PRQ3 steer. */
static void link_device(Aml *a, unsigned n)
{
    static const uint32_t possible[] = { 5, 10, 11 };
    char name[8], reg[8];

    snprintf(name, sizeof(name), "LNK%c", 'A' + n);
    snprintf(reg, sizeof(reg), "PRQ%u", n);
    aml_device(a, name);
    aml_name_eisa(a, "_HID", "PNP0C0F");
    aml_name_int(a, "_UID", n);
    aml_name(a, "_PRS");
    aml_res_begin(a);
    aml_res_interrupts(a, possible, ARRAY_SIZE(possible));
    aml_res_end(a);

    aml_method(a, "_STA", 0, false);   /* off while bit 7 is set              */
    aml_op(a, AML_RETURN);
    aml_ref(a, "IQST");
    aml_ref(a, reg);
    aml_end(a);
    aml_method(a, "_DIS", 0, false);
    aml_op(a, AML_OR);
    aml_ref(a, reg);
    aml_int(a, 0x80);
    aml_ref(a, reg);
    aml_end(a);
    aml_method(a, "_CRS", 0, false);
    aml_op(a, AML_RETURN);
    aml_ref(a, "IQCR");
    aml_ref(a, reg);
    aml_end(a);
    aml_method(a, "_SRS", 1, false);   /* the interrupt stands at offset 5    */
    aml_op(a, AML_DWORD_FIELD);
    aml_arg(a, 0);
    aml_int(a, 5);
    aml_ref(a, "PRRI");
    aml_op(a, AML_STORE);
    aml_ref(a, "PRRI");
    aml_ref(a, reg);
    aml_end(a);
    aml_end(a);
}

/* PIIX4's SCI is wired to interrupt 9. */
static void sci_link(Aml *a)
{
    static const uint32_t nine = 9;

    aml_device(a, "LNKS");
    aml_name_eisa(a, "_HID", "PNP0C0F");
    aml_name_int(a, "_UID", 4);
    aml_name(a, "_PRS");
    aml_res_begin(a);
    aml_res_interrupts(a, &nine, 1);
    aml_res_end(a);
    aml_method(a, "_STA", 0, false);
    aml_op(a, AML_RETURN);
    aml_int(a, 0x0b);
    aml_end(a);
    aml_method(a, "_DIS", 0, false);
    aml_end(a);
    aml_method(a, "_CRS", 0, false);
    aml_op(a, AML_RETURN);
    aml_ref(a, "_PRS");
    aml_end(a);
    aml_method(a, "_SRS", 1, false);
    aml_end(a);
    aml_end(a);
}

static void link_methods(Aml *a)
{
    static const uint32_t none = 0;

    aml_method(a, "IQST", 1, false);
    aml_if(a);
    aml_op(a, AML_AND);
    aml_int(a, 0x80);
    aml_arg(a, 0);
    aml_op(a, AML_ZERO_TARGET);
    aml_op(a, AML_RETURN);
    aml_int(a, 0x09);
    aml_end(a);
    aml_op(a, AML_RETURN);
    aml_int(a, 0x0b);
    aml_end(a);

    aml_method(a, "IQCR", 1, true);
    aml_name(a, "PRR0");
    aml_res_begin(a);
    aml_res_interrupts(a, &none, 1);
    aml_res_end(a);
    aml_op(a, AML_DWORD_FIELD);
    aml_ref(a, "PRR0");
    aml_int(a, 5);
    aml_ref(a, "PRRI");
    aml_if(a);
    aml_op(a, AML_LLESS);
    aml_arg(a, 0);
    aml_int(a, 0x80);
    aml_op(a, AML_STORE);
    aml_arg(a, 0);
    aml_ref(a, "PRRI");
    aml_end(a);
    aml_op(a, AML_RETURN);
    aml_ref(a, "PRR0");
    aml_end(a);
}

/* A row for each slot and pin: pin p of slot s reaches link (s + p - 1) mod 4,
 * but slot 1's INTA, the board's own, is the SCI. */
static void routing_table(Aml *a)
{
    static const char *const links[4] = { "LNKD", "LNKA", "LNKB", "LNKC" };

    aml_name(a, "_PRT");
    aml_package(a, 128);
    for (unsigned slot = 0; slot < 32; slot++) {
        for (unsigned pin = 0; pin < 4; pin++) {
            aml_package(a, 4);
            aml_int(a, slot << 16 | 0xffff);
            aml_int(a, pin);
            aml_ref(a, slot == 1 && pin == 0 ? "\\_SB.LNKS" :
                       links[(slot + pin) & 3][3] == 'D' ? "\\_SB.LNKD" :
                       links[(slot + pin) & 3][3] == 'A' ? "\\_SB.LNKA" :
                       links[(slot + pin) & 3][3] == 'B' ? "\\_SB.LNKB" :
                       "\\_SB.LNKC");
            aml_int(a, 0);
            aml_end(a);
        }
    }
    aml_end(a);
}

/* ---- PCI root ------------------------------------------------------------ */

static void root_windows(Aml *a, const Pc *p, const AcpiFacts *f)
{
    aml_name(a, "_CRS");
    aml_res_begin(a);
    aml_res_window(a, 2, 16, 0, 0, 0xff);
    aml_res_io(a, 0xcf8, 0xcf8, 1, 8);
    aml_res_window(a, 1, 16, 3, 0, 0xcf7);
    aml_res_window(a, 1, 16, 3, 0xd00, 0xffff);
    aml_res_window(a, 0, 32, 3, 0xa0000, 0xbffff);
    aml_res_window(a, 0, 32, 1, p->pci_hole_first, 0xfebfffff);
    if (f->hole64_first) {
        aml_res_window(a, 0, 64, 3, f->hole64_first, f->hole64_last);
    }
    aml_res_end(a);
}

static void claim_device(Aml *a, const char *name, const char *hid,
                         const char *uid, uint16_t port, uint8_t len)
{
    aml_device(a, name);
    aml_name_str(a, "_HID", hid);
    if (uid) {
        aml_name_str(a, "_UID", uid);
    }
    aml_name_int(a, "_STA", 0x0b);
    aml_name(a, "_CRS");
    aml_res_begin(a);
    fixed_io(a, port, len);
    aml_res_end(a);
    aml_end(a);
}

/* ---- ISA devices, below the bridge in slot 1 ----------------------------- */

static void isa_keyboard(Aml *a)
{
    aml_device(a, "KBD");
    aml_name_eisa(a, "_HID", "PNP0303");
    aml_name_int(a, "_STA", 0x0f);
    aml_name(a, "_CRS");
    aml_res_begin(a);
    fixed_io(a, 0x60, 1);
    fixed_io(a, 0x64, 1);
    aml_res_irq(a, 1);
    aml_res_end(a);
    aml_end(a);
    aml_device(a, "MOU");
    aml_name_eisa(a, "_HID", "PNP0F13");
    aml_name_int(a, "_STA", 0x0f);
    aml_name(a, "_CRS");
    aml_res_begin(a);
    aml_res_irq(a, 12);
    aml_res_end(a);
    aml_end(a);
}

static MACHINE_CALL void isa_floppy(Aml *a, const Pc *p)
{
    uint8_t type = rtc_get_cmos(p->rtc, 0x10);
    uint8_t fde[20] = { 0 };

    fde[0] = type >> 4 != 0;
    fde[4] = (type & 15) != 0;
    fde[16] = 2;                       /* no tape controller                  */
    aml_device(a, "FDC0");
    aml_name_eisa(a, "_HID", "PNP0700");
    aml_name(a, "_CRS");
    aml_res_begin(a);
    aml_res_io(a, 0x3f2, 0x3f2, 0, 4);
    aml_res_io(a, 0x3f7, 0x3f7, 0, 1);
    aml_res_irq(a, 6);
    aml_res_dma(a, 2);
    aml_res_end(a);
    aml_name(a, "_FDE");
    aml_buffer(a, fde, sizeof(fde));
    aml_end(a);
}

static void isa_port(Aml *a, const char *name, const char *hid, unsigned uid,
                     uint16_t port, uint8_t len, unsigned irq)
{
    aml_device(a, name);
    aml_name_eisa(a, "_HID", hid);
    aml_name_int(a, "_UID", uid);
    aml_name_int(a, "_STA", 0x0f);
    aml_name(a, "_CRS");
    aml_res_begin(a);
    aml_res_io(a, port, port, len == 8 ? 8 : 0, len);
    aml_res_irq(a, irq);
    aml_res_end(a);
    aml_end(a);
}

typedef struct IsaPorts {
    Aml *a;
    unsigned serial, parallel;
} IsaPorts;

static bool isa_port_of(Device *dev, void *arg) MACHINE_CALL;
static bool isa_port_of(Device *dev, void *arg)
{
    IsaPorts *w = arg;
    char name[8];
    bool serial = !strcmp(dev->type->name, "isa-serial");
    Json *port, *irq;

    if (!serial && strcmp(dev->type->name, "isa-parallel")) {
        return true;
    }
    port = obj_get(&dev->obj, "iobase", NULL);
    irq = obj_get(&dev->obj, "irq", NULL);
    if (port && irq && serial) {
        snprintf(name, sizeof(name), "COM%u", ++w->serial & 7);
        isa_port(w->a, name, "PNP0501", w->serial, json_int_of(port), 8,
                 json_int_of(irq) & 15);
    } else if (port && irq) {
        snprintf(name, sizeof(name), "LPT%u", ++w->parallel & 7);
        isa_port(w->a, name, "PNP0400", w->parallel, json_int_of(port), 8,
                 json_int_of(irq) & 15);
    }
    json_free(port);
    json_free(irq);
    return true;
}

/* The guest reads and writes the panic port by these two methods. */
static void isa_pvpanic(Aml *a, uint16_t port)
{
    aml_device(a, "PEVT");
    aml_name_str(a, "_HID", "QEMU0001");
    aml_name(a, "_CRS");
    aml_res_begin(a);
    fixed_io(a, port, 1);
    aml_res_end(a);
    aml_region(a, "PEOR", SPACE_IO, port, 1);
    aml_field(a, "PEOR", FIELD_BYTE);
    aml_field_bits(a, "PEPT", 8);
    aml_end(a);
    aml_name_int(a, "_STA", 0x0f);
    aml_method(a, "RDPT", 0, false);
    aml_op(a, AML_STORE);
    aml_ref(a, "PEPT");
    aml_local(a, 0);
    aml_op(a, AML_RETURN);
    aml_local(a, 0);
    aml_end(a);
    aml_method(a, "WRPT", 1, false);
    aml_op(a, AML_STORE);
    aml_arg(a, 0);
    aml_ref(a, "PEPT");
    aml_end(a);
    aml_end(a);
}

static MACHINE_CALL void isa_devices(Aml *a, const Pc *p)
{
    IsaPorts w = { .a = a };

    aml_region(a, "P40C", SPACE_PCI, 0x60, 4);
    aml_scope(a, "\\_SB");
    aml_field(a, "PCI0.S08.P40C", FIELD_BYTE);
    for (unsigned i = 0; i < 4; i++) {
        char reg[8];

        snprintf(reg, sizeof(reg), "PRQ%u", i);
        aml_field_bits(a, reg, 8);
    }
    aml_end(a);
    aml_end(a);
    if (p->i8042) {
        isa_keyboard(a);
    }
    isa_floppy(a, p);
    device_each(isa_port_of, &w);
    if (pvpanic_port()) {
        isa_pvpanic(a, pvpanic_port());
    }
    aml_device(a, "RTC");
    aml_name_eisa(a, "_HID", "PNP0B00");
    aml_name(a, "_CRS");
    aml_res_begin(a);
    fixed_io(a, 0x70, 8);
    aml_res_irq(a, 8);
    aml_res_end(a);
    aml_end(a);
}

/* ---- hot-plug ------------------------------------------------------------ */

static void slot_name(char name[8], unsigned slot)
{
    snprintf(name, 8, "S%02X", slot << 3);
}

static PciBridge *bridge_in(const PciBus *bus, unsigned slot)
{
    PciDevice *d = bus->devices[PCI_DEVFN(slot, 0)];

    return d && !d->dev.hotplugged ? pci_bridge_of(d) : NULL;
}

static void hotplug_registers(Aml *a)
{
    aml_region(a, "PCST", SPACE_IO, 0xae00, 8);
    aml_field(a, "PCST", FIELD_DWORD | FIELD_ZEROS);
    aml_field_bits(a, "PCIU", 32);
    aml_field_bits(a, "PCID", 32);
    aml_end(a);
    aml_region(a, "SEJ", SPACE_IO, 0xae08, 4);
    aml_field(a, "SEJ", FIELD_DWORD | FIELD_ZEROS);
    aml_field_bits(a, "B0EJ", 32);
    aml_end(a);
    aml_region(a, "BNMR", SPACE_IO, 0xae10, 8);
    aml_field(a, "BNMR", FIELD_DWORD | FIELD_ZEROS);
    aml_field_bits(a, "BNUM", 32);
    aml_field_bits(a, "PIDX", 32);
    aml_end(a);
    aml_mutex(a, "BLCK");

    aml_method(a, "PCEJ", 2, false);   /* bus, slot                           */
    aml_acquire(a, "BLCK");
    aml_op(a, AML_STORE);
    aml_arg(a, 0);
    aml_ref(a, "BNUM");
    aml_op(a, AML_SHL);
    aml_int(a, 1);
    aml_arg(a, 1);
    aml_ref(a, "B0EJ");
    aml_release(a, "BLCK");
    aml_op(a, AML_RETURN);
    aml_int(a, 0);
    aml_end(a);
}

static MACHINE_CALL void slot_methods(Aml *a, unsigned slot)
{
    aml_name_int(a, "_SUN", slot);
    aml_method(a, "_EJ0", 1, false);
    aml_ref(a, "PCEJ");
    aml_ref(a, "BSEL");
    aml_ref(a, "_SUN");
    aml_end(a);
}

/* DVNT: tells the slots of a mask (argument 0) what happened (argument 1). */
static MACHINE_CALL void slots_told(Aml *a, const PciBus *bus)
{
    char name[8];

    aml_method(a, "DVNT", 2, false);
    for (unsigned slot = 0; slot < 32; slot++) {
        if (acpi_pci_slot_fixed(bus, slot)) {
            continue;
        }
        slot_name(name, slot);
        aml_if(a);
        aml_op(a, AML_AND);
        aml_arg(a, 0);
        aml_int(a, 1u << slot);
        aml_op(a, AML_ZERO_TARGET);
        aml_op(a, AML_NOTIFY);
        aml_ref(a, name);
        aml_arg(a, 1);
        aml_end(a);
    }
    aml_end(a);
}

/* PCNT: asks the registers of this bus, then those of the bridges on it. */
static MACHINE_CALL void slots_asked(Aml *a, const PciBus *bus, int bsel)
{
    char name[16];

    aml_method(a, "PCNT", 0, false);
    if (bsel >= 0) {
        aml_op(a, AML_STORE);
        aml_int(a, (unsigned)bsel);
        aml_ref(a, "BNUM");
        aml_ref(a, "DVNT");
        aml_ref(a, "PCIU");
        aml_int(a, 1);
        aml_ref(a, "DVNT");
        aml_ref(a, "PCID");
        aml_int(a, 3);
    }
    for (unsigned slot = 0; slot < 32; slot++) {
        if (bridge_in(bus, slot)) {
            /* Only names of one part are looked for in the scopes above. */
            name[0] = '^';
            slot_name(name + 1, slot);
            memcpy(name + 4, "_.PCNT", 7);
            aml_ref(a, name);
        }
    }
    aml_end(a);
}

static MACHINE_CALL void slots(Aml *a, const Pc *p, const PciBus *bus)
{
    int bsel = acpi_pci_hotplug_number(bus);
    bool root = bus == p->pci;
    char name[8];

    if (bsel >= 0) {
        aml_name_int(a, "BSEL", (unsigned)bsel);
    }
    for (unsigned slot = 0; slot < 32; slot++) {
        PciBridge *br = bridge_in(bus, slot);
        bool fixed = acpi_pci_slot_fixed(bus, slot);

        if (!br && !bus->devices[PCI_DEVFN(slot, 0)] && (fixed || bsel < 0)) {
            continue;
        }
        slot_name(name, slot);
        aml_device(a, name);
        aml_name_int(a, "_ADR", slot << 16);
        if (root && slot == 1) {
            isa_devices(a, p);
        } else if (br) {
            slots(a, p, &br->bus);
        } else if (!fixed && bsel >= 0) {
            slot_methods(a, slot);
        }
        aml_end(a);
    }
    if (bsel >= 0) {
        slots_told(a, bus);
    }
    slots_asked(a, bus, bsel);
}

/* ---- the rest ------------------------------------------------------------ */

static void hpet(Aml *a)
{
    aml_device(a, "HPET");
    aml_name_eisa(a, "_HID", "PNP0103");
    aml_name_int(a, "_UID", 0);
    aml_region(a, "HPTM", SPACE_MEMORY, PC_HPET_ADDR, 0x400);
    aml_field(a, "HPTM", FIELD_DWORD | FIELD_LOCK);
    aml_field_bits(a, "VEND", 32);
    aml_field_bits(a, "PRD", 32);
    aml_end(a);
    aml_method(a, "_STA", 0, false);   /* there, if its registers make sense  */
    aml_op(a, AML_SHR);
    aml_ref(a, "VEND");
    aml_int(a, 16);
    aml_local(a, 0);
    aml_if(a);
    aml_op(a, AML_LOR);
    aml_op(a, AML_LEQUAL);
    aml_local(a, 0);
    aml_int(a, 0);
    aml_op(a, AML_LEQUAL);
    aml_local(a, 0);
    aml_int(a, 0xffff);
    aml_op(a, AML_RETURN);
    aml_int(a, 0);
    aml_end(a);
    aml_op(a, AML_STORE);
    aml_ref(a, "PRD");
    aml_local(a, 1);
    aml_if(a);
    aml_op(a, AML_LOR);
    aml_op(a, AML_LEQUAL);
    aml_local(a, 1);
    aml_int(a, 0);
    aml_op(a, AML_LGREATER);
    aml_local(a, 1);
    aml_int(a, 100000000);             /* 100 ns, in femtoseconds             */
    aml_op(a, AML_RETURN);
    aml_int(a, 0);
    aml_end(a);
    aml_op(a, AML_RETURN);
    aml_int(a, 0x0f);
    aml_end(a);
    aml_name(a, "_CRS");
    aml_res_begin(a);
    aml_res_mem32_fixed(a, PC_HPET_ADDR, 0x400, false);
    aml_res_end(a);
    aml_end(a);
}

static void sleep_state(Aml *a, const char *name, unsigned v)
{
    aml_name(a, name);
    aml_package(a, 4);
    aml_int(a, v);
    aml_int(a, v);
    aml_int(a, 0);
    aml_int(a, 0);
    aml_end(a);
}

static void gpe_scope(Aml *a)
{
    aml_scope(a, "_GPE");
    aml_name_str(a, "_HID", "ACPI0006");
    aml_method(a, "_E01", 0, false);
    aml_acquire(a, "\\_SB.PCI0.BLCK");
    aml_ref(a, "\\_SB.PCI0.PCNT");
    aml_release(a, "\\_SB.PCI0.BLCK");
    aml_end(a);
    aml_method(a, "_E02", 0, false);
    aml_ref(a, "\\_SB.CPUS.CSCN");
    aml_end(a);
    aml_end(a);
}

void dsdt_write(Aml *a, const Pc *p, const AcpiFacts *f)
{
    aml_scope(a, "_SB");
    aml_device(a, "PCI0");
    aml_name_eisa(a, "_HID", "PNP0A03");
    aml_name_int(a, "_ADR", 0);
    aml_name_int(a, "_UID", 0);
    root_windows(a, p, f);
    hotplug_registers(a);
    claim_device(a, "GPE0", "PNP0A06", "GPE0 resources", 0xafe0, 4);
    claim_device(a, "PHPR", "PNP0A06", "PCI Hotplug resources", 0xae00, 0x18);
    claim_device(a, "FWCF", "QEMU0002", NULL, 0x510, 0x0c);
    slots(a, p, p->pci);
    aml_end(a);
    link_methods(a);
    for (unsigned i = 0; i < 4; i++) {
        link_device(a, i);
    }
    sci_link(a);
    if (p->hpet_dev) {
        hpet(a);
    }
    aml_end(a);
    aml_scope(a, "\\_SB.PCI0");        /* the links exist now                 */
    routing_table(a);
    aml_end(a);
    acpi_cpu_aml(a);
    gpe_scope(a);
    if (f->s3) {
        sleep_state(a, "_S3", 1);
    }
    if (f->s4) {
        sleep_state(a, "_S4", f->s4_val);
    }
    sleep_state(a, "_S5", 0);
}
