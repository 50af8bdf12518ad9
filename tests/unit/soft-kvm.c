/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * soft-kvm.c - system instructions on the software CPU and under KVM: random
 * instances of control, debug and model-specific register moves, loads of
 * segments and tables, far transfers, gates, returns, flags, rights of pages,
 * each from the same registers and memory, to the same end.
 *
 * An instance ends in HLT of the handler of some exception or in a shutdown.
 * What this host's KVM cannot run is left out and counted; without a usable
 * KVM everything is skipped.
 *
 * SOFT_SEED=n SOFT_CASE=n runs one case and prints it; SOFT_CASES=n sets their
 * number; SOFT_ROW=name keeps to one kind.
 */
#include "config.h"
#include "tests/tern-test.h"
#include "soft-kvm.h"

static uint64_t seed;

static uint64_t rnd(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed * 0x2545f4914f6cdd1dull;
}
#define PICK(...) ({ static const uint64_t t_[] = { __VA_ARGS__ }; \
    t_[(rnd() >> 16) % ARRAY_SIZE(t_)]; })
#define ONE_IN(n) (!((rnd() >> 16) % (n)))

/* ---- instances ----------------------------------------------------------- */
static uint8_t *at;                     /* where code goes                    */

static void emit(const uint8_t *p, unsigned n)
{
    memcpy(at, p, n);
    at += n;
}
#define EMIT(...) emit((const uint8_t[]){ __VA_ARGS__ }, \
                       sizeof((const uint8_t[]){ __VA_ARGS__ }))

static uint16_t any_sel(void)
{
    if (mode == KM_REAL) {
        return PICK(0, 0x100, 0xc00);
    }
    return (PICK(0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15, 31, 32) <<
            3) | (ONE_IN(8) ? 4 : 0) | (rnd() >> 20 & (ONE_IN(2) ? 3 : 0));
}
/* A descriptor that is nearly right. */
static uint64_t any_desc(void)
{
    uint64_t access = PICK(0x93, 0x92, 0x9b, 0x9a, 0x9f, 0x97, 0xf3, 0xfb,
                           0xff, 0xb3, 0xbb, 0x13, 0x1b, 0x90, 0x99, 0x82,
                           0x89, 0x8b, 0x8c, 0xec, 0xe2, 0x02, 0x0c, 0x84,
                           0x85, 0xe5, 0x81);
    uint64_t flags = PICK(0xa, 0xc, 0xc, 0x8, 0x4, 0x0, 0xe);

    if (!(access & 0x10) && (access & 15) == 12) {      /* gates */
        return (uint64_t)(LAND >> 16) << 48 | (LAND & 0xffff) | access << 40 |
            (uint64_t)(uint16_t)any_sel() << 16;
    }
    if ((access & 0x1f) == 5 || (access & 0x1f) == 4) {
        return access << 40 | (uint64_t)any_sel() << 16 | (LAND & 0xffff);
    }
    if (!(access & 0x10)) {
        return seg_desc(PICK(TSS2, TSS2, LDT), PICK(0x67, 0xff, 0x2b, 0xffff),
                        access, 0);
    }
    return seg_desc(PICK(0, 0, 0, 0x10, 0xd000),
                    PICK(0xfffff, 0xfffff, 0xffff, 0xd0ff), access, flags);
}

static void put_far(uint64_t la, uint64_t ip, uint16_t sel, unsigned n)
{
    memcpy(in_ram + la, &ip, n);
    memcpy(in_ram + la + n, &sel, 2);
}

static uint64_t any_land(void)
{
    return ONE_IN(12) ? PICK(0x12345678, 0x800000000000, 0x10000,
                             0xffff800000000000) : LAND;
}

static uint32_t any_flags(void)
{
    return PICK(2, 0x202, 0x3002, 0x40002, 0x200002, 0x10002, 0x8d7, 0x4002,
                0x103002, 0x20002) ^ (rnd() >> 20 & 0xcd5);
}

