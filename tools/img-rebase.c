/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * img-rebase.c - `rebase`: another backing file, and what it does not show goes
 * into the image.
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. The image names the new backing file only after everything that differs
 *    has been written and flushed.
 */
#include "tools/img.h"
#include "tools/reader.h"

#define PART (256 * KiB)

typedef struct RebaseArgs {
    ImgArgs base;
    const char *backing, *backing_fmt;
    bool unsafe;
} RebaseArgs;
#define AT(f) offsetof(RebaseArgs, f)

static const ToolOpt rebase_opts[] = {
    { NULL, 'u', TK_FLAG, 0, AT(unsafe), NULL,
      "Only changes the name that the image records: for a backing file that "
      "has moved." },
    { NULL, 'b', TK_STR, 0, AT(backing), "backing_file",
      "The new backing file; empty: none." },
    { NULL, 'F', TK_STR, 0, AT(backing_fmt), "backing_fmt", "Its format." },
    { .name = NULL }
};

typedef struct Rebase {
    const RebaseArgs *a;
    BlkBackend *top, *old, *new;       /* old, new NULL: none                 */
    uint64_t grain;                    /* the image's clusters                */
    uint8_t *was, *is;
} Rebase;

/* ---- images --------------------------------------------------------------- */

static MACHINE_CALL bool old_open(Rebase *r)
{
    BlkNode *n = blk_root(r->top)->backing;
    Error *err = NULL;

    if (!n) {
        return true;
    }
    r->old = blk_new(NULL);
    if (blk_set_perm(r->old, BLKP_CONSISTENT_READ, BLKP_ALL, &err) &&
        blk_insert(r->old, n, &err)) {
        return true;
    }
    error_report(err);
    return false;
}

static MACHINE_CALL bool new_open(Rebase *r, const ToolOpen *src)
{
    g_autofree char *full = NULL;
    ToolOpen o = *src;
    Error *err = NULL;

    if (!*r->a->backing) {
        return true;
    }
    full = blk_path_combine(blk_root(r->top)->filename, r->a->backing);
    o.format = r->a->backing_fmt;
    r->new = tool_open_err(full, &o, &err);
    if (!r->new) {
        error_prepend(&err, "Could not open new backing file '%s': ",
                      r->a->backing);
        error_report(err);
    }
    return r->new != NULL;
}

/* ---- what differs --------------------------------------------------------- */

static MACHINE_CALL int part_read(BlkBackend *b, uint64_t off, uint64_t len,
                                  uint8_t *buf)
{
    uint64_t end = b ? blk_root(b)->length : 0;
    uint64_t n = off < end ? MIN2(len, end - off) : 0;
    int ret = n ? blk_pread(b, off, buf, n) : 0;

    memset(buf + n, 0, len - n);
    if (ret < 0) {
        error_reportf("error while reading from %s backing file: %s", "old",
                      strerror(-ret));
    }
    return ret;
}

/* Both known to be zeroes; *len shrinks to what is so. */
static MACHINE_CALL bool both_zero(Rebase *r, uint64_t off, uint64_t *len)
{
    BlkBackend *const both[] = { r->old, r->new };
    bool zero = true;

    for (int i = 0; i < 2; i++) {
        BlkNode *n = both[i] ? blk_root(both[i]) : NULL;
        ImgExtent x;

        if (!n || off >= n->length) {
            continue;
        }
        if (img_extent(n, NULL, off, MIN2(*len, n->length - off), &x) < 0) {
            return false;
        }
        *len = MIN2(*len, x.len);
        zero = zero && (x.zero || !x.present);
    }
    return zero;
}

/* How many bytes from `at` on are of clusters that differ, or do not. */
static uint64_t run_alike(const Rebase *r, uint64_t off, uint64_t at,
                          uint64_t len, bool *differ)
{
    uint64_t from = at;

    while (at < len) {
        uint64_t n = MIN2(r->grain - (off + at) % r->grain, len - at);
        bool other = memcmp(r->was + at, r->is + at, n);

        if (at > from && other != *differ) {
            break;
        }
        *differ = other;
        at += n;
    }
    return at - from;
}

static MACHINE_CALL int part_merge(Rebase *r, uint64_t off, uint64_t len)
{
    int ret = part_read(r->old, off, len, r->was);

    ret = ret < 0 ? ret : part_read(r->new, off, len, r->is);
    for (uint64_t at = 0; at < len && ret >= 0;) {
        bool other = false;
        uint64_t n = run_alike(r, off, at, len, &other);

        if (other) {
            ret = is_zero(r->was + at, n)
                ? blk_co_zero(blk_root(r->top), off + at, n, 0)
                : blk_pwrite(r->top, off + at, r->was + at, n, 0);
            if (ret < 0) {
                error_reportf("Error while writing to COW image: %s",
                              strerror(-ret));
            }
        }
        at += n;
    }
    return ret;
}

static MACHINE_CALL int range_merge(Rebase *r, uint64_t off, uint64_t len)
{
    uint64_t end = off + len, n;
    int ret = 0;

    for (; off < end && ret >= 0; off += n) {
        n = end - off;
        if (both_zero(r, off, &n)) {
            continue;
        }
        n = MIN2(n, MAX2(PART, r->grain));
        if (ALIGN_DOWN(off + n, r->grain) > off) {
            n = MIN2(n, ALIGN_DOWN(off + n, r->grain) - off);
        }
        ret = part_merge(r, off, n);
        progress_set((double)(off + n) / blk_root(r->top)->length);
    }
    return ret;
}

