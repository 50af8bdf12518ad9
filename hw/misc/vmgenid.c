/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmgenid.c - the id by which a guest notices that it was copied or set back
 * ("Virtual Machine Generation ID", Microsoft, 2012/2018). Firmware allocates a
 * page for the file etc/vmgenid_guid, and writes its address to
 * etc/vmgenid_addr; ACPI's device VGEN tells the guest where the id is. After a
 * load this process's id is put there, and GPE 5 tells the guest.
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. At most one.
 * 2. addr is what the guest wrote: the id is stored through mem_write, which
 *    takes any address.
 */
#include <glib.h>
#include "hw/acpi/pm.h"
#include "hw/fw/fw-cfg.h"
#include "hw/misc/misc.h"
#include "monitor.h"
#include "schema/schema.h"

#define GUID_PAGE 4096
#define GPE_VMGENID 5

typedef struct Vmgenid {
    Device dev;
    uint8_t uuid[16];                  /* property, in text order             */
    bool given;                        /* by the user                         */
    uint8_t guid[16];                  /* in memory order                     */
    uint8_t addr[8];                   /* as the guest wrote it, saved        */
    uint8_t *file;                     /* fw_cfg's copy of addr               */
} Vmgenid;

static Vmgenid *the_one;

/* ---- for the tables ----------------------------------------------------- */

const uint8_t *vmgenid_guid(void)
{
    return the_one ? the_one->guid : NULL;
}

/* ACPI 6.3, chapter 20: op codes and package lengths. */
#define PKG2(n) (0x40 | ((n) & 15)), ((n) >> 4)
#define VGIA 'V', 'G', 'I', 'A'
#define GEN_COUNTER 'V', 'M', '_', 'G', 'e', 'n', '_', 'C', 'o', 'u', 'n', \
                    't', 'e', 'r', 0
static const uint8_t ssdt[] = {
    /* Name (VGIA, 0): the address of the page */
    0x08, VGIA, 0x0c, 0, 0, 0, 0,
    /* Scope (\_SB) { Device (VGEN) */
    0x10, PKG2(0x7b), '\\', '_', 'S', 'B', '_',
    0x5b, 0x82, PKG2(0x72), 'V', 'G', 'E', 'N',
    0x08, '_', 'H', 'I', 'D', 0x0d, 'Q', 'E', 'M', 'U', 'V', 'G', 'I', 'D', 0,
    0x08, '_', 'C', 'I', 'D', 0x0d, GEN_COUNTER,
    0x08, '_', 'D', 'D', 'N', 0x0d, GEN_COUNTER,
    /* Method (_STA): If (VGIA == 0) Return (0); Return (15) */
    0x14, 0x13, '_', 'S', 'T', 'A', 0,
    0xa0, 0x09, 0x93, VGIA, 0x00, 0xa4, 0x00,
    0xa4, 0x0a, 0x0f,
    /* Method (ADDR): Package { VGIA + VMGENID_OFFSET, 0 } in Local0 */
    0x14, 0x1e, 'A', 'D', 'D', 'R', 0,
    0x70, 0x12, 0x02, 0x02, 0x60,
    0x72, VGIA, 0x0a, VMGENID_OFFSET, 0x88, 0x60, 0x00, 0x00,
    0x70, 0x00, 0x88, 0x60, 0x01, 0x00,
    0xa4, 0x60,
    /* Method (\_GPE._E05): Notify (\_SB.VGEN, 0x80) */
    0x14, 0x19, '\\', 0x2e, '_', 'G', 'P', 'E', '_', 'E', '0', '5', 0,
    0x86, '\\', 0x2e, '_', 'S', 'B', '_', 'V', 'G', 'E', 'N', 0x0a, 0x80,
};
#define SSDT_ADDR 6

const uint8_t *vmgenid_ssdt(size_t *len, size_t *addr)
{
    *len = sizeof(ssdt);
    *addr = SSDT_ADDR;
    return the_one ? ssdt : NULL;
}

/* ---- device ------------------------------------------------------------- */

static char *uuid_text(const uint8_t u[16])
{
    return g_strdup_printf(
        "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
        u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10],
        u[11], u[12], u[13], u[14], u[15]);
}

/* The first three fields of a UUID are numbers, which memory has the other way
 * round (UEFI 2.8, appendix A). */
static void guid_of(uint8_t out[16], const uint8_t uuid[16])
{
    memcpy(out, uuid, 16);
    st_be32(out, ld_le32(uuid));
    st_be16(out + 4, ld_le16(uuid + 4));
    st_be16(out + 6, ld_le16(uuid + 6));
}

static void addr_written(void *arg, uint64_t off, uint64_t len)
{
    Vmgenid *s = arg;

    memcpy(s->addr, s->file, sizeof(s->addr));
}

