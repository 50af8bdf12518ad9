/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memory-backend-ram, -file and -memfd; -m, -overcommit, main memory; `info
 * mtree`. Wording is the peer's.
 */
#include <glib.h>
#include <sys/stat.h>
#include "tests/tern-test.h"
#include "loop.h"
#include "mem-opts.h"
#include "opt.h"

static char *folder;

static char *in_folder(const char *name)
{
    if (!folder) {
        folder = g_dir_make_tmp("tern-mem-XXXXXX", NULL);
    }
    return g_strdup_printf("%s/%s", folder, name);
}

static void make_file(const char *name, off_t size)
{
    g_autofree char *path = in_folder(name);
    FILE *f = fopen(path, "w");

    REQUIRE(f && ftruncate(fileno(f), size) == 0);
    fclose(f);
}

static long file_size(const char *name)
{
    g_autofree char *path = in_folder(name);
    struct stat st;

    return stat(path, &st) == 0 ? (long)st.st_size : -1;
}

static void settle(void)
{
    while (loop_step(false)) {
        continue;
    }
    epoch_drain();
}

/* "type,key=value,…" → the object; the error's text in *text. */
static Obj *add(const char *what, char **text)
{
    Error *err = NULL;
    Opts o;
    Json *type;
    Obj *obj;

    REQUIRE(opts_parse(&o, what, "qom-type", OPT_FLAT, NULL));
    type = json_take(o.obj, "qom-type");
    obj = user_obj_add(json_str_of(type), "m", o.obj, true, &err);
    *text = err ? g_strdup(error_text(err)) : NULL;
    error_free(err);
    json_free(type);
    opts_free(&o);
    return obj;
}

static bool refused(const char *what, const char *want)
{
    g_autofree char *text = NULL;
    Obj *o;
    bool ok;

    machine_lock();
    o = add(what, &text);
    ok = !o && text && strcmp(text, want) == 0;
    if (!ok) {
        FAIL("%s: \"%s\", wanted \"%s\"", what, text ? text : "(fine)", want);
    }
    if (o) {
        user_obj_del("m", NULL);
    }
    settle();
    if (user_obj_find("m") || ram_find("m")) {
        FAIL("%s: something is left", what);
    }
    machine_unlock();
    return ok;
}

static Obj *added(const char *what)
{
    g_autofree char *text = NULL;
    Obj *o = add(what, &text);

    if (!o) {
        FAIL("%s: %s", what, text);
    }
    return o;
}

static char *shown(Obj *o, const char *prop)
{
    Json *v = obj_get(o, prop, NULL);
    char *s = v ? json_text(v, false, NULL) : g_strdup("(none)");

    json_free(v);
    return s;
}

#define CHECK_PROP(o, prop, want) do { \
    g_autofree char *s_ = shown(o, prop); \
    CHECK_STR(s_, want); \
} while (0)

