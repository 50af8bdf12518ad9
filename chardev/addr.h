/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * addr.h - addresses of sockets as users write them: listening, connecting, and
 * their text. ANY_THREAD unless stated; nothing here waits for the machine.
 */
#ifndef TERN_CHARDEV_ADDR_H
#define TERN_CHARDEV_ADDR_H

#include <sys/socket.h>
#include "prop.h"

typedef enum AddrKind { ADDR_INET, ADDR_UNIX, ADDR_FD } AddrKind;

typedef struct SockAddr {
    AddrKind kind;
    char *host, *port;                 /* ADDR_INET; owned                    */
    char *path;                        /* ADDR_UNIX                           */
    char *fd;                          /* ADDR_FD: number or name             */
    bool abstract, tight;
    bool keep_alive;
    OnOffAuto ipv4, ipv6;
    uint16_t to;                       /* last port to try; 0: only `port`    */
} SockAddr;

#define ADDR_LISTENERS 4

/* Sockets come back non-blocking and close-on-exec. -1 with *errp set. */
/* Listens; fds has room for ADDR_LISTENERS. Returns how many, or -1. */
int addr_listen(const SockAddr *a, int *fds, Error **errp);
/* Takes a connection from a listening socket. Without descriptors left it is
 * closed at once, so that the socket is not ready for ever. -errno. */
int addr_accept(int fd) MACHINE_CALL;
/* Connects; waits at most limit_ms, and for name resolution. */
int addr_connect(const SockAddr *a, int limit_ms, Error **errp);
/* A datagram socket from local (NULL: any) to remote. */
int addr_datagram(const SockAddr *remote, const SockAddr *local, Error **errp);
/* The socket behind an ADDR_FD: a number, or a name of the current monitor. */
int addr_take_fd(const SockAddr *a, Error **errp) MACHINE_CALL;
/* As the peer writes it: "127.0.0.1:80", "[::1]:80", "/a/path,abstract=on". */
char *addr_text(const SockAddr *a);
/* Numeric form of the socket's own (remote false) or other end. */
bool addr_of_socket(int fd, bool remote, SockAddr *out);
void addr_copy(SockAddr *to, const SockAddr *from);
void addr_clear(SockAddr *a);
/* {type, host, port …} as the protocol shows it. */
Json *addr_json(const SockAddr *a);
/* The reverse, nested ({type, data}) or flat; NULL members keep defaults. */
bool addr_from_json(SockAddr *a, const Json *v, Error **errp);
/* For PROP_CALL with a Json * at the offset: keeps a copy of the address, which
 * addr_props_release gives back for all such rows of the table. */
bool addr_prop_set(Obj *o, const Prop *p, const Json *v, Error **errp);
void addr_props_release(Obj *o, const Prop *table);

#endif
