/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * websock.c - the server's side of the WebSocket protocol (RFC 6455): opening
 * handshake (section 4.2), frames (section 5), closing (section 7).
 *
 * Thread class: ANY_THREAD.
 *
 * Invariants
 * 1. Nothing is allocated by what the client claims: payloads are unmasked
 *    where they lie, a control frame's 125 bytes have their place.
 * 2. Each control frame is answered once, and a broken frame with a close.
 */
#include "chardev/wire.h"

enum { OP_MORE = 0, OP_TEXT = 1, OP_BINARY = 2, OP_CLOSE = 8, OP_PING = 9,
       OP_PONG = 10 };
enum { STATUS_NORMAL = 1000, STATUS_PROTOCOL = 1002, STATUS_DATA = 1003 };

/* ---- handshake ----------------------------------------------------------- */

/* The value of a header field, trimmed; NULL: absent. The caller g_frees. */
static char *field(char **lines, const char *name)
{
    size_t n = strlen(name);

    for (char **l = lines + 1; *l; l++) {
        if (!g_ascii_strncasecmp(*l, name, n) && (*l)[n] == ':') {
            return g_strstrip(g_strdup(*l + n + 1));
        }
    }
    return NULL;
}

/* Is word one of the comma-separated ones? */
static bool has_word(const char *list, const char *word)
{
    char **v = g_strsplit(list ? list : "", ",", -1);
    bool found = false;

    for (char **s = v; *s && !found; s++) {
        found = !g_ascii_strcasecmp(g_strstrip(*s), word);
    }
    g_strfreev(v);
    return found;
}

static void answer(GByteArray *out, const char *status, const char *more)
{
    char *s = g_strdup_printf("HTTP/1.1 %s\r\nServer: Tern\r\n%s\r\n", status,
                              more);

    g_byte_array_append(out, (uint8_t *)s, strlen(s));
    g_free(s);
}

static void accept_key(const char *key, char *buf, size_t size)
{
    GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA1);
    uint8_t digest[20];
    gsize len = sizeof(digest);
    char *text;

    g_checksum_update(sum, (const guchar *)key, -1);
    g_checksum_update(sum, (const guchar *)
                      "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", -1);
    g_checksum_get_digest(sum, digest, &len);
    g_checksum_free(sum);
    text = g_base64_encode(digest, len);
    g_strlcpy(buf, text, size);
    g_free(text);
}

/* NULL: fine; else the status that refuses. */
static const char *judge(char **lines, char **key, bool *binary)
{
    char *upgrade = field(lines, "Upgrade");
    char *connection = field(lines, "Connection");
    char *version = field(lines, "Sec-WebSocket-Version");
    char *protocol = field(lines, "Sec-WebSocket-Protocol");
    const char *bad = NULL;

    *key = field(lines, "Sec-WebSocket-Key");
    *binary = has_word(protocol, "binary");
    if (strncmp(lines[0], "GET /", 5)) {
        bad = "400 Bad Request";
    } else if (strncmp(lines[0], "GET / ", 6)) {
        bad = "404 Not Found";
    } else if (!strstr(lines[0], " HTTP/1.1")) {
        bad = "505 HTTP Version Not Supported";
    } else if (!has_word(upgrade, "websocket") ||
               !has_word(connection, "upgrade") || !version ||
               strcmp(version, "13") || !*key || strlen(*key) != 24 ||
               (protocol && !*binary)) {
        bad = "400 Bad Request";
    }
    g_free(upgrade);
    g_free(connection);
    g_free(version);
    g_free(protocol);
    return bad;
}

ssize_t ws_request(const char *text, size_t n, GByteArray *reply)
{
    const char *end = g_strstr_len(text, n, "\r\n\r\n"), *bad;
    char *copy, **lines, *key = NULL, sum[40], *more;
    bool binary;

    if (!end) {
        if (n < WS_HEAD_MAX) {
            return 0;
        }
        answer(reply, "431 Request Header Fields Too Large",
               "Connection: close\r\n");
        return -1;
    }
    copy = g_strndup(text, end - text);
    lines = g_strsplit(copy, "\r\n", -1);
    bad = lines[0] ? judge(lines, &key, &binary) : "400 Bad Request";
    if (bad) {
        answer(reply, bad, strncmp(bad, "400", 3)
               ? "Connection: close\r\n"
               : "Connection: close\r\nSec-WebSocket-Version: 13\r\n");
    } else {
        accept_key(key, sum, sizeof(sum));
        more = g_strdup_printf("Upgrade: websocket\r\nConnection: Upgrade\r\n"
                               "Sec-WebSocket-Accept: %s\r\n%s", sum,
                               binary ? "Sec-WebSocket-Protocol: binary\r\n"
                                      : "");
        answer(reply, "101 Switching Protocols", more);
        g_free(more);
    }
    g_free(key);
    g_strfreev(lines);
    g_free(copy);
    return bad ? -1 : end - text + 4;
}

