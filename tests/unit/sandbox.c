/* SPDX-License-Identifier: GPL-2.0-or-later */
/* -sandbox, -chroot and -runas, each in a child that ends as it may. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <poll.h>
#include "security.h"
#include "tests/tern-test.h"

/* Runs fn in a child, the filter being applied; its wait status. */
static int child(const char *arg, int (*fn)(void))
{
    pid_t pid;
    int status;

    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        Error *err = NULL;

        machine_lock();
        if (arg && !sandbox_option(arg, &err)) {
            printf("# %s\n", error_text(err));
            fflush(stdout);
            _exit(99);
        }
        _exit(fn());
    }
    waitpid(pid, &status, 0);
    return status;
}
#define EXITED(st, n) (WIFEXITED(st) && WEXITSTATUS(st) == (n))
#define KILLED(st) (WIFSIGNALED(st) && WTERMSIG(st) == SIGSYS)

static void *worker(void *arg)
{
    *(int *)arg = 1;
    return NULL;
}

/* What the program does all the time. */
static int works(void)
{
    struct epoll_event ev;
    struct timespec ts = { 0, 1000 };
    struct itimerspec it = { .it_value.tv_nsec = 1 };
    int ep = epoll_create1(EPOLL_CLOEXEC), e = eventfd(0, EFD_NONBLOCK);
    int t = timerfd_create(CLOCK_MONOTONIC, 0), ran = 0, fd;
    struct pollfd p = { .fd = e, .events = POLLIN };
    pthread_t th;

    ev.events = EPOLLIN;
    if (epoll_ctl(ep, EPOLL_CTL_ADD, t, &ev) < 0 ||
        timerfd_settime(t, 0, &it, NULL) < 0 ||
        (epoll_pwait2(ep, &ev, 1, &ts, NULL) < 0 && errno != ENOSYS) ||
        ppoll(&p, 1, &ts, NULL) != 0) {
        return 1;
    }
    if (pthread_create(&th, NULL, worker, &ran) || pthread_join(th, NULL) ||
        !ran) {
        return 2;
    }
    fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    return fd >= 0 && write(fd, "x", 1) == 1 && getpid() > 0 ? 0 : 3;
}

static int mounts(void)
{
    mount("none", "/nonexistent", "tmpfs", 0, NULL);
    return 0;
}

static int obsolete_call(void)
{
    syscall(SYS_ustat, 0, NULL);
    return 0;
}

static int forks(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        _exit(0);
    }
    return pid > 0 ? 0 : errno == EPERM ? 7 : 8;
}

static int sets_uid(void)
{
    return setgid(getgid()) == 0 ? 0 : errno == EPERM ? 7 : 8;
}

static int schedules(void)
{
    return setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0)) == 0 ? 0
           : errno == EPERM ? 7 : 8;
}

TEST(the_program_goes_on)
{
    CHECK(EXITED(child("on", works), 0));
    CHECK(EXITED(child("on,obsolete=deny,elevateprivileges=deny,spawn=deny,"
                       "resourcecontrol=deny", works), 0));
    CHECK(EXITED(child("on,elevateprivileges=children", works), 0));
    CHECK(EXITED(child("off", mounts), 0));
    CHECK(EXITED(child("off,spawn=whatever", forks), 0));
}

TEST(each_option_refuses_its_own)
{
    CHECK(KILLED(child("on", mounts)));
    CHECK(KILLED(child("on", obsolete_call)));
    CHECK(EXITED(child("on,obsolete=allow", obsolete_call), 0));
    CHECK(EXITED(child("on", forks), 0));
    CHECK(EXITED(child("on,spawn=deny", forks), 7));
    CHECK(EXITED(child("on", sets_uid), 0));
    CHECK(EXITED(child("on,elevateprivileges=deny", sets_uid), 7));
    CHECK(EXITED(child("on", schedules), 0));
    CHECK(EXITED(child("on,resourcecontrol=deny", schedules), 7));
}

static pthread_barrier_t both;
static int seen;

static void *early_thread(void *arg)
{
    pthread_barrier_wait(&both);
    pthread_barrier_wait(&both);
    seen = schedules();
    return NULL;
}

static int thread_from_before(void)
{
    Error *err = NULL;
    pthread_t t;

    pthread_barrier_init(&both, NULL, 2);
    pthread_create(&t, NULL, early_thread, NULL);
    pthread_barrier_wait(&both);
    machine_assert_locked();
    if (!sandbox_option("on,resourcecontrol=deny", &err)) {
        return 1;
    }
    pthread_barrier_wait(&both);
    pthread_join(t, NULL);
    return seen;
}

TEST(threads_that_run_already_are_confined)
{
    CHECK(EXITED(child(NULL, thread_from_before), 7));
}

TEST(bad_options)
{
    static const char *const rows[][2] = {
        { "foo", "Parameter 'enable' expects 'on' or 'off'" },
        { "on,foo=1", "Invalid parameter 'foo'" },
        { "off,foo=1", "Invalid parameter 'foo'" },
        { "on,obsolete=maybe", "invalid argument for obsolete" },
        { "on,elevateprivileges=x", "invalid argument for elevateprivileges" },
        { "on,spawn=children", "invalid argument for spawn" },
        { "on,resourcecontrol=1", "invalid argument for resourcecontrol" },
    };

    machine_lock();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        Error *err = NULL;

        CHECK(!sandbox_option(rows[i][0], &err));
        CHECK_STR(error_text(err), rows[i][1]);
        error_free(err);
    }
    machine_unlock();
}

static void refused(const char *root, const char *user, const char *want)
{
    Error *err = NULL;

    machine_lock();
    CHECK(!confine(root, user, &err));
    CHECK_STR(error_text(err), want);
    error_free(err);
    machine_unlock();
}

TEST(bad_users_and_roots)
{
    refused(NULL, "nosuchuser",
            "User \"nosuchuser\" doesn't exist (and is not <uid>:<gid>)");
    refused(NULL, "1000",
            "User \"1000\" doesn't exist (and is not <uid>:<gid>)");
    refused(NULL, "1000:",
            "User \"1000:\" doesn't exist (and is not <uid>:<gid>)");
    refused(NULL, "-1:-1",
            "User \"-1:-1\" doesn't exist (and is not <uid>:<gid>)");
    refused(NULL, "4294967295:1",
            "User \"4294967295:1\" doesn't exist (and is not <uid>:<gid>)");
    refused("/nonexistent", NULL, "chroot failed");
}

static int becomes_nobody(void)
{
    Error *err = NULL;
    gid_t g[8];
    struct stat st;

    machine_assert_locked();
    if (!confine("/proc", "12345:54321", &err)) {
        return 1;
    }
    return getuid() == 12345 && getgid() == 54321 && getgroups(8, g) == 1 &&
           g[0] == 54321 && setuid(0) < 0 && stat("/etc", &st) < 0 &&
           stat("/self", &st) == 0 ? 0 : 2;
}

TEST(another_user_in_another_root)
{
    if (geteuid() != 0) {
        SKIP("needs root");
    }
    CHECK(EXITED(child(NULL, becomes_nobody), 0));
}
