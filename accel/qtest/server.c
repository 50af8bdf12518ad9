/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * server.c - the qtest line protocol: a test on a character device reads and
 * writes ports and memory, moves the virtual clock, and watches and sets
 * interrupt lines.
 *
 * One command a line, words separated by single spaces, one reply a line: "OK
 * ...", "FAIL ..." or "ERR ...". Between them come "IRQ raise N" and "IRQ lower
 * N" for lines that are watched.
 *
 * Thread class: MACHINE_CALL, in the main loop.
 *
 * Invariants
 * 1. Each line gets exactly one reply, in order.
 * 2. At most LINE_MAX_BYTES of an unfinished line are kept.
 */
#include <glib.h>
#include <sys/time.h>
#include "accel.h"
#include "chr.h"
#include "device.h"
#include "qtest.h"

#define LINE_MAX_BYTES (256 * MiB)
#define TRANSFER_MAX (64 * MiB)
#define MAX_LINES 256

typedef struct QtestServer {
    CharFront front;
    GString *in;
    bool skipping;                     /* the rest of a line that was too long */
    FILE *log;
    bool log_is_stderr;
    struct timeval began;
    Device *watched;                   /* lines of one device, as the protocol
                                          has no names for more               */
    bool level[MAX_LINES];
} QtestServer;

static QtestServer *server;

/* ---- log and output ----------------------------------------------------- */

static double since(const QtestServer *s)
{
    struct timeval now;

    gettimeofday(&now, NULL);
    return (double)(now.tv_sec - s->began.tv_sec) +
           (double)(now.tv_usec - s->began.tv_usec) / 1e6;
}

static void note(QtestServer *s, char kind, const char *text, size_t n)
{
    if (s->log) {
        fprintf(s->log, "[%c +%.6f] %.*s\n", kind, since(s), (int)MIN2(n, 4096),
                text);
        fflush(s->log);
    }
}

