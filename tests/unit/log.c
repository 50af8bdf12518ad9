/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log.c, trace.c - the log, its items and file, guest faults, trace points.
 */
#include <fcntl.h>
#include <pthread.h>
#include <glib.h>
#include <sys/stat.h>
#include "trace.h"
#include "tests/tern-test.h"

static char *log_path(const char *name)
{
    static char *dir;
    if (!dir) {
        dir = g_dir_make_tmp("tern-log-XXXXXX", NULL);
    }
    return g_build_filename(dir, name, NULL);
}

/* Ends logging to the file, checks what is in it and removes it. */
static void file_has(const char *path, const char *wanted)
{
    char *text = NULL;
    log_set_file(NULL, NULL);
    CHECK(g_file_get_contents(path, &text, NULL, NULL));
    CHECK_STR(text, wanted);
    g_free(text);
    unlink(path);
}

TEST(items)
{
    CHECK(log_set_mask("int,cpu_reset", NULL));
    CHECK_EQ((int)log_mask, LOG_INT | LOG_RESET);
    CHECK(log_set_mask("guest_errors", NULL));
    CHECK_EQ((int)log_mask, LOG_GUEST_ERRORS);
    Error *err = NULL;
    CHECK(!log_set_mask("int,nope", &err));
    REQUIRE(err);
    CHECK_STR(error_text(err), "'nope' is not a log item");
    error_free(err);
    CHECK_EQ((int)log_mask, LOG_GUEST_ERRORS);
    CHECK(log_set_mask("all", NULL));
    CHECK(log_mask & LOG_UNIMP && log_mask & LOG_EXEC && !(log_mask & LOG_TID));
    CHECK(log_set_mask("none", NULL));
    CHECK_EQ(log_mask, 0u);
    CHECK(!log_set_mask("tid", NULL));
    CHECK(!log_set_mask("", NULL));
}

TEST(file)
{
    char *path = log_path("plain");
    CHECK(log_set_file(path, NULL));
    CHECK(log_set_mask("unimp", NULL));
    LOG(LOG_UNIMP, "%d one\n", 1);
    LOG(LOG_INT, "not this\n");
    LOG(LOG_UNIMP | LOG_INT, "two\n");
    file_has(path, "1 one\ntwo\n");
    log_set_mask("none", NULL);
    g_free(path);
}

TEST(file_names)
{
    static const char *const bad[] = { "x%s", "x%d%d", "%", "a%5d", "%%d" };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        Error *err = NULL;
        CHECK(!log_set_file(bad[i], &err));
        REQUIRE(err);
        CHECK_CONTAINS(error_text(err), "Bad logfile template: ");
        error_free(err);
    }
    Error *err = NULL;
    CHECK(!log_set_file("/proc/nonexistent/x", &err));
    REQUIRE(err);
    CHECK_STR(error_text(err), "Error opening logfile /proc/nonexistent/x: No such "
              "file or directory");
    error_free(err);
    char *path = log_path("pid-%d");
    CHECK(log_set_file(path, NULL));
    log_printf("x\n");
    g_free(path);
    char *name = g_strdup_printf("pid-%d", (int)getpid());
    path = log_path(name);
    file_has(path, "x\n");
    g_free(name);
    g_free(path);
}

static pid_t other_tid;

static void *log_from_thread(void *arg)
{
    other_tid = gettid();
    log_printf("from a thread\n");
    return NULL;
}

TEST(a_file_for_each_thread)
{
    char *path = log_path("tid-%d");
    pthread_t t;
    CHECK(log_set_file(path, NULL));
    CHECK(log_set_mask("tid", NULL));
    pthread_create(&t, NULL, log_from_thread, NULL);
    pthread_join(t, NULL);
    g_free(path);
    char *name = g_strdup_printf("tid-%d", (int)other_tid);
    path = log_path(name);
    file_has(path, "from a thread\n");
    log_set_mask("none", NULL);
    g_free(name);
    g_free(path);
    name = g_strdup_printf("tid-%d", (int)getpid());
    path = log_path(name);
    unlink(path);
    g_free(name);
    g_free(path);
}

static void faulty(int i)
{
    guest_fault("toy", "bad write %d", i);
}

TEST(guest_faults_are_limited)
{
    char *path = log_path("faults");
    CHECK(log_set_file(path, NULL));
    log_set_mask("none", NULL);
    faulty(-1);
    log_set_mask("guest_errors", NULL);
    for (int i = 0; i < 1000; i++) {
        faulty(i);
    }
    file_has(path, "toy: bad write 0\ntoy: bad write 1\ntoy: bad write 2\n"
             "toy: bad write 3\ntoy: bad write 4\ntoy: bad write 5\n"
             "toy: bad write 6\ntoy: bad write 7\ntoy: bad write 8\n"
             "toy: bad write 9\n");
    CHECK(log_set_file(path, NULL));
    usleep(1100000);
    faulty(7);
    file_has(path, "toy: 990 more like the last\ntoy: bad write 7\n");
    log_set_mask("none", NULL);
    g_free(path);
}

/* ---- trace points ------------------------------------------------------- */

static void points(int i)
{
    TRACE(unit_test_alpha, "i=%d", i);
    TRACE(unit_test_beta, "i=%d", i);
}

static void more_points(void)
{
    TRACE(unit_test_alpha, "again");
}

static void count_named(TracePoint *t, void *arg)
{
    *(int *)arg += !strcmp(t->name, "unit_test_alpha");
}

TEST(trace_points)
{
    char *path = log_path("trace");
    int n = 0;
    trace_each(count_named, &n);
    CHECK_EQ(n, 1);                    /* two places, one name                */
    CHECK(log_set_file(path, NULL));
    points(1);
    CHECK_EQ(trace_enable("unit_test_al*", true), 2u);
    points(2);
    more_points();
    CHECK_EQ(trace_enable("unit_test_alpha", false), 2u);
    CHECK_EQ(trace_enable("unit_test_?eta", true), 1u);
    points(3);
    CHECK_EQ(trace_enable("unit_test_nope", true), 0u);
    trace_enable("unit_test_*", false);
    points(4);
    file_has(path, "unit_test_alpha i=2\nunit_test_alpha again\n"
             "unit_test_beta i=3\n");
    g_free(path);
}

TEST(trace_option)
{
    char *path = log_path("option"), *events = log_path("events");
    CHECK(g_file_set_contents(events, "# comment\n\n  unit_test_*\n"
                              "-unit_test_beta\n", -1, NULL));
    char *text = g_strdup_printf("events=%s,file=%s", events, path);
    CHECK(trace_option(text, NULL));
    points(1);
    CHECK(trace_option("-unit_test_alpha", NULL));
    CHECK(trace_option("enable=unit_test_beta", NULL));
    points(2);
    CHECK(log_set_mask("trace:unit_test_alpha", NULL));
    points(3);
    trace_enable("unit_test_*", false);
    file_has(path, "unit_test_alpha i=1\nunit_test_beta i=2\n"
             "unit_test_alpha i=3\nunit_test_beta i=3\n");
    Error *err = NULL;
    CHECK(!trace_option("enable=unit_test_beta,bar=1", &err));
    REQUIRE(err);
    CHECK_STR(error_text(err), "Invalid parameter 'bar'");
    error_free(err);
    CHECK(!trace_option("events=/nonexistent", NULL));
    unlink(events);
    g_free(text);
    g_free(path);
    g_free(events);
}
