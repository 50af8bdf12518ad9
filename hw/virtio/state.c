/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * state.c - the bus of virtio devices, the rows and the saved state that they
 * share.
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. After a load the rings are mapped and their indices below their bounds, or
 *    the load is refused.
 */
#include <glib.h>
#include "hw/virtio/ring.h"

TYPE_NAME(type_virtio_device, { "virtio-device", "device", true });

#define FEATURE(name, bit, def) \
    PROP_BIT64(name, Virtio, host_features, bit, def, .desc = "on/off")

static const Prop virtio_rows[] = {
    FEATURE("indirect_desc", VIRTIO_F_INDIRECT, true),
    FEATURE("event_idx", VIRTIO_F_EVENT_IDX, true),
    FEATURE("notify_on_empty", VIRTIO_F_NOTIFY_ON_EMPTY, true),
    PROP_BIT64("any_layout", Virtio, host_features, VIRTIO_F_ANY_LAYOUT, true,
               .desc = "on/off",
               .compat = (const PropCompat[]){ { 203, "off" }, { 0 } }),
    FEATURE("iommu_platform", VIRTIO_F_PLATFORM, false),
    FEATURE("packed", VIRTIO_F_PACKED, false),
    PROP_BIT64("queue_reset", Virtio, host_features, VIRTIO_F_RING_RESET, true,
               .desc = "on/off",
               .compat = (const PropCompat[]){ { 701, "off" }, { 0 } }),
    PROP_BOOL("use-started", Virtio, use_started, true,
              .compat = (const PropCompat[]){ { 400, "off" }, { 0 } }),
    PROP_BOOL("use-disabled-flag", Virtio, use_disabled_flag, true,
              .compat = (const PropCompat[]){ { 402, "off" }, { 0 } }),
    PROP_BOOL("x-disable-legacy-check", Virtio, no_legacy_check, false,
              .compat = (const PropCompat[]){ { 500, "on" }, { 0 } }),
    PROP_END
};

/* ---- saved state --------------------------------------------------------- */

static const VmState virtq_state = {
    .name = "virtqueue", .version = 1, .oldest = 1,
    .fields = (const VmField[]){
        VM_U16(Virtq, num), VM_U16(Virtq, vector), VM_BOOL(Virtq, enabled),
        VM_U64(Virtq, desc), VM_U64(Virtq, avail), VM_U64(Virtq, used),
        VM_U16(Virtq, last_avail), VM_U16(Virtq, used_idx),
        VM_U16(Virtq, signalled), VM_BOOL(Virtq, signalled_valid),
        VM_BOOL(Virtq, avail_wrap), VM_BOOL(Virtq, used_wrap),
        VM_BOOL(Virtq, kicks_off),
        VM_END
    },
};
typedef struct VirtqRef {
    Virtq *q;
} VirtqRef;
static const VmState virtq_ref_state = {
    .name = "virtqueue-ref", .version = 1, .oldest = 1,
    .fields = (const VmField[]){
        VM_PSTRUCT(VirtqRef, q, &virtq_state),
        VM_END
    },
};

static bool before_load(void *s, Error **errp)
{
    machine_assert_locked();
    virtio_reset(s);
    return true;
}

static bool queue_fits(const Virtq *q, bool packed)
{
    return q->num && q->num <= q->num_max &&
           (!packed || (q->last_avail < q->num && q->used_idx < q->num));
}

static bool after_load(void *s, int version, Error **errp)
{
    Virtio *v = s;

    bool modern;

    machine_assert_locked();
    modern = virtio_has(v, VIRTIO_F_VERSION_1);
    if (v->features & ~v->offered) {
        return error_set(errp, "%s: features 0x%" PRIx64 " are not offered",
                         v->dev.type->name, v->features & ~v->offered);
    }
    for (uint32_t i = 0; i < v->nqueues; i++) {
        Virtq *q = v->queues[i];

        if (!queue_fits(q, virtio_has(v, VIRTIO_F_PACKED))) {
            return error_set(errp, "%s: queue %u: size %u of %u",
                             v->dev.type->name, i, q->num, q->num_max);
        }
        if ((modern ? q->enabled : q->desc != 0) && !v->broken &&
            !virtq_map(q)) {
            return error_set(errp, "%s: queue %u: rings are not in memory",
                             v->dev.type->name, i);
        }
    }
    return true;
}

