/* SPDX-License-Identifier: GPL-2.0-or-later */
/* main.c - argv -> settings -> machine -> loop. */
#include <signal.h>
#include "loop.h"
#include "settings.h"
#include "hw/machine/startup.h"

int main(int argc, char **argv)
{
    Error *err = NULL;
    int code;

    report_name_set(argv[0]);
    signal(SIGPIPE, SIG_IGN);
    machine_lock();
    code = settings_parse(argc, argv);
    if (!code && !startup(&err)) {
        if (settings.dry_run) {
            dry_run_problem(err);
            dry_run_end();
        } else {
            option_report(err);
        }
        shutdown_all();
        code = 2;
    } else if (!code && (settings.dry_run || settings.print_config)) {
        code = settings.dry_run && dry_run_end() ? 2 : 1;
        shutdown_all();
    } else if (code && settings.dry_run) {
        dry_run_end();
    } else if (!code) {
        loop_run();
        shutdown_all();
    }
    machine_unlock();
    return code ? code - 1 : exit_status;
}
