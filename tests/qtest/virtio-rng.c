/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio-rng: every form of ring and interface; quota; what a bad driver does. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "tests/libqvirtio.h"
#include "tests/tern-test.h"

#define RNG 4
#define HEAP 0x200000

static QTest *start(const char *more)
{
    return qtest_start("-machine pc -nodefaults -m 16 -device virtio-rng-pci%s",
                       more);
}

static bool all_zero(const uint8_t *b, size_t n)
{
    while (n && !*b) {
        b++, n--;
    }
    return !n;
}

/* One chain of two parts: filled, and reported with its length. */
static void fill(QVirtq *vq, bool indirect)
{
    QVirtio *d = vq->d;
    uint64_t at = qvirtio_alloc(d, 96, 16);
    QVirtBuf b[2] = { { at, 32, true }, { at + 64, 32, true } };
    uint8_t got[96];
    unsigned id, head;

    qtest_memset(d->q, at, 0, 96);
    head = qvirtq_add(vq, b, 2, indirect);
    qvirtq_kick(vq);
    CHECK_EQ(qvirtq_wait(vq, &id), 64u);
    CHECK_EQ(id, head);
    qtest_read(d->q, at, got, sizeof(got));
    CHECK(!all_zero(got, 32));
    CHECK(all_zero(got + 32, 32));
    CHECK(!all_zero(got + 64, 32));
}

static void serves(const char *more, bool legacy, uint64_t features)
{
    QTest *q = start(more);
    QVirtio *d = qvirtio_find(q, RNG, 0, legacy, HEAP);
    QVirtq *vq;

    CHECK_EQ(qvirtio_offered(d) & features, features);
    CHECK(qvirtio_accept(d, features));
    vq = qvirtq_setup(d, 0, 0);
    CHECK_EQ(vq->num, 8u);
    qvirtio_ready(d);
    for (unsigned i = 0; i < 20; i++) {
        fill(vq, (features >> QV_INDIRECT & 1) && i % 2);
    }
    CHECK_EQ(qvirtio_isr(d), 1u);
    CHECK_EQ(qvirtio_isr(d), 0u);
    qvirtio_free(d);
    qtest_quit(q);
}

TEST(split_modern)
{
    serves("", false, QV_F(QV_VERSION_1));
}

TEST(split_modern_indirect_event_index)
{
    serves("", false, QV_F(QV_VERSION_1) | QV_F(QV_INDIRECT) |
           QV_F(QV_EVENT_IDX));
}

TEST(packed)
{
    serves(",packed=on", false, QV_F(QV_VERSION_1) | QV_F(QV_PACKED) |
           QV_F(QV_INDIRECT));
    serves(",packed=on", false, QV_F(QV_VERSION_1) | QV_F(QV_PACKED) |
           QV_F(QV_EVENT_IDX));
}

TEST(legacy)
{
    serves("", true, 0);
    serves(",disable-modern=on", true, QV_F(QV_INDIRECT) |
           QV_F(QV_EVENT_IDX));
    serves(",ioeventfd=off", true, 0);
}

TEST(page_per_queue_and_port_notify)
{
    serves(",page-per-vq=on,modern-pio-notify=on", false, QV_F(QV_VERSION_1));
}

TEST(vectors)
{
    QTest *q = start("");
    QVirtio *d = qvirtio_find(q, RNG, 0, false, HEAP);
    QVirtq *vq;

    qvirtio_msix(d, 2);
    CHECK(qvirtio_accept(d, QV_F(QV_VERSION_1)));
    vq = qvirtq_setup(d, 0, 4);
    CHECK_EQ(vq->num, 4u);
    qvirtio_vector(d, 0, 1);
    qvirtio_vector(d, -1, 7);          /* there are two: refused              */
    CHECK_EQ(qtest_readw(q, d->common + 26), 1u);
    CHECK_EQ(qtest_readw(q, d->common + 16), 0xffffu);
    qvirtio_ready(d);
    fill(vq, false);
    for (unsigned i = 0; i < 1000 && !qtest_readl(q, d->msix_words + 4); i++) {
    }
    CHECK_EQ(qtest_readl(q, d->msix_words), 0u);
    CHECK_EQ(qtest_readl(q, d->msix_words + 4), 2u);
    qvirtio_free(d);
    qtest_quit(q);
}

