/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cpuid.c - the CPUID table a guest sees (Intel SDM vol. 2 CPUID; AMD APM vol. 3
 * appendix E; Linux "KVM CPUID bits").
 *
 * Thread class: MACHINE_CALL; x86_cpuid any thread, the table is complete before
 * the vCPU runs and does not change.
 *
 * 1. The table is built once at realize, from feature words, ids and topology; it
 *    is what KVM is given and what x86_cpuid answers from.
 * 2. Bits that follow registers (APIC on, OSXSAVE, OSPKE) are added by KVM, and by
 *    x86_cpuid from X86Regs.
 */
#include <glib.h>
#include "accel.h"
#include "x86-cpu.h"

#define BIT(n) (1ull << (n))
#define MAX_LEAVES 128

typedef struct Table {
    X86CpuDev *d;
    X86CpuidLeaf l[MAX_LEAVES];
    unsigned n;
    unsigned cores, threads;           /* per die, per core                   */
    X86Shifts shift;
    bool amd, intel;
} Table;

static void put_sub(Table *t, uint32_t leaf, uint32_t sub, uint32_t eax,
                    uint32_t ebx, uint32_t ecx, uint32_t edx)
{
    if (t->n < MAX_LEAVES) {
        t->l[t->n++] = (X86CpuidLeaf){ leaf, sub, eax, ebx, ecx, edx, true };
    }
}

static void put(Table *t, uint32_t leaf, uint32_t eax, uint32_t ebx,
                uint32_t ecx, uint32_t edx)
{
    put_sub(t, leaf, 0, eax, ebx, ecx, edx);
    t->l[t->n - 1].has_sub = false;
}

static uint32_t feature(const Table *t, X86Word w)
{
    return t->d->x.features[w];
}

/* ---- caches -------------------------------------------------------------- */

/* What a processor without a cache topology of its own shows: leaf 4 after
 * Intel's fashion, the extended leaves after AMD's. */
const X86Caches x86_caches_legacy = {
    .l1d = { .type = 1, .level = 1, .line = 64, .ways = 8, .partitions = 1,
             .sets = 64, .lines_per_tag = 1, .self_init = true,
             .no_wbinvd = true },
    .l1i = { .type = 2, .level = 1, .line = 64, .ways = 8, .partitions = 1,
             .sets = 64, .lines_per_tag = 1, .self_init = true,
             .no_wbinvd = true },
    .l2 = { .type = 3, .level = 2, .line = 64, .ways = 16, .partitions = 1,
            .sets = 4096, .lines_per_tag = 1, .self_init = true,
            .no_wbinvd = true },
    .l3 = { .type = 3, .level = 3, .line = 64, .ways = 16, .partitions = 1,
            .sets = 16384, .lines_per_tag = 1, .self_init = true,
            .inclusive = true, .complex_index = true },
};
const X86Caches x86_caches_legacy_amd = {
    .l1d = { .type = 1, .level = 1, .line = 64, .ways = 2, .partitions = 1,
             .sets = 512, .lines_per_tag = 1, .self_init = true,
             .no_wbinvd = true },
    .l1i = { .type = 2, .level = 1, .line = 64, .ways = 2, .partitions = 1,
             .sets = 512, .lines_per_tag = 1, .self_init = true,
             .no_wbinvd = true },
    .l2 = { .type = 3, .level = 2, .line = 64, .ways = 16, .partitions = 1,
            .sets = 512, .lines_per_tag = 1 },
    .l3 = { .type = 3, .level = 3, .line = 64, .ways = 16, .partitions = 1,
            .sets = 16384, .lines_per_tag = 1, .self_init = true,
            .inclusive = true, .complex_index = true },
};

static const X86Caches *caches(const Table *t, bool amd)
{
    return t->d->caches ? t->d->caches
         : amd ? &x86_caches_legacy_amd : &x86_caches_legacy;
}

/* Leaves 4 and 8000001D share all registers but bits 26-31 of EAX. */
static void put_cache(Table *t, uint32_t leaf, uint32_t sub,
                      const X86Cache *c, unsigned sharing, uint32_t top)
{
    put_sub(t, leaf, sub,
            c->type | (uint32_t)c->level << 5 | (uint32_t)c->self_init << 8 |
                (sharing - 1) << 14 | top,
            (c->line - 1) | (c->partitions - 1) << 12 |
                (uint32_t)(c->ways - 1) << 22,
            c->sets - 1,
            c->no_wbinvd | c->inclusive << 1 | c->complex_index << 2);
}

