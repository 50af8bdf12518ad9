/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * soft-paging.c - page tables of every format in the engine: sizes, rights at
 * every level, reserved bits, protection keys, addresses that are not
 * canonical, descriptors and segments beyond their limits.
 * Intel SDM vol. 3, 4.3-4.7 and 5.3-5.5; AMD64 APM vol. 2, 5.6.
 */
#include "tests/tern-test.h"
#include "soft-prot.h"

#define TABLE 0x100000ull               /* the top table; others follow */
#define DATA 0x10000ull                 /* what is mapped; holds its number */

enum Format { TWO, TWO_BIG, PAE, PAE_BIG, FOUR, FOUR_2M, FOUR_1G, FIVE };
static const struct {
    unsigned levels, shift, bytes;      /* shift of a leaf; bytes of an entry */
    uint64_t la;
} formats[] = {
    [TWO] = { 2, 12, 4, 0x40210000 }, [TWO_BIG] = { 1, 22, 4, 0x40410000 },
    [PAE] = { 3, 12, 8, 0x80210000 }, [PAE_BIG] = { 2, 21, 8, 0x80210000 },
    [FOUR] = { 4, 12, 8, 0x7fff80210000 },
    [FOUR_2M] = { 3, 21, 8, 0xffff800000210000 },
    [FOUR_1G] = { 2, 30, 8, 0xffffffffc0010000 },
    [FIVE] = { 5, 12, 8, 0xff11223344210000 },
};

static void store(uint64_t pa, uint64_t v, unsigned n)
{
    memcpy(rig.ram + pa, &v, n);
}
static uint64_t load(uint64_t pa, unsigned n)
{
    uint64_t v = 0;

    memcpy(&v, rig.ram + pa, n);
    return v;
}

static bool is_long(enum Format f) { return f >= FOUR; }
static bool is_pae(enum Format f) { return f >= PAE; }

/* Where the entry of a level is: 0 is the leaf. */
static uint64_t entry_at(enum Format f, unsigned level)
{
    unsigned bits = formats[f].bytes == 4 ? 10 : 9;
    unsigned top = formats[f].levels - 1;
    unsigned shift = formats[f].shift == 30 ? 30 : formats[f].shift == 21 ? 21 :
        formats[f].shift == 22 ? 22 : 12;
    unsigned i = formats[f].la >> (shift + bits * level) & ((1u << bits) - 1);

    if (f == PAE && level == 2) {
        i &= 3;
    } else if (f == PAE_BIG && level == 1) {
        i &= 3;
    }
    return TABLE + (top - level) * 0x1000 + i * formats[f].bytes;
}

static bool is_pdpte(enum Format f, unsigned level)
{
    return (f == PAE || f == PAE_BIG) && level == formats[f].levels - 1;
}

static void map_all(enum Format f)
{
    bool big = formats[f].shift != 12;

    memset(rig.ram + TABLE, 0, 0x6000);
    for (unsigned l = formats[f].levels - 1; l > 0; l--) {
        store(entry_at(f, l), (TABLE + (formats[f].levels - l) * 0x1000) |
              (is_pdpte(f, l) ? 1 : 7), formats[f].bytes);
    }
    /* big pages are at 0: the address has the offset */
    store(entry_at(f, 0), (big ? 0x80 : DATA) | 7, formats[f].bytes);
    st_le32(rig.ram + DATA, 0x600d0000 + f);
    if (f == FOUR_2M || f == PAE_BIG) {
        st_le32(rig.ram + 0x10000, 0x600d0000 + f);
    }
}

/* State at code that is identity mapped in the same tables. */
static void enter(enum Format f, unsigned cpl)
{
    X86Regs *x = rig.c->x;

    if (is_long(f)) {
        rig_long(&rig, cpl, TABLE);
        x->cr4 |= f == FIVE ? 0x1000 : 0;
    } else {
        protect();
        if (cpl) {
            user();
        }
        x->cr3 = TABLE;
        x->cr0 = 0x80010011;
        x->cr4 = 0x10 | (is_pae(f) ? 0x20 : 0);
        x->efer = is_pae(f) ? 0x800 : 0;
    }
    x->gpr[X86_RBX] = formats[f].la;
    x->rip = 0x7c00;
}

