/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ps2-keyboard.c - the 101/102-key PS/2 keyboard with scancode sets 1, 2 and 3
 * (IBM PS/2 Hardware Interface Technical Reference, "Keyboard").
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. A key's sequence enters the queue whole or not at all.
 * 2. Lights are told to displays whenever the guest or a reset changes them.
 */
#include "hw/pc/ps2.h"
#include "input.h"
#include "runstate.h"
#include "schema/schema.h"

#define ACK 0xfa
#define RESEND 0xfe
#define SELF_TEST_PASSED 0xaa

enum { MOD_ALT = 1, MOD_ALT_R = 2, MOD_CTRL = 4, MOD_CTRL_R = 8, MOD_SHIFT = 16,
       MOD_SHIFT_R = 32 };

typedef struct Keyboard {
    Ps2 ps2;
    InputHandler input;
    uint8_t enabled, set, leds, modifiers;
} Keyboard;

/* ---- keys --------------------------------------------------------------- */

typedef struct Sequence {
    uint8_t b[16];
    unsigned n;
} Sequence;

static void seq_add(Sequence *q, uint8_t b)
{
    if (q->n < sizeof(q->b)) {
        q->b[q->n++] = b;
    }
}

/* One code, made or broken, in the form of the set. */
static void seq_code(Sequence *q, int set, unsigned code, bool down)
{
    if (code >> 8) {
        seq_add(q, 0xe0);
    }
    if (set == 1) {
        seq_add(q, (code & 0x7f) | (down ? 0 : 0x80));
        return;
    }
    if (!down) {
        seq_add(q, 0xf0);
    }
    seq_add(q, code);
}

static uint8_t modifier_of(int qcode)
{
    switch (qcode) {
    case Q_KEY_CODE_ALT:
        return MOD_ALT;
    case Q_KEY_CODE_ALT_R:
        return MOD_ALT_R;
    case Q_KEY_CODE_CTRL:
        return MOD_CTRL;
    case Q_KEY_CODE_CTRL_R:
        return MOD_CTRL_R;
    case Q_KEY_CODE_SHIFT:
        return MOD_SHIFT;
    case Q_KEY_CODE_SHIFT_R:
        return MOD_SHIFT_R;
    default:
        return 0;
    }
}

/* Print Screen: behind a shift of its own, with Alt the System Request key. */
static void seq_print(Sequence *q, const Keyboard *s, bool down)
{
    int set = s->set;
    unsigned shift = set == 1 ? 0xe02a : 0xe012;
    unsigned print = set == 1 ? 0xe037 : 0xe07c;
    unsigned sysrq = set == 1 ? 0x54 : 0x84;
    unsigned alt = ps2_key_code(s->modifiers & MOD_ALT ? Q_KEY_CODE_ALT
                                : Q_KEY_CODE_ALT_R, set);

    if (s->modifiers & (MOD_ALT | MOD_ALT_R)) {
        if (!down) {
            seq_code(q, set, sysrq, false);
        }
        seq_code(q, set, alt, false);
        seq_code(q, set, alt, true);
        if (down) {
            seq_code(q, set, sysrq, true);
        }
    } else if (s->modifiers) {
        seq_code(q, set, print, down);
    } else if (down) {
        seq_code(q, set, shift, true);
        seq_code(q, set, print, true);
    } else {
        seq_code(q, set, print, false);
        seq_code(q, set, shift, false);
    }
}

/* Pause breaks as soon as it is made. */
static void seq_pause(Sequence *q, const Keyboard *s)
{
    bool one = s->set == 1;
    unsigned ctrl = one ? 0x1d : 0x14, num = one ? 0x45 : 0x77;

    if (s->modifiers & (MOD_CTRL | MOD_CTRL_R)) {
        seq_code(q, s->set, one ? 0xe046 : 0xe07e, true);
        seq_code(q, s->set, one ? 0xe046 : 0xe07e, false);
        return;
    }
    for (int down = 1; down >= 0; down--) {
        seq_add(q, 0xe1);
        seq_code(q, s->set, ctrl, down);
        seq_code(q, s->set, num, down);
    }
}

static void sequence(Sequence *q, const Keyboard *s, int qcode, bool down)
{
    unsigned code;

    if (s->set == 3) {
        code = qcode == Q_KEY_CODE_PAUSE ? 0x62
             : qcode == Q_KEY_CODE_PRINT || qcode == Q_KEY_CODE_SYSRQ ? 0x57
             : ps2_key_code(qcode, 3);
        if (code) {
            seq_code(q, 3, code, down);
        }
        return;
    }
    switch (qcode) {
    case Q_KEY_CODE_PRINT:
    case Q_KEY_CODE_SYSRQ:
        seq_print(q, s, down);
        break;
    case Q_KEY_CODE_PAUSE:
        if (down) {
            seq_pause(q, s);
        }
        break;
    default:
        code = ps2_key_code(qcode, s->set);
        if (code) {
            seq_code(q, s->set, code, down);
        }
        break;
    }
}

static MACHINE_CALL void keyboard_key(void *dev, int qcode, bool down)
{
    Keyboard *s = dev;
    Sequence q = { .n = 0 };
    uint8_t mod = modifier_of(qcode);

    request_wakeup(3);
    s->modifiers = down ? s->modifiers | mod : s->modifiers & ~mod;
    if (!s->enabled) {
        return;
    }
    sequence(&q, s, qcode, down);
    if (q.n) {
        ps2_put(&s->ps2, q.b, q.n, PS2_DATA);
    }
}

