/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tap.c - frames through TAP and macvtap interfaces (Linux,
 * Documentation/networking/tuntap).
 *
 * Thread class: machine lock.
 *
 * Invariants
 * 1. port.vnet is 0 or head; where the device has headers and the port has none,
 *    they are added and taken off here.
 * 2. While stuck, buf holds the frame that the peer has no room for.
 * 3. A queue that is off is detached and not watched.
 */
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "monitor.h"
#include "net/tap.h"

#define BATCH 64                       /* frames of one turn                  */
#define PARTS 64
#define BUF_MAX (NET_MAX_FRAME + 12)
#define HEAD_MIN 10                    /* bytes of a virtio_net_hdr           */

static void happened(void *arg, unsigned events);

static MACHINE_CALL void watch(NetTap *t, bool out)
{
    unsigned want = !t->on ? 0 : (t->stuck ? 0 : EPOLLIN) |
                                 (out ? EPOLLOUT : 0);

    if (want != t->events) {
        t->events = want;
        loop_fd(loop_main, t->fd, want, happened, t);
    }
}

static MACHINE_CALL bool hand_on(NetTap *t)
{
    unsigned cut = t->has_vnet && !t->port.vnet ? t->head : 0;
    struct iovec v = { t->buf + cut, t->have - cut };

    t->stuck = t->have > cut && !net_send(&t->port, &v, 1);
    return !t->stuck;
}

static void happened(void *arg, unsigned events)
{
    machine_assert_locked();
    NetTap *t = arg;

    if (events & EPOLLOUT) {
        watch(t, false);
        net_resume(&t->port);
    }
    for (unsigned i = 0; i < BATCH && !t->stuck && t->fd >= 0; i++) {
        ssize_t n = read(t->fd, t->buf, BUF_MAX);

        if (n <= 0) {                  /* EIO while the interface is down     */
            break;
        }
        t->have = n;
        hand_on(t);
    }
    if (t->fd >= 0) {
        watch(t, t->events & EPOLLOUT);
    }
}

ssize_t tap_send(NetPort *p, const struct iovec *iov, int niov)
{
    static const uint8_t zero[12];
    NetTap *t = (NetTap *)p;
    size_t n = net_iov_len(iov, niov);
    struct iovec v[PARTS + 1], one;
    g_autofree uint8_t *flat = NULL;
    int k = 0;

    if (t->fd < 0 || !t->on || n > BUF_MAX) {
        return n;
    }
    if (niov > PARTS) {
        flat = g_malloc(n);
        net_iov_read(iov, niov, 0, flat, n);
        one = (struct iovec){ flat, n };
        iov = &one;
        niov = 1;
    }
    if (t->has_vnet && !p->vnet) {
        v[k++] = (struct iovec){ (uint8_t *)(uintptr_t)zero, t->head };
    }
    memcpy(v + k, iov, sizeof(*iov) * niov);
    if (writev(t->fd, v, k + niov) < 0 && errno == EAGAIN) {
        watch(t, true);
        return 0;
    }
    return n;
}

void tap_resume(NetPort *p)
{
    NetTap *t = (NetTap *)p;

    if (t->stuck && hand_on(t)) {
        watch(t, t->events & EPOLLOUT);
    }
}

/* ---- headers and offloads ------------------------------------------------ */

static bool head_set(NetTap *t, unsigned len)
{
    int n = (int)len;

    if (len == t->head) {
        return true;
    }
    if (ioctl(t->fd, TUNSETVNETHDRSZ, &n)) {
        return false;
    }
    t->head = len;
    return true;
}

bool tap_set_vnet(NetPort *p, unsigned len)
{
    NetTap *t = (NetTap *)p;

    if (len && !t->has_vnet) {
        return false;
    }
    /* What waits has the old header. */
    t->have = 0;
    t->stuck = false;
    if (t->fd >= 0) {
        watch(t, t->events & EPOLLOUT);
    }
    /* The length is the device's, not the queue's: what one queue tries out is
     * what the others' frames would have. */
    return !t->has_vnet || head_set(t, len ? len : HEAD_MIN);
}

unsigned tap_set_offload(NetPort *p, unsigned o)
{
    NetTap *t = (NetTap *)p;
    unsigned f = 0;

    if (t->fd < 0 || !t->has_vnet) {
        return 0;
    }
    if (o & NETO_CSUM) {
        f = TUN_F_CSUM | (o & NETO_TSO4 ? TUN_F_TSO4 : 0) |
            (o & NETO_TSO6 ? TUN_F_TSO6 : 0) |
            (o & NETO_ECN && o & (NETO_TSO4 | NETO_TSO6) ? TUN_F_TSO_ECN : 0) |
            (o & NETO_UFO ? TUN_F_UFO : 0);
    }
    if (ioctl(t->fd, TUNSETOFFLOAD, f) < 0 &&
        ioctl(t->fd, TUNSETOFFLOAD, f & ~TUN_F_UFO) < 0) {
        return 0;
    }
    return o;
}

bool tap_enable(NetPort *p, bool on)
{
    NetTap *t = (NetTap *)p;
    struct ifreq r = { .ifr_flags = on ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE };

    if (t->fd < 0 || t->on == on) {
        return true;
    }
    if (t->multi && ioctl(t->fd, TUNSETQUEUE, &r)) {
        return false;
    }
    t->on = on;
    watch(t, false);
    return true;
}

/* ---- life of a queue ----------------------------------------------------- */

bool tap_start(NetTap *t, int fd, Error **errp)
{
    struct ifreq r = { .ifr_flags = 0 };
    int len;

    if (ioctl(fd, TUNGETIFF, &r)) {
        error_set(errp, "Unable to query TUNGETIFF on FD %d: %s", fd,
                  strerror(errno));
        error_hint(errp, "It must be an opened TAP or macvtap device.");
        return false;
    }
    t->fd = fd;
    t->on = true;
    t->has_vnet = r.ifr_flags & IFF_VNET_HDR;
    t->multi = r.ifr_flags & IFF_MULTI_QUEUE;
    memcpy(t->name, r.ifr_name, sizeof(t->name));
    t->name[sizeof(t->name) - 1] = '\0';
    t->head = 0;
    if (t->has_vnet) {
        t->head = ioctl(fd, TUNGETVNETHDRSZ, &len) ? HEAD_MIN : (unsigned)len;
        if (!head_set(t, HEAD_MIN)) {
            return error_set_errno(errp, errno, "TUNSETVNETHDRSZ ioctl failed");
        }
        tap_set_offload(&t->port, 0);
    }
    t->buf = g_malloc(BUF_MAX);
    watch(t, false);
    return true;
}

void tap_stop(NetTap *t)
{
    if (t->fd >= 0) {
        if (t->events) {
            loop_fd(loop_main, t->fd, 0, NULL, NULL);
        }
        t->events = 0;
        close(t->fd);
        t->fd = -1;
    }
    if (t->down) {
        Error *err = NULL;

        if (!tap_script_run(t->down, t->name, &err)) {
            warn_report("%s", error_text(err));
            error_free(err);
        }
        g_clear_pointer(&t->down, g_free);
    }
    g_clear_pointer(&t->buf, g_free);
}

void tap_close(NetPort *p)
{
    tap_stop((NetTap *)p);
}
