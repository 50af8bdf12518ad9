/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dmg.c - Apple disk images (UDIF: a "koly" trailer, a property list of block
 * tables "mish"), whose parts are zeroes, plain or zlib streams. Read only.
 *
 * Thread class: LOOP_CALL(node's loop); open and close MACHINE_CALL.
 *
 * Invariants
 * 1. The property list and the tables in it are bounded before memory is taken.
 * 2. Parts are sorted and do not overlap; what none covers reads as zeroes.
 */
#include <glib.h>
#include "block/mapped.h"
#include "block/packed.h"

#define TRAILER 512
#define LIST_MAX (16u * 1024 * 1024)
#define SECTORS_MAX (PACKED_PART_MAX / 512)
#define ENTRY 40

typedef struct Dmg {
    PackedNode p;
    GArray *parts;                     /* of PackedPart                       */
    bool bzip2;                        /* there are such parts                */
} Dmg;

static int dmg_find(BlkNode *n, uint64_t off, PackedPart *p)
{
    const GArray *parts = ((Dmg *)n)->parts;
    guint lo = 0, hi = parts->len;

    while (lo < hi) {                  /* the first part that ends behind off */
        guint mid = lo + (hi - lo) / 2;
        const PackedPart *x = &g_array_index(parts, PackedPart, mid);

        if (x->off + x->len <= off) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    if (lo < parts->len) {
        *p = g_array_index(parts, PackedPart, lo);
        if (p->off <= off) {
            return 0;
        }
    }
    *p = (PackedPart){ .off = off, .kind = PACKED_ZERO,
                       .len = (lo < parts->len ? p->off : n->length) - off };
    return p->len ? 0 : -EIO;
}

static int by_offset(gconstpointer a, gconstpointer b)
{
    uint64_t x = ((const PackedPart *)a)->off, y = ((const PackedPart *)b)->off;

    return x < y ? -1 : x > y;
}

/* One entry of a block table. */
static bool entry_add(Dmg *d, const uint8_t *e, uint64_t first, uint64_t data,
                      Error **errp)
{
    uint32_t type = ld_be32(e), index = d->parts->len;
    uint64_t sector = ld_be64(e + 8), count = ld_be64(e + 16);
    PackedPart p = { .at = ld_be64(e + 24) + data, .size = ld_be64(e + 32) };

    if (type == 0x7ffffffeu || type == 0xffffffffu) {
        return true;                   /* a comment; the end                  */
    }
    p.kind = type == 0 || type == 2 ? PACKED_ZERO
           : type == 1 ? PACKED_RAW
           : type == 0x80000005u ? PACKED_ZLIB
           : type == 0x80000006u ? PACKED_BZIP2 : PACKED_UNKNOWN;
    d->bzip2 |= p.kind == PACKED_BZIP2;
    if (p.kind != PACKED_ZERO && count > SECTORS_MAX) {
        return error_set(errp, "sector count %" PRIu64 " for chunk %u is larger "
                         "than max (%u)", count, index, SECTORS_MAX);
    }
    if (p.kind != PACKED_ZERO && p.size > PACKED_PART_MAX) {
        return error_set(errp, "length %" PRIu64 " for chunk %u is larger than "
                         "max (%u)", p.size, index, PACKED_PART_MAX);
    }
    if (sector > INT64_MAX / 512 || first > INT64_MAX / 512 - sector ||
        count > INT64_MAX / 512 - sector - first) {
        return error_set(errp, "chunk %u is behind the end of all disks", index);
    }
    p.off = (first + sector) * 512;
    p.len = count * 512;
    if (p.kind == PACKED_RAW && p.size < p.len) {
        return error_set(errp, "chunk %u has too few bytes", index);
    }
    if (p.len) {
        g_array_append_val(d->parts, p);
    }
    return true;
}

static bool table_read(Dmg *d, const uint8_t *t, size_t n, uint64_t data,
                       Error **errp)
{
    uint32_t entries = n >= 204 ? ld_be32(t + 200) : 0;

    if (n < 204 || memcmp(t, "mish", 4)) {
        return true;                   /* something else                      */
    }
    entries = (uint32_t)MIN2(entries, (n - 204) / ENTRY);
    for (uint32_t i = 0; i < entries; i++) {
        if (!entry_add(d, t + 204 + i * ENTRY, ld_be64(t + 8),
                       data + ld_be64(t + 24), errp)) {
            return false;
        }
    }
    return true;
}

/* All <data> of the property list that hold block tables. */
static bool list_read(Dmg *d, char *xml, uint64_t data, Error **errp)
{
    for (char *at = xml; (at = strstr(at, "<data>")); ) {
        char *end = strstr(at, "</data>");
        gsize n;

        at += 6;
        if (!end) {
            return error_set(errp, "the property list has no end");
        }
        *end = 0;
        g_base64_decode_inplace(at, &n);
        if (!table_read(d, (const uint8_t *)at, n, data, errp)) {
            return false;
        }
        at = end + 1;
    }
    return true;
}

/* Invariant 2. */
static bool parts_check(Dmg *d, Error **errp)
{
    uint64_t end = 0;

    g_array_sort(d->parts, by_offset);
    for (guint i = 0; i < d->parts->len; i++) {
        const PackedPart *p = &g_array_index(d->parts, PackedPart, i);

        if (p->off < end) {
            return error_set(errp, "parts of the image overlap");
        }
        end = p->off + p->len;
    }
    return true;
}

/* Where "koly" is: in the last bytes, which a copy may have padded. */
static int64_t trailer_find(BlkNode *file)
{
    uint64_t n = MIN2(file->length, 2 * TRAILER), from = file->length - n;
    uint8_t b[2 * TRAILER];

    if (n < TRAILER || blk_co_pread(file, from, b, n) < 0) {
        return -1;
    }
    for (uint64_t i = n - TRAILER + 1; i--; ) {
        if (!memcmp(b + i, "koly", 4)) {
            return (int64_t)(from + i);
        }
    }
    return -1;
}

static MACHINE_CALL void dmg_close(BlkNode *n)
{
    Dmg *d = (Dmg *)n;

    g_array_free(d->parts, TRUE);
    packed_close(n);
}

static MACHINE_CALL bool contents_read(Dmg *d, Error **errp)
{
    BlkNode *n = &d->p.node;
    int64_t at = trailer_find(n->file);
    uint64_t xml_at, xml_len, data;
    g_autofree char *xml = NULL;
    uint8_t t[TRAILER];

    if (at < 0) {
        return error_set(errp, "Could not locate UDIF trailer in dmg file");
    }
    if (blk_co_pread(n->file, (uint64_t)at, t, sizeof(t)) < 0) {
        return error_set(errp, "Could not read UDIF trailer");
    }
    data = ld_be64(t + 24);
    xml_at = ld_be64(t + 216);
    xml_len = ld_be64(t + 224);
    if (!xml_len || xml_len > LIST_MAX || xml_at >= (uint64_t)at ||
        xml_len > (uint64_t)at - xml_at || ld_be64(t + 492) > INT64_MAX / 512) {
        return error_set(errp, "Could not open '%s': Invalid argument",
                         n->file->filename);
    }
    n->length = ld_be64(t + 492) * 512;
    xml = g_malloc0(xml_len + 1);
    if (blk_co_pread(n->file, xml_at, xml, xml_len) < 0) {
        return error_set(errp, "Could not read the property list");
    }
    return list_read(d, xml, data, errp) && parts_check(d, errp);
}

static MACHINE_CALL bool dmg_open(BlkNode *n, Error **errp)
{
    Dmg *d = (Dmg *)n;

    if (!packed_read_only(n, errp)) {
        return false;
    }
    d->parts = g_array_new(FALSE, FALSE, sizeof(PackedPart));
    d->p.find = dmg_find;
    n->limits.align = 512;
    if (!contents_read(d, errp)) {
        dmg_close(n);
        return false;
    }
    if (d->bzip2) {
        warn_report("dmg-bzip2 module is missing, accessing bzip2 compressed "
                    "blocks will result in I/O errors");
    }
    return true;
}

static int dmg_probe(const uint8_t *buf, size_t n, const char *filename)
{
    return filename && g_str_has_suffix(filename, ".dmg") ? 2 : 0;
}

static const BlkChildRow dmg_children[] = {
    { .name = "file", .role = ROLE_STORAGE }, { .name = NULL }
};

BLK_DRIVER(dmg_driver, {
    .name = "dmg", .desc = "Apple disk image", .size = sizeof(Dmg),
    .doc = "UDIF images of macOS, with plain and zlib parts, read only.",
    .children = dmg_children, .open = dmg_open, .close = dmg_close,
    .co_run = packed_run, .probe = dmg_probe, .extent = packed_extent,
    .allocated = map_allocated,
});
