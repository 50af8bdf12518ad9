/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * soft-faults.c - what the engine raises and in which order: loads of segment
 * registers, limits, debug registers, double faults, NMI, the priority of
 * faults and traps.
 * Intel SDM vol. 3, 5.3-5.8, 6.9 (table 6-2), 6.15, 17.2-17.3, 6.7.
 */
#include "tests/tern-test.h"
#include "soft-prot.h"

static uint64_t *gdt(void) { return (uint64_t *)(rig.ram + 0x5000); }
static void idt_gate(unsigned vec, uint64_t gate)
{
    st_le64(rig.ram + 0x5800 + 8 * vec, gate);
}

/* A descriptor with access byte a, limit 4 GiB, 32 bits. */
#define SEG(a) (0x00cf00000000ffffull | (uint64_t)(a) << 40)

/* mov SEG,ax with the selector 48 + rpl at this CPL; the exception and its
 * code, or EXC_UD from the ud2 behind. */
static int load_seg(unsigned seg, uint64_t desc, unsigned cpl, unsigned rpl)
{
    protect();
    if (cpl) {
        user();
    }
    gdt()[9] = desc;
    rig.c->x->gdt.limit = 0x4f;
    rig.c->x->gpr[X86_RAX] = 0x48 | rpl;
    rig.take_exceptions = true;
    CODE(0x7c00, 0x8e, 0xc0 | seg << 3, 0x0f, 0x0b);
    CHECK_EQ(run(), SOFT_DEBUG);
    return rig.exc;
}

/* Every access byte, both levels, each RPL, into DS and SS. */
TEST(loads_of_segments)
{
    REQUIRE(rig_open(&rig));
    for (unsigned k = 0; k < 256 * 2 * 4 * 2; k++) {
        unsigned a = k & 255, cpl = k & 256 ? 3 : 0, rpl = k >> 9 & 3;
        bool ss = k >> 11, s = a & 0x10, code = a & 8, two = a & 2;
        unsigned dpl = a >> 5 & 3;
        int want = EXC_UD, got;

        if (ss ? !s || code || !two || dpl != cpl || rpl != cpl :
            !s || (code && !two) ||
            (!(code && a & 4) && dpl < (cpl > rpl ? cpl : rpl))) {
            want = EXC_GP;
        } else if (!(a & 0x80)) {
            want = ss ? EXC_SS : EXC_NP;
        }
        got = load_seg(ss ? 2 : 3, SEG(a), cpl, rpl);
        if (got != want || (want != EXC_UD && rig.err != 0x48)) {
            tt_fail(__FILE__, __LINE__, "%s, access %02x, CPL %u, RPL %u: "
                    "exception %d (%x), not %d", ss ? "ss" : "ds", a, cpl,
                    rpl, got, rig.err, want);
        }
        if (got == EXC_UD) {
            CHECK(gdt()[9] >> 40 & 1);              /* accessed */
        }
    }
    rig_close(&rig);
}

TEST(null_and_outside_selectors)
{
    static const struct { uint8_t seg, sel; int exc; uint32_t err; } t[] = {
        { 3, 0, EXC_UD, 0 }, { 3, 3, EXC_UD, 0 }, { 2, 0, EXC_GP, 0 },
        { 3, 0x48, EXC_GP, 0x48 }, { 2, 0x50, EXC_GP, 0x50 },
        { 3, 0x0c, EXC_GP, 0x0c },                  /* no LDT */
        { 1, 8, EXC_UD, 0 },                        /* mov cs: no such form */
    };

    REQUIRE(rig_open(&rig));
    for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
        protect();
        rig.take_exceptions = true;
        rig.c->x->gpr[X86_RAX] = t[i].sel;
        CODE(0x7c00, 0x8e, 0xc0 | t[i].seg << 3, 0x0f, 0x0b);
        CHECK_EQ(run(), SOFT_DEBUG);
        CHECK_EQ(rig.exc, t[i].exc);
        CHECK_EQ(rig.c->x->rip, t[i].exc == EXC_UD && t[i].seg != 1 ? 0x7c02u :
                 0x7c00u);
        if (t[i].exc == EXC_GP) {
            CHECK_EQ(rig.err, t[i].err);
        }
    }
    /* a null DS is refused when it is used */
    protect();
    rig.take_exceptions = true;
    CODE(0x7c00, 0x31, 0xc0, 0x8e, 0xd8, 0xa1, 0, 0x80, 0, 0);
    CHECK_EQ(run(), SOFT_DEBUG);
    CHECK_EQ(rig.exc, EXC_GP);
    CHECK_EQ(rig.c->x->rip, 0x7c04u);
    rig_close(&rig);
}

