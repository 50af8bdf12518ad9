/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libqtest.c - a client of the qtest line protocol and of QMP.
 *
 * Thread: one. Both sockets are made here, listened on by us and connected to
 * by the emulator, so that there is nothing to wait or poll for.
 * 1. At most one request is on its way on each socket.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/libqtest.h"

#define MAX_IRQ 256
#define MAX_EVENTS 256
#define MAX_ARGS 128

typedef struct Stream {
    int fd;
    char *buf;                          /* [0, used) read and not yet given  */
    size_t used, given, cap;            /* [0, given) is the current line    */
} Stream;

struct QTest {
    pid_t pid;
    Stream qtest, qmp;
    bool free_clock;
    bool irq[MAX_IRQ];
    unsigned raised[MAX_IRQ];
    char *events[MAX_EVENTS];
    unsigned n_events;
    bool deaf;                         /* to events                           */
    uint32_t next_io, next_mem;         /* free space for BARs                */
};

__attribute__((noreturn, format(printf, 1, 2)))
static void give_up(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    printf("# qtest: ");
    vprintf(fmt, ap);
    putchar('\n');
    va_end(ap);
    abort();
}

/* ---- streams of lines --------------------------------------------------- */

static void put(Stream *s, const char *text, size_t n)
{
    while (n) {
        ssize_t k = send(s->fd, text, n, MSG_NOSIGNAL);

        if (k < 0 && errno == EINTR) {
            continue;
        }
        if (k <= 0) {
            give_up("the emulator closed its side: %s", strerror(errno));
        }
        text += k;
        n -= k;
    }
}

/* The next line, without its end; false: no whole line there and !wait. */
static bool get(Stream *s, char **line, bool wait)
{
    if (s->given) {
        memmove(s->buf, s->buf + s->given, s->used - s->given);
    }
    s->used -= s->given;
    s->given = 0;
    for (;;) {
        char *end = s->used ? memchr(s->buf, '\n', s->used) : NULL;
        ssize_t k;

        if (end) {
            s->given = end + 1 - s->buf;
            *end = 0;
            if (end > s->buf && end[-1] == '\r') {
                end[-1] = 0;
            }
            *line = s->buf;
            return true;
        }
        if (s->used == s->cap) {
            s->cap = s->cap ? 2 * s->cap : 65536;
            s->buf = realloc(s->buf, s->cap);
        }
        k = recv(s->fd, s->buf + s->used, s->cap - s->used,
                 wait ? 0 : MSG_DONTWAIT);
        if (k < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return false;
        }
        if (k < 0 && errno == EINTR) {
            continue;
        }
        if (k <= 0) {
            give_up("the emulator ended");
        }
        s->used += k;
    }
}

/* ---- start and end ------------------------------------------------------ */

static int listen_at(char *path, size_t size)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    static unsigned n;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(path, size, "/tmp/tern-qtest-%d-%u", (int)getpid(), n++);
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
    unlink(path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
        listen(fd, 1) < 0) {
        give_up("%s: %s", path, strerror(errno));
    }
    return fd;
}

static pid_t start(char *text, int err_fd)
{
    const char *prog = getenv("TERN");
    char *argv[MAX_ARGS];
    int n = 0;
    pid_t pid;

    argv[n++] = (char *)(prog ? prog : "build/tern");
    for (char *p = strtok(text, " "); p; p = strtok(NULL, " ")) {
        if (n == MAX_ARGS - 1) {
            give_up("too many arguments");
        }
        argv[n++] = p;
    }
    argv[n] = NULL;
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        alarm(0);
        if (err_fd >= 0) {
            dup2(err_fd, STDERR_FILENO);
        }
        execv(argv[0], argv);
        fprintf(stderr, "# qtest: %s: %s\n", argv[0], strerror(errno));
        _exit(127);
    }
    if (pid < 0) {
        give_up("fork: %s", strerror(errno));
    }
    return pid;
}

/* Another emulator has no accelerator without processors: its one processor halts
 * (cli; hlt; jmp back) at the reset vector, while everything else runs. */
static const char *halting(char *path, size_t n)
{
    static const uint8_t code[16] = { 0xfa, 0xf4, 0xeb, 0xfd };
    int fd;

    snprintf(path, n, "/tmp/tern-halt-XXXXXX");
    fd = mkstemp(path);
    if (fd < 0 || ftruncate(fd, 65520) ||
        pwrite(fd, code, sizeof(code), 65520) != sizeof(code)) {
        give_up("%s: %s", path, strerror(errno));
    }
    close(fd);
    return path;
}

