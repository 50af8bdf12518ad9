/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qcow2 images against a flat model: random requests in every layout, checked by
 * our own check and by the peer's where it is installed. */
#include <fcntl.h>
#include <glib.h>
#include "block/driver.h"
#include "tests/qcow2-dir.h"

#define SIZE (6 * MiB + 1536)
#define FLIGHT 12                      /* requests at once                    */

static uint8_t *model, *state;         /* state: 1 where a request is under way */
static uint64_t size;

static const char *const layouts[] = {
    "cluster_size=64k",
    "cluster_size=512,refcount_bits=1",
    "cluster_size=4k,refcount_bits=64,lazy_refcounts=on",
    "cluster_size=2M",
    "cluster_size=16k,extended_l2=on",
    "cluster_size=64k,compat=0.10",
    "cluster_size=32k,extended_l2=on,compression_type=zstd,refcount_bits=4",
    "cluster_size=8k,preallocation=metadata",
    "cluster_size=64k,data_file=%s/data",
    "cluster_size=64k,data_file=%s/data,data_file_raw=on",
};

NO_TSA static bool image_make(const char *layout, const char *backing)
{
    g_autofree char *opts = g_strdup_printf(layout, dir);
    BlkImageSpec spec = { .filename = img, .format = "qcow2", .options = opts,
                          .size = SIZE, .backing = backing,
                          .backing_fmt = backing ? "raw" : NULL };
    Error *err = NULL;

    unlink(img);
    if (strchr(layout, '%')) {
        g_autofree char *data = g_strdup_printf("%s/data", dir);

        unlink(data);
    }
    if (!blk_image_make(&spec, &err)) {
        printf("# %s: %s\n", layout, error_text(err));
        error_free(err);
        return false;
    }
    return true;
}

NO_TSA static BlkBackend *image_open(const char *more)
{
    BlkBackend *b = blk_new(NULL);
    Error *err = NULL;
    Json *opts = more ? json_parse(more, strlen(more), &err) : json_obj();
    BlkNode *n;

    json_set_str(opts, "driver", "qcow2");
    n = blk_open(img, opts, BLKO_RDWR | BLKO_UNMAP, &err);
    json_free(opts);
    if (!n || !blk_set_perm(b, BLKP_CONSISTENT_READ | BLKP_WRITE |
                            BLKP_RESIZE, BLKP_ALL, &err) ||
        !blk_insert(b, n, &err)) {
        printf("# open: %s\n", error_text(err));
        error_free(err);
        return NULL;
    }
    blk_node_unref(n);
    return b;
}

/* ---- requests ------------------------------------------------------------ */

typedef struct Op {
    BlkReq req;
    struct iovec iov[2];
    uint8_t *buf;
    bool busy;
} Op;

static Op ops[FLIGHT];
static unsigned seed;

static unsigned rnd(unsigned n)
{
    seed = seed * 1103515245 + 12345;
    return n ? (seed >> 8) % n : 0;
}

static void op_done(BlkReq *req)
{
    Op *o = container_of(req, Op, req);

    CHECK(req->ret >= 0 || req->ret == -ENOTSUP);
    if (req->op == BLK_READ) {
        CHECK(!memcmp(o->buf, model + req->off, req->len));
    } else if (req->op == BLK_WRITE) {
        memcpy(model + req->off, o->buf, req->len);
    } else if (req->op == BLK_ZERO && req->ret >= 0) {
        memset(model + req->off, 0, req->len);
    }
    if (req->len) {
        memset(state + req->off, 0, req->len);
    }
    g_free(o->buf);
    o->busy = false;
}

static bool range_idle(uint64_t off, uint64_t len)
{
    return !memchr(state + off, 1, len);
}

