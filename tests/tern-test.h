/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The test harness: one header, one process per test program.
 *
 *     #include "tests/tern-test.h"
 *
 *     TEST(adds_two_numbers)
 *     {
 *         CHECK_EQ(1 + 1, 2);
 *     }
 *
 * The program prints TAP: "1..N", then "ok 3 - name" or "not ok 3 - name",
 * with the reasons before it as "# " lines. Arguments choose tests: a name,
 * or a shell pattern ("json_*"); --list prints the names.
 *
 * CHECK* note a failure and go on. REQUIRE* note it and leave the test; use
 * them in the thread and on the stack that the test began on. SKIP leaves the
 * test with a reason. A test that runs longer than its limit (30 s, or
 * TEST_LIMIT(seconds) in its body), or that crashes, is reported as failed by
 * its name and ends the program.
 */
#ifndef TESTS_TERN_TEST_H
#define TESTS_TERN_TEST_H

#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct TernTest {
    const char *name;
    void (*run)(void);
    int line;
} TernTest;

#define TEST(nm)                                                            \
    static void test_##nm(void);                                            \
    static const TernTest test_row_##nm = { #nm, test_##nm, __LINE__ };     \
    __attribute__((used, retain, section("tern_tests")))                    \
    static const TernTest *const test_ptr_##nm = &test_row_##nm;            \
    static void test_##nm(void)

extern const TernTest *const __start_tern_tests[];
extern const TernTest *const __stop_tern_tests[];

static sig_atomic_t tt_failures;        /* of the running test             */
static const char *tt_name = "start-up";
static int tt_number;
static jmp_buf tt_leave;
static char tt_skip_reason[200];

__attribute__((format(printf, 3, 4), unused))
static bool tt_fail(const char *file, int line, const char *fmt, ...)
{
    va_list ap;

    __atomic_add_fetch(&tt_failures, 1, __ATOMIC_RELAXED);
    flockfile(stdout);
    printf("# %s:%d: ", file, line);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
    funlockfile(stdout);
    return false;
}

#define TT_LEAVE_IF_FALSE(x) \
    do { if (!(x)) { longjmp(tt_leave, 1); } } while (0)

