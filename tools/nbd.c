/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nbd.c - tern-nbd: serves an image to NBD clients, lists what a server has, and
 * ties /dev/nbdN to an image.
 *
 * Thread class: main thread, under the machine lock.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "trace.h"
#include "tools/nbd.h"

#define AT(f) offsetof(NbdArgs, f)
#define LISTEN_FDS_START 3
#define LISTEN_MAX 4

static const ToolOpt opts[] = {
    { "help", 'h', TK_FLAG, 0, AT(help), NULL, "Prints this." },
    { "version", 'V', TK_FLAG, 0, AT(version), NULL, "Prints the version." },
    { "port", 'p', TK_STR, 0, AT(port), "port",
      "Port to listen on; 10809 if not given." },
    { "bind", 'b', TK_STR, 0, AT(bind), "iface",
      "Address to listen on; 0.0.0.0 if not given." },
    { "socket", 'k', TK_STR, 0, AT(socket), "path",
      "Listens on a local socket; the path is absolute." },
    { "shared", 'e', TK_STR, 0, AT(shared), "num",
      "How many clients may be connected at once; 0: any number. 1 if not "
      "given." },
    { "persistent", 't', TK_FLAG, 0, AT(persistent), NULL,
      "Goes on after the last client has gone." },
    { "verbose", 'v', TK_FLAG, 0, AT(verbose), NULL,
      "Says more, and stays at the terminal." },
    { "export-name", 'x', TK_STR, 0, AT(name), "name",
      "Name of the export; empty if not given." },
    { "description", 'D', TK_STR, 0, AT(description), "text",
      "Describes the export to people." },
    { "offset", 'o', TK_STR, 0, AT(offset), "offset",
      "Serves the image from this byte on." },
    { "allocation-depth", 'A', TK_FLAG, 0, AT(depth), NULL,
      "Shows in which image of the chain data is, as the metadata context "
      "qemu:allocation-depth." },
    { "bitmap", 'B', TK_LIST, 0, AT(bitmaps), "name",
      "Shows a persistent dirty bitmap as qemu:dirty-bitmap:NAME." },
    { "list", 'L', TK_FLAG, 0, AT(list), NULL,
      "Lists what another server exports." },
    { "object", 0, TK_OBJECT, 0, 0, "objectdef",
      "Makes an object, such as TLS credentials or a secret." },
    { "tls-creds", 0, TK_STR, 0, AT(tls_creds), "id",
      "Speaks TLS with the credentials of this object." },
    { "tls-authz", 0, TK_STR, 0, AT(tls_authz), "id",
      "Lets in the clients that this object allows." },
    { "tls-hostname", 0, TK_STR, 0, AT(tls_hostname), "hostname",
      "With --list: the name in the server's certificate." },
    { "trace", 'T', TK_LIST, 0, AT(trace), "spec", "Turns trace points on." },
    { "fork", 0, TK_FLAG, 0, AT(fork), NULL,
      "Goes on in the background once the server is running." },
    { "pid-file", 0, TK_STR, 0, AT(pid_file), "path",
      "Keeps the process number in this file." },
    { "selinux-label", 0, TK_STR, 0, AT(selinux), "label",
      "SELinux context of the listening sockets." },
    { "connect", 'c', TK_STR, 0, AT(connect), "dev",
      "Serves the image to the kernel's device, as /dev/nbd0." },
    { "disconnect", 'd', TK_FLAG, 0, AT(disconnect), NULL,
      "Ends what -c began; the device takes the place of FILE." },
    { "format", 'f', TK_STR, 0, AT(format), "fmt",
      "Format of the image; found by its contents if not given." },
    { "read-only", 'r', TK_FLAG, 0, AT(read_only), NULL,
      "Clients may only read." },
    { "snapshot", 's', TK_FLAG, 0, AT(snapshot), NULL,
      "Writes go to a temporary file." },
    { "load-snapshot", 'l', TK_STR, 0, AT(load), "snapshot_param",
      "Serves an internal snapshot: snapshot.id=ID,snapshot.name=NAME, or one "
      "of both." },
    { "nocache", 'n', TK_FLAG, 0, AT(nocache), NULL, "The same as "
      "--cache=none." },
    { "cache", 0, TK_LIST, 0, AT(cache), "mode",
      "none, writeback, writethrough, directsync or unsafe." },
    { "aio", 0, TK_LIST, 0, AT(aio), "mode", "threads, native or io_uring." },
    { "discard", 0, TK_LIST, 0, AT(discard), "mode", "ignore or unmap." },
    { "detect-zeroes", 0, TK_STR, 0, AT(detect_zeroes), "mode",
      "off, on or unmap." },
    { "image-opts", 0, TK_FLAG, 0, AT(image_opts), NULL,
      "The file name is a list of options." },
    { "x-man", 0, TK_FLAG, 0, AT(man), NULL, NULL },
    { .name = NULL }
};
static const ToolOpt *const tables[] = { opts, NULL };

