/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ops-sys.c - privileged instructions, far transfers, interrupts by software.
 * Intel SDM vol. 2 and 3; AMD64 APM vol. 2 and 3.
 *
 * Thread class: the vCPU's thread.
 */
#include "seg.h"
#include "ops-sys.h"

void soft_need_cpl0(SoftCpu *c, const Slot *s)
{
    if (c->cpl) {
        SOFT_GP0(c, s);
    }
}

static void need_iopl(SoftCpu *c, const Slot *s)
{
    unsigned iopl = c->eflags >> 12 & 3;

    if (soft_pe(c) && (soft_v86(c) ? iopl < 3 : c->cpl > iopl)) {
        SOFT_GP0(c, s);
    }
}

static void need_prot(SoftCpu *c, const Slot *s)
{
    if (!soft_pe(c) || soft_v86(c)) {
        SOFT_UD(c, s);
    }
}

static void umip(SoftCpu *c, const Slot *s)
{
    if (c->cpl && c->x->cr4 >> 11 & 1) {
        SOFT_GP0(c, s);
    }
}

/* ---- control registers --------------------------------------------------- */
static bool cr0_write(SoftCpu *c, uint64_t v)
{
    X86Regs *x = c->x;
    uint64_t old = x->cr0;
    bool pg = v >> 31 & 1, was = old >> 31 & 1;

    if (v >> 32 || (pg && !(v & 1)) || (v & 0x20000000 && !(v & 0x40000000))) {
        return false;
    }
    v = (v & 0xe005003f) | 0x10;
    if (pg && !was) {
        if (x->efer & 0x100) {
            if (!(x->cr4 & 0x20) || x->seg[SEG_CS].attr & 0x200) {
                return false;
            }
            x->efer |= 0x400;
        } else if (x->cr4 & 0x20 && !soft_load_pdptes(c, x->cr3)) {
            return false;
        }
    } else if (!pg && was) {
        if (c->code64 || x->cr4 >> 17 & 1) {
            return false;
        }
        x->efer &= ~0x400ull;
    }
    x->cr0 = v;
    if ((v ^ old) & 0x80010001) {
        soft_tlb_flush(c, true);
    }
    if ((v ^ old) & 1) {
        c->cpl = 0;
    }
    soft_mode_update(c);
    return true;
}

static bool cr3_write(SoftCpu *c, uint64_t v)
{
    X86Regs *x = c->x;

    if (c->lma) {
        if (x->cr4 >> 17 & 1) {
            v &= ~(1ull << 63);
        }
        if (v & ~c->phys_mask) {
            return false;
        }
    } else {
        v = (uint32_t)v;
        if (x->cr0 >> 31 && x->cr4 & 0x20 && !soft_load_pdptes(c, v)) {
            return false;
        }
    }
    x->cr3 = v;
    soft_tlb_flush(c, false);
    return true;
}

static bool cr4_write(SoftCpu *c, uint64_t v)
{
    X86Regs *x = c->x;
    uint64_t old = x->cr4;

    if (v & ~c->cr4_valid ||
        (c->lma && (!(v & 0x20) || (v ^ old) & 0x1000)) ||
        (v & ~old & 0x20000 && (!c->lma || x->cr3 & 0xfff))) {
        return false;
    }
    x->cr4 = v;
    if ((v ^ old) & 0x20 && x->cr0 >> 31 && v & 0x20 && !c->lma &&
        !soft_load_pdptes(c, x->cr3)) {
        x->cr4 = old;
        return false;
    }
    soft_tlb_flush(c, true);
    soft_mode_update(c);
    return true;
}

bool soft_cr_write(SoftCpu *c, unsigned n, uint64_t v)
{
    switch (n) {
    case 0: return cr0_write(c, v);
    case 2: c->x->cr2 = v; return true;
    case 3: return cr3_write(c, v);
    case 4: return cr4_write(c, v);
    default:
        if (v & ~15ull) {
            return false;
        }
        c->hooks->tpr_set(c, v);
        if (c->irq_wait) {
            soft_kick(c, KICK_IRQ);
        }
        return true;
    }
}

