/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * img-commit.c - `commit`: what images above a base hold goes into the base.
 *
 * Each layer is opened without its backing file, and the base for writing, by
 * the names that the chain records.
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. The top image is emptied after what it held has been flushed to the base.
 */
#include "tools/img.h"
#include "tools/reader.h"

#define LAYERS_MAX 256
#define PART (256 * KiB)
#define HOST_PART (16 * MiB)

typedef struct CommitArgs {
    ImgArgs base;
    const char *base_name, *rate;
    bool drop;
} CommitArgs;
#define AT(f) offsetof(CommitArgs, f)

static const ToolOpt commit_opts[] = {
    { NULL, 'b', TK_STR, 0, AT(base_name), "base",
      "Which image of the chain to write to; the next one below when not "
      "given. Those between keep what they have, so -d is implied." },
    { NULL, 'd', TK_FLAG, 0, AT(drop), NULL,
      "Leaves the top image as it is, to be removed." },
    { NULL, 'r', TK_STR, 0, AT(rate), "rate_limit", "Bytes a second." },
    { .name = NULL }
};

typedef struct Commit {
    const CommitArgs *a;
    const char *name;
    BlkBackend *layer[LAYERS_MAX], *base;
    int n;
    int64_t rate, begun_ns;
    uint64_t moved;
} Commit;

/* ---- the chain ------------------------------------------------------------ */

static MACHINE_CALL bool layer_add(Commit *c, const char *name,
                                   const ToolOpen *o)
{
    if (c->n == LAYERS_MAX) {
        error_reportf("The backing chain of '%s' has more than %d images",
                      c->name, LAYERS_MAX);
        return false;
    }
    c->layer[c->n] = tool_open(name, o);
    return c->layer[c->n++] != NULL;
}

static bool is_base(const Commit *c, const char *name, const char *full)
{
    const char *want = c->a->base_name;

    return !want || !strcmp(want, name) || !strcmp(want, full);
}

static MACHINE_CALL bool base_missing(const Commit *c)
{
    if (c->a->base_name) {
        error_reportf("Did not find '%s' in the backing chain of '%s'",
                      c->a->base_name, c->name);
    } else {
        error_reportf("Image does not have a backing file");
    }
    return false;
}

/* Opens what lies between the top and the base, then the base. */
static MACHINE_CALL bool chain_open(Commit *c, unsigned flags)
{
    for (;;) {
        BlkNode *n = blk_root(c->layer[c->n - 1]);
        g_autofree char *full = NULL, *fmt = g_strdup(n->backing_format);
        ToolOpen o = { .format = fmt, .flags = flags };

        if (!n->backing_name || !*n->backing_name) {
            return base_missing(c);
        }
        full = blk_path_combine(n->filename, n->backing_name);
        if (is_base(c, n->backing_name, full)) {
            o.flags |= BLKO_RDWR | BLKO_UNMAP;
            c->base = tool_open(full, &o);
            return c->base != NULL;
        }
        o.flags |= BLKO_NO_BACKING;
        if (!layer_add(c, full, &o)) {
            return false;
        }
    }
}

/* ---- copying -------------------------------------------------------------- */

/* The topmost layer that holds the byte at off; -1: none. *len shrinks to what
 * is so from there on. */
static MACHINE_CALL int holder_at(Commit *c, uint64_t off, uint64_t *len,
                                  bool *zero)
{
    BlkExtent x;

    for (int i = 0; i < c->n; i++) {
        BlkNode *n = blk_root(c->layer[i]);
        int ret;

        if (off >= n->length) {        /* ends here: zeroes for those above   */
            *zero = true;
            return i;
        }
        ret = blk_node_extent(n, off, MIN2(*len, n->length - off), &x);
        if (ret < 0 || !x.len) {
            error_reportf("error while reading block status at offset %" PRIu64
                          ": %s", off, strerror(ret < 0 ? -ret : EIO));
            return -2;
        }
        *len = MIN2(*len, x.len);
        if (x.flags & BLKX_ALLOCATED) {
            *zero = x.flags & BLKX_ZERO;
            return i;
        }
    }
    return -1;
}

/* By the host: without its being read and written here. */
static MACHINE_CALL bool copy_host(Commit *c, int i, uint64_t off, uint64_t len)
{
    while (len) {
        uint64_t n = MIN2(len, HOST_PART);

        if (blk_co_copy_host(blk_root(c->layer[i]), off, blk_root(c->base),
                             off, n) < 0) {
            return false;
        }
        off += n;
        len -= n;
        progress_set((double)off / blk_root(c->layer[0])->length);
    }
    return true;
}

static MACHINE_CALL int copy_data(Commit *c, int i, uint64_t off, uint64_t len)
{
    Reader *r;
    int ret = 0;

    if (copy_host(c, i, off, len)) {
        return 0;
    }
    r = reader_new(c->layer[i], PART);
    reader_start(r, off, len);
    while (len && ret >= 0) {
        uint8_t *p;
        size_t n = 0;

        ret = reader_next(r, &p, &n);
        if (ret >= 0) {
            ret = blk_pwrite(c->base, off, p, n, 0);
        }
        off += n;
        len -= n;
        progress_set((double)off / blk_root(c->layer[0])->length);
    }
    reader_free(r);
    return ret;
}

