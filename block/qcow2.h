/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2.h - the qcow2 driver's own: state of an open image and what its files
 * give each other. Facts of the format: docs/interop/qcow2.txt, "the
 * specification" in these files.
 *
 * All of it runs in the node's loop, in coroutines or alone. `lock` is held for
 * every change of metadata and every read that may wait; what is cached may be
 * looked at without it as long as nothing waits.
 */
#ifndef TERN_BLOCK_QCOW2_H
#define TERN_BLOCK_QCOW2_H

#include <glib.h>
#include "block/driver.h"

#define Q2_MAGIC       0x514649fbu
#define Q2_COPIED      (UINT64_C(1) << 63)
#define Q2_COMPRESSED  (UINT64_C(1) << 62)
#define Q2_ZERO        UINT64_C(1)
#define Q2_OFFSET      UINT64_C(0x00fffffffffffe00)
#define Q2_RESERVED    UINT64_C(0x3f000000000001fe)    /* of standard entries */
#define Q2_L1_RESERVED UINT64_C(0x7f000000000001ff)

#define Q2_L1_BYTES_MAX        (32 * MiB)
#define Q2_REFTABLE_BYTES_MAX  (8 * MiB)
#define Q2_SNAPSHOTS_MAX       65536
#define Q2_SNAP_TABLE_MAX      (64 * MiB)
#define Q2_L2_CACHE_MAX        (32 * MiB)      /* default: at most            */
#define Q2_REF_CACHE_MAX       (8 * MiB)

enum { Q2I_DIRTY = 1, Q2I_CORRUPT = 2, Q2I_DATA_FILE = 4, Q2I_COMPRESSION = 8,
       Q2I_EXTL2 = 16, Q2I_KNOWN = 31 };               /* incompatible        */
enum { Q2C_LAZY = 1 };                                 /* compatible          */
enum { Q2A_BITMAPS = 1, Q2A_RAW_DATA = 2, Q2A_KNOWN = 3 };  /* autoclear      */

typedef struct Qcow2 Qcow2;
/* Of an L2 piece: do its entries name clusters in a row, all? */
typedef enum Q2Shape { Q2S_UNKNOWN, Q2S_ANY, Q2S_RUN } Q2Shape;
typedef struct Q2Entry {               /* a cached piece of a table           */
    uint64_t off;                      /* in the file; 0: free                */
    uint8_t *data;
    uint32_t next;                     /* in its hash chain, + 1; 0: last     */
    uint16_t pins;
    bool dirty, used;
    uint8_t shape;                     /* Q2Shape                             */
    uint64_t run;                      /* Q2S_RUN: the first entry            */
} Q2Entry;
typedef struct Q2Cache {
    Qcow2 *s;
    bool l2;
    uint32_t n, size, filled, hand;    /* entries; bytes of each              */
    uint32_t dirty;                    /* how many                            */
    uint32_t *hash, mask;
    Q2Entry *e;
    uint64_t hits, misses;
} Q2Cache;

typedef struct Q2Snap {
    uint64_t l1_off;
    uint32_t l1_size;
    uint32_t date_s, date_ns;
    uint64_t vm_clock_ns, vm_state_size, disk_size, icount;
    uint32_t extra_size;
    uint8_t *extra;                    /* what lies behind the known fields   */
    char *id, *name;
} Q2Snap;

typedef struct Q2Run {                 /* clusters to be given back           */
    uint64_t off, len;                 /* bytes, whole clusters               */
    bool pass;                         /* as a discard to the file            */
} Q2Run;

/* A run of guest clusters that a write is filling; others wait. */
typedef struct Q2Flight {
    uint64_t first, end;               /* guest bytes, whole clusters         */
    struct Q2Flight *next;
} Q2Flight;

typedef enum Q2Kind {
    Q2K_NONE,                          /* not allocated, read from backing    */
    Q2K_ZERO,                          /* zeroes without a cluster            */
    Q2K_ZERO_ALLOC,                    /* zeroes, a cluster stands ready      */
    Q2K_NONE_ALLOC,                    /* from backing, a cluster stands ready */
    Q2K_DATA, Q2K_COMPRESSED, Q2K_BAD,
} Q2Kind;
typedef struct Q2Map {                 /* what is at a guest offset           */
    Q2Kind kind;
    bool copied;                       /* the cluster is ours alone           */
    uint64_t len;                      /* bytes that are alike                */
    uint64_t host;                     /* DATA, …_ALLOC: of the first byte;
                                          COMPRESSED, BAD: the entry          */
} Q2Map;