static void reply(QtestServer *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void reply(QtestServer *s, const char *fmt, ...)
{
    GString *text = g_string_new(NULL);
    va_list ap;

    va_start(ap, fmt);
    g_string_append_vprintf(text, fmt, ap);
    va_end(ap);
    note(s, 'S', text->str, text->len);
    g_string_append_c(text, '\n');
    chr_write_all(&s->front, text->str, text->len);
    g_string_free(text, true);
}

/* ---- arguments ---------------------------------------------------------- */

/* Number of words after the command; w[0] is the command. */
static unsigned count(char **w)
{
    unsigned n = 0;

    while (w[n + 1]) {
        n++;
    }
    return n;
}

static bool number(const char *text, uint64_t *v)
{
    char *end;

    if (!*text) {
        return false;
    }
    errno = 0;
    *v = g_ascii_strtoull(text, &end, 0);
    return !*end && errno == 0;
}

static bool two_numbers(char **w, uint64_t *a, uint64_t *b)
{
    return number(w[1], a) && number(w[2], b);
}

static void bad(QtestServer *s, char **w, const char *usage)
{
    reply(s, "FAIL %s: expected %s", w[0], usage);
}

static unsigned size_of(char letter)
{
    return letter == 'b' ? 1 : letter == 'w' ? 2 : letter == 'l' ? 4 : 8;
}

/* ---- ports and memory --------------------------------------------------- */

static void run_in(QtestServer *s, char **w)
{
    unsigned size = size_of(w[0][2]);
    uint64_t port, v = 0;

    if (!number(w[1], &port) || port > UINT16_MAX) {
        bad(s, w, "PORT");
        return;
    }
    if (mem_load(&mem_io, port, size, &v, MEM_ATTRS_NONE) != MEM_OK) {
        v = UINT64_MAX;
    }
    reply(s, "OK 0x%04x", (uint32_t)(v & (UINT32_MAX >> (32 - 8 * size))));
}

static void run_out(QtestServer *s, char **w)
{
    uint64_t port, v;

    if (!two_numbers(w, &port, &v) || port > UINT16_MAX) {
        bad(s, w, "PORT VALUE");
        return;
    }
    mem_store(&mem_io, port, size_of(w[0][3]), v, MEM_ATTRS_NONE);
    reply(s, "OK");
}

static void run_load(QtestServer *s, char **w)
{
    uint64_t addr, v = 0;

    if (!number(w[1], &addr)) {
        bad(s, w, "ADDRESS");
        return;
    }
    if (mem_load(&mem_system, addr, size_of(w[0][4]), &v, MEM_ATTRS_NONE) !=
        MEM_OK) {
        v = 0;
    }
    reply(s, "OK 0x%016" PRIx64, v);
}

static void run_store(QtestServer *s, char **w)
{
    unsigned size = size_of(w[0][5]);
    uint64_t addr, v;

    if (!two_numbers(w, &addr, &v)) {
        bad(s, w, "ADDRESS VALUE");
        return;
    }
    mem_store(&mem_system, addr, size, v & (UINT64_MAX >> (64 - 8 * size)),
              MEM_ATTRS_NONE);
    reply(s, "OK");
}

/* A buffer of the length in w[2]; NULL: has answered. */
static uint8_t *transfer(QtestServer *s, char **w, uint64_t *addr,
                         uint64_t *len)
{
    uint8_t *buf;

    if (!two_numbers(w, addr, len)) {
        bad(s, w, "ADDRESS SIZE");
        return NULL;
    }
    if (*len == 0 || *len > TRANSFER_MAX) {
        reply(s, "ERR invalid argument size");
        return NULL;
    }
    buf = g_try_malloc0(*len);
    if (!buf) {
        reply(s, "FAIL no memory for %" PRIu64 " bytes", *len);
    }
    return buf;
}

static char *hex_of(const uint8_t *buf, size_t len)
{
    static const char digit[] = "0123456789abcdef";
    char *text = g_malloc(2 * len + 1);

    for (size_t i = 0; i < len; i++) {
        text[2 * i] = digit[buf[i] >> 4];
        text[2 * i + 1] = digit[buf[i] & 15];
    }
    text[2 * len] = 0;
    return text;
}

static void run_read(QtestServer *s, char **w)
{
    uint64_t addr, len;
    uint8_t *buf = transfer(s, w, &addr, &len);
    char *text;

    if (!buf) {
        return;
    }
    mem_read(&mem_system, addr, buf, len, MEM_ATTRS_NONE);
    if (w[0][0] == 'b') {
        text = g_base64_encode(buf, len);
        reply(s, "OK %s", text);
    } else {
        text = hex_of(buf, len);
        reply(s, "OK 0x%s", text);
    }
    g_free(text);
    g_free(buf);
}

/* Bytes that the text lacks are zero. */
static void run_write(QtestServer *s, char **w)
{
    uint64_t addr, len;
    uint8_t *buf = transfer(s, w, &addr, &len);
    const char *hex = w[3];
    size_t n = strlen(hex);

    if (!buf) {
        return;
    }
    if (n < 2 || hex[0] != '0' || (hex[1] != 'x' && hex[1] != 'X')) {
        g_free(buf);
        bad(s, w, "ADDRESS SIZE 0xDIGITS");
        return;
    }
    for (uint64_t i = 0; i < len && 2 * i + 3 < n; i++) {
        int hi = g_ascii_xdigit_value(hex[2 * i + 2]);
        int lo = g_ascii_xdigit_value(hex[2 * i + 3]);

        buf[i] = (hi < 0 ? 0 : hi) << 4 | (lo < 0 ? 0 : lo);
    }
    mem_write(&mem_system, addr, buf, len, MEM_ATTRS_NONE);
    g_free(buf);
    reply(s, "OK");
}

static void run_b64write(QtestServer *s, char **w)
{
    uint64_t addr, len;
    uint8_t *buf = transfer(s, w, &addr, &len), *data;
    gsize n = 0;

    if (!buf) {
        return;
    }
    data = g_base64_decode(w[3], &n);
    memcpy(buf, data, MIN2(n, len));
    mem_write(&mem_system, addr, buf, MIN2(n, len), MEM_ATTRS_NONE);
    g_free(data);
    g_free(buf);
    reply(s, "OK");
}

static void run_memset(QtestServer *s, char **w)
{
    uint64_t addr, len, byte;

    if (!two_numbers(w, &addr, &len) ||
        (!number(w[3], &byte) && w[3][0] != '-')) {
        bad(s, w, "ADDRESS SIZE BYTE");
        return;
    }
    if (w[3][0] == '-') {
        byte = g_ascii_strtoll(w[3], NULL, 0);
    }
    if (len) {
        mem_set(&mem_system, addr, byte, len, MEM_ATTRS_NONE);
    }
    reply(s, "OK");
}

static void run_endianness(QtestServer *s, char **w)
{
    reply(s, "OK little");
}

/* ---- clock -------------------------------------------------------------- */

static bool own_clock(QtestServer *s, char **w)
{
    if (!accel_is("qtest")) {
        reply(s, "FAIL Unknown command '%s'", w[0]);
        return false;
    }
    return true;
}

static void run_clock_step(QtestServer *s, char **w) MACHINE_CALL;
static void run_clock_step(QtestServer *s, char **w)
{
    int64_t now = clock_ns(CLOCK_VM);
    uint64_t ns;

    if (!own_clock(s, w)) {
        return;
    }
    if (!w[1]) {
        if (clock_vm_deadline() >= 0) {
            now = clock_vm_step(-1);
        }
    } else if (!number(w[1], &ns) || ns > (uint64_t)(INT64_MAX - now)) {
        bad(s, w, "NANOSECONDS");
        return;
    } else {
        now = clock_vm_step(now + ns);
    }
    reply(s, "OK %" PRId64, now);
}

static void run_clock_set(QtestServer *s, char **w) MACHINE_CALL;
static void run_clock_set(QtestServer *s, char **w)
{
    int64_t now = clock_ns(CLOCK_VM);
    uint64_t ns;

    if (!own_clock(s, w)) {
        return;
    }
    if (!number(w[1], &ns) || ns > INT64_MAX) {
        bad(s, w, "NANOSECONDS");
        return;
    }
    if ((int64_t)ns > now) {
        now = clock_vm_step(ns);
    }
    reply(s, "OK %" PRId64, now);
}

/* ---- lines -------------------------------------------------------------- */

static void line_changed(void *arg, unsigned n, int level)
{
    QtestServer *s = arg;

    if (n < MAX_LINES && s->level[n] != !!level) {
        s->level[n] = !!level;
        reply(s, "IRQ %s %u", level ? "raise" : "lower", n);
    }
}

static Device *device_at(QtestServer *s, const char *path) MACHINE_CALL;
static Device *device_at(QtestServer *s, const char *path)
{
    Device *dev = device_of(obj_resolve(path, NULL));

    if (!dev) {
        reply(s, "FAIL Unknown device");
    }
    return dev;
}

static void run_intercept(QtestServer *s, char **w) MACHINE_CALL;
static void run_intercept(QtestServer *s, char **w)
{
    bool out = strcmp(w[0], "irq_intercept_out") == 0;
    Device *dev = device_at(s, w[1]);

    if (!dev) {
        return;
    }
    if (s->watched && s->watched != dev) {
        reply(s, "FAIL IRQ intercept already enabled");
        return;
    }
    if (!s->watched &&
        !device_gpio_intercept(dev, count(w) > 1 ? w[2] : NULL, out,
                               line_changed, s)) {
        reply(s, "FAIL Unknown lines");
        return;
    }
    s->watched = dev;
    reply(s, "OK");
}

static void run_set_irq(QtestServer *s, char **w) MACHINE_CALL;
static void run_set_irq(QtestServer *s, char **w)
{
    bool unnamed = strcmp(w[2], "unnamed-gpio-in") == 0;
    uint64_t n, level;
    IrqLine line;
    Device *dev;

    if (!number(w[3], &n) || n > INT32_MAX || !number(w[4], &level) ||
        level > INT32_MAX) {
        bad(s, w, "PATH NAME NUMBER LEVEL");
        return;
    }
    dev = device_at(s, w[1]);
    if (!dev) {
        return;
    }
    line = device_gpio_get(dev, unnamed ? NULL : w[2], n);
    if (!line.set) {
        reply(s, "FAIL Unknown GPIO");
        return;
    }
    irq_set(&line, level);
    reply(s, "OK");
}

/* Everything that tests load as a module elsewhere is linked in here. */
static void run_module_load(QtestServer *s, char **w)
{
    reply(s, "FAIL");
}

/* ---- dispatch ----------------------------------------------------------- */

static const struct QtestCommand {
    const char *name;
    unsigned args;                     /* at least                            */
    void (*run)(QtestServer *s, char **w) MACHINE_PTR;
} commands[] = {
    { "inb", 1, run_in }, { "inw", 1, run_in }, { "inl", 1, run_in },
    { "outb", 2, run_out }, { "outw", 2, run_out }, { "outl", 2, run_out },
    { "readb", 1, run_load }, { "readw", 1, run_load },
    { "readl", 1, run_load }, { "readq", 1, run_load },
    { "writeb", 2, run_store }, { "writew", 2, run_store },
    { "writel", 2, run_store }, { "writeq", 2, run_store },
    { "read", 2, run_read }, { "b64read", 2, run_read },
    { "write", 3, run_write }, { "b64write", 3, run_b64write },
    { "memset", 3, run_memset },
    { "endianness", 0, run_endianness },
    { "clock_step", 0, run_clock_step },
    { "clock_set", 1, run_clock_set },
    { "irq_intercept_in", 1, run_intercept },
    { "irq_intercept_out", 1, run_intercept },
    { "set_irq_in", 4, run_set_irq },
    { "module_load", 2, run_module_load },
};

static void run_line(QtestServer *s, char *line) MACHINE_CALL;
static void run_line(QtestServer *s, char *line)
{
    char **w = g_strsplit(line, " ", 0);
    const char *name = w[0] ? w[0] : "";

    note(s, 'R', line, strlen(line));
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        const struct QtestCommand *c = &commands[i];

        if (strcmp(c->name, name) != 0) {
            continue;
        }
        if (count(w) < c->args) {
            reply(s, "FAIL %s: needs %u arguments", name, c->args);
        } else {
            c->run(s, w);
        }
        g_strfreev(w);
        return;
    }
    reply(s, "FAIL Unknown command '%s'", name);
    g_strfreev(w);
}

