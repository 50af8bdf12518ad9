/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tap.h - between the files of the TAP backends. MACHINE_CALL. */
#ifndef TERN_NET_TAP_H
#define TERN_NET_TAP_H

#include "net/net-priv.h"

#define TAP_SCRIPT "/etc/qemu-ifup"
#define TAP_DOWNSCRIPT "/etc/qemu-ifdown"
#define TAP_BRIDGE "br0"
#define TAP_QUEUES_MAX 1024

typedef struct NetTap {
    NetPort port;
    /* properties */
    char *fd_name, *fds, *ifname, *script, *downscript, *br, *helper;
    uint64_t sndbuf;
    bool sndbuf_given;
    char *vhostfd, *vhostfds;
    OnOffAuto vnet_hdr, vhost, vhostforce;
    uint32_t queues, poll_us;
    /* state; of each queue */
    int fd;                            /* -1: closed                          */
    bool has_vnet;                     /* the device has headers              */
    bool multi;                        /* a queue of many                     */
    bool on;                           /* it is used                          */
    bool stuck;                        /* the peer has no room for buf        */
    unsigned head;                     /* bytes of the device's header        */
    unsigned events;
    size_t have;
    uint8_t *buf;
    char name[16];                     /* of the interface                    */
    char *down;                        /* script at the end; NULL: none       */
} NetTap;

/* tap.c: fd is the queue's from here on, and is watched. */
bool tap_start(NetTap *t, int fd, Error **errp) MACHINE_CALL;
void tap_stop(NetTap *t) MACHINE_CALL;
ssize_t tap_send(NetPort *p, const struct iovec *iov, int niov) MACHINE_CALL;
void tap_resume(NetPort *p) MACHINE_CALL;
bool tap_set_vnet(NetPort *p, unsigned len) MACHINE_CALL;
unsigned tap_set_offload(NetPort *p, unsigned offloads) MACHINE_CALL;
bool tap_enable(NetPort *p, bool on) MACHINE_CALL;
void tap_close(NetPort *p) MACHINE_CALL;

/* tap-script.c */
/* Runs it with the interface's name and waits. */
bool tap_script_run(const char *script, const char *ifname, Error **errp)
    MACHINE_CALL;
/* The descriptor that a helper sends; helper NULL: our own. -1: *errp. */
int tap_helper_run(const char *helper, const char *bridge, Error **errp)
    MACHINE_CALL;
char *tap_helper_default(void);        /* its path; caller frees              */

#endif
