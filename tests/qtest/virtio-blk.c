/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-blk: requests of every type by every kind of ring, data as the image has
 * it, what a bad driver does. Most of it runs against any emulator.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "tests/libqvirtio.h"
#include "tests/tern-test.h"

#define BLOCK 2
#define HEAP 0x200000
#define DISK (8 << 20)
enum { T_IN, T_OUT, T_FLUSH = 4, T_ID = 8, T_DISCARD = 11, T_ZEROES = 13 };
enum { S_OK, S_IOERR, S_UNSUPP };
enum { F_RO = 5, F_BLK_SIZE = 6, F_FLUSH = 9, F_CONFIG_WCE = 11, F_MQ = 12 };

typedef struct Disk {
    char image[64];
    QTest *q;
    QVirtio *d;
    QVirtq *vq;
    uint64_t head, data, status;       /* guest addresses                     */
} Disk;

static void make_image(Disk *k)
{
    int fd;

    strcpy(k->image, "/tmp/tern-vblk-XXXXXX");
    fd = mkstemp(k->image);
    if (fd < 0 || ftruncate(fd, DISK)) {
        abort();
    }
    close(fd);
}

static void begin(Disk *k, bool legacy, uint64_t features, unsigned queues)
{
    k->d = qvirtio_find(k->q, BLOCK, 0, legacy, HEAP);
    CHECK_EQ(qvirtio_offered(k->d) & features, features);
    CHECK(qvirtio_accept(k->d, features));
    for (unsigned i = 0; i < queues; i++) {
        k->vq = qvirtq_setup(k->d, i, 0);
    }
    k->head = qvirtio_alloc(k->d, 64, 64);
    k->status = qvirtio_alloc(k->d, 64, 64);
    k->data = qvirtio_alloc(k->d, 1 << 17, 4096);
    qvirtio_ready(k->d);
}

static Disk start(const char *more, bool legacy, uint64_t features)
{
    Disk k = { .q = NULL };

    make_image(&k);
    k.q = qtest_start("-machine pc -nodefaults -m 16 -blockdev driver=file,"
                      "node-name=f,filename=%s,discard=unmap -blockdev "
                      "driver=raw,node-name=d,file=f,discard=unmap -device "
                      "virtio-blk-pci,drive=d%s",
                      k.image, more);
    begin(&k, legacy, features, 1);
    return k;
}

static void stop(Disk *k)
{
    qvirtio_free(k->d);
    qtest_quit(k->q);
    unlink(k->image);
}

static void header(Disk *k, uint32_t type, uint64_t sector)
{
    qtest_writel(k->q, k->head, type);
    qtest_writel(k->q, k->head + 4, 0);
    qtest_writeq(k->q, k->head + 8, sector);
    qtest_writeb(k->q, k->status, 0xee);
}

/* One request of len bytes at k->data; its status, *used: bytes reported. */
static uint8_t request(Disk *k, uint32_t type, uint64_t sector, uint32_t len,
                       bool indirect, uint32_t *used)
{
    QVirtBuf b[3] = { { k->head, 16, false } };
    unsigned n = 1, head, id;
    uint32_t got;

    header(k, type, sector);
    if (len) {
        b[n++] = (QVirtBuf){ k->data, len, type == T_IN || type == T_ID };
    }
    b[n++] = (QVirtBuf){ k->status, 1, true };
    head = qvirtq_add(k->vq, b, n, indirect);
    qvirtq_kick(k->vq);
    got = qvirtq_wait(k->vq, &id);
    CHECK_EQ(id, head);
    if (used) {
        *used = got;
    }
    return qtest_readb(k->q, k->status);
}

static void pattern(uint8_t *b, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++) {
        b[i] = (uint8_t)(i * 7 + seed + (i >> 8));
    }
}

