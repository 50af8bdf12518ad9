/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * throttle-object.c - the object throttle-group: limits with a name, that nodes
 * and drives share.
 *
 * Thread class: MACHINE_CALL.
 */
#include <glib.h>
#include "block/throttle.h"

typedef struct GroupObj {
    Obj obj;
    BlkLimitsSet set;                  /* as given; length 0: the default     */
    BlkGroup *group;                   /* NULL: not complete yet              */
} GroupObj;

static void read_set(const GroupObj *o, BlkLimitsSet *s)
{
    if (o->group) {
        blk_group_read(o->group, s);
        return;
    }
    *s = o->set;
    for (int i = 0; i < BUCKETS; i++) {
        s->bucket[i].length += !s->bucket[i].length;
    }
}

/* "x-bps-total-max-length" and "bps-total-max-length" to its word; NULL: none. */
static int64_t *field(BlkLimitsSet *s, const char *name)
{
    name += g_str_has_prefix(name, "x-") ? 2 : 0;
    if (!strcmp(name, "iops-size")) {
        return &s->iops_size;
    }
    for (int i = 0; i < BUCKETS; i++) {
        size_t n = strlen(blk_bucket_names[i]);

        if (strncmp(name, blk_bucket_names[i], n)) {
            continue;
        }
        return !name[n] ? &s->bucket[i].avg
            : !strcmp(name + n, "-max") ? &s->bucket[i].max
            : !strcmp(name + n, "-max-length") ? &s->bucket[i].length : NULL;
    }
    return NULL;
}

static bool set_word(BlkLimitsSet *s, const char *name, const Json *v,
                     Error **errp)
{
    int64_t *at = field(s, name), n;
    const char *text;
    char *end;

    if (!at) {
        return error_set(errp, "Parameter '%s' is unexpected", name);
    }
    if (json_kind(v) == JSON_STR) {
        text = json_str_of(v);
        n = g_ascii_strtoll(text, &end, 10);
        if (end == text || *end) {
            return error_set(errp, "Parameter '%s' expects a number", name);
        }
    } else if (json_kind(v) == JSON_INT) {
        n = json_int_of(v);
    } else {
        return error_set(errp, "Invalid parameter type for '%s', expected: "
                         "integer", name);
    }
    if (n < 0) {
        return error_set(errp, "%s value must be in range [0, 9223372036854775"
                         "807]", name);
    }
    *at = n;
    return true;
}

static bool apply(GroupObj *o, const BlkLimitsSet *s, Error **errp)
{
    if (!o->group) {
        o->set = *s;
        return true;
    }
    if (!blk_limits_check(s, errp)) {
        return false;
    }
    blk_group_set(o->group, s);
    return true;
}

static bool word_set(Obj *obj, const Prop *p, const Json *v, Error **errp)
{
    GroupObj *o = (GroupObj *)obj;
    BlkLimitsSet s;

    if (o->group) {
        return error_set(errp, "Property cannot be set after initialization");
    }
    read_set(o, &s);
    return set_word(&s, p->name, v, errp) && apply(o, &s, errp);
}

static Json *word_get(const Obj *obj, const Prop *p, Error **errp)
{
    BlkLimitsSet s;

    read_set((const GroupObj *)obj, &s);
    return json_int(*field(&s, p->name));
}

static bool limits_set(Obj *obj, const Prop *p, const Json *v, Error **errp)
{
    GroupObj *o = (GroupObj *)obj;
    BlkLimitsSet s;

    if (json_kind(v) != JSON_OBJ) {
        return error_set(errp, "Invalid parameter type for 'limits', "
                         "expected: object");
    }
    read_set(o, &s);
    for (size_t i = 0; i < json_count(v); i++) {
        const char *key = json_key_at(v, i);

        if (g_str_has_prefix(key, "x-") || !field(&s, key)) {
            return error_set(errp, "Parameter 'limits.%s' is unexpected", key);
        }
        if (!set_word(&s, key, json_value_at(v, i), errp)) {
            return false;
        }
    }
    return apply(o, &s, errp);
}

static Json *limits_get(const Obj *obj, const Prop *p, Error **errp)
{
    Json *v = json_obj();
    BlkLimitsSet s;

    read_set((const GroupObj *)obj, &s);
    for (int i = 0; i < BUCKETS; i++) {
        g_autofree char *max = g_strconcat(blk_bucket_names[i], "-max", NULL);
        g_autofree char *len = g_strconcat(max, "-length", NULL);

        json_set_int(v, blk_bucket_names[i], s.bucket[i].avg);
        json_set_int(v, max, s.bucket[i].max);
        json_set_int(v, len, s.bucket[i].length);
    }
    json_set_int(v, "iops-size", s.iops_size);
    return v;
}

static MACHINE_CALL bool group_complete(Obj *obj, Error **errp)
{
    GroupObj *o = (GroupObj *)obj;
    BlkLimitsSet s;

    read_set(o, &s);
    if (blk_group_find(obj->name)) {
        return error_set(errp, "A group with this name already exists");
    }
    if (!blk_limits_check(&s, errp)) {
        return false;
    }
    o->group = blk_group_get(obj->name);
    o->group->object = true;
    blk_group_set(o->group, &s);
    return true;
}

static MACHINE_CALL bool group_can_delete(Obj *obj, Error **errp)
{
    const GroupObj *o = (const GroupObj *)obj;

    return !o->group || o->group->refs == 1 ||
           error_set(errp, "object '%s' is in use, can not be deleted",
                     obj->name);
}

static MACHINE_CALL void group_finish(Obj *obj)
{
    GroupObj *o = (GroupObj *)obj;

    if (o->group) {
        o->group->object = false;
        blk_group_unref(o->group);
        o->group = NULL;
    }
}

#define WORDS(n) \
    PROP_CALL("x-" n, "int", word_get, word_set), \
    PROP_CALL("x-" n "-max", "int", word_get, word_set), \
    PROP_CALL("x-" n "-max-length", "int", word_get, word_set)

static const Prop group_props[] = {
    WORDS("bps-total"), WORDS("bps-read"), WORDS("bps-write"),
    WORDS("iops-total"), WORDS("iops-read"), WORDS("iops-write"),
    PROP_CALL("x-iops-size", "int", word_get, word_set),
    PROP_CALL("limits", "ThrottleLimits", limits_get, limits_set,
              .flags = PF_LIVE),
    PROP_END
};

USER_TYPE(throttle_group_type, {
    .name = "throttle-group", .desc = "limits of disk requests",
    .doc = "Bytes and requests a second that the disks of the group may have "
           "together, with bursts.",
    .size = sizeof(GroupObj), .props = group_props, .early = true,
    .complete = group_complete, .can_delete = group_can_delete,
    .finish = group_finish,
});
