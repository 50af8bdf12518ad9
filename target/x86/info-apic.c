/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * info-apic.c - `info lapic`: a local APIC's register page for people (Intel SDM
 * vol. 3 chapter 11).
 *
 * Thread class: MACHINE_CALL.
 */
#include "accel.h"
#include "json.h"
#include "monitor.h"
#include "x86-cpu.h"
#include "schema/schema.h"

static uint32_t reg(const uint32_t page[256], unsigned r)
{
    return page[r / 4];
}

static void print_lvt(const uint32_t page[256], const char *name, unsigned r)
{
    static const char *const modes[8] = {
        "Fixed", "LowPri", "SMI", "...", "NMI", "INIT", "...", "ExtINT",
    };
    static const char *const timers[4] = { "one-shot", "periodic",
                                           "tsc-deadline", "..." };
    uint32_t v = reg(page, r);
    unsigned mode = v >> 8 & 7;

    mon_printf("%s\t 0x%08x active-%s %-5s %-6s %-7s %-12s %-6s", name, v,
               v & 1u << 13 ? "lo" : "hi", v & 1u << 15 ? "level" : "edge",
               v & 1u << 16 ? "masked" : "", v & 1u << 12 ? "pending" : "",
               r == 0x320 ? timers[v >> 17 & 3] : "", modes[mode]);
    if (mode != 4) {
        mon_printf(" (vec %u)", v & 0xff);
    }
    mon_puts("\n");
}

static void print_timer(const uint32_t page[256])
{
    uint32_t dcr = reg(page, 0x3e0);
    unsigned code = (dcr & 3) | (dcr >> 1 & 4);

    mon_printf("Timer\t DCR=0x%x (divide by %u) initial_count = %u "
               "current_count = %u\n", dcr & 0xf, 1u << ((code + 1) & 7),
               reg(page, 0x380), reg(page, 0x390));
}

static void print_icr(const uint32_t page[256], bool x2)
{
    static const char *const shorthands[4] = {
        "no-shorthand", "self", "all-self", "all",
    };
    uint32_t v = reg(page, 0x300), dest = reg(page, 0x310);
    unsigned sh = v >> 18 & 3;

    mon_printf("ICR\t 0x%08x %s %s %s %s\n", v,
               v & 1u << 11 ? "logical" : "physical",
               v & 1u << 15 ? "level" : "edge",
               v & 1u << 14 ? "assert" : "de-assert", shorthands[sh]);
    mon_printf("ICR2\t 0x%08x", dest);
    if (sh) {
        mon_puts("\n");
    } else if (v & 1u << 11) {
        mon_printf(" mask %08x\n", x2 ? dest : dest >> 24);
    } else {
        mon_printf(" cpu %u (%s ID)\n", x2 ? dest : dest >> 24,
                   x2 ? "X2APIC" : "APIC");
    }
}

static void print_vectors(const uint32_t page[256], const char *name,
                          unsigned r)
{
    bool any = false;

    mon_printf("%s\t ", name);
    for (unsigned v = 0; v < 256; v++) {
        unsigned at = v / 32 * 0x10;

        if (reg(page, r + at) >> v % 32 & 1) {
            mon_printf("%u%s ", v,
                       reg(page, 0x180 + at) >> v % 32 & 1 ? "(level)" : "");
            any = true;
        }
    }
    mon_puts(any ? "\n" : "(none)\n");
}

static void print_apic(X86Cpu *c, const uint32_t page[256])
{
    static const struct { const char *name; unsigned r; } lvts[] = {
        { "LVT0", 0x350 }, { "LVT1", 0x360 }, { "LVTPC", 0x340 },
        { "LVTERR", 0x370 }, { "LVTTHMR", 0x330 }, { "LVTT", 0x320 },
    };
    uint32_t spiv = reg(page, 0xf0);

    mon_printf("dumping local APIC state for CPU %u \n\n", c->cpu.index);
    for (unsigned i = 0; i < ARRAY_SIZE(lvts); i++) {
        print_lvt(page, lvts[i].name, lvts[i].r);
    }
    print_timer(page);
    mon_printf("SPIV\t 0x%08x APIC %s, focus=%s, spurious vec %u\n", spiv,
               spiv & 1u << 8 ? "enabled" : "disabled",
               spiv & 1u << 9 ? "on" : "off", spiv & 0xff);
    print_icr(page, c->features[FW_1_ECX] & 1u << 21);
    mon_printf("ESR\t 0x%08x\n", reg(page, 0x280));
    print_vectors(page, "ISR", 0x100);
    print_vectors(page, "IRR", 0x200);
    mon_printf("\nAPR 0x%02x TPR 0x%02x DFR 0x%02x LDR 0x%02x PPR 0x%02x\n",
               reg(page, 0x90) & 0xff, reg(page, 0x80) & 0xff,
               reg(page, 0xe0) >> 28, reg(page, 0xd0) >> 24,
               reg(page, 0xa0) & 0xff);
}

void hmp_info_lapic(const Json *args)
{
    const Json *id = json_get(args, "apic-id");
    Cpu *cpu = id ? NULL : cpu_by_index(mon_cpu_index());
    X86Cpu *c = id ? x86_cpu_by_apic_id(json_int_of(id))
                   : cpu ? x86_cpu(cpu) : NULL;
    uint32_t page[256] = { 0 };

    if (!c) {
        mon_puts("No CPU available\n");
        return;
    }
    cpu_sync(&c->cpu);
    if (c->apic) {
        apic_page(c, page);
    } else if (accel_irq.lapic_page) {
        accel_irq.lapic_page(&c->cpu, page);
    } else {
        mon_puts("ERROR: CPU has no local APIC\n");
        return;
    }
    print_apic(c, page);
}
