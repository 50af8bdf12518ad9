/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * user.c - the user network: its options and commands. The stack behind it is
 * libslirp, in a module of its own (user-slirp.c).
 *
 * Thread class: machine lock.
 */
#include <glib.h>
#include "module.h"
#include "monitor.h"
#include "net/user.h"
#include "opt.h"
#include "schema/schema.h"

static const UserOps *ops;             /* NULL: not loaded yet                */

static MACHINE_CALL bool user_open(NetPort *p, Error **errp)
{
    if (!ops) {
        ops = module_symbol("slirp", "user_ops_table", errp);
    }
    return ops && ops->open((UserNet *)p, errp);
}

static MACHINE_CALL void user_close(NetPort *p)
{
    UserNet *u = (UserNet *)p;
    GPtrArray **lists[] = { &u->dnssearch, &u->hostfwd, &u->guestfwd };

    if (ops && u->stack) {
        ops->close(u);
    }
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        if (*lists[i]) {
            g_ptr_array_free(*lists[i], true);
            *lists[i] = NULL;
        }
    }
}

static MACHINE_CALL ssize_t user_send(NetPort *p, const struct iovec *iov,
                                      int niov)
{
    size_t n = net_iov_len(iov, niov);
    uint8_t small[2048], *buf = n <= sizeof(small) ? small : NULL;

    if (niov == 1) {
        ops->input((UserNet *)p, iov->iov_base, n);
        return n;
    }
    if (n > NET_MAX_FRAME) {
        return n;
    }
    buf = buf ? buf : g_malloc(n);
    net_iov_read(iov, niov, 0, buf, n);
    ops->input((UserNet *)p, buf, n);
    if (buf != small) {
        g_free(buf);
    }
    return n;
}

/* ---- properties ---------------------------------------------------------- */

static GPtrArray **list_of(UserNet *u, const char *name)
{
    return !strcmp(name, "dnssearch") ? &u->dnssearch
         : !strcmp(name, "hostfwd") ? &u->hostfwd : &u->guestfwd;
}

static bool list_set(Obj *o, const Prop *p, const Json *v, Error **errp)
{
    GPtrArray **l = list_of((UserNet *)o, p->name);

    if (!*l) {
        *l = g_ptr_array_new_with_free_func(g_free);
    }
    return net_take_strings(*l, p->name, v, errp);
}

static bool family_set(Obj *o, const Prop *p, const Json *v, Error **errp)
{
    UserNet *u = (UserNet *)o;
    bool on = json_kind(v) == JSON_BOOL && json_bool_of(v);

    if (json_kind(v) != JSON_BOOL &&
        (json_kind(v) != JSON_STR ||
         !opt_bool(p->name, json_str_of(v), &on, errp))) {
        return json_kind(v) == JSON_STR ? false
            : error_set(errp, "Invalid parameter type for '%s', expected: "
                        "boolean", p->name);
    }
    *(p->name[3] == '4' ? &u->ipv4 : &u->ipv6) = on ? OOA_ON : OOA_OFF;
    return true;
}

