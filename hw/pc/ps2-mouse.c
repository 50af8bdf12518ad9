/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ps2-mouse.c - the PS/2 mouse with the wheel and five-button extensions (IBM
 * PS/2 Hardware Interface Technical Reference, "Mouse"; Microsoft IntelliMouse
 * and IntelliMouse Explorer protocols).
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. Movement is summed until a packet takes it, within +-MOVE_MAX, so that a
 *    guest which does not read costs nothing.
 * 2. Data never holds more than DATA_ROOM bytes: movement reported is recent.
 */
#include "hw/pc/ps2.h"
#include "input.h"
#include "runstate.h"
#include "schema/schema.h"

#define ACK 0xfa
#define DATA_ROOM 16
#define MOVE_MAX 65536

#define ST_SCALE 0x10
#define ST_ENABLED 0x20
#define ST_REMOTE 0x40

typedef struct Mouse {
    Ps2 ps2;
    InputHandler input;
    uint8_t status, resolution, rate, wrap, kind, knock, buttons, pressed;
    int32_t dx, dy, dz, dw;
} Mouse;

/* ---- packets ------------------------------------------------------------ */

static int take(int32_t *from, int least, int most)
{
    int v = *from < least ? least : *from > most ? most : *from;

    *from -= v;
    return v;
}

static MACHINE_CALL bool send_packet(Mouse *s)
{
    uint8_t b[4];
    unsigned n = s->kind >= 3 ? 4 : 3;
    int dx, dy;

    if (s->ps2.count + n > DATA_ROOM) {
        return false;
    }
    dx = take(&s->dx, -127, 127);
    dy = take(&s->dy, -127, 127);
    b[0] = 0x08 | (dx < 0) << 4 | (dy < 0) << 5 | (s->buttons & 7);
    b[1] = dx;
    b[2] = dy;
    b[3] = 0;
    if (s->kind == 3) {
        b[3] = take(&s->dz, -127, 127);
        s->dw = 0;
    } else if (s->kind == 4) {
        /* A horizontal turn borrows the wheel's nibble: +-2 for it, +-1 for
         * the wheel, and bit 6. */
        if (s->dw) {
            b[3] = 0x40 | (take(&s->dw, -31, 31) & 0x3f);
        } else {
            b[3] = (take(&s->dz, -7, 7) & 15) | (s->buttons & 0x18) << 1;
        }
    } else {
        s->dz = s->dw = 0;
    }
    return ps2_put(&s->ps2, b, n, DATA_ROOM);
}

static bool moved(const Mouse *s)
{
    return s->dx || s->dy || s->dz || s->dw;
}

static bool streams(const Mouse *s)
{
    return s->status & ST_ENABLED && !(s->status & ST_REMOTE);
}

void ps2_mouse_drained(Ps2 *p)
{
    Mouse *s = (Mouse *)p;

    if (streams(s)) {
        while (moved(s) && send_packet(s)) {
        }
    }
}

/* ---- input -------------------------------------------------------------- */

static void add(int32_t *to, int64_t d)
{
    int64_t v = *to + d;

    *to = v > MOVE_MAX ? MOVE_MAX : v < -MOVE_MAX ? -MOVE_MAX : v;
}

static void mouse_rel(void *dev, int axis, int delta)
{
    Mouse *s = dev;

    if (!(s->status & ST_ENABLED)) {
        return;
    }
    if (axis == INPUT_AXIS_X) {
        add(&s->dx, delta);
    } else {
        add(&s->dy, -(int64_t)delta);
    }
}

static void mouse_btn(void *dev, int button, bool down)
{
    static const uint8_t bit[INPUT_BUTTON__COUNT] = {
        [INPUT_BUTTON_LEFT] = 1, [INPUT_BUTTON_RIGHT] = 2,
        [INPUT_BUTTON_MIDDLE] = 4, [INPUT_BUTTON_SIDE] = 8,
        [INPUT_BUTTON_EXTRA] = 16,
    };
    Mouse *s = dev;
    uint8_t b = button >= 0 && button < INPUT_BUTTON__COUNT ? bit[button] : 0;

    s->buttons = down ? s->buttons | b : s->buttons & ~b;
    s->pressed = 1;
    if (!down) {
        return;
    }
    switch (button) {
    case INPUT_BUTTON_WHEEL_UP:
        add(&s->dz, -1);
        break;
    case INPUT_BUTTON_WHEEL_DOWN:
        add(&s->dz, 1);
        break;
    case INPUT_BUTTON_WHEEL_LEFT:
        add(&s->dw, 1);
        break;
    case INPUT_BUTTON_WHEEL_RIGHT:
        add(&s->dw, -1);
        break;
    default:
        break;
    }
}

static MACHINE_CALL void mouse_sync(void *dev)
{
    Mouse *s = dev;

    if (!(s->status & ST_ENABLED)) {
        return;
    }
    if (s->buttons) {
        request_wakeup(3);
    }
    if (streams(s) && (moved(s) || s->pressed)) {
        send_packet(s);
    }
    s->pressed = 0;
    ps2_mouse_drained(&s->ps2);
}

void ps2_mouse_step(Ps2 *p)
{
    mouse_rel(p, INPUT_AXIS_X, 1);
    mouse_sync(p);
}

/* ---- commands ----------------------------------------------------------- */

static void defaults(Mouse *s)
{
    s->status = 0;
    s->resolution = 2;
    s->rate = 100;
}

