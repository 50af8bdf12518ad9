/* SPDX-License-Identifier: GPL-2.0-or-later */
/* secret and authz-* objects: what they accept, what they say, whom they let in. */
#include <sys/stat.h>
#include <sys/syscall.h>
#include <glib.h>
#include <linux/keyctl.h>
#include "authz.h"
#include "config.h"
#include "module.h"
#include "obj.h"
#include "opt.h"
#include "secret.h"
#include "tests/tern-test.h"

/* Modules are beside the program, not beside its tests. */
__attribute__((constructor)) static void find_modules(void)
{
    char *self = g_file_read_link("/proc/self/exe", NULL);
    char *dir = g_path_get_dirname(self);
    char *modules = g_build_filename(dir, "../../modules", NULL);

    setenv("TERN_MODULE_DIR", modules, 0);
    g_free(modules);
    g_free(dir);
    g_free(self);
}

/* An object from option text without its id; NULL with the error's text in msg. */
static char msg[300];
static NO_TSA Obj *add(const char *id, const char *type, const char *text)
{
    Error *err = NULL;
    Opts o;
    Obj *obj = NULL;

    if (!machine_locked()) {
        machine_lock();
    }
    *msg = 0;
    if (opts_parse(&o, text, NULL, 0, &err)) {
        obj = user_obj_add(type, id, o.obj, o.text, &err);
        opts_free(&o);
    }
    if (err) {
        g_strlcpy(msg, error_text(err), sizeof(msg));
        error_free(err);
    }
    return obj;
}

static NO_TSA void del(const char *id)
{
    CHECK(user_obj_del(id, NULL));
}

static NO_TSA void is(const char *id, const char *want)
{
    Error *err = NULL;
    uint8_t *p = NULL;
    size_t n = 0;

    CHECK(secret_lookup(id, &p, &n, &err));
    if (p) {
        CHECK_STR((char *)p, want);
        CHECK_EQ(n, strlen(want));
        secret_free(p, n);
    } else {
        CHECK_STR(error_text(err), want);
        error_free(err);
    }
    del(id);
}

static void refused(const char *type, const char *text, const char *want)
{
    CHECK(!add("bad", type, text));
    CHECK_STR(msg, want);
}

TEST(data)
{
    CHECK(add("s", "secret", "data=hello"));
    is("s", "hello");
    CHECK(add("s", "secret", "data=,format=raw"));
    is("s", "");
    CHECK(add("s", "secret", "data=aGVsbG8=,format=base64"));
    is("s", "hello");
    CHECK(add("s", "secret", "data=aGVsbG8,format=base64"));
    is("s", "hello");
    CHECK(add("s", "secret", "data=+/+/YQ==,format=base64"));
    is("s", "\xfb\xff\xbf" "a");
    refused("secret", "format=raw", "Either 'file' or 'data' must be provided");
    refused("secret", "data=x,file=y",
            "'file' and 'data' are mutually exclusive");
    refused("secret", "data=a!b@,format=base64",
            "Base64 data contains invalid characters");
    refused("secret", "data=YW Jj,format=base64",
            "Base64 data contains invalid characters");
    refused("secret", "data=YWJjY,format=base64",
            "Base64 data contains invalid characters");
    refused("secret", "data=YW=Jj,format=base64",
            "Base64 data contains invalid characters");
    refused("secret", "data=====,format=base64",
            "Base64 data contains invalid characters");
    refused("secret", "data=YWJj,format=hex",
            "Parameter 'format' does not accept value 'hex'");
}

TEST(files)
{
    char path[] = "/tmp/tern-secret-XXXXXX", text[80];
    int fd = mkstemp(path);
    char *big = g_malloc0(2 << 20);

    REQUIRE(fd >= 0);
    CHECK(write(fd, "aGVs\nbG8=\n", 10) == 10);
    snprintf(text, sizeof(text), "file=%s,format=base64", path);
    CHECK(add("s", "secret", text));
    is("s", "hello");
    snprintf(text, sizeof(text), "file=%s", path);
    CHECK(add("s", "secret", text));
    is("s", "aGVs\nbG8=\n");
    CHECK(write(fd, big, 2 << 20) == 2 << 20);
    CHECK(!add("s", "secret", text));
    CHECK_CONTAINS(msg, "more than 1048576 bytes");
    g_free(big);
    close(fd);
    unlink(path);
    CHECK(!add("s", "secret", "file=/nonexistent"));
    CHECK_CONTAINS(msg, "Unable to read /nonexistent: Failed to open file");
    CHECK_CONTAINS(msg, "No such file or directory");
}

#define KEY "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI="
#define IV "YWJjZGVmZ2hpamtsbW5vcA=="
/* openssl enc -aes-256-cbc of "letmein" with that key and vector */
#define CIPHER "sNnMBPrsRjnr5wj2c2f0DA=="

TEST(encrypted)
{
    if (!module_present("tls")) {
        SKIP("built without GnuTLS");
    }
    REQUIRE(add("k", "secret", "data=" KEY ",format=base64"));
    CHECK(add("s", "secret", "data=" CIPHER ",format=base64,keyid=k,iv=" IV));
    is("s", "letmein");
    refused("secret", "data=" CIPHER ",format=base64,keyid=k",
            "IV is required to decrypt secret");
    refused("secret", "data=" CIPHER ",format=base64,keyid=k,iv=YWJj",
            "IV should be 16 bytes in length not 3");
    refused("secret", "data=" CIPHER ",format=base64,keyid=none,iv=" IV,
            "No secret with id 'none'");
    refused("secret", "data=YWJj,format=base64,keyid=k,iv=" IV,
            "Length 3 must be a multiple of block size 16");
    CHECK(!add("bad", "secret", "data=AAAAAAAAAAAAAAAAAAAAAA==,format=base64,"
               "keyid=k,iv=" IV));
    CHECK_CONTAINS(msg, "padding byte");
    refused("secret", "data=,keyid=k,iv=" IV, "Incorrect number of padding "
            "bytes (0) found on decrypted data");
    del("k");
    REQUIRE(add("k", "secret", "data=abc"));
    refused("secret", "data=" CIPHER ",format=base64,keyid=k,iv=" IV,
            "Key should be 32 bytes in length");
    del("k");
}

