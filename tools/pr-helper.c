/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pr-helper.c - tern-pr-helper: sends persistent reservations to SCSI devices for
 * programs that have the device open but not the right to reserve it. Keeps that
 * right and gives up all others; see pr-serve.c for the protocol.
 *
 * Thread class: main thread, under the machine lock; a thread for each client.
 *
 * Invariants
 * 1. No client is served before rights have been given up.
 * 2. At most CLIENTS_MAX clients at once; who comes then waits in the backlog.
 */
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <pwd.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>
#include "trace.h"
#include "tools/pr-helper.h"
#include "tools/tool.h"

#define CLIENTS_MAX 128
#define LISTEN_FDS_START 3
#define AT(f) offsetof(PrArgs, f)

typedef struct PrArgs {
    bool help, version, daemon, quiet, verbose, man;
    const char *socket, *pid_file, *user, *group;
    GPtrArray *trace;
} PrArgs;

static const ToolOpt opts[] = {
    { "help", 'h', TK_FLAG, 0, AT(help), NULL, "Prints this." },
    { "version", 'V', TK_FLAG, 0, AT(version), NULL, "Prints the version." },
    { "daemon", 'd', TK_FLAG, 0, AT(daemon), NULL,
      "Goes on in the background, and keeps its process number in a file." },
    { "pidfile", 'f', TK_STR, 0, AT(pid_file), "path",
      "That file; /var/run/NAME.pid if not given." },
    { "socket", 'k', TK_STR, 0, AT(socket), "path",
      "The socket; /var/run/NAME.sock if not given." },
    { "user", 'u', TK_STR, 0, AT(user), "user",
      "Becomes this user once the socket is there." },
    { "group", 'g', TK_STR, 0, AT(group), "group",
      "Becomes this group once the socket is there." },
    { "quiet", 'q', TK_FLAG, 0, AT(quiet), NULL, "Says less." },
    { "verbose", 'v', TK_FLAG, 0, AT(verbose), NULL, "Says more." },
    { "trace", 'T', TK_LIST, 0, AT(trace), "spec", "Turns trace points on." },
    { "x-man", 0, TK_FLAG, 0, AT(man), NULL, NULL },
    { .name = NULL }
};
static const ToolOpt *const tables[] = { opts, NULL };

static void help(void)
{
    printf("Usage: %s [OPTIONS]\n"
           "Sends persistent reservations to SCSI devices for virtual machines."
           "\n\n ", report_name());
    tool_print_syntax(tables);
    printf("\n\nThe manual page tern-pr-helper(1) explains them.\n");
}

static void man(void)
{
    man_head("tern-pr-helper", "sends persistent reservations for others");
    printf(".SH SYNOPSIS\n.B tern\\-pr\\-helper\n[options]\n.SH DESCRIPTION\n"
           "SCSI persistent reservations say who may use a disk that several "
           "machines share. Sending them needs the capability CAP_SYS_RAWIO, "
           "which an emulator should not have. This program keeps it, and takes "
           "such commands, with the descriptor of the device, over a local "
           "socket; it passes on nothing else. Commands that change "
           "reservations need a descriptor that is open for writing.\n.PP\n"
           "The emulator connects with\n.PP\n.nf\n"
           "    \\-object pr\\-manager\\-helper,id=pr,path=/var/run/"
           "tern\\-pr\\-helper.sock\n    \\-drive if=none,id=d,driver=raw,"
           "file.driver=host_device,\\e\n        file.filename=/dev/sdb,"
           "file.pr\\-manager=pr\n    \\-device scsi\\-block,drive=d\n.fi\n.PP\n"
           "With LISTEN_FDS in the environment the socket is the one that was "
           "passed in: a unit of systemd says\n.I ListenStream=\nwith its "
           "path.\n.SH OPTIONS\n");
    man_options(tables);
    printf(".SH SEE ALSO\n.BR tern (1)\n");
}

/* ---- the socket ---------------------------------------------------------- */

