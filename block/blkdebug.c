/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blkdebug.c - faults on demand: requests that fail by rule when a format reaches
 * a named event, states between events, limits of requests, and breakpoints that
 * hold a request.
 *
 * Thread class: LOOP_CALL(node's loop); open and close MACHINE_CALL.
 *
 * Invariants
 * 1. An event with rules of its own that fit replaces the set of active rules;
 *    a change of state takes effect after all rules of the event.
 * 2. A held request is counted as running until it is let go.
 */
#include <glib.h>
#include "block/blkdebug.h"
#include "block/iov.h"
#include "schema/schema.h"

unsigned blk_debug_nodes;

/* ---- events -------------------------------------------------------------- */

static void event(Blkdebug *d, int ev)
{
    int state = d->state;
    bool fresh = false;

    for (DebugRule *r = d->rules; r; r = r->next) {
        if (r->event != ev || (r->state && r->state != d->state)) {
            continue;
        }
        if (r->action == DEBUG_INJECT) {
            for (DebugRule *o = d->rules; o && !fresh; o = o->next) {
                o->active = false;
            }
            fresh = r->active = true;
        } else if (r->action == DEBUG_STATE) {
            state = r->new_state;
        } else if (!d->stop_next) {
            d->stop_next = g_strdup(r->tag);
        }
    }
    d->state = state;
}

static Blkdebug *below(BlkNode *n)
{
    while (n && strcmp(n->drv->name, "blkdebug")) {
        n = n->drv->filter ? n->file : NULL;
    }
    return (Blkdebug *)n;
}

void blk_debug_event_do(BlkNode *n, const char *name)
{
    Blkdebug *d = below(n);
    int ev = d ? schema_enum(&qt_BlkdebugEvent, name) : -1;

    if (ev >= 0) {
        event(d, ev);
    }
}

/* ---- breakpoints --------------------------------------------------------- */

/* The one that an image lies on, whatever is between. */
static Blkdebug *under(BlkNode *n)
{
    while (n && strcmp(n->drv->name, "blkdebug")) {
        n = n->file;
    }
    return (Blkdebug *)n;
}

int blk_debug_break(BlkNode *n, const char *name, const char *tag)
{
    Blkdebug *d = under(n);
    int ev = d ? schema_enum(&qt_BlkdebugEvent, name) : -1;
    DebugRule *r;

    if (ev < 0) {
        return d ? -ENOENT : -ENOTSUP;
    }
    r = g_new0(DebugRule, 1);
    r->action = DEBUG_SUSPEND;
    r->event = ev;
    r->tag = g_strdup(tag);
    r->next = d->rules;
    d->rules = r;
    return 0;
}

bool blk_debug_stopped(BlkNode *n, const char *tag)
{
    Blkdebug *d = under(n);

    for (DebugStop *s = d ? d->stops : NULL; s; s = s->next) {
        if (!strcmp(s->tag, tag)) {
            return true;
        }
    }
    return false;
}

int blk_debug_resume(BlkNode *n, const char *tag)
{
    Blkdebug *d = under(n);
    int ret = d ? -ENOENT : -ENOTSUP;

    for (DebugStop **at = d ? &d->stops : NULL; at && *at;) {
        DebugStop *s = *at;

        if (strcmp(s->tag, tag)) {
            at = &s->next;
            continue;
        }
        *at = s->next;
        printf("blkdebug: Resuming request '%s'\n", tag);
        co_wake(s->co);
        g_free(s->tag);
        g_free(s);
        ret = 0;
    }
    return ret;
}

int blk_debug_unbreak(BlkNode *n, const char *tag)
{
    Blkdebug *d = under(n);
    bool any = false;
    int ret;

    for (DebugRule **at = d ? &d->rules : NULL; at && *at;) {
        DebugRule *r = *at;

        if (r->action != DEBUG_SUSPEND || strcmp(r->tag, tag)) {
            at = &r->next;
            continue;
        }
        *at = r->next;
        g_free(r->tag);
        g_free(r);
        any = true;
    }
    ret = blk_debug_resume(n, tag);
    return any ? 0 : ret;
}

/* The rule that asked for it is spent. */
static void stop_here(Blkdebug *d)
{
    DebugStop *s;

    if (LIKELY(!d->stop_next) || !co_self()) {
        return;
    }
    for (DebugRule **at = &d->rules; *at; at = &(*at)->next) {
        DebugRule *r = *at;

        if (r->action == DEBUG_SUSPEND && !strcmp(r->tag, d->stop_next)) {
            *at = r->next;
            g_free(r->tag);
            g_free(r);
            break;
        }
    }
    s = g_new0(DebugStop, 1);
    s->tag = g_steal_pointer(&d->stop_next);
    s->co = co_self();
    s->next = d->stops;
    d->stops = s;
    printf("blkdebug: Suspended request '%s'\n", s->tag);
    for (bool held = true; held;) {
        co_yield();
        held = false;
        for (DebugStop *o = d->stops; o; o = o->next) {
            held |= o == s;
        }
    }
}

/* ---- requests ------------------------------------------------------------ */

static unsigned iotype(BlkOp op)
{
    return op == BLK_READ ? BLKDEBUG_IO_TYPE_READ
        : op == BLK_WRITE ? BLKDEBUG_IO_TYPE_WRITE
        : op == BLK_ZERO ? BLKDEBUG_IO_TYPE_WRITE_ZEROES
        : op == BLK_DISCARD ? BLKDEBUG_IO_TYPE_DISCARD
        : BLKDEBUG_IO_TYPE_FLUSH;
}

static bool hits(const DebugRule *r, unsigned type, uint64_t off, uint64_t len)
{
    uint64_t at = (uint64_t)r->sector * 512;

    return r->active && r->iotypes >> type & 1 &&
           (r->sector < 0 || (off <= at && at < off + len));
}

static int verdict(Blkdebug *d, unsigned type, uint64_t off, uint64_t len)
{
    DebugRule *r = d->rules;
    int error;
    bool now;

    while (r && !hits(r, type, off, len)) {
        r = r->next;
    }
    if (!r) {
        return 0;
    }
    error = r->error;
    now = r->immediately;
    if (error && r->once) {
        r->active = false;
        r->event = -1;                 /* never again                         */
    }
    if (error && !now && co_self()) {
        co_sleep_ns(0);
    }
    return -error;
}

/* The most bytes of one request of the kind. */
static uint64_t part_max(const Blkdebug *d, BlkOp op)
{
    uint64_t max = op == BLK_ZERO ? d->max_zero
        : op == BLK_DISCARD ? d->max_discard : d->max_transfer;

    return max ? max : UINT64_MAX;
}

static int part(Blkdebug *d, const BlkReq *req)
{
    BlkNode *f = d->node.file;

    switch (req->op) {
    case BLK_READ:
        return blk_co_preadv(f, req->off, req->len, req->iov, req->niov,
                             req->flags);
    case BLK_WRITE:
        return blk_co_pwritev(f, req->off, req->len, req->iov, req->niov,
                              req->flags);
    case BLK_ZERO:
        return blk_co_zero(f, req->off, req->len, req->flags);
    case BLK_DISCARD:
        if (req->len < MAX2(d->align, d->opt_discard)) {
            return 0;
        }
        return blk_co_discard(f, req->off, req->len);
    default:
        return -ENOTSUP;
    }
}

/* As the limits say, in parts. */
static int passed_on(Blkdebug *d, BlkReq *req)
{
    g_autofree struct iovec *v = NULL;
    uint64_t max = part_max(d, req->op);
    BlkReq own = { .op = req->op, .flags = req->flags, .off = req->off,
                   .len = req->len, .iov = req->iov, .niov = req->niov };
    int ret = 0;

    if (req->op == BLK_FLUSH) {
        return blk_co_flush(d->node.file);
    }
    if (req->len <= max) {
        return part(d, &own);
    }
    v = g_new(struct iovec, req->niov + 1);
    for (uint64_t done = 0; done < req->len && ret >= 0; done += own.len) {
        own.off = req->off + done;
        own.len = MIN2(max, req->len - done);
        if (req->niov) {
            own.niov = iov_slice(req->iov, req->niov, done, own.len, v);
            own.iov = v;
        }
        ret = part(d, &own);
    }
    return ret;
}

static int debug_run(BlkNode *n, BlkReq *req)
{
    Blkdebug *d = (Blkdebug *)n;
    bool write = req->op == BLK_WRITE || req->op == BLK_ZERO ||
                 req->op == BLK_DISCARD;
    int ret;

    if (write) {
        event(d, req->op == BLK_ZERO ? BLKDEBUG_EVENT_PWRITEV_ZERO
                                     : BLKDEBUG_EVENT_PWRITEV);
    } else if (req->op == BLK_FLUSH) {
        event(d, BLKDEBUG_EVENT_FLUSH_TO_OS);
        event(d, BLKDEBUG_EVENT_FLUSH_TO_DISK);
    }
    stop_here(d);
    ret = verdict(d, iotype(req->op), req->off, req->len);
    ret = ret ? ret : passed_on(d, req);
    if (write) {
        event(d, BLKDEBUG_EVENT_PWRITEV_DONE);
    }
    return ret;
}

static int debug_extent(BlkNode *n, uint64_t off, uint64_t len, BlkExtent *x)
{
    int ret = verdict((Blkdebug *)n, BLKDEBUG_IO_TYPE_BLOCK_STATUS, off, len);

    return ret ? ret : blk_node_extent(n->file, off, len, x);
}

/* ---- opening ------------------------------------------------------------- */

static bool fits(uint64_t v, uint64_t align, bool power, const char *name,
                 Error **errp)
{
    if (v && (v >= INT32_MAX || v % align || (power && !IS_POW2(v)))) {
        return error_set(errp, "Cannot meet constraints with %s %" PRIu64,
                         name, v);
    }
    return true;
}

static bool limits_set(Blkdebug *d, Error **errp)
{
    BlkNode *n = &d->node;
    uint64_t align;

    n->limits = n->file->limits;
    n->limits.align = 1;
    if (!fits(d->align, 1, true, "align", errp)) {
        return false;
    }
    align = MAX2(d->align, 1);
    n->limits.align = (uint32_t)align;
    if (!fits(d->max_transfer, align, false, "max-transfer", errp) ||
        !fits(d->opt_zero, align, false, "opt-write-zero", errp) ||
        !fits(d->max_zero, MAX2(d->opt_zero, align), false, "max-write-zero",
              errp) ||
        !fits(d->opt_discard, align, false, "opt-discard", errp) ||
        !fits(d->max_discard, MAX2(d->opt_discard, align), false,
              "max-discard", errp)) {
        return false;
    }
    n->limits.max_transfer = d->max_transfer;
    n->limits.zero_align = (uint32_t)d->opt_zero;
    n->limits.max_zero = d->max_zero;
    n->limits.discard_align = (uint32_t)d->opt_discard;
    n->limits.max_discard = d->max_discard;
    return true;
}

static MACHINE_CALL bool debug_open(BlkNode *n, Error **errp)
{
    Blkdebug *d = (Blkdebug *)n;

    d->state = 1;
    if (!limits_set(d, errp) ||
        (d->config && d->config[0] && !debug_config_read(d, errp))) {
        return false;
    }
    n->length = n->file->length;
    blk_debug_nodes++;
    return true;
}

static MACHINE_CALL void debug_close(BlkNode *n)
{
    Blkdebug *d = (Blkdebug *)n;

    blk_debug_nodes--;
    g_free(d->stop_next);
}

static void rules_drop(Obj *o)
{
    debug_rules_free((Blkdebug *)o);
}

static bool inject_set(Obj *o, const Prop *p, const Json *v, Error **errp)
{
    return debug_rules_add((Blkdebug *)o, true, v, errp);
}

static bool state_set(Obj *o, const Prop *p, const Json *v, Error **errp)
{
    return debug_rules_add((Blkdebug *)o, false, v, errp);
}

static bool perms_set(Obj *o, const Prop *p, const Json *v, Error **errp)
{
    BlkNode *n = (BlkNode *)o;
    uint64_t perms = 0;

    for (size_t i = 0; i < json_count(v); i++) {
        const char *s = json_kind(json_at(v, i)) == JSON_STR
            ? json_str_of(json_at(v, i)) : "";
        int bit = schema_enum(&qt_BlockPermission, s);

        if (bit < 0) {
            return error_set(errp, "Parameter '%s' does not accept value '%s'",
                             p->name, s);
        }
        perms |= 1ull << bit;
    }
    if (p->name[0] == 't') {
        n->perm_take = perms;
    } else {
        n->perm_unshare = perms;
    }
    return true;
}

/* "config:file" */
static bool debug_parse(const char *rest, Json *opts, Error **errp)
{
    const char *colon = strchr(rest, ':');
    g_autofree char *config = NULL, *driver = NULL;

    if (!colon) {
        return error_set(errp, "blkdebug requires both config file and image "
                         "path");
    }
    config = g_strndup(rest, (gsize)(colon - rest));
    driver = blk_filename_driver(colon + 1, &rest, errp);
    if (!driver) {
        return false;
    }
    if (config[0]) {
        json_set_str(opts, "config", config);
    }
    json_set_str(opts, "image.driver", driver);
    json_set_str(opts, "image.filename", rest);
    return true;
}

static char *debug_filename(BlkNode *n)
{
    const Blkdebug *d = (const Blkdebug *)n;

    for (size_t i = 0; i < json_count(n->opts); i++) {
        const char *key = json_key_at(n->opts, i);

        if (strcmp(key, "config") && strncmp(key, "image", 5) &&
            strcmp(key, "driver") && strcmp(key, "node-name")) {
            return NULL;
        }
    }
    if (g_str_has_prefix(n->file->filename, "json:")) {
        return NULL;
    }
    return g_strdup_printf("blkdebug:%s:%s", d->config ? d->config : "",
                           n->file->filename);
}

static const Prop debug_props[] = {
    PROP_STR("config", Blkdebug, config, .desc = "file with rules"),
    PROP_SIZE("align", Blkdebug, align, 0, .desc = "alignment of requests"),
    PROP_SIZE("max-transfer", Blkdebug, max_transfer, 0,
              .desc = "most bytes of a request"),
    PROP_SIZE("opt-write-zero", Blkdebug, opt_zero, 0,
              .desc = "alignment of writes of zeroes"),
    PROP_SIZE("max-write-zero", Blkdebug, max_zero, 0,
              .desc = "most bytes of one"),
    PROP_SIZE("opt-discard", Blkdebug, opt_discard, 0,
              .desc = "alignment of discards"),
    PROP_SIZE("max-discard", Blkdebug, max_discard, 0,
              .desc = "most bytes of one"),
    PROP_CALL("inject-error", "list", NULL, inject_set, .drop = rules_drop,
              .desc = "requests that fail"),
    PROP_CALL("set-state", "list", NULL, state_set,
              .desc = "changes of state"),
    PROP_CALL("take-child-perms", "list", NULL, perms_set,
              .desc = "permissions to hold besides"),
    PROP_CALL("unshare-child-perms", "list", NULL, perms_set,
              .desc = "permissions not to share"),
    PROP_END
};

static const BlkChildRow debug_children[] = {
    { .name = "image", .role = ROLE_FILTERED },
    { .name = NULL }
};
static const char *const debug_strong[] = {
    "config", "align", "max-transfer", "opt-write-zero", "max-write-zero",
    "opt-discard", "max-discard", "inject-error", "set-state", NULL
};

BLK_DRIVER(blkdebug_driver, {
    .name = "blkdebug", .desc = "faults on demand", .size = sizeof(Blkdebug),
    .doc = "Requests fail by rules that wait for events in a format's code. "
           "For tests of what errors do to an image.",
    .props = debug_props, .children = debug_children, .filter = true,
    .protocol = true, .prefix = "blkdebug:", .parse_filename = debug_parse,
    .open = debug_open, .close = debug_close, .co_run = debug_run,
    .extent = debug_extent, .strong = debug_strong,
    .filename = debug_filename,
});
