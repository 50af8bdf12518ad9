/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * drive.c - -drive and its short forms: a backend with a name, the nodes that its
 * text asks for, and a place on a kind of bus that the board looks up.
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. No two drives have the same place, nor the same id.
 * 2. An option that is not the drive's own is the image format's.
 */
#include <glib.h>
#include "block/cor.h"
#include "block/drive.h"
#include "opt.h"

static const char *const if_names[IF_COUNT] = {
    "none", "ide", "scsi", "floppy", "pflash", "mtd", "sd", "virtio", "xen",
};
/* Units of one bus; 0: a flat row of them. */
static const int if_units[IF_COUNT] = { [IF_IDE] = 2, [IF_SCSI] = 7 };

static Drive *drives;                  /* in order of creation                */

Drive *drive_find(DriveIf type, int bus, int unit)
{
    for (Drive *d = drives; d; d = d->next) {
        if (d->type == type && d->bus == bus && d->unit == unit) {
            return d;
        }
    }
    return NULL;
}

void drive_each(bool (*fn)(Drive *d, void *arg), void *arg)
{
    for (Drive *d = drives, *next; d; d = next) {
        next = d->next;
        if (!fn(d, arg)) {
            return;
        }
    }
}

Drive *drive_of(BlkBackend *b)
{
    Drive *d = drives;

    while (d && d->blk != b) {
        d = d->next;
    }
    return d;
}

/* ---- what the text says -------------------------------------------------- */

typedef struct DriveText {
    Json *opts;                        /* strings; what is taken is removed   */
    Drive *d;
    unsigned flags;                    /* BLKO_*                              */
    bool write_cache;
    BlkAction werror, rerror;
    BlkZeroes zeroes;
    char *file, *format, *aio, *group;
    BlkLimitsSet limits;
    bool snapshot, copy_on_read;
} DriveText;

static char *take(DriveText *t, const char *key)
{
    Json *v = json_take(t->opts, key);
    char *s = v && json_kind(v) == JSON_STR ? g_strdup(json_str_of(v)) : NULL;

    json_free(v);
    return s;
}

/* name: what an error calls it. */
static bool take_flag_as(DriveText *t, const char *key, const char *name,
                         bool *out, Error **errp)
{
    g_autofree char *s = take(t, key);

    return !s || opt_bool(name, s, out, errp);
}

static bool take_flag(DriveText *t, const char *key, bool *out, Error **errp)
{
    return take_flag_as(t, key, key, out, errp);
}

static bool take_int(DriveText *t, const char *key, int *out, Error **errp)
{
    g_autofree char *s = take(t, key);
    uint64_t v;

    if (!s) {
        return true;
    }
    if (!opt_u64(key, s, &v, errp)) {
        return false;
    }
    if (v > 255) {
        return error_set(errp, "Parameter '%s' expects a number up to 255",
                         key);
    }
    *out = (int)v;
    return true;
}

static bool set_cache(DriveText *t, const char *mode, Error **errp)
{
    static const struct {
        const char *name;
        unsigned flags;
        bool write_cache;
    } rows[] = {
        { "none", BLKO_DIRECT, true }, { "off", BLKO_DIRECT, true },
        { "writeback", 0, true }, { "writethrough", 0, false },
        { "directsync", BLKO_DIRECT, false },
        { "unsafe", BLKO_NO_FLUSH, true },
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (!strcmp(rows[i].name, mode)) {
            t->flags |= rows[i].flags;
            t->write_cache = rows[i].write_cache;
            return true;
        }
    }
    return error_set(errp, "invalid cache option");
}

static bool take_cache(DriveText *t, Error **errp)
{
    g_autofree char *mode = take(t, "cache");
    bool direct, no_flush, write_cache;

    if (mode && !set_cache(t, mode, errp)) {
        return false;
    }
    write_cache = t->write_cache;
    direct = t->flags & BLKO_DIRECT;
    no_flush = t->flags & BLKO_NO_FLUSH;
    if (!take_flag(t, "cache.direct", &direct, errp) ||
        !take_flag(t, "cache.no-flush", &no_flush, errp) ||
        !take_flag(t, "cache.writeback", &t->write_cache, errp)) {
        return false;
    }
    if (mode && (direct != !!(t->flags & BLKO_DIRECT) ||
                 no_flush != !!(t->flags & BLKO_NO_FLUSH) ||
                 t->write_cache != write_cache)) {
        warn_report("cache=%s says otherwise: cache.direct=%s, "
                    "cache.no-flush=%s and cache.writeback=%s count", mode,
                    direct ? "on" : "off", no_flush ? "on" : "off",
                    t->write_cache ? "on" : "off");
    }
    t->flags &= ~(BLKO_DIRECT | BLKO_NO_FLUSH);
    t->flags |= (direct ? BLKO_DIRECT : 0) | (no_flush ? BLKO_NO_FLUSH : 0);
    return true;
}