static void op_size(unsigned *n)
{
    unsigned k = rnd() >> 30 & 7;

    if (mode >= KM_LONG && k < 3) {
        EMIT(0x48);
        *n = 8;
    } else if (k == 3) {
        EMIT(0x66);
        *n = mode == KM_REAL ? 4 : 2;
    } else {
        *n = mode == KM_REAL ? 2 : 4;
    }
}

static void i_mov_seg(X86Regs *x)
{
    x->gpr[X86_RAX] = any_sel();
    /* of a new stack's base and limits a weak KVM knows nothing */
    EMIT(0x8e, 0xc0 | ((kvm_whole ? PICK(0, 2, 3, 4, 5, 6, 1) :
                        PICK(0, 3, 4, 5, 6, 1)) << 3));
}
static void i_pop_seg(X86Regs *x)
{
    st_le64(in_ram + (x->gpr[X86_RSP] & 0xffff), any_sel());
    EMIT(0x0f, ONE_IN(2) ? 0xa1 : 0xa9);
}
static void i_load_far(X86Regs *x)
{
    unsigned n = 4;

    op_size(&n);
    put_far(DATA, rnd(), any_sel(), n);
    EMIT(0x0f, kvm_whole ? PICK(0xb2, 0xb4, 0xb5) : PICK(0xb4, 0xb5), 0x03);
}
static void i_far_mem(X86Regs *x)
{
    unsigned n = 4;

    op_size(&n);
    put_far(DATA, any_land(), any_sel(), n);
    EMIT(0xff, ONE_IN(2) ? 0x2b : 0x1b);
}
static void frame(X86Regs *x, const uint64_t *v, unsigned count, unsigned n)
{
    for (unsigned i = 0; i < count; i++) {
        memcpy(in_ram + ((x->gpr[X86_RSP] + i * n) & 0xffff), &v[i], n);
    }
}
/* A frame does not lead to address 0, where there is nothing to run. */
static void lead(uint64_t *v, unsigned n)
{
    if (mode == KM_REAL) {
        v[0] = LAND - 16 * v[1];
    } else if (n < 8 && !(v[0] & (n == 2 ? 0xffff : 0xffffffff))) {
        v[0] = LAND;
    }
}
static void i_lret(X86Regs *x)
{
    uint64_t v[4] = { any_land(), any_sel(), STACK3, any_sel() };
    unsigned n = 4;

    op_size(&n);
    lead(v, n);
    frame(x, v, 4, n);
    EMIT(0xcb);
}
static void i_iret(X86Regs *x)
{
    uint64_t v[5] = { any_land(), any_sel(), any_flags(), STACK3, any_sel() };
    unsigned n = 4;

    op_size(&n);
    lead(v, n);
    frame(x, v, 5, n);
    if (ONE_IN(16)) {
        x->rflags |= 0x4000;
    }
    EMIT(0xcf);
}
/* Gates of random content, used by INT n or by a fault. */
static void any_gate(unsigned vec)
{
    unsigned size = mode >= KM_LONG ? 16 : 8;
    uint64_t ip = any_land(), type = PICK(0x8e, 0x8e, 0xee, 0xef, 0x8f, 0x0e,
                                          0xe5, 0x86, 0xe6, 0xec, 0x80);
    uint64_t ist = ONE_IN(6) ? rnd() >> 40 & 7 : 0;

    if (mode == KM_REAL) {
        return;
    }
    st_le64(in_ram + IDT + vec * size, (ip & 0xffff) |
            (uint64_t)any_sel() << 16 | ist << 32 | type << 40 |
            (ip >> 16 & 0xffff) << 48);
    if (size == 16) {
        st_le64(in_ram + IDT + vec * size + 8, ip >> 32);
    }
}
static void i_int(X86Regs *x)
{
    uint8_t vec = PICK(0x20, 0x21, 0x03, 0x0d, 0xff);

    any_gate(vec);
    if (ONE_IN(6)) {
        EMIT(0xcc);
    } else {
        EMIT(0xcd, vec);
    }
}
static void i_fault(X86Regs *x)
{
    any_gate(6);
    EMIT(0x0f, 0x0b);
}
static void i_mov_to_cr(X86Regs *x)
{
    unsigned n = PICK(0, 0, 3, 4, 4, 2, 8, 1, 7);
    uint64_t v = n == 0 ? x->cr0 : n == 3 ? x->cr3 : n == 4 ? x->cr4 : 0;

    /* not what only one of the two offers */
    v ^= n == 0 ? PICK(0x2, 0x4, 0x8, 0x20, 0x10000, 0x40000, 0x20000000,
                       0x40000000, 1, 0x10) :
        n == 4 ? PICK(4, 8, 0x10, 0x80, 0x100, 0x200, 0x400, 0x20, 0) :
        n == 3 ? PICK(0x8, 0x10, 0x18, 0xff00000000000000, 0) :
        PICK(0, 1, 15, 16, 0xffffffffffffffff);
    if ((n == 0 || n == 4) && kvm_whole && ONE_IN(6)) {
        v ^= n == 4 || mode >= KM_LONG ? 1ull << (32 + n) : 0x80000000;
    }
    if (n == 8 && mode < KM_LONG) {
        n = 2;                          /* there the prefix is INC            */
    }
    x->gpr[X86_RAX] = v;
    if (n & 8) {
        EMIT(0x44);
    }
    EMIT(0x0f, 0x22, 0xc0 | (n & 7) << 3);
}
static void i_mov_from_cr(X86Regs *x)
{
    EMIT(0x0f, 0x20, 0xc0 | PICK(0, 2, 3, 4, 1, 5, 6, 7) << 3);
}
static void i_dr(X86Regs *x)
{
    x->gpr[X86_RAX] = PICK(0, 0x1234, 0xffff0ff0, 0xffffffff, 0x400, 0x2400);
    if (kvm_whole && ONE_IN(6)) {
        x->gpr[X86_RAX] = 0x100000000;
    }
    if (ONE_IN(3)) {
        x->cr4 ^= 8;
    }
    EMIT(0x0f, ONE_IN(2) ? 0x21 : 0x23, 0xc0 | PICK(0, 3, 4, 5, 6, 7) << 3);
}
static void i_msr(X86Regs *x)
{
    uint64_t v = PICK(0, 1, 0x10, 0xffff800000001000, 0x800000000000,
                      0x7ffffffff000, 0x0007040600070406, 0x0202020202020202,
                      0xd01, 0x501, 0x100000000);
    bool wr = ONE_IN(2);

    x->gpr[X86_RCX] = PICK(0x174, 0x175, 0x176, 0x277, 0xc0000080, 0xc0000081,
                           0xc0000082, 0xc0000083, 0xc0000084, 0xc0000100,
                           0xc0000101, 0xc0000102);
    if (!kvm_whole && (x->gpr[X86_RCX] & ~3ull) == 0x174) {
        v &= 0xffffffff;                /* it makes addresses canonical       */
    } else if (!kvm_whole && x->gpr[X86_RCX] == 0x277) {
        v = 0x0007040600070406;         /* and takes any                      */
    }
    x->gpr[X86_RAX] = (uint32_t)v;
    x->gpr[X86_RDX] = v >> 32;
    EMIT(0x0f, wr ? 0x30 : 0x32);
    if (wr) {
        EMIT(0x0f, 0x32);
    }
}
static void i_table(X86Regs *x)
{
    st_le16(in_ram + DATA, kvm_whole ? PICK(0xffff, 0x7f, 0) : 0xffff);
    st_le64(in_ram + DATA + 2, PICK(GDT, 0x800000000000, 0xffff800000000000));
    /* sgdt sidt lgdt lidt at [rbx] */
    EMIT(0x0f, 0x01, PICK(0x03, 0x0b, 0x13, 0x1b));
    EMIT(0x0f, 0x01, 0x43 | PICK(0, 8), 0x20);
}
static void i_ldt_tr(X86Regs *x)
{
    x->gpr[X86_RAX] = any_sel() & ~(kvm_whole ? 0 : 4);
    EMIT(0x0f, 0x00, 0xc0 | PICK(2, 3, 2, 3, 0, 1) << 3);
}
static void i_probe(X86Regs *x)
{
    x->gpr[X86_RAX] = any_sel();
    switch (rnd() >> 20 & 3) {
    case 0: EMIT(0x0f, 0x02, 0xc8); break;
    case 1: EMIT(0x0f, 0x03, 0xc8); break;
    case 2: EMIT(0x0f, 0x00, 0xe0); break;
    default: EMIT(0x0f, 0x00, 0xe8); break;
    }
}
static void i_machine_word(X86Regs *x)
{
    x->gpr[X86_RAX] = x->cr0 ^ PICK(0, 2, 4, 8);
    EMIT(0x0f, 0x01, PICK(0xe0, 0xf0));             /* smsw, lmsw eax */
}
static void i_flags(X86Regs *x)
{
    uint64_t v = any_flags() & ~(kvm_whole ? 0x100ull : 0x40100);
    unsigned n = 4;

    switch (rnd() >> 20 & 7) {
    case 0: EMIT(0xfa); break;
    case 1: EMIT(0xfb, 0x90); break;
    case 2: EMIT(0x9c); break;
    case 3: EMIT(0x0f, 0x06); break;                /* clts */
    case 4:
        if (kvm_whole || mode == KM_LONG) {
            EMIT(0x0f, 0x01, 0xf8);                 /* swapgs */
        }
        break;
    case 5: EMIT(0x0f, 0x01, 0x3b); break;          /* invlpg [rbx] */
    default:
        if (ONE_IN(2)) {
            EMIT(0x66);
            n = mode == KM_REAL ? 4 : 2;
        } else {
            n = mode >= KM_LONG ? 8 : mode == KM_REAL ? 2 : 4;
        }
        frame(x, &v, 1, n);
        EMIT(0x9d);
        break;
    }
    x->rflags |= ONE_IN(3) ? 0x3000 : 0;
}
/* One access to a page of random rights. */
static void i_page(X86Regs *x)
{
    uint64_t bits = PICK(7, 7, 5, 3, 1, 0, 0x8000000000000007, 0x67, 0x107);
    unsigned level = rnd() >> 20 & 3;

    page_rights(level, bits | (ONE_IN(10) ? 1ull << 51 : 0));
    x->cr0 = (x->cr0 & ~0x10000ull) | (ONE_IN(2) ? 0x10000 : 0);
    x->gpr[X86_RBX] = PROBE + (kvm_whole && ONE_IN(4) ? 4094 : 0x10);
    switch (rnd() >> 24 & 7) {
    case 0: EMIT(0xff, 0xe3); break;                /* jmp rbx */
    case 1: EMIT(0x89, 0x0b); break;                /* mov [rbx],ecx */
    case 2: EMIT(0x01, 0x0b); break;                /* add [rbx],ecx */
    case 3: EMIT(0x48, 0x8b, 0x23); break;          /* mov rsp,[rbx] */
    case 4: x->gpr[X86_RSP] = PROBE + 0x800; EMIT(0x50); break;
    default: EMIT(0x8b, 0x0b); break;
    }
}
static void i_canonical(X86Regs *x)
{
    x->gpr[X86_RBX] = PICK(0x800000000000, 0xffff7fffffffffff,
                           0x8000000000000000);
    if (kvm_whole && ONE_IN(4)) {
        x->gpr[X86_RBX] = 0x7fffffffffff;
    }
    switch (rnd() >> 24 & 7) {
    case 0: EMIT(0xff, 0xe3); break;
    case 1: EMIT(0x89, 0x0b); break;
    case 2: x->gpr[X86_RSP] = x->gpr[X86_RBX]; EMIT(0x50); break;
    case 3: x->gpr[X86_RSP] = x->gpr[X86_RBX]; EMIT(0x58); break;
    case 4: x->gpr[X86_RBP] = x->gpr[X86_RBX]; EMIT(0x8b, 0x45, 0); break;
    case 5: EMIT(0xff, 0x33); break;                /* push [rbx] */
    case 6: x->gpr[X86_RSP] = x->gpr[X86_RBX]; x->gpr[X86_RBX] = DATA;
        EMIT(0xff, 0x33); break;
    default: EMIT(0x8b, 0x0b); break;
    }
}
static void i_call(X86Regs *x)
{
    unsigned n = 4;

    x->star = 0x0033000800000000ull;
    x->lstar = x->cstar = any_land();
    x->fmask = rnd() & 0x47700;
    x->sysenter_cs = PICK(0x08, 0x08, 0, 3);
    x->sysenter_eip = LAND;
    x->sysenter_esp = STACK3;
    x->gpr[X86_RCX] = STACK3;
    x->gpr[X86_RDX] = any_land();
    switch (rnd() >> 24 & 3) {
    case 0: EMIT(0x0f, 0x05); break;
    case 1:
        x->gpr[X86_RCX] = any_land();
        x->gpr[11] = any_flags() & ~0x100;
        op_size(&n);
        EMIT(0x0f, 0x07);
        break;
    case 2: EMIT(0x0f, 0x34); break;
    default: op_size(&n); EMIT(0x0f, 0x35); break;
    }
}
static void i_io(X86Regs *x)
{
    x->gpr[X86_RDX] = PICK(0x80, 0x3f8, 0x100);
    st_le16(in_ram + TSS + 0x66, PICK(0x68, 0x68, 0xffff, 0x67));
    memset(in_ram + TSS + 0x68, ONE_IN(2) ? 0xff : 0, 0x98);
    x->rflags |= ONE_IN(2) ? 0x3000 : 0;
    EMIT(ONE_IN(2) ? 0xee : 0xec);
}
static void i_privileged(X86Regs *x)
{
    static const uint8_t ops[][4] = {
        { 3, 0x0f, 0x01, 0xca }, { 3, 0x0f, 0x01, 0xcb },   /* clac, stac */
        { 3, 0x0f, 0x01, 0xc8 }, { 3, 0x0f, 0x01, 0xc9 },   /* monitor.. */
        { 2, 0x0f, 0x09 }, { 2, 0x0f, 0x08 }, { 2, 0x0f, 0xaa },
        { 2, 0x0f, 0x33 }, { 3, 0x0f, 0x01, 0xd1 }, { 3, 0x0f, 0x01, 0xf8 },
        { 1, 0xf4 }, { 2, 0x0f, 0x31 },
    };
    const uint8_t *o = ops[(rnd() >> 20) % ARRAY_SIZE(ops)];

    emit(o + 1, o[0]);
}

