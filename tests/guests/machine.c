/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * machine: interrupts, timers and processors of a PC, tried from inside: 8259,
 * IOAPIC, local APIC with its timer, 8254, messages, start-up of processors,
 * faults. Prints TAP-like lines on port 0xe9 and the first serial port.
 *
 * A host that tests an accelerator without a board answers at ports 0x7f0 and
 * following (read 0x7f0: 0xa5); it is asked for what a board's devices would
 * do. Elsewhere those parts are left out. The command line chooses an end:
 * "reset", "triple", else the debug-exit port 0x501.
 *
 * Integer code, long mode, sleeping in HLT rather than spinning.
 */
#include <stdint.h>
#include "ports.h"

typedef struct Frame {
    uint64_t r11, r10, r9, r8, rbp, rdi, rsi, rbx, rdx, rcx, rax;
    uint64_t vector, error, rip, cs, rflags, rsp, ss;
} Frame;

void guest_main(uint32_t magic, uint64_t info);
void ap_main(uint32_t n);
void interrupt(Frame *f);
extern uint8_t stubs[], ap_start[], ap_end[];
extern volatile uint32_t ap_count;

#define LAPIC  ((volatile uint32_t *)0xfee00000ul)
#define IOAPIC ((volatile uint32_t *)0xfec00000ul)
#define HOST 0x7f0                     /* +0 magic/command, +4 argument/reply */
enum { ASK_MSI = 1, ASK_IRQFD, ASK_GSI_HIGH, ASK_GSI_LOW, ASK_NMI,
       ASK_EVENTS, ASK_RESAMPLED, ASK_CPUS, ASK_DONE };
enum { V_PIC = 0x20, V_IOAPIC = 0x41, V_TIMER = 0x42, V_DEADLINE = 0x43,
       V_MSI = 0x44, V_IRQFD = 0x45, V_IPI = 0x46, V_LEVEL = 0x47,
       V_SPURIOUS = 0xff };

static volatile uint32_t ap_place[8], count[256], ipi_seen[9], faults, fault_vector;
static uint64_t skip_to;               /* where a fault goes on               */
static unsigned tests, failed, have_host, level_in_service;

/* ---- access -------------------------------------------------------------- */

static uint64_t rdmsr(uint32_t msr)
{
    uint32_t a, d;

    __asm__ volatile("rdmsr" : "=a"(a), "=d"(d) : "c"(msr));
    return a | (uint64_t)d << 32;
}

static void wrmsr(uint32_t msr, uint64_t v)
{
    __asm__ volatile("wrmsr" : : "a"((uint32_t)v), "d"((uint32_t)(v >> 32)),
                     "c"(msr) : "memory");
}

static uint64_t rdtsc(void)
{
    uint32_t a, d;

    __asm__ volatile("rdtsc" : "=a"(a), "=d"(d));
    return a | (uint64_t)d << 32;
}

static uint32_t cpuid_1_ecx(void)
{
    uint32_t a = 1, b, c = 0, d;

    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return c;
}

static uint32_t lapic(unsigned reg)
{
    return LAPIC[reg / 4];
}

static void lapic_set(unsigned reg, uint32_t v)
{
    LAPIC[reg / 4] = v;
}

static void ioapic_set(unsigned reg, uint32_t v)
{
    IOAPIC[0] = reg;
    IOAPIC[4] = v;
}

static void ioapic_route(unsigned pin, uint32_t low, uint32_t apic_id)
{
    ioapic_set(0x10 + 2 * pin, 1 << 16);
    ioapic_set(0x11 + 2 * pin, apic_id << 24);
    ioapic_set(0x10 + 2 * pin, low);
}

static uint32_t ask(uint32_t what, uint32_t arg)
{
    out32(HOST + 4, arg);
    out32(HOST, what);
    return in32(HOST + 4);
}

/* ---- telling ------------------------------------------------------------- */

static void put(const char *s)
{
    for (; *s; s++) {
        out8(0xe9, *s);
        if (!have_host) {
            out8(0x3f8, *s);
        }
    }
}

static void put_dec(uint32_t v)
{
    char text[2] = { '0' + v % 10, 0 };

    if (v >= 10) {
        put_dec(v / 10);
    }
    put(text);
}

