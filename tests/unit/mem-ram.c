/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RAM blocks: places, resizing, discarding, preallocation; dirty logs and the
 * hook for translated code.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include "tests/tern-test.h"
#include "mem.h"
#include "loop.h"

static void settle(void)
{
    while (loop_step(false)) {
        continue;
    }
    epoch_drain();
}

static unsigned resident(const uint8_t *host, uint64_t len)
{
    static unsigned char core[4096];
    unsigned n = 0;

    REQUIRE(len / 4096 <= sizeof(core));
    REQUIRE(mincore((void *)host, len, core) == 0);
    for (uint64_t i = 0; i < len / 4096; i++) {
        n += core[i] & 1;
    }
    return n;
}

/* ---- blocks -------------------------------------------------------------- */

static void list_one(RamBlock *rb, void *arg)
{
    strcat(arg, rb->id);
    strcat(arg, " ");
}

TEST(blocks_are_listed_by_size_and_placed_apart)
{
    char ids[200] = "";
    RamBlock *a, *b, *c, *d;

    machine_lock();
    a = ram_new("a", 1 << 20, -1, 0, 0, NULL);
    b = ram_new("b", 16 << 20, -1, 0, 0, NULL);
    c = ram_new("c", 5000, -1, 0, 0, NULL);
    CHECK_EQ(a->ram_addr, 0u);
    CHECK_EQ(b->ram_addr, 0x100000u);
    CHECK_EQ(c->ram_addr, 0x1100000u);
    CHECK_EQ(c->max, 8192u);
    CHECK_EQ((uintptr_t)b->host % (2 << 20), 0u);
    d = ram_new("later", 1 << 20, -1, 0, 0, NULL);
    ram_each(list_one, ids);
    CHECK_STR(ids, "b a later c ");
    ram_free(d);
    CHECK(ram_find("c") == c);
    ram_free(b);
    CHECK(!ram_find("b"));
    settle();
    /* The tightest gap, at multiples of 256 KiB. */
    d = ram_new("d", 4096, -1, 0, 0, NULL);
    CHECK_EQ(d->ram_addr, 0x100000u);
    ram_free(a);
    ram_free(c);
    ram_free(d);
    settle();
    machine_unlock();
}

TEST(blocks_that_cannot_be)
{
    Error *err = NULL;
    RamBlock *a;

    machine_lock();
    CHECK(!ram_new("x", 15ull << 60, -1, 0, 0, &err));
    CHECK_STR(error_text(err),
              "cannot set up guest memory 'x': Cannot allocate memory");
    error_free(err);
    err = NULL;
    CHECK(!ram_new("x", 1000ull << 40, -1, 0, 0, &err));
    CHECK_STR(error_text(err),
              "cannot set up guest memory 'x': Cannot allocate memory");
    error_free(err);
    err = NULL;
    CHECK(!ram_new("x", 0, -1, 0, 0, &err));
    CHECK(err);
    error_free(err);
    err = NULL;
    a = ram_new("x", 4096, -1, 0, 0, NULL);
    CHECK(!ram_new("x", 4096, -1, 0, 0, &err));
    CHECK_STR(error_text(err), "RAMBlock \"x\" already registered");
    error_free(err);
    err = NULL;
    CHECK(!ram_new("y", 4096, open("/dev/null", O_RDWR), 0, 0, &err));
    CHECK_STR(error_text(err),
              "unable to map backing store for guest RAM: No such device");
    error_free(err);
    ram_free(a);
    settle();
    machine_unlock();
}

TEST(nothing_is_touched_unless_asked)
{
    RamBlock *a, *b;

    machine_lock();
    a = ram_new("a", 8 << 20, -1, 0, 0, NULL);
    CHECK_EQ(resident(a->host, a->max), 0u);
    CHECK(!a->dirty[0] && !a->dirty[1] && !a->dirty[2]);
    b = ram_new("b", 8 << 20, -1, 0, RAM_PREALLOC, NULL);
    CHECK_EQ(resident(b->host, b->max), 2048u);
    ram_free(a);
    ram_free(b);
    settle();
    machine_unlock();
}

TEST(discarded_pages_read_zero)
{
    static const uint32_t kinds[] = { 0, RAM_SHARED };

    machine_lock();
    for (unsigned i = 0; i < 4; i++) {
        int fd = i < 2 ? -1 : memfd_create("t", MFD_CLOEXEC);
        RamBlock *a;

        if (fd >= 0) {
            REQUIRE(ftruncate(fd, 16384) == 0);
        }
        a = ram_new("a", 16384, fd, 0, kinds[i % 2], NULL);
        REQUIRE(a);
        memset(a->host, 0x77, 16384);
        CHECK(ram_discard(a, 4096, 8192, NULL));
        CHECK_EQ(a->host[4095], 0x77);
        CHECK_EQ(a->host[4096], 0);
        CHECK_EQ(a->host[12287], 0);
        CHECK_EQ(a->host[12288], 0x77);
        CHECK(!ram_discard(a, 100, 4096, NULL));
        CHECK(!ram_discard(a, 4096, 16384, NULL));
        CHECK(!ram_discard(a, 8192, -4096ull, NULL));
        ram_free(a);
        settle();
    }
    machine_unlock();
}

