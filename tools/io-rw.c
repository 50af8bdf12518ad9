/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * io-rw.c - read, write, readv, writev, flush, discard: requests that are waited
 * for.
 *
 * Thread class: MACHINE_CALL.
 */
#include "tools/io.h"
#include "tools/io-vec.h"

/* ---- read ----------------------------------------------------------------- */

static const IoOpt read_opts[] = {
    { 'a', false, "ignored" },
    { 'b', false, "from the VM state area, not from the disk" },
    { 'C', false, "one line of figures, for programs" },
    { 'l', true, "with -P: how many bytes are compared" },
    { 'p', false, "ignored" },
    { 'P', true, "what is read must have this value in each byte" },
    { 'q', false, "no figures" },
    { 's', true, "with -P: which byte is the first that is compared" },
    { 'v', false, "prints what was read" },
    { .letter = 0 }
};

static MACHINE_CALL int vmstate(bool write, int64_t off, void *buf, int64_t len)
{
    BlkNode *n = blk_root(io.blk);

    while (n && !n->drv->vmstate_rw && n->drv->filter) {
        n = n->file;
    }
    return n && n->drv->vmstate_rw
        ? n->drv->vmstate_rw(n, (uint64_t)off, buf, (size_t)len, write)
        : -ENOTSUP;
}

static MACHINE_CALL int transfer(BlkOp op, unsigned flags, int64_t off,
                                 void *buf, int64_t len)
{
    struct iovec iov = { buf, (size_t)len };

    return io_request((BlkReq){ .op = op, .flags = flags, .off = (uint64_t)off,
                                .len = (uint64_t)len, .iov = &iov,
                                .niov = buf ? 1 : 0 });
}

typedef struct Verify {
    int pattern;                       /* -1: nothing is compared             */
    int64_t from, n;                   /* n 0: to the end                     */
} Verify;

static bool verify_read(const IoCmd *c, const IoArgs *a, Verify *v)
{
    v->pattern = -1;
    if (a->set['P'] && (v->pattern = io_pattern(a->value['P'])) < 0) {
        return false;
    }
    if (a->set['l'] && (v->n = io_number(a->value['l'])) < 0) {
        return false;
    }
    if (a->set['s'] && (v->from = io_number(a->value['s'])) < 0) {
        return false;
    }
    if ((a->set['l'] || a->set['s']) && !a->set['P']) {
        io_syntax(c);
        return false;
    }
    return true;
}

/* off and len of a command that has just these. */
static bool range_read(const IoCmd *c, const IoArgs *a, int64_t *off,
                       int64_t *len)
{
    if (a->n != 2) {
        io_syntax(c);
        return false;
    }
    return (*off = io_number(a->v[0])) >= 0 && (*len = io_length(a->v[1])) >= 0;
}

static bool aligned(const IoArgs *a, int64_t off, int64_t len)
{
    if ((a->set['b'] || a->set['c']) && (off | len) % 512) {
        printf("%" PRId64 " is not a sector-aligned value for '%s'\n",
               off % 512 ? off : len, off % 512 ? "offset" : "count");
        return false;
    }
    return true;
}

static void verify(const Verify *v, const uint8_t *buf, int64_t off,
                   int64_t len, int *ret)
{
    int64_t n = v->n ? v->n : len - v->from;

    if (v->pattern >= 0 && !io_verify(buf + v->from, v->pattern, (size_t)n)) {
        printf("Pattern verification failed at offset %" PRId64 ", %" PRId64
               " bytes\n", off + v->from, n);
        *ret = -EINVAL;
    }
}

