/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm.c - accelerator `kvm`: opening /dev/kvm, what the host's KVM offers, the VM.
 * (Linux KVM API: KVM_GET_API_VERSION, KVM_CREATE_VM, KVM_CHECK_EXTENSION.)
 *
 * Thread class: main thread with the machine lock; kvm_ioctl* and kvm_refused
 * from any thread.
 *
 * 1. `kvm` is set before the first vCPU exists and cleared after the last.
 * 2. What a host lacks is written down here once, as a field of Kvm; no other
 *    file asks KVM_CHECK_EXTENSION on a hot path.
 * 3. A host that refuses an MSR, a feature or an optional capability costs a
 *    warning, never the program.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <glib.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>
#include "kvm.h"
#include "opt.h"

/* The three pages KVM keeps for real mode on Intel hosts, and one page for the
 * identity map before them; below the firmware, as the peer places them. */
#define IDENTITY_BASE 0xfeffc000ull
#define RESERVED_SIZE 0x4000ull

Kvm *kvm;

/* ---- ioctls -------------------------------------------------------------- */

int kvm_ioctl(int fd, unsigned long req, void *arg)
{
    int r;

    do {
        r = ioctl(fd, req, arg);
    } while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : r;
}

int kvm_ioctl_n(int fd, unsigned long req, unsigned long arg)
{
    return kvm_ioctl(fd, req, (void *)arg);
}

int kvm_cap(int cap)
{
    int r = kvm->vm >= 0 ? kvm_ioctl_n(kvm->vm, KVM_CHECK_EXTENSION, cap) : 0;

    /* Kernels before 3.10 answer on the device only. */
    if (r <= 0) {
        r = kvm_ioctl_n(kvm->fd, KVM_CHECK_EXTENSION, cap);
    }
    return MAX2(r, 0);
}

int kvm_enable_cap(int fd, uint32_t cap, uint64_t arg0, uint64_t arg1)
{
    struct kvm_enable_cap c = { .cap = cap, .args = { arg0, arg1 } };

    return kvm_ioctl(fd, KVM_ENABLE_CAP, &c);
}

void kvm_refused(const char *fmt, ...)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static GHashTable *seen;
    va_list ap;
    char *text;
    bool fresh;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    pthread_mutex_lock(&lock);
    if (!seen) {
        seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    }
    fresh = !g_hash_table_contains(seen, text);
    if (fresh) {
        g_hash_table_add(seen, g_strdup(text));
    }
    pthread_mutex_unlock(&lock);
    if (fresh) {
        warn_report("kvm: %s", text);
    }
    g_free(text);
}

/* ---- can it be used ------------------------------------------------------ */

static bool kvm_usable(const char **why)
{
    int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

    if (fd < 0) {
        *why = errno == EACCES ? "no permission for /dev/kvm"
             : errno == ENOENT ? "there is no /dev/kvm"
                               : "/dev/kvm cannot be opened";
        return false;
    }
    close(fd);
    return true;
}

/* True if `word` stands in a line of /proc/cpuinfo that begins with "flags". */
static bool cpuinfo_flag(const char *word)
{
    FILE *f = fopen("/proc/cpuinfo", "re");
    char *line = NULL;
    size_t cap = 0, n = strlen(word);
    bool found = false;

    while (f && !found && getline(&line, &cap, f) > 0) {
        if (strncmp(line, "flags", 5) != 0) {
            continue;
        }
        for (char *p = line; !found && (p = strstr(p, word)) != NULL; p += n) {
            found = p > line && p[-1] == ' ' && (p[n] == ' ' || p[n] == '\n');
        }
        break;
    }
    if (f) {
        fclose(f);
    }
    free(line);
    return found;
}

/* Hardware virtualisation under the module, judged without creating a VM. */
static bool kvm_preferred(void)
{
    return (cpuinfo_flag("vmx") &&
            access("/sys/module/kvm_intel", F_OK) == 0) ||
           (cpuinfo_flag("svm") && access("/sys/module/kvm_amd", F_OK) == 0);
}

/* ---- init ---------------------------------------------------------------- */

