/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio.h - virtio devices (virtio 1.2, OASIS): the device's side of queues,
 * features, configuration space. virtio-pci.h has the declaration of a device.
 *
 * A queue belongs to a loop: pop, push and notify are LOOP_CALL(q->loop).
 * Everything else is MACHINE_CALL.
 */
#ifndef TERN_VIRTIO_H
#define TERN_VIRTIO_H

#include <linux/virtio_config.h>
#include <sys/uio.h>
#include "device.h"

typedef struct Virtio Virtio;
typedef struct Virtq Virtq;

#define VIRTIO_QUEUES_MAX 1024
#define VIRTQ_SIZE_MAX 1024            /* descriptors of a queue, and of a chain */
#define VIRTQ_IOV 6                    /* parts that need no memory of their own */
#define VIRTIO_NO_VECTOR 0xffff

enum {                                 /* device status, section 2.1          */
    VIRTIO_ACKNOWLEDGE = 1, VIRTIO_DRIVER = 2, VIRTIO_DRIVER_OK = 4,
    VIRTIO_FEATURES_OK = 8, VIRTIO_NEEDS_RESET = 64, VIRTIO_FAILED = 128,
};
enum {                                 /* feature bits beside the kernel's    */
    VIRTIO_F_INDIRECT = 28, VIRTIO_F_EVENT_IDX = 29, VIRTIO_F_BAD = 30,
    VIRTIO_F_PLATFORM = 33, VIRTIO_F_PACKED = 34,
};

/* One chain that the guest made available; the first member of the device's own
 * request, which the queue holds ready, one per head. Between pop and push (or
 * drop) it is the device's. */
typedef struct VirtqElem {
    Virtq *q;
    struct iovec *iov;                 /* nout to read, then nin to write     */
    uint16_t nout, nin;
    uint16_t head;                     /* of the split ring; buffer id of the
                                          packed one                          */
    uint16_t pos, ndesc;               /* place and length in a packed ring   */
    uint16_t iov_cap;                  /* private                             */
    bool busy;                         /* private                             */
    uint64_t out_len, in_len;          /* bytes                               */
    struct iovec inline_iov[VIRTQ_IOV];
} VirtqElem;

/* The guest has kicked the queue: pop until there is nothing. */
typedef void VirtqFn(Virtq *q);

/* DeviceType.on_info of a virtio device. All members but id may be NULL. */
typedef struct VirtioType {
    uint16_t id;                       /* 2: block device, section 5          */
    /* Offered, beside the ring's and the transport's; `want`: bits the user
     * left on in v->host_features. NULL: those. */
    uint64_t (*features)(Virtio *v, uint64_t want) MACHINE_PTR;
    uint64_t legacy_only;              /* bits that the new interface hides   */
    /* The guest has chosen (before DRIVER_OK). */
    void (*chosen)(Virtio *v) MACHINE_PTR;
    /* Bring v->config up to date; the guest has written to it. */
    void (*config_read)(Virtio *v) MACHINE_PTR;
    void (*config_write)(Virtio *v, uint32_t off, unsigned size) MACHINE_PTR;
    /* Status has changed; v->status is the new one. */
    void (*status)(Virtio *v, uint8_t old) MACHINE_PTR;
    /* Before reset, unplug, a change of loop or machine stop (no kick will come
     * any more): come to rest. After it no element is with the device but those
     * it keeps for later, which it forgets when `forget`. */
    void (*quiesce)(Virtio *v, bool forget) MACHINE_PTR;
    /* The machine runs again. */
    void (*resume)(Virtio *v) MACHINE_PTR;
    /* One queue was reset by the guest (RING_RESET): as quiesce, for it. */
    void (*queue_reset)(Virtq *q) MACHINE_PTR;
    const char *fw_path;               /* below the function: "disk@0,0"      */
} VirtioType;

/* What the transport does for the device. */
typedef struct VirtioTransport {
    /* q NULL: the configuration has changed. ANY_THREAD. */
    void (*interrupt)(void *arg, Virtq *q);
    /* Kicks of the queues go to their loops by eventfd from here on, or again
     * through registers; machine running and driver ready. */
    void (*kicks)(void *arg, bool on) MACHINE_PTR;
    MemSpace *(*dma)(void *arg) MACHINE_PTR;
} VirtioTransport;

