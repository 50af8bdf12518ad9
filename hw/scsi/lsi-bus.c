/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lsi-bus.c - the SCSI bus behind the LSI53C895A: targets that keep the bus from
 * selection to COMMAND COMPLETE, their phases and messages (SPI-3, sections 12 and
 * 16). They never disconnect: one command is under way at a time.
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. data holds data_len bytes, at most LSI_DATA_MAX; data_pos <= data_len.
 * 2. `busy`: req is with the SCSI layer; nothing else of it is touched then.
 */
#include <glib.h>
#include "hw/scsi/lsi.h"

enum { MSG_COMPLETE = 0x00, MSG_EXTENDED = 0x01, MSG_ABORT = 0x06,
       MSG_REJECT = 0x07, MSG_NOP = 0x08, MSG_RESET = 0x0c, MSG_ABORT_TAG = 0x0d,
       MSG_CLEAR_QUEUE = 0x0e, MSG_SIMPLE = 0x20, MSG_ORDERED = 0x22,
       MSG_IDENTIFY = 0x80 };

static void drop_data(Lsi *s)
{
    g_clear_pointer(&s->data, g_free);
    s->data_len = s->data_pos = 0;
}

static void set_phase(Lsi *s, LsiPhase p)
{
    s->phase = p;
    if (p < PHASE_BUSY) {
        s->reg[R_SSTAT1] = (s->reg[R_SSTAT1] & ~7) | p;
    }
}

void lsi_bus_free(Lsi *s)
{
    drop_data(s);
    s->leaving = s->atn = false;
    s->msg_len = s->msg_pos = 0;
    set_phase(s, PHASE_FREE);
    s->reg[R_SCNTL1] &= ~SCNTL1_CON;
    s->reg[R_ISTAT0] &= ~ISTAT_CON;
}

bool lsi_select(Lsi *s, unsigned target, bool atn)
{
    if (!scsi_target_exists(&s->bus, target)) {
        return false;
    }
    s->target = (uint8_t)target;
    s->lun = 0;
    s->status = SCSI_GOOD;
    s->atn = atn;
    s->reg[R_SCNTL1] |= SCNTL1_CON;
    s->reg[R_ISTAT0] |= ISTAT_CON;
    set_phase(s, PHASE_MSG_OUT);       /* also for those that forget ATN      */
    return true;
}

void lsi_wants_command(Lsi *s)
{
    if (s->phase == PHASE_MSG_OUT && !s->atn) {
        set_phase(s, PHASE_COMMAND);
    }
}

/* ---- commands ------------------------------------------------------------ */

static MACHINE_CALL void to_status(Lsi *s, uint8_t status)
{
    drop_data(s);
    s->status = status;
    set_phase(s, PHASE_STATUS);
}

static void command_done(ScsiReq *r)
{
    Lsi *s = container_of(r, Lsi, req);

    machine_assert_locked();
    s->busy = false;
    if (r->aborted && s->cancelling) {
        return;
    }
    if (r->aborted) {
        lsi_bus_free(s);               /* the unit has left                   */
    } else if (r->status == SCSI_GOOD && r->dir == SCSI_IN && r->moved) {
        s->status = SCSI_GOOD;
        s->data_len = (uint32_t)MIN2(r->moved, s->data_len);
        s->data_pos = 0;
        set_phase(s, PHASE_DATA_IN);
    } else {
        to_status(s, r->status);
    }
    if (s->wait == WAIT_TARGET && !s->executing) {
        lsi_go_on(s);
    }
}

static MACHINE_CALL void submit(Lsi *s)
{
    s->iov = (struct iovec){ s->data, s->data_len };
    s->req.iov = &s->iov;
    s->req.niov = s->data_len ? 1 : 0;
    s->req.iov_len = s->data_len;
    s->busy = true;
    set_phase(s, PHASE_BUSY);
    scsi_submit(&s->req);
}

static MACHINE_CALL void command(Lsi *s)
{
    ScsiReq *r = &s->req;

    r->lun = s->lun;
    r->done = command_done;
    scsi_begin(&s->bus, r, s->target);
    drop_data(s);
    if (r->xfer > LSI_DATA_MAX) {
        s->status = SCSI_CHECK;
        if (r->dev) {
            r->dev->sense = SENSE_BAD_FIELD;
        }
        set_phase(s, PHASE_STATUS);
        return;
    }
    s->data_out = r->dir == SCSI_OUT;
    if (r->dir != SCSI_NONE) {
        s->data = g_malloc0((size_t)r->xfer);
        s->data_len = (uint32_t)r->xfer;
    }
    if (s->data_out) {
        set_phase(s, PHASE_DATA_OUT);
    } else {
        submit(s);
    }
}

void lsi_cancel(Lsi *s)
{
    if (s->busy) {
        s->cancelling = true;
        scsi_cancel(&s->req);
        while (s->busy) {
            loop_step(true);
        }
        s->cancelling = false;
    }
    work_cancel(loop_main, &s->work);
}

