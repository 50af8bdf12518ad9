/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * aml.h - writes ACPI Machine Language (ACPI 6.3, chapter 20). Calls append
 * terms in the order of the byte code; what opens a package is closed by
 * aml_end. Names: four characters, padded with '_'; '\\' and '.' and '^' as in
 * ASL. Single-threaded.
 */
#ifndef TERN_HW_ACPI_AML_H
#define TERN_HW_ACPI_AML_H

#include <glib.h>
#include "base.h"

typedef struct Aml {
    GByteArray *b;
    uint32_t open[32];                 /* where package lengths belong        */
    uint32_t nopen;
    int32_t res_at;                    /* start of the open resource template */
} Aml;

enum { SPACE_MEMORY = 0, SPACE_IO = 1, SPACE_PCI = 2 };
enum { FIELD_BYTE = 1, FIELD_DWORD = 3, FIELD_LOCK = 0x10, FIELD_ZEROS = 0x40 };

/* Openers. */
void aml_scope(Aml *a, const char *name);
void aml_device(Aml *a, const char *name);
void aml_method(Aml *a, const char *name, unsigned args, bool serialized);
void aml_processor(Aml *a, const char *name, uint8_t id);
void aml_package(Aml *a, uint8_t elements);
void aml_field(Aml *a, const char *region, uint8_t flags);
void aml_if(Aml *a);                   /* the predicate follows               */
void aml_else(Aml *a);
void aml_while(Aml *a);
void aml_end(Aml *a);

/* Whole terms. */
void aml_name(Aml *a, const char *name);           /* its object follows      */
void aml_name_int(Aml *a, const char *name, uint64_t v);
void aml_name_str(Aml *a, const char *name, const char *s);
void aml_name_eisa(Aml *a, const char *name, const char *id);
void aml_int(Aml *a, uint64_t v);
void aml_str(Aml *a, const char *s);
void aml_eisa(Aml *a, const char *id);             /* "PNP0A03"               */
void aml_buffer(Aml *a, const void *p, uint32_t n);
void aml_ref(Aml *a, const char *name);
void aml_local(Aml *a, unsigned n);
void aml_arg(Aml *a, unsigned n);
void aml_region(Aml *a, const char *name, uint8_t space, uint64_t off,
                uint64_t len);
void aml_field_bits(Aml *a, const char *name, uint32_t bits);  /* "": skip     */
void aml_mutex(Aml *a, const char *name);
void aml_acquire(Aml *a, const char *mutex);       /* waits for ever          */
void aml_release(Aml *a, const char *mutex);
void aml_dword_field(Aml *a, const char *name);    /* buffer, index precede:
                                          use aml_op(AML_DWORD_FIELD) first   */
/* A bare operator; its operands, then its target, follow. */
enum {
    AML_STORE = 0x70, AML_ADD = 0x72, AML_SUBTRACT = 0x74, AML_SHL = 0x79,
    AML_SHR = 0x7a, AML_AND = 0x7b, AML_OR = 0x7d, AML_NOTIFY = 0x86,
    AML_INDEX = 0x88, AML_DEREF = 0x83, AML_INCREMENT = 0x75,
    AML_DWORD_FIELD = 0x8a, AML_LAND = 0x90, AML_LOR = 0x91, AML_LNOT = 0x92,
    AML_LEQUAL = 0x93, AML_LGREATER = 0x94, AML_LLESS = 0x95, AML_RETURN = 0xa4,
    AML_ZERO_TARGET = 0x00, AML_BREAK = 0xa5, AML_ONES = 0xff,
};
void aml_op(Aml *a, uint8_t op);

/* Resource templates: a Buffer object; descriptors between begin and end. */
void aml_res_begin(Aml *a);
void aml_res_end(Aml *a);
void aml_res_io(Aml *a, uint16_t first, uint16_t last, uint8_t align,
                uint8_t len);
void aml_res_irq(Aml *a, unsigned irq);
void aml_res_dma(Aml *a, unsigned channel);
void aml_res_interrupts(Aml *a, const uint32_t *irqs, unsigned n);
void aml_res_mem32_fixed(Aml *a, uint32_t base, uint32_t len, bool writable);
/* type 0 memory, 1 I/O, 2 bus numbers; bits 16, 32 or 64. */
void aml_res_window(Aml *a, unsigned type, unsigned bits, uint8_t type_flags,
                    uint64_t first, uint64_t last);

#endif