/* Offset and size against limits of both directions and granularities. */
TEST(limits)
{
    static const struct { uint64_t desc; uint32_t off; bool ok; } t[] = {
        { 0x004093000000000f, 0x0c, true }, { 0x004093000000000f, 0x0d, false },
        { 0x004093000000000f, 0xffffffff, false },
        { 0x00c0930000000000, 0xffc, true }, { 0x00c0930000000000, 0xffd, false },
        { 0x0040970000000fff, 0x1000, true }, { 0x0040970000000fff, 0xffe, false },
        { 0x0000970000000fff, 0xfffc, true }, { 0x0000970000000fff, 0xfffd, false },
        { 0x00c0970000000001, 0x2000, true }, { 0x00c0970000000001, 0x1fff, false },
    };

    REQUIRE(rig_open(&rig));
    for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
        protect();
        gdt()[9] = t[i].desc;
        rig.c->x->gdt.limit = 0x4f;
        rig.c->x->gpr[X86_RBX] = t[i].off;
        rig.take_exceptions = true;
        /* mov ax,48; mov ds,ax; mov eax,[ebx]; ud2 */
        CODE(0x7c00, 0x66, 0xb8, 0x48, 0, 0x8e, 0xd8, 0x8b, 0x03, 0x0f, 0x0b);
        CHECK_EQ(run(), SOFT_DEBUG);
        if (rig.exc != (t[i].ok ? EXC_UD : EXC_GP)) {
            tt_fail(__FILE__, __LINE__, "case %u: exception %d", i, rig.exc);
        }
    }
    rig_close(&rig);
}

/* ---- debug registers ----------------------------------------------------- */
TEST(instruction_breakpoint_is_a_fault)
{
    REQUIRE(rig_open(&rig));
    protect();
    rig.c->x->dr[1] = 0x7c01;
    rig.c->x->dr[7] = 0x404 | 8;
    rig.take_exceptions = true;
    CODE(0x7c00, 0x40, 0x43, 0x0f, 0x0b);           /* inc eax; inc ebx; ud2 */
    CHECK_EQ(run(), SOFT_DEBUG);
    CHECK_EQ(rig.exc, EXC_DB);
    CHECK_EQ(rig.c->x->rip, 0x7c01u);
    CHECK_EQ(rig.c->x->dr[6] & 0xf, 2u);
    /* RF goes past it, once */
    rig.c->x->rflags |= F_RF;
    CHECK_EQ(run(), SOFT_DEBUG);
    CHECK_EQ(rig.exc, EXC_UD);
    CHECK_EQ(rig.c->x->gpr[X86_RBX], 1u);
    CHECK(!(rig.c->x->rflags & F_RF));
    rig_close(&rig);
}

