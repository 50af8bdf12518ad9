/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * soft-modes.c - the engine's modes: big real mode, virtual-8086 mode, 16-bit
 * and 32-bit protected mode, compatibility mode, system management mode; how
 * they are entered, left, and what each refuses.
 * Intel SDM vol. 3, 5.2-5.9, 6.12, 20.9, 21.2, 31; vol. 2 (SYSCALL, SYSENTER).
 */
#include "tests/tern-test.h"
#include "soft-prot.h"

static uint64_t *gdt(void) { return (uint64_t *)(rig.ram + 0x5000); }
static void idt_gate(unsigned vec, uint64_t gate)
{
    st_le64(rig.ram + 0x5800 + 8 * vec, gate);
}

TEST(big_real_mode_keeps_the_limit)
{
    REQUIRE(rig_open(&rig));
    rig_real(&rig);
    st_le64(rig.ram + 0x5008, 0x00cf93000000ffff);
    rig.c->x->gdt = (X86Table){ 0x5000, 0xf };
    st_le32(rig.ram + 0x123456, 0xcafe1234);
    /* mov eax,cr0; or al,1; mov cr0,eax; mov bx,8; mov ds,bx; and al,fe;
     * mov cr0,eax; xor bx,bx; mov ds,bx; mov edx,[123456]; hlt */
    CODE(0x7c00, 0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0,
         0xbb, 8, 0, 0x8e, 0xdb, 0x24, 0xfe, 0x0f, 0x22, 0xc0,
         0x31, 0xdb, 0x8e, 0xdb,
         0x67, 0x66, 0x8b, 0x15, 0x56, 0x34, 0x12, 0x00, 0xf4);
    CHECK_EQ(run(), SOFT_HALT);
    CHECK_EQ((uint32_t)rig.c->x->gpr[X86_RDX], 0xcafe1234u);
    rig_close(&rig);
}

/* Virtual-8086 mode at 0800:0000 with this IOPL; the interrupt 20 goes through
 * an interrupt gate of DPL 3 to 8:9000. */
static void virtual86(unsigned iopl)
{
    X86Regs *x = rig.c->x;

    protect();
    idt_gate(0x20, 0x0000ee0000089000);
    for (int i = 0; i < 6; i++) {
        x->seg[i] = (X86Seg){ .sel = 0x800, .base = 0x8000, .limit = 0xffff,
                              .attr = 0xf3 };
    }
    x->rflags = 2 | F_VM | F_IF | iopl << 12;
    x->rip = 0;
    x->gpr[X86_RSP] = 0x1000;
}

TEST(virtual86_is_bound_to_iopl)
{
    static const uint8_t sensitive[][3] = {
        { 0xcd, 0x20 }, { 0xfa }, { 0xfb }, { 0x9c }, { 0x9d }, { 0xcf },
    };

    REQUIRE(rig_open(&rig));
    for (unsigned i = 0; i < ARRAY_SIZE(sensitive); i++) {
        virtual86(0);
        rig.take_exceptions = true;
        put_code(0x8000, sensitive[i], 3);
        CHECK_EQ(run(), SOFT_DEBUG);
        CHECK_EQ(rig.exc, EXC_GP);
        CHECK_EQ(rig.err, 0u);
        CHECK_EQ(rig.c->x->rip, 0u);
    }
    /* protected-mode instructions are not there: sldt ax, lar, arpl */
    virtual86(3);
    CODE(0x8000, 0x0f, 0x00, 0xc0);
    CHECK_EQ(run(), SOFT_DEBUG);
    CHECK_EQ(rig.exc, EXC_UD);
    rig_close(&rig);
}

