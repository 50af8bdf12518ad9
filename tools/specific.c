/* SPDX-License-Identifier: GPL-2.0-or-later */
/* specific.c - values for people, on stdout, and what they write for sizes and
 * cache modes. ANY_THREAD. */
#include <errno.h>
#include "block/image-text.h"
#include "opt.h"
#include "tools/tool.h"

void tool_print_json(const Json *v, int depth)
{
    g_autoptr(GString) text = g_string_new(NULL);

    blk_specific_text(text, v, depth);
    fputs(text->str, stdout);
}

/* -EINVAL: no number; -ERANGE: none that fits. */
int64_t tool_size(const char *text)
{
    uint64_t v;
    double d;
    char *end;

    if (opt_size("", text, 1, &v, NULL)) {
        return v > INT64_MAX ? -ERANGE : (int64_t)v;
    }
    errno = 0;
    d = g_ascii_strtod(text, &end);
    return end != text && d >= 18446744073709551616.0 && !*end ? -ERANGE
                                                               : -EINVAL;
}

bool tool_cache(const char *mode, unsigned *flags, bool *writethrough)
{
    static const struct {
        const char *name;
        unsigned flags;
        bool writethrough;
    } rows[] = {
        { "none", BLKO_DIRECT, false }, { "off", BLKO_DIRECT, false },
        { "directsync", BLKO_DIRECT, true }, { "writeback", 0, false },
        { "unsafe", BLKO_NO_FLUSH, false }, { "writethrough", 0, true },
    };

    *flags &= ~(BLKO_DIRECT | BLKO_NO_FLUSH);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (!strcmp(mode, rows[i].name)) {
            *flags |= rows[i].flags;
            *writethrough = rows[i].writethrough;
            return true;
        }
    }
    return false;
}
