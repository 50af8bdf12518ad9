/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest tests/guests/machine under KVM without a board: RAM, the kernel's
 * interrupt controllers and PIT, and ports at which the guest asks for messages,
 * irqfds, lines and events.
 */
#include <elf.h>
#include <fcntl.h>
#include <glib.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/tern-test.h"
#include "accel.h"
#include "hw/pc/pc-board.h"
#include "loop.h"
#include "mem.h"
#include "pc.h"
#include "x86.h"

enum { ASK_MSI = 1, ASK_IRQFD, ASK_GSI_HIGH, ASK_GSI_LOW, ASK_NMI,
       ASK_EVENTS, ASK_RESAMPLED, ASK_CPUS, ASK_DONE };
#define RAM_SIZE (16 * MiB)

static Pc board;
static MachineType board_type = {
    .name = "kvm-test", .max_cpus = 8, .default_cpu = "qemu64",
    .size = sizeof(Pc),
};
/* The program's own where it is linked in. */
__attribute__((weak)) Machine *machine;
__attribute__((weak)) unsigned machine_version;

static MemRegion ram, host_ports, text_port, regs, batched;
static GString *text;
static uint32_t argument, reply, register_10, sum, dispatched;
static uint32_t events_done[2];
static int irq_fd = -1, irq_gsi, port_fd, match_fd;
static bool finished;

static void wake(void *arg)
{
}

/* ---- what the guest asks for --------------------------------------------- */

