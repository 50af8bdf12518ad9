/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * confine.c - -chroot and -runas: the root folder first, while that is still
 * allowed, then groups and user.
 *
 * Thread class: MACHINE_CALL, at the end of start-up. The C library changes the
 * ids of all threads.
 *
 * Invariants
 * 1. The user is looked up before the root folder changes.
 * 2. After success there is no way back: setuid(0) has been tried and failed,
 *    unless the user is root.
 */
#include <grp.h>
#include <pwd.h>
#include <unistd.h>
#include <glib.h>
#include "opt.h"
#include "security.h"

typedef struct Who {
    char *name;                        /* NULL: given by numbers              */
    uid_t uid;
    gid_t gid;
} Who;

static bool id_of(const char *s, uint32_t *id)
{
    uint64_t v;

    /* The highest means "leave as it is". */
    if (!g_ascii_isdigit(*s) || !opt_u64("id", s, &v, NULL) ||
        v >= UINT32_MAX) {
        return false;
    }
    *id = v;
    return true;
}

static bool who_of(const char *user, Who *w, Error **errp)
{
    const struct passwd *pw = getpwnam(user);
    const char *colon = strchr(user, ':');
    bool ok = false;

    if (pw) {
        *w = (Who){ .name = g_strdup(pw->pw_name), .uid = pw->pw_uid,
                    .gid = pw->pw_gid };
        return true;
    }
    if (colon) {
        char *uid = g_strndup(user, colon - user);

        ok = id_of(uid, &w->uid) && id_of(colon + 1, &w->gid);
        g_free(uid);
    }
    return ok || error_set(errp, "User \"%s\" doesn't exist (and is not "
                           "<uid>:<gid>)", user);
}

static bool root_set(const char *root, Error **errp)
{
    if (chroot(root) < 0) {
        int err = errno;

        error_set(errp, "chroot failed");
        error_hint(errp, "%s: %s.", root, strerror(err));
        return false;
    }
    return chdir("/") == 0 ||
           error_set_errno(errp, errno, "not able to chdir to / after chroot");
}

static bool user_set(const Who *w, Error **errp)
{
    if (setgid(w->gid) < 0) {
        return error_set_errno(errp, errno, "Failed to setgid(%u)", w->gid);
    }
    if (w->name ? initgroups(w->name, w->gid) < 0
                : setgroups(1, &w->gid) < 0) {
        return error_set_errno(errp, errno, "Failed to initgroups(\"%s\", %u)",
                               w->name ? w->name : "", w->gid);
    }
    if (setuid(w->uid) < 0) {
        return error_set_errno(errp, errno, "Failed to setuid(%u)", w->uid);
    }
    return w->uid == 0 || setuid(0) < 0 ||
           error_set(errp, "Dropping privileges failed");
}

bool confine(const char *root, const char *user, Error **errp)
{
    Who w = { .name = NULL };
    bool ok = (!user || who_of(user, &w, errp)) &&
              (!root || root_set(root, errp)) && (!user || user_set(&w, errp));

    g_free(w.name);
    return ok;
}
