/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nbd.h - the NBD protocol (NetworkBlockDevice/nbd, doc/proto.md) on the wire, and
 * a connection on which coroutines read and write, with or without TLS.
 *
 * Functions of a channel: in coroutines of its loop, at most one reading and one
 * writing at a time.
 */
#ifndef TERN_BLOCK_NBD_H
#define TERN_BLOCK_NBD_H

#include <sys/uio.h>
#include "blk.h"
#include "tls.h"

#define NBD_MAGIC        UINT64_C(0x4e42444d41474943)
#define NBD_OPTS_MAGIC   UINT64_C(0x49484156454f5054)
#define NBD_OLD_MAGIC    UINT64_C(0x00420281861253)
#define NBD_REP_MAGIC    UINT64_C(0x0003e889045565a9)
#define NBD_REQUEST_MAGIC 0x25609513u
#define NBD_SIMPLE_MAGIC  0x67446698u
#define NBD_CHUNK_MAGIC   0x668e33efu
#define NBD_PORT 10809
#define NBD_BUFFER_MAX (32u * 1024 * 1024)         /* data of one request     */
#define NBD_STRING_MAX 4096u

enum { NBD_FLAG_FIXED = 1, NBD_FLAG_NO_ZEROES = 2 };    /* of the handshake   */
enum { NBD_OPT_EXPORT_NAME = 1, NBD_OPT_ABORT, NBD_OPT_LIST, NBD_OPT_PEEK,
       NBD_OPT_STARTTLS, NBD_OPT_INFO, NBD_OPT_GO, NBD_OPT_STRUCTURED,
       NBD_OPT_LIST_META, NBD_OPT_SET_META };
#define NBD_REP_ERR(n) (UINT32_C(0x80000000) | (n))
enum { NBD_REP_ACK = 1, NBD_REP_SERVER, NBD_REP_INFO, NBD_REP_META };
#define NBD_REP_ERR_UNSUP      NBD_REP_ERR(1)
#define NBD_REP_ERR_POLICY     NBD_REP_ERR(2)
#define NBD_REP_ERR_INVALID    NBD_REP_ERR(3)
#define NBD_REP_ERR_PLATFORM   NBD_REP_ERR(4)
#define NBD_REP_ERR_TLS_REQD   NBD_REP_ERR(5)
#define NBD_REP_ERR_UNKNOWN    NBD_REP_ERR(6)
#define NBD_REP_ERR_SHUTDOWN   NBD_REP_ERR(7)
#define NBD_REP_ERR_BLOCK_SIZE NBD_REP_ERR(8)
#define NBD_REP_ERR_TOO_BIG    NBD_REP_ERR(9)
enum { NBD_INFO_EXPORT, NBD_INFO_NAME, NBD_INFO_DESC, NBD_INFO_BLOCK_SIZE };
enum { NBD_F_HAS_FLAGS = 1, NBD_F_READ_ONLY = 2, NBD_F_FLUSH = 4, NBD_F_FUA = 8,
       NBD_F_ROTATIONAL = 16, NBD_F_TRIM = 32, NBD_F_ZEROES = 64, NBD_F_DF = 128,
       NBD_F_MULTI_CONN = 256, NBD_F_RESIZE = 512, NBD_F_CACHE = 1024,
       NBD_F_FAST_ZERO = 2048 };
enum { NBD_CMD_READ, NBD_CMD_WRITE, NBD_CMD_DISC, NBD_CMD_FLUSH, NBD_CMD_TRIM,
       NBD_CMD_CACHE, NBD_CMD_ZEROES, NBD_CMD_STATUS };
enum { NBD_CMDF_FUA = 1, NBD_CMDF_NO_HOLE = 2, NBD_CMDF_DF = 4,
       NBD_CMDF_REQ_ONE = 8, NBD_CMDF_FAST_ZERO = 16 };
enum { NBD_CHUNK_NONE, NBD_CHUNK_DATA, NBD_CHUNK_HOLE, NBD_CHUNK_STATUS = 5,
       NBD_CHUNK_ERROR = 32769, NBD_CHUNK_ERROR_OFF };
#define NBD_CHUNK_DONE 1
enum { NBD_STATE_HOLE = 1, NBD_STATE_ZERO = 2, NBD_STATE_DIRTY = 1 };

int nbd_errno_to_wire(int err);        /* positive errno values               */
int nbd_errno_of_wire(uint32_t wire);
const char *nbd_rep_name(uint32_t type);   /* "unsupported", for messages     */

/* ---- channels ------------------------------------------------------------ */
typedef struct NbdChan {
    Loop *loop;
    int fd;                            /* -1: closed; not blocking            */
    TlsSession *tls;                   /* NULL: plain                         */
    Co *reader, *writer;
    unsigned events;                   /* registered                          */
    bool dead;                         /* shut down: all calls fail           */
    bool idle;                         /* the read that waits is for a new
                                          message: a wait that may be cut     */
    bool exact;                        /* nothing is read ahead: what follows
                                          belongs in a place of its own       */
    uint8_t *buf;                      /* read ahead                          */
    size_t at, have;
} NbdChan;
void chan_init(NbdChan *c, Loop *loop, int fd);
/* Reads n bytes. 0, -ENODATA at the end before the first byte, or -errno. */
int chan_read(NbdChan *c, void *buf, size_t n);
int chan_readv(NbdChan *c, const struct iovec *iov, unsigned niov, size_t off,
               size_t n);
int chan_skip(NbdChan *c, size_t n);
int chan_write(NbdChan *c, const void *buf, size_t n);
int chan_writev(NbdChan *c, const struct iovec *iov, unsigned niov);
/* Sends up to n bytes of a file (n at most INT_MAX), without TLS: how many; 0:
 * there was no room and may be now; -ENODATA at the file's end. */
int chan_sendfile(NbdChan *c, int fd, uint64_t at, size_t n);
/* Turns TLS on. hostname: what a client expects; authz: a server's. */
bool chan_tls(NbdChan *c, Obj *creds, const char *hostname, const char *authz,
              Error **errp);
/* Everyone who waits gets -ESHUTDOWN; the fd stays until chan_close. */
void chan_shutdown(NbdChan *c);
void chan_close(NbdChan *c);
/* Lets the loop watch nothing (before it changes) and watch again. */
void chan_detach(NbdChan *c);
void chan_attach(NbdChan *c, Loop *loop);

/* ---- a client's handshake ------------------------------------------------ */
typedef struct NbdInfo {               /* of an export                        */
    char *name, *desc;                 /* name: asked for                     */
    uint64_t size;
    uint16_t flags;
    uint32_t min_block, opt_block, max_block;      /* 0: not said             */
    bool structured, old;
    bool status;                       /* the context asked for was granted   */
    uint32_t status_id;
    char **contexts;                   /* of a listing; NULL-terminated       */
} NbdInfo;
typedef struct NbdAsk {
    const char *export_name;
    const char *context;               /* "base:allocation", x-dirty-bitmap   */
    Obj *creds;                        /* NULL: no TLS                        */
    const char *hostname;
    bool simple;                       /* no structured replies               */
} NbdAsk;
/* Up to transmission. *info's strings are the caller's. */
bool nbd_client_start(NbdChan *c, const NbdAsk *ask, NbdInfo *info,
                      Error **errp);
/* All exports and what can be known of them; the connection ends. */
bool nbd_client_list(NbdChan *c, const NbdAsk *ask, NbdInfo **list, size_t *n,
                     Error **errp);
void nbd_info_clear(NbdInfo *info);

#endif
