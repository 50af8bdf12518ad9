/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * TLS sessions between two ends in one process, over buffers that take a few bytes
 * at a time; certificates are made by certtool, keys by hand.
 */
#include <sys/stat.h>
#include <sys/wait.h>
#include <glib.h>
#include "opt.h"
#include "tls.h"
#include "tests/modules.h"
#include "tests/tern-test.h"

static char work[] = "/tmp/tern-tls-XXXXXX";
static pid_t maker;

static void tidy(void)
{
    char cmd[80];

    if (getpid() == maker) {
        snprintf(cmd, sizeof(cmd), "rm -rf %s", work);
        if (system(cmd)) {
            printf("# %s is left\n", work);
        }
    }
}

/* $1-key.pem; leaf and CA certificates by template. */
static const char script[] =
    "set -e; cd '%s'; exec >/dev/null 2>&1\n"
    "key() { certtool --generate-privkey --key-type=ecdsa --curve=secp256r1 "
    "--outfile $1-key.pem; }\n"
    "ca() { printf \"$3\" >t.cfg; certtool --generate-self-signed "
    "--load-privkey $2-key.pem --template t.cfg --outfile $1.pem; }\n"
    "leaf() { printf \"$3\" >t.cfg; certtool --generate-certificate "
    "--load-privkey $2-key.pem --load-ca-privkey ${4:-ca}-key.pem "
    "--load-ca-certificate ${4:-ca}.pem --template t.cfg --outfile $1.pem; }\n"
    "key ca; key other; key server; key client\n"
    "CA='ca\\ncert_signing_key\\nexpiration_days=9\\n'\n"
    "OLD='activation_date=\"2020-01-01 00:00:00\"\\n"
    "expiration_date=\"2021-01-01 00:00:00\"\\n'\n"
    "ca ca ca \"cn=Test CA\\n$CA\"\n"
    "ca other other \"cn=Other CA\\n$CA\"\n"
    "ca noca ca 'cn=Test CA\\nexpiration_days=9\\n'\n"
    "ca nosign ca 'cn=Test CA\\nca\\ncrl_signing_key\\nexpiration_days=9\\n'\n"
    "ca expca ca \"cn=Test CA\\nca\\ncert_signing_key\\n$OLD\"\n"
    "S='cn=localhost\\ndns_name=localhost\\ntls_www_server\\nsigning_key\\n'\n"
    "leaf server server \"${S}expiration_days=9\\n\"\n"
    "leaf client client 'cn=fred\\norganization=Tern\\ntls_www_client\\n"
    "signing_key\\nexpiration_days=9\\n'\n"
    "leaf stranger client 'cn=eve\\ntls_www_client\\nsigning_key\\n"
    "expiration_days=9\\n' other\n"
    "leaf srvexp server \"$S$OLD\"\n"
    "leaf srvca server \"${S}ca\\nexpiration_days=9\\n\"\n"
    "leaf srvother server \"${S}expiration_days=9\\n\" other\n"
    "mkdir psk; echo 'alice:0123456789abcdef0123456789abcdef' >psk/keys.psk\n"
    "mkdir psk2; echo 'alice:ffff456789abcdef0123456789abcdef' >psk2/keys.psk\n";

/* The folder with certificates; NULL: there is no certtool or no module. */
static const char *pki(void)
{
    static int made;                   /* 1: yes, 2: no                       */

    if (!made) {
        char *cmd;

        made = 2;
        if (module_present("tls") &&
            system("command -v certtool >/dev/null") == 0 && mkdtemp(work)) {
            maker = getpid();
            atexit(tidy);
            cmd = g_strdup_printf(script, work);
            made = system(cmd) == 0 ? 1 : 2;
            g_free(cmd);
            CHECK_EQ(made, 1);
        }
    }
    return made == 1 ? work : NULL;
}
#define NEED_PKI() \
    do { if (!pki()) { SKIP("needs certtool and GnuTLS"); } } while (0)

