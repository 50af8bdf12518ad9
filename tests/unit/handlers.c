/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which rows of schema/ have a handler in this program. Rows of parts that are
 * not linked in are listed; what monitor/ itself owns must be there.
 */
#include "tests/tern-test.h"
#include "schema/schema.h"

static bool present(const Command *c)
{
    machine_assert_locked();
    return c->call || c->hmp_run;
}

TEST(commands)
{
    static const char *const own[] = {
        "qmp_capabilities", "query-version", "query-commands",
        "query-qmp-schema", "quit", "human-monitor-command", "getfd", "closefd",
        "add-fd", "remove-fd", "query-fdsets", "trace-event-get-state",
        "trace-event-set-state", "query-command-line-options", "qom-list",
        "qom-get", "qom-set", "qom-list-types", "qom-list-properties",
        "object-add", "object-del", "query-iothreads", "set-action",
        "query-status", "stop", "cont", "system_reset", "query-machines",
    };

    if (!machine_locked()) {
        machine_lock();
    }
    for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
        if (!command_find(own[i])) {
            FAIL("%s has no handler", own[i]);
        }
    }
    for (unsigned i = 0; i < command_count; i++) {
        if (!present(&commands[i])) {
            printf("# no handler: %s\n", commands[i].name ? commands[i].name
                                                          : commands[i].hmp);
        }
    }
    CHECK(!command_find("none-such"));
    CHECK(!command_find(""));
}

/* A reply is printed by its own function, or the whole line is handled. */
TEST(replies_for_people)
{
    if (!machine_locked()) {
        machine_lock();
    }
    for (unsigned i = 0; i < qmp_command_count; i++) {
        const Command *c = &commands[i];

        machine_assert_locked();
        if (c->hmp && c->call && c->ret && !c->hmp_print && !c->hmp_run) {
            printf("# prints as JSON: %s\n", c->hmp);
        }
    }
}

TEST(options)
{
    for (const OptionRow *r = option_rows; r->name; r++) {
        if (!option_find(r->name)) {
            printf("# no handler: -%s\n", r->name);
        }
    }
    CHECK_STR(option_find("-device") ? option_find("--device")->name : "device",
              "device");
    CHECK(!option_find("-none-such"));
}
