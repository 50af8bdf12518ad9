/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * smbios-tables.c - SMBIOS structures and entry points (DMTF DSP0134 3.6: section
 * 5.2 entry points, 6.1 structure header and strings, 7.x the types). Handles and
 * defaults are those that guests of these machine types have seen so far.
 *
 * Thread class: machine lock.
 */
#include <glib.h>
#include "hw/fw/bytes.h"
#include "hw/fw/smbios.h"
#include "opt.h"

#define DIMM_MOST (16 * GiB)
#define H_BASEBOARD 0x200
#define H_CHASSIS 0x300
#define H_ARRAY 0x1000
#define NO_HANDLE 0xfffe

typedef struct Writer {
    const Smbios *s;
    const Pc *p;
    GByteArray *out;
    GString *strings;                  /* of the structure being written      */
    uint32_t at;                       /* where it begins                     */
    uint8_t nstrings;
    unsigned count, longest;
} Writer;

/* ---- structures ---------------------------------------------------------- */

static void put8(Writer *w, uint8_t v)
{
    bytes_put(w->out, v, 1);
}

static void put16(Writer *w, uint16_t v)
{
    bytes_put(w->out, v, 2);
}

static void put32(Writer *w, uint32_t v)
{
    bytes_put(w->out, v, 4);
}

static void put64(Writer *w, uint64_t v)
{
    bytes_put(w->out, v, 8);
}

static void put_text(Writer *w, const char *text)
{
    if (!text || !*text || w->nstrings == 255) {
        put8(w, 0);
        return;
    }
    g_string_append_len(w->strings, text, strlen(text) + 1);
    put8(w, ++w->nstrings);
}

static bool begin(Writer *w, uint8_t type, uint16_t handle)
{
    if (w->s->from_file[type / 8] & 1 << type % 8) {
        return false;
    }
    w->at = w->out->len;
    w->nstrings = 0;
    g_string_truncate(w->strings, 0);
    put8(w, type);
    put8(w, 0);
    put16(w, handle);
    return true;
}

static void end(Writer *w)
{
    w->out->data[w->at + 1] = w->out->len - w->at;
    g_byte_array_append(w->out, (uint8_t *)w->strings->str, w->strings->len);
    put8(w, 0);
    if (!w->nstrings) {
        put8(w, 0);
    }
    w->count++;
    w->longest = MAX2(w->longest, w->out->len - w->at);
}

/* ---- fields as given ----------------------------------------------------- */

static const char *text_of(const Json *o, const char *key, const char *without)
{
    const char *v = o ? json_get_str(o, key) : NULL;

    return v ? v : without;
}

static uint64_t number_of(const Json *o, const char *key, uint64_t without)
{
    const char *v = text_of(o, key, NULL);
    uint64_t n;

    return v && opt_u64(key, v, &n, NULL) ? n : without;
}

static const char *maker(const Json *o)
{
    return text_of(o, "manufacturer", "QEMU");
}

static const char *model(const Writer *w, const Json *o)
{
    return text_of(o, "product", w->p->m.type->desc);
}

static const char *version(const Writer *w, const Json *o)
{
    return text_of(o, "version", w->p->m.type->name);
}

/* ---- the types ----------------------------------------------------------- */

static void type0_bios(Writer *w)
{
    const Json *o = w->s->fields[0];
    unsigned major = 0, minor = 0;
    bool uefi = false;

    if (!o || !begin(w, 0, 0)) {
        return;
    }
    sscanf(text_of(o, "release", "0.0"), "%3u.%3u", &major, &minor);
    opt_bool("uefi", text_of(o, "uefi", "off"), &uefi, NULL);
    put_text(w, text_of(o, "vendor", NULL));
    put_text(w, text_of(o, "version", NULL));
    put16(w, 0xe800);
    put_text(w, text_of(o, "date", NULL));
    put8(w, 0);                        /* 64 KiB                              */
    put64(w, 8);                       /* no characteristics known            */
    put8(w, 0);
    put8(w, 0x14 | (uefi ? 8 : 0));    /* virtual machine, may be replaced    */
    put8(w, major);
    put8(w, minor);
    put16(w, 0xffff);
    end(w);
}