struct Qcow2 {
    BlkNode node;
    /* properties */
    int lazy_opt, discard_request_opt; /* OnOffAuto                           */
    int discard_snapshot_opt, discard_other_opt;
    uint64_t cache_size, l2_cache_size, l2_entry_size, ref_cache_size;
    uint64_t clean_interval;           /* seconds                             */
    uint32_t overlap;                  /* Q2O_*, from the options:            */
    uint32_t overlap_base, overlap_on, overlap_off;
    bool overlap_given;
    GArray *inactive_l2;               /* uint64_t, sorted: snapshots' tables */
    char *key_secret, *encrypt_format;

    /* header */
    uint32_t version, cluster_bits, cluster_size, refcount_order;
    uint32_t crypt_method, header_length;
    uint64_t incompat, compat, autoclear;
    uint8_t compression;               /* 0 zlib, 1 zstd                      */
    uint8_t *header_rest;              /* unknown fields of the header        */
    GArray *unknown_ext;               /* Q2Ext                               */
    uint64_t crypt_off, crypt_len;
    char *data_file_name;
    uint64_t bitmap_dir_off, bitmap_dir_size;
    uint32_t n_bitmaps;

    bool ext_l2;
    uint32_t sub_bits, sub_size;       /* subclusters; without: clusters      */
    uint32_t l2_entry, l2_bits;        /* bytes of an entry; entries a table  */
    uint32_t slice_bits, slice_bytes;  /* entries of a cached piece           */
    BlkNode *data;                     /* where guest data lies               */
    bool data_ext, data_raw;
    uint64_t disk_size;                /* bytes, as in the header             */

    uint64_t l1_off, *l1;              /* l1: host byte order                 */
    uint32_t l1_size;
    uint32_t l1_dirty_first, l1_dirty_end;
    uint64_t reftable_off, *reftable;
    uint32_t reftable_clusters, reftable_size;
    uint32_t ref_dirty_first, ref_dirty_end;
    uint64_t ref_max;
    uint32_t ref_bits_entries;         /* log2 of entries in a block          */
    uint64_t free_hint;                /* no free cluster before this one     */
    uint64_t bytes_off;                /* packing of compressed data; 0: none */
    uint64_t fresh, data_fresh;        /* the file beyond is known to be zero */
    bool got_fresh;                    /* was what q2_alloc gave last?        */

    Q2Cache l2c, refc;
    CoMutex lock;
    Q2Flight *flights;
    CoQueue flight_over;
    bool unsynced;                     /* written since the last barrier      */
    bool reuse_barrier;                /* freed since then: before reuse      */
    GArray *frees, *frees_old;         /* Q2Run, see q2_meta_write            */
    uint64_t frees_bytes;
    unsigned epoch, io[2];             /* data requests begun in each epoch   */

    Q2Snap *snaps;
    uint32_t n_snaps;
    uint64_t snaps_off, snaps_size;

    bool discard_request, discard_snapshot, discard_other;
    bool pass_discard;                 /* of what q2_free is told now         */
    bool lazy, corrupt, corrupt_said;
    bool unsettled;                    /* the dirty mark is needed            */
    bool settling;                     /* lazy refcounts are written now      */
    uint64_t reserved_end;             /* of preallocated clusters            */
    uint64_t vm_state_off;
    struct Q2Bitmap *bitmaps;          /* the directory on disk               */
    bool bitmaps_loaded;               /* node.bitmaps are what it says       */
    struct CryptoBlk *crypt;           /* NULL: plain                         */
    bool over_backing;                 /* there will be a backing file        */
    bool sparse;                       /* the file has holes worth asking for */
    uint8_t *memo;                     /* one cluster, decompressed           */
    uint64_t memo_entry;               /* of this entry; 0: none              */
    unsigned comp_gen;                 /* compressed data that was given back */
    Timer clean;
};
typedef struct Q2Ext {
    uint32_t magic, len;
    uint8_t *data;
} Q2Ext;

