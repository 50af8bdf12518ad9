/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * console-port.c - virtserialport and virtconsole: data between a character
 * device and the queues of a virtio-serial port (virtio 1.2, section 5.3.6).
 *
 * Thread class: the machine lock.
 *
 * Invariants
 * 1. held is the one chain whose output the backend has not taken wholly; while
 *    it is there no other is popped from `out`.
 * 2. Input is taken from the backend only as far as the guest has offered
 *    buffers, and only while it has the port open.
 */
#include <glib.h>
#include "hw/virtio/console.h"
#include "monitor.h"
#include "schema/schema.h"

#define CHUNK 4096

static bool linked(const VserPort *p)
{
    return p->s && p->chr.port;
}

/* ---- guest to host ------------------------------------------------------- */

static void drain(VserPort *p);

static void writable(void *arg)
{
    VserPort *p = arg;

    if (p->s && p->held) {
        drain(p);
    }
}

/* As much of the chain as the backend takes; true: all of it. */
static bool put(VserPort *p)
{
    uint8_t buf[CHUNK];
    size_t n;

    while ((n = virtq_read(p->held, p->held_off, buf, sizeof(buf)))) {
        ssize_t put = chr_write(&p->chr, buf, n);

        if (put < 0 && put != -EAGAIN) {
            return true;               /* it is gone, and so is this          */
        }
        p->held_off += MAX2(put, 0);
        if (put < (ssize_t)n) {
            chr_on_writable(&p->chr, writable, p);
            return false;
        }
    }
    return true;
}

static void drain(VserPort *p)
{
    bool any = false;

    if (!virtq_ready(p->out)) {
        return;
    }
    for (;;) {
        if (!p->held) {
            p->held = virtq_pop(p->out);
            p->held_off = 0;
        }
        if (!p->held) {
            break;
        }
        /* Nobody there: the guest need not wait for ever. */
        if (linked(p) && (p->host_open || p->console) && !put(p)) {
            break;
        }
        virtq_push(p->out, p->held, 0);
        p->held = NULL;
        any = true;
    }
    if (any) {
        virtq_notify(p->out);
    }
}

static VserPort *port_of_queue(const Virtq *q)
{
    return vser_port_of((VirtioSerial *)q->v,
                        q->index < 2 ? 0 : q->index / 2 - 1);
}

void vser_port_kicked_out(Virtq *q)
{
    VserPort *p = port_of_queue(q);

    if (!p->held) {
        drain(p);
    }
}

/* ---- host to guest ------------------------------------------------------- */

static int can_receive(void *arg)
{
    VserPort *p = arg;

    if (!p->s || !virtq_ready(p->in) ||
        (vser_multiport(p->s) && !p->guest_open)) {
        return 0;
    }
    return MIN2(virtq_in_bytes(p->in, CHUNK), CHUNK);
}

static void receive(void *arg, const uint8_t *buf, int n)
{
    VserPort *p = arg;
    VirtqElem *e;

    while (n > 0 && p->s && virtq_ready(p->in) && (e = virtq_pop(p->in))) {
        size_t put = virtq_write(e, 0, buf, n);

        virtq_push(p->in, e, put);
        buf += put;
        n -= put;
    }
    if (p->s) {
        virtq_notify(p->in);
    }
}

void vser_port_kicked_in(Virtq *q)
{
    VserPort *p = port_of_queue(q);

    if (p->chr.port) {
        chr_accept_input(&p->chr);
    }
}

/* ---- open and closed ----------------------------------------------------- */

void vser_port_set_guest(VserPort *p, bool open)
{
    if (p->guest_open == open) {
        return;
    }
    p->guest_open = open;
    if (p->chr.port && !p->console) {
        chr_set_open(&p->chr, open);
    }
    if (p->dev.id) {
        VserportChangeEvent e = { .id = p->dev.id, .open = open };

        monitor_event(&event_VSERPORT_CHANGE, &e);
    }
    if (open && p->chr.port) {
        chr_accept_input(&p->chr);
    }
}

static MACHINE_CALL void set_host(VserPort *p, bool open)
{
    if (p->host_open == open) {
        return;
    }
    p->host_open = open;
    if (p->s) {
        vser_tell(p->s, p->nr, VIRTIO_CONSOLE_PORT_OPEN, open);
        /* What waited for a reader that has left is dropped. */
        if (!open && p->held) {
            drain(p);
        }
    }
}

