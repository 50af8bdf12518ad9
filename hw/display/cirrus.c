/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cirrus.c - Cirrus Logic GD5446 (Technical Reference Manual, 1996): the
 * registers beyond VGA's, and the modes that they make.
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. Extended registers live in the VGA core's arrays at their own indexes and
 *    hold only the bits that exist; indexes that the chip does not have read
 *    ff and are not stored.
 * 2. GR0 and GR1 have eight bits here, kept apart (bg, fg): the core's are the
 *    planes' four.
 */
#include <glib.h>
#include "hw/display/cirrus.h"

#define CHIP_PCI 0xb8                  /* GD5446                              */
#define CHIP_ISA 0xa0                  /* GD5430                              */

/* Bits of graphics registers 0x20 to 0x39. */
static const uint8_t blt_bits[] = {
    0xff, 0x1f, 0xff, 0x1f, 0xff, 0x1f, 0xff, 0x1f, 0xff, 0xff, 0x3f, 0x00,
    0xff, 0xff, 0x3f, 0xff, 0xff, 0x00, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00,
    0xff, 0xff,
};

/* ---- sequencer ----------------------------------------------------------- */
static bool is_cursor(unsigned i)
{
    return (i & 0x1e) == SR_CURSOR_X;
}

static uint8_t seq_read(const Cirrus *c)
{
    unsigned i = c->vga.seq_index;

    return i <= SR_MCLK || is_cursor(i) ? c->vga.seq[is_cursor(i) ? i & 0x1f
                                                                 : i] : 0xff;
}

static MACHINE_CALL void seq_write(Cirrus *c, uint8_t val)
{
    Vga *v = &c->vga;
    unsigned i = v->seq_index;

    if (i < 5) {
        vga_port_write(v, 0x3c5, val);
        return;
    }
    if (is_cursor(i)) {
        uint16_t place = (uint16_t)(val << 3 | i >> 5);

        v->seq[i & 0x1f] = val;
        *(i & 1 ? &c->cursor_y : &c->cursor_x) = place;
        return;
    }
    if (i > SR_MCLK) {
        return;
    }
    switch (i) {
    case 5:
        return;
    case SR_UNLOCK:
        v->seq[i] = (val & 0x17) == 0x12 ? 0x12 : 0x0f;
        return;
    case SR_CONFIG:
        v->seq[i] = (uint8_t)((v->seq[i] & 0x38) | (val & 0xc7));
        break;
    default:
        v->seq[i] = val;
        break;
    }
    if (i == SR_MODE || i == SR_CONFIG) {
        vga_remap(v);
    }
}

/* ---- graphics controller ------------------------------------------------- */
static bool gfx_exists(unsigned i)
{
    return i < 0x3a;
}

uint8_t cirrus_gfx_read(const Cirrus *c, unsigned i)
{
    switch (i) {
    case 0: return c->bg;
    case 1: return c->fg;
    default: return gfx_exists(i) ? c->vga.gfx[i] : 0xff;
    }
}

static uint8_t gfx_kept(unsigned i, uint8_t val)
{
    if (i >= GR_WIDTH) {
        return val & blt_bits[i - GR_WIDTH];
    }
    return (i >= GR_BANK0 && i <= GR_EXT) || (i >= GR_BG1 && i <= GR_FG3)
        ? val : 0;
}

static MACHINE_CALL void blt_write(Cirrus *c, uint8_t val)
{
    uint8_t was = c->vga.gfx[GR_BLT];

    c->vga.gfx[GR_BLT] = val;
    if (was & BLT_RESET && !(val & BLT_RESET)) {
        cirrus_blit_stop(c);
    } else if (!(was & BLT_START) && val & BLT_START) {
        cirrus_blit_start(c);
    }
}

