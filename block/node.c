/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * node.c - the registry of block nodes: names, references, parents and what they
 * permit each other.
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. A node's perm is the union and shared the intersection of its parents'
 *    wishes, and no parent has a permission that another does not share.
 * 2. A node is in the registry from the end of its opening to its last
 *    reference; its name is not given twice.
 * 3. A child is asked for what its role says (child_perms), from the moment it is
 *    attached and whenever the node's parents change their wishes.
 */
#include <glib.h>
#include "block/backend.h"
#include "block/bitmap.h"
#include "block/reopen.h"
#include "opt.h"

static BlkNode *nodes;                 /* in order of seq                     */

bool blk_driver_suggest(const char *name, Error **errp)
{
    OptWords w = { .n = 0 };

    SET_EACH(blk_drivers, BlkDriver, d) {
        opt_word_add(&w, (*d)->name);
    }
    return opt_suggest(&w, name, errp);
}

const BlkDriver *blk_driver_find(const char *name)
{
    SET_EACH(blk_drivers, BlkDriver, d) {
        if (!strcmp((*d)->name, name)) {
            return *d;
        }
    }
    return NULL;
}

BlkNode *blk_node_first(void)
{
    return nodes;
}

BlkNode *blk_node_find(const char *node_name)
{
    for (BlkNode *n = nodes; n; n = n->next) {
        if (!strcmp(n->name, node_name)) {
            return n;
        }
    }
    return NULL;
}

const char *blk_node_name(const BlkNode *n)
{
    return n->name;
}

void blk_node_ref(BlkNode *n)
{
    n->refs++;
}

void blk_limits_default(BlkLimits *l)
{
    *l = (BlkLimits){ .align = 1, .mem_align = 1, .max_iov = 1024 };
}

/* ---- permissions --------------------------------------------------------- */

const char *blk_perm_name(uint64_t perm)
{
    return perm & BLKP_CONSISTENT_READ ? "consistent read"
         : perm & BLKP_WRITE ? "write"
         : perm & BLKP_WRITE_UNCHANGED ? "write unchanged" : "resize";
}

/* What n asks of a child for what its own parents ask of it (invariant 3). */
static void child_perms(const BlkNode *n, BlkRole role, uint64_t *perm,
                        uint64_t *shared)
{
    const uint64_t change = BLKP_WRITE | BLKP_RESIZE;

    switch (role) {
    case ROLE_FILTERED:
        break;
    case ROLE_BACKING:
        *shared = (*shared & BLKP_WRITE ? change : 0) | BLKP_CONSISTENT_READ |
                  BLKP_WRITE_UNCHANGED;
        *perm &= BLKP_CONSISTENT_READ;
        break;
    case ROLE_STORAGE:
        *perm &= BLKP_ALL & ~BLKP_RESIZE;
        *perm |= n->flags & BLKO_NO_IO ? 0 : BLKP_CONSISTENT_READ;
        *perm |= n->read_only || n->flags & BLKO_INACTIVE ? 0 : change;
        *shared &= ~change;
        break;
    case ROLE_DATA:
        *perm |= *perm & BLKP_WRITE ? BLKP_RESIZE : 0;
        *shared &= ~(uint64_t)BLKP_RESIZE;
        break;
    }
    if (n->force_share) {
        *shared = BLKP_ALL;
    }
    *perm |= n->perm_take;
    *shared &= ~n->perm_unshare;
}

/* Asks all children; on refusal those asked already get their old share back. */
static MACHINE_CALL bool children_ask(BlkNode *n, uint64_t perm,
                                      uint64_t shared, Error **errp)
{
    for (BlkChild *c = n->children; c; c = c->next) {
        uint64_t p = perm, s = shared;

        child_perms(n, c->role, &p, &s);
        if (!blk_parent_change(c->node, &c->parent, p, s, errp)) {
            for (BlkChild *u = n->children; u != c; u = u->next) {
                p = n->perm, s = n->shared;
                child_perms(n, u->role, &p, &s);
                blk_parent_change(u->node, &u->parent, p, s, NULL);
            }
            return false;
        }
    }
    return true;
}

