/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tap-open.c - the backends `tap` and `bridge`: where their descriptors come
 * from.
 *
 * Thread class: machine lock.
 */
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "monitor.h"
#include "net/conn.h"
#include "net/tap.h"
#include "opt.h"

static MACHINE_CALL NetTap *queue_new(NetTap *t, unsigned i)
{
    NetTap *q = t;

    if (i) {
        q = (NetTap *)net_queue_add(&t->port);
        q->fd = -1;
    }
    return q;
}

/* ---- given descriptors --------------------------------------------------- */

static MACHINE_CALL bool use_fd(NetTap *t, unsigned i, const char *text,
                                Error **errp)
{
    NetTap *q;
    int fd = net_take_fd(&t->port, text, errp);

    if (fd < 0) {
        return false;
    }
    q = queue_new(t, i);
    if (!tap_start(q, fd, errp)) {
        return false;
    }
    if (q->has_vnet != t->has_vnet) {
        return error_set(errp, "vnet_hdr not consistent across given tap fds");
    }
    snprintf(q->port.info, sizeof(q->port.info), "fd=%d", fd);
    return true;
}

static MACHINE_CALL bool open_fd(NetTap *t, Error **errp)
{
    if (t->ifname || t->script || t->downscript || t->vnet_hdr != OOA_AUTO ||
        t->helper || t->queues || t->fds || t->vhostfds) {
        return error_set(errp, "ifname=, script=, downscript=, vnet_hdr=, "
                         "helper=, queues=, fds=, and vhostfds= are invalid "
                         "with fd=");
    }
    return use_fd(t, 0, t->fd_name, errp);
}

static MACHINE_CALL bool open_fds(NetTap *t, Error **errp)
{
    g_auto(GStrv) list = g_strsplit(t->fds, ":", -1);
    unsigned n = g_strv_length(list);

    if (t->ifname || t->script || t->downscript || t->vnet_hdr != OOA_AUTO ||
        t->helper || t->queues || t->vhostfd) {
        return error_set(errp, "ifname=, script=, downscript=, vnet_hdr=, "
                         "helper=, queues=, and vhostfd= are invalid with "
                         "fds=");
    }
    if (t->vhostfds) {
        g_auto(GStrv) other = g_strsplit(t->vhostfds, ":", -1);

        if (g_strv_length(other) != n) {
            return error_set(errp, "The number of fds passed does not match "
                             "the number of vhostfds passed");
        }
    }
    if (n > TAP_QUEUES_MAX) {
        return error_set(errp, "at most %d descriptors", TAP_QUEUES_MAX);
    }
    for (unsigned i = 0; i < n; i++) {
        if (!use_fd(t, i, list[i], errp)) {
            return false;
        }
    }
    return true;
}

/* ---- helpers ------------------------------------------------------------- */

static MACHINE_CALL bool open_helper(NetTap *t, Error **errp)
{
    int fd;

    if (t->ifname || t->script || t->downscript || t->vnet_hdr != OOA_AUTO ||
        t->queues || t->vhostfds) {
        return error_set(errp, "ifname=, script=, downscript=, vnet_hdr=, "
                         "queues=, and vhostfds= are invalid with helper=");
    }
    fd = tap_helper_run(t->helper, t->br ? t->br : TAP_BRIDGE, errp);
    if (fd < 0) {
        return false;
    }
    snprintf(t->port.info, sizeof(t->port.info), "helper=%s", t->helper);
    return tap_start(t, fd, errp);
}

static MACHINE_CALL bool bridge_open(NetPort *p, Error **errp)
{
    NetTap *t = (NetTap *)p;
    g_autofree char *own = tap_helper_default();
    const char *br = t->br ? t->br : TAP_BRIDGE;
    int fd;

    t->fd = -1;
    fd = tap_helper_run(t->helper, br, errp);
    if (fd < 0) {
        return false;
    }
    snprintf(p->info, sizeof(p->info), "helper=%s,br=%s",
             t->helper ? t->helper : own, br);
    return tap_start(t, fd, errp);
}

/* ---- by name ------------------------------------------------------------- */

static void tun_hint(Error **errp, int err, bool open)
{
    if (err == ENOENT || err == ENODEV) {
        error_hint(errp, "The kernel's module 'tun' is needed (modprobe tun).");
    } else if (err == EPERM || err == EACCES) {
        error_hint(errp, "Making interfaces takes CAP_NET_ADMIN; or let an "
                   "administrator make one for this user (ip tuntap add mode "
                   "tap user NAME), or use -netdev bridge.");
    } else if (err == EBUSY) {
        error_hint(errp, "Another program has it.");
    } else if (err == EINVAL && !open) {
        error_hint(errp, "An interface that exists must have been made for as "
                   "many queues (multi_queue).");
    }
}

