/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small devices by which guests talk to those who test or run them. */
#include <unistd.h>
#include "tests/libqtest.h"
#include "tests/tern-test.h"

TEST(pvpanic_announces_and_tells)
{
    QTest *q = qtest_start("-machine pc -nodefaults -action panic=none "
                           "-device pvpanic,events=2");
    char *e;

    CHECK_EQ(qtest_inb(q, 0x505), 2);
    CHECK_EQ(qtest_inw(q, 0x505), 0xff02);
    qtest_outb(q, 0x505, 4);
    qtest_outb(q, 0x505, 2);
    e = qtest_event(q, "GUEST_CRASHLOADED");
    CHECK_CONTAINS(e, "\"action\": \"run\"");
    free(e);
    CHECK(!qtest_event_seen(q, "GUEST_PANICKED"));
    qtest_quit(q);
}

TEST(pvpanic_pci_stops_the_machine)
{
    QTest *q = qtest_start("-machine pc -nodefaults -action panic=pause "
                           "-device pvpanic-pci,addr=5");
    int devfn = qpci_find(q, 0x1b36, 0x0011, 0);
    uint64_t at;
    char *e;

    REQUIRE(devfn == 5 << 3);
    CHECK_EQ(qpci_read(q, devfn, 8, 4), 0x08800001u);
    at = qpci_map(q, devfn, 0, NULL);
    CHECK_EQ(qtest_readb(q, at), 3);
    qtest_writeb(q, at, 1);
    e = qtest_event(q, "GUEST_PANICKED");
    CHECK_CONTAINS(e, "\"action\": \"pause\"");
    free(e);
    e = qtest_qmp(q, "{'execute': 'query-status'}");
    CHECK_CONTAINS(e, "guest-panicked");
    free(e);
    qtest_quit(q);
}

TEST(one_pvpanic_at_one_port)
{
    char *text;

    CHECK_EQ(qtest_run(&text, "-machine pc -nodefaults -accel qtest -device "
                       "pvpanic -device pvpanic"), 1);
    CHECK_CONTAINS(text, "duplicate fw_cfg file name: etc/pvpanic-port");
    free(text);
}

TEST(debug_exit_is_somewhere)
{
    QTest *q = qtest_start("-machine pc -nodefaults -device "
                           "isa-debug-exit,iobase=0xf4,iosize=4");
    char *text;

    CHECK_EQ(qtest_inl(q, 0xf4), 0u);
    qtest_quit(q);
    CHECK_EQ(qtest_run(&text, "-machine pc -nodefaults -accel qtest -device "
                       "isa-debug-exit,iobase=0xfffe,iosize=4"), 1);
    CHECK_CONTAINS(text, "isa-debug-exit: iobase 0xfffe");
    free(text);
}

TEST(testdev_bytes)
{
    QTest *q = qtest_start("-machine pc -nodefaults -device pc-testdev");

    CHECK_EQ(qtest_inl(q, 0xe0), 0u);
    qtest_outl(q, 0xe0, 0x12345678);
    CHECK_EQ(qtest_inw(q, 0xe2), 0x1234);
    qtest_outb(q, 0xe1, 0xaa);
    CHECK_EQ(qtest_inl(q, 0xe8), 0x1234aa78u);
    qtest_outw(q, 0xea, 0x2233);
    CHECK_EQ(qtest_inl(q, 0xe0), 0x2233aa78u);
    qtest_writel(q, 0xff000001, 0x12345678);
    CHECK_EQ(qtest_readl(q, 0xff000000), 0x34567800u);
    qtest_writeq(q, 0xff00fff8, 0x1122334455667788ull);
    CHECK_EQ(qtest_readq(q, 0xff00fff8), 0x1122334455667788ull);
    CHECK_EQ(qtest_readb(q, 0xff00ffff), 0x11);
    /* A page that is flushed keeps its contents; what is no RAM is refused. */
    qtest_writel(q, 0x100000, 0xcafe);
    qtest_outl(q, 0xe4, 0x100000);
    qtest_outl(q, 0xe4, 0xfffff000);
    qtest_outl(q, 0xe4, 0xe0000000);
    CHECK_EQ(qtest_readl(q, 0x100000), 0xcafeu);
    CHECK_EQ(qtest_inl(q, 0xe4), 0u);
    qtest_quit(q);
}

