/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that writes nonsense to the registers and the memory of every display
 * card, blits from anywhere to anywhere and sets modes that no monitor has,
 * while a VNC client watches each screen, pictures are taken and keys pressed.
 *
 * FUZZ_SECONDS: how long, each card's test; FUZZ_SEED: where to begin.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/libfuzz.h"
#include "tests/tern-test.h"

/* ---- somebody who watches ------------------------------------------------ */
static int dial(const char *path)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
    for (int i = 0; i < 100; i++) {
        if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0) {
            return fd;
        }
        usleep(50000);
    }
    return -1;
}

/* Asks for everything again and again and looks at nothing of it. */
static void watch(const char *path, uint8_t encoding)
{
    static const uint8_t ask[10] = { 3, 0, 0, 0, 0, 0, 0x40, 0, 0x40, 0 };
    uint8_t set[] = { 2, 0, 0, 4, 0, 0, 0, encoding, 0xff, 0xff, 0xff, 0x11,
                      0xff, 0xff, 0xff, 0x21, 0xff, 0xff, 0xfe, 0xcc };
    static uint8_t buf[65536];
    int fd = dial(path);
    bool ok = fd >= 0 && read(fd, buf, 12) == 12 &&
        write(fd, "RFB 003.008\n", 12) == 12 && read(fd, buf, 2) > 0 &&
        write(fd, "\1", 1) == 1 && read(fd, buf, 4) > 0 &&
        write(fd, "\1", 1) == 1 && write(fd, set, sizeof(set)) > 0;

    while (ok) {
        ok = write(fd, ask, sizeof(ask)) == sizeof(ask) &&
            read(fd, buf, sizeof(buf)) > 0;
    }
    _exit(0);
}

static pid_t watcher(const char *path, uint8_t encoding)
{
    pid_t pid = fork();

    if (pid == 0) {
        watch(path, encoding);
    }
    return pid;
}

/* ---- nonsense ------------------------------------------------------------ */
static void indexed(Fuzz *f, uint16_t port, unsigned n)
{
    qtest_outb(f->q, port, (uint8_t)fuzz_below(f, n));
    qtest_outb(f->q, port + 1, (uint8_t)fuzz_rnd(f));
}

static void registers(Fuzz *f)
{
    qtest_outb(f->q, 0x3c2, fuzz_below(f, 4) ? 0x67 : (uint8_t)fuzz_rnd(f));
    for (unsigned i = 0; i < 6; i++) {
        switch (fuzz_below(f, 6)) {
        case 0: indexed(f, 0x3c4, 0x20); break;
        case 1: indexed(f, 0x3ce, 0x3a); break;
        case 2: case 3: indexed(f, 0x3d4, 0x20); break;
        case 4:
            qtest_inb(f->q, 0x3da);
            qtest_outb(f->q, 0x3c0, (uint8_t)fuzz_below(f, 0x40));
            qtest_outb(f->q, 0x3c0, (uint8_t)fuzz_rnd(f));
            break;
        default:
            qtest_outb(f->q, (uint16_t)(0x3c6 + fuzz_below(f, 4)),
                       (uint8_t)fuzz_rnd(f));
            break;
        }
    }
    qtest_inb(f->q, 0x3da);
    qtest_outb(f->q, 0x3c0, 0x20);      /* most times there is a picture      */
}

static void bochs_mode(Fuzz *f)
{
    static const uint16_t depths[] = { 0, 4, 8, 15, 16, 24, 32, 33, 0xffff };

    qtest_outw(f->q, 0x1ce, 4);
    qtest_outw(f->q, 0x1d0, 0);
    for (uint16_t i = 1; i < 10; i++) {
        uint16_t v = (uint16_t)(fuzz_below(f, 3) ? fuzz_below(f, 2048)
                                                 : fuzz_rnd(f));

        v = i == 3 ? depths[fuzz_below(f, 9)]
            : i == 4 ? (uint16_t)(0x41 | (v & 0xa2)) : v;
        qtest_outw(f->q, 0x1ce, i);
        qtest_outw(f->q, 0x1d0, v);
    }
}

static void cirrus_mode(Fuzz *f)
{
    static const uint8_t modes[] = { 1, 3, 5, 7, 9, 0, 0xf1 };

    qtest_outw(f->q, 0x3c4, 0x1206);
    qtest_outw(f->q, 0x3c4, (uint16_t)(modes[fuzz_below(f, 7)] << 8 | 7));
    qtest_outw(f->q, 0x3c4, (uint16_t)(fuzz_below(f, 256) << 8 | 0x12));
    qtest_outw(f->q, 0x3c4, (uint16_t)(fuzz_below(f, 256) << 8 | 0x17));
    qtest_outw(f->q, 0x3ce, 0x4005);
    qtest_outw(f->q, 0x3ce, 0x0506);
}