static int can_receive(void *arg)
{
    return 65536;
}

static void receive(void *arg, const uint8_t *buf, int n)
{
    QtestServer *s = arg;

    machine_assert_locked();
    while (n > 0) {
        const uint8_t *end = memchr(buf, '\n', n);
        size_t k = end ? (size_t)(end - buf) : (size_t)n;

        if (s->in->len + k > LINE_MAX_BYTES) {
            s->skipping = true;
            g_string_truncate(s->in, 0);
        }
        if (!s->skipping) {
            g_string_append_len(s->in, (const char *)buf, k);
        }
        if (!end) {
            return;
        }
        if (s->skipping) {
            reply(s, "FAIL line too long");
        } else {
            if (s->in->len && s->in->str[s->in->len - 1] == '\r') {
                g_string_truncate(s->in, s->in->len - 1);
            }
            run_line(s, s->in->str);
        }
        s->skipping = false;
        g_string_truncate(s->in, 0);
        buf += k + 1;
        n -= k + 1;
        /* The command may have ended the server. */
        if (s != server) {
            return;
        }
    }
}

static void event(void *arg, ChrEvent e)
{
    QtestServer *s = arg;

    if (e == CHR_OPENED) {
        memset(s->level, 0, sizeof(s->level));
        g_string_truncate(s->in, 0);
        s->skipping = false;
        gettimeofday(&s->began, NULL);
        if (s->log) {
            fprintf(s->log, "[I %.6f] OPENED\n", 0.0);
            fflush(s->log);
        }
    } else if (e == CHR_CLOSED && s->log) {
        fprintf(s->log, "[I +%.6f] CLOSED\n", since(s));
        fflush(s->log);
    }
}

