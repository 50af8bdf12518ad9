/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fdc.c - the 82078 floppy disk controller on the ISA bus (Intel 82078 data sheet,
 * order 290474, sections 2 to 6), with DMA and without.
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. n <= want <= sizeof(fifo) in the command phase, out < n in the result phase.
 * 2. at is within the sector buffer; a sector is loaded before its first byte
 *    leaves, and stored after its last byte has come.
 * 3. Sectors, tracks and heads are checked against the medium before the image
 *    is read or written.
 */
#include <glib.h>
#include "hw/block/fdc.h"
#include "isa.h"

enum { DOR_RUN = 4, DOR_DMA = 8 };
enum { MSR_RQM = 0x80, MSR_OUT = 0x40, MSR_PIO = 0x20, MSR_BUSY = 0x10 };
enum { ST0_SEEK = 0x20, ST0_ABNORMAL = 0x40, ST0_INVALID = 0x80,
       ST0_POLL = 0xc0 };
enum { ST1_MA = 1, ST1_NW = 2, ST1_ND = 4, ST1_EC = 0x80 };
enum { CONFIG_DEFAULT = 0x60 };

typedef enum FdcPhase { PHASE_COMMAND, PHASE_DATA, PHASE_RESULT } FdcPhase;
typedef enum FdcWork { WORK_READ, WORK_WRITE, WORK_FORMAT, WORK_VERIFY }
    FdcWork;

typedef struct Fdc {
    IsaDevice isa;
    uint32_t iobase, irq_nr, dma_nr;   /* properties                          */
    int32_t boot_a, boot_b;
    int kind_a, kind_b, fallback;
    FloppyBus bus;
    MemRegion regs, dir;
    IrqLine irq;
    IsaDma *dma;
    uint8_t dor, tdr, dsr, msr, st0;
    bool irq_on;
    uint8_t polls;                     /* sense commands due after a reset    */
    uint8_t phase, work;
    uint8_t fifo[32];
    uint32_t n, want, out;
    uint8_t data[512];
    uint32_t at;
    uint8_t eot, fill;
    bool multi;
    uint8_t timer0, timer1, config, precomp, lock, perpendicular;
} Fdc;

static Floppy *unit(Fdc *s, unsigned n)
{
    return n < 2 ? s->bus.drive[n] : NULL;
}

static Floppy *current(Fdc *s)
{
    return unit(s, s->dor & 3);
}

static Floppy *choose(Fdc *s)
{
    s->dor = (s->dor & ~3) | (s->fifo[1] & 3);
    return current(s);
}

static MACHINE_CALL void irq_put(Fdc *s, uint8_t st0)
{
    s->st0 = st0;
    s->irq_on = true;
    irq_raise(&s->irq);
}

static MACHINE_CALL void irq_drop(Fdc *s)
{
    s->irq_on = false;
    irq_lower(&s->irq);
}

/* ---- phases -------------------------------------------------------------- */

static void command_phase(Fdc *s)
{
    s->phase = PHASE_COMMAND;
    s->n = s->want = s->out = 0;
    s->msr = MSR_RQM;
}

static void result_phase(Fdc *s, uint32_t n)
{
    s->phase = PHASE_RESULT;
    s->n = n;
    s->out = 0;
    s->msr = MSR_RQM | MSR_OUT | MSR_BUSY;
}

static void reply_one(Fdc *s, uint8_t v)
{
    s->fifo[0] = v;
    result_phase(s, 1);
}

static MACHINE_CALL void dma_off(Fdc *s)
{
    if (s->dma) {
        s->dma->hold(s->dma->chip, (int)s->dma_nr, false);
    }
}

