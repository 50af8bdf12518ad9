/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keyboard controller, PS/2 keyboard and mouse, from key press to port 0x60. */
#include <stdlib.h>
#include "tests/libqtest.h"
#include "tests/tern-test.h"

/* Everything the controller has to say, as hexadecimal text. */
static const char *drain(QTest *q)
{
    static char text[400];
    size_t n = 0;

    text[0] = '\0';
    while (qtest_inb(q, 0x64) & 1 && n + 8 < sizeof(text)) {
        n += snprintf(text + n, sizeof(text) - n, "%s%02x", n ? " " : "",
                      qtest_inb(q, 0x60));
    }
    return text;
}

static const char *command(QTest *q, uint8_t c)
{
    qtest_outb(q, 0x64, c);
    return drain(q);
}

static const char *keyboard(QTest *q, uint8_t b)
{
    qtest_outb(q, 0x60, b);
    return drain(q);
}

static const char *mouse(QTest *q, uint8_t b)
{
    qtest_outb(q, 0x64, 0xd4);
    qtest_outb(q, 0x60, b);
    return drain(q);
}

static void mode(QTest *q, uint8_t v)
{
    qtest_outb(q, 0x64, 0x60);
    qtest_outb(q, 0x60, v);
}

static void key(QTest *q, const char *name, bool down)
{
    qtest_qmp_ok(q, "{'execute': 'input-send-event', 'arguments': {'events': "
                 "[{'type': 'key', 'data': {'down': %s, 'key': {'type': "
                 "'qcode', 'data': '%s'}}}]}}", down ? "true" : "false", name);
}

static void move(QTest *q, int dx, int dy)
{
    qtest_qmp_ok(q, "{'execute': 'input-send-event', 'arguments': {'events': "
                 "[{'type': 'rel', 'data': {'axis': 'x', 'value': %d}}, "
                 "{'type': 'rel', 'data': {'axis': 'y', 'value': %d}}]}}",
                 dx, dy);
}

static void button(QTest *q, const char *name, bool down)
{
    qtest_qmp_ok(q, "{'execute': 'input-send-event', 'arguments': {'events': "
                 "[{'type': 'btn', 'data': {'down': %s, 'button': '%s'}}]}}",
                 down ? "true" : "false", name);
}

static QTest *start(void)
{
    QTest *q = qtest_start("-machine pc -nodefaults -m 16");

    mode(q, 0);                        /* no interrupts, no translation       */
    return q;
}

TEST(controller)
{
    QTest *q = qtest_start("-machine pc -nodefaults -m 16");

    CHECK_EQ(qtest_inb(q, 0x64), 0x18);
    CHECK_STR(command(q, 0x20), "03");
    CHECK_STR(command(q, 0xd0), "cf");
    CHECK_STR(command(q, 0xc0), "80");
    CHECK_STR(command(q, 0xaa), "55");
    CHECK_EQ(qtest_inb(q, 0x64), 0x1c);
    CHECK_STR(command(q, 0xa9), "00");
    CHECK_STR(command(q, 0xab), "00");
    command(q, 0xad);
    CHECK_STR(command(q, 0x20), "13");
    command(q, 0xae);
    command(q, 0xa7);
    CHECK_STR(command(q, 0x20), "23");
    command(q, 0xa8);
    CHECK_STR(command(q, 0x20), "03");
    mode(q, 0x47);
    CHECK_STR(command(q, 0x20), "47");
    mode(q, 0x00);
    qtest_outb(q, 0x64, 0xd2);         /* as if from the keyboard             */
    qtest_outb(q, 0x60, 0x5a);
    CHECK_EQ(qtest_inb(q, 0x64), 0x15);
    CHECK_STR(drain(q), "5a");
    qtest_outb(q, 0x64, 0xd3);         /* ... from the mouse                  */
    qtest_outb(q, 0x60, 0x5b);
    CHECK_EQ(qtest_inb(q, 0x64), 0x35);
    CHECK_STR(drain(q), "5b");
    CHECK_EQ(qtest_inb(q, 0x60), 0x5b);            /* the last byte stays     */
    CHECK_STR(command(q, 0x12), "");   /* nonsense                            */
    CHECK_STR(command(q, 0xff), "");
    qtest_quit(q);
}

