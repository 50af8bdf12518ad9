/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Accesses: how they are cut, widened, refused; RAM, ROM, holes; ioeventfds;
 * re-entrancy; DMA mappings; many threads.
 */
#include <glib.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include "tests/tern-test.h"
#include "mem.h"
#include "loop.h"

#define CHECK_RES(a, b) CHECK_EQ((int)(a), (int)(b))

/* ---- a device that writes down what it is asked -------------------------- */

typedef struct Dev {
    char log[1024];
    uint8_t regs[64];
    bool entered;
    MemSpace *dma;
    uint64_t dma_addr;
    MemResult dma_result;
} Dev;

static uint64_t dev_read(void *opaque, uint64_t off, unsigned size)
{
    Dev *d = opaque;
    uint64_t v = 0;
    size_t n = strlen(d->log);

    snprintf(d->log + n, sizeof(d->log) - n, "r%u@%" PRIu64 " ", size, off);
    for (unsigned i = 0; i < size; i++) {
        v |= (uint64_t)d->regs[(off + i) % 64] << i * 8;
    }
    return v;
}

static void dev_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    Dev *d = opaque;
    size_t n = strlen(d->log);

    snprintf(d->log + n, sizeof(d->log) - n, "w%u@%" PRIu64 "=%" PRIx64 " ",
             size, off, val);
    if (d->dma) {
        uint32_t x = 0x12345678;

        d->dma_result = mem_write(d->dma, d->dma_addr, &x, 4, MEM_ATTRS_NONE);
    }
}

typedef struct Rig {
    MemRegion root, mr;
    MemSpace as;
    Dev dev;
} Rig;

/* Unlocks the machine again: accesses take the lock themselves. */
static void rig_start(Rig *r, const MemOps *ops, uint64_t size)
{
    memset(r, 0, sizeof(*r));
    for (int i = 0; i < 64; i++) {
        r->dev.regs[i] = 0xa0 + i;
    }
    machine_lock();
    mem_init(&r->root, "root", 0);
    mem_space_init(&r->as, "test", &r->root);
    mem_init_io(&r->mr, "dev", size, ops, &r->dev);
    mem_add(&r->root, 0x1000, &r->mr);
    machine_unlock();
}

static void rig_stop(Rig *r)
{
    machine_lock();
    mem_fini(&r->mr);
    mem_space_fini(&r->as);
    mem_fini(&r->root);
    machine_unlock();
}

static const char *did(Rig *r)
{
    static char text[1024];

    strcpy(text, r->dev.log);
    r->dev.log[0] = '\0';
    return text;
}

static uint64_t load(Rig *r, uint64_t addr, unsigned size)
{
    uint64_t v = 0xdeadbeef;

    mem_load(&r->as, addr, size, &v, MEM_ATTRS_NONE);
    return v;
}

TEST(defaults_take_one_to_four_aligned)
{
    static const MemOps ops = { .read = dev_read, .write = dev_write };
    Rig r;

    rig_start(&r, &ops, 16);
    CHECK_EQ(load(&r, 0x1000, 1), 0xa0u);
    CHECK_STR(did(&r), "r1@0 ");
    CHECK_EQ(load(&r, 0x1004, 4), 0xa7a6a5a4u);
    CHECK_STR(did(&r), "r4@4 ");
    CHECK_EQ(load(&r, 0x1000, 8), 0xa7a6a5a4a3a2a1a0u);
    CHECK_STR(did(&r), "r4@0 r4@4 ");
    CHECK_EQ(load(&r, 0x1001, 4), 0xa4a3a2a1u);
    CHECK_STR(did(&r), "r1@1 r2@2 r1@4 ");
    CHECK_EQ(load(&r, 0x100e, 4), 0xafaeu);    /* then a hole                 */
    CHECK_STR(did(&r), "r2@14 ");
    mem_store(&r.as, 0x1002, 4, 0x44332211, MEM_ATTRS_NONE);
    CHECK_STR(did(&r), "w2@2=2211 w2@4=4433 ");
    rig_stop(&r);
}

