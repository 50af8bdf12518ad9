/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bind.c - which handler serves which row of the instruction table. Rows and
 * handlers meet by name, once.
 *
 * Thread class: ANY_THREAD.
 */
#include <pthread.h>
#include "soft.h"

static const Bind *row_bind[4096];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static bool vector_row(const InsnRow *row)
{
    for (int i = 0; i < 4; i++) {
        unsigned k = OSPEC_KIND(row->o[i]);

        if (k >= OK_P && k <= OK_L) {
            return true;
        }
    }
    return false;
}

static const Bind *find(const InsnRow *row)
{
    const char *name = row->name;
    static const Bind *const sets[] = {
        soft_binds_int, soft_binds_misc, soft_binds_flow, soft_binds_str,
        soft_binds_sys, soft_binds_xsave, soft_binds_x87, soft_binds_vec,
    };

    for (unsigned i = 0; i < ARRAY_SIZE(sets); i++) {
        for (const Bind *b = sets[i]; b->name; b++) {
            /* "*f": every x87 form that has no name above; "*v": vectors */
            if (!strcmp(b->name, name) ||
                (!strcmp(b->name, "*f") && row->map == MAP_1 &&
                 (row->op & 0xf8) == 0xd8) ||
                (!strcmp(b->name, "*v") && vector_row(row))) {
                return b;
            }
        }
    }
    return NULL;
}

static void build(void)
{
    for (unsigned i = 0; i < insn_row_count && i < ARRAY_SIZE(row_bind); i++) {
        row_bind[i] = find(&insn_rows[i]);
    }
}

const Bind *soft_bind(unsigned row)
{
    pthread_once(&once, build);
    return row_bind[row];
}

bool soft_feature_done(unsigned feat)
{
    for (unsigned i = 0; i < insn_row_count; i++) {
        if (insn_rows[i].feat == feat && !soft_bind(i)) {
            return false;
        }
    }
    return true;
}