static MACHINE_CALL int read_run(const IoCmd *c, const IoArgs *a)
{
    Verify v = { .n = 0 };
    int64_t off, len, began;
    IoReport r = { .op = "read", .terse = a->set['C'] };
    uint8_t *buf;
    int ret;

    if (!verify_read(c, a, &v) || !range_read(c, a, &off, &len) ||
        !aligned(a, off, len)) {
        return -EINVAL;
    }
    if (v.from + v.n > len || v.from > len) {
        printf("pattern verification range exceeds end of read data\n");
        return -EINVAL;
    }
    buf = io_buf((size_t)len, 0xab);
    began = io_now_ns();
    ret = a->set['b'] ? vmstate(false, off, buf, len)
                      : transfer(BLK_READ, 0, off, buf, len);
    r.ns = io_now_ns() - began;
    if (ret < 0) {
        printf("read failed: %s\n", strerror(-ret));
    } else {
        verify(&v, buf, off, len, &ret);
        if (!a->set['q'] && a->set['v']) {
            io_dump(buf, off, len);
        }
        r.off = off;
        r.done = r.asked = len;
        if (!a->set['q']) {
            io_report(&r);
        }
    }
    io_buf_free(buf);
    return ret;
}

IO_CMD(io_read, {
    .name = "read", .alias = "r",
    .syntax = "[-abCqv] [-P pattern [-s off] [-l len]] off len",
    .brief = "reads a number of bytes at a specified offset",
    .doc = " 'read -v 512 1k' reads a kilobyte from byte 512 on and prints it.",
    .opts = read_opts, .min = 2, .max = -1, .run = read_run,
});

/* ---- write ---------------------------------------------------------------- */

static const IoOpt write_opts[] = {
    { 'b', false, "to the VM state area, not to the disk" },
    { 'c', false, "compressed" },
    { 'C', false, "one line of figures, for programs" },
    { 'f', false, "stable when it ends (FUA)" },
    { 'n', false, "with -z: fails where zeroes would have to be written out" },
    { 'p', false, "ignored" },
    { 'P', true, "value of the bytes, 0xcd when not given" },
    { 'q', false, "no figures" },
    { 's', true, "a file whose contents are written, again and again" },
    { 'u', false, "with -z: may leave a hole" },
    { 'z', false, "zeroes, without a buffer" },
    { .letter = 0 }
};

static bool write_args_ok(const IoArgs *a)
{
    if (a->set['b'] && a->set['z']) {
        printf("-b and -z cannot be specified at the same time\n");
    } else if ((a->set['f'] && a->set['b']) || (a->set['f'] && a->set['c'])) {
        printf("-f and -b or -c cannot be specified at the same time\n");
    } else if (a->set['n'] && !a->set['z']) {
        printf("-n requires -z to be specified\n");
    } else if (a->set['u'] && !a->set['z']) {
        printf("-u requires -z to be specified\n");
    } else if (a->set['z'] + a->set['P'] + a->set['s'] > 1) {
        printf("Only one of -z, -P, and -s can be specified at the same "
               "time\n");
    } else {
        return true;
    }
    return false;
}

/* len bytes of a file, repeated. */
static uint8_t *file_buf(const char *name, size_t len)
{
    FILE *f = fopen(name, "re");
    uint8_t *buf;
    size_t n;

    if (!f) {
        fprintf(stderr, "%s: %s\n", name, strerror(errno));
        return NULL;
    }
    buf = io_buf(len, 0);
    n = fread(buf, 1, len, f);
    if (ferror(f)) {
        fprintf(stderr, "%s: %s\n", name, strerror(errno));
    } else if (!n && len) {
        fprintf(stderr, "%s: file is empty\n", name);
    }
    if (ferror(f) || (!n && len)) {
        fclose(f);
        io_buf_free(buf);
        return NULL;
    }
    fclose(f);
    for (size_t at = n; at < len; at++) {
        buf[at] = buf[at - n];
    }
    return buf;
}

