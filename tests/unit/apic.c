/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The local APIC's rules on a board of six vCPUs without an engine: each access
 * is made as if by the vCPU named.
 */
#include "tests/unit/apic-rig.h"

TEST(reset_values)
{
    board();
    CHECK_EQ(rd(0, ID), 0u);
    CHECK_EQ(rd(3, ID), 3u << 24);
    CHECK_EQ(rd(0, 0x030), 0x50014u);
    CHECK_EQ(rd(0, TPR), 0u);
    CHECK_EQ(rd(0, LDR), 0u);
    CHECK_EQ(rd(0, DFR), 0xffffffffu);
    CHECK_EQ(rd(0, SVR), 0xffu);
    CHECK_EQ(rd(0, LINT0), 0x700u);
    CHECK_EQ(rd(1, LINT0), 0x10000u);
    CHECK_EQ(rd(0, LVTT), 0x10000u);
    CHECK_EQ(apic_base_get(cpu(0)), 0xfee00900u);
    CHECK_EQ(apic_base_get(cpu(1)), 0xfee00800u);
    CHECK(!cpus[0]->halted);
    CHECK(cpus[1]->halted);
}

TEST(priorities)
{
    all_on();
    ipi(0, 1, 0x41);
    ipi(0, 1, 0x72);
    ipi(0, 1, 0x45);
    CHECK(waits(1, 0x41) && waits(1, 0x72) && waits(1, 0x45));
    CHECK(asked(1, CPU_INT_HARD));
    CHECK(!asked(2, CPU_INT_HARD));
    CHECK_EQ(ack(1), 0x72);
    CHECK_EQ(rd(1, PPR), 0x70u);
    /* The same class waits, whatever its vector. */
    CHECK(!asked(1, CPU_INT_HARD));
    CHECK_EQ(ack(1), -1);
    ipi(0, 1, 0x7f);
    CHECK(!asked(1, CPU_INT_HARD));
    ipi(0, 1, 0x80);
    CHECK_EQ(ack(1), 0x80);
    CHECK_EQ(rd(1, ISR + 0x40), 1u);
    wr(1, EOI, 0);
    CHECK_EQ(rd(1, ISR + 0x40), 0u);
    CHECK_EQ(rd(1, PPR), 0x70u);
    wr(1, EOI, 0);
    CHECK_EQ(ack(1), 0x7f);
    wr(1, EOI, 0);
    CHECK_EQ(ack(1), 0x45);
    wr(1, EOI, 0);
    CHECK_EQ(ack(1), 0x41);
    wr(1, EOI, 0);
    CHECK_EQ(ack(1), -1);
    /* One more end of interrupt than there were interrupts. */
    wr(1, EOI, 0);
    CHECK_EQ(rd(1, PPR), 0u);
}

TEST(task_priority)
{
    all_on();
    wr(1, TPR, 0x60);
    ipi(0, 1, 0x6f);
    CHECK(!asked(1, CPU_INT_HARD));
    CHECK_EQ(rd(1, PPR), 0x60u);
    CHECK_EQ(apic_tpr_get(cpu(1)), 6);
    apic_tpr_set(cpu(1), 5);
    CHECK(asked(1, CPU_INT_HARD));
    CHECK_EQ(rd(1, TPR), 0x50u);
    apic_tpr_set(cpu(1), 15);
    CHECK(!asked(1, CPU_INT_HARD));
    wr(1, TPR, 0x53);
    CHECK_EQ(rd(1, PPR), 0x53u);
    CHECK_EQ(ack(1), 0x6f);
}

TEST(switched_off_takes_nothing)
{
    all_on();
    wr(2, SVR, 0xff);
    CHECK_EQ(rd(2, LVTT) & 0x10000, 0x10000u);
    wr(2, LVTT, 0x20);
    CHECK_EQ(rd(2, LVTT), 0x10020u);
    ipi(0, 2, 0x41);
    CHECK(!waits(2, 0x41));
    ipi(0, 2, 4 << 8);
    CHECK(asked(2, CPU_INT_NMI));
}

TEST(shorthands)
{
    all_on();
    ipi(2, 0, 0x40041);                /* self                                */
    for (unsigned i = 0; i < CPUS; i++) {
        CHECK_EQ(waits(i, 0x41), i == 2);
    }
    ipi(2, 0, 0x80042);                /* all                                 */
    ipi(2, 0, 0xc0043);                /* all but self                        */
    ipi(2, 0xff, 0x44);                /* physical broadcast                  */
    for (unsigned i = 0; i < CPUS; i++) {
        CHECK(waits(i, 0x42));
        CHECK_EQ(waits(i, 0x43), i != 2);
        CHECK(waits(i, 0x44));
    }
    ipi(2, 77, 0x45);                  /* nobody                              */
    for (unsigned i = 0; i < CPUS; i++) {
        CHECK(!waits(i, 0x45));
    }
}

