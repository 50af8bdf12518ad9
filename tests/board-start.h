/* SPDX-License-Identifier: GPL-2.0-or-later */
/* board-start.h - a machine in the program of a test, made once. */
#ifndef TESTS_BOARD_START_H
#define TESTS_BOARD_START_H

#include <stdlib.h>
#include "settings.h"
#include "tests/tern-test.h"

/* argv[0..argc): as on the command line. The machine's lock stays held: one
 * thread, one test after the other. */
static void board_start(int argc, const char *const *argv)
    TSA(assert_capability(machine_domain));
static NO_TSA void board_start(int argc, const char *const *argv)
{
    static bool up;
    Error *err = NULL;

    if (up) {
        return;
    }
    report_name_set("tern");
    machine_lock();
    if (settings_parse(argc, (char **)(uintptr_t)argv) || !startup(&err)) {
        printf("# the board does not start: %s\n", err ? error_text(err) : "");
        abort();
    }
    up = true;
}

#endif
