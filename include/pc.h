/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pc.h - the PC board and what its chips offer each other. MACHINE_CALL
 * throughout.
 */
#ifndef TERN_PC_H
#define TERN_PC_H

#include "isa.h"
#include "machine.h"
#include "pci.h"
#include "x86.h"

#define PC_GSI_COUNT 24
#define PC_IOAPIC_ADDR 0xfec00000u
#define PC_LAPIC_ADDR  0xfee00000u
#define PC_HPET_ADDR   0xfed00000u

typedef struct Pc {
    Machine m;
    /* -machine properties */
    OnOffAuto vmport, smm, acpi_prop, pit, pic;
    bool acpi, hpet, i8042, sata, smbus, fd_bootchk, bypass_iommu;
    uint64_t max_ram_below_4g, max_fw_size;
    int smbios_ep;                     /* 0 32-bit, 1 64-bit, 2 auto          */
    char *pflash0, *pflash1, *pcspk_audiodev, *oem_id, *oem_table_id;
    /* parts */
    IrqLine gsi[PC_GSI_COUNT];         /* board interrupts: PIC and IOAPIC    */
    PciBus *pci;                       /* NULL on isapc                       */
    IsaBus *isa;
    Device *host, *rtc, *pit_dev, *ioapic, *hpet_dev, *kbd, *pm, *piix3;
    uint64_t below_4g, above_4g;       /* bytes of RAM on each side           */
    MemRegion pci_mem;                 /* PCI's view, below everything else   */
    MemRegion ram_below, ram_above, ram_all;
    MemRegion rom, bios, isa_bios;
    MemRegion smram;                   /* what SMM sees in the low 4 GiB      */
    MemRegion smm_root, smm_rest;      /* smram before everything else        */
    MemSpace smm_space;                /* for vCPUs in SMM                    */
    uint64_t pci_hole_first;           /* for ACPI's _CRS                     */
    bool is_isapc;
} Pc;
extern Pc *pc;                         /* NULL on other machines              */

/* ---- 8259A pair (hw/pc/i8259.c) ------------------------------------------ */
/* Makes both on the bus; in[16] receives the inputs, intr is the output. */
bool pic_create(IsaBus *isa, IrqLine intr, IrqLine in[16], Error **errp)
    MACHINE_CALL;
int pic_ack(void) MACHINE_CALL;        /* vector; runs the INTA cycle         */
bool pic_pending(void) ANY_THREAD;     /* output line                         */
/* ---- IOAPIC (hw/pc/ioapic.c) --------------------------------------------- */
/* At PC_IOAPIC_ADDR; in[24]. */
Device *ioapic_create(IrqLine in[PC_GSI_COUNT], Error **errp) MACHINE_CALL;
void ioapic_eoi(int vector) MACHINE_CALL;          /* broadcast by local APICs */
/* ---- local APIC (hw/pc/apic.c): see also x86.h --------------------------- */
/* Makes one for the vCPU (software model). */
bool apic_create(X86Cpu *c, Error **errp) MACHINE_CALL;
/* A bus message to local APICs: IOAPIC, MSI. dest_mode 0 physical, 1 logical;
 * delivery 0 fixed, 1 lowest, 2 SMI, 4 NMI, 5 INIT, 7 ExtINT. */
void apic_deliver(uint32_t dest, uint8_t dest_mode, uint8_t delivery,
                  uint8_t vector, bool level) MACHINE_CALL;
void apic_deliver_msi(MsiMessage m) MACHINE_CALL;
/* LINT0 of the boot processor: the PIC's INTR. */
IrqLine apic_lint0(X86Cpu *c);
/* What a vCPU takes when INTR is recognised: APIC first, then ExtINT from the
 * PIC; -1: nothing after all. */
int x86_irq_ack(X86Cpu *c) MACHINE_CALL;
bool x86_irq_pending(X86Cpu *c) MACHINE_CALL;
/* The board's NMI: LINT1, or the processor's pin where it has no APIC. */
void x86_nmi(X86Cpu *c) MACHINE_CALL;
/* ---- other chips: each makes its device on the ISA bus or the board ------ */
Device *pit_create(IsaBus *isa, IrqLine irq0, Error **errp) MACHINE_CALL;
/* PIT channel facts for the speaker: output level and gate of channel n. */
int pit_channel_out(Device *pit, int n) MACHINE_CALL;
void pit_channel_gate(Device *pit, int n, int level) MACHINE_CALL;
int pit_channel_gate_get(Device *pit, int n) MACHINE_CALL;
Device *pcspk_create(IsaBus *isa, Device *pit, Error **errp) MACHINE_CALL;
Device *rtc_create(IsaBus *isa, IrqLine irq8, Error **errp) MACHINE_CALL;
void rtc_set_cmos(Device *rtc, unsigned index, uint8_t v) MACHINE_CALL;
uint8_t rtc_get_cmos(Device *rtc, unsigned index) MACHINE_CALL;
/* Drives that firmware finds in CMOS, told by their controllers before the board
 * is ready: IDE disk n = bus * 2 + unit with its geometry and BIOS translation (0
 * none, 1 LBA, 2 large, 3 revised); floppy drive n with its CMOS type (2 1.2 MB,
 * 4 1.44 MB, 5 2.88 MB). */
