/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmmouse.c - VMware's mouse (X.Org xf86-input-vmmouse, vmmouse_client.c and
 * vmmouse_defs.h): commands 39 to 41 of the port, a queue of words, and a byte of
 * the PS/2 mouse that calls the guest's driver.
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. `count` words of the queue are filled; an event that has no room for all of
 *    its words is dropped.
 * 2. Input comes while, and only while, `live`: the guest has asked for the
 *    identity and has neither said end nor asked wrongly since.
 */
#include "hw/pc/ps2.h"
#include "hw/pc/vmport.h"
#include "input.h"
#include "isa.h"
#include "pc.h"
#include "schema/schema.h"

enum { CMD_DATA = 39, CMD_STATUS, CMD_COMMAND };
#define ASK_ID 0x45414552u
#define ASK_END 0xf5u
#define ASK_RELATIVE 0x4c455252u
#define ASK_ABSOLUTE 0x53424152u
#define IDENTITY 0x3442554au
#define ERROR_STATUS 0xffff
#define QUEUE 1024
#define EVENT 4                        /* words                               */

typedef struct VmMouse {
    IsaDevice isa;
    Device *i8042;                     /* property                            */
    InputHandler input;
    bool live, touched;                /* touched: by events since the last
                                          sync                                */
    uint32_t queue[QUEUE];
    uint16_t count, status;
    uint8_t absolute, buttons;
    int32_t place[2];                  /* by axis; movement when not absolute */
} VmMouse;

/* ---- events -------------------------------------------------------------- */

static MACHINE_CALL void push(VmMouse *s, int dz)
{
    static const uint8_t bits[] = { 0x20, 0x10, 0x08 };
    uint32_t *q = s->queue + s->count, scale = s->absolute ? 2 : 1;

    if (s->count + EVENT > QUEUE) {
        return;
    }
    q[0] = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(bits); i++) {
        q[0] |= s->buttons >> i & 1 ? bits[i] : 0;
    }
    q[1] = s->place[0] * scale;
    q[2] = s->place[1] * scale;
    q[3] = dz;
    s->count += EVENT;
    i8042_mouse_call(s->i8042);
}

static void mouse_btn(void *dev, int button, bool down)
{
    VmMouse *s = dev;
    int dz = 0;

    machine_assert_locked();
    s->touched = true;
    switch (button) {
    case INPUT_BUTTON_LEFT:
    case INPUT_BUTTON_RIGHT:
    case INPUT_BUTTON_MIDDLE: {
        unsigned bit = button == INPUT_BUTTON_LEFT ? 1 :
                       button == INPUT_BUTTON_RIGHT ? 2 : 4;

        s->buttons = down ? s->buttons | bit : s->buttons & ~bit;
        return;
    }
    case INPUT_BUTTON_WHEEL_UP:
        dz = -1;
        break;
    case INPUT_BUTTON_WHEEL_DOWN:
        dz = 1;
        break;
    case INPUT_BUTTON_WHEEL_LEFT:
        dz = 2;
        break;
    case INPUT_BUTTON_WHEEL_RIGHT:
        dz = -2;
        break;
    default:
        return;
    }
    if (down) {
        push(s, dz);
    }
}

static void mouse_rel(void *dev, int axis, int delta)
{
    VmMouse *s = dev;
    int64_t v = (int64_t)s->place[axis != INPUT_AXIS_X] + delta;

    s->touched = true;
    s->place[axis != INPUT_AXIS_X] = MAX2(INT32_MIN, MIN2(INT32_MAX, v));
}

static void mouse_abs(void *dev, int axis, int place)
{
    VmMouse *s = dev;

    s->touched = true;
    s->place[axis != INPUT_AXIS_X] = place;
}

static void mouse_sync(void *dev)
{
    VmMouse *s = dev;

    machine_assert_locked();
    if (!s->touched) {
        return;
    }
    s->touched = false;
    push(s, 0);
    if (!s->absolute) {
        s->place[0] = s->place[1] = 0;
    }
}

static MACHINE_CALL void listen(VmMouse *s, bool on)
{
    if (s->live) {
        input_unregister(&s->input);
    }
    s->live = on;
    if (on) {
        s->touched = false;
        s->buttons = 0;
        s->place[0] = s->place[1] = 0;
        s->input = (InputHandler){
            .name = "vmmouse", .dev = s, .btn = mouse_btn, .sync = mouse_sync,
            .takes = INPUT_TAKES_BTN |
                     (s->absolute ? INPUT_TAKES_ABS : INPUT_TAKES_REL),
            .rel = mouse_rel, .abs = mouse_abs,
        };
        input_register(&s->input);
        input_activate(&s->input);
    }
}

/* ---- commands ------------------------------------------------------------ */

static MACHINE_CALL void give_up(VmMouse *s)
{
    s->status = ERROR_STATUS;
    listen(s, false);
}

