/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * toy-pci.c - a made-up PCI function that fills guest memory after a while: the
 * worked example of docs/add-a-device.md, and proof that a device is one file.
 *
 * BAR 0, 32-bit registers: 0x00 identity; 0x04 control (bit 0 starts);
 * 0x08, 0x0c address, low and high half; 0x10 bytes to fill; 0x14 status (bit 0
 * done, bit 1 refused; write 1 to clear); 0x18 fills done. BAR 1: MSI-X, one
 * vector, raised when a fill ends.
 *
 * Thread: the machine lock.
 * 1. While RUN is set the timer is armed, and only then.
 * 2. length is at most burst when a fill starts: checked in toy_fill and after
 *    a load, whatever was written.
 */
#include "pci.h"

#define TOY_ID 0x31796f74u              /* "toy1"                           */
#define CTRL_RUN 1u
#define STATUS_DONE 1u
#define STATUS_REFUSED 2u
#define CHUNK 256

typedef struct ToyPci {
    PciDevice pci;
    MemRegion regs;
    Timer timer;
    uint32_t interval;                  /* properties                       */
    uint8_t pattern;
    uint32_t burst;
    uint32_t control, status, length, fills;    /* what the guest sees      */
    uint64_t addr;
} ToyPci;

static void toy_fill(ToyPci *s)
{
    uint8_t chunk[CHUNK];
    uint32_t left = s->length;
    uint64_t at = s->addr;

    if (left > s->burst) {
        guest_fault("toy-pci", "length %u above burst %u", left, s->burst);
        s->status |= STATUS_REFUSED;
        return;
    }
    memset(chunk, s->pattern, sizeof(chunk));
    while (left) {
        uint32_t n = MIN2(left, CHUNK);

        if (pci_dma_write(&s->pci, at, chunk, n) != MEM_OK) {
            s->status |= STATUS_REFUSED;
            return;
        }
        at += n;
        left -= n;
    }
    s->fills++;
}

static void toy_expired(void *arg)
{
    ToyPci *s = arg;

    s->control &= ~CTRL_RUN;
    toy_fill(s);
    s->status |= STATUS_DONE;
    TRACE(toy_pci_done, "toy-pci: %u fills, status %u", s->fills, s->status);
    msix_notify(&s->pci, 0);
}

static uint64_t toy_read(void *dev, uint64_t off, unsigned size)
{
    ToyPci *s = dev;

    switch (off) {
    case 0x00: return TOY_ID;
    case 0x04: return s->control;
    case 0x08: return (uint32_t)s->addr;
    case 0x0c: return s->addr >> 32;
    case 0x10: return s->length;
    case 0x14: return s->status;
    case 0x18: return s->fills;
    default:
        guest_fault("toy-pci", "read of register 0x%" PRIx64, off);
        return 0;
    }
}

static void toy_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    ToyPci *s = dev;

    switch (off) {
    case 0x04:
        if ((val & CTRL_RUN) && !(s->control & CTRL_RUN)) {
            s->control |= CTRL_RUN;
            timer_set(&s->timer, clock_ns(CLOCK_VM) + s->interval * NS_PER_MS);
        }
        break;
    case 0x08:
        s->addr = (s->addr & ~0xffffffffull) | (uint32_t)val;
        break;
    case 0x0c:
        s->addr = (uint32_t)s->addr | val << 32;
        break;
    case 0x10:
        s->length = val;
        break;
    case 0x14:
        s->status &= ~val;
        break;
    default:
        guest_fault("toy-pci", "write of register 0x%" PRIx64, off);
    }
}

static const MemOps toy_ops = {
    .read = toy_read, .write = toy_write, .min = 4, .max = 4,
};

static MACHINE_CALL bool toy_realize(Device *dev, Error **errp)
{
    ToyPci *s = (ToyPci *)dev;

    if (!msix_init_bar(&s->pci, 1, 1, errp)) {
        return false;
    }
    mem_init_io(&s->regs, "toy-pci", 4096, &toy_ops, s);
    pci_bar(&s->pci, 0, PCI_BAR_MEM32, &s->regs);
    timer_init(&s->timer, NULL, CLOCK_VM, toy_expired, s);
    return true;
}

static MACHINE_CALL void toy_unrealize(Device *dev)
{
    ToyPci *s = (ToyPci *)dev;

    timer_clear(&s->timer);
    msix_fini(&s->pci);
    mem_fini(&s->regs);
}

static MACHINE_CALL void toy_reset(Device *dev, ResetKind kind)
{
    ToyPci *s = (ToyPci *)dev;

    timer_clear(&s->timer);
    s->control = s->status = s->length = s->fills = 0;
    s->addr = 0;
}

static bool toy_loaded(void *opaque, int version, Error **errp)
{
    ToyPci *s = opaque;

    if (!(s->control & CTRL_RUN) != !timer_armed(&s->timer)) {
        return error_set(errp, "toy-pci: control 0x%x does not fit its timer",
                         s->control);
    }
    return true;
}

static const Prop toy_props[] = {
    PROP_U32("interval", ToyPci, interval, 10, .min = 1, .max = 60000,
             .desc = "milliseconds from start to fill",
             .compat = (const PropCompat[]){ { 701, "20" }, { 0 } }),
    PROP_U8("pattern", ToyPci, pattern, 0xa5, .desc = "byte to fill with"),
    PROP_SIZE32("burst", ToyPci, burst, 4096, .max = 65536,
                .desc = "most bytes in one fill"),
    PROP_END
};

static const VmState toy_state = {
    .name = "toy-pci", .version = 1, .oldest = 1, .after_load = toy_loaded,
    .fields = (const VmField[]){
        VM_U32(ToyPci, control), VM_U32(ToyPci, status),
        VM_U32(ToyPci, length), VM_U32(ToyPci, fills), VM_U64(ToyPci, addr),
        VM_TIMER(ToyPci, timer),
        VM_END
    },
};

DEVICE(toy_pci, {
    .name = "toy-pci", .category = "misc", .size = sizeof(ToyPci),
    .desc = "toy that fills guest memory",
    .doc = "Fills a range of guest memory with one byte a while after the guest "
           "asks, and says so by MSI-X. An example for authors of devices.",
    .on = &bus_pci,
    .on_info = &(const PciInfo){
        .vendor = 0x1af4, .device = 0x10f0, .class_code = 0xff0000,
    },
    .props = toy_props, .vmstate = &toy_state,
    .realize = toy_realize, .unrealize = toy_unrealize, .reset = toy_reset,
});
