/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pflash.c - parallel flash of the Intel command set (Common Flash Memory
 * Interface, JEDEC JESD68.01; Intel StrataFlash, order 290667, section 4), and
 * the PC's firmware in two such chips below 4 GiB.
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. What the array holds and what the image holds are equal after each command
 *    but where the image refused: then the status register tells of it.
 * 2. A buffered write stays within one aligned buffer of BUFFER bytes.
 */
#include <glib.h>
#include "blk-conf.h"
#include "pc.h"

#define BUFFER 2048
#define SECTOR 4096

enum { SR_READY = 0x80, SR_ERASE = 0x20, SR_PROGRAM = 0x10 };

typedef struct Pflash {
    Device dev;
    BlkBackend *blk;                   /* properties                          */
    uint32_t num_blocks;
    uint64_t sector;
    uint8_t width, device_width, max_device_width;
    bool big_endian, secure, old_chips;
    uint16_t id[4];
    char *name;
    MemRegion mem;
    bool made, read_only;
    uint8_t cfi[0x52];
    uint8_t cmd, status, step;         /* step 0: reads are of the array      */
    uint32_t count;                    /* bytes still to come                 */
    uint64_t first, last;              /* of what the buffer got              */
    bool filled;
    uint8_t buf[BUFFER];
    uint64_t base;                     /* of the buffer                       */
} Pflash;

/* ---- the array ----------------------------------------------------------- */

static MACHINE_CALL void store(Pflash *s, uint64_t off, uint64_t len,
                               uint8_t fail)
{
    uint8_t *host = s->mem.ram->host;

    if (s->blk && blk_pwrite(s->blk, off, host + off, len, 0) < 0) {
        s->status |= fail;
    }
}

static void array_read(Pflash *s)
{
    machine_assert_locked();
    s->cmd = 0;
    s->step = 0;
    mem_set_romd(&s->mem, true);
}

static MACHINE_CALL void erase(Pflash *s, uint64_t off)
{
    uint64_t at = ALIGN_DOWN(off, s->sector);

    if (s->read_only) {
        s->status |= SR_ERASE;
    } else {
        memset((uint8_t *)s->mem.ram->host + at, 0xff, s->sector);
        store(s, at, s->sector, SR_ERASE);
    }
    s->status |= SR_READY;
}

static MACHINE_CALL void program(Pflash *s, uint64_t off, uint64_t v,
                                 unsigned size)
{
    uint8_t *host = s->mem.ram->host;

    if (s->read_only) {
        s->status |= SR_PROGRAM;
        return;
    }
    for (unsigned i = 0; i < size; i++) {
        host[off + i] = (uint8_t)(v >> 8 * i);
    }
    store(s, off, size, SR_PROGRAM);
}

/* ---- buffered writes ----------------------------------------------------- */

static void buffer_put(Pflash *s, uint64_t off, uint64_t v, unsigned size)
{
    if (!s->filled) {
        s->base = ALIGN_DOWN(off, BUFFER);
        s->first = off - s->base;
        s->last = s->first;
        s->filled = true;
        memcpy(s->buf, (uint8_t *)s->mem.ram->host + s->base,
               MIN2(BUFFER, mem_size(&s->mem) - s->base));
    }
    if (off < s->base || off + size > s->base + BUFFER ||
        off + size > mem_size(&s->mem)) {
        s->status |= SR_PROGRAM;
        return;
    }
    off -= s->base;
    for (unsigned i = 0; i < size; i++) {
        s->buf[off + i] = (uint8_t)(v >> 8 * i);
    }
    s->first = MIN2(s->first, off);
    s->last = MAX2(s->last, off + size);
}

static MACHINE_CALL void buffer_commit(Pflash *s)
{
    if (s->read_only) {
        s->status |= SR_PROGRAM;
    } else if (s->filled && s->last > s->first && !(s->status & SR_PROGRAM)) {
        memcpy((uint8_t *)s->mem.ram->host + s->base + s->first,
               s->buf + s->first, s->last - s->first);
        store(s, s->base + s->first, s->last - s->first, SR_PROGRAM);
    }
    s->filled = false;
    s->status |= SR_READY;
}

/* ---- commands ------------------------------------------------------------ */

