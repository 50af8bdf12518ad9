/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * i8257.c - the PC's two 8237A DMA controllers with their page registers (Intel
 * 8237A data sheet, order 231466; IBM PC AT Technical Reference, "DMA").
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. A channel's current address and count follow from its base registers and
 *    pos, the bytes moved since they were written; pos never exceeds the
 *    channel's length.
 * 2. A device's handler runs only from the controller's work item or timer,
 *    never from within the device's or the guest's own call.
 * 3. An address never leaves its 64-KiB page (128 KiB for 16-bit channels): it
 *    wraps, as the page register does not count.
 */
#include <glib.h>
#include "pc.h"

#define CMD_DISABLE 0x04
#define MODE_TYPE 0x0c
#define MODE_TO_MEMORY 0x04
#define MODE_FROM_MEMORY 0x08
#define MODE_AUTOINIT 0x10
#define MODE_DOWN 0x20
#define RETRY_NS NS_PER_MS

typedef struct DmaChannel {
    uint16_t base_addr, base_count;
    uint8_t mode, page, pageh;
    uint32_t pos;
    IsaDmaFn *fn;
    void *dev;
} DmaChannel;

typedef struct I8257 {
    IsaDevice isa;
    MemRegion chan_io, cont_io, page_io[2], pageh_io[2];
    int32_t base, page_base, pageh_base, dshift;
    uint8_t command, mask, requests, done, flip_flop;
    DmaChannel ch[4];
    IsaDma port;
    Work work;
    Timer timer;
    bool running;
} I8257;

/* ---- transfer ----------------------------------------------------------- */

static uint32_t ch_length(const I8257 *s, const DmaChannel *c)
{
    return ((uint32_t)c->base_count + 1) << s->dshift;
}

/* Bus address of byte pos of the transfer. */
static uint32_t ch_address(const I8257 *s, const DmaChannel *c, uint32_t pos)
{
    uint32_t wrap = 0xffffu << s->dshift | ((1u << s->dshift) - 1);
    uint32_t start = (uint32_t)c->base_addr << s->dshift;
    uint32_t at = c->mode & MODE_DOWN ? start - pos : start + pos;
    uint32_t page = c->page & (s->dshift ? 0xfe : 0xff);

    return (uint32_t)c->pageh << 24 | page << 16 | (at & wrap);
}

static void dma_run(I8257 *s) MACHINE_CALL;

static bool ch_wants(const I8257 *s, int n)
{
    return s->requests >> n & 1 && !(s->mask >> n & 1) &&
           !(s->command & CMD_DISABLE) && s->ch[n].fn;
}

static void ch_run(I8257 *s, int n)
{
    DmaChannel *c = &s->ch[n];
    uint32_t len = ch_length(s, c);
    int pos = c->fn(c->dev, n + (s->dshift ? 4 : 0), c->pos, len);

    c->pos = pos < 0 ? 0 : MIN2((uint32_t)pos, len);
    if (c->pos == len) {
        s->done |= 1 << n;
        if (c->mode & MODE_AUTOINIT) {
            c->pos = 0;
        } else {
            s->mask |= 1 << n;
        }
    }
}

static void dma_run(I8257 *s)
{
    bool more = false;

    /* A handler may change its request, or the guest's command that it
     * completes another channel's: what is left waits for the timer. */
    if (s->running) {
        return;
    }
    s->running = true;
    for (int n = 0; n < 4; n++) {
        if (ch_wants(s, n)) {
            ch_run(s, n);
        }
    }
    for (int n = 0; n < 4; n++) {
        more |= ch_wants(s, n);
    }
    s->running = false;
    if (more && !timer_armed(&s->timer)) {
        timer_set(&s->timer, clock_ns(CLOCK_VM) + RETRY_NS);
    }
}

static void dma_work(void *arg)
{
    machine_assert_locked();
    dma_run(arg);
}

static void dma_kick(I8257 *s)
{
    for (int n = 0; n < 4; n++) {
        if (ch_wants(s, n)) {
            loop_post(loop_main, &s->work);
            return;
        }
    }
}

static bool dma_hold(void *chip, int channel, bool on)
{
    I8257 *s = chip;
    uint8_t bit = 1 << (channel & 3);

    s->requests = on ? s->requests | bit : s->requests & ~bit;
    if (on) {
        dma_kick(s);
    }
    return true;
}

