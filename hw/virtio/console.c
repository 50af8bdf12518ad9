/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * console.c - console device with many ports (virtio 1.2, section 5.3): queues,
 * control messages, the bus of its ports.
 *
 * Thread class: the machine lock.
 *
 * Invariants
 * 1. ports[n] is the port with that number while it is plugged; n < max_ports.
 * 2. Queues 0 and 1 are port 0's, 2 and 3 the control queues, 2n + 2 and 2n + 3
 *    those of port n > 0.
 * 3. Control messages reach the guest in order; at most VSER_PENDING wait.
 */
#include <glib.h>
#include "hw/virtio/console.h"

VserPort *vser_port_of(VirtioSerial *s, uint32_t nr)
{
    return nr < s->max_ports ? s->ports[nr] : NULL;
}

static VserPort *port_of_queue(const Virtq *q)
{
    VirtioSerial *s = (VirtioSerial *)q->v;

    return vser_port_of(s, q->index < 2 ? 0 : q->index / 2 - 1);
}

/* ---- control ------------------------------------------------------------- */

/* One message into the guest's next buffer; false: it has offered none. */
static bool send_control(VirtioSerial *s, const VserControl *c)
{
    size_t len = strlen(c->name);
    VirtqElem *e = virtq_ready(s->control_in) ? virtq_pop(s->control_in)
                                              : NULL;
    size_t n;

    if (!e) {
        return false;
    }
    n = virtq_write(e, 0, &c->msg, sizeof(c->msg));
    if (len) {
        n += virtq_write(e, n, c->name, len + 1);
    }
    virtq_push(s->control_in, e, n);
    virtq_notify(s->control_in);
    return true;
}

static void tell(VirtioSerial *s, const VserControl *c)
{
    if (!vser_multiport(s) || !s->driver_ready) {
        return;
    }
    if (!s->npending && send_control(s, c)) {
        return;
    }
    if (s->npending == VSER_PENDING) {
        guest_fault("virtio-serial", "the driver takes no control messages");
        return;
    }
    s->pending[s->npending++] = *c;
}

void vser_tell(VirtioSerial *s, uint32_t nr, uint16_t event, uint16_t value)
{
    VserControl c = { .msg = { .id = htole32(nr), .event = htole16(event),
                               .value = htole16(value) } };

    tell(s, &c);
}

void vser_tell_name(VserPort *p)
{
    VserControl c = { .msg = { .id = htole32(p->nr),
                               .event = htole16(VIRTIO_CONSOLE_PORT_NAME),
                               .value = htole16(1) } };

    if (p->name && *p->name) {
        g_strlcpy(c.name, p->name, sizeof(c.name));
        tell(p->s, &c);
    }
}

static void control_in_kicked(Virtq *q)
{
    VirtioSerial *s = (VirtioSerial *)q->v;
    uint32_t n = 0;

    while (n < s->npending && send_control(s, &s->pending[n])) {
        n++;
    }
    s->npending -= n;
    memmove(s->pending, s->pending + n, s->npending * sizeof(s->pending[0]));
}

static void driver_ready(VirtioSerial *s, bool ok) MACHINE_CALL;
static void driver_ready(VirtioSerial *s, bool ok)
{
    if (!ok) {
        guest_fault("virtio-serial", "the driver could not set itself up");
        return;
    }
    s->driver_ready = true;
    for (uint32_t i = 0; i < s->max_ports; i++) {
        if (s->ports[i]) {
            vser_tell(s, i, VIRTIO_CONSOLE_PORT_ADD, 1);
        }
    }
}

static void port_ready(VserPort *p) MACHINE_CALL;
static void port_ready(VserPort *p)
{
    if (p->console) {
        vser_tell(p->s, p->nr, VIRTIO_CONSOLE_CONSOLE_PORT, 1);
    }
    vser_tell_name(p);
    if (p->host_open) {
        vser_tell(p->s, p->nr, VIRTIO_CONSOLE_PORT_OPEN, 1);
    }
}

static void message(VirtioSerial *s, const struct virtio_console_control *m)
    MACHINE_CALL;
