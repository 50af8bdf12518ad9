/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bus.c - SCSI buses: addresses of units, finding them, what is answered for a
 * unit that is not there (SAM-5, section 4.7; SPC-4, sections 6.6 and 6.33).
 *
 * Thread class: MACHINE_CALL for plugging, LOOP_CALL(bus->loop) for commands.
 *
 * Invariants
 * 1. A target's list holds its realized units in order of LUN; it is changed in
 *    the bus's loop only.
 * 2. A unit that leaves has no active command.
 */
#include <glib.h>
#include "hw/scsi/scsi-impl.h"

/* ---- the loop ------------------------------------------------------------ */

void scsi_run(ScsiBus *b, void (*fn)(void *arg), void *arg)
{
    if (b->loop == loop_main) {
        fn(arg);
    } else {
        loop_run_sync(b->loop, fn, arg);
    }
}

bool scsi_target_exists(const ScsiBus *b, unsigned target)
{
    return target < SCSI_TARGETS && b->targets[target];
}

ScsiDevice *scsi_find(const ScsiBus *b, unsigned target, unsigned lun)
{
    ScsiDevice *d = target < SCSI_TARGETS ? b->targets[target] : NULL;

    while (d && d->lun < lun) {
        d = d->next;
    }
    return d && d->lun == lun ? d : NULL;
}

static void link_unit(void *arg)
{
    ScsiDevice *d = arg, **at = &scsi_bus(d)->targets[d->id];

    while (*at && (*at)->lun < d->lun) {
        at = &(*at)->next;
    }
    d->next = *at;
    *at = d;
    d->linked = true;
    d->attention = SENSE_RESET;
}

static void unlink_unit(void *arg)
{
    ScsiDevice *d = arg, **at = &scsi_bus(d)->targets[d->id];

    if (!d->linked) {
        return;
    }
    while (*at != d) {
        at = &(*at)->next;
    }
    *at = d->next;
    d->linked = false;
}

typedef struct Leaving {
    ScsiBus *b;
    ScsiDevice *d;                     /* NULL: all units                     */
    bool cancel, busy;
} Leaving;

static void look_at(Leaving *l, ScsiDevice *d)
{
    if (l->cancel) {
        scsi_cancel_all(d);
    }
    for (const ScsiReq *r = d->active; r && !l->busy; r = r->next) {
        l->busy = !r->kept;
    }
}

static void look(void *arg)
{
    Leaving *l = arg;

    l->busy = false;
    if (l->d) {
        look_at(l, l->d);
        return;
    }
    for (unsigned i = 0; i < l->b->hba->targets; i++) {
        for (ScsiDevice *d = l->b->targets[i]; d; d = d->next) {
            look_at(l, d);
        }
    }
}

static MACHINE_CALL void come_to_rest(Leaving l)
{
    scsi_run(l.b, look, &l);
    while (l.busy) {
        for (Device *dev = l.b->bus.first; dev; dev = dev->next) {
            ScsiDevice *d = (ScsiDevice *)dev;

            if (d->conf.blk && (!l.d || l.d == d)) {
                blk_drain(d->conf.blk);
            }
        }
        loop_step(false);              /* those with the error policy         */
        scsi_run(l.b, look, &l);
    }
}

void scsi_unit_rest(ScsiDevice *d)
{
    come_to_rest((Leaving){ .b = scsi_bus(d), .d = d, .cancel = true });
}

void scsi_bus_rest(ScsiBus *b, bool cancel)
{
    come_to_rest((Leaving){ .b = b, .cancel = cancel });
}

void scsi_unit_detach(ScsiDevice *d)
{
    ScsiBus *b = scsi_bus(d);
    bool was = d->linked;

    scsi_run(b, unlink_unit, d);
    scsi_unit_rest(d);
    if (was && b->hba->plugged && b->bus.owner && b->bus.owner->realized) {
        b->hba->plugged(b, d, false);
    }
    blk_set_loop(d->conf.blk, loop_main, NULL);
    blk_detach_dev(d->conf.blk);
}

bool scsi_unit_attach(ScsiDevice *d, const BlkDevOps *ops, Error **errp)
{
    if (!blk_attach_dev(d->conf.blk, d, &d->dev.obj, ops, errp)) {
        return false;
    }
    if (scsi_bus(d)->loop != loop_main &&
        !blk_set_loop(d->conf.blk, scsi_bus(d)->loop, errp)) {
        blk_detach_dev(d->conf.blk);
        return false;
    }
    return true;
}

