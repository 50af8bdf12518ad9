/* SPDX-License-Identifier: GPL-2.0-or-later */
/* user-priv.h - inside the module of the user network. MACHINE_CALL. */
#ifndef TERN_NET_USER_PRIV_H
#define TERN_NET_USER_PRIV_H

#include <glib.h>
#include <libslirp.h>
#include <netinet/in.h>
#include "net/user.h"
#include "trace.h"

typedef struct UserStack {
    UserNet *user;
    Slirp *slirp;
    struct in_addr guest;              /* where DHCP begins                   */
    struct in_addr network, mask;
    GSource *source;
    GPtrArray *fds;                    /* GPollFD *                           */
    unsigned nfds, polled;
    int64_t due;                       /* CLOCK_RT                            */
    Work nudge;
    struct GuestForward *forwards;
    GPtrArray *sockets;                /* paths made for rules, or NULL       */
    char *smb_dir, *tftp_path;
} UserStack;

/* The stack's settings from the options; checks them. */
bool user_config(UserNet *u, UserStack *s, SlirpConfig *cfg, Error **errp);
bool user_hostfwd_add(UserStack *s, const char *rule, Error **errp)
    MACHINE_CALL;
bool user_hostfwd_remove(UserStack *s, const char *rule, Error **errp)
    MACHINE_CALL;
bool user_guestfwd_add(UserStack *s, const char *rule, Error **errp)
    MACHINE_CALL;
void user_forwards_close(UserStack *s) MACHINE_CALL;
/* The guest's ends may have room again. */
void user_forwards_resume(UserStack *s) MACHINE_CALL;
bool user_smb_start(UserStack *s, Error **errp) MACHINE_CALL;
void user_smb_remove(UserStack *s);

#endif
