/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * core.c - the IDE bus: task file registers, PIO data, interrupts, resets (ATA/
 * ATAPI-7, T13 1532D volume 2, sections 5 and 9).
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. pos <= end <= buf_size: what the data register may touch.
 * 2. A drive that is busy takes no command and no register but the control one.
 * 3. Both drives get each register write; only the selected one runs commands.
 */
#include <glib.h>
#include "hw/ide/ide.h"

static char *ide_fw_path(const Device *dev)
{
    const IdeDrive *d = (const IdeDrive *)dev;

    return g_strdup_printf("drive@%x", d->unit);
}

static char *bus_fw_path(const Device *dev)
{
    const IdeDrive *d = (const IdeDrive *)dev;
    IdeBus *b = ide_bus(d);
    char *unit = ide_fw_path(dev), *s;
    const char *dot = strrchr(b->bus.name, '.');

    /* The channel, then the drive on it: "drive@1/disk@0". */
    s = g_strdup_printf("drive@%s/disk@%x", dot ? dot + 1 : "0", d->unit);
    g_free(unit);
    return s;
}

static MACHINE_CALL bool ide_plug(Bus *bus, Device *dev, Error **errp)
{
    IdeBus *b = (IdeBus *)bus;
    IdeDrive *d = (IdeDrive *)dev;

    unsigned units = b->units ? b->units : 2;

    if (d->unit == UINT32_MAX) {
        d->unit = b->drive[0] ? 1 : 0;
    }
    if (d->unit >= units) {
        return error_set(errp, "Can't create IDE unit %u, bus supports only %u "
                         "units", d->unit, units);
    }
    if (b->drive[d->unit]) {
        return error_set(errp, "IDE unit %u is in use", d->unit);
    }
    b->drive[d->unit] = d;
    b->bus.full = b->drive[0] && (units == 1 || b->drive[1]);
    return true;
}

static MACHINE_CALL void ide_unplug(Bus *bus, Device *dev)
{
    IdeBus *b = (IdeBus *)bus;

    for (int i = 0; i < 2; i++) {
        if (b->drive[i] == (IdeDrive *)dev) {
            b->drive[i] = NULL;
            b->bus.full = false;
        }
    }
}

static const Prop ide_bus_props[] = {
    PROP_U32("unit", IdeDrive, unit, UINT32_MAX),
    PROP_END
};

TYPE_NAME(type_ide_device, { "ide-device", "device", true });

BUS_TYPE(bus_ide, {
    .name = "IDE", .size = sizeof(IdeBus), .device_base = "ide-device",
    .props = ide_bus_props, .max_devices = 2, .plug = ide_plug,
    .unplug = ide_unplug, .fw_path = bus_fw_path,
});

/* ---- status and interrupts ----------------------------------------------- */

void ide_irq(IdeDrive *d)
{
    IdeBus *b = ide_bus(d);

    if (b->control & 2) {
        return;
    }
    if (b->irq_hook) {
        b->irq_hook(b->dma_opaque);
    }
    irq_raise(&b->irq);
}

void ide_abort(IdeDrive *d)
{
    d->status = ST_READY | ST_ERR;
    d->error = ER_ABRT;
    d->pos = d->end = 0;
    d->job = JOB_NONE;
    d->waiting_dma = false;
}

void ide_signature(IdeDrive *d)
{
    d->select &= ~15;
    d->count = d->sector = 1;
    d->lcyl = d->cdrom ? 0x14 : 0;
    d->hcyl = d->cdrom ? 0xeb : 0;
}

void ide_pio(IdeDrive *d, uint32_t len, IdeEnd after)
{
    d->pos = 0;
    d->end = MIN2(len, d->buf_size);
    d->after = after;
    d->status = (d->status & ~ST_BUSY) | ST_READY | ST_DRQ;
}

void ide_pio_end(IdeDrive *d)
{
    IdeEnd after = d->after;

    d->pos = d->end = 0;
    d->status &= ~ST_DRQ;
    d->after = END_DONE;
    switch (after) {
    case END_READ:
    case END_WRITE:
        ide_rw_next(d, after);
        break;
    case END_PACKET:
        memcpy(d->packet, d->buf, sizeof(d->packet));
        atapi_run(d);
        break;
    case END_SECURITY:
        ide_security_data(d);
        break;
    case END_REPLY:
    case END_DISC:
        atapi_next(d, after);
        break;
    default:
        break;
    }
}

