/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * info-regs.c - `info registers` and the $register names of HMP expressions, as
 * users of such monitors read them.
 *
 * Thread class: MACHINE_CALL.
 */
#include "accel.h"
#include "json.h"
#include "monitor.h"
#include "pc.h"
#include "x86-cpu.h"
#include "schema/schema.h"

#define LMA(r) ((r)->efer >> 10 & 1)
#define CODE64(r) (LMA(r) && (r)->seg[X86_CS].attr >> 9 & 1)

/* A program without the PC board has no A20 gate. */
#pragma weak pc_a20

static const char seg_names[][3] = { "ES", "CS", "SS", "DS", "FS", "GS" };

typedef struct Copy {
    X86Regs *out;
} Copy;

static void copy_regs(Cpu *cpu, void *arg)
{
    const Copy *copy = arg;

    machine_assert_locked();
    cpu_sync(cpu);
    *copy->out = x86_cpu(cpu)->regs;
    copy->out->halted = cpu->halted;
}

void x86_regs_read(X86Cpu *c, X86Regs *out)
{
    Copy copy = { out };

    cpu_run(&c->cpu, copy_regs, &copy);
}

/* ---- segments ------------------------------------------------------------ */

static const char *system_type(unsigned type, bool lma)
{
    static const char *const legacy[16] = {
        "Reserved", "TSS16-avl", "LDT", "TSS16-busy", "CallGate16",
        "TaskGate", "IntGate16", "TrapGate16", "Reserved", "TSS32-avl",
        "Reserved", "TSS32-busy", "CallGate32", "Reserved", "IntGate32",
        "TrapGate32",
    };

    if (!lma) {
        return legacy[type];
    }
    switch (type) {
    case 2: return "LDT";
    case 9: return "TSS64-avl";
    case 11: return "TSS64-busy";
    case 12: return "CallGate64";
    case 14: return "IntGate64";
    case 15: return "TrapGate64";
    default: return "Reserved";
    }
}

static void print_seg(const X86Regs *r, const char *name, const X86Seg *s)
{
    uint32_t flags = (uint32_t)s->attr << 8;
    bool big = s->attr >> 10 & 1, lma = LMA(r);

    /* attr leaves out the descriptor's limit bits 16-19. */
    flags = (flags & 0xffff) | (flags & 0xf0000) << 4;
    if (!accel_is("kvm")) {
        flags |= s->attr >> 11 & 1 ? s->limit >> 28 << 16
                                   : s->limit & 0xf0000;
    }
    if (CODE64(r) || lma) {
        mon_printf("%-3s=%04x %016" PRIx64 " %08x %08x", name, s->sel,
                   s->base, s->limit, flags);
    } else {
        mon_printf("%-3s=%04x %08x %08x %08x", name, s->sel,
                   (uint32_t)s->base, s->limit, flags);
    }
    if (!(r->cr0 & 1) || !(s->attr >> 7 & 1)) {
        mon_puts("\n");
        return;
    }
    mon_printf(" DPL=%d ", s->attr >> 5 & 3);
    if (!(s->attr >> 4 & 1)) {
        mon_printf("%s", system_type(s->attr & 15, lma));
    } else if (s->attr >> 3 & 1) {
        mon_printf("%s [%c%c%c]",
                   s->attr >> 9 & 1 && lma ? "CS64" : big ? "CS32" : "CS16",
                   s->attr & 4 ? 'C' : '-', s->attr & 2 ? 'R' : '-',
                   s->attr & 1 ? 'A' : '-');
    } else {
        mon_printf("%s [%c%c%c]", big || lma ? "DS  " : "DS16",
                   s->attr & 4 ? 'E' : '-', s->attr & 2 ? 'W' : '-',
                   s->attr & 1 ? 'A' : '-');
    }
    mon_puts("\n");
}

