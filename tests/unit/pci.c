/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hw/pci: configuration space, BARs, INTx, MSI, MSI-X, bridges, queries. */
#include "tests/unit/pci-probe.h"

/* ---- configuration space ------------------------------------------------ */

NO_TSA TEST(registers_of_a_plain_function)
{
    /* offset, after reset, after all ones, after all zeros: the peer's. */
    static const uint32_t rows[][4] = {
        { 0x00, 0x00051b36, 0x00051b36, 0x00051b36 },
        { 0x04, 0, 0x00000507, 0 },
        { 0x08, 0x00ff0000, 0x00ff0000, 0x00ff0000 },
        { 0x0c, 0, 0xff, 0 },
        { 0x10, 0, 0xfffff000, 0 },
        { 0x14, 1, 0xffffff01, 1 },
        { 0x18, 0xc, 0xffff000c, 0xc },
        { 0x1c, 0, 0xffffffff, 0 },
        { 0x20, 0, 0, 0 }, { 0x24, 0, 0, 0 }, { 0x28, 0, 0, 0 },
        { 0x2c, 0x11001af4, 0x11001af4, 0x11001af4 },
        { 0x30, 0, 0, 0 }, { 0x34, 0, 0, 0 }, { 0x38, 0, 0, 0 },
        { 0x3c, 0, 0xff, 0 },
        { 0x40, 0, 0xffffffff, 0 }, { 0xfc, 0, 0xffffffff, 0 },
    };
    Device *d = add("{'driver': 'pci-testdev', 'membar': '64k'}");

    REQUIRE(d);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CHECK_EQ(rd(d, rows[i][0]), rows[i][1]);
        wr(d, rows[i][0], UINT32_MAX);
        CHECK_EQ(rd(d, rows[i][0]), rows[i][2]);
        wr(d, rows[i][0], 0);
        CHECK_EQ(rd(d, rows[i][0]), rows[i][3]);
    }
    CHECK_EQ(pci_config_read((PciDevice *)d, 255, 4), UINT32_MAX);
    CHECK_EQ(pci_config_read((PciDevice *)d, 2, 2), 0x0005u);
    CHECK_EQ(pci_config_read((PciDevice *)d, 1, 1), 0x1bu);
    wr(d, 0xf0, 0x12345678);
    device_reset(d, RESET_COLD);
    CHECK_EQ(rd(d, 0xf0), 0u);
    device_unplug(d);
}

NO_TSA TEST(registers_of_a_bridge)
{
    static const uint32_t rows[][3] = {
        { 0x04, 0x00a00000, 0x00a00507 }, { 0x0c, 0x00010000, 0x000100ff },
        { 0x18, 0, 0xffffffff },
        { 0x1c, 0x00a00000, 0x00a0f0f0 }, { 0x20, 0, 0xfff0fff0 },
        { 0x24, 0x00010001, 0xfff1fff1 }, { 0x28, 0, 0xffffffff },
        { 0x2c, 0, 0xffffffff }, { 0x30, 0, 0 },
        { 0x3c, 0x00000100, 0x0bff01ff },
    };
    Device *d = add("{'driver': 'probe-bridge', 'id': 'br'}");

    REQUIRE(d);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CHECK_EQ(rd(d, rows[i][0]), rows[i][1]);
        wr(d, rows[i][0], UINT32_MAX);
        CHECK_EQ(rd(d, rows[i][0]), rows[i][2]);
        wr(d, rows[i][0], 0);
    }
    device_unplug(d);
}

