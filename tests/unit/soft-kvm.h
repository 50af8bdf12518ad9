/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * soft-kvm.h - one small world of memory and registers, run by the software
 * CPU and by KVM: for soft-kvm.c.
 *
 * The low 80 KiB: page tables, GDT, LDT, IDT whose handlers halt, two TSS,
 * code, data, stacks, and two pages that are mapped at PROBE as well.
 */
#ifndef TESTS_UNIT_SOFT_KVM_H
#define TESTS_UNIT_SOFT_KVM_H

#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include "soft-rig.h"

enum { PML4 = 0x1000, GDT = 0x8000, LDT = 0x8800, IDT = 0x9000, TSS = 0xa000,
       TSS2 = 0xa800, STUBS = 0xb000, CODE = 0xc000, LAND = 0xc800,
       DATA = 0xd000, STACK1 = 0xe7f0, STACK0 = 0xeff0, STACK = 0xf3f0,
       STACK3 = 0xf7f0, PROBED = 0x12000, WORLD = 0x14000, PROBE = 0x400000 };
enum { KM_REAL, KM_PROT, KM_PROT3, KM_LONG, KM_LONG3, KM_COMPAT3, KM_COUNT };
#define KM_ALL ((1u << KM_COUNT) - 1)
static const char *const km_names[] = { "real", "prot", "prot3", "long",
                                        "long3", "compat3" };
enum { END_HALT, END_SHUTDOWN };

static Rig rig;
static int mode;
static uint8_t in_ram[WORLD];
static X86Regs in_regs, kvm_regs;
static uint8_t *kvm_ram;
/* The KVM of real hardware; else one that interprets kernels, of which much is
 * known to be wrong: it takes any gate, loses error codes and IOPL, and has no
 * INT outside real mode. */
static bool kvm_whole;
static int kvm_end, soft_end, kvm_vm = -1, kvm_cpu = -1;
static struct kvm_run *kvm_page;
static uint64_t kvm_cr4_valid, kvm_phys_mask;

static uint64_t seg_desc(uint32_t base, uint32_t limit, unsigned access,
                         unsigned flags)
{
    return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 |
        (uint64_t)access << 40 | (uint64_t)(limit >> 16 & 15) << 48 |
        (uint64_t)flags << 52 | (uint64_t)(base >> 24) << 56;
}

/* Rights of the probed page: in its entry, its second page's, its table's. */
static void page_rights(unsigned level, uint64_t bits)
{
    uint8_t *e = in_ram + (level == 1 ? 0x3000 + 2 * 8 : level == 2 ? 0x5008 :
                           0x5000);

    st_le64(e, (ld_le64(e) & 0xff000) | bits);
}

static void world_tables(void)
{
    Rig r = { .ram = in_ram };
    uint64_t next = PML4 + 0x1000;

    for (unsigned pa = 0; pa < WORLD; pa += 4096) {
        rig_map(&r, PML4, pa, pa, 7, &next);
    }
    rig_map(&r, PML4, PROBE, PROBED, 7, &next);
    rig_map(&r, PML4, PROBE + 4096, PROBED + 4096, 7, &next);
}

static void world_descriptors(void)
{
    uint64_t *g = (uint64_t *)(in_ram + GDT);
    bool lma = mode >= KM_LONG;

    g[1] = seg_desc(0, 0xfffff, 0x9b, lma ? 0xa : 0xc);
    g[2] = seg_desc(0, 0xfffff, 0x93, 0xc);
    g[3] = seg_desc(0, 0xfffff, 0x9b, 0xc);
    g[4] = seg_desc(0, 0xfffff, 0xfb, mode == KM_LONG3 ? 0xa : 0xc);
    g[5] = seg_desc(0, 0xfffff, 0xf3, 0xc);
    g[6] = seg_desc(TSS, 0xff, 0x8b, 0);
    for (unsigned v = 0; v < 256; v++) {
        uint32_t ip = STUBS + 16 * v;

        if (mode == KM_REAL) {
            st_le32(in_ram + IDT + 4 * v, ip);
        } else {
            st_le64(in_ram + IDT + (lma ? 16 : 8) * v, ip | 8 << 16 |
                    0x8eull << 40);
        }
        in_ram[ip] = 0xf4;
    }
    in_ram[LAND] = 0xf4;
    if (lma) {
        for (unsigned i = 0; i < 3; i++) {
            st_le64(in_ram + TSS + 4 + 8 * i, STACK0);
        }
        for (unsigned i = 0; i < 7; i++) {
            st_le64(in_ram + TSS + 36 + 8 * i, STACK1);
        }
        return;
    }
    st_le32(in_ram + TSS + 4, STACK0);
    st_le32(in_ram + TSS + 8, 0x10);
    st_le32(in_ram + TSS2 + 32, LAND);
    st_le32(in_ram + TSS2 + 36, 2);
    st_le32(in_ram + TSS2 + 56, STACK1);
    for (unsigned i = 0; i < 6; i++) {
        st_le32(in_ram + TSS2 + 72 + 4 * i, i == X86_CS ? 8 : 0x10);
    }
}

