/* SPDX-License-Identifier: GPL-2.0-or-later */
/* core/schema.c: JSON to struct and back over generated tables. */
#include <glib.h>
#include "tests/tern-test.h"
#include "schema/schema.h"

static Json *parse(const char *text)
{
    Error *err = NULL;
    Json *v = json_parse(text, strlen(text), &err);

    if (!v) {
        FAIL("%s: %s", text, error_text(err));
        abort();
    }
    return v;
}

/* What the walker says to a value: NULL when it takes it. Checks that checking
 * alone says the same. */
static char *verdict(const QType *t, const char *text, bool strings)
{
    Json *v = parse(text);
    Error *err = NULL, *err2 = NULL;
    void *p = g_malloc0(t->size);
    bool ok = schema_parse(t, v, strings, p, &err);
    char *said = ok ? NULL : g_strdup(error_text(err));

    if (!strings) {
        CHECK_EQ(schema_check(t, v, &err2), ok);
        CHECK(ok || !strcmp(error_text(err2), said));
        error_free(err2);
    }
    if (ok && !strings) {
        Json *back = schema_json(t, p);

        CHECK(json_equal(v, back));
        json_free(back);
    }
    schema_free(t, p);
    g_free(p);
    error_free(err);
    json_free(v);
    return said;
}

#define SAYS(t, text, want) do { \
    char *s_ = verdict(&qt_##t, text, false); \
    CHECK_STR(s_, want); \
    g_free(s_); \
} while (0)
#define SAYS_TEXT(t, text, want) do { \
    char *s_ = verdict(&qt_##t, text, true); \
    CHECK_STR(s_, want); \
    g_free(s_); \
} while (0)

TEST(structs)
{
    SAYS(StatusInfo, "{\"running\": true, \"singlestep\": false, \"status\": "
         "\"io-error\"}", NULL);
    SAYS(StatusInfo, "5", "Invalid parameter type for 'null', expected: object");
    SAYS(StatusInfo, "{}", "Parameter 'running' is missing");
    SAYS(StatusInfo, "{\"running\": 1}",
         "Invalid parameter type for 'running', expected: boolean");
    SAYS(StatusInfo, "{\"running\": true, \"singlestep\": false, \"status\": "
         "\"x\"}", "Parameter 'status' does not accept value 'x'");
    SAYS(StatusInfo, "{\"running\": true, \"singlestep\": false, \"status\": "
         "5}", "Invalid parameter type for 'status', expected: string");
    SAYS(StatusInfo, "{\"running\": true, \"singlestep\": false, \"status\": "
         "\"debug\", \"x\": 1}", "Parameter 'x' is unexpected");
    SAYS(VersionInfo, "{\"package\": \"p\", \"qemu\": {\"major\": 1, \"minor\": "
         "2}}", "Parameter 'qemu.micro' is missing");
}

TEST(optional_members)
{
    SAYS(MachineInfo, "{\"name\": \"a\", \"cpu-max\": 1, \"hotpluggable-cpus\": "
         "true, \"numa-mem-supported\": false, \"deprecated\": false}", NULL);
    SAYS(MachineInfo, "{\"name\": \"a\", \"alias\": \"\", \"is-default\": false, "
         "\"cpu-max\": 1, \"hotpluggable-cpus\": true, \"numa-mem-supported\": "
         "false, \"deprecated\": false}", NULL);
    /* A struct that may be left out, in a union with a tag. */
    SAYS(CpuInfoFast, "{\"cpu-index\": 0, \"qom-path\": \"/\", \"thread-id\": 1, "
         "\"target\": \"x86_64\"}", NULL);
    SAYS(CpuInfoFast, "{\"cpu-index\": 0, \"qom-path\": \"/\", \"thread-id\": 1, "
         "\"props\": {\"core-id\": 3}, \"target\": \"x86_64\"}", NULL);
    SAYS(CpuInfoFast, "{\"cpu-index\": 0, \"qom-path\": \"/\", \"thread-id\": 1, "
         "\"props\": {\"core\": 3}, \"target\": \"x86_64\"}",
         "Parameter 'props.core' is unexpected");
    SAYS(CpuModelInfo, "{\"name\": \"a\", \"props\": {\"b\": [1, null]}}", NULL);
}

