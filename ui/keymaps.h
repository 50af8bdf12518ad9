/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * keymaps.h - layouts of keyboards (-k): which key of a PC gives a symbol.
 */
#ifndef UI_KEYMAPS_H
#define UI_KEYMAPS_H

#include "base.h"

typedef struct KeymapRow {
    uint32_t sym;                      /* X11 keysym; ascending in a layout   */
    uint8_t number;                    /* of the key, as in input.h           */
    uint8_t level;                     /* 1: with shift, 2: with AltGr        */
} KeymapRow;
typedef struct Keymap {
    const char *name;
    const KeymapRow *rows;
    unsigned n;
} Keymap;
extern const Keymap keymaps_a[], keymaps_b[];      /* name NULL at the end    */
/* NULL: there is none of that name. */
const Keymap *keymap_find(const char *name);
/* The key for a symbol: its number, 0 when no key gives it. *level: what must be
 * held with it (KeymapRow.level); -1: that does not matter (Return, F1). */
int keymap_key(const Keymap *m, uint32_t sym, int *level);
/* What a text console gets for a symbol: a character, or one of CONSOLE_KEY_*;
 * 0: nothing. */
unsigned keymap_text_key(uint32_t sym, bool ctrl);

#endif
