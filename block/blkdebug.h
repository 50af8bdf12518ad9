/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blkdebug.h - rules of the fault injector, and its breakpoints.
 *
 * Thread class: LOOP_CALL(node's loop); parsing MACHINE_CALL.
 */
#ifndef TERN_BLOCK_BLKDEBUG_H
#define TERN_BLOCK_BLKDEBUG_H

#include "block/driver.h"

typedef enum DebugAction { DEBUG_INJECT, DEBUG_STATE, DEBUG_SUSPEND }
    DebugAction;
typedef struct DebugRule {
    DebugAction action;
    int event;                         /* BlkdebugEvent                       */
    int state;                         /* 0: any                              */
    int error, new_state;
    unsigned iotypes;                  /* bit for each BlkdebugIOType         */
    int64_t sector;                    /* -1: any                             */
    bool once, immediately, active;
    char *tag;                         /* of a breakpoint                     */
    struct DebugRule *next;
} DebugRule;
typedef struct DebugStop {             /* a request that a breakpoint holds   */
    char *tag;
    Co *co;
    struct DebugStop *next;
} DebugStop;

typedef struct Blkdebug {
    BlkNode node;
    char *config;                      /* properties                          */
    uint64_t align, max_transfer, opt_zero, max_zero, opt_discard, max_discard;
    DebugRule *rules;
    DebugStop *stops;
    int state;
    char *stop_next;                   /* tag: the next request is held       */
} Blkdebug;

/* A list of objects as blockdev-add has it. */
bool debug_rules_add(Blkdebug *d, bool inject, const Json *list, Error **errp);
bool debug_config_read(Blkdebug *d, Error **errp);
void debug_rules_free(Blkdebug *d);

#endif