static void message(VirtioSerial *s, const struct virtio_console_control *m)
{
    uint16_t event = le16toh(m->event), value = le16toh(m->value);
    VserPort *p;

    if (event == VIRTIO_CONSOLE_DEVICE_READY) {
        driver_ready(s, value);
        return;
    }
    p = vser_port_of(s, le32toh(m->id));
    if (!p) {
        guest_fault("virtio-serial", "message %u for port %u, which is none",
                    event, le32toh(m->id));
        return;
    }
    if (event == VIRTIO_CONSOLE_PORT_READY) {
        if (value) {
            port_ready(p);
        } else {
            guest_fault("virtio-serial", "port %u: the driver failed", p->nr);
        }
    } else if (event == VIRTIO_CONSOLE_PORT_OPEN) {
        vser_port_set_guest(p, value != 0);
    }
}

static void control_out_kicked(Virtq *q)
{
    VirtioSerial *s = (VirtioSerial *)q->v;
    struct virtio_console_control m;
    VirtqElem *e;

    machine_assert_locked();
    while ((e = virtq_pop(q))) {
        if (virtq_read(e, 0, &m, sizeof(m)) == sizeof(m)) {
            message(s, &m);
        }
        virtq_push(q, e, 0);
    }
    virtq_notify(q);
}

/* ---- data queues --------------------------------------------------------- */

static void in_kicked(Virtq *q)
{
    if (port_of_queue(q)) {
        vser_port_kicked_in(q);
    }
}

/* Output of a port that is not there goes nowhere. */
static void out_kicked(Virtq *q)
{
    VirtqElem *e;

    if (port_of_queue(q)) {
        vser_port_kicked_out(q);
        return;
    }
    while ((e = virtq_pop(q))) {
        virtq_push(q, e, 0);
    }
    virtq_notify(q);
}

static void add_queues(VirtioSerial *s) MACHINE_CALL;
static void add_queues(VirtioSerial *s)
{
    for (uint32_t i = 0; i < s->max_ports; i++) {
        virtq_add(&s->v, 128, sizeof(VirtqElem), in_kicked);
        virtq_add(&s->v, 128, sizeof(VirtqElem), out_kicked);
        if (i == 0) {
            s->control_in = virtq_add(&s->v, 32, sizeof(VirtqElem),
                                      control_in_kicked);
            s->control_out = virtq_add(&s->v, 32, sizeof(VirtqElem),
                                       control_out_kicked);
        }
    }
}

/* ---- the bus ------------------------------------------------------------- */

static bool name_is_free(const VirtioSerial *s, const VserPort *p)
{
    for (uint32_t i = 0; i < s->max_ports; i++) {
        if (s->ports[i] && s->ports[i]->name &&
            strcmp(s->ports[i]->name, p->name) == 0) {
            return false;
        }
    }
    return true;
}

static uint32_t free_number(const VirtioSerial *s, bool console)
{
    uint32_t i = console ? 0 : 1;

    while (i < s->max_ports && s->ports[i]) {
        i++;
    }
    return i;
}

static MACHINE_CALL bool vser_plug(Bus *bus, Device *dev, Error **errp)
{
    VirtioSerial *s = ((VserBus *)bus)->s;
    VserPort *p = (VserPort *)dev;

    p->console = strcmp(dev->type->name, "virtconsole") == 0;
    if (p->nr == 0 && !p->console) {
        return error_set(errp, "Port number 0 on virtio-serial devices "
                         "reserved for virtconsole devices for backward "
                         "compatibility.");
    }
    if (p->nr < s->max_ports && s->ports[p->nr]) {
        return error_set(errp, "virtio-serial-bus: A port already exists at "
                         "id %u", p->nr);
    }
    if (p->name && !name_is_free(s, p)) {
        return error_set(errp, "virtio-serial-bus: A port already exists by "
                         "name %s", p->name);
    }
    if (p->nr == NO_PORT) {
        p->nr = free_number(s, p->console);
    }
    if (p->nr >= s->max_ports) {
        return error_set(errp, "virtio-serial-bus: Out-of-range port id "
                         "specified, max. allowed: %u", s->max_ports - 1);
    }
    p->s = s;
    p->in = s->v.queues[p->nr ? 2 * p->nr + 2 : 0];
    p->out = s->v.queues[p->nr ? 2 * p->nr + 3 : 1];
    s->ports[p->nr] = p;
    return true;
}