TEST(virtual86_interrupt_and_back)
{
    REQUIRE(rig_open(&rig));
    virtual86(3);
    /* mov ax,5; mov ds,ax; int 20; mov bx,ds; mov cx,77; int 21 (faults) */
    CODE(0x8000, 0xb8, 5, 0, 0x8e, 0xd8, 0xcd, 0x20, 0x8c, 0xdb,
         0xb9, 0x77, 0, 0x0f, 0x0b);
    /* mov esi,[esp+24] (DS); mov edi,[esp+8] (EFLAGS); mov dx,ds; mov ebp,esp;
     * iret */
    CODE(0x9000, 0x8b, 0x74, 0x24, 0x18, 0x8b, 0x7c, 0x24, 0x08,
         0x66, 0x8c, 0xda, 0x89, 0xe5, 0xcf);
    idt_gate(6, 0x00008e0000089100);
    CODE(0x9100, 0xf4);
    CHECK_EQ(run(), SOFT_HALT);
    CHECK_EQ(rig.c->x->gpr[X86_RSI] & 0xffff, 5u);
    CHECK(rig.c->x->gpr[X86_RDI] & F_VM);
    CHECK_EQ(rig.c->x->gpr[X86_RDX] & 0xffff, 0u);
    CHECK_EQ(rig.c->x->gpr[X86_RBP], 0x4000u - 36);
    CHECK_EQ(rig.c->x->gpr[X86_RBX] & 0xffff, 5u);
    CHECK_EQ(rig.c->x->gpr[X86_RCX] & 0xffff, 0x77u);
    CHECK_EQ(rig.c->x->seg[X86_CS].sel, 8);
    rig_close(&rig);
}

/* CPUID does not offer them. */
TEST(virtual86_extensions_are_refused)
{
    REQUIRE(rig_open(&rig));
    for (unsigned bit = 0; bit < 2; bit++) {
        protect();
        rig.take_exceptions = true;
        rig.c->x->gpr[X86_RAX] = 1u << bit;
        CODE(0x7c00, 0x0f, 0x22, 0xe0, 0xf4);       /* mov cr4,eax; hlt */
        CHECK_EQ(run(), SOFT_DEBUG);
        CHECK_EQ(rig.exc, EXC_GP);
    }
    rig_close(&rig);
}

TEST(sixteen_bit_gates_and_code)
{
    REQUIRE(rig_open(&rig));
    protect();
    gdt()[9] = 0x00009b000000ffff;                  /* 48: code16 */
    gdt()[10] = 0x0000840000489000;                 /* 50: call gate 16 */
    rig.c->x->gdt.limit = 0x57;
    /* lcall 50:0; hlt */
    CODE(0x7c00, 0x9a, 0, 0, 0, 0, 0x50, 0, 0xf4);
    /* 16 bits: mov ax,1234; mov bp,sp; mov cx,[bp]; lret (16) */
    CODE(0x9000, 0xb8, 0x34, 0x12, 0x89, 0xe5, 0x8b, 0x4e, 0, 0xcb);
    rig.c->x->gpr[X86_RAX] = 0xffffffff;
    CHECK_EQ(run(), SOFT_HALT);
    CHECK_EQ(rig.c->x->gpr[X86_RAX], 0xffff1234u);
    CHECK_EQ(rig.c->x->gpr[X86_RCX], 0x7c07u);
    CHECK_EQ(rig.c->x->gpr[X86_RBP] & 0xffff, 0x6ffcu);
    CHECK_EQ(rig.c->x->seg[X86_CS].sel, 8);
    rig_close(&rig);
}

TEST(trap_gates_leave_interrupts_on)
{
    REQUIRE(rig_open(&rig));
    for (int trap = 0; trap < 2; trap++) {
        protect();
        rig.c->x->rflags = 2 | F_IF;
        idt_gate(0x30, trap ? 0x00008f0000089000 : 0x00008e0000089000);
        CODE(0x7c00, 0xcd, 0x30, 0xf4);
        CODE(0x9000, 0x9c, 0x58, 0xcf);             /* pushf; pop eax; iret */
        CHECK_EQ(run(), SOFT_HALT);
        CHECK_EQ(!!(rig.c->x->gpr[X86_RAX] & F_IF) + 0u, (unsigned)trap);
        rig.c->x->halted = 0;
    }
    rig_close(&rig);
}

