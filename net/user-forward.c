/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * user-forward.c - ports of the host that lead into the user network, ports of
 * the network that lead to a character device or a program, and the SMB server.
 *
 * Thread class: machine lock.
 *
 * Invariants
 * 1. What a device sends to the guest is taken only while the stack has room.
 * 2. A UNIX socket that was made for a rule is in `sockets` until it is unlinked.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "chr.h"
#include "net/user-priv.h"

#define SMBD "/usr/sbin/smbd"

typedef struct GuestForward {
    UserStack *stack;
    CharFront front;
    CharPort *chr;                     /* made for it                         */
    struct in_addr addr;
    int port;
    struct GuestForward *next;
} GuestForward;

/* Takes the part before `sep` off *p; false: there is none. */
static bool part(char *buf, size_t size, const char **p, char sep)
{
    const char *end = strchr(*p, sep);

    if (!end || (size_t)(end - *p) >= size) {
        return false;
    }
    memcpy(buf, *p, end - *p);
    buf[end - *p] = '\0';
    *p = end + 1;
    return true;
}

static bool port_of(const char *s, bool zero, int *out)
{
    char *end;
    long v = strtol(s, &end, 0);

    *out = (int)v;
    return *s && !*end && v >= !zero && v <= 65535;
}

/* ---- host to guest ------------------------------------------------------- */

typedef struct Rule {
    bool udp;
    struct in_addr host, guest;
    int host_port, guest_port;
    struct sockaddr_un path;           /* instead of the host's address       */
} Rule;

#define UNIX_PREFIX "unix:"

/* unix:path-[guest]:port; the path may contain any of the separators. */
static const char *parse_unix_rule(const char *text, Rule *r, const char **rest)
{
    const char *p = text + strlen(UNIX_PREFIX), *end = strrchr(p, '-');

    if (!end || end == p) {
        return "Bad host path separator";
    }
    if ((size_t)(end - p) >= sizeof(r->path.sun_path)) {
        return "Host path too long";
    }
    r->path.sun_family = AF_UNIX;
    memcpy(r->path.sun_path, p, end - p);
    *rest = end + 1;
    return NULL;
}

static bool proto_of(const char *s, bool *udp)
{
    *udp = !strcmp(s, "udp");
    return *udp || !*s || !strcmp(s, "tcp");
}

static const char *parse_guest(const char *p, Rule *r)
{
    char buf[256];

    if (!part(buf, sizeof(buf), &p, ':')) {
        return "Missing guest address";
    }
    if (*buf && !inet_aton(buf, &r->guest)) {
        return "Bad guest address";
    }
    return port_of(p, false, &r->guest_port) ? NULL : "Bad guest port";
}

static const char *parse_rule(const UserStack *s, const char *p, Rule *r)
{
    char buf[256];
    const char *bad;

    *r = (Rule){ .guest = s->guest };
    if (g_str_has_prefix(p, UNIX_PREFIX)) {
        bad = parse_unix_rule(p, r, &p);
        return bad ? bad : parse_guest(p, r);
    }
    if (!part(buf, sizeof(buf), &p, ':')) {
        return "No : separators";
    }
    if (!proto_of(buf, &r->udp)) {
        return "Bad protocol name";
    }
    if (!part(buf, sizeof(buf), &p, ':')) {
        return "Missing : separator";
    }
    if (*buf && !inet_aton(buf, &r->host)) {
        return "Bad host address";
    }
    if (!part(buf, sizeof(buf), &p, '-')) {
        return "Bad host port separator";
    }
    if (!port_of(buf, true, &r->host_port)) {
        return "Bad host port";
    }
    return parse_guest(p, r);
}

static bool unix_add(UserStack *s, const Rule *r)
{
    struct sockaddr_in guest = {
        .sin_family = AF_INET, .sin_addr = r->guest,
        .sin_port = htons(r->guest_port),
    };
    struct stat st;

    if (s->sockets && g_ptr_array_find_with_equal_func(
            s->sockets, r->path.sun_path, g_str_equal, NULL)) {
        errno = EADDRINUSE;
        return false;
    }
    /* What an earlier process has left. */
    if (!lstat(r->path.sun_path, &st) && S_ISSOCK(st.st_mode)) {
        g_unlink(r->path.sun_path);
    }
    if (slirp_add_hostxfwd(s->slirp, (const struct sockaddr *)&r->path,
                           sizeof(r->path), (const struct sockaddr *)&guest,
                           sizeof(guest), 0) < 0) {
        return false;
    }
    if (!s->sockets) {
        s->sockets = g_ptr_array_new_with_free_func(g_free);
    }
    g_ptr_array_add(s->sockets, g_strdup(r->path.sun_path));
    return true;
}

