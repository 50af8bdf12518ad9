/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-keyboard, -mouse, -tablet: what they say they are, events in the ring,
 * events without room, lights, which device of several gets what.
 */
#include <stdlib.h>
#include <string.h>
#include "tests/libqvirtio.h"
#include "tests/tern-test.h"

#define INPUT 18
#define HEAP 0x200000
#define EVENT 8

static QTest *start(const char *devices)
{
    QTest *q = qtest_start("-machine pc -nodefaults -m 16 -vga none %s",
                           devices);

    qtest_qmp_ok(q, "{'execute':'cont'}");
    return q;
}

static unsigned ask(QVirtio *d, uint8_t select, uint8_t subsel)
{
    qvirtio_config_set(d, 0, 1, select);
    qvirtio_config_set(d, 1, 1, subsel);
    return qvirtio_config(d, 2, 1);
}

static bool has_bit(QVirtio *d, unsigned bit)
{
    return qvirtio_config(d, 8 + bit / 8, 1) >> bit % 8 & 1;
}

static bool named(QVirtio *d, const char *name)
{
    if (ask(d, 1, 0) != strlen(name) + 1) {
        return false;
    }
    for (unsigned i = 0; i <= strlen(name); i++) {
        if (qvirtio_config(d, 8 + i, 1) != (uint8_t)name[i]) {
            return false;
        }
    }
    return true;
}

/* A driver with `room` event buffers. */
static QVirtq *drive(QVirtio *d, unsigned room)
{
    QVirtq *vq;

    CHECK(qvirtio_accept(d, QV_F(QV_VERSION_1)));
    vq = qvirtq_setup(d, 0, 0);
    qvirtq_setup(d, 1, 0);
    CHECK_EQ(vq->num, 64u);
    for (unsigned i = 0; i < room; i++) {
        QVirtBuf b = { HEAP - 4096 + i * EVENT, EVENT, true };

        qvirtq_add(vq, &b, 1, false);
    }
    qvirtio_ready(d);
    return vq;
}

/* The next event is this one. */
static bool next_is(QVirtq *vq, unsigned *n, uint16_t type, uint16_t code,
                    int32_t value)
{
    uint64_t at = HEAP - 4096 + (*n)++ * EVENT;
    unsigned id;
    uint32_t len;

    return qvirtq_used(vq, &id, &len) && len == EVENT &&
        qtest_readw(vq->d->q, at) == type &&
        qtest_readw(vq->d->q, at + 2) == code &&
        (int32_t)qtest_readl(vq->d->q, at + 4) == value;
}

static void send(QTest *q, const char *more, const char *events)
{
    qtest_qmp_ok(q, "{'execute':'input-send-event','arguments':{%s"
                 "'events':[%s]}}", more, events);
}

#define KEY_A "{'type':'key','data':{'key':{'type':'qcode','data':'a'}," \
              "'down':true}}"
#define ABS(axis, v) "{'type':'abs','data':{'axis':'" axis "','value':" v "}}"
#define REL(axis, v) "{'type':'rel','data':{'axis':'" axis "','value':" v "}}"
#define BTN(b, d) "{'type':'btn','data':{'button':'" b "','down':" d "}}"

