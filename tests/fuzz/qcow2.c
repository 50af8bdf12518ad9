/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qcow2 images that were damaged at random are opened, checked, mended, read and
 * written: errors, never a crash, a hang or memory without bounds. Five seconds;
 * with TEST_SLOW ten minutes. FUZZ_SEED begins elsewhere. */
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include "block/driver.h"
#include "tests/tern-test.h"

#define SIZE (2 * MiB)

static char dir[40];
static char *img;
static uint64_t state;

static uint64_t rnd(uint64_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return n ? state % n : state;
}

static void quiet(void)
{
    int null = open("/dev/null", O_WRONLY);

    dup2(null, 2);
    close(null);
}

NO_TSA static BlkBackend *image_open(unsigned flags)
{
    BlkBackend *b = blk_new(NULL);
    Json *opts = json_obj();
    Error *err = NULL;
    BlkNode *n;

    json_set_str(opts, "driver", "qcow2");
    if (rnd(2)) {
        json_set_str(opts, "overlap-check", "all");
        json_set_str(opts, "l2-cache-entry-size", "512");
        json_set_str(opts, "l2-cache-size", "4096");
    }
    n = blk_open(img, opts, flags, &err);
    json_free(opts);
    if (!n || !blk_set_perm(b, BLKP_CONSISTENT_READ | BLKP_WRITE | BLKP_RESIZE,
                            BLKP_ALL, &err) || !blk_insert(b, n, &err)) {
        error_free(err);
        blk_node_unref(n);
        blk_unref(b);
        return NULL;
    }
    blk_node_unref(n);
    return b;
}

/* ---- what is damaged ----------------------------------------------------- */

static const char *const layouts[] = {
    "cluster_size=512", "cluster_size=4k,refcount_bits=1",
    "cluster_size=4k,compat=0.10", "cluster_size=16k,extended_l2=on",
    "cluster_size=4k,compression_type=zstd,refcount_bits=64",
    "cluster_size=64k,lazy_refcounts=on",
};

NO_TSA static GBytes *make_image(const char *layout)
{
    BlkImageSpec spec = { .filename = img, .format = "qcow2",
                          .options = layout, .size = SIZE };
    g_autofree uint8_t *buf = g_malloc(256 * KiB);
    BlkSnapshot s = { .name = "s" };
    BlkBackend *b;
    BlkNode *n;
    gchar *data;
    gsize len;

    unlink(img);
    if (!blk_image_make(&spec, NULL) || !(b = image_open(BLKO_RDWR))) {
        return NULL;
    }
    n = blk_root(b);
    for (int i = 0; i < 12; i++) {
        uint64_t off = rnd(SIZE - 70000), l = 1 + rnd(70000);

        memset(buf, i + 1, l);
        if (i == 6) {
            n->drv->snapshots->create(n, &s, NULL);
        }
        if (i % 4 == 3) {
            struct iovec iov = { buf, 128 * KiB };
            BlkReq req = { .op = BLK_WRITE, .flags = BLKF_COMPRESSED,
                           .off = rnd(8) * 128 * KiB, .len = iov.iov_len,
                           .iov = &iov, .niov = 1 };

            blk_co_req(n, &req);
        }
        blk_co_pwrite(n, off, buf, l, 0);
    }
    blk_unref(b);
    if (!g_file_get_contents(img, &data, &len, NULL)) {
        return NULL;
    }
    return g_bytes_new_take(data, len);
}

static uint64_t odd_value(uint64_t len)
{
    switch (rnd(9)) {
    case 0:
        return 0;
    case 1:
        return rnd(len);
    case 2:
        return rnd(len) & ~UINT64_C(511);
    case 3:
        return UINT64_MAX >> rnd(64);
    case 4:
        return UINT64_C(1) << rnd(64);
    case 5:
        return len + rnd(1 << 20);
    case 6:
        return (UINT64_C(1) << 63) | (rnd(len) & ~UINT64_C(511));
    case 7:
        return (UINT64_C(1) << 62) | rnd(0);
    default:
        return rnd(0);
    }
}

static size_t damage(uint8_t *p, size_t len)
{
    for (uint64_t i = 1 + rnd(8); i; i--) {
        /* The header, what the header names, anywhere. */
        uint64_t at = rnd(3) ? rnd(200) : rnd(len), v = odd_value(len);

        if (!rnd(3)) {
            static const uint8_t fields[] = { 40, 48, 64 };

            at = ld_be64(p + fields[rnd(3)]) + rnd(64) * 8;
        }
        if (at + 8 > len) {
            continue;
        }
        switch (rnd(4)) {
        case 0:
            p[at] = (uint8_t)v;
            break;
        case 1:
            st_be32(p + (at & ~3), (uint32_t)v);
            break;
        case 2:
            st_be64(p + (at & ~7), v);
            break;
        default:
            p[at] ^= (uint8_t)(1 << rnd(8));
        }
    }
    return rnd(20) ? len : rnd(len);
}

/* ---- what is done with it ------------------------------------------------ */