static MACHINE_CALL int write_do(const IoArgs *a, int64_t off, uint8_t *buf,
                                 int64_t len)
{
    BlkNodeInfo i = { .cluster_size = 0 };
    BlkNode *n = blk_root(io.blk);
    unsigned flags = a->set['f'] ? BLKF_FUA : 0;

    if (a->set['b']) {
        return vmstate(true, off, buf, len);
    }
    if (a->set['z']) {
        flags |= (a->set['u'] ? BLKF_MAY_UNMAP : 0) |
                 (a->set['n'] ? BLKF_NO_FALLBACK : 0);
        return transfer(BLK_ZERO, flags, off, NULL, len);
    }
    if (a->set['c']) {
        if (n->drv->info) {
            n->drv->info(n, &i);
        }
        if (!i.compress_align) {
            return -ENOTSUP;
        }
        flags |= BLKF_COMPRESSED;
    }
    return transfer(BLK_WRITE, flags, off, buf, len);
}

static MACHINE_CALL int write_run(const IoCmd *c, const IoArgs *a)
{
    IoReport r = { .op = "wrote", .terse = a->set['C'] };
    int64_t off, len, began;
    uint8_t *buf = NULL;
    int pattern = 0xcd, ret;

    if ((a->set['P'] && (pattern = io_pattern(a->value['P'])) < 0) ||
        a->n != 2) {
        return a->n != 2 ? io_syntax(c) : -EINVAL;
    }
    if (!write_args_ok(a) || !range_read(c, a, &off, &len) ||
        !aligned(a, off, len)) {
        return -EINVAL;
    }
    if (!a->set['z']) {
        buf = a->set['s'] ? file_buf(a->value['s'], (size_t)len)
                          : io_buf((size_t)len, pattern);
        if (!buf) {
            return -EINVAL;
        }
    }
    began = io_now_ns();
    ret = write_do(a, off, buf, len);
    r.ns = io_now_ns() - began;
    if (ret < 0) {
        printf("write failed: %s\n", strerror(-ret));
    } else if (!a->set['q']) {
        r.off = off;
        r.done = r.asked = len;
        io_report(&r);
    }
    io_buf_free(buf);
    return ret;
}

IO_CMD(io_write, {
    .name = "write", .alias = "w",
    .syntax = "[-bcCfnquz] [-P pattern | -s source_file] off len",
    .brief = "writes a number of bytes at a specified offset",
    .doc = " 'write 512 1k' writes a kilobyte from byte 512 on.",
    .opts = write_opts, .min = 2, .max = -1, .writes = true, .run = write_run,
});

/* ---- vectors -------------------------------------------------------------- */

bool io_vec_read(IoVec *v, char **words, int n, int pattern)
{
    *v = (IoVec){ .n = n };
    v->iov = g_new0(struct iovec, MAX2(n, 1));
    for (int i = 0; i < n; i++) {
        int64_t len = io_length(words[i]);

        if (len >= 0 && v->len + len > IO_MAX_BYTES) {
            printf("The total number of bytes exceed the maximum size %" PRId64
                   "\n", IO_MAX_BYTES);
            len = -EINVAL;
        }
        if (len < 0) {
            g_free(v->iov);
            return false;
        }
        v->iov[i].iov_len = (size_t)len;
        v->len += len;
    }
    v->buf = io_buf((size_t)v->len, pattern);
    for (int i = 0; i < n; i++) {
        v->iov[i].iov_base = i ? (uint8_t *)v->iov[i - 1].iov_base +
                                 v->iov[i - 1].iov_len : v->buf;
    }
    return true;
}

void io_vec_fini(IoVec *v)
{
    io_buf_free(v->buf);
    g_free(v->iov);
}

