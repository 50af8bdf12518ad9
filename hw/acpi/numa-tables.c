/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * numa-tables.c - which memory and which processors are near each other: SRAT
 * (ACPI 6.3, 5.2.16) and SLIT (5.2.17).
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. A node's memory is described without the holes below 1 MiB and below 4 GiB.
 * 2. There is room for a node's memory to be in three parts: rows that are not
 *    needed stand at the end, disabled, as guests have always seen them.
 */
#include "hw/acpi/tables.h"
#include "hw/fw/bytes.h"
#include "numa.h"

#define LOW_END   (640 * KiB)
#define HIGH      (1 * MiB)
#define ENABLED   1u

static MACHINE_CALL void put_cpu(GByteArray *out, uint32_t apic_id, uint32_t node)
{
    if (apic_id < 255) {
        bytes_put(out, 0, 1);
        bytes_put(out, 16, 1);
        bytes_put(out, node & 0xff, 1);
        bytes_put(out, apic_id, 1);
        bytes_put(out, ENABLED, 4);
        bytes_put(out, 0, 1);          /* SAPIC                               */
        bytes_put(out, node >> 8, 3);
        bytes_put(out, 0, 4);          /* clock domain                        */
    } else {                           /* x2APIC                              */
        bytes_put(out, 2, 1);
        bytes_put(out, 24, 1);
        bytes_put(out, 0, 2);
        bytes_put(out, node, 4);
        bytes_put(out, apic_id, 4);
        bytes_put(out, ENABLED, 4);
        bytes_put(out, 0, 4);
        bytes_put(out, 0, 4);
    }
}

static void put_memory(GByteArray *out, uint32_t node, uint64_t at,
                       uint64_t len, uint32_t flags)
{
    bytes_put(out, 1, 1);
    bytes_put(out, 40, 1);
    bytes_put(out, node, 4);
    bytes_put(out, 0, 2);
    bytes_put(out, at, 8);
    bytes_put(out, len, 8);
    bytes_put(out, 0, 4);
    bytes_put(out, flags, 4);
    bytes_put(out, 0, 8);
}

void srat_write(GByteArray *out, const Pc *p)
{
    /* Parts of RAM, by offset, and how far above it the guest sees them. */
    const struct { uint64_t from, to, up; } parts[3] = {
        { 0, LOW_END, 0 },
        { HIGH, p->below_4g, 0 },
        { p->below_4g, p->m.ram_size, 4 * GiB - p->below_4g },
    };
    uint64_t from = 0;
    unsigned rows = 0;

    bytes_put(out, 1, 4);
    bytes_put(out, 0, 8);
    for (unsigned i = 0; i < p->m.max_cpus; i++) {
        put_cpu(out, machine_apic_id(&p->m, i), (uint32_t)numa_of_cpu(i));
    }
    for (unsigned i = 0; i < numa_count; i++) {
        uint64_t to = from + numa_node(i)->size;

        for (int k = 0; k < 3; k++) {
            uint64_t first = MAX2(from, parts[k].from);
            uint64_t end = MIN2(to, parts[k].to);

            if (first < end) {
                put_memory(out, i, first + parts[k].up, end - first, ENABLED);
                rows++;
            }
        }
        from = to;
    }
    for (; rows < numa_count + 2; rows++) {
        put_memory(out, 0, 0, 0, 0);
    }
}

void slit_write(GByteArray *out)
{
    bytes_put(out, numa_count, 8);
    for (unsigned i = 0; i < numa_count; i++) {
        g_byte_array_append(out, numa_node(i)->distance, numa_count);
    }
}
