/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mmc.h - what CD and DVD drives answer, whichever bus brings the command (MMC-6,
 * section 6). Pure functions: each fills b, which has MMC_ROOM zeroed bytes, and
 * returns the length; 0: the field or the medium is not right for it.
 */
#ifndef HW_SCSI_MMC_H
#define HW_SCSI_MMC_H

#include "base.h"

#define MMC_ROOM 2052

typedef struct MmcDrive {
    uint64_t blocks;                   /* of 2,048 bytes; 0: no disc          */
    bool present, tray_open;
    bool *event_new, *event_eject;
} MmcDrive;

bool mmc_is_dvd(const MmcDrive *d);
/* atapi: the drive takes packets, and the format from where SFF-8020i has it,
 * byte 9, alone. Others look at byte 2 first, where MMC has it. */
uint32_t mmc_read_toc(const MmcDrive *d, bool atapi, const uint8_t *cdb,
                      uint8_t *b);
/* atapi: of its features the list of profiles alone is told. */
uint32_t mmc_configuration(const MmcDrive *d, bool atapi, uint8_t *b);
uint32_t mmc_events(const MmcDrive *d, const uint8_t *cdb, uint8_t *b);
uint32_t mmc_disc_info(const uint8_t *cdb, uint8_t *b);
uint32_t mmc_mechanism(uint8_t *b);
uint32_t mmc_dvd_structure(const MmcDrive *d, const uint8_t *cdb, uint8_t *b);

#endif
