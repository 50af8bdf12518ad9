/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * roms.c - option ROMs (-option-rom, and the board's own), and the list of what
 * is put into guest memory or handed to firmware (`info roms`).
 *
 * Thread class: machine lock.
 */
#include <glib.h>
#include "hw/fw/blob.h"
#include "hw/fw/fw-cfg.h"
#include "hw/fw/roms.h"
#include "opt.h"
#include "schema/schema.h"
#include "settings.h"

#define ROM_MOST (16 * MiB)

/* What `info roms` shows: the name as given; firmware sees its last part. */
static GString *given;

bool rom_add(const char *name, void *data, uint32_t len, int32_t bootindex,
             Error **errp)
{
    g_autofree char *base = g_path_get_basename(name);
    g_autofree char *file = g_strdup_printf("genroms/%s", base);

    if (!fwcfg_add_file_call(file, data, len, NULL, NULL)) {
        error_set(errp, "option rom '%s' cannot be added: its name is taken or "
                  "too long, or fw_cfg is full", name);
        return false;
    }
    if (!given) {
        given = g_string_new(NULL);
    }
    g_string_append_printf(given, "fw=genroms/%s size=0x%06x name=\"%s\"\n",
                           name, len, name);
    if (bootindex >= 0) {
        g_autofree char *path = g_strdup_printf("/rom@%s", file);

        boot_order_add(path, bootindex);
    }
    return true;
}

bool boot_rom_add(const char *name, uint8_t *data, uint32_t len, Error **errp)
{
    uint8_t sum = 0;

    for (uint32_t i = 0; i < len; i++) {
        sum += data[i];
    }
    data[len - 1] -= sum;
    return rom_add(name, data, len, 0, errp);
}

/* -option-rom [file=]FILE[,bootindex=N] */
static MACHINE_CALL bool user_rom(const char *arg, Error **errp)
{
    Opts o;
    const char *file, *index;
    g_autofree char *found = NULL;
    int64_t bootindex = -1;
    uint64_t len;
    uint8_t *data;
    bool ok = false;

    if (!opts_parse(&o, arg, "romfile", OPT_FLAT | OPT_PLAIN, errp)) {
        return false;
    }
    file = json_get_str(o.obj, "romfile");
    index = json_get_str(o.obj, "bootindex");
    if (!file) {
        error_set(errp, "Option ROM file is not specified");
    } else if (index && !opt_i64("bootindex", index, &bootindex, errp)) {
        goto out;
    } else if (bootindex < -1 || bootindex > INT32_MAX) {
        error_set(errp, "Parameter 'bootindex' expects a number up to %d",
                  INT32_MAX);
    } else {
        found = firmware_find(file, NULL);
        ok = blob_read_file("option rom", found ? found : file, ROM_MOST,
                            &data, &len, errp) &&
             rom_add(file, data, len, bootindex, errp);
    }
out:
    opts_free(&o);
    return ok;
}

bool option_roms_load(Pc *p, Error **errp)
{
    for (unsigned i = 0; i < settings.option_rom.n; i++) {
        report_where(settings.option_rom.v[i].where);
        if (!user_rom(settings.option_rom.v[i].arg, errp)) {
            return false;
        }
        report_where(NULL);
    }
    return true;
}

/* ---- info roms ----------------------------------------------------------- */

/* ROMs of PCI devices that have no ROM bar. */
static void list_vga(void *arg, const char *name, const void *data,
                     uint32_t len)
{
    if (g_str_has_prefix(name, "vgaroms/")) {
        g_string_append_printf(arg, "fw=%s size=0x%06x name=\"%s\"\n", name,
                               len, name + 8);
    }
}

static void list_blob(void *arg, const char *name, uint64_t addr, uint64_t len)
{
    g_string_append_printf(arg, "addr=%016" PRIx64 " size=0x%06" PRIx64
                           " mem=ram name=\"%s\"\n", addr, len, name);
}

/* What the guest's firmware loads through the table loader. */
static void list_table(void *arg, const char *name, const void *data,
                       uint32_t len)
{
    if (g_str_has_prefix(name, "etc/acpi/") ||
        !strcmp(name, "etc/table-loader")) {
        g_string_append_printf(arg, "/rom@%s size=0x%06x name=\"%s\"\n", name,
                               len, name);
    }
}

bool cmd_x_query_roms(const void *arg, void *ret, Error **errp)
{
    HumanReadableText *r = ret;
    GString *s = g_string_new(NULL);

    if (given) {
        g_string_append(s, given->str);
    }
    fwcfg_each_file(list_vga, s);
    blob_each(list_blob, s);
    if (pc && pc->bios.ram) {
        uint64_t size = mem_size(&pc->bios);
        g_autofree char *name = g_path_get_basename(
            pc->m.firmware ? pc->m.firmware
                           : pc->is_isapc ? "bios.bin" : "bios-256k.bin");

        g_string_append_printf(s, "addr=%016" PRIx64 " size=0x%06" PRIx64
                               " mem=rom name=\"%s\"\n", 4 * GiB - size, size,
                               name);
    }
    fwcfg_each_file(list_table, s);
    r->human_readable_text = g_string_free(s, FALSE);
    return true;
}
