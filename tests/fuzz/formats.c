/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Damaged images of every format: whatever the bytes are, opening them says yes or
 * no, and what opens takes random requests, extents, checks and sizes without a
 * crash, an endless loop or memory that the image chose. FUZZ_SECONDS (20) is
 * shared by the formats, of which FUZZ_FORMAT chooses one ("vdi", "vdi static=on");
 * FUZZ_SEED (1) begins.
 */
#include <sys/resource.h>
#include <zlib.h>
#include "tests/unit/image-rig.h"

#define SIZE (3 << 20)
#define ROUND_SECONDS 30
#define FILE_MAX (256 << 20)
#define MEMORY_MAX (2048L * 1024)      /* KiB, with a sanitizer's own         */

typedef struct Kind {
    const char *fmt, *opts;
} Kind;

static const Kind kinds[] = {
    { "qcow2", "" }, { "qcow2", "compat=0.10,cluster_size=4096" },
    { "qcow2", "extended_l2=on,lazy_refcounts=on" },
    { "qcow2", "cluster_size=512,refcount_bits=1" },
    { "qcow2", "refcount_bits=64,preallocation=metadata" },
    { "qcow", "" }, { "qed", "" }, { "qed", "cluster_size=4096,table_size=1" },
    { "vdi", "" }, { "vdi", "static=on" }, { "vpc", "force_size=on" },
    { "vpc", "force_size=on,subformat=fixed" }, { "vhdx", "" },
    { "vhdx", "block_size=1048576,log_size=1M" }, { "parallels", "" },
    { "parallels", "cluster_size=65536" }, { "vmdk", "" },
    { "vmdk", "subformat=streamOptimized" },
    { "vmdk", "subformat=monolithicFlat" },
    { "vmdk", "subformat=twoGbMaxExtentSparse" },
    { "cloop", NULL }, { "bochs", NULL }, { "dmg", NULL },
};

static Model rnd;
static uint64_t round_seed;
static char doing[200];

static void too_slow(int sig)
{
    char text[300];
    int n = snprintf(text, sizeof(text), "# no end: %s\n", doing);

    if (write(1, text, (size_t)n) == n) {
        _exit(99);
    }
    _exit(98);
}

static void save(const char *path, const GByteArray *a)
{
    g_file_set_contents(path, (const char *)a->data, (gssize)a->len, NULL);
}

static void put(GByteArray *a, size_t at, const void *p, size_t n)
{
    if (a->len < at + n) {
        guint old = a->len;

        g_byte_array_set_size(a, (guint)(at + n));
        memset(a->data + old, 0, a->len - old);
    }
    memcpy(a->data + at, p, n);
}

static void put_be(GByteArray *a, size_t at, uint64_t v, unsigned n)
{
    uint8_t b[8];

    st_be64(b, v);
    put(a, at, b + 8 - n, n);
}

static void put_le(GByteArray *a, size_t at, uint64_t v, unsigned n)
{
    uint8_t b[8];

    st_le64(b, v);
    put(a, at, b, n);
}

static uLongf pack(uint8_t *out, uLongf room, unsigned fill, size_t n)
{
    g_autofree uint8_t *in = g_malloc(n);

    memset(in, (int)fill, n);
    compress(out, &room, in, n);
    return room;
}

static void cloop_make(const char *path)
{
    g_autoptr(GByteArray) a = g_byte_array_new();
    uint8_t z[1000];
    uint64_t at = 136 + 9 * 8;

    put(a, 0, "#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r "
        "-t iso9660 /dev/cloop $1\n", 84);
    put_be(a, 128, 65536, 4);
    put_be(a, 132, 8, 4);
    for (unsigned i = 0; i < 8; i++) {
        uLongf n = pack(z, sizeof(z), i, 65536);

        put_be(a, 136 + i * 8, at, 8);
        put(a, at, z, n);
        at += n;
    }
    put_be(a, 136 + 64, at, 8);
    save(path, a);
}