bool scsi_bus_set_loop(ScsiBus *b, Loop *l, Error **errp)
{
    for (Device *dev = b->bus.first; dev; dev = dev->next) {
        ScsiDevice *d = (ScsiDevice *)dev;

        if (d->linked && !blk_set_loop(d->conf.blk, l, errp)) {
            return false;
        }
    }
    b->loop = l;
    return true;
}

/* ---- plugging ------------------------------------------------------------ */

static MACHINE_CALL ScsiDevice *taken(const ScsiBus *b, const ScsiDevice *but,
                                      uint32_t id, uint32_t lun)
{
    for (Device *dev = b->bus.first; dev; dev = dev->next) {
        ScsiDevice *d = (ScsiDevice *)dev;

        if (d != but && d->id == id && d->lun == lun) {
            return d;
        }
    }
    return NULL;
}

static MACHINE_CALL bool choose(ScsiBus *b, ScsiDevice *d, Error **errp)
{
    const ScsiHba *h = b->hba;
    ScsiDevice *other;

    if (d->id == UINT32_MAX) {
        uint32_t id = 0;

        d->lun = d->lun == UINT32_MAX ? 0 : d->lun;
        while (id < h->targets && taken(b, d, id, d->lun)) {
            id++;
        }
        if (id == h->targets) {
            return error_set(errp, "no free target");
        }
        d->id = id;
        return true;
    }
    if (d->lun == UINT32_MAX) {
        uint32_t lun = 0;

        while (lun < h->luns && taken(b, d, d->id, lun)) {
            lun++;
        }
        if (lun == h->luns) {
            return error_set(errp, "no free lun");
        }
        d->lun = lun;
        return true;
    }
    other = taken(b, d, d->id, d->lun);
    if (other) {
        return error_set(errp, "lun already used by '%s'",
                         other->dev.id ? other->dev.id : "(null)");
    }
    return true;
}

static MACHINE_CALL bool scsi_plug(Bus *bus, Device *dev, Error **errp)
{
    ScsiBus *b = (ScsiBus *)bus;
    ScsiDevice *d = (ScsiDevice *)dev;

    if (d->channel) {
        return error_set(errp, "bad scsi channel id: %u", d->channel);
    }
    if (d->id != UINT32_MAX && d->id >= b->hba->targets) {
        return error_set(errp, "bad scsi device id: %u", d->id);
    }
    if (d->lun != UINT32_MAX && d->lun >= b->hba->luns) {
        return error_set(errp, "bad scsi device lun: %d", (int)d->lun);
    }
    return choose(b, d, errp);
}

static MACHINE_CALL bool scsi_plugged(Bus *bus, Device *dev, Error **errp)
{
    ScsiBus *b = (ScsiBus *)bus;
    ScsiDevice *d = (ScsiDevice *)dev;

    scsi_run(b, link_unit, d);
    if (dev->hotplugged && b->hba->plugged) {
        b->hba->plugged(b, d, true);
    }
    return true;
}

/* One that never came to be plugged, and one that has left. */
static MACHINE_CALL void scsi_unplug(Bus *bus, Device *dev)
{
}

static char *scsi_fw_path(const Device *dev)
{
    const ScsiDevice *d = (const ScsiDevice *)dev;
    char *name = dev->type->fw_name ? dev->type->fw_name(dev) : NULL;
    char *path = g_strdup_printf("channel@%x/%s@%x,%x", d->channel,
                                 name ? name : "device", d->id, d->lun);

    g_free(name);
    return path;
}

static char *scsi_dev_path(const Device *dev)
{
    const ScsiDevice *d = (const ScsiDevice *)dev;

    return g_strdup_printf("%u:%u:%u", d->channel, d->id, d->lun);
}

/* The bus was reset: units forget who reserved and locked what. */
static void reset_unit(void *arg)
{
    scsi_unit_reset(arg);
}

static MACHINE_CALL void scsi_reset_device(Device *dev, ResetKind kind)
{
    ScsiDevice *d = (ScsiDevice *)dev;

    if (d->linked) {
        scsi_unit_rest(d);
        scsi_run(scsi_bus(d), reset_unit, d);
    }
}

static const Prop scsi_props[] = {
    PROP_U32("channel", ScsiDevice, channel, 0),
    PROP_U32("scsi-id", ScsiDevice, id, UINT32_MAX),
    PROP_U32("lun", ScsiDevice, lun, UINT32_MAX),
    PROP_END
};

