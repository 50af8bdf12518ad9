/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fdc.h - floppy drives and their bus, private to hw/block. MACHINE_CALL. */
#ifndef TERN_HW_FDC_H
#define TERN_HW_FDC_H

#include "blk-conf.h"

/* FdcDriveType, in the order of its enum. */
typedef enum FloppyKind { FLOPPY_144, FLOPPY_288, FLOPPY_120, FLOPPY_NONE,
                          FLOPPY_AUTO } FloppyKind;

typedef struct Floppy {
    Device dev;
    BlkConf conf;                      /* properties                          */
    uint32_t unit;
    int kind_given;                    /* FloppyKind                          */
    int kind, fallback;
    uint8_t sectors, tracks, heads, rate;          /* of the medium           */
    uint8_t track, head, sector;       /* where the head is                   */
    bool changed, read_only;
} Floppy;

typedef struct FloppyBus {
    Bus bus;
    Floppy *drive[2];
    int fallback;
    int kinds[2];                      /* of the controller's properties      */
} FloppyBus;

extern const BusType bus_floppy;
extern const PropEnum floppy_kinds;
/* Looks at the medium: geometry, rate, write protection. */
void floppy_look(Floppy *f) MACHINE_CALL;
bool floppy_present(const Floppy *f);
/* Of the sector under (track, head, sector). */
uint64_t floppy_offset(const Floppy *f);

#endif
