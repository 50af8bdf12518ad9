/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pci-msi.c - hw/pci: message-signalled interrupts. */
#include "tests/unit/pci-probe.h"

/* ---- MSI ---------------------------------------------------------------- */

static MsiMessage got[64];
static unsigned n_got;

static void note_msi(MsiMessage m)
{
    if (n_got < 64) {
        got[n_got++] = m;
    }
}

static void listen(void)
{
    msi_deliver = note_msi;
    n_got = 0;
}

NO_TSA TEST(msi_vectors_and_masks)
{
    Probe *s = probe("9", "pci.0");

    REQUIRE(s);
    listen();
    msi_notify(&s->pci, 0);
    CHECK_EQ(n_got, 0u);
    wr(s, 0x64, 0xfee01000);
    wr(s, 0x6c, 0x4047);
    wr(s, 0x60, 0x00210000);           /* enabled, four vectors               */
    CHECK(msi_enabled(&s->pci));
    msi_notify(&s->pci, 2);
    REQUIRE_EQ(n_got, 1u);
    CHECK_EQ(got[0].addr, 0xfee01000u);
    CHECK_EQ(got[0].data, 0x4046u);
    msi_notify(&s->pci, 4);
    CHECK_EQ(n_got, 1u);
    wr(s, 0x70, 2);
    msi_notify(&s->pci, 1);
    CHECK_EQ(n_got, 1u);
    CHECK_EQ(rd(s, 0x74), 2u);
    wr(s, 0x70, 0);
    CHECK_EQ(n_got, 2u);
    CHECK_EQ(got[1].data, 0x4045u);
    CHECK_EQ(rd(s, 0x74), 0u);
    /* More vectors than there are. */
    wr(s, 0x60, 0x00710000);
    CHECK_EQ(rd(s, 0x60) >> 20 & 7, 2u);
    device_reset(&s->pci.dev, RESET_COLD);
    CHECK(!msi_enabled(&s->pci));
    CHECK_EQ(rd(s, 0x64), 0u);
    device_unplug(&s->pci.dev);
}

/* ---- MSI-X -------------------------------------------------------------- */

#define TABLE 0xe1000000ull
#define PBA (TABLE + 2048)

static NO_TSA void st(uint64_t at, uint32_t v)
{
    mem_store(&mem_system, at, 4, v, MEM_ATTRS_NONE);
}

static NO_TSA uint32_t ld(uint64_t at)
{
    uint64_t v = 0;

    mem_load(&mem_system, at, 4, &v, MEM_ATTRS_NONE);
    return v;
}

/* Table mapped, MSI-X on, vector n set to 0xfee00000 and 0x40 + n, unmasked. */
static NO_TSA Probe *msix_probe(unsigned n)
{
    Probe *s = probe("9", "pci.0");

    if (s) {
        listen();
        wr(s, 0x18, TABLE);
        wr(s, 4, 2);
        pci_config_write(&s->pci, s->pci.msix_cap + 2, 0x8000, 2);
        st(TABLE + 16 * n, 0xfee00000);
        st(TABLE + 16 * n + 8, 0x40 + n);
        st(TABLE + 16 * n + 12, 0);
    }
    return s;
}

NO_TSA TEST(msix_masks_and_pending_bits)
{
    Probe *s = msix_probe(65);

    REQUIRE(s);
    CHECK_EQ(pci_config_read(&s->pci, s->pci.msix_cap + 2, 2), 0x8000u | 69);
    CHECK(msix_enabled(&s->pci));
    msix_notify(&s->pci, 65);
    REQUIRE_EQ(n_got, 1u);
    CHECK_EQ(got[0].addr, 0xfee00000u);
    CHECK_EQ(got[0].data, 0x81u);
    CHECK_EQ(ld(TABLE + 16 * 3 + 12), 1u);
    st(TABLE + 16 * 3, 0xfee00000);
    msix_notify(&s->pci, 3);
    msix_notify(&s->pci, 99);
    CHECK_EQ(n_got, 1u);
    CHECK_EQ(ld(PBA), 8u);
    st(PBA, 0);
    CHECK_EQ(ld(PBA), 8u);
    st(TABLE + 16 * 3 + 12, 0);
    CHECK_EQ(n_got, 2u);
    CHECK_EQ(ld(PBA), 0u);
    /* The whole function masked. */
    pci_config_write(&s->pci, s->pci.msix_cap + 2, 0xc000, 2);
    CHECK(msix_masked(&s->pci, 65));
    msix_notify(&s->pci, 65);
    CHECK_EQ(n_got, 2u);
    CHECK_EQ(ld(PBA + 8), 2u);
    pci_config_write(&s->pci, s->pci.msix_cap + 2, 0x8000, 2);
    CHECK_EQ(n_got, 3u);
    /* Beyond the table there is nothing to write to. */
    st(TABLE + 16 * 70, 0x55);
    CHECK_EQ(ld(TABLE + 16 * 70), 0u);
    device_reset(&s->pci.dev, RESET_COLD);
    CHECK(!msix_enabled(&s->pci));
    CHECK(msix_masked(&s->pci, 65));
    device_unplug(&s->pci.dev);
}

