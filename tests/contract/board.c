/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The same rules for the chips of a board, which cannot be made alone: a pc is
 * built in this process, and its devices are reset, saved, loaded and poked
 * where they sit. No CPU runs.
 */
#include "runstate.h"
#include "settings.h"
#include "tests/contract/bench.h"

/* Patterns of types; reasons are for the reader. */
static const struct Exempt {
    const char *type, *check, *reason;
} exempt[] = {
    { "*-x86_64-cpu", "round trip", "its state is the accelerator's, tested "
      "there" },
    { "*-x86_64-cpu", "damage", "the same" },
    { "*-x86_64-cpu", "reset after use", "the time stamp counter counts from "
      "reset" },
    { "isa-pit", "reset after use", "its channels count from reset" },
    { "mc146818rtc", "reset after use", "CMOS and time of day live on the "
      "battery" },
    { "mc146818rtc", "round trip", "its next second is the host's" },
    { "i8257", "reset after use", "a clear leaves addresses and counts" },
    { "PIIX4_PM", "reset after use", "its timer counts from reset" },
    { "port92", "reset after use", "only its reset bit falls" },
    { NULL, NULL, NULL },
};

static bool is_exempt(const Device *dev, const char *check)
{
    for (const struct Exempt *e = exempt; e->type; e++) {
        if (fnmatch(e->type, dev->type->name, 0) == 0 &&
            strcmp(e->check, check) == 0) {
            return true;
        }
    }
    return false;
}

/* The lock stays held, as in bench_start. */
static NO_TSA void board_start(void)
{
    static const char *argv[] = {
        "tern", "-accel", "qtest", "-machine", "pc", "-m", "16", "-nodefaults",
        "-display", "none", "-rtc", "clock=vm", NULL,
    };
    static bool up;
    Error *err = NULL;

    if (up) {
        return;
    }
    report_name_set("tern");
    machine_lock();
    if (settings_parse(ARRAY_SIZE(argv) - 1, (char **)(uintptr_t)argv) ||
        !startup(&err)) {
        printf("# the board does not start: %s\n", err ? error_text(err) : "");
        abort();
    }
    up = true;
    settle();
    vm_stop(RS_PAUSED);
}

typedef struct Each {
    void (*fn)(Device *dev);
    const char *check;
    unsigned n;
} Each;

static bool collect(Device *dev, void *arg)
{
    g_ptr_array_add(arg, dev);
    return true;
}

static NO_TSA void each(const char *check, void (*fn)(Device *dev))
{
    GPtrArray *all = g_ptr_array_new();
    unsigned n = 0;

    board_start();
    device_each(collect, all);
    for (guint i = 0; i < all->len; i++) {
        Device *dev = g_ptr_array_index(all, i);

        if (!is_exempt(dev, check)) {
            rng_seed(dev->type->name);
            fn(dev);
            n++;
        }
    }
    printf("# %u devices\n", n);
    CHECK_GT(n, 10u);
    g_ptr_array_free(all, true);
}

/* Lets the timers that fuzzing set come due, and forgets requests. */
static NO_TSA void calm(Device *dev)
{
    settle();
    devices_reset(RESET_COLD);
}

static NO_TSA void reset_twice(Device *dev)
{
    char *fresh, *again;

    devices_reset(RESET_COLD);
    fresh = dump_device(dev);
    devices_reset(RESET_COLD);
    again = dump_device(dev);
    same_text("second reset", dev->type->name, fresh, again);
    g_free(again);
    g_free(fresh);
}

TEST(reset_twice_is_reset_once)
{
    each("reset", reset_twice);
}

static NO_TSA void reset_after_use(Device *dev)
{
    char *fresh, *after;

    devices_reset(RESET_COLD);
    fresh = dump_device(dev);
    poke_device(dev, 300);
    calm(dev);
    after = dump_device(dev);
    same_text("reset after use", dev->type->name, fresh, after);
    g_free(after);
    g_free(fresh);
}

TEST(reset_is_power_on)
{
    each("reset after use", reset_after_use);
}

static NO_TSA void save_and_load(Device *dev)
{
    for (int round = 0; round < 8; round++) {
        VmBuf a = { 0 }, b = { 0 };
        Error *err = NULL;
        char *was, *is;

        poke_device(dev, 40);
        if (round & 1) {
            settle();
        }
        save_device(dev, &a);
        was = dump_device(dev);
        device_reset(dev, RESET_COLD);
        poke_device(dev, 40);
        if (!load_device(dev, a.p, bus_part(dev), a.n, &err)) {
            FAIL("%s: its own state is refused: %s", dev->type->name,
                 error_text(err));
            error_free(err);
        } else {
            save_device(dev, &b);
            is = dump_device(dev);
            same_text("after loading", dev->type->name, was, is);
            if (b.n != a.n || memcmp(a.p, b.p, a.n) != 0) {
                FAIL("%s: saved again, the state differs", dev->type->name);
            }
            g_free(is);
        }
        g_free(was);
        vmbuf_free(&a);
        vmbuf_free(&b);
    }
    calm(dev);
}

