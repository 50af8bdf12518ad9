/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Requests that must not meet: parts of blocks written at once, reads that copy
 * beside writes, on real files with many requests in flight. */
#include <glib.h>
#include "block/driver.h"
#include "tests/tern-test.h"

#define COUNT 600
#define PIECE 100

static char base[64], top[64];
static unsigned left, failed;

typedef struct Piece {
    BlkReq req;
    struct iovec iov;
    uint8_t data[PIECE];
} Piece;

static void names_make(void)
{
    snprintf(base, sizeof(base), "blk-gate-%d.base", getpid());
    snprintf(top, sizeof(top), "blk-gate-%d.top", getpid());
}

static void piece_done(BlkReq *req)
{
    left--;
    failed += req->ret != 0;
}

static void piece_start(BlkBackend *b, Piece *p, BlkOp op, uint64_t off)
{
    p->iov = (struct iovec){ p->data, PIECE };
    p->req = (BlkReq){ .op = op, .off = off, .len = PIECE, .iov = &p->iov,
                       .niov = 1, .done = piece_done };
    left++;
    blk_submit(b, &p->req);
}

NO_TSA static void wait_all(void)
{
    while (left) {
        loop_step(true);
    }
}

NO_TSA static BlkBackend *opened(const char *json)
{
    BlkBackend *b = blk_new(NULL);
    Error *err = NULL;
    Json *v = json_parse(json, strlen(json), &err);
    BlkNode *n = v ? blk_open_json(v, false, &err) : NULL;
    bool ok = n && blk_set_perm(b, BLKP_CONSISTENT_READ | BLKP_WRITE, BLKP_ALL,
                                &err) && blk_insert(b, n, &err);

    if (!ok) {
        printf("# %s\n", err ? error_text(err) : "?");
        error_free(err);
        blk_unref(b);
        b = NULL;
    }
    blk_node_unref(n);
    json_free(v);
    return b;
}

/* Each piece has its own number; a lost one was overwritten with old bytes. */
NO_TSA static void pieces_check(BlkBackend *b, unsigned step, uint8_t between)
{
    static uint8_t all[COUNT * PIECE + 65536];
    unsigned wrong = 0;

    REQUIRE(blk_pread(b, 0, all, COUNT * PIECE) == 0);
    for (unsigned i = 0; i < COUNT * PIECE; i++) {
        unsigned k = i / PIECE;
        uint8_t want = k % step ? between : (uint8_t)(k % 250 + 1);

        wrong += all[i] != want;
    }
    CHECK_EQ((int64_t)wrong, 0);
}

NO_TSA static void parts_written(const char *how, unsigned align)
{
    g_autofree Piece *v = g_new0(Piece, COUNT);
    g_autofree char *json = g_strdup_printf(
        "{'driver':'raw','file':{'driver':'blkdebug','align':%u,'image':"
        "{'driver':'file','filename':'%s'%s}}}", align, base, how);
    BlkBackend *b;

    REQUIRE(blk_image_create(base, "raw", NULL, false, 1 << 20, NULL));
    b = opened(json);
    REQUIRE(b);
    failed = 0;
    for (unsigned i = 0; i < COUNT; i++) {
        /* neighbours are far apart in time */
        unsigned k = i * 7 % COUNT;

        memset(v[k].data, k % 250 + 1, PIECE);
        piece_start(b, &v[k], BLK_WRITE, (uint64_t)k * PIECE);
    }
    wait_all();
    CHECK_EQ((int64_t)failed, 0);
    pieces_check(b, 1, 0);
    blk_unref(b);
    unlink(base);
}

TEST(parts_of_blocks_are_all_written)
{
    machine_lock();
    names_make();
    parts_written("", 512);
    parts_written("", 4096);
    parts_written(",'cache':{'direct':true},'aio':'native'", 4096);
    parts_written(",'aio':'io_uring'", 4096);
    machine_unlock();
}

/* Serialising requests have their blocks for themselves: two that read, change
 * and write would else lose one another's bytes; here all is one big request in
 * pieces beside them. */
TEST(reads_that_copy_lose_no_write)
{
    g_autofree Piece *v = g_new0(Piece, COUNT), *r = g_new0(Piece, COUNT);
    g_autofree uint8_t *fill = g_malloc(1 << 20);
    g_autofree char *json = NULL;
    Json *opts = json_obj();
    BlkBackend *b;

    machine_lock();
    names_make();
    memset(fill, 0xee, 1 << 20);
    REQUIRE(blk_image_create(base, "raw", NULL, false, 1 << 20, NULL));
    json = g_strdup_printf("{'driver':'raw','file':{'driver':'file',"
                           "'filename':'%s'}}", base);
    b = opened(json);
    REQUIRE(b);
    CHECK_EQ(blk_pwrite(b, 0, fill, 1 << 20, 0), 0);
    blk_unref(b);
    json_set_str(opts, "backing_file", base);
    json_set_str(opts, "backing_fmt", "raw");
    json_set_int(opts, "cluster_size", 4096);
    REQUIRE(blk_image_create(top, "qcow2", opts, false, 1 << 20, NULL));
    json_free(opts);
    g_free(json);
    json = g_strdup_printf("{'driver':'copy-on-read','file':{'driver':'qcow2',"
                           "'file':{'driver':'file','filename':'%s'}}}", top);
    b = opened(json);
    REQUIRE(b);
    failed = 0;
    for (unsigned i = 0; i < COUNT; i++) {
        unsigned k = i * 7 % COUNT;

        piece_start(b, &r[k], BLK_READ, (uint64_t)k * PIECE);
        if (k % 2 == 0) {
            memset(v[k].data, k % 250 + 1, PIECE);
            piece_start(b, &v[k], BLK_WRITE, (uint64_t)k * PIECE);
        }
    }
    wait_all();
    CHECK_EQ((int64_t)failed, 0);
    pieces_check(b, 2, 0xee);
    blk_unref(b);
    unlink(base);
    unlink(top);
    machine_unlock();
}
