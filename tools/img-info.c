/* SPDX-License-Identifier: GPL-2.0-or-later */
/* img-info.c - `info`: what an image is. MACHINE_CALL. */
#include "block/image-text.h"
#include "tools/img.h"
#include "tools/img-info.h"

typedef struct InfoArgs {
    ImgArgs base;
    bool chain;
} InfoArgs;

static const ToolOpt info_opts[] = {
    { "backing-chain", 0, TK_FLAG, 0, offsetof(InfoArgs, chain), NULL,
      "Describes the backing files too." },
    { .name = NULL }
};

/* ---- snapshots ------------------------------------------------------------ */

void img_snapshots_print(const BlkSnapshot *s, int n)
{
    g_autoptr(GString) text = g_string_new(NULL);

    blk_snapshots_text(text, s, n);
    fputs(text->str, stdout);
}

static Json *snapshot_json(const BlkSnapshot *s)
{
    Json *o = json_obj();

    if (s->icount != UINT64_MAX) {
        json_set(o, "icount", json_uint(s->icount));
    }
    json_set_int(o, "vm-clock-nsec", (int64_t)(s->vm_clock_ns % 1000000000));
    json_set_str(o, "name", s->name);
    json_set_int(o, "date-sec", s->date_s);
    json_set_int(o, "date-nsec", s->date_ns);
    json_set_int(o, "vm-clock-sec", (int64_t)(s->vm_clock_ns / 1000000000));
    json_set_str(o, "id", s->id);
    json_set(o, "vm-state-size", json_uint(s->vm_state_size));
    return o;
}

/* ---- one image ------------------------------------------------------------ */

static int64_t allocated_of(BlkNode *n)
{
    if (n->drv->allocated) {
        return n->drv->allocated(n);
    }
    return n->file ? allocated_of(n->file) : -ENOTSUP;
}

typedef struct Info {
    BlkBackend *blk;                   /* with the image, open                */
    BlkNode *node;
    BlkNodeInfo i;
    int64_t allocated;
    char *backing_full;                /* NULL: no backing file               */
    BlkSnapshot *snaps;
    int nsnaps;
    Json *specific;                    /* NULL: none                          */
} Info;

static MACHINE_CALL void info_collect(Info *o, BlkBackend *b)
{
    BlkNode *n = blk_root(b);

    *o = (Info){ .blk = b, .node = n, .allocated = allocated_of(n) };
    if (n->drv->info) {
        n->drv->info(n, &o->i);
    }
    if (n->drv->specific) {
        o->specific = n->drv->specific(n);
    }
    if (n->drv->snapshots) {
        o->nsnaps = n->drv->snapshots->list(n, &o->snaps);
    }
    if (n->backing_name && *n->backing_name) {
        o->backing_full = blk_path_combine(n->filename, n->backing_name);
    }
}

static MACHINE_CALL void info_fini(Info *o)
{
    tool_close(o->blk);
    g_free(o->snaps);
    g_free(o->backing_full);
    json_free(o->specific);
}

/* Members in the order in which scripts have seen them. */
static Json *info_json(const Info *o)
{
    const BlkNode *n = o->node;
    Json *v = json_obj(), *list;

    if (o->nsnaps > 0) {
        list = json_list();
        for (int i = 0; i < o->nsnaps; i++) {
            json_add(list, snapshot_json(&o->snaps[i]));
        }
        json_set(v, "snapshots", list);
    }
    if (o->backing_full && n->backing_format) {
        json_set_str(v, "backing-filename-format", n->backing_format);
    }
    json_set(v, "virtual-size", json_uint(n->length));
    json_set_str(v, "filename", n->filename);
    if (o->i.cluster_size) {
        json_set(v, "cluster-size", json_uint(o->i.cluster_size));
    }
    json_set_str(v, "format", n->drv->name);
    if (o->allocated >= 0) {
        json_set_int(v, "actual-size", o->allocated);
    }
    if (o->specific) {
        Json *s = json_obj();

        json_set_str(s, "type", n->drv->name);
        json_set(s, "data", json_copy(o->specific));
        json_set(v, "format-specific", s);
    }
    if (o->backing_full) {
        json_set_str(v, "full-backing-filename", o->backing_full);
    }
    if (o->i.encrypted) {
        json_set_bool(v, "encrypted", true);
    }
    if (o->backing_full) {
        json_set_str(v, "backing-filename", n->backing_name);
    }
    json_set_bool(v, "dirty-flag", o->i.dirty);
    return v;
}

/* ---- human ---------------------------------------------------------------- */