TEST(ram_backend_refuses)
{
    static const char *const rows[][2] = {
        { "memory-backend-ram", "Parameter 'size' is missing" },
        { "memory-backend-ram,size=0",
          "property 'size' of memory-backend-ram doesn't take value '0'" },
        { "memory-backend-ram,size=1000T",
          "cannot set up guest memory 'm': Cannot allocate memory" },
        { "memory-backend-ram,size=15E",
          "cannot set up guest memory 'm': Cannot allocate memory" },
        { "memory-backend-ram,size=1M,share=x",
          "Parameter 'share' expects 'on' or 'off'" },
        { "memory-backend-ram,size=1M,policy=foo",
          "Parameter 'policy' does not accept value 'foo'" },
        { "memory-backend-ram,size=1M,policy=bind",
          "host-nodes must be set for policy bind" },
        { "memory-backend-ram,size=1M,host-nodes=0",
          "host-nodes must be empty for policy default, or you should "
          "explicitly specify a policy other than default" },
        { "memory-backend-ram,size=1M,policy=bind,host-nodes=200",
          "Invalid host-nodes value: 200" },
        { "memory-backend-ram,size=1M,policy=bind,host-nodes=a",
          "Parameter 'host-nodes' expects a uint64 value or range" },
        { "memory-backend-ram,size=1M,policy=bind,host-nodes=3-1",
          "Parameter 'host-nodes' expects a uint64 value or range" },
        { "memory-backend-ram,size=1M,policy=bind,host-nodes=0-18446744073709"
          "551615", "Invalid host-nodes value: 18446744073709551615" },
        { "memory-backend-ram,size=1M,prealloc-threads=0",
          "property 'prealloc-threads' of memory-backend-ram doesn't take "
          "value '0'" },
        { "memory-backend-ram,size=1M,prealloc-context=foo",
          "Device 'foo' not found" },
        { "memory-backend-ram,size=1M,reserve=off,prealloc=on",
          "'prealloc=on' and 'reserve=off' are incompatible" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        refused(rows[i][0], rows[i][1]);
    }
    if (access("/sys/devices/system/node/node77", F_OK) != 0) {
        refused("memory-backend-ram,size=1M,policy=bind,host-nodes=77",
                "cannot bind memory to host NUMA nodes: Invalid argument");
    }
}

TEST(file_backend_refuses)
{
    static const char *const rows[][2] = {
        { "memory-backend-file,size=1M", "Parameter 'mem-path' is missing" },
        { "memory-backend-file,size=1M,mem-path=",
          "mem-path property not set" },
        { "memory-backend-file,size=1M,mem-path=/nonexist/x",
          "can't open backing store /nonexist/x for guest RAM: No such file "
          "or directory" },
        { "memory-backend-file,size=1M,mem-path=/proc",
          "can't open backing store /proc for guest RAM: No such file or "
          "directory" },
        { "memory-backend-file,size=1M,mem-path=/dev/null",
          "unable to map backing store for guest RAM: No such device" },
        { "memory-backend-file,size=2M,mem-path=%s/one",
          "backing store size 0x100000 does not match 'size' option 0x200000" },
        { "memory-backend-file,size=2M,mem-path=%s/one,readonly=on",
          "backing store size 0x100000 does not match 'size' option 0x200000" },
        { "memory-backend-file,size=1M,mem-path=%s/one,align=3",
          "alignment 0x3 must be multiples of page size 0x1000" },
        { "memory-backend-file,size=1M,mem-path=%s/one,align=12288",
          "alignment 0x3000 must be a power of two" },
        { "memory-backend-file,size=1M,mem-path=%s/one,pmem=x",
          "Parameter 'pmem' expects 'on' or 'off'" },
        { "memory-backend-file,size=15E,mem-path=%s/new",
          "unable to map backing store for guest RAM: Cannot allocate memory" },
        { "memory-backend-file,size=1M,mem-path=%s/new,align=3",
          "alignment 0x3 must be multiples of page size 0x1000" },
    };

    make_file("one", 1 << 20);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        char **part = g_strsplit(rows[i][0], "%s", 2);
        g_autofree char *what = g_strjoinv(folder, part);

        refused(what, rows[i][1]);
        g_strfreev(part);
    }
    CHECK_EQ(file_size("new"), -1);
    CHECK_EQ(file_size("one"), 1 << 20);
}

TEST(memfd_backend_refuses)
{
    refused("memory-backend-memfd,size=2M,hugetlb=on,hugetlbsize=3M",
            "Hugepage size must be a power of 2");
    refused("memory-backend-memfd,size=2M,hugetlbsize=0",
            "property 'hugetlbsize' of memory-backend-memfd doesn't take value "
            "'0'");
    refused("memory-backend-memfd,size=1000T",
            "unable to map backing store for guest RAM: Cannot allocate memory");
    refused("memory-backend-memfd,size=1M,hugetlb=on,hugetlbsize=2M",
            "failed to resize memfd to 1048576: Invalid argument");
}

