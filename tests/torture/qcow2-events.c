/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qcow2 operations of every kind under faults: at each event of blkdebug's list,
 * for each kind of request, and at each request in turn; EIO and ENOSPC, once
 * and for good. Afterwards check finds leaks at most, and each unit is old or
 * new but never another place's. */
#include "block/bitmap.h"
#include "block/commands.h"
#include "schema/schema.h"
#include "tests/torture/qcow2-rig.h"

#define PIECE (64 * KiB)
#define PIECE_UNITS (PIECE / UNIT)

static char *base, *img_was, *base_was;

static int said(bool ok)
{
    return ok ? 0 : -1;
}

/* ---- what is done -------------------------------------------------------- */

static NO_TSA int do_write(BlkBackend *b)
{
    int ret = units_write(b, 40 * PIECE_UNITS, 3 * PIECE_UNITS + 7);

    return MIN2(ret, units_write(b, 9, 300)) + blk_flush(b);
}

static NO_TSA int do_overwrite(BlkBackend *b)
{
    int ret = 0;

    for (uint32_t i = 0; i < 10; i++) {
        ret += units_write(b, i * 117 + 3, 5);
    }
    return ret + blk_flush(b);
}

static NO_TSA int do_compressed(BlkBackend *b)
{
    g_autofree uint8_t *buf = g_malloc(PIECE);
    int ret = 0;

    lg->count++;
    for (uint32_t p = 1; p < 32; p += 10) {
        for (uint32_t i = 0; i < PIECE_UNITS; i++) {
            uint32_t u = p * PIECE_UNITS + i;

            lg->issued[u] = lg->count;
            unit_fill(buf + (size_t)i * UNIT, u, lg->count);
        }
        ret += blk_pwrite(b, (uint64_t)p * PIECE, buf, PIECE, BLKF_COMPRESSED);
    }
    return ret + blk_flush(b);
}

static NO_TSA int do_zero(BlkBackend *b)
{
    BlkNode *n = blk_root(b);

    return blk_co_zero(n, 3 * PIECE - 1024, 2 * PIECE, 0) +
           blk_co_zero(n, 11 * PIECE, 3 * PIECE, BLKF_MAY_UNMAP) +
           blk_co_zero(n, 50 * PIECE, PIECE / 2, 0) + blk_flush(b);
}

static NO_TSA int do_discard(BlkBackend *b)
{
    BlkNode *n = blk_root(b);

    return blk_co_discard(n, 0, 2 * PIECE) +
           blk_co_discard(n, 12 * PIECE - 512, PIECE + 1024) + blk_flush(b) +
           units_write(b, 44 * PIECE_UNITS, 9);    /* freed ones are taken again */
}

static NO_TSA int do_snapshot(BlkBackend *b)
{
    BlkNode *n = blk_root(b);
    BlkSnapshot s = { .name = "new" };

    return n->drv->snapshots->create(n, &s, NULL) + units_write(b, 8, 40);
}

static NO_TSA int do_apply(BlkBackend *b)
{
    BlkNode *n = blk_root(b);

    return n->drv->snapshots->go(n, "old", NULL) + units_write(b, 8, 40);
}

static NO_TSA int do_forget(BlkBackend *b)
{
    BlkNode *n = blk_root(b);

    return n->drv->snapshots->del(n, NULL, "old", NULL) +
           units_write(b, 8, 40);
}

static NO_TSA int do_grow(BlkBackend *b)
{
    BlkNode *n = blk_root(b);
    int ret = said(blk_node_truncate(n, 600 * MiB, PREALLOC_OFF, true, NULL));

    ret += blk_pwrite(b, 600 * MiB - 512, "x", 1, 0);
    return ret + said(blk_node_truncate(n, n->length + 3 * MiB,
                                        PREALLOC_METADATA, true, NULL));
}

static NO_TSA int do_shrink(BlkBackend *b)
{
    BlkNode *n = blk_root(b);

    return said(n->drv->snapshots->del(n, NULL, "old", NULL) >= 0) +
           said(blk_node_truncate(n, SIZE / 3, PREALLOC_OFF, true, NULL)) +
           units_write(b, 8, 40);
}

static NO_TSA int do_bitmaps(BlkBackend *b)
{
    BlkNode *n = blk_root(b);
    BlkBitmap *m = blk_bitmap_find(n, "kept");
    int ret = said(blk_bitmap_add(n, "a", 512, true, "n", NULL) != NULL);

    ret += said(blk_bitmap_add(n, "b", 65536, true, "n", NULL) != NULL);
    ret += units_write(b, 100, 3000);
    if (m && !m->inconsistent) {
        ret += said(blk_bitmap_unstore(n, m, NULL));
    }
    return ret;                        /* closing stores them                 */
}

