/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conn.h - what the backends over sockets share: frames over a stream, each after
 * its length in four bytes (big endian), and frames as datagrams. MACHINE_CALL.
 */
#ifndef TERN_NET_CONN_H
#define TERN_NET_CONN_H

#include <netinet/in.h>
#include <sys/socket.h>
#include "chardev/addr.h"
#include "net/net-priv.h"

/* ---- a stream, which comes and goes -------------------------------------- */
typedef struct NetConn {
    NetPort *port;
    int fd;                            /* -1: not connected                   */
    unsigned events;                   /* that are watched                    */
    uint8_t *in, *out;                 /* NULL before the first connection    */
    size_t have, taken;                /* of in: filled to, used up to        */
    size_t out_at, out_n;              /* of out: first and number not sent   */
    bool stuck;                        /* the peer has no room for the first  */
    bool blocked;                      /* the socket has no room              */
    Work flush;
    /* opening */
    SockAddr addr;
    int listen_fd[ADDR_LISTENERS];
    int nlisten;
    unsigned reconnect;                /* seconds; 0: never again             */
    Timer again;
    struct NetConnTask *task;
    /* up: connected; else why not (NULL: it ended). */
    void (*changed)(struct NetConn *c, bool up, const char *why) MACHINE_PTR;
} NetConn;

/* c->port, changed, addr are set. */
bool net_conn_listen(NetConn *c, Error **errp) MACHINE_CALL;
/* In the background. */
void net_conn_connect(NetConn *c) MACHINE_CALL;
void net_conn_use(NetConn *c, int fd) MACHINE_CALL;    /* connected; taken over */
void net_conn_close(NetConn *c) MACHINE_CALL;
ssize_t net_conn_send(NetConn *c, const struct iovec *iov, int niov)
    MACHINE_CALL;
void net_conn_resume(NetConn *c) MACHINE_CALL;
/* conn.c's for conn-open.c: a connection begins; it is over. */
void net_conn_begin(NetConn *c, int fd) MACHINE_CALL;
void net_conn_end(NetConn *c, const char *why) MACHINE_CALL;
/* conn-open.c's: waits for, or looks for, the next connection. */
void net_conn_next(NetConn *c) MACHINE_CALL;

/* ---- datagrams ----------------------------------------------------------- */
typedef struct NetDgram {
    NetPort *port;
    int fd;
    unsigned events;
    struct sockaddr_storage to;
    socklen_t to_len;                  /* 0: the socket is connected          */
    bool stuck;
    size_t have;
    uint8_t *buf;
    char *path;                        /* to be removed at the end            */
} NetDgram;

void net_dgram_start(NetDgram *d, NetPort *p, int fd) MACHINE_CALL;
void net_dgram_close(NetDgram *d) MACHINE_CALL;
ssize_t net_dgram_send(NetDgram *d, const struct iovec *iov, int niov)
    MACHINE_CALL;
void net_dgram_resume(NetDgram *d) MACHINE_CALL;
/* A socket in a multicast group; from: own address, may be NULL. -1: *errp. */
int net_mcast_open(const struct sockaddr_in *group, const struct in_addr *from,
                   Error **errp);

/* ---- addresses ----------------------------------------------------------- */
/* "host:port" of IPv4; the host may be empty. */
bool net_host_port(const char *text, struct sockaddr_in *to, Error **errp);
bool net_resolve4(const char *host, const char *port, struct sockaddr_in *to,
                  Error **errp);
bool net_is_mcast(const struct sockaddr_in *a, Error **errp);
/* The fd that a user names: by number, or by getfd's name; non-blocking. */
int net_take_fd(const NetPort *p, const char *text, Error **errp) MACHINE_CALL;
/* SOCK_STREAM, SOCK_DGRAM; -1: not a socket, *errp. */
int net_fd_type(int fd, Error **errp);
const char *net_fd_family(int fd);     /* "inet", "unix"                      */

#endif