/* ---- the data register --------------------------------------------------- */

static IdeDrive *selected(const IdeBus *b)
{
    return b->drive[b->unit];
}

/* Is the block going this way? */
static bool data_open(const IdeDrive *d, bool write)
{
    bool out = d && (d->after == END_WRITE || d->after == END_PACKET ||
                     d->after == END_SECURITY);

    return d && d->status & ST_DRQ && d->pos < d->end && out == write;
}

static uint64_t ide_data_read(void *bus, uint64_t off, unsigned size)
{
    IdeDrive *d = selected(bus);
    uint32_t v = 0, n;

    machine_assert_locked();
    if (!data_open(d, false)) {
        return 0;
    }
    n = MIN2(size, d->end - d->pos);
    memcpy(&v, d->buf + d->pos, n);
    d->pos += n;
    if (d->pos >= d->end) {
        ide_pio_end(d);
    }
    return v;
}

static void ide_data_write(void *bus, uint64_t off, uint64_t v, unsigned size)
{
    IdeDrive *d = selected(bus);
    uint32_t n;

    machine_assert_locked();
    if (!data_open(d, true)) {
        return;
    }
    n = MIN2(size, d->end - d->pos);
    memcpy(d->buf + d->pos, &v, n);
    d->pos += n;
    if (d->pos >= d->end) {
        ide_pio_end(d);
    }
}

/* ---- the others ---------------------------------------------------------- */

uint64_t ide_status_read(void *bus, uint64_t off, unsigned size)
{
    const IdeBus *b = bus;
    const IdeDrive *d = selected(b);

    if (!d) {
        return 0;                      /* nobody, or the other one's silence  */
    }
    return d->status;
}

uint64_t ide_port_read(void *bus, uint64_t off, unsigned size)
{
    IdeBus *b = bus;
    const IdeDrive *d = selected(b);
    bool hob = b->control & 0x80;

    if (off == 0) {
        return ide_data_read(bus, off, size);
    }
    if (!d) {
        /* An absent second drive is answered for by the first. */
        return b->drive[b->unit ^ 1] && off != 1 && off != 7
            ? b->drive[b->unit ^ 1]->select * (off == 6) : 0;
    }
    switch (off) {
    case 1:
        return hob ? d->hob_feature : d->error;
    case 2:
        return hob ? d->hob_count : d->count;
    case 3:
        return hob ? d->hob_sector : d->sector;
    case 4:
        return hob ? d->hob_lcyl : d->lcyl;
    case 5:
        return hob ? d->hob_hcyl : d->hcyl;
    case 6:
        return d->select;
    default:
        irq_lower(&b->irq);
        return d->status;
    }
}

static void register_write(IdeDrive *d, uint64_t off, uint8_t v)
{
    switch (off) {
    case 1:
        d->hob_feature = d->feature;
        d->feature = v;
        break;
    case 2:
        d->hob_count = d->count;
        d->count = v;
        break;
    case 3:
        d->hob_sector = d->sector;
        d->sector = v;
        break;
    case 4:
        d->hob_lcyl = d->lcyl;
        d->lcyl = v;
        break;
    case 5:
        d->hob_hcyl = d->hcyl;
        d->hcyl = v;
        break;
    default:
        d->select = v | 0xa0;
        break;
    }
}

void ide_port_write(void *bus, uint64_t off, uint64_t v, unsigned size)
{
    IdeBus *b = bus;
    IdeDrive *d = selected(b);

    machine_assert_locked();
    if (off == 0) {
        ide_data_write(bus, off, v, size);
        return;
    }
    if (off == 7) {
        irq_lower(&b->irq);
        /* DEVICE RESET is the one command that a busy ATAPI drive takes. */
        if (d && (!(d->status & (ST_BUSY | ST_DRQ)) ||
                  (v == 0x08 && d->cdrom))) {
            ide_command(d, v);
        }
        return;
    }
    if (d && d->status & (ST_BUSY | ST_DRQ)) {
        return;
    }
    b->control &= 0x7f;
    for (int i = 0; i < 2; i++) {
        if (b->drive[i]) {
            register_write(b->drive[i], off, v);
        }
    }
    if (off == 6) {
        b->unit = v >> 4 & 1;
    }
}

