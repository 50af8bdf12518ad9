/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cirrus-mem.c - the GD5446's windows (Technical Reference Manual, chapters on
 * display memory and memory-mapped I/O): banks at a0000, the linear frame
 * buffer, blitter registers and blitter data.
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. Every address is masked with size - 1.
 * 2. Video memory is mapped for direct access only where an access does nothing
 *    but reach its bytes: no blit waits for data, no extended write mode.
 */
#include "hw/display/cirrus.h"

#define BANK 0x8000u
#define MMIO_BYTES 0x100u

/* ---- blitter registers in memory ----------------------------------------- */
/* Graphics register of each byte; 0xff: none. */
static const uint8_t mmio_map[0x41] = {
    0x00, 0x10, 0x12, 0x14, 0x01, 0x11, 0x13, 0x15,
    0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27,
    0x28, 0x29, 0x2a, 0xff, 0x2c, 0x2d, 0x2e, 0x2f,
    0x30, 0xff, 0x32, 0x33, 0x34, 0x35, 0xff, 0xff,
    0x38, 0x39, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x31,
};

static uint8_t regs_read(const Cirrus *c, uint32_t off)
{
    return off < sizeof(mmio_map) && mmio_map[off] != 0xff
        ? cirrus_gfx_read(c, mmio_map[off]) : 0xff;
}

static MACHINE_CALL void regs_write(Cirrus *c, uint32_t off, uint8_t val)
{
    if (off < sizeof(mmio_map) && mmio_map[off] != 0xff) {
        cirrus_gfx_write(c, mmio_map[off], val);
    }
}

static uint64_t mmio_read(void *dev, uint64_t off, unsigned size)
{
    Cirrus *c = cirrus_of(dev);

    machine_assert_locked();
    return off >= MMIO_BYTES ? regs_read(c, (uint32_t)off - MMIO_BYTES)
        : off < 0x20 ? cirrus_port_read(c, 0x3c0 + (unsigned)off) : 0;
}

static void mmio_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    Cirrus *c = cirrus_of(dev);

    machine_assert_locked();
    if (off >= MMIO_BYTES) {
        regs_write(c, (uint32_t)off - MMIO_BYTES, (uint8_t)val);
    } else if (off < 0x20) {
        cirrus_port_write(c, 0x3c0 + (unsigned)off, (uint8_t)val);
    }
}

const MemOps cirrus_mmio_ops = {
    .read = mmio_read, .write = mmio_write, .min = 1, .max = 1,
};

/* ---- video memory -------------------------------------------------------- */
static void put(Vga *v, uint32_t at, uint8_t val)
{
    at &= v->size - 1;
    v->mem[at] = val;
    ram_dirty(v->vram.ram, at, 1);
}

/* Addresses that name 8 or 16 bytes each. */
static uint32_t spread(const Vga *v, uint32_t at)
{
    unsigned ext = v->gfx[GR_EXT];

    if ((ext & (EXT_BY16 | EXT_MODES)) == (EXT_BY16 | EXT_MODES)) {
        return at << 4;
    }
    return ext & EXT_BY8 ? at << 3 : at;
}

static bool extended_mode(const Vga *v)
{
    unsigned mode = v->gfx[GFX_MODE] & 7;

    return v->gfx[GR_EXT] & EXT_MODES && (mode == 4 || mode == 5);
}

/* Write modes 4 and 5: eight pixels by the bits of a byte; 1 is foreground, 0
 * background or nothing. */
static void write_extended(Cirrus *c, uint32_t at, uint8_t val)
{
    Vga *v = &c->vga;
    bool wide = (v->gfx[GR_EXT] & (EXT_BY16 | EXT_MODES)) ==
        (EXT_BY16 | EXT_MODES);
    bool both = (v->gfx[GFX_MODE] & 7) == 5;

    for (unsigned i = 0; i < 8; i++) {
        bool set = val & 0x80u >> i;

        if (!set && !both) {
            continue;
        }
        if (wide) {
            put(v, at + 2 * i, set ? c->fg : c->bg);
            put(v, at + 2 * i + 1, v->gfx[set ? GR_FG1 : GR_BG1]);
        } else {
            put(v, at + i, set ? c->fg : c->bg);
        }
    }
}

static void write_linear(Cirrus *c, uint32_t at, uint8_t val)
{
    if (extended_mode(&c->vga)) {
        write_extended(c, at & (c->vga.size - 1), val);
    } else {
        put(&c->vga, at, val);
    }
}

/* ---- the window at a0000 ------------------------------------------------- */
static uint32_t bank_base(const Vga *v, unsigned bank, uint32_t *limit)
{
    bool two = v->gfx[GR_EXT] & EXT_TWO_BANKS;
    uint32_t at = v->gfx[two && bank ? GR_BANK1 : GR_BANK0];

    at <<= v->gfx[GR_EXT] & EXT_16K ? 14 : 12;
    *limit = at < v->size ? v->size - at : 0;
    if (!two && bank) {
        if (*limit <= BANK) {
            *limit = 0;
        } else {
            at += BANK;
            *limit -= BANK;
        }
    }
    return at;
}

