/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vga-isa.c - isa-vga: VGA with Bochs VBE extensions on the ISA bus; its linear
 * window is at e0000000.
 *
 * Thread class: machine lock.
 */
#include <glib.h>
#include "isa.h"
#include "machine.h"
#include "hw/display/vga.h"

#define LINEAR 0xe0000000ull
#define ROM "vgabios.bin"

typedef struct VgaIsa {
    IsaDevice isa;
    Vga vga;
    VgaPorts ports;
    MemRegion linear;
} VgaIsa;

/* The card works without, but nothing is shown before a guest's driver. */
static void rom_offer(void) MACHINE_CALL;
static void rom_offer(void)
{
    char *path, *data = NULL;
    Error *err = NULL;
    gsize len = 0;

    path = firmware_find(ROM, &err);
    if (path && !g_file_get_contents(path, &data, &len, NULL)) {
        error_set(&err, "failed to read '%s'", path);
    }
    if (!data) {
        error_prepend(&err, "isa-vga: ");
        warn_report_err(err);
    } else {
        fwcfg_add_file("vgaroms/" ROM, data, len);
    }
    g_free(data);
    g_free(path);
}

static MACHINE_CALL bool vga_isa_realize(Device *dev, Error **errp)
{
    VgaIsa *s = (VgaIsa *)dev;
    IsaBus *bus = isa_bus(&s->isa);
    Vga *v = &s->vga;

    v->is_vbe = true;
    if (!vga_init(v, dev, vga_memory_size(v->vgamem_mb), errp)) {
        return false;
    }
    v->con = console_new(dev, 0, NULL, &vga_console, v);
    vga_ports_init(&s->ports, v, bus->io);
    s->isa.port = 0x3b0;
    vga_map_window(v, bus->mem);
    mem_init_alias(&s->linear, "vga.linear", &v->vram, 0, v->size);
    mem_add(mem_system.root, LINEAR, &s->linear);
    rom_offer();
    return true;
}

static MACHINE_CALL void vga_isa_unrealize(Device *dev)
{
    VgaIsa *s = (VgaIsa *)dev;

    mem_remove(mem_system.root, &s->linear);
    mem_fini(&s->linear);
    vga_ports_fini(&s->ports);
    vga_unmap_window(&s->vga, isa_bus(&s->isa)->mem);
    vga_fini(&s->vga);
}

static MACHINE_CALL void vga_isa_reset(Device *dev, ResetKind kind)
{
    VgaIsa *s = (VgaIsa *)dev;

    vga_reset(&s->vga);
}

static const Prop props[] = {
    PROP_U32("vgamem_mb", VgaIsa, vga.vgamem_mb, 8, .min = 1, .max = 512,
             .desc = "video memory in MiB, to a power of two"),
    PROP_END
};
static const VmState vga_isa_state = {
    .name = "vga-isa", .version = 1, .oldest = 1,
    .fields = (const VmField[]){
        VM_STRUCT(VgaIsa, vga, &vga_state), VM_END
    },
};

DEVICE(isa_vga, {
    .name = "isa-vga", .category = "display", .size = sizeof(VgaIsa),
    .desc = "VGA with Bochs VBE extensions",
    .doc = "The card of -vga std on a machine without PCI.",
    .on = &bus_isa, .props = props, .vmstate = &vga_isa_state,
    .realize = vga_isa_realize, .unrealize = vga_isa_unrealize,
    .reset = vga_isa_reset,
});
