/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * msix.c - MSI-X: table, pending bits, and eventfds that deliver a vector
 * without the process's help (PCI Local Bus 3.0, section 6.8.2).
 *
 * Thread class: MACHINE_CALL, but for msix_notify, msix_message and
 * msix_masked: ANY_THREAD.
 *
 * Invariants
 * 1. table, pba and `on` are touched under `lock` only; nothing is called under
 *    it.
 * 2. An irqfd is bound to its route exactly while its vector may fire; while it
 *    may not, events stay in the eventfd until the guest looks at the pending
 *    bits or unmasks.
 * 3. table has nvec entries, pba has nwords words of 64 bits, enough for nvec.
 */
#include <glib.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "accel.h"
#include "hw/pci/pci-impl.h"

typedef struct MsixFd {
    int fd;                            /* -1: none                            */
    int gsi;                           /* -1: through the process             */
    bool bound;
    PciDevice *d;
    unsigned vec;
} MsixFd;

struct PciMsix {
    pthread_mutex_t lock;
    uint8_t *table, *pba;              /* as the guest sees them              */
    uint32_t nvec, nwords;
    bool on;                           /* enabled and function not masked     */
    MemRegion table_mr, pba_mr;
    MemRegion *own_bar;                /* of msix_init_bar; else NULL         */
    MsixFd *fds;                       /* nvec                                */
};

/* ---- the table ---------------------------------------------------------- */

static size_t table_len(const struct PciMsix *x)
{
    return x->nvec * PCI_MSIX_ENTRY_SIZE;
}

static size_t pba_len(const struct PciMsix *x)
{
    return x->nwords * 8;
}

static uint8_t *entry(struct PciMsix *x, unsigned vec)
{
    return x->table + vec * PCI_MSIX_ENTRY_SIZE;
}

static bool vector_masked(struct PciMsix *x, unsigned vec)
{
    return !x->on || (entry(x, vec)[PCI_MSIX_ENTRY_VECTOR_CTRL] &
                      PCI_MSIX_ENTRY_CTRL_MASKBIT);
}

static MsiMessage entry_message(struct PciMsix *x, unsigned vec)
{
    uint8_t *e = entry(x, vec);

    return (MsiMessage){
        .addr = ld_le64(e + PCI_MSIX_ENTRY_LOWER_ADDR),
        .data = ld_le32(e + PCI_MSIX_ENTRY_DATA),
    };
}

static uint16_t requester_of(const PciDevice *d)
{
    return pci_bus_num(pci_bus(d)) << 8 | d->devfn;
}

bool msix_enabled(const PciDevice *d)
{
    return d->msix_cap && (d->config[d->msix_cap + PCI_MSIX_FLAGS + 1] &
                           (PCI_MSIX_FLAGS_ENABLE >> 8));
}

MsiMessage msix_message(const PciDevice *d, unsigned vec)
{
    struct PciMsix *x = d->msix;
    MsiMessage m = { 0 };

    if (x && vec < x->nvec) {
        pthread_mutex_lock(&x->lock);
        m = entry_message(x, vec);
        pthread_mutex_unlock(&x->lock);
    }
    return m;
}

bool msix_masked(const PciDevice *d, unsigned vec)
{
    struct PciMsix *x = d->msix;
    bool masked = true;

    if (x && vec < x->nvec) {
        pthread_mutex_lock(&x->lock);
        masked = vector_masked(x, vec);
        pthread_mutex_unlock(&x->lock);
    }
    return masked;
}

void msix_notify(PciDevice *d, unsigned vec)
{
    struct PciMsix *x = d->msix;
    MsiMessage m;
    bool fire;

    if (!x || vec >= x->nvec) {
        return;
    }
    pthread_mutex_lock(&x->lock);
    fire = !vector_masked(x, vec);
    m = entry_message(x, vec);
    if (!fire) {
        x->pba[vec / 8] |= 1 << vec % 8;
    }
    pthread_mutex_unlock(&x->lock);
    if (fire) {
        msi_send(m, requester_of(d));
    }
}

/* ---- eventfds ----------------------------------------------------------- */

static bool drain(int fd)
{
    uint64_t n;

    return read(fd, &n, sizeof(n)) == sizeof(n);
}

