/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rom.c - option ROMs: into the expansion ROM BAR, or through fw_cfg when the
 * user turned the BAR off (PCI Local Bus 3.0, sections 6.2.5.2 and 6.3).
 *
 * Thread class: MACHINE_CALL.
 */
#include <glib.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include "hw/pci/pci-impl.h"
#include "machine.h"

#define ROM_MAX (2 * GiB)
#define CLASS_VGA 0x0300

/* The ROM of a family names one member: make it name this function, so that
 * firmware runs it. */
static void patch_ids(const PciDevice *d, uint8_t *rom, size_t size)
{
    uint16_t vendor = ld_le16(d->config + PCI_VENDOR_ID);
    uint16_t device = ld_le16(d->config + PCI_DEVICE_ID);
    uint8_t *pcir;
    unsigned at, sum = 0;

    if (size < 0x1a || ld_le16(rom) != 0xaa55) {
        return;
    }
    at = ld_le16(rom + 0x18);
    if (at + 8 > size || memcmp(rom + at, "PCIR", 4) != 0) {
        return;
    }
    pcir = rom + at;
    for (unsigned i = 4; i < 8; i++) {
        sum += pcir[i];
    }
    st_le16(pcir + 4, vendor);
    st_le16(pcir + 6, device);
    for (unsigned i = 4; i < 8; i++) {
        sum -= pcir[i];
    }
    rom[6] += sum;                     /* keeps the image's sum of bytes      */
}

static bool is_default(const PciDevice *d)
{
    return g_strcmp0(d->romfile, pci_info(d)->romfile) == 0;
}

static char *find_file(PciDevice *d, Error **errp)
{
    Error *why = NULL;
    char *path;

    if (g_access(d->romfile, R_OK) == 0) {
        return g_strdup(d->romfile);
    }
    path = firmware_find(d->romfile, &why);
    if (!path) {
        error_set(errp, "failed to find romfile \"%s\"", d->romfile);
        if (*error_hint_text(why)) {
            error_hint(errp, "%s", error_hint_text(why));
        }
        error_free(why);
    }
    return path;
}

static bool check_size(PciDevice *d, const char *path, Error **errp)
{
    struct stat st;

    if (stat(path, &st) != 0) {
        return error_set_errno(errp, errno, "romfile \"%s\"", d->romfile);
    }
    if (st.st_size == 0) {
        return error_set(errp, "romfile \"%s\" is empty", d->romfile);
    }
    if (!S_ISREG(st.st_mode) || st.st_size > (off_t)ROM_MAX) {
        return error_set(errp, "romfile \"%s\" too large (size cannot exceed 2 "
                         "GiB)", d->romfile);
    }
    if (d->romsize != UINT32_MAX && st.st_size > d->romsize) {
        return error_set(errp, "romfile \"%s\" (%u bytes) is too large for ROM "
                         "size %u", d->romfile, (unsigned)st.st_size,
                         d->romsize);
    }
    return true;
}

static bool into_bar(PciDevice *d, uint8_t *data, size_t len, Error **errp)
    MACHINE_CALL;
static bool into_bar(PciDevice *d, uint8_t *data, size_t len, Error **errp)
{
    char *path = d->dev.bus->type->dev_path(&d->dev);
    char *name = g_strdup_printf("%s.rom", d->dev.type->name);
    char *id = g_strdup_printf("%s/%s", path, name);
    bool ok;

    if (d->romsize == UINT32_MAX) {
        uint32_t size = 2048;          /* the smallest that the BAR can say   */

        while (size < len) {
            size *= 2;
        }
        d->romsize = size;
    }
    ok = mem_init_rom(&d->rom, id, d->romsize, errp);
    if (ok) {
        d->rom_made = true;
        d->rom.name = g_intern_string(name);
        memcpy(d->rom.ram->host, data, len);
        if (is_default(d)) {
            patch_ids(d, d->rom.ram->host, len);
        }
        pci_bar(d, 6, PCI_BAR_MEM32, &d->rom);
    }
    g_free(id);
    g_free(name);
    g_free(path);
    return ok;
}

static bool into_fwcfg(PciDevice *d, const uint8_t *data, size_t len,
                       Error **errp)
{
    bool vga = pci_info(d)->class_code >> 8 == CLASS_VGA;
    char *base, *name;

    if (d->dev.hotplugged) {
        return error_set(errp, "Hot-plugged device without ROM bar can't have "
                         "an option ROM");
    }
    base = g_path_get_basename(d->romfile);
    name = g_strdup_printf("%s/%s", vga ? "vgaroms" : "genroms", base);
    fwcfg_add_file(name, data, len);
    g_free(name);
    g_free(base);
    return true;
}

bool pci_rom_add(PciDevice *d, Error **errp)
{
    gchar *data = NULL;
    GError *gerr = NULL;
    Error *err = NULL;
    char *path;
    gsize len = 0;
    bool ok;

    if (!d->romfile || !*d->romfile) {
        return true;
    }
    path = find_file(d, &err);
    if (!path && is_default(d)) {
        /* Nobody asked for it: the function works, but cannot boot a guest. */
        error_prepend(&err, "%s: ", d->dev.type->name);
        warn_report_err(err);
        return true;
    }
    error_move(errp, err);
    if (!path || !check_size(d, path, errp)) {
        g_free(path);
        return false;
    }
    if (!g_file_get_contents(path, &data, &len, &gerr)) {
        error_set(errp, "failed to load romfile \"%s\": %s", d->romfile,
                  gerr->message);
        g_error_free(gerr);
        g_free(path);
        return false;
    }
    g_free(path);
    /* It may have grown since it was measured. */
    if (d->romsize != UINT32_MAX && len > d->romsize) {
        ok = error_set(errp, "romfile \"%s\" is too large for ROM size %u",
                       d->romfile, d->romsize);
    } else if (d->rombar) {
        ok = into_bar(d, (uint8_t *)data, len, errp);
    } else {
        ok = into_fwcfg(d, (uint8_t *)data, len, errp);
    }
    g_free(data);
    return ok;
}

void pci_rom_drop(PciDevice *d)
{
    if (d->rom_made) {
        d->bar[6].mr = NULL;
        mem_fini(&d->rom);
        d->rom_made = false;
    }
}
