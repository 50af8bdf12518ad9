/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-net.c - network card (virtio 1.2, section 5.1): features, configuration,
 * transmission.
 *
 * Thread class: the machine lock.
 *
 * Invariants
 * 1. A transmit chain is with the card only while it is sent, or held because
 *    the peer has no room; a queue holds one at most.
 * 2. The control queue is the one after the pairs that the guest knows of.
 */
#include <glib.h>
#include "hw/net/virtio-net.h"
#include "monitor.h"

#define BIT(n) (UINT64_C(1) << (n))
#define NEEDS_HEADER (BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_HOST_TSO4) | \
    BIT(VIRTIO_NET_F_HOST_TSO6) | BIT(VIRTIO_NET_F_HOST_ECN) | \
    BIT(VIRTIO_NET_F_HOST_UFO) | BIT(VIRTIO_NET_F_GUEST_CSUM) | \
    BIT(VIRTIO_NET_F_GUEST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO6) | \
    BIT(VIRTIO_NET_F_GUEST_ECN) | BIT(VIRTIO_NET_F_GUEST_UFO))
#define GUEST_OFFLOADS (BIT(VIRTIO_NET_F_GUEST_CSUM) | \
    BIT(VIRTIO_NET_F_GUEST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO6) | \
    BIT(VIRTIO_NET_F_GUEST_ECN) | BIT(VIRTIO_NET_F_GUEST_UFO))

/* ---- queues -------------------------------------------------------------- */

static bool is_control(const Virtq *q)
{
    const VirtioNet *s = (const VirtioNet *)q->v;
    unsigned pairs = virtio_has(q->v, VIRTIO_NET_F_MQ) ||
                     virtio_has(q->v, VIRTIO_NET_F_RSS) ? s->npairs : 1;

    return q->index == pairs * 2;
}

static MACHINE_CALL void sent(Virtq *q, VirtqElem *e)
{
    virtq_push(q, e, 0);
}

/* Returns false when the peer has no room. */
static MACHINE_CALL bool send_elem(VirtioNet *s, Virtq *q, VirtqElem *e)
{
    NetPort *p = &s->net.port[q->index / 2];
    struct iovec own[VIRTQ_SIZE_MAX + 1], *iov = own;
    uint8_t header[sizeof(struct virtio_net_hdr_v1_hash)];
    size_t skip = s->hdr_len, n = 0;
    int niov = 0;

    if (e->out_len < s->hdr_len || e->nin) {
        virtio_broken(&s->v, "virtio-net header not in first element");
        return true;
    }
    if (p->vnet == s->hdr_len) {
        iov = e->iov;
        niov = e->nout;
    } else {
        if (p->vnet) {
            virtq_read(e, 0, header, sizeof(header));
            own[niov++] = (struct iovec){ header, p->vnet };
        }
        for (unsigned i = 0; i < e->nout; i++) {
            struct iovec v = e->iov[i];
            size_t cut = MIN2(skip, v.iov_len);

            skip -= cut;
            if (v.iov_len > cut) {
                own[niov++] = (struct iovec){ (uint8_t *)v.iov_base + cut,
                                              v.iov_len - cut };
            }
        }
    }
    n = net_iov_len(iov, niov);
    if (n < p->vnet + 14u || n > NET_MAX_FRAME) {
        return true;                   /* no frame                            */
    }
    return net_send(p, iov, niov) != 0;
}

static MACHINE_CALL void transmit(VirtioNet *s, Virtq *q)
{
    VnetPair *pair = &s->pairs[q->index / 2];
    VirtqElem *e;
    int left = s->tx_burst;
    bool any = false;

    if (pair->held || !virtq_ready(q)) {
        return;
    }
    virtq_want_kicks(q, false);
    for (;;) {
        while (left > 0 && (e = virtq_pop(q))) {
            if (!send_elem(s, q, e)) {
                pair->held = e;
                goto out;
            }
            sent(q, e);
            any = true;
            left--;
        }
        if (!left) {
            loop_post(loop_main, &pair->again);
            break;
        }
        virtq_want_kicks(q, true);
        if (s->v.broken || virtq_empty(q)) {
            break;
        }
        virtq_want_kicks(q, false);
    }
out:
    if (any) {
        virtq_notify(q);
    }
}

