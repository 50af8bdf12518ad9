/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dump.c - dump-guest-memory: the machine stops, a worker writes the memory as it
 * is then, the machine goes on if it ran.
 *
 * Thread class: machine lock, but for dump_run and what it calls.
 *
 * Invariants:
 * 1. At most one dump is under way; while it is, the machine does not run, and the
 *    RAM it reads is pinned.
 * 2. Every dump ends in DUMP_COMPLETED.
 */
#include <fcntl.h>
#include <poll.h>
#include <glib.h>
#include <unistd.h>
#include "dump.h"
#include "hw/misc/misc.h"
#include "loop.h"
#include "machine.h"
#include "monitor.h"
#include "runstate.h"
#include "schema/schema.h"
#include "x86.h"

static struct {
    Dump d;
    DumpStatus status;
    bool was_running;
    PoolTask task;
    Error *err;                        /* the worker's                        */
    Co *waiter;                        /* the command that waits, or NULL     */
} now;

bool dump_active(void)
{
    return now.status == DUMP_STATUS_ACTIVE;
}

bool dump_put(Dump *d, const void *buf, size_t len, Error **errp)
{
    const uint8_t *p = buf;

    while (len) {
        ssize_t n = write(d->fd, p, len);

        if (__atomic_load_n(&d->cancel, __ATOMIC_RELAXED)) {
            return error_set(errp, "dump: the program ends");
        }
        if (n > 0) {
            p += n;
            len -= (size_t)n;
        } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            struct pollfd f = { .fd = d->fd, .events = POLLOUT };

            poll(&f, 1, 1000);
        } else if (n < 0 && errno != EINTR) {
            return error_set_errno(errp, errno, "dump: failed to save memory");
        }
    }
    return true;
}

/* ---- what there is ------------------------------------------------------- */

static void block_add(GArray *a, const FlatRange *r, uint64_t first,
                      uint64_t last)
{
    DumpBlock b = { first, last - first + 1, r->host + (first - r->first) };
    DumpBlock *prev = a->len ? &g_array_index(a, DumpBlock, a->len - 1) : NULL;
    uint64_t off;

    b.ram = ram_of_host(b.host, &off);
    if (!b.ram) {
        return;
    }
    if (prev && prev->ram == b.ram && prev->first + prev->len == first &&
        prev->host + prev->len == b.host) {
        prev->len += b.len;
    } else {
        ram_pin(b.ram);
        g_array_append_val(a, b);
    }
}

static GArray *blocks_find(uint64_t begin, uint64_t end)
{
    GArray *a = g_array_new(false, false, sizeof(DumpBlock));
    const FlatMap *map;

    epoch_enter();
    map = mem_map(&mem_system);
    for (uint32_t i = 0; i < map->n; i++) {
        const FlatRange *r = &map->r[i];
        uint64_t lo = MAX2(r->first, begin), hi = MIN2(r->last, end);

        if (r->host && !r->romd && lo <= hi) {
            block_add(a, r, lo, hi);
        }
    }
    epoch_exit();
    return a;
}

static void blocks_free(GArray *a)
{
    for (unsigned i = 0; i < a->len; i++) {
        ram_unpin(g_array_index(a, DumpBlock, i).ram);
    }
    g_array_free(a, true);
}

/* The part of a mapping that is in each block. */
static void map_add(void *arg, uint64_t va, uint64_t pa, uint64_t len)
{
    Dump *d = arg;

    for (unsigned i = 0; i < d->blocks->len; i++) {
        const DumpBlock *b = dump_block(d, i);
        uint64_t lo = MAX2(pa, b->first);
        uint64_t hi = MIN2(pa + len - 1, b->first + b->len - 1);
        DumpMap m = { va + (lo - pa), lo, hi - lo + 1 }, *prev;

        if (lo > hi) {
            continue;
        }
        prev = d->maps->len
            ? &g_array_index(d->maps, DumpMap, d->maps->len - 1) : NULL;
        if (prev && prev->va + prev->len == m.va &&
            prev->pa + prev->len == m.pa && m.pa != b->first) {
            prev->len += m.len;
        } else {
            g_array_append_val(d->maps, m);
        }
    }
}

static void maps_find(Dump *d, bool paging) MACHINE_CALL;
static void maps_find(Dump *d, bool paging)
{
    d->maps = g_array_new(false, false, sizeof(DumpMap));
    if (paging && x86_mappings_each(map_add, d)) {
        return;
    }
    for (unsigned i = 0; i < d->blocks->len; i++) {
        const DumpBlock *b = dump_block(d, i);
        DumpMap m = { b->first, b->first, b->len };

        g_array_append_val(d->maps, m);
    }
}

/* ---- the note of the guest's kernel -------------------------------------- */

#define INFO_MAX (1u << 20)

/* Its one number that a dump's head wants. */
static uint64_t phys_base(const uint8_t *text, unsigned len)
{
    static const char key[] = "NUMBER(phys_base)=";
    g_autofree char *t = g_strndup((const char *)text, len);
    const char *at = strstr(t, key);

    return at ? (uint64_t)g_ascii_strtoll(at + sizeof(key) - 1, NULL, 0) : 0;
}