static void leaf_4(Table *t)
{
    const X86Caches *c = caches(t, false);
    uint32_t top = (t->cores - 1) << 26;
    uint32_t r[4];

    if (t->d->vendor_cpuid_only && t->amd) {
        put_sub(t, 4, 0, 0, 0, 0, 0);
        return;
    }
    if (t->d->host_cache_info) {
        for (unsigned i = 0; i < 8; i++) {
            x86_host_cpuid(4, i, r);
            if (r[0] & 31) {
                r[0] = (r[0] & 0x03ffffff) | top;
            }
            put_sub(t, 4, i, r[0], r[1], r[2], r[3]);
            if (!(r[0] & 31)) {
                return;
            }
        }
        return;
    }
    put_cache(t, 4, 0, &c->l1d, 1, top);
    put_cache(t, 4, 1, &c->l1i, 1, top);
    put_cache(t, 4, 2, &c->l2, t->threads, top);
    if (t->d->l3_cache) {
        put_cache(t, 4, 3, &c->l3, 1u << t->shift.die, top);
    }
    put_sub(t, 4, t->d->l3_cache ? 4 : 3, 0, 0, 0, 0);
}

static void leaf_1d(Table *t)
{
    const X86Caches *c = caches(t, true);
    uint32_t r[4];

    if (t->d->host_cache_info) {
        for (unsigned i = 0; i < 8; i++) {
            x86_host_cpuid(0x8000001d, i, r);
            put_sub(t, 0x8000001d, i, r[0], r[1], r[2], r[3]);
            if (!(r[0] & 31)) {
                return;
            }
        }
        return;
    }
    put_cache(t, 0x8000001d, 0, &c->l1d, t->threads, 0);
    put_cache(t, 0x8000001d, 1, &c->l1i, t->threads, 0);
    put_cache(t, 0x8000001d, 2, &c->l2, t->threads, 0);
    put_cache(t, 0x8000001d, 3, &c->l3, t->cores * t->threads, 0);
    put_sub(t, 0x8000001d, 4, 0, 0, 0, 0);
}

static uint32_t cache_bytes(const X86Cache *c)
{
    return c->line * c->ways * c->partitions * c->sets;
}

static uint32_t amd_l1(const X86Cache *c)
{
    return cache_bytes(c) / 1024 << 24 | (uint32_t)c->ways << 16 |
           c->lines_per_tag << 8 | c->line;
}

/* APM vol. 3, E.4.5: associativity by code. */
static uint32_t amd_ways(unsigned ways)
{
    static const uint8_t code[][2] = {
        { 1, 1 }, { 2, 2 }, { 4, 4 }, { 8, 6 }, { 16, 8 }, { 32, 10 },
        { 48, 11 }, { 64, 12 }, { 96, 13 }, { 128, 14 },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(code); i++) {
        if (code[i][0] == ways) {
            return code[i][1];
        }
    }
    return 0;
}

/* TLB sizes as such a table has them; no software reads them for more. */
#define L1_TLBS 0x01ff01ff
#define L2_TLBS 0x42004200

static void leaf_5_6(Table *t)
{
    const X86Caches *c = caches(t, true);
    uint32_t r[4];

    if (t->d->host_cache_info) {
        x86_host_cpuid(0x80000005, 0, r);
        put(t, 0x80000005, r[0], r[1], r[2], r[3]);
        x86_host_cpuid(0x80000006, 0, r);
        put(t, 0x80000006, r[0], r[1], r[2], r[3]);
        return;
    }
    put(t, 0x80000005, L1_TLBS, L1_TLBS, amd_l1(&c->l1d), amd_l1(&c->l1i));
    put(t, 0x80000006, 0, L2_TLBS,
        cache_bytes(&c->l2) / 1024 << 16 | amd_ways(c->l2.ways) << 12 |
            c->l2.lines_per_tag << 8 | c->l2.line,
        t->d->l3_cache
            ? cache_bytes(&c->l3) / (512 * 1024) << 18 |
                  amd_ways(c->l3.ways) << 12 | c->l3.lines_per_tag << 8 |
                  c->l3.line
            : 0);
}