TEST(testdev_interrupt_lines)
{
    QTest *q = qtest_start("-machine pc -nodefaults -device pc-testdev");

    qtest_outb(q, 0x2004, 1);
    qtest_outb(q, 0x2009, 0xff);
    qtest_outb(q, 0x2010, 1);
    qtest_outb(q, 0x2017, 1);
    qtest_outb(q, 0x20, 0x0a);          /* OCW3: read the request register   */
    CHECK_EQ(qtest_inb(q, 0x20) & 0xfe, 0x14);
    qtest_outb(q, 0xa0, 0x0a);
    CHECK_EQ(qtest_inb(q, 0xa0), 2);
    qtest_quit(q);
}

/* ---- vmgenid ------------------------------------------------------------ */

static uint8_t fwcfg_byte(QTest *q)
{
    return qtest_inb(q, 0x511);
}

/* The selector of a file; 0: there is none. */
static unsigned fwcfg_file(QTest *q, const char *want, uint32_t *size)
{
    unsigned n = 0, key = 0;

    qtest_outw(q, 0x510, 0x19);
    for (int i = 0; i < 4; i++) {
        n = n << 8 | fwcfg_byte(q);
    }
    for (unsigned i = 0; i < n; i++) {
        uint8_t e[64];

        for (int k = 0; k < 64; k++) {
            e[k] = fwcfg_byte(q);
        }
        if (!strcmp((char *)e + 8, want)) {
            *size = e[0] << 24 | e[1] << 16 | e[2] << 8 | e[3];
            key = e[4] << 8 | e[5];
        }
    }
    return key;
}

TEST(vmgenid_files_and_commands)
{
    static const uint8_t guid[16] = {
        0xaf, 0x6e, 0x4e, 0x32, 0xd1, 0xd1, 0xf6, 0x4b,
        0xbf, 0x41, 0xb9, 0xbb, 0x6c, 0x91, 0xfb, 0x87,
    };
    QTest *q = qtest_start("-machine pc -nodefaults -device vmgenid,id=g,"
                           "guid=324e6eaf-d1d1-4bf6-bf41-b9bb6c91fb87");
    uint32_t size = 0;
    uint8_t got[16];
    char *s = qtest_qmp(q, "{'execute': 'query-vm-generation-id'}");
    unsigned key;

    CHECK_CONTAINS(s, "\"324e6eaf-d1d1-4bf6-bf41-b9bb6c91fb87\"");
    free(s);
    s = qtest_hmp(q, "info vm-generation-id");
    CHECK_CONTAINS(s, "324e6eaf-d1d1-4bf6-bf41-b9bb6c91fb87");
    free(s);
    s = qtest_qmp(q, "{'execute': 'qom-get', 'arguments': {'path': "
                  "'/machine/peripheral/g', 'property': 'guid'}}");
    CHECK_CONTAINS(s, "324e6eaf-d1d1-4bf6-bf41-b9bb6c91fb87");
    free(s);
    key = fwcfg_file(q, "etc/vmgenid_guid", &size);
    REQUIRE(key);
    CHECK_EQ(size, 4096u);
    qtest_outw(q, 0x510, key);
    for (int i = 0; i < 40; i++) {
        CHECK_EQ(fwcfg_byte(q), 0);
    }
    for (int i = 0; i < 16; i++) {
        got[i] = fwcfg_byte(q);
    }
    CHECK_MEM(got, guid, 16);
    key = fwcfg_file(q, "etc/vmgenid_addr", &size);
    REQUIRE(key);
    CHECK_EQ(size, 8u);
    /* Firmware writes the address by DMA: select, write. */
    qtest_writeq(q, 0x2000, 0x0000000000100028ull);
    qtest_writel(q, 0x1000, __builtin_bswap32(key << 16 | 8 | 16));
    qtest_writel(q, 0x1004, __builtin_bswap32(8));
    qtest_writeq(q, 0x1008, __builtin_bswap64(0x2000));
    qtest_outl(q, 0x518, __builtin_bswap32(0x1000));
    CHECK_EQ(qtest_readl(q, 0x1000), 0u);
    qtest_outw(q, 0x510, key);
    CHECK_EQ(fwcfg_byte(q), 0x28);
    qtest_qmp_ok(q, "{'execute': 'system_reset'}");
    free(qtest_event(q, "RESET"));
    qtest_outw(q, 0x510, key);
    CHECK_EQ(fwcfg_byte(q), 0);
    qtest_quit(q);
}

