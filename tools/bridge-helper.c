/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bridge-helper.c - makes a TAP interface on a bridge and hands its descriptor
 * over a socket to the program that started it. Installed setuid root, so that
 * users whom a list allows may use bridges: it does nothing else.
 *
 *   tern-bridge-helper --fd=SOCKET --br=BRIDGE [--use-vnet]
 *
 * The list: lines of `allow NAME`, `deny NAME` (NAME may be `all`) and `include
 * FILE`; # begins a comment. A name that is denied anywhere is denied.
 *
 * Thread class: one thread.
 *
 * Invariants
 * 1. Nothing of the environment is used, and of the arguments only what is
 *    checked here.
 * 2. After the list has been read the process has the user's ids and
 *    CAP_NET_ADMIN; before the descriptor is sent it has no capability.
 * 3. Run with more rights than the user's, it reads lists of root only that
 *    nobody else can write.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "config.h"

#define ACL_OWN CONFIG_SYSCONFDIR "/bridge.conf"
#define ACL_USUAL "/etc/qemu/bridge.conf"
#define DEPTH_MAX 8
#define LINES_MAX 10000

static bool allowed, denied;
static unsigned lines;

__attribute__((noreturn, format(printf, 1, 2)))
static void fail(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    exit(1);
}

/* ---- the list ------------------------------------------------------------ */

static FILE *acl_open(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    bool more = geteuid() != getuid();

    if (fd < 0) {
        return NULL;
    }
    if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
        fail("acl file `%s' is not a regular file", path);
    }
    if (more && (st.st_uid != 0 || (st.st_mode & (S_IWGRP | S_IWOTH)))) {
        fail("acl file `%s' can be written by others than root", path);
    }
    return fdopen(fd, "r");
}

static void acl_read(const char *path, const char *bridge, unsigned depth);

static bool acl_line(char *line, const char *bridge, unsigned depth)
{
    char *save, *verb, *name;

    line[strcspn(line, "#\r\n")] = '\0';
    verb = strtok_r(line, " \t", &save);
    name = verb ? strtok_r(NULL, " \t", &save) : NULL;
    if (!verb) {
        return true;
    }
    if (!name || strtok_r(NULL, " \t", &save)) {
        return false;
    }
    if (!strcmp(verb, "include")) {
        acl_read(name, bridge, depth + 1);
        return true;
    }
    if (strcmp(verb, "allow") && strcmp(verb, "deny")) {
        return false;
    }
    if (!strcmp(name, "all") || !strcmp(name, bridge)) {
        *(*verb == 'a' ? &allowed : &denied) = true;
    }
    return true;
}

static void acl_read(const char *path, const char *bridge, unsigned depth)
{
    char line[4096];
    FILE *f;

    if (depth > DEPTH_MAX) {
        fail("acl file `%s': too many files include one another", path);
    }
    f = acl_open(path);
    if (!f) {
        if (depth) {
            fail("failed to parse include file `%s': %s", path,
                 strerror(errno));
        }
        fail("failed to parse default acl file `%s'", path);
    }
    while (fgets(line, sizeof(line), f)) {
        bool whole = strchr(line, '\n') || feof(f);

        if (++lines > LINES_MAX || !whole || !acl_line(line, bridge, depth)) {
            fail("failed to parse acl file `%s': Invalid argument", path);
        }
    }
    fclose(f);
}

/* ---- rights -------------------------------------------------------------- */

static void capabilities(uint32_t bits)
{
    struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct d[2] = { { bits, bits, 0 } };

    if (syscall(SYS_capset, &h, d)) {
        fail("failed to drop privileges: %s", strerror(errno));
    }
}

/* The user's ids; CAP_NET_ADMIN stays where it was. */
static void become_user(void)
{
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) ||
        setresgid(getgid(), getgid(), getgid()) ||
        setresuid(getuid(), getuid(), getuid())) {
        fail("failed to drop privileges: %s", strerror(errno));
    }
}

static bool have_net_admin(void)
{
    struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct d[2] = { { 0 } };

    return !syscall(SYS_capget, &h, d) && (d[0].permitted & 1u << CAP_NET_ADMIN);
}

/* ---- the interface ------------------------------------------------------- */

static void tap_make(int fd, char name[IFNAMSIZ], bool vnet)
{
    struct ifreq r = { .ifr_flags = IFF_TAP | IFF_NO_PI };
    unsigned features = 0;

    if (vnet && !ioctl(fd, TUNGETFEATURES, &features) &&
        (features & IFF_VNET_HDR)) {
        r.ifr_flags |= IFF_VNET_HDR;
    }
    memcpy(r.ifr_name, "tap%d", 6);
    if (ioctl(fd, TUNSETIFF, &r)) {
        fail("failed to create tun device: %s", strerror(errno));
    }
    memcpy(name, r.ifr_name, IFNAMSIZ);
}