TEST(data_breakpoint_is_a_trap)
{
    static const struct { uint32_t dr7, at; bool wr, hit; } t[] = {
        { 0x000d0402, 0x8003, true, true },         /* write, 4 bytes */
        { 0x000d0402, 0x8003, false, false },
        { 0x000f0402, 0x8003, false, true },        /* read or write */
        { 0x000f0402, 0x8004, true, false },
        { 0x00010402, 0x7ffd, true, true },         /* one byte, from below */
        { 0x00010402, 0x8001, true, false },
        { 0x000f0400, 0x8000, true, false },        /* off */
    };

    REQUIRE(rig_open(&rig));
    for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
        protect();
        idt_gate(1, 0x00008e0000089000);
        rig.c->x->dr[0] = 0x8000;
        rig.c->x->dr[7] = t[i].dr7;
        rig.c->x->gpr[X86_RBX] = t[i].at;
        CODE(0x7c00, t[i].wr ? 0x89 : 0x8b, 0x13, 0x90, 0xf4);
        CODE(0x9000, 0x8b, 0x0c, 0x24, 0xf4);       /* mov ecx,[esp]; hlt */
        CHECK_EQ(run(), SOFT_HALT);
        if (rig.c->x->gpr[X86_RCX] != (t[i].hit ? 0x7c02u : 0)) {
            tt_fail(__FILE__, __LINE__, "case %u: %" PRIx64, i,
                    rig.c->x->gpr[X86_RCX]);
        }
        CHECK_EQ(rig.c->x->dr[6] & 15, t[i].hit ? 1u : 0u);
        rig.c->x->halted = 0;
        rig.c->x->gpr[X86_RCX] = 0;
    }
    rig_close(&rig);
}

/* With CR4.DE, reads and writes of ports; each operand size, and a string. */
TEST(port_breakpoint_is_a_trap)
{
    static const struct { uint32_t cr4, dr7, at; uint8_t op; bool hit; } t[] = {
        { 8, 0x00020402, 0x80, 0xee, true },        /* out dx,al */
        { 8, 0x00020402, 0x81, 0xee, false },
        { 8, 0x00020402, 0x7d, 0xef, true },        /* out dx,eax from below */
        { 8, 0x00020402, 0x7c, 0xef, false },
        { 8, 0x000e0402, 0x83, 0xec, true },        /* in al,dx; four ports */
        { 8, 0x000e0402, 0x84, 0xed, false },
        { 8, 0x00020402, 0x80, 0x6c, true },        /* insb */
        { 8, 0x00020402, 0x80, 0x6e, true },        /* outsb */
        { 8, 0x00020400, 0x80, 0xee, false },       /* off */
    };

    REQUIRE(rig_open(&rig));
    for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
        protect();
        idt_gate(1, 0x00008e0000089000);
        rig.c->x->cr4 = t[i].cr4;
        rig.c->x->dr[0] = 0x80;
        rig.c->x->dr[7] = t[i].dr7;
        rig.c->x->gpr[X86_RDX] = t[i].at;
        rig.c->x->gpr[X86_RSI] = rig.c->x->gpr[X86_RDI] = 0x8000;
        CODE(0x7c00, t[i].op, 0x90, 0xf4);
        CODE(0x9000, 0x8b, 0x0c, 0x24, 0xf4);       /* mov ecx,[esp]; hlt */
        CHECK_EQ(run(), SOFT_HALT);
        if (rig.c->x->gpr[X86_RCX] != (t[i].hit ? 0x7c01u : 0) ||
            (rig.c->x->dr[6] & 15) != t[i].hit) {
            tt_fail(__FILE__, __LINE__, "case %u: %" PRIx64, i,
                    rig.c->x->gpr[X86_RCX]);
        }
        rig.c->x->halted = 0;
        rig.c->x->gpr[X86_RCX] = 0;
    }
    rig_close(&rig);
}

