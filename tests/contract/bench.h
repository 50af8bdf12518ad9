/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bench.h - a small machine in this process, for the contract tests: 16 MiB of
 * RAM, a PCI root bus, a SCSI bus, an ISA bus with a DMA controller that moves
 * nothing, and ways to say "nothing is left".
 *
 * Included by one program each; the machine lock is held from bench_start on.
 */
#ifndef TESTS_CONTRACT_BENCH_H
#define TESTS_CONTRACT_BENCH_H

#include <dirent.h>
#include <glib.h>
#include "blk.h"
#include "chr.h"
#include "isa.h"
#include "machine-opts.h"
#include "pci.h"
#include "scsi.h"
#include "tests/tern-test.h"

#define UNUSED __attribute__((unused))
/* A program without a block layer has none. */
#pragma weak prop_ref_drive

typedef struct BenchHost {
    Device dev;
    PciBus *pci;
    IsaBus *isa;
    ScsiBus *scsi;
    MemRegion ram, pci_mem, high;
} BenchHost;

static BenchHost *bench;

static bool dma_hold(void *chip, int channel, bool on)
{
    return true;
}

static int dma_xfer(void *chip, int channel, void *buf, int pos, int len,
                    bool to_memory)
{
    if (!to_memory) {
        memset(buf, 0, len);
    }
    return len;
}

static void dma_attach(void *chip, int channel, IsaDmaFn *fn, void *dev)
{
}

static void line_sink(void *to, int n, int level)
{
}

static int map_pin(PciDevice *d, int pin)
{
    return (pin + PCI_SLOT(d->devfn)) % 4;
}

static const ScsiHba bench_hba = { .targets = 8, .luns = 8 };

static MACHINE_CALL bool host_realize(Device *dev, Error **errp)
{
    static IsaDma dma = {
        .hold = dma_hold, .xfer = dma_xfer, .attach = dma_attach,
    };
    BenchHost *h = (BenchHost *)dev;

    if (!mem_init_ram(&h->ram, "bench.ram", 16 * MiB, errp)) {
        return false;
    }
    mem_add(mem_system.root, 0, &h->ram);
    mem_init(&h->pci_mem, "bench.pci", 0);
    mem_add_prio(mem_system.root, 0, &h->pci_mem, -1);
    h->scsi = g_new0(ScsiBus, 1);
    scsi_bus_init(h->scsi, dev, NULL, &bench_hba);
    h->pci = pci_root_new(dev, "pci.0", false, &h->pci_mem, mem_io.root, 0);
    pci_root_irqs(h->pci, line_sink, map_pin, h, 4);
    h->pci->bus.hotpluggable = true;
    h->isa = isa_bus_new(dev, mem_system.root, mem_io.root);
    h->isa->dma[0] = h->isa->dma[1] = &dma;
    for (int i = 0; i < 16; i++) {
        h->isa->irq[i] = irq_line(line_sink, h, i);
    }
    return true;
}

static MACHINE_CALL void host_unrealize(Device *dev)
{
    BenchHost *h = (BenchHost *)dev;

    scsi_bus_fini(h->scsi);
    g_clear_pointer(&h->scsi, g_free);
    mem_fini(&h->pci_mem);
    mem_fini(&h->ram);
}

static void host_reset(Device *dev, ResetKind kind)
{
}

DEVICE(bench_host_type, {
    .name = "bench-host", .category = "bridge", .size = sizeof(BenchHost),
    .desc = "buses for tests", .doc = "Carries the buses of the contract "
            "tests' machine.",
    .on = &bus_system, .flags = DT_INTERNAL | DT_NO_HOTPLUG,
    .vmstate = &vm_none,
    .realize = host_realize, .unrealize = host_unrealize, .reset = host_reset,
});

/* ---- what devices refer to ---------------------------------------------- */

static const struct {
    const PropRef *ref;
    const char *id;
} things[] = {
    { &prop_ref_chr, "bench-chr" },
    { &prop_ref_memdev, "bench-mem" },
    { &prop_ref_drive, "bench-drive" },
};

/* A character device, memory and a drive, for whoever needs one. */
static UNUSED NO_TSA void things_start(void)
{
    static const char chr[] = "{'backend': 'null', 'id': 'bench-chr'}";
    static const char mem[] = "{'size': '1M'}";
    static const char drive[] = "{'driver': 'null-co', 'node-name': "
                                "'bench-drive', 'size': '1M'}";
    Json *o = json_parse(chr, strlen(chr), NULL);

    if (!chr_add(o, true, NULL)) {
        printf("# no character devices\n");
    }
    json_free(o);
    o = json_parse(mem, strlen(mem), NULL);
    if (!user_obj_add("memory-backend-ram", "bench-mem", o, true, NULL)) {
        printf("# no memory backends\n");
    }
    json_free(o);
    o = json_parse(drive, strlen(drive), NULL);
    if (!blk_blockdev_add(o, true, NULL)) {
        printf("# no drives\n");
    }
    json_free(o);
}

/* Properties that have no default that would do. */
static const char *value_for(const Prop *p)
{
    return strcmp(p->name, "chassis_nr") ? NULL : "7";
}

