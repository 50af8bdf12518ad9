/* SPDX-License-Identifier: GPL-2.0-or-later */
/* user.h - between the user network's table and the module with its library. */
#ifndef TERN_NET_USER_H
#define TERN_NET_USER_H

#include "net/net-priv.h"

typedef struct UserNet {
    NetPort port;
    /* properties */
    char *hostname, *net, *ip, *host, *tftp, *bootfile, *dhcpstart, *dns,
         *domainname, *ipv6_prefix, *ipv6_host, *ipv6_dns, *smb, *smbserver,
         *tftp_server_name;
    bool restricted;
    OnOffAuto ipv4, ipv6;
    int64_t ipv6_prefixlen;            /* 0: not given                        */
    GPtrArray *dnssearch, *hostfwd, *guestfwd;     /* char *; NULL: none      */
    void *stack;                       /* the module's                        */
} UserNet;

typedef struct UserOps {               /* symbol user_ops_table               */
    bool (*open)(UserNet *u, Error **errp) MACHINE_PTR;
    void (*close)(UserNet *u) MACHINE_PTR;
    void (*input)(UserNet *u, const uint8_t *frame, size_t n) MACHINE_PTR;
    bool (*hostfwd)(UserNet *u, const char *rule, bool add, Error **errp)
        MACHINE_PTR;
    char *(*info)(UserNet *u) MACHINE_PTR;         /* g_free                  */
} UserOps;

#endif
