/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * query.c - what x-query-virtio* tell about devices and queues; names of the
 * feature bits (virtio 1.2, sections 2.2, 5 and 6).
 *
 * Thread class: MACHINE_CALL. Indices of a queue whose loop is another thread's
 * are read as they are at that moment.
 */
#include <glib.h>
#include <linux/virtio_balloon.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <linux/virtio_scsi.h>
#include "hw/virtio/ring.h"
#include "monitor.h"
#include "schema/schema.h"

#define CHAIN_SHOWN 256                /* parts of a request, at the most      */

typedef struct BitName {
    uint8_t bit;
    const char *name, *text;
} BitName;

/* ---- names --------------------------------------------------------------- */

#define F(name, text) { name, #name, text }

static const BitName ring_bits[] = {
    { VIRTIO_F_EVENT_IDX, "VIRTIO_RING_F_EVENT_IDX", "event index fields" },
    { VIRTIO_F_INDIRECT, "VIRTIO_RING_F_INDIRECT_DESC",
      "indirect descriptors" },
    F(VIRTIO_F_VERSION_1, "the interface of version 1"),
    { VIRTIO_F_PLATFORM, "VIRTIO_F_IOMMU_PLATFORM",
      "addresses pass an IOMMU" },
    { VIRTIO_F_PACKED, "VIRTIO_F_RING_PACKED", "packed rings" },
    { 35, "VIRTIO_F_IN_ORDER", "requests are used in order" },
    { 36, "VIRTIO_F_ORDER_PLATFORM", "barriers as for hardware" },
    { 37, "VIRTIO_F_SR_IOV", "virtual functions" },
    F(VIRTIO_F_ANY_LAYOUT, "any layout of descriptors"),
    F(VIRTIO_F_NOTIFY_ON_EMPTY, "interrupt when a ring is empty"),
    { 0 }
};
static const BitName net_bits[] = {
    F(VIRTIO_NET_F_CSUM, "checksums by the device"),
    F(VIRTIO_NET_F_GUEST_CSUM, "checksums by the driver"),
    F(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, "offloads change while it runs"),
    F(VIRTIO_NET_F_MTU, "the device tells the MTU"),
    F(VIRTIO_NET_F_MAC, "the device tells its address"),
    F(VIRTIO_NET_F_GSO, "large packets of any kind"),
    F(VIRTIO_NET_F_GUEST_TSO4, "the driver takes large TCPv4 packets"),
    F(VIRTIO_NET_F_GUEST_TSO6, "the driver takes large TCPv6 packets"),
    F(VIRTIO_NET_F_GUEST_ECN, "and such with ECN"),
    F(VIRTIO_NET_F_GUEST_UFO, "the driver takes large UDP packets"),
    F(VIRTIO_NET_F_HOST_TSO4, "the device takes large TCPv4 packets"),
    F(VIRTIO_NET_F_HOST_TSO6, "the device takes large TCPv6 packets"),
    F(VIRTIO_NET_F_HOST_ECN, "and such with ECN"),
    F(VIRTIO_NET_F_HOST_UFO, "the device takes large UDP packets"),
    F(VIRTIO_NET_F_MRG_RXBUF, "one packet in several buffers"),
    F(VIRTIO_NET_F_STATUS, "the link's state is told"),
    F(VIRTIO_NET_F_CTRL_VQ, "a queue for control"),
    F(VIRTIO_NET_F_CTRL_RX, "control of what is received"),
    F(VIRTIO_NET_F_CTRL_VLAN, "control of VLANs"),
    F(VIRTIO_NET_F_CTRL_RX_EXTRA, "more control of what is received"),
    F(VIRTIO_NET_F_GUEST_ANNOUNCE, "the driver announces itself"),
    F(VIRTIO_NET_F_MQ, "several pairs of queues"),
    F(VIRTIO_NET_F_CTRL_MAC_ADDR, "the address can be set"),
    F(VIRTIO_NET_F_HASH_REPORT, "hashes are told"),
    F(VIRTIO_NET_F_RSS, "queues chosen by hash"),
    F(VIRTIO_NET_F_RSC_EXT, "more about packets that were joined"),
    F(VIRTIO_NET_F_STANDBY, "stands by for another card"),
    F(VIRTIO_NET_F_SPEED_DUPLEX, "the link's speed is told"),
    { 0 }
};
static const BitName blk_bits[] = {
    F(VIRTIO_BLK_F_SIZE_MAX, "largest part of a request"),
    F(VIRTIO_BLK_F_SEG_MAX, "most parts of a request"),
    F(VIRTIO_BLK_F_GEOMETRY, "cylinders, heads and sectors"),
    F(VIRTIO_BLK_F_RO, "read only"),
    F(VIRTIO_BLK_F_BLK_SIZE, "size of a block"),
    { 7, "VIRTIO_BLK_F_SCSI", "SCSI commands" },
    { 9, "VIRTIO_BLK_F_FLUSH", "a command that flushes" },
    F(VIRTIO_BLK_F_TOPOLOGY, "alignment and best sizes"),
    { 11, "VIRTIO_BLK_F_CONFIG_WCE", "the write cache can be switched" },
    F(VIRTIO_BLK_F_MQ, "several queues"),
    F(VIRTIO_BLK_F_DISCARD, "a command that discards"),
    F(VIRTIO_BLK_F_WRITE_ZEROES, "a command that writes zeroes"),
    { 0 }
};
static const BitName console_bits[] = {
    F(VIRTIO_CONSOLE_F_SIZE, "size of the screen"),
    F(VIRTIO_CONSOLE_F_MULTIPORT, "several ports"),
    F(VIRTIO_CONSOLE_F_EMERG_WRITE, "writing before it is set up"),
    { 0 }
};
static const BitName balloon_bits[] = {
    F(VIRTIO_BALLOON_F_MUST_TELL_HOST, "pages are told before they are used"),
    F(VIRTIO_BALLOON_F_STATS_VQ, "a queue for statistics"),
    F(VIRTIO_BALLOON_F_DEFLATE_ON_OOM, "shrinks when memory runs out"),
    F(VIRTIO_BALLOON_F_FREE_PAGE_HINT, "free pages are told when asked"),
    F(VIRTIO_BALLOON_F_PAGE_POISON, "what free pages are filled with"),
    F(VIRTIO_BALLOON_F_REPORTING, "free pages are told"),
    { 0 }
};
static const BitName scsi_bits[] = {
    F(VIRTIO_SCSI_F_INOUT, "requests in both directions"),
    F(VIRTIO_SCSI_F_HOTPLUG, "units come and go"),
    F(VIRTIO_SCSI_F_CHANGE, "changes of units are told"),
    F(VIRTIO_SCSI_F_T10_PI, "protection information"),
    { 0 }
};
static const BitName status_bits[] = {
    { 0, "VIRTIO_CONFIG_S_ACKNOWLEDGE", "the device was found" },
    { 1, "VIRTIO_CONFIG_S_DRIVER", "there is a driver for it" },
    { 3, "VIRTIO_CONFIG_S_FEATURES_OK", "features are agreed on" },
    { 2, "VIRTIO_CONFIG_S_DRIVER_OK", "the driver is ready" },
    { 6, "VIRTIO_CONFIG_S_NEEDS_RESET", "the device has stopped" },
    { 7, "VIRTIO_CONFIG_S_FAILED", "the driver has given up" },
    { 0 }
};