void cirrus_gfx_write(Cirrus *c, unsigned i, uint8_t val)
{
    Vga *v = &c->vga;

    if (i < GR_BANK0) {
        if (i < 2) {
            *(i ? &c->fg : &c->bg) = val;
        }
        v->gfx_index = (uint8_t)i;
        vga_port_write(v, 0x3cf, val);
        if (i == GFX_MODE) {
            v->gfx[i] = val & 0x7f;
        }
        return;
    }
    if (!gfx_exists(i) || i == 0x18) {
        return;
    }
    if (i == GR_BLT) {
        blt_write(c, val);
        return;
    }
    v->gfx[i] = gfx_kept(i, val);
    if (i <= GR_EXT) {
        vga_remap(v);
    } else if (i == GR_DST + 2 && v->gfx[GR_BLT] & BLT_AUTO) {
        cirrus_blit_start(c);
    }
}

/* ---- CRT controller ------------------------------------------------------ */
static uint8_t crtc_read(const Cirrus *c)
{
    const Vga *v = &c->vga;
    unsigned i = v->crtc_index;

    switch (i) {
    case 0x22: case 0x25: return v->crtc[i];
    case 0x24: return v->attr_flip ? 0x80 : 0;
    case 0x26: return v->attr_index & 0x3f;
    case CR_ID: return c->is_isa ? CHIP_ISA : CHIP_PCI;
    default: return i <= CR_OVERLAY ? v->crtc[i] : 0xff;
    }
}

static MACHINE_CALL void crtc_write(Cirrus *c, uint8_t val)
{
    if (c->vga.crtc_index <= CR_OVERLAY) {
        vga_port_write(&c->vga, 0x3d5 - (c->vga.misc & 1 ? 0 : 0x20), val);
    }
}

/* ---- DAC ----------------------------------------------------------------- */
/* Palette accesses that go to the pointer's colours. */
static uint8_t *cursor_entry(Cirrus *c, unsigned i)
{
    if (!(c->vga.seq[SR_CURSOR] & 2)) {
        return NULL;
    }
    return &c->cursor_dac[(i & 15) * 3];
}

static uint8_t dac_read(Cirrus *c)
{
    Vga *v = &c->vga;
    uint8_t *entry = cursor_entry(c, v->dac_read), val;

    if (!entry) {
        return vga_port_read(v, 0x3c9);
    }
    val = entry[v->dac_sub];
    if (++v->dac_sub == 3) {
        v->dac_sub = 0;
        v->dac_read++;
    }
    return val;
}

static MACHINE_CALL void dac_write(Cirrus *c, uint8_t val)
{
    Vga *v = &c->vga;
    uint8_t *entry = cursor_entry(c, v->dac_write);

    if (!entry) {
        vga_port_write(v, 0x3c9, val);
        return;
    }
    v->dac_cache[v->dac_sub] = val;
    if (++v->dac_sub == 3) {
        memcpy(entry, v->dac_cache, 3);
        v->dac_sub = 0;
        v->dac_write++;
    }
}

/* The register behind the pixel mask: the fifth access in a row. */
static uint8_t mask_read(Cirrus *c)
{
    if (++c->dac_peeks == 5) {
        c->dac_peeks = 0;
        return c->hidden_dac;
    }
    return c->vga.dac_mask;
}

static void mask_write(Cirrus *c, uint8_t val)
{
    if (c->dac_peeks == 4) {
        c->hidden_dac = val;
    } else {
        c->vga.dac_mask = val;
    }
    c->dac_peeks = 0;
}

/* ---- ports --------------------------------------------------------------- */
/* CRTC and status answer at the ports of one colour scheme only. */
static bool answers(const Cirrus *c, unsigned port)
{
    return c->vga.misc & 1 ? port >= 0x3c0 : port < 0x3d0;
}

uint8_t cirrus_port_read(Cirrus *c, unsigned port)
{
    if (!answers(c, port)) {
        return 0xff;
    }
    switch (port) {
    case 0x3c5: return seq_read(c);
    case 0x3c6: return mask_read(c);
    case 0x3c8: c->dac_peeks = 0; return c->vga.dac_write;
    case 0x3c9: return dac_read(c);
    case 0x3cf: return cirrus_gfx_read(c, c->vga.gfx_index);
    case 0x3b5: case 0x3d5: return crtc_read(c);
    default: return vga_port_read(&c->vga, port);
    }
}

