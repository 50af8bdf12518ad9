/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * clock.c - time that the kernel keeps for the guest: kvmclock and the 8254 in
 * KVM. (Linux KVM API: KVM_GET_CLOCK, KVM_KVMCLOCK_CTRL, KVM_CREATE_PIT2,
 * KVM_REINJECT_CONTROL; Intel 8254 data sheet for reset values.)
 *
 * Thread class: MACHINE_CALL.
 *
 * 1. Both stand still while the machine is stopped: what they show is read at
 *    stop and given back at start.
 * 2. KVM counts the 8254 on the host's monotonic clock; saved state has it on
 *    the virtual clock.
 */
#include <glib.h>
#include "hw/pc/pc-board.h"
#include "kvm.h"

/* ---- kvmclock ------------------------------------------------------------ */

typedef struct KvmClock {
    Device dev;
    uint64_t clock;                    /* ns                                  */
    bool valid;
    bool reliable;                     /* x-mach-use-reliable-get-clock       */
    RunNotify notify;
} KvmClock;

static void clock_ctrl(Cpu *cpu, void *arg)
{
    /* Tells the guest's watchdog that the gap was not its fault; the guest may
     * not use kvmclock, which is no error. */
    kvm_ioctl(kvm_cpu(cpu)->fd, KVM_KVMCLOCK_CTRL, NULL);
}

static void clock_run(RunNotify *n, bool running, RunStateNr s)
    MACHINE_CALL;
static void clock_run(RunNotify *n, bool running, RunStateNr s)
{
    KvmClock *k = container_of(n, KvmClock, notify);
    struct kvm_clock_data d = { 0 };

    if (running) {
        if (k->valid) {
            d.clock = k->clock;
            if (kvm_ioctl(kvm->vm, KVM_SET_CLOCK, &d) < 0) {
                kvm_refused("the host refused KVM_SET_CLOCK");
            }
            k->valid = false;
        }
        for (unsigned i = 0; i < cpu_count; i++) {
            cpu_run(cpus[i], clock_ctrl, NULL);
        }
    } else if (!k->valid) {
        cpu_sync_all();
        if (kvm_ioctl(kvm->vm, KVM_GET_CLOCK, &d) >= 0) {
            k->clock = d.clock;
            k->valid = true;
        }
    }
}

static bool clock_realize(Device *dev, Error **errp) MACHINE_CALL;
static bool clock_realize(Device *dev, Error **errp)
{
    KvmClock *k = container_of(dev, KvmClock, dev);

    if (!kvm || !kvm->adjust_clock) {
        return error_set(errp, "kvmclock needs KVM with KVM_CAP_ADJUST_CLOCK");
    }
    k->notify.fn = clock_run;
    run_notify_add(&k->notify);
    return true;
}

static void clock_unrealize(Device *dev) MACHINE_CALL;
static void clock_unrealize(Device *dev)
{
    run_notify_del(&container_of(dev, KvmClock, dev)->notify);
}

static void clock_reset(Device *dev, ResetKind kind)
{
    /* The clock counts on through a reset, as on the peer. */
}

static const Prop clock_props[] = {
    PROP_BOOL("x-mach-use-reliable-get-clock", KvmClock, reliable, true),
    PROP_END
};

static const VmState clock_vm = {
    .name = "kvmclock", .version = 1,
    .fields = (const VmField[]){
        VM_U64(KvmClock, clock), VM_BOOL(KvmClock, valid), VM_END
    },
};

DEVICE(dev_kvmclock, {
    .name = "kvmclock", .parent = "sys-bus-device",
    .desc = "paravirtual clock of KVM", .category = "misc",
    .on = &bus_system, .size = sizeof(KvmClock), .props = clock_props,
    .vmstate = &clock_vm, .flags = DT_INTERNAL, .realize = clock_realize,
    .unrealize = clock_unrealize, .reset = clock_reset,
});