TEST(ram_backend_lives)
{
    Error *err = NULL;
    MemRegion *mr;
    RamBlock *rb;
    Json *no = json_bool(false), *list;
    Obj *o;

    machine_lock();
    o = added("memory-backend-ram,size=16M,prealloc=on,prealloc-threads=3");
    REQUIRE(o);
    rb = mem_backend_ram(o);
    REQUIRE(rb);
    CHECK_STR(rb->id, "m");
    CHECK_EQ(rb->used, 16u << 20);
    mr = mem_backend_region(o);
    CHECK_STR(mr->name, "m");
    CHECK_EQ(mem_size(mr), 16u << 20);
    CHECK(mem_is_backend(o));
    CHECK_PROP(o, "size", "16777216");
    CHECK_PROP(o, "share", "false");
    CHECK_PROP(o, "dump", "true");
    CHECK_PROP(o, "merge", "true");
    CHECK_PROP(o, "prealloc", "true");
    CHECK_PROP(o, "prealloc-threads", "3");
    CHECK_PROP(o, "prealloc-context", "\"\"");
    CHECK_PROP(o, "policy", "\"default\"");
    CHECK_PROP(o, "host-nodes", "[]");
    CHECK_PROP(o, "reserve", "true");
    CHECK_PROP(o, "x-use-canonical-path-for-ramblock-id", "false");
    CHECK(!obj_set(o, "share", no, false, NULL));
    CHECK(!obj_set_text(o, "size", "1M", NULL));
    CHECK(obj_set(o, "merge", no, false, NULL));
    CHECK(obj_set(o, "dump", no, false, NULL));
    CHECK(obj_set(o, "prealloc", no, false, NULL));
    CHECK_PROP(o, "merge", "false");
    CHECK_PROP(o, "dump", "false");
    CHECK_PROP(o, "prealloc", "true");
    list = json_parse("[0, 2]", 6, NULL);
    CHECK(obj_set(o, "host-nodes", list, false, NULL));
    CHECK_PROP(o, "host-nodes", "[0, 2]");
    json_free(list);
    json_free(no);
    CHECK(mem_backend_claim(o, NULL));
    CHECK(!mem_backend_claim(o, &err));
    CHECK_STR(error_text(err), "can't use already busy memdev: m");
    error_free(err);
    err = NULL;
    CHECK(!user_obj_del("m", &err));
    CHECK_STR(error_text(err), "object 'm' is in use, can not be deleted");
    error_free(err);
    err = NULL;
    CHECK(!prop_ref_memdev.claim(o, "memdev", "m", &err));
    CHECK_STR(error_text(err), "can't use already busy memdev: m");
    error_free(err);
    err = NULL;
    CHECK(!prop_ref_memdev.claim(o, "memdev", "nope", &err));
    CHECK_STR(error_text(err), "Device 'nope' not found");
    CHECK_EQ((int)error_class(err), (int)ERROR_DEVICE_NOT_FOUND);
    error_free(err);
    mem_backend_release(o);
    CHECK(prop_ref_memdev.claim(o, "memdev", "m", NULL) == o);
    prop_ref_memdev.release(o, o);
    CHECK(user_obj_del("m", NULL));
    settle();
    CHECK(!ram_find("m"));
    machine_unlock();
}

TEST(file_backend_lives)
{
    g_autofree char *path = in_folder("ram");
    g_autofree char *what = g_strdup_printf(
        "memory-backend-file,size=5000,share=on,align=2M,mem-path=%s", path);
    g_autofree char *again = g_strdup_printf(
        "memory-backend-file,size=4096,readonly=on,mem-path=%s", path);
    g_autofree char *dir = g_strdup_printf(
        "memory-backend-file,size=64k,discard-data=on,"
        "x-use-canonical-path-for-ramblock-id=on,mem-path=%s", folder);
    MemRegion root;
    MemSpace as;
    uint64_t v;
    Obj *o;

    machine_lock();
    o = added(what);
    REQUIRE(o);
    CHECK_EQ(file_size("ram"), 8192);
    CHECK_EQ((uintptr_t)mem_backend_ram(o)->host % (2 << 20), 0u);
    memcpy(mem_backend_ram(o)->host, "hello", 5);
    CHECK(user_obj_del("m", NULL));
    settle();
    CHECK_EQ(file_size("ram"), 8192);

    /* Read-only: the guest's writes are dropped, ours too. */
    o = added(again);
    REQUIRE(o);
    mem_init(&root, "root", 0);
    mem_space_init(&as, "x", &root);
    mem_add(&root, 0, mem_backend_region(o));
    CHECK_EQ((int)mem_store(&as, 0, 4, 0, MEM_ATTRS_NONE), (int)MEM_OK);
    CHECK_EQ((int)mem_poke(&as, 0, "xxxx", 4), (int)MEM_DENIED);
    mem_load(&as, 0, 4, &v, MEM_ATTRS_NONE);
    CHECK_EQ(v, 0x6c6c6568u);
    CHECK(user_obj_del("m", NULL));
    mem_space_fini(&as);
    mem_fini(&root);
    settle();

    o = added(dir);
    REQUIRE(o);
    CHECK_STR(mem_backend_ram(o)->id, "/objects/m");
    CHECK_STR(mem_backend_region(o)->name, "m");
    CHECK(user_obj_del("m", NULL));
    settle();
    machine_unlock();
}

