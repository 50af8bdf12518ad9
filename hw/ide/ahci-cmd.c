/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ahci-cmd.c - commands of an AHCI port: command list, tables, received FISes, data
 * by PRD tables, native queueing (AHCI 1.3.1, sections 4, 5 and 9; Serial ATA 3.0,
 * section 13.6).
 *
 * Thread class: MACHINE_CALL; completions run in the main loop.
 *
 * Invariants
 * 1. At most one command that is not queued is under way: `slot`. It never runs
 *    beside queued ones of the same port.
 * 2. A PRD table is read once per command, never beyond its 65,535 entries.
 * 3. A queued command's guest memory is mapped from its start to its completion.
 */
#include <glib.h>
#include "hw/ide/ahci.h"

enum { FIS_H2D = 0x27, FIS_D2H = 0x34, FIS_SDB = 0xa1, FIS_PIO = 0x5f };

/* ---- guest memory -------------------------------------------------------- */

static uint64_t list_address(const AhciPort *p)
{
    return (uint64_t)p->clbu << 32 | p->clb;
}

static MACHINE_CALL void put_fis(AhciPort *p, unsigned off, const uint8_t *fis,
                                 unsigned n)
{
    if (p->cmd & PXCMD_FRE) {
        pci_dma_write(&p->hba->pci, ((uint64_t)p->fbu << 32 | p->fb) + off, fis,
                      n);
    }
}

static MACHINE_CALL bool ahci_next(void *opaque, uint64_t want, uint64_t *addr,
                                   uint64_t *len)
{
    AhciPort *p = opaque;
    AhciCursor *c = &p->now;
    uint8_t e[16];

    if (!c->len) {
        if (c->at >= c->entries ||
            pci_dma_read(&p->hba->pci, c->table + 16ull * c->at, e,
                         sizeof(e)) != MEM_OK) {
            return false;
        }
        c->at++;
        c->addr = ld_le64(e);
        c->len = (ld_le32(e + 12) & 0x3fffff) + 1;
    }
    *addr = c->addr;
    *len = MIN2(c->len, want);
    c->addr += *len;
    c->len -= (uint32_t)*len;
    c->moved += (uint32_t)*len;
    return true;
}

static MACHINE_CALL void ahci_save(void *opaque)
{
    AhciPort *p = opaque;

    p->saved = p->now;
}

static MACHINE_CALL void ahci_restore(void *opaque)
{
    AhciPort *p = opaque;

    p->now = p->saved;
}

static MACHINE_CALL bool ahci_running(void *opaque)
{
    return ((const AhciPort *)opaque)->slot >= 0;
}

static MACHINE_CALL MemSpace *ahci_space(void *opaque)
{
    const AhciPort *p = opaque;

    return p->hba->pci.dma ? p->hba->pci.dma : &mem_system;
}

/* ---- completion ---------------------------------------------------------- */

static void register_fis(const IdeDrive *d, uint8_t *f)
{
    memset(f, 0, 20);
    f[0] = FIS_D2H;
    f[1] = 0x40;
    f[2] = d ? d->status : 0x7f;
    f[3] = d ? d->error : 0;
    if (d) {
        f[4] = d->sector;
        f[5] = d->lcyl;
        f[6] = d->hcyl;
        f[7] = d->select;
        f[8] = d->hob_sector;
        f[9] = d->hob_lcyl;
        f[10] = d->hob_hcyl;
        f[12] = d->count;
        f[13] = d->hob_count;
    }
}

static MACHINE_CALL void show_task_file(AhciPort *p)
{
    const IdeDrive *d = ahci_drive(p);

    p->tfd = d ? (uint32_t)d->error << 8 | d->status : 0x7f;
}

void ahci_signature(AhciPort *p)
{
    const IdeDrive *d = ahci_drive(p);
    uint8_t f[20];

    show_task_file(p);
    if (!d || !(p->cmd & PXCMD_FRE)) {
        return;
    }
    p->sig = (uint32_t)d->hcyl << 24 | (uint32_t)d->lcyl << 16 |
             (uint32_t)d->sector << 8 | d->count;
    register_fis(d, f);
    put_fis(p, 0x40, f, sizeof(f));
    ahci_irq(p, PXIS_DHRS);
}