bool kvm_cpus_made(Accel *a, Error **errp)
{
    Device *d;

    if (!kvm->adjust_clock || !cpu_count ||
        !(x86_cpu(cpus[0])->features[FW_KVM] &
          (1u << KVM_FEATURE_CLOCKSOURCE | 1u << KVM_FEATURE_CLOCKSOURCE2))) {
        return true;
    }
    d = device_make("kvmclock");
    if (!device_realize(d, NULL, errp)) {
        device_free(d);
        return false;
    }
    return true;
}

/* ---- 8254 ---------------------------------------------------------------- */

typedef enum LostTick { LOST_DISCARD, LOST_DELAY, LOST_SLEW } LostTick;
static const char *const lost_names[] = { "discard", "delay", "slew", NULL };
static const PropEnum lost_enum = { "LostTickPolicy", lost_names };

typedef struct KvmPit {
    Device dev;
    uint32_t iobase;
    int lost_tick_policy;
    bool stopped;                      /* `ch` and `flags` are the truth      */
    struct kvm_pit_channel_state ch[3];            /* load time: virtual ns   */
    uint32_t flags;
    RunNotify notify;
} KvmPit;

static int64_t virtual_offset(void)
{
    return clock_ns(CLOCK_RT) - clock_ns(CLOCK_VM);
}

static void pit_get(KvmPit *p)
{
    struct kvm_pit_state2 s;

    if (p->stopped) {
        return;
    }
    if (kvm_ioctl(kvm->vm, KVM_GET_PIT2, &s) < 0) {
        kvm_refused("the host refused KVM_GET_PIT2");
        return;
    }
    memcpy(p->ch, s.channels, sizeof(p->ch));
    for (unsigned i = 0; i < 3; i++) {
        p->ch[i].count_load_time -= virtual_offset();
    }
    p->flags = s.flags;
}

static void pit_put(KvmPit *p)
{
    struct kvm_pit_state2 s = { .flags = p->flags };

    if (p->stopped) {
        return;
    }
    memcpy(s.channels, p->ch, sizeof(p->ch));
    for (unsigned i = 0; i < 3; i++) {
        s.channels[i].count_load_time += virtual_offset();
    }
    if (kvm_ioctl(kvm->vm, KVM_SET_PIT2, &s) < 0) {
        kvm_refused("the host refused KVM_SET_PIT2");
    }
}

static void pit_run(RunNotify *n, bool running, RunStateNr s)
{
    KvmPit *p = container_of(n, KvmPit, notify);

    if (running && p->stopped) {
        p->stopped = false;
        pit_put(p);
    } else if (!running && !p->stopped) {
        pit_get(p);
        p->stopped = true;
    }
}

static void pit_before_save(void *s)
{
    pit_get(s);
}

static bool pit_after_load(void *s, int version, Error **errp)
{
    pit_put(s);
    return true;
}

static void pit_reset(Device *dev, ResetKind kind)
{
    KvmPit *p = container_of(dev, KvmPit, dev);

    for (unsigned i = 0; i < 3; i++) {
        p->ch[i] = (struct kvm_pit_channel_state){
            .mode = 3, .gate = i != 2, .count = 0x10000,
            .count_load_time = clock_ns(CLOCK_VM),
        };
    }
    p->flags = 0;
    pit_put(p);
}

/* HPET in legacy mode takes IRQ 0 over. */
static void pit_irq_control(void *to, int n, int level)
{
    KvmPit *p = to;

    pit_get(p);
    p->flags = level ? p->flags & ~KVM_PIT_FLAGS_HPET_LEGACY
                     : p->flags | KVM_PIT_FLAGS_HPET_LEGACY;
    pit_put(p);
}

