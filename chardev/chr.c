/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * chr.c - character ports: their registry, the meeting of front end and
 * backend, logging, waiting for room (include/chr.h).
 *
 * Thread class: control under the machine lock; data in the port's loop.
 *
 * Invariants:
 * 1. A port has at most one front end; a mux port is the one that shares.
 * 2. Bytes reach the log file exactly when the backend took them.
 * 3. A front end hears OPENED and CLOSED in turn, never the same twice.
 */
#include <fcntl.h>
#include <glib.h>
#include <unistd.h>
#include "chardev/addr.h"
#include "chardev/chr-priv.h"
#include "monitor.h"
#include "opt.h"

struct CharWatch {
    void (*fn)(void *arg);
    void *arg;
    struct CharWatch *next;
};

/* ---- the object ---------------------------------------------------------- */

static const Prop chr_base_props[] = {
    PROP_STR("logfile", CharPort, logfile,
             .desc = "file that gets what the port sends"),
    PROP_BOOL("logappend", CharPort, logappend, false,
              .desc = "append to the log file"),
    PROP_BOOL("mux", CharPort, mux_wanted, false,
              .desc = "several front ends may share the port"),
    PROP_END
};

static const char *chr_type_name(const Obj *o)
{
    return ((const CharPort *)o)->drv->type;
}

/* Options are for making it; the tree shows what the peer's shows. */
static const Prop *chr_props(const Obj *o, unsigned i)
{
    return i == 0 ? ((const CharPort *)o)->drv->shown : NULL;
}

static const ObjKind chr_kind = {
    .type_name = chr_type_name, .props = chr_props,
};

static void types_each(void (*fn)(const char *, const char *, bool, void *),
                       void *arg)
{
    fn("chardev-fd", "chardev", true, arg);
    SET_EACH(char_drivers, CharDriver, d) {
        fn((*d)->type, (*d)->parent ? (*d)->parent : "chardev", false, arg);
    }
}

static const Prop *types_props(const char *type, unsigned i)
{
    SET_EACH(char_drivers, CharDriver, d) {
        if (!strcmp((*d)->type, type)) {
            return i == 0 ? (*d)->shown : NULL;
        }
    }
    return NULL;
}

TYPE_SOURCE(chr_types, { .each = types_each, .props = types_props });

/* -chardev knows all these for each kind, and lets those pass that are another
 * kind's. */
static bool elsewhere(const char *key)
{
    SET_EACH(char_drivers, CharDriver, d) {
        if ((*d)->props && prop_find((*d)->props, key) &&
            !(prop_find((*d)->props, key)->flags & PF_HIDDEN)) {
            return true;
        }
    }
    return false;
}

const CharDriver *chr_driver_find(const char *name)
{
    SET_EACH(char_drivers, CharDriver, d) {
        if (!strcmp((*d)->name, name) ||
            ((*d)->alias && !strcmp((*d)->alias, name))) {
            return *d;
        }
    }
    return NULL;
}

CharPort *chr_find(const char *label)
{
    return (CharPort *)obj_child(obj_dir("chardevs"), label);
}

void chr_each(void (*fn)(CharPort *p, void *arg), void *arg)
{
    for (Obj *o = obj_dir("chardevs")->first, *next; o; o = next) {
        next = o->next;
        fn((CharPort *)o, arg);
    }
}

static bool log_open(CharPort *p, Error **errp)
{
    if (!p->logfile) {
        if (p->logappend) {
            warn_report("chardev %s: logappend=on: no effect without logfile=",
                        p->label);
        }
        return true;
    }
    p->log_fd = host_open(p->logfile, O_WRONLY | O_CREAT | O_CLOEXEC |
                          (p->logappend ? O_APPEND : O_TRUNC), 0666, NULL);
    return p->log_fd >= 0 ||
           error_set_errno(errp, errno, "Could not create '%s'",
                           p->logfile);
}

static void chr_free(void *arg)
{
    CharPort *p = arg;

    while (p->watches) {
        struct CharWatch *w = p->watches;

        p->watches = w->next;
        g_free(w);
    }
    if (p->log_fd >= 0) {
        fdset_close(p->log_fd);
    }
    pthread_mutex_destroy(&p->write_lock);
    if (p->drv->props) {
        addr_props_release(&p->obj, p->drv->props);
        prop_release(&p->obj, p->drv->props);
    }
    prop_release(&p->obj, chr_base_props);
    g_free(p->label);
    g_free(p);
}