TEST(what_they_are)
{
    QTest *q = start("-device virtio-keyboard-pci,serial=k1 "
                     "-device virtio-mouse-pci -device virtio-tablet-pci");
    QVirtio *k = qvirtio_find(q, INPUT, 0, false, HEAP);
    QVirtio *m = qvirtio_find(q, INPUT, 1, false, HEAP);
    QVirtio *t = qvirtio_find(q, INPUT, 2, false, HEAP);

    CHECK(named(k, "QEMU Virtio Keyboard"));
    CHECK(named(m, "QEMU Virtio Mouse"));
    CHECK(named(t, "QEMU Virtio Tablet"));
    CHECK_EQ(ask(k, 2, 0), 2u);
    CHECK_EQ(qvirtio_config(k, 8, 2), (uint32_t)('k' | '1' << 8));
    CHECK_EQ(ask(m, 2, 0), 0u);
    CHECK_EQ(ask(k, 3, 0), 8u);
    CHECK_EQ(qvirtio_config(k, 8, 4), 0x06270006u);
    CHECK_EQ(ask(k, 0x11, 1), 29u);     /* keys                               */
    CHECK(has_bit(k, 30) && has_bit(k, 226) && !has_bit(k, 0));
    CHECK_EQ(ask(k, 0x11, 0x11), 1u);   /* lights                             */
    CHECK_EQ(qvirtio_config(k, 8, 1), 7u);
    CHECK_EQ(ask(m, 0x11, 1), 43u);     /* buttons                            */
    CHECK(has_bit(m, 0x110) && has_bit(m, 0x114) && has_bit(m, 0x151));
    CHECK_EQ(ask(m, 0x11, 3), 0u);
    CHECK_EQ(ask(t, 0x12, 1), 20u);     /* from 0 to 7fff                     */
    CHECK_EQ(qvirtio_config(t, 8, 4), 0u);
    CHECK_EQ(qvirtio_config(t, 12, 4), 0x7fffu);
    CHECK_EQ(ask(t, 0x12, 2), 0u);
    CHECK_EQ(ask(t, 0xff, 0xff), 0u);
    qvirtio_free(k);
    qvirtio_free(m);
    qvirtio_free(t);
    qtest_quit(q);
}

TEST(keys)
{
    QTest *q = start("-device virtio-keyboard-pci");
    QVirtio *d = qvirtio_find(q, INPUT, 0, false, HEAP);
    QVirtq *vq = drive(d, 16);
    unsigned n = 0, id;
    uint32_t len;

    send(q, "", KEY_A);
    CHECK(next_is(vq, &n, 1, 30, 1));
    CHECK(next_is(vq, &n, 0, 0, 0));
    send(q, "", "{'type':'key','data':{'key':{'type':'number','data':219},"
         "'down':false}}");
    CHECK(next_is(vq, &n, 1, 125, 0));
    CHECK(next_is(vq, &n, 0, 0, 0));
    CHECK(!qvirtq_used(vq, &id, &len));
    qvirtio_free(d);
    qtest_quit(q);
}

TEST(movements_and_wheel)
{
    QTest *q = start("-device virtio-mouse-pci");
    QVirtio *d = qvirtio_find(q, INPUT, 0, false, HEAP);
    QVirtq *vq = drive(d, 16);
    unsigned n = 0;

    send(q, "", REL("x", "-5") "," REL("y", "7") "," BTN("left", "true") ","
         BTN("wheel-down", "true") "," BTN("wheel-down", "false"));
    CHECK(next_is(vq, &n, 2, 0, -5));
    CHECK(next_is(vq, &n, 2, 1, 7));
    CHECK(next_is(vq, &n, 1, 0x110, 1));
    CHECK(next_is(vq, &n, 2, 8, -1));
    CHECK(next_is(vq, &n, 0, 0, 0));
    qvirtio_free(d);
    qtest_quit(q);
    q = start("-device virtio-tablet-pci,wheel-axis=off");
    d = qvirtio_find(q, INPUT, 0, false, HEAP);
    vq = drive(d, 16);
    n = 0;
    send(q, "", ABS("x", "40000") "," ABS("y", "-1") ","
         BTN("wheel-up", "true"));
    CHECK(next_is(vq, &n, 3, 0, 0x7fff));
    CHECK(next_is(vq, &n, 3, 1, 0));
    CHECK(next_is(vq, &n, 1, 0x151, 1));
    CHECK(next_is(vq, &n, 0, 0, 0));
    qvirtio_free(d);
    qtest_quit(q);
}