TEST(memfd_backend_lives)
{
    RamBlock *rb;
    Obj *o;

    machine_lock();
    o = added("memory-backend-memfd,size=5000");
    REQUIRE(o);
    rb = mem_backend_ram(o);
    CHECK_PROP(o, "share", "true");
    CHECK_PROP(o, "seal", "true");
    CHECK_PROP(o, "hugetlb", "false");
    CHECK_PROP(o, "hugetlbsize", "0");
    CHECK(rb->flags & RAM_SHARED);
    CHECK(ftruncate(rb->fd, 100) < 0); /* sealed                              */
    CHECK(user_obj_del("m", NULL));
    o = added("memory-backend-memfd,size=4k,seal=off,share=off");
    REQUIRE(o);
    CHECK(!(mem_backend_ram(o)->flags & RAM_SHARED));
    CHECK(user_obj_del("m", NULL));
    settle();
    machine_unlock();
}

/* ---- -m and its like ----------------------------------------------------- */

static char *m_error(const char *arg)
{
    uint64_t size = 128 << 20, slots = 0, maxmem = 0;
    Error *err = NULL;
    char *s;

    if (mem_parse_m(arg, &size, &slots, &maxmem, &err)) {
        mem_check_sizes(size, slots, &maxmem, &err);
    }
    s = g_strdup(err ? error_text(err) : "");
    error_free(err);
    return s;
}

TEST(option_m)
{
    static const char *const rows[][2] = {
        { "256", "" }, { "1.5G", "" }, { "size=1G", "" },
        { "128,maxmem=1G", "" }, { "128,slots=4,maxmem=1G", "" },
        { "128,maxmem=128M", "" },
        { "abc", "Parameter 'size' expects a non-negative number below 2^64" },
        { "-1", "Parameter 'size' expects a non-negative number below 2^64" },
        { "16E", "Value '16E' is out of range for parameter 'size'" },
        { "size=1G,foo=1", "Invalid parameter 'foo'" },
        { "128,slots=x", "Parameter 'slots' expects a number" },
        { "128,slots=4", "slots specified but no max-size" },
        { "128,maxmem=64", "invalid value of maxmem: maximum memory size (0x40)"
          " must be at least the initial memory size (0x8000000)" },
        { "256,slots=2,maxmem=256M", "invalid value of maxmem: memory slots "
          "were specified but maximum memory size (0x10000000) is equal to the "
          "initial memory size (0x10000000)" },
    };
    uint64_t size = 0, slots = 0, maxmem = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *s = m_error(rows[i][0]);

        CHECK_STR(s, rows[i][1]);
    }
    CHECK(mem_parse_m("129k,slots=3,maxmem=2G", &size, &slots, &maxmem, NULL));
    CHECK_EQ(size, 139264u);
    CHECK_EQ(slots, 3u);
    CHECK_EQ(maxmem, 2ull << 30);
    CHECK(mem_parse_m("64", &size, &slots, &maxmem, NULL));
    CHECK_EQ(size, 64u << 20);
    CHECK_EQ(slots, 3u);
    CHECK(mem_parse_m("128M,size=256M", &size, &slots, &maxmem, NULL));
    CHECK_EQ(size, 256u << 20);
}