TEST(keyboard_commands)
{
    QTest *q = start();

    CHECK_STR(keyboard(q, 0xee), "ee");
    CHECK_STR(keyboard(q, 0xf2), "fa ab 83");
    CHECK_STR(keyboard(q, 0xff), "fa aa");
    CHECK_STR(keyboard(q, 0xf0), "fa");
    CHECK_STR(keyboard(q, 0x00), "fa 02");
    CHECK_STR(keyboard(q, 0xf0), "fa");
    CHECK_STR(keyboard(q, 0x03), "fa");
    CHECK_STR(keyboard(q, 0xf0), "fa");
    CHECK_STR(keyboard(q, 0x00), "fa 03");
    CHECK_STR(keyboard(q, 0xf0), "fa");
    CHECK_STR(keyboard(q, 0x04), "fe");            /* no such set             */
    CHECK_STR(keyboard(q, 0xed), "fa");
    CHECK_STR(keyboard(q, 0x07), "fa");
    CHECK_STR(keyboard(q, 0xf3), "fa");
    CHECK_STR(keyboard(q, 0x20), "fa");
    CHECK_STR(keyboard(q, 0xed), "fa");            /* a command instead of    */
    CHECK_STR(keyboard(q, 0xf2), "fa ab 83");      /* the parameter           */
    CHECK_STR(keyboard(q, 0xfe), "83");
    CHECK_STR(keyboard(q, 0x55), "fe");
    CHECK_STR(keyboard(q, 0xf5), "fa");
    key(q, "a", true);
    CHECK_STR(drain(q), "");
    CHECK_STR(keyboard(q, 0xf4), "fa");
    key(q, "a", false);
    CHECK_STR(drain(q), "f0 1c");
    qtest_quit(q);
}

TEST(translation)
{
    QTest *q = start();

    mode(q, 0x40);
    CHECK_STR(keyboard(q, 0xf2), "fa ab 41");
    key(q, "a", true);
    key(q, "a", false);
    key(q, "f7", true);
    key(q, "f7", false);
    CHECK_STR(drain(q), "1e 9e 41 c1");
    key(q, "right", true);
    key(q, "right", false);
    CHECK_STR(drain(q), "e0 4d e0 cd");
    CHECK_STR(keyboard(q, 0xf0), "fa");
    CHECK_STR(keyboard(q, 0x00), "fa 41");         /* 02, translated          */
    qtest_quit(q);
}

typedef struct KeyRow {
    const char *name, *made, *broken;
} KeyRow;

static void check_keys(QTest *q, const KeyRow *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        key(q, rows[i].name, true);
        if (strcmp(drain(q), rows[i].made) != 0) {
            FAIL("%s made is not %s", rows[i].name, rows[i].made);
        }
        key(q, rows[i].name, false);
        if (strcmp(drain(q), rows[i].broken) != 0) {
            FAIL("%s broken is not %s", rows[i].name, rows[i].broken);
        }
    }
}

TEST(set_1)
{
    static const KeyRow rows[] = {
        { "esc", "01", "81" }, { "a", "1e", "9e" }, { "f12", "58", "d8" },
        { "ctrl_r", "e0 1d", "e0 9d" }, { "delete", "e0 53", "e0 d3" },
        { "kp_enter", "e0 1c", "e0 9c" }, { "meta_l", "e0 5b", "e0 db" },
        { "print", "e0 2a e0 37", "e0 b7 e0 aa" },
        { "pause", "e1 1d 45 e1 9d c5", "" }, { "yen", "7d", "fd" },
        { "copy", "e0 78", "e0 f8" }, { "unmapped", "", "" },
    };
    QTest *q = start();

    keyboard(q, 0xf0);
    keyboard(q, 1);
    check_keys(q, rows, sizeof(rows) / sizeof(rows[0]));
    qtest_quit(q);
}