/* A broken ring: NEEDS_RESET, and after a reset all is well again. */
static void breaks(QVirtBuf b, unsigned flag_word)
{
    QTest *q = start("");
    QVirtio *d = qvirtio_find(q, RNG, 0, false, HEAP);
    QVirtq *vq;
    unsigned n = 0;

    CHECK(qvirtio_accept(d, QV_F(QV_VERSION_1)));
    vq = qvirtq_setup(d, 0, 0);
    qvirtio_ready(d);
    qvirtq_add(vq, &b, 1, false);
    qtest_writel(q, vq->desc + 12, flag_word);
    qvirtq_kick(vq);
    while (!(qvirtio_status(d) & 64) && n++ < 5000) {
        usleep(1000);
    }
    CHECK(qvirtio_status(d) & 64);
    qvirtio_set_status(d, 0);
    CHECK_EQ(qvirtio_status(d), 0u);
    qvirtio_set_status(d, 3);
    CHECK(qvirtio_accept(d, QV_F(QV_VERSION_1)));
    vq = qvirtq_setup(d, 0, 0);
    qvirtio_ready(d);
    fill(vq, false);
    qvirtio_free(d);
    qtest_quit(q);
}

TEST(broken_rings_need_a_reset)
{
    breaks((QVirtBuf){ HEAP, 0, true }, 2);                /* no length       */
    breaks((QVirtBuf){ 0xffffffffffffff00, 512, true }, 2);
    breaks((QVirtBuf){ 0x80000000, 16, true }, 2);         /* no memory       */
    breaks((QVirtBuf){ HEAP, 16, true }, 3);               /* a circle        */
    breaks((QVirtBuf){ HEAP, 16, true }, 3 | 0x4000u << 16);
    breaks((QVirtBuf){ HEAP, 15, false }, 4);              /* a bad table     */
}

TEST(quota)
{
    QTest *q = start(",max-bytes=40,period=1000");
    QVirtio *d = qvirtio_find(q, RNG, 0, false, HEAP);
    unsigned id;
    uint32_t len;
    QVirtBuf b = { HEAP + 0x100000, 32, true };
    QVirtq *vq;

    CHECK(qvirtio_accept(d, QV_F(QV_VERSION_1)));
    vq = qvirtq_setup(d, 0, 0);
    qvirtio_ready(d);
    for (unsigned i = 0; i < 3; i++) {
        qvirtq_add(vq, &b, 1, false);
    }
    qvirtq_kick(vq);
    CHECK_EQ(qvirtq_wait(vq, &id), 32u);
    CHECK_EQ(qvirtq_wait(vq, &id), 8u);
    if (qtest_has_clock(q)) {
        CHECK(!qvirtq_used(vq, &id, &len));
        qtest_clock_step(q, 999 * 1000000ll);
        CHECK(!qvirtq_used(vq, &id, &len));
        qtest_clock_step(q, 2 * 1000000ll);
        CHECK_EQ(qvirtq_wait(vq, &id), 32u);
    }
    qvirtio_free(d);
    qtest_quit(q);
}

static int connected(const char *path)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    strcpy(a.sun_path, path);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a))) {
        abort();
    }
    return fd;
}

/* An entropy gathering daemon is asked ("2", how many), and answers in pieces. */
TEST(entropy_daemon)
{
    char dir[] = "/tmp/tern-egd-XXXXXX", path[64];
    uint8_t ask[2] = { 0 }, got[64];
    QVirtBuf b = { HEAP + 0x100000, 40, true };
    QTest *q;
    QVirtio *d;
    QVirtq *vq;
    unsigned id;
    uint32_t len;
    int fd;

    REQUIRE(mkdtemp(dir) != NULL);
    snprintf(path, sizeof(path), "%s/s", dir);
    q = qtest_start("-machine pc -nodefaults -m 16 -chardev socket,id=e,path=%s,"
                    "server=on,wait=off -object rng-egd,id=r,chardev=e -device "
                    "virtio-rng-pci,rng=r", path);
    fd = connected(path);
    d = qvirtio_find(q, RNG, 0, false, HEAP);
    CHECK(qvirtio_accept(d, QV_F(QV_VERSION_1)));
    vq = qvirtq_setup(d, 0, 0);
    qvirtio_ready(d);
    qtest_memset(q, b.addr, 0xee, 64);
    qvirtq_add(vq, &b, 1, false);
    qvirtq_kick(vq);
    CHECK_EQ(recv(fd, ask, 2, MSG_WAITALL), 2);
    CHECK_EQ(ask[0], 2);
    CHECK_EQ(ask[1], 40);
    for (unsigned i = 0; i < 40; i++) {
        got[i] = (uint8_t)(i + 1);
    }
    CHECK_EQ(write(fd, got, 15), 15);
    qvirtio_status(d);
    CHECK(!qvirtq_used(vq, &id, &len));
    CHECK_EQ(write(fd, got + 15, 25), 25);
    CHECK_EQ(qvirtq_wait(vq, &id), 40u);
    qtest_read(q, b.addr, got, 64);
    for (unsigned i = 0; i < 64; i++) {
        CHECK_EQ(got[i], i < 40 ? i + 1 : 0xee);
    }
    close(fd);
    qvirtio_free(d);
    qtest_quit(q);
    unlink(path);
    rmdir(dir);
}
