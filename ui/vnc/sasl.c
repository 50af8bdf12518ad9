/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sasl.c - authentication of VNC clients by SASL (RFB protocol, security type
 * 20): mechanisms, steps, and encryption of its own where no TLS is around it.
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. Without TLS nobody is let in by a mechanism that does not encrypt.
 */
#include <string.h>
#include "authz.h"
#include "module.h"
#include "ui/vnc/sasl-ops.h"
#include "ui/vnc/vnc.h"

#define NAME_MOST 100
#define DATA_MOST (1 << 20)

struct VncSasl {
    const SaslOps *ops;
    SaslLink *link;
    char *mechanism;
    bool layer;                        /* what follows is encrypted by it     */
};

static const SaslOps *ops(void)
{
    return module_symbol("ui-sasl", "sasl_ops_table", NULL);
}

bool vnc_sasl_ready(void)
{
    return ops() != NULL;
}

static ssize_t data(VncClient *c, const uint8_t *p, size_t n);
static ssize_t data_length(VncClient *c, const uint8_t *p, size_t n);

static void let_in(VncClient *c) MACHINE_CALL;
static void let_in(VncClient *c)
{
    struct VncSasl *s = c->sasl;
    int bits = s->ops->bits(s->link);
    Error *err = NULL;
    int ok;

    c->sasl_user = g_strdup(s->ops->user(s->link));
    if (!c->tls && bits < 56) {
        vnc_auth_result(c, "Authentication failed");
        return;
    }
    ok = !c->srv->sasl_authz ? 1 : !c->sasl_user ? 0
        : authz_check(c->srv->sasl_authz, c->sasl_user, &err);
    error_free(err);
    vnc_auth_result(c, ok == 1 ? NULL : "Authentication failed");
    if (ok == 1) {
        s->layer = bits > 0;            /* after the result, which is plain   */
    }
}

static void step(VncClient *c, const void *in, unsigned n) MACHINE_CALL;
static void step(VncClient *c, const void *in, unsigned n)
{
    struct VncSasl *s = c->sasl;
    const char *out;
    unsigned n_out;
    SaslStep r = s->ops->step(s->link, s->mechanism, in, n, &out, &n_out);

    g_free(s->mechanism);
    s->mechanism = NULL;
    if (r == SASL_STEP_FAILED || n_out > DATA_MOST) {
        vnc_auth_result(c, "Authentication failed");
        return;
    }
    /* data go with a NUL that is counted */
    vnc_send_u32(c, out ? n_out + 1 : 0);
    if (out) {
        vnc_send(c, out, n_out);
        vnc_send_u8(c, 0);
    }
    vnc_send_u8(c, r == SASL_STEP_DONE);
    if (r == SASL_STEP_DONE) {
        let_in(c);
    } else {
        vnc_expect(c, 4, data_length);
    }
}

static ssize_t data(VncClient *c, const uint8_t *p, size_t n)
{
    size_t len = c->need;

    machine_assert_locked();
    if (p[len - 1]) {
        return -1;
    }
    step(c, p, (unsigned)len - 1);
    return (ssize_t)len;
}

static ssize_t data_length(VncClient *c, const uint8_t *p, size_t n)
{
    uint32_t len = ld_be32(p);

    machine_assert_locked();
    if (len > DATA_MOST) {
        return -1;
    }
    if (!len) {
        step(c, NULL, 0);
    } else {
        vnc_expect(c, len, data);
    }
    return 4;
}

static ssize_t mechanism(VncClient *c, const uint8_t *p, size_t n)
{
    struct VncSasl *s = c->sasl;
    size_t len = c->need;
    char **names = g_strsplit(s->ops->mechanisms(s->link), ",", 0);

    s->mechanism = g_strndup((const char *)p, len);
    if (!g_strv_contains((const char *const *)names, s->mechanism)) {
        g_strfreev(names);
        return -1;
    }
    g_strfreev(names);
    vnc_expect(c, 4, data_length);
    return (ssize_t)len;
}

static ssize_t mechanism_length(VncClient *c, const uint8_t *p, size_t n)
{
    uint32_t len = ld_be32(p);

    if (!len || len > NAME_MOST) {
        return -1;
    }
    vnc_expect(c, len, mechanism);
    return 4;
}

static char *end_text(const SockAddr *a)
{
    return a->kind == ADDR_INET && a->host && a->port
        ? g_strdup_printf("%s;%s", a->host, a->port) : NULL;
}

bool vnc_sasl_begin(VncClient *c)
{
    struct VncSasl *s = g_new0(struct VncSasl, 1);
    char *local = end_text(&c->local), *remote = end_text(&c->remote);
    int bits = c->tls ? MAX2(tls_cipher_bits(c->tls), 1) : 0;
    const char *list;
    Error *err = NULL;

    s->ops = ops();
    s->link = s->ops ? s->ops->open(local, remote, bits, &err) : NULL;
    g_free(local);
    g_free(remote);
    if (!s->link) {
        warn_report_err(err);
        g_free(s);
        return false;
    }
    c->sasl = s;
    list = s->ops->mechanisms(s->link);
    vnc_send_u32(c, (uint32_t)strlen(list));
    vnc_send(c, list, strlen(list));
    vnc_expect(c, 4, mechanism_length);
    return true;
}

void vnc_sasl_end(VncClient *c)
{
    if (c->sasl) {
        c->sasl->ops->close(c->sasl->link);
        g_free(c->sasl->mechanism);
        g_free(c->sasl);
        c->sasl = NULL;
    }
}

bool vnc_sasl_encode(VncClient *c, const void *in, size_t n, GByteArray *out)
{
    const char *p;
    unsigned len;

    /* in parts that the other side's buffer holds */
    for (size_t at = 0; at < n; at += 4096) {
        if (!c->sasl->ops->encode(c->sasl->link, (const uint8_t *)in + at,
                                  (unsigned)MIN2(n - at, 4096), &p, &len)) {
            return false;
        }
        g_byte_array_append(out, (const uint8_t *)p, len);
    }
    return true;
}

bool vnc_sasl_decode(VncClient *c, const void *in, size_t n, GByteArray *out)
{
    const char *p;
    unsigned len;

    if (!c->sasl->ops->decode(c->sasl->link, in, (unsigned)n, &p, &len)) {
        return false;
    }
    g_byte_array_append(out, (const uint8_t *)p, len);
    return true;
}

bool vnc_sasl_layer(const VncClient *c)
{
    return c->sasl && c->sasl->layer;
}