void lsi_bus_reset(Lsi *s)
{
    lsi_cancel(s);
    for (unsigned i = 0; i < s->bus.hba->targets; i++) {
        for (ScsiDevice *d = s->bus.targets[i]; d; d = d->next) {
            scsi_unit_reset(d);
        }
    }
    lsi_bus_free(s);
}

/* ---- messages ------------------------------------------------------------ */

static void answer(Lsi *s, uint8_t msg)
{
    s->msg_in[0] = msg;
    s->msg_len = 1;
    s->msg_pos = 0;
    s->after_msg = PHASE_COMMAND;
}

static MACHINE_CALL void leave_now(Lsi *s, bool reset)
{
    ScsiDevice *d = scsi_find(&s->bus, s->target, s->lun);

    lsi_cancel(s);
    if (reset && d) {
        scsi_unit_reset(d);
    }
    lsi_bus_free(s);
}

/* The bytes of one message phase. */
static MACHINE_CALL void messages(Lsi *s, const uint8_t *m, uint32_t n)
{
    while (n) {
        uint32_t len = 1;

        if (m[0] == MSG_EXTENDED) {
            len = n > 1 ? MIN2(n, 2u + (m[1] ? m[1] : 256u)) : n;
            answer(s, MSG_REJECT);     /* narrow and asynchronous it stays    */
        } else if (m[0] >= MSG_SIMPLE && m[0] <= MSG_ORDERED) {
            len = MIN2(n, 2);          /* tags do not matter here             */
        } else if (m[0] & MSG_IDENTIFY) {
            s->lun = m[0] & 7;
        } else if (m[0] == MSG_ABORT || m[0] == MSG_ABORT_TAG ||
                   m[0] == MSG_CLEAR_QUEUE || m[0] == MSG_RESET) {
            leave_now(s, m[0] == MSG_RESET);
            return;
        } else if (m[0] != MSG_NOP && m[0] != MSG_REJECT) {
            answer(s, MSG_REJECT);
        }
        m += len;
        n -= len;
    }
    s->atn = false;
    set_phase(s, s->msg_len ? PHASE_MSG_IN : PHASE_COMMAND);
}

/* ---- transfers ----------------------------------------------------------- */

static MACHINE_CALL uint32_t data(Lsi *s, uint64_t addr, uint32_t n, bool *bad)
{
    n = MIN2(n, s->data_len - s->data_pos);
    *bad = s->phase == PHASE_DATA_IN
        ? !lsi_mem_write(s, addr, s->data + s->data_pos, n)
        : !lsi_mem_read(s, addr, s->data + s->data_pos, n);
    if (*bad) {
        return 0;
    }
    if (n && s->phase == PHASE_DATA_IN) {
        s->reg[R_SFBR] = s->data[s->data_pos];
    }
    s->data_pos += n;
    if (s->data_pos == s->data_len) {
        if (s->phase == PHASE_DATA_IN) {
            to_status(s, s->status);
        } else {
            submit(s);
        }
    }
    return n;
}

static MACHINE_CALL uint32_t byte_in(Lsi *s, uint64_t addr, uint8_t b,
                                     bool *bad)
{
    *bad = !lsi_mem_write(s, addr, &b, 1);
    s->reg[R_SFBR] = b;
    return *bad ? 0 : 1;
}

static MACHINE_CALL uint32_t bytes_out(Lsi *s, uint64_t addr, uint32_t n,
                                       bool *bad)
{
    uint8_t b[32] = { 0 };

    n = MIN2(n, s->phase == PHASE_COMMAND ? 16u : (uint32_t)sizeof(b));
    *bad = !lsi_mem_read(s, addr, b, n);
    if (*bad) {
        return 0;
    }
    s->reg[R_SFBR] = b[0];
    if (s->phase == PHASE_COMMAND) {
        memset(s->req.cdb, 0, sizeof(s->req.cdb));
        memcpy(s->req.cdb, b, n);
        command(s);
    } else {
        messages(s, b, n);
    }
    return n;
}

uint32_t lsi_transfer(Lsi *s, uint64_t addr, uint32_t n, bool *bad)
{
    uint32_t got;

    *bad = false;
    switch (s->phase) {
    case PHASE_DATA_OUT:
    case PHASE_DATA_IN:
        return data(s, addr, n, bad);
    case PHASE_COMMAND:
    case PHASE_MSG_OUT:
        return bytes_out(s, addr, n, bad);
    case PHASE_STATUS:
        got = byte_in(s, addr, s->status, bad);
        answer(s, MSG_COMPLETE);
        set_phase(s, PHASE_MSG_IN);
        return got;
    default:
        got = byte_in(s, addr, s->msg_in[s->msg_pos], bad);
        s->leaving = s->msg_in[0] == MSG_COMPLETE;
        return got;
    }
}

/* The initiator has taken the byte: the target goes on. */
void lsi_ack_cleared(Lsi *s)
{
    if (s->phase != PHASE_MSG_IN) {
        return;
    }
    if (s->leaving) {
        lsi_bus_free(s);
    } else if (++s->msg_pos >= s->msg_len) {
        s->msg_len = s->msg_pos = 0;
        set_phase(s, s->atn ? PHASE_MSG_OUT : (LsiPhase)s->after_msg);
    }
}
