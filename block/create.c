/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * create.c - making images: `create -o` text to the options of format and
 * protocol, the backing file's size, then the protocol's file and the format in
 * it. A format without a create of its own (raw) is all its protocol's.
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. Options are checked by name and number before a file is touched; an option
 *    that neither level knows is an error.
 * 2. A file whose format could not be written does not stay behind.
 */
#include <glib.h>
#include "block/driver.h"
#include "opt.h"

#define ROWS_MAX 64

/* Both levels' rows in the order in which they are shown. */
typedef struct Rows {
    const Prop *v[ROWS_MAX];
    unsigned n, own;                   /* the first `own` are the format's    */
} Rows;

typedef struct Making {
    const BlkImageSpec *spec;
    const BlkDriver *format, *protocol;    /* format NULL: the protocol's all */
    char *path;                        /* without the protocol's prefix       */
    Json *opts;                        /* name to text                        */
    Rows rows;
} Making;

static const Prop head_rows[] = {
    BLK_CREATE_SIZE, BLK_CREATE_BACKING, BLK_CREATE_BACKING_FMT, PROP_END
};

static const Prop *row_find(const Rows *r, const char *name)
{
    for (unsigned i = 0; i < r->n; i++) {
        if (!strcmp(r->v[i]->name, name)) {
            return r->v[i];
        }
    }
    return NULL;
}

static void row_add(Rows *r, const Prop *p)
{
    if (r->n < ROWS_MAX && !row_find(r, p->name)) {
        r->v[r->n++] = p;
    }
}

/* Those of the head come first where the driver does not list them. */
static void rows_of(Rows *r, const BlkDriver *d)
{
    for (unsigned i = 0; i < (d->backing ? 3 : 1); i++) {
        if (!d->create_props ||
            !prop_find(d->create_props, head_rows[i].name)) {
            row_add(r, &head_rows[i]);
        }
    }
    for (const Prop *p = d->create_props; p && p->name; p++) {
        if (!(p->flags & PF_HIDDEN)) {
            row_add(r, p);
        }
    }
}

static void rows_fill(Making *m)
{
    const Prop *size = &head_rows[0];

    if (m->format) {
        rows_of(&m->rows, m->format);
        m->rows.own = m->rows.n;
    } else {
        row_add(&m->rows, size);
    }
    if (m->protocol) {
        rows_of(&m->rows, m->protocol);
    }
}

/* ---- which drivers -------------------------------------------------------- */

static NO_TSA bool by_protocol_alone(const BlkDriver *d)
{
    return d->protocol || (!d->create && d->filter && !strcmp(d->name, "raw"));
}

static MACHINE_CALL bool drivers_find(Making *m, const char *format,
                                      const char *filename, Error **errp)
{
    const BlkDriver *d = blk_driver_find(format);
    const char *rest = filename;
    g_autofree char *name = NULL;

    if (!d) {
        return error_set(errp, "Unknown file format '%s'", format);
    }
    if (filename) {
        name = blk_filename_driver(filename, &rest, errp);
        if (!name) {
            return false;
        }
        m->protocol = d->protocol ? d : blk_driver_find(name);
        m->path = g_strdup(rest);
    }
    if (!d->create && !by_protocol_alone(d)) {
        return error_set(errp, "Format driver '%s' does not support image "
                         "creation", d->name);
    }
    m->format = by_protocol_alone(d) && filename ? NULL : d;
    rows_fill(m);
    return true;
}

static void making_fini(Making *m)
{
    g_free(m->path);
    json_free(m->opts);
}

/* ---- options -------------------------------------------------------------- */

bool blk_row_text_ok(const Prop *p, const char *text, Error **errp)
{
    uint64_t u;
    bool b;

    switch (p->kind) {
    case PK_SIZE:
    case PK_SIZE32:
        return opt_size(p->name, text, 1, &u, errp);
    case PK_BOOL:
        return opt_bool(p->name, text, &b, errp);
    case PK_U8: case PK_U16: case PK_U32: case PK_U64: case PK_I64:
        return opt_u64(p->name, text, &u, errp);
    default:
        return true;
    }
}

