/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * driver.h - what a block format, protocol or filter declares, and the node that
 * it embeds. Only block/ and introspection look inside.
 *
 * A layer that must act on completion takes a slot: blk_push, submit to the child,
 * and blk_complete from its done. A layer that does not changes the request in
 * place and passes it on.
 */
#ifndef TERN_BLOCK_DRIVER_H
#define TERN_BLOCK_DRIVER_H

#include "blk.h"

typedef enum BlkZeroes { ZEROES_OFF, ZEROES_ON, ZEROES_UNMAP } BlkZeroes;
typedef struct BlkGate {               /* requests that may exclude others    */
    BlkSlot *flying;                   /* of those let in                     */
    unsigned alone;                    /* of them: nothing else on their bytes */
    BlkReq *first, **last;             /* waiting, in order of arrival        */
} BlkGate;

struct BlkNode {
    const BlkDriver *drv;
    char *name;                        /* node-name; "#block…" when none given */
    char *filename;                    /* for people; "" when there is none   */
    unsigned flags;                    /* BLKO_*                              */
    int refs;
    bool owned;                        /* by blockdev-add                     */
    bool probed;                       /* guessed raw: block 0 is protected   */
    bool read_only;
    int discard;                       /* 0 ignore, 1 unmap                   */
    int detect_zeroes;                 /* BlkZeroes                           */
    bool force_share, auto_read_only;
    BlkNode *file, *backing;           /* also in children                    */
    struct BlkChild *children;
    Json *child_opts;                  /* given for children, until opened    */
    bool child_text;                   /* with strings for all values         */
    struct BlkBitmap *bitmaps;         /* dirty bitmaps, block/bitmap.h       */
    char *backing_name, *backing_format;   /* as the image records them; NULL */
    uint64_t wr_highest, write_threshold;  /* ends of writes; 0: no event     */
    unsigned running;                  /* requests inside co_run              */
    Loop *loop;
    BlkLimits limits;
    uint64_t length;                   /* bytes, multiple of 512              */
    uint64_t perm, shared;             /* of all parents                      */
    uint64_t perm_take, perm_unshare;  /* asked of children besides           */
    struct BlkParent *parents;
    BlkGate gate;
    bool gated;                        /* all writes pass the gate            */
    bool cor_self;                     /* reads copy to the node itself       */
    uint64_t cor_unit;                 /* reads are alone on these; 0: not so */
    Json *opts;                        /* as given, for query                 */
    bool opts_text;                    /* with strings for all values         */
    unsigned seq;                      /* order of the opening's begin        */
    BlkNode *next;                     /* registry, by seq                    */
};

/* Someone who uses a node: a backend or another node. */
typedef struct BlkParent {
    const char *(*who)(void *arg);
    void *arg;
    const char *role;                  /* "root", "file"                      */
    uint64_t perm, shared;
    BlkNode *node;                     /* the user, when it is a node         */
    struct BlkBackend *blk;            /* when it is a backend                */
    struct BlkParent *next;
} BlkParent;

/* What a node uses another for; decides what it asks for and shares. */
typedef enum BlkRole {
    ROLE_STORAGE,                      /* holds a format's data and metadata  */
    ROLE_FILTERED,                     /* shows the same contents             */
    ROLE_BACKING,                      /* read where nothing is allocated     */
    ROLE_DATA,                         /* a format's data only                */
} BlkRole;
typedef struct BlkChild {
    const char *name;                  /* "file", "backing", "data-file"      */
    BlkRole role;
    BlkNode *node;
    BlkParent parent;                  /* in node's list                      */
    struct BlkChild *next;
} BlkChild;
typedef struct BlkChildRow {
    const char *name;                  /* member of blockdev-add; NULL: end   */
    BlkRole role;
    bool by_driver;                    /* open() calls blk_child_open; else it
                                          is required and opened before       */
} BlkChildRow;

