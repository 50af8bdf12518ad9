/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rtl8139.h - between the files of the RTL8139C+ card. Register numbers: Realtek
 * RTL8139C(L)+ datasheet, section 5. MACHINE_CALL.
 */
#ifndef TERN_HW_NET_RTL8139_H
#define TERN_HW_NET_RTL8139_H

#include "net.h"
#include "pci.h"

enum {
    R_IDR = 0x00, R_MAR = 0x08, R_TSD = 0x10, R_TSAD = 0x20, R_RBSTART = 0x30,
    R_ERBCR = 0x34, R_ERSR = 0x36, R_CR = 0x37, R_CAPR = 0x38, R_CBR = 0x3a,
    R_IMR = 0x3c, R_ISR = 0x3e, R_TCR = 0x40, R_RCR = 0x44, R_TCTR = 0x48,
    R_MPC = 0x4c, R_9346CR = 0x50, R_CONFIG0 = 0x51, R_CONFIG1 = 0x52,
    R_TIMERINT = 0x54, R_MSR = 0x58, R_CONFIG3 = 0x59, R_CONFIG4 = 0x5a, R_5B = 0x5b,
    R_MULINT = 0x5c, R_RERID = 0x5e, R_TSUM = 0x60, R_BMCR = 0x62,
    R_BMSR = 0x64, R_ANAR = 0x66, R_ANLPAR = 0x68, R_ANER = 0x6a,
    R_CSCR = 0x74, R_CONFIG5 = 0xd8, R_TPPOLL = 0xd9, R_CPCR = 0xe0,
    R_RDSAR = 0xe4, R_MTPS = 0xec,
};
enum {
    CR_BUFE = 1, CR_TE = 4, CR_RE = 8, CR_RST = 16,
    ISR_ROK = 1, ISR_RER = 2, ISR_TOK = 4, ISR_TER = 8, ISR_RXOVW = 0x10,
    ISR_LINK = 0x20, ISR_FOVW = 0x40, ISR_TDU = 0x80, ISR_SWINT = 0x100,
    ISR_TIMEOUT = 0x4000,
    RCR_AAP = 1, RCR_APM = 2, RCR_AM = 4, RCR_AB = 8, RCR_WRAP = 0x80,
    CP_TX = 1, CP_RX = 2, CP_RXSUM = 0x20, CP_RXVLAN = 0x40,
    TSD_OWN = 1 << 13, TSD_TUN = 1 << 14, TSD_TOK = 1 << 15,
    TSD_ABORT = 1 << 30,
    D_OWN = (int)(1u << 31), D_EOR = 1 << 30, D_FS = 1 << 29, D_LS = 1 << 28,
};
#define RTL_FRAME_MAX 65536u
#define RTL_RING 64                    /* descriptors of a C+ ring            */

typedef struct Rtl8139 {
    PciDevice pci;
    NetCard net;
    MemRegion io, mmio;
    uint8_t reg[256];                  /* those without a field; little endian */
    uint16_t isr, imr, cpcr, bmcr, anar;
    uint32_t rcr, tcr, missed, timer_at;
    uint32_t tsd[4], tsad[4];
    uint32_t rx_at, rx_read;           /* offsets in the receive buffer       */
    uint8_t cr, turn;                  /* turn: next of the four to send      */
    uint8_t ee_bits;                   /* bits of opcode and address so far   */
    uint16_t ee_shift, ee_out;         /* ee_out: word being sent, shifted    */
    uint8_t ee_left;                   /* bits of it; 0: no reading           */
    bool ee_last;                      /* DO                                  */
    uint64_t rx_ring, tx_ring, high_ring, tally;
    uint32_t rx_desc, tx_desc;         /* next in the C+ rings                */
    uint64_t tx_ok, rx_ok, tx_err;
    uint32_t rx_err, rx_multi;
    uint64_t rx_phys, rx_broad;
    int64_t timer_base;                /* ns at which TCTR was 0              */
    Timer timer;
    uint32_t len;                      /* of the frame that C+ gathers        */
    uint8_t frame[RTL_FRAME_MAX];
} Rtl8139;

void rtl8139_cause(Rtl8139 *s, unsigned causes) MACHINE_CALL;
/* Sends what the driver has put into slot i. */
void rtl8139_send_slot(Rtl8139 *s, unsigned i) MACHINE_CALL;
void rtl8139_send_ring(Rtl8139 *s, bool high) MACHINE_CALL;
ssize_t rtl8139_receive(Rtl8139 *s, const struct iovec *iov, int niov)
    MACHINE_CALL;
bool rtl8139_ring_empty(const Rtl8139 *s);         /* CR's BUFE               */
/* Bytes of the receive buffer without its margin. */
static inline uint32_t rtl8139_rx_size(const Rtl8139 *s)
{
    return 8192u << (s->rcr >> 11 & 3);
}

#endif