static const BitName *device_bits(const Virtio *v)
{
    switch (virtio_type(v)->id) {
    case VIRTIO_ID_NET: return net_bits;
    case VIRTIO_ID_BLOCK: return blk_bits;
    case VIRTIO_ID_CONSOLE: return console_bits;
    case VIRTIO_ID_BALLOON: return balloon_bits;
    case VIRTIO_ID_SCSI: return scsi_bits;
    default: return ring_bits + ARRAY_SIZE(ring_bits) - 1;
    }
}

/* Lists the names of the bits that are set and have one; gives the others. */
static uint64_t name_bits(const BitName *rows, uint64_t bits, StrList *to)
{
    for (; rows->name; rows++) {
        if (bits >> rows->bit & 1) {
            *(char **)SCHEMA_ADD(to) = g_strdup_printf("%s: %s", rows->name,
                                                       rows->text);
            bits &= ~(1ull << rows->bit);
        }
    }
    return bits;
}

static void name_features(const Virtio *v, uint64_t bits,
                          VirtioDeviceFeatures *f)
{
    bits = name_bits(ring_bits, bits, &f->transports);
    bits = name_bits(device_bits(v), bits, &f->dev_features);
    f->has_dev_features = true;
    f->unknown_dev_features = bits;
    f->has_unknown_dev_features = bits != 0;
}