static NbdServer server;
static bool had_client, persistent;

static void help(void)
{
    printf("Usage: %s [OPTIONS] FILE\n  or:  %s -L [OPTIONS]\n"
           "Serves a disk image to clients of the NBD protocol.\n\n",
           report_name(), report_name());
    tool_print_options(tables);
    printf("\nThe manual page tern-nbd(1) explains them.\n");
}

static void man(void)
{
    man_head("tern-nbd", "serves disk images over the network");
    printf(".SH SYNOPSIS\n.B tern\\-nbd\n[options] FILE\n.br\n.B tern\\-nbd\n"
           "\\-L [options]\n.br\n.B tern\\-nbd\n\\-d DEV\n.SH DESCRIPTION\n"
           "Serves an image by the NBD protocol, over TCP or a local socket. "
           "With LISTEN_FDS in the environment the sockets are those that were "
           "passed in.\n.SH OPTIONS\n");
    man_options(tables);
    printf(".SH SEE ALSO\n.BR tern (1),\n.BR tern\\-img (1)\n");
}

/* ---- where --------------------------------------------------------------- */

static unsigned activated(void)
{
    const char *pid = g_getenv("LISTEN_PID"), *n = g_getenv("LISTEN_FDS");

    if (!pid || !n || strtol(pid, NULL, 10) != getpid()) {
        return 0;
    }
    return (unsigned)CLAMP(strtol(n, NULL, 10), 0, LISTEN_MAX);
}

static void address_fill(const NbdArgs *a, SockAddr *addr)
{
    memset(addr, 0, sizeof(*addr));
    if (a->socket) {
        addr->kind = ADDR_UNIX;
        addr->path = g_strdup(a->socket);
        return;
    }
    addr->kind = ADDR_INET;
    addr->host = g_strdup(a->bind ? a->bind : "0.0.0.0");
    addr->port = a->port ? g_strdup(a->port)
                         : g_strdup_printf("%d", NBD_PORT);
}

