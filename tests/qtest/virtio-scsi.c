/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-scsi and the units behind it: what they say of themselves, data as the
 * image has it, sense data, attentions, task management, hot-plug. The replies are
 * those that the standards and the peer give for the same command blocks.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tests/libqvirtio.h"
#include "tests/tern-test.h"

#define SCSI 8
#define HEAP 0x200000
#define DISK (8 << 20)
#define LEN 65536
enum { GOOD = 0, CHECK_CONDITION = 2 };
enum { ANSWERED, OVERRUN, ABORTED, BAD_TARGET, INCORRECT_LUN = 12 };

typedef struct Host {
    char image[64];
    QTest *q;
    QVirtio *d;
    QVirtq *ctl, *event, *vq;
    uint64_t head, resp, data;         /* guest addresses                     */
    uint8_t status, response, sense[96];
    uint32_t resid;
    uint8_t buf[LEN];
} Host;

static Host *start(const char *more)
{
    Host *h = calloc(1, sizeof(*h));
    int fd;

    strcpy(h->image, "/tmp/tern-vscsi-XXXXXX");
    fd = mkstemp(h->image);
    if (fd < 0 || ftruncate(fd, DISK)) {
        abort();
    }
    close(fd);
    h->q = qtest_start(
        "-machine pc -nodefaults -m 16 -object iothread,id=t -device "
        "virtio-scsi-pci,id=s,num_queues=1%s -blockdev driver=file,node-name=f,"
        "filename=%s,discard=unmap -blockdev driver=raw,node-name=d,file=f,"
        "discard=unmap -device scsi-hd,drive=d,scsi-id=0,lun=0,serial=abc,"
        "id=hd -blockdev driver=null-co,node-name=n,size=104857600,"
        "read-zeroes=on,read-only=on -device scsi-cd,drive=n,scsi-id=1,id=cd "
        "-blockdev driver=null-co,node-name=n2,size=1048576 -device scsi-hd,"
        "drive=n2,scsi-id=0,lun=300,logical_block_size=4096,"
        "physical_block_size=4096", more, h->image);
    h->d = qvirtio_find(h->q, SCSI, 0, false, HEAP);
    CHECK(qvirtio_accept(h->d, QV_F(QV_VERSION_1) | 6));
    h->ctl = qvirtq_setup(h->d, 0, 0);
    h->event = qvirtq_setup(h->d, 1, 0);
    h->vq = qvirtq_setup(h->d, 2, 0);
    h->head = qvirtio_alloc(h->d, 256, 64);
    h->resp = qvirtio_alloc(h->d, 256, 64);
    h->data = qvirtio_alloc(h->d, LEN, 4096);
    qvirtio_ready(h->d);
    return h;
}

static void stop(Host *h)
{
    qvirtio_free(h->d);
    qtest_quit(h->q);
    unlink(h->image);
    free(h);
}

static void put_head(Host *h, unsigned target, unsigned lun, const char *hex)
{
    uint8_t b[51] = { 1, (uint8_t)target, (uint8_t)(0x40 | lun >> 8),
                      (uint8_t)lun };

    for (unsigned i = 0; hex[2 * i]; i++) {
        unsigned v;

        REQUIRE(sscanf(hex + 2 * i, "%2x", &v) == 1);
        b[19 + i] = (uint8_t)v;
    }
    qtest_write(h->q, h->head, b, sizeof(b));
}

/* Runs a command block; n bytes of h->buf go there (out) or come. */
static uint8_t run(Host *h, unsigned target, unsigned lun, const char *hex,
                   uint32_t n, bool out)
{
    QVirtBuf b[3] = { { h->head, 51, false } };
    unsigned k = 1, id;
    uint8_t resp[108];

    put_head(h, target, lun, hex);
    if (n && out) {
        qtest_write(h->q, h->data, h->buf, n);
        b[k++] = (QVirtBuf){ h->data, n, false };
    }
    b[k++] = (QVirtBuf){ h->resp, 108, true };
    if (n && !out) {
        qtest_memset(h->q, h->data, 0xcc, n);
        b[k++] = (QVirtBuf){ h->data, n, true };
    }
    qvirtq_add(h->vq, b, k, false);
    qvirtq_kick(h->vq);
    qvirtq_wait(h->vq, &id);
    qtest_read(h->q, h->resp, resp, sizeof(resp));
    h->response = resp[11];
    h->status = resp[10];
    memcpy(&h->resid, resp + 4, 4);
    memcpy(h->sense, resp + 12, 96);
    if (n && !out) {
        qtest_read(h->q, h->data, h->buf, n);
    }
    return h->status;
}

