/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * backend.c - memory-backend-ram, -file and -memfd: RAM as objects of the user
 * (mmap(2), memfd_create(2), fcntl(2) seals).
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. A complete backend has a block and a region over it; an incomplete one has
 *    neither, and no file that it made.
 * 2. A busy backend has one user and cannot be deleted.
 */
#include <assert.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "backend.h"
#include "mem-opts.h"

static MemBackend *backend_of(Obj *o)
{
    return container_of(o, MemBackend, obj);
}

bool mem_is_backend(const Obj *o)
{
    const UserType *t = user_obj_type(o);

    return t && t->base_props == backend_props;
}

/* ---- what all kinds share ------------------------------------------------ */

/* The block's flags but for preallocation, which follows NUMA binding. */
static uint32_t block_flags(const MemBackend *b)
{
    return (backend_flag(b, BF_SHARE) ? RAM_SHARED : 0) |
           (backend_flag(b, BF_MERGE) ? RAM_MERGE : 0) |
           (backend_flag(b, BF_DUMP) ? RAM_DUMP : 0) |
           (backend_flag(b, BF_RESERVE) ? 0 : RAM_NORESERVE) |
           (backend_flag(b, BF_READONLY) ? RAM_READONLY : 0) |
           (backend_flag(b, BF_PMEM) ? RAM_PMEM : 0);
}

/* Takes fd over. */
static bool make_block(MemBackend *b, int fd, Error **errp) MACHINE_CALL;
static bool make_block(MemBackend *b, int fd, Error **errp)
{
    RamSpec spec = {
        .used = b->size, .align = b->align, .fd = fd,
        .flags = block_flags(b),
    };
    char *path = NULL;

    spec.id = backend_flag(b, BF_CANONICAL) ? (path = obj_path(&b->obj))
                                            : b->obj.name;
    b->rb = ram_make(&spec, errp);
    g_free(path);
    return b->rb != NULL;
}

static pid_t context_thread(const MemBackend *b) MACHINE_CALL;
static pid_t context_thread(const MemBackend *b)
{
    Json *v = b->context ? obj_get(b->context, "thread-id", NULL) : NULL;
    pid_t tid = v && json_kind(v) == JSON_INT ? json_int_of(v) : 0;

    json_free(v);
    return tid;
}

bool backend_prealloc(MemBackend *b, Error **errp)
{
    return ram_prealloc(b->rb, b->threads, context_thread(b), errp);
}

static bool check_policy(const MemBackend *b, Error **errp)
{
    if (b->policy == POLICY_DEFAULT && backend_has_nodes(b)) {
        return error_set(errp, "host-nodes must be empty for policy default, "
                         "or you should explicitly specify a policy other than "
                         "default");
    }
    if (b->policy != POLICY_DEFAULT && !backend_has_nodes(b)) {
        return error_set(errp, "host-nodes must be set for policy %s",
                         backend_policy_names[b->policy]);
    }
    return true;
}

/* Binding comes before any page is there, preallocation after. */
static bool settle(MemBackend *b, Error **errp) MACHINE_CALL;
static bool settle(MemBackend *b, Error **errp)
{
    bool bind = b->policy != POLICY_DEFAULT;

    if (bind && !ram_bind(b->rb, b->policy, b->nodes, NODE_WORDS, errp)) {
        return false;
    }
    return !backend_flag(b, BF_PREALLOC) || backend_prealloc(b, errp);
}

static bool backend_complete(MemBackend *b,
                             bool (*make)(MemBackend *b, Error **errp),
                             Error **errp) MACHINE_CALL;
static bool backend_complete(MemBackend *b,
                             bool (*make)(MemBackend *b, Error **errp),
                             Error **errp)
{
    if (backend_flag(b, BF_PREALLOC) && !backend_flag(b, BF_RESERVE)) {
        return error_set(errp, "'prealloc=on' and 'reserve=off' are "
                         "incompatible");
    }
    if (!check_policy(b, errp) || !make(b, errp)) {
        return false;
    }
    if (!settle(b, errp)) {
        ram_free(b->rb);
        b->rb = NULL;
        return false;
    }
    b->label = g_strdup(b->obj.name);
    mem_init_block(&b->mr, b->label, b->rb);
    obj_add(&b->obj, "mem[*]", &b->mr.obj);
    return true;
}

static void backend_finish(Obj *o) MACHINE_CALL;
static void backend_finish(Obj *o)
{
    MemBackend *b = backend_of(o);

    mem_fini(&b->mr);
    if (backend_flag(b, BF_DISCARD)) {
        madvise(b->rb->host, b->rb->max, MADV_REMOVE);
    }
    ram_free(b->rb);
    g_free(b->label);
}

