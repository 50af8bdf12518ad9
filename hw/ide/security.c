/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * security.c - the security feature set of disks: passwords, locks, erasure
 * (ATA8-ACS, T13 1699D, sections 4.20 and 7.42 to 7.47). Offered with the
 * property security=on alone; else FREEZE LOCK does nothing and the others are
 * no commands.
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. locked implies enabled; frozen implies not locked.
 * 2. Passwords outlive resets and migration, not the process; a machine's reset
 *    is a power cycle: it locks what has a password and thaws what is frozen.
 * 3. No byte of a locked disk's medium is read or written (ide_security_refuses).
 */
#include "hw/ide/ide.h"

enum { SET_PASSWORD = 0xf1, UNLOCK, ERASE_PREPARE, ERASE_UNIT, FREEZE_LOCK,
       DISABLE_PASSWORD };
enum { TRIES = 5, ROUND = 64 * MiB, REVISION = 0xfffe };

void ide_security_init(IdeDrive *d)
{
    d->sec.revision = REVISION;
    d->sec.tries = TRIES;
}

void ide_security_power(IdeDrive *d)
{
    d->sec.locked = d->sec.enabled;
    d->sec.frozen = d->sec.prepared = false;
    d->sec.tries = TRIES;
}

bool ide_security_refuses(const IdeDrive *d, uint8_t cmd)
{
    static const uint8_t medium[] = {
        0x06, 0x20, 0x21, 0x24, 0x25, 0x29, 0x30, 0x31, 0x34, 0x35, 0x39, 0x3c,
        0x40, 0x41, 0x42, 0x60, 0x61, 0xc4, 0xc5, 0xc8, 0xc9, 0xca, 0xcb, 0xe7,
        0xea, SET_PASSWORD, FREEZE_LOCK, DISABLE_PASSWORD,
    };

    return d->sec.locked && memchr(medium, cmd, sizeof(medium));
}

void ide_security_identify(IdeDrive *d)
{
    uint8_t *id = d->identify;
    const IdeSecurity *s = &d->sec;
    uint16_t state = 1;

    if (!s->on) {
        return;
    }
    state |= s->enabled ? 1 << 1 : 0;
    state |= s->locked ? 1 << 2 : 0;
    state |= s->frozen ? 1 << 3 : 0;
    state |= s->tries ? 0 : 1 << 4;
    state |= s->enabled && s->maximum ? 1 << 8 : 0;
    st_le16(id + 2 * 82, ld_le16(id + 2 * 82) | 2);
    st_le16(id + 2 * 85, (ld_le16(id + 2 * 85) & ~2) | (s->enabled ? 2 : 0));
    st_le16(id + 2 * 89, 1);           /* two minutes at most                 */
    st_le16(id + 2 * 92, s->revision);
    st_le16(id + 2 * 128, state);
}

/* ---- passwords ----------------------------------------------------------- */

/* Is it that which the block names? Every byte is looked at. */
static bool password_right(const IdeDrive *d)
{
    const uint8_t *want = d->buf[0] & 1 ? d->sec.master : d->sec.user;
    uint8_t differ = 0;

    for (size_t i = 0; i < sizeof(d->sec.user); i++) {
        differ |= want[i] ^ d->buf[2 + i];
    }
    return !differ;
}

/* At the maximum level the master's password does no more than erase. */
static bool password_opens(const IdeDrive *d)
{
    return !(d->buf[0] & 1 && d->sec.maximum) && password_right(d);
}

static MACHINE_CALL void set_password(IdeDrive *d)
{
    IdeSecurity *s = &d->sec;
    uint16_t revision = ld_le16(d->buf + 34);

    if (d->buf[0] & 1) {
        memcpy(s->master, d->buf + 2, sizeof(s->master));
        if (revision && revision != 0xffff) {
            s->revision = revision;
        }
    } else {
        memcpy(s->user, d->buf + 2, sizeof(s->user));
        s->maximum = d->buf[1] & 1;
        s->enabled = true;
    }
    ide_good(d);
}