static void print_tables(const X86Regs *r)
{
    for (int i = 0; i < X86_SEG_COUNT; i++) {
        print_seg(r, seg_names[i], &r->seg[i]);
    }
    print_seg(r, "LDT", &r->ldt);
    print_seg(r, "TR", &r->tr);
    if (LMA(r)) {
        mon_printf("GDT=     %016" PRIx64 " %08x\n"
                   "IDT=     %016" PRIx64 " %08x\n"
                   "CR0=%08x CR2=%016" PRIx64 " CR3=%016" PRIx64
                   " CR4=%08x\n", r->gdt.base, r->gdt.limit, r->idt.base,
                   r->idt.limit, (uint32_t)r->cr0, r->cr2, r->cr3,
                   (uint32_t)r->cr4);
    } else {
        mon_printf("GDT=     %08x %08x\nIDT=     %08x %08x\n"
                   "CR0=%08x CR2=%08x CR3=%08x CR4=%08x\n",
                   (uint32_t)r->gdt.base, r->gdt.limit,
                   (uint32_t)r->idt.base, r->idt.limit, (uint32_t)r->cr0,
                   (uint32_t)r->cr2, (uint32_t)r->cr3, (uint32_t)r->cr4);
    }
    for (int i = 0; i < 4; i++) {
        mon_printf("DR%d=%016" PRIx64 " ", i, r->dr[i]);
    }
    mon_printf("\nDR6=%016" PRIx64 " DR7=%016" PRIx64 "\nEFER=%016" PRIx64
               "\n", r->dr[6], r->dr[7], r->efer);
}

/* ---- the rest ------------------------------------------------------------ */

static void print_general(const X86Regs *r)
{
    static const char *const low[] = { "AX", "BX", "CX", "DX", "SI", "DI",
                                       "BP", "SP" };
    static const uint8_t order[] = { X86_RAX, X86_RBX, X86_RCX, X86_RDX,
                                     X86_RSI, X86_RDI, X86_RBP, X86_RSP };
    uint32_t f = r->rflags;
    bool wide = CODE64(r);

    for (int i = 0; i < (wide ? 16 : 8); i++) {
        const char *end = i % 4 == 3 ? "\n" : " ";

        if (!wide) {
            mon_printf("E%s=%08x%s", low[i], (uint32_t)r->gpr[order[i]], end);
        } else if (i < 8) {
            mon_printf("R%s=%016" PRIx64 "%s", low[i], r->gpr[order[i]], end);
        } else {
            mon_printf("R%-2d=%016" PRIx64 "%s", i, r->gpr[i], end);
        }
    }
    if (wide) {
        mon_printf("RIP=%016" PRIx64 " RFL=%08x", r->rip, f);
    } else {
        mon_printf("EIP=%08x EFL=%08x", (uint32_t)r->rip, f);
    }
    mon_printf(" [%c%c%c%c%c%c%c] CPL=%d II=%d A20=%d SMM=%d HLT=%d\n",
               f & 1u << 10 ? 'D' : '-', f & 1u << 11 ? 'O' : '-',
               f & 1u << 7 ? 'S' : '-', f & 1u << 6 ? 'Z' : '-',
               f & 1u << 4 ? 'A' : '-', f & 1u << 2 ? 'P' : '-',
               f & 1 ? 'C' : '-', r->cr0 & 1 ? r->seg[X86_SS].attr >> 5 & 3 : 0,
               r->sti_shadow || r->ss_shadow, !pc_a20 || pc_a20(), r->smm != 0,
               r->halted);
}

static void print_fpu(const X86Regs *r)
{
    unsigned valid = 0;

    for (int i = 0; i < 8; i++) {
        valid |= ((r->ftag >> i * 2 & 3) != 3) << i;
    }
    mon_printf("FCW=%04x FSW=%04x [ST=%d] FTW=%02x MXCSR=%08x\n", r->fcw,
               r->fsw, r->fsw >> 11 & 7, valid, r->mxcsr);
    for (int i = 0; i < 8; i++) {
        mon_printf("FPR%d=%016" PRIx64 " %04x%s", i, r->fpr[i].mant,
                   r->fpr[i].se, i % 2 ? "\n" : " ");
    }
}