static char msg[400];

static void keep(Error *err)
{
    g_strlcpy(msg, err ? error_text(err) : "", sizeof(msg));
    error_free(err);
}

static NO_TSA Obj *add(const char *id, const char *type, const char *text)
{
    Error *err = NULL;
    Obj *obj = NULL;
    Opts o;

    if (!machine_locked()) {
        machine_lock();
    }
    if (opts_parse(&o, text, NULL, 0, &err)) {
        obj = user_obj_add(type, id, o.obj, o.text, &err);
        opts_free(&o);
    }
    keep(err);
    return obj;
}

static NO_TSA void del(const char *id)
{
    CHECK(user_obj_del(id, NULL));
}

/* x509 credentials of a folder made of these certificates; own NULL: CA only. */
static Obj *x509(const char *id, const char *end, const char *ca,
                 const char *own, const char *key, const char *more)
{
    char *cmd, *text;
    Obj *o;

    cmd = g_strdup_printf("cd %s && rm -rf %s && mkdir %s && cp %s.pem "
                          "%s/ca-cert.pem", work, id, id, ca, id);
    CHECK_EQ(system(cmd), 0);
    g_free(cmd);
    if (own) {
        cmd = g_strdup_printf("cd %s && cp %s.pem %s/%s-cert.pem && cp "
                              "%s-key.pem %s/%s-key.pem", work, own, id, end,
                              key, id, end);
        CHECK_EQ(system(cmd), 0);
        g_free(cmd);
    }
    text = g_strdup_printf("endpoint=%s,dir=%s/%s%s", end, work, id, more);
    o = add(id, "tls-creds-x509", text);
    g_free(text);
    return o;
}

/* ---- a wire ------------------------------------------------------------- */

typedef struct Wire {
    uint8_t b[1 << 16];
    size_t n;
    bool closed;
} Wire;
typedef struct End {
    Wire *in, *out;
    size_t most;                       /* bytes a call moves                  */
} End;
static Wire wires[2];

static ssize_t end_read(void *arg, void *buf, size_t n)
{
    End *e = arg;

    n = MIN2(MIN2(n, e->most), e->in->n);
    if (!n) {
        return e->in->closed ? 0 : -EAGAIN;
    }
    memcpy(buf, e->in->b, n);
    memmove(e->in->b, e->in->b + n, e->in->n -= n);
    return n;
}

static ssize_t end_write(void *arg, const void *buf, size_t n)
{
    End *e = arg;

    n = MIN2(MIN2(n, e->most), sizeof(e->out->b) - e->out->n);
    if (!n) {
        return -EAGAIN;
    }
    memcpy(e->out->b + e->out->n, buf, n);
    e->out->n += n;
    return n;
}

static const TlsIo wire_io = { end_read, end_write };
static End ends[2];
static TlsSession *tls[2];             /* 0 server, 1 client                  */
static char said[2][400];

static NO_TSA void sessions_free(void)
{
    for (int i = 0; i < 2; i++) {
        tls_session_free(tls[i]);
        tls[i] = NULL;
    }
}

/* Both handshakes to their ends; true when both are done. */
static NO_TSA bool meet(const char *server, const char *client,
                        const char *host, const char *authz, size_t most)
{
    TlsStatus st[2] = { TLS_WANT_READ, TLS_WANT_READ };

    memset(wires, 0, sizeof(wires));
    memset(said, 0, sizeof(said));
    for (int i = 0; i < 2; i++) {
        Error *err = NULL;
        Obj *c = tls_creds_get(i ? client : server, !i, &err);

        ends[i] = (End){ &wires[i], &wires[!i], most };
        if (c) {
            tls[i] = tls_session_new(c, &wire_io, &ends[i], i ? host : NULL,
                                     i ? NULL : authz, &err);
            tls_creds_put(c);
        }
        keep(err);
        if (!tls[i]) {
            tt_fail(__FILE__, __LINE__, "%s", msg);
            return false;
        }
    }
    for (int turn = 0; turn < 200000; turn++) {
        int i = turn & 1;

        if (st[i] != TLS_DONE && st[i] != TLS_FAILED) {
            Error *err = NULL;

            st[i] = tls_handshake(tls[i], &err);
            if (err) {
                g_strlcpy(said[i], error_text(err), sizeof(said[i]));
                error_free(err);
                wires[!i].closed = true;
            }
        }
        if ((st[0] == TLS_DONE || st[0] == TLS_FAILED) &&
            (st[1] == TLS_DONE || st[1] == TLS_FAILED)) {
            break;
        }
    }
    return st[0] == TLS_DONE && st[1] == TLS_DONE;
}

