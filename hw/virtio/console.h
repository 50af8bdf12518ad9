/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * console.h - what the files of virtio-serial share with each other alone.
 */
#ifndef HW_VIRTIO_CONSOLE_H
#define HW_VIRTIO_CONSOLE_H

#include <endian.h>
#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>
#include "chr.h"
#include "virtio-pci.h"

#define NO_PORT UINT32_MAX

typedef struct VirtioSerial VirtioSerial;
typedef struct VserBus {
    Bus bus;
    VirtioSerial *s;
} VserBus;

typedef struct VserPort {
    Device dev;
    uint32_t nr;                       /* properties                          */
    char *name;
    CharFront chr;
    bool console;
    VirtioSerial *s;
    Virtq *in, *out;
    bool guest_open, host_open;        /* the guest sees both                 */
    VirtqElem *held;                   /* output that the backend did not take
                                          yet; NULL: none                     */
    uint64_t held_off;                 /* bytes of it that it took            */
    VirtqSaved *saved;                 /* during a save or load only          */
    uint32_t nsaved;
} VserPort;

typedef struct VserControl {           /* a message that waits for a buffer   */
    struct virtio_console_control msg;
    char name[64];                     /* PORT_NAME; else empty               */
} VserControl;
#define VSER_PENDING 256

struct VirtioSerial {
    Virtio v;
    VserBus bus;
    uint32_t max_ports;                /* properties                          */
    Virtq *control_in, *control_out;
    VserPort *ports[VIRTIO_QUEUES_MAX / 2];
    VserControl pending[VSER_PENDING];
    uint32_t npending;
    bool driver_ready;                 /* it speaks of ports                  */
};

extern const BusType bus_virtio_serial;
VserPort *vser_port_of(VirtioSerial *s, uint32_t nr);
void vser_tell(VirtioSerial *s, uint32_t nr, uint16_t event, uint16_t value)
    MACHINE_CALL;
void vser_tell_name(VserPort *p) MACHINE_CALL;
static inline bool vser_multiport(const VirtioSerial *s)
{
    return virtio_has(&s->v, VIRTIO_CONSOLE_F_MULTIPORT);
}

/* console-port.c */
void vser_port_kicked_in(Virtq *q);
void vser_port_kicked_out(Virtq *q);
void vser_port_set_guest(VserPort *p, bool open) MACHINE_CALL;
/* The device was reset: what the port holds is gone. */
void vser_port_forget(VserPort *p) MACHINE_CALL;
void vser_port_resume(VserPort *p) MACHINE_CALL;

#endif
