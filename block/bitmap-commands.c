/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bitmap-commands.c - commands on dirty bitmaps, and transactions of them.
 *
 * Thread class: MACHINE_CALL; the node is drained while its bitmaps change.
 *
 * Invariants
 * 1. An action of a transaction that failed leaves no trace of those before it:
 *    each keeps what it needs to be undone until all are done.
 */
#include <glib.h>
#include "block/bitmap.h"
#include "block/commands.h"

static MACHINE_CALL BlkBitmap *find(const char *node, const char *name,
                                    BlkNode **n, Error **errp)
{
    BlkBackend *b = blk_find(node);
    BlkBitmap *m;

    *n = b ? b->node : blk_node_find(node);
    if (!*n) {
        error_set(errp, "Node '%s' not found", node);
        return NULL;
    }
    m = blk_bitmap_find(*n, name);
    if (!m) {
        error_set(errp, "Dirty bitmap '%s' not found", name);
    }
    return m;
}

/* ---- actions, each with its undoing -------------------------------------- */

typedef struct Undo {
    void (*undo)(struct Undo *u) MACHINE_PTR;
    void (*commit)(struct Undo *u) MACHINE_PTR;    /* NULL: nothing           */
    BlkNode *node;
    BlkBitmap *bitmap;
    uint64_t *bits;                    /* before                              */
    bool enabled;
    char *name;
} Undo;

static MACHINE_CALL void undo_add(Undo *u)
{
    blk_bitmap_free(u->node, u->bitmap);
}

static MACHINE_CALL void undo_bits(Undo *u)
{
    memcpy(u->bitmap->bits, u->bits, u->bitmap->words * sizeof(*u->bits));
}

static MACHINE_CALL void undo_enabled(Undo *u)
{
    u->bitmap->enabled = u->enabled;
}

static MACHINE_CALL void undo_remove(Undo *u)
{
    u->bitmap->busy = false;
    u->bitmap->enabled = u->enabled;
}

static MACHINE_CALL void commit_remove(Undo *u)
{
    blk_bitmap_free(u->node, u->bitmap);
}

static bool act_add(const BlockDirtyBitmapAdd *a, Undo *u, Error **errp)
{
    BlkNode *n;
    BlkBackend *b;
    uint32_t g = a->has_granularity ? a->granularity : 0;

    machine_assert_locked();
    b = blk_find(a->node);
    n = b ? b->node : blk_node_find(a->node);
    if (!n) {
        return error_set(errp, "Cannot find device='%s' nor node-name='%s'",
                         a->node, a->node);
    }
    if (a->has_granularity && !g) {
        g = 1;                         /* as bad as any                       */
    }
    u->bitmap = blk_bitmap_add(n, a->name, g, a->has_persistent &&
                               a->persistent, a->node, errp);
    if (!u->bitmap) {
        return false;
    }
    u->bitmap->enabled = !(a->has_disabled && a->disabled);
    u->node = n;
    u->undo = undo_add;
    return true;
}

static bool act_remove(const BlockDirtyBitmap *a, Undo *u, Error **errp)
{
    machine_assert_locked();
    u->bitmap = find(a->node, a->name, &u->node, errp);
    if (!u->bitmap || !blk_bitmap_usable(u->bitmap, false, errp) ||
        !blk_bitmap_unstore(u->node, u->bitmap, errp)) {
        return false;
    }
    u->enabled = u->bitmap->enabled;
    u->bitmap->enabled = false;
    u->bitmap->busy = true;            /* until the transaction's end         */
    u->undo = undo_remove;
    u->commit = commit_remove;
    return true;
}

static MACHINE_CALL void keep_bits(Undo *u)
{
    u->bits = g_memdup2(u->bitmap->bits,
                        u->bitmap->words * sizeof(*u->bits));
    u->undo = undo_bits;
}

static bool act_clear(const BlockDirtyBitmap *a, Undo *u, Error **errp)
{
    machine_assert_locked();
    u->bitmap = find(a->node, a->name, &u->node, errp);
    if (!u->bitmap || !blk_bitmap_usable(u->bitmap, true, errp)) {
        return false;
    }
    keep_bits(u);
    memset(u->bitmap->bits, 0, u->bitmap->words * sizeof(*u->bits));
    return true;
}

