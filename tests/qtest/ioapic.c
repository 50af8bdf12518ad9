/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The I/O APIC: registers, triggers, masks, and what reaches the local APIC. */
#include <stdlib.h>
#include "tests/libqtest.h"
#include "tests/tern-test.h"

#define CHIP "/machine/i440fx/ioapic"
#define SELECT 0xfec00000
#define WINDOW 0xfec00010
#define EOI 0xfec00040
#define LAPIC 0xfee00000

static uint32_t reg(QTest *q, unsigned n)
{
    qtest_writel(q, SELECT, n);
    return qtest_readl(q, WINDOW);
}

static void set(QTest *q, unsigned n, uint32_t v)
{
    qtest_writel(q, SELECT, n);
    qtest_writel(q, WINDOW, v);
}

static void entry(QTest *q, unsigned pin, uint32_t low)
{
    set(q, 0x11 + 2 * pin, 0);
    set(q, 0x10 + 2 * pin, low);
}

static bool arrived(QTest *q, uint8_t vector)
{
    return qtest_readl(q, LAPIC + 0x200 + vector / 32 * 16) >> vector % 32 & 1;
}

static QTest *start(void)
{
    QTest *q = qtest_start("-machine pc -nodefaults -m 16");

    qtest_writel(q, LAPIC + 0xf0, 0x1ff);
    return q;
}

TEST(registers)
{
    QTest *q = start();

    CHECK_EQ(reg(q, 0), 0u);
    CHECK_EQ(reg(q, 1), 0x170020u);
    CHECK_EQ(reg(q, 2), 0u);
    for (unsigned pin = 0; pin < 24; pin++) {
        CHECK_EQ(reg(q, 0x10 + 2 * pin), 0x10000u);
        CHECK_EQ(reg(q, 0x11 + 2 * pin), 0u);
    }
    CHECK_EQ(reg(q, 0x40), 0u);
    set(q, 0, 0xff000000);
    CHECK_EQ(reg(q, 0), 0x0f000000u);
    set(q, 1, 0);
    CHECK_EQ(reg(q, 1), 0x170020u);
    /* Delivery status and remote IRR are not the guest's to set. */
    set(q, 0x10, 0x1d0ff);
    CHECK_EQ(reg(q, 0x10), 0x180ffu);
    set(q, 0x11, 0xa5000000);
    CHECK_EQ(reg(q, 0x11), 0xa5000000u);
    CHECK_EQ(qtest_readl(q, SELECT), 0x11u);
    /* The window wants whole words. */
    qtest_writel(q, SELECT, 0x10);
    qtest_writeb(q, WINDOW, 0x33);
    CHECK_EQ(reg(q, 0x10), 0x180ffu);
    qtest_quit(q);
}

TEST(version_of_old_boards)
{
    QTest *q = qtest_start("-machine pc-i440fx-2.7 -nodefaults -m 16");

    CHECK_EQ(reg(q, 1), 0x170011u);
    qtest_quit(q);
}

TEST(edge)
{
    QTest *q = start();

    entry(q, 9, 0x10041);
    qtest_set_irq_in(q, CHIP, NULL, 9, 1);
    entry(q, 9, 0x41);
    CHECK(!arrived(q, 0x41));          /* came while masked: gone             */
    qtest_set_irq_in(q, CHIP, NULL, 9, 0);
    qtest_set_irq_in(q, CHIP, NULL, 9, 1);
    CHECK(arrived(q, 0x41));
    CHECK_EQ(reg(q, 0x10 + 18), 0x41u);
    qtest_quit(q);
}

TEST(level)
{
    QTest *q = start();

    entry(q, 9, 0x18041);
    qtest_set_irq_in(q, CHIP, NULL, 9, 1);
    CHECK(!arrived(q, 0x41));
    entry(q, 9, 0x8041);               /* still there when the mask goes      */
    CHECK(arrived(q, 0x41));
    CHECK_EQ(reg(q, 0x10 + 18), 0xc041u);
    qtest_writel(q, EOI, 0x42);        /* somebody else's                     */
    CHECK_EQ(reg(q, 0x10 + 18), 0xc041u);
    qtest_writel(q, EOI, 0x41);        /* the pin is high: asks again         */
    CHECK_EQ(reg(q, 0x10 + 18), 0xc041u);
    qtest_set_irq_in(q, CHIP, NULL, 9, 0);
    qtest_writel(q, EOI, 0x41);
    CHECK_EQ(reg(q, 0x10 + 18), 0x8041u);
    /* Turning the entry to edge and back forgets remote IRR too. */
    qtest_set_irq_in(q, CHIP, NULL, 9, 1);
    CHECK_EQ(reg(q, 0x10 + 18), 0xc041u);
    qtest_set_irq_in(q, CHIP, NULL, 9, 0);
    entry(q, 9, 0x10041);
    entry(q, 9, 0x8041);
    CHECK_EQ(reg(q, 0x10 + 18), 0x8041u);
    qtest_quit(q);
}

TEST(nmi_and_nobody)
{
    QTest *q = start();

    entry(q, 4, 0x441);                /* NMI: not in IRR                     */
    qtest_set_irq_in(q, CHIP, NULL, 4, 1);
    CHECK(!arrived(q, 0x41));
    set(q, 0x11 + 10, 0x7e000000);     /* APIC 7e is not there                */
    set(q, 0x10 + 10, 0x42);
    qtest_set_irq_in(q, CHIP, NULL, 5, 1);
    CHECK(!arrived(q, 0x42));
    qtest_quit(q);
}

TEST(timer_is_on_pin_2)
{
    QTest *q = start();

    if (!qtest_has_clock(q)) {
        qtest_quit(q);
        SKIP("the clock runs freely");
    }
    entry(q, 2, 0x51);
    entry(q, 0, 0x52);
    qtest_outb(q, 0x43, 0x34);
    qtest_outb(q, 0x40, 0);
    qtest_outb(q, 0x40, 16);
    qtest_clock_step(q, 10000000);
    CHECK(arrived(q, 0x51));
    CHECK(!arrived(q, 0x52));
    qtest_quit(q);
}

TEST(shown_to_people)
{
    QTest *q = start();
    char *text;

    qtest_outb(q, 0x43, 0x30);
    entry(q, 9, 0x8061);
    entry(q, 4, 0xc41);
    qtest_set_irq_in(q, CHIP, NULL, 9, 1);
    qtest_outb(q, 0x21, 0x5a);
    text = qtest_hmp(q, "info pic");
    CHECK(strstr(text, "ioapic0: ver=0x20 id=0x00 sel=0x18 (redir[4])"));
    CHECK(strstr(text, "pin 9  0x000000000000c061 dest=0 vec=97  active-hi "
                 "level        fixed  physical"));
    CHECK(strstr(text, "dest=0 vec=65  active-hi edge         NMI    logical"));
    CHECK(strstr(text, "Remote IRR 9 "));
    CHECK(strstr(text, "imr=5a isr=00 hprio=0 irq_base=00 rr_sel=0 elcr=00 "
                 "fnm=0"));
    free(text);
    text = qtest_hmp(q, "info irq");
    CHECK(strstr(text, "IRQ statistics for ioapic:"));
    CHECK(strstr(text, " 9: 1"));
    CHECK(strstr(text, "IRQ statistics for isa-i8259:"));
    free(text);
    qtest_quit(q);
}