void cirrus_port_write(Cirrus *c, unsigned port, uint8_t val)
{
    uint8_t i;

    if (!answers(c, port)) {
        return;
    }
    switch (port) {
    case 0x3c4: c->vga.seq_index = val; break;
    case 0x3c5: seq_write(c, val); break;
    case 0x3c6: mask_write(c, val); break;
    case 0x3c9: dac_write(c, val); break;
    case 0x3ce: c->vga.gfx_index = val; break;
    case 0x3cf:
        i = c->vga.gfx_index;
        cirrus_gfx_write(c, i, val);
        c->vga.gfx_index = i;
        break;
    case 0x3b5: case 0x3d5: crtc_write(c, val); break;
    default: vga_port_write(&c->vga, port, val); break;
    }
}

static MACHINE_CALL uint8_t hook_read(Vga *v, unsigned port)
{
    return cirrus_port_read(cirrus_of(v), port);
}

static MACHINE_CALL void hook_write(Vga *v, unsigned port, uint8_t val)
{
    cirrus_port_write(cirrus_of(v), port, val);
}

/* ---- modes --------------------------------------------------------------- */
static VgaKind kind_of(const Cirrus *c)
{
    switch (c->vga.seq[SR_MODE] & 0x0e) {
    case 0x02: case 0x06:
        return (c->hidden_dac & 0x0f) == 1 ? VGA_16 : VGA_15;
    case 0x04: return VGA_24;
    case 0x08: return VGA_32;
    default: return VGA_256;
    }
}

static void mode_hook(Vga *v, VgaMode *m)
{
    const Cirrus *c = cirrus_of(v);
    uint32_t ext = v->crtc[CR_EXT];

    m->stride = (v->crtc[CRTC_OFFSET] | (ext & 0x10) << 4) * 8u;
    m->start = (v->crtc[CRTC_START_LOW] |
                (uint32_t)v->crtc[CRTC_START_HIGH] << 8 | (ext & 1) << 16 |
                (ext & 0x0c) << 15 |
                (uint32_t)(v->crtc[CR_OVERLAY] & 0x80) << 12) * 4u;
    if (m->kind == VGA_TEXT) {
        return;
    }
    if (v->crtc[CR_MISC] & 1) {
        m->height *= 2;                 /* interlaced                         */
    }
    if (v->seq[SR_MODE] & 1) {
        m->kind = kind_of(c);
        m->xscale = 1;
        m->flat = m->kind == VGA_15 || v->seq[SR_CURSOR] & 1;
    }
}

/* ---- life ---------------------------------------------------------------- */
bool cirrus_init(Cirrus *c, Device *dev, Error **errp)
{
    Vga *v = &c->vga;

    if (v->vgamem_mb != 4 && v->vgamem_mb != 8 && v->vgamem_mb != 16) {
        return error_set(errp, "Invalid cirrus_vga ram size '%u'",
                         v->vgamem_mb);
    }
    v->card = c;
    v->window_ops = &cirrus_window_ops;
    v->port_read = hook_read;
    v->port_write = hook_write;
    v->remap = cirrus_remap;
    v->mode_hook = mode_hook;
    v->pointer_prepare = cirrus_cursor_prepare;
    v->pointer_line = cirrus_cursor_line;
    if (!vga_init(v, dev, (uint64_t)v->vgamem_mb << 20, errp)) {
        return false;
    }
    for (uint32_t i = 0; i < 2; i++) {
        mem_init_alias(&c->banks[i], "vga.bank", &v->vram, 0, 0x8000);
        mem_set_enabled(&c->banks[i], false);
        mem_add(&v->window, i * 0x8000, &c->banks[i]);
    }
    mem_init_io(&c->linear, "cirrus-linear-io", 16 << 20, &cirrus_linear_ops,
                v);
    device_region(dev, &c->linear);
    mem_init_alias(&c->linear_ram, "vga.linear", &v->vram, 0, v->size);
    mem_set_enabled(&c->linear_ram, false);
    mem_add(&c->linear, 0, &c->linear_ram);
    mem_init_io(&c->data, "cirrus-bitblt-data", 4 << 20, &cirrus_data_ops, v);
    device_region(dev, &c->data);
    mem_init_io(&c->mmio, "cirrus-mmio", 0x1000, &cirrus_mmio_ops, v);
    device_region(dev, &c->mmio);
    v->con = console_new(dev, 0, NULL, &vga_console, v);
    return true;
}

