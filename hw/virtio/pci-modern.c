/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-modern.c - the interface of virtio 1.x: capabilities, common configuration,
 * notification, ISR, device configuration, and the window to them in
 * configuration space (virtio 1.2, sections 4.1.4.3 to 4.1.4.9).
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. A queue's addresses change only while it is not enabled.
 */
#include <linux/virtio_pci.h>
#include "hw/virtio/pci-impl.h"

/* ---- common configuration ------------------------------------------------ */

static uint32_t words(uint64_t bits, uint32_t select)
{
    return select < 2 ? bits >> 32 * select : 0;
}

static uint64_t half(uint64_t v, unsigned high)
{
    return high ? v >> 32 : (uint32_t)v;
}

static uint32_t queue_read(const Virtq *q, uint64_t off)
{
    switch (off) {
    case VIRTIO_PCI_COMMON_Q_SIZE:
        return q->num;
    case VIRTIO_PCI_COMMON_Q_MSIX:
        return q->vector;
    case VIRTIO_PCI_COMMON_Q_ENABLE:
        return q->enabled;
    case VIRTIO_PCI_COMMON_Q_NOFF:
    case VIRTIO_PCI_COMMON_Q_NDATA:
        return q->index;
    case VIRTIO_PCI_COMMON_Q_DESCLO:
    case VIRTIO_PCI_COMMON_Q_DESCHI:
        return half(q->desc, off & 4);
    case VIRTIO_PCI_COMMON_Q_AVAILLO:
    case VIRTIO_PCI_COMMON_Q_AVAILHI:
        return half(q->avail, off & 4);
    case VIRTIO_PCI_COMMON_Q_USEDLO:
    case VIRTIO_PCI_COMMON_Q_USEDHI:
        return half(q->used, off & 4);
    default:
        return 0;
    }
}

static uint64_t common_read(void *dev, uint64_t off, unsigned size)
{
    VirtioPci *p = dev;
    const Virtio *v = p->v;
    const Virtq *q = vpci_selected(p);

    switch (off) {
    case VIRTIO_PCI_COMMON_DFSELECT:
        return p->dfselect;
    case VIRTIO_PCI_COMMON_DF:
        return words(v->offered & ~(virtio_type(v)->legacy_only |
                                    1ull << VIRTIO_F_BAD |
                                    1ull << VIRTIO_F_NOTIFY_ON_EMPTY |
                                    1ull << VIRTIO_F_ANY_LAYOUT), p->dfselect);
    case VIRTIO_PCI_COMMON_GFSELECT:
        return p->gfselect;
    case VIRTIO_PCI_COMMON_GF:
        return words(p->driver_features, p->gfselect);
    case VIRTIO_PCI_COMMON_MSIX:
        return v->config_vector;
    case VIRTIO_PCI_COMMON_NUMQ:
        return v->nqueues;
    case VIRTIO_PCI_COMMON_STATUS:
        return v->status;
    case VIRTIO_PCI_COMMON_CFGGENERATION:
        return v->generation & 0xff;
    case VIRTIO_PCI_COMMON_Q_SELECT:
        return v->queue_sel;
    default:
        return q ? queue_read(q, off) : 0;
    }
}

static void set_half(uint64_t *to, unsigned high, uint32_t val)
{
    *to = high ? (uint32_t)*to | (uint64_t)val << 32
               : (*to & ~0xffffffffull) | val;
}

static void queue_enable(VirtioPci *p, Virtq *q) MACHINE_CALL;
static void queue_enable(VirtioPci *p, Virtq *q)
{
    if (q->enabled) {
        return;
    }
    q->enabled = true;
    virtq_set_address(q, q->desc, q->avail, q->used);
    virtq_enabled(q);
}

static void queue_write(VirtioPci *p, Virtq *q, uint64_t off, uint32_t val)
    MACHINE_CALL;