TEST(task_gate_as_interrupt_handler)
{
    uint8_t *t;

    REQUIRE(rig_open(&rig));
    protect();
    t = rig.ram + 0x6800;
    st_le32(t + 32, 0x9000);
    st_le32(t + 36, 2);
    st_le32(t + 56, 0x3000);
    for (int i = 0; i < 6; i++) {
        st_le32(t + 72 + 4 * i, i == 1 ? 8 : 0x10);
    }
    idt_gate(13, 0x0000e50000380000);
    /* mov ebx,7; lldt with a bad selector: #GP(fff8); hlt */
    CODE(0x7c00, 0xbb, 7, 0, 0, 0, 0x66, 0xb8, 0xf8, 0xff, 0x0f, 0x00, 0xd0,
         0xf4);
    /* pop eax (error code); add dword [601c..]: EIP of the old TSS += 3; iret */
    CODE(0x9000, 0x58, 0x83, 0x05, 0x20, 0x60, 0, 0, 3, 0xa3, 0, 0x80, 0, 0,
         0xcf);
    CHECK_EQ(run(), SOFT_HALT);
    CHECK_EQ(ld_le32(rig.ram + 0x8000), 0xfff8u);
    CHECK_EQ(rig.c->x->gpr[X86_RBX], 7u);
    CHECK_EQ(rig.c->x->tr.sel, 0x30);
    /* the outer task is busy again, the inner one free; TS is set */
    CHECK_EQ(gdt()[6] >> 40 & 0xff, 0x8bu);
    CHECK_EQ(gdt()[7] >> 40 & 0xff, 0x89u);
    CHECK(rig.c->x->cr0 & 8);
    rig_close(&rig);
}

/* A call of the task at 6800 that ends in its code at 9000 unless spoilt. */
static void inner_task(void)
{
    uint8_t *t;

    protect();
    t = rig.ram + 0x6800;
    memset(t, 0, 104);
    st_le32(t + 32, 0x9000);
    st_le32(t + 36, 2);
    st_le32(t + 56, 0x3000);
    for (int i = 0; i < 6; i++) {
        st_le32(t + 72 + 4 * i, i == 1 ? 8 : 0x10);
    }
    CODE(0x7c00, 0x9a, 0, 0, 0, 0, 0x38, 0, 0xf4);
    CODE(0x9000, 0xf4);
}

/* Intel SDM volume 3, table 8-1: in which order a task switch looks, what it
 * reports, and whether the old task (7c00) or the new one (9000) is hit. */