/* Any blit, some bytes for it, sometimes only half of what it waits for. */
static void cirrus_blit(Fuzz *f)
{
    unsigned n = fuzz_below(f, 80);

    for (uint16_t i = 0x20; i < 0x36; i++) {
        uint16_t v = (uint16_t)fuzz_rnd(f);

        if ((i == 0x21 || i == 0x23) && fuzz_below(f, 4)) {
            v = 0;                      /* most are small                     */
        }
        if (i != 0x31) {
            qtest_outw(f->q, 0x3ce, (uint16_t)(v << 8 | i));
        }
    }
    qtest_outw(f->q, 0x3ce, 0x0031);
    qtest_outw(f->q, 0x3ce, fuzz_below(f, 8) ? 0x0231 : 0x8031);
    for (unsigned i = 0; i < n; i++) {
        qtest_writeq(f->q, 0xa0000 + 8 * fuzz_below(f, 0x4000), fuzz_rnd(f));
    }
    if (fuzz_below(f, 2)) {
        qtest_outw(f->q, 0x3ce, 0x0431);
        qtest_outw(f->q, 0x3ce, 0x0031);
    }
}

static void window(Fuzz *f)
{
    uint8_t b[512];
    uint64_t at = 0xa0000 + fuzz_below(f, 0x20000 - sizeof(b));

    for (size_t i = 0; i < sizeof(b); i++) {
        b[i] = (uint8_t)fuzz_rnd(f);
    }
    qtest_write(f->q, at, b, sizeof(b));
    qtest_readb(f->q, 0xa0000 + fuzz_below(f, 0x20000));
}

static void picture(Fuzz *f)
{
    char *s = qtest_qmp(f->q, "{'execute':'screendump','arguments':{"
                        "'filename':'/dev/null'}}");

    free(s);
    s = qtest_qmp(f->q, "{'execute':'input-send-event','arguments':{'events':"
                  "[{'type':'abs','data':{'axis':'x','value':%u}}]}}",
                  fuzz_below(f, 0x8000));
    free(s);
}

static void step(Fuzz *f)
{
    bool cirrus = f->arg != NULL;
    FuzzDev *d = &f->dev[fuzz_below(f, f->ndev)];

    switch (fuzz_below(f, 12)) {
    case 0: case 1: registers(f); break;
    case 2: cirrus ? cirrus_mode(f) : bochs_mode(f); break;
    case 3: case 4: cirrus ? cirrus_blit(f) : registers(f); break;
    case 5: case 6: window(f); break;
    case 7: picture(f); break;
    case 8: fuzz_config(f, d); break;
    default: fuzz_poke(f, d); break;
    }
}

static void run(const char *machine, bool cirrus)
{
    char dir[] = "/tmp/tern-fuzz-XXXXXX", sock[64], *folder = mkdtemp(dir);
    Fuzz *f = calloc(1, sizeof(*f));
    pid_t watchers[2];

    TEST_LIMIT(3600);
    snprintf(sock, sizeof(sock), "%s/vnc", folder);
    fuzz_init(f);
    f->arg = cirrus ? f : NULL;
    f->q = qtest_start("-machine pc -nodefaults -m 32 -vnc unix:%s %s", sock,
                       machine);
    watchers[0] = watcher(sock, 5);     /* hextile                            */
    watchers[1] = watcher(sock, 7);     /* tight                              */
    fuzz_find(f);
    CHECK_GE(f->ndev, 1u);
    CHECK_LT(fuzz_run(f, step), 160 * 1024);
    for (int i = 0; i < 2; i++) {
        kill(watchers[i], SIGKILL);
        waitpid(watchers[i], NULL, 0);
    }
    qtest_quit(f->q);
    unlink(sock);
    rmdir(folder);
    free(f);
}

TEST(vga_and_its_sisters)
{
    run("-vga none -device VGA,vgamem_mb=2 -device bochs-display,vgamem=4M "
        "-device secondary-vga,vgamem_mb=1 -device virtio-tablet-pci "
        "-device virtio-keyboard-pci", false);
}

TEST(cirrus)
{
    run("-vga cirrus", true);
}