static void queue_write(VirtioPci *p, Virtq *q, uint64_t off, uint32_t val)
{
    if (off == VIRTIO_PCI_COMMON_Q_MSIX) {
        vpci_set_vector(p, q, val);
        return;
    }
    if (off == VIRTIO_PCI_COMMON_Q_RESET) {
        if (val == 1 && (p->v->features >> VIRTIO_F_RING_RESET & 1)) {
            virtq_reset(q);
        }
        return;
    }
    if (q->enabled) {
        guest_fault(p->pci.dev.type->name, "queue %u changed while enabled",
                    q->index);
        return;
    }
    switch (off) {
    case VIRTIO_PCI_COMMON_Q_SIZE:
        if (val && val <= q->num_max) {
            q->num = val;
        }
        break;
    case VIRTIO_PCI_COMMON_Q_ENABLE:
        if (val == 1) {
            queue_enable(p, q);
        }
        break;
    case VIRTIO_PCI_COMMON_Q_DESCLO:
    case VIRTIO_PCI_COMMON_Q_DESCHI:
        set_half(&q->desc, off & 4, val);
        break;
    case VIRTIO_PCI_COMMON_Q_AVAILLO:
    case VIRTIO_PCI_COMMON_Q_AVAILHI:
        set_half(&q->avail, off & 4, val);
        break;
    case VIRTIO_PCI_COMMON_Q_USEDLO:
    case VIRTIO_PCI_COMMON_Q_USEDHI:
        set_half(&q->used, off & 4, val);
        break;
    default:
        break;
    }
}

static void common_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    VirtioPci *p = dev;
    Virtq *q = vpci_selected(p);

    machine_assert_locked();
    switch (off) {
    case VIRTIO_PCI_COMMON_DFSELECT:
        p->dfselect = val;
        break;
    case VIRTIO_PCI_COMMON_GFSELECT:
        p->gfselect = val;
        break;
    case VIRTIO_PCI_COMMON_GF:
        if (p->gfselect < 2) {
            set_half(&p->driver_features, p->gfselect, val);
            virtio_set_features(p->v, p->driver_features);
        }
        break;
    case VIRTIO_PCI_COMMON_MSIX:
        p->v->config_vector = vpci_vector(p, val);
        break;
    case VIRTIO_PCI_COMMON_STATUS:
        vpci_set_status(p, val);
        break;
    case VIRTIO_PCI_COMMON_Q_SELECT:
        if (val < VIRTIO_QUEUES_MAX) {
            p->v->queue_sel = val;
        }
        break;
    default:
        if (q) {
            queue_write(p, q, off, val);
        }
    }
}

static const MemOps common_ops = {
    .read = common_read, .write = common_write, .min = 1, .max = 4,
};

/* ---- the other areas ----------------------------------------------------- */

static uint64_t isr_read(void *dev, uint64_t off, unsigned size)
{
    machine_assert_locked();
    return off ? 0 : vpci_isr_take(dev);
}

static void ignore_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
}

static const MemOps isr_ops = {
    .read = isr_read, .write = ignore_write, .min = 1, .max = 4,
};

static uint64_t config_read(void *dev, uint64_t off, unsigned size)
{
    machine_assert_locked();
    return virtio_config_get(((VirtioPci *)dev)->v, off, size);
}

static void config_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    machine_assert_locked();
    virtio_config_set(((VirtioPci *)dev)->v, off, val, size);
}

static const MemOps config_ops = {
    .read = config_read, .write = config_write, .min = 1, .max = 4,
};

static uint64_t zero_read(void *dev, uint64_t off, unsigned size)
{
    return 0;
}

static void notify_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    VirtioPci *p = dev;
    uint64_t n = off / vpci_notify_step(p);

    machine_assert_locked();
    if (n < p->v->nqueues) {
        virtq_kicked_by_register(p->v->queues[n]);
    }
}

static const MemOps notify_ops = {
    .read = zero_read, .write = notify_write, .min = 1, .max = 4,
};

static void pio_notify_write(void *dev, uint64_t off, uint64_t val,
                             unsigned size)
{
    VirtioPci *p = dev;

    machine_assert_locked();
    if (val < p->v->nqueues) {
        virtq_kicked_by_register(p->v->queues[val]);
    }
}

static const MemOps pio_notify_ops = {
    .read = zero_read, .write = pio_notify_write, .min = 1, .max = 4,
};

/* ---- the window in configuration space (section 4.1.4.9) ----------------- */

static MemRegion *window_region(VirtioPci *p, uint32_t *off, unsigned *size)
    MACHINE_CALL;
