/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A QMP session over a socket pair: monitor/qmp.c, dispatch.c, events.c. */
#include "tests/tern-test.h"
#include "tests/mon-port.h"
#include "config.h"
#include "schema/schema.h"

static TestPort *port;

static void begin(bool negotiate)
{
    Error *err = NULL;

    if (!machine_locked()) {
        machine_lock();
    }
    port = test_port_new();
    CHECK(mon_add(&port->port, true, false, &err));
    char *hello = hear_until(port, "\r\n");
    CHECK_STR(hello, "{\"QMP\": {\"version\": {\"qemu\": {\"major\": 7, "
              "\"minor\": 2, \"micro\": 22}, \"package\": \"tern-" TERN_VERSION
              "\"}, "
              "\"capabilities\": [\"oob\"]}}\r\n");
    g_free(hello);
    if (negotiate) {
        char *r = ask(port, "{\"execute\": \"qmp_capabilities\"}");

        CHECK_STR(r, "{\"return\": {}}\r\n");
        g_free(r);
    }
}

static void end(void)
{
    mon_fini();
    test_port_free(port);
}

#define EXPECT(request, reply) do { \
    char *r_ = ask(port, request); \
    CHECK_STR(r_, reply "\r\n"); \
    g_free(r_); \
} while (0)
#define ERR(class, desc) \
    "{\"error\": {\"class\": \"" class "\", \"desc\": \"" desc "\"}}"

TEST(negotiation)
{
    begin(false);
    EXPECT("{\"execute\": \"query-version\"}",
           ERR("CommandNotFound", "Expecting capabilities negotiation with "
               "'qmp_capabilities'"));
    EXPECT("{\"execute\": \"qmp_capabilities\", \"arguments\": {\"enable\": "
           "[\"foo\"]}}",
           ERR("GenericError", "Parameter 'enable[0]' does not accept value "
               "'foo'"));
    EXPECT("{\"execute\": \"qmp_capabilities\", \"id\": 1}",
           "{\"return\": {}, \"id\": 1}");
    EXPECT("{\"execute\": \"qmp_capabilities\"}",
           ERR("CommandNotFound", "Capabilities negotiation is already "
               "complete, command ignored"));
    end();
}

TEST(malformed_requests)
{
    begin(true);
    EXPECT("{\"execute\": \"nope\"}",
           ERR("CommandNotFound", "The command nope has not been found"));
    EXPECT("{\"execute\": \"query-versio\"}",
           ERR("CommandNotFound", "The command query-versio has not been "
               "found. Did you mean 'query-version'?"));
    EXPECT("{\"execute\": \"x-tern-print\", \"arguments\": {\"format\": "
           "\"x\", \"expr\": 255}}",
           "{\"return\": {\"human-readable-text\": \"0xff\\n\"}}");
    EXPECT("{\"execute\": \"x-tern-print\", \"arguments\": {\"expr\": 1}}",
           ERR("GenericError", "Parameter 'format' is missing"));
    EXPECT("{\"execute\": 5}",
           ERR("GenericError", "QMP input member 'execute' must be a string"));
    EXPECT("{\"exec\": \"x\"}",
           ERR("GenericError", "QMP input member 'exec' is unexpected"));
    EXPECT("{}", ERR("GenericError", "QMP input lacks member 'execute'"));
    EXPECT("[1]", ERR("GenericError", "QMP input must be a JSON object"));
    EXPECT("\"x\"", ERR("GenericError", "QMP input must be a JSON object"));
    EXPECT("{\"execute\": \"query-version\", \"arguments\": 1}",
           ERR("GenericError", "QMP input member 'arguments' must be an "
               "object"));
    EXPECT("{\"execute\": \"query-version\", \"arguments\": {\"a\": 1}}",
           ERR("GenericError", "Parameter 'a' is unexpected"));
    EXPECT("{\"exec-oob\": \"query-version\"}",
           ERR("GenericError", "QMP input member 'exec-oob' is unexpected"));
    EXPECT("{\"execute\": \"remove-fd\", \"id\": \"i\"}",
           "{\"id\": \"i\", \"error\": {\"class\": \"GenericError\", \"desc\": "
           "\"Parameter 'fdset-id' is missing\"}}");
    EXPECT("}", ERR("GenericError", "JSON parse error, expecting value"));
    EXPECT("{\"a\": tru}",
           ERR("GenericError", "JSON parse error, invalid keyword 'tru'"));
    EXPECT("{'execute': 'query-fdsets'}", "{\"return\": []}");
    end();
}

