/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * events.c - events to QMP clients (QEMU Machine Protocol specification 1.1,
 * section 2.5): time stamps, and limits on how often one may come.
 *
 * ANY_THREAD. Invariants:
 *  1. Of a limited event the first goes out at once; within the period after one
 *     that went out only the last is kept, and goes out when the period ends.
 *     Time stamps are those of the happening.
 *  2. Streams of one event that its key tells apart are limited apart.
 *  3. A client that does not read gets no more than MON_OUT_HARD.
 */
#include <time.h>
#include "mon-impl.h"
#include "schema/schema.h"

typedef struct Stream {                /* one limited event, one key          */
    struct Stream *next;
    const Event *ev;
    char *key;
    int64_t until;                     /* end of the running period           */
    char *held, *held_pretty;          /* NULL: nothing waits                 */
} Stream;

static pthread_mutex_t stream_lock = PTHREAD_MUTEX_INITIALIZER;
static Stream *streams;
static Timer timer;

static char *event_text(const Event *ev, const void *data, bool pretty)
{
    JsonOut o = { .pretty = pretty, .first = true };
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    json_out_begin(&o, '{');
    json_out_key(&o, "timestamp");
    json_out_begin(&o, '{');
    json_out_key(&o, "seconds");
    json_out_int(&o, now.tv_sec);
    json_out_key(&o, "microseconds");
    json_out_int(&o, now.tv_nsec / 1000);
    json_out_end(&o, '}');
    json_out_key(&o, "event");
    json_out_str(&o, ev->name);
    if (ev->arg && data) {
        json_out_key(&o, "data");
        schema_emit(ev->arg, data, &o);
    }
    json_out_end(&o, '}');
    o.buf = g_realloc(o.buf, o.n + 3);
    strcpy(o.buf + o.n, "\r\n");
    return o.buf;
}

static bool want_pretty(void)
{
    bool pretty = false;

    pthread_mutex_lock(&mon_lock);
    for (Monitor *m = mon_first; m; m = m->next) {
        pretty |= m->qmp && m->pretty;
    }
    pthread_mutex_unlock(&mon_lock);
    return pretty;
}

static void broadcast(const char *text, const char *pretty)
{
    pthread_mutex_lock(&mon_lock);
    for (Monitor *m = mon_first; m; m = m->next) {
        const char *s = m->pretty && pretty ? pretty : text;

        if (m->qmp && m->negotiated && m->pend.n < MON_OUT_HARD) {
            mon_append_locked(m, s, strlen(s));
            mon_kick(m);
        }
    }
    pthread_mutex_unlock(&mon_lock);
}

static void arm(void)                  /* with stream_lock                    */
{
    int64_t at = INT64_MAX;

    for (Stream *s = streams; s; s = s->next) {
        at = MIN2(at, s->until);
    }
    if (streams) {
        timer_set_any(&timer, at);
    }
}

static void stream_free(Stream *s)
{
    g_free(s->key);
    g_free(s->held);
    g_free(s->held_pretty);
    g_free(s);
}

/* Periods that ended: what waited goes out and starts the next period. */
static void periods_end(void *arg)
{
    int64_t now = clock_ns(CLOCK_RT);
    GPtrArray *out = g_ptr_array_new_with_free_func(g_free);

    pthread_mutex_lock(&stream_lock);
    for (Stream **p = &streams, *s; (s = *p);) {
        if (s->until > now) {
            p = &s->next;
        } else if (s->held) {
            g_ptr_array_add(out, s->held);
            g_ptr_array_add(out, s->held_pretty);
            s->held = s->held_pretty = NULL;
            s->until = now + s->ev->rate_ns;
            p = &s->next;
        } else {
            *p = s->next;
            stream_free(s);
        }
    }
    arm();
    pthread_mutex_unlock(&stream_lock);
    for (unsigned i = 0; i < out->len; i += 2) {
        broadcast(out->pdata[i], out->pdata[i + 1]);
    }
    g_ptr_array_free(out, true);
}

static const char *key_of(const Event *ev, const void *data)
{
    for (const QMember *m = ev->rate_key && data ? ev->arg->members : NULL;
         m && m->name; m++) {
        if (!strcmp(m->name, ev->rate_key)) {
            const char *s = *(char *const *)((const char *)data + m->offset);

            return s ? s : "";
        }
    }
    return "";
}

/* True: the event goes out now. Else it was kept, and text is gone. */
static bool stream_pass(const Event *ev, const char *key, char *text,
                        char *pretty)
{
    int64_t now = clock_ns(CLOCK_RT);
    Stream *s;

    pthread_mutex_lock(&stream_lock);
    for (s = streams; s; s = s->next) {
        if (s->ev == ev && !strcmp(s->key, key)) {
            g_free(s->held);
            g_free(s->held_pretty);
            s->held = text;
            s->held_pretty = pretty;
            pthread_mutex_unlock(&stream_lock);
            return false;
        }
    }
    s = g_new0(Stream, 1);
    s->ev = ev;
    s->key = g_strdup(key);
    s->until = now + ev->rate_ns;
    s->next = streams;
    streams = s;
    arm();
    pthread_mutex_unlock(&stream_lock);
    return true;
}

static void event_out(const Event *ev, const void *data)
{
    char *text, *pretty;

    if (!mon_first) {
        return;
    }
    text = event_text(ev, data, false);
    pretty = want_pretty() ? event_text(ev, data, true) : NULL;
    if (!ev->rate_ns || stream_pass(ev, key_of(ev, data), text, pretty)) {
        broadcast(text, pretty);
        g_free(text);
        g_free(pretty);
    }
}

void events_start(void)
{
    if (!monitor_event_sink) {
        timer_init(&timer, NULL, CLOCK_RT, periods_end, NULL);
        monitor_event_sink = event_out;
    }
}

void events_stop(void)
{
    if (monitor_event_sink) {
        monitor_event_sink = NULL;
        timer_clear(&timer);
        while (streams) {
            Stream *s = streams;

            streams = s->next;
            stream_free(s);
        }
    }
}
