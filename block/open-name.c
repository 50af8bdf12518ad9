/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * open-name.c - nodes by file name: protocol prefixes, json:{…}, and the guess of
 * a format from an image's first bytes.
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. A guess of "raw" is warned about, and its block 0 is protected.
 */
#include <glib.h>
#include <sys/stat.h>
#include "block/cor.h"
#include "opt.h"

/* ---- file names ---------------------------------------------------------- */

/* The driver of a name by its prefix; *rest: the name without it. */
char *blk_filename_driver(const char *filename, const char **rest,
                          Error **errp)
{
    size_t n = strcspn(filename, ":/");
    struct stat st;
    const char *p;

    *rest = filename;
    if (filename[n] == ':' && n) {
        SET_EACH(blk_drivers, BlkDriver, d) {
            p = (*d)->prefix;
            if (p && !strncmp(filename, p, strlen(p))) {
                *rest = filename + strlen(p);
                return g_strdup((*d)->name);
            }
        }
        error_set(errp, "Unknown protocol '%.*s'", (int)n, filename);
        return NULL;
    }
    if (!stat(filename, &st) && (S_ISBLK(st.st_mode) || S_ISCHR(st.st_mode)) &&
        blk_driver_find("host_device")) {
        return g_strdup("host_device");
    }
    return g_strdup("file");
}

/* ---- probing ------------------------------------------------------------- */

static MACHINE_CALL const BlkDriver *probe(BlkNode *file, Error **errp)
{
    g_autofree uint8_t *buf = g_malloc0(2048);
    const BlkDriver *best = NULL;
    BlkBackend *b;
    uint64_t len = MIN2(file->length, 2048);
    int top = 0, ret;

    b = blk_new(NULL);
    if (!blk_set_perm(b, BLKP_CONSISTENT_READ, BLKP_ALL, errp) ||
        !blk_insert(b, file, errp)) {
        blk_unref(b);
        return NULL;
    }
    ret = len ? blk_pread(b, 0, buf, len) : 0;
    blk_unref(b);
    if (ret == -ENOMEDIUM) {           /* nothing to look at: raw             */
        ret = 0;
        len = 0;
    }
    if (ret < 0) {
        error_set_errno(errp, -ret,
                        "Could not read image for determining its format");
        return NULL;
    }
    SET_EACH(blk_drivers, BlkDriver, d) {
        int score = (*d)->probe ? (*d)->probe(buf, len, file->filename) : 0;

        if (score > top) {
            top = score;
            best = *d;
        }
    }
    if (!best) {
        error_set(errp, "Could not determine image format: No compatible "
                  "driver found");
    }
    return best;
}

/* ---- by file name -------------------------------------------------------- */

/* Options that name no driver: whatever the file turns out to be. */
static MACHINE_CALL BlkNode *open_unnamed(Json *opts, unsigned flags,
                                          Error **errp)
{
    Json *file = json_take(opts, "file");
    BlkNode *n = NULL;

    for (size_t i = 0; file && json_kind(file) == JSON_OBJ &&
                       i < json_count(file); i++) {
        g_autofree char *key = g_strconcat("file.", json_key_at(file, i), NULL);

        json_set(opts, key, json_copy(json_value_at(file, i)));
    }
    if (file && json_kind(file) == JSON_STR) {
        json_set_str(opts, "file", json_str_of(file));
    }
    json_free(file);
    if (json_count(opts)) {
        n = blk_open(NULL, opts, flags, errp);
    } else {
        error_set(errp, "Must specify either driver or file");
    }
    json_free(opts);
    return n;
}

static MACHINE_CALL BlkNode *open_named_json(const char *text, unsigned flags,
                                             Error **errp)
{
    Json *v = json_parse(text, strlen(text), errp);
    const char *driver;

    if (!v) {
        error_prepend(errp, "Could not parse the JSON options: ");
        return NULL;
    }
    if (json_kind(v) != JSON_OBJ) {
        json_free(v);
        error_set(errp, "Invalid JSON object given");
        return NULL;
    }
    flags |= BLKO_DRIVE_TEXT;
    driver = json_get_str(v, "driver");
    if (!json_get(v, "driver")) {
        return open_unnamed(v, flags, errp);
    }
    if (driver && !blk_driver_find(driver)) {
        error_set(errp, "Unknown driver '%s'", driver);
        blk_driver_suggest(driver, errp);
        json_free(v);
        return NULL;
    }
    return blk_node_open(v, false, flags, errp);
}

