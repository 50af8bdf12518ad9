/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nbd-start.c - the handshake of an NBD client (NBD protocol, "Fixed newstyle
 * negotiation"): TLS, structured replies, a metadata context, the export.
 *
 * Thread class: LOOP_CALL(channel's loop), in a coroutine; the main loop for TLS.
 *
 * Invariants
 * 1. A reply's length is checked before it is read; text is bounded.
 */
#include <glib.h>
#include "block/nbd.h"

typedef struct Reply {
    uint32_t option, type, len;
} Reply;

void nbd_info_clear(NbdInfo *i)
{
    g_free(i->name);
    g_free(i->desc);
    g_strfreev(i->contexts);
    memset(i, 0, sizeof(*i));
}

static bool broken(int ret, const char *what, Error **errp)
{
    if (ret == -ENODATA || ret == -EIO) {
        return error_set(errp, "Failed to read %s: Unexpected end-of-file "
                         "before all data were read", what);
    }
    return error_set_errno(errp, -ret, "Failed to read %s", what);
}

static bool option_send(NbdChan *c, uint32_t opt, const void *data, uint32_t len,
                        Error **errp)
{
    uint8_t h[16];
    struct iovec iov[2] = { { h, sizeof(h) },
                            { (void *)(uintptr_t)data, len } };
    int ret;

    st_be64(h, NBD_OPTS_MAGIC);
    st_be32(h + 8, opt);
    st_be32(h + 12, len);
    ret = chan_writev(c, iov, len ? 2 : 1);
    return ret >= 0 || error_set_errno(errp, -ret, "Failed to send option "
                                       "request header");
}

static bool reply_read(NbdChan *c, uint32_t opt, Reply *r, Error **errp)
{
    uint8_t h[20];
    int ret = chan_read(c, h, sizeof(h));

    if (ret < 0) {
        return broken(ret, "option reply", errp);
    }
    *r = (Reply){ ld_be32(h + 8), ld_be32(h + 12), ld_be32(h + 16) };
    if (ld_be64(h) != NBD_REP_MAGIC) {
        return error_set(errp, "Unexpected option reply magic");
    }
    if (r->option != opt) {
        return error_set(errp, "Unexpected option type %u, expected %u",
                         r->option, opt);
    }
    if (r->len > NBD_BUFFER_MAX) {
        return error_set(errp, "option reply of %u bytes is too long", r->len);
    }
    return true;
}

/* Text of r's payload; NULL: too long (skipped), or broken. */
static char *reply_text(NbdChan *c, uint32_t len)
{
    char *s;

    if (len > NBD_STRING_MAX) {
        chan_skip(c, len);
        return g_strdup("");
    }
    s = g_malloc0(len + 1);
    if (chan_read(c, s, len) < 0) {
        g_free(s);
        return NULL;
    }
    return s;
}

/* An error reply. unsup: the option is not known there, which is no error. */
static bool reply_refused(NbdChan *c, const Reply *r, bool *unsup,
                          const char *export_name, Error **errp)
{
    g_autofree char *text = reply_text(c, r->len);

    *unsup = r->type == NBD_REP_ERR_UNSUP;
    if (*unsup) {
        return false;
    }
    switch (r->type) {
    case NBD_REP_ERR_UNKNOWN:
        error_set(errp, "Requested export not available");
        break;
    case NBD_REP_ERR_POLICY:
        error_set(errp, "Denied by server for option %u", r->option);
        break;
    case NBD_REP_ERR_INVALID:
        error_set(errp, "Invalid parameters for option %u", r->option);
        break;
    case NBD_REP_ERR_PLATFORM:
        error_set(errp, "Server lacks support for option %u", r->option);
        break;
    case NBD_REP_ERR_TLS_REQD:
        error_set(errp, "Server requires TLS for option %u", r->option);
        error_hint(errp, "Did you forget a valid tls-creds?");
        break;
    case NBD_REP_ERR_SHUTDOWN:
        error_set(errp, "Server shutting down before option %u", r->option);
        break;
    case NBD_REP_ERR_BLOCK_SIZE:
        error_set(errp, "Server requires INFO_BLOCK_SIZE for option %u",
                  r->option);
        break;
    default:
        error_set(errp, "Unknown error code when asking for option %u",
                  r->option);
        break;
    }
    if (text && *text) {
        error_hint(errp, "server reported: %s", text);
    }
    return false;
}

/* An option without data that is answered by ACK. 1 yes, 0 not known, -1 error. */
static int option_simple(NbdChan *c, uint32_t opt, bool strict, Error **errp)
{
    bool unsup;
    Reply r;

    if (!option_send(c, opt, NULL, 0, errp) || !reply_read(c, opt, &r, errp)) {
        return -1;
    }
    if (r.type == NBD_REP_ACK && !r.len) {
        return 1;
    }
    if (r.type & 0x80000000u) {
        reply_refused(c, &r, &unsup, NULL, strict ? errp : NULL);
        return strict && !unsup ? -1 : 0;
    }
    error_set(errp, "Unexpected reply type %u for option %u", r.type, opt);
    return -1;
}

/* ---- metadata contexts ---------------------------------------------------- */

/* opt: SET (query is granted or not) or LIST (names are gathered). */
static bool meta_ask(NbdChan *c, uint32_t opt, const char *name,
                     const char *query, NbdInfo *info, Error **errp)
{
    size_t n = strlen(name), q = query ? strlen(query) : 0;
    uint32_t len = (uint32_t)(4 + n + 4 + (query ? 4 + q : 0));
    g_autofree uint8_t *data = g_malloc0(len);
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(g_free);
    Reply r;
    bool unsup;

    st_be32(data, (uint32_t)n);
    memcpy(data + 4, name, n);
    st_be32(data + 4 + n, query ? 1 : 0);
    if (query) {
        st_be32(data + 8 + n, (uint32_t)q);
        memcpy(data + 12 + n, query, q);
    }
    if (!option_send(c, opt, data, len, errp)) {
        return false;
    }
    for (;;) {
        g_autofree char *text = NULL;
        uint8_t id[4];

        if (!reply_read(c, opt, &r, errp)) {
            return false;
        }
        if (r.type == NBD_REP_ACK) {
            break;
        }
        if (r.type & 0x80000000u) {    /* none, then                          */
            reply_refused(c, &r, &unsup, NULL, NULL);
            break;
        }
        if (r.type != NBD_REP_META || r.len <= 4 || found->len > 1000 ||
            chan_read(c, id, 4) < 0 || !(text = reply_text(c, r.len - 4))) {
            return error_set(errp, "Failed to negotiate a metadata context");
        }
        if (query && strcmp(text, query)) {
            return error_set(errp, "Server replied with wrong context '%s', "
                             "expected '%s'", text, query);
        }
        if (query) {
            info->status = true;
            info->status_id = ld_be32(id);
        } else {
            g_ptr_array_add(found, g_steal_pointer(&text));
        }
    }
    if (!query) {
        g_ptr_array_add(found, NULL);
        info->contexts = (char **)g_ptr_array_free(g_steal_pointer(&found),
                                                   FALSE);
    }
    return true;
}

/* ---- one export ----------------------------------------------------------- */

static bool info_item(NbdChan *c, const Reply *r, NbdInfo *info, Error **errp)
{
    uint8_t b[14];
    uint16_t type;

    if (r->len < 2 || chan_read(c, b, 2) < 0) {
        return error_set(errp, "Failed to read info type");
    }
    type = ld_be16(b);
    if (type == NBD_INFO_EXPORT && r->len == 12) {
        if (chan_read(c, b, 10) < 0) {
            return error_set(errp, "Failed to read info export size");
        }
        info->size = ld_be64(b);
        info->flags = ld_be16(b + 8);
        if (info->size > INT64_MAX || !(info->flags & NBD_F_HAS_FLAGS)) {
            return error_set(errp, "export length or flags are not valid");
        }
    } else if (type == NBD_INFO_BLOCK_SIZE && r->len == 14) {
        if (chan_read(c, b, 12) < 0) {
            return error_set(errp, "Failed to read info block size");
        }
        info->min_block = ld_be32(b);
        info->opt_block = ld_be32(b + 4);
        info->max_block = ld_be32(b + 8);
        if (!IS_POW2(info->min_block) || info->min_block > 65536) {
            return error_set(errp, "server minimum block size %u is not a "
                             "power of two up to 64k", info->min_block);
        }
        if (info->max_block < info->min_block) {
            return error_set(errp, "server maximum block size %u is not valid",
                             info->max_block);
        }
    } else if (type == NBD_INFO_DESC) {
        g_free(info->desc);
        info->desc = reply_text(c, r->len - 2);
    } else if (chan_skip(c, r->len - 2) < 0) {
        return error_set(errp, "Failed to read info");
    }
    return true;
}

/* GO or INFO. 1: done, 0: not known there, -1 error. */
static int info_ask(NbdChan *c, uint32_t opt, const char *name, NbdInfo *info,
                    Error **errp)
{
    size_t n = strlen(name);
    g_autofree uint8_t *data = g_malloc0(n + 8);
    bool got = false, unsup;
    Reply r;

    st_be32(data, (uint32_t)n);
    memcpy(data + 4, name, n);
    st_be16(data + 4 + n, 1);
    st_be16(data + 6 + n, NBD_INFO_BLOCK_SIZE);
    if (!option_send(c, opt, data, (uint32_t)n + 8, errp)) {
        return -1;
    }
    for (;;) {
        if (!reply_read(c, opt, &r, errp)) {
            return -1;
        }
        if (r.type == NBD_REP_ACK) {
            break;
        }
        if (r.type & 0x80000000u) {
            reply_refused(c, &r, &unsup, name, errp);
            return unsup ? 0 : -1;
        }
        if (r.type != NBD_REP_INFO || !info_item(c, &r, info, errp)) {
            error_set(errp && !*errp ? errp : NULL,
                      "unexpected reply type %u", r.type);
            return -1;
        }
        got |= info->flags != 0;
    }
    if (!got) {
        error_set(errp, "broken server omitted information about the export");
        return -1;
    }
    return 1;
}

static bool export_by_name(NbdChan *c, const char *name, bool zeroes,
                           NbdInfo *info, Error **errp)
{
    uint8_t b[10];
    int ret;

    if (!option_send(c, NBD_OPT_EXPORT_NAME, name, (uint32_t)strlen(name),
                     errp)) {
        return false;
    }
    ret = chan_read(c, b, sizeof(b));
    if (ret < 0) {
        return broken(ret, "export length", errp);
    }
    info->size = ld_be64(b);
    info->flags = ld_be16(b + 8);
    if (info->size > INT64_MAX) {
        return error_set(errp, "export length is too large");
    }
    ret = zeroes ? chan_skip(c, 124) : 0;
    return ret >= 0 || broken(ret, "reserved block", errp);
}

/* ---- greeting ------------------------------------------------------------- */

static bool old_style(NbdChan *c, const NbdAsk *ask, NbdInfo *info,
                      Error **errp)
{
    uint8_t b[12];
    int ret;

    if (ask->creds) {
        return error_set(errp, "Server does not support STARTTLS");
    }
    if (*ask->export_name) {
        return error_set(errp, "Server does not support non-empty export "
                         "names");
    }
    ret = chan_read(c, b, sizeof(b));
    ret = ret < 0 ? ret : chan_skip(c, 124);
    if (ret < 0) {
        return broken(ret, "export length", errp);
    }
    info->old = true;
    info->size = ld_be64(b);
    info->flags = (uint16_t)ld_be32(b + 8);
    return info->size <= INT64_MAX ||
           error_set(errp, "export length is too large");
}

/* *fixed: the server knows options; *zeroes: it pads its last answer. */
static bool greet(NbdChan *c, const NbdAsk *ask, NbdInfo *info, bool *fixed,
                  bool *zeroes, Error **errp)
{
    uint8_t b[18];
    uint16_t flags;
    int ret = chan_read(c, b, 16);

    if (ret < 0) {
        return broken(ret, "initial magic", errp);
    }
    if (ld_be64(b) != NBD_MAGIC) {
        return error_set(errp, "Bad initial magic received: 0x%" PRIx64,
                         ld_be64(b));
    }
    if (ld_be64(b + 8) == NBD_OLD_MAGIC) {
        *fixed = false;
        return old_style(c, ask, info, errp);
    }
    if (ld_be64(b + 8) != NBD_OPTS_MAGIC) {
        return error_set(errp, "Bad server magic received: 0x%" PRIx64,
                         ld_be64(b + 8));
    }
    ret = chan_read(c, b, 2);
    if (ret < 0) {
        return broken(ret, "server flags", errp);
    }
    flags = ld_be16(b);
    *fixed = flags & NBD_FLAG_FIXED;
    *zeroes = !(flags & NBD_FLAG_NO_ZEROES);
    st_be32(b, flags & (NBD_FLAG_FIXED | NBD_FLAG_NO_ZEROES));
    ret = chan_write(c, b, 4);
    if (ret < 0) {
        return error_set_errno(errp, -ret, "Failed to send clientflags field");
    }
    if (ask->creds) {
        int tls = *fixed ? option_simple(c, NBD_OPT_STARTTLS, true, errp) : 0;

        if (tls <= 0) {
            return error_set(errp && !*errp ? errp : NULL, "Server does not "
                             "support STARTTLS");
        }
        return chan_tls(c, ask->creds, ask->hostname, NULL, errp);
    }
    return true;
}

bool nbd_client_start(NbdChan *c, const NbdAsk *ask, NbdInfo *info, Error **errp)
{
    bool fixed = false, zeroes = true;
    int ret = 0;

    *info = (NbdInfo){ .name = g_strdup(ask->export_name) };
    if (!greet(c, ask, info, &fixed, &zeroes, errp)) {
        return false;
    }
    if (info->old) {
        return true;
    }
    if (fixed) {
        ret = ask->simple ? 0
            : option_simple(c, NBD_OPT_STRUCTURED, false, errp);
        if (ret < 0) {
            return false;
        }
        info->structured = ret;
        if (ret && ask->context && !meta_ask(c, NBD_OPT_SET_META,
                                             ask->export_name, ask->context,
                                             info, errp)) {
            return false;
        }
        ret = info_ask(c, NBD_OPT_GO, ask->export_name, info, errp);
    }
    if (ret < 0 && !c->dead) {
        option_send(c, NBD_OPT_ABORT, NULL, 0, NULL);
    }
    return ret < 0 ? false
         : ret > 0 || export_by_name(c, ask->export_name, zeroes, info, errp);
}

/* ---- listing -------------------------------------------------------------- */

static bool names_read(NbdChan *c, GArray *found, Error **errp)
{
    Reply r;
    bool unsup;

    if (!option_send(c, NBD_OPT_LIST, NULL, 0, errp)) {
        return false;
    }
    for (;;) {
        NbdInfo info = { .size = 0 };
        uint8_t b[4];

        if (!reply_read(c, NBD_OPT_LIST, &r, errp)) {
            return false;
        }
        if (r.type == NBD_REP_ACK) {
            return true;
        }
        if (r.type & 0x80000000u) {
            reply_refused(c, &r, &unsup, NULL, errp);
            return error_set(errp && !*errp ? errp : NULL, "Server does not "
                             "support export listing");
        }
        if (r.type != NBD_REP_SERVER || r.len < 4 || found->len > 10000 ||
            chan_read(c, b, 4) < 0 || ld_be32(b) > r.len - 4 ||
            !(info.name = reply_text(c, ld_be32(b)))) {
            return error_set(errp, "incorrect option name length");
        }
        if (r.len - 4 > ld_be32(b)) {
            info.desc = reply_text(c, r.len - 4 - ld_be32(b));
        }
        g_array_append_val(found, info);
    }
}

bool nbd_client_list(NbdChan *c, const NbdAsk *ask, NbdInfo **list, size_t *n,
                     Error **errp)
{
    GArray *found = g_array_new(FALSE, TRUE, sizeof(NbdInfo));
    NbdInfo old = { .size = 0 };
    bool fixed = false, zeroes, ok, structured = false;

    ok = greet(c, ask, &old, &fixed, &zeroes, errp);
    if (ok && old.old) {
        old.name = g_strdup("");
        g_array_append_val(found, old);
    } else if (ok && !fixed) {
        ok = error_set(errp, "Server does not support export listing");
    } else if (ok) {
        int ret = option_simple(c, NBD_OPT_STRUCTURED, false, errp);

        structured = ret > 0;
        ok = ret >= 0 && names_read(c, found, errp);
        for (guint i = 0; ok && i < found->len; i++) {
            NbdInfo *x = &g_array_index(found, NbdInfo, i);

            ret = info_ask(c, NBD_OPT_INFO, x->name, x, NULL);
            x->structured = structured;
            ok = ret >= 0 || !c->dead;
            if (ret > 0 && structured) {
                ok = meta_ask(c, NBD_OPT_LIST_META, x->name, NULL, x, errp);
            }
        }
        option_send(c, NBD_OPT_ABORT, NULL, 0, NULL);
    }
    *n = found->len;
    *list = (NbdInfo *)(void *)g_array_free(found, FALSE);
    return ok;
}
