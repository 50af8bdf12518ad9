/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vga.c - VGA registers: IBM VGA as in the VGA BIOS interface and Technical
 * Reference (sequencer, CRT controller, graphics and attribute controllers,
 * DAC), video memory, and where it is mapped.
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. Video memory is a power of two; every address is masked with size - 1.
 * 2. Registers hold only the bits that exist; indexes are below the arrays.
 * 3. Four bytes of video memory are one address of the four planes.
 */
#include <glib.h>
#include "hw/display/vga.h"

static const uint8_t seq_bits[8] = { 0x03, 0x3d, 0x0f, 0x3f, 0x0e, 0, 0, 0xff };
static const uint8_t gfx_bits[16] = { 0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f,
                                      0x0f, 0xff };

/* ---- attribute controller ------------------------------------------------ */
static void attr_write(Vga *v, uint8_t val)
{
    unsigned i = v->attr_index & 31;

    v->attr_flip ^= 1;
    if (v->attr_flip) {
        v->attr_index = val & 0x3f;
        return;
    }
    if (i >= sizeof(v->attr)) {
        return;
    }
    v->attr[i] = i < ATTR_MODE ? val & 0x3f : i == ATTR_MODE ? val & 0xef :
        i == ATTR_OVERSCAN ? val : i == ATTR_PLANES ? val & 0x3f : val & 0x0f;
}

/* ---- DAC ----------------------------------------------------------------- */
static uint8_t dac_get(Vga *v)
{
    uint8_t val = v->dac[v->dac_read * 3 + v->dac_sub];

    if (++v->dac_sub == 3) {
        v->dac_sub = 0;
        v->dac_read++;
    }
    return val;
}

static void dac_put(Vga *v, uint8_t val)
{
    v->dac_cache[v->dac_sub] = val;
    if (++v->dac_sub == 3) {
        memcpy(&v->dac[v->dac_write * 3], v->dac_cache, 3);
        v->dac_sub = 0;
        v->dac_write++;
    }
}

/* ---- CRT controller ------------------------------------------------------ */
static void crtc_write(Vga *v, uint8_t val)
{
    unsigned i = v->crtc_index;

    if (v->crtc[CRTC_V_SYNC_END] & 0x80 && i <= CRTC_OVERFLOW) {
        if (i == CRTC_OVERFLOW) {       /* only line compare, bit 8           */
            v->crtc[i] = (uint8_t)((v->crtc[i] & ~0x10) | (val & 0x10));
        }
        return;
    }
    v->crtc[i] = val;
    vbe_keep(v);
}

static MACHINE_CALL void seq_write(Vga *v, uint8_t val)
{
    unsigned i = v->seq_index;

    v->seq[i & 7] = val & seq_bits[i & 7];
    if (i == SEQ_MEMORY || i == SEQ_MAP_MASK) {
        vga_remap(v);
    }
}

static MACHINE_CALL void gfx_write(Vga *v, uint8_t val)
{
    unsigned i = v->gfx_index & 15;

    v->gfx[i] = val & gfx_bits[i];
    vbe_keep(v);
    vga_remap(v);
}

/* Ports of the other colour scheme do not answer (Misc Output, bit 0). */
static bool hidden(const Vga *v, unsigned port)
{
    return v->misc & 1 ? port >= 0x3b0 && port <= 0x3bf
                       : port >= 0x3d0 && port <= 0x3df;
}

uint8_t vga_port_read(Vga *v, unsigned port)
{
    if (hidden(v, port)) {
        return 0xff;
    }
    switch (port) {
    case 0x3c0: return v->attr_flip ? 0 : v->attr_index;
    case 0x3c1:
        return (v->attr_index & 31) < sizeof(v->attr)
            ? v->attr[v->attr_index & 31] : 0;
    case 0x3c2: return 0;
    case 0x3c4: return v->seq_index;
    case 0x3c5: return v->seq[v->seq_index];
    case 0x3c6: return v->dac_mask;
    case 0x3c7: return v->dac_state;
    case 0x3c8: return v->dac_write;
    case 0x3c9: return dac_get(v);
    case 0x3ca: return v->feature;
    case 0x3cc: return v->misc;
    case 0x3ce: return v->gfx_index;
    case 0x3cf: return v->gfx[v->gfx_index];
    case 0x3b4: case 0x3d4: return v->crtc_index;
    case 0x3b5: case 0x3d5: return v->crtc[v->crtc_index];
    case 0x3ba: case 0x3da:
        /* Guests only wait for these bits to change: nobody waits long. */
        v->st01 ^= 0x09;
        v->attr_flip = 0;
        return v->st01;
    default: return 0;
    }
}

