/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * exec.c - the engine's loop: blocks, exceptions, interrupts, kicks.
 * Intel SDM vol. 3, 6.9 (priority), 6.15 (double fault), 17.3 (debug traps).
 *
 * Thread class: the vCPU's thread; soft_kick is ANY_THREAD.
 */
#include <sys/mman.h>
#include "soft.h"

#define CR0_EM (1u << 2)
#define CR0_TS (1u << 3)
#define CR4_OSFXSR (1u << 9)
#define CR4_OSXSAVE (1u << 18)

/* What soft_run is returned to for. */
enum { FAULTED = 1, AGAIN };

_Noreturn void soft_fault_err(SoftCpu *c, const Slot *s, int vec, uint32_t err)
{
    if (s) {
        c->r[R_IP] = ip_of(c, s);
    }
    c->exc = vec;
    c->exc_has_err = true;
    c->exc_err = err | (c->ext && vec >= EXC_TS && vec <= EXC_GP);
    _longjmp(c->jb, FAULTED);
}

_Noreturn void soft_fault(SoftCpu *c, const Slot *s, int vec)
{
    if (s) {
        c->r[R_IP] = ip_of(c, s);
    }
    c->exc = vec;
    c->exc_has_err = vec == EXC_DF || (vec >= EXC_TS && vec <= EXC_PF) ||
        vec == EXC_AC;
    c->exc_err = 0;
    _longjmp(c->jb, FAULTED);
}

const Slot *soft_h_ud(SoftCpu *c, const Slot *s)
{
    SOFT_UD(c, s);
}

const Slot *soft_h_end(SoftCpu *c, const Slot *s)
{
    BRANCH(1, ip_mask(c, c->r[R_IP] + s->off));
}

const Slot *soft_branch_out(SoftCpu *c, const Slot *s, uint64_t ip, unsigned k)
{
    Block *b = s->blk, *n;
    uint64_t base = c->segbase[SEG_CS], la = ip + base;
    bool near = !((c->r[R_IP] + base) >> 12 ^ la >> 12);
    const Slot *to;

    c->r[R_IP] = ip;
    if (!c->code64) {
        la = (uint32_t)la;
    }
    n = b->far[k];
    if (LIKELY(!near && block_good(c, n) && block_mapped(c, n, la))) {
        c->cur = n;
        GOTO_SLOT(n->slots);
    }
    to = soft_jump(c);
    if (to) {
        *(near && !b->cross ? &b->link[k] : &b->far[k]) = c->cur;
        GOTO_SLOT(to);
    }
    c->link_from = near && !b->cross ? &b->link[k] : &b->far[k];
    LEAVE;
}

void soft_fpu_pick(SoftCpu *c)
{
    X86Regs *x = c->x;
    bool ts = x->cr0 & CR0_TS;

    c->fpu_bad = x->cr0 & (CR0_TS | CR0_EM) ? EXC_NM : 0;
    c->sse_bad = x->cr0 & CR0_EM || !(x->cr4 & CR4_OSFXSR) ? EXC_UD :
        ts ? EXC_NM : 0;
    c->avx_bad = !(x->cr4 & CR4_OSXSAVE) || (x->xcr0 & 6) != 6 ||
        !soft_pe(c) || soft_v86(c) ? EXC_UD : ts ? EXC_NM : 0;
}

void soft_seg_update(SoftCpu *c, unsigned seg)
{
    const X86Seg *g = &c->x->seg[seg];
    bool data = (g->attr & 0x18) == 0x10, flat;

    if (c->code64) {
        c->segbase[seg] = seg >= SEG_FS ? g->base : 0;
        return;
    }
    c->segbase[seg] = g->base;
    flat = g->limit == 0xffffffff && g->attr & 0x80 &&
        (seg == SEG_CS ? 1 : data && (g->attr & 6) == 2);
    c->mode = (c->mode & ~(MW_NOCHK << seg)) | (flat ? MW_NOCHK << seg : 0);
    if (seg == SEG_SS) {
        c->mode = (c->mode & ~MW_SS32) | (g->attr & 0x400 ? MW_SS32 : 0);
    }
}