static void info_print(const Info *o)
{
    const BlkNode *n = o->node;
    g_autofree char *size = blk_size_text(n->length);
    g_autofree char *disk = o->allocated >= 0
        ? blk_size_text((uint64_t)o->allocated) : g_strdup("unavailable");

    printf("image: %s\nfile format: %s\nvirtual size: %s (%" PRIu64 " bytes)\n"
           "disk size: %s\n", n->filename, n->drv->name, size, n->length, disk);
    if (o->i.encrypted) {
        printf("encrypted: yes\n");
    }
    if (o->i.cluster_size) {
        printf("cluster_size: %" PRIu64 "\n", o->i.cluster_size);
    }
    if (o->i.dirty) {
        printf("cleanly shut down: no\n");
    }
    if (o->backing_full) {
        printf("backing file: %s", n->backing_name);
        if (strcmp(n->backing_name, o->backing_full)) {
            printf(" (actual path: %s)", o->backing_full);
        }
        printf("\n");
        if (n->backing_format) {
            printf("backing file format: %s\n", n->backing_format);
        }
    }
    if (o->nsnaps > 0) {
        img_snapshots_print(o->snaps, o->nsnaps);
    }
    if (o->specific) {
        printf("Format specific information:\n");
        tool_print_json(o->specific, 1);
    }
}

/* ---- the command ---------------------------------------------------------- */

typedef struct Walk {
    const InfoArgs *a;
    GArray *all;                       /* of Info, the node open in each      */
    GHashTable *seen;
    char *file, *fmt;
    bool image_opts;
} Walk;

/* One image; w->file NULL: it was the last. */
static MACHINE_CALL bool walk_step(Walk *w)
{
    ToolOpen o = { .format = w->fmt, .image_opts = w->image_opts,
                   .share = w->a->base.share,
                   .flags = BLKO_NO_BACKING | BLKO_NO_IO };
    BlkBackend *b;
    Info info;

    if (g_hash_table_contains(w->seen, w->file)) {
        error_reportf("Backing file '%s' creates an infinite loop.", w->file);
        return false;
    }
    g_hash_table_add(w->seen, g_strdup(w->file));
    b = tool_open(w->file, &o);
    if (!b) {
        return false;
    }
    info_collect(&info, b);
    g_array_append_val(w->all, info);
    g_free(w->file);
    g_free(w->fmt);
    w->file = w->a->chain ? g_strdup(info.backing_full) : NULL;
    w->fmt = g_strdup(info.node->backing_format);
    w->image_opts = false;
    return true;
}

static void walk_show(const Walk *w)
{
    Json *list = json_list();

    for (guint i = 0; i < w->all->len; i++) {
        const Info *info = &g_array_index(w->all, Info, i);

        if (w->a->base.json) {
            json_add(list, info_json(info));
        } else {
            printf("%s", i ? "\n" : "");
            info_print(info);
        }
    }
    if (w->a->base.json) {
        g_autofree char *text = json_text(w->a->chain ? list
                                          : json_at(list, 0), true, NULL);

        printf("%s\n", text);
    }
    json_free(list);
}

/* All are opened before any is shown. */
static MACHINE_CALL int info_run(const ImgCmd *cmd, int argc, char **argv)
{
    InfoArgs a = { 0 };
    Walk w = { .a = &a };
    int at, status;
    bool ok = true;

    if (!img_args(cmd, argc, argv, &a, &at, &status)) {
        return status;
    }
    if (at + 1 != argc) {
        return tool_usage_error("Expecting one image file name");
    }
    w.all = g_array_new(false, false, sizeof(Info));
    w.seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    w.file = g_strdup(argv[at]);
    w.fmt = g_strdup(a.base.fmt);
    w.image_opts = a.base.image_opts;
    while (ok && w.file) {
        ok = walk_step(&w);
    }
    if (ok) {
        walk_show(&w);
    }
    for (guint i = 0; i < w.all->len; i++) {
        info_fini(&g_array_index(w.all, Info, i));
    }
    g_array_free(w.all, true);
    g_hash_table_destroy(w.seen);
    g_free(w.file);
    g_free(w.fmt);
    return ok ? 0 : 1;
}

IMG_CMD(img_info, {
    .name = "info", .operands = "filename",
    .summary = "Prints what an image is: format, sizes, backing file, "
               "snapshots.",
    .doc = "The disk size is what the file takes up on the host, the virtual "
           "size what a guest sees.",
    .tables = { img_opt_help, img_opt_object, img_opt_image_opts, img_opt_fmt,
                img_opt_output, img_opt_share, info_opts, NULL },
    .run = info_run,
});
