/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * image-rig.h - images for the tests of formats: made here or by the peer's
 * tools, written at random beside a flat model, compared both ways.
 */
#ifndef TESTS_UNIT_IMAGE_RIG_H
#define TESTS_UNIT_IMAGE_RIG_H

#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "block/driver.h"
#include "obj.h"
#include "opt.h"
#include "tests/tern-test.h"

#pragma GCC diagnostic ignored "-Wunused-function"

static char rig_dir[64];
static char rig_msg[400];              /* of the last error                   */

/* Modules are beside the program, not beside its tests. */
__attribute__((constructor)) static void rig_modules(void)
{
    char *self = g_file_read_link("/proc/self/exe", NULL);
    char *dir = g_path_get_dirname(self);
    char *modules = g_build_filename(dir, "../../modules", NULL);

    setenv("TERN_MODULE_DIR", modules, 0);
    g_free(modules);
    g_free(dir);
    g_free(self);
}

static void rig_clean(void)
{
    g_autoptr(GDir) d = g_dir_open(rig_dir, 0, NULL);
    const char *name;

    while (d && (name = g_dir_read_name(d))) {
        g_autofree char *p = g_build_filename(rig_dir, name, NULL);

        unlink(p);
    }
    rmdir(rig_dir);
}

/* A path in this program's own folder, which goes when the program ends. */
static const char *rig_path(const char *name)
{
    char buf[160];

    if (!rig_dir[0]) {
        strcpy(rig_dir, "/tmp/tern-image.XXXXXX");
        if (!mkdtemp(rig_dir)) {
            abort();
        }
        atexit(rig_clean);
    }
    snprintf(buf, sizeof(buf), "%s/%s", rig_dir, name);
    return g_intern_string(buf);
}

static void rig_error(Error *err)
{
    g_strlcpy(rig_msg, err ? error_text(err) : "", sizeof(rig_msg));
    error_free(err);
}

static NO_TSA void rig_lock(void)
{
    if (!machine_locked()) {
        machine_lock();
    }
}

static NO_TSA void rig_secret(const char *id, const char *data)
{
    Error *err = NULL;
    Opts o;

    rig_lock();
    g_autofree char *text = g_strdup_printf("data=%s", data);
    if (opts_parse(&o, text, NULL, 0, &err)) {
        user_obj_add("secret", id, o.obj, o.text, &err);
        opts_free(&o);
    }
    CHECK(!err);
}

/* ---- the peer ------------------------------------------------------------ */

static bool rig_has_peer(void)
{
    g_autofree char *img = g_find_program_in_path("qemu-img");
    g_autofree char *io = g_find_program_in_path("qemu-io");

    return img && io;
}
#define NEED_PEER() \
    do { if (!rig_has_peer()) { SKIP("qemu-img is not installed"); } } while (0)

/* Exit status of a command line whose output goes to a file. */
static int rig_run(const char *fmt, ...) PRINTF_LIKE(1, 2);
static int rig_run(const char *fmt, ...)
{
    g_autofree char *line = NULL, *cmd = NULL;
    va_list ap;
    int st;

    va_start(ap, fmt);
    line = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    cmd = g_strdup_printf("(%s) > %s 2>&1", line, rig_path("out"));
    st = system(cmd);
    if (st) {
        g_autofree char *out = NULL;

        g_file_get_contents(rig_path("out"), &out, NULL, NULL);
        printf("# %s\n#   exit %d: %.300s\n", line, WEXITSTATUS(st),
               out ? out : "");
    }
    return st;
}

/* ---- ours ---------------------------------------------------------------- */

static NO_TSA bool create_props_set(const BlkDriver *d, void *c, const char *text,
                                    Error **errp)
{
    g_auto(GStrv) pairs = g_strsplit(text, ",", -1);

    for (char **p = pairs; *p && **p; p++) {
        char *eq = strchr(*p, '=');
        const Prop *row;

        *eq = 0;
        row = prop_find(d->create_props, *p);
        if (!row) {
            return error_set(errp, "no option '%s'", *p);
        }
        if (!prop_set_text(c, row, eq + 1, d->name, errp)) {
            return false;
        }
    }
    return true;
}

/* opts: "a=b,c=d". Text of an error in rig_msg. */
static NO_TSA bool rig_create_with(const char *fmt, const char *path,
                                   const char *opts, uint64_t size,
                                   const char *backing, const char *backing_fmt)
{
    const BlkDriver *d = blk_driver_find(fmt);
    BlkCreate *c = g_malloc0(d->create_size);
    Error *err = NULL;
    Json *file = json_obj();
    BlkBackend *b;
    bool ok = false;

    rig_lock();
    close(open(path, O_CREAT | O_TRUNC | O_RDWR, 0600));
    if (d->create_props) {
        prop_defaults((Obj *)c, d->create_props, 0);
    }
    json_set_str(file, "driver", "file");
    c->filename = g_strdup(path);
    c->size = size;
    c->backing_file = g_strdup(backing);
    c->backing_fmt = g_strdup(backing_fmt);
    c->file = blk_open(path, file, BLKO_RDWR, &err);
    b = blk_new(NULL);
    if (c->file && create_props_set(d, c, opts, &err) &&
        blk_set_perm(b, BLKP_ALL, BLKP_CONSISTENT_READ, &err) &&
        blk_insert(b, c->file, &err)) {
        ok = d->create(c, &err);
        if (ok != !err) {
            tt_fail(__FILE__, __LINE__, "result and error disagree");
        }
    }
    blk_unref(b);
    blk_node_unref(c->file);
    json_free(file);
    if (d->create_props) {
        prop_release((Obj *)c, d->create_props);
    }
    g_free(c->filename);
    g_free(c->backing_file);
    g_free(c->backing_fmt);
    g_free(c);
    rig_error(err);
    return ok;
}