static int tun_open(const NetTap *t, char name[IFNAMSIZ], bool many,
                    Error **errp)
{
    struct ifreq r = { .ifr_flags = IFF_TAP | IFF_NO_PI };
    unsigned features = 0;
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC), err;

    if (fd < 0) {
        err = errno;
        error_set_errno(errp, err, "could not open /dev/net/tun");
        tun_hint(errp, err, true);
        return -1;
    }
    ioctl(fd, TUNGETFEATURES, &features);
    if (t->vnet_hdr != OOA_OFF && (features & IFF_VNET_HDR)) {
        r.ifr_flags |= IFF_VNET_HDR;
    } else if (t->vnet_hdr == OOA_ON) {
        error_set(errp, "vnet_hdr=1 requested, but no kernel support for "
                  "IFF_VNET_HDR available");
        close(fd);
        return -1;
    }
    r.ifr_flags |= many ? IFF_MULTI_QUEUE : 0;
    memcpy(r.ifr_name, *name ? name : "tap%d", *name ? IFNAMSIZ : 6);
    if (ioctl(fd, TUNSETIFF, &r)) {
        err = errno;
        if (*name) {
            error_set_errno(errp, err, "could not configure /dev/net/tun (%s)",
                            name);
        } else {
            error_set_errno(errp, err, "could not configure /dev/net/tun");
        }
        tun_hint(errp, err, false);
        close(fd);
        return -1;
    }
    memcpy(name, r.ifr_name, IFNAMSIZ);
    return fd;
}

static bool sndbuf_set(const NetTap *t, int fd, Error **errp)
{
    uint64_t n = t->sndbuf_given ? t->sndbuf : INT_MAX;
    int v = n && n < INT_MAX ? (int)n : INT_MAX;

    return !ioctl(fd, TUNSETSNDBUF, &v) || !t->sndbuf_given ||
           error_set_errno(errp, errno, "TUNSETSNDBUF ioctl failed");
}

static const char *script_of(const char *given, const char *usual)
{
    const char *s = given ? given : usual;

    return *s && strcmp(s, "no") ? s : NULL;
}

static MACHINE_CALL bool open_queue(NetTap *t, unsigned i, char *name,
                                    Error **errp)
{
    int fd = tun_open(t, name, t->queues > 1, errp);
    const char *script = script_of(t->script, TAP_SCRIPT);
    NetTap *q;

    if (fd < 0) {
        return false;
    }
    if (i == 0 && script && !tap_script_run(script, name, errp)) {
        close(fd);
        return false;
    }
    q = queue_new(t, i);
    if (!tap_start(q, fd, errp)) {
        close(fd);
        return false;
    }
    if (i == 0) {
        q->down = g_strdup(script_of(t->downscript, TAP_DOWNSCRIPT));
    }
    snprintf(q->port.info, sizeof(q->port.info),
             "ifname=%s,script=%s,downscript=%s", name,
             t->script ? t->script : TAP_SCRIPT,
             t->downscript ? t->downscript : TAP_DOWNSCRIPT);
    return sndbuf_set(t, fd, errp);
}

static MACHINE_CALL bool open_name(NetTap *t, Error **errp)
{
    unsigned n = t->queues ? t->queues : 1;
    char name[IFNAMSIZ] = "";

    if (t->vhostfds) {
        return error_set(errp, "vhostfds= is invalid if fds= wasn't specified");
    }
    if (t->ifname) {
        snprintf(name, sizeof(name), "%s", t->ifname);
    }
    for (unsigned i = 0; i < n; i++) {
        if (!open_queue(t, i, name, errp)) {
            return false;
        }
    }
    return true;
}

/* ---- vhost --------------------------------------------------------------- */

/* Frames always go through the process; who asked for more hears it. */
static bool vhost_ok(const NetTap *t, Error **errp)
{
    bool want = t->vhost != OOA_AUTO ? t->vhost == OOA_ON
                                     : t->vhostfd || t->vhostfds ||
                                       t->vhostforce == OOA_ON;
    int err = access("/dev/vhost-net", R_OK | W_OK) ? errno : 0;

    if (!want) {
        return (!t->vhostfd && !t->vhostfds) ||
               error_set(errp, "vhostfd(s)= is not valid without vhost");
    }
    if (t->vhostforce == OOA_ON) {
        return err ? error_set_errno(errp, err, "tap: open vhost char device "
                                     "failed")
                   : error_set(errp, "vhostforce=on cannot be fulfilled: "
                               "vhost-net is not supported");
    }
    if (err) {
        warn_report("tap: open vhost char device failed: %s; frames go through "
                    "the process", strerror(err));
    } else {
        warn_report("vhost-net is not used: frames go through the process");
    }
    return true;
}

/* ---- drivers ------------------------------------------------------------- */

