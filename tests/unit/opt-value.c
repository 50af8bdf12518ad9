/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * opt-value.c - booleans, numbers, sizes and identifiers in options.
 */
#include "opt.h"
#include "tests/tern-test.h"

TEST(booleans)
{
    static const char *const yes[] = { "on", "yes", "true", "y" };
    static const char *const no[] = { "off", "no", "false", "n" };
    static const char *const bad[] = { "", "1", "0", "ON", "On", "maybe",
                                       " on", "on " };
    bool b;
    for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
        b = false;
        CHECK(opt_bool("k", yes[i], &b, NULL) && b);
        b = true;
        CHECK(opt_bool("k", no[i], &b, NULL) && !b);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        Error *err = NULL;
        CHECK(!opt_bool("k", bad[i], &b, &err));
        REQUIRE(err);
        CHECK_STR(error_text(err), "Parameter 'k' expects 'on' or 'off'");
        error_free(err);
    }
}

TEST(numbers)
{
    uint64_t u;
    int64_t i;
    CHECK(opt_u64("k", "18446744073709551615", &u, NULL) && u == UINT64_MAX);
    CHECK(opt_u64("k", "0x1f", &u, NULL) && u == 31);
    CHECK(opt_u64("k", "010", &u, NULL) && u == 8);
    CHECK(opt_u64("k", "+1", &u, NULL) && u == 1);
    CHECK(opt_i64("k", "-9223372036854775808", &i, NULL) && i == INT64_MIN);
    static const char *const bad[] = { "", "x", "1x", "1.0", "-1", "1k", "-" };
    for (size_t k = 0; k < ARRAY_SIZE(bad); k++) {
        Error *err = NULL;
        CHECK(!opt_u64("index", bad[k], &u, &err));
        REQUIRE(err);
        CHECK_STR(error_text(err), "Parameter 'index' expects a number");
        error_free(err);
    }
    Error *err = NULL;
    CHECK(!opt_u64("bps", "18446744073709551616", &u, &err));
    REQUIRE(err);
    CHECK_STR(error_text(err), "Value '18446744073709551616' is too large for "
              "parameter 'bps'");
    error_free(err);
    CHECK(!opt_i64("k", "9223372036854775808", &i, NULL));
    CHECK(!opt_i64("k", "1 ", &i, NULL));
}

typedef struct SizeCase {
    const char *text;
    uint64_t unit, value;
} SizeCase;

static void nothing(ReportSink *sink, const char *text)
{
    CHECK_STR(text, "warning: Using a multiplier suffix on hex numbers is "
              "deprecated: 0x10k\n");
}

TEST(sizes)
{
    static const SizeCase good[] = {
        { "0", 1, 0 }, { "1", 1, 1 }, { "1", MiB, MiB }, { "1b", MiB, 1 },
        { "1B", 1, 1 }, { "1K", 1, KiB }, { "1k", 1, KiB }, { "1m", 1, MiB },
        { "1G", 1, GiB }, { "1t", 1, TiB }, { "1P", 1, 1024 * TiB },
        { "15E", 1, 15 * 1024 * 1024 * TiB }, { "1.5k", 1, 1536 },
        { "2.0", MiB, 2 * MiB }, { "0.3k", 1, 307 }, { "1.", 1, 1 },
        { "1.k", 1, KiB }, { "1.0", 1, 1 }, { "1.0b", 1, 1 },
        { "+1.5k", 1, 1536 }, { " 1k", 1, KiB }, { "010k", 1, 10 * KiB },
        { "0x1E", 1, 30 }, { "0x1B", 1, 27 }, { "0x10k", 1, 16 * KiB },
        { "18446744073709551615", 1, UINT64_MAX },
        { "0.00000000000000000000000000000001k", 1, 0 },
    };
    ReportSink quiet = { nothing };
    report_sink(&quiet);
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        uint64_t v = 99;
        if (!opt_size("k", good[i].text, good[i].unit, &v, NULL) ||
            v != good[i].value) {
            FAIL("'%s': %" PRIu64, good[i].text, v);
        }
    }
    report_sink(NULL);
    static const char *const bad[] = {
        "", "x", "-1", "-0", "1.5", "0.5", "1.5B", ".5M", ".", ".k", "1kk",
        "1.5x", "1e3", "1.5G5", "0x", "0x1.8k", "1 k", "1k ", "1.+5k",
        "infinity", "nan", "2.5e3k", "0x1p4",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        Error *err = NULL;
        uint64_t v;
        if (opt_size("size", bad[i], 1, &v, &err)) {
            FAIL("'%s' is %" PRIu64, bad[i], v);
            continue;
        }
        CHECK_STR(error_text(err), "Parameter 'size' expects a non-negative "
                  "number below 2^64");
        CHECK_CONTAINS(error_hint_text(err), "Optional suffix k, M, G, T, P or "
                       "E means");
        error_free(err);
    }
    static const char *const large[] = { "16E", "18446744073709551616",
                                         "99999999999999999999k",
                                         "17179869184G" };
    for (size_t i = 0; i < ARRAY_SIZE(large); i++) {
        Error *err = NULL;
        uint64_t v;
        CHECK(!opt_size("size", large[i], 1, &v, &err));
        REQUIRE(err);
        CHECK_CONTAINS(error_text(err), "' is out of range for parameter "
                       "'size'");
        error_free(err);
    }
}

