/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * json-parser.h - the JSON parser between its two files: json-lex.c makes words
 * of bytes, json-parse.c makes values of words.
 */
#ifndef TERN_JSON_PARSER_H
#define TERN_JSON_PARSER_H

#include "json-priv.h"

typedef enum Lex {
    LEX_START, LEX_SKIP, LEX_WORD, LEX_STR, LEX_STR_ESC,
    LEX_MINUS, LEX_ZERO, LEX_DIGITS, LEX_DOT, LEX_FRACTION,
    LEX_E, LEX_E_SIGN, LEX_E_DIGITS,
} Lex;

typedef enum Want {
    WANT_VALUE, WANT_VALUE_OR_END, WANT_KEY, WANT_KEY_OR_END, WANT_COLON,
    WANT_COMMA,
} Want;

struct JsonParser {
    void (*value)(void *arg, Json *v, Error *err);
    void *arg;
    Lex lex;
    char quote;
    bool escapes;                      /* the string has escapes or non-ASCII */
    char *tok;                         /* the word being read, raw            */
    size_t tok_n, tok_cap;
    Json **stack;
    uint32_t depth, stack_cap;
    Want want;
    char *key;                         /* between a key and its value         */
    Json *root;
    Error *fault;
    int braces, brackets;
    size_t size;                       /* of this message so far              */
    uint32_t tokens;
    unsigned busy;
    bool dead;
};

/* Words, each of `size` bytes of text. s (taken) is NULL when the text was at
 * fault and that is noted. Any of them may end the message and so call
 * `value`. */
void json_token_scalar(JsonParser *p, Json *v, size_t size);
void json_token_string(JsonParser *p, char *s, size_t size);
void json_token_punct(JsonParser *p, char c);
/* For words that are no value: counts; false: the message was refused. */
bool json_token_count(JsonParser *p, size_t n);
void json_token_done(JsonParser *p);

/* Notes a fault of syntax; the message is read to its end, but not built. */
void json_fault(JsonParser *p, const char *text);
/* Ends the message: with what was built or the fault; with an error now. */
void json_message_emit(JsonParser *p);
void json_message_refuse(JsonParser *p, Error *err);

#endif
