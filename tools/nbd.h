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
    bool image_opts, depth, list, fork, disconnect;
    const char *port, *bind, *socket, *shared, *name, *description, *offset;
    const char *format, *load, *detect_zeroes, *connect, *tls_creds;
    const char *tls_authz, *tls_hostname, *pid_file, *selinux;
    GPtrArray *bitmaps, *trace, *cache, *aio, *discard;
    const char *file;
    /* what they mean */
    uint64_t off;
    unsigned flags, clients;           /* BLKO_*; 0 clients: no limit         */
    bool writethrough;
    char *snap_id, *snap_name;
} NbdArgs;

/* Reads what the options' values mean. */
bool nbd_args_read(NbdArgs *a, Error **errp);
/* The image as the options say; NULL: *errp. */
BlkBackend *nbd_image_open(const NbdArgs *a, Error **errp) MACHINE_CALL;
/* --list: prints what a server exports; the exit status. */
int nbd_list(const SockAddr *addr, const NbdArgs *a, Obj *creds) MACHINE_CALL;
/* -c: gives the server's socket to the kernel's device. */
bool nbd_device_connect(NbdServer *s, const NbdArgs *a, Error **errp)
    MACHINE_CALL;
/* -d; the exit status. */
int nbd_device_disconnect(const char *device);
/* The kernel lets go of the device. */
bool nbd_device_end(const char *device);

#endif
