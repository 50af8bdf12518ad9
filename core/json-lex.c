/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * json-lex.c - from bytes to JSON words (RFC 8259), with single-quoted strings,
 * and with the resynchronization that the QMP specification promises: after a
 * malformed word, input is skipped up to a structural character, a control
 * character, or the bytes FE and FF, which no text has.
 *
 * Thread class: a parser has one user at a time.
 * Invariants:
 *  1. However the stream is cut into pieces, the same words come out.
 *  2. `tok` never holds more than a message may have.
 */
#include <ctype.h>
#include <math.h>
#include <glib.h>
#include "json-parser.h"

/* Of a malformed word, this much is quoted. */
#define STRAY_MAX  1000

/* ---- words -------------------------------------------------------------- */

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
    json_message_refuse(p, err);
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
        json_token_scalar(p, v, n);
    } else if (json_token_count(p, n)) {
        char *text = g_strdup_printf("invalid keyword '%.*s'", STRAY_MAX,
                                     p->tok);
        json_fault(p, text);
        g_free(text);
        json_token_done(p);
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
            json_fault(p, "number out of range");
            if (json_token_count(p, n)) {
                json_token_done(p);
            }
            return;
        }
        v = json_double(d);
    }
    json_token_scalar(p, v, n);
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

/* The text of a raw string, without quotes; NULL and a fault: it has none. */
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
                json_fault(p, "invalid UTF-8 sequence in string");
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
            json_fault(p, t);
            g_free(t);
            g_free(text);
            return NULL;
        }
        const char *m = plain;
        while (*m && *m != esc[1]) {
            m += 2;
        }
        if (!*m) {
            json_fault(p, "invalid escape sequence in string");
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
    json_token_string(p, s, n);
}

/* ---- the lexer ---------------------------------------------------------- */

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
        json_token_string(p, p->fault ? NULL : g_strndup(s, i), i + 2);
        return i + 1;
    }
    if (i) {
        tok_add(p, s, i);
    }
    if (p->size + p->tok_n > JSON_MAX_SIZE) {
        p->lex = LEX_SKIP;
        json_token_count(p, p->tok_n);
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
        json_token_count(p, p->tok_n);
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
        json_token_count(p, p->tok_n);
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
        json_token_punct(p, c);
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
        json_message_emit(p);
    } else if (p->braces || p->brackets) {
        Error *err = NULL;
        error_set(&err, "JSON parse error, premature EOI");
        json_message_refuse(p, err);
    }
    if (!--p->busy && p->dead) {
        json_parser_free(p);
    }
}