/* ---- topology ------------------------------------------------------------ */

static void leaf_b(Table *t)
{
    uint32_t id = t->d->x.apic_id;

    if (!t->d->cpuid_0xb) {
        put_sub(t, 0xb, 0, 0, 0, 0, 0);
        return;
    }
    put_sub(t, 0xb, 0, t->shift.core, t->threads, 0x100, id);
    put_sub(t, 0xb, 1, t->shift.socket, t->cores * t->threads, 0x201, id);
    put_sub(t, 0xb, 2, 0, 0, 2, id);
}

static void leaf_1f(Table *t)
{
    uint32_t id = t->d->x.apic_id;
    unsigned dies = machine ? machine->dies : 1;

    if (dies < 2) {
        return;
    }
    put_sub(t, 0x1f, 0, t->shift.core, t->threads, 0x100, id);
    put_sub(t, 0x1f, 1, t->shift.die, t->cores * t->threads, 0x201, id);
    put_sub(t, 0x1f, 2, t->shift.socket, dies * t->cores * t->threads, 0x502,
            id);
    put_sub(t, 0x1f, 3, 0, 0, 3, id);
}

static void leaf_1e(Table *t)
{
    const X86Cpu *c = &t->d->x;
    unsigned dies = machine ? machine->dies : 1;
    uint32_t node = c->apic_id >> t->shift.die & 0xff;
    uint32_t core = c->apic_id >> t->shift.core & ((1u << (t->shift.die -
                                                           t->shift.core)) -
                                                   1);

    if (core <= 255) {
        put(t, 0x8000001e, c->apic_id, core | (t->threads - 1) << 8,
            (dies - 1) << 8 | node, 0);
    } else {
        put(t, 0x8000001e, 0, 0, 0, 0);
    }
}

/* ---- basic leaves -------------------------------------------------------- */

static uint32_t signature(const X86Cpu *c)
{
    uint32_t base = c->family > 15 ? 15 : c->family;

    return (c->stepping & 15) | (c->model & 15) << 4 | base << 8 |
           (c->model >> 4) << 16 | (c->family - base) << 20;
}

static void leaf_1(Table *t)
{
    const X86Cpu *c = &t->d->x;
    uint32_t ebx = c->apic_id << 24 | 8u << 8, edx = feature(t, FW_1_EDX);
    unsigned n = t->cores * t->threads;

    if (n > 1) {
        ebx |= (n & 0xff) << 16;
        edx |= 1u << 28;
    }
    put(t, 1, signature(c), ebx, feature(t, FW_1_ECX), edx);
}

/* Leaf 2's byte for a cache (SDM vol. 2, table 3-12); ff: see leaf 4. */
static uint32_t descriptor(const X86Cache *c)
{
    static const struct {
        uint8_t byte, level, type, ways;
        uint16_t kib;
    } rows[] = {
        { 0x0d, 1, 1, 4, 16 }, { 0x0e, 1, 1, 6, 24 }, { 0x2c, 1, 1, 8, 32 },
        { 0x60, 1, 1, 8, 16 }, { 0x66, 1, 1, 4, 8 }, { 0x68, 1, 1, 4, 32 },
        { 0x09, 1, 2, 4, 32 }, { 0x30, 1, 2, 8, 32 },
        { 0x1d, 2, 3, 2, 128 }, { 0x21, 2, 3, 8, 256 },
        { 0x48, 2, 3, 12, 3072 }, { 0x4e, 2, 3, 24, 6144 },
        { 0x78, 2, 3, 4, 1024 }, { 0x7d, 2, 3, 8, 2048 },
        { 0x7f, 2, 3, 2, 512 }, { 0x80, 2, 3, 8, 512 },
        { 0x86, 2, 3, 4, 512 }, { 0x87, 2, 3, 8, 1024 },
        { 0x46, 3, 3, 4, 4096 }, { 0x47, 3, 3, 8, 8192 },
        { 0x49, 3, 3, 16, 4096 }, { 0x4a, 3, 3, 12, 6144 },
        { 0x4b, 3, 3, 16, 8192 }, { 0x4c, 3, 3, 12, 12288 },
        { 0x4d, 3, 3, 16, 16384 }, { 0xe2, 3, 3, 16, 2048 },
        { 0xea, 3, 3, 24, 12288 }, { 0xeb, 3, 3, 24, 18432 },
        { 0xec, 3, 3, 24, 24576 },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].level == c->level && rows[i].type == c->type &&
            rows[i].ways == c->ways && c->line == 64 &&
            rows[i].kib * 1024u == cache_bytes(c)) {
            return rows[i].byte;
        }
    }
    return 0xff;
}

