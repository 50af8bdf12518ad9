/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * file.c - images in host files and host block devices: opening, size, alignment.
 *
 * Thread class: MACHINE_CALL; requests: file-io.c.
 *
 * Invariants
 * 1. fd is open for writing exactly when the node is not read-only.
 * 2. limits.align is what the host accepts with O_DIRECT, 1 without.
 */
#include <fcntl.h>
#include <glib.h>
#include <linux/cdrom.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "block/file.h"
#include "block/file-create.h"
#include "block/pr.h"
#include "monitor.h"

static const PropEnum aio_enum = {
    .type = "BlockdevAioOptions",
    .names = (const char *const[]){ "threads", "native", "io_uring", NULL },
};

static const Prop file_props[] = {
    PROP_STR("filename", FileNode, path, .flags = PF_REQUIRED,
             .desc = "path of the file"),
    PROP_AUTO("locking", FileNode, locking, OOA_AUTO,
              .desc = "lock the image against other programs"),
    PROP_ENUM("aio", FileNode, aio, &aio_enum, AIO_THREADS,
              .desc = "how requests reach the host"),
    PROP_I64("aio-max-batch", FileNode, aio_max_batch, 0,
             .desc = "most requests of one submission; 0: the loop's"),
    PROP_STR("pr-manager", FileNode, pr_manager,
             .desc = "helper for persistent reservations"),
    PROP_BOOL("drop-cache", FileNode, drop_cache, true,
              .desc = "give cached pages up when a migration has ended"),
    PROP_BOOL("x-check-cache-dropped", FileNode, check_cache, false,
              .desc = "check that they are gone"),
    PROP_END
};

static bool file_open_fd(FileNode *f, Error **errp)
{
    BlkNode *n = &f->node;
    int base = O_CLOEXEC | (n->flags & BLKO_DIRECT ? O_DIRECT : 0), err;
    Error *why = NULL;

    if (!strcmp(n->drv->name, "host_cdrom")) {
        base |= O_NONBLOCK;            /* an empty drive opens too            */
    }
    f->fd = host_open(f->path, base | (n->read_only ? O_RDONLY : O_RDWR), 0,
                      &why);
    if (f->fd < 0 && !n->read_only && n->auto_read_only &&
        (errno == EACCES || errno == EPERM || errno == EROFS)) {
        error_free(why);
        why = NULL;
        f->fd = host_open(f->path, base | O_RDONLY, 0, &why);
        n->read_only = f->fd >= 0;
    }
    if (f->fd >= 0) {
        return true;
    }
    if (why) {
        error_move(errp, why);
        return false;
    }
    err = errno;
    if (err == EISDIR && (n->read_only || n->auto_read_only)) {
        return error_set(errp, "'%s' driver requires '%s' to be a regular file",
                         n->drv->name, f->path);
    }
    error_set_errno(errp, err, "Could not open '%s'", f->path);
    if (err == EINVAL && n->flags & BLKO_DIRECT) {
        error_hint(errp, "The file system may not support O_DIRECT: use "
                   "cache=writeback or cache.direct=off.");
    }
    return false;
}

/* Smallest read that O_DIRECT accepts; a file may refuse even 4096. */
static bool direct_align(FileNode *f, Error **errp)
{
    static const uint32_t sizes[] = { 512, 1024, 2048, 4096, 16384, 65536 };
    void *p = NULL;
    int sector = 0;

    if (!f->regular && !ioctl(f->fd, BLKSSZGET, &sector) && sector >= 512 &&
        IS_POW2(sector)) {
        f->node.limits.align = sector;
        f->node.limits.mem_align = MAX2(sector, 4096);
        return true;
    }
    if (posix_memalign(&p, 65536, 65536)) {
        return error_set(errp, "%s: no memory", f->path);
    }
    f->node.limits.align = 0;
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        /* At 0 an empty file answers 0 to any length that is allowed. */
        if (pread(f->fd, p, sizes[i], 0) >= 0 || errno != EINVAL) {
            f->node.limits.align = sizes[i];
            break;
        }
    }
    free(p);
    f->node.limits.mem_align = 4096;
    if (!f->node.limits.align) {
        return error_set(errp, "Could not find working O_DIRECT alignment for "
                         "'%s'", f->path);
    }
    return true;
}