static bool rows_suggest(const Prop *rows, const char *key, Error **errp)
{
    OptWords w = { .n = 0 };

    for (; rows && rows->name; rows++) {
        opt_word_add(&w, rows->name);
    }
    for (const Prop *b = chr_base_props; b->name; b++) {
        opt_word_add(&w, b->name);
    }
    return opt_suggest(&w, key, errp);
}

static bool drivers_suggest(const char *type, Error **errp)
{
    OptWords w = { .n = 0 };

    SET_EACH(char_drivers, CharDriver, c) {
        if (!(*c)->internal) {
            opt_word_add(&w, (*c)->name);
        }
    }
    return opt_suggest(&w, type, errp);
}

static bool set_option(CharPort *p, const char *key, const Json *v, bool text,
                       Error **errp)
{
    machine_assert_locked();
    const Prop *row = p->drv->props ? prop_find(p->drv->props, key) : NULL;
    bool on;
    uint64_t num;

    if (!strcmp(key, "id") || !strcmp(key, "backend")) {
        return true;
    }
    if (!row) {
        row = prop_find(chr_base_props, key);
    }
    if (!row) {
        return (text && elsewhere(key)) ||
               error_set(errp, "Invalid parameter '%s'", key) ||
               rows_suggest(p->drv->props, key, errp);
    }
    /* The option's own wording, not a property's. */
    if (text && json_kind(v) == JSON_STR) {
        const char *s = json_str_of(v);

        if (row->kind == PK_BOOL && !opt_bool(key, s, &on, errp)) {
            return false;
        }
        if ((row->kind == PK_U16 || row->kind == PK_I64) &&
            !opt_u64(key, s, &num, errp)) {
            return false;
        }
    }
    return prop_set(&p->obj, row, v, text, p->drv->type, errp);
}

CharPort *chr_open_driver(const CharDriver *d, const char *label,
                          const Json *opts, bool text, Error **errp)
{
    machine_assert_locked();
    CharPort *p = g_malloc0(d->size);

    p->obj.kind = &chr_kind;
    p->drv = d;
    p->label = g_strdup(label);
    p->log_fd = -1;
    p->loop = loop_main;
    pthread_mutex_init(&p->write_lock, NULL);
    if (d->props) {
        prop_defaults(&p->obj, d->props, 0);
    }
    prop_defaults(&p->obj, chr_base_props, 0);
    for (size_t i = 0; opts && i < json_count(opts); i++) {
        if (!set_option(p, json_key_at(opts, i), json_value_at(opts, i), text,
                        errp)) {
            chr_free(p);
            return NULL;
        }
    }
    if (!log_open(p, errp) || !d->open(p, errp)) {
        chr_free(p);
        return NULL;
    }
    return p;
}

CharPort *chr_add(const Json *opts, bool text, Error **errp)
{
    const char *id = json_get_str(opts, "id");
    const char *type = json_get_str(opts, "backend");
    const CharDriver *d;
    CharPort *p;

    if (!id) {
        error_set(errp, "chardev: no id specified");
        return NULL;
    }
    if (!type) {
        error_set(errp, "chardev: \"%s\" missing backend", id);
        return NULL;
    }
    if (text && !opt_id_ok(id)) {
        error_set(errp, "Parameter 'id' expects an identifier");
        error_hint(errp, "Identifiers consist of letters, digits, '-', '.', "
                   "'_', starting with a letter.");
        return NULL;
    }
    d = chr_driver_find(type);
    if (!d || d->internal) {
        error_set(errp, "'%s' is not a valid char driver name", type);
        drivers_suggest(type, errp);
        return NULL;
    }
    if (chr_find(id)) {
        error_set(errp, "Chardev with id '%s' already exists", id);
        return NULL;
    }
    if (text && d->alias && !strcmp(type, d->alias)) {
        warn_report("The alias '%s' is deprecated, use '%s' instead", type,
                    d->name);
    }
    p = chr_open_driver(d, id, opts, text, errp);
    if (!p) {
        return NULL;
    }
    if (chr_find(id)) {                /* made while this one waited          */
        error_set(errp, "Chardev with id '%s' already exists", id);
        chr_close(p);
        return NULL;
    }
    if (p->mux_wanted) {
        return chr_mux_over(p, id, errp);
    }
    obj_put(obj_dir("chardevs"), id, &p->obj);
    return p;
}