static MACHINE_CALL int merge(Rebase *r)
{
    BlkNode *n = blk_root(r->top);
    uint64_t len;
    int ret = 0;

    for (uint64_t off = 0; off < n->length && ret >= 0; off += len) {
        BlkExtent x;

        ret = blk_node_extent(n, off, n->length - off, &x);
        if (ret < 0 || !x.len) {
            error_reportf("error while reading image metadata: %s",
                          strerror(ret < 0 ? -ret : EIO));
            return -EIO;
        }
        len = x.len;
        if (!(x.flags & BLKX_ALLOCATED)) {
            ret = range_merge(r, off, len);
        }
        progress_set((double)(off + len) / n->length);
    }
    return ret;
}

/* ---- the name ------------------------------------------------------------- */

static MACHINE_CALL int name_set(Rebase *r)
{
    BlkNode *n = blk_root(r->top);
    const RebaseArgs *a = r->a;
    Error *err = NULL;
    bool ok;

    if (!n->drv->set_backing) {
        ok = error_set(&err, "Operation not supported");
    } else if (*a->backing && !a->backing_fmt) {
        ok = error_set(&err, "backing format must be specified");
    } else {
        ok = n->drv->set_backing(n, *a->backing ? a->backing : NULL,
                                 *a->backing ? a->backing_fmt : NULL, &err);
    }
    if (!ok) {
        error_prepend(&err, "Could not change the backing file to '%s': ",
                      a->backing);
        error_report(err);
    }
    return ok ? 0 : -EIO;
}

static MACHINE_CALL int rebase(Rebase *r, const ToolOpen *src)
{
    BlkNode *n = blk_root(r->top);
    BlkNodeInfo i = { .cluster_size = 0 };
    int ret;

    if (!r->a->unsafe) {
        if (n->drv->info) {
            n->drv->info(n, &i);
        }
        r->grain = MAX2(i.cluster_size, 512);
        r->was = buf_alloc(MAX2(PART, r->grain));
        r->is = buf_alloc(MAX2(PART, r->grain));
        if (!old_open(r) || !new_open(r, src)) {
            return 1;
        }
        /* Without set_backing nothing may be written either. */
        ret = n->drv->set_backing ? merge(r) : 0;
        ret = ret < 0 ? ret : blk_flush(r->top);
        if (ret < 0) {
            return 1;
        }
    }
    return name_set(r) < 0;
}

static MACHINE_CALL bool args_check(const RebaseArgs *a, ToolOpen *top,
                                    ToolOpen *src)
{
    if (!a->unsafe && !a->backing) {
        tool_usage_error("Must specify backing file (-b) or use unsafe mode "
                         "(-u)");
        return false;
    }
    if (!tool_cache(a->base.cache, &top->flags, &top->writethrough)) {
        error_reportf("Invalid cache option: %s", a->base.cache);
        return false;
    }
    if (!tool_cache(a->base.src_cache, &src->flags, &src->writethrough)) {
        error_reportf("Invalid source cache option: %s", a->base.src_cache);
        return false;
    }
    return true;
}

static MACHINE_CALL int rebase_run(const ImgCmd *cmd, int argc, char **argv)
{
    RebaseArgs a = { .base = { .cache = "writeback",
                               .src_cache = "writeback" } };
    ToolOpen o = { 0 }, src = { 0 };
    Rebase r = { .a = &a };
    int at, status;

    if (!img_args(cmd, argc, argv, &a, &at, &status)) {
        return status;
    }
    if (a.base.quiet) {
        a.base.progress = false;
    }
    if (at + 1 != argc) {
        return tool_usage_error("Expecting one image file name");
    }
    if (!args_check(&a, &o, &src)) {
        return 1;
    }
    a.backing = a.backing ? a.backing : "";
    o.flags |= BLKO_RDWR | BLKO_UNMAP | (a.unsafe ? BLKO_NO_BACKING : 0);
    o.format = a.base.fmt;
    o.image_opts = a.base.image_opts;
    o.share = src.share = a.base.share;
    progress_begin(a.base.progress, 1);
    r.top = tool_open(argv[at], &o);
    status = 1;
    if (r.top && a.backing_fmt && !blk_driver_find(a.backing_fmt)) {
        error_reportf("Invalid format name: '%s'", a.backing_fmt);
    } else if (r.top) {
        status = rebase(&r, &src);
    }
    if (!status) {
        progress_set(1);
    }
    tool_close(r.new);
    tool_close(r.old);
    tool_close(r.top);
    free(r.was);
    free(r.is);
    progress_end();
    return status;
}

IMG_CMD(img_rebase, {
    .name = "rebase", .operands = "filename",
    .summary = "Changes an image's backing file.",
    .doc = "The image shows the same before and after: what the new backing "
           "file does not show is written to it, unless -u is given.",
    .tables = { img_opt_help, img_opt_object, img_opt_image_opts, img_opt_share,
                img_opt_quiet, img_opt_fmt, img_opt_cache, img_opt_src_cache,
                img_opt_progress, rebase_opts, NULL },
    .run = rebase_run,
});