static void leaf_2(Table *t)
{
    const X86Caches *c = t->d->caches;
    uint32_t r[4];

    if (t->d->vendor_cpuid_only && t->amd) {
        put(t, 2, 0, 0, 0, 0);
    } else if (t->d->host_cache_info) {
        x86_host_cpuid(2, 0, r);
        put(t, 2, r[0], r[1], r[2], r[3]);
    } else if (c) {
        put(t, 2, 1, 0, t->d->l3_cache ? descriptor(&c->l3) : 0,
            descriptor(&c->l1d) << 16 | descriptor(&c->l1i) << 8 |
                descriptor(&c->l2));
    } else {
        /* Descriptors: 4d L3 16 MB, 2c L1D 32 KB, 30 L1I 32 KB, 7d L2 2 MB. */
        put(t, 2, 1, 0, t->d->l3_cache ? 0x4d : 0, 0x002c307d);
    }
}

static void leaf_7(Table *t)
{
    put_sub(t, 7, 0, t->d->level_func7, feature(t, FW_7_EBX),
            feature(t, FW_7_ECX), feature(t, FW_7_EDX));
    if (t->d->level_func7 >= 1) {
        put_sub(t, 7, 1, feature(t, FW_7_1_EAX), 0, 0, 0);
    }
}

static void leaf_a(Table *t)
{
    uint32_t r[4] = { 0 };

    if (t->d->pmu) {
        x86_host_cpuid(0xa, 0, r);
    }
    put(t, 0xa, r[0], r[1], r[2], r[3]);
}

/* Size of the XSAVE area of a set of components, standard or compacted. */
static uint32_t xsave_size(uint64_t mask, bool compacted)
{
    uint32_t size = 576, r[4];

    for (unsigned i = 2; i < 63; i++) {
        if (!(mask >> i & 1)) {
            continue;
        }
        x86_host_cpuid(0xd, i, r);
        size = compacted ? size + r[0] : MAX2(size, r[1] + r[0]);
    }
    return size;
}

static void leaf_d(Table *t)
{
    uint64_t xcr0 = feature(t, FW_XSAVE_XCR0_LO) |
                    (uint64_t)feature(t, FW_XSAVE_XCR0_HI) << 32;
    uint64_t xss = feature(t, FW_XSAVE_XSS_LO) |
                   (uint64_t)feature(t, FW_XSAVE_XSS_HI) << 32;
    uint32_t r[4];

    if (!(feature(t, FW_1_ECX) & BIT(26))) {
        return;
    }
    put_sub(t, 0xd, 0, xcr0, xsave_size(3, false), xsave_size(xcr0, false),
            xcr0 >> 32);
    put_sub(t, 0xd, 1, feature(t, FW_XSAVE),
            feature(t, FW_XSAVE) & 0xa ? xsave_size(xcr0 | xss, true) : 0,
            xss, xss >> 32);
    for (unsigned i = 2; i < 63; i++) {
        if ((xcr0 | xss) >> i & 1) {
            x86_host_cpuid(0xd, i, r);
            put_sub(t, 0xd, i, r[0], xss >> i & 1 ? 0 : r[1], r[2], 0);
        }
    }
}

/* Leaves that exist only for features passed through from the host. */
static void leaf_host(Table *t, uint32_t leaf, X86Word word, unsigned bit,
                      unsigned subs)
{
    uint32_t r[4];

    for (unsigned i = 0; i < subs && feature(t, word) & BIT(bit); i++) {
        x86_host_cpuid(leaf, i, r);
        put_sub(t, leaf, i, r[0], r[1], r[2], r[3]);
    }
}

