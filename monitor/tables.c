/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tables.c - look-up in the generated tables of commands and options.
 *
 * ANY_THREAD. Invariant: a row whose handler is not linked in is not found.
 */
#include "mon-impl.h"
#include "schema/schema.h"

static int by_name(const void *key, const void *row)
{
    return strcmp(key, ((const Command *)row)->name);
}

/* The HMP side is all there is: what it prints is text, or an error. */
NO_TSA bool command_is_twin(const Command *c)
{
    return c->name && !c->call && c->hmp_run &&
           (!c->ret || c->ret == &qt_HumanReadableText);
}

NO_TSA const Command *command_find(const char *name)
{
    const Command *c = bsearch(name, commands, qmp_command_count,
                               sizeof(*commands), by_name);

    return c && (c->call || command_is_twin(c)) ? c : NULL;
}

NO_TSA const OptionRow *option_find(const char *name)
{
    if (*name == '-') {                /* one dash or two                     */
        name += name[1] == '-' ? 2 : 1;
    }
    for (const OptionRow *r = option_rows; r->name; r++) {
        if (r->handle && (!strcmp(r->name, name) ||
                          (r->alias && !strcmp(r->alias, name)))) {
            return r;
        }
    }
    return NULL;
}
