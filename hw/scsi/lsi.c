/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lsi.c - LSI53C895A PCI to Ultra2 SCSI controller: registers, interrupts, life
 * (LSI53C895A Technical Manual 2.2, chapter 4).
 *
 * Left out: target mode, low-level access to the bus's lines, wide and synchronous
 * transfers (asked for, they are rejected), 64-bit block moves without a table.
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. DIP (SIP) is set while a bit of DSTAT but DFE (SIST0, SIST1) is.
 */
#include <glib.h>
#include "hw/scsi/lsi.h"

/* ---- interrupts ---------------------------------------------------------- */

void lsi_update_irq(Lsi *s)
{
    const uint8_t *r = s->reg;
    bool dma = r[R_DSTAT] & ~DSTAT_DFE, scsi = r[R_SIST0] || r[R_SIST1];
    bool level = (r[R_DSTAT] & r[R_DIEN] & ~DSTAT_DFE) ||
                 (r[R_SIST0] & r[R_SIEN0]) || (r[R_SIST1] & r[R_SIEN1]) ||
                 (r[R_ISTAT0] & ISTAT_INTF);

    s->reg[R_ISTAT0] = (s->reg[R_ISTAT0] & ~(ISTAT_DIP | ISTAT_SIP)) |
                       (dma ? ISTAT_DIP : 0) | (scsi ? ISTAT_SIP : 0);
    pci_irq(&s->pci, level && !(r[R_DCNTL] & 2));
}

void lsi_dma_irq(Lsi *s, uint8_t bits)
{
    s->reg[R_DSTAT] |= bits;
    lsi_update_irq(s);
}

void lsi_scsi_irq(Lsi *s, uint8_t sist0, uint8_t sist1)
{
    s->reg[R_SIST0] |= sist0;
    s->reg[R_SIST1] |= sist1;
    lsi_update_irq(s);
}

/* ---- memory -------------------------------------------------------------- */

/* Offset within a BAR of ours, -1: outside. */
static int64_t within(const Lsi *s, int n, uint64_t addr, uint32_t len)
{
    const PciBar *b = &s->pci.bar[n];

    return b->addr != UINT64_MAX && addr >= b->addr && len <= b->size &&
           addr - b->addr <= b->size - len ? (int64_t)(addr - b->addr) : -1;
}

bool lsi_mem_read(Lsi *s, uint64_t addr, void *buf, uint32_t n)
{
    int64_t off = within(s, 2, addr, n);
    uint8_t *b = buf;

    if (off >= 0) {
        memcpy(buf, s->ram + off, n);
        return true;
    }
    off = within(s, 1, addr, n);
    if (off >= 0) {
        for (uint32_t i = 0; i < n; i++) {
            b[i] = lsi_reg_read(s, (uint8_t)(off + i));
        }
        return true;
    }
    return pci_dma_read(&s->pci, addr, buf, n) == MEM_OK;
}

bool lsi_mem_write(Lsi *s, uint64_t addr, const void *buf, uint32_t n)
{
    int64_t off = within(s, 2, addr, n);
    const uint8_t *b = buf;

    if (off >= 0) {
        memcpy(s->ram + off, buf, n);
        return true;
    }
    off = within(s, 1, addr, n);
    if (off >= 0) {
        for (uint32_t i = 0; i < n; i++) {
            lsi_reg_write(s, (uint8_t)(off + i), b[i]);
        }
        return true;
    }
    return pci_dma_write(&s->pci, addr, buf, n) == MEM_OK;
}

/* ---- registers ----------------------------------------------------------- */

static void power_on(Lsi *s)
{
    uint8_t *r = s->reg;

    memset(r, 0, sizeof(s->reg));
    r[R_SCNTL0] = 0xc0;
    r[R_DSTAT] = DSTAT_DFE;
    r[R_CTEST2] = 0x01;
    r[R_CTEST3] = 0x20;                /* revision of the chip                */
    r[0x46] = 0x60;                    /* MACNTL: type of the chip            */
    r[0x47] = 0x0f;                    /* GPCNTL                              */
    r[R_STEST4] = 0xe0;                /* single-ended lines, clock is steady */
    s->carry = false;
    s->active = false;
    s->wait = WAIT_NOT;
}

