/* SPDX-License-Identifier: GPL-2.0-or-later */
/* net-priv.h - what the files of net/ share. MACHINE_CALL. */
#ifndef TERN_NET_PRIV_H
#define TERN_NET_PRIV_H

#include <glib.h>
#include "net.h"

extern const NetDriver net_hub_driver;
/* A port of hub `hub` named hubNportM, joined to peer (NULL: free). */
NetPort *net_hub_port(unsigned hub, NetPort *peer) MACHINE_CALL;
int net_hub_of(const NetPort *p);      /* hub that it is in or at; -1: none   */

/* Members of netdev_add that are lists of {str}; text: a string or a list of
 * them. Adds to a GPtrArray of char *. */
bool net_take_strings(GPtrArray *to, const char *name, const Json *v,
                      Error **errp);

/* Option text to members; bare: "x" stands for x=on. NULL with *errp. */
Json *net_options(const char *text, bool bare, Error **errp);

#endif
