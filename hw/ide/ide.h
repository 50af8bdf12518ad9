/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ide.h - the IDE bus, its drives and its controllers. MACHINE_CALL throughout. */
#ifndef TERN_HW_IDE_H
#define TERN_HW_IDE_H

#include "blk-conf.h"
#include "runstate.h"

typedef struct IdeBus IdeBus;
typedef struct IdeDrive IdeDrive;

enum { ST_ERR = 0x01, ST_DRQ = 0x08, ST_SEEK = 0x10, ST_FAULT = 0x20,
       ST_READY = 0x40, ST_BUSY = 0x80 };
enum { ER_ABRT = 0x04, ER_MC = 0x20 };
enum { IR_CD = 1, IR_IO = 2 };         /* interrupt reason                    */

/* Of PIO: the longest block, and a sector of a disc that goes beyond it. */
#define IDE_BUF (68 * KiB)
#define IDE_MULT 16                    /* sectors of READ MULTIPLE            */
#define IDE_ROUND (512 * KiB)          /* bytes of one DMA request            */
#define IDE_SEGMENTS 512

/* Scatter list of a controller, walked in order. */
typedef struct IdeDma {
    /* Next piece of guest memory, at most `want` bytes; false: end of the table,
     * or an error. */
    bool (*next)(void *opaque, uint64_t want, uint64_t *addr, uint64_t *len)
        MACHINE_PTR;
    /* Back to where a round began, to do it again. */
    void (*save)(void *opaque) MACHINE_PTR;
    void (*restore)(void *opaque) MACHINE_PTR;
    bool (*running)(void *opaque) MACHINE_PTR;
    /* The drive has ended. more: the table has not. */
    void (*finished)(void *opaque, bool more) MACHINE_PTR;
    MemSpace *(*space)(void *opaque) MACHINE_PTR;
} IdeDma;

struct IdeBus {
    Bus bus;
    IdeDrive *drive[2];
    uint8_t unit;                      /* selected                            */
    uint8_t control;                   /* device control register             */
    unsigned serial;                   /* number of unit 0                    */
    IrqLine irq;
    const IdeDma *dma;                 /* NULL: PIO only                      */
    void *dma_opaque;
    void (*irq_hook)(void *opaque);    /* the interrupt was raised            */
    void (*goes_on)(void *opaque) MACHINE_PTR;     /* the machine runs again  */
    void (*cancel)(void *opaque) MACHINE_PTR;      /* the drive leaves        */
    unsigned units;                    /* at most; 0: two                     */
    bool sata;                         /* no board knows it; queues commands  */
    RunNotify run;
};

typedef enum IdeEnd {                  /* what follows a PIO block            */
    END_DONE, END_READ, END_WRITE, END_PACKET, END_REPLY, END_DISC,
    END_SECURITY, END_COUNT,
} IdeEnd;

typedef enum IdeJob { JOB_NONE, JOB_PIO_READ, JOB_PIO_WRITE, JOB_DMA_READ,
                      JOB_DMA_WRITE, JOB_FLUSH, JOB_TRIM, JOB_DISC_PIO,
                      JOB_DISC_DMA, JOB_REPLY_DMA, JOB_DISC_RAW,
                      JOB_ERASE, JOB_COUNT } IdeJob;

/* What a guest is still to be told of a disc that came by the user's hand: that
 * none was there, then that one is. */
typedef enum CdChange { CD_SAME, CD_CHANGED, CD_TOLD_ABSENT,
                        CD_CHANGE_COUNT } CdChange;

typedef struct IdeSecurity {
    bool on;                           /* property: the feature set is there  */
    bool enabled, locked, frozen, maximum, prepared;
    uint8_t tries;                     /* until UNLOCK is refused             */
    uint16_t revision;                 /* of the master's password            */
    uint8_t user[32], master[32];
} IdeSecurity;

struct IdeDrive {
    Device dev;
    BlkConf conf;                      /* properties                          */
    char *ver, *serial, *model;
    uint64_t wwn;
    uint32_t unit;
    int trans;
    uint16_t rotation;
    bool cdrom;
    uint64_t sectors;                  /* of 512 bytes                        */
    uint8_t identify[512];
    /* task file */
    uint8_t feature, error, count, sector, lcyl, hcyl, select, status;
    uint8_t hob_feature, hob_count, hob_sector, hob_lcyl, hob_hcyl;
    uint8_t command;
    bool lba48;
    uint32_t mult;                     /* sectors of a multiple block         */
    uint32_t heads, secs;              /* logical, by INITIALIZE PARAMETERS   */
    bool smart, reset_under_way;
    IdeSecurity sec;
    /* PIO block */
    uint8_t *buf;
    uint32_t buf_size, pos, end;       /* buf[pos, end) is left               */
    uint8_t after;                     /* IdeEnd                              */
    /* the command under way */
    uint8_t job;                       /* IdeJob                              */
    uint64_t lba;
    uint32_t left;                     /* sectors                             */
    uint32_t now;                      /* sectors (bytes of JOB_REPLY) asked  */
    bool waiting_dma;                  /* for the controller to start         */
    bool retry;                        /* stopped by an error: again on cont  */
    bool cancelled;
    BlkReq req;
    struct iovec iov[IDE_SEGMENTS];
    unsigned niov;
    bool in_flight;
    /* CD-ROM */
    uint8_t packet[12];
    bool packet_dma;
    uint16_t limit;                    /* byte count of the packet            */
    uint32_t reply_pos, reply_len;     /* in buf: not yet offered             */
    uint32_t block;                    /* 2048 or 2352                        */
    uint8_t sense, asc, ascq;
    uint8_t changed;                   /* CdChange                            */
    bool tray_open, tray_locked, event_new, event_eject;
};

