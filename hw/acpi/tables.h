/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tables.h - pieces of the ACPI tables, private to hw/acpi. MACHINE_CALL. */
#ifndef TERN_HW_ACPI_TABLES_H
#define TERN_HW_ACPI_TABLES_H

#include "hw/acpi/aml.h"
#include "pc.h"

/* What firmware (or direct boot) has programmed, read when tables are made. */
typedef struct AcpiFacts {
    uint16_t pm_base;                  /* PIIX4's I/O block; 0: not set       */
    bool s3, s4, smm;
    uint8_t s4_val;
    uint64_t hole64_first, hole64_last;
} AcpiFacts;

/* The body of the DSDT, without its header. */
void dsdt_write(Aml *a, const Pc *p, const AcpiFacts *f) MACHINE_CALL;
/* The body of the SSDT: what the user's options add; false: nothing. */
bool ssdt_write(Aml *a, const Pc *p) MACHINE_CALL;

/* A whole table by -acpitable; the caller frees. */
GByteArray *user_table_make(const char *arg, Error **errp) MACHINE_CALL;
/* Bodies of SRAT and SLIT (ACPI 6.3, 5.2.16 and 5.2.17); there are nodes. */
void srat_write(GByteArray *out, const Pc *p) MACHINE_CALL;
void slit_write(GByteArray *out) MACHINE_CALL;

#endif