static void print_vectors(const X86Regs *r)
{
    int n = CODE64(r) ? 16 : 8;

    if ((r->xcr0 & 0xe0) == 0xe0) {
        for (int i = 0; i < 8; i++) {
            mon_printf("Opmask%02d=%016" PRIx64 "%s", i, r->opmask[i],
                       i % 4 == 3 ? "\n" : " ");
        }
        for (int i = 0; i < (CODE64(r) ? 32 : 8); i++) {
            mon_printf("ZMM%02d=", i);
            for (int q = 7; q >= 0; q--) {
                mon_printf("%016" PRIx64 "%s", r->vec[i].q[q],
                           q ? " " : "\n");
            }
        }
        return;
    }
    for (int i = 0; i < n; i++) {
        if (r->xcr0 & 4) {
            mon_printf("YMM%02d=%016" PRIx64 " %016" PRIx64 " %016" PRIx64
                       " %016" PRIx64 "\n", i, r->vec[i].q[3], r->vec[i].q[2],
                       r->vec[i].q[1], r->vec[i].q[0]);
        } else {
            mon_printf("XMM%02d=%016" PRIx64 " %016" PRIx64 "%s", i,
                       r->vec[i].q[1], r->vec[i].q[0], i % 2 ? "\n" : " ");
        }
    }
}

static void print_cpu(X86Cpu *c) MACHINE_CALL;
static void print_cpu(X86Cpu *c)
{
    X86Regs r;

    x86_regs_read(c, &r);
    mon_printf("\nCPU#%u\n", c->cpu.index);
    print_general(&r);
    print_tables(&r);
    print_fpu(&r);
    print_vectors(&r);
}

void hmp_info_registers(const Json *args)
{
    const Json *all = json_get(args, "all"), *n = json_get(args, "vcpu");
    int64_t index = n ? json_int_of(n) : mon_cpu_index();
    Cpu *cpu;

    if (all && json_bool_of(all)) {
        for (unsigned i = 0; i < cpu_count; i++) {
            print_cpu(x86_cpu(cpus[i]));
        }
        return;
    }
    cpu = index >= 0 && index <= UINT32_MAX ? cpu_by_index(index) : NULL;
    if (cpu) {
        print_cpu(x86_cpu(cpu));
    } else if (n) {
        mon_printf("CPU#%" PRId64 " not available\n", index);
    } else {
        mon_puts("No CPU available\n");
    }
}

/* ---- $names -------------------------------------------------------------- */

static bool named(const char *name, const X86Regs *r, uint64_t *v)
{
    static const char *const gprs[] = {
        "eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "r8", "r9",
        "r10", "r11", "r12", "r13", "r14", "r15",
    };

    for (unsigned i = 0; i < ARRAY_SIZE(gprs); i++) {
        if (strcmp(name, gprs[i]) == 0) {
            *v = r->gpr[i];
            return true;
        }
    }
    if (strcmp(name, "eip") == 0 || strcmp(name, "pc") == 0) {
        *v = r->rip + (*name == 'p' ? r->seg[X86_CS].base : 0);
    } else if (strcmp(name, "eflags") == 0) {
        *v = r->rflags;
    } else {
        return false;
    }
    return true;
}

static bool seg_named(const char *name, const X86Regs *r, uint64_t *v)
{
    for (int i = 0; i < X86_SEG_COUNT; i++) {
        const char lower[] = { seg_names[i][0] | 32, seg_names[i][1] | 32, 0 };
        size_t n = strlen(lower);

        if (strncmp(name, lower, n) != 0) {
            continue;
        }
        if (!name[n]) {
            *v = r->seg[i].sel;
            return true;
        }
        if (strcmp(name + n, ".base") == 0) {
            *v = r->seg[i].base;
            return true;
        }
        if (strcmp(name + n, ".limit") == 0) {
            *v = r->seg[i].limit;
            return true;
        }
    }
    return false;
}

bool x86_register_get(int cpu_index, const char *name, uint64_t *v)
{
    X86Regs r;
    Cpu *cpu;

    machine_assert_locked();
    cpu = cpu_by_index(cpu_index);
    if (!cpu) {
        return false;
    }
    x86_regs_read(x86_cpu(cpu), &r);
    return named(name, &r, v) || seg_named(name, &r, v);
}
