/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * balloon.c - memory balloon (virtio 1.2, section 5.5): pages that the guest
 * gives up go back to the host; statistics of the guest; free page reporting.
 *
 * Thread class: the machine lock.
 *
 * Invariants
 * 1. Host memory is given back only for whole host pages of RAM that the guest
 *    named completely.
 * 2. stats_elem is the guest's buffer with its statistics, kept until the next
 *    ones are asked for; there is at most one.
 * 3. The polling timer is armed exactly while the interval is not 0 and the
 *    guest is not busy answering.
 */
#include <endian.h>
#include <glib.h>
#include <linux/virtio_balloon.h>
#include <linux/virtio_ids.h>
#include "iothread.h"
#include "machine.h"
#include "monitor.h"
#include "schema/schema.h"
#include "virtio-pci.h"

#define PFN_SHIFT VIRTIO_BALLOON_PFN_SHIFT
#define PAGE (1u << PFN_SHIFT)
#define PFNS 256                       /* read at a time                      */

typedef struct VirtioBalloon {
    Virtio v;
    Obj *iothread;                     /* properties                          */
    bool old_config;
    uint32_t num_pages, actual;        /* the guest sees both                 */
    uint32_t poison;
    Virtq *inflate, *deflate, *statq, *report;
    VirtqElem *stats_elem;
    uint64_t stats[VIRTIO_BALLOON_S_NR];
    int64_t interval;                  /* seconds                             */
    int64_t last_update;               /* host clock, seconds                 */
    Timer poll;
    /* Parts of a host page that the guest has given, for large host pages. */
    RamBlock *part_block;
    uint64_t part_off, part_len;
} VirtioBalloon;

static VirtioBalloon *the_balloon;

static const char *const stat_names[VIRTIO_BALLOON_S_NR] = {
    "stat-swap-in", "stat-swap-out", "stat-major-faults", "stat-minor-faults",
    "stat-free-memory", "stat-total-memory", "stat-available-memory",
    "stat-disk-caches", "stat-htlb-pgalloc", "stat-htlb-pgfail",
};

/* ---- pages --------------------------------------------------------------- */

/* The block behind a page of guest RAM; NULL: none that may be discarded. */
static RamBlock *block_of(VirtioBalloon *s, uint64_t addr, uint64_t *off)
{
    uint64_t len = PAGE;
    RamBlock *rb;
    void *host = mem_map_ram(s->v.dma, addr, &len, true);

    if (!host) {
        return NULL;
    }
    rb = ram_of_host(host, off);
    mem_unmap_ram(s->v.dma, host, len, false, 0);
    return len == PAGE && rb && !(rb->flags & RAM_READONLY) ? rb : NULL;
}

static void discard(RamBlock *rb, uint64_t off, uint64_t len)
{
    Error *err = NULL;

    if (!ram_discard(rb, off, len, &err)) {
        error_free(err);               /* the guest has given it up anyway    */
    }
    ram_dirty(rb, off, len);
}

/* Pages come in order mostly: those of one host page are gathered. */
static void give_up(VirtioBalloon *s, uint64_t addr)
{
    uint64_t off, base;
    RamBlock *rb = block_of(s, addr, &off);

    if (!rb) {
        guest_fault("virtio-balloon", "page 0x%" PRIx64 " is no memory", addr);
        return;
    }
    if (rb->page_size <= PAGE) {
        discard(rb, off, PAGE);
        return;
    }
    base = ALIGN_DOWN(off, rb->page_size);
    if (s->part_block != rb || s->part_off != base ||
        off != base + s->part_len) {
        s->part_block = rb;
        s->part_off = base;
        s->part_len = 0;
        if (off != base) {
            return;
        }
    }
    s->part_len += PAGE;
    if (s->part_len == rb->page_size) {
        discard(rb, base, rb->page_size);
        s->part_len = 0;
    }
}

static void pages_kicked(Virtq *q)
{
    VirtioBalloon *s = (VirtioBalloon *)q->v;
    bool up = q == s->inflate;
    VirtqElem *e;

    machine_assert_locked();
    while ((e = virtq_pop(q))) {
        uint32_t pfns[PFNS];
        size_t off = 0, n;

        while (up && (n = virtq_read(e, off, pfns, sizeof(pfns)) / 4)) {
            for (size_t i = 0; i < n; i++) {
                give_up(s, (uint64_t)le32toh(pfns[i]) << PFN_SHIFT);
            }
            off += n * 4;
        }
        virtq_push(q, e, 0);
        virtq_notify(q);
    }
}