static bool backend_can_delete(Obj *o, Error **errp)
{
    return !backend_of(o)->busy ||
           error_set(errp, "object '%s' is in use, can not be deleted",
                     o->name);
}

/* ---- memory-backend-ram -------------------------------------------------- */

static bool make_ram(MemBackend *b, Error **errp) MACHINE_CALL;
static bool make_ram(MemBackend *b, Error **errp)
{
    return make_block(b, -1, errp);
}

static bool ram_complete(Obj *o, Error **errp) MACHINE_CALL;
static bool ram_complete(Obj *o, Error **errp)
{
    return backend_complete(backend_of(o), make_ram, errp);
}

/* ---- memory-backend-file ------------------------------------------------- */

static int open_in_folder(const MemBackend *b)
{
    char *name = g_strdup_printf("%s/tern-mem.%s.XXXXXX", b->path,
                                 b->obj.name);
    int fd = mkostemp(name, O_CLOEXEC);

    /* It lives as long as the mapping. */
    if (fd >= 0) {
        unlink(name);
    }
    g_free(name);
    return fd;
}

static int open_file(const MemBackend *b, bool *created)
{
    bool readonly = backend_flag(b, BF_READONLY);
    int fd;

    *created = false;
    /* Twice: another process may make or remove the file meanwhile. */
    for (int i = 0; i < 2; i++) {
        fd = open(b->path, (readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC);
        if (fd >= 0 || readonly) {
            break;
        }
        if (errno == EISDIR) {
            return open_in_folder(b);
        }
        if (errno != ENOENT) {
            return -1;
        }
        fd = open(b->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (fd >= 0) {
            *created = true;
            break;
        }
        if (errno != EEXIST) {
            return -1;
        }
    }
    return fd;
}

static bool check_align(const MemBackend *b, int fd, Error **errp)
{
    uint64_t page = ram_fd_page_size(fd);

    if (b->align % page) {
        return error_set(errp, "alignment 0x%" PRIx64 " must be multiples of "
                         "page size 0x%" PRIx64, b->align, page);
    }
    if (b->align && !IS_POW2(b->align)) {
        return error_set(errp, "alignment 0x%" PRIx64 " must be a power of two",
                         b->align);
    }
    return true;
}

/* The file holds the whole block: beyond its end there are only signals. */
static bool check_file_size(const MemBackend *b, int fd, Error **errp)
{
    uint64_t page = ram_fd_page_size(fd), need = ALIGN_UP(b->size, page);
    struct stat st;

    if (fstat(fd, &st) < 0) {
        return error_set_errno(errp, errno, "can't read the size of %s",
                               b->path);
    }
    if (!S_ISREG(st.st_mode)) {
        return true;
    }
    if (st.st_size > 0 && (uint64_t)st.st_size < b->size) {
        return error_set(errp, "backing store size 0x%" PRIx64
                         " does not match 'size' option 0x%" PRIx64,
                         (uint64_t)st.st_size, b->size);
    }
    if ((uint64_t)st.st_size >= need) {
        return true;
    }
    if (backend_flag(b, BF_READONLY)) {
        return error_set(errp, "backing store size 0x%" PRIx64
                         " does not match 'size' option 0x%" PRIx64,
                         (uint64_t)st.st_size, b->size);
    }
    return ftruncate(fd, need) == 0 ||
           error_set_errno(errp, errno, "can't make %s 0x%" PRIx64
                           " bytes long", b->path, need);
}

static bool make_file(MemBackend *b, Error **errp) MACHINE_CALL;
static bool make_file(MemBackend *b, Error **errp)
{
    bool created, ok;
    int fd;

    if (b->size >= 1ull << 62) {
        return error_set_errno(errp, ENOMEM,
                               "unable to map backing store for guest RAM");
    }
    fd = open_file(b, &created);
    if (fd < 0) {
        return error_set_errno(errp, errno, "can't open backing store %s for "
                               "guest RAM", b->path);
    }
    ok = check_align(b, fd, errp) && check_file_size(b, fd, errp);
    if (!ok) {
        close(fd);
    } else {
        ok = make_block(b, fd, errp);
    }
    if (!ok && created) {
        unlink(b->path);
    }
    return ok;
}

static bool file_complete(Obj *o, Error **errp) MACHINE_CALL;
static bool file_complete(Obj *o, Error **errp)
{
    if (!*backend_of(o)->path) {
        return error_set(errp, "mem-path property not set");
    }
    return backend_complete(backend_of(o), make_file, errp);
}

/* ---- memory-backend-memfd ------------------------------------------------ */

static bool make_memfd(MemBackend *b, Error **errp) MACHINE_CALL;
static bool make_memfd(MemBackend *b, Error **errp)
{
    unsigned flags = MFD_CLOEXEC;
    uint64_t page;
    int fd;

    if (b->huge_size && !IS_POW2(b->huge_size)) {
        return error_set(errp, "Hugepage size must be a power of 2");
    }
    if (b->size >= 1ull << 62) {
        return error_set_errno(errp, ENOMEM,
                               "unable to map backing store for guest RAM");
    }
    if (backend_flag(b, BF_SEAL)) {
        flags |= MFD_ALLOW_SEALING;
    }
    if (backend_flag(b, BF_HUGETLB)) {
        flags |= MFD_HUGETLB;
        if (b->huge_size) {
            flags |= (unsigned)__builtin_ctzll(b->huge_size) << MFD_HUGE_SHIFT;
        }
    }
    fd = memfd_create("memory-backend-memfd", flags);
    if (fd < 0) {
        return error_set_errno(errp, errno, "failed to create memfd with flags "
                               "0x%x", flags);
    }
    page = sysconf(_SC_PAGESIZE);
    if (ftruncate(fd, ALIGN_UP(b->size, page)) < 0) {
        error_set_errno(errp, errno, "failed to resize memfd to %" PRIu64,
                        b->size);
        close(fd);
        return false;
    }
    if (backend_flag(b, BF_SEAL) &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0) {
        error_set_errno(errp, errno, "failed to add seals to memfd");
        close(fd);
        return false;
    }
    return make_block(b, fd, errp);
}

static bool memfd_complete(Obj *o, Error **errp) MACHINE_CALL;
static bool memfd_complete(Obj *o, Error **errp)
{
    return backend_complete(backend_of(o), make_memfd, errp);
}

/* ---- use ----------------------------------------------------------------- */

RamBlock *mem_backend_ram(Obj *o)
{
    return mem_is_backend(o) ? backend_of(o)->rb : NULL;
}

MemRegion *mem_backend_region(Obj *o)
{
    return mem_is_backend(o) ? &backend_of(o)->mr : NULL;
}

bool mem_backend_claim(Obj *o, Error **errp)
{
    if (backend_of(o)->busy) {
        return error_set(errp, "can't use already busy memdev: %s", o->name);
    }
    backend_of(o)->busy = true;
    return true;
}

void mem_backend_release(Obj *o)
{
    backend_of(o)->busy = false;
}

static void *memdev_claim(Obj *owner, const char *prop, const char *id,
                          Error **errp)
{
    Obj *o;

    machine_assert_locked();
    o = *id == '/' ? obj_resolve(id, NULL) : user_obj_find(id);
    if (!o) {
        error_set_class(errp, ERROR_DEVICE_NOT_FOUND, "Device '%s' not found",
                        id);
        return NULL;
    }
    if (!mem_is_backend(o)) {
        error_set(errp, "Invalid parameter type for '%s', expected: "
                  "memory-backend", prop);
        return NULL;
    }
    return mem_backend_claim(o, errp) ? o : NULL;
}

static void memdev_release(Obj *owner, void *target)
{
    machine_assert_locked();
    mem_backend_release(target);
}

static const char *memdev_id(const void *target)
{
    return ((const Obj *)target)->name;
}

const PropRef prop_ref_memdev = {
    .type = "link<memory-backend>",
    .claim = memdev_claim, .release = memdev_release, .id = memdev_id,
};

TYPE_NAME(memory_backend_type, {
    .name = "memory-backend", .parent = "object", .abstract = true,
});

USER_TYPE(memory_backend_ram, {
    .name = "memory-backend-ram", .parent = "memory-backend",
    .desc = "RAM from anonymous memory",
    .doc = "Guest RAM from anonymous host memory.",
    .size = sizeof(MemBackend), .base_props = backend_props,
    .complete = ram_complete, .can_delete = backend_can_delete,
    .finish = backend_finish,
});

USER_TYPE(memory_backend_file, {
    .name = "memory-backend-file", .parent = "memory-backend",
    .desc = "RAM from a file",
    .doc = "Guest RAM that is a file: on hugetlbfs, persistent memory, or to "
           "be shared. A folder as mem-path gives a nameless file in it.",
    .size = sizeof(MemBackend), .base_props = backend_props,
    .props = backend_file_props,
    .complete = file_complete, .can_delete = backend_can_delete,
    .finish = backend_finish,
});

USER_TYPE(memory_backend_memfd, {
    .name = "memory-backend-memfd", .parent = "memory-backend",
    .desc = "RAM from a memfd",
    .doc = "Guest RAM from a nameless file in memory that other processes can "
           "be given, sealed against changes of its size.",
    .size = sizeof(MemBackend), .base_props = backend_props,
    .props = backend_memfd_props,
    .complete = memfd_complete, .can_delete = backend_can_delete,
    .finish = backend_finish,
});
