/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "tests/libfuzz.h"

void fuzz_init(Fuzz *f)
{
    const char *seed = getenv("FUZZ_SEED");

    f->state = seed ? strtoull(seed, NULL, 0)
                    : (uint64_t)time(NULL) * 0x9e3779b97f4a7c15u | 1;
    printf("# FUZZ_SEED=%#llx\n", (unsigned long long)f->state);
    fflush(stdout);
}

uint64_t fuzz_rnd(Fuzz *f)
{
    f->state ^= f->state << 13;
    f->state ^= f->state >> 7;
    f->state ^= f->state << 17;
    return f->state;
}

uint32_t fuzz_below(Fuzz *f, uint32_t n)
{
    return (uint32_t)(fuzz_rnd(f) >> 16) % n;
}

uint32_t fuzz_page(Fuzz *f)
{
    return FUZZ_RINGS + fuzz_below(f, FUZZ_PAGES) * 4096u;
}

uint64_t fuzz_value(Fuzz *f)
{
    static const uint64_t edges[] = { 0, 1, 2, 0xff, 0xffff, 0x7fffffff,
        0x80000000, 0xffffffff, FUZZ_RAM - 1, FUZZ_RAM, FUZZ_RAM - 4096,
        0xfffffffffffffff0, 0xa0000, 0xfee00000, 0xe0000000 };

    switch (fuzz_below(f, 6)) {
    case 0:
        return edges[fuzz_below(f, sizeof(edges) / sizeof(edges[0]))];
    case 1:
        return fuzz_below(f, 64);
    case 2:
        return fuzz_page(f);
    case 3:
        return 1ull << fuzz_below(f, 33);
    case 4:
        return FUZZ_RINGS + fuzz_below(f, FUZZ_PAGES * 4096u);
    default:
        return fuzz_rnd(f) & 0xffffffff;
    }
}

void fuzz_descriptors(Fuzz *f, uint8_t *p, unsigned n)
{
    for (unsigned i = 0; i < n; i++, p += 16) {
        uint64_t addr = fuzz_below(f, 8)
            ? FUZZ_RINGS + fuzz_below(f, FUZZ_PAGES * 4096u) : fuzz_value(f);
        uint32_t len = fuzz_below(f, 4) ? fuzz_below(f, 8192)
                                        : (uint32_t)fuzz_value(f);
        uint16_t flags = fuzz_below(f, 8) ? fuzz_below(f, 4) : fuzz_below(f, 8);
        uint16_t next = fuzz_below(f, 8) ? (uint16_t)(i + 1)
                                         : (uint16_t)fuzz_rnd(f);

        memcpy(p, &addr, 8);
        memcpy(p + 8, &len, 4);
        memcpy(p + 12, &flags, 2);
        memcpy(p + 14, &next, 2);
    }
}

/* ---- devices ------------------------------------------------------------- */

static void map(Fuzz *f, FuzzDev *d)
{
    for (unsigned i = 0; i < 6; i++) {
        if (d->bar[i].size) {
            qpci_write(f->q, d->devfn, 0x10 + 4 * i, 4, d->regs[i]);
        }
    }
    qpci_write(f->q, d->devfn, 4, 2, 7);
}

