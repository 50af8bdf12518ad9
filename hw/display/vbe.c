/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vbe.c - Bochs VBE extensions (VBE DISPI interface, ids b0c0 to b0c5):
 * linear modes by index and data registers.
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. While enabled, start plus height lines of stride lie in video memory, and
 *    stride holds a line of the mode's pixels.
 */
#include "hw/display/vga.h"

#define ID_FIRST 0xb0c0
#define ID_LAST  0xb0c5
#define MAX_X    16000
#define MAX_Y    12000

void vbe_reset(Vga *v)
{
    memset(v->vbe, 0, sizeof(v->vbe));
    v->vbe[VBE_ID] = ID_LAST;
    v->vbe[VBE_MEMORY_64K] = (uint16_t)(v->size >> 16);
    v->vbe_index = 0;
    v->vbe_start = v->vbe_stride = 0;
}

static unsigned depth(const Vga *v)
{
    unsigned bpp = v->vbe[VBE_BPP];

    return bpp == 15 ? 16 : bpp;
}

static bool is_enabled(const Vga *v)
{
    return v->vbe[VBE_ENABLE] & VBE_ENABLED;
}

static void bound(uint16_t *val, unsigned most)
{
    if (*val > most) {
        *val = (uint16_t)most;
    }
}

/* VGA's own registers as the BIOS sets them for such a mode: guests that look
 * at them, and the window at a0000, go by these. */
static void set_vga(Vga *v)
{
    unsigned lines = v->vbe[VBE_YRES] - 1u, shift = 2;

    v->gfx[GFX_MISC] = (uint8_t)((v->gfx[GFX_MISC] & ~0x0c) | 0x05);
    v->crtc[CRTC_MODE] |= 3;            /* no lines of CGA or Hercules        */
    v->crtc[CRTC_OFFSET] = (uint8_t)(v->vbe_stride >> 3);
    v->crtc[CRTC_H_END] = (uint8_t)((v->vbe[VBE_XRES] >> 3) - 1);
    v->crtc[CRTC_V_END] = (uint8_t)lines;
    v->crtc[CRTC_OVERFLOW] = (uint8_t)
        ((v->crtc[CRTC_OVERFLOW] & ~0x42) | (lines >> 7 & 0x02) |
         (lines >> 3 & 0x40));
    v->crtc[CRTC_LINE_COMPARE] = 0xff;
    v->crtc[CRTC_OVERFLOW] |= 0x10;
    v->crtc[CRTC_MAX_SCAN] |= 0x40;
    if (v->vbe[VBE_BPP] == 4) {
        shift = 0;
        v->seq[SEQ_CLOCKING] &= (uint8_t)~8u;
    }
    v->gfx[GFX_MODE] = (uint8_t)((v->gfx[GFX_MODE] & ~0x60) | shift << 5);
    v->crtc[CRTC_MAX_SCAN] &= (uint8_t)~0x9fu;
}

void vbe_keep(Vga *v)
{
    if (is_enabled(v)) {
        set_vga(v);
    }
}

/* Brings sizes and offsets of an enabled mode to what memory holds. */
static void fit(Vga *v)
{
    uint16_t *r = v->vbe;
    uint32_t bits, rows, at;

    if (!is_enabled(v)) {
        return;
    }
    switch (r[VBE_BPP]) {
    case 4: case 8: case 15: case 16: case 24: case 32: break;
    default: r[VBE_BPP] = 8; break;
    }
    bits = depth(v);
    r[VBE_XRES] &= ~7u;
    if (!r[VBE_XRES]) {
        r[VBE_XRES] = 8;
    }
    bound(&r[VBE_XRES], MAX_X);
    bound(&r[VBE_VIRT_WIDTH], MAX_X);
    r[VBE_VIRT_WIDTH] &= ~7u;
    if (r[VBE_VIRT_WIDTH] < r[VBE_XRES]) {
        r[VBE_VIRT_WIDTH] = r[VBE_XRES];
    }
    v->vbe_stride = (uint32_t)r[VBE_VIRT_WIDTH] * bits / 8;
    rows = v->size / v->vbe_stride;
    if (!r[VBE_YRES]) {
        r[VBE_YRES] = 1;
    }
    bound(&r[VBE_YRES], MAX_Y);
    bound(&r[VBE_YRES], rows);
    bound(&r[VBE_X_OFFSET], MAX_X);
    bound(&r[VBE_Y_OFFSET], MAX_Y);
    at = (uint32_t)r[VBE_X_OFFSET] * bits / 8 +
         (uint32_t)r[VBE_Y_OFFSET] * v->vbe_stride;
    if (at + (uint64_t)r[VBE_YRES] * v->vbe_stride > v->size) {
        r[VBE_Y_OFFSET] = 0;
        at = (uint32_t)r[VBE_X_OFFSET] * bits / 8;
        if (at + (uint64_t)r[VBE_YRES] * v->vbe_stride > v->size) {
            r[VBE_X_OFFSET] = 0;
            at = 0;
        }
    }
    r[VBE_VIRT_HEIGHT] = (uint16_t)rows;
    v->vbe_start = at;
    set_vga(v);
}

static MACHINE_CALL void enable(Vga *v, uint16_t val)
{
    bool was = is_enabled(v);

    v->vbe[VBE_ENABLE] = val;
    if (val & VBE_ENABLED && !was) {
        v->vbe[VBE_VIRT_WIDTH] = 0;
        v->vbe[VBE_X_OFFSET] = v->vbe[VBE_Y_OFFSET] = 0;
        fit(v);
        if (!(val & VBE_NOCLEAR)) {
            uint32_t n = v->vbe[VBE_YRES] * v->vbe_stride;

            memset(v->mem, 0, n);
            ram_dirty(v->vram.ram, 0, n);
        }
    } else if (!(val & VBE_ENABLED)) {
        v->bank = 0;
    }
    v->dac_8bit = val & VBE_8BIT_DAC ? 1 : 0;
    vga_remap(v);
}

void vbe_index_write(Vga *v, uint16_t val)
{
    v->vbe_index = val;
}

uint16_t vbe_index_read(Vga *v)
{
    return v->vbe_index;
}

uint16_t vbe_data_read(Vga *v)
{
    if (v->vbe_index >= VBE_COUNT) {
        return 0;
    }
    if (v->vbe[VBE_ENABLE] & VBE_GETCAPS && !v->no_caps) {
        switch (v->vbe_index) {
        case VBE_XRES: return MAX_X;
        case VBE_YRES: return MAX_Y;
        case VBE_BPP: return 32;
        default: break;
        }
    }
    return v->vbe[v->vbe_index];
}

void vbe_data_write(Vga *v, uint16_t val)
{
    switch (v->vbe_index) {
    case VBE_ID:
        if (val >= ID_FIRST && val <= ID_LAST) {
            v->vbe[VBE_ID] = val;
        }
        break;
    case VBE_XRES: case VBE_YRES: case VBE_BPP: case VBE_VIRT_WIDTH:
    case VBE_X_OFFSET: case VBE_Y_OFFSET:
        v->vbe[v->vbe_index] = val;
        fit(v);
        break;
    case VBE_BANK:
        v->vbe[VBE_BANK] = val & (uint16_t)((v->size >> 16) - 1);
        v->bank = (uint32_t)v->vbe[VBE_BANK] << 16;
        vga_remap(v);
        break;
    case VBE_ENABLE:
        enable(v, val);
        break;
    default:
        break;
    }
}
