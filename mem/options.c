/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * options.c - -m, -overcommit and main memory, as the command line gives them.
 *
 * Thread class: machine lock where objects are made; the parsers ANY_THREAD.
 */
#include <glib.h>
#include <sys/mman.h>
#include "mem-impl.h"
#include "mem-opts.h"
#include "opt.h"

/* Guests' firmware and kernels count in these. */
#define SIZE_STEP 8192u

/* Calls set for each `key=value`; a key that it does not take is an error. */
static bool each_option(const char *arg, const char *implied, unsigned flags,
                        bool (*set)(void *to, const char *key,
                                    const char *value, bool *known,
                                    Error **errp),
                        void *to, Error **errp)
{
    Opts o;
    bool ok = opts_parse(&o, arg, implied, OPT_FLAT | OPT_PLAIN | flags,
                         errp);

    if (!ok) {
        return false;
    }
    for (size_t i = 0; ok && i < json_count(o.obj); i++) {
        const char *key = json_key_at(o.obj, i);
        const Json *v = json_value_at(o.obj, i);
        bool known = true;

        if (json_kind(v) != JSON_STR) {
            ok = error_set(errp, "Invalid parameter type for '%s', expected: "
                           "string", key);
            break;
        }
        ok = set(to, key, json_str_of(v), &known, errp);
        if (!known) {
            ok = error_set(errp, "Invalid parameter '%s'", key);
        }
    }
    opts_free(&o);
    return ok;
}

/* ---- -m ------------------------------------------------------------------ */

typedef struct Sizes {
    uint64_t *size, *slots, *maxmem;
} Sizes;

static bool set_size(void *to, const char *key, const char *value, bool *known,
                     Error **errp)
{
    Sizes *s = to;

    if (strcmp(key, "size") == 0) {
        if (!opt_size(key, value, MiB, s->size, errp)) {
            return false;
        }
        if (*s->size > UINT64_MAX - SIZE_STEP) {
            return error_set(errp, "ram size too large");
        }
        *s->size = ALIGN_UP(*s->size, SIZE_STEP);
        return true;
    }
    if (strcmp(key, "maxmem") == 0) {
        return opt_size(key, value, 1, s->maxmem, errp);
    }
    if (strcmp(key, "slots") == 0) {
        return opt_u64(key, value, s->slots, errp);
    }
    *known = false;
    return true;
}

bool mem_parse_m(const char *arg, uint64_t *size, uint64_t *slots,
                 uint64_t *maxmem, Error **errp)
{
    Sizes s = { size, slots, maxmem };

    return each_option(arg, "size", 0, set_size, &s, errp);
}

bool mem_check_sizes(uint64_t size, uint64_t slots, uint64_t *maxmem,
                     Error **errp)
{
    if (!*maxmem) {
        if (slots) {
            error_set(errp, "slots specified but no max-size");
            error_hint(errp, "Give -m %" PRIu64 "M,slots=%" PRIu64
                       ",maxmem=SIZE.", (uint64_t)(size / MiB), slots);
            return false;
        }
        *maxmem = size;
        return true;
    }
    if (*maxmem < size) {
        return error_set(errp, "invalid value of maxmem: maximum memory size "
                         "(0x%" PRIx64 ") must be at least the initial memory "
                         "size (0x%" PRIx64 ")", *maxmem, size);
    }
    if (slots && *maxmem == size) {
        return error_set(errp, "invalid value of maxmem: memory slots were "
                         "specified but maximum memory size (0x%" PRIx64
                         ") is equal to the initial memory size (0x%" PRIx64
                         ")", *maxmem, size);
    }
    return true;
}

/* ---- -overcommit --------------------------------------------------------- */

typedef struct Overcommit {
    bool *mem_lock, *cpu_pm;
} Overcommit;

static bool set_overcommit(void *to, const char *key, const char *value,
                           bool *known, Error **errp)
{
    Overcommit *o = to;

    if (strcmp(key, "mem-lock") == 0) {
        return opt_bool(key, value, o->mem_lock, errp);
    }
    if (strcmp(key, "cpu-pm") == 0) {
        return opt_bool(key, value, o->cpu_pm, errp);
    }
    *known = false;
    return true;
}

bool mem_parse_overcommit(const char *arg, bool *mem_lock, bool *cpu_pm,
                          Error **errp)
{
    Overcommit o = { mem_lock, cpu_pm };

    return each_option(arg, NULL, OPT_BARE, set_overcommit, &o, errp);
}

bool mem_lock_all(Error **errp)
{
    if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0) {
        error_set_errno(errp, errno, "locking memory failed");
        error_hint(errp, "Raise the limit of locked memory (ulimit -l), or "
                   "leave out -overcommit mem-lock=on.");
        return false;
    }
    return true;
}

/* ---- main memory --------------------------------------------------------- */

static Obj *main_named(const MemMain *m, Error **errp) MACHINE_CALL;
static Obj *main_named(const MemMain *m, Error **errp)
{
    Obj *o = user_obj_find(m->backend);

    if (m->path) {
        error_set(errp, "'-mem-path' can't be used together with"
                  "'-machine memory-backend'");
        return NULL;
    }
    if (!o || !mem_is_backend(o)) {
        error_set(errp, "Memory backend '%s' not found", m->backend);
        error_hint(errp, "Add -object memory-backend-ram,id=%s,size=%" PRIu64
                   "M.", m->backend, (uint64_t)(m->size / MiB));
        return NULL;
    }
    if (m->size && mem_size(mem_backend_region(o)) != m->size) {
        error_set(errp, "Machine memory size does not match the size of the "
                  "memory backend");
        error_hint(errp, "Give -m the size of '%s': %" PRIu64 "M.", m->backend,
                   (uint64_t)(mem_size(mem_backend_region(o)) / MiB));
        return NULL;
    }
    return o;
}

static Obj *main_new(const MemMain *m, Error **errp) MACHINE_CALL;
static Obj *main_new(const MemMain *m, Error **errp)
{
    Json *props = json_obj();
    Obj *o;

    json_set(props, "size", json_uint(m->size));
    if (m->path) {
        json_set_str(props, "mem-path", m->path);
    }
    if (m->prealloc) {
        json_set_bool(props, "prealloc", true);
    }
    o = user_obj_add(m->path ? "memory-backend-file" : "memory-backend-ram",
                     m->id, props, false, errp);
    json_free(props);
    return o;
}

RamBlock *mem_make_main(const MemMain *m, Obj **backend, Error **errp)
{
    Obj *o = m->backend ? main_named(m, errp) : main_new(m, errp);
    RamBlock *rb;

    if (!o || !mem_backend_claim(o, errp)) {
        return NULL;
    }
    rb = mem_backend_ram(o);
    if (m->backend && m->prealloc && !ram_prealloc(rb, 1, 0, errp)) {
        mem_backend_release(o);
        return NULL;
    }
    *backend = o;
    return rb;
}
