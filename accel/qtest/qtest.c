/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qtest.c - the accelerator that runs no guest code: vCPUs exist, but only a
 * test moves the machine, and the virtual clock with it.
 *
 * Thread class: MACHINE_CALL.
 */
#include "accel.h"

static bool qtest_usable(const char **why)
{
    return true;
}

static bool qtest_preferred(void)
{
    return false;
}

static MACHINE_CALL bool qtest_init(Accel *a, Machine *m, Error **errp)
{
    clock_vm_manual();
    return true;
}

static bool qtest_cpu_init(Cpu *cpu, Error **errp)
{
    return true;
}

static void qtest_cpu_kick(Cpu *cpu)
{
}

ACCEL(qtest_accel, {
    .name = "qtest", .type = "qtest-accel", .desc = "QTest",
    .size = sizeof(Accel),
    .usable = qtest_usable, .preferred = qtest_preferred,
    .init = qtest_init, .cpu_init = qtest_cpu_init, .cpu_kick = qtest_cpu_kick,
    .flags = ACCEL_NO_CPU,
});