TEST(pipelined_and_split)
{
    char *r;

    begin(true);
    r = ask(port, "{\"execute\": \"query-fd");
    CHECK_STR(r, "");
    g_free(r);
    EXPECT("sets\"\n}", "{\"return\": []}");
    for (int i = 0; i < 50; i++) {
        say(port, "{\"execute\": \"query-fdsets\"}");
    }
    say(port, "{\"execute\": \"query-fdsets\", \"id\": \"last\"}");
    r = hear_until(port, "\"last\"}\r\n");
    CHECK_EQ((int)strlen(r), 50 * 16 + 30);
    g_free(r);
    end();
}

TEST(client_after_client)
{
    char *r;

    begin(true);
    test_port_reconnect(port, false);
    r = hear_until(port, "\r\n");
    CHECK_CONTAINS(r, "{\"QMP\": ");
    g_free(r);
    EXPECT("{\"execute\": \"query-fdsets\"}",
           ERR("CommandNotFound", "Expecting capabilities negotiation with "
               "'qmp_capabilities'"));
    EXPECT("{\"execute\": \"qmp_capabilities\"}", "{\"return\": {}}");
    end();
}

TEST(out_of_band)
{
    begin(false);
    EXPECT("{\"execute\": \"qmp_capabilities\", \"arguments\": {\"enable\": "
           "[\"oob\"]}}", "{\"return\": {}}");
    EXPECT("{\"exec-oob\": \"query-fdsets\", \"id\": 7}",
           "{\"id\": 7, \"error\": {\"class\": \"GenericError\", \"desc\": "
           "\"The command query-fdsets does not support OOB\"}}");
    EXPECT("{\"execute\": \"query-fdsets\", \"id\": 8}",
           "{\"return\": [], \"id\": 8}");
    EXPECT("{\"execute\": \"query-fdsets\", \"exec-oob\": \"x\"}",
           ERR("GenericError", "QMP input member 'execute' clashes with "
               "'exec-oob'"));
    end();
}

TEST(descriptors)
{
    char *r;

    begin(true);
    EXPECT("{\"execute\": \"getfd\", \"arguments\": {\"fdname\": \"a\"}}",
           ERR("GenericError", "No file descriptor supplied via SCM_RIGHTS"));
    port->scm_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    EXPECT("{\"execute\": \"getfd\", \"arguments\": {\"fdname\": \"1a\"}}",
           ERR("GenericError", "Parameter 'fdname' expects a name not starting "
               "with a digit"));
    port->scm_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    EXPECT("{\"execute\": \"getfd\", \"arguments\": {\"fdname\": \"a\"}}",
           "{\"return\": {}}");
    EXPECT("{\"execute\": \"closefd\", \"arguments\": {\"fdname\": \"a\"}}",
           "{\"return\": {}}");
    EXPECT("{\"execute\": \"closefd\", \"arguments\": {\"fdname\": \"a\"}}",
           ERR("GenericError", "File descriptor named 'a' not found"));
    port->scm_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    r = ask(port, "{\"execute\": \"add-fd\", \"arguments\": {\"opaque\": "
            "\"rdonly:/x\"}}");
    CHECK_CONTAINS(r, "{\"return\": {\"fdset-id\": 0, \"fd\": ");
    g_free(r);
    CHECK_EQ(fdset_open(0, O_RDWR, NULL), -1);
    int fd = fdset_open(0, O_RDONLY, NULL);
    CHECK_GE(fd, 0);
    EXPECT("{\"execute\": \"remove-fd\", \"arguments\": {\"fdset-id\": 0}}",
           "{\"return\": {}}");
    r = ask(port, "{\"execute\": \"query-fdsets\"}");
    CHECK_STR(r, "{\"return\": [{\"fdset-id\": 0, \"fds\": []}]}\r\n");
    g_free(r);
    fdset_close(fd);
    EXPECT("{\"execute\": \"query-fdsets\"}", "{\"return\": []}");
    EXPECT("{\"execute\": \"remove-fd\", \"arguments\": {\"fdset-id\": 3}}",
           ERR("GenericError", "File descriptor named 'fdset-id:3' not "
               "found"));
    end();
}

/* One event of each key at once, further ones when the second is over. */
static const QMember data_members[] = {
    { "id", &qt_str, 0, 0, 0, NULL, "key" },
    { "n", &qt_int, 8, 0, 0, NULL, "number" },
    { .name = NULL }
};
static const QType data_type = { .name = "Data", .meta = QM_STRUCT, .size = 16,
                                 .members = data_members };
static const Event limited = { .name = "LIMITED", .arg = &data_type,
                               .rate_ns = 200 * 1000000, .rate_key = "id" };