void soft_mode_update(SoftCpu *c)
{
    X86Regs *x = c->x;
    unsigned size;

    c->lma = !!(x->efer & 0x400);
    c->code64 = c->lma && x->seg[SEG_CS].attr & 0x200;
    size = c->code64 ? MODE_64 : x->seg[SEG_CS].attr & 0x400 ? MODE_32 :
        MODE_16;
    c->mode = size;
    for (unsigned i = 0; i < X86_SEG_COUNT; i++) {
        soft_seg_update(c, i);
    }
    if (c->eflags & (F_TF | F_RF) || x->dr[7] & 0xff || c->shadow ||
        c->single_req || soft_watch_count) {
        c->mode |= MW_SINGLE;
    }
    soft_mmu_pick(c);
    soft_fpu_pick(c);
}

void soft_cpl_set(SoftCpu *c, unsigned cpl)
{
    c->cpl = cpl;
    soft_mmu_pick(c);
}

void soft_eflags_write(SoftCpu *c, uint32_t v, uint32_t mask)
{
    fl_set(c, (fl_get(c) & ~mask) | (v & mask));
    mask &= F_VALID & ~F_ARITH;
    c->eflags = (c->eflags & ~mask) | (v & mask);
    if (c->eflags & F_IF && c->irq_wait) {
        __atomic_fetch_or(&c->kick, KICK_IRQ, __ATOMIC_SEQ_CST);
    }
    soft_mode_update(c);
}

void soft_kick(SoftCpu *c, uint32_t bits)
{
    __atomic_fetch_or(&c->kick, bits, __ATOMIC_SEQ_CST);
}

_Noreturn void soft_again(SoftCpu *c, const Slot *s)
{
    c->r[R_IP] = ip_of(c, s);
    _longjmp(c->jb, AGAIN);
}

static bool contributory(int v)
{
    return v == EXC_DE || (v >= EXC_TS && v <= EXC_GP);
}

/* A fault was raised; turn it into the event to deliver. False: shutdown. */
static bool combine(SoftCpu *c)
{
    int first = c->delivering_vec, vec = c->exc;

    if (!c->delivering) {
        return true;
    }
    if (first == EXC_DF && c->delivering == 1) {
        return false;
    }
    if (c->delivering == 1 &&
        ((contributory(first) && contributory(vec)) ||
         (first == EXC_PF && (contributory(vec) || vec == EXC_PF)))) {
        c->exc = EXC_DF;
        c->exc_has_err = true;
        c->exc_err = 0;
    }
    return true;
}

static void deliver(SoftCpu *c, int vec, int kind, bool has_err, uint32_t err)
{
    c->delivering = kind == EV_EXC ? 1 : 2;
    c->delivering_vec = vec;
    c->link_from = NULL;
    c->halted = false;
    soft_event(c, vec, kind, has_err, err, c->r[R_IP]);
    c->delivering = 0;
}

/* Instruction breakpoints of DR0-3 at the next instruction. */
static void check_breakpoints(SoftCpu *c)
{
    uint64_t dr7 = c->x->dr[7], la = c->r[R_IP] + c->segbase[SEG_CS], hit = 0;

    if (c->eflags & F_RF || !(dr7 & 0xff)) {
        return;
    }
    for (int i = 0; i < 4; i++) {
        if (dr7 >> 2 * i & 3 && !(dr7 >> (16 + 4 * i) & 15) &&
            c->x->dr[i] == la) {
            hit |= 1ull << i;
        }
    }
    if (hit) {
        c->x->dr[6] = (c->x->dr[6] & ~15ull) | hit;
        c->exc_soft = 1;
        soft_fault(c, NULL, EXC_DB);
    }
}

