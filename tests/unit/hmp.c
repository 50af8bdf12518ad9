/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An HMP session over a socket pair: monitor/hmp.c, complete.c. */
#include "tests/tern-test.h"
#include "tests/mon-port.h"
#include "config.h"
#include "schema/schema.h"

static TestPort *port;

static void begin(void)
{
    Error *err = NULL;

    if (!machine_locked()) {
        machine_lock();
    }
    port = test_port_new();
    CHECK(mon_add(&port->port, false, false, &err));
    char *hello = hear_until(port, "(qemu) ");
    CHECK_STR(hello, "QEMU 7.2.22 monitor - type 'help' for more information"
              "\r\n(qemu) ");
    g_free(hello);
}

static void end(void)
{
    mon_fini();
    test_port_free(port);
}

/* What a line prints, between its echo and the next prompt. */
static char *run(const char *line)
{
    g_autofree char *sent = g_strconcat(line, "\r", NULL);
    char *s, *from, *to;

    say(port, sent);
    s = hear_until(port, "(qemu) ");
    from = strstr(s, "\r\n");
    to = g_strrstr(s, "(qemu) ");
    REQUIRE(from && to);
    *to = 0;
    from = g_strdup(from + 2);
    g_free(s);
    return from;
}

#define PRINTS(line, want) do { \
    char *s_ = run(line); \
    CHECK_STR(s_, want); \
    g_free(s_); \
} while (0)

/* The same by human-monitor-command's way. */
#define LINE(line, want) do { \
    char *s_ = mon_hmp_line(line, 0); \
    CHECK_STR(s_, want); \
    g_free(s_); \
} while (0)

TEST(a_session)
{
    char *s;

    begin();
    PRINTS("", "");
    PRINTS("nope", "unknown command: 'nope'\r\n");
    PRINTS("info nope", "unknown command: 'info nope'\r\n");
    PRINTS("print 1+2", "0x3\r\n");
    PRINTS("p/d -1", "-1\r\n");
    PRINTS("p 1 2", "print|p: extraneous characters at the end of line\r\n"
           "Try \"help p\" for more information\r\n");
    PRINTS("help p", "print|p /fmt expr -- print expression value (use $reg for "
           "CPU register access)\r\n");
    PRINTS("info version", "7.2.22tern-" TERN_VERSION "\r\n");
    s = run("help");
    CHECK_CONTAINS(s, "help|? [cmd] -- show the help\r\n");
    CHECK_CONTAINS(s, "quit|q  -- quit the emulator\r\n");
    g_free(s);
    s = run("info");
    CHECK_CONTAINS(s, "info history  -- show the command line history\r\n");
    CHECK(!strstr(s, "quit"));
    g_free(s);
    end();
}

TEST(history_and_editing)
{
    begin();
    PRINTS("p/x 1", "0x1\r\n");
    PRINTS("\033[A", "0x1\r\n");
    PRINTS("p 12\x7f", "0x1\r\n");
    PRINTS("info history",
           "0: 'p/x 1'\r\n1: 'p 1'\r\n2: 'info history'\r\n");
    end();
}

TEST(completion)
{
    char *s;

    begin();
    say(port, "info hist\t");
    s = hear_until(port, "history ");
    CHECK_CONTAINS(s, "ory ");
    g_free(s);
    s = run("");
    CHECK_CONTAINS(s, "0: 'info history '");
    g_free(s);
    say(port, "obje\t\t");
    s = hear_until(port, "object_del");
    CHECK_CONTAINS(s, "object_add");
    g_free(s);
    PRINTS("\x15", "");
    end();
}

