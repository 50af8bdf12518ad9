/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * aml.c - encoder of ACPI Machine Language (ACPI 6.3: 20.2 terms, 6.4 resource
 * descriptors).
 *
 * Thread class: any one thread.
 *
 * Invariants:
 * 1. open[] holds the offset at which each unfinished package's length will be
 *    inserted; inner packages end before outer ones.
 */
#include "hw/acpi/aml.h"
#include "hw/fw/bytes.h"

static void put(Aml *a, const void *p, uint32_t n)
{
    g_byte_array_append(a->b, p, n);
}

static void put8(Aml *a, uint8_t v)
{
    put(a, &v, 1);
}

static void put_le(Aml *a, uint64_t v, unsigned n)
{
    bytes_put(a->b, v, n);
}

/* ---- names --------------------------------------------------------------- */

static void put_seg(Aml *a, const char *s, size_t n)
{
    char seg[4] = { '_', '_', '_', '_' };

    memcpy(seg, s, MIN2(n, (size_t)4));
    put(a, seg, 4);
}

void aml_ref(Aml *a, const char *name)
{
    unsigned segs = 1;
    const char *s;

    while (*name == '\\' || *name == '^') {
        put8(a, *name++);
    }
    if (!*name) {
        put8(a, 0);                    /* the root itself: NullName           */
        return;
    }
    for (s = name; *s; s++) {
        segs += *s == '.';
    }
    if (segs == 2) {
        put8(a, 0x2e);
    } else if (segs > 2) {
        put8(a, 0x2f);
        put8(a, segs);
    }
    while (*name) {
        size_t n = strcspn(name, ".");

        put_seg(a, name, n);
        name += n + (name[n] == '.');
    }
}

/* ---- packages ------------------------------------------------------------ */

static void package_open(Aml *a)
{
    g_assert(a->nopen < ARRAY_SIZE(a->open));
    a->open[a->nopen++] = a->b->len;
}

/* The length counts its own bytes: 6 bits in one, or 4 and then whole bytes. */
static unsigned pkg_length(uint8_t out[4], uint32_t body)
{
    if (body + 1 <= 0x3f) {
        out[0] = body + 1;
        return 1;
    }
    for (unsigned n = 2; n <= 4; n++) {
        uint32_t len = body + n;

        if (n == 4 || len < 1u << (4 + 8 * (n - 1))) {
            out[0] = (n - 1) << 6 | (len & 15);
            for (unsigned i = 1; i < n; i++) {
                out[i] = len >> (4 + 8 * (i - 1));
            }
            return n;
        }
    }
    return 0;
}

void aml_end(Aml *a)
{
    uint32_t at, body;
    uint8_t len[4];
    unsigned n;

    g_assert(a->nopen);
    at = a->open[--a->nopen];
    body = a->b->len - at;
    n = pkg_length(len, body);
    g_byte_array_set_size(a->b, a->b->len + n);
    memmove(a->b->data + at + n, a->b->data + at, body);
    memcpy(a->b->data + at, len, n);
}

static void ext_op(Aml *a, uint8_t op)
{
    put8(a, 0x5b);
    put8(a, op);
}

void aml_scope(Aml *a, const char *name)
{
    put8(a, 0x10);
    package_open(a);
    aml_ref(a, name);
}

void aml_device(Aml *a, const char *name)
{
    ext_op(a, 0x82);
    package_open(a);
    aml_ref(a, name);
}

void aml_method(Aml *a, const char *name, unsigned args, bool serialized)
{
    put8(a, 0x14);
    package_open(a);
    aml_ref(a, name);
    put8(a, args | (serialized ? 8 : 0));
}

void aml_processor(Aml *a, const char *name, uint8_t id)
{
    ext_op(a, 0x83);
    package_open(a);
    aml_ref(a, name);
    put8(a, id);
    put_le(a, 0, 5);                   /* no P_BLK                            */
}

void aml_package(Aml *a, uint8_t elements)
{
    put8(a, 0x12);
    package_open(a);
    put8(a, elements);
}

void aml_field(Aml *a, const char *region, uint8_t flags)
{
    ext_op(a, 0x81);
    package_open(a);
    aml_ref(a, region);
    put8(a, flags);
}

void aml_if(Aml *a)
{
    put8(a, 0xa0);
    package_open(a);
}

void aml_else(Aml *a)
{
    put8(a, 0xa1);
    package_open(a);
}

void aml_while(Aml *a)
{
    put8(a, 0xa2);
    package_open(a);
}

/* ---- terms --------------------------------------------------------------- */

void aml_op(Aml *a, uint8_t op)
{
    put8(a, op);
}

void aml_int(Aml *a, uint64_t v)
{
    if (v <= 1) {
        put8(a, v);
    } else if (v <= UINT8_MAX) {
        put8(a, 0x0a);
        put_le(a, v, 1);
    } else if (v <= UINT16_MAX) {
        put8(a, 0x0b);
        put_le(a, v, 2);
    } else if (v <= UINT32_MAX) {
        put8(a, 0x0c);
        put_le(a, v, 4);
    } else {
        put8(a, 0x0e);
        put_le(a, v, 8);
    }
}

void aml_str(Aml *a, const char *s)
{
    put8(a, 0x0d);
    put(a, s, strlen(s) + 1);
}