static void talk(void)
{
    static uint8_t out[40000], in[40000];
    size_t sent = 0, got = 0;

    for (size_t i = 0; i < sizeof(out); i++) {
        out[i] = i * 31;
    }
    for (int turn = 0; turn < 100000 && got < sizeof(in); turn++) {
        Error *err = NULL;
        ssize_t r = 0;

        if (sent < sizeof(out)) {
            r = tls_write(tls[1], out + sent, sizeof(out) - sent, &err);
            CHECK(r > 0 || r == -EAGAIN);
            sent += r > 0 ? r : 0;
        }
        r = tls_read(tls[0], in + got, sizeof(in) - got, &err);
        CHECK(r > 0 || r == -EAGAIN);
        got += r > 0 ? r : 0;
        CHECK(!err);
    }
    CHECK_EQ(got, sizeof(in));
    CHECK_MEM(in, out, sizeof(in));
    CHECK_EQ(tls_pending(tls[0]), 0u);
    CHECK(tls_bye(tls[1]) == TLS_DONE);
    wires[0].closed = true;
    CHECK_EQ(tls_read(tls[0], in, 1, NULL), 0);
}

/* ---- tests -------------------------------------------------------------- */

TEST(anonymous)
{
    if (!module_present("tls")) {
        SKIP("built without GnuTLS");
    }
    REQUIRE(add("s", "tls-creds-anon", "endpoint=server"));
    REQUIRE(add("c", "tls-creds-anon", "endpoint=client"));
    CHECK(meet("s", "c", NULL, NULL, 100000));
    CHECK(tls_cipher_bits(tls[0]) >= 128);
    talk();
    machine_assert_locked();
    CHECK(!user_obj_del("s", NULL));
    sessions_free();
    CHECK(meet("s", "c", NULL, NULL, 7));
    talk();
    sessions_free();
    REQUIRE(add("a", "authz-list", "policy=allow"));
    CHECK(!meet("s", "c", NULL, "a", 100000));
    CHECK_CONTAINS(said[0], "showed no identity");
    sessions_free();
    del("a");
    del("s");
    del("c");
}

TEST(shared_keys)
{
    char text[100];

    NEED_PKI();
    snprintf(text, sizeof(text), "endpoint=server,dir=%s/psk", work);
    REQUIRE(add("s", "tls-creds-psk", text));
    snprintf(text, sizeof(text), "dir=%s/psk,username=alice", work);
    REQUIRE(add("c", "tls-creds-psk", text));
    snprintf(text, sizeof(text), "dir=%s/psk2,username=alice", work);
    REQUIRE(add("w", "tls-creds-psk", text));
    REQUIRE(add("a", "authz-simple", "identity=alice"));
    REQUIRE(add("b", "authz-simple", "identity=bob"));
    CHECK(meet("s", "c", NULL, "a", 100));
    CHECK_STR(tls_peer_name(tls[0]), "alice");
    talk();
    sessions_free();
    CHECK(!meet("s", "c", NULL, "b", 100));
    CHECK_STR(said[0], "TLS x509 authz check for alice is denied");
    sessions_free();
    CHECK(!meet("s", "w", NULL, NULL, 100));
    sessions_free();
    snprintf(text, sizeof(text), "dir=%s/psk", work);
    CHECK(!add("x", "tls-creds-psk", text));
    CHECK_CONTAINS(msg, "Username qemu not found in PSK file");
    snprintf(text, sizeof(text), "dir=%s/psk,endpoint=server,username=x", work);
    CHECK(!add("x", "tls-creds-psk", text));
    CHECK_STR(msg, "username should not be set when endpoint=server");
    for (const char *p = "scwab"; *p; p++) {
        del((char[]){ *p, 0 });
    }
}

