/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2-snapshot.c - internal snapshots and the VM state area.
 * (the specification: Snapshots)
 *
 * Thread class: as co_run, the node drained.
 *
 * Invariants
 * 1. References are added and on disk before anything counts on them, and taken
 *    away after nothing does. A kill between leaves clusters too many.
 * 2. While refcounts and "copied" flags may disagree, the image is marked dirty:
 *    the next one to write repairs it (version 3).
 */
#include "block/qcow2.h"

/* ---- references of a whole tree ------------------------------------------ */

/* The refcount of a cluster, for the flag. */
static int copied_flag(Qcow2 *s, uint64_t off, uint64_t *flag)
{
    uint64_t v;
    int ret = q2_ref_get(s, off >> s->cluster_bits, &v);

    *flag = v == 1 ? Q2_COPIED : 0;
    return ret;
}

/* A walk through a tree; so many steps, for one that is taken back. */
typedef struct Walk {
    int add;
    bool flags;
    uint64_t done, limit;
} Walk;

static int step(Qcow2 *s, Walk *w, uint64_t off, uint64_t len)
{
    int ret;

    if (!w->add || w->done >= w->limit) {
        return 0;
    }
    ret = q2_ref_add(s, off, len, w->add);
    w->done += ret >= 0;
    return ret;
}

static int entry_add(Qcow2 *s, uint64_t v, Walk *w)
{
    uint64_t at, first;
    uint32_t len;

    if (v & Q2_COMPRESSED) {
        q2_compressed_at(s, v, &at, &len);
        first = ALIGN_DOWN(at, s->cluster_size);
        return step(s, w, first, at + len - first);
    }
    if (!(v & Q2_OFFSET)) {
        return 0;
    }
    if (v & Q2_OFFSET & (s->cluster_size - 1)) {
        q2_corrupt(s, true, v & Q2_OFFSET, 0, "Cluster allocation offset %#"
                   PRIx64 " unaligned", v & Q2_OFFSET);
        return -EIO;
    }
    return step(s, w, v & Q2_OFFSET, s->cluster_size);
}

/* One slice: adds, and (flags) makes the flags true. */
static int slice_update(Qcow2 *s, uint64_t off, Walk *w)
{
    Q2Entry *e = NULL;
    int ret = q2_cache_get(&s->l2c, off, &e);

    for (uint32_t i = 0; ret >= 0 && i < 1u << s->slice_bits; i++) {
        uint64_t v = q2_entry(s, e, i), sub = q2_entry_sub(s, e, i);
        uint64_t flag = 0, now;

        if (!v || s->data_ext) {
            continue;
        }
        ret = entry_add(s, v, w);
        if (ret < 0 || !w->flags || (v & Q2_COMPRESSED) || !(v & Q2_OFFSET)) {
            continue;
        }
        ret = copied_flag(s, v & Q2_OFFSET, &flag);
        now = (v & ~Q2_COPIED) | flag;
        if (ret >= 0 && now != v) {
            q2_entry_set(s, e, i, now, sub);
        }
    }
    if (e) {
        q2_cache_put(e);
    }
    return ret;
}

static int tree_walk(Qcow2 *s, uint64_t *l1, uint32_t n, Walk *w)
{
    int ret = 0;

    for (uint32_t i = 0; ret >= 0 && i < n; i++) {
        uint64_t at = l1[i] & Q2_OFFSET, flag = 0;

        if (!at) {
            continue;
        }
        if (at & (s->cluster_size - 1)) {
            q2_corrupt(s, true, at, 0, "L2 table offset %#" PRIx64 " unaligned "
                       "(L1 index: %#x)", at, i);
            return -EIO;
        }
        ret = step(s, w, at, s->cluster_size);
        for (uint64_t o = 0; ret >= 0 && o < s->cluster_size;
             o += s->slice_bytes) {
            ret = slice_update(s, at + o, w);
        }
        if (ret < 0 || !w->flags) {
            continue;
        }
        ret = copied_flag(s, at, &flag);
        if (ret >= 0 && (l1[i] & Q2_COPIED) != flag) {
            l1[i] = (l1[i] & ~Q2_COPIED) | flag;
            s->l1_dirty_first = MIN2(s->l1_dirty_first, i);
            s->l1_dirty_end = MAX2(s->l1_dirty_end, i + 1);
        }
    }
    return ret;
}