TEST(text_and_base64)
{
    Error *err = NULL;
    char *s;

    REQUIRE(add("s", "secret", "data=//8=,format=base64"));
    machine_assert_locked();
    CHECK(!secret_lookup_text("s", &err));
    CHECK_STR(error_text(err), "Data from secret s is not valid UTF-8");
    error_free(err);
    s = secret_lookup_base64("s", NULL);
    CHECK_STR(s, "//8=");
    secret_free(s, 4);
    del("s");
    err = NULL;
    REQUIRE(add("i", "authz-simple", "identity=fred"));
    CHECK(!secret_lookup_text("i", &err));
    CHECK_STR(error_text(err), "Object with id 'i' is not a secret");
    error_free(err);
    del("i");
}

TEST(keyring)
{
    long id = syscall(SYS_add_key, "user", "tern-test", "hush", 4,
                      KEY_SPEC_PROCESS_KEYRING);
    char text[40];

    refused("secret_keyring", "format=raw", "Parameter 'serial' is missing");
    if (id < 0) {
        SKIP("this kernel has no keyring");
    }
    snprintf(text, sizeof(text), "serial=%ld", id);
    CHECK(add("s", "secret_keyring", text));
    is("s", "hush");
    CHECK(!add("s", "secret_keyring", "serial=1"));
    CHECK_CONTAINS(msg, "Unable to read serial key 00000001");
}

/* ---- authz -------------------------------------------------------------- */

static NO_TSA int allowed(const char *id, const char *who)
{
    Error *err = NULL;
    int r = authz_check(id, who, &err);

    if (err) {
        g_strlcpy(msg, error_text(err), sizeof(msg));
        error_free(err);
    }
    return r;
}

TEST(simple)
{
    CHECK(add("a", "authz-simple", "identity=fred"));
    CHECK_EQ(allowed("a", "fred"), 1);
    CHECK_EQ(allowed("a", "fre"), 0);
    CHECK_EQ(allowed("a", ""), 0);
    del("a");
    CHECK_EQ(allowed("a", "fred"), -1);
    CHECK_STR(msg, "Cannot find QAuthZ object ID a");
    refused("authz-simple", "", "Parameter 'identity' is missing");
    refused("authz-pam", "service=x",
            "authz-pam is not available: this program is built without PAM");
}

TEST(list)
{
    CHECK(add("a", "authz-list", "policy=deny"));
    CHECK_EQ(allowed("a", "fred"), 0);
    del("a");
    CHECK(add("a", "authz-list", "policy=allow,rules.0.match=fred,"
              "rules.0.policy=allow,rules.1.match=f*,rules.1.policy=deny,"
              "rules.1.format=glob,rules.2.match=g*,rules.2.policy=deny"));
    CHECK_EQ(allowed("a", "fred"), 1);
    CHECK_EQ(allowed("a", "frank"), 0);
    CHECK_EQ(allowed("a", "gus"), 1);
    CHECK_EQ(allowed("a", "g*"), 0);
    del("a");
    refused("authz-list", "rules.0.match=fred",
            "Parameter 'rules[0].policy' is missing");
    refused("authz-list", "rules.0.match=a,rules.0.policy=deny,"
            "rules.0.format=foo",
            "Parameter 'format' does not accept value 'foo'");
    refused("authz-list", "rules.0.match=a,rules.0.policy=deny,policy=never",
            "Parameter 'policy' does not accept value 'never'");
}

static void put(const char *path, const char *text)
{
    g_file_set_contents(path, text, -1, NULL);
}

TEST(list_file)
{
    char dir[] = "/tmp/tern-authz-XXXXXX", *path, *text;

    REQUIRE(mkdtemp(dir));
    path = g_build_filename(dir, "acl", NULL);
    text = g_strdup_printf("filename=%s", path);
    put(path, "{\"rules\": [{\"match\": \"fred\", \"policy\": \"allow\"}]}");
    CHECK(add("a", "authz-list-file", text));
    CHECK_EQ(allowed("a", "fred"), 1);
    CHECK_EQ(allowed("a", "bob"), 0);
    put(path, "{\"policy\": \"allow\"}");
    CHECK_EQ(allowed("a", "bob"), 1);
    put(path, "{\"policy\": \"maybe\"}");
    CHECK_EQ(allowed("a", "bob"), 1);
    unlink(path);
    CHECK_EQ(allowed("a", "bob"), 1);
    del("a");
    CHECK(!add("a", "authz-listfile", text));
    CHECK_CONTAINS(msg, "No such file or directory");
    put(path, "[1]");
    CHECK(!add("a", "authz-list-file", text));
    CHECK_CONTAINS(msg, "File must contain a JSON object");
    put(path, "{\"policy\": 1}");
    CHECK(!add("a", "authz-list-file", text));
    put(path, "{\"what\": 1}");
    CHECK(!add("a", "authz-list-file", text));
    put(path, "{\"rules\": [1]}");
    CHECK(!add("a", "authz-list-file", text));
    put(path, "{");
    CHECK(!add("a", "authz-list-file", text));
    unlink(path);
    rmdir(dir);
    g_free(path);
    g_free(text);
}
