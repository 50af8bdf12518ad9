/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * input.c - virtio-keyboard, virtio-mouse and virtio-tablet (virtio 1.2, section
 * 5.8): events of Linux's input layer, one a buffer.
 *
 * Events gather until they belong together; then all of them go to the guest,
 * or, when it has too few buffers, none.
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. n <= EVENTS_MAX; nothing is pending while the driver is not ready.
 * 2. The handler is registered exactly from realize to unrealize, and active
 *    while the driver is ready; before that it drops what it gets.
 */
#include <glib.h>
#include <linux/input-event-codes.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_input.h>
#include "include/console.h"   /* not the folder's own */
#include "input.h"
#include "hw/virtio/input-keys.h"
#include "schema/schema.h"
#include "virtio-pci.h"

#define EVENTS_MAX 64                  /* as many as the queue has buffers    */
#define BUS_VIRTUAL 0x06
#define VENDOR 0x0627

typedef struct VirtioInput {
    Virtio v;
    InputHandler input;
    char *serial, *display;
    uint32_t head;
    bool wheel_axis;
    bool active;                       /* the driver is ready                 */
    uint8_t select, subsel, leds;
    struct virtio_input_event events[EVENTS_MAX];
    unsigned n;
} VirtioInput;

typedef struct InputInfo {
    VirtioType type;
    uint16_t product, version;
    const char *name;
    unsigned takes;
} InputInfo;

static const InputInfo *info_of(const VirtioInput *s)
{
    return container_of(virtio_type(&s->v), InputInfo, type);
}

/* ---- events to the guest ------------------------------------------------- */
static void add_event(VirtioInput *s, unsigned type, unsigned code, int value)
{
    if (!s->active || s->n == EVENTS_MAX) {
        return;
    }
    s->events[s->n++] = (struct virtio_input_event){
        .type = htole16((uint16_t)type), .code = htole16((uint16_t)code),
        .value = htole32((uint32_t)value),
    };
}

static MACHINE_CALL void flush(VirtioInput *s)
{
    Virtq *q = s->v.queues[0];
    unsigned n = s->n;

    s->n = 0;
    if (!virtq_ready(q) ||
        !virtq_has_room(q, n * sizeof(s->events[0]), 0)) {
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        VirtqElem *e = virtq_pop(q);

        if (!e) {
            break;
        }
        virtq_push(q, e, virtq_write(e, 0, &s->events[i],
                                     sizeof(s->events[i])));
    }
    virtq_notify(q);
}

static MACHINE_CALL void on_sync(void *dev)
{
    VirtioInput *s = dev;

    if (s->n && s->active) {
        s->n = MIN2(s->n, EVENTS_MAX - 1);
        add_event(s, EV_SYN, SYN_REPORT, 0);
        flush(s);
    }
}

static MACHINE_CALL void on_key(void *dev, int qcode, bool down)
{
    int code = evdev_key(qcode);

    if (code) {
        add_event(dev, EV_KEY, (unsigned)code, down);
    }
}

static MACHINE_CALL void on_button(void *dev, int button, bool down)
{
    VirtioInput *s = dev;
    bool up = button == INPUT_BUTTON_WHEEL_UP;
    int code = evdev_button(button);

    if (s->wheel_axis && (up || button == INPUT_BUTTON_WHEEL_DOWN)) {
        if (down) {
            add_event(s, EV_REL, REL_WHEEL, up ? 1 : -1);
        }
    } else if (code) {
        add_event(s, EV_KEY, (unsigned)code, down);
    }
}

static MACHINE_CALL void on_rel(void *dev, int axis, int delta)
{
    add_event(dev, EV_REL, axis == INPUT_AXIS_X ? REL_X : REL_Y, delta);
}

static MACHINE_CALL void on_abs(void *dev, int axis, int place)
{
    add_event(dev, EV_ABS, axis == INPUT_AXIS_X ? ABS_X : ABS_Y, place);
}

/* ---- events from the guest ----------------------------------------------- */
static MACHINE_CALL void guest_event(VirtioInput *s,
                                     const struct virtio_input_event *ev)
{
    static const uint8_t bit[] = {
        [LED_NUML] = 2, [LED_CAPSL] = 4, [LED_SCROLLL] = 1,
    };
    unsigned code = le16toh(ev->code);

    if (le16toh(ev->type) != EV_LED || code >= ARRAY_SIZE(bit)) {
        return;
    }
    s->leds = (uint8_t)(le32toh(ev->value) ? s->leds | bit[code]
                                           : s->leds & ~bit[code]);
    input_leds_set(s->leds);
}

