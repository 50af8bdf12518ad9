/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * info-mem.c - `info mem`, `info tlb`, gva2gpa: the guest's page tables for people
 * (Intel SDM vol. 3 chapter 4).
 *
 * Thread class: MACHINE_CALL.
 *
 * 1. Tables are the guest's: a walk visits each entry of each table once, so it
 *    ends whatever they point at, and stops after LINES_MAX lines.
 */
#include "json.h"
#include "mem.h"
#include "monitor.h"
#include "x86-cpu.h"
#include "schema/schema.h"

#define ADDR_MASK 0x000ffffffffff000ull
#define LINES_MAX 200000
enum { P = 1, RW = 2, US = 4, PS = 1 << 7 };

/* One mapped page of a walk. */
typedef struct Page {
    uint64_t va, pa, size, pte;
    unsigned prot;                     /* of all levels: P, RW, US            */
} Page;
typedef struct Walk {
    const X86Regs *r;
    void (*page)(struct Walk *w, const Page *p);
    /* info mem, mappings: the range so far */
    uint64_t first, next;
    uint64_t pa, va;                   /* mappings: of its start              */
    void (*range)(void *arg, uint64_t va, uint64_t pa, uint64_t len);
    void *arg;
    unsigned prot;
    unsigned lines;
    bool wide;                         /* long mode: canonical addresses      */
} Walk;

static uint64_t entry(uint64_t pa, unsigned size)
{
    uint64_t v = 0;

    return mem_load(&mem_system, pa, size, &v, MEM_ATTRS_NONE) == MEM_OK ? v
                                                                         : 0;
}

/* ---- walks --------------------------------------------------------------- */

static void walk_level(Walk *w, uint64_t table, unsigned level, unsigned count,
                       uint64_t va, unsigned prot)
{
    unsigned shift = 12 + 9 * (level - 1);

    for (unsigned i = 0; i < count && w->lines < LINES_MAX; i++) {
        uint64_t e = entry(table + i * 8, 8);
        uint64_t at = va | (uint64_t)i << shift;
        /* The four entries of PAE's top table have no protection bits. */
        bool top = level == 3 && count == 4;
        unsigned p = top ? prot : prot & e;

        if (!(e & P)) {
            continue;
        }
        if (level == 1 || (e & PS && level <= 3 && !top)) {
            Page pg = { at, e & ADDR_MASK & ~((1ull << shift) - 1),
                        1ull << shift, e, p };

            w->page(w, &pg);
        } else {
            walk_level(w, e & ADDR_MASK, level - 1, 512, at, p);
        }
    }
}

static void walk_32(Walk *w)
{
    bool pse = w->r->cr4 >> 4 & 1;

    for (unsigned i = 0; i < 1024 && w->lines < LINES_MAX; i++) {
        uint32_t d = entry((w->r->cr3 & 0xfffff000) + i * 4, 4);

        if (!(d & P)) {
            continue;
        }
        if (d & PS && pse) {
            Page pg = { (uint64_t)i << 22,
                        (d & 0xffc00000) | ((uint64_t)d >> 13 & 0xff) << 32,
                        4 * MiB, d, d & (P | RW | US) };

            w->page(w, &pg);
            continue;
        }
        for (unsigned j = 0; j < 1024; j++) {
            uint32_t e = entry((d & 0xfffff000) + j * 4, 4);
            Page pg = { (uint64_t)i << 22 | j << 12, e & 0xfffff000, 4096, e,
                        d & e & (P | RW | US) };

            if (e & P) {
                w->page(w, &pg);
            }
        }
    }
}

static bool walk(Walk *w)
{
    const X86Regs *r = w->r;
    unsigned all = P | RW | US;

    if (!(r->cr0 >> 31)) {
        mon_puts("PG disabled\n");
        return false;
    }
    w->wide = r->efer >> 10 & 1;
    if (!(r->cr4 & 1u << 5)) {
        walk_32(w);
    } else if (w->wide) {
        walk_level(w, r->cr3 & ADDR_MASK, r->cr4 & 1u << 12 ? 5 : 4, 512, 0,
                   all);
    } else {
        walk_level(w, r->cr3 & 0xffffffe0, 3, 4, 0, all);
    }
    return true;
}

