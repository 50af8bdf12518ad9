/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * file-size.c - the size of host files: making them, growing and shrinking, space
 * taken beforehand, and which parts are holes.
 *
 * Thread class: MACHINE_CALL; file_extent, file_lend LOOP_CALL(node's loop).
 *
 * Invariants
 * 1. A file that could not be given its new length keeps its old one.
 * 2. What an extent calls a hole the host said was one; without an answer all is
 *    data.
 */
#include <fcntl.h>
#include <glib.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include "block/file.h"
#include "block/file-create.h"

const PropEnum blk_prealloc_enum = {
    .type = "PreallocMode",
    .names = (const char *const[]){ "off", "metadata", "falloc", "full", NULL },
};

/* ---- space --------------------------------------------------------------- */

/* Writes zeroes to [from, to). */
static int fill(int fd, uint64_t from, uint64_t to)
{
    size_t part = MIN2(to - from, 1 * MiB);
    g_autofree char *zeroes = g_malloc0(part);
    int ret = 0;

    while (from < to && !ret) {
        ssize_t r = pwrite(fd, zeroes, MIN2(part, to - from), (off_t)from);

        if (r < 0 && errno != EINTR) {
            ret = -errno;
        }
        from += r > 0 ? (uint64_t)r : 0;
    }
    return ret ? ret : fsync(fd) ? -errno : 0;
}

static int allocate(int fd, uint64_t from, uint64_t to)
{
    int r = from < to ? posix_fallocate(fd, (off_t)from, (off_t)(to - from)) : 0;

    return -r;
}

/* Gives the file the length, with the space of what is new (invariant 1). 0 or
 * -errno. */
static int resize(int fd, const char *path, uint64_t len, BlkPrealloc prealloc,
                  Error **errp)
{
    struct stat st;
    uint64_t old;
    int ret = 0;

    if (fstat(fd, &st)) {
        ret = -errno;
        error_set_errno(errp, -ret, "Could not stat '%s'", path);
        return ret;
    }
    old = (uint64_t)st.st_size;
    if (prealloc != PREALLOC_OFF && len < old) {
        error_set(errp, "Preallocation can't be used for shrinking files");
        return -ENOTSUP;
    }
    switch (prealloc) {
    case PREALLOC_FALLOC:
        ret = allocate(fd, old, len);
        if (ret < 0) {
            error_set_errno(errp, -ret, "Could not preallocate data for the "
                            "new area");
        }
        break;
    case PREALLOC_FULL:
        ret = fill(fd, old, len);
        if (ret < 0) {
            error_set_errno(errp, -ret, "Could not write zeros for "
                            "preallocation");
        }
        break;
    case PREALLOC_OFF:
        ret = ftruncate(fd, (off_t)len) ? -errno : 0;
        if (ret < 0) {
            error_set_errno(errp, -ret, "Could not resize file");
        }
        break;
    default:
        error_set(errp, "Unsupported preallocation mode: %s",
                  blk_prealloc_enum.names[prealloc]);
        return -ENOTSUP;
    }
    if (ret < 0 && ftruncate(fd, (off_t)old)) {
        error_hint(errp, "The file '%s' keeps a part of the new length.", path);
    }
    return ret;
}

static bool device_resize(FileNode *f, uint64_t len, BlkPrealloc prealloc,
                          bool exact, Error **errp)
{
    off_t now = lseek(f->fd, 0, SEEK_END);

    if (prealloc != PREALLOC_OFF) {
        return error_set(errp, "Preallocation mode '%s' unsupported for this "
                         "non-regular file", blk_prealloc_enum.names[prealloc]);
    }
    if (now < 0) {
        return error_set_errno(errp, errno, "Could not get the size of '%s'",
                               f->path);
    }
    if ((uint64_t)now != len && exact) {
        return error_set(errp, "Cannot resize device files");
    }
    if (len > (uint64_t)now) {
        return error_set(errp, "Cannot grow device files");
    }
    f->node.length = ALIGN_DOWN((uint64_t)now, 512);
    return true;
}

bool file_truncate(BlkNode *n, uint64_t len, BlkPrealloc prealloc, bool exact,
                   Error **errp)
{
    FileNode *f = (FileNode *)n;

    if (!f->regular) {
        return device_resize(f, len, prealloc, exact, errp);
    }
    if (resize(f->fd, f->path, len, prealloc, errp) < 0) {
        return false;
    }
    n->length = ALIGN_UP(len, 512);
    return true;
}

/* ---- holes --------------------------------------------------------------- */

int file_extent(BlkNode *n, uint64_t off, uint64_t len, BlkExtent *x)
{
    FileNode *f = (FileNode *)n;
    off_t data, hole;

    x->flags = BLKX_DATA | BLKX_OFFSET | BLKX_ALLOCATED;
    if (!f->regular) {
        return 0;
    }
    data = lseek(f->fd, (off_t)off, SEEK_DATA);
    if (data < 0 && errno != ENXIO) {
        return 0;                      /* invariant 2                         */
    }
    if (data < 0 || (uint64_t)data > off) {
        /* A hole, to the next data or to the end. */
        x->flags = BLKX_ZERO | BLKX_OFFSET | BLKX_ALLOCATED;
        x->len = data < 0 ? len : MIN2(len, (uint64_t)data - off);
        return 0;
    }
    hole = lseek(f->fd, (off_t)off, SEEK_HOLE);
    if (hole > (off_t)off) {
        x->len = MIN2(len, (uint64_t)hole - off);
    }
    return 0;
}

/* ---- making files -------------------------------------------------------- */

const Prop file_create_props[] = {
    PROP_SIZE("size", FileCreate, head.size, 0, .flags = PF_NO_DEFAULT,
              .desc = "Virtual disk size"),
    PROP_BOOL("nocow", FileCreate, nocow, false, .flags = PF_NO_DEFAULT,
              .desc = "Turn off copy-on-write (valid only on btrfs)"),
    PROP_ENUM("preallocation", FileCreate, prealloc, &blk_prealloc_enum,
              PREALLOC_OFF, .flags = PF_NO_DEFAULT, .type = "str",
              .desc = "Preallocation mode (allowed values: off, falloc, full)"),
    PROP_SIZE("extent_size_hint", FileCreate, extent_hint, 1 * MiB,
              .max = UINT32_MAX, .flags = PF_NO_DEFAULT,
              .desc = "Extent size hint for the image file, 0 to disable"),
    PROP_END
};

/* Both are favours that few file systems do. */
static void favours_ask(const FileCreate *c, int fd)
{
    struct fsxattr x;
    int attr;

    if (c->nocow && ioctl(fd, FS_IOC_GETFLAGS, &attr) == 0) {
        attr |= FS_NOCOW_FL;
        ioctl(fd, FS_IOC_SETFLAGS, &attr);
    }
    if (c->extent_hint && ioctl(fd, FS_IOC_FSGETXATTR, &x) == 0) {
        x.fsx_xflags |= FS_XFLAG_EXTSIZE;
        x.fsx_extsize = (uint32_t)c->extent_hint;
        ioctl(fd, FS_IOC_FSSETXATTR, &x);
    }
}

static MACHINE_CALL bool create_locked(FileCreate *c, int fd,
                                       const char *path, Error **errp)
{
    FileNode own = { .path = (char *)(uintptr_t)path, .fd = fd,
                     .lock_used = true };
    int ret;

    /* Nobody may be using what is about to be emptied. */
    if (!file_locks_set(&own, BLKP_WRITE | BLKP_RESIZE,
                        BLKP_ALL & ~BLKP_RESIZE, errp)) {
        return false;
    }
    if (ftruncate(fd, 0)) {
        return error_set_errno(errp, errno, "Could not clear file");
    }
    favours_ask(c, fd);
    ret = resize(fd, path, ALIGN_UP(c->head.size, 512),
                 (BlkPrealloc)c->prealloc, errp);
    c->head.too_large = ret == -EFBIG;
    return ret >= 0;
}

bool file_create(BlkCreate *head, Error **errp)
{
    FileCreate *c = container_of(head, FileCreate, head);
    const char *path = head->filename;
    bool fresh, ok;
    int fd;

    if (head->size > INT64_MAX - 511) {
        return error_set(errp, "Image size must be less than 8 EiB!");
    }
    if (c->prealloc == PREALLOC_METADATA) {
        return error_set(errp, "Unsupported preallocation mode: metadata");
    }
    if (g_str_has_prefix(path, "file:")) {
        path += 5;
    }
    fresh = access(path, F_OK) != 0;
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) {
        return error_set_errno(errp, errno, "Could not create '%s'", path);
    }
    ok = create_locked(c, fd, path, errp);
    if (!ok && fresh) {
        unlink(path);
    }
    close(fd);
    return ok;
}

