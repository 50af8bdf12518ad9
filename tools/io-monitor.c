/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * io-monitor.c - tern-io's commands on the images of a running machine: the
 * monitor's qemu-io. What they print goes to the program's stdout.
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. A node without a backend gets one for as long as the command and what that
 *    has left under way take; else the device's own is used, and held until its
 *    requests have ended.
 * 2. A backend that may not write is given leave for a command that does, if the
 *    other users of the node allow it.
 */
#include "block/backend.h"
#include "block/commands.h"
#include "block/reopen.h"
#include "opt.h"
#include "tools/io.h"

/* ---- reopen --------------------------------------------------------------- */

static Json *typed(const char *text)
{
    char *end;
    int64_t n = g_ascii_strtoll(text, &end, 0);

    if (!strcmp(text, "on") || !strcmp(text, "off")) {
        return json_bool(text[1] == 'n');
    }
    return *text && !*end ? json_int(n) : json_str(text);
}

static MACHINE_CALL bool options_add(Json *to, const char *text, Error **errp)
{
    Opts o;

    if (!opts_parse(&o, text, NULL, OPT_FLAT | OPT_QUIET, errp)) {
        return false;
    }
    for (size_t i = 0; i < json_count(o.obj); i++) {
        json_set(to, json_key_at(o.obj, i),
                 typed(json_str_of(json_value_at(o.obj, i))));
    }
    opts_free(&o);
    return true;
}

/* The node as it is, with its children by name. */
static MACHINE_CALL Json *node_now(BlkNode *n)
{
    Json *v = blk_node_full_opts(n);

    json_set_str(v, "node-name", n->name);
    json_set_bool(v, "read-only", n->read_only);
    for (BlkChild *c = n->children; c; c = c->next) {
        json_set_str(v, c->name, c->node->name);
    }
    if (n->drv->backing && !n->backing) {
        json_set(v, "backing", json_null());
    }
    return v;
}

static MACHINE_CALL bool cache_set(BlkNode *n, const char *mode, Json *opts,
                                   Error **errp)
{
    unsigned flags = 0;
    bool through;
    Json *v;

    if (!tool_cache(mode, &flags, &through)) {
        return error_set(errp, "Invalid cache option: %s", mode);
    }
    if (through == blk_write_cache(io.blk)) {
        if (io.blk->dev) {
            return error_set(errp, "Cannot change cache.writeback: Device "
                             "attached");
        }
        blk_set_write_cache(io.blk, !through);
    }
    v = json_obj();
    json_set_bool(v, "direct", flags & BLKO_DIRECT);
    json_set_bool(v, "no-flush", flags & BLKO_NO_FLUSH);
    json_set(opts, "cache", v);
    return true;
}

static const IoOpt reopen_opts[] = {
    { 'r', false, "only reads it from here on" },
    { 'w', false, "writes it too" },
    { 'c', true, "another cache mode" },
    { 'o', true, "other options of the driver" },
    { .letter = 0 }
};

static MACHINE_CALL int reopen_run(const IoCmd *c, const IoArgs *a)
{
    BlkNode *n = blk_root(io.blk);
    Json *list, *v;
    Error *err = NULL;

    if (a->n) {
        return io_syntax(c);
    }
    if (a->set['r'] && a->set['w']) {
        error_reportf("Only one -r/-w option may be given");
        return -EINVAL;
    }
    v = node_now(n);
    list = json_list();
    json_add(list, v);
    if (a->set['r'] || a->set['w']) {
        json_set_bool(v, "read-only", a->set['r']);
    }
    if ((!a->set['c'] || cache_set(n, a->value['c'], v, &err)) &&
        (!a->set['o'] || options_add(v, a->value['o'], &err))) {
        blk_reopen(list, &err);
    }
    json_free(list);
    if (err) {
        error_report(err);
        return -EINVAL;
    }
    return 0;
}

IO_CMD(io_reopen, {
    .name = "reopen", .syntax = "[(-r|-w)] [-c cache] [-o options]",
    .brief = "reopens an image with new options", .opts = reopen_opts, .min = 0,
    .max = -1, .run = reopen_run,
});

/* ---- the monitor's command ------------------------------------------------ */

static MACHINE_CALL BlkBackend *of_node(const char *name, Error **errp)
{
    BlkNode *n = blk_node_find(name);
    BlkBackend *b;

    if (!n) {
        error_set(errp, "Cannot find device='' nor node-name='%s'", name);
        return NULL;
    }
    b = blk_new(NULL);
    if (!blk_set_perm(b, 0, BLKP_ALL, errp) || !blk_insert(b, n, errp)) {
        blk_unref(b);
        return NULL;
    }
    return b;
}

/* With a reference. */
static MACHINE_CALL BlkBackend *target(const char *name, bool qdev,
                                       Error **errp)
{
    BlkBackend *b = qdev ? blk_lookup(NULL, name, NULL) : blk_find(name);

    if (qdev && !b) {
        if (obj_resolve(name, NULL)) {
            error_set(errp, "Device does not have a block device backend");
        } else {
            blk_lookup(NULL, name, errp);
        }
        return NULL;
    }
    if (!b) {
        return of_node(name, errp);
    }
    blk_ref(b);
    return b;
}

static MACHINE_CALL bool permit(bool writes)
{
    uint64_t want = BLKP_CONSISTENT_READ | (writes ? BLKP_WRITE | BLKP_RESIZE
                                                   : 0);
    BlkBackend *b = io.blk;
    Error *err = NULL;

    if (!b->node || (writes && b->node->read_only) ||
        (b->perm & want) == want) {
        return true;
    }
    if (blk_set_perm(b, b->perm | want, b->shared, &err)) {
        return true;
    }
    error_report(err);
    return false;
}

/* The one that was used last, and what has ended. */
static MACHINE_CALL void release(void)
{
    if (io.blk) {
        io_aio_flush();
        blk_unref(io.blk);
        io.blk = NULL;
    }
}

void hmp_qemu_io(const Json *args)
{
    const Json *qdev = json_get(args, "qdev");
    Error *err = NULL;
    BlkBackend *b;

    machine_assert_locked();
    b = target(json_get_str(args, "device"), qdev && json_bool_of(qdev), &err);
    if (!b) {
        error_prepend(&err, "Error: ");
        mon_printf("%s\n", error_text(err));
        error_free(err);
        return;
    }
    if (io.blk != b) {
        release();
        io.blk = b;
        io.permit = permit;
    } else {
        blk_unref(b);
    }
    if (!b->node) {
        mon_printf("Device '%s' has no medium\n", blk_name(b));
        release();
        return;
    }
    io_line(json_get_str(args, "command"));
    if (!io.aio || !b->name[0]) {
        release();
    }
}