#define M(m) (1u << KM_##m)
#define KERNEL (M(REAL) | M(PROT) | M(LONG))
static const struct Kind {
    const char *name;
    void (*make)(X86Regs *x);
    unsigned modes, partly;             /* with a KVM that is not whole       */
} kinds[] = {
    { "mov seg", i_mov_seg, KM_ALL, KM_ALL & ~M(LONG3) },
    { "pop seg", i_pop_seg, KM_ALL, KM_ALL & ~M(LONG3) },
    { "load far", i_load_far, KM_ALL & ~M(REAL), KM_ALL & ~M(REAL) & ~M(LONG3) },
    { "far mem", i_far_mem, KM_ALL & ~M(REAL), M(PROT) | M(LONG) },
    { "lret", i_lret, KM_ALL, KM_ALL & ~M(LONG3) },
    { "iret", i_iret, KM_ALL, M(REAL) },
    { "int", i_int, KM_ALL, M(REAL) }, { "fault", i_fault, KM_ALL, M(REAL) },
    { "mov to cr", i_mov_to_cr, KM_ALL, KERNEL },
    { "mov from cr", i_mov_from_cr, KM_ALL, KERNEL },
    { "dr", i_dr, KM_ALL, KM_ALL & ~M(LONG3) },
    { "msr", i_msr, KM_ALL, KM_ALL },
    { "table", i_table, KM_ALL & ~M(REAL), KM_ALL & ~M(REAL) },
    { "ldt, tr", i_ldt_tr, KM_ALL, KM_ALL }, { "probe", i_probe, KM_ALL, 0 },
    { "machine word", i_machine_word, KM_ALL, KM_ALL },
    { "flags", i_flags, KM_ALL, KM_ALL & ~M(LONG3) },
    { "page", i_page, M(LONG) | M(LONG3), M(LONG) },
    { "canonical", i_canonical, M(LONG) | M(LONG3), M(LONG) | M(LONG3) },
    { "call", i_call, KM_ALL, 0 },
    { "io", i_io, KM_ALL, KM_ALL & ~M(LONG3) },
    { "privileged", i_privileged, M(PROT3) | M(LONG3) | M(COMPAT3), 0 },
};
static struct { unsigned same, cannot, different; }
    tally[ARRAY_SIZE(kinds)][KM_COUNT];