extern const BusType bus_ide;
extern const VmState ide_drive_state;

/* core.c */
void ide_bus_init(IdeBus *b, Device *owner, const char *name, IrqLine irq)
    MACHINE_CALL;
void ide_bus_fini(IdeBus *b) MACHINE_CALL;
void ide_bus_reset(IdeBus *b) MACHINE_CALL;
/* The eight ports of the task file; the first is the data register, of up to four
 * bytes. */
uint64_t ide_port_read(void *bus, uint64_t off, unsigned size);
void ide_port_write(void *bus, uint64_t off, uint64_t v, unsigned size);
uint64_t ide_status_read(void *bus, uint64_t off, unsigned size);
void ide_control_write(void *bus, uint64_t off, uint64_t v, unsigned size);
void ide_irq(IdeDrive *d) MACHINE_CALL;
void ide_signature(IdeDrive *d);
void ide_abort(IdeDrive *d);           /* error register and status           */
void ide_pio(IdeDrive *d, uint32_t len, IdeEnd after);
/* The whole block has been moved. */
void ide_pio_end(IdeDrive *d) MACHINE_CALL;
static inline IdeBus *ide_bus(const IdeDrive *d)
{
    return (IdeBus *)d->dev.bus;
}
/* The controller's start bit: went on, or off. */
void ide_dma_started(IdeBus *b) MACHINE_CALL;
void ide_dma_stopped(IdeBus *b) MACHINE_CALL;
void ide_cancel(IdeDrive *d) MACHINE_CALL;

/* ata.c, ata-rw.c */
void ide_command(IdeDrive *d, uint8_t cmd) MACHINE_CALL;
void ide_good(IdeDrive *d) MACHINE_CALL;           /* done, interrupt         */
void ide_bad(IdeDrive *d) MACHINE_CALL;            /* aborted, interrupt      */
void ide_rw_start(IdeDrive *d, IdeJob job, bool lba48, bool multiple)
    MACHINE_CALL;
void ide_rw_next(IdeDrive *d, IdeEnd end) MACHINE_CALL;
void ide_flush(IdeDrive *d) MACHINE_CALL;
void ide_dma_round(IdeDrive *d) MACHINE_CALL;
/* The first round, now or when the controller starts. */
void ide_dma_begin(IdeDrive *d) MACHINE_CALL;
void ide_job_again(IdeDrive *d) MACHINE_CALL;
uint64_t ide_address(const IdeDrive *d);
void ide_submit(IdeDrive *d, BlkOp op, uint64_t off, uint64_t len)
    MACHINE_CALL;
/* Bytes gathered from the controller's list into iov; maps them. */
uint64_t ide_gather(IdeDrive *d, uint64_t want, bool to_memory) MACHINE_CALL;
/* Cuts what was gathered down to whole units. */
uint64_t ide_whole(IdeDrive *d, uint64_t got, uint32_t unit) MACHINE_CALL;
void ide_release(IdeDrive *d, bool to_memory, uint64_t used) MACHINE_CALL;
void ide_dma_end(IdeDrive *d, bool irq) MACHINE_CALL;

/* security.c */
void ide_security_init(IdeDrive *d);
void ide_security_power(IdeDrive *d);  /* on again: locked, not frozen        */
/* A locked disk takes no such command. */
bool ide_security_refuses(const IdeDrive *d, uint8_t cmd);
void ide_security_identify(IdeDrive *d);           /* its words, as of now    */
void ide_security_command(IdeDrive *d, uint8_t cmd) MACHINE_CALL;
void ide_security_data(IdeDrive *d) MACHINE_CALL;  /* the command's block     */
void ide_security_erase(IdeDrive *d) MACHINE_CALL; /* the next piece          */
void ide_security_erased(IdeDrive *d) MACHINE_CALL;
extern const VmState ide_security_state;

/* identify.c */
void ide_identify_disk(IdeDrive *d);
void ide_identify_size(IdeDrive *d);            /* again, from d->sectors     */
void ide_identify_cdrom(IdeDrive *d);

/* atapi.c, atapi-info.c */
void ide_packet(IdeDrive *d) MACHINE_CALL;         /* PACKET was written      */
void atapi_run(IdeDrive *d) MACHINE_CALL;          /* its twelve bytes are in */
void atapi_next(IdeDrive *d, IdeEnd end) MACHINE_CALL;
void atapi_disc_done(IdeDrive *d, int ret) MACHINE_CALL;
void atapi_dma_round(IdeDrive *d) MACHINE_CALL;
void atapi_error(IdeDrive *d, uint8_t sense, uint8_t asc) MACHINE_CALL;
void atapi_ok(IdeDrive *d) MACHINE_CALL;
/* len bytes of buf, at most max of them. */
void atapi_reply(IdeDrive *d, uint32_t len, uint32_t max) MACHINE_CALL;
bool atapi_info(IdeDrive *d) MACHINE_CALL;         /* false: not one of them  */
uint64_t atapi_blocks(const IdeDrive *d);          /* of 2048 bytes           */

/* atapi-tray.c */
void atapi_start_stop(IdeDrive *d) MACHINE_CALL;
void atapi_tray_reset(IdeDrive *d) MACHINE_CALL;
extern const BlkDevOps ide_cd_ops;

/* A board's drives on its bus of that number, as the options gave them. */
bool ide_drives_create(IdeBus *b, int bus, Error **errp) MACHINE_CALL;

#endif