static bool take_action(DriveText *t, const char *key, BlkAction *out,
                        Error **errp)
{
    g_autofree char *s = take(t, key);
    bool read = key[0] == 'r';
    DriveIf i = t->d->type;

    if (!s) {
        return true;
    }
    if (i != IF_IDE && i != IF_SCSI && i != IF_VIRTIO && i != IF_NONE) {
        return error_set(errp, "%s is not supported by this bus type", key);
    }
    if (!strcmp(s, "ignore")) {
        *out = BLKA_IGNORE;
    } else if (!strcmp(s, "enospc") && !read) {
        *out = BLKA_ENOSPC;
    } else if (!strcmp(s, "stop")) {
        *out = BLKA_STOP;
    } else if (!strcmp(s, "report")) {
        *out = BLKA_REPORT;
    } else {
        return error_set(errp, "'%s' invalid %s error action", s,
                         read ? "read" : "write");
    }
    return true;
}

/* ---- its place ----------------------------------------------------------- */

static bool take_interface(DriveText *t, DriveIf type, Error **errp)
{
    g_autofree char *name = take(t, "if");
    g_autofree char *media = take(t, "media");

    t->d->type = type == IF_DEFAULT ? IF_IDE : type;
    for (int i = 0; name && i <= IF_COUNT; i++) {
        if (i == IF_COUNT) {
            OptWords w = { .n = 0 };

            for (i = 0; i < IF_COUNT; i++) {
                opt_word_add(&w, if_names[i]);
            }
            error_set(errp, "unsupported bus type '%s'", name);
            return opt_suggest(&w, name, errp);
        }
        if (!strcmp(name, if_names[i])) {
            t->d->type = (DriveIf)i;
            break;
        }
    }
    if (media && strcmp(media, "disk") && strcmp(media, "cdrom")) {
        return error_set(errp, "'%s' invalid media", media);
    }
    t->d->cdrom = media && !strcmp(media, "cdrom");
    return true;
}

static bool take_place(DriveText *t, Error **errp)
{
    Drive *d = t->d, *o;
    int bus = -1, unit = -1, index = -1, units = if_units[d->type];

    machine_assert_locked();
    if (!take_int(t, "bus", &bus, errp) || !take_int(t, "unit", &unit, errp) ||
        !take_int(t, "index", &index, errp)) {
        return false;
    }
    if (index != -1 && d->type == IF_NONE) {
        warn_report("index=%d: no effect with if=none", index);
    }
    if (index != -1) {
        if (bus > 0 || unit != -1) {
            return error_set(errp, "index cannot be used with bus and unit");
        }
        bus = units ? index / units : 0;
        unit = units ? index % units : index;
    }
    bus = MAX2(bus, 0);
    if (unit == -1) {
        unit = 0;
        while (drive_find(d->type, bus, unit)) {
            unit++;
            if (units && unit >= units) {
                unit -= units;
                bus++;
            }
        }
    }
    if (units && unit >= units) {
        return error_set(errp, "unit %d too big (max is %d)", unit, units - 1);
    }
    o = drive_find(d->type, bus, unit);
    d->bus = bus;
    d->unit = unit;
    d->index = units ? bus * units + unit : unit;
    return !o || error_set(errp, "drive with bus=%d, unit=%d (index=%d) exists",
                           bus, unit, d->index);
}

static bool take_id(DriveText *t, Error **errp)
{
    Drive *d = t->d;
    const char *media = d->type == IF_IDE || d->type == IF_SCSI
        ? d->cdrom ? "-cd" : "-hd" : "";

    machine_assert_locked();
    d->id = take(t, "id");
    if (!d->id) {
        d->id = if_units[d->type]
            ? g_strdup_printf("%s%d%s%d", if_names[d->type], d->bus, media,
                              d->unit)
            : g_strdup_printf("%s%s%d", if_names[d->type], media, d->unit);
    }
    if (!opt_id_ok(d->id)) {
        error_set(errp, "Parameter 'id' expects an identifier");
        error_hint(errp, "Identifiers consist of letters, digits, '-', '.', "
                   "'_', starting with a letter.");
        return false;
    }
    if (blk_find(d->id)) {
        return error_set(errp, "Duplicate ID '%s' for drive", d->id);
    }
    if (blk_node_find(d->id)) {
        return error_set(errp, "Device name '%s' conflicts with an existing "
                         "node name", d->id);
    }
    return true;
}

