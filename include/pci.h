/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci.h - PCI functions and buses (PCI Local Bus 3.0, PCI-to-PCI Bridge 1.2, MSI
 * and MSI-X as there; PCI Express where a function has the capability).
 * MACHINE_CALL throughout, but for msi_notify and msix_notify: ANY_THREAD.
 */
#ifndef TERN_PCI_H
#define TERN_PCI_H

#include "device.h"
#include <linux/pci_regs.h>

typedef struct PciDevice PciDevice;
typedef struct PciBus PciBus;
#define PCI_DEVFN(slot, fn) (((slot) & 31) << 3 | ((fn) & 7))
#define PCI_SLOT(devfn)     (((devfn) >> 3) & 31)
#define PCI_FUNC(devfn)     ((devfn) & 7)

/* DeviceType.on_info of a PCI device. */
typedef struct PciInfo {
    uint16_t vendor, device, subvendor, subdevice; /* 0/0: 1af4:1100          */
    uint32_t class_code;               /* 0x020000: base, sub, prog-if        */
    uint8_t revision;
    bool express;                      /* 4-KiB config space                  */
    bool bridge;                       /* header type 1                       */
    bool no_hotplug;
    const char *romfile;               /* default option ROM                  */
} PciInfo;

typedef enum PciBarKind { PCI_BAR_MEM32, PCI_BAR_MEM64, PCI_BAR_IO,
                          PCI_BAR_PREF = 4 } PciBarKind;   /* | PREF */
typedef struct PciBar {
    MemRegion *mr;
    uint64_t size;                     /* power of two                        */
    uint64_t addr;                     /* where mapped; UINT64_MAX: not       */
    uint8_t kind;
} PciBar;

struct PciDevice {
    Device dev;
    int32_t addr_prop;                 /* addr=, -1: first free               */
    bool multifunction, rombar_set;
    uint32_t rombar;
    char *romfile;
    uint32_t romsize, features;
    uint32_t acpi_index;
    char *failover_pair_id;
    uint8_t devfn;
    uint8_t *config;                   /* 256 or 4096 bytes                   */
    uint8_t *wmask;                    /* bits the guest may write            */
    uint8_t *w1cmask;                  /* bits cleared by writing 1           */
    uint8_t *cmask;                    /* bits that must match on load        */
    uint8_t *used;                     /* bytes that capabilities occupy      */
    uint8_t *load_ref;                 /* private: config before a load       */
    uint32_t config_size;
    PciBar bar[7];                     /* 6: expansion ROM                    */
    MemRegion rom;
    MemSpace *dma;                     /* the space its DMA sees              */
    bool bus_master;                   /* the command register allows DMA     */
    bool rom_made;                     /* private                             */
    uint8_t irq_state;                 /* INTx level, before masking          */
    uint8_t irq_sent;                  /* level that the bus was told         */
    uint8_t msi_cap, msix_cap;         /* offset in config; 0: none           */
    uint8_t msi_nvec;
    struct PciMsix *msix;
    /* Overrides for devices with registers in config space; call the default
     * from within. */
    uint32_t (*config_read)(PciDevice *d, uint32_t off, unsigned size);
    void (*config_write)(PciDevice *d, uint32_t off, uint32_t v, unsigned size);
    void *mc_notify;                   /* private                             */
};

struct PciBus {
    Bus bus;
    uint8_t devfn_min;
    PciDevice *devices[256];
    PciBus *parent;                    /* NULL: root                          */
    PciDevice *bridge;                 /* its own function in parent          */
    MemRegion *mem, *io;               /* spaces below it                     */
    /* INTx: pin 0..3 of a device -> line of the root; root: line -> board. */
    int (*map_irq)(PciDevice *d, int pin);
    void (*set_irq)(void *opaque, int line, int level);
    void *irq_opaque;
    int irq_count[16];
    uint8_t nlines;
    /* Hot-plug: set by ACPI, SHPC or a port. */
    bool (*hotplug)(PciBus *bus, PciDevice *d, Error **errp) MACHINE_PTR;
    bool (*hot_unplug)(PciBus *bus, PciDevice *d, Error **errp) MACHINE_PTR;
    void *hotplug_opaque;
    /* Of the root: a bridge of a machine that is being made has (gone) a bus. */
    void (*bridged)(PciBus *root, PciBus *below, bool on) MACHINE_PTR;
    /* IOMMU: the space a function's DMA sees; NULL: system memory. */
    MemSpace *(*dma_space)(PciBus *bus, PciDevice *d);
};
extern const BusType bus_pci, bus_pcie;

/* Root bus of a host bridge; name "pci.0" ("pcie.0"). */
PciBus *pci_root_new(Device *host, const char *name, bool express,
                     MemRegion *mem, MemRegion *io, uint8_t devfn_min)
    MACHINE_CALL;
void pci_root_irqs(PciBus *b, void (*set_irq)(void *, int, int),
                   int (*map_irq)(PciDevice *, int), void *opaque, int nlines)
    MACHINE_CALL;
PciBus *pci_root(void) MACHINE_CALL;   /* the machine's, NULL: none           */
/* Creates and realizes a machine's own function. */
PciDevice *pci_make(PciBus *bus, int devfn, const char *type, Error **errp)
    MACHINE_CALL;
PciDevice *pci_new(int devfn, bool multifunction, const char *type)
    MACHINE_CALL;
PciDevice *pci_find(uint8_t bus_nr, uint8_t devfn) MACHINE_CALL;
PciDevice *pci_find_below(PciBus *root, uint8_t bus_nr, uint8_t devfn)
    MACHINE_CALL;
uint8_t pci_bus_num(const PciBus *b);