TEST(set_2)
{
    static const KeyRow rows[] = {
        { "esc", "76", "f0 76" }, { "a", "1c", "f0 1c" },
        { "f7", "83", "f0 83" }, { "alt_r", "e0 11", "e0 f0 11" },
        { "kp_divide", "e0 4a", "e0 f0 4a" },
        { "print", "e0 12 e0 7c", "e0 f0 7c e0 f0 12" },
        { "pause", "e1 14 77 e1 f0 14 f0 77", "" },
        { "volumeup", "e0 32", "e0 f0 32" }, { "less", "61", "f0 61" },
        { "copy", "", "" },
    };
    QTest *q = start();

    check_keys(q, rows, sizeof(rows) / sizeof(rows[0]));
    key(q, "ctrl", true);
    drain(q);
    key(q, "pause", true);
    CHECK_STR(drain(q), "e0 7e e0 f0 7e");
    key(q, "print", true);
    CHECK_STR(drain(q), "e0 7c");
    key(q, "ctrl", false);
    drain(q);
    key(q, "alt", true);
    drain(q);
    key(q, "sysrq", true);
    CHECK_STR(drain(q), "f0 11 11 84");
    key(q, "sysrq", false);
    CHECK_STR(drain(q), "f0 84 f0 11 11");
    qtest_quit(q);
}

TEST(set_3)
{
    static const KeyRow rows[] = {
        { "esc", "08", "f0 08" }, { "ctrl", "11", "f0 11" },
        { "print", "57", "f0 57" }, { "pause", "62", "f0 62" },
        { "kp_add", "7c", "f0 7c" }, { "right", "6a", "f0 6a" },
        { "power", "", "" },
    };
    QTest *q = start();

    keyboard(q, 0xf0);
    keyboard(q, 3);
    check_keys(q, rows, sizeof(rows) / sizeof(rows[0]));
    qtest_quit(q);
}

TEST(answers_overtake_keys)
{
    QTest *q = start();

    key(q, "a", true);
    key(q, "b", true);
    /* The first byte is in the controller already. */
    qtest_outb(q, 0x60, 0xee);
    CHECK_STR(drain(q), "1c ee 32");
    qtest_quit(q);
}

TEST(full_queue_keeps_sequences_whole)
{
    QTest *q = start();
    const char *text;

    for (int i = 0; i < 100; i++) {
        key(q, "right", true);
    }
    text = drain(q);
    CHECK_GE(strlen(text), 2 * 16 * 3u - 1);
    for (size_t i = 0; i < strlen(text); i += 6) {
        CHECK_EQ(memcmp(text + i, "e0 74", 5), 0);
    }
    key(q, "a", true);
    CHECK_STR(drain(q), "1c");
    qtest_quit(q);
}

TEST(interrupts)
{
    QTest *q = start();
    char *path = qtest_path(q, "i8042", 0);

    qtest_irq_intercept_out(q, path);
    mode(q, 0x03);
    key(q, "a", true);
    CHECK(qtest_irq(q, 0));
    CHECK(!qtest_irq(q, 1));
    qtest_inb(q, 0x60);
    CHECK(!qtest_irq(q, 0));
    key(q, "a", false);                /* two bytes, two edges                */
    CHECK_EQ(qtest_irq_raised(q, 0), 2u);
    qtest_inb(q, 0x60);
    CHECK_EQ(qtest_irq_raised(q, 0), 3u);
    qtest_inb(q, 0x60);
    CHECK(!qtest_irq(q, 0));
    qtest_outb(q, 0x64, 0xd4);
    qtest_outb(q, 0x60, 0xf2);
    CHECK(qtest_irq(q, 1));
    CHECK_EQ(qtest_inb(q, 0x64) & 0x21, 0x21);
    drain(q);
    CHECK(!qtest_irq(q, 1));
    /* A closed port keeps its bytes. */
    command(q, 0xad);
    key(q, "a", true);
    CHECK(!qtest_irq(q, 0));
    CHECK_EQ(qtest_inb(q, 0x64) & 1, 0);
    qtest_outb(q, 0x64, 0xae);
    CHECK(qtest_irq(q, 0));
    CHECK_EQ(qtest_inb(q, 0x60), 0x1c);
    free(path);
    qtest_quit(q);
}

