/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire.h - what a socket port may speak above the stream: Telnet (RFC 854, 856)
 * and WebSocket (RFC 6455). Pure parsers over bytes; ANY_THREAD.
 */
#ifndef TERN_CHARDEV_WIRE_H
#define TERN_CHARDEV_WIRE_H

#include <glib.h>
#include "base.h"

typedef struct Telnet {
    uint8_t state;
} Telnet;
/* What a server or client says first. */
extern const uint8_t telnet_hello[12];
/* Removes commands in place; returns how many data bytes remain. *brk: a break
 * or an interrupt was asked for. */
size_t telnet_in(Telnet *t, uint8_t *buf, size_t n, bool *brk);
/* Appends data with the escape doubled. */
void telnet_out(GByteArray *out, const uint8_t *buf, size_t n);

#define WS_HEAD_MAX 4096               /* of the request                      */
typedef struct WebSock {
    uint8_t head[14], head_n;          /* of the frame that is coming         */
    uint64_t left;                     /* of its payload                      */
    uint8_t mask[4], mask_at;
    uint8_t op;                        /* of the frame                        */
    bool in_message;                   /* a fragment came, its end did not    */
    uint8_t ctrl[125], ctrl_n;         /* payload of a control frame          */
} WebSock;
/* The request so far. 0: not complete; -1: refused, *reply says why; else its
 * length, and *reply is the answer. */
ssize_t ws_request(const char *text, size_t n, GByteArray *reply);
/* Takes frames apart in place; answers to control frames go to `reply`. Returns
 * how many data bytes there are; *end: the connection is to be closed. */
size_t ws_in(WebSock *w, uint8_t *buf, size_t n, GByteArray *reply, bool *end);
void ws_out(GByteArray *out, const uint8_t *buf, size_t n);

#endif