static MACHINE_CALL bool perms_apply(BlkNode *n, uint64_t perm,
                                     uint64_t shared, Error **errp)
{
    if (perm == n->perm && shared == n->shared) {
        return true;
    }
    if ((perm & (BLKP_WRITE | BLKP_RESIZE)) && n->read_only) {
        return error_set(errp, "Block node is read-only");
    }
    if (perm & BLKP_WRITE && !(perm & BLKP_RESIZE) && !n->limits.short_tail &&
        n->limits.align > 1 && n->length % n->limits.align) {
        return error_set(errp, "Cannot get 'write' permission without "
                         "'resize': Image size is not a multiple of request "
                         "alignment");
    }
    if (n->drv->set_perm ? !n->drv->set_perm(n, perm, shared, errp)
                         : !children_ask(n, perm, shared, errp)) {
        return false;
    }
    n->perm = perm;
    n->shared = shared;
    return true;
}

bool blk_perms_refresh(BlkNode *n, Error **errp)
{
    return n->drv->set_perm ? n->drv->set_perm(n, n->perm, n->shared, errp)
                            : children_ask(n, n->perm, n->shared, errp);
}

bool blk_written_by_device(const BlkNode *n)
{
    for (const BlkParent *p = n->parents; p; p = p->next) {
        if (p->perm & BLKP_WRITE) {
            return true;
        }
    }
    return false;
}

/* With p's wishes as given; p NULL: without any new one. */
static MACHINE_CALL bool perms_update(BlkNode *n, const BlkParent *p,
                                      uint64_t perm, uint64_t shared,
                                      Error **errp)
{
    uint64_t all = p ? perm : 0, common = p ? shared : BLKP_ALL, bad;

    for (BlkParent *o = n->parents; o; o = o->next) {
        if (o == p) {
            continue;
        }
        bad = p ? perm & ~o->shared : 0;
        if (bad) {
            return error_set(errp, "Conflicts with use by %s as '%s', which "
                             "does not allow '%s' on %s", o->who(o->arg),
                             o->role, blk_perm_name(bad), n->name);
        }
        bad = p ? o->perm & ~shared : 0;
        if (bad) {
            return error_set(errp, "Conflicts with use by %s as '%s', which "
                             "uses '%s' on %s", o->who(o->arg), o->role,
                             blk_perm_name(bad), n->name);
        }
        all |= o->perm;
        common &= o->shared;
    }
    return perms_apply(n, all, common, errp);
}

bool blk_parent_add(BlkNode *n, BlkParent *p, Error **errp)
{
    if (!perms_update(n, p, p->perm, p->shared, errp)) {
        return false;
    }
    p->next = n->parents;
    n->parents = p;
    n->refs++;
    return true;
}

bool blk_parent_change(BlkNode *n, BlkParent *p, uint64_t perm,
                       uint64_t shared, Error **errp)
{
    if (!perms_update(n, p, perm, shared, errp)) {
        return false;
    }
    p->perm = perm;
    p->shared = shared;
    return true;
}

void blk_parent_del(BlkNode *n, BlkParent *p)
{
    BlkParent **at = &n->parents;

    while (*at != p) {
        at = &(*at)->next;
    }
    *at = p->next;
    /* Giving up what others never see cannot be refused. */
    perms_update(n, NULL, 0, 0, NULL);
    blk_node_unref(n);
}

/* ---- size ---------------------------------------------------------------- */

/* Whoever looks at n's length learns of the new one. */
static MACHINE_CALL void resized_tell(BlkNode *n)
{
    for (BlkBitmap *b = n->bitmaps; b; b = b->next) {
        blk_bitmap_resize(b, n->length);
    }
    for (BlkParent *p = n->parents; p; p = p->next) {
        BlkNode *up = p->node;

        if (p->blk) {
            blk_backend_resized(p->blk);
        } else if (up && up->drv->file_resized && up->file == n) {
            up->drv->file_resized(up);
            resized_tell(up);
        } else if (up && up->drv->filter && up->file == n &&
                   up->length != n->length && !up->drv->truncate) {
            up->length = n->length;
            resized_tell(up);
        }
    }
}

/* A longer backing file must not show through where the image has grown. */
static bool hide_backing(BlkNode *n, uint64_t old, Error **errp)
{
    uint64_t end = n->backing ? MIN2(n->backing->length, n->length) : 0;
    int ret = end > old ? blk_co_zero(n, old, end - old, 0) : 0;

    return ret >= 0 || error_set_errno(errp, -ret, "Failed to zero out the "
                                       "new area");
}