void cirrus_fini(Cirrus *c)
{
    mem_fini(&c->mmio);
    mem_fini(&c->data);
    mem_remove(&c->linear, &c->linear_ram);
    mem_fini(&c->linear_ram);
    mem_fini(&c->linear);
    for (int i = 0; i < 2; i++) {
        mem_remove(&c->vga.window, &c->banks[i]);
        mem_fini(&c->banks[i]);
    }
    vga_fini(&c->vga);
}

void cirrus_reset(Cirrus *c)
{
    Vga *v = &c->vga;

    cirrus_blit_stop(c);
    memset(&c->blit, 0, sizeof(c->blit));
    c->hidden_dac = c->dac_peeks = 0;
    c->bg = c->fg = 0;
    c->cursor_x = c->cursor_y = 0;
    memset(c->cursor_dac, 0, sizeof(c->cursor_dac));
    vga_reset(v);
    v->seq[SR_UNLOCK] = 0x0f;
    v->seq[SR_DRAM] = c->is_isa ? 0x18 : 0x98;
    v->seq[SR_MEMORY] = c->is_isa ? 0x03 : 0x04;   /* as the BIOS leaves it   */
    v->seq[SR_CONFIG] = c->is_isa ? 0x38 : 0x20;   /* the bus                 */
    v->seq[SR_MCLK] = c->is_isa ? 0x22 : 0x2d;
    v->gfx[0x18] = 0x0f;
    vga_remap(v);
}

/* ---- state --------------------------------------------------------------- */
static bool cirrus_loaded(void *s, int version, Error **errp)
{
    Cirrus *c = s;
    const Blit *b = &c->blit;

    machine_assert_locked();
    if (c->dac_peeks > 4 || b->need > BLT_LINE_MAX || b->have > b->need ||
        b->width > BLT_LINE_MAX || b->bytes > 4 || b->row > 7 ||
        (b->fed && (!b->need || !b->height || !b->bytes))) {
        return error_set(errp, "cirrus: a register holds what it cannot");
    }
    vga_remap(&c->vga);
    c->vga.redraw = true;
    return true;
}

static const VmState blit_state = {
    .name = "cirrus-blit", .version = 1, .oldest = 1,
    .fields = (const VmField[]){
        VM_U32(Blit, width), VM_U32(Blit, height), VM_I32(Blit, dpitch),
        VM_I32(Blit, spitch), VM_U32(Blit, dst), VM_U32(Blit, src),
        VM_U8(Blit, mode), VM_U8(Blit, ext), VM_U8(Blit, rop),
        VM_U8(Blit, bytes), VM_U8(Blit, row), VM_BOOL(Blit, fed),
        VM_U32(Blit, have), VM_U32(Blit, need), VM_BYTES(Blit, line),
        VM_END
    },
};

const VmState cirrus_state = {
    .name = "cirrus", .version = 1, .oldest = 1, .after_load = cirrus_loaded,
    .fields = (const VmField[]){
        VM_STRUCT(Cirrus, vga, &vga_state), VM_U8(Cirrus, hidden_dac),
        VM_U8(Cirrus, dac_peeks), VM_BYTES(Cirrus, cursor_dac),
        VM_U16(Cirrus, cursor_x), VM_U16(Cirrus, cursor_y),
        VM_U8(Cirrus, bg), VM_U8(Cirrus, fg),
        VM_STRUCT(Cirrus, blit, &blit_state),
        VM_END
    },
};