static MACHINE_CALL Virtq *tx_queue(VnetPair *pair)
{
    VirtioNet *s = pair->s;

    return s->v.queues[(pair - s->pairs) * 2 + 1];
}

static void transmit_later(void *arg)
{
    machine_assert_locked();
    VnetPair *pair = arg;

    transmit(pair->s, tx_queue(pair));
}

static void kicked(Virtq *q)
{
    machine_assert_locked();
    VirtioNet *s = (VirtioNet *)q->v;
    unsigned pair = q->index / 2;

    if (is_control(q)) {
        vnet_control_kicked(q);
    } else if (pair >= s->npairs) {
        return;
    } else if (!(q->index & 1)) {
        net_resume(&s->net.port[pair]);
    } else if (s->tx && !strcmp(s->tx, "timer")) {
        if (timer_armed(&s->pairs[pair].timer)) {
            return;
        }
        virtq_want_kicks(q, false);
        timer_set(&s->pairs[pair].timer, clock_ns(CLOCK_VM) + s->tx_timer);
    } else {
        transmit(s, q);
    }
}

/* ---- ports --------------------------------------------------------------- */

static MACHINE_CALL ssize_t port_send(NetPort *p, const struct iovec *iov,
                                      int niov)
{
    VirtioNet *s = p->arg;

    return vnet_receive(s, p->queue, iov, niov);
}

static MACHINE_CALL void port_resume(NetPort *p)
{
    VirtioNet *s = p->arg;
    VnetPair *pair = &s->pairs[p->queue];
    Virtq *q = tx_queue(pair);
    VirtqElem *e = pair->held;

    if (!e || !virtq_ready(q)) {
        return;
    }
    pair->held = NULL;
    if (!send_elem(s, q, e)) {
        pair->held = e;
        return;
    }
    sent(q, e);
    virtq_notify(q);
    transmit(s, q);
}

static MACHINE_CALL void port_link(NetPort *p)
{
    VirtioNet *s = p->arg;

    if (s && !p->queue && s->v.config) {
        virtio_config_changed(&s->v);
    }
}

static MACHINE_CALL void port_announce(NetPort *p)
{
    VirtioNet *s = p->arg;

    if (virtio_has(&s->v, VIRTIO_NET_F_GUEST_ANNOUNCE) &&
        virtio_has(&s->v, VIRTIO_NET_F_CTRL_VQ)) {
        s->announcing = true;
        virtio_config_changed(&s->v);
    }
}

static const NetDriver vnet_port = {
    .name = "nic", .internal = true, .send = port_send, .resume = port_resume,
    .link = port_link, .announce = port_announce, .rx_filter = vnet_rx_filter,
};

/* ---- features, configuration --------------------------------------------- */

static MACHINE_CALL bool peer_takes_header(const VirtioNet *s)
{
    NetPort *peer = s->net.nports ? s->net.port[0].peer : NULL;

    return peer && peer->drv->set_vnet && peer->drv->set_vnet(peer, 12) &&
           peer->drv->set_vnet(peer, 0);
}

static MACHINE_CALL uint64_t features(Virtio *v, uint64_t want)
{
    VirtioNet *s = (VirtioNet *)v;

    want |= BIT(VIRTIO_NET_F_MAC);
    want |= s->host_mtu ? BIT(VIRTIO_NET_F_MTU) : 0;
    want |= s->speed != -1 || s->duplex ? BIT(VIRTIO_NET_F_SPEED_DUPLEX) : 0;
    want |= s->failover ? BIT(VIRTIO_NET_F_STANDBY) : 0;
    if (!peer_takes_header(s)) {
        want &= ~(NEEDS_HEADER | BIT(VIRTIO_NET_F_HASH_REPORT));
    }
    return want;
}

