/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd-machine.c - run state, power, identity and kind of the machine.
 *
 * MACHINE_CALL.
 */
#include <glib.h>
#include "machine-opts.h"
#include "mon-impl.h"
#include "monitor.h"
#include "schema/schema.h"

/* ---- run state -- */
bool cmd_query_status(const void *arg, void *ret, Error **errp)
{
    StatusInfo *i = ret;

    i->running = run_state_is_running();
    i->status = (RunState)run_state();
    i->singlestep = run_singlestep;
    return true;
}

void hmp_print_info_status(const void *ret, const Json *args)
{
    const StatusInfo *i = ret;

    mon_printf("VM status: %s%s", i->running ? "running" : "paused",
               i->singlestep ? " (single step mode)" : "");
    if (!i->running && i->status != RUN_STATE_PAUSED) {
        mon_printf(" (%s)", qt_RunState.values[i->status]);
    }
    mon_puts("\n");
}

bool cmd_stop(const void *arg, void *ret, Error **errp)
{
    vm_stop(RS_PAUSED);
    return true;
}

bool cmd_cont(const void *arg, void *ret, Error **errp)
{
    if (dump_active()) {
        return error_set(errp, "There is a dump in process, please wait.");
    }
    return vm_start(errp);
}

bool cmd_system_reset(const void *arg, void *ret, Error **errp)
{
    request_reset(WHY_HOST_QMP_RESET);
    return true;
}

bool cmd_system_powerdown(const void *arg, void *ret, Error **errp)
{
    request_powerdown();
    return true;
}

bool cmd_system_wakeup(const void *arg, void *ret, Error **errp)
{
    if (!wakeup_supported()) {
        return error_set(errp, "wake-up from suspend is not supported by this "
                         "guest");
    }
    if (run_state() != RS_SUSPENDED) {
        return error_set(errp, "Unable to wake up: guest is not in suspended "
                         "state");
    }
    request_wakeup(0);
    return true;
}

/* ---- identity -- */
bool cmd_query_name(const void *arg, void *ret, Error **errp)
{
    ((NameInfo *)ret)->name = g_strdup(guest_name);
    return true;
}

void hmp_print_info_name(const void *ret, const Json *args)
{
    const NameInfo *i = ret;

    if (i->name) {
        mon_printf("%s\n", i->name);
    }
}

bool cmd_query_uuid(const void *arg, void *ret, Error **errp)
{
    const uint8_t *u = guest_uuid;

    ((UuidInfo *)ret)->UUID = g_strdup_printf(
        "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
        u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10],
        u[11], u[12], u[13], u[14], u[15]);
    return true;
}

void hmp_print_info_uuid(const void *ret, const Json *args)
{
    mon_printf("%s\n", ((const UuidInfo *)ret)->UUID);
}

bool cmd_query_target(const void *arg, void *ret, Error **errp)
{
    ((TargetInfo *)ret)->arch = SYS_EMU_TARGET_X86_64;
    return true;
}

/* ---- kinds of machines -- */
bool cmd_query_machines(const void *arg, void *ret, Error **errp)
{
    SET_EACH(machine_types, MachineType, p) {
        const MachineType *t = *p;
        MachineInfo *i = SCHEMA_ADD((MachineInfoList *)ret);

        i->name = g_strdup(t->name);
        i->alias = g_strdup(t->alias);
        i->is_default = i->has_is_default = t->is_default;
        i->cpu_max = t->max_cpus ? t->max_cpus : 1;
        i->hotpluggable_cpus = !t->no_cpus;
        /* -numa node,mem= went with version 5.1 of the machine types. */
        i->numa_mem_supported = t->version && t->version <= 500;
        i->deprecated = t->deprecated;
        i->default_ram_id = g_strdup(t->default_ram_id);
        if (t->default_cpu) {
            i->default_cpu_type = g_strdup_printf("%s-x86_64-cpu",
                                                  t->default_cpu);
        }
    }
    return true;
}

bool cmd_query_current_machine(const void *arg, void *ret, Error **errp)
{
    ((CurrentMachineParams *)ret)->wakeup_suspend_support = wakeup_supported();
    return true;
}

bool cmd_query_memory_size_summary(const void *arg, void *ret, Error **errp)
{
    MemoryInfo *i = ret;

    i->base_memory = machine ? machine->ram_size : 0;
    i->has_plugged_memory = true;
    return true;
}

void hmp_print_info_memory_size_summary(const void *ret, const Json *args)
{
    const MemoryInfo *i = ret;

    mon_printf("base memory: %" PRIu64 "\n", i->base_memory);
    if (i->has_plugged_memory) {
        mon_printf("plugged memory: %" PRIu64 "\n", i->plugged_memory);
    }
}

bool mon_early;

bool cmd_x_exit_preconfig(const void *arg, void *ret, Error **errp)
{
    if (!mon_early) {
        return error_set(errp, "The command is permitted only before machine "
                         "initialization");
    }
    mon_early = false;
    loop_quit();
    return true;
}

bool mon_preconfig(void)
{
    mon_early = true;
    loop_run();
    return !mon_early;
}
