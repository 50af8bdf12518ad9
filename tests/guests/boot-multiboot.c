/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * boot-multiboot: a Multiboot 1 kernel (specification 0.6.96, sections 3.2 and
 * 3.3) that prints what its loader told it, spoils it, and resets once.
 */
#include "boot-lib.h"

__asm__(".section .head, \"ax\"\n"
        ".balign 4\n"
        ".long 0x1badb002, 3, -(0x1badb002 + 3)\n"
        ".globl _start\n"
        "_start:\n"
        "    movl $stack_top, %esp\n"
        "    movl %cr0, %ecx\n"
        "    pushfl\n"
        "    pushl %ecx\n"
        "    pushl %ebx\n"
        "    pushl %eax\n"
        "    call kernel_main\n"
        ".section .bss\n"
        ".balign 16\n"
        ".skip 8192\n"
        "stack_top:\n"
        ".text\n");

typedef struct Info {
    uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count,
             mods_addr, syms[4], mmap_length, mmap_addr, drives[2],
             config_table, loader_name;
} Info;
typedef struct Module {
    uint32_t start, end, text, reserved;
} Module;
typedef struct __attribute__((packed)) Range {
    uint32_t size;
    uint64_t addr, len;
    uint32_t type;
} Range;

void kernel_main(uint32_t magic, Info *info, uint32_t cr0, uint32_t eflags);

static volatile uint32_t data_word = 0x600d;
static volatile uint32_t bss_word;

static void show_modules(Info *info)
{
    Module *m = (Module *)(uintptr_t)info->mods_addr;

    for (uint32_t i = 0; i < info->mods_count; i++) {
        put("module: ");
        put((char *)(uintptr_t)m[i].text);
        put(" = ");
        put_n((char *)(uintptr_t)m[i].start, m[i].end - m[i].start);
        put(m[i].start & 4095 ? "(not page-aligned)\n" : "\n");
        *(char *)(uintptr_t)m[i].start = '#';
    }
}

static void show_map(const Info *info)
{
    uint32_t at = info->mmap_addr, end = at + info->mmap_length;

    while (at < end) {
        const Range *r = (const Range *)(uintptr_t)at;

        put("range: ");
        put_hex(r->addr);
        put(" + ");
        put_hex(r->len);
        line_hex(" type ", r->type);
        at += r->size + 4;
    }
}

void kernel_main(uint32_t magic, Info *info, uint32_t cr0, uint32_t eflags)
{
    int first = boot_is_first();

    line_hex("magic: ", magic);
    line_hex("cr0: ", cr0 & 0x80000001u);
    line_hex("if: ", eflags >> 9 & 1);
    line_hex("data: ", data_word);
    line_hex("bss: ", bss_word);
    data_word = bss_word = 0xbad;
    line_hex("flags: ", info->flags & 0x24f);
    line_hex("lower: ", info->mem_lower);
    line_hex("upper: ", info->mem_upper);
    put("cmdline: ");
    put((char *)(uintptr_t)info->cmdline);
    put("\nloader: ");
    put((char *)(uintptr_t)info->loader_name);
    put("\n");
    show_map(info);
    show_modules(info);
    boot_end(first);
}