static void bochs_make(const char *path)
{
    g_autoptr(GByteArray) a = g_byte_array_new();

    put(a, 0, "Bochs Virtual HD Image", 22);
    put(a, 32, "Redolog", 7);
    put(a, 48, "Growing", 7);
    put_le(a, 64, 0x20000, 4);
    put_le(a, 68, 512, 4);
    put_le(a, 72, 16, 4);
    put_le(a, 76, 16, 4);
    put_le(a, 80, 65536, 4);
    put_le(a, 88, 1 << 20, 8);
    for (unsigned i = 0; i < 16; i++) {
        put_le(a, 512 + i * 4, i % 2 ? i / 2 : UINT32_MAX, 4);
    }
    for (unsigned i = 0; i < 8; i++) {
        put_le(a, 576 + i * 66048, 0x5a5a5a5a, 8);
        put_le(a, 576 + i * 66048 + 66040, i, 8);
    }
    save(path, a);
}

static void dmg_make(const char *path)
{
    g_autoptr(GByteArray) a = g_byte_array_new(), m = g_byte_array_new();
    g_autofree char *text = NULL, *xml = NULL;
    uint8_t z[1000];
    uLongf n = pack(z, sizeof(z), 'z', 65536);
    const struct {
        uint32_t type;
        uint64_t sector, count, at, len;
    } rows[] = { { 0x80000005, 0, 128, 0, n }, { 0, 128, 10, 0, 0 },
                 { 1, 138, 8, 0, 4096 }, { 2, 146, 50, 0, 0 },
                 { 0x80000006, 196, 8, 0, 100 }, { 0xffffffff, 204, 0, 0, 0 } };

    put(a, 0, z, n);
    put_le(a, 8192, 1, 8);
    put(m, 0, "mish", 4);
    put_be(m, 200, ARRAY_SIZE(rows), 4);
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        put_be(m, 204 + i * 40, rows[i].type, 4);
        put_be(m, 212 + i * 40, rows[i].sector, 8);
        put_be(m, 220 + i * 40, rows[i].count, 8);
        put_be(m, 228 + i * 40, rows[i].at, 8);
        put_be(m, 236 + i * 40, rows[i].len, 8);
    }
    text = g_base64_encode(m->data, m->len);
    xml = g_strdup_printf("<plist><array><data>%s</data></array></plist>", text);
    put(a, 8200, xml, strlen(xml));
    n = a->len;
    put(a, n, "koly", 4);
    put_be(a, n + 216, 8200, 8);
    put_be(a, n + 224, strlen(xml), 8);
    put_be(a, n + 492, 204, 8);
    put_be(a, n + 504, 0, 8);
    save(path, a);
}

static NO_TSA bool seed_make(const Kind *k, const char *path)
{
    uint8_t buf[9000];
    BlkBackend *b;

    if (!k->opts) {
        (k->fmt[0] == 'c' ? cloop_make : k->fmt[0] == 'b' ? bochs_make
                                                          : dmg_make)(path);
        return true;
    }
    if (!rig_create(k->fmt, path, k->opts, SIZE) ||
        !(b = rig_open(k->fmt, path, "", BLKO_RDWR))) {
        return false;
    }
    memset(buf, 0x5a, sizeof(buf));
    for (unsigned i = 0; i < 6; i++) {
        (void)blk_pwrite(b, rig_random(&rnd) % (SIZE - 9000) / 512 * 512, buf,
                         8192, 0);
    }
    rig_close(b);
    return true;
}

/* ---- damage ---------------------------------------------------------------- */

