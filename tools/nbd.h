/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nbd.h - what the parts of tern-nbd share. Main thread, under the machine lock. */
#ifndef TERN_TOOLS_NBD_H
#define TERN_TOOLS_NBD_H

#include "block/nbd-server.h"
#include "chardev/addr.h"
#include "tools/tool.h"

#define NBD_SOCKET_PATH "/var/lock/qemu-nbd-%s"    /* of -c DEVICE            */

typedef struct NbdArgs {
    bool help, version, man, persistent, verbose, read_only, snapshot, nocache;
    bool image_opts, depth, list, fork;
    const char *port, *bind, *socket, *shared, *name, *description, *offset;
    const char *format, *load, *cache, *aio, *discard, *detect_zeroes;
    const char *connect, *disconnect, *tls_creds, *tls_authz, *tls_hostname;
    const char *pid_file, *selinux;
    GPtrArray *bitmaps, *trace;
    const char *file;
} NbdArgs;

/* The image as the options say; NULL: *errp. */
BlkBackend *nbd_image_open(const NbdArgs *a, Error **errp) MACHINE_CALL;
/* --list: prints what a server exports; the exit status. */
int nbd_list(const SockAddr *addr, const NbdArgs *a, Obj *creds) MACHINE_CALL;
/* -c: gives the server's socket to the kernel's device. */
bool nbd_device_connect(NbdServer *s, const NbdArgs *a, Error **errp)
    MACHINE_CALL;
int nbd_device_disconnect(const char *device);

#endif
