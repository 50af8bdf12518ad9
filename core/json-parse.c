/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * json-parse.c - the streaming JSON parser (RFC 8259), with single-quoted
 * strings, and with the resynchronization that the QMP specification promises:
 * after a malformed word, input is skipped up to a structural character, a
 * control character, or the bytes FE and FF, which no text has.
 *
 * Thread class: a parser has one user at a time.
 * Invariants:
 *  1. One pass, no recursion: `stack` holds the containers that are open; the
 *     outermost is owned by the parser, each other by its parent.
 *  2. A message ends when braces and brackets balance (or one of them goes below
 *     zero). A fault of syntax ends the building of its message, not of the
 *     reading: it is reported once, at the message's end.
 *  3. No client can make the parser hold more than JSON_MAX_SIZE of text,
 *     TOKENS_MAX tokens or JSON_MAX_DEPTH levels.
 *  4. `value` is called with the parser in a state in which it may be fed,
 *     reset or (marked) freed.
 */
#include <ctype.h>
#include <math.h>
#include <glib.h>
#include "json-priv.h"

#define TOKENS_MAX (2u << 20)
/* Of a malformed word, this much is quoted. */
#define STRAY_MAX  1000

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

/* ---- messages ---------------------------------------------------------------- */

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

static void message_emit(JsonParser *p)
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

/* Ends the message with an error now. */
static void message_refuse(JsonParser *p, Error *err)
{
    message_clear(p);
    p->value(p->arg, NULL, err);
}

/* Notes a fault of syntax; the message is read to its end, but not built. */
static void fault(JsonParser *p, const char *text)
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

/* Counts a token of n bytes; false: the message was refused. */
static bool token_count(JsonParser *p, size_t n)
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
    message_refuse(p, err);
    return false;
}

static void token_done(JsonParser *p)
{
    if ((p->braces > 0 || p->brackets > 0) && p->braces >= 0 &&
        p->brackets >= 0) {
        return;
    }
    message_emit(p);
}

/* ---- building ---------------------------------------------------------------- */

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
        fault(p, "key is not a string in object");
        return false;
    case WANT_COLON:
        json_free(v);
        fault(p, "missing : in object pair");
        return false;
    case WANT_COMMA:
        json_free(v);
        fault(p, p->stack[p->depth - 1]->kind == JSON_OBJ ?
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
        fault(p, "duplicate key");
        return false;
    } else {
        json_append(p->stack[p->depth - 1], p->key, v);
        p->key = NULL;
    }
    return true;
}

static void scalar(JsonParser *p, Json *v, size_t size)
{
    if (!token_count(p, size)) {
        json_free(v);
        return;
    }
    place(p, v);
    token_done(p);
}

