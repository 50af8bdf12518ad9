/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tap-script.c - programs that set up TAP interfaces: scripts that get a name,
 * helpers that send a descriptor back.
 *
 * Thread class: machine lock; the machine waits for them.
 *
 * Invariants
 * 1. A program inherits standard input, output and error, and a helper its
 *    socket; nothing else.
 */
#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "config.h"
#include "net/tap.h"

extern char **environ;

/* Status as waitpid gives it; -1: it could not be started. */
static int run(char *const argv[])
{
    posix_spawnattr_t attr;
    sigset_t none;
    int status, rc;
    pid_t pid;

    posix_spawnattr_init(&attr);
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
    rc = posix_spawn(&pid, argv[0], NULL, &attr, argv, environ);
    posix_spawnattr_destroy(&attr);
    if (rc) {
        errno = rc;
        return -1;
    }
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return -1;
        }
    }
    return status;
}

bool tap_script_run(const char *script, const char *ifname, Error **errp)
{
    char *argv[] = { (char *)(uintptr_t)script, (char *)(uintptr_t)ifname,
                     NULL };
    int status = run(argv);

    if (!status) {
        return true;
    }
    if (status < 0) {
        error_set_errno(errp, errno, "could not launch network script %s",
                        script);
        error_hint(errp, "script=no sets up nothing, script=FILE runs another "
                   "one.");
        return false;
    }
    return error_set(errp, "network script %s failed with status %d", script,
                     status);
}

/* ---- helpers ------------------------------------------------------------- */

/* Beside the program, when it has not been installed; else at its place. */
char *tap_helper_default(void)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *dir = self ? g_path_get_dirname(self) : NULL;
    char *here = dir ? g_build_filename(dir, "tern-bridge-helper", NULL)
                     : NULL;

    if (here && !access(here, X_OK)) {
        return here;
    }
    g_free(here);
    return g_strdup(CONFIG_LIBEXECDIR "/tern-bridge-helper");
}

static int fd_receive(int from)
{
    char byte;
    struct iovec v = { &byte, 1 };
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } c;
    struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &c,
                        .msg_controllen = sizeof(c.room) };
    struct cmsghdr *h;
    int fd;

    if (recvmsg(from, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) != 1) {
        return -1;
    }
    h = CMSG_FIRSTHDR(&m);
    if (!h || h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS ||
        h->cmsg_len != CMSG_LEN(sizeof(int))) {
        return -1;
    }
    memcpy(&fd, CMSG_DATA(h), sizeof(fd));
    return fd;
}

/* A text with spaces is a command of the shell's, as it was given or with what it
 * lacks. */
static int run_helper(const char *helper, const char *bridge, int sock)
{
    g_autofree char *fd = g_strdup_printf("--fd=%d", sock);
    g_autofree char *br = g_strdup_printf("--br=%s", bridge);
    g_autofree char *all = NULL;
    char *plain[] = { (char *)(uintptr_t)helper, (char *)"--use-vnet", fd, br,
                      NULL };
    char *shell[] = { (char *)"/bin/sh", (char *)"-c", NULL, NULL };

    if (!strpbrk(helper, " \t")) {
        return run(plain);
    }
    all = g_strdup_printf("%s --use-vnet %s%s%s", helper, fd,
                          strstr(helper, "--br=") ? "" : " ",
                          strstr(helper, "--br=") ? "" : br);
    shell[2] = all;
    return run(shell);
}

int tap_helper_run(const char *helper, const char *bridge, Error **errp)
{
    g_autofree char *own = helper ? NULL : tap_helper_default();
    int s[2], status, fd;

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, s)) {
        error_set_errno(errp, errno, "socketpair");
        return -1;
    }
    fcntl(s[0], F_SETFD, FD_CLOEXEC);
    status = run_helper(helper ? helper : own, bridge, s[1]);
    close(s[1]);
    fd = status ? -1 : fd_receive(s[0]);
    close(s[0]);
    if (fd >= 0) {
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        return fd;
    }
    error_set(errp, "bridge helper failed");
    if (status < 0) {
        error_hint(errp, "%s could not be started: %s.", helper ? helper : own,
                   strerror(errno));
    } else {
        error_hint(errp, "The helper must be able to make interfaces (setuid "
                   "root), and bridge.conf must allow '%s'.", bridge);
    }
    return -1;
}
