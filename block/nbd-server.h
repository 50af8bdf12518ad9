/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nbd-server.h - serving nodes to NBD clients. MACHINE_CALL; exports work in the
 * main loop.
 */
#ifndef TERN_BLOCK_NBD_SERVER_H
#define TERN_BLOCK_NBD_SERVER_H

#include "block/nbd.h"

#define NBD_SPARE 16                   /* buffers that wait for their next job */
#define NBD_SPARE_MAX (1024u * 1024)   /* of one of them                      */

typedef struct NbdExport {
    char *name, *desc;
    BlkBackend *blk;
    bool read_only, shared;            /* shared: several clients at once     */
    bool depth;                        /* qemu:allocation-depth               */
    char **bitmaps;                    /* names; NULL-terminated              */
    struct BlkBitmap **maps;           /* the same                            */
    uint64_t size;
    uint64_t data_from, data_to;       /* held no hole when it was looked at  */
    unsigned clients;
    struct NbdExport *next;
} NbdExport;

typedef struct NbdServer {
    int fds[8];                        /* listening; -1: none                 */
    unsigned n_fds;
    bool listening;
    unsigned max_clients;              /* 0: no limit                         */
    Obj *creds;
    char *authz;
    NbdExport *exports;
    struct NbdClient *clients;
    unsigned n_clients;
    struct NbdSpare {
        uint8_t *buf;
        uint32_t room;
    } spare[NBD_SPARE];
    unsigned n_spare;
    void (*idle)(struct NbdServer *s);     /* the last client has gone        */
} NbdServer;

/* Takes over the sockets. */
void nbd_server_listen(NbdServer *s, const int *fds, unsigned n);
/* A client on a connected socket, which is taken over. */
void nbd_server_client(NbdServer *s, int fd);
/* An export of blk, of which it takes a reference. */
NbdExport *nbd_export_add(NbdServer *s, const char *name, BlkBackend *blk)
    MACHINE_CALL;
NbdExport *nbd_export_find(NbdServer *s, const char *name);
/* Shows a bitmap of the export's chain as qemu:dirty-bitmap:NAME; before the first
 * client. It is busy until the export goes. */
bool nbd_export_bitmap(NbdExport *e, const char *name, Error **errp);
/* Its clients are cut off when force, else it is refused while there are any. */
bool nbd_export_del(NbdServer *s, NbdExport *e, bool force, Error **errp)
    MACHINE_CALL;
/* Closes everything; returns when the last client has gone. */
void nbd_server_stop(NbdServer *s) MACHINE_CALL;

/* ---- private to nbd-server*.c -------------------------------------------- */
#define NBD_JOBS 16                    /* a client's requests in flight       */
typedef struct NbdJob {
    BlkReq req;
    struct NbdClient *client;
    struct NbdJob *next;
    uint64_t handle, off;
    uint32_t len;
    uint16_t type, flags;
    bool lent;                         /* data is sent from the page cache    */
    bool copied;                       /* lent, by way of the client's part   */
    int ret;
    uint8_t *buf;
    uint32_t room;                     /* of buf                              */
    struct iovec iov;
    uint8_t head[32];                  /* of the reply                        */
    unsigned head_len;
    uint8_t *extra;                    /* its payload, if not buf             */
    size_t extra_len, data_len;        /* data_len: of buf, that is sent      */
    struct iovec *chunks;              /* the whole answer; NULL: the above   */
    unsigned n_chunks;
} NbdJob;
typedef enum NbdContext { CTX_BASE, CTX_DEPTH, CTX_BITMAP } NbdContext;
typedef struct NbdClient {
    NbdServer *server;
    NbdExport *exp;                    /* NULL: not chosen                    */
    NbdChan chan;
    bool structured, no_zeroes, sending, gone;
    bool context[CTX_BITMAP];
    bool *bitmap;                      /* of exp->bitmaps                     */
    const NbdExport *context_of;       /* what the contexts were asked for    */
    unsigned in_flight;
    void *part;                        /* what is being sent; NULL: not yet   */
    NbdJob *first, **last;             /* to be answered                      */
    CoQueue room;
    Work kick;
    struct NbdClient *next;
} NbdClient;
/* Up to an export; false: the connection ends. */
bool nbd_server_negotiate(NbdClient *c);
/* In a coroutine of its own: block status. */
void nbd_server_status(NbdJob *j);
/* In a coroutine: what a range of the export is, through all layers; *depth 1 is
 * the node itself, 0 nowhere. */
int nbd_server_extent(const NbdExport *e, uint64_t off, uint64_t len,
                      struct BlkExtent *x, uint32_t *depth);
/* In the client's coroutine: answers a valid read of a range that has holes. False:
 * it has none, or the client cannot be told of them. */
bool nbd_server_holes(NbdJob *j);
/* Memory for the request's data; false: there is none. */
bool nbd_server_buffer(NbdJob *j);
/* Makes head and payload from ret and what was read, and sends them. */
void nbd_server_reply(NbdJob *j);
/* Sends the answer, whose head and payload are ready. */
void nbd_server_answer(NbdJob *j);
#define NBD_ID_BASE 0u
#define NBD_ID_DEPTH 1u
#define NBD_ID_BITMAP 2u               /* and following                       */

#endif