static void fd_event(void *arg, unsigned events)
{
    MsixFd *f = arg;

    if (drain(f->fd)) {
        msix_notify(f->d, f->vec);
    }
}

static void follow(PciDevice *d, unsigned vec) MACHINE_CALL;
static void follow(PciDevice *d, unsigned vec)
{
    MsixFd *f = &d->msix->fds[vec];
    bool want;

    if (f->fd < 0 || f->gsi < 0) {
        return;
    }
    want = !msix_masked(d, vec);
    if (want) {
        accel_irq.msi_route_update(f->gsi, msix_message(d, vec));
    }
    if (want != f->bound &&
        accel_irq.irqfd(f->gsi, f->fd, -1, want) == 0) {
        f->bound = want;
    }
}

int msix_irqfd(PciDevice *d, unsigned vec, Error **errp)
{
    struct PciMsix *x = d->msix;
    MsixFd *f;

    if (!x || vec >= x->nvec) {
        error_set(errp, "%s: no MSI-X vector %u", d->dev.type->name, vec);
        return -1;
    }
    f = &x->fds[vec];
    if (f->fd >= 0) {
        return f->fd;
    }
    f->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (f->fd < 0) {
        error_set_errno(errp, errno, "%s: cannot make an eventfd",
                        d->dev.type->name);
        return -1;
    }
    f->d = d;
    f->vec = vec;
    f->gsi = -1;
    f->bound = false;
    if (accel_irq.apic_in_kernel && accel_irq.irqfd) {
        f->gsi = accel_irq.msi_route_add(msix_message(d, vec),
                                         requester_of(d));
    }
    if (f->gsi < 0) {
        f->gsi = -1;
        loop_fd(loop_main, f->fd, EPOLLIN, fd_event, f);
    } else {
        follow(d, vec);
    }
    return f->fd;
}

void msix_irqfd_free(PciDevice *d, unsigned vec)
{
    struct PciMsix *x = d->msix;
    MsixFd *f;

    if (!x || vec >= x->nvec || x->fds[vec].fd < 0) {
        return;
    }
    f = &x->fds[vec];
    if (f->gsi >= 0) {
        if (f->bound) {
            accel_irq.irqfd(f->gsi, f->fd, -1, false);
        }
        accel_irq.msi_route_del(f->gsi);
    } else {
        loop_fd(loop_main, f->fd, 0, NULL, NULL);
    }
    /* An event that nobody has taken yet is not lost. */
    if (drain(f->fd)) {
        msix_notify(d, vec);
    }
    close(f->fd);
    f->fd = -1;
}

/* Mask or message of a vector changed. */
static void changed(PciDevice *d, unsigned vec, bool was_masked) MACHINE_CALL;
static void changed(PciDevice *d, unsigned vec, bool was_masked)
{
    struct PciMsix *x = d->msix;
    uint8_t bit = 1 << vec % 8;
    bool fire = false;

    follow(d, vec);
    if (!was_masked) {
        return;
    }
    pthread_mutex_lock(&x->lock);
    if (!vector_masked(x, vec) && (x->pba[vec / 8] & bit)) {
        x->pba[vec / 8] &= ~bit;
        fire = true;
    }
    pthread_mutex_unlock(&x->lock);
    if (fire) {
        msix_notify(d, vec);
    }
}

/* ---- registers ---------------------------------------------------------- */

static uint64_t table_read(void *dev, uint64_t off, unsigned size)
{
    struct PciMsix *x = ((PciDevice *)dev)->msix;
    uint64_t v = 0;

    pthread_mutex_lock(&x->lock);
    if (off + size <= table_len(x)) {
        v = size == 8 ? ld_le64(x->table + off) : ld_le32(x->table + off);
    }
    pthread_mutex_unlock(&x->lock);
    return v;
}

static void table_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    PciDevice *d = dev;
    struct PciMsix *x = d->msix;
    unsigned vec = off / PCI_MSIX_ENTRY_SIZE;
    bool was;

    machine_assert_locked();
    if (off + size > table_len(x)) {
        return;
    }
    pthread_mutex_lock(&x->lock);
    was = vector_masked(x, vec);
    if (size == 8) {
        st_le64(x->table + off, val);
    } else {
        st_le32(x->table + off, val);
    }
    pthread_mutex_unlock(&x->lock);
    changed(d, vec, was);
}