NO_TSA TEST(mechanism_1)
{
    PciHostPorts h = { 0 };
    Device *d = add("{'driver': 'probe', 'addr': '9'}");
    uint64_t v = 0;

    REQUIRE(d);
    pci_host_ports_init(&h, &bench->dev, bench->pci, mem_io.root, 0xcf8);
    mem_store(&mem_io, 0xcf8, 4, 0x80004800, MEM_ATTRS_NONE);
    mem_load(&mem_io, 0xcfc, 4, &v, MEM_ATTRS_NONE);
    CHECK_EQ(v, 0x56781234u);
    mem_load(&mem_io, 0xcfe, 2, &v, MEM_ATTRS_NONE);
    CHECK_EQ(v, 0x5678u);
    mem_load(&mem_io, 0xcfd, 1, &v, MEM_ATTRS_NONE);
    CHECK_EQ(v, 0x12u);
    /* Bytes do not reach the address register. */
    mem_store(&mem_io, 0xcf8, 1, 0xff, MEM_ATTRS_NONE);
    mem_load(&mem_io, 0xcf8, 4, &v, MEM_ATTRS_NONE);
    CHECK_EQ(v, 0x80004800u);
    mem_store(&mem_io, 0xcf8, 4, 0x00004800, MEM_ATTRS_NONE);
    mem_load(&mem_io, 0xcfc, 4, &v, MEM_ATTRS_NONE);
    CHECK_EQ(v, 0xffffffffu);
    mem_store(&mem_io, 0xcf8, 4, 0x8000f800, MEM_ATTRS_NONE);
    mem_load(&mem_io, 0xcfc, 4, &v, MEM_ATTRS_NONE);
    CHECK_EQ(v, 0xffffffffu);
    mem_store(&mem_io, 0xcf8, 4, 0x80114800, MEM_ATTRS_NONE);
    mem_load(&mem_io, 0xcfc, 4, &v, MEM_ATTRS_NONE);
    CHECK_EQ(v, 0xffffffffu);
    pci_host_ports_fini(&h);
    device_unplug(d);
}

NO_TSA TEST(capabilities)
{
    Probe *s = probe("9", "pci.0");
    uint8_t at;
    Error *err = NULL;

    REQUIRE(s);
    CHECK_EQ(rd(s, 4) >> 20 & 1, 1u);
    /* The newest is first: MSI-X, MSI, PM. */
    at = rd(s, 0x34);
    CHECK_EQ(rd(s, at) & 0xff, (unsigned)PCI_CAP_ID_MSIX);
    at = rd(s, at) >> 8;
    CHECK_EQ(at, 0x60);
    CHECK_EQ(rd(s, at) & 0xff, (unsigned)PCI_CAP_ID_MSI);
    at = rd(s, at) >> 8;
    CHECK_EQ(at, 0x40);
    CHECK_EQ(rd(s, at) & 0xffff, (unsigned)PCI_CAP_ID_PM);
    CHECK_EQ(pci_cap(&s->pci, 9, 0x64, 8, &err), -1);
    CHECK_STR(error_text(err), "0000:00:09.0 Attempt to add PCI capability 9 "
              "at offset 64 overlaps existing capability 5 at offset 64");
    error_free(err);
    CHECK_EQ(pci_cap(&s->pci, 9, 0, 255, NULL), -1);
    device_unplug(&s->pci.dev);
}

/* ---- BARs --------------------------------------------------------------- */

static NO_TSA bool answers(uint64_t addr)
{
    uint64_t v = 0;

    return mem_load(&mem_system, addr, 4, &v, MEM_ATTRS_NONE) == MEM_OK &&
           v == 0x11223344;
}

NO_TSA TEST(bars_map_by_command_and_address)
{
    Probe *s = probe("9", "pci.0");

    REQUIRE(s);
    wr(s, 0x10, 0xe0000000);
    CHECK_EQ(rd(s, 0x10), 0xe0000004u);
    CHECK(!answers(0xe0000000));
    CHECK_EQ(s->pci.bar[0].addr, UINT64_MAX);
    wr(s, 0x04, 2);
    CHECK(answers(0xe0000000));
    CHECK(answers(0xe0000ffc));
    CHECK(!answers(0xe0001000));
    wr(s, 0x14, 0x10);
    CHECK(!answers(0xe0000000));
    CHECK(answers(0x10e0000000));
    /* Sizing maps nothing. */
    wr(s, 0x14, 0xffffffff);
    wr(s, 0x10, 0xffffffff);
    CHECK_EQ(s->pci.bar[0].addr, UINT64_MAX);
    wr(s, 0x10, 0);
    wr(s, 0x14, 0);
    CHECK_EQ(s->pci.bar[0].addr, UINT64_MAX);
    wr(s, 0x10, 0xfe000000);
    CHECK(answers(0xfe000000));
    device_reset(&s->pci.dev, RESET_COLD);
    CHECK(!answers(0xfe000000));
    CHECK_EQ(rd(s, 0x10), 4u);
    wr(s, 0x10, 0xfe000000);
    wr(s, 0x04, 2);
    CHECK(answers(0xfe000000));
    device_unplug(&s->pci.dev);
    CHECK(!answers(0xfe000000));
}

