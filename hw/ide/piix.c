/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * piix.c - the IDE function of the 82371SB (Intel order 290550, section 2.3) and
 * its bus-master engine (Programming Interface for Bus Master IDE Controller,
 * revision 1.0).
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. A descriptor table is read while its channel runs, never beyond 8,192
 *    entries since the start bit went on.
 */
#include "hw/ide/ide.h"
#include "pc.h"

#define TABLE_MAX 8192                 /* 64 KiB of descriptors               */

enum { BM_START = 1, BM_TO_MEMORY = 8 };
enum { BM_ACTIVE = 1, BM_ERROR = 2, BM_IRQ = 4 };

typedef struct BmCursor {
    uint32_t at, entries;              /* next descriptor, those read         */
    uint32_t addr, len;                /* rest of the present one             */
    bool last;
} BmCursor;

typedef struct Bm {                    /* one channel's engine                */
    struct PiixIde *ide;
    IdeBus *bus;
    uint8_t cmd, status;
    uint32_t table;
    BmCursor now, saved;
} Bm;

typedef struct PiixIde {
    PciDevice pci;
    IdeBus bus[2];
    Bm bm[2];
    MemRegion bar;
    MemRegion task[2], ctl[2];
} PiixIde;

/* ---- descriptors --------------------------------------------------------- */

static MACHINE_CALL bool bm_next(void *opaque, uint64_t want, uint64_t *addr,
                                 uint64_t *len)
{
    Bm *m = opaque;
    BmCursor *c = &m->now;
    uint8_t d[8];

    if (!c->len) {
        if (c->last || c->entries >= TABLE_MAX ||
            pci_dma_read(&m->ide->pci, c->at, d, sizeof(d)) != MEM_OK) {
            return false;
        }
        c->at += 8;
        c->entries++;
        c->addr = ld_le32(d) & ~1u;
        c->len = ld_le32(d + 4) & 0xfffe;
        c->len = c->len ? c->len : 0x10000;
        c->last = d[7] >> 7;
    }
    *addr = c->addr;
    *len = MIN2(c->len, want);
    c->addr += (uint32_t)*len;
    c->len -= (uint32_t)*len;
    return true;
}

static MACHINE_CALL void bm_save(void *opaque)
{
    Bm *m = opaque;

    m->saved = m->now;
}

static MACHINE_CALL void bm_restore(void *opaque)
{
    Bm *m = opaque;

    m->now = m->saved;
}

static MACHINE_CALL bool bm_running(void *opaque)
{
    const Bm *m = opaque;

    return m->status & BM_ACTIVE;
}

static MACHINE_CALL void bm_finished(void *opaque, bool more)
{
    Bm *m = opaque;

    if (!more) {
        m->status &= ~BM_ACTIVE;
    }
}

static MACHINE_CALL MemSpace *bm_space(void *opaque)
{
    const Bm *m = opaque;

    return m->ide->pci.dma ? m->ide->pci.dma : &mem_system;
}

static const IdeDma bm_dma = {
    .next = bm_next, .save = bm_save, .restore = bm_restore,
    .running = bm_running, .finished = bm_finished, .space = bm_space,
};

static void bm_irq(void *opaque)
{
    Bm *m = opaque;

    m->status |= BM_IRQ;
}

/* ---- registers ----------------------------------------------------------- */

static uint64_t bm_read(void *dev, uint64_t off, unsigned size)
{
    PiixIde *s = dev;
    const Bm *m = &s->bm[off >> 3 & 1];

    switch (off & 7) {
    case 0:
        return m->cmd;
    case 2:
        return m->status;
    case 4: case 5: case 6: case 7:
        return m->table >> (off & 3) * 8 & 0xff;
    default:
        return 0xff;
    }
}

static MACHINE_CALL void bm_command(Bm *m, uint8_t v)
{
    bool was = m->cmd & BM_START, on = v & BM_START;

    if (!on && was) {
        ide_dma_stopped(m->bus);
        m->status &= ~BM_ACTIVE;
    }
    m->cmd = v & (BM_START | BM_TO_MEMORY);
    if (on && !was) {
        m->now = (BmCursor){ .at = m->table };
        m->status |= BM_ACTIVE;
        ide_dma_started(m->bus);
    }
}

static void bm_write(void *dev, uint64_t off, uint64_t v, unsigned size)
{
    PiixIde *s = dev;
    Bm *m = &s->bm[off >> 3 & 1];
    unsigned shift = (off & 3) * 8;

    machine_assert_locked();
    switch (off & 7) {
    case 0:
        bm_command(m, v);
        break;
    case 2:
        m->status = (v & 0x60) | (m->status & BM_ACTIVE) |
                    (m->status & ~v & (BM_ERROR | BM_IRQ));
        break;
    case 4: case 5: case 6: case 7:
        m->table = (m->table & ~(0xffu << shift)) | (uint32_t)(v & 0xff) << shift;
        m->table &= ~3u;
        break;
    default:
        break;
    }
}

static const MemOps bm_ops = { .read = bm_read, .write = bm_write, .max = 1,
                               .valid_max = 4 };
static const MemOps task_ops = { .read = ide_port_read,
                                 .write = ide_port_write, .max = 4 };
static const MemOps ctl_ops = { .read = ide_status_read,
                                .write = ide_control_write, .max = 1 };

/* ---- the function -------------------------------------------------------- */

