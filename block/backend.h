/* SPDX-License-Identifier: GPL-2.0-or-later */
/* backend.h - the backend that a device or export holds, private to block/. */
#ifndef TERN_BLOCK_BACKEND_H
#define TERN_BLOCK_BACKEND_H

#include "block/driver.h"

typedef struct BlkStats {              /* of one kind of request              */
    uint64_t ops, failed, bytes, ns;
} BlkStats;

struct BlkBackend {
    char *name;                        /* "" for anonymous                    */
    int refs;
    BlkNode *node;                     /* NULL: no medium                     */
    BlkParent parent;                  /* in node's list while there is one   */
    uint64_t perm, shared;             /* wanted                              */
    Loop *loop;
    unsigned in_flight;                /* atomic                              */
    unsigned quiesce;                  /* atomic                              */
    BlkReq *waiting, **waiting_last;   /* arrived while drained               */
    Work resume;
    bool write_cache;
    BlkAction rerror, werror;
    bool io_error, io_nospace;         /* for query-block                     */
    void *dev;
    Obj *dev_obj;
    const BlkDevOps *ops;
    BlkStats stats[BLK_IOCTL + 1];
    BlkBackend *next;
};

/* Checks a request and turns it into what the node is asked; *over: nothing is
 * left to do but to answer with what is returned. */
int blk_prepare(BlkBackend *b, BlkReq *req, bool *over);
/* The node's length has changed: the device and clients are told. */
void blk_backend_resized(BlkBackend *b) MACHINE_CALL;
/* Starts requests that came while it was drained; in its loop. */
void blk_resume(void *arg);

#endif
