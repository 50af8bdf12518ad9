/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2-compress.c - compressed clusters: raw deflate (RFC 1951) or zstd
 * (RFC 8878), done by the loop's workers, many clusters at once.
 * (the specification: Compressed Clusters Descriptor, compression_type)
 *
 * Thread class: LOOP_CALL(node's loop); squeeze and expand in workers, which
 * touch their buffers alone.
 *
 * Invariants
 * 1. What comes from the file is bounded by the entry (at most two clusters) and
 *    must give exactly one cluster.
 * 2. A cluster that does not get smaller is stored as it is.
 */
#include <pthread.h>
#include <zlib.h>
#include "config.h"
#include "block/qcow2.h"
#ifdef CONFIG_ZSTD
#include <zstd.h>
#endif
#ifdef CONFIG_LIBDEFLATE
#include <libdeflate.h>
#endif

#define PARALLEL 16

typedef struct Job {
    PoolTask task;
    uint8_t *in, *out;
    size_t in_len, out_len;            /* out_len: room, then the length      */
    uint8_t method;
    unsigned *left;
    Co *co;
} Job;

/* ---- methods: in workers ------------------------------------------------- */

typedef struct Tools {                 /* a thread's own; large to set up     */
#ifdef CONFIG_LIBDEFLATE
    struct libdeflate_compressor *deflate;
    struct libdeflate_decompressor *inflate;
#endif
#ifdef CONFIG_ZSTD
    ZSTD_CCtx *zc;
    ZSTD_DCtx *zd;
#endif
} Tools;

static pthread_key_t tools_key;
static pthread_once_t tools_once = PTHREAD_ONCE_INIT;

static void tools_free(void *p)
{
    Tools *t = p;

#ifdef CONFIG_LIBDEFLATE
    libdeflate_free_compressor(t->deflate);
    libdeflate_free_decompressor(t->inflate);
#endif
#ifdef CONFIG_ZSTD
    ZSTD_freeCCtx(t->zc);
    ZSTD_freeDCtx(t->zd);
#endif
    g_free(t);
}

static void tools_make(void)
{
    pthread_key_create(&tools_key, tools_free);
}

static Tools *tools(void)
{
    Tools *t;

    pthread_once(&tools_once, tools_make);
    t = pthread_getspecific(tools_key);
    if (!t) {
        t = g_new0(Tools, 1);
        pthread_setspecific(tools_key, t);
    }
    return t;
}

static int64_t deflate_squeeze(Job *j)
{
#ifdef CONFIG_LIBDEFLATE
    Tools *t = tools();

    t->deflate = t->deflate ? t->deflate : libdeflate_alloc_compressor(6);
    j->out_len = t->deflate ? libdeflate_deflate_compress(t->deflate, j->in,
                              j->in_len, j->out, j->out_len) : 0;
    return j->out_len ? 0 : -ENOSPC;
#else
    z_stream z = { .next_in = j->in, .avail_in = (uInt)j->in_len,
                   .next_out = j->out, .avail_out = (uInt)j->out_len };
    int ret;

    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -12, 9,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
        return -ENOMEM;
    }
    ret = deflate(&z, Z_FINISH);
    j->out_len -= z.avail_out;
    deflateEnd(&z);
    return ret == Z_STREAM_END ? 0 : -ENOSPC;
#endif
}

static int64_t deflate_expand(Job *j)
{
#ifdef CONFIG_LIBDEFLATE
    Tools *t = tools();
    size_t used, made;

    t->inflate = t->inflate ? t->inflate : libdeflate_alloc_decompressor();
    if (t->inflate && libdeflate_deflate_decompress_ex(t->inflate, j->in,
        j->in_len, j->out, j->out_len, &used, &made) == LIBDEFLATE_SUCCESS &&
        made == j->out_len) {
        return 0;
    }
#endif
    {
        z_stream z = { .next_in = j->in, .avail_in = (uInt)j->in_len,
                       .next_out = j->out, .avail_out = (uInt)j->out_len };
        int ret;

        if (inflateInit2(&z, -15) != Z_OK) {
            return -ENOMEM;
        }
        ret = inflate(&z, Z_FINISH);
        inflateEnd(&z);
        return (ret == Z_STREAM_END || ret == Z_BUF_ERROR) && !z.avail_out
               ? 0 : -EIO;
    }
}