static void result(const char *name, int ok, uint32_t seen)
{
    tests++;
    if (!ok) {
        failed++;
        put("not ");
    }
    put("ok ");
    put_dec(tests);
    put(" - ");
    put(name);
    if (!ok) {
        put(" (");
        put_dec(seen);
        put(")");
    }
    put("\n");
}

/* ---- interrupts ---------------------------------------------------------- */

static struct {
    uint16_t low, sel, attr, mid;
    uint32_t high, zero;
} __attribute__((packed)) idt[256];

static void idt_load(void)
{
    struct { uint16_t limit; uint64_t base; } __attribute__((packed)) p = {
        sizeof(idt) - 1, (uint64_t)idt,
    };

    for (int i = 0; i < 256; i++) {
        uint64_t at = (uint64_t)stubs + i * 16;

        idt[i].low = at;
        idt[i].sel = 24;
        idt[i].attr = 0x8e00;
        idt[i].mid = at >> 16;
        idt[i].high = at >> 32;
    }
    __asm__ volatile("lidt %0" : : "m"(p));
}

static int from_pic(uint32_t vector)
{
    return vector >= V_PIC && vector < V_PIC + 16;
}

void interrupt(Frame *f)
{
    count[f->vector]++;
    if (f->vector < 32) {
        if (f->vector == 2) {
            return;
        }
        faults++;
        fault_vector = f->vector;
        if (!skip_to) {
            put("not ok - stray fault ");
            put_dec(f->vector);
            put(" at ");
            put_dec(f->rip);
            put("\n");
            for (;;) {
                __asm__ volatile("cli; hlt");
            }
        }
        f->rip = skip_to;
        return;
    }
    if (f->vector == V_IPI) {
        ipi_seen[lapic(0x20) >> 24 & 7]++;
    }
    if (f->vector == V_LEVEL) {
        level_in_service += LAPIC[(0x100 + V_LEVEL / 32 * 0x10) / 4] >>
                            V_LEVEL % 32 & 1;
        ask(ASK_GSI_LOW, 5);
    }
    if (from_pic(f->vector)) {
        if (f->vector >= V_PIC + 8) {
            out8(0xa0, 0x20);
        }
        out8(0x20, 0x20);
    } else if (f->vector != V_SPURIOUS) {
        lapic_set(0xb0, 0);
    }
}

/* Sleeps until vector has come n times since `from`. */
static void wait_for(uint32_t vector, uint32_t from, uint32_t n)
{
    __asm__ volatile("cli");
    while (count[vector] - from < n) {
        __asm__ volatile("sti; hlt; cli" : : : "memory");
    }
}

static void pic_init(uint8_t mask_master)
{
    out8(0x20, 0x11);
    out8(0xa0, 0x11);
    out8(0x21, V_PIC);
    out8(0xa1, V_PIC + 8);
    out8(0x21, 4);
    out8(0xa1, 2);
    out8(0x21, 1);
    out8(0xa1, 1);
    out8(0x21, mask_master);
    out8(0xa1, 0xff);
}

static void pit_rate(uint16_t divisor)
{
    out8(0x43, 0x34);
    out8(0x40, divisor);
    out8(0x40, divisor >> 8);
}

static void pit_off(void)
{
    out8(0x43, 0x30);                  /* one-shot without a count            */
}

/* ---- the tests ----------------------------------------------------------- */

static void test_pic(void)
{
    uint32_t from = count[V_PIC];

    lapic_set(0x350, 0x700);           /* LINT0 takes the 8259                */
    pic_init(0xfe);
    pit_rate(11932);                   /* 100 Hz                              */
    wait_for(V_PIC, from, 3);
    result("8254 through the 8259", count[V_PIC] - from >= 3,
           count[V_PIC] - from);
    pic_init(0xff);
    lapic_set(0x350, 0x10000);
}

static void test_ioapic(void)
{
    uint32_t from = count[V_IOAPIC];

    ioapic_route(2, V_IOAPIC, lapic(0x20) >> 24);
    wait_for(V_IOAPIC, from, 3);
    result("8254 through the IOAPIC", count[V_IOAPIC] - from >= 3,
           count[V_IOAPIC] - from);
    ioapic_route(2, 0x10000, 0);
    pit_off();
}

