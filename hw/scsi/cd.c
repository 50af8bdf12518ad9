/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cd.c - commands that CD-ROM units alone have (MMC-6, section 6).
 *
 * Thread class: LOOP_CALL(bus->loop).
 */
#include "hw/scsi/scsi-impl.h"

static MmcDrive drive_of_disk(ScsiDisk *s)
{
    return (MmcDrive){
        .blocks = disk_ready(s) ? s->blocks : 0,
        .present = disk_ready(s), .tray_open = s->tray_open,
        .event_new = &s->event_new, .event_eject = &s->event_eject,
    };
}

static void answer(ScsiReq *r, uint32_t n)
{
    if (n) {
        scsi_reply(r, n);
    } else {
        scsi_check(r, SENSE_BAD_FIELD);
    }
}

bool cd_command(ScsiDisk *s, ScsiReq *r)
{
    uint8_t op = r->cdb[0];
    MmcDrive d = drive_of_disk(s);

    if ((op == 0x43 || op == 0x51 || op == 0xad) && !disk_ready(s)) {
        scsi_check(r, SENSE_NO_MEDIUM);
        return true;
    }
    switch (op) {
    case 0x43:
        answer(r, mmc_read_toc(&d, false, r->cdb,
                               scsi_room(r, MMC_ROOM)));
        return true;
    case 0x46:
        answer(r, mmc_configuration(&d, false, scsi_room(r, MMC_ROOM)));
        return true;
    case 0x4a:
        answer(r, mmc_events(&d, r->cdb, scsi_room(r, MMC_ROOM)));
        return true;
    case 0x51:
        answer(r, mmc_disc_info(r->cdb, scsi_room(r, MMC_ROOM)));
        return true;
    case 0xbd:
        answer(r, mmc_mechanism(scsi_room(r, MMC_ROOM)));
        return true;
    case 0xad:
        if (!mmc_is_dvd(&d) && r->cdb[7] != 0xff) {
            scsi_check(r, SENSE_BAD_MEDIUM);
            return true;
        }
        answer(r, mmc_dvd_structure(&d, r->cdb, scsi_room(r, MMC_ROOM)));
        return true;
    default:
        return false;
    }
}
