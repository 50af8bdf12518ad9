/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blkverify.c - two images side by side: every write goes to both, and what is
 * read from both must be equal, else the program ends. For tests of formats.
 *
 * Thread class: LOOP_CALL(node's loop); open MACHINE_CALL.
 *
 * Invariants
 * 1. A request is made to the image under test first, then to the raw copy.
 */
#include <glib.h>
#include <stdarg.h>
#include "block/driver.h"
#include "block/iov.h"

typedef struct Blkverify {
    BlkNode node;                      /* file is the raw copy                */
    BlkNode *test;
} Blkverify;

static const char *op_name(BlkOp op)
{
    return op == BLK_READ ? "read" : op == BLK_WRITE ? "write"
        : op == BLK_FLUSH ? "flush" : op == BLK_ZERO ? "write_zeroes"
                                                     : "discard";
}

static void end(void *arg)
{
    exit(1);
}

/* The program ends in the main loop, not on the stack of a coroutine; the request
 * never does. */
static void stop_if(bool differ, const BlkReq *req, const char *fmt, ...)
    G_GNUC_PRINTF(3, 4);
static void stop_if(bool differ, const BlkReq *req, const char *fmt, ...)
{
    va_list ap;

    if (!differ) {
        return;
    }
    fprintf(stderr, "blkverify: %s offset=%" PRIu64 " bytes=%" PRIu64 " ",
            op_name(req->op), req->off, req->len);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    if (co_self()) {
        loop_post_fn(loop_main, end, NULL);
        for (;;) {
            co_yield();
        }
    }
    exit(1);
}

static int one(BlkNode *n, const BlkReq *req, const struct iovec *iov)
{
    BlkReq own = { .op = req->op, .flags = req->flags, .off = req->off,
                   .len = req->len, .iov = iov, .niov = iov ? req->niov : 0 };

    return blk_co_req(n, &own);
}

/* The first byte that differs; len: none. */
static size_t difference(const BlkReq *req, const uint8_t *raw)
{
    size_t at = 0;

    for (unsigned i = 0; i < req->niov; i++) {
        const uint8_t *p = req->iov[i].iov_base;

        for (size_t k = 0; k < req->iov[i].iov_len; k++, at++) {
            if (p[k] != raw[at]) {
                return at;
            }
        }
    }
    return at;
}

static int both(Blkverify *v, BlkReq *req)
{
    g_autofree uint8_t *buf = NULL;
    struct iovec whole[1];
    BlkReq copy = { .op = req->op, .flags = req->flags, .off = req->off,
                    .len = req->len, .iov = req->iov, .niov = req->niov };
    int a, b;

    a = one(v->test, req, req->iov);
    if (req->op == BLK_READ) {
        buf = g_try_malloc(MAX2(req->len, 1));
        if (!buf) {
            return -ENOMEM;
        }
        whole[0] = (struct iovec){ buf, req->len };
        copy.iov = whole;
        copy.niov = 1;
    }
    b = blk_co_req(v->node.file, &copy);
    stop_if(a != b, req, "return value mismatch %d != %d", a, b);
    if (!a && buf) {
        size_t at = difference(req, buf);

        stop_if(at < req->len, req, "contents mismatch at offset %" PRIu64,
                req->off + at);
    }
    return a;
}

static int verify_run(BlkNode *n, BlkReq *req)
{
    Blkverify *v = (Blkverify *)n;

    if (req->op == BLK_FLUSH) {
        return blk_co_flush(v->test);  /* the copy is of no worth by itself   */
    }
    if (req->op == BLK_DISCARD) {
        return 0;                      /* a hint that both ignore             */
    }
    return req->op == BLK_IOCTL ? -ENOTSUP : both(v, req);
}

static int verify_extent(BlkNode *n, uint64_t off, uint64_t len, BlkExtent *x)
{
    return blk_node_extent(((Blkverify *)n)->test, off, len, x);
}

static MACHINE_CALL bool verify_open(BlkNode *n, Error **errp)
{
    Blkverify *v = (Blkverify *)n;

    if (!n->child_opts || !json_get(n->child_opts, "test")) {
        return error_set(errp, "Parameter 'test' is missing");
    }
    if (!blk_child_open(n, "test", NULL, NULL, &v->test, errp)) {
        return false;
    }
    if (!v->test) {
        return error_set(errp, "Parameter 'test' is missing");
    }
    if (!blk_child_attach(n, v->test, "test", ROLE_DATA, errp)) {
        return false;
    }
    n->length = v->test->length;
    return true;
}

/* "raw:image" */
static bool verify_parse(const char *rest, Json *opts, Error **errp)
{
    const char *colon = strchr(rest, ':');
    g_autofree char *raw = NULL, *driver = NULL;

    if (!colon) {
        return error_set(errp, "blkverify requires raw copy and original image "
                         "path");
    }
    raw = g_strndup(rest, (gsize)(colon - rest));
    driver = blk_filename_driver(raw, &rest, errp);
    if (!driver) {
        return false;
    }
    json_set_str(opts, "raw.driver", driver);
    json_set_str(opts, "raw.filename", rest);
    json_set_str(opts, "test.filename", colon + 1);
    return true;
}

static char *verify_filename(BlkNode *n)
{
    const Blkverify *v = (const Blkverify *)n;

    if (g_str_has_prefix(n->file->filename, "json:") ||
        g_str_has_prefix(v->test->filename, "json:")) {
        return NULL;
    }
    return g_strdup_printf("blkverify:%s:%s", n->file->filename,
                           v->test->filename);
}

static const BlkChildRow verify_children[] = {
    { .name = "raw", .role = ROLE_FILTERED },
    { .name = "test", .role = ROLE_DATA, .by_driver = true },
    { .name = NULL }
};

BLK_DRIVER(blkverify_driver, {
    .name = "blkverify", .desc = "comparing", .size = sizeof(Blkverify),
    .doc = "An image under test beside a raw copy; ends the program when what "
           "they hold differs. For tests.",
    .children = verify_children, .filter = true, .protocol = true,
    .prefix = "blkverify:", .parse_filename = verify_parse,
    .open = verify_open, .co_run = verify_run, .extent = verify_extent,
    .filename = verify_filename,
});
