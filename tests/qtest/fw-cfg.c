/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What firmware is told through fw_cfg, read by ports and by DMA: directory,
 * memory map, SMBIOS and ACPI tables; and DMA requests that make no sense.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base.h"
#include "tests/libqtest.h"
#include "tests/tern-test.h"

#define DESC 0x1000
#define BUF 0x100000
#define PIECE 0x10000

enum { ERROR = 1, READ = 2, SKIP_ = 4, SELECT = 8, WRITE = 16 };

/* One DMA request; what the device leaves in its control word. */
static uint32_t dma(QTest *q, uint32_t control, uint32_t len, uint64_t addr)
{
    uint8_t d[16];

    st_be32(d, control);
    st_be32(d + 4, len);
    st_be64(d + 8, addr);
    qtest_write(q, DESC, d, sizeof(d));
    qtest_outl(q, 0x514, 0);
    qtest_outl(q, 0x518, __builtin_bswap32(DESC));
    qtest_read(q, DESC, d, 4);
    return ld_be32(d);
}

static void item_read(QTest *q, uint16_t key, void *buf, uint32_t len)
{
    uint32_t control = (uint32_t)key << 16 | SELECT | READ;

    for (uint32_t at = 0; at < len; at += PIECE) {
        uint32_t n = len - at < PIECE ? len - at : PIECE;

        CHECK_EQ(dma(q, control, n, BUF), 0u);
        qtest_read(q, BUF, (uint8_t *)buf + at, n);
        control = READ;
    }
}

/* Contents of a file; NULL: there is none. The caller frees. */
static uint8_t *file_read(QTest *q, const char *name, uint32_t *len)
{
    uint8_t head[4], *dir, *data = NULL;
    uint32_t n;

    item_read(q, 0x19, head, 4);
    n = ld_be32(head);
    dir = malloc(4 + n * 64);
    item_read(q, 0x19, dir, 4 + n * 64);
    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *e = dir + 4 + i * 64;

        if (!strncmp((const char *)e + 8, name, 56)) {
            *len = ld_be32(e);
            data = calloc(1, *len + 1);
            item_read(q, ld_be16(e + 4), data, *len);
        }
    }
    free(dir);
    return data;
}

TEST(ports_and_dma_agree)
{
    QTest *q = qtest_start("-machine pc -m 16 -nodefaults");
    char sig[5] = "";

    qtest_outw(q, 0x510, 0);
    for (int i = 0; i < 4; i++) {
        sig[i] = qtest_inb(q, 0x511);
    }
    CHECK_STR(sig, "QEMU");
    CHECK_EQ(qtest_inb(q, 0x511), 0);
    memset(sig, 0, sizeof(sig));
    item_read(q, 0, sig, 4);
    CHECK_STR(sig, "QEMU");
    CHECK_EQ(qtest_inl(q, 0x514), 0x554d4551u);        /* "QEMU" */
    CHECK_EQ(qtest_inl(q, 0x518), 0x47464320u);        /* " CFG" */
    qtest_quit(q);
}

TEST(directory_is_sorted)
{
    QTest *q = qtest_start("-machine pc -m 16 -nodefaults "
                           "-fw_cfg opt/b,string=x -fw_cfg opt/a,string=y");
    uint8_t head[4], dir[64 * 64];
    char last[56] = "";
    uint32_t n;

    item_read(q, 0x19, head, 4);
    n = ld_be32(head);
    REQUIRE(n > 4 && n < 63);
    item_read(q, 0x19, dir, 4 + n * 64);
    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *e = dir + 4 + i * 64;

        CHECK_EQ(ld_be16(e + 4), 0x20 + i);
        CHECK_LT(strcmp(last, (const char *)e + 8), 0);
        memcpy(last, e + 8, sizeof(last));
    }
    qtest_quit(q);
}