/* The label of sockets that this thread makes from now on. */
static bool label(const char *text, Error **errp)
{
    int fd = text ? open("/proc/thread-self/attr/sockcreate",
                         O_WRONLY | O_CLOEXEC) : -1;
    bool ok = !text || (fd >= 0 && write(fd, text, strlen(text)) >= 0);

    if (!ok) {
        error_set_errno(errp, errno, "Cannot set SELinux socket create context "
                        "to %s", text);
    }
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

/* How many sockets there are to listen on; negative: none. */
static int sockets_get(const NbdArgs *a, unsigned passed, int *fds,
                       Error **errp)
{
    SockAddr addr;
    int n;

    if (!passed) {
        address_fill(a, &addr);
        n = label(a->selinux, errp) ? addr_listen(&addr, fds, errp) : -1;
        addr_clear(&addr);
        return n;
    }
    for (unsigned i = 0; i < passed; i++) {
        fds[i] = LISTEN_FDS_START + (int)i;
        fcntl(fds[i], F_SETFD, FD_CLOEXEC);
    }
    return (int)passed;
}

/* ---- what does not go together ------------------------------------------- */

static bool args_check(const NbdArgs *a, unsigned passed, Error **errp)
{
    if (a->selinux && !a->socket) {
        return error_set(errp, "--selinux-label is not permitted without "
                         "--socket");
    }
    if (a->socket && a->socket[0] != '/') {
        return error_set(errp, "socket path must be absolute");
    }
    if (a->tls_authz && !a->tls_creds) {
        return error_set(errp, "--tls-authz is not permitted without "
                         "--tls-creds");
    }
    if (a->tls_authz && a->list) {
        return error_set(errp, "TLS authorization is incompatible with export "
                         "list");
    }
    if (a->tls_hostname && (!a->tls_creds || !a->list)) {
        return error_set(errp, a->tls_creds
                         ? "TLS hostname is only supported with export list"
                         : "--tls-hostname is not permitted without "
                           "--tls-creds");
    }
    if (a->tls_creds && a->connect) {
        return error_set(errp, "TLS is not supported with a host device");
    }
    if (a->list && a->file) {
        return error_set(errp, "List mode is incompatible with a file name");
    }
    if (a->list && (a->name || a->offset || a->connect || a->description ||
                    a->bitmaps || a->depth || a->format || a->load)) {
        return error_set(errp, "List mode is incompatible with per-device "
                         "settings");
    }
    if (a->list && a->fork) {
        return error_set(errp, "List mode is incompatible with forking");
    }
    if (passed && (a->port || a->bind)) {
        return error_set(errp, "%s can't be set when using socket activation",
                         a->port ? "The -p/--port option"
                                 : "The -b/--bind option");
    }
    if (passed && a->socket) {
        return error_set(errp, "Unix socket can't be set when using socket "
                         "activation");
    }
    if (a->name && strlen(a->name) > NBD_STRING_MAX) {
        return error_set(errp, "export name '%s' too long", a->name);
    }
    if (a->description && strlen(a->description) > NBD_STRING_MAX) {
        return error_set(errp, "export description '%s' too long",
                         a->description);
    }
    return true;
}

/* ---- serving ------------------------------------------------------------- */

static void went_idle(NbdServer *s)
{
    had_client = true;
    if (!persistent) {
        loop_quit();
    }
}

static void on_signal(void *arg, int signo, pid_t from)
{
    loop_quit();
}

static bool pid_write(const char *path, Error **errp)
{
    g_autofree char *text = g_strdup_printf("%d\n", (int)getpid());
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (!ok) {
        error_set_errno(errp, errno, "Could not create '%s'", path);
    }
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

static MACHINE_CALL bool export_make(const NbdArgs *a, BlkBackend *b,
                                     Error **errp)
{
    NbdExport *e;

    e = nbd_export_add(&server, a->name ? a->name : "", b);
    e->desc = g_strdup(a->description);
    e->read_only = a->read_only || a->load || !blk_writable(b);
    e->shared = server.max_clients != 1;
    e->depth = a->depth;
    for (guint i = 0; a->bitmaps && i < a->bitmaps->len; i++) {
        if (!nbd_export_bitmap(e, a->bitmaps->pdata[i], errp)) {
            return false;
        }
    }
    return true;
}

/* Tells the parent of --fork, and lets the terminal go. */
static void ready(const NbdArgs *a, int tell)
{
    int null;

    if (tell < 0) {
        return;
    }
    if (write(tell, "", 1) != 1) {
        return;
    }
    close(tell);
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0 && !a->verbose) {
        dup2(null, 0);
        dup2(null, 1);
        dup2(null, 2);
        close(null);
    }
}

static MACHINE_CALL bool serve_start(const NbdArgs *a, unsigned passed,
                                     Error **errp)
{
    int fds[ADDR_LISTENERS + LISTEN_MAX], n;
    BlkBackend *b;
    bool ok;

    server.max_clients = a->clients;
    if (a->tls_creds) {
        server.creds = tls_creds_get(a->tls_creds, true, errp);
        if (!server.creds) {
            error_prepend(errp, "Failed to get TLS creds: ");
            return false;
        }
        server.authz = g_strdup(a->tls_authz);
    }
    persistent = a->persistent;
    server.idle = went_idle;
    n = a->connect ? 0 : sockets_get(a, passed, fds, errp);
    b = n < 0 ? NULL : nbd_image_open(a, errp);
    ok = b && export_make(a, b, errp);
    if (ok && n) {                     /* who is early waits in the backlog   */
        nbd_server_listen(&server, fds, (unsigned)n);
    }
    for (int i = 0; i < n && !ok; i++) {
        close(fds[i]);
    }
    if (n > 0 && !ok && a->socket && !passed) {
        unlink(a->socket);
    }
    if (b) {
        blk_unref(b);
    }
    return ok && (!a->connect || nbd_device_connect(&server, a, errp));
}

static MACHINE_CALL int serve(const NbdArgs *a, unsigned passed, int tell)
{
    static const int signals[] = { SIGTERM, SIGINT, SIGHUP };
    Error *err = NULL;
    int ret = 0;

    if (!serve_start(a, passed, &err) ||
        (a->pid_file && !pid_write(a->pid_file, &err))) {
        ret = tool_fail(NULL, err);
    } else {
        for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
            loop_signal(signals[i], on_signal, NULL);
        }
        ready(a, tell);
        loop_run();
        if (a->connect) {
            nbd_device_end(a->connect);
        }
    }
    server.idle = NULL;
    nbd_server_stop(&server);
    if (a->socket && !passed && !ret) {
        unlink(a->socket);
    }
    if (a->pid_file && !ret) {
        unlink(a->pid_file);
    }
    tls_creds_put(server.creds);
    return ret;
}