/* Which header frames have, and whether the backend has the same. */
static MACHINE_CALL void header_apply(VirtioNet *s)
{
    const Virtio *v = &s->v;

    s->hdr_len = virtio_has(v, VIRTIO_NET_F_HASH_REPORT)
        ? sizeof(struct virtio_net_hdr_v1_hash)
        : virtio_has(v, VIRTIO_NET_F_MRG_RXBUF) ||
          virtio_has(v, VIRTIO_F_VERSION_1)
        ? sizeof(struct virtio_net_hdr_v1) : sizeof(struct virtio_net_hdr);
    for (unsigned i = 0; i < s->npairs; i++) {
        NetPort *p = &s->net.port[i], *peer = p->peer;
        unsigned len = MIN2(s->hdr_len, sizeof(struct virtio_net_hdr_v1));

        if (peer && peer->drv->set_vnet) {
            len = v->features & NEEDS_HEADER ? len : 0;
            if (peer->drv->set_vnet(peer, len)) {
                p->vnet = peer->vnet = len;
            }
        }
    }
}

static MACHINE_CALL void chosen(Virtio *v)
{
    VirtioNet *s = (VirtioNet *)v;

    header_apply(s);
    s->offloads = v->features & GUEST_OFFLOADS;
    vnet_offloads_apply(s);
    if (virtio_has(v, VIRTIO_NET_F_CTRL_VLAN)) {
        memset(s->vlans, 0, sizeof(s->vlans));
    }
}

void vnet_offloads_apply(VirtioNet *s)
{
    unsigned o = (s->offloads >> VIRTIO_NET_F_GUEST_CSUM & 1 ? NETO_CSUM : 0) |
                 (s->offloads >> VIRTIO_NET_F_GUEST_TSO4 & 1 ? NETO_TSO4 : 0) |
                 (s->offloads >> VIRTIO_NET_F_GUEST_TSO6 & 1 ? NETO_TSO6 : 0) |
                 (s->offloads >> VIRTIO_NET_F_GUEST_ECN & 1 ? NETO_ECN : 0) |
                 (s->offloads >> VIRTIO_NET_F_GUEST_UFO & 1 ? NETO_UFO : 0);

    for (unsigned i = 0; i < s->npairs; i++) {
        NetPort *peer = s->net.port[i].peer;

        if (peer && peer->drv->set_offload) {
            peer->drv->set_offload(peer, o);
        }
    }
}

void vnet_pairs_apply(VirtioNet *s)
{
    for (unsigned i = 0; i < s->npairs; i++) {
        NetPort *peer = s->net.port[i].peer;

        if (peer && peer->drv->enable) {
            peer->drv->enable(peer, i < s->pairs_on);
        }
    }
}

static MACHINE_CALL void config_read(Virtio *v)
{
    VirtioNet *s = (VirtioNet *)v;
    uint8_t c[24] = { 0 };

    memcpy(c, s->mac, 6);
    st_le16(c + 6, (net_card_link_up(&s->net) ? VIRTIO_NET_S_LINK_UP : 0) |
            (s->announcing ? VIRTIO_NET_S_ANNOUNCE : 0));
    st_le16(c + 8, s->npairs);
    st_le16(c + 10, s->host_mtu);
    st_le32(c + 12, s->speed);
    c[16] = !s->duplex ? 0xff : !strcmp(s->duplex, "full");
    c[17] = VNET_KEY;
    st_le16(c + 18, VNET_TABLE);
    st_le32(c + 20, VNET_HASHES);
    memcpy(v->config, c, MIN2(v->config_len, sizeof(c)));
}

static MACHINE_CALL void config_write(Virtio *v, uint32_t off, unsigned size)
{
    VirtioNet *s = (VirtioNet *)v;

    /* The old interface sets the address here. */
    if (!virtio_has(v, VIRTIO_NET_F_CTRL_MAC_ADDR) &&
        !virtio_has(v, VIRTIO_F_VERSION_1) &&
        memcmp(s->mac, v->config, 6)) {
        memcpy(s->mac, v->config, 6);
        net_card_info(&s->net, s->mac);
    }
}

static MACHINE_CALL void status(Virtio *v, uint8_t old)
{
    VirtioNet *s = (VirtioNet *)v;

    if ((v->status & ~old & VIRTIO_DRIVER_OK)) {
        for (unsigned i = 0; i < s->npairs; i++) {
            net_resume(&s->net.port[i]);
        }
    }
}