static NO_TSA int do_commit(BlkBackend *b)
{
    return blk_node_commit(blk_root(b));
}

static NO_TSA int do_amend(BlkBackend *b)
{
    BlkAmend how = { .force = true };
    BlkNode *n = blk_root(b);

    return said(blk_image_amend(n, "lazy_refcounts=on", &how, NULL)) +
           units_write(b, 700, 90) +
           said(blk_image_amend(n, "refcount_bits=32", &how, NULL)) +
           units_write(b, 1700, 90);
}

static NO_TSA int do_vmstate(BlkBackend *b)
{
    static uint8_t buf[300 * 1024];
    BlkNode *n = blk_root(b);

    return n->drv->vmstate_rw(n, 4096, buf, sizeof(buf), true) +
           n->drv->vmstate_rw(n, 0, buf, sizeof(buf), false);
}

static const struct {
    const char *name;
    int (*run)(BlkBackend *b);
    bool chain;                        /* the faults are those of its base    */
} ops[] = {
    { "write", do_write }, { "overwrite", do_overwrite },
    { "compressed", do_compressed }, { "zero", do_zero },
    { "discard", do_discard }, { "snapshot", do_snapshot },
    { "apply", do_apply }, { "delete", do_forget }, { "grow", do_grow },
    { "shrink", do_shrink }, { "bitmaps", do_bitmaps },
    { "amend", do_amend }, { "vmstate", do_vmstate }, { "commit", do_commit },
    { "commit, base", do_commit, true },
};

/* ---- images -------------------------------------------------------------- */

static Json *file_opts(const char *name, Json *fault)
{
    Json *file = json_obj(), *outer;

    json_set_str(file, "driver", "file");
    json_set_str(file, "filename", name);
    if (!fault) {
        return file;
    }
    outer = json_copy(fault);
    json_set(outer, json_get_str(outer, "driver")[0] == 'b' ? "image" : "file",
             file);
    return outer;
}

static Json *image_opts(const char *name, Json *fault)
{
    Json *v = json_obj();

    json_set_str(v, "driver", "qcow2");
    json_set_str(v, "discard", "unmap");
    json_set_str(v, "l2-cache-entry-size", "512");
    json_set(v, "file", file_opts(name, fault));
    return v;
}

/* fault: the driver that makes them, NULL: none. */
static NO_TSA BlkBackend *chain_open(Json *fault, bool below)
{
    BlkBackend *b = blk_new(NULL);
    Json *opts = image_opts(img, below ? NULL : fault);
    Error *err = NULL;
    BlkNode *n;

    json_set(opts, "backing", image_opts(base, below ? fault : NULL));
    n = blk_open_json(opts, true, &err);
    json_free(opts);
    if (!n || !blk_set_perm(b, BLKP_ALL, BLKP_ALL, &err) ||
        !blk_insert(b, n, &err)) {
        if (!fault) {
            tt_fail(__FILE__, __LINE__, "%s", error_text(err));
        }
        error_free(err);
        blk_unref(b);
        b = NULL;
    }
    blk_node_unref(n);
    return b;
}

static void copy(const char *from, const char *to)
{
    g_autofree char *text = NULL;
    gsize n;

    REQUIRE(g_file_get_contents(from, &text, &n, NULL));
    unlink(to);
    REQUIRE(g_file_set_contents_full(to, text, (gssize)n,
                                     G_FILE_SET_CONTENTS_NONE, 0600, NULL));
}

static Log kept;

/* An image above another, each with a snapshot and data, parts of it shared. */
static NO_TSA void images_make(const char *layout)
{
    g_autofree char *opts = NULL;
    BlkSnapshot s = { .name = "old" };
    BlkBackend *b;
    BlkNode *n;

    memset(lg, 0, sizeof(*lg));
    lg->strange = true;
    g_free(img);
    img = base;
    REQUIRE(make_image(layout));
    img = g_strdup_printf("%s/img.qcow2", dir);
    opts = g_strdup_printf("%s,backing_file=%s,backing_fmt=qcow2", layout,
                           base);
    REQUIRE(make_image(opts));
    b = chain_open(NULL, false);
    REQUIRE(b);
    n = blk_root(b);
    for (uint32_t i = 0; i < 30; i++) {
        units_write(b, rnd(UNITS / 2), 1 + rnd(60));
    }
    CHECK_EQ(blk_node_commit(n), 0);
    blk_bitmap_add(n, "kept", 4096, true, "n", NULL);
    for (uint32_t i = 0; i < 30; i++) {
        units_write(b, rnd(UNITS / 2), 1 + rnd(60));
        if (i == 15) {
            CHECK_EQ(n->drv->snapshots->create(n, &s, NULL), 0);
        }
    }
    blk_unref(b);
    copy(img, img_was);
    copy(base, base_was);
    kept = *lg;
}