static MACHINE_CALL void first_cycle(Pflash *s, uint64_t off, uint8_t cmd)
{
    switch (cmd) {
    case 0x10: case 0x40:              /* program                             */
    case 0x20: case 0x28:              /* erase                               */
    case 0x60:                         /* lock                                */
    case 0x01:
        break;
    case 0xe8:                         /* write to buffer                     */
        s->status |= SR_READY;
        s->filled = false;
        break;
    case 0x50:                         /* clear status                        */
        s->status = 0;
        array_read(s);
        return;
    case 0x70: case 0x90: case 0x98:   /* status, identity, query             */
        s->cmd = cmd;
        s->step = 0;
        return;
    default:                           /* 0xff, 0xf0, 0x00 and what is none   */
        array_read(s);
        return;
    }
    s->cmd = cmd;
    s->step = 1;
}

static MACHINE_CALL void second_cycle(Pflash *s, uint64_t off, uint64_t v,
                                      unsigned size)
{
    uint8_t b = (uint8_t)v;

    switch (s->cmd) {
    case 0x10: case 0x40:
        program(s, off, v, size);
        s->status |= SR_READY;
        s->step = 0;
        break;
    case 0x20: case 0x28:
        if (b == 0xd0) {
            erase(s, off);
            s->step = 0;
        } else {
            array_read(s);
        }
        break;
    case 0xe8:
        s->count = (uint32_t)(v & 0xffff) + 1;
        if (s->count > BUFFER) {
            s->status |= SR_PROGRAM;
            array_read(s);
            return;
        }
        s->step = 2;
        break;
    default:
        if (b == 0xd0 || b == 0x01) {
            s->status |= SR_READY;
            s->step = 0;
        } else {
            array_read(s);
        }
        break;
    }
}

static void pflash_write(void *dev, uint64_t off, uint64_t v, unsigned size)
{
    Pflash *s = dev;

    machine_assert_locked();
    if (s->step == 0) {
        mem_set_romd(&s->mem, false);
        first_cycle(s, off, (uint8_t)v);
    } else if (s->step == 1) {
        second_cycle(s, off, v, size);
    } else if (s->step == 2) {
        buffer_put(s, off, v, size);
        s->count -= MIN2(s->count, size);
        if (!s->count) {
            s->step = 3;
        }
    } else if ((uint8_t)v == 0xd0) {
        buffer_commit(s);
        s->step = 0;
    } else {
        s->filled = false;
        array_read(s);
    }
}

static uint64_t pflash_read(void *dev, uint64_t off, unsigned size)
{
    Pflash *s = dev;
    uint64_t v = 0;

    switch (s->cmd) {
    case 0x98:
        return off < sizeof(s->cfi) ? s->cfi[off] : 0;
    case 0x90:
        return (off & 3) < 2 ? s->id[off & 3] & 0xff : 0;
    case 0x10: case 0x40: case 0x20: case 0x28: case 0x60: case 0x01:
    case 0x70: case 0xe8:
        for (unsigned i = 0; i < size; i++) {
            v |= (uint64_t)s->status << 8 * i;
        }
        return size > 1 ? v : s->status;
    default:
        memcpy(&v, (uint8_t *)s->mem.ram->host + off, size);
        return v;
    }
}

static const MemOps pflash_ops = { .read = pflash_read, .write = pflash_write,
                                   .max = 4 };

/* ---- the device ---------------------------------------------------------- */

static void cfi_fill(Pflash *s)
{
    uint8_t *c = s->cfi;
    uint64_t size = s->sector * s->num_blocks;

    memset(c, 0, sizeof(s->cfi));
    memcpy(c + 0x10, "QRY", 3);
    c[0x13] = 1;                       /* Intel's extended command set        */
    c[0x15] = 0x31;
    c[0x1b] = 0x45;
    c[0x1c] = 0x55;
    c[0x1f] = c[0x20] = 7;
    c[0x21] = 0x0a;
    c[0x23] = c[0x24] = c[0x25] = 4;
    c[0x27] = (uint8_t)(63 - __builtin_clzll(size | 1));
    c[0x28] = 2;
    c[0x2a] = 8;
    c[0x2c] = 1;                       /* one erase region                    */
    st_le16(c + 0x2d, (uint16_t)(s->num_blocks - 1));
    st_le16(c + 0x2f, (uint16_t)(s->sector >> 8));
    memcpy(c + 0x31, "PRI10", 5);
    c[0x3f] = 1;
}

