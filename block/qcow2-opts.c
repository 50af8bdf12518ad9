/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2-opts.c - the driver's options that are more than a number, and what it
 * tells about an image: ImageInfoSpecificQCow2, the corruption event.
 *
 * Thread class: MACHINE_CALL; q2_corrupt_event in the node's loop.
 */
#include "block/qcow2.h"

static bool bool_of(const Prop *p, const Json *v, bool *on, Error **errp)
{
    const char *t = json_kind(v) == JSON_STR ? json_str_of(v) : NULL;

    if (json_kind(v) == JSON_BOOL) {
        *on = json_bool_of(v);
        return true;
    }
    if (t && (!strcmp(t, "on") || !strcmp(t, "yes") || !strcmp(t, "true") ||
              !strcmp(t, "y"))) {
        *on = true;
        return true;
    }
    if (t && (!strcmp(t, "off") || !strcmp(t, "no") || !strcmp(t, "false") ||
              !strcmp(t, "n"))) {
        *on = false;
        return true;
    }
    return error_set(errp, "Parameter '%s' expects 'on' or 'off'", p->name);
}

/* p->def: where in the struct the OnOffAuto is. */
bool q2_tri_set(Obj *o, const Prop *p, const Json *v, Error **errp)
{
    bool on;

    if (!bool_of(p, v, &on, errp)) {
        return false;
    }
    *(int *)((char *)o + p->def) = on ? OOA_ON : OOA_OFF;
    return true;
}

Json *q2_tri_get(const Obj *o, const Prop *p, Error **errp)
{
    return json_bool(*(const int *)((const char *)o + p->def) == OOA_ON);
}

/* ---- overlap-check ------------------------------------------------------- */

static bool template_set(Qcow2 *s, const char *t, Error **errp)
{
    static const struct {
        const char *name;
        uint32_t mask;
    } rows[] = {
        { "none", 0 }, { "constant", Q2O_CONSTANT }, { "cached", Q2O_CACHED },
        { "all", Q2O_ALL },
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (!strcmp(t, rows[i].name)) {
            s->overlap_given = true;
            s->overlap_base = rows[i].mask;
            return true;
        }
    }
    return error_set(errp, "Unsupported value '%s' for qcow2 option "
                     "'overlap-check'. Allowed are any of the following: none, "
                     "constant, cached, all", t);
}

/* p->def: the Q2O_ bit. */
bool q2_overlap_bit_set(Obj *o, const Prop *p, const Json *v, Error **errp)
{
    Qcow2 *s = (Qcow2 *)o;
    bool on;

    if (!bool_of(p, v, &on, errp)) {
        return false;
    }
    s->overlap_on = on ? s->overlap_on | (uint32_t)p->def
                       : s->overlap_on & ~(uint32_t)p->def;
    s->overlap_off = on ? s->overlap_off & ~(uint32_t)p->def
                        : s->overlap_off | (uint32_t)p->def;
    return true;
}

static const struct {
    const char *name;
    uint32_t bit;
} overlap_bits[] = {
    { "main-header", Q2O_HEADER }, { "active-l1", Q2O_L1 },
    { "active-l2", Q2O_L2 }, { "refcount-table", Q2O_REFTABLE },
    { "refcount-block", Q2O_REFBLOCK }, { "snapshot-table", Q2O_SNAPSHOTS },
    { "inactive-l1", Q2O_INACTIVE_L1 }, { "inactive-l2", Q2O_INACTIVE_L2 },
    { "bitmap-directory", Q2O_BITMAPS },
};

/* A template's name, or an object of the members. */
bool q2_overlap_set(Obj *o, const Prop *p, const Json *v, Error **errp)
{
    Qcow2 *s = (Qcow2 *)o;

    if (json_kind(v) == JSON_STR) {
        return template_set(s, json_str_of(v), errp);
    }
    if (json_kind(v) != JSON_OBJ) {
        return error_set(errp, "Invalid parameter type for '%s', expected: "
                         "string", p->name);
    }
    for (size_t i = 0; i < json_count(v); i++) {
        const char *k = json_key_at(v, i);
        const Json *x = json_value_at(v, i);
        Prop row = { .name = k };

        if (!strcmp(k, "template")) {
            if (json_kind(x) != JSON_STR ||
                !template_set(s, json_str_of(x), errp)) {
                return false;
            }
            continue;
        }
        for (size_t b = 0; b < ARRAY_SIZE(overlap_bits); b++) {
            if (!strcmp(k, overlap_bits[b].name)) {
                row.def = overlap_bits[b].bit;
            }
        }
        if (!row.def) {
            return error_set(errp, "Parameter 'overlap-check.%s' is unexpected",
                             k);
        }
        if (!q2_overlap_bit_set(o, &row, x, errp)) {
            return false;
        }
    }
    return true;
}

void q2_overlap_mask(Qcow2 *s)
{
    uint32_t base = s->overlap_given ? s->overlap_base : Q2O_CACHED;

    s->overlap = (base | s->overlap_on) & ~s->overlap_off;
}

/* ---- what is told -------------------------------------------------------- */

void q2_info(BlkNode *n, BlkNodeInfo *i)
{
    const Qcow2 *s = q2_of(n);

    i->cluster_size = s->cluster_size;
    i->dirty = s->incompat & Q2I_DIRTY;
    i->unallocated_are_zero = true;
    i->can_snapshot = !s->data_ext;
    i->encrypted = s->crypt_method;
    i->vm_state_off = s->vm_state_off;
    i->compress_align = s->data_ext ? 0 : s->cluster_size;
}

/* Members in the order in which scripts have seen them. */
Json *q2_specific(BlkNode *n)
{
    const Qcow2 *s = q2_of(n);
    Json *o = json_obj(), *crypt = q2_crypt_info(s);
    bool v3 = s->version >= 3;
    Json *bitmaps = v3 ? q2_bitmaps_info(s) : NULL;

    json_set_str(o, "compat", v3 ? "1.1" : "0.10");
    json_set_str(o, "compression-type", s->compression ? "zstd" : "zlib");
    if (v3) {
        json_set_bool(o, "lazy-refcounts", s->compat & Q2C_LAZY);
    }
    if (bitmaps) {
        json_set(o, "bitmaps", bitmaps);
    }
    json_set_int(o, "refcount-bits", 1 << s->refcount_order);
    if (s->data_ext && s->data_file_name) {
        json_set_str(o, "data-file", s->data_file_name);
    }
    if (crypt) {
        json_set(o, "encrypt", crypt);
    }
    if (s->data_ext) {
        json_set_bool(o, "data-file-raw", s->data_raw);
    }
    if (v3) {
        json_set_bool(o, "corrupt", s->incompat & Q2I_CORRUPT);
        json_set_bool(o, "extended-l2", s->ext_l2);
    }
    return o;
}

/* The caches size themselves: memory is taken as pieces are looked at, up to the
 * limit. */
void q2_running(BlkNode *n, Json *o)
{
    const Qcow2 *s = q2_of(n);

    json_set_int(o, "l2-cache-size", (int64_t)s->l2c.n * s->l2c.size);
    json_set_int(o, "l2-cache-used", (int64_t)s->l2c.filled * s->l2c.size);
    json_set_int(o, "refcount-cache-size", (int64_t)s->refc.n * s->refc.size);
    json_set_int(o, "refcount-cache-used",
                 (int64_t)s->refc.filled * s->refc.size);
}

void q2_corrupt_event(Qcow2 *s, bool fatal, uint64_t off, uint64_t len,
                      const char *text)
{
    blk_node_corrupted(&s->node, fatal, (int64_t)off, (int64_t)len, text);
}