static const char *thing_for(const Prop *p)
{
    for (size_t i = 0; i < ARRAY_SIZE(things); i++) {
        if (p->kind == PK_REF && p->aux && p->aux == things[i].ref) {
            return things[i].id;
        }
    }
    return NULL;
}

/* What -device would be given: the type, and one of each thing it can use. */
static UNUSED NO_TSA Json *options_for(const DeviceType *t)
{
    Json *o = json_obj();
    const Prop *table;

    json_set_str(o, "driver", t->name);
    for (unsigned i = 0; (table = device_type_options(t, i)); i++) {
        for (const Prop *p = table; p->name; p++) {
            if (thing_for(p)) {
                json_set_str(o, p->name, thing_for(p));
            } else if (value_for(p)) {
                json_set_str(o, p->name, value_for(p));
            }
        }
    }
    return o;
}

/* The machine lock stays held: one thread, one test after the other. */
static UNUSED NO_TSA void bench_start(void)
{
    Error *err = NULL;

    if (bench) {
        return;
    }
    machine_lock();
    clock_vm_manual();
    machine = machine_new(machine_type_find("none"));
    machine_version = 0;
    obj_put(obj_root(), "machine", &machine->obj);
    bench = (BenchHost *)device_make("bench-host");
    if (!device_realize(&bench->dev, NULL, &err)) {
        printf("# %s\n", error_text(err));
        abort();
    }
    obj_dir("machine/peripheral");
    obj_dir("machine/peripheral-anon");
    obj_dir("backend");
    things_start();
    devices_reset(RESET_COLD);
    /* The loop opens what it needs when it first runs. */
    clock_vm_step(0);
    loop_step(false);
}

/* ---- random numbers, the same each time --------------------------------- */

static uint64_t rng_state = 88172645463325252ull;

static UNUSED uint64_t rng(void)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return rng_state;
}

static UNUSED void rng_seed(const char *text)
{
    rng_state = 88172645463325252ull;
    for (; *text; text++) {
        rng_state = (rng_state ^ (uint8_t)*text) * 0x100000001b3ull;
    }
    rng();
}

/* ---- what is there ------------------------------------------------------ */

static UNUSED NO_TSA void dump_node(const Obj *o, GString *s)
{
    char *path = obj_path(o);

    g_string_append_printf(s, "%s %s\n", path, obj_type(o));
    g_free(path);
    for (const Obj *c = o->first; c; c = c->next) {
        dump_node(c, s);
    }
}

static UNUSED void dump_map(const MemSpace *as, GString *s)
{
    const FlatMap *m;

    epoch_enter();
    m = mem_map(as);
    for (uint32_t i = 0; i < m->n; i++) {
        g_string_append_printf(s, "%s %" PRIx64 "-%" PRIx64 " %s\n", as->name,
                               m->r[i].first, m->r[i].last, m->r[i].mr->name);
    }
    epoch_exit();
}

static UNUSED unsigned count_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    unsigned n = 0;

    while (d && readdir(d)) {
        n++;
    }
    if (d) {
        closedir(d);
    }
    return n;
}

/* Everything that a device may have left behind, as text. */
static UNUSED NO_TSA char *snapshot(void)
{
    GString *s = g_string_new(NULL);

    epoch_drain();
    dump_node(obj_root(), s);
    dump_map(&mem_system, s);
    dump_map(&mem_io, s);
    g_string_append_printf(s, "%u descriptors\n", count_fds());
    return g_string_free(s, false);
}

/* Says the first line in which two texts differ. */
static UNUSED bool same_text(const char *what, const char *type, const char *a,
                             const char *b)
{
    char **x, **y;
    unsigned i = 0;

    if (strcmp(a, b) == 0) {
        return true;
    }
    x = g_strsplit(a, "\n", -1);
    y = g_strsplit(b, "\n", -1);
    while (x[i] && y[i] && strcmp(x[i], y[i]) == 0) {
        i++;
    }
    FAIL("%s: %s: \"%s\" became \"%s\"", type, what, x[i] ? x[i] : "(end)",
         y[i] ? y[i] : "(end)");
    g_strfreev(x);
    g_strfreev(y);
    return false;
}

/* ---- state -------------------------------------------------------------- */

static UNUSED NO_TSA void save_device(Device *dev, VmBuf *out)
{
    if (dev->bus && dev->bus->type->vmstate) {
        vmstate_save(dev->bus->type->vmstate, dev, out);
    }
    vmstate_save(dev->type->vmstate, dev, out);
}

/* `first` bytes are the bus's part. What a refused load left is not used: the
 * device is reset. */
static UNUSED NO_TSA bool load_device(Device *dev, const uint8_t *p,
                                      size_t first, size_t len, Error **errp)
{
    const VmState *v = dev->bus ? dev->bus->type->vmstate : NULL;
    bool ok = (!v || vmstate_load(v, dev, p, first, errp)) &&
              vmstate_load(dev->type->vmstate, dev, p + first, len - first,
                           errp);

    if (!ok) {
        device_reset(dev, RESET_COLD);
    }
    return ok;
}

