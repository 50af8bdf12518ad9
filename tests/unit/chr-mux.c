/* SPDX-License-Identifier: GPL-2.0-or-later */
/* chardev/mux.c: focus, keys, time stamps; claims by properties; exchange of
 * backends (chr_change). */
#include "tests/tern-test.h"
#include <fcntl.h>
#include <sys/stat.h>
#include "tests/unit/chr-rig.h"
#include "schema/schema.h"

/* The base's input comes from a FIFO, its output goes to another. */
typedef struct Rig {
    char *dir;
    int in, out;
    CharPort *p;
} Rig;

static void rig_open(Rig *r, const char *more)
{
    char *path, *a, *b;

    r->dir = temp_dir();
    path = g_build_filename(r->dir, "p", NULL);
    a = g_strconcat(path, ".in", NULL);
    b = g_strconcat(path, ".out", NULL);
    REQUIRE(!mkfifo(a, 0600) && !mkfifo(b, 0600));
    r->p = port_new("pipe,id=m,path=%s%s", path, more);
    r->in = open(a, O_WRONLY | O_NONBLOCK);
    r->out = open(b, O_RDONLY | O_NONBLOCK);
    REQUIRE(r->p && r->in >= 0 && r->out >= 0);
    g_free(path);
    g_free(a);
    g_free(b);
}

static void rig_close(Rig *r)
{
    char *s = g_strconcat("rm -r ", r->dir, NULL);

    port_del("m");
    if (chr_find("m-base")) {
        port_del("m-base");
    }
    close(r->in);
    close(r->out);
    CHECK_EQ(system(s), 0);
    g_free(s);
    g_free(r->dir);
}

static void type(Rig *r, const char *keys)
{
    CHECK_EQ(write(r->in, keys, strlen(keys)), (ssize_t)strlen(keys));
    for (int i = 0; i < 20; i++) {
        loop_step(false);
    }
}

static char *printed(Rig *r)
{
    static char buf[4096];
    ssize_t n = read(r->out, buf, sizeof(buf) - 1);

    buf[MAX2(n, 0)] = 0;
    return buf;
}

TEST(pipe_both_ways)
{
    Rig r;
    Ear e;

    rig_open(&r, "");
    ear_open(&e, r.p);
    type(&r, "abc");
    CHECK_STR(e.got->str, "abc");
    CHECK_EQ(chr_write_all(&e.f, "xyz", 3), 3);
    CHECK_STR(printed(&r), "xyz");
    CHECK(chr_remove("m", NULL) == false);
    ear_close(&e);
    rig_close(&r);
}

TEST(keys_move_the_focus)
{
    Rig r;
    Ear a, b;

    rig_open(&r, ",mux=on");
    CHECK(chr_find("m-base"));
    ear_open(&a, r.p);
    ear_open(&b, r.p);
    LOOP_UNTIL(a.f.open_told && b.f.open_told);
    CHECK_STR(a.events->str, "oO");
    CHECK_STR(b.events->str, "iO");
    type(&r, "x");
    CHECK_STR(b.got->str, "x");
    type(&r, "\1c");
    CHECK_STR(a.events->str, "oOi");
    CHECK_STR(b.events->str, "iOo");
    type(&r, "y\1\1");
    CHECK_STR(a.got->str, "y\1");
    type(&r, "\1");
    type(&r, "b");
    CHECK_STR(a.events->str, "oOiB");
    CHECK_STR(b.got->str, "x");
    chr_take_focus(&b.f);
    type(&r, "z");
    CHECK_STR(b.got->str, "xz");
    /* When the one in focus goes, the next has it. */
    ear_close(&b);
    type(&r, "w");
    CHECK_STR(a.got->str, "y\1w");
    ear_close(&a);
    rig_close(&r);
}

TEST(help_and_time_stamps)
{
    Rig r;
    Ear a;
    char *s;
    int h, m, sec, ms, n = 0;

    rig_open(&r, ",mux=on");
    ear_open(&a, r.p);
    type(&r, "\1h");
    s = printed(&r);
    CHECK(!strncmp(s, "\n\rC-a h    print this help\n\r", 28));
    CHECK_CONTAINS(s, "C-a C-a  sends C-a\n\r");
    CHECK_EQ(a.got->len, 0u);
    type(&r, "\1t");
    chr_write_all(&a.f, "one\ntwo\nthr", 11);
    s = printed(&r);
    CHECK_EQ(sscanf(s, "one\n[%d:%d:%d.%d] two\n[%*d:%*d:%*d.%*d] thr%n", &h,
                    &m, &sec, &ms, &n), 4);
    CHECK_EQ(n, (int)strlen(s));
    type(&r, "\1t");
    chr_write_all(&a.f, "\nfour", 5);
    CHECK_STR(printed(&r), "\nfour");
    ear_close(&a);
    rig_close(&r);
}

TEST(keys_are_kept_for_a_busy_front_end)
{
    Rig r;
    Ear a;

    rig_open(&r, ",mux=on");
    ear_open(&a, r.p);
    a.room = 0;
    type(&r, "0123456789012345678901234567890123456789");
    CHECK_EQ(a.got->len, 0u);
    a.room = 2;
    chr_accept_input(&a.f);
    CHECK_STR(a.got->str, "01");
    a.room = -1;
    chr_accept_input(&a.f);
    LOOP_UNTIL(a.got->len == 40);
    CHECK_STR(a.got->str, "0123456789012345678901234567890123456789");
    ear_close(&a);
    rig_close(&r);
}