static void type1_system(Writer *w)
{
    const Json *o = w->s->fields[1];
    const char *given = text_of(o, "uuid", NULL);
    uint8_t uuid[16];

    if (!begin(w, 1, 0x100)) {
        return;
    }
    if (!given || !opt_uuid(given, uuid, NULL)) {
        memcpy(uuid, guest_uuid, 16);
    }
    put_text(w, maker(o));
    put_text(w, model(w, o));
    put_text(w, version(w, o));
    put_text(w, text_of(o, "serial", NULL));
    /* The first three groups are little-endian here. */
    put32(w, ld_be32(uuid));
    put16(w, ld_be16(uuid + 4));
    put16(w, ld_be16(uuid + 6));
    g_byte_array_append(w->out, uuid + 8, 8);
    put8(w, 6);                        /* woken by the power switch           */
    put_text(w, text_of(o, "sku", NULL));
    put_text(w, text_of(o, "family", NULL));
    end(w);
}

static void type2_board(Writer *w)
{
    const Json *o = w->s->fields[2];

    if (!o || !begin(w, 2, H_BASEBOARD)) {
        return;
    }
    put_text(w, maker(o));
    put_text(w, model(w, o));
    put_text(w, version(w, o));
    put_text(w, text_of(o, "serial", NULL));
    put_text(w, text_of(o, "asset", NULL));
    put8(w, 1);                        /* hosts other boards                  */
    put_text(w, text_of(o, "location", NULL));
    put16(w, H_CHASSIS);
    put8(w, 0x0a);                     /* motherboard                         */
    put8(w, 0);
    end(w);
}

static void type3_chassis(Writer *w)
{
    const Json *o = w->s->fields[3];

    if (!begin(w, 3, H_CHASSIS)) {
        return;
    }
    put_text(w, maker(o));
    put8(w, 1);                        /* other                               */
    put_text(w, version(w, o));
    put_text(w, text_of(o, "serial", NULL));
    put_text(w, text_of(o, "asset", NULL));
    put8(w, 3);                        /* safe: boot-up, power, thermal       */
    put8(w, 3);
    put8(w, 3);
    put8(w, 2);                        /* security unknown                    */
    put32(w, 0);
    put8(w, 0);                        /* height, cords, elements and their   */
    put8(w, 0);                        /* length                              */
    put8(w, 0);
    put8(w, 0);
    put_text(w, text_of(o, "sku", NULL));
    end(w);
}

/* CPUID leaf 1: signature, and the features of the model whatever the topology
 * adds. */
static uint64_t processor_id(void)
{
    uint32_t id[4];

    if (!cpu_count) {
        return 0;
    }
    x86_cpuid(x86_cpu(cpus[0]), 1, 0, id);
    return x86_cpu(cpus[0])->features[FW_1_EDX] << 32 | id[0];
}

static void type4_processor(Writer *w, unsigned n, bool wide)
{
    const Json *o = w->s->fields[4];
    const Machine *m = &w->p->m;
    unsigned ncores = MAX2(m->cores, 1u) * MAX2(m->dies, 1u);
    unsigned nthreads = ncores * MAX2(m->threads, 1u);
    g_autofree char *socket = g_strdup_printf("%s%2x",
                                              text_of(o, "sock_pfx", "CPU"), n);
    uint64_t given = number_of(o, "processor-id", 0);

    if (!begin(w, 4, 0x400 + n)) {
        return;
    }
    put_text(w, socket);
    put8(w, 3);                        /* central processor                   */
    put8(w, 1);                        /* family: other                       */
    put_text(w, maker(o));
    put64(w, given ? given : processor_id());
    put_text(w, version(w, o));
    put8(w, 0);                        /* voltage, external clock unknown     */
    put16(w, 0);
    put16(w, number_of(o, "max-speed", 2000));
    put16(w, number_of(o, "current-speed", 2000));
    put8(w, 0x41);                     /* populated, enabled                  */
    put8(w, 1);
    put16(w, 0xffff);                  /* no cache structures                 */
    put16(w, 0xffff);
    put16(w, 0xffff);
    put_text(w, text_of(o, "serial", NULL));
    put_text(w, text_of(o, "asset", NULL));
    put_text(w, text_of(o, "part", NULL));
    put8(w, MIN2(ncores, 255u));
    put8(w, MIN2(ncores, 255u));
    put8(w, MIN2(nthreads, 255u));
    put16(w, 2);                       /* characteristics unknown             */
    put16(w, 1);
    if (wide) {
        put16(w, ncores);
        put16(w, ncores);
        put16(w, nthreads);
    }
    end(w);
}

