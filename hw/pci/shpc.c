/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * shpc.c - the standard hot-plug controller of a bridge (SHPC 1.0, chapter 4): a
 * slot for each of devices 1 to 31, their states, indicators and events, the
 * commands by which the guest changes them, its interrupt.
 *
 * A slot that is disabled with its power indicator off lets its device go.
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. The guest changes only what reg_write lets it.
 * 2. A slot that is shown as empty has its latch open, and the other way round.
 */
#include <glib.h>
#include "hw/pci/shpc.h"

enum { SLOTS_33 = 0x04, SLOT_CONF = 0x0c, PROG_IF = 0x13,
       COMMAND = 0x14, STATUS = 0x16, INT_LOCATOR = 0x18, SERR_INT = 0x20,
       SLOT_0 = 0x24 };
enum { CAP_SELECT = 2, CAP_PENDING = 3, CAP_DATA = 4 };
enum { MASK_INT = 1, MASK_COMMAND = 4, DETECTED_COMMAND = 1 << 16,
       DETECTED_ARBITER = 1 << 17 };
/* A slot's word. */
enum { STATE = 3, STATE_POWER = 1, STATE_ON = 2, STATE_OFF = 3,
       LED = 3 << 2, LED_ON = 1 << 2, LED_OFF = 3 << 2, ATTENTION = 3 << 4,
       LATCH_OPEN = 1 << 8, PRESENCE = 3 << 10, EMPTY = 3 << 10,
       EV_PRESENCE = 1 << 16, EV_BUTTON = 1 << 18, EV_LATCH = 1 << 19,
       EV_ALL = 0x1f << 16 };
enum { BAD_COMMAND = 4, BAD_SPEED = 8 };

static uint8_t *slot_reg(Shpc *s, unsigned slot)   /* 1..31                   */
{
    return s->regs + SLOT_0 + 4 * (slot - 1);
}

static uint32_t slot_get(Shpc *s, unsigned slot)
{
    return ld_le32(slot_reg(s, slot));
}

static void slot_put(Shpc *s, unsigned slot, uint32_t clear, uint32_t set)
{
    st_le32(slot_reg(s, slot), (slot_get(s, slot) & ~clear) | set);
}

/* ---- the interrupt ------------------------------------------------------- */

static MACHINE_CALL void update(Shpc *s)
{
    uint32_t control = ld_le32(s->regs + SERR_INT), locator = 0;
    bool on;

    if (control & DETECTED_COMMAND && !(control & MASK_COMMAND)) {
        locator |= 1;
    }
    for (unsigned slot = 1; slot <= SHPC_SLOTS; slot++) {
        uint32_t v = slot_get(s, slot);

        if (v >> 16 & ~(v >> 24) & 0x1f) {
            locator |= 1u << slot;
        }
    }
    st_le32(s->regs + INT_LOCATOR, locator);
    on = locator && !(control & MASK_INT);
    s->fn->config[s->cap + CAP_PENDING] = on ? 0x80 : 0;
    if (msi_enabled(s->fn)) {
        if (on && !s->asserted) {
            msi_notify(s->fn, 0);
        }
    } else {
        pci_irq(s->fn, on);
    }
    s->asserted = on;
}

/* ---- devices ------------------------------------------------------------- */

static bool occupied(const Shpc *s, unsigned slot)
{
    return s->below && s->below->devices[PCI_DEVFN(slot, 0)];
}

static MACHINE_CALL void let_go(Shpc *s, unsigned slot)
{
    if (!s->below) {
        return;
    }
    for (int fn = 7; fn >= 0; fn--) {
        PciDevice *d = s->below->devices[PCI_DEVFN(slot, fn)];

        if (d) {
            device_unplug(&d->dev);
        }
    }
    slot_put(s, slot, 0, LATCH_OPEN | EMPTY | EV_PRESENCE | EV_LATCH);
}

static MACHINE_CALL bool slot_ok(const PciDevice *d, Error **errp)
{
    return PCI_SLOT(d->devfn) ||
           error_set(errp, "Unsupported PCI slot %d for standard hotplug "
                     "controller. Valid slots are between 1 and %d.",
                     PCI_SLOT(d->devfn), SHPC_SLOTS);
}

