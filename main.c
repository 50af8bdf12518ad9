/* SPDX-License-Identifier: GPL-2.0-or-later */
/* main.c - argv -> settings -> machine -> loop. */
#include <signal.h>
#include "loop.h"
#include "settings.h"

int main(int argc, char **argv)
{
    Error *err = NULL;
    int code;

    report_name_set(argv[0]);
    signal(SIGPIPE, SIG_IGN);
    machine_lock();
    code = settings_parse(argc, argv);
    if (!code && !startup(&err)) {
        error_report(err);
        shutdown_all();
        code = 2;
    } else if (!code) {
        loop_run();
        shutdown_all();
    }
    machine_unlock();
    return code ? code - 1 : exit_status;
}