NO_TSA static void op_start(BlkBackend *b, Op *o)
{
    static const BlkOp kinds[] = { BLK_READ, BLK_READ, BLK_WRITE, BLK_WRITE,
                                   BLK_WRITE, BLK_ZERO, BLK_FLUSH };
    BlkOp op = kinds[rnd(rnd(4) ? 6 : 7)];
    uint64_t len = 1 + rnd(rnd(3) ? 9000 : rnd(4) ? 80000 : 900000);
    uint64_t off = (uint64_t)rnd(1 << 20) * rnd(1 << 10) % size;

    if (!rnd(3)) {
        off = ALIGN_DOWN(off, 4096);
        len = ALIGN_UP(len, 4096);
    }
    len = MIN2(len, size - off);
    if (op == BLK_FLUSH) {
        len = off = 0;
    } else if (!range_idle(off, len)) {
        return;
    }
    o->busy = true;
    o->buf = op <= BLK_WRITE ? g_malloc(len) : NULL;
    if (op == BLK_WRITE) {
        memset(o->buf, (int)rnd(256), len);
        o->buf[rnd((unsigned)len)] = (uint8_t)rnd(256);
    }
    memset(state + off, 1, len);
    o->iov[0] = (struct iovec){ o->buf, len / 3 };
    o->iov[1] = (struct iovec){ o->buf + len / 3, len - len / 3 };
    o->req = (BlkReq){ .op = op, .off = off, .len = len,
                       .iov = o->buf ? o->iov : NULL, .niov = o->buf ? 2 : 0,
                       .done = op_done,
                       .flags = op == BLK_ZERO && rnd(2) ? BLKF_MAY_UNMAP
                              : op == BLK_WRITE && !rnd(20) ? BLKF_FUA : 0 };
    blk_submit(b, &o->req);
}

NO_TSA static void run_ops(BlkBackend *b, int n)
{
    while (n-- > 0) {
        for (int i = 0; i < FLIGHT; i++) {
            if (!ops[i].busy && rnd(2)) {
                op_start(b, &ops[i]);
            }
        }
        loop_step(false);
    }
    blk_drain(b);
}

/* Whole clusters, so that what is discarded reads as zeroes. */
NO_TSA static void discard_some(BlkBackend *b, uint64_t cluster)
{
    for (int i = 0; i < 6; i++) {
        uint64_t off = ALIGN_DOWN(rnd((unsigned)size), cluster);
        uint64_t len = MIN2(cluster * (1 + rnd(4)), size - off);
        BlkReq req = { .op = BLK_DISCARD, .off = off, .len = len };

        CHECK(blk_co_req(blk_root(b), &req) >= 0);
    }
}

NO_TSA static void model_check(BlkBackend *b, bool adopt)
{
    uint8_t *buf = malloc(size);

    CHECK_EQ(blk_pread(b, 0, buf, size), 0);
    if (adopt) {
        memcpy(model, buf, size);
    }
    for (uint64_t i = 0; i < size; i++) {
        if (buf[i] != model[i]) {
            CHECK_EQ(i, UINT64_MAX);
            break;
        }
    }
    free(buf);
}

static void line(void *arg, const char *text)
{
    printf("# %s: %s\n", (const char *)arg, text);
}

NO_TSA static void own_check(BlkBackend *b, const char *what)
{
    BlkCheck c = { .say = line, .arg = (void *)(uintptr_t)what };
    BlkNode *n = blk_root(b);

    CHECK_EQ(n->drv->check(n, &c, 0, NULL), 0);
    CHECK(!c.corruptions);
    CHECK(!c.leaks);
    CHECK(!c.check_errors);
}

static bool have_peer(void)
{
    static int have = -1;

    if (have < 0) {
        have = !system("qemu-img --version >/dev/null 2>&1");
    }
    return have;
}

/* With the image closed: the peer's verdict, and what it reads. */
static void peer_check(const char *what)
{
    g_autofree char *cmd = NULL, *flat = g_strdup_printf("%s/flat", dir);
    FILE *f;

    if (!have_peer()) {
        return;
    }
    f = fopen(flat, "w");
    REQUIRE(f && fwrite(model, 1, size, f) == size);
    fclose(f);
    cmd = g_strdup_printf("qemu-img check -q %s && qemu-img compare -q -f qcow2 "
                          "-F raw %s %s", img, img, flat);
    if (system(cmd)) {
        tt_fail(__FILE__, __LINE__, "the peer dislikes %s", what);
    }
    unlink(flat);
}

static uint8_t base_byte(uint64_t i)
{
    return (uint8_t)(i / 512 * 7 + i % 251);
}

