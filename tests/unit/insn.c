/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * insn.c - the decoder against an independent disassembler: every opcode of
 * every map under every prefix that selects a form, in the three modes, and
 * random bytes. Validity, length and text have to agree, but for the reasoned
 * differences below.
 */
#include "config.h"
#include "tests/tern-test.h"
#include "target/x86/insn.h"

#define ARRAY_N(a) (sizeof(a) / sizeof((a)[0]))

TEST(short_buffers_ask_for_more)
{
    static const uint8_t code[] = { 0x48, 0x81, 0x84, 0xc8, 1, 2, 3, 4,
                                    5, 6, 7, 8 };
    Insn in;

    for (size_t n = 0; n < sizeof(code); n++) {
        CHECK_EQ((int)insn_decode(&in, code, n, MODE_64), INSN_MORE);
    }
    REQUIRE(insn_decode(&in, code, sizeof(code), MODE_64) == INSN_OK);
    CHECK_EQ(in.len, 12);
    CHECK_EQ(in.disp, 0x04030201);
    CHECK_EQ(in.imm, 0x08070605u);
    CHECK_EQ(in.base, 0);
    CHECK_EQ(in.index, 1);
    CHECK_EQ(in.scale, 8);
    CHECK_EQ(in.opsize, 8);
}

TEST(fifteen_bytes_is_the_limit)
{
    uint8_t code[20];
    Insn in;

    memset(code, 0x66, sizeof(code));
    code[14] = 0x90;
    CHECK_EQ((int)insn_decode(&in, code, sizeof(code), MODE_64), INSN_OK);
    code[14] = 0x66;
    code[15] = 0x90;
    CHECK_EQ((int)insn_decode(&in, code, sizeof(code), MODE_64), INSN_LONG);
    CHECK_EQ((int)insn_decode(&in, code, 14, MODE_64), INSN_MORE);
}

TEST(lock_needs_a_memory_destination)
{
    static const uint8_t reg[] = { 0xf0, 0x01, 0xc0 };
    static const uint8_t mem[] = { 0xf0, 0x01, 0x00 };
    static const uint8_t load[] = { 0xf0, 0x03, 0x00 };
    Insn in;

    CHECK_EQ((int)insn_decode(&in, reg, 3, MODE_32), INSN_UD);
    CHECK_EQ((int)insn_decode(&in, mem, 3, MODE_32), INSN_OK);
    CHECK_EQ((int)insn_decode(&in, load, 3, MODE_32), INSN_UD);
}

#ifdef CONFIG_CAPSTONE
#include <capstone/capstone.h>

static csh handles[3];
static cs_insn *theirs;

typedef struct Tally {
    char key[96];
    char example[200];
    unsigned n;
} Tally;
static Tally tallies[4096];
static unsigned tally_count;
static unsigned long compared;

static void tally(const char *key, const uint8_t *b, int n, int mode,
                  const char *a, const char *c)
{
    unsigned i;

    for (i = 0; i < tally_count; i++) {
        if (!strcmp(tallies[i].key, key)) {
            tallies[i].n++;
            return;
        }
    }
    if (tally_count == ARRAY_N(tallies)) {
        return;
    }
    tally_count++;
    snprintf(tallies[i].key, sizeof(tallies[i].key), "%s", key);
    tallies[i].n = 1;
    char *p = tallies[i].example;
    p += sprintf(p, "%d: ", mode ? 32 * mode : 16);
    for (int k = 0; k < n; k++) {
        p += sprintf(p, "%02x", b[k]);
    }
    snprintf(p, tallies[i].example + 200 - p, " | %s | %s", a, c);
}

/* Names of the library's, and whether the table ever took what bears them: the
 * exceptions in insn-expected.h are about forms, and must not hide that an
 * instruction is not there at all. */
typedef struct Name {
    char text[32];
    bool here;
} Name;
static Name names[4096];
static unsigned name_count;

