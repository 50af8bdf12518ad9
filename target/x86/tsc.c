/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tsc.c - the time-stamp counter as Tern counts it: CLOCK_VM times a frequency,
 * plus the vCPU's offset. It stands still with the machine, and moves under
 * qtest only on command. (Intel SDM vol. 3, 18.17.)
 *
 * Thread class: any; the frequency is set before the first vCPU.
 */
#include "loop.h"
#include "x86.h"

static uint64_t tsc_hz = NS_PER_S;

uint64_t x86_tsc_hz(void)
{
    return tsc_hz;
}

void x86_tsc_hz_set(uint64_t hz)
{
    tsc_hz = hz;
}

uint64_t x86_tsc_base(void)
{
    uint64_t ns = clock_ns(CLOCK_VM);

    return tsc_hz == NS_PER_S
         ? ns : (uint64_t)((unsigned __int128)ns * tsc_hz / NS_PER_S);
}

uint64_t x86_tsc(const X86Cpu *c)
{
    return x86_tsc_base() + c->regs.tsc_offset;
}