static MACHINE_CALL void complete(AhciPort *p)
{
    const IdeDrive *d = ahci_drive(p);
    bool bad = d->status & (ST_ERR | ST_FAULT);
    uint8_t f[20], moved[4];

    st_le32(moved, p->now.moved);
    pci_dma_write(&p->hba->pci, list_address(p) + 32ull * (unsigned)p->slot + 4,
                  moved, 4);
    show_task_file(p);
    register_fis(d, f);
    put_fis(p, 0x40, f, sizeof(f));
    if (bad) {
        p->halted = true;              /* until the guest clears ST           */
    } else {
        p->ci &= ~(1u << p->slot);
    }
    p->slot = -1;
    ahci_irq(p, PXIS_DHRS | (bad ? PXIS_TFES : 0));
    loop_post(loop_main, &p->work);
}

/* Moves a PIO block, which the drive has ready or waits for. false: the table is
 * too short. */
static MACHINE_CALL bool move_block(AhciPort *p, IdeDrive *d)
{
    bool out = d->after == END_WRITE || d->after == END_PACKET ||
               d->after == END_SECURITY;
    uint8_t f[20];

    register_fis(d, f);
    f[0] = FIS_PIO;
    f[1] |= out ? 0 : 0x20;
    f[15] = d->status;
    st_le16(f + 16, (uint16_t)(d->end - d->pos));
    put_fis(p, 0x20, f, sizeof(f));
    if (!out) {
        ahci_irq(p, PXIS_PSS);
    }
    if (d->after == END_PACKET) {
        uint64_t at = p->now.table - 0x80 + 0x40;

        return pci_dma_read(&p->hba->pci, at, d->buf, 12) == MEM_OK;
    }
    while (d->pos < d->end) {
        uint64_t addr, len;

        if (!ahci_next(p, d->end - d->pos, &addr, &len) ||
            (out ? pci_dma_read(&p->hba->pci, addr, d->buf + d->pos, len)
                 : pci_dma_write(&p->hba->pci, addr, d->buf + d->pos, len))
            != MEM_OK) {
            return false;
        }
        d->pos += (uint32_t)len;
    }
    return true;
}

/* Until the drive is done, or busy with the medium. */
static MACHINE_CALL void pump(AhciPort *p)
{
    IdeDrive *d = ahci_drive(p);

    if (p->pumping || p->slot < 0) {
        return;
    }
    p->pumping = true;
    while (p->slot >= 0 && !(d->status & ST_BUSY)) {
        if (!(d->status & ST_DRQ)) {
            complete(p);
        } else if (d->pos >= d->end) {
            break;                     /* by DMA: `finished` follows          */
        } else if (move_block(p, d)) {
            ide_pio_end(d);
        } else {
            ide_abort(d);
        }
    }
    p->pumping = false;
}

void ahci_drive_irq(void *opaque)
{
    AhciPort *p = opaque;

    machine_assert_locked();
    if (ahci_drive(p)) {
        pump(p);
    }
}

static MACHINE_CALL void ahci_finished(void *opaque, bool more)
{
    pump(opaque);
}

const IdeDma ahci_dma = {
    .next = ahci_next, .save = ahci_save, .restore = ahci_restore,
    .running = ahci_running, .finished = ahci_finished, .space = ahci_space,
};

/* ---- native queueing ----------------------------------------------------- */

static MACHINE_CALL void ncq_unmap(AhciNcq *q, uint64_t used)
{
    MemSpace *as = ahci_space(q->port);

    for (unsigned i = 0; i < q->niov; i++) {
        uint64_t n = MIN2(used, q->iov[i].iov_len);

        mem_unmap_ram(as, q->iov[i].iov_base, q->iov[i].iov_len, !q->write, n);
        used -= n;
    }
    g_clear_pointer(&q->iov, g_free);
    q->niov = 0;
}

/* The set device bits FIS: queued commands that have ended. */
static MACHINE_CALL void ncq_tell(AhciPort *p, uint32_t ended, uint8_t status,
                                  uint8_t error)
{
    uint8_t f[8] = { FIS_SDB, 0x40, status & 0x77, error };

    st_le32(f + 4, ended);
    put_fis(p, 0x58, f, sizeof(f));
    p->sact &= ~ended;
    p->tfd = (uint32_t)error << 8 | status;
    ahci_irq(p, PXIS_SDBS | (error ? PXIS_TFES : 0));
}

