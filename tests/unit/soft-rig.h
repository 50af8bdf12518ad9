/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * soft-rig.h - the software CPU's engine on a flat RAM array, without the
 * rest of the machine: for its unit tests.
 */
#ifndef TESTS_UNIT_SOFT_RIG_H
#define TESTS_UNIT_SOFT_RIG_H

#include <sys/mman.h>
#include "accel/soft/soft.h"

/* Each program uses a part of this. */
#pragma GCC diagnostic ignored "-Wunused-function"

#define RIG_RAM (8u << 20)
#define RIG_GUARD (1u << 20)

typedef struct Rig {
    SoftCpu *c;
    X86Cpu *x;
    uint8_t *ram;
    uint32_t *gen;
    int exc;                            /* last exception seen, -1: none */
    uint32_t err;
    bool take_exceptions;               /* stop instead of delivering */
    int irq;                            /* vector to inject, -1 */
    bool ignne;                         /* a write to port f0 */
    unsigned ferr;                      /* x87 errors reported */
    uint8_t out[4096];
    unsigned out_len;
} Rig;

static bool rig_page(SoftCpu *c, uint64_t pa, SoftPage *p)
{
    Rig *r = c->owner;

    if (pa >= RIG_RAM) {
        return false;
    }
    *p = (SoftPage){ .host = r->ram + pa, .gen = &r->gen[pa >> 12] };
    return true;
}
static uint64_t rig_read(SoftCpu *c, uint64_t pa, unsigned size)
{
    Rig *r = c->owner;
    uint64_t v = ~0ull;

    if (pa + size <= RIG_RAM) {
        v = 0;
        memcpy(&v, r->ram + pa, size);
    }
    return v;
}
static void rig_write(SoftCpu *c, uint64_t pa, uint64_t v, unsigned size)
{
    Rig *r = c->owner;

    if (pa + size <= RIG_RAM) {
        memcpy(r->ram + pa, &v, size);
    }
}
static uint64_t rig_in(SoftCpu *c, uint16_t port, unsigned size)
{
    return 0;
}
static void rig_out(SoftCpu *c, uint16_t port, uint64_t v, unsigned size)
{
    Rig *r = c->owner;

    r->ignne |= port == 0xf0;
    if (port == 0xe9 && r->out_len < sizeof(r->out)) {
        r->out[r->out_len++] = v;
    }
}
static void rig_cpuid(SoftCpu *c, uint32_t leaf, uint32_t sub, uint32_t out[4])
{
    memset(out, 0, 16);
}
static bool rig_msr_read(SoftCpu *c, uint32_t msr, uint64_t *v)
{
    return false;
}
static bool rig_msr_write(SoftCpu *c, uint32_t msr, uint64_t v)
{
    return false;
}
static uint64_t rig_tsc(SoftCpu *c) { return ++c->insns; }
static uint8_t rig_tpr_get(SoftCpu *c) { return 0; }
static void rig_tpr_set(SoftCpu *c, uint8_t v) { }
static int rig_irq(SoftCpu *c)
{
    Rig *r = c->owner;
    int v = r->irq;

    r->irq = -1;
    return v;
}
static void rig_exclusive(SoftCpu *c, bool on) { }
static bool rig_exception(SoftCpu *c, int vec, uint32_t err)
{
    Rig *r = c->owner;

    r->exc = vec;
    r->err = err;
    return r->take_exceptions;
}

/* Interrupt 75 for an error, once. */
static bool rig_ferr(SoftCpu *c, bool error)
{
    Rig *r = c->owner;

    r->ignne &= error;
    if (error && !r->ferr++) {
        r->irq = 0x75;
        soft_kick(c, KICK_IRQ);
    }
    return r->ignne;
}

