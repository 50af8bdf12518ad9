/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd-core.c - commands of the protocol itself: version, list of commands, quit,
 * human-monitor-command, print.
 *
 * MACHINE_CALL.
 */
#include <ctype.h>
#include "config.h"
#include "mon-impl.h"
#include "obj.h"
#include "runstate.h"
#include "schema/schema.h"

bool cmd_query_version(const void *arg, void *ret, Error **errp)
{
    VersionInfo *v = ret;

    v->qemu = (VersionTriple){ 7, 2, 22 };
    v->package = g_strdup("tern-" TERN_VERSION);
    return true;
}

void hmp_print_info_version(const void *ret, const Json *args)
{
    const VersionInfo *v = ret;

    mon_printf("%" PRId64 ".%" PRId64 ".%" PRId64 "%s\n", v->qemu.major,
               v->qemu.minor, v->qemu.micro, v->package);
}

bool cmd_query_commands(const void *arg, void *ret, Error **errp)
{
    CommandInfoList *l = ret;

    for (unsigned i = 0; i < qmp_command_count; i++) {
        if (command_find(commands[i].name)) {
            SCHEMA_ADD(l)->name = g_strdup(commands[i].name);
        }
    }
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const CommandInfo *)a)->name,
                  ((const CommandInfo *)b)->name);
}

void hmp_print_info_commands(const void *ret, const Json *args)
{
    CommandInfoList l = *(const CommandInfoList *)ret;

    l.v = g_memdup2(l.v, l.n * sizeof(*l.v));
    qsort(l.v, l.n, sizeof(*l.v), by_name);
    for (size_t i = 0; i < l.n; i++) {
        mon_printf("%s\n", l.v[i].name);
    }
    g_free(l.v);
}

bool cmd_quit(const void *arg, void *ret, Error **errp)
{
    request_shutdown(WHY_HOST_QMP_QUIT);
    return true;
}

bool cmd_human_monitor_command(const void *arg, void *ret, Error **errp)
{
    const HumanMonitorCommandArg *a = arg;
    int64_t cpu = a->has_cpu_index ? a->cpu_index : 0;

    if (a->has_cpu_index && (cpu < 0 || cpu > INT32_MAX ||
                             !mon_cpu_exists || !mon_cpu_exists(cpu))) {
        return error_set(errp, "Parameter 'cpu-index' expects a CPU number");
    }
    *(char **)ret = mon_hmp_line(a->command_line, cpu);
    return true;
}

/* ---- print -- */
static void print_char(int64_t v)
{
    static const char marks[] = "''\\\\\nn\rr";

    for (const char *m = marks; v && *m; m += 2) {
        if (v == *m) {
            mon_printf("'\\%c'", m[1]);
            return;
        }
    }
    if (v >= 32 && v <= 126) {
        mon_printf("'%c'", (int)v);
    } else {
        mon_printf("'\\x%02x'", (unsigned)v);
    }
}

void hmp_print(const Json *args)
{
    int64_t v = json_int_of(json_get(args, "expr"));

    switch (*json_get_str(args, "format")) {
    case 'o':
        mon_printf("%#" PRIo64, v);
        break;
    case 'u':
        mon_printf("%" PRIu64, v);
        break;
    case 'd':
    case 'i':
        mon_printf("%" PRId64, v);
        break;
    case 'c':
        print_char(v);
        break;
    default:
        mon_printf("%#" PRIx64, v);
        break;
    }
    mon_puts("\n");
}