static X86Seg world_seg(unsigned sel)
{
    uint64_t d = ld_le64(in_ram + GDT + (sel & ~7u));
    uint32_t limit = (d & 0xffff) | (d >> 32 & 0xf0000);

    return (X86Seg){ .sel = sel, .attr = (d >> 40 & 0xff) | (d >> 44 & 0xf00),
        .limit = d >> 55 & 1 ? limit << 12 | 0xfff : limit,
        .base = (d >> 16 & 0xffffff) | (d >> 32 & 0xff000000) };
}

static void world(X86Regs *x)
{
    bool user = mode == KM_PROT3 || mode == KM_LONG3 || mode == KM_COMPAT3;

    memset(in_ram, 0, WORLD);
    memset(x, 0, sizeof(*x));
    world_tables();
    world_descriptors();
    x->rflags = 2;
    x->rip = CODE;
    for (unsigned i = 0; i < 16; i++) {
        x->gpr[i] = 0x1000 * i;
    }
    x->gpr[X86_RBX] = DATA;
    x->gpr[X86_RSP] = STACK;
    x->gdt = (X86Table){ GDT, 0xff };
    x->idt = (X86Table){ IDT, mode == KM_REAL ? 0x3ff : 0xfff };
    x->ldt = (X86Seg){ .sel = 0x38, .attr = 0x82, .limit = 0xff, .base = LDT };
    x->tr = (X86Seg){ .sel = 0x30, .attr = 0x8b, .limit = 0xff, .base = TSS };
    x->dr[6] = 0xffff0ff0;
    x->dr[7] = 0x400;
    x->pat = 0x0007040600070406;
    x->cr0 = mode == KM_REAL ? 0x10 : mode >= KM_LONG ? 0x80050033 : 0x11;
    x->cr4 = mode >= KM_LONG ? 0x620 : 0x600;
    x->cr3 = mode >= KM_LONG ? PML4 : 0;
    x->efer = mode >= KM_LONG ? 0xd01 : 0;
    x->fcw = 0x37f;
    x->ftag = 0xffff;
    x->mxcsr = 0x1f80;
    x->xcr0 = 1;
    for (unsigned i = 0; i < X86_SEG_COUNT; i++) {
        x->seg[i] = mode == KM_REAL ? (X86Seg){ .limit = 0xffff, .attr = 0x93 } :
            world_seg(user ? 0x2b : 0x10);
    }
    if (mode == KM_REAL) {
        x->seg[X86_CS].attr = 0x9b;
    } else {
        x->seg[X86_CS] = world_seg(user ? 0x23 : 8);
    }
}

/* ---- KVM ----------------------------------------------------------------- */
static const uint32_t world_msrs[] = { 0x174, 0x175, 0x176, 0xc0000081,
    0xc0000082, 0xc0000083, 0xc0000084, 0xc0000102, 0x277 };

static uint64_t *world_msr(X86Regs *x, unsigned i)
{
    uint64_t *const p[] = { &x->sysenter_cs, &x->sysenter_esp,
        &x->sysenter_eip, &x->star, &x->lstar, &x->cstar, &x->fmask,
        &x->kernel_gs_base, &x->pat };

    return p[i];
}

static struct kvm_segment seg_to_kvm(X86Seg g)
{
    return (struct kvm_segment){
        .base = g.base, .limit = g.limit, .selector = g.sel,
        .type = g.attr & 15, .s = g.attr >> 4 & 1, .dpl = g.attr >> 5 & 3,
        .present = g.attr >> 7 & 1, .avl = g.attr >> 8 & 1,
        .l = g.attr >> 9 & 1, .db = g.attr >> 10 & 1, .g = g.attr >> 11 & 1,
        .unusable = !(g.attr & 0x80) };
}
static X86Seg seg_of_kvm(struct kvm_segment k)
{
    X86Seg g = { .sel = k.selector, .base = k.base };

    if (!k.unusable && k.present) {
        g.limit = k.limit;
        g.attr = k.type | k.s << 4 | k.dpl << 5 | k.present << 7 | k.avl << 8 |
            k.l << 9 | k.db << 10 | k.g << 11;
    }
    return g;
}

