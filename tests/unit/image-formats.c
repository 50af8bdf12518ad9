/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Formats that map clusters: both ways with the peer, random requests beside a
 * model, backing files, compression, hostile headers. */
#include "block/vhdx.h"
#include "image-rig.h"

#define SIZE ((5 << 20) + 1024 * 96)

typedef struct Kind {
    const char *fmt, *opts;
    const char *check;                 /* the peer's check; NULL: has none    */
} Kind;

static const Kind kinds[] = {
    { "vdi", "", "check" },
    { "vdi", "static=on", "check" },
    { "parallels", "", "check" },
    { "parallels", "cluster_size=65536", "check" },
    { "qcow", "", NULL },
    { "qed", "", "check" },
    { "qed", "cluster_size=4096,table_size=2", "check" },
    { "vpc", "force_size=on", NULL },
    { "vpc", "force_size=on,subformat=fixed", NULL },
    { "vhdx", "", "check" },
    { "vhdx", "block_size=1048576,log_size=2M,block_state_zero=off", "check" },
    { "vhdx", "subformat=fixed", "check" },
    { "vmdk", "", "check" },
    { "vmdk", "zeroed_grain=on", "check" },
    { "vmdk", "subformat=monolithicFlat", NULL },
    { "vmdk", "subformat=twoGbMaxExtentSparse", "check" },
    { "vmdk", "subformat=twoGbMaxExtentFlat,adapter_type=lsilogic", NULL },
};

static void both_ways(const Kind *k, unsigned seed)
{
    g_autofree char *path = g_strdup(rig_path("a.img"));
    g_autofree char *io = g_strdup_printf("driver=%s,file.filename=%s", k->fmt,
                                          path);
    g_autofree char *line = g_strdup_printf("--image-opts %s", io);
    Model m = model_new(SIZE, seed);
    BlkBackend *b;
    bool ours = seed % 2 || !rig_has_peer();

    if (ours ? !rig_create(k->fmt, path, k->opts, SIZE)
             : rig_run("qemu-img create -f %s %s%s %s %d", k->fmt,
                       *k->opts ? "-o " : "", k->opts, path, SIZE) != 0) {
        tt_fail(__FILE__, __LINE__, "%s %s: %s", k->fmt, k->opts, rig_msg);
        return;
    }
    for (int round = 0; round < 2; round++) {
        b = rig_open(round && !strstr(k->opts, "fixed") ? NULL : k->fmt, path,
                     "", BLKO_RDWR);
        if (!b) {
            tt_fail(__FILE__, __LINE__, "%s %s: %s", k->fmt, k->opts, rig_msg);
            return;
        }
        model_check(&m, b);
        model_ops(&m, b, 120, true);
        rig_close(b);
        b = rig_open(k->fmt, path, "", 0);
        model_check(&m, b);
        rig_close(b);
        if (rig_has_peer()) {
            peer_compare(&m, io, "");
            if (k->check) {
                CHECK_EQ(rig_run("qemu-img check -f %s %s", k->fmt, path), 0);
            }
            peer_ops(&m, 8, line);
        }
    }
    g_free(m.data);
}

TEST(random_requests_both_ways)
{
    TEST_LIMIT(300);
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        both_ways(&kinds[i], (unsigned)i);
    }
}

static void with_backing(const char *fmt)
{
    const char *base = rig_path("base.raw"), *path = rig_path("top.img");
    g_autofree char *io = g_strdup_printf("driver=%s,file.filename=%s", fmt,
                                          path);
    g_autofree char *line = g_strdup_printf("--image-opts %s", io);
    Model m = model_new(SIZE, 5);
    BlkBackend *b;

    /* The base is shorter than the disk. */
    for (size_t i = 0; i < SIZE / 2; i++) {
        m.data[i] = (uint8_t)rig_random(&m);
    }
    g_file_set_contents(base, (char *)m.data, SIZE / 2, NULL);
    if (!strcmp(fmt, "vmdk")) {
        const char *raw = base;

        base = rig_path("base.vmdk");
        CHECK_EQ(rig_run("qemu-img convert -O vmdk -f raw %s %s", raw, base), 0);
    }
    REQUIRE(rig_create_with(fmt, path, "", SIZE, base,
                            strcmp(fmt, "vmdk") ? "raw" : "vmdk"));
    b = rig_open(fmt, path, "", BLKO_RDWR);
    if (!b) {
        tt_fail(__FILE__, __LINE__, "%s: %s", fmt, rig_msg);
        return;
    }
    model_ops(&m, b, 150, true);
    model_check(&m, b);
    rig_close(b);
    if (rig_has_peer()) {
        peer_compare(&m, io, "");
        peer_ops(&m, 8, line);
        b = rig_open(NULL, path, "", 0);
        REQUIRE(b);
        model_check(&m, b);
        rig_close(b);
    }
    g_free(m.data);
}