static int activated(Error **errp)
{
    const char *pid = g_getenv("LISTEN_PID"), *n = g_getenv("LISTEN_FDS");
    long count = pid && n && strtol(pid, NULL, 10) == getpid()
        ? strtol(n, NULL, 10) : 0;

    if (count > 1) {
        error_set(errp, "%s does not support socket activation with %s > 1",
                  report_name(), "LISTEN_FDS");
        return -1;
    }
    if (count == 1 && fcntl(LISTEN_FDS_START, F_SETFD, FD_CLOEXEC)) {
        error_set(errp, "Socket activation failed: invalid file descriptor fd "
                  "= %d: %s", LISTEN_FDS_START, strerror(errno));
        return -1;
    }
    return count == 1;
}

static int listen_at(const char *path, Error **errp)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd;

    if (strlen(path) >= sizeof(a.sun_path)) {
        error_set(errp, "UNIX socket path '%s' is too long", path);
        return -1;
    }
    g_strlcpy(a.sun_path, path, sizeof(a.sun_path));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    unlink(path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a))) {
        error_set(errp, "Failed to bind socket to %s: %s", path,
                  strerror(errno));
    } else if (listen(fd, SOMAXCONN)) {
        error_set(errp, "Failed to listen on socket: %s", strerror(errno));
    } else {
        return fd;
    }
    if (fd >= 0) {
        close(fd);
    }
    return -1;
}

/* ---- rights -------------------------------------------------------------- */

static bool keep_capability(Error **errp)
{
    const uint32_t bits = 1u << CAP_SYS_RAWIO;
    struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct now[2] = { { 0 } };
    struct __user_cap_data_struct d[2] = { { 0 } };

    if (syscall(SYS_capget, &h, now)) {
        return error_set(errp, "Unable to read capabilities: %s",
                         strerror(errno));
    }
    /* Who has it keeps it; who does not can serve what needs none. */
    d[0].permitted = d[0].effective = now[0].permitted & bits;
    return !syscall(SYS_capset, &h, d) ||
           error_set(errp, "Unable to set capabilities: %s", strerror(errno));
}

static bool drop(const struct passwd *u, const struct group *g, Error **errp)
{
    gid_t gid = g ? g->gr_gid : u ? u->pw_gid : getgid();

    if ((u || g) && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)) {
        return error_set(errp, "Unable to keep capabilities: %s",
                         strerror(errno));
    }
    if (((u || g) && (setgroups(0, NULL) || setgid(gid))) ||
        (u && setuid(u->pw_uid))) {
        return error_set(errp, "Unable to drop privileges: %s",
                         strerror(errno));
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) {
        return error_set(errp, "Unable to drop privileges: %s",
                         strerror(errno));
    }
    return keep_capability(errp);
}

static bool identities(const PrArgs *a, struct passwd **u, struct group **g,
                       Error **errp)
{
    char *end;

    *u = a->user ? getpwnam(a->user) : NULL;
    if (a->user && !*u) {
        uid_t id = (uid_t)strtoul(a->user, &end, 10);

        *u = *a->user && !*end ? getpwuid(id) : NULL;
    }
    *g = a->group ? getgrnam(a->group) : NULL;
    if (a->group && !*g) {
        gid_t id = (gid_t)strtoul(a->group, &end, 10);

        *g = *a->group && !*end ? getgrgid(id) : NULL;
    }
    if (a->user && !*u) {
        return error_set(errp, "invalid user '%s'", a->user);
    }
    return !a->group || *g || error_set(errp, "invalid group '%s'", a->group);
}

/* ---- serving ------------------------------------------------------------- */

static sem_t room;
static bool verbose;

static void *client_main(void *arg)
{
    pr_serve((int)(intptr_t)arg, verbose);
    sem_post(&room);
    return NULL;
}

static void client_start(int fd)
{
    pthread_attr_t attr;
    pthread_t t;

    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    if (pthread_create(&t, &attr, client_main, (void *)(intptr_t)fd)) {
        close(fd);
        sem_post(&room);
    }
    pthread_attr_destroy(&attr);
}

