/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net.h - network ports: a card's queue and a backend are peers; frames pass as
 * iovecs (Ethernet without FCS, after a virtio-net header where the two have
 * agreed on one). MACHINE_CALL throughout: cards and backends live in the main
 * loop.
 */
#ifndef TERN_NET_H
#define TERN_NET_H

#include <sys/uio.h>
#include "loop.h"
#include "obj.h"

typedef struct Device Device;
typedef struct NetPort NetPort;

/* What a card takes from its peer in the virtio-net header's terms. */
typedef enum NetOffload {
    NETO_CSUM = 1, NETO_TSO4 = 2, NETO_TSO6 = 4, NETO_ECN = 8, NETO_UFO = 16,
} NetOffload;

typedef struct NetDriver {
    const char *name;                  /* "user", "tap"; cards: "nic"         */
    const char *desc, *doc;
    size_t size;                       /* of the struct; NetPort first        */
    const Prop *props;                 /* its branch of netdev_add            */
    bool internal;                     /* not for netdev_add                  */
    /* Options are in the struct. May make further queues by net_queue_add. */
    bool (*open)(NetPort *p, Error **errp) MACHINE_PTR;
    void (*close)(NetPort *p) MACHINE_PTR;
    /* Frame towards this port; returns its length (taken or dropped), or 0: no
     * room, and net_resume follows when there is. */
    ssize_t (*send)(NetPort *p, const struct iovec *iov, int niov) MACHINE_PTR;
    /* The peer, which had no room for this port's frame, has it again. */
    void (*resume)(NetPort *p) MACHINE_PTR;
    void (*link)(NetPort *p) MACHINE_PTR;          /* net_link_up changed     */
    /* Backend: frames carry a virtio-net header of len bytes (0: none, 10, 12)
     * from now on; false: cannot. */
    bool (*set_vnet)(NetPort *p, unsigned len) MACHINE_PTR;
    /* Backend: what of NetOffload it may hand over; returns what it can. */
    unsigned (*set_offload)(NetPort *p, unsigned offloads) MACHINE_PTR;
    bool (*enable)(NetPort *p, bool on) MACHINE_PTR;  /* a queue of many      */
    /* Card: its receive filter for query-rx-filter; and "announce yourself". */
    Json *(*rx_filter)(NetPort *p) MACHINE_PTR;
    void (*announce)(NetPort *p) MACHINE_PTR;
} NetDriver;
#define NET_DRIVER(sym, ...) SET_MEMBER(net_drivers, NetDriver, sym, __VA_ARGS__)

typedef struct NetFrame NetFrame;
typedef struct NetFilter NetFilter;
struct NetPort {
    const NetDriver *drv;
    NetPort *peer;
    char *name;                        /* netdev id; card: its id or model.N  */
    char *model;                       /* cards; else NULL                    */
    char info[256];                    /* for `info network`                  */
    bool link_down;                    /* this end; see net_link_up           */
    bool claimed;                      /* by a card's property                */
    bool hears;                        /* private: resume is owed to the peer */
    unsigned queue;                    /* index among queues of that name     */
    unsigned vnet;                     /* header bytes before frames, both ways */
    NetFrame *first, **last;           /* waiting for room in this port       */
    unsigned waiting;
    NetFilter *filters;                /* on a backend                        */
    NetPort *next;                     /* registry                            */
    struct NetCard *card;              /* a card's queue                      */
    void *arg;                         /* owner's                             */
};

/* ---- ports --------------------------------------------------------------- */
/* netdev_add, -netdev. opts is not taken over. */
NetPort *netdev_add(const Json *opts, bool text, Error **errp) MACHINE_CALL;
/* vlan=N of a card on an old command line: its netdev is a port of hub N. */
void net_take_vlan(Json *opts) MACHINE_CALL;
bool netdev_del(const char *id, Error **errp) MACHINE_CALL;
const NetDriver *net_driver_find(const char *name);    /* NULL; not internal  */
/* To an error about `name`: the hint which may have been meant; false. */
bool net_type_suggest(const char *name, Error **errp);
NetPort *net_find(const char *name) MACHINE_CALL;      /* first queue         */
NetPort *net_first(void) MACHINE_CALL;
/* Registers a port; name is copied. */
void net_port_init(NetPort *p, const NetDriver *drv, const char *name)
    MACHINE_CALL;