/* Where the guest's firmware keeps the id, if it does. */
static void id_store(Vmgenid *s)
{
    uint64_t at = ld_le64(s->addr);

    if (at) {
        mem_write(&mem_system, at, s->guid, sizeof(s->guid), MEM_ATTRS_NONE);
    }
}

static void vmgenid_reset(Device *dev, ResetKind kind)
{
    Vmgenid *s = (Vmgenid *)dev;

    /* Firmware allocates anew after a cold reset; the page of a guest that wakes
     * is where it was. */
    if (kind != RESET_WAKE) {
        memset(s->addr, 0, sizeof(s->addr));
        memset(s->file, 0, sizeof(s->addr));
    }
}

/* It is on no bus that would reset it. */
static void board_reset(void *arg, ResetKind kind)
{
    vmgenid_reset(arg, kind);
}

static MACHINE_CALL bool vmgenid_realize(Device *dev, Error **errp)
{
    Vmgenid *s = (Vmgenid *)dev;
    uint8_t *page;

    if (the_one) {
        return error_set(errp, "at most one vmgenid device is permitted");
    }
    if (!fwcfg_present()) {
        return error_set(errp, "vmgenid requires DMA write support in fw_cfg, "
                         "which this machine type does not provide");
    }
    guid_of(s->guid, s->uuid);
    page = g_malloc0(GUID_PAGE);
    memcpy(page + VMGENID_OFFSET, s->guid, sizeof(s->guid));
    s->file = g_malloc0(sizeof(s->addr));
    if (!fwcfg_add_file_call(VMGENID_GUID_FILE, page, GUID_PAGE, NULL, NULL) ||
        !fwcfg_add_writable(VMGENID_ADDR_FILE, s->file, sizeof(s->addr),
                            addr_written, s)) {
        return error_set(errp, "vmgenid: fw_cfg has no room for its files");
    }
    reset_register(board_reset, s);
    the_one = s;
    return true;
}

static MACHINE_CALL void vmgenid_unrealize(Device *dev)
{
    reset_unregister(board_reset, dev);
    the_one = NULL;
}

static bool vmgenid_loaded(void *opaque, int version, Error **errp)
{
    Vmgenid *s = opaque;

    machine_assert_locked();
    memcpy(s->file, s->addr, sizeof(s->addr));
    id_store(s);
    if (ld_le64(s->addr) && acpi_board_pm) {
        acpi_gpe_raise(acpi_board_pm, GPE_VMGENID);
    }
    return true;
}

static bool guid_given(Obj *o, const Prop *p, const Json *v, Error **errp)
{
    ((Vmgenid *)o)->given = true;
    return true;
}

/* What was drawn is shown when it counts. */
static Json *guid_show(const Obj *o, const Prop *p, Error **errp)
{
    const Vmgenid *s = (const Vmgenid *)o;
    char *text = s->given || s->dev.realized ? uuid_text(s->uuid)
                                             : g_strdup("auto");
    Json *v = json_str(text);

    g_free(text);
    return v;
}

static const Prop vmgenid_props[] = {
    PROP_UUID("guid", Vmgenid, uuid, .def_str = "auto", .type = "str",
              .set = guid_given, .get = guid_show,
              .desc = "UUID (aka GUID) or \"auto\" for random value (default)"),
    PROP_END
};

static const VmState vmgenid_state = {
    .name = "vmgenid", .version = 1, .oldest = 1,
    .after_load = vmgenid_loaded,
    .fields = (const VmField[]){ VM_BYTES(Vmgenid, addr), VM_END },
};

DEVICE(vmgenid, {
    .name = "vmgenid", .category = "misc", .flags = DT_NO_HOTPLUG,
    .desc = "generation of the machine",
    .doc = "Tells a guest by a changed id that it was copied or set back, so "
           "that it draws new random numbers and joins clusters anew.",
    .size = sizeof(Vmgenid), .props = vmgenid_props,
    .vmstate = &vmgenid_state,
    .realize = vmgenid_realize, .unrealize = vmgenid_unrealize,
    .reset = vmgenid_reset,
});

/* ---- monitors ----------------------------------------------------------- */

bool cmd_query_vm_generation_id(const void *arg, void *ret, Error **errp)
{
    GuidInfo *info = ret;

    machine_assert_locked();
    if (!the_one) {
        return error_set(errp, "VM Generation ID device not found");
    }
    info->guid = uuid_text(the_one->uuid);
    return true;
}

void hmp_print_info_vm_generation_id(const void *ret, const Json *args)
{
    mon_printf("%s\n", ((const GuidInfo *)ret)->guid);
}