static int broke, ran;

static NO_TSA void one(const char *layout, unsigned op, Json *fault, int at)
{
    BlkBackend *b;
    g_autofree char *what = g_strdup_printf("%s, %s", layout, ops[op].name);
    g_autofree char *top = img;
    int ret = -1;

    copy(img_was, img);
    copy(base_was, base);
    *lg = kept;
    b = chain_open(fault, ops[op].chain);
    if (b) {
        ret = ops[op].run(b);
        blk_unref(b);
    }
    fail_in = -1;
    fail_on = false;
    ran++;
    broke += ret < 0;
    verify(what, at);
    img = base;                        /* by itself: what commit has put there */
    lg->strange = true;
    verify(what, at);
    img = g_steal_pointer(&top);
}

/* ---- the faults ---------------------------------------------------------- */

static Json *rule(const char *event, const char *iotype, int err, bool once)
{
    Json *v = json_obj(), *list = json_list(), *r = json_obj();
    char text[12];

    snprintf(text, sizeof(text), "%d", err);
    json_set_str(r, "event", event);
    if (iotype) {
        json_set_str(r, "iotype", iotype);
    }
    json_set_str(r, "errno", text);
    json_set_str(r, "once", once ? "on" : "off");
    json_add(list, r);
    json_set_str(v, "driver", "blkdebug");
    json_set(v, "inject-error", list);
    return v;
}

static NO_TSA void by_event(const char *layout, unsigned op)
{
    static const char *const types[] = { "read", "write", "write-zeroes",
                                         "discard", "flush", NULL };
    const char *const *names = qt_BlkdebugEvent.values;

    for (int how = 0; how < 2; how++) {
        int err = how ? ENOSPC : EIO;

        for (int i = 0; strcmp(names[i], "none"); i++) {
            Json *v = rule(names[i], NULL, err, !how);

            one(layout, op, v, 1000 * (how + 1) + i);
            json_free(v);
        }
        for (int i = 0; types[i]; i++) {
            Json *v = rule("none", types[i], err, !how);

            one(layout, op, v, 1000 * (how + 1) + 100 + i);
            json_free(v);
        }
    }
}

static NO_TSA void in_turn(const char *layout, unsigned op)
{
    Json *v = json_obj();
    bool over = false;

    json_set_str(v, "driver", "test-faulty");
    for (int at = 0; !over && at < 3000; at += 1 + at / 16) {
        for (int how = 0; how < 2; how++) {
            fail_in = at;
            fail_errno = how ? ENOSPC : EIO;
            fail_on = how;
            fail_hit = false;
            one(layout, op, v, at);
            over = !fail_hit;
        }
    }
    json_free(v);
}

static NO_TSA void all(void (*fn)(const char *layout, unsigned op))
{
    bool slow = getenv("TEST_SLOW");

    begin();
    base = g_strdup_printf("%s/base.qcow2", dir);
    img_was = g_strdup_printf("%s/img.was", dir);
    base_was = g_strdup_printf("%s/base.was", dir);
    quiet(true);
    machine_lock();
    for (size_t i = 0; i < (slow ? 3 : 1); i++) {
        seed = 5;
        images_make(layouts[i]);
        for (unsigned op = 0; op < ARRAY_SIZE(ops); op++) {
            if (getenv("ONLY_OP") &&
                strcmp(getenv("ONLY_OP"), ops[op].name)) {
                continue;
            }
            broke = ran = 0;
            fn(layouts[i], op);
            if (broke < 4) {
                tt_fail(__FILE__, __LINE__, "%s: %d of %d failed",
                        ops[op].name, broke, ran);
            }
        }
    }
    machine_unlock();
    quiet(false);
    g_free(base);
    g_free(img_was);
    g_free(base_was);
    end();
}

TEST(each_event)
{
    all(by_event);
}

TEST(each_request)
{
    all(in_turn);
}