static MACHINE_CALL void channel_init(PiixIde *s, int i)
{
    static const uint16_t ports[2][2] = { { 0x1f0, 0x3f6 }, { 0x170, 0x376 } };
    IdeBus *b = &s->bus[i];

    ide_bus_init(b, &s->pci.dev, i ? "ide.1" : "ide.0",
                 pc ? pc->gsi[14 + i] : (IrqLine){ 0 });
    s->bm[i] = (Bm){ .ide = s, .bus = b };
    b->dma = &bm_dma;
    b->dma_opaque = &s->bm[i];
    b->irq_hook = bm_irq;
    mem_init_io(&s->task[i], "ide", 8, &task_ops, b);
    mem_init_io(&s->ctl[i], "ide-control", 1, &ctl_ops, b);
    device_region(&s->pci.dev, &s->task[i]);
    device_region(&s->pci.dev, &s->ctl[i]);
    mem_begin();
    mem_add(mem_io.root, ports[i][0], &s->task[i]);
    mem_add(mem_io.root, ports[i][1], &s->ctl[i]);
    mem_commit();
}

static MACHINE_CALL bool piix_ide_realize(Device *dev, Error **errp)
{
    PiixIde *s = (PiixIde *)dev;

    mem_init_io(&s->bar, "piix-bmdma", 16, &bm_ops, s);
    pci_bar(&s->pci, 4, PCI_BAR_IO, &s->bar);
    channel_init(s, 0);
    channel_init(s, 1);
    return true;
}

static MACHINE_CALL void piix_ide_unrealize(Device *dev)
{
    PiixIde *s = (PiixIde *)dev;

    for (int i = 0; i < 2; i++) {
        mem_fini(&s->task[i]);
        mem_fini(&s->ctl[i]);
        ide_bus_fini(&s->bus[i]);
    }
    mem_fini(&s->bar);
}

static MACHINE_CALL void piix_ide_reset(Device *dev, ResetKind kind)
{
    PiixIde *s = (PiixIde *)dev;

    for (int i = 0; i < 2; i++) {
        ide_bus_reset(&s->bus[i]);
        s->bm[i].cmd = s->bm[i].status = 0;
        s->bm[i].table = 0;
        s->bm[i].now = s->bm[i].saved = (BmCursor){ 0 };
    }
    pci_set_word(&s->pci, PCI_COMMAND, 0);
    pci_set_word(&s->pci, PCI_STATUS, PCI_STATUS_DEVSEL_MEDIUM |
                 PCI_STATUS_FAST_BACK);
}

static const VmState cursor_state = {
    .name = "bm-cursor", .version = 1, .oldest = 1,
    .fields = (const VmField[]){
        VM_U32(BmCursor, at), VM_U32(BmCursor, entries), VM_U32(BmCursor, addr),
        VM_U32(BmCursor, len), VM_BOOL(BmCursor, last),
        VM_END
    },
};
static const VmState bm_state = {
    .name = "bm", .version = 1, .oldest = 1,
    .fields = (const VmField[]){
        VM_U8(Bm, cmd), VM_U8(Bm, status), VM_U32(Bm, table),
        VM_STRUCT(Bm, now, &cursor_state), VM_STRUCT(Bm, saved, &cursor_state),
        VM_END
    },
};
static const VmState bus_state = {
    .name = "ide-bus", .version = 1, .oldest = 1,
    .fields = (const VmField[]){
        VM_U8(IdeBus, unit), VM_U8(IdeBus, control),
        VM_END
    },
};

static bool piix_ide_loaded(void *opaque, int version, Error **errp)
{
    PiixIde *s = opaque;

    for (int i = 0; i < 2; i++) {
        if (s->bus[i].unit > 1 || s->bm[i].now.len > 0x10000) {
            return error_set(errp, "piix3-ide: channel %d: unit %u, %u bytes",
                             i, s->bus[i].unit, s->bm[i].now.len);
        }
    }
    return true;
}

static const VmState piix_ide_state = {
    .name = "piix-ide", .version = 1, .oldest = 1,
    .after_load = piix_ide_loaded,
    .fields = (const VmField[]){
        VM_STRUCTS(PiixIde, bm, &bm_state), VM_STRUCTS(PiixIde, bus, &bus_state),
        VM_END
    },
};

TYPE_NAME(type_pci_ide, { "pci-ide", "pci-device", true });

#define PIIX_IDE(sym, nm, id, doc_) \
DEVICE(sym, { \
    .name = nm, .parent = "pci-ide", .category = "storage", .size = sizeof(PiixIde), \
    .desc = "IDE controller of the PIIX3", \
    .doc = doc_, .on = &bus_pci, .flags = DT_NO_HOTPLUG, \
    .on_info = &(const PciInfo){ \
        .vendor = 0x8086, .device = id, .class_code = 0x010180, \
        .no_hotplug = true, \
    }, \
    .vmstate = &piix_ide_state, .realize = piix_ide_realize, \
    .unrealize = piix_ide_unrealize, .reset = piix_ide_reset, \
})

PIIX_IDE(piix3_ide, "piix3-ide", 0x7010,
         "The two IDE channels of the PC's chip set at their legacy ports, with "
         "a bus-master engine.");

Device *piix3_ide_create(PciBus *bus, int devfn, Error **errp)
{
    PciDevice *d = pci_make(bus, devfn, "piix3-ide", errp);
    PiixIde *s = (PiixIde *)d;

    if (!d || !ide_drives_create(&s->bus[0], 0, errp) ||
        !ide_drives_create(&s->bus[1], 1, errp)) {
        return NULL;
    }
    return &d->dev;
}