TEST(certificates)
{
    NEED_PKI();
    REQUIRE(x509("s", "server", "ca", "server", "server", ""));
    REQUIRE(x509("c", "client", "ca", "client", "client", ""));
    REQUIRE(add("a", "authz-list",
                "rules.0.match=O=Tern,,CN=fred,rules.0.policy=allow,"
                "rules.1.match=CN=fred,,O=Tern,rules.1.policy=allow"));
    REQUIRE(add("b", "authz-simple", "identity=CN=bob"));
    CHECK(meet("s", "c", "localhost", "a", 1000));
    CHECK_STR(said[0], "");
    CHECK_CONTAINS(tls_peer_name(tls[0]), "CN=fred");
    CHECK_CONTAINS(tls_peer_name(tls[1]), "CN=localhost");
    talk();
    sessions_free();
    CHECK(!meet("s", "c", "localhost", "b", 1000));
    CHECK_CONTAINS(said[0], "is denied");
    sessions_free();
    CHECK(!meet("s", "c", "example.org", NULL, 1000));
    CHECK_STR(said[1],
              "Certificate does not match the hostname example.org");
    sessions_free();
    CHECK(meet("s", "c", NULL, NULL, 1000));
    sessions_free();
    for (const char *p = "scab"; *p; p++) {
        del((char[]){ *p, 0 });
    }
}

TEST(strangers)
{
    NEED_PKI();
    REQUIRE(x509("s", "server", "ca", "server", "server", ""));
    REQUIRE(x509("t", "server", "ca", "server", "server", ",verify-peer=off"));
    REQUIRE(x509("n", "client", "ca", NULL, NULL, ""));
    REQUIRE(x509("e", "client", "ca", "stranger", "client",
                 ",sanity-check=off"));
    REQUIRE(x509("o", "client", "other", NULL, NULL, ""));
    CHECK(!meet("s", "n", "localhost", NULL, 1000));
    sessions_free();
    CHECK(!meet("s", "e", "localhost", NULL, 1000));
    CHECK_CONTAINS(said[0], "certificate");
    sessions_free();
    CHECK(meet("t", "n", "localhost", NULL, 1000));
    sessions_free();
    CHECK(!meet("t", "o", "localhost", NULL, 1000));
    CHECK_STR(said[1], "The certificate hasn't got a known issuer");
    sessions_free();
    for (const char *p = "stneo"; *p; p++) {
        del((char[]){ *p, 0 });
    }
}

TEST(insane_certificates)
{
    static const struct {
        const char *ca, *own, *key, *want;
    } rows[] = {
        { "noca", "server", "server", "ca-cert.pem basic constraints do not "
          "show a CA" },
        { "nosign", "server", "server", "ca-cert.pem usage does not permit "
          "certificate signing" },
        { "expca", "server", "server", "The CA certificate" },
        { "ca", "srvexp", "server", "server-cert.pem has expired" },
        { "ca", "srvca", "server", "server-cert.pem basic constraints show a "
          "CA, but we need one for a server" },
        { "ca", "srvother", "server", "ca-cert.pem: The certificate hasn't "
          "got a known issuer" },
        { "ca", "server", "client", "The certificate and the given key do not "
          "match" },
    };

    NEED_PKI();
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CHECK(!x509("x", "server", rows[i].ca, rows[i].own, rows[i].key, ""));
        CHECK_CONTAINS(msg, rows[i].want);
    }
    CHECK(!x509("x", "server", "ca", NULL, NULL, ""));
    CHECK_CONTAINS(msg, "server-cert.pem: No such file or directory");
}