static bool act_enable(const BlockDirtyBitmap *a, bool on, Undo *u,
                       Error **errp)
{
    BlkBitmap as_if;

    machine_assert_locked();
    u->bitmap = find(a->node, a->name, &u->node, errp);
    if (!u->bitmap) {
        return false;
    }
    as_if = *u->bitmap;
    as_if.read_only = false;           /* whether it records is in memory     */
    if (!blk_bitmap_usable(&as_if, true, errp)) {
        return false;
    }
    u->enabled = u->bitmap->enabled;
    u->bitmap->enabled = on;
    u->undo = undo_enabled;
    return true;
}

static MACHINE_CALL bool merge_one(Undo *u, const char *node, const char *name,
                                   Error **errp)
{
    BlkNode *n;
    BlkBitmap *from = find(node, name, &n, errp);

    return from && blk_bitmap_merge_checked(u->bitmap, from, errp);
}

static bool act_merge(const BlockDirtyBitmapMerge *a, Undo *u, Error **errp)
{
    bool ok = true;

    machine_assert_locked();
    u->bitmap = find(a->node, a->target, &u->node, errp);
    if (!u->bitmap || !blk_bitmap_usable(u->bitmap, true, errp)) {
        return false;
    }
    keep_bits(u);
    for (size_t i = 0; ok && i < a->bitmaps.n; i++) {
        const BlockDirtyBitmapOrStr *s = &a->bitmaps.v[i];

        ok = s->kind == 0
            ? merge_one(u, a->node, s->u.local, errp)
            : merge_one(u, s->u.external->node, s->u.external->name, errp);
    }
    if (!ok) {
        undo_bits(u);
        u->undo = NULL;
    }
    return ok;
}

static MACHINE_CALL void undo_snapshot(Undo *u)
{
    u->node->drv->snapshots->del(u->node, NULL, u->name, NULL);
}

static bool act_snapshot(const BlockdevSnapshotInternal *a, Undo *u,
                         Error **errp)
{
    machine_assert_locked();
    if (!blk_snapshot_take(a->device, a->name, errp)) {
        return false;
    }
    u->node = blk_node_lookup(a->device, NULL);
    u->name = g_strdup(a->name);
    u->undo = undo_snapshot;
    return true;
}

static void undo_free(Undo *u)
{
    g_free(u->bits);
    g_free(u->name);
}

/* ---- one at a time ------------------------------------------------------- */

static MACHINE_CALL BlkDrain *drain_of(const char *node)
{
    BlkNode *n = blk_node_lookup(node, NULL);

    return n ? blk_node_drain_begin(n) : NULL;
}

static MACHINE_CALL bool end_one(Undo *u, BlkDrain *d, bool ok)
{
    if (ok && u->commit) {
        u->commit(u);
    }
    undo_free(u);
    if (d) {
        blk_node_drain_end(d);
    }
    return ok;
}

bool cmd_block_dirty_bitmap_add(const void *arg, void *ret, Error **errp)
{
    const BlockDirtyBitmapAdd *a = arg;
    BlkDrain *d = drain_of(a->node);
    Undo u = { 0 };

    return end_one(&u, d, act_add(a, &u, errp));
}

bool cmd_block_dirty_bitmap_remove(const void *arg, void *ret, Error **errp)
{
    const BlockDirtyBitmap *a = arg;
    BlkDrain *d = drain_of(a->node);
    Undo u = { 0 };

    return end_one(&u, d, act_remove(a, &u, errp));
}

bool cmd_block_dirty_bitmap_clear(const void *arg, void *ret, Error **errp)
{
    const BlockDirtyBitmap *a = arg;
    BlkDrain *d = drain_of(a->node);
    Undo u = { 0 };

    return end_one(&u, d, act_clear(a, &u, errp));
}

bool cmd_block_dirty_bitmap_enable(const void *arg, void *ret, Error **errp)
{
    const BlockDirtyBitmap *a = arg;
    BlkDrain *d = drain_of(a->node);
    Undo u = { 0 };

    return end_one(&u, d, act_enable(a, true, &u, errp));
}