TEST(uuid_and_mac)
{
    static const uint8_t wanted[16] = { 0x55, 0x0e, 0x84, 0, 0xe2, 0x9b, 0x41,
        0xd4, 0xa7, 0x16, 0x44, 0x66, 0x55, 0x44, 0, 0xff };
    uint8_t u[16], m[6];
    CHECK(opt_uuid("550e8400-e29b-41d4-a716-4466554400ff", u, NULL));
    CHECK_MEM(u, wanted, 16);
    CHECK(opt_uuid("550E8400-E29B-41D4-A716-4466554400FF", u, NULL));
    static const char *const bad[] = {
        "", "zz", "550e8400e29b41d4a7164466554400ff",
        "550e8400-e29b-41d4-a716-4466554400f",
        "550e8400-e29b-41d4-a716-4466554400fff",
        "550e8400-e29b-41d4-a7164-466554400ff",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        CHECK(!opt_uuid(bad[i], u, NULL));
    }
    CHECK(opt_mac("52:54:00:12:34:5F", m, NULL));
    CHECK_MEM(m, "\x52\x54\x00\x12\x34\x5f", 6);
    CHECK(opt_mac("52-54-00-12-34-56", m, NULL));
    static const char *const bad_mac[] = {
        "", "52:54:00:12:34", "52:54:00:12:34:5", "52:54:00:12:34:567",
        "5254.0012.3456", "-2:54:00:12:34:56", "52:54:00:12:34:56:",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad_mac); i++) {
        CHECK(!opt_mac(bad_mac[i], m, NULL));
    }
}

TEST(identifiers)
{
    CHECK(opt_id_ok("a") && opt_id_ok("Disk-0_x.y"));
    CHECK(!opt_id_ok("") && !opt_id_ok("9a") && !opt_id_ok("a b") &&
          !opt_id_ok("-a") && !opt_id_ok("a/b") && !opt_id_ok("\xc3\xa9"));
}

TEST(nearest)
{
    static const char *const names[] = { "virtio-net-pci", "virtio-blk-pci",
        "rtl8139", "e1000", "e1000e" };
    size_t n = ARRAY_SIZE(names);
    CHECK_STR(opt_nearest("virtio-blk-pic", names, n), "virtio-blk-pci");
    CHECK_STR(opt_nearest("rtl8319", names, n), "rtl8139");
    CHECK_STR(opt_nearest("e100", names, n), "e1000");
    CHECK_STR(opt_nearest("e1000e", names, n), "e1000e");
    CHECK(!opt_nearest("floppy", names, n));
    {
        OptWords w = { .n = 0 };
        Error *err = NULL;

        for (size_t i = 0; i < n; i++) {
            opt_word_add(&w, names[i]);
        }
        opt_word_add(&w, NULL);
        CHECK(w.n == n);
        error_set(&err, "no %s", "rtl8319");
        CHECK(!opt_suggest(&w, "rtl8319", &err));
        CHECK_STR(error_hint_text(err), "Did you mean 'rtl8139'?\n");
        CHECK_STR(error_text(err), "no rtl8319");
        error_free(err);
        err = NULL;
        error_set(&err, "no %s", "floppy");
        CHECK(!opt_suggest(&w, "floppy", &err));
        CHECK_STR(error_hint_text(err), "");
        error_free(err);
    }
    CHECK(!opt_nearest("", names, n));
    CHECK(!opt_nearest("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                       "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                       names, n));
}
