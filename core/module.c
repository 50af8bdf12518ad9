/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * module.c - loads modules from the build folder or where they are installed.
 *
 * Thread: any. 1. A module is loaded at most once and never unloaded, so that
 * what module_symbol returned stays valid.
 */
#include <dlfcn.h>
#include <glib.h>
#include <pthread.h>
#include <unistd.h>
#include "config.h"
#include "module.h"

/* The path of a module's file; caller g_frees. NULL: in none of the places. */
static char *module_path(const char *name)
{
    const char *dir = secure_getenv("TERN_MODULE_DIR");
    char *self = g_file_read_link("/proc/self/exe", NULL);
    char *here = g_path_get_dirname(self ? self : "");
    char *file = g_strdup_printf("%s.so", name);
    char *places[] = {
        dir ? g_build_filename(dir, file, NULL) : g_strdup(""),
        g_build_filename(here, "modules", file, NULL),
        g_build_filename(CONFIG_MODULEDIR, file, NULL),
    };
    char *found = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        if (!found && places[i][0] == '/' && access(places[i], R_OK) == 0) {
            found = places[i];
        } else {
            g_free(places[i]);
        }
    }
    g_free(file);
    g_free(here);
    g_free(self);
    return found;
}

bool module_present(const char *name)
{
    char *path = module_path(name);

    g_free(path);
    return path != NULL;
}

const void *module_symbol(const char *name, const char *symbol, Error **errp)
{
    char *path = module_path(name);
    const char *version;
    const void *p;
    void *handle;

    if (!path) {
        error_set(errp, "module '%s' is not installed", name);
        error_hint(errp, "It is expected in %s.", CONFIG_MODULEDIR);
        return NULL;
    }
    handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    g_free(path);
    if (!handle) {
        error_set(errp, "module '%s': %s", name, dlerror());
        return NULL;
    }
    version = dlsym(handle, "tern_module_version");
    if (!version || strcmp(version, TERN_VERSION) != 0) {
        error_set(errp, "module '%s' is of version %s, this program of %s",
                  name, version ? version : "unknown", TERN_VERSION);
        dlclose(handle);
        return NULL;
    }
    p = dlsym(handle, symbol);
    if (!p) {
        error_set(errp, "module '%s' does not define '%s'", name, symbol);
    }
    return p;
}