void chr_close(CharPort *p)
{
    machine_assert_locked();
    if (p->front && !p->drv->attach) {
        chr_unlink(p->front);
        p->front = NULL;
    }
    obj_remove(&p->obj);
    if (p->drv->close) {
        p->drv->close(p);
    }
    /* Its own callback may be what closes it. */
    loop_post_fn(loop_main, chr_free, p);
}

bool chr_remove(const char *label, Error **errp)
{
    CharPort *p = chr_find(label);

    if (!p) {
        return error_set(errp, "Chardev '%s' not found", label);
    }
    if (chr_busy(p)) {
        return error_set(errp, "Chardev '%s' is busy", label);
    }
    chr_close(p);
    return true;
}

/* A backend is exchanged behind a front end that can bear it. */
static bool swap_behind(CharPort *old, CharPort *p, Error **errp)
{
    machine_assert_locked();
    CharFront *f = old->front;
    Loop *l = old->loop;
    bool was_open = f->open;
    char *label = g_strdup(old->label);

    if (f->open_told) {
        chr_front_event(f, CHR_CLOSED);
    }
    chr_detach(f);
    chr_attach(f, p, NULL);            /* new: nobody else has it             */
    if (!f->changed(f->arg)) {
        chr_detach(f);
        chr_attach(f, old, NULL);
        chr_listen(f, l);
        chr_close(p);
        error_set(errp, "Chardev '%s' change failed", label);
        g_free(label);
        return false;
    }
    chr_close(old);
    obj_put(obj_dir("chardevs"), label, &p->obj);
    chr_listen(f, l);
    chr_set_open(f, was_open);
    g_free(label);
    return true;
}

bool chr_change(const char *label, const Json *opts, bool text, Error **errp)
{
    CharPort *old = chr_find(label), *p;
    const char *type = json_get_str(opts, "backend");
    const CharDriver *d = type ? chr_driver_find(type) : NULL;

    if (!old) {
        return error_set(errp, "Chardev '%s' does not exist", label);
    }
    if (!d || d->internal) {
        return error_set(errp, "'%s' is not a valid char driver name",
                         type ? type : "");
    }
    if (old->drv->attach || d->attach || json_get(opts, "mux")) {
        return error_set(errp, "Mux device hotswap not supported yet");
    }
    if (!chr_busy(old)) {
        chr_close(old);
        p = chr_add(opts, text, errp);
        if (!p) {
            error_prepend(errp, "Failed to add chardev '%s': ", label);
        }
        return p != NULL;
    }
    if (!old->front || !old->front->changed ||
        (old->loop != loop_main && !d->set_loop)) {
        return error_set(errp, "Chardev user does not support chardev "
                         "hotswap");
    }
    p = chr_open_driver(d, label, opts, text, errp);
    return p && swap_behind(old, p, errp);
}

static void close_one(CharPort *p, void *arg)
{
    chr_close(p);
}

void chr_close_all(void)
{
    /* Mux ports first: they hold front ends on the others. */
    chr_mux_close_all();
    chr_each(close_one, NULL);
}

static int by_driver_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void chr_help(void)
{
    const char *names[64];
    size_t n = 0;

    SET_EACH(char_drivers, CharDriver, d) {
        if ((*d)->internal) {
            continue;
        }
        names[n++] = (*d)->name;
    }
    qsort(names, n, sizeof(names[0]), by_driver_name);
    printf("Available chardev backend types: \n");
    for (size_t i = 0; i < n; i++) {
        printf("  %s\n", names[i]);
    }
}

/* ---- short forms: -serial X ---------------------------------------------- */

Json *chr_short_opts(const char *label, const char *text, Error **errp)
{
    Json *opts = json_obj();
    g_autofree char *word = NULL;

    SET_EACH(char_drivers, CharDriver, d) {
        Error *err = NULL;

        if (!(*d)->short_form) {
            continue;
        }
        if ((*d)->short_form(text, opts, &err)) {
            json_set_str(opts, "id", label);
            if (!json_get(opts, "backend")) {
                json_set_str(opts, "backend", (*d)->name);
            }
            return opts;
        }
        if (err) {
            error_move(errp, err);
            json_free(opts);
            return NULL;
        }
    }
    json_free(opts);
    error_set(errp, "'%s' is not a valid char driver", text);
    word = g_strndup(text, strcspn(text, ":,"));
    drivers_suggest(word, errp);
    return NULL;
}

