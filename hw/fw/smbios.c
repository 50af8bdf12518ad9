/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * smbios.c - -smbios: fields of structures by name, structures from files; and
 * where the finished tables go: to firmware through fw_cfg, or into memory for a
 * kernel that is started without it (DMTF DSP0134 3.6, section 5.2).
 *
 * Thread class: machine lock.
 */
#include <glib.h>
#include "config.h"
#include "hw/fw/blob.h"
#include "hw/fw/fw-cfg.h"
#include "hw/fw/smbios.h"
#include "opt.h"
#include "settings.h"

#define DIRECT_ADDR 0xf0000u
#define DIRECT_ROOM 0x10000u
#define FILE_MOST (1 * MiB)

typedef enum FieldKind { F_TEXT, F_BOOL, F_U8, F_U16, F_U64, F_UUID, F_RELEASE,
                         F_DEVICE_KIND, F_PATH } FieldKind;

static const struct {
    uint8_t type, kind;
    const char *key;
} rows[] = {
    { 0, F_TEXT, "vendor" }, { 0, F_TEXT, "version" }, { 0, F_TEXT, "date" },
    { 0, F_RELEASE, "release" }, { 0, F_BOOL, "uefi" },
    { 1, F_TEXT, "manufacturer" }, { 1, F_TEXT, "product" },
    { 1, F_TEXT, "version" }, { 1, F_TEXT, "serial" }, { 1, F_UUID, "uuid" },
    { 1, F_TEXT, "sku" }, { 1, F_TEXT, "family" },
    { 2, F_TEXT, "manufacturer" }, { 2, F_TEXT, "product" },
    { 2, F_TEXT, "version" }, { 2, F_TEXT, "serial" }, { 2, F_TEXT, "asset" },
    { 2, F_TEXT, "location" },
    { 3, F_TEXT, "manufacturer" }, { 3, F_TEXT, "version" },
    { 3, F_TEXT, "serial" }, { 3, F_TEXT, "asset" }, { 3, F_TEXT, "sku" },
    { 4, F_TEXT, "sock_pfx" }, { 4, F_TEXT, "manufacturer" },
    { 4, F_TEXT, "version" }, { 4, F_TEXT, "serial" }, { 4, F_TEXT, "asset" },
    { 4, F_TEXT, "part" }, { 4, F_U16, "max-speed" },
    { 4, F_U16, "current-speed" }, { 4, F_U64, "processor-id" },
    { 8, F_TEXT, "internal_reference" }, { 8, F_TEXT, "external_reference" },
    { 8, F_U8, "connector_type" }, { 8, F_U8, "port_type" },
    { 11, F_TEXT, "value" }, { 11, F_PATH, "path" },
    { 17, F_TEXT, "loc_pfx" }, { 17, F_TEXT, "bank" },
    { 17, F_TEXT, "manufacturer" }, { 17, F_TEXT, "serial" },
    { 17, F_TEXT, "asset" }, { 17, F_TEXT, "part" }, { 17, F_U16, "speed" },
    { 41, F_TEXT, "designation" }, { 41, F_DEVICE_KIND, "kind" },
    { 41, F_U8, "instance" }, { 41, F_TEXT, "pcidev" },
};

static bool type_known(uint64_t type)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].type == type) {
            return true;
        }
    }
    return false;
}

/* ---- values -------------------------------------------------------------- */

static bool number_ok(uint8_t type, const char *key, const char *v,
                      uint64_t most, Error **errp)
{
    uint64_t n;

    if (!opt_u64(key, v, &n, errp)) {
        return false;
    }
    if (n <= most) {
        return true;
    }
    if (type == 4) {
        return error_set(errp, "SMBIOS CPU speed is too large (> %" PRIu64 ")",
                         most);
    }
    return error_set(errp, "Parameter '%s' expects a number up to %" PRIu64,
                     key, most);
}

/* "4.5": two numbers of a byte each. */
static bool release_ok(const char *v)
{
    unsigned major, minor;
    char end;

    return strspn(v, "0123456789.") == strlen(v) &&
           sscanf(v, "%3u.%3u%c", &major, &minor, &end) == 2 && major < 256 &&
           minor < 256;
}

static bool kind_ok(const char *v)
{
    static const char *const kinds[] = {
        "other", "unknown", "video", "scsi", "ethernet", "tokenring", "sound",
        "pata", "sata", "sas",
    };

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (!strcmp(kinds[i], v)) {
            return true;
        }
    }
    return false;
}