/* In realize. kind: PciBarKind, PCI_BAR_PREF may be or-ed. Size of mr: 2^n. */
void pci_bar(PciDevice *d, int n, unsigned kind, MemRegion *mr) MACHINE_CALL;
/* Adds a capability; off 0: next free. Returns its offset, -1 with *errp. */
int pci_cap(PciDevice *d, uint8_t id, uint8_t off, uint8_t size, Error **errp)
    MACHINE_CALL;
int pcie_ext_cap(PciDevice *d, uint16_t id, uint8_t ver, uint16_t off,
                 uint16_t size) MACHINE_CALL;
void pci_pm_cap(PciDevice *d, uint8_t off) MACHINE_CALL;
void pci_set_pin(PciDevice *d, int pin);           /* 1..4: INTA..INTD        */
/* Level of the function's INTx pin. */
void pci_irq(PciDevice *d, int level) MACHINE_CALL;
IrqLine pci_irq_line(PciDevice *d);
void pci_set_word(PciDevice *d, unsigned off, uint16_t v);
uint32_t pci_config_read_default(PciDevice *d, uint32_t off, unsigned size)
    MACHINE_CALL;
void pci_config_write_default(PciDevice *d, uint32_t off, uint32_t v,
                              unsigned size) MACHINE_CALL;
void pci_update_mappings(PciDevice *d) MACHINE_CALL;

/* The function's configuration registers as its bus accesses them: bounds
 * checked, overrides honoured. off below config_size. */
uint32_t pci_config_read(PciDevice *d, uint32_t off, unsigned size)
    MACHINE_CALL;
void pci_config_write(PciDevice *d, uint32_t off, uint32_t v, unsigned size)
    MACHINE_CALL;

/* ---- bridges (type-1 header) --------------------------------------------- */
/* Of a PciInfo.bridge function: its windows, and the bus below. */
typedef struct PciBridge {
    PciDevice pci;
    PciBus bus;
    MemRegion mem, io;                 /* what the bus below sees             */
    MemRegion win_mem, win_pref, win_io;           /* forwarded ranges        */
    MemRegion win_vga[3];
    const char *bus_name;              /* NULL: the id                        */
} PciBridge;
/* In realize, first; bus type bus_pci or bus_pcie. */
void pci_bridge_init(PciBridge *b, const BusType *type) MACHINE_CALL;
/* In unrealize, last. */
void pci_bridge_fini(PciBridge *b) MACHINE_CALL;
PciBridge *pci_bridge_of(PciDevice *d);            /* NULL: not a bridge      */

/* ---- host bridges -------------------------------------------------------- */
/* Configuration mechanism 1: address register and data window, a part of a
 * board's host bridge. */
typedef struct PciHostPorts {
    MemRegion index, data;
    uint32_t address;                  /* saved by the owner                  */
    PciBus *root;
} PciHostPorts;
void pci_host_ports_init(PciHostPorts *h, Device *owner, PciBus *root,
                         MemRegion *io, uint16_t port) MACHINE_CALL;
void pci_host_ports_fini(PciHostPorts *h) MACHINE_CALL;

/* Configuration mechanism: address as 0xcf8 has it (bus, devfn, register). */
void pci_data_write(PciBus *root, uint32_t addr, uint32_t v, unsigned size)
    MACHINE_CALL;
uint32_t pci_data_read(PciBus *root, uint32_t addr, unsigned size) MACHINE_CALL;

/* DMA by a function: through its IOMMU, refused while bus mastering is off. */
MemResult pci_dma_read(PciDevice *d, uint64_t addr, void *buf, uint64_t len);
MemResult pci_dma_write(PciDevice *d, uint64_t addr, const void *buf,
                        uint64_t len);

/* ---- for people and clients ---------------------------------------------- */
Json *pci_query(void) MACHINE_CALL;    /* reply of query-pci                  */
void pci_print(void (*out)(void *arg, const char *line), void *arg)
    MACHINE_CALL;                      /* `info pci`                          */

/* ---- MSI, MSI-X ---------------------------------------------------------- */
typedef struct MsiMessage {
    uint64_t addr;
    uint32_t data;
} MsiMessage;
bool msi_init(PciDevice *d, uint8_t off, unsigned nvec, bool addr64,
              bool per_vector_mask, Error **errp) MACHINE_CALL;
bool msi_enabled(const PciDevice *d);
void msi_notify(PciDevice *d, unsigned vec) ANY_THREAD;
/* Table and PBA in BAR n at the given offsets; the region is the device's. */
bool msix_init(PciDevice *d, unsigned nvec, MemRegion *table, int table_bar,
               uint32_t table_off, MemRegion *pba, int pba_bar, uint32_t pba_off,
               uint8_t cap_off, Error **errp) MACHINE_CALL;
/* A BAR of its own for both. */
bool msix_init_bar(PciDevice *d, unsigned nvec, int bar, Error **errp)
    MACHINE_CALL;
void msix_fini(PciDevice *d) MACHINE_CALL;
bool msix_enabled(const PciDevice *d);
void msix_notify(PciDevice *d, unsigned vec) ANY_THREAD;
MsiMessage msix_message(const PciDevice *d, unsigned vec);
bool msix_masked(const PciDevice *d, unsigned vec);
/* irqfd: an eventfd that delivers vector vec without the process's help when the
 * accelerator can; the route follows the table. */
int msix_irqfd(PciDevice *d, unsigned vec, Error **errp) MACHINE_CALL;
void msix_irqfd_free(PciDevice *d, unsigned vec) MACHINE_CALL;
/* The software APIC puts itself here while the accelerator has none in the
 * kernel. ANY_THREAD. */
extern void (*msi_deliver)(MsiMessage m);
/* Delivers a message: through the accelerator or the software APIC. */
void msi_send(MsiMessage m, uint16_t requester) ANY_THREAD;

#endif