static bool rig_create(const char *fmt, const char *path, const char *opts,
                       uint64_t size)
{
    return rig_create_with(fmt, path, opts, size, NULL, NULL);
}

/* fmt NULL: probed. NULL: not opened, rig_msg says why. */
static NO_TSA BlkBackend *rig_open(const char *fmt, const char *path,
                                   const char *opts, unsigned flags)
{
    g_auto(GStrv) pairs = g_strsplit(opts, ",", -1);
    BlkBackend *b = NULL;
    Error *err = NULL;
    Json *o = json_obj();
    BlkNode *n;

    rig_lock();
    if (fmt) {
        json_set_str(o, "driver", fmt);
    }
    for (char **p = pairs; *p && **p; p++) {
        char *eq = strchr(*p, '=');

        *eq = 0;
        json_set_str(o, *p, eq + 1);
    }
    n = blk_open(path, o, flags, &err);
    json_free(o);
    if (n) {
        b = blk_new(NULL);
        if (!blk_set_perm(b, BLKP_CONSISTENT_READ |
                          (flags & BLKO_RDWR ? BLKP_WRITE | BLKP_RESIZE : 0),
                          BLKP_ALL, &err) ||
            !blk_insert(b, n, &err)) {
            blk_unref(b);
            b = NULL;
        }
        blk_node_unref(n);
    }
    if (!b != !!err) {
        tt_fail(__FILE__, __LINE__, "result and error disagree");
    }
    rig_error(err);
    return b;
}

static NO_TSA void rig_close(BlkBackend *b)
{
    CHECK_EQ(blk_flush(b), 0);
    blk_unref(b);
}

/* ---- the model ----------------------------------------------------------- */

typedef struct Model {
    uint8_t *data;
    size_t size, align;                /* align: of requests                  */
    uint64_t seed;
} Model;

static uint32_t rig_random(Model *m)
{
    m->seed ^= m->seed << 13;
    m->seed ^= m->seed >> 7;
    m->seed ^= m->seed << 17;
    return (uint32_t)(m->seed >> 16);
}

static Model model_new(size_t size, uint64_t seed)
{
    return (Model){ .data = g_malloc0(size), .size = size, .align = 1,
                    .seed = seed * 7919 + 88172645463325252u };
}

static void model_pick(Model *m, size_t most, size_t *off, size_t *len)
{
    *off = rig_random(m) % m->size;
    *len = 1 + rig_random(m) % (rig_random(m) % 4 ? 5000 : most);
    if (rig_random(m) % 2) {           /* often around block borders          */
        *off = ALIGN_DOWN(*off, 65536);
        *off -= MIN2(*off, rig_random(m) % 2048);
    }
    *off = ALIGN_DOWN(*off, m->align);
    *len = ALIGN_UP(*len, m->align);
    *len = MIN2(*len, m->size - *off);
}

/* A request of another kind than reading and writing. */
static NO_TSA int rig_req(BlkBackend *b, BlkOp op, uint64_t off, uint64_t len,
                          unsigned flags)
{
    return op == BLK_ZERO ? blk_co_zero(blk_root(b), off, len, flags)
                          : blk_co_discard(blk_root(b), off, len);
}

static NO_TSA void model_check(Model *m, BlkBackend *b)
{
    g_autofree uint8_t *buf = g_malloc(m->size);
    size_t bad = 0;

    CHECK_EQ(blk_length(b), (int64_t)m->size);
    CHECK_EQ(blk_pread(b, 0, buf, m->size), 0);
    while (bad < m->size && buf[bad] == m->data[bad]) {
        bad++;
    }
    if (bad < m->size) {
        tt_fail(__FILE__, __LINE__, "differs at %zu: %02x, not %02x", bad,
                buf[bad], m->data[bad]);
    }
}

