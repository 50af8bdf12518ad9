/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nbd-negotiate.c - an NBD server's side of the handshake (NBD protocol, "Fixed
 * newstyle negotiation").
 *
 * Thread class: LOOP_CALL(main loop), in the client's coroutine.
 *
 * Invariants
 * 1. What a client sends is bounded before memory is taken for it.
 * 2. With TLS credentials nothing but STARTTLS and ABORT is answered before TLS.
 */
#include <glib.h>
#include "block/nbd-server.h"

#define OPTIONS_MAX 1000               /* of a client that never begins       */
#define OPTION_LEN_MAX (64u * 1024)

static bool reply(NbdClient *c, uint32_t opt, uint32_t type, const void *data,
                  uint32_t len)
{
    uint8_t h[20];
    struct iovec iov[2] = { { h, sizeof(h) },
                            { (void *)(uintptr_t)data, len } };

    st_be64(h, NBD_REP_MAGIC);
    st_be32(h + 8, opt);
    st_be32(h + 12, type);
    st_be32(h + 16, len);
    return chan_writev(&c->chan, iov, len ? 2 : 1) >= 0;
}

static bool refuse(NbdClient *c, uint32_t opt, uint32_t type, const char *text)
{
    return reply(c, opt, type, text, (uint32_t)strlen(text));
}

static uint16_t export_flags(const NbdClient *c, const NbdExport *e)
{
    return NBD_F_HAS_FLAGS | NBD_F_FLUSH | NBD_F_FUA | NBD_F_CACHE |
           (c->structured ? NBD_F_DF : 0u) |
           (e->read_only ? NBD_F_READ_ONLY
                         : NBD_F_TRIM | NBD_F_ZEROES | NBD_F_FAST_ZERO) |
           (e->shared ? NBD_F_MULTI_CONN : 0u);
}

/* ---- exports -------------------------------------------------------------- */

static bool list(NbdClient *c, uint32_t opt, uint32_t len)
{
    if (len) {
        return refuse(c, opt, NBD_REP_ERR_INVALID, "option 'list' should have "
                      "no data");
    }
    for (NbdExport *e = c->server->exports; e; e = e->next) {
        size_t n = strlen(e->name), d = e->desc ? strlen(e->desc) : 0;
        g_autofree uint8_t *data = g_malloc(4 + n + d);

        st_be32(data, (uint32_t)n);
        memcpy(data + 4, e->name, n);
        memcpy(data + 4 + n, e->desc ? e->desc : "", d);
        if (!reply(c, opt, NBD_REP_SERVER, data, (uint32_t)(4 + n + d))) {
            return false;
        }
    }
    return reply(c, opt, NBD_REP_ACK, NULL, 0);
}

static bool choose(NbdClient *c, NbdExport *e)
{
    c->exp = e;
    e->clients++;
    if (c->context_of != e) {
        memset(c->context, 0, sizeof(c->context));
        g_clear_pointer(&c->bitmap, g_free);
    }
    return true;
}

static bool by_name(NbdClient *c, const char *name, bool zeroes)
{
    NbdExport *e = nbd_export_find(c->server, name);
    uint8_t b[10 + 124] = { 0 };

    if (!e) {
        return false;                  /* the protocol has no other answer    */
    }
    st_be64(b, e->size);
    st_be16(b + 8, export_flags(c, e));
    return chan_write(&c->chan, b, zeroes ? sizeof(b) : 10) >= 0 &&
           choose(c, e);
}

static bool info_text(NbdClient *c, uint32_t opt, uint16_t type,
                      const char *text)
{
    size_t n = strlen(text);
    g_autofree uint8_t *b = g_malloc(2 + n);

    st_be16(b, type);
    memcpy(b + 2, text, n);
    return reply(c, opt, NBD_REP_INFO, b, (uint32_t)(2 + n));
}

static bool info_send(NbdClient *c, uint32_t opt, const NbdExport *e,
                      bool with_name, bool with_sizes)
{
    const BlkLimits *lim = blk_limits(e->blk);
    uint32_t min = with_sizes ? lim->align : 1;
    uint8_t b[14];

    if (with_name && !info_text(c, opt, NBD_INFO_NAME, e->name)) {
        return false;
    }
    if (e->desc && !info_text(c, opt, NBD_INFO_DESC, e->desc)) {
        return false;
    }
    st_be16(b, NBD_INFO_BLOCK_SIZE);
    st_be32(b + 2, opt == NBD_OPT_INFO || with_sizes ? min : 1);
    st_be32(b + 6, MAX2(4096u, lim->opt_transfer));
    st_be32(b + 10, NBD_BUFFER_MAX);
    if (!reply(c, opt, NBD_REP_INFO, b, 14)) {
        return false;
    }
    st_be16(b, NBD_INFO_EXPORT);
    st_be64(b + 2, e->size);
    st_be16(b + 10, export_flags(c, e));
    return reply(c, opt, NBD_REP_INFO, b, 12);
}

