/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vga-pci.c - VGA, secondary-vga and bochs-display: the Bochs graphics adapter
 * on PCI (1234:1111): video memory in BAR 0; in BAR 2 the monitor's EDID, the VGA
 * ports from 3c0 at 400, the VBE registers at 500, two more at 600.
 *
 * Thread class: machine lock.
 */
#include "pci.h"
#include "hw/display/vga.h"

#define BAR2_SIZE 0x1000

typedef struct VgaPci {
    PciDevice pci;
    Vga vga;
    VgaPorts ports;
    MemRegion mmio, edid_mr, ports_mr, vbe_mr, ext_mr;
    uint8_t edid[EDID_MAX];
    bool has_mmio, has_edid, has_ext;
    bool global_vmstate;
    bool legacy;                       /* has VGA's ports and window          */
    bool plain;                        /* bochs-display: VBE alone            */
    uint64_t vgamem;
    EdidWish wish;
} VgaPci;

static uint64_t edid_read(void *dev, uint64_t off, unsigned size)
{
    VgaPci *s = dev;

    return off < sizeof(s->edid) ? s->edid[off] : 0;
}

static uint64_t ports_read(void *dev, uint64_t off, unsigned size)
{
    VgaPci *s = dev;

    return vga_port_read(&s->vga, 0x3c0 + (unsigned)off);
}

static MACHINE_CALL void ports_write(void *dev, uint64_t off, uint64_t val,
                                     unsigned size)
{
    VgaPci *s = dev;

    vga_port_write(&s->vga, 0x3c0 + (unsigned)off, (uint8_t)val);
}

static uint64_t vbe_read(void *dev, uint64_t off, unsigned size)
{
    VgaPci *s = dev;

    s->vga.vbe_index = (uint16_t)(off / 2);
    return vbe_data_read(&s->vga);
}

static MACHINE_CALL void vbe_write(void *dev, uint64_t off, uint64_t val,
                                   unsigned size)
{
    VgaPci *s = dev;

    s->vga.vbe_index = (uint16_t)(off / 2);
    vbe_data_write(&s->vga, (uint16_t)val);
}

#define LITTLE 0x1e1e1e1eu
#define BIG 0xbebebebeu

static uint64_t ext_read(void *dev, uint64_t off, unsigned size)
{
    VgaPci *s = dev;

    return off ? s->vga.big_endian ? BIG : LITTLE : 8;
}

static void ext_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    VgaPci *s = dev;

    if (off == 4 && (val == LITTLE || val == BIG)) {
        s->vga.big_endian = val == BIG;
        s->vga.redraw = true;
    }
}

static uint64_t none_read(void *dev, uint64_t off, unsigned size)
{
    return ~0ull;
}

static void rom_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
}

static const MemOps edid_ops = {
    .read = edid_read, .write = rom_write, .min = 1, .max = 1,
};
static const MemOps none_ops = {
    .read = none_read, .write = rom_write, .min = 1, .max = 4,
};
static const MemOps ports_ops = {
    .read = ports_read, .write = ports_write, .min = 1, .max = 2,
    .valid_max = 4,
};
static const MemOps vbe_mmio_ops = {
    .read = vbe_read, .write = vbe_write, .min = 2, .max = 2,
};
static const MemOps ext_ops = {
    .read = ext_read, .write = ext_write, .min = 4, .max = 4,
};

static void part(VgaPci *s, MemRegion *mr, const char *name, uint64_t at,
                 uint64_t size, const MemOps *ops) MACHINE_CALL;
static void part(VgaPci *s, MemRegion *mr, const char *name, uint64_t at,
                 uint64_t size, const MemOps *ops)
{
    mem_init_io(mr, name, size, ops, s);
    device_region(&s->pci.dev, mr);
    mem_add(&s->mmio, at, mr);
}

static void mmio_init(VgaPci *s) MACHINE_CALL;
static void mmio_init(VgaPci *s)
{
    unsigned room = s->plain ? 256 : EDID_MAX;

    mem_init_io(&s->mmio, "vga.mmio", BAR2_SIZE, &none_ops, s);
    device_region(&s->pci.dev, &s->mmio);
    if (s->has_edid) {
        edid_make(s->edid, room, &s->wish);
        part(s, &s->edid_mr, "edid", 0, room, &edid_ops);
    }
    if (!s->plain) {
        part(s, &s->ports_mr, "vga ioports remapped", 0x400, 0x20, &ports_ops);
    }
    part(s, &s->vbe_mr, "bochs dispi interface", 0x500, VBE_COUNT * 2,
         &vbe_mmio_ops);
    if (s->has_ext) {
        part(s, &s->ext_mr, "qemu extended regs", 0x600, 8, &ext_ops);
    }
    pci_bar(&s->pci, 2, PCI_BAR_MEM32, &s->mmio);
}

static void mmio_fini(VgaPci *s) MACHINE_CALL;
static void mmio_fini(VgaPci *s)
{
    MemRegion *parts[] = { &s->edid_mr, &s->ports_mr, &s->vbe_mr, &s->ext_mr,
                           &s->mmio };

    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        if (parts[i]->name) {
            mem_fini(parts[i]);
        }
    }
}

/* Nothing but linear modes, which need no attribute controller. */
static void plain_mode(Vga *v, VgaMode *m)
{
    v->attr_index = 0x20;
    if (!m->vbe) {
        m->kind = VGA_NONE;
    }
}

