/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * opt-value.c - the values of options: booleans, numbers, sizes, identifiers.
 * UUID text: RFC 4122, section 3.
 *
 * Thread class: ANY_THREAD.
 */
#include <ctype.h>
#include <glib.h>
#include "opt.h"

bool opt_bool(const char *key, const char *s, bool *out, Error **errp)
{
    static const char *const words[] = {
        "off", "on", "no", "yes", "false", "true", "n", "y",
    };
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (!strcmp(s, words[i])) {
            *out = i & 1;
            return true;
        }
    }
    return error_set(errp, "Parameter '%s' expects 'on' or 'off'", key);
}

bool opt_u64(const char *key, const char *s, uint64_t *out, Error **errp)
{
    char *end;
    errno = 0;
    uint64_t v = strtoull(s, &end, 0);
    if (end == s || *end || strchr(s, '-')) {
        return error_set(errp, "Parameter '%s' expects a number", key);
    }
    if (errno == ERANGE) {
        return error_set(errp, "Value '%s' is too large for parameter '%s'",
                         s, key);
    }
    *out = v;
    return true;
}

bool opt_i64(const char *key, const char *s, int64_t *out, Error **errp)
{
    char *end;
    errno = 0;
    int64_t v = strtoll(s, &end, 0);
    if (end == s || *end) {
        return error_set(errp, "Parameter '%s' expects a number", key);
    }
    if (errno == ERANGE) {
        return error_set(errp, "Value '%s' is too large for parameter '%s'",
                         s, key);
    }
    *out = v;
    return true;
}

static bool size_fault(const char *key, Error **errp)
{
    error_set(errp, "Parameter '%s' expects a non-negative number below 2^64",
              key);
    error_hint(errp, "Optional suffix k, M, G, T, P or E means kilo-, mega-, "
               "giga-, tera-, peta-\nand exabytes, respectively.");
    return false;
}

/* Parts of a size: whole + frac / scale. False: not a number. */
typedef struct SizeText {
    uint64_t whole, frac, scale;
    bool hex, overflow;
    const char *end;
} SizeText;

static bool size_read(const char *s, SizeText *t)
{
    char *end;
    *t = (SizeText){ .scale = 1 };
    while (isspace((uint8_t)*s)) {
        s++;
    }
    s += *s == '+';
    if (!isdigit((uint8_t)*s)) {
        return false;
    }
    t->hex = s[0] == '0' && (s[1] == 'x' || s[1] == 'X') &&
             isxdigit((uint8_t)s[2]);
    errno = 0;
    t->whole = strtoull(s, &end, t->hex ? 16 : 10);
    t->overflow = errno == ERANGE;
    t->end = end;
    if (*end == '.' && !t->hex) {
        /* Eighteen places are more than any suffix can use. */
        for (t->end++; isdigit((uint8_t)*t->end); t->end++) {
            if (t->scale < 1000000000000000000ull) {
                t->frac = t->frac * 10 + (*t->end - '0');
                t->scale *= 10;
            }
        }
    }
    return true;
}

bool opt_size(const char *key, const char *s, uint64_t unit, uint64_t *out,
              Error **errp)
{
    static const char suffixes[] = "bkmgtpe";
    SizeText t;
    if (!size_read(s, &t)) {
        return size_fault(key, errp);
    }
    uint64_t mul = unit;
    const char *at = *t.end ?
        strchr(suffixes, tolower((uint8_t)*t.end)) : NULL;
    if (at) {
        mul = 1ull << 10 * (at - suffixes);
        t.end++;
    }
    if (*t.end || (t.frac && (!at || mul == 1))) {
        return size_fault(key, errp);
    }
    unsigned __int128 v = (unsigned __int128)t.whole * mul +
        (unsigned __int128)t.frac * mul / t.scale;
    if (t.overflow || v > UINT64_MAX) {
        return error_set(errp, "Value '%s' is out of range for parameter '%s'",
                         s, key);
    }
    if (t.hex && at && *at != 'b') {
        warn_report("Using a multiplier suffix on hex numbers is deprecated: "
                    "%s", s);
    }
    *out = (uint64_t)v;
    return true;
}

