/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * i8042.c - the keyboard controller (IBM PS/2 Hardware Interface Technical
 * Reference, "Keyboard and Auxiliary Device Controller"; Intel 8042 data
 * sheet).
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. The output buffer is full exactly while STAT_OBF is set; the interrupt
 *    lines are a function of status and mode.
 * 2. A byte moves from a device into the output buffer only when the buffer is
 *    empty and the device's port is enabled; the controller's own byte comes
 *    first, then the keyboard's, then the mouse's.
 * 3. A device's line that moves while its byte is being taken changes `pending`
 *    only.
 * 4. Keyboard bytes are translated to set 1 on their way, if the mode says so.
 */
#include <glib.h>
#include "hw/pc/ps2.h"
#include "pc.h"

#define STAT_OBF 0x01
#define STAT_SELF_TEST 0x04
#define STAT_COMMAND 0x08
#define STAT_UNLOCKED 0x10
#define STAT_AUX_OBF 0x20

#define MODE_KBD_INT 0x01
#define MODE_AUX_INT 0x02
#define MODE_SYS 0x04
#define MODE_KBD_OFF 0x10
#define MODE_AUX_OFF 0x20
#define MODE_TRANSLATE 0x40

#define OUT_RESET 0x01
#define OUT_A20 0x02
#define OUT_DEFAULT 0xcf

#define THROTTLE_NS NS_PER_MS

typedef struct I8042 {
    IsaDevice isa;
    MemRegion data_io, command_io;
    IrqLine irq[2], a20;
    Ps2 *kbd, *mouse;
    uint8_t kbd_irq, mouse_irq;
    bool extended_state, throttle;
    uint8_t status, mode, out_port, data, command, break_seen;
    uint8_t own, own_full, own_aux;    /* the controller's byte               */
    uint8_t pending;                   /* input lines: 1 keyboard, 2 mouse    */
    bool taking;                       /* a device's byte is on its way       */
    Timer timer;
} I8042;

/* Set 2 to set 1; 0x80 and up pass, but for the two below. */
static const uint8_t to_set_1[128] = {
    0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58,
    0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59,
    0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a,
    0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b,
    0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c,
    0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d,
    0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e,
    0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f,
    0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60,
    0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61,
    0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e,
    0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76,
    0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b,
    0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f,
    0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45,
    0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
};

/* ---- output buffer ------------------------------------------------------ */

static void irq_update(I8042 *s)
{
    int kbd = 0, aux = 0;

    if (s->status & STAT_OBF) {
        if (s->status & STAT_AUX_OBF) {
            aux = !!(s->mode & MODE_AUX_INT);
        } else {
            kbd = s->mode & MODE_KBD_INT && !(s->mode & MODE_KBD_OFF);
        }
    }
    irq_set(&s->irq[0], kbd);
    irq_set(&s->irq[1], aux);
}

static void fill(I8042 *s, uint8_t v, bool aux)
{
    s->data = v;
    s->status |= STAT_OBF | (aux ? STAT_AUX_OBF : 0);
    irq_update(s);
}

/* false: the byte only prepares the next one. */
static bool translate(I8042 *s, uint8_t *v)
{
    if (!(s->mode & MODE_TRANSLATE)) {
        s->break_seen = 0;
        return true;
    }
    if (*v == 0xf0) {
        s->break_seen = 0x80;
        return false;
    }
    if (*v == 0x83) {
        *v = 0x41;
    } else if (*v == 0x84) {
        *v = 0x54;
    } else if (*v < 0x80) {
        *v = to_set_1[*v];
    } else {
        return true;
    }
    *v |= s->break_seen;
    s->break_seen = 0;
    return true;
}

static void take_byte(I8042 *s) MACHINE_CALL;
static void take_byte(I8042 *s)
{
    uint8_t v;

    while (s->pending & 1 && !(s->mode & MODE_KBD_OFF)) {
        v = ps2_read(s->kbd);
        if (translate(s, &v)) {
            fill(s, v, false);
            return;
        }
    }
    if (s->pending & 2 && !(s->mode & MODE_AUX_OFF)) {
        v = ps2_read(s->mouse);
        ps2_mouse_drained(s->mouse);
        fill(s, v, true);
    }
}

static MACHINE_CALL void next_byte(I8042 *s)
{
    if (s->status & STAT_OBF || s->taking) {
        return;
    }
    if (s->own_full) {
        s->own_full = 0;
        fill(s, s->own, s->own_aux);
    } else if (!s->throttle || !timer_armed(&s->timer)) {
        s->taking = true;
        take_byte(s);
        s->taking = false;
    }
}

static void throttle_over(void *arg)
{
    machine_assert_locked();
    next_byte(arg);
}

static MACHINE_CALL void answer(I8042 *s, uint8_t v, bool aux)
{
    s->own = v;
    s->own_full = 1;
    s->own_aux = aux;
    next_byte(s);
}

static MACHINE_CALL void kbd_in(void *to, int n, int level)
{
    I8042 *s = to;

    s->pending = level ? s->pending | 1 : s->pending & ~1;
    if (level) {
        next_byte(s);
    }
}