TEST(logical_flat_and_cluster)
{
    all_on();
    ipi(0, 0x0a, 0x841);
    for (unsigned i = 0; i < CPUS; i++) {
        CHECK_EQ(waits(i, 0x41), i == 1 || i == 3);
    }
    for (unsigned i = 0; i < CPUS; i++) {
        wr(i, DFR, 0x0fffffff);
        wr(i, LDR, (i / 4) << 28 | 1u << (24 + i % 4));
    }
    ipi(0, 0x13, 0x842);               /* cluster 1, members 0 and 1          */
    for (unsigned i = 0; i < CPUS; i++) {
        CHECK_EQ(waits(i, 0x42), i == 4 || i == 5);
    }
    ipi(0, 0xff, 0x843);
    for (unsigned i = 0; i < CPUS; i++) {
        CHECK(waits(i, 0x43));
    }
}

TEST(lowest_priority)
{
    unsigned got[CPUS] = { 0 };

    all_on();
    wr(0, TPR, 0x50);
    wr(1, TPR, 0x20);
    wr(2, TPR, 0x40);
    ipi(5, 0x07, 0x961);
    CHECK(waits(1, 0x61) && !waits(0, 0x61) && !waits(2, 0x61));
    /* It has the vector: it is in focus. */
    wr(1, TPR, 0xf0);
    ipi(5, 0x07, 0x961);
    CHECK(!waits(2, 0x61));
    wr(1, SVR, 0x3ff);
    ipi(5, 0x07, 0x961);
    CHECK(waits(2, 0x61));
    /* Among equals each takes its turn. */
    all_on();
    for (unsigned n = 0; n < 4 * CPUS; n++) {
        ipi(5, 0x3f, 0x931);
        for (unsigned i = 0; i < CPUS; i++) {
            if (asked(i, CPU_INT_HARD)) {
                got[i]++;
                CHECK_EQ(ack(i), 0x31);
                wr(i, EOI, 0);
            }
        }
    }
    for (unsigned i = 0; i < CPUS; i++) {
        CHECK_EQ(got[i], 4u);
    }
    /* Nobody is on. */
    board();
    apic_deliver_msi((MsiMessage){ 0xfee0300c, 0x131 });
    CHECK(!asked(0, CPU_INT_HARD));
}

TEST(illegal_vectors)
{
    all_on();
    wr(1, LVTERR, 0xfe);
    ipi(1, 2, 0x0f);                   /* not sent                            */
    CHECK_EQ(ack(1), 0xfe);
    wr(1, EOI, 0);
    CHECK_EQ(rd(1, ESR), 0u);
    wr(1, ESR, 0);
    CHECK_EQ(rd(1, ESR), 0x20u);
    wr(1, ESR, 0);
    CHECK_EQ(rd(1, ESR), 0u);
    apic_deliver(1, 0, 0, 5, false);   /* received                            */
    wr(1, ESR, 0);
    CHECK_EQ(rd(1, ESR), 0x40u);
    CHECK_EQ(ack(1), 0xfe);
    wr(1, EOI, 0);
    rd(1, 0x3a0);                      /* no such register                    */
    wr(1, ESR, 0);
    CHECK_EQ(rd(1, ESR), 0x80u);
    /* An illegal vector for errors must not go round in circles. */
    wr(1, LVTERR, 0x03);
    apic_deliver(1, 0, 0, 5, false);
    wr(1, ESR, 0);
    CHECK_EQ(rd(1, ESR), 0xc0u & rd(1, ESR));
}

