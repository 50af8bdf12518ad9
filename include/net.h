/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net.h - network ports: a card's queue and a backend are peers; frames pass as
 * iovecs. Control: MACHINE_CALL; data: LOOP_CALL(port->loop).
 */
#ifndef TERN_NET_H
#define TERN_NET_H

#include "loop.h"
#include "obj.h"

typedef struct NetPort NetPort;
typedef struct NetDriver {
    const char *name;                  /* "user", "tap"; cards: "nic"         */
    const char *desc, *doc;
    size_t size;                       /* of the struct; NetPort first        */
    const Prop *props;                 /* its branch of netdev_add            */
    bool (*open)(NetPort *p, Error **errp) MACHINE_PTR;
    void (*close)(NetPort *p) MACHINE_PTR;
    bool (*can_send)(NetPort *p);      /* has room; NULL: always              */
    /* Frame towards this port; returns its length, or 0: queue it and wait for
     * net_flush. flags: NET_F_RAW has no vnet header. */
    ssize_t (*send)(NetPort *p, const struct iovec *iov, int niov, int flags);
    void (*link)(NetPort *p);          /* link_up changed                     */
    void (*info)(const NetPort *p, char *buf, size_t n);
    void (*poll)(NetPort *p, bool on); /* peer can / cannot take frames       */
    bool (*start)(NetPort *p, bool on);
} NetDriver;
#define NET_DRIVER(sym, ...) SET_MEMBER(net_drivers, NetDriver, sym, __VA_ARGS__)
struct NetPort {
    Obj obj;
    const NetDriver *drv;
    NetPort *peer;
    Loop *loop;
    char *name, *model;
    char info_str[256];
    uint8_t mac[6];
    bool link_up, receive_off;
    uint32_t queue;                    /* index for multiqueue                */
    struct NetQueue *in;               /* frames waiting for this port        */
    NetPort *next;
    void *arg;                         /* owner's                             */
};
enum { NET_F_RAW = 1 };

#endif
