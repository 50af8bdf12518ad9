/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scsi.h - SCSI buses, logical units and commands (SAM-5, SPC-4, SBC-3, MMC-6).
 *
 * A bus belongs to a loop: commands are begun, cancelled and answered there,
 * LOOP_CALL(bus->loop). Plugging and monitors: MACHINE_CALL, which enter that
 * loop by scsi_run. A command is embedded by its owner, the host adapter.
 */
#ifndef TERN_SCSI_H
#define TERN_SCSI_H

#include "blk-conf.h"

typedef struct ScsiBus ScsiBus;
typedef struct ScsiDevice ScsiDevice;
typedef struct ScsiReq ScsiReq;

#define SCSI_CDB 32                    /* bytes kept of a command             */
#define SCSI_SENSE 96                  /* at most, of sense data              */
#define SCSI_TARGETS 256
#define SCSI_LUNS 16384

enum { SCSI_GOOD = 0, SCSI_CHECK = 2, SCSI_BUSY = 8, SCSI_CONFLICT = 0x18,
       SCSI_FULL = 0x28, SCSI_ABORTED = 0x40 };
typedef enum ScsiDir { SCSI_NONE, SCSI_IN, SCSI_OUT } ScsiDir;

typedef struct ScsiSense {
    uint8_t key, asc, ascq;
} ScsiSense;

/* One command. Owner fills cdb, lun and done, calls scsi_begin, looks at dir and
 * xfer, gives the data buffer and calls scsi_submit. */
struct ScsiReq {
    uint8_t cdb[SCSI_CDB];
    uint16_t lun;
    const struct iovec *iov;           /* buffer in direction `dir`           */
    unsigned niov;
    uint64_t iov_len;                  /* its bytes                           */
    void (*done)(ScsiReq *r);
    /* by scsi_begin */
    ScsiDevice *dev;                   /* NULL: no such unit; answered anyhow */
    ScsiDir dir;
    uint64_t xfer;                     /* bytes the command block speaks of   */
    /* the answer */
    uint64_t moved;                    /* bytes of the buffer                 */
    uint8_t status;
    uint8_t sense_len;
    uint8_t sense[SCSI_SENSE];
    bool aborted;                      /* cancelled: there is no answer       */
    /* private from here */
    ScsiBus *bus;
    uint16_t target;
    ScsiReq *next, **at;               /* of the unit's commands              */
    ScsiReq *next_kept;
    bool kept, in_flight;
    uint8_t action;
    void (*then)(ScsiReq *r);
    void (*machine)(ScsiReq *r) MACHINE_PTR;
    uint8_t step;                      /* of the unit's program               */
    uint64_t pos, left;                /* in parts; bytes or blocks           */
    struct iovec *cut, one;            /* buffer cut to the transfer          */
    uint8_t *buf;
    uint32_t buf_len;
    BlkReq req;
    Work work;
};

typedef struct ScsiHba {               /* what a host adapter tells its bus   */
    uint16_t targets;                  /* 1..SCSI_TARGETS                     */
    uint16_t luns;                     /* 1..SCSI_LUNS                        */
    bool tags;
    /* A unit came (went) while the machine lives; NULL: nobody to tell. */
    void (*plugged)(ScsiBus *b, ScsiDevice *d, bool in) MACHINE_PTR;
    /* A unit has news (medium, capacity). */
    void (*changed)(ScsiBus *b, ScsiDevice *d, ScsiSense s) MACHINE_PTR;
} ScsiHba;

struct ScsiBus {
    Bus bus;
    const ScsiHba *hba;
    Loop *loop;
    ScsiDevice *targets[SCSI_TARGETS]; /* lists in order of LUN               */
    ScsiReq *kept;                     /* stopped by an error: again on cont  */
};

struct ScsiDevice {
    Device dev;
    uint32_t channel, id, lun;         /* properties; UINT32_MAX: any         */
    BlkConf conf;
    /* shared by all kinds of units */
    ScsiDevice *next;                  /* of the target                       */
    ScsiReq *active;
    ScsiSense sense, attention;        /* of the last command; pending        */
    bool linked;
};

/* DeviceType.on_info of a logical unit. */
typedef struct ScsiType {
    uint8_t kind;                      /* peripheral device type              */
    /* Direction and length of a command block. NULL: by the standards. */
    void (*parse)(ScsiDevice *d, ScsiReq *r);
    void (*run)(ScsiDevice *d, ScsiReq *r);
    void (*reset)(ScsiDevice *d);      /* LUN or bus reset                    */
    /* The attention has been told; may set the next one. */
    void (*told)(ScsiDevice *d, ScsiSense s);
} ScsiType;

extern const BusType bus_scsi;

/* ---- for host adapters --------------------------------------------------- */
/* name NULL: "scsi.0" or "<id>.0". Hot-pluggable. */
void scsi_bus_init(ScsiBus *b, Device *owner, const char *name,
                   const ScsiHba *hba) MACHINE_CALL;