/* One note named VMCOREINFO, whole and well formed, or nothing. */
static void info_add(Dump *d) MACHINE_CALL;
static void info_add(Dump *d)
{
    static const char name[] = "VMCOREINFO";
    g_autofree uint8_t *b = NULL;
    uint64_t pa, end;
    uint32_t size, n, len;

    if (!vmcoreinfo_place(&pa, &size) || size < 24 || size > INFO_MAX) {
        return;
    }
    b = g_malloc0(size);
    if (mem_read(&mem_system, pa, b, size, MEM_ATTRS_NONE) != MEM_OK) {
        warn_report("dump: the guest's note is not in its memory");
        return;
    }
    n = ld_le32(b);
    len = ld_le32(b + 4);
    end = 12 + ALIGN_UP(sizeof(name), 4) + ALIGN_UP((uint64_t)len, 4);
    if (n != sizeof(name) || memcmp(b + 12, name, n) || end > size) {
        warn_report("dump: the guest's note is none of VMCOREINFO");
        return;
    }
    d->info_at = d->notes->len + 12 + ALIGN_UP(sizeof(name), 4);
    d->info_len = len;
    g_byte_array_append(d->notes, b, (guint)end);
    d->phys_base = phys_base(d->notes->data + d->info_at, len);
}

/* ---- from start to end --------------------------------------------------- */

static int64_t dump_run(void *arg)
{
    return now.d.format == DUMP_GUEST_MEMORY_FORMAT_ELF
        ? dump_elf(&now.d, &now.err) : dump_kdump(&now.d, &now.err);
}

static void dump_tell(const char *error)
{
    DumpQueryResult r = {
        .status = now.status, .total = (int64_t)now.d.total,
        .completed = (int64_t)__atomic_load_n(&now.d.done, __ATOMIC_RELAXED),
    };

    monitor_event(&event_DUMP_COMPLETED,
                  &(DumpCompletedEvent){ .result = r, .error = (char *)error });
}

static void dump_done(void *arg, int64_t ok) MACHINE_CALL;
static void dump_done(void *arg, int64_t ok)
{
    Co *waiter = now.waiter;

    now.status = ok ? DUMP_STATUS_COMPLETED : DUMP_STATUS_FAILED;
    blocks_free(now.d.blocks);
    g_array_free(now.d.maps, true);
    g_byte_array_unref(now.d.notes);
    close(now.d.fd);
    dump_tell(now.err ? error_text(now.err) : NULL);
    if (now.was_running && run_state() == RS_SAVE_VM) {
        run_state_set(RS_PAUSED);
        vm_start(NULL);
    }
    now.waiter = NULL;
    if (waiter) {
        co_wake(waiter);
    } else if (now.err) {
        error_free(now.err);
        now.err = NULL;
    }
}

static void dump_end(Notify *n, void *data)
{
    __atomic_store_n(&now.d.cancel, true, __ATOMIC_RELAXED);
}

static int dump_open(const char *protocol, Error **errp) MACHINE_CALL;
static int dump_open(const char *protocol, Error **errp)
{
    int fd;

    if (g_str_has_prefix(protocol, "fd:")) {
        return mon_take_named_fd(protocol + 3, errp);
    }
    if (!g_str_has_prefix(protocol, "file:")) {
        error_set(errp, "Invalid parameter 'protocol'");
        return -1;
    }
    fd = open(protocol + 5, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0400);
    if (fd < 0) {
        error_set(errp, "Could not open '%s': %s", protocol + 5,
                  strerror(errno));
    }
    return fd;
}

static bool dump_check(const DumpGuestMemoryArg *a, Error **errp) MACHINE_CALL;
static bool dump_check(const DumpGuestMemoryArg *a, Error **errp)
{
    int format = a->has_format ? (int)a->format : DUMP_GUEST_MEMORY_FORMAT_ELF;

    if (dump_active()) {
        return error_set(errp, "There is a dump in process, please wait.");
    }
    if (run_state() == RS_INMIGRATE) {
        return error_set(errp, "Dump not allowed during incoming migration.");
    }
    if (format != DUMP_GUEST_MEMORY_FORMAT_ELF &&
        (a->paging || a->has_begin || a->has_length)) {
        return error_set(errp, "kdump-compressed format doesn't support paging "
                         "or filter");
    }
    if (a->has_begin != a->has_length) {
        return error_set(errp, "Parameter '%s' is missing",
                         a->has_begin ? "length" : "begin");
    }
    if (a->has_length && (a->length <= 0 || a->begin < 0)) {
        return error_set(errp, "Parameter '%s' expects a %s size",
                         a->length <= 0 ? "length" : "begin",
                         a->length <= 0 ? "non-zero" : "positive");
    }
    if (format != DUMP_GUEST_MEMORY_FORMAT_ELF &&
        format != DUMP_GUEST_MEMORY_FORMAT_KDUMP_ZLIB) {
        return error_set(errp, "%s is not available now",
                         qt_DumpGuestMemoryFormat.values[format]);
    }
    return true;
}