/* Adds to what l1 refers to; with `flags` l1 is the active table, and its flags
 * and those below are set as refcounts are. All or nothing. */
static int tree_update(Qcow2 *s, uint64_t *l1, uint32_t n, int add, bool flags)
{
    Walk w = { .add = add, .flags = flags, .limit = UINT64_MAX };
    int ret = tree_walk(s, l1, n, &w);

    if (ret < 0 && w.done) {
        Walk back = { .add = -add, .limit = w.done };

        tree_walk(s, l1, n, &back);
        w = (Walk){ .flags = flags };
        tree_walk(s, l1, n, &w);
    }
    return ret;
}

/* Gives up what l1 refers to: L2 tables are read while they still count. */
static int tree_free(Qcow2 *s, const uint64_t *l1, uint32_t n)
{
    int ret = 0;

    for (uint32_t i = 0; ret >= 0 && i < n; i++) {
        uint64_t at = l1[i] & Q2_OFFSET;

        if (!at || at & (s->cluster_size - 1)) {
            continue;
        }
        for (uint64_t o = 0; ret >= 0 && o < s->cluster_size;
             o += s->slice_bytes) {
            Q2Entry *e;

            ret = q2_cache_get(&s->l2c, at + o, &e);
            for (uint32_t j = 0; ret >= 0 && j < 1u << s->slice_bits; j++) {
                q2_free_entry(s, q2_entry(s, e, j));
            }
            if (ret >= 0) {
                q2_cache_put(e);
            }
        }
        if (ret >= 0) {
            q2_free(s, at, s->cluster_size);
        }
    }
    return ret;
}

/* ---- L1 tables ----------------------------------------------------------- */

int q2_snap_l1(Qcow2 *s, const Q2Snap *p, uint32_t room, uint64_t **out)
{
    size_t n = MAX2(p->l1_size, room);
    int ret;

    *out = NULL;
    if (n > Q2_L1_BYTES_MAX / 8 ||
        !q2_area_ok(s, p->l1_off, p->l1_size, 8)) {
        return -EFBIG;
    }
    *out = g_new0(uint64_t, ALIGN_UP(n * 8, s->cluster_size) / 8 + 1);
    ret = blk_co_pread(s->node.file, p->l1_off, *out, (size_t)p->l1_size * 8);
    for (uint32_t i = 0; i < p->l1_size; i++) {
        (*out)[i] = ld_be64(&(*out)[i]);
    }
    return ret;
}

static int64_t l1_save(Qcow2 *s, const uint64_t *l1, uint32_t n)
{
    uint64_t bytes = ALIGN_UP(MAX2((uint64_t)n * 8, 1), s->cluster_size);
    g_autofree uint64_t *buf = g_malloc0(bytes);
    int64_t at = q2_alloc(s, bytes >> s->cluster_bits, true, NULL);
    int ret;

    if (at < 0) {
        return at;
    }
    for (uint32_t i = 0; i < n; i++) {
        st_be64(&buf[i], l1[i]);
    }
    s->unsynced = true;
    ret = blk_co_pwrite(s->node.file, (uint64_t)at, buf, bytes, 0);
    if (ret < 0) {
        q2_free(s, (uint64_t)at, bytes);
        return ret;
    }
    return at;
}

/* ---- finding ------------------------------------------------------------- */

static int find(const Qcow2 *s, const char *id, const char *name)
{
    for (uint32_t i = 0; i < s->n_snaps; i++) {
        if ((!id || !strcmp(s->snaps[i].id, id)) &&
            (!name || !strcmp(s->snaps[i].name, name))) {
            return (int)i;
        }
    }
    return -1;
}