H(mov_tocr)
{
    uint64_t v = reg_n(c, s->rb, c->code64 ? 8 : 4);

    soft_need_cpl0(c, s);
    if (!soft_cr_write(c, s->ra, v)) {
        SOFT_GP0(c, s);
    }
    NEXT;
}
H(mov_fromcr)
{
    X86Regs *x = c->x;
    uint64_t v;

    soft_need_cpl0(c, s);
    switch (s->rb) {
    case 0: v = x->cr0; break;
    case 2: v = x->cr2; break;
    case 3: v = x->cr3; break;
    case 4: v = x->cr4; break;
    default: v = c->hooks->tpr_get(c); break;
    }
    reg_set(c, s->ra, v, c->code64 ? 8 : 4);
    NEXT;
}
/* DR4 and DR5 are DR6 and DR7 unless CR4.DE is set. */
static unsigned dr_number(SoftCpu *c, const Slot *s, unsigned n)
{
    soft_need_cpl0(c, s);
    if (n == 4 || n == 5) {
        if (c->x->cr4 & 8) {
            SOFT_UD(c, s);
        }
        n += 2;
    }
    if (c->x->dr[7] & 0x2000) {
        c->x->dr[6] |= 0x2000;
        soft_fault(c, s, EXC_DB);
    }
    return n;
}
H(mov_todr)
{
    uint64_t v = reg_n(c, s->rb, c->code64 ? 8 : 4);
    unsigned n = dr_number(c, s, s->ra);

    if (n >= 6 && v >> 32) {
        SOFT_GP0(c, s);
    }
    if (n == 6) {
        v = (v & 0xe00f) | 0xffff0ff0;
    } else if (n == 7) {
        v = (v & 0xffff2bff) | 0x400;
    }
    c->x->dr[n] = v;
    soft_tlb_flush(c, true);
    soft_mode_update(c);
    NEXT;
}
H(mov_fromdr)
{
    unsigned n = dr_number(c, s, s->rb);

    reg_set(c, s->ra, c->x->dr[n], c->code64 ? 8 : 4);
    NEXT;
}
H(lmsw)
{
    uint16_t v;

    soft_need_cpl0(c, s);
    v = rm_load(c, s, s->ra, 2);
    /* PE can be set but not cleared */
    cr0_write(c, (c->x->cr0 & ~0xeull) | (v & 15));
    NEXT;
}
H(smsw)
{
    umip(c, s);
    if (s->mem) {
        st16(c, s, ea(c, s, 2, true), c->x->cr0);
    } else {
        reg_set(c, s->ra, c->x->cr0, s->osz);
    }
    NEXT;
}
H(clts)
{
    soft_need_cpl0(c, s);
    c->x->cr0 &= ~8ull;
    soft_fpu_pick(c);
    NEXT;
}

/* ---- tables -------------------------------------------------------------- */
H(table_load)
{
    X86Table *t = s->sub ? &c->x->idt : &c->x->gdt;
    unsigned n = c->code64 ? 8 : 4;
    uint64_t la, base;
    uint16_t limit;

    soft_need_cpl0(c, s);
    la = ea(c, s, 2 + n, false);
    limit = ld16(c, s, la);
    base = ld_n(c, s, la + 2, n);
    if (n == 4 && s->osz == 2) {
        base &= 0xffffff;
    }
    if (c->code64 && !soft_canonical(base, c->cr4_valid)) {
        SOFT_GP0(c, s);
    }
    t->limit = limit;
    t->base = base;
    NEXT;
}
H(table_store)
{
    X86Table *t = s->sub ? &c->x->idt : &c->x->gdt;
    unsigned n = c->code64 ? 8 : 4;
    uint64_t la;

    umip(c, s);
    la = ea(c, s, 2 + n, true);
    soft_probe_write(c, s, la, 2 + n);
    st16(c, s, la, t->limit);
    st_n(c, s, la + 2, t->base, n);
    NEXT;
}
H(sel_store)
{
    uint16_t v;

    need_prot(c, s);
    umip(c, s);
    v = s->sub ? c->x->tr.sel : c->x->ldt.sel;
    if (s->mem) {
        st16(c, s, ea(c, s, 2, true), v);
    } else {
        reg_set(c, s->ra, v, s->osz);
    }
    NEXT;
}
H(sel_load)
{
    uint16_t v;

    need_prot(c, s);
    soft_need_cpl0(c, s);
    v = rm_load(c, s, s->ra, 2);
    if (s->sub) {
        soft_tr_load(c, s, v);
    } else {
        soft_ldt_load(c, s, v);
    }
    NEXT;
}

