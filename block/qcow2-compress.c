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

/* A quarter less time than the usual 3, for one hundredth more bytes. */
#define ZSTD_LEVEL 2
#define PARALLEL 16
/* At clusters' sizes level 3 is hardly smaller and takes half as long again. */
#define ZSTD_LEVEL 2

typedef struct Job {
    PoolTask task;
    uint8_t *in, *out;
    size_t in_len, out_len;            /* out_len: room, then the length      */
    uint8_t method;
    uint64_t at;                       /* in the file; 0: not stored so       */
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
                                  ZSTD_LEVEL) : 0;
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

/* Clusters' parts that no entry names. */
static void jobs_give_back(Qcow2 *s, Job *jobs, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        uint64_t first = ALIGN_DOWN(jobs[i].at, s->cluster_size);

        if (jobs[i].at) {
            q2_free(s, first, jobs[i].at + jobs[i].out_len - first);
            jobs[i].at = 0;
        }
    }
}

/* Room for what was squeezed, packed; at 0: stored as it is (invariant 2). */
static int jobs_place(Qcow2 *s, Job *jobs, unsigned n)
{
    uint64_t limit = UINT64_C(1) << MIN2(62 - (s->cluster_bits - 8), 56);

    for (unsigned i = 0; i < n; i++) {
        Job *j = &jobs[i];
        int64_t at = j->task.ret < 0
                     ? 0 : q2_alloc_bytes(s, (uint32_t)j->out_len);

        if (at < 0) {
            return (int)at;
        }
        j->at = (uint64_t)at;
        if (j->at && j->at + j->out_len >= limit) {
            jobs_give_back(s, j, 1);
        }
    }
    return 0;
}

/* One write for those that lie in a row. */
static int jobs_store(Qcow2 *s, const Job *jobs, unsigned n)
{
    struct iovec iov[PARALLEL];
    int ret = 0;

    for (unsigned i = 0, k; ret >= 0 && i < n; i += MAX2(k, 1)) {
        uint64_t len = 0;

        for (k = 0; i + k < n && jobs[i + k].at &&
                    jobs[i + k].at == jobs[i].at + len; k++) {
            iov[k] = (struct iovec){ jobs[i + k].out, jobs[i + k].out_len };
            len += jobs[i + k].out_len;
        }
        if (k) {
            ret = q2_overlap_check(s, 0, jobs[i].at, len);
            q2_event(s, "write_compressed");
            ret = ret < 0 ? ret : blk_co_pwritev(s->node.file, jobs[i].at, len,
                                                 iov, k, 0);
        }
    }
    s->unsynced = true;
    return ret;
}

/* What got smaller reaches the file, then the L2 entries say so. */
static int jobs_write(Qcow2 *s, uint64_t guest, Job *jobs, unsigned n)
{
    uint64_t cs = s->cluster_size;
    Q2Flight f = { .first = guest, .end = guest + n * cs };
    unsigned linked = 0;
    int ret;

    q2_lock(s);
    q2_flights_wait(s, guest, n * cs);
    q2_flight_begin(s, &f);
    ret = jobs_place(s, jobs, n);
    q2_unlock(s);
    ret = ret < 0 ? ret : jobs_store(s, jobs, n);
    q2_lock(s);
    for (; ret >= 0 && linked < n; linked++) {
        const Job *j = &jobs[linked];

        ret = j->at ? store_link(s, guest + linked * cs, j->at, j->out_len) : 0;
        linked -= ret < 0;
    }
    jobs_give_back(s, jobs + linked, n - linked);
    q2_flight_end(s, &f);
    q2_unlock(s);
    return ret;
}

static int jobs_all(Qcow2 *s, uint64_t off, uint64_t len, Job *jobs, unsigned n)
{
    uint64_t cs = s->cluster_size;
    int ret;

    jobs_run(jobs, n);
    ret = jobs_write(s, off, jobs, n);
    for (unsigned i = 0; ret >= 0 && i < n; i++) {
        struct iovec iov = { jobs[i].in, MIN2(cs, len - i * cs) };

        if (!jobs[i].at) {
            ret = q2_write(s, off + i * cs, iov.iov_len, &iov, 1, 0);
        }
    }
    return ret;
}

/* The part of the vector as one piece: in place where it is one. */
static uint8_t *piece(const Qcow2 *s, const struct iovec *iov, unsigned niov,
                      uint64_t at, uint64_t len, uint8_t *buf)
{
    if (niov == 1 && len % s->cluster_size == 0) {
        return (uint8_t *)iov->iov_base + at;
    }
    q2_iov_copy(iov, niov, at, buf, len, false);
    memset(buf + len, 0, ALIGN_UP(len, s->cluster_size) - len);
    return buf;
}

int q2_compressed_write(Qcow2 *s, uint64_t off, uint64_t len,
                        const struct iovec *iov, unsigned niov)
{
    uint64_t cs = s->cluster_size, at = 0;
    unsigned most = (unsigned)MIN2(PARALLEL, (len + cs - 1) / cs);
    g_autofree uint8_t *room = NULL;
    int ret = 0;

    if (s->data_ext || s->crypt) {
        return -ENOTSUP;
    }
    if (off % cs || (len % cs && off + len < s->node.length)) {
        return -EINVAL;
    }
    room = g_try_malloc(MAX2(most, 1) * cs * 2);
    if (!room) {
        return -ENOMEM;
    }
    while (ret >= 0 && at < len) {
        uint64_t part = MIN2(len - at, PARALLEL * cs);
        unsigned n = (unsigned)((part + cs - 1) / cs);
        uint8_t *in = piece(s, iov, niov, at, part, room + most * cs);
        Job jobs[PARALLEL] = { 0 };

        for (unsigned i = 0; i < n; i++) {
            jobs[i] = (Job){ .method = s->compression, .in = in + i * cs,
                             .out = room + i * cs, .in_len = cs,
                             .out_len = cs - 1 };
        }
        ret = jobs_all(s, off + at, part, jobs, n);
        at += part;
    }
    return ret;
}