static const Prop user_props[] = {
    PROP_STR("hostname", UserNet, hostname, .desc = "guest's name by DHCP"),
    PROP_BOOL("restrict", UserNet, restricted, false,
              .desc = "nothing but what is forwarded is reached"),
    PROP_CALL("ipv4", "bool", NULL, family_set, .desc = "IPv4 on"),
    PROP_CALL("ipv6", "bool", NULL, family_set, .desc = "IPv6 on"),
    PROP_STR("ip", UserNet, ip, .desc = "older name of net"),
    PROP_STR("net", UserNet, net, .desc = "network, with its mask"),
    PROP_STR("host", UserNet, host, .desc = "the host as the guest sees it"),
    PROP_STR("tftp", UserNet, tftp, .desc = "folder that TFTP serves"),
    PROP_STR("bootfile", UserNet, bootfile, .desc = "file named by BOOTP"),
    PROP_STR("dhcpstart", UserNet, dhcpstart,
             .desc = "first address that DHCP gives"),
    PROP_STR("dns", UserNet, dns, .desc = "address of the name server"),
    PROP_CALL("dnssearch", "String", NULL, list_set,
              .desc = "domains to look names up in"),
    PROP_STR("domainname", UserNet, domainname, .desc = "guest's domain"),
    PROP_STR("ipv6-prefix", UserNet, ipv6_prefix, .desc = "IPv6 prefix"),
    PROP_I64("ipv6-prefixlen", UserNet, ipv6_prefixlen, 0,
             .desc = "bits of the prefix"),
    PROP_STR("ipv6-host", UserNet, ipv6_host, .desc = "host's IPv6 address"),
    PROP_STR("ipv6-dns", UserNet, ipv6_dns, .desc = "name server by IPv6"),
    PROP_STR("smb", UserNet, smb, .desc = "folder that SMB serves"),
    PROP_STR("smbserver", UserNet, smbserver, .desc = "SMB server's address"),
    PROP_CALL("hostfwd", "String", NULL, list_set,
              .desc = "[tcp|udp]:[hostaddr]:port-[guestaddr]:port"),
    PROP_CALL("guestfwd", "String", NULL, list_set,
              .desc = "[tcp]:server:port-dev or -cmd:command"),
    PROP_STR("tftp-server-name", UserNet, tftp_server_name,
             .desc = "name of the TFTP server by DHCP"),
    PROP_END
};

NET_DRIVER(user_driver, {
    .name = "user", .desc = "network with address translation",
    .size = sizeof(UserNet),
    .doc = "A network of its own behind the process: DHCP, name service, TFTP "
           "and SMB for the guest; its connections leave as the process's. "
           "hostfwd lets the host's side in, by a port or by unix:path-[guestaddr]:"
           "port, a socket's file. Needs no privilege.",
    .props = user_props, .open = user_open, .close = user_close,
    .send = user_send,
});

/* ---- commands ------------------------------------------------------------ */

static NO_TSA bool is_user(const NetPort *p)
{
    return p && p->drv->open == user_open;
}

static MACHINE_CALL UserNet *one_stack(const char *id)
{
    NetPort *found = NULL;

    if (id) {
        found = net_find(id);
        if (!found) {
            mon_printf("unrecognized netdev id '%s'\n", id);
        } else if (!is_user(found)) {
            mon_puts("invalid device specified\n");
            found = NULL;
        }
        return (UserNet *)found;
    }
    for (NetPort *p = net_first(); p && !found; p = p->next) {
        found = is_user(p) ? p : NULL;
    }
    if (!found) {
        mon_puts("user mode network stack not in use\n");
    }
    return (UserNet *)found;
}

static MACHINE_CALL void forward(const Json *args, bool add)
{
    const char *first = json_get_str(args, "arg1");
    const char *second = json_get_str(args, "arg2");
    UserNet *u = one_stack(second ? first : NULL);
    const char *rule = second ? second : first;
    Error *err = NULL;

    if (!u) {
        return;
    }
    if (!ops->hostfwd(u, rule, add, &err)) {
        mon_printf("%s\n", error_text(err));
        error_free(err);
    } else if (!add) {
        mon_printf("host forwarding rule for %s removed\n", rule);
    }
}

void hmp_hostfwd_add(const Json *args)
{
    forward(args, true);
}

void hmp_hostfwd_remove(const Json *args)
{
    forward(args, false);
}

bool cmd_x_query_usernet(const void *arg, void *ret, Error **errp)
{
    GString *s = g_string_new("");

    for (NetPort *p = net_first(); p; p = p->next) {
        if (is_user(p)) {
            g_autofree char *text = ops->info((UserNet *)p);

            g_string_append_printf(s, "Hub %d (%s):\n%s", net_hub_of(p),
                                   p->name, text);
        }
    }
    ((HumanReadableText *)ret)->human_readable_text = g_string_free(s, false);
    return true;
}