/* Ranges of free pages that the guest will write before it reads. */
static void report_kicked(Virtq *q)
{
    VirtioBalloon *s = (VirtioBalloon *)q->v;
    VirtqElem *e;

    machine_assert_locked();
    while ((e = virtq_pop(q))) {
        for (unsigned i = 0; i < e->nin; i++) {
            const struct iovec *part = virtq_in(e) + i;
            uint64_t off, first, end;
            RamBlock *rb = ram_of_host(part->iov_base, &off);

            /* Poisoned pages must keep their pattern. */
            if (!rb || s->poison || (rb->flags & RAM_READONLY)) {
                continue;
            }
            first = ALIGN_UP(off, rb->page_size);
            end = ALIGN_DOWN(off + part->iov_len, rb->page_size);
            if (first < end) {
                discard(rb, first, end - first);
            }
        }
        virtq_push(q, e, 0);
        virtq_notify(q);
    }
}

/* Free page hints serve migration; they are asked for by a command id, which
 * stays "done". What comes all the same goes back. */
static void hint_kicked(Virtq *q)
{
    VirtqElem *e;

    while ((e = virtq_pop(q))) {
        virtq_push(q, e, 0);
        virtq_notify(q);
    }
}

/* ---- statistics ---------------------------------------------------------- */

static void no_stats(VirtioBalloon *s)
{
    for (unsigned i = 0; i < VIRTIO_BALLOON_S_NR; i++) {
        s->stats[i] = UINT64_MAX;
    }
}

static void poll_again(VirtioBalloon *s)
{
    if (s->interval) {
        timer_set(&s->poll, clock_ns(CLOCK_VM) + s->interval * NS_PER_S);
    }
}

static void stats_kicked(Virtq *q)
{
    VirtioBalloon *s = (VirtioBalloon *)q->v;
    struct virtio_balloon_stat st;
    VirtqElem *e;
    size_t off = 0;

    machine_assert_locked();
    e = virtq_pop(q);
    if (!e) {
        return;
    }
    if (s->stats_elem) {
        /* It should have waited; the older buffer goes back. */
        virtq_push(q, s->stats_elem, 0);
        virtq_notify(q);
    }
    s->stats_elem = e;
    no_stats(s);
    while (virtq_read(e, off, &st, sizeof(st)) == sizeof(st)) {
        uint16_t tag = le16toh(st.tag);

        if (tag < VIRTIO_BALLOON_S_NR) {
            s->stats[tag] = le64toh(st.val);
        }
        off += sizeof(st);
    }
    s->last_update = clock_ns(CLOCK_HOST) / NS_PER_S;
    poll_again(s);
}

static void poll_due(void *arg)
{
    VirtioBalloon *s = arg;

    machine_assert_locked();
    if (!s->stats_elem || !virtio_has(&s->v, VIRTIO_BALLOON_F_STATS_VQ)) {
        poll_again(s);
        return;
    }
    virtq_push(s->statq, s->stats_elem, 0);
    s->stats_elem = NULL;
    virtq_notify(s->statq);
}

static Json *get_stats(const Obj *o, const Prop *p, Error **errp)
{
    const VirtioBalloon *s = (const VirtioBalloon *)o;
    Json *all = json_obj(), *list = json_obj();

    for (unsigned i = 0; i < VIRTIO_BALLOON_S_NR; i++) {
        json_set(list, stat_names[i], json_uint(s->stats[i]));
    }
    json_set(all, "stats", list);
    json_set(all, "last-update", json_int(s->last_update));
    return all;
}

static Json *get_interval(const Obj *o, const Prop *p, Error **errp)
{
    return json_int(((const VirtioBalloon *)o)->interval);
}

static bool set_interval(Obj *o, const Prop *p, const Json *v, Error **errp)
{
    VirtioBalloon *s = (VirtioBalloon *)o;
    int64_t n;

    if (json_kind(v) == JSON_STR) {
        n = g_ascii_strtoll(json_str_of(v), NULL, 0);
    } else if (json_kind(v) == JSON_INT) {
        n = json_int_of(v);
    } else {
        return error_set(errp, "Invalid parameter type for '%s', expected: "
                         "integer", p->name);
    }
    if (n < 0) {
        return error_set(errp, "timer value must be greater than zero");
    }
    if (n > UINT32_MAX) {
        return error_set(errp, "timer value is too big");
    }
    s->interval = n;
    if (((const Device *)o)->realized) {
        timer_clear(&s->poll);
        poll_again(s);
    }
    return true;
}

