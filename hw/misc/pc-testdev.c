/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pc-testdev.c - what unit tests of hypervisors use of a PC, by the ports and
 * addresses that kvm-unit-tests (x86/) access:
 *
 *   0xe0..0xe3      four bytes that are read back, any width
 *   0xe4..0xe7      a 32-bit write of an address: the host forgets what it knows
 *                   of that page of RAM, so that shadow translations go
 *   0xe8..0xeb      the same four bytes as at 0xe0
 *   0x2000..0x2017  a byte sets the level of an interrupt line, 0 to 23
 *   0xff000000      64 KiB that are read back
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. Lines above 15 exist on boards with an IOAPIC only; elsewhere a write to
 *    them does nothing.
 */
#include <sys/mman.h>
#include <glib.h>
#include "pc.h"

#define IOMEM_SIZE 0x10000
#define IOMEM_ADDR 0xff000000u
#define IRQ_LINES 24
#define FLUSH_PAGE 4096

typedef struct PcTestdev {
    IsaDevice isa;
    MemRegion ioport, ioport_byte, flush, irq, iomem;
    uint8_t port[4];
    uint8_t *mem;                      /* IOMEM_SIZE bytes                    */
    uint32_t mem_len;
} PcTestdev;

/* ---- bytes -------------------------------------------------------------- */

static uint64_t port_read(void *dev, uint64_t off, unsigned size)
{
    return ((PcTestdev *)dev)->port[off & 3];
}

static void port_write(void *dev, uint64_t off, uint64_t v, unsigned size)
{
    ((PcTestdev *)dev)->port[off & 3] = v;
}

static const MemOps port_ops = {
    .read = port_read, .write = port_write, .min = 1, .max = 1,
    .valid_max = 4,
};

static uint64_t iomem_read(void *dev, uint64_t off, unsigned size)
{
    const PcTestdev *s = dev;

    return off < IOMEM_SIZE ? s->mem[off] : 0;
}

static void iomem_write(void *dev, uint64_t off, uint64_t v, unsigned size)
{
    PcTestdev *s = dev;

    if (off < IOMEM_SIZE) {
        s->mem[off] = v;
    }
}

static const MemOps iomem_ops = {
    .read = iomem_read, .write = iomem_write, .min = 1, .max = 1,
    .valid_max = 8, .unaligned = true,
};

/* ---- a page that comes and goes ----------------------------------------- */

static uint64_t flush_read(void *dev, uint64_t off, unsigned size)
{
    return 0;
}

static void flush_write(void *dev, uint64_t off, uint64_t v, unsigned size)
{
    uint64_t addr = ALIGN_DOWN(v, FLUSH_PAGE), len = FLUSH_PAGE;
    void *host = mem_map_ram(&mem_system, addr, &len, false);

    if (!host) {
        guest_fault("pc-testdev", "no RAM at 0x%" PRIx64 " to flush", addr);
        return;
    }
    /* Any change of protection makes the host forget what it derived from the
     * mapping; this one never takes the page from other threads. */
    if (len == FLUSH_PAGE && (uintptr_t)host % FLUSH_PAGE == 0) {
        (void)mprotect(host, FLUSH_PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
        (void)mprotect(host, FLUSH_PAGE, PROT_READ | PROT_WRITE);
    }
    mem_unmap_ram(&mem_system, host, len, false, 0);
}

static const MemOps flush_ops = {
    .read = flush_read, .write = flush_write, .min = 4, .max = 4,
    .valid_min = 4, .valid_max = 4,
};

/* ---- interrupt lines ---------------------------------------------------- */

static uint64_t irq_read(void *dev, uint64_t off, unsigned size)
{
    return 0;
}

static void irq_write(void *dev, uint64_t off, uint64_t v, unsigned size)
{
    PcTestdev *s = dev;

    if (off < ARRAY_SIZE(isa_bus(&s->isa)->irq)) {
        irq_set(&isa_bus(&s->isa)->irq[off], v != 0);
    } else if (pc && off < PC_GSI_COUNT) {
        irq_set(&pc->gsi[off], v != 0);
    }
}

static const MemOps irq_ops = {
    .read = irq_read, .write = irq_write, .min = 1, .max = 1, .valid_max = 4,
};

/* ---- device ------------------------------------------------------------- */

static MACHINE_CALL bool testdev_realize(Device *dev, Error **errp)
{
    PcTestdev *s = (PcTestdev *)dev;
    MemRegion *mem = isa_bus(&s->isa)->mem;

    if (!s->mem) {
        s->mem = g_malloc0(IOMEM_SIZE);
        s->mem_len = IOMEM_SIZE;
    }
    mem_init_io(&s->ioport, "pc-testdev-ioport", 4, &port_ops, s);
    mem_init_io(&s->ioport_byte, "pc-testdev-ioport-byte", 4, &port_ops, s);
    mem_init_io(&s->flush, "pc-testdev-flush-page", 4, &flush_ops, s);
    mem_init_io(&s->irq, "pc-testdev-irq-line", IRQ_LINES, &irq_ops, s);
    mem_init_io(&s->iomem, "pc-testdev-iomem", IOMEM_SIZE, &iomem_ops, s);
    isa_map(&s->isa, &s->flush, 0xe4);
    isa_map(&s->isa, &s->ioport, 0xe0);
    isa_map(&s->isa, &s->ioport_byte, 0xe8);
    isa_map(&s->isa, &s->irq, 0x2000);
    device_region(dev, &s->iomem);
    mem_add(mem, IOMEM_ADDR, &s->iomem);
    return true;
}

static MACHINE_CALL void testdev_unrealize(Device *dev)
{
    PcTestdev *s = (PcTestdev *)dev;

    isa_unmap(&s->isa, &s->ioport);
    isa_unmap(&s->isa, &s->ioport_byte);
    isa_unmap(&s->isa, &s->flush);
    isa_unmap(&s->isa, &s->irq);
    mem_fini(&s->iomem);
    g_free(s->mem);
    s->mem = NULL;
}

static void testdev_reset(Device *dev, ResetKind kind)
{
    PcTestdev *s = (PcTestdev *)dev;

    memset(s->port, 0, sizeof(s->port));
    memset(s->mem, 0, IOMEM_SIZE);
}

static const VmState testdev_state = {
    .name = "pc-testdev", .version = 1, .oldest = 1,
    .fields = (const VmField[]){
        VM_BYTES(PcTestdev, port),
        VM_VBYTES(PcTestdev, mem, mem_len, IOMEM_SIZE), VM_END
    },
};

DEVICE(pc_testdev, {
    .name = "pc-testdev", .category = "misc", .on = &bus_isa,
    .desc = "what tests of hypervisors use",
    .doc = "Bytes behind ports and memory-mapped registers that read back, "
           "interrupt lines that a guest sets itself, and a way to make the "
           "host forget its translations of a page.",
    .size = sizeof(PcTestdev),
    .vmstate = &testdev_state,
    .realize = testdev_realize, .unrealize = testdev_unrealize,
    .reset = testdev_reset,
});