static bool unix_remove(UserStack *s, const char *path)
{
    struct sockaddr_un host = { .sun_family = AF_UNIX };
    guint i;

    if (!s->sockets || !g_ptr_array_find_with_equal_func(s->sockets, path,
                                                         g_str_equal, &i)) {
        return false;
    }
    g_strlcpy(host.sun_path, path, sizeof(host.sun_path));
    slirp_remove_hostxfwd(s->slirp, (const struct sockaddr *)&host,
                          sizeof(host), 0);
    g_unlink(path);
    g_ptr_array_remove_index_fast(s->sockets, i);
    return true;
}

bool user_hostfwd_add(UserStack *s, const char *rule, Error **errp)
{
    Rule r;
    const char *bad = parse_rule(s, rule, &r);

    if (bad) {
        return error_set(errp, "Invalid host forwarding rule '%s' (%s)", rule,
                         bad);
    }
    if (r.path.sun_family ? !unix_add(s, &r)
                          : slirp_add_hostfwd(s->slirp, r.udp, r.host,
                                              r.host_port, r.guest,
                                              r.guest_port) < 0) {
        int err = errno;

        error_set(errp, "Could not set up host forwarding rule '%s'", rule);
        error_hint(errp, "%s.", strerror(err));
        return false;
    }
    return true;
}

bool user_hostfwd_remove(UserStack *s, const char *rule, Error **errp)
{
    const char *p = rule;
    struct in_addr host = { 0 };
    char buf[256];
    bool udp, ok;
    int port;

    if (g_str_has_prefix(rule, UNIX_PREFIX)) {
        return unix_remove(s, rule + strlen(UNIX_PREFIX)) ||
               error_set(errp, "host forwarding rule for %s not found", rule);
    }
    ok = part(buf, sizeof(buf), &p, ':') && proto_of(buf, &udp) &&
         part(buf, sizeof(buf), &p, ':') && (!*buf || inet_aton(buf, &host)) &&
         port_of(p, true, &port);
    if (!ok) {
        return error_set(errp, "invalid format");
    }
    if (slirp_remove_hostfwd(s->slirp, udp, host, port) < 0) {
        return error_set(errp, "host forwarding rule for %s not found", rule);
    }
    return true;
}

/* ---- guest to host ------------------------------------------------------- */

static ssize_t on_guest_data(const void *buf, size_t n, void *opaque)
{
    GuestForward *f = opaque;

    return chr_write_all(&f->front, buf, n);
}

static int can_receive(void *arg)
{
    GuestForward *f = arg;

    return (int)MIN2(slirp_socket_can_recv(f->stack->slirp, f->addr, f->port),
                     (size_t)65536);
}

static void receive(void *arg, const uint8_t *buf, int n)
{
    GuestForward *f = arg;

    slirp_socket_recv(f->stack->slirp, f->addr, f->port, buf, n);
}

static MACHINE_CALL bool forward_device(UserStack *s, const char *dev,
                                        struct in_addr addr, int port,
                                        Error **errp)
{
    static unsigned count;
    char label[64];
    GuestForward *f;
    CharPort *chr;
    Error *why = NULL;

    snprintf(label, sizeof(label), "guestfwd.tcp.%d", port);
    if (chr_find(label)) {
        snprintf(label, sizeof(label), "guestfwd.tcp.%d.%u", port, ++count);
    }
    chr = chr_new_short(label, dev, false, &why);
    if (!chr) {
        error_report(why);
        return error_set(errp, "Could not open guest forwarding device '%s'",
                         label);
    }
    f = g_new0(GuestForward, 1);
    *f = (GuestForward){ .stack = s, .chr = chr, .addr = addr, .port = port };
    f->front = (CharFront){ .can_receive = can_receive, .receive = receive,
                            .arg = f };
    if (!chr_attach(&f->front, chr, errp)) {
        g_free(f);
        return false;
    }
    if (slirp_add_guestfwd(s->slirp, on_guest_data, f, &addr, port) < 0) {
        chr_detach(&f->front);
        chr_remove(chr->label, NULL);
        g_free(f);
        return error_set(errp, "Conflicting/invalid host:port");
    }
    f->next = s->forwards;
    s->forwards = f;
    chr_listen(&f->front, loop_main);
    return true;
}

bool user_guestfwd_add(UserStack *s, const char *rule, Error **errp)
{
    const char *p = rule;
    char proto[16], host[64], number[16];
    struct in_addr addr = { 0 };
    Error *err = NULL;
    int port, ret = 0;

    if (!part(proto, sizeof(proto), &p, ':') || (*proto && strcmp(proto, "tcp")) ||
        !part(host, sizeof(host), &p, ':') || (*host && !inet_aton(host, &addr)) ||
        !part(number, sizeof(number), &p, '-') ||
        !port_of(number, false, &port)) {
        return error_set(errp, "Invalid guest forwarding rule '%s'", rule);
    }
    if (g_str_has_prefix(p, "cmd:")) {
        ret = slirp_add_exec(s->slirp, p + 4, &addr, port);
    } else if (!forward_device(s, p, addr, port, &err)) {
        ret = -1;
    }
    if (ret < 0 && err && strncmp(error_text(err), "Conflicting", 11)) {
        error_move(errp, err);
        return false;
    }
    error_free(err);
    return ret >= 0 || error_set(errp, "Conflicting/invalid host:port in guest "
                                 "forwarding rule '%s'", rule);
}

