/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CPU models, CPUID, -smp, APIC ids, page tables.
 */
#include <glib.h>
#include "tests/tern-test.h"
#include "accel.h"
#include "machine-opts.h"
#include "mem.h"
#include "target/x86/x86-cpu.h"

/* ---- -smp ---------------------------------------------------------------- */

static const MachineType new_type = {
    .name = "t-new", .version = 702, .max_cpus = 255, .default_cpu = "qemu64",
}, old_type = {
    .name = "t-old", .version = 601, .max_cpus = 255,
};

static MACHINE_CALL char *smp(const MachineType *t, const char *text)
{
    Machine m = { .type = t };
    Error *err = NULL;
    char *s;

    if (!machine_smp_set(&m, text, &err)) {
        s = g_strdup(error_text(err));
        error_free(err);
        return s;
    }
    return g_strdup_printf("%u of %u: %u %u %u %u", m.cpus, m.max_cpus,
                           m.sockets, m.dies, m.cores, m.threads);
}

TEST(smp_fills_in_what_is_left_out)
{
    static const struct { const char *text, *new_way, *old_way; } rows[] = {
        { "4", "4 of 4: 1 1 4 1", "4 of 4: 4 1 1 1" },
        { "4,sockets=2", "4 of 4: 2 1 2 1", "4 of 4: 2 1 2 1" },
        { "cpus=8,threads=2", "8 of 8: 1 1 4 2", "8 of 8: 4 1 1 2" },
        { "2,maxcpus=8,sockets=2,dies=2", "2 of 8: 2 2 2 1",
          "2 of 8: 2 2 2 1" },
        { "sockets=2,cores=2,threads=2", "8 of 8: 2 1 2 2",
          "8 of 8: 2 1 2 2" },
        { "maxcpus=6", "6 of 6: 1 1 6 1", "6 of 6: 6 1 1 1" },
    };

    machine_lock();
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        g_autofree char *a = smp(&new_type, rows[i].text),
                        *b = smp(&old_type, rows[i].text);

        CHECK_STR(a, rows[i].new_way);
        CHECK_STR(b, rows[i].old_way);
    }
    machine_unlock();
}

TEST(smp_refuses)
{
    static const struct { const char *text, *why; } rows[] = {
        { "300", "Invalid SMP CPUs 300. The max CPUs supported by machine "
                 "'t-new' is 255" },
        { "foo", "Parameter 'smp.cpus' expects integer" },
        { "4,sockets=3", "Invalid CPU topology: product of the hierarchy must "
          "match maxcpus: sockets (3) * dies (1) * cores (1) * threads (1) "
          "!= maxcpus (4)" },
        { "2,books=3", "Parameter 'smp.books' is unexpected" },
        { "2,clusters=2", "clusters not supported by this machine's CPU "
          "topology" },
        { "4294967297", "Invalid SMP CPUs 4294967297. The max CPUs supported "
          "by machine 't-new' is 255" },
        { "-1", "Invalid SMP CPUs -1. The max CPUs supported by machine "
          "'t-new' is 255" },
    };

    machine_lock();
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        g_autofree char *s = smp(&new_type, rows[i].text);

        CHECK_STR(s, rows[i].why);
    }
    machine_unlock();
}

TEST(apic_ids_by_topology)
{
    Machine m = { .sockets = 2, .dies = 2, .cores = 3, .threads = 2,
                  .max_cpus = 24 };
    uint32_t last = 0;

    CHECK_EQ(machine_apic_id(&m, 0), 0u);
    CHECK_EQ(machine_apic_id(&m, 1), 1u);
    CHECK_EQ(machine_apic_id(&m, 2), 2u);
    CHECK_EQ(machine_apic_id(&m, 6), 8u);      /* three cores take four places */
    CHECK_EQ(machine_apic_id(&m, 12), 16u);
    for (unsigned i = 1; i < 24; i++) {
        uint32_t id = machine_apic_id(&m, i);

        CHECK_GT(id, last);
        last = id;
        CHECK_EQ(x86_apic_id(&m, x86_place(&m, id)), id);
    }
}

/* ---- features ------------------------------------------------------------ */

