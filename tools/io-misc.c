/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * io-misc.c - length, info, truncate, alloc, map, breakpoints, sleep, signals.
 *
 * Thread class: MACHINE_CALL.
 */
#include <signal.h>
#include "block/driver.h"
#include "tools/io.h"

static MACHINE_CALL int length_run(const IoCmd *c, const IoArgs *a)
{
    int64_t len = blk_length(io.blk);
    g_autofree char *s = NULL;

    if (len < 0) {
        printf("getlength: %s\n", strerror((int)-len));
        return (int)len;
    }
    s = io_size((double)len);
    printf("%s\n", s);
    return 0;
}

IO_CMD(io_length_cmd, {
    .name = "length", .alias = "l",
    .brief = "gets the length of the current file", .run = length_run,
});

static MACHINE_CALL int info_run(const IoCmd *c, const IoArgs *a)
{
    BlkNode *n = blk_root(io.blk);
    BlkNodeInfo i = { .cluster_size = 0 };
    g_autofree char *cluster = NULL, *off = NULL;
    Json *v;

    if (n->drv->info) {
        n->drv->info(n, &i);
    }
    cluster = io_size((double)i.cluster_size);
    off = io_size((double)i.vm_state_off);
    printf("format name: %s\ncluster size: %s\nvm state offset: %s\n",
           n->drv->name, cluster, off);
    v = n->drv->specific ? n->drv->specific(n) : NULL;
    if (v) {
        printf("Format specific information:\n");
        tool_print_json(v, 1);
        json_free(v);
    }
    return 0;
}

IO_CMD(io_info, {
    .name = "info", .alias = "i",
    .brief = "prints information about the current file", .run = info_run,
});

/* ---- truncate ------------------------------------------------------------- */

static const IoOpt truncate_opts[] = {
    { 'm', true, "off, metadata, falloc or full" },
    { .letter = 0 }
};

static MACHINE_CALL int truncate_run(const IoCmd *c, const IoArgs *a)
{
    const char *mode = a->set['m'] ? a->value['m'] : "off";
    const char *const *names = blk_prealloc_enum.names;
    Error *err = NULL;
    int64_t len;
    int p = 0;

    while (names[p] && strcmp(names[p], mode)) {
        p++;
    }
    if (!names[p]) {
        error_reportf("Invalid preallocation mode '%s'", mode);
        return -EINVAL;
    }
    if (a->n != 1) {
        return io_syntax(c);
    }
    len = io_number(a->v[0]);
    if (len < 0) {
        return -EINVAL;
    }
    if (!blk_node_truncate(blk_root(io.blk), (uint64_t)len, (BlkPrealloc)p,
                           false, &err)) {
        error_report(err);
        return -EIO;
    }
    return 0;
}

IO_CMD(io_truncate, {
    .name = "truncate", .alias = "t", .syntax = "[-m prealloc_mode] off",
    .brief = "truncates the current file at the given offset",
    .opts = truncate_opts, .min = 1, .max = 3, .writes = true,
    .run = truncate_run,
});

/* ---- alloc, map ----------------------------------------------------------- */

/* Is the byte the image's own? *len: how many bytes are alike from there. */
static MACHINE_CALL int allocated_at(uint64_t off, uint64_t *len)
{
    BlkExtent x;
    int ret = blk_node_extent(blk_root(io.blk), off, *len, &x);

    if (ret < 0) {
        return ret;
    }
    *len = x.len;
    return x.flags & BLKX_ALLOCATED ? 1 : 0;
}

static MACHINE_CALL int alloc_run(const IoCmd *c, const IoArgs *a)
{
    uint64_t end = blk_root(io.blk)->length, n, sum = 0;
    int64_t off = io_number(a->v[0]), count = 512, at;
    g_autofree char *where = NULL;
    int ret;

    if (off < 0) {
        return -EINVAL;
    }
    if (a->n == 2 && (count = io_number(a->v[1])) < 0) {
        return -EINVAL;
    }
    count = (uint64_t)off >= end ? 0 : MIN2(count, (int64_t)(end - off));
    for (at = 0; at < count; at += (int64_t)n) {
        n = (uint64_t)(count - at);
        ret = allocated_at((uint64_t)(off + at), &n);
        if (ret < 0 || !n) {
            printf("is_allocated failed: %s\n", strerror(ret ? -ret : EIO));
            return ret ? ret : -EIO;
        }
        sum += ret ? n : 0;
    }
    where = io_size((double)off);
    printf("%" PRIu64 "/%" PRId64 " bytes allocated at offset %s\n", sum, count,
           where);
    return 0;
}

IO_CMD(io_alloc, {
    .name = "alloc", .alias = "a", .syntax = "offset [count]",
    .brief = "checks if offset is allocated in the file", .min = 1, .max = 2,
    .run = alloc_run,
});