/* A short form `x` stands for x=on. */
static MACHINE_CALL bool opts_check(Making *m, Error **errp)
{
    for (size_t i = 0; i < json_count(m->opts); i++) {
        const char *key = json_key_at(m->opts, i);
        const Prop *p = row_find(&m->rows, key);

        if (!p) {
            return error_set(errp, "Invalid parameter '%s'", key);
        }
        if (!blk_row_text_ok(p, json_get_str(m->opts, key), errp)) {
            return false;
        }
    }
    return true;
}

static MACHINE_CALL bool opts_read(Making *m, Error **errp)
{
    const char *text = m->spec->options;
    Opts o = { 0 };

    if (!m->opts && !text) {
        m->opts = json_obj();
    } else if (!m->opts) {
        if (!opts_parse(&o, text, NULL, OPT_FLAT | OPT_BARE | OPT_QUIET, errp)) {
            return false;
        }
        m->opts = o.obj;
    }
    return opts_check(m, errp);
}

/* Arguments beside -o say it too. */
static MACHINE_CALL bool opts_merge(Making *m, Error **errp)
{
    const BlkImageSpec *s = m->spec;
    g_autofree char *size = NULL;

    if (s->size >= 0) {
        if (json_get(m->opts, "size")) {
            return error_set(errp, "The image size must be specified only "
                             "once");
        }
        size = g_strdup_printf("%" PRId64, s->size);
        json_set_str(m->opts, "size", size);
    }
    if (s->backing) {
        if (!row_find(&m->rows, "backing_file")) {
            return error_set(errp, "Backing file not supported for file format "
                             "'%s'", s->format);
        }
        json_set_str(m->opts, "backing_file", s->backing);
    }
    if (s->backing_fmt) {
        if (!row_find(&m->rows, "backing_fmt")) {
            return error_set(errp, "Backing file format not supported for file "
                             "format '%s'", s->format);
        }
        json_set_str(m->opts, "backing_fmt", s->backing_fmt);
    }
    return true;
}

/* ---- backing file --------------------------------------------------------- */

static MACHINE_CALL bool backing_open(Making *m, const char *file,
                                      const char *fmt, Error **errp)
{
    g_autofree char *path = blk_path_combine(m->spec->filename, file);
    Json *opts = json_obj();
    char text[24];
    BlkNode *n;
    bool ok = true;

    if (fmt) {
        json_set_str(opts, "driver", fmt);
    }
    n = blk_open(path, opts, BLKO_NO_IO | BLKO_FORCE_SHARE, errp);
    json_free(opts);
    if (!n) {
        error_hint(errp, "Could not open backing image.");
        return false;
    }
    if (!fmt) {
        ok = error_set(errp, "Backing file specified without backing format");
        error_hint(errp, "Detected format of %s.", n->drv->name);
    } else if (!json_get(m->opts, "size")) {
        snprintf(text, sizeof(text), "%" PRIu64, n->length);
        json_set_str(m->opts, "size", text);
    }
    blk_node_unref(n);
    return ok;
}

static MACHINE_CALL bool backing_check(Making *m, Error **errp)
{
    const char *file = json_get_str(m->opts, "backing_file");
    const char *fmt = json_get_str(m->opts, "backing_fmt");

    if (!file) {
        return true;
    }
    if (!*file) {
        return error_set(errp, "Expected backing file name, got empty string");
    }
    if (!strcmp(file, m->spec->filename)) {
        return error_set(errp, "Error: Trying to create an image with the same "
                         "filename as the backing file");
    }
    if (!m->spec->backing_unsafe) {
        return backing_open(m, file, fmt, errp);
    }
    return fmt || error_set(errp, "Backing file specified without backing "
                            "format");
}

/* ---- announcing ----------------------------------------------------------- */

