/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-serial: control messages, data both ways, flow control, ports that come
 * and go. The other end of the port is a socket of the test.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "tests/libqvirtio.h"
#include "tests/tern-test.h"

#define CONSOLE 3
#define HEAP 0x200000
enum { READY, ADD, REMOVE, PORT_READY, IS_CONSOLE, RESIZE, OPEN, NAME };
enum { IN0, OUT0, CTL_IN, CTL_OUT, IN1, OUT1 };

typedef struct Port {
    char dir[32], path[64];
    QTest *q;
    QVirtio *d;
    uint64_t buf;                      /* 16 control buffers of 64 bytes      */
    unsigned heads[512];
    int fd;
} Port;

static void offer(Port *p, unsigned i)
{
    QVirtBuf b = { p->buf + 64 * i, 64, true };

    p->heads[qvirtq_add(&p->d->vq[CTL_IN], &b, 1, false)] = i;
    qvirtq_kick(&p->d->vq[CTL_IN]);
}

/* The next control message must be this. Its name, if any, in *name. */
static void expect(Port *p, uint32_t port, uint16_t event, uint16_t value,
                   char *name)
{
    unsigned id;
    uint32_t len = qvirtq_wait(&p->d->vq[CTL_IN], &id);
    uint64_t at = p->buf + 64 * p->heads[id];

    CHECK_EQ(qtest_readl(p->q, at), port);
    CHECK_EQ(qtest_readw(p->q, at + 4), event);
    CHECK_EQ(qtest_readw(p->q, at + 6), value);
    if (name) {
        memset(name, 0, 64);
        qtest_read(p->q, at + 8, name, len - 8);
    } else {
        CHECK_EQ(len, 8u);
    }
    offer(p, p->heads[id]);
}

static void say(Port *p, uint32_t port, uint16_t event, uint16_t value)
{
    QVirtBuf b = { qvirtio_alloc(p->d, 8, 8), 8, false };
    unsigned id;

    qtest_writel(p->q, b.addr, port);
    qtest_writew(p->q, b.addr + 4, event);
    qtest_writew(p->q, b.addr + 6, value);
    qvirtq_add(&p->d->vq[CTL_OUT], &b, 1, false);
    qvirtq_kick(&p->d->vq[CTL_OUT]);
    qvirtq_wait(&p->d->vq[CTL_OUT], &id);
}

static void join(Port *p)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };

    strcpy(a.sun_path, p->path);
    p->fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (p->fd < 0 || connect(p->fd, (struct sockaddr *)&a, sizeof(a))) {
        abort();
    }
}

static Port start(void)
{
    Port p = { .dir = "/tmp/tern-vser-XXXXXX", .fd = -1 };

    if (!mkdtemp(p.dir)) {
        abort();
    }
    snprintf(p.path, sizeof(p.path), "%s/s", p.dir);
    p.q = qtest_start("-machine pc -nodefaults -m 16 -chardev socket,id=c,"
                      "path=%s,server=on,wait=off -device virtio-serial-pci,"
                      "id=vs,max_ports=4 -device virtserialport,id=p1,"
                      "chardev=c,name=org.qemu.guest_agent.0", p.path);
    p.d = qvirtio_find(p.q, CONSOLE, 0, false, HEAP);
    CHECK_EQ(qvirtio_offered(p.d) & 7, 6u);
    CHECK(qvirtio_accept(p.d, QV_F(QV_VERSION_1) | QV_F(1)));
    CHECK_EQ(qvirtio_config(p.d, 4, 4), 4u);
    for (unsigned i = 0; i < 10; i++) {
        qvirtq_setup(p.d, i, 0);
    }
    CHECK_EQ(p.d->vq[CTL_IN].num, 32u);
    CHECK_EQ(p.d->vq[IN1].num, 128u);
    p.buf = qvirtio_alloc(p.d, 16 * 64, 64);
    qvirtio_ready(p.d);
    for (unsigned i = 0; i < 16; i++) {
        offer(&p, i);
    }
    return p;
}

static void meet(Port *p)
{
    char name[64];

    say(p, 0, READY, 1);
    expect(p, 1, ADD, 1, NULL);
    say(p, 1, PORT_READY, 1);
    expect(p, 1, NAME, 1, name);
    CHECK_STR(name, "org.qemu.guest_agent.0");
}

static void stop(Port *p)
{
    if (p->fd >= 0) {
        close(p->fd);
    }
    qvirtio_free(p->d);
    qtest_quit(p->q);
    unlink(p->path);
    rmdir(p->dir);
}