TEST(bad_options)
{
    Error *err = NULL;

    if (!module_present("tls")) {
        SKIP("built without GnuTLS");
    }
    CHECK(!add("x", "tls-creds-x509", "endpoint=server"));
    CHECK_STR(msg, "Missing 'dir' property value");
    CHECK(!add("x", "tls-creds-x509", "dir=/nonexistent"));
    CHECK_STR(msg, "Unable to access credentials /nonexistent/ca-cert.pem: "
              "No such file or directory");
    CHECK(!add("x", "tls-creds-anon", "endpoint=both"));
    CHECK_STR(msg, "Parameter 'endpoint' does not accept value 'both'");
    CHECK(!add("x", "tls-cipher-suites", ""));
    CHECK_STR(msg, "'priority' property is not set");
    REQUIRE(add("s", "tls-creds-anon", "endpoint=server,priority=NONSENSE"));
    machine_assert_locked();
    CHECK(!tls_creds_get("s", false, &err));
    CHECK_STR(error_text(err),
              "Expected TLS credentials for a client endpoint");
    error_free(err);
    err = NULL;
    CHECK(!tls_creds_get("none", false, &err));
    CHECK_STR(error_text(err), "No TLS credentials with id 'none'");
    error_free(err);
    err = NULL;
    CHECK(!tls_session_new(user_obj_find("s"), &wire_io, &ends[0], NULL, NULL,
                           &err));
    CHECK_CONTAINS(error_text(err), "Unable to set TLS session priority");
    error_free(err);
    del("s");
}

TEST(cipher_suites)
{
    uint8_t *p = NULL;
    size_t n = 0;
    bool aes = false;

    if (!module_present("tls")) {
        SKIP("built without GnuTLS");
    }
    REQUIRE(add("x", "tls-cipher-suites", "priority=NORMAL"));
    machine_assert_locked();
    REQUIRE(tls_cipher_suites("x", &p, &n, NULL));
    for (size_t i = 0; i < n; i += 2) {
        aes |= p[i] == 0x13 && p[i + 1] == 0x02;
    }
    CHECK(aes);
    g_free(p);
    del("x");
}

/* Whatever arrives, both ends come to an end of it. */
TEST(rubbish_on_the_wire)
{
    uint64_t x = 88172645463325252ull;

    NEED_PKI();
    machine_assert_locked();
    REQUIRE(x509("s", "server", "ca", "server", "server", ""));
    for (int round = 0; round < 300; round++) {
        Error *err = NULL;
        TlsStatus st;

        memset(wires, 0, sizeof(wires));
        ends[0] = (End){ &wires[0], &wires[1], 100000 };
        for (size_t i = 0; i < 200; i++) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            wires[0].b[i] = x;
        }
        if (round & 1) {               /* a record's head that makes sense    */
            memcpy(wires[0].b, "\x16\x03\x01\x00\xc0\x01\x00\x00\xbc", 9);
        }
        wires[0].n = 200;
        wires[0].closed = true;
        tls[0] = tls_session_new(user_obj_find("s"), &wire_io, &ends[0], NULL,
                                 NULL, NULL);
        REQUIRE(tls[0]);
        for (int turn = 0; turn < 8; turn++) {
            st = tls_handshake(tls[0], &err);
            if (st == TLS_DONE || st == TLS_FAILED) {
                break;
            }
        }
        CHECK(st == TLS_FAILED);
        CHECK(err != NULL);
        CHECK_EQ(tls_read(tls[0], &x, 1, NULL), -ENOTCONN);
        error_free(err);
        sessions_free();
    }
    del("s");
}