static const Event plain = { .name = "PLAIN" };
typedef struct Data {
    const char *id;
    int64_t n;
} Data;

TEST(events)
{
    char *r;

    begin(true);
    monitor_event(&plain, NULL);
    r = hear_until(port, "\r\n");
    CHECK_CONTAINS(r, "{\"timestamp\": {\"seconds\": ");
    CHECK_CONTAINS(r, "}, \"event\": \"PLAIN\"}\r\n");
    g_free(r);
    for (int i = 0; i < 5; i++) {
        monitor_event(&limited, &(Data){ "a", i });
        monitor_event(&limited, &(Data){ "b", 10 + i });
    }
    r = hear_until(port, "\"n\": 14}}\r\n");
    CHECK_CONTAINS(r, "{\"id\": \"a\", \"n\": 0}");
    CHECK_CONTAINS(r, "{\"id\": \"b\", \"n\": 10}");
    CHECK(!strstr(r, "\"n\": 1}"));
    CHECK(!strstr(r, "\"n\": 3}"));
    g_free(r);
    end();
}

TEST(no_events_before_negotiation)
{
    char *r;

    begin(false);
    monitor_event(&plain, NULL);
    r = hear_until(port, "\r\n");
    CHECK_STR(r, "");
    g_free(r);
    end();
}

/* A command that waits for events, as some of block's do. What comes meanwhile
 * waits for it; a client that goes meanwhile leaves nothing behind. */
static bool hang_up;

static bool waits_complete(Obj *o, Error **errp)
{
    if (hang_up) {
        test_port_reconnect(port, true);
    } else {
        say(port, "{\"execute\": \"query-fdsets\", \"id\": 2}");
    }
    for (int i = 0; i < 20; i++) {
        loop_step(false);
    }
    return true;
}
USER_TYPE(waits_type, {
    .name = "test-waits", .desc = "waits", .size = sizeof(Obj),
    .complete = waits_complete,
});
#define WAITS "{\"execute\": \"object-add\", \"id\": 1, \"arguments\": " \
    "{\"qom-type\": \"test-waits\", \"id\": \"w\"}}"

TEST(input_during_a_command_waits)
{
    char *r;

    begin(true);
    say(port, WAITS);
    r = hear_until(port, "\"id\": 2}\r\n");
    CHECK_STR(r, "{\"return\": {}, \"id\": 1}\r\n"
              "{\"return\": [], \"id\": 2}\r\n");
    g_free(r);
    CHECK(user_obj_del("w", NULL));
    end();
}

TEST(client_goes_during_a_command)
{
    char *r;

    begin(true);
    hang_up = true;
    say(port, WAITS "{\"execute\": \"query-fdsets\"}{\"a\": ");
    r = hear_until(port, NULL);
    CHECK_CONTAINS(r, "{\"QMP\": ");
    CHECK(!strstr(r, "return"));
    g_free(r);
    EXPECT("{\"execute\": \"qmp_capabilities\"}", "{\"return\": {}}");
    CHECK(user_obj_del("w", NULL));
    end();
}

/* Pieces of requests in any order: always an answer, never an end. */
TEST(random_input)
{
    static const char *const pieces[] = {
        "{", "}", "[", "]", ":", ",", "\"", "'", "\\", "\n", "\xff", "1e9",
        "true", "null", "-", "\"execute\"", "\"query-fdsets\"", "\"id\"",
        "\"arguments\"", "{\"execute\": \"query-version\"}", "\"\\ud800\"",
        ("{\"execute\": \"human-monitor-command\", \"arguments\": "
         "{\"command-line\": \"help\"}}"), "\"exec-oob\"", "\0", "[[[[[[",
    };
    uint32_t seed = 1;

    TEST_LIMIT(120);
    begin(true);
    for (int round = 0; round < 300; round++) {
        for (int i = 0; i < 40; i++) {
            seed = seed * 1664525 + 1013904223;
            say(port, pieces[(seed >> 8) % ARRAY_SIZE(pieces)]);
        }
        g_free(hear_until(port, ""));
        loop_step(false);
        char junk[65536];
        while (read(port->client, junk, sizeof(junk)) > 0) {
        }
    }
    /* A byte that cannot be in JSON ends whatever was open. */
    say(port, "\xff\xff\"\n\xff");
    g_free(hear_until(port, NULL));
    EXPECT("{\"execute\": \"query-fdsets\", \"id\": \"alive\"}",
           "{\"return\": [], \"id\": \"alive\"}");
    end();
}
