/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * input.h - what people do with keyboards and mice, on its way from displays
 * and monitors to the guest's devices. MACHINE_CALL throughout.
 */
#ifndef TERN_INPUT_H
#define TERN_INPUT_H

#include "json.h"

enum { INPUT_TAKES_KEY = 1, INPUT_TAKES_BTN = 2, INPUT_TAKES_REL = 4,
       INPUT_TAKES_ABS = 8 };
#define INPUT_ABS_MAX 0x7fff           /* places run from 0 to here           */

/* A guest device that takes input; embedded by it. Of several that take a kind
 * of event, one of the screen that the event comes from gets it, or else one of
 * no screen: the one activated last, then those only registered, in order. */
typedef struct InputHandler {
    const char *name;                  /* "QEMU PS/2 Mouse"                   */
    unsigned takes;                    /* INPUT_TAKES_*                       */
    /* qcode: QKeyCode; button: InputButton; axis: InputAxis (schema/). Unused
     * ones may be NULL. */
    void (*key)(void *dev, int qcode, bool down) MACHINE_PTR;
    void (*btn)(void *dev, int button, bool down) MACHINE_PTR;
    void (*rel)(void *dev, int axis, int delta) MACHINE_PTR;
    void (*abs)(void *dev, int axis, int place) MACHINE_PTR;
    void (*sync)(void *dev) MACHINE_PTR;           /* events belong together up
                                                      to here                 */
    void *dev;
    struct Console *con;               /* takes this screen's events alone;
                                          NULL: those that no other takes     */
    int index;                         /* number in `info mice`               */
    struct InputHandler *next;         /* private                             */
} InputHandler;
void input_register(InputHandler *h) MACHINE_CALL;
void input_unregister(InputHandler *h) MACHINE_CALL;
void input_activate(InputHandler *h) MACHINE_CALL;     /* to the front        */
void input_deactivate(InputHandler *h) MACHINE_CALL;   /* to the end          */
/* A screen goes: nobody's events come from it any more. */
void input_forget(const struct Console *con) MACHINE_CALL;
/* Part of it. */
void input_paced_forget(const struct Console *con) MACHINE_CALL;
/* The handlers in order of preference; NULL after the last. */
InputHandler *input_first(void) MACHINE_CALL;
/* Some device takes events of these kinds (any of INPUT_TAKES_*). */
bool input_has(unsigned kinds) MACHINE_CALL;

/* The screen that events come from until the next call; NULL: none. */
void input_source(const struct Console *con) MACHINE_CALL;
const struct Console *input_source_now(void) MACHINE_CALL;
/* Events; dropped while the guest is stopped, but for keys that wake it. After
 * the last of a group comes input_sync. */
void input_key(int qcode, bool down) MACHINE_CALL;
/* The same in a row with others that want a pause: `after_ms` of the guest's time
 * go by before the next of them. false: the row is full, the key is dropped; it
 * has always room for a key that comes up after it has gone down through it. */
bool input_key_paced(int qcode, bool down, int64_t after_ms) MACHINE_CALL;
void input_btn(int button, bool down) MACHINE_CALL;
void input_rel(int axis, int delta) MACHINE_CALL;
void input_abs(int axis, int place) MACHINE_CALL;
void input_sync(void) MACHINE_CALL;
/* The pointer in use wants places rather than movements. */
bool input_is_absolute(void) MACHINE_CALL;

/* Keyboard lights, bits 0 scroll, 1 num, 2 caps lock: set by keyboards, shown
 * by displays that put themselves into the hook. */
void input_leds_set(unsigned leds) MACHINE_CALL;
unsigned input_leds(void) MACHINE_CALL;
extern void (*input_leds_changed)(unsigned leds) MACHINE_PTR;

/* Key numbers of the PC/XT: scancode set 1, 0x80 added for those behind 0xe0.
 * 0: none. */
int input_key_number(int qcode);
int input_key_of_number(int number);   /* QKeyCode; unmapped when unknown     */

#endif