NO_TSA TEST(io_bar)
{
    Device *d = add("{'driver': 'pci-testdev', 'addr': '9'}");
    PciDevice *p = (PciDevice *)d;

    REQUIRE(d);
    wr(d, 0x14, 0xc000);
    wr(d, 0x04, 1);
    CHECK_EQ(p->bar[1].addr, 0xc000u);
    wr(d, 0x14, 0xffffffff);
    CHECK_EQ(p->bar[1].addr, UINT64_MAX);
    wr(d, 0x14, 0xff00);
    CHECK_EQ(p->bar[1].addr, 0xff00u);
    wr(d, 0x14, 0x10000);
    CHECK_EQ(p->bar[1].addr, UINT64_MAX);
    wr(d, 0x14, 0);
    CHECK_EQ(p->bar[1].addr, UINT64_MAX);
    device_unplug(d);
}

NO_TSA TEST(dma_needs_bus_mastering)
{
    Probe *s = probe("9", "pci.0");
    uint8_t b[4] = { 1, 2, 3, 4 }, c[4] = { 0 };

    REQUIRE(s);
    CHECK(pci_dma_write(&s->pci, 0x1000, b, 4) != MEM_OK);
    wr(s, 4, 4);
    CHECK(pci_dma_write(&s->pci, 0x1000, b, 4) == MEM_OK);
    CHECK(pci_dma_read(&s->pci, 0x1000, c, 4) == MEM_OK);
    CHECK_MEM(b, c, 4);
    device_reset(&s->pci.dev, RESET_COLD);
    CHECK(pci_dma_read(&s->pci, 0x1000, c, 4) != MEM_OK);
    device_unplug(&s->pci.dev);
}

/* ---- option ROMs -------------------------------------------------------- */

NO_TSA TEST(option_rom)
{
    char path[] = "/tmp/tern-rom-XXXXXX", *json;
    int fd = mkstemp(path);
    uint8_t image[5000], in[5000];
    Device *d;

    for (size_t i = 0; i < sizeof(image); i++) {
        image[i] = i * 3;
    }
    REQUIRE(fd >= 0);
    CHECK_EQ(write(fd, image, sizeof(image)), (ssize_t)sizeof(image));
    close(fd);
    json = g_strdup_printf("{'driver': 'pci-testdev', 'addr': '9', 'romfile': "
                           "'%s'}", path);
    d = add(json);
    REQUIRE(d);
    CHECK_EQ(((PciDevice *)d)->romsize, 8192u);
    wr(d, 0x30, 0xffffffff);
    CHECK_EQ(rd(d, 0x30), 0xffffe001u);
    wr(d, 0x04, 2);
    wr(d, 0x30, 0xe4000000);
    mem_read(&mem_system, 0xe4000000, in, sizeof(in), MEM_ATTRS_NONE);
    CHECK_EQ(in[1], 0);
    wr(d, 0x30, 0xe4000001);
    mem_read(&mem_system, 0xe4000000, in, sizeof(in), MEM_ATTRS_NONE);
    CHECK_MEM(in, image, sizeof(image));
    /* It is a ROM. */
    mem_write(&mem_system, 0xe4000000, "x", 1, MEM_ATTRS_NONE);
    mem_read(&mem_system, 0xe4000000, in, 1, MEM_ATTRS_NONE);
    CHECK_EQ(in[0], 0);
    device_unplug(d);
    g_free(json);
    unlink(path);
}

/* ---- INTx --------------------------------------------------------------- */

static int level_of[4], sets;

static void note_level(void *opaque, int line, int level)
{
    level_of[line] = level;
    sets++;
}

