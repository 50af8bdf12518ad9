/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * corrupt.c - clients learn that an image is damaged.
 *
 * Thread class: ANY_THREAD; the event is made in the main loop, where the graph
 * may be looked at.
 */
#include <glib.h>
#include "block/driver.h"
#include "schema/schema.h"

typedef struct Told {
    char *node, *text;
    bool fatal;
    int64_t off, size;                 /* size 0: not known                   */
} Told;

static void tell(void *arg)
{
    Told *t = arg;
    const BlkNode *n;
    const char *device = "";
    BlockImageCorruptedEvent e = { .node_name = t->node, .msg = t->text,
                                   .fatal = t->fatal, .offset = t->off,
                                   .size = t->size, .has_offset = t->off >= 0,
                                   .has_size = t->size > 0 };

    machine_assert_locked();
    n = blk_node_find(t->node);
    for (const BlkParent *p = n ? n->parents : NULL; p; p = p->next) {
        device = p->blk ? blk_name(p->blk) : device;
    }
    e.device = g_strdup(device);
    monitor_event(&event_BLOCK_IMAGE_CORRUPTED, &e);
    g_free(e.device);
    g_free(t->node);
    g_free(t->text);
    g_free(t);
}

void blk_node_corrupted(BlkNode *n, bool fatal, int64_t off, int64_t size,
                        const char *text)
{
    Told *t = g_new(Told, 1);

    *t = (Told){ g_strdup(n->name), g_strdup(text), fatal, off, size };
    loop_post_fn(loop_main, tell, t);
}