static unsigned hex_digit(char c)
{
    return c <= '9' ? c - '0' : (c | 32) - 'a' + 10;
}

void aml_eisa(Aml *a, const char *id)
{
    uint32_t v = (uint32_t)(id[0] - '@') << 26 | (uint32_t)(id[1] - '@') << 21 |
                 (uint32_t)(id[2] - '@') << 16 | hex_digit(id[3]) << 12 |
                 hex_digit(id[4]) << 8 | hex_digit(id[5]) << 4 |
                 hex_digit(id[6]);

    put8(a, 0x0c);
    put_le(a, __builtin_bswap32(v), 4);
}

void aml_buffer(Aml *a, const void *p, uint32_t n)
{
    put8(a, 0x11);
    package_open(a);
    aml_int(a, n);
    put(a, p, n);
    aml_end(a);
}

void aml_name(Aml *a, const char *name)
{
    put8(a, 0x08);
    aml_ref(a, name);
}

void aml_name_int(Aml *a, const char *name, uint64_t v)
{
    aml_name(a, name);
    aml_int(a, v);
}

void aml_name_str(Aml *a, const char *name, const char *s)
{
    aml_name(a, name);
    aml_str(a, s);
}

void aml_name_eisa(Aml *a, const char *name, const char *id)
{
    aml_name(a, name);
    aml_eisa(a, id);
}

void aml_local(Aml *a, unsigned n)
{
    put8(a, 0x60 + n);
}

void aml_arg(Aml *a, unsigned n)
{
    put8(a, 0x68 + n);
}

void aml_region(Aml *a, const char *name, uint8_t space, uint64_t off,
                uint64_t len)
{
    ext_op(a, 0x80);
    aml_ref(a, name);
    put8(a, space);
    aml_int(a, off);
    aml_int(a, len);
}

void aml_field_bits(Aml *a, const char *name, uint32_t bits)
{
    uint8_t len[4];

    if (*name) {
        put_seg(a, name, strlen(name));
    } else {
        put8(a, 0);
    }
    if (bits <= 0x3f) {
        put8(a, bits);
    } else {
        /* The same encoding as a package length, of the bare number. */
        len[0] = 1 << 6 | (bits & 15);
        len[1] = bits >> 4;
        put(a, len, 2);
    }
}

void aml_mutex(Aml *a, const char *name)
{
    ext_op(a, 0x01);
    aml_ref(a, name);
    put8(a, 0);
}

void aml_acquire(Aml *a, const char *mutex)
{
    ext_op(a, 0x23);
    aml_ref(a, mutex);
    put_le(a, 0xffff, 2);
}

void aml_release(Aml *a, const char *mutex)
{
    ext_op(a, 0x27);
    aml_ref(a, mutex);
}

void aml_dword_field(Aml *a, const char *name)
{
    aml_ref(a, name);
}

/* ---- resource templates -------------------------------------------------- */

void aml_res_begin(Aml *a)
{
    a->res_at = a->b->len;
}

/* The finished descriptors become a Buffer: its header goes in front. */
void aml_res_end(Aml *a)
{
    uint32_t n;
    uint8_t *copy;

    put8(a, 0x79);                     /* end tag, checksum not used          */
    put8(a, 0);
    n = a->b->len - a->res_at;
    copy = g_memdup2(a->b->data + a->res_at, n);
    g_byte_array_set_size(a->b, a->res_at);
    aml_buffer(a, copy, n);
    g_free(copy);
}

void aml_res_io(Aml *a, uint16_t first, uint16_t last, uint8_t align,
                uint8_t len)
{
    put8(a, 0x47);
    put8(a, 1);                        /* decodes 16 bits                     */
    put_le(a, first, 2);
    put_le(a, last, 2);
    put8(a, align);
    put8(a, len);
}

void aml_res_irq(Aml *a, unsigned irq)
{
    put8(a, 0x22);
    put_le(a, 1u << irq, 2);
}

void aml_res_dma(Aml *a, unsigned channel)
{
    put8(a, 0x2a);
    put8(a, 1u << channel);
    put8(a, 0);
}

void aml_res_interrupts(Aml *a, const uint32_t *irqs, unsigned n)
{
    put8(a, 0x89);
    put_le(a, 2 + n * 4, 2);
    put8(a, 0x09);                     /* consumer, level, high, shared       */
    put8(a, n);
    for (unsigned i = 0; i < n; i++) {
        put_le(a, irqs[i], 4);
    }
}

void aml_res_mem32_fixed(Aml *a, uint32_t base, uint32_t len, bool writable)
{
    put8(a, 0x86);
    put_le(a, 9, 2);
    put8(a, writable);
    put_le(a, base, 4);
    put_le(a, len, 4);
}

void aml_res_window(Aml *a, unsigned type, unsigned bits, uint8_t type_flags,
                    uint64_t first, uint64_t last)
{
    unsigned n = bits / 8;

    put8(a, bits == 16 ? 0x88 : bits == 32 ? 0x87 : 0x8a);
    put_le(a, 3 + 5 * n, 2);
    put8(a, type);
    put8(a, 0x0c);                     /* producer, both ends fixed           */
    put8(a, type_flags);
    put_le(a, 0, n);                   /* granularity                         */
    put_le(a, first, n);
    put_le(a, last, n);
    put_le(a, 0, n);                   /* translation                         */
    put_le(a, last - first + 1, n);
}
