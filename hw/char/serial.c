/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * serial.c - the 16550A UART (National Semiconductor PC16550D data sheet): what
 * the ISA and PCI cards embed.
 *
 * Thread class: machine lock; the character port runs in the main loop.
 *
 * Invariants:
 * 1. The interrupt is a function of IER, the FIFOs and the pending conditions:
 *    recomputed after each change.
 * 2. A byte leaves the transmitter before THRE is set again: THR and TSR never
 *    hold more than the FIFO's 16 bytes.
 */
#include <glib.h>
#include <sys/ioctl.h>
#include "hw/char/serial.h"

#define FIFO_LEN 16

enum {
    IER_RDI = 1, IER_THRI = 2, IER_RLSI = 4, IER_MSI = 8,
    IIR_NONE = 1, IIR_MSI = 0, IIR_THRI = 2, IIR_RDI = 4, IIR_RLSI = 6,
    IIR_CTI = 0x0c, IIR_FE = 0xc0,
    FCR_FE = 1, FCR_RFR = 2, FCR_XFR = 4,
    LCR_DLAB = 0x80, LCR_BREAK = 0x40,
    MCR_DTR = 1, MCR_RTS = 2, MCR_OUT1 = 4, MCR_OUT2 = 8, MCR_LOOP = 0x10,
    LSR_DR = 1, LSR_OE = 2, LSR_PE = 4, LSR_FE = 8, LSR_BI = 0x10,
    LSR_THRE = 0x20, LSR_TEMT = 0x40, LSR_INT_ANY = 0x1e,
    MSR_DCTS = 1, MSR_DDSR = 2, MSR_TERI = 4, MSR_DDCD = 8, MSR_CTS = 0x10,
    MSR_DSR = 0x20, MSR_RI = 0x40, MSR_DCD = 0x80, MSR_ANY_DELTA = 0x0f,
};

static const uint8_t triggers[4] = { 1, 4, 8, 14 };

static bool fifo_on(const Serial *s)
{
    return s->fcr & FCR_FE;
}

static void serial_update_irq(Serial *s)
{
    uint8_t iir = IIR_NONE;

    if (s->ier & IER_RLSI && s->lsr & LSR_INT_ANY) {
        iir = IIR_RLSI;
    } else if (s->ier & IER_RDI && s->timeout_ip) {
        iir = IIR_CTI;
    } else if (s->ier & IER_RDI && s->lsr & LSR_DR &&
               (!fifo_on(s) || s->rx_n >= triggers[s->fcr >> 6])) {
        iir = IIR_RDI;
    } else if (s->ier & IER_THRI && s->thr_ip) {
        iir = IIR_THRI;
    } else if (s->ier & IER_MSI && s->msr & MSR_ANY_DELTA) {
        iir = IIR_MSI;
    }
    s->iir = iir | (fifo_on(s) ? IIR_FE : 0);
    irq_set(&s->irq, !(iir & IIR_NONE));
}

static int64_t serial_char_ns(const Serial *s)
{
    unsigned bits = 1 + 5 + (s->lcr & 3) + (s->lcr & 4 ? 2 : 1) +
                    (s->lcr & 8 ? 1 : 0);
    unsigned div = s->divider ? s->divider : 1;
    unsigned base = s->baudbase ? s->baudbase : 115200;

    return (int64_t)NS_PER_S * bits * div / base;
}

static void serial_params(Serial *s)
{
    ChrSerialParams p;
    unsigned div = s->divider ? s->divider : 1;

    p.speed = s->baudbase / div;
    p.parity = !(s->lcr & 8) ? 'N' : s->lcr & 0x10 ? 'E' : 'O';
    p.data_bits = 5 + (s->lcr & 3);
    p.stop_bits = s->lcr & 4 ? 2 : 1;
    chr_ioctl(&s->front, CHR_SERIAL_PARAMS, &p);
}

static void serial_poll_msr(Serial *s)
{
    int lines = 0;
    uint8_t old = s->msr;

    if (chr_ioctl(&s->front, CHR_SERIAL_GET_TIOCM, &lines) < 0) {
        return;                        /* no modem lines: as wired at reset   */
    }
    s->msr = (s->msr & MSR_ANY_DELTA) |
             (lines & TIOCM_CTS ? MSR_CTS : 0) |
             (lines & TIOCM_DSR ? MSR_DSR : 0) |
             (lines & TIOCM_CAR ? MSR_DCD : 0) |
             (lines & TIOCM_RI ? MSR_RI : 0);
    if ((s->msr ^ old) & 0xf0) {
        s->msr |= (s->msr ^ old) >> 4 & (MSR_DCTS | MSR_DDSR | MSR_DDCD);
        if (old & MSR_RI && !(s->msr & MSR_RI)) {
            s->msr |= MSR_TERI;
        }
        serial_update_irq(s);
    }
}

