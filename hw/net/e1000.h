/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * e1000.h - between the files of the 8254x cards. Register numbers: PCI/PCI-X
 * Family of Gigabit Ethernet Controllers Software Developer's Manual, section 13.
 * MACHINE_CALL.
 */
#ifndef TERN_HW_NET_E1000_H
#define TERN_HW_NET_E1000_H

#include "net.h"
#include "pci.h"

enum {
    R_CTRL = 0x0000, R_STATUS = 0x0008, R_EECD = 0x0010, R_EERD = 0x0014,
    R_MDIC = 0x0020, R_VET = 0x0038, R_ICR = 0x00c0, R_ITR = 0x00c4,
    R_ICS = 0x00c8, R_IMS = 0x00d0, R_IMC = 0x00d8, R_RCTL = 0x0100,
    R_TCTL = 0x0400, R_LEDCTL = 0x0e00, R_PBA = 0x1000, R_RDBAL = 0x2800,
    R_RDBAH = 0x2804, R_RDLEN = 0x2808, R_RDH = 0x2810, R_RDT = 0x2818,
    R_RDTR = 0x2820, R_RADV = 0x282c, R_TDBAL = 0x3800, R_TDBAH = 0x3804,
    R_TDLEN = 0x3808, R_TDH = 0x3810, R_TDT = 0x3818, R_TIDV = 0x3820,
    R_TADV = 0x382c, R_MPC = 0x4010, R_PRC64 = 0x405c, R_GPRC = 0x4074,
    R_BPRC = 0x4078, R_MPRC = 0x407c, R_GPTC = 0x4080, R_GORCL = 0x4088,
    R_GOTCL = 0x4090, R_RNBC = 0x40a0, R_RUC = 0x40a4, R_ROC = 0x40ac,
    R_TORL = 0x40c0, R_TOTL = 0x40c8, R_TPR = 0x40d0, R_TPT = 0x40d4,
    R_PTC64 = 0x40d8, R_MPTC = 0x40f0, R_BPTC = 0x40f4, R_TSCTC = 0x40f8,
    R_STATS = 0x4000, R_STATS_END = 0x4100, R_RXCSUM = 0x5000, R_MTA = 0x5200,
    R_RAL = 0x5400, R_RAH = 0x5404, R_VFTA = 0x5600, R_MANC = 0x5820,
    R_END = 0x6000,
};
enum {
    CTRL_SLU = 1u << 6, CTRL_RST = 1u << 26, CTRL_VME = 1u << 30,
    CTRL_PHY_RST = 1u << 31,
    STATUS_LU = 1u << 1,
    ICR_TXDW = 1, ICR_TXQE = 2, ICR_LSC = 4, ICR_RXDMT0 = 0x10, ICR_RXO = 0x40,
    ICR_RXT0 = 0x80, ICR_MDAC = 0x200,
    RCTL_EN = 2, RCTL_UPE = 8, RCTL_MPE = 0x10, RCTL_LPE = 0x20,
    RCTL_LBM = 0xc0, RCTL_BAM = 0x8000, RCTL_VFE = 0x40000,
    RCTL_BSEX = 0x2000000, RCTL_SECRC = 0x4000000,
    TCTL_EN = 2, TCTL_PSP = 8,
    RXCSUM_IPOFL = 0x100, RXCSUM_TUOFL = 0x200,
};
enum { PHY_CTRL, PHY_STATUS, PHY_ADV = 4, PHY_LPA, PHY_1000T_CTRL = 9,
       PHY_1000T_STATUS, PHY_SPEC_STATUS = 17 };

typedef struct E1000 E1000;

/* What a frame's transmission needs, from context descriptors. */
typedef struct E1000Context {
    uint8_t ipcss, ipcso, tucss, tucso, hdr_len, tucmd;
    uint16_t ipcse, tucse, mss;
    uint32_t paylen;
} E1000Context;

#define E1000_FRAME_MAX 65536u
typedef struct E1000Tx {
    E1000Context ctx[2];               /* plain; segmentation                 */
    uint32_t len;                      /* gathered                            */
    uint8_t popts;                     /* of the packet's first descriptor    */
    bool tse, tagged;
    uint16_t tag;
    uint8_t data[E1000_FRAME_MAX];
} E1000Tx;

struct E1000 {
    PciDevice pci;
    NetCard net;
    MemRegion mmio, io;
    uint32_t reg[R_END / 4];
    uint16_t phy[32];
    uint16_t eeprom[64];
    uint32_t io_addr;
    struct {
        uint32_t bits_in;              /* of opcode and address               */
        uint32_t shift, out_bits;
        bool reading;
    } ee;                              /* the serial interface                */
    E1000Tx tx;
    Timer throttle, autoneg;
    bool throttled;                    /* no interrupt until the timer        */
    bool mitigation, autonegotiation, extra_mac_registers, init_vet,
         migrate_tso;
};
#define REG(s, r) ((s)->reg[(r) / 4])

/* Raises causes. */
void e1000_cause(E1000 *s, uint32_t causes);
void e1000_transmit(E1000 *s);
ssize_t e1000_receive(E1000 *s, const struct iovec *iov, int niov);
/* Statistics that stick at their maximum: 32 and 64 bits. */
void e1000_count(E1000 *s, unsigned reg, uint32_t n);
void e1000_count64(E1000 *s, unsigned reg, uint64_t n);
/* Counter for a frame's size among six from reg. */
void e1000_count_size(E1000 *s, unsigned reg, size_t n);

uint32_t e1000_eecd_read(const E1000 *s);
void e1000_eecd_write(E1000 *s, uint32_t v);
uint32_t e1000_eerd_read(const E1000 *s);
void e1000_mdic_write(E1000 *s, uint32_t v);
void e1000_phy_reset(E1000 *s);
void e1000_eeprom_make(E1000 *s, uint16_t device_id);
void e1000_link_changed(E1000 *s);

#endif