/* lar, lsl, verr, verw: does the selector name something visible? */
static bool visible(SoftCpu *c, const Slot *s, uint16_t sel, Desc *d,
                    unsigned op)
{
    unsigned type, dpl;

    if (!(sel & ~3) || !soft_desc_read(c, s, sel, d)) {
        return false;
    }
    type = DESC_TYPE(*d);
    dpl = DESC_DPL(*d);
    if (!DESC_S(*d)) {
        unsigned ok = c->lma ? (op == 0 ? 0x1a04 : 0x0a04) :
            (op == 0 ? 0x1a3e : 0x0a0e);

        if (op >= 2 || !(ok >> type & 1)) {
            return false;
        }
    } else if (op == 2 ? DESC_CODE(*d) && !(type & 2) :
               op == 3 && (DESC_CODE(*d) || !(type & 2))) {
        return false;
    }
    return (DESC_S(*d) && DESC_CODE(*d) && DESC_CONF(*d)) ||
        (dpl >= c->cpl && dpl >= (sel & 3u));
}
H(probe_sel)
{
    uint16_t sel;
    bool ok;
    Desc d;

    need_prot(c, s);
    sel = s->sub >= 2 ? rm_load(c, s, s->ra, 2) : rm_load(c, s, s->rb, 2);
    ok = visible(c, s, sel, &d, s->sub);
    if (ok && s->sub < 2) {
        reg_set(c, s->ra, s->sub ? soft_desc_limit(d) : d.hi & 0xffff00,
                s->osz);
    }
    fl_set(c, (fl_get(c) & ~F_ZF) | (ok ? F_ZF : 0));
    NEXT;
}
H(arpl)
{
    uint16_t b;
    bool adjust;

    need_prot(c, s);
    b = reg_n(c, s->rb, 2);
    adjust = (rm_load(c, s, s->ra, 2) & 3) < (b & 3u);
    if (adjust) {
        Rm m = soft_rm_open(c, s, 2);

        soft_rm_close(c, s, &m, (m.v & ~3ull) | (b & 3), 2);
    }
    fl_set(c, (fl_get(c) & ~F_ZF) | (adjust ? F_ZF : 0));
    NEXT;
}

/* ---- segment registers --------------------------------------------------- */
H(mov_toseg)
{
    uint16_t v = rm_load(c, s, s->rb, 2);

    soft_seg_load(c, s, s->ra, v);
    if (s->ra == SEG_SS) {
        c->shadow = 3;
        c->mode |= MW_SINGLE;
    }
    NEXT;
}
H(mov_fromseg)
{
    uint16_t v = c->x->seg[s->rb].sel;

    if (s->mem) {
        st16(c, s, ea(c, s, 2, true), v);
    } else {
        reg_set(c, s->ra, v, s->osz);
    }
    NEXT;
}
H(load_far)
{
    unsigned n = s->osz;
    uint64_t la = ea(c, s, n + 2, false), v = ld_n(c, s, la, n);
    uint16_t sel = ld16(c, s, la + n);

    soft_seg_load(c, s, s->sub, sel);
    reg_set(c, s->ra, v, n);
    NEXT;
}

