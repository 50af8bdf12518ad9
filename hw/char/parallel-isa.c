/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * parallel-isa.c - isa-parallel: a PC parallel port (IEEE 1284-1994;
 * registers as IBM's Personal System/2 Technical Reference gives them). With a
 * file or the like behind it a printer is modelled; with a port of the host the
 * registers are the host's, and EPP cycles go through where it has them.
 *
 * Thread class: machine lock.
 *
 * Invariants
 * 1. A byte goes out on each rising edge of strobe, of a selected printer that
 *    is not being reset.
 * 2. After a byte the guest sees busy end with an acknowledgement: each status
 *    read moves one step.
 */
#include "chr.h"
#include "isa.h"

enum { R_DATA, R_STATUS, R_CONTROL, R_EPP_ADDR, R_EPP_DATA };
enum { ST_TIMEOUT = 0x01, ST_ERROR = 0x08, ST_ONLINE = 0x10, ST_PAPER = 0x20,
       ST_ACK = 0x40, ST_READY = 0x80 };
enum { CT_STROBE = 0x01, CT_AUTO = 0x02, CT_INIT = 0x04, CT_SELECT = 0x08,
       CT_IRQ = 0x10, CT_INPUT = 0x20, CT_ONES = 0xc0 };
#define CT_KNOWN 0x3f

typedef struct Parallel {
    IsaDevice isa;
    MemRegion io;
    CharFront front;
    IrqLine irq;
    uint32_t index, iobase, irq_nr;
    uint8_t data, status, control;
    bool irq_pending;
    bool host;                         /* a port of the host is behind it     */
    bool epp_timeout;
} Parallel;

static const uint16_t ports[3] = { 0x378, 0x278, 0x3bc };
static unsigned used;                  /* ports taken, a bit each             */

static void update_irq(Parallel *s)
{
    irq_set(&s->irq, s->irq_pending);
}

/* ---- a printer ----------------------------------------------------------- */

static void printer_control(Parallel *s, uint8_t v)
{
    uint8_t old = s->control;

    v |= CT_ONES;
    s->control = v;
    if (!(v & CT_INIT)) {
        s->status = ST_READY | ST_ACK | ST_ONLINE | ST_ERROR;
    } else if (v & CT_SELECT) {
        if (v & ~old & CT_STROBE) {
            s->status &= ~ST_READY;
            chr_write_all(&s->front, &s->data, 1);
        } else if (old & ~v & CT_STROBE && v & CT_IRQ) {
            s->irq_pending = true;
        }
    }
    update_irq(s);
}

static uint8_t printer_status(Parallel *s)
{
    uint8_t v = s->status;

    s->irq_pending = false;
    if (!(v & ST_READY) && !(s->control & CT_STROBE)) {
        if (v & ST_ACK) {
            s->status &= ~ST_ACK;
        } else {
            s->status |= ST_ACK | ST_READY;
        }
    }
    update_irq(s);
    return v;
}

/* ---- the host's port ----------------------------------------------------- */

static int host_epp(Parallel *s, unsigned off, bool write, uint8_t *buf,
                    unsigned n)
{
    struct { uint8_t *buf; int n; } arg = { buf, n };
    ChrIoctl cmd = off == R_EPP_ADDR
                   ? (write ? CHR_PP_EPP_WRITE_ADDR : CHR_PP_EPP_READ_ADDR)
                   : (write ? CHR_PP_EPP_WRITE : CHR_PP_EPP_READ);
    int rc = chr_ioctl(&s->front, cmd, &arg);

    s->epp_timeout = rc != 0;
    return rc;
}

static void host_control(Parallel *s, uint8_t v)
{
    int in = !!(v & CT_INPUT);
    uint8_t out = v & 0x0f;

    if ((v ^ s->control) & CT_INPUT) {
        chr_ioctl(&s->front, CHR_PP_DATA_DIR, &in);
    }
    chr_ioctl(&s->front, CHR_PP_WRITE_CONTROL, &out);
    s->control = v | CT_ONES;
}

static void host_write(Parallel *s, unsigned off, uint64_t val, unsigned size)
{
    uint8_t bytes[4];

    switch (off) {
    case R_DATA:
        s->data = val;
        chr_ioctl(&s->front, CHR_PP_WRITE_DATA, &s->data);
        break;
    case R_STATUS:
        if (val & ST_TIMEOUT) {
            s->epp_timeout = false;
        }
        break;
    case R_CONTROL:
        host_control(s, val);
        break;
    case R_EPP_ADDR:
    case R_EPP_DATA:
        st_le32(bytes, val);
        host_epp(s, off, true, bytes, size);
        break;
    default:
        break;
    }
}

static uint64_t host_read(Parallel *s, unsigned off, unsigned size)
{
    uint8_t bytes[4] = { 0xff, 0xff, 0xff, 0xff };

    switch (off) {
    case R_DATA:
        chr_ioctl(&s->front, CHR_PP_READ_DATA, bytes);
        s->data = bytes[0];
        break;
    case R_STATUS:
        chr_ioctl(&s->front, CHR_PP_READ_STATUS, bytes);
        bytes[0] &= ~ST_TIMEOUT;
        bytes[0] |= s->epp_timeout ? ST_TIMEOUT : 0;
        s->status = bytes[0];
        break;
    case R_CONTROL:
        chr_ioctl(&s->front, CHR_PP_READ_CONTROL, bytes);
        bytes[0] = (bytes[0] & 0x0f) | (s->control & CT_INPUT) | CT_ONES;
        s->control = bytes[0];
        break;
    case R_EPP_ADDR:
    case R_EPP_DATA:
        host_epp(s, off, false, bytes, size);
        break;
    default:
        break;
    }
    return ld_le32(bytes);
}

/* ---- registers ----------------------------------------------------------- */

static void par_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    Parallel *s = dev;

    if (s->host) {
        host_write(s, off, val, size);
    } else if (off == R_DATA) {
        s->data = val;
        update_irq(s);
    } else if (off == R_CONTROL) {
        printer_control(s, val);
    }
}