static char *value_text(const Prop *p, const char *given)
{
    const PropEnum *e = p->aux;
    uint64_t u;

    if (given) {
        if ((p->kind == PK_SIZE || p->kind == PK_SIZE32) &&
            opt_size("", given, 1, &u, NULL)) {
            return g_strdup_printf("%" PRIu64, u);
        }
        if (p->kind >= PK_U8 && p->kind <= PK_I64 &&
            opt_u64("", given, &u, NULL)) {
            return g_strdup_printf("%" PRIu64, u);
        }
        return g_strdup(given);
    }
    if (p->flags & PF_NO_DEFAULT) {
        return NULL;
    }
    switch (p->kind) {
    case PK_STR:
        return g_strdup(p->def_str);
    case PK_BOOL:
        return g_strdup(p->def ? "on" : "off");
    case PK_ENUM:
        return g_strdup(e->names[p->def]);
    default:
        return g_strdup_printf("%" PRIu64, p->def);
    }
}

static void announce(const Making *m)
{
    printf("Formatting '%s', fmt=%s", m->spec->filename, m->spec->format);
    for (unsigned i = 0; i < m->rows.n; i++) {
        const Prop *p = m->rows.v[i];
        g_autofree char *text = value_text(p, json_get_str(m->opts, p->name));

        if (!text) {
            continue;
        }
        printf(" %s=", p->name);
        for (const char *c = text; *c; c++) {
            printf(*c == ',' ? ",," : "%c", *c);
        }
    }
    printf("\n");
    fflush(stdout);
}

/* ---- making --------------------------------------------------------------- */

/* What blockdev-create calls an option: people are told that name. */
static const char *member_name(const char *option, char buf[static 32])
{
    static const char encrypt[] = "encrypt.";

    if (!strcmp(option, "compat")) {
        return "version";
    }
    if (g_str_has_prefix(option, encrypt)) {
        option += strlen(encrypt);
    }
    snprintf(buf, 32, "%s", option);
    return g_strdelimit(buf, "_", '-');
}

static MACHINE_CALL bool enum_ok(const Prop *p, bool by_name,
                                 const char *text, Error **errp)
{
    const PropEnum *e = p->aux;
    char name[32];

    for (unsigned i = 0; e->names[i]; i++) {
        if (!strcmp(e->names[i], text)) {
            return true;
        }
    }
    if (!by_name) {
        return error_set(errp, "invalid parameter value: %s", text);
    }
    return error_set(errp, "Parameter '%s' does not accept value '%s'",
                     member_name(p->name, name), text);
}

/* Fills d's struct from the options it knows; NULL: *errp. */
static MACHINE_CALL BlkCreate *create_fill(Making *m, const BlkDriver *d,
                                           Error **errp)
{
    BlkCreate *c = g_malloc0(MAX2(d->create_size, sizeof(BlkCreate)));
    const Prop *tables[] = { head_rows, d->create_props };
    bool ok = true, by_name = d == m->format;

    prop_defaults((Obj *)c, d->create_props, 0);
    for (size_t t = 0; ok && t < ARRAY_SIZE(tables); t++) {
        for (const Prop *p = tables[t]; ok && p && p->name; p++) {
            const char *text = json_get_str(m->opts, p->name);

            /* What the format has too is the format's. */
            if (m->format && d != m->format &&
                prop_find(m->format->create_props, p->name)) {
                text = NULL;
            }
            if (text && (p->kind != PK_ENUM ||
                         enum_ok(p, by_name && !(p->flags & PF_HIDDEN), text,
                                 errp))) {
                ok = prop_set_text((Obj *)c, p, text, d->name, errp);
            } else {
                ok = !text;
            }
        }
    }
    if (!ok) {
        prop_release((Obj *)c, d->create_props);
        g_free(c);
        return NULL;
    }
    c->size = ALIGN_UP(c->size, 512);
    return c;
}

static MACHINE_CALL void create_free(BlkCreate *c, const BlkDriver *d)
{
    prop_release((Obj *)c, d->create_props);
    g_free(c->filename);
    g_free(c->backing_file);
    g_free(c->backing_fmt);
    g_free(c);
}

