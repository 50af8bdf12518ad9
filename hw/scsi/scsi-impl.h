/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scsi-impl.h - what the files of the SCSI layer share with each other alone.
 */
#ifndef HW_SCSI_IMPL_H
#define HW_SCSI_IMPL_H

#include "hw/scsi/mmc.h"
#include "scsi.h"

#define SCSI_REPLY_MAX (256 * 1024)    /* bytes that are not a medium's       */

typedef struct ScsiDisk {
    ScsiDevice d;
    /* properties */
    char *ver, *serial, *vendor, *product, *device_id;
    uint64_t wwn, port_wwn, max_unmap, max_io;
    uint16_t port_index, rotation;
    int32_t scsi_version;
    bool removable, dpofua;
    bool quirk_apple_vendor, quirk_apple_page, quirk_truncated, quirk_dbd;
    bool cd;
    /* in the bus's loop, like all that follows */
    uint64_t blocks;
    bool tray_open, locked, event_new, event_eject;
} ScsiDisk;

/* bus.c: REPORT LUNS, REQUEST SENSE, and all of a unit that is not there. */
bool scsi_common(ScsiReq *r);
/* All commands of the unit are cancelled and have ended. */
void scsi_unit_rest(ScsiDevice *d) MACHINE_CALL;
/* req.c */
void scsi_cancel_all(ScsiDevice *d);
/* The guest has heard of the pending attention. */
void scsi_attention_told(ScsiDevice *d);

/* disk-info.c: INQUIRY, MODE SENSE, capacities. */
void scsi_put_inquiry(uint8_t *b, uint8_t kind, int version, bool tags);
void scsi_put_text(uint8_t *to, size_t n, const char *s);
bool disk_info(ScsiDisk *s, ScsiReq *r);           /* false: not one of them  */
unsigned disk_mode_page(const ScsiDisk *s, uint8_t page, bool changeable,
                        uint8_t *to);
void disk_mode_select(ScsiDisk *s, ScsiReq *r);
/* disk-rw.c: what touches the medium. */
bool disk_medium(ScsiDisk *s, ScsiReq *r);
/* cd.c */
bool cd_command(ScsiDisk *s, ScsiReq *r);
/* The medium is the machine's to change while the tray is open: it is looked at
 * when it is closed alone. */
static inline bool disk_ready(const ScsiDisk *s)
{
    return !s->tray_open && blk_has_medium(s->d.conf.blk);
}

#endif
