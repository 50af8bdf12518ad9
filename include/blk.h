/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blk.h - block requests, nodes, drivers and the backend that a device or export
 * holds. A request is embedded by its owner; submit never blocks and never
 * allocates on the straight path. Data path: LOOP_CALL(backend's loop), the
 * machine lock counting as the main loop; graph: MACHINE_CALL, drained.
 */
#ifndef TERN_BLK_H
#define TERN_BLK_H

#include "loop.h"
#include "obj.h"

typedef enum BlkOp { BLK_READ, BLK_WRITE, BLK_FLUSH, BLK_DISCARD, BLK_ZERO,
                     BLK_IOCTL } BlkOp;
typedef enum BlkReqFlags {
    BLKF_FUA = 1 << 0, BLKF_MAY_UNMAP = 1 << 1, BLKF_NO_FALLBACK = 1 << 2,
    BLKF_SERIALISING = 1 << 3, BLKF_COMPRESSED = 1 << 4, BLKF_PREFETCH = 1 << 5,
    BLKF_COPY_ON_READ = 1 << 6, BLKF_REGISTERED = 1 << 7,
    BLKF_INNER = 1 << 8,               /* part of one that the node runs      */
} BlkReqFlags;
typedef struct BlkReq BlkReq;
typedef struct BlkNode BlkNode;
typedef struct BlkBackend BlkBackend;

#define BLK_SLOTS 6                    /* layers of filters on the straight path */
typedef struct BlkSlot {               /* one layer's room within a request   */
    void (*done)(BlkReq *req);
    uint64_t w[6];
} BlkSlot;
struct BlkReq {                        /* lives inside the caller's request   */
    BlkOp op;
    uint32_t flags;
    uint64_t off, len;                 /* bytes                               */
    const struct iovec *iov;
    unsigned niov;
    int ret;                           /* 0 or -errno                         */
    void (*done)(BlkReq *req);         /* in the submitter's loop; may resubmit */
    /* private to the block layer from here */
    BlkBackend *blk;
    BlkReq *next;
    int64_t start_ns;
    uint8_t depth, acct;
    bool sync;                         /* passes a drained backend            */
    BlkSlot slot[BLK_SLOTS];
    Work work;
    uint64_t drv[12];                  /* of the protocol driver at the bottom */
};

typedef struct BlkLimits {
    uint32_t align;                    /* request alignment, bytes, power of 2 */
    uint32_t mem_align;                /* of buffers                          */
    uint64_t max_transfer, max_discard, max_zero;  /* 0: none                 */
    uint32_t discard_align, zero_align, opt_transfer;
    unsigned max_iov;
    bool short_tail;                   /* the last request may end at the end */
} BlkLimits;
typedef enum BlkExtentFlags {
    BLKX_DATA = 1, BLKX_ZERO = 2, BLKX_OFFSET = 4, BLKX_ALLOCATED = 8,
    BLKX_EOF = 16, BLKX_COMPRESSED = 32, BLKX_RECURSE = 64,
} BlkExtentFlags;
typedef struct BlkExtent {
    uint64_t len;                      /* from the offset asked about         */
    uint32_t flags;
    uint64_t map;                      /* BLKX_OFFSET: place in `file`        */
    BlkNode *file;
} BlkExtent;
typedef enum BlkPerm {                 /* bits, as the image locks number them */
    BLKP_CONSISTENT_READ = 1, BLKP_WRITE = 2, BLKP_WRITE_UNCHANGED = 4,
    BLKP_RESIZE = 8, BLKP_ALL = 15,
} BlkPerm;
typedef enum BlkOpenFlags {
    BLKO_RDWR = 1 << 0, BLKO_DIRECT = 1 << 1, BLKO_NO_FLUSH = 1 << 2,
    BLKO_UNMAP = 1 << 3, BLKO_NO_BACKING = 1 << 4, BLKO_CHECK = 1 << 5,
    BLKO_AUTO_RDONLY = 1 << 6, BLKO_FORCE_SHARE = 1 << 7, BLKO_INACTIVE = 1 << 8,
    BLKO_COPY_ON_READ = 1 << 9, BLKO_NO_IO = 1 << 10,
} BlkOpenFlags;

typedef struct BlkDriver BlkDriver;
/* The driver table is in block/driver.h: only block/ needs it. */

/* ---- opening: MACHINE_CALL ----------------------------------------------- */
/* blockdev-add form. Returns a node with one reference. */
BlkNode *blk_open_json(const Json *opts, bool text, Error **errp) MACHINE_CALL;
/* File name or json:{…} with options (format probed when "driver" is absent). */
BlkNode *blk_open(const char *filename, const Json *opts, unsigned flags,
                  Error **errp) MACHINE_CALL;
/* -blockdev, blockdev-add: the node stays until blockdev-del. */
bool blk_blockdev_add(const Json *opts, bool text, Error **errp) MACHINE_CALL;
void blk_node_ref(BlkNode *n) MACHINE_CALL;
void blk_node_unref(BlkNode *n) MACHINE_CALL;
BlkNode *blk_node_find(const char *node_name) MACHINE_CALL;
const char *blk_node_name(const BlkNode *n);

/* ---- backends --- */
typedef enum BlkAction { BLKA_REPORT, BLKA_IGNORE, BLKA_ENOSPC, BLKA_STOP }
    BlkAction;
/* What a device tells its backend. All optional. */
typedef struct BlkDevOps {
    void (*change_media)(void *dev, bool load) MACHINE_PTR;
    bool (*eject_request)(void *dev, bool force) MACHINE_PTR;
    bool (*tray_open)(void *dev) MACHINE_PTR;
    bool (*locked)(void *dev) MACHINE_PTR;
    void (*resized)(void *dev) MACHINE_PTR;
    void (*drained_begin)(void *dev);  /* stop making requests                */
    void (*drained_end)(void *dev);
    bool removable;
    bool no_io_status;                 /* requests are not retried            */
} BlkDevOps;
typedef struct BlkGeometry {
    uint32_t cyls, heads, secs;        /* 0: none known                       */
} BlkGeometry;
/* Logical to physical CHS for firmware, as CMOS and its tables number them. */
typedef enum BlkTrans { TRANS_AUTO, TRANS_NONE, TRANS_LBA, TRANS_LARGE,
                        TRANS_RECHS } BlkTrans;

/* Holds no node yet. name: of -drive, copied; NULL: anonymous. */
BlkBackend *blk_new(const char *name) MACHINE_CALL;
void blk_ref(BlkBackend *b) MACHINE_CALL;
void blk_unref(BlkBackend *b) MACHINE_CALL;
bool blk_insert(BlkBackend *b, BlkNode *n, Error **errp) MACHINE_CALL;
void blk_eject(BlkBackend *b) MACHINE_CALL;        /* takes the node out      */
BlkNode *blk_root(BlkBackend *b);      /* NULL: no medium                     */
BlkBackend *blk_find(const char *name) MACHINE_CALL;    /* -drive id           */
const char *blk_name(const BlkBackend *b);         /* "" for anonymous        */
bool blk_attach_dev(BlkBackend *b, void *dev, Obj *obj, const BlkDevOps *ops,
                    Error **errp) MACHINE_CALL;
void blk_detach_dev(BlkBackend *b) MACHINE_CALL;
bool blk_set_perm(BlkBackend *b, uint64_t perm, uint64_t shared, Error **errp)
    MACHINE_CALL;
bool blk_set_loop(BlkBackend *b, Loop *l, Error **errp) MACHINE_CALL;
Loop *blk_loop(const BlkBackend *b);
void blk_on_error(BlkBackend *b, BlkAction rerror, BlkAction werror);
/* What to do about a failed request; BLKA_STOP has asked for vm_stop and sent
 * BLOCK_IO_ERROR. */
BlkAction blk_error_action(BlkBackend *b, bool read, int err) MACHINE_CALL;

bool blk_has_medium(const BlkBackend *b);
bool blk_writable(const BlkBackend *b);
bool blk_write_cache(const BlkBackend *b);
void blk_set_write_cache(BlkBackend *b, bool on);
/* The guest has moved the tray. */
void blk_tray_moved(BlkBackend *b, bool open) MACHINE_CALL;
/* What counts as activity: on by default. */
void blk_account_set(BlkBackend *b, bool invalid, bool failed);
int64_t blk_length(BlkBackend *b);     /* bytes, -errno                       */
const BlkLimits *blk_limits(BlkBackend *b);
/* Geometry as the first partition table of the image says, else a guess by size
 * (at most 16383/16/63); *trans: what firmware should do. Reads sector 0. */
void blk_guess_geometry(BlkBackend *b, BlkGeometry *g, BlkTrans *trans)
    MACHINE_CALL;
void blk_limits_default(BlkLimits *l);

/* ---- requests: LOOP_CALL(blk_loop(b)) --- */
void blk_submit(BlkBackend *b, BlkReq *req);
/* Batches submissions of this loop turn explicitly (nests). */
void blk_plug(BlkBackend *b);
void blk_unplug(BlkBackend *b);
/* Drop the request if it has not been handed to the host; done gets -ECANCELED. */
void blk_cancel(BlkReq *req);
/* A descriptor from which [off, off + len) can be sent without waiting, from *at
 * on, until the caller next yields; a write made later may show in what is sent.
 * now: it will be read, not sent, before the caller yields, so that formats lend
 * also what they may give to other data. -1: to be read by a request. Does not
 * count as one. */
int blk_lend(BlkBackend *b, uint64_t off, uint64_t len, uint64_t *at,
             bool now);
/* Waits (main loop runs): control paths and tools only. Return 0 or -errno. */
int blk_pread(BlkBackend *b, uint64_t off, void *buf, size_t n) MACHINE_CALL;
int blk_pwrite(BlkBackend *b, uint64_t off, const void *buf, size_t n,
               unsigned flags) MACHINE_CALL;
int blk_flush(BlkBackend *b) MACHINE_CALL;
/* Of the host's device, if the node is one; 0 or -errno. */
int blk_ioctl(BlkBackend *b, unsigned long what, void *arg) MACHINE_CALL;
void blk_drain(BlkBackend *b) MACHINE_CALL;        /* until idle              */
void blk_drain_begin(BlkBackend *b) MACHINE_CALL;
void blk_drain_end(BlkBackend *b) MACHINE_CALL;
void blk_drain_all(void) MACHINE_CALL;
int blk_flush_all(void) MACHINE_CALL;

/* A device's drive property: PROP_DRIVE("drive", T, blk). */
extern const PropRef prop_ref_drive;
#define PROP_DRIVE(n, T, f, ...) PROP_REF(n, T, f, &prop_ref_drive, \
                                          ##__VA_ARGS__)

/* ---- -drive for boards --- */
typedef enum DriveIf { IF_NONE, IF_IDE, IF_SCSI, IF_FLOPPY, IF_PFLASH, IF_MTD,
                       IF_SD, IF_VIRTIO, IF_XEN, IF_COUNT, IF_DEFAULT = -1 }
    DriveIf;
typedef struct Drive {
    char *id;
    DriveIf type;
    int bus, unit, index;
    bool cdrom, claimed, is_default;
    char *serial, *addr;
    const char *where;                 /* as report_where; NULL: no option    */
    BlkGeometry geometry;
    BlkBackend *blk;
    struct Drive *next;
} Drive;
/* type: what `if=` means when absent. The text is the option's argument. */
Drive *drive_add(const char *text, DriveIf type, const char *extra,
                 Error **errp) MACHINE_CALL;
Drive *drive_find(DriveIf type, int bus, int unit) MACHINE_CALL;
void drive_each(bool (*fn)(Drive *d, void *arg), void *arg) MACHINE_CALL;
Drive *drive_of(BlkBackend *b) MACHINE_CALL;
/* The drive's name and place are free again; its device keeps the backend. */
void drive_forget(BlkBackend *b) MACHINE_CALL;
void blk_name_clear(BlkBackend *b) MACHINE_CALL;

#endif
