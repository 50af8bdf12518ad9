/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lsi-script.c - the SCRIPTS processor of the LSI53C895A (Technical Manual,
 * chapter 5).
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. At most BURST instructions run at a time; a program that goes on longer is
 *    continued from the main loop, after a pause.
 * 2. `active` while a program runs or waits; `wait` says for what.
 */
#include <glib.h>
#include "hw/scsi/lsi.h"

#define BURST 2000

typedef struct Insn {
    uint32_t op, arg;                  /* DCMD with DBC; DSPS                 */
    uint32_t at;                       /* its address                         */
} Insn;

static void stop_program(Lsi *s)
{
    s->active = false;
    s->wait = WAIT_NOT;
    s->reg[R_ISTAT1] &= ~2;
}

static void wait_for(Lsi *s, LsiWait w, uint32_t at)
{
    s->wait = (uint8_t)w;
    lsi_set32(s, R_DSP, at);           /* the same instruction once more      */
}

static int32_t signed24(uint32_t v)
{
    return (int32_t)(v << 8) >> 8;
}

/* ---- block moves --------------------------------------------------------- */

/* Upper half of an address that a table entry gives by its first byte. */
static uint64_t upper_half(const Lsi *s, uint8_t byte)
{
    uint8_t mode = s->reg[R_CCNTL1];

    if (!(mode & 2)) {                 /* table entries have no upper half    */
        return 0;
    }
    if (mode & 4) {                    /* bits 39 to 32 stand there           */
        return (uint64_t)byte << 32;
    }
    byte &= 0x1f;
    return byte < 16
        ? (uint64_t)lsi_get32(s, R_SCRATCHC + 4u * byte) << 32
        : byte < 22 ? (uint64_t)lsi_get32(s, R_MMRS + 4u * (byte - 16)) << 32
        : 0;
}

/* Where the data is, and how much. false: the table is not there. */
static MACHINE_CALL bool move_operands(Lsi *s, const Insn *i, uint64_t *addr,
                                       uint32_t *n)
{
    uint8_t e[8];
    uint32_t at;

    *addr = i->arg;
    *n = i->op & 0xffffff;
    lsi_set32(s, R_ESA, i->at);
    if (i->op & 1u << 28) {            /* table indirect                      */
        at = lsi_get32(s, R_DSA) + (uint32_t)signed24(i->arg & 0xffffff);
        if (!lsi_mem_read(s, at, e, sizeof(e))) {
            return false;
        }
        *n = ld_le32(e) & 0xffffff;
        *addr = ld_le32(e + 4) | upper_half(s, e[3]);
        lsi_set32(s, R_ESA, at);
    } else if (i->op & 1u << 29) {     /* indirect                            */
        if (!lsi_mem_read(s, i->arg, e, 4)) {
            return false;
        }
        *addr = ld_le32(e);
    }
    return true;
}

static MACHINE_CALL void mismatch(Lsi *s, const Insn *i, uint64_t addr,
                                  uint32_t left)
{
    bool out = !(i->op >> 24 & 1);
    uint8_t c = s->reg[R_CCNTL0];

    lsi_set32(s, R_DBC, left | (i->op & 0xff000000u));
    lsi_set32(s, R_DNAD, (uint32_t)addr);
    lsi_set32(s, R_RBC, left | (i->op & 0xff000000u));
    lsi_set32(s, R_UA, (uint32_t)addr);
    lsi_set32(s, R_IA, i->at);
    if (!(c & 0x80)) {
        stop_program(s);
        lsi_scsi_irq(s, SIST0_MA, 0);
        return;
    }
    /* WSR never is: there is no wide transfer. */
    lsi_set32(s, R_DSP, lsi_get32(s, c & 0x40 && !out ? R_PMJAD2 : R_PMJAD1));
}