static int find_either(const Qcow2 *s, const char *what)
{
    int i = find(s, what, NULL);

    return i >= 0 ? i : find(s, NULL, what);
}

static void new_id(const Qcow2 *s, char *id, size_t n)
{
    unsigned long top = 0;

    for (uint32_t i = 0; i < s->n_snaps; i++) {
        top = MAX2(top, strtoul(s->snaps[i].id, NULL, 10));
    }
    snprintf(id, n, "%lu", top + 1);
}

/* ---- creating ------------------------------------------------------------ */

static int add_to_table(Qcow2 *s, Q2Snap *p)
{
    Q2Snap *list = g_new(Q2Snap, s->n_snaps + 1);
    uint32_t n = s->n_snaps;
    int ret;

    memcpy(list, s->snaps ? s->snaps : list, n * sizeof(*list));
    list[n] = *p;
    ret = q2_snapshots_write(s, list, n + 1);
    if (ret < 0) {
        g_free(list);
        return ret;
    }
    g_free(s->snaps);
    s->snaps = list;
    return 0;
}

static int snap_make(Qcow2 *s, Q2Snap *p)
{
    int64_t at;
    int ret = q2_flush(s);

    ret = ret < 0 ? ret : q2_dirty_set(s, true);
    if (ret < 0) {
        return ret;
    }
    at = l1_save(s, s->l1, s->l1_size);
    if (at < 0) {
        return (int)at;
    }
    p->l1_off = (uint64_t)at;
    p->l1_size = s->l1_size;
    /* References first, then the flags that say so. */
    ret = tree_update(s, s->l1, s->l1_size, 1, true);
    if (ret >= 0) {
        ret = add_to_table(s, p);
        if (ret < 0) {
            tree_update(s, s->l1, s->l1_size, -1, true);
        }
    }
    if (ret < 0) {
        q2_free(s, (uint64_t)at, (uint64_t)s->l1_size * 8);
    }
    return ret;
}

/* Ends an operation: all is in step again, or the mark stays. */
static int snap_end(Qcow2 *s, int ret)
{
    int end = 0;

    s->settling = true;
    if (ret < 0) {
        end = q2_flush(s);             /* what was given up so far            */
        end = end < 0 ? end : tree_update(s, s->l1, s->l1_size, 0, true);
    }
    end = end < 0 ? end : q2_flush(s);
    s->settling = false;
    s->unsettled |= end < 0;
    if (q2_overlap_refresh(s) < 0) {
        g_array_set_size(s->inactive_l2, 0);
    }
    if (!s->unsettled && !s->corrupt && !s->lazy) {
        end = q2_dirty_set(s, false);
    }
    s->pass_discard = s->discard_other;
    return ret < 0 ? ret : end;
}

static int q2_snap_create(BlkNode *n, BlkSnapshot *b, Error **errp)
{
    Qcow2 *s = q2_of(n);
    Q2Snap p = { .date_s = (uint32_t)b->date_s, .date_ns = b->date_ns,
                 .vm_clock_ns = b->vm_clock_ns, .icount = b->icount,
                 .vm_state_size = b->vm_state_size,
                 .disk_size = s->disk_size };
    int ret;

    if (s->data_ext) {
        error_set(errp, "Snapshots are not supported with external data files");
        return -ENOTSUP;
    }
    if (s->n_snaps >= Q2_SNAPSHOTS_MAX) {
        error_set(errp, "Too many snapshots");
        return -EFBIG;
    }
    if (!*b->id) {
        new_id(s, b->id, sizeof(b->id));
    }
    if (find(s, b->id, NULL) >= 0) {
        error_set(errp, "Snapshot with ID '%s' exists", b->id);
        return -EEXIST;
    }
    p.id = g_strdup(b->id);
    p.name = g_strdup(b->name);
    q2_lock(s);
    ret = snap_make(s, &p);
    if (ret < 0) {
        q2_snap_free(&p);
    }
    ret = snap_end(s, ret);
    q2_unlock(s);
    if (ret < 0) {
        error_set_errno(errp, -ret, "Could not create snapshot '%s'", b->name);
    }
    return ret;
}