/* ---- resets -------------------------------------------------------------- */

void ide_cancel(IdeDrive *d)
{
    if (d->in_flight) {
        d->cancelled = true;
        while (d->in_flight) {
            loop_step(true);
        }
        d->cancelled = false;
    }
    d->waiting_dma = false;
    d->retry = false;
    d->job = JOB_NONE;
}

static MACHINE_CALL void drive_reset(IdeDrive *d)
{
    ide_cancel(d);
    d->pos = d->end = 0;
    d->after = END_DONE;
    d->mult = d->cdrom ? 0 : IDE_MULT;
    if (!d->cdrom) {
        st_le16(d->identify + 118, 0x100 | IDE_MULT);
    }
    d->heads = d->conf.heads;
    d->secs = d->conf.secs;
    d->feature = d->error = 0;
    d->hob_feature = d->hob_count = d->hob_sector = 0;
    d->hob_lcyl = d->hob_hcyl = 0;
    d->lba48 = false;
    d->select = 0xa0;
    d->status = ST_READY | ST_SEEK;
    d->sense = d->asc = d->ascq = 0;
    d->reset_under_way = false;
    if (d->cdrom) {
        atapi_tray_reset(d);
    }
    ide_signature(d);
}

void ide_bus_reset(IdeBus *b)
{
    b->unit = 0;
    b->control = 0;
    for (int i = 0; i < 2; i++) {
        if (b->drive[i]) {
            drive_reset(b->drive[i]);
        }
    }
    irq_lower(&b->irq);
}

void ide_control_write(void *bus, uint64_t off, uint64_t v, unsigned size)
{
    IdeBus *b = bus;
    uint8_t old = b->control;

    machine_assert_locked();
    b->control = v;
    for (int i = 0; i < 2; i++) {
        IdeDrive *d = b->drive[i];

        if (!d) {
            continue;
        }
        if (v & 4 && !(old & 4)) {
            drive_reset(d);
            d->status = ST_BUSY | ST_SEEK;
            d->reset_under_way = true;
        } else if (!(v & 4) && old & 4) {
            d->status = d->cdrom ? 0 : ST_READY | ST_SEEK;
            d->error = 1;              /* diagnostics passed                  */
            d->reset_under_way = false;
            ide_signature(d);
        }
    }
    if (v & 4) {
        b->unit = 0;
        irq_lower(&b->irq);
    }
}

/* ---- DMA by the controller ----------------------------------------------- */

void ide_dma_started(IdeBus *b)
{
    for (int i = 0; i < 2; i++) {
        IdeDrive *d = b->drive[i];

        if (d && d->waiting_dma) {
            d->waiting_dma = false;
            ide_dma_round(d);
        }
    }
}

void ide_dma_stopped(IdeBus *b)
{
    for (int i = 0; i < 2; i++) {
        IdeDrive *d = b->drive[i];
        uint8_t job = d ? d->job : JOB_NONE;

        if (job == JOB_DMA_READ || job == JOB_DMA_WRITE ||
            job == JOB_DISC_DMA || job == JOB_DISC_RAW) {
            ide_cancel(d);
            d->status = ST_READY | ST_SEEK;
        }
    }
}

/* The machine goes on: what an error had stopped is tried again. */
static void ide_run(RunNotify *n, bool running, RunStateNr s)
{
    IdeBus *b = container_of(n, IdeBus, run);

    machine_assert_locked();
    for (int i = 0; running && i < 2; i++) {
        if (b->drive[i] && b->drive[i]->retry) {
            b->drive[i]->retry = false;
            ide_job_again(b->drive[i]);
        }
    }
    if (running && b->goes_on) {
        b->goes_on(b->dma_opaque);
    }
}

void ide_bus_init(IdeBus *b, Device *owner, const char *name, IrqLine irq)
{
    static unsigned serial;

    bus_init(&b->bus, &bus_ide, owner, name);
    b->irq = irq;
    b->serial = serial + 1;
    serial += 2;
    b->run.fn = ide_run;
    run_notify_add(&b->run);
}

void ide_bus_fini(IdeBus *b)
{
    run_notify_del(&b->run);
    bus_fini(&b->bus);
}