/* Takes the emulator's connection, unless it ends before it makes one. */
static int take(QTest *q, int listener, const char *path)
{
    struct timeval brief = { .tv_usec = 100000 };
    int status;

    setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &brief, sizeof(brief));
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

        if (fd >= 0) {
            close(listener);
            unlink(path);
            return fd;
        }
        if (waitpid(q->pid, &status, WNOHANG) == q->pid) {
            unlink(path);
            give_up("the emulator did not start, wait status 0x%x", status);
        }
    }
}

QTest *qtest_start(const char *args, ...)
{
    QTest *q = calloc(1, sizeof(*q));
    const char *accel = getenv("QTEST_ACCEL");
    char qtest_path[64], qmp_path[64], bios[64] = "", *own, *text, *line;
    int qtest_fd = listen_at(qtest_path, sizeof(qtest_path));
    int qmp_fd = listen_at(qmp_path, sizeof(qmp_path));
    va_list ap;

    va_start(ap, args);
    if (vasprintf(&own, args, ap) < 0) {
        abort();
    }
    va_end(ap);
    q->free_clock = accel && strcmp(accel, "qtest") != 0;
    if (asprintf(&text, "-accel %s%s%s -display none -qtest unix:%s "
                 "-qtest-log none -qmp unix:%s %s", accel ? accel : "qtest",
                 q->free_clock ? " -bios " : "",
                 q->free_clock ? halting(bios, sizeof(bios)) : "",
                 qtest_path, qmp_path, own) < 0) {
        abort();
    }
    q->pid = start(text, -1);
    q->qmp.fd = take(q, qmp_fd, qmp_path);
    q->qtest.fd = take(q, qtest_fd, qtest_path);
    q->next_io = 0xc000;
    q->next_mem = 0xe0000000;
    get(&q->qmp, &line, true);
    if (!strstr(line, "\"QMP\"")) {
        give_up("QMP greets with %s", line);
    }
    qtest_qmp_ok(q, "{'execute': 'qmp_capabilities'}");
    unlink(bios);                      /* it has been read                    */
    free(own);
    free(text);
    return q;
}

void qtest_quit(QTest *q)
{
    int status;

    free(qtest_qmp(q, "{'execute': 'quit'}"));
    if (waitpid(q->pid, &status, 0) != q->pid || status != 0) {
        give_up("the emulator ended with wait status 0x%x", status);
    }
    close(q->qtest.fd);
    close(q->qmp.fd);
    free(q->qtest.buf);
    free(q->qmp.buf);
    for (unsigned i = 0; i < q->n_events; i++) {
        free(q->events[i]);
    }
    free(q);
}