NO_TSA TEST(pins_are_counted)
{
    Probe *a = probe("9", "pci.0"), *b = probe("d", "pci.0");

    REQUIRE(a && b);
    pci_root_irqs(bench->pci, note_level, map_pin, NULL, 4);
    /* Slots 9 and 13 meet at line 1. */
    pci_irq(&a->pci, 1);
    CHECK_EQ(level_of[1], 1);
    CHECK_EQ(rd(a, 4) >> 19 & 1, 1u);
    pci_irq(&b->pci, 1);
    pci_irq(&a->pci, 0);
    CHECK_EQ(level_of[1], 1);
    pci_irq(&b->pci, 0);
    CHECK_EQ(level_of[1], 0);
    sets = 0;
    pci_irq(&b->pci, 0);
    CHECK_EQ(sets, 0);
    /* Disabled by the command register, it stays pending. */
    pci_irq(&a->pci, 1);
    wr(a, 4, PCI_COMMAND_INTX_DISABLE);
    CHECK_EQ(level_of[1], 0);
    CHECK_EQ(rd(a, 4) >> 19 & 1, 1u);
    wr(a, 4, 0);
    CHECK_EQ(level_of[1], 1);
    device_unplug(&a->pci.dev);
    CHECK_EQ(level_of[1], 0);
    device_unplug(&b->pci.dev);
}

/* ---- bridges ------------------------------------------------------------ */

NO_TSA TEST(bridge_forwards)
{
    Device *br = add("{'driver': 'probe-bridge', 'id': 'br', 'addr': '5'}");
    Probe *s;
    char *path;

    REQUIRE(br);
    CHECK(bus_find("br", NULL) == &((PciBridge *)br)->bus.bus);
    s = probe("3", "br");
    REQUIRE(s);
    path = br->bus->type->dev_path(&s->pci.dev);
    CHECK_STR(path, "0000:00:05.0:03.0");
    g_free(path);

    CHECK(!pci_find(2, 3 << 3));
    wr(br, 0x18, 0x00020200);
    CHECK(pci_find(2, 3 << 3) == &s->pci);
    CHECK_EQ(pci_data_read(bench->pci, 0x80021800, 4), 0x56781234u);
    CHECK_EQ(pci_data_read(bench->pci, 0x80031800, 4), 0xffffffffu);

    wr(s, 0x10, 0xe2000000);
    wr(s, 0x04, 6);
    CHECK(!answers(0xe2000000));
    wr(br, 0x20, 0xe200e200);
    CHECK(!answers(0xe2000000));
    wr(br, 0x04, 2);
    CHECK(answers(0xe2000000));
    wr(br, 0x20, 0xe100e100);
    CHECK(!answers(0xe2000000));
    wr(br, 0x24, 0xe201e201);          /* the prefetchable window will do     */
    CHECK(answers(0xe2000000));
    wr(br, 0x28, 1);                   /* base above limit                    */
    CHECK(!answers(0xe2000000));
    wr(br, 0x28, 0);
    CHECK(answers(0xe2000000));

    /* Slot 3 pin A below slot 5: line 3 + 5 = 0 of 4. */
    pci_root_irqs(bench->pci, note_level, map_pin, NULL, 4);
    pci_irq(&s->pci, 1);
    CHECK_EQ(level_of[0], 1);
    /* Secondary bus reset. */
    wr(br, 0x3c, 0x00400000);
    CHECK_EQ(level_of[0], 0);
    CHECK_EQ(rd(s, 0x10), 4u);
    CHECK_EQ(rd(s, 0x04) & 7, 0u);
    CHECK_EQ(rd(br, 0x18), 0x00020200u);
    device_unplug(br);
    CHECK(!bus_find("br", NULL));
}

/* Numbers that lead nowhere, or round in circles, are only wrong. */
NO_TSA TEST(bridge_numbers_from_a_hostile_guest)
{
    Device *a = add("{'driver': 'probe-bridge', 'id': 'a'}");
    Device *b = add("{'driver': 'probe-bridge', 'id': 'b', 'bus': 'a'}");

    REQUIRE(a && b);
    for (unsigned i = 0; i < 256; i++) {
        wr(a, 0x18, 0x00ff0000 | i << 8);
        wr(b, 0x18, 0x00ff0000 | (255 - i) << 8);
        for (unsigned nr = 0; nr < 256; nr += 5) {
            pci_find(nr, 0);
        }
    }
    device_unplug(a);
    CHECK(!device_find("b"));
}