static void expect_sense(Host *h, uint8_t key, uint8_t asc)
{
    CHECK_EQ(h->status, CHECK_CONDITION);
    CHECK_EQ(h->sense[0], 0x70);
    CHECK_EQ(h->sense[2], key);
    CHECK_EQ(h->sense[12], asc);
}

/* The attention of power on is out of the way. */
static void ready(Host *h, unsigned target, unsigned lun)
{
    run(h, target, lun, "000000000000", 0, false);
    expect_sense(h, 6, 0x29);
    CHECK_EQ(run(h, target, lun, "000000000000", 0, false), GOOD);
}

TEST(units_tell_what_they_are)
{
    static const uint8_t limits[] = { 0, 0xb0, 0, 0x3c, 1, 0, 0, 0,
                                      0, 0x3f, 0xff, 0xff };
    Host *h = start("");

    CHECK_EQ(run(h, 0, 0, "120000006000", 96, false), GOOD);
    CHECK(!memcmp(h->buf, "\0\0\5\x12\x5b\0\0\x12QEMU    QEMU HARDDISK   2.5+",
                  36));
    CHECK_EQ(run(h, 1, 0, "120000002400", 96, false), GOOD);
    CHECK_EQ(h->resid, 60u);
    CHECK(!memcmp(h->buf, "\5\x80\5\x12\x1f\0\0\x12QEMU    QEMU CD-ROM     ",
                  32));
    CHECK_EQ(run(h, 0, 0, "12010000ff00", 255, false), GOOD);
    CHECK(!memcmp(h->buf, "\0\0\0\6\0\x80\x83\xb0\xb1\xb2", 10));
    CHECK_EQ(run(h, 0, 0, "12018000ff00", 255, false), GOOD);
    CHECK(!memcmp(h->buf, "\0\x80\0\3abc", 7));
    CHECK_EQ(run(h, 0, 0, "1201b000ff00", 255, false), GOOD);
    CHECK(!memcmp(h->buf, limits, sizeof(limits)));
    run(h, 0, 0, "12017700ff00", 255, false);
    expect_sense(h, 5, 0x24);
    ready(h, 0, 0);
    CHECK_EQ(run(h, 0, 0, "25000000000000000000", 8, false), GOOD);
    CHECK(!memcmp(h->buf, "\0\0\x3f\xff\0\0\2\0", 8));
    CHECK_EQ(run(h, 0, 0, "5a003f00000000010000", 256, false), GOOD);
    CHECK(!memcmp(h->buf, "\0\x66\0\0\0\0\0\x8\0\0\x40\0\0\0\2\0\1\x0a", 18));
    CHECK_EQ(run(h, 0, 0, "a00000000000000010000000", 4096, false), GOOD);
    CHECK_EQ(h->resid, 4096u - 24);
    CHECK(!memcmp(h->buf, "\0\0\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\x41\x2c", 18));
    stop(h);
}

/* The last of 256 targets and of 16,384 units, from the start and plugged. */
TEST(farthest_units)
{
    Host *h = start(" -blockdev driver=null-co,node-name=far,size=3145728 "
                    "-device scsi-hd,drive=far,scsi-id=255,lun=16383,serial=far "
                    "-blockdev driver=null-co,node-name=far2,size=1048576");
    char *s;

    CHECK_EQ(run(h, 255, 16383, "12018000ff00", 255, false), GOOD);
    CHECK(!memcmp(h->buf, "\0\x80\0\3far", 7));
    ready(h, 255, 16383);
    CHECK_EQ(run(h, 255, 16383, "25000000000000000000", 8, false), GOOD);
    CHECK(!memcmp(h->buf, "\0\0\x17\xff\0\0\2\0", 8));
    CHECK_EQ(run(h, 255, 0, "a00000000000000010000000", 4096, false), GOOD);
    CHECK(!memcmp(h->buf, "\0\0\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\x7f\xff",
                  18));
    run(h, 254, 16383, "000000000000", 0, false);
    CHECK_EQ(h->response, BAD_TARGET);
    qtest_qmp_ok(h->q, "{'execute': 'device_add', 'arguments': {'driver': "
                 "'scsi-hd', 'drive': 'far2', 'id': 'p', 'bus': 's.0', "
                 "'scsi-id': 254, 'lun': 16382}}");
    for (unsigned i = 0; i < 4; i++) {                     /* attentions      */
        run(h, 254, 16382, "000000000000", 0, false);
    }
    CHECK_EQ(run(h, 254, 16382, "25000000000000000000", 8, false), GOOD);
    CHECK(!memcmp(h->buf, "\0\0\7\xff\0\0\2\0", 8));
    s = qtest_qmp(h->q, "{'execute': 'device_add', 'arguments': {'driver': "
                  "'scsi-cd', 'bus': 's.0', 'scsi-id': 256, 'lun': 0}}");
    CHECK(strstr(s, "bad scsi device id: 256") != NULL);
    free(s);
    s = qtest_qmp(h->q, "{'execute': 'device_add', 'arguments': {'driver': "
                  "'scsi-cd', 'bus': 's.0', 'scsi-id': 0, 'lun': 16384}}");
    CHECK(strstr(s, "bad scsi device lun: 16384") != NULL);
    free(s);
    stop(h);
}