TEST(feature_names_are_sound)
{
    size_t n;
    const char *const *names = x86_feature_names(&n);

    CHECK_EQ(n, 321u);
    for (size_t i = 0; i < n; i++) {
        uint64_t bits[FW_COUNT];
        unsigned any = 0;

        CHECK(x86_feature_find(names[i], bits));
        for (unsigned w = 0; w < FW_COUNT; w++) {
            any += __builtin_popcountll(bits[w]);
            for (unsigned b = 0; b < 64; b++) {
                if (bits[w] >> b & 1) {
                    CHECK_STR(x86_feature_name(w, b), names[i]);
                }
            }
        }
        CHECK_GE(any, 1u);
    }
}

/* Each word of a list names a feature, so that a model cannot be mistyped. */
static void check_words(const char *list)
{
    char **v = list ? g_strsplit(list, " ", -1) : NULL;

    for (unsigned i = 0; v && v[i]; i++) {
        uint64_t bits[FW_COUNT];

        if (*v[i] && !x86_feature_find(v[i], bits)) {
            FAIL("no feature '%s'", v[i]);
        }
    }
    g_strfreev(v);
}

static void check_model(const DeviceType *t, const X86CpuType *ct, void *arg)
{
    unsigned *n = arg;

    (*n)++;
    if (ct->model) {
        check_words(ct->model->add);
        check_words(ct->model->drop);
        CHECK_EQ(strlen(x86_model_vendor(ct->model)), 12u);
    }
    CHECK_EQ(strncmp(t->name, ct->name, strlen(ct->name)), 0);
}

TEST(models_are_sound)
{
    unsigned n = 0;

    x86_cpu_types_each(check_model, &n);
    CHECK_EQ(n, 132u);
}

/* ---- CPUID --------------------------------------------------------------- */

/* A CPU of a model as an accelerator without limits would give it. */
static MACHINE_CALL X86CpuDev *cpu_new(const char *model, const char *props)
{
    const DeviceType *t = x86_cpu_type_find(model);
    Device *dev = t ? device_new(t->name, NULL) : NULL;
    X86CpuDev *d = dev ? container_of(dev, X86CpuDev, x.cpu.dev) : NULL;
    char **v = g_strsplit(props ? props : "", ",", -1);

    REQUIRE(d != NULL);
    for (unsigned i = 0; v[i]; i++) {
        char *eq = strchr(v[i], '=');

        if (eq) {
            *eq = 0;
            CHECK(device_set(dev, v[i], eq + 1, NULL));
        }
    }
    g_strfreev(v);
    CHECK(x86_expand(d, true, NULL));
    d->x.phys_bits = d->x.phys_bits ? d->x.phys_bits : 40;
    d->x.apic_id = 0;
    if (d->legacy_cache) {
        d->caches = NULL;
    }
    x86_cpuid_build(d);
    return d;
}

static MACHINE_CALL void cpu_drop(X86CpuDev *d)
{
    g_free(d->x.cpuid);
    device_free(&d->x.cpu.dev);
}

static void check_leaf(X86CpuDev *d, uint32_t leaf, uint32_t sub, uint32_t a,
                       uint32_t b, uint32_t c, uint32_t e)
{
    uint32_t r[4];

    x86_cpuid(&d->x, leaf, sub, r);
    if (r[0] != a || r[1] != b || r[2] != c || r[3] != e) {
        FAIL("leaf %x.%x is %08x %08x %08x %08x", leaf, sub, r[0], r[1], r[2],
             r[3]);
    }
}