static void rate_wait(Commit *c, uint64_t bytes)
{
    int64_t due;

    c->moved += bytes;
    if (c->rate > 0) {
        due = c->begun_ns +
              (int64_t)((double)c->moved / (double)c->rate * 1e9);
        if (due > clock_ns(CLOCK_RT)) {
            g_usleep((gulong)(due - clock_ns(CLOCK_RT)) / 1000);
        }
    }
}

static MACHINE_CALL int copy_all(Commit *c)
{
    uint64_t end = blk_root(c->layer[0])->length, len;
    int ret = 0;

    for (uint64_t off = 0; off < end && ret >= 0; off += len) {
        bool zero = false;
        int i;

        len = MIN2(end - off, GiB);
        i = holder_at(c, off, &len, &zero);
        if (i < -1) {
            return -EIO;
        }
        if (i >= 0) {
            rate_wait(c, zero ? 0 : len);
            ret = zero ? blk_co_zero(blk_root(c->base), off, len,
                                     BLKF_MAY_UNMAP)
                       : copy_data(c, i, off, len);
        }
        progress_set((double)(off + len) / end);
    }
    if (ret >= 0) {
        ret = blk_flush(c->base);
    }
    if (ret < 0) {
        error_reportf("Block job failed: %s", strerror(-ret));
    }
    return ret;
}

static MACHINE_CALL bool base_grow(Commit *c)
{
    uint64_t want = blk_root(c->layer[0])->length;
    Error *err = NULL;

    if (blk_root(c->base)->length >= want) {
        return true;
    }
    if (blk_node_truncate(blk_root(c->base), want, PREALLOC_OFF, false, &err)) {
        return true;
    }
    error_prepend(&err, "Could not resize base image: ");
    error_report(err);
    return false;
}

static MACHINE_CALL bool top_empty(Commit *c)
{
    BlkNode *n = blk_root(c->layer[0]);
    int ret = n->drv->make_empty ? n->drv->make_empty(n) : -ENOTSUP;

    /* What cannot be emptied keeps what its base holds too. */
    if (ret == -ENOTSUP) {
        return true;
    }
    if (ret < 0) {
        error_reportf("Could not empty %s: %s", c->name, strerror(-ret));
    }
    return ret >= 0;
}

static MACHINE_CALL bool commit(Commit *c, const ToolOpen *top, unsigned flags)
{
    ToolOpen o = *top;

    o.flags |= BLKO_NO_BACKING | BLKO_RDWR | BLKO_UNMAP;
    if (!layer_add(c, c->name, &o) || !chain_open(c, flags) || !base_grow(c)) {
        return false;
    }
    if (copy_all(c) < 0) {
        return false;
    }
    return c->a->drop || c->a->base_name || top_empty(c);
}

static MACHINE_CALL int commit_run(const ImgCmd *cmd, int argc, char **argv)
{
    CommitArgs a = { .base.cache = "writeback" };
    Commit c = { .a = &a, .begun_ns = clock_ns(CLOCK_RT) };
    ToolOpen o = { 0 };
    int at, status;
    bool ok;

    if (!img_args(cmd, argc, argv, &a, &at, &status)) {
        return status;
    }
    if (a.rate && (c.rate = tool_number("rate limit", a.rate,
                                        INT64_MAX)) < 0) {
        return 1;
    }
    if (at + 1 != argc) {
        return tool_usage_error("Expecting one image file name");
    }
    if (!tool_cache(a.base.cache, &o.flags, &o.writethrough)) {
        error_reportf("Invalid cache option: %s", a.base.cache);
        return 1;
    }
    c.name = argv[at];
    o.format = a.base.fmt;
    o.image_opts = a.base.image_opts;
    progress_begin(a.base.progress && !a.base.quiet, 1);
    ok = commit(&c, &o, o.flags);
    if (ok) {
        progress_set(1);
    }
    for (int i = 0; i < c.n; i++) {
        tool_close(c.layer[i]);
    }
    tool_close(c.base);
    progress_end();
    if (ok) {
        img_say(&a.base, "Image committed.\n");
    }
    return ok ? 0 : 1;
}

IMG_CMD(img_commit, {
    .name = "commit", .operands = "filename",
    .summary = "Writes what an image holds to its backing file.",
    .doc = "The base grows to the image's size if it is smaller, and the image "
           "is emptied unless -d or -b is given. Other images on the same base "
           "become useless.",
    .tables = { img_opt_help, img_opt_object, img_opt_image_opts, img_opt_quiet,
                img_opt_fmt, img_opt_cache, commit_opts, img_opt_progress,
                NULL },
    .run = commit_run,
});
