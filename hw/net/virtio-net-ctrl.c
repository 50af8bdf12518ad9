/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-net-ctrl.c - the control queue of the virtio network card (virtio 1.2,
 * section 5.1.6.5), and what of it clients ask about.
 *
 * Thread class: the machine lock.
 *
 * Invariants
 * 1. A command that is refused changes nothing.
 * 2. macs[0..first_multi) are addresses, [first_multi..nmacs) multicast ones.
 */
#include <glib.h>
#include "hw/net/virtio-net.h"
#include "monitor.h"
#include "schema/schema.h"

#define COMMAND_MAX 4096               /* bytes that a command has            */

void vnet_filter_reset(VirtioNet *s)
{
    memcpy(s->mac, s->net.mac, 6);
    s->promisc = true;
    s->allmulti = s->alluni = s->nomulti = s->nouni = s->nobcast = false;
    s->uni_overflow = s->multi_overflow = s->announcing = false;
    s->nmacs = s->first_multi = 0;
    memset(s->macs, 0, sizeof(s->macs));
    memset(s->vlans, 0xff, sizeof(s->vlans));
    memset(&s->hash, 0, sizeof(s->hash));
    s->offloads = 0;
    s->pairs_on = 1;
}

static MACHINE_CALL void filter_changed(VirtioNet *s)
{
    Device *fn = s->v.dev.bus->owner;
    g_autofree char *path = NULL;
    NicRxFilterChangedEvent e = { .name = fn->id };

    if (s->told_rx_filter) {
        return;
    }
    s->told_rx_filter = true;
    path = obj_path(&s->v.dev.obj);
    e.path = path;
    monitor_event(&event_NIC_RX_FILTER_CHANGED, &e);
}

static bool rx_mode(VirtioNet *s, unsigned cmd, const uint8_t *d, size_t n)
{
    bool *const flags[] = { &s->promisc, &s->allmulti, &s->alluni, &s->nomulti,
                            &s->nouni, &s->nobcast };
    unsigned bit = cmd < 2 ? VIRTIO_NET_F_CTRL_RX : VIRTIO_NET_F_CTRL_RX_EXTRA;

    if (cmd >= ARRAY_SIZE(flags) || n < 1 || !virtio_has(&s->v, bit)) {
        return false;
    }
    *flags[cmd] = d[0];
    return true;
}

/* One of the two lists: a count and addresses. Returns its bytes, 0: bad. */
static size_t mac_list(const uint8_t *d, size_t n, uint32_t *count)
{
    if (n < 4) {
        return 0;
    }
    *count = ld_le32(d);
    return *count <= (n - 4) / 6 ? 4 + (size_t)*count * 6 : 0;
}

static bool mac_table(VirtioNet *s, const uint8_t *d, size_t n)
{
    uint32_t nu, nm;
    size_t a = mac_list(d, n, &nu);
    size_t b = a ? mac_list(d + a, n - a, &nm) : 0;

    if (!b || a + b != n) {
        return false;
    }
    s->uni_overflow = nu > VNET_MACS;
    s->nmacs = s->first_multi = s->uni_overflow ? 0 : nu;
    memcpy(s->macs, d + 4, s->nmacs * 6);
    s->multi_overflow = nm > VNET_MACS - s->nmacs;
    if (!s->multi_overflow) {
        memcpy(s->macs + s->nmacs * 6, d + a + 4, nm * 6);
        s->nmacs += nm;
    }
    return true;
}

static MACHINE_CALL bool mac_command(VirtioNet *s, unsigned cmd,
                                     const uint8_t *d, size_t n)
{
    if (cmd == VIRTIO_NET_CTRL_MAC_ADDR_SET && n == 6 &&
        virtio_has(&s->v, VIRTIO_NET_F_CTRL_MAC_ADDR)) {
        memcpy(s->mac, d, 6);
        net_card_info(&s->net, s->mac);
        return true;
    }
    return cmd == VIRTIO_NET_CTRL_MAC_TABLE_SET && mac_table(s, d, n);
}

static bool vlan_command(VirtioNet *s, unsigned cmd, const uint8_t *d, size_t n)
{
    unsigned vid = n >= 2 ? ld_le16(d) : 4096;

    if (vid > 4095 || cmd > VIRTIO_NET_CTRL_VLAN_DEL) {
        return false;
    }
    if (cmd == VIRTIO_NET_CTRL_VLAN_ADD) {
        s->vlans[vid / 32] |= 1u << vid % 32;
    } else {
        s->vlans[vid / 32] &= ~(1u << vid % 32);
    }
    return true;
}

static MACHINE_CALL bool pairs_command(VirtioNet *s, unsigned cmd,
                                       const uint8_t *d, size_t n)
{
    if (cmd == VIRTIO_NET_CTRL_MQ_RSS_CONFIG ||
        cmd == VIRTIO_NET_CTRL_MQ_HASH_CONFIG) {
        bool rss = cmd == VIRTIO_NET_CTRL_MQ_RSS_CONFIG;

        if (!virtio_has(&s->v, rss ? VIRTIO_NET_F_RSS
                                   : VIRTIO_NET_F_HASH_REPORT) ||
            !vnet_hash_set(s, d, n, rss)) {
            return false;
        }
    } else if (cmd == VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET && n >= 2 &&
               virtio_has(&s->v, VIRTIO_NET_F_MQ) && ld_le16(d) &&
               ld_le16(d) <= s->npairs) {
        s->pairs_on = ld_le16(d);
        s->hash.on = s->hash.rss = false;
    } else {
        return false;
    }
    vnet_pairs_apply(s);
    return true;
}

