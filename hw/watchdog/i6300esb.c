/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * i6300esb.c - the watchdog of Intel's 6300ESB I/O controller hub (datasheet
 * 300641, "Watchdog Timer"): two stages of a 20-bit count of the PCI clock,
 * divided by 2^15 or 2^5. The first ends in an interrupt's flag, the second in
 * what the user chose.
 *
 * Configuration space: 0x60 configuration (bits 0-1 interrupt's kind, 2 divider,
 * 5 no output), 0x68 lock (0 locked, 1 enable, 2 free running). BAR 0: 0x00 and
 * 0x04 the stages' preloads, 0x08 interrupt status, 0x0c reload (bit 8) and
 * time-out (bit 9). A write to the preloads or the reload register counts only
 * after 0x80 and 0x86 were written to 0x0c.
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. stage is 1 or 2; the timer is armed only while ENABLE is set.
 * 2. The preloads have 20 bits.
 */
#include "hw/watchdog/watchdog.h"
#include "pci.h"

#define CONFIG 0x60
#define CONFIG_INT 3
#define CONFIG_FAST 4
#define CONFIG_NO_OUTPUT 0x20
#define LOCK 0x68
#define LOCK_LOCKED 1
#define LOCK_ENABLE 2
#define LOCK_FREE 4
#define PRELOAD_MASK 0xfffffu
#define UNLOCK1 0x80
#define UNLOCK2 0x86
#define RELOAD 0x100
#define TIMEOUT 0x200
#define PCI_HZ 33000000ull

typedef struct I6300esb {
    PciDevice pci;
    MemRegion regs;
    Timer timer;
    uint32_t preload[2];
    uint8_t stage, unlock;             /* steps of the sequence that were seen */
    bool flag, timed_out;
} I6300esb;

/* ---- time ---------------------------------------------------------------- */

static void stage_begin(I6300esb *s, unsigned stage)
{
    unsigned shift = s->pci.config[CONFIG] & CONFIG_FAST ? 5 : 15;
    uint64_t ticks = ((uint64_t)s->preload[stage - 1] + 1) << shift;

    s->stage = stage;
    timer_set(&s->timer, clock_ns(CLOCK_VM) +
              (int64_t)(ticks * (NS_PER_S / 1000) / (PCI_HZ / 1000)));
}

/* In free running mode there is no first stage. */
static void count_begin(I6300esb *s)
{
    stage_begin(s, s->pci.config[LOCK] & LOCK_FREE ? 2 : 1);
}

static void expired(void *arg)
{
    I6300esb *s = arg;
    uint8_t config = s->pci.config[CONFIG];

    machine_assert_locked();
    if (s->stage == 1) {
        /* No line of this board takes it; the flag is there to be read. */
        s->flag |= (config & CONFIG_INT) == 0;
        stage_begin(s, 2);
        return;
    }
    s->timed_out = true;
    if (s->pci.config[LOCK] & LOCK_FREE) {
        count_begin(s);
    }
    if (!(config & CONFIG_NO_OUTPUT)) {
        watchdog_fired();
    }
}

/* ---- registers ----------------------------------------------------------- */

static void esb_config_write(PciDevice *d, uint32_t off, uint32_t v,
                             unsigned size) NO_TSA;
static void esb_config_write(PciDevice *d, uint32_t off, uint32_t v,
                             unsigned size)
{
    I6300esb *s = container_of(d, I6300esb, pci);
    uint8_t before = d->config[LOCK];

    pci_config_write_default(d, off, v, size);
    if (before & LOCK_LOCKED) {
        d->config[LOCK] = before;      /* until the power is cycled           */
    }
    if (!(before & LOCK_ENABLE) && d->config[LOCK] & LOCK_ENABLE) {
        count_begin(s);
    } else if (!(d->config[LOCK] & LOCK_ENABLE)) {
        timer_clear(&s->timer);
    }
}

static uint64_t esb_read(void *dev, uint64_t off, unsigned size)
{
    const I6300esb *s = dev;

    switch (off) {
    case 0x08:
        return s->flag;
    case 0x0c:
        return s->timed_out ? TIMEOUT : 0;
    default:                           /* the preloads are write-only         */
        return 0;
    }
}

