/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * socket.h - the socket port: socket.c moves its bytes, socket-open.c makes and
 * ends its connections.
 */
#ifndef TERN_CHARDEV_SOCKET_H
#define TERN_CHARDEV_SOCKET_H

#include "chardev/addr.h"
#include "chardev/chr-priv.h"
#include "chardev/wire.h"
#include "tls.h"
#include "yank.h"

#define SOCK_FDS 16                    /* with one message                    */

typedef enum SockPhase {
    SOCK_DOWN,
    SOCK_OPENING,                      /* handshake, in the main loop         */
    SOCK_UP,                           /* data, in the port's loop            */
} SockPhase;

typedef struct SockChr {
    CharPort p;
    /* options */
    char *path, *host, *port, *fd_name, *tls_creds, *tls_authz;
    char *local_addr, *local_port;     /* accepted, as the peer does          */
    OnOffAuto wait, ipv4, ipv6, delay, nodelay;
    bool server, telnet, tn3270, websocket, abstract, tight;
    uint16_t to;
    int64_t reconnect;
    Json *addr_arg;                    /* chardev-add's own form              */
    /* opening */
    SockAddr addr;
    int listen_fd[ADDR_LISTENERS];
    unsigned n_listen;
    bool listening, told_error;
    Timer again;
    Work again_work;
    struct ConnectTask *task;          /* under way                           */
    GByteArray *head;                  /* of the handshake                    */
    Obj *creds;                        /* NULL: no TLS                        */
    TlsSession *old_tls;               /* of a connection that has ended      */
    YankPoint yank;
    /* connection; fd, phase, tx and msg fds change under p.write_lock */
    SockPhase phase;
    int fd;
    SockAddr local, remote;
    unsigned events;                   /* that the loop waits for             */
    bool want_out;                     /* somebody waits for room             */
    bool half_closed;                  /* the end is behind unread data       */
    Work watch_work;
    TlsSession *tls;
    Telnet tn;
    WebSock ws;
    GByteArray *early;                 /* came with the handshake             */
    GByteArray *tx;                    /* encoded, not yet sent               */
    size_t tx_at;
    int in_fds[SOCK_FDS], out_fds[SOCK_FDS];
    unsigned n_in_fds, n_out_fds;
} SockChr;

/* socket.c: before anything else. */
void sock_init(SockChr *c);
/* fd is connected and through with its handshake. */
void sock_up(SockChr *c) MACHINE_CALL;
/* Plain bytes of the connection, whatever is around them: bytes, 0 at the end,
 * or -errno. */
ssize_t sock_recv(SockChr *c, void *buf, size_t n);
ssize_t sock_send(SockChr *c, const void *buf, size_t n);
/* Ends the connection and says so to the front end; in the port's loop, or in
 * the main loop while phase is not SOCK_UP. */
void sock_down(SockChr *c);
/* Takes the connection out of the port's loop, and ends it. */
void sock_stop(SockChr *c) MACHINE_CALL;
void sock_filename(const CharPort *p, char *buf, size_t n);
ssize_t sock_write(CharPort *p, const void *buf, size_t n);
void sock_accept_input(CharPort *p);
void sock_want_write(CharPort *p);
void sock_set_loop(CharPort *p, Loop *l);
int sock_take_fds(CharPort *p, int *fds, int n);
bool sock_add_fds(CharPort *p, const int *fds, int n);

#endif