static uint64_t canonical(const Walk *w, uint64_t va)
{
    unsigned bit = w->r->cr4 & 1u << 12 ? 56 : 47;

    return w->wide && va >> bit & 1 ? va | ~0ull << bit : va;
}

static bool current(X86Regs *r) MACHINE_CALL;
static bool current(X86Regs *r)
{
    Cpu *cpu = cpu_by_index(mon_cpu_index());

    if (cpu) {
        x86_regs_read(x86_cpu(cpu), r);
    } else {
        mon_puts("No CPU available\n");
    }
    return cpu != NULL;
}

/* ---- mappings ------------------------------------------------------------ */

static void map_flush(Walk *w)
{
    if (w->next != w->first) {
        w->range(w->arg, w->va, w->pa, w->next - w->first);
        w->lines++;
    }
}

static void map_page(Walk *w, const Page *p)
{
    uint64_t len = w->next - w->first;

    if (p->va != w->next || p->pa != w->pa + len ||
        canonical(w, p->va) != w->va + len) {
        map_flush(w);
        w->first = p->va;
        w->va = canonical(w, p->va);
        w->pa = p->pa;
    }
    w->next = p->va + p->size;
}

bool x86_mappings_each(void (*fn)(void *arg, uint64_t va, uint64_t pa,
                                  uint64_t len), void *arg)
{
    for (unsigned i = 0; i < cpu_count; i++) {
        X86Regs r;
        Walk w = { .r = &r, .page = map_page, .range = fn, .arg = arg };

        x86_regs_read(x86_cpu(cpus[i]), &r);
        if (r.cr0 >> 31) {
            walk(&w);
            map_flush(&w);
            return true;
        }
    }
    return false;
}

/* ---- info mem ------------------------------------------------------------ */

static void mem_flush(Walk *w)
{
    if (w->prot & P) {
        uint64_t first = canonical(w, w->first);

        mon_printf("%016" PRIx64 "-%016" PRIx64 " %016" PRIx64 " %c%c%c\n",
                   first, first + (w->next - w->first), w->next - w->first,
                   w->prot & US ? 'u' : '-', 'r', w->prot & RW ? 'w' : '-');
        w->lines++;
    }
}

static void mem_page(Walk *w, const Page *p)
{
    /* A range does not run across the hole between the canonical halves. */
    if (p->va != w->next || p->prot != w->prot ||
        canonical(w, p->va) != canonical(w, w->first) + (p->va - w->first)) {
        mem_flush(w);
        w->first = p->va;
        w->prot = p->prot;
    }
    w->next = p->va + p->size;
}

void hmp_info_mem(const Json *args)
{
    X86Regs r;
    Walk w = { .r = &r, .page = mem_page };

    if (current(&r) && walk(&w)) {
        mem_flush(&w);
    }
}

/* ---- info tlb ------------------------------------------------------------ */

static void tlb_page(Walk *w, const Page *p)
{
    static const struct { uint8_t bit; char letter; } flags[] = {
        { 63, 'X' }, { 8, 'G' }, { 7, 'P' }, { 6, 'D' }, { 5, 'A' },
        { 4, 'C' }, { 3, 'T' }, { 2, 'U' }, { 1, 'W' },
    };
    char text[10] = { 0 };

    for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {
        text[i] = p->pte >> flags[i].bit & 1 ? flags[i].letter : '-';
    }
    mon_printf("%016" PRIx64 ": %016" PRIx64 " %s\n", canonical(w, p->va),
               p->pa, text);
    w->lines++;
}

void hmp_info_tlb(const Json *args)
{
    X86Regs r;
    Walk w = { .r = &r, .page = tlb_page };

    if (current(&r)) {
        walk(&w);
    }
}

void hmp_gva2gpa(const Json *args)
{
    X86Regs r;
    uint64_t va = (uint64_t)json_int_of(json_get(args, "addr")), pa;

    if (!cpu_by_index(mon_cpu_index())) {
        mon_puts("No cpu\n");
        return;
    }
    if (!current(&r)) {
        return;
    }
    if (x86_regs_gva2gpa(&r, va, &pa)) {
        mon_printf("gpa: %#" PRIx64 "\n", pa);
    } else {
        mon_puts("Unmapped\n");
    }
}