static void chr_event_in(void *arg, ChrEvent e)
{
    machine_assert_locked();
    if (e == CHR_OPENED || e == CHR_CLOSED) {
        set_host(arg, e == CHR_OPENED);
    }
}

void vser_port_forget(VserPort *p)
{
    p->held = NULL;                    /* its queue forgets it                */
}

void vser_port_resume(VserPort *p)
{
    if (p->held) {
        drain(p);
    }
}

/* ---- life ---------------------------------------------------------------- */

static MACHINE_CALL bool port_realize(Device *dev, Error **errp)
{
    VserPort *p = (VserPort *)dev;

    p->chr.can_receive = can_receive;
    p->chr.receive = receive;
    p->chr.event = chr_event_in;
    p->chr.arg = p;
    p->chr.manual_open = !p->console;
    if (p->chr.port) {
        chr_listen(&p->chr, loop_main);
    }
    return true;
}

static MACHINE_CALL void port_unrealize(Device *dev)
{
    VserPort *p = (VserPort *)dev;

    if (p->chr.port) {
        chr_detach(&p->chr);
    }
    if (p->held) {
        if (virtq_ready(p->out)) {
            virtq_push(p->out, p->held, 0);
            virtq_notify(p->out);
        }
        p->held = NULL;
    }
    virtq_saved_free(p->saved, p->nsaved);
    p->saved = NULL;
    p->nsaved = 0;
}

/* Its device's reset does what there is to do. */
static MACHINE_CALL void port_reset(Device *dev, ResetKind kind)
{
}

static void before_save(void *opaque)
{
    VserPort *p = opaque;

    machine_assert_locked();
    virtq_saved_free(p->saved, p->nsaved);
    p->nsaved = p->held != NULL;
    p->saved = g_new0(VirtqSaved, 1);
    if (p->held) {
        virtq_save(p->held, p->saved);
    }
}

static bool before_load(void *opaque, Error **errp)
{
    VserPort *p = opaque;

    virtq_saved_free(p->saved, p->nsaved);
    p->saved = NULL;
    p->nsaved = 0;
    return true;
}

static bool after_load(void *opaque, int version, Error **errp)
{
    VserPort *p = opaque;

    machine_assert_locked();
    p->held = NULL;
    if (p->nsaved) {
        p->held = virtq_restore(&p->s->v, p->saved, errp);
        if (!p->held || p->held->q != p->out) {
            return p->held && error_set(errp, "virtio-serial: port %u: output "
                                        "of another port", p->nr);
        }
    }
    if (p->chr.port && !p->console) {
        chr_set_open(&p->chr, p->guest_open);
    }
    return true;
}

static const VmState port_state = {
    .name = "virtio-serial-port", .version = 1, .oldest = 1,
    .before_save = before_save, .before_load = before_load,
    .after_load = after_load,
    .fields = (const VmField[]){
        VM_BOOL(VserPort, guest_open), VM_U64(VserPort, held_off),
        VM_VSTRUCT(VserPort, saved, nsaved, 1, &virtq_saved_vmstate),
        VM_END
    },
};

static const Prop port_chr_rows[] = {
    PROP_CHR("chardev", VserPort, chr,
             .desc = "ID of a chardev to use as a backend"),
    PROP_END
};

#define PORT(sym, nm, base, doc_) \
    DEVICE(sym, { \
        .name = nm, .category = "input", .doc = doc_, .parent = base, \
        .on = &bus_virtio_serial, .size = sizeof(VserPort), \
        .props = port_chr_rows, .vmstate = &port_state, \
        .realize = port_realize, .unrealize = port_unrealize, \
        .reset = port_reset, \
    })

PORT(virtserialport, "virtserialport", "virtio-serial-port",
     "A port that programs of the guest open by its name, "
     "/dev/virtio-ports/NAME: org.qemu.guest_agent.0 for the guest agent. The "
     "event VSERPORT_CHANGE tells when they do.");
PORT(virtconsole, "virtconsole", "virtserialport",
     "A terminal of the guest: /dev/hvc0 and so on.");
