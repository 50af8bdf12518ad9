/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blk.h - what the files of virtio-blk share with each other alone.
 */
#ifndef HW_VIRTIO_BLK_H
#define HW_VIRTIO_BLK_H

#include <endian.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include "blk-conf.h"
#include "iothread.h"
#include "virtio-pci.h"

typedef struct VblkReq {
    VirtqElem e;
    BlkReq req;
    uint32_t type, flags;
    uint64_t sector;
    uint8_t status;
    uint16_t own_cap;
    struct iovec *own;                 /* for chains cut in odd places        */
    struct VblkReq *next;              /* kept, or on a stack                 */
    Work work;
} VblkReq;

typedef struct VblkQueue {
    Virtq *q;
    Work notify;
    bool foreign;                      /* not in the drive's loop             */
    VblkReq *down, *up;                /* stacks, atomic: to the drive's loop,
                                          and back                            */
    Work submit, finish;
} VblkQueue;

typedef struct VirtioBlk {
    Virtio v;
    BlkConf conf;                      /* properties                          */
    Obj *iothread;
    Obj **threads;                     /* of iothread-vq-mapping              */
    unsigned nthreads;
    Loop **loops;                      /* of the queues; NULL: the drive's    */
    char *serial;
    uint16_t num_queues, queue_size;
    uint32_t max_discard, max_write_zeroes;
    uint32_t options;
    bool seg_max_adjust, report_granularity, wce_if_config;
    uint64_t sectors;                  /* atomic                              */
    uint32_t busy;                     /* atomic                              */
    bool resting;                      /* atomic: quiesce waits for busy      */
    VblkReq *kept;
    VblkQueue *queues;
    bool cache_at_start;
    VirtqSaved *saved;                 /* during a save or load only          */
    uint32_t nsaved;
} VirtioBlk;

#define VBLK_MAPPING "iothread-vq-mapping"

void vblk_kicked(Virtq *q);
/* In the queue's loop: the block layer has answered. */
void vblk_done(VblkReq *r);
/* blk-map.c */
Json *vblk_map_get(const Obj *o, const Prop *p, Error **errp);
bool vblk_map_set(Obj *o, const Prop *p, const Json *v, Error **errp);
/* Checks the mapping and claims its iothreads; false: vblk_map_drop is due too. */
bool vblk_map_apply(VirtioBlk *s, Error **errp) MACHINE_CALL;
void vblk_map_drop(VirtioBlk *s) MACHINE_CALL;
void vblk_map_queue(VblkQueue *vq) MACHINE_CALL;
void vblk_hand_down(VblkQueue *vq, VblkReq *r);
void vblk_hand_up(VblkQueue *vq, VblkReq *r);
void vblk_quiesce(Virtio *v, bool forget) MACHINE_CALL;
void vblk_resume(Virtio *v) MACHINE_CALL;
void vblk_queues_init(VirtioBlk *s) MACHINE_CALL;
void vblk_queues_fini(VirtioBlk *s) MACHINE_CALL;
void vblk_before_save(void *opaque);
bool vblk_before_load(void *opaque, Error **errp);
bool vblk_after_load(void *opaque, int version, Error **errp);

#endif
