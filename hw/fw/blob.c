/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blob.c - memory contents at reset, e820, and the flat start state shared by
 * the ways to start a kernel without firmware.
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. Blobs never overlap; a cold reset makes memory at them what it was at
 *    start-up.
 */
#include <fcntl.h>
#include <glib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "accel.h"
#include "hw/fw/blob.h"

typedef struct Blob {
    char *name;
    uint64_t addr, len, zero;
    uint8_t *data;
    struct Blob *next;
} Blob;

static Blob *blobs;
static void (*boot_state)(X86Regs *r);
static bool registered;

static void blobs_reset(void *arg, ResetKind kind) NO_TSA;
static void blobs_reset(void *arg, ResetKind kind)
{
    if (kind != RESET_COLD) {
        return;
    }
    for (Blob *b = blobs; b; b = b->next) {
        mem_poke(&mem_system, b->addr, b->data, b->len);
        if (b->zero) {
            mem_set(&mem_system, b->addr + b->len, 0, b->zero,
                    MEM_ATTRS_NONE);
        }
    }
    if (boot_state && cpu_count) {
        boot_state(&x86_cpu(cpus[0])->regs);
        if (accel->type->cpu_reset) {
            accel->type->cpu_reset(cpus[0]);
        }
    }
}

static MACHINE_CALL void blobs_register(void)
{
    if (!registered) {
        registered = true;
        reset_register(blobs_reset, NULL);
    }
}

bool blob_add(const char *name, uint64_t addr, void *data, uint64_t len,
              uint64_t zero, Error **errp)
{
    uint64_t last = addr + len + zero - 1, all = len + zero;
    Blob *b, **p;

    for (b = blobs; b && all; b = b->next) {
        if (b->len + b->zero && addr < b->addr + b->len + b->zero && b->addr <= last) {
            error_set(errp, "%s at 0x%" PRIx64 " overlaps %s at 0x%" PRIx64,
                      name, addr, b->name, b->addr);
            g_free(data);
            return false;
        }
    }
    blobs_register();
    b = g_new0(Blob, 1);
    b->name = g_strdup(name);
    b->addr = addr;
    b->data = data;
    b->len = len;
    b->zero = zero;
    for (p = &blobs; *p; p = &(*p)->next) {
    }
    *p = b;
    return true;
}

void blob_each(void (*fn)(void *arg, const char *name, uint64_t addr,
                          uint64_t len), void *arg)
{
    for (Blob *b = blobs; b; b = b->next) {
        fn(arg, b->name, b->addr, b->len + b->zero);
    }
}

void blob_take_all(void (*fn)(void *arg, const char *name, uint64_t addr,
                              const uint8_t *data, uint64_t len,
                              uint64_t zero), void *arg)
{
    for (Blob *b = blobs, *next; b; b = next) {
        next = b->next;
        fn(arg, b->name, b->addr, b->data, b->len, b->zero);
        g_free(b->name);
        g_free(b->data);
        g_free(b);
    }
    blobs = NULL;
}

void boot_state_set(void (*fn)(X86Regs *r))
{
    blobs_register();
    boot_state = fn;
}

bool blob_read_file(const char *what, const char *path, uint64_t most,
                    uint8_t **data, uint64_t *len, Error **errp)
{
    struct stat st;
    uint64_t got = 0;
    uint8_t *buf;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &st)) {
        int e = errno;

        if (fd >= 0) {
            close(fd);
        }
        return error_set(errp, "could not open %s '%s': %s", what, path,
                         strerror(e));
    }
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > most) {
        close(fd);
        return error_set(errp, "%s '%s' is %s", what, path,
                         S_ISREG(st.st_mode) ? "too large for the guest's "
                         "memory" : "not a regular file");
    }
    buf = g_malloc(st.st_size + 1);
    while (got < (uint64_t)st.st_size) {
        ssize_t n = read(fd, buf + got, st.st_size - got);

        if (n <= 0) {
            if (n < 0 && errno == EINTR) {
                continue;
            }
            break;
        }
        got += n;
    }
    close(fd);
    if (got != (uint64_t)st.st_size) {
        g_free(buf);
        return error_set(errp, "error reading %s '%s'", what, path);
    }
    *data = buf;
    *len = got;
    return true;
}

/* ---- memory map ---------------------------------------------------------- */

static uint64_t taken;                 /* bytes at the top of low RAM         */

uint64_t e820_take_top(const Pc *p, uint64_t len)
{
    taken = ALIGN_UP(len, 4096);
    return p->below_4g - taken;
}

uint64_t blob_ram_top(const Pc *p)
{
    return p->below_4g - taken;
}

/* AMD processors keep the 12 GiB below 1 TiB for HyperTransport. */
static bool has_hypertransport(void)
{
    return machine_version >= 701 && cpu_count &&
           !strcmp(x86_cpu(cpus[0])->vendor, "AuthenticAMD");
}

static unsigned put_reserved(E820 *out, unsigned n)
{
    if (accel_reserved_size) {
        out[n++] = (E820){ accel_reserved_base, accel_reserved_size, 2 };
    }
    if (has_hypertransport()) {
        out[n++] = (E820){ 0xfd00000000ull, 12 * GiB, 2 };
    }
    return n;
}

unsigned e820_fill(const Pc *p, E820 out[16], bool low_holes)
{
    unsigned n = 0;

    if (low_holes) {
        out[n++] = (E820){ 0, 0x9fc00, 1 };
        out[n++] = (E820){ 0x9fc00, 0x400, 2 };
        out[n++] = (E820){ 0xf0000, 0x10000, 2 };
        out[n++] = (E820){ 0x100000, blob_ram_top(p) - 0x100000, 1 };
        if (taken) {
            out[n++] = (E820){ blob_ram_top(p), taken, 3 };
        }
        n = put_reserved(out, n);
    } else {
        /* The order is the one that firmware has always been told. */
        n = put_reserved(out, n);
        out[n++] = (E820){ 0, p->below_4g, 1 };
    }
    if (p->above_4g) {
        out[n++] = (E820){ 4 * GiB, p->above_4g, 1 };
    }
    return n;
}

void boot_regs_flat32(X86Regs *r, uint32_t eip)
{
    X86Seg data = { .sel = 0x18, .attr = 0xc93, .limit = UINT32_MAX };

    for (int i = 0; i < X86_SEG_COUNT; i++) {
        r->seg[i] = data;
    }
    r->seg[X86_CS] = (X86Seg){ .sel = 0x10, .attr = 0xc9b,
                               .limit = UINT32_MAX };
    r->tr = (X86Seg){ .sel = 0x20, .attr = 0x8b, .limit = 0x67 };
    r->cr0 = 0x11;
    r->rip = eip;
    r->rflags = 2;
}