/* ---- what formats offer beside requests; all called as co_run is --------- */
typedef enum BlkPrealloc { PREALLOC_OFF, PREALLOC_METADATA, PREALLOC_FALLOC,
                           PREALLOC_FULL } BlkPrealloc;
extern const PropEnum blk_prealloc_enum;           /* PreallocMode            */

/* Head of a driver's creation options. The driver's create_props describe the
 * rest of the struct by the names of `create -o`. */
typedef struct BlkCreate {
    char *filename;                    /* protocols                           */
    BlkNode *file;                     /* formats: opened, writable, empty    */
    uint64_t size;                     /* bytes; "size" is set by the caller  */
    char *backing_file, *backing_fmt;  /* as given; checked by the caller     */
    bool backing_unsafe;               /* not to be opened                    */
    bool too_large;                    /* set with an error: no file is so    */
} BlkCreate;
typedef struct BlkSnapshot {
    char id[128], name[256];
    uint64_t vm_state_size, disk_size; /* bytes                               */
    int64_t date_s;                    /* since 1970                          */
    uint32_t date_ns;
    uint64_t vm_clock_ns, icount;      /* icount UINT64_MAX: not known        */
} BlkSnapshot;
typedef struct BlkCheck {              /* of `check`                          */
    uint64_t corruptions, leaks, check_errors;
    uint64_t corruptions_fixed, leaks_fixed;
    uint64_t image_end_offset, total_clusters, allocated_clusters,
             fragmented_clusters, compressed_clusters;
    void (*say)(void *arg, const char *line);      /* a finding, for people   */
    void *arg;
} BlkCheck;
enum { BLKC_FIX_LEAKS = 1, BLKC_FIX_ERRORS = 2 };
typedef struct BlkMeasure {
    uint64_t required, fully_allocated;
    int64_t bitmaps;                   /* -1: none                            */
} BlkMeasure;
typedef struct BlkAmend {              /* of `amend`                          */
    const void *opts;                  /* a struct of amend_props             */
    const uint8_t *given;              /* [i]: row i of amend_props was       */
    bool force;                        /* what may lose data is allowed       */
    void (*progress)(void *arg, double part);      /* NULL: nobody looks      */
    void *arg;
} BlkAmend;
typedef struct BlkNodeInfo {           /* of query-named-block-nodes, map …   */
    uint64_t cluster_size;             /* 0: none                             */
    bool dirty, compressed, unallocated_are_zero, can_snapshot, encrypted;
    uint64_t vm_state_off;             /* where VM state is kept; 0: nowhere  */
    uint32_t compress_align;           /* of BLKF_COMPRESSED writes; 0: cannot */
} BlkNodeInfo;
typedef struct BlkSnapshotOps {
    int (*create)(BlkNode *n, BlkSnapshot *s, Error **errp);
    int (*go)(BlkNode *n, const char *id, Error **errp);
    int (*del)(BlkNode *n, const char *id, const char *name, Error **errp);
    /* *list: allocated array; returns its length */
    int (*list)(BlkNode *n, BlkSnapshot **list);
    /* Shows the snapshot's contents, read-only. */
    int (*load)(BlkNode *n, const char *id, const char *name, Error **errp);
} BlkSnapshotOps;
/* Persistent dirty bitmaps. */
typedef struct BlkBitmapOps {
    bool (*can_store)(BlkNode *n, const char *name, uint32_t granularity,
                      Error **errp);
    int (*remove)(BlkNode *n, const char *name, Error **errp);
} BlkBitmapOps;

