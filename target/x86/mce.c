/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mce.c - machine checks that the monitor injects (Intel SDM vol. 3, 15.3.1 and
 * 15.3.2: global and bank registers, overflow, 15.10.4.1 for what others get).
 *
 * Thread class: MACHINE_CALL; an injection runs in its vCPU's thread.
 *
 * Invariants
 * 1. A corrected error never takes the place of one that stands in the bank.
 * 2. A guest that cannot take an uncorrected one is reset, as by a shutdown of
 *    the processor.
 */
#include <glib.h>
#include <linux/kvm.h>
#include "monitor.h"
#include "runstate.h"
#include "schema/schema.h"
#include "x86-cpu.h"

#define CAP_CTL_P (1ull << 8)
#define MCG_RIPV 1u
#define MCG_MCIP 4u
#define ST_VAL (1ull << 63)
#define ST_OVER (1ull << 62)
#define ST_UC (1ull << 61)
#define ST_AR (1ull << 55)
#define CR4_MCE (1ull << 6)

typedef struct Check {
    unsigned bank;
    uint64_t status, mcg_status, addr, misc;
} Check;

enum { CTL, STATUS, ADDR, MISC };

static void tell(const Check *k, MemoryFailureAction what, bool recursive)
{
    MemoryFailureEvent e = {
        .recipient = MEMORY_FAILURE_RECIPIENT_GUEST, .action = what,
        .flags = { .action_required = k->status & ST_AR,
                   .recursive = recursive },
    };

    monitor_event(&event_MEMORY_FAILURE, &e);
}

static void corrected(X86Cpu *c, const Check *k, uint64_t *b)
{
    uint64_t over = b[STATUS] & ST_VAL ? ST_OVER : 0;

    if (b[STATUS] & ST_VAL && b[STATUS] & ST_UC) {
        b[STATUS] |= ST_OVER;          /* invariant 1                         */
    } else {
        b[STATUS] = k->status | over;
        b[ADDR] = k->addr;
        b[MISC] = k->misc;
    }
    tell(k, MEMORY_FAILURE_ACTION_INJECT, false);
}

static void shut_down(X86Cpu *c, const Check *k, const char *why,
                      bool recursive)
{
    mon_printf("CPU %u: %s, raising triple fault\n", c->cpu.index, why);
    tell(k, MEMORY_FAILURE_ACTION_RESET, recursive);
    request_reset(WHY_GUEST_RESET);
}

static void uncorrected(X86Cpu *c, const Check *k, uint64_t *b)
{
    X86Regs *r = &c->regs;

    if (r->mcg_cap & CAP_CTL_P && r->mcg_ctl != ~0ull) {
        mon_printf("CPU %u: Uncorrected error reporting disabled\n",
                   c->cpu.index);
        return;
    }
    if (b[CTL] != ~0ull) {
        mon_printf("CPU %u: Uncorrected error reporting disabled for bank %u\n",
                   c->cpu.index, k->bank);
        return;
    }
    if (!(r->cr4 & CR4_MCE)) {
        shut_down(c, k, "MCE capability is not enabled", false);
        return;
    }
    if (r->mcg_status & MCG_MCIP) {
        shut_down(c, k, "Previous MCE still in progress", true);
        return;
    }
    b[STATUS] = k->status | (b[STATUS] & ST_VAL ? ST_OVER : 0);
    b[ADDR] = k->addr;
    b[MISC] = k->misc;
    r->mcg_status = k->mcg_status;
    r->mce_pending = 1;
    tell(k, MEMORY_FAILURE_ACTION_INJECT, false);
}

typedef struct Job {
    Check check;
    Monitor *mon;                      /* where the vCPU's thread says things */
} Job;

static void inject(Cpu *cpu, void *arg)
{
    machine_assert_locked();
    Job *j = arg;
    X86Cpu *c = x86_cpu(cpu);
    Monitor *before = mon_current;

    cpu_sync(cpu);
    mon_current = j->mon;
    (j->check.status & ST_UC ? uncorrected : corrected)
        (c, &j->check, &c->regs.mce_banks[j->check.bank * 4]);
    mon_current = before;
    c->regs.mce_dirty = 1;
    if (c->regs.mce_pending) {
        cpu_interrupt(cpu, CPU_INT_MCE);
    }
}

/* Intel's since family 6, model 14 tell all processors of each. */
static bool all_hear(const X86Cpu *c)
{
    return c->family > 6 || (c->family == 6 && c->model >= 14);
}

static uint64_t bits(const Json *args, const char *name)
{
    const Json *v = json_get(args, name);

    return json_kind(v) == JSON_UINT ? json_uint_of(v)
                                     : (uint64_t)json_int_of(v);
}

static bool others_wanted(const Json *args)
{
    const Json *v = json_get(args, "broadcast");

    return v && json_bool_of(v);
}

static void inject_all(Cpu *cpu, Job *j, bool others) MACHINE_CALL;
static void inject_all(Cpu *cpu, Job *j, bool others)
{
    cpu_run(cpu, inject, j);
    j->check = (Check){ .bank = 1, .status = ST_VAL | ST_UC,
                        .mcg_status = MCG_MCIP | MCG_RIPV };
    for (uint32_t i = 0; others && i < cpu_count; i++) {
        if (cpus[i] != cpu) {
            cpu_run(cpus[i], inject, j);
        }
    }
}

void hmp_mce(const Json *args)
{
    int64_t bank = json_int_of(json_get(args, "bank"));
    Job j = { .mon = mon_current, .check = {
        .bank = (unsigned)bank, .status = bits(args, "status"),
        .mcg_status = bits(args, "mcg-status"), .addr = bits(args, "addr"),
        .misc = bits(args, "misc") } };
    int64_t index = json_int_of(json_get(args, "cpu-index"));
    bool others = others_wanted(args);
    Cpu *cpu;

    machine_assert_locked();
    cpu = index < 0 ? NULL : cpu_by_index((uint32_t)index);
    if (!cpu) {
        mon_printf("No CPU has the index %" PRId64 "\n", index);
    } else if (!x86_mce_banks(x86_cpu(cpu))) {
        mon_puts("MCE injection not supported\n");
    } else if (bank < 0 || bank >= x86_mce_banks(x86_cpu(cpu))) {
        mon_puts("Invalid MCE bank number\n");
    } else if (!(j.check.status & ST_VAL)) {
        mon_puts("Invalid MCE status code\n");
    } else if (others && !all_hear(x86_cpu(cpu))) {
        mon_puts("Guest CPU does not support MCA broadcast\n");
    } else {
        inject_all(cpu, &j, others);
    }
}