struct Virtio {
    Device dev;
    uint64_t host_features;            /* property bits, by feature number    */
    bool use_started, use_disabled_flag, no_legacy_check;
    const VirtioTransport *transport;
    void *transport_arg;
    uint64_t offered;                  /* settled at plugging                 */
    uint64_t features;                 /* accepted by the guest               */
    uint32_t nqueues;
    Virtq **queues;
    uint8_t *config;
    uint32_t config_len, generation;
    MemSpace *dma;
    uint16_t config_vector, queue_sel;
    uint8_t status;
    uint8_t isr;                       /* atomic                              */
    bool broken;                       /* atomic: no queue is touched         */
    bool running;                      /* DRIVER_OK and the machine runs      */
    bool disabled;                     /* by the transport: no DMA            */
    bool may_legacy;                   /* the transport has the old interface */
    Work broken_work, config_work;     /* private                             */
    struct VirtioHooks *hooks;
};

/* ---- for devices: in realize and unrealize ------------------------------- */
/* First in realize, last in unrealize. config_len: bytes of the device's own
 * configuration space. */
void virtio_init(Virtio *v, uint32_t config_len) MACHINE_CALL;
void virtio_fini(Virtio *v) MACHINE_CALL;
/* The next queue. size: its descriptors (a power of two up to VIRTQ_SIZE_MAX; the
 * guest may choose less); request: bytes of the device's request struct, which
 * begins with a VirtqElem. Requests are zeroed when first made, not later. */
Virtq *virtq_add(Virtio *v, uint16_t size, size_t request, VirtqFn *kick)
    MACHINE_CALL;
/* The loop whose thread touches it from now on; the device is at rest. */
void virtq_set_loop(Virtq *q, Loop *l) MACHINE_CALL;
/* Runs fn in that loop's thread and waits. */
void virtq_run(Virtq *q, void (*fn)(void *arg), void *arg) MACHINE_CALL;
static inline bool virtio_has(const Virtio *v, unsigned bit)
{
    return v->features >> bit & 1;
}
static inline const VirtioType *virtio_type(const Virtio *v)
{
    return v->dev.type->on_info;
}
/* Name for a bus below the device: "<id of the function>.0"; NULL: no id. */
char *virtio_bus_name(const Virtio *v);
/* Id of the function, or its path, for messages. Caller g_frees. */
char *virtio_name(const Virtio *v) MACHINE_CALL;

/* ---- for devices: queues, LOOP_CALL(q->loop) ----------------------------- */
/* The next chain, wholly checked and mapped; NULL: none, or the ring is broken
 * (then NEEDS_RESET is set already). */
void *virtq_pop(Virtq *q);
/* Gives the chain back: `written` bytes of the device-writable part. The guest
 * hears of it at virtq_notify. */
void virtq_push(Virtq *q, VirtqElem *e, uint64_t written);
/* Several at once, that the guest sees together (mergeable buffers): fill each
 * with its index from 0, then flush their number. */
void virtq_fill(Virtq *q, VirtqElem *e, uint64_t written, unsigned index);
void virtq_flush(Virtq *q, unsigned count);
/* Interrupts the guest if it wants to hear. Once per batch. */
void virtq_notify(Virtq *q);
/* The last one popped goes back into the ring; drop: it is forgotten (reset). */
void virtq_unpop(Virtq *q, VirtqElem *e);
void virtq_drop(Virtq *q, VirtqElem *e);
bool virtq_empty(Virtq *q);
/* Are there chains of at least that many bytes to write and read, in sum? Looks
 * no further than it must. */
bool virtq_has_room(Virtq *q, uint64_t in, uint64_t out);
/* Bytes that the chains there take, counted up to `most` or a bit more. */
uint64_t virtq_in_bytes(Virtq *q, uint64_t most);
/* Asks the guest to kick, or not to; after on = true look at the ring again. */
void virtq_want_kicks(Virtq *q, bool on);
/* There is too little in the ring: asks for a kick when more comes than is there
 * now. Look again afterwards. */
void virtq_want_more(Virtq *q);
/* Set up by the guest, and the driver ready. */
bool virtq_ready(const Virtq *q);
/* Copies out of (into) the parts of a chain; returns bytes copied. Into: marks
 * nothing, virtq_push does. */
size_t virtq_read(const VirtqElem *e, size_t off, void *buf, size_t n);
size_t virtq_write(VirtqElem *e, size_t off, const void *buf, size_t n);
/* The list without `skip` bytes at its head and `trim` at the end of its last
 * part, into `to`, which has room for n; parts of the result. */