/* The end of a data command: seven bytes, and an interrupt. */
static MACHINE_CALL void finish(Fdc *s, uint8_t st0, uint8_t st1, uint8_t st2)
{
    const Floppy *f = current(s);

    if (s->phase == PHASE_DATA) {
        dma_off(s);
    }
    st0 |= (s->dor & 3) | (f ? f->head << 2 : 0);
    s->fifo[0] = st0;
    s->fifo[1] = st1;
    s->fifo[2] = st2;
    s->fifo[3] = f ? f->track : 0;
    s->fifo[4] = f ? f->head : 0;
    s->fifo[5] = f ? f->sector : 1;
    s->fifo[6] = 2;
    result_phase(s, 7);
    irq_put(s, st0);
}

/* ---- data ---------------------------------------------------------------- */

/* To the next sector; false: that was the last of the command. */
static bool advance(Fdc *s, Floppy *f)
{
    if (f->sector < f->sectors && f->sector != s->eot) {
        f->sector++;
        return true;
    }
    f->sector = 1;
    if (s->multi && f->head == 0 && f->heads == 2) {
        f->head = 1;
        return true;
    }
    if (s->multi) {
        f->head = 0;
    }
    if (f->track < f->tracks) {
        f->track++;
    }
    return false;
}

static bool in_range(const Floppy *f)
{
    return floppy_present(f) && f->track < f->tracks && f->head < f->heads &&
           f->sector && f->sector <= f->sectors;
}

static MACHINE_CALL bool sector_load(Fdc *s, Floppy *f)
{
    if (in_range(f) &&
        blk_pread(f->conf.blk, floppy_offset(f), s->data, 512) >= 0) {
        return true;
    }
    memset(s->data, 0, sizeof(s->data));
    return false;
}

static MACHINE_CALL bool sector_store(Fdc *s, Floppy *f)
{
    return in_range(f) && !f->read_only &&
           blk_pwrite(f->conf.blk, floppy_offset(f), s->data, 512, 0) >= 0;
}

static uint32_t piece(const Fdc *s)
{
    return s->work == WORK_FORMAT ? 4 : 512;
}

/* A sector's identity has come for FORMAT: C, H, R, N. */
static MACHINE_CALL bool format_one(Fdc *s, Floppy *f)
{
    f->track = s->data[0];
    f->head = s->data[1] & 1;
    f->sector = s->data[2];
    if (!in_range(f)) {
        f->track = f->head = 0;
        f->sector = 1;
        return false;
    }
    memset(s->data, s->fill, sizeof(s->data));
    return sector_store(s, f);
}

/* A piece is complete. false: the command has ended. */
static MACHINE_CALL bool piece_done(Fdc *s)
{
    Floppy *f = current(s);
    uint8_t write_error;

    s->at = 0;
    if (!floppy_present(f)) {
        finish(s, ST0_ABNORMAL, ST1_ND, 0);
        return false;
    }
    write_error = f->read_only ? ST1_NW : ST1_ND;
    if (s->work == WORK_FORMAT) {
        bool ok = format_one(s, f);

        if (!ok || --s->eot == 0) {
            finish(s, ok ? 0 : ST0_ABNORMAL, ok ? 0 : write_error, 0);
            return false;
        }
        return true;
    }
    if (s->work == WORK_WRITE && !sector_store(s, f)) {
        finish(s, ST0_ABNORMAL | ST0_SEEK, write_error, 0);
        return false;
    }
    if (!advance(s, f)) {
        finish(s, 0, 0, 0);
        return false;
    }
    return true;
}

static MACHINE_CALL bool piece_begin(Fdc *s)
{
    if (s->at == 0 && s->work == WORK_READ && !sector_load(s, current(s))) {
        finish(s, ST0_ABNORMAL, ST1_ND, 0);
        return false;
    }
    return true;
}