TEST(narrow_callbacks_get_pieces)
{
    static const MemOps ops = { .read = dev_read, .write = dev_write,
                                .max = 1 };
    Rig r;

    rig_start(&r, &ops, 16);
    CHECK_EQ(load(&r, 0x1004, 4), 0xa7a6a5a4u);
    CHECK_STR(did(&r), "r1@4 r1@5 r1@6 r1@7 ");
    mem_store(&r.as, 0x1000, 2, 0x2211, MEM_ATTRS_NONE);
    CHECK_STR(did(&r), "w1@0=11 w1@1=22 ");
    rig_stop(&r);
}

TEST(wide_callbacks_get_widened)
{
    static const MemOps ops = { .read = dev_read, .write = dev_write,
                                .min = 4, .max = 4 };
    uint64_t v;
    Rig r;

    rig_start(&r, &ops, 16);
    CHECK_EQ(load(&r, 0x1002, 1), 0xa2u);
    CHECK_STR(did(&r), "r4@2 ");
    mem_store(&r.as, 0x1004, 2, 0xffff1234, MEM_ATTRS_NONE);
    CHECK_STR(did(&r), "w4@4=1234 ");
    machine_lock();
    CHECK_RES(mem_dispatch_read(&r.mr, 4, &v, 2, MEM_ATTRS_NONE), MEM_OK);
    CHECK_EQ(v, 0xa5a4u);
    CHECK_RES(mem_dispatch_read(&r.mr, 15, &v, 2, MEM_ATTRS_NONE),
              MEM_DECODE_ERROR);
    CHECK_RES(mem_dispatch_write(&r.mr, 16, 0, 1, MEM_ATTRS_NONE),
              MEM_DECODE_ERROR);
    machine_unlock();
    rig_stop(&r);
}

TEST(what_a_device_does_not_take_reads_zero)
{
    static const MemOps ops = { .read = dev_read, .write = dev_write,
                                .min = 4, .max = 4, .valid_min = 4 };
    Rig r;
    uint64_t v;

    rig_start(&r, &ops, 16);
    CHECK_RES(mem_load(&r.as, 0x1000, 1, &v, MEM_ATTRS_NONE), MEM_DECODE_ERROR);
    CHECK_EQ(v, 0u);
    CHECK_RES(mem_store(&r.as, 0x1000, 2, 7, MEM_ATTRS_NONE), MEM_DECODE_ERROR);
    CHECK_STR(did(&r), "");
    CHECK_RES(mem_load(&r.as, 0x1000, 4, &v, MEM_ATTRS_NONE), MEM_OK);
    rig_stop(&r);
}

TEST(unaligned_is_for_those_who_say_so)
{
    static const MemOps ops = { .read = dev_read, .write = dev_write,
                                .max = 8, .unaligned = true };
    Rig r;

    rig_start(&r, &ops, 16);
    CHECK_EQ(load(&r, 0x1003, 8), 0xaaa9a8a7a6a5a4a3u);
    CHECK_STR(did(&r), "r8@3 ");
    CHECK_EQ(load(&r, 0x100d, 8), 0xafaeadu);  /* three bytes, then a hole    */
    CHECK_STR(did(&r), "r2@13 r1@15 ");
    rig_stop(&r);
}

static MemResult attrs_read(void *dev, uint64_t off, uint64_t *val,
                            unsigned size, MemAttrs attrs)
{
    *val = attrs.requester + off;
    return off == 8 ? MEM_DEVICE_ERROR : MEM_OK;
}

static MemResult attrs_write(void *dev, uint64_t off, uint64_t val,
                             unsigned size, MemAttrs attrs)
{
    Dev *d = dev;

    d->regs[0] = attrs.smm;
    return MEM_OK;
}