/* ---- far transfers ------------------------------------------------------- */
H(far_imm)
{
    uint16_t sel = s->u;

    soft_far_jump(c, s, sel, s->imm, s->sub);
    JUMP;
}
H(far_mem)
{
    unsigned n = s->osz;
    uint64_t la = ea(c, s, n + 2, false), ip = ld_n(c, s, la, n);
    uint16_t sel = ld16(c, s, la + n);

    soft_far_jump(c, s, sel, ip, s->sub);
    JUMP;
}
H(lret)
{
    soft_far_ret(c, s, s->imm);
    JUMP;
}
H(iret)
{
    soft_iret(c, s);
    JUMP;
}

/* ---- interrupts ---------------------------------------------------------- */
static void soft_int(SoftCpu *c, const Slot *s, int vec, int kind)
{
    uint64_t next = ip_next(c, s);

    c->r[R_IP] = ip_of(c, s);
    c->delivering = 2;
    c->delivering_vec = vec;
    soft_event(c, vec, kind, false, 0, next);
    c->delivering = 0;
}
H(int_n)
{
    if (soft_v86(c) && (c->eflags >> 12 & 3) != 3) {
        SOFT_GP0(c, s);
    }
    soft_int(c, s, s->imm, EV_SOFT);
    JUMP;
}
H(int3)
{
    soft_int(c, s, EXC_BP, EV_SOFT);
    JUMP;
}
H(int1)
{
    soft_int(c, s, EXC_DB, EV_INT1);
    JUMP;
}
H(into)
{
    if (fl_o(c)) {
        soft_int(c, s, EXC_OF, EV_SOFT);
    } else {
        c->r[R_IP] = ip_next(c, s);
    }
    JUMP;
}
H(cli)
{
    need_iopl(c, s);
    c->eflags &= ~F_IF;
    NEXT;
}
H(sti)
{
    need_iopl(c, s);
    if (!(c->eflags & F_IF)) {
        c->eflags |= F_IF;
        c->shadow |= 1;
        c->mode |= MW_SINGLE;
        if (c->irq_wait) {
            soft_kick(c, KICK_IRQ);
        }
    }
    NEXT;
}
H(pushf)
{
    if (soft_v86(c) && (c->eflags >> 12 & 3) != 3) {
        SOFT_GP0(c, s);
    }
    push_n(c, s, eflags_get(c) & ~(F_RF | F_VM), s->osz);
    NEXT;
}
H(popf)
{
    uint32_t mask = F_ARITH | F_TF | F_DF | F_NT, iopl = c->eflags >> 12 & 3;
    uint32_t v;

    if (soft_v86(c) && iopl != 3) {
        SOFT_GP0(c, s);
    }
    v = peek_n(c, s, 0, s->osz);
    if (s->osz > 2) {
        mask |= F_AC | F_ID;
    }
    if (c->cpl == 0) {
        mask |= F_IOPL;
    }
    if (c->cpl <= iopl) {
        mask |= F_IF;
    }
    sp_set(c, c->r[X86_RSP] + s->osz);
    soft_eflags_write(c, v, mask);
    NEXT;
}
H(hlt)
{
    soft_need_cpl0(c, s);
    c->halted = true;
    c->r[R_IP] = ip_next(c, s);
    c->link_from = NULL;
    LEAVE;
}