static MACHINE_CALL void ncq_fail(AhciNcq *q)
{
    AhciPort *p = q->port;
    IdeDrive *d = ahci_drive(p);

    q->used = false;
    p->halted = true;
    if (d) {
        d->status = ST_READY | ST_SEEK | ST_ERR;
        d->error = ER_ABRT;
    }
    ncq_tell(p, 0, ST_READY | ST_SEEK | ST_ERR, ER_ABRT);
}

static void ncq_done(BlkReq *req)
{
    AhciNcq *q = container_of(req, AhciNcq, req);
    AhciPort *p = q->port;
    IdeDrive *d = ahci_drive(p);

    machine_assert_locked();
    if (req->ret < 0 && req->ret != -ECANCELED && d) {
        switch (blk_error_action(d->conf.blk, !q->write, -req->ret)) {
        case BLKA_STOP:
            q->retry = true;
            return;
        case BLKA_IGNORE:
            break;
        default:
            ncq_unmap(q, 0);
            ncq_fail(q);
            return;
        }
    }
    ncq_unmap(q, req->ret < 0 ? 0 : req->len);
    q->used = false;
    if (req->ret != -ECANCELED) {
        ncq_tell(p, 1u << q->slot, ST_READY | ST_SEEK, 0);
    }
}

static MACHINE_CALL bool ncq_map(AhciNcq *q, uint64_t want)
{
    AhciPort *p = q->port;
    MemSpace *as = ahci_space(p);
    GArray *list = g_array_new(false, false, sizeof(struct iovec));
    uint64_t got = 0, addr, len;

    while (got < want && ahci_next(p, want - got, &addr, &len)) {
        while (len) {
            uint64_t part = len;
            struct iovec v = { mem_map_ram(as, addr, &part, !q->write), 0 };

            if (!v.iov_base || !part) {
                break;
            }
            v.iov_len = part;
            g_array_append_val(list, v);
            addr += part;
            len -= part;
            got += part;
        }
        if (len) {
            break;
        }
    }
    q->niov = list->len;
    q->iov = (struct iovec *)(void *)g_array_free(list, false);
    return got == want;
}

static MACHINE_CALL void ncq_start(AhciPort *p, unsigned slot, const uint8_t *f)
{
    AhciNcq *q = &p->ncq[slot];
    IdeDrive *d = ahci_drive(p);
    uint64_t lba = ld_le32(f + 4) & 0xffffff;
    uint32_t n = (uint32_t)f[11] << 8 | f[3];

    lba |= (uint64_t)f[8] << 24 | (uint64_t)f[9] << 32 | (uint64_t)f[10] << 40;
    n = n ? n : 65536;
    p->ci &= ~(1u << slot);            /* the drive has taken it              */
    *q = (AhciNcq){ .port = p, .slot = (uint8_t)slot, .used = true,
                    .write = f[2] == 0x61 };
    if (d->cdrom || ide_security_refuses(d, f[2]) || f[12] >> 3 != slot ||
        lba >= d->sectors || n > d->sectors - lba) {
        ncq_fail(q);
        return;
    }
    if (!ncq_map(q, n * 512ull)) {
        guest_fault("ahci", "queued command without memory for its data");
        ncq_unmap(q, 0);
        ncq_fail(q);
        return;
    }
    q->req = (BlkReq){ .op = q->write ? BLK_WRITE : BLK_READ,
                       .off = lba * 512, .len = n * 512ull, .iov = q->iov,
                       .niov = q->niov, .done = ncq_done,
                       .flags = q->write && f[7] & 0x80 ? BLKF_FUA : 0 };
    blk_submit(d->conf.blk, &q->req);
}

static MACHINE_CALL bool ncq_busy(const AhciPort *p)
{
    for (unsigned i = 0; i < AHCI_SLOTS; i++) {
        if (p->ncq[i].used) {
            return true;
        }
    }
    return false;
}

/* ---- starting ------------------------------------------------------------ */