TEST(attributes_and_results_pass_through)
{
    static const MemOps ops = { .read_attrs = attrs_read,
                                .write_attrs = attrs_write };
    uint64_t v;
    Rig r;

    rig_start(&r, &ops, 16);
    CHECK_RES(mem_load(&r.as, 0x1004, 4, &v, (MemAttrs){ .requester = 0x800 }),
             MEM_OK);
    CHECK_EQ(v, 0x804u);
    CHECK_RES(mem_load(&r.as, 0x1004, 8, &v, MEM_ATTRS_NONE), MEM_DEVICE_ERROR);
    mem_store(&r.as, 0x1000, 1, 1, (MemAttrs){ .smm = true });
    CHECK_EQ(r.dev.regs[0], 1);
    rig_stop(&r);
}

/* Any access is cut into pieces that fit, in order, without gap. */
TEST(random_accesses_are_whole)
{
    static const uint8_t sizes[] = { 0, 1, 2, 4, 8 };
    unsigned seed = 1;

    for (int i = 0; i < 4000; i++) {
        MemOps ops = { .read = dev_read, .write = dev_write };
        uint64_t size = 1 + rand_r(&seed) % 40, addr, len, next, v;
        uint8_t buf[64];
        unsigned n;
        int used;
        Rig r;

        ops.max = sizes[rand_r(&seed) % 5];
        ops.unaligned = rand_r(&seed) % 2;
        rig_start(&r, &ops, size);
        addr = rand_r(&seed) % 48;
        len = 1 + rand_r(&seed) % 20;
        memset(buf, 0xee, sizeof(buf));
        mem_read(&r.as, 0x1000 + addr, buf, len, MEM_ATTRS_NONE);
        next = addr;
        for (char *p = r.dev.log; sscanf(p, "r%u@%" SCNu64 " %n", &n, &v,
                                         &used) == 2; p += used) {
            CHECK_EQ(v, next);
            CHECK(v + n <= size && n <= (ops.max ? ops.max : 4));
            CHECK(ops.unaligned || v % n == 0);
            next += n;
        }
        CHECK_EQ(next, addr >= size ? addr : MIN2(addr + len, size));
        for (uint64_t j = 0; j < len; j++) {
            CHECK_EQ(buf[j], addr + j < size ? 0xa0 + addr + j : 0);
        }
        CHECK_EQ(buf[len], 0xee);
        rig_stop(&r);
    }
}

/* ---- ports --------------------------------------------------------------- */

TEST(ports_without_a_device_read_all_ones)
{
    static const MemOps ops = { .read = dev_read, .write = dev_write };
    static Dev dev = { .regs = { 1, 2, 3, 4 } };
    MemRegion mr;
    uint64_t v;

    CHECK_RES(mem_load(&mem_io, 0x10, 4, &v, MEM_ATTRS_NONE), MEM_OK);
    CHECK_EQ(v, 0xffffffffu);
    CHECK_RES(mem_load(&mem_io, 0x10, 1, &v, MEM_ATTRS_NONE), MEM_OK);
    CHECK_EQ(v, 0xffu);
    CHECK_RES(mem_store(&mem_io, 0x10, 4, 1, MEM_ATTRS_NONE), MEM_OK);
    /* 0x10000 is not a port: the last byte of four counts. */
    CHECK_RES(mem_load(&mem_io, 0xffff, 4, &v, MEM_ATTRS_NONE),
             MEM_DECODE_ERROR);
    CHECK_EQ(v, 0xffu);
    CHECK_RES(mem_load(&mem_system, 0x10, 4, &v, MEM_ATTRS_NONE),
             MEM_DECODE_ERROR);
    CHECK_EQ(v, 0u);

    machine_lock();
    mem_init_io(&mr, "dev", 4, &ops, &dev);
    mem_add(mem_io.root, 0x10, &mr);
    machine_unlock();
    CHECK_RES(mem_load(&mem_io, 0xe, 4, &v, MEM_ATTRS_NONE), MEM_OK);
    CHECK_EQ(v, 0x0201ffffu);
    machine_lock();
    mem_fini(&mr);
    machine_unlock();
    CHECK_RES(mem_load(&mem_io, 0x10, 2, &v, MEM_ATTRS_NONE), MEM_OK);
    CHECK_EQ(v, 0xffffu);
}