static inline Qcow2 *q2_of(BlkNode *n)
{
    return (Qcow2 *)n;
}
/* A point where blkdebug rules of the file may act. */
#define q2_event(s, name) blk_debug_event((s)->node.file, name)
void q2_lock(Qcow2 *s);
void q2_unlock(Qcow2 *s);
/* An error in the file's structure: noted in the header, and writes end. */
void q2_corrupt(Qcow2 *s, bool fatal, uint64_t off, uint64_t len,
                const char *fmt, ...) PRINTF_LIKE(5, 6);

/* ---- qcow2-header.c --- */
bool q2_header_read(Qcow2 *s, Error **errp) MACHINE_CALL;
int q2_header_write(Qcow2 *s);         /* header, extensions, backing name    */
/* The same with a barrier. When it fails the caller sets the fields back and
 * calls q2_header_back: the file has the old header again, or writes end. */
int q2_header_turn(Qcow2 *s);
void q2_header_back(Qcow2 *s);
int q2_features_write(Qcow2 *s);       /* the three feature words alone       */
int q2_dirty_set(Qcow2 *s, bool on);   /* no effect on version 2              */
void q2_header_free(Qcow2 *s);
/* Bytes within the file's bounds and aligned to a cluster? */
bool q2_area_ok(const Qcow2 *s, uint64_t off, uint64_t entries, size_t size);

/* ---- qcow2-cache.c: with the lock, but for q2_cache_peek --- */
void q2_cache_init(Q2Cache *c, Qcow2 *s, uint64_t bytes, uint32_t size,
                   bool l2);
void q2_cache_fini(Q2Cache *c);
Q2Entry *q2_cache_peek(Q2Cache *c, uint64_t off);
int q2_cache_get(Q2Cache *c, uint64_t off, Q2Entry **e);   /* pinned          */
/* A new piece: zeroes, dirty, pinned. */
int q2_cache_new(Q2Cache *c, uint64_t off, Q2Entry **e);
static inline void q2_cache_put(Q2Entry *e)
{
    e->pins--;
}
static inline void q2_cache_dirty(Q2Cache *c, Q2Entry *e)
{
    c->dirty += !e->dirty;
    e->dirty = true;
    e->shape = Q2S_ANY;
}
int q2_cache_write(Q2Cache *c);        /* all that is dirty, no barrier       */
void q2_cache_forget(Q2Cache *c, uint64_t off, uint64_t len);
void q2_cache_drop_all(Q2Cache *c);    /* after the file changed beneath      */
void q2_cache_shrink(Q2Cache *c);      /* frees what was not used of late     */
int q2_barrier(Qcow2 *s);
/* Everything to the file in the order that keeps it whole; then what was freed is
 * given back. No final barrier. */
int q2_meta_write(Qcow2 *s, bool frees);
int q2_flush(Qcow2 *s);                /* and a barrier at the end            */

/* ---- qcow2-refcount.c: with the lock --- */
uint64_t q2_ref_load(const Qcow2 *s, const uint8_t *block, uint64_t i);
void q2_ref_store(const Qcow2 *s, uint8_t *block, uint64_t i, uint64_t v);
int q2_ref_get(Qcow2 *s, uint64_t cluster, uint64_t *v);
int q2_ref_add(Qcow2 *s, uint64_t off, uint64_t len, int64_t delta);
/* Clusters in a row, at most n, at least one (exact: n). Offset or -errno. */
int64_t q2_alloc(Qcow2 *s, uint64_t n, bool exact, uint64_t *got);
/* Tries for n clusters at off. Returns how many. */
int64_t q2_alloc_at(Qcow2 *s, uint64_t off, uint64_t n);
int64_t q2_alloc_bytes(Qcow2 *s, uint32_t len);
/* Refcounts go down when no table on disk points there any more. */
void q2_free(Qcow2 *s, uint64_t off, uint64_t len);
void q2_free_entry(Qcow2 *s, uint64_t l2_entry);
int q2_frees_apply(Qcow2 *s);
bool q2_frees_due(const Qcow2 *s);

/* ---- qcow2-overlap.c --- */
enum { Q2O_HEADER = 1, Q2O_L1 = 2, Q2O_L2 = 4, Q2O_REFTABLE = 8,
       Q2O_REFBLOCK = 16, Q2O_SNAPSHOTS = 32, Q2O_INACTIVE_L1 = 64,
       Q2O_INACTIVE_L2 = 128, Q2O_BITMAPS = 256,
       Q2O_CONSTANT = 1 | 2 | 8 | 32, Q2O_CACHED = 511 & ~128, Q2O_ALL = 511 };
