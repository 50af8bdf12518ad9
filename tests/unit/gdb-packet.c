/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The debugger's packets and registers, without a debugger. */
#include "accel/gdbstub/gdb.h"
#include "tests/tern-test.h"

static GdbSeen feed(GdbIn *in, const char *s, size_t n)
{
    GdbSeen seen = GDB_NOTHING;

    for (size_t i = 0; i < n; i++) {
        GdbSeen one = gdb_feed(in, (uint8_t)s[i]);

        seen = one ? one : seen;
    }
    return seen;
}
#define FEED(in, s) feed(in, s, sizeof(s) - 1)

TEST(framing)
{
    static GdbIn in;

    CHECK(FEED(&in, "$g#67") == GDB_PACKET);
    CHECK_STR((char *)in.buf, "g");
    CHECK(FEED(&in, "+") == GDB_ACK);
    CHECK(FEED(&in, "-") == GDB_NACK);
    CHECK(FEED(&in, "\x03") == GDB_INTERRUPT);
    CHECK(FEED(&in, "noise $g#67") == GDB_PACKET);
    CHECK(FEED(&in, "$g#68") == GDB_BAD);
    CHECK(FEED(&in, "$g#6x") == GDB_BAD);
    CHECK(FEED(&in, "$#00") == GDB_PACKET);
    CHECK_EQ(in.n, 0u);
    /* The end of the first was lost. */
    CHECK(FEED(&in, "$half$g#67") == GDB_PACKET);
    CHECK_EQ(in.n, 1u);
    /* Escapes: '}' 0x03 is '#'. */
    CHECK(FEED(&in, "$a}\x03" "b#43") == GDB_PACKET);
    CHECK_EQ(in.n, 3u);
    CHECK_MEM(in.buf, "a#b", 3);
    CHECK(FEED(&in, "$a}#de") == GDB_BAD);
}

TEST(too_long)
{
    static GdbIn in;
    GByteArray *b = g_byte_array_new();
    char *data = g_malloc(GDB_PACKET_MAX + 1);

    memset(data, 'x', GDB_PACKET_MAX + 1);
    gdb_frame(b, data, GDB_PACKET_MAX);
    CHECK(feed(&in, (char *)b->data, b->len) == GDB_PACKET);
    CHECK_EQ(in.n, GDB_PACKET_MAX);
    g_byte_array_set_size(b, 0);
    gdb_frame(b, data, GDB_PACKET_MAX + 1);
    CHECK(feed(&in, (char *)b->data, b->len) == GDB_BAD);
    CHECK(FEED(&in, "$g#67") == GDB_PACKET);
    g_byte_array_free(b, TRUE);
    g_free(data);
}

TEST(frames_come_back)
{
    static GdbIn in;
    GByteArray *b = g_byte_array_new();
    uint8_t all[256];

    for (int i = 0; i < 256; i++) {
        all[i] = (uint8_t)i;
    }
    gdb_frame(b, all, sizeof(all));
    CHECK(feed(&in, (char *)b->data, b->len) == GDB_PACKET);
    CHECK_EQ(in.n, 256u);
    CHECK_MEM(in.buf, all, 256);
    g_byte_array_free(b, TRUE);
}

TEST(random_bytes)
{
    static GdbIn in;
    static const char likely[] = "$#}+-\x03" "0123456789abcdef,:;mMgGZ";
    uint64_t x = 88172645463325252ull;

    for (int i = 0; i < 3000000; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        gdb_feed(&in, x >> 60 ? (uint8_t)likely[(x >> 8) %
                                                (sizeof(likely) - 1)]
                              : (uint8_t)x);
        if (in.n > GDB_PACKET_MAX) {
            break;
        }
    }
    CHECK_LE(in.n, GDB_PACKET_MAX);
}

TEST(numbers)
{
    const char *p = "ffffffffffffffff,";
    uint64_t v;
    uint8_t b[2];

    CHECK(gdb_number(&p, &v));
    CHECK_EQ(v, UINT64_MAX);
    CHECK_STR(p, ",");
    CHECK(!gdb_number(&p, &v));
    p = "10000000000000000";
    CHECK(!gdb_number(&p, &v));
    CHECK(gdb_hex_in("0fA0", 2, b));
    CHECK_EQ(b[0] << 8 | b[1], 0x0fa0);
    CHECK(!gdb_hex_in("0f0", 2, b));
    CHECK(!gdb_hex_in("xx", 1, b));
}

