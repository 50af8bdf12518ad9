/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nbd-device.c - the kernel's NBD client (linux/nbd.h): /dev/nbdN over a socket of
 * this very server, which answers by simple replies: the kernel knows no others.
 *
 * Thread class: MACHINE_CALL; a thread of its own sits in NBD_DO_IT.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "tools/nbd.h"

/* linux/nbd.h has names for the protocol too, which nbd.h gives other types. */
#define NBD_SET_SOCK        _IO(0xab, 0)
#define NBD_SET_BLKSIZE     _IO(0xab, 1)
#define NBD_DO_IT           _IO(0xab, 3)
#define NBD_CLEAR_SOCK      _IO(0xab, 4)
#define NBD_CLEAR_QUE       _IO(0xab, 5)
#define NBD_SET_SIZE_BLOCKS _IO(0xab, 7)
#define NBD_DISCONNECT      _IO(0xab, 8)
#define NBD_SET_FLAGS       _IO(0xab, 10)

typedef struct Device {
    int fd, sock;
} Device;

bool nbd_device_end(const char *device)
{
    int fd = open(device, O_RDWR | O_CLOEXEC);

    if (fd < 0) {
        return false;
    }
    ioctl(fd, NBD_CLEAR_QUE);
    ioctl(fd, NBD_DISCONNECT);
    ioctl(fd, NBD_CLEAR_SOCK);
    close(fd);
    return true;
}

int nbd_device_disconnect(const char *device)
{
    if (!nbd_device_end(device)) {
        error_reportf("Cannot open %s: %s", device, strerror(errno));
        return 1;
    }
    printf("%s disconnected\n", device);
    return 0;
}

static void *device_thread(void *arg)
{
    Device *d = arg;

    ioctl(d->fd, NBD_DO_IT);
    ioctl(d->fd, NBD_CLEAR_QUE);
    ioctl(d->fd, NBD_CLEAR_SOCK);
    close(d->sock);
    close(d->fd);
    g_free(d);
    loop_quit();
    return NULL;
}

typedef struct Shake {
    NbdChan chan;
    NbdInfo info;
    const char *name;
    Error *err;
    bool ok, over;
} Shake;

static void shake(void *arg)
{
    Shake *s = arg;
    NbdAsk ask = { .export_name = s->name, .simple = true };

    s->ok = nbd_client_start(&s->chan, &ask, &s->info, &s->err);
    s->over = true;
}

static bool kernel_setup(Device *d, const NbdInfo *info, Error **errp)
{
    unsigned long sectors = info->size / 512;
    int ro = !!(info->flags & NBD_F_READ_ONLY);

    if (ioctl(d->fd, NBD_SET_SOCK, (unsigned long)d->sock)) {
        return error_set(errp, "Failed to set NBD socket");
    }
    if (ioctl(d->fd, NBD_SET_BLKSIZE, 512ul) ||
        ioctl(d->fd, NBD_SET_SIZE_BLOCKS, sectors)) {
        return error_set(errp, "Failed setting size (in blocks)");
    }
    ioctl(d->fd, NBD_SET_FLAGS, (unsigned long)info->flags);
    if (ro) {
        ioctl(d->fd, BLKROSET, &ro);
    }
    return true;
}

bool nbd_device_connect(NbdServer *s, const NbdArgs *a, Error **errp)
{
    Device *d = g_new0(Device, 1);
    Shake sh = { .name = a->name ? a->name : "" };
    int pair[2];
    bool ok;

    d->fd = open(a->connect, O_RDWR | O_CLOEXEC);
    if (d->fd < 0) {
        error_set(errp, "Failed to open %s: %s", a->connect, strerror(errno));
        g_free(d);
        return false;
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                   pair)) {
        close(d->fd);
        g_free(d);
        return error_set_errno(errp, errno, "Cannot make a socket");
    }
    nbd_server_client(s, pair[0]);
    chan_init(&sh.chan, loop_main, pair[1]);
    co_enter(co_new(shake, &sh));
    while (!sh.over) {
        loop_step(true);
    }
    chan_detach(&sh.chan);
    d->sock = pair[1];
    /* The kernel waits in it as it likes. */
    fcntl(d->sock, F_SETFL, fcntl(d->sock, F_GETFL) & ~O_NONBLOCK);
    ok = sh.ok && kernel_setup(d, &sh.info, errp);
    error_move(errp, sh.err);
    nbd_info_clear(&sh.info);
    g_free(sh.chan.buf);
    if (!ok) {
        close(d->sock);
        close(d->fd);
        g_free(d);
        return false;
    }
    if (a->verbose) {
        printf("NBD device %s is now connected to %s\n", a->connect, a->file);
        fflush(stdout);
    }
    thread_start(NULL, "nbd-device", device_thread, d);
    return true;
}
