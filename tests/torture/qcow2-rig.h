/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2-rig.h - for the tests of qcow2 under failures: a file whose n-th request
 * fails, and an image in units that carry their place and a count, so that it
 * can be seen which write each holds.
 */
#ifndef TESTS_TORTURE_QCOW2_RIG_H
#define TESTS_TORTURE_QCOW2_RIG_H

#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include "block/driver.h"
#include "tests/qcow2-dir.h"

#pragma GCC diagnostic ignored "-Wunused-function"

#define SIZE (4 * MiB)
#define UNIT 512                       /* each carries its place and a count  */
#define UNITS (SIZE / UNIT)

/* ---- a file whose n-th write fails --------------------------------------- */

typedef struct Faulty {
    BlkNode node;
} Faulty;

static int fail_in = -1, fail_errno = EIO;     /* writes until then; -1: never */
static bool fail_on;                   /* once broken, broken for good?       */
static bool fail_hit;                  /* has one failed?                     */

static bool fails(const BlkReq *req)
{
    if ((req->op != BLK_WRITE && req->op != BLK_ZERO &&
         req->op != BLK_FLUSH) || fail_in < 0) {
        return false;
    }
    if (fail_in > 0) {
        fail_in--;
        return false;
    }
    fail_in = fail_on ? 0 : -1;
    fail_hit = true;
    return true;
}

static void faulty_submit(BlkNode *n, BlkReq *req)
{
    if (fails(req)) {
        blk_complete(req, -fail_errno);
        return;
    }
    blk_node_submit(n->file, req);
}

static int faulty_sync(BlkNode *n, BlkReq *req)
{
    return fails(req) ? -fail_errno : blk_node_sync(n->file, req);
}

static MACHINE_CALL bool faulty_open(BlkNode *n, Error **errp)
{
    n->length = n->file->length;
    return true;
}

static MACHINE_CALL bool faulty_truncate(BlkNode *n, uint64_t len,
                                         BlkPrealloc p, bool exact,
                                         Error **errp)
{
    if (!blk_node_truncate(n->file, len, p, exact, errp)) {
        return false;
    }
    n->length = n->file->length;
    return true;
}

static const BlkChildRow faulty_children[] = {
    { .name = "file", .role = ROLE_FILTERED }, { .name = NULL }
};
BLK_DRIVER(faulty_driver, {
    .name = "test-faulty", .desc = "fails on purpose", .size = sizeof(Faulty),
    .doc = "A test's.", .children = faulty_children, .filter = true,
    .open = faulty_open, .submit = faulty_submit, .sync = faulty_sync,
    .truncate = faulty_truncate,
});

static const char *const layouts[] = {
    "cluster_size=4k", "cluster_size=512,refcount_bits=64",
    "cluster_size=64k", "cluster_size=16k,extended_l2=on",
    "cluster_size=4k,lazy_refcounts=on",
};

/* ---- images -------------------------------------------------------------- */

static unsigned seed;

static unsigned rnd(unsigned n)
{
    seed = seed * 1103515245 + 12345;
    return n ? (seed >> 8) % n : 0;
}

NO_TSA static bool make_image(const char *opts)
{
    BlkImageSpec spec = { .filename = img, .format = "qcow2", .options = opts,
                          .size = SIZE };

    unlink(img);
    return blk_image_make(&spec, NULL);
}

NO_TSA static BlkBackend *image_open(bool faulty)
{
    BlkBackend *b = blk_new(NULL);
    Json *file = json_obj(), *opts = json_obj(), *outer = json_obj();
    Error *err = NULL;
    BlkNode *n;

    json_set_str(file, "driver", "file");
    json_set_str(file, "filename", img);
    json_set_str(outer, "driver", "test-faulty");
    json_set(outer, "file", file);
    json_set_str(opts, "driver", "qcow2");
    json_set_str(opts, "discard", "unmap");
    json_set_str(opts, "l2-cache-entry-size", "512");
    json_set(opts, "file", outer);
    n = blk_open_json(opts, true, &err);
    json_free(opts);
    if (!n || !blk_set_perm(b, BLKP_CONSISTENT_READ | BLKP_WRITE |
                            BLKP_RESIZE, BLKP_ALL, &err) ||
        !blk_insert(b, n, &err)) {
        if (faulty) {
            error_free(err);
        } else {
            tt_fail(__FILE__, __LINE__, "%s", error_text(err));
        }
        blk_node_unref(n);
        blk_unref(b);
        return NULL;
    }
    blk_node_unref(n);
    return b;
}