/* ---- frames -------------------------------------------------------------- */

static void frame(GByteArray *out, uint8_t op, const uint8_t *buf, size_t n)
{
    uint8_t head[10] = { 0x80 | op };
    unsigned len = 2;

    if (n < 126) {
        head[1] = n;
    } else if (n <= UINT16_MAX) {
        head[1] = 126;
        st_be16(head + 2, n);
        len = 4;
    } else {
        head[1] = 127;
        st_be64(head + 2, n);
        len = 10;
    }
    g_byte_array_append(out, head, len);
    g_byte_array_append(out, buf, n);
}

void ws_out(GByteArray *out, const uint8_t *buf, size_t n)
{
    frame(out, OP_BINARY, buf, n);
}

static void close_with(GByteArray *reply, unsigned status, bool *end)
{
    uint8_t body[2];

    st_be16(body, status);
    frame(reply, OP_CLOSE, body, 2);
    *end = true;
}

/* Length of the head as far as it is known. */
static unsigned head_len(const WebSock *w)
{
    unsigned n = 2 + 4;

    if (w->head_n >= 2) {
        unsigned len = w->head[1] & 0x7f;

        n += len == 126 ? 2 : len == 127 ? 8 : 0;
    }
    return n;
}

/* The head is complete. False: broken. */
static bool begin_frame(WebSock *w, GByteArray *reply, bool *end)
{
    bool fin = w->head[0] & 0x80;
    unsigned len = w->head[1] & 0x7f, at = 2;

    w->op = w->head[0] & 0x0f;
    w->left = len;
    if (len == 126) {
        w->left = ld_be16(w->head + 2);
        at = 4;
    } else if (len == 127) {
        w->left = ld_be64(w->head + 2);
        at = 10;
    }
    memcpy(w->mask, w->head + at, 4);
    w->mask_at = 0;
    w->head_n = 0;
    w->ctrl_n = 0;
    if (w->op & 8) {
        if (!fin || len > 125 || w->op > OP_PONG) {
            close_with(reply, STATUS_PROTOCOL, end);
            return false;
        }
        return true;
    }
    if (w->op == OP_TEXT || w->op > OP_BINARY) {
        close_with(reply, STATUS_DATA, end);
        return false;
    }
    if ((w->op == OP_MORE) != w->in_message || w->left >> 63) {
        close_with(reply, STATUS_PROTOCOL, end);
        return false;
    }
    w->in_message = !fin;
    return true;
}

static void end_control(WebSock *w, GByteArray *reply, bool *end)
{
    if (w->op == OP_PING) {
        frame(reply, OP_PONG, w->ctrl, w->ctrl_n);
    } else if (w->op == OP_CLOSE) {
        unsigned status = w->ctrl_n >= 2 ? ld_be16(w->ctrl) : STATUS_NORMAL;

        close_with(reply, status, end);
    }
}

size_t ws_in(WebSock *w, uint8_t *buf, size_t n, GByteArray *reply, bool *end)
{
    size_t out = 0;

    for (size_t i = 0; i < n && !*end; i++) {
        uint8_t c = buf[i];

        if (!w->left) {
            w->head[w->head_n++] = c;
            if (w->head_n == 2 && (w->head[0] & 0x70 || !(c & 0x80))) {
                /* Reserved bits; or a client that does not mask. */
                close_with(reply, STATUS_PROTOCOL, end);
            } else if (w->head_n == head_len(w) &&
                       begin_frame(w, reply, end) && !w->left && w->op & 8) {
                end_control(w, reply, end);
            }
            continue;
        }
        c ^= w->mask[w->mask_at++ & 3];
        w->left--;
        if (w->op & 8) {
            w->ctrl[w->ctrl_n++] = c;
            if (!w->left) {
                end_control(w, reply, end);
            }
        } else {
            buf[out++] = c;
        }
    }
    return out;
}
