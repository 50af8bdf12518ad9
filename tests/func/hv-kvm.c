/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hv-kvm.c - LD_PRELOAD: a KVM whose Hyper-V enlightenments are what the
 * environment says, over the one that is there. Writes down what a program asks
 * of it (Linux KVM API: KVM_GET_SUPPORTED_HV_CPUID, KVM_SET_CPUID2,
 * KVM_SET_MSRS, KVM_ENABLE_CAP, KVM_EXIT_HYPERV).
 *
 * HV_LOG: the file for that. HV_CAPS: "none", or capabilities that are missing,
 * decimal, with commas. HV_3A, HV_3D, HV_4A, HV_AA: hexadecimal words of the
 * leaves that KVM offers. HV_EXIT: as what the first entry comes back:
 * "hcall INPUT P0", "synic MSR CONTROL EVENTS MESSAGES", "syndbg CONTROL" or
 * "crash".
 */
#include <dlfcn.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

static int (*real)(int, unsigned long, ...);
static void *(*real_mmap)(void *, size_t, int, int, int, off_t);
static struct kvm_run *run_of;         /* of vCPU 0                           */
static int runs;
static int vcpu_of[1024];              /* id + 1                              */
static uint64_t msr_values[64][0x200];

static void say(const char *fmt, ...)
{
    const char *path = getenv("HV_LOG");
    FILE *f = path ? fopen(path, "a") : NULL;
    va_list ap;

    if (f) {
        va_start(ap, fmt);
        vfprintf(f, fmt, ap);
        va_end(ap);
        fclose(f);
    }
}

static uint32_t word(const char *name, uint32_t otherwise)
{
    const char *s = getenv(name);

    return s ? strtoul(s, NULL, 16) : otherwise;
}

static int cap_has(long cap)
{
    static const short caps[] = {
        44, 45, 46, 96, 123, 148, 149, 154, 155, 161, 163, 167, 175, 191, 199,
    };
    const char *missing = getenv("HV_CAPS");

    for (unsigned i = 0; i < sizeof(caps) / sizeof(caps[0]); i++) {
        if (caps[i] == cap) {
            if (!missing) {
                return 1;
            }
            if (!strcmp(missing, "none")) {
                return 0;
            }
            while (*missing) {
                if (strtol(missing, (char **)&missing, 10) == cap) {
                    return 0;
                }
                missing += *missing == ',';
            }
            return 1;
        }
    }
    return -1;
}

static int hv_cpuid(struct kvm_cpuid2 *c)
{
    const uint32_t rows[][5] = {       /* leaf, EAX to EDX                    */
        { 0, 0x40000082, 0x756e694c, 0x564b2078, 0x7648204d },
        { 1, 0x31237648, 0, 0, 0 }, { 2, 0x383a, 0xa0001, 2, 3 },
        { 3, word("HV_3A", 0x2aff), 0xf0, 9, word("HV_3D", 0x84d10) },
        { 4, word("HV_4A", 0x4e6c), 0xfff, 0x2e, 7 }, { 5, 0x1000, 64, 3, 4 },
        { 0xa, word("HV_AA", 0xa0101), 0, 0, 0 },
        { 0x80, 0x40000082, 0x7263694d, 0x666f736f, 0x53562074 },
        { 0x81, 0x31235356, 0, 0, 0 }, { 0x82, 2, 0, 0, 0 },
    };
    unsigned n = sizeof(rows) / sizeof(rows[0]);

    if (c->nent < n) {
        errno = E2BIG;
        return -1;
    }
    c->nent = n;
    memset(c->entries, 0, n * sizeof(c->entries[0]));
    for (unsigned i = 0; i < n; i++) {
        c->entries[i].function = 0x40000000 | rows[i][0];
        c->entries[i].eax = rows[i][1];
        c->entries[i].ebx = rows[i][2];
        c->entries[i].ecx = rows[i][3];
        c->entries[i].edx = rows[i][4];
    }
    return 0;
}

