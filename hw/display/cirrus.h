/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cirrus.h - the parts of the Cirrus Logic GD5446 model: registers (cirrus.c),
 * memory windows (cirrus-mem.c), blitter (cirrus-blit.c), pointer
 * (cirrus-cursor.c), cards (cirrus-cards.c). Machine lock throughout.
 */
#ifndef HW_DISPLAY_CIRRUS_H
#define HW_DISPLAY_CIRRUS_H

#include "hw/display/vga.h"

/* Registers beyond VGA's; names as in the GD5446 Technical Reference Manual. */
enum { SR_UNLOCK = 0x06, SR_MODE = 0x07, SR_DRAM = 0x0f, SR_CURSOR_X = 0x10,
       SR_CURSOR_Y = 0x11, SR_CURSOR = 0x12, SR_CURSOR_AT = 0x13,
       SR_MEMORY = 0x15, SR_CONFIG = 0x17, SR_MCLK = 0x1f };
enum { GR_BANK0 = 0x09, GR_BANK1 = 0x0a, GR_EXT = 0x0b, GR_KEY = 0x0c,
       GR_BG1 = 0x10, GR_FG1 = 0x11, GR_BG2 = 0x12, GR_FG2 = 0x13,
       GR_BG3 = 0x14, GR_FG3 = 0x15, GR_WIDTH = 0x20, GR_HEIGHT = 0x22,
       GR_DPITCH = 0x24, GR_SPITCH = 0x26, GR_DST = 0x28, GR_SRC = 0x2c,
       GR_SKIP = 0x2f, GR_BLT_MODE = 0x30, GR_BLT = 0x31, GR_ROP = 0x32,
       GR_BLT_EXT = 0x33, GR_TKEY = 0x34, GR_TMASK = 0x38 };
enum { CR_MISC = 0x1a, CR_EXT = 0x1b, CR_OVERLAY = 0x1d, CR_ID = 0x27 };

/* GR_EXT */
enum { EXT_TWO_BANKS = 0x01, EXT_BY8 = 0x02, EXT_MODES = 0x04,
       EXT_BY16 = 0x10, EXT_16K = 0x20 };
/* GR_BLT_MODE */
enum { BLT_BACK = 0x01, BLT_TO_HOST = 0x02, BLT_FROM_HOST = 0x04,
       BLT_TRANSPARENT = 0x08, BLT_DEPTH = 0x30, BLT_PATTERN = 0x40,
       BLT_EXPAND = 0x80 };
/* GR_BLT */
enum { BLT_BUSY = 0x01, BLT_START = 0x02, BLT_RESET = 0x04,
       BLT_PROGRESS = 0x08, BLT_FIFO = 0x10, BLT_AUTO = 0x80 };
/* GR_BLT_EXT */
enum { BLTX_DWORDS = 0x01, BLTX_INVERT = 0x02, BLTX_SOLID = 0x04 };

#define BLT_LINE_MAX 8192

/* A blit under way: what the registers said when it started. */
typedef struct Blit {
    uint32_t width, height;            /* bytes, lines left                   */
    int32_t dpitch, spitch;            /* negative: backwards                 */
    uint32_t dst, src;                 /* of the line that is next            */
    uint8_t mode, ext, rop, bytes;     /* bytes of a pixel                    */
    uint8_t row;                       /* of a pattern, 0..7                  */
    bool fed;                          /* waits for data from the processor   */
    uint32_t have, need;               /* bytes of a line from the processor  */
    uint8_t line[BLT_LINE_MAX];
} Blit;

typedef struct Cirrus {
    Vga vga;                           /* extended registers in its arrays    */
    VgaPorts ports;
    MemRegion banks[2];                /* in the window: video memory         */
    MemRegion linear, linear_ram;      /* 16 MiB, and what of it is plain     */
    MemRegion data;                    /* where blits get data from           */
    MemRegion mmio;                    /* blitter registers, PCI's BAR 1      */
    bool blitter;                      /* property                            */
    bool is_isa;

    uint8_t hidden_dac, dac_peeks;
    uint8_t cursor_dac[48];            /* 0: background, 15: foreground       */
    uint16_t cursor_x, cursor_y;
    uint8_t bg, fg;                    /* of extended write modes: 8 bits     */
    Blit blit;

    /* The pointer as drawn last: lines, and where. */
    int drawn_x, drawn_y, drawn_size;
    uint32_t drawn_color[2];
    uint8_t drawn[1024];
} Cirrus;

static inline Cirrus *cirrus_of(Vga *v)
{
    return v->card;
}

/* ---- cirrus.c ------------------------------------------------------------ */
extern const VmState cirrus_state;
bool cirrus_init(Cirrus *c, Device *dev, Error **errp) MACHINE_CALL;
void cirrus_fini(Cirrus *c) MACHINE_CALL;
void cirrus_reset(Cirrus *c) MACHINE_CALL;
uint8_t cirrus_port_read(Cirrus *c, unsigned port) MACHINE_CALL;
void cirrus_port_write(Cirrus *c, unsigned port, uint8_t val) MACHINE_CALL;
uint8_t cirrus_gfx_read(const Cirrus *c, unsigned i);
void cirrus_gfx_write(Cirrus *c, unsigned i, uint8_t val) MACHINE_CALL;

/* ---- cirrus-mem.c -------------------------------------------------------- */
extern const MemOps cirrus_window_ops, cirrus_linear_ops, cirrus_data_ops,
    cirrus_mmio_ops;
/* After anything that decides what the windows show. */
void cirrus_remap(Vga *v) MACHINE_CALL;

/* ---- cirrus-blit.c ------------------------------------------------------- */
void cirrus_blit_start(Cirrus *c) MACHINE_CALL;
void cirrus_blit_stop(Cirrus *c) MACHINE_CALL;
/* A byte from the processor for a blit that waits for it (blit.fed). */
void cirrus_blit_feed(Cirrus *c, uint8_t val) MACHINE_CALL;

/* ---- cirrus-cursor.c ----------------------------------------------------- */
/* Notes which lines a moved or changed pointer needs. */
void cirrus_cursor_prepare(Vga *v) MACHINE_CALL;
void cirrus_cursor_line(Vga *v, int y, uint32_t *line);

#endif