static MACHINE_CALL void chip_reset(Lsi *s)
{
    lsi_cancel(s);
    timer_clear(&s->gen);
    lsi_bus_free(s);
    power_on(s);
    lsi_bus_free(s);
    lsi_update_irq(s);
}

uint8_t lsi_reg_read(Lsi *s, uint8_t r)
{
    uint8_t v = s->reg[r];

    switch (r) {
    case R_DSTAT:
        s->reg[r] = DSTAT_DFE;
        lsi_update_irq(s);
        return v;
    case R_SIST0: case R_SIST1:
        s->reg[r] = 0;
        lsi_update_irq(s);
        return v;
    case R_CTEST2:
        v = (v & ~0x40) | (s->reg[R_ISTAT0] & ISTAT_SIGP ? 0x40 : 0);
        s->reg[R_ISTAT0] &= ~ISTAT_SIGP;
        return v;
    case R_SBCL: case 0x58:
        return r == R_SBCL && s->phase < PHASE_BUSY
            ? (uint8_t)(0xa0 | s->phase | (s->atn ? 8 : 0)) : 0;
    case R_SSID:
        return 0;
    default:
        return v;
    }
}

static void gen_over(void *opaque)
{
    machine_assert_locked();
    lsi_scsi_irq(opaque, 0, SIST1_GEN);
}

static MACHINE_CALL void istat_write(Lsi *s, uint8_t v)
{
    uint8_t keep = s->reg[R_ISTAT0] & (ISTAT_DIP | ISTAT_SIP | ISTAT_CON |
                                       ISTAT_INTF);

    if (v & ISTAT_INTF) {
        keep &= ~ISTAT_INTF;
    }
    s->reg[R_ISTAT0] = keep | (v & (ISTAT_ABRT | ISTAT_SRST | ISTAT_SIGP |
                                    ISTAT_SEM));
    if (v & ISTAT_SRST) {
        chip_reset(s);
        return;
    }
    if (v & ISTAT_ABRT) {
        s->active = false;
        s->wait = WAIT_NOT;
        lsi_dma_irq(s, DSTAT_ABRT);
    }
    lsi_update_irq(s);
    if (v & ISTAT_SIGP && s->active && s->wait == WAIT_RESELECT) {
        lsi_go(s);
    }
}

static MACHINE_CALL void scntl1_write(Lsi *s, uint8_t v)
{
    uint8_t old = s->reg[R_SCNTL1];

    s->reg[R_SCNTL1] = (v & ~SCNTL1_CON) | (old & SCNTL1_CON);
    s->reg[R_SSTAT0] = v & SCNTL1_RST ? 0x02 : 0;  /* the line as it is       */
    if (v & SCNTL1_RST && !(old & SCNTL1_RST)) {
        lsi_bus_reset(s);
        lsi_scsi_irq(s, SIST0_RST, 0);
    }
}

static MACHINE_CALL void dcntl_write(Lsi *s, uint8_t v)
{
    s->reg[R_DCNTL] = v & ~0x44;       /* flush and start read as zero        */
    lsi_update_irq(s);
    if (v & 0x04) {
        lsi_go(s);
    }
}

