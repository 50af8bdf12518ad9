/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blk-device.c - virtio-blk: properties, features, configuration space, start-up
 * (virtio 1.2, sections 5.2.3 to 5.2.5).
 *
 * Thread class: the machine lock.
 *
 * Invariants
 * 1. The queues' loop is the drive's.
 */
#include <glib.h>
#include "hw/virtio/blk.h"
#include "machine.h"

#define OPTION_SCSI 1u
#define AUTO_QUEUES UINT16_MAX
#define MAX_SECTORS 4194303

static MACHINE_CALL uint64_t features(Virtio *v, uint64_t want)
{
    VirtioBlk *s = (VirtioBlk *)v;
    uint64_t f = want;

    f |= 1ull << VIRTIO_BLK_F_SEG_MAX | 1ull << VIRTIO_BLK_F_GEOMETRY |
         1ull << VIRTIO_BLK_F_TOPOLOGY | 1ull << VIRTIO_BLK_F_BLK_SIZE;
    if (blk_write_cache(s->conf.blk) ||
        (s->wce_if_config && (want >> VIRTIO_BLK_F_CONFIG_WCE & 1))) {
        f |= 1ull << VIRTIO_BLK_F_FLUSH;
    }
    if (!blk_writable(s->conf.blk)) {
        f |= 1ull << VIRTIO_BLK_F_RO;
    }
    if (s->num_queues > 1) {
        f |= 1ull << VIRTIO_BLK_F_MQ;
    }
    return f;
}

static uint32_t clamp_u16(uint64_t v)
{
    return MIN2(v, (uint64_t)UINT16_MAX);
}

static unsigned log2_of(uint64_t v)
{
    unsigned n = 0;

    while (v > 1) {
        v /= 2;
        n++;
    }
    return n;
}

static void config_ranges(const VirtioBlk *s, struct virtio_blk_config *c)
{
    const BlkConf *b = &s->conf;

    if (s->v.host_features >> VIRTIO_BLK_F_DISCARD & 1) {
        uint64_t g = b->discard_granularity;

        if (!s->report_granularity || !g) {
            g = b->logical;
        }
        c->max_discard_sectors = htole32(s->max_discard);
        c->discard_sector_alignment = htole32(g / 512);
        c->max_discard_seg = htole32(1);
    }
    if (s->v.host_features >> VIRTIO_BLK_F_WRITE_ZEROES & 1) {
        c->max_write_zeroes_sectors = htole32(s->max_write_zeroes);
        c->write_zeroes_may_unmap = 1;
        c->max_write_zeroes_seg = htole32(1);
    }
}

static MACHINE_CALL void config_read(Virtio *v)
{
    VirtioBlk *s = (VirtioBlk *)v;
    const BlkConf *b = &s->conf;
    struct virtio_blk_config c = {
        .capacity = htole64(s->sectors),
        .seg_max = htole32(s->seg_max_adjust ? s->queue_size - 2 : 126),
        .geometry = {
            .cylinders = htole16(clamp_u16(b->cyls)), .heads = b->heads,
        },
        .blk_size = htole32(b->logical),
        .physical_block_exp = log2_of(b->physical / b->logical),
        .min_io_size = htole16(clamp_u16(b->min_io / b->logical)),
        .opt_io_size = htole32(b->opt_io / b->logical),
        .wce = blk_write_cache(b->blk),
        .num_queues = htole16(s->num_queues),
    };

    /* Geometry is in sectors of the block size, where it can be. */
    c.geometry.sectors = b->secs & ~(b->logical / 512 - 1);
    config_ranges(s, &c);
    memcpy(v->config, &c, MIN2(v->config_len, sizeof(c)));
}

static MACHINE_CALL void config_write(Virtio *v, uint32_t off, unsigned size)
{
    VirtioBlk *s = (VirtioBlk *)v;
    uint32_t wce = offsetof(struct virtio_blk_config, wce);

    if (off <= wce && wce < off + size) {
        blk_set_write_cache(s->conf.blk, v->config[wce] != 0);
    }
}

/* A driver that neither flushes nor sets the cache gets a disk without one
 * (section 5.2.6.2). */
static MACHINE_CALL void status(Virtio *v, uint8_t old)
{
    VirtioBlk *s = (VirtioBlk *)v;

    if ((v->status & ~old & VIRTIO_DRIVER_OK) &&
        !virtio_has(v, VIRTIO_BLK_F_CONFIG_WCE)) {
        blk_set_write_cache(s->conf.blk,
                            virtio_has(v, VIRTIO_BLK_F_FLUSH));
    }
}