/* 0, or -EIO after the image was marked: the write would hit metadata other than
 * `except`. */
int q2_overlap_check(Qcow2 *s, uint32_t except, uint64_t off, uint64_t len);
/* Snapshots have changed: reads where their L2 tables are, if that counts. */
int q2_overlap_refresh(Qcow2 *s);

/* ---- qcow2-cluster.c: with the lock unless said --- */
/* Without the lock and without waiting: false when the piece is not cached. */
bool q2_map_peek(Qcow2 *s, uint64_t off, uint64_t len, Q2Map *m);
int q2_map(Qcow2 *s, uint64_t off, uint64_t len, Q2Map *m);
/* The cached slice for writing, its table private; *i: index of the entry. */
int q2_slice_for_write(Qcow2 *s, uint64_t off, Q2Entry **e, uint32_t *i);
uint64_t q2_entry(const Qcow2 *s, const Q2Entry *e, uint32_t i);
uint64_t q2_entry_sub(const Qcow2 *s, const Q2Entry *e, uint32_t i);
void q2_entry_set(Qcow2 *s, Q2Entry *e, uint32_t i, uint64_t v, uint64_t sub);
int q2_l1_grow(Qcow2 *s, uint64_t min_entries);
int q2_l1_write(Qcow2 *s);             /* the dirty part                      */
static inline uint64_t q2_l1_covers(const Qcow2 *s)    /* bytes of an entry   */
{
    return UINT64_C(1) << (s->cluster_bits + s->l2_bits);
}
/* Place and length of compressed data. */
void q2_compressed_at(const Qcow2 *s, uint64_t entry, uint64_t *off,
                      uint32_t *len);

/* ---- qcow2-io.c: without the lock --- */
int q2_read(Qcow2 *s, uint64_t off, uint64_t len, const struct iovec *iov,
            unsigned niov, uint64_t iov_off);
int q2_write(Qcow2 *s, uint64_t off, uint64_t len, const struct iovec *iov,
             unsigned niov, uint64_t iov_off);
/* Waits until nothing is being filled in the range; with the lock. */
void q2_flights_wait(Qcow2 *s, uint64_t off, uint64_t len);
void q2_flight_begin(Qcow2 *s, Q2Flight *f);
void q2_flight_end(Qcow2 *s, Q2Flight *f);
void q2_submit(BlkNode *n, BlkReq *req);
int q2_run(BlkNode *n, BlkReq *req);
int q2_lend(BlkNode *n, uint64_t off, uint64_t len, uint64_t *at,
            bool now);
int q2_extent(BlkNode *n, uint64_t off, uint64_t len, BlkExtent *x);
/* A part of a vector; *n: its length. Free with g_free. */
struct iovec *q2_iov_part(const struct iovec *iov, unsigned niov, uint64_t off,
                          uint64_t len, unsigned *n);
void q2_iov_zero(const struct iovec *iov, unsigned niov, uint64_t off,
                 uint64_t len);
void q2_iov_copy(const struct iovec *iov, unsigned niov, uint64_t off,
                 uint8_t *buf, uint64_t len, bool to_iov);
static inline unsigned q2_io_begin(Qcow2 *s)
{
    s->io[s->epoch]++;
    return s->epoch;
}
static inline void q2_io_end(Qcow2 *s, unsigned epoch)
{
    s->io[epoch]--;
}

/* ---- qcow2-zero.c: without the lock --- */
int q2_zero(Qcow2 *s, uint64_t off, uint64_t len, unsigned flags);
/* Where zeroes cannot be marked they are written. */
int q2_zero_or_write(Qcow2 *s, uint64_t off, uint64_t len);
/* full: reads from the backing file again. */
int q2_discard(Qcow2 *s, uint64_t off, uint64_t len, bool full);

/* ---- qcow2-compress.c --- */
int q2_compressed_read(Qcow2 *s, uint64_t entry, uint64_t in_cluster,
                       uint64_t len, uint8_t *to);
int q2_compressed_write(Qcow2 *s, uint64_t off, uint64_t len,
                        const struct iovec *iov, unsigned niov);

