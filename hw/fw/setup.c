/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * setup.c - what fw_cfg tells firmware about this machine: sizes, boot wishes,
 * memory map, and the user's own files (-fw_cfg).
 *
 * Thread class: machine lock.
 */
#include <glib.h>
#include "hw/fw/blob.h"
#include "hw/fw/fw-cfg.h"
#include "numa.h"
#include "opt.h"
#include "pc.h"
#include "settings.h"
#include "tls.h"

/* ---- -fw_cfg [name=]NAME,file=F|string=S|gen_id=ID ----------------------- */

static bool add_user_file(const char *name, uint8_t *data, uint64_t len,
                          Error **errp)
{
    return fwcfg_add_file_call(name, data, len, NULL, NULL) ||
           error_set(errp, "fw_cfg file '%s' cannot be added: the name is "
                     "taken or the directory is full", name);
}

static bool user_content(const Json *o, const char *name, Error **errp)
{
    const char *file = json_get_str(o, "file");
    const char *text = json_get_str(o, "string");
    uint8_t *data;
    uint64_t len;

    if (file) {
        if (!blob_read_file("fw_cfg file", file, UINT32_MAX, &data, &len,
                            errp)) {
            error_prepend(errp, "can't load %s: ", file);
            return false;
        }
    } else {
        len = strlen(text);            /* without its NUL                     */
        data = g_memdup2(text, len + 1);
    }
    return add_user_file(name, data, len, errp);
}

/* What an object makes of its properties; today cipher suites only. */
static MACHINE_CALL bool generated_content(const char *id, const char *name,
                                           Error **errp)
{
    Obj *o = user_obj_find(id);
    uint8_t *data;
    size_t len;

    if (!o) {
        return error_set(errp, "Cannot find object ID '%s'", id);
    }
    if (strcmp(user_obj_type(o)->name, "tls-cipher-suites")) {
        return error_set(errp, "Object ID '%s' is not a "
                         "'fw_cfg-data-generator' subclass", id);
    }
    return tls_cipher_suites(id, &data, &len, errp) &&
           add_user_file(name, data, len, errp);
}

static MACHINE_CALL bool user_file(const char *arg, Error **errp)
{
    Opts o;
    const char *name, *gen_id;
    bool ok = false;
    unsigned given;

    if (!opts_parse(&o, arg, "name", OPT_FLAT | OPT_PLAIN, errp)) {
        return false;
    }
    name = json_get_str(o.obj, "name");
    gen_id = json_get_str(o.obj, "gen_id");
    given = !!json_get(o.obj, "file") + !!json_get(o.obj, "string") +
            !!gen_id;
    if (!name || !*name) {
        error_set(errp, "Parameter 'name' is missing");
    } else if (given != 1) {
        error_set(errp, "name, plus exactly one of file, string and gen_id, "
                  "are needed");
    } else if (strlen(name) > 55) {
        error_set(errp, "name too long (max. 55 char)");
    } else {
        if (!gen_id && strncmp(name, "opt/", 4)) {
            warn_report("externally provided fw_cfg item names should be "
                        "prefixed with \"opt/\"");
        }
        ok = gen_id ? generated_content(gen_id, name, errp)
                    : user_content(o.obj, name, errp);
    }
    opts_free(&o);
    return ok;
}

static MACHINE_CALL bool fwcfg_user_files(Error **errp)
{
    for (unsigned i = 0; i < settings.fw_cfg.n; i++) {
        report_where(settings.fw_cfg.v[i].where);
        if (!user_file(settings.fw_cfg.v[i].arg, errp)) {
            return false;
        }
        report_where(NULL);
    }
    return true;
}

/* ---- the machine's own --------------------------------------------------- */

static void add_e820(const Pc *p)
{
    E820 map[16];
    unsigned n = e820_fill(p, map, false);
    uint8_t *b = g_malloc0(n * 20);

    for (unsigned i = 0; i < n; i++) {
        st_le64(b + i * 20, map[i].addr);
        st_le64(b + i * 20 + 8, map[i].len);
        st_le32(b + i * 20 + 16, map[i].type);
    }
    fwcfg_add_file_call("etc/e820", b, n * 20, NULL, NULL);
}