void scsi_bus_fini(ScsiBus *b) MACHINE_CALL;
/* All units move to that loop; at rest. */
bool scsi_bus_set_loop(ScsiBus *b, Loop *l, Error **errp) MACHINE_CALL;
/* Runs fn in the bus's loop and waits. */
void scsi_run(ScsiBus *b, void (*fn)(void *arg), void *arg) MACHINE_CALL;
/* Devices for `-drive if=scsi` of that bus number. */
bool scsi_bus_drives(ScsiBus *b, int bus, Error **errp) MACHINE_CALL;

/* LOOP_CALL(b->loop) from here. */
bool scsi_target_exists(const ScsiBus *b, unsigned target);
ScsiDevice *scsi_find(const ScsiBus *b, unsigned target, unsigned lun);
void scsi_begin(ScsiBus *b, ScsiReq *r, unsigned target);
void scsi_submit(ScsiReq *r);          /* may call done at once               */
/* Answers soon, if it is with the host already; then r->aborted. */
void scsi_cancel(ScsiReq *r);
/* The unit's commands are cancelled and it is as after power on. */
void scsi_unit_reset(ScsiDevice *d);
/* What a request may own; before its memory goes. */
void scsi_req_free(ScsiReq *r);
/* Begun, its buffer given: it is run at scsi_resume (a loaded one). */
void scsi_keep(ScsiReq *r);
/* Waits until no command is under way but those kept; cancel: at all. */
void scsi_bus_rest(ScsiBus *b, bool cancel) MACHINE_CALL;
/* The machine runs again. */
void scsi_resume(ScsiBus *b) MACHINE_CALL;

/* ---- for logical units --------------------------------------------------- */
bool scsi_unit_attach(ScsiDevice *d, const BlkDevOps *ops, Error **errp)
    MACHINE_CALL;
void scsi_unit_detach(ScsiDevice *d) MACHINE_CALL;
static inline ScsiBus *scsi_bus(const ScsiDevice *d)
{
    return (ScsiBus *)d->dev.bus;
}
static inline const ScsiType *scsi_type(const ScsiDevice *d)
{
    return d->dev.type->on_info;
}
void scsi_finish(ScsiReq *r, uint8_t status);
void scsi_good(ScsiReq *r);
void scsi_check(ScsiReq *r, ScsiSense s);
/* Zeroed room for a reply of at most that many bytes. */
uint8_t *scsi_room(ScsiReq *r, uint32_t n);
/* Sends n bytes of it, padded to what was asked for, and GOOD. */
void scsi_reply(ScsiReq *r, uint32_t n);
/* Copies the beginning of the data to `to`; bytes copied. */
uint32_t scsi_fetch(ScsiReq *r, uint8_t *to, uint32_t n);
/* The transfer as a list of its exact length. */
const struct iovec *scsi_data(ScsiReq *r, unsigned *niov);
/* Submits r->req, whose op, off and len are set; then(r) follows when it went
 * well, sense data when not, the error policy having been asked. */
void scsi_io(ScsiReq *r, void (*then)(ScsiReq *r));
/* Runs fn in the main loop, with the machine lock; GOOD follows. */
void scsi_in_main(ScsiReq *r, void (*fn)(ScsiReq *r));
void scsi_set_attention(ScsiDevice *d, ScsiSense s);
unsigned scsi_fixed_sense(uint8_t *to, ScsiSense s);
/* By the standards alone; block: bytes of a logical block. */
void scsi_parse(ScsiReq *r, uint32_t block);
uint64_t scsi_cdb_lba(const uint8_t *cdb);
uint32_t scsi_cdb_count(const uint8_t *cdb);

#define SENSE(k, a, q) ((ScsiSense){ k, a, q })
#define SENSE_NONE           SENSE(0, 0, 0)
#define SENSE_NO_MEDIUM      SENSE(2, 0x3a, 0)
#define SENSE_BAD_LENGTH     SENSE(5, 0x1a, 0)
#define SENSE_BAD_OPCODE     SENSE(5, 0x20, 0)
#define SENSE_LBA_RANGE      SENSE(5, 0x21, 0)
#define SENSE_BAD_FIELD      SENSE(5, 0x24, 0)
#define SENSE_BAD_LUN        SENSE(5, 0x25, 0)
#define SENSE_BAD_PARAM      SENSE(5, 0x26, 0)
#define SENSE_BAD_MEDIUM     SENSE(5, 0x30, 0)
#define SENSE_NO_SAVING      SENSE(5, 0x39, 0)
#define SENSE_NO_REMOVAL     SENSE(5, 0x53, 2)
#define SENSE_RESET          SENSE(6, 0x29, 0)
#define SENSE_CHANGED        SENSE(6, 0x28, 0)
#define SENSE_WAS_EMPTY      SENSE(6, 0x3a, 0)
#define SENSE_CAPACITY       SENSE(6, 0x2a, 9)
#define SENSE_LUNS_CHANGED   SENSE(6, 0x3f, 0x0e)
#define SENSE_PROTECTED      SENSE(7, 0x27, 0)
#define SENSE_NO_SPACE       SENSE(7, 0x27, 7)
#define SENSE_IO             SENSE(0xb, 0, 6)
#define SENSE_MISCOMPARE     SENSE(0xe, 0x1d, 0)

#endif