/* 1: an export was chosen, 0: go on, -1: the end. */
static int info(NbdClient *c, uint32_t opt, const uint8_t *data, uint32_t len)
{
    uint32_t n = len >= 6 ? ld_be32(data) : UINT32_MAX;
    bool with_name = false, with_sizes = false;
    g_autofree char *name = NULL;
    NbdExport *e;

    if (len < 6 || n > len - 6 ||
        ld_be16(data + 4 + n) * 2u != len - 6 - n) {
        return refuse(c, opt, NBD_REP_ERR_INVALID, "malformed request") ? 0 : -1;
    }
    name = g_strndup((const char *)data + 4, n);
    for (uint32_t i = 0; i < ld_be16(data + 4 + n); i++) {
        uint16_t what = ld_be16(data + 6 + n + i * 2);

        with_name |= what == NBD_INFO_NAME;
        with_sizes |= what == NBD_INFO_BLOCK_SIZE;
    }
    e = nbd_export_find(c->server, name);
    if (!e) {
        g_autofree char *text = g_strdup_printf("export '%.80s' not present",
                                                name);

        return refuse(c, opt, NBD_REP_ERR_UNKNOWN, text) ? 0 : -1;
    }
    if (!info_send(c, opt, e, with_name, with_sizes) ||
        !reply(c, opt, NBD_REP_ACK, NULL, 0)) {
        return -1;
    }
    return opt == NBD_OPT_GO ? choose(c, e) : 0;
}

/* ---- metadata contexts ---------------------------------------------------- */

static bool context_reply(NbdClient *c, uint32_t opt, uint32_t id,
                          const char *name)
{
    size_t n = strlen(name);
    g_autofree uint8_t *b = g_malloc(4 + n);

    st_be32(b, opt == NBD_OPT_LIST_META ? 0 : id);
    memcpy(b + 4, name, n);
    return reply(c, opt, NBD_REP_META, b, (uint32_t)(4 + n));
}

/* Does query ask for context ns:leaf? In a listing "ns:" stands for all. */
static bool asks(const char *query, const char *ns, const char *leaf, bool list)
{
    size_t n = strlen(ns);

    return !strncmp(query, ns, n) &&
           (!strcmp(query + n, leaf) || (list && !query[n]));
}

static void context_match(NbdClient *c, const NbdExport *e, const char *q,
                          bool list)
{
    c->context[CTX_BASE] |= asks(q, "base:", "allocation", list);
    c->context[CTX_DEPTH] |= e->depth &&
        (asks(q, "qemu:", "allocation-depth", list));
    for (unsigned i = 0; e->bitmaps && e->bitmaps[i]; i++) {
        c->bitmap[i] |= asks(q, "qemu:dirty-bitmap:", e->bitmaps[i], list) ||
                        (list && !strcmp(q, "qemu:"));
    }
}

static bool contexts_send(NbdClient *c, uint32_t opt, const NbdExport *e)
{
    if ((c->context[CTX_BASE] &&
         !context_reply(c, opt, NBD_ID_BASE, "base:allocation")) ||
        (c->context[CTX_DEPTH] &&
         !context_reply(c, opt, NBD_ID_DEPTH, "qemu:allocation-depth"))) {
        return false;
    }
    for (unsigned i = 0; e->bitmaps && e->bitmaps[i]; i++) {
        g_autofree char *name = g_strdup_printf("qemu:dirty-bitmap:%s",
                                                e->bitmaps[i]);

        if (c->bitmap[i] && !context_reply(c, opt, NBD_ID_BITMAP + i, name)) {
            return false;
        }
    }
    return reply(c, opt, NBD_REP_ACK, NULL, 0);
}

static bool meta(NbdClient *c, uint32_t opt, const uint8_t *data, uint32_t len)
{
    bool listing = opt == NBD_OPT_LIST_META;
    uint32_t n = len >= 8 ? ld_be32(data) : UINT32_MAX, count, at;
    g_autofree char *name = NULL;
    NbdExport *e;

    if (!c->structured) {
        return refuse(c, opt, NBD_REP_ERR_INVALID, "request option when "
                      "structured reply is not negotiated");
    }
    if (len < 8 || n > len - 8) {
        return refuse(c, opt, NBD_REP_ERR_INVALID, "malformed request");
    }
    name = g_strndup((const char *)data + 4, n);
    e = nbd_export_find(c->server, name);
    if (!e) {
        return refuse(c, opt, NBD_REP_ERR_UNKNOWN, "export not present");
    }
    memset(c->context, 0, sizeof(c->context));
    g_free(c->bitmap);
    c->bitmap = g_new0(bool, e->bitmaps ? g_strv_length(e->bitmaps) + 1 : 1);
    c->context_of = e;
    count = ld_be32(data + 4 + n);
    at = 8 + n;
    if (listing && !count) {
        context_match(c, e, "base:", true);
        context_match(c, e, "qemu:", true);
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t q = len - at >= 4 ? ld_be32(data + at) : UINT32_MAX;
        g_autofree char *query = NULL;

        if (len - at < 4 || q > len - at - 4) {
            return refuse(c, opt, NBD_REP_ERR_INVALID, "malformed request");
        }
        query = g_strndup((const char *)data + at + 4, q);
        at += 4 + q;
        context_match(c, e, query, listing);
    }
    if (!contexts_send(c, opt, e)) {
        return false;
    }
    if (listing) {
        c->context_of = NULL;
    }
    return true;
}

