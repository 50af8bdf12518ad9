/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hostdev.c - ports of the host: serial lines (termios(3), tty_ioctl(4)) and
 * parallel ports (ppdev: linux/ppdev.h).
 *
 * Thread class: MACHINE_CALL, in the main loop.
 *
 * Invariants
 * 1. A parallel port is claimed from open to close.
 */
#include <fcntl.h>
#include <glib.h>
#include <linux/parport.h>
#include <linux/ppdev.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>
#include "chardev/chr-priv.h"

typedef struct HostChr {
    FdChr fd;                          /* parallel: in only                   */
    char *path;
    int mode;                          /* parallel: IEEE1284_MODE_*           */
} HostChr;

static const Prop host_props[] = {
    PROP_STR("path", HostChr, path, .desc = "the device's file"),
    PROP_END
};

static const char *const host_renamed[] = { "device", "path", NULL };

/* ---- serial lines -------------------------------------------------------- */

static void line_params(int fd, const ChrSerialParams *s)
{
    static const struct { int speed; speed_t b; } rates[] = {
        { 50, B50 }, { 75, B75 }, { 110, B110 }, { 134, B134 }, { 150, B150 },
        { 200, B200 }, { 300, B300 }, { 600, B600 }, { 1200, B1200 },
        { 1800, B1800 }, { 2400, B2400 }, { 4800, B4800 }, { 9600, B9600 },
        { 19200, B19200 }, { 38400, B38400 }, { 57600, B57600 },
        { 115200, B115200 },
    };
    static const tcflag_t sizes[] = { CS5, CS6, CS7, CS8 };
    struct termios t;
    size_t i = 0;

    if (tcgetattr(fd, &t)) {
        return;
    }
    cfmakeraw(&t);
    while (i + 1 < ARRAY_SIZE(rates) && rates[i].speed < s->speed) {
        i++;
    }
    cfsetispeed(&t, rates[i].b);
    cfsetospeed(&t, rates[i].b);
    t.c_cflag &= ~(CSTOPB | PARENB | PARODD | CRTSCTS | CSIZE);
    t.c_cflag |= CLOCAL | CREAD | sizes[(s->data_bits - 5) & 3];
    t.c_cflag |= s->parity == 'E' ? PARENB
               : s->parity == 'O' ? PARENB | PARODD : 0;
    t.c_cflag |= s->stop_bits == 2 ? CSTOPB : 0;
    tcsetattr(fd, TCSANOW, &t);
}

static int line_ioctl(CharPort *p, ChrIoctl cmd, void *arg)
{
    int fd = ((HostChr *)p)->fd.in, lines, keep;

    switch (cmd) {
    case CHR_SERIAL_PARAMS:
        line_params(fd, arg);
        return 0;
    case CHR_SERIAL_BREAK:
        if (*(int *)arg) {
            tcsendbreak(fd, 1);
        }
        return 0;
    case CHR_SERIAL_GET_TIOCM:
        return ioctl(fd, TIOCMGET, arg) ? -errno : 0;
    case CHR_SERIAL_SET_TIOCM:
        if (ioctl(fd, TIOCMGET, &lines)) {
            return -errno;
        }
        keep = TIOCM_RTS | TIOCM_DTR;
        lines = (lines & ~keep) | (*(int *)arg & keep);
        return ioctl(fd, TIOCMSET, &lines) ? -errno : 0;
    default:
        return -ENOTSUP;
    }
}

static bool line_open(CharPort *p, Error **errp)
{
    HostChr *c = (HostChr *)p;
    static const ChrSerialParams start = { 115200, 'N', 8, 1 };
    int fd;

    c->fd.in = c->fd.out = -1;
    if (!c->path) {
        return error_set(errp, "chardev: serial/tty: no device path given");
    }
    fd = open(c->path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        return error_set_errno(errp, errno, "Could not open '%s'", c->path);
    }
    line_params(fd, &start);
    fdchr_start(&c->fd, fd, fd);
    return true;
}

static void line_close(CharPort *p)
{
    fdchr_stop((FdChr *)p, true);
}

/* "/dev/ttyS0"; COM1 is the peer's word for a path of another host. */
static bool line_short(const char *text, Json *opts, Error **errp)
{
    if (strncmp(text, "/dev/", 5) || !strncmp(text, "/dev/parport", 12) ||
        !strncmp(text, "/dev/ppi", 8)) {
        return false;
    }
    json_set_str(opts, "path", text);
    return true;
}