/* ---- how it is opened ---------------------------------------------------- */

static bool take_access(DriveText *t, Error **errp)
{
    g_autofree char *discard = take(t, "discard");
    bool ro = t->d->cdrom, cor = false, boot = false;
    bool given = json_get(t->opts, "snapshot");

    if (!take_flag(t, "boot", &boot, errp)) {
        return false;
    }
    if (boot) {
        warn_report("boot=on is an old option: use bootindex= of the device, "
                    "or -boot");
    }
    if (json_get(t->opts, "readonly") && json_get(t->opts, "read-only")) {
        return error_set(errp, "'read-only' and its alias 'readonly' can't be "
                         "used at the same time");
    }
    if (!take_flag_as(t, "readonly", "read-only", &ro, errp) ||
        !take_flag(t, "read-only", &ro, errp) ||
        !take_flag(t, "snapshot", &t->snapshot, errp) ||
        !take_flag(t, "copy-on-read", &cor, errp)) {
        return false;
    }
    if (t->snapshot && given && ro) {
        warn_report("snapshot=on: no effect: the drive is read-only");
    }
    if (cor && ro) {
        warn_report("disabling copy-on-read on read-only drive");
    }
    t->copy_on_read = cor && !ro;
    t->flags |= BLKO_AUTO_RDONLY | (ro ? 0 : BLKO_RDWR);
    if (!discard || !strcmp(discard, "ignore") || !strcmp(discard, "off")) {
        return true;
    }
    if (strcmp(discard, "unmap") && strcmp(discard, "on")) {
        return error_set(errp, "Invalid discard option");
    }
    t->flags |= BLKO_UNMAP;
    return true;
}

static bool take_zeroes(DriveText *t, Error **errp)
{
    static const char *const names[] = { "off", "on", "unmap" };
    g_autofree char *s = take(t, "detect-zeroes");

    for (size_t i = 0; s && i < ARRAY_SIZE(names); i++) {
        if (!strcmp(s, names[i])) {
            t->zeroes = (BlkZeroes)i;
            return true;
        }
    }
    return !s || error_set(errp, "invalid parameter value: %s", s);
}

static bool take_driver(DriveText *t, Error **errp)
{
    g_autofree char *driver = take(t, "driver");

    t->format = take(t, "format");
    t->file = take(t, "file");
    t->aio = take(t, "aio");
    if (t->file && !t->file[0]) {
        g_clear_pointer(&t->file, g_free);
    }
    if (t->aio && strcmp(t->aio, "threads") && strcmp(t->aio, "native") &&
        strcmp(t->aio, "io_uring")) {
        return error_set(errp, "invalid aio option");
    }
    if (driver && t->format) {
        return error_set(errp, "Cannot specify both 'driver' and 'format'");
    }
    if (driver) {
        t->format = g_steal_pointer(&driver);
    }
    return true;
}

static bool source_ok(const DriveText *t, const BlkDriver *drv, Error **errp)
{
    if (!t->file && !t->format && !json_get(t->opts, "file.driver") &&
        !json_get(t->opts, "file.filename")) {
        return error_set(errp, "Must specify either driver or file");
    }
    if (t->file && json_get(t->opts, "file.filename")) {
        return error_set(errp, "Can't specify 'file' and 'filename' options at "
                         "the same time");
    }
    if (drv && drv->protocol && !t->file && prop_find(drv->props, "filename") &&
        !json_get(t->opts, "filename")) {
        return error_set(errp, "The '%s' block driver requires a file name",
                         drv->name);
    }
    return true;
}

static MACHINE_CALL bool drive_open(DriveText *t, Error **errp)
{
    const BlkDriver *drv = t->format ? blk_driver_find(t->format) : NULL;
    Drive *d = t->d;
    BlkNode *n;
    bool ok;

    if (!t->file && !t->format && !json_count(t->opts)) {
        return true;                   /* no medium                           */
    }
    if (!source_ok(t, drv, errp)) {
        return false;
    }
    if (t->format) {
        json_set_str(t->opts, "driver", t->format);
    }
    if (t->aio) {
        json_set_str(t->opts, drv && drv->protocol ? "aio" : "file.aio",
                     t->aio);
    }
    n = blk_open(t->file, t->opts, (t->snapshot ? t->flags & ~BLKO_RDWR
                                                : t->flags) | BLKO_DRIVE_TEXT,
                 errp);
    if (n && t->snapshot) {
        n = drive_overlay(n, t->flags & BLKO_RDWR, errp);
    }
    if (!n) {
        return false;
    }
    n->detect_zeroes = t->zeroes;
    if (t->copy_on_read && !n->read_only) {
        blk_cor_enable(n);
    }
    ok = blk_insert(d->blk, n, errp);
    blk_node_unref(n);
    return ok;
}