static uint64_t par_read(void *dev, uint64_t off, unsigned size)
{
    Parallel *s = dev;

    if (s->host) {
        return host_read(s, off, size);
    }
    switch (off) {
    case R_DATA:
        return s->control & CT_INPUT ? 0xff : s->data;
    case R_STATUS:
        return printer_status(s);
    case R_CONTROL:
        return s->control;
    default:
        return 0xff;
    }
}

/* Only an EPP data register takes more than a byte at once. */
static const MemOps par_ops = { .read = par_read, .write = par_write,
                                .max = 1 };
static const MemOps epp_ops = { .read = par_read, .write = par_write,
                                .max = 4 };

/* ---- life ---------------------------------------------------------------- */

static void par_reset(Device *dev, ResetKind kind)
{
    Parallel *s = (Parallel *)dev;

    s->data = 0xff;
    s->status = ST_READY | ST_ACK | ST_ONLINE | ST_ERROR | ST_TIMEOUT;
    s->control = CT_SELECT | CT_INIT | CT_ONES;
    s->irq_pending = s->epp_timeout = false;
    update_irq(s);
}

static bool par_realize(Device *dev, Error **errp)
{
    machine_assert_locked();
    Parallel *s = (Parallel *)dev;
    uint32_t i = s->index;
    uint8_t probe;

    if (!s->front.port) {
        return error_set(errp, "Can't create parallel device, empty char "
                         "device");
    }
    if (i == UINT32_MAX) {
        for (i = 0; i < 3 && used >> i & 1; i++) {
        }
    }
    if (i >= 3) {
        return error_set(errp, "Max. supported number of parallel ports is "
                         "3.");
    }
    s->index = i;
    if (s->iobase == UINT32_MAX) {
        s->iobase = ports[i];
    }
    if (s->iobase > 0xfff8) {
        return error_set(errp, "iobase 0x%x is not an I/O port", s->iobase);
    }
    if (!isa_irq(&s->isa, s->irq_nr, &s->irq, errp)) {
        return false;
    }
    used |= 1u << i;
    s->front.arg = s;
    chr_listen(&s->front, NULL);
    s->host = chr_ioctl(&s->front, CHR_PP_READ_STATUS, &probe) == 0;
    mem_init_io(&s->io, "parallel", 8, s->host ? &epp_ops : &par_ops, s);
    isa_map(&s->isa, &s->io, s->iobase);
    return true;
}

static void par_unrealize(Device *dev)
{
    machine_assert_locked();
    Parallel *s = (Parallel *)dev;

    isa_unmap(&s->isa, &s->io);
    chr_detach(&s->front);
    used &= ~(1u << s->index);
}

static const VmState par_state = {
    .name = "isa-parallel", .version = 1, .oldest = 1,
    .fields = (const VmField[]){
        VM_U8(Parallel, data), VM_U8(Parallel, status),
        VM_U8(Parallel, control), VM_BOOL(Parallel, irq_pending),
        VM_BOOL(Parallel, epp_timeout), VM_END
    },
};

static const Prop par_props[] = {
    PROP_U32("index", Parallel, index, UINT32_MAX,
             .desc = "0 to 2: LPT1 to LPT3; the first free by default"),
    PROP_U32("iobase", Parallel, iobase, UINT32_MAX, .desc = "first port"),
    PROP_U32("irq", Parallel, irq_nr, 7, .desc = "ISA interrupt"),
    PROP_CHR("chardev", Parallel, front,
             .desc = "ID of a chardev to use as a backend"),
    PROP_END
};

DEVICE(isa_parallel, {
    .name = "isa-parallel", .category = "input", .on = &bus_isa,
    .desc = "parallel port",
    .doc = "A parallel port at LPT1 to LPT3, or at iobase= and irq=.",
    .size = sizeof(Parallel), .props = par_props, .vmstate = &par_state,
    .realize = par_realize, .unrealize = par_unrealize, .reset = par_reset,
});