static int msr_list(int fd, struct kvm_msr_list *l)
{
    static const uint32_t more[] = {
        0x40000000, 0x40000001, 0x40000002, 0x40000003, 0x40000010, 0x40000020,
        0x40000021, 0x40000022, 0x40000023, 0x40000073, 0x40000080, 0x40000083,
        0x40000090, 0x400000b0, 0x400000b1, 0x400000f1, 0x40000100, 0x40000105,
        0x40000106, 0x40000107, 0x40000108,
    };
    uint32_t n = sizeof(more) / sizeof(more[0]), room = l->nmsrs, old;
    int r = real(fd, KVM_GET_MSR_INDEX_LIST, l);
    int err = errno;

    if (cap_has(44) < 1) {
        errno = err;
        return r;
    }
    if (r < 0) {
        l->nmsrs += err == E2BIG ? n : 0;
        errno = err;
        return r;
    }
    old = l->nmsrs;
    l->nmsrs = old + n;
    if (room < old + n) {
        errno = E2BIG;
        return -1;
    }
    memcpy(&l->indices[old], more, sizeof(more));
    return 0;
}

static int is_hv(uint32_t msr)
{
    return msr >= 0x40000000 && msr < 0x40000200;
}

static int msrs(int fd, unsigned long req, struct kvm_msrs *m)
{
    unsigned id = fd < 1024 && vcpu_of[fd] ? (vcpu_of[fd] - 1) % 64 : 0;
    struct { uint32_t n, pad; struct kvm_msr_entry e[1]; } one;

    for (uint32_t i = 0; i < m->nmsrs; i++) {
        struct kvm_msr_entry *e = &m->entries[i];

        if (is_hv(e->index) && cap_has(44) == 1) {
            uint64_t *v = &msr_values[id][e->index - 0x40000000];

            if (req == KVM_SET_MSRS) {
                *v = e->data;
                say("msr %u %x=%llx\n", id, e->index,
                    (unsigned long long)e->data);
            } else {
                e->data = e->index == 0x40000002 ? id : *v;
            }
            continue;
        }
        one.n = 1;
        one.pad = 0;
        one.e[0] = *e;
        if (real(fd, req, &one) != 1) {
            return i;
        }
        *e = one.e[0];
    }
    return m->nmsrs;
}

static void log_cpuid(int fd, const struct kvm_cpuid2 *c)
{
    for (uint32_t i = 0; i < c->nent; i++) {
        const struct kvm_cpuid_entry2 *e = &c->entries[i];

        if (e->function >> 12 == 0x40000) {
            say("cpuid %d %08x %08x %08x %08x %08x\n", vcpu_of[fd % 1024] - 1,
                e->function, e->eax, e->ebx, e->ecx, e->edx);
        }
    }
}

static void came_back(const char *what, const unsigned long long a[4])
{
    struct kvm_run *r = run_of;

    memset(&r->hyperv, 0, sizeof(r->hyperv));
    r->exit_reason = KVM_EXIT_HYPERV;
    if (!strcmp(what, "hcall")) {
        r->hyperv.type = KVM_EXIT_HYPERV_HCALL;
        r->hyperv.u.hcall.input = a[0];
        r->hyperv.u.hcall.params[0] = a[1];
        r->hyperv.u.hcall.result = 0xdead;
    } else if (!strcmp(what, "synic")) {
        r->hyperv.type = KVM_EXIT_HYPERV_SYNIC;
        r->hyperv.u.synic.msr = a[0];
        r->hyperv.u.synic.control = a[1];
        r->hyperv.u.synic.evt_page = a[2];
        r->hyperv.u.synic.msg_page = a[3];
    } else if (!strcmp(what, "syndbg")) {
        r->hyperv.type = KVM_EXIT_HYPERV_SYNDBG;
        r->hyperv.u.syndbg.msr = 0x400000f1;
        r->hyperv.u.syndbg.control = a[0];
        r->hyperv.u.syndbg.status = 0xdead;
    } else {
        for (unsigned i = 0; i < 5; i++) {
            msr_values[0][0x100 + i] = 0x1111 * (i + 1);
        }
        r->exit_reason = KVM_EXIT_SYSTEM_EVENT;
        r->system_event.type = KVM_SYSTEM_EVENT_CRASH;
    }
}