static void drive_free(Drive *d)
{
    machine_assert_locked();
    blk_unref(d->blk);
    g_free(d->id);
    g_free(d->serial);
    g_free(d->addr);
    g_free(d);
}

void drive_forget(BlkBackend *b)
{
    Drive **at = &drives, *d;

    while (*at && (*at)->blk != b) {
        at = &(*at)->next;
    }
    d = *at;
    if (d) {
        *at = d->next;
        blk_name_clear(b);
        drive_free(d);
    }
}

static MACHINE_CALL bool drive_build(DriveText *t, DriveIf type, Error **errp)
{
    Drive *d = t->d;

    t->write_cache = true;
    t->werror = BLKA_ENOSPC;
    t->rerror = BLKA_REPORT;
    if (!take_interface(t, type, errp) || !take_driver(t, errp) ||
        !take_place(t, errp) || !take_id(t, errp) || !take_cache(t, errp) ||
        !take_access(t, errp) || !take_zeroes(t, errp) ||
        !take_action(t, "werror", &t->werror, errp) ||
        !take_action(t, "rerror", &t->rerror, errp)) {
        return false;
    }
    if (!drive_text_rename(t->opts, errp) ||
        !drive_limits_take(t->opts, &t->limits, &t->group, errp)) {
        return false;
    }
    d->addr = take(t, "addr");
    d->blk = blk_new(d->id);
    if (!drive_stats_take(t->opts, d->blk, errp)) {
        return false;
    }
    blk_set_write_cache(d->blk, t->write_cache);
    blk_on_error(d->blk, t->rerror, t->werror);
    blk_empty_ro_set(d->blk, !(t->flags & BLKO_RDWR));
    blk_set_perm(d->blk, BLKP_CONSISTENT_READ, BLKP_ALL, NULL);
    if (!drive_open(t, errp)) {
        return false;
    }
    return !blk_limits_any(&t->limits) ||
           blk_throttle_set(d->blk, &t->limits, t->group, errp);
}

static gint by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Says what formats there are; true when that was asked for. */
static bool format_help(const DriveText *t)
{
    const char *f = json_get_str(t->opts, "format");
    g_autoptr(GPtrArray) names = NULL;

    if (!f || (strcmp(f, "help") && strcmp(f, "?"))) {
        return false;
    }
    names = g_ptr_array_new();
    SET_EACH(blk_drivers, BlkDriver, d) {
        g_ptr_array_add(names, (void *)(uintptr_t)(*d)->name);
    }
    g_ptr_array_sort(names, by_name);
    fputs("Supported formats:", stdout);
    for (guint i = 0; i < names->len; i++) {
        printf(" %s", (const char *)names->pdata[i]);
    }
    putchar('\n');
    return true;
}

Drive *drive_add(const char *text, DriveIf type, const char *extra,
                 Error **errp)
{
    DriveText t = { 0 };
    Drive **at = &drives;
    Opts o, more = { 0 };
    bool ok;

    if (!opts_parse(&o, text, NULL, OPT_FLAT | OPT_BARE, errp)) {
        return NULL;
    }
    if (extra && !opts_parse(&more, extra, NULL, OPT_FLAT, errp)) {
        opts_free(&o);
        return NULL;
    }
    for (size_t i = 0; more.obj && i < json_count(more.obj); i++) {
        json_set(o.obj, json_key_at(more.obj, i),
                 json_copy(json_value_at(more.obj, i)));
    }
    if (more.obj) {
        opts_free(&more);
    }
    t.opts = o.obj;
    if (format_help(&t)) {
        fflush(stdout);
        _Exit(0);
    }
    t.d = g_new0(Drive, 1);
    t.d->where = report_where(NULL);
    report_where(t.d->where);
    ok = drive_build(&t, type, errp);
    g_free(t.file);
    g_free(t.format);
    g_free(t.aio);
    g_free(t.group);
    opts_free(&o);
    if (!ok) {
        drive_free(t.d);
        return NULL;
    }
    while (*at) {
        at = &(*at)->next;
    }
    *at = t.d;
    return t.d;
}