static void moves_data(const char *more)
{
    Host *h = start(more);
    uint8_t want[8192];
    FILE *f;

    ready(h, 0, 0);
    for (unsigned i = 0; i < sizeof(want); i++) {
        want[i] = (uint8_t)(i * 7 + (i >> 8));
    }
    memcpy(h->buf, want, sizeof(want));
    CHECK_EQ(run(h, 0, 0, "2a000000010000001000", 8192, true), GOOD);
    CHECK_EQ(run(h, 0, 0, "88000000000000000100000000100000", 8192, false),
             GOOD);
    CHECK(!memcmp(h->buf, want, sizeof(want)));
    CHECK_EQ(run(h, 0, 0, "080001011000", 8192, false), GOOD);
    CHECK(!memcmp(h->buf, want + 512, sizeof(want) - 512));
    memcpy(h->buf, want, sizeof(want));
    if (qtest_has_clock(h->q)) {       /* another need not compare            */
        CHECK_EQ(run(h, 0, 0, "2f020000010000001000", 8192, true), GOOD);
        h->buf[5000] ^= 1;
        run(h, 0, 0, "2f020000010000001000", 8192, true);
        expect_sense(h, 0xe, 0x1d);
    }
    CHECK_EQ(run(h, 0, 0, "35000000000000000000", 0, false), GOOD);
    f = fopen(h->image, "r");
    REQUIRE(f && !fseek(f, 0x100 * 512, SEEK_SET));
    CHECK_EQ(fread(h->buf, 1, sizeof(want), f), sizeof(want));
    fclose(f);
    CHECK(!memcmp(h->buf, want, sizeof(want)));
    stop(h);
}

TEST(data)
{
    moves_data("");
}

TEST(data_in_an_iothread)
{
    moves_data(",iothread=t");
}

TEST(same_data_and_none)
{
    Host *h = start("");
    uint8_t list[24] = { 0, 22, 0, 16 };

    ready(h, 0, 0);
    memset(h->buf, 0x5a, 512);
    CHECK_EQ(run(h, 0, 0, "93000000000000000100000008000000", 512, true),
             GOOD);
    CHECK_EQ(run(h, 0, 0, "28000000010000008000", LEN, false), GOOD);
    CHECK_EQ(h->buf[0], 0x5a);
    CHECK_EQ(h->buf[LEN - 1], 0x5a);
    list[14] = 1;                      /* 16 blocks from 0x100                */
    list[19] = 16;
    memcpy(h->buf, list, sizeof(list));
    CHECK_EQ(run(h, 0, 0, "420000000000000018", 24, true), GOOD);
    CHECK_EQ(run(h, 0, 0, "28000000010000002000", 16384, false), GOOD);
    CHECK_EQ(h->buf[0], 0);
    CHECK_EQ(h->buf[8191], 0);
    CHECK_EQ(h->buf[8192], 0x5a);
    list[12] = 0xff;
    memcpy(h->buf, list, sizeof(list));
    run(h, 0, 0, "420000000000000018", 24, true);
    expect_sense(h, 5, 0x21);
    stop(h);
}

TEST(what_is_refused)
{
    Host *h = start("");

    ready(h, 0, 0);
    ready(h, 0, 300);
    ready(h, 1, 0);
    run(h, 0, 0, "28000000400000000100", 512, false);
    expect_sense(h, 5, 0x21);
    run(h, 0, 0, "280000003fff00000200", 512, false);
    CHECK_EQ(h->response, OVERRUN);
    run(h, 0, 300, "28000000010000000100", 4096, false);
    expect_sense(h, 5, 0x21);
    run(h, 0, 0, "ff0000000000", 0, false);
    expect_sense(h, 5, 0x20);
    run(h, 1, 0, "2a000000000000000100", 2048, true);
    expect_sense(h, 7, 0x27);
    run(h, 9, 0, "000000000000", 0, false);
    CHECK_EQ(h->response, BAD_TARGET);
    run(h, 0, 7, "000000000000", 0, false);
    expect_sense(h, 5, 0x25);
    CHECK_EQ(run(h, 0, 7, "120000002400", 36, false), GOOD);
    CHECK_EQ(h->buf[0], 0x7f);
    stop(h);
}

