/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ahci.c - the SATA controller of the ICH9 in AHCI mode: registers, ports,
 * interrupts (AHCI 1.3.1, section 3; Intel ICH9 datasheet, chapter 15).
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. A port runs commands while ST is set and it was started (CR).
 * 2. The interrupt line (or message) follows IS, which follows PxIS & PxIE.
 */
#include <glib.h>
#include "hw/ide/ahci.h"

#define CAP 0xc0141f05u                /* 64-bit, NCQ, 32 slots, 6 ports, gen1 */
#define VERSION 0x00010000u
enum { GHC_HR = 1, GHC_IE = 2, GHC_AE = 1u << 31 };
enum { PORT_CLB = 0x00, PORT_CLBU = 0x04, PORT_FB = 0x08, PORT_FBU = 0x0c,
       PORT_IS = 0x10, PORT_IE = 0x14, PORT_CMD = 0x18, PORT_TFD = 0x20,
       PORT_SIG = 0x24, PORT_SSTS = 0x28, PORT_SCTL = 0x2c, PORT_SERR = 0x30,
       PORT_SACT = 0x34, PORT_CI = 0x38 };

/* ---- interrupts ---------------------------------------------------------- */

static MACHINE_CALL void update_irq(Ahci *s)
{
    uint32_t was = s->is;

    for (unsigned i = 0; i < AHCI_PORTS; i++) {
        if (s->port[i].is & s->port[i].ie) {
            s->is |= 1u << i;
        }
    }
    if (msi_enabled(&s->pci)) {
        if (s->ghc & GHC_IE && s->is & ~was) {
            msi_notify(&s->pci, 0);
        }
    } else {
        pci_irq(&s->pci, s->is && s->ghc & GHC_IE);
    }
}

void ahci_irq(AhciPort *p, uint32_t bits)
{
    p->is |= bits;
    update_irq(p->hba);
}

/* ---- ports --------------------------------------------------------------- */

static MACHINE_CALL void port_reset(AhciPort *p)
{
    ahci_cancel(p);
    p->is = p->ie = p->serr = p->sact = p->ci = p->sctl = 0;
    p->cmd = 6;
    p->tfd = 0x7f;
    p->sig = UINT32_MAX;
    p->ssts = ahci_drive(p) ? 0x113 : 0;
    p->halted = p->srst = false;
    p->now = p->saved = (AhciCursor){ 0 };
    if (ahci_drive(p)) {
        ide_bus_reset(&p->bus);
        ahci_drive(p)->error = 1;
    }
}

/* COMRESET: the drive resets and sends its signature. */
static MACHINE_CALL void link_reset(AhciPort *p)
{
    ahci_cancel(p);
    p->serr = 0;
    p->ci = 0;
    p->halted = p->srst = false;
    p->ssts = ahci_drive(p) ? 0x113 : 0;
    p->sig = UINT32_MAX;
    p->tfd = 0x7f;
    if (ahci_drive(p)) {
        ide_bus_reset(&p->bus);
        ahci_drive(p)->error = 1;
        ahci_signature(p);
    }
}

static MACHINE_CALL void port_command(AhciPort *p, uint32_t v)
{
    uint32_t old = p->cmd;

    p->cmd = (old & (PXCMD_FR | PXCMD_CR | 0x1f00)) |
             (v & ~(PXCMD_FR | PXCMD_CR | 0x1f00 | 1u << 13)) | 6;
    p->cmd &= ~(0xfu << 28);           /* power states are entered at once    */
    if (v & PXCMD_FRE && !(old & PXCMD_FR)) {
        p->cmd |= PXCMD_FR;
        ahci_signature(p);
    } else if (!(v & PXCMD_FRE)) {
        p->cmd &= ~PXCMD_FR;
    }
    if (v & PXCMD_ST && !(old & PXCMD_CR)) {
        p->cmd |= PXCMD_CR;
    } else if (!(v & PXCMD_ST) && old & PXCMD_CR) {
        p->cmd &= ~(PXCMD_CR | 0x1f00);
        ahci_cancel(p);
        p->ci = 0;
        p->halted = false;
    }
    ahci_look(p);
}

static uint32_t port_read(const AhciPort *p, uint32_t off)
{
    switch (off) {
    case PORT_CLB:
        return p->clb;
    case PORT_CLBU:
        return p->clbu;
    case PORT_FB:
        return p->fb;
    case PORT_FBU:
        return p->fbu;
    case PORT_IS:
        return p->is;
    case PORT_IE:
        return p->ie;
    case PORT_CMD:
        return p->cmd;
    case PORT_TFD:
        return p->tfd;
    case PORT_SIG:
        return p->sig;
    case PORT_SSTS:
        return p->ssts;
    case PORT_SCTL:
        return p->sctl;
    case PORT_SERR:
        return p->serr;
    case PORT_SACT:
        return p->sact;
    case PORT_CI:
        return p->ci;
    default:
        return 0;
    }
}

