/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd-parts.c - commands about parts that this PC does not have: they answer
 * as for a machine without them.
 *
 * MACHINE_CALL.
 */
#include <glib.h>
#include "accel.h"
#include "machine.h"
#include "monitor.h"
#include "schema/schema.h"

/* ---- record and replay -- */
bool cmd_query_replay(const void *arg, void *ret, Error **errp)
{
    ((ReplayInfo *)ret)->mode = REPLAY_MODE_NONE;
    return true;
}

void hmp_print_info_replay(const void *ret, const Json *args)
{
    mon_puts("Record/replay is not active\n");
}

bool cmd_replay_break(const void *arg, void *ret, Error **errp)
{
    return error_set(errp, "setting the breakpoint is allowed only in play "
                     "mode");
}

bool cmd_replay_delete_break(const void *arg, void *ret, Error **errp)
{
    return error_set(errp, "replay breakpoints are allowed only in play mode");
}

bool cmd_replay_seek(const void *arg, void *ret, Error **errp)
{
    return error_set(errp, "replay must be enabled to seek");
}

/* ---- encrypted memory and enclaves -- */
bool cmd_query_sev(const void *arg, void *ret, Error **errp)
{
    ((SevInfo *)ret)->state = SEV_STATE_UNINIT;
    return true;
}

void hmp_print_info_sev(const void *ret, const Json *args)
{
    mon_puts("SEV is not enabled\n");
}

bool cmd_query_sev_capabilities(const void *arg, void *ret, Error **errp)
{
    return accel_is("kvm")
        ? error_set(errp, "SEV is not available on this host")
        : error_set(errp, "KVM not enabled");
}

bool cmd_query_sev_launch_measure(const void *arg, void *ret, Error **errp)
{
    return error_set(errp, "SEV launch measurement is not available");
}

bool cmd_sev_inject_launch_secret(const void *arg, void *ret, Error **errp)
{
    return error_set(errp, "SEV not enabled for guest");
}

bool cmd_query_sev_attestation_report(const void *arg, void *ret,
                                      Error **errp)
{
    return error_set(errp, "SEV is not enabled");
}

bool cmd_query_sgx(const void *arg, void *ret, Error **errp)
{
    return error_set(errp, machine->type->no_cpus
                     ? "SGX is only supported on PC machines"
                     : "No EPC regions defined, SGX not available");
}

void hmp_info_sgx(const Json *args)
{
    Error *err = NULL;

    cmd_query_sgx(NULL, NULL, &err);
    mon_printf("%s\n", error_text(err));
    error_free(err);
}

bool cmd_query_sgx_capabilities(const void *arg, void *ret, Error **errp)
{
    return error_set(errp, "SGX is not enabled in KVM");
}

/* ---- replication -- */
bool cmd_query_colo_status(const void *arg, void *ret, Error **errp)
{
    return true;                       /* all zero: none                      */
}

bool cmd_x_colo_lost_heartbeat(const void *arg, void *ret, Error **errp)
{
    return error_set(errp, "The feature 'colo' is not enabled");
}

bool cmd_query_xen_replication_status(const void *arg, void *ret,
                                      Error **errp)
{
    return true;
}

/* ---- SPICE -- */
bool cmd_query_spice(const void *arg, void *ret, Error **errp)
{
    ((SpiceInfo *)ret)->mouse_mode = SPICE_QUERY_MOUSE_MODE_CLIENT;
    return true;
}

void hmp_print_info_spice(const void *ret, const Json *args)
{
    mon_puts("Server: disabled\n");
}

bool cmd_client_migrate_info(const void *arg, void *ret, Error **errp)
{
    const ClientMigrateInfoArg *a = arg;

    return strcmp(a->protocol, "spice")
        ? error_set(errp, "Parameter 'protocol' expects 'spice'")
        : error_set_class(errp, ERROR_DEVICE_NOT_ACTIVE,
                          "SPICE is not in use");
}

/* ---- the switch -- */
static bool no_rocker(const char *name, Error **errp)
{
    return error_set(errp, "rocker %s not found", name);
}

bool cmd_query_rocker(const void *arg, void *ret, Error **errp)
{
    return no_rocker(((const QueryRockerArg *)arg)->name, errp);
}

bool cmd_query_rocker_ports(const void *arg, void *ret, Error **errp)
{
    return no_rocker(((const QueryRockerPortsArg *)arg)->name, errp);
}

bool cmd_query_rocker_of_dpa_flows(const void *arg, void *ret, Error **errp)
{
    return no_rocker(((const QueryRockerOfDpaFlowsArg *)arg)->name, errp);
}

bool cmd_query_rocker_of_dpa_groups(const void *arg, void *ret, Error **errp)
{
    return no_rocker(((const QueryRockerOfDpaGroupsArg *)arg)->name, errp);
}

/* ---- the rest -- */
bool cmd_dumpdtb(const void *arg, void *ret, Error **errp)
{
    return error_set(errp, "This machine doesn't have a FDT");
}

bool cmd_x_query_usb(const void *arg, void *ret, Error **errp)
{
    return error_set(errp, "USB support not enabled");
}

static bool say(void *ret, const char *text)
{
    ((HumanReadableText *)ret)->human_readable_text = g_strdup(text);
    return true;
}

bool cmd_x_query_rdma(const void *arg, void *ret, Error **errp)
{
    return say(ret, "");
}

bool cmd_x_query_profile(const void *arg, void *ret, Error **errp)
{
    return error_set(errp, "Internal profiler not compiled");
}

bool cmd_x_query_opcount(const void *arg, void *ret, Error **errp)
{
    return accel_is("tcg")
        ? say(ret, "[TCG profiler not compiled]\n")
        : error_set(errp, "Opcode count information is only available with "
                    "accel=tcg");
}

/* The software CPU decodes once and keeps no figures about it. */
bool cmd_x_query_jit(const void *arg, void *ret, Error **errp)
{
    return accel_is("tcg")
        ? say(ret, "[TCG profiler not compiled]\n")
        : error_set(errp, "JIT information is only available with "
                    "accel=tcg");
}

bool cmd_query_memory_devices(const void *arg, void *ret, Error **errp)
{
    return true;
}

void hmp_print_info_memory_devices(const void *ret, const Json *args)
{
}