TEST(saved_state_comes_back)
{
    each("round trip", save_and_load);
}

static NO_TSA void damage(Device *dev)
{
    VmBuf a = { 0 };
    size_t first = bus_part(dev);
    Error *err = NULL;
    uint8_t *copy;

    poke_device(dev, 100);
    save_device(dev, &a);
    copy = g_malloc(a.n + 1);
    memcpy(copy, a.p, a.n);
    copy[a.n] = 0;
    for (size_t n = 0; n < a.n; n += 1 + rng() % (1 + a.n / 100)) {
        if (load_device(dev, copy, MIN2(n, first), MAX2(n, first), NULL)) {
            FAIL("%s: %zu of %zu bytes are enough", dev->type->name, n, a.n);
        }
    }
    if (load_device(dev, copy, first, a.n + 1, NULL)) {
        FAIL("%s: a byte too many is not noticed", dev->type->name);
    }
    for (int i = 0; i < 400; i++) {
        copy[rng() % a.n] ^= 1 << rng() % 8;
        load_device(dev, copy, first, a.n, NULL);
        poke_device(dev, 3);
        if (i % 16 == 15) {
            settle();
            memcpy(copy, a.p, a.n);
        }
    }
    devices_reset(RESET_COLD);
    if (!load_device(dev, a.p, first, a.n, &err)) {
        FAIL("%s: refuses its state after damaged ones: %s", dev->type->name,
             error_text(err));
        error_free(err);
    }
    g_free(copy);
    vmbuf_free(&a);
    calm(dev);
}

TEST(damaged_state_is_refused)
{
    TEST_LIMIT(120);
    each("damage", damage);
}

static NO_TSA void poke_long(Device *dev)
{
    for (int i = 0; i < 10; i++) {
        poke_device(dev, 300);
        settle();
    }
    calm(dev);
}

TEST(any_register_access_is_survived)
{
    TEST_LIMIT(120);
    each("poke", poke_long);
}

/* Ports and low memory of the whole board, the holes included. */
NO_TSA TEST(any_address_is_survived)
{
    board_start();
    rng_seed("board");
    for (int i = 0; i < 40000; i++) {
        unsigned size = 1u << rng() % 3;
        uint64_t v = rng(), at = rng();

        switch (rng() % 4) {
        case 0:
            mem_load(&mem_io, at & 0xffff, size, &v, MEM_ATTRS_NONE);
            break;
        case 1:
            mem_store(&mem_io, at & 0xffff, size, v, MEM_ATTRS_NONE);
            break;
        case 2:
            mem_load(&mem_system, at & 0xffffffff, size, &v, MEM_ATTRS_NONE);
            break;
        case 3:
            mem_store(&mem_system, 0xfe000000 | (at & 0x1ffffff), size, v,
                      MEM_ATTRS_NONE);
            break;
        }
        if (i % 1000 == 0) {
            calm(NULL);
        }
    }
    calm(NULL);
}

/* ---- who answers -------------------------------------------------------- */

/* Register blocks that belong to no device, or that may be entered again. */
static const char *const free_regions[] = {
    "io",                              /* the bus itself: all ones            */
    "pci-conf-idx", "pci-conf-data",   /* remapping enters other devices      */
    "ioportF0",                        /* a latch without an owner            */
    "apic-msi",                        /* all local APICs' page; devices write */
    NULL,
};

static bool is_free(const char *name)
{
    for (const char *const *p = free_regions; *p; p++) {
        if (strcmp(*p, name) == 0) {
            return true;
        }
    }
    return false;
}

static void check_owned(const MemSpace *as)
{
    const FlatMap *m;

    epoch_enter();
    m = mem_map(as);
    for (uint32_t i = 0; i < m->n; i++) {
        const MemRegion *mr = m->r[i].mr;

        if (mr->kind == MR_IO && mr->ops && !is_free(mr->name) &&
            (!mr->entered || !mr->obj.parent)) {
            FAIL("%s: %s: no device_region: DMA into it is not refused, and it "
                 "has no path", as->name, mr->name);
        }
    }
    epoch_exit();
}

NO_TSA TEST(registers_belong_to_devices)
{
    board_start();
    check_owned(&mem_system);
    check_owned(&mem_io);
}