static MACHINE_CALL int vec_do(const IoCmd *c, const IoArgs *a, BlkOp op,
                               int pattern)
{
    IoReport r = { .op = op == BLK_READ ? "read" : "wrote",
                   .terse = a->set['C'] };
    int64_t off, began;
    Verify check = { .pattern = op == BLK_READ && a->set['P'] ? pattern : -1 };
    IoVec v;
    int ret;

    if (a->n < 2) {
        return io_syntax(c);
    }
    off = io_number(a->v[0]);
    if (off < 0 || !io_vec_read(&v, a->v + 1, a->n - 1,
                                op == BLK_READ ? 0xab : pattern)) {
        return -EINVAL;
    }
    began = io_now_ns();
    ret = io_request((BlkReq){ .op = op, .off = (uint64_t)off,
                               .len = (uint64_t)v.len, .iov = v.iov,
                               .niov = (unsigned)v.n,
                               .flags = a->set['f'] ? BLKF_FUA : 0 });
    r.ns = io_now_ns() - began;
    if (ret < 0) {
        printf("%s failed: %s\n", c->name, strerror(-ret));
    } else {
        verify(&check, v.buf, off, v.len, &ret);
        if (a->set['v'] && !a->set['q']) {
            io_dump(v.buf, off, v.len);
        }
        r.off = off;
        r.done = r.asked = v.len;
        if (!a->set['q']) {
            io_report(&r);
        }
    }
    io_vec_fini(&v);
    return ret;
}

static const IoOpt readv_opts[] = {
    { 'C', false, "one line of figures, for programs" },
    { 'P', true, "what is read must have this value in each byte" },
    { 'v', false, "prints what was read" },
    { 'q', false, "no figures" },
    { .letter = 0 }
};

static MACHINE_CALL int vec_run(const IoCmd *c, const IoArgs *a)
{
    int pattern = 0xcd;

    if (a->set['P'] && (pattern = io_pattern(a->value['P'])) < 0) {
        return -EINVAL;
    }
    return vec_do(c, a, c->writes ? BLK_WRITE : BLK_READ, pattern);
}

IO_CMD(io_readv, {
    .name = "readv", .syntax = "[-Cqv] [-P pattern] off len [len..]",
    .brief = "reads a number of bytes at a specified offset",
    .doc = " One request with a buffer for each length.",
    .opts = readv_opts, .min = 2, .max = -1, .run = vec_run,
});

static const IoOpt writev_opts[] = {
    { 'P', true, "value of the bytes, 0xcd when not given" },
    { 'C', false, "one line of figures, for programs" },
    { 'f', false, "stable when it ends (FUA)" },
    { 'q', false, "no figures" },
    { .letter = 0 }
};

IO_CMD(io_writev, {
    .name = "writev", .syntax = "[-Cfq] [-P pattern] off len [len..]",
    .brief = "writes a number of bytes at a specified offset",
    .doc = " One request with a buffer for each length.",
    .opts = writev_opts, .min = 2, .max = -1, .writes = true, .run = vec_run,
});

/* ---- flush, discard ------------------------------------------------------- */

static MACHINE_CALL int flush_run(const IoCmd *c, const IoArgs *a)
{
    int ret = io_request((BlkReq){ .op = BLK_FLUSH });

    if (ret < 0) {
        printf("flush failed: %s\n", strerror(-ret));
    }
    return ret;
}

IO_CMD(io_flush, {
    .name = "flush", .alias = "f",
    .brief = "flush all in-core file state to disk", .run = flush_run,
});

static const IoOpt discard_opts[] = {
    { 'C', false, "one line of figures, for programs" },
    { 'q', false, "no figures" },
    { .letter = 0 }
};

static MACHINE_CALL int discard_run(const IoCmd *c, const IoArgs *a)
{
    IoReport r = { .op = "discard", .terse = a->set['C'] };
    int64_t off, len, began;
    int ret;

    if (!range_read(c, a, &off, &len)) {
        return -EINVAL;
    }
    began = io_now_ns();
    ret = transfer(BLK_DISCARD, 0, off, NULL, len);
    r.ns = io_now_ns() - began;
    if (ret < 0) {
        printf("discard failed: %s\n", strerror(-ret));
    } else if (!a->set['q']) {
        r.off = off;
        r.done = r.asked = len;
        io_report(&r);
    }
    return ret;
}

IO_CMD(io_discard, {
    .name = "discard", .alias = "d", .syntax = "[-Cq] off len",
    .brief = "discards a number of bytes at a specified offset",
    .opts = discard_opts, .min = 2, .max = -1, .writes = true,
    .run = discard_run,
});