static MACHINE_CALL void vser_unplug(Bus *bus, Device *dev)
{
    VirtioSerial *s = ((VserBus *)bus)->s;
    VserPort *p = (VserPort *)dev;

    if (p->s) {
        s->ports[p->nr] = NULL;
        p->s = NULL;
        vser_tell(s, p->nr, VIRTIO_CONSOLE_PORT_REMOVE, 1);
    }
}

static MACHINE_CALL bool vser_plugged(Bus *bus, Device *dev, Error **errp)
{
    VserPort *p = (VserPort *)dev;

    vser_tell(p->s, p->nr, VIRTIO_CONSOLE_PORT_ADD, 1);
    return true;
}

static void vser_print(const Device *dev,
                       void (*out)(void *arg, const char *line), void *arg)
{
    const VserPort *p = (const VserPort *)dev;
    char *s = g_strdup_printf("port %u, guest %s, host %s, throttle %s", p->nr,
                              p->guest_open ? "on" : "off",
                              p->host_open ? "on" : "off",
                              p->held ? "on" : "off");

    out(arg, s);
    g_free(s);
}

static const Prop port_rows[] = {
    PROP_U32("nr", VserPort, nr, NO_PORT),
    PROP_STR("name", VserPort, name),
    PROP_END
};

TYPE_NAME(type_vser_port, { "virtio-serial-port", "device", true });

BUS_TYPE(bus_virtio_serial, {
    .name = "virtio-serial-bus", .size = sizeof(VserBus),
    .device_base = "virtio-serial-port", .props = port_rows,
    .plug = vser_plug, .unplug = vser_unplug, .plugged = vser_plugged,
    .print = vser_print,
});

/* ---- the device ---------------------------------------------------------- */

static MACHINE_CALL uint64_t features(Virtio *v, uint64_t want)
{
    const VirtioSerial *s = (VirtioSerial *)v;

    return want | (s->max_ports > 1 ? 1ull << VIRTIO_CONSOLE_F_MULTIPORT : 0);
}

static MACHINE_CALL void config_read(Virtio *v)
{
    struct virtio_console_config c = {
        .max_nr_ports = htole32(((VirtioSerial *)v)->max_ports),
    };

    memcpy(v->config, &c, MIN2(v->config_len, sizeof(c)));
}

/* A character for the console before any queue works. */
static MACHINE_CALL void config_write(Virtio *v, uint32_t off, unsigned size)
{
    VirtioSerial *s = (VirtioSerial *)v;
    uint32_t at = offsetof(struct virtio_console_config, emerg_wr);

    if (v->config_len <= at || off > at || at >= off + size) {
        return;
    }
    for (uint32_t i = 0; i < s->max_ports; i++) {
        if (s->ports[i] && s->ports[i]->console) {
            chr_write_all(&s->ports[i]->chr, v->config + at, 1);
            break;
        }
    }
}

static MACHINE_CALL void status(Virtio *v, uint8_t old)
{
    VirtioSerial *s = (VirtioSerial *)v;
    bool ready = v->status & VIRTIO_DRIVER_OK;

    /* Without control messages port 0 is open while there is a driver. */
    if (s->ports[0] && ready && !vser_multiport(s)) {
        vser_port_set_guest(s->ports[0], true);
    }
    for (uint32_t i = 0; i < s->max_ports && !ready; i++) {
        if (s->ports[i]) {
            vser_port_set_guest(s->ports[i], false);
        }
    }
}

static MACHINE_CALL void quiesce(Virtio *v, bool forget)
{
    VirtioSerial *s = (VirtioSerial *)v;

    for (uint32_t i = 0; forget && i < s->max_ports; i++) {
        if (s->ports[i]) {
            vser_port_forget(s->ports[i]);
        }
    }
}

