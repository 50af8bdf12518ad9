/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sasl-cyrus.c - SASL by cyrus-sasl: the module "ui-sasl". Its settings are in
 * the library's file for "qemu" (/etc/sasl2/qemu.conf).
 *
 * Thread class: MACHINE_CALL.
 */
#include <glib.h>
#include <string.h>
#include <sasl/sasl.h>
#include "ui/vnc/sasl-ops.h"

#define LEAST_BITS 56                  /* of encryption without TLS           */
#define BUFFER 8192

struct SaslLink {
    sasl_conn_t *conn;
    const char *mechanisms;
};

static bool library(Error **errp)
{
    static int rc = 1;

    if (rc == 1) {
        rc = sasl_server_init(NULL, "qemu");
    }
    return rc == SASL_OK ||
        error_set(errp, "failed to initialize SASL library: %s",
                  sasl_errstring(rc, NULL, NULL));
}

static SaslLink *sasl_open(const char *local, const char *remote, int tls_bits,
                           Error **errp)
{
    sasl_security_properties_t props = { .maxbufsize = BUFFER };
    sasl_ssf_t outer = (sasl_ssf_t)tls_bits;
    SaslLink *l;
    int rc;

    if (!library(errp)) {
        return NULL;
    }
    l = g_new0(SaslLink, 1);
    rc = sasl_server_new("vnc", NULL, NULL, local, remote, NULL,
                         SASL_SUCCESS_DATA, &l->conn);
    if (rc == SASL_OK && tls_bits) {
        rc = sasl_setprop(l->conn, SASL_SSF_EXTERNAL, &outer);
    }
    if (!tls_bits) {
        props.min_ssf = LEAST_BITS;
        props.max_ssf = 100000;
        props.security_flags = SASL_SEC_NOANONYMOUS | SASL_SEC_NOPLAINTEXT;
    }
    if (rc == SASL_OK) {
        rc = sasl_setprop(l->conn, SASL_SEC_PROPS, &props);
    }
    if (rc == SASL_OK) {
        rc = sasl_listmech(l->conn, NULL, "", ",", "", &l->mechanisms, NULL,
                           NULL);
    }
    if (rc != SASL_OK) {
        error_set(errp, "SASL: %s", sasl_errstring(rc, NULL, NULL));
        sasl_dispose(&l->conn);
        g_free(l);
        return NULL;
    }
    return l;
}

static void sasl_close(SaslLink *l)
{
    sasl_dispose(&l->conn);
    g_free(l);
}

static const char *sasl_mechanisms(SaslLink *l)
{
    return l->mechanisms;
}

static SaslStep sasl_go(SaslLink *l, const char *mechanism, const void *in,
                        unsigned n, const char **out, unsigned *n_out)
{
    int rc;

    *out = NULL;
    *n_out = 0;
    rc = mechanism
        ? sasl_server_start(l->conn, mechanism, in, n, out, n_out)
        : sasl_server_step(l->conn, in, n, out, n_out);
    return rc == SASL_OK ? SASL_STEP_DONE
        : rc == SASL_CONTINUE ? SASL_STEP_MORE : SASL_STEP_FAILED;
}

static const char *sasl_user(SaslLink *l)
{
    const void *name = NULL;

    return sasl_getprop(l->conn, SASL_USERNAME, &name) == SASL_OK ? name : NULL;
}

static int sasl_bits(SaslLink *l)
{
    const void *ssf = NULL;

    return sasl_getprop(l->conn, SASL_SSF, &ssf) == SASL_OK && ssf
        ? (int)*(const sasl_ssf_t *)ssf : 0;
}

static bool sasl_out(SaslLink *l, const void *in, unsigned n, const char **out,
                     unsigned *n_out)
{
    return sasl_encode(l->conn, in, n, out, n_out) == SASL_OK;
}

static bool sasl_in(SaslLink *l, const void *in, unsigned n, const char **out,
                    unsigned *n_out)
{
    return sasl_decode(l->conn, in, n, out, n_out) == SASL_OK;
}

const SaslOps sasl_ops_table = {
    .open = sasl_open, .close = sasl_close, .mechanisms = sasl_mechanisms,
    .step = sasl_go, .user = sasl_user, .bits = sasl_bits, .encode = sasl_out,
    .decode = sasl_in,
};
