/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * soft-sys.c - the engine's system side on flat RAM: modes, gates, paging
 * rights, exceptions and their priority, tasks, code that changes itself.
 */
#include "tests/tern-test.h"
#include "soft-prot.h"

TEST(real_mode_interrupt_and_return)
{
    REQUIRE(rig_open(&rig));
    rig_real(&rig);
    st_le32(rig.ram + 4 * 0x20, 0x00001000);
    /* mov ax,1234; int 20; add ax,1; hlt */
    CODE(0x7c00, 0xb8, 0x34, 0x12, 0xcd, 0x20, 0x83, 0xc0, 0x01, 0xf4);
    /* mov bx,ax; iret */
    CODE(0x1000, 0x89, 0xc3, 0xcf);
    CHECK_EQ(run(), SOFT_HALT);
    CHECK_EQ(rig.c->x->gpr[X86_RAX] & 0xffff, 0x1235u);
    CHECK_EQ(rig.c->x->gpr[X86_RBX] & 0xffff, 0x1234u);
    CHECK_EQ(rig.c->x->gpr[X86_RSP], 0x7000u);
    rig_close(&rig);
}

TEST(real_mode_limit_fault)
{
    REQUIRE(rig_open(&rig));
    rig_real(&rig);
    rig.take_exceptions = true;
    /* mov ax,[ffff]: a word over the end of the segment */
    CODE(0x7c00, 0xa1, 0xff, 0xff);
    CHECK_EQ(run(), SOFT_DEBUG);
    CHECK_EQ(rig.exc, EXC_GP);
    CHECK_EQ(rig.c->x->rip, 0x7c00u);
    rig_close(&rig);
}

TEST(call_gate_changes_stack_and_back)
{
    REQUIRE(rig_open(&rig));
    protect();
    user();
    rig.take_exceptions = true;
    /* lcall 1b:0; hlt (faults at CPL 3) */
    CODE(0x7c00, 0x9a, 0, 0, 0, 0, 0x1b, 0, 0xf4);
    /* mov eax,cs; mov ebx,esp; lret */
    CODE(0x9000, 0x8c, 0xc8, 0x89, 0xe3, 0xcb);
    CHECK_EQ(run(), SOFT_DEBUG);
    CHECK_EQ(rig.exc, EXC_GP);
    CHECK_EQ(rig.c->x->rip, 0x7c07u);
    CHECK_EQ(rig.c->x->gpr[X86_RAX], 8u);
    CHECK_EQ(rig.c->x->gpr[X86_RBX], 0x4000u - 16);
    CHECK_EQ(rig.c->x->seg[X86_CS].sel, 0x23);
    CHECK_EQ(rig.c->x->gpr[X86_RSP], 0x7000u);
    rig_close(&rig);
}

TEST(interrupt_gate_needs_its_dpl)
{
    REQUIRE(rig_open(&rig));
    protect();
    user();
    rig.take_exceptions = true;
    st_le64(rig.ram + 0x5800 + 8 * 0x30, 0x00008e0000089000);
    CODE(0x7c00, 0xcd, 0x30);
    CHECK_EQ(run(), SOFT_DEBUG);
    CHECK_EQ(rig.exc, EXC_GP);
    CHECK_EQ(rig.err, 0x182u);
    rig_close(&rig);
}

TEST(task_switch_saves_and_loads)
{
    uint8_t *t = rig.ram;

    REQUIRE(rig_open(&rig));
    protect();
    t = rig.ram + 0x6800;
    st_le32(t + 32, 0x9000);
    st_le32(t + 36, 2);
    st_le32(t + 40, 0x77);                          /* EAX */
    st_le32(t + 56, 0x3000);                        /* ESP */
    for (int i = 0; i < 6; i++) {
        st_le32(t + 72 + 4 * i, i == 1 ? 8 : 0x10);
    }
    /* mov ecx,5; lcall 38:0; hlt */
    CODE(0x7c00, 0xb9, 5, 0, 0, 0, 0x9a, 0, 0, 0, 0, 0x38, 0, 0xf4);
    /* inc eax; mov [8000],eax; iret */
    CODE(0x9000, 0x40, 0xa3, 0, 0x80, 0, 0, 0xcf);
    CHECK_EQ(run(), SOFT_HALT);
    CHECK_EQ(ld_le32(rig.ram + 0x8000), 0x78u);
    CHECK_EQ(rig.c->x->gpr[X86_RCX], 5u);
    CHECK_EQ(rig.c->x->tr.sel, 0x30);
    CHECK_EQ(ld_le32(rig.ram + 0x6800 + 40), 0x78u);
    rig_close(&rig);
}

TEST(triple_fault_shuts_down)
{
    REQUIRE(rig_open(&rig));
    rig_real(&rig);
    rig.c->x->cr0 = 0x11;
    rig.c->x->idt.limit = 0;
    CODE(0x7c00, 0x0f, 0x0b);
    CHECK_EQ(run(), SOFT_SHUTDOWN);
    rig_close(&rig);
}

TEST(code_that_changes_itself)
{
    REQUIRE(rig_open(&rig));
    rig_real(&rig);
    /* mov byte [7c06],42 (inc dx); nop -> inc dx; hlt */
    CODE(0x7c00, 0xc6, 0x06, 0x06, 0x7c, 0x42, 0x90, 0x90, 0xf4);
    CHECK_EQ(run(), SOFT_HALT);
    CHECK_EQ(rig.c->x->gpr[X86_RDX], 1u);
    rig_close(&rig);
}

