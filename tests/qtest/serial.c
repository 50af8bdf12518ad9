/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The 16550A (hw/char/serial.c), the parallel port and the debug console on the
 * board, over the qtest protocol. */
#include "tests/tern-test.h"
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include "tests/libqtest.h"

enum { RBR = 0x3f8, IER, FCR, LCR, MCR, LSR, MSR, SCR, IIR = FCR };

static char *dir;
static int line;                       /* the other end of COM1               */

static QTest *begin(const char *more)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    QTest *q;

    dir = g_dir_make_tmp("serial-XXXXXX", NULL);
    snprintf(un.sun_path, sizeof(un.sun_path), "%s/s", dir);
    q = qtest_start("-machine pc -nodefaults -serial unix:%s,server=on,"
                    "wait=off %s", un.sun_path, more);
    line = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(line, (void *)&un, sizeof(un))) {
        abort();
    }
    return q;
}

static void end(QTest *q)
{
    close(line);
    qtest_quit(q);
    g_rmdir(dir);
    g_free(dir);
}

/* Until a register has these bits; the bytes travel by themselves. */
static bool wait_for(QTest *q, uint16_t port, uint8_t mask, uint8_t want)
{
    for (int i = 0; i < 5000; i++) {
        if ((qtest_inb(q, port) & mask) == want) {
            return true;
        }
        g_usleep(1000);
    }
    return false;
}

TEST(reset_values_and_scratch)
{
    QTest *q = begin("");
    static const uint8_t want[8] = { 0, 0, 1, 0, 8, 0x60, 0xb0, 0 };

    for (int i = 0; i < 8; i++) {
        CHECK_EQ(qtest_inb(q, RBR + i), want[i]);
    }
    qtest_outb(q, SCR, 0x5a);
    CHECK_EQ(qtest_inb(q, SCR), 0x5a);
    qtest_outb(q, LSR, 0xff);
    qtest_outb(q, MSR, 0xff);
    CHECK_EQ(qtest_inb(q, LSR), 0x60);
    CHECK_EQ(qtest_inb(q, MSR), 0xb0);
    qtest_outb(q, IER, 0xff);
    CHECK_EQ(qtest_inb(q, IER), 0x0f);
    qtest_outb(q, MCR, 0xff);
    CHECK_EQ(qtest_inb(q, MCR), 0x1f);
    qtest_outb(q, LCR, 0x83);
    CHECK_EQ(qtest_inb(q, RBR), 0x0c);
    qtest_outb(q, RBR, 0x01);
    qtest_outb(q, IER, 0x02);
    CHECK_EQ(qtest_inb(q, RBR), 0x01);
    CHECK_EQ(qtest_inb(q, IER), 0x02);
    qtest_outb(q, LCR, 0x03);
    CHECK_EQ(qtest_inb(q, IER), 0x0f);
    end(q);
}

TEST(bytes_both_ways)
{
    QTest *q = begin("");
    char buf[4] = "";

    for (const char *s = "out"; *s; s++) {
        CHECK_EQ(qtest_inb(q, LSR) & 0x60, 0x60);
        qtest_outb(q, RBR, *s);
    }
    CHECK_EQ(recv(line, buf, 3, MSG_WAITALL), 3);
    CHECK_STR(buf, "out");
    CHECK_EQ(write(line, "in", 2), 2);
    CHECK(wait_for(q, LSR, 1, 1));
    CHECK_EQ(qtest_inb(q, RBR), 'i');
    CHECK(wait_for(q, LSR, 1, 1));     /* the second waited outside           */
    CHECK_EQ(qtest_inb(q, RBR), 'n');
    CHECK_EQ(qtest_inb(q, LSR), 0x60);
    end(q);
}

TEST(loopback_modem_lines)
{
    QTest *q = begin("");
    static const uint8_t pairs[][2] = {
        { 0x10, 0x00 }, { 0x11, 0x20 }, { 0x12, 0x10 }, { 0x14, 0x40 },
        { 0x18, 0x80 }, { 0x1f, 0xf0 },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(pairs); i++) {
        qtest_outb(q, MCR, pairs[i][0]);
        CHECK_EQ(qtest_inb(q, MSR) & 0xf0, pairs[i][1]);
    }
    qtest_outb(q, RBR, 0x55);
    CHECK_EQ(qtest_inb(q, LSR), 0x61);
    CHECK_EQ(qtest_inb(q, RBR), 0x55);
    qtest_outb(q, RBR, 1);
    qtest_outb(q, RBR, 2);
    CHECK_EQ(qtest_inb(q, LSR), 0x63);
    CHECK_EQ(qtest_inb(q, LSR), 0x61);
    CHECK_EQ(qtest_inb(q, RBR), 2);
    end(q);
}

