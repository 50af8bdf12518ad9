/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2.c - the qcow2 image format, versions 2 and 3: opening, closing, and what
 * the rest of the block layer asks. Specification: docs/interop/qcow2.txt.
 *
 * Thread class: MACHINE_CALL; requests LOOP_CALL(node's loop).
 *
 * Invariants
 * 1. An image that is open for writing has no autoclear bit whose meaning is not
 *    kept up.
 * 2. An image marked dirty is repaired before its first write.
 * 3. After an error of structure there are no more writes, and the file says so.
 */
#include <stdarg.h>
#include "block/bitmap.h"
#include "block/qcow2-create.h"

/* ---- lock and corruption ------------------------------------------------- */

void q2_lock(Qcow2 *s)
{
    if (!co_self()) {
        while (s->lock.held) {
            machine_assert_locked();
            loop_step(true);
        }
    }
    co_mutex_lock(&s->lock);
}

void q2_unlock(Qcow2 *s)
{
    co_mutex_unlock(&s->lock);
}

void q2_corrupt(Qcow2 *s, bool fatal, uint64_t off, uint64_t len,
                const char *fmt, ...)
{
    g_autofree char *text = NULL;
    va_list ap;

    fatal &= !s->node.read_only && !(s->node.flags & BLKO_CHECK);
    if (s->corrupt_said && (!fatal || s->corrupt)) {
        return;
    }
    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    fprintf(stderr, fatal
            ? "qcow2: Marking image as corrupt: %s; further corruption events "
              "will be suppressed\n"
            : "qcow2: Image is corrupt: %s; further non-fatal corruption events "
              "will be suppressed\n", text);
    s->corrupt_said = true;
    if (fatal) {
        s->corrupt = true;
        s->incompat |= Q2I_CORRUPT;
        q2_features_write(s);
    }
    q2_corrupt_event(s, fatal, off, len, text);
}

/* ---- opening ------------------------------------------------------------- */

static bool pick(int opt, bool otherwise)
{
    return opt == OOA_AUTO ? otherwise : opt == OOA_ON;
}

static MACHINE_CALL bool cache_sizes(Qcow2 *s, Error **errp)
{
    uint64_t cs = s->cluster_size, entry = s->l2_entry_size;
    uint64_t l2 = s->l2_cache_size, ref = s->ref_cache_size;

    entry = entry ? entry : MIN2(cs, 64 * KiB);
    if (entry < 512 || entry > cs || !IS_POW2(entry)) {
        return error_set(errp, "L2 cache entry size must be a power of two "
                         "between %d and the cluster size (%u)", 512,
                         s->cluster_size);
    }
    if (s->cache_size && l2 && ref) {
        return error_set(errp, "cache-size, l2-cache-size and "
                         "refcount-cache-size may not be set at the same time");
    }
    if (s->cache_size && (l2 > s->cache_size || ref > s->cache_size)) {
        return error_set(errp, "%s may not exceed cache-size",
                         l2 > s->cache_size ? "l2-cache-size"
                                            : "refcount-cache-size");
    }
    if (s->cache_size) {
        ref = ref ? ref : l2 ? s->cache_size - l2
            : MIN2(4 * cs, s->cache_size / 2);
        l2 = l2 ? l2 : s->cache_size - ref;
    }
    /* Limits: memory is taken by and by, the image may grow. */
    l2 = l2 ? MIN2(l2, 1024 * MiB) : Q2_L2_CACHE_MAX;
    ref = ref ? MIN2(ref, 256 * MiB) : Q2_REF_CACHE_MAX;
    s->slice_bytes = (uint32_t)entry;
    s->slice_bits = (uint32_t)__builtin_ctz((unsigned)(entry / s->l2_entry));
    q2_cache_init(&s->l2c, s, MAX2(l2, 8 * entry), s->slice_bytes, true);
    q2_cache_init(&s->refc, s, MAX2(ref, 4 * cs), s->cluster_size, false);
    return true;
}

static MACHINE_CALL bool table_read(Qcow2 *s, uint64_t off, uint32_t n,
                                    uint64_t **out, const char *what,
                                    Error **errp)
{
    size_t room = ALIGN_UP((size_t)n * 8, s->cluster_size);
    int ret;

    *out = g_try_malloc0(MAX2(room, 8));
    if (!*out) {
        return error_set(errp, "Could not allocate %s", what);
    }
    ret = blk_co_pread(s->node.file, off, *out, (size_t)n * 8);
    if (ret < 0) {
        return error_set_errno(errp, -ret, "Could not read %s", what);
    }
    for (uint32_t i = 0; i < n; i++) {
        (*out)[i] = ld_be64(&(*out)[i]);
    }
    return true;
}

/* Unlike a backing file's, its name counts from where the program runs. */
static char *data_file_path(const char *name)
{
    if (!name || *name == '/' || name[strcspn(name, ":/")] == ':') {
        return g_strdup(name);
    }
    return g_canonicalize_filename(name, NULL);
}

static MACHINE_CALL bool data_file(Qcow2 *s, Error **errp)
{
    BlkNode *n = &s->node, *data = NULL;
    g_autofree char *name = data_file_path(s->data_file_name);

    s->data = n->file;
    if (!s->data_ext) {
        if (n->child_opts && json_get(n->child_opts, "data-file")) {
            return error_set(errp, "'data-file' can only be set for images "
                             "with an external data file");
        }
        return true;
    }
    if (n->flags & BLKO_NO_IO) {
        return true;
    }
    if (!blk_child_open(n, "data-file", name, "raw", &data, errp)) {
        error_prepend(errp, "Could not open data file: ");
        return false;
    }
    if (!data) {
        return error_set(errp, "'data-file' is required for this image");
    }
    if (!blk_child_attach(n, data, "data-file", ROLE_DATA, errp)) {
        return false;
    }
    s->data = data;
    return true;
}

static MACHINE_CALL bool backing(Qcow2 *s, Error **errp)
{
    BlkNode *n = &s->node, *b = NULL;

    if (n->flags & BLKO_NO_BACKING) {
        return true;
    }
    if (!blk_child_open(n, "backing",
                        n->backing_name && *n->backing_name
                        ? n->backing_name : NULL,
                        n->backing_format && *n->backing_format
                        ? n->backing_format : NULL, &b, errp)) {
        error_prepend(errp, "Could not open backing file: ");
        return false;
    }
    return !b || blk_child_attach(n, b, "backing", ROLE_BACKING, errp);
}

static void set_modes(Qcow2 *s)
{
    s->lazy = s->version >= 3 &&
              pick(s->lazy_opt, s->compat & Q2C_LAZY);
    s->discard_request = pick(s->discard_request_opt, s->node.discard);
    s->discard_snapshot = pick(s->discard_snapshot_opt, true);
    s->discard_other = pick(s->discard_other_opt, false);
    s->pass_discard = s->discard_other;
}

static void clean_tick(void *arg)
{
    Qcow2 *s = arg;

    if (!s->lock.held) {
        q2_cache_shrink(&s->l2c);
        q2_cache_shrink(&s->refc);
    }
    timer_set(&s->clean, clock_ns(CLOCK_RT) +
              (int64_t)s->clean_interval * NS_PER_S);
}

/* They are on disk; those that someone uses stay, and are found again. So do
 * those of a read-only node, which could not be stored. */
static MACHINE_CALL void bitmaps_forget(BlkNode *n)
{
    bool stored = !n->read_only || n->flags & BLKO_INACTIVE;
    BlkBitmap *next;

    for (BlkBitmap *b = n->bitmaps; b; b = next) {
        next = b->next;
        if (b->persistent && !b->busy && stored) {
            blk_bitmap_free(n, b);
        }
    }
    q2_of(n)->bitmaps_loaded = false;
}

static void release(Qcow2 *s)
{
    if (s->clean.fn) {
        timer_clear(&s->clean);
    }
    q2_cache_fini(&s->l2c);
    q2_cache_fini(&s->refc);
    q2_snapshots_free(s);
    q2_bitmaps_free(s);
    q2_header_free(s);
    q2_crypt_free(s);
    if (s->frees) {
        g_array_free(s->frees, true);
        g_array_free(s->frees_old, true);
    }
    if (s->inactive_l2) {
        g_array_free(s->inactive_l2, true);
    }
    g_clear_pointer(&s->l1, g_free);
    g_clear_pointer(&s->reftable, g_free);
    g_clear_pointer(&s->memo, g_free);
}

/* Invariants 1 and 2. */
static MACHINE_CALL bool make_writable(Qcow2 *s, Error **errp)
{
    uint64_t keep = Q2A_RAW_DATA | (s->n_bitmaps ? Q2A_BITMAPS : 0);
    BlkCheck c = { 0 };
    int ret = 0;

    if (s->node.read_only || s->node.flags & (BLKO_INACTIVE | BLKO_CHECK)) {
        return true;
    }
    if (s->autoclear & ~keep) {
        s->autoclear &= keep;
        ret = q2_features_write(s);
    }
    if (ret >= 0 && s->bitmaps_loaded) {
        ret = q2_bitmaps_begin(s);
    }
    if (ret >= 0 && (s->incompat & Q2I_DIRTY)) {
        ret = q2_check(&s->node, &c, BLKC_FIX_LEAKS | BLKC_FIX_ERRORS, errp);
    }
    if (ret < 0) {
        return errp && *errp ? false
            : error_set_errno(errp, -ret, "Could not repair dirty image");
    }
    return true;
}

static MACHINE_CALL bool open_all(Qcow2 *s, Error **errp)
{
    BlkNode *n = &s->node;

    if (!q2_header_read(s, errp) || !cache_sizes(s, errp) ||
        !table_read(s, s->reftable_off, s->reftable_size, &s->reftable,
                    "refcount table", errp) ||
        !table_read(s, s->l1_off, s->l1_size, &s->l1, "L1 table", errp) ||
        !q2_snapshots_read(s, errp) || !q2_bitmaps_read(s, errp) ||
        !data_file(s, errp) ||
        !q2_crypt_open(s, errp) || !backing(s, errp)) {
        return false;
    }
    set_modes(s);
    q2_overlap_mask(s);
    if (q2_overlap_refresh(s) < 0) {
        return error_set(errp, "Could not read the L1 tables of snapshots");
    }
    n->length = ALIGN_UP(s->disk_size, 512);
    n->limits.align = s->crypt ? 512 : 1;
    n->limits.zero_align = s->sub_size;
    n->limits.discard_align = s->cluster_size;
    n->limits.opt_transfer = 0;
    s->fresh = n->file->length;
    s->data_fresh = s->data->length;
    return q2_bitmaps_load(s, errp) && make_writable(s, errp);
}

static MACHINE_CALL bool q2_open(BlkNode *n, Error **errp)
{
    Qcow2 *s = q2_of(n);

    s->l1_dirty_first = s->ref_dirty_first = UINT32_MAX;
    s->frees = g_array_new(false, false, sizeof(Q2Run));
    s->frees_old = g_array_new(false, false, sizeof(Q2Run));
    if (!open_all(s, errp)) {
        bitmaps_forget(n);
        release(s);
        return false;
    }
    if (s->clean_interval) {
        timer_init(&s->clean, n->loop, CLOCK_RT, clean_tick, s);
        clean_tick(s);
    }
    return true;
}

/* last: the image is left to others. */
static int settle(Qcow2 *s, bool last)
{
    int ret = 0;

    if (s->node.read_only || s->node.flags & BLKO_INACTIVE || s->corrupt) {
        return 0;
    }
    q2_lock(s);
    s->settling = true;
    if (last) {
        ret = q2_bitmaps_store(s);
        if (ret < 0) {
            error_reportf("Lost persistent bitmaps during inactivation of "
                          "node '%s': %s", s->node.name, strerror(-ret));
        }
    }
    ret = q2_meta_write(s, true);
    if (ret >= 0 && !s->unsettled && (s->incompat & Q2I_DIRTY)) {
        ret = q2_dirty_set(s, false);
    }
    s->settling = false;
    q2_unlock(s);
    return ret;
}

static MACHINE_CALL void q2_close(BlkNode *n)
{
    Qcow2 *s = q2_of(n);
    int ret = settle(s, true);

    if (ret < 0) {
        error_reportf("Failed to flush the L2 table cache: %s", strerror(-ret));
    }
    bitmaps_forget(n);
    release(s);
}

static void clean_stop(void *arg)
{
    timer_clear(&((Qcow2 *)arg)->clean);
}

static MACHINE_CALL void q2_set_loop(BlkNode *n, Loop *to)
{
    Qcow2 *s = q2_of(n);

    if (s->clean.fn) {
        loop_run_sync(s->clean.loop, clean_stop, s);
        timer_init(&s->clean, to, CLOCK_RT, clean_tick, s);
        timer_set_any(&s->clean, clock_ns(CLOCK_RT) +
                      (int64_t)s->clean_interval * NS_PER_S);
    }
}

static int q2_flush_meta(BlkNode *n)
{
    return settle(q2_of(n), false);
}

static MACHINE_CALL bool q2_inactivate(BlkNode *n, Error **errp)
{
    int ret = settle(q2_of(n), true);

    bitmaps_forget(n);
    return ret >= 0 ||
           error_set_errno(errp, -ret, "Failed to flush the L2 table cache");
}

static int q2_probe(const uint8_t *buf, size_t n, const char *filename)
{
    return n >= 8 && ld_be32(buf) == Q2_MAGIC && ld_be32(buf + 4) >= 2 ? 100
                                                                       : 0;
}

static int64_t q2_allocated(BlkNode *n)
{
    Qcow2 *s = q2_of(n);
    int64_t a = n->file->drv->allocated ? n->file->drv->allocated(n->file)
                                        : -ENOTSUP, d;

    if (a >= 0 && s->data_ext && s->data && s->data->drv->allocated) {
        d = s->data->drv->allocated(s->data);
        a = d < 0 ? d : a + d;
    }
    return a;
}

/* ---- options ------------------------------------------------------------- */

#define OVERLAP(n, bit) \
    PROP_CALL("overlap-check." n, "bool", NULL, q2_overlap_bit_set, \
              .def = bit, .desc = "no write to this by mistake")

static const Prop q2_props[] = {
    PROP_CALL("lazy-refcounts", "bool", q2_tri_get, q2_tri_set,
              .def = offsetof(Qcow2, lazy_opt),
              .desc = "write refcounts when the image is closed"),
    PROP_CALL("pass-discard-request", "bool", q2_tri_get, q2_tri_set,
              .def = offsetof(Qcow2, discard_request_opt),
              .desc = "pass the guest's discards to the file"),
    PROP_CALL("pass-discard-snapshot", "bool", q2_tri_get, q2_tri_set,
              .def = offsetof(Qcow2, discard_snapshot_opt),
              .desc = "discard what a deleted snapshot held"),
    PROP_CALL("pass-discard-other", "bool", q2_tri_get, q2_tri_set,
              .def = offsetof(Qcow2, discard_other_opt),
              .desc = "discard whatever else is given back"),
    PROP_SIZE("cache-size", Qcow2, cache_size, 0,
              .desc = "bytes of both metadata caches"),
    PROP_SIZE("l2-cache-size", Qcow2, l2_cache_size, 0,
              .desc = "bytes of L2 tables kept; default: all, up to 32 MiB"),
    PROP_SIZE("l2-cache-entry-size", Qcow2, l2_entry_size, 0,
              .desc = "bytes of each piece of an L2 table"),
    PROP_SIZE("refcount-cache-size", Qcow2, ref_cache_size, 0,
              .desc = "bytes of refcount blocks kept"),
    PROP_U64("cache-clean-interval", Qcow2, clean_interval, 600,
             .max = UINT32_MAX,
             .desc = "seconds after which unused pieces are dropped; 0: never"),
    PROP_CALL("encrypt", "BlockdevQcow2Encryption", NULL, q2_encrypt_set,
              .desc = "how the image is encrypted"),
    PROP_STR("encrypt.format", Qcow2, encrypt_format,
             .desc = "luks or aes"),
    PROP_STR("encrypt.key-secret", Qcow2, key_secret,
             .desc = "id of the secret object that holds the key"),
    PROP_CALL("overlap-check", "Qcow2OverlapChecks", NULL, q2_overlap_set,
              .desc = "what no write may hit: none, constant, cached, all"),
    PROP_CALL("overlap-check.template", "Qcow2OverlapCheckMode", NULL,
              q2_overlap_set, .desc = "where the bits below start from"),
    OVERLAP("main-header", Q2O_HEADER), OVERLAP("active-l1", Q2O_L1),
    OVERLAP("active-l2", Q2O_L2), OVERLAP("refcount-table", Q2O_REFTABLE),
    OVERLAP("refcount-block", Q2O_REFBLOCK),
    OVERLAP("snapshot-table", Q2O_SNAPSHOTS),
    OVERLAP("inactive-l1", Q2O_INACTIVE_L1),
    OVERLAP("inactive-l2", Q2O_INACTIVE_L2),
    OVERLAP("bitmap-directory", Q2O_BITMAPS),
    PROP_END
};

static const BlkChildRow q2_children[] = {
    { .name = "file", .role = ROLE_STORAGE },
    { .name = "backing", .role = ROLE_BACKING, .by_driver = true },
    { .name = "data-file", .role = ROLE_DATA, .by_driver = true },
    { .name = NULL }
};

BLK_DRIVER(qcow2_driver, {
    .name = "qcow2", .desc = "QEMU copy-on-write image, versions 2 and 3",
    .size = sizeof(Qcow2),
    .doc = "Grows as it is written; backing files, snapshots, compression.",
    .props = q2_props, .children = q2_children,
    .open = q2_open, .close = q2_close, .submit = q2_submit, .co_run = q2_run,
    .lend = q2_lend,
    .set_loop = q2_set_loop, .probe = q2_probe, .truncate = q2_truncate,
    .allocated = q2_allocated, .extent = q2_extent,
    .flush_meta = q2_flush_meta, .set_backing = q2_set_backing,
    .make_empty = q2_make_empty, .check = q2_check, .amend = q2_amend,
    .info = q2_info, .specific = q2_specific, .running = q2_running,
    .snapshots = &q2_snapshot_ops,
    .bitmaps = &q2_bitmap_ops,
    .vmstate_rw = q2_vmstate_rw, .inactivate = q2_inactivate,
    .create_props = q2_create_props, .create_size = sizeof(Q2Create),
    .amend_props = q2_amend_props, .amend_size = sizeof(Q2Amend),
    .create = q2_create, .measure = q2_measure,
    .backing = true, .encrypts = true, .reopens = true,
});

/* ---- outside the graph --------------------------------------------------- */

static MACHINE_CALL void private_free(Qcow2 *s)
{
    BlkNode *n = &s->node;

    while (n->children) {
        blk_child_detach(n, n->children->name);
    }
    prop_release((Obj *)n, q2_props);
    blk_bitmaps_free(n);
    g_free(n->backing_name);
    g_free(n->backing_format);
    g_free(n->name);
    g_free(s);
}

Qcow2 *q2_private_open(BlkNode *file, const char *secret, Error **errp)
{
    Qcow2 *s = g_new0(Qcow2, 1);
    BlkNode *n = &s->node;

    prop_defaults((Obj *)n, q2_props, 0);
    *n = (BlkNode){ .drv = &qcow2_driver, .name = g_strdup("image"),
                    .flags = BLKO_RDWR | BLKO_NO_BACKING, .refs = 1,
                    .file = file, .loop = file->loop, .shared = BLKP_ALL };
    blk_limits_default(&n->limits);
    s->key_secret = g_strdup(secret);
    if (!q2_open(n, errp)) {
        private_free(s);
        return NULL;
    }
    return s;
}

bool q2_private_close(Qcow2 *s, Error **errp)
{
    int ret = settle(s, true);

    release(s);
    private_free(s);
    return ret >= 0 || error_set_errno(errp, -ret, "Could not write metadata");
}
