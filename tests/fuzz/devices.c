/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that scribbles over the rings and registers of every disk controller and
 * virtio function, over its PCI configuration space and its memory. The process
 * must go on, answer its monitor, and not grow.
 *
 * FUZZ_SECONDS: how long (20; 600 with TEST_SLOW); FUZZ_SEED: where to begin, as a
 * failure has printed it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tests/libfuzz.h"
#include "tests/tern-test.h"

/* ---- memory -------------------------------------------------------------- */

/* A page of descriptors, ring indices, SCRIPTS, command tables, or noise. */
static void scribble(Fuzz *f)
{
    static const uint8_t ops[] = { 0x25, 0x35, 0x60, 0x61, 0xec, 0xa1, 0xa0,
                                   0x06, 0xef, 0x20, 0x30, 0xea, 0x24, 0x34 };
    uint8_t b[4096];
    uint64_t at = fuzz_page(f);

    switch (fuzz_below(f, 6)) {
    case 0:
        fuzz_descriptors(f, b, 256);
        break;
    case 1:                            /* available ring                      */
        for (unsigned i = 0; i < sizeof(b); i += 2) {
            uint16_t v = i == 2 ? (uint16_t)fuzz_below(f, 300)
                       : (uint16_t)fuzz_below(f, fuzz_below(f, 16) ? 64
                                                                   : 65536);

            memcpy(b + i, &v, 2);
        }
        break;
    case 2:                            /* SCSI and block requests             */
        for (unsigned i = 0; i < sizeof(b); i++) {
            b[i] = (uint8_t)(fuzz_below(f, 3) ? fuzz_below(f, 3) : fuzz_rnd(f));
        }
        b[0] = 1;
        b[1] = (uint8_t)fuzz_below(f, 3);
        b[2] = 0x40;
        b[19] = (uint8_t)fuzz_rnd(f);
        break;
    case 3:                            /* AHCI headers and a table            */
        for (unsigned i = 0; i < 1024; i += 32) {
            uint32_t w[8] = { 5 | fuzz_below(f, 8) << 16 | fuzz_below(f, 128),
                              0, fuzz_page(f) };

            memcpy(b + i, w, 32);
        }
        for (unsigned i = 1024; i < sizeof(b); i++) {
            b[i] = (uint8_t)(fuzz_below(f, 4) ? 0 : fuzz_rnd(f));
        }
        break;
    case 4:
        for (unsigned i = 0; i < sizeof(b); i++) {
            b[i] = (uint8_t)(fuzz_below(f, 3) ? 0 : fuzz_rnd(f));
        }
        b[0] = 0x27;
        b[1] = fuzz_below(f, 8) ? 0x80 : 0;
        b[2] = ops[fuzz_below(f, sizeof(ops))];
        fuzz_descriptors(f, b + 0x80, 64);
        break;
    default:
        for (unsigned i = 0; i < sizeof(b); i += 8) {
            uint64_t v = fuzz_below(f, 2) ? fuzz_rnd(f) : fuzz_value(f);

            memcpy(b + i, &v, 8);
        }
        break;
    }
    qtest_write(f->q, at, b, sizeof(b));
}

/* ---- devices ------------------------------------------------------------- */

/* A driver that does it right, up to the rings. */
static void ahci_start(Fuzz *f, const FuzzDev *d)
{
    uint64_t p = d->bar[5].addr + 0x100 + 0x80 * fuzz_below(f, 2);

    qtest_writel(f->q, p, fuzz_page(f));
    qtest_writel(f->q, p + 8, fuzz_page(f));
    qtest_writel(f->q, p + 0x14, (uint32_t)fuzz_rnd(f));
    qtest_writel(f->q, p + 0x18, 0x10);
    qtest_writel(f->q, p + 0x18, 0x11);
    for (unsigned i = 0; i < 4; i++) {
        scribble(f);
        qtest_writel(f->q, p + 0x34, fuzz_rnd(f) & fuzz_rnd(f));
        qtest_writel(f->q, p + 0x38, fuzz_rnd(f) & fuzz_rnd(f));
    }
}