/* The protocol node of a file name, with the options "file.…" of opts. */
static MACHINE_CALL BlkNode *open_protocol(const char *filename, Json *opts,
                                           unsigned flags, Error **errp)
{
    const char *rest = filename;
    Json *obj = json_obj();
    const BlkDriver *d;
    char *driver;

    for (size_t i = 0; i < json_count(opts);) {
        g_autofree char *k = g_strdup(json_key_at(opts, i));

        if (!strncmp(k, "file.", 5)) {
            json_set(obj, k + 5, json_take(opts, k));
        } else {
            i++;
        }
    }
    if (filename) {
        if (!json_get(obj, "driver")) {
            driver = blk_filename_driver(filename, &rest, errp);
            if (!driver) {
                json_free(obj);
                return NULL;
            }
            json_set_str(obj, "driver", driver);
            g_free(driver);
        }
        d = blk_driver_find(json_get_str(obj, "driver") ?
                            json_get_str(obj, "driver") : "");
        if (d && d->parse_filename) {
            if (!d->parse_filename(rest, obj, errp)) {
                json_free(obj);
                return NULL;
            }
        } else if (d) {
            if (!*rest && !strcmp(d->name, "file")) {
                json_free(obj);
                error_set(errp, "The 'file' block driver requires a file name");
                return NULL;
            }
            json_set_str(obj, "filename", rest);
        }
    } else if (!json_count(obj)) {
        json_free(obj);
        error_set(errp, "A block device must be specified for \"file\"");
        return NULL;
    } else if (!json_get(obj, "driver")) {
        json_set_str(obj, "driver", "file");
    }
    return blk_node_open(obj, true, flags, errp);
}

static void probe_warning(const char *filename)
{
    fprintf(stderr, "WARNING: Image format was not specified for '%s' and "
            "probing guessed raw.\n"
            "         Automatically detecting the format is dangerous for raw "
            "images, write operations on block 0 will be restricted.\n"
            "         Specify the 'raw' format explicitly to remove the "
            "restrictions.\n"
            "         Fix: format=raw (-drive), -f raw (image tools).\n",
            filename);
}

/* Format over protocol: the node of the format takes the rest of opts. */
static MACHINE_CALL BlkNode *open_format(BlkNode *file, const BlkDriver *d,
                                         Json *opts, unsigned flags,
                                         Error **errp)
{
    BlkNode *n;

    json_set_str(opts, "driver", d->name);
    json_set_str(opts, "file", file->name);
    n = blk_node_open(opts, true, flags & ~BLKO_COPY_ON_READ, errp);
    blk_node_unref(file);
    return n;
}

BlkNode *blk_open(const char *filename, const Json *given, unsigned flags,
                  Error **errp)
{
    Json *opts = given ? json_copy(given) : json_obj();
    g_autofree char *name = g_strdup(json_get_str(opts, "driver"));
    const BlkDriver *d = NULL;
    const char *ref = json_get_str(opts, "file");
    BlkNode *file, *n;
    bool guessed = false;

    if (filename && g_str_has_prefix(filename, "json:")) {
        json_free(opts);
        return open_named_json(filename + 5, flags, errp);
    }
    if (name) {
        d = blk_driver_find(name);
        if (!d) {
            json_free(opts);
            error_set(errp, "Unknown driver '%s'", name);
            blk_driver_suggest(name, errp);
            return NULL;
        }
        if (d->protocol) {
            if (filename && g_str_has_prefix(name, "null-")) {
                const char *rest = strchr(filename, ':');

                if (!d->parse_filename(rest ? rest + 1 : "", opts, errp)) {
                    json_free(opts);
                    return NULL;
                }
            } else if (filename) {
                json_set_str(opts, "filename", filename);
            }
            return blk_node_open(opts, true, flags, errp);
        }
    }
    if (d && !filename && !ref) {
        n = blk_node_open(opts, true, flags & ~BLKO_COPY_ON_READ, errp);
        if (n && flags & BLKO_COPY_ON_READ && !n->read_only) {
            blk_cor_enable(n);
        }
        return n;
    }
    if (ref) {
        file = blk_node_find(ref);
        if (file) {
            blk_node_ref(file);
        } else {
            error_set(errp, "Cannot find device='%s' nor node-name='%s'", ref,
                      ref);
        }
    } else {
        file = open_protocol(filename, opts,
                             (flags & ~BLKO_COPY_ON_READ) | BLKO_UNMAP, errp);
    }
    if (!file) {
        json_free(opts);
        return NULL;
    }
    if (!d) {
        d = probe(file, errp);
        if (!d) {
            blk_node_unref(file);
            json_free(opts);
            return NULL;
        }
        guessed = !strcmp(d->name, "raw");
    }
    n = open_format(file, d, opts, flags, errp);
    if (n && flags & BLKO_COPY_ON_READ && !n->read_only) {
        blk_cor_enable(n);
    }
    if (n && guessed && !n->read_only) {
        n->probed = true;
        probe_warning(n->file ? n->file->filename : n->filename);
    }
    return n;
}

bool blk_backing_open(BlkNode *n, const char *format, Error **errp)
{
    BlkNode *backing = NULL;

    return n->flags & BLKO_NO_BACKING ||
           (blk_child_open(n, "backing", n->backing_name, format, &backing,
                           errp) &&
            (!backing || blk_child_attach(n, backing, "backing", ROLE_BACKING,
                                          errp)));
}