static void base_make(void)
{
    g_autofree char *base = g_strdup_printf("%s/base", dir);
    FILE *f = fopen(base, "w");

    REQUIRE(f);
    for (uint64_t i = 0; i < SIZE / 2; i++) {
        fputc(base_byte(i), f);
    }
    fclose(f);
}

NO_TSA static void layout_run(const char *layout, const char *backing,
                              int rounds)
{
    BlkBackend *b;

    size = SIZE;
    memset(model, 0, SIZE);
    if (backing) {
        for (uint64_t i = 0; i < SIZE / 2; i++) {
            model[i] = base_byte(i);
        }
    }
    REQUIRE(image_make(layout, backing));
    b = image_open(NULL);
    REQUIRE(b);
    for (int i = 0; i < rounds; i++) {
        run_ops(b, 120);
        discard_some(b, 64 * KiB);
        model_check(b, true);
        run_ops(b, 60);
        model_check(b, false);
        if (i % 2) {
            blk_unref(b);
            peer_check(layout);
            b = image_open("{\"l2-cache-entry-size\": \"512\", "
                           "\"l2-cache-size\": \"4096\", "
                           "\"refcount-cache-size\": \"2048\"}");
            REQUIRE(b);
            model_check(b, false);
        } else {
            own_check(b, layout);
        }
    }
    blk_unref(b);
    peer_check(layout);
}

static void begin(void)
{
    TEST_LIMIT(120);
    dir_begin();
    model = g_malloc0(SIZE);
    state = g_malloc0(SIZE);
    seed = 7;
}

static void end(void)
{
    dir_end();
    g_free(model);
    g_free(state);
}

TEST(random_requests_in_every_layout)
{
    begin();
    machine_lock();
    for (size_t i = 0; i < ARRAY_SIZE(layouts); i++) {
        layout_run(layouts[i], NULL, 3);
    }
    machine_unlock();
    end();
}

TEST(random_requests_over_a_backing_file)
{
    begin();
    base_make();
    machine_lock();
    for (size_t i = 0; i < 7; i++) {
        layout_run(layouts[i], "base", 2);
    }
    machine_unlock();
    end();
}

/* ---- snapshots, sizes, compressed data ----------------------------------- */

NO_TSA static void snap(BlkBackend *b, const char *name)
{
    BlkSnapshot s = { .icount = UINT64_MAX };
    Error *err = NULL;
    BlkNode *n = blk_root(b);

    g_strlcpy(s.name, name, sizeof(s.name));
    if (n->drv->snapshots->create(n, &s, &err) < 0) {
        tt_fail(__FILE__, __LINE__, "%s", error_text(err));
        error_free(err);
    }
}

NO_TSA static void snapshots_run(const char *layout)
{
    uint8_t *kept = malloc(SIZE), vm[5000], back[5000];
    const BlkSnapshotOps *o;
    BlkSnapshot *list;
    BlkBackend *b;
    BlkNode *n;

    size = SIZE;
    memset(model, 0, SIZE);
    REQUIRE(image_make(layout, NULL));
    b = image_open(NULL);
    REQUIRE(b);
    n = blk_root(b);
    o = n->drv->snapshots;
    run_ops(b, 150);
    snap(b, "one");
    memcpy(kept, model, SIZE);
    run_ops(b, 150);
    own_check(b, layout);
    model_check(b, false);
    memset(vm, 0x5a, sizeof(vm));
    CHECK_EQ(n->drv->vmstate_rw(n, 70000, vm, sizeof(vm), true), 0);
    CHECK_EQ(n->drv->vmstate_rw(n, 70000, back, sizeof(back), false), 0);
    CHECK(!memcmp(vm, back, sizeof(vm)));
    snap(b, "two");
    run_ops(b, 100);
    own_check(b, layout);
    CHECK_EQ(o->go(n, "one", NULL), 0);
    own_check(b, layout);
    memcpy(model, kept, SIZE);
    model_check(b, false);
    run_ops(b, 100);
    model_check(b, false);
    CHECK_EQ(o->list(n, &list), 2);
    CHECK_STR(list[1].name, "two");
    g_free(list);
    blk_unref(b);
    peer_check(layout);
    b = image_open(NULL);
    REQUIRE(b);
    n = blk_root(b);
    CHECK_EQ(o->go(n, "two", NULL), 0);
    CHECK_EQ(n->drv->vmstate_rw(n, 70000, back, sizeof(back), false), 0);
    CHECK(!memcmp(vm, back, sizeof(vm)));
    CHECK_EQ(o->del(n, NULL, "one", NULL), 0);
    own_check(b, layout);
    model_check(b, true);
    run_ops(b, 60);
    CHECK_EQ(o->del(n, NULL, "two", NULL), 0);
    own_check(b, layout);
    model_check(b, false);
    blk_unref(b);
    peer_check(layout);
    free(kept);
}

