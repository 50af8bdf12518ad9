/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * demo: the small kernel that "make demo" boots. Multiboot 1 (specification
 * 0.6.96, section 3.1 header, 3.3 information), flat 32-bit mode, integer code
 * only. Prints on the first serial port what it finds of its machine, then
 * resets it through the keyboard controller.
 */
#include <stdint.h>
#include "ports.h"

#define LOADER_MAGIC 0x2badb002u

__asm__(".section .head, \"ax\"\n"
        ".balign 4\n"
        ".long 0x1badb002, 3, -(0x1badb002 + 3)\n"
        ".globl _start\n"
        "_start:\n"
        "    movl $stack_top, %esp\n"
        "    pushl %ebx\n"
        "    pushl %eax\n"
        "    call demo_main\n"
        "1:  cli\n"
        "    hlt\n"
        "    jmp 1b\n"
        ".section .bss\n"
        ".balign 16\n"
        ".skip 16384\n"
        "stack_top:\n"
        ".text\n");

typedef struct Multiboot {
    uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count,
             mods_addr, syms[4], mmap_length, mmap_addr, drives[2],
             config_table, loader_name;
} Multiboot;

void demo_main(uint32_t magic, const Multiboot *mb);

static void put_char(char c)
{
    while (!(in8(0x3fd) & 0x20)) {
    }
    out8(0x3f8, c);
}

static void put(const char *s)
{
    for (; *s; s++) {
        put_char(*s);
    }
}

static void put_hex(uint32_t v, int digits)
{
    while (digits--) {
        put_char("0123456789abcdef"[v >> (4 * digits) & 15]);
    }
}

static void put_dec(uint32_t v)
{
    if (v >= 10) {
        put_dec(v / 10);
    }
    put_char('0' + v % 10);
}

static void cpuid(uint32_t leaf, uint32_t r[4])
{
    __asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
                     : "a"(leaf), "c"(0));
}

static void show_cpu(void)
{
    union {
        uint32_t r[12];
        char text[49];
    } u = { { 0 } };
    uint32_t r[4];

    cpuid(0, r);
    u.r[0] = r[1];
    u.r[1] = r[3];
    u.r[2] = r[2];
    u.text[12] = 0;
    put("  processor   ");
    put(u.text);
    cpuid(0x80000000, r);
    if (r[0] >= 0x80000004) {
        for (int i = 0; i < 3; i++) {
            cpuid(0x80000002 + i, u.r + 4 * i);
        }
        u.text[48] = 0;
        put(", ");
        put(u.text);
    }
    put("\n");
    cpuid(1, r);
    if (r[2] >> 31) {
        cpuid(0x40000000, r);
        u.r[0] = r[1];
        u.r[1] = r[2];
        u.r[2] = r[3];
        u.text[12] = 0;
        put("  hypervisor  ");
        put(u.text);
        put("\n");
    }
}

static void show_pci(void)
{
    for (uint32_t slot = 0; slot < 32; slot++) {
        uint32_t id;

        out32(0xcf8, 0x80000000u | slot << 11);
        id = in32(0xcfc);
        if (id == 0xffffffffu) {
            continue;
        }
        put("  PCI 00:");
        put_hex(slot, 2);
        put(".0 ");
        put_hex(id & 0xffff, 4);
        put(":");
        put_hex(id >> 16, 4);
        out32(0xcf8, 0x80000000u | slot << 11 | 8);
        put(" class ");
        put_hex(in32(0xcfc) >> 16, 4);
        put("\n");
    }
}

void demo_main(uint32_t magic, const Multiboot *mb)
{
    out8(0x3f9, 0);                     /* 115200 baud, 8N1, no interrupts  */
    out8(0x3fb, 0x80);
    out8(0x3f8, 1);
    out8(0x3f9, 0);
    out8(0x3fb, 3);
    put("\nHello from a guest.\n");
    if (magic != LOADER_MAGIC) {
        put("  not started by a Multiboot loader\n");
        return;
    }
    if (mb->flags & 1) {
        put("  memory      ");
        put_dec((mb->mem_upper + 2047) / 1024);
        put(" MiB\n");
    }
    if (mb->flags & 4) {
        put("  arguments   ");
        put((const char *)(uintptr_t)mb->cmdline);
        put("\n");
    }
    show_cpu();
    show_pci();
    put("Goodbye.\n");
    out8(0x64, 0xfe);
}