TEST(resizing)
{
    Error *err = NULL;
    RamBlock *a;

    machine_lock();
    a = ram_new_resizable("t", 8192, 65536, NULL);
    CHECK_EQ(a->used, 8192u);
    CHECK_EQ(a->max, 65536u);
    CHECK(ram_resize(a, 20000, NULL));
    CHECK_EQ(a->used, 20480u);
    memset(a->host, 1, 20480);
    CHECK(ram_resize(a, 4096, NULL));
    CHECK(ram_resize(a, 65536, NULL));
    CHECK_EQ(a->host[0], 1);
    CHECK_EQ(a->host[4096], 0);
    CHECK(!ram_resize(a, 65537, &err));
    CHECK_STR(error_text(err), "Size too large: t: 0x11000 > 0x10000");
    error_free(err);
    CHECK(!ram_resize(a, -1ull, NULL));
    ram_free(a);
    settle();
    machine_unlock();
}

/* ---- dirty logs ---------------------------------------------------------- */

typedef struct Sync {
    MemListener l;
    unsigned syncs, clears;
    uint64_t first, last;
} Sync;

static void on_sync(MemListener *l, const FlatRange *r)
{
    Sync *s = container_of(l, Sync, l);

    s->syncs++;
    ram_dirty(r->mr->ram, 0x3000, 1);  /* what the accelerator held           */
}

static void on_clear(MemListener *l, const FlatRange *part)
{
    Sync *s = container_of(l, Sync, l);

    s->clears++;
    s->first = part->first;
    s->last = part->last;
}

TEST(a_log_tells_what_was_written)
{
    Sync s = { .l = { .name = "s", .log_sync = on_sync,
                      .log_clear = on_clear } };
    MemRegion root, vram;
    uint8_t out[32];
    MemSpace as;
    RamBlock *rb;

    machine_lock();
    mem_init(&root, "root", 0);
    mem_space_init(&as, "x", &root);
    CHECK(mem_init_ram(&vram, "vram", 200 << 12, NULL));
    rb = vram.ram;
    mem_add(&root, 0x100000, &vram);
    mem_listen(&as, &s.l);
    ram_dirty(rb, 0, 4096);
    CHECK(!rb->dirty[0]);
    mem_log(&vram, DIRTY_VGA, true);
    CHECK_EQ(mem_map(&as)->r[0].dirty_clients, (unsigned)DIRTY_VGA);

    /* At first all of it. */
    CHECK(mem_log_sync_clear(&vram, DIRTY_VGA, 0, 200 << 12, out));
    for (int i = 0; i < 200; i++) {
        CHECK(out[i / 8] >> i % 8 & 1);
    }
    CHECK_EQ(s.syncs, 1u);
    CHECK_EQ(s.clears, 1u);
    CHECK_EQ(s.first, 0x100000u);
    CHECK_EQ(s.last, 0x100000u + (200 << 12) - 1);

    mem_unlisten(&as, &s.l);
    CHECK(!mem_log_sync_clear(&vram, DIRTY_VGA, 0, 200 << 12, out));
    CHECK_EQ(ram_page_watch(rb, 70 << 12), (unsigned)DIRTY_VGA);
    mem_write(&as, 0x100000 + (70 << 12) - 1, "ab", 2, MEM_ATTRS_NONE);
    CHECK_EQ(ram_page_watch(rb, 70 << 12), 0u);
    CHECK(!ram_is_logged(rb, 69 << 12));
    CHECK_EQ(ram_page_watch(rb, 71 << 12), (unsigned)DIRTY_VGA);
    /* A part that holds it, not from a byte's boundary. */
    CHECK(!mem_log_sync_clear(&vram, DIRTY_VGA, 0, 69 << 12, out));
    CHECK(mem_log_sync_clear(&vram, DIRTY_VGA, 67 << 12, 5 << 12, out));
    CHECK_EQ(out[0], 0x0c);
    CHECK(!mem_log_sync_clear(&vram, DIRTY_VGA, 0, 200 << 12, out));
    CHECK(!mem_log_sync_clear(&vram, DIRTY_VGA, 200 << 12, 1 << 12, out));
    CHECK(!mem_log_sync_clear(&vram, DIRTY_MIGRATION, 0, 200 << 12, out));

    mem_log(&vram, DIRTY_VGA, false);
    CHECK_EQ(mem_map(&as)->r[0].dirty_clients + 0u, 0u);
    CHECK_EQ(ram_page_watch(rb, 0), 0u);
    mem_log_global(true);
    CHECK_EQ(mem_map(&as)->r[0].dirty_clients, (unsigned)DIRTY_MIGRATION);
    CHECK(ram_log_sync_clear(rb, DIRTY_MIGRATION, 0, 4096, out));
    CHECK(!ram_log_sync_clear(rb, DIRTY_MIGRATION, 0, 4096, NULL));
    mem_log_global(false);
    mem_fini(&vram);
    mem_space_fini(&as);
    mem_fini(&root);
    settle();
    machine_unlock();
}