/* The protocol's node, held so that others stay away while it is filled. */
static MACHINE_CALL BlkBackend *protocol_open(Making *m, Error **errp)
{
    Json *opts = json_obj();
    BlkBackend *b = NULL;
    BlkNode *n;

    json_set_str(opts, "driver", m->protocol->name);
    n = blk_open(m->path, opts, BLKO_RDWR, errp);
    json_free(opts);
    if (!n) {
        return NULL;
    }
    b = blk_new(NULL);
    if (!blk_set_perm(b, BLKP_CONSISTENT_READ | BLKP_WRITE | BLKP_RESIZE,
                      BLKP_ALL, errp) || !blk_insert(b, n, errp)) {
        blk_unref(b);
        b = NULL;
    }
    blk_node_unref(n);
    return b;
}

/* What cannot be made may be there: then it must have room, and stops looking
 * like what it held. */
static MACHINE_CALL bool protocol_reuse(Making *m, uint64_t size, Error **errp)
{
    BlkBackend *b = protocol_open(m, errp);
    uint8_t zeroes[512] = { 0 };
    BlkNode *n;
    bool ok;

    if (!b) {
        error_prepend(errp, "Protocol driver '%s' does not support image "
                      "creation, and opening the image failed: ",
                      m->protocol->name);
        return false;
    }
    n = blk_root(b);
    ok = n->length >= size || error_set(errp, "Cannot grow device files");
    if (ok && n->length &&
        blk_pwrite(b, 0, zeroes, MIN2(n->length, 512), 0) < 0) {
        ok = error_set(errp, "Failed to clear the new image's first sector");
    }
    blk_unref(b);
    return ok;
}

static MACHINE_CALL bool protocol_create(Making *m, Error **errp)
{
    BlkCreate *c = create_fill(m, m->protocol, errp);
    Error *err = NULL;
    bool ok, large;

    if (!c) {
        return false;
    }
    if (!m->protocol->create) {
        ok = protocol_reuse(m, m->format ? 0 : c->size, errp);
        create_free(c, m->protocol);
        return ok;
    }
    c->filename = g_strdup(m->path);
    if (m->format) {
        c->size = 0;
    }
    ok = m->protocol->create(c, &err);
    large = c->too_large;
    create_free(c, m->protocol);
    if (!ok && !m->format && large) {
        error_free(err);
        return error_set(errp, "The image size is too large for file format "
                         "'%s'", m->spec->format);
    }
    if (!ok) {
        error_move(errp, err);
    }
    return ok;
}

static MACHINE_CALL bool format_create(Making *m, Error **errp)
{
    BlkCreate *c = create_fill(m, m->format, errp);
    BlkBackend *b;
    bool ok;

    if (!c) {
        return false;
    }
    b = protocol_open(m, errp);
    if (!b) {
        create_free(c, m->format);
        return false;
    }
    c->filename = g_strdup(m->spec->filename);
    c->file = blk_root(b);
    c->backing_unsafe = m->spec->backing_unsafe;
    ok = m->format->create(c, errp);
    if (ok && blk_flush(b) < 0) {
        ok = error_set(errp, "Could not write '%s'", m->spec->filename);
    }
    blk_unref(b);
    create_free(c, m->format);
    return ok;
}

static MACHINE_CALL bool make(Making *m, Error **errp)
{
    if (json_get(m->opts, "backing_fmt") && !json_get(m->opts, "backing_file")) {
        return error_set(errp, "Backing format cannot be used without backing "
                         "file");
    }
    if (!m->format) {
        return protocol_create(m, errp);
    }
    if (!protocol_create(m, errp)) {
        return false;
    }
    if (format_create(m, errp)) {
        return true;
    }
    if (!strcmp(m->protocol->name, "file")) {
        remove(m->path);               /* invariant 2                         */
    }
    return false;
}

static MACHINE_CALL bool image_make(Making *m, Error **errp)
{
    const BlkImageSpec *s = m->spec;
    bool ok = drivers_find(m, s->format, s->filename, errp) &&
              opts_read(m, errp) && opts_merge(m, errp) &&
              backing_check(m, errp);

    if (ok && !json_get(m->opts, "size")) {
        ok = error_set(errp, "Image creation needs a size parameter");
    }
    if (ok && s->announce) {
        announce(m);
    }
    ok = ok && make(m, errp);
    making_fini(m);
    return ok;
}

bool blk_image_make(const BlkImageSpec *spec, Error **errp)
{
    Making m = { .spec = spec };

    return image_make(&m, errp);
}

