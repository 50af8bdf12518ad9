/* SPDX-License-Identifier: GPL-2.0-or-later */
/* specific.c - values for people, on stdout. ANY_THREAD. */
#include "block/image-text.h"
#include "tools/tool.h"

void tool_print_json(const Json *v, int depth)
{
    g_autoptr(GString) text = g_string_new(NULL);

    blk_specific_text(text, v, depth);
    fputs(text->str, stdout);
}
