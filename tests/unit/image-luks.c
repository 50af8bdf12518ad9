/* SPDX-License-Identifier: GPL-2.0-or-later */
/* LUKS images: made, opened, changed by either program; hostile headers. */
#include "block/crypto.h"
#include "image-rig.h"

#define SIZE (3 << 20)
#define PEER "--object secret,id=s,data=abc --object secret,id=n,data=new "

static void secrets(void)
{
    static bool there;

    if (!there) {
        rig_secret("s", "abc");
        rig_secret("n", "new");
        rig_secret("z", "zz");
        there = true;
    }
}

static const char *const kinds[] = {
    "", "cipher-alg=aes-128", "cipher-alg=aes-192",
    "cipher-alg=serpent-256", "cipher-alg=twofish-128,cipher-mode=ctr",
    "cipher-alg=cast5-128,cipher-mode=cbc,hash-alg=sha1",
    "cipher-mode=cbc,ivgen-alg=essiv", "cipher-mode=ecb,ivgen-alg=plain",
    "cipher-alg=aes-128,cipher-mode=cbc,ivgen-alg=essiv,ivgen-hash-alg=md5",
    "hash-alg=ripemd160",
};

static char *image_opts(const char *path)
{
    return g_strdup_printf("driver=luks,key-secret=s,file.filename=%s", path);
}

TEST(both_ways_in_every_kind)
{
    TEST_LIMIT(240);
    NEED_PEER();
    secrets();
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        const char *path = rig_path("a.luks");
        g_autofree char *opts = g_strdup_printf("iter-time=10,key-secret=s%s%s",
                                                *kinds[i] ? "," : "", kinds[i]);
        g_autofree char *io = image_opts(path);
        g_autofree char *ioline = g_strdup_printf(PEER "--image-opts %s", io);
        Model m = model_new(SIZE, i);
        BlkBackend *b;

        if (i % 2) {
            int st = 1;

            /* On a busy machine its measurement of PBKDF2 may fail. */
            for (int t = 0; st && t < 5; t++) {
                st = rig_run("qemu-img create -f luks " PEER "-o %s %s %d",
                             opts, path, SIZE);
            }
            CHECK_EQ(st, 0);
        } else if (!rig_create("luks", path, opts, SIZE)) {
            tt_fail(__FILE__, __LINE__, "%s: %s", kinds[i], rig_msg);
            continue;
        }
        /* What nobody has written is random. */
        b = rig_open("luks", path, "key-secret=s", BLKO_RDWR);
        if (!b) {
            tt_fail(__FILE__, __LINE__, "%s: %s", kinds[i], rig_msg);
            continue;
        }
        CHECK_EQ(blk_pwrite(b, 0, m.data, SIZE, 0), 0);
        model_ops(&m, b, 60, true);
        rig_close(b);
        peer_compare(&m, io, PEER);
        peer_ops(&m, 5, ioline);
        b = rig_open(NULL, path, "key-secret=s", 0);
        if (b) {
            model_check(&m, b);
            rig_close(b);
        } else {
            tt_fail(__FILE__, __LINE__, "%s: %s", kinds[i], rig_msg);
        }
        g_free(m.data);
    }
}

TEST(what_cannot_be_made)
{
    secrets();
    CHECK(!rig_create("luks", rig_path("x"), "key-secret=s,cipher-alg=des", 512));
    CHECK_STR(rig_msg, "Algorithm 'des' not supported");
    CHECK(!rig_create("luks", rig_path("x"), "key-secret=s,cipher-alg=cast5-128",
                      512));
    CHECK_STR(rig_msg, "Unsupported cipher mode xts");
    CHECK(!rig_create("luks", rig_path("x"), "", 512));
    CHECK_STR(rig_msg, "Parameter 'key-secret' is required for cipher");
    CHECK(!rig_create("luks", rig_path("x"), "key-secret=qq", 512));
    CHECK_STR(rig_msg, "No secret with id 'qq'");
}

static NO_TSA void amend(BlkBackend *b, CryptoAmend a, const char *want)
{
    Error *err = NULL;
    BlkNode *n = blk_root(b);

    a.iter_time = 10;
    n->drv->amend(n, &(BlkAmend){ .opts = &a }, &err);
    if (strcmp(err ? error_text(err) : "", want)) {
        tt_fail(__FILE__, __LINE__, "%s, not: %s", err ? error_text(err) : "OK",
                want);
    }
    error_free(err);
}

#define NOSLOT .keyslot = CRYPTO_NO_KEYSLOT
#define S(x) ((char *)(uintptr_t)(x))