bool blk_node_truncate(BlkNode *n, uint64_t length, BlkPrealloc prealloc,
                       bool exact, Error **errp)
{
    uint64_t old = n->length;

    if (!n->drv->truncate && n->drv->filter && n->file) {
        if (!blk_node_truncate(n->file, length, prealloc, exact, errp)) {
            return false;
        }
        n->length = n->file->length;
        return true;
    }
    if (!n->drv->truncate) {
        return error_set(errp, "Image format driver does not support resize");
    }
    if (n->read_only) {
        return error_set(errp, "Image is read-only");
    }
    if (length > INT64_MAX - 512) {
        return error_set(errp, "Required too big image size, it must be not "
                         "greater than %" PRId64, INT64_MAX - 511);
    }
    if (!n->drv->truncate(n, length, prealloc, exact, errp) ||
        !hide_backing(n, old, errp)) {
        return false;
    }
    resized_tell(n);
    return true;
}

/* ---- opening's end ------------------------------------------------------- */

static const char *node_who(void *arg)
{
    const BlkNode *n = arg;

    return n->name;
}

bool blk_child_attach(BlkNode *n, BlkNode *node, const char *name, BlkRole role,
                      Error **errp)
{
    BlkChild *c = g_new0(BlkChild, 1);
    BlkChild **at = &n->children;

    *c = (BlkChild){ .name = name, .role = role, .node = node,
                     .parent = { .who = node_who, .arg = n, .role = name,
                                 .node = n,
                                 .perm = n->perm, .shared = n->shared } };
    child_perms(n, role, &c->parent.perm, &c->parent.shared);
    if (!blk_parent_add(node, &c->parent, errp)) {
        blk_node_unref(node);
        g_free(c);
        return false;
    }
    blk_node_unref(node);
    while (*at) {
        at = &(*at)->next;
    }
    *at = c;
    if (role == ROLE_BACKING) {
        n->backing = node;
    } else if (!n->file && strcmp(name, "data-file")) {
        n->file = node;
    }
    return true;
}

void blk_child_detach(BlkNode *n, const char *name)
{
    for (BlkChild **at = &n->children; *at; at = &(*at)->next) {
        BlkChild *c = *at;

        if (strcmp(c->name, name)) {
            continue;
        }
        *at = c->next;
        n->backing = n->backing == c->node ? NULL : n->backing;
        n->file = n->file == c->node ? NULL : n->file;
        blk_parent_del(c->node, &c->parent);
        g_free(c);
        return;
    }
}

static MACHINE_CALL void node_free(BlkNode *n)
{
    blk_bitmaps_free(n);
    while (n->children) {
        blk_child_detach(n, n->children->name);
    }
    if (n->drv->props) {
        prop_release((Obj *)n, n->drv->props);
    }
    g_free(n->filename);
    g_free(n->name);
    g_free(n->backing_name);
    g_free(n->backing_format);
    json_free(n->child_opts);
    json_free(n->opts);
    g_free(n);
}

void blk_node_unref(BlkNode *n)
{
    BlkNode **at = &nodes;

    if (!n || --n->refs) {
        return;
    }
    while (*at && *at != n) {
        at = &(*at)->next;
    }
    if (*at) {
        *at = n->next;
    }
    if (n->drv->close) {
        n->drv->close(n);
    }
    node_free(n);
}

static MACHINE_CALL char *name_make(void)
{
    static unsigned count;
    char *s;

    for (;;) {
        s = g_strdup_printf("#block%u%02u", count++, g_random_int_range(0, 100));
        if (!blk_node_find(s)) {
            return s;
        }
        g_free(s);
    }
}

unsigned blk_node_seq(void)
{
    static unsigned count;

    return ++count;
}

/* Takes over the filled struct and the reference to file (which may be NULL). */
BlkNode *blk_node_start(BlkNode *n, BlkNode *file, Error **errp)
{
    BlkNode **at = &nodes;

    n->seq = n->seq ? n->seq : blk_node_seq();
    n->refs = 1;
    n->shared = BLKP_ALL;
    n->loop = loop_main;
    blk_limits_default(&n->limits);
    if (!n->name) {
        n->name = name_make();
    }
    if (file) {
        const BlkChildRow *row = n->drv->children;

        if (!blk_child_attach(n, file, row->name, row->role, errp)) {
            node_free(n);
            return NULL;
        }
        n->loop = file->loop;
    }
    if (!n->drv->open(n, errp)) {
        node_free(n);
        return NULL;
    }
    blk_filename_refresh(n);
    while (*at && (*at)->seq < n->seq) {
        at = &(*at)->next;
    }
    n->next = *at;
    *at = n;
    return n;
}

void blk_node_set_loop(BlkNode *n, Loop *l)
{
    if (!n || n->loop == l) {
        return;
    }
    if (n->drv->set_loop) {
        n->drv->set_loop(n, l);
    }
    n->loop = l;
    for (BlkChild *c = n->children; c; c = c->next) {
        blk_node_set_loop(c->node, l);
    }
}