static MACHINE_CALL void queue_rest(Virtq *q, bool forget)
{
    VirtioNet *s = (VirtioNet *)q->v;
    VnetPair *pair;

    if (q->index / 2 >= s->npairs || !(q->index & 1) || is_control(q)) {
        return;
    }
    pair = &s->pairs[q->index / 2];
    timer_clear(&pair->timer);
    work_cancel(loop_main, &pair->again);
    if (pair->held) {
        VirtqElem *e = pair->held;

        pair->held = NULL;
        if (forget) {
            virtq_drop(q, e);
        } else {
            virtq_unpop(q, e);
        }
    }
}

static MACHINE_CALL void quiesce(Virtio *v, bool forget)
{
    for (unsigned i = 0; i < v->nqueues; i++) {
        queue_rest(v->queues[i], forget);
    }
}

static MACHINE_CALL void resume(Virtio *v)
{
    VirtioNet *s = (VirtioNet *)v;

    for (unsigned i = 0; i < s->npairs; i++) {
        net_resume(&s->net.port[i]);
        transmit(s, tx_queue(&s->pairs[i]));
    }
}

static MACHINE_CALL void queue_reset(Virtq *q)
{
    queue_rest(q, true);
}

/* ---- life ---------------------------------------------------------------- */

static bool settings_ok(VirtioNet *s, Error **errp)
{
    if (s->rx_size < 256 || s->rx_size > VIRTQ_SIZE_MAX || !IS_POW2(s->rx_size)) {
        return error_set(errp, "Invalid rx_queue_size (= %u), must be a power "
                         "of 2 between 256 and %d.", s->rx_size, VIRTQ_SIZE_MAX);
    }
    if (s->tx_size < 256 || s->tx_size > VIRTQ_SIZE_MAX || !IS_POW2(s->tx_size)) {
        return error_set(errp, "Invalid tx_queue_size (= %u), must be a power "
                         "of 2 between 256 and %d", s->tx_size, VIRTQ_SIZE_MAX);
    }
    /* Longer ones only where the backend takes the rings over. */
    s->tx_size = 256;
    if (s->speed < -1) {
        return error_set(errp, "'speed' must be between 0 and INT_MAX");
    }
    if (s->duplex && strcmp(s->duplex, "half") && strcmp(s->duplex, "full")) {
        return error_set(errp, "'duplex' must be 'half' or 'full'");
    }
    if (s->tx && strcmp(s->tx, "timer") && strcmp(s->tx, "bh")) {
        warn_report("virtio-net: Unknown option tx=%s, valid options: "
                    "\"timer\" \"bh\"", s->tx);
    }
    if (s->tx_burst <= 0) {
        return error_set(errp, "'x-txburst' must be above 0");
    }
    return true;
}

static unsigned queue_count(const NetCard *c)
{
    unsigned n = 0;

    machine_assert_locked();
    while (c->netdev && n < VNET_PAIRS_MAX && net_queue(c->netdev, n)) {
        n++;
    }
    return n ? n : 1;
}

static uint32_t config_size(const VirtioNet *s, uint64_t f)
{
    return f & (BIT(VIRTIO_NET_F_RSS) | BIT(VIRTIO_NET_F_HASH_REPORT)) ? 24
         : s->speed != -1 || s->duplex ? 17 : s->host_mtu ? 12
         : f & BIT(VIRTIO_NET_F_MQ) ? 10
         : f & BIT(VIRTIO_NET_F_STATUS) ? 8 : 6;
}

static MACHINE_CALL bool vnet_realize(Device *dev, Error **errp)
{
    VirtioNet *s = (VirtioNet *)dev;
    uint64_t multi = BIT(VIRTIO_NET_F_MQ) | BIT(VIRTIO_NET_F_RSS);

    if (!settings_ok(s, errp)) {
        return false;
    }
    s->npairs = s->v.host_features & multi ? queue_count(&s->net) : 1;
    if (!net_card_open(&s->net, dev->bus->owner, &vnet_port, s->npairs, errp)) {
        return false;
    }
    virtio_init(&s->v, config_size(s, s->v.host_features));
    s->pairs = g_new0(VnetPair, s->npairs);
    for (unsigned i = 0; i < s->npairs; i++) {
        VnetPair *p = &s->pairs[i];

        s->net.port[i].arg = s;
        p->s = s;
        p->again = (Work){ .fn = transmit_later, .arg = p };
        timer_init(&p->timer, NULL, CLOCK_VM, transmit_later, p);
        virtq_add(&s->v, s->rx_size, sizeof(VirtqElem), kicked);
        virtq_add(&s->v, s->tx_size, sizeof(VirtqElem), kicked);
    }
    virtq_add(&s->v, 64, sizeof(VirtqElem), kicked);
    s->hdr_len = sizeof(struct virtio_net_hdr);
    vnet_filter_reset(s);
    return true;
}