static MACHINE_CALL void port_control(AhciPort *p, uint32_t v)
{
    uint32_t old = p->sctl;

    p->sctl = v;
    if ((old & 15) == 1 && (v & 15) == 0) {
        link_reset(p);
    }
}

static MACHINE_CALL void port_write(AhciPort *p, uint32_t off, uint32_t v)
{
    switch (off) {
    case PORT_CLB:
        p->clb = v & ~0x3ffu;
        break;
    case PORT_CLBU:
        p->clbu = v;
        break;
    case PORT_FB:
        p->fb = v & ~0xffu;
        break;
    case PORT_FBU:
        p->fbu = v;
        break;
    case PORT_IS:
        p->is &= ~v;
        update_irq(p->hba);
        break;
    case PORT_IE:
        p->ie = v & 0xfdc000ff;
        update_irq(p->hba);
        break;
    case PORT_CMD:
        port_command(p, v);
        break;
    case PORT_SCTL:
        port_control(p, v);
        break;
    case PORT_SERR:
        p->serr &= ~v;
        break;
    case PORT_SACT:
        p->sact |= v;
        break;
    case PORT_CI:
        if (p->cmd & PXCMD_ST) {
            p->ci |= v;
            ahci_look(p);
        }
        break;
    default:
        break;
    }
}

/* ---- the controller's registers ------------------------------------------ */

static MACHINE_CALL void hba_reset(Ahci *s)
{
    s->ghc = GHC_AE;
    s->is = 0;
    for (unsigned i = 0; i < AHCI_PORTS; i++) {
        port_reset(&s->port[i]);
    }
    update_irq(s);
}

static uint64_t ahci_read(void *dev, uint64_t off, unsigned size)
{
    const Ahci *s = dev;

    if (off >= 0x100) {
        unsigned n = (unsigned)(off - 0x100) / 0x80;

        return n < AHCI_PORTS ? port_read(&s->port[n], off & 0x7f) : 0;
    }
    switch (off) {
    case 0x00:
        return CAP;
    case 0x04:
        return s->ghc;
    case 0x08:
        return s->is;
    case 0x0c:
        return (1u << AHCI_PORTS) - 1;
    case 0x10:
        return VERSION;
    default:
        return 0;
    }
}

static void ahci_write(void *dev, uint64_t off, uint64_t v, unsigned size)
{
    Ahci *s = dev;

    machine_assert_locked();
    if (off >= 0x100) {
        unsigned n = (unsigned)(off - 0x100) / 0x80;

        if (n < AHCI_PORTS) {
            port_write(&s->port[n], off & 0x7f, (uint32_t)v);
        }
    } else if (off == 0x04 && v & GHC_HR) {
        hba_reset(s);
    } else if (off == 0x04) {
        s->ghc = (v & GHC_IE) | GHC_AE;
        update_irq(s);
    } else if (off == 0x08) {
        s->is &= ~(uint32_t)v;
        update_irq(s);
    }
}

static const MemOps ahci_ops = { .read = ahci_read, .write = ahci_write,
                                 .min = 4, .max = 4, .valid_min = 1,
                                 .valid_max = 8 };

/* The index and data pair in I/O space. */
static uint64_t pair_read(void *dev, uint64_t off, unsigned size)
{
    Ahci *s = dev;

    return off == 0x10 ? s->index : off == 0x14 ? ahci_read(s, s->index, 4) : 0;
}

static void pair_write(void *dev, uint64_t off, uint64_t v, unsigned size)
{
    Ahci *s = dev;

    if (off == 0x10) {
        s->index = v & 0xffc;
    } else if (off == 0x14) {
        ahci_write(s, s->index, v, 4);
    }
}

static const MemOps pair_ops = { .read = pair_read, .write = pair_write,
                                 .min = 4, .max = 4, .valid_min = 1,
                                 .valid_max = 4 };

/* ---- life ---------------------------------------------------------------- */

static MACHINE_CALL bool add_caps(PciDevice *d, Error **errp)
{
    static const uint8_t sata[] = { 0x10, 0x00, 0x48, 0x00, 0x00, 0x00 };

    if (pci_cap(d, PCI_CAP_ID_SATA, 0xa8, 8, errp) < 0) {
        return false;
    }
    memcpy(d->config + 0xaa, sata, sizeof(sata));
    return msi_init(d, 0x80, 1, true, false, errp);
}

static MACHINE_CALL void port_init(Ahci *s, unsigned i)
{
    AhciPort *p = &s->port[i];

    p->hba = s;
    p->number = i;
    p->slot = -1;
    ide_bus_init(&p->bus, &s->pci.dev, NULL, (IrqLine){ 0 });
    p->bus.units = 1;
    p->bus.sata = true;
    p->bus.dma = &ahci_dma;
    p->bus.dma_opaque = p;
    p->bus.irq_hook = ahci_drive_irq;
    p->bus.goes_on = ahci_resume;
    p->bus.cancel = ahci_cancel;
    p->work = (Work){ .fn = ahci_look, .arg = p };
}