/* Unregisters and parts it from its peer. */
void net_port_fini(NetPort *p) MACHINE_CALL;
/* Another queue of backend p (a struct of its driver's size). */
NetPort *net_queue_add(NetPort *p) MACHINE_CALL;
NetPort *net_queue(NetPort *p, unsigned i) MACHINE_CALL;   /* NULL: none      */
void net_connect(NetPort *a, NetPort *b) MACHINE_CALL;
void net_exit(void) MACHINE_CALL;

/* ---- frames -------------------------------------------------------------- */
/* To the peer of p. Returns the length when it was taken, dropped or there is no
 * peer; 0: no room, p's resume will be called. */
ssize_t net_send(NetPort *p, const struct iovec *iov, int niov) MACHINE_CALL;
/* The same for those who cannot wait: kept in a queue of bounded length. */
void net_send_copy(NetPort *p, const void *buf, size_t n) MACHINE_CALL;
/* p takes frames again. */
void net_resume(NetPort *p) MACHINE_CALL;
bool net_link_up(const NetPort *p);    /* both ends                           */
bool net_link_set(const char *name, bool up, Error **errp) MACHINE_CALL;

/* ---- cards --------------------------------------------------------------- */
typedef struct NetCard {
    uint8_t mac[6];                    /* property; zero: given at realize    */
    NetPort *netdev;                   /* property                            */
    NetPort *port;                     /* array of nports                     */
    unsigned nports;
} NetCard;
extern const PropRef prop_ref_netdev;
#define PROP_NET_CARD(T, f) \
    PROP_MAC("mac", T, f.mac, .desc = "Ethernet 6-byte MAC Address, example: " \
             "52:54:00:12:34:56"), \
    PROP_REF("netdev", T, f.netdev, &prop_ref_netdev, \
             .desc = "ID of a netdev to use as a backend")
/* In realize: draws a MAC, makes `queues` ports of drv whose arg is dev, joins
 * them to the netdev's queues. */
bool net_card_open(NetCard *c, Device *dev, const NetDriver *drv,
                   unsigned queues, Error **errp) MACHINE_CALL;
void net_card_close(NetCard *c) MACHINE_CALL;          /* in unrealize        */
void net_card_info(NetCard *c, const uint8_t mac[6]) MACHINE_CALL;
bool net_card_link_up(const NetCard *c);
static inline ssize_t net_card_send(NetCard *c, unsigned q,
                                    const struct iovec *iov, int niov)
    MACHINE_CALL;
static inline ssize_t net_card_send(NetCard *c, unsigned q,
                                    const struct iovec *iov, int niov)
{
    return net_send(&c->port[q], iov, niov);
}

/* Cards of -nic, -net nic, and the default one: after the board's own parts. */
bool net_make_cards(Error **errp) MACHINE_CALL;
/* Warns of ports that lead nowhere; after the machine is complete. */
void net_check(void) MACHINE_CALL;

/* ---- filters ------------------------------------------------------------- */
/* Sees the frames of a backend, vnet header and all. */
struct NetFilter {
    NetPort *port;
    void (*frame)(NetFilter *f, bool from_backend, const struct iovec *iov,
                  int niov, unsigned vnet) MACHINE_PTR;
    void (*gone)(NetFilter *f) MACHINE_PTR;        /* the port goes           */
    NetFilter *next;
};
void net_filter_add(NetPort *p, NetFilter *f) MACHINE_CALL;
void net_filter_del(NetFilter *f) MACHINE_CALL;

/* ---- helpers ------------------------------------------------------------- */
/* RFC 1071: one's complement sum of n bytes added to sum, and its folding. */
uint32_t net_csum_add(uint32_t sum, const void *buf, size_t n);
static inline uint16_t net_csum_fold(uint32_t sum)
{
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return ~sum;
}
size_t net_iov_len(const struct iovec *iov, int niov);
/* Copies up to n bytes from offset off of the vector; returns how many. */
size_t net_iov_read(const struct iovec *iov, int niov, size_t off, void *buf,
                    size_t n);
/* Reflected CRC-32's upper bits as multicast hash filters use it (IEEE 802.3,
 * msb first). */
uint32_t net_crc32(const uint8_t *p, size_t n);
#define NET_MAX_FRAME (68 * 1024)      /* bytes, offloads included            */

#endif
