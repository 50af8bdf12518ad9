/* SPDX-License-Identifier: GPL-2.0-or-later */
/* modules.h - included by a unit test whose code loads modules: they are found
 * in the build folder, however the test is started. */
#ifndef TERN_TESTS_MODULES_H
#define TERN_TESTS_MODULES_H

#include <glib.h>
#include "module.h"

__attribute__((constructor)) static void find_modules(void)
{
    char *self = g_file_read_link("/proc/self/exe", NULL);
    char *dir = g_path_get_dirname(self);
    char *modules = g_build_filename(dir, "../../modules", NULL);

    setenv("TERN_MODULE_DIR", modules, 0);
    g_free(modules);
    g_free(dir);
    g_free(self);
}

#endif