static void writes_and_reads(Disk *k, bool indirect)
{
    uint8_t out[8192], in[8192];
    uint32_t used;
    FILE *f;

    for (unsigned i = 0; i < 12; i++) {
        uint64_t sector = i * 100;

        pattern(out, sizeof(out), i);
        qtest_write(k->q, k->data, out, sizeof(out));
        CHECK_EQ(request(k, T_OUT, sector, sizeof(out), indirect && i % 2,
                         &used), S_OK);
        CHECK_EQ(used, 1u);
        qtest_memset(k->q, k->data, 0, sizeof(out));
        CHECK_EQ(request(k, T_IN, sector, sizeof(in), indirect && i % 2,
                         &used), S_OK);
        CHECK_EQ(used, sizeof(in) + 1u);
        qtest_read(k->q, k->data, in, sizeof(in));
        CHECK(!memcmp(in, out, sizeof(in)));
    }
    CHECK_EQ(request(k, T_FLUSH, 0, 0, false, NULL), S_OK);
    f = fopen(k->image, "r");
    REQUIRE(f && !fseek(f, 1100 * 512, SEEK_SET));
    CHECK_EQ(fread(in, 1, sizeof(in), f), sizeof(in));
    fclose(f);
    CHECK(!memcmp(in, out, sizeof(in)));
}

static void moves_data(const char *more, bool legacy, uint64_t features)
{
    Disk k = start(more, legacy, features);

    CHECK_EQ(qvirtio_config(k.d, 0, 4), DISK / 512u);
    writes_and_reads(&k, features >> QV_INDIRECT & 1);
    stop(&k);
}

TEST(split)
{
    moves_data("", false, QV_F(QV_VERSION_1));
    moves_data("", false, QV_F(QV_VERSION_1) | QV_F(QV_INDIRECT) |
               QV_F(QV_EVENT_IDX));
}

TEST(packed)
{
    moves_data(",packed=on", false, QV_F(QV_VERSION_1) | QV_F(QV_PACKED));
    moves_data(",packed=on", false, QV_F(QV_VERSION_1) | QV_F(QV_PACKED) |
               QV_F(QV_INDIRECT) | QV_F(QV_EVENT_IDX));
}

TEST(old_interface)
{
    moves_data("", true, 0);
    moves_data(",disable-modern=on", true, QV_F(QV_INDIRECT) |
               QV_F(QV_EVENT_IDX));
    moves_data(",ioeventfd=off", true, 0);
}

TEST(iothread)
{
    Disk k = { .q = NULL };

    make_image(&k);
    k.q = qtest_start("-machine pc -nodefaults -m 16 -object iothread,id=t "
                      "-drive if=none,id=d,format=raw,file=%s -device "
                      "virtio-blk-pci,drive=d,iothread=t,num-queues=2,"
                      "packed=on", k.image);
    begin(&k, false, QV_F(QV_VERSION_1) | QV_F(F_MQ), 2);
    writes_and_reads(&k, false);
    k.vq = &k.d->vq[0];
    writes_and_reads(&k, false);
    stop(&k);
}

TEST(features_and_configuration)
{
    Disk k = start(",logical_block_size=512,physical_block_size=4096,"
                   "min_io_size=4096,opt_io_size=65536,serial=abc,num-queues=3",
                   false, QV_F(QV_VERSION_1) | QV_F(F_CONFIG_WCE));

    CHECK_EQ(qvirtio_offered(k.d), 0x10130007e54ull);
    CHECK_EQ(qvirtio_config(k.d, 0, 4), DISK / 512u);
    CHECK_EQ(qvirtio_config(k.d, 4, 4), 0u);
    CHECK_EQ(qvirtio_config(k.d, 8, 4), 0u);               /* size_max        */
    CHECK_EQ(qvirtio_config(k.d, 12, 4), 254u);            /* seg_max         */
    CHECK_EQ(qvirtio_config(k.d, 16, 2), 16u);             /* cylinders       */
    CHECK_EQ(qvirtio_config(k.d, 18, 1), 16u);
    CHECK_EQ(qvirtio_config(k.d, 19, 1), 63u);
    CHECK_EQ(qvirtio_config(k.d, 20, 4), 512u);
    CHECK_EQ(qvirtio_config(k.d, 24, 1), 3u);
    CHECK_EQ(qvirtio_config(k.d, 26, 2), 8u);
    CHECK_EQ(qvirtio_config(k.d, 28, 4), 128u);
    CHECK_EQ(qvirtio_config(k.d, 32, 1), 1u);              /* wce             */
    CHECK_EQ(qvirtio_config(k.d, 34, 2), 3u);
    CHECK_EQ(qvirtio_config(k.d, 36, 4), 4194303u);
    CHECK_EQ(qvirtio_config(k.d, 40, 4), 1u);
    CHECK_EQ(qvirtio_config(k.d, 44, 4), 1u);
    CHECK_EQ(qvirtio_config(k.d, 48, 4), 4194303u);
    CHECK_EQ(qvirtio_config(k.d, 52, 4), 1u);
    CHECK_EQ(qvirtio_config(k.d, 56, 1), 1u);
    CHECK_EQ(qvirtio_config(k.d, 60, 4), 0xffffffffu);
    qvirtio_config_set(k.d, 32, 1, 0);
    CHECK_EQ(qvirtio_config(k.d, 32, 1), 0u);
    qvirtio_config_set(k.d, 32, 1, 1);
    CHECK_EQ(qvirtio_config(k.d, 32, 1), 1u);
    stop(&k);
}