static void type8_ports(Writer *w)
{
    const Json *list = w->s->fields[8];

    for (size_t i = 0; list && i < json_count(list); i++) {
        const Json *o = json_at(list, i);

        if (!begin(w, 8, i)) {
            return;
        }
        put_text(w, text_of(o, "internal_reference", NULL));
        put8(w, 0);
        put_text(w, text_of(o, "external_reference", NULL));
        put8(w, number_of(o, "connector_type", 0));
        put8(w, number_of(o, "port_type", 0));
        end(w);
    }
}

static void type11_oem(Writer *w)
{
    const Json *list = w->s->fields[11];
    size_t n = list ? json_count(list) : 0;

    if (!n || !begin(w, 11, 0x0e00)) {
        return;
    }
    put8(w, MIN2(n, 255u));
    for (size_t i = 0; i < n && w->nstrings < 255; i++) {
        const char *v = json_get_str(json_at(list, i), "value");

        /* An empty string would end the list. */
        v = v && *v ? v : " ";
        g_string_append_len(w->strings, v, strlen(v) + 1);
        w->nstrings++;
    }
    end(w);
}

static void type16_array(Writer *w, unsigned ndimms)
{
    uint64_t size = w->p->m.ram_size, kib = size / KiB;

    if (!begin(w, 16, H_ARRAY)) {
        return;
    }
    put8(w, 1);                        /* location: other                     */
    put8(w, 3);                        /* system memory                       */
    put8(w, 6);                        /* multi-bit ECC                       */
    put32(w, kib < 0x80000000u ? kib : 0x80000000u);
    put16(w, NO_HANDLE);
    put16(w, ndimms);
    put64(w, kib < 0x80000000u ? 0 : size);
    end(w);
}

static void type17_dimm(Writer *w, unsigned n, uint64_t size)
{
    const Json *o = w->s->fields[17];
    g_autofree char *where = g_strdup_printf("%s %u",
                                             text_of(o, "loc_pfx", "DIMM"), n);
    uint64_t mib = size / MiB;

    if (!begin(w, 17, 0x1100 + n)) {
        return;
    }
    put16(w, H_ARRAY);
    put16(w, NO_HANDLE);
    put16(w, 0xffff);                  /* widths unknown                      */
    put16(w, 0xffff);
    put16(w, mib < 0x7fff ? mib : 0x7fff);
    put8(w, 9);                        /* DIMM                                */
    put8(w, 0);
    put_text(w, where);
    put_text(w, text_of(o, "bank", NULL));
    put8(w, 7);                        /* RAM                                 */
    put16(w, 2);                       /* detail: other                       */
    put16(w, number_of(o, "speed", 0));
    put_text(w, maker(o));
    put_text(w, text_of(o, "serial", NULL));
    put_text(w, text_of(o, "asset", NULL));
    put_text(w, text_of(o, "part", NULL));
    put8(w, 0);
    put32(w, mib < 0x7fff ? 0 : mib);
    put16(w, number_of(o, "speed", 0));
    put16(w, 0);                       /* voltages unknown                    */
    put16(w, 0);
    put16(w, 0);
    end(w);
}

static void type19_range(Writer *w, unsigned n, uint64_t first, uint64_t size)
{
    uint64_t last = first + size - 1;
    bool fits = last / KiB < UINT32_MAX;

    if (!size || !begin(w, 19, 0x1300 + n)) {
        return;
    }
    put32(w, fits ? first / KiB : UINT32_MAX);
    put32(w, fits ? last / KiB : UINT32_MAX);
    put16(w, H_ARRAY);
    put8(w, 1);
    put64(w, fits ? 0 : first);
    put64(w, fits ? 0 : last);
    end(w);
}

static void type32_boot(Writer *w)
{
    if (!begin(w, 32, 0x2000)) {
        return;
    }
    put32(w, 0);
    put16(w, 0);
    put8(w, 0);                        /* no errors                           */
    end(w);
}