static MACHINE_CALL bool vga_pci_realize(Device *dev, Error **errp)
{
    VgaPci *s = (VgaPci *)dev;
    Vga *v = &s->vga;
    uint64_t size;

    s->legacy = ((const PciInfo *)dev->type->on_info)->class_code == 0x030000;
    s->plain = !v->vgamem_mb;
    v->is_vbe = true;
    if (s->plain && (s->vgamem < 4 << 20 || s->vgamem > 256 << 20)) {
        return error_set(errp, s->vgamem < 4 << 20
                         ? "bochs-display: video memory too small"
                         : "bochs-display: video memory too big");
    }
    size = s->plain ? (s->vgamem + 0xfffff) >> 20 : v->vgamem_mb;
    if (!vga_init(v, dev, vga_memory_size((uint32_t)size), errp)) {
        return false;
    }
    v->mode_hook = s->plain ? plain_mode : NULL;
    v->no_caps = s->plain;
    v->con = console_new(dev, 0, NULL, &vga_console, v);
    if (s->legacy) {
        vga_ports_init(&s->ports, v, ((PciBus *)dev->bus)->io);
        vga_map_window(v, ((PciBus *)dev->bus)->mem);
    }
    pci_bar(&s->pci, 0, PCI_BAR_MEM32 | PCI_BAR_PREF, &v->vram);
    if (s->has_mmio || !s->legacy) {
        mmio_init(s);
    }
    return true;
}

static MACHINE_CALL void vga_pci_unrealize(Device *dev)
{
    VgaPci *s = (VgaPci *)dev;

    mmio_fini(s);
    if (s->legacy) {
        vga_ports_fini(&s->ports);
        vga_unmap_window(&s->vga, ((PciBus *)dev->bus)->mem);
    }
    vga_fini(&s->vga);
}

static MACHINE_CALL void vga_pci_reset(Device *dev, ResetKind kind)
{
    VgaPci *s = (VgaPci *)dev;

    vga_reset(&s->vga);
}

#define MEM_PROP \
    PROP_U32("vgamem_mb", VgaPci, vga.vgamem_mb, 16, .min = 1, .max = 512, \
             .desc = "video memory in MiB, to a power of two")
#define SHARED_PROPS \
    PROP_BOOL("edid", VgaPci, has_edid, true, \
              .desc = "the monitor tells its modes", \
              .compat = (const PropCompat[]){ { 400, "off" }, { 0 } }), \
    EDID_PROPS(VgaPci, wish), \
    PROP_BOOL("big-endian-framebuffer", VgaPci, vga.big_endian, false, \
              .flags = PF_LIVE | PF_NO_DEFAULT, .desc = "byte order of pixels")

#define EXT_PROP \
    PROP_BOOL("qemu-extended-regs", VgaPci, has_ext, true, \
              .desc = "byte order register")

static const Prop vga_props[] = {
    SHARED_PROPS, MEM_PROP, EXT_PROP,
    PROP_BOOL("mmio", VgaPci, has_mmio, true, .desc = "registers in BAR 2"),
    PROP_BOOL("global-vmstate", VgaPci, global_vmstate, false,
              .desc = "accepted; Tern names its state by the device",
              .flags = PF_HIDDEN),
    PROP_END
};
static const Prop secondary_props[] = {
    SHARED_PROPS, MEM_PROP, EXT_PROP, PROP_END
};
static const Prop bochs_props[] = {
    SHARED_PROPS,
    PROP_SIZE("vgamem", VgaPci, vgamem, 16 << 20,
              .desc = "video memory, 4 to 256 MiB"),
    PROP_END
};

static const VmState vga_pci_state = {
    .name = "vga-pci", .version = 1, .oldest = 1,
    .fields = (const VmField[]){
        VM_STRUCT(VgaPci, vga, &vga_state), VM_END
    },
};

TYPE_NAME(pci_vga, { "pci-vga", "pci-device", true });

DEVICE(vga, {
    .name = "VGA", .category = "display", .size = sizeof(VgaPci),
    .parent = "pci-vga", .desc = "VGA with Bochs VBE extensions",
    .doc = "A VGA card with linear modes of up to 32 bits, the default of "
           "-vga std.",
    .on = &bus_pci,
    .on_info = &(const PciInfo){
        .vendor = 0x1234, .device = 0x1111, .class_code = 0x030000,
        .revision = 2, .romfile = "vgabios-stdvga.bin", .no_hotplug = true,
    },
    .props = vga_props, .vmstate = &vga_pci_state, .flags = DT_NO_HOTPLUG,
    .realize = vga_pci_realize, .unrealize = vga_pci_unrealize,
    .reset = vga_pci_reset,
});

DEVICE(secondary_vga, {
    .name = "secondary-vga", .category = "display", .size = sizeof(VgaPci),
    .parent = "pci-vga", .desc = "VGA's linear modes on a further screen",
    .doc = "As VGA, without the ports and the window of a PC's first card: "
           "for further screens.",
    .on = &bus_pci,
    .on_info = &(const PciInfo){
        .vendor = 0x1234, .device = 0x1111, .class_code = 0x038000,
        .revision = 2,
    },
    .props = secondary_props, .vmstate = &vga_pci_state,
    .realize = vga_pci_realize, .unrealize = vga_pci_unrealize,
    .reset = vga_pci_reset,
});

DEVICE(bochs_display, {
    .name = "bochs-display", .category = "display", .size = sizeof(VgaPci),
    .desc = "linear modes alone",
    .doc = "The Bochs adapter without VGA: for guests that start by UEFI, and "
           "for further screens.",
    .on = &bus_pci,
    .on_info = &(const PciInfo){
        .vendor = 0x1234, .device = 0x1111, .class_code = 0x038000,
        .revision = 2, .romfile = "vgabios-bochs-display.bin",
    },
    .props = bochs_props, .vmstate = &vga_pci_state,
    .realize = vga_pci_realize, .unrealize = vga_pci_unrealize,
    .reset = vga_pci_reset,
});