TEST(other_requests)
{
    Disk k = start(",serial=0123456789abcdefghijklmn", false,
                   QV_F(QV_VERSION_1) | QV_F(13) | QV_F(14));
    uint8_t b[512];

    qtest_memset(k.q, k.data, 0xff, 32);
    CHECK_EQ(request(&k, T_ID, 0, 20, false, NULL), S_OK);
    qtest_read(k.q, k.data, b, 32);
    CHECK(!memcmp(b, "0123456789abcdefghij", 20));
    CHECK_EQ(b[20], 0xff);
    CHECK_EQ(request(&k, 99, 0, 0, false, NULL), S_UNSUPP);
    CHECK_EQ(request(&k, 2, 0, 0, false, NULL), S_IOERR);
    /* Sectors 8 to 15: written, then no more. */
    qtest_memset(k.q, k.data, 0x77, 4096);
    CHECK_EQ(request(&k, T_OUT, 8, 4096, false, NULL), S_OK);
    qtest_writeq(k.q, k.data, 8);
    qtest_writel(k.q, k.data + 8, 4);
    qtest_writel(k.q, k.data + 12, 0);
    CHECK_EQ(request(&k, T_ZEROES, 0, 16, false, NULL), S_OK);
    CHECK_EQ(request(&k, T_IN, 11, 512, false, NULL), S_OK);
    CHECK_EQ(qtest_readq(k.q, k.data), 0u);
    CHECK_EQ(request(&k, T_IN, 12, 512, false, NULL), S_OK);
    CHECK_EQ(qtest_readb(k.q, k.data), 0x77u);
    qtest_writeq(k.q, k.data, 8);
    qtest_writel(k.q, k.data + 8, 8);
    qtest_writel(k.q, k.data + 12, 0);
    CHECK_EQ(request(&k, T_DISCARD, 0, 16, false, NULL), S_OK);
    CHECK_EQ(request(&k, T_IN, 12, 512, false, NULL), S_OK);
    CHECK_EQ(qtest_readb(k.q, k.data), 0u);
    /* Beyond the end, a flag that discards have not, two segments. */
    qtest_writeq(k.q, k.data, DISK / 512 - 1);
    qtest_writel(k.q, k.data + 8, 2);
    CHECK_EQ(request(&k, T_ZEROES, 0, 16, false, NULL), S_IOERR);
    CHECK_EQ(request(&k, T_DISCARD, 0, 16, false, NULL), S_IOERR);
    qtest_writeq(k.q, k.data, 0);
    qtest_writel(k.q, k.data + 12, 1);
    CHECK_EQ(request(&k, T_DISCARD, 0, 16, false, NULL), S_UNSUPP);
    CHECK_EQ(request(&k, T_ZEROES, 0, 32, false, NULL), S_UNSUPP);
    stop(&k);
}

TEST(odd_requests)
{
    Disk k = start("", false, QV_F(QV_VERSION_1));

    CHECK_EQ(request(&k, T_IN, DISK / 512, 512, false, NULL), S_IOERR);
    CHECK_EQ(request(&k, T_IN, DISK / 512 - 1, 1024, false, NULL), S_IOERR);
    CHECK_EQ(request(&k, T_IN, UINT64_MAX, 512, false, NULL), S_IOERR);
    CHECK_EQ(request(&k, T_IN, 0, 100, false, NULL), S_IOERR);
    CHECK_EQ(request(&k, T_IN, DISK / 512 - 1, 512, false, NULL), S_OK);
    stop(&k);
}

