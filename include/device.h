/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * device.h - devices and buses.
 *
 * Life cycle: device_new (defaults, then the machine version's compat values,
 * then -global, then the user's) -> device_realize (may fail, then has undone
 * everything) -> reset -> live -> device_request_unplug -> device_unplug ->
 * unrealize -> freed. MACHINE_CALL throughout.
 */
#ifndef TERN_DEVICE_H
#define TERN_DEVICE_H

#include "irq.h"
#include "loop.h"
#include "mem.h"
#include "obj.h"
#include "trace.h"
#include "vmstate.h"

typedef struct Device Device;
typedef struct Bus Bus;
typedef enum ResetKind {
    RESET_COLD,                        /* power on, system_reset              */
    RESET_WAKE,                        /* S3 wake-up: RAM and RTC survive     */
    RESET_BUS,                         /* the bus above was reset             */
} ResetKind;

typedef struct BusType {
    const char *name;                  /* QOM type: "PCI", "ISA", "IDE"       */
    const char *parent;                /* "bus" when NULL                     */
    size_t size;                       /* of the struct; Bus first            */
    const char *device_base;           /* QOM abstract type of its devices:
                                          "pci-device"                        */
    const Prop *props;                 /* each device on the bus has these    */
    const VmState *vmstate;            /* and this state, before its own      */
    unsigned max_devices;              /* 0: no limit                         */
    /* Before the device's realize: take an address. After unrealize: release. */
    bool (*plug)(Bus *bus, Device *dev, Error **errp) MACHINE_PTR;
    void (*unplug)(Bus *bus, Device *dev) MACHINE_PTR;
    /* After realize (hot-plug notification, BAR mapping); may be NULL. */
    bool (*plugged)(Bus *bus, Device *dev, Error **errp) MACHINE_PTR;
    /* Guest-cooperative removal; NULL: immediate. */
    bool (*request_unplug)(Bus *bus, Device *dev, Error **errp) MACHINE_PTR;
    void (*reset)(Bus *bus) MACHINE_PTR;           /* before its devices      */
    /* The bus's share of a device's reset, before the type's own. */
    void (*reset_device)(Device *dev, ResetKind kind) MACHINE_PTR;
    /* Firmware path segment ("ide@1,1"), `info qtree` address. */
    char *(*fw_path)(const Device *dev);
    char *(*dev_path)(const Device *dev);          /* migration: "0000:00:03.0" */
    void (*print)(const Device *dev, void (*out)(void *arg, const char *line),
                  void *arg);          /* extra lines of info qtree           */
} BusType;

typedef enum DeviceFlags {
    DT_INTERNAL   = 1 << 0,            /* not for -device (user_creatable)    */
    DT_NO_HOTPLUG = 1 << 1,
    DT_ABSTRACT   = 1 << 2,
} DeviceFlags;

typedef struct DeviceType DeviceType;
struct DeviceType {
    const char *name, *alias;
    const char *desc;                  /* one line: -device help              */
    const char *doc;                   /* paragraph for the manual            */
    const char *category;              /* bridge usb storage network input
                                          display sound misc cpu watchdog     */
    const char *parent;                /* QOM parent; NULL: by bus            */
    const BusType *on;                 /* NULL: no bus (sysbus chips: bus_system) */
    const void *on_info;               /* const PciInfo *, IsaInfo * …        */
    size_t size;                       /* of the struct; Device first         */
    const Prop *props, *base_props;    /* base: rows shared with sisters      */
    const VmState *vmstate;            /* &vm_none when stateless             */
    uint32_t flags;
    bool (*realize)(Device *dev, Error **errp) MACHINE_PTR;
    void (*unrealize)(Device *dev) MACHINE_PTR;
    void (*reset)(Device *dev, ResetKind kind) MACHINE_PTR;
    bool (*request_unplug)(Device *dev, Error **errp) MACHINE_PTR;
                                       /* asks the guest; NULL: as its bus does */
    void (*init)(Device *dev) MACHINE_PTR;         /* before properties: child
                                          buses that must be nameable; optional */
    char *(*fw_name)(const Device *dev);           /* "disk", "ethernet"; optional */
    const char *fw_below;              /* what boots: "ethernet-phy@0"; optional */
    /* A device of this type comes with one of that type as its child inner_name,
     * whose properties it takes as its own. It realizes and unrealizes it. */
    const DeviceType *inner;
    const char *inner_name;
};