/* ---- the loop of options -------------------------------------------------- */

static bool start_tls(NbdClient *c, uint32_t len)
{
    Error *err = NULL;

    if (len || c->chan.tls) {
        return refuse(c, NBD_OPT_STARTTLS, NBD_REP_ERR_INVALID,
                      len ? "option 'starttls' should have no data"
                          : "TLS already enabled");
    }
    if (!c->server->creds) {
        return refuse(c, NBD_OPT_STARTTLS, NBD_REP_ERR_POLICY,
                      "TLS not configured");
    }
    if (!reply(c, NBD_OPT_STARTTLS, NBD_REP_ACK, NULL, 0) ||
        !chan_tls(&c->chan, c->server->creds, NULL, c->server->authz, &err)) {
        error_free(err);
        return false;
    }
    return true;
}

/* 1: go on to requests, 0: next option, -1: the end. */
static int option(NbdClient *c, uint32_t opt, const uint8_t *data, uint32_t len)
{
    if (c->server->creds && !c->chan.tls && opt != NBD_OPT_STARTTLS &&
        opt != NBD_OPT_ABORT) {
        return opt != NBD_OPT_EXPORT_NAME &&
               refuse(c, opt, NBD_REP_ERR_TLS_REQD,
                      "Option not permitted before TLS") ? 0 : -1;
    }
    switch (opt) {
    case NBD_OPT_EXPORT_NAME: {
        g_autofree char *name = g_strndup((const char *)data, len);

        return by_name(c, name, !c->no_zeroes) ? 1 : -1;
    }
    case NBD_OPT_ABORT:
        reply(c, opt, NBD_REP_ACK, NULL, 0);
        return -1;
    case NBD_OPT_LIST:
        return list(c, opt, len) ? 0 : -1;
    case NBD_OPT_STARTTLS:
        return start_tls(c, len) ? 0 : -1;
    case NBD_OPT_INFO:
    case NBD_OPT_GO:
        return info(c, opt, data, len);
    case NBD_OPT_STRUCTURED:
        if (len || c->structured) {
            return refuse(c, opt, NBD_REP_ERR_INVALID, len
                          ? "option 'structured reply' should have no data"
                          : "structured reply already negotiated") ? 0 : -1;
        }
        c->structured = true;
        return reply(c, opt, NBD_REP_ACK, NULL, 0) ? 0 : -1;
    case NBD_OPT_LIST_META:
    case NBD_OPT_SET_META:
        return meta(c, opt, data, len) ? 0 : -1;
    default:
        return refuse(c, opt, NBD_REP_ERR_UNSUP, "Unsupported option") ? 0 : -1;
    }
}

static int option_read(NbdClient *c)
{
    g_autofree uint8_t *data = NULL;
    uint8_t h[16];
    uint32_t opt, len;

    if (chan_read(&c->chan, h, sizeof(h)) < 0 ||
        ld_be64(h) != NBD_OPTS_MAGIC) {
        return -1;
    }
    opt = ld_be32(h + 8);
    len = ld_be32(h + 12);
    if (len > OPTION_LEN_MAX) {
        return len <= NBD_BUFFER_MAX && opt != NBD_OPT_EXPORT_NAME &&
               chan_skip(&c->chan, len) >= 0 &&
               refuse(c, opt, NBD_REP_ERR_TOO_BIG, "option is too long") ? 0
                                                                         : -1;
    }
    data = g_malloc0(len + 8);
    return chan_read(&c->chan, data, len) < 0 ? -1 : option(c, opt, data, len);
}

bool nbd_server_negotiate(NbdClient *c)
{
    uint8_t b[18];
    uint32_t flags;
    int got = 0;

    st_be64(b, NBD_MAGIC);
    st_be64(b + 8, NBD_OPTS_MAGIC);
    st_be16(b + 16, NBD_FLAG_FIXED | NBD_FLAG_NO_ZEROES);
    if (chan_write(&c->chan, b, sizeof(b)) < 0 ||
        chan_read(&c->chan, b, 4) < 0) {
        return false;
    }
    flags = ld_be32(b);
    if (flags & ~(uint32_t)(NBD_FLAG_FIXED | NBD_FLAG_NO_ZEROES)) {
        return false;
    }
    c->no_zeroes = flags & NBD_FLAG_NO_ZEROES;
    for (int i = 0; i < OPTIONS_MAX && !got; i++) {
        got = option_read(c);
    }
    return got > 0;
}
