/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rng-backend.c - sources of random bytes: the system's generator, a file, a
 * daemon that speaks the entropy gathering daemon's protocol (command 2: a byte
 * count; the bytes come back as they are ready).
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. A request is on its backend's list until done or cancelled; the first one
 *    is being served.
 * 2. The fd of rng-random is watched exactly while there are requests.
 * 3. owed: bytes asked of the daemon and not yet received.
 */
#include <fcntl.h>
#include <glib.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>
#include "chr.h"
#include "rng.h"

typedef struct RngKind {
    const char *name;
    bool (*open)(RngBackend *b, Error **errp) MACHINE_PTR;
    void (*close)(RngBackend *b) MACHINE_PTR;
    /* One more is wanted; or nothing any more. */
    void (*wanted)(RngBackend *b, bool on) MACHINE_PTR;
} RngKind;

struct RngBackend {
    Obj obj;
    const RngKind *kind;
    bool opened;
    unsigned users;
    RngReq *first;
    char *filename;
    int fd;
    CharFront chr;
    char *chardev;
    size_t owed;                       /* by the daemon, bytes                */
    uint8_t have[RNG_MAX];             /* of the first request, from it       */
    size_t have_len;
    Work work;
};

static const UserType builtin_type, random_type, egd_type;

/* ---- requests ------------------------------------------------------------ */

void rng_request(RngBackend *b, RngReq *r)
{
    RngReq **at = &b->first;

    while (*at) {
        at = &(*at)->next;
    }
    *at = r;
    r->next = NULL;
    r->from = b;
    r->want = MIN2(r->want, (size_t)RNG_MAX);
    b->kind->wanted(b, true);
}

void rng_cancel(RngReq *r)
{
    RngBackend *b = r->from;

    if (!b) {
        return;
    }
    for (RngReq **at = &b->first; *at; at = &(*at)->next) {
        if (*at == r) {
            *at = r->next;
            break;
        }
    }
    r->from = NULL;
    if (!b->first) {
        b->kind->wanted(b, false);
    }
}

/* The first request gets its bytes. */
static MACHINE_CALL void serve(RngBackend *b, const uint8_t *buf, size_t n)
{
    RngReq *r = b->first;

    b->first = r->next;
    r->from = NULL;
    if (!b->first) {
        b->kind->wanted(b, false);
    }
    r->done(r, buf, n);
}

/* ---- rng-builtin --------------------------------------------------------- */

static void builtin_work(void *arg)
{
    RngBackend *b = arg;
    uint8_t buf[RNG_MAX];

    machine_assert_locked();
    /* Those that come from within done wait for the next turn. */
    for (unsigned n = 0; b->first && n < 16; n++) {
        ssize_t got = getrandom(buf, b->first->want, 0);

        if (got <= 0) {
            break;
        }
        serve(b, buf, got);
    }
    if (b->first) {
        loop_post(loop_main, &b->work);
    }
}

static MACHINE_CALL bool builtin_open(RngBackend *b, Error **errp)
{
    b->work = (Work){ .fn = builtin_work, .arg = b };
    return true;
}

static MACHINE_CALL void builtin_close(RngBackend *b)
{
    work_cancel(loop_main, &b->work);
}

static MACHINE_CALL void builtin_wanted(RngBackend *b, bool on)
{
    if (on) {
        loop_post(loop_main, &b->work);
    } else {
        work_cancel(loop_main, &b->work);
    }
}

static const RngKind builtin_kind = {
    "rng-builtin", builtin_open, builtin_close, builtin_wanted,
};

/* ---- rng-random ---------------------------------------------------------- */

static void random_ready(void *arg, unsigned events)
{
    RngBackend *b = arg;
    uint8_t buf[RNG_MAX];
    ssize_t n;

    machine_assert_locked();
    if (!b->first) {
        return;
    }
    n = read(b->fd, buf, b->first->want);
    if (n > 0) {
        serve(b, buf, n);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        loop_fd(loop_main, b->fd, 0, NULL, NULL);  /* it has no more          */
    }
}

