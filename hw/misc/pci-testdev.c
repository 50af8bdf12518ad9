/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-testdev.c - a function for tests of the way from a guest's store to the
 * emulator: a header that describes one of three tests in a memory BAR or in an
 * I/O BAR, and a byte that counts stores or signals an eventfd.
 *
 * Header, in both BARs: 0 number of the test (write: choose one), 1 width of
 * the access, 4 offset of the byte to store to, 8 value to store, 12 stores
 * counted, 16 name. Test 0 counts; test 1 has an eventfd on any value, test 2
 * on one value: those stores never arrive here.
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. fd is attached to a BAR exactly while the chosen test is 1 or 2.
 */
#include <sys/eventfd.h>
#include <unistd.h>
#include "pci.h"

#define TESTS 3
#define NONE 0xff
#define MMIO_BYTE 0x800
#define PORT_BYTE 0x80
#define HEADER 40

typedef struct TestdevBar {
    struct PciTestdev *dev;
    MemRegion mr;
    bool io;
} TestdevBar;

typedef struct PciTestdev {
    PciDevice pci;
    TestdevBar bars[2];
    MemRegion membar;
    uint64_t membar_size;              /* property                            */
    int fd;
    bool attached;
    uint8_t chosen;                    /* 0..5, MMIO first; NONE              */
    uint32_t count;
} PciTestdev;

static const char *const names[TESTS] = {
    "no-eventfd", "wildcard-eventfd", "datamatch-eventfd",
};

static uint32_t byte_offset(uint8_t test)
{
    return (test < TESTS ? MMIO_BYTE : PORT_BYTE) + test;
}

static uint8_t byte_value(uint8_t test)
{
    return test % TESTS == 1 ? 0xce : 0xfa;
}

static void fill_header(const PciTestdev *s, uint8_t *h)
{
    memset(h, 0, HEADER);
    if (s->chosen == NONE) {
        return;
    }
    h[0] = s->chosen;
    h[1] = 1;
    st_le32(h + 4, byte_offset(s->chosen));
    st_le32(h + 8, byte_value(s->chosen));
    st_le32(h + 12, s->count);
    snprintf((char *)h + 16, HEADER - 16, "%s-%s",
             s->chosen < TESTS ? "mmio" : "portio", names[s->chosen % TESTS]);
}

static void detach(PciTestdev *s) MACHINE_CALL;
static void detach(PciTestdev *s)
{
    if (s->attached) {
        mem_event_del(&s->bars[s->chosen / TESTS].mr, byte_offset(s->chosen),
                      1, s->chosen % TESTS == 2, byte_value(s->chosen), s->fd);
        s->attached = false;
    }
}

static void choose(PciTestdev *s, uint8_t test) MACHINE_CALL;
static void choose(PciTestdev *s, uint8_t test)
{
    detach(s);
    s->chosen = test;
    if (test != NONE && test % TESTS != 0) {
        mem_event_add(&s->bars[test / TESTS].mr, byte_offset(test), 1,
                      test % TESTS == 2, byte_value(test), s->fd);
        s->attached = true;
    }
}

static uint64_t testdev_read(void *dev, uint64_t off, unsigned size)
{
    const TestdevBar *bar = dev;
    uint8_t h[HEADER];

    fill_header(bar->dev, h);
    return off < HEADER ? h[off] : 0;
}

static void testdev_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    const TestdevBar *bar = dev;
    PciTestdev *s = bar->dev;
    uint8_t test = s->chosen;

    machine_assert_locked();
    if (off == 0) {
        choose(s, val >= TESTS ? NONE : val + (bar->io ? TESTS : 0));
        s->count = 0;
    } else if (test != NONE && (test >= TESTS) == bar->io &&
               off == byte_offset(test) &&
               (test % TESTS == 1 || val == byte_value(test))) {
        s->count++;
    }
}

static const MemOps testdev_ops = {
    .read = testdev_read, .write = testdev_write, .min = 1, .max = 1,
    .valid_max = 4,
};

static MACHINE_CALL bool testdev_realize(Device *dev, Error **errp)
{
    PciTestdev *s = (PciTestdev *)dev;
    uint64_t size = 16;

    s->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (s->fd < 0) {
        return error_set_errno(errp, errno, "pci-testdev: eventfd");
    }
    s->chosen = NONE;
    s->bars[0] = (TestdevBar){ .dev = s };
    s->bars[1] = (TestdevBar){ .dev = s, .io = true };
    mem_init_io(&s->bars[0].mr, "pci-testdev-mmio", 4096, &testdev_ops,
                &s->bars[0]);
    mem_init_io(&s->bars[1].mr, "pci-testdev-portio", 256, &testdev_ops,
                &s->bars[1]);
    pci_bar(&s->pci, 0, PCI_BAR_MEM32, &s->bars[0].mr);
    pci_bar(&s->pci, 1, PCI_BAR_IO, &s->bars[1].mr);
    if (s->membar_size) {
        while (size < s->membar_size) {
            size *= 2;
        }
        mem_init(&s->membar, "pci-testdev-membar", size);
        pci_bar(&s->pci, 2, PCI_BAR_MEM64 | PCI_BAR_PREF, &s->membar);
    }
    return true;
}

static MACHINE_CALL void testdev_unrealize(Device *dev)
{
    PciTestdev *s = (PciTestdev *)dev;

    detach(s);
    close(s->fd);
    mem_fini(&s->bars[0].mr);
    mem_fini(&s->bars[1].mr);
    if (s->membar_size) {
        mem_fini(&s->membar);
    }
}

static MACHINE_CALL void testdev_reset(Device *dev, ResetKind kind)
{
    PciTestdev *s = (PciTestdev *)dev;

    choose(s, NONE);
    s->count = 0;
}

static bool testdev_before_load(void *opaque, Error **errp)
{
    machine_assert_locked();
    detach(opaque);
    return true;
}

static bool testdev_loaded(void *opaque, int version, Error **errp)
{
    PciTestdev *s = opaque;
    uint8_t test = s->chosen;

    machine_assert_locked();
    if (test != NONE && test >= 2 * TESTS) {
        s->chosen = NONE;
        return error_set(errp, "pci-testdev: test %u chosen", test);
    }
    choose(s, test);
    return true;
}

static const Prop testdev_props[] = {
    PROP_SIZE("membar", PciTestdev, membar_size, 0, .max = 1ull << 62),
    PROP_END
};

static const VmState testdev_state = {
    .name = "pci-testdev", .version = 1, .oldest = 1,
    .before_load = testdev_before_load, .after_load = testdev_loaded,
    .fields = (const VmField[]){
        VM_U8(PciTestdev, chosen), VM_U32(PciTestdev, count),
        VM_END
    },
};

DEVICE(pci_testdev, {
    .name = "pci-testdev", .category = "misc", .size = sizeof(PciTestdev),
    .desc = "PCI Test Device",
    .doc = "Counts a guest's stores to a byte of its memory or I/O BAR, or turns "
           "them into eventfds. For measuring and testing how accesses travel. "
           "A third BAR of any size takes up address space when membar is set.",
    .on = &bus_pci,
    .on_info = &(const PciInfo){
        .vendor = 0x1b36, .device = 0x0005, .class_code = 0x00ff00,
    },
    .props = testdev_props, .vmstate = &testdev_state,
    .realize = testdev_realize, .unrealize = testdev_unrealize,
    .reset = testdev_reset,
});
