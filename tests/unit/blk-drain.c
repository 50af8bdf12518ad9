/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Drained sections: of a node that two backends reach by their own ways, of one
 * whose requests are held back by limits, of a backend in another thread. */
#include <glib.h>
#include "block/driver.h"
#include "iothread.h"
#include "obj.h"
#include "opt.h"
#include "tests/tern-test.h"

#define COUNT 40

typedef struct Counter {
    int started, ended, failed;        /* atomic                              */
} Counter;
typedef struct Ask {
    BlkReq req;
    struct iovec iov;
    uint8_t data[512];
    Counter *c;
} Ask;

static void ask_done(BlkReq *req)
{
    Ask *a = container_of(req, Ask, req);

    __atomic_add_fetch(&a->c->failed, req->ret != 0, __ATOMIC_RELAXED);
    __atomic_add_fetch(&a->c->ended, 1, __ATOMIC_RELEASE);
}

static int ended(const Counter *c)
{
    return __atomic_load_n(&c->ended, __ATOMIC_ACQUIRE);
}

static void ask(BlkBackend *b, Ask *a, Counter *c, unsigned i)
{
    a->c = c;
    a->iov = (struct iovec){ a->data, sizeof(a->data) };
    a->req = (BlkReq){ .op = i & 1 ? BLK_WRITE : BLK_READ, .off = i * 512ull,
                       .len = 512, .iov = &a->iov, .niov = 1,
                       .done = ask_done };
    __atomic_add_fetch(&c->started, 1, __ATOMIC_RELAXED);
    blk_submit(b, &a->req);
}

NO_TSA static void turns(int n)
{
    for (int i = 0; i < n; i++) {
        loop_step(false);
    }
}

NO_TSA static BlkBackend *opened(const char *json)
{
    BlkBackend *b = blk_new(NULL);
    Error *err = NULL;
    Json *v = json_parse(json, strlen(json), &err);
    BlkNode *n = v ? blk_open_json(v, false, &err) : NULL;

    if (!n || !blk_set_perm(b, BLKP_CONSISTENT_READ | BLKP_WRITE, BLKP_ALL,
                            &err) || !blk_insert(b, n, &err)) {
        printf("# %s\n", err ? error_text(err) : "?");
        error_free(err);
        blk_unref(b);
        b = NULL;
    }
    blk_node_unref(n);
    json_free(v);
    return b;
}

#define NULL_FILE(more) "{'driver':'null-co','size':1048576" more "}"

TEST(a_shared_node_stops_all_who_reach_it)
{
    Ask v[2][COUNT], late[2];
    Counter c = { 0 };
    BlkBackend *b[2];
    BlkDrain *d;

    machine_lock();
    b[0] = opened("{'driver':'raw','size':524288,'offset':0,'file':"
                  NULL_FILE(",'node-name':'shared','latency-ns':2000000") "}");
    b[1] = opened("{'driver':'raw','size':524288,'offset':524288,"
                  "'file':'shared'}");
    REQUIRE(b[0] && b[1]);
    for (int k = 0; k < 2; k++) {
        for (unsigned i = 0; i < COUNT; i++) {
            ask(b[k], &v[k][i], &c, i);
        }
    }
    CHECK_GT(c.started, ended(&c));    /* they take their time                */
    d = blk_node_drain_begin(blk_node_find("shared"));
    CHECK_EQ(ended(&c), 2 * COUNT);
    ask(b[0], &late[0], &c, 0);
    ask(b[1], &late[1], &c, 1);
    turns(20);
    CHECK_EQ(ended(&c), 2 * COUNT);
    blk_node_drain_end(d);
    blk_drain_all();
    CHECK_EQ(ended(&c), 2 * COUNT + 2);
    CHECK_EQ(c.failed, 0);
    blk_unref(b[1]);
    blk_unref(b[0]);
    machine_unlock();
}

TEST(sections_nest)
{
    Counter c = { 0 };
    BlkBackend *b;
    Ask a;

    machine_lock();
    b = opened(NULL_FILE(",'node-name':'n'"));
    REQUIRE(b);
    blk_drain_begin(b);
    BlkDrain *d = blk_node_drain_begin(blk_node_find("n"));
    ask(b, &a, &c, 0);
    turns(5);
    blk_drain_end(b);
    turns(5);
    CHECK_EQ(ended(&c), 0);            /* the other one is still there        */
    blk_node_drain_end(d);
    blk_drain(b);
    CHECK_EQ(ended(&c), 1);
    blk_unref(b);
    machine_unlock();
}

NO_TSA static void group_make(void)
{
    Error *err = NULL;
    Opts o;

    REQUIRE(opts_parse(&o, "x-iops-total=2", NULL, 0, &err));
    REQUIRE(user_obj_add("throttle-group", "g", o.obj, o.text, &err));
    opts_free(&o);
}

/* At two in a second this would take twenty of them. */
TEST(limits_hold_nothing_back_in_a_section)
{
    int64_t began = clock_ns(CLOCK_HOST);
    Counter c = { 0 };
    Ask v[COUNT];
    BlkBackend *b;

    machine_lock();
    group_make();
    b = opened("{'driver':'throttle','throttle-group':'g','file':"
               NULL_FILE("") "}");
    REQUIRE(b);
    for (unsigned i = 0; i < COUNT; i++) {
        ask(b, &v[i], &c, i);
    }
    turns(5);
    CHECK_GT(c.started, ended(&c));
    blk_drain_begin(b);
    CHECK_EQ(ended(&c), COUNT);
    blk_drain_end(b);
    CHECK_GT(10 * NS_PER_S, clock_ns(CLOCK_HOST) - began);
    blk_unref(b);
    machine_unlock();
}

typedef struct Far {
    BlkBackend *b;
    Ask *v;
    Counter *c;
} Far;

static void far_start(void *arg)
{
    Far *f = arg;

    for (unsigned i = 0; i < COUNT; i++) {
        ask(f->b, &f->v[i], f->c, i);
    }
}

TEST(a_backend_of_another_thread_is_waited_for)
{
    Counter c = { 0 };
    Error *err = NULL;
    Ask v[COUNT], w[COUNT];
    BlkBackend *b;
    Opts o;

    machine_lock();
    REQUIRE(opts_parse(&o, "poll-max-ns=0", NULL, 0, &err));
    Obj *t = user_obj_add("iothread", "io", o.obj, o.text, &err);
    opts_free(&o);
    REQUIRE(t);
    b = opened(NULL_FILE(",'latency-ns':3000000"));
    REQUIRE(b);
    CHECK(blk_set_loop(b, iothread_loop(t), &err));
    Far early = { b, v, &c }, late = { b, w, &c };

    loop_run_sync(iothread_loop(t), far_start, &early);
    blk_drain_begin(b);
    CHECK_EQ(ended(&c), COUNT);
    loop_run_sync(iothread_loop(t), far_start, &late);
    g_usleep(20000);                   /* longer than one of them takes       */
    CHECK_EQ(ended(&c), COUNT);
    blk_drain_end(b);
    blk_drain(b);
    CHECK_EQ(ended(&c), 2 * COUNT);
    CHECK_EQ(c.failed, 0);
    CHECK(blk_set_loop(b, loop_main, &err));
    blk_unref(b);
    machine_unlock();
}
