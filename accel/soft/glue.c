/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * glue.c - what the engine asks of the machine: memory, ports, interrupts,
 * time, CPUID, model-specific registers.
 *
 * Thread class: the vCPU's thread; ram_code_written ANY_THREAD.
 * Invariants:
 * 1. Guest memory is used between soft_guest_in and soft_guest_out only: in
 *    an epoch, and marked as running. Whatever may wait for a lock is done
 *    outside.
 * 2. A new memory map makes every vCPU flush before it uses memory again.
 */
#include <glib.h>
#include "glue.h"
#include "loop.h"
#include "mem.h"
#include "pc.h"
#include "ram.h"

/* One generation per 4-KiB page of each block that code ran from. */
typedef struct Gens {
    RamBlock *rb;
    uint64_t pages;
    struct Gens *next;
    uint32_t gen[];
} Gens;
static Gens *gens_first;                /* atomic; grows only */
static pthread_mutex_t gens_lock = PTHREAD_MUTEX_INITIALIZER;
static __thread bool in_exclusive;

static Gens *gens_find(RamBlock *rb)
{
    for (Gens *g = __atomic_load_n(&gens_first, __ATOMIC_ACQUIRE); g;
         g = g->next) {
        if (g->rb == rb && g->pages == rb->max >> 12) {
            return g;
        }
    }
    return NULL;
}