/* In the order of struct kvm_sregs. */
static const uint8_t seg_order[] = { X86_CS, X86_DS, X86_ES, X86_FS, X86_GS,
                                     X86_SS };

static bool kvm_put(X86Regs *x)
{
    struct { struct kvm_msrs h; struct kvm_msr_entry e[16]; } m = {
        .h.nmsrs = ARRAY_SIZE(world_msrs) };
    struct kvm_debugregs d = { .dr6 = x->dr[6], .dr7 = x->dr[7] };
    struct kvm_vcpu_events ev = { 0 };
    struct kvm_sregs s;
    struct kvm_regs r = { .rip = x->rip, .rflags = x->rflags };
    static const uint8_t order[] = { 0, 3, 1, 2, 6, 7, 4, 5, 8, 9, 10, 11, 12,
                                     13, 14, 15 };
    struct kvm_segment *seg = &s.cs;

    ioctl(kvm_cpu, KVM_GET_SREGS, &s);
    for (unsigned i = 0; i < 16; i++) {
        (&r.rax)[i] = x->gpr[order[i]];
    }
    for (unsigned i = 0; i < 6; i++) {
        seg[i] = seg_to_kvm(x->seg[seg_order[i]]);
    }
    s.tr = seg_to_kvm(x->tr);
    s.ldt = seg_to_kvm(x->ldt);
    s.gdt = (struct kvm_dtable){ .base = x->gdt.base, .limit = x->gdt.limit };
    s.idt = (struct kvm_dtable){ .base = x->idt.base, .limit = x->idt.limit };
    s.cr0 = x->cr0, s.cr2 = 0, s.cr3 = x->cr3, s.cr4 = x->cr4, s.cr8 = 0;
    s.efer = x->efer;
    memset(s.interrupt_bitmap, 0, sizeof(s.interrupt_bitmap));
    for (unsigned i = 0; i < ARRAY_SIZE(world_msrs); i++) {
        m.e[i] = (struct kvm_msr_entry){ .index = world_msrs[i],
                                         .data = *world_msr(x, i) };
    }
    return !ioctl(kvm_cpu, KVM_SET_SREGS, &s) &&
        !ioctl(kvm_cpu, KVM_SET_REGS, &r) &&
        !ioctl(kvm_cpu, KVM_SET_VCPU_EVENTS, &ev) &&
        !ioctl(kvm_cpu, KVM_SET_DEBUGREGS, &d) &&
        ioctl(kvm_cpu, KVM_SET_MSRS, &m) == ARRAY_SIZE(world_msrs);
}

static void kvm_get(X86Regs *x)
{
    struct kvm_debugregs d;
    struct kvm_sregs s;
    struct kvm_regs r;
    static const uint8_t order[] = { 0, 3, 1, 2, 6, 7, 4, 5, 8, 9, 10, 11, 12,
                                     13, 14, 15 };
    struct kvm_segment *seg = &s.cs;

    ioctl(kvm_cpu, KVM_GET_REGS, &r);
    ioctl(kvm_cpu, KVM_GET_SREGS, &s);
    ioctl(kvm_cpu, KVM_GET_DEBUGREGS, &d);
    memset(x, 0, sizeof(*x));
    x->rip = r.rip;
    x->rflags = r.rflags;
    for (unsigned i = 0; i < 16; i++) {
        x->gpr[order[i]] = (&r.rax)[i];
    }
    for (unsigned i = 0; i < 6; i++) {
        x->seg[seg_order[i]] = seg_of_kvm(seg[i]);
    }
    x->tr = seg_of_kvm(s.tr);
    x->ldt = seg_of_kvm(s.ldt);
    x->gdt = (X86Table){ s.gdt.base, s.gdt.limit };
    x->idt = (X86Table){ s.idt.base, s.idt.limit };
    x->cr0 = s.cr0, x->cr2 = s.cr2, x->cr3 = s.cr3, x->cr4 = s.cr4;
    x->efer = s.efer;
    x->dr[6] = d.dr6, x->dr[7] = d.dr7;
}

