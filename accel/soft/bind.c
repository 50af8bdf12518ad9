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

static const Bind *find(const char *name)
{
    static const Bind *const sets[] = {
        soft_binds_int, soft_binds_misc, soft_binds_flow, soft_binds_str,
        soft_binds_sys, soft_binds_x87, soft_binds_vec,
    };

    for (unsigned i = 0; i < ARRAY_SIZE(sets); i++) {
        for (const Bind *b = sets[i]; b->fn; b++) {
            /* a set may end with one that takes every vector form */
            if (!b->name || !strcmp(b->name, name)) {
                return b;
            }
        }
    }
    return NULL;
}

static void build(void)
{
    for (unsigned i = 0; i < insn_row_count && i < ARRAY_SIZE(row_bind); i++) {
        row_bind[i] = find(insn_rows[i].name);
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
