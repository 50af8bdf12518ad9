/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * json.h - JSON values (RFC 8259), the builder, the streaming parser and the
 * writer. Values are trees with one owner; functions named _set/_add/_take take
 * ownership. Objects keep insertion order. Not shared between threads while
 * written. Extensions read but never written: 'single-quoted' strings.
 */
#ifndef TERN_JSON_H
#define TERN_JSON_H

#include "error.h"

typedef enum JsonKind {
    JSON_NULL, JSON_BOOL, JSON_INT,    /* fits int64_t                        */
    JSON_UINT,                         /* above INT64_MAX, fits uint64_t      */
    JSON_DOUBLE, JSON_STR, JSON_LIST, JSON_OBJ,
} JsonKind;
typedef struct Json Json;

#define JSON_MAX_DEPTH 1024
#define JSON_MAX_SIZE  (64 * MiB)      /* text of one value                   */

Json *json_null(void);
Json *json_bool(bool b);
Json *json_int(int64_t i);
Json *json_uint(uint64_t u);           /* becomes JSON_INT when it fits       */
Json *json_double(double d);
Json *json_str(const char *s);         /* copies; must be UTF-8 (else replaced) */
Json *json_strf(const char *fmt, ...) PRINTF_LIKE(1, 2);
Json *json_list(void);
Json *json_obj(void);
Json *json_copy(const Json *v);
void json_free(Json *v);               /* NULL is fine                        */
bool json_equal(const Json *a, const Json *b);

JsonKind json_kind(const Json *v);
const char *json_kind_name(JsonKind k);            /* QMP: "integer", "object" */
bool json_bool_of(const Json *v);                  /* kind must fit: asserted */
int64_t json_int_of(const Json *v);
uint64_t json_uint_of(const Json *v);              /* INT >= 0 or UINT        */
double json_double_of(const Json *v);              /* INT, UINT or DOUBLE     */
const char *json_str_of(const Json *v);

size_t json_count(const Json *v);                  /* list or object          */
Json *json_at(const Json *list, size_t i);         /* borrowed                */
void json_add(Json *list, Json *v);
Json *json_get(const Json *obj, const char *key);  /* borrowed; NULL: absent  */
const char *json_get_str(const Json *obj, const char *key);  /* NULL: not str */
/* Replaces in place, keeping the key's position. */
void json_set(Json *obj, const char *key, Json *v);
void json_set_str(Json *obj, const char *key, const char *s);
void json_set_int(Json *obj, const char *key, int64_t i);
void json_set_bool(Json *obj, const char *key, bool b);
Json *json_take(Json *obj, const char *key);       /* removes; caller owns    */
Json *json_take_at(Json *list, size_t i);
const char *json_key_at(const Json *obj, size_t i);
Json *json_value_at(const Json *obj, size_t i);

/* One complete value; trailing text is an error. Text needs no NUL. */
Json *json_parse(const char *text, size_t len, Error **errp);

/* Stream of values. `value` gets each value (it owns it) or an error for a piece
 * of garbage, after which parsing resumes at the next token that can start a
 * value. May be called from `value` only to mark the parser for release. */
typedef struct JsonParser JsonParser;
JsonParser *json_parser_new(void (*value)(void *arg, Json *v, Error *err),
                            void *arg);
void json_parser_feed(JsonParser *p, const char *buf, size_t n);
void json_parser_flush(JsonParser *p);             /* end of input            */
void json_parser_reset(JsonParser *p);
void json_parser_free(JsonParser *p);

/* Text as the peer prints it: `{"a": 1, "b": [1, 2]}`; pretty: four spaces a
 * level. ASCII out, other characters as \uXXXX. Caller g_frees. */
char *json_text(const Json *v, bool pretty, size_t *len);

/* A writer without a tree, for hot replies. */
typedef struct JsonOut {
    char *buf;
    size_t n, cap;
    bool pretty;
    unsigned depth;
    bool first;                        /* no element yet at this level        */
} JsonOut;
void json_out_begin(JsonOut *o, char open);        /* '{' or '['              */
void json_out_end(JsonOut *o, char close);
void json_out_key(JsonOut *o, const char *key);
void json_out_sep(JsonOut *o);                     /* before a list element   */
void json_out_str(JsonOut *o, const char *s);
void json_out_int(JsonOut *o, int64_t i);
void json_out_uint(JsonOut *o, uint64_t u);
void json_out_bool(JsonOut *o, bool b);
void json_out_double(JsonOut *o, double d);
void json_out_null(JsonOut *o);
void json_out_value(JsonOut *o, const Json *v);

#endif