TEST(option_overcommit)
{
    bool lock = false, pm = false;
    Error *err = NULL;

    CHECK(mem_parse_overcommit("mem-lock=on", &lock, &pm, NULL));
    CHECK(lock && !pm);
    CHECK(mem_parse_overcommit("cpu-pm=on,mem-lock=off", &lock, &pm, NULL));
    CHECK(!lock && pm);
    CHECK(!mem_parse_overcommit("mem-lock=x", &lock, &pm, &err));
    CHECK_STR(error_text(err), "Parameter 'mem-lock' expects 'on' or 'off'");
    error_free(err);
    err = NULL;
    CHECK(!mem_parse_overcommit("foo=on", &lock, &pm, &err));
    CHECK_STR(error_text(err), "Invalid parameter 'foo'");
    error_free(err);
}

static char *main_error(MemMain *m)
{
    Error *err = NULL;
    Obj *o = NULL;
    RamBlock *rb = mem_make_main(m, &o, &err);
    char *s = g_strdup(rb ? "" : error_text(err));

    error_free(err);
    return s;
}

TEST(main_memory)
{
    MemMain m = { .id = "pc.ram", .size = 8 << 20 };
    g_autofree char *s = NULL, *t = NULL, *u = NULL;
    Obj *o = NULL;
    RamBlock *rb;

    machine_lock();
    rb = mem_make_main(&m, &o, NULL);
    REQUIRE(rb);
    CHECK_STR(rb->id, "pc.ram");
    CHECK(user_obj_find("pc.ram") == o);
    CHECK(!user_obj_del("pc.ram", NULL));
    mem_backend_release(o);
    CHECK(user_obj_del("pc.ram", NULL));
    settle();

    m.path = folder;
    m.prealloc = true;
    rb = mem_make_main(&m, &o, NULL);
    REQUIRE(rb);
    CHECK(rb->fd >= 0);
    CHECK_PROP(o, "prealloc", "true");
    mem_backend_release(o);
    CHECK(user_obj_del("pc.ram", NULL));
    settle();

    m.backend = "m";
    s = main_error(&m);
    CHECK_STR(s, "'-mem-path' can't be used together with'-machine "
              "memory-backend'");
    m.path = NULL;
    t = main_error(&m);
    CHECK_STR(t, "Memory backend 'm' not found");
    REQUIRE(added("memory-backend-ram,size=1M"));
    u = main_error(&m);
    CHECK_STR(u, "Machine memory size does not match the size of the memory "
              "backend");
    m.size = 1 << 20;
    rb = mem_make_main(&m, &o, NULL);
    REQUIRE(rb);
    CHECK_STR(rb->id, "m");
    mem_backend_release(o);
    CHECK(user_obj_del("m", NULL));
    settle();
    machine_unlock();
}

/* ---- info mtree ---------------------------------------------------------- */

static void collect(void *arg, const char *line)
{
    g_string_append_printf(arg, "%s\n", line);
}

static const MemOps no_ops = { .read = NULL };