bool qtest_server_start(const char *chardev, const char *log, Error **errp)
{
    QtestServer *s;
    CharPort *port;

    if (server) {
        return error_set(errp, "-qtest: there is one already");
    }
    port = chr_new_short("qtest", chardev, false, errp);
    if (!port) {
        error_prepend(errp, "Failed to initialize device for qtest: ");
        return false;
    }
    s = g_new0(QtestServer, 1);
    s->in = g_string_new(NULL);
    if (!log) {
        s->log = stderr;
        s->log_is_stderr = true;
    } else if (strcmp(log, "none") != 0) {
        s->log = fopen(log, "we");
    }
    if (log && !s->log && strcmp(log, "none") != 0) {
        error_set_errno(errp, errno, "-qtest-log %s", log);
        goto fail;
    }
    s->front = (CharFront){
        .can_receive = can_receive, .receive = receive, .event = event,
        .arg = s,
    };
    server = s;
    if (!chr_attach(&s->front, port, errp)) {
        server = NULL;
        goto fail;
    }
    chr_set_open(&s->front, true);
    chr_listen(&s->front, loop_main);
    return true;

fail:
    if (s->log && !s->log_is_stderr) {
        fclose(s->log);
    }
    g_string_free(s->in, true);
    g_free(s);
    chr_remove("qtest", NULL);
    return false;
}

void qtest_server_stop(void)
{
    QtestServer *s = server;

    if (!s) {
        return;
    }
    server = NULL;
    chr_detach(&s->front);
    if (s->log && !s->log_is_stderr) {
        fclose(s->log);
    }
    g_string_free(s->in, true);
    g_free(s);
}