static bool kvm_open_failed(int err, Error **errp)
{
    struct stat st;
    struct group *g;

    fprintf(stderr, "Could not access KVM kernel module: %s\n", strerror(err));
    error_set(errp, "failed to initialize kvm: %s", strerror(err));
    if (err == EACCES && stat("/dev/kvm", &st) == 0) {
        g = getgrgid(st.st_gid);
        if (g && st.st_gid != 0) {
            error_hint(errp, "/dev/kvm belongs to group '%s': add the user to "
                       "it (usermod -aG %s USER) and log in again, or use "
                       "-accel tcg", g->gr_name, g->gr_name);
        } else {
            error_hint(errp, "/dev/kvm belongs to group '%s' and is open to "
                       "root only: let the administrator give it to group "
                       "'kvm', or use -accel tcg", g ? g->gr_name : "?");
        }
    } else if (err == ENOENT || err == ENODEV || err == ENXIO) {
        error_hint(errp, "load the module kvm_intel or kvm_amd, switch on "
                   "virtualisation in the host's firmware, or use -accel tcg");
    }
    return false;
}

static bool kvm_open(Kvm *k, Error **errp)
{
    int version;

    k->fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (k->fd < 0) {
        return kvm_open_failed(errno, errp);
    }
    version = kvm_ioctl_n(k->fd, KVM_GET_API_VERSION, 0);
    if (version != KVM_API_VERSION) {
        return error_set(errp, "failed to initialize kvm: version %d of its "
                         "interface, %d is needed", version, KVM_API_VERSION);
    }
    k->vm = kvm_ioctl_n(k->fd, KVM_CREATE_VM, 0);
    if (k->vm < 0) {
        return error_set(errp, "failed to initialize kvm: no VM: %s",
                         strerror(-k->vm));
    }
    return true;
}

static struct kvm_msr_list *msr_list(int fd, unsigned long req)
{
    struct kvm_msr_list head = { 0 }, *list;

    kvm_ioctl(fd, req, &head);         /* fails with E2BIG and the count      */
    if (head.nmsrs > 4096) {
        head.nmsrs = 0;
    }
    list = g_malloc0(sizeof(*list) + head.nmsrs * sizeof(list->indices[0]));
    list->nmsrs = head.nmsrs;
    if (head.nmsrs == 0 || kvm_ioctl(fd, req, list) < 0) {
        list->nmsrs = 0;
    }
    return list;
}