/* Lengths and places that no firmware would use: refused, or zeros, at once. */
TEST(dma_that_makes_no_sense)
{
    QTest *q = qtest_start("-machine pc -m 16 -nodefaults");
    uint8_t b[8];

    /* Longer than the item: zeros after it. */
    qtest_memset(q, BUF, 0xaa, 0x2000);
    CHECK_EQ(dma(q, SELECT | READ, 0x2000, BUF), 0u);
    CHECK_EQ(qtest_readl(q, BUF), 0x554d4551u);
    CHECK_EQ(qtest_readl(q, BUF + 4), 0u);
    CHECK_EQ(qtest_readl(q, BUF + 0x1ffc), 0u);
    CHECK_EQ(qtest_readl(q, BUF + 0x2000) & 0, 0u);
    /* Gigabytes, across the end of memory. */
    CHECK_EQ(dma(q, SELECT | READ, UINT32_MAX, 0xff0000), (unsigned)ERROR);
    CHECK_EQ(dma(q, SELECT | READ, UINT32_MAX, 0x80000000u), (unsigned)ERROR);
    CHECK_EQ(dma(q, READ, 16, UINT64_MAX - 3), (unsigned)ERROR);
    /* No such item: zeros. */
    qtest_memset(q, BUF, 0xaa, 8);
    CHECK_EQ(dma(q, 0x3fffu << 16 | SELECT | READ, 8, BUF), 0u);
    CHECK_EQ(qtest_readq(q, BUF), 0u);
    /* Skipping beyond the end, then reading. */
    CHECK_EQ(dma(q, SELECT | SKIP_, UINT32_MAX, 0), 0u);
    CHECK_EQ(dma(q, READ, 8, BUF), 0u);
    CHECK_EQ(qtest_readq(q, BUF), 0u);
    /* Nothing here may be written. */
    CHECK_EQ(dma(q, SELECT | WRITE, 4, BUF), (unsigned)ERROR);
    CHECK_EQ(dma(q, SELECT | WRITE, UINT32_MAX, BUF), (unsigned)ERROR);
    /* A descriptor that is not in memory. */
    qtest_outl(q, 0x514, 0xffffffffu);
    qtest_outl(q, 0x518, 0xffffffffu);
    /* One that covers itself. */
    CHECK_NE(dma(q, SELECT | READ, 16, DESC), 0x12345678u);
    item_read(q, 0, b, 4);
    CHECK_MEM(b, "QEMU", 4);
    qtest_quit(q);
}

TEST(memory_map)
{
    QTest *q = qtest_start("-machine pc -m 3584 -nodefaults -cpu Haswell");
    uint8_t *e, row[20] = { 0 };
    uint32_t len;

    e = file_read(q, "etc/e820", &len);
    REQUIRE(e && len == 40);
    st_le64(row + 8, 0xc0000000u);
    st_le32(row + 16, 1);
    CHECK_MEM(e, row, 20);
    st_le64(row, 0x100000000ull);
    st_le64(row + 8, 0x20000000u);
    CHECK_MEM(e + 20, row, 20);
    free(e);
    qtest_quit(q);
}

TEST(hypertransport_range_of_amd)
{
    QTest *q = qtest_start("-machine pc -m 64 -nodefaults -cpu EPYC");
    uint8_t *e, row[20] = { 0 };
    uint32_t len;

    e = file_read(q, "etc/e820", &len);
    REQUIRE(e && len == 40);
    st_le64(row, 0xfd00000000ull);
    st_le64(row + 8, 0x300000000ull);
    st_le32(row + 16, 2);
    CHECK_MEM(e, row, 20);
    free(e);
    qtest_quit(q);
    q = qtest_start("-machine pc-i440fx-7.0 -m 64 -nodefaults -cpu EPYC");
    e = file_read(q, "etc/e820", &len);
    CHECK_EQ(len, 20u);
    free(e);
    qtest_quit(q);
}

/* ---- SMBIOS -------------------------------------------------------------- */

/* The structure of a type, by number; its strings end is *end. */
static const uint8_t *smbios_find(const uint8_t *t, uint32_t len, int type,
                                  unsigned *count, uint32_t *longest)
{
    const uint8_t *found = NULL;
    uint32_t at = 0;

    *count = *longest = 0;
    while (at + 4 <= len) {
        uint32_t end = at + t[at + 1];

        CHECK_GE(t[at + 1], 4);
        while (end + 1 < len && (t[end] || t[end + 1])) {
            end++;
        }
        end += 2;
        CHECK_LE(end, len);
        if (t[at] == type && !found) {
            found = t + at;
        }
        ++*count;
        *longest = end - at > *longest ? end - at : *longest;
        if (t[at] == 127) {
            CHECK_EQ(end, len);
            break;
        }
        at = end;
    }
    return found;
}