static void basic(Table *t)
{
    const X86Cpu *c = &t->d->x;
    const char *v = c->vendor;
    uint32_t max = c->level;

    put(t, 0, max, ld_le32(v), ld_le32(v + 8), ld_le32(v + 4));
    if (max >= 1) { leaf_1(t); }
    if (max >= 2) { leaf_2(t); }
    if (max >= 4) { leaf_4(t); }
    if (max >= 5) { put(t, 5, 0, 0, 3, 0); }
    if (max >= 6) { put(t, 6, feature(t, FW_6_EAX), 0, 0, 0); }
    if (max >= 7) { leaf_7(t); }
    if (max >= 0xa) { leaf_a(t); }
    if (max >= 0xb) { leaf_b(t); }
    if (max >= 0xd) { leaf_d(t); }
    if (max >= 0x12) { leaf_host(t, 0x12, FW_7_EBX, 2, 3); }
    if (max >= 0x14) { leaf_host(t, 0x14, FW_7_EBX, 25, 2); }
    if (max >= 0x1f) { leaf_1f(t); }
}

/* ---- extended leaves ----------------------------------------------------- */

static void leaf_e1(Table *t)
{
    uint32_t ecx = feature(t, FW_8000_0001_ECX);

    if (t->cores * t->threads > 1 && !t->intel) {
        ecx |= BIT(1);                 /* CmpLegacy                           */
    }
    put(t, 0x80000001, signature(&t->d->x), 0, ecx,
        feature(t, FW_8000_0001_EDX));
}

static void leaf_e8(Table *t)
{
    unsigned n = t->cores * t->threads;
    uint32_t eax = t->d->x.phys_bits, ecx = 0;

    if (feature(t, FW_8000_0001_EDX) & BIT(29)) {
        eax |= (feature(t, FW_7_ECX) & BIT(16) ? 57u : 48u) << 8;
    }
    if (n > 1) {
        ecx = t->shift.socket << 12 | (n - 1);
    }
    put(t, 0x80000008, eax, feature(t, FW_8000_0008_EBX), ecx, 0);
}

static void extended(Table *t)
{
    const X86Cpu *c = &t->d->x;
    const char *v = c->vendor;
    char id[48] = { 0 };
    uint32_t max = c->xlevel;

    if (!max) {
        return;
    }
    put(t, 0x80000000, max, ld_le32(v), ld_le32(v + 8), ld_le32(v + 4));
    if (max >= 0x80000001) { leaf_e1(t); }
    memcpy(id, c->model_id, MIN2(strlen(c->model_id), sizeof(id)));
    for (unsigned i = 0; i < 3 && max >= 0x80000002 + i; i++) {
        put(t, 0x80000002 + i, ld_le32(id + i * 16), ld_le32(id + i * 16 + 4),
            ld_le32(id + i * 16 + 8), ld_le32(id + i * 16 + 12));
    }
    if (max >= 0x80000006) { leaf_5_6(t); }
    if (max >= 0x80000007) {
        put(t, 0x80000007, 0, 0, 0, feature(t, FW_8000_0007_EDX));
    }
    if (max >= 0x80000008) { leaf_e8(t); }
    if (max >= 0x8000000a && feature(t, FW_8000_0001_ECX) & BIT(2)) {
        put(t, 0x8000000a, 1, 16, 0, feature(t, FW_SVM));
    }
    if (max >= 0x8000001d) { leaf_1d(t); }
    if (max >= 0x8000001e) { leaf_1e(t); }
    if (c->level2) {
        put(t, 0xc0000000, c->level2, 0, 0, 0);
        put(t, 0xc0000001, 0, 0, 0, feature(t, FW_C000_0001_EDX));
    }
}

/* ---- the hypervisor's leaves --------------------------------------------- */