static MACHINE_CALL void mouse_in(void *to, int n, int level)
{
    I8042 *s = to;

    s->pending = level ? s->pending | 2 : s->pending & ~2;
    if (level) {
        next_byte(s);
    }
}

/* ---- registers ---------------------------------------------------------- */

static MACHINE_CALL void set_mode(I8042 *s, uint8_t v)
{
    s->mode = v;
    irq_update(s);
    next_byte(s);
}

static void set_out_port(I8042 *s, uint8_t v)
{
    s->out_port = v;
    irq_set(&s->a20, v >> 1 & 1);
    if (!(v & OUT_RESET)) {
        request_reset(WHY_GUEST_RESET);
    }
}

static MACHINE_CALL uint64_t data_read(void *dev, uint64_t off, unsigned size)
{
    I8042 *s = dev;
    uint8_t v = s->data;

    if (s->status & STAT_OBF) {
        s->status &= ~(STAT_OBF | STAT_AUX_OBF);
        irq_update(s);
        if (s->throttle) {
            timer_set(&s->timer, clock_ns(CLOCK_VM) + THROTTLE_NS);
        }
        next_byte(s);
    }
    return v;
}

static uint64_t status_read(void *dev, uint64_t off, unsigned size)
{
    return ((I8042 *)dev)->status;
}

static MACHINE_CALL void to_keyboard(I8042 *s, uint8_t v)
{
    /* Talking to the keyboard opens its port. */
    s->mode &= ~MODE_KBD_OFF;
    ps2_keyboard_write(s->kbd, v);
    next_byte(s);
}

static MACHINE_CALL void data_write(void *dev, uint64_t off, uint64_t val,
                                    unsigned size)
{
    I8042 *s = dev;
    uint8_t command = s->command, v = val;

    TRACE(i8042_data_write, "0x%02x after command 0x%02x", v, command);
    s->command = 0;
    s->status &= ~STAT_COMMAND;
    switch (command) {
    case 0x60:
        set_mode(s, v);
        break;
    case 0xd1:
        set_out_port(s, v);
        break;
    case 0xd2:
        answer(s, v, false);
        break;
    case 0xd3:
        answer(s, v, true);
        break;
    case 0xd4:
        s->mode &= ~MODE_AUX_OFF;
        ps2_mouse_write(s->mouse, v);
        next_byte(s);
        break;
    default:
        to_keyboard(s, v);
        break;
    }
}

static MACHINE_CALL void simple_command(I8042 *s, uint8_t v)
{
    switch (v) {
    case 0x20:
        answer(s, s->mode, false);
        break;
    case 0xa7:
        set_mode(s, s->mode | MODE_AUX_OFF);
        break;
    case 0xa8:
        set_mode(s, s->mode & ~MODE_AUX_OFF);
        break;
    case 0xa9:                         /* both lines of the port are fine     */
    case 0xab:
        answer(s, 0, false);
        break;
    case 0xaa:
        s->status |= STAT_SELF_TEST;
        answer(s, 0x55, false);
        break;
    case 0xad:
        set_mode(s, s->mode | MODE_KBD_OFF);
        break;
    case 0xae:
        set_mode(s, s->mode & ~MODE_KBD_OFF);
        break;
    case 0xc0:
        answer(s, 0x80, false);        /* not locked                          */
        break;
    case 0xd0:
        answer(s, s->out_port, false);
        break;
    case 0xdd:
        set_out_port(s, s->out_port & ~OUT_A20);
        break;
    case 0xdf:
        set_out_port(s, s->out_port | OUT_A20);
        break;
    default:
        guest_fault("i8042", "unsupported keyboard cmd=0x%02x", v);
        break;
    }
}

static MACHINE_CALL void command_write(void *dev, uint64_t off, uint64_t val,
                                       unsigned size)
{
    I8042 *s = dev;
    uint8_t v = val;

    TRACE(i8042_command, "0x%02x", v);
    s->command = 0;
    s->status |= STAT_COMMAND;
    switch (v) {
    case 0x60:
    case 0xd1 ... 0xd4:
        s->command = v;
        break;
    case 0xf0 ... 0xff:                /* pulses output bits that are 0       */
        if (!(v & OUT_RESET)) {
            request_reset(WHY_GUEST_RESET);
        }
        break;
    default:
        simple_command(s, v);
        break;
    }
}

static const MemOps data_ops = {
    .read = data_read, .write = data_write, .max = 1,
};
static const MemOps command_ops = {
    .read = status_read, .write = command_write, .max = 1,
};

/* ---- the device --------------------------------------------------------- */

static MACHINE_CALL Ps2 *make_part(I8042 *s, const char *type, const char *name,
                                   const char *input, Error **errp)
{
    Device *dev = &s->isa.dev, *d = device_make(type);

    obj_put(&dev->obj, name, &d->obj);
    if (!device_realize(d, NULL, errp)) {
        device_free(d);
        return NULL;
    }
    device_gpio_connect(d, NULL, 0, device_gpio_get(dev, input, 0));
    return (Ps2 *)d;
}