static MACHINE_CALL bool offloads_command(VirtioNet *s, unsigned cmd,
                                          const uint8_t *d, size_t n)
{
    uint64_t may = s->v.features & (1u << VIRTIO_NET_F_GUEST_CSUM |
        1u << VIRTIO_NET_F_GUEST_TSO4 | 1u << VIRTIO_NET_F_GUEST_TSO6 |
        1u << VIRTIO_NET_F_GUEST_ECN | 1u << VIRTIO_NET_F_GUEST_UFO);

    if (cmd != VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET || n < 8 ||
        !virtio_has(&s->v, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) ||
        (ld_le64(d) & ~may)) {
        return false;
    }
    s->offloads = ld_le64(d);
    vnet_offloads_apply(s);
    return true;
}

static MACHINE_CALL bool command(VirtioNet *s, const uint8_t *d, size_t n)
{
    bool ok;

    switch (d[0]) {
    case VIRTIO_NET_CTRL_RX:
        ok = rx_mode(s, d[1], d + 2, n - 2);
        break;
    case VIRTIO_NET_CTRL_MAC:
        ok = mac_command(s, d[1], d + 2, n - 2);
        break;
    case VIRTIO_NET_CTRL_VLAN:
        ok = vlan_command(s, d[1], d + 2, n - 2);
        break;
    case VIRTIO_NET_CTRL_ANNOUNCE:
        ok = d[1] == VIRTIO_NET_CTRL_ANNOUNCE_ACK && s->announcing;
        s->announcing = s->announcing && !ok;
        return ok;
    case VIRTIO_NET_CTRL_MQ:
        return pairs_command(s, d[1], d + 2, n - 2);
    case VIRTIO_NET_CTRL_GUEST_OFFLOADS:
        return offloads_command(s, d[1], d + 2, n - 2);
    default:
        return false;
    }
    if (ok) {
        filter_changed(s);
    }
    return ok;
}

void vnet_control_kicked(Virtq *q)
{
    machine_assert_locked();
    VirtioNet *s = (VirtioNet *)q->v;
    uint8_t d[COMMAND_MAX], ack;
    VirtqElem *e;

    while ((e = virtq_pop(q))) {
        size_t n;

        if (e->out_len < 2 || e->in_len < 1) {
            virtio_broken(&s->v, "virtio-net ctrl missing headers");
            return;
        }
        n = virtq_read(e, 0, d, sizeof(d));
        ack = e->out_len <= sizeof(d) && command(s, d, n) ? VIRTIO_NET_OK
                                                          : VIRTIO_NET_ERR;
        virtq_write(e, 0, &ack, 1);
        virtq_push(q, e, 1);
        virtq_notify(q);
    }
}

/* ---- query-rx-filter ----------------------------------------------------- */

static Json *mac_json(const uint8_t *m)
{
    return json_strf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3],
                     m[4], m[5]);
}

static Json *macs_json(const VirtioNet *s, unsigned from, unsigned to)
{
    Json *l = json_list();

    for (unsigned i = from; i < to; i++) {
        json_add(l, mac_json(s->macs + i * 6));
    }
    return l;
}

Json *vnet_rx_filter(NetPort *p)
{
    VirtioNet *s = p->arg;
    bool all = !virtio_has(&s->v, VIRTIO_NET_F_CTRL_VLAN), some = false;
    Json *o = json_obj(), *vlans = json_list();

    for (unsigned i = 4096; i-- > 0;) {            /* the highest first       */
        if (s->vlans[i / 32] >> i % 32 & 1) {
            json_add(vlans, json_int(i));
            some = true;
        }
    }
    json_set_str(o, "name", p->name);
    json_set_bool(o, "promiscuous", s->promisc);
    json_set_str(o, "multicast", s->nomulti ? "none" : s->allmulti ||
                 s->multi_overflow ? "all" : "normal");
    json_set_str(o, "unicast", s->nouni ? "none" : s->alluni ? "all"
                                                             : "normal");
    json_set_str(o, "vlan", all ? "all" : some ? "normal" : "none");
    json_set_bool(o, "broadcast-allowed", !s->nobcast);
    json_set_bool(o, "multicast-overflow", s->multi_overflow);
    json_set_bool(o, "unicast-overflow", s->uni_overflow);
    json_set(o, "main-mac", mac_json(s->mac));
    json_set(o, "vlan-table", vlans);
    json_set(o, "unicast-table", macs_json(s, 0, s->first_multi));
    json_set(o, "multicast-table", macs_json(s, s->first_multi, s->nmacs));
    s->told_rx_filter = false;
    return o;
}