CharPort *chr_new_short(const char *label, const char *text, bool with_mux,
                        Error **errp)
{
    Json *opts;
    CharPort *p = NULL;

    if (!strncmp(text, "chardev:", 8)) {
        p = chr_find(text + 8);
        if (!p) {
            error_set(errp, "chardev \"%s\" not found", text + 8);
        }
        return p;
    }
    if (with_mux && !strncmp(text, "mon:", 4)) {
        return chr_mon_mux(label, text + 4, errp);
    }
    opts = chr_short_opts(label, text, errp);
    if (opts) {
        p = chr_add(opts, true, errp);
        json_free(opts);
    }
    return p;
}

/* ---- front end side ------------------------------------------------------ */

bool chr_attach(CharFront *f, CharPort *p, Error **errp)
{
    if (p->drv->attach) {
        if (!p->drv->attach(p, f, errp)) {
            return false;
        }
    } else if (p->front) {
        return error_set(errp, "Device '%s' is in use", p->label);
    } else {
        p->front = f;
    }
    f->port = p;
    f->attached = true;
    return true;
}

void chr_unlink(CharFront *f)
{
    f->port = NULL;
    f->attached = f->listens = f->open_told = false;
}

void chr_detach(CharFront *f)
{
    CharPort *p = f->port;

    if (!p) {
        return;
    }
    if (!f->attached) {
        p->claims--;
        f->port = NULL;
        return;
    }
    chr_set_open(f, false);
    for (struct CharWatch **w = &p->watches; *w;) {
        struct CharWatch *one = *w;

        /* A front end's watches carry its own argument. */
        if (one->arg == f->arg) {
            *w = one->next;
            g_free(one);
        } else {
            w = &one->next;
        }
    }
    if (p->drv->detach) {
        p->drv->detach(p, f);
    } else if (p->front == f) {
        p->front = NULL;
    }
    chr_unlink(f);
}

void chr_listen(CharFront *f, Loop *l)
{
    CharPort *p = f->port;
    bool moves;

    if (!p) {
        return;
    }
    if (!f->attached) {
        p->claims--;
        if (!chr_attach(f, p, NULL)) { /* cannot be: the claim kept its place */
            f->port = NULL;
            return;
        }
    }
    moves = l && l != p->loop && p->drv->set_loop;
    if (moves && l == loop_main) {     /* back: before anything is touched    */
        p->drv->set_loop(p, l);
    }
    if (!f->listens) {
        f->listens = true;
        if (!f->manual_open) {
            chr_set_open(f, true);
        }
    }
    if (p->drv->attach) {
        chr_mux_listen(p, f);
    } else if (p->open) {
        chr_front_event(f, CHR_OPENED);
    }
    if (moves && l != loop_main) {     /* away: the other thread goes on      */
        p->drv->set_loop(p, l);
    } else if (p->drv->accept_input) {
        p->drv->accept_input(p);
    }
}

void chr_set_open(CharFront *f, bool open)
{
    if (f->port && f->open != open) {
        f->open = open;
        if (f->port->drv->set_open) {
            f->port->drv->set_open(f->port, open);
        }
    }
}

static void chr_log(CharPort *p, const uint8_t *buf, size_t n)
{
    while (p->log_fd >= 0 && n) {
        ssize_t w = write(p->log_fd, buf, n);

        if (w < 0 && errno == EINTR) {
            continue;
        }
        if (w <= 0) {
            return;                    /* the log never stops the port        */
        }
        buf += w;
        n -= w;
    }
}

ssize_t chr_port_write(CharPort *p, const void *buf, size_t n)
{
    ssize_t w;

    pthread_mutex_lock(&p->write_lock);
    w = p->drv->write ? p->drv->write(p, buf, n) : (ssize_t)n;
    if (w > 0) {
        chr_log(p, buf, w);
    }
    pthread_mutex_unlock(&p->write_lock);
    return w;
}

ssize_t chr_write(CharFront *f, const void *buf, size_t n)
{
    return f->port ? chr_port_write(f->port, buf, n) : (ssize_t)n;
}