static bool value_ok(uint8_t type, FieldKind kind, const char *key,
                     const char *v, Error **errp)
{
    uint8_t uuid[16];
    bool b;

    switch (kind) {
    case F_BOOL:
        return opt_bool(key, v, &b, errp);
    case F_U8:
        return number_ok(type, key, v, UINT8_MAX, errp);
    case F_U16:
        return number_ok(type, key, v, UINT16_MAX, errp);
    case F_U64:
        return number_ok(type, key, v, UINT64_MAX, errp);
    case F_UUID:
        return opt_uuid(v, uuid, NULL) || error_set(errp, "Invalid UUID");
    case F_RELEASE:
        return release_ok(v) || error_set(errp, "Invalid release");
    case F_DEVICE_KIND:
        return kind_ok(v) || error_set(errp, "invalid parameter value: %s", v);
    default:
        return true;
    }
}

/* ---- type=N,field=value -------------------------------------------------- */

/* Rows of type 11: one for each value or path, in the order given. */
static bool add_oem_string(Json *list, const char *key, const char *v,
                           Error **errp)
{
    g_autofree char *text = NULL;
    uint8_t *data;
    uint64_t len;
    Json *row;

    if (!strcmp(key, "path")) {
        if (!blob_read_file("file", v, 64 * KiB, &data, &len, NULL)) {
            return error_set(errp, "Could not open '%s': %s", v,
                             strerror(errno));
        }
        if (memchr(data, 0, len)) {
            g_free(data);
            return error_set(errp, "NUL in OEM strings value in '%s'", v);
        }
        text = g_strndup((char *)data, len);
        g_free(data);
        v = text;
    }
    row = json_obj();
    json_set_str(row, "value", v);
    json_add(list, row);
    return true;
}

/* A key given several times has a list of values: type 11 takes them all, other
 * types the last. */
static bool option_member(Json *into, uint8_t type, const char *key,
                          const Json *value, Error **errp)
{
    bool many = json_kind(value) == JSON_LIST;
    size_t n = many ? json_count(value) : 1, r = 0;

    while (r < ARRAY_SIZE(rows) &&
           (rows[r].type != type || strcmp(rows[r].key, key))) {
        r++;
    }
    if (r == ARRAY_SIZE(rows)) {
        return error_set(errp, "Invalid parameter '%s'", key);
    }
    for (size_t i = 0; i < n; i++) {
        const Json *v = many ? json_at(value, i) : value;
        const char *text = json_kind(v) == JSON_STR ? json_str_of(v) : NULL;

        if (!text) {
            return error_set(errp, "Parameter '%s' expects a string", key);
        }
        if (!value_ok(type, rows[r].kind, key, text, errp)) {
            return false;
        }
        if (type != 11) {
            json_set_str(into, key, text);
        } else if (!add_oem_string(into, key, text, errp)) {
            return false;
        }
    }
    return true;
}

static bool option_fields(Smbios *s, const Json *o, Error **errp)
{
    const char *given = json_get_str(o, "type");
    uint64_t type;
    bool list;
    Json *into;

    if (!opt_u64("type", given, &type, errp)) {
        return false;
    }
    if (type > 127) {
        return error_set(errp, "out of range!");
    }
    if (s->from_file[type / 8] & 1 << type % 8) {
        return error_set(errp, "can't add fields, binary file already loaded!");
    }
    if (!type_known(type)) {
        return error_set(errp, "Don't know how to build fields for SMBIOS type "
                         "%" PRIu64, type);
    }
    list = type == 8 || type == 11 || type == 41;
    if (!s->fields[type]) {
        s->fields[type] = list ? json_list() : json_obj();
    }
    into = s->fields[type];
    if (type == 8 || type == 41) {
        into = json_obj();
        json_add(s->fields[type], into);
    }
    for (size_t i = 0; i < json_count(o); i++) {
        const char *key = json_key_at(o, i);

        if (strcmp(key, "type") &&
            !option_member(into, type, key, json_value_at(o, i), errp)) {
            return false;
        }
    }
    return true;
}

/* ---- file= --------------------------------------------------------------- */

/* One structure: header with its length, then strings up to a double NUL. */
static bool option_file(Smbios *s, const Json *o, Error **errp)
{
    const char *file = json_get_str(o, "file");
    uint64_t len, end;
    uint8_t *data;
    bool ok = false;

    for (size_t i = 0; i < json_count(o); i++) {
        if (strcmp(json_key_at(o, i), "file")) {
            return error_set(errp, "Invalid parameter '%s'", json_key_at(o, i));
        }
    }
    if (!blob_read_file("SMBIOS file", file, FILE_MOST, &data, &len, NULL)) {
        return error_set(errp, "Cannot read SMBIOS file %s", file);
    }
    end = len >= 4 ? data[1] : 0;
    if (end < 4 || end > len) {
        error_set(errp, "Cannot read SMBIOS file %s", file);
    } else if (data[0] < 128 && s->fields[data[0]]) {
        error_set(errp, "can't load type %d struct, fields already specified!",
                  data[0]);
    } else {
        while (end + 2 < len && (data[end] || data[end + 1])) {
            end++;
        }
        s->file_count++;
        s->file_max = MAX2(s->file_max, len);
        if (data[0] < 128) {
            s->from_file[data[0] / 8] |= 1 << data[0] % 8;
        }
        g_byte_array_append(s->file, data, len);
        ok = true;
        if (end + 2 != len || data[len - 1] || data[len - 2]) {
            ok = error_set(errp, "SMBIOS file %s does not end with its one "
                           "structure", file);
        }
    }
    g_free(data);
    return ok;
}