/* ---- commands ----------------------------------------------------------- */

static MACHINE_CALL void set_leds(Keyboard *s, uint8_t leds)
{
    s->leds = leds & 7;
    input_leds_set(s->leds);
}

static MACHINE_CALL void defaults(Keyboard *s, bool enabled)
{
    s->enabled = enabled;
    s->set = 2;
    set_leds(s, 0);
    ps2_flush(&s->ps2);
}

static MACHINE_CALL void command(Keyboard *s, uint8_t v)
{
    Ps2 *p = &s->ps2;

    switch (v) {
    case 0x00:                         /* seen from boot loaders              */
        ps2_answer(p, ACK);
        break;
    case 0xed:                         /* lights                              */
    case 0xf0:                         /* scancode set                        */
    case 0xf3:                         /* repeat rate                         */
    case 0xfb:                         /* how single keys of set 3 behave     */
    case 0xfc:
    case 0xfd:
        p->command = v;
        ps2_answer(p, ACK);
        break;
    case 0xee:
        ps2_answer(p, 0xee);
        break;
    case 0xf2:
        ps2_answer(p, ACK);
        ps2_answer(p, 0xab);
        ps2_answer(p, 0x83);
        break;
    case 0xf4:
        s->enabled = 1;
        ps2_answer(p, ACK);
        break;
    case 0xf5:
    case 0xf6:
        defaults(s, v == 0xf6);
        ps2_answer(p, ACK);
        break;
    case 0xf7 ... 0xfa:                /* how all keys of set 3 behave        */
        ps2_answer(p, ACK);
        break;
    case 0xfe:
        ps2_answer(p, p->last);
        break;
    case 0xff:
        defaults(s, true);
        ps2_answer(p, ACK);
        ps2_answer(p, SELF_TEST_PASSED);
        break;
    default:
        ps2_answer(p, RESEND);
        break;
    }
}

/* false: v is not the parameter that was awaited, but a command. */
static MACHINE_CALL bool parameter(Keyboard *s, uint8_t v)
{
    Ps2 *p = &s->ps2;
    uint8_t of = p->command;

    p->command = 0;
    if (v >= 0xed) {
        return false;
    }
    switch (of) {
    case 0xed:
        set_leds(s, v);
        ps2_answer(p, ACK);
        break;
    case 0xf0:
        if (v > 3) {
            ps2_answer(p, RESEND);
            break;
        }
        ps2_answer(p, ACK);
        if (v == 0) {
            ps2_answer(p, s->set);
        } else {
            s->set = v;
        }
        break;
    case 0xf3:
        ps2_answer(p, ACK);
        break;
    default:                           /* a list of keys, ended by a command  */
        p->command = of;
        ps2_answer(p, ACK);
        break;
    }
    return true;
}

void ps2_keyboard_write(Ps2 *p, uint8_t v)
{
    Keyboard *s = (Keyboard *)p;

    TRACE(ps2_keyboard_write, "0x%02x after 0x%02x", v, p->command);
    if (!p->command || !parameter(s, v)) {
        command(s, v);
    }
}

/* ---- the device --------------------------------------------------------- */

static MACHINE_CALL bool keyboard_realize(Device *dev, Error **errp)
{
    Keyboard *s = (Keyboard *)dev;

    device_gpio_out(dev, NULL, &s->ps2.irq, 1);
    s->input = (InputHandler){
        .name = "QEMU PS/2 Keyboard", .takes = INPUT_TAKES_KEY,
        .key = keyboard_key, .dev = s,
    };
    input_register(&s->input);
    return true;
}

static MACHINE_CALL void keyboard_unrealize(Device *dev)
{
    input_unregister(&((Keyboard *)dev)->input);
}

static MACHINE_CALL void keyboard_reset(Device *dev, ResetKind kind)
{
    Keyboard *s = (Keyboard *)dev;

    s->ps2.command = s->ps2.last = 0;
    s->modifiers = 0;
    defaults(s, true);
}

static bool keyboard_after_load(void *opaque, int version, Error **errp)
{
    Keyboard *s = opaque;

    if (s->set < 1 || s->set > 3) {
        return error_set(errp, "ps2-kbd: scancode set %u is not one", s->set);
    }
    machine_assert_locked();
    input_leds_set(s->leds &= 7);
    return ps2_check(&s->ps2, errp);
}

static const VmState keyboard_state = {
    .name = "ps2kbd", .version = 1, .oldest = 1,
    .after_load = keyboard_after_load,
    .fields = (const VmField[]){
        VM_STRUCT(Keyboard, ps2, &ps2_queue_state), VM_U8(Keyboard, enabled),
        VM_U8(Keyboard, set), VM_U8(Keyboard, leds), VM_U8(Keyboard, modifiers),
        VM_END
    },
};

DEVICE(ps2_keyboard, {
    .name = "ps2-kbd", .category = "input", .on = &bus_system,
    .parent = "ps2-device", .flags = DT_INTERNAL | DT_NO_HOTPLUG,
    .desc = "PS/2 keyboard",
    .doc = "The keyboard behind the i8042.",
    .size = sizeof(Keyboard), .vmstate = &keyboard_state,
    .realize = keyboard_realize, .unrealize = keyboard_unrealize,
    .reset = keyboard_reset,
});
