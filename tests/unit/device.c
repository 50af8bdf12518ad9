/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hw/core: life cycle, buses, -global, lines, help, trees. */
#include "tests/contract/bench.h"

static NO_TSA Device *add(const char *json, Error **errp)
{
    Json *o = json_parse(json, strlen(json), NULL);
    Device *dev = device_add(o, true, errp);

    json_free(o);
    return dev;
}

/* Refused with this text. */
static NO_TSA void refused(const char *json, const char *text)
{
    Error *err = NULL;

    bench_start();
    if (add(json, &err)) {
        FAIL("%s was taken", json);
        return;
    }
    CHECK_STR(error_text(err), text);
    error_free(err);
}

/* ---- device_add --------------------------------------------------------- */

TEST(refusals_read_as_the_peers)
{
    refused("{'id': 'x'}", "Parameter 'driver' is missing");
    refused("{'driver': 'foo'}", "'foo' is not a valid device model name");
    refused("{'driver': 'pci-device'}",
            "Parameter 'driver' expects a non-abstract device type");
    refused("{'driver': 'bench-host'}",
            "Parameter 'driver' expects a pluggable device type");
    refused("{'driver': 'pci-testdev', 'bus': 'foo'}", "Bus 'foo' not found");
    refused("{'driver': 'pci-testdev', 'bus': ''}", "Bus '' not found");
    refused("{'driver': 'pci-testdev', 'bus': 'isa.0'}",
            "Device 'pci-testdev' can't go on ISA bus");
    refused("{'driver': 'isa-serial', 'bus': 'pci.0'}",
            "Device 'isa-serial' can't go on PCI bus");
    refused("{'driver': 'pci-testdev', 'id': '1a'}",
            "Parameter 'id' expects an identifier");
    refused("{'driver': 'pci-testdev', 'foo': 'bar'}",
            "Property 'pci-testdev.foo' not found");
    refused("{'driver': 'pci-testdev', 'membar': 'xx'}",
            "Parameter 'membar' expects size");
    refused("{'driver': 'pci-testdev', 'multifunction': 'maybe'}",
            "Parameter 'multifunction' expects 'on' or 'off'");
    refused("{'driver': 'pci-testdev', 'romfile': '/nonexist'}",
            "failed to find romfile \"/nonexist\"");
    refused("{'driver': 'pci-testdev', 'romsize': '100'}",
            "ROM size 100 is not a power of two");
    refused("{'driver': 'pci-testdev', 'acpi-index': '70000'}",
            "acpi-index should be less or equal to 16383");
    refused("{'driver': 'pci-testdev', 'failover_pair_id': 'x'}",
            "failover primary device must be on PCIExpress bus");
    refused("{'driver': 'pci-testdev', 'bus': '/foo/bar'}",
            "Device 'foo' not found");
    refused("{'driver': 'pci-testdev', 'bus': '/bench-host'}",
            "Device 'bench-host' has multiple child buses");
    refused("{'driver': 'pci-testdev', 'bus': '/bench-host/x'}",
            "Bus 'x' not found");
    refused("{'driver': 'pci-testdev', 'bus': '/'}",
            "Device 'pci-testdev' can't go on System bus");
}

NO_TSA TEST(slots)
{
    Device *a, *b;

    bench_start();
    a = add("{'driver': 'pci-testdev', 'id': 'x', 'addr': '5'}", NULL);
    REQUIRE(a);
    refused("{'driver': 'pci-testdev', 'id': 'x'}",
            "Duplicate ID 'x' for device");
    refused("{'driver': 'pci-testdev', 'addr': '5'}",
            "PCI: slot 5 function 0 not available for pci-testdev, in use by "
            "pci-testdev,id=x");
    refused("{'driver': 'pci-testdev', 'addr': '5.1'}",
            "PCI: single function device can't be populated in function 5.1");
    device_unplug(a);
    b = add("{'driver': 'pci-testdev', 'addr': '5.1'}", NULL);
    REQUIRE(b);
    refused("{'driver': 'pci-testdev', 'addr': '5.0'}",
            "PCI: 5.0 indicates single function, but 5.1 is already "
            "populated.");
    a = add("{'driver': 'pci-testdev', 'addr': '5', 'multifunction': 'on'}",
            NULL);
    REQUIRE(a);
    CHECK_EQ(((PciDevice *)a)->config[PCI_HEADER_TYPE], 0x80);
    device_unplug(a);
    device_unplug(b);
}