static void damage(GByteArray *a)
{
    static const uint64_t values[] = {
        0, 1, 2, 3, 511, 512, 513, 65535, 65536, INT32_MAX, UINT32_MAX,
        1u << 31, 1ull << 40, INT64_MAX, UINT64_MAX, 1ull << 62 };
    static const size_t spans[] = { 128, 512, 2048, 65536 };
    size_t span = spans[rig_random(&rnd) % 4];
    size_t at;
    uint64_t v = values[rig_random(&rnd) % ARRAY_SIZE(values)];

    span = rig_random(&rnd) % 3 ? MIN2(span, a->len) : a->len;
    at = rig_random(&rnd) % span;
    if (rig_random(&rnd) % 6 == 0) {   /* formats that have a trailer         */
        at = a->len - 1 - rig_random(&rnd) % MIN2(a->len, 1024);
    }
    switch (rig_random(&rnd) % 8) {
    case 0:
        a->data[at] ^= (uint8_t)(1 << rig_random(&rnd) % 8);
        break;
    case 1:
        a->data[at] = (uint8_t)rig_random(&rnd);
        break;
    case 2:
        v = rig_random(&rnd) % 2 ? a->len - 256 + rig_random(&rnd) % 512
                                 : rig_random(&rnd) % (2 * SIZE);
        /* fall through */
    case 3:
    case 4: {
        unsigned n = 1u << rig_random(&rnd) % 4;

        at = ALIGN_DOWN(at, n);
        if (at + n <= a->len) {
            (rig_random(&rnd) % 2 ? put_be : put_le)(a, at, v, n);
        }
        break;
    }
    case 5: {                          /* one place over another              */
        size_t from = rig_random(&rnd) % a->len, n = rig_random(&rnd) % 600;

        n = MIN2(n, a->len - MAX2(from, at));

        memmove(a->data + at, a->data + from, n);
        break;
    }
    case 6:
        g_byte_array_set_size(a, (guint)(1 + rig_random(&rnd) % a->len));
        break;
    default: {
        size_t n = rig_random(&rnd) % 64;

        memset(a->data + at, (int)rig_random(&rnd), MIN2(n, a->len - at));
        break;
    }
    }
}

/* ---- use ------------------------------------------------------------------- */

static NO_TSA void extents_walk(BlkBackend *b)
{
    uint64_t size = (uint64_t)MAX2(blk_length(b), 0), off = 0;

    for (unsigned i = 0; off < size && i < 300; i++) {
        BlkExtent x = { .len = 0 };
        int ret = blk_node_extent(blk_root(b), off, size - off, &x);

        if (ret < 0) {
            return;
        }
        if (!x.len || x.len > size - off) {
            tt_fail(__FILE__, __LINE__, "extent of %" PRIu64 " bytes at %"
                    PRIu64, x.len, off);
            return;
        }
        off += x.len;
    }
}

static NO_TSA void requests(BlkBackend *b, bool writable)
{
    static uint8_t buf[300 * 1024];

    for (unsigned i = 0; i < 12; i++) {
        uint64_t size = (uint64_t)MAX2(blk_length(b), 0);
        uint64_t off = size ? (uint64_t)rig_random(&rnd) * 4096 % size : 0;
        size_t n = 1 + rig_random(&rnd) % (i % 4 ? 9000 : sizeof(buf));

        off = rig_random(&rnd) % 3 ? off : rig_random(&rnd) % 2 ? 0
            : size - MIN2(size, n);
        n = MIN2(n, size - off);
        switch (writable ? rig_random(&rnd) % 7 : rig_random(&rnd) % 2) {
        case 2:
        case 3:
            (void)blk_pwrite(b, off, buf, n, rig_random(&rnd) % 4 ? 0 : BLKF_FUA);
            break;
        case 4:
            (void)rig_req(b, BLK_ZERO, off, n, rig_random(&rnd) % 2
                          ? BLKF_MAY_UNMAP : 0);
            break;
        case 5:
            (void)rig_req(b, BLK_DISCARD, off, n, 0);
            break;
        case 6:
            (void)blk_flush(b);
            break;
        default:
            (void)blk_pread(b, off, buf, n);
            break;
        }
    }
}

static NO_TSA void checks(BlkBackend *b, bool writable)
{
    BlkNode *n = blk_root(b);
    BlkCheck c = { .corruptions = 0 };
    Error *err = NULL;
    BlkNodeInfo i = { .cluster_size = 0 };

    if (n->drv->info) {
        n->drv->info(n, &i);
    }
    if (n->drv->specific) {
        json_free(n->drv->specific(n));
    }
    if (n->drv->check) {
        (void)n->drv->check(n, &c, writable && rig_random(&rnd) % 2
                            ? BLKC_FIX_LEAKS | BLKC_FIX_ERRORS : 0, &err);
        error_free(err);
        err = NULL;
    }
    if (writable && rig_random(&rnd) % 3 == 0) {
        (void)blk_node_truncate(n, rig_random(&rnd) % (2 * SIZE) / 512 * 512,
                                PREALLOC_OFF, true, &err);
        error_free(err);
    }
}

