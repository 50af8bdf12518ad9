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
typedef struct BlkGate {               /* writers and read-modify-writers     */
    unsigned plain;                    /* plain writes in flight              */
    bool exclusive;                    /* a read-modify-write is in flight    */
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
    BlkNode *file, *backing;
    Loop *loop;
    BlkLimits limits;
    uint64_t length;                   /* bytes, multiple of 512              */
    uint64_t perm, shared;             /* of all parents                      */
    struct BlkParent *parents;
    BlkGate gate;
    Json *opts;                        /* as given, for query                 */
    BlkNode *next;                     /* registry                            */
};

/* Someone who uses a node: a backend or another node. */
typedef struct BlkParent {
    const char *(*who)(void *arg);
    void *arg;
    const char *role;                  /* "root", "file"                      */
    uint64_t perm, shared;
    struct BlkParent *next;
} BlkParent;

struct BlkDriver {
    const char *name;                  /* "qcow2"                             */
    const char *desc, *doc;
    size_t size;                       /* of the struct; BlkNode first        */
    const Prop *props;                 /* its branch of blockdev-add          */
    const char *const *children;       /* "file", "backing"; NULL-terminated  */
    bool protocol, filter;
    const char *prefix;                /* of file names: "file:"              */
    /* Options are in the struct, children open; sets length and limits. */
    bool (*open)(BlkNode *n, Error **errp) MACHINE_PTR;
    void (*close)(BlkNode *n) MACHINE_PTR;
    /* Never blocks. Ends in blk_complete in the node's loop. */
    void (*submit)(BlkNode *n, BlkReq *req);
    /* The same here and now, by the calling thread; NULL: cannot. */
    int (*sync)(BlkNode *n, BlkReq *req);
    void (*plug)(BlkNode *n);
    void (*unplug)(BlkNode *n);
    /* Parents' wishes have changed; may refuse. NULL: passed on to file. */
    bool (*set_perm)(BlkNode *n, uint64_t perm, uint64_t shared, Error **errp)
        MACHINE_PTR;
    void (*set_loop)(BlkNode *n, Loop *to) MACHINE_PTR;
    /* How likely the first bytes of an image are of this format, 0..100. */
    int (*probe)(const uint8_t *buf, size_t n, const char *filename);
    bool (*truncate)(BlkNode *n, uint64_t length, Error **errp) MACHINE_PTR;
    int64_t (*allocated)(BlkNode *n);  /* bytes on the host; -errno           */
};
#define BLK_DRIVER(sym, ...) SET_MEMBER(blk_drivers, BlkDriver, sym, __VA_ARGS__)

const BlkDriver *blk_driver_find(const char *name);
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

/* ---- graph: MACHINE_CALL --- */
BlkNode *blk_node_first(void);
bool blk_parent_add(BlkNode *n, BlkParent *p, Error **errp) MACHINE_CALL;
bool blk_parent_change(BlkNode *n, BlkParent *p, uint64_t perm, uint64_t shared,
                       Error **errp) MACHINE_CALL;
void blk_parent_del(BlkNode *n, BlkParent *p) MACHINE_CALL;
void blk_node_set_loop(BlkNode *n, Loop *l) MACHINE_CALL;
/* The end of opening: children, driver, registry. Takes over n, whose options are
 * set, and the reference to file, which may be NULL. */
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
void blk_dev_claim(BlkBackend *b, Obj *owner);     /* its drive property      */

#endif