static int fdc_dma(void *dev, int channel, int pos, int len)
{
    Fdc *s = dev;

    machine_assert_locked();
    while (s->phase == PHASE_DATA && pos < len) {
        int n = (int)MIN2(piece(s) - s->at, (uint32_t)(len - pos));

        if (!piece_begin(s)) {
            return pos;
        }
        n = s->dma->xfer(s->dma->chip, channel, s->data + s->at, pos, n,
                         s->work == WORK_READ);
        if (n <= 0) {
            break;
        }
        pos += n;
        s->at += (uint32_t)n;
        if (s->at == piece(s) && !piece_done(s)) {
            return pos;
        }
    }
    if (s->phase == PHASE_DATA && pos >= len) {
        /* Terminal count: what is missing of a sector is written as zeroes. */
        if (s->at && s->work == WORK_WRITE) {
            memset(s->data + s->at, 0, sizeof(s->data) - s->at);
            if (!piece_done(s)) {
                return pos;
            }
        }
        finish(s, 0, 0, 0);
    }
    return pos;
}

static MACHINE_CALL void data_phase(Fdc *s, FdcWork work)
{
    s->phase = PHASE_DATA;
    s->work = work;
    s->at = 0;
    if (work == WORK_VERIFY) {
        while (advance(s, current(s))) {
            continue;
        }
        finish(s, 0, 0, 0);
    } else if (s->dor & DOR_DMA && s->dma) {
        s->msr = MSR_BUSY;
        s->dma->hold(s->dma->chip, (int)s->dma_nr, true);
    } else {
        s->msr = MSR_RQM | MSR_PIO | MSR_BUSY |
                 (work == WORK_READ ? MSR_OUT : 0);
        irq_put(s, 0);
    }
}

/* Positions the head as a data command says; false: it has ended in error. */
static MACHINE_CALL bool data_seek(Fdc *s, bool format)
{
    uint8_t head = s->fifo[1] >> 2 & 1, track, sector, st1 = 0;
    Floppy *f = choose(s);

    track = format ? f ? f->track : 0 : s->fifo[2];
    sector = format ? 1 : s->fifo[4];
    if (!floppy_present(f) || track >= f->tracks || head >= f->heads ||
        !sector || sector > f->sectors) {
        if (floppy_present(f) && track < f->tracks && head < f->heads) {
            st1 = ST1_EC;
        }
        finish(s, ST0_ABNORMAL, st1, 0);
        s->fifo[3] = track;
        s->fifo[4] = head;
        s->fifo[5] = sector;
        return false;
    }
    if (f->track != track) {
        f->changed = false;
    }
    f->track = track;
    f->head = head;
    f->sector = sector;
    if ((s->dsr & 3) != f->rate) {
        finish(s, ST0_ABNORMAL, ST1_MA, 0);
        return false;
    }
    return true;
}

/* ---- commands ------------------------------------------------------------ */

static MACHINE_CALL void cmd_transfer(Fdc *s)
{
    uint8_t op = s->fifo[0] & 0x1f;
    FdcWork work = op == 0x05 || op == 0x09 ? WORK_WRITE
                 : op == 0x16 ? WORK_VERIFY : WORK_READ;

    s->multi = s->fifo[0] & 0x80;
    s->eot = s->fifo[6];
    if (op == 0x02) {
        s->fifo[4] = 1;                /* READ TRACK begins at the index      */
    }
    if (!data_seek(s, false)) {
        return;
    }
    if (work == WORK_WRITE && current(s)->read_only) {
        finish(s, ST0_ABNORMAL | ST0_SEEK, ST1_NW, 0);
        return;
    }
    data_phase(s, work);
}

static MACHINE_CALL void cmd_scan(Fdc *s)
{
    choose(s);
    finish(s, ST0_ABNORMAL, 0, 4);     /* no sector satisfied it              */
}

static MACHINE_CALL void cmd_format(Fdc *s)
{
    uint8_t count = s->fifo[3], fill = s->fifo[5];

    if (!data_seek(s, true)) {
        return;
    }
    if (current(s)->read_only || !count) {
        finish(s, ST0_ABNORMAL, ST1_NW, 0);
        return;
    }
    s->eot = count;
    s->fill = fill;
    data_phase(s, WORK_FORMAT);
}

