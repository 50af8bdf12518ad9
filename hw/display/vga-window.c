/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vga-window.c - the window at a0000 onto video memory: VGA's planes, latches,
 * read and write modes (VGA Technical Reference, graphics controller and
 * sequencer).
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. Every byte touched is at an address masked with size - 1.
 */
#include "hw/display/vga.h"

/* A nibble as a mask of four bytes, one a plane. */
static uint32_t spread(unsigned nibble)
{
    return (nibble & 1 ? 0xffu : 0) | (nibble & 2 ? 0xff00u : 0) |
           (nibble & 4 ? 0xff0000u : 0) | (nibble & 8 ? 0xff000000u : 0);
}

/* The address in the mapped part of video memory; false: not in the window. */
static bool locate(const Vga *v, uint32_t *off)
{
    switch (v->gfx[GFX_MISC] >> 2 & 3) {
    case 0:
        return true;
    case 1:
        if (*off >= 0x10000) {
            return false;
        }
        *off += v->bank;
        return true;
    case 2:
        *off -= 0x10000;
        return *off < 0x8000;
    default:
        *off -= 0x18000;
        return *off < 0x8000;
    }
}

static uint32_t load(const Vga *v, uint32_t at)
{
    uint32_t word;

    memcpy(&word, v->mem + (at & (v->size - 4)), 4);
    return le32toh(word);
}

uint8_t vga_window_read(Vga *v, uint32_t off)
{
    uint8_t *mem = v->mem;
    uint32_t mask = v->size - 1;

    if (!locate(v, &off)) {
        return 0xff;
    }
    if (vga_is_linear(v)) {
        return mem[off & mask];
    }
    if (v->gfx[GFX_MODE] & 0x10) {
        unsigned plane = (v->gfx[GFX_READ_MAP] & 2) | (off & 1);

        return mem[((off & ~1u) << 1 | plane) & mask];
    }
    v->latch = load(v, off << 2);
    if (v->gfx[GFX_MODE] & 8) {
        uint32_t care = spread(v->gfx[GFX_DONT_CARE]);
        uint32_t diff = (v->latch ^ spread(v->gfx[GFX_COMPARE])) & care;

        diff |= diff >> 16;
        diff |= diff >> 8;
        return (uint8_t)~diff;
    }
    return (uint8_t)(v->latch >> 8 * v->gfx[GFX_READ_MAP]);
}

static void store(Vga *v, uint32_t at, uint8_t val)
{
    at &= v->size - 1;
    v->mem[at] = val;
    ram_dirty(v->vram.ram, at, 1);
}

/* What the four planes get, before the map mask. */
static uint32_t combine(const Vga *v, uint8_t val)
{
    unsigned mode = v->gfx[GFX_MODE] & 3, turn = v->gfx[GFX_ROTATE] & 7;
    uint8_t turned = (uint8_t)(val >> turn | val << (8 - turn));
    uint32_t word, bits = v->gfx[GFX_BIT_MASK] * 0x01010101u;

    switch (mode) {
    case 0: {
        uint32_t set = spread(v->gfx[GFX_SR_ENABLE]);

        word = (turned * 0x01010101u & ~set) |
               (spread(v->gfx[GFX_SET_RESET]) & set);
        break;
    }
    case 1:
        return v->latch;
    case 2:
        word = spread(val & 15);
        break;
    default:
        bits &= turned * 0x01010101u;
        word = spread(v->gfx[GFX_SET_RESET]);
        break;
    }
    switch (v->gfx[GFX_ROTATE] >> 3 & 3) {
    case 1: word &= v->latch; break;
    case 2: word |= v->latch; break;
    case 3: word ^= v->latch; break;
    default: break;
    }
    return (word & bits) | (v->latch & ~bits);
}

void vga_window_write(Vga *v, uint32_t off, uint8_t val)
{
    unsigned map = vga_map_mask(v);
    uint32_t at, planes, word;

    if (!locate(v, &off)) {
        return;
    }
    if (vga_is_linear(v)) {
        if (map & 1u << (off & 3)) {
            store(v, off, val);
        }
        return;
    }
    if (v->gfx[GFX_MODE] & 0x10) {
        unsigned plane = (v->gfx[GFX_READ_MAP] & 2) | (off & 1);

        if (map & 1u << plane) {
            store(v, (off & ~1u) << 1 | plane, val);
        }
        return;
    }
    at = off << 2 & (v->size - 4);
    planes = spread(map);
    word = (load(v, at) & ~planes) | (combine(v, val) & planes);
    word = htole32(word);
    memcpy(v->mem + at, &word, 4);
    ram_dirty(v->vram.ram, at, 4);
}

static uint64_t window_read(void *dev, uint64_t off, unsigned size)
{
    return vga_window_read(dev, (uint32_t)off);
}

static void window_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    vga_window_write(dev, (uint32_t)off, (uint8_t)val);
}

const MemOps vga_window_ops = {
    .read = window_read, .write = window_write, .min = 1, .max = 1,
    .valid_max = 8,
};