static MACHINE_CALL void block_move(Lsi *s, const Insn *i)
{
    uint8_t phase = i->op >> 24 & 7;
    uint64_t addr;
    uint32_t n, moved = 0;
    bool bad = false;

    if (s->phase == PHASE_BUSY) {
        wait_for(s, WAIT_TARGET, i->at);
        return;
    }
    if (s->phase == PHASE_FREE) {
        stop_program(s);
        lsi_scsi_irq(s, SIST0_UDC, 0);
        return;
    }
    if (phase == PHASE_COMMAND) {
        lsi_wants_command(s);
    }
    if (!move_operands(s, i, &addr, &n)) {
        stop_program(s);
        lsi_dma_irq(s, DSTAT_BF);
        return;
    }
    while (moved < n && s->phase == phase) {
        uint32_t got;

        if (moved && phase == PHASE_MSG_IN) {
            lsi_ack_cleared(s);        /* all bytes but the last              */
            if (s->phase != phase) {
                break;
            }
        }
        got = lsi_transfer(s, addr + moved, n - moved, &bad);
        moved += got;
        if (bad || !got) {
            break;
        }
    }
    lsi_set32(s, R_SBC, moved & 0xffffff);
    lsi_set32(s, R_CSBC, lsi_get32(s, R_CSBC) + moved);
    lsi_set32(s, R_DNAD, (uint32_t)(addr + moved));
    if (bad) {
        stop_program(s);
        lsi_dma_irq(s, DSTAT_BF);
    } else if (moved < n) {
        if (s->phase == PHASE_BUSY || s->phase == PHASE_FREE) {
            /* The target takes fewer bytes than there were: the phase that
             * follows decides. */
            s->reg[R_SSTAT1] &= ~7;
        }
        mismatch(s, i, addr + moved, n - moved);
    } else {
        st_le16(s->reg + R_DBC, 0);
        s->reg[R_DBC + 2] = 0;
    }
}

/* ---- I/O instructions ---------------------------------------------------- */

static MACHINE_CALL void select_target(Lsi *s, const Insn *i)
{
    uint32_t id = i->op >> 16 & 15, entry;
    uint8_t e[4];

    if (i->op & 1u << 25) {            /* table indirect                      */
        entry = lsi_get32(s, R_DSA) + (uint32_t)signed24(i->op & 0xffffff);
        if (!lsi_mem_read(s, entry, e, 4)) {
            stop_program(s);
            lsi_dma_irq(s, DSTAT_BF);
            return;
        }
        id = e[2] & 15;
        s->reg[0x05] = e[1];           /* SXFER                               */
        s->reg[0x03] = e[3];           /* SCNTL3                              */
    }
    s->reg[R_SDID] = (uint8_t)id;
    lsi_ack_cleared(s);                /* the last target leaves by now       */
    if (s->phase != PHASE_FREE) {
        guest_fault("lsi53c895a", "selection while the bus is taken");
        lsi_cancel(s);
        lsi_bus_free(s);
    }
    if (!lsi_select(s, id, i->op & 1u << 24)) {
        /* It times out while the next instruction waits for a phase. */
        lsi_set32(s, R_DSP, i->at + 16);
        stop_program(s);
        lsi_scsi_irq(s, 0, SIST1_STO);
    }
}

static MACHINE_CALL void wait_reselect(Lsi *s, const Insn *i)
{
    if (s->reg[R_ISTAT0] & ISTAT_SIGP) {
        lsi_set32(s, R_DSP, i->op & 1u << 26
                  ? i->at + 8 + (uint32_t)signed24(i->arg) : i->arg);
    } else {
        wait_for(s, WAIT_RESELECT, i->at);
    }
}

static MACHINE_CALL void io_insn(Lsi *s, const Insn *i)
{
    switch (i->op >> 27 & 7) {
    case 0:
        select_target(s, i);
        break;
    case 1:                            /* WAIT DISCONNECT                     */
        lsi_ack_cleared(s);
        if (s->phase == PHASE_BUSY) {
            wait_for(s, WAIT_TARGET, i->at);
        } else if (s->phase != PHASE_FREE) {
            lsi_bus_free(s);
        }
        break;
    case 2:
        wait_reselect(s, i);
        break;
    case 3:
        s->atn |= i->op >> 3 & 1;
        s->carry |= i->op >> 10 & 1;
        break;
    default:
        s->atn &= !(i->op >> 3 & 1);
        s->carry &= !(i->op >> 10 & 1);
        if (i->op >> 6 & 1) {
            lsi_ack_cleared(s);
        }
        break;
    }
}

