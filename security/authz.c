/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * authz.c - access lists: one name, a list of rules, a list in a file.
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. `rules` are checked when they are set: asking cannot fail.
 * 2. A file that has become unreadable or wrong leaves the rules as they were,
 *    with a warning.
 */
#include <fnmatch.h>
#include <sys/stat.h>
#include <glib.h>
#include "authz.h"
#include "obj.h"

#define FILE_MAX (4u << 20)
enum { POLICY_DENY, POLICY_ALLOW };

static const char *const policies[] = { "deny", "allow", NULL };
static const char *const formats[] = { "exact", "glob", NULL };

typedef struct List {
    int policy;                        /* when no rule fits                   */
    Json *rules;                       /* NULL: none                          */
} List;

typedef struct Authz {
    Obj obj;
    char *identity;                    /* authz-simple                        */
    List list;
    char *filename, *service;
    bool refresh;
    struct stat st;                    /* of the file, when it was read       */
} Authz;

/* ---- rules -------------------------------------------------------------- */

static int index_of(const char *const *names, const char *s)
{
    for (int i = 0; names[i]; i++) {
        if (!strcmp(names[i], s)) {
            return i;
        }
    }
    return -1;
}

static bool member_check(const Json *rule, size_t i, const char *key,
                         const char *const *names, bool optional, Error **errp)
{
    const Json *v = json_get(rule, key);

    if (!v) {
        return optional || error_set(errp, "Parameter 'rules[%zu].%s' is "
                                     "missing", i, key);
    }
    if (json_kind(v) != JSON_STR) {
        return error_set(errp, "Invalid parameter type for 'rules[%zu].%s', "
                         "expected: string", i, key);
    }
    return !names || index_of(names, json_str_of(v)) >= 0 ||
           error_set(errp, "Parameter '%s' does not accept value '%s'", key,
                     json_str_of(v));
}

static bool rule_check(const Json *rule, size_t i, Error **errp)
{
    if (json_kind(rule) != JSON_OBJ) {
        return error_set(errp, "Invalid parameter type for 'rules[%zu]', "
                         "expected: object", i);
    }
    for (size_t k = 0; k < json_count(rule); k++) {
        const char *key = json_key_at(rule, k);

        if (strcmp(key, "match") && strcmp(key, "policy") &&
            strcmp(key, "format")) {
            return error_set(errp, "Parameter 'rules[%zu].%s' is unexpected",
                             i, key);
        }
    }
    return member_check(rule, i, "match", NULL, false, errp) &&
           member_check(rule, i, "policy", policies, false, errp) &&
           member_check(rule, i, "format", formats, true, errp);
}

static bool rules_check(const Json *rules, Error **errp)
{
    if (json_kind(rules) != JSON_LIST) {
        return error_set(errp, "Invalid parameter type for 'rules', expected: "
                         "array");
    }
    for (size_t i = 0; i < json_count(rules); i++) {
        if (!rule_check(json_at(rules, i), i, errp)) {
            return false;
        }
    }
    return true;
}

static bool list_allows(const List *l, const char *identity)
{
    for (size_t i = 0; l->rules && i < json_count(l->rules); i++) {
        const Json *r = json_at(l->rules, i);
        const char *match = json_get_str(r, "match");
        const char *format = json_get_str(r, "format");
        bool fits = format && !strcmp(format, "glob")
                  ? fnmatch(match, identity, 0) == 0
                  : strcmp(match, identity) == 0;

        if (fits) {
            return !strcmp(json_get_str(r, "policy"), "allow");
        }
    }
    return l->policy == POLICY_ALLOW;
}

/* ---- a list in a file --------------------------------------------------- */

static bool list_parse(const Json *v, List *l, Error **errp)
{
    if (json_kind(v) != JSON_OBJ) {
        return error_set(errp, "File must contain a JSON object");
    }
    for (size_t i = 0; i < json_count(v); i++) {
        const char *key = json_key_at(v, i);
        const Json *m = json_value_at(v, i);

        if (!strcmp(key, "rules")) {
            if (!rules_check(m, errp)) {
                return false;
            }
        } else if (strcmp(key, "policy")) {
            return error_set(errp, "Parameter '%s' is unexpected", key);
        } else if (json_kind(m) != JSON_STR ||
                   index_of(policies, json_str_of(m)) < 0) {
            return error_set(errp, "Parameter 'policy' accepts 'deny' and "
                             "'allow' only");
        }
    }
    l->policy = json_get_str(v, "policy")
              ? index_of(policies, json_get_str(v, "policy")) : POLICY_DENY;
    l->rules = json_get(v, "rules") ? json_copy(json_get(v, "rules")) : NULL;
    return true;
}