NO_TSA TEST(full_bus_is_refused)
{
    Device *all[32];
    unsigned n = 0;
    Error *err = NULL;

    bench_start();
    while (n < 32 && (all[n] = add("{'driver': 'pci-testdev'}", &err))) {
        n++;
    }
    CHECK_EQ(n, 32u);
    CHECK(!add("{'driver': 'pci-testdev'}", &err));
    CHECK_STR(error_text(err), "PCI: no slot/function available for "
              "pci-testdev, all in use or reserved");
    error_free(err);
    while (n) {
        device_unplug(all[--n]);
    }
}

NO_TSA TEST(typed_members)
{
    static const char text[] = "{'driver': 'pci-testdev', 'membar': 65536, "
                               "'addr': 24, 'id': 'typed'}";
    Json *o = json_parse(text, strlen(text), NULL);
    Device *dev;

    bench_start();
    REQUIRE(o);
    dev = device_add(o, false, NULL);
    REQUIRE(dev);
    CHECK_EQ(((PciDevice *)dev)->devfn, 24);
    CHECK_EQ(((PciDevice *)dev)->bar[2].size, 65536u);
    CHECK_EQ(json_count(dev->given), 2u);
    CHECK_EQ(json_int_of(json_get(dev->given, "membar")), 65536);
    device_unplug(dev);
    json_set_str(o, "membar", "1M");
    CHECK(!device_add(o, false, NULL));
    json_free(o);
}

NO_TSA TEST(places_in_the_tree)
{
    Device *named, *anon;
    char *path;
    Json *v;

    bench_start();
    named = add("{'driver': 'pci-testdev', 'id': 'td'}", NULL);
    anon = add("{'driver': 'pci-testdev'}", NULL);
    REQUIRE(named && anon);
    CHECK(obj_resolve("/machine/peripheral/td", NULL) == &named->obj);
    CHECK(obj_resolve("/machine/peripheral/td/pci-testdev-mmio[0]", NULL));
    CHECK(obj_resolve("/machine/unattached/device[0]/pci.0", NULL) ==
          &bench->pci->bus.obj);
    CHECK(obj_resolve("/machine/unattached/sysbus", NULL) == &bus_main->obj);
    path = obj_path(&anon->obj);
    CHECK_STR(path, "/machine/peripheral-anon/device[0]");
    g_free(path);
    v = obj_get(&named->obj, "parent_bus", NULL);
    CHECK_STR(json_str_of(v), "/machine/unattached/device[0]/pci.0");
    json_free(v);
    v = obj_get(&named->obj, "legacy-addr", NULL);
    CHECK_STR(json_str_of(v), "00.0");
    json_free(v);
    CHECK(device_find("td") == named);
    CHECK(device_of(&named->obj) == named);
    CHECK(!device_of(&bus_main->obj));
    device_unplug(named);
    device_unplug(anon);
    CHECK(!device_find("td"));
}

NO_TSA TEST(set_after_realize_is_refused)
{
    Error *err = NULL;
    Device *dev;

    bench_start();
    dev = add("{'driver': 'pci-testdev', 'id': 'td'}", NULL);
    CHECK(!obj_set_text(&dev->obj, "membar", "4k", &err));
    CHECK_STR(error_text(err), "Attempt to set property 'membar' on device "
              "'td' (type 'pci-testdev') after it was realized");
    error_free(err);
    device_unplug(dev);
}

/* ---- removal ------------------------------------------------------------ */

static bool count_one(Device *dev, void *arg)
{
    ++*(unsigned *)arg;
    return true;
}

NO_TSA TEST(unplug_rules)
{
    unsigned before = 0, after = 0;
    Error *err = NULL;
    Device *dev;

    bench_start();
    device_each(count_one, &before);
    dev = add("{'driver': 'isa-serial', 'id': 'ser'}", &err);
    REQUIRE(dev);
    CHECK(!device_request_unplug(dev, &err));
    CHECK_STR(error_text(err), "Bus 'isa.0' does not support hotplugging");
    error_free(err);
    err = NULL;
    machine->ready = true;
    refused("{'driver': 'isa-serial', 'index': '1'}",
            "Bus 'isa.0' does not support hotplugging");
    refused("{'driver': 'isa-serial', 'id': 'ser'}",
            "Bus 'isa.0' does not support hotplugging");
    machine->ready = false;
    device_unplug(dev);

    dev = add("{'driver': 'pci-testdev', 'id': 'td'}", NULL);
    dev->pending_unplug = true;
    CHECK(!device_request_unplug(dev, &err));
    CHECK_STR(error_text(err),
              "Device td is already in the process of unplug");
    error_free(err);
    dev->pending_unplug = false;
    CHECK(device_request_unplug(dev, NULL));
    device_each(count_one, &after);
    CHECK_EQ(before, after);
}