static void serial_tx_run(void *arg);

/* ---- receiving ----------------------------------------------------------- */

static void serial_rx_put(Serial *s, uint8_t c)
{
    if (fifo_on(s)) {
        if (s->rx_n == FIFO_LEN) {
            s->lsr |= LSR_OE;
        } else {
            s->rx[(s->rx_at + s->rx_n++) % FIFO_LEN] = c;
        }
        s->lsr |= LSR_DR;
        timer_set(&s->rx_timeout, clock_ns(CLOCK_VM) + serial_char_ns(s) * 4);
    } else {
        if (s->lsr & LSR_DR) {
            s->lsr |= LSR_OE;
        }
        s->rbr = c;
        s->lsr |= LSR_DR;
    }
    serial_update_irq(s);
}

static void serial_rx_timeout(void *arg)
{
    Serial *s = arg;

    if (s->rx_n) {
        s->timeout_ip = true;
        serial_update_irq(s);
    }
}

static int serial_can_receive(void *arg)
{
    Serial *s = arg;

    if (fifo_on(s)) {
        /* In small gulps, so that the guest sees trigger levels pass. */
        return s->rx_n >= FIFO_LEN ? 0
             : s->rx_n <= triggers[s->fcr >> 6]
               ? MAX2(1, (int)triggers[s->fcr >> 6] - (int)s->rx_n) : 1;
    }
    return !(s->lsr & LSR_DR);
}

static void serial_receive(void *arg, const uint8_t *buf, int n)
{
    Serial *s = arg;

    request_wakeup(3);
    for (int i = 0; i < n; i++) {
        serial_rx_put(s, buf[i]);
    }
}

static void serial_event(void *arg, ChrEvent e)
{
    Serial *s = arg;

    if (e == CHR_BREAK) {
        s->rbr = 0;
        if (fifo_on(s) && s->rx_n < FIFO_LEN) {
            s->rx[(s->rx_at + s->rx_n++) % FIFO_LEN] = 0;
        }
        s->lsr |= LSR_BI | LSR_DR;
        serial_update_irq(s);
    }
}

/* Another backend: what the guest had set up is told to it. */
static bool serial_changed(void *arg)
{
    Serial *s = arg;
    int brk = !!(s->lcr & LCR_BREAK);

    s->tx_waiting = false;
    serial_params(s);
    if (brk) {
        chr_ioctl(&s->front, CHR_SERIAL_BREAK, &brk);
    }
    if (s->tx_n) {
        serial_tx_run(s);
    }
    return true;
}

static uint8_t serial_rx_get(Serial *s)
{
    uint8_t c;

    if (fifo_on(s)) {
        if (!s->rx_n) {
            c = 0;
        } else {
            c = s->rx[s->rx_at];
            s->rx_at = (s->rx_at + 1) % FIFO_LEN;
            s->rx_n--;
        }
        if (!s->rx_n) {
            s->lsr &= ~(LSR_DR | LSR_BI);
            timer_clear(&s->rx_timeout);
        } else {
            timer_set(&s->rx_timeout,
                      clock_ns(CLOCK_VM) + serial_char_ns(s) * 4);
        }
        s->timeout_ip = false;
    } else {
        c = s->rbr;
        s->lsr &= ~(LSR_DR | LSR_BI);
    }
    serial_update_irq(s);
    if (!(s->mcr & MCR_LOOP)) {
        chr_accept_input(&s->front);
    }
    return c;
}

/* ---- sending ------------------------------------------------------------- */

static void serial_tx_done(Serial *s)
{
    s->lsr |= LSR_THRE;
    if (!s->tx_n) {
        s->lsr |= LSR_TEMT;
        if (!s->thr_ip) {
            s->thr_ip = true;
            serial_update_irq(s);
        }
    }
}

