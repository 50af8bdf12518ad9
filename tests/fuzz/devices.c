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
#include <time.h>
#include <unistd.h>
#include "tests/libqtest.h"
#include "tests/tern-test.h"

#define RAM (32u << 20)
#define RINGS 0x100000                 /* 64 pages of them                    */
#define PAGES 64
#define DEVICES 24

typedef struct Bar {
    uint64_t addr, size;
} Bar;

typedef struct Dev {
    unsigned devfn;
    uint16_t vendor, device;
    uint32_t regs[6];                  /* as mapped                           */
    Bar bar[6];
} Dev;

typedef struct Fuzz {
    QTest *q;
    uint64_t state;                    /* of the generator                    */
    Dev dev[DEVICES];
    unsigned ndev;
    char image[64];
} Fuzz;

static uint64_t rnd(Fuzz *f)
{
    f->state ^= f->state << 13;
    f->state ^= f->state >> 7;
    f->state ^= f->state << 17;
    return f->state;
}

static uint32_t below(Fuzz *f, uint32_t n)
{
    return (uint32_t)(rnd(f) >> 16) % n;
}

/* Numbers that break things more often than others. */
static uint64_t value(Fuzz *f)
{
    static const uint64_t edges[] = { 0, 1, 2, 0xff, 0xffff, 0x7fffffff,
        0x80000000, 0xffffffff, RAM - 1, RAM, RAM - 4096, 0xfffffffffffffff0,
        0xa0000, 0xfee00000, 0xe0000000 };

    switch (below(f, 6)) {
    case 0:
        return edges[below(f, sizeof(edges) / sizeof(edges[0]))];
    case 1:
        return below(f, 64);
    case 2:
        return RINGS + below(f, PAGES) * 4096u;
    case 3:
        return 1ull << below(f, 33);
    case 4:
        return RINGS + below(f, PAGES * 4096u);
    default:
        return rnd(f) & 0xffffffff;
    }
}

/* ---- memory -------------------------------------------------------------- */

static void put_desc(Fuzz *f, uint8_t *p, unsigned n)
{
    for (unsigned i = 0; i < n; i++, p += 16) {
        uint64_t addr = below(f, 8) ? RINGS + below(f, PAGES * 4096u)
                                    : value(f);
        uint32_t len = below(f, 4) ? below(f, 8192) : (uint32_t)value(f);
        uint16_t flags = below(f, 8) ? below(f, 4) : below(f, 8);
        uint16_t next = below(f, 8) ? (uint16_t)(i + 1) : (uint16_t)rnd(f);

        memcpy(p, &addr, 8);
        memcpy(p + 8, &len, 4);
        memcpy(p + 12, &flags, 2);
        memcpy(p + 14, &next, 2);
    }
}

/* A page of descriptors, ring indices, SCRIPTS, command tables, or noise. */
static void scribble(Fuzz *f)
{
    static const uint8_t ops[] = { 0x25, 0x35, 0x60, 0x61, 0xec, 0xa1, 0xa0,
                                   0x06, 0xef, 0x20, 0x30, 0xea, 0x24, 0x34 };
    uint8_t b[4096];
    uint64_t at = RINGS + below(f, PAGES) * 4096u;

    switch (below(f, 6)) {
    case 0:
        put_desc(f, b, 256);
        break;
    case 1:                            /* available ring                      */
        for (unsigned i = 0; i < sizeof(b); i += 2) {
            uint16_t v = i == 2 ? (uint16_t)below(f, 300)
                       : (uint16_t)below(f, below(f, 16) ? 64 : 65536);

            memcpy(b + i, &v, 2);
        }
        break;
    case 2:                            /* SCSI and block requests             */
        for (unsigned i = 0; i < sizeof(b); i++) {
            b[i] = (uint8_t)(below(f, 3) ? below(f, 3) : rnd(f));
        }
        b[0] = 1;
        b[1] = (uint8_t)below(f, 3);
        b[2] = 0x40;
        b[19] = (uint8_t)rnd(f);
        break;
    case 3:                            /* AHCI headers and a table            */
        for (unsigned i = 0; i < 1024; i += 32) {
            uint32_t w[8] = { 5 | below(f, 8) << 16 | below(f, 128), 0,
                              (uint32_t)(RINGS + below(f, PAGES) * 4096u) };

            memcpy(b + i, w, 32);
        }
        for (unsigned i = 1024; i < sizeof(b); i++) {
            b[i] = (uint8_t)(below(f, 4) ? 0 : rnd(f));
        }
        break;
    case 4:
        for (unsigned i = 0; i < sizeof(b); i++) {
            b[i] = (uint8_t)(below(f, 3) ? 0 : rnd(f));
        }
        b[0] = 0x27;
        b[1] = below(f, 8) ? 0x80 : 0;
        b[2] = ops[below(f, sizeof(ops))];
        put_desc(f, b + 0x80, 64);
        break;
    default:
        for (unsigned i = 0; i < sizeof(b); i += 8) {
            uint64_t v = below(f, 2) ? rnd(f) : value(f);

            memcpy(b + i, &v, 8);
        }
        break;
    }
    qtest_write(f->q, at, b, sizeof(b));
}