TEST(task_switch_refuses)
{
    static const struct { uint16_t sel, at, v; int exc; uint32_t err, rip; }
    t[] = {
        { 7, 5, 0x09, EXC_NP, 0x38, 0x7c00 },       /* TSS not present */
        { 7, 5, 0x8b, EXC_GP, 0x38, 0x7c00 },       /* busy */
        { 7, 0, 0x66, EXC_TS, 0x38, 0x7c00 },       /* a byte too short */
        { 0, 96, 0x48, EXC_TS, 0x48, 0x9000 },      /* LDT beyond the GDT */
        { 0, 96, 0x10, EXC_TS, 0x10, 0x9000 },      /* LDT is data */
        { 0, 76, 0, EXC_TS, 0, 0x9000 },            /* CS null */
        { 0, 76, 0x10, EXC_TS, 0x10, 0x9000 },      /* CS is data */
        { 0, 76, 0x20, EXC_TS, 0x20, 0x9000 },      /* CS of another ring */
        { 0, 80, 0, EXC_TS, 0, 0x9000 },            /* SS null */
        { 0, 80, 8, EXC_TS, 8, 0x9000 },            /* SS is code */
        { 0, 80, 0x28, EXC_TS, 0x28, 0x9000 },      /* SS of another ring */
        { 0, 84, 0x30, EXC_TS, 0x30, 0x9000 },      /* DS is a system segment */
        { 0, 84, 0xfff8, EXC_TS, 0xfff8, 0x9000 },  /* DS beyond the GDT */
        { 0, 84, 0x29, -1, 0, 0x9001 },             /* DS for all rings: fine */
        { 0, 84, 0, -1, 0, 0x9001 },                /* null: fine */
        { 0, 32, 0x9000, -1, 0, 0x9001 },           /* nothing spoilt */
    };

    REQUIRE(rig_open(&rig));
    for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
        inner_task();
        rig.take_exceptions = true;
        rig.exc = -1;
        rig.err = 0;
        rig.c->x->halted = 0;
        if (t[i].sel) {
            ((uint8_t *)&gdt()[t[i].sel])[t[i].at] = (uint8_t)t[i].v;
        } else {
            st_le16(rig.ram + 0x6800 + t[i].at, t[i].v);
        }
        if (run() != (t[i].exc < 0 ? SOFT_HALT : SOFT_DEBUG) ||
            rig.exc != t[i].exc || rig.err != t[i].err ||
            rig.c->x->rip != t[i].rip) {
            tt_fail(__FILE__, __LINE__, "case %u: exception %d error %x at %"
                    PRIx64, i, rig.exc, rig.err, rig.c->x->rip);
        }
    }
    rig_close(&rig);
}

/* Segments that are not present, by the one the new task names. */
TEST(task_switch_to_absent_segments)
{
    static const struct { uint8_t at, sel; int exc; } t[] = {
        { 76, 0x08, EXC_NP }, { 80, 0x10, EXC_SS }, { 84, 0x10, EXC_NP },
    };

    REQUIRE(rig_open(&rig));
    for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
        inner_task();
        rig.take_exceptions = true;
        gdt()[9] = gdt()[t[i].sel / 8] & ~(1ull << 47);
        rig.c->x->gdt.limit = 0x4f;
        st_le16(rig.ram + 0x6800 + t[i].at, 0x48);
        CHECK_EQ(run(), SOFT_DEBUG);
        CHECK_EQ(rig.exc, t[i].exc);
        CHECK_EQ(rig.err, 0x48u);
        CHECK_EQ(rig.c->x->rip, 0x9000u);
    }
    rig_close(&rig);
}

/* The debugger's bit of a TSS traps before the task's first instruction. */
TEST(task_switch_with_the_trap_bit)
{
    REQUIRE(rig_open(&rig));
    inner_task();
    idt_gate(1, 0x00008e0000089100);
    st_le16(rig.ram + 0x6800 + 100, 1);
    CODE(0x9100, 0x8b, 0x0c, 0x24, 0xf4);           /* mov ecx,[esp]; hlt */
    CHECK_EQ(run(), SOFT_HALT);
    CHECK_EQ(rig.c->x->gpr[X86_RCX], 0x9000u);
    CHECK(rig.c->x->dr[6] & 0x8000);
    rig_close(&rig);
}

/* ---- long mode ----------------------------------------------------------- */
/* Identity-mapped 2 MiB, GDT at 5000: 8 code64, 10 data, 18 code32 DPL 3,
 * 20 data DPL 3, 28 code64 DPL 3, 30 code32 DPL 0, 38 TSS. */
