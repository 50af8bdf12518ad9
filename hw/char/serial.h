/* SPDX-License-Identifier: GPL-2.0-or-later */
/* serial.h - the UART that serial cards embed. MACHINE_CALL. */
#ifndef TERN_HW_CHAR_SERIAL_H
#define TERN_HW_CHAR_SERIAL_H

#include "chr.h"
#include "device.h"
#include "runstate.h"

typedef struct Serial {
    CharFront front;
    IrqLine irq;
    uint32_t baudbase;                 /* 115200                              */
    uint16_t divider;
    uint8_t rbr, ier, iir, lcr, mcr, lsr, msr, scr, fcr;
    uint8_t rx[16], tx[16], rx_n, rx_at, tx_n, tx_at;
    bool thr_ip, timeout_ip, tx_waiting;
    Timer rx_timeout;
} Serial;

extern const MemOps serial_ops;        /* eight byte registers; dev = Serial  */
extern const VmState serial_state;
bool serial_realize(Serial *s, Error **errp) MACHINE_CALL;
void serial_unrealize(Serial *s) MACHINE_CALL;
void serial_reset(Serial *s) MACHINE_CALL;
void serial_tx_writable(void *arg);

#endif