static void serial_tx_run(void *arg)
{
    Serial *s = arg;

    while (s->tx_n) {
        if (s->mcr & MCR_LOOP) {
            serial_rx_put(s, s->tx[s->tx_at]);
        } else {
            ssize_t n = chr_write(&s->front, &s->tx[s->tx_at], 1);

            if (n == -EAGAIN) {
                if (!s->tx_waiting) {
                    s->tx_waiting = true;
                    chr_on_writable(&s->front, serial_tx_writable, s);
                }
                return;
            }
            /* Another error means that nobody listens: the byte is gone, as
             * on a line without a cable. */
        }
        s->tx_at = (s->tx_at + 1) % FIFO_LEN;
        s->tx_n--;
    }
    serial_tx_done(s);
}

void serial_tx_writable(void *arg)
{
    Serial *s = arg;

    s->tx_waiting = false;
    serial_tx_run(s);
}

static void serial_tx_put(Serial *s, uint8_t c)
{
    if (s->tx_n == (fifo_on(s) ? FIFO_LEN : 1)) {
        /* Full: the oldest is overwritten, as in hardware. */
        s->tx_at = (s->tx_at + 1) % FIFO_LEN;
        s->tx_n--;
    }
    s->tx[(s->tx_at + s->tx_n++) % FIFO_LEN] = c;
    s->lsr &= ~(LSR_THRE | LSR_TEMT);
    s->thr_ip = false;
    serial_update_irq(s);
    if (!s->tx_waiting) {
        serial_tx_run(s);
    }
}

/* ---- registers ----------------------------------------------------------- */

static void serial_write_fcr(Serial *s, uint8_t v)
{
    if ((v ^ s->fcr) & FCR_FE) {
        v |= FCR_RFR | FCR_XFR;        /* switching empties both              */
    }
    if (v & FCR_RFR) {
        s->lsr &= ~(LSR_DR | LSR_BI);
        timer_clear(&s->rx_timeout);
        s->timeout_ip = false;
        s->rx_n = 0;
    }
    if (v & FCR_XFR) {
        s->lsr |= LSR_THRE | LSR_TEMT;
        s->thr_ip = true;
        s->tx_n = 0;
    }
    s->fcr = v & 0xc9;
    serial_update_irq(s);
    if (v & FCR_RFR) {
        chr_accept_input(&s->front);
    }
}

static void serial_write_mcr(Serial *s, uint8_t v)
{
    uint8_t old = s->mcr;
    int lines;

    s->mcr = v & 0x1f;
    if (v & MCR_LOOP || !((old ^ v) & (MCR_DTR | MCR_RTS))) {
        return;
    }
    if (chr_ioctl(&s->front, CHR_SERIAL_GET_TIOCM, &lines) < 0) {
        return;
    }
    lines &= ~(TIOCM_RTS | TIOCM_DTR);
    lines |= (v & MCR_RTS ? TIOCM_RTS : 0) | (v & MCR_DTR ? TIOCM_DTR : 0);
    chr_ioctl(&s->front, CHR_SERIAL_SET_TIOCM, &lines);
}

static void serial_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    Serial *s = dev;
    uint8_t v = val;
    int brk;

    switch (off & 7) {
    case 0:
        if (s->lcr & LCR_DLAB) {
            s->divider = (s->divider & 0xff00) | v;
            serial_params(s);
        } else {
            serial_tx_put(s, v);
        }
        break;
    case 1:
        if (s->lcr & LCR_DLAB) {
            s->divider = (s->divider & 0xff) | v << 8;
            serial_params(s);
            break;
        }
        if (v & ~s->ier & IER_THRI && s->lsr & LSR_THRE) {
            s->thr_ip = true;          /* enabling finds the holder empty     */
        }
        s->ier = v & 0x0f;
        if (s->ier & IER_MSI) {
            serial_poll_msr(s);
        }
        serial_update_irq(s);
        break;
    case 2:
        serial_write_fcr(s, v);
        break;
    case 3:
        brk = !!(v & LCR_BREAK);
        if ((s->lcr ^ v) & LCR_BREAK) {
            chr_ioctl(&s->front, CHR_SERIAL_BREAK, &brk);
        }
        s->lcr = v;
        serial_params(s);
        break;
    case 4:
        serial_write_mcr(s, v);
        break;
    case 7:
        s->scr = v;
        break;
    default:
        break;
    }
}