#define TT_COND(c) \
    ((c) ? true : tt_fail(__FILE__, __LINE__, "false: %s", #c))
#define TT_CMP(a, op, b)                                                    \
    ({                                                                      \
        __typeof__(a) a_ = (a);                                             \
        __typeof__(b) b_ = (b);                                             \
        a_ op b_ ? true                                                     \
            : tt_fail(__FILE__, __LINE__, "%s " #op " %s: left is %" PRId64 \
                      " (0x%" PRIx64 "), right is %" PRId64 " (0x%" PRIx64  \
                      ")", #a, #b, (int64_t)a_, (uint64_t)a_, (int64_t)b_,  \
                      (uint64_t)b_);                                        \
    })
#define TT_STR(a, b)                                                        \
    ({                                                                      \
        const char *a_ = (a), *b_ = (b);                                    \
        (a_ == b_ || (a_ && b_ && strcmp(a_, b_) == 0)) ? true              \
            : tt_fail(__FILE__, __LINE__, "%s is \"%s\", wanted \"%s\"",    \
                      #a, a_ ? a_ : "(null)", b_ ? b_ : "(null)");          \
    })
#define TT_CONTAINS(a, b)                                                   \
    ({                                                                      \
        const char *a_ = (a), *b_ = (b);                                    \
        (a_ && strstr(a_, b_)) ? true                                       \
            : tt_fail(__FILE__, __LINE__, "%s is \"%s\", wanted \"%s\" in " \
                      "it", #a, a_ ? a_ : "(null)", b_);                    \
    })
#define TT_MEM(a, b, n)                                                     \
    (memcmp((a), (b), (n)) == 0 ? true                                      \
        : tt_fail(__FILE__, __LINE__, "%s and %s differ in %zu bytes", #a,  \
                  #b, (size_t)(n)))

/* Each gives true if it held. Arguments are evaluated once. */
#define CHECK(c) ((void)TT_COND(c))
#define CHECK_EQ(a, b) ((void)TT_CMP(a, ==, b))
#define CHECK_NE(a, b) ((void)TT_CMP(a, !=, b))
#define CHECK_LT(a, b) ((void)TT_CMP(a, <, b))
#define CHECK_LE(a, b) ((void)TT_CMP(a, <=, b))
#define CHECK_GT(a, b) ((void)TT_CMP(a, >, b))
#define CHECK_GE(a, b) ((void)TT_CMP(a, >=, b))
#define CHECK_STR(a, b) ((void)TT_STR(a, b))
#define CHECK_CONTAINS(a, b) ((void)TT_CONTAINS(a, b))
#define CHECK_MEM(a, b, n) ((void)TT_MEM(a, b, n))

#define REQUIRE(c) TT_LEAVE_IF_FALSE(TT_COND(c))
#define REQUIRE_EQ(a, b) TT_LEAVE_IF_FALSE(TT_CMP(a, ==, b))
#define REQUIRE_STR(a, b) TT_LEAVE_IF_FALSE(TT_STR(a, b))

#define FAIL(...) ((void)tt_fail(__FILE__, __LINE__, __VA_ARGS__))

#define SKIP(...)                                                           \
    do {                                                                    \
        snprintf(tt_skip_reason, sizeof(tt_skip_reason), __VA_ARGS__);      \
        longjmp(tt_leave, 2);                                               \
    } while (0)

#define TEST_LIMIT(seconds) ((void)alarm((seconds) * tt_patience()))

/* Slow builds (sanitizers, valgrind) set TERN_TEST_PATIENCE to a factor. */
static unsigned tt_patience(void)
{
    const char *s = getenv("TERN_TEST_PATIENCE");
    int n = s ? atoi(s) : 1;

    return n > 0 ? n : 1;
}

static void tt_signal(int sig)
{
    char buf[300];
    int n = snprintf(buf, sizeof(buf), "\nnot ok %d - %s # %s\n", tt_number,
                     tt_name, sig == SIGALRM ? "timed out" : strsignal(sig));

    /* What the test printed so far is lost if another thread holds stdout. */
    if (ftrylockfile(stdout) == 0) {
        fflush(stdout);
    }
    if (write(STDOUT_FILENO, buf, n) != n) {
        _exit(3);
    }
    signal(sig, SIG_DFL);
    if (sig == SIGALRM) {
        _exit(2);
    }
    raise(sig);
}

static bool tt_chosen(const char *name, int argc, char **argv)
{
    if (argc < 2) {
        return true;
    }
    for (int i = 1; i < argc; i++) {
        if (fnmatch(argv[i], name, 0) == 0) {
            return true;
        }
    }
    return false;
}

/* Returns true if the test passed or was skipped. */
static bool tt_run_one(const TernTest *t)
{
    int left;

    tt_name = t->name;
    tt_failures = 0;
    alarm(30 * tt_patience());
    left = setjmp(tt_leave);
    if (left == 0) {
        t->run();
    }
    alarm(0);
    if (tt_failures) {
        printf("not ok %d - %s\n", tt_number, t->name);
        return false;
    }
    printf("ok %d - %s", tt_number, t->name);
    if (left == 2) {
        printf(" # SKIP %s", tt_skip_reason);
    }
    putchar('\n');
    return true;
}

static int tt_by_line(const void *a, const void *b)
{
    return (*(const TernTest *const *)a)->line -
           (*(const TernTest *const *)b)->line;
}

int main(int argc, char **argv)
{
    static const int fatal[] = { SIGALRM, SIGSEGV, SIGBUS, SIGILL, SIGFPE,
                                 SIGABRT };
    int all = __stop_tern_tests - __start_tern_tests, count = 0, bad = 0;
    const TernTest **t = calloc(all, sizeof(*t));

    /* Compilers differ in the order in which they emit the rows. */
    memcpy(t, __start_tern_tests, all * sizeof(*t));
    qsort(t, all, sizeof(*t), tt_by_line);
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        for (int i = 0; i < all; i++) {
            puts(t[i]->name);
        }
        free(t);
        return 0;
    }
    for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++) {
#ifdef __SANITIZE_ADDRESS__
        /* The sanitizer's own report of a crash says more. */
        if (fatal[i] != SIGALRM) {
            continue;
        }
#endif
        signal(fatal[i], tt_signal);
    }
    for (int i = 0; i < all; i++) {
        count += tt_chosen(t[i]->name, argc, argv);
    }
    if (count == 0) {
        fprintf(stderr, "%s: no such test (see --list)\n", argv[0]);
        return 1;
    }
    printf("1..%d\n", count);
    for (int i = 0; i < all; i++) {
        if (tt_chosen(t[i]->name, argc, argv)) {
            tt_number++;
            fflush(stdout);
            bad += !tt_run_one(t[i]);
        }
    }
    free(t);
    return bad ? 1 : 0;
}

#endif