static MACHINE_CALL void cmd_specify(Fdc *s)
{
    s->timer0 = s->fifo[1] >> 4;
    s->timer1 = s->fifo[2] >> 1;
    s->dor = s->fifo[2] & 1 ? s->dor & ~DOR_DMA : s->dor | DOR_DMA;
    command_phase(s);
}

static MACHINE_CALL void cmd_sense_drive(Fdc *s)
{
    const Floppy *f = choose(s);

    reply_one(s, 0x28 | (s->fifo[1] & 7) |
              (!f || !floppy_present(f) || f->read_only ? 0x40 : 0) |
              (!f || f->track == 0 ? 0x10 : 0));
}

static MACHINE_CALL void seek_to(Fdc *s, uint8_t track)
{
    Floppy *f = choose(s);

    command_phase(s);
    if (f) {
        if (f->track != track && floppy_present(f)) {
            f->changed = false;
        }
        f->track = floppy_present(f) ? MIN2(track, f->tracks - 1) : track;
    }
    irq_put(s, ST0_SEEK | (s->dor & 3));
}

static MACHINE_CALL void cmd_seek(Fdc *s)
{
    seek_to(s, s->fifo[0] == 0x07 ? 0 : s->fifo[2]);
}

static MACHINE_CALL void cmd_relative(Fdc *s)
{
    const Floppy *f = unit(s, s->fifo[1] & 3);
    int at = f ? f->track : 0, by = s->fifo[2];

    at += s->fifo[0] & 0x40 ? by : -by;
    seek_to(s, (uint8_t)(at < 0 ? 0 : at > 255 ? 255 : at));
}

static MACHINE_CALL void cmd_sense_interrupt(Fdc *s)
{
    const Floppy *f = current(s);

    if (s->polls) {
        s->fifo[0] = ST0_POLL | (4 - s->polls);
        s->fifo[1] = 0;
        s->polls--;
    } else if (s->irq_on) {
        s->fifo[0] = s->st0;
        s->fifo[1] = f ? f->track : 0;
    } else {
        reply_one(s, ST0_INVALID);
        return;
    }
    irq_drop(s);
    result_phase(s, 2);
}

static MACHINE_CALL void cmd_read_id(Fdc *s)
{
    uint8_t head = s->fifo[1] >> 2 & 1;
    Floppy *f = choose(s);

    if (!floppy_present(f) || (s->dsr & 3) != f->rate || head >= f->heads) {
        finish(s, ST0_ABNORMAL, ST1_MA, 0);
        return;
    }
    f->head = head;
    f->sector = f->sector < f->sectors ? f->sector + 1 : 1;
    finish(s, ST0_SEEK, 0, 0);
}

static MACHINE_CALL void cmd_dump(Fdc *s)
{
    uint8_t r[10] = { 0 };

    for (unsigned i = 0; i < 2; i++) {
        r[i] = s->bus.drive[i] ? s->bus.drive[i]->track : 0;
    }
    r[4] = s->timer0;
    r[5] = s->timer1 << 1 | (s->dor & DOR_DMA ? 1 : 0);
    r[6] = s->eot;
    r[7] = s->lock << 7 | s->perpendicular << 2;
    r[8] = s->config;
    r[9] = s->precomp;
    memcpy(s->fifo, r, sizeof(r));
    result_phase(s, sizeof(r));
}

static MACHINE_CALL void cmd_version(Fdc *s)
{
    reply_one(s, s->fifo[0] == 0x10 ? 0x90 : 0x41);
}

static MACHINE_CALL void cmd_lock(Fdc *s)
{
    s->lock = s->fifo[0] >> 7;
    reply_one(s, s->lock << 4);
}

static MACHINE_CALL void cmd_perpendicular(Fdc *s)
{
    if (s->fifo[0] == 0x12 && s->fifo[1] & 0x80) {
        s->perpendicular = s->fifo[1] & 7;
    }
    command_phase(s);
}

static MACHINE_CALL void cmd_configure(Fdc *s)
{
    s->config = s->fifo[2];
    s->precomp = s->fifo[3];
    command_phase(s);
}

