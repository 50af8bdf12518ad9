/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * isa.h - the ISA bus: port space, interrupt lines, DMA channels. MACHINE_CALL.
 */
#ifndef TERN_ISA_H
#define TERN_ISA_H

#include "device.h"

typedef struct IsaDma IsaDma;
typedef struct IsaBus {
    Bus bus;
    MemRegion *mem, *io;               /* spaces it decodes                   */
    IrqLine irq[16];
    IsaDma *dma[2];
} IsaBus;
typedef struct IsaDevice {
    Device dev;
    uint16_t port;                     /* first mapped, for firmware paths    */
} IsaDevice;
extern const BusType bus_isa;

IsaBus *isa_bus_new(Device *owner, MemRegion *mem, MemRegion *io) MACHINE_CALL;
static inline IsaBus *isa_bus(IsaDevice *d)
{
    return (IsaBus *)d->dev.bus;
}
/* Maps a register block at a port (freed with the device by isa_unmap). */
void isa_map(IsaDevice *d, MemRegion *mr, uint16_t port) MACHINE_CALL;
void isa_unmap(IsaDevice *d, MemRegion *mr) MACHINE_CALL;
/* The line for ISA interrupt n (0..15); errors name the device. */
bool isa_irq(IsaDevice *d, unsigned n, IrqLine *out, Error **errp) MACHINE_CALL;

/* 8237 channels, for floppy, sound, parallel. The handler moves up to `len`
 * bytes from `pos` with isa_dma_read/_write and returns the new position. */
typedef int IsaDmaFn(void *dev, int channel, int pos, int len);
struct IsaDma {
    void *chip;
    bool (*hold)(void *chip, int channel, bool on);
    int (*xfer)(void *chip, int channel, void *buf, int pos, int len,
                bool to_memory);
    void (*attach)(void *chip, int channel, IsaDmaFn *fn, void *dev);
};
/* channel 0..7 -> controller; NULL: none there. */
IsaDma *isa_dma(IsaBus *bus, int channel);

#endif