NO_TSA TEST(msix_eventfd_through_the_process)
{
    Probe *s = msix_probe(1);
    uint64_t one = 1;
    int fd;

    REQUIRE(s);
    fd = msix_irqfd(&s->pci, 1, NULL);
    REQUIRE(fd >= 0);
    CHECK_EQ(msix_irqfd(&s->pci, 1, NULL), fd);
    CHECK_EQ(msix_irqfd(&s->pci, 70, NULL), -1);
    CHECK_EQ((int)write(fd, &one, 8), 8);
    for (int i = 0; i < 10 && !n_got; i++) {
        loop_step(false);
    }
    REQUIRE_EQ(n_got, 1u);
    CHECK_EQ(got[0].data, 0x41u);
    st(TABLE + 16 + 12, 1);
    CHECK_EQ((int)write(fd, &one, 8), 8);
    for (int i = 0; i < 10; i++) {
        loop_step(false);
    }
    CHECK_EQ(n_got, 1u);
    CHECK_EQ(ld(PBA), 2u);
    st(TABLE + 16 + 12, 0);
    CHECK_EQ(n_got, 2u);
    CHECK_EQ((int)write(fd, &one, 8), 8);
    msix_irqfd_free(&s->pci, 1);
    CHECK_EQ(n_got, 3u);
    device_unplug(&s->pci.dev);
}

static MsiMessage route;
static int route_updates, bound_fd = -1, routes;

static int fake_route_add(MsiMessage m, uint16_t requester)
{
    route = m;
    routes++;
    return 7;
}

static void fake_route_update(int gsi, MsiMessage m)
{
    route = m;
    route_updates++;
}

static void fake_route_del(int gsi)
{
    routes--;
}

static int fake_irqfd(int gsi, int fd, int resample, bool assign)
{
    bound_fd = assign ? fd : -1;
    return 0;
}

static void fake_send(MsiMessage m)
{
    note_msi(m);
}

NO_TSA TEST(msix_eventfd_through_the_accelerator)
{
    AccelIrq before = accel_irq;
    Probe *s = msix_probe(1);
    uint64_t one = 1;
    int fd;

    REQUIRE(s);
    accel_irq = (AccelIrq){
        .apic_in_kernel = true, .send_msi = fake_send,
        .msi_route_add = fake_route_add, .msi_route_del = fake_route_del,
        .msi_route_update = fake_route_update, .irqfd = fake_irqfd,
    };
    fd = msix_irqfd(&s->pci, 1, NULL);
    REQUIRE(fd >= 0);
    CHECK_EQ(bound_fd, fd);
    CHECK_EQ(route.data, 0x41u);
    route_updates = 0;
    st(TABLE + 16 + 8, 0x55);
    CHECK_EQ(route.data, 0x55u);
    CHECK_GT(route_updates, 0);
    /* Masked: the kernel lets go, the pending bit shows what came since. */
    st(TABLE + 16 + 12, 1);
    CHECK_EQ(bound_fd, -1);
    CHECK_EQ((int)write(fd, &one, 8), 8);
    CHECK_EQ(ld(PBA), 2u);
    st(TABLE + 16 + 12, 0);
    CHECK_EQ(bound_fd, fd);
    REQUIRE_EQ(n_got, 1u);
    CHECK_EQ(got[0].data, 0x55u);
    device_unplug(&s->pci.dev);
    CHECK_EQ(bound_fd, -1);
    CHECK_EQ(routes, 0);
    accel_irq = before;
}

static void *notifier(void *arg)
{
    for (int i = 0; i < 2000; i++) {
        msix_notify(arg, 1);
        msi_notify(arg, 0);
    }
    return NULL;
}

static unsigned heard;

static void count_msi(MsiMessage m)
{
    __atomic_add_fetch(&heard, 1, __ATOMIC_RELAXED);
}

/* Masking from the guest while another thread raises the vector. */
NO_TSA TEST(msix_from_another_thread)
{
    Probe *s = msix_probe(1);
    pthread_t t;

    REQUIRE(s);
    msi_deliver = count_msi;
    heard = 0;
    thread_start(&t, "notifier", notifier, s);
    for (int i = 0; i < 500; i++) {
        st(TABLE + 16 + 12, i & 1);
        loop_step(false);
    }
    st(TABLE + 16 + 12, 0);
    pthread_join(t, NULL);
    CHECK_GT(heard, 0u);
    CHECK_EQ(ld(PBA), 0u);
    device_unplug(&s->pci.dev);
    /* Notices that are still on their way find nobody. */
    for (int i = 0; i < 5; i++) {
        loop_step(false);
    }
    listen();
}
