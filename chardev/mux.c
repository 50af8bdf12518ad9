/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mux.c - several front ends on one port: a key sequence chooses which of them
 * gets the input; all of them may write. Also "mon:X", a port with a monitor
 * beside its first user, and -echr.
 *
 * Thread class: MACHINE_CALL, in the main loop.
 *
 * Invariants
 * 1. The mux is the one front end of its base port, from open to close.
 * 2. A front end has a place 0..MUX_MAX-1 (mux_tag) while attached; focus is
 *    the place of an attached one, or -1.
 * 3. At most HOLD bytes are kept for a front end that has no room.
 */
#include <glib.h>
#include "chardev/chr-priv.h"
#include "monitor.h"
#include "opt.h"
#include "runstate.h"
#include "schema/schema.h"

static const CharDriver chr_mux;

#define MUX_MAX 4
#define HOLD 32

typedef struct MuxHeld {
    uint8_t buf[HOLD];
    unsigned at, n;
} MuxHeld;

typedef struct MuxChr {
    CharPort p;
    char *base_id;                     /* chardev=                            */
    CharFront base;
    CharFront *fronts[MUX_MAX];
    MuxHeld held[MUX_MAX];
    int focus;
    bool escaped;                      /* the escape key came just before     */
    bool draining;
    bool waits;                        /* for room in the base                */
    bool stamps, line_start;
    int64_t stamps_since;              /* ms; -1: not begun                   */
    Work open_work;
    char stamp[32];                    /* being written                       */
    uint8_t stamp_n, stamp_at;
} MuxChr;

static uint8_t escape_key = 1;         /* Ctrl-a                              */

bool cli_echr(const char *arg, Error **errp)
{
    char *end;
    long v = strtol(arg, &end, 0);

    if (end == arg) {
        return error_set(errp, "Bad argument to echr");
    }
    escape_key = v;
    return true;
}

/* ---- input --------------------------------------------------------------- */

static CharFront *focused(MuxChr *m)
{
    return m->focus >= 0 ? m->fronts[m->focus] : NULL;
}

/* Gives the front end in focus what was kept for it. Its handler may read on,
 * or change the focus. */
static void drain(MuxChr *m)
{
    CharFront *f;

    if (m->draining) {
        return;
    }
    m->draining = true;
    while ((f = focused(m)) && f->receive && m->held[m->focus].n &&
           f->can_receive && f->can_receive(f->arg) > 0) {
        MuxHeld *h = &m->held[m->focus];
        uint8_t c = h->buf[h->at];

        h->at = (h->at + 1) % HOLD;
        h->n--;
        f->receive(f->arg, &c, 1);
    }
    m->draining = false;
}

static int mux_can_receive(void *arg)
{
    MuxChr *m = arg;
    CharFront *f = focused(m);

    if (!f) {
        return HOLD;                   /* the keys work without a listener    */
    }
    return HOLD - m->held[m->focus].n;
}

static void put_text(MuxChr *m, const char *s)
{
    chr_write_all(&m->base, s, strlen(s));
}

static void put_help(MuxChr *m)
{
    static const char *const lines[] = {
        "h    print this help", "x    exit emulator",
        "s    save disk data back to file (if -snapshot)",
        "t    toggle console timestamps", "b    send break (magic sysrq)",
        "c    switch between console and monitor",
    };
    char key[8], line[80];

    if (escape_key >= 1 && escape_key <= 26) {
        snprintf(key, sizeof(key), "C-%c", escape_key - 1 + 'a');
    } else {
        snprintf(key, sizeof(key), "0x%02x", escape_key);
    }
    put_text(m, "\n\r");
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        snprintf(line, sizeof(line), "%s %s\n\r", key, lines[i]);
        put_text(m, line);
    }
    snprintf(line, sizeof(line), "%s %s  sends %s\n\r", key, key, key);
    put_text(m, line);
}

