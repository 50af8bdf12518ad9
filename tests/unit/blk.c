/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Block requests on files: straight path, drain, alignment, locks, windows. */
#include <fcntl.h>
#include <glib.h>
#include "blk.h"
#include "opt.h"
#include "tests/tern-test.h"

#define SIZE (1 << 20)

static char path[64];

static void image_make(void)
{
    uint8_t *buf = malloc(SIZE);
    int fd;

    for (size_t i = 0; i < SIZE; i++) {
        buf[i] = (uint8_t)(i / 512 * 7 + i % 251);
    }
    snprintf(path, sizeof(path), "blk-test-%d.raw", getpid());
    fd = open(path, O_CREAT | O_TRUNC | O_RDWR, 0600);
    if (fd < 0 || write(fd, buf, SIZE) != SIZE) {
        abort();
    }
    close(fd);
    free(buf);
}

static uint8_t expect_at(size_t i)
{
    return (uint8_t)(i / 512 * 7 + i % 251);
}

NO_TSA static BlkBackend *backend_open(const char *opts, Error **errp)
{
    g_autofree char *text = g_strdup_printf(opts, path);
    BlkBackend *b = blk_new(NULL);
    BlkNode *n;
    Opts o;

    if (!opts_parse(&o, text, "driver", 0, errp)) {
        return NULL;
    }
    n = blk_open_json(o.obj, true, errp);
    opts_free(&o);
    if (!n || !blk_set_perm(b, BLKP_CONSISTENT_READ | BLKP_WRITE,
                            BLKP_CONSISTENT_READ, errp) ||
        !blk_insert(b, n, errp)) {
        blk_node_unref(n);
        blk_unref(b);
        return NULL;
    }
    blk_node_unref(n);
    return b;
}

typedef struct Many {
    BlkReq req;
    struct iovec iov;
    uint8_t buf[1024];
    int *done;
} Many;

static void many_done(BlkReq *req)
{
    Many *m = container_of(req, Many, req);

    (*m->done)++;
}

/* Sixty-four reads at once; a drain ends when all have come back. */
NO_TSA static void read_many(BlkBackend *b)
{
    Many *m = calloc(64, sizeof(*m));
    int done = 0;

    blk_plug(b);
    for (int i = 0; i < 64; i++) {
        m[i].done = &done;
        m[i].iov = (struct iovec){ m[i].buf, 1024 };
        m[i].req = (BlkReq){ .op = BLK_READ, .off = (uint64_t)i * 4096,
                             .len = 1024, .iov = &m[i].iov, .niov = 1,
                             .done = many_done };
        blk_submit(b, &m[i].req);
    }
    CHECK_EQ(done, 0);
    blk_unplug(b);
    blk_drain(b);
    CHECK_EQ(done, 64);
    for (int i = 0; i < 64; i++) {
        CHECK_EQ(m[i].req.ret, 0);
        CHECK_EQ(m[i].buf[700], expect_at((size_t)i * 4096 + 700));
    }
    free(m);
}

static const char *const ways[] = {
    "driver=file,filename=%s",
    "driver=raw,file.driver=file,file.filename=%s",
    "driver=file,filename=%s,cache.direct=on",
    "driver=file,filename=%s,cache.direct=on,aio=native",
};

NO_TSA static void way_run(const char *way)
{
    Error *err = NULL;
    BlkBackend *b;
    uint8_t buf[3000];

    image_make();
    b = backend_open(way, &err);
    unlink(path);
    if (!b) {
        printf("# %s: %s\n", way, error_text(err));
        error_free(err);
        return;
    }
    read_many(b);
    /* Off any alignment: neighbours stay. */
    memset(buf, 0xa5, sizeof(buf));
    CHECK_EQ(blk_pwrite(b, 5001, buf, 2999, 0), 0);
    CHECK_EQ(blk_pread(b, 5000, buf, 3000), 0);
    CHECK_EQ(buf[0], expect_at(5000));
    CHECK_EQ(buf[1], 0xa5);
    CHECK_EQ(buf[2999], 0xa5);
    CHECK_EQ(blk_pread(b, 8000, buf, 2), 0);
    CHECK_EQ(buf[0], expect_at(8000));
    CHECK_EQ(blk_flush(b), 0);
    /* Past the end. */
    CHECK_EQ(blk_pread(b, SIZE - 1, buf, 2), -EIO);
    CHECK_EQ(blk_pread(b, UINT64_MAX - 1, buf, 2), -EIO);
    CHECK_EQ(blk_pwrite(b, SIZE, buf, 1, 0), -EIO);
    blk_unref(b);
}