static MACHINE_CALL void cmd_power(Fdc *s)
{
    reply_one(s, s->fifo[1]);
}

static const struct {
    uint8_t mask, value, params;
    void (*run)(Fdc *s);
} commands[] = {
    { 0x1f, 0x02, 8, cmd_transfer },    { 0xff, 0x03, 2, cmd_specify },
    { 0xff, 0x04, 1, cmd_sense_drive }, { 0x3f, 0x05, 8, cmd_transfer },
    { 0x1f, 0x06, 8, cmd_transfer },    { 0xff, 0x07, 1, cmd_seek },
    { 0xff, 0x08, 0, cmd_sense_interrupt }, { 0x3f, 0x09, 8, cmd_transfer },
    { 0xbf, 0x0a, 1, cmd_read_id },     { 0x1f, 0x0c, 8, cmd_transfer },
    { 0xbf, 0x0d, 5, cmd_format },      { 0xff, 0x0e, 0, cmd_dump },
    { 0xff, 0x0f, 2, cmd_seek },        { 0xff, 0x10, 0, cmd_version },
    { 0x1f, 0x11, 8, cmd_scan },        { 0xff, 0x12, 1, cmd_perpendicular },
    { 0xff, 0x13, 3, cmd_configure },   { 0x7f, 0x14, 0, cmd_lock },
    { 0x1f, 0x16, 8, cmd_transfer },    { 0xff, 0x17, 1, cmd_power },
    { 0xff, 0x18, 0, cmd_version },        { 0x1f, 0x19, 8, cmd_scan },
    { 0x1f, 0x1d, 8, cmd_scan },        { 0xff, 0x33, 1, cmd_perpendicular },
    { 0xbf, 0x8f, 2, cmd_relative },
};

static int command_of(uint8_t op)
{
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        if ((op & commands[i].mask) == commands[i].value) {
            return (int)i;
        }
    }
    return -1;
}

/* ---- registers ----------------------------------------------------------- */

static MACHINE_CALL void chip_reset(Fdc *s, bool interrupt)
{
    dma_off(s);
    irq_drop(s);
    s->tdr = 0;
    if (!s->lock) {
        s->config = CONFIG_DEFAULT;
        s->precomp = 0;
    }
    s->perpendicular = 0;
    s->at = 0;
    for (unsigned i = 0; i < 2; i++) {
        if (s->bus.drive[i]) {
            s->bus.drive[i]->track = s->bus.drive[i]->head = 0;
            s->bus.drive[i]->sector = 1;
        }
    }
    command_phase(s);
    s->polls = interrupt ? 4 : 0;
    if (interrupt) {
        irq_put(s, ST0_POLL);
    }
}

static MACHINE_CALL void dor_write(Fdc *s, uint8_t v)
{
    uint8_t old = s->dor;

    s->dor = v;
    if (!(v & DOR_RUN) && old & DOR_RUN) {
        chip_reset(s, false);
        s->msr = 0;
    } else if (v & DOR_RUN && !(old & DOR_RUN)) {
        chip_reset(s, true);
    }
}

static MACHINE_CALL uint8_t fifo_read(Fdc *s)
{
    uint8_t v;

    if (s->phase == PHASE_RESULT) {
        v = s->fifo[s->out++];
        if (s->out == s->n) {
            command_phase(s);
            irq_drop(s);
        }
        return v;
    }
    if (s->phase != PHASE_DATA || s->work != WORK_READ ||
        !(s->msr & MSR_PIO) || !piece_begin(s)) {
        return 0;
    }
    v = s->data[s->at++];
    if (s->at == sizeof(s->data)) {
        piece_done(s);
    }
    return v;
}