static bool dump_start(const DumpGuestMemoryArg *a, int fd, Error **errp)
    MACHINE_CALL;
static bool dump_start(const DumpGuestMemoryArg *a, int fd, Error **errp)
{
    static Notify at_exit = { .fn = dump_end };
    uint64_t begin = a->has_begin ? (uint64_t)a->begin : 0;
    GArray *blocks = blocks_find(begin, a->has_length
                                 ? begin + (uint64_t)a->length - 1
                                 : UINT64_MAX);

    if (!blocks->len) {
        g_array_free(blocks, true);
        return error_set(errp, "dump: no guest memory to dump");
    }
    now.d = (Dump){ .fd = fd, .blocks = blocks, .cpus = cpu_count };
    now.d.format = a->has_format ? (int)a->format
                                 : DUMP_GUEST_MEMORY_FORMAT_ELF;
    now.was_running = run_state_is_running();
    if (now.was_running) {
        vm_stop(RS_SAVE_VM);
    }
    now.status = DUMP_STATUS_ACTIVE;
    now.d.notes = g_byte_array_new();
    now.d.long_mode = x86_core_notes(now.d.notes);
    info_add(&now.d);
    maps_find(&now.d, a->paging);
    for (unsigned i = 0; i < blocks->len; i++) {
        now.d.total += dump_block(&now.d, i)->len;
    }
    now.task = (PoolTask){ .run = dump_run, .done = dump_done };
    notify_del(&exit_notify, &at_exit);
    notify_add(&exit_notify, &at_exit);
    pool_submit(&now.task);
    return true;
}

bool cmd_dump_guest_memory(const void *arg, void *ret, Error **errp)
{
    const DumpGuestMemoryArg *a = arg;
    int fd;

    if (!dump_check(a, errp)) {
        return false;
    }
    fd = dump_open(a->protocol, errp);
    if (fd < 0) {
        return false;
    }
    if (!dump_start(a, fd, errp)) {
        close(fd);
        return false;
    }
    if (a->has_detach && a->detach) {
        return true;
    }
    now.waiter = co_self();
    while (now.waiter) {
        co_yield();
    }
    if (now.err) {
        error_move(errp, now.err);
        now.err = NULL;
        return false;
    }
    return true;
}

bool cmd_query_dump(const void *arg, void *ret, Error **errp)
{
    DumpQueryResult *r = ret;

    r->status = now.status;
    r->total = (int64_t)now.d.total;
    r->completed = (int64_t)__atomic_load_n(&now.d.done, __ATOMIC_RELAXED);
    return true;
}

bool cmd_query_dump_guest_memory_capability(const void *arg, void *ret,
                                            Error **errp)
{
    DumpGuestMemoryCapability *c = ret;

    *SCHEMA_ADD(&c->formats) = DUMP_GUEST_MEMORY_FORMAT_ELF;
    *SCHEMA_ADD(&c->formats) = DUMP_GUEST_MEMORY_FORMAT_KDUMP_ZLIB;
    return true;
}

/* ---- for people ---------------------------------------------------------- */

void hmp_print_info_dump(const void *ret, const Json *args)
{
    const DumpQueryResult *r = ret;

    mon_printf("Status: %s\n", qt_DumpStatus.values[r->status]);
    if (r->status == DUMP_STATUS_ACTIVE) {
        mon_printf("Finished: %.2f %%\n", r->total
                   ? 100.0 * (double)r->completed / (double)r->total : 0.0);
    }
}

void hmp_dump_guest_memory(const Json *args)
{
    static const struct { const char *key; int format; } rows[] = {
        { "zlib", DUMP_GUEST_MEMORY_FORMAT_KDUMP_ZLIB },
        { "lzo", DUMP_GUEST_MEMORY_FORMAT_KDUMP_LZO },
        { "snappy", DUMP_GUEST_MEMORY_FORMAT_KDUMP_SNAPPY },
        { "windmp", DUMP_GUEST_MEMORY_FORMAT_WIN_DMP },
    };
    DumpGuestMemoryArg a = { .has_detach = true, .has_format = true };
    unsigned n = 0;
    Error *err = NULL;

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        if (json_get(args, rows[i].key)) {
            a.format = rows[i].format;
            n++;
        }
    }
    /* A flag is there when it is given. */
    a.paging = json_get(args, "paging") != NULL;
    a.detach = json_get(args, "detach") != NULL;
    a.has_begin = json_get(args, "begin") != NULL;
    a.has_length = json_get(args, "length") != NULL;
    a.begin = a.has_begin ? json_int_of(json_get(args, "begin")) : 0;
    a.length = a.has_length ? json_int_of(json_get(args, "length")) : 0;
    a.protocol = g_strdup_printf("file:%s", json_get_str(args, "filename"));
    if (n > 1) {
        error_set(&err, "only one of '-z|-l|-s|-w' can be set");
    } else {
        cmd_dump_guest_memory(&a, NULL, &err);
    }
    if (err) {
        mon_printf("Error: %s\n", error_text(err));
        error_free(err);
    }
    g_free(a.protocol);
}
