/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * announce.c - tells switches where a card's address is now: RARP requests (RFC
 * 903) in the card's name, in rounds with growing pauses; cards whose drivers can
 * do better are told to.
 *
 * Thread class: machine lock.
 *
 * Invariants
 * 1. One announcing for each name; a new one of that name replaces it.
 */
#include <glib.h>
#include "monitor.h"
#include "net/net-priv.h"
#include "schema/schema.h"

typedef struct Announce {
    char *id;
    char **cards;                      /* NULL: all                           */
    int64_t step, max, pause;          /* milliseconds                        */
    int64_t rounds;                    /* left                                */
    Timer timer;
    struct Announce *next;
} Announce;

static Announce *running;

static MACHINE_CALL void announce_free(Announce *a)
{
    Announce **at = &running;

    while (*at && *at != a) {
        at = &(*at)->next;
    }
    if (*at) {
        *at = a->next;
    }
    timer_clear(&a->timer);
    g_strfreev(a->cards);
    g_free(a->id);
    g_free(a);
}

static MACHINE_CALL void announce_card(NetPort *p)
{
    uint8_t f[60] = { 0 };

    memset(f, 0xff, 6);
    memcpy(f + 6, p->card->mac, 6);
    st_be16(f + 12, 0x8035);           /* RARP                                */
    st_be16(f + 14, 1);                /* Ethernet                            */
    st_be16(f + 16, 0x0800);           /* IPv4                                */
    f[18] = 6;
    f[19] = 4;
    st_be16(f + 20, 3);                /* request reverse                     */
    memcpy(f + 22, p->card->mac, 6);
    memcpy(f + 32, p->card->mac, 6);
    if (!p->vnet) {
        net_send_copy(p, f, sizeof(f));
    } else {
        uint8_t with[12 + sizeof(f)] = { 0 };

        memcpy(with + p->vnet, f, sizeof(f));
        net_send_copy(p, with, p->vnet + sizeof(f));
    }
    if (p->drv->announce) {
        p->drv->announce(p);
    }
}

static void announce_round(void *arg)
{
    machine_assert_locked();
    Announce *a = arg;

    for (NetPort *p = net_first(); p; p = p->next) {
        if (p->card && !p->queue &&
            (!a->cards || g_strv_contains((const char *const *)a->cards,
                                          p->name))) {
            announce_card(p);
        }
    }
    if (--a->rounds <= 0) {
        announce_free(a);
        return;
    }
    timer_set(&a->timer, clock_ns(CLOCK_RT) + a->pause * NS_PER_MS);
    a->pause = MIN2(a->pause + a->step, a->max);
}

static bool range_ok(const char *name, int64_t v, int64_t max, Error **errp)
{
    return (v >= 0 && v <= max) ||
           error_set(errp, "Parameter '%s' expects a value in the range of 0 "
                     "to %" PRId64, name, max);
}

bool cmd_announce_self(const void *arg, void *ret, Error **errp)
{
    const AnnounceParameters *a = arg;
    const char *id = a->id ? a->id : "";
    Announce *n;

    if (!range_ok("initial", a->initial, 100000, errp) ||
        !range_ok("max", a->max, 100000, errp) ||
        !range_ok("rounds", a->rounds, 1000, errp) ||
        !range_ok("step", a->step, 10000, errp)) {
        return false;
    }
    for (n = running; n && strcmp(n->id, id); n = n->next) {
    }
    if (n) {
        announce_free(n);
    }
    if (!a->rounds) {
        return true;
    }
    n = g_new0(Announce, 1);
    n->id = g_strdup(id);
    if (a->has_interfaces) {
        n->cards = g_new0(char *, a->interfaces.n + 1);
        for (size_t i = 0; i < a->interfaces.n; i++) {
            n->cards[i] = g_strdup(a->interfaces.v[i]);
        }
    }
    n->rounds = a->rounds;
    n->step = a->step;
    n->max = a->max;
    n->pause = a->initial;
    n->next = running;
    running = n;
    timer_init(&n->timer, NULL, CLOCK_RT, announce_round, n);
    announce_round(n);
    return true;
}

void hmp_announce_self(const Json *args)
{
    const char *cards = json_get_str(args, "interfaces");
    AnnounceParameters a = { .initial = 50, .max = 550, .rounds = 5,
                             .step = 100 };
    char **names = cards ? g_strsplit(cards, ",", -1) : NULL;

    if (names) {
        a.has_interfaces = true;
        a.interfaces.n = g_strv_length(names);
        a.interfaces.v = names;
    }
    a.id = (char *)(uintptr_t)json_get_str(args, "id");
    cmd_announce_self(&a, NULL, NULL);
    g_strfreev(names);
}
