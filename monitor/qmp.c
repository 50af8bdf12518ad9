/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qmp.c - a QMP session (QEMU Machine Protocol specification 1.1): greeting,
 * capabilities negotiation, requests in order, out-of-band requests at once.
 *
 * Thread class: the callbacks run in the monitor's loop: the main loop, or after
 * "oob" was negotiated the monitors' thread. Invariants:
 *  1. Of one monitor at most one in-band command runs at a time; further requests
 *     wait in its queue, and when it is full no input is read.
 *  2. A reply goes to the connection that asked, or nowhere.
 *  3. No input ends the session.
 */
#include "mon-impl.h"
#include "schema/schema.h"

static void take_request(Monitor *m, QmpRequest *r) MACHINE_CALL;

/* One line; as much is appended in one piece as threads must not mix. */
static void send_text(Monitor *m, JsonOut *o)
{
    pthread_mutex_lock(&mon_lock);
    mon_append_locked(m, o->buf, o->n);
    mon_append_locked(m, "\r\n", 2);
    pthread_mutex_unlock(&mon_lock);
    o->n = 0;
    if (o->cap > 256 * KiB) {
        g_free(o->buf);
        *o = (JsonOut){ .pretty = m->pretty };
    }
}

static void send_error(Monitor *m, JsonOut *o, Error *err)
{
    qmp_reply_error(o, NULL, err);
    send_text(m, o);
    error_free(err);
}

static void run_queue(Monitor *m) MACHINE_CALL;
static void run_queue(Monitor *m)
{
    while (!m->busy) {
        QmpRequest *r;

        pthread_mutex_lock(&mon_lock);
        r = g_queue_pop_head(&m->queue);
        pthread_mutex_unlock(&mon_lock);
        if (!r) {
            return;
        }
        take_request(m, r);
    }
}

static void run_work(void *arg)
{
    Monitor *m = arg;

    machine_assert_locked();
    run_queue(m);
    if (m->threaded) {
        mon_kick(m);
    } else {
        mon_flush(m);
        chr_accept_input(&m->front);
    }
}

/* A command is through, at once or after its coroutine has waited. */
static void request_done(Monitor *m, unsigned session, JsonOut *reply)
{
    if (session == __atomic_load_n(&m->session, __ATOMIC_RELAXED)) {
        send_text(m, reply);
    }
    m->busy = false;
    if (!m->in_receive) {
        loop_post(loop_main, &m->run_work);
    }
}

static void take_request(Monitor *m, QmpRequest *r)
{
    if (!r->v) {
        send_error(m, &m->reply, r->err);
    } else {
        m->busy = true;
        qmp_dispatch(m, r->v, false, request_done);
    }
    g_free(r);
}

static void request_free(void *arg)
{
    QmpRequest *r = arg;

    json_free(r->v);
    error_free(r->err);
    g_free(r);
}

/* Out of band, in the monitors' thread or, of a port that cannot be moved there,
 * in the main loop. */
static void oob_done(Monitor *m, unsigned session, JsonOut *reply)
{
    if (session == __atomic_load_n(&m->session, __ATOMIC_RELAXED)) {
        send_text(m, reply);
    }
}

static void qmp_value(void *arg, Json *v, Error *err)
{
    Monitor *m = arg;
    QmpRequest *r;
    bool oob;

    if (m->stale) {                    /* from a client that is gone          */
        json_free(v);
        error_free(err);
        return;
    }
    pthread_mutex_lock(&mon_lock);
    oob = m->oob;
    pthread_mutex_unlock(&mon_lock);
    if (oob && v && json_kind(v) == JSON_OBJ &&
        json_get(v, "exec-oob")) {
        qmp_dispatch(m, v, true, oob_done);
        return;
    }
    r = g_new(QmpRequest, 1);
    *r = (QmpRequest){ v, err };
    if (!m->threaded && !m->busy && !m->queue.length) {
        machine_assert_locked();
        take_request(m, r);
        return;
    }
    pthread_mutex_lock(&mon_lock);
    g_queue_push_tail(&m->queue, r);
    pthread_mutex_unlock(&mon_lock);
    loop_post(loop_main, &m->run_work);
}

/* A command that waits for events in the main loop must not come back here: the
 * parser is in the middle of its input. */
static int qmp_can_receive(void *arg)
{
    Monitor *m = arg;
    bool full;

    pthread_mutex_lock(&mon_lock);
    full = m->in_receive || m->queue.length >= MON_QUEUE_MAX ||
           m->pend.n > MON_OUT_SOFT;
    m->refused |= full;
    pthread_mutex_unlock(&mon_lock);
    return full ? 0 : 16 * KiB;
}