static MACHINE_CALL void unlock(IdeDrive *d)
{
    IdeSecurity *s = &d->sec;

    if (s->locked && !s->tries) {
        ide_bad(d);
    } else if (!s->enabled || password_opens(d)) {
        s->locked = false;
        s->tries = TRIES;
        ide_good(d);
    } else {
        s->tries -= s->locked;
        ide_bad(d);
    }
}

static MACHINE_CALL void disable(IdeDrive *d)
{
    if (!d->sec.enabled || password_opens(d)) {
        d->sec.enabled = d->sec.maximum = false;
        ide_good(d);
    } else {
        ide_bad(d);
    }
}

/* ---- erasure ------------------------------------------------------------- */

void ide_security_erase(IdeDrive *d)
{
    uint64_t n = MIN2(d->sectors - d->lba, ROUND / 512);

    d->niov = 0;
    ide_submit(d, BLK_ZERO, d->lba * 512, n * 512);
}

void ide_security_erased(IdeDrive *d)
{
    d->lba += d->req.len / 512;
    if (d->lba < d->sectors) {
        ide_security_erase(d);
        return;
    }
    d->lba = 0;
    d->job = JOB_NONE;
    d->sec.enabled = d->sec.locked = d->sec.maximum = false;
    d->sec.tries = TRIES;
    ide_good(d);
}

static MACHINE_CALL void erase(IdeDrive *d)
{
    if ((d->buf[0] & 1 || d->sec.enabled) && !(d->buf[0] & 2) &&
        password_right(d)) {
        d->job = JOB_ERASE;
        d->lba = 0;
        d->left = 0;
        ide_security_erase(d);
    } else {
        ide_bad(d);
    }
}

/* ---- commands ------------------------------------------------------------ */

void ide_security_data(IdeDrive *d)
{
    switch (d->command) {
    case SET_PASSWORD:
        set_password(d);
        break;
    case UNLOCK:
        unlock(d);
        break;
    case ERASE_UNIT:
        erase(d);
        break;
    case DISABLE_PASSWORD:
        disable(d);
        break;
    default:                           /* a stream said so                    */
        ide_bad(d);
        break;
    }
}

void ide_security_command(IdeDrive *d, uint8_t cmd)
{
    IdeSecurity *s = &d->sec;
    bool prepared = s->prepared;

    s->prepared = false;
    if (cmd == FREEZE_LOCK) {
        s->frozen = s->on;
        ide_good(d);
    } else if (!s->on || s->frozen || (cmd == ERASE_UNIT && !prepared)) {
        ide_bad(d);
    } else if (cmd == ERASE_PREPARE) {
        s->prepared = true;
        ide_good(d);
    } else {
        d->status = ST_READY | ST_SEEK;
        ide_pio(d, 512, END_SECURITY);
    }
}

/* ---- saved state --------------------------------------------------------- */

static bool security_needed(const void *opaque)
{
    return ((const IdeDrive *)opaque)->sec.on;
}

static bool security_loaded(void *opaque, int version, Error **errp)
{
    const IdeSecurity *s = &((IdeDrive *)opaque)->sec;

    return (s->tries <= TRIES && s->enabled >= s->locked) ||
           error_set(errp, "ide: a lock without a password");
}

const VmState ide_security_state = {
    .name = "ide-drive/security", .version = 1, .oldest = 1,
    .needed = security_needed, .after_load = security_loaded,
    .fields = (const VmField[]){
        VM_BOOL(IdeDrive, sec.enabled), VM_BOOL(IdeDrive, sec.locked),
        VM_BOOL(IdeDrive, sec.frozen), VM_BOOL(IdeDrive, sec.maximum),
        VM_BOOL(IdeDrive, sec.prepared), VM_U8(IdeDrive, sec.tries),
        VM_U16(IdeDrive, sec.revision), VM_BYTES(IdeDrive, sec.user),
        VM_BYTES(IdeDrive, sec.master), VM_END
    },
};