TEST(four_front_ends_and_no_more)
{
    Rig r;
    Ear e[4];
    CharFront fifth = { 0 };
    Error *err = NULL;

    rig_open(&r, ",mux=on");
    for (int i = 0; i < 4; i++) {
        ear_open(&e[i], r.p);
    }
    CHECK(!chr_attach(&fifth, r.p, &err));
    CHECK_STR(error_text(err), "Device 'm' is in use");
    error_free(err);
    for (int i = 0; i < 4; i++) {
        ear_close(&e[i]);
    }
    rig_close(&r);
}

TEST(backend_is_exchanged)
{
    CharPort *p = port_new("ringbuf,id=x");
    Error *err = NULL;
    Json *o = json_obj();
    char name[64];
    Ear e;

    REQUIRE(p);
    ear_open(&e, p);
    json_set_str(o, "backend", "null");
    e.refuse = true;
    CHECK(!chr_change("x", o, true, &err));
    CHECK_STR(error_text(err), "Chardev 'x' change failed");
    error_free(err);
    err = NULL;
    CHECK(e.f.port == p && chr_find("x") == p);
    e.refuse = false;
    CHECK(chr_change("x", o, true, NULL));
    CHECK_EQ(e.changes, 2u);
    CHECK(chr_find("x") == e.f.port);
    CHECK_STR(e.f.port->drv->name, "null");
    CHECK_EQ(chr_write(&e.f, "a", 1), 1);
    json_set_str(o, "backend", "pty");
    CHECK(chr_change("x", o, true, NULL));
    e.f.port->drv->filename(e.f.port, name, sizeof(name));
    CHECK(!strncmp(name, "pty:/dev/", 9));
    json_set_str(o, "backend", "file");
    json_set_str(o, "path", "/proc/nonexistent/x");
    CHECK(!chr_change("x", o, true, &err));
    CHECK_STR(error_text(err),
              "Could not open '/proc/nonexistent/x': No such file or directory");
    error_free(err);
    err = NULL;
    CHECK_STR(e.f.port->drv->name, "pty");
    e.f.changed = NULL;
    json_set_str(o, "backend", "null");
    CHECK(!chr_change("x", o, true, &err));
    CHECK_STR(error_text(err), "Chardev user does not support chardev hotswap");
    error_free(err);
    json_free(o);
    ear_close(&e);
    port_del("x");
}

TEST(pty_opens_and_closes)
{
    CharPort *p = port_new("pty,id=x");
    char name[64], buf[8] = "";
    ssize_t got = 0;
    Ear e;
    int fd;

    REQUIRE(p);
    ear_open(&e, p);
    p->drv->filename(p, name, sizeof(name));
    CHECK_EQ(chr_write(&e.f, "lost", 4), 4);
    fd = open(name + 4, O_RDWR | O_NOCTTY | O_NONBLOCK);
    REQUIRE(fd >= 0);
    LOOP_UNTIL(e.f.open_told);
    CHECK_EQ(write(fd, "in\r", 3), 3);
    LOOP_UNTIL(e.got->len == 3);
    CHECK_STR(e.got->str, "in\r");
    CHECK_EQ(chr_write(&e.f, "out\n", 4), 4);
    LOOP_UNTIL(got == 4 || (got = read(fd, buf, sizeof(buf))) == 4);
    CHECK_STR(buf, "out\n");
    close(fd);
    LOOP_UNTIL(!e.f.open_told);
    ear_close(&e);
    port_del("x");
}

TEST(ring_keeps_the_latest)
{
    CharPort *p = port_new("ringbuf,id=x,size=8");
    RingbufReadArg a = { .device = (char *)"x", .size = 100 };
    char *text = NULL;
    Ear e;

    REQUIRE(p);
    ear_open(&e, p);
    CHECK_EQ(chr_write(&e.f, "0123456789", 10), 10);
    CHECK(cmd_ringbuf_read(&a, &text, NULL));
    CHECK_STR(text, "23456789");
    g_free(text);
    ear_close(&e);
    port_del("x");
}

TEST(files_and_logs)
{
    char *dir = temp_dir(), *cmd = g_strconcat("rm -r ", dir, NULL), *s;
    char *in = g_build_filename(dir, "in", NULL);
    char *log = g_build_filename(dir, "log", NULL);
    CharPort *p;
    Ear e;

    CHECK(g_file_set_contents(in, "from a file", -1, NULL));
    p = port_new("file,id=x,path=/dev/null,input-path=%s,logfile=%s", in, log);
    REQUIRE(p);
    ear_open(&e, p);
    LOOP_UNTIL(e.got->len == 11);
    CHECK_STR(e.got->str, "from a file");
    LOOP_UNTIL(!e.f.open_told);
    CHECK_EQ(chr_write(&e.f, "noted", 5), 5);
    CHECK(g_file_get_contents(log, &s, NULL, NULL));
    CHECK_STR(s, "noted");
    g_free(s);
    ear_close(&e);
    port_del("x");
    CHECK_EQ(system(cmd), 0);
    g_free(cmd);
    g_free(dir);
    g_free(in);
    g_free(log);
}

TEST(udp_both_ways)
{
    CharPort *a, *b;
    Ear x, y;

    a = port_new("udp,id=a,host=127.0.0.1,port=47611,localaddr=127.0.0.1,"
                 "localport=47612");
    if (!a) {
        SKIP("%.150s", chr_why);
    }
    b = port_new("udp,id=b,host=127.0.0.1,port=47612,localaddr=127.0.0.1,"
                 "localport=47611");
    REQUIRE(b);
    ear_open(&x, a);
    ear_open(&y, b);
    y.room = 1;
    CHECK_EQ(chr_write(&x.f, "packet", 6), 6);
    LOOP_UNTIL(y.got->len == 1);
    y.room = -1;
    chr_accept_input(&y.f);
    LOOP_UNTIL(y.got->len == 6);
    CHECK_STR(y.got->str, "packet");
    ear_close(&x);
    ear_close(&y);
    port_del("a");
    port_del("b");
}