static MACHINE_CALL void paravirtual(Table *t)
{
    X86CpuidLeaf hv[X86_HV_LEAVES];
    unsigned n = x86_hyperv_leaves(t->d, hv);
    uint32_t base = n ? 0x40000100 : 0x40000000;

    for (unsigned i = 0; i < n && t->n < MAX_LEAVES; i++) {
        t->l[t->n++] = hv[i];
    }
    if (accel_is("kvm")) {
        if (t->d->kvm) {
            put(t, base, base | 1, 0x4b4d564b, 0x564b4d56, 0x4d);
            put(t, base + 1, feature(t, FW_KVM), 0, 0,
                feature(t, FW_KVM_HINTS));
        }
    } else if (accel_is("soft") && feature(t, FW_KVM)) {
        put(t, base, base | 1, 0x4b4d564b, 0x564b4d56, 0x4d);
        put(t, base + 1, feature(t, FW_KVM), 0, 0, 0);
    } else if (!n && t->d->expose_tcg &&
               feature(t, FW_1_ECX) & BIT(31)) {
        /* The signature software knows for software emulation. */
        put(t, 0x40000000, 0x40000001, 0x54474354, 0x43544743, 0x47435447);
        put(t, 0x40000001, 0, 0, 0, 0);
    }
}

void x86_cpuid_build(X86CpuDev *d)
{
    Table *t = g_new0(Table, 1);

    t->d = d;
    t->cores = machine && machine->cores ? machine->cores : 1;
    t->threads = machine && machine->threads ? machine->threads : 1;
    t->shift = x86_shifts(machine);
    t->amd = strcmp(d->x.vendor, "AuthenticAMD") == 0;
    t->intel = strcmp(d->x.vendor, "GenuineIntel") == 0;
    paravirtual(t);
    basic(t);
    extended(t);
    g_free(d->x.cpuid);
    d->x.cpuid = g_memdup2(t->l, t->n * sizeof(t->l[0]));
    d->x.ncpuid = t->n;
    g_free(t);
}

/* ---- for engines --------------------------------------------------------- */

static const X86CpuidLeaf *lookup(const X86Cpu *c, uint32_t leaf, uint32_t sub,
                                  bool *known)
{
    *known = false;
    for (unsigned i = 0; i < c->ncpuid; i++) {
        const X86CpuidLeaf *l = &c->cpuid[i];

        if (l->leaf == leaf) {
            *known = true;
            if (!l->has_sub || l->sub == sub) {
                return l;
            }
        }
    }
    return NULL;
}

static uint32_t xsave_size_now(const X86Cpu *c, uint64_t mask, bool compacted)
{
    uint32_t size = 576;

    for (unsigned i = 0; i < c->ncpuid; i++) {
        const X86CpuidLeaf *l = &c->cpuid[i];

        if (l->leaf == 0xd && l->sub >= 2 && mask >> l->sub & 1) {
            size = compacted ? size + l->eax : MAX2(size, l->ebx + l->eax);
        }
    }
    return size;
}

void x86_cpuid(const X86Cpu *c, uint32_t leaf, uint32_t sub, uint32_t out[4])
{
    const X86CpuidLeaf *l;
    bool known;

    memset(out, 0, 4 * sizeof(out[0]));
    l = lookup(c, leaf, sub, &known);
    if (!l && !known && leaf < 0x40000000 && leaf > c->level &&
        strcmp(c->vendor, "GenuineIntel") == 0) {
        l = lookup(c, leaf = c->level, sub, &known);
    }
    if (!l) {
        /* Beyond the last level of the topology leaves: the id is still told. */
        if (known && (leaf == 0xb || leaf == 0x1f)) {
            out[2] = sub & 0xff;
            out[3] = c->apic_id;
        }
        return;
    }
    out[0] = l->eax;
    out[1] = l->ebx;
    out[2] = l->ecx;
    out[3] = l->edx;
    if (leaf == 1) {
        out[2] &= ~(1u << 27);
        out[2] |= c->regs.cr4 & 1u << 18 ? 1u << 27 : 0;
        if (!(c->regs.apic_base & 1u << 11)) {
            out[3] &= ~(1u << 9);
        }
    } else if (leaf == 7 && sub == 0) {
        out[2] |= c->regs.cr4 & 1u << 22 ? 1u << 4 : 0;
    } else if (leaf == 0xd && sub == 0) {
        out[1] = xsave_size_now(c, c->regs.xcr0, false);
    } else if (leaf == 0xd && sub == 1 && out[0] & 0xa) {
        out[1] = xsave_size_now(c, c->regs.xcr0 | c->regs.xss, true);
    }
}