static void make(const struct Kind *k)
{
    X86Regs *x = &in_regs;

    world(x);
    for (unsigned i = 8; i < 32; i++) {
        st_le64(in_ram + GDT + 8 * i, any_desc());
        st_le64(in_ram + LDT + 8 * i, any_desc());
    }
    at = in_ram + CODE;
    k->make(x);
    EMIT(0x0f, 0x0b);
}

static bool one(uint64_t s, uint64_t n, const char *only)
{
    unsigned k;
    int r;

    seed = (s + n) * 0x9e3779b97f4a7c15ull | 1;
    rnd();
    rnd();
    k = (rnd() >> 16) % ARRAY_SIZE(kinds);
    mode = (rnd() >> 16) % KM_COUNT;
    if (!((kvm_whole ? kinds[k].modes : kinds[k].partly) >> mode & 1) ||
        (only && strcmp(only, kinds[k].name))) {
        return true;
    }
    make(&kinds[k]);
    r = kvm_case();
    if (r < 0) {
        tally[k][mode].cannot++;
        return true;
    }
    soft_case();
    if (world_same(false)) {
        tally[k][mode].same++;
        return true;
    }
    tally[k][mode].different++;
    printf("# SOFT_SEED=%" PRIu64 " SOFT_CASE=%" PRIu64 " %s, %s:", s, n,
           km_names[mode], kinds[k].name);
    for (uint8_t *p = in_ram + CODE; p < at; p++) {
        printf(" %02x", *p);
    }
    printf("; rax %" PRIx64 " rbx %" PRIx64 " rcx %" PRIx64 " rdx %" PRIx64
           "\n", in_regs.gpr[X86_RAX], in_regs.gpr[X86_RBX],
           in_regs.gpr[X86_RCX], in_regs.gpr[X86_RDX]);
    world_same(true);
    return false;
}