/* ---- registers ----------------------------------------------------------- */

static uint8_t compute(Lsi *s, uint32_t op, uint8_t a, uint8_t b)
{
    unsigned sum;
    bool c;

    switch (op >> 24 & 7) {
    case 0:
        return b;
    case 1:
        c = a >> 7;
        a = (uint8_t)(a << 1 | s->carry);
        s->carry = c;
        return a;
    case 2:
        return a | b;
    case 3:
        return a ^ b;
    case 4:
        return a & b;
    case 5:
        c = a & 1;
        a = (uint8_t)(a >> 1 | s->carry << 7);
        s->carry = c;
        return a;
    case 6:
        sum = (unsigned)a + b;
        s->carry = sum > 255;
        return (uint8_t)sum;
    default:
        sum = (unsigned)a + b + s->carry;
        s->carry = sum > 255;
        return (uint8_t)sum;
    }
}

static MACHINE_CALL void register_insn(Lsi *s, const Insn *i)
{
    uint8_t r = (i->op >> 16 & 0x7f) | (i->op & 0x80);
    uint8_t imm = i->op & 1u << 23 ? s->reg[R_SFBR] : i->op >> 8 & 0xff;
    unsigned kind = i->op >> 27 & 7;
    uint8_t a = kind == 5 ? s->reg[R_SFBR]
              : kind == 6 && (i->op >> 24 & 7) == 0 ? 0 : lsi_reg_read(s, r);
    uint8_t v;

    if (kind == 6 && (i->op >> 24 & 7) == 0) {
        v = imm;                       /* MOVE data TO SFBR                   */
    } else {
        v = compute(s, i->op, a, imm);
    }
    if (kind == 6) {
        s->reg[R_SFBR] = v;
    } else {
        lsi_reg_write(s, r, v);
    }
}

/* ---- transfer control ---------------------------------------------------- */

static bool condition(const Lsi *s, const Insn *i)
{
    bool want = i->op & 1u << 19, ok = true;

    if (i->op & 1u << 21) {
        return s->carry == want;
    }
    if (!(i->op & (1u << 17 | 1u << 18))) {
        return want;
    }
    if (i->op & 1u << 17) {
        ok = (s->reg[R_SSTAT1] & 7) == (i->op >> 24 & 7) &&
             s->phase != PHASE_FREE;
    }
    if (ok && i->op & 1u << 18) {
        uint8_t mask = (uint8_t)~(i->op >> 8);

        ok = (s->reg[R_SFBR] & mask) == (i->op & mask & 0xff);
    }
    return ok == want;
}

static MACHINE_CALL void control(Lsi *s, const Insn *i)
{
    uint32_t to = i->arg;

    if (i->op & 1u << 17 && s->phase == PHASE_BUSY) {
        wait_for(s, WAIT_TARGET, i->at);
        return;
    }
    if (!condition(s, i)) {
        return;
    }
    if (i->op & 1u << 23) {
        to = i->at + 8 + (uint32_t)signed24(i->arg);
    }
    switch (i->op >> 27 & 7) {
    case 0:
        lsi_set32(s, R_DSP, to);
        break;
    case 1:
        lsi_set32(s, R_TEMP, i->at + 8);
        lsi_set32(s, R_DSP, to);
        break;
    case 2:
        lsi_set32(s, R_DSP, lsi_get32(s, R_TEMP));
        break;
    default:
        if (i->op & 1u << 20) {        /* INTFLY: the program goes on         */
            s->reg[R_ISTAT0] |= ISTAT_INTF;
            lsi_update_irq(s);
        } else {
            stop_program(s);
            lsi_dma_irq(s, DSTAT_SIR);
        }
        break;
    }
}

