/* SPDX-License-Identifier: GPL-2.0-or-later */
/* backend.h - the backend that a device or export holds, private to block/. */
#ifndef TERN_BLOCK_BACKEND_H
#define TERN_BLOCK_BACKEND_H

#include <glib.h>
#include "block/driver.h"

typedef struct BlkStats {              /* of one kind of request              */
    uint64_t ops, failed, invalid, bytes, ns;
} BlkStats;

#define FLIGHT_ONE     2u
#define FLIGHT_WATCHED 1u

struct BlkBackend {
    char *name;                        /* "" for anonymous                    */
    int refs;
    BlkNode *node;                     /* NULL: no medium                     */
    BlkParent parent;                  /* in node's list while there is one   */
    uint64_t perm, shared;             /* wanted                              */
    Loop *loop;
    unsigned in_flight;                /* atomic: twice the number of requests,
                                          and 1 while the main loop waits     */
    unsigned quiesce;                  /* atomic                              */
    BlkReq *waiting, **waiting_last;   /* arrived while drained               */
    Work resume;
    bool write_cache;
    bool empty_ro;                     /* what the next medium is to be       */
    BlkAction rerror, werror;
    bool io_error, io_nospace;         /* for query-block                     */
    void *dev;
    Obj *dev_obj;
    const BlkDevOps *ops;
    BlkStats stats[BLK_IOCTL + 1];
    bool account_invalid, account_failed;
    int64_t last_ns;                   /* end of the latest request           */
    struct BlkHistogram *histogram[3]; /* reads, writes, flushes; NULL: none  */
    GPtrArray *intervals;              /* of BlkInterval; NULL: none          */
    struct BlkLimiter *limiter;        /* throttling; NULL: none              */
    BlkBackend *next;
};

/* Does query-block tell how its last requests went? */
bool blk_has_io_status(const BlkBackend *b);
/* Checks a request and turns it into what the node is asked; *over: nothing is
 * left to do but to answer with what is returned. */
int blk_prepare(BlkBackend *b, BlkReq *req, bool *over);
/* One request more, or the end of one, for the figures; stats.c. */
void blk_account(BlkBackend *b, const BlkReq *req);
void blk_stats_free(BlkBackend *b);
char *blk_dev_path(const BlkBackend *b);           /* NULL: no device; g_free */
char *blk_dev_id(const BlkBackend *b); /* its id, else its path               */
/* By the id of its device, or by its own name. */
BlkBackend *blk_lookup(const char *device, const char *id, Error **errp)
    MACHINE_CALL;
/* Without telling the device. */
bool blk_insert_quietly(BlkBackend *b, BlkNode *n, Error **errp) MACHINE_CALL;
void blk_eject_quietly(BlkBackend *b) MACHINE_CALL;
/* A drained section begins or ends for all nodes from n down. */
void blk_nodes_open(BlkNode *n, bool on);
bool blk_has_tray(const BlkBackend *b);
bool blk_tray_is_open(const BlkBackend *b) MACHINE_CALL;
/* The tray's other position; the event follows. */
void blk_tray_move(BlkBackend *b, bool load) MACHINE_CALL;
/* The node's length has changed: the device and clients are told. */
void blk_backend_resized(BlkBackend *b) MACHINE_CALL;
/* Starts requests that came while it was drained; in its loop. */
void blk_resume(void *arg);

#endif
