/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * opt.h - option text to values. `a=b,c.d=e` becomes a JSON object whose leaves
 * are strings; text that starts with '{' is parsed as JSON with its types. What
 * the walkers (prop, schema) are given is marked by `text`: true when leaves are
 * strings to be converted. ANY_THREAD.
 */
#ifndef TERN_OPT_H
#define TERN_OPT_H

#include "json.h"

typedef enum OptFlags {
    OPT_FLAT     = 1 << 0,             /* "a.b" is a plain key: -device, -drive,
                                          -chardev and the like; later wins    */
    OPT_BARE     = 1 << 1,             /* "x" means x=on and "nox" x=off, with the
                                          peer's warning for the short form   */
    OPT_REPEAT   = 1 << 2,             /* flat: hostfwd and the like, given again,
                                          collect a list of strings           */
    OPT_QUIET    = 1 << 3,             /* no warning for the short form, or a key
                                          that is given twice                 */
    OPT_PLAIN    = 1 << 4,             /* "help" is a first value as others   */
} OptFlags;

typedef struct Opts {
    Json *obj;                         /* members in order of first mention   */
    bool text;                         /* leaves are strings                  */
    bool help;                         /* "help" or "?" was asked for         */
} Opts;

/* implied: key of a first value without '='; NULL for none. Errors carry the
 * peer's wording ("Expected '=' after parameter 'x'", "Invalid parameter 'x'"). */
bool opts_parse(Opts *o, const char *text, const char *implied, unsigned flags,
                Error **errp);
void opts_free(Opts *o);
/* The reverse: commas doubled, keys dotted. Caller g_frees. */
char *opts_text(const Json *obj);

/* on/yes/true/y, off/no/false/n; anything else: "Parameter 'k' expects 'on' or
 * 'off'". */
bool opt_bool(const char *key, const char *s, bool *out, Error **errp);
/* Unsigned/signed integer in C notation, whole string. */
bool opt_u64(const char *key, const char *s, uint64_t *out, Error **errp);
bool opt_i64(const char *key, const char *s, int64_t *out, Error **errp);
/* Size with a fraction and a suffix bkMGTPE; unit multiplies a bare number
 * (1: bytes), which must be whole. Not negative, below 2^64. */
bool opt_size(const char *key, const char *s, uint64_t unit, uint64_t *out,
              Error **errp);
bool opt_uuid(const char *s, uint8_t out[16], Error **errp);
bool opt_mac(const char *s, uint8_t out[6], Error **errp);
/* An id of the peer's form: letter, then letters, digits, "-._". */
bool opt_id_ok(const char *id);
/* Closest name by edit distance, for "did you mean"; NULL when none is near. */
const char *opt_nearest(const char *name, const char *const *names, size_t n);
/* The words that may stand in a place; zeroed: none yet. Words are the caller's,
 * and those beyond the room are left out. */
typedef struct OptWords {
    const char *v[1024];
    size_t n;
} OptWords;
void opt_word_add(OptWords *w, const char *word);
/* To an error about `name`: the hint that one of them may have been meant. False,
 * so that a refusal is one line. */
bool opt_suggest(const OptWords *w, const char *name, Error **errp);

#endif