static void test_lapic_timer(void)
{
    uint32_t from = count[V_TIMER];

    lapic_set(0x3e0, 0xb);             /* divide by 1                         */
    lapic_set(0x320, V_TIMER);
    lapic_set(0x380, 1000000);
    wait_for(V_TIMER, from, 1);
    result("local APIC timer, once", count[V_TIMER] - from == 1,
           count[V_TIMER] - from);
    from = count[V_TIMER];
    lapic_set(0x320, V_TIMER | 1 << 17);
    lapic_set(0x380, 2000000);
    wait_for(V_TIMER, from, 3);
    lapic_set(0x320, 0x10000);
    lapic_set(0x380, 0);
    result("local APIC timer, periodic", count[V_TIMER] - from >= 3,
           count[V_TIMER] - from);
}

static void test_deadline(void)
{
    uint32_t from = count[V_DEADLINE];
    uint64_t goal;

    if (!(cpuid_1_ecx() >> 24 & 1)) {
        return;
    }
    lapic_set(0x320, V_DEADLINE | 2 << 17);
    goal = rdtsc() + 2000000;
    wrmsr(0x6e0, goal);
    wait_for(V_DEADLINE, from, 1);
    result("TSC deadline", rdtsc() >= goal && rdmsr(0x6e0) == 0,
           count[V_DEADLINE] - from);
    lapic_set(0x320, 0x10000);
}

static void test_messages(void)
{
    uint32_t from = count[V_MSI];

    ask(ASK_MSI, V_MSI);
    wait_for(V_MSI, from, 1);
    result("message", count[V_MSI] - from == 1, count[V_MSI] - from);
    from = count[V_IRQFD];
    for (uint32_t i = 1; i <= 3; i++) {
        ask(ASK_IRQFD, V_IRQFD);
        wait_for(V_IRQFD, from, i);
    }
    result("irqfd", count[V_IRQFD] - from == 3, count[V_IRQFD] - from);
}

static void test_level(void)
{
    uint32_t from = count[V_LEVEL];

    ioapic_route(5, V_LEVEL | 1 << 15, lapic(0x20) >> 24);
    for (uint32_t i = 1; i <= 2; i++) {
        ask(ASK_GSI_HIGH, 5);
        wait_for(V_LEVEL, from, i);
    }
    /* The line falls before the EOI. The second digit tells whether what came
     * too often came from the local APIC, or was entered twice. */
    result("level-triggered IOAPIC pin", count[V_LEVEL] - from == 2,
           (count[V_LEVEL] - from) * 10 + level_in_service);
    ioapic_route(5, 0x10000, 0);
}

static void test_nmi(void)
{
    uint32_t from = count[2];

    ask(ASK_NMI, 0);
    for (int i = 0; i < 1000 && count[2] == from; i++) {
        in8(HOST);
    }
    result("NMI", count[2] - from == 1, count[2] - from);
}

static void test_events(void)
{
    volatile uint32_t *reg = (volatile uint32_t *)0xd0000100;

    ask(ASK_EVENTS, 0);
    for (int i = 0; i < 5; i++) {
        out32(HOST + 8, 1);
        *reg = 7;
    }
    *reg = 8;                          /* no match: comes to the device       */
    result("ioeventfd, port", (ask(ASK_EVENTS, 1) & 0xff) == 5,
           ask(ASK_EVENTS, 1));
    result("ioeventfd, memory with match",
           ask(ASK_EVENTS, 2) == (5 | 8 << 8), ask(ASK_EVENTS, 2));
    *(volatile uint32_t *)0xd0000010 = 0x12345678;
    result("memory register", *(volatile uint32_t *)0xd0000010 == 0x12345678 &&
           *(volatile uint16_t *)0xd0000012 == 0x1234,
           *(volatile uint32_t *)0xd0000010);
    /* Batched by KVM; a read that flushes comes after all of them. */
    for (int i = 0; i < 20; i++) {
        *(volatile uint32_t *)(0xd0001000ul + 4 * i) = i;
    }
    result("batched writes", *(volatile uint32_t *)0xd0000020 == 190,
           *(volatile uint32_t *)0xd0000020);
}

