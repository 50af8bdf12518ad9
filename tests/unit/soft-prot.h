/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * soft-prot.h - small programs in real and protected mode for the engine's
 * unit tests.
 */
#ifndef TESTS_UNIT_SOFT_PROT_H
#define TESTS_UNIT_SOFT_PROT_H

#include "soft-rig.h"

static Rig rig;

static void put_code(uint32_t pa, const uint8_t *p, size_t n)
{
    memcpy(rig.ram + pa, p, n);
    rig.gen[pa >> 12] = (rig.gen[pa >> 12] + 2) & ~1u;
}
#define CODE(pa, ...) put_code(pa, (const uint8_t[]){ __VA_ARGS__ }, \
                               sizeof((const uint8_t[]){ __VA_ARGS__ }))

static int run(void)
{
    int r = SOFT_KICK;

    soft_load(rig.c);
    for (int i = 0; i < 10000 && r == SOFT_KICK; i++) {
        r = soft_run(rig.c);
    }
    soft_save(rig.c);
    return r;
}

/* GDT at 5000: 8 code32, 10 data32, 18 call gate to 8:9000 (DPL 3),
 * 20 code32 DPL 3, 28 data32 DPL 3, 30 TSS at 6000, 38 TSS at 6800,
 * 40 task gate to 38. */
static void protect(void)
{
    uint64_t *g = (uint64_t *)(rig.ram + 0x5000);
    X86Regs *x = rig.c->x;

    rig_real(&rig);
    g[1] = 0x00cf9b000000ffff;
    g[2] = 0x00cf93000000ffff;
    g[3] = 0x0000ec0000089000;
    g[4] = 0x00cffb000000ffff;
    g[5] = 0x00cff3000000ffff;
    g[6] = 0x00008b0060000067;                      /* busy: in use */
    g[7] = 0x0000890068000067;
    g[8] = 0x0000e50000380000;
    x->gdt = (X86Table){ 0x5000, 0x47 };
    x->idt = (X86Table){ 0x5800, 0x7ff };
    x->cr0 = 0x11;
    x->tr = (X86Seg){ .sel = 0x30, .attr = 0x8b, .limit = 0x67,
                      .base = 0x6000 };
    st_le32(rig.ram + 0x6004, 0x4000);              /* ESP0, SS0 */
    st_le32(rig.ram + 0x6008, 0x10);
    for (int i = 0; i < 6; i++) {
        x->seg[i] = (X86Seg){ .sel = 0x10, .attr = 0xc93,
                              .limit = 0xffffffff };
    }
    x->seg[X86_CS] = (X86Seg){ .sel = 8, .attr = 0xc9b,
                               .limit = 0xffffffff };
}

static void user(void)
{
    X86Regs *x = rig.c->x;

    for (int i = 0; i < 6; i++) {
        x->seg[i] = (X86Seg){ .sel = 0x2b, .attr = 0xcf3,
                              .limit = 0xffffffff };
    }
    x->seg[X86_CS] = (X86Seg){ .sel = 0x23, .attr = 0xcfb,
                               .limit = 0xffffffff };
}

#endif