TEST(ports_are_announced_and_opened)
{
    Port p = start();
    char *e;

    meet(&p);
    join(&p);
    expect(&p, 1, OPEN, 1, NULL);
    say(&p, 1, OPEN, 1);
    e = qtest_event(p.q, "VSERPORT_CHANGE");
    CHECK(strstr(e, "\"open\": true") && strstr(e, "\"id\": \"p1\""));
    free(e);
    close(p.fd);
    p.fd = -1;
    expect(&p, 1, OPEN, 0, NULL);
    say(&p, 1, OPEN, 0);
    say(&p, 3, OPEN, 1);               /* there is no such port               */
    say(&p, 77, PORT_READY, 1);
    stop(&p);
}

TEST(data_goes_both_ways)
{
    Port p = start();
    QVirtBuf out = { 0, 5, false }, in = { 0, 16, true };
    char got[16];
    unsigned id;

    meet(&p);
    join(&p);
    expect(&p, 1, OPEN, 1, NULL);
    /* What comes before the guest listens waits. */
    CHECK_EQ(write(p.fd, "early", 5), 5);
    in.addr = qvirtio_alloc(p.d, 16, 16);
    qvirtq_add(&p.d->vq[IN1], &in, 1, false);
    qvirtq_kick(&p.d->vq[IN1]);
    say(&p, 1, OPEN, 1);
    CHECK_EQ(qvirtq_wait(&p.d->vq[IN1], &id), 5u);
    qtest_read(p.q, in.addr, got, 5);
    CHECK(!memcmp(got, "early", 5));
    out.addr = qvirtio_alloc(p.d, 16, 16);
    qtest_write(p.q, out.addr, "hello", 5);
    qvirtq_add(&p.d->vq[OUT1], &out, 1, false);
    qvirtq_kick(&p.d->vq[OUT1]);
    qvirtq_wait(&p.d->vq[OUT1], &id);
    CHECK_EQ(recv(p.fd, got, 5, MSG_WAITALL), 5);
    CHECK(!memcmp(got, "hello", 5));
    stop(&p);
}

/* A reader that does not read holds the guest up, and loses nothing. */
TEST(output_waits_for_its_reader)
{
    enum { PART = 65536, PARTS = 24 };
    Port p = start();
    QVirtBuf out = { 0, PART, false };
    static uint8_t got[PART];
    unsigned id, done = 0;
    uint32_t len;
    size_t sum = 0;

    meet(&p);
    join(&p);
    expect(&p, 1, OPEN, 1, NULL);
    say(&p, 1, OPEN, 1);
    out.addr = qvirtio_alloc(p.d, PART, 16);
    qtest_memset(p.q, out.addr, 0x3c, PART);
    for (unsigned i = 0; i < PARTS; i++) {
        qvirtq_add(&p.d->vq[OUT1], &out, 1, false);
    }
    qvirtq_kick(&p.d->vq[OUT1]);
    usleep(100000);
    while (qvirtq_used(&p.d->vq[OUT1], &id, &len)) {
        done++;
    }
    CHECK_LT(done, (unsigned)PARTS);
    while (sum < (size_t)PART * PARTS) {
        ssize_t n = recv(p.fd, got, sizeof(got), 0);

        REQUIRE(n > 0);
        CHECK_EQ(got[n - 1], 0x3c);
        sum += n;
    }
    for (; done < PARTS; done++) {
        qvirtq_wait(&p.d->vq[OUT1], &id);
    }
    stop(&p);
}

TEST(output_without_reader_is_dropped)
{
    Port p = start();
    QVirtBuf out = { 0, 4096, false };
    unsigned id;

    meet(&p);
    say(&p, 1, OPEN, 1);
    out.addr = qvirtio_alloc(p.d, 4096, 16);
    for (unsigned i = 0; i < 100; i++) {
        qvirtq_add(&p.d->vq[OUT1], &out, 1, false);
    }
    qvirtq_kick(&p.d->vq[OUT1]);
    for (unsigned i = 0; i < 100; i++) {
        qvirtq_wait(&p.d->vq[OUT1], &id);
    }
    stop(&p);
}

TEST(ports_come_and_go)
{
    Port p = start();

    meet(&p);
    qtest_qmp_ok(p.q, "{'execute': 'device_add', 'arguments': {'driver': "
                 "'virtserialport', 'bus': 'vs.0', 'id': 'p2'}}");
    expect(&p, 2, ADD, 1, NULL);
    say(&p, 2, PORT_READY, 1);
    qtest_qmp_ok(p.q, "{'execute': 'device_del', 'arguments': {'id': 'p2'}}");
    expect(&p, 2, REMOVE, 1, NULL);
    free(qtest_event(p.q, "DEVICE_DELETED"));
    qtest_qmp_ok(p.q, "{'execute': 'device_add', 'arguments': {'driver': "
                 "'virtconsole', 'bus': 'vs.0', 'id': 'c0'}}");
    expect(&p, 0, ADD, 1, NULL);
    say(&p, 0, PORT_READY, 1);
    expect(&p, 0, IS_CONSOLE, 1, NULL);
    stop(&p);
}