/* The register above a one-byte overlay is still written as a whole. */
TEST(an_overlay_does_not_cut_its_neighbour)
{
    static const MemOps ops = { .read = dev_read, .write = dev_write };
    Rig r;
    Dev over = { .regs = { 0x77 } };
    MemRegion mr;

    rig_start(&r, &ops, 4);
    machine_lock();
    mem_init_io(&mr, "over", 1, &ops, &over);
    mem_add_prio(&r.root, 0x1001, &mr, 1);
    machine_unlock();
    mem_store(&r.as, 0x1000, 4, 0x44332211, MEM_ATTRS_NONE);
    CHECK_STR(did(&r), "w4@0=44332211 ");
    CHECK_STR(over.log, "");
    CHECK_EQ(load(&r, 0x1001, 1), 0x77u);
    machine_lock();
    mem_fini(&mr);
    machine_unlock();
    rig_stop(&r);
}

/* ---- RAM and ROM --------------------------------------------------------- */

typedef struct Store {
    MemRegion root, ram, rom, romd, ro;
    MemSpace as;
    Dev dev;
} Store;

static const MemOps romd_ops = { .read = dev_read, .write = dev_write };

static void store_start(Store *s)
{
    memset(s, 0, sizeof(*s));
    machine_lock();
    mem_init(&s->root, "root", 0);
    mem_space_init(&s->as, "store", &s->root);
    CHECK(mem_init_ram(&s->ram, "t.ram", 0x2000, NULL));
    CHECK(mem_init_rom(&s->rom, "t.rom", 0x1000, NULL));
    CHECK(mem_init_romd(&s->romd, "0000:00:01.0/t.romd", 0x1000, &romd_ops,
                        &s->dev, NULL));
    CHECK_STR(s->romd.name, "t.romd");
    mem_init_alias(&s->ro, "ro", &s->ram, 0x1000, 0x1000);
    mem_set_readonly(&s->ro, true);
    mem_add(&s->root, 0x0000, &s->ram);
    mem_add(&s->root, 0x2000, &s->rom);
    mem_add(&s->root, 0x3000, &s->romd);
    mem_add(&s->root, 0x4000, &s->ro);
    machine_unlock();
}

static void store_stop(Store *s)
{
    machine_lock();
    mem_fini(&s->ro);
    mem_fini(&s->ram);
    mem_fini(&s->rom);
    mem_fini(&s->romd);
    mem_space_fini(&s->as);
    mem_fini(&s->root);
    epoch_drain();
    CHECK(!ram_find("t.ram"));
    machine_unlock();
}

TEST(ram_and_rom)
{
    uint8_t buf[16];
    uint64_t v;
    Store s;

    store_start(&s);
    /* RAM, ROM: written and dropped, in one access across both. */
    CHECK_RES(mem_write(&s.as, 0x1ffc, "abcdefgh", 8, MEM_ATTRS_NONE), MEM_OK);
    CHECK_RES(mem_read(&s.as, 0x1ffc, buf, 8, MEM_ATTRS_NONE), MEM_OK);
    CHECK_MEM(buf, "abcd\0\0\0\0", 8);
    machine_lock();
    CHECK_RES(mem_poke(&s.as, 0x1ffe, "ABCD", 4), MEM_OK);
    CHECK_RES(mem_poke(&s.as, 0x4ffe, "yz12", 4), MEM_DECODE_ERROR);
    machine_unlock();
    CHECK_RES(mem_read(&s.as, 0x1ffc, buf, 8, MEM_ATTRS_NONE), MEM_OK);
    CHECK_MEM(buf, "abyzCD\0\0", 8);
    CHECK_MEM(s.ram.ram->host + 0x1ffc, "abyz", 4);
    /* A read-only alias of RAM. */
    CHECK_RES(mem_store(&s.as, 0x4ffc, 4, 0, MEM_ATTRS_NONE), MEM_OK);
    mem_load(&s.as, 0x4ffc, 4, &v, MEM_ATTRS_NONE);
    CHECK_EQ(v, 0x7a796261u);
    /* ROMD: reads direct, writes to the device; then all to the device. */
    s.romd.ram->host[4] = 0x99;
    mem_load(&s.as, 0x3004, 1, &v, MEM_ATTRS_NONE);
    CHECK_EQ(v, 0x99u);
    mem_store(&s.as, 0x3004, 1, 0x70, MEM_ATTRS_NONE);
    CHECK_STR(s.dev.log, "w1@4=70 ");
    machine_lock();
    mem_set_romd(&s.romd, false);
    machine_unlock();
    mem_load(&s.as, 0x3004, 1, &v, MEM_ATTRS_NONE);
    CHECK_EQ(v, 0u);
    CHECK_STR(s.dev.log, "w1@4=70 r1@4 ");
    /* mem_set, over RAM and into ROM. */
    CHECK_RES(mem_set(&s.as, 0x1ff8, 0x55, 16, MEM_ATTRS_NONE), MEM_OK);
    mem_load(&s.as, 0x1ff8, 8, &v, MEM_ATTRS_NONE);
    CHECK_EQ(v, 0x5555555555555555u);
    mem_load(&s.as, 0x2000, 8, &v, MEM_ATTRS_NONE);
    CHECK_EQ(v, 0x4443u);
    store_stop(&s);
}

