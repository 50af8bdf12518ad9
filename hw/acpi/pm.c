/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pm.c - ACPI fixed hardware (ACPI 6.3, sections 4.8.3 and 4.8.4).
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. The SCI is a function of status, enable and GPE registers: recomputed after
 *    each change.
 * 2. The PM timer counts CLOCK_VM at 3.579545 MHz; its status bit is set lazily,
 *    when read or when its timer fires.
 */
#include "hw/acpi/pm.h"
#include "monitor.h"
#include "schema/schema.h"

#define PM_TIMER_HZ 3579545
#define PM_TIMER_HALF 0x800000ll       /* bit 23 toggles                      */

/* ---- timer --------------------------------------------------------------- */

static int64_t pm_ticks(void)
{
    return (int64_t)((__int128)clock_ns(CLOCK_VM) * PM_TIMER_HZ / NS_PER_S);
}

static void pm_timer_next(AcpiPm *pm)
{
    pm->overflow = (pm_ticks() / PM_TIMER_HALF + 1) * PM_TIMER_HALF;
}

static uint16_t pm_status(AcpiPm *pm)
{
    if (pm_ticks() >= pm->overflow) {
        pm->sts |= PM1_TMR;
    }
    return pm->sts;
}

void acpi_sci_update(AcpiPm *pm)
{
    uint16_t on = pm_status(pm) & pm->en;
    int level = (on & (PM1_TMR | PM1_GBL | PM1_PWRBTN | PM1_RTC)) != 0;
    unsigned half = pm->gpe_len / 2;

    for (unsigned i = 0; i < half; i++) {
        level |= (pm->gpe[i] & pm->gpe[half + i]) != 0;
    }
    irq_set(&pm->sci, level);
    if (pm->en & PM1_TMR && !(pm->sts & PM1_TMR)) {
        timer_set(&pm->timer, (int64_t)(((__int128)pm->overflow * NS_PER_S +
                                         PM_TIMER_HZ - 1) / PM_TIMER_HZ));
    } else {
        timer_clear(&pm->timer);
    }
}

static MACHINE_CALL void pm_timer_fire(void *arg)
{
    request_wakeup(2);
    acpi_sci_update(arg);
}

/* ---- registers ----------------------------------------------------------- */

static uint64_t evt_read(void *dev, uint64_t off, unsigned size)
{
    AcpiPm *pm = dev;

    return off == 0 ? pm_status(pm) : off == 2 ? pm->en : 0;
}

static MACHINE_CALL
void evt_write(void *dev, uint64_t off, uint64_t v, unsigned size)
{
    AcpiPm *pm = dev;

    if (off == 0) {
        if (pm_status(pm) & v & PM1_TMR) {
            pm_timer_next(pm);
        }
        pm->sts &= ~v;
    } else if (off == 2) {
        pm->en = v;
        wakeup_enable(1, v & PM1_RTC);
        wakeup_enable(2, v & PM1_TMR);
    }
    acpi_sci_update(pm);
}

static uint64_t cnt_read(void *dev, uint64_t off, unsigned size)
{
    return ((AcpiPm *)dev)->cnt >> off * 8;
}

static void pm_sleep(AcpiPm *pm, unsigned type)
{
    if (type == 0) {
        request_shutdown(WHY_GUEST_SHUTDOWN);
    } else if (type == 1) {
        request_suspend();
    } else if (type == pm->s4_val) {
        monitor_event(&event_SUSPEND_DISK, NULL);
        request_shutdown(WHY_GUEST_SHUTDOWN);
    }
}

static void cnt_write(void *dev, uint64_t off, uint64_t v, unsigned size)
{
    AcpiPm *pm = dev;

    if (off == 1) {
        v = v << 8 | (pm->cnt & 0xff);
    }
    pm->cnt = (v & ~(uint64_t)PM1_CNT_SLP_EN & ~1ull) | (pm->cnt & 1);
    if (v & PM1_CNT_SLP_EN) {
        pm_sleep(pm, v >> 10 & 7);
    }
}

static uint64_t tmr_read(void *dev, uint64_t off, unsigned size)
{
    return pm_ticks() & 0xffffff;
}

static void tmr_write(void *dev, uint64_t off, uint64_t v, unsigned size)
{
}

static uint64_t gpe_read(void *dev, uint64_t off, unsigned size)
{
    return ((AcpiPm *)dev)->gpe[off];
}

static MACHINE_CALL
void gpe_write(void *dev, uint64_t off, uint64_t v, unsigned size)
{
    AcpiPm *pm = dev;

    if (off < pm->gpe_len / 2) {
        pm->gpe[off] &= ~v;
    } else {
        pm->gpe[off] = v;
    }
    acpi_sci_update(pm);
}