static void reload_write(I6300esb *s, uint32_t v)
{
    if (s->unlock == 2) {
        s->unlock = 0;
        if (v & TIMEOUT) {
            s->timed_out = false;
        }
        if (v & RELOAD && s->pci.config[LOCK] & LOCK_ENABLE) {
            count_begin(s);
        }
    } else if (v == UNLOCK2 && s->unlock == 1) {
        s->unlock = 2;
    } else {
        s->unlock = v == UNLOCK1;
    }
}

static void esb_write(void *dev, uint64_t off, uint64_t v, unsigned size)
{
    I6300esb *s = dev;

    if (off == 0x0c) {
        reload_write(s, v);
    } else if (off == 0x08) {
        s->flag &= !(v & 1);
    } else if ((off == 0 || off == 4) && s->unlock == 2) {
        s->preload[off / 4] = v & PRELOAD_MASK;
        s->unlock = 0;
    }
}

static const MemOps esb_ops = { .read = esb_read, .write = esb_write,
                                .max = 4 };

/* ---- life ---------------------------------------------------------------- */

static MACHINE_CALL bool esb_realize(Device *dev, Error **errp)
{
    I6300esb *s = (I6300esb *)dev;

    s->pci.config_write = esb_config_write;
    s->pci.wmask[CONFIG] = CONFIG_INT | CONFIG_FAST | CONFIG_NO_OUTPUT;
    s->pci.wmask[LOCK] = LOCK_LOCKED | LOCK_ENABLE | LOCK_FREE;
    timer_init(&s->timer, NULL, CLOCK_VM, expired, s);
    mem_init_io(&s->regs, "i6300esb", 0x10, &esb_ops, s);
    pci_bar(&s->pci, 0, PCI_BAR_MEM32, &s->regs);
    return true;
}

static MACHINE_CALL void esb_unrealize(Device *dev)
{
    I6300esb *s = (I6300esb *)dev;

    timer_clear(&s->timer);
    mem_fini(&s->regs);
}

/* The time-out stays: firmware and kernels ask why they were reset. */
static MACHINE_CALL void esb_reset(Device *dev, ResetKind kind)
{
    I6300esb *s = (I6300esb *)dev;

    timer_clear(&s->timer);
    s->pci.config[CONFIG] = s->pci.config[LOCK] = 0;
    s->preload[0] = s->preload[1] = PRELOAD_MASK;
    s->stage = 1;
    s->unlock = 0;
    s->flag = false;
}

static bool esb_loaded(void *opaque, int version, Error **errp)
{
    I6300esb *s = opaque;

    if ((s->stage != 1 && s->stage != 2) || s->unlock > 2 ||
        (s->preload[0] | s->preload[1]) > PRELOAD_MASK) {
        return error_set(errp, "i6300esb: stage %u, preloads 0x%x and 0x%x",
                         s->stage, s->preload[0], s->preload[1]);
    }
    return true;
}

static const VmState esb_state = {
    .name = "i6300esb_wdt", .version = 1, .oldest = 1,
    .after_load = esb_loaded,
    .fields = (const VmField[]){
        VM_TIMER(I6300esb, timer), VM_ARRAY(I6300esb, preload, VK_U32),
        VM_U8(I6300esb, stage), VM_U8(I6300esb, unlock),
        VM_BOOL(I6300esb, flag), VM_BOOL(I6300esb, timed_out),
        VM_END
    },
};

DEVICE(i6300esb, {
    .name = "i6300esb", .category = "watchdog", .on = &bus_pci,
    .on_info = &(const PciInfo){
        .vendor = 0x8086, .device = 0x25ab, .class_code = 0x088000,
    },
    .desc = "Intel 6300ESB",
    .doc = "The PCI watchdog that Linux and Windows have drivers for. What it "
           "does when it fires is the choice of -action watchdog=.",
    .size = sizeof(I6300esb), .vmstate = &esb_state,
    .realize = esb_realize, .unrealize = esb_unrealize, .reset = esb_reset,
});