struct BlkDriver {
    const char *name;                  /* "qcow2"                             */
    const char *desc, *doc;
    size_t size;                       /* of the struct; BlkNode first        */
    const Prop *props;                 /* its branch of blockdev-add          */
    const BlkChildRow *children;       /* NULL: none (protocols)              */
    bool protocol, filter;
    const char *prefix;                /* of file names: "file:"              */
    /* What follows the prefix, as options with dots; NULL: it is "filename". */
    bool (*parse_filename)(const char *rest, Json *opts, Error **errp);
    /* Options are in the struct, children open; sets length and limits. */
    bool (*open)(BlkNode *n, Error **errp) MACHINE_PTR;
    void (*close)(BlkNode *n) MACHINE_PTR;
    /* Never blocks. Ends in blk_complete in the node's loop. */
    void (*submit)(BlkNode *n, BlkReq *req);
    /* In place of submit: sequential code in a coroutine of the node's loop, or,
     * while nothing else runs on the node, outside one under the machine lock.
     * May wait by blk_co_* only (and co_mutex, co_queue for what other requests
     * hold). Returns 0 or -errno. */
    int (*co_run)(BlkNode *n, BlkReq *req);
    /* As submit, but here and now, by the calling thread; NULL: cannot (with
     * co_run: co_run is). */
    int (*sync)(BlkNode *n, BlkReq *req);
    /* By the host, between two nodes with this very function: 0, or -errno with
     * nothing promised about what was to be written. */
    int (*copy_range)(BlkNode *from, uint64_t from_off, BlkNode *to,
                      uint64_t to_off, uint64_t len);
    /* As blk_lend, of the node. */
    int (*lend)(BlkNode *n, uint64_t off, uint64_t len, uint64_t *at,
                bool now);
    void (*plug)(BlkNode *n);
    void (*unplug)(BlkNode *n);
    /* Parents' wishes have changed; may refuse. NULL: passed on to file. */
    bool (*set_perm)(BlkNode *n, uint64_t perm, uint64_t shared, Error **errp)
        MACHINE_PTR;
    void (*set_loop)(BlkNode *n, Loop *to) MACHINE_PTR;
    /* How likely the first bytes of an image are of this format, 0..100. */
    int (*probe)(const uint8_t *buf, size_t n, const char *filename);
    bool (*truncate)(BlkNode *n, uint64_t length, BlkPrealloc prealloc,
                     bool exact, Error **errp) MACHINE_PTR;
    void (*file_resized)(BlkNode *n);  /* the file's length has changed       */
    int64_t (*allocated)(BlkNode *n);  /* bytes on the host; -errno           */
    Json *(*counts)(BlkNode *n);       /* BlockStatsSpecific, without driver  */
    /* State of the bytes from off: *x for at least one and at most len of them.
     * x->len, flags, map, file; BLKX_RECURSE: ask x->file at x->map too. Not
     * allocated here: no BLKX_ALLOCATED. NULL: all is data. 0 or -errno. */
    int (*extent)(BlkNode *n, uint64_t off, uint64_t len, BlkExtent *x);
    /* MACHINE_CALL, the node drained, from here on. */
    int (*flush_meta)(BlkNode *n);     /* caches to the file, without fsync   */
    bool (*reopen)(BlkNode *n, Json *opts, unsigned flags, Error **errp)
        MACHINE_PTR;
    bool (*set_backing)(BlkNode *n, const char *file, const char *fmt,
                        Error **errp) MACHINE_PTR; /* records; NULL: none     */
    int (*make_empty)(BlkNode *n);     /* drops everything allocated here     */
    int (*check)(BlkNode *n, BlkCheck *c, int fix, Error **errp);
    bool (*amend)(BlkNode *n, const BlkAmend *a, Error **errp) MACHINE_PTR;
    void (*info)(BlkNode *n, BlkNodeInfo *i);
    Json *(*specific)(BlkNode *n);     /* ImageInfoSpecific's data            */
    void (*running)(BlkNode *n, Json *specific);   /* adds what queries tell
                                                      beside it              */
    const BlkSnapshotOps *snapshots;
    const BlkBitmapOps *bitmaps;
    /* VM state at pos bytes of its area. 0 or -errno. */
    int (*vmstate_rw)(BlkNode *n, uint64_t pos, void *buf, size_t len,
                      bool write);
    bool (*inactivate)(BlkNode *n, Error **errp) MACHINE_PTR;
    bool (*activate)(BlkNode *n, Error **errp) MACHINE_PTR;
    /* Making images. create_size: of the struct, BlkCreate first. */
    const Prop *create_props;          /* by the names of `create -o`         */
    size_t create_size;
    const Prop *amend_props;           /* of `amend -o`                       */
    size_t amend_size;
    bool (*create)(BlkCreate *c, Error **errp) MACHINE_PTR;
    /* in: an image to hold, or NULL with c->size. */
    bool (*measure)(const BlkCreate *c, BlkNode *in, BlkMeasure *m,
                    Error **errp) MACHINE_PTR;
    /* A drained section of the node begins or ends, in its loop: while in one
     * nothing is held back. */
    void (*drained)(BlkNode *n, bool on);
    /* Options that change what is shown, NULL-terminated, "x." for all of x; the
     * node's name tells them. */
    const char *const *strong;
    char *(*filename)(BlkNode *n);     /* a name of its own kind; may be NULL */
    bool backing, encrypts;            /* images may name a backing file      */
    bool reopens;                      /* any option may change: closed, opened */
};
#define BLK_DRIVER(sym, ...) SET_MEMBER(blk_drivers, BlkDriver, sym, __VA_ARGS__)