static MACHINE_CALL int list_mode(const NbdArgs *a)
{
    Obj *creds = NULL;
    Error *err = NULL;
    SockAddr addr;
    int ret;

    if (a->tls_creds) {
        creds = tls_creds_get(a->tls_creds, false, &err);
        if (!creds) {
            error_prepend(&err, "Failed to get TLS creds: ");
            return tool_fail(NULL, err);
        }
    }
    address_fill(a, &addr);
    ret = nbd_list(&addr, a, creds);
    addr_clear(&addr);
    tls_creds_put(creds);
    return ret;
}

/* ---- starting ------------------------------------------------------------ */

static int fork_wait(int fd, pid_t child)
{
    char c;
    ssize_t got;
    int st;

    do {
        got = read(fd, &c, 1);
    } while (got < 0 && errno == EINTR);
    if (got == 1) {
        return 0;
    }
    waitpid(child, &st, 0);
    return 1;
}

static int invalid_args(void)
{
    error_reportf("Invalid number of arguments");
    fprintf(stderr, "Try `%s --help' for more information.\n", report_name());
    return 1;
}

static MACHINE_CALL int run(NbdArgs *a, int extra, int tell)
{
    unsigned passed = activated();
    Error *err = NULL;

    for (guint i = 0; a->trace && i < a->trace->len; i++) {
        if (!trace_option(a->trace->pdata[i], &err)) {
            return tool_fail(NULL, err);
        }
    }
    if (!nbd_args_read(a, &err)) {
        return tool_fail(NULL, err);
    }
    if (a->disconnect) {
        return extra == 1 ? nbd_device_disconnect(a->file) : invalid_args();
    }
    if (!args_check(a, passed, &err)) {
        return tool_fail(NULL, err);
    }
    if (extra != (a->list ? 0 : 1)) {
        return invalid_args();
    }
    return a->list ? list_mode(a) : serve(a, passed, tell);
}

/* The long option that a word begins, "" for a short one or another word. */
static const char *long_of(const char *word)
{
    size_t n = strcspn(word, "=");
    const char *found = "";

    for (const ToolOpt *o = opts; n > 2 && word[1] == '-' && o->name; o++) {
        if (!strncmp(o->name, word + 2, n - 2)) {
            found = o->name;
        }
    }
    return found;
}

/* Do the short options of a word have this one? */
static bool short_has(const char *word, char letter)
{
    if (word[0] != '-' || word[1] == '-') {
        return false;
    }
    for (const char *p = word + 1; *p; p++) {
        const ToolOpt *o = opts;

        if (*p == letter) {
            return true;
        }
        while (o->name && o->letter != *p) {
            o++;
        }
        if (o->arg) {
            break;
        }
    }
    return false;
}

/* Does this command line go to the background? Before anything has threads. */
static bool wants_fork(int argc, char **argv)
{
    bool forks = false, device = false, verbose = false;

    for (int i = 1; i < argc && strcmp(argv[i], "--"); i++) {
        const char *name = long_of(argv[i]);

        forks |= !strcmp(name, "fork");
        device |= !strcmp(name, "connect") || short_has(argv[i], 'c');
        verbose |= !strcmp(name, "verbose") || short_has(argv[i], 'v');
    }
    return forks || (device && !verbose);
}

int main(int argc, char **argv)
{
    NbdArgs a = { 0 };
    int rest, ret = 1, pipefd[2] = { -1, -1 };

    report_name_set(argv[0]);
    signal(SIGPIPE, SIG_IGN);
    if (wants_fork(argc, argv) && !pipe2(pipefd, O_CLOEXEC)) {
        pid_t child = fork();

        if (child) {
            close(pipefd[1]);
            return child < 0 ? 1 : fork_wait(pipefd[0], child);
        }
        close(pipefd[0]);
        setsid();
    }
    machine_lock();
    if (tool_parse(tables, argc, argv, &a, &rest)) {
        a.file = rest < argc ? argv[rest] : NULL;
        if (a.man) {
            man();
            ret = 0;
        } else if (a.help) {
            help();
            ret = 0;
        } else if (a.version) {
            tool_version();
            ret = 0;
        } else {
            ret = run(&a, argc - rest, pipefd[1]);
        }
        g_free(a.snap_id);
        g_free(a.snap_name);
    }
    machine_unlock();
    if (fflush(stdout) && !ret) {
        ret = 1;
    }
    return ret;
}