static bool file_measure(FileNode *f, Error **errp)
{
    struct statfs fs;
    struct stat st;
    int64_t len;

    if (fstat(f->fd, &st)) {
        return error_set_errno(errp, errno, "Could not stat '%s'", f->path);
    }
    f->regular = S_ISREG(st.st_mode);
    if (!strcmp(f->node.drv->name, "file") && !f->regular) {
        return error_set(errp, "'file' driver requires '%s' to be a regular "
                         "file", f->path);
    }
    if (strcmp(f->node.drv->name, "file") && !S_ISBLK(st.st_mode) &&
        !S_ISCHR(st.st_mode)) {
        return error_set(errp, "'%s' driver requires '%s' to be either a "
                         "character or block device", f->node.drv->name,
                         f->path);
    }
    len = f->regular ? st.st_size : lseek(f->fd, 0, SEEK_END);
    f->node.length = len > 0 ? ALIGN_UP((uint64_t)len, 512) : 0;
    f->can_punch = f->can_zero = true;
    f->in_memory = f->regular && !fstatfs(f->fd, &fs) &&
                   fs.f_type == TMPFS_MAGIC;
    return true;
}

static MACHINE_CALL void file_close(BlkNode *n)
{
    FileNode *f = (FileNode *)n;

    file_io_fini(f);
    if (f->fd >= 0) {
        if (g_str_has_prefix(f->path, "/dev/fdset/")) {
            fdset_close(f->fd);
        }
        close(f->fd);
        f->fd = -1;
    }
    pr_manager_put(f->pr);
    f->pr = NULL;
}

static MACHINE_CALL bool file_open(BlkNode *n, Error **errp)
{
    FileNode *f = (FileNode *)n;

    f->fd = -1;
    n->filename = g_strdup(f->path);
    if (f->aio_max_batch < 0) {
        return error_set(errp, "aio-max-batch must be 0 or more");
    }
    if (f->aio == AIO_NATIVE && !(n->flags & BLKO_DIRECT)) {
        return error_set(errp, "aio=native was specified, but it requires "
                         "cache.direct=on, which was not specified.");
    }
    f->pr = f->pr_manager ? pr_manager_get(f->pr_manager, errp) : NULL;
    if ((f->pr_manager && !f->pr) || !file_open_fd(f, errp)) {
        file_close(n);
        return false;
    }
    f->lock_used = f->locking != OOA_OFF && !(n->flags & BLKO_FORCE_SHARE);
    if (file_measure(f, errp) &&
        (!(n->flags & BLKO_DIRECT) || direct_align(f, errp)) &&
        file_io_init(f, errp)) {
        return true;
    }
    file_close(n);
    return false;
}

/* ---- other options ------------------------------------------------------- */

/* Another descriptor of the same file, with the same locks. */
static MACHINE_CALL bool fd_exchange(FileNode *f, int flags, Error **errp)
{
    int old = f->fd, fd = host_open(f->path, flags | O_CLOEXEC, 0, NULL);
    struct stat a, b;

    if (fd < 0) {
        return error_set_errno(errp, errno, "Could not reopen file");
    }
    if (fstat(fd, &a) || fstat(old, &b) || a.st_dev != b.st_dev ||
        a.st_ino != b.st_ino) {
        close(fd);
        return error_set(errp, "Could not reopen file: '%s' is another file "
                         "by now", f->path);
    }
    file_locks_copy(f, fd);
    f->fd = fd;
    if (g_str_has_prefix(f->path, "/dev/fdset/")) {
        fdset_close(old);
    }
    close(old);
    return true;
}

static MACHINE_CALL bool changes_take(FileNode *f, Json *opts, Error **errp)
{
    static const char *const free[] = { "drop-cache", "x-check-cache-dropped" };

    for (size_t i = 0; i < json_count(opts); i++) {
        const char *key = json_key_at(opts, i);
        const Json *v = json_value_at(opts, i);
        const Prop *p = prop_find(file_props, key);
        Json *now = p ? prop_get((Obj *)f, p, NULL) : NULL;
        bool same = now && json_equal(now, v);

        json_free(now);
        if (!p) {
            return error_set(errp, "Parameter '%s' is unexpected", key);
        }
        if (!same && strcmp(key, free[0]) && strcmp(key, free[1])) {
            return error_set(errp, "Cannot change the option '%s'", key);
        }
        if (!same && !prop_set((Obj *)f, p, v, false, "file", errp)) {
            return false;
        }
    }
    return true;
}