static const char *smbios_text(const uint8_t *s, uint8_t n)
{
    const char *p = (const char *)s + s[1];

    while (n > 1) {
        p += strlen(p) + 1;
        n--;
    }
    return n ? p : "";
}

TEST(smbios_defaults)
{
    QTest *q = qtest_start("-machine pc -m 64 -nodefaults -smp 4,cores=2,"
                           "threads=2 -uuid "
                           "00112233-4455-6677-8899-aabbccddeeff");
    static const uint8_t uuid[16] = {
        0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66,
        0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff,
    };
    uint32_t len, alen, longest;
    unsigned count;
    uint8_t *t = file_read(q, "etc/smbios/smbios-tables", &len);
    uint8_t *a = file_read(q, "etc/smbios/smbios-anchor", &alen);
    const uint8_t *s;

    REQUIRE(t && a && alen == 31);
    s = smbios_find(t, len, 1, &count, &longest);
    REQUIRE(s != NULL);
    CHECK_STR(smbios_text(s, s[4]), "QEMU");
    CHECK_STR(smbios_text(s, s[5]), "Standard PC (i440FX + PIIX, 1996)");
    CHECK_STR(smbios_text(s, s[6]), "pc-i440fx-7.2");
    CHECK_MEM(s + 8, uuid, 16);
    CHECK_MEM(a, "_SM_\0\x1f\2\x8", 8);
    CHECK_EQ(ld_le16(a + 8), longest);
    CHECK_EQ(ld_le16(a + 22), len);
    CHECK_EQ(ld_le16(a + 28), count);
    s = smbios_find(t, len, 4, &count, &longest);
    REQUIRE(s != NULL);
    CHECK_STR(smbios_text(s, s[4]), "CPU 0");
    CHECK_EQ(s[0x23], 2);
    CHECK_EQ(s[0x25], 4);
    s = smbios_find(t, len, 17, &count, &longest);
    REQUIRE(s != NULL);
    CHECK_EQ(ld_le16(s + 12), 64);
    CHECK_STR(smbios_text(s, s[16]), "DIMM 0");
    free(t);
    free(a);
    qtest_quit(q);
}

TEST(smbios_as_given)
{
    QTest *q = qtest_start(
        "-machine pc,smbios-entry-point-type=64 -m 64 -nodefaults "
        "-device pci-testdev,id=d,addr=5 "
        "-smbios type=0,vendor=V,release=3.7,uefi=on "
        "-smbios type=1,serial=S1 -smbios type=1,family=F "
        "-smbios type=11,value=one,value=two "
        "-smbios type=41,kind=ethernet,pcidev=d");
    uint32_t len, alen, longest;
    unsigned count;
    uint8_t *t = file_read(q, "etc/smbios/smbios-tables", &len);
    uint8_t *a = file_read(q, "etc/smbios/smbios-anchor", &alen);
    const uint8_t *s;

    REQUIRE(t && a && alen == 24);
    CHECK_MEM(a, "_SM3_\0\x18\3\0\0\1", 11);
    CHECK_EQ(ld_le32(a + 12), len);
    s = smbios_find(t, len, 0, &count, &longest);
    REQUIRE(s != NULL);
    CHECK_STR(smbios_text(s, s[4]), "V");
    CHECK_EQ(s[0x14], 3);
    CHECK_EQ(s[0x15], 7);
    CHECK_EQ(s[0x13], 0x1c);
    s = smbios_find(t, len, 1, &count, &longest);
    REQUIRE(s != NULL);
    CHECK_STR(smbios_text(s, s[7]), "S1");
    CHECK_STR(smbios_text(s, s[0x1a]), "F");
    s = smbios_find(t, len, 11, &count, &longest);
    REQUIRE(s != NULL);
    CHECK_EQ(s[4], 2);
    CHECK_STR(smbios_text(s, 2), "two");
    s = smbios_find(t, len, 41, &count, &longest);
    REQUIRE(s != NULL);
    CHECK_EQ(s[5], 0x85);
    CHECK_EQ(s[10], 5 << 3);
    free(t);
    free(a);
    qtest_quit(q);
}