void fuzz_find(Fuzz *f)
{
    for (unsigned devfn = 8; devfn < 256 && f->ndev < FUZZ_DEVICES; devfn++) {
        uint32_t id = qpci_read(f->q, devfn, 0, 4);
        FuzzDev *d = &f->dev[f->ndev];

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

void fuzz_poke_at(Fuzz *f, const FuzzDev *d, unsigned n, uint64_t off,
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

void fuzz_poke(Fuzz *f, const FuzzDev *d)
{
    unsigned n = fuzz_below(f, 6), size = 1u << fuzz_below(f, 4);
    uint64_t span, off;

    if (!d->bar[n].size) {
        return;
    }
    span = fuzz_below(f, 3) ? 0x100 : d->bar[n].size;
    span = span < d->bar[n].size ? span : d->bar[n].size;
    off = fuzz_below(f, (uint32_t)span);
    off &= ~(uint64_t)(fuzz_below(f, 4) ? size - 1 : 0);
    if (off + size > d->bar[n].size) {
        return;
    }
    if (fuzz_below(f, 4)) {
        fuzz_poke_at(f, d, n, off, size, fuzz_value(f));
    } else if (d->regs[n] & 1) {
        qtest_inl(f->q, (uint16_t)(d->bar[n].addr + off));
    } else {
        qtest_readl(f->q, d->bar[n].addr + off);
    }
}

void fuzz_config(Fuzz *f, FuzzDev *d)
{
    uint32_t v = (uint32_t)fuzz_value(f);

    qpci_write(f->q, d->devfn, fuzz_below(f, 256) & ~3u, 4, v);
    map(f, d);
}

/* ---- virtio -------------------------------------------------------------- */

static void features_choose(Fuzz *f, uint64_t common, bool packed)
{
    uint32_t offered;

    for (unsigned s = 0; s < 3; s++) {
        qtest_writeb(f->q, common + 20, s == 2 ? 3 : s);
    }
    qtest_writel(f->q, common, 0);
    offered = qtest_readl(f->q, common + 4);
    qtest_writel(f->q, common + 8, 0);
    qtest_writel(f->q, common + 12, (uint32_t)fuzz_rnd(f) &
                 (fuzz_below(f, 8) ? offered : UINT32_MAX));
    qtest_writel(f->q, common, 1);
    offered = qtest_readl(f->q, common + 4);
    qtest_writel(f->q, common + 8, 1);
    qtest_writel(f->q, common + 12, 1 | (packed ? 4 : 0) |
                 ((uint32_t)fuzz_rnd(f) & offered & ~4u));
    qtest_writeb(f->q, common + 20, 11);
}

void fuzz_virtio(Fuzz *f, const FuzzDev *d, unsigned queues,
                 void (*scribble)(Fuzz *f))
{
    uint64_t c = d->bar[4].addr;

    if (!d->bar[4].size) {
        return;
    }
    features_choose(f, c, !fuzz_below(f, 3));
    for (unsigned i = 0; i < queues; i++) {
        qtest_writew(f->q, c + 22, (uint16_t)i);
        qtest_writew(f->q, c + 24, (uint16_t)(1u << fuzz_below(f, 8)));
        for (unsigned k = 0; k < 3; k++) {
            qtest_writeq(f->q, c + 32 + 8 * k, fuzz_below(f, 12)
                         ? fuzz_page(f) : fuzz_value(f));
        }
        qtest_writew(f->q, c + 28, 1);
    }
    qtest_writeb(f->q, c + 20, 15);
    for (unsigned i = 0; i < 8; i++) {
        scribble(f);
        qtest_writew(f->q, c + 0x3000 + 4 * fuzz_below(f, queues),
                     (uint16_t)fuzz_below(f, queues));
    }
}

/* ---- the loop ------------------------------------------------------------ */

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

static void still_there(Fuzz *f)
{
    char *s = qtest_qmp(f->q, "{'execute': 'query-status'}");

    if (!strstr(s, "\"running\": true")) {
        printf("# it has stopped: %s\n", s);
        abort();
    }
    free(s);
}

long fuzz_run(Fuzz *f, void (*step)(Fuzz *f))
{
    const char *secs = getenv("FUZZ_SECONDS");
    time_t end = time(NULL) + (secs ? atol(secs)
                               : getenv("TEST_SLOW") ? 600 : 20);
    unsigned long n = 0;
    long first = 0, last;

    qtest_ignore_events(f->q);
    while (time(NULL) < end) {
        step(f);
        n++;
        if (n % 4096 == 0) {
            still_there(f);
        }
        if (n % 16384 == 0) {
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
    return first ? last - first : 0;
}