/* Three rates in a row name the extension wanted. */
static void knock(Mouse *s, uint8_t rate)
{
    if (rate == 200) {
        s->knock = s->knock == 1 ? 2 : 1;
    } else if (rate == 100 && s->knock == 1) {
        s->knock = 3;
    } else {
        if (rate == 80 && s->knock == 2) {
            s->kind = 4;
        } else if (rate == 80 && s->knock == 3) {
            s->kind = 3;
        }
        s->knock = 0;
    }
}

static MACHINE_CALL void poll(Mouse *s)
{
    Ps2 *p = &s->ps2;

    /* What streaming left behind is older than the answer. */
    ps2_flush(p);
    ps2_answer(p, ACK);
    send_packet(s);
}

static MACHINE_CALL void command(Mouse *s, uint8_t v)
{
    Ps2 *p = &s->ps2;

    switch (v) {
    case 0xe6:
        s->status &= ~ST_SCALE;
        break;
    case 0xe7:
        s->status |= ST_SCALE;
        break;
    case 0xe8:                         /* resolution                          */
    case 0xf3:                         /* sample rate                         */
        p->command = v;
        break;
    case 0xe9:
        ps2_answer(p, ACK);
        ps2_answer(p, s->status | (s->buttons >> 1 & 1) |
                   (s->buttons >> 1 & 2) | (s->buttons << 2 & 4));
        ps2_answer(p, s->resolution);
        ps2_answer(p, s->rate);
        return;
    case 0xea:
        s->status &= ~ST_REMOTE;
        break;
    case 0xeb:
        poll(s);
        return;
    case 0xec:
        s->wrap = 0;
        break;
    case 0xee:
        s->wrap = 1;
        break;
    case 0xf0:
        s->status |= ST_REMOTE;
        break;
    case 0xf2:
        ps2_answer(p, ACK);
        ps2_answer(p, s->kind);
        return;
    case 0xf4:
        s->status |= ST_ENABLED;
        break;
    case 0xf5:
        s->status &= ~ST_ENABLED;
        break;
    case 0xf6:
        defaults(s);
        break;
    case 0xff:
        defaults(s);
        s->kind = 0;
        ps2_flush(p);
        ps2_answer(p, ACK);
        ps2_answer(p, 0xaa);
        ps2_answer(p, s->kind);
        return;
    default:
        ps2_answer(p, 0xfe);
        return;
    }
    ps2_answer(p, ACK);
}

void ps2_mouse_write(Ps2 *p, uint8_t v)
{
    Mouse *s = (Mouse *)p;
    uint8_t of = p->command;

    TRACE(ps2_mouse_write, "0x%02x after 0x%02x", v, of);
    p->command = 0;
    if (of) {
        if (of == 0xe8) {
            s->resolution = v;
        } else {
            s->rate = v;
            knock(s, v);
        }
        ps2_answer(p, ACK);
    } else if (s->wrap && v != 0xec && v != 0xff) {
        ps2_answer(p, v);
    } else {
        if (v == 0xff) {
            s->wrap = 0;
        }
        command(s, v);
    }
}

/* ---- the device --------------------------------------------------------- */

static MACHINE_CALL bool mouse_realize(Device *dev, Error **errp)
{
    Mouse *s = (Mouse *)dev;

    device_gpio_out(dev, NULL, &s->ps2.irq, 1);
    s->input = (InputHandler){
        .name = "QEMU PS/2 Mouse",
        .takes = INPUT_TAKES_BTN | INPUT_TAKES_REL,
        .rel = mouse_rel, .btn = mouse_btn, .sync = mouse_sync, .dev = s,
    };
    input_register(&s->input);
    return true;
}

static MACHINE_CALL void mouse_unrealize(Device *dev)
{
    input_unregister(&((Mouse *)dev)->input);
}

static MACHINE_CALL void mouse_reset(Device *dev, ResetKind kind)
{
    Mouse *s = (Mouse *)dev;

    s->status = s->resolution = s->rate = s->wrap = s->kind = s->knock = 0;
    s->buttons = s->pressed = 0;
    s->dx = s->dy = s->dz = s->dw = 0;
    s->ps2.command = s->ps2.last = 0;
    ps2_flush(&s->ps2);
}

static bool mouse_after_load(void *opaque, int version, Error **errp)
{
    Mouse *s = opaque;

    if (s->kind != 0 && s->kind != 3 && s->kind != 4) {
        return error_set(errp, "ps2-mouse: kind %u is not one", s->kind);
    }
    add(&s->dx, 0);
    add(&s->dy, 0);
    add(&s->dz, 0);
    add(&s->dw, 0);
    return ps2_check(&s->ps2, errp);
}

static const VmState mouse_state = {
    .name = "ps2mouse", .version = 1, .oldest = 1,
    .after_load = mouse_after_load,
    .fields = (const VmField[]){
        VM_STRUCT(Mouse, ps2, &ps2_queue_state), VM_U8(Mouse, status),
        VM_U8(Mouse, resolution), VM_U8(Mouse, rate), VM_U8(Mouse, wrap),
        VM_U8(Mouse, kind), VM_U8(Mouse, knock), VM_U8(Mouse, buttons),
        VM_U8(Mouse, pressed), VM_I32(Mouse, dx), VM_I32(Mouse, dy),
        VM_I32(Mouse, dz), VM_I32(Mouse, dw),
        VM_END
    },
};

DEVICE(ps2_mouse, {
    .name = "ps2-mouse", .category = "input", .on = &bus_system,
    .parent = "ps2-device", .flags = DT_INTERNAL | DT_NO_HOTPLUG,
    .desc = "PS/2 mouse",
    .doc = "The mouse behind the i8042, with a wheel and five buttons.",
    .size = sizeof(Mouse), .vmstate = &mouse_state,
    .realize = mouse_realize, .unrealize = mouse_unrealize,
    .reset = mouse_reset,
});