TEST(numbers)
{
    SAYS(InetSocketAddress, "{\"host\": \"h\", \"port\": \"1\", \"to\": 65535}",
         NULL);
    SAYS(InetSocketAddress, "{\"host\": \"h\", \"port\": \"1\", \"to\": 65536}",
         "Parameter 'to' expects uint16_t");
    SAYS(InetSocketAddress, "{\"host\": \"h\", \"port\": \"1\", \"to\": -1}",
         "Parameter 'to' expects uint16_t");
    SAYS(InetSocketAddress, "{\"host\": \"h\", \"port\": \"1\", \"to\": 1.5}",
         "Invalid parameter type for 'to', expected: integer");
    SAYS(MemoryInfo, "{\"base-memory\": 18446744073709551615}", NULL);
    SAYS(MemoryInfo, "{\"base-memory\": -1}",
         "Parameter 'base-memory' expects uint64");
    SAYS(MemoryInfo, "{\"base-memory\": \"1M\"}",
         "Parameter 'base-memory' expects uint64");
    SAYS(BalloonInfo, "{\"actual\": -9223372036854775808}", NULL);
    SAYS(BalloonInfo, "{\"actual\": 9223372036854775808}",
         "Invalid parameter type for 'actual', expected: integer");
}

TEST(lists)
{
    SAYS(MigrateSetCapabilitiesArg, "{\"capabilities\": []}", NULL);
    SAYS(MigrateSetCapabilitiesArg, "{\"capabilities\": [{\"capability\": "
         "\"events\", \"state\": true}, {\"capability\": \"xbzrle\", \"state\": "
         "false}, {\"capability\": \"xbzrle\", \"state\": false}]}", NULL);
    SAYS(MigrateSetCapabilitiesArg, "{\"capabilities\": {\"a\": 1}}",
         "Invalid parameter type for 'capabilities', expected: array");
    SAYS(MigrateSetCapabilitiesArg, "{\"capabilities\": [5]}",
         "Invalid parameter type for 'capabilities[0]', expected: object");
    SAYS(MigrateSetCapabilitiesArg, "{\"capabilities\": [{\"capability\": "
         "\"events\", \"state\": true}, {\"capability\": \"xbzrle\"}]}",
         "Parameter 'capabilities[1].state' is missing");
}

TEST(unions)
{
    SAYS(SendKeyArg, "{\"keys\": [{\"type\": \"number\", \"data\": 3}, "
         "{\"type\": \"qcode\", \"data\": \"ctrl\"}]}", NULL);
    SAYS(SendKeyArg, "{\"keys\": [{\"type\": \"number\", \"data\": \"a\"}]}",
         "Invalid parameter type for 'keys[0].data', expected: integer");
    SAYS(SendKeyArg, "{\"keys\": [{\"type\": \"qcode\", \"data\": \"foo\"}]}",
         "Parameter 'data' does not accept value 'foo'");
    SAYS(SendKeyArg, "{\"keys\": [{\"type\": \"qcode\", \"datax\": \"a\"}]}",
         "Parameter 'keys[0].data' is missing");
    SAYS(SendKeyArg, "{\"keys\": [{\"type\": \"qcode\", \"data\": \"a\", \"x\": "
         "2}]}", "Parameter 'keys[0].x' is unexpected");
    SAYS(SendKeyArg, "{\"keys\": [{\"type\": 5}]}",
         "Invalid parameter type for 'keys[0].type', expected: string");
    SAYS(SocketAddressLegacy, "{\"type\": \"unix\", \"data\": {\"path\": "
         "\"/a\"}}", NULL);
    SAYS(SocketAddressLegacy, "{\"type\": \"unix\", \"data\": {\"path\": "
         "\"/a\", \"host\": \"b\"}}", "Parameter 'data.host' is unexpected");
}

TEST(open_sets)
{
    SAYS(ObjectOptions, "{\"qom-type\": \"iothread\", \"id\": \"a\", "
         "\"poll-max-ns\": 3}", NULL);
    SAYS(ObjectOptions, "{\"qom-type\": \"iothread\", \"id\": \"a\", "
         "\"poll-max-ns\": \"3\"}",
         "Invalid parameter type for 'poll-max-ns', expected: integer");
    SAYS(ObjectOptions, "{\"qom-type\": \"iothread\", \"id\": \"a\", \"x\": 3}",
         "Parameter 'x' is unexpected");
    SAYS(ObjectOptions, "{\"qom-type\": \"none-such\", \"id\": \"a\"}",
         "Parameter 'qom-type' does not accept value 'none-such'");
    SAYS(ObjectOptions, "{\"qom-type\": \"iothread\"}",
         "Parameter 'id' is missing");
    SAYS(DeviceAddArg, "{\"driver\": \"any\", \"id\": \"a\", \"x\": [3]}", NULL);
    SAYS(DeviceAddArg, "{\"id\": \"a\"}", "Parameter 'driver' is missing");
}

