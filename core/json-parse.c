/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * json-parse.c - from JSON words to values (RFC 8259), in one pass.
 *
 * Thread class: a parser has one user at a time.
 * Invariants:
 *  1. One pass, no recursion: `stack` holds the containers that are open; the
 *     outermost is owned by the parser, each other by its parent.
 *  2. A message ends when braces and brackets balance (or one of them goes
 *     below zero). A fault of syntax ends the building of its message, not
 *     the reading: it is reported once, at the message's end.
 *  3. No client can make the parser hold more than JSON_MAX_SIZE of text,
 *     TOKENS_MAX words or JSON_MAX_DEPTH levels.
 *  4. `value` is called with the parser in a state in which it may be fed,
 *     reset or (marked) freed.
 */
#include <glib.h>
#include "json-parser.h"

#define TOKENS_MAX (2u << 20)

/* ---- messages ----------------------------------------------------------- */

static void message_clear(JsonParser *p)
{
    json_free(p->root);
    error_free(p->fault);
    g_free(p->key);
    p->root = NULL;
    p->fault = NULL;
    p->key = NULL;
    p->depth = 0;
    p->braces = p->brackets = 0;
    p->size = p->tokens = 0;
    p->want = WANT_VALUE;
    if (p->tok_cap > 64 * KiB) {
        g_free(p->tok);
        p->tok = NULL;
        p->tok_cap = p->tok_n = 0;
    }
}

void json_message_emit(JsonParser *p)
{
    Json *v = p->root;
    Error *err = p->fault;
    p->root = NULL;
    p->fault = NULL;
    if (err) {
        json_free(v);
        v = NULL;
    }
    message_clear(p);
    p->value(p->arg, v, err);
}

void json_message_refuse(JsonParser *p, Error *err)
{
    message_clear(p);
    p->value(p->arg, NULL, err);
}

void json_fault(JsonParser *p, const char *text)
{
    if (!p->fault) {
        error_set(&p->fault, "JSON parse error, %s", text);
        json_free(p->root);
        p->root = NULL;
        p->depth = 0;
        g_free(p->key);
        p->key = NULL;
    }
}

bool json_token_count(JsonParser *p, size_t n)
{
    Error *err = NULL;
    p->size += n;
    p->tokens++;
    if (p->size > JSON_MAX_SIZE) {
        error_set(&err, "JSON token size limit exceeded");
    } else if (p->tokens > TOKENS_MAX) {
        error_set(&err, "JSON token count limit exceeded");
    } else if (p->braces + p->brackets > JSON_MAX_DEPTH) {
        error_set(&err, "JSON nesting depth limit exceeded");
    } else {
        return true;
    }
    json_message_refuse(p, err);
    return false;
}

void json_token_done(JsonParser *p)
{
    if ((p->braces > 0 || p->brackets > 0) && p->braces >= 0 &&
        p->brackets >= 0) {
        return;
    }
    json_message_emit(p);
}

/* ---- building ----------------------------------------------------------- */

/* Puts a value where one is due; false: none is, v is freed. */
static bool place(JsonParser *p, Json *v)
{
    if (p->fault) {
        json_free(v);
        return false;
    }
    switch (p->want) {
    case WANT_VALUE:
    case WANT_VALUE_OR_END:
        break;
    case WANT_KEY:
    case WANT_KEY_OR_END:
        json_free(v);
        json_fault(p, "key is not a string in object");
        return false;
    case WANT_COLON:
        json_free(v);
        json_fault(p, "missing : in object pair");
        return false;
    case WANT_COMMA:
        json_free(v);
        json_fault(p, p->stack[p->depth - 1]->kind == JSON_OBJ ?
              "expected separator in dict" : "expected separator in list");
        return false;
    }
    p->want = WANT_COMMA;
    if (!p->depth) {
        p->root = v;
    } else if (p->stack[p->depth - 1]->kind == JSON_LIST) {
        json_add(p->stack[p->depth - 1], v);
    } else if (json_get(p->stack[p->depth - 1], p->key)) {
        json_free(v);
        json_fault(p, "duplicate key");
        return false;
    } else {
        json_append(p->stack[p->depth - 1], p->key, v);
        p->key = NULL;
    }
    return true;
}

void json_token_scalar(JsonParser *p, Json *v, size_t size)
{
    if (!json_token_count(p, size)) {
        json_free(v);
        return;
    }
    place(p, v);
    json_token_done(p);
}