/* ---- configuration ------------------------------------------------------- */

static MACHINE_CALL uint64_t features(Virtio *v, uint64_t want)
{
    return want | 1ull << VIRTIO_BALLOON_F_STATS_VQ;
}

static MACHINE_CALL void config_read(Virtio *v)
{
    const VirtioBalloon *s = (VirtioBalloon *)v;
    struct virtio_balloon_config c = {
        .num_pages = htole32(s->num_pages), .actual = htole32(s->actual),
        .poison_val = htole32(s->poison),
    };

    memcpy(v->config, &c, MIN2(v->config_len, sizeof(c)));
}

static uint64_t left_to_guest(const VirtioBalloon *s)
{
    uint64_t gone = (uint64_t)s->actual << PFN_SHIFT;

    return machine->ram_size - MIN2(gone, machine->ram_size);
}

static MACHINE_CALL void config_write(Virtio *v, uint32_t off, unsigned size)
{
    VirtioBalloon *s = (VirtioBalloon *)v;
    struct virtio_balloon_config c = { 0 };
    uint32_t was = s->actual;

    memcpy(&c, v->config, MIN2(v->config_len, sizeof(c)));
    s->actual = le32toh(c.actual);
    if (virtio_has(v, VIRTIO_BALLOON_F_PAGE_POISON)) {
        s->poison = le32toh(c.poison_val);
    }
    if (s->actual != was) {
        BalloonChangeEvent e = { .actual = left_to_guest(s) };

        monitor_event(&event_BALLOON_CHANGE, &e);
    }
}

/* ---- life ---------------------------------------------------------------- */

static MACHINE_CALL void quiesce(Virtio *v, bool forget)
{
    VirtioBalloon *s = (VirtioBalloon *)v;

    if (forget) {
        s->stats_elem = NULL;          /* the queue forgets it                */
    } else if (s->stats_elem) {
        /* The next one to run finds it in the ring again. */
        virtq_unpop(s->statq, s->stats_elem);
        s->stats_elem = NULL;
    }
}

static MACHINE_CALL void status(Virtio *v, uint8_t old)
{
    VirtioBalloon *s = (VirtioBalloon *)v;

    if ((v->status & ~old & VIRTIO_DRIVER_OK) && s->interval &&
        !timer_armed(&s->poll)) {
        poll_again(s);
    }
}

static bool on_its_own(VirtioBalloon *s, Error **errp)
{
    if (the_balloon) {
        return error_set(errp, "Only one balloon device is supported");
    }
    if ((s->v.host_features >> VIRTIO_BALLOON_F_FREE_PAGE_HINT & 1) &&
        !s->iothread) {
        return error_set(errp, "'free-page-hint' requires 'iothread' to be "
                         "set");
    }
    return true;
}

static MACHINE_CALL bool balloon_realize(Device *dev, Error **errp)
{
    VirtioBalloon *s = (VirtioBalloon *)dev;
    bool poison = s->v.host_features >> VIRTIO_BALLOON_F_PAGE_POISON & 1;
    bool hint = s->v.host_features >> VIRTIO_BALLOON_F_FREE_PAGE_HINT & 1;

    if (!on_its_own(s, errp)) {
        return false;
    }
    virtio_init(&s->v, s->old_config || poison ? 16 : hint ? 12 : 8);
    s->inflate = virtq_add(&s->v, 128, sizeof(VirtqElem), pages_kicked);
    s->deflate = virtq_add(&s->v, 128, sizeof(VirtqElem), pages_kicked);
    s->statq = virtq_add(&s->v, 128, sizeof(VirtqElem), stats_kicked);
    if (hint) {
        virtq_add(&s->v, 128, sizeof(VirtqElem), hint_kicked);
    }
    if (s->v.host_features >> VIRTIO_BALLOON_F_REPORTING & 1) {
        s->report = virtq_add(&s->v, 32, sizeof(VirtqElem), report_kicked);
    }
    timer_init(&s->poll, NULL, CLOCK_VM, poll_due, s);
    no_stats(s);
    the_balloon = s;
    return true;
}

static MACHINE_CALL void balloon_unrealize(Device *dev)
{
    VirtioBalloon *s = (VirtioBalloon *)dev;

    timer_clear(&s->poll);
    the_balloon = NULL;
    virtio_fini(&s->v);
}