void soft_db_trap(SoftCpu *c, uint64_t dr6)
{
    c->x->dr[6] = (c->x->dr[6] & ~0xfull) | dr6;
    deliver(c, EXC_DB, EV_EXC, false, 0);
}

/* What the last instruction, or a switch to a task whose T bit is set, has left
 * to trap; a load of SS holds it back. */
static bool pending_trap(SoftCpu *c)
{
    uint64_t db = c->pend_db;

    if (!db || c->shadow & 2) {
        return false;
    }
    c->pend_db = 0;
    soft_db_trap(c, db);
    return true;
}

static void run_one(SoftCpu *c)
{
    bool tf = c->eflags & F_TF, shadow = c->shadow;
    const Slot *s;
    Block *b;

    if (UNLIKELY(soft_point_count) && !c->single_req &&
        soft_point_here(c, c->r[R_IP])) {
        c->debug_stop = true;
        return;
    }
    if (pending_trap(c)) {
        return;
    }
    check_breakpoints(c);
    c->eflags &= ~F_RF;
    c->shadow = 0;
    b = soft_block(c);
    c->cur = b;
    c->link_from = NULL;
    s = b->slots;
    /* nothing may follow this one instruction before its trap */
    soft_kick(c, KICK_STEP);
    while (s) {
        s = s->fn(c, s);
    }
    if (tf) {
        c->pend_db |= 0x4000;
    }
    if (shadow != c->shadow || !c->shadow) {
        soft_mode_update(c);
    }
    pending_trap(c);
    if (c->single_req || c->watch_type) {
        c->debug_stop = true;
    }
}

/* Events between blocks. True: leave the loop. */
static bool service(SoftCpu *c)
{
    uint32_t k = __atomic_exchange_n(&c->kick, 0, __ATOMIC_SEQ_CST);

    if (k & KICK_FLUSH) {
        soft_tlb_flush(c, true);
    }
    if (k & KICK_SMI && !c->x->smm) {
        soft_smm_enter(c);
    }
    c->irq_wait |= !!(k & KICK_IRQ);
    if (k & KICK_MCE && c->x->mce_pending) {
        c->x->mce_pending = 0;
        /* a fault on the way must not lose these */
        soft_kick(c, k & (KICK_EXIT | KICK_INIT | KICK_NMI));
        deliver(c, EXC_MC, EV_HARD, false, 0);
        k &= ~KICK_NMI;
    }
    if (k & KICK_NMI) {
        if (c->nmi_masked) {
            c->x->nmi_pending = 1;
        } else if (c->shadow) {
            soft_kick(c, KICK_NMI);     /* after the next instruction */
        } else {
            c->nmi_masked = true;
            /* a fault on the way must not lose these */
            soft_kick(c, k & (KICK_EXIT | KICK_INIT));
            deliver(c, EXC_NMI, EV_HARD, false, 0);
        }
    }
    return k & (KICK_EXIT | KICK_INIT);
}

static void take_irq(SoftCpu *c)
{
    int vec;

    /* a debugger's step is one of the program, not of a handler */
    if (!c->irq_wait || !(c->eflags & F_IF) || c->shadow || c->single_req) {
        return;
    }
    vec = c->hooks->irq_ack(c);
    if (vec < 0) {
        c->irq_wait = false;
        return;
    }
    deliver(c, vec, EV_HARD, false, 0);
}

