/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The debugger's server, spoken to by hand over a socket, and by gdb. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include "tests/libqtest.h"
#include "tests/tern-test.h"

static char path[64];
static int fd = -1;

static QTest *begin(const char *more)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    QTest *q;

    snprintf(path, sizeof(path), "/tmp/tern-gdb-%d", getpid());
    unlink(path);
    q = qtest_start("-machine pc -nodefaults -smp 2 -S -gdb "
                    "unix:%s,server=on,wait=off %s", path, more);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    strcpy(a.sun_path, path);
    for (int i = 0; i < 100 && connect(fd, (struct sockaddr *)&a,
                                       sizeof(a)) < 0; i++) {
        usleep(20000);
    }
    return q;
}

static void end(QTest *q)
{
    close(fd);
    qtest_quit(q);
    unlink(path);
}

static void put(const char *data, size_t n)
{
    CHECK_EQ(write(fd, data, n), (ssize_t)n);
}

/* $data#xx; returns its length, n + 4. */
static size_t frame(char *out, const char *data, size_t n)
{
    unsigned sum = 0;

    for (size_t i = 0; i < n; i++) {
        sum += (unsigned char)data[i];
    }
    out[0] = '$';
    memcpy(out + 1, data, n);
    snprintf(out + 1 + n, 4, "#%02x", sum & 0xff);
    return n + 4;
}

static void send_packet(const char *data, size_t n)
{
    char packet[200];

    put(packet, frame(packet, data, n));
}

/* The next packet's contents; "(none)" when nothing comes. */
static const char *get(void)
{
    static char buf[20000];
    struct pollfd p = { .fd = fd, .events = POLLIN };
    size_t n = 0;
    int tail = -1;
    char c;

    while (tail != 0 && n < sizeof(buf) - 1) {
        if (poll(&p, 1, 10000) <= 0 || read(fd, &c, 1) != 1) {
            return "(none)";
        }
        if (tail > 0) {
            tail--;
        } else if (c == '$') {
            n = 0;
        } else if (c == '#') {
            tail = 2;
        } else if (c != '+' || n) {
            buf[n++] = c;
        }
    }
    put("+", 1);
    buf[n] = 0;
    return buf;
}

static const char *ask(const char *text)
{
    send_packet(text, strlen(text));
    return get();
}

TEST(greeting)
{
    QTest *q = begin("");

    CHECK_CONTAINS(ask("qSupported:multiprocess+"), "PacketSize=1000");
    CHECK_STR(ask("?"), "T05thread:01;");
    CHECK_STR(ask("qC"), "QC01");
    CHECK_STR(ask("qfThreadInfo"), "m01,02");
    CHECK_STR(ask("qsThreadInfo"), "l");
    CHECK_STR(ask("qThreadExtraInfo,2"),
              "4350552331205b68616c746564205d");
    CHECK_STR(ask("T2"), "OK");
    CHECK_STR(ask("T3"), "E16");
    CHECK_STR(ask("Hg2"), "OK");
    CHECK_STR(ask("Hgp1.1"), "OK");
    CHECK_STR(ask("Hg9"), "E16");
    CHECK_STR(ask("Hc-1"), "OK");
    CHECK_STR(ask("qAttached"), "1");
    CHECK_STR(ask("vMustReplyEmpty"), "");
    CHECK_STR(ask("vCont?"), "vCont;c;C;s;S");
    CHECK_STR(ask("!"), "");
    CHECK_STR(ask("qRcmd,xx"), "E16");
    CHECK_CONTAINS(ask("qRcmd,696e666f20737461747573"), "O564d20737461747573");
    CHECK_STR(get(), "OK");
    end(q);
}

TEST(description)
{
    QTest *q = begin("");
    const char *s;

    s = ask("qXfer:features:read:target.xml:0,40");
    CHECK_CONTAINS(s, "m<?xml version=");
    s = ask("qXfer:features:read:target.xml:0,ffff");
    CHECK_CONTAINS(s, "<architecture>i386:x86-64</architecture>");
    CHECK_STR(ask("qXfer:features:read:target.xml:fffff,10"), "E00");
    CHECK_STR(ask("qXfer:features:read:target.xml:zz"), "E00");
    CHECK_STR(ask("qXfer:features:read:other.xml:0,10"), "");
    end(q);
    q = begin("-cpu qemu32");
    s = ask("qXfer:features:read:target.xml:0,ffff");
    CHECK_CONTAINS(s, "<architecture>i386</architecture>");
    end(q);
}