static void test_faults(void)
{
    uint32_t from = faults;

    __asm__ volatile("movq $1f, %0\n\t.byte 0x0f, 0x0b\n1:"
                     : "=m"(skip_to) : : "memory");
    result("undefined opcode", faults == from + 1 && fault_vector == 6,
           fault_vector);
    __asm__ volatile("movq $1f, %0\n\tmovl $0x1234, %%ecx\n\twrmsr\n1:"
                     : "=m"(skip_to) : : "memory", "ecx");
    result("general protection", faults == from + 2 && fault_vector == 13,
           fault_vector);
    skip_to = 0;
}

void ap_main(uint32_t n)
{
    struct { uint16_t limit; uint64_t base; } __attribute__((packed)) p = {
        sizeof(idt) - 1, (uint64_t)idt,
    };

    __asm__ volatile("lidt %0" : : "m"(p));
    ap_place[n & 7] = lapic(0x20) >> 24;
    lapic_set(0xf0, 0x1ff);
    lapic_set(0x80, 0);
    for (;;) {
        __asm__ volatile("sti; hlt" : : : "memory");
    }
}

static void icr(uint32_t high, uint32_t low)
{
    lapic_set(0x310, high);
    lapic_set(0x300, low);
}

/* Sleeps a little, by the local APIC's timer. */
static void nap(uint32_t ticks)
{
    uint32_t from = count[V_TIMER];

    lapic_set(0x320, V_TIMER);
    lapic_set(0x380, ticks);
    wait_for(V_TIMER, from, 1);
}

static uint32_t cpus_wanted(void)
{
    if (have_host) {
        return ask(ASK_CPUS, 0);
    }
    /* fw_cfg key 5: number of processors. */
    __asm__ volatile("outw %0, %1" : : "a"((uint16_t)5), "Nd"((uint16_t)0x510));
    return in8(0x511);
}

static void test_processors(void)
{
    uint32_t n = cpus_wanted(), came = 0;
    volatile uint8_t *to = (volatile uint8_t *)0x8000;

    for (uint8_t *from = ap_start; from < ap_end; from++) {
        *to++ = *from;
    }
    icr(0, 0xc4500);                   /* INIT to all but self                */
    nap(10000000);
    icr(0, 0xc4608);                   /* start-up at 0x8000                  */
    nap(1000000);
    icr(0, 0xc4608);
    for (int i = 0; i < 200 && ap_count < n - 1; i++) {
        nap(10000000);
    }
    result("processors started", ap_count == n - 1, ap_count);
    nap(50000000);
    for (uint32_t id = 1; id < n; id++) {
        icr(id << 24, 0x4000 | V_IPI);
        for (int i = 0; i < 200 && !ipi_seen[id & 7]; i++) {
            nap(10000000);
        }
        came += ipi_seen[id & 7] == 1;
    }
    result("interrupts between processors", came == n - 1, came);
}

/* ---- start and end ------------------------------------------------------- */

static int has_word(const char *line, const char *word)
{
    for (; *line; line++) {
        int i = 0;

        while (word[i] && line[i] == word[i]) {
            i++;
        }
        if (!word[i]) {
            return 1;
        }
    }
    return 0;
}

static void end(const char *line)
{
    if (failed) {
        put("failed\n");
    } else {
        put("passed\n");
    }
    if (have_host) {
        ask(ASK_DONE, failed);
    } else if (has_word(line, "reset")) {
        out8(0xcf9, 6);
    } else if (has_word(line, "triple")) {
        struct { uint16_t limit; uint64_t base; } __attribute__((packed)) p = {
            0, 0,
        };

        __asm__ volatile("lidt %0\n\t.byte 0x0f, 0x0b" : : "m"(p));
    } else {
        out8(0x501, failed != 0);
    }
}

void guest_main(uint32_t magic, uint64_t info)
{
    const uint32_t *mb = (const uint32_t *)(info & 0xffffffff);
    const char *line = "";

    have_host = in8(HOST) == 0xa5;
    if (magic == 0x2badb002 && mb[0] & 4) {
        line = (const char *)(uint64_t)mb[4];
    }
    idt_load();
    put("machine: begins\n");
    if (!have_host && has_word(line, "end-only")) {
        end(line);
        return;
    }
    lapic_set(0xf0, 0x100 | V_SPURIOUS);
    lapic_set(0x80, 0);
    test_faults();
    test_pic();
    test_ioapic();
    test_lapic_timer();
    test_deadline();
    if (have_host) {
        test_messages();
        test_level();
        test_nmi();
        test_events();
    }
    test_processors();
    end(line);
}
