/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ringbuf.c - a port that keeps the latest bytes in memory, for ringbuf-read.
 *
 * Thread class: MACHINE_CALL; writes under write_lock.
 *
 * Invariants
 * 1. put - got <= size; both count bytes since the beginning and wrap freely.
 */
#include <glib.h>
#include "chardev/chr-priv.h"
#include "monitor.h"
#include "schema/schema.h"

#define SIZE_MAX_BYTES (1 * GiB)

typedef struct RingChr {
    CharPort p;
    uint64_t size;
    uint64_t put, got;
    uint8_t *buf;
} RingChr;

static bool ring_open(CharPort *p, Error **errp)
{
    RingChr *c = (RingChr *)p;

    if (!c->size) {
        c->size = 64 * KiB;
    }
    if (!IS_POW2(c->size)) {
        return error_set(errp, "size of ringbuf chardev must be power of two");
    }
    if (c->size > SIZE_MAX_BYTES) {
        return error_set(errp, "size of ringbuf chardev must be at most 1 GiB");
    }
    c->buf = g_try_malloc(c->size);
    if (!c->buf) {
        return error_set(errp, "no memory for a ringbuf of %" PRIu64 " bytes",
                         c->size);
    }
    return true;
}

static void ring_close(CharPort *p)
{
    g_free(((RingChr *)p)->buf);
}

static ssize_t ring_write(CharPort *p, const void *buf, size_t n)
{
    RingChr *c = (RingChr *)p;
    const uint8_t *b = buf;

    for (size_t i = 0; i < n; i++) {
        c->buf[c->put++ & (c->size - 1)] = b[i];
        if (c->put - c->got > c->size) {
            c->got = c->put - c->size;
        }
    }
    return n;
}

static const Prop ring_props[] = {
    PROP_SIZE("size", RingChr, size, 0,
              .desc = "bytes kept, a power of two; 64 KiB by default"),
    PROP_END
};

CHAR_DRIVER(chr_ringbuf, {
    .name = "ringbuf", .type = "chardev-ringbuf", .size = sizeof(RingChr),
    .desc = "keeps the latest bytes in memory",
    .doc = "The monitor commands ringbuf-read and ringbuf-write take bytes "
           "out and put some in.",
    .props = ring_props, .open = ring_open, .close = ring_close,
    .write = ring_write,
    .no_oob = true,
});
CHAR_DRIVER(chr_memory, {
    .name = "memory", .type = "chardev-memory", .parent = "chardev-ringbuf",
    .size = sizeof(RingChr), .desc = "an older name of ringbuf",
    .doc = "See ringbuf.", .props = ring_props, .open = ring_open,
    .close = ring_close, .write = ring_write,
});

/* ---- commands ------------------------------------------------------------ */

static RingChr *ring_find(const char *id, Error **errp)
{
    machine_assert_locked();
    CharPort *p = chr_find(id);

    if (!p) {
        error_set(errp, "Device '%s' not found", id);
        return NULL;
    }
    if (p->drv->open != ring_open) {
        error_set(errp, "%s is not a ringbuf device", id);
        return NULL;
    }
    return (RingChr *)p;
}

/* Strict: only whole groups of four of the alphabet. */
static uint8_t *base64_bytes(const char *text, gsize *n, Error **errp)
{
    size_t len = strlen(text), pad = 0;

    for (size_t i = 0; i < len; i++) {
        if (text[i] == '=' && i + 2 >= len) {
            pad++;
        } else if (pad || !(g_ascii_isalnum(text[i]) || text[i] == '+' ||
                            text[i] == '/')) {
            error_set(errp, "Base64 data contains invalid characters");
            return NULL;
        }
    }
    if (len % 4) {
        error_set(errp, "Base64 data '%s' is not valid", text);
        return NULL;
    }
    return len ? g_base64_decode(text, n) : g_malloc0(1);
}

bool cmd_ringbuf_write(const void *arg, void *ret, Error **errp)
{
    const RingbufWriteArg *a = arg;
    RingChr *c = ring_find(a->device, errp);
    gsize n = 0;
    uint8_t *bytes;

    if (!c) {
        return false;
    }
    if (a->has_format && a->format == DATA_FORMAT_BASE64) {
        bytes = base64_bytes(a->data, &n, errp);
        if (!bytes) {
            return false;
        }
        chr_port_write(&c->p, bytes, n);
        g_free(bytes);
    } else {
        chr_port_write(&c->p, a->data, strlen(a->data));
    }
    return true;
}

bool cmd_ringbuf_read(const void *arg, void *ret, Error **errp)
{
    const RingbufReadArg *a = arg;
    RingChr *c = ring_find(a->device, errp);
    uint64_t n;
    uint8_t *bytes;

    if (!c) {
        return false;
    }
    if (a->size <= 0) {
        return error_set(errp, "size must be greater than zero");
    }
    pthread_mutex_lock(&c->p.write_lock);
    n = MIN2((uint64_t)a->size, c->put - c->got);
    bytes = g_malloc(n + 1);
    for (uint64_t i = 0; i < n; i++) {
        bytes[i] = c->buf[c->got++ & (c->size - 1)];
    }
    pthread_mutex_unlock(&c->p.write_lock);
    bytes[n] = 0;
    if (a->has_format && a->format == DATA_FORMAT_BASE64) {
        *(char **)ret = g_base64_encode(bytes, n);
        g_free(bytes);
    } else {
        *(char **)ret = (char *)bytes;
    }
    return true;
}

void hmp_print_ringbuf_read(const void *ret, const Json *args)
{
    const char *s = *(char *const *)ret;

    for (; *s; s++) {
        uint8_t c = *s;

        if (c == '\\') {
            mon_puts("\\\\");
        } else if ((c < 0x20 && c != '\n') || c == 0x7f) {
            mon_printf("\\u%04X", c);
        } else {
            char one[2] = { *s };

            mon_puts(one);
        }
    }
    mon_puts("\n");
}