TEST(mouse_commands)
{
    QTest *q = start();

    CHECK_STR(mouse(q, 0xff), "fa aa 00");
    CHECK_STR(mouse(q, 0xe9), "fa 00 02 64");
    CHECK_STR(mouse(q, 0xe8), "fa");
    CHECK_STR(mouse(q, 0x03), "fa");
    CHECK_STR(mouse(q, 0xe7), "fa");
    CHECK_STR(mouse(q, 0xf4), "fa");
    CHECK_STR(mouse(q, 0xe9), "fa 30 03 64");
    CHECK_STR(mouse(q, 0xf6), "fa");
    CHECK_STR(mouse(q, 0xee), "fa");               /* wraps                   */
    CHECK_STR(mouse(q, 0x55), "55");
    CHECK_STR(mouse(q, 0xf4), "f4");
    CHECK_STR(mouse(q, 0xec), "fa");
    CHECK_STR(mouse(q, 0xf2), "fa 00");
    CHECK_STR(mouse(q, 0xeb), "fa 08 00 00");
    CHECK_STR(mouse(q, 0xe1), "fe");
    qtest_quit(q);
}

TEST(mouse_packets)
{
    QTest *q = start();

    move(q, 5, 5);                     /* nobody asked                        */
    CHECK_STR(drain(q), "");
    mouse(q, 0xf4);
    move(q, 5, 3);
    CHECK_STR(drain(q), "28 05 fd");
    move(q, -5, -300);
    CHECK_STR(drain(q), "18 fb 7f 08 00 7f 08 00 2e");
    button(q, "left", true);
    button(q, "right", true);
    button(q, "middle", true);
    CHECK_STR(drain(q), "09 00 00 0b 00 00 0f 00 00");
    button(q, "left", false);
    CHECK_STR(drain(q), "0e 00 00");
    button(q, "wheel-up", true);       /* it has no wheel yet                 */
    CHECK_STR(drain(q), "0e 00 00");
    /* What is not read is summed, and comes later. */
    button(q, "right", false);
    button(q, "middle", false);
    drain(q);
    for (int i = 0; i < 20; i++) {
        move(q, 100, 0);
    }
    CHECK_GE(strlen(drain(q)), 16 * 9u - 1);
    mouse(q, 0xf0);                    /* remote: only when polled            */
    move(q, 7, 8);
    CHECK_STR(drain(q), "");
    CHECK_STR(mouse(q, 0xeb), "fa 28 07 f8");
    CHECK_STR(mouse(q, 0xeb), "fa 08 00 00");
    qtest_quit(q);
}

static void knock(QTest *q, uint8_t second)
{
    const uint8_t rate[] = { 200, second, 80 };

    for (int i = 0; i < 3; i++) {
        mouse(q, 0xf3);
        mouse(q, rate[i]);
    }
}

TEST(wheel_mouse)
{
    QTest *q = start();

    mouse(q, 0xf4);
    knock(q, 100);
    CHECK_STR(mouse(q, 0xf2), "fa 03");
    move(q, 5, 3);
    CHECK_STR(drain(q), "28 05 fd 00");
    button(q, "wheel-up", true);
    CHECK_STR(drain(q), "08 00 00 ff");
    button(q, "wheel-down", true);
    CHECK_STR(drain(q), "08 00 00 01");
    knock(q, 200);
    CHECK_STR(mouse(q, 0xf2), "fa 04");
    button(q, "side", true);
    CHECK_STR(drain(q), "08 00 00 10");
    button(q, "extra", true);
    CHECK_STR(drain(q), "08 00 00 30");
    button(q, "wheel-up", true);
    CHECK_STR(drain(q), "08 00 00 3f");
    button(q, "wheel-left", true);
    CHECK_STR(drain(q), "08 00 00 41");
    button(q, "wheel-right", true);
    CHECK_STR(drain(q), "08 00 00 7f");
    /* A reset makes it plain again. */
    CHECK_STR(mouse(q, 0xff), "fa aa 00");
    CHECK_STR(mouse(q, 0xf2), "fa 00");
    qtest_quit(q);
}