static MemRegion *window_region(VirtioPci *p, uint32_t *off, unsigned *size)
{
    const uint8_t *c = p->pci.config + p->cfg_cap;
    MemRegion *list[] = { &p->common, &p->isr, &p->config, &p->notify };
    uint32_t at = ld_le32(c + VIRTIO_PCI_CAP_OFFSET);

    *size = ld_le32(c + VIRTIO_PCI_CAP_LENGTH);
    if ((*size != 1 && *size != 2 && *size != 4) || at % *size) {
        return NULL;
    }
    if (c[VIRTIO_PCI_CAP_BAR] == VPCI_BAR_PIO && vpci_flag(p, VPCI_PIO_NOTIFY)) {
        *off = at;
        return at < 4 ? &p->pio_notify : NULL;
    }
    if (c[VIRTIO_PCI_CAP_BAR] != VPCI_BAR_MODERN) {
        return NULL;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(list); i++) {
        if (at >= list[i]->addr && at - list[i]->addr < mem_size(list[i])) {
            *off = at - list[i]->addr;
            return list[i];
        }
    }
    return NULL;
}

static bool touches_data(const VirtioPci *p, uint32_t off, unsigned size)
{
    uint32_t data = p->cfg_cap + sizeof(struct virtio_pci_cap);

    return p->cfg_cap && off < data + 4 && data < off + size;
}

uint32_t vpci_config_read(PciDevice *d, uint32_t off, unsigned size)
{
    VirtioPci *p = (VirtioPci *)d;

    machine_assert_locked();
    if (p->v && touches_data(p, off, size)) {
        uint8_t *data = d->config + p->cfg_cap + sizeof(struct virtio_pci_cap);
        uint32_t at = 0;
        unsigned n = 0;
        MemRegion *mr = window_region(p, &at, &n);
        uint64_t val = 0;

        if (mr && mem_dispatch_read(mr, at, &val, n, MEM_ATTRS_NONE) ==
            MEM_OK) {
            for (unsigned i = 0; i < n; i++) {
                data[i] = val >> 8 * i;
            }
        }
    }
    return pci_config_read_default(d, off, size);
}

void vpci_window_write(VirtioPci *p, uint32_t off, unsigned size)
{
    uint32_t at = 0, val;
    unsigned n = 0;
    MemRegion *mr;

    if (!p->v || !touches_data(p, off, size)) {
        return;
    }
    mr = window_region(p, &at, &n);
    if (mr) {
        val = ld_le32(p->pci.config + p->cfg_cap +
                      sizeof(struct virtio_pci_cap));
        if (n < 4) {
            val &= (1u << 8 * n) - 1;
        }
        mem_dispatch_write(mr, at, val, n, MEM_ATTRS_NONE);
    }
}

void vpci_window_reset(VirtioPci *p)
{
    uint8_t *c = p->pci.config + p->cfg_cap;

    c[VIRTIO_PCI_CAP_BAR] = 0;
    memset(c + VIRTIO_PCI_CAP_OFFSET, 0, 12);
}

/* ---- life ---------------------------------------------------------------- */

typedef struct Cap {
    uint8_t type, bar, len;
    uint32_t off, bytes, step;
} Cap;

static int add_cap(VirtioPci *p, const Cap *c, Error **errp) MACHINE_CALL;
static int add_cap(VirtioPci *p, const Cap *c, Error **errp)
{
    int at = pci_cap(&p->pci, PCI_CAP_ID_VNDR, 0, c->len, errp);
    uint8_t *to = p->pci.config + at;

    if (at < 0) {
        return -1;
    }
    to[VIRTIO_PCI_CAP_LEN] = c->len;
    to[VIRTIO_PCI_CAP_CFG_TYPE] = c->type;
    to[VIRTIO_PCI_CAP_BAR] = c->bar;
    st_le32(to + VIRTIO_PCI_CAP_OFFSET, c->off);
    st_le32(to + VIRTIO_PCI_CAP_LENGTH, c->bytes);
    if (c->type == VIRTIO_PCI_CAP_NOTIFY_CFG) {
        st_le32(to + VIRTIO_PCI_NOTIFY_CAP_MULT, c->step);
    }
    return at;
}