static uint32_t fd_count(int fd)
{
    uint64_t n = 0;

    return read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static void irqfd_fire(uint32_t vector)
{
    MsiMessage m = { 0xfee00000, vector };
    uint64_t one = 1;

    if (irq_fd < 0) {
        irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        irq_gsi = accel_irq.msi_route_add((MsiMessage){ 0xfee00000, 0x99 }, 0);
        CHECK_GE(irq_gsi, 24);
        CHECK_EQ(accel_irq.irqfd(irq_gsi, irq_fd, -1, true), 0);
        accel_irq.msi_route_update(irq_gsi, m);
    }
    CHECK_EQ(write(irq_fd, &one, sizeof(one)), (ssize_t)sizeof(one));
}

static void events(uint32_t which)
{
    machine_assert_locked();
    if (which == 0 && port_fd) {
        reply = 0;                     /* they stay from run to run           */
    } else if (which == 0) {
        port_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        match_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        mem_begin();
        mem_event_add(&host_ports, 8, 4, false, 0, port_fd);
        mem_event_add(&regs, 0x100, 4, true, 7, match_fd);
        mem_commit();
        reply = 0;
    } else if (which == 1) {
        events_done[0] += fd_count(port_fd);
        reply = events_done[0] | dispatched << 8;
    } else {
        events_done[1] += fd_count(match_fd);
        reply = events_done[1] | register_10 << 8;
    }
}

static void ask(uint32_t what)
{
    switch (what) {
    case ASK_MSI:
        accel_irq.send_msi((MsiMessage){ 0xfee00000, argument });
        break;
    case ASK_IRQFD:
        irqfd_fire(argument);
        break;
    case ASK_GSI_HIGH:
    case ASK_GSI_LOW:
        accel_irq.set_gsi(argument, what == ASK_GSI_HIGH);
        break;
    case ASK_NMI:
        cpu_interrupt(cpu_current, CPU_INT_NMI);
        break;
    case ASK_EVENTS:
        events(argument);
        break;
    case ASK_CPUS:
        reply = cpu_count;
        break;
    case ASK_DONE:
        finished = true;
        loop_post_fn(loop_main, wake, NULL);
        break;
    }
}

static uint64_t port_read(void *dev, uint64_t off, unsigned size)
{
    return off == 0 ? 0xa5 : reply;
}

static void port_write(void *dev, uint64_t off, uint64_t v, unsigned size)
{
    if (off == 0) {
        ask(v);
    } else if (off == 4) {
        argument = v;
    } else {
        dispatched++;
    }
}

static void text_write(void *dev, uint64_t off, uint64_t v, unsigned size)
{
    g_string_append_c(text, v);
}

static uint64_t regs_read(void *dev, uint64_t off, unsigned size)
{
    return off == 0x20 ? sum : register_10 >> (off & 3) * 8;
}

static void regs_write(void *dev, uint64_t off, uint64_t v, unsigned size)
{
    register_10 = v;
}

static void batched_write(void *dev, uint64_t off, uint64_t v, unsigned size)
{
    sum += v;
}

static const MemOps port_ops = { .read = port_read, .write = port_write };
static const MemOps text_ops = { .write = text_write, .max = 1 };
static const MemOps regs_ops = { .read = regs_read, .write = regs_write };
static const MemOps batched_ops = { .write = batched_write };

/* ---- the machine --------------------------------------------------------- */

static uint32_t elf_load(const char *path)
{
    g_autofree char *file = NULL;
    const Elf32_Ehdr *h;
    const Elf32_Phdr *p;
    gsize n;

    if (!g_file_get_contents(path, &file, &n, NULL)) {
        return 0;
    }
    h = (const void *)file;
    p = (const void *)(file + h->e_phoff);
    for (int i = 0; i < h->e_phnum; i++) {
        if (p[i].p_type == PT_LOAD) {
            memset(ram.ram->host + p[i].p_paddr, 0, p[i].p_memsz);
            memcpy(ram.ram->host + p[i].p_paddr, file + p[i].p_offset,
                   p[i].p_filesz);
        }
    }
    return h->e_entry;
}

static MACHINE_CALL bool vm_make(const char *how, unsigned ncpus)
{
    Error *err = NULL;
    bool help;

    machine = &board.m;
    machine->obj.kind = &obj_container;
    machine->type = &board_type;
    obj_put(obj_root(), "machine", &machine->obj);
    machine->cpus = machine->max_cpus = machine->cores = ncpus;
    machine->sockets = machine->dies = machine->threads = 1;
    text = g_string_new(NULL);
    if (!accel_option(how, &help, &err) || !accel_start(machine, &err)) {
        printf("# %s\n", error_text(err));
        return false;
    }
    mem_begin();
    mem_init_ram(&ram, "ram", RAM_SIZE, NULL);
    mem_init_io(&host_ports, "host", 16, &port_ops, NULL);
    mem_init_io(&text_port, "text", 1, &text_ops, NULL);
    mem_init_io(&regs, "registers", 0x1000, &regs_ops, NULL);
    regs.flags |= MRF_FLUSH_COALESCED;
    mem_init_io(&batched, "batched", 0x1000, &batched_ops, NULL);
    mem_add(mem_system.root, 0, &ram);
    mem_add(mem_system.root, 0xd0000000, &regs);
    mem_add(mem_system.root, 0xd0001000, &batched);
    mem_add(mem_io.root, 0x7f0, &host_ports);
    mem_add(mem_io.root, 0xe9, &text_port);
    mem_commit();
    mem_set_coalescing(&batched, true);
    board.isa = isa_bus_new(NULL, mem_system.root, mem_io.root);
    if (!x86_cpus_new(machine, &err) || !kvm_irqchip_create(&board, &err) ||
        !kvm_pit_create(board.isa, &err)) {
        printf("# %s\n", error_text(err));
        return false;
    }
    return true;
}

static void flat_regs(X86Regs *r, uint32_t eip)
{
    for (int i = 0; i < X86_SEG_COUNT; i++) {
        r->seg[i] = (X86Seg){ .sel = 16, .attr = 0xc93,
                              .limit = UINT32_MAX };
    }
    r->seg[X86_CS] = (X86Seg){ .sel = 8, .attr = 0xc9b, .limit = UINT32_MAX };
    r->cr0 |= 1;
    r->rip = eip;
    r->gpr[X86_RAX] = 0;
}

static MACHINE_CALL void print_cpus(void)
{
    for (unsigned i = 0; i < cpu_count; i++) {
        const X86Regs *r = &x86_cpu(cpus[i])->regs;

        cpu_sync(cpus[i]);
        printf("# CPU %u: mp_state %u, CS:RIP %x:%" PRIx64 ", CR0 %" PRIx64
               "\n", i, r->mp_state, r->seg[X86_CS].sel, r->rip, r->cr0);
    }
}

/* Runs until the guest says that it is done; false: it did not, or failed. */
static MACHINE_CALL bool guest_run(uint32_t entry)
{
    bool good;

    finished = false;
    g_string_truncate(text, 0);
    devices_reset(RESET_COLD);
    flat_regs(&x86_cpu(cpus[0])->regs, entry);
    clock_vm_run(true);
    run_state_set(RS_RUNNING);
    cpus_resume();
    while (!finished && run_state_is_running()) {
        loop_step(true);
    }
    cpus_pause();
    clock_vm_run(false);
    good = finished && strstr(text->str, "passed\n");
    if (!good) {
        for (char *line = strtok(text->str, "\n"); line;
             line = strtok(NULL, "\n")) {
            printf("# %s\n", line);
        }
        print_cpus();
    }
    return good;
}

/* Each kind of machine in a process of its own: an accelerator starts once. */
static int in_child(int (*fn)(void))
{
    int status;
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        alarm(100);
        machine_lock();
        status = fn();
        fflush(stdout);
        _exit(status);
    }
    REQUIRE(pid > 0);
    REQUIRE(waitpid(pid, &status, 0) == pid);
    if (WIFSIGNALED(status)) {
        printf("# killed by signal %d\n", WTERMSIG(status));
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static const char *guest_path(void)
{
    const char *build = getenv("BUILD");
    static char *path;

    if (access("/dev/kvm", R_OK | W_OK) != 0) {
        SKIP("no access to /dev/kvm");
    }
    g_free(path);
    path = g_build_filename(build ? build : "build",
                            "tests/guests/machine.elf", NULL);
    if (access(path, R_OK) != 0) {
        SKIP("%s is not built", path);
    }
    return path;
}

static int run_plain(void) NO_TSA;
static int run_plain(void)
{
    board.m.cpu_model = g_strdup("max");
    return vm_make("kvm", 4) && guest_run(elf_load(guest_path())) ? 0 : 1;
}

TEST(interrupts_timers_processors)
{
    TEST_LIMIT(120);
    guest_path();
    CHECK_EQ(in_child(run_plain), 0);
}

/* The guest again and again in one VM: reset leaves nothing behind. */
static int run_again(void) NO_TSA;
static int run_again(void)
{
    uint32_t entry;

    if (!vm_make("kvm", 3)) {
        return 1;
    }
    for (int i = 0; i < 3; i++) {
        entry = elf_load(guest_path());
        events_done[0] = events_done[1] = dispatched = sum = 0;
        if (!guest_run(entry)) {
            return 1;
        }
    }
    return 0;
}

TEST(again_after_reset)
{
    TEST_LIMIT(120);
    guest_path();
    CHECK_EQ(in_child(run_again), 0);
}

/* Pages that the guest writes are reported, others are not. */
static int run_logged(const char *how) NO_TSA;
static int run_logged(const char *how)
{
    static uint8_t bits[RAM_SIZE / 4096 / 8];
    uint32_t entry;
    int bad = 0;

    if (!vm_make(how, 2)) {
        return 1;
    }
    entry = elf_load(guest_path());
    mem_log(&ram, DIRTY_MIGRATION, true);
    mem_log_sync_clear(&ram, DIRTY_MIGRATION, 0, RAM_SIZE, bits);
    memset(bits, 0, sizeof(bits));
    if (!guest_run(entry)) {
        return 1;
    }
    mem_log_sync_clear(&ram, DIRTY_MIGRATION, 0, RAM_SIZE, bits);
    if (!(bits[1] & 1)) {
        printf("# page 8, the start-up code, is not marked\n");
        bad = 1;
    }
    for (unsigned page = 0x200; page < RAM_SIZE / 4096; page++) {
        if (bits[page / 8] >> page % 8 & 1) {
            printf("# page %#x is marked, nobody wrote it\n", page);
            bad = 1;
        }
    }
    memset(bits, 0, sizeof(bits));
    mem_log_sync_clear(&ram, DIRTY_MIGRATION, 0, RAM_SIZE, bits);
    for (unsigned i = 0; i < sizeof(bits); i++) {
        if (bits[i]) {
            printf("# pages from %#x are marked again\n", i * 8);
            bad = 1;
        }
    }
    return bad;
}

static int run_bitmap(void)
{
    return run_logged("kvm");
}

TEST(dirty_bitmap)
{
    TEST_LIMIT(120);
    guest_path();
    CHECK_EQ(in_child(run_bitmap), 0);
}

/* Large: a KVM that interprets the guest makes an entry for each write, and in
 * one go more than it looks whether there is room. */
static int run_ring(void)
{
    return run_logged("kvm,dirty-ring-size=65536");
}

TEST(dirty_ring)
{
    TEST_LIMIT(120);
    guest_path();
    CHECK_EQ(in_child(run_ring), 0);
}