static void next_focus(MuxChr *m)
{
    for (int i = 1; i <= MUX_MAX; i++) {
        int at = (m->focus + i) % MUX_MAX;

        if (m->fronts[at]) {
            chr_mux_focus(&m->p, m->fronts[at]);
            return;
        }
    }
}

static void save_disks(void)
{
    machine_assert_locked();
    g_free(mon_hmp_line("commit all", -1));
}

/* The key after the escape key. True: it is input after all. */
static bool command_key(MuxChr *m, uint8_t c)
{
    CharFront *f = focused(m);

    if (c == escape_key) {
        return true;
    }
    switch (c) {
    case '?':
    case 'h':
        put_help(m);
        break;
    case 'x':
        put_text(m, "QEMU: Terminated\n\r");
        request_shutdown(WHY_HOST_QMP_QUIT);
        break;
    case 's':
        save_disks();
        break;
    case 'b':
        if (f && f->event) {
            f->event(f->arg, CHR_BREAK);
        }
        break;
    case 'c':
        next_focus(m);
        break;
    case 't':
        m->stamps = !m->stamps;
        m->stamps_since = -1;
        m->line_start = false;
        break;
    default:
        break;
    }
    return false;
}

static void mux_receive(void *arg, const uint8_t *buf, int n)
{
    MuxChr *m = arg;

    drain(m);
    for (int i = 0; i < n; i++) {
        MuxHeld *h;

        if (m->escaped) {
            m->escaped = false;
            if (!command_key(m, buf[i])) {
                continue;
            }
        } else if (buf[i] == escape_key) {
            m->escaped = true;
            continue;
        }
        if (m->focus < 0) {
            continue;
        }
        h = &m->held[m->focus];
        if (h->n < HOLD) {
            h->buf[(h->at + h->n++) % HOLD] = buf[i];
        }
        drain(m);
    }
}

static void mux_base_event(void *arg, ChrEvent e)
{
    MuxChr *m = arg;

    if (e == CHR_OPENED || e == CHR_CLOSED) {
        m->p.open = e == CHR_OPENED;
    }
    for (int i = 0; i < MUX_MAX; i++) {
        if (m->fronts[i] && m->fronts[i]->listens) {
            chr_front_event(m->fronts[i], e);
        }
    }
}

static void tell_open(void *arg)
{
    MuxChr *m = arg;

    if (m->p.open) {
        mux_base_event(m, CHR_OPENED);
    }
}

void chr_mux_listen(CharPort *p, CharFront *f)
{
    MuxChr *m = (MuxChr *)p;

    chr_mux_focus(p, f);
    /* Later: of those that start together, the last has the focus, and a
     * monitor that lost it does not greet. */
    loop_post(loop_main, &m->open_work);
}

static void mux_accept_input(CharPort *p)
{
    MuxChr *m = (MuxChr *)p;

    drain(m);
    chr_accept_input(&m->base);
}

void chr_mux_focus(CharPort *p, CharFront *f)
{
    MuxChr *m = (MuxChr *)p;
    CharFront *old;

    if (p->drv != &chr_mux || m->fronts[f->mux_tag] != f) {
        return;                        /* not a mux, or not on it             */
    }
    old = focused(m);
    if (old == f) {
        return;
    }
    if (old && old->event) {
        old->event(old->arg, CHR_MUX_OUT);
    }
    m->focus = f->mux_tag;
    m->p.front = f;
    if (f->event) {
        f->event(f->arg, CHR_MUX_IN);
    }
    mux_accept_input(p);
}

/* ---- output -------------------------------------------------------------- */

static void make_stamp(MuxChr *m)
{
    int64_t ms = clock_ns(CLOCK_RT) / NS_PER_MS;
    int64_t s;

    if (m->stamps_since < 0) {
        m->stamps_since = ms;
    }
    ms -= m->stamps_since;
    s = ms / 1000;
    m->stamp_n = snprintf(m->stamp, sizeof(m->stamp),
                          "[%02d:%02d:%02d.%03d] ", (int)(s / 3600 % 100),
                          (int)(s / 60 % 60), (int)(s % 60), (int)(ms % 1000));
    m->stamp_at = 0;
}