static void name_note(const char *text, bool here)
{
    unsigned i = 0;

    while (i < name_count && strcmp(names[i].text, text)) {
        i++;
    }
    if (i == name_count) {
        if (i == ARRAY_N(names)) {
            return;
        }
        snprintf(names[i].text, sizeof(names[i].text), "%s", text);
        name_count++;
    }
    names[i].here |= here;
}

/* Forms outside x86-64-v3 and the listed sets. */
static bool other_group(const cs_insn *c)
{
    for (int i = 0; i < c->detail->groups_count; i++) {
        switch (c->detail->groups[i]) {
        case X86_GRP_3DNOW: case X86_GRP_AVX512: case X86_GRP_XOP:
        case X86_GRP_FMA4: case X86_GRP_TBM: case X86_GRP_RTM:
        case X86_GRP_HLE: case X86_GRP_CDI: case X86_GRP_ERI:
        case X86_GRP_PFI: case X86_GRP_BWI: case X86_GRP_DQI:
        case X86_GRP_VLX: case X86_GRP_NOVLX: case X86_GRP_SGX:
            return true;
        }
    }
    return false;
}

static void squeeze(char *s)
{
    char *d = s;

    for (; *s; s++) {
        if (*s != ' ' || (d[-1] != ' ' && s[1])) {
            *d++ = *s;
        }
    }
    *d = '\0';
}

#include "insn-expected.h"

static void compare(const uint8_t *code, size_t n, int mode)
{
    const uint8_t *p = code;
    size_t left = n;
    uint64_t pc = 0x1000;
    char text[128], want[256], key[300];
    Insn in;
    enum InsnResult r = insn_decode(&in, code, n, mode);
    bool ok = cs_disasm_iter(handles[mode], &p, &left, &pc, theirs);

    compared++;
    if (r != INSN_OK) {
        in.len = 0;
    }
    if (ok && (r != INSN_OK) && other_group(theirs)) {
        return;
    }
    if (ok && !has_prefix(&in, code, 0xf0)) {
        name_note(theirs->mnemonic, r == INSN_OK);
    }
    text[0] = want[0] = '\0';
    if (ok) {
        snprintf(want, sizeof(want), "%s %s", theirs->mnemonic,
                 theirs->op_str);
        squeeze(want);
    }
    if (r == INSN_OK) {
        insn_text(&in, 0x1000, text, sizeof(text));
        squeeze(text);
    }
    if (expected(&in, code, r == INSN_OK ? text : NULL, ok ? want : NULL)) {
        return;
    }
    if (r != INSN_OK || !ok) {
        char *sp = strchr(ok ? want : text, ' ');

        snprintf(key, sizeof(key), "%s only: %.*s", ok ? "theirs" : "ours",
                 sp ? (int)(sp - (ok ? want : text)) : 40, ok ? want : text);
        tally(key, code, ok ? theirs->size : in.len, mode, text, want);
    } else if (in.len != theirs->size) {
        snprintf(key, sizeof(key), "length %.*s / %.*s",
                 (int)strcspn(text, " "), text, (int)strcspn(want, " "), want);
        tally(key, code, 12, mode, text, want);
    } else if (strcspn(text, " ") != strcspn(want, " ") ||
               strncmp(text, want, strcspn(text, " "))) {
        snprintf(key, sizeof(key), "text %.*s / %.*s",
                 (int)strcspn(text, " "), text, (int)strcspn(want, " "), want);
        tally(key, code, in.len, mode, text, want);
    }
}

static uint64_t rng = 0x9e3779b97f4a7c15ull;
static uint64_t next_random(void)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return rng;
}

static void start(void)
{
    static const cs_mode modes[3] = { CS_MODE_16, CS_MODE_32, CS_MODE_64 };

    for (int i = 0; i < 3; i++) {
        cs_open(CS_ARCH_X86, modes[i], &handles[i]);
        cs_option(handles[i], CS_OPT_SYNTAX, CS_OPT_SYNTAX_ATT);
        cs_option(handles[i], CS_OPT_DETAIL, CS_OPT_ON);
    }
    theirs = cs_malloc(handles[0]);
    tally_count = name_count = 0;
}

