/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mapped-tab.c - the cache of table bytes, and what else small formats share.
 *
 * Thread class: LOOP_CALL(node's loop).
 *
 * Invariants
 * 1. A page shows what the file has: a write reaches the file first, then the
 *    pages that are there; a page whose reading a write has overtaken is not
 *    kept.
 */
#include <sys/random.h>
#include <glib.h>
#include <zlib.h>
#include "block/mapped.h"

static TabPage *page_find(Tab *t, uint64_t at)
{
    for (unsigned i = 0; i < TAB_PAGES; i++) {
        if (t->page[i].data && t->page[i].at == at) {
            t->page[i].used = ++t->clock;
            return &t->page[i];
        }
    }
    return NULL;
}

static void page_keep(Tab *t, uint64_t at, uint8_t *data)
{
    TabPage *p = &t->page[0];

    for (unsigned i = 0; i < TAB_PAGES && p->data; i++) {
        if (!t->page[i].data || t->page[i].used < p->used) {
            p = &t->page[i];
        }
    }
    g_free(p->data);
    *p = (TabPage){ at, ++t->clock, data };
}

int tab_read(Tab *t, uint64_t off, void *buf, size_t n)
{
    uint8_t *out = buf;

    while (n) {
        uint64_t at = ALIGN_DOWN(off, TAB_PAGE), gen = t->gen;
        size_t part = MIN2(n, TAB_PAGE - (off - at));
        TabPage *p = page_find(t, at);

        if (p) {
            memcpy(out, p->data + (off - at), part);
        } else {
            uint8_t *data = g_malloc(TAB_PAGE);
            int ret = blk_co_pread(t->file, at, data, TAB_PAGE);

            if (ret < 0) {
                g_free(data);
                return ret;
            }
            memcpy(out, data + (off - at), part);
            if (gen == t->gen && !page_find(t, at)) {
                page_keep(t, at, data);
            } else {
                g_free(data);
            }
        }
        out += part;
        off += part;
        n -= part;
    }
    return 0;
}

int tab_write(Tab *t, uint64_t off, const void *buf, size_t n)
{
    int ret = blk_co_pwrite(t->file, off, buf, n, 0);

    t->gen++;
    for (unsigned i = 0; i < TAB_PAGES; i++) {
        TabPage *p = &t->page[i];
        uint64_t first = MAX2(off, p->at), end = MIN2(off + n,
                                                      p->at + TAB_PAGE);

        if (!p->data || first >= end) {
            continue;
        }
        if (ret < 0) {                 /* who knows what the file has now     */
            g_free(p->data);
            p->data = NULL;
        } else {
            memcpy(p->data + (first - p->at), (const char *)buf + (first - off),
                   end - first);
        }
    }
    return ret;
}

void tab_free(Tab *t)
{
    for (unsigned i = 0; i < TAB_PAGES; i++) {
        g_free(t->page[i].data);
        t->page[i].data = NULL;
    }
}

int tab_le32(Tab *t, uint64_t off, uint32_t *v)
{
    uint8_t b[4];
    int ret = tab_read(t, off, b, 4);

    *v = ret < 0 ? 0 : ld_le32(b);
    return ret;
}

int tab_be32(Tab *t, uint64_t off, uint32_t *v)
{
    int ret = tab_le32(t, off, v);

    *v = __builtin_bswap32(*v);
    return ret;
}

int tab_le64(Tab *t, uint64_t off, uint64_t *v)
{
    uint8_t b[8];
    int ret = tab_read(t, off, b, 8);

    *v = ret < 0 ? 0 : ld_le64(b);
    return ret;
}

int tab_be64(Tab *t, uint64_t off, uint64_t *v)
{
    int ret = tab_le64(t, off, v);

    *v = __builtin_bswap64(*v);
    return ret;
}

/* ---- deflate ------------------------------------------------------------- */

int64_t map_deflate(const void *in, size_t n, void *out, size_t room, int wbits)
{
    z_stream z = { .next_in = (Bytef *)(uintptr_t)in, .avail_in = (uInt)n,
                   .next_out = out, .avail_out = (uInt)room };
    int ret;

    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, wbits, 9,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
        return -ENOMEM;
    }
    ret = deflate(&z, Z_FINISH);
    deflateEnd(&z);
    return ret == Z_STREAM_END ? (int64_t)(room - z.avail_out) : -ENOSPC;
}

int map_inflate(const void *in, size_t n, void *out, size_t room, int wbits)
{
    z_stream z = { .next_in = (Bytef *)(uintptr_t)in, .avail_in = (uInt)n,
                   .next_out = out, .avail_out = (uInt)room };
    int ret;

    if (inflateInit2(&z, wbits) != Z_OK) {
        return -ENOMEM;
    }
    ret = inflate(&z, Z_FINISH);
    inflateEnd(&z);
    return (ret == Z_STREAM_END || ret == Z_BUF_ERROR) && !z.avail_out ? 0
                                                                       : -EIO;
}

void map_uuid(uint8_t out[16])
{
    if (getrandom(out, 16, 0) != 16) {
        for (int i = 0; i < 16; i++) {
            out[i] = (uint8_t)g_random_int();
        }
    }
    out[6] = (uint8_t)((out[6] & 0x0f) | 0x40);
    out[8] = (uint8_t)((out[8] & 0x3f) | 0x80);
}