bool cmd_block_dirty_bitmap_disable(const void *arg, void *ret, Error **errp)
{
    const BlockDirtyBitmap *a = arg;
    BlkDrain *d = drain_of(a->node);
    Undo u = { 0 };

    return end_one(&u, d, act_enable(a, false, &u, errp));
}

bool cmd_block_dirty_bitmap_merge(const void *arg, void *ret, Error **errp)
{
    const BlockDirtyBitmapMerge *a = arg;
    BlkDrain *d = drain_of(a->node);
    Undo u = { 0 };

    return end_one(&u, d, act_merge(a, &u, errp));
}

bool cmd_x_debug_block_dirty_bitmap_sha256(const void *arg, void *ret,
                                           Error **errp)
{
    const BlockDirtyBitmap *a = arg;
    BlockDirtyBitmapSha256 *r = ret;
    BlkNode *n;
    BlkBitmap *m = find(a->node, a->name, &n, errp);
    uint64_t bits;

    if (!m) {
        return false;
    }
    bits = m->size / m->granularity + (m->size % m->granularity != 0);
    r->sha256 = g_compute_checksum_for_data(G_CHECKSUM_SHA256,
                                            (const guchar *)m->bits,
                                            (bits + 63) / 64 * 8);
    return true;
}

/* ---- all or none --------------------------------------------------------- */

static MACHINE_CALL bool act(const TransactionAction *a, Undo *u, Error **errp)
{
    switch (a->type) {
    case TRANSACTION_ACTION_KIND_BLOCK_DIRTY_BITMAP_ADD:
        return act_add(&a->u.block_dirty_bitmap_add.data, u, errp);
    case TRANSACTION_ACTION_KIND_BLOCK_DIRTY_BITMAP_REMOVE:
        return act_remove(&a->u.block_dirty_bitmap_remove.data, u, errp);
    case TRANSACTION_ACTION_KIND_BLOCK_DIRTY_BITMAP_CLEAR:
        return act_clear(&a->u.block_dirty_bitmap_clear.data, u, errp);
    case TRANSACTION_ACTION_KIND_BLOCK_DIRTY_BITMAP_ENABLE:
        return act_enable(&a->u.block_dirty_bitmap_enable.data, true, u, errp);
    case TRANSACTION_ACTION_KIND_BLOCK_DIRTY_BITMAP_DISABLE:
        return act_enable(&a->u.block_dirty_bitmap_disable.data, false, u,
                          errp);
    case TRANSACTION_ACTION_KIND_BLOCK_DIRTY_BITMAP_MERGE:
        return act_merge(&a->u.block_dirty_bitmap_merge.data, u, errp);
    case TRANSACTION_ACTION_KIND_BLOCKDEV_SNAPSHOT_INTERNAL_SYNC:
        return act_snapshot(&a->u.blockdev_snapshot_internal_sync.data, u,
                            errp);
    default:
        return error_set(errp, "Transaction aborted using Abort action");
    }
}

bool cmd_transaction(const void *arg, void *ret, Error **errp)
{
    const TransactionArg *a = arg;
    g_autofree Undo *u = g_new0(Undo, a->actions.n + 1);
    size_t done = 0;
    bool ok = true;

    for (BlkBackend *b = blk_next(NULL); b; b = blk_next(b)) {
        blk_drain_begin(b);
    }
    while (ok && done < a->actions.n) {
        ok = act(&a->actions.v[done], &u[done], errp);
        done += ok;
    }
    for (size_t i = done; !ok && i-- > 0;) {
        if (u[i].undo) {
            u[i].undo(&u[i]);
        }
    }
    for (size_t i = 0; i < done; i++) {
        if (ok && u[i].commit) {
            u[i].commit(&u[i]);
        }
    }
    for (size_t i = 0; i <= done && i < a->actions.n; i++) {
        undo_free(&u[i]);
    }
    for (BlkBackend *b = blk_next(NULL); b; b = blk_next(b)) {
        blk_drain_end(b);
    }
    return ok;
}