/* Values as text, whatever their kind. */
static Json *opts_strings(const Json *opts)
{
    Json *out = json_obj();

    for (size_t i = 0; opts && i < json_count(opts); i++) {
        const Json *v = json_value_at(opts, i);
        g_autofree char *text = NULL;

        if (json_kind(v) == JSON_STR) {
            text = g_strdup(json_str_of(v));
        } else if (json_kind(v) == JSON_BOOL) {
            text = g_strdup(json_bool_of(v) ? "on" : "off");
        } else {
            text = json_text(v, false, NULL);
        }
        json_set_str(out, json_key_at(opts, i), text);
    }
    return out;
}

bool blk_image_create(const char *filename, const char *format, Json *opts,
                      bool text, uint64_t size, Error **errp)
{
    BlkImageSpec spec = { .filename = filename, .format = format, .size = -1 };
    Making m = { .spec = &spec, .opts = opts_strings(opts) };

    spec.backing_unsafe = json_get(m.opts, "unsafe") != NULL;
    json_free(json_take(m.opts, "unsafe"));
    if (size != UINT64_MAX && !json_get(m.opts, "size")) {
        spec.size = (int64_t)MIN2(size, INT64_MAX);
    }
    return image_make(&m, errp);
}

/* ---- measuring ------------------------------------------------------------ */

bool blk_image_measure(const char *format, const char *options, uint64_t size,
                       BlkNode *in, BlkMeasure *out, Error **errp)
{
    BlkImageSpec spec = { .format = format, .options = options, .size = -1 };
    Making m = { .spec = &spec };
    const BlkDriver *d = blk_driver_find(format);
    BlkCreate *c = NULL;
    bool ok;

    *out = (BlkMeasure){ .bitmaps = -1 };
    ok = drivers_find(&m, format, NULL, errp) && opts_read(&m, errp);
    if (ok && !d->measure && !by_protocol_alone(d)) {
        ok = error_set(errp, "Block driver '%s' does not support size "
                       "measurement", d->name);
    } else if (ok && !d->measure) {
        out->required = ALIGN_UP(in ? in->length : size, 512);
        out->fully_allocated = out->required;
    } else if (ok) {
        c = create_fill(&m, d, errp);
        ok = c != NULL;
    }
    if (c) {
        c->size = ALIGN_UP(in ? in->length : size, 512);
        ok = d->measure(c, in, out, errp);
        create_free(c, d);
    }
    making_fini(&m);
    return ok;
}

/* ---- -o help -------------------------------------------------------------- */

static int row_order(const void *a, const void *b)
{
    return strcmp((*(const Prop *const *)a)->name,
                  (*(const Prop *const *)b)->name);
}

static const char *row_type(const Prop *p)
{
    return p->kind == PK_SIZE || p->kind == PK_SIZE32 ? "size"
         : p->kind == PK_BOOL ? "bool (on/off)"
         : p->kind >= PK_U8 && p->kind <= PK_I64 ? "num" : "str";
}

static void rows_print(Rows *r)
{
    qsort(r->v, r->n, sizeof(r->v[0]), row_order);
    for (unsigned i = 0; i < r->n; i++) {
        const Prop *p = r->v[i];
        g_autofree char *left = g_strdup_printf("  %s=<%s>", p->name,
                                                row_type(p));

        printf("%-24s - %s\n", left, p->desc ? p->desc : "");
    }
}

void blk_rows_help(const Prop *rows)
{
    Rows r = { .n = 0 };

    for (const Prop *p = rows; p->name; p++) {
        row_add(&r, p);
    }
    rows_print(&r);
}

bool blk_image_make_help(const char *format, const char *filename,
                         Error **errp)
{
    Making m = { 0 };
    bool ok = drivers_find(&m, format, filename, errp);

    if (ok) {
        if (filename) {
            printf("Supported options:\n");
        } else {
            printf("Supported %s options:\n", m.format->name);
        }
        rows_print(&m.rows);
        if (!filename) {
            printf("\nThe protocol level may support further options.\n"
                   "Specify the target filename to include those options.\n");
        }
    }
    making_fini(&m);
    return ok;
}