static void dma_attach(void *chip, int channel, IsaDmaFn *fn, void *dev)
{
    I8257 *s = chip;

    s->ch[channel & 3].fn = fn;
    s->ch[channel & 3].dev = dev;
}

static int dma_piece(const I8257 *s, const DmaChannel *c, uint8_t *buf,
                     uint32_t pos, uint32_t n, bool to_memory)
{
    uint32_t at = ch_address(s, c, pos);
    uint32_t span = 0x10000u << s->dshift, left = span - (at & (span - 1));

    if (c->mode & MODE_DOWN) {
        n = 1;
    } else {
        n = MIN2(n, left);
    }
    if (to_memory) {
        mem_write(&mem_system, at, buf, n, MEM_ATTRS_NONE);
    } else {
        mem_read(&mem_system, at, buf, n, MEM_ATTRS_NONE);
    }
    return n;
}

static int dma_xfer(void *chip, int channel, void *buf, int pos, int len,
                    bool to_memory)
{
    I8257 *s = chip;
    DmaChannel *c = &s->ch[channel & 3];
    uint32_t total = ch_length(s, c), n;
    uint8_t want = to_memory ? MODE_TO_MEMORY : MODE_FROM_MEMORY;

    if (pos < 0 || len <= 0 || (uint32_t)pos >= total) {
        return 0;
    }
    n = MIN2((uint32_t)len, total - pos);
    if ((c->mode & MODE_TYPE) != want) {
        /* Verify, or the other direction: cycles without memory. */
        if (!to_memory) {
            memset(buf, 0xff, n);
        }
        return n;
    }
    for (uint32_t i = 0; i < n;) {
        i += dma_piece(s, c, (uint8_t *)buf + i, pos + i, n - i, to_memory);
    }
    return n;
}

/* ---- registers ---------------------------------------------------------- */

static uint64_t chan_read(void *dev, uint64_t off, unsigned size)
{
    I8257 *s = dev;
    unsigned reg = off >> s->dshift;
    DmaChannel *c = &s->ch[reg >> 1 & 3];
    uint32_t moved = c->pos >> s->dshift;
    uint16_t v;

    if (reg & 1) {
        v = c->base_count - moved;
    } else {
        v = c->mode & MODE_DOWN ? c->base_addr - moved : c->base_addr + moved;
    }
    s->flip_flop ^= 1;
    return s->flip_flop ? v & 0xff : v >> 8;
}

static void chan_write(void *dev, uint64_t off, uint64_t v, unsigned size)
{
    I8257 *s = dev;
    unsigned reg = off >> s->dshift;
    DmaChannel *c = &s->ch[reg >> 1 & 3];
    uint16_t *r = reg & 1 ? &c->base_count : &c->base_addr;

    /* Drivers write both registers of a channel: the transfer starts anew. */
    if (s->flip_flop) {
        *r = (*r & 0x00ff) | (v & 0xff) << 8;
    } else {
        *r = (*r & 0xff00) | (v & 0xff);
    }
    s->flip_flop ^= 1;
    c->pos = 0;
}

static void chip_clear(I8257 *s)
{
    s->flip_flop = 0;
    s->command = 0;
    s->done = 0;
    s->mask = 0x0f;
}

static uint64_t cont_read(void *dev, uint64_t off, unsigned size)
{
    I8257 *s = dev;
    uint8_t v;

    switch (off >> s->dshift) {
    case 0:
        v = s->done | s->requests << 4;
        s->done = 0;
        return v;
    case 7:
        return s->mask;
    default:
        return 0;
    }
}

static void cont_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    I8257 *s = dev;
    uint8_t v = val, n = v & 3;

    switch (off >> s->dshift) {
    case 0:
        s->command = v;
        break;
    case 1:                            /* software request                    */
        s->done &= ~(1 << n);
        s->requests = v & 4 ? s->requests | 1 << n : s->requests & ~(1 << n);
        break;
    case 2:
        s->mask = v & 4 ? s->mask | 1 << n : s->mask & ~(1 << n);
        break;
    case 3:
        s->ch[n].mode = v;
        break;
    case 4:
        s->flip_flop = 0;
        break;
    case 5:
        chip_clear(s);
        break;
    case 6:
        s->mask = 0;
        break;
    default:
        s->mask = v & 0x0f;
        break;
    }
    dma_kick(s);
}

