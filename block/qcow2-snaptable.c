/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2-snaptable.c - the snapshot table: reading and writing it.
 * (the specification: Snapshots)
 *
 * Thread class: MACHINE_CALL to read; as co_run to write.
 *
 * Invariants
 * 1. The new table is whole on disk before the header names it, and the old one
 *    is given back after.
 * 2. Extra data that is not known stays with its snapshot.
 */
#include "block/qcow2.h"

#define EXTRA_KNOWN 24                 /* VM state size, disk size, icount    */

void q2_snap_free(Q2Snap *p)
{
    g_free(p->extra);
    g_free(p->id);
    g_free(p->name);
    *p = (Q2Snap){ 0 };
}

void q2_snapshots_free(Qcow2 *s)
{
    for (uint32_t i = 0; s->snaps && i < s->n_snaps; i++) {
        q2_snap_free(&s->snaps[i]);
    }
    g_clear_pointer(&s->snaps, g_free);
}

static void extra_read(const Qcow2 *s, Q2Snap *p, const uint8_t *x)
{
    p->icount = UINT64_MAX;
    p->disk_size = s->disk_size;
    if (p->extra_size >= 8) {
        p->vm_state_size = ld_be64(x);
    }
    if (p->extra_size >= 16) {
        p->disk_size = ld_be64(x + 8);
    }
    if (p->extra_size >= 24) {
        p->icount = ld_be64(x + 16);
    }
    if (p->extra_size > EXTRA_KNOWN) {
        p->extra = g_memdup2(x + EXTRA_KNOWN, p->extra_size - EXTRA_KNOWN);
    }
}

/* *at moves behind the entry. */
static int entry_read(Qcow2 *s, Q2Snap *p, uint64_t *at)
{
    uint8_t h[40];
    uint32_t id, name;
    g_autofree uint8_t *rest = NULL;
    int ret = blk_co_pread(s->node.file, *at, h, sizeof(h));

    if (ret < 0) {
        return ret;
    }
    id = ld_be16(h + 12);
    name = ld_be16(h + 14);
    *p = (Q2Snap){ .l1_off = ld_be64(h), .l1_size = ld_be32(h + 8),
                   .date_s = ld_be32(h + 16), .date_ns = ld_be32(h + 20),
                   .vm_clock_ns = ld_be64(h + 24),
                   .vm_state_size = ld_be32(h + 32),
                   .extra_size = ld_be32(h + 36) };
    if (p->extra_size > 1024 || id > 127 || name > 255) {
        return -EFBIG;
    }
    rest = g_malloc(p->extra_size + id + name + 1);
    ret = blk_co_pread(s->node.file, *at + 40, rest, p->extra_size + id + name);
    if (ret < 0) {
        return ret;
    }
    extra_read(s, p, rest);
    p->id = g_strndup((char *)rest + p->extra_size, id);
    p->name = g_strndup((char *)rest + p->extra_size + id, name);
    *at = ALIGN_UP(*at + 40 + p->extra_size + id + name, 8);
    return 0;
}

bool q2_snapshots_read(Qcow2 *s, Error **errp)
{
    uint64_t at = s->snaps_off;
    uint32_t n = s->n_snaps;
    int ret = 0;

    if (!n) {
        return true;
    }
    s->snaps = g_new0(Q2Snap, n);
    for (uint32_t i = 0; ret >= 0 && i < n; i++) {
        ret = entry_read(s, &s->snaps[i], &at);
        if (ret >= 0 && at - s->snaps_off > Q2_SNAP_TABLE_MAX) {
            ret = -EFBIG;
        }
    }
    s->snaps_size = at - s->snaps_off;
    if (ret == -EFBIG) {
        return error_set(errp, "Snapshot table entry %s is too large",
                         "in the image");
    }
    return ret >= 0 ||
           error_set_errno(errp, -ret, "Could not read snapshots");
}

static void entry_write(const Q2Snap *p, GByteArray *out)
{
    static const uint8_t zeroes[8];
    uint32_t extra = MAX2(p->extra_size, EXTRA_KNOWN);
    uint8_t h[40 + EXTRA_KNOWN] = { 0 };

    st_be64(h, p->l1_off);
    st_be32(h + 8, p->l1_size);
    st_be16(h + 12, (uint16_t)strlen(p->id));
    st_be16(h + 14, (uint16_t)strlen(p->name));
    st_be32(h + 16, p->date_s);
    st_be32(h + 20, p->date_ns);
    st_be64(h + 24, p->vm_clock_ns);
    st_be32(h + 32, p->vm_state_size <= UINT32_MAX
                    ? (uint32_t)p->vm_state_size : 0);
    st_be32(h + 36, extra);
    st_be64(h + 40, p->vm_state_size);
    st_be64(h + 48, p->disk_size);
    st_be64(h + 56, p->icount);
    g_byte_array_append(out, h, sizeof(h));
    if (p->extra) {
        g_byte_array_append(out, p->extra, extra - EXTRA_KNOWN);
    }
    g_byte_array_append(out, (const uint8_t *)p->id, (guint)strlen(p->id));
    g_byte_array_append(out, (const uint8_t *)p->name, (guint)strlen(p->name));
    g_byte_array_append(out, zeroes, ALIGN_UP(out->len, 8) - out->len);
}

/* With the lock. The table of s->snaps to a new place; s is as before when it
 * fails. */
int q2_snapshots_write(Qcow2 *s, const Q2Snap *snaps, uint32_t n)
{
    uint64_t old = s->snaps_off, old_size = s->n_snaps ? s->snaps_size : 0;
    uint32_t old_n = s->n_snaps;
    g_autoptr(GByteArray) out = g_byte_array_new();
    int64_t at = 0;
    int ret;

    for (uint32_t i = 0; i < n; i++) {
        entry_write(&snaps[i], out);
    }
    if (n) {
        at = q2_alloc(s, (out->len + s->cluster_size - 1) >> s->cluster_bits,
                      true, NULL);
        if (at < 0) {
            return (int)at;
        }
    }
    ret = q2_meta_write(s, false);
    s->unsynced = true;
    if (ret >= 0 && n) {
        ret = blk_co_pwrite(s->node.file, (uint64_t)at, out->data, out->len, 0);
    }
    ret = ret < 0 ? ret : q2_barrier(s);
    if (ret >= 0) {
        s->snaps_off = (uint64_t)at;
        s->n_snaps = n;
        s->snaps_size = out->len;
        ret = q2_header_turn(s);
        if (ret < 0) {
            s->snaps_off = old;
            s->n_snaps = old_n;
            s->snaps_size = old_size;
            q2_header_back(s);
        }
    }
    if (ret < 0) {
        if (n) {
            q2_free(s, (uint64_t)at, out->len);
        }
        return ret;
    }
    if (old_size) {
        q2_free(s, old, old_size);
    }
    return 0;
}