static NO_TSA void amend_all(BlkBackend *b)
{
    amend(b, (CryptoAmend){ .state = KEYSLOT_UNSET, .keyslot = 1 },
          "Parameter 'state' is missing");
    amend(b, (CryptoAmend){ .state = KEYSLOT_INACTIVE, NOSLOT },
          "To erase keyslot(s), either explicit keyslot index or the password "
          "currently contained in them must be given");
    amend(b, (CryptoAmend){ .state = KEYSLOT_INACTIVE, .keyslot = 9 },
          "Invalid keyslot 9 specified, must be between 0 and 7");
    amend(b, (CryptoAmend){ .state = KEYSLOT_INACTIVE, .keyslot = 0 },
          "Attempt to erase the only active keyslot 0 which will erase all the "
          "data in the image irreversibly - refusing operation");
    amend(b, (CryptoAmend){ .state = KEYSLOT_INACTIVE, NOSLOT,
                            .old_secret = S("s") },
          "All the active keyslots match the (old) password that was given and "
          "erasing them will erase all the data in the image irreversibly - "
          "refusing operation");
    amend(b, (CryptoAmend){ .state = KEYSLOT_ACTIVE, NOSLOT },
          "'new-secret' is required to activate a keyslot");
    amend(b, (CryptoAmend){ .state = KEYSLOT_ACTIVE, .keyslot = 0,
                            .new_secret = S("n") },
          "Refusing to overwrite active keyslot 0 - please erase it first");
    amend(b, (CryptoAmend){ .state = KEYSLOT_ACTIVE, NOSLOT,
                            .new_secret = S("n") }, "");
    amend(b, (CryptoAmend){ .state = KEYSLOT_INACTIVE, .keyslot = 1,
                            .old_secret = S("s") },
          "Given keyslot 1 doesn't contain the given old password for erase "
          "operation");
    amend(b, (CryptoAmend){ .state = KEYSLOT_INACTIVE, NOSLOT,
                            .old_secret = S("z") },
          "No keyslots match given (old) password for erase operation");
    amend(b, (CryptoAmend){ .state = KEYSLOT_INACTIVE, NOSLOT,
                            .old_secret = S("s") }, "");
}

TEST(passwords_come_and_go)
{
    const char *path = rig_path("k.luks");
    BlkBackend *b;

    TEST_LIMIT(120);
    secrets();
    REQUIRE(rig_create("luks", path, "key-secret=s,iter-time=10", SIZE));
    b = rig_open("luks", path, "key-secret=s", BLKO_RDWR);
    REQUIRE(b);
    amend_all(b);
    rig_close(b);
    rig_refused("luks", path, "key-secret=s",
                "Invalid password, cannot unlock any keyslot");
    b = rig_open("luks", path, "key-secret=n", 0);
    REQUIRE(b);
    rig_close(b);
    if (rig_has_peer()) {
        CHECK_EQ(rig_run("qemu-img info --image-opts " PEER "driver=luks,"
                         "key-secret=n,file.filename=%s", path), 0);
    }
}

TEST(bad_headers_are_named)
{
    static const struct {
        size_t at;
        const char *bytes, *want;
    } rows[] = {
        { 0, "XUKS", "Volume is not in LUKS format" },
        { 6, "\0\2", "LUKS version 2 is not supported" },
        { 8, "foo", "Algorithm 'foo' with key size 32 bytes not supported" },
        { 40, "foo", "Unexpected cipher mode string format 'foo'" },
        { 40, "foo", "Cipher mode 'foo' not supported" },
        { 44, "foo\0\0\0", "IV generator 'foo' not supported" },
        { 44, "essiv\0\0", "Missing IV generator hash specification" },
        { 72, "foo\0\0", "Hash algorithm 'foo' not supported" },
        { 104, "\0\0\0\0", "LUKS payload is overlapping with the header" },
        { 104, "\0\0\0\x08",
          "Keyslot 0 is overlapping with the encrypted payload" },
        { 108, "\0\0\0\x3f",
          "Algorithm 'aes' with key size 31 bytes not supported" },
        { 108, "\x40\0\0\0",
          "Algorithm 'aes' with key size 536870912 bytes not supported" },
        { 164, "\0\0\0\0", "LUKS key iteration count is zero" },
        { 208, "\0\0\0\7", "Keyslot 0 state (active/disable) is corrupted" },
        { 212, "\0\0\0\0", "Keyslot 0 iteration count is zero" },
        { 248, "\0\0\0\0", "Keyslot 0 is overlapping with the LUKS header" },
        { 252, "\0\0\0\1", "Keyslot 0 is corrupted (stripes 1 != 4000)" },
        { 296, "\0\0\0\x08",
          "Keyslots 0 and 1 are overlapping in the header" },
        { 208, "\0\0\xde\xad", "Invalid password, cannot unlock any keyslot" },
        { 212, "\xff\0\0\0", "Keyslot asks for 4278190080 iterations of PBKDF2,"
          " more than 536870912" },
    };
    static const uint8_t len[] = { 4, 2, 4, 4, 3, 6, 7, 5, 4, 4, 4, 4, 4, 4, 4,
                                   4, 4, 4, 4, 4 };
    const char *path = rig_path("h.luks");

    TEST_LIMIT(120);
    secrets();
    REQUIRE(rig_create("luks", path, "key-secret=s,iter-time=10", SIZE));
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (len[i]) {
            rig_refused("luks", rig_patch(path, rows[i].at, rows[i].bytes,
                                          len[i]),
                        "key-secret=s", rows[i].want);
        }
    }
    rig_refused("luks", path, "",
                "Parameter 'key-secret' is required for cipher");
    rig_refused("luks", path, "key-secret=z",
                "Invalid password, cannot unlock any keyslot");
    rig_fuzz("luks", path, "key-secret=s", 592, 60);
}