#ifdef CONFIG_ZSTD
static int64_t zstd_squeeze(Job *j)
{
    Tools *t = tools();
    size_t n;

    t->zc = t->zc ? t->zc : ZSTD_createCCtx();
    n = t->zc ? ZSTD_compressCCtx(t->zc, j->out, j->out_len, j->in, j->in_len,
                                  3) : 0;
    if (!n || ZSTD_isError(n)) {
        return -ENOSPC;
    }
    j->out_len = n;
    return 0;
}

static int64_t zstd_expand(Job *j)
{
    Tools *t = tools();
    ZSTD_DCtx *d;
    ZSTD_inBuffer in = { j->in, j->in_len, 0 };
    ZSTD_outBuffer out = { j->out, j->out_len, 0 };

    d = t->zd = t->zd ? t->zd : ZSTD_createDCtx();
    if (!d || ZSTD_isError(ZSTD_DCtx_reset(d, ZSTD_reset_session_only))) {
        return -ENOMEM;
    }
    while (out.pos < out.size) {
        size_t in_was = in.pos, out_was = out.pos;

        if (ZSTD_isError(ZSTD_decompressStream(d, &out, &in)) ||
            (in.pos == in_was && out.pos == out_was)) {
            return -EIO;
        }
    }
    return 0;
}
#else
static int64_t zstd_squeeze(Job *j)
{
    return -ENOTSUP;
}

static int64_t zstd_expand(Job *j)
{
    return -ENOTSUP;
}
#endif

static int64_t squeeze(void *arg)
{
    Job *j = arg;

    return j->method ? zstd_squeeze(j) : deflate_squeeze(j);
}

static int64_t expand(void *arg)
{
    Job *j = arg;

    return j->method ? zstd_expand(j) : deflate_expand(j);
}

/* ---- reading ------------------------------------------------------------- */

int q2_compressed_read(Qcow2 *s, uint64_t entry, uint64_t in_cluster,
                       uint64_t len, uint8_t *to)
{
    Job j = { .method = s->compression, .out_len = s->cluster_size };
    unsigned gen = s->comp_gen;
    uint64_t off;
    uint32_t n;
    int ret;

    if (s->memo_entry == entry) {
        memcpy(to, s->memo + in_cluster, len);
        return 0;
    }
    q2_compressed_at(s, entry, &off, &n);
    j.in_len = n;
    j.in = g_malloc(n);
    j.out = g_malloc(s->cluster_size);
    q2_event(s, "read_compressed");
    ret = blk_co_pread(s->node.file, off, j.in, n);
    if (ret >= 0) {
        ret = (int)(co_self() ? pool_co_run(expand, &j) : expand(&j));
    }
    if (ret >= 0) {
        memcpy(to, j.out + in_cluster, len);
        if (gen == s->comp_gen) {
            g_free(s->memo);
            s->memo = j.out;
            s->memo_entry = entry;
            j.out = NULL;
        }
    }
    g_free(j.in);
    g_free(j.out);
    return ret;
}

/* ---- writing ------------------------------------------------------------- */

static void job_done(void *arg, int64_t ret)
{
    Job *j = arg;

    j->task.ret = ret;
    if (!--*j->left) {
        co_wake(j->co);
    }
}

/* All jobs at once; each one's result is in its task. */
static void jobs_run(Job *jobs, unsigned n)
{
    unsigned left = n;
    Co *co = co_self();

    for (unsigned i = 0; i < n; i++) {
        Job *j = &jobs[i];

        if (!co || n == 1) {
            j->task.ret = co ? pool_co_run(squeeze, j) : squeeze(j);
            continue;
        }
        j->left = &left;
        j->co = co;
        j->task = (PoolTask){ .run = squeeze, .done = job_done, .arg = j };
        pool_submit(&j->task);
    }
    while (co && n > 1 && left) {
        co_yield();
    }
}