static bool add_caps(VirtioPci *p, Error **errp) MACHINE_CALL;
static bool add_caps(VirtioPci *p, Error **errp)
{
    const Cap caps[] = {
        { VIRTIO_PCI_CAP_COMMON_CFG, VPCI_BAR_MODERN, 16, VPCI_COMMON,
          VPCI_AREA, 0 },
        { VIRTIO_PCI_CAP_ISR_CFG, VPCI_BAR_MODERN, 16, VPCI_ISR, VPCI_AREA,
          0 },
        { VIRTIO_PCI_CAP_DEVICE_CFG, VPCI_BAR_MODERN, 16, VPCI_CONFIG,
          VPCI_AREA, 0 },
        { VIRTIO_PCI_CAP_NOTIFY_CFG, VPCI_BAR_MODERN, 20, VPCI_NOTIFY,
          p->notify_len, vpci_notify_step(p) },
    };
    const Cap pio = { VIRTIO_PCI_CAP_NOTIFY_CFG, VPCI_BAR_PIO, 20, 0, 4, 0 };
    const Cap window = { VIRTIO_PCI_CAP_PCI_CFG, 0, 20, 0, 0, 0 };
    uint8_t *w;
    int at;

    for (unsigned i = 0; i < ARRAY_SIZE(caps); i++) {
        if (add_cap(p, &caps[i], errp) < 0) {
            return false;
        }
    }
    if (vpci_flag(p, VPCI_PIO_NOTIFY) && add_cap(p, &pio, errp) < 0) {
        return false;
    }
    at = add_cap(p, &window, errp);
    if (at < 0) {
        return false;
    }
    p->cfg_cap = at;
    w = p->pci.wmask + at;
    w[VIRTIO_PCI_CAP_BAR] = 0xff;
    st_le32(w + VIRTIO_PCI_CAP_OFFSET, UINT32_MAX);
    st_le32(w + VIRTIO_PCI_CAP_LENGTH, UINT32_MAX);
    st_le32(w + sizeof(struct virtio_pci_cap), UINT32_MAX);
    memset(p->pci.cmask + at + VIRTIO_PCI_CAP_BAR, 0, 16);
    return true;
}

static void area(VirtioPci *p, MemRegion *mr, uint32_t at, const char *name,
                 const MemOps *ops) MACHINE_CALL;
static void area(VirtioPci *p, MemRegion *mr, uint32_t at, const char *name,
                 const MemOps *ops)
{
    mem_init_io(mr, name, at == VPCI_NOTIFY ? p->notify_len : VPCI_AREA, ops,
                p);
    device_region(&p->pci.dev, mr);
    mem_add(&p->mem, at, mr);
}

bool vpci_modern_init(VirtioPci *p, Error **errp)
{
    uint64_t size = 4 * VPCI_AREA;

    p->notify_len = vpci_flag(p, VPCI_PAGE_PER_VQ)
                    ? VIRTIO_QUEUES_MAX * 0x1000 : VPCI_AREA;
    while (size < VPCI_NOTIFY + (uint64_t)p->notify_len) {
        size *= 2;
    }
    mem_init(&p->mem, "virtio-pci", size);
    area(p, &p->common, VPCI_COMMON, "virtio-pci-common", &common_ops);
    area(p, &p->isr, VPCI_ISR, "virtio-pci-isr", &isr_ops);
    area(p, &p->config, VPCI_CONFIG, "virtio-pci-device", &config_ops);
    area(p, &p->notify, VPCI_NOTIFY, "virtio-pci-notify", &notify_ops);
    mem_init_io(&p->pio_notify, "virtio-pci-notify-pio", 4, &pio_notify_ops,
                p);
    if (!add_caps(p, errp)) {
        vpci_modern_fini(p);
        return false;
    }
    pci_bar(&p->pci, VPCI_BAR_MODERN, PCI_BAR_MEM64 | PCI_BAR_PREF, &p->mem);
    if (vpci_flag(p, VPCI_PIO_NOTIFY)) {
        pci_bar(&p->pci, VPCI_BAR_PIO, PCI_BAR_IO, &p->pio_notify);
    }
    return true;
}

void vpci_modern_fini(VirtioPci *p)
{
    mem_fini(&p->common);
    mem_fini(&p->isr);
    mem_fini(&p->config);
    mem_fini(&p->notify);
    mem_fini(&p->pio_notify);
    mem_fini(&p->mem);
    p->cfg_cap = 0;
}