TEST(init_and_start_up)
{
    board();
    wr(0, SVR, 0x1ff);
    ipi(0, 1, 0x4541);                 /* INIT                                */
    CHECK(asked(1, CPU_INT_INIT));
    attend(1);
    CHECK(!asked(1, CPU_INT_INIT | CPU_INT_SIPI));
    CHECK(cpus[1]->halted);
    ipi(0, 1, 0x8500);                 /* INIT, deassert: nothing             */
    CHECK(!asked(1, CPU_INT_INIT));
    ipi(0, 1, 0x469a);                 /* start-up at 9a000                   */
    CHECK(asked(1, CPU_INT_SIPI));
    attend(1);
    CHECK(!cpus[1]->halted);
    CHECK_EQ(cpu(1)->regs.seg[X86_CS].sel, 0x9a00);
    CHECK_EQ(cpu(1)->regs.seg[X86_CS].base, 0x9a000u);
    CHECK_EQ(cpu(1)->regs.rip, 0u);
    /* A second one is for processors that wait. */
    ipi(0, 1, 0x4610);
    CHECK(!asked(1, CPU_INT_SIPI));
    /* INIT and SIPI before the vCPU looks. */
    ipi(0, 1, 0x4500);
    ipi(0, 1, 0x4612);
    attend(1);
    CHECK(!cpus[1]->halted);
    CHECK_EQ(cpu(1)->regs.seg[X86_CS].sel, 0x1200);
    CHECK_EQ(rd(1, SVR), 0xffu);
    /* The boot processor starts at once. */
    ipi(1, 0, 0x4500);
    attend(0);
    CHECK(!cpus[0]->halted);
    CHECK_EQ(apic_base_get(cpu(0)), 0xfee00900u);
    /* While it waits nothing else gets through. */
    ipi(0, 1, 0x4500);
    attend(1);
    wr(1, SVR, 0x1ff);
    ipi(0, 1, 0x41);
    CHECK(!asked(1, CPU_INT_HARD));
}

TEST(smi_and_nmi)
{
    all_on();
    ipi(0, 3, 0x4400);
    CHECK(asked(3, CPU_INT_NMI));
    ipi(0, 4, 0x4200);
    CHECK(asked(4, CPU_INT_SMI));
    CHECK(!asked(3, CPU_INT_SMI | CPU_INT_HARD));
    /* The board's NMI goes to LINT1, if its entry lets it. */
    x86_nmi(cpu(2));
    CHECK(!asked(2, CPU_INT_NMI));
    wr(2, LINT1, 0x400);
    x86_nmi(cpu(2));
    CHECK(asked(2, CPU_INT_NMI));
}

TEST(pic_through_lint0)
{
    IrqLine l;

    board();
    pics_on(0);
    CHECK(!x86_irq_pending(cpu(0)));
    irq_raise(&pc->gsi[4]);
    CHECK(x86_irq_pending(cpu(0)));
    CHECK(asked(0, CPU_INT_HARD));
    CHECK_EQ(x86_irq_ack(cpu(0)), 0x0c);
    CHECK(!asked(0, CPU_INT_HARD));
    irq_raise(&pc->gsi[1]);
    CHECK(asked(0, CPU_INT_HARD));
    /* Masked at the APIC. */
    wr(0, LINT0, 0x10700);
    CHECK(!asked(0, CPU_INT_HARD));
    CHECK_EQ(x86_irq_ack(cpu(0)), -1);
    /* The APIC's own interrupts come first. */
    wr(0, SVR, 0x1ff);
    wr(0, LINT0, 0x700);
    ipi(0, 0, 0x31);
    CHECK_EQ(x86_irq_ack(cpu(0)), 0x31);
    CHECK_EQ(x86_irq_ack(cpu(0)), 0x09);
    CHECK_EQ(x86_irq_ack(cpu(0)), -1);
    /* A fixed, level-triggered pin asks again after each end of interrupt. */
    wr(0, EOI, 0);
    wr(0, LINT0, 0x8055);
    l = apic_lint0(cpu(0));
    irq_lower(&l);
    irq_raise(&l);
    CHECK_EQ(ack(0), 0x55);
    CHECK_EQ(rd(0, LINT0), 0xc055u);
    CHECK_EQ(ack(0), -1);
    wr(0, EOI, 0);
    CHECK_EQ(ack(0), 0x55);
    irq_lower(&l);
    wr(0, EOI, 0);
    CHECK_EQ(ack(0), -1);
    irq_lower(&pc->gsi[4]);
    irq_lower(&pc->gsi[1]);
}

static NO_TSA uint32_t entry_low(unsigned pin)
{
    uint64_t v;

    mem_store(&mem_system, PC_IOAPIC_ADDR, 4, 0x10 + pin * 2, MEM_ATTRS_NONE);
    mem_load(&mem_system, PC_IOAPIC_ADDR + 0x10, 4, &v, MEM_ATTRS_NONE);
    return v;
}