/* ---- devices ------------------------------------------------------------- */

static void map(Fuzz *f, Dev *d)
{
    for (unsigned i = 0; i < 6; i++) {
        if (d->bar[i].size) {
            qpci_write(f->q, d->devfn, 0x10 + 4 * i, 4, d->regs[i]);
        }
    }
    qpci_write(f->q, d->devfn, 4, 2, 7);
}

static void find(Fuzz *f)
{
    for (unsigned devfn = 8; devfn < 256 && f->ndev < DEVICES; devfn++) {
        uint32_t id = qpci_read(f->q, devfn, 0, 4);
        Dev *d = &f->dev[f->ndev];

        if (id == UINT32_MAX || (id & 0xffff) == 0xffff ||
            qpci_read(f->q, devfn, 0xb, 1) == 6) {
            continue;                  /* nothing, or the board's bridges     */
        }
        d->devfn = devfn;
        d->vendor = (uint16_t)id;
        d->device = (uint16_t)(id >> 16);
        for (unsigned i = 0; i < 6; i++) {
            uint32_t low = qpci_read(f->q, devfn, 0x10 + 4 * i, 4);

            if (i && (d->regs[i - 1] & 7) == 4 && d->bar[i - 1].size) {
                continue;              /* upper half                          */
            }
            d->bar[i].addr = qpci_map(f->q, devfn, i, &d->bar[i].size);
            d->regs[i] = d->bar[i].addr
                ? (uint32_t)d->bar[i].addr | (low & 0xf) : 0;
            d->bar[i].size = d->bar[i].addr ? d->bar[i].size : 0;
        }
        f->ndev++;
    }
}

static void poke_at(Fuzz *f, const Dev *d, unsigned n, uint64_t off,
                    unsigned size, uint64_t v)
{
    uint64_t a = d->bar[n].addr + off;
    bool io = d->regs[n] & 1;

    if (io && size == 1) {
        qtest_outb(f->q, (uint16_t)a, (uint8_t)v);
    } else if (io && size == 2) {
        qtest_outw(f->q, (uint16_t)a, (uint16_t)v);
    } else if (io) {
        qtest_outl(f->q, (uint16_t)a, (uint32_t)v);
    } else if (size == 1) {
        qtest_writeb(f->q, a, (uint8_t)v);
    } else if (size == 2) {
        qtest_writew(f->q, a, (uint16_t)v);
    } else if (size == 4) {
        qtest_writel(f->q, a, (uint32_t)v);
    } else {
        qtest_writeq(f->q, a, v);
    }
}

static void poke(Fuzz *f, const Dev *d)
{
    unsigned n = below(f, 6), size = 1u << below(f, 4);
    uint64_t span, off;

    if (!d->bar[n].size) {
        return;
    }
    span = below(f, 3) ? 0x100 : d->bar[n].size;
    span = span < d->bar[n].size ? span : d->bar[n].size;
    off = below(f, (uint32_t)span) & ~(uint64_t)(below(f, 4) ? size - 1 : 0);
    if (off + size > d->bar[n].size) {
        return;
    }
    if (below(f, 4)) {
        poke_at(f, d, n, off, size, value(f));
    } else if (d->regs[n] & 1) {
        qtest_inl(f->q, (uint16_t)(d->bar[n].addr + off));
    } else {
        qtest_readl(f->q, d->bar[n].addr + off);
    }
}

/* A driver that does it right, up to the rings. */
static void virtio_start(Fuzz *f, const Dev *d)
{
    uint64_t c = d->bar[4].addr;
    unsigned queues = 1 + below(f, 3);
    bool packed = !below(f, 3);

    if (!d->bar[4].size) {
        return;
    }
    for (unsigned s = 0; s < 4; s++) {
        qtest_writeb(f->q, c + 20, s == 2 ? 1 : s);
    }
    qtest_writel(f->q, c + 8, 0);
    qtest_writel(f->q, c + 12, (uint32_t)rnd(f));
    qtest_writel(f->q, c + 8, 1);
    qtest_writel(f->q, c + 12, 1 | (packed ? 4 : 0));
    qtest_writeb(f->q, c + 20, 11);
    for (unsigned i = 0; i < queues; i++) {
        qtest_writew(f->q, c + 22, (uint16_t)i);
        qtest_writew(f->q, c + 24, (uint16_t)(1u << below(f, 8)));
        for (unsigned k = 0; k < 3; k++) {
            uint64_t at = below(f, 12) ? RINGS + below(f, PAGES) * 4096u
                                       : value(f);

            qtest_writeq(f->q, c + 32 + 8 * k, at);
        }
        qtest_writew(f->q, c + 28, 1);
    }
    qtest_writeb(f->q, c + 20, 15);
    for (unsigned i = 0; i < 8; i++) {
        scribble(f);
        qtest_writew(f->q, c + 0x3000 + 4 * below(f, queues),
                     (uint16_t)below(f, queues));
    }
}