void vga_port_write(Vga *v, unsigned port, uint8_t val)
{
    if (hidden(v, port)) {
        return;
    }
    switch (port) {
    case 0x3c0: attr_write(v, val); break;
    case 0x3c2:
        v->misc = val & 0xef;
        vga_remap(v);
        break;
    case 0x3c4: v->seq_index = val & 7; break;
    case 0x3c5: seq_write(v, val); break;
    case 0x3c6: v->dac_mask = val; break;
    case 0x3c7:
        v->dac_read = val;
        v->dac_sub = 0;
        v->dac_state = 3;
        break;
    case 0x3c8:
        v->dac_write = val;
        v->dac_sub = 0;
        v->dac_state = 0;
        break;
    case 0x3c9: dac_put(v, val); break;
    case 0x3ce: v->gfx_index = val & 15; break;
    case 0x3cf: gfx_write(v, val); break;
    case 0x3b4: case 0x3d4: v->crtc_index = val; break;
    case 0x3b5: case 0x3d5: crtc_write(v, val); break;
    case 0x3ba: case 0x3da: v->feature = val & 0x10; break;
    default: break;
    }
}

/* ---- ports --------------------------------------------------------------- */
static uint8_t port_in(Vga *v, unsigned port)
{
    machine_assert_locked();
    return v->port_read ? v->port_read(v, port) : vga_port_read(v, port);
}

static void port_out(Vga *v, unsigned port, uint8_t val)
{
    machine_assert_locked();
    if (v->port_write) {
        v->port_write(v, port, val);
    } else {
        vga_port_write(v, port, val);
    }
}

static uint64_t mono_read(void *dev, uint64_t off, unsigned size)
{
    return port_in(dev, 0x3b0 + (unsigned)off);
}

static void mono_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    port_out(dev, 0x3b0 + (unsigned)off, (uint8_t)val);
}

static uint64_t color_read(void *dev, uint64_t off, unsigned size)
{
    return port_in(dev, 0x3c0 + (unsigned)off);
}

static void color_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    port_out(dev, 0x3c0 + (unsigned)off, (uint8_t)val);
}

static uint64_t vbe_port_read(void *dev, uint64_t off, unsigned size)
{
    return off ? vbe_data_read(dev) : vbe_index_read(dev);
}

static MACHINE_CALL void vbe_port_write(void *dev, uint64_t off, uint64_t val,
                                        unsigned size)
{
    if (off) {
        vbe_data_write(dev, (uint16_t)val);
    } else {
        vbe_index_write(dev, (uint16_t)val);
    }
}

static const MemOps mono_ops = {
    .read = mono_read, .write = mono_write, .min = 1, .max = 1,
};
static const MemOps color_ops = {
    .read = color_read, .write = color_write, .min = 1, .max = 1,
};
static const MemOps vbe_ops = {
    .read = vbe_port_read, .write = vbe_port_write, .min = 2, .max = 2,
    .unaligned = true,
};

void vga_ports_init(VgaPorts *p, Vga *v, MemRegion *io)
{
    mem_init_io(&p->mono, "vga-mono", 0xc, &mono_ops, v);
    device_region(v->dev, &p->mono);
    mem_add(io, 0x3b0, &p->mono);
    mem_init_io(&p->color, "vga-color", 0x20, &color_ops, v);
    device_region(v->dev, &p->color);
    mem_add(io, 0x3c0, &p->color);
    if (v->is_vbe) {
        mem_init_io(&p->vbe, "vbe", 4, &vbe_ops, v);
        device_region(v->dev, &p->vbe);
        mem_add(io, 0x1ce, &p->vbe);
    }
}

void vga_ports_fini(VgaPorts *p)
{
    mem_fini(&p->mono);
    mem_fini(&p->color);
    if (p->vbe.name) {
        mem_fini(&p->vbe);
    }
}

/* ---- where the window is ------------------------------------------------- */
static bool vbe_linear(const Vga *v)
{
    return v->vbe[VBE_ENABLE] & VBE_ENABLED && v->vbe[VBE_BPP] > 4;
}

bool vga_is_linear(const Vga *v)
{
    return v->seq[SEQ_MEMORY] & 8 || vbe_linear(v);
}

unsigned vga_map_mask(const Vga *v)
{
    return vbe_linear(v) ? 15 : v->seq[SEQ_MAP_MASK] & 15;
}

void vga_remap(Vga *v)
{
    static const uint32_t base[4] = { 0, 0, 0x10000, 0x18000 };
    static const uint32_t len[4] = { 0x20000, 0x10000, 0x8000, 0x8000 };
    unsigned map = v->gfx[GFX_MISC] >> 2 & 3;
    bool on = vga_is_linear(v) && vga_map_mask(v) == 15 &&
              v->misc & 2 && v->bank + len[map] <= v->size;

    if (v->remap) {
        v->remap(v);
        return;
    }
    if (!on) {
        mem_set_enabled(&v->direct, false);
        return;
    }
    mem_begin();
    mem_set_address(&v->direct, base[map]);
    mem_set_size(&v->direct, len[map]);
    mem_set_alias_offset(&v->direct, map < 2 ? v->bank : 0);
    mem_set_enabled(&v->direct, true);
    mem_commit();
}