static void finish(void)
{
    for (unsigned i = 0; i < tally_count; i++) {
        tt_fail(__FILE__, __LINE__, "%6u %s: %s", tallies[i].n,
                tallies[i].key, tallies[i].example);
    }
    cs_free(theirs, 1);
    for (int i = 0; i < 3; i++) {
        cs_close(&handles[i]);
    }
    printf("# %lu compared\n", compared);
}

/* After a sweep of all there is. */
static void finish_whole(void)
{
    unsigned here = 0;

    for (unsigned i = 0; i < name_count; i++) {
        here += names[i].here;
        if (!names[i].here && !one_of(names[i].text, foreign)) {
            tt_fail(__FILE__, __LINE__, "not there: %s", names[i].text);
        }
    }
    printf("# %u names\n", here);
    finish();
}

static void sweep_modrm(uint8_t *code, int n, int mode)
{
    for (int reg = 0; reg < 8; reg++) {
        static const uint8_t rms[] = { 0x03, 0x05, 0x44, 0x86, 0xc0, 0xc1,
                                       0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7 };

        for (unsigned i = 0; i < ARRAY_N(rms); i++) {
            code[n] = rms[i] | reg << 3;
            compare(code, 16, mode);
        }
    }
}

TEST(every_opcode_agrees)
{
    static const char *const prefixes[] = {
        "", "\x66", "\xf2", "\xf3", "\x66\xf2", "\x66\xf3", "\x67", "\x48",
        "\x66\x48", "\xf2\x48", "\xf3\x48", "\x45", "\x64",
    };
    static const char *const maps[] = { "", "\x0f", "\x0f\x38", "\x0f\x3a" };

    TEST_LIMIT(120);
    start();
    for (int mode = 0; mode < 3; mode++) {
        for (unsigned p = 0; p < ARRAY_N(prefixes); p++) {
            for (int m = 0; m < 4; m++) {
                for (int op = 0; op < 256; op++) {
                    uint8_t code[24] = { 0 };
                    int n = sprintf((char *)code, "%s%s", prefixes[p],
                                    maps[m]);

                    code[n] = op;
                    memcpy(code + n + 1, "\x12\x34\x56\x78\x1a\x2b\x3c\x4d"
                           "\x5e\x6f\x70", 11);
                    sweep_modrm(code, n + 1, mode);
                }
            }
        }
    }
    finish_whole();
}

TEST(every_vex_opcode_agrees)
{
    TEST_LIMIT(120);
    start();
    for (int mode = 1; mode < 3; mode++) {
        for (int b1 = 0; b1 < 8; b1++) {
            for (int b2 = 0; b2 < 32; b2++) {
                /* W, vvvv = 15 or 10, L, pp */
                for (int op = 0; op < 256; op++) {
                    uint8_t code[24] = { 0xc4, 0xe0 | (b1 & 3), 0, op, 0, 0x2a,
                                         0x10, 0x20, 0x30, 0x40, 0x50 };

                    if (!(b1 & 3) || b1 & 4) {
                        continue;
                    }
                    code[2] = (b2 & 16 ? 0x80 : 0) | (b2 & 8 ? 0x78 : 0x50) |
                        (b2 & 7);
                    sweep_modrm(code, 4, mode);
                }
            }
        }
    }
    finish_whole();
}

TEST(random_bytes_agree)
{
    unsigned n = getenv("TEST_SLOW") ? 20000000 : 400000;

    TEST_LIMIT(600);
    start();
    for (unsigned i = 0; i < n; i++) {
        uint8_t code[24];

        for (int k = 0; k < 3; k++) {
            uint64_t v = next_random();

            memcpy(code + 8 * k, &v, 8);
        }
        compare(code, 16, i % 3);
    }
    finish();
}
#else
TEST(every_opcode_agrees)
{
    SKIP("built without libcapstone");
}
#endif