static MACHINE_CALL bool pflash_realize(Device *dev, Error **errp)
{
    Pflash *s = (Pflash *)dev;
    uint64_t size = s->sector * s->num_blocks;
    uint64_t shared = BLKP_CONSISTENT_READ | BLKP_WRITE_UNCHANGED;
    int64_t len;
    int ret;

    if (!s->sector) {
        return error_set(errp, "attribute \"sector-length\" not specified or "
                         "zero.");
    }
    if (!s->num_blocks) {
        return error_set(errp, "attribute \"num-blocks\" not specified or "
                         "zero.");
    }
    if (!s->name) {
        return error_set(errp, "attribute \"name\" not specified.");
    }
    if (s->sector % 256 || s->sector > 16 * MiB || size > 256 * MiB) {
        return error_set(errp, "flash '%s': %u blocks of %" PRIu64 " bytes are "
                         "not a chip of at most 256 MiB", s->name,
                         s->num_blocks, s->sector);
    }
    s->read_only = s->blk && !blk_writable(s->blk);
    if (s->blk) {
        len = blk_length(s->blk);
        if (len < 0 || (uint64_t)len < size) {
            return error_set(errp, "device requires %" PRIu64 " bytes, block "
                             "backend provides %" PRId64 " bytes", size,
                             len < 0 ? 0 : len);
        }
        if (!blk_set_perm(s->blk, BLKP_CONSISTENT_READ |
                          (s->read_only ? 0 : BLKP_WRITE), shared, errp)) {
            return false;
        }
    }
    if (!mem_init_romd(&s->mem, s->name, size, &pflash_ops, s, errp)) {
        return false;
    }
    memset(s->mem.ram->host, 0xff, size);
    ret = s->blk ? blk_pread(s->blk, 0, s->mem.ram->host, size) : 0;
    if (ret < 0) {
        mem_fini(&s->mem);
        return error_set_errno(errp, -ret, "can't read block backend");
    }
    s->made = true;
    device_region(dev, &s->mem);
    cfi_fill(s);
    return true;
}

static MACHINE_CALL void pflash_unrealize(Device *dev)
{
    Pflash *s = (Pflash *)dev;

    mem_fini(&s->mem);
    s->made = false;
}

static MACHINE_CALL void pflash_reset(Device *dev, ResetKind kind)
{
    Pflash *s = (Pflash *)dev;

    s->status = SR_READY;
    s->count = 0;
    s->filled = false;
    s->first = s->last = s->base = 0;
    memset(s->buf, 0, sizeof(s->buf));
    array_read(s);
}

static bool pflash_loaded(void *opaque, int version, Error **errp)
{
    Pflash *s = opaque;

    machine_assert_locked();
    if (s->step > 3 || s->count > BUFFER || s->last > BUFFER ||
        s->first > s->last || s->base % BUFFER ||
        (s->base && s->base >= mem_size(&s->mem))) {
        array_read(s);
        s->filled = false;
        return error_set(errp, "cfi.pflash01: a write beyond its buffer");
    }
    mem_set_romd(&s->mem, s->cmd == 0 && s->step == 0);
    return true;
}

static const VmState pflash_state = {
    .name = "cfi.pflash01", .version = 1, .oldest = 1,
    .after_load = pflash_loaded,
    .fields = (const VmField[]){
        VM_U8(Pflash, cmd), VM_U8(Pflash, status), VM_U8(Pflash, step),
        VM_U32(Pflash, count), VM_U64(Pflash, first), VM_U64(Pflash, last),
        VM_BOOL(Pflash, filled), VM_BYTES(Pflash, buf), VM_U64(Pflash, base),
        VM_END
    },
};

