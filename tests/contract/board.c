/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The same rules for the chips of a board, which cannot be made alone: a pc is
 * built in this process, and its devices are reset, saved, loaded and poked
 * where they sit. No CPU runs.
 */
#include "runstate.h"
#include "tests/board-start.h"
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
static NO_TSA void pc_start(void)
{
    static const char *const argv[] = {
        "tern", "-accel", "qtest", "-machine", "pc", "-m", "16", "-nodefaults",
        "-display", "none", "-rtc", "clock=vm", NULL,
    };
    static bool up;

    if (!up) {
        up = true;
        board_start(ARRAY_SIZE(argv) - 1, argv);
        settle();
        vm_stop(RS_PAUSED);
    }
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

    pc_start();
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
    state_round_trip(dev);
    calm(dev);
}

TEST(saved_state_comes_back)
{
    each("round trip", save_and_load);
}

static NO_TSA void damage(Device *dev)
{
    state_damage(dev, true);
    devices_reset(RESET_COLD);
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
    pc_start();
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
    pc_start();
    check_owned(&mem_system);
    check_owned(&mem_io);
}