TEST(snapshots_in_every_layout)
{
    begin();
    machine_lock();
    for (size_t i = 0; i < 8; i++) {
        if (!strstr(layouts[i], "refcount_bits=1")) {
            snapshots_run(layouts[i]);
        }
    }
    machine_unlock();
    end();
}

/* A snapshot's disk of 2^63 bytes, as its extra data may say. */
TEST(a_snapshot_too_big_to_go_to)
{
    static const uint8_t huge[8] = { 0x80 };
    uint8_t at[8];
    const BlkSnapshotOps *o;
    Error *err = NULL;
    BlkBackend *b;
    uint64_t row;
    int fd;

    begin();
    machine_lock();
    REQUIRE(image_make(layouts[0], NULL));
    b = image_open(NULL);
    REQUIRE(b);
    snap(b, "one");
    blk_unref(b);
    fd = open(img, O_RDWR);
    REQUIRE(pread(fd, at, 8, 64) == 8);
    row = ld_be64(at);
    REQUIRE(pwrite(fd, huge, 8, (off_t)row + 40 + 8) == 8);
    close(fd);
    b = image_open(NULL);
    REQUIRE(b);
    o = blk_root(b)->drv->snapshots;
    CHECK(o->go(blk_root(b), "one", &err) < 0);
    CHECK(err);
    error_free(err);
    blk_unref(b);
    machine_unlock();
    end();
}

NO_TSA static void resize_run(const char *layout, const char *backing)
{
    static const uint64_t to[] = { 3 * MiB, 5 * MiB + 512, 1 * MiB + 4096,
                                   SIZE };
    Error *err = NULL;
    BlkBackend *b;

    size = SIZE;
    memset(model, 0, SIZE);
    REQUIRE(image_make(layout, backing));
    b = image_open(NULL);
    REQUIRE(b);
    model_check(b, true);
    for (size_t i = 0; i < ARRAY_SIZE(to); i++) {
        run_ops(b, 80);
        if (!blk_node_truncate(blk_root(b), to[i], i == 3 && !backing
                               ? PREALLOC_METADATA : PREALLOC_OFF, true,
                               &err)) {
            tt_fail(__FILE__, __LINE__, "%s", error_text(err));
            error_free(err);
            break;
        }
        if (to[i] > size) {
            memset(model + size, 0, to[i] - size);
        }
        size = to[i];
        CHECK_EQ((uint64_t)blk_length(b), size);
        model_check(b, false);
        own_check(b, layout);
    }
    blk_unref(b);
    peer_check(layout);
}

TEST(sizes_both_ways)
{
    begin();
    base_make();
    machine_lock();
    for (size_t i = 0; i < ARRAY_SIZE(layouts); i++) {
        resize_run(layouts[i], NULL);
        if (i < 7) {
            resize_run(layouts[i], "base");
        }
    }
    machine_unlock();
    end();
}

