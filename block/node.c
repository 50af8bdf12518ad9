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
 */
#include <glib.h>
#include "block/driver.h"

static BlkNode *nodes;                 /* in order of creation                */

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

static BlkParent *parent_of(BlkNode *child, const BlkNode *n)
{
    BlkParent *p = child->parents;

    while (p && p->arg != n) {
        p = p->next;
    }
    return p;
}

static MACHINE_CALL bool perms_apply(BlkNode *n, uint64_t perm,
                                     uint64_t shared, Error **errp)
{
    if (perm == n->perm && shared == n->shared) {
        return true;
    }
    if ((perm & (BLKP_WRITE | BLKP_RESIZE)) && n->read_only) {
        return error_set(errp, "Block node '%s' is read-only", n->name);
    }
    if (n->drv->set_perm ? !n->drv->set_perm(n, perm, shared, errp)
        : n->file ? !blk_parent_change(n->file, parent_of(n->file, n), perm,
                                       shared, errp) : false) {
        return false;
    }
    n->perm = perm;
    n->shared = shared;
    return true;
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

/* ---- opening's end ------------------------------------------------------- */

static const char *node_who(void *arg)
{
    const BlkNode *n = arg;

    return n->name;
}

/* The child's view of its parent node; freed with the parent's reference. */
static MACHINE_CALL bool child_take(BlkNode *n, BlkNode *child,
                                    const char *role, Error **errp)
{
    BlkParent *p = g_new0(BlkParent, 1);

    *p = (BlkParent){ .who = node_who, .arg = n, .role = role,
                      .shared = BLKP_ALL };
    if (!blk_parent_add(child, p, errp)) {
        g_free(p);
        return false;
    }
    return true;
}

static MACHINE_CALL void child_drop(BlkNode *n, BlkNode *child)
{
    BlkParent *p = child ? parent_of(child, n) : NULL;

    if (p) {
        blk_parent_del(child, p);
        g_free(p);
    }
}

static MACHINE_CALL void node_free(BlkNode *n)
{
    child_drop(n, n->file);
    child_drop(n, n->backing);
    if (n->drv->props) {
        prop_release((Obj *)n, n->drv->props);
    }
    g_free(n->filename);
    g_free(n->name);
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

/* Takes over the filled struct and the reference to file (which may be NULL). */
BlkNode *blk_node_start(BlkNode *n, BlkNode *file, Error **errp)
{
    BlkNode **at = &nodes;

    n->refs = 1;
    n->shared = BLKP_ALL;
    n->loop = loop_main;
    blk_limits_default(&n->limits);
    if (!n->name) {
        n->name = name_make();
    }
    if (file) {
        bool ok = child_take(n, file, "file", errp);

        blk_node_unref(file);
        if (!ok) {
            node_free(n);
            return NULL;
        }
        n->file = file;
        n->loop = file->loop;
    }
    if (!n->drv->open(n, errp)) {
        node_free(n);
        return NULL;
    }
    if (!n->filename) {
        n->filename = g_strdup(n->file ? n->file->filename : "");
    }
    while (*at) {
        at = &(*at)->next;
    }
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
    blk_node_set_loop(n->file, l);
    blk_node_set_loop(n->backing, l);
}