struct Device {
    Obj obj;
    const DeviceType *type;
    char *id;                          /* the user's; NULL: none              */
    Bus *bus;
    Device *next;                      /* on its bus, order of plugging       */
    Bus *children;                     /* buses it provides                   */
    Json *given;                       /* what the user set, for qtree, dump  */
    int32_t bootindex;                 /* -1; PROP_BOOTINDEX                  */
    bool realized, live, hotplugged, pending_unplug, entered;
    int64_t asked_ns;                  /* pending_unplug: CLOCK_VM            */
    Device *inner;                     /* NULL: its type has none             */
    struct Gpio *gpio;                 /* private: named line sets            */
};
struct Bus {
    Obj obj;
    const BusType *type;
    char *name;                        /* "pci.0"                             */
    Device *owner;                     /* NULL: the machine                   */
    Device *first;
    Bus *next;                         /* of the same owner                   */
    bool hotpluggable, full;
    bool allocated;                    /* bus_fini g_frees it                 */
    void *hotplug_arg;
};

#define DEVICE(sym, ...) SET_MEMBER(device_types, DeviceType, sym, __VA_ARGS__)
#define BUS_TYPE(sym, ...) \
    extern const BusType sym; \
    const BusType sym = __VA_ARGS__; \
    IN_SET(bus_types) static const BusType *const sym##_in_set = &sym

extern const BusType bus_system;       /* chips on the board; "System"        */
extern Bus *bus_main;                  /* "main-system-bus"                   */

/* ---- life cycle ---------------------------------------------------------- */
const DeviceType *device_type_find(const char *name_or_alias);
Device *device_new(const char *type, Error **errp) MACHINE_CALL;
/* For the machine's own parts, whose type is linked in: never NULL. */
Device *device_make(const char *type) MACHINE_CALL;
bool device_set(Device *dev, const char *prop, const char *text, Error **errp)
    MACHINE_CALL;
void device_set_int(Device *dev, const char *prop, int64_t v) MACHINE_CALL;
void device_set_ref(Device *dev, const char *prop, void *target) MACHINE_CALL;
/* bus NULL: bus_main. On failure the device is gone from the bus, but alive:
 * device_free it. */
bool device_realize(Device *dev, Bus *bus, Error **errp) MACHINE_CALL;
void device_unrealize(Device *dev) MACHINE_CALL;
void device_free(Device *dev) MACHINE_CALL;        /* unrealized only         */
bool device_request_unplug(Device *dev, Error **errp) MACHINE_CALL;
/* Final step of removal: event DEVICE_DELETED, unrealize, free. */
void device_unplug(Device *dev) MACHINE_CALL;
void device_reset(Device *dev, ResetKind kind) MACHINE_CALL;  /* and below     */
void bus_reset(Bus *bus, ResetKind kind) MACHINE_CALL;
/* -device / device_add: parsed members (driver, id, bus, properties). */
Device *device_add(const Json *opts, bool text, Error **errp) MACHINE_CALL;
Device *device_find(const char *id_or_path) MACHINE_CALL;   /* NULL: none      */
/* For a PropRef whose target is a device of that type or below it. */
void *device_claim(const char *id, const char *type, Error **errp) MACHINE_CALL;
const char *device_claimed_id(const void *device);
/* Realized devices in order of realize; fn returns false to stop. */
void device_each(bool (*fn)(Device *dev, void *arg), void *arg) MACHINE_CALL;
/* The device behind a tree node; NULL: it is something else. */
Device *device_of(const Obj *o);
/* A register block of the device: named "name[n]" below it, shares its re-entry
 * guard. mem_fini takes it out of the tree. */