static ssize_t put_stamp(MuxChr *m)
{
    while (m->stamp_at < m->stamp_n) {
        ssize_t w = chr_write(&m->base, m->stamp + m->stamp_at,
                              m->stamp_n - m->stamp_at);

        if (w <= 0) {
            return w ? w : -EAGAIN;
        }
        m->stamp_at += w;
    }
    return 0;
}

/* Writes line by line, each begun with the time. */
static ssize_t write_stamped(MuxChr *m, const uint8_t *buf, size_t n)
{
    size_t done = 0;

    while (done < n) {
        const uint8_t *nl = memchr(buf + done, '\n', n - done);
        size_t len = nl ? (size_t)(nl - buf) + 1 - done : n - done;
        ssize_t w;

        if (m->line_start) {
            m->line_start = false;
            make_stamp(m);
        }
        w = put_stamp(m);
        if (w < 0) {
            return done ? (ssize_t)done : w;
        }
        w = chr_write(&m->base, buf + done, len);
        if (w <= 0) {
            return done ? (ssize_t)done : w;
        }
        done += w;
        m->line_start = nl && (size_t)w == len;
    }
    return done;
}

static ssize_t mux_write(CharPort *p, const void *buf, size_t n)
{
    MuxChr *m = (MuxChr *)p;

    return m->stamps ? write_stamped(m, buf, n) : chr_write(&m->base, buf, n);
}

static void base_writable(void *arg)
{
    MuxChr *m = arg;

    m->waits = false;
    chr_writable(&m->p);
}

static void mux_want_write(CharPort *p)
{
    MuxChr *m = (MuxChr *)p;

    if (!m->waits) {
        m->waits = true;
        chr_on_writable(&m->base, base_writable, m);
    }
}

/* ---- front ends ---------------------------------------------------------- */

static bool mux_attach(CharPort *p, CharFront *f, Error **errp)
{
    MuxChr *m = (MuxChr *)p;

    for (int i = 0; i < MUX_MAX; i++) {
        if (!m->fronts[i]) {
            m->fronts[i] = f;
            m->held[i] = (MuxHeld){ .n = 0 };
            f->mux_tag = i;
            if (m->focus < 0) {
                m->focus = i;
                p->front = f;
            }
            return true;
        }
    }
    return error_set(errp, "Device '%s' is in use", p->label);
}

static void mux_detach(CharPort *p, CharFront *f)
{
    MuxChr *m = (MuxChr *)p;

    m->fronts[f->mux_tag] = NULL;
    if (m->focus == f->mux_tag) {
        m->focus = -1;
        p->front = NULL;
        next_focus(m);
    }
}

bool chr_mux_room(const CharPort *p)
{
    const MuxChr *m = (const MuxChr *)p;
    unsigned n = p->claims;

    for (int i = 0; i < MUX_MAX; i++) {
        n += m->fronts[i] != NULL;
    }
    return n < MUX_MAX;
}

static bool mux_busy(const CharPort *p)
{
    const MuxChr *m = (const MuxChr *)p;

    for (int i = 0; i < MUX_MAX; i++) {
        if (m->fronts[i]) {
            return true;
        }
    }
    return false;
}

static void mux_set_open(CharPort *p, bool open)
{
    MuxChr *m = (MuxChr *)p;

    for (int i = 0; i < MUX_MAX && !open; i++) {
        open = m->fronts[i] && m->fronts[i]->open;
    }
    chr_set_open(&m->base, open);
}

static void mux_set_echo(CharPort *p, bool on)
{
    chr_set_echo(&((MuxChr *)p)->base, on);
}

/* ---- life ---------------------------------------------------------------- */

