/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * soft-fuzz.c - hostile guests on the engine: random code, registers, page
 * tables, descriptor tables and task states in every mode, with interrupts,
 * NMI and SMI in between. Nothing may leave the guest's RAM, and each kick has
 * to bring the engine back. SOFT_SEED=n SOFT_CASES=1 runs one case again.
 */
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include "config.h"
#include "tests/tern-test.h"
#include "soft-cases.h"

#define TABLES 0x10000u                 /* GDT, IDT, TSS, page tables */

static volatile bool stop;
static uint64_t kicks;

static void *kicker(void *c)
{
    static const uint32_t extra[] = { 0, 0, KICK_IRQ, KICK_NMI, KICK_SMI,
                                      KICK_FLUSH };

    for (unsigned i = 0; !stop; i++) {
        struct timespec t = { 0, 300000 };

        nanosleep(&t, NULL);
        soft_kick(c, KICK_EXIT | extra[i % ARRAY_SIZE(extra)]);
        kicks++;
    }
    return NULL;
}

/* A number that means something to a processor, or to nobody. */
static uint64_t value(void)
{
    uint64_t k = rnd();

    switch (k & 7) {
    case 0: return k >> 8 & 0xffff;
    case 1: return (k >> 8 & 0x7ff000) | (k & 0xe70);
    case 2: return TABLES + (k >> 8 & 0x3fff8);
    case 3: return ~(k >> 8 & 0xfff);
    case 4: return 0xffff800000000000 | (k >> 8 & 0x7fffff);
    case 5: return k >> 8 & 0xffffffff;
    default: return k;
    }
}

/* Tables: sound for the most part, else nobody gets far. */
static void make_tables(uint64_t cr3)
{
    uint64_t *t = (uint64_t *)(rig.ram + TABLES);

    for (unsigned i = 0; i < 512; i++) {            /* GDT and LDT */
        static const uint8_t types[] = { 0x9b, 0x93, 0xfb, 0xf3, 0x89, 0x8b,
                                         0x82, 0xec, 0xe5, 0x9f, 0x97, 0x8c };
        uint64_t k = rnd(), a = k & 15 ? types[k % ARRAY_SIZE(types)] : k >> 8;

        t[i] = (k >> 4 & 1 ? 0x00cf00000000ffff : k & 0x00ffff00ffffffff) |
            (a & 0xff) << 40 | (k >> 5 & 1 ? 1ull << 53 : 0);
    }
    for (unsigned i = 512; i < 1536; i++) {         /* IDT, TSS */
        uint64_t k = rnd();

        t[i] = k & 8 ? k : (0x8e00ull | (k & 0x6100)) << 32 |
            (k >> 16 & 0xf8) << 16 | (k >> 40 & 0x7fff);
    }
    for (unsigned i = 0; i < 8 * 512; i++) {        /* page tables */
        uint64_t k = rnd();

        t[2048 + i] = k & 63 ? (cr3 + (k >> 8 & 7) * 4096) | 0x67 |
            (k >> 16 & 31 ? 0 : 0x80) : k;
    }
    for (unsigned i = 0; i < 512; i++) {            /* the last of them */
        t[2048 + 7 * 512 + i] = (uint64_t)i << 12 | (rnd() & 31 ? 0x67 :
                                                     rnd() & 0xfff);
    }
}

static void make_code(uint8_t *p, unsigned n)
{
    for (unsigned i = 0; i + 16 < n;) {
        uint64_t k = rnd();
        uint8_t b[16];

        if (k & 3) {
            encode(&insn_rows[(k >> 8) % insn_row_count], b);
        } else {
            memcpy(b, &k, 8);
        }
        memcpy(p + i, b, 16);
        i += 3 + (k >> 40) % 9;
    }
}