static MACHINE_CALL bool plug(PciBus *bus, PciDevice *d, Error **errp)
{
    Shpc *s = bus->hotplug_opaque;
    unsigned slot = PCI_SLOT(d->devfn);

    if (!slot_ok(d, errp)) {
        return false;
    }
    /* The guest looks at a slot once its function 0 is there. */
    if (!PCI_FUNC(d->devfn)) {
        slot_put(s, slot, LATCH_OPEN | PRESENCE,
                 EV_PRESENCE | EV_BUTTON | EV_LATCH);
        update(s);
    }
    return true;
}

static MACHINE_CALL bool unplug_request(PciBus *bus, PciDevice *d, Error **errp)
{
    Shpc *s = bus->hotplug_opaque;
    unsigned slot = PCI_SLOT(d->devfn);

    if (!slot_ok(d, errp)) {
        return false;
    }
    if ((slot_get(s, slot) & (STATE | LED)) == (STATE_OFF | LED_OFF)) {
        let_go(s, slot);               /* the guest does not use it           */
    } else {
        slot_put(s, slot, 0, EV_BUTTON);
    }
    update(s);
    return true;
}

void shpc_bus(Shpc *s, PciBus *below)
{
    s->below = below;
    shpc_reset(s);
    if (below->hotplug) {
        return;
    }
    below->hotplug = plug;
    below->hot_unplug = unplug_request;
    below->hotplug_opaque = s;
    below->bus.hotpluggable = true;
}

/* ---- commands ------------------------------------------------------------ */

/* State, power indicator, attention indicator; 0 leaves it. */
static MACHINE_CALL unsigned slot_command(Shpc *s, unsigned slot, uint32_t what)
{
    uint32_t now, state = what & STATE;

    if (!slot || slot > SHPC_SLOTS) {
        return BAD_COMMAND;
    }
    now = slot_get(s, slot);
    if (state == STATE_POWER && (now & STATE) == STATE_ON) {
        return BAD_COMMAND;
    }
    slot_put(s, slot, (state ? STATE : 0) | (what & LED ? LED : 0) |
             (what & ATTENTION ? ATTENTION : 0), what);
    if ((slot_get(s, slot) & (STATE | LED)) == (STATE_OFF | LED_OFF) &&
        occupied(s, slot)) {
        let_go(s, slot);
    }
    return 0;
}

static unsigned all_slots(Shpc *s, uint32_t state)
{
    for (unsigned slot = 1; slot <= SHPC_SLOTS; slot++) {
        if ((slot_get(s, slot) & STATE) == STATE_ON && state == STATE_POWER) {
            return BAD_COMMAND;
        }
    }
    for (unsigned slot = 1; slot <= SHPC_SLOTS; slot++) {
        if (!(slot_get(s, slot) & LATCH_OPEN)) {
            slot_put(s, slot, STATE | LED, state | LED_ON);
        }
    }
    return 0;
}

static MACHINE_CALL void command(Shpc *s)
{
    uint8_t code = s->regs[COMMAND], slot = s->regs[COMMAND + 1] & 0x1f;
    unsigned bad = BAD_COMMAND;

    if (code && code < 0x40) {
        bad = slot_command(s, slot, code);
    } else if (code >= 0x40 && code < 0x48) {
        bad = code == 0x40 ? 0 : BAD_SPEED;        /* 33 MHz, conventional    */
    } else if (code == 0x48 || code == 0x49) {
        bad = all_slots(s, code == 0x48 ? STATE_POWER : STATE_ON);
    }
    st_le16(s->regs + STATUS, (uint16_t)bad);
    s->regs[SERR_INT + 2] |= DETECTED_COMMAND >> 16;
}

/* ---- registers ----------------------------------------------------------- */

static void byte_write(Shpc *s, unsigned off, uint8_t v)
{
    unsigned part = (off - SLOT_0) & 3;

    if (off == COMMAND) {
        s->regs[off] = v;
    } else if (off == COMMAND + 1) {
        s->regs[off] = v & 0x1f;
    } else if (off == SERR_INT) {
        s->regs[off] = v & 0x0f;
    } else if (off == SERR_INT + 2) {
        s->regs[off] &= ~(v & 3);
    } else if (off >= SLOT_0 && off < SLOT_0 + 4 * SHPC_SLOTS && part == 2) {
        s->regs[off] &= ~(v & 0x1f);
    } else if (off >= SLOT_0 && off < SLOT_0 + 4 * SHPC_SLOTS && part == 3) {
        s->regs[off] = v & 0x7f;
    }
}

