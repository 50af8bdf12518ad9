/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The qtest line protocol itself: replies word for word, and what is wrong. */
#include "tests/libqtest.h"
#include "tests/tern-test.h"

static const char *const rows[][2] = {
    { "inl 0xe0f0", "OK 0xffffffff" },
    { "outb 0xe0f0 0x105 3", "OK" },
    { "readb 0", "OK 0x0000000000000000" },
    { "writeq 0x1000 0x1122334455667788", "OK" },
    { "readq 0x1000", "OK 0x1122334455667788" },
    { "read 0x1000 8", "OK 0x8877665544332211" },
    { "read 4096 2", "OK 0x8877" },
    { "writeb 0x1000 0x1ff", "OK" },
    { "readb 0x1000", "OK 0x00000000000000ff" },
    { "writel 0x1000 0xfffffffff", "OK" },
    { "readl 0x1000", "OK 0x00000000ffffffff" },
    { "write 0x1000 4 0x01020304", "OK" },
    { "write 0x1000 2 0x0a0b0c0d", "OK" },
    { "read 0x1000 4", "OK 0x0a0b0304" },
    { "write 0x1000 4 0x0102", "OK" },
    { "read 0x1000 4", "OK 0x01020000" },
    { "write 0x1000 0 0x", "ERR invalid argument size" },
    { "memset 0x1000 4 0xff", "OK" },
    { "memset 0x1000 0 0x0", "OK" },
    { "b64read 0x1000 4", "OK /////w==" },
    { "b64write 0x1000 4 AQIDBA==", "OK" },
    { "readl 0x1000", "OK 0x0000000004030201" },
    { "endianness", "OK little" },
    { "readb 0xf0000000000", "OK 0x0000000000000000" },
    { "rtas x 1 2 3 4", "FAIL Unknown command 'rtas'" },
    { "foo", "FAIL Unknown command 'foo'" },
    { "INB 0x70", "FAIL Unknown command 'INB'" },
    { "   ", "FAIL Unknown command ''" },
    { "module_load foo bar", "FAIL" },
    { "irq_intercept_in nope", "FAIL Unknown device" },
    { "set_irq_in nope unnamed-gpio-in 1 1", "FAIL Unknown device" },
};

TEST(replies_are_the_peers)
{
    QTest *q = qtest_start("-machine pc -nodefaults -m 16");

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *reply = qtest_raw(q, "%s", rows[i][0]);

        if (strcmp(reply, rows[i][1]) != 0) {
            FAIL("'%s' gave '%s', wanted '%s'", rows[i][0], reply, rows[i][1]);
        }
    }
    qtest_quit(q);
}

/* None of these may end the program. */
TEST(nonsense_is_answered)
{
    static const char *const bad[] = {
        "", "inb", "inb zz", "inb 0x10000", "inb  0x70", "inb -1", "outb 0x70",
        "outb 0x70 zz", "readb", "readq x", "writel 0x1000", "read 0x1000",
        "read 0x1000 0", "read 0x1000 -1", "read 0 0xffffffffffff",
        "write 0x1000 4", "write 0x1000 4 12", "write 0x1000 x 0x12",
        "memset 0x1000", "memset 0x1000 4", "memset x y z", "b64write 0 4",
        "b64write 0 0 AA==", "clock_set", "clock_set x", "clock_step x",
        "clock_step 99999999999999999999", "irq_intercept_in",
        "irq_intercept_out", "set_irq_in", "set_irq_in /machine x 1",
        "set_irq_in /machine/unattached/device[2] none 4294967296 1",
        "irq_intercept_in /machine", "module_load",
    };
    const char *mode = getenv("QTEST_ACCEL");
    QTest *q;

    if (mode && strcmp(mode, "tcg") == 0) {
        SKIP("another emulator ends at these");
    }
    q = qtest_start("-machine pc -nodefaults -m 16");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *reply = qtest_raw(q, "%s", bad[i]);

        if (strncmp(reply, "FAIL", 4) != 0 && strncmp(reply, "ERR", 3) != 0) {
            FAIL("'%s' gave '%s'", bad[i], reply);
        }
    }
    CHECK_STR(qtest_raw(q, "endianness"), "OK little");
    qtest_quit(q);
}

TEST(large_transfers)
{
    QTest *q = qtest_start("-machine pc -nodefaults -m 16");
    size_t n = 200000;
    uint8_t *out = malloc(n), *in = calloc(1, n);

    for (size_t i = 0; i < n; i++) {
        out[i] = i * 13 + (i >> 8);
    }
    qtest_write(q, 0x200000, out, n);
    qtest_read(q, 0x200000, in, n);
    CHECK_MEM(in, out, n);
    free(out);
    free(in);
    qtest_quit(q);
}

TEST(clock)
{
    QTest *q = qtest_start("-machine pc -nodefaults -m 16");
    int64_t t, next;

    if (!qtest_has_clock(q)) {
        qtest_quit(q);
        SKIP("the clock runs freely");
    }
    t = qtest_clock_step(q, 0);
    CHECK_EQ(qtest_clock_step(q, 1), t + 1);
    /* Backwards it does not go. */
    CHECK_EQ(qtest_clock_set(q, t), t + 1);
    CHECK_EQ(qtest_clock_set(q, t + 100), t + 100);
    /* Channel 0 of the timer counts a thousand ticks. */
    qtest_outb(q, 0x43, 0x34);
    qtest_outb(q, 0x40, 1000 & 0xff);
    qtest_outb(q, 0x40, 1000 >> 8);
    next = qtest_clock_step_next(q);
    CHECK_GT(next, t + 100);
    CHECK_LE(next, t + 100 + 838 * 1001);
    qtest_quit(q);
}

TEST(interrupt_lines)
{
    QTest *q = qtest_start("-machine pc -nodefaults -m 16");
    const char *chip = "/machine/i440fx/ioapic";

    CHECK_STR(qtest_raw(q, "irq_intercept_in %s", chip), "OK");
    CHECK(!qtest_irq(q, 5));
    qtest_set_irq_in(q, chip, NULL, 5, 1);
    CHECK(qtest_irq(q, 5));
    qtest_set_irq_in(q, chip, NULL, 5, 1);
    CHECK_EQ(qtest_irq_raised(q, 5), 1u);
    qtest_set_irq_in(q, chip, NULL, 5, 0);
    CHECK(!qtest_irq(q, 5));
    /* The same device again is fine, another is not. */
    CHECK_STR(qtest_raw(q, "irq_intercept_in %s", chip), "OK");
    CHECK_STR(qtest_raw(q, "irq_intercept_in /machine/unattached/device[3]"),
              "FAIL IRQ intercept already enabled");
    qtest_quit(q);
}