static void longmode(void)
{
    X86Regs *x = rig.c->x;
    uint64_t next = 0x102000;

    rig_real(&rig);
    memset(rig.ram + 0x101000, 0, 0x10000);
    for (unsigned i = 0; i < 64; i++) {
        rig_map(&rig, 0x101000, i << 12, i << 12, 7, &next);
    }
    rig_long(&rig, 0, 0x101000);
    gdt()[1] = 0x00af9b000000ffff;
    gdt()[2] = 0x00cf93000000ffff;
    gdt()[3] = 0x00cffb000000ffff;
    gdt()[4] = 0x00cff3000000ffff;
    gdt()[5] = 0x00affb000000ffff;
    gdt()[6] = 0x00cf9b000000ffff;
    gdt()[7] = 0x00008b0060000067;
    gdt()[8] = 0;
    x->gdt = (X86Table){ 0x5000, 0x47 };
    x->idt = (X86Table){ 0x5800, 0xfff };
    x->tr = (X86Seg){ .sel = 0x38, .attr = 0x8b, .limit = 0x67,
                      .base = 0x6000 };
    st_le64(rig.ram + 0x6004, 0x4000);              /* RSP0 */
    st_le64(rig.ram + 0x6024, 0x4800);              /* IST1 */
    x->seg[X86_CS].sel = 8;
    x->seg[X86_SS].sel = 0x10;
    x->rip = 0x7c00;
    x->gpr[X86_RSP] = 0x7000;
}

static void long_gate(unsigned vec, uint16_t sel, unsigned type, unsigned ist,
                      uint64_t ip)
{
    st_le64(rig.ram + 0x5800 + 16 * vec, (ip & 0xffff) |
            (uint64_t)sel << 16 | (uint64_t)ist << 32 |
            (uint64_t)type << 40 | (ip >> 16 & 0xffff) << 48);
    st_le64(rig.ram + 0x5800 + 16 * vec + 8, ip >> 32);
}

TEST(syscall_and_sysret)
{
    REQUIRE(rig_open(&rig));
    for (int wide = 0; wide < 2; wide++) {
        X86Regs *x = rig.c->x;

        longmode();
        x->star = 0x0018000800000000;
        x->lstar = 0x9000;
        x->cstar = 0x9080;
        x->fmask = F_IF | F_DF;
        x->rflags = 2 | F_IF;
        x->gpr[X86_RCX] = 0x7d00;
        x->gpr[11] = 2 | F_IF | F_DF;
        rig.take_exceptions = true;
        /* sysret to 23 or 2b, there: syscall; ud2 */
        if (wide) {
            CODE(0x7c00, 0x48, 0x0f, 0x07);
        } else {
            CODE(0x7c00, 0x0f, 0x07);
        }
        CODE(0x7d00, 0x0f, 0x05);
        CODE(0x9000, 0x0f, 0x0b);
        CODE(0x9080, 0x90, 0x0f, 0x0b);
        CHECK_EQ(run(), SOFT_DEBUG);
        CHECK_EQ(rig.exc, EXC_UD);
        x = rig.c->x;
        CHECK_EQ(x->rip, wide ? 0x9000u : 0x9081u);
        CHECK_EQ(x->seg[X86_CS].sel, 8);
        CHECK_EQ(x->seg[X86_SS].sel, 0x10);
        CHECK_EQ(x->gpr[X86_RCX], 0x7d02u);
        CHECK_EQ(x->gpr[11] & 0x602, 0x602u);
        CHECK_EQ(x->rflags & (F_IF | F_DF), 0u);
    }
    rig_close(&rig);
}

TEST(compatibility_mode_and_interrupts)
{
    X86Regs *x;

    REQUIRE(rig_open(&rig));
    longmode();
    x = rig.c->x;
    long_gate(0x30, 8, 0xee, 1, 0x9000);
    /* push 23; push 7000; pushf; push 1b; push 7d00; iretq */
    CODE(0x7c00, 0x6a, 0x23, 0x68, 0, 0x70, 0, 0, 0x9c, 0x6a, 0x1b,
         0x68, 0, 0x7d, 0, 0, 0x48, 0xcf);
    /* 32 bits: inc eax (rex in 64-bit mode); push eax; int 30; ud2 */
    CODE(0x7d00, 0x40, 0x50, 0xcd, 0x30, 0x0f, 0x0b);
    /* 64 bits on the interrupt stack: mov rbx,rsp; mov rsi,[rsp+18]; iretq */
    CODE(0x9000, 0x48, 0x89, 0xe3, 0x48, 0x8b, 0x74, 0x24, 0x18,
         0x48, 0xcf);
    x->gpr[X86_RAX] = 0xffffffff;
    rig.take_exceptions = true;
    CHECK_EQ(run(), SOFT_DEBUG);
    CHECK_EQ(rig.exc, EXC_UD);
    CHECK_EQ(x->rip, 0x7d04u);
    CHECK_EQ(x->gpr[X86_RAX], 0u);
    CHECK_EQ(x->gpr[X86_RBX], 0x4800u - 40);
    CHECK_EQ(x->gpr[X86_RSI], 0x6ffcu);
    CHECK_EQ(x->seg[X86_CS].sel, 0x1b);
    rig_close(&rig);
}