/* ---- memory -------------------------------------------------------------- */

static MACHINE_CALL void memory_move(Lsi *s, const Insn *i)
{
    uint32_t n = i->op & 0xffffff, at = lsi_get32(s, R_DSP), done = 0;
    uint8_t to[4], b[256];
    bool ok = lsi_mem_read(s, at, to, 4);

    lsi_set32(s, R_DSP, at + 4);
    lsi_set32(s, R_TEMP, ld_le32(to));
    while (ok && done < n) {
        uint32_t part = MIN2(n - done, (uint32_t)sizeof(b));

        ok = lsi_mem_read(s, i->arg + done, b, part) &&
             lsi_mem_write(s, ld_le32(to) + done, b, part);
        done += part;
    }
    if (!ok) {
        stop_program(s);
        lsi_dma_irq(s, DSTAT_BF);
    }
}

static MACHINE_CALL void load_store(Lsi *s, const Insn *i)
{
    uint32_t n = i->op & 7, addr = i->arg;
    uint8_t r = i->op >> 16 & 0xff, b[8] = { 0 };
    bool ok;

    if (i->op & 1u << 28) {
        addr = lsi_get32(s, R_DSA) + (uint32_t)signed24(i->arg & 0xffffff);
    }
    if (i->op & 1u << 24) {
        ok = lsi_mem_read(s, addr, b, n);
        for (uint32_t k = 0; ok && k < n; k++) {
            lsi_reg_write(s, (uint8_t)(r + k), b[k]);
        }
    } else {
        for (uint32_t k = 0; k < n; k++) {
            b[k] = lsi_reg_read(s, (uint8_t)(r + k));
        }
        ok = lsi_mem_write(s, addr, b, n);
    }
    if (!ok) {
        stop_program(s);
        lsi_dma_irq(s, DSTAT_BF);
    }
}

/* ---- the processor ------------------------------------------------------- */

static MACHINE_CALL void step(Lsi *s)
{
    Insn i = { .at = lsi_get32(s, R_DSP) };
    uint8_t b[8];

    if (!lsi_mem_read(s, i.at, b, sizeof(b))) {
        stop_program(s);
        lsi_dma_irq(s, DSTAT_BF);
        return;
    }
    i.op = ld_le32(b);
    i.arg = ld_le32(b + 4);
    lsi_set32(s, R_DBC, i.op);
    lsi_set32(s, R_DSPS, i.arg);
    lsi_set32(s, R_DSP, i.at + 8);
    switch (i.op >> 30) {
    case 0:
        block_move(s, &i);
        break;
    case 1:
        if ((i.op >> 27 & 7) < 5) {
            io_insn(s, &i);
        } else {
            register_insn(s, &i);
        }
        break;
    case 2:
        control(s, &i);
        break;
    default:
        if (i.op & 1u << 29) {
            load_store(s, &i);
        } else {
            memory_move(s, &i);
        }
        break;
    }
}

void lsi_go(Lsi *s)
{
    unsigned n = 0;

    if (s->executing) {
        return;                        /* a store to its own registers        */
    }
    s->executing = true;
    s->active = true;
    s->wait = WAIT_NOT;
    s->reg[R_ISTAT1] |= 2;
    while (s->active && s->wait == WAIT_NOT && n++ < BURST) {
        step(s);
        if (s->active && s->reg[R_DCNTL] & 0x10) {             /* single step */
            stop_program(s);
            lsi_dma_irq(s, DSTAT_SSI);
        }
    }
    s->executing = false;
    if (s->wait == WAIT_TARGET && !s->busy) {
        s->wait = WAIT_NOT;            /* answered while it was executed      */
    }
    if (s->active && s->wait == WAIT_NOT) {
        loop_post(loop_main, &s->work);
    }
}

void lsi_go_on(void *opaque)
{
    Lsi *s = opaque;

    machine_assert_locked();
    if (s->active) {
        lsi_go(s);
    }
}