static const VmState sense_state = {
    .name = "scsi-sense", .version = 1, .oldest = 1,
    .fields = (const VmField[]){
        VM_U8(ScsiSense, key), VM_U8(ScsiSense, asc), VM_U8(ScsiSense, ascq),
        VM_END
    },
};

static const VmState unit_state = {
    .name = "scsi-unit", .version = 1, .oldest = 1,
    .fields = (const VmField[]){
        VM_STRUCT(ScsiDevice, sense, &sense_state),
        VM_STRUCT(ScsiDevice, attention, &sense_state),
        VM_END
    },
};

TYPE_NAME(type_scsi_device, { "scsi-device", "device", true });

BUS_TYPE(bus_scsi, {
    .name = "SCSI", .size = sizeof(ScsiBus), .device_base = "scsi-device",
    .props = scsi_props, .vmstate = &unit_state, .plug = scsi_plug,
    .unplug = scsi_unplug, .plugged = scsi_plugged,
    .reset_device = scsi_reset_device, .fw_path = scsi_fw_path,
    .dev_path = scsi_dev_path,
});

void scsi_bus_init(ScsiBus *b, Device *owner, const char *name,
                   const ScsiHba *hba)
{
    b->hba = hba;
    b->loop = loop_main;
    b->kept = NULL;
    memset(b->targets, 0, sizeof(b->targets));
    bus_init(&b->bus, &bus_scsi, owner, name);
    b->bus.hotpluggable = true;
}

void scsi_bus_fini(ScsiBus *b)
{
    bus_fini(&b->bus);
}

/* ---- in place of units that are not there -------------------------------- */

static void report_luns(ScsiReq *r)
{
    const ScsiDevice *first = r->bus->targets[r->target];
    uint32_t n = 0, size = ld_be32(r->cdb + 6);
    uint8_t *b;

    if (size < 16 || r->cdb[2] > 2) {
        scsi_check(r, SENSE_BAD_FIELD);
        return;
    }
    for (const ScsiDevice *d = first; d; d = d->next) {
        n += d->lun != 0;
    }
    b = scsi_room(r, 16 + 8 * n);
    st_be32(b, 8 * (n + 1));           /* LUN 0 is always one of them         */
    b += 16;
    for (const ScsiDevice *d = first; d; d = d->next) {
        if (d->lun) {
            b[0] = d->lun < 256 ? 0 : (uint8_t)(0x40 | d->lun >> 8);
            b[1] = (uint8_t)d->lun;
            b += 8;
        }
    }
    r->xfer = MIN2(r->xfer, 16 + 8ull * n);
    scsi_reply(r, 16 + 8 * n);
}

static void no_unit_inquiry(ScsiReq *r)
{
    uint8_t *b = scsi_room(r, 36);

    if (r->cdb[1] & 3 || r->cdb[2]) {
        scsi_check(r, SENSE_BAD_FIELD);
        return;
    }
    r->xfer = MIN2(r->xfer, 36);
    if (r->lun) {
        b[0] = 0x7f;                   /* none there, and never will be       */
    } else {
        scsi_put_inquiry(b, 0x3f, 5, r->bus->hba->tags);
        scsi_put_text(b + 8, 8, "QEMU");
        scsi_put_text(b + 16, 16, "QEMU TARGET");
        memcpy(b + 32, "2.5", 4);
    }
    scsi_reply(r, 36);
}

static void request_sense(ScsiReq *r)
{
    ScsiDevice *d = r->dev;
    ScsiSense s = SENSE_BAD_LUN;
    uint8_t *b = scsi_room(r, 18);

    if (d) {
        s = d->attention.key ? d->attention : d->sense;
        d->sense = SENSE_NONE;
        scsi_attention_told(d);
    }
    if (r->cdb[1] & 1) {
        b[0] = 0x72;
        b[1] = s.key;
        b[2] = s.asc;
        b[3] = s.ascq;
        scsi_reply(r, 8);
    } else {
        scsi_reply(r, scsi_fixed_sense(b, s));
    }
}

bool scsi_common(ScsiReq *r)
{
    switch (r->cdb[0]) {
    case 0xa0:
        report_luns(r);
        return true;
    case 0x03:
        request_sense(r);
        return true;
    case 0x12:
        if (!r->dev) {
            no_unit_inquiry(r);
            return true;
        }
        break;
    default:
        break;
    }
    if (!r->dev) {
        scsi_check(r, SENSE_BAD_LUN);
        return true;
    }
    return false;
}