TEST(general_detect_and_icebp)
{
    REQUIRE(rig_open(&rig));
    protect();
    rig.take_exceptions = true;
    rig.c->x->dr[7] = 0x2400;
    CODE(0x7c00, 0x0f, 0x21, 0xf0);                 /* mov eax,dr6 */
    CHECK_EQ(run(), SOFT_DEBUG);
    CHECK_EQ(rig.exc, EXC_DB);
    CHECK_EQ(rig.c->x->rip, 0x7c00u);
    CHECK(rig.c->x->dr[6] & 0x2000);
    /* dr4 is dr6 unless CR4.DE */
    for (int de = 0; de < 2; de++) {
        protect();
        rig.c->x->cr4 = de ? 8 : 0;
        CODE(0x7c00, 0x0f, 0x21, 0xe0, 0x0f, 0x0b);
        CHECK_EQ(run(), SOFT_DEBUG);
        CHECK_EQ(rig.c->x->rip, de ? 0x7c00u : 0x7c03u);
    }
    /* int1 is a trap through gate 1 whatever its DPL */
    protect();
    user();
    rig.take_exceptions = false;
    idt_gate(1, 0x00008e0000089000);
    CODE(0x7c00, 0xf1);
    CODE(0x9000, 0x8b, 0x0c, 0x24, 0xf4);
    CHECK_EQ(run(), SOFT_HALT);
    CHECK_EQ(rig.c->x->gpr[X86_RCX], 0x7c01u);
    rig_close(&rig);
}

/* A single step of an instruction that loads SS comes after the next one. */
TEST(mov_ss_holds_traps_back)
{
    REQUIRE(rig_open(&rig));
    protect();
    idt_gate(1, 0x00008e0000089000);
    rig.c->x->rflags = 2 | F_TF;
    rig.c->x->gpr[X86_RAX] = 0x10;
    CODE(0x7c00, 0x8e, 0xd0, 0x43, 0x43, 0xf4);     /* mov ss,ax; inc ebx .. */
    CODE(0x9000, 0x8b, 0x0c, 0x24, 0xf4);
    CHECK_EQ(run(), SOFT_HALT);
    CHECK_EQ(rig.c->x->gpr[X86_RCX], 0x7c03u);
    CHECK_EQ(rig.c->x->gpr[X86_RBX], 1u);
    rig_close(&rig);
}

/* ---- faults on the way to a handler -------------------------------------- */
TEST(double_faults)
{
    static const struct { uint8_t code[4]; bool twice; } t[] = {
        { { 0x0f, 0x0b }, false },                  /* #UD, then #GP: serial */
        { { 0xf7, 0xf1 }, true },                   /* #DE, then #GP */
        { { 0x8e, 0xd9 }, true },                   /* #GP, then #GP */
    };

    REQUIRE(rig_open(&rig));
    for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
        protect();
        memset(rig.ram + 0x5800, 0, 0x800);
        /* gates of 0, 6 and 13 are empty: #GP; 8 and, for the first, 13 */
        idt_gate(8, 0x00008e0000089000);
        if (!t[i].twice) {
            idt_gate(13, 0x00008e0000089100);
        }
        rig.c->x->gpr[X86_RCX] = i == 2 ? 0xfff8 : 0;
        put_code(0x7c00, t[i].code, 4);
        /* pop eax (error code); pop ebx; hlt */
        CODE(0x9000, 0x58, 0x5b, 0xb2, 8, 0xf4);
        CODE(0x9100, 0x58, 0x5b, 0xb2, 13, 0xf4);
        rig.c->x->gpr[X86_RDX] = 0;
        CHECK_EQ(run(), SOFT_HALT);
        CHECK_EQ(rig.c->x->gpr[X86_RDX], t[i].twice ? 8u : 13u);
        CHECK_EQ(rig.c->x->gpr[X86_RAX], t[i].twice ? 0u : 6u * 8 + 3);
        CHECK_EQ(rig.c->x->gpr[X86_RBX], 0x7c00u);
        rig.c->x->halted = 0;
    }
    rig_close(&rig);
}

