/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ps2.h - PS/2 keyboard and mouse behind their controller. MACHINE_CALL. */
#ifndef TERN_HW_PC_PS2_H
#define TERN_HW_PC_PS2_H

#include "device.h"

#define PS2_DATA 64
#define PS2_REPLY 16

/* What both have: bytes for the controller, replies before data. */
typedef struct Ps2 {
    Device dev;
    IrqLine irq;                       /* high while a byte waits             */
    uint8_t data[PS2_DATA], reply[PS2_REPLY];
    uint8_t first, count, reply_first, reply_count;
    uint8_t last;                      /* byte read last                      */
    uint8_t command;                   /* whose parameter is awaited, 0: none */
} Ps2;
extern const VmState ps2_queue_state;  /* of the fields of Ps2                */

uint8_t ps2_read(Ps2 *s) MACHINE_CALL;
bool ps2_waiting(const Ps2 *s);
/* All of buf or, when there is no room for it, nothing. Data keeps `room` bytes
 * at most. */
bool ps2_put(Ps2 *s, const uint8_t *buf, unsigned n, unsigned room)
    MACHINE_CALL;
void ps2_answer(Ps2 *s, uint8_t b) MACHINE_CALL;
void ps2_flush(Ps2 *s) MACHINE_CALL;
bool ps2_check(Ps2 *s, Error **errp);  /* of a loaded state                   */

/* A byte from the controller. */
void ps2_keyboard_write(Ps2 *s, uint8_t v) MACHINE_CALL;
void ps2_mouse_write(Ps2 *s, uint8_t v) MACHINE_CALL;
/* The controller has taken a byte: movement that waited may follow. */
void ps2_mouse_drained(Ps2 *s) MACHINE_CALL;
/* One step to the right, at once. */
void ps2_mouse_step(Ps2 *s) MACHINE_CALL;

/* Scancode of a key in set 1 to 3; 0xe0xx: xx behind an 0xe0 prefix; 0: none. */
unsigned ps2_key_code(int qcode, int set);

#endif