/* The code page, in its own entries beside the others. */
static void map_code(enum Format f)
{
    static const unsigned free_table = 0x8000;
    unsigned bits = formats[f].bytes == 4 ? 10 : 9, n = formats[f].bytes;
    unsigned levels = f == FIVE ? 5 : is_long(f) ? 4 : is_pae(f) ? 3 : 2;
    uint64_t t = TABLE;

    memset(rig.ram + TABLE + free_table, 0, 0x5000);
    for (unsigned l = levels - 1; l > 0; l--) {
        unsigned i = 0x7c00ull >> (12 + bits * l) & ((1u << bits) - 1);
        uint64_t next = TABLE + free_table + l * 0x1000;

        store(t + i * n, next | (levels == 3 && l == 2 ? 1 : 7), n);
        t = next;
    }
    store(t + 7 * n, 0x7007, n);
}

static int touch(enum Format f, unsigned cpl, bool wr)
{
    CODE(0x7c00, wr ? 0x89 : 0x8b, 0x03, 0x0f, 0x0b);
    enter(f, cpl);
    rig.take_exceptions = true;
    rig.exc = -1;
    CHECK_EQ(run(), SOFT_DEBUG);
    return rig.exc;
}

TEST(every_format_maps)
{
    REQUIRE(rig_open(&rig));
    rig.c->cr4_valid |= 0x1000;
    for (enum Format f = TWO; f <= FIVE; f++) {
        map_all(f);
        map_code(f);
        if (touch(f, 3, false) != EXC_UD ||
            (uint32_t)rig.c->x->gpr[X86_RAX] != 0x600d0000u + f) {
            tt_fail(__FILE__, __LINE__, "format %d: exception %d at %" PRIx64
                    ", %" PRIx64, f, rig.exc, rig.c->x->cr2,
                    rig.c->x->gpr[X86_RAX]);
        }
        /* accessed at every level, dirty after a write at the leaf alone */
        for (unsigned l = 0; l < formats[f].levels; l++) {
            CHECK_EQ(load(entry_at(f, l), formats[f].bytes) & 0x60,
                     is_pdpte(f, l) ? 0u : 0x20u);
        }
        CHECK_EQ(touch(f, 3, true), EXC_UD);
        for (unsigned l = 0; l < formats[f].levels; l++) {
            CHECK_EQ(load(entry_at(f, l), formats[f].bytes) & 0x60,
                     is_pdpte(f, l) ? 0u : l ? 0x20u : 0x60u);
        }
    }
    rig_close(&rig);
}

/* P, R/W, U/S and NX taken away at each level. */
TEST(rights_are_those_of_all_levels)
{
    REQUIRE(rig_open(&rig));
    rig.c->cr4_valid |= 0x1000;
    for (enum Format f = TWO; f <= FIVE; f++) {
        for (unsigned l = 0; l < formats[f].levels; l++) {
            unsigned n = formats[f].bytes;
            uint64_t e;

            map_all(f);
            map_code(f);
            e = load(entry_at(f, l), n);
            if (is_pdpte(f, l)) {
                continue;
            }
            store(entry_at(f, l), e & ~1ull, n);
            CHECK_EQ(touch(f, 3, false), EXC_PF);
            CHECK_EQ(rig.err, 4u);
            CHECK_EQ(rig.c->x->cr2, formats[f].la);
            store(entry_at(f, l), e & ~2ull, n);
            CHECK_EQ(touch(f, 3, true), EXC_PF);
            CHECK_EQ(rig.err, 7u);
            CHECK_EQ(touch(f, 3, false), EXC_UD);
            CHECK_EQ(touch(f, 0, true), EXC_PF);   /* CR0.WP */
            CHECK_EQ(rig.err, 3u);
            store(entry_at(f, l), e & ~4ull, n);
            CHECK_EQ(touch(f, 3, false), EXC_PF);
            CHECK_EQ(rig.err, 5u);
            CHECK_EQ(touch(f, 0, false), EXC_UD);
        }
    }
    rig_close(&rig);
}

TEST(reserved_bits_fault)
{
    static const struct { enum Format f; unsigned level; uint64_t bit; } t[] = {
        { TWO_BIG, 0, 1ull << 21 }, { PAE, 0, 1ull << 52 },
        { PAE, 1, 1ull << 62 }, { PAE_BIG, 0, 1ull << 13 },
        { FOUR, 0, 1ull << 51 }, { FOUR, 1, 1ull << 50 },
        { FOUR, 2, 1ull << 45 }, { FOUR, 3, 1ull << 7 },
        { FOUR_2M, 0, 1ull << 14 }, { FOUR_2M, 0, 1ull << 20 },
        { FOUR_1G, 0, 1ull << 13 }, { FOUR_1G, 0, 1ull << 29 },
        { FIVE, 4, 1ull << 7 }, { FIVE, 4, 1ull << 46 },
    };

    REQUIRE(rig_open(&rig));
    rig.c->cr4_valid |= 0x1000;
    for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
        unsigned n = formats[t[i].f].bytes;
        uint64_t at = entry_at(t[i].f, t[i].level);

        map_all(t[i].f);
        map_code(t[i].f);
        store(at, load(at, n) | t[i].bit, n);
        if (touch(t[i].f, 3, true) != EXC_PF || rig.err != 0xf) {
            tt_fail(__FILE__, __LINE__, "entry %u: exception %d, error %x", i,
                    rig.exc, rig.err);
        }
        /* not looked at where the entry is not present */
        store(at, load(at, n) & ~1ull, n);
        CHECK_EQ(touch(t[i].f, 3, true), EXC_PF);
        CHECK_EQ(rig.err, 6u);
    }
    rig_close(&rig);
}