TEST(mode_select_sets_the_cache)
{
    Host *h = start("");
    static const uint8_t off[24] = { 0, 0, 0, 0, 8, 0x12, 0 };

    ready(h, 0, 0);
    memcpy(h->buf, off, 24);
    CHECK_EQ(run(h, 0, 0, "151000001800", 24, true), GOOD);
    CHECK_EQ(run(h, 0, 0, "1a080800ff00", 255, false), GOOD);
    CHECK_EQ(h->buf[6], 0);
    memcpy(h->buf, off, 24);
    h->buf[6] = 4;
    CHECK_EQ(run(h, 0, 0, "151000001800", 24, true), GOOD);
    CHECK_EQ(run(h, 0, 0, "1a080800ff00", 255, false), GOOD);
    CHECK_EQ(h->buf[6], 4);
    memcpy(h->buf, off, 24);
    h->buf[9] = 1;
    run(h, 0, 0, "151000001800", 24, true);
    expect_sense(h, 5, 0x26);
    stop(h);
}

TEST(tray)
{
    Host *h = start("");
    char *s;

    ready(h, 1, 0);
    CHECK_EQ(run(h, 1, 0, "4300000000000000ff00", 255, false), GOOD);
    CHECK(!memcmp(h->buf, "\0\x12\1\1\0\x14\1\0\0\0\0\0\0\x16\xaa\0\0\0\xc8\0",
                  20));
    CHECK_EQ(run(h, 1, 0, "1e0000000100", 0, false), GOOD);
    run(h, 1, 0, "1b0000000200", 0, false);
    expect_sense(h, 5, 0x53);
    CHECK_EQ(run(h, 1, 0, "1e0000000000", 0, false), GOOD);
    CHECK_EQ(run(h, 1, 0, "1b0000000200", 0, false), GOOD);
    s = qtest_event(h->q, "DEVICE_TRAY_MOVED");
    CHECK(strstr(s, "\"tray-open\": true"));
    free(s);
    run(h, 1, 0, "000000000000", 0, false);
    expect_sense(h, 2, 0x3a);
    CHECK_EQ(run(h, 1, 0, "1b0000000300", 0, false), GOOD);
    s = qtest_event(h->q, "DEVICE_TRAY_MOVED");
    CHECK(strstr(s, "\"tray-open\": false"));
    free(s);
    CHECK_EQ(run(h, 1, 0, "000000000000", 0, false), GOOD);
    stop(h);
}

static uint8_t manage(Host *h, uint32_t function, unsigned target, unsigned lun)
{
    QVirtBuf b[2] = { { h->head, 24, false }, { h->resp, 1, true } };
    uint8_t req[24] = { 0 };
    unsigned id;

    memcpy(req + 4, &function, 4);
    req[8] = 1;
    req[9] = (uint8_t)target;
    req[10] = (uint8_t)(0x40 | lun >> 8);
    req[11] = (uint8_t)lun;
    qtest_write(h->q, h->head, req, sizeof(req));
    qvirtq_add(h->ctl, b, 2, false);
    qvirtq_kick(h->ctl);
    qvirtq_wait(h->ctl, &id);
    return qtest_readb(h->q, h->resp);
}

TEST(task_management)
{
    Host *h = start(",iothread=t");

    ready(h, 0, 0);
    CHECK_EQ(manage(h, 0, 0, 0), 0u);
    CHECK_EQ(manage(h, 6, 0, 0), 0u);
    CHECK_EQ(manage(h, 5, 0, 0), 0u);
    ready(h, 0, 0);
    CHECK_EQ(manage(h, 5, 0, 5), (unsigned)INCORRECT_LUN);
    CHECK_EQ(manage(h, 5, 9, 0), (unsigned)BAD_TARGET);
    CHECK_EQ(manage(h, 2, 0, 0), 11u);
    stop(h);
}

static uint32_t wait_event(Host *h, uint64_t at, uint8_t lun[8])
{
    unsigned id;

    qvirtq_wait(h->event, &id);
    qtest_read(h->q, at + 4, lun, 8);
    return qtest_readl(h->q, at) | (uint64_t)qtest_readl(h->q, at + 12) << 16;
}