/* Two hexadecimal digits; -1: not. */
static int hex_byte(const char *s)
{
    int hi = g_ascii_xdigit_value(s[0]);
    int lo = hi < 0 ? -1 : g_ascii_xdigit_value(s[1]);
    return lo < 0 ? -1 : hi << 4 | lo;
}

bool opt_uuid(const char *s, uint8_t out[16], Error **errp)
{
    uint8_t uuid[16];
    const char *p = s;
    for (int i = 0; i < 16; i++) {
        if ((i == 4 || i == 6 || i == 8 || i == 10) && *p++ != '-') {
            goto bad;
        }
        int b = hex_byte(p);
        if (b < 0) {
            goto bad;
        }
        uuid[i] = b;
        p += 2;
    }
    if (*p) {
        goto bad;
    }
    memcpy(out, uuid, 16);
    return true;
bad:
    error_set(errp, "failed to parse UUID string: wrong format");
    error_hint(errp, "A UUID looks like 550e8400-e29b-41d4-a716-446655440000.");
    return false;
}

bool opt_mac(const char *s, uint8_t out[6], Error **errp)
{
    uint8_t mac[6];
    const char *p = s;
    for (int i = 0; i < 6; i++) {
        int b = i && *p != ':' && *p != '-' ? -1 : hex_byte(i ? ++p : p);
        if (b < 0) {
            return error_set(errp, "'%s' is not a MAC address", s);
        }
        mac[i] = b;
        p += 2;
    }
    if (*p) {
        return error_set(errp, "'%s' is not a MAC address", s);
    }
    memcpy(out, mac, 6);
    return true;
}

bool opt_id_ok(const char *id)
{
    if (!g_ascii_isalpha(*id)) {
        return false;
    }
    for (; *id; id++) {
        if (!g_ascii_isalnum(*id) && !strchr("-._", *id)) {
            return false;
        }
    }
    return true;
}

#define NEAR_MAX 64                    /* longer names have no neighbours     */

/* Edits (insert, delete, replace, swap of neighbours) from a to b. */
static unsigned distance(const char *a, size_t na, const char *b, size_t nb)
{
    unsigned rows[3][NEAR_MAX + 1];
    unsigned *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= nb; j++) {
        above[j] = j;
    }
    for (size_t i = 1; i <= na; i++) {
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            unsigned best = above[j - 1] + (a[i - 1] != b[j - 1]);
            best = MIN2(best, above[j] + 1);
            best = MIN2(best, row[j - 1] + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
                a[i - 2] == b[j - 1]) {
                best = MIN2(best, before[j - 2] + 1);
            }
            row[j] = best;
        }
        unsigned *t = before;
        before = above;
        above = row;
        row = t;
    }
    return above[nb];
}

const char *opt_nearest(const char *name, const char *const *names, size_t n)
{
    size_t len = strlen(name);
    unsigned most = MAX2(len / 3, (size_t)1);
    const char *best = NULL;
    if (!len || len > NEAR_MAX) {
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        size_t other = strlen(names[i]);
        if (other > NEAR_MAX) {
            continue;
        }
        unsigned d = distance(name, len, names[i], other);
        if (d <= most && d < other) {
            best = names[i];
            most = d ? d - 1 : 0;
            if (!d) {
                break;
            }
        }
    }
    return best;
}

void opt_word_add(OptWords *w, const char *word)
{
    if (word && w->n < ARRAY_SIZE(w->v)) {
        w->v[w->n++] = word;
    }
}

bool opt_suggest(const OptWords *w, const char *name, Error **errp)
{
    const char *near = opt_nearest(name, w->v, w->n);

    if (near) {
        error_hint(errp, "Did you mean '%s'?", near);
    }
    return false;
}