const BlkDriver *blk_driver_find(const char *name);
/* To an error about `name`: the hint which may have been meant; false. */
bool blk_driver_suggest(const char *name, Error **errp);
extern const Prop blk_node_props[];    /* options of every node               */

/* ---- requests --- */
/* Takes a slot; the layer's words are in req->slot[…].w. NULL: too deep, the
 * request has been completed with -ELOOP. */
BlkSlot *blk_push(BlkReq *req, void (*done)(BlkReq *req));
/* The slot that was pushed last, for its done. */
static inline BlkSlot *blk_slot(BlkReq *req)
{
    return &req->slot[req->depth];
}
/* Ends the request at this layer: the layer above is told. */
void blk_complete(BlkReq *req, int ret);
/* Submits to a node: aligns and bounces where its limits ask for it. */
void blk_node_submit(BlkNode *n, BlkReq *req);
int blk_node_sync(BlkNode *n, BlkReq *req);
int blk_node_lend(BlkNode *n, uint64_t off, uint64_t len, uint64_t *at,
                  bool now);

/* ---- sequential access to a node ------------------------------------------
 * In a coroutine of the node's loop these yield; elsewhere, under the machine
 * lock, they wait. off and len in bytes, any alignment. 0 or -errno; a read past
 * the end of the node gives zeroes, a write there grows it if it can. */
int blk_co_preadv(BlkNode *n, uint64_t off, uint64_t len,
                  const struct iovec *iov, unsigned niov, unsigned flags);
int blk_co_pwritev(BlkNode *n, uint64_t off, uint64_t len,
                   const struct iovec *iov, unsigned niov, unsigned flags);
int blk_co_pread(BlkNode *n, uint64_t off, void *buf, size_t len);
int blk_co_pwrite(BlkNode *n, uint64_t off, const void *buf, size_t len,
                  unsigned flags);
int blk_co_zero(BlkNode *n, uint64_t off, uint64_t len, unsigned flags);
int blk_co_discard(BlkNode *n, uint64_t off, uint64_t len);
int blk_co_flush(BlkNode *n);
/* Any request; req's op, off, len, iov, flags are set. */
int blk_co_req(BlkNode *n, BlkReq *req);
/* What is read where n has nothing of its own: its backing node's contents, zeroes
 * past that one's end or without one. */
int blk_co_backing_preadv(BlkNode *n, uint64_t off, uint64_t len,
                          const struct iovec *iov, unsigned niov);
/* The driver's extent, merged down: what n shows from off, BLKX_ALLOCATED where
 * n itself, not its backing chain, holds it. */
int blk_node_extent(BlkNode *n, uint64_t off, uint64_t len, BlkExtent *x);
/* A copy of len bytes between nodes, by the host where it can. */
int blk_co_copy(BlkNode *from, uint64_t from_off, BlkNode *to, uint64_t to_off,
                uint64_t len, unsigned flags);