NO_TSA static void all_ways(void)
{
    machine_lock();
    for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
        way_run(ways[i]);
    }
    machine_unlock();
}

TEST(requests_on_files)
{
    all_ways();
}

TEST(drained_backend_keeps_requests_back)
{
    Many m = { 0 };
    int done = 0;
    BlkBackend *b;

    machine_lock();
    image_make();
    b = backend_open("driver=file,filename=%s", NULL);
    REQUIRE(b);
    blk_drain_begin(b);
    m.done = &done;
    m.iov = (struct iovec){ m.buf, 512 };
    m.req = (BlkReq){ .op = BLK_READ, .len = 512, .iov = &m.iov, .niov = 1,
                      .done = many_done };
    blk_submit(b, &m.req);
    for (int i = 0; i < 5; i++) {
        loop_step(false);
    }
    CHECK_EQ(done, 0);
    blk_drain_end(b);
    blk_drain(b);
    CHECK_EQ(done, 1);
    CHECK_EQ(m.buf[9], expect_at(9));
    blk_unref(b);
    unlink(path);
    machine_unlock();
}

TEST(window_of_a_file)
{
    Error *err = NULL;
    BlkBackend *b;
    uint8_t c;

    machine_lock();
    image_make();
    b = backend_open("driver=raw,offset=1024,size=2048,file.driver=file,"
                     "file.filename=%s", &err);
    REQUIRE(b);
    CHECK_EQ(blk_length(b), 2048);
    CHECK_EQ(blk_pread(b, 100, &c, 1), 0);
    CHECK_EQ(c, expect_at(1124));
    CHECK_EQ(blk_pread(b, 2048, &c, 1), -EIO);
    blk_unref(b);
    CHECK(!backend_open("driver=raw,offset=4096,size=1048576,file.driver=file,"
                        "file.filename=%s", &err));
    CHECK_CONTAINS(error_text(err), "The sum of offset (4096)");
    error_free(err);
    unlink(path);
    machine_unlock();
}

/* The node's own file description and another one, in the same process. */
TEST(second_writer_is_refused)
{
    Error *err = NULL;
    BlkBackend *b;

    machine_lock();
    image_make();
    b = backend_open("driver=file,filename=%s", &err);
    REQUIRE(b);
    CHECK(!backend_open("driver=file,filename=%s", &err));
    CHECK_STR(error_text(err), "Failed to get \"write\" lock");
    CHECK_CONTAINS(error_hint_text(err), "Is another process using the image [");
    error_free(err);
    blk_unref(b);
    b = backend_open("driver=file,filename=%s", NULL);
    CHECK(b);
    blk_unref(b);
    unlink(path);
    machine_unlock();
}

TEST(two_users_of_one_node)
{
    Error *err = NULL;
    BlkBackend *b, *c;

    machine_lock();
    image_make();
    b = backend_open("driver=file,filename=%s", &err);
    REQUIRE(b);
    c = blk_new("second");
    CHECK(blk_set_perm(c, BLKP_WRITE, BLKP_ALL, &err));
    CHECK(!blk_insert(c, blk_root(b), &err));
    CHECK_CONTAINS(error_text(err), "which does not allow 'write' on");
    error_free(err);
    blk_unref(c);
    blk_unref(b);
    unlink(path);
    machine_unlock();
}