/* Header and status share descriptors with the data. */
TEST(any_layout)
{
    Disk k = start("", false, QV_F(QV_VERSION_1));
    QVirtBuf w[2], r[3];
    unsigned id;

    header(&k, T_OUT, 40);
    qtest_memset(k.q, k.head + 16, 0x5a, 512);
    w[0] = (QVirtBuf){ k.head, 16 + 512, false };
    w[1] = (QVirtBuf){ k.status, 1, true };
    qvirtq_add(k.vq, w, 2, false);
    qvirtq_kick(k.vq);
    CHECK_EQ(qvirtq_wait(k.vq, &id), 1u);
    CHECK_EQ(qtest_readb(k.q, k.status), S_OK);
    header(&k, T_IN, 40);
    r[0] = (QVirtBuf){ k.head, 9, false };
    r[1] = (QVirtBuf){ k.head + 9, 7, false };
    r[2] = (QVirtBuf){ k.data, 513, true };
    qtest_memset(k.q, k.data, 0xff, 514);
    qvirtq_add(k.vq, r, 3, false);
    qvirtq_kick(k.vq);
    CHECK_EQ(qvirtq_wait(k.vq, &id), 513u);
    CHECK_EQ(qtest_readb(k.q, k.data), 0x5au);
    CHECK_EQ(qtest_readb(k.q, k.data + 511), 0x5au);
    CHECK_EQ(qtest_readb(k.q, k.data + 512), S_OK);
    CHECK_EQ(qtest_readb(k.q, k.data + 513), 0xffu);
    stop(&k);
}

TEST(many_at_once)
{
    Disk k = start("", false, QV_F(QV_VERSION_1) | QV_F(QV_INDIRECT));
    unsigned n = 100, id;
    uint64_t heads = qvirtio_alloc(k.d, 16 * n, 16);

    for (unsigned i = 0; i < n; i++) {
        QVirtBuf b[3] = { { heads + 16 * i, 16, false },
                          { k.data + 512 * i, 512, false },
                          { k.status + (i & 63), 1, true } };

        qtest_writel(k.q, b[0].addr, T_OUT);
        qtest_writeq(k.q, b[0].addr + 8, i);
        qtest_memset(k.q, b[1].addr, i + 1, 512);
        qvirtq_add(k.vq, b, 3, true);
    }
    qvirtq_kick(k.vq);
    for (unsigned i = 0; i < n; i++) {
        CHECK_EQ(qvirtq_wait(k.vq, &id), 1u);
    }
    CHECK_EQ(request(&k, T_IN, 0, 512 * n, false, NULL), S_OK);
    for (unsigned i = 0; i < n; i++) {
        CHECK_EQ(qtest_readb(k.q, k.data + 512 * i), i + 1);
    }
    stop(&k);
}

TEST(a_request_without_status_breaks_the_device)
{
    Disk k = start("", false, QV_F(QV_VERSION_1));
    QVirtBuf b = { k.head, 16, false };
    unsigned n = 0;

    header(&k, T_IN, 0);
    qvirtq_add(k.vq, &b, 1, false);
    qvirtq_kick(k.vq);
    while (!(qvirtio_status(k.d) & 64) && n++ < 1000) {
    }
    CHECK(qvirtio_status(k.d) & 64);
    qvirtio_free(k.d);
    begin(&k, false, QV_F(QV_VERSION_1), 1);
    CHECK_EQ(request(&k, T_IN, 0, 512, false, NULL), S_OK);
    stop(&k);
}

TEST(read_only)
{
    Disk k = { .q = NULL };

    make_image(&k);
    k.q = qtest_start("-machine pc -nodefaults -m 16 -drive if=virtio,"
                      "format=raw,read-only=on,file=%s", k.image);
    begin(&k, false, QV_F(QV_VERSION_1) | QV_F(F_RO), 1);
    CHECK_EQ(request(&k, T_OUT, 0, 512, false, NULL), S_IOERR);
    CHECK_EQ(request(&k, T_IN, 0, 512, false, NULL), S_OK);
    stop(&k);
}