/* ---- what people and clients see ---------------------------------------- */

static void gather(void *arg, const char *line)
{
    g_string_append_printf(arg, "%s\n", line);
}

NO_TSA TEST(info_pci)
{
    Device *br = add("{'driver': 'probe-bridge', 'id': 'br', 'addr': '8'}");
    Device *td = add("{'driver': 'pci-testdev', 'id': 'td', 'addr': '7', "
                     "'membar': '4k'}");
    GString *s = g_string_new(NULL);

    REQUIRE(br && td);
    pci_print(gather, s);
    CHECK_STR(s->str,
        "  Bus  0, device   7, function 0:\n"
        "    Class 0255: PCI device 1b36:0005\n"
        "      PCI subsystem 1af4:1100\n"
        "      BAR0: 32 bit memory at 0xffffffffffffffff [0x00000ffe].\n"
        "      BAR1: I/O at 0xffffffffffffffff [0x00fe].\n"
        "      BAR2: 64 bit prefetchable memory at 0xffffffffffffffff "
        "[0x00000ffe].\n"
        "      id \"td\"\n"
        "  Bus  0, device   8, function 0:\n"
        "    PCI bridge: PCI device 1234:0001\n"
        "      IRQ 0, pin A\n"
        "      BUS 0.\n"
        "      secondary bus 0.\n"
        "      subordinate bus 0.\n"
        "      IO range [0x0000, 0x0fff]\n"
        "      memory range [0x00000000, 0x000fffff]\n"
        "      prefetchable memory range [0x00000000, 0x000fffff]\n"
        "      id \"br\"\n");
    g_string_free(s, true);
    device_unplug(br);
    device_unplug(td);
}

NO_TSA TEST(query_pci)
{
    static const char want[] =
        "[{'bus': 0, 'devices': [{'bus': 0, 'slot': 7, 'function': 0, "
        "'class_info': {'class': 255}, 'id': {'device': 5, 'vendor': 6966, "
        "'subsystem': 4352, 'subsystem-vendor': 6900}, 'irq_pin': 0, "
        "'qdev_id': 'td', 'regions': [{'bar': 0, 'size': 4096, 'address': -1, "
        "'type': 'memory', 'prefetch': false, 'mem_type_64': false}, "
        "{'bar': 1, 'size': 256, 'address': -1, 'type': 'io'}]}]}]";
    Device *td = add("{'driver': 'pci-testdev', 'id': 'td', 'addr': '7'}");
    Json *a, *b;

    REQUIRE(td);
    a = pci_query();
    b = json_parse(want, strlen(want), NULL);
    CHECK(json_equal(a, b));
    json_free(a);
    json_free(b);
    device_unplug(td);
}

/* ---- saved state -------------------------------------------------------- */

NO_TSA TEST(state_of_another_function_is_refused)
{
    Probe *s = probe("9", "pci.0");
    const VmState *v = bus_pci.vmstate;
    VmBuf b = { 0 };
    Error *err = NULL;
    size_t at;

    REQUIRE(s);
    wr(s, 0x10, 0xe0000000);
    wr(s, 0x04, 6);
    vmstate_save(v, s, &b);
    for (at = 0; at + 4 < b.n && memcmp(b.p + at, "\x34\x12\x78\x56", 4); at++) {
    }
    REQUIRE(at + 4 < b.n);
    device_reset(&s->pci.dev, RESET_COLD);
    b.p[at] ^= 1;
    CHECK(!vmstate_load(v, s, b.p, b.n, &err));
    CHECK_CONTAINS(error_text(err), "probe: configuration register 0x0 is 0x35 "
                   "in the stream, 0x34 here");
    error_free(err);
    CHECK_EQ(rd(s, 0), 0x56781234u);
    b.p[at] ^= 1;
    CHECK(vmstate_load(v, s, b.p, b.n, NULL));
    CHECK(answers(0xe0000000));
    CHECK(s->pci.bus_master);
    vmbuf_free(&b);
    device_unplug(&s->pci.dev);
}
