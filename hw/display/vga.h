/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vga.h - the VGA core that display cards share: registers, the window at
 * a0000, Bochs VBE extensions, drawing.
 */
#ifndef HW_DISPLAY_VGA_H
#define HW_DISPLAY_VGA_H

#include "console.h"

/* Indexes of sequencer, graphics controller, CRTC and attribute controller. */
enum { SEQ_RESET, SEQ_CLOCKING, SEQ_MAP_MASK, SEQ_FONTS, SEQ_MEMORY };
enum { GFX_SET_RESET, GFX_SR_ENABLE, GFX_COMPARE, GFX_ROTATE, GFX_READ_MAP,
       GFX_MODE, GFX_MISC, GFX_DONT_CARE, GFX_BIT_MASK };
enum { CRTC_H_TOTAL, CRTC_H_END, CRTC_OVERFLOW = 7, CRTC_PRESET_ROW,
       CRTC_MAX_SCAN, CRTC_CURSOR_START, CRTC_CURSOR_END, CRTC_START_HIGH,
       CRTC_START_LOW, CRTC_CURSOR_HIGH, CRTC_CURSOR_LOW, CRTC_V_SYNC_START,
       CRTC_V_SYNC_END, CRTC_V_END, CRTC_OFFSET, CRTC_UNDERLINE,
       CRTC_V_BLANK_START, CRTC_V_BLANK_END, CRTC_MODE, CRTC_LINE_COMPARE };
enum { ATTR_MODE = 0x10, ATTR_OVERSCAN, ATTR_PLANES, ATTR_PAN, ATTR_SELECT };

/* Bochs VBE extensions: registers, and bits of VBE_ENABLE. */
enum { VBE_ID, VBE_XRES, VBE_YRES, VBE_BPP, VBE_ENABLE, VBE_BANK,
       VBE_VIRT_WIDTH, VBE_VIRT_HEIGHT, VBE_X_OFFSET, VBE_Y_OFFSET,
       VBE_MEMORY_64K, VBE_COUNT };
enum { VBE_ENABLED = 1, VBE_GETCAPS = 2, VBE_8BIT_DAC = 0x20, VBE_LFB = 0x40,
       VBE_NOCLEAR = 0x80 };

/* Where the picture is: worked out from the registers before drawing. */
typedef enum VgaKind { VGA_NONE, VGA_BLANK, VGA_TEXT, VGA_PLANAR, VGA_CGA,
                       VGA_256, VGA_15, VGA_16, VGA_24, VGA_32 } VgaKind;
typedef struct VgaMode {
    VgaKind kind;
    int width, height;                 /* dots of the screen                  */
    int xscale, yscale;                /* dots per pixel, lines per row       */
    uint32_t start, stride;            /* bytes of video memory               */
    int compare;                       /* first line that restarts at 0       */
    int columns, rows, cell_w, cell_h; /* text                                */
    uint8_t fonts;
    bool vbe, big_endian;
    bool flat;                         /* 5 and 6 bits of colour: low bits 0  */
} VgaMode;

typedef struct Vga Vga;
struct Vga {
    Device *dev;
    Console *con;
    MemRegion vram, window, direct;    /* direct: chain-4 part of the window  */
    uint8_t *mem;
    uint32_t size;                     /* bytes of video memory, 2^n          */
    uint32_t vgamem_mb;                /* property                            */
    bool is_vbe;                       /* has the Bochs registers             */
    bool big_endian;                   /* pixels of 15, 16, 32 bits           */

    /* What the guest sees. */
    uint8_t misc, feature, st01;
    uint8_t seq_index, seq[256], gfx_index, gfx[256], crtc_index, crtc[256];
    uint8_t attr_index, attr_flip, attr[21];
    uint8_t dac_mask, dac_state, dac_sub, dac_read, dac_write;
    uint8_t dac_cache[3], dac[768];
    uint32_t latch;
    uint16_t vbe_index, vbe[VBE_COUNT];
    uint32_t vbe_start, vbe_stride, bank;
    uint8_t dac_8bit;

    /* Set by a card with registers of its own; else NULL. */
    const MemOps *window_ops;                      /* of the window: dev is v */
    uint8_t (*port_read)(Vga *v, unsigned port) MACHINE_PTR;
    void (*port_write)(Vga *v, unsigned port, uint8_t val) MACHINE_PTR;
    void (*remap)(Vga *v) MACHINE_PTR;
    bool no_caps;                      /* VBE_GETCAPS is not answered         */
    void (*mode_hook)(Vga *v, VgaMode *m);         /* changes what it must    */
    /* A pointer: before lines are drawn, sets the lines that are to be drawn
     * again; then called for each line that is. */
    void (*pointer_prepare)(Vga *v) MACHINE_PTR;
    void (*pointer_line)(Vga *v, int y, uint32_t *line);
    int again_from, again_to;                      /* lines                   */
    void *card;