TEST(agrees_with_kvm)
{
    const char *e = getenv("SOFT_CASES"), *only = getenv("SOFT_ROW");
    uint64_t s = getenv("SOFT_SEED") ? strtoull(getenv("SOFT_SEED"), NULL, 0) :
        1, cases = e ? strtoull(e, NULL, 0) : getenv("TEST_SLOW") ? 400000 :
        4000, bad = 0, run = 0;

#ifdef CONFIG_TSAN
    SKIP("exceptions leave the engine by a jump, which the thread sanitizer "
         "does not follow so many times");
#endif
    TEST_LIMIT(1200);
    if (!kvm_open()) {
        SKIP("no usable /dev/kvm");
    }
    REQUIRE(rig_open(&rig));
    kvm_judge();
    printf("# this KVM runs kernels %s\n", kvm_whole ? "in hardware" :
           "by interpreting them: what it is known to get wrong is left out");
    if (getenv("SOFT_CASE")) {
        CHECK(one(s, strtoull(getenv("SOFT_CASE"), NULL, 0), NULL));
        return;
    }
    for (uint64_t n = 0; n < cases && bad < 30; n++) {
        bad += !one(s, n, only);
    }
    for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++) {
        printf("# %-12s", kinds[k].name);
        for (unsigned m = 0; m < KM_COUNT; m++) {
            printf("  %s %u/%u/%u", km_names[m], tally[k][m].same,
                   tally[k][m].different, tally[k][m].cannot);
            run += tally[k][m].same + tally[k][m].different;
        }
        printf("\n");
    }
    printf("# %" PRIu64 " cases compared (same/different/not run by KVM)\n",
           run);
    CHECK_EQ(bad, 0u);
    kvm_close();
    rig_close(&rig);
}