/* NX is reserved while EFER.NXE is clear. */
TEST(nx_needs_its_enable)
{
    uint64_t at;

    REQUIRE(rig_open(&rig));
    map_all(FOUR);
    map_code(FOUR);
    at = entry_at(FOUR, 0);
    store(at, load(at, 8) | 1ull << 63, 8);
    CODE(0x7c00, 0x8b, 0x03, 0x0f, 0x0b);
    rig.take_exceptions = true;
    for (int nxe = 0; nxe < 2; nxe++) {
        enter(FOUR, 3);
        rig.c->x->efer = nxe ? 0xd01 : 0x501;
        CHECK_EQ(run(), SOFT_DEBUG);
        CHECK_EQ(rig.exc, nxe ? EXC_UD : EXC_PF);
        CHECK(nxe || rig.err == 0xd);
    }
    rig_close(&rig);
}

TEST(protection_keys)
{
    REQUIRE(rig_open(&rig));
    rig.take_exceptions = true;
    rig.c->cr4_valid |= 1ull << 22;
    map_all(FOUR);
    map_code(FOUR);
    for (unsigned k = 0; k < 64; k++) {
        bool ad = k & 1, wd = k & 2, wr = k & 4, cpl3 = k & 8, wp = k & 16;
        bool on = k & 32, deny;
        uint64_t at = entry_at(FOUR, 0);

        store(at, (load(at, 8) & ~(15ull << 59)) | 9ull << 59, 8);
        CODE(0x7c00, wr ? 0x89 : 0x8b, 0x03, 0x0f, 0x0b);
        enter(FOUR, cpl3 ? 3 : 0);
        rig.c->x->cr4 |= on ? 1ull << 22 : 0;
        rig.c->x->pkru = (ad ? 1u : 0) << 18 | (wd ? 2u : 0) << 18;
        rig.c->x->cr0 = (rig.c->x->cr0 & ~0x10000ull) | (wp ? 0x10000 : 0);
        rig.exc = -1;
        CHECK_EQ(run(), SOFT_DEBUG);
        deny = on && (ad || (wd && wr && (cpl3 || wp)));
        if (rig.exc != (deny ? EXC_PF : EXC_UD) ||
            (deny && rig.err != (0x21u | wr << 1 | cpl3 << 2))) {
            tt_fail(__FILE__, __LINE__, "case %u: exception %d, error %x", k,
                    rig.exc, rig.err);
        }
    }
    rig_close(&rig);
}

/* EFLAGS.AC lifts SMAP for explicit accesses of CPL 0, not for tables. */
TEST(smap_and_ac)
{
    REQUIRE(rig_open(&rig));
    rig.take_exceptions = true;
    map_all(FOUR);
    map_code(FOUR);
    for (int k = 0; k < 3; k++) {
        uint64_t code = TABLE + 0x8000 + 0x1000;

        store(code + 7 * 8, 0x7003, 8);
        enter(FOUR, 0);
        rig.c->x->cr4 |= 1ull << 21;
        rig.c->x->rflags |= k ? F_AC : 0;
        if (k < 2) {
            CODE(0x7c00, 0x8b, 0x03, 0x0f, 0x0b);
        } else {
            /* the GDT in a page of the user: mov ds,[..] with selector 8 */
            rig.c->x->gdt = (X86Table){ formats[FOUR].la, 0x2f };
            st_le64(rig.ram + DATA + 8, 0x00cf93000000ffff);
            CODE(0x7c00, 0xb8, 8, 0, 0, 0, 0x8e, 0xd8, 0x0f, 0x0b);
        }
        CHECK_EQ(run(), SOFT_DEBUG);
        CHECK_EQ(rig.exc, k == 1 ? EXC_UD : EXC_PF);
        CHECK(k == 1 || rig.err == 1);
    }
    rig_close(&rig);
}

