/* SPDX-License-Identifier: GPL-2.0-or-later */
/* chr-rig.h - a front end that writes down what it hears, and short ways to make
 * ports. */
#ifndef TESTS_CHR_RIG_H
#define TESTS_CHR_RIG_H

#include <glib.h>
#include <glib/gstdio.h>
#include "chr.h"
#include "opt.h"

typedef struct Ear {
    CharFront f;
    GString *got;
    GString *events;                   /* "OCBio": opened, closed, break,
                                          focus gained, lost                  */
    int room;                          /* -1: always                          */
    unsigned changes;
    bool refuse;
} Ear;

static inline int ear_room(void *arg)
{
    Ear *e = arg;

    return e->room < 0 ? 4096 : e->room;
}

static inline void ear_receive(void *arg, const uint8_t *buf, int n)
{
    Ear *e = arg;

    g_string_append_len(e->got, (const char *)buf, n);
    if (e->room > 0) {
        e->room -= n;
    }
}

static inline void ear_event(void *arg, ChrEvent ev)
{
    g_string_append_c(((Ear *)arg)->events, "OCBio"[ev]);
}

static inline bool ear_changed(void *arg)
{
    Ear *e = arg;

    e->changes++;
    return !e->refuse;
}

static inline void ear_open(Ear *e, CharPort *p)
{
    memset(e, 0, sizeof(*e));
    e->got = g_string_new(NULL);
    e->events = g_string_new(NULL);
    e->room = -1;
    e->f = (CharFront){ .can_receive = ear_room, .receive = ear_receive,
                        .event = ear_event, .changed = ear_changed, .arg = e };
    if (!chr_attach(&e->f, p, NULL)) {
        FAIL("cannot attach to %s", p->label);
        return;
    }
    chr_listen(&e->f, NULL);
}

static inline void ear_close(Ear *e)
{
    chr_detach(&e->f);
    g_string_free(e->got, true);
    g_string_free(e->events, true);
}

/* -chardev text. Failure: NULL, and the text of the error in chr_why. */
static char chr_why[512];
__attribute__((unused))
static CharPort *port_new(const char *fmt, ...)
{
    Opts o;
    Error *err = NULL;
    CharPort *p = NULL;
    va_list ap;
    char *text;

    if (!machine_locked()) {
        machine_lock();
    }
    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    chr_why[0] = 0;
    if (opts_parse(&o, text, "backend", OPT_FLAT, &err)) {
        p = chr_add(o.obj, true, &err);
        opts_free(&o);
    }
    if (err) {
        g_strlcpy(chr_why, error_text(err), sizeof(chr_why));
        error_free(err);
    }
    g_free(text);
    return p;
}

static inline void port_del(const char *id)
{
    Error *err = NULL;

    if (!chr_remove(id, &err)) {
        FAIL("%s", error_text(err));
        error_free(err);
    }
    while (loop_step(false)) {
    }
}

/* Runs the loop until cond, for at most ten seconds. */
#define LOOP_UNTIL(cond) do { \
    int64_t end_ = clock_ns(CLOCK_RT) + 10 * NS_PER_S; \
    while (!(cond) && clock_ns(CLOCK_RT) < end_) { \
        if (!loop_step(false)) { \
            machine_unlock(); \
            g_usleep(500); \
            machine_lock(); \
        } \
    } \
    CHECK(cond); \
} while (0)

static inline char *temp_dir(void)
{
    char *d = g_dir_make_tmp("chr-XXXXXX", NULL);

    if (!d) {
        abort();
    }
    return d;
}

#endif
