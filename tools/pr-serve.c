/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pr-serve.c - one client of tern-pr-helper (QEMU's docs/interop/pr-helper): its
 * command blocks go to the device whose descriptor comes with them, by SG_IO
 * (Linux, scsi/sg.h). Nothing but PERSISTENT RESERVE IN and OUT (SCSI SPC-4,
 * sections 6.15 and 6.16) is passed on.
 *
 * Thread class: a thread for each client.
 *
 * Invariants
 * 1. One request at a time; what breaks the protocol ends the connection.
 * 2. OUT reaches only devices that the client itself has open for writing.
 * 3. Every descriptor that came is closed.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <scsi/sg.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "block/pr.h"
#include "error.h"
#include "tools/pr-helper.h"

#define TIMEOUT_MS 30000
#define FDS_MAX 8                      /* in one message; more than one: an error */

typedef struct PrSession {
    int fd, device;                    /* device: -1: none yet                */
    bool too_many;
    uint8_t cdb[PR_CDB_LEN];
    uint8_t reply[PR_REPLY_LEN], data[PR_DATA_MAX];
} PrSession;

/* ---- the socket ---------------------------------------------------------- */

static void take_fds(PrSession *s, struct msghdr *h)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
        int fds[FDS_MAX];
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        n = MIN2(n, FDS_MAX);
        memcpy(fds, CMSG_DATA(c), n * sizeof(int));
        for (size_t i = 0; i < n; i++) {
            if (s->device < 0) {
                s->device = fds[i];
            } else {
                close(fds[i]);
                s->too_many = true;
            }
        }
    }
}

/* All n bytes, and a descriptor that comes with them. */
static bool get(PrSession *s, void *buf, size_t n)
{
    while (n) {
        char room[CMSG_SPACE(FDS_MAX * sizeof(int))];
        struct iovec v = { buf, n };
        struct msghdr h = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = room,
                            .msg_controllen = sizeof(room) };
        ssize_t got = recvmsg(s->fd, &h, MSG_CMSG_CLOEXEC);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return false;
        }
        take_fds(s, &h);
        buf = (char *)buf + got;
        n -= (size_t)got;
    }
    return true;
}

static bool put(PrSession *s, const void *buf, size_t n)
{
    while (n) {
        ssize_t sent = send(s->fd, buf, n, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent <= 0) {
            return false;
        }
        buf = (const char *)buf + sent;
        n -= (size_t)sent;
    }
    return true;
}

/* ---- the device ---------------------------------------------------------- */

/* CHECK CONDITION, with sense data of the fixed format. */
static uint32_t check(PrSession *s, uint8_t key, uint8_t asc, uint8_t ascq)
{
    uint8_t *sense = s->reply + 8;

    sense[0] = 0x70;
    sense[2] = key;
    sense[7] = 10;
    sense[12] = asc;
    sense[13] = ascq;
    return 2;
}

/* Status; for IN *len becomes what has come. */
static uint32_t run(PrSession *s, uint32_t *len)
{
    bool out = s->cdb[0] == PR_OP_OUT;
    sg_io_hdr_t h = {
        .interface_id = 'S', .cmd_len = 10, .cmdp = s->cdb,
        .dxfer_direction = out ? SG_DXFER_TO_DEV : SG_DXFER_FROM_DEV,
        .dxfer_len = *len, .dxferp = s->data, .sbp = s->reply + 8,
        .mx_sb_len = PR_SENSE_LEN, .timeout = TIMEOUT_MS,
    };
    int mode = fcntl(s->device, F_GETFL);

    if (out && (mode < 0 || (mode & O_ACCMODE) == O_RDONLY)) {
        return check(s, 5, 0x20, 0);   /* ILLEGAL REQUEST, bad command        */
    }
    if (ioctl(s->device, SG_IO, &h) < 0 || h.host_status ||
        (h.driver_status & 0x0f && (h.driver_status & 0x0f) != 8)) {
        return check(s, 0x0b, 0, 6);   /* ABORTED, process terminated         */
    }
    *len -= MIN2((uint32_t)MAX2(h.resid, 0), *len);
    return h.status;
}

/* ---- requests ------------------------------------------------------------ */

static const char *request(PrSession *s)
{
    uint32_t len, status;

    if (s->cdb[0] != PR_OP_IN && s->cdb[0] != PR_OP_OUT) {
        return "Invalid CDB, closing socket.";
    }
    len = pr_length(s->cdb);
    if (len > PR_DATA_MAX) {
        return "Invalid CDB, closing socket.";
    }
    if (s->cdb[0] == PR_OP_OUT && !get(s, s->data, len)) {
        return "";
    }
    if (s->device < 0) {
        return "No file descriptor in request.";
    }
    if (s->too_many) {
        return "More than one file descriptor in request.";
    }
    memset(s->reply, 0, sizeof(s->reply));
    if (s->cdb[0] == PR_OP_IN) {
        memset(s->data, 0, len);
    }
    status = run(s, &len);
    if (status || s->cdb[0] == PR_OP_OUT) {
        len = 0;
    }
    st_be32(s->reply, status);
    st_be32(s->reply + 4, len);
    return put(s, s->reply, sizeof(s->reply)) && put(s, s->data, len) ? NULL
                                                                      : "";
}

void pr_serve(int fd, bool verbose)
{
    PrSession *s = g_new0(PrSession, 1);
    uint8_t features[4] = { 0 };
    const char *why = NULL;

    s->fd = fd;
    s->device = -1;
    if (!put(s, features, sizeof(features)) ||
        !get(s, features, sizeof(features))) {
        why = "";
    } else if (ld_be32(features)) {
        why = "Unknown features requested, closing socket.";
    }
    while (!why) {
        if (s->device >= 0) {
            close(s->device);
            s->device = -1;
        }
        why = get(s, s->cdb, sizeof(s->cdb)) ? request(s) : "";
    }
    if (*why && verbose) {
        error_reportf("%s", why);
    }
    if (s->device >= 0) {
        close(s->device);
    }
    close(fd);
    g_free(s);
}