static int run(int fd)
{
    const char *s = getenv("HV_EXIT");
    unsigned long long a[4] = { 0 };
    struct kvm_run *r = run_of;
    char what[16];

    if (!s && runs++ == 0) {
        say("entered\n");
    }
    if (!s || !r || vcpu_of[fd % 1024] != 1 || runs > 1 || r->immediate_exit ||
        sscanf(s, "%15s %llx %llx %llx %llx", what, &a[0], &a[1], &a[2],
               &a[3]) < 1) {
        return real(fd, KVM_RUN, 0);
    }
    if (runs++ == 0) {
        came_back(what, a);
        return 0;
    }
    if (!strcmp(what, "hcall")) {
        say("result %llx\n", (unsigned long long)r->hyperv.u.hcall.result);
    } else if (!strcmp(what, "syndbg")) {
        say("result %x\n", r->hyperv.u.syndbg.status);
    }
    say("entered\n");
    return real(fd, KVM_RUN, 0);
}

static int shim(int fd, unsigned long req, void *arg)
{
    const struct kvm_enable_cap *cap = arg;
    int r;

    switch (req) {
    case KVM_CHECK_EXTENSION:
        r = cap_has((long)arg);
        return r < 0 ? real(fd, req, arg) : r;
    case KVM_GET_SUPPORTED_HV_CPUID:
        if (cap_has(167) < 1) {
            break;
        }
        return hv_cpuid(arg);
    case KVM_CREATE_VCPU:
        r = real(fd, req, arg);
        if (r >= 0 && r < 1024) {
            vcpu_of[r] = (long)arg + 1;
        }
        return r;
    case KVM_RUN:
        return run(fd);
    case KVM_SET_CPUID2:
        log_cpuid(fd, arg);
        break;
    case KVM_GET_MSR_INDEX_LIST:
        return msr_list(fd, arg);
    case KVM_GET_MSRS:
    case KVM_SET_MSRS:
        return msrs(fd, req, arg);
    case KVM_ENABLE_CAP:
        if (cap_has(cap->cap) == 1) {
            if (cap->cap == KVM_CAP_HYPERV_ENLIGHTENED_VMCS) {
                *(uint16_t *)(uintptr_t)cap->args[0] = 0x101;
            }
            say("cap %d %u %llx\n", vcpu_of[fd % 1024] - 1, cap->cap,
                cap->cap == 163 ? 0ull : (unsigned long long)cap->args[0]);
            return 0;
        }
        break;
    }
    return real(fd, req, arg);
}

int ioctl(int fd, unsigned long req, ...)
{
    va_list ap;
    void *arg;

    va_start(ap, req);
    arg = va_arg(ap, void *);
    va_end(ap);
    if (!real) {
        real = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
    }
    req = (uint32_t)req;               /* some have it in an int             */
    if ((req >> 8 & 0xff) == KVMIO) {
        return shim(fd, req, arg);
    }
    return real(fd, req, arg);
}

static void *map(void *at, size_t n, int prot, int flags, int fd, off_t off)
{
    void *p;

    if (!real_mmap) {
        real_mmap = (__typeof__(real_mmap))dlsym(RTLD_NEXT, "mmap");
    }
    p = real_mmap(at, n, prot, flags, fd, off);
    if (fd >= 0 && fd < 1024 && vcpu_of[fd] == 1 && off == 0) {
        run_of = p;
    }
    return p;
}

void *mmap(void *at, size_t n, int prot, int flags, int fd, off_t off)
{
    return map(at, n, prot, flags, fd, off);
}

void *mmap64(void *at, size_t n, int prot, int flags, int fd, off_t off)
{
    return map(at, n, prot, flags, fd, off);
}
