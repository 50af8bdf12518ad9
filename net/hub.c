/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hub.c - hubs: what comes in at one port goes out at all others. Made by
 * `hubport` and by the old -net options, which join hub 0.
 *
 * Thread class: machine lock.
 */
#include <glib.h>
#include "net.h"
#include "net/net-priv.h"

typedef struct HubPort {
    NetPort port;
    int32_t hubid;                    /* properties                          */
    char *netdev;
} HubPort;

static bool is_hub(const NetPort *p)
{
    return p->drv == &net_hub_driver;
}

static MACHINE_CALL ssize_t hub_send(NetPort *p, const struct iovec *iov,
                                     int niov)
{
    size_t n = net_iov_len(iov, niov);
    g_autofree uint8_t *buf = NULL;

    if (n > NET_MAX_FRAME) {
        return n;
    }
    for (NetPort *o = net_first(); o; o = o->next) {
        if (o != p && is_hub(o) && o->peer &&
            ((HubPort *)o)->hubid == ((HubPort *)p)->hubid) {
            if (!buf) {
                buf = g_malloc(n);
                net_iov_read(iov, niov, 0, buf, n);
            }
            net_send_copy(o, buf, n);
        }
    }
    return n;
}

static MACHINE_CALL bool hub_open(NetPort *p, Error **errp)
{
    HubPort *h = (HubPort *)p;
    NetPort *to;

    snprintf(p->info, sizeof(p->info), "hubid=%d", h->hubid);
    if (!h->netdev) {
        return true;
    }
    to = net_find(h->netdev);
    if (!to || to->card) {
        return error_set(errp, "netdev '%s' not found", h->netdev);
    }
    if (to->peer || to->claimed) {
        return error_set(errp, "netdev '%s' is in use", h->netdev);
    }
    net_connect(p, to);
    return true;
}

/* Hubs have no number of ports: names count up from what is there. */
NetPort *net_hub_port(unsigned hub, NetPort *peer)
{
    g_autofree char *name = NULL;
    HubPort *h = g_new0(HubPort, 1);
    unsigned n = 0;

    for (NetPort *o = net_first(); o; o = o->next) {
        n += is_hub(o) && ((HubPort *)o)->hubid == (int)hub;
    }
    name = g_strdup_printf("hub%uport%u", hub, n);
    net_port_init(&h->port, &net_hub_driver, name);
    h->hubid = (int)hub;
    snprintf(h->port.info, sizeof(h->port.info), "hubid=%u", hub);
    if (peer) {
        net_connect(&h->port, peer);
    }
    return &h->port;
}

int net_hub_of(const NetPort *p)
{
    if (p && is_hub(p)) {
        return ((const HubPort *)p)->hubid;
    }
    return p && p->peer && is_hub(p->peer)
        ? ((HubPort *)p->peer)->hubid : -1;
}

static const Prop hub_props[] = {
    PROP_I32("hubid", HubPort, hubid, 0, .min = 0,
             .flags = PF_REQUIRED, .desc = "number of the hub"),
    PROP_STR("netdev", HubPort, netdev, .desc = "netdev that the port is "
             "plugged into, in place of a card"),
    PROP_END
};

const NetDriver net_hub_driver = {
    .name = "hubport", .desc = "a port of a hub", .size = sizeof(HubPort),
    .doc = "Frames that enter a hub at one port leave it at all others.",
    .props = hub_props, .open = hub_open, .send = hub_send,
};
IN_SET(net_drivers) static const NetDriver *const hub_in_set = &net_hub_driver;
