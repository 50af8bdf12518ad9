/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gva.c - guest linear to physical addresses by the guest's page tables, for
 * monitor and debugger (Intel SDM vol. 3 chapter 4; AMD APM vol. 2 chapter 5).
 *
 * Thread class: MACHINE_CALL; the caller has cpu_sync'ed.
 *
 * 1. Nothing in the guest changes: no accessed or dirty bits, no faults.
 */
#include "mem.h"
#include "x86.h"

#define ADDR_MASK 0x000ffffffffff000ull
enum { P = 1, PS = 1 << 7 };

static bool load(uint64_t pa, unsigned size, uint64_t *v)
{
    *v = 0;
    return mem_load(&mem_system, pa, size, v, MEM_ATTRS_NONE) == MEM_OK;
}

static bool walk_32(const X86Regs *r, uint32_t va, uint64_t *pa)
{
    uint64_t e;

    if (!load((r->cr3 & 0xfffff000) + (va >> 22) * 4, 4, &e) || !(e & P)) {
        return false;
    }
    if (e & PS && r->cr4 & 1u << 4) {
        /* PSE-36: bits 13-20 are address bits 32-39. */
        *pa = (e & 0xffc00000) | (e >> 13 & 0xff) << 32 | (va & 0x3fffff);
        return true;
    }
    if (!load((e & 0xfffff000) + (va >> 12 & 0x3ff) * 4, 4, &e) ||
        !(e & P)) {
        return false;
    }
    *pa = (e & 0xfffff000) | (va & 0xfff);
    return true;
}

/* Levels of nine bits from `top` downwards, the table at `table`. */
static bool walk_64(uint64_t table, unsigned top, uint64_t va, uint64_t *pa)
{
    for (unsigned level = top;; level--) {
        unsigned shift = 12 + 9 * (level - 1);
        uint64_t e, low = (1ull << shift) - 1;

        if (!load(table + (va >> shift & 0x1ff) * 8, 8, &e) || !(e & P)) {
            return false;
        }
        if (level == 1 || (e & PS && level <= 3)) {
            *pa = (e & ADDR_MASK & ~low) | (va & low);
            return true;
        }
        table = e & ADDR_MASK;
    }
}

static bool walk_pae(const X86Regs *r, uint32_t va, uint64_t *pa)
{
    uint64_t e;

    if (!load((r->cr3 & 0xffffffe0) + (va >> 30) * 8, 8, &e) || !(e & P)) {
        return false;
    }
    return walk_64(e & ADDR_MASK, 2, va, pa);
}

bool x86_regs_gva2gpa(const X86Regs *r, uint64_t va, uint64_t *pa)
{
    bool lma = r->efer >> 10 & 1;

    if (!(r->cr0 >> 31)) {
        *pa = va & 0xffffffff;
        return true;
    }
    if (!(r->cr4 & 1u << 5)) {
        return walk_32(r, va, pa);
    }
    if (!lma) {
        return walk_pae(r, va, pa);
    }
    return walk_64(r->cr3 & ADDR_MASK, r->cr4 & 1u << 12 ? 5 : 4, va, pa);
}

bool x86_gva2gpa(X86Cpu *c, uint64_t va, uint64_t *pa)
{
    return x86_regs_gva2gpa(&c->regs, va, pa);
}
