/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2-dir.h - a folder for the images of one test of qcow2, in memory where
 * that is possible: a flush costs nothing there. It goes with the test, or with
 * the program when the test was left.
 */
#ifndef TESTS_QCOW2_DIR_H
#define TESTS_QCOW2_DIR_H

#include <glib.h>
#include "tests/tern-test.h"

static char dir[40];
static char *img;                      /* the image in it                     */

static void dir_clean(void)
{
    g_autofree char *cmd = g_strdup_printf("rm -rf %s", dir);

    CHECK_EQ(system(cmd), 0);
}

static void dir_begin(void)
{
    if (!img) {
        atexit(dir_clean);
    } else {
        dir_clean();                   /* of a test that was left             */
    }
    strcpy(dir, access("/dev/shm", W_OK) ? "/tmp/tern-qcow2-XXXXXX"
                                         : "/dev/shm/tern-qcow2-XXXXXX");
    REQUIRE(mkdtemp(dir));
    img = g_strdup_printf("%s/img.qcow2", dir);
}

static void dir_end(void)
{
    dir_clean();
    g_free(img);
}

#endif