TEST(registers)
{
    QTest *q = begin("");

    CHECK_STR(ask("p10"), "f0ff000000000000");
    CHECK_STR(ask("p12"), "00f00000");
    CHECK_STR(ask("p0"), "0000000000000000");
    CHECK_STR(ask("P0=8877665544332211"), "OK");
    CHECK_STR(ask("p0"), "8877665544332211");
    CHECK_STR(ask("P0=88"), "E16");
    CHECK_STR(ask("P12=34120000"), "OK");
    CHECK_STR(ask("p12"), "34120000");
    CHECK_STR(ask("pffff"), "E0e");
    CHECK_STR(ask("p"), "E0e");
    CHECK_EQ(strlen(ask("g")), 608 * 2u);
    CHECK_STR(ask("Gxx"), "E16");
    CHECK_STR(ask("G0100000000000000"), "OK");
    CHECK_STR(ask("p0"), "0100000000000000");
    end(q);
}

TEST(memory)
{
    QTest *q = begin("");

    qtest_writel(q, 0x1000, 0x12345678);
    CHECK_STR(ask("m1000,4"), "78563412");
    CHECK_STR(ask("M1000,2:abcd"), "OK");
    CHECK_EQ(qtest_readl(q, 0x1000), 0x1234cdabu);
    send_packet("X1001,3:a}\x03" "b", 12);
    CHECK_STR(get(), "OK");
    CHECK_EQ(qtest_readl(q, 0x1000), 0x622361abu);
    send_packet("X1001,0:", 8);
    CHECK_STR(get(), "OK");
    CHECK_STR(ask("mfffffff0,1"), "ea");
    CHECK_STR(ask("me0000000,4"), "E0e");
    CHECK_STR(ask("m1000"), "E16");
    CHECK_STR(ask("M1000,4:ab"), "E16");
    CHECK_STR(ask("M1000,ffffffff:ab"), "E16");
    CHECK_STR(ask("m10000000000000000,2"), "E16");
    CHECK_EQ(strlen(ask("m0,ffffff")), 4096u);
    CHECK_STR(ask("Qqemu.PhyMemMode:1"), "OK");
    CHECK_STR(ask("qqemu.PhyMemMode"), "1");
    CHECK_STR(ask("m1000,1"), "ab");
    end(q);
}

TEST(no_breakpoints_without_cpu)
{
    QTest *q = begin("");

    CHECK_STR(ask("Z0,1000,1"), "");
    CHECK_STR(ask("vCont;s:1"), "E16");
    CHECK_STR(ask("vCont;x"), "E16");
    CHECK_STR(ask("vCont"), "E16");
    end(q);
}

TEST(run_and_interrupt)
{
    QTest *q = begin("");
    char *s;

    send_packet("c", 1);
    free(qtest_event(q, "RESUME"));
    put("\x03", 1);
    CHECK_STR(get(), "T02thread:01;");
    free(qtest_event(q, "STOP"));
    send_packet("vCont;c", 7);
    free(qtest_event(q, "RESUME"));
    qtest_qmp_ok(q, "{'execute': 'stop'}");
    CHECK_STR(get(), "T02thread:01;");
    CHECK_STR(ask("D"), "OK");
    s = qtest_qmp(q, "{'execute': 'query-status'}");
    CHECK_CONTAINS(s, "\"running\": true");
    free(s);
    end(q);
}

TEST(acknowledgements)
{
    QTest *q = begin("");
    char c;

    CHECK_STR(ask("qC"), "QC01");
    put("-", 1);                        /* once more, please                */
    CHECK_STR(get(), "QC01");
    put("$qC#00", 6);
    CHECK_EQ(read(fd, &c, 1), 1);
    CHECK_EQ(c, '-');
    CHECK_STR(ask("QStartNoAckMode"), "OK");
    send_packet("qC", 2);
    CHECK_EQ(read(fd, &c, 1), 1);
    CHECK_EQ(c, '$');
    CHECK_EQ(read(fd, &c, 1), 1);
    end(q);
}

TEST(monitor_command_switches_the_server_off)
{
    QTest *q = begin("");
    char *s = qtest_hmp(q, "gdbserver none");

    CHECK_CONTAINS(s, "Disabled gdbserver");
    free(s);
    s = qtest_hmp(q, "gdbserver nonsense:1");
    CHECK_CONTAINS(s, "Could not open gdbserver on device 'nonsense:1'");
    free(s);
    end(q);
}