static uint64_t pba_read(void *dev, uint64_t off, unsigned size)
{
    struct PciMsix *x = ((PciDevice *)dev)->msix;
    uint64_t v = 0;

    pthread_mutex_lock(&x->lock);
    for (unsigned vec = 0; vec < x->nvec; vec++) {
        MsixFd *f = &x->fds[vec];

        if (f->fd >= 0 && f->gsi >= 0 && !f->bound && drain(f->fd)) {
            x->pba[vec / 8] |= 1 << vec % 8;
        }
    }
    if (off + size <= pba_len(x)) {
        v = size == 8 ? ld_le64(x->pba + off) : ld_le32(x->pba + off);
    }
    pthread_mutex_unlock(&x->lock);
    return v;
}

static void pba_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    guest_fault(((PciDevice *)dev)->dev.type->name,
                "write to MSI-X pending bits");
}

static const MemOps table_ops = {
    .read = table_read, .write = table_write, .min = 4, .max = 8,
    .valid_min = 4, .valid_max = 8,
};

static const MemOps pba_ops = {
    .read = pba_read, .write = pba_write, .min = 4, .max = 8,
    .valid_min = 4, .valid_max = 8,
};

static void set_on(PciDevice *d) MACHINE_CALL;
static void set_on(PciDevice *d)
{
    struct PciMsix *x = d->msix;
    uint16_t flags = ld_le16(d->config + d->msix_cap + PCI_MSIX_FLAGS);
    bool on = (flags & PCI_MSIX_FLAGS_ENABLE) &&
              !(flags & PCI_MSIX_FLAGS_MASKALL);
    bool was;

    pthread_mutex_lock(&x->lock);
    was = x->on;
    x->on = on;
    pthread_mutex_unlock(&x->lock);
    if (flags & PCI_MSIX_FLAGS_ENABLE) {
        pci_irq(d, 0);
    }
    if (was != on) {
        for (unsigned vec = 0; vec < x->nvec; vec++) {
            changed(d, vec, !was);
        }
    }
}

void msix_config_write(PciDevice *d, uint32_t off, unsigned size)
{
    if (d->msix && pci_overlaps(off, size, d->msix_cap + PCI_MSIX_FLAGS, 2)) {
        set_on(d);
    }
}

static void mask_all(struct PciMsix *x)
{
    memset(x->table, 0, table_len(x));
    memset(x->pba, 0, pba_len(x));
    for (unsigned vec = 0; vec < x->nvec; vec++) {
        entry(x, vec)[PCI_MSIX_ENTRY_VECTOR_CTRL] =
            PCI_MSIX_ENTRY_CTRL_MASKBIT;
    }
}

void msix_reset(PciDevice *d)
{
    struct PciMsix *x = d->msix;

    if (!x) {
        return;
    }
    d->config[d->msix_cap + PCI_MSIX_FLAGS + 1] &=
        ~((PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL) >> 8);
    pthread_mutex_lock(&x->lock);
    mask_all(x);
    pthread_mutex_unlock(&x->lock);
    set_on(d);
}

/* ---- life --------------------------------------------------------------- */

bool msix_init(PciDevice *d, unsigned nvec, MemRegion *table, int table_bar,
               uint32_t table_off, MemRegion *pba, int pba_bar,
               uint32_t pba_off, uint8_t cap_off, Error **errp)
{
    struct PciMsix *x;
    int at;

    if (nvec < 1 || nvec > PCI_MSIX_FLAGS_QSIZE + 1) {
        return error_set(errp, "The number of MSI-X vectors is invalid");
    }
    at = pci_cap(d, PCI_CAP_ID_MSIX, cap_off, PCI_CAP_MSIX_SIZEOF, errp);
    if (at < 0) {
        return false;
    }
    d->msix_cap = at;
    st_le16(d->config + at + PCI_MSIX_FLAGS, nvec - 1);
    st_le32(d->config + at + PCI_MSIX_TABLE, table_off | table_bar);
    st_le32(d->config + at + PCI_MSIX_PBA, pba_off | pba_bar);
    st_le16(d->wmask + at + PCI_MSIX_FLAGS,
            PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);

    x = d->msix = g_new0(struct PciMsix, 1);
    pthread_mutex_init(&x->lock, NULL);
    x->nvec = nvec;
    x->nwords = ALIGN_UP(nvec, 64) / 64;
    x->table = g_malloc0(table_len(x));
    x->pba = g_malloc0(pba_len(x));
    x->fds = g_new0(MsixFd, nvec);
    for (unsigned i = 0; i < nvec; i++) {
        x->fds[i].fd = x->fds[i].gsi = -1;
    }
    mask_all(x);
    mem_init_io(&x->table_mr, "msix-table", table_len(x), &table_ops, d);
    mem_init_io(&x->pba_mr, "msix-pba", pba_len(x), &pba_ops, d);
    device_region(&d->dev, &x->table_mr);
    device_region(&d->dev, &x->pba_mr);
    mem_add(table, table_off, &x->table_mr);
    mem_add(pba, pba_off, &x->pba_mr);
    return true;
}