static MACHINE_CALL void load_task_file(AhciPort *p, const uint8_t *f)
{
    IdeDrive *d = ahci_drive(p);

    d->feature = f[3];
    d->sector = f[4];
    d->lcyl = f[5];
    d->hcyl = f[6];
    d->select = f[7] & ~0x10;
    d->hob_sector = f[8];
    d->hob_lcyl = f[9];
    d->hob_hcyl = f[10];
    d->hob_feature = f[11];
    d->count = f[12];
    d->hob_count = f[13];
}

/* A FIS that writes the control register: soft reset. */
static MACHINE_CALL void control_fis(AhciPort *p, unsigned slot,
                                     const uint8_t *f)
{
    bool was = p->srst;

    p->ci &= ~(1u << slot);
    p->srst = f[15] & 4;
    if (was && !p->srst) {
        ide_bus_reset(&p->bus);
        ahci_drive(p)->error = 1;
        ahci_signature(p);
    }
}

/* false: nothing was started; the port waits. */
static MACHINE_CALL bool start(AhciPort *p, unsigned slot)
{
    uint8_t head[32], f[64];
    uint64_t table;

    if (pci_dma_read(&p->hba->pci, list_address(p) + 32ull * slot, head,
                     sizeof(head)) != MEM_OK ||
        pci_dma_read(&p->hba->pci, (table = ld_le64(head + 8) & ~0x7full), f,
                     sizeof(f)) != MEM_OK) {
        guest_fault("ahci", "command list or table where no RAM is");
        p->halted = true;
        ahci_irq(p, PXIS_HBFS);
        return false;
    }
    if ((f[2] == 0x60 || f[2] == 0x61) && f[0] == FIS_H2D && f[1] & 0x80) {
        p->now = (AhciCursor){ .table = table + 0x80,
                               .entries = ld_le16(head + 2) };
        ncq_start(p, slot, f);
        return true;
    }
    if (ncq_busy(p)) {
        return false;                  /* waits for the queued ones           */
    }
    if (f[0] != FIS_H2D || f[1] & 0x0f) {
        guest_fault("ahci", "a FIS of type %#x in a command table", f[0]);
        p->ci &= ~(1u << slot);
        return true;
    }
    if (!(f[1] & 0x80)) {
        control_fis(p, slot, f);
        return true;
    }
    p->now = (AhciCursor){ .table = table + 0x80,
                           .entries = ld_le16(head + 2) };
    p->slot = (int32_t)slot;
    p->cmd = (p->cmd & ~0x1f00u) | slot << 8;
    load_task_file(p, f);
    p->pumping = true;
    ide_command(ahci_drive(p), f[2]);
    p->pumping = false;
    show_task_file(p);
    pump(p);
    return true;
}

void ahci_look(void *opaque)
{
    AhciPort *p = opaque;
    bool go = true;

    machine_assert_locked();
    while (go && p->ci && p->slot < 0 && !p->halted &&
           p->cmd & PXCMD_CR && ahci_drive(p)) {
        go = start(p, (unsigned)__builtin_ctz(p->ci));
    }
}

/* ---- coming to rest ------------------------------------------------------ */

void ahci_cancel(void *opaque)
{
    AhciPort *p = opaque;
    IdeDrive *d = ahci_drive(p);

    work_cancel(loop_main, &p->work);
    p->slot = -1;
    if (d) {
        ide_cancel(d);
    }
    for (unsigned i = 0; i < AHCI_SLOTS; i++) {
        AhciNcq *q = &p->ncq[i];

        if (q->used && q->retry) {
            q->used = q->retry = false;
            ncq_unmap(q, 0);
        } else if (q->used) {
            blk_cancel(&q->req);
        }
        while (q->used && !q->retry) {
            loop_step(true);
        }
        if (q->used) {
            q->used = q->retry = false;
            ncq_unmap(q, 0);
        }
    }
    p->sact = 0;
}

void ahci_resume(void *opaque)
{
    AhciPort *p = opaque;
    IdeDrive *d = ahci_drive(p);

    for (unsigned i = 0; d && i < AHCI_SLOTS; i++) {
        AhciNcq *q = &p->ncq[i];

        if (q->used && q->retry) {
            q->retry = false;
            blk_submit(d->conf.blk, &q->req);
        }
    }
    loop_post(loop_main, &p->work);
}
