/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scsi-device.c - virtio-scsi: properties, configuration space, start-up, units
 * that come and go (virtio 1.2, sections 5.6.2 to 5.6.5).
 *
 * Thread class: the machine lock.
 *
 * Invariants
 * 1. The queues' loop is the bus's, and that of all its units' drives.
 */
#include <glib.h>
#include "hw/virtio/vscsi.h"
#include "machine.h"

#define AUTO_QUEUES UINT32_MAX

/* ---- units come and go --------------------------------------------------- */

static void units_changed(void *arg)
{
    ScsiBus *b = arg;

    for (unsigned i = 0; i < b->hba->targets; i++) {
        for (ScsiDevice *d = b->targets[i]; d; d = d->next) {
            scsi_set_attention(d, SENSE_LUNS_CHANGED);
        }
    }
}

static MACHINE_CALL void unit_plugged(ScsiBus *b, ScsiDevice *d, bool in)
{
    VirtioScsi *s = container_of(b, VirtioScsi, bus);

    if (!virtio_has(&s->v, VIRTIO_SCSI_F_HOTPLUG)) {
        return;
    }
    vscsi_event(s, d, VIRTIO_SCSI_T_TRANSPORT_RESET,
                in ? VIRTIO_SCSI_EVT_RESET_RESCAN
                   : VIRTIO_SCSI_EVT_RESET_REMOVED);
    scsi_run(b, units_changed, b);
}

static MACHINE_CALL void unit_changed(ScsiBus *b, ScsiDevice *d, ScsiSense n)
{
    VirtioScsi *s = container_of(b, VirtioScsi, bus);

    if (virtio_has(&s->v, VIRTIO_SCSI_F_CHANGE)) {
        vscsi_event(s, d, VIRTIO_SCSI_T_PARAM_CHANGE,
                    n.asc | (uint32_t)n.ascq << 8);
    }
}

static const ScsiHba hba = {
    .targets = SCSI_TARGETS, .luns = SCSI_LUNS, .tags = true,
    .plugged = unit_plugged, .changed = unit_changed,
};

/* ---- configuration ------------------------------------------------------- */

static MACHINE_CALL void config_read(Virtio *v)
{
    VirtioScsi *s = (VirtioScsi *)v;
    struct virtio_scsi_config c = {
        .num_queues = htole32(s->num_queues),
        .seg_max = htole32(s->seg_max_adjust ? s->queue_size - 2 : 126),
        .max_sectors = htole32(s->max_sectors),
        .cmd_per_lun = htole32(s->cmd_per_lun),
        .event_info_size = htole32(sizeof(struct virtio_scsi_event)),
        .sense_size = htole32(s->sense_size),
        .cdb_size = htole32(s->cdb_size),
        .max_target = htole16(SCSI_TARGETS - 1),
        .max_lun = htole32(SCSI_LUNS - 1),
    };

    memcpy(v->config, &c, MIN2(v->config_len, sizeof(c)));
}

static MACHINE_CALL void config_write(Virtio *v, uint32_t off, unsigned size)
{
    VirtioScsi *s = (VirtioScsi *)v;
    uint32_t sense = ld_le32(v->config +
                             offsetof(struct virtio_scsi_config, sense_size));
    uint32_t cdb = ld_le32(v->config +
                           offsetof(struct virtio_scsi_config, cdb_size));

    if (sense > VSCSI_SENSE_MAX || cdb > VSCSI_CDB_MAX) {
        virtio_broken(v, "bad data written to virtio-scsi configuration space");
        return;
    }
    __atomic_store_n(&s->sense_size, sense, __ATOMIC_RELAXED);
    __atomic_store_n(&s->cdb_size, cdb, __ATOMIC_RELAXED);
}

/* ---- coming to rest ------------------------------------------------------ */

static void settle(void *arg)
{
    VirtioScsi *s = arg;

    for (unsigned i = 0; i < s->v.nqueues; i++) {
        work_cancel(s->v.queues[i]->loop, &s->queues[i].notify);
        virtq_notify(s->v.queues[i]);
    }
}