/* ---- what is in the page cache ------------------------------------------- */

#ifndef __NR_cachestat
#define __NR_cachestat 451             /* Linux 6.5, the same everywhere      */
#endif

int file_lend(BlkNode *n, uint64_t off, uint64_t len, uint64_t *at,
              bool now)
{
    const FileNode *f = (const FileNode *)n;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), stat[5];
    uint64_t first = ALIGN_DOWN(off, page), end = ALIGN_UP(off + len, page);
    uint64_t range[2] = { first, end - first };
    char byte;
    struct iovec iov = { &byte, 1 };

    if (!f->regular || n->flags & BLKO_DIRECT) {
        return -1;
    }
    /* All pages, and the last of them read already. */
    if (!f->in_memory &&
        (syscall(__NR_cachestat, f->fd, range, stat, 0) < 0 ||
         stat[0] < (end - first) / page ||
         preadv2(f->fd, &iov, 1, (off_t)(off + len - 1), RWF_NOWAIT) != 1)) {
        return -1;
    }
    *at = off;
    return f->fd;
}

/* ---- copies by the host -------------------------------------------------- */

typedef struct CopyRange {
    int from, to;
    off_t in, out;
    uint64_t len;
} CopyRange;

static int64_t copy_run(void *arg)
{
    CopyRange *c = arg;

    while (c->len) {
        ssize_t n = copy_file_range(c->from, &c->in, c->to, &c->out,
                                    MIN2(c->len, 64 * MiB), 0);

        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        if (n == 0) {
            return -ENOTSUP;           /* the source is shorter               */
        }
        c->len -= n > 0 ? (uint64_t)n : 0;
    }
    return 0;
}

int file_copy_range(BlkNode *from, uint64_t from_off, BlkNode *to,
                    uint64_t to_off, uint64_t len)
{
    const FileNode *a = (const FileNode *)from, *b = (const FileNode *)to;
    CopyRange c = { a->fd, b->fd, (off_t)from_off, (off_t)to_off, len };

    if (!a->regular || !b->regular ||
        (from->flags | to->flags) & BLKO_DIRECT) {
        return -ENOTSUP;
    }
    return (int)(co_self() ? pool_co_run(copy_run, &c) : copy_run(&c));
}