/* ---- lines -------------------------------------------------------------- */

static int sunk[4], probed_n, probed_level;

static void sink_fn(void *to, int n, int level)
{
    sunk[n] = level;
}

static void probe_fn(void *arg, unsigned n, int level)
{
    probed_n = n;
    probed_level = level;
}

NO_TSA TEST(gpio_sets)
{
    IrqLine out[2] = { { NULL } }, in;
    Device *dev;

    bench_start();
    dev = device_make("isa-serial");
    device_gpio_in(dev, NULL, sink_fn, 4);
    device_gpio_in(dev, "named", sink_fn, 1);
    device_gpio_out(dev, NULL, out, 2);
    CHECK(obj_child(&dev->obj, "unnamed-gpio-in[3]"));
    CHECK(obj_child(&dev->obj, "named[0]"));
    in = device_gpio_get(dev, NULL, 2);
    irq_raise(&in);
    CHECK_EQ(sunk[2], 1);
    CHECK(!device_gpio_get(dev, NULL, 4).set);
    CHECK(!device_gpio_get(dev, "other", 0).set);
    device_gpio_connect(dev, NULL, 1, in);

    /* A line that was handed out before the probe goes through it, too. */
    CHECK(device_gpio_intercept(dev, NULL, false, probe_fn, NULL));
    irq_lower(&in);
    CHECK_EQ(probed_n, 2);
    CHECK_EQ(probed_level, 0);
    CHECK_EQ(sunk[2], 0);

    probed_n = -1;
    CHECK(device_gpio_intercept(dev, NULL, true, probe_fn, NULL));
    irq_raise(&out[1]);
    CHECK_EQ(sunk[2], 1);
    CHECK_EQ(probed_level, 1);
    irq_raise(&out[0]);
    CHECK_EQ(probed_n, 0);
    CHECK(!device_gpio_intercept(dev, "other", true, probe_fn, NULL));
    device_free(dev);
}

/* ---- what people see ---------------------------------------------------- */

static void gather(void *arg, const char *line)
{
    g_string_append_printf(arg, "%s\n", line);
}

static NO_TSA char *help(const char *json)
{
    Json *o = json_parse(json, strlen(json), NULL);
    GString *s = g_string_new(NULL);

    CHECK(device_help(o, gather, s, NULL));
    json_free(o);
    return g_string_free(s, false);
}

NO_TSA TEST(help_of_one_device)
{
    char *text;

    bench_start();
    text = help("{'driver': 'pci-testdev', 'help': 'on'}");
    CHECK_STR(text,
        "pci-testdev options:\n"
        "  acpi-index=<uint32>    -  (default: 0)\n"
        "  addr=<int32>           - Slot and optional function number, "
        "example: 06.0 or 06 (default: -1)\n"
        "  failover_pair_id=<str>\n"
        "  membar=<size>          -  (default: 0)\n"
        "  multifunction=<bool>   - on/off (default: false)\n"
        "  rombar=<uint32>        -  (default: 1)\n"
        "  romfile=<str>\n"
        "  romsize=<uint32>       -  (default: 4294967295)\n"
        "  x-pcie-extcap-init=<bool> - on/off (default: true)\n"
        "  x-pcie-lnksta-dllla=<bool> - on/off (default: true)\n");
    g_free(text);
}

NO_TSA TEST(help_of_all)
{
    char *text, *misc;

    bench_start();
    text = help("{'driver': 'help'}");
    misc = strstr(text, "\n\nMisc devices:\n");
    CHECK(g_str_has_prefix(text, "Controller/Bridge/Hub devices:\n") ||
          g_str_has_prefix(text, "Input devices:\n") ||
          g_str_has_prefix(text, "Storage devices:\n"));
    REQUIRE(misc);
    CHECK_CONTAINS(misc, "\nname \"pci-testdev\", bus PCI, desc \"PCI Test "
                   "Device\"\n");
    CHECK(!strstr(text, "bench-host"));
    g_free(text);
}

NO_TSA TEST(help_refusals)
{
    Error *err = NULL;
    Json *o = json_obj();

    bench_start();
    json_set_str(o, "driver", "foo");
    json_set_str(o, "help", "on");
    CHECK(device_help(o, gather, NULL, &err));
    CHECK_STR(error_text(err), "Device 'foo' not found");
    CHECK(error_class(err) == ERROR_DEVICE_NOT_FOUND);
    error_free(err);
    err = NULL;
    json_set_str(o, "driver", "pci-device");
    CHECK(device_help(o, gather, NULL, &err));
    CHECK_STR(error_text(err),
              "Parameter 'typename' expects a non-abstract device type");
    error_free(err);
    json_free(o);
}

