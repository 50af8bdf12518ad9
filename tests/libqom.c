/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libqom.c - finds the board's own devices, whose paths are numbers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/libqtest.h"

char *qtest_path(QTest *q, const char *type, unsigned n)
{
    char *reply = qtest_qmp(q, "{'execute': 'qom-list', 'arguments': "
                            "{'path': '/machine/unattached'}}");
    char child[80], *path = NULL;

    snprintf(child, sizeof(child), "\"child<%s>\"", type);
    for (int i = 0; i < 200 && !path; i++) {
        char name[24], *at, *end, *kind;

        snprintf(name, sizeof(name), "\"device[%d]\"", i);
        at = strstr(reply, name);
        if (!at) {
            break;
        }
        /* Members come in either order: look within this object. */
        while (at > reply && *at != '{') {
            at--;
        }
        end = strchr(at, '}');
        kind = strstr(at, child);
        if (kind && kind < end && n-- == 0 &&
            asprintf(&path, "/machine/unattached/device[%d]", i) < 0) {
            abort();
        }
    }
    free(reply);
    if (!path) {
        printf("# qtest: the board has no %s\n", type);
        abort();
    }
    return path;
}
