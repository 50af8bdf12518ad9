/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dump.c - the object filter-dump: the frames of a backend in a file of the pcap
 * format (version 2.4, microseconds, link type 1: Ethernet).
 *
 * Thread class: machine lock.
 *
 * Invariants
 * 1. The file holds whole records only, as long as the disk has room: when a
 *    record cannot be written whole, nothing more is.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "monitor.h"
#include "net/net-priv.h"

#define PARTS 62                       /* beside the record's head            */

typedef struct Dump {
    Obj obj;
    NetFilter filter;
    char *netdev, *file, *position;    /* properties                          */
    char *status;
    int queue, insert;
    uint32_t maxlen;
    int fd;
    bool failed, off;
} Dump;

enum { QUEUE_ALL, QUEUE_RX, QUEUE_TX };
static const char *const queue_names[] = { "all", "rx", "tx", NULL };
static const PropEnum queue_enum = { "NetFilterDirection", queue_names };
static const char *const insert_names[] = { "before", "behind", NULL };
static const PropEnum insert_enum = { "string", insert_names };

/* ---- records ------------------------------------------------------------- */

static void give_up(Dump *d)
{
    d->failed = true;
    warn_report("filter-dump: %s is not written any more: %s", d->file,
                strerror(errno));
}

/* Cuts the vector after n bytes, and `skip` bytes off its front. */
static int cut(const struct iovec *iov, int niov, struct iovec *out,
               size_t skip, size_t n)
{
    int k = 0;

    for (int i = 0; i < niov && n; i++) {
        size_t off = MIN2(skip, iov[i].iov_len);
        size_t len = MIN2(iov[i].iov_len - off, n);

        skip -= off;
        if (len) {
            out[k++] = (struct iovec){ (uint8_t *)iov[i].iov_base + off, len };
            n -= len;
        }
    }
    return k;
}

static MACHINE_CALL void frame_seen(NetFilter *f, bool from_backend,
                                    const struct iovec *iov, int niov,
                                    unsigned vnet)
{
    Dump *d = container_of(f, Dump, filter);
    size_t len = net_iov_len(iov, niov), part;
    struct iovec v[PARTS + 1], one;
    g_autofree uint8_t *flat = NULL;
    int64_t now = clock_ns(CLOCK_HOST);
    uint32_t head[4];
    ssize_t want;
    int n;

    if (d->failed || d->off || len < vnet || len > NET_MAX_FRAME + vnet ||
        d->queue == (from_backend ? QUEUE_RX : QUEUE_TX)) {
        return;
    }
    if (niov > PARTS) {
        flat = g_malloc(len);
        net_iov_read(iov, niov, 0, flat, len);
        one = (struct iovec){ flat, len };
        iov = &one;
        niov = 1;
    }
    len -= vnet;
    part = MIN2(len, d->maxlen);
    head[0] = now / NS_PER_S;
    head[1] = now % NS_PER_S / 1000;
    head[2] = part;
    head[3] = len;
    v[0] = (struct iovec){ head, sizeof(head) };
    n = cut(iov, niov, v + 1, vnet, part);
    want = sizeof(head) + part;
    if (writev(d->fd, v, n + 1) != want) {
        give_up(d);
    }
}

/* The backend goes: so does its filter. */
static MACHINE_CALL void port_gone(NetFilter *f)
{
    Dump *d = container_of(f, Dump, filter);
    g_autofree char *id = g_strdup(d->obj.name);

    user_obj_del(id, NULL);
}

/* ---- life ---------------------------------------------------------------- */

static bool status_ok(Dump *d, Error **errp)
{
    d->off = d->status && !strcmp(d->status, "off");
    return !d->status || d->off || !strcmp(d->status, "on") ||
           error_set(errp, "Invalid value for netfilter status, should be 'on' "
                     "or 'off'");
}

