/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * user-config.c - the user network's addresses from its options, with what is
 * left out: 10.0.2.0/24 and fec0::/64, host 2, DNS 3, DHCP from 15.
 *
 * Thread class: machine lock.
 */
#include <arpa/inet.h>
#include <glib.h>
#include <sys/stat.h>
#include "net/user-priv.h"

/* Classes of networks (RFC 791) and the private blocks of RFC 1918. */
static uint32_t class_mask(uint32_t net)
{
    if (!(net & 0x80000000)) {
        return 0xff000000;
    }
    if ((net & 0xfff00000) == 0xac100000) {
        return 0xfff00000;
    }
    if ((net & 0xffff0000) == 0xc0a80000 || (net & 0xc0000000) == 0x80000000) {
        return 0xffff0000;
    }
    return 0xffffff00;
}

/* "10.0.2.0", "10.0.2.0/24", "10.0.2.0/255.255.255.0" */
static bool parse_net(const char *text, struct in_addr *net,
                      struct in_addr *mask, Error **errp)
{
    const char *slash = strchr(text, '/');
    g_autofree char *addr = slash ? g_strndup(text, slash - text)
                                  : g_strdup(text);
    char *end;

    if (!inet_aton(addr, net)) {
        return error_set(errp, "Failed to parse netmask");
    }
    if (!slash) {
        mask->s_addr = htonl(class_mask(ntohl(net->s_addr)));
    } else if (!strchr(slash, '.')) {
        long bits = strtol(slash + 1, &end, 10);

        if (*end || end == slash + 1) {
            return error_set(errp, "Failed to parse netmask (trailing chars)");
        }
        if (bits < 4 || bits > 32) {
            return error_set(errp, "Invalid netmask provided (must be in range "
                             "4-32)");
        }
        mask->s_addr = htonl((uint32_t)(UINT64_C(0xffffffff) << (32 - bits)));
    } else if (!inet_aton(slash + 1, mask)) {
        return error_set(errp, "Failed to parse netmask (trailing chars)");
    }
    net->s_addr &= mask->s_addr;
    return true;
}

/* An address within the network; text NULL: its default low bits. */
static bool parse_addr(UserStack *s, const char *text, uint32_t low,
                       struct in_addr *to, const char *what, Error **errp)
{
    if (!text) {
        to->s_addr = s->network.s_addr | (htonl(low) & ~s->mask.s_addr);
        return true;
    }
    return inet_aton(text, to) ||
           error_set(errp, "Failed to parse %s", what);
}

static bool in_net(const UserStack *s, struct in_addr a)
{
    return (a.s_addr & s->mask.s_addr) == s->network.s_addr;
}

static bool config_ip4(UserNet *u, UserStack *s, SlirpConfig *cfg, Error **errp)
{
    g_autofree char *ip = u->ip ? g_strdup_printf("%s/24", u->ip) : NULL;
    const char *net = u->net ? u->net : ip ? ip : "10.0.2.0/24";

    if (!parse_net(net, &s->network, &s->mask, errp) ||
        !parse_addr(s, u->host, 0x0202, &cfg->vhost, "host", errp) ||
        !parse_addr(s, u->dhcpstart, 0x020f, &cfg->vdhcp_start,
                    "DHCP start address", errp) ||
        !parse_addr(s, u->dns, 0x0203, &cfg->vnameserver, "DNS", errp)) {
        return false;
    }
    cfg->vnetwork = s->network;
    cfg->vnetmask = s->mask;
    s->guest = cfg->vdhcp_start;
    if (!in_net(s, cfg->vhost)) {
        return error_set(errp, "Host doesn't belong to network");
    }
    if (!in_net(s, cfg->vdhcp_start)) {
        return error_set(errp, "DHCP doesn't belong to network");
    }
    if (cfg->vhost.s_addr == cfg->vnameserver.s_addr) {
        return error_set(errp, "DNS must be different from host");
    }
    if (cfg->vdhcp_start.s_addr == cfg->vhost.s_addr ||
        cfg->vdhcp_start.s_addr == cfg->vnameserver.s_addr) {
        return error_set(errp, "DHCP must be different from host and DNS");
    }
    return true;
}

static bool same_prefix(const struct in6_addr *a, const struct in6_addr *b,
                        unsigned bits)
{
    unsigned whole = bits / 8;
    uint8_t mask = 0xff00 >> bits % 8;

    return !memcmp(a, b, whole) &&
           (!(bits % 8) || !((a->s6_addr[whole] ^ b->s6_addr[whole]) & mask));
}

