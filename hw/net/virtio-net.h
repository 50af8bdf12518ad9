/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-net.h - between the files of the virtio network card (virtio 1.2,
 * section 5.1). MACHINE_CALL: its queues belong to the main loop.
 */
#ifndef TERN_HW_NET_VIRTIO_NET_H
#define TERN_HW_NET_VIRTIO_NET_H

#include <linux/virtio_net.h>
#include "net.h"
#include "virtio-pci.h"

#define VNET_MACS 64                   /* of the filter                       */
#define VNET_PAIRS_MAX 256
#define VNET_TABLE 128                 /* entries of the indirection table    */
#define VNET_KEY 40
#define VNET_HASHES 0x1ffu             /* types: all of 5.1.6.4.3            */

typedef struct VirtioNet VirtioNet;

typedef struct VnetPair {              /* a transmit queue's state            */
    VirtioNet *s;
    VirtqElem *held;                   /* waits for room in the peer          */
    Timer timer;                       /* tx=timer                            */
    Work again;                        /* after x-txburst                     */
} VnetPair;

typedef struct VnetHash {              /* of received packets                 */
    bool on, rss;
    uint32_t types;
    uint16_t mask, plain;              /* table entries - 1; others' queue    */
    uint16_t table[VNET_TABLE];
    uint8_t key[VNET_KEY];
} VnetHash;

struct VirtioNet {
    Virtio v;
    NetCard net;
    /* properties */
    uint32_t tx_timer, rsc_interval;
    int32_t tx_burst, speed;
    uint16_t rx_size, tx_size, host_mtu;
    char *tx, *duplex;
    bool failover, mtu_bypass;
    /* state */
    VnetPair *pairs;
    uint32_t npairs;                   /* that there are                      */
    uint16_t pairs_on;                 /* that the guest uses                 */
    uint8_t mac[6];                    /* as the guest has set it             */
    bool promisc, allmulti, alluni, nomulti, nouni, nobcast;
    bool uni_overflow, multi_overflow, announcing;
    uint32_t nmacs, first_multi;
    uint8_t macs[VNET_MACS * 6];
    uint32_t vlans[4096 / 32];
    uint64_t offloads;                 /* of GUEST_* bits, as now chosen      */
    VnetHash hash;
    bool told_rx_filter;               /* until query-rx-filter               */
    unsigned hdr_len;                  /* the guest's header                  */
};

void vnet_control_kicked(Virtq *q);
ssize_t vnet_receive(VirtioNet *s, unsigned pair, const struct iovec *iov,
                     int niov);
void vnet_filter_reset(VirtioNet *s);
bool vnet_wants(const VirtioNet *s, const uint8_t *frame, size_t n);
Json *vnet_rx_filter(NetPort *p) MACHINE_CALL;
/* Hash of the frame; *report its VIRTIO_NET_HASH_REPORT_*. */
uint32_t vnet_hash(const VnetHash *h, const uint8_t *frame, size_t n,
                   uint16_t *report);
/* The guest's RSS or hash command: data of n bytes. */
bool vnet_hash_set(VirtioNet *s, const uint8_t *data, size_t n, bool rss);
void vnet_offloads_apply(VirtioNet *s) MACHINE_CALL;
void vnet_pairs_apply(VirtioNet *s) MACHINE_CALL;

#endif
