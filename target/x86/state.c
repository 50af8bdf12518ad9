/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * state.c - registers at power-on and after INIT (Intel SDM vol. 3, table 10-1,
 * 10.1.4 for the first instruction; AMD APM vol. 2, 14.1.3), and their saved
 * state.
 *
 * Thread class: MACHINE_CALL with the vCPU stopped.
 *
 * 1. INIT leaves x87, vector registers, MSRs but for a few, and TSC alone.
 */
#include <linux/kvm.h>
#include "accel.h"
#include "x86-cpu.h"

enum { ATTR_CODE = 0x9b, ATTR_DATA = 0x93, ATTR_LDT = 0x82, ATTR_TR = 0x8b };

static void reset_both(X86Cpu *c)
{
    X86Regs *r = &c->regs;

    memset(r->gpr, 0, sizeof(r->gpr));
    r->gpr[X86_RDX] = (c->stepping & 15) | (c->model & 15) << 4 |
                      MIN2(c->family, 15) << 8 | (c->model >> 4) << 16 |
                      (c->family > 15 ? c->family - 15 : 0) << 20;
    r->rip = 0xfff0;
    r->rflags = 2;
    for (int i = 0; i < X86_SEG_COUNT; i++) {
        r->seg[i] = (X86Seg){ .attr = ATTR_DATA, .limit = 0xffff };
    }
    r->seg[X86_CS] = (X86Seg){ .sel = 0xf000, .base = 0xffff0000,
                               .attr = ATTR_CODE, .limit = 0xffff };
    r->ldt = (X86Seg){ .attr = ATTR_LDT, .limit = 0xffff };
    r->tr = (X86Seg){ .attr = ATTR_TR, .limit = 0xffff };
    r->gdt = r->idt = (X86Table){ .limit = 0xffff };
    r->cr2 = r->cr3 = r->cr4 = r->cr8 = 0;
    memset(r->dr, 0, sizeof(r->dr));
    r->dr[6] = 0xffff0ff0;
    r->dr[7] = 0x400;
    r->efer = 0;
    r->smm = r->nmi_blocked = r->nmi_pending = 0;
    r->sti_shadow = r->ss_shadow = 0;
    r->exc_pending = r->exc_injected = r->int_injected = 0;
    r->exc_payload = 0;
}

static void reset_cold(X86Cpu *c)
{
    X86Regs *r = &c->regs;
    uint64_t mcg_cap = r->mcg_cap, banks[ARRAY_SIZE(r->mce_banks)];

    /* What the banks hold outlives a reset (SDM vol. 3, 15.3.2). */
    memcpy(banks, r->mce_banks, sizeof(banks));
    memset(r, 0, sizeof(*r));
    memcpy(r->mce_banks, banks, sizeof(banks));
    reset_both(c);
    r->cr0 = 0x60000010;
    r->xcr0 = 1;
    r->mxcsr = 0x1f80;
    r->fcw = 0x37f;
    r->ftag = 0xffff;
    r->pat = 0x0007040600070406ull;
    r->apic_base = 0xfee00800 | (c->cpu.index == 0 ? 0x100 : 0);
    r->misc_enable = 1;                /* fast string operations              */
    r->smbase = 0x30000;
    r->kvm_poll_control = 1;
    for (unsigned i = 0; i < ARRAY_SIZE(r->hv.sint); i++) {
        r->hv.sint[i] = 1u << 16;      /* masked                              */
    }
    r->hv.crash_ctl = 1ull << 63;      /* the guest may tell of a crash       */
    r->mcg_cap = mcg_cap;
    if (mcg_cap & 1u << 8) {
        r->mcg_ctl = ~0ull;
    }
    for (unsigned i = 0; i < MIN2(mcg_cap & 0xff, X86_MCE_BANKS); i++) {
        r->mce_banks[i * 4] = ~0ull;
    }
    r->tsc_offset = -x86_tsc_base();
}

void x86_regs_reset(X86Cpu *c, bool init)
{
    X86Regs *r = &c->regs;
    bool first = c->cpu.index == 0;

    if (init) {
        /* CD and NW stay (SDM vol. 3, table 10-1, note 1). */
        r->cr0 = (r->cr0 & 0x60000000) | 0x10;
        reset_both(c);
    } else {
        reset_cold(c);
    }
    first = init ? (r->apic_base & 0x100) != 0 : first;
    r->halted = !first;
    r->mp_state = first ? KVM_MP_STATE_RUNNABLE : KVM_MP_STATE_UNINITIALIZED;
    c->cpu.halted = r->halted;
}

/* ---- saved state --------------------------------------------------------- */

#define SEG(f) VM_STRUCT(X86Regs, f, &seg_vm)
static const VmState seg_vm = {
    .name = "x86-segment", .version = 1,
    .fields = (const VmField[]){
        VM_U16(X86Seg, sel), VM_U16(X86Seg, attr), VM_U32(X86Seg, limit),
        VM_U64(X86Seg, base), VM_END
    },
};
static const VmState table_vm = {
    .name = "x86-table", .version = 1,
    .fields = (const VmField[]){
        VM_U64(X86Table, base), VM_U16(X86Table, limit), VM_END
    },
};

typedef __typeof__(((X86Regs *)0)->fpr[0]) Fpr;
static const VmState fpr_vm = {
    .name = "x86-fpr", .version = 1,
    .fields = (const VmField[]){
        { .name = "mant", .kind = VK_U64, .offset = offsetof(Fpr, mant),
          .size = 8, .count = 1 },
        { .name = "se", .kind = VK_U16, .offset = offsetof(Fpr, se),
          .size = 2, .count = 1 },
        VM_END
    },
};