static MACHINE_CALL bool tap_open(NetPort *p, Error **errp)
{
    NetTap *t = (NetTap *)p;

    t->fd = -1;
    if (t->queues > TAP_QUEUES_MAX) {
        return error_set(errp, "queues: at most %d", TAP_QUEUES_MAX);
    }
    if (!vhost_ok(t, errp)) {
        return false;
    }
    return t->fd_name ? open_fd(t, errp) : t->fds ? open_fds(t, errp)
         : t->helper ? open_helper(t, errp) : open_name(t, errp);
}

static OnOffAuto *flag_of(NetTap *t, const char *name)
{
    return !strcmp(name, "vnet_hdr") ? &t->vnet_hdr
         : !strcmp(name, "vhost") ? &t->vhost : &t->vhostforce;
}

static bool flag_set(Obj *o, const Prop *p, const Json *v, Error **errp)
{
    bool on = json_kind(v) == JSON_BOOL && json_bool_of(v);

    if (json_kind(v) == JSON_STR) {
        if (!opt_bool(p->name, json_str_of(v), &on, errp)) {
            return false;
        }
    } else if (json_kind(v) != JSON_BOOL) {
        return error_set(errp, "Invalid parameter type for '%s', expected: "
                         "boolean", p->name);
    }
    *flag_of((NetTap *)o, p->name) = on ? OOA_ON : OOA_OFF;
    return true;
}

static bool sndbuf_take(Obj *o, const Prop *p, const Json *v, Error **errp)
{
    NetTap *t = (NetTap *)o;

    if (json_kind(v) == JSON_INT && json_int_of(v) >= 0) {
        t->sndbuf = (uint64_t)json_int_of(v);
    } else if (json_kind(v) != JSON_STR) {
        return error_set(errp, "Invalid parameter type for '%s', expected: "
                         "size", p->name);
    } else if (!opt_size("sndbuf", json_str_of(v), 1, &t->sndbuf, NULL)) {
        return error_set(errp, "Parameter 'sndbuf' expects a size value");
    }
    t->sndbuf_given = true;
    return true;
}

static const Prop tap_props[] = {
    PROP_STR("ifname", NetTap, ifname, .desc = "name of the interface"),
    PROP_STR("fd", NetTap, fd_name, .desc = "an opened TAP device"),
    PROP_STR("fds", NetTap, fds, .desc = "several, separated by colons"),
    PROP_STR("script", NetTap, script,
             .desc = "program that sets the interface up; no: none"),
    PROP_STR("downscript", NetTap, downscript,
             .desc = "program that takes it down; no: none"),
    PROP_STR("br", NetTap, br, .desc = "bridge for the helper"),
    PROP_STR("helper", NetTap, helper,
             .desc = "program that makes the interface"),
    PROP_CALL("sndbuf", "size", NULL, sndbuf_take,
              .desc = "bytes that may wait in the kernel; 0: any number"),
    PROP_CALL("vnet_hdr", "bool", NULL, flag_set,
              .desc = "headers for offloads"),
    PROP_CALL("vhost", "bool", NULL, flag_set, .desc = "accepted"),
    PROP_STR("vhostfd", NetTap, vhostfd, .desc = "accepted"),
    PROP_STR("vhostfds", NetTap, vhostfds, .desc = "accepted"),
    PROP_CALL("vhostforce", "bool", NULL, flag_set,
              .desc = "fail without vhost"),
    PROP_U32("queues", NetTap, queues, 0, .desc = "queues to make"),
    PROP_U32("poll-us", NetTap, poll_us, 0, .desc = "accepted"),
    PROP_END
};

#define TAP_METHODS \
    .size = sizeof(NetTap), .close = tap_close, .send = tap_send, \
    .resume = tap_resume, .set_vnet = tap_set_vnet, \
    .set_offload = tap_set_offload, .enable = tap_enable

NET_DRIVER(tap_driver, {
    .name = "tap", .desc = "a TAP interface of the host",
    .doc = "The guest's frames appear at an interface of the host, and the other "
           "way round. The interface is made, or named by ifname, or comes by "
           "fd; a script may put it on a bridge.",
    .props = tap_props, .open = tap_open, TAP_METHODS,
});

static const Prop bridge_props[] = {
    PROP_STR("br", NetTap, br, .desc = "the bridge, br0 by default"),
    PROP_STR("helper", NetTap, helper,
             .desc = "program that makes the interface"),
    PROP_END
};

NET_DRIVER(bridge_driver, {
    .name = "bridge", .desc = "a bridge of the host",
    .doc = "A helper that is installed setuid root makes a TAP interface on the "
           "bridge, for the users and bridges that bridge.conf allows.",
    .props = bridge_props, .open = bridge_open, TAP_METHODS,
});
