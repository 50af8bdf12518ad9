/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * auth.c - a VNC connection until its first message: version, security types
 * (RFC 6143 7.1; VeNCrypt 0.2), passwords, initialisation.
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. Only a client whose authentication has succeeded gets to VNC_INIT.
 */
#include <string.h>
#include <sys/random.h>
#include "machine.h"
#include "module.h"
#include "ui/vnc/des.h"
#include "ui/vnc/vnc.h"

#define NAME_MAX_LEN 255
#define CLIENTS_MAX 256                /* of a server, at the same time       */

/* ---- initialisation ------------------------------------------------------ */
static void send_format(VncClient *c) MACHINE_CALL;
static void send_format(VncClient *c)
{
    const VncFormat *f = &c->format;

    vnc_send_u8(c, f->bits);
    vnc_send_u8(c, f->depth);
    vnc_send_u8(c, f->big);
    vnc_send_u8(c, f->truecolor);
    for (int i = 0; i < 3; i++) {
        vnc_send_u16(c, f->max[i]);
    }
    for (int i = 0; i < 3; i++) {
        vnc_send_u8(c, f->shift[i]);
    }
    vnc_send(c, "\0\0\0", 3);
}

/* Whether the newcomer may stay, by the server's policy; who must go, goes. */
static bool share(VncClient *c) MACHINE_CALL;
static bool share(VncClient *c)
{
    VncServer *s = c->srv;
    VncClient *o, *next;

    if (s->share == SHARE_FORCE && !c->shared) {
        return false;
    }
    if (s->share != SHARE_EXCLUSIVE) {
        return true;
    }
    for (o = s->clients; o; o = next) {
        next = o->next_client;
        if (o == c || o->phase != VNC_RUN) {
            continue;
        }
        if (!c->shared) {
            vnc_client_end(o);          /* it wants to be alone               */
        } else if (!o->shared) {
            return false;               /* another one is                     */
        }
    }
    return true;
}

static ssize_t client_init(VncClient *c, const uint8_t *p, size_t n)
{
    const Surface *s;
    char name[NAME_MAX_LEN + 1];

    machine_assert_locked();
    c->shared = p[0];
    if (!share(c)) {
        return -1;
    }
    if (c->srv->display.con) {          /* nobody may have looked yet         */
        console_refresh(c->srv->display.con);
    }
    s = c->srv->display.con ? c->srv->display.con->surface : NULL;
    c->shown_w = s ? s->width : 640;
    c->shown_h = s ? s->height : 480;
    vnc_tiles_alloc(c);
    vnc_send_u16(c, (uint16_t)c->shown_w);
    vnc_send_u16(c, (uint16_t)c->shown_h);
    send_format(c);
    if (guest_name) {
        snprintf(name, sizeof(name), "QEMU (%s)", guest_name);
    } else {
        snprintf(name, sizeof(name), "QEMU");
    }
    vnc_send_u32(c, (uint32_t)strlen(name));
    vnc_send(c, name, strlen(name));
    c->phase = VNC_RUN;
    vnc_event_initialized(c);
    vnc_expect(c, 1, vnc_message);
    vnc_interval(c->srv);
    return 1;
}

void vnc_auth_result(VncClient *c, const char *why)
{
    if (why) {
        vnc_send_u32(c, 1);
        if (c->minor >= 8) {
            vnc_send_u32(c, (uint32_t)strlen(why));
            vnc_send(c, why, strlen(why));
        }
        vnc_client_end(c);
        return;
    }
    if (c->auth != VNC_AUTH_NONE || c->minor >= 8) {
        vnc_send_u32(c, 0);
    }
    c->phase = VNC_INIT;
    vnc_expect(c, 1, client_init);
}

/* ---- passwords (RFC 6143 7.2.2) ------------------------------------------ */
static bool des_encrypt(const char *password, const uint8_t in[16],
                        uint8_t out[16])
{
    const DesOps *ops = module_symbol("ui-des", "des_ops_table", NULL);
    uint8_t key[8] = { 0 };

    memcpy(key, password, MIN2(strlen(password), 8));
    for (int i = 0; i < 8; i++) {       /* VNC takes the bits from the right  */
        uint8_t b = key[i];

        b = (uint8_t)((b & 0xf0) >> 4 | (b & 0x0f) << 4);
        b = (uint8_t)((b & 0xcc) >> 2 | (b & 0x33) << 2);
        key[i] = (uint8_t)((b & 0xaa) >> 1 | (b & 0x55) << 1);
    }
    return ops && ops->encrypt(key, in, out);
}

static ssize_t response(VncClient *c, const uint8_t *p, size_t n)
{
    VncServer *s = c->srv;
    uint8_t want[16], diff = 0;

    machine_assert_locked();
    if (!s->password || time(NULL) >= s->expires ||
        !des_encrypt(s->password, c->challenge, want)) {
        vnc_auth_result(c, "Authentication failed");
        return 16;
    }
    for (int i = 0; i < 16; i++) {
        diff |= (uint8_t)(p[i] ^ want[i]);
    }
    vnc_auth_result(c, diff ? "Authentication failed" : NULL);
    return 16;
}

static void challenge(VncClient *c) MACHINE_CALL;
static void challenge(VncClient *c)
{
    if (getrandom(c->challenge, 16, 0) != 16) {
        vnc_client_end(c);
        return;
    }
    vnc_send(c, c->challenge, 16);
    vnc_expect(c, 16, response);
}

