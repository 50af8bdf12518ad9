/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pr-manager.c - the object pr-manager-helper: PERSISTENT RESERVE IN and OUT (SCSI
 * SPC-4, sections 6.15 and 6.16) go to a process with the rights that they need.
 *
 * Thread class: MACHINE_CALL for its life, the pool's workers for requests.
 *
 * Invariants
 * 1. fd, at and what is on the socket belong to who holds lock; connected is read
 *    without.
 * 2. The socket is between two requests, or closed.
 * 3. Every change of connected is told by one event.
 */
#include <glib.h>
#include <errno.h>
#include <poll.h>
#include <scsi/sg.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "block/pr.h"
#include "monitor.h"
#include "schema/schema.h"

#define TRIES 5                        /* a second between them               */
#define SILENCE_MS 600000              /* of a helper that works              */

typedef struct PrManager {
    Obj obj;
    char *path;
    int fd;                            /* -1: not connected                   */
    bool connected;                    /* atomic                              */
    unsigned users;
    pthread_mutex_t lock;
    bool complete;
} PrManager;

static void tell(PrManager *m, bool connected)
{
    PrManagerStatusChangedEvent e = { .id = m->obj.name,
                                      .connected = connected };

    __atomic_store_n(&m->connected, connected, __ATOMIC_RELAXED);
    monitor_event(&event_PR_MANAGER_STATUS_CHANGED, &e);
}

/* ---- the socket ---------------------------------------------------------- */

static void hang_up(PrManager *m)
{
    if (m->fd >= 0) {
        close(m->fd);
        m->fd = -1;
        tell(m, false);
    }
}

/* 0, or -errno; the other side's end is -EINVAL. */
static int get(int fd, void *buf, size_t n)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };

    while (n) {
        ssize_t got = recv(fd, buf, n, MSG_DONTWAIT);

        if (got < 0 && errno == EAGAIN) {
            int r = poll(&p, 1, SILENCE_MS);

            if (r == 0) {
                return -ETIMEDOUT;
            }
            continue;
        }
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return got ? -errno : -EINVAL;
        }
        buf = (char *)buf + got;
        n -= (size_t)got;
    }
    return 0;
}

/* The descriptor goes with the first byte. */
static int put(int fd, const void *buf, size_t n, int pass)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } c = { .room = { 0 } };

    while (n) {
        struct iovec v = { (void *)(uintptr_t)buf, n };
        struct msghdr h = { .msg_iov = &v, .msg_iovlen = 1 };
        ssize_t sent;

        if (pass >= 0) {
            h.msg_control = c.room;
            h.msg_controllen = sizeof(c.room);
            c.head = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)),
                                       .cmsg_level = SOL_SOCKET,
                                       .cmsg_type = SCM_RIGHTS };
            memcpy(CMSG_DATA(&c.head), &pass, sizeof(pass));
        }
        sent = sendmsg(fd, &h, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent < 0) {
            return -errno;
        }
        pass = -1;
        buf = (const char *)buf + sent;
        n -= (size_t)sent;
    }
    return 0;
}

static bool dial(PrManager *m, Error **errp)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    uint8_t features[4];
    int fd, r;

    if (strlen(m->path) >= sizeof(a.sun_path)) {
        error_set(errp, "UNIX socket path '%s' is too long", m->path);
        error_hint(errp, "Path must be less than %zu bytes",
                   sizeof(a.sun_path));
        return false;
    }
    g_strlcpy(a.sun_path, m->path, sizeof(a.sun_path));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return error_set_errno(errp, errno, "Failed to create Unix socket");
    }
    if (connect(fd, (struct sockaddr *)&a, sizeof(a))) {
        error_set_errno(errp, errno, "Failed to connect to '%s'", m->path);
        close(fd);
        return false;
    }
    r = get(fd, features, sizeof(features));
    memset(features, 0, sizeof(features));         /* none is wanted          */
    r = r ? r : put(fd, features, sizeof(features), -1);
    if (r) {
        error_set_errno(errp, -r, "Failed to talk to '%s'", m->path);
        close(fd);
        return false;
    }
    m->fd = fd;
    tell(m, true);
    return true;
}

/* ---- one command --------------------------------------------------------- */

/* The data of a request and its reply, where the guest has them. */
static void copy(const sg_io_hdr_t *h, uint8_t *flat, size_t n, bool to_guest)
{
    const struct iovec one = { h->dxferp, h->dxfer_len };
    const struct iovec *v = h->iovec_count ? h->dxferp : &one;
    unsigned count = h->iovec_count ? h->iovec_count : 1;

    for (unsigned i = 0; i < count && n; i++) {
        size_t part = MIN2(n, v[i].iov_len);

        if (to_guest) {
            memcpy(v[i].iov_base, flat, part);
        } else {
            memcpy(flat, v[i].iov_base, part);
        }
        flat += part;
        n -= part;
    }
}