/* ---- devices ------------------------------------------------------------- */

static bool is_virtio(const Device *d)
{
    return type_is_a(d->type->name, "virtio-device");
}

/* "virtio-net-device" -> "virtio-net". Caller g_frees. */
static char *kind_name(const Virtio *v)
{
    const char *s = v->dev.type->name;
    size_t n = strlen(s);

    return g_strndup(s, g_str_has_suffix(s, "-device") ? n - 7 : n);
}

static bool list_one(Device *d, void *arg)
{
    VirtioInfo *i;

    machine_assert_locked();
    if (is_virtio(d)) {
        i = SCHEMA_ADD((VirtioInfoList *)arg);
        i->path = obj_path(&d->obj);
        i->name = kind_name((Virtio *)d);
    }
    return true;
}

bool cmd_x_query_virtio(const void *arg, void *ret, Error **errp)
{
    device_each(list_one, ret);
    return true;
}

typedef struct Search {
    const Obj *obj;
    Virtio *found;
} Search;

static bool search_one(Device *d, void *arg)
{
    Search *s = arg;

    if (&d->obj == s->obj && is_virtio(d)) {
        s->found = (Virtio *)d;
    }
    return true;
}

static Virtio *find(const char *path, Error **errp) MACHINE_CALL;
static Virtio *find(const char *path, Error **errp)
{
    Search s = { .obj = obj_resolve(path, NULL) };

    if (s.obj) {
        device_each(search_one, &s);
    }
    if (!s.found) {
        error_set(errp, "Path %s is not a VirtIODevice", path);
    }
    return s.found;
}

bool cmd_x_query_virtio_status(const void *arg, void *ret, Error **errp)
{
    VirtioStatus *i = ret;
    Virtio *v = find(((const XQueryVirtioStatusArg *)arg)->path, errp);
    uint64_t left;

    if (!v) {
        return false;
    }
    i->name = kind_name(v);
    i->device_id = virtio_type(v)->id;
    i->device_endian = g_strdup("little");
    name_features(v, v->features, &i->guest_features);
    name_features(v, v->offered, &i->host_features);
    i->backend_features.has_dev_features = true;
    i->num_vqs = v->nqueues;
    left = name_bits(status_bits, v->status, &i->status.statuses);
    i->status.unknown_statuses = left;
    i->status.has_unknown_statuses = left != 0;
    i->isr = __atomic_load_n(&v->isr, __ATOMIC_RELAXED);
    i->queue_sel = v->queue_sel;
    i->vm_running = v->running;
    i->broken = virtio_is_broken(v);
    i->disabled = v->disabled;
    i->use_started = v->use_started;
    i->started = v->status & VIRTIO_DRIVER_OK;
    i->disable_legacy_check = v->no_legacy_check;
    i->bus_name = virtio_bus_name(v);
    if (!i->bus_name) {
        i->bus_name = g_strdup("");
    }
    i->use_guest_notifier_mask = true;
    return true;
}

/* ---- queues -------------------------------------------------------------- */

static Virtq *find_queue(const char *path, unsigned n, Error **errp)
    MACHINE_CALL;
static Virtq *find_queue(const char *path, unsigned n, Error **errp)
{
    Virtio *v = find(path, errp);

    if (v && n >= v->nqueues) {
        error_set(errp, "Invalid virtqueue number %u", n);
        return NULL;
    }
    return v ? v->queues[n] : NULL;
}

bool cmd_x_query_virtio_vhost_queue_status(const void *arg, void *ret,
                                           Error **errp)
{
    const XQueryVirtioVhostQueueStatusArg *a = arg;

    return find_queue(a->path, a->queue, errp) &&
           error_set(errp, "Error: vhost device has not started yet");
}

