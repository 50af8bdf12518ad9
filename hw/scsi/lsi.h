/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lsi.h - what the files of the LSI53C895A share with each other alone.
 * MACHINE_CALL throughout. */
#ifndef HW_SCSI_LSI_H
#define HW_SCSI_LSI_H

#include "pci.h"
#include "runstate.h"
#include "scsi.h"

#define LSI_RAM 8192
#define LSI_DATA_MAX (16u * 1024 * 1024)           /* of one command          */

typedef enum LsiPhase {                /* MSG, C/D, I/O as bits 2, 1, 0       */
    PHASE_DATA_OUT, PHASE_DATA_IN, PHASE_COMMAND, PHASE_STATUS,
    PHASE_MSG_OUT = 6, PHASE_MSG_IN = 7,
    PHASE_BUSY = 8,                    /* the target is at work               */
    PHASE_FREE = 9,                    /* nobody has the bus                  */
} LsiPhase;

enum {                                 /* registers with a meaning here       */
    R_SCNTL0 = 0x00, R_SCNTL1 = 0x01, R_SCNTL2 = 0x02, R_SDID = 0x06,
    R_SFBR = 0x08, R_SOCL = 0x09, R_SSID = 0x0a, R_SBCL = 0x0b, R_DSTAT = 0x0c,
    R_SSTAT0 = 0x0d, R_SSTAT1 = 0x0e, R_SSTAT2 = 0x0f, R_DSA = 0x10,
    R_ISTAT0 = 0x14, R_ISTAT1 = 0x15, R_CTEST0 = 0x18, R_CTEST2 = 0x1a,
    R_CTEST3 = 0x1b, R_TEMP = 0x1c, R_DFIFO = 0x20, R_DBC = 0x24, R_DCMD = 0x27,
    R_DNAD = 0x28, R_DSP = 0x2c, R_DSPS = 0x30, R_SCRATCHA = 0x34,
    R_DMODE = 0x38, R_DIEN = 0x39, R_DCNTL = 0x3b, R_SIEN0 = 0x40,
    R_SIEN1 = 0x41, R_SIST0 = 0x42, R_SIST1 = 0x43, R_STIME1 = 0x49,
    R_STEST0 = 0x4c, R_STEST1 = 0x4d, R_STEST3 = 0x4f, R_STEST4 = 0x52,
    R_CCNTL0 = 0x56, R_CCNTL1 = 0x57, R_SCRATCHB = 0x5c, R_SCRATCHC = 0x60,
    R_MMRS = 0xa0, R_PMJAD1 = 0xc0, R_PMJAD2 = 0xc4, R_RBC = 0xc8, R_UA = 0xcc,
    R_ESA = 0xd0, R_IA = 0xd4, R_SBC = 0xd8, R_CSBC = 0xdc,
};
enum { SCNTL1_RST = 0x08, SCNTL1_CON = 0x10 };
enum { DSTAT_IID = 0x01, DSTAT_SIR = 0x04, DSTAT_SSI = 0x08, DSTAT_ABRT = 0x10,
       DSTAT_BF = 0x20, DSTAT_DFE = 0x80 };
enum { ISTAT_DIP = 0x01, ISTAT_SIP = 0x02, ISTAT_INTF = 0x04, ISTAT_CON = 0x08,
       ISTAT_SEM = 0x10, ISTAT_SIGP = 0x20, ISTAT_SRST = 0x40,
       ISTAT_ABRT = 0x80 };
enum { SIST0_RST = 0x02, SIST0_UDC = 0x04, SIST0_MA = 0x80 };
enum { SIST1_GEN = 0x02, SIST1_STO = 0x04 };

typedef enum LsiWait { WAIT_NOT, WAIT_TARGET, WAIT_RESELECT } LsiWait;

typedef struct Lsi {
    PciDevice pci;
    ScsiBus bus;
    MemRegion io, mem, ram_mr;
    RunNotify run;
    Timer gen;                         /* general purpose timer               */
    Work work;                         /* the program goes on                 */
    ScsiReq req;                       /* the command under way               */
    struct iovec iov;
    uint8_t *data;
    bool executing, cancelling;
    /* what the guest sees */
    uint8_t reg[256];
    uint8_t ram[LSI_RAM];
    bool active;                       /* a program runs (or waits)           */
    bool carry;
    uint8_t wait;                      /* LsiWait                             */
    /* the bus, and the target on it */
    uint8_t phase;                     /* LsiPhase                            */
    bool atn, leaving, busy;
    uint8_t target, lun, status;
    uint8_t msg_in[8], msg_len, msg_pos;
    uint8_t after_msg;                 /* phase that follows MSG IN           */
    uint32_t data_len, data_pos;
    bool data_out, again;              /* again: lost with a saved state      */
} Lsi;

static inline uint32_t lsi_get32(const Lsi *s, unsigned r)
{
    return ld_le32(s->reg + r);
}
static inline void lsi_set32(Lsi *s, unsigned r, uint32_t v)
{
    st_le32(s->reg + r, v);
}

/* lsi.c: registers. */
uint8_t lsi_reg_read(Lsi *s, uint8_t r) MACHINE_CALL;
void lsi_reg_write(Lsi *s, uint8_t r, uint8_t v) MACHINE_CALL;
void lsi_dma_irq(Lsi *s, uint8_t bits) MACHINE_CALL;
void lsi_scsi_irq(Lsi *s, uint8_t sist0, uint8_t sist1) MACHINE_CALL;
void lsi_update_irq(Lsi *s) MACHINE_CALL;
/* Memory as the chip sees it: its own RAM and registers, or the bus. */
bool lsi_mem_read(Lsi *s, uint64_t addr, void *buf, uint32_t n) MACHINE_CALL;
bool lsi_mem_write(Lsi *s, uint64_t addr, const void *buf, uint32_t n)
    MACHINE_CALL;

/* lsi-script.c: the program at DSP, until it stops or waits. */
void lsi_go(Lsi *s) MACHINE_CALL;
void lsi_go_on(void *lsi);

/* lsi-bus.c: the target's side. */
bool lsi_select(Lsi *s, unsigned target, bool atn) MACHINE_CALL;
/* The initiator has no message to send. */
void lsi_wants_command(Lsi *s) MACHINE_CALL;
/* Moves at most n bytes between addr and the target in the present phase; bytes
 * moved. *bad: the memory is not there. */
uint32_t lsi_transfer(Lsi *s, uint64_t addr, uint32_t n, bool *bad)
    MACHINE_CALL;
void lsi_ack_cleared(Lsi *s) MACHINE_CALL;
void lsi_bus_free(Lsi *s) MACHINE_CALL;
/* RST: all targets reset, nothing is under way. */
void lsi_bus_reset(Lsi *s) MACHINE_CALL;
void lsi_cancel(Lsi *s) MACHINE_CALL;

#endif