void device_region(Device *dev, MemRegion *mr) MACHINE_CALL;
/* Sets /machine/unattached/sysbus up; by machine creation. */
void bus_main_init(void) MACHINE_CALL;
/* Frees all devices, newest first, bus_main and what -global said; at exit and
 * between tests. */
void device_exit(void) MACHINE_CALL;

/* ---- -global ------------------------------------------------------------- */
/* driver may be a type or a parent of types. Kept in order of mention. */
void device_global_add(const char *driver, const char *prop, const char *value)
    MACHINE_CALL;
/* Applies those that fit any object of QOM type `type`; false: a value was
 * refused. */
bool device_globals_apply(Obj *o, const char *type, Error **errp) MACHINE_CALL;
/* Warns about those that nothing used; after the machine is complete. */
void device_globals_check(void) MACHINE_CALL;

/* ---- for people and clients ---------------------------------------------- */
/* `-device help`, `-device X,help`: true when help was asked for and given (or
 * *errp says why not). */
bool device_help(const Json *opts, void (*out)(void *arg, const char *line),
                 void *arg, Error **errp) MACHINE_CALL;
/* Reply of device-list-properties: a list of objects; NULL with *errp. */
Json *device_list_properties(const char *type, Error **errp) MACHINE_CALL;
/* `info qtree`, a line at a time, without newline. */
void device_print_tree(void (*out)(void *arg, const char *line), void *arg)
    MACHINE_CALL;

/* Buses. name NULL: "<type in lower case>.<n>", or "<id>.<n>" of its owner. */
void bus_init(Bus *bus, const BusType *type, Device *owner, const char *name)
    MACHINE_CALL;
void bus_fini(Bus *bus) MACHINE_CALL;
Bus *bus_find(const char *name_or_path, Error **errp) MACHINE_CALL;
/* First bus of that type with room; NULL: none. */
Bus *bus_find_type(const BusType *type) MACHINE_CALL;

/* Property tables of a device type in the order shown: its own, base_props, its
 * bus's, the ones all devices have. */
const Prop *device_type_props(const DeviceType *t, unsigned i);
/* The same, then those of its inner device (which are rows of that one's struct)
 * but for the ones all devices have. */
const Prop *device_type_options(const DeviceType *t, unsigned i);
/* For messages: id, or QOM path. */
char *device_path(const Device *dev) MACHINE_CALL;
char *device_fw_path(const Device *dev);           /* caller g_frees          */
char *device_boot_path(const Device *dev);         /* with fw_below: bootorder */

/* Board reset order: devices of bus_main in order of realize, then these. */
void reset_register(void (*fn)(void *arg, ResetKind kind), void *arg)
    MACHINE_CALL;
/* Resets the whole board in that order. */
void devices_reset(ResetKind kind) MACHINE_CALL;
void reset_unregister(void (*fn)(void *arg, ResetKind kind), void *arg)
    MACHINE_CALL;

/* Event DEVICE_UNPLUG_GUEST_ERROR: the guest refuses to give it up. */
void device_unplug_refused(Device *dev) MACHINE_CALL;

/* Named GPIO lines, for qtest's irq_intercept and for wiring by the machine:
 * the device offers arrays; NULL name is the unnamed set. */
void device_gpio_in(Device *dev, const char *name, IrqFn *fn, unsigned n)
    MACHINE_CALL;
void device_gpio_out(Device *dev, const char *name, IrqLine *lines, unsigned n)
    MACHINE_CALL;
IrqLine device_gpio_get(Device *dev, const char *name, unsigned n)
    MACHINE_CALL;
void device_gpio_connect(Device *dev, const char *name, unsigned n, IrqLine to)
    MACHINE_CALL;
/* Reroutes the lines of a set through a probe, which passes them on (out) or
 * swallows them (in); false: none there. */
bool device_gpio_intercept(Device *dev, const char *name, bool out,
                           void (*probe)(void *arg, unsigned n, int level),
                           void *arg) MACHINE_CALL;

#define PROP_BOOTINDEX \
    PROP_ROW_("bootindex", PK_I32, Device, bootindex, int32_t, \
              .def = (uint64_t)-1ll, .flags = PF_LIVE | PF_NO_DEFAULT)

#endif