/* Video memory's address of a window's; false: there is none. */
static bool locate(const Vga *v, uint32_t off, uint32_t *at)
{
    uint32_t limit, base;

    if (off >= 2 * BANK) {
        return false;
    }
    base = bank_base(v, off / BANK, &limit);
    if (off % BANK >= limit) {
        return false;
    }
    *at = spread(v, base + off % BANK);
    return true;
}

static bool mmio_at(const Vga *v, unsigned where)
{
    return (v->seq[SR_CONFIG] & 0x44) == where;
}

static uint8_t window_byte(Vga *v, uint64_t off)
{
    uint32_t at;

    if (!(v->seq[SR_MODE] & 1)) {
        return vga_window_read(v, (uint32_t)off);
    }
    if (off < 0x10000) {
        return locate(v, (uint32_t)off, &at) ? v->mem[at & (v->size - 1)]
                                             : 0xff;
    }
    return off >= 0x18000 && off < 0x18100 && mmio_at(v, 0x04)
        ? regs_read(cirrus_of(v), (uint32_t)off & 0xff) : 0xff;
}

static uint64_t window_read(void *dev, uint64_t off, unsigned size)
{
    uint64_t val = 0;

    for (unsigned i = 0; i < size; i++) {
        val |= (uint64_t)window_byte(dev, off + i) << 8 * i;
    }
    return val;
}

static MACHINE_CALL void window_put(Vga *v, uint64_t off, uint8_t val)
{
    Cirrus *c = cirrus_of(v);
    uint32_t at;

    if (!(v->seq[SR_MODE] & 1)) {
        vga_window_write(v, (uint32_t)off, val);
    } else if (off < 0x10000) {
        if (locate(v, (uint32_t)off, &at)) {
            write_linear(c, at, val);
        }
    } else if (off >= 0x18000 && off < 0x18100 && mmio_at(v, 0x04)) {
        regs_write(c, (uint32_t)off & 0xff, val);
    }
}

/* For a blit that waits: what is left of the access at its end is padding. */
static MACHINE_CALL void feed(Cirrus *c, uint64_t val, unsigned size)
{
    for (unsigned i = 0; i < size && c->blit.fed; i++) {
        cirrus_blit_feed(c, (uint8_t)(val >> 8 * i));
    }
}

static void window_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    Vga *v = dev;
    Cirrus *c = cirrus_of(v);

    machine_assert_locked();
    if (off < 0x10000 && v->seq[SR_MODE] & 1 && c->blit.fed) {
        feed(c, val, size);
        return;
    }
    for (unsigned i = 0; i < size; i++) {
        window_put(v, off + i, (uint8_t)(val >> 8 * i));
    }
}

const MemOps cirrus_window_ops = {
    .read = window_read, .write = window_write, .min = 1, .max = 8,
};

/* ---- the linear frame buffer --------------------------------------------- */
static bool is_mmio(const Vga *v, uint64_t off)
{
    return off >= v->size - MMIO_BYTES && mmio_at(v, 0x44);
}

static uint64_t linear_read(void *dev, uint64_t off, unsigned size)
{
    Vga *v = dev;
    uint64_t val = 0;

    for (unsigned i = 0; i < size; i++) {
        uint8_t byte = is_mmio(v, off + i)
            ? regs_read(cirrus_of(v), (uint32_t)(off + i) & 0xff)
            : v->mem[spread(v, (uint32_t)off + i) & (v->size - 1)];

        val |= (uint64_t)byte << 8 * i;
    }
    return val;
}

static void linear_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    Vga *v = dev;
    Cirrus *c = cirrus_of(v);

    machine_assert_locked();
    if (c->blit.fed && !is_mmio(v, off)) {
        feed(c, val, size);
        return;
    }
    for (unsigned i = 0; i < size; i++) {
        uint8_t byte = (uint8_t)(val >> 8 * i);

        if (is_mmio(v, off + i)) {
            regs_write(c, (uint32_t)(off + i) & 0xff, byte);
        } else {
            write_linear(c, spread(v, (uint32_t)off + i), byte);
        }
    }
}

const MemOps cirrus_linear_ops = {
    .read = linear_read, .write = linear_write, .min = 1, .max = 8,
};

/* ---- data of blits ------------------------------------------------------- */
static uint64_t data_read(void *dev, uint64_t off, unsigned size)
{
    return ~0ull;
}

static void data_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    Cirrus *c = cirrus_of(dev);

    machine_assert_locked();
    feed(c, val, size);
}

const MemOps cirrus_data_ops = {
    .read = data_read, .write = data_write, .min = 1, .max = 8,
};

/* ---- direct access ------------------------------------------------------- */
void cirrus_remap(Vga *v)
{
    Cirrus *c = cirrus_of(v);
    bool plain = !c->blit.fed && !extended_mode(v) &&
        !(v->gfx[GR_EXT] & (EXT_BY8 | EXT_BY16));

    mem_begin();
    mem_set_enabled(&v->direct, false);
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t limit, base = bank_base(v, i, &limit);
        bool on = plain && v->seq[SR_MODE] & 1 && limit >= BANK;

        if (on) {
            mem_set_alias_offset(&c->banks[i], base);
        }
        mem_set_enabled(&c->banks[i], on);
    }
    mem_set_size(&c->linear_ram,
                 v->size - (mmio_at(v, 0x44) ? 0x1000 : 0));
    mem_set_enabled(&c->linear_ram, plain);
    mem_commit();
}