static void status_kicked(Virtq *q)
{
    VirtioInput *s = (VirtioInput *)q->v;
    struct virtio_input_event ev;
    VirtqElem *e;

    machine_assert_locked();
    while (virtq_ready(q) && (e = virtq_pop(q))) {
        if (virtq_read(e, 0, &ev, sizeof(ev)) == sizeof(ev) &&
            info_of(s)->takes & INPUT_TAKES_KEY) {
            guest_event(s, &ev);
        }
        virtq_push(q, e, 0);
    }
    virtq_notify(q);
}

/* Buffers for events wait until there is one. */
static void events_kicked(Virtq *q)
{
}

/* ---- what the device is -------------------------------------------------- */
static void set_bit(struct virtio_input_config *c, unsigned code)
{
    if (code / 8 < sizeof(c->u.bitmap)) {
        c->u.bitmap[code / 8] |= (uint8_t)(1u << code % 8);
        c->size = MAX2(c->size, (uint8_t)(code / 8 + 1));
    }
}

static void config_bits(const VirtioInput *s, struct virtio_input_config *c)
{
    unsigned takes = info_of(s)->takes;

    switch (s->subsel) {
    case EV_KEY:
        for (int i = 0; takes & INPUT_TAKES_KEY && i < Q_KEY_CODE__COUNT; i++) {
            if (evdev_key(i)) {
                set_bit(c, (unsigned)evdev_key(i));
            }
        }
        for (int i = 0; takes & INPUT_TAKES_BTN && i < INPUT_BUTTON__COUNT;
             i++) {
            if (evdev_button(i)) {
                set_bit(c, (unsigned)evdev_button(i));
            }
        }
        break;
    case EV_REL:
        if (takes & INPUT_TAKES_REL) {
            set_bit(c, REL_X);
            set_bit(c, REL_Y);
        }
        if (takes & INPUT_TAKES_BTN) {
            set_bit(c, REL_WHEEL);
        }
        break;
    case EV_ABS:
        if (takes & INPUT_TAKES_ABS) {
            set_bit(c, ABS_X);
            set_bit(c, ABS_Y);
        }
        break;
    case EV_LED:
        if (takes & INPUT_TAKES_KEY) {
            set_bit(c, LED_NUML);
            set_bit(c, LED_CAPSL);
            set_bit(c, LED_SCROLLL);
        }
        break;
    case EV_REP:                        /* repeats itself: no settings        */
        c->size = takes & INPUT_TAKES_KEY ? 1 : 0;
        break;
    default:
        break;
    }
}

static void config_text(struct virtio_input_config *c, const char *text,
                        size_t n)
{
    n = MIN2(n, sizeof(c->u.string));
    memcpy(c->u.string, text, n);
    c->size = (uint8_t)n;
}

static void config_make(VirtioInput *s)
{
    struct virtio_input_config *c = (void *)s->v.config;
    const InputInfo *info = info_of(s);

    memset(c, 0, sizeof(*c));
    c->select = s->select;
    c->subsel = s->subsel;
    switch (s->select) {
    case VIRTIO_INPUT_CFG_ID_NAME:
        if (!s->subsel) {
            config_text(c, info->name, strlen(info->name) + 1);
        }
        break;
    case VIRTIO_INPUT_CFG_ID_SERIAL:
        if (!s->subsel && s->serial) {
            config_text(c, s->serial, strlen(s->serial));
        }
        break;
    case VIRTIO_INPUT_CFG_ID_DEVIDS:
        if (!s->subsel) {
            c->size = sizeof(c->u.ids);
            c->u.ids.bustype = htole16(BUS_VIRTUAL);
            c->u.ids.vendor = htole16(VENDOR);
            c->u.ids.product = htole16(info->product);
            c->u.ids.version = htole16(info->version);
        }
        break;
    case VIRTIO_INPUT_CFG_EV_BITS:
        config_bits(s, c);
        break;
    case VIRTIO_INPUT_CFG_ABS_INFO:
        if (s->subsel <= ABS_Y && info->takes & INPUT_TAKES_ABS) {
            c->size = sizeof(c->u.abs);
            c->u.abs.max = htole32(INPUT_ABS_MAX);
        }
        break;
    default:
        break;
    }
}

static MACHINE_CALL void config_read(Virtio *v)
{
    config_make((VirtioInput *)v);
}

static MACHINE_CALL void config_write(Virtio *v, uint32_t off, unsigned size)
{
    VirtioInput *s = (VirtioInput *)v;

    if (off < 2) {
        s->select = v->config[0];
        s->subsel = v->config[1];
    }
    config_make(s);
}

/* ---- life ---------------------------------------------------------------- */
static MACHINE_CALL void set_active(VirtioInput *s, bool on)
{
    s->n = 0;
    if (on == s->active) {
        return;
    }
    s->active = on;
    if (on) {
        input_activate(&s->input);
    } else {
        input_deactivate(&s->input);
    }
}

static MACHINE_CALL void status(Virtio *v, uint8_t old)
{
    set_active((VirtioInput *)v, v->status & VIRTIO_DRIVER_OK);
}

