/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmos.c - what the board writes into CMOS memory for its firmware: memory
 * sizes, drives, boot order, processors (IBM PC AT Technical Reference,
 * "Real-Time Clock/CMOS RAM"; bytes above 0x34 as firmware for emulators reads
 * them).
 *
 * Thread class: machine lock.
 */
#include <glib.h>
#include "hw/pc/pc-board.h"

#define HARD_DISKS 4
#define FLOPPIES 2

typedef struct CmosDisk {
    bool present;
    uint16_t cyls;
    uint8_t heads, secs, translation;
} CmosDisk;

static CmosDisk disks[HARD_DISKS];
static uint8_t floppies[FLOPPIES];

void cmos_disk(unsigned n, uint16_t cyls, uint8_t heads, uint8_t secs,
               uint8_t translation)
{
    if (n < HARD_DISKS) {
        disks[n] = (CmosDisk){ true, cyls, heads, secs, translation & 3 };
    }
}

void cmos_floppy(unsigned n, uint8_t type)
{
    if (n < FLOPPIES) {
        floppies[n] = type & 15;
    }
}

static MACHINE_CALL void put16(Device *rtc, unsigned at, uint64_t v)
{
    rtc_set_cmos(rtc, at, v);
    rtc_set_cmos(rtc, at + 1, v >> 8);
}

static uint64_t units(uint64_t bytes, uint64_t above, uint64_t unit)
{
    return bytes > above ? MIN2((bytes - above) / unit, 65535) : 0;
}

static MACHINE_CALL void fill_memory(const Pc *p)
{
    Device *rtc = p->rtc;
    uint64_t extended = units(p->below_4g, MiB, KiB);
    uint64_t high = p->above_4g / (64 * KiB);

    put16(rtc, 0x15, MIN2(p->below_4g / KiB, 640));
    put16(rtc, 0x17, extended);
    put16(rtc, 0x30, extended);
    put16(rtc, 0x34, units(p->below_4g, 16 * MiB, 64 * KiB));
    put16(rtc, 0x5b, high);
    rtc_set_cmos(rtc, 0x5d, high >> 16);
}

static MACHINE_CALL void fill_floppies(Device *rtc)
{
    unsigned n = !!floppies[0] + !!floppies[1];
    uint8_t equipment = 0x06;          /* x87, PS/2 mouse                     */

    if (n) {
        equipment |= 1 | (n - 1) << 6;
    }
    rtc_set_cmos(rtc, 0x10, floppies[0] << 4 | floppies[1]);
    rtc_set_cmos(rtc, 0x14, equipment);
}

/* Type 47 with its parameter block, which only the first two disks have. */
static MACHINE_CALL void fill_disk(Device *rtc, unsigned n)
{
    const CmosDisk *d = &disks[n];
    unsigned at = n ? 0x24 : 0x1b;

    if (!d->present) {
        return;
    }
    rtc_set_cmos(rtc, 0x19 + n, 47);
    put16(rtc, at, d->cyls);
    rtc_set_cmos(rtc, at + 2, d->heads);
    put16(rtc, at + 3, 0xffff);        /* no write precompensation            */
    rtc_set_cmos(rtc, at + 5, 0xc0 | (d->heads > 8) << 3);
    put16(rtc, at + 6, d->cyls);
    rtc_set_cmos(rtc, at + 8, d->secs);
}

static MACHINE_CALL void fill_disks(Device *rtc)
{
    uint8_t translation = 0;

    rtc_set_cmos(rtc, 0x12, (disks[0].present ? 0xf0 : 0) |
                 (disks[1].present ? 0x0f : 0));
    fill_disk(rtc, 0);
    fill_disk(rtc, 1);
    for (int i = 0; i < HARD_DISKS; i++) {
        translation |= disks[i].translation << (i * 2);
    }
    rtc_set_cmos(rtc, 0x39, translation);
}

/* ---- boot order --------------------------------------------------------- */

static int boot_code(char c)
{
    switch (c) {
    case 'a':
    case 'b':
        return 1;
    case 'c':
        return 2;
    case 'd':
        return 3;
    case 'n' ... 'p':
        return 4;
    default:
        return 0;
    }
}

static MACHINE_CALL bool fill_boot(const char *order, Error **errp)
{
    uint8_t code[3] = { 0 };
    bool check = pc->fd_bootchk;

    if (strlen(order) > ARRAY_SIZE(code)) {
        return error_set(errp, "Too many boot devices for PC");
    }
    for (int i = 0; order[i]; i++) {
        code[i] = boot_code(order[i]);
        if (!code[i]) {
            return error_set(errp, "Invalid boot device for PC: '%c'",
                             order[i]);
        }
    }
    rtc_set_cmos(pc->rtc, 0x3d, code[1] << 4 | code[0]);
    rtc_set_cmos(pc->rtc, 0x38, code[2] << 4 | !check);
    return true;
}

bool cmos_fill(Pc *p, Error **errp)
{
    const char *order = p->m.boot_once ? p->m.boot_once
                      : p->m.boot_order ? p->m.boot_order : "cad";

    fill_memory(p);
    fill_floppies(p->rtc);
    fill_disks(p->rtc);
    rtc_set_cmos(p->rtc, 0x5f, cpu_count - 1);
    boot_order_apply = fill_boot;
    return fill_boot(order, errp);
}