TEST(leaves_of_qemu64)
{
    X86CpuDev *d;

    machine_lock();
    d = cpu_new("qemu64", NULL);
    d->x.regs.apic_base = 0xfee00900;
    check_leaf(d, 0, 0, 13, 0x68747541, 0x444d4163, 0x69746e65);
    check_leaf(d, 1, 0, 0x60fb1, 0x800, 0x80002001, 0x078bfbfd);
    check_leaf(d, 2, 0, 0, 0, 0, 0);
    check_leaf(d, 0xb, 1, 0, 1, 0x201, 0);
    check_leaf(d, 0xb, 7, 0, 0, 7, 0);
    check_leaf(d, 0x80000000, 0, 0x8000000a, 0x68747541, 0x444d4163,
               0x69746e65);
    check_leaf(d, 0x80000001, 0, 0x60fb1, 0, 5, 0x2193fbfd);
    check_leaf(d, 0x80000002, 0, 0x554d4551, 0x72695620, 0x6c617574,
               0x55504320);
    check_leaf(d, 0x80000005, 0, 0x01ff01ff, 0x01ff01ff, 0x40020140,
               0x40020140);
    check_leaf(d, 0x80000006, 0, 0, 0x42004200, 0x02008140, 0x00808140);
    check_leaf(d, 0x80000008, 0, 0x3028, 0, 0, 0);
    check_leaf(d, 0x12345678, 0, 0, 0, 0, 0);
    d->x.regs.cr4 = 1 << 18;
    d->x.regs.apic_base = 0xfee00100;
    check_leaf(d, 1, 0, 0x60fb1, 0x800, 0x88002001, 0x078bf9fd);
    cpu_drop(d);
    machine_unlock();
}

TEST(leaves_by_topology)
{
    Machine m = { .type = &new_type, .sockets = 2, .dies = 2, .cores = 2,
                  .threads = 1, .max_cpus = 8, .cpus = 8 };
    Machine *before = machine;
    X86CpuDev *d;

    machine_lock();
    machine = &m;
    d = cpu_new("Skylake-Client", NULL);
    d->x.apic_id = 5;
    x86_cpuid_build(d);
    check_leaf(d, 4, 0, 0x04000121, 0x01c0003f, 0x3f, 1);
    check_leaf(d, 4, 2, 0x04000143, 0x03c0003f, 0xfff, 1);
    check_leaf(d, 4, 3, 0x04004163, 0x03c0003f, 0x3fff, 6);
    check_leaf(d, 2, 0, 1, 0, 0x4d, 0x002c307d);
    check_leaf(d, 0xb, 1, 2, 2, 0x201, 5);
    check_leaf(d, 0x1f, 1, 1, 2, 0x201, 5);
    check_leaf(d, 0x1f, 2, 2, 4, 0x502, 5);
    check_leaf(d, 0x80000008, 0, 0x3028, 0, 0x2001, 0);
    CHECK_EQ(d->x.level, 0x1fu);
    cpu_drop(d);
    m.dies = 1;
    m.threads = 2;
    d = cpu_new("EPYC", NULL);
    d->x.apic_id = 4;
    x86_cpuid_build(d);
    check_leaf(d, 0x8000001d, 0, 0x4121, 0x01c0003f, 0x3f, 1);
    check_leaf(d, 0x8000001d, 1, 0x4122, 0x00c0003f, 0xff, 1);
    check_leaf(d, 0x8000001d, 2, 0x4043, 0x01c0003f, 0x3ff, 0);
    check_leaf(d, 0x8000001d, 3, 0xc163, 0x03c0003f, 0x1fff, 6);
    check_leaf(d, 0x8000001e, 0, 4, 0x100, 1, 0);
    cpu_drop(d);
    machine = before;
    machine_unlock();
}

TEST(features_that_need_others)
{
    X86CpuDev *d;

    machine_lock();
    d = cpu_new("Skylake-Client", "xsave=off");
    CHECK_EQ(d->x.features[FW_XSAVE], 0u);
    CHECK_EQ(d->x.features[FW_XSAVE_XCR0_LO], 0u);
    CHECK_EQ(d->x.features[FW_VMX_BASIC], 0u);         /* no vmx              */
    cpu_drop(d);
    d = cpu_new("Skylake-Client", "vmx=on,enforce=off");
    CHECK_NE(d->x.features[FW_VMX_BASIC], 0u);
    CHECK_EQ(d->x.features[FW_XSAVE_XCR0_LO], 7u);
    cpu_drop(d);
    /* the width of addresses must be told to who uses more of them */
    d = cpu_new("qemu64", "svm=off,min-xlevel=0x80000001,la57=on");
    CHECK_EQ(d->x.xlevel, 0x80000008u);
    cpu_drop(d);
    d = cpu_new("qemu64", "level=4,xlevel=0x80000004,avx512f=on");
    CHECK_EQ(d->x.level, 4u);
    CHECK_EQ(d->x.xlevel, 0x80000004u);
    cpu_drop(d);
    d = cpu_new("qemu64", "avx512-bf16=on");
    CHECK_EQ(d->level_func7, 1u);
    cpu_drop(d);
    machine_unlock();
}

