/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Nodes: making files, their size and holes, names. */
#include <fcntl.h>
#include <glib.h>
#include <sys/stat.h>
#include "block/driver.h"
#include "opt.h"
#include "tests/tern-test.h"

static char path[64];

static const char *path_make(void)
{
    snprintf(path, sizeof(path), "blk-graph-%d.img", getpid());
    unlink(path);
    return path;
}

NO_TSA static bool create(const char *text, uint64_t size, Error **errp)
{
    Opts o;
    bool ok = opts_parse(&o, text, NULL, OPT_FLAT, errp);

    ok = ok && blk_image_create(path, "raw", o.obj, true, size, errp);
    opts_free(&o);
    return ok;
}

NO_TSA static BlkNode *node_open(const char *json)
{
    g_autofree char *text = g_strdup_printf(json, path);
    Error *err = NULL;
    Json *v = json_parse(text, strlen(text), &err);
    BlkNode *n = v ? blk_open_json(v, false, &err) : NULL;

    if (err) {
        printf("# %s\n", error_text(err));
        error_free(err);
    }
    json_free(v);
    return n;
}

static uint64_t blocks(void)
{
    struct stat st = { 0 };

    stat(path, &st);
    return (uint64_t)st.st_blocks * 512;
}

static uint64_t length(void)
{
    struct stat st = { 0 };

    return stat(path, &st) ? UINT64_MAX : (uint64_t)st.st_size;
}

TEST(file_is_made)
{
    Error *err = NULL;

    machine_lock();
    path_make();
    CHECK(create("", 1025, &err));
    CHECK_EQ((int64_t)length(), 1536);
    CHECK(create("preallocation=full", 1 << 20, &err));
    CHECK_EQ((int64_t)length(), 1 << 20);
    CHECK(blocks() >= 1u << 20);
    CHECK(create("nocow=on,extent_size_hint=1M,size=64k", UINT64_MAX, &err));
    CHECK_EQ((int64_t)length(), 65536);
    CHECK_EQ((int64_t)blocks(), 0);
    unlink(path);
    machine_unlock();
}

NO_TSA static void refused(const char *text, uint64_t size, const char *words)
{
    Error *err = NULL;

    CHECK(!create(text, size, &err));
    CHECK_STR(error_text(err), words);
    error_free(err);
    CHECK_EQ((int64_t)length(), -1);
}

TEST(bad_options_make_nothing)
{
    machine_lock();
    path_make();
    refused("foo=1", 512, "Invalid parameter 'foo'");
    refused("preallocation=maybe", 512, "invalid parameter value: maybe");
    refused("preallocation=metadata", 512,
            "Unsupported preallocation mode: metadata");
    refused("", UINT64_MAX, "Image creation needs a size parameter");
    refused("backing_file=x", 512,
            "Invalid parameter 'backing_file'");
    machine_unlock();
}

TEST(holes_are_told)
{
    BlkExtent x;
    BlkNode *n;

    machine_lock();
    path_make();
    REQUIRE(create("", 4 << 20, NULL));
    n = node_open("{'driver':'raw','offset':4096,'file':{'driver':'file',"
                  "'filename':'%s'}}");
    REQUIRE(n);
    CHECK_EQ(blk_co_pwrite(n, 1 << 20, "x", 1, 0), 0);
    CHECK_EQ(blk_node_extent(n, 0, 4 << 20, &x), 0);
    CHECK_EQ((int64_t)x.flags, BLKX_ZERO | BLKX_OFFSET | BLKX_ALLOCATED);
    CHECK_EQ((int64_t)x.map, 4096);
    CHECK_EQ((int64_t)x.len, 1 << 20);
    CHECK_EQ(blk_node_extent(n, 1 << 20, 4 << 20, &x), 0);
    CHECK_EQ((int64_t)x.flags, BLKX_DATA | BLKX_OFFSET | BLKX_ALLOCATED);
    CHECK_EQ((int64_t)x.len, 4096);
    CHECK_EQ(blk_node_extent(n, (1 << 20) + 4096, 4 << 20, &x), 0);
    CHECK_EQ((int64_t)x.flags, BLKX_ZERO | BLKX_OFFSET | BLKX_ALLOCATED | BLKX_EOF);
    blk_node_unref(n);
    unlink(path);
    machine_unlock();
}

/* What setters keep goes with the node; the address sanitizer looks. */
TEST(a_node_that_never_opened)
{
    machine_lock();
    path_make();
    CHECK(!node_open("{'driver':'blkdebug','set-state':[{'event':'flush_to_os',"
                     "'new_state':2}],'inject-error':[{'event':'none'}],"
                     "'image':{'driver':'file','filename':'%s'}}"));
    CHECK(!node_open("{'driver':'nbd','server':{'type':'unix','path':'%s'},"
                     "'tls-creds':'nonesuch'}"));
    machine_unlock();
}

TEST(file_grows_and_shrinks)
{
    Error *err = NULL;
    BlkNode *n;

    machine_lock();
    path_make();
    REQUIRE(create("", 1 << 20, NULL));
    n = node_open("{'driver':'raw','file':{'driver':'file',"
                  "'filename':'%s'}}");
    REQUIRE(n);
    CHECK(blk_node_truncate(n, 2 << 20, PREALLOC_FALLOC, true, &err));
    CHECK_EQ((int64_t)n->length, 2 << 20);
    CHECK(blocks() >= 1u << 20);
    CHECK(!blk_node_truncate(n, 1 << 20, PREALLOC_FULL, true, &err));
    CHECK_STR(error_text(err), "Preallocation can't be used for shrinking files");
    error_free(err);
    err = NULL;
    CHECK_EQ((int64_t)length(), 2 << 20);
    CHECK(blk_node_truncate(n, 512, PREALLOC_OFF, true, &err));
    CHECK_EQ((int64_t)length(), 512);
    CHECK_EQ((int64_t)n->file->length, 512);
    blk_node_unref(n);
    unlink(path);
    machine_unlock();
}

NO_TSA static void named(const char *json, const char *name)
{
    g_autofree char *expected = g_strdup_printf(name, path);
    BlkNode *n = node_open(json), *again;

    REQUIRE(n);
    CHECK_STR(n->filename, expected);
    blk_node_unref(n);
    again = blk_open(expected, NULL, 0, NULL);
    REQUIRE(again);
    CHECK(g_str_has_suffix(again->filename, expected));
    blk_node_unref(again);
}

TEST(names_open_the_same)
{
    machine_lock();
    path_make();
    REQUIRE(create("", 1 << 20, NULL));
    named("{'driver':'file','filename':'%s','locking':'off'}", "%s");
    named("{'driver':'raw','file':{'driver':'file','filename':'%s'}}", "%s");
    named("{'driver':'raw','offset':512,'file':{'driver':'file',"
          "'filename':'%s'}}",
          "json:{\"driver\": \"raw\", \"offset\": 512, \"file\": "
          "{\"driver\": \"file\", \"filename\": \"%s\"}}");
    named("{'driver':'null-co','size':1024,'read-zeroes':true}",
          "json:{\"driver\": \"null-co\", \"size\": 1024, "
          "\"read-zeroes\": true}");
    unlink(path);
    machine_unlock();
}