static const VmState virtio_state = {
    .name = "virtio", .version = 1, .oldest = 1,
    .before_load = before_load, .after_load = after_load,
    .fields = (const VmField[]){
        VM_U8(Virtio, status), VM_U8(Virtio, isr), VM_U64(Virtio, features),
        VM_U16(Virtio, queue_sel), VM_U16(Virtio, config_vector),
        VM_U32(Virtio, generation), VM_BOOL(Virtio, broken),
        { .name = "queues", .kind = VK_VSTRUCT, .count = 1,
          .offset = offsetof(Virtio, queues), .size = sizeof(VirtqRef),
          .count_off = offsetof(Virtio, nqueues),
          .count_max = VIRTIO_QUEUES_MAX, .sub = &virtq_ref_state },
        VM_END
    },
};

char *virtio_fw_path(const Device *dev)
{
    return g_strdup(virtio_type((const Virtio *)dev)->fw_path);
}

BUS_TYPE(bus_virtio, {
    .name = "virtio-bus", .size = sizeof(Bus), .device_base = "virtio-device",
    .props = virtio_rows, .vmstate = &virtio_state, .max_devices = 1,
    .fw_path = virtio_fw_path,
});

/* ---- kept requests ------------------------------------------------------- */

static const VmState part_state = {
    .name = "virtqueue-part", .version = 1, .oldest = 1,
    .fields = (const VmField[]){
        VM_U64(VirtqPart, addr), VM_U32(VirtqPart, len),
        VM_END
    },
};

const VmState virtq_saved_vmstate = {
    .name = "virtqueue-request", .version = 1, .oldest = 1,
    .fields = (const VmField[]){
        VM_U16(VirtqSaved, queue), VM_U16(VirtqSaved, head),
        VM_U16(VirtqSaved, pos), VM_U16(VirtqSaved, ndesc),
        VM_U16(VirtqSaved, nout),
        VM_VSTRUCT(VirtqSaved, parts, nparts, VIRTQ_SIZE_MAX, &part_state),
        VM_END
    },
};

/* The guest's address of a mapped part; the map has not changed since. */
static uint64_t guest_address(const FlatMap *map, const uint8_t *host)
{
    for (uint32_t i = 0; i < map->n; i++) {
        const FlatRange *r = &map->r[i];

        if (r->host && host >= r->host && (uint64_t)(host - r->host) <=
            r->last - r->first) {
            return r->first + (host - r->host);
        }
    }
    return UINT64_MAX;
}

void virtq_save(const VirtqElem *e, VirtqSaved *to)
{
    uint32_t n = e->nout + e->nin;

    *to = (VirtqSaved){
        .queue = e->q->index, .head = e->head, .pos = e->pos,
        .ndesc = e->ndesc, .nout = e->nout, .nparts = n,
        .parts = g_new0(VirtqPart, n),
    };
    epoch_enter();
    for (uint32_t i = 0; i < n; i++) {
        to->parts[i].addr = guest_address(mem_map(e->q->v->dma),
                                          e->iov[i].iov_base);
        to->parts[i].len = e->iov[i].iov_len;
    }
    epoch_exit();
}

/* The request that the head, or in a packed ring any free one, stands for. */
static VirtqElem *free_request(Virtq *q, uint16_t head)
{
    if (!q->packed) {
        return head < q->num ? virtq_request_at(q, head) : NULL;
    }
    return q->nfree ? virtq_request_at(q, q->free[q->nfree - 1]) : NULL;
}

void *virtq_restore(Virtio *v, const VirtqSaved *from, Error **errp)
{
    Virtq *q = from->queue < v->nqueues ? v->queues[from->queue] : NULL;
    VirtqElem *e = q && q->mapped ? free_request(q, from->head) : NULL;

    if (!e || from->nout > from->nparts || !from->ndesc ||
        from->ndesc > q->num || from->pos >= q->num || !chain_begin(e, q)) {
        error_set(errp, "%s: queue %u: request %u of the stream has no place",
                  v->dev.type->name, from->queue, from->head);
        return NULL;
    }
    for (uint32_t i = 0; i < from->nparts; i++) {
        VirtqDesc d = {
            .addr = from->parts[i].addr, .len = from->parts[i].len,
            .flags = i < from->nout ? 0 : VRING_DESC_F_WRITE,
        };

        if (!chain_add(e, &d)) {
            error_set(errp, "%s: queue %u: request %u of the stream lies "
                      "outside memory", v->dev.type->name, from->queue,
                      from->head);
            return NULL;
        }
    }
    if (q->packed) {
        q->nfree--;
    }
    e->head = from->head;
    e->pos = from->pos;
    e->ndesc = from->ndesc;
    e->busy = true;
    q->inuse++;
    return e;
}

void virtq_saved_free(VirtqSaved *list, uint32_t n)
{
    for (uint32_t i = 0; list && i < n; i++) {
        g_free(list[i].parts);
    }
    g_free(list);
}
