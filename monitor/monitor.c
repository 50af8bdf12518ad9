/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * monitor.c - the monitors: list, output, and what handlers use of the monitor
 * that called them.
 *
 * Thread class: MACHINE_CALL, but for output (any thread). Invariants:
 *  1. Output is appended under mon_lock and written only by the loop that the
 *     monitor's front belongs to.
 *  2. A monitor is freed only by mon_fini; ports outlive that.
 *  3. Under mon_lock nothing is called but loop_post.
 */
#include <unistd.h>
#include "mon-impl.h"

pthread_mutex_t mon_lock = PTHREAD_MUTEX_INITIALIZER;
Monitor *mon_first;
__thread Monitor *mon_current;
static Loop *thread_loop;

/* ---- output -- */
void mon_append_locked(Monitor *m, const char *p, size_t n)
{
    MonBuf *b = &m->pend;

    if (!n) {
        return;
    }
    if (b->n + n > b->cap) {
        b->cap = MAX2(b->n + n, b->cap * 2);
        b->cap = MAX2(b->cap, (size_t)1024);
        b->p = g_realloc(b->p, b->cap);
    }
    memcpy(b->p + b->n, p, n);
    b->n += n;
}

void mon_append(Monitor *m, const char *p, size_t n)
{
    pthread_mutex_lock(&mon_lock);
    mon_append_locked(m, p, n);
    pthread_mutex_unlock(&mon_lock);
}

bool mon_output_full(Monitor *m)
{
    bool full;

    pthread_mutex_lock(&mon_lock);
    full = m->pend.n > MON_OUT_SOFT;
    pthread_mutex_unlock(&mon_lock);
    return full;
}

void mon_kick(Monitor *m)
{
    if (!m->capture) {
        loop_post(m->loop, &m->flush_work);
    }
}

static void mon_writable(void *arg)
{
    Monitor *m = arg;

    m->watching = false;
    mon_flush(m);
    chr_accept_input(&m->front);
}

void mon_flush(Monitor *m)
{
    while (!m->watching && !m->capture) {
        ssize_t r;

        if (m->sent == m->send.n) {
            MonBuf b = m->send;

            m->sent = b.n = 0;
            if (b.cap > 64 * KiB) {    /* a long reply went through           */
                g_free(b.p);
                b = (MonBuf){ 0 };
            }
            pthread_mutex_lock(&mon_lock);
            m->send = m->pend;
            m->pend = b;
            pthread_mutex_unlock(&mon_lock);
            if (!m->send.n) {
                return;
            }
        }
        r = chr_write(&m->front, m->send.p + m->sent, m->send.n - m->sent);
        if (r > 0) {
            m->sent += r;
        } else if (r == -EAGAIN || r == 0) {
            m->watching = true;
            chr_on_writable(&m->front, mon_writable, m);
        } else {
            m->sent = m->send.n;       /* nobody there to read it             */
        }
    }
}

static void flush_work(void *arg)
{
    mon_flush(arg);
}

/* ---- for handlers -- */
bool mon_is_hmp(void)
{
    return mon_current && !mon_current->qmp;
}

void mon_puts(const char *s)
{
    Monitor *m = mon_current;

    if (!m || m->qmp) {
        return;
    }
    while (*s) {
        size_t n = strcspn(s, "\n");

        mon_append(m, s, n);
        s += n;
        if (*s) {
            mon_append(m, "\r\n", 2);
            s++;
        }
    }
}

void mon_printf(const char *fmt, ...)
{
    va_list ap;
    char *s;

    va_start(ap, fmt);
    s = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    mon_puts(s);
    g_free(s);
}

void mon_close_fds(Monitor *m)
{
    MonFd *first, *f;

    pthread_mutex_lock(&mon_lock);
    first = m->fds;
    m->fds = NULL;
    pthread_mutex_unlock(&mon_lock);
    while ((f = first)) {
        first = f->next;
        close(f->fd);
        g_free(f->name);
        g_free(f);
    }
}

/* ---- life -- */
Loop *mon_thread_loop(void)
{
    if (!thread_loop) {
        thread_loop = loop_new("mon_iothread", NULL);
    }
    return thread_loop;
}

bool mon_add(CharPort *p, bool qmp, bool pretty, Error **errp)
{
    Monitor *m = g_new0(Monitor, 1), **last = &mon_first;

    events_start();
    m->qmp = qmp;
    m->pretty = pretty;
    m->loop = loop_main;
    m->flush_work.fn = flush_work;
    m->flush_work.arg = m;
    g_queue_init(&m->queue);
    m->front.arg = m;
    if (!chr_attach(&m->front, p, errp)) {
        g_free(m);
        return false;
    }
    m->offers_oob = qmp && p->drv && !p->drv->no_oob;
    if (qmp) {
        qmp_init(m);
    } else {
        hmp_init(m);
    }
    pthread_mutex_lock(&mon_lock);
    while (*last) {
        last = &(*last)->next;
    }
    *last = m;
    pthread_mutex_unlock(&mon_lock);
    chr_listen(&m->front, m->loop);
    return true;
}

/* What is still to be said is said, as far as the other end takes it now. */
static void last_words(Monitor *m)
{
    if (!chr_is_open(&m->front)) {
        return;
    }
    if (m->send.n > m->sent) {
        chr_write_all(&m->front, m->send.p + m->sent, m->send.n - m->sent);
    }
    if (m->pend.n) {
        chr_write_all(&m->front, m->pend.p, m->pend.n);
    }
}

void mon_fini(void)
{
    Monitor *m;

    for (m = mon_first; m; m = m->next) {
        if (m->threaded) {             /* no callback runs there after this   */
            chr_listen(&m->front, loop_main);
            m->loop = loop_main;
        }
    }
    if (thread_loop) {
        loop_free(thread_loop);
        thread_loop = NULL;
    }
    while ((m = mon_first)) {
        pthread_mutex_lock(&mon_lock);
        mon_first = m->next;
        pthread_mutex_unlock(&mon_lock);
        work_cancel(loop_main, &m->flush_work);
        last_words(m);
        chr_detach(&m->front);
        mon_close_fds(m);
        if (m->qmp) {
            qmp_fini(m);
        } else {
            hmp_fini(m);
        }
        g_free(m->pend.p);
        g_free(m->send.p);
        g_free(m);
    }
    events_stop();
}
