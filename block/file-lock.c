/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * file-lock.c - image locks that every program which follows the same convention
 * honours: open-file-description locks on single bytes of the file. A held
 * permission p is a read lock on byte 100 + p, one that is not shared a read lock
 * on byte 200 + p; a conflict is seen by asking for the opposite byte.
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. After a refusal the locks are those that were held before.
 */
#include <dirent.h>
#include <fcntl.h>
#include <glib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "block/file.h"

#define PERM_BASE 100
#define SHARED_BASE 200
#define PERMS 4

static bool byte_lock(int fd, int type, off_t at)
{
    struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = at,
                       .l_len = 1 };

    return fcntl(fd, F_OFD_SETLK, &l) == 0;
}

/* Does someone else hold a lock on the byte? */
static bool byte_taken(int fd, off_t at)
{
    struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = at,
                       .l_len = 1 };

    return fcntl(fd, F_OFD_GETLK, &l) != 0 || l.l_type != F_UNLCK;
}

/* ---- who has it ---------------------------------------------------------- */

static bool fdinfo_has(const char *path, uint64_t inode, off_t at)
{
    char line[256];
    FILE *f = fopen(path, "re");
    bool hit = false;

    while (f && !hit && fgets(line, sizeof(line), f)) {
        uint64_t ino;
        long first, last;

        hit = sscanf(line, "lock: %*d: OFDLCK %*s %*s %*d %*x:%*x:%" SCNu64
                     " %ld %ld", &ino, &first, &last) == 3 &&
              ino == inode && first <= at && at <= last;
    }
    if (f) {
        fclose(f);
    }
    return hit;
}

static pid_t holder_in(const char *pid, uint64_t inode, off_t at)
{
    g_autofree char *dir = g_strdup_printf("/proc/%s/fdinfo", pid);
    DIR *d = opendir(dir);
    struct dirent *e;
    pid_t found = 0;

    while (d && !found && (e = readdir(d))) {
        g_autofree char *path = g_strdup_printf("%s/%s", dir, e->d_name);

        if (e->d_name[0] != '.' && fdinfo_has(path, inode, at)) {
            found = atoi(pid);
        }
    }
    if (d) {
        closedir(d);
    }
    return found;
}

static pid_t holder_find(int fd, off_t at)
{
    DIR *d = opendir("/proc");
    struct dirent *e;
    struct stat st;
    pid_t found = 0;

    if (d && fstat(fd, &st) == 0) {
        while (!found && (e = readdir(d))) {
            if (g_ascii_isdigit(e->d_name[0]) && atoi(e->d_name) != getpid()) {
                found = holder_in(e->d_name, st.st_ino, at);
            }
        }
    }
    if (d) {
        closedir(d);
    }
    return found;
}

static bool refuse(FileNode *f, bool shared, unsigned bit, off_t at,
                   Error **errp)
{
    pid_t pid = holder_find(f->fd, at);

    error_set(errp, "Failed to get %s\"%s\" lock", shared ? "shared " : "",
              blk_perm_name(1ull << bit));
    error_hint(errp, "Is another process using the image [%s]?", f->path);
    if (pid) {
        error_hint(errp, "Process %d has it: end that one, or open the image "
                   "read-only with force-share=on.", pid);
    }
    return false;
}

/* ---- setting ------------------------------------------------------------- */

static void locks_drop(FileNode *f, uint64_t which)
{
    for (unsigned i = 0; i < PERMS; i++) {
        if (which >> i & 1) {
            byte_lock(f->fd, F_UNLCK, PERM_BASE + i);
        }
        if (which >> (8 + i) & 1) {
            byte_lock(f->fd, F_UNLCK, SHARED_BASE + i);
        }
    }
}

static bool locks_take(FileNode *f, uint64_t which, uint64_t *got, Error **errp)
{
    for (unsigned i = 0; i < PERMS; i++) {
        for (unsigned shared = 0; shared < 2; shared++) {
            off_t at = (shared ? SHARED_BASE : PERM_BASE) + i;
            uint64_t bit = 1ull << (8 * shared + i);

            if (!(which & bit)) {
                continue;
            }
            if (!byte_lock(f->fd, F_RDLCK, at)) {
                return refuse(f, shared, i, at, errp);
            }
            *got |= bit;
        }
    }
    return true;
}

static bool locks_check(FileNode *f, uint64_t want, Error **errp)
{
    for (unsigned i = 0; i < PERMS; i++) {
        if (want >> i & 1 && byte_taken(f->fd, SHARED_BASE + i)) {
            return refuse(f, false, i, SHARED_BASE + i, errp);
        }
        if (want >> (8 + i) & 1 && byte_taken(f->fd, PERM_BASE + i)) {
            return refuse(f, true, i, PERM_BASE + i, errp);
        }
    }
    return true;
}

void file_locks_copy(const FileNode *f, int fd)
{
    for (unsigned i = 0; i < 8 + PERMS; i++) {
        if (f->locks >> i & 1) {
            byte_lock(fd, F_RDLCK, i < 8 ? PERM_BASE + i : SHARED_BASE + i - 8);
        }
    }
}

bool file_locks_set(FileNode *f, uint64_t perm, uint64_t shared, Error **errp)
{
    uint64_t want = perm | (~shared & BLKP_ALL) << 8, got = 0;

    if (!f->lock_used) {
        return true;
    }
    if (!locks_take(f, want & ~f->locks, &got, errp) ||
        !locks_check(f, want, errp)) {
        locks_drop(f, got);
        return false;
    }
    locks_drop(f, f->locks & ~want);
    f->locks = want;
    return true;
}