bool smbios_option(Smbios *s, const char *arg, Error **errp)
{
    Opts o;
    bool ok;

    if (!s->file) {
        s->file = g_byte_array_new();
    }
    if (!opts_parse(&o, arg, NULL, OPT_FLAT | OPT_REPEAT, errp)) {
        return false;
    }
    if (json_get_str(o.obj, "file")) {
        ok = option_file(s, o.obj, errp);
    } else if (json_get_str(o.obj, "type")) {
        ok = option_fields(s, o.obj, errp);
    } else {
        ok = error_set(errp, "Must specify type= or file=");
    }
    opts_free(&o);
    return ok;
}

void smbios_free(Smbios *s)
{
    for (size_t i = 0; i < ARRAY_SIZE(s->fields); i++) {
        json_free(s->fields[i]);
    }
    if (s->file) {
        g_byte_array_unref(s->file);
    }
    *s = (Smbios){ 0 };
}

/* ---- where they go ------------------------------------------------------- */

static uint8_t minus_sum(const uint8_t *p, size_t n)
{
    uint8_t sum = 0;

    while (n--) {
        sum -= *p++;
    }
    return sum;
}

/* What firmware does: the entry point in the F segment, with the address of the
 * tables and its checksums. */
static MACHINE_CALL bool place(const SmbiosBlob *b, bool wide, Error **errp)
{
    uint32_t first = ALIGN_UP(b->anchor->len, 16);
    uint8_t *a = b->anchor->data;

    if (b->tables->len > DIRECT_ROOM - first) {
        return error_set(errp, "SMBIOS tables of %u bytes do not fit below "
                         "1 MiB", b->tables->len);
    }
    if (wide) {
        st_le64(a + 16, DIRECT_ADDR + first);
        a[5] = minus_sum(a, b->anchor->len);
    } else {
        st_le32(a + 24, DIRECT_ADDR + first);
        a[21] = minus_sum(a + 16, 15);
        a[4] = minus_sum(a, b->anchor->len);
    }
    return blob_add("SMBIOS entry point", DIRECT_ADDR,
                    g_memdup2(a, b->anchor->len), b->anchor->len, 0, errp) &&
           blob_add("SMBIOS tables", DIRECT_ADDR + first,
                    g_memdup2(b->tables->data, b->tables->len), b->tables->len,
                    0, errp);
}

/* The system's UUID is the machine's, however it was given. */
static void take_uuid(const Smbios *s)
{
    const char *text = s->fields[1] ? json_get_str(s->fields[1], "uuid") : NULL;

    if (text && opt_uuid(text, guest_uuid, NULL)) {
        guest_uuid_set = true;
        fwcfg_add_item(FW_UUID, guest_uuid, sizeof(guest_uuid));
    }
}

bool smbios_build(Pc *p, Error **errp)
{
    Smbios s = { 0 };
    SmbiosBlob b = { NULL };
    bool wide = p->smbios_ep == 1, ok = true;

    for (unsigned i = 0; ok && i < settings.smbios.n; i++) {
        report_where(settings.smbios.v[i].where);
        ok = smbios_option(&s, settings.smbios.v[i].arg, errp);
        if (ok) {
            report_where(NULL);
        }
    }
    if (ok) {
        take_uuid(&s);
    }
    if (ok && direct_boot && !s.fields[0]) {
        s.fields[0] = json_obj();      /* firmware would add its own          */
        json_set_str(s.fields[0], "vendor", "Tern");
        json_set_str(s.fields[0], "version", TERN_VERSION);
    }
    ok = ok && smbios_tables(&s, p, wide, &b, errp);
    if (ok && direct_boot) {
        ok = place(&b, wide, errp);
    } else if (ok) {
        ok = (fwcfg_add_file("etc/smbios/smbios-tables", b.tables->data,
                             b.tables->len) &&
              fwcfg_add_file("etc/smbios/smbios-anchor", b.anchor->data,
                             b.anchor->len)) ||
             error_set(errp, "no room in fw_cfg for the SMBIOS tables");
    }
    if (b.tables) {
        g_byte_array_unref(b.tables);
        g_byte_array_unref(b.anchor);
    }
    smbios_free(&s);
    return ok;
}