void json_token_string(JsonParser *p, char *s, size_t size)
{
    if (!json_token_count(p, size)) {
        g_free(s);
        return;
    }
    if (s && !p->fault &&
        (p->want == WANT_KEY || p->want == WANT_KEY_OR_END)) {
        p->key = s;
        p->want = WANT_COLON;
    } else if (s) {
        place(p, json_str_take(s));
    }
    json_token_done(p);
}

static void open_container(JsonParser *p, char c)
{
    Json *v = c == '{' ? json_obj() : json_list();
    if (!place(p, v)) {
        return;
    }
    if (p->depth == p->stack_cap) {
        p->stack_cap = p->stack_cap ? p->stack_cap * 2 : 16;
        p->stack = g_renew(Json *, p->stack, p->stack_cap);
    }
    p->stack[p->depth++] = v;
    p->want = c == '{' ? WANT_KEY_OR_END : WANT_VALUE_OR_END;
}

/* The fault that a punctuation mark out of place makes. */
static void misplaced(JsonParser *p)
{
    if (p->want == WANT_COLON) {
        json_fault(p, "missing : in object pair");
    } else if (p->want == WANT_COMMA && p->depth) {
        json_fault(p, p->stack[p->depth - 1]->kind == JSON_OBJ ?
              "expected separator in dict" : "expected separator in list");
    } else {
        json_fault(p, "expecting value");
    }
}

static void close_container(JsonParser *p, char c)
{
    JsonKind kind = c == '}' ? JSON_OBJ : JSON_LIST;
    if (!p->depth || p->stack[p->depth - 1]->kind != kind ||
        (p->want != WANT_COMMA && p->want != WANT_KEY_OR_END &&
         p->want != WANT_VALUE_OR_END)) {
        misplaced(p);
        return;
    }
    p->depth--;
    p->want = WANT_COMMA;
}

static void comma(JsonParser *p)
{
    if (p->want != WANT_COMMA || !p->depth) {
        misplaced(p);
    } else if (p->stack[p->depth - 1]->kind == JSON_OBJ) {
        p->want = WANT_KEY;
    } else {
        p->want = WANT_VALUE;
    }
}

void json_token_punct(JsonParser *p, char c)
{
    p->braces += (c == '{') - (c == '}');
    p->brackets += (c == '[') - (c == ']');
    if (!json_token_count(p, 1)) {
        return;
    }
    if (!p->fault) {
        if (c == '{' || c == '[') {
            open_container(p, c);
        } else if (c == '}' || c == ']') {
            close_container(p, c);
        } else if (c == ',') {
            comma(p);
        } else if (p->want == WANT_COLON) {
            p->want = WANT_VALUE;
        } else {
            misplaced(p);
        }
    }
    json_token_done(p);
}

/* ---- life --------------------------------------------------------------- */

JsonParser *json_parser_new(void (*value)(void *arg, Json *v, Error *err),
                            void *arg)
{
    JsonParser *p = g_new0(JsonParser, 1);
    p->value = value;
    p->arg = arg;
    return p;
}

void json_parser_reset(JsonParser *p)
{
    message_clear(p);
    p->lex = LEX_START;
    p->tok_n = 0;
}

void json_parser_free(JsonParser *p)
{
    if (!p) {
        return;
    }
    if (p->busy) {
        p->dead = true;
        return;
    }
    message_clear(p);
    g_free(p->stack);
    g_free(p->tok);
    g_free(p);
}

/* ---- one value ---------------------------------------------------------- */

typedef struct One {
    Json *v;
    Error *err;
    unsigned count;
} One;

static void one_value(void *arg, Json *v, Error *err)
{
    One *one = arg;
    if (one->count++) {
        json_free(v);
        error_free(err);
        return;
    }
    one->v = v;
    one->err = err;
}

Json *json_parse(const char *text, size_t len, Error **errp)
{
    One one = { 0 };
    JsonParser *p = json_parser_new(one_value, &one);
    for (size_t at = 0; at < len && one.count < 2; at += 4096) {
        json_parser_feed(p, text + at, MIN2(len - at, (size_t)4096));
    }
    json_parser_flush(p);
    json_parser_free(p);
    if (one.err) {
        error_move(errp, one.err);
        return NULL;
    }
    if (one.count != 1) {
        error_set(errp, one.count ? "Expecting at most one JSON value" :
                  "Expecting a JSON value");
        json_free(one.v);
        return NULL;
    }
    return one.v;
}