static MACHINE_CALL void vnet_unrealize(Device *dev)
{
    VirtioNet *s = (VirtioNet *)dev;

    quiesce(&s->v, true);
    net_card_close(&s->net);
    virtio_fini(&s->v);
    g_clear_pointer(&s->pairs, g_free);
}

static MACHINE_CALL void vnet_reset(Device *dev, ResetKind kind)
{
    VirtioNet *s = (VirtioNet *)dev;

    quiesce(&s->v, true);
    for (unsigned i = 0; i < s->net.nports; i++) {
        NetPort *p = &s->net.port[i];

        if (p->peer && p->peer->drv->set_vnet && p->vnet &&
            p->peer->drv->set_vnet(p->peer, 0)) {
            p->vnet = p->peer->vnet = 0;
        }
    }
    vnet_filter_reset(s);
    vnet_pairs_apply(s);
    net_card_info(&s->net, s->mac);
}

static bool vnet_loaded(void *opaque, int version, Error **errp)
{
    machine_assert_locked();
    VirtioNet *s = opaque;
    bool bad = s->nmacs > VNET_MACS || s->first_multi > s->nmacs ||
               !s->pairs_on || s->pairs_on > s->npairs ||
               s->hash.mask >= VNET_TABLE || !IS_POW2(s->hash.mask + 1) ||
               s->hash.plain >= s->npairs;

    for (unsigned i = 0; !bad && i <= s->hash.mask; i++) {
        bad = s->hash.table[i] >= s->npairs;
    }
    if (bad) {
        return error_set(errp, "virtio-net: %u addresses, %u queue pairs, "
                         "table of %u", s->nmacs, s->pairs_on,
                         s->hash.mask + 1u);
    }
    if (s->v.status & (VIRTIO_FEATURES_OK | VIRTIO_DRIVER_OK)) {
        header_apply(s);
    }
    vnet_offloads_apply(s);
    vnet_pairs_apply(s);
    net_card_info(&s->net, s->mac);
    return true;
}

static const VmState hash_state = {
    .name = "hash", .version = 1, .oldest = 1,
    .fields = (const VmField[]){
        VM_BOOL(VnetHash, on), VM_BOOL(VnetHash, rss), VM_U32(VnetHash, types),
        VM_U16(VnetHash, mask), VM_U16(VnetHash, plain),
        VM_ARRAY(VnetHash, table, VK_U16), VM_BYTES(VnetHash, key), VM_END
    },
};

static const VmState vnet_state = {
    .name = "virtio-net", .version = 1, .oldest = 1, .after_load = vnet_loaded,
    .fields = (const VmField[]){
        VM_U16(VirtioNet, pairs_on), VM_BYTES(VirtioNet, mac),
        VM_BOOL(VirtioNet, promisc), VM_BOOL(VirtioNet, allmulti),
        VM_BOOL(VirtioNet, alluni), VM_BOOL(VirtioNet, nomulti),
        VM_BOOL(VirtioNet, nouni), VM_BOOL(VirtioNet, nobcast),
        VM_BOOL(VirtioNet, uni_overflow), VM_BOOL(VirtioNet, multi_overflow),
        VM_BOOL(VirtioNet, announcing), VM_U32(VirtioNet, nmacs),
        VM_U32(VirtioNet, first_multi), VM_BYTES(VirtioNet, macs),
        VM_ARRAY(VirtioNet, vlans, VK_U32), VM_U64(VirtioNet, offloads),
        VM_STRUCT(VirtioNet, hash, &hash_state), VM_END
    },
};

#define FEATURE(nm, bit, on) \
    PROP_BIT64(nm, VirtioNet, v.host_features, bit, on, .desc = "on/off")

