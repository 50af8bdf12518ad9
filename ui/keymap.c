/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * keymap.c - from symbols (X11 keysyms) to keys: the layout's for characters,
 * the same keys everywhere for the others.
 *
 * Thread class: any.
 */
#include <string.h>
#include "console.h"
#include "ui/keymaps.h"

/* Symbols that mean the same key on every keyboard, and its XT number. */
static const struct { uint16_t sym; uint8_t number; } fixed[] = {
    { 0xff08, 0x0e }, { 0xff09, 0x0f }, { 0xff0d, 0x1c }, { 0xff13, 0xc6 },
    { 0xff14, 0x46 }, { 0xff15, 0x54 }, { 0xff1b, 0x01 }, { 0xff50, 0xc7 },
    { 0xff51, 0xcb }, { 0xff52, 0xc8 }, { 0xff53, 0xcd }, { 0xff54, 0xd0 },
    { 0xff55, 0xc9 }, { 0xff56, 0xd1 }, { 0xff57, 0xcf }, { 0xff61, 0x54 },
    { 0xff63, 0xd2 }, { 0xff67, 0xdd }, { 0xff6b, 0xc6 }, { 0xff7f, 0x45 },
    { 0xff80, 0x39 }, { 0xff89, 0x0f }, { 0xff8d, 0x9c }, { 0xff95, 0x47 },
    { 0xff96, 0x4b }, { 0xff97, 0x48 }, { 0xff98, 0x4d }, { 0xff99, 0x50 },
    { 0xff9a, 0x49 }, { 0xff9b, 0x51 }, { 0xff9c, 0x4f }, { 0xff9d, 0x4c },
    { 0xff9e, 0x52 }, { 0xff9f, 0x53 }, { 0xffaa, 0x37 }, { 0xffab, 0x4e },
    { 0xffac, 0x53 }, { 0xffad, 0x4a }, { 0xffae, 0x53 }, { 0xffaf, 0xb5 },
    { 0xffb0, 0x52 }, { 0xffb1, 0x4f }, { 0xffb2, 0x50 }, { 0xffb3, 0x51 },
    { 0xffb4, 0x4b }, { 0xffb5, 0x4c }, { 0xffb6, 0x4d }, { 0xffb7, 0x47 },
    { 0xffb8, 0x48 }, { 0xffb9, 0x49 }, { 0xffbe, 0x3b }, { 0xffbf, 0x3c },
    { 0xffc0, 0x3d }, { 0xffc1, 0x3e }, { 0xffc2, 0x3f }, { 0xffc3, 0x40 },
    { 0xffc4, 0x41 }, { 0xffc5, 0x42 }, { 0xffc6, 0x43 }, { 0xffc7, 0x44 },
    { 0xffc8, 0x57 }, { 0xffc9, 0x58 }, { 0xffe1, 0x2a }, { 0xffe2, 0x36 },
    { 0xffe3, 0x1d }, { 0xffe4, 0x9d }, { 0xffe5, 0x3a }, { 0xffe7, 0x38 },
    { 0xffe8, 0xb8 }, { 0xffe9, 0x38 }, { 0xffea, 0xb8 }, { 0xffeb, 0xdb },
    { 0xffec, 0xdc }, { 0xffff, 0xd3 }, { 0xfe03, 0xb8 }, { 0xfe20, 0x0f },
    { 0xff7e, 0xb8 },
};

const Keymap *keymap_find(const char *name)
{
    const Keymap *const parts[] = { keymaps_a, keymaps_b };

    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        for (const Keymap *m = parts[i]; m->name; m++) {
            if (!strcmp(m->name, name)) {
                return m;
            }
        }
    }
    return NULL;
}

static const KeymapRow *row_of(const Keymap *m, uint32_t sym)
{
    unsigned lo = 0, hi = m->n;

    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;

        if (m->rows[mid].sym == sym) {
            return &m->rows[mid];
        }
        if (m->rows[mid].sym < sym) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return NULL;
}

int keymap_key(const Keymap *m, uint32_t sym, int *level)
{
    const KeymapRow *r;

    *level = -1;
    for (size_t i = 0; i < ARRAY_SIZE(fixed); i++) {
        if (fixed[i].sym == sym) {
            return fixed[i].number;
        }
    }
    r = row_of(m, sym);
    if (!r) {                           /* Latin letters on other alphabets   */
        r = row_of(keymap_find("en-us"), sym);
    }
    if (!r) {
        return 0;
    }
    *level = r->level;
    return r->number;
}

unsigned keymap_text_key(uint32_t sym, bool ctrl)
{
    static const struct { uint32_t sym; unsigned plain, ctrl; } rows[] = {
        { 0xff08, CONSOLE_KEY_BACKSPACE, CONSOLE_KEY_BACKSPACE },
        { 0xff09, '\t', '\t' }, { 0xff0d, '\r', '\r' }, { 0xff8d, '\r', '\r' },
        { 0xff1b, 27, 27 }, { 0xffff, CONSOLE_KEY_DELETE, CONSOLE_KEY_DELETE },
        { 0xff50, CONSOLE_KEY_HOME, CONSOLE_KEY_HOME },
        { 0xff51, CONSOLE_KEY_LEFT, CONSOLE_KEY_LEFT },
        { 0xff52, CONSOLE_KEY_UP, CONSOLE_KEY_CTRL_UP },
        { 0xff53, CONSOLE_KEY_RIGHT, CONSOLE_KEY_RIGHT },
        { 0xff54, CONSOLE_KEY_DOWN, CONSOLE_KEY_CTRL_DOWN },
        { 0xff55, CONSOLE_KEY_PAGEUP, CONSOLE_KEY_CTRL_PAGEUP },
        { 0xff56, CONSOLE_KEY_PAGEDOWN, CONSOLE_KEY_CTRL_PAGEDOWN },
        { 0xff57, CONSOLE_KEY_END, CONSOLE_KEY_END },
        { 0xff63, CONSOLE_KEY_INSERT, CONSOLE_KEY_INSERT },
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].sym == sym) {
            return ctrl ? rows[i].ctrl : rows[i].plain;
        }
    }
    if (sym >= 0x20 && sym <= 0xff) {
        return ctrl && sym >= '@' && sym < 0x7f ? sym & 31 : sym;
    }
    return (sym & 0xff000000) == 0x01000000 ? sym & 0xffffff : 0;
}