#define U64(f) VM_U64(X86Regs, f)
#define U8(f)  VM_U8(X86Regs, f)

static const VmState regs_vm = {
    .name = "x86-registers", .version = 1,
    .fields = (const VmField[]){
        VM_ARRAY(X86Regs, gpr, VK_U64), U64(rip), U64(rflags),
        VM_STRUCTS(X86Regs, seg, &seg_vm), SEG(ldt), SEG(tr),
        VM_STRUCT(X86Regs, gdt, &table_vm), VM_STRUCT(X86Regs, idt, &table_vm),
        U64(cr0), U64(cr2), U64(cr3), U64(cr4), U64(cr8), U64(xcr0),
        VM_ARRAY(X86Regs, dr, VK_U64), U64(efer), U64(star), U64(lstar),
        U64(cstar), U64(fmask), U64(kernel_gs_base), U64(sysenter_cs),
        U64(sysenter_esp), U64(sysenter_eip), U64(pat), U64(apic_base),
        U64(misc_enable), U64(feature_control), U64(spec_ctrl),
        U64(virt_ssbd), U64(tsc_offset), U64(tsc_adjust), U64(tsc_deadline),
        U64(tsc_aux), U64(xss), U64(smbase), U64(smi_count),
        U64(mtrr_deftype), VM_ARRAY(X86Regs, mtrr_fixed, VK_U64),
        VM_ARRAY(X86Regs, mtrr_base, VK_U64),
        VM_ARRAY(X86Regs, mtrr_mask, VK_U64), U64(mcg_cap), U64(mcg_status),
        U64(mcg_ctl), VM_ARRAY(X86Regs, mce_banks, VK_U64), U64(debugctl),
        U64(kvm_wall_clock), U64(kvm_system_time), U64(kvm_async_pf),
        U64(kvm_async_pf_int), U64(kvm_pv_eoi), U64(kvm_steal_time),
        U64(kvm_poll_control), VM_U32(X86Regs, pkru), VM_U32(X86Regs, mxcsr),
        VM_STRUCTS(X86Regs, fpr, &fpr_vm), VM_U16(X86Regs, fcw),
        VM_U16(X86Regs, fsw), VM_U16(X86Regs, ftag), VM_U16(X86Regs, fop),
        U64(fip), U64(fdp), VM_U16(X86Regs, fcs), VM_U16(X86Regs, fds),
        VM_BYTES(X86Regs, vec), VM_ARRAY(X86Regs, opmask, VK_U64),
        U8(halted), U8(smm), U8(nmi_blocked), U8(nmi_pending),
        U8(sti_shadow), U8(ss_shadow), U8(mp_state), U8(exc_pending),
        U8(exc_injected), U8(exc_nr), U8(exc_has_error),
        VM_U32(X86Regs, exc_error), U64(exc_payload), U8(int_injected),
        U8(int_nr), U8(int_soft), VM_END
    },
};

static bool ignne_needed(const void *s)
{
    return ((const X86CpuDev *)s)->x.regs.ignne;
}
static const VmState ignne_vm = {
    .name = "x86-cpu/ignne", .version = 1, .needed = ignne_needed,
    .fields = (const VmField[]){ VM_U8(X86CpuDev, x.regs.ignne), VM_END },
};

#define HV(f) VM_U64(X86HvRegs, f)
static const VmState hv_vm = {
    .name = "x86-hyperv", .version = 1,
    .fields = (const VmField[]){
        HV(guest_os_id), HV(hypercall), HV(vp_runtime), HV(reference_tsc),
        HV(apic_assist), HV(scontrol), HV(siefp), HV(simp),
        VM_ARRAY(X86HvRegs, sint, VK_U64), VM_ARRAY(X86HvRegs, stimer, VK_U64),
        VM_ARRAY(X86HvRegs, crash, VK_U64), HV(crash_ctl), HV(reenlighten),
        HV(tsc_emulate), HV(tsc_status), VM_END
    },
};
static bool hv_needed(const void *s)
{
    return ((const X86CpuDev *)s)->x.hyperv.on;
}
static const VmState cpu_hv_vm = {
    .name = "x86-cpu/hyperv", .version = 1, .needed = hv_needed,
    .fields = (const VmField[]){
        VM_STRUCT(X86CpuDev, x.regs.hv, &hv_vm), VM_END
    },
};

static bool cpu_before_load(void *s, Error **errp)
{
    ((X86CpuDev *)s)->x.regs.ignne = 0;
    return true;
}

static void cpu_before_save(void *s)
{
    X86CpuDev *d = s;

    machine_assert_locked();
    cpu_sync(&d->x.cpu);
}

static bool cpu_after_load(void *s, int version, Error **errp)
{
    X86CpuDev *d = s;
    X86Regs *r = &d->x.regs;

    if (r->mp_state > KVM_MP_STATE_SIPI_RECEIVED) {
        return error_set(errp, "CPU %u: state %u is not known",
                         d->x.cpu.index, r->mp_state);
    }
    d->x.cpu.halted = r->halted;
    if (accel && accel->type->cpu_reset) {
        accel->type->cpu_reset(&d->x.cpu);
    }
    return true;
}

const VmState x86_cpu_vm = {
    .name = "x86-cpu", .version = 1,
    .before_save = cpu_before_save, .before_load = cpu_before_load,
    .after_load = cpu_after_load,
    .sections = (const VmState *const[]){ &ignne_vm, &cpu_hv_vm, NULL },
    .fields = (const VmField[]){
        VM_STRUCT(X86CpuDev, x.regs, &regs_vm),
        VM_U32(X86CpuDev, x.cpu.interrupt), VM_END
    },
};