static Gens *gens_of(RamBlock *rb)
{
    Gens *g = gens_find(rb);

    if (LIKELY(g != NULL)) {
        return g;
    }
    pthread_mutex_lock(&gens_lock);
    g = gens_find(rb);
    if (!g) {
        g = g_malloc0(sizeof(*g) + (rb->max >> 12) * sizeof(uint32_t));
        g->rb = rb;
        g->pages = rb->max >> 12;
        g->next = gens_first;
        __atomic_store_n(&gens_first, g, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&gens_lock);
    return g;
}

void soft_guest_in(SoftCpu *c)
{
    X86Cpu *x = c->owner;

    cpu_guest_enter(&x->cpu);
    epoch_enter();
    if (UNLIKELY(__atomic_load_n(&c->kick, __ATOMIC_SEQ_CST) & KICK_FLUSH)) {
        __atomic_fetch_and(&c->kick, ~KICK_FLUSH, __ATOMIC_SEQ_CST);
        soft_tlb_flush(c, true);
    }
}

void soft_guest_out(SoftCpu *c)
{
    X86Cpu *x = c->owner;

    epoch_exit();
    cpu_guest_leave(&x->cpu);
}

static void out(SoftCpu *c)
{
    if (!in_exclusive) {
        soft_guest_out(c);
    }
}
static void in(SoftCpu *c)
{
    if (!in_exclusive) {
        soft_guest_in(c);
    }
}

/* ---- memory ---------------------------------------------------------- */
static MemSpace *space_of(SoftCpu *c)
{
    return c->x->smm && pc ? &pc->smm_space : &mem_system;
}

static MemAttrs attrs_of(SoftCpu *c)
{
    return (MemAttrs){ .smm = c->x->smm, .user = c->cpl == 3 };
}

static bool glue_page(SoftCpu *c, uint64_t pa, SoftPage *p)
{
    const FlatRange *r = mem_find(mem_map(space_of(c)), pa);
    RamBlock *rb;
    uint64_t off;
    uint8_t *host;

    if (!r || !r->host || r->last - pa < 4095 || pa < r->first) {
        return false;
    }
    host = r->host + (pa - r->first);
    rb = r->mr->ram;
    if (!rb || host < rb->host || host >= rb->host + rb->max) {
        rb = ram_of_host(host, &off);
        if (!rb) {
            return false;
        }
    }
    off = host - rb->host;
    p->host = host;
    p->gen = (off & 4095) ? NULL : &gens_of(rb)->gen[off >> 12];
    p->readonly = r->readonly || r->romd;
    p->slow_write = ram_page_watch(rb, off & ~4095ull) & ~DIRTY_CODE;
    return true;
}

static uint64_t glue_read(SoftCpu *c, uint64_t pa, unsigned size)
{
    uint64_t v = ~0ull;

    out(c);
    mem_load(space_of(c), pa, size, &v, attrs_of(c));
    in(c);
    return v;
}

static void glue_write(SoftCpu *c, uint64_t pa, uint64_t v, unsigned size)
{
    out(c);
    mem_store(space_of(c), pa, size, v, attrs_of(c));
    in(c);
}

static uint64_t glue_in(SoftCpu *c, uint16_t port, unsigned size)
{
    uint64_t v = ~0ull;

    out(c);
    mem_load(&mem_io, port, size, &v, MEM_ATTRS_NONE);
    in(c);
    return v;
}

static void glue_out(SoftCpu *c, uint16_t port, uint64_t v, unsigned size)
{
    out(c);
    mem_store(&mem_io, port, size, v, MEM_ATTRS_NONE);
    in(c);
}

static void kick_others(SoftCpu *c, uint32_t bits)
{
    Cpu **list = __atomic_load_n(&cpus, __ATOMIC_ACQUIRE);
    unsigned n = __atomic_load_n(&cpu_count, __ATOMIC_ACQUIRE);

    for (unsigned i = 0; i < n; i++) {
        SoftCpu *o = soft_of(list[i]);

        if (o && o != c) {
            soft_kick(o, bits);
        }
    }
}

/* This page is about to hold translated code: nobody may go on writing it
 * directly. The others stand still while their entries are taken away. */
static void glue_code_page(SoftCpu *c, const uint8_t *page, uint32_t *gen)
{
    bool alone = cpu_count == 1 || in_exclusive;
    uint64_t off;
    RamBlock *rb = ram_of_host(page, &off);
    uint32_t g;

    if (rb) {
        ram_code_set(rb, off, true);
    }
    if (!alone) {
        epoch_exit();
        cpus_exclusive_begin();
    }
    g = __atomic_load_n(gen, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < cpu_count; i++) {
        SoftCpu *o = soft_of(cpus[i]);

        if (o && o != c) {
            soft_tlb_drop_page(o, page);
        }
    }
    if (!(g & 1)) {
        __atomic_compare_exchange_n(gen, &g, g + 1, false, __ATOMIC_SEQ_CST,
                                    __ATOMIC_SEQ_CST);
    }
    if (!alone) {
        cpus_exclusive_end();
        epoch_enter();
    }
}

static void ram_code_written(RamBlock *rb, uint64_t off, uint64_t len)
{
    Gens *g = gens_find(rb);

    if (!g || !len) {
        return;
    }
    for (uint64_t p = off >> 12; p <= (off + len - 1) >> 12 && p < g->pages;
         p++) {
        uint32_t v = __atomic_load_n(&g->gen[p], __ATOMIC_SEQ_CST);

        if (v & 1) {
            __atomic_compare_exchange_n(&g->gen[p], &v, v + 1, false,
                                        __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
        }
    }
}

static void listen_commit(MemListener *l)
{
    kick_others(NULL, KICK_FLUSH);
}
static void listen_range(MemListener *l, const FlatRange *r)
{
    kick_others(NULL, KICK_FLUSH);
}
static MemListener listener = {
    .name = "soft", .priority = 10, .commit = listen_commit,
    .log = listen_range, .log_clear = listen_range,
};

void soft_memory_start(void)
{
    ram_code_hook = ram_code_written;
    mem_listen(&mem_system, &listener);
}
void soft_memory_stop(void)
{
    mem_unlisten(&mem_system, &listener);
    ram_code_hook = NULL;
}

/* Locked accesses outside plain RAM, or across two pages. */
static void glue_exclusive(SoftCpu *c, bool on)
{
    if (on) {
        epoch_exit();
        cpus_exclusive_begin();
        in_exclusive = true;
        epoch_enter();
    } else {
        epoch_exit();
        in_exclusive = false;
        cpus_exclusive_end();
        epoch_enter();
    }
}

/* ---- interrupts, time, CPUID ----------------------------------------- */
static int glue_irq_ack(SoftCpu *c)
{
    X86Cpu *x = c->owner;
    int v;

    if (!(__atomic_load_n(&x->cpu.interrupt, __ATOMIC_SEQ_CST) &
          CPU_INT_HARD)) {
        return -1;
    }
    out(c);
    machine_lock();
    v = x86_irq_ack(x);
    machine_unlock();
    in(c);
    return v;
}

static uint8_t glue_tpr_get(SoftCpu *c)
{
    uint8_t v;

    out(c);
    machine_lock();
    v = apic_tpr_get(c->owner);
    machine_unlock();
    in(c);
    return v;
}

static void glue_tpr_set(SoftCpu *c, uint8_t v)
{
    out(c);
    machine_lock();
    apic_tpr_set(c->owner, v);
    machine_unlock();
    in(c);
}

static void glue_cpuid(SoftCpu *c, uint32_t leaf, uint32_t sub,
                       uint32_t r[4])
{
    x86_cpuid(c->owner, leaf, sub, r);
    if (leaf == 1) {
        r[2] = (r[2] & ~(1u << 27)) | (c->x->cr4 >> 18 & 1) << 27;
    } else if (leaf == 7 && sub == 0) {
        r[2] = (r[2] & ~(1u << 4)) | (c->x->cr4 >> 22 & 1) << 4;
    } else if (leaf == 0xd && sub <= 1) {
        uint64_t xcr0 = c->x->xcr0;

        r[1] = sub ? 576 + (xcr0 & 4 ? 256 : 0) + (xcr0 & 0x200 ? 8 : 0) :
            xcr0 & 0x200 ? 2696 : xcr0 & 4 ? 832 : 576;
    }
}

static uint64_t glue_tsc(SoftCpu *c)
{
    return x86_tsc(c->owner);
}

/* ---- model-specific registers outside the engine --------------------- */
static uint64_t *glue_plain(X86Regs *x, uint32_t msr)
{
    switch (msr) {
    case 0x3a: return &x->feature_control;
    case 0x48: return &x->spec_ctrl;
    case 0x179: return &x->mcg_cap;
    case 0x17a: return &x->mcg_status;
    case 0x17b: return &x->mcg_ctl;
    case 0x1a0: return &x->misc_enable;
    case 0x1d9: return &x->debugctl;
    case 0x400 ... 0x400 + 4 * X86_MCE_BANKS - 1:
        return &x->mce_banks[msr - 0x400];
    case 0xc001011f: return &x->virt_ssbd;
    default: return NULL;
    }
}

static bool glue_msr_read(SoftCpu *c, uint32_t msr, uint64_t *v)
{
    X86Cpu *x = c->owner;
    uint64_t *p = glue_plain(c->x, msr);
    bool ok = true;

    if (p) {
        *v = *p;
        return true;
    }
    switch (msr) {
    case 0xfe: *v = 0x508; return true;         /* MTRRs: 8, fixed, WC */
    case 0x3b: *v = c->x->tsc_adjust; return true;
    case 0x34: *v = c->x->smi_count; return true;
    case 0x9e: *v = c->x->smbase; return true;
    case 0x8b: case 0x17: case 0xc0010015: case 0xc0010010: case 0xc0011029:
    case 0xc001001f: case 0xc0010055: case 0x2a: case 0xc001001a:
    case 0xc001001d: case 0xc0010020: case 0x1c9: case 0xc0010117:
        *v = 0;
        return true;
    case 0x198: *v = 1000ull | 4ull << 40; return true;
    }
    if (soft_kvmclock_is(x, msr)) {
        *v = soft_kvmclock_read(x, msr);
        return true;
    }
    if (msr != 0x1b && msr != 0x6e0 && (msr < 0x800 || msr > 0x8ff)) {
        return false;
    }
    out(c);
    machine_lock();
    if (msr == 0x1b) {
        *v = apic_base_get(x);
    } else if (msr == 0x6e0) {
        *v = apic_tsc_deadline_get(x);
    } else {
        ok = apic_msr_read(x, msr, v);
    }
    machine_unlock();
    in(c);
    return ok;
}

static void tsc_move(SoftCpu *c, uint64_t by)
{
    c->x->tsc_offset += by;
    out(c);
    soft_kvmclock_moved(c->owner);
    in(c);
}

static bool glue_msr_write(SoftCpu *c, uint32_t msr, uint64_t v)
{
    X86Cpu *x = c->owner;
    uint64_t *p = glue_plain(c->x, msr);
    uint64_t by;
    bool ok = true;

    if (msr == 0x179) {
        return false;
    }
    if (p) {
        if (msr >= 0x400 && msr < 0x600 && msr & 3 && v && (msr & 3) == 1) {
            return false;               /* a status is only cleared */
        }
        *p = v;
        return true;
    }
    switch (msr) {
    case 0x10:
        by = v - x86_tsc(x);
        tsc_move(c, by);
        c->x->tsc_adjust += by;
        return true;
    case 0x3b:
        tsc_move(c, v - c->x->tsc_adjust);
        c->x->tsc_adjust = v;
        return true;
    case 0x8b: case 0xc0010015: case 0xc0011029: case 0xc001001f: case 0x49:
    case 0xc0010020: case 0x79: case 0xc0010010:
        return true;
    }
    if (soft_kvmclock_is(x, msr)) {
        out(c);
        soft_kvmclock_write(x, msr, v);
        in(c);
        return true;
    }
    if (msr != 0x1b && msr != 0x6e0 && (msr < 0x800 || msr > 0x8ff)) {
        return false;
    }
    out(c);
    machine_lock();
    if (msr == 0x1b) {
        ok = apic_base_set(x, v);
    } else if (msr == 0x6e0) {
        apic_tsc_deadline_set(x, v);
    } else {
        ok = apic_msr_write(x, msr, v);
    }
    machine_unlock();
    in(c);
    return ok;
}

/* MWAIT. Another processor's store is seen after the nap at the latest. */
static void glue_nap(SoftCpu *c)
{
    struct timespec t = { 0, 50000 };

    out(c);
    nanosleep(&t, NULL);
    in(c);
}

static void glue_smm(SoftCpu *c, bool enter)
{
    c->x->smi_count += enter;
}

static bool glue_ferr(SoftCpu *c, bool error)
{
    bool ignored;

    if (!pc) {
        return true;
    }
    out(c);
    machine_lock();
    ignored = pc_ferr(error);
    machine_unlock();
    in(c);
    return ignored;
}

const SoftHooks soft_machine_hooks = {
    .page = glue_page, .read = glue_read, .write = glue_write, .in = glue_in,
    .out = glue_out, .cpuid = glue_cpuid, .msr_read = glue_msr_read,
    .msr_write = glue_msr_write, .tsc = glue_tsc, .tpr_get = glue_tpr_get,
    .tpr_set = glue_tpr_set, .irq_ack = glue_irq_ack,
    .exclusive = glue_exclusive, .code_page = glue_code_page,
    .smm = glue_smm, .nap = glue_nap, .ferr = glue_ferr,
};

/* ---- what CPUID may say ---------------------------------------------- */
typedef struct Claim {
    uint8_t word, bit, feat;
} Claim;
#define ON(w, b) { w, b, FEAT_BASE }
static const Claim claims[] = {
    { FW_1_EDX, 0, FEAT_FPU }, ON(FW_1_EDX, 2), ON(FW_1_EDX, 3),
    { FW_1_EDX, 4, FEAT_TSC }, { FW_1_EDX, 5, FEAT_MSR }, ON(FW_1_EDX, 6),
    ON(FW_1_EDX, 7), { FW_1_EDX, 8, FEAT_CX8 }, ON(FW_1_EDX, 9),
    { FW_1_EDX, 11, FEAT_SEP }, ON(FW_1_EDX, 12), ON(FW_1_EDX, 13),
    ON(FW_1_EDX, 14), { FW_1_EDX, 15, FEAT_CMOV }, ON(FW_1_EDX, 16),
    ON(FW_1_EDX, 17), { FW_1_EDX, 19, FEAT_CLFLUSH },
    { FW_1_EDX, 23, FEAT_MMX }, { FW_1_EDX, 24, FEAT_FXSR },
    { FW_1_EDX, 25, FEAT_SSE }, { FW_1_EDX, 26, FEAT_SSE2 }, ON(FW_1_EDX, 27),
    { FW_1_ECX, 0, FEAT_SSE3 }, { FW_1_ECX, 1, FEAT_PCLMUL },
    { FW_1_ECX, 3, FEAT_MONITOR },
    { FW_1_ECX, 9, FEAT_SSSE3 }, { FW_1_ECX, 12, FEAT_FMA },
    { FW_1_ECX, 13, FEAT_CX16 }, ON(FW_1_ECX, 17),
    { FW_1_ECX, 19, FEAT_SSE41 }, { FW_1_ECX, 20, FEAT_SSE42 },
    ON(FW_1_ECX, 21), { FW_1_ECX, 22, FEAT_MOVBE },
    { FW_1_ECX, 23, FEAT_POPCNT }, ON(FW_1_ECX, 24),
    { FW_1_ECX, 25, FEAT_AES }, { FW_1_ECX, 26, FEAT_XSAVE },
    ON(FW_1_ECX, 27), { FW_1_ECX, 28, FEAT_AVX }, { FW_1_ECX, 29, FEAT_F16C },
    { FW_1_ECX, 30, FEAT_RDRAND }, ON(FW_1_ECX, 31),
    { FW_7_EBX, 0, FEAT_FSGSBASE }, ON(FW_7_EBX, 1),
    { FW_7_EBX, 3, FEAT_BMI1 }, { FW_7_EBX, 5, FEAT_AVX2 }, ON(FW_7_EBX, 7),
    { FW_7_EBX, 8, FEAT_BMI2 }, ON(FW_7_EBX, 9),
    { FW_7_EBX, 10, FEAT_INVPCID }, { FW_7_EBX, 18, FEAT_RDSEED },
    { FW_7_EBX, 19, FEAT_ADX }, { FW_7_EBX, 20, FEAT_SMAP },
    { FW_7_EBX, 23, FEAT_CLFLUSHOPT }, { FW_7_EBX, 24, FEAT_CLWB },
    { FW_7_EBX, 29, FEAT_SHA },
    ON(FW_7_ECX, 2), { FW_7_ECX, 3, FEAT_PKU }, ON(FW_7_ECX, 4),
    ON(FW_7_ECX, 16),
    { FW_7_ECX, 9, FEAT_VAES }, { FW_7_ECX, 10, FEAT_VPCLMUL },
    { FW_7_ECX, 22, FEAT_RDPID }, ON(FW_7_EDX, 4),
    { FW_8000_0001_EDX, 11, FEAT_SYSCALL }, ON(FW_8000_0001_EDX, 20),
    ON(FW_8000_0001_EDX, 22), ON(FW_8000_0001_EDX, 25),
    ON(FW_8000_0001_EDX, 26), { FW_8000_0001_EDX, 27, FEAT_RDTSCP },
    { FW_8000_0001_EDX, 29, FEAT_LM },
    { FW_8000_0001_ECX, 0, FEAT_LAHF }, ON(FW_8000_0001_ECX, 1),
    { FW_8000_0001_ECX, 5, FEAT_LZCNT }, { FW_8000_0001_ECX, 6, FEAT_SSE4A },
    { FW_8000_0001_ECX, 8, FEAT_PREFETCHW },
    { FW_XSAVE, 0, FEAT_XSAVEOPT }, { FW_XSAVE, 1, FEAT_XSAVEC },
    ON(FW_XSAVE, 2), { FW_XSAVE, 3, FEAT_XSAVES }, ON(FW_6_EAX, 2),
    ON(FW_XSAVE_XCR0_LO, 0), ON(FW_XSAVE_XCR0_LO, 1),
    { FW_XSAVE_XCR0_LO, 2, FEAT_AVX }, { FW_XSAVE_XCR0_LO, 9, FEAT_PKU },
};

/* Forms that the host itself must have, as it runs them. */
static bool host_has(unsigned feat)
{
    __builtin_cpu_init();
    switch (feat) {
    case FEAT_SSE3: return __builtin_cpu_supports("sse3");
    case FEAT_SSSE3: return __builtin_cpu_supports("ssse3");
    case FEAT_SSE41: return __builtin_cpu_supports("sse4.1");
    case FEAT_SSE42: return __builtin_cpu_supports("sse4.2");
    case FEAT_SSE4A: return __builtin_cpu_supports("sse4a");
    case FEAT_AVX: return __builtin_cpu_supports("avx");
    case FEAT_AVX2: return __builtin_cpu_supports("avx2");
    case FEAT_FMA: return __builtin_cpu_supports("fma");
    case FEAT_AES: return __builtin_cpu_supports("aes");
    case FEAT_PCLMUL: return __builtin_cpu_supports("pclmul");
    case FEAT_F16C: case FEAT_SHA: case FEAT_VAES: case FEAT_VPCLMUL: {
        uint32_t a = feat == FEAT_F16C ? 1 : 7, b, c = 0, d;

        __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
        return feat == FEAT_F16C ? c >> 29 & 1 : feat == FEAT_SHA ?
            b >> 29 & 1 : feat == FEAT_VAES ? c >> 9 & 1 : c >> 10 & 1;
    }
    default: return true;
    }
}

/* Leaves that describe the engine rather than single features. */
void soft_cpuid(uint32_t leaf, uint32_t sub, uint32_t out[4])
{
    uint32_t x = soft_features(FW_XSAVE_XCR0_LO, false);

    memset(out, 0, 4 * sizeof(*out));
    if (leaf != 0xd) {
        out[0] = leaf;
        out[2] = sub;
        __asm__("cpuid" : "+a"(out[0]), "=b"(out[1]), "+c"(out[2]),
                "=d"(out[3]));
        return;
    }
    switch (sub) {
    case 0:
        out[0] = x;
        out[2] = x & 0x200 ? 2696 : x & 4 ? 832 : 576;
        out[1] = out[2];
        break;
    case 1: out[0] = soft_features(FW_XSAVE, false); break;
    case 2: out[0] = x & 4 ? 256 : 0; out[1] = x & 4 ? 576 : 0; break;
    case 9: out[0] = x & 0x200 ? 8 : 0; out[1] = x & 0x200 ? 2688 : 0; break;
    }
}

uint64_t soft_features(unsigned word, bool migratable)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(claims); i++) {
        const Claim *k = &claims[i];

        if (k->word == word && (k->feat == FEAT_BASE ||
                                (soft_feature_done(k->feat) &&
                                 host_has(k->feat)))) {
            v |= 1ull << k->bit;
        }
    }
    if (word == FW_KVM) {
        return 1u << 0 | 1u << 3 | 1u << 24;    /* its clock, on request */
    }
    if (word == FW_8000_0001_EDX) {
        v |= soft_features(FW_1_EDX, migratable) & 0x0183f3ff;
    }
    return v;
}