TEST(fifo_levels_time_out_and_interrupts)
{
    QTest *q = begin("");

    qtest_irq_intercept_in(q, "ioapic");
    qtest_outb(q, MCR, 0x18);
    qtest_outb(q, FCR, 0x41);          /* level 4                             */
    qtest_outb(q, IER, 0x01);
    CHECK_EQ(qtest_inb(q, IIR), 0xc1);
    for (int i = 0; i < 3; i++) {
        qtest_outb(q, RBR, 'a' + i);
    }
    CHECK_EQ(qtest_inb(q, IIR), 0xc1);
    CHECK(!qtest_irq(q, 4));
    /* Four character times later it asks for the rest. */
    qtest_clock_step(q, 100 * 1000 * 1000);
    CHECK_EQ(qtest_inb(q, IIR), 0xcc);
    CHECK(qtest_irq(q, 4));
    CHECK_EQ(qtest_inb(q, RBR), 'a');
    CHECK_EQ(qtest_inb(q, IIR), 0xc1);
    CHECK(!qtest_irq(q, 4));
    qtest_outb(q, RBR, 'd');
    qtest_outb(q, RBR, 'e');
    CHECK_EQ(qtest_inb(q, IIR), 0xc4);
    CHECK(qtest_irq(q, 4));
    for (int i = 0; i < 14; i++) {
        qtest_outb(q, RBR, 'x');
    }
    qtest_outb(q, IER, 0x05);
    CHECK_EQ(qtest_inb(q, IIR), 0xc6); /* two came too many                   */
    CHECK_EQ(qtest_inb(q, LSR) & 0x02, 0x02);
    CHECK_EQ(qtest_inb(q, IIR), 0xc4);
    qtest_outb(q, FCR, 0x43);          /* emptied                             */
    CHECK_EQ(qtest_inb(q, LSR) & 1, 0);
    CHECK_EQ(qtest_inb(q, IIR), 0xc1);
    qtest_outb(q, IER, 0x02);
    CHECK_EQ(qtest_inb(q, IIR), 0xc2);
    CHECK_EQ(qtest_inb(q, IIR), 0xc1); /* the read takes it away              */
    CHECK(!qtest_irq(q, 4));
    end(q);
}

TEST(break_arrives)
{
    QTest *q = begin("");

    free(qtest_qmp(q, "{'execute': 'chardev-send-break', 'arguments': "
                   "{'id': 'serial0'}}"));
    CHECK_EQ(qtest_inb(q, LSR), 0x71);
    CHECK_EQ(qtest_inb(q, RBR), 0);
    CHECK_EQ(qtest_inb(q, LSR), 0x60);
    end(q);
}

TEST(backend_changes_under_it)
{
    QTest *q = begin("");
    char *r, *path = g_build_filename(dir, "f", NULL), *text;

    r = qtest_qmp(q, "{'execute': 'chardev-change', 'arguments': {'id': "
                  "'serial0', 'backend': {'type': 'file', 'data': {'out': "
                  "'%s'}}}}", path);
    CHECK_CONTAINS(r, "return");
    free(r);
    qtest_outb(q, RBR, 'f');
    CHECK(g_file_get_contents(path, &text, NULL, NULL));
    CHECK_STR(text, "f");
    g_free(text);
    g_unlink(path);
    g_free(path);
    end(q);
}

TEST(printer)
{
    char *out = g_strdup_printf("%s/lpt-%d", g_get_tmp_dir(), getpid()), *t;
    char *more = g_strdup_printf("-parallel file:%s", out);
    QTest *q = begin(more);

    CHECK_EQ(qtest_inb(q, 0x378), 0xff);
    CHECK_EQ(qtest_inb(q, 0x379), 0xd9);
    CHECK_EQ(qtest_inb(q, 0x37a), 0xcc);
    qtest_outb(q, 0x378, 'A');
    qtest_outb(q, 0x37a, 0x0d);
    CHECK_EQ(qtest_inb(q, 0x379), 0x59);
    CHECK_EQ(qtest_inb(q, 0x379), 0x59);
    qtest_outb(q, 0x37a, 0x0c);
    CHECK_EQ(qtest_inb(q, 0x379), 0x59);
    CHECK_EQ(qtest_inb(q, 0x379), 0x19);
    CHECK_EQ(qtest_inb(q, 0x379), 0xd9);
    qtest_outb(q, 0x37a, 0x2c);
    CHECK_EQ(qtest_inb(q, 0x378), 0xff);
    qtest_outb(q, 0x37a, 0x00);
    CHECK_EQ(qtest_inb(q, 0x379), 0xd8);
    CHECK(g_file_get_contents(out, &t, NULL, NULL));
    CHECK_STR(t, "A");
    g_free(t);
    end(q);
    g_unlink(out);
    g_free(out);
    g_free(more);
}

TEST(debug_console)
{
    QTest *q = begin("-chardev ringbuf,id=d "
                     "-device isa-debugcon,iobase=0x402,chardev=d");
    char *r;

    CHECK_EQ(qtest_inb(q, 0x402), 0xe9);
    qtest_outb(q, 0x402, 'h');
    qtest_outb(q, 0x402, 'i');
    r = qtest_qmp(q, "{'execute': 'ringbuf-read', 'arguments': {'device': "
                  "'d', 'size': 9}}");
    CHECK_CONTAINS(r, "\"hi\"");
    free(r);
    end(q);
}