/* Random requests, of ours. zero: whether there are BLK_ZERO among them. */
static NO_TSA void model_ops(Model *m, BlkBackend *b, int n, bool zero)
{
    g_autofree uint8_t *buf = g_malloc(512 * 1024);

    for (int i = 0; i < n; i++) {
        unsigned kind = rig_random(m) % 10;
        size_t off, len;

        model_pick(m, 300 * 1024, &off, &len);
        if (kind < 5) {
            memset(buf, (int)(rig_random(m) & 0xff), len);
            for (size_t j = 0; j < len; j += 97) {
                buf[j] = (uint8_t)rig_random(m);
            }
            CHECK_EQ(blk_pwrite(b, off, buf, len, 0), 0);
            memcpy(m->data + off, buf, len);
        } else if (kind < 6 && zero) {
            CHECK_EQ(rig_req(b, BLK_ZERO, off, len,
                             rig_random(m) % 2 ? BLKF_MAY_UNMAP : 0), 0);
            memset(m->data + off, 0, len);
        } else if (kind < 7) {
            CHECK_EQ(blk_flush(b), 0);
        } else {
            CHECK_EQ(blk_pread(b, off, buf, len), 0);
            if (memcmp(buf, m->data + off, len)) {
                tt_fail(__FILE__, __LINE__, "request %d: %zu+%zu differs", i,
                        off, len);
                return;
            }
        }
    }
}

static void model_save(const Model *m, const char *path)
{
    g_file_set_contents(path, (const char *)m->data, (gssize)m->size, NULL);
}

/* Does the peer see the same? opts: of --image-opts. */
static void peer_compare(const Model *m, const char *image, const char *extra)
{
    const char *raw = rig_path("model.raw");

    model_save(m, raw);
    CHECK_EQ(rig_run("timeout 60 qemu-img compare %s --image-opts "
                     "driver=raw,file.filename=%s %s", extra, raw, image), 0);
}

/* Writes of the peer, the same in the model. image: words for qemu-io. */
static void peer_ops(Model *m, int n, const char *image)
{
    GString *s = g_string_new("timeout 60 qemu-io ");

    for (int i = 0; i < n; i++) {
        size_t off, len;
        unsigned pat = rig_random(m) & 0xff;

        model_pick(m, 300 * 1024, &off, &len);
        memset(m->data + off, (int)pat, len);
        g_string_append_printf(s, "-c 'write -P %u %zu %zu' ", pat, off, len);
    }
    g_string_append(s, image);
    CHECK_EQ(rig_run("%s", s->str), 0);
    g_string_free(s, TRUE);
}

/* Patches bytes of a copy of `base`. */
static const char *rig_patch(const char *base, size_t off, const void *bytes,
                             size_t n)
{
    const char *path = rig_path("patched");
    char *data;
    size_t len;

    if (!g_file_get_contents(base, &data, &len, NULL)) {
        abort();
    }
    if (off + n <= len) {
        memcpy(data + off, bytes, n);
    }
    g_file_set_contents(path, data, (gssize)len, NULL);
    g_free(data);
    return path;
}

static const char *rig_patch_be32(const char *base, size_t off, uint32_t v)
{
    uint8_t b[4];

    st_be32(b, v);
    return rig_patch(base, off, b, 4);
}

static const char *rig_patch_le32(const char *base, size_t off, uint32_t v)
{
    uint8_t b[4];

    st_le32(b, v);
    return rig_patch(base, off, b, 4);
}

/* Opening must fail with this text. */
static void rig_refused(const char *fmt, const char *path, const char *opts,
                        const char *want)
{
    BlkBackend *b = rig_open(fmt, path, opts, 0);

    if (b) {
        tt_fail(__FILE__, __LINE__, "opened, should say: %s", want);
        rig_close(b);
    } else if (strcmp(rig_msg, want)) {
        tt_fail(__FILE__, __LINE__, "said: %s, not: %s", rig_msg, want);
    }
}

/* Random bytes in the first `span` of an image: nothing may break, and what
 * opens must answer. */
static NO_TSA void rig_fuzz(const char *fmt, const char *base, const char *opts,
                            size_t span, int rounds)
{
    const char *path = rig_path("fuzzed");
    Model m = { .seed = 12345 };
    char *data;
    size_t len;

    if (!g_file_get_contents(base, &data, &len, NULL)) {
        abort();
    }
    span = MIN2(span, len);
    for (int i = 0; i < rounds; i++) {
        g_autofree char *copy = g_memdup2(data, len);
        uint8_t buf[4096];
        BlkBackend *b;

        for (unsigned k = 1 + rig_random(&m) % 4; k; k--) {
            size_t at = rig_random(&m) % span;

            copy[at] = rig_random(&m) % 3 ? (char)rig_random(&m)
                     : rig_random(&m) % 2 ? (char)0xff : 0;
        }
        g_file_set_contents(path, copy, (gssize)(rig_random(&m) % 8 ? len
                            : rig_random(&m) % len), NULL);
        b = rig_open(fmt, path, opts, BLKO_RDWR);
        if (!b) {
            continue;
        }
        for (int k = 0; k < 4; k++) {
            uint64_t n = (uint64_t)blk_length(b);
            uint64_t off = n > sizeof(buf) ? rig_random(&m) % (n - 4096) : 0;
            size_t part = MIN2(n, sizeof(buf));

            memset(buf, 7, sizeof(buf));
            (void)(k % 2 ? blk_pwrite(b, off, buf, part, 0)
                         : blk_pread(b, off, buf, part));
        }
        blk_unref(b);
    }
    g_free(data);
}

#endif