static MACHINE_CALL void quiesce(Virtio *v, bool forget)
{
    VirtioScsi *s = (VirtioScsi *)v;

    __atomic_store_n(&s->resetting, forget, __ATOMIC_RELEASE);
    scsi_bus_rest(&s->bus, forget);
    virtq_run(v->queues[0], settle, s);
    __atomic_store_n(&s->resetting, false, __ATOMIC_RELEASE);
}

static MACHINE_CALL void resume(Virtio *v)
{
    scsi_resume(&((VirtioScsi *)v)->bus);
}

static void notify_queue(void *arg)
{
    virtq_notify(((VscsiQueue *)arg)->q);
}

/* ---- start-up ------------------------------------------------------------ */

static bool limits_ok(const VirtioScsi *s, Error **errp)
{
    unsigned most = VIRTIO_QUEUES_MAX - VSCSI_FIXED;

    if (!s->num_queues || s->num_queues > most) {
        return error_set(errp, "Invalid number of queues (= %u), must be a "
                         "positive integer less than %u.", s->num_queues, most);
    }
    if (s->queue_size <= 2) {
        return error_set(errp, "invalid virtqueue_size property (= %u), must be "
                         "> 2", s->queue_size);
    }
    if (!IS_POW2(s->queue_size) || s->queue_size > VIRTQ_SIZE_MAX) {
        return error_set(errp, "invalid virtqueue_size property (= %u), must be "
                         "a power of 2 (max %d)", s->queue_size,
                         VIRTQ_SIZE_MAX);
    }
    return true;
}

static MACHINE_CALL void add_queues(VirtioScsi *s)
{
    uint16_t size = (uint16_t)s->queue_size;

    s->queues = g_new0(VscsiQueue, s->num_queues + VSCSI_FIXED);
    for (unsigned i = 0; i < s->num_queues + VSCSI_FIXED; i++) {
        Virtq *q = i == 0
            ? virtq_add(&s->v, size, sizeof(VscsiCtl), vscsi_control) : i == 1
            ? virtq_add(&s->v, size, sizeof(VirtqElem), vscsi_event_kick)
            : virtq_add(&s->v, size, sizeof(VscsiReq), vscsi_command);

        s->queues[i].q = q;
        s->queues[i].notify = (Work){ .fn = notify_queue,
                                      .arg = &s->queues[i] };
        virtq_set_loop(q, s->bus.loop);
    }
}

static MACHINE_CALL bool scsi_realize(Device *dev, Error **errp)
{
    VirtioScsi *s = (VirtioScsi *)dev;
    const VirtioPci *fn = container_of(dev->bus, VirtioPci, bus);
    char *name;

    if (s->num_queues == AUTO_QUEUES) {
        unsigned n = machine && machine->cpus ? machine->cpus : 1;

        s->num_queues = MIN2(n, VIRTIO_QUEUES_MAX - VSCSI_FIXED - 1u);
    }
    if (!limits_ok(s, errp)) {
        return false;
    }
    if (s->iothread && !(fn->flags >> VPCI_IOEVENTFD & 1)) {
        return error_set(errp, "ioeventfd is required for iothread");
    }
    s->sense_size = VIRTIO_SCSI_SENSE_DEFAULT_SIZE;
    s->cdb_size = VIRTIO_SCSI_CDB_DEFAULT_SIZE;
    virtio_init(&s->v, sizeof(struct virtio_scsi_config));
    name = virtio_bus_name(&s->v);
    scsi_bus_init(&s->bus, dev, name, &hba);
    g_free(name);
    if (s->iothread) {
        scsi_bus_set_loop(&s->bus, iothread_loop(s->iothread), NULL);
    }
    add_queues(s);
    return true;
}