static MACHINE_CALL void resume(Virtio *v)
{
    VirtioSerial *s = (VirtioSerial *)v;

    for (uint32_t i = 0; i < s->max_ports; i++) {
        if (s->ports[i]) {
            vser_port_resume(s->ports[i]);
        }
    }
}

static MACHINE_CALL bool serial_realize(Device *dev, Error **errp)
{
    VirtioSerial *s = (VirtioSerial *)dev;
    bool emergency = s->v.host_features >> VIRTIO_CONSOLE_F_EMERG_WRITE & 1;
    char *name;

    if (!s->max_ports) {
        return error_set(errp, "Maximum number of serial ports not specified");
    }
    if (s->max_ports > VIRTIO_QUEUES_MAX / 2 - 1) {
        return error_set(errp, "maximum ports supported: %d",
                         VIRTIO_QUEUES_MAX / 2 - 1);
    }
    virtio_init(&s->v, emergency
                ? sizeof(struct virtio_console_config)
                : offsetof(struct virtio_console_config, emerg_wr));
    add_queues(s);
    name = virtio_bus_name(&s->v);
    bus_init(&s->bus.bus, &bus_virtio_serial, dev, name);
    g_free(name);
    s->bus.s = s;
    s->bus.bus.hotpluggable = true;
    return true;
}

static MACHINE_CALL void serial_unrealize(Device *dev)
{
    VirtioSerial *s = (VirtioSerial *)dev;

    bus_fini(&s->bus.bus);
    virtio_fini(&s->v);
}

static MACHINE_CALL void serial_reset(Device *dev, ResetKind kind)
{
    VirtioSerial *s = (VirtioSerial *)dev;

    s->driver_ready = false;
    s->npending = 0;
}

static const VmState pending_state = {
    .name = "virtio-serial-message", .version = 1, .oldest = 1,
    .fields = (const VmField[]){
        VM_BYTES(VserControl, msg), VM_BYTES(VserControl, name),
        VM_END
    },
};

static bool serial_loaded(void *opaque, int version, Error **errp)
{
    VirtioSerial *s = opaque;

    if (s->npending > VSER_PENDING) {
        s->npending = 0;
        return error_set(errp, "virtio-serial: more messages than there is "
                         "room for");
    }
    for (uint32_t i = 0; i < s->npending; i++) {
        s->pending[i].name[sizeof(s->pending[i].name) - 1] = 0;
    }
    return true;
}

static const VmState serial_state = {
    .name = "virtio-serial", .version = 1, .oldest = 1,
    .after_load = serial_loaded,
    .fields = (const VmField[]){
        VM_BOOL(VirtioSerial, driver_ready), VM_U32(VirtioSerial, npending),
        VM_STRUCTS(VirtioSerial, pending, &pending_state),
        VM_END
    },
};

static const Prop serial_rows[] = {
    PROP_U32("max_ports", VirtioSerial, max_ports, 31),
    PROP_BIT64("emergency-write", VirtioSerial, v.host_features,
               VIRTIO_CONSOLE_F_EMERG_WRITE, true, .desc = "on/off",
               .compat = (const PropCompat[]){ { 207, "off" }, { 0 } }),
    PROP_END
};

static const Prop serial_pci_rows[] = {
    VIRTIO_PCI_IOEVENTFD(true), VIRTIO_PCI_VECTORS(2), VIRTIO_PCI_CLASS,
    PROP_END
};

static const VirtioType serial_type = {
    .id = VIRTIO_ID_CONSOLE, .features = features, .config_read = config_read,
    .config_write = config_write, .status = status, .quiesce = quiesce,
    .resume = resume,
};

VIRTIO_DEVICE(virtio_serial, "virtio-serial", "input", serial_pci_rows,
              VIRTIO_ID_CONSOLE, 0x1003, 0x078000,
    .doc = "A bus of ports between host and guest: virtserialport, which the "
           "guest finds by its name, and virtconsole, which it can log in on.",
    .on_info = &serial_type, .size = sizeof(VirtioSerial),
    .props = serial_rows, .vmstate = &serial_state,
    .realize = serial_realize, .unrealize = serial_unrealize,
    .reset = serial_reset);