TEST(smbios_refusals)
{
    static const struct {
        const char *args, *says;
    } rows[] = {
        { "type=99", "Don't know how to build fields for SMBIOS type 99" },
        { "type=200", "out of range!" },
        { "type=1,foo=x", "Invalid parameter 'foo'" },
        { "type=1,uuid=zz", "Invalid UUID" },
        { "foo=1", "Must specify type= or file=" },
        { "type=4,max-speed=99999999",
          "SMBIOS CPU speed is too large (> 65535)" },
        { "type=0,release=4", "Invalid release" },
        { "type=0,release=4.5.6", "Invalid release" },
        { "type=0,release=400.1", "Invalid release" },
        { "type=41,kind=foo", "invalid parameter value: foo" },
        { "type=41,pcidev=nope", "No PCI device nope" },
        { "type=11,path=/nonexistent", "Could not open '/nonexistent'" },
        { "file=/nonexistent", "Cannot read SMBIOS file /nonexistent" },
        { "file=/dev/null", "Cannot read SMBIOS file /dev/null" },
        { "file=/proc/self/exe,type=1", "Invalid parameter 'type'" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char *text = NULL;
        int status = qtest_run(&text, "-accel qtest -machine pc -m 16 "
                               "-nodefaults -display none -smbios %s",
                               rows[i].args);

        CHECK_EQ(status, 1);
        CHECK_CONTAINS(text, rows[i].says);
        free(text);
    }
}

/* ---- boot order ---------------------------------------------------------- */

static uint8_t cmos(QTest *q, uint8_t index)
{
    qtest_outb(q, 0x70, index);
    return qtest_inb(q, 0x71);
}

TEST(boot_once_lasts_until_a_reset)
{
    QTest *q = qtest_start("-machine pc -m 16 -nodefaults "
                           "-boot order=c,once=d");

    CHECK_EQ(cmos(q, 0x3d), 3);
    qtest_qmp_ok(q, "{'execute': 'system_reset'}");
    free(qtest_event(q, "RESET"));
    CHECK_EQ(cmos(q, 0x3d), 2);
    free(qtest_hmp(q, "boot_set n"));
    CHECK_EQ(cmos(q, 0x3d), 4);
    qtest_quit(q);
}

TEST(boot_wishes)
{
    QTest *q = qtest_start("-machine pc -m 16 -nodefaults -boot menu=on,"
                           "splash-time=5000,reboot-timeout=1000,strict=on "
                           "-option-rom /etc/hostname,bootindex=2");
    uint8_t *f, menu[2];
    uint32_t len;

    item_read(q, 0x0e, menu, 2);
    CHECK_EQ(ld_le16(menu), 1);
    f = file_read(q, "etc/boot-menu-wait", &len);
    REQUIRE(f && len == 2);
    CHECK_EQ(ld_le16(f), 5000);
    free(f);
    f = file_read(q, "etc/boot-fail-wait", &len);
    REQUIRE(f && len == 4);
    CHECK_EQ(ld_le32(f), 1000u);
    free(f);
    f = file_read(q, "bootorder", &len);
    REQUIRE(f != NULL);
    CHECK_STR((char *)f, "/rom@genroms/hostname\nHALT");
    CHECK_EQ(len, (uint32_t)strlen((char *)f) + 1);
    free(f);
    qtest_quit(q);
}

/* ---- ACPI ---------------------------------------------------------------- */

static const uint8_t *table_find(const uint8_t *t, uint32_t len,
                                 const char *sig)
{
    uint32_t at = 0;

    while (at + 8 <= len && t[at]) {
        uint32_t n = ld_le32(t + at + 4);

        CHECK(n >= 8 && n <= len - at);
        if (n < 8 || n > len - at) {
            return NULL;
        }
        if (!memcmp(t + at, sig, 4)) {
            return t + at;
        }
        at += n;
    }
    return NULL;
}

TEST(acpi_tables)
{
    QTest *q = qtest_start("-machine pc,smm=on -m 64 -nodefaults -smp 3");
    uint32_t len;
    uint8_t *t = file_read(q, "etc/acpi/tables", &len);
    const uint8_t *f, *m;
    unsigned lapics = 0, ioapics = 0;

    REQUIRE(t != NULL);
    f = table_find(t, len, "FACP");
    REQUIRE(f != NULL);
    CHECK_EQ(ld_le32(f + 4), 116u);
    CHECK_EQ(ld_le16(f + 46), 9);              /* SCI                         */
    CHECK_EQ(ld_le32(f + 48), 0xb2u);
    CHECK_EQ(f[52], 0xf1);
    CHECK_EQ(f[53], 0xf0);
    CHECK_EQ(ld_le32(f + 80), 0xafe0u);        /* GPE 0                       */
    CHECK_EQ(ld_le32(f + 112), 0x80a5u);
    m = table_find(t, len, "APIC");
    REQUIRE(m != NULL);
    CHECK_EQ(ld_le32(m + 36), 0xfee00000u);
    for (uint32_t at = 44; at + 2 <= ld_le32(m + 4) && m[at + 1];
         at += m[at + 1]) {
        lapics += m[at] == 0;
        ioapics += m[at] == 1;
    }
    CHECK_EQ(lapics, 3u);
    CHECK_EQ(ioapics, 1u);
    m = table_find(t, len, "HPET");
    REQUIRE(m != NULL);
    CHECK_EQ(ld_le32(m + 36), 0x8086a201u);
    CHECK_EQ(ld_le64(m + 44), 0xfed00000u);
    CHECK(table_find(t, len, "DSDT") != NULL);
    CHECK(table_find(t, len, "WAET") != NULL);
    free(t);
    qtest_quit(q);
    /* In ACPI mode from the start: no port to ask for it. */
    q = qtest_start("-machine pc,smm=off -m 64 -nodefaults");
    t = file_read(q, "etc/acpi/tables", &len);
    REQUIRE(t != NULL);
    f = table_find(t, len, "FACP");
    REQUIRE(f != NULL);
    CHECK_EQ(ld_le32(f + 48), 0u);
    CHECK_EQ(f[52], 0);
    free(t);
    qtest_quit(q);
}

/* -acpitable: a header made here, with the fields that the user gave. */
TEST(acpi_user_table)
{
    QTest *q = qtest_start("-machine pc -m 16 -nodefaults -acpitable "
        "sig=TRN1,rev=7,oem_id=AB,oem_rev=0x102,data=VERSION");
    uint32_t len;
    uint8_t *t = file_read(q, "etc/acpi/tables", &len), sum = 0;
    const uint8_t *m;

    REQUIRE(t != NULL);
    m = table_find(t, len, "TRN1");
    REQUIRE(m != NULL);
    CHECK(ld_le32(m + 4) > 36);
    CHECK_EQ(m[8], 7);
    CHECK(!memcmp(m + 10, "AB\0\0\0", 6));
    CHECK_EQ(ld_le32(m + 24), 0x102u);
    /* The loader adds the sum; the one of the user's table is right already. */
    for (uint32_t i = 0; i < ld_le32(m + 4); i++) {
        sum += m[i];
    }
    CHECK_EQ(sum, 0);
    free(t);
    qtest_quit(q);
}

/* Another compiler understands the DSDT, and makes it again from its text. */
TEST(acpi_dsdt_disassembles)
{
    char dir[] = "/tmp/tern-dsdt-XXXXXX", cmd[256];
    QTest *q;
    uint32_t len;
    uint8_t *t;
    const uint8_t *d;
    FILE *f;

    if (system("iasl -v >/dev/null 2>&1")) {
        SKIP("no iasl");
    }
    REQUIRE(mkdtemp(dir) != NULL);
    q = qtest_start("-machine pc -m 64 -nodefaults -smp 3");
    t = file_read(q, "etc/acpi/tables", &len);
    qtest_quit(q);
    REQUIRE(t != NULL);
    d = table_find(t, len, "DSDT");
    REQUIRE(d != NULL);
    snprintf(cmd, sizeof(cmd), "%s/dsdt.dat", dir);
    f = fopen(cmd, "wb");
    REQUIRE(f != NULL);
    CHECK_EQ(fwrite(d, 1, ld_le32(d + 4), f), (size_t)ld_le32(d + 4));
    fclose(f);
    snprintf(cmd, sizeof(cmd), "cd %s && iasl -d dsdt.dat >out 2>&1 && "
             "iasl -ve dsdt.dsl >>out 2>&1 && grep -q ' 0 Errors' out", dir);
    CHECK_EQ(system(cmd), 0);
    snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
    CHECK_EQ(system(cmd), 0);
    free(t);
}

/* What GnuTLS offers, as pairs of bytes (UEFI 2.8, EFI_TLS_CIPHER). */
TEST(cipher_suites)
{
    QTest *q;
    uint32_t len = 0;
    uint8_t *data;
    bool found = false;
    FILE *f = popen("build=${BUILD:-build}; test -e $build/modules/tls.so "
                    "&& echo yes", "r");
    int c = fgetc(f);

    pclose(f);
    if (c != 'y') {
        SKIP("built without GnuTLS");
    }
    q = qtest_start("-machine pc -nodefaults -object "
                    "tls-cipher-suites,id=t,priority=NORMAL -fw_cfg "
                    "name=etc/edk2/https/ciphers,gen_id=t");
    data = file_read(q, "etc/edk2/https/ciphers", &len);
    REQUIRE(data);
    CHECK(len >= 4 && len % 2 == 0);
    for (uint32_t i = 0; i + 1 < len; i += 2) {
        found = found || (data[i] == 0x13 && data[i + 1] == 0x01);
    }
    CHECK(found);                      /* TLS_AES_128_GCM_SHA256              */
    free(data);
    qtest_quit(q);
}

/* Rows of SRAT and SLIT for two nodes whose memory goes round both holes. */
TEST(acpi_memory_nodes)
{
    static const uint8_t cpu_1[16] = { 0, 16, 1, 1, 1 };
    static const struct { uint32_t node; uint64_t at, len; uint32_t flags; }
    rows[] = {
        { 0, 0, 0xa0000, 1 }, { 0, 0x100000, 0xbff00000, 1 },
        { 1, 0x100000000, 0x80000000, 1 }, { 0, 0, 0, 0 },
    };
    static const uint64_t numa[] = { 2, 0, 1, 0xc0000000, 0x80000000 };
    QTest *q = qtest_start("-machine pc -nodefaults -m 5G -smp 2 "
                           "-object memory-backend-ram,id=a,size=2G "
                           "-object memory-backend-ram,id=b,size=3G "
                           "-numa node,cpus=0,memdev=b "
                           "-numa node,cpus=1,memdev=a "
                           "-numa dist,src=0,dst=1,val=33");
    uint32_t len = 0;
    uint8_t *t = file_read(q, "etc/acpi/tables", &len), item[40];
    const uint8_t *s = table_find(t, len, "SRAT");

    REQUIRE(s);
    CHECK_EQ(ld_le32(s + 4), 48 + 2 * 16 + 4 * 40u);
    CHECK_MEM(s + 48 + 16, cpu_1, sizeof(cpu_1));
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const uint8_t *r = s + 80 + i * 40;

        CHECK_EQ(ld_le16(r), 0x2801);
        CHECK_EQ(ld_le32(r + 2), rows[i].node);
        CHECK_EQ(ld_le64(r + 8), rows[i].at);
        CHECK_EQ(ld_le64(r + 16), rows[i].len);
        CHECK_EQ(ld_le32(r + 28), rows[i].flags);
    }
    s = table_find(t, len, "SLIT");
    REQUIRE(s);
    CHECK_EQ(ld_le64(s + 36), 2u);
    CHECK_MEM(s + 44, "\x0a\x21\x21\x0a", 4);
    item_read(q, 0x0d, item, sizeof(item));
    for (size_t i = 0; i < ARRAY_SIZE(numa); i++) {
        CHECK_EQ(ld_le64(item + i * 8), numa[i]);
    }
    free(t);
    /* The second node's memory is the second backend's. */
    qtest_writeq(q, 0x100000000, 0x1122334455667788);
    CHECK_EQ(qtest_readq(q, 0x100000000), 0x1122334455667788u);
    qtest_quit(q);
    q = qtest_start("-machine pc -nodefaults");
    t = file_read(q, "etc/acpi/tables", &len);
    CHECK(!table_find(t, len, "SRAT"));
    free(t);
    qtest_quit(q);
}