static MACHINE_CALL bool place_ok(const Dump *d, Error **errp)
{
    const char *p = d->position;
    const Obj *o;

    if (!p || !strcmp(p, "head") || !strcmp(p, "tail")) {
        return true;
    }
    if (strncmp(p, "id=", 3)) {
        return error_set(errp, "Parameter 'position' expects 'head', 'tail' or "
                         "'id=<id>'");
    }
    o = user_obj_find(p + 3);
    return (o && user_obj_type(o) == user_obj_type(&d->obj)) ||
           error_set(errp, "filter '%s' not found", p + 3);
}

static bool write_head(Dump *d, Error **errp)
{
    struct {
        uint32_t magic;
        uint16_t major, minor;
        uint32_t zone, accuracy, snaplen, link;
    } head = { 0xa1b2c3d4, 2, 4, 0, 0, d->maxlen, 1 };

    if (write(d->fd, &head, sizeof(head)) == sizeof(head)) {
        return true;
    }
    error_set_errno(errp, errno, "net dump write error");
    close(d->fd);
    d->fd = -1;
    return false;
}

static MACHINE_CALL bool complete(Obj *o, Error **errp)
{
    Dump *d = (Dump *)o;
    NetPort *p;

    d->fd = -1;
    if (!d->netdev) {
        return error_set(errp, "Parameter 'netdev' is missing");
    }
    if (!d->file) {
        return error_set(errp, "Parameter 'file' is missing");
    }
    if (!status_ok(d, errp) || !place_ok(d, errp)) {
        return false;
    }
    p = net_find(d->netdev);
    if (!p || p->card) {
        return error_set(errp, "Parameter 'netdev' expects a network backend "
                         "id");
    }
    if (net_queue(p, 1)) {
        return error_set(errp, "multiqueue is not supported");
    }
    d->fd = open(d->file, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
    if (d->fd < 0) {
        return error_set_errno(errp, errno, "net dump: can't open %s", d->file);
    }
    if (!write_head(d, errp)) {
        return false;
    }
    d->filter = (NetFilter){ .frame = frame_seen, .gone = port_gone };
    net_filter_add(p, &d->filter);
    return true;
}

static MACHINE_CALL void finish(Obj *o)
{
    Dump *d = (Dump *)o;

    net_filter_del(&d->filter);
    if (d->fd > 0) {
        close(d->fd);
    }
    d->fd = -1;
}

static bool status_set(Obj *o, const Prop *p, const Json *v, Error **errp)
{
    return status_ok((Dump *)o, errp);
}

static const Prop filter_rows[] = {
    PROP_STR("netdev", Dump, netdev, .type = "string", .desc = "the backend"),
    PROP_ENUM("queue", Dump, queue, &queue_enum, QUEUE_ALL,
              .desc = "all; rx: what the backend gets; tx: what it sends"),
    PROP_STR("status", Dump, status, .type = "string", .def_str = "on",
             .flags = PF_LIVE, .set = status_set, .desc = "on or off"),
    PROP_STR("position", Dump, position, .type = "string", .def_str = "tail",
             .desc = "head, tail, or id=NAME of another filter"),
    PROP_ENUM("insert", Dump, insert, &insert_enum, 1,
              .desc = "before or behind that filter"),
    PROP_END
};

static const Prop dump_rows[] = {
    PROP_STR("file", Dump, file, .type = "string", .desc = "the file"),
    PROP_U32("maxlen", Dump, maxlen, 65536, .min = 1, .max = UINT32_MAX,
             .desc = "bytes of each frame at most"),
    PROP_END
};

USER_TYPE(dump_type, {
    .name = "filter-dump", .desc = "writes the frames of a backend to a file",
    .doc = "The file is in the pcap format, which tcpdump and Wireshark read. "
           "Put it after the netdev that it names.",
    .parent = "netfilter", .after_net = true, .size = sizeof(Dump),
    .base_props = filter_rows, .props = dump_rows, .complete = complete,
    .finish = finish,
});
TYPE_NAME(netfilter_base, { "netfilter", "object", true });
