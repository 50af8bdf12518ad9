/* SPDX-License-Identifier: GPL-2.0-or-later */
/* specific.c - values for people: one line each, four columns in for each level.
 * ANY_THREAD. */
#include "tools/tool.h"

static void member_dump(const char *key, const Json *v, int depth)
{
    bool inner = json_kind(v) == JSON_LIST || json_kind(v) == JSON_OBJ;

    printf("%*s%s:%c", depth * 4, "", key, inner ? '\n' : ' ');
    tool_print_json(v, depth + 1);
    if (!inner) {
        printf("\n");
    }
}

void tool_print_json(const Json *v, int depth)
{
    g_autofree char *text = NULL;
    char key[24];

    switch (json_kind(v)) {
    case JSON_OBJ:
        for (size_t i = 0; i < json_count(v); i++) {
            g_autofree char *name = g_strdelimit(g_strdup(json_key_at(v, i)),
                                                 "-", ' ');

            member_dump(name, json_value_at(v, i), depth);
        }
        break;
    case JSON_LIST:
        for (size_t i = 0; i < json_count(v); i++) {
            snprintf(key, sizeof(key), "[%zu]", i);
            member_dump(key, json_at(v, i), depth);
        }
        break;
    case JSON_STR:
        printf("%s", json_str_of(v));
        break;
    default:
        text = json_text(v, false, NULL);
        printf("%s", text);
        break;
    }
}
