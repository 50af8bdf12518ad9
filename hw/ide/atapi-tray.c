/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * atapi-tray.c - the tray of a CD-ROM drive: what the guest, the user and resets
 * do with it, and what is still to be told of that (MMC-6, sections 6.42, 6.18
 * and 4.1.6).
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. A disc that the user changed is first reported absent, then as a change: a
 *    guest that asks seldom does not take it for the disc that was there.
 */
#include "hw/ide/ide.h"

enum { SENSE_NOT_READY = 2, SENSE_ILLEGAL = 5, ASC_REMOVAL_PREVENTED = 0x53 };

void atapi_start_stop(IdeDrive *d)
{
    bool start = d->packet[4] & 1, load_eject = d->packet[4] & 2;

    if (d->packet[4] >> 4) {           /* power conditions                    */
        atapi_ok(d);
        return;
    }
    if (load_eject && !start && !d->tray_open && d->tray_locked) {
        atapi_error(d, blk_has_medium(d->conf.blk) ? SENSE_NOT_READY
                    : SENSE_ILLEGAL, ASC_REMOVAL_PREVENTED);
        return;
    }
    if (load_eject && d->tray_open == start) {
        d->tray_open = !start;
        blk_tray_moved(d->conf.blk, d->tray_open);
    }
    atapi_ok(d);
}

void atapi_tray_reset(IdeDrive *d)
{
    d->tray_open = d->tray_locked = false;
    d->changed = CD_SAME;
}

static void cd_change(void *dev, bool load)
{
    IdeDrive *d = dev;
    int64_t n = load ? blk_length(d->conf.blk) : 0;

    d->sectors = n > 0 ? (uint64_t)n / 512 : 0;
    d->changed = CD_CHANGED;
    d->tray_open = !load;
    d->event_new = true;
    d->event_eject = false;
}

static bool cd_eject_request(void *dev, bool force)
{
    IdeDrive *d = dev;

    d->event_eject = true;
    if (force) {
        d->tray_locked = false;
    }
    return true;
}

static bool cd_tray_open(void *dev)
{
    return ((IdeDrive *)dev)->tray_open;
}

static bool cd_locked(void *dev)
{
    return ((IdeDrive *)dev)->tray_locked;
}

const BlkDevOps ide_cd_ops = {
    .change_media = cd_change, .eject_request = cd_eject_request,
    .tray_open = cd_tray_open, .locked = cd_locked, .removable = true,
};