void vnc_auth_go(VncClient *c, int auth)
{
    switch (auth) {
    case VNC_AUTH_NONE: case VENC_TLS_NONE: case VENC_X509_NONE:
        vnc_auth_result(c, NULL);
        break;
    case VNC_AUTH_VNC: case VENC_TLS_VNC: case VENC_X509_VNC:
        challenge(c);
        break;
    case VNC_AUTH_SASL: case VENC_TLS_SASL: case VENC_X509_SASL:
        if (!vnc_sasl_begin(c)) {
            vnc_client_end(c);
        }
        break;
    default:
        vnc_client_end(c);
        break;
    }
}

/* ---- VeNCrypt ------------------------------------------------------------ */
static ssize_t vencrypt_type(VncClient *c, const uint8_t *p, size_t n)
{
    machine_assert_locked();
    if (ld_be32(p) != (uint32_t)c->subauth) {
        vnc_send_u8(c, 0);
        return -1;
    }
    vnc_send_u8(c, 1);
    return vnc_start_tls(c) ? 4 : -1;
}

static ssize_t vencrypt_version(VncClient *c, const uint8_t *p, size_t n)
{
    machine_assert_locked();
    if (p[0] != 0 || p[1] != 2) {
        vnc_send_u8(c, 1);
        return -1;
    }
    vnc_send_u8(c, 0);
    vnc_send_u8(c, 1);
    vnc_send_u32(c, (uint32_t)c->subauth);
    vnc_expect(c, 4, vencrypt_type);
    return 2;
}

/* ---- version and type ---------------------------------------------------- */
static void chosen(VncClient *c) MACHINE_CALL;
static void chosen(VncClient *c)
{
    c->phase = VNC_AUTH;
    if (c->auth == VNC_AUTH_VENCRYPT) {
        vnc_send(c, "\0\2", 2);
        vnc_expect(c, 2, vencrypt_version);
    } else {
        vnc_auth_go(c, c->auth);
    }
}

static ssize_t security(VncClient *c, const uint8_t *p, size_t n)
{
    machine_assert_locked();
    if (p[0] != c->auth) {
        vnc_auth_result(c, "Authentication failed");
        return 1;
    }
    chosen(c);
    return 1;
}

static void refuse(VncClient *c, const char *why) MACHINE_CALL;
static void refuse(VncClient *c, const char *why)
{
    if (c->minor >= 7) {
        vnc_send_u8(c, 0);
    } else {
        vnc_send_u32(c, 0);
    }
    vnc_send_u32(c, (uint32_t)strlen(why));
    vnc_send(c, why, strlen(why));
}

static ssize_t version(VncClient *c, const uint8_t *p, size_t n)
{
    unsigned minor;

    machine_assert_locked();
    if (memcmp(p, "RFB 003.", 8) || p[11] != '\n' || !g_ascii_isdigit(p[8]) ||
        !g_ascii_isdigit(p[9]) || !g_ascii_isdigit(p[10])) {
        return -1;
    }
    minor = (p[8] - '0') * 100u + (p[9] - '0') * 10u + (p[10] - '0');
    if (minor == 4 || minor == 5) {     /* what some clients call 3.3         */
        minor = 3;
    }
    if (minor != 3 && minor != 7 && minor != 8) {
        refuse(c, "unsupported protocol version");
        return -1;
    }
    c->minor = (int)minor;
    c->phase = VNC_SECURITY;
    if (c->srv->n_clients > CLIENTS_MAX) {
        refuse(c, "too many connections");
        return -1;
    }
    if (minor == 3) {
        if (c->auth != VNC_AUTH_NONE && c->auth != VNC_AUTH_VNC) {
            refuse(c, "this server's security type needs protocol 3.7");
            return -1;
        }
        vnc_send_u32(c, (uint32_t)c->auth);
        chosen(c);
        return 12;
    }
    vnc_send_u8(c, 1);
    vnc_send_u8(c, (uint8_t)c->auth);
    vnc_expect(c, 1, security);
    return 12;
}

void vnc_hello(VncClient *c)
{
    VncServer *s = c->srv;

    c->auth = c->skip_auth ? VNC_AUTH_NONE : c->websocket ? s->ws_auth : s->auth;
    c->subauth = c->websocket ? s->ws_subauth : s->subauth;
    vnc_send(c, "RFB 003.008\n", 12);
    vnc_expect(c, 12, version);
}

void vnc_auth_setup(VncServer *s, bool password, bool sasl)
{
    int plain = password ? VNC_AUTH_VNC : sasl ? VNC_AUTH_SASL : VNC_AUTH_NONE;
    bool x509 = s->creds && !strcmp(tls_creds_kind(s->creds), "tls-creds-x509");

    s->auth = s->ws_auth = plain;       /* a websocket has its TLS outside    */
    s->subauth = s->ws_subauth = VENC_NO;
    if (s->creds) {
        s->auth = VNC_AUTH_VENCRYPT;
        s->subauth = password ? (x509 ? VENC_X509_VNC : VENC_TLS_VNC)
            : sasl ? (x509 ? VENC_X509_SASL : VENC_TLS_SASL)
            : x509 ? VENC_X509_NONE : VENC_TLS_NONE;
    }
}