static MACHINE_CALL void balloon_reset(Device *dev, ResetKind kind)
{
    VirtioBalloon *s = (VirtioBalloon *)dev;

    s->poison = 0;
    s->part_len = 0;
    s->part_block = NULL;
}

static bool balloon_loaded(void *opaque, int version, Error **errp)
{
    VirtioBalloon *s = opaque;

    /* The guest's own figure; no more than what addresses can name. */
    s->part_len = 0;
    s->part_block = NULL;
    return true;
}

static const VmState balloon_state = {
    .name = "virtio-balloon", .version = 1, .oldest = 1,
    .after_load = balloon_loaded,
    .fields = (const VmField[]){
        VM_U32(VirtioBalloon, num_pages), VM_U32(VirtioBalloon, actual),
        VM_U32(VirtioBalloon, poison),
        VM_END
    },
};

/* ---- commands ------------------------------------------------------------ */

static bool no_balloon(Error **errp)
{
    return error_set_class(errp, ERROR_DEVICE_NOT_ACTIVE, "No balloon device "
                           "has been activated");
}

bool cmd_balloon(const void *arg, void *ret, Error **errp)
{
    const BalloonArg *a = arg;
    VirtioBalloon *s = the_balloon;
    uint64_t want = a->value;

    machine_assert_locked();
    if (!s) {
        return no_balloon(errp);
    }
    if (a->value <= 0) {
        return error_set(errp, "Parameter 'target' expects a size");
    }
    want = MIN2(want, machine->ram_size);
    s->num_pages = (machine->ram_size - want) >> PFN_SHIFT;
    virtio_config_changed(&s->v);
    return true;
}

bool cmd_query_balloon(const void *arg, void *ret, Error **errp)
{
    BalloonInfo *i = ret;

    if (!the_balloon) {
        return no_balloon(errp);
    }
    i->actual = left_to_guest(the_balloon);
    return true;
}

void hmp_print_info_balloon(const void *ret, const Json *args)
{
    const BalloonInfo *i = ret;

    mon_printf("balloon: actual=%" PRId64 "\n", i->actual >> 20);
}

/* ---- tables -------------------------------------------------------------- */

#define FEATURE(name, bit, d, ...) \
    PROP_BIT64(name, VirtioBalloon, v.host_features, bit, d, \
               .desc = "on/off", ##__VA_ARGS__)
static const Prop balloon_rows[] = {
    FEATURE("deflate-on-oom", VIRTIO_BALLOON_F_DEFLATE_ON_OOM, false),
    FEATURE("free-page-hint", VIRTIO_BALLOON_F_FREE_PAGE_HINT, false),
    FEATURE("page-poison", VIRTIO_BALLOON_F_PAGE_POISON, true,
            .compat = (const PropCompat[]){ { 500, "off" }, { 0 } }),
    FEATURE("free-page-reporting", VIRTIO_BALLOON_F_REPORTING, false),
    PROP_BOOL("qemu-4-0-config-size", VirtioBalloon, old_config, false,
              .compat = (const PropCompat[]){ { 301, "off" }, { 400, "on" },
                                              { 0 } }),
    PROP_REF("iothread", VirtioBalloon, iothread, &prop_ref_iothread),
    PROP_CALL("guest-stats", "guest statistics", get_stats, NULL,
              .flags = PF_READONLY),
    PROP_CALL("guest-stats-polling-interval", "int", get_interval,
              set_interval, .flags = PF_LIVE | PF_NO_DEFAULT),
    PROP_END
};

static const Prop balloon_pci_rows[] = { PROP_END };

static const VirtioType balloon_type = {
    .id = VIRTIO_ID_BALLOON, .features = features, .config_read = config_read,
    .config_write = config_write, .status = status, .quiesce = quiesce,
};

VIRTIO_DEVICE(virtio_balloon, "virtio-balloon", "misc", balloon_pci_rows,
              VIRTIO_ID_BALLOON, 0x1002, 0x00ff00,
    .doc = "Lets the host take memory back from the guest: the command balloon "
           "sets how much the guest should keep. guest-stats tells what it "
           "does with it; free-page-reporting returns what it does not use.",
    .on_info = &balloon_type, .size = sizeof(VirtioBalloon),
    .props = balloon_rows, .vmstate = &balloon_state,
    .realize = balloon_realize, .unrealize = balloon_unrealize,
    .reset = balloon_reset);