static const Prop pflash_props[] = {
    PROP_DRIVE("drive", Pflash, blk,
               .desc = "Node name or ID of a block device to use as a backend"),
    PROP_U32("num-blocks", Pflash, num_blocks, 0),
    PROP_U64("sector-length", Pflash, sector, 0),
    PROP_U8("width", Pflash, width, 0),
    PROP_U8("device-width", Pflash, device_width, 0),
    PROP_U8("max-device-width", Pflash, max_device_width, 0),
    PROP_BOOL("big-endian", Pflash, big_endian, false),
    PROP_BOOL("secure", Pflash, secure, false),
    PROP_U16("id0", Pflash, id[0], 0),
    PROP_U16("id1", Pflash, id[1], 0),
    PROP_U16("id2", Pflash, id[2], 0),
    PROP_U16("id3", Pflash, id[3], 0),
    PROP_STR("name", Pflash, name),
    PROP_BOOL("old-multiple-chip-handling", Pflash, old_chips, false),
    PROP_END
};

DEVICE(cfi_pflash01, {
    .name = "cfi.pflash01", .category = "storage", .size = sizeof(Pflash),
    .desc = "parallel flash, Intel command set",
    .doc = "A flash chip that guests read as memory and write by commands. "
           "Writes go through to its image.",
    .on = &bus_system, .flags = DT_INTERNAL | DT_NO_HOTPLUG,
    .props = pflash_props, .vmstate = &pflash_state,
    .realize = pflash_realize, .unrealize = pflash_unrealize,
    .reset = pflash_reset,
});

/* ---- the PC's firmware --------------------------------------------------- */

/* Chip n ends at *end, which moves down to its start. */
static MACHINE_CALL bool chip_map(Pc *p, int n, const char *drive,
                                  uint64_t *end, Error **errp)
{
    static const char *const names[] = { "system.flash0", "system.flash1" };
    Device *dev = device_make("cfi.pflash01");
    Pflash *s = (Pflash *)dev;
    int64_t len;

    if (!device_set(dev, "drive", drive, errp)) {
        device_free(dev);
        return false;
    }
    len = blk_length(s->blk);
    if (len <= 0 || len % SECTOR) {
        error_set(errp, "system firmware block device %s has invalid size %"
                  PRId64, names[n] + 7, len < 0 ? 0 : len);
        error_hint(errp, "its size must be a non-zero multiple of 0x%x",
                   SECTOR);
        device_free(dev);
        return false;
    }
    if (4 * GiB - *end + (uint64_t)len > p->max_fw_size) {
        device_free(dev);
        return error_set(errp, "combined size of system firmware exceeds %"
                         PRIu64 " bytes", p->max_fw_size);
    }
    device_set_int(dev, "num-blocks", len / SECTOR);
    device_set_int(dev, "sector-length", SECTOR);
    device_set_int(dev, "width", 1);
    if (!device_set(dev, "name", names[n], errp) ||
        !device_realize(dev, NULL, errp)) {
        device_free(dev);
        return false;
    }
    *end -= (uint64_t)len;
    mem_add_prio(mem_system.root, *end, &s->mem, 1);
    return true;
}

/* What real mode sees of the first chip: its last 128 KiB, copied. */
static MACHINE_CALL bool isa_copy(Pc *p, uint64_t start, Error **errp)
{
    uint64_t n = MIN2(4 * GiB - start, 128 * KiB);

    if (!mem_init_rom(&p->isa_bios, "isa-bios", n, errp)) {
        return false;
    }
    mem_read(&mem_system, 4 * GiB - n, p->isa_bios.ram->host, n,
             MEM_ATTRS_NONE);
    mem_add_prio(&p->pci_mem, 1 * MiB - n, &p->isa_bios, 1);
    return true;
}

bool pflash_given(Pc *p)
{
    return p->pflash0 || drive_find(IF_PFLASH, 0, 0);
}

bool pflash_map(Pc *p, Error **errp)
{
    const char *props[2] = { p->pflash0, p->pflash1 };
    uint64_t end = 4 * GiB;

    for (int i = 0; i < 2; i++) {
        Drive *d = drive_find(IF_PFLASH, 0, i);
        const char *id = props[i] ? props[i] : d ? d->id : NULL;

        if (!id) {
            continue;
        }
        if (i == 1 && end == 4 * GiB) {
            return error_set(errp, "pflash1 requires pflash0");
        }
        if (!chip_map(p, i, id, &end, errp)) {
            return false;
        }
        if (d) {
            d->claimed = true;
        }
        if (i == 0 && !isa_copy(p, end, errp)) {
            return false;
        }
    }
    return true;
}
