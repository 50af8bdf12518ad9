/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kvmclock.c - the paravirtual clock for guests that ask for it with
 * -cpu …,kvmclock=on (Linux, Documentation/virt/kvm/x86/msr.rst and
 * cpuid.rst). The page tells how time follows from the TSC; both come from
 * CLOCK_VM, so it is written once and stays true.
 *
 * Thread class: the vCPU's thread, outside the guest's section.
 */
#include "glue.h"
#include "loop.h"
#include "mem.h"

#define WALL_OLD 0x11u
#define TIME_OLD 0x12u
#define WALL_NEW 0x4b564d00u
#define TIME_NEW 0x4b564d01u
#define STABLE_BIT 1u

/* ns = (ticks shifted) * mul >> 32 with mul between 2^31 and 2^32. */
static void scale(uint64_t hz, uint32_t *mul, int8_t *shift)
{
    unsigned __int128 m = (unsigned __int128)NS_PER_S << 32;

    *shift = 0;
    while (m / hz >> 32) {
        m >>= 1;
        ++*shift;
    }
    while (!(m / hz >> 31)) {
        m <<= 1;
        --*shift;
    }
    *mul = (uint32_t)(m / hz);
}

/* A version that is even says that the rest is whole. */
static uint32_t next_version(uint64_t pa)
{
    uint8_t old[4];

    return mem_read(&mem_system, pa, old, 4, MEM_ATTRS_NONE) == MEM_OK ?
        (ld_le32(old) | 1) + 1 : 2;
}

static void put_time(const X86Cpu *x)
{
    uint64_t pa = x->regs.kvm_system_time & ~1ull, ns = clock_ns(CLOCK_VM);
    uint8_t page[32] = { 0 };
    uint32_t mul;
    int8_t shift;

    scale(x86_tsc_hz(), &mul, &shift);
    st_le32(page, next_version(pa));
    st_le64(page + 8, x86_tsc(x));
    st_le64(page + 16, ns);
    st_le32(page + 24, mul);
    page[28] = (uint8_t)shift;
    page[29] = STABLE_BIT;
    mem_write(&mem_system, pa, page, sizeof(page), MEM_ATTRS_NONE);
}

static void put_wall(const X86Cpu *x)
{
    uint64_t pa = x->regs.kvm_wall_clock;
    uint64_t ns = clock_ns(CLOCK_HOST) - clock_ns(CLOCK_VM);
    uint8_t page[12];

    st_le32(page, next_version(pa));
    st_le32(page + 4, (uint32_t)(ns / NS_PER_S));
    st_le32(page + 8, (uint32_t)(ns % NS_PER_S));
    mem_write(&mem_system, pa, page, sizeof(page), MEM_ATTRS_NONE);
}

void soft_kvmclock_moved(X86Cpu *x)
{
    if (x->regs.kvm_system_time & 1) {
        put_time(x);
    }
}

bool soft_kvmclock_is(const X86Cpu *x, uint32_t msr)
{
    uint64_t f = x->features[FW_KVM];

    return ((msr == WALL_OLD || msr == TIME_OLD) && f & 1) ||
        ((msr == WALL_NEW || msr == TIME_NEW) && f & 8);
}

uint64_t soft_kvmclock_read(const X86Cpu *x, uint32_t msr)
{
    return msr == WALL_OLD || msr == WALL_NEW ? x->regs.kvm_wall_clock :
        x->regs.kvm_system_time;
}

void soft_kvmclock_write(X86Cpu *x, uint32_t msr, uint64_t v)
{
    if (msr == WALL_OLD || msr == WALL_NEW) {
        x->regs.kvm_wall_clock = v;
        put_wall(x);
    } else {
        x->regs.kvm_system_time = v;
        soft_kvmclock_moved(x);
    }
}