TEST(units_come)
{
    Host *h = start("");
    QVirtBuf b = { qvirtio_alloc(h->d, 64, 16), 16, true };
    uint8_t lun[8];

    ready(h, 0, 0);
    qvirtq_add(h->event, &b, 1, false);
    qtest_qmp_ok(h->q, "{'execute': 'device_add', 'arguments': {'driver': "
                 "'scsi-cd', 'bus': 's.0', 'id': 'x', 'scsi-id': 0, 'lun': "
                 "513}}");
    CHECK_EQ(wait_event(h, b.addr, lun), 1u | 1 << 16);
    CHECK(!memcmp(lun, "\1\0\x42\1\0\0\0\0", 8));
    run(h, 0, 0, "000000000000", 0, false);
    expect_sense(h, 6, 0x3f);
    run(h, 0, 513, "000000000000", 0, false);
    expect_sense(h, 6, 0x29);
    run(h, 0, 513, "000000000000", 0, false);
    expect_sense(h, 2, 0x3a);
    stop(h);
}

TEST(units_go_under_load)
{
    Host *h = start(",iothread=t");
    QVirtBuf b[3] = { { h->head, 51, false }, { h->resp, 108, true },
                      { h->data, 4096, true } };
    QVirtBuf ev = { qvirtio_alloc(h->d, 64, 16), 16, true };
    uint8_t lun[8];
    unsigned id;

    ready(h, 0, 0);
    qvirtq_add(h->event, &ev, 1, false);
    put_head(h, 0, 0, "28000000000000000800");
    for (unsigned i = 0; i < 64; i++) {
        qvirtq_add(h->vq, b, 3, false);
    }
    qvirtq_kick(h->vq);
    qtest_qmp_ok(h->q, "{'execute': 'device_del', 'arguments': {'id': 'hd'}}");
    free(qtest_event(h->q, "DEVICE_DELETED"));
    CHECK_EQ(wait_event(h, ev.addr, lun), 1u | 2 << 16);
    CHECK(!memcmp(lun, "\1\0\0\0\0\0\0\0", 8));
    for (unsigned i = 0; i < 64; i++) {
        qvirtq_wait(h->vq, &id);
    }
    run(h, 0, 0, "120000002400", 36, false);
    CHECK_EQ(h->buf[0], 0x3f);
    stop(h);
}

TEST(media_are_changed)
{
    Host *h = start(",iothread=t");

    ready(h, 1, 0);
    CHECK_EQ(run(h, 1, 0, "1e0000000100", 0, false), GOOD);
    free(qtest_qmp(h->q, "{'execute': 'blockdev-open-tray', 'arguments': "
                   "{'id': 'cd'}}"));
    CHECK_EQ(run(h, 1, 0, "000000000000", 0, false), GOOD);
    /* The guest is asked to let it go. */
    CHECK_EQ(run(h, 1, 0, "4a0100001000000080", 128, false), GOOD);
    CHECK_EQ(h->buf[4], 1);
    CHECK_EQ(run(h, 1, 0, "1e0000000000", 0, false), GOOD);
    qtest_qmp_ok(h->q, "{'execute': 'blockdev-open-tray', 'arguments': "
                 "{'id': 'cd'}}");
    free(qtest_event(h->q, "DEVICE_TRAY_MOVED"));
    run(h, 1, 0, "000000000000", 0, false);
    run(h, 1, 0, "000000000000", 0, false);
    expect_sense(h, 2, 0x3a);
    qtest_qmp_ok(h->q, "{'execute': 'blockdev-remove-medium', 'arguments': "
                 "{'id': 'cd'}}");
    qtest_qmp_ok(h->q, "{'execute': 'blockdev-add', 'arguments': {'driver': "
                 "'null-co', 'node-name': 'other', 'size': 4096000, "
                 "'read-only': true, 'read-zeroes': true}}");
    qtest_qmp_ok(h->q, "{'execute': 'blockdev-insert-medium', 'arguments': "
                 "{'id': 'cd', 'node-name': 'other'}}");
    qtest_qmp_ok(h->q, "{'execute': 'blockdev-close-tray', 'arguments': "
                 "{'id': 'cd'}}");
    run(h, 1, 0, "000000000000", 0, false);
    expect_sense(h, 6, 0x3a);
    run(h, 1, 0, "000000000000", 0, false);
    expect_sense(h, 6, 0x28);
    CHECK_EQ(run(h, 1, 0, "25000000000000000000", 8, false), GOOD);
    CHECK(!memcmp(h->buf, "\0\0\7\xcf\0\0\x8\0", 8));
    stop(h);
}