static MACHINE_CALL void fifo_write(Fdc *s, uint8_t v)
{
    int i;

    if (s->phase == PHASE_DATA && s->msr & MSR_PIO &&
        (s->work == WORK_WRITE || s->work == WORK_FORMAT)) {
        s->data[s->at++] = v;
        if (s->at == piece(s)) {
            piece_done(s);
        }
        return;
    }
    if (s->phase != PHASE_COMMAND || !(s->dor & DOR_RUN)) {
        return;
    }
    if (s->n == 0) {
        i = command_of(v);
        if (i < 0) {
            reply_one(s, ST0_INVALID);
            return;
        }
        s->want = commands[i].params + 1u;
        s->msr = MSR_RQM | MSR_BUSY;
    }
    s->fifo[s->n++] = v;
    i = command_of(s->fifo[0]);
    if (s->n >= s->want && i >= 0) {
        commands[i].run(s);
    }
}

static uint64_t fdc_read(void *dev, uint64_t off, unsigned size)
{
    Fdc *s = dev;

    machine_assert_locked();
    switch (off) {
    case 0:
        return 0xc0;                   /* status B                            */
    case 1:
        return s->dor;
    case 2:
        return s->tdr;
    case 3:
        return s->msr;
    default:
        return fifo_read(s);
    }
}

static void fdc_write(void *dev, uint64_t off, uint64_t v, unsigned size)
{
    Fdc *s = dev;

    machine_assert_locked();
    switch (off) {
    case 1:
        dor_write(s, v);
        break;
    case 2:
        s->tdr = v & 3;
        break;
    case 3:
        s->dsr = v & 0x7f;
        if (v & 0x80) {
            chip_reset(s, true);
        }
        break;
    case 4:
        fifo_write(s, v);
        break;
    default:
        break;
    }
}

static uint64_t dir_read(void *dev, uint64_t off, unsigned size)
{
    const Floppy *f = current(dev);

    return !f || f->changed || !floppy_present(f) ? 0x80 : 0;
}

static void ccr_write(void *dev, uint64_t off, uint64_t v, unsigned size)
{
    Fdc *s = dev;

    s->dsr = (s->dsr & ~3) | (v & 3);
}

static const MemOps fdc_ops = { .read = fdc_read, .write = fdc_write,
                                .max = 1 };
static const MemOps dir_ops = { .read = dir_read, .write = ccr_write,
                                .max = 1 };

/* ---- the device ---------------------------------------------------------- */

static MACHINE_CALL bool fdc_realize(Device *dev, Error **errp)
{
    Fdc *s = (Fdc *)dev;

    if (s->fallback == FLOPPY_AUTO) {
        return error_set(errp, "Cannot choose a fallback FDrive type of 'auto'");
    }
    if (!isa_irq(&s->isa, s->irq_nr, &s->irq, errp)) {
        return false;
    }
    bus_init(&s->bus.bus, &bus_floppy, dev, NULL);
    s->bus.fallback = s->fallback;
    s->bus.kinds[0] = s->kind_a;
    s->bus.kinds[1] = s->kind_b;
    s->dma = s->dma_nr < 4 ? isa_dma(isa_bus(&s->isa), (int)s->dma_nr) : NULL;
    if (s->dma) {
        s->dma->attach(s->dma->chip, (int)s->dma_nr, fdc_dma, s);
    }
    mem_init_io(&s->regs, "fdc", 5, &fdc_ops, s);
    mem_init_io(&s->dir, "fdc-dir", 1, &dir_ops, s);
    s->isa.port = (uint16_t)s->iobase;
    isa_map(&s->isa, &s->regs, (uint16_t)(s->iobase + 1));
    isa_map(&s->isa, &s->dir, (uint16_t)(s->iobase + 7));
    return true;
}

static MACHINE_CALL void fdc_unrealize(Device *dev)
{
    Fdc *s = (Fdc *)dev;

    dma_off(s);
    if (s->dma) {
        s->dma->attach(s->dma->chip, (int)s->dma_nr, NULL, NULL);
    }
    isa_unmap(&s->isa, &s->regs);
    isa_unmap(&s->isa, &s->dir);
    bus_fini(&s->bus.bus);
}

