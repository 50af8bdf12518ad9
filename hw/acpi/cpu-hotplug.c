/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cpu-hotplug.c - the board's registers for vCPUs that come and go, which the
 * DSDT's methods read and write (interface as published in QEMU's
 * docs/specs/acpi_cpu_hotplug): 0 select, 4 flags, 5 command, 8 data. Until the
 * guest first writes 0 to the selector, they are a bit map of present APIC ids.
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. slot[] is indexed by the number of a vCPU (Cpu.index), which never exceeds
 *    255; a selector beyond max_cpus reads 0 and does nothing.
 * 2. A vCPU leaves only when the guest ejects it, from the main loop: never in
 *    its own thread. The boot processor stays.
 */
#include <glib.h>
#include "hw/acpi/cpu-hotplug.h"
#include "hw/fw/fw-cfg.h"
#include "monitor.h"
#include "schema/schema.h"

#define GPE_CPU 2
#define MAP_LEN 32

enum { ENABLED = 1, INSERT = 2, REMOVE = 4, EJECT = 8 };
enum { CMD_NEXT = 0, CMD_OST_EVENT = 1, CMD_OST_STATUS = 2, CMD_ID = 3 };

static AcpiCpuHotplug *board;          /* NULL: no ACPI                       */

/* ---- what the machine does ----------------------------------------------- */

/* Firmware waits for that many after a reset. */
static MACHINE_CALL void count_tell(unsigned n)
{
    fwcfg_add_u16(FW_NB_CPUS, n);
    if (pc && pc->rtc) {
        rtc_set_cmos(pc->rtc, 0x5f, n - 1);
    }
}

static MACHINE_CALL void cpu_plugged(Cpu *cpu)
{
    if (board && cpu->dev.hotplugged) {
        board->slot[cpu->index & 255] = (CpuSlot){ .inserting = 1 };
        acpi_gpe_raise(board->pm, GPE_CPU);
        count_tell(cpu_count);
    }
}

static MACHINE_CALL bool cpu_unplug_asked(Cpu *cpu, Error **errp)
{
    if (!board) {
        return error_set(errp, "CPU hot unplug not supported without ACPI");
    }
    if (cpu->index == 0) {
        return error_set(errp, "Boot CPU is unpluggable");
    }
    board->slot[cpu->index & 255].removing = 1;
    acpi_gpe_raise(board->pm, GPE_CPU);
    return true;
}

static void eject_asked(void *arg) NO_TSA;
static void eject_asked(void *arg)
{
    if (!board) {
        return;
    }
    for (unsigned i = cpu_count; i-- > 1;) {
        Cpu *cpu = cpus[i];

        if (board->slot[cpu->index & 255].ejecting) {
            board->slot[cpu->index & 255] = (CpuSlot){ 0 };
            device_unplug(&cpu->dev);
            count_tell(cpu_count);
            i = cpu_count;             /* the list has changed                */
        }
    }
}

/* ---- reports of the guest ------------------------------------------------ */

static void ost_fill(ACPIOSTInfo *info, const AcpiCpuHotplug *h, unsigned i)
    MACHINE_CALL;
static void ost_fill(ACPIOSTInfo *info, const AcpiCpuHotplug *h, unsigned i)
{
    Cpu *cpu = cpu_by_index(i);

    *info = (ACPIOSTInfo){
        .device = cpu && cpu->dev.id ? g_strdup(cpu->dev.id) : NULL,
        .slot = g_strdup_printf("%u", i), .slot_type = ACPI_SLOT_TYPE_CPU,
        .source = h->slot[i].ost_event, .status = h->slot[i].ost_status,
    };
}

static MACHINE_CALL void ost_tell(const AcpiCpuHotplug *h, unsigned i)
{
    AcpiDeviceOstEvent data;

    ost_fill(&data.info, h, i);
    monitor_event(&event_ACPI_DEVICE_OST, &data);
    g_free(data.info.device);
    g_free(data.info.slot);
}

bool cmd_query_acpi_ospm_status(const void *arg, void *ret, Error **errp)
{
    ACPIOSTInfoList *list = ret;

    machine_assert_locked();
    if (!board) {
        return error_set(errp, "command is not supported, missing ACPI device");
    }
    list->v = g_new0(ACPIOSTInfo, machine->max_cpus);
    for (unsigned i = 0; i < machine->max_cpus; i++) {
        ost_fill(&list->v[list->n++], board, i);
    }
    return true;
}

/* ---- registers ----------------------------------------------------------- */

static bool selected(const AcpiCpuHotplug *h)
{
    return h->select < machine->max_cpus &&
           h->select < ARRAY_SIZE(h->slot);
}

static uint8_t map_read(unsigned byte) MACHINE_CALL;
static uint8_t map_read(unsigned byte)
{
    uint8_t v = 0;

    for (unsigned i = 0; i < cpu_count; i++) {
        uint32_t id = x86_cpu(cpus[i])->apic_id;

        if (id / 8 == byte) {
            v |= 1u << id % 8;
        }
    }
    return v;
}

