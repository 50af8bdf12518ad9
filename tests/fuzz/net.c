/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that scribbles over the rings and registers of every network card while
 * whoever sits at the other end of the wire sends what it likes: frames that are
 * cut off, overlong, half right in their headers, and streams that are no frames
 * at all. The process must go on, answer its monitor, and not grow.
 *
 * FUZZ_SECONDS, FUZZ_SEED: tests/libfuzz.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "tests/libfuzz.h"
#include "tests/tern-test.h"

#define WIRES 5                        /* cards with a wire that we hold      */
#define FRAME_MAX 70000

typedef struct Wire {
    int fd;
    struct sockaddr_un addr;           /* of streams; else a datagram socket  */
    bool dgram;
    size_t debt;                       /* of a frame that was not sent whole  */
} Wire;

typedef struct Lan {
    Wire wire[WIRES];
    char folder[32];
    uint8_t frame[FRAME_MAX + 4];
} Lan;

/* ---- frames -------------------------------------------------------------- */

static void put16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static void put_addresses(Fuzz *f, uint8_t *p)
{
    static const uint8_t to[4][6] = {
        { 0x52, 0x54, 0, 0x12, 0x34, 0x56 }, { 0x01, 0, 0x5e, 0, 0, 1 },
        { 255, 255, 255, 255, 255, 255 }, { 0x33, 0x33, 0, 0, 0, 1 },
    };

    memcpy(p, to[fuzz_below(f, 4)], 6);
    if (!(p[0] & 1)) {
        p[5] = (uint8_t)(0x56 + fuzz_below(f, WIRES + 2));
    }
    memcpy(p + 6, to[0], 6);
    p[11] = (uint8_t)fuzz_rnd(f);
}

/* An IPv4 or IPv6 packet with TCP or UDP, and lengths that may lie. */
static void put_packet(Fuzz *f, uint8_t *p, size_t n)
{
    static const uint8_t protos[] = { 6, 17, 1, 0, 43, 44, 60, 59 };
    bool v6 = fuzz_below(f, 2);
    size_t head = v6 ? 40 : 20;
    unsigned len = fuzz_below(f, 4) ? (unsigned)n : (unsigned)fuzz_rnd(f);

    if (n < 48) {
        return;
    }
    memset(p, 0, head);
    p[0] = v6 ? 0x60 : 0x45;
    if (!fuzz_below(f, 4)) {
        p[0] = (uint8_t)fuzz_rnd(f);
    }
    put16(p + (v6 ? 4 : 2), v6 ? len - 40 : len);
    p[v6 ? 6 : 9] = protos[fuzz_below(f, sizeof(protos))];
    if (!v6 && !fuzz_below(f, 6)) {
        put16(p + 6, (unsigned)fuzz_rnd(f));
    }
    for (size_t i = head; i < n && i < head + 64; i++) {
        p[i] = (uint8_t)(fuzz_below(f, 2) ? fuzz_below(f, 8) : fuzz_rnd(f));
    }
    if (fuzz_below(f, 2)) {            /* TCP's offset, an extension's length */
        p[head + 12] = (uint8_t)(fuzz_below(f, 16) << 4);
        p[head] = protos[fuzz_below(f, sizeof(protos))];
    }
}

static size_t frame_make(Fuzz *f, uint8_t *p)
{
    static const uint32_t sizes[] = { 0, 1, 13, 14, 15, 17, 18, 33, 34, 59, 60,
        64, 1514, 1518, 1522, 4096, 8192, 9014, 16384, 65535, 65549 };
    size_t n = fuzz_below(f, 3) ? fuzz_below(f, 1600)
             : sizes[fuzz_below(f, sizeof(sizes) / sizeof(sizes[0]))];
    size_t at = 12;

    for (size_t i = 0; i < n && i < 256; i++) {
        p[i] = (uint8_t)fuzz_rnd(f);
    }
    if (n < 18) {
        return n;
    }
    put_addresses(f, p);
    if (!fuzz_below(f, 4)) {
        put16(p + at, 0x8100);
        put16(p + at + 2, (unsigned)fuzz_rnd(f));
        at += 4;
    }
    if (n > at + 2) {
        unsigned kind = fuzz_below(f, 8);

        put16(p + at, kind < 3 ? 0x0800 : kind < 6 ? 0x86dd
                    : kind < 7 ? 0x0806 : (unsigned)fuzz_rnd(f));
        put_packet(f, p + at + 2, n - at - 2);
    }
    return n;
}

/* ---- wires --------------------------------------------------------------- */

