/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * io-aio.c - aio_read, aio_write, aio_flush: requests that end later, and tell
 * so then.
 *
 * Thread class: MACHINE_CALL.
 */
#include "tools/io.h"
#include "tools/io-vec.h"

typedef struct Aio {
    BlkReq req;
    IoVec v;
    int64_t began, off;
    int pattern;                       /* to compare with; -1: none           */
    bool quiet, terse, show;
} Aio;

static void aio_done(BlkReq *req)
{
    Aio *a = container_of(req, Aio, req);
    bool read = req->op == BLK_READ;
    IoReport r = { .op = read ? "read" : "wrote", .off = a->off,
                   .ns = io_now_ns() - a->began, .terse = a->terse };

    io.aio--;
    r.done = r.asked = read || a->v.buf ? a->v.len : (int64_t)req->len;
    if (req->ret < 0) {
        printf("%s failed: %s\n", read ? "readv" : "aio_write",
               strerror(-req->ret));
    } else {
        if (a->pattern >= 0 &&
            !io_verify(a->v.buf, a->pattern, (size_t)a->v.len)) {
            printf("Pattern verification failed at offset %" PRId64 ", %" PRId64
                   " bytes\n", a->off, a->v.len);
        }
        if (!a->quiet && a->show) {
            io_dump(a->v.buf, a->off, a->v.len);
        }
        if (!a->quiet) {
            io_report(&r);
        }
    }
    io_vec_fini(&a->v);
    g_free(a);
}

static Aio *aio_new(const IoArgs *args)
{
    Aio *a = g_new0(Aio, 1);

    a->quiet = args->set['q'];
    a->terse = args->set['C'];
    a->show = args->set['v'];
    a->pattern = -1;
    a->off = io_number(args->v[0]);
    if (a->off < 0) {
        g_free(a);
        return NULL;
    }
    return a;
}

static MACHINE_CALL void aio_start(Aio *a, BlkOp op, unsigned flags,
                                   int64_t len)
{
    a->began = io_now_ns();
    a->req = (BlkReq){ .op = op, .flags = flags, .off = (uint64_t)a->off,
                       .len = (uint64_t)len, .iov = a->v.iov,
                       .niov = (unsigned)a->v.n, .done = aio_done };
    io.aio++;
    io_send(&a->req);
}

static const IoOpt aio_read_opts[] = {
    { 'C', false, "one line of figures, for programs" },
    { 'P', true, "what is read must have this value in each byte" },
    { 'i', false, "only counts it, as a request that was refused" },
    { 'v', false, "prints what was read" },
    { 'q', false, "no figures" },
    { .letter = 0 }
};

static MACHINE_CALL int aio_read_run(const IoCmd *c, const IoArgs *args)
{
    int pattern = -1;
    Aio *a;

    if (args->set['P'] && (pattern = io_pattern(args->value['P'])) < 0) {
        return -EINVAL;
    }
    if (args->set['i']) {
        printf("injecting invalid read request\n");
        return 0;
    }
    if (args->n < 2) {
        return io_syntax(c);
    }
    a = aio_new(args);
    if (!a || !io_vec_read(&a->v, args->v + 1, args->n - 1, 0xab)) {
        g_free(a);
        return -EINVAL;
    }
    a->pattern = pattern;
    aio_start(a, BLK_READ, 0, a->v.len);
    return 0;
}

IO_CMD(io_aio_read, {
    .name = "aio_read", .syntax = "[-Ciqv] [-P pattern] off len [len..]",
    .brief = "asynchronously reads a number of bytes",
    .doc = " Ends later: see aio_flush. Errors do not make the command fail.",
    .opts = aio_read_opts, .min = 2, .max = -1, .run = aio_read_run,
});

static const IoOpt aio_write_opts[] = {
    { 'P', true, "value of the bytes, 0xcd when not given" },
    { 'C', false, "one line of figures, for programs" },
    { 'f', false, "stable when it ends (FUA)" },
    { 'i', false, "only counts it, as a request that was refused" },
    { 'q', false, "no figures" },
    { 'u', false, "with -z: may leave a hole" },
    { 'z', false, "zeroes, without a buffer" },
    { .letter = 0 }
};

static MACHINE_CALL int aio_zero(const IoCmd *c, const IoArgs *args,
                                 unsigned flags)
{
    int64_t len;
    Aio *a;

    if (args->n != 2) {
        printf("-z supports only a single length parameter\n");
        return -EINVAL;
    }
    a = aio_new(args);
    len = a ? io_length(args->v[1]) : -1;
    if (len < 0) {
        g_free(a);
        return -EINVAL;
    }
    aio_start(a, BLK_ZERO, flags | (args->set['u'] ? BLKF_MAY_UNMAP : 0), len);
    return 0;
}

static MACHINE_CALL int aio_write_run(const IoCmd *c, const IoArgs *args)
{
    unsigned flags = args->set['f'] ? BLKF_FUA : 0;
    int pattern = 0xcd;
    Aio *a;

    if (args->set['P'] && (pattern = io_pattern(args->value['P'])) < 0) {
        return -EINVAL;
    }
    if (args->set['i']) {
        printf("injecting invalid write request\n");
        return 0;
    }
    if (args->n < 2) {
        return io_syntax(c);
    }
    if (args->set['u'] && !args->set['z']) {
        printf("-u requires -z to be specified\n");
        return -EINVAL;
    }
    if (args->set['z']) {
        return aio_zero(c, args, flags);
    }
    a = aio_new(args);
    if (!a || !io_vec_read(&a->v, args->v + 1, args->n - 1, pattern)) {
        g_free(a);
        return -EINVAL;
    }
    aio_start(a, BLK_WRITE, flags, a->v.len);
    return 0;
}

IO_CMD(io_aio_write, {
    .name = "aio_write", .syntax = "[-Cfiquz] [-P pattern] off len [len..]",
    .brief = "asynchronously writes a number of bytes",
    .doc = " Ends later: see aio_flush. Errors do not make the command fail.",
    .opts = aio_write_opts, .min = 2, .max = -1, .writes = true,
    .run = aio_write_run,
});

void io_aio_flush(void)
{
    while (io.aio) {
        loop_step(true);
    }
}

static MACHINE_CALL int aio_flush_run(const IoCmd *c, const IoArgs *a)
{
    io_aio_flush();
    return 0;
}

IO_CMD(io_aio_flush_cmd, {
    .name = "aio_flush", .brief = "completes all outstanding aio requests",
    .run = aio_flush_run,
});