static int store_link(Qcow2 *s, uint64_t guest, uint64_t at, size_t len)
{
    unsigned x = 62 - (s->cluster_bits - 8);
    uint64_t sectors = ((at + len - 1) >> 9) - (at >> 9), old;
    Q2Entry *e;
    uint32_t i;
    int ret = q2_slice_for_write(s, guest, &e, &i);

    q2_event(s, "l2_update_compressed");
    if (ret >= 0) {
        old = q2_entry(s, e, i);
        q2_entry_set(s, e, i, Q2_COMPRESSED | at | sectors << x, 0);
        q2_free_entry(s, old);
        q2_cache_put(e);
    }
    return ret;
}

/* -ENOSPC: not worth it, or no room for it in the descriptor. */
static int store(Qcow2 *s, uint64_t guest, const uint8_t *data, size_t len)
{
    Q2Flight f = { .first = guest, .end = guest + s->cluster_size };
    uint64_t first;
    int64_t at;
    int ret = 0;

    q2_lock(s);
    q2_flights_wait(s, guest, s->cluster_size);
    at = q2_alloc_bytes(s, (uint32_t)len);
    if (at >= 0 && (uint64_t)at >> MIN2(62 - (s->cluster_bits - 8), 56)) {
        ret = -ENOSPC;
    }
    if (at < 0) {
        q2_unlock(s);
        return (int)at;
    }
    q2_flight_begin(s, &f);
    q2_unlock(s);
    ret = ret < 0 ? ret : q2_overlap_check(s, 0, (uint64_t)at, len);
    q2_event(s, "write_compressed");
    ret = ret < 0 ? ret : blk_co_pwrite(s->node.file, (uint64_t)at, data, len,
                                        0);
    s->unsynced = true;
    q2_lock(s);
    ret = ret < 0 ? ret : store_link(s, guest, (uint64_t)at, len);
    if (ret < 0) {
        first = ALIGN_DOWN((uint64_t)at, s->cluster_size);
        q2_free(s, first, (uint64_t)at + len - first);
    }
    q2_flight_end(s, &f);
    q2_unlock(s);
    return ret;
}

static int write_jobs(Qcow2 *s, uint64_t off, uint64_t len, Job *jobs,
                      unsigned n)
{
    uint64_t cs = s->cluster_size;
    int ret = 0;

    jobs_run(jobs, n);
    for (unsigned i = 0; ret >= 0 && i < n; i++) {
        struct iovec iov = { jobs[i].in, MIN2(cs, len - i * cs) };

        ret = jobs[i].task.ret < 0 ? -ENOSPC
            : store(s, off + i * cs, jobs[i].out, jobs[i].out_len);
        if (ret == -ENOSPC) {
            ret = q2_write(s, off + i * cs, iov.iov_len, &iov, 1, 0);
        }
    }
    return ret;
}

int q2_compressed_write(Qcow2 *s, uint64_t off, uint64_t len,
                        const struct iovec *iov, unsigned niov)
{
    uint64_t cs = s->cluster_size, at = 0;
    int ret = 0;

    if (s->data_ext || s->crypt) {
        return -ENOTSUP;
    }
    if (off % cs || (len % cs && off + len < s->node.length)) {
        return -EINVAL;
    }
    while (ret >= 0 && at < len) {
        uint64_t part = MIN2(len - at, PARALLEL * cs);
        unsigned n = (unsigned)((part + cs - 1) / cs);
        g_autofree uint8_t *buf = g_malloc0(n * cs * 2);
        Job jobs[PARALLEL] = { 0 };

        q2_iov_copy(iov, niov, at, buf, part, false);
        for (unsigned i = 0; i < n; i++) {
            jobs[i] = (Job){ .method = s->compression, .in = buf + i * cs,
                             .out = buf + (n + i) * cs, .in_len = cs,
                             .out_len = cs - 1 };
        }
        ret = write_jobs(s, off + at, part, jobs, n);
        at += part;
    }
    return ret;
}