TEST(addresses_that_are_not_canonical)
{
    REQUIRE(rig_open(&rig));
    rig.take_exceptions = true;
    map_all(FOUR);
    map_code(FOUR);
    for (int k = 0; k < 4; k++) {
        enter(FOUR, 3);
        rig.c->x->gpr[X86_RBX] = 0x800000000000;
        rig.c->x->gpr[X86_RBP] = rig.c->x->gpr[X86_RSP] = 0xff7f000000000000;
        switch (k) {
        case 0: CODE(0x7c00, 0x8b, 0x03); break;            /* mov eax,[rbx] */
        case 1: CODE(0x7c00, 0x8b, 0x45, 0x00); break;      /* [rbp] */
        case 2: CODE(0x7c00, 0x50); break;                  /* push rax */
        default: CODE(0x7c00, 0xff, 0xe3); break;           /* jmp rbx */
        }
        CHECK_EQ(run(), SOFT_DEBUG);
        CHECK_EQ(rig.exc, k == 1 || k == 2 ? EXC_SS : EXC_GP);
        CHECK_EQ(rig.err, 0u);
        CHECK_EQ(rig.c->x->rip, 0x7c00u);
    }
    rig_close(&rig);
}

/* mov cr3 with a reserved bit in a PDPTE, PAE off in long mode and the like. */
TEST(control_registers_refuse)
{
    static const struct { uint8_t code[3]; uint64_t v; enum Format f; } t[] = {
        { { 0x0f, 0x22, 0xe0 }, 0x10, FOUR },       /* CR4: PAE off */
        { { 0x0f, 0x22, 0xc0 }, 0x80000000, FOUR }, /* CR0: PG without PE */
        { { 0x0f, 0x22, 0xc0 }, 0x20000001, FOUR }, /* NW without CD */
        { { 0x0f, 0x22, 0xd8 }, 1ull << 60, FOUR }, /* CR3: reserved */
        { { 0x0f, 0x22, 0xe0 }, 1ull << 40, FOUR }, /* CR4: no such bit */
        { { 0x0f, 0x22, 0xd8 }, 0x7000, PAE },      /* a PDPTE of code bytes */
    };

    REQUIRE(rig_open(&rig));
    for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
        map_all(t[i].f);
        map_code(t[i].f);
        enter(t[i].f, 0);
        rig.take_exceptions = true;
        rig.exc = -1;
        rig.c->x->gpr[X86_RAX] = t[i].v;
        put_code(0x7c00, t[i].code, 3);
        st_le64(rig.ram + 0x7000, 0x1e7);
        CHECK_EQ(run(), SOFT_DEBUG);
        if (rig.exc != EXC_GP || rig.c->x->rip != 0x7c00) {
            tt_fail(__FILE__, __LINE__, "case %u: exception %d", i, rig.exc);
        }
    }
    rig_close(&rig);
}

/* A changed entry is seen after invlpg, and after a write of CR3 unless the
 * page is global. */
TEST(invalidation)
{
    uint64_t at;

    REQUIRE(rig_open(&rig));
    for (int k = 0; k < 3; k++) {
        map_all(FOUR);
        map_code(FOUR);
        at = entry_at(FOUR, 0);
        if (k == 2) {
            store(at, load(at, 8) | 0x100, 8);
        }
        st_le32(rig.ram + 0x11000, 0x11111111);
        st_le32(rig.ram + DATA, 0x22222222);
        enter(FOUR, 0);
        rig.c->x->cr4 |= 0x80;
        /* the table of the entry is mapped at 8000 */
        store(TABLE + 0x9000 + 8 * 8, (at & ~0xfffull) | 3, 8);
        rig.c->x->gpr[X86_RDI] = 0x8000 + (at & 0xfff);
        rig.c->x->gpr[X86_RSI] = (load(at, 8) & ~0xff000ull) | 0x11000;
        /* mov eax,[rbx]; mov [rdi],rsi; flush; mov ecx,[rbx]; hlt */
        if (k == 0) {
            CODE(0x7c00, 0x8b, 0x03, 0x48, 0x89, 0x37, 0x0f, 0x01, 0x3b,
                 0x8b, 0x0b, 0xf4);
        } else {
            CODE(0x7c00, 0x8b, 0x03, 0x48, 0x89, 0x37, 0x0f, 0x20, 0xda,
                 0x0f, 0x22, 0xda, 0x8b, 0x0b, 0xf4);
        }
        CHECK_EQ(run(), SOFT_HALT);
        CHECK_EQ((uint32_t)rig.c->x->gpr[X86_RAX], 0x22222222u);
        CHECK_EQ((uint32_t)rig.c->x->gpr[X86_RCX],
                 k == 2 ? 0x22222222u : 0x11111111u);
        rig.c->x->halted = 0;
    }
    rig_close(&rig);
}