TEST(the_top_of_a_space_does_not_wrap)
{
    uint8_t buf[16];
    MemRegion top;
    Store s;

    store_start(&s);
    machine_lock();
    CHECK(mem_init_ram(&top, "top", 4096, NULL));
    mem_add(&s.root, -4096ull, &top);
    machine_unlock();
    memset(buf, 0xee, sizeof(buf));
    CHECK_RES(mem_write(&s.as, -4ull, "abcdefgh", 8, MEM_ATTRS_NONE),
             MEM_DECODE_ERROR);
    CHECK_RES(mem_read(&s.as, -4ull, buf, 8, MEM_ATTRS_NONE), MEM_DECODE_ERROR);
    CHECK_MEM(buf, "abcd\0\0\0\0\xee", 9);
    CHECK_EQ(s.ram.ram->host[0], 0);
    CHECK_RES(mem_write(&s.as, -4ull, "abcd", 4, MEM_ATTRS_NONE), MEM_OK);
    /* Over the largest hole there is. */
    CHECK_RES(mem_set(&s.as, 0x5000, 1, UINT64_MAX - 0x5000, MEM_ATTRS_NONE),
             MEM_DECODE_ERROR);
    CHECK_EQ(top.ram->host[0], 1);
    machine_lock();
    mem_fini(&top);
    machine_unlock();
    store_stop(&s);
}

/* ---- DMA mappings -------------------------------------------------------- */

TEST(a_mapping_outlives_its_ram)
{
    uint64_t len = 0x5000, off;
    RamBlock *rb;
    uint8_t *p;
    Store s;

    store_start(&s);
    p = mem_map_ram(&s.as, 0x1234, &len, true);
    REQUIRE(p);
    CHECK_EQ(len, 0x2000u - 0x1234);
    rb = s.ram.ram;
    CHECK(p == rb->host + 0x1234);
    CHECK(!mem_map_ram(&s.as, 0x2000, &len, true));        /* ROM             */
    len = 8;
    CHECK(!mem_map_ram(&s.as, 0x9000, &len, false));
    CHECK(!mem_map_ram(&s.as, 0x4000, &len, true));        /* read-only       */
    store_stop(&s);
    *p = 5;
    CHECK(ram_of_host(p, &off) == rb);
    CHECK_EQ(off, 0x1234u);
    mem_unmap_ram(&s.as, p, 0x2000 - 0x1234, true, 1);
    machine_lock();
    while (loop_step(false)) {
        continue;
    }
    epoch_drain();
    CHECK(!ram_of_host(p, &off));
    machine_unlock();
}

/* ---- ioeventfds ---------------------------------------------------------- */