static uint64_t cpuhp_read(void *dev, uint64_t off, unsigned size) NO_TSA;
static uint64_t cpuhp_read(void *dev, uint64_t off, unsigned size)
{
    AcpiCpuHotplug *h = dev;
    const CpuSlot *s;

    if (!h->modern) {
        uint64_t v = 0;

        for (unsigned i = 0; i < size; i++) {
            v |= (uint64_t)map_read(off + i) << 8 * i;
        }
        return v;
    }
    if (!selected(h)) {
        return 0;
    }
    s = &h->slot[h->select];
    if (off == 4) {
        return (cpu_by_index(h->select) ? ENABLED : 0) |
               (s->inserting ? INSERT : 0) | (s->removing ? REMOVE : 0);
    }
    if (off == 8) {
        return h->command == CMD_NEXT ? h->select
             : h->command == CMD_ID ? machine_apic_id(machine, h->select) : 0;
    }
    return 0;
}

/* From the selected one on, round to it. */
static void select_next(AcpiCpuHotplug *h)
{
    unsigned n = MIN2(machine->max_cpus, ARRAY_SIZE(h->slot));

    for (unsigned i = 0; i < n; i++) {
        unsigned k = (h->select + i) % n;

        if (h->slot[k].inserting || h->slot[k].removing) {
            h->select = k;
            return;
        }
    }
}

static MACHINE_CALL void control(AcpiCpuHotplug *h, uint8_t v)
{
    CpuSlot *s = &h->slot[h->select];

    if (v & INSERT) {
        s->inserting = 0;
    } else if (v & REMOVE) {
        s->removing = 0;
    } else if (v & EJECT && h->select > 0 && cpu_by_index(h->select) &&
               !s->ejecting) {
        s->ejecting = 1;
        loop_post_fn(loop_main, eject_asked, NULL);
    }
}

static void data_write(AcpiCpuHotplug *h, uint32_t v) MACHINE_CALL;
static void data_write(AcpiCpuHotplug *h, uint32_t v)
{
    CpuSlot *s = &h->slot[h->select];

    if (h->command == CMD_OST_EVENT) {
        s->ost_event = v;
    } else if (h->command == CMD_OST_STATUS) {
        s->ost_status = v;
        ost_tell(h, h->select);
    }
}

static void cpuhp_write(void *dev, uint64_t off, uint64_t v, unsigned size)
    NO_TSA;
static void cpuhp_write(void *dev, uint64_t off, uint64_t v, unsigned size)
{
    AcpiCpuHotplug *h = dev;

    if (off == 0) {
        h->modern |= v == 0;
        if (h->modern) {
            h->select = v;
        }
    } else if (!h->modern || !selected(h)) {
        return;
    } else if (off == 4) {
        control(h, v);
    } else if (off == 5) {
        h->command = v;
        if (v == CMD_NEXT) {
            select_next(h);
        }
    } else if (off == 8) {
        data_write(h, v);
    }
}

static const MemOps cpuhp_ops = { .read = cpuhp_read, .write = cpuhp_write,
                                  .max = 4 };

/* ---- life ---------------------------------------------------------------- */

void acpi_cpu_hotplug_init(AcpiCpuHotplug *h, Device *owner, AcpiPm *pm,
                           MemRegion *io)
{
    h->pm = pm;
    mem_init_io(&h->io, "acpi-cpu-hotplug", MAP_LEN, &cpuhp_ops, h);
    device_region(owner, &h->io);
    mem_add(io, CPUHP_PORT, &h->io);
    board = h;
    cpu_board_plugged = cpu_plugged;
    cpu_board_unplug = cpu_unplug_asked;
}

void acpi_cpu_hotplug_fini(AcpiCpuHotplug *h)
{
    board = NULL;
    cpu_board_plugged = NULL;
    cpu_board_unplug = NULL;
    mem_fini(&h->io);
}

/* What waits for the guest goes on waiting; the new one looks at all of it. */
void acpi_cpu_hotplug_reset(AcpiCpuHotplug *h)
{
    h->modern = false;
    h->select = 0;
    h->command = 0;
    for (size_t i = 0; i < ARRAY_SIZE(h->slot); i++) {
        h->slot[i].inserting = 0;      /* in the tables that firmware reads   */
    }
}

static const VmState slot_state = {
    .name = "acpi-cpu-slot", .version = 1, .oldest = 1,
    .fields = (const VmField[]){
        VM_U8(CpuSlot, inserting), VM_U8(CpuSlot, removing),
        VM_U8(CpuSlot, ejecting),
        VM_U32(CpuSlot, ost_event), VM_U32(CpuSlot, ost_status),
        VM_END
    },
};

static bool loaded(void *opaque, int version, Error **errp)
{
    AcpiCpuHotplug *h = opaque;

    for (size_t i = 0; i < ARRAY_SIZE(h->slot); i++) {
        if (h->slot[i].ejecting) {
            loop_post_fn(loop_main, eject_asked, NULL);
        }
    }
    return true;
}

const VmState acpi_cpu_hotplug_state = {
    .name = "acpi-cpu-hotplug", .version = 1, .oldest = 1,
    .after_load = loaded,
    .fields = (const VmField[]){
        VM_BOOL(AcpiCpuHotplug, modern), VM_U32(AcpiCpuHotplug, select),
        VM_U8(AcpiCpuHotplug, command),
        VM_STRUCTS(AcpiCpuHotplug, slot, &slot_state),
        VM_END
    },
};
