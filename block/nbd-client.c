/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nbd-client.c - the protocol "nbd": a disk that an NBD server exports (NBD
 * protocol, transmission phase).
 *
 * Thread class: LOOP_CALL(node's loop); open and close MACHINE_CALL.
 *
 * Invariants
 * 1. While requests wait there is one coroutine that connects and sends, while
 *    answers are due one that reads; a drained node has neither.
 * 2. A command's memory is its owner's again once nbd_client_end was called; the
 *    sender's current command ends only after the sender has let go of it.
 * 3. An answer is taken only for a command in flight, and its data only within
 *    that command's range.
 */
#include <glib.h>
#include <unistd.h>
#include "block/iov.h"
#include "block/nbd-client.h"

_Static_assert(sizeof(NbdCmd) <= sizeof(((BlkReq *)0)->drv), "command fits");

#define RETRY_NS (NS_PER_S / 2)
#define ZERO_PART (64u * 1024)
#define ZERO_MAX (16 * ZERO_PART)      /* of one request, where zeroes are sent */

/* ---- commands ------------------------------------------------------------ */

static uint32_t part_max(const NbdNode *c, const NbdCmd *cmd)
{
    uint16_t type = cmd->type;

    if (type == NBD_CMD_WRITE && cmd->req->op == BLK_ZERO) {
        return c->info.max_block ? MIN2(c->info.max_block, ZERO_MAX) : ZERO_MAX;
    }
    if (type == NBD_CMD_READ || type == NBD_CMD_WRITE) {
        return c->info.max_block ? MIN2(c->info.max_block, NBD_BUFFER_MAX)
                                 : NBD_BUFFER_MAX;
    }
    return 1u << 30;
}

/* The next part of req, which cmd->done bytes have been of already. */
static void part_set(NbdNode *c, NbdCmd *cmd)
{
    const BlkReq *req = cmd->req;
    uint64_t left = req->len - cmd->done, off = req->off + cmd->done;

    cmd->off = off;
    cmd->len = (uint32_t)MIN2(left, part_max(c, cmd));
    if (cmd->type == NBD_CMD_READ && off < c->size && cmd->len > c->size - off) {
        cmd->len = (uint32_t)(c->size - off);
    }
}

/* Does the request go on with another part? What lies between the server's end
 * and ours is zeroes. */
static bool part_next(NbdNode *c, NbdCmd *cmd)
{
    BlkReq *req = cmd->req;

    cmd->done += cmd->len;
    if (cmd->type == NBD_CMD_READ && req->off + cmd->done >= c->size &&
        cmd->done < req->len) {
        iov_zero(req->iov, req->niov, cmd->done, req->len - cmd->done);
        cmd->done = req->len;
    }
    if (cmd->done < req->len) {
        part_set(c, cmd);
        return true;
    }
    if (req->flags & BLKF_FUA && !(c->info.flags & NBD_F_FUA) &&
        cmd->type != NBD_CMD_FLUSH && c->info.flags & NBD_F_FLUSH) {
        cmd->type = NBD_CMD_FLUSH;
        cmd->flags = 0;
        cmd->off = cmd->len = 0;
        return true;
    }
    return false;
}

void nbd_client_end(NbdNode *c, NbdCmd *cmd)
{
    BlkReq *req = cmd->req;

    if (!req) {
        cmd->finish(cmd);
    } else if (cmd->ret >= 0 && part_next(c, cmd)) {
        nbd_client_queue(c, cmd);
    } else {
        blk_complete(req, cmd->ret);
    }
}

/* Not inlined: a caller that waits for its own command keeps it on its stack,
 * which gcc then takes for a pointer that outlives it. */
__attribute__((noinline))
void nbd_client_queue(NbdNode *c, NbdCmd *cmd)
{
    if (!c->first) {
        c->last = &c->first;
    }
    cmd->next = NULL;
    cmd->ret = 0;
    *c->last = cmd;
    c->last = &cmd->next;
    if (!c->sending) {
        loop_post(c->node.loop, &c->kick);
    }
}

/* What the server cannot do; 1: it can. */
static int translate(NbdNode *c, const BlkReq *req, NbdCmd *cmd)
{
    uint16_t has = c->info.flags;

    switch (req->op) {
    case BLK_READ:
        cmd->type = NBD_CMD_READ;
        return 1;
    case BLK_WRITE:
        cmd->type = NBD_CMD_WRITE;
        break;
    case BLK_FLUSH:
        cmd->type = NBD_CMD_FLUSH;
        return has & NBD_F_FLUSH ? 1 : 0;
    case BLK_DISCARD:
        cmd->type = NBD_CMD_TRIM;
        return has & NBD_F_TRIM && req->len ? 1 : 0;
    case BLK_ZERO:
        if (req->flags & BLKF_NO_FALLBACK && !(has & NBD_F_FAST_ZERO)) {
            return -ENOTSUP;
        }
        if (!(has & NBD_F_ZEROES)) {
            cmd->type = NBD_CMD_WRITE;
            break;
        }
        cmd->type = NBD_CMD_ZEROES;
        cmd->flags = (req->flags & BLKF_MAY_UNMAP ? 0 : NBD_CMDF_NO_HOLE) |
                     (req->flags & BLKF_NO_FALLBACK ? NBD_CMDF_FAST_ZERO : 0);
        break;
    default:
        return -ENOTSUP;
    }
    cmd->flags |= req->flags & BLKF_FUA && has & NBD_F_FUA ? NBD_CMDF_FUA : 0;
    return req->off + req->len <= c->size ? 1 : -EIO;
}

static void at_once(void *arg)
{
    BlkReq *req = arg;

    blk_complete(req, ((NbdCmd *)req->drv)->ret);
}

static void nbd_submit(BlkNode *n, BlkReq *req)
{
    NbdNode *c = (NbdNode *)n;
    NbdCmd *cmd = (NbdCmd *)req->drv;
    int ret;

    *cmd = (NbdCmd){ .req = req };
    ret = translate(c, req, cmd);
    if (ret > 0 && req->op == BLK_READ && req->off >= c->size) {
        iov_zero(req->iov, req->niov, 0, req->len);
        ret = 0;
    }
    if (ret <= 0) {
        cmd->ret = ret;
        req->work = (Work){ .fn = at_once, .arg = req };
        loop_post(n->loop, &req->work);
        return;
    }
    if (req->op != BLK_FLUSH) {
        part_set(c, cmd);
    }
    nbd_client_queue(c, cmd);
}

/* ---- the connection ------------------------------------------------------ */

/* There will be no connection any more. */
static bool over(const NbdNode *c)
{
    return c->closing || yank_pulled(&c->yank);
}

static bool may_wait(const NbdNode *c)
{
    return !over(c) && c->reconnect_delay && c->lost_ns &&
           clock_ns(CLOCK_RT) - c->lost_ns <
           c->reconnect_delay * (int64_t)NS_PER_S;
}

static void fail(NbdNode *c, NbdCmd *cmd, int err)
{
    cmd->ret = err;
    nbd_client_end(c, cmd);
}

/* What was in flight waits for a new connection, or has failed. */
static void lost(NbdNode *c)
{
    if (!c->connected) {
        return;
    }
    c->connected = false;
    c->lost_ns = clock_ns(CLOCK_RT);
    for (unsigned i = 0; i < NBD_SLOTS; i++) {
        NbdCmd *cmd = c->slot[i];

        if (!cmd) {
            continue;
        }
        c->slot[i] = NULL;
        c->in_flight--;
        if (cmd->sending) {
            cmd->ret = -EIO;           /* the sender ends it (invariant 2)    */
        } else if (c->reconnect_delay && !over(c)) {
            nbd_client_queue(c, cmd);
        } else {
            fail(c, cmd, -EIO);
        }
    }
    chan_shutdown(&c->chan);
    co_queue_all(&c->waiters);
}

/* ---- reading answers ----------------------------------------------------- */

static void answered(NbdNode *c, NbdCmd *cmd)
{
    c->slot[cmd->slot] = NULL;
    c->in_flight--;
    co_queue_next(&c->waiters);
    if (cmd->sending) {                /* answered before it was sent whole   */
        lost(c);
        return;
    }
    nbd_client_end(c, cmd);
}

static NbdCmd *cmd_of(NbdNode *c, uint64_t handle)
{
    unsigned slot = handle & 0xff;
    NbdCmd *cmd = slot < NBD_SLOTS ? c->slot[slot] : NULL;

    return cmd && cmd->serial == handle >> 8 ? cmd : NULL;
}

static bool in_range(const NbdCmd *cmd, uint64_t off, uint64_t len)
{
    return cmd->type == NBD_CMD_READ && off >= cmd->off && len <= cmd->len &&
           off - cmd->off <= cmd->len - len;
}

static int chunk_error(NbdNode *c, NbdCmd *cmd, uint32_t len)
{
    uint8_t b[6];
    int ret = len < 6 ? -EINVAL : chan_read(&c->chan, b, 6);

    if (ret >= 0) {
        cmd->ret = -nbd_errno_of_wire(ld_be32(b));
        ret = chan_skip(&c->chan, len - 6);
    }
    return ret;
}

static int chunk_status(NbdNode *c, NbdCmd *cmd, uint32_t len)
{
    uint8_t b[12];
    int ret = len < 12 || (len - 4) % 8 || cmd->type != NBD_CMD_STATUS
            ? -EINVAL : chan_read(&c->chan, b, 12);

    if (ret >= 0 && ld_be32(b) == c->info.status_id) {
        cmd->x_len = ld_be32(b + 4);
        cmd->x_flags = ld_be32(b + 8);
        ret = cmd->x_len ? 0 : -EINVAL;
    }
    return ret < 0 ? ret : chan_skip(&c->chan, len - 12);
}

/* One chunk of a structured reply. */
static int chunk_read(NbdNode *c, NbdCmd *cmd, uint16_t type, uint32_t len)
{
    uint8_t b[12];
    uint64_t off;
    int ret;

    switch (type) {
    case NBD_CHUNK_NONE:
        return len ? -EINVAL : 0;
    case NBD_CHUNK_DATA:
        ret = len <= 8 ? -EINVAL : chan_read(&c->chan, b, 8);
        off = ret < 0 ? 0 : ld_be64(b);
        if (ret < 0 || !in_range(cmd, off, len - 8)) {
            return ret < 0 ? ret : -EINVAL;
        }
        return chan_readv(&c->chan, cmd->req->iov, cmd->req->niov,
                          cmd->done + (off - cmd->off), len - 8);
    case NBD_CHUNK_HOLE:
        ret = len != 12 ? -EINVAL : chan_read(&c->chan, b, 12);
        if (ret < 0 || !in_range(cmd, ld_be64(b), ld_be32(b + 8))) {
            return ret < 0 ? ret : -EINVAL;
        }
        iov_zero(cmd->req->iov, cmd->req->niov,
                 cmd->done + (ld_be64(b) - cmd->off), ld_be32(b + 8));
        return 0;
    case NBD_CHUNK_STATUS:
        return chunk_status(c, cmd, len);
    default:
        return type & 0x8000 ? chunk_error(c, cmd, len) : -EINVAL;
    }
}

static int simple_read(NbdNode *c, const uint8_t *h)
{
    NbdCmd *cmd = cmd_of(c, ld_be64(h + 8));
    uint32_t err = ld_be32(h + 4);
    int ret = 0;

    if (!cmd || (cmd->type == NBD_CMD_READ && c->info.structured)) {
        return -EINVAL;
    }
    cmd->ret = err ? -nbd_errno_of_wire(err) : 0;
    if (!err && cmd->type == NBD_CMD_READ) {
        ret = chan_readv(&c->chan, cmd->req->iov, cmd->req->niov, cmd->done,
                         cmd->len);
    }
    if (ret >= 0) {
        answered(c, cmd);
    }
    return ret;
}

static int reply_read(NbdNode *c)
{
    uint8_t h[20];
    NbdCmd *cmd;
    int ret = chan_read(&c->chan, h, 16);

    if (ret < 0) {
        return ret;
    }
    if (ld_be32(h) == NBD_SIMPLE_MAGIC) {
        return simple_read(c, h);
    }
    if (ld_be32(h) != NBD_CHUNK_MAGIC || !c->info.structured) {
        return -EINVAL;
    }
    ret = chan_read(&c->chan, h + 16, 4);
    cmd = ret < 0 ? NULL : cmd_of(c, ld_be64(h + 8));
    if (!cmd || ld_be32(h + 16) > NBD_BUFFER_MAX + 64) {
        return -EINVAL;
    }
    ret = chunk_read(c, cmd, ld_be16(h + 6), ld_be32(h + 16));
    if (ret >= 0 && ld_be16(h + 4) & NBD_CHUNK_DONE) {
        answered(c, cmd);
    }
    return ret;
}

static void receiver(void *arg)
{
    NbdNode *c = arg;

    while (c->connected && c->in_flight) {
        if (reply_read(c) < 0) {
            lost(c);
        }
    }
    c->receiving = false;
    co_queue_all(&c->waiters);
}

/* ---- sending ------------------------------------------------------------- */

/* Data of a write; those of a request for zeroes are made up. */
static unsigned write_iov(const NbdCmd *cmd, struct iovec *iov)
{
    static uint8_t zeroes[ZERO_PART];
    unsigned n = 0;

    if (cmd->req->op != BLK_ZERO) {
        return iov_slice(cmd->req->iov, cmd->req->niov, cmd->done, cmd->len,
                         iov);
    }
    for (uint32_t at = 0; at < cmd->len; at += ZERO_PART) {
        iov[n++] = (struct iovec){ zeroes, MIN2(cmd->len - at, ZERO_PART) };
    }
    return n;
}

static int cmd_send(NbdNode *c, NbdCmd *cmd)
{
    bool write = cmd->type == NBD_CMD_WRITE;
    unsigned data = !write ? 0 : cmd->req->op == BLK_ZERO
                  ? ZERO_MAX / ZERO_PART : cmd->req->niov;
    g_autofree struct iovec *iov = g_new(struct iovec, 1 + data);
    uint8_t h[28];
    unsigned n = 1;

    st_be32(h, NBD_REQUEST_MAGIC);
    st_be16(h + 4, cmd->flags);
    st_be16(h + 6, cmd->type);
    st_be64(h + 8, (uint64_t)cmd->serial << 8 | cmd->slot);
    st_be64(h + 16, cmd->off);
    st_be32(h + 24, cmd->len);
    iov[0] = (struct iovec){ h, sizeof(h) };
    if (write) {
        n += write_iov(cmd, iov + 1);
    }
    return chan_writev(&c->chan, iov, n);
}

static void send_next(NbdNode *c)
{
    NbdCmd *cmd = c->first;
    unsigned slot = 0;
    int ret;

    c->first = cmd->next;
    while (c->slot[slot]) {
        slot++;
    }
    c->slot[slot] = cmd;
    c->in_flight++;
    cmd->slot = (uint8_t)slot;
    cmd->serial = ++c->serial;
    cmd->sending = true;
    if (!c->receiving) {
        c->receiving = true;
        co_enter(co_new(receiver, c));
    }
    ret = cmd_send(c, cmd);
    if (ret < 0) {
        lost(c);                       /* invariant 2: sending is still set   */
    }
    cmd->sending = false;
    if (c->slot[slot] != cmd) {        /* the connection went meanwhile       */
        if (may_wait(c)) {
            nbd_client_queue(c, cmd);
        } else {
            fail(c, cmd, -EIO);
        }
    }
}

static void fail_all(NbdNode *c)
{
    NbdCmd *cmd = c->first;

    c->first = NULL;
    while (cmd) {
        NbdCmd *next = cmd->next;

        fail(c, cmd, -EIO);
        cmd = next;
    }
}

static void sender(void *arg)
{
    NbdNode *c = arg;

    while (c->first) {
        if (c->connected && c->in_flight < NBD_SLOTS) {
            send_next(c);
        } else if (c->connected || c->receiving) {
            co_queue_wait(&c->waiters);
        } else if (over(c)) {
            fail_all(c);
        } else if (!nbd_client_connect(c, NULL)) {
            if (may_wait(c)) {
                co_sleep_ns(RETRY_NS);
            } else {
                fail_all(c);
            }
        }
    }
    c->sending = false;
}

static void kick(void *arg)
{
    NbdNode *c = arg;

    if (!c->sending && c->first) {
        c->sending = true;
        co_enter(co_new(sender, c));
    }
}

/* ---- block status -------------------------------------------------------- */

typedef struct Status {
    NbdCmd cmd;
    Co *co;
    bool over;
} Status;

static void status_over(NbdCmd *cmd)
{
    Status *s = container_of(cmd, Status, cmd);

    s->over = true;
    if (s->co) {
        co_wake(s->co);
    }
}

/* Asks the server for the first extent of these bytes. */
static int status_ask(NbdNode *c, uint64_t off, uint64_t len, BlkExtent *x)
{
    Status *s = g_new0(Status, 1);
    int ret;

    s->cmd.type = NBD_CMD_STATUS;
    s->cmd.flags = NBD_CMDF_REQ_ONE;
    s->cmd.off = off;
    s->cmd.len = (uint32_t)MIN2(len, UINT32_MAX & ~0xffffu);
    s->cmd.finish = status_over;
    s->co = co_self();
    nbd_client_queue(c, &s->cmd);
    while (!s->over) {
        if (s->co) {
            co_yield();
        } else {
            machine_assert_locked();
            loop_step(true);
        }
    }
    ret = s->cmd.ret < 0 ? s->cmd.ret : s->cmd.x_len ? 0 : -EIO;
    x->len = MIN2(len, s->cmd.x_len);
    x->flags = BLKX_OFFSET | BLKX_ALLOCATED |
               (s->cmd.x_flags & NBD_STATE_HOLE ? 0u : BLKX_DATA) |
               (s->cmd.x_flags & NBD_STATE_ZERO ? BLKX_ZERO : 0u);
    g_free(s);
    return ret;
}

static int nbd_extent(BlkNode *n, uint64_t off, uint64_t len, BlkExtent *x)
{
    NbdNode *c = (NbdNode *)n;
    uint64_t in = off < c->size ? MIN2(len, c->size - off) : 0;

    *x = (BlkExtent){ .len = len, .file = n, .map = off,
                      .flags = BLKX_DATA | BLKX_OFFSET | BLKX_ALLOCATED };
    if (!in) {
        x->flags = BLKX_ZERO | BLKX_ALLOCATED;
        return 0;
    }
    x->len = in;
    return c->info.status ? status_ask(c, off, in, x) : 0;
}

/* ---- opening ------------------------------------------------------------- */

typedef struct Opening {
    NbdNode *c;
    Error *err;
    bool ok, over;
} Opening;

static void open_co(void *arg)
{
    Opening *o = arg;
    int64_t until = clock_ns(CLOCK_RT) + o->c->open_timeout * NS_PER_S;

    for (;;) {
        o->ok = nbd_client_connect(o->c, &o->err);
        if (o->ok || over(o->c) || clock_ns(CLOCK_RT) >= until) {
            break;
        }
        error_free(o->err);
        o->err = NULL;
        co_sleep_ns(RETRY_NS);
    }
    o->over = true;
}

static MACHINE_CALL bool shape(NbdNode *c, Error **errp)
{
    BlkNode *n = &c->node;

    if (c->info.flags & NBD_F_READ_ONLY && !n->read_only) {
        if (!n->auto_read_only) {
            return error_set(errp, "request on write denied without write "
                             "permission");
        }
        n->read_only = true;
    }
    if (c->dirty_bitmap && !c->info.status) {
        return error_set(errp, "requested x-dirty-bitmap %s not found",
                         c->dirty_bitmap);
    }
    c->size = c->info.size;
    n->length = ALIGN_UP(c->size, 512);
    n->limits.align = c->info.min_block ? c->info.min_block : 1;
    return true;
}

static MACHINE_CALL void nbd_close(BlkNode *n)
{
    NbdNode *c = (NbdNode *)n;
    uint8_t h[28] = { 0 };

    c->closing = true;
    if (c->connected && !c->chan.tls) {
        st_be32(h, NBD_REQUEST_MAGIC);
        st_be16(h + 6, NBD_CMD_DISC);
        if (write(c->chan.fd, h, sizeof(h)) < 0) {
            chan_shutdown(&c->chan);
        }
    }
    yank_remove(&c->yank);
    chan_close(&c->chan);
    nbd_info_clear(&c->info);
    addr_clear(&c->addr);
    tls_creds_put(c->creds);
    c->creds = NULL;
}

static MACHINE_CALL bool nbd_open(BlkNode *n, Error **errp)
{
    NbdNode *c = (NbdNode *)n;
    Opening o = { .c = c };

    c->chan.fd = -1;
    c->closing = false;
    yank_add(&c->yank, YANK_NODE, n->name);
    c->kick = (Work){ .fn = kick, .arg = c };
    if (!nbd_client_address(c, errp)) {
        nbd_close(n);
        return false;
    }
    if (c->tls_creds) {
        c->creds = tls_creds_get(c->tls_creds, false, errp);
        if (!c->creds) {
            nbd_close(n);
            return false;
        }
    }
    co_enter(co_new(open_co, &o));
    while (!o.over) {
        loop_step(true);
    }
    if (!o.ok || !shape(c, errp)) {
        error_move(errp, o.err);
        nbd_close(n);
        return false;
    }
    return true;
}

static MACHINE_CALL void nbd_set_loop(BlkNode *n, Loop *to)
{
    NbdNode *c = (NbdNode *)n;

    chan_detach(&c->chan);
    c->chan.loop = to;
}

static MACHINE_CALL bool server_set(Obj *o, const Prop *p, const Json *v,
                                    Error **errp)
{
    NbdNode *c = (NbdNode *)o;

    json_free(c->server);
    c->server = json_copy(v);
    return true;
}

static void server_drop(Obj *o)
{
    g_clear_pointer(&((NbdNode *)o)->server, json_free);
}

static const Prop nbd_props[] = {
    PROP_CALL("server", "SocketAddress", NULL, server_set, .drop = server_drop,
              .desc = "address of the server"),
    PROP_STR("server.type", NbdNode, s_type, .desc = "inet, unix or fd"),
    PROP_STR("server.host", NbdNode, s_host, .desc = "its host"),
    PROP_STR("server.port", NbdNode, s_port, .desc = "its port"),
    PROP_STR("server.path", NbdNode, s_path, .desc = "its socket"),
    PROP_STR("server.str", NbdNode, s_fd, .desc = "its file descriptor"),
    PROP_STR("filename", NbdNode, filename, .desc = "a URI"),
    PROP_STR("host", NbdNode, host, .desc = "host of the server"),
    PROP_STR("port", NbdNode, port, .desc = "port of the server"),
    PROP_STR("path", NbdNode, path, .desc = "socket of the server"),
    PROP_STR("export", NbdNode, export_name, .desc = "name of the export"),
    PROP_STR("tls-creds", NbdNode, tls_creds,
             .desc = "ID of the TLS credentials to use"),
    PROP_STR("tls-hostname", NbdNode, tls_hostname,
             .desc = "name in the server's certificate"),
    PROP_STR("x-dirty-bitmap", NbdNode, dirty_bitmap,
             .desc = "metadata context to read in place of the allocation"),
    PROP_U32("reconnect-delay", NbdNode, reconnect_delay, 0,
             .desc = "seconds for which requests wait for a new connection"),
    PROP_U32("open-timeout", NbdNode, open_timeout, 0,
             .desc = "seconds in which opening tries again"),
    PROP_END
};
static const char *const nbd_strong[] = {
    "path", "host", "port", "export", "tls-creds", "tls-hostname", "server",
    "server.", NULL };

BLK_DRIVER(nbd_driver, {
    .name = "nbd", .desc = "a network block device", .size = sizeof(NbdNode),
    .doc = "A disk that an NBD server exports, over TCP or a local socket, with "
           "or without TLS.",
    .props = nbd_props, .protocol = true, .prefix = "nbd", .open = nbd_open,
    .close = nbd_close, .submit = nbd_submit, .extent = nbd_extent,
    .set_loop = nbd_set_loop, .strong = nbd_strong,
});