static uint64_t drain(int fd)
{
    uint64_t n = 0;

    return read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

TEST(ioeventfds_are_matched_here)
{
    static const MemOps ops = { .read = dev_read, .write = dev_write };
    int any = eventfd(0, EFD_NONBLOCK), one = eventfd(0, EFD_NONBLOCK);
    Rig r;

    rig_start(&r, &ops, 64);
    machine_lock();
    mem_event_add(&r.mr, 0, 2, true, 7, one);
    mem_event_add(&r.mr, 16, 0, false, 0, any);
    machine_unlock();
    mem_store(&r.as, 0x1000, 2, 7, MEM_ATTRS_NONE);
    CHECK_EQ(drain(one), 1u);
    CHECK_STR(did(&r), "");
    mem_store(&r.as, 0x1000, 2, 8, MEM_ATTRS_NONE);
    CHECK_STR(did(&r), "w2@0=8 ");
    mem_store(&r.as, 0x1000, 4, 7, MEM_ATTRS_NONE);
    CHECK_STR(did(&r), "w4@0=7 ");
    mem_store(&r.as, 0x1010, 4, 1, MEM_ATTRS_NONE);
    mem_store(&r.as, 0x1010, 1, 99, MEM_ATTRS_NONE);
    CHECK_EQ(drain(any), 2u);
    CHECK_STR(did(&r), "");
    load(&r, 0x1010, 4);
    CHECK_STR(did(&r), "r4@16 ");
    machine_lock();
    mem_event_del(&r.mr, 0, 2, true, 7, one);
    machine_unlock();
    mem_store(&r.as, 0x1000, 2, 7, MEM_ATTRS_NONE);
    CHECK_EQ(drain(one), 0u);
    CHECK_STR(did(&r), "w2@0=7 ");
    rig_stop(&r);
    close(any);
    close(one);
}

/* ---- re-entrancy --------------------------------------------------------- */

TEST(a_device_cannot_write_its_own_registers)
{
    static const MemOps ops = { .read = dev_read, .write = dev_write };
    MemRegion other;
    Rig r;

    rig_start(&r, &ops, 64);
    r.mr.entered = &r.dev.entered;
    machine_lock();
    mem_init_io(&other, "other", 16, &ops, &r.dev);
    other.entered = &r.dev.entered;
    mem_add(&r.root, 0x2000, &other);
    machine_unlock();
    r.dev.dma = &r.as;
    r.dev.dma_addr = 0x1008;
    mem_store(&r.as, 0x1000, 4, 1, MEM_ATTRS_NONE);
    CHECK_STR(did(&r), "w4@0=1 ");
    CHECK_RES(r.dev.dma_result, MEM_DENIED);
    CHECK(!r.dev.entered);
    r.dev.dma_addr = 0x2008;           /* another region of the same device   */
    mem_store(&r.as, 0x1000, 4, 1, MEM_ATTRS_NONE);
    CHECK_RES(r.dev.dma_result, MEM_DENIED);
    r.dev.log[0] = '\0';
    machine_lock();
    other.flags |= MRF_REENTRANT;
    machine_unlock();
    r.dev.dma_result = MEM_DENIED;
    /* Its own write goes through once; dma again from there is refused. */
    r.dev.dma_addr = 0x1008;
    mem_store(&r.as, 0x2000, 4, 1, MEM_ATTRS_NONE);
    CHECK(!r.dev.entered);
    machine_lock();
    mem_fini(&other);
    machine_unlock();
    rig_stop(&r);
}

/* ---- threads ------------------------------------------------------------- */

typedef struct Crowd {
    Store *s;
    MemRegion io;
    bool stop;
    unsigned reads, bad;
} Crowd;

static uint64_t crowd_read(void *dev, uint64_t off, unsigned size)
{
    return machine_locked() ? 0x5a : 0;
}

static uint64_t crowd_read_lockless(void *dev, uint64_t off, unsigned size)
{
    return machine_locked() ? 0 : 0x5a;
}

static void *crowd_vcpu(void *arg)
{
    Crowd *c = arg;

    while (!__atomic_load_n(&c->stop, __ATOMIC_RELAXED)) {
        uint64_t v, len = 64;
        uint8_t buf[100];
        void *p;

        mem_write(&c->s->as, 0x100, "0123456789", 10, MEM_ATTRS_NONE);
        mem_read(&c->s->as, 0x1f0, buf, sizeof(buf), MEM_ATTRS_NONE);
        mem_store(&c->s->as, 0x200, 8, 0x1122334455667788, MEM_ATTRS_NONE);
        mem_load(&c->s->as, 0x200, 8, &v, MEM_ATTRS_NONE);
        if (v != 0 && v != 0x1122334455667788) {
            __atomic_add_fetch(&c->bad, 1, __ATOMIC_RELAXED);
        }
        mem_load(&c->s->as, 0x10000, 1, &v, MEM_ATTRS_NONE);
        if (v != 0x5a && v != 0) {
            __atomic_add_fetch(&c->bad, 1, __ATOMIC_RELAXED);
        }
        p = mem_map_ram(&c->s->as, 0x300, &len, true);
        if (p) {
            ram_fill(p, 7, len);
            mem_unmap_ram(&c->s->as, p, len, true, len);
        }
        __atomic_add_fetch(&c->reads, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

/* The tree changes under readers' hands; nothing is torn, freed or forgotten. */
TEST(readers_while_the_tree_changes)
{
    static const MemOps locked = { .read = crowd_read },
                        lockless = { .read = crowd_read_lockless };
    pthread_t t[3];
    Crowd c = { 0 };
    Store s;

    store_start(&s);
    c.s = &s;
    for (int i = 0; i < 3; i++) {
        thread_start(&t[i], "vcpu", crowd_vcpu, &c);
    }
    for (unsigned i = 0; i < 300; i++) {
        MemRegion *io = g_new0(MemRegion, 1), extra;

        machine_lock();
        mem_init_io(io, "io", 16, i % 2 ? &locked : &lockless, NULL);
        if (i % 2 == 0) {
            io->flags |= MRF_LOCKLESS;
        }
        mem_add(&s.root, 0x10000, io);
        mem_log(&s.ram, DIRTY_VGA, i % 3 == 0);
        mem_set_enabled(&s.ram, i % 5 != 0);
        if (mem_init_ram(&extra, "extra", 8192, NULL)) {
            mem_add_prio(&s.root, 0, &extra, 3);
            mem_fini(&extra);
        }
        machine_unlock();
        /* Each shape of the tree is seen by somebody. */
        while (__atomic_load_n(&c.reads, __ATOMIC_RELAXED) <= i) {
            sched_yield();
        }
        machine_lock();
        mem_fini(io);
        memset(io, 0xee, sizeof(*io));
        g_free(io);
        while (loop_step(false)) {
            continue;
        }
        machine_unlock();
    }
    __atomic_store_n(&c.stop, true, __ATOMIC_RELAXED);
    for (int i = 0; i < 3; i++) {
        pthread_join(t[i], NULL);
    }
    CHECK_EQ(c.bad, 0u);
    machine_lock();
    mem_log(&s.ram, DIRTY_VGA, false);
    machine_unlock();
    store_stop(&s);
}

/* An iothread never waits for the machine. */
static void from_iothread(void *arg)
{
    Rig *r = arg;
    uint64_t v = 1;

    r->dev.dma_result = mem_load(&r->as, 0x1000, 4, &v, MEM_ATTRS_NONE);
    r->dev.regs[63] = v == 0;
}

TEST(an_iothread_is_kept_out_of_locked_registers)
{
    static const MemOps ops = { .read = dev_read };
    Loop *l = loop_new("io1", NULL);
    Rig r;

    REQUIRE(l);
    rig_start(&r, &ops, 64);
    machine_lock();
    loop_run_sync(l, from_iothread, &r);
    machine_unlock();
    CHECK_RES(r.dev.dma_result, MEM_DENIED);
    CHECK_EQ(r.dev.regs[63], 1);
    CHECK_STR(did(&r), "");
    rig_stop(&r);
    loop_free(l);
}