/* ---- vmcoreinfo ---------------------------------------------------------- */

/* The guest's driver: formats, size and place by DMA. */
static void vmcoreinfo_say(QTest *q, unsigned key, uint32_t size, uint64_t at)
{
    qtest_writew(q, 0x2000, 1);
    qtest_writew(q, 0x2002, 1);
    qtest_writel(q, 0x2004, size);
    qtest_writeq(q, 0x2008, at);
    qtest_writel(q, 0x1000, __builtin_bswap32(key << 16 | 8 | 16));
    qtest_writel(q, 0x1004, __builtin_bswap32(16));
    qtest_writeq(q, 0x1008, __builtin_bswap64(0x2000));
    qtest_outl(q, 0x518, __builtin_bswap32(0x1000));
    CHECK_EQ(qtest_readl(q, 0x1000), 0u);
}

/* Whether the head of a dump has the note. */
static bool dumped(QTest *q, const char *file)
{
    char head[8192] = "";
    FILE *f;
    size_t n;

    qtest_qmp_ok(q, "{'execute': 'dump-guest-memory', 'arguments': "
                 "{'paging': false, 'protocol': 'file:%s'}}", file);
    f = fopen(file, "rb");
    REQUIRE(f);
    n = fread(head, 1, sizeof(head), f);
    fclose(f);
    unlink(file);
    CHECK_EQ(n, sizeof(head));
    return memmem(head, n, "VMCOREINFO\0\0NUMBER(phys_base)=8192\n", 35);
}

TEST(vmcoreinfo_is_in_dumps)
{
    static const char text[24] = "NUMBER(phys_base)=8192\n";
    char file[] = "/tmp/tern-dump-XXXXXX";
    int fd = mkstemp(file);
    QTest *q = qtest_start("-machine pc -m 16 -nodefaults -device vmcoreinfo");
    uint32_t size = 0;
    unsigned key = fwcfg_file(q, "etc/vmcoreinfo", &size);

    REQUIRE(fd >= 0 && key);
    close(fd);
    CHECK_EQ(size, 16u);
    qtest_outw(q, 0x510, key);
    CHECK_EQ(fwcfg_byte(q), 1);        /* a note of ELF's form is understood  */
    CHECK(!dumped(q, file));
    qtest_writel(q, 0x20000, 11);
    qtest_writel(q, 0x20004, sizeof(text));
    qtest_writel(q, 0x20008, 0);
    qtest_write(q, 0x2000c, "VMCOREINFO\0", 12);
    qtest_write(q, 0x20018, text, sizeof(text));
    vmcoreinfo_say(q, key, 48, 0x20000);
    CHECK(dumped(q, file));
    vmcoreinfo_say(q, key, 0xffffffff, 0x20000);       /* too long            */
    CHECK(!dumped(q, file));
    vmcoreinfo_say(q, key, 40, 0x20000);               /* cut short           */
    CHECK(!dumped(q, file));
    vmcoreinfo_say(q, key, 48, ~0ull - 8);             /* nowhere             */
    CHECK(!dumped(q, file));
    qtest_writel(q, 0x20004, 0xffffffff);
    vmcoreinfo_say(q, key, 48, 0x20000);
    CHECK(!dumped(q, file));
    qtest_quit(q);
}

TEST(vmgenid_refusals)
{
    char *text;
    QTest *q;

    CHECK_EQ(qtest_run(&text, "-machine pc -nodefaults -accel qtest -device "
                       "vmgenid -device vmgenid"), 1);
    CHECK_CONTAINS(text, "at most one vmgenid device is permitted");
    free(text);
    CHECK_EQ(qtest_run(&text, "-machine pc -nodefaults -accel qtest -device "
                       "vmgenid,guid=zz"), 1);
    CHECK_CONTAINS(text, "doesn't take value 'zz'");
    free(text);
    CHECK_EQ(qtest_run(&text, "-machine none -accel qtest -device vmgenid"), 1);
    CHECK_CONTAINS(text, "vmgenid requires DMA write support in fw_cfg");
    free(text);
    q = qtest_start("-machine pc -nodefaults");
    text = qtest_qmp(q, "{'execute': 'query-vm-generation-id'}");
    CHECK_CONTAINS(text, "VM Generation ID device not found");
    free(text);
    qtest_quit(q);
}