/* ---- units: place and count ---------------------------------------------- */

typedef struct Log {                   /* shared with the child that dies     */
    uint32_t issued[UNITS];            /* the last count that was written     */
    uint32_t sure[UNITS];              /* and the last that a flush covered   */
    uint32_t count;
    bool strange;                      /* discards, sizes, snapshots: any
                                          older count may be back             */
} Log;
static Log *lg;

static void unit_fill(uint8_t *p, uint32_t unit, uint32_t count)
{
    for (int i = 0; i < UNIT; i += 8) {
        st_le32(p + i, unit);
        st_le32(p + i + 4, count);
    }
}

/* Zeroes, or this place's and not older than what is sure. */
static bool unit_ok(const uint8_t *p, uint32_t unit)
{
    uint32_t count = ld_le32(p + 4);

    for (int i = 0; i < UNIT; i += 8) {
        uint32_t c = ld_le32(p + i + 4);

        if ((c && ld_le32(p + i) != unit) || (c != count)) {
            return false;
        }
    }
    return count <= lg->issued[unit] &&
           (lg->strange || count >= lg->sure[unit]);
}

NO_TSA static int units_write(BlkBackend *b, uint32_t first, uint32_t n)
{
    uint8_t *buf = malloc((size_t)n * UNIT);
    int ret;

    lg->count++;
    for (uint32_t i = 0; i < n; i++) {
        lg->issued[first + i] = lg->count;
        unit_fill(buf + (size_t)i * UNIT, first + i, lg->count);
    }
    ret = blk_pwrite(b, (uint64_t)first * UNIT, buf, (size_t)n * UNIT, 0);
    free(buf);
    return ret;
}

static void line(void *arg, const char *text)
{
    printf("# %s\n", text);
}

NO_TSA static void verify(const char *what, int at)
{
    uint8_t *buf = malloc(SIZE);
    BlkCheck c = { 0 };
    BlkBackend *b = image_open(false);
    int bad = 0;

    if (!b) {
        free(buf);
        return;
    }
    CHECK_EQ(blk_root(b)->drv->check(blk_root(b), &c, 0, NULL), 0);
    if (c.corruptions) {
        tt_fail(__FILE__, __LINE__, "%s, %d: %d corruptions", what, at,
                (int)c.corruptions);
        c = (BlkCheck){ .say = line };
        blk_root(b)->drv->check(blk_root(b), &c, 0, NULL);
    }
    memset(buf, 0, SIZE);
    CHECK_EQ(blk_pread(b, 0, buf, MIN2((uint64_t)blk_length(b), SIZE)), 0);
    for (uint32_t i = 0; i < UNITS; i++) {
        const uint8_t *p = buf + (size_t)i * UNIT;

        if (!unit_ok(p, i) && !bad++) {
            printf("# unit %u: place %u, count %u; written %u, sure %u\n", i,
                   ld_le32(p), ld_le32(p + 4), lg->issued[i], lg->sure[i]);
        }
        /* What is there now is what the next round starts from, but for
         * what a snapshot may hold. */
        lg->sure[i] = ld_le32(p + 4);
        lg->issued[i] = lg->strange ? lg->issued[i] : lg->sure[i];
    }
    if (bad) {
        tt_fail(__FILE__, __LINE__, "%s, %d: %d units wrong", what, at, bad);
    }
    blk_unref(b);
    free(buf);
}

/* ---- each test ----------------------------------------------------------- */

static void quiet(bool on)
{
    static int kept = -1;
    int null;

    if (on) {
        kept = dup(2);
        null = open("/dev/null", O_WRONLY);
        dup2(null, 2);
        close(null);
    } else {
        dup2(kept, 2);
        close(kept);
    }
}

static void begin(void)
{
    TEST_LIMIT(3000);
    dir_begin();
    lg = mmap(NULL, sizeof(*lg), PROT_READ | PROT_WRITE,
              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(lg != MAP_FAILED);
}

static void end(void)
{
    dir_end();
    munmap(lg, sizeof(*lg));
}

#endif