static UNUSED NO_TSA size_t bus_part(Device *dev)
{
    const VmState *v = dev->bus ? dev->bus->type->vmstate : NULL;
    VmBuf b = { 0 };
    size_t n;

    if (v) {
        vmstate_save(v, dev, &b);
    }
    n = b.n;
    vmbuf_free(&b);
    return n;
}

static UNUSED NO_TSA char *dump_device(Device *dev)
{
    GString *s = g_string_new(NULL);
    const VmState *v[2] = {
        dev->bus ? dev->bus->type->vmstate : NULL, dev->type->vmstate,
    };

    for (int i = 0; i < 2; i++) {
        if (v[i]) {
            Json *j = vmstate_dump(v[i], dev);
            char *text = json_text(j, true, NULL);

            g_string_append(s, text);
            g_free(text);
            json_free(j);
        }
    }
    return g_string_free(s, false);
}

/* ---- random register accesses ------------------------------------------- */

static UNUSED NO_TSA void poke_region(MemRegion *mr, unsigned times)
{
    static const uint64_t values[] = { 0, 1, 0xff, 0xffff, 0xffffffff,
                                       UINT64_MAX };

    for (unsigned i = 0; i < times; i++) {
        unsigned size = 1u << rng() % 4;
        uint64_t off = mem_size(mr) ? rng() % mem_size(mr) : rng();
        uint64_t v = rng() % 4 ? rng() : values[rng() % ARRAY_SIZE(values)];

        if (mem_size(mr) && off + size > mem_size(mr)) {
            continue;
        }
        if (rng() % 2) {
            mem_dispatch_read(mr, off, &v, size, MEM_ATTRS_NONE);
        } else {
            mem_dispatch_write(mr, off, v, size, MEM_ATTRS_NONE);
        }
    }
}

/* Its regions, its configuration registers, and those of what it consists of. */
static UNUSED NO_TSA void poke_device(Device *dev, unsigned times)
{
    for (Obj *o = dev->obj.first; o; o = o->next) {
        MemRegion *mr = (MemRegion *)o;

        if (device_of(o)) {
            poke_device(device_of(o), times);
        } else if (strcmp(obj_type(o), "memory-region") == 0 &&
                   (mr->kind == MR_IO || mr->kind == MR_ROMD) && mr->ops) {
            poke_region(mr, times);
        }
    }
    if (dev->type->on == &bus_pci && ((PciDevice *)dev)->config) {
        for (unsigned i = 0; i < times; i++) {
            unsigned size = 1u << rng() % 3;
            uint32_t off = rng() % 256 & ~(size - 1);

            if (rng() % 2) {
                pci_config_read((PciDevice *)dev, off, size);
            } else {
                pci_config_write((PciDevice *)dev, off, rng(), size);
            }
        }
    }
}

/* Lets what is pending come due. */
static UNUSED NO_TSA void settle(void)
{
    for (int i = 0; i < 20; i++) {
        clock_vm_step(clock_ns(CLOCK_VM) + 100 * NS_PER_MS);
        loop_step(false);
    }
}

/* ---- rules for saved state ----------------------------------------------- */

/* Saved, changed, loaded: as it was; saved again, the same bytes. */
static UNUSED NO_TSA void state_round_trip(Device *dev)
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
}

/* Loads what is cut short, too long, or wrong in any byte. poke: registers may be
 * used meanwhile. */
static UNUSED NO_TSA void state_damage(Device *dev, bool poke)
{
    VmBuf a = { 0 };
    size_t first = bus_part(dev);
    Error *err = NULL;
    uint8_t *copy;

    poke_device(dev, poke ? 100 : 0);
    save_device(dev, &a);
    copy = g_malloc(a.n + 1);
    memcpy(copy, a.p, a.n);
    copy[a.n] = 0;
    for (size_t n = 0; n < a.n; n += 1 + rng() % (1 + a.n / 100)) {
        /* Cut in the bus's part, then in its own. */
        if (load_device(dev, copy, MIN2(n, first), MAX2(n, first), NULL)) {
            FAIL("%s: %zu of %zu bytes are enough", dev->type->name, n, a.n);
        }
    }
    if (load_device(dev, copy, first, a.n + 1, NULL)) {
        FAIL("%s: a byte too many is not noticed", dev->type->name);
    }
    /* Any byte may be wrong: refused or taken, it survives either. */
    for (int i = 0; i < 400; i++) {
        size_t at = rng() % a.n;

        copy[at] ^= 1 << rng() % 8;
        load_device(dev, copy, first, a.n, NULL);
        if (poke) {
            poke_device(dev, 3);
        }
        if (i % 16 == 15) {
            settle();
            memcpy(copy, a.p, a.n);
        }
    }
    device_reset(dev, RESET_COLD);
    if (!load_device(dev, a.p, first, a.n, &err)) {
        FAIL("%s: refuses its state after damaged ones: %s", dev->type->name,
             error_text(err));
        error_free(err);
    }
    g_free(copy);
    vmbuf_free(&a);
}

#endif
