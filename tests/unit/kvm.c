/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * KVM without a board: a machine made of RAM, a ROM with a few bytes of code at
 * the reset vector, and registers that note what the guest does.
 */
#include <glib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "tests/tern-test.h"
#include "accel.h"
#include "loop.h"
#include "machine.h"
#include "mem.h"
#include "x86.h"

static MemRegion ram, rom, io, mmio;
static unsigned seen_count;
static struct Seen { uint64_t addr, value; unsigned size; bool io; } seen[64];
static bool finished;

static void wake(void *arg)
{
}

static void note(uint64_t addr, uint64_t v, unsigned size, bool is_io)
{
    if (seen_count < ARRAY_SIZE(seen)) {
        seen[seen_count++] = (struct Seen){ addr, v, size, is_io };
    }
    if (is_io && addr == 0xff) {
        finished = true;
        loop_post_fn(loop_main, wake, NULL);
    }
}

static uint64_t io_read(void *dev, uint64_t off, unsigned size)
{
    return dev ? 0x11223344 : 0x5a;
}

static void io_write(void *dev, uint64_t off, uint64_t v, unsigned size)
{
    note(off, v, size, dev == NULL);
}

static const MemOps ops = {
    .read = io_read, .write = io_write, .max = 4, .valid_max = 4,
};

static MachineType test_type = {
    .name = "kvm-test", .max_cpus = 8, .default_cpu = "qemu64",
    .size = sizeof(Machine),
};
static Machine the_machine;
/* The program's own where it is linked in. */
__attribute__((weak)) Machine *machine;
__attribute__((weak)) unsigned machine_version;

static MACHINE_CALL bool vm_make(const char *how, unsigned ncpus,
                                 const uint8_t *code, size_t n)
{
    Error *err = NULL;
    uint8_t *top;
    bool help;

    machine = &the_machine;
    machine->obj.kind = &obj_container;
    machine->type = &test_type;
    obj_put(obj_root(), "machine", &machine->obj);
    machine->cpus = machine->max_cpus = machine->cores = ncpus;
    machine->sockets = machine->dies = machine->threads = 1;
    if (!accel_option(how, &help, &err) || !accel_start(machine, &err)) {
        printf("# %s\n", error_text(err));
        return false;
    }
    mem_begin();
    mem_init_ram(&ram, "ram", 1 * MiB, NULL);
    mem_init_rom(&rom, "rom", 64 * KiB, NULL);
    mem_init_io(&io, "ports", 0x100, &ops, NULL);
    mem_init_io(&mmio, "registers", 0x1000, &ops, &mmio);
    mem_add(mem_system.root, 0, &ram);
    mem_add(mem_system.root, 0xffff0000, &rom);
    mem_add_prio(mem_system.root, 0xd0000, &mmio, 1);
    mem_add(mem_io.root, 0, &io);
    mem_commit();
    top = rom.ram->host;
    memcpy(top, code, n);
    memcpy(top + 0xfff0, "\xe9\x0d\x00", 3);       /* jmp to offset 0         */
    if (!x86_cpus_new(machine, &err)) {
        printf("# %s\n", error_text(err));
        return false;
    }
    for (unsigned i = 0; i < cpu_count; i++) {
        device_reset(&cpus[i]->dev, RESET_COLD);
    }
    return true;
}

static MACHINE_CALL void vm_run(void)
{
    finished = false;
    seen_count = 0;
    clock_vm_run(true);
    cpus_resume();
    while (!finished) {
        loop_step(true);
    }
    cpus_pause();
    clock_vm_run(false);
}

/* Reads a port and a register, writes both, says good-bye, halts. */
static const uint8_t code_io[] = {
    0xe4, 0x18,                        /* in $0x18, %al                       */
    0xe6, 0x30,                        /* out %al, $0x30                      */
    0xb8, 0x00, 0xd0,                  /* mov $0xd000, %ax                    */
    0x8e, 0xd8,                        /* mov %ax, %ds                        */
    0x66, 0xa1, 0x08, 0x00,            /* mov 8, %eax                         */
    0x66, 0x40,                        /* inc %eax                            */
    0x66, 0xa3, 0x10, 0x00,            /* mov %eax, 0x10                      */
    0xbb, 0x34, 0x12,                  /* mov $0x1234, %bx                    */
    0xe6, 0xff,                        /* out %al, $0xff                      */
    0xf4,                              /* hlt                                 */
    0xeb, 0xfd,
};

TEST(ports_and_registers)
{
    machine_lock();
    if (access("/dev/kvm", R_OK | W_OK) != 0) {
        machine_unlock();
        SKIP("no /dev/kvm");
    }
    CHECK(vm_make("kvm", 1, code_io, sizeof(code_io)));
    vm_run();
    CHECK_EQ(seen_count, 3u);
    CHECK_EQ(seen[0].addr, 0x30u);
    CHECK_EQ(seen[0].value, 0x5au);
    CHECK_EQ(seen[1].addr, 0x10u);
    CHECK_EQ(seen[1].value, 0x11223345u);
    CHECK_EQ(seen[1].size, 4u);
    cpu_sync_all();
    CHECK_EQ(x86_cpu(cpus[0])->regs.gpr[X86_RBX] & 0xffff, 0x1234u);
    CHECK_EQ(x86_cpu(cpus[0])->regs.seg[X86_DS].base, 0xd0000u);
    CHECK_EQ(x86_cpu(cpus[0])->regs.seg[X86_CS].base, 0xffff0000u);
    machine_unlock();
}

TEST(reset_starts_again)
{
    machine_lock();
    if (!accel) {
        machine_unlock();
        SKIP("no /dev/kvm");
    }
    for (unsigned i = 0; i < 3; i++) {
        device_reset(&cpus[0]->dev, RESET_COLD);
        vm_run();
        CHECK_EQ(seen_count, 3u);
    }
    machine_unlock();
}

TEST(put_registers_arrive)
{
    X86Regs *r;

    machine_lock();
    if (!accel) {
        machine_unlock();
        SKIP("no /dev/kvm");
    }
    device_reset(&cpus[0]->dev, RESET_COLD);
    r = &x86_cpu(cpus[0])->regs;
    r->gpr[X86_RAX] = 0x77;
    r->rip = 2;                        /* past the IN                         */
    r->vec[3].q[1] = 0x0123456789abcdefull;
    r->fpr[2].mant = 1ull << 63;
    r->fpr[2].se = 0x3fff;
    r->ftag = 0xffcf;
    vm_run();
    CHECK_EQ(seen[0].value, 0x77u);
    cpu_sync_all();
    CHECK_EQ(r->vec[3].q[1], 0x0123456789abcdefull);
    CHECK_EQ(r->fpr[2].mant, 1ull << 63);
    CHECK_EQ(r->fpr[2].se, 0x3fffu);
    CHECK_EQ(r->ftag, 0xffcfu);
    machine_unlock();
}

TEST(rom_is_read_only_and_moves)
{
    machine_lock();
    if (!accel) {
        machine_unlock();
        SKIP("no /dev/kvm");
    }
    /* The slots under a running guest change many times. */
    device_reset(&cpus[0]->dev, RESET_COLD);
    for (unsigned i = 0; i < 20; i++) {
        mem_begin();
        mem_set_address(&mmio, i % 2 ? 0xd0000 : 0xc0000);
        mem_commit();
    }
    vm_run();
    CHECK_EQ(seen_count, 3u);
    machine_unlock();
}