static void make_registers(unsigned kind, uint64_t cr3)
{
    X86Regs *x = rig.c->x;

    rig_real(&rig);
    if (kind == 1) {
        x->cr0 = 0x11 | (rnd() & 0x8005002e);
        x->cr4 = rnd() & 0x3006b0;
    } else if (kind == 2) {
        rig_long(&rig, rnd() & 3, cr3);
        x->cr4 |= rnd() & 0x301e00;
    }
    x->cr3 = cr3;
    for (int i = 0; i < 6 && kind != 2; i++) {
        uint64_t k = rnd();

        x->seg[i] = (X86Seg){ .sel = k & 0xfff, .base = k >> 12 & 0xffff0,
                              .limit = k & 1 << 30 ? 0xffffffff : k >> 32,
                              .attr = 0x93 };
        if (kind == 1 && k & 1 << 29) {
            x->seg[i] = rig_seg(k & 0xfff, 0xc93);
        }
    }
    x->seg[X86_CS].attr = kind == 2 ? x->seg[X86_CS].attr : 0x9b |
        (kind == 1 && rnd() & 1 ? 0xc00 : 0);
    x->seg[X86_CS].base = 0;
    x->seg[X86_CS].limit = 0xfffff;
    x->gdt = (X86Table){ TABLES, 0x7ff };
    x->ldt = (X86Seg){ .base = TABLES + 0x800, .limit = 0x7ff, .attr = 0x82,
                       .sel = 8 };
    x->idt = (X86Table){ kind ? TABLES + 0x1000 : 0, 0xfff };
    x->tr = (X86Seg){ .base = TABLES + 0x2000, .limit = rnd() & 0x1fff,
                      .attr = 0x8b, .sel = 0x10 };
    for (int i = 0; i < 16; i++) {
        x->gpr[i] = value();
    }
    x->gpr[X86_RSP] = rnd() & 0x7fff8;
    x->rip = 0x7000 + (rnd() & 0xfff);
    x->rflags = 2 | (rnd() & 0x3f7fd5 & (kind == 1 ? ~0u : ~F_VM));
    x->smbase = 0x60000;
    x->star = value();
    x->lstar = value();
    x->fcw = rnd();
    x->mxcsr = rnd() & 0xffff;
    for (int i = 0; i < 4; i++) {
        x->dr[i] = value();
    }
    x->dr[7] = rnd() & 7 ? 0x400 : rnd() & 0xffff2fff;
    x->pkru = rnd() & 7 ? 0 : rnd();
}

static void one_case(uint64_t n)
{
    uint64_t cr3 = TABLES + 0x4000;
    unsigned kind = n % 3, returns = 0;

    seed = (n + 1) * 0x9e3779b97f4a7c15ull | 1;
    rnd();
    mode = kind == 2 ? MODE_64 : rnd() & 1 ? MODE_16 : MODE_32;
    make_tables(cr3);
    make_code(rig.ram + 0x6000, 0x4000);
    make_code(rig.ram + 0x60000 + 0x8000, 0x400);   /* in SMM */
    for (unsigned i = 0; i < 1024; i += 4) {
        st_le32(rig.ram + i, 0x6000 + (rnd() & 0x3fff));
    }
    for (unsigned i = 0; i < RIG_RAM >> 12; i++) {
        rig.gen[i] = (rig.gen[i] + 2) & ~1u;
    }
    make_registers(kind, cr3);
    soft_load(rig.c);
    while (returns < 4) {
        int r;

        rig.irq = rnd() & 0xff;
        r = soft_run(rig.c);
        returns += r == SOFT_KICK;
        if (r == SOFT_SHUTDOWN) {
            break;
        }
        if (r == SOFT_HALT) {
            rig.c->halted = false;
            returns += !(rnd() & 3);
        }
    }
    soft_save(rig.c);
    rig.c->x->smm = 0;
}

TEST(hostile_guests)
{
    const char *cases = getenv("SOFT_CASES"), *first = getenv("SOFT_SEED");
    uint64_t n = cases ? strtoull(cases, NULL, 0) :
        getenv("TEST_SLOW") ? 1000000 : 10000;
    uint64_t from = first ? strtoull(first, NULL, 0) : 0;
    pthread_t t;

#ifdef CONFIG_TSAN
    SKIP("the thread sanitizer delays the signals that native code raises");
#endif

    TEST_LIMIT(3500);
    signal(SIGFPE, SIG_DFL);            /* the engine's own */
    REQUIRE(rig_open(&rig));
    rig.c->cr4_valid |= 0x1000;
    REQUIRE(!pthread_create(&t, NULL, kicker, rig.c));
    for (uint64_t i = 0; i < n; i++) {
        one_case(from + i);
    }
    stop = true;
    pthread_join(t, NULL);
    printf("# %" PRIu64 " kicks\n", kicks);
    CHECK(kicks > n / 2);
    rig_close(&rig);
}