TEST(lines)
{
    if (!machine_locked()) {
        machine_lock();
    }
    LINE("", "");
    LINE("   ", "");
    LINE("p 5", "0x5\r\n");
    LINE(" p   'a'", "0x61\r\n");
    LINE("p/c 65", "'A'\r\n");
    LINE("p/c 10", "'\\n'\r\n");
    LINE("p/c 300", "'\\x12c'\r\n");
    LINE("p/o 8", "010\r\n");
    LINE("p/u -1", "18446744073709551615\r\n");
    LINE("info version x", "version: extraneous characters at the end of line"
         "\r\nTry \"help info version\" for more information\r\n");
    LINE("help info version", "info version  -- show the version\r\n");
    LINE("help nope", "unknown command: 'nope'\r\n");
    LINE("closefd x", "Error: File descriptor named 'x' not found\r\n");
    LINE("trace-event foo on", "unknown event \"foo\"\r\n");
    LINE("info trace-events nope*", "");
    LINE("watchdog_action foo", "Error: invalid parameter value: foo\r\n");
}

TEST(objects)
{
    if (!machine_locked()) {
        machine_lock();
    }
    LINE("object_add", "object_add: string expected\r\n"
         "Try \"help object_add\" for more information\r\n");
    LINE("object_add foo,id=a",
         "Error: Parameter 'qom-type' does not accept value 'foo'\r\n");
    LINE("object_add iothread", "Error: Parameter 'id' is missing\r\n");
    LINE("object_add iothread,id=io1,poll-max-ns=5", "");
    LINE("qom-get /objects/io1 poll-max-ns", "5\r\n");
    LINE("qom-set /objects/io1 poll-max-ns 7", "");
    LINE("qom-get io1 poll-max-ns", "7\r\n");
    LINE("qom-set -j /objects/io1 poll-max-ns 8", "");
    LINE("qom-get /objects/io1 poll-max-ns", "8\r\n");
    LINE("qom-set /objects/io1 nope 1",
         "Error: Property 'iothread.nope' not found\r\n");
    LINE("qom-set /objects/io1 type a",
         "Error: Property 'iothread.type' is not writable\r\n");
    LINE("qom-list /nope", "Error: Device '/nope' not found\r\n");
    LINE("qom-list", "/\r\n");
    LINE("object_add iothread,id=io1", "Error: attempt to add duplicate "
         "property 'io1' to object (type 'container')\r\n");
    LINE("info qom-tree /objects", "/objects (container)\r\n"
         "  /io1 (iothread)\r\n");
    LINE("object_del io1", "");
    LINE("object_del io1", "Error: object 'io1' not found\r\n");
}

TEST(two_sessions_do_not_mix)
{
    TestPort *first, *second;
    char *s;

    begin();
    first = port;
    begin();
    second = port;
    port = first;
    PRINTS("p/x 1", "0x1\r\n");
    port = second;
    PRINTS("p/x 2", "0x2\r\n");
    PRINTS("info history", "0: 'p/x 2'\r\n1: 'info history'\r\n");
    s = hear_until(first, "\001");
    CHECK_STR(s, "");
    g_free(s);
    mon_fini();
    test_port_free(first);
    test_port_free(second);
}

TEST(random_lines)
{
    static const char letters[] = "\t\x7f\x08\x10\033[A\x15 \"\\/x$(1+";
    uint32_t seed = 11;
    char *s;

    TEST_LIMIT(120);
    begin();
    for (int i = 0; i < 4000; i++) {
        char line[120];
        int n = 0;

        seed = seed * 1664525 + 1013904223;
        const Command *c = &commands[(seed >> 8) % command_count];
        /* None that ends the program, writes files or fills the log. */
        if (c->hmp && strcmp(c->hmp, "quit") && strcmp(c->hmp, "log") &&
            !strstr(c->hmp_args, "file") && strncmp(c->hmp, "trace", 5)) {
            n = snprintf(line, sizeof(line), "%s ", c->hmp);
        }
        for (int k = seed % 20; k > 0; k--) {
            seed = seed * 1664525 + 1013904223;
            line[n++] = letters[(seed >> 16) % (sizeof(letters) - 1)];
        }
        line[n++] = '\r';
        line[n] = 0;
        say(port, line);
        g_free(hear_until(port, ""));
        loop_step(false);
        char junk[65536];
        while (read(port->client, junk, sizeof(junk)) > 0) {
        }
    }
    say(port, "\x15\x0b");
    g_free(hear_until(port, NULL));
    s = run("p/x 77");
    CHECK_CONTAINS(s, "0x4d\r\n");
    g_free(s);
    end();
}
