/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * boot-lib.h - for the kernels that show how they were started: text on the
 * first serial port; and the second boot, which a byte of CMOS tells from the
 * first.
 */
#ifndef TERN_TESTS_GUESTS_BOOT_LIB_H
#define TERN_TESTS_GUESTS_BOOT_LIB_H

#include <stdint.h>
#include "ports.h"

static inline void put(const char *s)
{
    for (; *s; s++) {
        out8(0x3f8, *s);
    }
}

static inline void put_n(const char *s, uint32_t n)
{
    while (n--) {
        out8(0x3f8, *s++);
    }
}

static inline void put_hex(uint64_t v)
{
    int digits = 1;

    while (digits < 16 && v >> (4 * digits)) {
        digits++;
    }
    while (digits--) {
        out8(0x3f8, "0123456789abcdef"[v >> (4 * digits) & 15]);
    }
}

static inline void line_hex(const char *name, uint64_t v)
{
    put(name);
    put_hex(v);
    put("\n");
}

/* Says which boot this is. True: the first; it wants a reset when done. */
static inline int boot_is_first(void)
{
    uint8_t n;

    out8(0x70, 0x50);
    n = in8(0x71);
    out8(0x70, 0x50);
    out8(0x71, n + 1);
    line_hex("boot: ", n + 1);
    return n == 0;
}

/* First boot: reset by the keyboard controller. Second: exit, status 2 * 21 + 1
 * where isa-debug-exit is there, else reset again (for -no-reboot). */
static inline void boot_end(int first)
{
    put("end\n");
    if (!first) {
        out8(0xf4, 21);
    }
    out8(0x64, 0xfe);
    for (;;) {
        __asm__ volatile("hlt");
    }
}

#endif