/* ---- system calls -------------------------------------------------------- */
static void flat_cs(SoftCpu *c, uint16_t sel, unsigned cpl, bool wide)
{
    c->x->seg[SEG_CS] = (X86Seg){ .sel = sel, .limit = 0xffffffff,
        .attr = (wide ? 0xa9b : 0xc9b) | cpl << 5 };
    c->cpl = cpl;
}
static void flat_ss(SoftCpu *c, uint16_t sel, unsigned cpl)
{
    c->x->seg[SEG_SS] = (X86Seg){ .sel = sel, .limit = 0xffffffff,
                                  .attr = 0xc93 | cpl << 5 };
}
H(syscall_)
{
    X86Regs *x = c->x;
    uint16_t sel = x->star >> 32 & 0xfffc;
    uint64_t next = ip_next(c, s);

    if (!(x->efer & 1) || !soft_pe(c) || soft_v86(c)) {
        SOFT_UD(c, s);
    }
    c->r[X86_RCX] = next;
    if (c->lma) {
        uint64_t to = c->code64 ? x->lstar : x->cstar;

        c->r[11] = eflags_get(c) & ~F_RF;
        flat_cs(c, sel, 0, true);
        flat_ss(c, sel + 8, 0);
        soft_eflags_write(c, eflags_get(c) & ~(uint32_t)x->fmask & ~F_RF,
                          F_VALID | F_ARITH);
        c->r[R_IP] = to;
    } else {
        flat_cs(c, sel, 0, false);
        flat_ss(c, sel + 8, 0);
        soft_eflags_write(c, 0, F_IF | F_VM | F_RF);
        c->r[R_IP] = (uint32_t)x->star;
    }
    JUMP;
}
H(sysret)
{
    X86Regs *x = c->x;
    uint16_t sel = x->star >> 48;
    bool wide = s->osz == 8;
    uint64_t ip = c->r[X86_RCX];

    if (!(x->efer & 1)) {
        SOFT_UD(c, s);
    }
    need_prot(c, s);
    soft_need_cpl0(c, s);
    if (wide && !soft_canonical(ip, c->cr4_valid)) {
        SOFT_GP0(c, s);
    }
    if (c->code64) {
        flat_cs(c, (wide ? sel + 16 : sel) | 3, 3, wide);
        flat_ss(c, (sel + 8) | 3, 3);
        soft_eflags_write(c, c->r[11], (F_VALID | F_ARITH) & ~(F_RF | F_VM));
        c->eflags &= ~(F_RF | F_VM);
    } else {
        flat_cs(c, sel | 3, 3, false);
        flat_ss(c, (sel + 8) | 3, 3);
        soft_eflags_write(c, F_IF, F_IF);
    }
    c->r[R_IP] = wide ? ip : (uint32_t)ip;
    soft_mode_update(c);
    JUMP;
}
H(sysenter)
{
    X86Regs *x = c->x;
    uint16_t sel = x->sysenter_cs & 0xfffc;

    if (!soft_pe(c) || !sel) {
        SOFT_GP0(c, s);
    }
    flat_cs(c, sel, 0, c->lma);
    flat_ss(c, sel + 8, 0);
    soft_eflags_write(c, 0, F_IF | F_VM | F_RF);
    c->r[X86_RSP] = c->lma ? x->sysenter_esp : (uint32_t)x->sysenter_esp;
    c->r[R_IP] = c->lma ? x->sysenter_eip : (uint32_t)x->sysenter_eip;
    JUMP;
}
H(sysexit)
{
    uint16_t sel = c->x->sysenter_cs & 0xfffc;
    bool wide = s->osz == 8;

    if (!soft_pe(c) || !sel || c->cpl ||
        (wide && (!soft_canonical(c->r[X86_RCX], c->cr4_valid) ||
                  !soft_canonical(c->r[X86_RDX], c->cr4_valid)))) {
        SOFT_GP0(c, s);
    }
    flat_cs(c, (sel + (wide ? 32 : 16)) | 3, 3, wide);
    flat_ss(c, (sel + (wide ? 40 : 24)) | 3, 3);
    c->r[X86_RSP] = wide ? c->r[X86_RCX] : (uint32_t)c->r[X86_RCX];
    c->r[R_IP] = wide ? c->r[X86_RDX] : (uint32_t)c->r[X86_RDX];
    soft_mode_update(c);
    JUMP;
}
H(rsm)
{
    soft_rsm(c, s);
    JUMP;
}

