/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cpu-aml.c - the DSDT's processors, present or to come, and the methods by
 * which the guest hears of them (ACPI 6.3, 5.6.5.3, 6.3.5, 8.4). The registers
 * are those of cpu-hotplug.c.
 *
 * Thread class: machine lock.
 */
#include <stdio.h>
#include "hw/acpi/cpu-hotplug.h"
#include "hw/acpi/tables.h"
#include "numa.h"

#define REG(n) "\\_SB.PCI0.PRES." n
#define LOCK REG("CPLK")
enum { DEVICE_CHECK = 1, EJECT_REQUEST = 3 };

static void registers(Aml *a)
{
    aml_device(a, "\\_SB.PCI0.PRES");
    aml_name_eisa(a, "_HID", "PNP0A06");
    aml_name_str(a, "_UID", "CPU Hotplug resources");
    aml_mutex(a, "CPLK");
    aml_name(a, "_CRS");
    aml_res_begin(a);
    aml_res_io(a, CPUHP_PORT, CPUHP_PORT, 1, CPUHP_LEN);
    aml_res_end(a);
    aml_region(a, "PRST", SPACE_IO, CPUHP_PORT, CPUHP_LEN);
    aml_field(a, "PRST", FIELD_BYTE | FIELD_ZEROS);
    aml_field_bits(a, "", 32);
    aml_field_bits(a, "CPEN", 1);
    aml_field_bits(a, "CINS", 1);
    aml_field_bits(a, "CRMV", 1);
    aml_field_bits(a, "CEJ0", 1);
    aml_field_bits(a, "", 4);
    aml_field_bits(a, "CCMD", 8);
    aml_end(a);
    aml_field(a, "PRST", FIELD_DWORD);
    aml_field_bits(a, "CSEL", 32);
    aml_field_bits(a, "", 32);
    aml_field_bits(a, "CDAT", 32);
    aml_end(a);
    aml_method(a, "_INI", 0, true);    /* the first such write, see the spec. */
    aml_op(a, AML_STORE);
    aml_int(a, 0);
    aml_ref(a, "CSEL");
    aml_end(a);
    aml_end(a);
}

static void store_int(Aml *a, uint64_t v, const char *to)
{
    aml_op(a, AML_STORE);
    aml_int(a, v);
    aml_ref(a, to);
}

static void store_arg(Aml *a, unsigned arg, const char *to)
{
    aml_op(a, AML_STORE);
    aml_arg(a, arg);
    aml_ref(a, to);
}

static void if_set(Aml *a, const char *flag)
{
    aml_if(a);
    aml_op(a, AML_LEQUAL);
    aml_ref(a, flag);
    aml_int(a, 1);
}

/* Notifies the selected one, clears what it was about, looks on. */
static void answer(Aml *a, const char *flag, unsigned code)
{
    if_set(a, flag);
    aml_ref(a, "CTFY");
    aml_ref(a, REG("CDAT"));
    aml_int(a, code);
    store_int(a, 1, flag);
    aml_op(a, AML_STORE);
    aml_int(a, 1);
    aml_local(a, 0);
    aml_end(a);
}

static void methods(Aml *a)
{
    aml_method(a, "CSTA", 1, true);    /* number: _STA                        */
    aml_acquire(a, LOCK);
    store_arg(a, 0, REG("CSEL"));
    aml_op(a, AML_STORE);
    aml_int(a, 0);
    aml_local(a, 0);
    if_set(a, REG("CPEN"));
    aml_op(a, AML_STORE);
    aml_int(a, 0x0f);
    aml_local(a, 0);
    aml_end(a);
    aml_release(a, LOCK);
    aml_op(a, AML_RETURN);
    aml_local(a, 0);
    aml_end(a);

    aml_method(a, "CEJ0", 1, true);    /* number: _EJ0                        */
    aml_acquire(a, LOCK);
    store_arg(a, 0, REG("CSEL"));
    store_int(a, 1, REG("CEJ0"));
    aml_release(a, LOCK);
    aml_end(a);

    aml_method(a, "COST", 4, true);    /* number, event, status, details      */
    aml_acquire(a, LOCK);
    store_arg(a, 0, REG("CSEL"));
    store_int(a, 1, REG("CCMD"));
    store_arg(a, 1, REG("CDAT"));
    store_int(a, 2, REG("CCMD"));
    store_arg(a, 2, REG("CDAT"));
    aml_release(a, LOCK);
    aml_end(a);

    aml_method(a, "CSCN", 0, true);
    aml_acquire(a, LOCK);
    store_int(a, 0, REG("CSEL"));
    aml_op(a, AML_STORE);
    aml_int(a, 1);
    aml_local(a, 0);
    aml_while(a);
    aml_op(a, AML_LEQUAL);
    aml_local(a, 0);
    aml_int(a, 1);
    aml_op(a, AML_STORE);
    aml_int(a, 0);
    aml_local(a, 0);
    store_int(a, 0, REG("CCMD"));      /* selects one with news               */
    answer(a, REG("CINS"), DEVICE_CHECK);
    answer(a, REG("CRMV"), EJECT_REQUEST);
    aml_end(a);
    aml_release(a, LOCK);
    aml_end(a);
}

static void call_with(Aml *a, const char *method, unsigned number)
{
    aml_ref(a, method);
    aml_int(a, number);
}

static MACHINE_CALL void processor(Aml *a, unsigned i)
{
    uint32_t id = machine_apic_id(machine, i);
    char name[8];

    snprintf(name, sizeof(name), "C%03X", i & 0xfff);
    aml_processor(a, name, i);
    aml_method(a, "_STA", 0, true);
    aml_op(a, AML_RETURN);
    call_with(a, "CSTA", i);
    aml_end(a);
    aml_name(a, "_MAT");
    if (id < 255) {
        uint8_t mat[8] = { 0, 8, i, id, 1 };

        aml_buffer(a, mat, sizeof(mat));
    } else {                           /* x2APIC                              */
        uint8_t mat[16] = { 9, 16 };

        st_le32(mat + 4, id);
        st_le32(mat + 8, 1);
        st_le32(mat + 12, i);
        aml_buffer(a, mat, sizeof(mat));
    }
    if (i > 0) {                       /* the boot processor stays            */
        aml_method(a, "_EJ0", 1, false);
        call_with(a, "CEJ0", i);
        aml_end(a);
    }
    aml_method(a, "_OST", 3, true);
    call_with(a, "COST", i);
    aml_arg(a, 0);
    aml_arg(a, 1);
    aml_arg(a, 2);
    aml_end(a);
    if (numa_of_cpu(i) >= 0) {
        aml_name_int(a, "_PXM", numa_of_cpu(i));
    }
    aml_end(a);
}

void acpi_cpu_aml(Aml *a)
{
    char name[8];

    registers(a);
    aml_device(a, "\\_SB.CPUS");
    aml_name_str(a, "_HID", "ACPI0010");
    aml_name_eisa(a, "_CID", "PNP0A05");
    aml_method(a, "CTFY", 2, false);   /* number, what happened               */
    for (unsigned i = 0; i < machine->max_cpus; i++) {
        snprintf(name, sizeof(name), "C%03X", i & 0xfff);
        aml_if(a);
        aml_op(a, AML_LEQUAL);
        aml_arg(a, 0);
        aml_int(a, i);
        aml_op(a, AML_NOTIFY);
        aml_ref(a, name);
        aml_arg(a, 1);
        aml_end(a);
    }
    aml_end(a);
    methods(a);
    for (unsigned i = 0; i < machine->max_cpus; i++) {
        processor(a, i);
    }
    aml_end(a);
}