/* ---- page tables --------------------------------------------------------- */

static MemRegion ram;

static void pte(uint64_t at, uint64_t v)
{
    st_le64(ram.ram->host + at, v);
}

TEST(translation_in_every_mode)
{
    static X86Cpu c;
    X86Regs *r = &c.regs;
    uint64_t pa;

    machine_lock();
    if (!ram.ram) {
        REQUIRE(mem_init_ram(&ram, "x86-cpu-test", 1 * MiB, NULL));
        mem_begin();
        mem_add(mem_system.root, 0, &ram);
        mem_commit();
    }
    CHECK(x86_gva2gpa(&c, 0x123456789, &pa));
    CHECK_EQ(pa, 0x23456789u);
    /* 32-bit: a page, a 4-MiB page with bits above 4 GiB */
    r->cr0 = 1u << 31;
    r->cr4 = 1 << 4;
    r->cr3 = 0x1000;
    st_le32(ram.ram->host + 0x1000, 0x2000 | 1);
    st_le32(ram.ram->host + 0x2000 + 4 * 5, 0x7000 | 1);
    st_le32(ram.ram->host + 0x1004, 0x00800000 | 3 << 13 | 0x81);
    CHECK(x86_gva2gpa(&c, 0x5123, &pa));
    CHECK_EQ(pa, 0x7123u);
    CHECK(x86_gva2gpa(&c, 0x412345, &pa));
    CHECK_EQ(pa, 0x300812345ull);
    CHECK(!x86_gva2gpa(&c, 0x6000, &pa));
    /* PAE */
    r->cr4 = 1 << 5;
    r->cr3 = 0x3020;
    pte(0x3020 + 8 * 3, 0x4000 | 1);
    pte(0x4000 + 8 * 2, 0x5000 | 1);
    pte(0x5000 + 8 * 1, 1ull << 63 | 0x123456000 | 1);
    CHECK(x86_gva2gpa(&c, 0xc0401abc, &pa));
    CHECK_EQ(pa, 0x123456abcull);
    CHECK(!x86_gva2gpa(&c, 0x1000, &pa));
    /* four levels: 4 KiB, 2 MiB, 1 GiB */
    r->efer = 1 << 10;
    r->cr3 = 0x6000;
    pte(0x6000 + 8 * 511, 0x7000 | 1);
    pte(0x7000 + 8 * 510, 0x8000 | 1);
    pte(0x7000 + 8 * 509, 0x40000000 | 0x81);
    pte(0x8000 + 8 * 3, 0x9000 | 1);
    pte(0x8000 + 8 * 4, 0x200000 | 0x81);
    pte(0x9000 + 8 * 7, 0xabc000 | 1);
    CHECK(x86_gva2gpa(&c, 0xffffffff80607123ull, &pa));
    CHECK_EQ(pa, 0xabc123u);
    CHECK(x86_gva2gpa(&c, 0xffffffff80812345ull, &pa));
    CHECK_EQ(pa, 0x212345u);
    CHECK(x86_gva2gpa(&c, 0xffffffff52345678ull, &pa));
    CHECK_EQ(pa, 0x52345678u);
    /* five levels, and a table that points at itself */
    r->cr4 |= 1 << 12;
    r->cr3 = 0xa000;
    pte(0xa000, 0x6000 | 1);
    pte(0xa000 + 8 * 1, 0xa000 | 1);
    CHECK(x86_gva2gpa(&c, 0x0000ffff80607123ull, &pa));
    CHECK_EQ(pa, 0xabc123u);
    CHECK(x86_gva2gpa(&c, 1ull << 48 | 1ull << 39 | 1ull << 30 | 1ull << 21 |
                      1ull << 12 | 8, &pa));
    CHECK_EQ(pa, 0xa008u);
    machine_unlock();
}