static void qmp_receive(void *arg, const uint8_t *buf, int n)
{
    Monitor *m = arg;

    m->in_receive = true;
    m->refused = false;
    json_parser_feed(m->parser, (const char *)buf, n);
    m->in_receive = false;
    if (m->stale) {
        m->stale = false;
        json_parser_reset(m->parser);
    }
    mon_flush(m);
    if (m->refused) {
        chr_accept_input(&m->front);
    }
}

static void greet(Monitor *m)
{
    VersionInfo v = { 0 };
    JsonOut o = { .pretty = m->pretty, .first = true };

    machine_assert_locked();
    cmd_query_version(NULL, &v, NULL);
    json_out_begin(&o, '{');
    json_out_key(&o, "QMP");
    json_out_begin(&o, '{');
    json_out_key(&o, "version");
    schema_emit(&qt_VersionInfo, &v, &o);
    json_out_key(&o, "capabilities");
    json_out_begin(&o, '[');
    if (m->offers_oob) {
        json_out_sep(&o);
        json_out_str(&o, "oob");
    }
    json_out_end(&o, ']');
    json_out_end(&o, '}');
    json_out_end(&o, '}');
    schema_free(&qt_VersionInfo, &v);
    send_text(m, &o);
    g_free(o.buf);
}

static void end_session(Monitor *m)
{
    GQueue old;

    pthread_mutex_lock(&mon_lock);
    __atomic_add_fetch(&m->session, 1, __ATOMIC_RELAXED);
    m->negotiated = m->oob = false;
    m->pend.n = 0;
    old = m->queue;
    g_queue_init(&m->queue);
    pthread_mutex_unlock(&mon_lock);
    m->sent = m->send.n;
    g_queue_clear_full(&old, request_free);
    mon_close_fds(m);
    if (m->in_receive) {               /* the parser is in the middle of it   */
        m->stale = true;
    } else {
        json_parser_reset(m->parser);
    }
}

static void greet_work(void *arg)
{
    Monitor *m = arg;

    greet(m);
    mon_kick(m);
}

static void qmp_event(void *arg, ChrEvent e)
{
    Monitor *m = arg;

    switch (e) {
    case CHR_OPENED:
        end_session(m);
        if (m->threaded) {
            loop_post_fn(loop_main, greet_work, m);
        } else {
            greet(m);
            mon_flush(m);
        }
        break;
    case CHR_CLOSED:
        end_session(m);
        break;
    default:
        break;
    }
}

static bool qmp_changed(void *arg)
{
    Monitor *m = arg;

    m->offers_oob = m->front.port && !m->front.port->drv->no_oob;
    m->watching = false;
    end_session(m);
    return true;
}

static void move_work(void *arg)
{
    Monitor *m = arg;
    Loop *l = mon_thread_loop();

    machine_assert_locked();
    /* Others stay: what is out of band goes ahead of the queue there. */
    if (l && !m->threaded && m->front.port && m->front.port->drv->set_loop) {
        m->threaded = true;
        m->loop = l;
        chr_listen(&m->front, l);
    }
}

bool cmd_qmp_capabilities(const void *arg, void *ret, Error **errp)
{
    const QmpCapabilitiesArg *a = arg;
    Monitor *m = mon_current;
    bool oob = false;

    if (!m || !m->qmp) {
        return error_set(errp, "qmp_capabilities is for QMP sessions only");
    }
    for (size_t i = 0; i < a->enable.n; i++) {
        oob = a->enable.v[i] == QMP_CAPABILITY_OOB;
        if (oob && !m->offers_oob) {
            return error_set(errp, "Capability '%s' is not available",
                             qt_QMPCapability.values[a->enable.v[i]]);
        }
    }
    pthread_mutex_lock(&mon_lock);
    m->negotiated = true;
    m->oob = oob;
    pthread_mutex_unlock(&mon_lock);
    if (oob) {                         /* not while this front is receiving   */
        loop_post(loop_main, &m->move_work);
    }
    return true;
}

void qmp_init(Monitor *m)
{
    m->parser = json_parser_new(qmp_value, m);
    m->reply.pretty = m->pretty;
    m->run_work = (Work){ .fn = run_work, .arg = m };
    m->move_work = (Work){ .fn = move_work, .arg = m };
    m->front.can_receive = qmp_can_receive;
    m->front.receive = qmp_receive;
    m->front.event = qmp_event;
    m->front.changed = qmp_changed;
}

void qmp_fini(Monitor *m)
{
    work_cancel(loop_main, &m->run_work);
    work_cancel(loop_main, &m->move_work);
    g_queue_clear_full(&m->queue, request_free);
    json_parser_free(m->parser);
    g_free(m->reply.buf);
}