static const Prop vnet_rows[] = {
    FEATURE("csum", VIRTIO_NET_F_CSUM, true),
    FEATURE("guest_csum", VIRTIO_NET_F_GUEST_CSUM, true),
    FEATURE("gso", VIRTIO_NET_F_GSO, true),
    FEATURE("guest_tso4", VIRTIO_NET_F_GUEST_TSO4, true),
    FEATURE("guest_tso6", VIRTIO_NET_F_GUEST_TSO6, true),
    FEATURE("guest_ecn", VIRTIO_NET_F_GUEST_ECN, true),
    FEATURE("guest_ufo", VIRTIO_NET_F_GUEST_UFO, true),
    FEATURE("guest_announce", VIRTIO_NET_F_GUEST_ANNOUNCE, true),
    FEATURE("host_tso4", VIRTIO_NET_F_HOST_TSO4, true),
    FEATURE("host_tso6", VIRTIO_NET_F_HOST_TSO6, true),
    FEATURE("host_ecn", VIRTIO_NET_F_HOST_ECN, true),
    FEATURE("host_ufo", VIRTIO_NET_F_HOST_UFO, true),
    FEATURE("mrg_rxbuf", VIRTIO_NET_F_MRG_RXBUF, true),
    FEATURE("status", VIRTIO_NET_F_STATUS, true),
    FEATURE("ctrl_vq", VIRTIO_NET_F_CTRL_VQ, true),
    FEATURE("ctrl_rx", VIRTIO_NET_F_CTRL_RX, true),
    FEATURE("ctrl_vlan", VIRTIO_NET_F_CTRL_VLAN, true),
    FEATURE("ctrl_rx_extra", VIRTIO_NET_F_CTRL_RX_EXTRA, true),
    FEATURE("ctrl_mac_addr", VIRTIO_NET_F_CTRL_MAC_ADDR, true),
    FEATURE("ctrl_guest_offloads", VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, true),
    FEATURE("mq", VIRTIO_NET_F_MQ, false),
    FEATURE("rss", VIRTIO_NET_F_RSS, false),
    FEATURE("hash", VIRTIO_NET_F_HASH_REPORT, false),
    FEATURE("guest_rsc_ext", VIRTIO_NET_F_RSC_EXT, false),
    PROP_U32("rsc_interval", VirtioNet, rsc_interval, 300000),
    PROP_NET_CARD(VirtioNet, net),
    PROP_U32("x-txtimer", VirtioNet, tx_timer, 150000),
    PROP_I32("x-txburst", VirtioNet, tx_burst, 256),
    PROP_STR("tx", VirtioNet, tx),
    PROP_U16("rx_queue_size", VirtioNet, rx_size, 256),
    PROP_U16("tx_queue_size", VirtioNet, tx_size, 256),
    PROP_U16("host_mtu", VirtioNet, host_mtu, 0),
    PROP_BOOL("x-mtu-bypass-backend", VirtioNet, mtu_bypass, true),
    PROP_I32("speed", VirtioNet, speed, -1),
    PROP_STR("duplex", VirtioNet, duplex),
    PROP_BOOL("failover", VirtioNet, failover, false),
    PROP_BOOTINDEX,
    PROP_END
};

static const Prop vnet_pci_rows[] = {
    VIRTIO_PCI_IOEVENTFD(true),
    VIRTIO_PCI_VECTORS_COMPAT(VIRTIO_VECTORS_AUTO, 502, "3"),
    PROP_END
};

static const VirtioType vnet_type = {
    .id = VIRTIO_ID_NET, .features = features, .chosen = chosen,
    .config_read = config_read, .config_write = config_write,
    .status = status, .quiesce = quiesce, .resume = resume,
    .queue_reset = queue_reset,
    .legacy_only = BIT(VIRTIO_NET_F_GSO), .fw_path = "ethernet-phy@0",
};

VIRTIO_DEVICE(virtio_net, "virtio-net", "network", vnet_pci_rows,
              VIRTIO_ID_NET, 0x1000, 0x020000,
    .doc = "A network card made for virtual machines: many queues, offloads, "
           "a control queue for filters.",
    .on_info = &vnet_type, .size = sizeof(VirtioNet), .props = vnet_rows,
    .vmstate = &vnet_state, .realize = vnet_realize,
    .unrealize = vnet_unrealize, .reset = vnet_reset);
