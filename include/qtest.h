/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qtest.h - the qtest protocol server (-qtest, -qtest-log). MACHINE_CALL.
 */
#ifndef TERN_QTEST_H
#define TERN_QTEST_H

#include "error.h"

/* chardev: a short form or "chardev:ID" as -serial takes it. log: a file, "none",
 * or NULL for stderr. */
bool qtest_server_start(const char *chardev, const char *log, Error **errp)
    MACHINE_CALL;
void qtest_server_stop(void) MACHINE_CALL;

#endif