/* ---- binding ------------------------------------------------------------- */
#define SYS(nm, h, extra) static bool b_##nm(Xlate *x) \
    { x->s->fn = h; x->s->sub = x->arg; extra; return true; }
SYS(tocr, mov_tocr, ) SYS(fromcr, mov_fromcr, )
SYS(todr, mov_todr, ) SYS(fromdr, mov_fromdr, )
SYS(lmsw, lmsw, ) SYS(smsw, smsw, ) SYS(clts, clts, )
SYS(tload, table_load, ) SYS(tstore, table_store, )
SYS(sstore, sel_store, ) SYS(sload, sel_load, )
SYS(probe, probe_sel, ) SYS(arpl, arpl, )
SYS(toseg, mov_toseg, ) SYS(fromseg, mov_fromseg, )
SYS(ldfar, load_far, )
SYS(lret, lret, ) SYS(iret, iret, )
SYS(intn, int_n, ) SYS(int3, int3, ) SYS(int1, int1, ) SYS(into, into, )
SYS(cli, cli, ) SYS(sti, sti, ) SYS(pushf, pushf, ) SYS(popf, popf, )
SYS(hlt, hlt, ) SYS(syscall, syscall_, ) SYS(sysret, sysret, )
SYS(sysenter, sysenter, ) SYS(sysexit, sysexit, ) SYS(rsm, rsm, )
SYS(ud, soft_h_ud, )
static bool b_far(Xlate *x)
{
    x->s->sub = x->arg;
    x->s->fn = x->s->mem ? far_mem : far_imm;
    if (!x->s->mem) {
        x->s->u = (uint64_t)1 << 32 | x->in->imm2;
    }
    return true;
}

const Bind soft_binds_sys[] = {
    { "mov.tocr", b_tocr, 0 }, { "mov.fromcr", b_fromcr, 0 },
    { "mov.todr", b_todr, 0 }, { "mov.fromdr", b_fromdr, 0 },
    { "lmsw", b_lmsw, 0 }, { "smsw", b_smsw, 0 }, { "clts", b_clts, 0 },
    { "lgdt", b_tload, 0 }, { "lidt", b_tload, 1 },
    { "sgdt", b_tstore, 0 }, { "sidt", b_tstore, 1 },
    { "sldt", b_sstore, 0 }, { "str", b_sstore, 1 },
    { "lldt", b_sload, 0 }, { "ltr", b_sload, 1 },
    { "lar", b_probe, 0 }, { "lsl", b_probe, 1 }, { "verr", b_probe, 2 },
    { "verw", b_probe, 3 }, { "arpl", b_arpl, 0 },
    { "mov.toseg", b_toseg, 0 }, { "mov.fromseg", b_fromseg, 0 },
    { "les", b_ldfar, SEG_ES }, { "lds", b_ldfar, SEG_DS },
    { "lss", b_ldfar, SEG_SS }, { "lfs", b_ldfar, SEG_FS },
    { "lgs", b_ldfar, SEG_GS },
    { "ljmp", b_far, 0 }, { "lcall", b_far, 1 }, { "lret", b_lret, 0 },
    { "iret", b_iret, 0 }, { "int", b_intn, 0 }, { "int3", b_int3, 0 },
    { "int1", b_int1, 0 }, { "into", b_into, 0 },
    { "cli", b_cli, 0 }, { "sti", b_sti, 0 },
    { "pushf", b_pushf, 0 }, { "popf", b_popf, 0 }, { "hlt", b_hlt, 0 },
    { "syscall", b_syscall, 0 }, { "sysret", b_sysret, 0 },
    { "sysenter", b_sysenter, 0 }, { "sysexit", b_sysexit, 0 },
    { "rsm", b_rsm, 0 },
    { "ud0", b_ud, 0 }, { "ud1", b_ud, 0 }, { "ud2", b_ud, 0 },
    SOFT_BINDS_MSR
    { 0 }
};