static bool mux_start(MuxChr *m, CharPort *base, Error **errp)
{
    machine_assert_locked();
    m->focus = -1;
    m->stamps_since = -1;
    m->base.can_receive = mux_can_receive;
    m->base.receive = mux_receive;
    m->base.event = mux_base_event;
    m->base.manual_open = true;
    m->base.arg = m;
    m->open_work = (Work){ .fn = tell_open, .arg = m };
    if (!chr_attach(&m->base, base, errp)) {
        return false;
    }
    m->p.open = base->open;
    chr_listen(&m->base, NULL);
    return true;
}

static bool mux_open(CharPort *p, Error **errp)
{
    machine_assert_locked();
    MuxChr *m = (MuxChr *)p;
    CharPort *base;

    m->focus = -1;
    if (!m->base_id) {
        return error_set(errp, "chardev: mux: no chardev given");
    }
    base = chr_find(m->base_id);
    if (!base) {
        return error_set(errp, "mux: base chardev %s not found", m->base_id);
    }
    return mux_start(m, base, errp);
}

static void mux_close(CharPort *p)
{
    machine_assert_locked();
    MuxChr *m = (MuxChr *)p;

    for (int i = 0; i < MUX_MAX; i++) {
        if (m->fronts[i]) {
            chr_unlink(m->fronts[i]);
            m->fronts[i] = NULL;
        }
    }
    m->focus = -1;
    p->front = NULL;
    work_cancel(loop_main, &m->open_work);
    chr_detach(&m->base);
}

static const Prop mux_props[] = {
    PROP_STR("chardev", MuxChr, base_id, .desc = "port that is shared"),
    PROP_END
};

CHAR_DRIVER(chr_mux, {
    .name = "mux", .type = "chardev-mux", .size = sizeof(MuxChr),
    .desc = "several front ends on one port",
    .doc = "Lets several front ends share a port. Ctrl-a c moves the input to "
           "the next of them; Ctrl-a h lists the keys.",
    .props = mux_props, .open = mux_open, .close = mux_close,
    .write = mux_write, .accept_input = mux_accept_input,
    .set_open = mux_set_open, .set_echo = mux_set_echo,
    .want_write = mux_want_write, .attach = mux_attach,
    .detach = mux_detach, .busy = mux_busy,
});

CharPort *chr_mux_over(CharPort *base, const char *label, Error **errp)
{
    machine_assert_locked();
    char *id = g_strdup_printf("%s-base", label);
    Json *opts;
    CharPort *p;

    g_free(base->label);
    base->label = id;
    if (chr_find(id)) {
        error_set(errp, "Chardev with id '%s' already exists", id);
        chr_close(base);
        return NULL;
    }
    obj_put(obj_dir("chardevs"), id, &base->obj);
    opts = json_obj();
    json_set_str(opts, "chardev", id);
    p = chr_open_driver(&chr_mux, label, opts, true, errp);
    json_free(opts);
    if (!p) {
        chr_close(base);
        return NULL;
    }
    obj_put(obj_dir("chardevs"), label, &p->obj);
    return p;
}

CharPort *chr_mon_mux(const char *label, const char *text, Error **errp)
{
    machine_assert_locked();
    Json *opts = chr_short_opts(label, text, errp);
    CharPort *p;

    if (!opts) {
        return NULL;
    }
    json_set_str(opts, "mux", "on");
    if (!strcmp(json_get_str(opts, "backend"), "stdio")) {
        json_set_str(opts, "signal", "off");       /* Ctrl-C is the guest's */
    }
    p = chr_add(opts, true, errp);
    json_free(opts);
    if (p && !mon_add(p, false, false, errp)) {
        chr_close(p);
        return NULL;
    }
    return p;
}

void chr_mux_close_all(void)
{
    machine_assert_locked();
    /* A mux on a mux comes after it in the tree: the last made goes first. */
    for (bool again = true; again;) {
        CharPort *last = NULL;

        for (Obj *o = obj_dir("chardevs")->first; o; o = o->next) {
            CharPort *p = (CharPort *)o;

            if (p->drv == &chr_mux) {
                last = p;
            }
        }
        again = last != NULL;
        if (last) {
            chr_close(last);
        }
    }
}
