/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * card.c - what all network cards share: the netdev they are plugged into, their
 * address, their ports.
 *
 * Thread class: machine lock.
 *
 * Invariants
 * 1. A card's queue i is the peer of its netdev's queue i.
 * 2. Two cards made without an address never get the same one.
 */
#include <glib.h>
#include "device.h"
#include "net.h"

static uint32_t macs_used;             /* last byte - 0x56, of default MACs   */

static void *claim(Obj *owner, const char *prop, const char *id, Error **errp)
{
    machine_assert_locked();
    NetPort *p = net_find(id);

    if (!p || p->card) {
        error_set(errp, "Property '%s.%s' can't find value '%s'",
                  obj_type(owner), prop, id);
        return NULL;
    }
    if (p->claimed || p->peer) {
        error_set(errp, "Property '%s.%s' can't take value '%s', it's in use",
                  obj_type(owner), prop, id);
        return NULL;
    }
    p->claimed = true;
    return p;
}

static void release(Obj *owner, void *target)
{
    ((NetPort *)target)->claimed = false;
}

static const char *id_of(const void *target)
{
    return ((const NetPort *)target)->name;
}

const PropRef prop_ref_netdev = {
    .type = "str", .claim = claim, .release = release, .id = id_of,
};

/* 52:54:00:12:34:56 upwards. */
static void mac_take(uint8_t mac[6])
{
    static const uint8_t base[6] = { 0x52, 0x54, 0x00, 0x12, 0x34, 0x56 };

    if (!memcmp(mac, "\0\0\0\0\0\0", 6)) {
        unsigned i = 0;

        while (i < 31 && (macs_used & 1u << i)) {
            i++;
        }
        memcpy(mac, base, 6);
        mac[5] += i;
    }
    if (!memcmp(mac, base, 5) && mac[5] >= 0x56 && mac[5] < 0x56 + 32) {
        macs_used |= 1u << (mac[5] - 0x56);
    }
}

static void mac_give(const uint8_t mac[6])
{
    if (!memcmp(mac, "\x52\x54\x00\x12\x34", 5) && mac[5] >= 0x56 &&
        mac[5] < 0x56 + 32) {
        macs_used &= ~(1u << (mac[5] - 0x56));
    }
}

/* MODEL.N, where N counts the cards of the model, those with names included. */
static MACHINE_CALL char *name_make(const Device *dev)
{
    unsigned first = 0;
    char *name;

    if (dev->id) {
        return g_strdup(dev->id);
    }
    for (NetPort *p = net_first(); p; p = p->next) {
        first += p->card && !p->queue && !strcmp(p->model, dev->type->name);
    }
    for (unsigned i = first;; i++) {
        name = g_strdup_printf("%s.%u", dev->type->name, i);
        if (!net_find(name)) {
            return name;
        }
        g_free(name);
    }
}

bool net_card_open(NetCard *c, Device *dev, const NetDriver *drv,
                   unsigned queues, Error **errp)
{
    g_autofree char *name = name_make(dev);

    mac_take(c->mac);
    c->port = g_new0(NetPort, queues);
    c->nports = queues;
    for (unsigned i = 0; i < queues; i++) {
        NetPort *p = &c->port[i];
        NetPort *to = c->netdev ? net_queue(c->netdev, i) : NULL;

        net_port_init(p, drv, name);
        p->model = g_strdup(dev->type->name);
        p->queue = i;
        p->arg = dev;
        p->card = c;
        if (to) {
            net_connect(p, to);
        }
    }
    net_card_info(c, c->mac);
    return true;
}

void net_card_close(NetCard *c)
{
    for (unsigned i = 0; i < c->nports; i++) {
        NetPort *peer = c->port[i].peer;

        /* The netdev stays, for another card. */
        if (peer) {
            peer->peer = NULL;
            c->port[i].peer = NULL;
        }
        net_port_fini(&c->port[i]);
    }
    g_clear_pointer(&c->port, g_free);
    c->nports = 0;
    mac_give(c->mac);
}

void net_card_info(NetCard *c, const uint8_t mac[6])
{
    for (unsigned i = 0; i < c->nports; i++) {
        snprintf(c->port[i].info, sizeof(c->port[i].info),
                 "model=%s,macaddr=%02x:%02x:%02x:%02x:%02x:%02x",
                 c->port[i].model, mac[0], mac[1], mac[2], mac[3], mac[4],
                 mac[5]);
    }
}

bool net_card_link_up(const NetCard *c)
{
    return !c->nports || net_link_up(&c->port[0]);
}
