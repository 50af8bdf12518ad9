/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * telnet.c - the Telnet protocol, as far as a console needs it: RFC 854
 * (commands), RFC 855 (options; all that the other end says is accepted and
 * none answered, so that no loop can arise), RFC 856 (binary).
 *
 * Thread class: ANY_THREAD.
 *
 * Invariants
 * 1. The state is one byte; a command may be split anywhere.
 */
#include "chardev/wire.h"

enum { SE = 240, BRK = 243, IP = 244, SB = 250, WILL = 251, WONT = 252,
       DO = 253, DONT = 254, IAC = 255 };
enum { OPT_BINARY = 0, OPT_ECHO = 1, OPT_SGA = 3 };
enum { S_DATA, S_IAC, S_OPTION, S_SUB, S_SUB_IAC };

const uint8_t telnet_hello[12] = {
    IAC, WILL, OPT_ECHO, IAC, WILL, OPT_SGA,
    IAC, WILL, OPT_BINARY, IAC, DO, OPT_BINARY,
};

size_t telnet_in(Telnet *t, uint8_t *buf, size_t n, bool *brk)
{
    size_t out = 0;

    for (size_t i = 0; i < n; i++) {
        uint8_t c = buf[i];

        switch (t->state) {
        case S_DATA:
            if (c == IAC) {
                t->state = S_IAC;
            } else {
                buf[out++] = c;
            }
            break;
        case S_IAC:
            t->state = c == SB ? S_SUB
                     : c >= WILL && c <= DONT ? S_OPTION : S_DATA;
            if (c == IAC) {
                buf[out++] = c;
            } else if (c == BRK || c == IP) {
                *brk = true;
            }
            break;
        case S_OPTION:
            t->state = S_DATA;
            break;
        case S_SUB:
            t->state = c == IAC ? S_SUB_IAC : S_SUB;
            break;
        default:
            t->state = c == SE ? S_DATA : S_SUB;
            break;
        }
    }
    return out;
}

void telnet_out(GByteArray *out, const uint8_t *buf, size_t n)
{
    static const uint8_t iac = IAC;

    while (n) {
        const uint8_t *p = memchr(buf, IAC, n);
        size_t len = p ? (size_t)(p - buf) + 1 : n;

        g_byte_array_append(out, buf, len);
        if (p) {
            g_byte_array_append(out, &iac, 1);
        }
        buf += len;
        n -= len;
    }
}