/* s is NULL when the text was at fault (and the fault noted). */
static void string(JsonParser *p, char *s, size_t size)
{
    if (!token_count(p, size)) {
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
    token_done(p);
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
        fault(p, "missing : in object pair");
    } else if (p->want == WANT_COMMA && p->depth) {
        fault(p, p->stack[p->depth - 1]->kind == JSON_OBJ ?
              "expected separator in dict" : "expected separator in list");
    } else {
        fault(p, "expecting value");
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

static void punct(JsonParser *p, char c)
{
    p->braces += (c == '{') - (c == '}');
    p->brackets += (c == '[') - (c == ']');
    if (!token_count(p, 1)) {
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
    token_done(p);
}

/* ---- words ------------------------------------------------------------------- */

static void tok_add(JsonParser *p, const char *s, size_t n)
{
    if (p->tok_cap - p->tok_n < n + 1) {
        p->tok_cap = MAX2(p->tok_cap * 2, p->tok_n + n + 64);
        p->tok = g_realloc(p->tok, p->tok_cap);
    }
    memcpy(p->tok + p->tok_n, s, n);
    p->tok_n += n;
    p->tok[p->tok_n] = 0;
}

static void stray(JsonParser *p, const char *more, size_t n)
{
    tok_add(p, more, n);
    Error *err = NULL;
    error_set(&err, "JSON parse error, stray '%.*s'",
              (int)MIN2(p->tok_n, (size_t)STRAY_MAX), p->tok);
    p->lex = LEX_SKIP;
    p->tok_n = 0;
    message_refuse(p, err);
}

static void word_end(JsonParser *p)
{
    Json *v = NULL;
    size_t n = p->tok_n;
    if (!strcmp(p->tok, "true")) {
        v = json_bool(true);
    } else if (!strcmp(p->tok, "false")) {
        v = json_bool(false);
    } else if (!strcmp(p->tok, "null")) {
        v = json_null();
    }
    p->lex = LEX_START;
    p->tok_n = 0;
    if (v) {
        scalar(p, v, n);
    } else if (token_count(p, n)) {
        char *text = g_strdup_printf("invalid keyword '%.*s'", STRAY_MAX,
                                     p->tok);
        fault(p, text);
        g_free(text);
        token_done(p);
    }
}

static void number_end(JsonParser *p)
{
    const char *t = p->tok;
    size_t n = p->tok_n;
    bool whole = p->lex == LEX_ZERO || p->lex == LEX_DIGITS;
    Json *v = NULL;
    p->lex = LEX_START;
    p->tok_n = 0;
    if (whole) {
        errno = 0;
        if (*t == '-') {
            int64_t i = strtoll(t, NULL, 10);
            v = errno ? NULL : json_int(i);
        } else {
            uint64_t u = strtoull(t, NULL, 10);
            v = errno ? NULL : json_uint(u);
        }
    }
    if (!v) {
        double d = g_ascii_strtod(t, NULL);
        if (isinf(d)) {
            fault(p, "number out of range");
            if (token_count(p, n)) {
                token_done(p);
            }
            return;
        }
        v = json_double(d);
    }
    scalar(p, v, n);
}

/* Reads the four digits of \uXXXX; the value, or -1. */
static int32_t hex4(const char *s, const char *end)
{
    int32_t v = 0;
    if (end - s < 4) {
        return -1;
    }
    for (int i = 0; i < 4; i++) {
        int d = g_ascii_xdigit_value(s[i]);
        if (d < 0) {
            return -1;
        }
        v = v << 4 | d;
    }
    return v;
}

/* *s is after "\u". Appends to *out; false: not a character. */
static bool unescape_u(const char **s, const char *end, char **out)
{
    int32_t cp = hex4(*s, end);
    if (cp < 0) {
        return false;
    }
    *s += 4;
    if (cp >= 0xd800 && cp <= 0xdbff && end - *s >= 6 && (*s)[0] == '\\' &&
        (*s)[1] == 'u') {
        int32_t low = hex4(*s + 2, end);
        if (low >= 0xdc00 && low <= 0xdfff) {
            cp = 0x10000 + ((cp - 0xd800) << 10) + (low - 0xdc00);
            *s += 6;
        }
    }
    if (!utf8_is_char(cp)) {
        return false;
    }
    *out += utf8_put(*out, cp);
    return true;
}

/* The text of a raw string without quotes; NULL and a fault when it has none. */
static char *unescape(JsonParser *p, const char *s, size_t n)
{
    static const char plain[] = "\"\"''\\\\//b\bf\fn\nr\rt\t";
    const char *end = s + n;
    char *text = g_malloc(n + 4), *out = text;
    while (s < end) {
        uint32_t cp;
        if (*s != '\\') {
            unsigned len = utf8_next(s, end - s, &cp);
            if (!len) {
                fault(p, "invalid UTF-8 sequence in string");
                g_free(text);
                return NULL;
            }
            memcpy(out, s, len);
            out += len;
            s += len;
            continue;
        }
        const char *esc = s;
        s += 2;                        /* the lexer saw that there are two    */
        if (esc[1] == 'u') {
            if (unescape_u(&s, end, &out)) {
                continue;
            }
            /* Shows what stands there: a pair, or four places. */
            size_t show = s - esc > 2 ? (size_t)(s - esc) :
                          MIN2((size_t)6, (size_t)(end + 1 - esc));
            char *t = g_strdup_printf("%.*s is not a valid Unicode character",
                                      (int)show, esc);
            fault(p, t);
            g_free(t);
            g_free(text);
            return NULL;
        }
        const char *m = plain;
        while (*m && *m != esc[1]) {
            m += 2;
        }
        if (!*m) {
            fault(p, "invalid escape sequence in string");
            g_free(text);
            return NULL;
        }
        *out++ = m[1];
    }
    *out = 0;
    return text;
}

/* tok is the string with both quotes. */
static void string_end(JsonParser *p)
{
    char *s;
    size_t n = p->tok_n;
    p->lex = LEX_START;
    if (p->fault) {
        s = NULL;
    } else if (p->escapes) {
        s = unescape(p, p->tok + 1, n - 2);
    } else {
        s = g_strndup(p->tok + 1, n - 2);
    }
    p->tok_n = 0;
    string(p, s, n);
}

/* ---- the lexer --------------------------------------------------------------- */

/* Plain bytes of a string from s: no quote, escape, control or 8-bit byte. */
static size_t plain_run(const char *s, size_t n, char quote)
{
    size_t i = 0;
    while (i < n && (uint8_t)s[i] >= 0x20 && (uint8_t)s[i] < 0x80 &&
           s[i] != quote && s[i] != '\\') {
        i++;
    }
    return i;
}

/* Reads on in a string; returns the bytes taken. */
static size_t lex_string(JsonParser *p, const char *s, size_t n)
{
    size_t i = plain_run(s, n, p->quote);
    if (p->tok_n == 1 && i < n && s[i] == p->quote) {
        /* The whole string is here and plain: no detour through tok. */
        p->lex = LEX_START;
        p->tok_n = 0;
        string(p, p->fault ? NULL : g_strndup(s, i), i + 2);
        return i + 1;
    }
    if (i) {
        tok_add(p, s, i);
    }
    if (p->size + p->tok_n > JSON_MAX_SIZE) {
        p->lex = LEX_SKIP;
        token_count(p, p->tok_n);
        p->tok_n = 0;
        return i;
    }
    if (i == n) {
        return i;
    }
    uint8_t c = s[i];
    if (c < 0x20 || c >= 0xfe) {
        stray(p, s + i, 1);
        return i + 1;
    }
    tok_add(p, s + i, 1);
    if (c == (uint8_t)p->quote) {
        string_end(p);
    } else {
        p->escapes = true;
        p->lex = c == '\\' ? LEX_STR_ESC : LEX_STR;
    }
    return i + 1;
}

static size_t lex_escaped(JsonParser *p, const char *s)
{
    uint8_t c = *s;
    if (c < 0x20 || c >= 0xfe) {
        stray(p, s, 1);
    } else {
        tok_add(p, s, 1);
        p->lex = LEX_STR;
    }
    return 1;
}

static size_t lex_number(JsonParser *p, const char *s, size_t n)
{
    char c = *s;
    bool digit = isdigit((uint8_t)c);
    if (p->size + p->tok_n > JSON_MAX_SIZE) {
        p->lex = LEX_SKIP;
        token_count(p, p->tok_n);
        p->tok_n = 0;
        return 1;
    }
    switch (p->lex) {
    case LEX_MINUS:
        p->lex = c == '0' ? LEX_ZERO : LEX_DIGITS;
        break;
    case LEX_ZERO:
    case LEX_DIGITS:
        if (digit && p->lex == LEX_DIGITS) {
            break;
        }
        if (c == '.' || c == 'e' || c == 'E') {
            p->lex = c == '.' ? LEX_DOT : LEX_E;
            digit = true;
        } else if (!digit) {
            number_end(p);
            return 0;
        } else {
            digit = false;             /* a digit after a leading zero        */
        }
        break;
    case LEX_DOT:
        p->lex = LEX_FRACTION;
        break;
    case LEX_FRACTION:
        if (c == 'e' || c == 'E') {
            p->lex = LEX_E;
            digit = true;
        } else if (!digit) {
            number_end(p);
            return 0;
        }
        break;
    case LEX_E:
        p->lex = c == '+' || c == '-' ? LEX_E_SIGN : LEX_E_DIGITS;
        digit = digit || p->lex == LEX_E_SIGN;
        break;
    case LEX_E_SIGN:
        p->lex = LEX_E_DIGITS;
        break;
    default:                           /* LEX_E_DIGITS                        */
        if (!digit) {
            number_end(p);
            return 0;
        }
        break;
    }
    if (digit) {
        tok_add(p, s, 1);
    } else {
        stray(p, s, 1);
    }
    return 1;
}

static size_t lex_word(JsonParser *p, const char *s, size_t n)
{
    size_t i = 0;
    while (i < n && s[i] >= 'a' && s[i] <= 'z') {
        i++;
    }
    tok_add(p, s, i);
    if (p->size + p->tok_n > JSON_MAX_SIZE) {
        p->lex = LEX_SKIP;
        token_count(p, p->tok_n);
        p->tok_n = 0;
    } else if (i < n) {
        word_end(p);
    }
    return i;
}

static size_t lex_start(JsonParser *p, const char *s)
{
    char c = *s;
    p->tok_n = 0;
    switch (c) {
    case ' ':
    case '\t':
    case '\r':
    case '\n':
        break;
    case '{':
    case '}':
    case '[':
    case ']':
    case ',':
    case ':':
        punct(p, c);
        break;
    case '"':
    case '\'':
        p->quote = c;
        p->escapes = false;
        tok_add(p, s, 1);
        p->lex = LEX_STR;
        break;
    default:
        if (c >= 'a' && c <= 'z') {
            p->lex = LEX_WORD;
            return 0;
        }
        if (c == '-' || isdigit((uint8_t)c)) {
            tok_add(p, s, 1);
            p->lex = c == '-' ? LEX_MINUS : c == '0' ? LEX_ZERO : LEX_DIGITS;
            break;
        }
        stray(p, s, 1);
        break;
    }
    return 1;
}

/* Whether input may make sense again from here. */
static bool resync(char c)
{
    return ((uint8_t)c < 0x20 && c != '\t') || (uint8_t)c >= 0xfe ||
           c == '{' || c == '}' || c == '[' || c == ']' || c == ',' ||
           c == ':';
}

void json_parser_feed(JsonParser *p, const char *buf, size_t n)
{
    p->busy++;
    for (size_t i = 0; i < n && !p->dead;) {
        switch (p->lex) {
        case LEX_START:
            i += lex_start(p, buf + i);
            break;
        case LEX_SKIP:
            if (resync(buf[i])) {
                p->lex = LEX_START;
            } else {
                i++;
            }
            break;
        case LEX_WORD:
            i += lex_word(p, buf + i, n - i);
            break;
        case LEX_STR:
            i += lex_string(p, buf + i, n - i);
            break;
        case LEX_STR_ESC:
            i += lex_escaped(p, buf + i);
            break;
        default:
            i += lex_number(p, buf + i, n - i);
            break;
        }
    }
    if (!--p->busy && p->dead) {
        json_parser_free(p);
    }
}

void json_parser_flush(JsonParser *p)
{
    p->busy++;
    switch (p->lex) {
    case LEX_START:
    case LEX_SKIP:
        break;
    case LEX_WORD:
        word_end(p);
        break;
    case LEX_ZERO:
    case LEX_DIGITS:
    case LEX_FRACTION:
    case LEX_E_DIGITS:
        number_end(p);
        break;
    default:
        stray(p, "", 0);
        break;
    }
    p->lex = LEX_START;
    if (p->fault) {
        message_emit(p);
    } else if (p->braces || p->brackets) {
        Error *err = NULL;
        error_set(&err, "JSON parse error, premature EOI");
        message_refuse(p, err);
    }
    if (!--p->busy && p->dead) {
        json_parser_free(p);
    }
}

/* ---- life -------------------------------------------------------------------- */

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

/* ---- one value --------------------------------------------------------------- */

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