TEST(single_step_traps_after_one)
{
    REQUIRE(rig_open(&rig));
    rig_real(&rig);
    st_le32(rig.ram + 4, 0x00001000);
    rig.c->x->rflags |= F_TF;
    rig.take_exceptions = true;
    CODE(0x7c00, 0x40, 0x43, 0x0f, 0x0b);           /* inc ax; inc bx; ud2 */
    CODE(0x1000, 0x41, 0xcf);                       /* inc cx; iret */
    CHECK_EQ(run(), SOFT_DEBUG);
    CHECK_EQ(rig.exc, EXC_UD);
    CHECK_EQ(rig.c->x->gpr[X86_RCX], 2u);
    CHECK_EQ(rig.c->x->gpr[X86_RBX], 1u);
    CHECK(rig.c->x->dr[6] & 0x4000);
    rig_close(&rig);
}

TEST(interrupt_waits_for_the_shadow_of_sti)
{
    REQUIRE(rig_open(&rig));
    rig_real(&rig);
    st_le32(rig.ram + 4 * 0x40, 0x00001000);
    rig.irq = 0x40;
    /* sti; inc ax; inc ax; hlt */
    CODE(0x7c00, 0xfb, 0x40, 0x40, 0xf4);
    CODE(0x1000, 0x89, 0xc3, 0xcf);                 /* mov bx,ax; iret */
    CHECK_EQ(run(), SOFT_HALT);
    CHECK_EQ(rig.c->x->gpr[X86_RBX], 1u);
    CHECK_EQ(rig.c->x->gpr[X86_RAX], 2u);
    rig_close(&rig);
}

/* Every combination of U/S, R/W, NX, CPL, WP, SMEP, SMAP for each access. */
TEST(paging_rights)
{
    uint64_t next;

    REQUIRE(rig_open(&rig));
    rig.take_exceptions = true;
    for (unsigned k = 0; k < 512; k++) {
        bool us = k & 1, rw = k & 2, nx = k & 4, cpl3 = k & 8, wp = k & 16;
        bool smep = k & 32, smap = k & 64;
        unsigned acc = k >> 7;                      /* 0 rd, 1 wr, 2 exec */
        bool deny;
        X86Regs *x = rig.c->x;

        if (acc == 3) {
            continue;
        }
        memset(rig.ram + 0x1000, 0, 0x8000);
        next = 0x2000;
        rig_map(&rig, 0x1000, 0x400000, 0x100000, 3 | (cpl3 ? 4 : 0), &next);
        rig_map(&rig, 0x1000, 0x500000, 0x101000, 1 | us << 2 | rw << 1 |
                (uint64_t)nx << 63, &next);
        rig_long(&rig, cpl3 ? 3 : 0, 0x1000);
        x->cr0 = (x->cr0 & ~0x10000ull) | (wp ? 0x10000 : 0);
        x->cr4 |= (uint64_t)smep << 20 | (uint64_t)smap << 21;
        x->rip = 0x400000;
        x->gpr[X86_RBX] = 0x500000;
        if (acc == 0) {
            CODE(0x100000, 0x8a, 0x03, 0x0f, 0x0b); /* mov al,[rbx]; ud2 */
        } else if (acc == 1) {
            CODE(0x100000, 0x88, 0x03, 0x0f, 0x0b);
        } else {
            CODE(0x100000, 0xff, 0xe3);             /* jmp rbx */
        }
        CODE(0x101000, 0x0f, 0x0b);
        deny = cpl3 ? !us || (acc == 1 && !rw) || (acc == 2 && nx) :
            acc == 2 ? nx || (us && smep) :
            (us && smap) || (acc == 1 && !rw && wp);
        CHECK_EQ(run(), SOFT_DEBUG);
        if (deny ? rig.exc != EXC_PF : rig.exc != EXC_UD) {
            tt_fail(__FILE__, __LINE__, "case %u: exception %d", k, rig.exc);
        } else if (deny) {
            CHECK_EQ(rig.err, 1u | (acc == 1 ? 2u : 0) | (cpl3 ? 4u : 0) |
                     (acc == 2 ? 16u : 0));
        }
    }
    rig_close(&rig);
}

TEST(accessed_and_dirty_bits)
{
    uint64_t next = 0x2000, *pte;

    REQUIRE(rig_open(&rig));
    rig_map(&rig, 0x1000, 0x400000, 0x100000, 3, &next);
    rig_map(&rig, 0x1000, 0x401000, 0x101000, 3, &next);
    rig_long(&rig, 0, 0x1000);
    rig.c->x->rip = 0x400000;
    rig.c->x->gpr[X86_RBX] = 0x401000;
    pte = (uint64_t *)(rig.ram + 0x4000) + 1;
    CODE(0x100000, 0x8a, 0x03, 0xf4);
    CHECK_EQ(run(), SOFT_HALT);
    CHECK_EQ(*pte & 0x60, 0x20u);
    rig.c->x->rip = 0x400000;
    rig.c->x->halted = 0;
    CODE(0x100000, 0x88, 0x03, 0xf4);
    CHECK_EQ(run(), SOFT_HALT);
    CHECK_EQ(*pte & 0x60, 0x60u);
    rig_close(&rig);
}