TEST(over_a_backing_file)
{
    TEST_LIMIT(120);
    with_backing("qed");
    if (rig_has_peer()) {
        with_backing("vmdk");
    }
    with_backing("qcow");
}

static NO_TSA int pack(BlkBackend *b, uint64_t off, const void *buf, size_t len)
{
    return blk_co_pwrite(blk_root(b), off, buf, len, BLKF_COMPRESSED);
}

TEST(qcow_compresses)
{
    const char *path = rig_path("c.qcow");
    Model m = model_new(1 << 20, 9);
    g_autofree __attribute__((unused)) uint8_t *data = m.data;
    BlkBackend *b;

    REQUIRE(rig_create("qcow", path, "", m.size));
    for (size_t i = 0; i < m.size; i++) {
        m.data[i] = (uint8_t)(i < m.size / 2 ? i / 700 : rig_random(&m));
    }
    b = rig_open("qcow", path, "", BLKO_RDWR);
    REQUIRE(b);
    CHECK_EQ(pack(b, 0, m.data, m.size), 0);
    CHECK_EQ(pack(b, 512, m.data, 4096), -EINVAL);
    model_check(&m, b);
    model_ops(&m, b, 60, true);
    rig_close(b);
    if (rig_has_peer()) {
        g_autofree char *io = g_strdup_printf("driver=qcow,file.filename=%s",
                                              path);
        peer_compare(&m, io, "");
    }
}

TEST(vmdk_streams)
{
    const char *path = rig_path("s.vmdk"), *other = rig_path("t.vmdk");
    Model m = model_new(SIZE, 9);
    g_autofree __attribute__((unused)) uint8_t *data = m.data;
    g_autofree char *io = g_strdup_printf("driver=vmdk,file.filename=%s", path);
    BlkBackend *b;

    REQUIRE(rig_create("vmdk", path, "subformat=streamOptimized", m.size));
    for (size_t i = 0; i < m.size; i++) {
        m.data[i] = (uint8_t)(i < m.size / 2 ? i / 700 : rig_random(&m));
    }
    b = rig_open("vmdk", path, "", BLKO_RDWR);
    REQUIRE(b);
    CHECK_EQ(pack(b, 0, m.data, m.size), 0);
    model_check(&m, b);
    model_ops(&m, b, 60, true);
    rig_close(b);
    if (rig_has_peer()) {
        peer_compare(&m, io, "");
        CHECK_EQ(rig_run("qemu-img convert -O vmdk -o subformat=streamOptimized "
                         "-f raw %s %s", rig_path("model.raw"), other), 0);
        b = rig_open(NULL, other, "", 0);
        REQUIRE(b);
        model_check(&m, b);
        rig_close(b);
    }
}

/* An entry that makes block 0 shows what a write of it would have. */
TEST(vhdx_log_is_applied)
{
    const char *path = rig_path("l.vhdx");
    g_autofree uint8_t *e = g_malloc0(12288);
    uint8_t guid[16] = "sixteen bytes..", buf[16];
    uint32_t (*sum)(const uint8_t *, size_t) = vhdx_sum;
    g_autofree char *img = NULL;
    BlkBackend *b;
    gsize len;

    REQUIRE(rig_create("vhdx", path, "", SIZE));
    memcpy(e, "loge", 4);
    st_le32(e + 8, 12288);
    st_le64(e + 16, 7);
    st_le32(e + 24, 2);
    memcpy(e + 32, guid, 16);
    memcpy(e + 64, "desc", 4);         /* the first sector of the block table */
    st_le64(e + 64 + 16, 2 << 20);
    st_le64(e + 64 + 24, 7);
    st_le64(e + 64 + 8, (uint64_t)8 << 20 | 6);
    memcpy(e + 96, "desc", 4);         /* and of the block                    */
    st_le32(e + 96 + 4, 0x44332211);
    memcpy(e + 96 + 8, "leading.", 8);
    st_le64(e + 96 + 16, 8 << 20);
    st_le64(e + 96 + 24, 7);
    st_le64(e + 48, 16 << 20);
    st_le64(e + 56, 16 << 20);
    for (int i = 1; i < 3; i++) {
        memcpy(e + 4096 * i, "data", 4);
        st_le32(e + 4096 * i + 4092, 7);
    }
    st_le32(e + 4, sum(e, 12288));
    REQUIRE(g_file_get_contents(path, &img, &len, NULL));
    memcpy(img + (1 << 20), e, 12288);
    for (int i = 1; i < 3; i++) {
        memcpy(img + 65536 * i + 48, guid, 16);
        st_le32(img + 65536 * i + 4, sum((uint8_t *)img + 65536 * i, 4096));
    }
    g_file_set_contents(path, img, (gssize)len, NULL);
    rig_open("vhdx", path, "", 0);
    CHECK(strstr(rig_msg, "contains a log that needs to be replayed"));
    b = rig_open("vhdx", path, "", BLKO_RDWR);
    REQUIRE(b);
    CHECK_EQ(blk_pread(b, 0, buf, 8), 0);
    CHECK(!memcmp(buf, "leading.", 8));
    CHECK_EQ(blk_pread(b, 4092, buf, 4), 0);
    CHECK_EQ(ld_le32(buf), 0x44332211u);
    rig_close(b);
    if (rig_has_peer()) {
        CHECK_EQ(rig_run("qemu-img check -f vhdx %s", path), 0);
    }
}

