/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * user-table.c - -acpitable: a table from files of the user's, with a header of
 * its own (file=) or one made here (data=), and fields of the header as the user
 * wants them (ACPI 6.3, 5.2.6).
 *
 * Thread class: machine lock.
 */
#include <glib.h>
#include <unistd.h>
#include "hw/acpi/tables.h"
#include "hw/fw/blob.h"
#include "opt.h"

#define HEADER 36u
#define LENGTH_AT 4
#define SUM_AT 9
#define MOST (1 * MiB)

typedef struct Field {
    const char *key;
    uint8_t at, len;
    bool number;
} Field;

static const Field fields[] = {
    { "sig", 0, 4, false }, { "rev", 8, 1, true }, { "oem_id", 10, 6, false },
    { "oem_table_id", 16, 8, false }, { "oem_rev", 24, 4, true },
    { "asl_compiler_id", 28, 4, false }, { "asl_compiler_rev", 32, 4, true },
};

static const uint8_t plain_header[HEADER] = {
    'Q', 'E', 'M', 'U', 0, 0, 0, 0, 1, 0, 'Q', 'E', 'M', 'U', 'Q', 'E',
    'Q', 'E', 'M', 'U', 'Q', 'E', 'M', 'U', 1, 0, 0, 0, 'Q', 'E', 'M', 'U',
    1,
};

/* Sets one member in the header; false: no such member, or a bad value. */
static bool set_field(uint8_t *header, const char *key, const char *value,
                      Error **errp)
{
    uint64_t v;

    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        const Field *f = &fields[i];
        uint8_t b[8];

        if (strcmp(f->key, key)) {
            continue;
        }
        if (!f->number) {              /* the rest is zeros                   */
            strncpy((char *)header + f->at, value, f->len);
            return true;
        }
        if (!opt_u64(key, value, &v, NULL) || v >> 8 * f->len) {
            return error_set(errp, "Parameter '%s' expects uint%u_t", key,
                             f->len * 8);
        }
        st_le64(b, v);
        memcpy(header + f->at, b, f->len);
        return true;
    }
    return error_set(errp, "Invalid parameter '%s'", key);
}

static MACHINE_CALL bool read_files(GByteArray *t, const char *list,
                                    Error **errp)
{
    g_auto(GStrv) names = g_strsplit(list, ":", 0);

    for (char **n = names; *n; n++) {
        uint8_t *data;
        uint64_t len;

        if (access(*n, R_OK)) {
            return error_set(errp, "can't open file %s: %s", *n,
                             strerror(errno));
        }
        if (!blob_read_file("ACPI table", *n, MOST, &data, &len, errp)) {
            return false;
        }
        g_byte_array_append(t, data, len);
        g_free(data);
        if (t->len > MOST) {
            return error_set(errp, "ACPI table %s is longer than %" PRIu64
                             " bytes", list, (uint64_t)MOST);
        }
    }
    return true;
}

static MACHINE_CALL bool make(GByteArray *t, const Json *o, Error **errp)
{
    const char *file = json_get_str(o, "file"), *data = json_get_str(o, "data");
    uint8_t sum = 0;

    if (!file == !data) {
        return error_set(errp, "'-acpitable' requires one of 'data' or "
                         "'file'");
    }
    if (data) {
        g_byte_array_append(t, plain_header, HEADER);
    }
    if (!read_files(t, data ? data : file, errp)) {
        return false;
    }
    if (t->len < HEADER) {
        return error_set(errp, "ACPI table claiming to have header is too "
                         "short, available: %u, expected: %u", t->len, HEADER);
    }
    for (size_t i = 0; i < json_count(o); i++) {
        const char *key = json_key_at(o, i);

        if (strcmp(key, "file") && strcmp(key, "data") &&
            !set_field(t->data, key, json_str_of(json_value_at(o, i)), errp)) {
            return false;
        }
    }
    st_le32(t->data + LENGTH_AT, t->len);
    t->data[SUM_AT] = 0;
    for (unsigned i = 0; i < t->len; i++) {
        sum += t->data[i];
    }
    t->data[SUM_AT] = (uint8_t)-sum;
    return true;
}

GByteArray *user_table_make(const char *arg, Error **errp)
{
    GByteArray *t = g_byte_array_new();
    Opts o;
    bool ok;

    if (!opts_parse(&o, arg, NULL, OPT_FLAT, errp)) {
        g_byte_array_free(t, TRUE);
        return NULL;
    }
    ok = make(t, o.obj, errp);
    opts_free(&o);
    if (!ok) {
        g_byte_array_free(t, TRUE);
    }
    return ok ? t : NULL;
}
