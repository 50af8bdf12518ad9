/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What every device that can be plugged into the bench does: comes, resets,
 * saves, loads, takes any register access, and goes without a trace.
 */
#include "tests/contract/bench.h"

typedef enum Check {
    CREATE = 1, RESET_SAME = 2, ROUND_TRIP = 4, POKE = 8,
} Check;

/* Patterns of types; reasons are for the reader. */
static const struct Exempt {
    const char *type;
    unsigned checks;
    const char *reason;
} exempt[] = {
    { "isa-debug-exit", POKE, "a write ends the process: that is what it is "
      "for" },
    { "*-x86_64-cpu", CREATE, "needs a board with CPU slots" },
    { "scsi-generic", CREATE, "needs a SCSI device of the host" },
    { "scsi-block", CREATE, "needs a SCSI device of the host" },
    { "vmgenid", CREATE, "needs a board with fw_cfg" },
    { "vmcoreinfo", CREATE, "needs a board with fw_cfg" },
    { "vmmouse", CREATE, "needs a board's keyboard controller" },
    { NULL, 0, NULL },
};

static bool is_exempt(const DeviceType *t, Check c)
{
    for (const struct Exempt *e = exempt; e->type; e++) {
        if (fnmatch(e->type, t->name, 0) == 0 && (e->checks & c)) {
            return true;
        }
    }
    return false;
}

/* A device of each type that users can make and whose bus is here. */
static NO_TSA void each(Check what, void (*fn)(Device *dev))
{
    unsigned n = 0;

    bench_start();
    SET_EACH(device_types, DeviceType, p) {
        const DeviceType *t = *p;
        Error *err = NULL;
        Device *dev;
        Json *opts;

        if ((t->flags & (DT_INTERNAL | DT_ABSTRACT)) || is_exempt(t, CREATE) ||
            is_exempt(t, what) || (t->on && !bus_find_type(t->on))) {
            continue;
        }
        opts = options_for(t);
        machine->ready = false;
        dev = device_add(opts, true, &err);
        json_free(opts);
        if (!dev) {
            FAIL("%s: %s", t->name, error_text(err));
            error_free(err);
            continue;
        }
        device_reset(dev, RESET_COLD);
        rng_seed(t->name);
        fn(dev);
        n++;
    }
    printf("# %u types\n", n);
    CHECK_GT(n, 0u);
}

/* ---- coming and going --------------------------------------------------- */

static NO_TSA void just_remove(Device *dev)
{
    device_unplug(dev);
}

NO_TSA TEST(created_and_removed_leaves_nothing)
{
    bench_start();
    SET_EACH(device_types, DeviceType, p) {
        const DeviceType *t = *p;
        char *before, *after;
        Json *opts;
        Device *dev;

        if ((t->flags & (DT_INTERNAL | DT_ABSTRACT)) || is_exempt(t, CREATE) ||
            (t->on && !bus_find_type(t->on))) {
            continue;
        }
        before = snapshot();
        opts = options_for(t);
        for (int i = 0; i < 3; i++) {
            dev = device_add(opts, true, NULL);
            if (!dev) {
                FAIL("%s: not the %d. time", t->name, i + 1);
                break;
            }
            device_reset(dev, RESET_COLD);
            just_remove(dev);
        }
        json_free(opts);
        settle();
        after = snapshot();
        same_text("after removal", t->name, before, after);
        g_free(before);
        g_free(after);
    }
}

NO_TSA TEST(hot_plugged_and_unplugged)
{
    bench_start();
    SET_EACH(device_types, DeviceType, p) {
        const DeviceType *t = *p;
        char *before, *after;
        Error *err = NULL;
        Device *dev;
        Json *opts;

        if ((t->flags & (DT_INTERNAL | DT_ABSTRACT | DT_NO_HOTPLUG)) ||
            is_exempt(t, CREATE) || !t->on || !bus_find_type(t->on) ||
            !bus_find_type(t->on)->hotpluggable) {
            continue;
        }
        before = snapshot();
        opts = options_for(t);
        json_set_str(opts, "id", "plugged");
        machine->ready = true;
        dev = device_add(opts, true, &err);
        if (!dev) {
            FAIL("%s: %s", t->name, error_text(err));
            error_free(err);
        } else {
            CHECK(dev->hotplugged && dev->live);
            CHECK(device_find("plugged") == dev);
            CHECK(!device_add(opts, true, NULL));      /* the id is taken     */
            CHECK(device_request_unplug(dev, NULL));
        }
        json_free(opts);
        machine->ready = false;
        settle();
        after = snapshot();
        same_text("after unplugging", t->name, before, after);
        g_free(before);
        g_free(after);
    }
}

/* A PCI function whose option ROM is not there has been realized by then, and
 * has to be taken back whole. */
NO_TSA TEST(failed_realize_leaves_nothing)
{
    bench_start();
    SET_EACH(device_types, DeviceType, p) {
        const DeviceType *t = *p;
        char *before, *after;
        Error *err = NULL;
        Json *opts;

        if ((t->flags & (DT_INTERNAL | DT_ABSTRACT)) || t->on != &bus_pci ||
            is_exempt(t, CREATE)) {
            continue;
        }
        before = snapshot();
        opts = options_for(t);
        json_set_str(opts, "romfile", "/nonexistent/rom");
        if (device_add(opts, true, &err)) {
            FAIL("%s: realized without its ROM", t->name);
        } else {
            CHECK_CONTAINS(error_text(err), "/nonexistent/rom");
        }
        error_free(err);
        json_set_str(opts, "romfile", "");
        json_set_str(opts, "addr", "1f.0");
        json_set_str(opts, "multifunction", "on");
        json_set_str(opts, "acpi-index", "99999");
        CHECK(!device_add(opts, true, NULL));
        json_free(opts);
        settle();
        after = snapshot();
        same_text("after a failure", t->name, before, after);
        g_free(before);
        g_free(after);
    }
}

/* ---- reset -------------------------------------------------------------- */

static NO_TSA void reset_twice(Device *dev)
{
    char *fresh = dump_device(dev), *again, *after;

    device_reset(dev, RESET_COLD);
    again = dump_device(dev);
    same_text("second reset", dev->type->name, fresh, again);
    if (!is_exempt(dev->type, POKE)) {
        poke_device(dev, 300);
        settle();
        device_reset(dev, RESET_COLD);
        after = dump_device(dev);
        same_text("reset after use", dev->type->name, fresh, after);
        g_free(after);
    }
    g_free(fresh);
    g_free(again);
    device_unplug(dev);
}

TEST(reset_is_power_on)
{
    each(RESET_SAME, reset_twice);
}

/* ---- state -------------------------------------------------------------- */

static NO_TSA void save_and_load(Device *dev)
{
    state_round_trip(dev);
    device_unplug(dev);
}

TEST(saved_state_comes_back)
{
    each(ROUND_TRIP | POKE, save_and_load);
}

static NO_TSA void damage(Device *dev)
{
    state_damage(dev, !is_exempt(dev->type, POKE));
    device_unplug(dev);
}

TEST(damaged_state_is_refused)
{
    TEST_LIMIT(120);
    each(ROUND_TRIP, damage);
}

/* ---- registers ---------------------------------------------------------- */

static NO_TSA void poke_long(Device *dev)
{
    for (int i = 0; i < 20; i++) {
        poke_device(dev, 500);
        settle();
    }
    device_reset(dev, RESET_COLD);
    device_unplug(dev);
}

TEST(any_register_access_is_survived)
{
    TEST_LIMIT(120);
    each(POKE, poke_long);
}