void vga_map_window(Vga *v, MemRegion *mem)
{
    mem_add_prio(mem, 0xa0000, &v->window, 1);
}

void vga_unmap_window(Vga *v, MemRegion *mem)
{
    mem_remove(mem, &v->window);
}

uint64_t vga_memory_size(uint32_t mib)
{
    uint64_t size = 1 << 20;

    while (size < 256u << 20 && size < (uint64_t)mib << 20) {
        size *= 2;
    }
    return size;
}

/* ---- life ---------------------------------------------------------------- */
bool vga_init(Vga *v, Device *dev, uint64_t size, Error **errp)
{
    char *(*path_of)(const Device *d) = dev->bus->type->dev_path;
    char *path = path_of ? path_of(dev) : NULL;
    char *id = g_strdup_printf("%s%svga.vram", path ? path : "",
                               path ? "/" : "");
    bool ok = mem_init_ram(&v->vram, id, size, errp);

    g_free(path);
    g_free(id);
    if (!ok) {
        return false;
    }
    v->vram.name = "vga.vram";
    v->dev = dev;
    v->size = (uint32_t)size;
    device_region(dev, &v->vram);
    v->mem = v->vram.ram->host;
    mem_log(&v->vram, DIRTY_VGA, true);
    mem_init_io(&v->window, "vga-lowmem", 0x20000,
                v->window_ops ? v->window_ops : &vga_window_ops, v);
    device_region(dev, &v->window);
    mem_init_alias(&v->direct, "vga.chain4", &v->vram, 0, 0x10000);
    mem_set_enabled(&v->direct, false);
    mem_add(&v->window, 0, &v->direct);
    v->cursor_at = -1;
    v->redraw = true;
    return true;
}

void vga_fini(Vga *v)
{
    if (v->con) {
        console_free(v->con);
        v->con = NULL;
    }
    mem_remove(&v->window, &v->direct);
    mem_fini(&v->direct);
    mem_fini(&v->window);
    mem_log(&v->vram, DIRTY_VGA, false);
    mem_fini(&v->vram);
    g_free(v->cells);
    v->cells = NULL;
}

void vga_reset(Vga *v)
{
    memset(v->seq, 0, sizeof(v->seq));
    memset(v->gfx, 0, sizeof(v->gfx));
    memset(v->crtc, 0, sizeof(v->crtc));
    memset(v->attr, 0, sizeof(v->attr));
    memset(v->dac, 0, sizeof(v->dac));
    memset(v->dac_cache, 0, sizeof(v->dac_cache));
    v->misc = v->feature = v->st01 = 0;
    v->seq_index = v->gfx_index = v->crtc_index = 0;
    v->attr_index = v->attr_flip = 0;
    v->dac_mask = 0xff;
    v->dac_state = v->dac_sub = v->dac_read = v->dac_write = 0;
    v->dac_8bit = 0;
    v->big_endian = false;
    v->latch = v->bank = 0;
    vbe_reset(v);
    vga_remap(v);
    v->redraw = true;
}

/* ---- state --------------------------------------------------------------- */
static bool vga_loaded(void *s, int version, Error **errp)
{
    Vga *v = s;

    machine_assert_locked();
    if (v->dac_sub > 2 || v->attr_index > 0x3f || v->attr_flip > 1 ||
        v->bank >= v->size) {
        return error_set(errp, "VGA: a register holds what it cannot");
    }
    vga_remap(v);
    v->redraw = true;
    return true;
}

const VmState vga_state = {
    .name = "vga", .version = 1, .oldest = 1, .after_load = vga_loaded,
    .fields = (const VmField[]){
        VM_U8(Vga, misc), VM_U8(Vga, feature), VM_U8(Vga, st01),
        VM_U8(Vga, seq_index), VM_BYTES(Vga, seq), VM_U8(Vga, gfx_index),
        VM_BYTES(Vga, gfx), VM_U8(Vga, crtc_index), VM_BYTES(Vga, crtc),
        VM_U8(Vga, attr_index), VM_U8(Vga, attr_flip), VM_BYTES(Vga, attr),
        VM_U8(Vga, dac_mask), VM_U8(Vga, dac_state), VM_U8(Vga, dac_sub),
        VM_U8(Vga, dac_read), VM_U8(Vga, dac_write), VM_BYTES(Vga, dac_cache),
        VM_BYTES(Vga, dac), VM_U8(Vga, dac_8bit), VM_U32(Vga, latch),
        VM_U16(Vga, vbe_index), VM_ARRAY(Vga, vbe, VK_U16),
        VM_U32(Vga, vbe_start), VM_U32(Vga, vbe_stride), VM_U32(Vga, bank),
        VM_BOOL(Vga, big_endian),
        VM_END
    },
};