static bool parse_ip6(const char *text, const char *what, struct in6_addr *to,
                      Error **errp)
{
    return inet_pton(AF_INET6, text, to) == 1 ||
           error_set(errp, "Failed to parse IPv6 %s", what);
}

static bool config_ip6(UserNet *u, SlirpConfig *cfg, Error **errp)
{
    unsigned bits;

    if (!parse_ip6(u->ipv6_prefix ? u->ipv6_prefix : "fec0::", "prefix",
                   &cfg->vprefix_addr6, errp)) {
        return false;
    }
    if (u->ipv6_prefixlen < 0 || u->ipv6_prefixlen > 126) {
        return error_set(errp, "Invalid IPv6 prefix provided (IPv6 prefix "
                         "length must be between 0 and 126)");
    }
    bits = u->ipv6_prefixlen ? u->ipv6_prefixlen : 64;
    cfg->vprefix_len = bits;
    cfg->vhost6 = cfg->vprefix_addr6;
    cfg->vhost6.s6_addr[15] |= 2;
    cfg->vnameserver6 = cfg->vprefix_addr6;
    cfg->vnameserver6.s6_addr[15] |= 3;
    if (u->ipv6_host) {
        if (!parse_ip6(u->ipv6_host, "host", &cfg->vhost6, errp)) {
            return false;
        }
        if (!same_prefix(&cfg->vhost6, &cfg->vprefix_addr6, bits)) {
            return error_set(errp, "IPv6 Host doesn't belong to network");
        }
    }
    /* Its name server may be anywhere. */
    return !u->ipv6_dns ||
           parse_ip6(u->ipv6_dns, "DNS", &cfg->vnameserver6, errp);
}

static bool config_names(UserNet *u, UserStack *s, SlirpConfig *cfg,
                         Error **errp)
{
    if (u->domainname && !*u->domainname) {
        return error_set(errp, "'domainname' parameter cannot be empty");
    }
    if (u->domainname && strlen(u->domainname) > 255) {
        return error_set(errp, "'domainname' parameter cannot exceed 255 "
                         "bytes");
    }
    if (u->hostname && strlen(u->hostname) > 255) {
        return error_set(errp, "'vhostname' parameter cannot exceed 255 bytes");
    }
    if (u->tftp_server_name && strlen(u->tftp_server_name) > 255) {
        return error_set(errp, "'tftp-server-name' parameter cannot exceed 255 "
                         "bytes");
    }
    if (u->bootfile && strlen(u->bootfile) > 127) {
        return error_set(errp, "'bootfile' parameter cannot exceed 127 bytes");
    }
    cfg->vhostname = u->hostname;
    cfg->tftp_server_name = u->tftp_server_name;
    cfg->tftp_path = u->tftp;
    cfg->bootfile = u->bootfile;
    cfg->vdomainname = u->domainname;
    if (u->dnssearch && u->dnssearch->len) {
        cfg->vdnssearch = g_new0(const char *, u->dnssearch->len + 1);
        for (guint i = 0; i < u->dnssearch->len; i++) {
            cfg->vdnssearch[i] = g_ptr_array_index(u->dnssearch, i);
        }
    }
    return true;
}

bool user_config(UserNet *u, UserStack *s, SlirpConfig *cfg, Error **errp)
{
    bool said4 = u->net || u->host || u->dns || u->ip || u->dhcpstart;
    bool said6 = u->ipv6_prefix || u->ipv6_host || u->ipv6_dns;
    struct in_addr smb;

    cfg->in_enabled = u->ipv4 == OOA_AUTO ? u->ipv6 != OOA_ON || said4
                                          : u->ipv4 == OOA_ON;
    cfg->in6_enabled = u->ipv6 == OOA_AUTO ? u->ipv4 != OOA_ON || said6
                                           : u->ipv6 == OOA_ON;
    if (!cfg->in_enabled && !cfg->in6_enabled) {
        return error_set(errp, "IPv4 and IPv6 disabled");
    }
    if (!cfg->in_enabled && said4) {
        return error_set(errp, "IPv4 disabled but netmask/host/dns provided");
    }
    if (!cfg->in6_enabled && said6) {
        return error_set(errp, "IPv6 disabled but prefix/host6/dns6 provided");
    }
    if (u->smbserver && !inet_aton(u->smbserver, &smb)) {
        return error_set(errp, "Failed to parse SMB address");
    }
    cfg->restricted = u->restricted;
    return config_ip4(u, s, cfg, errp) && config_ip6(u, cfg, errp) &&
           config_names(u, s, cfg, errp);
}