int soft_run(SoftCpu *c)
{
    Block *b;
    const Slot *s;

    int why = _setjmp(c->jb);

    if (why) {
        soft_lock_end(c);
        c->ext = false;
    }
    if (why == AGAIN) {
        c->delivering = 0;
        c->link_from = NULL;
        soft_mmu_pick(c);
    } else if (why) {
        if (!combine(c)) {
            c->delivering = 0;
            c->shutdown = true;
            return SOFT_SHUTDOWN;
        }
        soft_mmu_pick(c);
        if (c->hooks->exception &&
            c->hooks->exception(c, c->exc, c->exc_err)) {
            c->delivering = 0;
            return SOFT_DEBUG;
        }
        deliver(c, c->exc, EV_EXC, c->exc_has_err, c->exc_err);
        if (c->single_req) {
            return SOFT_DEBUG;
        }
    }
    for (;;) {
        if (__atomic_load_n(&c->kick, __ATOMIC_RELAXED) && service(c)) {
            if (c->debug_stop) {
                c->debug_stop = false;
                return SOFT_DEBUG;
            }
            return SOFT_KICK;
        }
        take_irq(c);
        if (c->halted) {
            return SOFT_HALT;
        }
        if (c->mode & MW_SINGLE) {
            run_one(c);
            if (c->debug_stop) {
                c->debug_stop = false;
                return SOFT_DEBUG;
            }
            continue;
        }
        Block **link = c->link_from;

        c->link_from = NULL;
        b = soft_block(c);
        /* a flush of the pool would have made the link stale */
        if (link && !b->cross && c->cur) {
            *link = b;
        }
        c->cur = b;
        s = b->slots;
        while (s) {
            s = s->fn(c, s);
        }
    }
}

bool soft_init(SoftCpu *c, X86Regs *x, const SoftHooks *hooks, void *owner,
               size_t pool)
{
    memset(c, 0, sizeof(*c));
    c->x = x;
    c->hooks = hooks;
    c->owner = owner;
    c->a20_mask = ~0ull;
    c->phys_mask = (1ull << 40) - 1;
    c->cr4_valid = 0x771ffc;              /* no VME, no PVI */
    c->efer_valid = 0x4d01;
    c->xcr0_valid = 0x207;
    c->pool = mmap(NULL, pool, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (c->pool == MAP_FAILED) {
        c->pool = NULL;
        return false;
    }
    c->pool_size = pool;
    c->tlb = c->tlbs[0];
    soft_flush_blocks(c);
    soft_tlb_flush(c, true);
    return true;
}

void soft_fini(SoftCpu *c)
{
    if (c->pool) {
        munmap(c->pool, c->pool_size);
        c->pool = NULL;
    }
}

void soft_load(SoftCpu *c)
{
    X86Regs *x = c->x;

    memcpy(c->r, x->gpr, sizeof(x->gpr));
    c->r[R_ZERO] = 0;
    c->r[R_IP] = x->rip;
    c->eflags = x->rflags & F_VALID & ~F_ARITH;
    fl_set(c, x->rflags);
    c->cpl = x->cr0 & 1 ? x->rflags & F_VM ? 3 : x->seg[SEG_SS].attr >> 5 & 3 :
        0;
    c->halted = x->halted;
    c->nmi_masked = x->nmi_blocked;
    c->shadow = (x->sti_shadow ? 1 : 0) | (x->ss_shadow ? 2 : 0);
    c->shutdown = false;
    c->delivering = 0;
    c->pend_db = 0;
    c->link_from = NULL;               /* what ran last did not jump to here  */
    c->irq_wait = true;
    c->segbase[6] = c->segbase[7] = 0;
    if (x->cr0 >> 31 && x->cr4 & 0x20 && !(x->efer & 0x400)) {
        soft_load_pdptes(c, x->cr3);
    }
    soft_x87_load(c);
    soft_tlb_flush(c, true);
    soft_mode_update(c);
}

void soft_save(SoftCpu *c)
{
    X86Regs *x = c->x;

    memcpy(x->gpr, c->r, sizeof(x->gpr));
    soft_x87_save(c);
    x->rip = c->r[R_IP];
    x->rflags = eflags_get(c);
    x->halted = c->halted;
    x->nmi_blocked = c->nmi_masked;
    x->sti_shadow = c->shadow & 1;
    x->ss_shadow = c->shadow >> 1;
}
