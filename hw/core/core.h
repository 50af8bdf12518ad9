/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * core.h - what the files of hw/core share with each other alone.
 */
#ifndef HW_CORE_CORE_H
#define HW_CORE_CORE_H

#include "device.h"

extern const ObjKind obj_device, obj_bus;

const BusType *bus_type_find(const char *name);
/* May a device of a type that wants `want` sit on this bus? */
bool bus_is(const Bus *bus, const BusType *want);
/* Puts dev last on the bus's list, or takes it off. */
void bus_attach(Bus *bus, Device *dev) MACHINE_CALL;
void bus_detach(Device *dev) MACHINE_CALL;
/* Devices of the bus, the newest first, as the peer lists them. Caller g_frees;
 * NULL-terminated. */
Device **bus_newest_first(const Bus *bus);
const char *device_type_parent(const DeviceType *t);

void gpio_free_all(Device *dev) MACHINE_CALL;
/* Calls fn for each set, the newest first. */
void gpio_each(const Device *dev,
               void (*fn)(const char *name, bool out, unsigned n, void *arg),
               void *arg);
void globals_free(void) MACHINE_CALL;
/* Event DEVICE_DELETED. */
void device_deleted(const Device *dev) MACHINE_CALL;
/* Does the machine's command line phase lie behind us? */
bool device_hotplug_phase(void) MACHINE_CALL;

#endif