static void ahci_start(Fuzz *f, const Dev *d)
{
    uint64_t p = d->bar[5].addr + 0x100 + 0x80 * below(f, 2);

    qtest_writel(f->q, p, RINGS + below(f, PAGES) * 4096u);
    qtest_writel(f->q, p + 8, RINGS + below(f, PAGES) * 4096u);
    qtest_writel(f->q, p + 0x14, (uint32_t)rnd(f));
    qtest_writel(f->q, p + 0x18, 0x10);
    qtest_writel(f->q, p + 0x18, 0x11);
    for (unsigned i = 0; i < 4; i++) {
        scribble(f);
        qtest_writel(f->q, p + 0x34, (uint32_t)rnd(f) & (uint32_t)rnd(f));
        qtest_writel(f->q, p + 0x38, (uint32_t)rnd(f) & (uint32_t)rnd(f));
    }
}

static void lsi_start(Fuzz *f, const Dev *d)
{
    uint64_t m = d->bar[1].addr;
    uint32_t at = RINGS + below(f, PAGES) * 4096u, w[12] = {
        0x41000000 | below(f, 3) << 16, at + 0x800,
        0x06000001, at + 0x400, 0x02000006 + below(f, 11), at + 0x410,
        below(f, 2) ? 0x01000200 : (uint32_t)rnd(f) & 0x3fffffff, at + 0x500,
        (uint32_t)rnd(f), below(f, 2) ? at : (uint32_t)value(f),
        0x98080000, 0,
    };
    uint8_t cdb[17] = { 0x80 };

    scribble(f);
    for (unsigned i = 1; i < sizeof(cdb); i++) {
        cdb[i] = (uint8_t)(below(f, 3) ? below(f, 3) : rnd(f));
    }
    cdb[1] = (uint8_t)rnd(f);
    qtest_write(f->q, at, w, sizeof(w));
    qtest_write(f->q, at + 0x400, cdb, 1);
    qtest_write(f->q, at + 0x410, cdb + 1, 16);
    qtest_writel(f->q, m + 0x2c, at);
    qtest_readl(f->q, m + 0x0c);
    qtest_readl(f->q, m + 0x42);
    if (!below(f, 4)) {
        qtest_writeb(f->q, m + 0x14, below(f, 2) ? 0x80 : 0x20);
    }
}

static void one(Fuzz *f)
{
    Dev *d = &f->dev[below(f, f->ndev)];

    switch (below(f, 12)) {
    case 0:
        if (d->vendor == 0x1af4) {
            virtio_start(f, d);
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
        qpci_write(f->q, d->devfn, below(f, 256) & ~3u, 4, (uint32_t)value(f));
        map(f, d);
        break;
    default:
        poke(f, d);
        break;
    }
}

static long resident(void)
{
    char *s = NULL;
    size_t cap = 0;
    long kib = 0;
    FILE *p = popen("pgrep -P $PPID -x tern | head -1 | xargs -I{} sed -n "
                    "'s/^VmRSS: *//p' /proc/{}/status", "r");

    if (p && getline(&s, &cap, p) > 0) {
        kib = atol(s);
    }
    if (p) {
        pclose(p);
    }
    free(s);
    return kib;
}

static void begin(Fuzz *f)
{
    int fd;

    strcpy(f->image, "/tmp/tern-fuzz-XXXXXX");
    fd = mkstemp(f->image);
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
        "werror=report -device e1000,id=net", f->image);
    find(f);
}

static void still_there(Fuzz *f)
{
    char *s = qtest_qmp(f->q, "{'execute': 'query-status'}");

    if (!strstr(s, "\"running\": true")) {
        FAIL("it has stopped: %s", s);
    }
    free(s);
}

TEST(a_guest_that_scribbles)
{
    const char *secs = getenv("FUZZ_SECONDS"), *seed = getenv("FUZZ_SEED");
    time_t end = time(NULL) + (secs ? atol(secs)
                               : getenv("TEST_SLOW") ? 600 : 20);
    Fuzz *f = calloc(1, sizeof(*f));
    unsigned long n = 0;
    long first = 0, last;

    TEST_LIMIT(3600);
    f->state = seed ? strtoull(seed, NULL, 0)
                    : (uint64_t)time(NULL) * 0x9e3779b97f4a7c15u | 1;
    printf("# FUZZ_SEED=%#llx\n", (unsigned long long)f->state);
    fflush(stdout);
    begin(f);
    CHECK_GE(f->ndev, 9u);
    while (time(NULL) < end) {
        one(f);
        n++;
        if (n % 4096 == 0) {
            still_there(f);
        }
        if (n % 65536 == 0) {
            qtest_qmp_ok(f->q, "{'execute': 'system_reset'}");
            for (unsigned i = 0; i < f->ndev; i++) {
                map(f, &f->dev[i]);
            }
            first = first ? first : resident();
        }
    }
    still_there(f);
    last = resident();
    printf("# %lu steps, %ld KiB at first, %ld at last\n", n, first, last);
    if (first) {
        CHECK_LT(last, first + 64 * 1024);
    }
    qtest_quit(f->q);
    unlink(f->image);
    free(f);
}