static MACHINE_CALL void reg_write(Shpc *s, unsigned off, uint32_t v,
                                   unsigned size)
{
    for (unsigned i = 0; i < size && off + i < SHPC_LEN; i++) {
        byte_write(s, off + i, (uint8_t)(v >> 8 * i));
    }
    if (off <= COMMAND + 1 && off + size > COMMAND + 1) {
        command(s);
    }
    update(s);
}

static uint64_t shpc_reg_read(void *dev, uint64_t off, unsigned size)
{
    const Shpc *s = dev;
    uint32_t v = 0;

    for (unsigned i = 0; i < size; i++) {
        v |= (uint32_t)s->regs[off + i] << 8 * i;
    }
    return v;
}

static void shpc_reg_write(void *dev, uint64_t off, uint64_t v, unsigned size)
    NO_TSA;
static void shpc_reg_write(void *dev, uint64_t off, uint64_t v, unsigned size)
{
    reg_write(dev, (unsigned)off, (uint32_t)v, size);
}

static const MemOps shpc_ops = { .read = shpc_reg_read,
                                 .write = shpc_reg_write, .min = 1, .max = 4 };

/* The same registers through configuration space: select, then data. */
void shpc_config_read(Shpc *s)
{
    uint32_t at = s->fn->config[s->cap + CAP_SELECT] * 4u;

    st_le32(s->fn->config + s->cap + CAP_DATA,
            at < SHPC_LEN ? ld_le32(s->regs + at) : 0);
}

void shpc_config_write(Shpc *s, uint32_t off, unsigned size)
{
    uint32_t data = s->cap + CAP_DATA;
    uint32_t at = s->fn->config[s->cap + CAP_SELECT] * 4u;

    if (off >= data && off + size <= data + 4 && at < SHPC_LEN) {
        uint8_t *p = s->fn->config + off;
        uint32_t v = size == 1 ? *p : size == 2 ? ld_le16(p) : ld_le32(p);

        reg_write(s, at + (off - data), v, size);
    }
}

/* ---- life ---------------------------------------------------------------- */

bool shpc_init(Shpc *s, PciDevice *fn, unsigned cap, Error **errp)
{
    if (pci_cap(fn, PCI_CAP_ID_SHPC, (uint8_t)cap, 8, errp) < 0) {
        return false;
    }
    s->fn = fn;
    s->cap = (uint8_t)cap;
    fn->wmask[cap + CAP_SELECT] = 0xff;
    memset(fn->wmask + cap + CAP_DATA, 0xff, 4);
    pci_set_pin(fn, 1);
    mem_init_io(&s->mem, "shpc-mmio", SHPC_LEN, &shpc_ops, s);
    /* A command may take devices apart, whose BARs are unmapped meanwhile. */
    s->mem.flags |= MRF_REENTRANT;
    pci_bar(fn, 0, PCI_BAR_MEM64, &s->mem);
    return true;
}

void shpc_fini(Shpc *s)
{
    if (s->below && s->below->hotplug_opaque == s) {
        s->below->hotplug = NULL;
        s->below->hot_unplug = NULL;
        s->below->hotplug_opaque = NULL;
    }
    s->below = NULL;
    mem_fini(&s->mem);
}

void shpc_reset(Shpc *s)
{
    memset(s->regs, 0, sizeof(s->regs));
    s->regs[SLOTS_33] = SHPC_SLOTS;
    /* First device number 1, physical slot 1 and up; every slot has a latch
     * sensor and a button. */
    st_le32(s->regs + SLOT_CONF, 0xe0010100 | SHPC_SLOTS);
    s->regs[PROG_IF] = 1;
    s->regs[SERR_INT] = 0x0f;                      /* all masked              */
    for (unsigned slot = 1; slot <= SHPC_SLOTS; slot++) {
        st_le32(slot_reg(s, slot), 0x7f000000 |
                (occupied(s, slot) ? STATE_ON | LED_ON
                                   : STATE_OFF | LED_OFF | LATCH_OPEN | EMPTY));
    }
    s->fn->config[s->cap + CAP_SELECT] = 0;
    update(s);
}