static void name_set(struct ifreq *r, const char *name)
{
    memset(r, 0, sizeof(*r));
    memcpy(r->ifr_name, name, strnlen(name, IFNAMSIZ - 1));
}

/* On the bridge, with its MTU; with an address above the other ports', so that
 * the bridge does not take it for its own. */
static void tap_join(int ctl, const char *tap, const char *bridge)
{
    struct ifreq r;
    int mtu;

    name_set(&r, bridge);
    if (ioctl(ctl, SIOCGIFMTU, &r)) {
        fail("failed to get mtu of bridge `%s': %s", bridge, strerror(errno));
    }
    mtu = r.ifr_mtu;
    name_set(&r, tap);
    r.ifr_mtu = mtu;
    if (ioctl(ctl, SIOCSIFMTU, &r)) {
        fail("failed to set mtu of device `%s' to %d: %s", tap, mtu,
             strerror(errno));
    }
    name_set(&r, tap);
    if (ioctl(ctl, SIOCGIFHWADDR, &r)) {
        fail("failed to get MAC address of device `%s': %s", tap,
             strerror(errno));
    }
    r.ifr_hwaddr.sa_data[0] = (char)0xfe;
    if (ioctl(ctl, SIOCSIFHWADDR, &r)) {
        fail("failed to set MAC address of device `%s': %s", tap,
             strerror(errno));
    }
    name_set(&r, bridge);
    r.ifr_ifindex = if_nametoindex(tap);
    if (ioctl(ctl, SIOCBRADDIF, &r)) {
        fail("failed to add interface `%s' to bridge `%s': %s", tap, bridge,
             strerror(errno));
    }
    name_set(&r, tap);
    if (ioctl(ctl, SIOCGIFFLAGS, &r)) {
        fail("failed to get interface flags for `%s': %s", tap,
             strerror(errno));
    }
    r.ifr_flags |= IFF_UP;
    if (ioctl(ctl, SIOCSIFFLAGS, &r)) {
        fail("failed to bring up the interface `%s': %s", tap,
             strerror(errno));
    }
}

static void fd_send(int to, int fd)
{
    char byte = 0;
    struct iovec v = { &byte, 1 };
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } c = { { 0 } };
    struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &c,
                        .msg_controllen = sizeof(c.room) };
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);

    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_RIGHTS;
    h->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(h), &fd, sizeof(fd));
    if (sendmsg(to, &m, MSG_NOSIGNAL) != 1) {
        fail("failed to write fd to unix socket: %s", strerror(errno));
    }
}

/* ---- arguments ----------------------------------------------------------- */

__attribute__((noreturn)) static void usage(void)
{
    fail("Usage: tern-bridge-helper [--use-vnet] --br=bridge --fd=unixfd");
}

static int socket_of(const char *text)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof(ss);
    char *end;
    long n = strtol(text, &end, 10);

    if (end == text || *end || n < 0 || n > 65535) {
        usage();
    }
    if (getsockname((int)n, (void *)&ss, &len) || ss.ss_family != AF_UNIX) {
        fail("descriptor %ld is not a unix socket", n);
    }
    return (int)n;
}

int main(int argc, char **argv)
{
    const char *bridge = NULL, *sock = NULL;
    char tap[IFNAMSIZ];
    bool vnet = false;
    int ctl, fd, to;

    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--use-vnet")) {
            vnet = true;
        } else if (!strncmp(argv[i], "--br=", 5)) {
            bridge = argv[i] + 5;
        } else if (!strncmp(argv[i], "--fd=", 5)) {
            sock = argv[i] + 5;
        } else {
            usage();
        }
    }
    if (!bridge || !sock) {
        usage();
    }
    if (!*bridge || strlen(bridge) >= IFNAMSIZ) {
        fail("name `%s' is no bridge's", bridge);
    }
    to = socket_of(sock);
    acl_read(access(ACL_OWN, F_OK) ? ACL_USUAL : ACL_OWN, bridge, 0);
    if (!allowed || denied) {
        fail("access denied by acl file");
    }
    fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        fail("failed to open /dev/net/tun: %s", strerror(errno));
    }
    become_user();
    capabilities(have_net_admin() ? 1u << CAP_NET_ADMIN : 0);
    ctl = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (ctl < 0) {
        fail("failed to open control socket: %s", strerror(errno));
    }
    tap_make(fd, tap, vnet);
    tap_join(ctl, tap, bridge);
    capabilities(0);
    fd_send(to, fd);
    return 0;
}
