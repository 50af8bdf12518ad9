/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * packet.c - packets of the remote serial protocol ("Debugging with GDB",
 * appendix E.1): "$" data "#" two digits; "}" escapes the next byte; "+" and "-"
 * acknowledge; a byte 3 interrupts.
 *
 * Thread class: ANY_THREAD, one at a time.
 *
 * Invariants
 * 1. n never exceeds GDB_PACKET_MAX, whatever is fed.
 * 2. After GDB_PACKET or GDB_BAD the parser is at its beginning.
 */
#include "accel/gdbstub/gdb.h"

enum { IDLE, DATA, SUM1, SUM2 };

static void data_byte(GdbIn *in, uint8_t byte)
{
    in->sum += byte;
    if (byte == '}' && !in->escape) {
        in->escape = true;
        return;
    }
    if (in->escape) {
        byte ^= 0x20;
        in->escape = false;
    }
    if (in->n == GDB_PACKET_MAX) {
        in->overrun = true;
    } else {
        in->buf[in->n++] = byte;
    }
}

static void begin(GdbIn *in)
{
    in->state = DATA;
    in->n = 0;
    in->sum = 0;
    in->escape = in->overrun = false;
}

static GdbSeen idle_byte(GdbIn *in, uint8_t byte)
{
    switch (byte) {
    case '$':
        begin(in);
        return GDB_NOTHING;
    case '+':
        return GDB_ACK;
    case '-':
        return GDB_NACK;
    case 3:
        return GDB_INTERRUPT;
    default:
        return GDB_NOTHING;
    }
}

GdbSeen gdb_feed(GdbIn *in, uint8_t byte)
{
    int digit = g_ascii_xdigit_value((char)byte);

    switch (in->state) {
    case DATA:
        if (byte == '#') {
            in->state = SUM1;
        } else if (byte == '$') {      /* the end of the one before was lost  */
            begin(in);
        } else {
            data_byte(in, byte);
        }
        return GDB_NOTHING;
    case SUM1:
    case SUM2:
        if (digit < 0) {
            in->state = IDLE;
            return GDB_BAD;
        }
        if (in->state == SUM1) {
            in->want = (uint8_t)(digit << 4);
            in->state = SUM2;
            return GDB_NOTHING;
        }
        in->state = IDLE;
        if ((in->want | digit) != in->sum || in->overrun || in->escape) {
            return GDB_BAD;
        }
        in->buf[in->n] = 0;
        return GDB_PACKET;
    default:
        return idle_byte(in, byte);
    }
}

void gdb_frame(GByteArray *out, const void *data, size_t n)
{
    const uint8_t *p = data;
    uint8_t sum = 0, one;
    char tail[4];

    g_byte_array_append(out, (const uint8_t *)"$", 1);
    for (size_t i = 0; i < n; i++) {
        one = p[i];
        if (one == '#' || one == '$' || one == '*' || one == '}') {
            g_byte_array_append(out, (const uint8_t *)"}", 1);
            sum += '}';
            one ^= 0x20;
        }
        sum += one;
        g_byte_array_append(out, &one, 1);
    }
    snprintf(tail, sizeof(tail), "#%02x", sum);
    g_byte_array_append(out, (const uint8_t *)tail, 3);
}

void gdb_hex_out(GString *s, const void *data, size_t n)
{
    const uint8_t *p = data;

    for (size_t i = 0; i < n; i++) {
        g_string_append_printf(s, "%02x", p[i]);
    }
}

bool gdb_hex_in(const char *s, size_t n, uint8_t *out)
{
    for (size_t i = 0; i < n; i++) {
        int high = g_ascii_xdigit_value(s[2 * i]);
        int low = high < 0 ? -1 : g_ascii_xdigit_value(s[2 * i + 1]);

        if (low < 0) {
            return false;
        }
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

bool gdb_number(const char **s, uint64_t *out)
{
    const char *p = *s;
    uint64_t v = 0;
    int d;

    for (; (d = g_ascii_xdigit_value(*p)) >= 0; p++) {
        if (v >> 60) {
            return false;
        }
        v = v << 4 | (unsigned)d;
    }
    if (p == *s) {
        return false;
    }
    *s = p;
    *out = v;
    return true;
}