bool cmd_x_query_virtio_queue_status(const void *arg, void *ret, Error **errp)
{
    const XQueryVirtioQueueStatusArg *a = arg;
    VirtQueueStatus *i = ret;
    Virtq *q = find_queue(a->path, a->queue, errp);

    if (!q) {
        return false;
    }
    i->name = kind_name(q->v);
    i->queue_index = q->index;
    i->inuse = q->inuse;
    i->vring_num = q->num;
    i->vring_num_default = q->num_max;
    i->vring_align = 4096;
    i->vring_desc = q->desc;
    i->vring_avail = q->avail;
    i->vring_used = q->used;
    i->last_avail_idx = i->shadow_avail_idx = q->last_avail;
    i->has_last_avail_idx = i->has_shadow_avail_idx = true;
    i->used_idx = q->used_idx;
    i->signalled_used = q->signalled;
    i->signalled_used_valid = q->signalled_valid;
    return true;
}

static bool load(Virtq *q, uint64_t addr, void *buf, unsigned n, Error **errp)
{
    return mem_read(q->v->dma, addr, buf, n, (MemAttrs){ 0 }) == MEM_OK ||
           error_set(errp, "the queue is not in memory at 0x%" PRIx64, addr);
}

static void add_flag(VirtioRingDesc *d, bool set, const char *name)
{
    if (set) {
        *(char **)SCHEMA_ADD(&d->flags) = g_strdup(name);
    }
}

/* Follows a chain; a table of descriptors is entered once. */
static bool list_chain(Virtq *q, unsigned head, VirtioRingDescList *to,
                       Error **errp)
{
    uint64_t table = q->desc;
    unsigned n = q->num, at = head;
    bool inside = false;

    while (at < n && to->n < CHAIN_SHOWN) {
        struct vring_desc d;
        VirtioRingDesc *row;
        unsigned flags;

        if (!load(q, table + 16ull * at, &d, 16, errp)) {
            return false;
        }
        flags = le16toh(d.flags);
        if (flags & VRING_DESC_F_INDIRECT && !inside) {
            inside = true;
            table = le64toh(d.addr);
            n = MIN(le32toh(d.len) / 16, VIRTQ_SIZE_MAX);
            at = 0;
            continue;
        }
        row = SCHEMA_ADD(to);
        row->addr = le64toh(d.addr);
        row->len = le32toh(d.len);
        add_flag(row, flags & VRING_DESC_F_WRITE, "write");
        add_flag(row, flags & VRING_DESC_F_NEXT, "next");
        at = flags & VRING_DESC_F_NEXT ? le16toh(d.next) : n;
    }
    return true;
}

bool cmd_x_query_virtio_queue_element(const void *arg, void *ret,
                                      Error **errp)
{
    const XQueryVirtioQueueElementArg *a = arg;
    VirtioQueueElement *i = ret;
    uint16_t avail[2], used[2], entry;
    unsigned at;
    Virtq *q;

    if (!find(a->path, NULL)) {        /* in the words of this command        */
        return error_set(errp, "Path %s is not a VirtIO device", a->path);
    }
    q = find_queue(a->path, a->queue, errp);
    if (!q) {
        return false;
    }
    if (q->packed) {
        return error_set(errp, "the queue is a packed ring, which has no "
                         "available ring");
    }
    if (!q->mapped || !q->num) {
        return error_set(errp, "the driver has not set up the queue");
    }
    at = (a->has_index ? a->index : q->last_avail) % q->num;
    if (!load(q, q->avail, avail, 4, errp) ||
        !load(q, q->used, used, 4, errp) ||
        !load(q, q->avail + 4 + 2ull * at, &entry, 2, errp)) {
        return false;
    }
    i->name = kind_name(q->v);
    i->index = le16toh(entry);
    i->avail.flags = le16toh(avail[0]);
    i->avail.idx = le16toh(avail[1]);
    i->avail.ring = le16toh(entry);
    i->used.flags = le16toh(used[0]);
    i->used.idx = le16toh(used[1]);
    return list_chain(q, le16toh(entry), &i->descs, errp);
}