static const SoftHooks rig_hooks = {
    .page = rig_page, .read = rig_read, .write = rig_write, .in = rig_in,
    .out = rig_out, .cpuid = rig_cpuid, .msr_read = rig_msr_read,
    .msr_write = rig_msr_write, .tsc = rig_tsc, .tpr_get = rig_tpr_get,
    .tpr_set = rig_tpr_set, .irq_ack = rig_irq, .exclusive = rig_exclusive,
    .exception = rig_exception, .ferr = rig_ferr,
};

static X86Seg rig_seg(uint16_t sel, uint16_t attr)
{
    return (X86Seg){ .sel = sel, .attr = attr, .limit = 0xffffffff };
}

static bool rig_open(Rig *r)
{
    memset(r, 0, sizeof(*r));
    r->c = aligned_alloc(64, sizeof(SoftCpu));
    r->x = calloc(1, sizeof(X86Cpu) + 64);
    /* whatever leaves it is met */
    r->ram = (uint8_t *)mmap(NULL, RIG_RAM + 2 * RIG_GUARD, PROT_NONE,
                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) + RIG_GUARD;
    mprotect(r->ram, RIG_RAM, PROT_READ | PROT_WRITE);
    r->gen = calloc(RIG_RAM >> 12, 4);
    r->irq = r->exc = -1;
    return r->c && soft_init(r->c, aligned_alloc(64, sizeof(X86Regs)),
                             &rig_hooks, r, 16u << 20);
}

static void rig_close(Rig *r)
{
    free(r->c->x);
    soft_fini(r->c);
    free(r->c);
    free(r->x);
    munmap(r->ram - RIG_GUARD, RIG_RAM + 2 * RIG_GUARD);
    free(r->gen);
}

/* Registers as after power-on, but at real-mode 0000:7c00. */
static void rig_real(Rig *r)
{
    X86Regs *x = r->c->x;

    memset(x, 0, sizeof(*x));
    for (int i = 0; i < 6; i++) {
        x->seg[i] = (X86Seg){ .limit = 0xffff, .attr = 0x93 };
    }
    x->seg[X86_CS].attr = 0x9b;
    x->idt.limit = 0x3ff;
    x->gdt.limit = 0xffff;
    x->cr0 = 0x10;
    x->dr[6] = 0xffff0ff0;
    x->dr[7] = 0x400;
    x->rip = 0x7c00;
    x->rflags = 2;
    x->gpr[X86_RSP] = 0x7000;
    x->fcw = 0x37f;
    x->ftag = 0xffff;
    x->mxcsr = 0x1f80;
    x->xcr0 = 7;
    r->exc = -1;
    r->out_len = 0;
}

/* Flat 64-bit mode at privilege level cpl, tables at cr3. */
static void rig_long(Rig *r, unsigned cpl, uint64_t cr3)
{
    X86Regs *x = r->c->x;

    rig_real(r);
    x->seg[X86_CS] = rig_seg(0x10 | cpl, 0xa9b | cpl << 5);
    for (int i = 0; i < 6; i++) {
        if (i != X86_CS) {
            x->seg[i] = rig_seg(0x18 | cpl, 0xc93 | cpl << 5);
        }
    }
    x->cr0 = 0x80050033;
    x->cr4 = 0x506a0 | 0x400 | 0x10000;     /* PAE OSFXSR OSXMM OSXSAVE */
    x->cr3 = cr3;
    x->efer = 0xd01;
    x->rflags = 0x202;
}

static void rig_map(Rig *r, uint64_t cr3, uint64_t la, uint64_t pa,
                    uint64_t bits, uint64_t *next)
{
    uint64_t t = cr3;

    for (int sh = 39; sh > 12; sh -= 9) {
        uint64_t *e = (uint64_t *)(r->ram + t) + (la >> sh & 511);

        if (!(*e & 1)) {
            *e = *next | 7;
            *next += 4096;
        }
        t = *e & ~0xfffull;
    }
    ((uint64_t *)(r->ram + t))[la >> 12 & 511] = pa | bits;
}

#endif