void user_forwards_resume(UserStack *s)
{
    for (GuestForward *f = s->forwards; f; f = f->next) {
        if (can_receive(f) > 0) {
            chr_accept_input(&f->front);
        }
    }
}

void user_forwards_close(UserStack *s)
{
    while (s->forwards) {
        GuestForward *f = s->forwards;

        s->forwards = f->next;
        chr_detach(&f->front);
        chr_remove(f->chr->label, NULL);
        g_free(f);
    }
    while (s->sockets && s->sockets->len) {
        unix_remove(s, g_ptr_array_index(s->sockets, 0));
    }
    g_clear_pointer(&s->sockets, g_ptr_array_unref);
}

/* ---- SMB ----------------------------------------------------------------- */

static bool config_write(const char *dir, const char *share, Error **errp)
{
    const struct passwd *pw = getpwuid(geteuid());
    g_autofree char *path = g_build_filename(dir, "smb.conf", NULL);
    FILE *f = fopen(path, "w");
    bool ok;

    if (!f) {
        return error_set_errno(errp, errno, "could not create samba server "
                               "configuration file '%s'", path);
    }
    fprintf(f, "[global]\n"
            "private dir=%s\ninterfaces=127.0.0.1\nbind interfaces only=yes\n"
            "pid directory=%s\nlock directory=%s\nstate directory=%s\n"
            "cache directory=%s\nncalrpc dir=%s/ncalrpc\nlog file=%s/log.smbd\n"
            "smb passwd file=%s/smbpasswd\nsecurity = user\n"
            "map to guest = Bad User\nload printers = no\n"
            "printing = bsd\ndisable spoolss = yes\nusershare max shares = 0\n"
            "[qemu]\npath=%s\nread only=no\nguest ok=yes\nforce user=%s\n",
            dir, dir, dir, dir, dir, dir, dir, dir, share,
            pw ? pw->pw_name : "nobody");
    ok = !ferror(f);
    return (!fclose(f) && ok) ||
           error_set(errp, "could not write '%s'", path);
}

bool user_smb_start(UserStack *s, Error **errp)
{
    const UserNet *u = s->user;
    g_autofree char *cmd = NULL;
    struct in_addr at = { .s_addr = s->network.s_addr |
                                    (htonl(0x0204) & ~s->mask.s_addr) };

    if (u->smbserver) {
        inet_aton(u->smbserver, &at);
    }
    if (access(SMBD, F_OK)) {
        error_set(errp, "Could not find '%s', please install it", SMBD);
        error_hint(errp, "Debian's package is samba.");
        return false;
    }
    if (access(u->smb, R_OK | X_OK)) {
        return error_set_errno(errp, errno, "Error accessing shared directory "
                               "'%s'", u->smb);
    }
    if (strpbrk(u->smb, "\n\r")) {
        return error_set(errp, "Error accessing shared directory '%s': its "
                         "name has a line end", u->smb);
    }
    s->smb_dir = g_dir_make_tmp("tern-smb.XXXXXX", NULL);
    if (!s->smb_dir) {
        return error_set(errp, "could not create samba server dir");
    }
    if (!config_write(s->smb_dir, u->smb, errp)) {
        return false;
    }
    cmd = g_strdup_printf("%s -l %s -s %s/smb.conf", SMBD, s->smb_dir,
                          s->smb_dir);
    if (slirp_add_exec(s->slirp, cmd, &at, 139) < 0 ||
        slirp_add_exec(s->slirp, cmd, &at, 445) < 0) {
        return error_set(errp, "Conflicting/invalid smbserver address");
    }
    return true;
}

static void remove_tree(const char *dir)
{
    GDir *d = g_dir_open(dir, 0, NULL);
    const char *name;

    while (d && (name = g_dir_read_name(d))) {
        g_autofree char *path = g_build_filename(dir, name, NULL);

        if (g_file_test(path, G_FILE_TEST_IS_DIR) &&
            !g_file_test(path, G_FILE_TEST_IS_SYMLINK)) {
            remove_tree(path);
        } else {
            unlink(path);
        }
    }
    if (d) {
        g_dir_close(d);
    }
    rmdir(dir);
}

void user_smb_remove(UserStack *s)
{
    remove_tree(s->smb_dir);
    g_clear_pointer(&s->smb_dir, g_free);
}
