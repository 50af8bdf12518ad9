/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sandbox.c - -sandbox: a filter of system calls (seccomp(2), mode 2) for all
 * threads, made by libseccomp. What an emulator never has a use for is refused by
 * ending the process; what the sub-options refuse fails with EPERM, so that a
 * command that needs it reports an error.
 *
 * Thread class: MACHINE_CALL, at the end of start-up.
 *
 * Invariants
 * 1. A call that this kernel or libseccomp does not know by name is left out of
 *    the filter: it cannot be made either, or has another name there.
 * 2. New threads can always be made: only clone without CLONE_THREAD is refused.
 */
#include <sched.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include "opt.h"
#include "security.h"

/* Administration of the host, and looking into other processes. */
static const char *const never[] = {
    "reboot", "kexec_load", "kexec_file_load", "swapon", "swapoff", "mount",
    "umount2", "umount", "pivot_root", "move_mount", "open_tree", "fsopen",
    "fsconfig", "fsmount", "fspick", "mount_setattr", "syslog", "init_module",
    "finit_module", "delete_module", "acct", "quotactl", "quotactl_fd",
    "settimeofday", "clock_settime", "sethostname", "setdomainname", "vhangup",
    "iopl", "ioperm", "modify_ldt", "lookup_dcookie", "nfsservctl", "ptrace",
    "process_vm_readv", "process_vm_writev", "kcmp", "bpf", "perf_event_open",
    "fanotify_init", "unshare", "setns", "personality", "chroot",
    "add_key", NULL
};

/* Left from old kernels; -sandbox obsolete=allow leaves them alone. */
static const char *const obsolete[] = {
    "_sysctl", "afs_syscall", "bdflush", "break", "create_module", "ftime",
    "get_kernel_syms", "getpmsg", "gtty", "lock", "mpx", "prof", "profil",
    "putpmsg", "query_module", "readdir", "security", "sgetmask", "ssetmask",
    "stty", "sysfs", "tuxcall", "ulimit", "uselib", "ustat", "vserver",
    "epoll_ctl_old", "epoll_wait_old", "remap_file_pages", NULL
};

static const char *const elevate[] = {
    "setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid",
    "setfsuid", "setfsgid", "setgroups", "setpgid", "setsid", "capset", NULL
};

static const char *const spawn[] = {
    "fork", "vfork", "execve", "execveat", NULL
};

static const char *const resource[] = {
    "setpriority", "sched_setparam", "sched_setscheduler",
    "sched_setaffinity", "sched_setattr", "ioprio_set", NULL
};

typedef struct Sandbox {
    bool on, obsolete, elevate, no_new_privs, spawn, resource;  /* refused      */
} Sandbox;

/* ---- the option --------------------------------------------------------- */

static bool deny_of(const char *key, const char *v, bool *deny, Error **errp)
{
    *deny = !strcmp(v, "deny");
    return *deny || !strcmp(v, "allow") ||
           error_set(errp, "invalid argument for %s", key);
}

static bool apply_key(Sandbox *s, const char *key, const char *v, Error **errp)
{
    if (!strcmp(key, "obsolete")) {
        return deny_of(key, v, &s->obsolete, errp);
    }
    if (!strcmp(key, "spawn")) {
        return deny_of(key, v, &s->spawn, errp);
    }
    if (!strcmp(key, "resourcecontrol")) {
        return deny_of(key, v, &s->resource, errp);
    }
    if (!strcmp(v, "children")) {
        s->elevate = s->no_new_privs = true;
        return true;
    }
    return deny_of(key, v, &s->elevate, errp);
}

static bool parse(Sandbox *s, const Json *o, Error **errp)
{
    static const char *const keys[] = {
        "enable", "obsolete", "elevateprivileges", "spawn", "resourcecontrol",
    };
    size_t n = json_count(o), k;

    for (size_t i = 0; i < n; i++) {
        for (k = 0; k < ARRAY_SIZE(keys); k++) {
            if (!strcmp(json_key_at(o, i), keys[k])) {
                break;
            }
        }
        if (k == ARRAY_SIZE(keys)) {
            return error_set(errp, "Invalid parameter '%s'",
                             json_key_at(o, i));
        }
    }
    if (!json_get_str(o, "enable") ||
        !opt_bool("enable", json_get_str(o, "enable"), &s->on, errp) ||
        !s->on) {
        return !errp || !*errp;
    }
    for (size_t i = 0; i < n; i++) {
        if (strcmp(json_key_at(o, i), "enable") &&
            !apply_key(s, json_key_at(o, i), json_str_of(json_value_at(o, i)),
                       errp)) {
            return false;
        }
    }
    return true;
}

/* ---- the filter --------------------------------------------------------- */

static bool refuse(scmp_filter_ctx ctx, const char *const *names,
                   uint32_t action)
{
    for (; *names; names++) {
        int nr = seccomp_syscall_resolve_name(*names), r;

        if (nr < 0) {
            continue;
        }
        r = seccomp_rule_add(ctx, action, nr, 0);
        /* EDOM: not a call of this architecture. */
        if (r < 0 && r != -EDOM && r != -EINVAL) {
            return false;
        }
    }
    return true;
}

static bool refuse_processes(scmp_filter_ctx ctx)
{
    struct scmp_arg_cmp no_thread =
        SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0);
    int clone3 = seccomp_syscall_resolve_name("clone3");

    /* A filter cannot see clone3's flags; on ENOSYS the C library uses clone. */
    return refuse(ctx, spawn, SCMP_ACT_ERRNO(EPERM)) &&
           seccomp_rule_add_array(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone),
                                  1, &no_thread) >= 0 &&
           (clone3 < 0 || seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), clone3,
                                           0) >= 0);
}

static bool build(scmp_filter_ctx ctx, const Sandbox *s)
{
    /* Versions of libseccomp without it search the filter in a line. */
    (void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    return seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1) >= 0 &&
           seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH,
                            SCMP_ACT_KILL_PROCESS) >= 0 &&
           refuse(ctx, never, SCMP_ACT_KILL_PROCESS) &&
           (!s->obsolete || refuse(ctx, obsolete, SCMP_ACT_KILL_PROCESS)) &&
           (!s->elevate || refuse(ctx, elevate, SCMP_ACT_ERRNO(EPERM))) &&
           (!s->spawn || refuse_processes(ctx)) &&
           (!s->resource || refuse(ctx, resource, SCMP_ACT_ERRNO(EPERM)));
}

static bool install(const Sandbox *s, Error **errp)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    int r = -ENOMEM;
    bool built = ctx && build(ctx, s);

    if (built) {
        r = seccomp_load(ctx);
    }
    if (ctx) {
        seccomp_release(ctx);
    }
    if (!built) {
        return error_set(errp, "failed to build the seccomp syscall filter");
    }
    return r >= 0 ||
           error_set_errno(errp, -r, "failed to install seccomp syscall "
                           "filter in the kernel");
}

bool sandbox_option(const char *arg, Error **errp)
{
    Sandbox s = { .obsolete = true };
    Error *err = NULL;
    Opts o;

    if (!opts_parse(&o, arg, "enable", OPT_FLAT | OPT_PLAIN, errp)) {
        return false;
    }
    if (parse(&s, o.obj, &err) && s.on) {
        if (s.no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
            error_set_errno(&err, errno,
                            "failed to set no_new_privs aborting");
        } else {
            install(&s, &err);
        }
    }
    opts_free(&o);
    if (err) {
        error_move(errp, err);
        return false;
    }
    return true;
}
