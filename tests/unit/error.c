/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * error.c - error values, and reports as a person sees them.
 */
#include <glib.h>
#include "error.h"
#include "tests/tern-test.h"

typedef struct Caught {
    ReportSink sink;
    GString *text;
} Caught;

static void catch_print(ReportSink *sink, const char *text)
{
    g_string_append(((Caught *)sink)->text, text);
}

static Caught caught = { { catch_print }, NULL };

static void catch_begin(void)
{
    caught.text = g_string_new(NULL);
    report_sink(&caught.sink);
}

static void catch_end(const char *wanted)
{
    report_sink(NULL);
    CHECK_STR(caught.text->str, wanted);
    g_string_free(caught.text, TRUE);
}

TEST(a_refusal_is_one_line)
{
    Error *err = NULL;
    CHECK(!error_set(&err, "disk '%s': %d", "a", 7));
    REQUIRE(err);
    CHECK_STR(error_text(err), "disk 'a': 7");
    CHECK_STR(error_hint_text(err), "");
    CHECK_EQ((int)error_class(err), ERROR_GENERIC);
    error_free(err);
}

TEST(nobody_asked)
{
    CHECK(!error_set(NULL, "x"));
    CHECK(!error_set_errno(NULL, ENOENT, "x"));
    error_hint(NULL, "x");
    error_prepend(NULL, "x");
    error_move(NULL, NULL);
    error_free(NULL);
    Error *none = NULL;
    error_hint(&none, "x");
    error_prepend(&none, "x");
    CHECK(!none);
}

TEST(classes_and_errno)
{
    Error *err = NULL;
    error_set_class(&err, ERROR_DEVICE_NOT_FOUND, "Device '%s' not found",
                    "d");
    CHECK_STR(error_class_name(error_class(err)), "DeviceNotFound");
    error_free(err);
    err = NULL;
    error_set_errno(&err, ENOENT, "Could not open '%s'", "f");
    CHECK_STR(error_text(err), "Could not open 'f': No such file or directory");
    CHECK_STR(error_class_name(ERROR_KVM_MISSING_CAP), "KVMMissingCap");
    error_free(err);
}

TEST(prepend_hint_copy_move)
{
    Error *err = NULL, *to = NULL;
    error_set_class(&err, ERROR_DEVICE_NOT_ACTIVE, "b");
    error_prepend(&err, "%s: ", "a");
    error_hint(&err, "try %d", 1);
    error_hint(&err, "or 2\n");
    Error *copy = error_copy(err);
    CHECK_STR(error_text(copy), "a: b");
    CHECK_STR(error_hint_text(copy), "try 1\nor 2\n");
    CHECK_EQ((int)error_class(copy), ERROR_DEVICE_NOT_ACTIVE);
    error_move(&to, err);
    CHECK(to == err);
    error_move(&to, copy);             /* the first stays                     */
    CHECK(to == err);
    error_free(to);
}

TEST(reports)
{
    Error *err = NULL;
    catch_begin();
    error_set(&err, "bad");
    error_hint(&err, "Please use good instead");
    error_report(err);
    const char *old = report_where("-device foo");
    CHECK(!old);
    error_reportf("no %s", "bus");
    warn_report("w");
    info_report("i");
    CHECK_STR(report_where(NULL), "-device foo");
    warn_report("%d%%", 5);
    catch_end("bad\nPlease use good instead\n"
              "-device foo: no bus\n"
              "-device foo: warning: w\n"
              "-device foo: info: i\n"
              "warning: 5%\n");
}

TEST(program_name)
{
    report_name_set("/usr/bin/qemu-system-x86_64");
    CHECK_STR(report_name(), "qemu-system-x86_64");
    report_name_set("tern");
    CHECK_STR(report_name(), "tern");
    report_name_set("");
    report_name_set(NULL);
    CHECK_STR(report_name(), "tern");
}

/* What comes on stderr, read back through a pipe. */
TEST(stderr_line)
{
    int fd[2], saved = dup(2);
    char buf[300] = "";
    REQUIRE(saved >= 0 && !pipe(fd));
    dup2(fd[1], 2);
    report_timestamps = true;
    report_guest_name = "vm1";
    error_reportf("x");
    report_timestamps = false;
    report_guest_name = NULL;
    error_reportf("y");
    dup2(saved, 2);
    CHECK_GT(read(fd[0], buf, sizeof(buf) - 1), 0);
    char stamp[] = "2026-11-21T03:48:13.123456Z";
    for (size_t i = 0; i < strlen(stamp); i++) {
        bool digit = g_ascii_isdigit(stamp[i]);
        CHECK(digit ? g_ascii_isdigit(buf[i]) : buf[i] == stamp[i]);
    }
    CHECK_STR(buf + strlen(stamp), " vm1 tern: x\ntern: y\n");
    close(fd[0]);
    close(fd[1]);
    close(saved);
}