/* Page registers of channels 2, 3, 1 and 0 lie at offsets 1, 2, 3 and 7. */
static int page_channel(uint64_t off)
{
    static const int8_t channel[8] = { -1, 2, 3, 1, -1, -1, -1, 0 };

    return channel[off & 7];
}

static uint64_t page_get(I8257 *s, uint64_t off, bool high)
{
    int n = page_channel(off);

    return n < 0 ? 0 : high ? s->ch[n].pageh : s->ch[n].page;
}

static void page_put(I8257 *s, uint64_t off, uint8_t v, bool high)
{
    int n = page_channel(off);

    if (n >= 0) {
        *(high ? &s->ch[n].pageh : &s->ch[n].page) = v;
    }
}

/* The regions begin at offset 1 and at offset 7. */
static uint64_t page_read_1(void *dev, uint64_t off, unsigned size)
{
    return page_get(dev, off + 1, false);
}

static void page_write_1(void *dev, uint64_t off, uint64_t v, unsigned size)
{
    page_put(dev, off + 1, v, false);
}

static uint64_t page_read_7(void *dev, uint64_t off, unsigned size)
{
    return page_get(dev, 7, false);
}

static void page_write_7(void *dev, uint64_t off, uint64_t v, unsigned size)
{
    page_put(dev, 7, v, false);
}

static uint64_t pageh_read_1(void *dev, uint64_t off, unsigned size)
{
    return page_get(dev, off + 1, true);
}

static void pageh_write_1(void *dev, uint64_t off, uint64_t v, unsigned size)
{
    page_put(dev, off + 1, v, true);
}

static uint64_t pageh_read_7(void *dev, uint64_t off, unsigned size)
{
    return page_get(dev, 7, true);
}

static void pageh_write_7(void *dev, uint64_t off, uint64_t v, unsigned size)
{
    page_put(dev, 7, v, true);
}

static const MemOps chan_ops = {
    .read = chan_read, .write = chan_write, .max = 1,
};
static const MemOps cont_ops = {
    .read = cont_read, .write = cont_write, .max = 1,
};
static const MemOps page_ops[2] = {
    { .read = page_read_1, .write = page_write_1, .max = 1 },
    { .read = page_read_7, .write = page_write_7, .max = 1 },
};
static const MemOps pageh_ops[2] = {
    { .read = pageh_read_1, .write = pageh_write_1, .max = 1 },
    { .read = pageh_read_7, .write = pageh_write_7, .max = 1 },
};

/* ---- the device --------------------------------------------------------- */

static MACHINE_CALL void map_pages(I8257 *s, MemRegion mr[2],
                                   const MemOps ops[2], int32_t base)
{
    mem_init_io(&mr[0], "dma-page", 3, &ops[0], s);
    mem_init_io(&mr[1], "dma-page", 1, &ops[1], s);
    isa_map(&s->isa, &mr[0], base + 1);
    isa_map(&s->isa, &mr[1], base + 7);
}

static MACHINE_CALL bool i8257_realize(Device *dev, Error **errp)
{
    I8257 *s = (I8257 *)dev;
    int which = s->dshift != 0;

    if (s->dshift < 0 || s->dshift > 1) {
        return error_set(errp, "i8257: dshift is %d, but must be 0 or 1",
                         s->dshift);
    }
    if (isa_bus(&s->isa)->dma[which]) {
        return error_set(errp, "i8257: the bus has its DMA controllers");
    }
    mem_init_io(&s->chan_io, "dma-chan", 8 << s->dshift, &chan_ops, s);
    mem_init_io(&s->cont_io, "dma-cont", 8 << s->dshift, &cont_ops, s);
    isa_map(&s->isa, &s->chan_io, s->base);
    isa_map(&s->isa, &s->cont_io, s->base + (8 << s->dshift));
    map_pages(s, s->page_io, page_ops, s->page_base);
    if (s->pageh_base >= 0) {
        map_pages(s, s->pageh_io, pageh_ops, s->pageh_base);
    }
    s->work = (Work){ .fn = dma_work, .arg = s };
    timer_init(&s->timer, NULL, CLOCK_VM, dma_work, s);
    s->port = (IsaDma){
        .chip = s, .hold = dma_hold, .xfer = dma_xfer, .attach = dma_attach,
    };
    isa_bus(&s->isa)->dma[which] = &s->port;
    return true;
}