CHAR_DRIVER(chr_serial, {
    .name = "serial", .alias = "tty", .type = "chardev-serial",
    .parent = "chardev-fd", .size = sizeof(HostChr),
    .desc = "serial line of the host",
    .doc = "A terminal device of the host; speed and modem lines follow the "
           "guest's.",
    .props = host_props, .renamed = host_renamed, .short_form = line_short,
    .open = line_open, .close = line_close, .write = fdchr_write,
    .accept_input = fdchr_accept_input, .want_write = fdchr_want_write,
    .set_loop = fdchr_set_loop,
    .ioctl = line_ioctl,
});

/* ---- parallel ports ------------------------------------------------------ */

static bool to_mode(HostChr *c, int mode)
{
    if (c->mode != mode) {
        int m = mode;

        if (ioctl(c->fd.in, PPSETMODE, &m) < 0) {
            return false;
        }
        c->mode = mode;
    }
    return true;
}

/* EPP cycles of 1, 2 or 4 bytes, by read(2) and write(2). */
typedef struct EppArg {
    uint8_t *buf;
    int n;
} EppArg;

static int epp(HostChr *c, int mode, bool out, EppArg *a)
{
    ssize_t n;

    if (!to_mode(c, mode)) {
        return -ENOTSUP;
    }
    n = out ? write(c->fd.in, a->buf, a->n) : read(c->fd.in, a->buf, a->n);
    return n < 0 ? -errno : n == a->n ? 0 : -EIO;
}

static int pp_ioctl(CharPort *p, ChrIoctl cmd, void *arg)
{
    HostChr *c = (HostChr *)p;
    int fd = c->fd.in, rc;
    uint8_t b;

    switch (cmd) {
    case CHR_PP_READ_DATA:
        rc = ioctl(fd, PPRDATA, arg);
        break;
    case CHR_PP_WRITE_DATA:
        rc = ioctl(fd, PPWDATA, arg);
        break;
    case CHR_PP_READ_CONTROL:
        rc = ioctl(fd, PPRCONTROL, &b);
        /* The driver keeps the register without its upper bits. */
        *(uint8_t *)arg = b | 0xc0;
        break;
    case CHR_PP_WRITE_CONTROL:
        rc = ioctl(fd, PPWCONTROL, arg);
        break;
    case CHR_PP_READ_STATUS:
        rc = ioctl(fd, PPRSTATUS, arg);
        break;
    case CHR_PP_DATA_DIR:
        rc = ioctl(fd, PPDATADIR, arg);
        break;
    case CHR_PP_EPP_READ_ADDR:
        return epp(c, IEEE1284_MODE_EPP | IEEE1284_ADDR, false, arg);
    case CHR_PP_EPP_READ:
        return epp(c, IEEE1284_MODE_EPP | IEEE1284_DATA, false, arg);
    case CHR_PP_EPP_WRITE_ADDR:
        return epp(c, IEEE1284_MODE_EPP | IEEE1284_ADDR, true, arg);
    case CHR_PP_EPP_WRITE:
        return epp(c, IEEE1284_MODE_EPP | IEEE1284_DATA, true, arg);
    default:
        return -ENOTSUP;
    }
    return rc < 0 ? -errno : 0;
}

static bool pp_open(CharPort *p, Error **errp)
{
    HostChr *c = (HostChr *)p;
    int fd;

    c->fd.in = c->fd.out = -1;
    if (!c->path) {
        return error_set(errp, "chardev: parallel: no device path given");
    }
    fd = open(c->path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return error_set_errno(errp, errno, "Could not open '%s'", c->path);
    }
    if (ioctl(fd, PPCLAIM)) {
        error_set_errno(errp, errno, "not a parallel port");
        close(fd);
        return false;
    }
    c->fd.in = fd;
    c->mode = IEEE1284_MODE_COMPAT;
    p->open = true;
    return true;
}

static void pp_close(CharPort *p)
{
    HostChr *c = (HostChr *)p;

    to_mode(c, IEEE1284_MODE_COMPAT);
    ioctl(c->fd.in, PPRELEASE);
    close(c->fd.in);
}

static bool pp_short(const char *text, Json *opts, Error **errp)
{
    if (strncmp(text, "/dev/parport", 12) && strncmp(text, "/dev/ppi", 8)) {
        return false;
    }
    json_set_str(opts, "path", text);
    return true;
}

CHAR_DRIVER(chr_parallel, {
    .name = "parallel", .alias = "parport", .type = "chardev-parallel",
    .size = sizeof(HostChr), .desc = "parallel port of the host",
    .doc = "A parallel port of the host, by /dev/parportN.",
    .props = host_props, .renamed = host_renamed, .short_form = pp_short,
    .open = pp_open, .close = pp_close, .ioctl = pp_ioctl,
});