/* A case that goes on for ever is given up. */
static void world_alarm(int sig)
{
    if (rig.c) {
        rig.c->debug_stop = true;
        soft_kick(rig.c, KICK_EXIT);
    }
}

static void world_limit(bool on)
{
    struct itimerval limit = { .it_value.tv_usec = on ? 900000 : 0 };

    setitimer(ITIMER_REAL, &limit, NULL);
}

/* What differs between processors that both sides have to agree on. */
static void kvm_likeness(const struct kvm_cpuid_entry2 *e, unsigned n)
{
    unsigned bits = 36;
    bool la57 = false;

    for (unsigned i = 0; i < n; i++) {
        if (e[i].function == 0x80000008) {
            bits = e[i].eax & 0xff;
        } else if (e[i].function == 7 && !e[i].index) {
            la57 = e[i].ecx >> 16 & 1;
        }
    }
    kvm_phys_mask = (1ull << bits) - 1;
    kvm_cr4_valid = 0x7f0 | 0xc | (la57 ? 0x1000 : 0);
}

static bool kvm_open(void)
{
    static struct { struct kvm_cpuid2 h; struct kvm_cpuid_entry2 e[256]; } id;
    struct sigaction sa = { .sa_handler = world_alarm };
    int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    int size = fd < 0 ? 0 : ioctl(fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    struct kvm_userspace_memory_region m = { .memory_size = 1 << 20 };

    id.h.nent = 256;
    kvm_vm = fd < 0 ? -1 : ioctl(fd, KVM_CREATE_VM, 0);
    if (kvm_vm < 0 || size <= 0 || ioctl(fd, KVM_GET_SUPPORTED_CPUID, &id)) {
        return false;
    }
    kvm_ram = mmap(NULL, m.memory_size, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    m.userspace_addr = (uintptr_t)kvm_ram;
    if (ioctl(kvm_vm, KVM_SET_USER_MEMORY_REGION, &m)) {
        return false;
    }
    kvm_cpu = ioctl(kvm_vm, KVM_CREATE_VCPU, 0);
    if (kvm_cpu < 0 || ioctl(kvm_cpu, KVM_SET_CPUID2, &id)) {
        return false;
    }
    kvm_page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, kvm_cpu, 0);
    close(fd);
    kvm_likeness(id.e, id.h.nent);
    sigaction(SIGALRM, &sa, NULL);
    return kvm_page != MAP_FAILED;
}

static void kvm_close(void)
{
    close(kvm_cpu);
    close(kvm_vm);
}

/* Runs the world under KVM; -1: it cannot. */
static int kvm_case(void)
{
    int r = -1;

    memcpy(kvm_ram, in_ram, WORLD);
    if (!kvm_put(&in_regs)) {
        return -1;
    }
    world_limit(true);
    for (unsigned turn = 0; turn < 1000; turn++) {
        if (ioctl(kvm_cpu, KVM_RUN, 0)) {
            if (errno == EAGAIN) {
                continue;
            }
            break;
        }
        if (kvm_page->exit_reason == KVM_EXIT_IO) {
            memset((uint8_t *)kvm_page + kvm_page->io.data_offset, 0,
                   kvm_page->io.size * kvm_page->io.count);
            continue;
        }
        if (kvm_page->exit_reason == KVM_EXIT_HLT ||
            kvm_page->exit_reason == KVM_EXIT_SHUTDOWN) {
            kvm_end = kvm_page->exit_reason == KVM_EXIT_HLT ? END_HALT :
                END_SHUTDOWN;
            r = 0;
        }
        break;
    }
    world_limit(false);
    kvm_get(&kvm_regs);
    return r;
}

/* Judged by a system call from user code and an INT3 of the kernel's. */
static void kvm_judge(void)
{
    mode = KM_LONG3;
    world(&in_regs);
    in_regs.star = 8ull << 32;
    in_regs.lstar = LAND;
    st_le16(in_ram + CODE, 0x050f);
    kvm_whole = !kvm_case() && kvm_end == END_HALT &&
        kvm_regs.rip == LAND + 1 && kvm_regs.seg[X86_CS].sel == 8;
    mode = KM_LONG;
    world(&in_regs);
    in_ram[CODE] = 0xcc;
    kvm_whole &= !kvm_case() && kvm_regs.rip == STUBS + 3 * 16 + 1;
}

/* ---- the engine ---------------------------------------------------------- */
static void soft_case(void)
{
    int r = SOFT_KICK;

    rig_real(&rig);
    rig.c->cr4_valid = kvm_cr4_valid;
    rig.c->phys_mask = kvm_phys_mask;
    *rig.c->x = in_regs;
    rig.take_exceptions = false;
    memcpy(rig.ram, in_ram, WORLD);
    for (unsigned i = 0; i < WORLD >> 12; i++) {
        rig.gen[i] = (rig.gen[i] + 2) & ~1u;
    }
    rig.c->kick = 0;
    rig.c->debug_stop = false;
    soft_load(rig.c);
    world_limit(true);
    for (int i = 0; i < 1000 && r == SOFT_KICK; i++) {
        r = soft_run(rig.c);
    }
    world_limit(false);
    soft_save(rig.c);
    soft_end = r == SOFT_HALT ? END_HALT : r == SOFT_SHUTDOWN ? END_SHUTDOWN :
        -1;
    rig.c->halted = false;
}

/* ---- comparison ---------------------------------------------------------- */
static bool world_say(bool tell, const char *what, uint64_t k, uint64_t s)
{
    if (k != s && tell) {
        printf("#   %s: kvm %" PRIx64 ", soft %" PRIx64 "\n", what, k, s);
    }
    return k == s;
}

static bool seg_same(bool tell, unsigned i, X86Seg k, X86Seg s)
{
    char what[32];
    bool ok;

    snprintf(what, sizeof(what), "%s.sel", (const char *const[]){ "es", "cs",
             "ss", "ds", "fs", "gs", "ldt", "tr" }[i]);
    ok = world_say(tell, what, k.sel, s.sel);
    strcpy(strchr(what, '.'), ".attr");
    if (i < 6 && !(k.sel & ~3) && mode >= KM_LONG) {
        return ok;                                  /* null: nothing else */
    }
    if (!(k.attr & 0x80) || !(s.attr & 0x80)) {
        return ok & world_say(tell, what, k.attr & 0x80, s.attr & 0x80);
    }
    /* what type a real-mode CS has is told in two ways */
    ok &= !(kvm_regs.cr0 & 1) || world_say(tell, what, k.attr, s.attr);
    strcpy(strchr(what, '.'), ".base");
    ok &= world_say(tell, what, k.base, s.base);
    strcpy(strchr(what, '.'), ".limit");
    return ok & world_say(tell, what, k.limit, s.limit);
}

static bool world_same(bool tell)
{
    X86Regs *k = &kvm_regs, *s = rig.c->x;
    bool ok = world_say(tell, "end", kvm_end, soft_end);

    if (!ok || kvm_end == END_SHUTDOWN) {
        return ok;
    }
    for (unsigned i = 0; i < 16; i++) {
        char what[16];

        snprintf(what, sizeof(what), "r%u", i);
        ok &= world_say(tell, what, k->gpr[i], s->gpr[i]);
    }
    ok &= world_say(tell, "rip", k->rip, s->rip);
    ok &= world_say(tell, "rflags", k->rflags, s->rflags);
    for (unsigned i = 0; i < 6; i++) {
        ok &= seg_same(tell, i, k->seg[i], s->seg[i]);
    }
    ok &= seg_same(tell, 6, k->ldt, s->ldt);
    ok &= seg_same(tell, 7, k->tr, s->tr);
    ok &= world_say(tell, "gdt", k->gdt.base ^ k->gdt.limit,
                    s->gdt.base ^ s->gdt.limit);
    ok &= world_say(tell, "idt", k->idt.base ^ k->idt.limit,
                    s->idt.base ^ s->idt.limit);
    ok &= world_say(tell, "cr0", k->cr0, s->cr0);
    ok &= world_say(tell, "cr2", k->cr2, s->cr2);
    ok &= world_say(tell, "cr3", k->cr3, s->cr3);
    ok &= world_say(tell, "cr4", k->cr4, s->cr4);
    ok &= world_say(tell, "efer", k->efer, s->efer);
    ok &= world_say(tell, "dr6", k->dr[6], s->dr[6]);
    ok &= world_say(tell, "dr7", k->dr[7], s->dr[7]);
    for (unsigned i = GDT; i < WORLD && ok; i += 8) {
        char what[24];

        snprintf(what, sizeof(what), "memory %x", i);
        ok &= world_say(tell, what, ld_le64(kvm_ram + i),
                        ld_le64(rig.ram + i));
    }
    return ok;
}

#endif
