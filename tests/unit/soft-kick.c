/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * soft-kick.c - no guest keeps its vCPU's thread beyond a kick: endless loops
 * of every kind, each left soon after a kick from outside. What is measured is
 * the processor's time from the kick to the return, so that a busy host does
 * not matter.
 */
#include <sys/time.h>
#include <time.h>
#include "config.h"
#include "tests/tern-test.h"
#include "soft-prot.h"

#define LIMIT_NS 100000000ll

static volatile int64_t kicked_at;

static int64_t used_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static void on_alarm(int sig)
{
    if (!kicked_at) {
        kicked_at = used_ns();
    }
    soft_kick(rig.c, KICK_EXIT);
}

static void idt_gate(unsigned vec, uint64_t gate)
{
    st_le64(rig.ram + 0x5800 + 8 * vec, gate);
}

enum { FLAT, REAL, LONG, FAULTS, STEPS, PORTS, X87, SELF_MAP };

static void begin(int what)
{
    X86Regs *x = rig.c->x;
    uint64_t next = 0x2000;

    if (what == REAL) {
        rig_real(&rig);
    } else if (what == LONG || what == SELF_MAP) {
        memset(rig.ram + 0x1000, 0, 0x4000);
        rig_long(&rig, 0, 0x1000);
        rig_map(&rig, 0x1000, 0x7000, 0x7000, 3, &next);
        rig_map(&rig, 0x1000, 0x8000, 0x8000, 3, &next);
        if (what == SELF_MAP) {
            /* the directory is its own page, at every level */
            st_le64(rig.ram + 0x1000 + 511 * 8, 0x1000 | 3);
        }
        rig.c->x->rip = 0x7c00;
    } else {
        protect();
        idt_gate(6, 0x00008e0000009000ull | 8 << 16);
        idt_gate(1, 0x00008e0000009000ull | 8 << 16);
    }
    x = rig.c->x;
    x->gpr[X86_RCX] = what == REAL ? 0xffff : ~0ull;
    x->gpr[X86_RSI] = x->gpr[X86_RDI] = x->gpr[X86_RBX] = 0x8000;
    x->gpr[X86_RDX] = 0x80;
    rig.take_exceptions = false;
    rig.irq = -1;
    rig.ferr = 0;
    CODE(0x9000, 0xcf);                             /* iret */
    if (what == STEPS) {
        x->rflags |= F_TF;
    } else if (what == X87) {
        x->fcw = 0x37b;                             /* waits for IRQ 13 */
        x->fsw = 0x8084;
    } else if (what == SELF_MAP) {
        x->gpr[X86_RBX] = 0xfffffffffffff000;
    }
}

static const struct Loop {
    const char *what;
    int how;
    uint8_t code[12];
} loops[] = {
    { "jump to itself", FLAT, { 0xeb, 0xfe } },
    { "jump to itself, 64 bits", LONG, { 0xeb, 0xfe } },
    { "loop of calls", FLAT, { 0xe8, 0, 0, 0, 0, 0x58, 0xeb, 0xf8 } },
    { "indirect jumps", FLAT, { 0xb8, 0, 0x7c, 0, 0, 0xff, 0xe0 } },
    /* the source does not move over the end of RAM: it is a device's there */
    { "rep movsb of 4 GiB", FLAT, { 0xf3, 0xa4, 0xeb, 0xfc } },
    { "rep stosd of 16 GiB", FLAT, { 0x81, 0xc7, 0, 0, 8, 0, 0xf3, 0xab, 0xeb,
                                     0xf6 } },
    { "repe scasb", FLAT, { 0x30, 0xc0, 0xf3, 0xae, 0xeb, 0xfa } },
    { "repe cmpsb", FLAT, { 0xf3, 0xa6, 0xeb, 0xfc } },
    { "rep insb", PORTS, { 0xf3, 0x6c, 0xeb, 0xfc } },
    { "rep outsb", PORTS, { 0xf3, 0x6e, 0xeb, 0xfc } },
    { "rep movsw, real mode", REAL, { 0xb9, 0xff, 0xff, 0xf3, 0xa5, 0xeb,
                                      0xf9 } },
    { "ports", PORTS, { 0xec, 0xee, 0xeb, 0xfc } },
    { "faults", FAULTS, { 0x0f, 0x0b } },
    { "single steps", STEPS, { 0x90, 0xeb, 0xfd } },
    { "mwait", FLAT, { 0x89, 0xd8, 0x31, 0xc9, 0x0f, 0x01, 0xc8, 0x0f, 0x01,
                       0xc9, 0xeb, 0xf4 } },
    { "an x87 error nobody answers", X87, { 0x9b, 0xeb, 0xfd } },
    { "locked exchanges", FLAT, { 0x87, 0x03, 0xeb, 0xfc } },
    { "locked across pages", LONG, { 0x48, 0xc7, 0xc3, 0xfe, 0x7f, 0, 0, 0x87,
                                     0x03, 0xeb, 0xfc } },
    { "code that changes itself", FLAT, { 0xc6, 0x05, 0x00, 0x7c, 0, 0, 0xc6,
                                          0xeb, 0xf7 } },
    { "TLB flushes", FLAT, { 0x0f, 0x20, 0xd8, 0x0f, 0x22, 0xd8, 0xeb, 0xf8 } },
    { "mode switches", LONG, { 0x0f, 0x20, 0xe0, 0x34, 0x80, 0x0f, 0x22, 0xe0,
                               0xeb, 0xf6 } },
    { "tables that map themselves", SELF_MAP, { 0x48, 0x8b, 0x03, 0x0f, 0x01,
                                                0x3b, 0xeb, 0xf8 } },
};

TEST(a_kick_ends_every_loop)
{
    struct sigaction sa = { .sa_handler = on_alarm };
    struct itimerval after = { .it_value.tv_usec = 20000,
                               .it_interval.tv_usec = 200000 };
    struct itimerval off = { .it_value.tv_usec = 0 };
    int64_t worst = 0;

    TEST_LIMIT(120);
#ifdef CONFIG_TSAN
    SKIP("the thread sanitizer delays signals");
#endif
    sigaction(SIGPROF, &sa, NULL);
    REQUIRE(rig_open(&rig));
    for (unsigned i = 0; i < ARRAY_SIZE(loops); i++) {
        const struct Loop *l = &loops[i];
        int64_t took;
        int r;

        begin(l->how);
        put_code(0x7c00, l->code, sizeof(l->code));
        rig.c->kick = 0;
        soft_load(rig.c);
        kicked_at = 0;
        setitimer(ITIMER_PROF, &after, NULL);
        r = soft_run(rig.c);
        took = kicked_at ? used_ns() - kicked_at : 0;
        setitimer(ITIMER_PROF, &off, NULL);
        worst = took > worst ? took : worst;
        if (r != SOFT_KICK || !kicked_at || took > LIMIT_NS) {
            soft_save(rig.c);
            tt_fail(__FILE__, __LINE__, "%s: result %d (%d) at %" PRIx64 ", %" PRId64
                    " us after the kick", l->what, r, rig.exc, rig.c->x->rip,
                    took / 1000);
        }
    }
    printf("# %" PRId64 " ns at most\n", worst);
    rig_close(&rig);
}

/* HLT with interrupts off is left to whoever waits for the vCPU. */
TEST(halt_without_interrupts_returns)
{
    REQUIRE(rig_open(&rig));
    rig_real(&rig);
    CODE(0x7c00, 0xfa, 0xf4);
    CHECK_EQ(run(), SOFT_HALT);
    CHECK(rig.c->x->halted);
    rig_close(&rig);
}