static uint32_t get_data(void *dev, uint64_t *gpr)
{
    static const uint8_t to[] = { X86_RAX, X86_RBX, X86_RCX, X86_RDX, X86_RSI,
                                  X86_RDI };
    VmMouse *s = dev;
    uint32_t n = gpr[X86_RBX], first = s->queue[0];

    machine_assert_locked();
    if (!n || n > ARRAY_SIZE(to) || n > s->count) {
        guest_fault("vmmouse", "%u words asked for, of %u", n, s->count);
        give_up(s);
        return gpr[X86_RAX];
    }
    for (uint32_t i = 1; i < n; i++) {
        gpr[to[i]] = s->queue[i];
    }
    s->count -= n;
    memmove(s->queue, s->queue + n, s->count * sizeof(*s->queue));
    return first;
}

static uint32_t get_status(void *dev, uint64_t *gpr)
{
    const VmMouse *s = dev;

    return (uint32_t)s->status << 16 | s->count;
}

static MACHINE_CALL void start(VmMouse *s)
{
    if (s->count < QUEUE) {
        s->queue[s->count++] = IDENTITY;
        s->status = 0;
        if (!s->live) {
            listen(s, true);
        }
    }
}

static MACHINE_CALL void set_absolute(VmMouse *s, bool on)
{
    if (s->absolute != on) {
        s->absolute = on;
        if (s->live) {
            listen(s, true);
        }
    }
}

static uint32_t do_command(void *dev, uint64_t *gpr)
{
    VmMouse *s = dev;

    machine_assert_locked();
    switch ((uint32_t)gpr[X86_RBX]) {
    case ASK_ID:
        start(s);
        break;
    case ASK_END:
        give_up(s);
        break;
    case ASK_RELATIVE:
        set_absolute(s, false);
        break;
    case ASK_ABSOLUTE:
        set_absolute(s, true);
        break;
    default:
        guest_fault("vmmouse", "command 0x%x is not known",
                    (unsigned)gpr[X86_RBX]);
        break;
    }
    return gpr[X86_RAX];
}

/* ---- the device ---------------------------------------------------------- */

static MACHINE_CALL void calls(VmMouse *s, bool on)
{
    static VmportCall *const call[] = { get_data, get_status, do_command };

    for (unsigned i = 0; vmport_device && i < ARRAY_SIZE(call); i++) {
        vmport_register(vmport_device, CMD_DATA + i, on ? call[i] : NULL, s);
    }
}

static MACHINE_CALL bool vmmouse_realize(Device *dev, Error **errp)
{
    VmMouse *s = (VmMouse *)dev;

    if (!s->i8042) {
        return error_set(errp, "'i8042' link is not set");
    }
    s->status = ERROR_STATUS;
    calls(s, true);
    return true;
}

static MACHINE_CALL void vmmouse_unrealize(Device *dev)
{
    VmMouse *s = (VmMouse *)dev;

    calls(s, false);
    listen(s, false);
}

static void vmmouse_reset(Device *dev, ResetKind kind)
{
    VmMouse *s = (VmMouse *)dev;

    machine_assert_locked();
    s->count = 0;
    memset(s->queue, 0, sizeof(s->queue));
    give_up(s);
    s->absolute = s->buttons = 0;
    s->place[0] = s->place[1] = 0;
}

static bool vmmouse_loaded(void *opaque, int version, Error **errp)
{
    VmMouse *s = opaque;
    uint8_t buttons = s->buttons & 7;
    int32_t place[2] = { s->place[0], s->place[1] };

    machine_assert_locked();
    if (s->count > QUEUE || s->absolute > 1) {
        return error_set(errp, "vmmouse: %u words in the queue", s->count);
    }
    listen(s, s->status != ERROR_STATUS);
    s->buttons = buttons;
    memcpy(s->place, place, sizeof(place));
    return true;
}

static const VmState vmmouse_state = {
    .name = "vmmouse", .version = 1, .oldest = 1, .after_load = vmmouse_loaded,
    .fields = (const VmField[]){
        VM_ARRAY(VmMouse, queue, VK_U32), VM_U16(VmMouse, count),
        VM_U16(VmMouse, status), VM_U8(VmMouse, absolute),
        VM_U8(VmMouse, buttons), VM_ARRAY(VmMouse, place, VK_U32),
        VM_END
    },
};

static void *i8042_claim(Obj *owner, const char *prop, const char *id,
                         Error **errp)
{
    machine_assert_locked();
    return device_claim(id, "i8042", errp);
}

static const PropRef i8042_ref = {
    .type = "link<i8042>", .claim = i8042_claim, .id = device_claimed_id,
};

static const Prop vmmouse_props[] = {
    PROP_REF("i8042", VmMouse, i8042, &i8042_ref,
             .desc = "the keyboard controller whose mouse calls the guest"),
    PROP_END
};

DEVICE(vmmouse, {
    .name = "vmmouse", .category = "input", .on = &bus_isa,
    .desc = "VMware's mouse",
    .doc = "The pointer behind VMware's port, part of a PC that has the port: "
           "places or movements, as the guest's driver asks.",
    .size = sizeof(VmMouse), .props = vmmouse_props, .vmstate = &vmmouse_state,
    .realize = vmmouse_realize, .unrealize = vmmouse_unrealize,
    .reset = vmmouse_reset,
});
