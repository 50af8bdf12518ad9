/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * json-priv.h - the layout of JSON values, shared by core/json*.c only.
 */
#ifndef TERN_JSON_PRIV_H
#define TERN_JSON_PRIV_H

#include "json.h"

typedef struct JsonMember {
    char *key;
    Json *v;
} JsonMember;

struct Json {
    JsonKind kind;
    uint32_t n, cap;                   /* list, object                        */
    union {
        bool b;
        int64_t i;
        uint64_t u;
        double d;
        char *s;
        Json **list;
        JsonMember *obj;
    };
    uint32_t *index;                   /* object: hash slots, 0 empty, else
                                          position + 1; NULL while small      */
    uint32_t index_mask;
};

/* Takes the string / key: no copy, no check. */
Json *json_str_take(char *s);
/* Appends without looking for the key; takes key. */
void json_append(Json *obj, char *key, Json *v);

/* Length of the UTF-8 sequence at p (n bytes are there), 0 when it is not one.
 * Surrogates, overlong forms, noncharacters values above U+10FFFF are not. */
unsigned utf8_next(const char *p, size_t n, uint32_t *cp);
/* Writes 1..4 bytes; U+0000 becomes C0 80, so that it can stand in a string. */
unsigned utf8_put(char *p, uint32_t cp);
bool utf8_is_char(uint32_t cp);

#endif