/* ---- going to one -------------------------------------------------------- */

static int header_turn(Qcow2 *s, uint64_t off, uint32_t size, uint64_t disk)
{
    uint64_t old_off = s->l1_off, old_disk = s->disk_size;
    uint32_t old_size = s->l1_size;
    int ret;

    s->l1_off = off;
    s->l1_size = size;
    s->disk_size = disk;
    ret = q2_header_turn(s);
    if (ret < 0) {
        s->l1_off = old_off;
        s->l1_size = old_size;
        s->disk_size = old_disk;
        q2_header_back(s);
    }
    return ret;
}

static int snap_go(Qcow2 *s, const Q2Snap *p)
{
    uint64_t *l1 = NULL, *old = s->l1, old_off = s->l1_off;
    uint32_t old_size = s->l1_size, size;
    uint64_t disk = p->disk_size, covers = q2_l1_covers(s);
    uint64_t rows = disk / covers + (disk % covers != 0);
    int64_t at;
    int ret = rows > Q2_L1_BYTES_MAX / 8 ? -EFBIG : q2_flush(s);

    ret = ret < 0 ? ret : q2_dirty_set(s, true);
    size = MAX2(p->l1_size, (uint32_t)rows);
    ret = ret < 0 ? ret : q2_snap_l1(s, p, size, &l1);
    ret = ret < 0 ? ret : tree_update(s, l1, p->l1_size, 1, false);
    if (ret >= 0) {
        at = l1_save(s, l1, size);
        ret = at < 0 ? (int)at : q2_meta_write(s, false);
        ret = ret < 0 ? ret : q2_barrier(s);
        ret = ret < 0 ? ret : header_turn(s, (uint64_t)at, size, disk);
        if (ret < 0) {
            tree_update(s, l1, p->l1_size, -1, false);
            if (at > 0) {
                q2_free(s, (uint64_t)at, (uint64_t)size * 8);
            }
        }
    }
    if (ret < 0) {
        g_free(l1);
        return ret;
    }
    s->l1 = l1;
    s->vm_state_off = rows * covers;
    s->node.length = ALIGN_UP(disk, 512);
    ret = tree_free(s, old, old_size);
    q2_free(s, old_off, (uint64_t)old_size * 8);
    g_free(old);
    s->settling = true;
    ret = ret < 0 ? ret : q2_flush(s);
    s->settling = false;
    return ret < 0 ? ret : tree_update(s, s->l1, s->l1_size, 0, true);
}

static int q2_snap_go(BlkNode *n, const char *id, Error **errp)
{
    Qcow2 *s = q2_of(n);
    int i = find_either(s, id), ret;

    if (s->data_ext) {
        error_set(errp, "Snapshots are not supported with external data files");
        return -ENOTSUP;
    }
    if (i < 0) {
        error_set(errp, "Can't find snapshot '%s'", id);
        return -ENOENT;
    }
    if (s->snaps[i].disk_size != s->disk_size && s->n_bitmaps) {
        error_set(errp, "The size of the disk differs, and there are bitmaps");
        return -ENOTSUP;
    }
    q2_lock(s);
    ret = snap_end(s, snap_go(s, &s->snaps[i]));
    q2_unlock(s);
    if (ret < 0) {
        error_set_errno(errp, -ret, "Could not apply snapshot '%s'", id);
    }
    return ret;
}

/* ---- deleting ------------------------------------------------------------ */