TEST(vmdk_in_two_gigabyte_parts)
{
    const char *path = rig_path("big.vmdk");
    const uint64_t size = (5ull << 30) + (1 << 20), at = (2ull << 30) - 1000;
    uint8_t buf[3000], back[3000];
    BlkBackend *b;

    memset(buf, 0x5a, sizeof(buf));
    REQUIRE(rig_create("vmdk", path, "subformat=twoGbMaxExtentSparse", size));
    b = rig_open(NULL, path, "", BLKO_RDWR);
    REQUIRE(b);
    CHECK_EQ(blk_length(b), (int64_t)size);
    CHECK_EQ(blk_pwrite(b, at, buf, sizeof(buf), 0), 0);
    CHECK_EQ(blk_pread(b, at, back, sizeof(back)), 0);
    CHECK(!memcmp(buf, back, sizeof(buf)));
    rig_close(b);
    if (rig_has_peer()) {
        CHECK_EQ(rig_run("qemu-io -f vmdk -c 'read -P 0x5a %" PRIu64 " 3000' "
                         "%s", at, path), 0);
    }
}

TEST(qcow_aes)
{
    const char *path = rig_path("e.qcow");
    Model m = model_new(1 << 20, 9);
    g_autofree __attribute__((unused)) uint8_t *data = m.data;
    BlkBackend *b;

    rig_secret("k", "swordfish");
    m.align = 512;
    REQUIRE(rig_create("qcow", path, "encrypt.format=aes,encrypt.key-secret=k",
                       m.size));
    b = rig_open("qcow", path, "encrypt.key-secret=k", BLKO_RDWR);
    REQUIRE(b);
    CHECK_EQ(blk_pwrite(b, 0, m.data, m.size, 0), 0);
    model_ops(&m, b, 60, true);
    model_check(&m, b);
    rig_close(b);
    rig_refused("qcow", path, "",
                "Parameter 'encrypt.key-secret' is required for cipher");
    if (rig_has_peer()) {
        g_autofree char *io = g_strdup_printf("driver=qcow,file.filename=%s,"
                                              "encrypt.format=aes,"
                                              "encrypt.key-secret=k", path);
        /* The peer's programs do not open it otherwise than so. */
        peer_compare(&m, io, "--object secret,id=k,data=swordfish");
    }
}

typedef struct Bad {
    const char *fmt;
    uint16_t at;
    uint8_t n;
    uint64_t value;
    bool be;
    const char *want;
} Bad;

