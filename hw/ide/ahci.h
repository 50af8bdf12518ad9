/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ahci.h - what the files of the AHCI controller share with each other alone.
 * MACHINE_CALL throughout. */
#ifndef TERN_HW_AHCI_H
#define TERN_HW_AHCI_H

#include "hw/ide/ide.h"
#include "pci.h"

#define AHCI_PORTS 6
#define AHCI_SLOTS 32

typedef struct AhciPort AhciPort;

typedef struct AhciCursor {            /* place in a command's PRD table      */
    uint64_t table;                    /* guest address of the entries        */
    uint32_t entries, at;              /* number; next one                    */
    uint64_t addr;
    uint32_t len;                      /* rest of the present one             */
    uint32_t moved;                    /* bytes handed out                    */
} AhciCursor;

typedef struct AhciNcq {               /* one queued command                  */
    AhciPort *port;
    uint8_t slot;
    bool used, write, retry;
    BlkReq req;
    struct iovec *iov;
    unsigned niov;
} AhciNcq;

struct AhciPort {
    struct Ahci *hba;
    unsigned number;
    IdeBus bus;
    Work work;                         /* look at PxCI again                  */
    AhciNcq ncq[AHCI_SLOTS];
    bool pumping;
    /* what the guest sees */
    uint32_t clb, clbu, fb, fbu, is, ie, cmd, tfd, sig, ssts, sctl, serr, sact,
             ci;
    /* the command under way */
    int32_t slot;                      /* -1: none                            */
    bool halted, srst;                 /* stopped by an error; in soft reset  */
    AhciCursor now, saved;
    uint32_t ncq_retry;                /* slots, during a save or load only   */
};

typedef struct Ahci {
    PciDevice pci;
    MemRegion regs, pair;
    AhciPort port[AHCI_PORTS];
    uint32_t ghc, is, index;
} Ahci;

enum { PXIS_DHRS = 1 << 0, PXIS_PSS = 1 << 1, PXIS_DSS = 1 << 2,
       PXIS_SDBS = 1 << 3, PXIS_IFS = 1 << 27, PXIS_HBFS = 1 << 29,
       PXIS_TFES = 1 << 30 };
enum { PXCMD_ST = 1, PXCMD_FRE = 1 << 4, PXCMD_FR = 1 << 14,
       PXCMD_CR = 1 << 15, PXCMD_ATAPI = 1 << 24 };

/* ahci.c */
void ahci_irq(AhciPort *p, uint32_t bits) MACHINE_CALL;
static inline IdeDrive *ahci_drive(const AhciPort *p)
{
    return p->bus.drive[0];
}
/* ahci-cmd.c */
extern const IdeDma ahci_dma;
/* The drive has raised its interrupt. */
void ahci_drive_irq(void *port);
void ahci_look(void *port);            /* starts what PxCI asks for           */
/* Nothing is under way any more; in flight: waited for. */
void ahci_cancel(void *port) MACHINE_CALL;
/* The register FIS with the drive's signature. */
void ahci_signature(AhciPort *p) MACHINE_CALL;
void ahci_resume(void *port) MACHINE_CALL;

#endif