/* A client that asks and does not read keeps nobody else waiting. */
TEST(client_that_does_not_read)
{
    QTest *q = begin("");
    static char junk[65536];
    time_t before;
    ssize_t n;
    bool asked = false, seen = false;
    int late = 0;
    char *s;

    fcntl(fd, F_SETFL, O_NONBLOCK);
    for (int idle = 0; idle < 20;) {
        if (write(fd, "$m0,800#61", 10) < 0) {
            usleep(10000);
            idle++;
        }
    }
    before = time(NULL);
    s = qtest_qmp(q, "{'execute': 'query-status'}");
    CHECK_CONTAINS(s, "prelaunch");
    free(s);
    CHECK(time(NULL) - before < 6);
    /* It reads after all: each request was answered, this one last. */
    while (!seen) {
        struct pollfd p = { .fd = fd, .events = POLLIN };

        asked = asked || write(fd, "$qC#b4", 6) == 6;
        REQUIRE(poll(&p, 1, 20000) > 0);
        n = read(fd, junk, sizeof(junk));
        for (ssize_t i = 0; i < n; i++) {
            late += junk[i] == '$';
            seen = seen || junk[i] == 'Q';
        }
    }
    CHECK(late > 100);
    end(q);
}

/* Sends all of it, and reads meanwhile: a server that waits for its answers to
 * be taken reads nothing. */
static void put_and_drain(const char *data, size_t n)
{
    static char junk[4096];

    while (n) {
        struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT };
        ssize_t k;

        CHECK(poll(&p, 1, 20000) > 0);
        if (p.revents & POLLIN) {
            CHECK(recv(fd, junk, sizeof(junk), MSG_DONTWAIT) > 0);
        }
        k = send(fd, data, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        CHECK(k > 0 || errno == EAGAIN);
        if (k > 0) {
            data += k;
            n -= (size_t)k;
        }
    }
}

/* Well-formed and broken packets in any order; the server goes on serving. */
TEST(random_packets)
{
    static const char *const heads[] = {
        "m", "M", "X", "p", "P", "G", "Z", "z", "H", "T", "vCont", "vCont;",
        "qXfer:features:read:target.xml:", "qRcmd,", "Qqemu.PhyMemMode:",
        "qThreadExtraInfo,", "q", "Q", "v", "", "C", "S", "s", "c",
    };
    static const char set[] = "0123456789abcdef,:;=-pxcCsS.}g";
    QTest *q = begin("");
    uint64_t x = 88172645463325252ull;
    char *s, text[80], packet[88];

    for (int i = 0; i < 3000; i++) {
        const char *head;
        size_t n;

        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        head = heads[(x >> 3) % (sizeof(heads) / sizeof(heads[0]))];
        n = strlen(head);
        memcpy(text, head, n);
        for (unsigned k = (x >> 20) % 40; k; k--) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            text[n++] = set[x % (sizeof(set) - 1)];
        }
        put_and_drain(packet, frame(packet, text, n));
        if (x % 7 == 0) {
            put_and_drain("\x03", 1);
        }
    }
    s = qtest_qmp(q, "{'execute': 'query-status'}");
    CHECK_CONTAINS(s, "\"status\"");
    free(s);
    end(q);
}

/* ---- with the real one -------------------------------------------------- */

TEST(gdb_reads_and_writes)
{
    QTest *q;
    char cmd[600], out[8000] = "";
    size_t n;
    FILE *f;

    if (system("command -v gdb >/dev/null")) {
        SKIP("there is no gdb");
    }
    TEST_LIMIT(100);
    q = begin("");
    close(fd);
    fd = -1;
    snprintf(cmd, sizeof(cmd), "timeout 60 gdb -q -batch -nx "
             "-ex 'target remote %s' -ex 'info registers rip' "
             "-ex 'x/4xb 0xffff0' -ex 'set var *(int*)0x1000=0x1234567' "
             "-ex 'x/xw 0x1000' -ex 'monitor info status' "
             "-ex 'info threads' -ex 'p/x $mxcsr' 2>&1", path);
    f = popen(cmd, "r");
    n = fread(out, 1, sizeof(out) - 1, f);
    out[n] = 0;
    CHECK_EQ(pclose(f), 0);
    CHECK_CONTAINS(out, "rip            0xfff0");
    CHECK_CONTAINS(out, "0xffff0:\t0xea");
    CHECK_CONTAINS(out, "0x1000:\t0x01234567");
    CHECK_CONTAINS(out, "VM status: paused");
    CHECK_CONTAINS(out, "CPU#1");
    CHECK_EQ(qtest_readl(q, 0x1000), 0x1234567u);
    end(q);
}
