/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * linux.c - -kernel: finds out what kind of file it is and has it loaded,
 * without firmware unless the user has named one or has a screen to look at.
 *
 * Thread class: machine lock.
 */
#include <glib.h>
#include "blk.h"
#include "hw/fw/blob.h"
#include "hw/fw/elf.h"
#include "hw/fw/fw-cfg.h"
#include "pci.h"

static bool without_kernel(const Machine *m, Error **errp)
{
    if (m->append && *m->append) {
        return error_set(errp, "-append only allowed with -kernel option");
    }
    if (m->initrd) {
        return error_set(errp, "-initrd only allowed with -kernel option");
    }
    return true;
}

/* Firmware and a boot ROM come first. */
static MACHINE_CALL bool firmware_setup(Pc *p, Error **errp)
{
    if (p->below_4g < 2 * MiB) {
        error_set(errp, "a kernel needs at least 2 MiB of memory");
        error_hint(errp, "Give the guest more memory with -m.");
        return false;
    }
    if (!fwcfg_present()) {
        return error_set(errp, "a kernel is started through firmware by "
                         "fw_cfg, which this machine does not have");
    }
    e820_take_top(p, FIRMWARE_ROOM);
    return true;
}

static MACHINE_CALL bool load(Pc *p, const KernelFile *k, bool firmware,
                              Error **errp)
{
    uint32_t header;
    uint64_t entry;

    if (!(firmware ? firmware_setup(p, errp) : direct_setup(p, errp))) {
        return false;
    }
    if (bzimage_is(k)) {
        return firmware ? linuxboot_load(p, k, errp)
                        : bzimage_load(p, k, errp);
    }
    if (multiboot_is(k, &header)) {
        return multiboot_load(p, k, header, errp);
    }
    if (pvh_is(k, &entry)) {
        return pvh_load(p, k, entry, errp);
    }
    if (elf_is(k)) {
        return error_set(errp, "Error loading uncompressed kernel without PVH "
                         "ELF Note");
    }
    error_set(errp, "invalid kernel header");
    error_hint(errp, "-kernel takes a Linux bzImage, an ELF file with a PVH "
               "note, or a Multiboot 1 kernel.");
    return false;
}

static void see_vga_rom(void *arg, const char *name, const void *data,
                        uint32_t len)
{
    *(bool *)arg |= g_str_has_prefix(name, "vgaroms/");
}

/* A VGA card shows no text before its ROM has run, and kernels take the mode
 * that they find: who may look at a screen gets firmware that runs ROMs. */
static MACHINE_CALL bool has_screen(Pc *p)
{
    bool found = false;

    if (!p->m.graphics || !p->bios.ram || !fwcfg_present() ||
        p->below_4g < 2 * MiB) {
        return false;
    }
    for (unsigned i = 0; p->pci && i < ARRAY_SIZE(p->pci->devices); i++) {
        const PciDevice *d = p->pci->devices[i];

        found |= d && d->bar[6].mr && ld_le16(d->config + 10) == 0x0300;
    }
    fwcfg_each_file(see_vga_rom, &found);
    return found;
}

static MACHINE_CALL bool wants_firmware(Pc *p)
{
    return p->m.firmware || p->pflash0 || drive_find(IF_PFLASH, 0, 0) ||
           has_screen(p);
}

bool linux_load(Pc *p, Error **errp)
{
    KernelFile k = { .path = p->m.kernel };
    bool ok;

    if (!k.path) {
        return without_kernel(&p->m, errp);
    }
    if (!blob_read_file("kernel file", k.path, p->below_4g, &k.data, &k.len,
                        errp)) {
        return false;
    }
    ok = load(p, &k, wants_firmware(p), errp);
    g_free(k.data);
    return ok;
}