/* As the peer prints a tree of the same making. */
TEST(info_mtree)
{
    MemRegion ram, pci, low, rom, dis, in, region, dma, master;
    g_autoptr(GString) tree = g_string_new(NULL), flat = g_string_new(NULL),
                       all = g_string_new(NULL);
    MemSpace as;

    machine_lock();
    CHECK(mem_init_ram(&ram, "pc.ram", 128 << 20, NULL));
    CHECK(mem_init_rom(&rom, "pc.rom", 0x20000, NULL));
    mem_init(&pci, "pci", 0);
    mem_init_alias(&low, "ram-below-4g", &ram, 0, 128 << 20);
    mem_init_alias(&region, "smram-region", &pci, 0xa0000, 0x20000);
    mem_init(&dis, "piix4-pm", 64);
    mem_init_io(&in, "acpi-evt", 4, &no_ops, NULL);
    mem_begin();
    mem_add(mem_system.root, 0, &low);
    mem_add_prio(mem_system.root, 0, &pci, -1);
    mem_add_prio(&pci, 0xc0000, &rom, 1);
    mem_add_prio(mem_system.root, 0xa0000, &region, 1);
    mem_add(mem_io.root, 0, &dis);
    mem_add(&dis, 0, &in);
    mem_set_enabled(&dis, false);
    mem_init(&dma, "bus master container", 0);
    mem_init_alias(&master, "bus master", mem_system.root, 0, 0);
    mem_set_enabled(&master, false);
    mem_add(&dma, 0, &master);
    mem_space_init(&as, "PIIX3", &dma);
    mem_commit();
    mem_print_tree(collect, tree, false, false, false);
    CHECK_STR(tree->str,
"address-space: memory\n"
"  0000000000000000-ffffffffffffffff (prio 0, i/o): system\n"
"    0000000000000000-0000000007ffffff (prio 0, ram): alias ram-below-4g "
"@pc.ram 0000000000000000-0000000007ffffff\n"
"    0000000000000000-ffffffffffffffff (prio -1, i/o): pci\n"
"      00000000000c0000-00000000000dffff (prio 1, rom): pc.rom\n"
"    00000000000a0000-00000000000bffff (prio 1, i/o): alias smram-region @pci "
"00000000000a0000-00000000000bffff\n"
"\n"
"address-space: I/O\n"
"  0000000000000000-000000000000ffff (prio 0, i/o): io\n"
"      0000000000000000-0000000000000003 (prio 0, i/o): acpi-evt\n"
"\n"
"address-space: PIIX3\n"
"  0000000000000000-ffffffffffffffff (prio 0, i/o): bus master container\n"
"\n"
"memory-region: pc.ram\n"
"  0000000000000000-0000000007ffffff (prio 0, ram): pc.ram\n"
"\n"
"memory-region: pci\n"
"  0000000000000000-ffffffffffffffff (prio -1, i/o): pci\n"
"    00000000000c0000-00000000000dffff (prio 1, rom): pc.rom\n"
"\n"
"memory-region: system\n"
"  0000000000000000-ffffffffffffffff (prio 0, i/o): system\n"
"    0000000000000000-0000000007ffffff (prio 0, ram): alias ram-below-4g "
"@pc.ram 0000000000000000-0000000007ffffff\n"
"    0000000000000000-ffffffffffffffff (prio -1, i/o): pci\n"
"      00000000000c0000-00000000000dffff (prio 1, rom): pc.rom\n"
"    00000000000a0000-00000000000bffff (prio 1, i/o): alias smram-region @pci "
"00000000000a0000-00000000000bffff\n"
"\n");
    mem_print_tree(collect, flat, true, false, false);
    CHECK_STR(flat->str,
"FlatView #0\n"
" AS \"memory\", root: system\n"
" Root memory region: system\n"
"  0000000000000000-0000000007ffffff (prio 0, ram): pc.ram\n"
"\n"
"FlatView #1\n"
" AS \"I/O\", root: io\n"
" Root memory region: io\n"
"  0000000000000000-000000000000ffff (prio 0, i/o): io\n"
"\n"
"FlatView #2\n"
" AS \"PIIX3\", root: bus master container\n"
" Root memory region: (none)\n"
"  No rendered FlatView\n"
"\n");
    mem_print_tree(collect, all, false, true, true);
    CHECK_CONTAINS(all->str, "\n    0000000000000000-000000000000003f (prio 0, "
                   "i/o): piix4-pm [disabled] orphan\n");
    mem_space_fini(&as);
    mem_fini(&dma);
    mem_fini(&master);
    mem_fini(&in);
    mem_fini(&dis);
    mem_fini(&low);
    mem_fini(&region);
    mem_fini(&rom);
    mem_fini(&pci);
    mem_fini(&ram);
    settle();
    machine_unlock();
}

TEST(leaves_no_file)
{
    if (folder) {
        static const char *const mine[] = { "one", "ram", "new" };

        for (size_t i = 0; i < G_N_ELEMENTS(mine); i++) {
            g_autofree char *path = in_folder(mine[i]);

            unlink(path);
        }
        CHECK(rmdir(folder) == 0);
        g_free(folder);
    }
}