/* The same only where the host can: 0, or -errno: it is to be done by reading
 * and writing all. */
int blk_co_copy_host(BlkNode *from, uint64_t from_off, BlkNode *to,
                     uint64_t to_off, uint64_t len);
/* Does the node, with those below it, serve requests on the spot? */
bool blk_node_can_sync(const BlkNode *n);
/* co_run, in a coroutine or not; zeroes that it cannot make are written. */
int blk_co_run(BlkNode *n, BlkReq *req);
/* A node whose co_run is being entered for req (submit of such nodes). */
void blk_co_submit(BlkNode *n, BlkReq *req);

/* ---- fault injection ------------------------------------------------------
 * A format tells its file (n) that it has come to an event of blockdev-add's
 * BlkdebugEvent; costs a comparison when no blkdebug node exists. */
extern unsigned blk_debug_nodes;
void blk_debug_event_do(BlkNode *n, const char *name);
static inline void blk_debug_event(BlkNode *n, const char *name)
{
    if (UNLIKELY(blk_debug_nodes)) {
        blk_debug_event_do(n, name);
    }
}
/* The next request after the event is held until resumed. 0; -ENOTSUP: n has no
 * blkdebug node below; -ENOENT: nothing fits. */
int blk_debug_break(BlkNode *n, const char *name, const char *tag);
int blk_debug_unbreak(BlkNode *n, const char *tag);
int blk_debug_resume(BlkNode *n, const char *tag);
bool blk_debug_stopped(BlkNode *n, const char *tag);

/* ---- graph: MACHINE_CALL --- */
/* Between these nothing is in flight on n from any device or export above it, and
 * n's shape may change. */
typedef struct BlkDrain BlkDrain;
BlkDrain *blk_node_drain_begin(BlkNode *n) MACHINE_CALL;
void blk_node_drain_end(BlkDrain *d) MACHINE_CALL;
/* Nodes and devices by what commands call them. */
BlkNode *blk_node_lookup(const char *name, Error **errp) MACHINE_CALL;
/* The image is damaged: the event, and with fatal no more access. */
void blk_node_corrupted(BlkNode *n, bool fatal, int64_t off, int64_t size,
                        const char *text) ANY_THREAD;
/* Opens what the user gave for the child, else the file name that the image
 * records (format NULL: probed; relative to n's own name). *out NULL: there is
 * none. */
bool blk_child_open(BlkNode *n, const char *name, const char *filename,
                    const char *format, BlkNode **out, Error **errp)
    MACHINE_CALL;
/* The backing file that the image names, if it does and it is wanted. */
bool blk_backing_open(BlkNode *n, const char *format, Error **errp)
    MACHINE_CALL;
/* Makes node n's child (taking over the reference), or takes it away. */
bool blk_child_attach(BlkNode *n, BlkNode *node, const char *name, BlkRole role,
                      Error **errp) MACHINE_CALL;
void blk_child_detach(BlkNode *n, const char *name) MACHINE_CALL;
/* A name that stands in image `base`: relative ones are beside it. g_free. */
char *blk_path_combine(const char *base, const char *name);
/* As blk_image_make, with an object of options; size UINT64_MAX: as they say. A
 * member "unsafe": the backing file is not opened. */
bool blk_image_create(const char *filename, const char *format, Json *opts,
                      bool text, uint64_t size, Error **errp) MACHINE_CALL;
/* An image to be made: protocol, then format; block/create.c. */
typedef struct BlkImageSpec {
    const char *filename, *format;
    const char *options;               /* `create -o`; NULL: none             */
    const char *backing, *backing_fmt; /* NULL: as options say                */
    int64_t size;                      /* bytes; -1: as options or backing say */
    bool announce;                     /* "Formatting …" on stdout            */
    bool backing_unsafe;               /* the backing file is not opened      */
} BlkImageSpec;
bool blk_image_make(const BlkImageSpec *spec, Error **errp) MACHINE_CALL;
/* How much an image of the format would take up, of `in`, or NULL and size. */
bool blk_image_measure(const char *format, const char *options, uint64_t size,
                       BlkNode *in, BlkMeasure *out, Error **errp) MACHINE_CALL;