NO_TSA TEST(qtree)
{
    GString *s = g_string_new(NULL);
    Device *a, *b;

    bench_start();
    a = add("{'driver': 'pci-testdev', 'addr': '7', 'id': 'td', "
            "'membar': '4k'}", NULL);
    b = add("{'driver': 'isa-serial', 'id': 'ser'}", NULL);
    REQUIRE(a && b);
    device_print_tree(gather, s);
    CHECK(g_str_has_prefix(s->str,
        "bus: main-system-bus\n"
        "  type System\n"
        "  dev: bench-host, id \"\"\n"
        "    bus: isa.0\n"
        "      type ISA\n"
        "      dev: isa-serial, id \"ser\"\n"));
    CHECK_CONTAINS(s->str,
        "    bus: pci.0\n"
        "      type PCI\n"
        "      dev: pci-testdev, id \"td\"\n"
        "        membar = 4096 (4 KiB)\n"
        "        addr = 07.0\n"
        "        romfile = \"\"\n"
        "        romsize = 4294967295 (0xffffffff)\n"
        "        rombar = 1 (0x1)\n"
        "        multifunction = false\n"
        "        x-pcie-lnksta-dllla = true\n"
        "        x-pcie-extcap-init = true\n"
        "        failover_pair_id = \"\"\n"
        "        acpi-index = 0 (0x0)\n"
        "        class Class 00ff, addr 00:07.0, pci id 1b36:0005 (sub "
        "1af4:1100)\n"
        "        bar 0: mem at 0xffffffffffffffff [0xffe]\n"
        "        bar 1: i/o at 0xffffffffffffffff [0xfe]\n"
        "        bar 2: mem at 0xffffffffffffffff [0xffe]\n");
    device_unplug(a);
    device_unplug(b);
    g_string_free(s, true);
}

NO_TSA TEST(firmware_and_stream_paths)
{
    Device *dev, *ser;
    char *s;

    bench_start();
    dev = add("{'driver': 'pci-testdev', 'addr': '7.2'}", NULL);
    ser = add("{'driver': 'isa-serial'}", NULL);
    REQUIRE(dev && ser);
    s = device_fw_path(dev);
    CHECK_STR(s, "/bench-host/pci1b36,0005@7,2");
    g_free(s);
    s = device_fw_path(ser);
    CHECK_CONTAINS(s, "serial@03f8");
    g_free(s);
    s = dev->bus->type->dev_path(dev);
    CHECK_STR(s, "0000:00:07.2");
    g_free(s);
    device_unplug(dev);
    device_unplug(ser);
}

/* ---- -global ------------------------------------------------------------ */

typedef struct Caught {
    ReportSink sink;
    GString *text;
} Caught;

static void caught_print(ReportSink *sink, const char *text)
{
    g_string_append(((Caught *)sink)->text, text);
}

NO_TSA TEST(globals)
{
    Caught c = { { caught_print }, g_string_new(NULL) };
    ReportSink *old;
    Error *err = NULL;
    Device *dev;

    bench_start();
    device_global_add("pci-testdev", "membar", "8k");
    device_global_add("pci-device", "rombar", "0");
    device_global_add("bench-host", "x", "1");
    device_global_add("nosuch", "x", "1");
    dev = add("{'driver': 'pci-testdev'}", NULL);
    REQUIRE(dev);
    CHECK_EQ(((PciDevice *)dev)->bar[2].size, 8192u);
    CHECK_EQ(((PciDevice *)dev)->rombar, 0u);
    device_unplug(dev);
    dev = add("{'driver': 'pci-testdev', 'membar': '64k'}", NULL);
    REQUIRE(dev);
    CHECK_EQ(((PciDevice *)dev)->bar[2].size, 65536u);
    device_unplug(dev);
    device_global_add("pci-testdev", "foo", "1");
    CHECK(!add("{'driver': 'pci-testdev'}", &err));
    CHECK_STR(error_text(err), "can't apply global pci-testdev.foo=1: Property "
              "'pci-testdev.foo' not found");
    error_free(err);

    old = report_sink(&c.sink);
    device_globals_check();
    report_sink(old);
    CHECK_CONTAINS(c.text->str, "global nosuch.x has invalid class name");
    CHECK_CONTAINS(c.text->str, "global bench-host.x=1 not used");
    CHECK(!strstr(c.text->str, "membar"));
    g_string_free(c.text, true);
}

NO_TSA TEST(everything_can_go)
{
    bench_start();
    add("{'driver': 'pci-testdev', 'id': 'left'}", NULL);
    device_exit();
    CHECK(!bus_main);
    CHECK(!device_find("left"));
}