static MACHINE_CALL void quiesce(Virtio *v, bool forget)
{
    ((VirtioInput *)v)->n = 0;
}

static MACHINE_CALL bool input_realize(Device *dev, Error **errp)
{
    VirtioInput *s = (VirtioInput *)dev;

    virtio_init(&s->v, sizeof(struct virtio_input_config));
    virtq_add(&s->v, EVENTS_MAX, sizeof(VirtqElem), events_kicked);
    virtq_add(&s->v, 64, sizeof(VirtqElem), status_kicked);
    s->active = false;
    s->input = (InputHandler){
        .name = info_of(s)->name, .key = on_key, .btn = on_button,
        .rel = on_rel, .abs = on_abs, .sync = on_sync, .dev = s,
        .takes = info_of(s)->takes,
    };
    if (s->display) {                   /* one that is not there is not missed */
        Error *err = NULL;

        s->input.con = console_find(s->display, s->head, &err);
        error_free(err);
    }
    input_register(&s->input);
    return true;
}

static MACHINE_CALL void input_unrealize(Device *dev)
{
    VirtioInput *s = (VirtioInput *)dev;

    input_unregister(&s->input);
    virtio_fini(&s->v);
}

static MACHINE_CALL void input_reset(Device *dev, ResetKind kind)
{
    VirtioInput *s = (VirtioInput *)dev;

    set_active(s, false);
    s->select = s->subsel = s->leds = 0;
}

static bool input_loaded(void *opaque, int version, Error **errp)
{
    VirtioInput *s = opaque;

    machine_assert_locked();
    set_active(s, s->v.status & VIRTIO_DRIVER_OK);
    return true;
}

static const VmState input_state = {
    .name = "virtio-input", .version = 1, .oldest = 1,
    .after_load = input_loaded,
    .fields = (const VmField[]){
        VM_U8(VirtioInput, select), VM_U8(VirtioInput, subsel),
        VM_U8(VirtioInput, leds), VM_END
    },
};

#define INPUT_ROWS \
    PROP_STR("serial", VirtioInput, serial), \
    PROP_STR("display", VirtioInput, display, \
             .desc = "display device whose viewers it serves"), \
    PROP_U32("head", VirtioInput, head, 0, .desc = "which of its screens")

static const Prop keyboard_rows[] = { INPUT_ROWS, PROP_END };
static const Prop pointer_rows[] = {
    INPUT_ROWS,
    PROP_BOOL("wheel-axis", VirtioInput, wheel_axis, true,
              .desc = "the wheel is an axis, not two buttons"),
    PROP_END
};
static const Prop pci_rows[] = { VIRTIO_PCI_VECTORS(2), PROP_END };

#define INPUT_TYPE \
    { .id = VIRTIO_ID_INPUT, .config_read = config_read, \
      .config_write = config_write, .status = status, .quiesce = quiesce }
static const InputInfo keyboard = {
    .type = INPUT_TYPE, .product = 1, .version = 1,
    .name = "QEMU Virtio Keyboard", .takes = INPUT_TAKES_KEY,
};
static const InputInfo mouse = {
    .type = INPUT_TYPE, .product = 2, .version = 2,
    .name = "QEMU Virtio Mouse", .takes = INPUT_TAKES_BTN | INPUT_TAKES_REL,
};
static const InputInfo tablet = {
    .type = INPUT_TYPE, .product = 3, .version = 2,
    .name = "QEMU Virtio Tablet", .takes = INPUT_TAKES_BTN | INPUT_TAKES_ABS,
};

#define INPUT_LIFE \
    .size = sizeof(VirtioInput), .vmstate = &input_state, \
    .realize = input_realize, .unrealize = input_unrealize, \
    .reset = input_reset

VIRTIO_MODERN_DEVICE(virtio_keyboard, "virtio-keyboard", "input", pci_rows,
                     VIRTIO_ID_INPUT, 0x090000,
    .doc = "Gives the guest the keys that viewers press, instead of the PS/2 "
           "keyboard once the guest's driver runs.",
    .on_info = &keyboard.type, .props = keyboard_rows, INPUT_LIFE);
VIRTIO_MODERN_DEVICE(virtio_mouse, "virtio-mouse", "input", pci_rows,
                     VIRTIO_ID_INPUT, 0x090200,
    .doc = "Gives the guest the movements of viewers' pointers.",
    .on_info = &mouse.type, .props = pointer_rows, INPUT_LIFE);
VIRTIO_MODERN_DEVICE(virtio_tablet, "virtio-tablet", "input", pci_rows,
                     VIRTIO_ID_INPUT, 0x098000,
    .doc = "Gives the guest the places of viewers' pointers, so that both "
           "pointers are at one place.",
    .on_info = &tablet.type, .props = pointer_rows, INPUT_LIFE);