static MACHINE_CALL bool random_open(RngBackend *b, Error **errp)
{
    const char *name = b->filename ? b->filename : "/dev/urandom";

    b->fd = open(name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (b->fd < 0) {
        return error_set_errno(errp, errno, "Could not open '%s'", name);
    }
    return true;
}

static MACHINE_CALL void random_close(RngBackend *b)
{
    loop_fd(loop_main, b->fd, 0, NULL, NULL);
    close(b->fd);
}

static MACHINE_CALL void random_wanted(RngBackend *b, bool on)
{
    loop_fd(loop_main, b->fd, on ? EPOLLIN : 0, on ? random_ready : NULL, b);
}

static const RngKind random_kind = {
    "rng-random", random_open, random_close, random_wanted,
};

/* ---- rng-egd ------------------------------------------------------------- */

static MACHINE_CALL void egd_wanted(RngBackend *b, bool on)
{
    size_t want = 0;

    for (RngReq *r = b->first; on && r; r = r->next) {
        want += r->want;
    }
    want -= MIN2(want, b->have_len);
    while (b->owed < want) {
        uint8_t cmd[2] = { 2, MIN2(want - b->owed, 255) };

        if (chr_write_all(&b->chr, cmd, 2) != 2) {
            break;
        }
        b->owed += cmd[1];
    }
    if (b->owed) {
        loop_post(loop_main, &b->work);
    }
}

/* There is room for what the daemon says. */
static void egd_listen(void *arg)
{
    RngBackend *b = arg;

    machine_assert_locked();
    chr_accept_input(&b->chr);
}

static int egd_can_receive(void *arg)
{
    RngBackend *b = arg;

    return MIN2(b->owed, (size_t)RNG_MAX);
}

static void egd_receive(void *arg, const uint8_t *buf, int n)
{
    RngBackend *b = arg;

    machine_assert_locked();
    b->owed -= MIN2(b->owed, (size_t)n);
    while (n > 0 && b->first) {
        size_t want = b->first->want;
        size_t part = want > b->have_len ? MIN2((size_t)n, want - b->have_len)
                                         : 0;

        memcpy(b->have + b->have_len, buf, part);
        b->have_len += part;
        buf += part;
        n -= part;
        if (b->have_len >= want) {     /* more: its better was cancelled      */
            b->have_len = 0;
            serve(b, b->have, want);
        }
    }
    if (b->first) {
        egd_wanted(b, true);
    }
}

static void egd_event(void *arg, ChrEvent e)
{
    RngBackend *b = arg;

    machine_assert_locked();
    if (e == CHR_CLOSED) {
        b->owed = 0;
    } else if (e == CHR_OPENED && b->first) {
        egd_wanted(b, true);
    }
}

static MACHINE_CALL bool egd_open(RngBackend *b, Error **errp)
{
    CharPort *port;

    if (!b->chardev) {
        return error_set(errp, "Parameter 'chardev' is missing");
    }
    port = chr_find(b->chardev);
    if (!port) {
        return error_set_class(errp, ERROR_DEVICE_NOT_FOUND,
                               "Device '%s' not found", b->chardev);
    }
    b->work = (Work){ .fn = egd_listen, .arg = b };
    b->chr = (CharFront){
        .can_receive = egd_can_receive, .receive = egd_receive,
        .event = egd_event, .arg = b,
    };
    if (!chr_attach(&b->chr, port, errp)) {
        return false;
    }
    chr_listen(&b->chr, loop_main);
    return true;
}

static MACHINE_CALL void egd_close(RngBackend *b)
{
    work_cancel(loop_main, &b->work);
    chr_detach(&b->chr);
}

static const RngKind egd_kind = {
    "rng-egd", egd_open, egd_close, egd_wanted,
};

/* ---- objects ------------------------------------------------------------- */

static MACHINE_CALL bool complete(Obj *o, Error **errp)
{
    RngBackend *b = (RngBackend *)o;
    const UserType *t = user_obj_type(o);

    b->kind = t == &random_type ? &random_kind
            : t == &egd_type ? &egd_kind : &builtin_kind;
    b->opened = b->kind->open(b, errp);
    return b->opened;
}

static MACHINE_CALL bool can_delete(Obj *o, Error **errp)
{
    return ((RngBackend *)o)->users == 0 ||
           error_set(errp, "object '%s' is in use, can not be deleted",
                     o->name);
}

static MACHINE_CALL void finish(Obj *o)
{
    RngBackend *b = (RngBackend *)o;

    if (b->opened) {
        b->kind->close(b);
        b->opened = false;
    }
}

static Json *get_opened(const Obj *o, const Prop *p, Error **errp)
{
    return json_bool(((const RngBackend *)o)->opened);
}

/* Once of use for two-step creation; true does nothing any more. */
static bool set_opened(Obj *o, const Prop *p, const Json *v, Error **errp)
{
    return true;
}

static const Prop base_rows[] = {
    PROP_CALL("opened", "bool", get_opened, set_opened,
              .desc = "deprecated, without effect"),
    PROP_END
};

static const Prop random_rows[] = {
    PROP_STR("filename", RngBackend, filename, .type = "string",
             .def_str = "/dev/urandom", .desc = "file to read"),
    PROP_END
};

static const Prop egd_rows[] = {
    PROP_STR("chardev", RngBackend, chardev, .type = "string",
             .desc = "character device behind which the daemon is"),
    PROP_END
};

#define RNG_ROWS \
    .parent = "rng-backend", .size = sizeof(RngBackend), \
    .base_props = base_rows, .complete = complete, \
    .can_delete = can_delete, .finish = finish

USER_TYPE(builtin_type, {
    .name = "rng-builtin", .desc = "the system's random number generator",
    .doc = "Random bytes from getrandom(2). What virtio-rng uses when it is "
           "given no source.", RNG_ROWS,
});
USER_TYPE(random_type, {
    .name = "rng-random", .desc = "a file of random bytes",
    .doc = "Reads a device such as /dev/hwrng.", .props = random_rows, RNG_ROWS,
});
USER_TYPE(egd_type, {
    .name = "rng-egd", .desc = "an entropy gathering daemon",
    .doc = "Asks a daemon behind a character device for random bytes.",
    .props = egd_rows, RNG_ROWS,
});
TYPE_NAME(rng_base, { "rng-backend", "object", true });

/* ---- for devices --------------------------------------------------------- */

static void *ref_claim(Obj *owner, const char *prop, const char *id,
                       Error **errp)
{
    const UserType *t;
    Obj *o;

    machine_assert_locked();
    o = user_obj_find(id);
    t = o ? user_obj_type(o) : NULL;
    if (!o) {
        error_set_class(errp, ERROR_DEVICE_NOT_FOUND, "Device '%s' not found",
                        id);
        return NULL;
    }
    if (t != &builtin_type && t != &random_type && t != &egd_type) {
        error_set(errp, "Invalid parameter type for '%s', expected: "
                  "rng-backend", prop);
        return NULL;
    }
    ((RngBackend *)o)->users++;
    return o;
}

static void ref_release(Obj *owner, void *target)
{
    ((RngBackend *)target)->users--;
}

static const char *ref_id(const void *target)
{
    return ((const Obj *)target)->name;
}

const PropRef prop_ref_rng = {
    .type = "link<rng-backend>", .claim = ref_claim, .release = ref_release,
    .id = ref_id,
};

static const char *default_type(const Obj *o)
{
    return "rng-builtin";
}

static const Prop *default_props(const Obj *o, unsigned i)
{
    return i == 0 ? base_rows : NULL;
}

static const ObjKind default_kind = {
    .type_name = default_type, .props = default_props,
};

RngBackend *rng_default(Obj *owner)
{
    RngBackend *b = g_new0(RngBackend, 1);

    b->obj.kind = &default_kind;
    b->kind = &builtin_kind;
    b->opened = builtin_open(b, NULL);
    obj_add(owner, "default-backend", &b->obj);
    return b;
}

void rng_default_free(RngBackend *b)
{
    finish(&b->obj);
    obj_remove(&b->obj);
    g_free(b);
}