static const MemOps evt_ops = { .read = evt_read, .write = evt_write, .min = 2,
                                .max = 2, .valid_min = 1, .valid_max = 4 };
static const MemOps cnt_ops = { .read = cnt_read, .write = cnt_write, .min = 1,
                                .max = 2 };
static const MemOps tmr_ops = { .read = tmr_read, .write = tmr_write, .min = 4,
                                .max = 4, .valid_min = 1, .valid_max = 4 };
static const MemOps gpe_ops = { .read = gpe_read, .write = gpe_write, .max = 1,
                                .valid_max = 4 };

/* ---- life ---------------------------------------------------------------- */

static void pm_powerdown(Notify *n, void *data)
{
    AcpiPm *pm = container_of(n, AcpiPm, powerdown);

    pm->sts |= PM1_PWRBTN;
    machine_assert_locked();
    acpi_sci_update(pm);
}

static void pm_wakeup(Notify *n, void *data)
{
    AcpiPm *pm = container_of(n, AcpiPm, wakeup);
    int why = *(int *)data;

    pm->sts |= PM1_WAK | (why == 1 ? PM1_RTC : why == 2 ? PM1_TMR : 0);
}

void acpi_pm_init(AcpiPm *pm, Device *owner, MemRegion *io, IrqLine sci)
{
    pm->sci = sci;
    timer_init(&pm->timer, NULL, CLOCK_VM, pm_timer_fire, pm);
    mem_init_io(&pm->evt_io, "acpi-evt", 4, &evt_ops, pm);
    mem_init_io(&pm->cnt_io, "acpi-cnt", 2, &cnt_ops, pm);
    mem_init_io(&pm->tmr_io, "acpi-tmr", 4, &tmr_ops, pm);
    device_region(owner, &pm->evt_io);
    device_region(owner, &pm->cnt_io);
    device_region(owner, &pm->tmr_io);
    mem_add(io, 0, &pm->evt_io);
    mem_add(io, 4, &pm->cnt_io);
    mem_add(io, 8, &pm->tmr_io);
    pm->powerdown.fn = pm_powerdown;
    notify_add(&powerdown_notify, &pm->powerdown);
    pm->wakeup.fn = pm_wakeup;
    notify_add(&wakeup_notify, &pm->wakeup);
    wakeup_support_set(!pm->s3_off);
}

AcpiPm *acpi_board_pm;

void acpi_gpe_init(AcpiPm *pm, Device *owner, MemRegion *parent, uint16_t port,
                   unsigned len)
{
    pm->gpe_len = len;
    mem_init_io(&pm->gpe_io, "acpi-gpe0", len, &gpe_ops, pm);
    device_region(owner, &pm->gpe_io);
    mem_add(parent, port, &pm->gpe_io);
    acpi_board_pm = pm;
}

void acpi_pm_fini(AcpiPm *pm)
{
    timer_clear(&pm->timer);
    notify_del(&powerdown_notify, &pm->powerdown);
    notify_del(&wakeup_notify, &pm->wakeup);
    mem_fini(&pm->evt_io);
    mem_fini(&pm->cnt_io);
    mem_fini(&pm->tmr_io);
    if (pm->gpe_len) {
        mem_fini(&pm->gpe_io);
    }
    if (acpi_board_pm == pm) {
        acpi_board_pm = NULL;
    }
}

void acpi_pm_reset(AcpiPm *pm)
{
    pm->sts = pm->en = 0;
    pm->cnt = pm->acpi_only ? PM1_CNT_SCI_EN : 0;
    memset(pm->gpe, 0, sizeof(pm->gpe));
    pm_timer_next(pm);
    timer_clear(&pm->timer);
    acpi_sci_update(pm);
}

void acpi_pm_enable(AcpiPm *pm, bool on)
{
    pm->cnt = on ? pm->cnt | PM1_CNT_SCI_EN : pm->cnt & ~PM1_CNT_SCI_EN;
}

void acpi_gpe_raise(AcpiPm *pm, unsigned bit)
{
    if (bit / 8 < pm->gpe_len / 2u) {
        pm->gpe[bit / 8] |= 1 << bit % 8;
        acpi_sci_update(pm);
    }
}

/* The overflow bit is kept lazily; the stream has it as it is. */
static void pm_before_save(void *opaque)
{
    pm_status(opaque);
}

const VmState acpi_pm_state = {
    .before_save = pm_before_save,
    .name = "acpi-pm", .version = 1, .oldest = 1,
    .fields = (const VmField[]){
        VM_U16(AcpiPm, sts), VM_U16(AcpiPm, en), VM_U16(AcpiPm, cnt),
        VM_BYTES(AcpiPm, gpe), VM_I64(AcpiPm, overflow),
        VM_TIMER(AcpiPm, timer),
        VM_END
    },
};