TEST(resets_and_a20)
{
    QTest *q = start();

    qtest_outb(q, 0x64, 0xdd);
    CHECK_STR(command(q, 0xd0), "cd");
    qtest_outb(q, 0x64, 0xdf);
    CHECK_STR(command(q, 0xd0), "cf");
    qtest_outb(q, 0x64, 0xd1);
    qtest_outb(q, 0x60, 0x01);
    CHECK_STR(command(q, 0xd0), "01");
    CHECK(!qtest_event_seen(q, "RESET"));
    qtest_outb(q, 0x64, 0xfe);
    free(qtest_event(q, "RESET"));
    CHECK_STR(command(q, 0x20), "03");
    CHECK_STR(command(q, 0xd0), "cf");
    qtest_outb(q, 0x64, 0xd1);
    qtest_outb(q, 0x60, 0x02);
    free(qtest_event(q, "RESET"));
    qtest_outb(q, 0x64, 0xff);         /* pulses nothing                      */
    qtest_outb(q, 0x64, 0xf1);
    CHECK(!qtest_event_seen(q, "RESET"));
    qtest_quit(q);
}

TEST(throttle)
{
    QTest *q = qtest_start("-machine pc -nodefaults -m 16 "
                           "-global i8042.kbd-throttle=on");

    if (!qtest_has_clock(q)) {
        qtest_quit(q);
        SKIP("the clock runs freely");
    }
    mode(q, 0);
    key(q, "right", true);
    CHECK_EQ(qtest_inb(q, 0x60), 0xe0);
    CHECK_EQ(qtest_inb(q, 0x64) & 1, 0);
    qtest_clock_step(q, 1000000);
    CHECK_EQ(qtest_inb(q, 0x64) & 1, 1);
    CHECK_EQ(qtest_inb(q, 0x60), 0x74);
    qtest_quit(q);
}

TEST(monitor_commands)
{
    QTest *q = start();
    char *text;

    if (!qtest_has_clock(q)) {
        qtest_quit(q);
        SKIP("the clock runs freely");
    }
    free(qtest_hmp(q, "sendkey ctrl-alt-f1 20"));
    CHECK_STR(drain(q), "14");
    qtest_clock_step(q, 20000000);
    CHECK_STR(drain(q), "11");
    qtest_clock_step(q, 100000000);
    CHECK_STR(drain(q), "05 f0 05 f0 11 f0 14");
    text = qtest_hmp(q, "sendkey a-foo");
    CHECK(strstr(text, "invalid parameter: foo"));
    free(text);
    qtest_clock_step(q, 100000000);
    qtest_qmp_ok(q, "{'execute': 'send-key', 'arguments': {'keys': [{'type': "
                 "'number', 'data': 157}, {'type': 'qcode', 'data': 'a'}]}}");
    qtest_clock_step(q, 100000000);
    CHECK_STR(drain(q), "e0 14 1c f0 1c e0 f0 14");
    text = qtest_hmp(q, "info mice");
    CHECK(strstr(text, "* Mouse #2: QEMU PS/2 Mouse"));
    free(text);
    mouse(q, 0xf4);
    knock(q, 100);
    free(qtest_hmp(q, "mouse_button 5"));
    CHECK_STR(drain(q), "0d 00 00 00");
    free(qtest_hmp(q, "mouse_button 2"));
    CHECK_STR(drain(q), "0a 00 00 00");
    free(qtest_hmp(q, "mouse_button 0"));
    drain(q);
    free(qtest_hmp(q, "mouse_move -3 4 5"));
    CHECK_STR(drain(q), "38 fd fc ff 08 00 00 00");
    text = qtest_hmp(q, "mouse_set 9");
    CHECK(strstr(text, "Mouse at index '9' not found"));
    free(text);
    text = qtest_qmp(q, "{'execute': 'input-send-event', 'arguments': "
                     "{'events': [{'type': 'abs', 'data': {'axis': 'x', "
                     "'value': 100}}]}}");
    CHECK(strstr(text, "Input handler not found for event type abs"));
    free(text);
    qtest_qmp_ok(q, "{'execute': 'stop'}");
    text = qtest_qmp(q, "{'execute': 'input-send-event', 'arguments': "
                     "{'events': []}}");
    CHECK(strstr(text, "VM not running"));
    free(text);
    qtest_quit(q);
}