/* Leaves that are text, as command lines and HMP give them. */
TEST(text)
{
    SAYS_TEXT(ObjectOptions, "{\"qom-type\": \"iothread\", \"id\": \"a\", "
              "\"poll-max-ns\": \"0x10\"}", NULL);
    SAYS_TEXT(ObjectOptions, "{\"qom-type\": \"iothread\", \"id\": \"a\", "
              "\"poll-max-ns\": \"x\"}",
              "Parameter 'poll-max-ns' expects an int64 value");
    SAYS_TEXT(ObjectOptions, "{\"qom-type\": \"iothread\", \"id\": \"a\", "
              "\"foo\": \"x\"}", "Invalid parameter 'foo'");
    SAYS_TEXT(MemoryInfo, "{\"base-memory\": \"1.5k\"}", NULL);
    SAYS_TEXT(MemoryInfo, "{\"base-memory\": \"1Z\"}",
              "Parameter 'base-memory' expects a size value");
    SAYS_TEXT(InetSocketAddress, "{\"host\": \"h\", \"port\": \"1\", \"ipv4\": "
              "\"on\", \"ipv6\": \"off\"}", NULL);
    SAYS_TEXT(InetSocketAddress, "{\"host\": \"h\", \"port\": \"1\", \"ipv4\": "
              "\"foo\"}", "Parameter 'ipv4' expects 'on' or 'off'");
}

TEST(text_lists)
{
    Json *v = parse("{\"size\": \"4096\", \"host-nodes\": \"1,3-5\"}");
    MemoryBackendRamProperties m;

    REQUIRE(schema_parse(&qt_MemoryBackendRamProperties, v, true, &m, NULL));
    REQUIRE_EQ((int)m.host_nodes.n, 4);
    CHECK_EQ(m.host_nodes.v[0], 1);
    CHECK_EQ(m.host_nodes.v[3], 5);
    CHECK_EQ((int)m.size, 4096);
    CHECK(!m.has_dump);
    schema_free(&qt_MemoryBackendRamProperties, &m);
    json_free(v);
    SAYS_TEXT(MemoryBackendRamProperties, "{\"size\": \"1\", \"host-nodes\": "
              "\"5-1\"}",
              "Parameter 'host-nodes' expects a uint64 value or range");
    SAYS_TEXT(MemoryBackendRamProperties, "{\"size\": \"1\", \"host-nodes\": "
              "\"70000\"}", "Parameter 'host-nodes' expects uint16_t");
    /* a.0=x,a.1=y */
    SAYS_TEXT(AuthZListProperties, "{\"rules\": {\"0\": {\"match\": \"m\", "
              "\"policy\": \"deny\"}, \"1\": {\"match\": \"n\", \"policy\": "
              "\"allow\"}}}", NULL);
}

TEST(alternates)
{
    typedef struct Alt {
        int kind;
        union {
            StatusInfo *obj;
            char *str;
        } u;
    } Alt;
    static const QVariant branches[] = {
        { "obj", &qt_StatusInfo, offsetof(Alt, u) },
        { "str", &qt_str, offsetof(Alt, u) },
        { "nul", &qt_null, offsetof(Alt, u) },
        { .name = NULL }
    };
    static const QType qt_Alt = { .name = "Alt", .meta = QM_ALTERNATE,
                                  .size = sizeof(Alt), .variants = branches };

    SAYS(Alt, "\"x\"", NULL);
    SAYS(Alt, "null", NULL);
    SAYS(Alt, "{\"running\": true, \"singlestep\": false, \"status\": "
         "\"debug\"}", NULL);
    SAYS(Alt, "{\"running\": true, \"singlestep\": false}",
         "Parameter 'status' is missing");
    SAYS(Alt, "5", "Invalid parameter type for 'null', expected: Alt");
}

/* Values of every command's arguments made by turning bits of valid ones. */
TEST(every_type_survives_junk)
{
    static const char *const junk[] = {
        "null", "true", "[]", "{}", "-1", "\"x\"", "[[]]", "[null]", "1e300",
        "{\"type\": \"unix\"}", "{\"id\": 5}", "[{\"type\": 1}]",
        "{\"capabilities\": [{\"capability\": \"events\"}]}",
    };

    for (unsigned i = 0; i < qmp_command_count; i++) {
        for (size_t k = 0; k < ARRAY_SIZE(junk); k++) {
            if (commands[i].arg) {
                g_free(verdict(commands[i].arg, junk[k], false));
            }
            if (commands[i].ret) {
                g_free(verdict(commands[i].ret, junk[k], false));
            }
        }
    }
}

TEST(tables_are_whole)
{
    for (unsigned i = 1; i < qmp_command_count; i++) {
        CHECK(strcmp(commands[i - 1].name, commands[i].name) < 0);
    }
    for (unsigned i = 0; i < command_count; i++) {
        const Command *c = &commands[i];

        CHECK(c->doc && *c->doc);
        CHECK((c->name != NULL) == (i < qmp_command_count));
        CHECK(c->name || c->hmp);
        CHECK(!c->hmp || (c->hmp_help && *c->hmp_help));
    }
    for (const OptionRow *r = option_rows; r->name; r++) {
        CHECK(r->help && *r->help);
        CHECK_EQ(r->has_arg, r->params != NULL);
    }
}