TEST(error_code_of_an_external_event)
{
    REQUIRE(rig_open(&rig));
    protect();
    memset(rig.ram + 0x5800, 0, 0x800);
    idt_gate(13, 0x00008e0000089000);
    rig.c->x->rflags = 2 | F_IF;
    rig.irq = 0x40;
    CODE(0x7c00, 0x90, 0xeb, 0xfd);
    CODE(0x9000, 0x58, 0xf4);
    CHECK_EQ(run(), SOFT_HALT);
    CHECK_EQ(rig.c->x->gpr[X86_RAX], 0x40u * 8 + 3);
    rig_close(&rig);
}

TEST(nmi_waits_for_iret)
{
    REQUIRE(rig_open(&rig));
    protect();
    idt_gate(2, 0x00008e0000089000);
    rig.c->x->gpr[X86_RBX] = 0;
    CODE(0x7c00, 0x90, 0xf4);
    CODE(0x9000, 0x43, 0x83, 0xfb, 1, 0x75, 1, 0xf4, 0xcf);
    /* inc ebx; cmp ebx,1; jne +1; hlt; iret */
    soft_load(rig.c);
    soft_kick(rig.c, KICK_NMI);
    CHECK_EQ(soft_run(rig.c), SOFT_HALT);           /* in the handler */
    CHECK(rig.c->nmi_masked);
    soft_kick(rig.c, KICK_NMI);
    rig.c->halted = false;
    CHECK_EQ(soft_run(rig.c), SOFT_HALT);
    soft_save(rig.c);
    /* the second came after the first one's iret */
    CHECK_EQ(rig.c->x->gpr[X86_RBX], 2u);
    CHECK_EQ(rig.c->x->rip, 0x7c02u);
    CHECK_EQ(rig.c->x->gpr[X86_RSP], 0x7000u);
    rig_close(&rig);
}

/* Which of two comes first. */
TEST(priority)
{
    static const struct { const char *what; uint8_t code[8]; int exc; } t[] = {
        { "lock on a register before #GP of CPL",
          { 0xf0, 0x0f, 0x00, 0xd8 }, EXC_UD },
        { "#UD of mov cr9 before #GP of CPL", { 0x0f, 0x20, 0xf8 }, EXC_UD },
        { "CPL before the operand", { 0x0f, 0x01, 0x10 }, EXC_GP },
        { "#NM before the operand's #GP", { 0xd9, 0x03 }, EXC_NM },
        { "CPL of hlt", { 0xf4 }, EXC_GP },
        { "16 bytes", { 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66 },
          EXC_GP },
        { "ud0 with its operand", { 0x0f, 0xff, 0x03 }, EXC_UD },
        { "IOPL before the port", { 0xe4, 0x10 }, EXC_GP },
    };

    REQUIRE(rig_open(&rig));
    for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
        protect();
        user();
        rig.c->x->cr0 |= 8;                         /* TS */
        st_le16(rig.ram + 0x6066, 0x68);            /* no I/O bitmap */
        rig.c->x->seg[X86_DS] = (X86Seg){ .sel = 0x2b, .attr = 0x4f3,
                                          .limit = 0xff };
        rig.c->x->gpr[X86_RBX] = 0x1000;            /* beyond */
        rig.take_exceptions = true;
        memset(rig.ram + 0x7c00, 0x66, 16);
        put_code(0x7c00, t[i].code, 8);
        CHECK_EQ(run(), SOFT_DEBUG);
        if (rig.exc != t[i].exc || rig.c->x->rip != 0x7c00) {
            tt_fail(__FILE__, __LINE__, "%s: exception %d at %" PRIx64,
                    t[i].what, rig.exc, rig.c->x->rip);
        }
    }
    rig_close(&rig);
}

