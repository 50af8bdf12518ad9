/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sg-device.c - for LD_PRELOAD: makes /dev/null a SCSI disk for programs that send
 * commands by SG_IO (Linux, scsi/sg.h). Persistent reservations (SPC-4, sections
 * 6.15 and 6.16) are done where SG_DEVICE_PR is in the environment, and
 * not allowed elsewhere.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <scsi/scsi.h>
#include <scsi/sg.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>

#define BLOCK 512
#define BLOCKS 64

static uint8_t disk[BLOCKS * BLOCK];
static uint64_t key;                   /* of the one registration, big-endian */
static uint32_t generation;

static bool mine(int fd)
{
    struct stat st;

    return !fstat(fd, &st) && S_ISCHR(st.st_mode) &&
           st.st_rdev == makedev(1, 3);
}

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

/* n bytes between buf and where the caller has its data. */
static void move(sg_io_hdr_t *h, void *buf, size_t n, bool out)
{
    struct iovec one = { h->dxferp, h->dxfer_len };
    struct iovec *v = h->iovec_count ? h->dxferp : &one;
    unsigned count = h->iovec_count ? h->iovec_count : 1;
    size_t left = n < h->dxfer_len ? n : h->dxfer_len;

    h->resid = (int)(h->dxfer_len - left);
    for (unsigned i = 0; i < count && left; i++) {
        size_t part = left < v[i].iov_len ? left : v[i].iov_len;

        memcpy(out ? buf : v[i].iov_base, out ? v[i].iov_base : buf, part);
        buf = (uint8_t *)buf + part;
        left -= part;
    }
}

static void sense(sg_io_hdr_t *h, uint8_t sense_key, uint8_t asc)
{
    uint8_t s[18] = { 0x70, 0, sense_key, [7] = 10, [12] = asc };

    h->status = 2;
    h->sb_len_wr = h->mx_sb_len < sizeof(s) ? h->mx_sb_len : sizeof(s);
    memcpy(h->sbp, s, h->sb_len_wr);
    h->resid = (int)h->dxfer_len;
}

static void pr_in(sg_io_hdr_t *h)
{
    uint8_t buf[16] = { 0 };
    uint32_t n = key ? 8 : 0;

    if (h->cmdp[1] & 0x1f) {           /* READ KEYS alone                     */
        sense(h, 5, 0x24);
        return;
    }
    buf[3] = (uint8_t)generation;
    buf[7] = (uint8_t)n;
    memcpy(buf + 8, &key, 8);
    move(h, buf, 8 + n, false);
}

static void pr_out(sg_io_hdr_t *h)
{
    uint8_t buf[24];
    uint64_t old;

    if (be32(h->cmdp + 5) != 24 || h->dxfer_len != 24) {
        sense(h, 5, 0x1a);             /* PARAMETER LIST LENGTH ERROR         */
        return;
    }
    move(h, buf, 24, true);
    memcpy(&old, buf, 8);
    if (old != key) {
        h->status = 0x18;              /* RESERVATION CONFLICT                */
        return;
    }
    memcpy(&key, buf + 8, 8);
    generation++;
}

static int command(sg_io_hdr_t *h)
{
    static uint8_t inquiry[36] = { 0, 0, 5, 2, 31, [7] = 2,
                                   'F', 'A', 'K', 'E', ' ', ' ', ' ', ' ',
                                   'D', 'I', 'S', 'K' };
    uint8_t size[8] = { 0, 0, 0, BLOCKS - 1, 0, 0, BLOCK >> 8, 0 };
    const uint8_t *c = h->cmdp;

    h->status = h->sb_len_wr = 0;
    h->host_status = h->driver_status = 0;
    h->resid = 0;
    switch (c[0]) {
    case TEST_UNIT_READY:
        break;
    case INQUIRY:
        if (c[1] & 1) {
            sense(h, 5, 0x24);
        } else {
            move(h, inquiry, sizeof(inquiry), false);
        }
        break;
    case READ_CAPACITY:
        move(h, size, sizeof(size), false);
        break;
    case READ_10:
    case WRITE_10:
        if (be32(c + 2) + (uint32_t)c[8] > BLOCKS) {
            sense(h, 5, 0x21);
        } else {
            move(h, disk + be32(c + 2) * BLOCK, c[8] * BLOCK,
                 c[0] == WRITE_10);
        }
        break;
    case 0x5e:
    case 0x5f:
        if (!getenv("SG_DEVICE_PR")) {
            errno = EPERM;
            return -1;
        }
        (c[0] == 0x5e ? pr_in : pr_out)(h);
        break;
    default:
        sense(h, 5, 0x20);
    }
    return 0;
}

int ioctl(int fd, unsigned long what, ...)
{
    static int (*next)(int, unsigned long, ...);
    struct sg_scsi_id *id;
    void *arg;
    va_list ap;

    va_start(ap, what);
    arg = va_arg(ap, void *);
    va_end(ap);
    if (!next) {
        *(void **)&next = dlsym(RTLD_NEXT, "ioctl");
    }
    if (!mine(fd)) {
        return next(fd, what, arg);
    }
    switch (what) {
    case SG_GET_VERSION_NUM:
        *(int *)arg = 30536;
        return 0;
    case SG_GET_SCSI_ID:
        id = arg;
        memset(id, 0, sizeof(*id));
        return 0;
    case SG_SET_TIMEOUT:
        return 0;
    case SG_IO:
        return command(arg);
    }
    return next(fd, what, arg);
}