static unsigned byte_of(const char *image, long at)
{
    FILE *f = fopen(image, "r");
    int c = f && !fseek(f, at, SEEK_SET) ? fgetc(f) : -1;

    if (f) {
        fclose(f);
    }
    return (unsigned)c;
}

/* -snapshot keeps writes from the image until the monitor's commit. */
TEST(snapshot_and_commit)
{
    Disk k = { .q = NULL };

    make_image(&k);
    k.q = qtest_start("-machine pc -nodefaults -m 16 -snapshot -drive if=none,"
                      "id=d,format=raw,file=%s -device virtio-blk-pci,drive=d",
                      k.image);
    begin(&k, false, QV_F(QV_VERSION_1), 1);
    qtest_memset(k.q, k.data, 0x77, 4096);
    CHECK_EQ(request(&k, T_OUT, 8, 4096, false, NULL), S_OK);
    CHECK_EQ(request(&k, T_FLUSH, 0, 0, false, NULL), S_OK);
    CHECK_EQ(byte_of(k.image, 4096), 0u);
    free(qtest_hmp(k.q, "commit d"));
    CHECK_EQ(byte_of(k.image, 4096), 0x77u);
    qtest_memset(k.q, k.data, 0x78, 512);
    CHECK_EQ(request(&k, T_OUT, 0, 512, false, NULL), S_OK);
    free(qtest_hmp(k.q, "commit all"));
    CHECK_EQ(byte_of(k.image, 0), 0x78u);
    CHECK_EQ(byte_of(k.image, 8191), 0x77u);
    stop(&k);
}

/* So does the escape key and "s" on a line that has a multiplexer. */
TEST(snapshot_and_escape_key)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    Disk k = { .q = NULL };
    char dir[] = "/tmp/tern-keys-XXXXXX";
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    REQUIRE(mkdtemp(dir) != NULL);
    snprintf(a.sun_path, sizeof(a.sun_path), "%s/s", dir);
    make_image(&k);
    k.q = qtest_start("-machine pc -nodefaults -m 16 -snapshot -drive if=none,"
                      "id=d,format=raw,file=%s -device virtio-blk-pci,drive=d "
                      "-chardev socket,id=m,path=%s,server=on,wait=off,mux=on "
                      "-serial chardev:m -mon chardev=m", k.image, a.sun_path);
    REQUIRE(connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
    begin(&k, false, QV_F(QV_VERSION_1), 1);
    qtest_memset(k.q, k.data, 0x79, 512);
    CHECK_EQ(request(&k, T_OUT, 3, 512, false, NULL), S_OK);
    CHECK_EQ(write(fd, "\1s", 2), 2);
    for (unsigned i = 0; i < 2000 && byte_of(k.image, 3 * 512) != 0x79; i++) {
        usleep(5000);
    }
    CHECK_EQ(byte_of(k.image, 3 * 512), 0x79u);
    CHECK_EQ(request(&k, T_IN, 3, 512, false, NULL), S_OK);
    CHECK_EQ(qtest_readl(k.q, k.data), 0x79797979u);
    close(fd);
    stop(&k);
    unlink(a.sun_path);
    rmdir(dir);
}

/* drive_del takes the medium from a guest that goes on. */
TEST(drive_del_under_a_guest)
{
    Disk k = { .q = NULL };
    char command[160], *s;

    make_image(&k);
    k.q = qtest_start("-machine pc -nodefaults -m 16 -drive if=none,id=d,"
                      "format=raw,file=%s -device virtio-blk-pci,drive=d",
                      k.image);
    begin(&k, false, QV_F(QV_VERSION_1), 1);
    CHECK_EQ(request(&k, T_IN, 0, 512, false, NULL), S_OK);
    free(qtest_hmp(k.q, "drive_del d"));
    CHECK_EQ(request(&k, T_IN, 0, 512, false, NULL), S_IOERR);
    snprintf(command, sizeof(command), "drive_add 0 if=none,id=e,format=raw,"
             "file=%s", k.image);
    s = qtest_hmp(k.q, command);
    CHECK(strstr(s, "OK"));
    free(s);
    s = qtest_hmp(k.q, "drive_del e");
    CHECK(!*s);
    free(s);
    stop(&k);
}