static void lsi_start(Fuzz *f, const FuzzDev *d)
{
    uint64_t m = d->bar[1].addr;
    uint32_t at = fuzz_page(f), w[12] = {
        0x41000000 | fuzz_below(f, 3) << 16, at + 0x800,
        0x06000001, at + 0x400, 0x02000006 + fuzz_below(f, 11), at + 0x410,
        fuzz_below(f, 2) ? 0x01000200 : (uint32_t)fuzz_rnd(f) & 0x3fffffff,
        at + 0x500,
        (uint32_t)fuzz_rnd(f), fuzz_below(f, 2) ? at : (uint32_t)fuzz_value(f),
        0x98080000, 0,
    };
    uint8_t cdb[17] = { 0x80 };

    scribble(f);
    for (unsigned i = 1; i < sizeof(cdb); i++) {
        cdb[i] = (uint8_t)(fuzz_below(f, 3) ? fuzz_below(f, 3) : fuzz_rnd(f));
    }
    cdb[1] = (uint8_t)fuzz_rnd(f);
    qtest_write(f->q, at, w, sizeof(w));
    qtest_write(f->q, at + 0x400, cdb, 1);
    qtest_write(f->q, at + 0x410, cdb + 1, 16);
    qtest_writel(f->q, m + 0x2c, at);
    qtest_readl(f->q, m + 0x0c);
    qtest_readl(f->q, m + 0x42);
    if (!fuzz_below(f, 4)) {
        qtest_writeb(f->q, m + 0x14, fuzz_below(f, 2) ? 0x80 : 0x20);
    }
}

static void one(Fuzz *f)
{
    FuzzDev *d = &f->dev[fuzz_below(f, f->ndev)];

    switch (fuzz_below(f, 12)) {
    case 0:
        if (d->vendor == 0x1af4) {
            fuzz_virtio(f, d, 1 + fuzz_below(f, 3), scribble);
        } else if (d->vendor == 0x1000) {
            lsi_start(f, d);
        } else if (d->device == 0x2922) {
            ahci_start(f, d);
        }
        break;
    case 1:
        scribble(f);
        break;
    case 2:
        fuzz_config(f, d);
        break;
    default:
        fuzz_poke(f, d);
        break;
    }
}

static void begin(Fuzz *f, char *image)
{
    int fd;

    fd = mkstemp(image);
    if (fd < 0 || ftruncate(fd, 4 << 20)) {
        abort();
    }
    close(fd);
    f->q = qtest_start(
        "-machine pc -nodefaults -m 32 -object iothread,id=t -blockdev "
        "driver=file,node-name=f,filename=%s -blockdev driver=raw,node-name=r,"
        "file=f -blockdev driver=null-co,node-name=n1,size=1048576 -blockdev "
        "driver=null-co,node-name=n2,size=1048576 -blockdev driver=null-co,"
        "node-name=n3,size=1048576 -blockdev driver=null-co,node-name=n4,size="
        "1048576 -blockdev driver=null-co,node-name=n5,size=1048576,read-only="
        "on -blockdev driver=null-co,node-name=n6,size=1048576,read-only=on "
        "-device virtio-blk-pci,drive=r,werror=report -device virtio-blk-pci,"
        "drive=n1,iothread=t,num-queues=2 -device virtio-scsi-pci,iothread=t,"
        "id=s,num_queues=2 -device scsi-hd,bus=s.0,drive=n2,werror=report "
        "-device scsi-cd,bus=s.0,drive=n5 -device virtio-rng-pci -device "
        "virtio-balloon-pci -device virtio-serial-pci -chardev null,id=c "
        "-device virtserialport,chardev=c,name=x -device ich9-ahci,id=a "
        "-device ide-hd,bus=a.0,drive=n3,werror=report -device ide-cd,bus=a.1,"
        "drive=n6 -device lsi53c895a,id=l -device scsi-hd,bus=l.0,drive=n4,"
        "werror=report -device e1000,id=net", image);
    fuzz_find(f);
}

/* The address sanitizer keeps freed memory for a while; let that be little, as
 * growth is looked for. */
static void keep_little(void)
{
    const char *given = getenv("ASAN_OPTIONS");
    char text[512];

    snprintf(text, sizeof(text), "quarantine_size_mb=8:"
             "thread_local_quarantine_size_kb=64:%s", given ? given : "");
    setenv("ASAN_OPTIONS", text, 1);
}

TEST(a_guest_that_scribbles)
{
    Fuzz *f = calloc(1, sizeof(*f));
    char image[] = "/tmp/tern-fuzz-XXXXXX";

    TEST_LIMIT(3600);
    keep_little();
    fuzz_init(f);
    begin(f, image);
    CHECK_GE(f->ndev, 9u);
    CHECK_LT(fuzz_run(f, one), 64 * 1024);
    qtest_quit(f->q);
    unlink(image);
    free(f);
}