static MACHINE_CALL bool file_reopen(BlkNode *n, Json *opts, unsigned flags,
                                     Error **errp)
{
    FileNode *f = (FileNode *)n;
    int now = fcntl(f->fd, F_GETFL), want;

    if (opts && !changes_take(f, opts, errp)) {
        return false;
    }
    if (f->aio == AIO_NATIVE && !(flags & BLKO_DIRECT)) {
        return error_set(errp, "aio=native was specified, but it requires "
                         "cache.direct=on, which was not specified.");
    }
    want = (flags & BLKO_RDWR ? O_RDWR : O_RDONLY) |
           (flags & BLKO_DIRECT ? O_DIRECT : 0);
    if (((now & O_ACCMODE) | (now & O_DIRECT)) == want) {
        return true;
    }
    if (!fd_exchange(f, want, errp)) {
        return false;
    }
    n->limits.align = n->limits.mem_align = 1;
    return !(flags & BLKO_DIRECT) || direct_align(f, errp);
}

static MACHINE_CALL bool file_set_perm(BlkNode *n, uint64_t perm,
                                       uint64_t shared, Error **errp)
{
    return file_locks_set((FileNode *)n, perm, shared, errp);
}

static int64_t file_allocated(BlkNode *n)
{
    struct stat st;

    return fstat(((FileNode *)n)->fd, &st) ? -errno : (int64_t)st.st_blocks * 512;
}

static Json *file_counts(BlkNode *n)
{
    const FileNode *f = (const FileNode *)n;
    Json *v;

    if (!strcmp(n->drv->name, "host_cdrom")) {
        return NULL;
    }
    v = json_obj();
    json_set(v, "discard-nb-ok",
             json_uint(__atomic_load_n(&f->discards, __ATOMIC_RELAXED)));
    json_set(v, "discard-nb-failed",
             json_uint(__atomic_load_n(&f->discard_failed, __ATOMIC_RELAXED)));
    json_set(v, "discard-bytes-ok",
             json_uint(__atomic_load_n(&f->discard_bytes, __ATOMIC_RELAXED)));
    return v;
}

static void file_info(BlkNode *n, BlkNodeInfo *i)
{
}

/* A drive may be empty, and its medium may go at any time. */
static bool cdrom_loaded(const BlkNode *n)
{
    return ioctl(((const FileNode *)n)->fd, CDROM_DRIVE_STATUS,
                 CDSL_CURRENT) == CDS_DISC_OK;
}

static void cdrom_submit(BlkNode *n, BlkReq *req)
{
    if (cdrom_loaded(n)) {
        file_submit(n, req);
    } else {
        blk_complete(req, -ENOMEDIUM);
    }
}

static int cdrom_sync(BlkNode *n, BlkReq *req)
{
    return cdrom_loaded(n) ? file_sync(n, req) : -ENOMEDIUM;
}

#define FILE_DRIVER(sym, nm, pre, on_submit, on_sync, ...) \
BLK_DRIVER(sym, { \
    .name = nm, .size = sizeof(FileNode), .props = file_props, \
    .protocol = true, .prefix = pre, .open = file_open, .close = file_close, \
    .reopen = file_reopen, \
    .submit = on_submit, .sync = on_sync, .lend = file_lend, \
    .copy_range = file_copy_range, .plug = file_plug, \
    .unplug = file_unplug, \
    .set_perm = file_set_perm, .set_loop = file_set_loop, \
    .truncate = file_truncate, .allocated = file_allocated, \
    .extent = file_extent, .counts = file_counts, .info = file_info, __VA_ARGS__ \
})

FILE_DRIVER(file_driver, "file", "file:", file_submit, file_sync,
            .desc = "a regular file",
            .create = file_create, .create_props = file_create_props,
            .create_size = sizeof(FileCreate),
            .doc = "Data in a file of the host. aio=threads works everywhere; "
                   "aio=native needs cache.direct=on; aio=io_uring needs a "
                   "kernel that allows it.");
FILE_DRIVER(host_device_driver, "host_device", "host_device:", file_submit,
            file_sync,
            .desc = "a block or character device of the host",
            .doc = "Data on a device of the host.");
FILE_DRIVER(host_cdrom_driver, "host_cdrom", "host_cdrom:", cdrom_submit,
            cdrom_sync,
            .desc = "a CD-ROM drive of the host",
            .doc = "Data on a disc in a drive of the host.");