static int converse(PrManager *m, int fd, sg_io_hdr_t *h, uint8_t *data)
{
    uint8_t cdb[PR_CDB_LEN] = { 0 }, reply[PR_REPLY_LEN];
    uint32_t n, len;
    int r;

    memcpy(cdb, h->cmdp, MIN2(h->cmd_len, sizeof(cdb)));
    len = pr_length(cdb);
    r = put(m->fd, cdb, sizeof(cdb), fd);
    if (!r && cdb[0] == PR_OP_OUT) {
        r = put(m->fd, data, len, -1);
    }
    r = r ? r : get(m->fd, reply, sizeof(reply));
    if (r) {
        return r;
    }
    n = ld_be32(reply + 4);
    if (n > len || (n && (cdb[0] != PR_OP_IN || ld_be32(reply)))) {
        return -EPROTO;
    }
    r = get(m->fd, data, n);
    if (r) {
        return r;
    }
    h->status = (uint8_t)ld_be32(reply);
    h->resid = (int)h->dxfer_len - (int)(cdb[0] == PR_OP_IN ? n : len);
    if (h->status == 2 && h->sbp) {
        h->sb_len_wr = MIN2(h->mx_sb_len, PR_SENSE_LEN);
        memcpy(h->sbp, reply + 8, h->sb_len_wr);
    }
    if (cdb[0] == PR_OP_IN && !h->status) {
        copy(h, data, n, true);
    }
    return 0;
}

bool pr_manager_takes(const void *hdr)
{
    const sg_io_hdr_t *h = hdr;

    return h->interface_id == 'S' && h->cmd_len >= 10 &&
           (h->cmdp[0] == PR_OP_IN || h->cmdp[0] == PR_OP_OUT);
}

/* ILLEGAL REQUEST, INVALID FIELD IN CDB. */
static int refuse(sg_io_hdr_t *h)
{
    static const uint8_t sense[18] = { 0x70, 0, 5, [7] = 10, [12] = 0x24 };

    h->status = 2;
    h->resid = (int)h->dxfer_len;
    h->sb_len_wr = h->sbp ? MIN2(h->mx_sb_len, sizeof(sense)) : 0;
    memcpy(h->sbp, sense, h->sb_len_wr);
    return 0;
}

int pr_manager_run(Obj *manager, int fd, void *hdr)
{
    PrManager *m = (PrManager *)manager;
    uint8_t data[PR_DATA_MAX];
    sg_io_hdr_t *h = hdr;
    uint32_t len = pr_length(h->cmdp);
    int r = -EIO;

    h->status = 0;
    h->host_status = h->driver_status = 0;
    h->sb_len_wr = 0;
    if (len > PR_DATA_MAX || len > h->dxfer_len) {
        return refuse(h);
    }
    if (h->cmdp[0] == PR_OP_OUT) {
        copy(h, data, len, false);
    }
    pthread_mutex_lock(&m->lock);
    for (unsigned i = 0; i < TRIES && r; i++) {
        if (m->fd < 0 && !dial(m, NULL)) {
            g_usleep(G_USEC_PER_SEC);
            continue;
        }
        r = converse(m, fd, h, data);
        if (r) {
            hang_up(m);                /* the helper may have been restarted  */
        }
    }
    pthread_mutex_unlock(&m->lock);
    return r;
}

/* ---- life ---------------------------------------------------------------- */

static MACHINE_CALL bool manager_complete(Obj *o, Error **errp)
{
    PrManager *m = (PrManager *)o;
    bool ok;

    pthread_mutex_init(&m->lock, NULL);
    m->fd = -1;
    m->complete = true;
    pthread_mutex_lock(&m->lock);
    ok = dial(m, errp);
    pthread_mutex_unlock(&m->lock);
    return ok;
}

static MACHINE_CALL bool manager_can_delete(Obj *o, Error **errp)
{
    return !((PrManager *)o)->users ||
           error_set(errp, "object '%s' is in use, can not be deleted",
                     o->name);
}

static MACHINE_CALL void manager_finish(Obj *o)
{
    PrManager *m = (PrManager *)o;

    if (m->complete) {
        if (m->fd >= 0) {
            close(m->fd);
        }
        pthread_mutex_destroy(&m->lock);
        m->complete = false;
    }
}

static const Prop manager_props[] = {
    PROP_STR("path", PrManager, path, .type = "string",
             .flags = PF_REQUIRED,
             .desc = "the helper's socket"),
    PROP_END
};

USER_TYPE(pr_manager_helper_type, {
    .name = "pr-manager-helper", .parent = "pr-manager",
    .desc = "persistent reservations by a helper process",
    .doc = "SCSI commands about persistent reservations, which guests of "
           "scsi-block and scsi-generic send, go to tern-pr-helper, which may "
           "send them on to the device.",
    .size = sizeof(PrManager), .props = manager_props, .early = true,
    .complete = manager_complete, .can_delete = manager_can_delete,
    .finish = manager_finish,
});

/* ---- for nodes and clients ----------------------------------------------- */

Obj *pr_manager_get(const char *id, Error **errp)
{
    Obj *o = user_obj_find(id);

    if (!o) {
        error_set(errp, "No persistent reservation manager with id '%s'", id);
        return NULL;
    }
    if (user_obj_type(o) != &pr_manager_helper_type) {
        error_set(errp, "Object with id '%s' is not a persistent reservation "
                  "manager", id);
        return NULL;
    }
    ((PrManager *)o)->users++;
    return o;
}

void pr_manager_put(Obj *manager)
{
    if (manager) {
        ((PrManager *)manager)->users--;
    }
}

bool cmd_query_pr_managers(const void *arg, void *ret, Error **errp)
{
    Obj *dir = obj_dir("objects");
    PRManagerInfoList *l = ret;

    for (Obj *o = dir->first; o; o = o->next) {
        if (user_obj_type(o) == &pr_manager_helper_type) {
            PRManagerInfo *i = SCHEMA_ADD(l);

            i->id = g_strdup(o->name);
            i->connected = __atomic_load_n(&((PrManager *)o)->connected,
                                           __ATOMIC_RELAXED);
        }
    }
    return true;
}