static void wire_connect(Wire *w)
{
    if (w->fd >= 0) {
        close(w->fd);
    }
    w->debt = 0;
    w->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (w->fd < 0 ||
        connect(w->fd, (struct sockaddr *)&w->addr, sizeof(w->addr))) {
        close(w->fd);                  /* it is being listened to again soon  */
        w->fd = -1;
    }
}

static void wire_drain(Wire *w)
{
    uint8_t b[65536];
    ssize_t n;

    while ((n = recv(w->fd, b, sizeof(b), MSG_DONTWAIT)) > 0) {
    }
    if (n == 0 && !w->dgram) {
        wire_connect(w);
    }
}

/* Bytes to a stream; what it does not take is lost, or owed. */
static void wire_put(Wire *w, const uint8_t *p, size_t n)
{
    ssize_t done = send(w->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (done < 0 && errno != EAGAIN) {
        wire_connect(w);
    } else if (done > 0 && (size_t)done < n) {
        w->debt = n - (size_t)done;
    }
}

static void wire_frame(Fuzz *f, Wire *w)
{
    Lan *l = f->arg;
    size_t n = frame_make(f, l->frame + 4);

    if (w->dgram) {
        send(w->fd, l->frame + 4, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        return;
    }
    if (w->debt) {
        size_t owed = w->debt < sizeof(l->frame) ? w->debt : sizeof(l->frame);

        w->debt = 0;
        wire_put(w, l->frame, owed);
        return;
    }
    put16(l->frame, (unsigned)(n >> 16));
    put16(l->frame + 2, (unsigned)n);
    wire_put(w, l->frame, n + 4);
}

static void wire_step(Fuzz *f)
{
    Lan *l = f->arg;
    Wire *w = &l->wire[fuzz_below(f, WIRES)];
    uint8_t junk[64];

    if (w->fd < 0) {
        wire_connect(w);
        return;
    }
    switch (fuzz_below(f, 64)) {
    case 0:                            /* hang up                             */
        if (!w->dgram) {
            wire_connect(w);
        }
        break;
    case 1:                            /* no frame at all                     */
        for (size_t i = 0; i < sizeof(junk); i++) {
            junk[i] = (uint8_t)(fuzz_below(f, 3) ? 0 : fuzz_rnd(f));
        }
        wire_put(w, junk, 1 + fuzz_below(f, sizeof(junk)));
        break;
    default:
        for (unsigned i = fuzz_below(f, 8) ? 1 : 300; i && w->fd >= 0; i--) {
            wire_frame(f, w);
        }
        if (w->fd >= 0 && fuzz_below(f, 4)) {
            wire_drain(w);             /* else it has to wait for us          */
        }
        break;
    }
}

/* ---- memory -------------------------------------------------------------- */

/* Transmit descriptors as 8254x and RTL8139C+ have them. */
static void put_card_descriptors(Fuzz *f, uint8_t *p, bool rtl)
{
    for (unsigned i = 0; i < 256; i++, p += 16) {
        uint32_t w[4] = { fuzz_below(f, 6) ? fuzz_page(f)
                                           : (uint32_t)fuzz_value(f),
                          fuzz_below(f, 16) ? 0 : (uint32_t)fuzz_value(f) };
        uint32_t len = fuzz_below(f, 4) ? fuzz_below(f, 2000)
                                        : (uint32_t)fuzz_rnd(f);

        w[2] = (uint32_t)fuzz_rnd(f);
        w[3] = (uint32_t)fuzz_rnd(f);
        if (rtl) {
            uint32_t t[4] = { 0x80000000 | (w[2] & 0x7fff0000) | (len & 0xffff),
                              w[3], w[0], w[1] };

            memcpy(p, t, 16);
            continue;
        }
        if (fuzz_below(f, 2)) {        /* context: offsets within headers     */
            w[0] = fuzz_below(f, 64) | fuzz_below(f, 64) << 8 |
                   (fuzz_below(f, 2) ? 0 : w[0] << 16);
        }
        w[2] = (w[2] & 0xfff00000) | (len & 0xfffff);
        if (fuzz_below(f, 4)) {        /* end of packet, report, extended     */
            w[2] = (w[2] & ~0xf00000u) | 0x29000000 |
                   (fuzz_below(f, 3) ? 1u << 20 : 0);
        }
        memcpy(p, w, 16);
    }
}

/* Headers and commands of virtio-net. */
static void put_commands(Fuzz *f, uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        p[i] = (uint8_t)(fuzz_below(f, 3) ? fuzz_below(f, 6) : fuzz_rnd(f));
    }
    for (size_t i = 0; i + 256 <= n; i += 256) {
        p[i] = (uint8_t)fuzz_below(f, 6);
        p[i + 1] = (uint8_t)fuzz_below(f, 3);
        if (fuzz_below(f, 2)) {        /* RSS with a table that may be right  */
            memset(p + i + 2, 0, 60);
            p[i] = 4;
            p[i + 1] = 1;
            p[i + 2] = 0x3f;
            p[i + 6] = (uint8_t)((1u << fuzz_below(f, 4)) - 1);
            p[i + 10 + 2 * fuzz_below(f, 8)] = (uint8_t)fuzz_below(f, 3);
        }
    }
}

static void scribble(Fuzz *f)
{
    uint8_t b[4096];

    switch (fuzz_below(f, 7)) {
    case 0:
    case 1:
        fuzz_descriptors(f, b, 256);
        break;
    case 2:                            /* available ring                      */
        for (unsigned i = 0; i < sizeof(b); i += 2) {
            uint16_t v = (uint16_t)(i == 2 ? fuzz_below(f, 300)
                                           : fuzz_below(f, 64));

            memcpy(b + i, &v, 2);
        }
        break;
    case 3:
        put_card_descriptors(f, b, false);
        break;
    case 4:
        put_card_descriptors(f, b, true);
        break;
    case 5:
        put_commands(f, b, sizeof(b));
        break;
    default:                           /* frames                              */
        for (size_t i = 0; i < sizeof(b); i++) {
            b[i] = (uint8_t)fuzz_below(f, 3);
        }
        put_addresses(f, b);
        put16(b + 12, fuzz_below(f, 2) ? 0x0800 : 0x86dd);
        put_packet(f, b + 14, 1500);
        break;
    }
    qtest_write(f->q, fuzz_page(f), b, sizeof(b));
}

/* ---- cards --------------------------------------------------------------- */

/* As a driver starts it; each number may be odd. */
static void e1000_start(Fuzz *f, const FuzzDev *d)
{
    uint64_t m = d->bar[0].addr;
    uint32_t regs[][2] = {
        { 0x00, 0x40 | (fuzz_below(f, 2) ? 1u << 30 : 0) }, { 0x38, 0x8100 },
        { 0x2800, fuzz_page(f) }, { 0x2804, 0 },
        { 0x2808, 128 << fuzz_below(f, 6) }, { 0x2810, 0 },
        { 0x2818, fuzz_below(f, 128) },
        { 0x100, 0x801a | ((uint32_t)fuzz_rnd(f) & 0x06070360) },
        { 0x3800, fuzz_page(f) }, { 0x3804, 0 },
        { 0x3808, 128 << fuzz_below(f, 6) }, { 0x3810, 0 },
        { 0x5000, 0x300 }, { 0x400, 10 }, { 0xd0, 0x1ff },
    };

    for (unsigned i = 0; i < sizeof(regs) / sizeof(regs[0]); i++) {
        fuzz_poke_at(f, d, 0, regs[i][0], 4, fuzz_below(f, 40)
                     ? regs[i][1] : fuzz_value(f));
    }
    for (unsigned i = 0; i < 6; i++) {
        scribble(f);
        qtest_writel(f->q, m + 0x3818, fuzz_below(f, 128));
        qtest_writel(f->q, m + 0x2818, fuzz_below(f, 128));
        wire_step(f);
    }
}

static void rtl8139_start(Fuzz *f, const FuzzDev *d)
{
    uint16_t io = (uint16_t)d->bar[0].addr;

    qtest_outb(f->q, io + 0x50, 0xc0);
    qtest_outw(f->q, io + 0xe0, fuzz_below(f, 3) ? fuzz_below(f, 128) : 0);
    qtest_outb(f->q, io + 0x37, 0x0c);
    qtest_outl(f->q, io + 0x30, fuzz_page(f));
    qtest_outl(f->q, io + 0x44, (uint32_t)fuzz_rnd(f) & 0x1fbf);
    qtest_outl(f->q, io + 0x40, fuzz_below(f, 4) ? 0 : 0x60000);
    qtest_outl(f->q, io + 0xe4, fuzz_page(f));
    qtest_outl(f->q, io + 0xe8, 0);
    for (unsigned i = 0; i < 6; i++) {
        scribble(f);
        qtest_outl(f->q, io + 0x20, fuzz_page(f));
        qtest_outl(f->q, io + 0x24, 0);
        qtest_outb(f->q, io + 0xd9, 0x40);
        qtest_outl(f->q, io + 0x20 + 4 * fuzz_below(f, 4), fuzz_page(f));
        qtest_outl(f->q, io + 0x10 + 4 * fuzz_below(f, 4),
                   (uint32_t)fuzz_rnd(f) & 0x1fff);
        qtest_outw(f->q, io + 0x38, (uint16_t)fuzz_rnd(f));
        wire_step(f);
    }
}

static void step(Fuzz *f)
{
    FuzzDev *d = &f->dev[fuzz_below(f, f->ndev)];

    switch (fuzz_below(f, 12)) {
    case 0:
        if (d->vendor == 0x1af4) {
            fuzz_virtio(f, d, 3 + 2 * fuzz_below(f, 2), scribble);
        } else if (d->device >> 8 == 0x10) {
            e1000_start(f, d);
        } else if (d->device == 0x8139) {
            rtl8139_start(f, d);
        }
        break;
    case 1:
        scribble(f);
        break;
    case 2:
        if (!fuzz_below(f, 8)) {
            fuzz_config(f, d);
        }
        break;
    case 3:
    case 4:
    case 5:
        wire_step(f);
        break;
    default:
        fuzz_poke(f, d);
        break;
    }
}

/* Three cards, and e1000 once more, on streams; virtio-net on datagrams; one each
 * on the user network, whose parser the frames of the guest reach. */
static void begin(Fuzz *f, Lan *l)
{
    char lan[1400] = "";
    static const char *const card[WIRES] = {
        "virtio-net-pci,mq=on,rss=on", "e1000", "rtl8139",
        "e1000-82544gc", "virtio-net-pci,tx=timer,guest_announce=off",
    };

    strcpy(l->folder, "/tmp/tern-fuzz-XXXXXX");
    if (!mkdtemp(l->folder)) {
        abort();
    }
    for (unsigned i = 0; i < WIRES; i++) {
        Wire *w = &l->wire[i];
        size_t n = strlen(lan);

        w->fd = -1;
        w->dgram = i == WIRES - 1;
        w->addr.sun_family = AF_UNIX;
        snprintf(w->addr.sun_path, sizeof(w->addr.sun_path), "%s/%u",
                 l->folder, i);
        snprintf(lan + n, sizeof(lan) - n, w->dgram ? " -netdev dgram,id=n%u,"
                 "local.type=unix,local.path=%s,remote.type=unix,"
                 "remote.path=%s.own -device %s,netdev=n%u" : " -netdev stream,"
                 "id=n%u,server=on,addr.type=unix,addr.path=%s%.0s -device %s,"
                 "netdev=n%u", i, w->addr.sun_path, w->addr.sun_path, card[i],
                 i);
    }
    f->q = qtest_start("-machine pc -nodefaults -m 32%s -netdev user,id=u0,"
        "restrict=on -device virtio-net-pci,netdev=u0 -netdev user,id=u1,"
        "restrict=on -device e1000,netdev=u1 -netdev user,id=u2,restrict=on "
        "-device rtl8139,netdev=u2", lan);
    {
        Wire *w = &l->wire[WIRES - 1];
        struct sockaddr_un own = w->addr;

        strcat(own.sun_path, ".own");
        w->fd = socket(AF_UNIX, SOCK_DGRAM, 0);
        if (bind(w->fd, (struct sockaddr *)&own, sizeof(own)) ||
            connect(w->fd, (struct sockaddr *)&w->addr, sizeof(w->addr))) {
            abort();
        }
    }
    f->arg = l;
    fuzz_find(f);
}

static void end(Lan *l)
{
    char path[160];

    for (unsigned i = 0; i < WIRES; i++) {
        unlink(l->wire[i].addr.sun_path);
        snprintf(path, sizeof(path), "%s.own", l->wire[i].addr.sun_path);
        unlink(path);
        if (l->wire[i].fd >= 0) {
            close(l->wire[i].fd);
        }
    }
    rmdir(l->folder);
}

TEST(a_guest_and_a_wire_that_scribble)
{
    Fuzz *f = calloc(1, sizeof(*f));
    Lan *l = calloc(1, sizeof(*l));

    TEST_LIMIT(3600);
    fuzz_init(f);
    begin(f, l);
    CHECK_GE(f->ndev, WIRES + 3u);
    CHECK_LT(fuzz_run(f, step), 64 * 1024);
    qtest_quit(f->q);
    end(l);
    free(l);
    free(f);
}