TEST(sysenter_and_sysexit)
{
    X86Regs *x;

    REQUIRE(rig_open(&rig));
    longmode();
    x = rig.c->x;
    x->sysenter_cs = 8;
    x->sysenter_esp = 0x4000;
    x->sysenter_eip = 0x9000;
    x->gpr[X86_RCX] = 0x6800;
    x->gpr[X86_RDX] = 0x7d00;
    rig.take_exceptions = true;
    CODE(0x7c00, 0x48, 0x0f, 0x35);                 /* sysexit, 64 bits */
    CODE(0x7d00, 0x0f, 0x34);                       /* sysenter */
    CODE(0x9000, 0x0f, 0x0b);
    CHECK_EQ(run(), SOFT_DEBUG);
    CHECK_EQ(rig.exc, EXC_UD);
    CHECK_EQ(x->rip, 0x9000u);
    CHECK_EQ(x->gpr[X86_RSP], 0x4000u);
    CHECK_EQ(x->seg[X86_CS].sel, 8);
    CHECK_EQ(x->seg[X86_SS].sel, 0x10);
    rig_close(&rig);
}

/* ---- system management mode ---------------------------------------------- */
TEST(smi_and_rsm)
{
    X86Regs *x;

    REQUIRE(rig_open(&rig));
    longmode();
    x = rig.c->x;
    x->smbase = 0x30000;
    x->gpr[X86_RBX] = 0x1122334455667788;
    /* inc ecx; hlt */
    CODE(0x7c00, 0xff, 0xc1, 0xf4);
    /* In SMM, 16 bits: mov eax,cr0; mov [cs:7000],eax; o32 mov
     * [cs:fff8 - 8 * 3], 42 (RBX's low half); bts [cs:fefc],17; mov dword
     * [cs:ff00],40000 (SMBASE); rsm */
    CODE(0x38000, 0x0f, 0x20, 0xc0, 0x2e, 0x66, 0xa3, 0x00, 0x70,
         0x2e, 0x66, 0xc7, 0x06, 0xe0, 0xff, 0x42, 0, 0, 0,
         0x2e, 0x66, 0xc7, 0x06, 0x00, 0xff, 0, 0, 4, 0, 0x0f, 0xaa);
    soft_load(rig.c);
    soft_kick(rig.c, KICK_SMI);
    CHECK_EQ(soft_run(rig.c), SOFT_HALT);
    soft_save(rig.c);
    CHECK_EQ(x->gpr[X86_RCX], 1u);
    CHECK_EQ(x->gpr[X86_RBX], 0x1122334400000042u);
    CHECK_EQ(ld_le32(rig.ram + 0x37000) & 0x80000001, 0u);
    CHECK_EQ(x->smbase, 0x40000u);
    CHECK(!x->smm);
    CHECK_EQ(x->efer & 0x400, 0x400u);
    /* outside SMM there is no rsm */
    rig.take_exceptions = true;
    x->halted = 0;
    x->rip = 0x7c00;
    CODE(0x7c00, 0x0f, 0xaa);
    CHECK_EQ(run(), SOFT_DEBUG);
    CHECK_EQ(rig.exc, EXC_UD);
    rig_close(&rig);
}