static uint64_t serial_read_msr(Serial *s)
{
    uint8_t v;

    if (s->mcr & MCR_LOOP) {
        /* The modem outputs come back as inputs. */
        return (s->mcr & MCR_OUT2 ? MSR_DCD : 0) |
               (s->mcr & MCR_OUT1 ? MSR_RI : 0) |
               (s->mcr & MCR_RTS ? MSR_CTS : 0) |
               (s->mcr & MCR_DTR ? MSR_DSR : 0);
    }
    serial_poll_msr(s);
    v = s->msr;
    if (v & MSR_ANY_DELTA) {
        s->msr &= 0xf0;
        serial_update_irq(s);
    }
    return v;
}

static uint64_t serial_read(void *dev, uint64_t off, unsigned size)
{
    Serial *s = dev;
    uint8_t v;

    switch (off & 7) {
    case 0:
        return s->lcr & LCR_DLAB ? s->divider & 0xff : serial_rx_get(s);
    case 1:
        return s->lcr & LCR_DLAB ? s->divider >> 8 : s->ier;
    case 2:
        v = s->iir;
        if ((v & 0x0f) == IIR_THRI) {
            s->thr_ip = false;
            serial_update_irq(s);
        }
        return v;
    case 3:
        return s->lcr;
    case 4:
        return s->mcr;
    case 5:
        v = s->lsr;
        if (v & (LSR_BI | LSR_OE)) {
            s->lsr &= ~(LSR_BI | LSR_OE);
            serial_update_irq(s);
        }
        return v;
    case 6:
        return serial_read_msr(s);
    default:
        return s->scr;
    }
}

const MemOps serial_ops = { .read = serial_read, .write = serial_write,
                            .max = 1 };

/* ---- life ---------------------------------------------------------------- */

bool serial_realize(Serial *s, Error **errp)
{
    timer_init(&s->rx_timeout, NULL, CLOCK_VM, serial_rx_timeout, s);
    s->front.can_receive = serial_can_receive;
    s->front.receive = serial_receive;
    s->front.event = serial_event;
    s->front.changed = serial_changed;
    s->front.arg = s;
    if (s->front.port) {
        chr_listen(&s->front, NULL);
        chr_set_open(&s->front, true);
    }
    return true;
}

void serial_unrealize(Serial *s)
{
    timer_clear(&s->rx_timeout);
    chr_detach(&s->front);
}

void serial_reset(Serial *s)
{
    timer_clear(&s->rx_timeout);
    s->rbr = s->ier = s->fcr = s->lcr = s->scr = 0;
    s->iir = IIR_NONE;
    s->lsr = LSR_TEMT | LSR_THRE;
    s->msr = MSR_DCD | MSR_DSR | MSR_CTS;
    s->mcr = MCR_OUT2;
    s->divider = 0x0c;                 /* 9600                                */
    memset(s->rx, 0, sizeof(s->rx));
    memset(s->tx, 0, sizeof(s->tx));
    s->rx_n = s->rx_at = s->tx_n = s->tx_at = 0;
    s->thr_ip = s->timeout_ip = s->tx_waiting = false;
    irq_lower(&s->irq);
    serial_params(s);
}

static bool serial_after_load(void *opaque, int version, Error **errp)
{
    Serial *s = opaque;

    if (s->rx_n > FIFO_LEN || s->rx_at >= FIFO_LEN || s->tx_n > FIFO_LEN ||
        s->tx_at >= FIFO_LEN) {
        return error_set(errp, "serial: FIFO state out of range");
    }
    s->tx_waiting = false;
    serial_update_irq(s);
    if (s->tx_n) {
        serial_tx_run(s);
    }
    return true;
}

const VmState serial_state = {
    .name = "serial", .version = 1, .oldest = 1,
    .after_load = serial_after_load,
    .fields = (const VmField[]){
        VM_U16(Serial, divider), VM_U8(Serial, rbr), VM_U8(Serial, ier),
        VM_U8(Serial, iir), VM_U8(Serial, lcr), VM_U8(Serial, mcr),
        VM_U8(Serial, lsr), VM_U8(Serial, msr), VM_U8(Serial, scr),
        VM_U8(Serial, fcr), VM_BYTES(Serial, rx), VM_BYTES(Serial, tx),
        VM_U8(Serial, rx_n), VM_U8(Serial, rx_at), VM_U8(Serial, tx_n),
        VM_U8(Serial, tx_at), VM_BOOL(Serial, thr_ip),
        VM_BOOL(Serial, timeout_ip), VM_TIMER(Serial, rx_timeout),
        VM_END
    },
};