ssize_t chr_write_all(CharFront *f, const void *buf, size_t n)
{
    const char *at = buf;
    size_t left = n;
    int idle = 0;

    while (f->port && left) {
        ssize_t w = chr_port_write(f->port, at, left);

        if (w == -EAGAIN) {
            /* A reader that takes nothing for ten seconds is gone. */
            if (!f->port->open || ++idle > 100000) {
                return n - left;
            }
            g_usleep(100);
            continue;
        }
        if (w < 0) {
            return w;
        }
        idle = 0;
        at += w;
        left -= w;
    }
    return n;
}

void chr_on_writable(CharFront *f, void (*fn)(void *arg), void *arg)
{
    struct CharWatch *w;

    if (!f->port) {
        return;
    }
    w = g_new(struct CharWatch, 1);
    *w = (struct CharWatch){ fn, arg, f->port->watches };
    f->port->watches = w;
    if (f->port->drv->want_write) {
        f->port->drv->want_write(f->port);
    }
}

void chr_accept_input(CharFront *f)
{
    if (f->port && f->port->drv->accept_input) {
        f->port->drv->accept_input(f->port);
    }
}

void chr_set_echo(CharFront *f, bool on)
{
    if (f->port && f->port->drv->set_echo) {
        f->port->drv->set_echo(f->port, on);
    }
}

int chr_ioctl(CharFront *f, ChrIoctl cmd, void *arg)
{
    return f->port && f->port->drv->ioctl ? f->port->drv->ioctl(f->port, cmd,
                                                                arg)
                                          : -ENOTSUP;
}

int chr_take_fd(CharFront *f)
{
    int fd = -1;

    if (f->port && f->port->drv->take_fds) {
        f->port->drv->take_fds(f->port, &fd, 1);
    }
    return fd;
}

void chr_take_focus(CharFront *f)
{
    if (f->port) {
        chr_mux_focus(f->port, f);
    }
}

bool chr_is_open(const CharFront *f)
{
    return f->port && f->port->open;
}

void chr_front_event(CharFront *f, ChrEvent e)
{
    if (!f->event) {
        return;
    }
    if (e == CHR_OPENED || e == CHR_CLOSED) {
        if (f->open_told == (e == CHR_OPENED)) {
            return;
        }
        f->open_told = e == CHR_OPENED;
    }
    f->event(f->arg, e);
}

/* ---- backend side -------------------------------------------------------- */

int chr_can_receive(CharPort *p)
{
    CharFront *f = p->front;

    return f && f->can_receive ? f->can_receive(f->arg) : 0;
}

void chr_receive(CharPort *p, const uint8_t *buf, int n)
{
    CharFront *f = p->front;

    if (f && f->receive) {
        f->receive(f->arg, buf, n);
    }
}

void chr_event(CharPort *p, ChrEvent e)
{
    CharFront *f = p->front;

    if (e == CHR_OPENED) {
        p->open = true;
    } else if (e == CHR_CLOSED) {
        p->open = false;
    }
    if (f && f->listens) {
        chr_front_event(f, e);
    }
}

void chr_writable(CharPort *p)
{
    struct CharWatch *list = p->watches;

    p->watches = NULL;
    while (list) {
        struct CharWatch *w = list;

        list = w->next;
        w->fn(w->arg);
        g_free(w);
    }
}

/* ---- chardev= properties ------------------------------------------------- */

static void *ref_claim(Obj *owner, const char *prop, const char *id,
                       Error **errp)
{
    machine_assert_locked();
    CharPort *p = chr_find(id);

    if (!p) {
        error_set(errp, "Property '%s.%s' can't find value '%s'",
                  obj_type(owner), prop, id);
        return NULL;
    }
    if (p->drv->attach ? !chr_mux_room(p) : chr_busy(p)) {
        error_set(errp, "Property '%s.%s' can't take value '%s', it's in use",
                  obj_type(owner), prop, id);
        return NULL;
    }
    p->claims++;
    return p;
}

/* Only of claims: a front end that is detached has no port any more. */
static void ref_release(Obj *owner, void *target)
{
    ((CharPort *)target)->claims--;
}

static const char *ref_id(const void *target)
{
    return ((const CharPort *)target)->label;
}

const PropRef prop_ref_chr = {
    .type = "str", .claim = ref_claim, .release = ref_release, .id = ref_id,
};

bool chr_busy(const CharPort *p)
{
    return p->claims || (p->drv->busy ? p->drv->busy(p) : p->front != NULL);
}