static MACHINE_CALL void fdc_reset(Device *dev, ResetKind kind)
{
    Fdc *s = (Fdc *)dev;

    s->lock = 0;
    s->dor = DOR_RUN | DOR_DMA;
    s->dsr = 2;                        /* 250 kbit/s                          */
    s->timer0 = s->timer1 = 0;
    s->eot = s->st0 = s->fill = 0;
    s->work = 0;
    s->multi = false;
    memset(s->fifo, 0, sizeof(s->fifo));
    memset(s->data, 0, sizeof(s->data));
    chip_reset(s, false);
}

static bool fdc_loaded(void *opaque, int version, Error **errp)
{
    Fdc *s = opaque;

    if (s->n > sizeof(s->fifo) || s->want > sizeof(s->fifo) ||
        s->phase > PHASE_RESULT || s->work > WORK_VERIFY ||
        s->at >= sizeof(s->data) || s->polls > 4 ||
        (s->work == WORK_FORMAT && s->at >= 4) ||
        (s->phase == PHASE_RESULT && s->out >= s->n) ||
        (s->phase == PHASE_COMMAND && s->n && s->n >= s->want)) {
        command_phase(s);
        s->at = s->polls = 0;
        return error_set(errp, "isa-fdc: a command beyond its buffers");
    }
    return true;
}

static const VmState fdc_state = {
    .name = "isa-fdc", .version = 1, .oldest = 1, .after_load = fdc_loaded,
    .fields = (const VmField[]){
        VM_U8(Fdc, dor), VM_U8(Fdc, tdr), VM_U8(Fdc, dsr), VM_U8(Fdc, msr),
        VM_U8(Fdc, st0), VM_BOOL(Fdc, irq_on), VM_U8(Fdc, polls),
        VM_U8(Fdc, phase), VM_U8(Fdc, work), VM_BYTES(Fdc, fifo),
        VM_U32(Fdc, n), VM_U32(Fdc, want), VM_U32(Fdc, out),
        VM_BYTES(Fdc, data), VM_U32(Fdc, at), VM_U8(Fdc, eot),
        VM_U8(Fdc, fill), VM_BOOL(Fdc, multi), VM_U8(Fdc, timer0),
        VM_U8(Fdc, timer1), VM_U8(Fdc, config), VM_U8(Fdc, precomp),
        VM_U8(Fdc, lock), VM_U8(Fdc, perpendicular),
        VM_END
    },
};

static const Prop fdc_props[] = {
    PROP_U32("iobase", Fdc, iobase, 0x3f0, .max = 0xfff8),
    PROP_U32("irq", Fdc, irq_nr, 6),
    PROP_U32("dma", Fdc, dma_nr, 2),
    PROP_I32("bootindexA", Fdc, boot_a, -1, .flags = PF_NO_DEFAULT),
    PROP_I32("bootindexB", Fdc, boot_b, -1, .flags = PF_NO_DEFAULT),
    PROP_ENUM("fdtypeA", Fdc, kind_a, &floppy_kinds, FLOPPY_AUTO,
              .desc = "FDC drive type"),
    PROP_ENUM("fdtypeB", Fdc, kind_b, &floppy_kinds, FLOPPY_AUTO,
              .desc = "FDC drive type"),
    PROP_ENUM("fallback", Fdc, fallback, &floppy_kinds, FLOPPY_288,
              .desc = "FDC drive type"),
    PROP_END
};

static char *fdc_fw_name(const Device *dev)
{
    return g_strdup("fdc");
}

DEVICE(isa_fdc, {
    .name = "isa-fdc", .category = "storage", .size = sizeof(Fdc),
    .desc = "virtual floppy controller",
    .doc = "An 82078 with up to two drives, which are devices of type floppy on "
           "its bus.",
    .on = &bus_isa, .props = fdc_props, .vmstate = &fdc_state,
    .realize = fdc_realize,
    .unrealize = fdc_unrealize, .reset = fdc_reset, .fw_name = fdc_fw_name,
});