TEST(io_apic_levels_and_edges)
{
    all_on();
    entry(20, 0x8061, 2u << 24);
    irq_raise(&pc->gsi[20]);
    CHECK_EQ(entry_low(20), 0xc061u);
    CHECK_EQ(rd(2, TMR + 0x30), 2u);
    CHECK_EQ(ack(2), 0x61);
    wr(2, EOI, 0);                     /* still high: at once again           */
    CHECK_EQ(ack(2), 0x61);
    irq_lower(&pc->gsi[20]);
    wr(2, EOI, 0);
    CHECK_EQ(entry_low(20), 0x8061u);
    CHECK_EQ(ack(2), -1);
    entry(21, 0x62, 3u << 24);
    irq_pulse(&pc->gsi[21]);
    CHECK_EQ(rd(3, TMR + 0x30), 0u);
    CHECK_EQ(ack(3), 0x62);
    wr(3, EOI, 0);
    CHECK_EQ(ack(3), -1);
    /* An edge under a mask is gone, a level is not. */
    entry(21, 0x10062, 3u << 24);
    irq_pulse(&pc->gsi[21]);
    entry(21, 0x62, 3u << 24);
    CHECK_EQ(ack(3), -1);
    entry(20, 0x18061, 2u << 24);
    irq_raise(&pc->gsi[20]);
    CHECK_EQ(ack(2), -1);
    entry(20, 0x8061, 2u << 24);
    CHECK_EQ(ack(2), 0x61);
    irq_lower(&pc->gsi[20]);
    wr(2, EOI, 0);
}

TEST(messages)
{
    all_on();
    apic_deliver_msi((MsiMessage){ 0xfee04000, 0x4051 });
    CHECK_EQ(ack(4), 0x51);
    wr(4, EOI, 0);
    apic_deliver_msi((MsiMessage){ 0xfee06004, 0x52 });  /* logical 06        */
    CHECK_EQ(ack(1), 0x52);
    CHECK_EQ(ack(2), 0x52);
    apic_deliver_msi((MsiMessage){ 0xfee05000, 0x400 });
    CHECK(asked(5, CPU_INT_NMI));
    /* Written by a device: beyond the registers' page, and below them. */
    mem_store(&mem_system, 0xfee03000, 4, 0x53, MEM_ATTRS_NONE);
    CHECK_EQ(ack(3), 0x53);
    mem_store(&mem_system, 0xfee00000, 4, 0x54, MEM_ATTRS_NONE);
    CHECK_EQ(ack(0), 0x54);
}

TEST(base_register)
{
    board();
    CHECK(!apic_base_set(cpu(0), 0xfee00500));     /* x2 without enable       */
    CHECK(!apic_base_set(cpu(0), 0xfee00901));     /* reserved                */
    CHECK(apic_base_set(cpu(0), 0xfee00d00));
    CHECK(!apic_base_set(cpu(0), 0xfee00900));     /* x2 to xAPIC             */
    CHECK(apic_base_set(cpu(0), 0xfee00100));
    CHECK(!apic_base_set(cpu(0), 0xfee00d00));     /* off to x2               */
    CHECK(apic_base_set(cpu(0), 0xfee00800));
    /* Which processor boots is not software's to say. */
    CHECK_EQ(apic_base_get(cpu(0)), 0xfee00900u);
    CHECK(apic_base_set(cpu(1), 0xfee00900));
    CHECK_EQ(apic_base_get(cpu(1)), 0xfee00800u);
}

static MACHINE_CALL bool msr_is(unsigned i, uint32_t msr, uint64_t want)
{
    uint64_t v;

    return apic_msr_read(cpu(i), msr, &v) && v == want;
}

