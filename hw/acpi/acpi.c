/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * acpi.c - the ACPI tables of the pc board and the loader script by which
 * firmware places them (ACPI 6.3, section 5.2; HPET table: IA-PC HPET 1.0a,
 * section 3.2.4; the script as published in QEMU's docs/specs/fw_cfg and
 * SeaBIOS's romfile_loader: allocate, add pointer, add checksum).
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. Tables are made again when firmware first reads them after a reset: the
 *    power-management block's address is known only then.
 * 2. Inside the blob a pointer holds an offset within the blob; the script, or
 *    place() for a boot without firmware, adds the blob's address.
 */
#include <glib.h>
#include "accel.h"
#include "hw/acpi/tables.h"
#include "numa.h"
#include "hw/misc/misc.h"
#include "hw/fw/blob.h"
#include "hw/fw/bytes.h"
#include "hw/fw/fw-cfg.h"
#include "settings.h"

#define FILE_TABLES "etc/acpi/tables"
#define FILE_RSDP   "etc/acpi/rsdp"
#define FILE_LOADER "etc/table-loader"
#define TABLES_ROOM 0x20000
#define LOADER_ROOM 0x1000
#define TABLES_MOST 24                 /* in the RSDT, and itself             */

enum { LOAD_ALLOCATE = 1, LOAD_POINTER = 2, LOAD_CHECKSUM = 3,
       LOAD_WRITE_POINTER = 4 };
enum { ZONE_HIGH = 1, ZONE_FSEG = 2 };

typedef struct Build {
    GByteArray *tables, *loader, *ptrs, *sums;
    uint32_t table_at[TABLES_MOST];
    unsigned ntables;
    uint32_t facs, dsdt, rsdt;
    uint32_t genid_ptr;                /* word for the id's page; 0: none     */
    uint8_t rsdp[20];
    const Pc *p;
    AcpiFacts facts;
    char oem[7], oem_table[9];
} Build;

static bool made;                      /* since the last reset                */

/* ---- script -------------------------------------------------------------- */

static void script(Build *b, uint32_t command, const uint8_t *args, size_t n)
{
    uint8_t e[128] = { 0 };

    st_le32(e, command);
    memcpy(e + 4, args, n);
    g_byte_array_append(b->loader, e, sizeof(e));
}

static void script_allocate(Build *b, const char *file, uint32_t align,
                            uint8_t zone)
{
    uint8_t a[61] = { 0 };

    g_strlcpy((char *)a, file, 56);
    st_le32(a + 56, align);
    a[60] = zone;
    script(b, LOAD_ALLOCATE, a, sizeof(a));
}

static void script_pointer(Build *b, const char *in, const char *to,
                           uint32_t off, uint8_t size)
{
    uint8_t a[117] = { 0 };

    g_strlcpy((char *)a, in, 56);
    g_strlcpy((char *)a + 56, to, 56);
    st_le32(a + 112, off);
    a[116] = size;
    script(b, LOAD_POINTER, a, sizeof(a));
}

static void script_checksum(Build *b, const char *in, uint32_t off,
                            uint32_t start, uint32_t len)
{
    uint8_t a[68] = { 0 };

    g_strlcpy((char *)a, in, 56);
    st_le32(a + 56, off);
    st_le32(a + 60, start);
    st_le32(a + 64, len);
    script(b, LOAD_CHECKSUM, a, sizeof(a));
}

/* ---- tables -------------------------------------------------------------- */

static void put8(Build *b, uint8_t v)
{
    bytes_put(b->tables, v, 1);
}

static void put16(Build *b, uint16_t v)
{
    bytes_put(b->tables, v, 2);
}

static void put32(Build *b, uint32_t v)
{
    bytes_put(b->tables, v, 4);
}

static void put64(Build *b, uint64_t v)
{
    bytes_put(b->tables, v, 8);
}

/* A pointer to offset `to` of the blob. */
static void put_ptr(Build *b, uint32_t to)
{
    uint32_t at = b->tables->len;

    put32(b, to);
    g_byte_array_append(b->ptrs, (uint8_t *)&at, sizeof(at));
}

static uint32_t table_begin(Build *b, const char *sig, uint8_t rev)
{
    uint32_t at = b->tables->len;
    char creator[4] = { 'B', 'X', 'P', 'C' };

    g_byte_array_append(b->tables, (const uint8_t *)sig, 4);
    put32(b, 0);
    put8(b, rev);
    put8(b, 0);
    g_byte_array_append(b->tables, (const uint8_t *)b->oem, 6);
    g_byte_array_append(b->tables, (const uint8_t *)b->oem_table, 8);
    put32(b, 1);
    g_byte_array_append(b->tables, (const uint8_t *)creator, 4);
    put32(b, 1);
    return at;
}

static void table_end(Build *b, uint32_t at)
{
    uint32_t row[2] = { at, b->tables->len - at };

    st_le32(b->tables->data + at + 4, row[1]);
    g_byte_array_append(b->sums, (uint8_t *)row, sizeof(row));
    b->table_at[b->ntables++] = at;
}

static void facs_make(Build *b)
{
    uint8_t t[64] = { 'F', 'A', 'C', 'S', 64 };

    b->facs = b->tables->len;
    g_byte_array_append(b->tables, t, sizeof(t));
}

static MACHINE_CALL void aml_table(Build *b, const char *sig, bool dsdt)
{
    Aml a = { .b = b->tables };
    uint32_t at = table_begin(b, sig, 1);

    if (dsdt) {
        dsdt_write(&a, b->p, &b->facts);
        b->dsdt = at;
    }
    table_end(b, at);
    if (dsdt) {
        b->ntables--;                  /* found through the FADT, not the RSDT */
    }
}

/* The generation id's page is its own file, placed by firmware alone. */
static MACHINE_CALL void genid_make(Build *b)
{
    size_t len, addr;
    const uint8_t *aml = vmgenid_ssdt(&len, &addr);
    uint32_t at;

    if (!aml) {
        return;
    }
    at = table_begin(b, "SSDT", 1);
    memcpy(b->tables->data + at + 16, "VMGENID ", 8);
    b->genid_ptr = b->tables->len + addr;
    g_byte_array_append(b->tables, aml, len);
    table_end(b, at);
}

static void fadt_make(Build *b)
{
    uint32_t at = table_begin(b, "FACP", 1);
    uint16_t pm = b->facts.pm_base;

    put_ptr(b, b->facs);
    put_ptr(b, b->dsdt);
    put8(b, 1);                        /* interrupt model: dual PIC and APIC  */
    put8(b, 0);
    put16(b, 9);                       /* SCI                                 */
    /* Without SMM the board is in ACPI mode from the start. */
    put32(b, b->facts.smm ? 0xb2 : 0);
    put8(b, b->facts.smm ? 0xf1 : 0);
    put8(b, b->facts.smm ? 0xf0 : 0);
    put8(b, 0);
    put8(b, 0);
    put32(b, pm);
    put32(b, 0);
    put32(b, pm + 4);
    put32(b, 0);
    put32(b, 0);
    put32(b, pm + 8);
    put32(b, 0xafe0);
    put32(b, 0);
    put8(b, 4);                        /* lengths: PM1 event, control, PM2,   */
    put8(b, 2);
    put8(b, 0);
    put8(b, 4);                        /* timer, GPE0, GPE1, GPE1 base        */
    put8(b, 4);
    put8(b, 0);
    put8(b, 0);
    put8(b, 0);
    put16(b, 0xfff);                   /* neither C2 nor C3                   */
    put16(b, 0xfff);
    put32(b, 0);
    put32(b, 0);
    put8(b, 0x32);                     /* century in CMOS                     */
    put16(b, 0);
    put8(b, 0);
    /* WBINVD, PROC_C1, SLP_BUTTON, RTC_S4; USE_PLATFORM_CLOCK as the board has
     * a PM timer; with more than eight vCPUs, logical clusters are not used. */
    put32(b, 1 << 0 | 1 << 2 | 1 << 5 | 1 << 7 | 1 << 15 |
             (b->p->m.max_cpus > 8 ? 1 << 19 : 0));
    table_end(b, at);
}

static void madt_override(Build *b, uint8_t irq, uint32_t gsi, uint16_t flags)
{
    put8(b, 2);
    put8(b, 10);
    put8(b, 0);
    put8(b, irq);
    put32(b, gsi);
    put16(b, flags);
}

static MACHINE_CALL void madt_make(Build *b)
{
    uint32_t at = table_begin(b, "APIC", 1);

    put32(b, PC_LAPIC_ADDR);
    put32(b, 1);
    /* Those that may come are listed, not enabled. */
    for (unsigned i = 0; i < machine->max_cpus; i++) {
        uint32_t id = machine_apic_id(machine, i), here = cpu_by_index(i) != 0;

        if (id < 255) {
            put8(b, 0);
            put8(b, 8);
            put8(b, i);
            put8(b, id);
            put32(b, here);
        } else {                       /* x2APIC                              */
            put8(b, 9);
            put8(b, 16);
            put16(b, 0);
            put32(b, id);
            put32(b, here);
            put32(b, i);
        }
    }
    put8(b, 1);
    put8(b, 12);
    put8(b, 0);
    put8(b, 0);
    put32(b, PC_IOAPIC_ADDR);
    put32(b, 0);
    madt_override(b, 0, 2, 0);
    for (unsigned irq = 5; irq <= 11; irq++) {
        if (irq == 5 || irq >= 9) {
            madt_override(b, irq, irq, 0x0d);      /* level, active high      */
        }
    }
    put8(b, 4);                        /* LINT1 is NMI everywhere             */
    put8(b, 6);
    put8(b, 0xff);
    put16(b, 0);
    put8(b, 1);
    table_end(b, at);
}

static void hpet_make(Build *b)
{
    uint32_t at = table_begin(b, "HPET", 1);

    put32(b, 0x8086a201);
    put32(b, 0);
    put64(b, PC_HPET_ADDR);
    put8(b, 0);
    put16(b, 0);
    put8(b, 0);
    table_end(b, at);
}

static MACHINE_CALL void numa_make(Build *b)
{
    uint32_t at;

    if (!numa_count) {
        return;
    }
    at = table_begin(b, "SRAT", 1);
    srat_write(b->tables, b->p);
    table_end(b, at);
    if (numa_has_distances) {
        at = table_begin(b, "SLIT", 1);
        slit_write(b->tables);
        table_end(b, at);
    }
}

static void waet_make(Build *b)
{
    uint32_t at = table_begin(b, "WAET", 1);

    put32(b, 2);                       /* one read of the PM timer is enough  */
    table_end(b, at);
}

static void rsdt_make(Build *b)
{
    unsigned n = b->ntables;
    uint32_t at = table_begin(b, "RSDT", 1);

    for (unsigned i = 0; i < n; i++) {
        put_ptr(b, b->table_at[i]);
    }
    b->rsdt = at;
    table_end(b, at);
}

/* ---- -acpitable ---------------------------------------------------------- */

static MACHINE_CALL bool user_table(Build *b, const char *arg, Error **errp)
{
    GByteArray *t;

    if (b->ntables >= TABLES_MOST - 1) {       /* the RSDT comes yet          */
        return error_set(errp, "too many ACPI tables: at most %d fit",
                         TABLES_MOST - 1);
    }
    t = user_table_make(arg, errp);
    if (!t) {
        return false;
    }
    b->table_at[b->ntables++] = b->tables->len;
    g_byte_array_append(b->tables, t->data, t->len);
    g_byte_array_free(t, TRUE);
    return true;
}

/* ---- all of it ----------------------------------------------------------- */

static MACHINE_CALL void facts_read(Build *b)
{
    PciDevice *pm = (PciDevice *)b->p->pm;

    if (pm && pm->config[0x80] & 1) {
        b->facts.pm_base = ld_le16(pm->config + 0x40) & 0xffc0;
    }
    if (pm) {
        piix4_pm_sleep_states(b->p->pm, &b->facts.s3, &b->facts.s4,
                              &b->facts.s4_val);
    }
    b->facts.smm = b->p->smm == OOA_ON ||
                   (b->p->smm == OOA_AUTO && accel_has_smm());
    b->facts.hole64_first = ALIGN_UP(4 * GiB + b->p->above_4g, 1 * GiB);
    b->facts.hole64_last = b->facts.hole64_first + 2 * GiB - 1;
}

static void id_fill(char *to, size_t n, const char *s)
{
    memset(to, ' ', n);
    memcpy(to, s, MIN2(strlen(s), n));
}

static MACHINE_CALL bool tables_make(Build *b, const Pc *p, Error **errp)
{
    *b = (Build){
        .p = p, .tables = g_byte_array_new(), .loader = g_byte_array_new(),
        .ptrs = g_byte_array_new(), .sums = g_byte_array_new(),
    };
    id_fill(b->oem, 6, p->oem_id ? p->oem_id : "BOCHS");
    id_fill(b->oem_table, 8, p->oem_table_id ? p->oem_table_id : "BXPC");
    facts_read(b);
    facs_make(b);
    aml_table(b, "DSDT", true);
    fadt_make(b);
    madt_make(b);
    if (p->hpet_dev) {
        hpet_make(b);
    }
    numa_make(b);
    waet_make(b);
    genid_make(b);
    for (unsigned i = 0; i < settings.acpitable.n; i++) {
        report_where(settings.acpitable.v[i].where);
        if (!user_table(b, settings.acpitable.v[i].arg, errp)) {
            return false;
        }
        report_where(NULL);
    }
    rsdt_make(b);
    memcpy(b->rsdp, "RSD PTR ", 8);
    memcpy(b->rsdp + 9, b->oem, 6);
    st_le32(b->rsdp + 16, b->rsdt);
    return true;
}

static void script_make(Build *b)
{
    const uint32_t *ptr = (const uint32_t *)b->ptrs->data;
    const uint32_t *sum = (const uint32_t *)b->sums->data;

    script_allocate(b, FILE_RSDP, 16, ZONE_FSEG);
    script_allocate(b, FILE_TABLES, 64, ZONE_HIGH);
    for (size_t i = 0; i < b->ptrs->len / 4; i++) {
        script_pointer(b, FILE_TABLES, FILE_TABLES, ptr[i], 4);
    }
    if (b->genid_ptr) {
        uint8_t a[124] = { 0 };

        script_allocate(b, VMGENID_GUID_FILE, 4096, ZONE_HIGH);
        script_pointer(b, FILE_TABLES, VMGENID_GUID_FILE, b->genid_ptr, 4);
        /* Written file, file pointed at, offset in each, size. */
        g_strlcpy((char *)a, VMGENID_ADDR_FILE, 56);
        g_strlcpy((char *)a + 56, VMGENID_GUID_FILE, 56);
        st_le32(a + 116, VMGENID_OFFSET);
        a[120] = 8;
        script(b, LOAD_WRITE_POINTER, a, sizeof(a));
    }
    for (size_t i = 0; i < b->sums->len / 8; i++) {
        script_checksum(b, FILE_TABLES, sum[i * 2] + 9, sum[i * 2],
                        sum[i * 2 + 1]);
    }
    script_pointer(b, FILE_RSDP, FILE_TABLES, 16, 4);
    script_checksum(b, FILE_RSDP, 8, 0, sizeof(b->rsdp));
}

static void build_free(Build *b)
{
    g_byte_array_unref(b->tables);
    g_byte_array_unref(b->loader);
    g_byte_array_unref(b->ptrs);
    g_byte_array_unref(b->sums);
}

/* Files keep their sizes, which firmware may have read already. */
static void publish(Build *b)
{
    script_make(b);
    g_byte_array_set_size(b->tables, ALIGN_UP(b->tables->len, TABLES_ROOM));
    g_byte_array_set_size(b->loader, ALIGN_UP(b->loader->len, LOADER_ROOM));
    fwcfg_update_file(FILE_TABLES, b->tables->data, b->tables->len);
    fwcfg_update_file(FILE_LOADER, b->loader->data, b->loader->len);
    fwcfg_update_file(FILE_RSDP, b->rsdp, sizeof(b->rsdp));
}

static MACHINE_CALL void selected(void *arg)
{
    Build b;

    if (made) {
        return;
    }
    made = true;
    if (tables_make(&b, arg, NULL)) {
        publish(&b);
    }
    build_free(&b);
}

static void acpi_reset(void *arg, ResetKind kind)
{
    made = false;
}

bool acpi_build(Pc *p, Error **errp)
{
    Build b;
    bool ok = tables_make(&b, p, errp);

    if (ok) {
        uint32_t len = ALIGN_UP(b.tables->len, TABLES_ROOM);
        uint32_t llen;

        script_make(&b);
        llen = ALIGN_UP(b.loader->len, LOADER_ROOM);
        ok = fwcfg_add_file_call(FILE_TABLES, g_malloc0(len), len, selected,
                                 p) &&
             fwcfg_add_file_call(FILE_RSDP, g_malloc0(20), 20, selected, p) &&
             fwcfg_add_file_call(FILE_LOADER, g_malloc0(llen), llen, selected,
                                 p);
        if (!ok) {
            error_set(errp, "no room in fw_cfg for the ACPI tables");
        }
        reset_register(acpi_reset, NULL);
    }
    build_free(&b);
    return ok;
}

/* ---- without firmware ---------------------------------------------------- */

static uint8_t sum_of(const uint8_t *p, uint32_t n)
{
    uint8_t s = 0;

    while (n--) {
        s += *p++;
    }
    return -s;
}

/* Does what the script says, for a blob at guest address `base`; the RSDP
 * follows the tables. */
bool acpi_place(const Pc *p, uint64_t base, uint8_t **data, uint64_t *len,
                uint64_t *rsdp, Error **errp)
{
    Build b;
    const uint32_t *ptr, *sum;
    uint32_t at;

    if (!tables_make(&b, p, errp)) {
        build_free(&b);
        return false;
    }
    ptr = (const uint32_t *)b.ptrs->data;
    sum = (const uint32_t *)b.sums->data;
    for (size_t i = 0; i < b.ptrs->len / 4; i++) {
        uint8_t *q = b.tables->data + ptr[i];

        st_le32(q, ld_le32(q) + base);
    }
    for (size_t i = 0; i < b.sums->len / 8; i++) {
        uint8_t *t = b.tables->data + sum[i * 2];

        t[9] = 0;
        t[9] = sum_of(t, sum[i * 2 + 1]);
    }
    g_byte_array_set_size(b.tables, ALIGN_UP(b.tables->len, 16));
    at = b.tables->len;
    st_le32(b.rsdp + 16, b.rsdt + base);
    b.rsdp[8] = sum_of(b.rsdp, sizeof(b.rsdp));
    g_byte_array_append(b.tables, b.rsdp, sizeof(b.rsdp));
    *rsdp = base + at;
    *len = b.tables->len;
    *data = g_memdup2(b.tables->data, b.tables->len);
    build_free(&b);
    return true;
}