static NO_TSA void one(const Kind *k, const GByteArray *seed, const char *path)
{
    GByteArray *a = g_byte_array_sized_new(seed->len);
    bool writable = k->opts && rig_random(&rnd) % 4;
    BlkBackend *b;

    g_byte_array_append(a, seed->data, seed->len);
    for (unsigned i = 1 + rig_random(&rnd) % 5; i && a->len; i--) {
        damage(a);
    }
    save(path, a);
    g_byte_array_free(a, TRUE);
    b = rig_open(rig_random(&rnd) % 8 ? k->fmt : NULL, path, "",
                 BLKO_NO_FLUSH | (writable ? BLKO_RDWR | BLKO_UNMAP : 0));
    if (!b) {
        return;
    }
    requests(b, writable);
    extents_walk(b);
    checks(b, writable);
    requests(b, writable);
    blk_unref(b);
}

static unsigned fuzz_kind(const Kind *k, double seconds)
{
    const char *base = rig_path(strcmp(k->fmt, "dmg") ? "seed.img" : "seed.dmg");
    const char *path = rig_path("fuzzed.img");
    GByteArray seed;
    gint64 end = g_get_monotonic_time() + (gint64)(seconds * 1e6);
    unsigned n = 0;
    char *data;
    gsize len;

    if (!seed_make(k, base) ||
        !g_file_get_contents(base, &data, &len, NULL)) {
        tt_fail(__FILE__, __LINE__, "%s %s: %s", k->fmt, k->opts, rig_msg);
        return 0;
    }
    seed = (GByteArray){ .data = (guint8 *)data, .len = (guint)len };
    for (; g_get_monotonic_time() < end; n++) {
        rnd.seed = ++round_seed * 0x9e3779b97f4a7c15u + 88172645463325252u;
        snprintf(doing, sizeof(doing), "%s %s, FUZZ_SEED=%" PRIu64, k->fmt,
                 k->opts ? k->opts : "", round_seed);
        alarm(ROUND_SECONDS);
        one(k, &seed, path);
    }
    alarm(0);
    g_free(data);
    return n;
}

static bool chosen(const Kind *k, const char *only)
{
    g_autofree char *name = g_strdup_printf("%s %s", k->fmt,
                                            k->opts ? k->opts : "");

    return !only || !strcmp(only, k->fmt) || !strcmp(only, name);
}

TEST(damaged_images)
{
    const char *s = g_getenv("FUZZ_SECONDS"), *from = g_getenv("FUZZ_SEED");
    const char *only = g_getenv("FUZZ_FORMAT");
    double seconds = s ? g_ascii_strtod(s, NULL) : 20;
    struct rusage use;

    TEST_LIMIT((unsigned)seconds + 300);
    signal(SIGALRM, too_slow);
    /* A cluster far away makes a huge file, whose check takes as long. */
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){ FILE_MAX, FILE_MAX });
    round_seed = from ? strtoull(from, NULL, 10) - 1 : 0;
    rnd = (Model){ .seed = 88172645463325252u };
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        unsigned n;

        if (!chosen(&kinds[i], only)) {
            continue;
        }
        n = fuzz_kind(&kinds[i], seconds / (only ? 3 : ARRAY_SIZE(kinds)));

        printf("# %s %s: %u images\n", kinds[i].fmt,
               kinds[i].opts ? kinds[i].opts : "", n);
        fflush(stdout);
        CHECK(n > 0);
    }
    getrusage(RUSAGE_SELF, &use);
    printf("# %ld MiB at most\n", use.ru_maxrss / 1024);
    CHECK(use.ru_maxrss < MEMORY_MAX);
}