/* Until a signal asks to end. */
static void serve(int fd, int signals)
{
    struct pollfd p[] = { { .fd = signals, .events = POLLIN },
                          { .fd = fd, .events = POLLIN } };

    for (;;) {
        bool full = sem_trywait(&room) != 0;
        int c;

        /* While there is no room, look again every second. */
        if (poll(p, full ? 1 : 2, full ? 1000 : -1) < 0 && errno != EINTR) {
            return;
        }
        if (p[0].revents) {
            return;
        }
        if (full) {
            continue;
        }
        c = p[1].revents ? accept4(fd, NULL, NULL, SOCK_CLOEXEC) : -1;
        if (c >= 0) {
            client_start(c);
        } else {
            sem_post(&room);
        }
    }
}

/* ---- starting ------------------------------------------------------------ */

static bool pid_write(const char *path, Error **errp)
{
    g_autofree char *text = g_strdup_printf("%d\n", (int)getpid());
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (!ok) {
        error_set(errp, "Cannot open pid file %s: %s", path, strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

/* A child goes on, and tells by *ready; the parent waits for that here and ends. */
static bool background(int *ready, Error **errp)
{
    int fds[2], null;
    pid_t child;
    char c;

    if (pipe2(fds, O_CLOEXEC) || (child = fork()) < 0) {
        return error_set(errp, "Failed to daemonize: %s", strerror(errno));
    }
    if (child) {
        close(fds[1]);
        _exit(read(fds[0], &c, 1) == 1 ? 0 : 1);
    }
    close(fds[0]);
    setsid();
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    *ready = fds[1];
    if (chdir("/") || null < 0) {
        return error_set(errp, "Failed to daemonize: %s", strerror(errno));
    }
    dup2(null, 0);
    dup2(null, 1);
    close(null);
    return true;
}

/* Errors up to here were printed where the parent was started. */
static void let_go(int ready)
{
    if (ready >= 0) {
        dup2(1, 2);
        if (write(ready, "", 1) == 1) {
            close(ready);
        }
    }
}

static int signals_make(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC);
}

static int run(PrArgs *a, Error **errp)
{
    g_autofree char *name = g_path_get_basename(report_name());
    g_autofree char *path = a->socket ? g_strdup(a->socket)
        : g_strdup_printf("/var/run/%s.sock", name);
    g_autofree char *pid = a->pid_file ? g_strdup(a->pid_file)
        : a->daemon ? g_strdup_printf("/var/run/%s.pid", name) : NULL;
    struct passwd *u;
    struct group *g;
    int passed, fd, ready = -1;

    if (!identities(a, &u, &g, errp)) {
        return 1;
    }
    passed = activated(errp);
    if (passed > 0 && a->socket) {
        error_set(errp, "Unix socket can't be set when using socket "
                  "activation");
        return 1;
    }
    fd = passed < 0 ? -1 : passed ? LISTEN_FDS_START : listen_at(path, errp);
    if (fd < 0) {
        return 1;
    }
    if ((!a->daemon || background(&ready, errp)) && (!pid || pid_write(pid, errp)) &&
        drop(u, g, errp)) {
        int signals = signals_make();

        sem_init(&room, 0, CLIENTS_MAX);
        verbose = !a->quiet;
        let_go(ready);
        serve(fd, signals);
        if (!passed) {
            unlink(path);
        }
        if (pid) {
            unlink(pid);
        }
    }
    close(fd);
    return *errp ? 1 : 0;
}

static MACHINE_CALL int act(PrArgs *a, int extra, const char *word)
{
    Error *err = NULL;
    int ret;

    for (guint i = 0; a->trace && i < a->trace->len; i++) {
        if (!trace_option(a->trace->pdata[i], &err)) {
            return tool_fail(NULL, err);
        }
    }
    if (extra) {
        return tool_usage_error("unexpected argument '%s'", word);
    }
    ret = run(a, &err);
    return err ? tool_fail(NULL, err) : ret;
}

int main(int argc, char **argv)
{
    PrArgs a = { 0 };
    int rest, ret = 1;

    report_name_set(argv[0]);
    signal(SIGPIPE, SIG_IGN);
    machine_lock();
    if (tool_parse(tables, argc, argv, &a, &rest)) {
        if (a.man || a.help || a.version) {
            (a.man ? man : a.help ? help : tool_version)();
            ret = 0;
        } else {
            ret = act(&a, argc - rest, argv[rest]);
        }
    }
    machine_unlock();
    return fflush(stdout) && !ret ? 1 : ret;
}