static bool pit_realize(Device *dev, Error **errp) MACHINE_CALL;
static bool pit_realize(Device *dev, Error **errp)
{
    KvmPit *p = container_of(dev, KvmPit, dev);
    struct kvm_pit_config config = { .flags = 0 };
    struct kvm_reinject_control rc = {
        .pit_reinject = p->lost_tick_policy == LOST_DELAY,
    };
    int err;

    if (!accel_irq.pit_in_kernel) {
        return error_set(errp, "kvm-pit needs KVM with kernel-irqchip=on");
    }
    if (p->lost_tick_policy == LOST_SLEW) {
        return error_set(errp, "Lost tick policy is not supported.");
    }
    err = kvm_ioctl(kvm->vm, KVM_CREATE_PIT2, &config);
    if (err < 0) {
        return error_set(errp, "Create kernel PIC irqchip failed: %s",
                         strerror(-err));
    }
    if (kvm_cap(KVM_CAP_REINJECT_CONTROL)) {
        err = kvm_ioctl(kvm->vm, KVM_REINJECT_CONTROL, &rc);
        if (err < 0) {
            return error_set(errp, "Can't set in-kernel PIT reinjection mode: "
                             "%s", strerror(-err));
        }
    }
    device_gpio_in(dev, NULL, pit_irq_control, 1);
    p->notify.fn = pit_run;
    p->stopped = !run_state_is_running();
    run_notify_add(&p->notify);
    return true;
}

static void pit_unrealize(Device *dev) MACHINE_CALL;
static void pit_unrealize(Device *dev)
{
    run_notify_del(&container_of(dev, KvmPit, dev)->notify);
}

static const Prop pit_props[] = {
    PROP_U32("iobase", KvmPit, iobase, UINT32_MAX),
    PROP_ENUM("lost_tick_policy", KvmPit, lost_tick_policy, &lost_enum,
              LOST_DELAY),
    PROP_END
};

#define C struct kvm_pit_channel_state
static const VmState pit_channel_vm = {
    .name = "kvm-pit/channel", .version = 1,
    .fields = (const VmField[]){
        VM_U32(C, count), VM_U16(C, latched_count), VM_U8(C, count_latched),
        VM_U8(C, status_latched), VM_U8(C, status), VM_U8(C, read_state),
        VM_U8(C, write_state), VM_U8(C, write_latch), VM_U8(C, rw_mode),
        VM_U8(C, mode), VM_U8(C, bcd), VM_U8(C, gate),
        { .name = "count_load_time", .kind = VK_U64,
          .offset = offsetof(C, count_load_time), .size = 8, .count = 1 },
        VM_END
    },
};
#undef C

static const VmState pit_vm = {
    .name = "kvm-pit", .version = 1,
    .before_save = pit_before_save, .after_load = pit_after_load,
    .fields = (const VmField[]){
        VM_STRUCTS(KvmPit, ch, &pit_channel_vm), VM_U32(KvmPit, flags), VM_END
    },
};

DEVICE(dev_kvm_pit, {
    .name = "kvm-pit", .parent = "pit-common",
    .desc = "8254 timer in KVM", .category = "misc",
    .on = &bus_isa, .size = sizeof(KvmPit), .props = pit_props,
    .vmstate = &pit_vm, .flags = DT_INTERNAL, .realize = pit_realize,
    .unrealize = pit_unrealize, .reset = pit_reset,
});

bool kvm_pit_channel(Device *pit, unsigned n, KvmPitChannel *out)
{
    KvmPit *p = container_of(pit, KvmPit, dev);

    if (pit->type != &dev_kvm_pit || n > 2) {
        return false;
    }
    pit_get(p);
    *out = (KvmPitChannel){
        .count = p->ch[n].count, .mode = p->ch[n].mode, .gate = p->ch[n].gate,
        .load_time = p->ch[n].count_load_time,
    };
    return true;
}

void kvm_pit_set_gate(Device *pit, unsigned n, bool on)
{
    KvmPit *p = container_of(pit, KvmPit, dev);

    if (pit->type != &dev_kvm_pit || n > 2) {
        return;
    }
    pit_get(p);
    /* A rising gate starts the square wave and the one-shots anew. */
    if (on && !p->ch[n].gate && p->ch[n].mode != 0 && p->ch[n].mode != 4) {
        p->ch[n].count_load_time = clock_ns(CLOCK_VM);
    }
    p->ch[n].gate = on;
    pit_put(p);
}

Device *kvm_pit_create(IsaBus *isa, Error **errp)
{
    Device *d = device_make("kvm-pit");

    device_set_int(d, "iobase", 0x40);
    if (!device_realize(d, &isa->bus, errp)) {
        device_free(d);
        return NULL;
    }
    return d;
}