NO_TSA static void use(BlkBackend *b)
{
    static uint8_t buf[200000];
    BlkNode *n = blk_root(b);
    BlkSnapshot s = { .name = "t" };

    for (int i = 0; i < 25; i++) {
        uint64_t max = MIN2(n->length, UINT64_C(1) << 40);
        uint64_t off = max ? rnd(max) : 0, len = 1 + rnd(sizeof(buf) - 1);
        BlkExtent x;

        len = MIN2(len, max - off);
        switch (rnd(12)) {
        case 0: case 1: case 2:
            blk_co_pread(n, off, buf, len);
            break;
        case 3: case 4: case 5:
            blk_co_pwrite(n, off, buf, len, 0);
            break;
        case 6:
            blk_co_zero(n, off, len, rnd(2) ? BLKF_MAY_UNMAP : 0);
            break;
        case 7:
            blk_co_discard(n, off, len);
            break;
        case 8:
            blk_co_flush(n);
            break;
        case 9:
            blk_node_extent(n, off, len, &x);
            break;
        case 10:
            if (rnd(2)) {
                n->drv->snapshots->create(n, &s, NULL);
            } else if (rnd(2)) {
                n->drv->snapshots->go(n, rnd(2) ? "s" : "t", NULL);
            } else {
                n->drv->snapshots->del(n, NULL, rnd(2) ? "s" : "t", NULL);
            }
            break;
        default:
            blk_node_truncate(n, 512 * rnd(8192), PREALLOC_OFF, true, NULL);
        }
    }
}

static void line(void *arg, const char *text)
{
    printf("# %s\n", text);
}

NO_TSA static void check(int fix)
{
    BlkBackend *b = image_open(BLKO_CHECK | (fix ? BLKO_RDWR : 0));
    BlkCheck c = { 0 }, again = { 0 };
    BlkNode *n;

    if (!b) {
        return;
    }
    n = blk_root(b);
    c.say = getenv("FUZZ_VERBOSE") ? line : NULL;
    if (n->drv->check(n, &c, fix, NULL) >= 0 && fix == 3 &&
        c.corruptions == c.corruptions_fixed && c.leaks == c.leaks_fixed &&
        !c.check_errors && n->drv->check(n, &again, 0, NULL) >= 0 &&
        again.corruptions) {
        again = (BlkCheck){ .say = line };
        n->drv->check(n, &again, 0, NULL);
        CHECK(!again.corruptions);
    }
    blk_unref(b);
}

static uint8_t *damaged;                /* the image before it was used       */
static size_t damaged_len;

static void keep(void)
{
    g_autofree char *to = g_strdup_printf("%s/damaged", dir);

    if (g_file_set_contents(to, (const char *)damaged, (gssize)damaged_len,
                            NULL)) {
        printf("# kept: %s\n", to);
    }
}

NO_TSA static void one(GBytes *image)
{
    gsize len;
    const void *data = g_bytes_get_data(image, &len);
    uint8_t *p = g_memdup2(data, len);
    unsigned what = (unsigned)rnd(4);
    BlkBackend *b;
    int fd;

    len = damage(p, len);
    g_free(damaged);
    damaged = p;
    damaged_len = len;
    fd = open(img, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, p, len) != (ssize_t)len) {
        tt_fail(__FILE__, __LINE__, "%s: %s", img, strerror(errno));
    }
    close(fd);
    alarm(60);                         /* no hang                             */
    if (what == 1) {
        check(0);
    } else if (what == 2) {
        check(BLKC_FIX_LEAKS | BLKC_FIX_ERRORS);
    }
    b = image_open(BLKO_RDWR);
    if (b) {
        use(b);
        blk_unref(b);
    }
    if (what == 3) {
        check(BLKC_FIX_LEAKS | BLKC_FIX_ERRORS);
    }
    alarm(0);
}

TEST(damaged_images)
{
    int seconds = getenv("TEST_SLOW") ? 600 : 5;
    const char *seed = getenv("FUZZ_SEED");
    struct rlimit limit = { 256 * MiB, 256 * MiB };
    GBytes *image = NULL;
    time_t end;
    int n = 0;

    TEST_LIMIT(900);
    strcpy(dir, access("/dev/shm", W_OK) ? "/tmp/tern-fuzz-XXXXXX"
                                         : "/dev/shm/tern-fuzz-XXXXXX");
    REQUIRE(mkdtemp(dir));
    img = g_strdup_printf("%s/img", dir);
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    state = seed ? strtoull(seed, NULL, 0) | 1 : 88172645463325252u;
    quiet();
    machine_lock();
    end = time(NULL) + seconds;
    while (time(NULL) < end && !tt_failures) {
        uint64_t was = state;

        if (n % 200 == 0) {
            g_clear_pointer(&image, g_bytes_unref);
            image = make_image(layouts[n / 200 % ARRAY_SIZE(layouts)]);
            REQUIRE(image);
        }
        one(image);
        n++;
        if (tt_failures) {
            keep();
            printf("# state %#" PRIx64 ", image %d\n", was, n);
        }
    }
    machine_unlock();
    printf("# %d images\n", n);
    g_clear_pointer(&image, g_bytes_unref);
    if (!tt_failures) {
        unlink(img);
        rmdir(dir);
    }
    g_clear_pointer(&damaged, g_free);
    g_free(img);
}
