/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dump-kdump.c - a dump in the form of makedumpfile (its IMPLEMENTATION text and
 * crash's diskdump.h: header version 6): header, sub header, notes, two bitmaps
 * of the pages that exist and that are there, a descriptor for each, their
 * contents compressed by zlib. Flattened: pieces, each with its place in the
 * file, so that a pipe will do.
 *
 * Thread class: a worker; the machine stands still.
 *
 * Invariants:
 * 1. A page has one bit and one descriptor, in the order of page numbers.
 * 2. Bitmaps are made piece by piece: what they cost does not depend on how high
 *    the guest has put memory; that they fit in the file is checked.
 */
#include <glib.h>
#include <zlib.h>
#include "dump.h"

#define BLOCK 4096u
#define HEAD_SIZE 464u
#define SUB_SIZE 104u
#define DESC_SIZE 24u
#define FLAT_HEAD 4096u
#define FLAG_ZLIB 1u
#define BITMAP_MAX (1ull << 30)
#define GATHER (1u << 20)

typedef struct Kdump {
    Dump *d;
    uint64_t max_pfn, pages;           /* highest + 1, how many there are     */
    uint64_t bitmap;                   /* bytes of one, whole blocks          */
    uint64_t desc_at, data_at;         /* of what comes next                  */
    uint64_t zero_at;                  /* of the page of zeros                */
    GByteArray *desc, *data;           /* not written yet                     */
} Kdump;

/* A piece of the file. */
static bool flat(Kdump *k, uint64_t at, const void *buf, size_t len,
                 Error **errp)
{
    uint8_t h[16];

    st_be64(h, at);
    st_be64(h + 8, len);
    return dump_put(k->d, h, sizeof(h), errp) &&
           dump_put(k->d, buf, len, errp);
}

/* ---- pages ----------------------------------------------------------------- */

typedef bool PageFn(Kdump *k, uint64_t pfn, void *arg, Error **errp);

/* Each page that blocks touch, once. */
static bool pages_each(Kdump *k, PageFn *fn, void *arg, Error **errp)
{
    uint64_t next = 0;

    for (unsigned i = 0; i < k->d->blocks->len; i++) {
        const DumpBlock *b = dump_block(k->d, i);
        uint64_t pfn = MAX2(b->first / BLOCK, next);

        next = (b->first + b->len - 1) / BLOCK + 1;
        for (; pfn < next; pfn++) {
            if (!fn(k, pfn, arg, errp)) {
                return false;
            }
        }
    }
    return true;
}

static bool page_count(Kdump *k, uint64_t pfn, void *arg, Error **errp)
{
    k->max_pfn = pfn + 1;
    k->pages++;
    return true;
}

/* The page, or a copy in buf when it is in pieces; *at: the first block that may
 * have it. */
static const uint8_t *page_get(const Dump *d, uint64_t pfn, unsigned *at,
                               uint8_t *buf)
{
    uint64_t first = pfn * BLOCK, last = first + BLOCK - 1;

    while (dump_block(d, *at)->first + dump_block(d, *at)->len <= first) {
        ++*at;
    }
    if (dump_block(d, *at)->first <= first &&
        dump_block(d, *at)->first + dump_block(d, *at)->len > last) {
        return dump_block(d, *at)->host + (first - dump_block(d, *at)->first);
    }
    memset(buf, 0, BLOCK);
    for (unsigned i = *at; i < d->blocks->len; i++) {
        const DumpBlock *b = dump_block(d, i);
        uint64_t lo = MAX2(first, b->first);
        uint64_t hi = MIN2(last, b->first + b->len - 1);

        if (b->first > last) {
            break;
        }
        memcpy(buf + (lo - first), b->host + (lo - b->first), hi - lo + 1);
    }
    return buf;
}

static bool page_is_zero(const uint8_t *p)
{
    return !*p && !memcmp(p, p + 1, BLOCK - 1);
}

/* ---- head ------------------------------------------------------------------ */

static bool put_head(Kdump *k, Error **errp)
{
    uint8_t f[FLAT_HEAD] = "makedumpfile", h[HEAD_SIZE] = "KDUMP   ";
    uint8_t s[SUB_SIZE] = { 0 };
    uint32_t sub = (SUB_SIZE + k->d->notes->len + BLOCK - 1) / BLOCK;

    st_be64(f + 16, 1);                /* type: flattened                     */
    st_be64(f + 24, 1);                /* version                             */
    st_le32(h + 8, 6);
    strcpy((char *)h + 272, "x86_64"); /* utsname.machine                     */
    st_le32(h + 424, FLAG_ZLIB);
    st_le32(h + 428, BLOCK);
    st_le32(h + 432, sub);
    st_le32(h + 436, (uint32_t)(2 * k->bitmap / BLOCK));
    st_le32(h + 440, (uint32_t)MIN2(k->max_pfn, (uint64_t)UINT32_MAX));
    st_le32(h + 460, k->d->cpus);
    st_le64(s, k->d->phys_base);
    st_le32(s + 8, 1);                 /* dump level                          */
    if (k->d->info_len) {
        st_le64(s + 32, BLOCK + SUB_SIZE + k->d->info_at);
        st_le64(s + 40, k->d->info_len);
    }
    st_le64(s + 48, BLOCK + SUB_SIZE);
    st_le64(s + 56, k->d->notes->len);
    st_le64(s + 96, k->max_pfn);
    k->desc_at = (uint64_t)BLOCK * (1 + sub);
    return dump_put(k->d, f, sizeof(f), errp) &&
           flat(k, 0, h, sizeof(h), errp) &&
           flat(k, BLOCK, s, sizeof(s), errp) &&
           flat(k, BLOCK + SUB_SIZE, k->d->notes->data, k->d->notes->len, errp);
}

/* ---- bitmaps --------------------------------------------------------------- */

struct bits {
    uint64_t from;                     /* first page of buf                   */
    uint8_t buf[BLOCK];
    bool any;
};

static bool bits_flush(Kdump *k, struct bits *b, Error **errp)
{
    uint64_t at = k->desc_at + b->from / 8;
    bool ok = flat(k, at, b->buf, BLOCK, errp) &&
              flat(k, at + k->bitmap, b->buf, BLOCK, errp);

    memset(b->buf, 0, BLOCK);
    b->from += BLOCK * 8;
    return ok;
}

static bool bits_add(Kdump *k, uint64_t pfn, void *arg, Error **errp)
{
    struct bits *b = arg;

    while (pfn - b->from >= BLOCK * 8) {
        if (!bits_flush(k, b, errp)) {
            return false;
        }
    }
    b->buf[(pfn - b->from) / 8] |= (uint8_t)(1u << (pfn & 7));
    return true;
}

static bool put_bitmaps(Kdump *k, Error **errp)
{
    struct bits *b = g_new0(struct bits, 1);
    bool ok = pages_each(k, bits_add, b, errp) && bits_flush(k, b, errp);

    g_free(b);
    return ok;
}

/* ---- descriptors and contents ---------------------------------------------- */

static bool flush(Kdump *k, Error **errp)
{
    bool ok = (!k->desc->len ||
               flat(k, k->desc_at, k->desc->data, k->desc->len, errp)) &&
              (!k->data->len ||
               flat(k, k->data_at, k->data->data, k->data->len, errp));

    k->desc_at += k->desc->len;
    k->data_at += k->data->len;
    g_byte_array_set_size(k->desc, 0);
    g_byte_array_set_size(k->data, 0);
    return ok;
}

static void put_desc(Kdump *k, uint64_t at, uint32_t size, uint32_t flags)
{
    uint8_t e[DESC_SIZE] = { 0 };

    st_le64(e, at);
    st_le32(e + 8, size);
    st_le32(e + 12, flags);
    g_byte_array_append(k->desc, e, sizeof(e));
}

struct pack {
    unsigned block;
    uint8_t page[BLOCK], out[BLOCK + 64];
};

static bool page_put(Kdump *k, uint64_t pfn, void *arg, Error **errp)
{
    struct pack *p = arg;
    const uint8_t *page = page_get(k->d, pfn, &p->block, p->page);
    uLongf n = sizeof(p->out);
    uint64_t at = k->data_at + k->data->len;

    if (page_is_zero(page)) {
        put_desc(k, k->zero_at, BLOCK, 0);
    } else if (compress2(p->out, &n, page, BLOCK, Z_BEST_SPEED) == Z_OK &&
               n < BLOCK) {
        put_desc(k, at, (uint32_t)n, FLAG_ZLIB);
        g_byte_array_append(k->data, p->out, (guint)n);
    } else {
        put_desc(k, at, BLOCK, 0);
        g_byte_array_append(k->data, page, BLOCK);
    }
    __atomic_add_fetch(&k->d->done, BLOCK, __ATOMIC_RELAXED);
    return k->data->len + k->desc->len < GATHER || flush(k, errp);
}

static bool put_pages(Kdump *k, Error **errp)
{
    struct pack *p = g_new0(struct pack, 1);
    bool ok;

    k->desc_at += 2 * k->bitmap;
    k->data_at = k->zero_at = k->desc_at + k->pages * DESC_SIZE;
    k->desc = g_byte_array_new();
    k->data = g_byte_array_new();
    g_byte_array_append(k->data, p->page, BLOCK);      /* the zeros           */
    ok = pages_each(k, page_put, p, errp) && flush(k, errp);
    g_byte_array_unref(k->desc);
    g_byte_array_unref(k->data);
    g_free(p);
    return ok;
}

bool dump_kdump(Dump *d, Error **errp)
{
    static const uint8_t end[16] = {
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    };
    Kdump k = { .d = d };

    pages_each(&k, page_count, NULL, NULL);
    k.bitmap = (k.max_pfn + BLOCK * 8 - 1) / (BLOCK * 8) * BLOCK;
    if (k.bitmap > BITMAP_MAX) {
        return error_set(errp, "dump: the guest has memory too high for this "
                         "format");
    }
    return put_head(&k, errp) && put_bitmaps(&k, errp) &&
           put_pages(&k, errp) && dump_put(d, end, sizeof(end), errp);
}