static int snap_del(Qcow2 *s, uint32_t i)
{
    Q2Snap gone = s->snaps[i];
    Q2Snap *list = g_new(Q2Snap, s->n_snaps);
    uint64_t *l1 = NULL;
    uint32_t n = s->n_snaps - 1;
    int ret = q2_flush(s);

    ret = ret < 0 ? ret : q2_dirty_set(s, true);
    ret = ret < 0 ? ret : q2_snap_l1(s, &gone, 0, &l1);
    memcpy(list, s->snaps, i * sizeof(*list));
    memcpy(list + i, s->snaps + i + 1, (n - i) * sizeof(*list));
    ret = ret < 0 ? ret : q2_snapshots_write(s, list, n);
    if (ret < 0) {
        g_free(list);
        g_free(l1);
        return ret;
    }
    g_free(s->snaps);
    s->snaps = list;
    s->pass_discard = s->discard_snapshot;
    ret = tree_free(s, l1, gone.l1_size);
    q2_free(s, gone.l1_off, (uint64_t)gone.l1_size * 8);
    g_free(l1);
    q2_snap_free(&gone);
    s->settling = true;
    ret = ret < 0 ? ret : q2_flush(s);
    s->settling = false;
    return ret < 0 ? ret : tree_update(s, s->l1, s->l1_size, 0, true);
}

static int q2_snap_del(BlkNode *n, const char *id, const char *name,
                       Error **errp)
{
    Qcow2 *s = q2_of(n);
    int i = find(s, id, name), ret;

    if (i < 0) {
        error_set(errp, "Can't find the snapshot");
        return -ENOENT;
    }
    q2_lock(s);
    ret = snap_end(s, snap_del(s, (uint32_t)i));
    q2_unlock(s);
    if (ret < 0) {
        error_set_errno(errp, -ret, "Could not delete snapshot");
    }
    return ret;
}

/* ---- listing, looking, VM state ------------------------------------------ */

static int q2_snap_list(BlkNode *n, BlkSnapshot **list)
{
    Qcow2 *s = q2_of(n);

    *list = g_new0(BlkSnapshot, s->n_snaps + 1);
    for (uint32_t i = 0; i < s->n_snaps; i++) {
        const Q2Snap *p = &s->snaps[i];
        BlkSnapshot *b = &(*list)[i];

        g_strlcpy(b->id, p->id, sizeof(b->id));
        g_strlcpy(b->name, p->name, sizeof(b->name));
        b->vm_state_size = p->vm_state_size;
        b->disk_size = p->disk_size;
        b->date_s = p->date_s;
        b->date_ns = p->date_ns;
        b->vm_clock_ns = p->vm_clock_ns;
        b->icount = p->icount;
    }
    return (int)s->n_snaps;
}

static int q2_snap_load(BlkNode *n, const char *id, const char *name,
                        Error **errp)
{
    Qcow2 *s = q2_of(n);
    int i = find(s, id, name), ret;
    uint64_t *l1;

    if (!n->read_only) {
        error_set(errp, "Device is not readonly");
        return -EINVAL;
    }
    if (i < 0) {
        error_set(errp, "Can't find snapshot");
        return -ENOENT;
    }
    ret = q2_snap_l1(s, &s->snaps[i], 0, &l1);
    if (ret < 0) {
        g_free(l1);
        error_set_errno(errp, -ret, "Failed to load L1 table for snapshot");
        return ret;
    }
    g_free(s->l1);
    s->l1 = l1;
    s->l1_size = s->snaps[i].l1_size;
    return 0;
}

const BlkSnapshotOps q2_snapshot_ops = {
    .create = q2_snap_create, .go = q2_snap_go, .del = q2_snap_del,
    .list = q2_snap_list, .load = q2_snap_load,
};

int q2_vmstate_rw(BlkNode *n, uint64_t pos, void *buf, size_t len, bool write)
{
    Qcow2 *s = q2_of(n);
    struct iovec iov = { buf, len };

    if (pos > INT64_MAX - s->vm_state_off - len) {
        return -EFBIG;
    }
    q2_event(s, write ? "vmstate_save" : "vmstate_load");
    if (write) {
        return n->read_only ? -EACCES
             : q2_write(s, s->vm_state_off + pos, len, &iov, 1, 0);
    }
    return q2_read(s, s->vm_state_off + pos, len, &iov, 1, 0);
}