static unsigned find(bool is64, const char *name)
{
    char *want = g_strdup_printf("<reg name=\"%s\"", name);
    const char *xml = gdb_target_xml(is64), *at = strstr(xml, want);
    unsigned n = UINT32_MAX;

    if (at) {
        sscanf(strstr(at, "regnum=\""), "regnum=\"%u", &n);
    }
    g_free(want);
    return n;
}

TEST(register_numbers)
{
    /* gdb's own numbers, which a client without XML goes by. */
    CHECK_EQ(find(true, "rax"), 0u);
    CHECK_EQ(find(true, "rbx"), 1u);
    CHECK_EQ(find(true, "rsp"), 7u);
    CHECK_EQ(find(true, "rip"), 16u);
    CHECK_EQ(find(true, "eflags"), 17u);
    CHECK_EQ(find(true, "cs"), 18u);
    CHECK_EQ(find(true, "st0"), 24u);
    CHECK_EQ(find(true, "fctrl"), 32u);
    CHECK_EQ(find(true, "xmm0"), 40u);
    CHECK_EQ(find(true, "mxcsr"), 56u);
    CHECK_EQ(find(false, "eax"), 0u);
    CHECK_EQ(find(false, "ecx"), 1u);
    CHECK_EQ(find(false, "eip"), 8u);
    CHECK_EQ(find(false, "xmm0"), 32u);
    CHECK_EQ(find(false, "mxcsr"), 40u);
    CHECK_EQ(find(false, "fs_base"), UINT32_MAX);
    CHECK_EQ(gdb_reg_bytes(true, gdb_reg_count(true)), 0u);
}

TEST(registers_hold_what_is_written)
{
    static X86Regs r;

    for (int is64 = 0; is64 < 2; is64++) {
        memset(&r, 0, sizeof(r));
        r.rflags = 2;
        for (unsigned i = 0; i < gdb_reg_count(is64); i++) {
            uint8_t in[16], out[16] = { 0 };
            unsigned n = gdb_reg_bytes(is64, i);

            CHECK(n > 0 && n <= 16);
            for (unsigned k = 0; k < n; k++) {
                in[k] = (uint8_t)(i * 7 + k);
            }
            if (n == 4) {              /* many have 16 bits only              */
                in[2] = in[3] = 0;
            }
            if (!gdb_reg_set(&r, is64, i, in)) {
                continue;
            }
            gdb_reg_get(&r, is64, i, out);
            if (i != find(is64, "eflags")) {
                CHECK_MEM(out, in, n);
            }
        }
    }
}

TEST(registers_stay_sane)
{
    static X86Regs r = { .cr0 = 0x11, .rflags = 2 };
    uint8_t v[16];

    memset(v, 0xff, sizeof(v));
    CHECK(gdb_reg_set(&r, true, find(true, "eflags"), v));
    CHECK_EQ(r.rflags, 0x3f7fd7u);
    r.rflags = 2;
    CHECK(!gdb_reg_set(&r, true, find(true, "cs"), v));
    CHECK(!gdb_reg_set(&r, true, find(true, "cr0"), v));
    CHECK(!gdb_reg_set(&r, true, find(true, "efer"), v));
    CHECK(!gdb_reg_set(&r, true, 1000, v));
    r.cr0 = 0x10;                      /* real mode: the base follows         */
    memset(v, 0, sizeof(v));
    v[1] = 0x12;
    CHECK(gdb_reg_set(&r, true, find(true, "ds"), v));
    CHECK_EQ(r.seg[X86_DS].base, 0x12000u);
    r.fsw = 3 << 11;                   /* st0 is the fourth physical register */
    CHECK(gdb_reg_set(&r, true, find(true, "st0"), v));
    CHECK_EQ(r.fpr[3].mant, 0x1200u);
}