static const Bad bad[] = {
    { "vdi", 0x40, 4, 5, 0, "Image not in VDI format (bad signature 00000005)" },
    { "vdi", 0x44, 4, 0x20001, 0, "unsupported VDI image (version 2.1)" },
    { "vdi", 0x154, 4, 513, 0,
      "unsupported VDI image (unaligned block map offset 0x201)" },
    { "vdi", 0x158, 4, 1025, 0,
      "unsupported VDI image (unaligned data offset 0x401)" },
    { "vdi", 0x168, 4, 1024, 0,
      "unsupported VDI image (sector size 1024 is not 512)" },
    { "vdi", 0x170, 8, 104858112, 0, "unsupported VDI image (disk size "
      "104858112, image bitmap has room for 104857600)" },
    { "vdi", 0x170, 8, 1ull << 60, 0, "Unsupported VDI image size (size is "
      "0x1000000000000000, max supported is 0x1fffff8000000)" },
    { "vdi", 0x178, 4, 512, 0,
      "unsupported VDI image (block size 512 is not 1048576)" },
    { "vdi", 0x180, 4, 0x7fffffff, 0,
      "unsupported VDI image (too many blocks 2147483647, max is 536870784)" },
    { "vdi", 0x1a8, 4, 7, 0, "unsupported VDI image (non-NULL link UUID)" },
    { "vdi", 0x1b8, 4, 7, 0, "unsupported VDI image (non-NULL parent UUID)" },
    { "vpc", 0, 1, 'x', 0, "invalid VPC image" },
    { "vpc", 544, 4, 513, 1, "Invalid block size 513" },
    { "vpc", 544, 4, 0, 1, "Invalid block size 0" },
    { "vpc", 540, 4, 3, 1, "Page table too small" },
    { "vpc", 540, 4, 0xffffffff, 1, "Max Table Entries too large (-1)" },
    { "vpc", 528, 8, 1ull << 40, 1, "block-vpc: free_data_block_offset points "
      "after the end of file. The image has been truncated." },
    { "vpc", 512, 4, 0, 1, "Invalid header magic" },
    { "vpc", 60, 4, 4, 1, "Incorrect header checksum" },
    { "qed", 0, 1, 'x', 0, "Image not in QED format" },
    { "qed", 4, 4, 100, 0, "QED cluster size is invalid" },
    { "qed", 4, 4, 128 << 20, 0, "QED cluster size is invalid" },
    { "qed", 8, 4, 3, 0, "QED table size is invalid" },
    { "qed", 16, 8, 0x80, 0, "Unsupported QED features: 80" },
    { "qed", 40, 8, 5, 0, "QED table offset is invalid" },
    { "qed", 40, 8, 1ull << 50, 0, "QED table offset is invalid" },
    { "qed", 40, 8, 0, 0, "QED table offset is invalid" },
    { "qed", 48, 8, 513, 0, "QED image size is invalid" },
    { "qed", 48, 8, 1ull << 62, 0, "QED image size is invalid" },
    { "qcow", 0, 1, 'x', 0, "Image not in qcow format" },
    { "qcow", 4, 4, 3, 1, "qcow (v1) does not support qcow version 3" },
    { "qcow", 24, 8, 1, 1,
      "Image size is too small (must be at least 2 bytes)" },
    { "qcow", 24, 8, 1ull << 62, 1, "Image too large" },
    { "qcow", 32, 1, 8, 0, "Cluster size must be between 512 and 64k" },
    { "qcow", 33, 1, 5, 0, "L2 table size must be between 512 and 64k" },
    { "qcow", 36, 4, 2, 1, "invalid encryption method in qcow header" },
    { "vmdk", 0, 1, 'x', 0, "invalid VMDK image descriptor" },
    { "vmdk", 4, 4, 9, 0, "Unsupported VMDK version 9" },
    { "vmdk", 20, 8, 0, 0, "L1 entry size is invalid" },
    { "vmdk", 44, 4, 0, 0, "L1 entry size is invalid" },
    { "vmdk", 44, 4, 2000, 0, "L2 table size too big" },
    { "vmdk", 56, 8, UINT64_MAX, 0, "Invalid footer" },
    { "parallels", 0, 1, 'x', 0, "Image not in Parallels format" },
    { "parallels", 28, 4, 0, 0, "Invalid image: Zero sectors per track" },
    { "parallels", 28, 4, 0x7fffffff, 0, "Invalid image: Too big cluster" },
    { "parallels", 32, 4, 0xffffffff, 0, "Catalog too large" },
    { "parallels", 56, 8, 5, 0, "Wrong parallels Format Extension magic: 0x0, "
      "expected: 0xab234cef23dcea87" },
};

TEST(bad_headers_are_named)
{
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        const Bad *r = &bad[i];
        const char *path = rig_path("h.img");
        uint8_t b[8];

        if (!rig_create(r->fmt, path, "", 100 << 20)) {
            tt_fail(__FILE__, __LINE__, "%s: %s", r->fmt, rig_msg);
            continue;
        }
        st_le64(b, r->value);
        for (unsigned k = 0; r->be && k < r->n / 2; k++) {
            uint8_t t = b[k];

            b[k] = b[r->n - 1 - k];
            b[r->n - 1 - k] = t;
        }
        rig_refused(r->fmt, rig_patch(path, r->at, b, r->n), "", r->want);
    }
}

TEST(nonsense_breaks_nothing)
{
    TEST_LIMIT(240);
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        const char *path = rig_path("f.img");
        BlkBackend *b;
        Model m;

        if (!strcmp(kinds[i].opts, "static=on") ||
            strstr(kinds[i].opts, "fixed")) {
            continue;
        }
        m = model_new(SIZE, i);
        REQUIRE(rig_create(kinds[i].fmt, path, kinds[i].opts, SIZE));
        b = rig_open(kinds[i].fmt, path, "", BLKO_RDWR);
        REQUIRE(b);
        CHECK_EQ(blk_pwrite(b, 70000, m.data, 5000, 0), 0);
        rig_close(b);
        rig_fuzz(kinds[i].fmt, path, "", 2048, 60);
        if (!strcmp(kinds[i].fmt, "vhdx")) {
            rig_fuzz("vhdx", path, "", 4 << 20, 60);
        }
        g_free(m.data);
    }
}