void lsi_reg_write(Lsi *s, uint8_t r, uint8_t v)
{
    switch (r) {
    case R_SCNTL1:
        scntl1_write(s, v);
        return;
    case R_ISTAT0:
        istat_write(s, v);
        return;
    case R_DCNTL:
        dcntl_write(s, v);
        return;
    case R_SFBR: case R_SBCL: case R_DSTAT: case R_SSTAT0: case R_SSTAT1:
    case R_SSTAT2: case R_ISTAT1: case R_DFIFO: case R_SIST0: case R_SIST1:
    case R_STEST4: case R_STEST0: case 0x46:
        return;                        /* not to be written                   */
    case R_CTEST3:
        s->reg[r] = (v & 0x03) | (s->reg[r] & 0xf0);
        return;
    case R_STIME1:
        s->reg[r] = v;
        timer_clear(&s->gen);
        if (v & 15) {
            timer_set(&s->gen, clock_ns(CLOCK_VM) +
                      (125000ll << ((v & 15) - 1)));
        }
        return;
    default:
        s->reg[r] = v;
        break;
    }
    if (r == R_DIEN || r == R_SIEN0 || r == R_SIEN1) {
        lsi_update_irq(s);
    } else if (r == R_DSP + 3 && !(s->reg[R_DMODE] & 1)) {
        lsi_go(s);
    }
}

static uint64_t regs_read(void *dev, uint64_t off, unsigned size)
{
    machine_assert_locked();
    return lsi_reg_read(dev, (uint8_t)off);
}

static void regs_write(void *dev, uint64_t off, uint64_t v, unsigned size)
{
    machine_assert_locked();
    lsi_reg_write(dev, (uint8_t)off, (uint8_t)v);
}

static uint64_t ram_read(void *dev, uint64_t off, unsigned size)
{
    uint8_t b[8] = { 0 };

    memcpy(b, ((const Lsi *)dev)->ram + off, MIN2(size, LSI_RAM - off));
    return ld_le64(b);
}

static void ram_write(void *dev, uint64_t off, uint64_t v, unsigned size)
{
    uint8_t b[8];

    st_le64(b, v);
    memcpy(((Lsi *)dev)->ram + off, b, MIN2(size, LSI_RAM - off));
}

static const MemOps reg_ops = { .read = regs_read, .write = regs_write,
                                .min = 1, .max = 1, .valid_min = 1,
                                .valid_max = 4 };
static const MemOps ram_ops = { .read = ram_read, .write = ram_write,
                                .min = 1, .max = 4 };

/* ---- life ---------------------------------------------------------------- */

static const ScsiHba hba = { .targets = 8, .luns = 8, .tags = true };

static void run_changed(RunNotify *n, bool running, RunStateNr st)
{
    Lsi *s = container_of(n, Lsi, run);

    machine_assert_locked();
    if (running) {
        scsi_resume(&s->bus);
    }
}

static MACHINE_CALL bool lsi_realize(Device *dev, Error **errp)
{
    Lsi *s = (Lsi *)dev;
    uint8_t *c = s->pci.config;

    st_le16(c + PCI_SUBSYSTEM_VENDOR_ID, 0);
    st_le16(c + PCI_SUBSYSTEM_ID, 0x1000);
    c[PCI_LATENCY_TIMER] = 0xff;
    pci_set_pin(&s->pci, 1);
    mem_init_io(&s->io, "lsi-io", 256, &reg_ops, s);
    mem_init_io(&s->mem, "lsi-mmio", 1024, &reg_ops, s);
    mem_init_io(&s->ram_mr, "lsi-ram", LSI_RAM, &ram_ops, s);
    pci_bar(&s->pci, 0, PCI_BAR_IO, &s->io);
    pci_bar(&s->pci, 1, PCI_BAR_MEM32, &s->mem);
    pci_bar(&s->pci, 2, PCI_BAR_MEM32, &s->ram_mr);
    timer_init(&s->gen, NULL, CLOCK_VM, gen_over, s);
    s->work = (Work){ .fn = lsi_go_on, .arg = s };
    scsi_bus_init(&s->bus, dev, NULL, &hba);
    s->run.fn = run_changed;
    run_notify_add(&s->run);
    return true;
}

static MACHINE_CALL void lsi_unrealize(Device *dev)
{
    Lsi *s = (Lsi *)dev;

    chip_reset(s);
    run_notify_del(&s->run);
    scsi_bus_fini(&s->bus);
    scsi_req_free(&s->req);
    mem_fini(&s->io);
    mem_fini(&s->mem);
    mem_fini(&s->ram_mr);
}