static MACHINE_CALL void drop_parts(I8042 *s)
{
    Ps2 *parts[] = { s->mouse, s->kbd };

    for (unsigned i = 0; i < ARRAY_SIZE(parts); i++) {
        if (parts[i]) {
            device_unrealize(&parts[i]->dev);
            device_free(&parts[i]->dev);
        }
    }
    s->kbd = s->mouse = NULL;
}

static MACHINE_CALL bool i8042_realize(Device *dev, Error **errp)
{
    I8042 *s = (I8042 *)dev;

    if (!isa_irq(&s->isa, s->kbd_irq, &s->irq[0], errp) ||
        !isa_irq(&s->isa, s->mouse_irq, &s->irq[1], errp)) {
        return false;
    }
    device_gpio_out(dev, "a20", &s->a20, 1);
    device_gpio_out(dev, NULL, s->irq, 2);
    device_gpio_in(dev, "ps2-kbd-input-irq", kbd_in, 1);
    device_gpio_in(dev, "ps2-mouse-input-irq", mouse_in, 1);
    s->kbd = make_part(s, "ps2-kbd", "ps2kbd", "ps2-kbd-input-irq", errp);
    if (s->kbd) {
        s->mouse = make_part(s, "ps2-mouse", "ps2mouse", "ps2-mouse-input-irq",
                             errp);
    }
    if (!s->mouse) {
        drop_parts(s);
        return false;
    }
    timer_init(&s->timer, NULL, CLOCK_VM, throttle_over, s);
    mem_init_io(&s->data_io, "i8042-data", 1, &data_ops, s);
    mem_init_io(&s->command_io, "i8042-cmd", 1, &command_ops, s);
    isa_map(&s->isa, &s->data_io, 0x60);
    isa_map(&s->isa, &s->command_io, 0x64);
    return true;
}

static MACHINE_CALL void i8042_unrealize(Device *dev)
{
    I8042 *s = (I8042 *)dev;

    timer_clear(&s->timer);
    isa_unmap(&s->isa, &s->data_io);
    isa_unmap(&s->isa, &s->command_io);
    drop_parts(s);
}

static void i8042_reset(Device *dev, ResetKind kind)
{
    I8042 *s = (I8042 *)dev;

    timer_clear(&s->timer);
    s->mode = MODE_KBD_INT | MODE_AUX_INT;
    s->status = STAT_COMMAND | STAT_UNLOCKED;
    s->out_port = OUT_DEFAULT;
    s->data = s->command = s->break_seen = 0;
    s->own = s->own_full = s->own_aux = s->pending = 0;
    irq_set(&s->a20, 1);
    irq_update(s);
}

static bool i8042_after_load(void *opaque, int version, Error **errp)
{
    I8042 *s = opaque;

    s->pending &= 3;
    s->break_seen &= 0x80;
    s->own_aux &= 1;
    return true;
}

static const VmState i8042_state = {
    .name = "pckbd", .version = 1, .oldest = 1, .after_load = i8042_after_load,
    .fields = (const VmField[]){
        VM_U8(I8042, status), VM_U8(I8042, mode), VM_U8(I8042, out_port),
        VM_U8(I8042, data), VM_U8(I8042, command), VM_U8(I8042, break_seen),
        VM_U8(I8042, own), VM_U8(I8042, own_full), VM_U8(I8042, own_aux),
        VM_U8(I8042, pending), VM_TIMER(I8042, timer),
        VM_END
    },
};

static const Prop i8042_props[] = {
    PROP_BOOL("extended-state", I8042, extended_state, true,
              .desc = "the output buffer is part of the saved state"),
    PROP_BOOL("kbd-throttle", I8042, throttle, false,
              .desc = "a millisecond passes between bytes to the guest"),
    PROP_U8("kbd-irq", I8042, kbd_irq, 1, .desc = "ISA interrupt, keyboard"),
    PROP_U8("mouse-irq", I8042, mouse_irq, 12, .desc = "ISA interrupt, mouse"),
    PROP_END
};

void i8042_mouse_call(Device *i8042)
{
    ps2_mouse_step(((I8042 *)i8042)->mouse);
}

static char *i8042_fw_name(const Device *dev)
{
    return g_strdup("i8042");
}

DEVICE(i8042, {
    .name = "i8042", .category = "input", .on = &bus_isa,
    .desc = "Keyboard controller",
    .doc = "The PC's keyboard controller with a PS/2 keyboard and mouse.",
    .size = sizeof(I8042), .props = i8042_props, .vmstate = &i8042_state,
    .realize = i8042_realize, .unrealize = i8042_unrealize,
    .reset = i8042_reset, .fw_name = i8042_fw_name,
});

Device *i8042_create(IsaBus *isa, IrqLine irq1, IrqLine irq12, Error **errp)
{
    Device *d = device_make("i8042");

    if (!device_realize(d, &isa->bus, errp)) {
        device_free(d);
        return NULL;
    }
    device_gpio_connect(d, NULL, 0, irq1);
    device_gpio_connect(d, NULL, 1, irq12);
    device_gpio_connect(d, "a20", 0, pc_a20_line(0));
    return d;
}
