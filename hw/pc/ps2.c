/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ps2.c - what a PS/2 keyboard and a PS/2 mouse have in common: the bytes that
 * wait for the controller (IBM PS/2 Hardware Interface Technical Reference,
 * "Keyboard and Auxiliary Device Controller").
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. The line is high exactly while a byte waits; each byte that comes after
 *    one was taken is a new edge.
 * 2. Answers to commands overtake keystrokes and movements.
 */
#include "hw/pc/ps2.h"

TYPE_NAME(ps2_device_type, { "ps2-device", "sys-bus-device", true });

bool ps2_waiting(const Ps2 *s)
{
    return s->count || s->reply_count;
}

static void ps2_update(Ps2 *s)
{
    irq_set(&s->irq, ps2_waiting(s));
}

uint8_t ps2_read(Ps2 *s)
{
    if (s->reply_count) {
        s->last = s->reply[s->reply_first];
        s->reply_first = (s->reply_first + 1) % PS2_REPLY;
        s->reply_count--;
    } else if (s->count) {
        s->last = s->data[s->first];
        s->first = (s->first + 1) % PS2_DATA;
        s->count--;
    }
    irq_lower(&s->irq);
    ps2_update(s);
    return s->last;
}

bool ps2_put(Ps2 *s, const uint8_t *buf, unsigned n, unsigned room)
{
    if (s->count + n > MIN2(room, PS2_DATA)) {
        return false;
    }
    for (unsigned i = 0; i < n; i++) {
        s->data[(s->first + s->count++) % PS2_DATA] = buf[i];
    }
    ps2_update(s);
    return true;
}

void ps2_answer(Ps2 *s, uint8_t b)
{
    /* A guest that never reads its answers loses the oldest. */
    if (s->reply_count == PS2_REPLY) {
        s->reply_first = (s->reply_first + 1) % PS2_REPLY;
        s->reply_count--;
    }
    s->reply[(s->reply_first + s->reply_count++) % PS2_REPLY] = b;
    ps2_update(s);
}

void ps2_flush(Ps2 *s)
{
    s->count = s->reply_count = 0;
    ps2_update(s);
}

bool ps2_check(Ps2 *s, Error **errp)
{
    if (s->first >= PS2_DATA || s->count > PS2_DATA ||
        s->reply_first >= PS2_REPLY || s->reply_count > PS2_REPLY) {
        return error_set(errp, "%s: a queue is longer than its buffer",
                         s->dev.type->name);
    }
    return true;
}

const VmState ps2_queue_state = {
    .name = "queue", .version = 1, .oldest = 1,
    .fields = (const VmField[]){
        VM_BYTES(Ps2, data), VM_BYTES(Ps2, reply), VM_U8(Ps2, first),
        VM_U8(Ps2, count), VM_U8(Ps2, reply_first), VM_U8(Ps2, reply_count),
        VM_U8(Ps2, last), VM_U8(Ps2, command),
        VM_END
    },
};