static MACHINE_CALL void i8257_unrealize(Device *dev)
{
    I8257 *s = (I8257 *)dev;

    isa_bus(&s->isa)->dma[s->dshift != 0] = NULL;
    work_cancel(loop_main, &s->work);
    timer_clear(&s->timer);
    isa_unmap(&s->isa, &s->chan_io);
    isa_unmap(&s->isa, &s->cont_io);
    for (int i = 0; i < 2; i++) {
        isa_unmap(&s->isa, &s->page_io[i]);
        if (s->pageh_base >= 0) {
            isa_unmap(&s->isa, &s->pageh_io[i]);
        }
    }
}

static void i8257_reset(Device *dev, ResetKind kind)
{
    I8257 *s = (I8257 *)dev;

    timer_clear(&s->timer);
    chip_clear(s);
    s->requests = 0;
}

static bool i8257_after_load(void *opaque, int version, Error **errp)
{
    I8257 *s = opaque;

    s->mask &= 15;
    s->requests &= 15;
    s->done &= 15;
    s->flip_flop &= 1;
    for (int i = 0; i < 4; i++) {
        if (s->ch[i].pos > ch_length(s, &s->ch[i])) {
            return error_set(errp, "i8257: channel %d has moved more than its "
                             "length", i);
        }
    }
    machine_assert_locked();
    dma_kick(s);
    return true;
}

static const VmState channel_state = {
    .name = "channel", .version = 1, .oldest = 1,
    .fields = (const VmField[]){
        VM_U16(DmaChannel, base_addr), VM_U16(DmaChannel, base_count),
        VM_U8(DmaChannel, mode), VM_U8(DmaChannel, page),
        VM_U8(DmaChannel, pageh), VM_U32(DmaChannel, pos),
        VM_END
    },
};

static const VmState i8257_state = {
    .name = "dma", .version = 1, .oldest = 1, .after_load = i8257_after_load,
    .fields = (const VmField[]){
        VM_U8(I8257, command), VM_U8(I8257, mask), VM_U8(I8257, requests),
        VM_U8(I8257, done), VM_U8(I8257, flip_flop),
        VM_STRUCTS(I8257, ch, &channel_state),
        VM_END
    },
};

static const Prop i8257_props[] = {
    PROP_I32("base", I8257, base, 0, .desc = "first port"),
    PROP_I32("page-base", I8257, page_base, 0x80,
             .desc = "port before the first page register"),
    PROP_I32("pageh-base", I8257, pageh_base, 0x480,
             .desc = "port before the first high page register, -1 for none"),
    PROP_I32("dshift", I8257, dshift, 0,
             .desc = "0 for 8-bit channels, 1 for 16-bit channels"),
    PROP_END
};

DEVICE(i8257, {
    .name = "i8257", .category = "misc", .on = &bus_isa,
    .flags = DT_INTERNAL | DT_NO_HOTPLUG,
    .desc = "8237A DMA controller",
    .doc = "One of the PC's two DMA controllers.",
    .size = sizeof(I8257), .props = i8257_props, .vmstate = &i8257_state,
    .realize = i8257_realize, .unrealize = i8257_unrealize,
    .reset = i8257_reset,
});

static MACHINE_CALL bool i8257_make(IsaBus *isa, int base, int page, int shift,
                                    Error **errp)
{
    Device *d = device_make("i8257");

    device_set_int(d, "base", base);
    device_set_int(d, "page-base", page);
    device_set_int(d, "pageh-base", -1);
    device_set_int(d, "dshift", shift);
    if (!device_realize(d, &isa->bus, errp)) {
        device_free(d);
        return false;
    }
    return true;
}

bool dma8237_create(IsaBus *isa, Error **errp)
{
    return i8257_make(isa, 0x00, 0x80, 0, errp) &&
           i8257_make(isa, 0xc0, 0x88, 1, errp);
}