static MACHINE_CALL void lsi_reset(Device *dev, ResetKind kind)
{
    Lsi *s = (Lsi *)dev;

    memset(s->ram, 0, sizeof(s->ram));
    chip_reset(s);
    s->msg_len = s->msg_pos = s->after_msg = s->status = 0;
    s->target = s->lun = 0;
    s->data_out = s->again = false;
    memset(s->msg_in, 0, sizeof(s->msg_in));
    s->pci.config[PCI_LATENCY_TIMER] = 0xff;
}

/* ---- saved state --------------------------------------------------------- */

static void lsi_before_save(void *opaque)
{
    Lsi *s = opaque;

    s->again = s->busy;                /* one that an error had stopped       */
}

static bool lsi_before_load(void *opaque, Error **errp)
{
    machine_assert_locked();
    chip_reset(opaque);
    return true;
}

static bool lsi_loaded(void *opaque, int version, Error **errp)
{
    Lsi *s = opaque;
    bool bad = s->phase > PHASE_FREE || s->phase == 4 || s->phase == 5 ||
               s->wait > WAIT_RESELECT || s->msg_len > sizeof(s->msg_in) ||
               s->msg_pos > s->msg_len || s->data_pos > s->data_len ||
               s->target >= hba.targets || s->lun >= hba.luns;

    machine_assert_locked();
    if (bad) {
        chip_reset(s);
        return error_set(errp, "lsi53c895a: the bus is in no state that is");
    }
    if (s->phase == PHASE_BUSY) {
        /* What was lost on the way: the initiator tries it again. */
        s->again = false;
        s->status = SCSI_BUSY;
        s->phase = PHASE_STATUS;
        s->reg[R_SSTAT1] = (s->reg[R_SSTAT1] & ~7) | PHASE_STATUS;
        loop_post(loop_main, &s->work);
    } else if (s->active && s->wait == WAIT_NOT) {
        loop_post(loop_main, &s->work);
    }
    lsi_update_irq(s);
    return true;
}

static const VmState lsi_state = {
    .name = "lsi53c895a", .version = 1, .oldest = 1,
    .before_save = lsi_before_save, .before_load = lsi_before_load,
    .after_load = lsi_loaded,
    .fields = (const VmField[]){
        VM_BYTES(Lsi, reg), VM_BYTES(Lsi, ram), VM_TIMER(Lsi, gen),
        VM_BOOL(Lsi, active), VM_BOOL(Lsi, carry), VM_U8(Lsi, wait),
        VM_U8(Lsi, phase), VM_BOOL(Lsi, atn), VM_BOOL(Lsi, leaving),
        VM_U8(Lsi, target), VM_U8(Lsi, lun), VM_U8(Lsi, status),
        VM_BYTES(Lsi, msg_in), VM_U8(Lsi, msg_len), VM_U8(Lsi, msg_pos),
        VM_U8(Lsi, after_msg),
        VM_VBYTES(Lsi, data, data_len, LSI_DATA_MAX), VM_U32(Lsi, data_pos),
        VM_BOOL(Lsi, data_out), VM_BOOL(Lsi, again),
        VM_END
    },
};

DEVICE(lsi53c895a, {
    .name = "lsi53c895a", .alias = "lsi", .category = "storage",
    .size = sizeof(Lsi), .desc = "LSI53C895A SCSI controller",
    .doc = "A SCSI controller of the 53C8xx family, with a bus of eight targets "
           "that have eight units each.",
    .on = &bus_pci,
    .on_info = &(const PciInfo){
        .vendor = 0x1000, .device = 0x0012, .class_code = 0x010000,
    },
    .vmstate = &lsi_state, .realize = lsi_realize,
    .unrealize = lsi_unrealize, .reset = lsi_reset,
});