static MACHINE_CALL int map_run(const IoCmd *c, const IoArgs *a)
{
    uint64_t end = blk_root(io.blk)->length, n, run;
    int ret, next;

    for (uint64_t off = 0; off < end; off += run) {
        g_autofree char *size = NULL, *where = NULL;

        run = end - off;
        ret = allocated_at(off, &run);
        next = ret;
        while (ret >= 0 && run && off + run < end) {
            n = end - off - run;
            next = allocated_at(off + run, &n);
            if (next != ret || !n) {
                break;
            }
            run += n;
        }
        if (ret < 0 || next < 0 || !run) {
            error_reportf("Failed to get allocation status");
            return -EIO;
        }
        size = io_size((double)run);
        where = io_size((double)off);
        printf("%s (0x%" PRIx64 ") bytes %s allocated at offset %s (0x%" PRIx64
               ")\n", size, run, ret ? "   " : "not", where, off);
    }
    return 0;
}

IO_CMD(io_map, {
    .name = "map", .syntax = "",
    .brief = "prints the allocated areas of a file", .run = map_run,
});

/* ---- breakpoints: of blkdebug nodes --------------------------------------- */

static MACHINE_CALL int break_run(const IoCmd *c, const IoArgs *a)
{
    int ret = blk_debug_break(blk_root(io.blk), a->v[0], a->v[1]);

    if (ret < 0) {
        printf("Could not set breakpoint: %s\n", strerror(-ret));
    }
    return ret;
}

IO_CMD(io_break, {
    .name = "break", .syntax = "event tag",
    .brief = "sets a breakpoint on event and tags the stopped request as tag",
    .min = 2, .max = 2, .run = break_run,
});

static MACHINE_CALL int remove_run(const IoCmd *c, const IoArgs *a)
{
    int ret = blk_debug_unbreak(blk_root(io.blk), a->v[0]);

    if (ret < 0) {
        printf("Could not remove breakpoint %s: %s\n", a->v[0],
               strerror(-ret));
    }
    return ret;
}

IO_CMD(io_remove_break, {
    .name = "remove_break", .syntax = "tag",
    .brief = "remove a breakpoint by tag", .min = 1, .max = 1,
    .run = remove_run,
});

static MACHINE_CALL int resume_run(const IoCmd *c, const IoArgs *a)
{
    int ret = blk_debug_resume(blk_root(io.blk), a->v[0]);

    if (ret < 0) {
        printf("Could not resume request: %s\n", strerror(-ret));
    }
    return ret;
}

IO_CMD(io_resume, {
    .name = "resume", .syntax = "tag",
    .brief = "resumes the request tagged as tag", .min = 1, .max = 1,
    .run = resume_run,
});

static MACHINE_CALL int wait_break_run(const IoCmd *c, const IoArgs *a)
{
    while (!blk_debug_stopped(blk_root(io.blk), a->v[0])) {
        loop_step(true);
    }
    return 0;
}

IO_CMD(io_wait_break, {
    .name = "wait_break", .syntax = "tag",
    .brief = "waits for the suspension of a request", .min = 1, .max = 1,
    .run = wait_break_run,
});

/* ---- the program ---------------------------------------------------------- */

static void woken(void *arg)
{
    *(bool *)arg = true;
}

static MACHINE_CALL int sleep_run(const IoCmd *c, const IoArgs *a)
{
    char *end;
    bool over = false;
    Timer t;
    long ms;

    errno = 0;
    ms = strtol(a->v[0], &end, 0);
    if (end == a->v[0] || *end || errno) {
        printf("%s is not a valid number\n", a->v[0]);
        return -EINVAL;
    }
    timer_init(&t, NULL, CLOCK_HOST, woken, &over);
    timer_set(&t, clock_ns(CLOCK_HOST) + ms * NS_PER_MS);
    while (!over) {
        loop_step(true);
    }
    return 0;
}

IO_CMD(io_sleep, {
    .name = "sleep", .brief = "waits for the given value in milliseconds",
    .min = 1, .max = 1, .no_file = true, .run = sleep_run,
});

static MACHINE_CALL int sigraise_run(const IoCmd *c, const IoArgs *a)
{
    int64_t sig = io_number(a->v[0]);

    if (sig < 0) {
        return -EINVAL;
    }
    if (sig > NSIG) {
        printf("signal argument '%s' is too large to be a valid signal number\n",
               a->v[0]);
        return -EINVAL;
    }
    fflush(stdout);
    raise((int)sig);
    return 0;
}

IO_CMD(io_sigraise, {
    .name = "sigraise", .syntax = "signal", .brief = "raises a signal",
    .min = 1, .max = 1, .no_file = true, .run = sigraise_run,
});

static MACHINE_CALL int abort_run(const IoCmd *c, const IoArgs *a)
{
    fflush(stdout);
    abort();
}

IO_CMD(io_abort, {
    .name = "abort", .brief = "simulate a program crash using abort(3)",
    .no_file = true, .run = abort_run,
});
