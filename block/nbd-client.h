/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nbd-client.h - what the parts of the nbd driver share. */
#ifndef TERN_BLOCK_NBD_CLIENT_H
#define TERN_BLOCK_NBD_CLIENT_H

#include "block/driver.h"
#include "block/nbd.h"
#include "chardev/addr.h"
#include "yank.h"

#define NBD_SLOTS 16                   /* requests in flight                  */

/* A request on the wire; of a BlkReq it lives in its drv words. */
typedef struct NbdCmd {
    struct NbdCmd *next;
    BlkReq *req;                       /* NULL: see finish                    */
    void (*finish)(struct NbdCmd *cmd);
    uint64_t off, done;                /* done: bytes of req before this one  */
    uint32_t len;
    uint16_t type, flags;
    int32_t ret;
    uint32_t x_len, x_flags;           /* answer of a block status            */
    uint16_t serial;
    uint8_t slot;
    bool sending;                      /* the sender still uses it            */
    uint64_t arg;
} NbdCmd;

typedef struct NbdNode {
    BlkNode node;
    char *filename, *host, *port, *path, *export_name;     /* properties      */
    char *tls_creds, *tls_hostname, *dirty_bitmap;
    char *s_type, *s_host, *s_port, *s_path, *s_fd;
    uint32_t reconnect_delay, open_timeout;        /* s                       */
    Json *server;

    SockAddr addr;
    Obj *creds;
    NbdInfo info;
    uint64_t size;                     /* as the server says it               */
    NbdChan chan;
    bool connected, sending, receiving, closing;
    CoQueue waiters;                   /* for a slot, or for the receiver's end */
    NbdCmd *first, **last;             /* to be sent                          */
    NbdCmd *slot[NBD_SLOTS];
    unsigned in_flight;
    uint16_t serial;
    int64_t lost_ns;                   /* when the connection broke; 0: not   */
    Work kick;
    YankPoint yank;                    /* broken by it: for good              */
} NbdNode;

/* Fills addr and export_name from the options. */
bool nbd_client_address(NbdNode *c, Error **errp) MACHINE_CALL;
/* In a coroutine: connects and negotiates; changes info. */
bool nbd_client_connect(NbdNode *c, Error **errp);
/* Queues a command. LOOP_CALL(node's loop). */
void nbd_client_queue(NbdNode *c, NbdCmd *cmd);
/* Ends a command that has its result. */
void nbd_client_end(NbdNode *c, NbdCmd *cmd);

#endif
