/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vscsi.h - what the files of virtio-scsi share with each other alone.
 */
#ifndef HW_VIRTIO_VSCSI_H
#define HW_VIRTIO_VSCSI_H

#include <endian.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_scsi.h>
#include "iothread.h"
#include "scsi.h"
#include "virtio-pci.h"

#define VSCSI_FIXED 2                  /* control and event queue             */
#define VSCSI_CDB_MAX 255
#define VSCSI_SENSE_MAX 252

typedef struct VscsiReq {              /* of a request queue                  */
    VirtqElem e;
    ScsiReq r;
    uint64_t tag;
    uint32_t resp_len;                 /* bytes before the data               */
    uint64_t buf_len;                  /* of the data buffer                  */
    uint16_t own_cap;
    struct iovec *own;                 /* for chains cut in odd places        */
    struct VscsiCtl *waiter;           /* told when it has ended              */
    bool by_reset;
} VscsiReq;

typedef struct VscsiCtl {              /* of the control queue                */
    VirtqElem e;
    unsigned left;                     /* commands to end first, and one      */
    uint8_t response;
} VscsiCtl;

typedef struct VscsiQueue {
    Virtq *q;
    Work notify;
} VscsiQueue;

typedef struct VirtioScsi {
    Virtio v;
    ScsiBus bus;
    Obj *iothread;                     /* properties                          */
    uint32_t num_queues, queue_size, max_sectors, cmd_per_lun;
    bool seg_max_adjust;
    VscsiQueue *queues;
    uint32_t cdb_size, sense_size;     /* atomic                              */
    bool missed;                       /* events; in the loop                 */
    bool resetting;
    VirtqSaved *saved;                 /* during a save or load only          */
    uint32_t nsaved;
} VirtioScsi;

/* scsi-queue.c */
void vscsi_command(Virtq *q);
void vscsi_control(Virtq *q);
void vscsi_event_kick(Virtq *q);
/* Tells the guest, if it has buffers; else that it missed something. */
void vscsi_event(VirtioScsi *s, ScsiDevice *d, uint32_t event, uint32_t reason)
    MACHINE_CALL;
void vscsi_before_save(void *opaque);
bool vscsi_before_load(void *opaque, Error **errp);
bool vscsi_after_load(void *opaque, int version, Error **errp);

#endif