static MACHINE_CALL void free_requests(VirtioScsi *s)
{
    for (unsigned i = VSCSI_FIXED; i < s->v.nqueues; i++) {
        Virtq *q = s->v.queues[i];

        for (unsigned k = 0; k < q->num_max; k++) {
            VscsiReq *r = virtq_request_at(q, k);

            scsi_req_free(&r->r);
            g_free(r->own);
        }
    }
}

static MACHINE_CALL void scsi_unrealize(Device *dev)
{
    VirtioScsi *s = (VirtioScsi *)dev;

    scsi_bus_fini(&s->bus);
    free_requests(s);
    g_clear_pointer(&s->queues, g_free);
    virtio_fini(&s->v);
    virtq_saved_free(s->saved, s->nsaved);
    s->saved = NULL;
    s->nsaved = 0;
}

static MACHINE_CALL void scsi_reset(Device *dev, ResetKind kind)
{
    VirtioScsi *s = (VirtioScsi *)dev;

    s->sense_size = VIRTIO_SCSI_SENSE_DEFAULT_SIZE;
    s->cdb_size = VIRTIO_SCSI_CDB_DEFAULT_SIZE;
    s->missed = false;
}

/* ---- tables -------------------------------------------------------------- */

static const VmState scsi_state = {
    .name = "virtio-scsi", .version = 1, .oldest = 1,
    .before_save = vscsi_before_save, .before_load = vscsi_before_load,
    .after_load = vscsi_after_load,
    .fields = (const VmField[]){
        VM_U32(VirtioScsi, sense_size), VM_U32(VirtioScsi, cdb_size),
        VM_BOOL(VirtioScsi, missed),
        VM_VSTRUCT(VirtioScsi, saved, nsaved,
                   VIRTIO_QUEUES_MAX * VIRTQ_SIZE_MAX, &virtq_saved_vmstate),
        VM_END
    },
};

#define COMPAT(upto, value) \
    .compat = (const PropCompat[]){ { upto, value }, { 0 } }

static const Prop scsi_rows[] = {
    PROP_U32("num_queues", VirtioScsi, num_queues, AUTO_QUEUES,
             COMPAT(501, "1")),
    PROP_U32("virtqueue_size", VirtioScsi, queue_size, 256,
             COMPAT(402, "128")),
    PROP_BOOL("seg_max_adjust", VirtioScsi, seg_max_adjust, true,
              COMPAT(402, "off")),
    PROP_U32("max_sectors", VirtioScsi, max_sectors, 0xffff),
    PROP_U32("cmd_per_lun", VirtioScsi, cmd_per_lun, 128),
    PROP_BIT64("hotplug", VirtioScsi, v.host_features, VIRTIO_SCSI_F_HOTPLUG,
               true, .desc = "on/off"),
    PROP_BIT64("param_change", VirtioScsi, v.host_features,
               VIRTIO_SCSI_F_CHANGE, true, .desc = "on/off"),
    PROP_REF("iothread", VirtioScsi, iothread, &prop_ref_iothread),
    PROP_END
};

static const Prop scsi_pci_rows[] = {
    VIRTIO_PCI_IOEVENTFD(true), VIRTIO_PCI_VECTORS(VIRTIO_VECTORS_AUTO),
    PROP_END
};

static const VirtioType scsi_type_ = {
    .id = VIRTIO_ID_SCSI, .config_read = config_read,
    .config_write = config_write, .quiesce = quiesce, .resume = resume,
};

TYPE_NAME(type_virtio_scsi_common, { "virtio-scsi-common", "virtio-device",
                                     true });

VIRTIO_DEVICE(virtio_scsi, "virtio-scsi", "storage", scsi_pci_rows,
              VIRTIO_ID_SCSI, 0x1004, 0x010000,
    .doc = "A SCSI bus of up to 256 targets with 16,384 units each. With "
           "iothread its commands are handled in that thread.",
    .parent = "virtio-scsi-common", .on_info = &scsi_type_,
    .size = sizeof(VirtioScsi), .props = scsi_rows, .vmstate = &scsi_state,
    .realize = scsi_realize, .unrealize = scsi_unrealize,
    .reset = scsi_reset);