unsigned virtq_cut(const struct iovec *iov, unsigned n, size_t skip, size_t trim,
                   struct iovec *to);
static inline struct iovec *virtq_in(const VirtqElem *e)
{
    return e->iov + e->nout;
}

/* The guest broke the rules: NEEDS_RESET, no queue is touched until then. The
 * text goes to the log of guest errors. ANY_THREAD. */
void virtio_broken(Virtio *v, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The configuration space has changed: generation and interrupt. ANY_THREAD. */
void virtio_config_changed(Virtio *v);

/* ---- requests that a device keeps over a save and load ------------------- */
typedef struct VirtqPart {
    uint64_t addr;                     /* as the guest gave it                */
    uint32_t len;
} VirtqPart;
typedef struct VirtqSaved {
    uint16_t queue, head, pos, ndesc, nout;
    uint32_t nparts;
    VirtqPart *parts;
} VirtqSaved;
extern const VmState virtq_saved_vmstate;
void virtq_save(const VirtqElem *e, VirtqSaved *to) MACHINE_CALL;
/* The request again; NULL: the stream lies. */
void *virtq_restore(Virtio *v, const VirtqSaved *from, Error **errp)
    MACHINE_CALL;
void virtq_saved_free(VirtqSaved *list, uint32_t n);

struct Virtq {
    Virtio *v;
    uint16_t index;
    Loop *loop;
    VirtqFn *kick;
    uint16_t num, num_max;             /* chosen by the guest; ours           */
    uint16_t vector;
    bool enabled;                      /* modern: queue_enable                */
    uint64_t desc, avail, used;        /* guest addresses                     */
    uint16_t last_avail, used_idx, signalled;
    bool signalled_valid, avail_wrap, used_wrap;
    bool kicks_off;                    /* the guest was asked not to kick     */
    /* private from here */
    bool packed, mapped;
    uint16_t inuse;
    uint16_t filled;                   /* descriptors not yet flushed         */
    uint16_t first_flags;              /* of those, in a packed ring          */
    uint32_t hint;                     /* last range of the flat map          */
    struct VirtqMap {                  /* desc, avail, used                   */
        uint8_t *host;
        RamBlock *ram;
        uint64_t off, len;
    } map[3];
    uint32_t request_size;
    uint8_t *requests;                 /* num_max of them                     */
    uint16_t *free;                    /* of a packed ring: unused ones       */
    uint16_t nfree;
    Work work;
};

/* The i-th request struct of a queue, of num_max. */
static inline void *virtq_request_at(const Virtq *q, unsigned i)
{
    return q->requests + (size_t)i * q->request_size;
}

/* ---- for transports: MACHINE_CALL ---------------------------------------- */
extern const BusType bus_virtio, bus_virtio_pci;
/* In the transport's plugging: transport and its argument are set. */
bool virtio_settle(Virtio *v, Error **errp) MACHINE_CALL;
void virtio_unsettle(Virtio *v) MACHINE_CALL;
void virtio_set_status(Virtio *v, uint8_t status) MACHINE_CALL;
void virtio_set_features(Virtio *v, uint64_t bits) MACHINE_CALL;
/* The function may (not) reach memory. */
void virtio_set_disabled(Virtio *v, bool on) MACHINE_CALL;
void virtio_reset(Virtio *v) MACHINE_CALL;
uint32_t virtio_config_get(Virtio *v, uint32_t off, unsigned size) MACHINE_CALL;
void virtio_config_set(Virtio *v, uint32_t off, uint32_t val, unsigned size)
    MACHINE_CALL;
/* The guest wrote the queue's notify register, or its eventfd fired (then from
 * the queue's loop). */
void virtq_kicked(Virtq *q);
void virtq_kicked_by_register(Virtq *q) MACHINE_CALL;
void virtq_set_address(Virtq *q, uint64_t desc, uint64_t avail, uint64_t used)
    MACHINE_CALL;
void virtq_reset(Virtq *q) MACHINE_CALL;
/* Enabled by the guest; the driver may be running already. */
void virtq_enabled(Virtq *q) MACHINE_CALL;
/* Bytes of a legacy queue of num descriptors from its page frame. */
void virtq_legacy_address(Virtq *q, uint64_t base) MACHINE_CALL;

#endif