/* Of a cluster that is zero in its first half, all becomes zero. */
NO_TSA static void partly_zero(const char *layout, uint32_t cluster, BlkOp op)
{
    BlkReq half = { .op = BLK_ZERO, .off = 3 * cluster, .len = cluster / 2 };
    BlkReq whole = { .op = op, .off = 3 * cluster, .len = 2 * cluster,
                     .flags = op == BLK_ZERO ? BLKF_MAY_UNMAP : 0 };
    BlkBackend *b;

    size = SIZE;
    memset(model, 0, SIZE);
    for (uint64_t i = 0; i < SIZE / 2; i++) {
        model[i] = base_byte(i);
    }
    REQUIRE(image_make(layout, "base"));
    b = image_open(NULL);
    REQUIRE(b);
    CHECK_EQ(blk_co_req(blk_root(b), &half), 0);
    memset(model + half.off, 0, half.len);
    model_check(b, false);
    CHECK_EQ(blk_co_req(blk_root(b), &whole), 0);
    model_check(b, true);
    for (uint64_t i = 0; i < cluster; i++) {
        if (model[whole.off + i]) {
            CHECK_EQ(i, UINT64_MAX);
            break;
        }
    }
    blk_unref(b);
    peer_check(layout);
}

TEST(zeroes_of_a_cluster_that_is_partly_zero)
{
    begin();
    base_make();
    machine_lock();
    for (BlkOp op = 0; op < 2; op++) {
        partly_zero(layouts[4], 16 * KiB, op ? BLK_DISCARD : BLK_ZERO);
        partly_zero(layouts[6], 32 * KiB, op ? BLK_DISCARD : BLK_ZERO);
        partly_zero(layouts[0], 64 * KiB, op ? BLK_DISCARD : BLK_ZERO);
    }
    machine_unlock();
    end();
}

typedef struct Squeeze {
    BlkReq req;
    struct iovec iov;
} Squeeze;

static void squeeze_done(BlkReq *req)
{
    CHECK_EQ(req->ret, 0);
}

NO_TSA static void compressed_run(const char *layout)
{
    Squeeze q[6];
    uint64_t part = 2 * MiB;
    BlkBackend *b;

    size = SIZE;
    for (uint64_t i = 0; i < SIZE; i++) {
        model[i] = i / 300000 % 3 == 1 ? (uint8_t)g_random_int()
                 : (uint8_t)(i / 700);
    }
    REQUIRE(image_make(layout, NULL));
    b = image_open(NULL);
    REQUIRE(b);
    for (uint64_t i = 0; i * part < SIZE; i++) {
        uint64_t len = MIN2(part, SIZE - i * part);

        q[i].iov = (struct iovec){ model + i * part, len };
        q[i].req = (BlkReq){ .op = BLK_WRITE, .flags = BLKF_COMPRESSED,
                             .off = i * part, .len = len, .iov = &q[i].iov,
                             .niov = 1, .done = squeeze_done };
        blk_submit(b, &q[i].req);
    }
    blk_drain(b);
    model_check(b, false);
    own_check(b, layout);
    blk_unref(b);
    peer_check(layout);
    b = image_open(NULL);
    REQUIRE(b);
    run_ops(b, 150);
    model_check(b, false);
    own_check(b, layout);
    CHECK_EQ(blk_root(b)->drv->make_empty(blk_root(b)), 0);
    memset(model, 0, SIZE);
    model_check(b, false);
    own_check(b, layout);
    blk_unref(b);
    peer_check(layout);
}

TEST(compressed_clusters)
{
    begin();
    machine_lock();
    for (size_t i = 0; i < 8; i++) {
        compressed_run(layouts[i]);
    }
    machine_unlock();
    end();
}

/* Two bits count to three: active, two snapshots, and no more. */
TEST(too_many_references_change_nothing)
{
    BlkSnapshot s = { .name = "three" };
    Error *err = NULL;
    BlkBackend *b;
    BlkNode *n;

    begin();
    machine_lock();
    size = SIZE;
    REQUIRE(image_make("cluster_size=4k,refcount_bits=2", NULL));
    b = image_open(NULL);
    REQUIRE(b);
    n = blk_root(b);
    run_ops(b, 100);
    snap(b, "one");
    snap(b, "two");
    CHECK(n->drv->snapshots->create(n, &s, &err) < 0);
    error_free(err);
    CHECK(n->drv->snapshots->go(n, "one", NULL) < 0);
    own_check(b, "full counts");
    run_ops(b, 50);
    model_check(b, false);
    own_check(b, "full counts");
    blk_unref(b);
    peer_check("full counts");
    machine_unlock();
    end();
}