/* ---- qcow2-crypt.c: buf in place; host and guest: bytes --- */
bool q2_crypt_open(Qcow2 *s, Error **errp) MACHINE_CALL;
void q2_crypt_free(Qcow2 *s);
Json *q2_crypt_info(const Qcow2 *s);   /* NULL: not encrypted                 */
bool q2_encrypt_set(Obj *o, const Prop *p, const Json *v, Error **errp);
int q2_encrypt(Qcow2 *s, uint64_t host, uint64_t guest, uint8_t *buf,
               uint64_t len);
int q2_decrypt(Qcow2 *s, uint64_t host, uint64_t guest, uint8_t *buf,
               uint64_t len);

/* ---- qcow2-snaptable.c, qcow2-snapshot.c --- */
bool q2_snapshots_read(Qcow2 *s, Error **errp) MACHINE_CALL;
void q2_snapshots_free(Qcow2 *s);
void q2_snap_free(Q2Snap *p);
int q2_snapshots_write(Qcow2 *s, const Q2Snap *snaps, uint32_t n);
/* Its L1 table in host byte order, with room for so many entries; g_free. */
int q2_snap_l1(Qcow2 *s, const Q2Snap *p, uint32_t room, uint64_t **out);
extern const BlkSnapshotOps q2_snapshot_ops;
int q2_vmstate_rw(BlkNode *n, uint64_t pos, void *buf, size_t len, bool write);

/* ---- qcow2.c --- */
/* An image outside the graph, on a file that the caller holds; no backing.
 * secret: of its key; NULL: none. */
Qcow2 *q2_private_open(BlkNode *file, const char *secret, Error **errp)
    MACHINE_CALL;
bool q2_private_close(Qcow2 *s, Error **errp) MACHINE_CALL;     /* frees it   */

/* ---- qcow2-bitmap.c, qcow2-bitmap-store.c --- */
bool q2_bitmaps_read(Qcow2 *s, Error **errp) MACHINE_CALL;
void q2_bitmaps_free(Qcow2 *s);
bool q2_bitmaps_load(Qcow2 *s, Error **errp) MACHINE_CALL;
/* The image is about to be written; with the lock or alone. */
int q2_bitmaps_begin(Qcow2 *s);
int q2_bitmaps_store(Qcow2 *s);        /* with the lock; at the end           */
extern const BlkBitmapOps q2_bitmap_ops;
Json *q2_bitmaps_info(const Qcow2 *s);
/* What the bitmaps of `in` would take; -1: it can have none. */
int64_t q2_bitmaps_measure(BlkNode *in, uint64_t cluster);

/* ---- qcow2-opts.c --- */
bool q2_tri_set(Obj *o, const Prop *p, const Json *v, Error **errp);
Json *q2_tri_get(const Obj *o, const Prop *p, Error **errp);
bool q2_overlap_set(Obj *o, const Prop *p, const Json *v, Error **errp);
bool q2_overlap_bit_set(Obj *o, const Prop *p, const Json *v, Error **errp);
void q2_overlap_mask(Qcow2 *s);
void q2_info(BlkNode *n, BlkNodeInfo *i);
Json *q2_specific(BlkNode *n);
void q2_running(BlkNode *n, Json *specific);
void q2_corrupt_event(Qcow2 *s, bool fatal, uint64_t off, uint64_t len,
                      const char *text);

/* ---- the rest --- */
int q2_check(BlkNode *n, BlkCheck *c, int fix, Error **errp);
extern const Prop q2_create_props[];
bool q2_create(BlkCreate *c, Error **errp) MACHINE_CALL;
bool q2_measure(const BlkCreate *c, BlkNode *in, BlkMeasure *m, Error **errp)
    MACHINE_CALL;
bool q2_truncate(BlkNode *n, uint64_t length, BlkPrealloc prealloc, bool exact,
                 Error **errp) MACHINE_CALL;
int q2_make_empty(BlkNode *n);
bool q2_amend(BlkNode *n, const BlkAmend *how, Error **errp) MACHINE_CALL;
bool q2_set_backing(BlkNode *n, const char *file, const char *fmt, Error **errp)
    MACHINE_CALL;
/* Allocates everything in the range without writing data. */
int q2_preallocate(Qcow2 *s, uint64_t off, uint64_t len);

#endif