/* All of a group or nothing; and never more than a group may have. */
TEST(no_room)
{
    QTest *q = start("-device virtio-tablet-pci");
    QVirtio *d = qvirtio_find(q, INPUT, 0, false, HEAP);
    QVirtq *vq = drive(d, 2);
    char many[8192] = ABS("x", "1");
    unsigned n = 0, id;
    uint32_t len;

    send(q, "", ABS("x", "1") "," ABS("y", "2"));
    CHECK(!qvirtq_used(vq, &id, &len));
    for (int i = 0; i < 99; i++) {
        strcat(many, "," ABS("y", "1"));
    }
    send(q, "", many);
    CHECK(!qvirtq_used(vq, &id, &len));
    send(q, "", ABS("x", "3"));
    CHECK(next_is(vq, &n, 3, 0, 3));
    CHECK(next_is(vq, &n, 0, 0, 0));
    qvirtio_free(d);
    qtest_quit(q);
}

TEST(lights)
{
    QTest *q = start("-device virtio-keyboard-pci -vnc none");
    QVirtio *d = qvirtio_find(q, INPUT, 0, false, HEAP);
    QVirtBuf b[3] = { { HEAP - 8192, EVENT, false },
                      { HEAP - 8184, 3, false },   /* too short               */
                      { HEAP - 8176, EVENT, false } };
    QVirtq *vq;
    unsigned id;

    drive(d, 0);
    vq = &d->vq[1];
    qtest_writew(q, HEAP - 8192, 0x11);
    qtest_writew(q, HEAP - 8190, 1);
    qtest_writel(q, HEAP - 8188, 1);
    qtest_writew(q, HEAP - 8176, 0x11);
    qtest_writew(q, HEAP - 8174, 0xffff);          /* there is no such light  */
    qtest_writel(q, HEAP - 8172, 1);
    for (int i = 0; i < 3; i++) {
        qvirtq_add(vq, &b[i], 1, false);
    }
    qvirtq_kick(vq);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(qvirtq_wait(vq, &id), 0u);
    }
    qvirtio_free(d);
    qtest_quit(q);
}

static bool mice_are(QTest *q, const char *expected)
{
    char *got = qtest_hmp(q, "info mice");
    bool same = strstr(got, expected) != NULL;

    if (!same) {
        printf("# %s\n", got);
    }
    free(got);
    return same;
}

/* A device with a driver comes before those without, the last one first. */
TEST(which_of_several)
{
    QTest *q = start("-device virtio-tablet-pci");
    QVirtio *d = qvirtio_find(q, INPUT, 0, false, HEAP);

    CHECK(mice_are(q, "  Mouse #3: QEMU Virtio Tablet (absolute)\r\n"
                   "* Mouse #2: QEMU PS/2 Mouse\r\n"));
    drive(d, 1);
    CHECK(mice_are(q, "  Mouse #2: QEMU PS/2 Mouse\r\n"
                   "* Mouse #3: QEMU Virtio Tablet (absolute)\r\n"));
    free(qtest_hmp(q, "mouse_set 2"));
    CHECK(mice_are(q, "* Mouse #2: QEMU PS/2 Mouse\r\n"));
    qvirtio_set_status(d, 0);
    CHECK(mice_are(q, "* Mouse #2: QEMU PS/2 Mouse\r\n"));
    qvirtio_free(d);
    qtest_quit(q);
}

/* A device of one screen gets that screen's events alone. */
TEST(of_one_screen)
{
    QTest *q = start("-device VGA,id=one -device secondary-vga,id=two "
                     "-device virtio-tablet-pci,display=two");
    QVirtio *d = qvirtio_find(q, INPUT, 0, false, HEAP);
    QVirtq *vq = drive(d, 8);
    unsigned n = 0;
    char *reply;

    send(q, "'device':'two',", ABS("x", "5"));
    CHECK(next_is(vq, &n, 3, 0, 5));
    CHECK(next_is(vq, &n, 0, 0, 0));
    reply = qtest_qmp(q, "{'execute':'input-send-event','arguments':{"
                      "'device':'one','events':[" ABS("x", "1") "]}}");
    CHECK(strstr(reply, "Input handler not found for event type abs"));
    free(reply);
    reply = qtest_qmp(q, "{'execute':'input-send-event','arguments':{"
                      "'device':'two','head':1,'events':[" KEY_A "]}}");
    CHECK(strstr(reply, "Device two (head 1) is not bound to a QemuConsole"));
    free(reply);
    qvirtio_free(d);
    qtest_quit(q);
}