int qtest_run(char **text, const char *args, ...)
{
    char *own, *out = NULL;
    size_t n = 0;
    int fds[2], status;
    va_list ap;
    FILE *f;
    pid_t pid;

    va_start(ap, args);
    if (vasprintf(&own, args, ap) < 0 || pipe(fds) < 0) {
        abort();
    }
    va_end(ap);
    pid = start(own, fds[1]);
    close(fds[1]);
    f = fdopen(fds[0], "r");
    if (getdelim(&out, &n, 0, f) < 0) {
        free(out);
        out = strdup("");
    }
    fclose(f);
    free(own);
    waitpid(pid, &status, 0);
    if (text) {
        *text = out;
    } else {
        free(out);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

bool qtest_has_clock(const QTest *q)
{
    return !q->free_clock;
}

/* ---- qtest -------------------------------------------------------------- */

/* Is it an interrupt notice? Notes it then. */
static bool note_irq(QTest *q, const char *line)
{
    char what[8];
    unsigned n;

    if (sscanf(line, "IRQ %7s %u", what, &n) != 2) {
        return false;
    }
    if (n >= MAX_IRQ) {
        give_up("interrupt line %u", n);
    }
    q->irq[n] = strcmp(what, "raise") == 0;
    q->raised[n] += q->irq[n];
    return true;
}

static const char *reply(QTest *q)
{
    char *line;

    do {
        get(&q->qtest, &line, true);
    } while (note_irq(q, line));
    return line;
}

static const char *raw(QTest *q, const char *fmt, va_list ap)
{
    char *text;
    int n = vasprintf(&text, fmt, ap);

    if (n < 0) {
        abort();
    }
    put(&q->qtest, text, n);
    put(&q->qtest, "\n", 1);
    free(text);
    return reply(q);
}

const char *qtest_raw(QTest *q, const char *fmt, ...)
{
    const char *line;
    va_list ap;

    va_start(ap, fmt);
    line = raw(q, fmt, ap);
    va_end(ap);
    return line;
}

/* The words after OK, "" if none. */
__attribute__((format(printf, 2, 3)))
static const char *ask(QTest *q, const char *fmt, ...)
{
    const char *line;
    va_list ap;

    va_start(ap, fmt);
    line = raw(q, fmt, ap);
    va_end(ap);
    if (strncmp(line, "OK", 2) != 0) {
        give_up("'%.100s' was answered with '%.200s'", fmt, line);
    }
    return line[2] ? line + 3 : line + 2;
}

static uint64_t number(const char *text)
{
    char *end;
    uint64_t v = strtoull(text, &end, 0);

    if (end == text || *end) {
        give_up("'%.100s' is not a number", text);
    }
    return v;
}

#define PORT(letter, type) \
    type qtest_in##letter(QTest *q, uint16_t port) \
    { \
        return number(ask(q, "in" #letter " 0x%x", port)); \
    } \
    void qtest_out##letter(QTest *q, uint16_t port, type v) \
    { \
        ask(q, "out" #letter " 0x%x 0x%" PRIx32, port, (uint32_t)v); \
    }
PORT(b, uint8_t)
PORT(w, uint16_t)
PORT(l, uint32_t)

#define MEMORY(letter, type) \
    type qtest_read##letter(QTest *q, uint64_t addr) \
    { \
        return number(ask(q, "read" #letter " 0x%" PRIx64, addr)); \
    } \
    void qtest_write##letter(QTest *q, uint64_t addr, type v) \
    { \
        ask(q, "write" #letter " 0x%" PRIx64 " 0x%" PRIx64, addr, \
            (uint64_t)v); \
    }
MEMORY(b, uint8_t)
MEMORY(w, uint16_t)
MEMORY(l, uint32_t)
MEMORY(q, uint64_t)

void qtest_read(QTest *q, uint64_t addr, void *buf, size_t len)
{
    const char *hex;
    uint8_t *p = buf;

    if (!len) {
        return;
    }
    hex = ask(q, "read 0x%" PRIx64 " 0x%zx", addr, len);
    if (strlen(hex) != 2 + 2 * len) {
        give_up("a read of %zu bytes gave %zu digits", len, strlen(hex));
    }
    for (size_t i = 0; i < len; i++) {
        sscanf(hex + 2 + 2 * i, "%2hhx", &p[i]);
    }
}

void qtest_write(QTest *q, uint64_t addr, const void *buf, size_t len)
{
    const uint8_t *p = buf;
    char *hex = malloc(2 * len + 1);

    for (size_t i = 0; i < len; i++) {
        snprintf(hex + 2 * i, 3, "%02x", p[i]);
    }
    if (len) {
        ask(q, "write 0x%" PRIx64 " 0x%zx 0x%s", addr, len, hex);
    }
    free(hex);
}

void qtest_memset(QTest *q, uint64_t addr, uint8_t byte, size_t len)
{
    ask(q, "memset 0x%" PRIx64 " 0x%zx 0x%02x", addr, len, byte);
}

int64_t qtest_clock_step(QTest *q, int64_t ns)
{
    return number(ask(q, "clock_step %" PRId64, ns));
}

int64_t qtest_clock_step_next(QTest *q)
{
    return number(ask(q, "clock_step"));
}

int64_t qtest_clock_set(QTest *q, int64_t ns)
{
    return number(ask(q, "clock_set %" PRId64, ns));
}

void qtest_irq_intercept_in(QTest *q, const char *path)
{
    ask(q, "irq_intercept_in %s", path);
}

void qtest_irq_intercept_out(QTest *q, const char *path)
{
    ask(q, "irq_intercept_out %s", path);
}

static void drain(QTest *q)
{
    char *line;

    while (get(&q->qtest, &line, false)) {
        if (!note_irq(q, line)) {
            give_up("'%.100s' came without a request", line);
        }
    }
}

bool qtest_irq(QTest *q, unsigned n)
{
    drain(q);
    return q->irq[n % MAX_IRQ];
}

unsigned qtest_irq_raised(QTest *q, unsigned n)
{
    drain(q);
    return q->raised[n % MAX_IRQ];
}

void qtest_set_irq_in(QTest *q, const char *path, const char *name, unsigned n,
                      int level)
{
    ask(q, "set_irq_in %s %s %u %d", path, name ? name : "unnamed-gpio-in", n,
        level);
}

/* ---- QMP ---------------------------------------------------------------- */

void qtest_ignore_events(QTest *q)
{
    q->deaf = true;
}

static bool is_event(const char *line)
{
    return strstr(line, "\"event\": ") && strstr(line, "\"timestamp\": ");
}

static void keep(QTest *q, const char *line)
{
    if (q->deaf) {
        return;
    }
    if (q->n_events == MAX_EVENTS) {
        give_up("%u events that nobody asked for", MAX_EVENTS);
    }
    q->events[q->n_events++] = strdup(line);
}

static char *qmp(QTest *q, const char *fmt, va_list ap)
{
    char *text, *line;
    int n = vasprintf(&text, fmt, ap);

    if (n < 0) {
        abort();
    }
    /* The closing brace ends a request: whoever was told to quit may be gone
     * before a line's end could follow. */
    put(&q->qmp, text, n);
    free(text);
    for (;;) {
        get(&q->qmp, &line, true);
        if (!is_event(line)) {
            return strdup(line);
        }
        keep(q, line);
    }
}

char *qtest_qmp(QTest *q, const char *fmt, ...)
{
    va_list ap;
    char *line;

    va_start(ap, fmt);
    line = qmp(q, fmt, ap);
    va_end(ap);
    return line;
}

void qtest_qmp_ok(QTest *q, const char *fmt, ...)
{
    va_list ap;
    char *line;

    va_start(ap, fmt);
    line = qmp(q, fmt, ap);
    va_end(ap);
    if (!strstr(line, "\"return\"")) {
        give_up("'%.100s' was answered with %s", fmt, line);
    }
    free(line);
}

static bool event_is(const char *line, const char *name)
{
    const char *at = strstr(line, "\"event\": \"");
    size_t n = strlen(name);

    return at && strncmp(at + 10, name, n) == 0 && at[10 + n] == '"';
}

static char *take_event(QTest *q, const char *name)
{
    for (unsigned i = 0; i < q->n_events; i++) {
        char *line = q->events[i];

        if (event_is(line, name)) {
            q->n_events--;
            memmove(&q->events[i], &q->events[i + 1],
                    (q->n_events - i) * sizeof(line));
            return line;
        }
    }
    return NULL;
}

char *qtest_event(QTest *q, const char *name)
{
    char *line = take_event(q, name);

    while (!line) {
        char *next;

        get(&q->qmp, &next, true);
        keep(q, next);
        line = take_event(q, name);
    }
    return line;
}

bool qtest_event_seen(QTest *q, const char *name)
{
    char *line;

    while (get(&q->qmp, &line, false)) {
        keep(q, line);
    }
    line = take_event(q, name);
    free(line);
    return line != NULL;
}

char *qtest_hmp(QTest *q, const char *command)
{
    char *line = qtest_qmp(q, "{'execute': 'human-monitor-command', "
                           "'arguments': {'command-line': '%s'}}", command);
    char *from = strstr(line, "\"return\": \""), *to = line;

    if (!from) {
        give_up("'%s' was answered with %s", command, line);
    }
    for (from += 11; *from && *from != '"'; from++) {
        if (*from == '\\') {
            from++;
            *to++ = *from == 'n' ? '\n' : *from == 'r' ? '\r'
                  : *from == 't' ? '\t' : *from;
        } else {
            *to++ = *from;
        }
    }
    *to = 0;
    return line;
}

uint64_t qpci_space(QTest *q, bool io, uint64_t size)
{
    uint64_t at = io ? q->next_io : q->next_mem;
    uint64_t end = io ? 0x10000 : 0xfe000000;

    at = (at + size - 1) & ~(size - 1);
    if (at + size > end) {
        give_up("no room for a BAR of %" PRIu64 " bytes", size);
    }
    if (io) {
        q->next_io = at + size;
    } else {
        q->next_mem = at + size;
    }
    return at;
}