bool msix_init_bar(PciDevice *d, unsigned nvec, int bar, Error **errp)
{
    uint64_t half = 2048, size;
    MemRegion *mr = g_new0(MemRegion, 1);
    char *name = g_strdup_printf("%s-msix", d->dev.type->name);

    /* Table in the lower half, pending bits in the upper: 4 KiB are enough for
     * 128 vectors. */
    while (half < nvec * PCI_MSIX_ENTRY_SIZE) {
        half *= 2;
    }
    size = half * 2;
    mem_init(mr, g_intern_string(name), size);
    g_free(name);
    if (!msix_init(d, nvec, mr, bar, 0, mr, bar, half, 0, errp)) {
        mem_fini(mr);
        g_free(mr);
        return false;
    }
    d->msix->own_bar = mr;
    pci_bar(d, bar, PCI_BAR_MEM32, mr);
    return true;
}

void msix_fini(PciDevice *d)
{
    struct PciMsix *x = d->msix;

    if (!x) {
        return;
    }
    for (unsigned i = 0; i < x->nvec; i++) {
        msix_irqfd_free(d, i);
    }
    mem_fini(&x->table_mr);
    mem_fini(&x->pba_mr);
    if (x->own_bar) {
        for (int i = 0; i < 6; i++) {
            if (d->bar[i].mr == x->own_bar) {
                d->bar[i].mr = NULL;
            }
        }
        mem_fini(x->own_bar);
        g_free(x->own_bar);
    }
    d->msix = NULL;
    d->msix_cap = 0;
    pthread_mutex_destroy(&x->lock);
    g_free(x->table);
    g_free(x->pba);
    g_free(x->fds);
    g_free(x);
}

/* ---- saved state -------------------------------------------------------- */

static bool has_msix(const void *s)
{
    return ((const PciDevice *)s)->msix != NULL;
}

void msix_loaded(PciDevice *d)
{
    if (d->msix) {
        set_on(d);
        for (unsigned vec = 0; vec < d->msix->nvec; vec++) {
            changed(d, vec, true);
        }
    }
}

typedef struct MsixEntry {
    uint8_t bytes[PCI_MSIX_ENTRY_SIZE];
} MsixEntry;
typedef struct MsixWord {
    uint8_t bytes[8];
} MsixWord;
static const VmState msix_entry = {
    .name = "msix-entry", .version = 1, .oldest = 1,
    .fields = (const VmField[]){ VM_BYTES(MsixEntry, bytes), VM_END },
};
static const VmState msix_word = {
    .name = "msix-pending", .version = 1, .oldest = 1,
    .fields = (const VmField[]){ VM_BYTES(MsixWord, bytes), VM_END },
};
static const VmState msix_tables = {
    .name = "msix", .version = 1, .oldest = 1,
    .fields = (const VmField[]){
        VM_VSTRUCT(struct PciMsix, table, nvec, 2048, &msix_entry,
                   .size = sizeof(MsixEntry)),
        VM_VSTRUCT(struct PciMsix, pba, nwords, 32, &msix_word,
                   .size = sizeof(MsixWord)),
        VM_END
    },
};

const VmState msix_vmstate = {
    .name = "pci-msix", .version = 1, .oldest = 1, .needed = has_msix,
    .fields = (const VmField[]){
        VM_PSTRUCT(PciDevice, msix, &msix_tables),
        VM_END
    },
};