/* Creation options of a format over the protocol of filename (NULL: only the
 * format's) on stdout, as `-o help`. */
bool blk_image_make_help(const char *format, const char *filename,
                         Error **errp) MACHINE_CALL;
/* The same of any table. */
void blk_rows_help(const Prop *rows);
/* Is the text of `-o` a value of the row's kind, in the words of the tools? */
bool blk_row_text_ok(const Prop *p, const char *text, Error **errp);
/* Other options for an image, `amend -o` text; how: force and progress are set.
 * block/amend.c */
bool blk_image_amend(BlkNode *n, const char *options, const BlkAmend *how,
                     Error **errp) MACHINE_CALL;
bool blk_image_amend_help(const char *format, Error **errp);
/* Rows of create_props for the head; where a driver's table has them is where
 * they are shown. Those that are not there are added at the end. */
#define BLK_CREATE_SIZE \
    { .name = "size", .kind = PK_SIZE, .flags = PF_NO_DEFAULT, \
      .offset = offsetof(BlkCreate, size), .desc = "Virtual disk size" }
#define BLK_CREATE_BACKING \
    { .name = "backing_file", .kind = PK_STR, \
      .offset = offsetof(BlkCreate, backing_file), \
      .desc = "File name of a base image" }
#define BLK_CREATE_BACKING_FMT \
    { .name = "backing_fmt", .kind = PK_STR, \
      .offset = offsetof(BlkCreate, backing_fmt), \
      .desc = "Image format of the base image" }
/* Grown or shrunk; what is new reads as zeroes, whatever lies below; backends and
 * nodes above that pass on are told. */
bool blk_node_truncate(BlkNode *n, uint64_t length, BlkPrealloc prealloc,
                       bool exact, Error **errp) MACHINE_CALL;
BlkNode *blk_node_first(void);
/* n->filename from n's options and children; after they have changed. */
void blk_filename_refresh(BlkNode *n) MACHINE_CALL;
Json *blk_node_full_opts(BlkNode *n) MACHINE_CALL; /* as blockdev-add's       */
bool blk_parent_add(BlkNode *n, BlkParent *p, Error **errp) MACHINE_CALL;
bool blk_parent_change(BlkNode *n, BlkParent *p, uint64_t perm, uint64_t shared,
                       Error **errp) MACHINE_CALL;
void blk_parent_del(BlkNode *n, BlkParent *p) MACHINE_CALL;
void blk_node_set_loop(BlkNode *n, Loop *l) MACHINE_CALL;
/* The end of opening: children, driver, registry. Takes over n, whose options are
 * set, and the reference to file, which may be NULL. */
unsigned blk_node_seq(void) MACHINE_CALL;  /* for a node that opens others    */
BlkNode *blk_node_start(BlkNode *n, BlkNode *file, Error **errp) MACHINE_CALL;
/* Opens an object of options (taken over). inherit: BLKO_* that unset options
 * take. root: node-name is required. */
BlkNode *blk_node_open(Json *opts, bool text, unsigned inherit, Error **errp)
    MACHINE_CALL;
const char *blk_perm_name(uint64_t perm);  /* of the lowest bit: "write"      */
char *blk_filename_driver(const char *filename, const char **rest, Error **errp);

/* For blk_open: unknown options are refused in the words of -drive. */
#define BLKO_DRIVE_TEXT (1u << 31)

BlkBackend *blk_next(BlkBackend *b);   /* NULL: the first                     */
Obj *blk_dev(const BlkBackend *b);     /* the device's; NULL: none            */
void blk_empty_ro_set(BlkBackend *b, bool read_only);  /* of the next medium */
void blk_dev_claim(BlkBackend *b, Obj *owner);     /* its drive property      */

#endif