static MACHINE_CALL void resized(void *dev)
{
    VirtioBlk *s = dev;
    int64_t len = blk_length(s->conf.blk);

    __atomic_store_n(&s->sectors, len > 0 ? len / 512 : 0, __ATOMIC_RELAXED);
    virtio_config_changed(&s->v);
}

static const BlkDevOps dev_ops = { .resized = resized };

/* ---- start-up ------------------------------------------------------------ */

static bool limits_ok(VirtioBlk *s, Error **errp)
{
    const VirtioPci *fn = container_of(s->v.dev.bus, VirtioPci, bus);

    if (!s->num_queues) {
        return error_set(errp, "num-queues property must be larger than 0");
    }
    if (s->num_queues > VIRTIO_QUEUES_MAX) {
        return error_set(errp, "num-queues property must be at most %d",
                         VIRTIO_QUEUES_MAX);
    }
    if ((s->options & OPTION_SCSI) && !fn->disable_modern) {
        return error_set(errp, "Please set scsi=off for virtio-blk devices in "
                         "order to use virtio 1.0");
    }
    if (s->queue_size <= 2) {
        return error_set(errp, "invalid queue-size property (%u), must be > 2",
                         s->queue_size);
    }
    if (!IS_POW2(s->queue_size) || s->queue_size > VIRTQ_SIZE_MAX) {
        return error_set(errp, "invalid queue-size property (%u), must be a "
                         "power of 2 (max %d)", s->queue_size, VIRTQ_SIZE_MAX);
    }
    if (!s->max_discard || s->max_discard > MAX_SECTORS) {
        return error_set(errp, "invalid max-discard-sectors property (%u), "
                         "must be between 1 and %d", s->max_discard,
                         MAX_SECTORS);
    }
    if (!s->max_write_zeroes || s->max_write_zeroes > MAX_SECTORS) {
        return error_set(errp, "invalid max-write-zeroes-sectors property "
                         "(%u), must be between 1 and %d", s->max_write_zeroes,
                         MAX_SECTORS);
    }
    return true;
}

static bool medium_ok(VirtioBlk *s, Error **errp)
{
    if (!s->conf.blk) {
        return error_set(errp, "drive property not set");
    }
    if (!blk_has_medium(s->conf.blk)) {
        return error_set(errp, "Device needs media, but drive is empty");
    }
    return true;
}

static MACHINE_CALL void set_auto(VirtioBlk *s)
{
    const Drive *o = drive_of(s->conf.blk);

    if (s->num_queues == AUTO_QUEUES) {
        unsigned n = machine && machine->cpus ? machine->cpus : 1;

        s->num_queues = MIN2(n, VIRTIO_QUEUES_MAX - 1);
    }
    if (!s->serial && o && o->serial) {
        s->serial = g_strdup(o->serial);
    }
}

static bool enter_loop(VirtioBlk *s, Error **errp) MACHINE_CALL;
static bool enter_loop(VirtioBlk *s, Error **errp)
{
    const VirtioPci *fn = container_of(s->v.dev.bus, VirtioPci, bus);

    if (!vblk_map_apply(s, errp)) {
        return false;
    }
    if (!s->iothread && !s->loops) {
        return true;
    }
    if (!(fn->flags >> VPCI_IOEVENTFD & 1)) {
        return error_set(errp, "ioeventfd is required for iothread");
    }
    return blk_set_loop(s->conf.blk, s->loops ? s->loops[0]
                        : iothread_loop(s->iothread), errp);
}

static uint32_t config_size(const VirtioBlk *s)
{
    if (s->v.host_features >> VIRTIO_BLK_F_WRITE_ZEROES & 1) {
        return offsetof(struct virtio_blk_config, unused1) + 3;
    }
    return s->v.host_features >> VIRTIO_BLK_F_DISCARD & 1
        ? offsetof(struct virtio_blk_config, max_write_zeroes_sectors)
        : offsetof(struct virtio_blk_config, max_discard_sectors);
}

static MACHINE_CALL bool blk_realize(Device *dev, Error **errp)
{
    VirtioBlk *s = (VirtioBlk *)dev;
    BlkBackend *b = s->conf.blk;

    if (!medium_ok(s, errp)) {
        return false;
    }
    set_auto(s);
    if (!limits_ok(s, errp) ||
        !blk_conf_apply(&s->conf, !blk_writable(b), true, errp) ||
        !blk_conf_geometry(&s->conf, NULL, 65535, 255, 255, errp)) {
        return false;
    }
    if (!blk_attach_dev(b, s, &dev->obj, &dev_ops, errp)) {
        return false;
    }
    if (!enter_loop(s, errp)) {
        vblk_map_drop(s);
        blk_detach_dev(b);
        return false;
    }
    s->sectors = blk_length(b) / 512;
    s->cache_at_start = blk_write_cache(b);
    virtio_init(&s->v, config_size(s));
    vblk_queues_init(s);
    return true;
}

