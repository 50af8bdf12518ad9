/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * machine.h - what the user asked for (settings), the machine types, run state,
 * power requests, boot configuration, fw_cfg. MACHINE_CALL unless stated.
 */
#ifndef TERN_MACHINE_H
#define TERN_MACHINE_H

#include "device.h"
#include "runstate.h"

typedef struct Machine Machine;
typedef struct MachineType {
    const char *name, *alias;          /* "pc-i440fx-7.2", "pc"               */
    const char *desc;
    const char *parent;                /* QOM parent                          */
    uint16_t version;                  /* 702; 0: none                        */
    bool is_default, deprecated, no_pci, no_cpus;
    unsigned max_cpus;
    const char *default_cpu;           /* "qemu64"                            */
    const char *default_ram_id;        /* "pc.ram"                            */
    uint64_t default_ram;
    size_t size;                       /* of the struct; Machine first        */
    const Prop *props;
    bool (*build)(Machine *m, Error **errp) MACHINE_PTR;
    /* After all -device: firmware tables, kernel loading. */
    bool (*ready)(Machine *m, Error **errp) MACHINE_PTR;
} MachineType;
#define MACHINE(sym, ...) SET_MEMBER(machine_types, MachineType, sym, __VA_ARGS__)

struct Machine {
    Obj obj;
    const MachineType *type;
    /* -machine properties common to all types */
    char *accel_list, *kernel, *initrd, *append, *dtb, *firmware;
    char *memory_backend, *memory_encryption;
    bool mem_merge, dump_guest_core, graphics, suppress_vmdesc, usb, usb_set;
    OnOffAuto kernel_irqchip_pad;
    /* -m */
    uint64_t ram_size, maxram_size, ram_slots;
    RamBlock *ram;                     /* the backend's                       */
    /* -smp, after filling in */
    unsigned cpus, max_cpus, sockets, dies, cores, threads;
    /* -cpu */
    char *cpu_model;                   /* with its feature list               */
    /* -boot */
    char *boot_order, *boot_once, *boot_splash;
    bool boot_menu_set, boot_menu, boot_strict;
    int64_t boot_splash_time, boot_reboot_timeout;     /* -1: unset            */
    char *mem_path;
    bool mem_prealloc;
    bool ready;                        /* build complete: devices now hotplug */
};
extern Machine *machine;               /* the one and only; NULL in tools     */
extern unsigned machine_version;       /* for compat values; 0: newest        */

/* Files of firmware: -L dirs, then the documented search path. NULL with an
 * error that names the Debian package. Caller g_frees. */
char *firmware_find(const char *name, Error **errp);
void firmware_print_path(void);        /* -L help, on stdout                  */

/* CPUs by topology: the APIC id of vCPU number i. */
uint32_t machine_apic_id(const Machine *m, unsigned i);

/* ---- fw_cfg -------------------------------------------------------------- */
/* Data is copied unless said; false: table full or name taken. */
bool fwcfg_add_file(const char *name, const void *data, size_t len);
/* Takes over `data` (g_free'd), which a callback may refresh when selected. */
bool fwcfg_add_file_call(const char *name, void *data, size_t len,
                         void (*select)(void *arg), void *arg);
void fwcfg_replace_file(const char *name, const void *data, size_t len);
void fwcfg_add_item(uint16_t key, const void *data, size_t len);
void fwcfg_add_u16(uint16_t key, uint16_t v);
void fwcfg_add_u32(uint16_t key, uint32_t v);
void fwcfg_add_u64(uint16_t key, uint64_t v);
bool fwcfg_present(void);

/* ---- names of the guest -------------------------------------------------- */
extern char *guest_name, *guest_process_name;
extern uint8_t guest_uuid[16];
extern bool guest_uuid_set;

/* bootindex -> firmware path list for fw_cfg "bootorder"; NULL: empty. */
char *boot_order_list(size_t *len) MACHINE_CALL;
/* Letters a to p, each once at most: "Invalid boot device 'x'". */
bool boot_order_ok(const char *order, Error **errp);
/* From now on; for boot_set, and when -boot once= is over. */
bool boot_order_set(const char *order, Error **errp) MACHINE_CALL;
/* Registers what a reset does to the boot order; when the board is complete. */
void boot_order_watch(void) MACHINE_CALL;
/* Registered by the board: puts an order into CMOS. */
extern bool (*boot_order_apply)(const char *order, Error **errp);

#endif
