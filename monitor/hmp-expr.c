/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hmp-expr.c - integer expressions of HMP arguments: numbers in C notation,
 * 'c', $register, ( ), unary - + ~, * / %, & | ^, + - in falling precedence
 * (& | ^ bind tighter than + -), all from left to right on 64-bit integers that
 * wrap.
 *
 * MACHINE_CALL. Invariant: nesting is at most EXPR_DEPTH.
 */
#include <ctype.h>
#include "mon-impl.h"

#define EXPR_DEPTH 64

bool (*mon_register_get)(int cpu_index, const char *name, uint64_t *value);
bool (*mon_cpu_exists)(int64_t index);

typedef struct Expr {
    const char *p;
    unsigned depth;
    GString *why;
} Expr;

static bool expr_sum(Expr *e, uint64_t *v);

static bool fail(Expr *e, const char *text)
{
    g_string_assign(e->why, text);
    return false;
}

static void skip(Expr *e)
{
    while (isspace((unsigned char)*e->p)) {
        e->p++;
    }
}

static bool expr_register(Expr *e, uint64_t *v)
{
    char name[64];
    size_t n = 0;

    for (e->p++; isalnum((unsigned char)*e->p) || strchr("_.", *e->p);
         e->p++) {
        if (!*e->p) {
            break;
        }
        if (n < sizeof(name) - 1) {
            name[n++] = *e->p;
        }
    }
    name[n] = 0;
    skip(e);
    return (mon_register_get && mon_register_get(mon_cpu_index(), name, v)) ||
           fail(e, "unknown register");
}

static bool expr_char(Expr *e, uint64_t *v)
{
    if (!e->p[1]) {
        return fail(e, "character constant expected");
    }
    if (e->p[2] != '\'') {
        return fail(e, "missing terminating ' character");
    }
    *v = (unsigned char)e->p[1];
    e->p += 3;
    skip(e);
    return true;
}

static bool expr_number(Expr *e, uint64_t *v)
{
    char *end;

    if (!*e->p) {
        return fail(e, "unexpected end of expression");
    }
    errno = 0;
    *v = strtoull(e->p, &end, 0);
    if (end == e->p || !isdigit((unsigned char)*e->p)) {
        g_string_printf(e->why, "invalid char '%c' in expression", *e->p);
        return false;
    }
    if (errno == ERANGE) {
        return fail(e, "number too large");
    }
    e->p = end;
    skip(e);
    return true;
}

static bool expr_unary(Expr *e, uint64_t *v)
{
    char c = *e->p;
    bool ok;

    if (++e->depth > EXPR_DEPTH) {
        return fail(e, "expression is nested too deeply");
    }
    switch (c) {
    case '+':
    case '-':
    case '~':
        e->p++;
        skip(e);
        ok = expr_unary(e, v);
        *v = c == '-' ? -*v : c == '~' ? ~*v : *v;
        break;
    case '(':
        e->p++;
        skip(e);
        ok = expr_sum(e, v);
        if (ok && *e->p != ')') {
            ok = fail(e, "')' expected");
        } else if (ok) {
            e->p++;
            skip(e);
        }
        break;
    case '\'':
        ok = expr_char(e, v);
        break;
    case '$':
        ok = expr_register(e, v);
        break;
    default:
        ok = expr_number(e, v);
        break;
    }
    e->depth--;
    return ok;
}

static bool divide(Expr *e, char op, uint64_t *v, uint64_t by)
{
    int64_t a = *v, b = by;

    if (!b) {
        return fail(e, "division by zero");
    }
    if (b == -1) {                     /* INT64_MIN / -1 traps                */
        *v = op == '/' ? -*v : 0;
    } else {
        *v = op == '/' ? a / b : a % b;
    }
    return true;
}

/* One level of operators: ops, each operand by the level above. */
static bool expr_level(Expr *e, const char *ops,
                       bool (*up)(Expr *e, uint64_t *v), uint64_t *v)
{
    uint64_t w = 0;

    if (!up(e, v)) {
        return false;
    }
    while (*e->p && strchr(ops, *e->p)) {
        char op = *e->p++;

        skip(e);
        if (!up(e, &w)) {
            return false;
        }
        switch (op) {
        case '*':
            *v *= w;
            break;
        case '/':
        case '%':
            if (!divide(e, op, v, w)) {
                return false;
            }
            break;
        case '&':
            *v &= w;
            break;
        case '|':
            *v |= w;
            break;
        case '^':
            *v ^= w;
            break;
        case '+':
            *v += w;
            break;
        default:
            *v -= w;
            break;
        }
    }
    return true;
}

static bool expr_product(Expr *e, uint64_t *v)
{
    return expr_level(e, "*/%", expr_unary, v);
}

static bool expr_bits(Expr *e, uint64_t *v)
{
    return expr_level(e, "&|^", expr_product, v);
}

static bool expr_sum(Expr *e, uint64_t *v)
{
    return expr_level(e, "+-", expr_bits, v);
}

bool hmp_expr(const char **p, int64_t *v, GString *why)
{
    Expr e = { *p, 0, why };
    uint64_t u = 0;

    skip(&e);
    if (!expr_sum(&e, &u)) {
        return false;
    }
    *p = e.p;
    *v = u;
    return true;
}