static bool file_read(Authz *a, Error **errp)
{
    GError *gerr = NULL;
    Error *err = NULL;
    List fresh = { 0 };
    char *text = NULL;
    gsize n = 0;
    Json *v = NULL;

    if (stat(a->filename, &a->st) < 0) {
        error_set_errno(&err, errno, "Unable to read '%s'", a->filename);
    } else if (a->st.st_size > FILE_MAX) {
        error_set(&err, "Unable to read '%s': more than %u bytes",
                  a->filename, FILE_MAX);
    } else if (!g_file_get_contents(a->filename, &text, &n, &gerr)) {
        error_set(&err, "Unable to read '%s': %s", a->filename,
                  gerr->message);
        g_error_free(gerr);
    } else {
        v = json_parse(text, n, &err);
        if (v && list_parse(v, &fresh, &err)) {
            json_free(a->list.rules);
            a->list = fresh;
        }
        if (err) {
            error_prepend(&err, "%s: ", a->filename);
        }
    }
    json_free(v);
    g_free(text);
    if (err) {
        error_move(errp, err);
        return false;
    }
    return true;
}

static void file_refresh(Authz *a)
{
    struct stat st;
    Error *err = NULL;

    if (!a->refresh || (stat(a->filename, &st) == 0 &&
                        st.st_ino == a->st.st_ino &&
                        st.st_size == a->st.st_size &&
                        st.st_mtim.tv_sec == a->st.st_mtim.tv_sec &&
                        st.st_mtim.tv_nsec == a->st.st_mtim.tv_nsec)) {
        return;
    }
    if (!file_read(a, &err)) {
        warn_report_err(err);
    }
}

static bool file_complete(Obj *o, Error **errp)
{
    return file_read((Authz *)o, errp);
}

/* ---- objects ------------------------------------------------------------ */

static const PropEnum policy_enum = { "QAuthZListPolicy", policies };

static Json *rules_get(const Obj *o, const Prop *p, Error **errp)
{
    const Authz *a = (const Authz *)o;

    return a->list.rules ? json_copy(a->list.rules) : json_list();
}

static bool rules_set(Obj *o, const Prop *p, const Json *v, Error **errp)
{
    Authz *a = (Authz *)o;

    if (!rules_check(v, errp)) {
        return false;
    }
    json_free(a->list.rules);
    a->list.rules = json_copy(v);
    return true;
}

static void authz_release(Obj *o)
{
    Authz *a = (Authz *)o;

    json_free(a->list.rules);
}

static bool pam_complete(Obj *o, Error **errp)
{
    return error_set(errp, "authz-pam is not available: this program is built "
                     "without PAM");
}

static const Prop simple_props[] = {
    PROP_STR("identity", Authz, identity, .type = "string",
             .flags = PF_REQUIRED | PF_LIVE, .desc = "who is let in"),
    PROP_END
};
static const Prop list_props[] = {
    PROP_ENUM("policy", Authz, list.policy, &policy_enum, POLICY_DENY,
              .flags = PF_LIVE, .desc = "when no rule fits"),
    PROP_CALL("rules", "QAuthZListRule", rules_get, rules_set,
              .flags = PF_LIVE, .desc = "rules; the first that fits decides"),
    PROP_END
};
static const Prop file_props[] = {
    PROP_STR("filename", Authz, filename, .type = "string",
             .flags = PF_REQUIRED, .desc = "JSON: {\"policy\":, \"rules\":}"),
    PROP_BOOL("refresh", Authz, refresh, true,
              .desc = "read it again when it changes"),
    PROP_END
};
static const Prop pam_props[] = {
    PROP_STR("service", Authz, service, .type = "string",
             .flags = PF_REQUIRED, .desc = "name of the PAM service"),
    PROP_END
};

#define AUTHZ(sym, nm, pr, ...) \
    USER_TYPE(sym, { .name = nm, .parent = "authz", .size = sizeof(Authz), \
                     .props = pr, .early = true, .release = authz_release, \
                     ##__VA_ARGS__ })

AUTHZ(authz_simple, "authz-simple", simple_props,
      .desc = "lets one name in", .doc = "Lets in who has just this name.");
AUTHZ(authz_list, "authz-list", list_props,
      .desc = "lets in by rules",
      .doc = "Rules with match, policy (allow or deny) and format (exact or "
             "glob); the first that fits decides.");
AUTHZ(authz_list_file, "authz-list-file", file_props,
      .desc = "lets in by rules of a file",
      .doc = "As authz-list, with policy and rules in a JSON file, which is "
             "read again when it has changed.", .complete = file_complete);
/* The name that object-add has for it. */
AUTHZ(authz_listfile, "authz-listfile", file_props,
      .desc = "lets in by rules of a file",
      .doc = "Another name of authz-list-file.", .complete = file_complete);
AUTHZ(authz_pam, "authz-pam", pam_props,
      .desc = "lets in by PAM", .doc = "Refused: built without PAM.",
      .complete = pam_complete);

TYPE_NAME(authz_type, { "authz", "object", true });

/* ---- for others --------------------------------------------------------- */

int authz_check(const char *id, const char *identity, Error **errp)
{
    Obj *o = user_obj_find(id);
    const UserType *t = user_obj_type(o);
    Authz *a = (Authz *)o;

    if (!o) {
        error_set(errp, "Cannot find QAuthZ object ID %s", id);
        return -1;
    }
    if (t == &authz_simple) {
        return strcmp(a->identity, identity) == 0;
    }
    if (t == &authz_list_file || t == &authz_listfile) {
        file_refresh(a);
    } else if (t != &authz_list) {
        error_set(errp, "Object '%s' is not a QAuthZ subclass", id);
        return -1;
    }
    return list_allows(&a->list, identity);
}