static bool kvm_probe(Kvm *k, Error **errp)
{
    static const struct { int cap; const char *name; } needed[] = {
        { KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY" },
        { KVM_CAP_DESTROY_MEMORY_REGION_WORKS,
          "KVM_CAP_DESTROY_MEMORY_REGION_WORKS" },
        { KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT" },
        { KVM_CAP_VCPU_EVENTS, "KVM_CAP_VCPU_EVENTS" },
        { KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID" },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(needed); i++) {
        if (!kvm_cap(needed[i].cap)) {
            return error_set(errp, "failed to initialize kvm: the host's "
                             "kernel lacks %s", needed[i].name);
        }
    }
    k->run_size = kvm_ioctl_n(k->fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (k->run_size < (int)sizeof(struct kvm_run)) {
        return error_set(errp, "failed to initialize kvm: "
                         "KVM_GET_VCPU_MMAP_SIZE gives %d", k->run_size);
    }
    k->xsave_size = kvm_cap(KVM_CAP_XSAVE2);
    if (k->xsave_size <= 0 && kvm_cap(KVM_CAP_XSAVE)) {
        k->xsave_size = 4096;
    }
    kvm_xsave_layout();
    k->coalesced_page = kvm_cap(KVM_CAP_COALESCED_MMIO);
    k->max_slots = kvm_cap(KVM_CAP_NR_MEMSLOTS);
    k->max_slots = k->max_slots ? k->max_slots : 32;
    k->sregs2 = kvm_cap(KVM_CAP_SREGS2);
    k->xcrs = kvm_cap(KVM_CAP_XCRS);
    k->debugregs = kvm_cap(KVM_CAP_DEBUGREGS);
    k->mp_state = kvm_cap(KVM_CAP_MP_STATE);
    k->tsc_deadline = kvm_cap(KVM_CAP_TSC_DEADLINE_TIMER);
    k->tsc_khz = kvm_cap(KVM_CAP_GET_TSC_KHZ);
    k->readonly_mem = kvm_cap(KVM_CAP_READONLY_MEM);
    k->resample = kvm_cap(KVM_CAP_IRQFD_RESAMPLE);
    k->adjust_clock = kvm_cap(KVM_CAP_ADJUST_CLOCK);
    k->mcg = kvm_cap(KVM_CAP_MCE);
    if (k->mcg && kvm_ioctl(k->fd, KVM_X86_GET_MCE_CAP_SUPPORTED,
                            &k->mcg_cap) < 0) {
        k->mcg = false;
    }
    k->events_payload = kvm_cap(KVM_CAP_EXCEPTION_PAYLOAD) &&
        kvm_enable_cap(k->vm, KVM_CAP_EXCEPTION_PAYLOAD, 1, 0) == 0;
    k->triple_fault = kvm_cap(KVM_CAP_X86_TRIPLE_FAULT_EVENT) &&
        kvm_enable_cap(k->vm, KVM_CAP_X86_TRIPLE_FAULT_EVENT, 1, 0) == 0;
    k->msrs = msr_list(k->fd, KVM_GET_MSR_INDEX_LIST);
    k->feature_msrs = msr_list(k->fd, KVM_GET_MSR_FEATURE_INDEX_LIST);
    return kvm_cpuid_probe(k->fd, &k->cpuid, errp);
}

static void kvm_setup(Kvm *k)
{
    uint64_t identity = IDENTITY_BASE;

    if (kvm_cap(KVM_CAP_SET_IDENTITY_MAP_ADDR) &&
        kvm_ioctl(k->vm, KVM_SET_IDENTITY_MAP_ADDR, &identity) < 0) {
        kvm_refused("the host refused KVM_SET_IDENTITY_MAP_ADDR");
    }
    if (kvm_cap(KVM_CAP_SET_TSS_ADDR) &&
        kvm_ioctl_n(k->vm, KVM_SET_TSS_ADDR, IDENTITY_BASE + 0x1000) < 0) {
        kvm_refused("the host refused KVM_SET_TSS_ADDR");
    }
    accel_reserved_base = IDENTITY_BASE;
    accel_reserved_size = RESERVED_SIZE;
    if (k->shadow_mem >= 0) {
        kvm_ioctl_n(k->vm, KVM_SET_NR_MMU_PAGES, k->shadow_mem / 4096);
    }
    if (k->notify_vmexit != 2 && kvm_cap(KVM_CAP_X86_NOTIFY_VMEXIT)) {
        uint64_t arg = (uint64_t)k->notify_window << 32 |
                       KVM_X86_NOTIFY_VMEXIT_ENABLED |
                       KVM_X86_NOTIFY_VMEXIT_USER;

        kvm_enable_cap(k->vm, KVM_CAP_X86_NOTIFY_VMEXIT, arg, 0);
    }
    accel_no_smm = !kvm_cap(KVM_CAP_X86_SMM);
    kvm_signals_init();
}

static void kvm_close(Kvm *k)
{
    for (unsigned i = 0; k->parked && i < k->parked->len; i++) {
        close(g_array_index(k->parked, KvmParked, i).fd);
    }
    if (k->parked) {
        g_array_free(k->parked, TRUE);
    }
    if (k->vm >= 0) {
        close(k->vm);
    }
    if (k->fd >= 0) {
        close(k->fd);
    }
    g_free(k->msrs);
    g_free(k->feature_msrs);
    g_free(k->cpuid);
    g_free(k->hv_cpuid);
    accel_reserved_base = accel_reserved_size = 0;
    accel_no_smm = false;
    kvm = NULL;
}

static bool kvm_init(Accel *a, Machine *m, Error **errp) MACHINE_CALL;
static bool kvm_init(Accel *a, Machine *m, Error **errp)
{
    Kvm *k = container_of(a, Kvm, accel);

    k->fd = k->vm = -1;
    if (!kvm_open(k, errp)) {
        kvm_close(k);
        return false;
    }
    kvm = k;
    if (!kvm_probe(k, errp)) {
        kvm_close(k);
        return false;
    }
    kvm_setup(k);
    if (!kvm_irqchip_init(errp) || !kvm_ring_init(errp) ||
        !kvm_mem_init(errp)) {
        kvm_irqchip_fini();
        kvm_close(k);
        return false;
    }
    kvm_io_init();
    return true;
}

static void kvm_fini(Accel *a) MACHINE_CALL;
static void kvm_fini(Accel *a)
{
    kvm_io_fini();
    kvm_mem_fini();
    kvm_irqchip_fini();
    kvm_close(container_of(a, Kvm, accel));
}

/* ---- properties ---------------------------------------------------------- */

static const char *const irqchip_names[] = { "on", "off", "split", NULL };
static const PropEnum irqchip_enum = { "on|off|split", irqchip_names };
static const char *const notify_names[] = { "run", "internal-error", "disable",
                                            NULL };
static const PropEnum notify_enum = { "NotifyVMexitOption", notify_names };

static bool ring_size_set(Obj *o, const Prop *p, const Json *v, Error **errp)
{
    Kvm *k = container_of(o, Kvm, accel.obj);
    uint64_t n = 0;

    if (json_kind(v) == JSON_INT && json_int_of(v) >= 0) {
        n = json_int_of(v);
    } else if (json_kind(v) != JSON_STR ||
               !opt_u64(p->name, json_str_of(v), &n, NULL)) {
        return error_set(errp, "Parameter '%s' expects uint64", p->name);
    }
    if (n & (n - 1)) {
        return error_set(errp, "dirty-ring-size must be a power of two.");
    }
    if (n > 65536) {
        return error_set(errp, "dirty-ring-size: at most 65536 entries");
    }
    k->dirty_ring_size = n;
    return true;
}

static Json *ring_size_get(const Obj *o, const Prop *p, Error **errp)
{
    return json_int(container_of(o, Kvm, accel.obj)->dirty_ring_size);
}

static const Prop kvm_props[] = {
    PROP_ENUM("kernel-irqchip", Kvm, irqchip_wish, &irqchip_enum, KVM_CHIP_ON,
              .desc = "Configure KVM in-kernel irqchip"),
    PROP_I64("kvm-shadow-mem", Kvm, shadow_mem, -1, .type = "int",
             .desc = "KVM shadow MMU size"),
    PROP_CALL("dirty-ring-size", "uint32", ring_size_get, ring_size_set,
              .desc = "Size of KVM dirty page ring buffer (default: 0, i.e. "
                      "use bitmap)"),
    PROP_ENUM("notify-vmexit", Kvm, notify_vmexit, &notify_enum, 0,
              .desc = "Enable notify VM exit"),
    PROP_U32("notify-window", Kvm, notify_window, 0,
             .desc = "Clock cycles without an event window after which a "
                     "notification VM exit occurs"),
    PROP_END
};

ACCEL(accel_kvm, {
    .name = "kvm",
    .type = "kvm-accel",
    .desc = "Linux KVM: guest code runs on the host's processor",
    .size = sizeof(Kvm),
    .props = kvm_props,
    .usable = kvm_usable,
    .preferred = kvm_preferred,
    .init = kvm_init,
    .fini = kvm_fini,
    .cpu_init = kvm_cpu_init,
    .cpu_fini = kvm_cpu_fini,
    .cpus_made = kvm_cpus_made,
    .cpu_exec = kvm_cpu_exec,
    .cpu_kick = kvm_cpu_kick,
    .cpu_get = kvm_cpu_get,
    .cpu_put = kvm_cpu_put,
    .cpu_gpr = kvm_cpu_gpr,
    .cpu_reset = kvm_cpu_reset,
    .cpu_features = kvm_cpu_features,
    .cpu_hyperv = kvm_hyperv_leaf,
    .cpu_cpuid = kvm_host_cpuid,
    .feature_msr = kvm_feature_msr,
    .breakpoint = kvm_breakpoint,
    .single_step = kvm_single_step,
    .flags = ACCEL_IRQCHIP,
});
