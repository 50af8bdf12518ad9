/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fw-cfg.c - the firmware configuration device: numbered items and named files
 * that the host gives to firmware, read through ports 0x510/0x511 or by DMA at
 * 0x514 (interface as published in QEMU's docs/specs/fw_cfg).
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. Files are kept in the order of their names; a file's key is 0x20 + its
 *    place. The directory item is made from them whenever it is selected.
 * 2. Reads beyond an item's end give zeros; the guest's offset never indexes
 *    memory unchecked.
 */
#include <glib.h>
#include "fw-cfg.h"
#include "machine.h"
#include "pc.h"

#define KEY_SIGNATURE 0x0000
#define KEY_ID        0x0001
#define KEY_FILE_DIR  0x0019
#define KEY_FILES     0x0020
#define KEY_WRITE     0x4000
#define KEY_ARCH      0x8000
#define KEY_INVALID   0xffff
#define FILE_NAME_MAX 56
#define SLOTS_MAX     0x1000
#define DMA_SIGNATURE 0x51454d5520434647ull        /* "QEMU CFG" */

#define DMA_ERROR  0x01
#define DMA_READ   0x02
#define DMA_SKIP   0x04
#define DMA_SELECT 0x08
#define DMA_WRITE  0x10

typedef struct FwItem {
    uint16_t key;                      /* numbered items only                 */
    char *name;                        /* files only                          */
    uint8_t *data;
    uint32_t len;
    bool writable;
    void (*select)(void *arg);
    void (*written)(void *arg, uint64_t off, uint64_t len);
    void *arg;
} FwItem;

typedef struct FwCfg {
    Device dev;
    MemRegion io, dma_io;
    bool dma_enabled, mr_restore;
    uint32_t slots;
    uint32_t iobase, dma_iobase;
    FwItem *files, *items;
    uint32_t nfiles, nitems;
    uint8_t *dir;
    uint32_t dir_len;
    uint16_t key;
    uint32_t offset;
    uint64_t dma_addr;
    bool mapped;
} FwCfg;

static FwCfg *fw;

bool fwcfg_present(void)
{
    return fw != NULL;
}

/* ---- the host's side ----------------------------------------------------- */

static FwItem *item_find(uint16_t key)
{
    for (uint32_t i = 0; i < fw->nitems; i++) {
        if (fw->items[i].key == key) {
            return &fw->items[i];
        }
    }
    return NULL;
}

static FwItem *file_find(const char *name)
{
    for (uint32_t i = 0; i < fw->nfiles; i++) {
        if (!strcmp(fw->files[i].name, name)) {
            return &fw->files[i];
        }
    }
    return NULL;
}

static FwItem *file_add(const char *name)
{
    uint32_t at = 0;

    if (!fw || fw->nfiles >= fw->slots || strlen(name) >= FILE_NAME_MAX ||
        file_find(name)) {
        return NULL;
    }
    while (at < fw->nfiles && strcmp(fw->files[at].name, name) < 0) {
        at++;
    }
    fw->files = g_renew(FwItem, fw->files, fw->nfiles + 1);
    memmove(fw->files + at + 1, fw->files + at,
            (fw->nfiles - at) * sizeof(FwItem));
    fw->nfiles++;
    fw->files[at] = (FwItem){ .name = g_strdup(name) };
    return &fw->files[at];
}

bool fwcfg_add_file(const char *name, const void *data, size_t len)
{
    return fwcfg_add_file_call(name, g_memdup2(data, len), len, NULL, NULL);
}

bool fwcfg_add_file_call(const char *name, void *data, size_t len,
                         void (*select)(void *arg), void *arg)
{
    FwItem *f = len <= UINT32_MAX ? file_add(name) : NULL;

    if (!f) {
        g_free(data);
        return false;
    }
    f->data = data;
    f->len = len;
    f->select = select;
    f->arg = arg;
    return true;
}

bool fwcfg_add_writable(const char *name, void *data, size_t len,
                        void (*written)(void *arg, uint64_t off, uint64_t len),
                        void *arg)
{
    FwItem *f;

    if (!fwcfg_add_file_call(name, data, len, NULL, arg)) {
        return false;
    }
    f = file_find(name);
    f->writable = true;
    f->written = written;
    return true;
}

void fwcfg_replace_file(const char *name, const void *data, size_t len)
{
    FwItem *f = fw ? file_find(name) : NULL;

    if (!f) {
        fwcfg_add_file(name, data, len);
        return;
    }
    g_free(f->data);
    f->data = g_memdup2(data, len);
    f->len = len;
}

void fwcfg_update_file(const char *name, const void *data, size_t len)
{
    FwItem *f = fw ? file_find(name) : NULL;

    if (f && f->len == len) {
        memcpy(f->data, data, len);
    } else if (f) {
        g_free(f->data);
        f->data = g_memdup2(data, len);
        f->len = len;
    }
}

void fwcfg_add_item(uint16_t key, const void *data, size_t len)
{
    FwItem *i;

    if (!fw) {
        return;
    }
    i = item_find(key);
    if (!i) {
        fw->items = g_renew(FwItem, fw->items, fw->nitems + 1);
        i = &fw->items[fw->nitems++];
        *i = (FwItem){ .key = key };
    }
    g_free(i->data);
    i->data = g_memdup2(data, len);
    i->len = len;
}

void fwcfg_add_u16(uint16_t key, uint16_t v)
{
    uint8_t b[2];

    st_le16(b, v);
    fwcfg_add_item(key, b, sizeof(b));
}

void fwcfg_add_u32(uint16_t key, uint32_t v)
{
    uint8_t b[4];

    st_le32(b, v);
    fwcfg_add_item(key, b, sizeof(b));
}

void fwcfg_add_u64(uint16_t key, uint64_t v)
{
    uint8_t b[8];

    st_le64(b, v);
    fwcfg_add_item(key, b, sizeof(b));
}

void fwcfg_each_file(void (*fn)(void *arg, const char *name, const void *data,
                                uint32_t len), void *arg)
{
    for (uint32_t i = 0; fw && i < fw->nfiles; i++) {
        fn(arg, fw->files[i].name, fw->files[i].data, fw->files[i].len);
    }
}

/* ---- the guest's side ---------------------------------------------------- */

/* Directory: u32 count, then size u32, key u16, reserved u16, name[56], all
 * big-endian. */
static void dir_make(FwCfg *s)
{
    g_free(s->dir);
    s->dir_len = 4 + s->nfiles * 64;
    s->dir = g_malloc0(s->dir_len);
    st_be32(s->dir, s->nfiles);
    for (uint32_t i = 0; i < s->nfiles; i++) {
        uint8_t *e = s->dir + 4 + i * 64;

        st_be32(e, s->files[i].len);
        st_be16(e + 4, KEY_FILES + i);
        g_strlcpy((char *)e + 8, s->files[i].name, FILE_NAME_MAX);
    }
}

static FwItem *selected(FwCfg *s, FwItem *dir)
{
    uint16_t key = s->key & ~KEY_WRITE;

    if (s->key == KEY_INVALID) {
        return NULL;
    }
    if (key == KEY_FILE_DIR) {
        *dir = (FwItem){ .data = s->dir, .len = s->dir_len };
        return dir;
    }
    if (!(key & KEY_ARCH) && key >= KEY_FILES &&
        (uint32_t)(key - KEY_FILES) < s->nfiles) {
        return &s->files[key - KEY_FILES];
    }
    return item_find(key);
}

static void fw_select(FwCfg *s, uint16_t key)
{
    FwItem dir, *i;

    s->key = key;
    s->offset = 0;
    if ((key & ~KEY_WRITE) == KEY_FILE_DIR) {
        dir_make(s);
    }
    i = selected(s, &dir);
    if (!i) {
        s->key = KEY_INVALID;
    } else if (i->select) {
        i->select(i->arg);
    }
    TRACE(fw_cfg_select, "fw_cfg select key 0x%04x: %s", key,
          i ? "found" : "none");
}

static uint64_t data_read(void *dev, uint64_t off, unsigned size)
{
    FwCfg *s = dev;
    FwItem dir, *i = selected(s, &dir);

    if (!i || !i->data || s->offset >= i->len) {
        return 0;
    }
    return i->data[s->offset++];
}

static void ctl_write(void *dev, uint64_t off, uint64_t v, unsigned size)
{
    if (size == 2 && off == 0) {
        fw_select(dev, v);
    }
}

/* Piece by piece, so that a length of gigabytes ends where memory does. */
static bool clear(uint64_t addr, uint32_t len)
{
    while (len) {
        uint32_t n = MIN2(len, 4096u);

        if (mem_set(&mem_system, addr, 0, n, MEM_ATTRS_NONE) != MEM_OK) {
            return false;
        }
        addr += n;
        len -= n;
    }
    return true;
}

/* Copies between item and guest; false: guest memory is not there. */
static bool dma_move(FwCfg *s, uint32_t control, uint64_t addr, uint32_t len)
{
    FwItem dir, *i = selected(s, &dir);
    uint32_t have = i && i->data && s->offset < i->len ? i->len - s->offset : 0;
    uint32_t n = MIN2(len, have);
    bool ok = true;

    if (control & DMA_READ) {
        if (n) {
            ok = mem_write(&mem_system, addr, i->data + s->offset, n,
                           MEM_ATTRS_NONE) == MEM_OK;
        }
        ok = ok && clear(addr + n, len - n);
    } else if (control & DMA_WRITE) {
        if (!i || !i->writable || len > have ||
            mem_read(&mem_system, addr, i->data + s->offset, len,
                     MEM_ATTRS_NONE) != MEM_OK) {
            return false;
        }
        if (i->written) {
            i->written(i->arg, s->offset, len);
        }
    }
    s->offset += n;
    return ok;
}

static void dma_run(FwCfg *s)
{
    uint8_t d[16], done[4];
    uint64_t at = s->dma_addr;
    uint32_t control;
    bool ok = true;

    s->dma_addr = 0;
    if (mem_read(&mem_system, at, d, sizeof(d), MEM_ATTRS_NONE) != MEM_OK) {
        st_be32(done, DMA_ERROR);
        mem_write(&mem_system, at, done, 4, MEM_ATTRS_NONE);
        return;
    }
    control = ld_be32(d);
    if (control & DMA_SELECT) {
        fw_select(s, control >> 16);
    }
    if (control & (DMA_READ | DMA_WRITE | DMA_SKIP)) {
        ok = dma_move(s, control, ld_be64(d + 8), ld_be32(d + 4));
    }
    st_be32(done, ok ? 0 : DMA_ERROR);
    mem_write(&mem_system, at, done, 4, MEM_ATTRS_NONE);
}

static uint64_t dma_read(void *dev, uint64_t off, unsigned size)
{
    /* Big-endian register: byte `off` of the signature is the first. */
    uint64_t sig = DMA_SIGNATURE << off * 8 >> (8 - size) * 8;

    return size == 1 ? sig : size == 2 ? __builtin_bswap16(sig)
         : size == 4 ? __builtin_bswap32(sig) : __builtin_bswap64(sig);
}

static void dma_write(void *dev, uint64_t off, uint64_t v, unsigned size)
{
    FwCfg *s = dev;

    if (size == 4 && off == 0) {
        s->dma_addr = (uint64_t)__builtin_bswap32(v) << 32;
    } else if (size == 4 && off == 4) {
        s->dma_addr |= __builtin_bswap32(v);
        dma_run(s);
    } else if (size == 8 && off == 0) {
        s->dma_addr = __builtin_bswap64(v);
        dma_run(s);
    }
}

static const MemOps ctl_ops = {
    .read = data_read, .write = ctl_write, .min = 1, .max = 2,
};
static const MemOps dma_ops = {
    .read = dma_read, .write = dma_write, .min = 1, .max = 8,
    /* Items may be guest-visible device state whose owner reads RAM. */
};

/* ---- the device ---------------------------------------------------------- */

static MACHINE_CALL bool fw_realize(Device *dev, Error **errp)
{
    FwCfg *s = (FwCfg *)dev;

    if (s->slots < 16 || s->slots > SLOTS_MAX) {
        return error_set(errp, "\"file_slots\" must be in range 0x10..0x%x",
                         SLOTS_MAX);
    }
    s->key = KEY_INVALID;
    mem_init_io(&s->io, "fwcfg", 2, &ctl_ops, s);
    device_region(dev, &s->io);
    mem_add(mem_io.root, s->iobase, &s->io);
    if (s->dma_enabled) {
        mem_init_io(&s->dma_io, "fwcfg.dma", 8, &dma_ops, s);
        device_region(dev, &s->dma_io);
        mem_add(mem_io.root, s->dma_iobase, &s->dma_io);
    }
    s->mapped = true;
    fw = s;
    fwcfg_add_item(KEY_SIGNATURE, "QEMU", 4);
    fwcfg_add_u32(KEY_ID, 1 | (s->dma_enabled ? 2 : 0));
    return true;
}

static MACHINE_CALL void fw_unrealize(Device *dev)
{
    FwCfg *s = (FwCfg *)dev;

    if (s->mapped) {
        mem_remove(mem_io.root, &s->io);
        if (s->dma_enabled) {
            mem_remove(mem_io.root, &s->dma_io);
        }
        s->mapped = false;
    }
    for (uint32_t i = 0; i < s->nfiles; i++) {
        g_free(s->files[i].name);
        g_free(s->files[i].data);
    }
    for (uint32_t i = 0; i < s->nitems; i++) {
        g_free(s->items[i].data);
    }
    g_free(s->files);
    g_free(s->items);
    g_free(s->dir);
    s->files = s->items = NULL;
    s->nfiles = s->nitems = 0;
    s->dir = NULL;
    if (fw == s) {
        fw = NULL;
    }
}

static void fw_reset(Device *dev, ResetKind kind)
{
    FwCfg *s = (FwCfg *)dev;

    fw_select(s, KEY_SIGNATURE);
    s->dma_addr = 0;
}

static bool fw_after_load(void *opaque, int version, Error **errp)
{
    FwCfg *s = opaque;

    if ((s->key & ~KEY_WRITE) == KEY_FILE_DIR) {
        dir_make(s);
    }
    return true;
}

static const VmState fw_state = {
    .name = "fw_cfg", .version = 1, .oldest = 1, .after_load = fw_after_load,
    .fields = (const VmField[]){
        VM_U16(FwCfg, key), VM_U32(FwCfg, offset), VM_U64(FwCfg, dma_addr),
        VM_END
    },
};

static const Prop fw_props[] = {
    PROP_BOOL("dma_enabled", FwCfg, dma_enabled, true,
              .desc = "offer the DMA interface",
              .compat = (const PropCompat[]){ { 204, "off" }, { 0 } }),
    PROP_U32("x-file-slots", FwCfg, slots, 0x20, .type = "uint16",
             .max = 0xffff, .desc = "number of files",
             .compat = (const PropCompat[]){ { 208, "0x10" }, { 0 } }),
    PROP_BOOL("acpi-mr-restore", FwCfg, mr_restore, true,
              .desc = "keep the sizes of ACPI tables with the saved state"),
    PROP_U32("iobase", FwCfg, iobase, 0x510, .flags = PF_HIDDEN,
             .desc = "first port"),
    PROP_U32("dma_iobase", FwCfg, dma_iobase, 0x514, .flags = PF_HIDDEN,
             .desc = "first port of the DMA interface"),
    PROP_END
};

DEVICE(fw_cfg_io, {
    .name = "fw_cfg_io", .category = "misc", .on = &bus_system,
    .parent = "fw_cfg", .flags = DT_INTERNAL | DT_NO_HOTPLUG,
    .desc = "Firmware configuration",
    .doc = "Hands tables, boot order and user files (-fw_cfg) to firmware.",
    .size = sizeof(FwCfg), .props = fw_props, .vmstate = &fw_state,
    .realize = fw_realize, .unrealize = fw_unrealize, .reset = fw_reset,
});
TYPE_NAME(fw_cfg_type, { "fw_cfg", "sys-bus-device", true });

bool fwcfg_create(Pc *p, bool dma, Error **errp)
{
    Device *d = device_make("fw_cfg_io");

    obj_put(&p->m.obj, "fw_cfg", &d->obj);
    if (!dma) {
        device_set_int(d, "dma_enabled", 0);
    }
    if (!device_realize(d, NULL, errp)) {
        device_free(d);
        return false;
    }
    return true;
}