    /* What was drawn last. */
    VgaMode shown;
    bool redraw;
    uint32_t palette[256];
    uint16_t *cells;                   /* text as drawn: columns * rows       */
    uint8_t fonts[2][8192];
    int cursor_at;                     /* cell; -1: none drawn                */
    uint32_t cursor_form;
};

extern const VmState vga_state;
/* Registers, window and vram (id "vga.vram"); size: bytes, 2^n. No ports are
 * mapped. */
bool vga_init(Vga *v, Device *dev, uint64_t size, Error **errp) MACHINE_CALL;
void vga_fini(Vga *v) MACHINE_CALL;
void vga_reset(Vga *v) MACHINE_CALL;
/* Linear addresses in the window: chain 4, or a VBE mode of 8 bits or more. */
bool vga_is_linear(const Vga *v);
unsigned vga_map_mask(const Vga *v);
/* After registers that decide about the window have changed. */
void vga_remap(Vga *v) MACHINE_CALL;
/* Bytes for so many MiB: a power of two of 1 to 256 MiB. */
uint64_t vga_memory_size(uint32_t mib);
/* mem: where a0000 is found. */
void vga_map_window(Vga *v, MemRegion *mem) MACHINE_CALL;
void vga_unmap_window(Vga *v, MemRegion *mem) MACHINE_CALL;

/* Ports 3b0 to 3df; size 1. */
uint8_t vga_port_read(Vga *v, unsigned port);
void vga_port_write(Vga *v, unsigned port, uint8_t val) MACHINE_CALL;
/* Ports 1ce (index), 1cf/1d0 (data); size 2. */
uint16_t vbe_index_read(Vga *v);
void vbe_index_write(Vga *v, uint16_t val);
uint16_t vbe_data_read(Vga *v);
void vbe_data_write(Vga *v, uint16_t val) MACHINE_CALL;
void vbe_reset(Vga *v);
/* While a VBE mode is on, VGA registers that would change the picture are set
 * back to it. */
void vbe_keep(Vga *v);
/* The window at a0000 as the guest accesses it; off: from a0000. */
uint8_t vga_window_read(Vga *v, uint32_t off);
void vga_window_write(Vga *v, uint32_t off, uint8_t val);
extern const MemOps vga_window_ops;

/* Works the picture's place out. */
void vga_mode(Vga *v, VgaMode *m);
extern const ConsoleOps vga_console;
/* A source's line of pixels into x8r8g8b8, from `width` pixels at addr. */
void vga_line(const Vga *v, const VgaMode *m, uint32_t addr, uint32_t *out);
/* touched: video memory was written since the last call. */
void vga_text_update(Vga *v, const VgaMode *m, bool touched) MACHINE_CALL;
bool vga_text_cells(Vga *v, ConsoleText *out);
void vga_palette_make(Vga *v, uint32_t *out);
/* Character ROM's place of the two fonts that attributes choose between. */
void vga_font_copy(const Vga *v, uint8_t out[2][8192]);

/* The ports as regions, for boards and cards: 3b0-3bb, 3c0-3df (sequential),
 * 1ce-1d0. */
typedef struct VgaPorts {
    MemRegion mono, color, vbe;
} VgaPorts;
void vga_ports_init(VgaPorts *p, Vga *v, MemRegion *io) MACHINE_CALL;
void vga_ports_fini(VgaPorts *p) MACHINE_CALL;

/* ---- EDID ---------------------------------------------------------------- */
typedef struct EdidWish {
    uint32_t xres, yres, xmax, ymax, refresh_mhz;
    uint32_t width_mm, height_mm;
    const char *vendor, *name, *serial;
} EdidWish;
/* VESA E-EDID 1.4 with a CTA-861 block, and for the largest modes a DisplayID
 * block, if there is room for it: 256 bytes, or EDID_MAX. */
#define EDID_MAX 384
void edid_make(uint8_t *out, unsigned room, const EdidWish *w);
#define EDID_PROPS(T, f) \
    PROP_U32("xres", T, f.xres, 0, .desc = "preferred width"), \
    PROP_U32("yres", T, f.yres, 0, .desc = "preferred height"), \
    PROP_U32("xmax", T, f.xmax, 0, .desc = "greatest width"), \
    PROP_U32("ymax", T, f.ymax, 0, .desc = "greatest height"), \
    PROP_U32("refresh_rate", T, f.refresh_mhz, 0, \
             .desc = "preferred refresh rate in millihertz")

#endif