/* #AC for CPL 3 with CR0.AM and EFLAGS.AC alone. */
TEST(alignment_check)
{
    REQUIRE(rig_open(&rig));
    for (unsigned k = 0; k < 8; k++) {
        protect();
        if (k & 1) {
            user();
        }
        rig.c->x->cr0 |= k & 2 ? 0x40000 : 0;
        rig.c->x->rflags |= k & 4 ? F_AC : 0;
        rig.c->x->gpr[X86_RBX] = 0x8001;
        rig.take_exceptions = true;
        CODE(0x7c00, 0x8b, 0x03, 0x0f, 0x0b);
        CHECK_EQ(run(), SOFT_DEBUG);
        CHECK_EQ(rig.exc, k == 7 ? EXC_AC : EXC_UD);
        if (k == 7) {
            CHECK_EQ(rig.err, 0u);
        }
    }
    rig_close(&rig);
}

TEST(user_mode_instruction_prevention)
{
    static const uint8_t ops[][3] = { { 0x0f, 0x01, 0x03 },  /* sgdt */
        { 0x0f, 0x01, 0x0b }, { 0x0f, 0x00, 0xc0 }, { 0x0f, 0x00, 0xc8 },
        { 0x0f, 0x01, 0xe0 } };

    REQUIRE(rig_open(&rig));
    for (unsigned i = 0; i < ARRAY_SIZE(ops) * 4; i++) {
        bool umip = i & 1, cpl3 = i & 2;

        protect();
        if (cpl3) {
            user();
        }
        rig.c->x->cr4 = umip ? 0x800 : 0;
        rig.c->x->gpr[X86_RBX] = 0x8000;
        rig.take_exceptions = true;
        put_code(0x7c00, ops[i / 4], 3);
        CODE(0x7c03, 0x0f, 0x0b);
        CHECK_EQ(run(), SOFT_DEBUG);
        CHECK_EQ(rig.exc, umip && cpl3 ? EXC_GP : EXC_UD);
        CHECK_EQ(rig.c->x->rip, umip && cpl3 ? 0x7c00u : 0x7c03u);
    }
    rig_close(&rig);
}

/* Without CR0.NE an x87 error is an interrupt, and waiting for it. */
TEST(x87_errors_of_the_pc)
{
    static const uint8_t waits[][2] = { { 0x9b }, { 0xd9, 0xee },
                                        { 0x0f, 0x77 } };

    REQUIRE(rig_open(&rig));
    for (unsigned i = 0; i < ARRAY_SIZE(waits); i++) {
        rig_real(&rig);
        rig.ferr = 0;
        rig.ignne = false;
        st_le32(rig.ram + 4 * 0x75, 0x00001000);
        st_le16(rig.ram + 0x500, 0x37b);            /* division by 0 is not */
        rig.c->x->rflags |= F_IF;
        /* fldcw [500]; fld1; fldz; fdivp; inc ax; (waits); inc bx; hlt */
        CODE(0x7c00, 0xd9, 0x2e, 0x00, 0x05, 0xd9, 0xe8, 0xd9, 0xee, 0xde,
             0xf9, 0x40, 0x90, 0x90, 0x43, 0xf4);
        memcpy(rig.ram + 0x7c0b, waits[i], waits[i][1] ? 2 : 1);
        /* mov cx,bx; fnstsw [502]; out f0,al; fldz; fnclex; iret */
        CODE(0x1000, 0x89, 0xd9, 0xdd, 0x3e, 0x02, 0x05, 0xe6, 0xf0,
             0xd9, 0xee, 0xdb, 0xe2, 0xcf);
        CHECK_EQ(run(), SOFT_HALT);
        CHECK_EQ(rig.c->x->gpr[X86_RAX] & 0xffff, 1u);
        CHECK_EQ(rig.c->x->gpr[X86_RBX] & 0xffff, 1u);
        CHECK_EQ(rig.c->x->gpr[X86_RCX] & 0xffff, 0u);
        CHECK((ld_le16(rig.ram + 0x502) & 0x8084) == 0x8084);
        CHECK(rig.ferr >= 1);
        CHECK(!rig.ignne);
        rig.c->x->halted = 0;
        rig.c->x->gpr[X86_RAX] = rig.c->x->gpr[X86_RBX] = 0;
    }
    rig_close(&rig);
}