TEST(x2apic)
{
    uint64_t v;

    all_on();
    CHECK(!apic_msr_read(cpu(0), 0x802, &v));
    for (unsigned i = 0; i < CPUS; i++) {
        CHECK(apic_base_set(cpu(i), apic_base_get(cpu(i)) | BASE_X2));
    }
    CHECK_EQ(rd(0, ID), 0xffffffffu);  /* the page is gone                    */
    CHECK(msr_is(5, 0x802, 5));
    CHECK(msr_is(5, 0x80d, 1u << 5));
    CHECK(msr_is(5, 0x803, 0x50014));
    CHECK(!apic_msr_write(cpu(0), 0x802, 1));
    CHECK(!apic_msr_write(cpu(0), 0x80d, 1));
    CHECK(!apic_msr_read(cpu(0), 0x80e, &v));
    CHECK(!apic_msr_read(cpu(0), 0x831, &v));
    CHECK(!apic_msr_write(cpu(0), 0x80b, 1));
    CHECK(!apic_msr_write(cpu(0), 0x828, 1));
    CHECK(!apic_msr_write(cpu(0), 0x808, 0x100));
    CHECK(!apic_msr_write(cpu(0), 0x808, 1ull << 32));
    CHECK(!apic_msr_write(cpu(0), 0x80f, 0x1000));
    CHECK(!apic_msr_write(cpu(0), 0x832, 1u << 20));
    CHECK(!apic_msr_write(cpu(0), 0x8ff, 0));
    CHECK(apic_msr_write(cpu(0), 0x808, 0x20));
    CHECK_EQ(apic_tpr_get(cpu(0)), 2);

    CHECK(apic_msr_write(cpu(0), 0x830, 4ull << 32 | 0x41));
    CHECK_EQ(ack(4), 0x41);
    CHECK(msr_is(0, 0x830, 4ull << 32 | 0x41));
    CHECK(apic_msr_write(cpu(4), 0x80b, 0));
    /* Logical: cluster 0, members 1 and 3. */
    CHECK(apic_msr_write(cpu(0), 0x830, 0xaull << 32 | 0x842));
    CHECK_EQ(ack(1), 0x42);
    CHECK_EQ(ack(3), 0x42);
    CHECK_EQ(ack(2), -1);
    CHECK(apic_msr_write(cpu(0), 0x830, 0x1000aull << 32 | 0x843));
    CHECK_EQ(ack(1), -1);
    CHECK(apic_msr_write(cpu(0), 0x830, 0xffffffffull << 32 | 0x54));
    for (unsigned i = 0; i < CPUS; i++) {
        CHECK_EQ(ack(i), 0x54);
    }
    CHECK(apic_msr_write(cpu(2), 0x83f, 0x61));
    CHECK_EQ(ack(2), 0x61);
    CHECK(!apic_msr_write(cpu(2), 0x83f, 0x161));
    CHECK(!apic_msr_read(cpu(2), 0x83f, &v));
    /* Devices still write eight bits. */
    apic_deliver_msi((MsiMessage){ 0xfee05000, 0x62 });
    CHECK_EQ(ack(5), 0x62);
    /* INIT leaves the mode and the logical id. */
    CHECK(apic_msr_write(cpu(0), 0x830, 5ull << 32 | 0x4500));
    attend(5);
    CHECK(msr_is(5, 0x80d, 1u << 5));
}

static NO_TSA void forget_a20(void)
{
    for (unsigned i = 0; i < CPUS; i++) {
        cpu_interrupt_clear(cpus[i], CPU_INT_A20);
    }
}

TEST(a20_gate)
{
    board();
    CHECK(pc_a20());
    forget_a20();
    mem_store(&mem_io, 0x92, 1, 2, MEM_ATTRS_NONE);
    CHECK(pc_a20() && !asked(0, CPU_INT_A20));
    mem_store(&mem_io, 0x92, 1, 0, MEM_ATTRS_NONE);
    CHECK(!pc_a20());
    for (unsigned i = 0; i < CPUS; i++) {
        CHECK(asked(i, CPU_INT_A20));
    }
    mem_store(&mem_io, 0x64, 1, 0xdf, MEM_ATTRS_NONE);
    CHECK(pc_a20());
    mem_store(&mem_io, 0x64, 1, 0xdd, MEM_ATTRS_NONE);
    CHECK(!pc_a20());
    board();
    CHECK(pc_a20());
}

TEST(saved_state)
{
    VmBuf a = { 0 }, b = { 0 };
    X86Apic *s;
    Error *err = NULL;

    all_on();
    wr(1, TPR, 0x20);
    ipi(0, 1, 0x41);
    ipi(0, 1, 0x52);
    CHECK_EQ(ack(1), 0x52);
    wr(1, TDCR, 0xb);
    wr(1, LVTT, 0x20091);
    wr(1, TICR, 100000);
    s = cpu(1)->apic;
    vmstate_save(s->dev.type->vmstate, s, &a);
    board();
    CHECK(vmstate_load(s->dev.type->vmstate, s, a.p, a.n, &err));
    vmstate_save(s->dev.type->vmstate, s, &b);
    CHECK_EQ(a.n, b.n);
    CHECK_MEM(a.p, b.p, MIN2(a.n, b.n));
    CHECK_EQ(rd(1, PPR), 0x50u);
    wr(1, EOI, 0);
    CHECK(asked(1, CPU_INT_HARD));
    CHECK_EQ(ack(1), 0x41);
    wr(1, EOI, 0);
    step(100000);
    CHECK_EQ(ack(1), 0x91);
    vmbuf_free(&a);
    vmbuf_free(&b);
    board();
}