static unsigned device_kind(const char *name)
{
    static const char *const kinds[] = {
        "other", "unknown", "video", "scsi", "ethernet", "tokenring", "sound",
        "pata", "sata", "sas",
    };

    for (unsigned i = 0; name && i < ARRAY_SIZE(kinds); i++) {
        if (!strcmp(kinds[i], name)) {
            return i + 1;
        }
    }
    return 0;
}

static MACHINE_CALL bool type41_onboard(Writer *w, Error **errp)
{
    const Json *list = w->s->fields[41];

    for (size_t i = 0; list && i < json_count(list); i++) {
        const Json *o = json_at(list, i);
        const char *id = text_of(o, "pcidev", NULL);
        const char *name = text_of(o, "designation", NULL);
        PciDevice *d = NULL;

        if (id) {
            Device *dev = device_find(id);

            d = dev && dev->bus && dev->bus->type == &bus_pci
                ? (PciDevice *)dev : NULL;
            if (!d) {
                return error_set(errp, "No PCI device %s for SMBIOS type 41 "
                                 "entry %s", id, name ? name : "(null)");
            }
        }
        if (!begin(w, 41, 0x2900 + i)) {
            return true;
        }
        put_text(w, name);
        put8(w, 0x80 | device_kind(text_of(o, "kind", NULL)));
        put8(w, number_of(o, "instance", 1));
        put16(w, 0);
        put8(w, d ? pci_bus_num((PciBus *)d->dev.bus) : 0);
        put8(w, d ? d->devfn : 0);
        end(w);
    }
    return true;
}

/* ---- all of it ----------------------------------------------------------- */

static MACHINE_CALL bool write_all(Writer *w, bool wide, Error **errp)
{
    const Pc *p = w->p;
    unsigned ndimms = (p->m.ram_size + DIMM_MOST - 1) / DIMM_MOST;
    uint64_t left = p->m.ram_size;

    type0_bios(w);
    type1_system(w);
    type2_board(w);
    type3_chassis(w);
    for (unsigned i = 0; i < MAX2(p->m.sockets, 1u); i++) {
        type4_processor(w, i, wide);
    }
    type8_ports(w);
    type11_oem(w);
    type16_array(w, ndimms);
    for (unsigned i = 0; i < ndimms; i++) {
        uint64_t size = MIN2(left, DIMM_MOST);

        type17_dimm(w, i, size);
        left -= size;
    }
    type19_range(w, 0, 0, p->below_4g);
    type19_range(w, 1, 4 * GiB, p->above_4g);
    type32_boot(w);
    if (!type41_onboard(w, errp)) {
        return false;
    }
    if (begin(w, 127, 0x7f00)) {
        end(w);
    }
    if (!wide && w->out->len > UINT16_MAX) {
        error_set(errp, "SMBIOS 2.1 table length %u exceeds %u", w->out->len,
                  UINT16_MAX);
        error_hint(errp, "Add -machine smbios-entry-point-type=64.");
        return false;
    }
    return true;
}

static GByteArray *anchor_of(const Writer *w, bool wide)
{
    GByteArray *a = g_byte_array_new();
    uint8_t old[31] = "_SM_", new[24] = "_SM3_";

    if (wide) {
        new[6] = sizeof(new);
        new[7] = 3;                    /* 3.0                                 */
        new[10] = 1;
        st_le32(new + 12, w->out->len);
        return g_byte_array_append(a, new, sizeof(new));
    }
    old[5] = sizeof(old);
    old[6] = 2;
    old[7] = 8;
    st_le16(old + 8, w->longest);
    memcpy(old + 16, "_DMI_", 5);
    st_le16(old + 22, w->out->len);
    st_le16(old + 28, w->count);
    old[30] = 0x28;
    return g_byte_array_append(a, old, sizeof(old));
}

bool smbios_tables(const Smbios *s, const Pc *p, bool wide, SmbiosBlob *out,
                   Error **errp)
{
    Writer w = {
        .s = s, .p = p, .out = g_byte_array_new(),
        .strings = g_string_new(NULL), .count = s->file_count,
        .longest = s->file_max,
    };
    bool ok;

    if (s->file) {
        g_byte_array_append(w.out, s->file->data, s->file->len);
    }
    ok = write_all(&w, wide, errp);
    g_string_free(w.strings, TRUE);
    if (!ok) {
        g_byte_array_unref(w.out);
        return false;
    }
    out->tables = w.out;
    out->anchor = anchor_of(&w, wide);
    return true;
}