static MACHINE_CALL void blk_unrealize(Device *dev)
{
    VirtioBlk *s = (VirtioBlk *)dev;

    vblk_quiesce(&s->v, true);
    vblk_queues_fini(s);
    virtio_fini(&s->v);
    blk_set_loop(s->conf.blk, loop_main, NULL);
    blk_detach_dev(s->conf.blk);
    vblk_map_drop(s);
}

static MACHINE_CALL void blk_reset(Device *dev, ResetKind kind)
{
    VirtioBlk *s = (VirtioBlk *)dev;

    blk_set_write_cache(s->conf.blk, s->cache_at_start);
}

/* ---- tables -------------------------------------------------------------- */

static const VmState blk_state = {
    .name = "virtio-blk", .version = 1, .oldest = 1,
    .before_save = vblk_before_save, .before_load = vblk_before_load,
    .after_load = vblk_after_load,
    .fields = (const VmField[]){
        VM_VSTRUCT(VirtioBlk, saved, nsaved,
                   VIRTIO_QUEUES_MAX * VIRTQ_SIZE_MAX, &virtq_saved_vmstate),
        VM_END
    },
};

#define COMPAT(upto, value) \
    .compat = (const PropCompat[]){ { upto, value }, { 0 } }
#define FEATURE(name, bit, d, ...) \
    PROP_BIT64(name, VirtioBlk, v.host_features, bit, d, .desc = "on/off", \
               ##__VA_ARGS__)

static const Prop blk_rows[] = {
    PROP_BLK_SIZE_ROWS(VirtioBlk, conf), PROP_BLK_GEOMETRY_ROWS(VirtioBlk, conf),
    PROP_BLK_ERROR_ROWS(VirtioBlk, conf),
    PROP_STR("serial", VirtioBlk, serial),
    FEATURE("config-wce", VIRTIO_BLK_F_CONFIG_WCE, true),
    PROP_BIT32("scsi", VirtioBlk, options, 0, false, .desc = "on/off",
               COMPAT(204, "on")),
    PROP_BIT32("request-merging", VirtioBlk, options, 1, true,
               .desc = "on/off"),
    PROP_U16("num-queues", VirtioBlk, num_queues, AUTO_QUEUES, COMPAT(501, "1")),
    PROP_U16("queue-size", VirtioBlk, queue_size, 256, COMPAT(402, "128")),
    PROP_BOOL("seg-max-adjust", VirtioBlk, seg_max_adjust, true,
              COMPAT(402, "off")),
    PROP_REF("iothread", VirtioBlk, iothread, &prop_ref_iothread),
    PROP_CALL(VBLK_MAPPING, "IOThreadVirtQueueMappingList",
              vblk_map_get, vblk_map_set,
              .desc = "IOThread virtqueue mapping list"),
    FEATURE("discard", VIRTIO_BLK_F_DISCARD, true, COMPAT(301, "off")),
    PROP_BOOL("report-discard-granularity", VirtioBlk, report_granularity, true,
              COMPAT(502, "off")),
    FEATURE("write-zeroes", VIRTIO_BLK_F_WRITE_ZEROES, true,
            COMPAT(301, "off")),
    PROP_U32("max-discard-sectors", VirtioBlk, max_discard, MAX_SECTORS),
    PROP_U32("max-write-zeroes-sectors", VirtioBlk, max_write_zeroes,
             MAX_SECTORS),
    PROP_BOOL("x-enable-wce-if-config-wce", VirtioBlk, wce_if_config, true,
              COMPAT(402, "off")),
    PROP_BOOTINDEX,
    PROP_END
};

static const Prop blk_pci_rows[] = {
    VIRTIO_PCI_CLASS, VIRTIO_PCI_IOEVENTFD(true),
    VIRTIO_PCI_VECTORS(VIRTIO_VECTORS_AUTO),
    PROP_END
};

static const VirtioType blk_type = {
    .id = VIRTIO_ID_BLOCK, .features = features, .config_read = config_read,
    .config_write = config_write, .status = status, .quiesce = vblk_quiesce,
    .resume = vblk_resume, .fw_path = "disk@0,0",
};

VIRTIO_DEVICE(virtio_blk, "virtio-blk", "storage", blk_pci_rows,
              VIRTIO_ID_BLOCK, 0x1001, 0x010000,
    .doc = "A disk. With iothread its requests are handled in that thread, "
           "wholly beside the main loop and the vCPUs.",
    .on_info = &blk_type, .size = sizeof(VirtioBlk), .props = blk_rows,
    .vmstate = &blk_state, .realize = blk_realize,
    .unrealize = blk_unrealize, .reset = blk_reset);