static bool add_splash(const Machine *m, Error **errp)
{
    uint8_t *data, wait[2];
    uint64_t len;

    if (m->boot_splash_time >= 0) {
        st_le16(wait, m->boot_splash_time);
        fwcfg_add_file("etc/boot-menu-wait", wait, sizeof(wait));
        if (!m->boot_menu && !m->boot_splash) {
            warn_report("-boot splash-time=%d: no effect without menu=on",
                        (int)m->boot_splash_time);
        }
    }
    if (!m->boot_splash) {
        return true;
    }
    if (!blob_read_file("splash file", m->boot_splash, 16 * MiB, &data, &len,
                        errp)) {
        return false;
    }
    if (len >= 30 && !memcmp(data, "BM", 2) && ld_le16(data + 28) == 24) {
        return fwcfg_add_file_call("bootsplash.bmp", data, len, NULL, NULL);
    }
    if (len >= 2 && data[0] == 0xff && data[1] == 0xd8) {
        return fwcfg_add_file_call("bootsplash.jpg", data, len, NULL, NULL);
    }
    g_free(data);
    return error_set(errp, "splash file '%s' format not recognized; must be "
                     "JPEG or 24 bit BMP", m->boot_splash);
}

/* Number of nodes; of each APIC id its node; of each node its bytes. */
static MACHINE_CALL void add_numa(const Machine *m)
{
    uint32_t ids = machine_apic_id(m, m->max_cpus - 1) + 1;
    unsigned n = 1 + (numa_count ? ids + numa_count : 0);
    uint8_t *b = g_malloc0(n * 8ull);

    st_le64(b, numa_count);
    for (unsigned i = 0; numa_count && i < m->max_cpus; i++) {
        st_le64(b + 8 * (1 + machine_apic_id(m, i)), numa_of_cpu(i));
    }
    for (unsigned i = 0; i < numa_count; i++) {
        st_le64(b + 8 * (1 + ids + i), numa_node(i)->size);
    }
    fwcfg_add_item(FW_NUMA, b, n * 8ull);
    g_free(b);
}

static void add_hpet(void)
{
    uint8_t b[121] = { 1 };

    /* count, then event_timer_block_id, address, min_tick, page_prot. */
    st_le32(b + 1, 0x8086a201);
    st_le64(b + 5, PC_HPET_ADDR);
    fwcfg_add_item(FW_HPET, b, sizeof(b));
}

bool fwcfg_fill(Pc *p, Error **errp)
{
    const Machine *m = &p->m;
    uint8_t wait[4];
    uint8_t states[6] = { 0x80, 0, 0, 0x81, 0x82, 0x80 };
    size_t len = 0;
    char *order = boot_order_list(&len);

    boot_order_watch();
    fwcfg_add_item(FW_UUID, guest_uuid, sizeof(guest_uuid));
    fwcfg_add_u64(FW_RAM_SIZE, m->ram_size);
    fwcfg_add_u16(FW_NOGRAPHIC, !m->graphics);
    fwcfg_add_u16(FW_NB_CPUS, cpu_count);
    /* The APIC ids are below this. */
    fwcfg_add_u16(FW_MAX_CPUS, machine_apic_id(m, m->max_cpus - 1) + 1);
    fwcfg_add_u16(FW_BOOT_MENU, m->boot_menu);
    fwcfg_add_u32(FW_IRQ0_OVERRIDE, 1);
    add_numa(m);
    if (p->hpet && !p->is_isapc) {
        add_hpet();
    }
    add_e820(p);
    fwcfg_add_file_call("bootorder", order, len, NULL, NULL);
    fwcfg_add_file("bios-geometry", "", 0);
    st_le32(wait, (uint32_t)m->boot_reboot_timeout);
    fwcfg_add_file("etc/boot-fail-wait", wait, sizeof(wait));
    if (p->pm) {
        bool s3, s4;
        uint8_t s4_val;

        piix4_pm_sleep_states(p->pm, &s3, &s4, &s4_val);
        states[3] = 1 | (s3 ? 0x80 : 0);
        states[4] = s4_val | (s4 ? 0x80 : 0);
    }
    fwcfg_add_file("etc/system-states", states, sizeof(states));
    if (p->acpi) {
        fwcfg_add_file("etc/tpm/log", "", 0);
    }
    return add_splash(m, errp) && fwcfg_user_files(errp);
}