static uint64_t code_off, code_len;
static unsigned code_calls;

static void on_code(RamBlock *rb, uint64_t off, uint64_t len)
{
    code_off = off;
    code_len = len;
    code_calls++;
    ram_code_set(rb, off, false);
}

TEST(writes_to_code_are_heard_of)
{
    MemRegion root, ram;
    MemSpace as;

    machine_lock();
    mem_init(&root, "root", 0);
    mem_space_init(&as, "x", &root);
    CHECK(mem_init_ram(&ram, "ram", 1 << 20, NULL));
    mem_add(&root, 0, &ram);
    ram_code_hook = on_code;
    mem_store(&as, 0x5000, 4, 1, MEM_ATTRS_NONE);
    ram_code_set(ram.ram, 0x5abc, true);
    CHECK_EQ(ram_page_watch(ram.ram, 0x5000), (unsigned)DIRTY_CODE);
    CHECK_EQ(ram_page_watch(ram.ram, 0x6000), 0u);
    mem_store(&as, 0x6000, 4, 1, MEM_ATTRS_NONE);
    mem_store(&as, 0x4ffc, 4, 1, MEM_ATTRS_NONE);
    CHECK_EQ(code_calls, 0u);
    mem_store(&as, 0x5ffc, 4, 1, MEM_ATTRS_NONE);
    CHECK_EQ(code_calls, 1u);
    CHECK_EQ(code_off, 0x5ffcu);
    CHECK_EQ(code_len, 4u);
    mem_store(&as, 0x5ffc, 4, 1, MEM_ATTRS_NONE);
    CHECK_EQ(code_calls, 1u);
    ram_code_set(ram.ram, 0x5000, true);
    mem_set(&as, 0x1000, 0, 0x10000, MEM_ATTRS_NONE);
    CHECK_EQ(code_calls, 2u);
    ram_code_hook = NULL;
    mem_fini(&ram);
    mem_space_fini(&as);
    mem_fini(&root);
    settle();
    machine_unlock();
}

/* ---- no write is lost ---------------------------------------------------- */

enum { PAGES = 64, ROUNDS = 20000 };
static RamBlock *race_rb;
static bool race_stop, race_go;

static void *race_writer(void *arg)
{
    unsigned seed = 1;

    while (!__atomic_load_n(&race_go, __ATOMIC_ACQUIRE)) {
        sched_yield();
    }
    for (uint32_t i = 1; i <= ROUNDS; i++) {
        uint64_t off = (uint64_t)(rand_r(&seed) % PAGES) * 4096;

        ram_copy_in(race_rb->host + off, &i, 4);
        ram_dirty(race_rb, off, 4);
    }
    __atomic_store_n(&race_stop, true, __ATOMIC_RELEASE);
    return NULL;
}

TEST(a_copy_made_by_the_log_is_the_memory)
{
    static uint32_t copy[PAGES];
    unsigned seed = 1, rounds = 0;
    uint32_t want[PAGES] = { 0 };
    uint8_t out[PAGES / 8];
    pthread_t t;
    bool last;

    machine_lock();
    race_rb = ram_new("race", PAGES * 4096, -1, 0, 0, NULL);
    mem_log_global(true);
    thread_start(&t, "writer", race_writer, NULL);
    do {
        last = __atomic_load_n(&race_stop, __ATOMIC_ACQUIRE);
        ram_log_sync_clear(race_rb, DIRTY_MIGRATION, 0, PAGES * 4096, out);
        for (int i = 0; i < PAGES; i++) {
            if (out[i / 8] >> i % 8 & 1) {
                ram_copy_out(&copy[i], race_rb->host + i * 4096, 4);
            }
        }
        rounds++;
        __atomic_store_n(&race_go, true, __ATOMIC_RELEASE);
    } while (!last);
    pthread_join(t, NULL);
    for (uint32_t i = 1; i <= ROUNDS; i++) {
        want[rand_r(&seed) % PAGES] = i;
    }
    CHECK_MEM(copy, want, sizeof(copy));
    CHECK(rounds > 1);
    mem_log_global(false);
    ram_free(race_rb);
    settle();
    machine_unlock();
}