void cmos_disk(unsigned n, uint16_t cyls, uint8_t heads, uint8_t secs,
               uint8_t translation) MACHINE_CALL;
void cmos_floppy(unsigned n, uint8_t type) MACHINE_CALL;
/* HPET takes the legacy lines: route PIT and RTC through it. in[0], in[1] are
 * its inputs for IRQ 0 and IRQ 8. */
Device *hpet_create(IrqLine gsi[PC_GSI_COUNT], IrqLine in[2], Error **errp)
    MACHINE_CALL;
bool dma8237_create(IsaBus *isa, Error **errp) MACHINE_CALL;   /* both        */
Device *i8042_create(IsaBus *isa, IrqLine irq1, IrqLine irq12, Error **errp)
    MACHINE_CALL;
/* The controller's mouse moves a little: a driver that looks elsewhere for the
 * movement is to look. */
void i8042_mouse_call(Device *i8042) MACHINE_CALL;
/* VMware's port and mouse (hw/pc/vmport.c, vmmouse.c). */
bool vmport_create(IsaBus *isa, Device *i8042, Error **errp) MACHINE_CALL;
bool port92_create(IsaBus *isa, Error **errp) MACHINE_CALL;
/* A20 gate: follows whichever of keyboard controller and port 92 drove it last,
 * and opens at reset. */
void pc_a20_set(int source, bool on) MACHINE_CALL;     /* 0 i8042, 1 port 92   */
bool pc_a20(void) ANY_THREAD;
IrqLine pc_a20_line(int source);        /* the same as a line                 */
/* The x87 error line: whether an error stands that CR0.NE keeps from being #MF.
 * True: the guest has asked to go on in spite of it. */
bool pc_ferr(bool error) MACHINE_CALL;
/* IGNNE#, of the first processor's saved state. */
bool pc_ferr_ignored(void) MACHINE_CALL;
void pc_ferr_ignore(bool ignored) MACHINE_CALL;
/* PIIX4 function 3: ACPI power management, SMBus. */
PciDevice *piix4_pm_create(PciBus *bus, int devfn, IrqLine sci, Error **errp)
    MACHINE_CALL;
/* Sleep states that ACPI tables and fw_cfg tell. */
void piix4_pm_sleep_states(Device *pm, bool *s3, bool *s4, uint8_t *s4_val)
    MACHINE_CALL;
Device *piix3_ide_create(PciBus *bus, int devfn, Error **errp) MACHINE_CALL;
/* isa-ide number n (0, 1) of a board, with its drives. */
Device *isa_ide_create(IsaBus *bus, int n, Error **errp) MACHINE_CALL;
/* PIRQ routing (hw/pc/piix3.c). */
PciDevice *piix3_create(Pc *p, int devfn, Error **errp) MACHINE_CALL;
/* i440FX (hw/pc/i440fx.c): host bridge at 0:0.0; makes p->pci. */
bool i440fx_create(Pc *p, Error **errp) MACHINE_CALL;

/* ---- firmware side (hw/pc/ and hw/fw/) ----------------------------------- */
bool fwcfg_create(Pc *p, bool dma, Error **errp) MACHINE_CALL;
/* Sizes, boot wishes, memory map, user files; after all devices. */
bool fwcfg_fill(Pc *p, Error **errp) MACHINE_CALL;
bool acpi_build(Pc *p, Error **errp) MACHINE_CALL;
/* The tables as memory contents at base, for a boot without firmware; *data is
 * the caller's. */
bool acpi_place(const Pc *p, uint64_t base, uint8_t **data, uint64_t *len,
                uint64_t *rsdp, Error **errp) MACHINE_CALL;
bool smbios_build(Pc *p, Error **errp) MACHINE_CALL;
/* -kernel: loads bzImage, PVH ELF, Multiboot into fw_cfg or guest memory. */
bool linux_load(Pc *p, Error **errp) MACHINE_CALL;
bool option_roms_load(Pc *p, Error **errp) MACHINE_CALL;
bool bios_load(Pc *p, Error **errp) MACHINE_CALL;
/* hw/block/pflash.c: is there flash for the firmware, and mapping it below 4 GiB
 * instead of a BIOS file. */
bool pflash_given(Pc *p) MACHINE_CALL;
bool pflash_map(Pc *p, Error **errp) MACHINE_CALL;

#endif
