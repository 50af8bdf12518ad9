/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The objects iothread and main-loop: defaults, ranges, live changes, claims,
 * with the messages that clients know. */
#include "iothread.h"
#include "tests/tern-test.h"

static int64_t get(Obj *o, const char *name)
{
    Json *v = obj_get(o, name, NULL);
    int64_t n = v ? json_int_of(v) : -1;

    json_free(v);
    return n;
}

static Obj *add(const char *type, const char *id, const char *json,
                Error **errp)
{
    Json *props = json_parse(json, strlen(json), NULL);
    Obj *o = user_obj_add(type, id, props, false, errp);

    json_free(props);
    return o;
}

/* The error's text, or "" when it was accepted. Static storage. */
static const char *add_fails(const char *type, const char *id,
                             const char *json)
{
    static char text[300];
    Error *err = NULL;

    text[0] = 0;
    if (!add(type, id, json, &err)) {
        snprintf(text, sizeof(text), "%s", error_text(err));
        error_free(err);
    }
    return text;
}

static const char *set_fails(Obj *o, const char *name, Json *v)
{
    static char text[300];
    Error *err = NULL;

    text[0] = 0;
    if (!obj_set(o, name, v, false, &err)) {
        snprintf(text, sizeof(text), "%s", error_text(err));
        error_free(err);
    }
    json_free(v);
    return text;
}

TEST(defaults_are_the_peers)
{
    Obj *o;

    machine_lock();
    o = add("iothread", "io1", "{}", NULL);
    REQUIRE(o);
    CHECK_EQ(get(o, "poll-max-ns"), 32768);
    CHECK_EQ(get(o, "poll-grow"), 0);
    CHECK_EQ(get(o, "poll-shrink"), 0);
    CHECK_EQ(get(o, "aio-max-batch"), 0);
    CHECK_EQ(get(o, "thread-pool-min"), 0);
    CHECK_EQ(get(o, "thread-pool-max"), 64);
    CHECK_STR(obj_type(o), "iothread");
    CHECK(type_is_a("iothread", "event-loop-base"));
    CHECK_STR(loop_name(iothread_loop(o)), "io1");
    CHECK_GT(loop_thread_id(iothread_loop(o)), 0);
    CHECK(user_obj_del("io1", NULL));
    machine_unlock();
}

TEST(ranges)
{
    machine_lock();
    CHECK_STR(add_fails("iothread", "x", "{'poll-max-ns': -1}"),
              "poll-max-ns value must be in range [0, 9223372036854775807]");
    CHECK_STR(add_fails("iothread", "x", "{'aio-max-batch': -1}"),
              "aio-max-batch value must be in range [0, 9223372036854775807]");
    CHECK_STR(add_fails("iothread", "x", "{'thread-pool-max': 0}"),
              "bad thread-pool-min/thread-pool-max values");
    CHECK_STR(add_fails("iothread", "x", "{'thread-pool-min': 65}"),
              "bad thread-pool-min/thread-pool-max values");
    CHECK_STR(add_fails("iothread", "x", "{'thread-pool-max': 2147483648}"),
              "bad thread-pool-min/thread-pool-max values");
    CHECK(user_obj_find("x") == NULL);
    CHECK_STR(add_fails("iothread", "x",
                        "{'thread-pool-min': 70, 'thread-pool-max': 80}"), "");
    CHECK(user_obj_del("x", NULL));
    machine_unlock();
}

TEST(properties_change_live)
{
    Obj *o;

    machine_lock();
    o = add("iothread", "io1", "{'poll-max-ns': 5}", NULL);
    REQUIRE(o);
    CHECK_STR(set_fails(o, "aio-max-batch", json_int(17)), "");
    CHECK_EQ(loop_batch(iothread_loop(o)), 17);
    CHECK_STR(set_fails(o, "poll-max-ns", json_int(1000)), "");
    CHECK_EQ(get(o, "poll-max-ns"), 1000);
    CHECK_STR(set_fails(o, "poll-max-ns", json_int(-4)),
              "poll-max-ns value must be in range [0, 9223372036854775807]");
    CHECK_EQ(get(o, "poll-max-ns"), 1000);
    CHECK_STR(set_fails(o, "thread-pool-max", json_int(0)),
              "bad thread-pool-min/thread-pool-max values");
    CHECK_STR(set_fails(o, "thread-pool-min", json_int(65)),
              "bad thread-pool-min/thread-pool-max values");
    CHECK_EQ(get(o, "thread-pool-max"), 64);
    CHECK_EQ(get(o, "thread-pool-min"), 0);
    CHECK(user_obj_del("io1", NULL));
    machine_unlock();
}

static int counted;

static void count(Obj *o, void *arg)
{
    CHECK(iothread_loop(o) != NULL);
    counted++;
}

TEST(claims_keep_an_iothread)
{
    const PropRef *r = &prop_ref_iothread;
    Error *err = NULL;
    void *t;

    machine_lock();
    REQUIRE(add("iothread", "a", "{}", NULL));
    REQUIRE(add("iothread", "b", "{}", NULL));
    REQUIRE(add("main-loop", "m", "{'aio-max-batch': 3}", NULL));
    iothread_each(count, NULL);
    CHECK_EQ(counted, 2);
    t = r->claim(NULL, "iothread", "a", NULL);
    REQUIRE(t);
    CHECK_STR(r->id(t), "a");
    CHECK(!user_obj_del("a", &err));
    CHECK_STR(error_text(err), "object 'a' is in use, can not be deleted");
    error_free(err);
    err = NULL;
    CHECK(!r->claim(NULL, "iothread", "nope", &err));
    CHECK_STR(error_text(err), "Device 'nope' not found");
    CHECK(error_class(err) == ERROR_DEVICE_NOT_FOUND);
    error_free(err);
    err = NULL;
    CHECK(!r->claim(NULL, "iothread", "m", &err));
    CHECK_STR(error_text(err),
              "Invalid parameter type for 'iothread', expected: iothread");
    error_free(err);
    err = NULL;
    r->release(NULL, t);
    CHECK(user_obj_del("a", NULL));
    CHECK(user_obj_del("b", NULL));
    CHECK_EQ(loop_batch(loop_main), 3);
    CHECK_STR(add_fails("main-loop", "n", "{}"),
              "only one main-loop instance allowed");
    CHECK(!user_obj_del("m", &err));
    CHECK_STR(error_text(err), "object 'm' is in use, can not be deleted");
    error_free(err);
    machine_unlock();
}