static MACHINE_CALL bool ahci_realize(Device *dev, Error **errp)
{
    Ahci *s = (Ahci *)dev;

    if (!add_caps(&s->pci, errp)) {
        return false;
    }
    s->pci.config[PCI_CACHE_LINE_SIZE] = 8;
    s->pci.config[0x90] = 0x40;        /* mapped as AHCI                      */
    pci_set_pin(&s->pci, 1);
    mem_init_io(&s->regs, "ahci", 0x1000, &ahci_ops, s);
    mem_init_io(&s->pair, "ahci-idp", 0x20, &pair_ops, s);
    pci_bar(&s->pci, 4, PCI_BAR_IO, &s->pair);
    pci_bar(&s->pci, 5, PCI_BAR_MEM32, &s->regs);
    for (unsigned i = 0; i < AHCI_PORTS; i++) {
        port_init(s, i);
    }
    return true;
}

static MACHINE_CALL void ahci_unrealize(Device *dev)
{
    Ahci *s = (Ahci *)dev;

    for (unsigned i = 0; i < AHCI_PORTS; i++) {
        ahci_cancel(&s->port[i]);
        ide_bus_fini(&s->port[i].bus);
    }
    mem_fini(&s->regs);
    mem_fini(&s->pair);
}

static MACHINE_CALL void ahci_reset(Device *dev, ResetKind kind)
{
    Ahci *s = (Ahci *)dev;

    for (unsigned i = 0; i < AHCI_PORTS; i++) {
        AhciPort *p = &s->port[i];

        p->clb = p->clbu = p->fb = p->fbu = 0;
    }
    s->index = 0;
    s->pci.config[0x90] = 0x40;
    hba_reset(s);
}

/* ---- saved state --------------------------------------------------------- */

static void port_before_save(void *opaque)
{
    AhciPort *p = opaque;

    p->ncq_retry = 0;
    for (unsigned i = 0; i < AHCI_SLOTS; i++) {
        p->ncq_retry |= (uint32_t)(p->ncq[i].used && p->ncq[i].retry) << i;
    }
}

static bool port_before_load(void *opaque, Error **errp)
{
    machine_assert_locked();
    ahci_cancel(opaque);
    return true;
}

static bool port_loaded(void *opaque, int version, Error **errp)
{
    AhciPort *p = opaque;

    if (p->slot < -1 || p->slot >= AHCI_SLOTS ||
        (p->slot >= 0 && !ahci_drive(p))) {
        p->slot = -1;
        return error_set(errp, "ahci: port %u: slot %d is under way", p->number,
                         p->slot);
    }
    /* Queued commands that an error had stopped: read again from the list. */
    p->ci |= p->ncq_retry;
    p->ncq_retry = 0;
    return true;
}

static const VmState cursor_state = {
    .name = "ahci-cursor", .version = 1, .oldest = 1,
    .fields = (const VmField[]){
        VM_U64(AhciCursor, table), VM_U32(AhciCursor, entries),
        VM_U32(AhciCursor, at), VM_U64(AhciCursor, addr),
        VM_U32(AhciCursor, len), VM_U32(AhciCursor, moved),
        VM_END
    },
};

static const VmState port_state = {
    .name = "ahci-port", .version = 1, .oldest = 1,
    .before_save = port_before_save, .before_load = port_before_load,
    .after_load = port_loaded,
    .fields = (const VmField[]){
        VM_U32(AhciPort, clb), VM_U32(AhciPort, clbu), VM_U32(AhciPort, fb),
        VM_U32(AhciPort, fbu), VM_U32(AhciPort, is), VM_U32(AhciPort, ie),
        VM_U32(AhciPort, cmd), VM_U32(AhciPort, tfd), VM_U32(AhciPort, sig),
        VM_U32(AhciPort, ssts), VM_U32(AhciPort, sctl), VM_U32(AhciPort, serr),
        VM_U32(AhciPort, sact), VM_U32(AhciPort, ci), VM_I32(AhciPort, slot),
        VM_BOOL(AhciPort, halted), VM_BOOL(AhciPort, srst),
        VM_STRUCT(AhciPort, now, &cursor_state),
        VM_STRUCT(AhciPort, saved, &cursor_state),
        VM_U32(AhciPort, ncq_retry),
        VM_END
    },
};

static const VmState ahci_state = {
    .name = "ahci", .version = 1, .oldest = 1,
    .fields = (const VmField[]){
        VM_U32(Ahci, ghc), VM_U32(Ahci, is), VM_U32(Ahci, index),
        VM_STRUCTS(Ahci, port, &port_state),
        VM_END
    },
};

DEVICE(ich9_ahci, {
    .name = "ich9-ahci", .alias = "ahci", .category = "storage",
    .size = sizeof(Ahci), .desc = "SATA controller of the ICH9",
    .doc = "Six SATA ports, one drive each, with native command queueing.",
    .on = &bus_pci,
    .on_info = &(const PciInfo){
        .vendor = 0x8086, .device = 0x2922, .class_code = 0x010601,
        .revision = 2,
    },
    .vmstate = &ahci_state, .realize = ahci_realize,
    .unrealize = ahci_unrealize, .reset = ahci_reset,
});
