/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * boot-pvh: an ELF kernel with a PVH note (Xen's x86/HVM direct boot ABI,
 * hvm_start_info version 1) that prints what its loader told it, spoils it, and
 * resets once. It follows the ACPI tables from the RSDP and the SMBIOS entry
 * point below 1 MiB, and verifies their checksums.
 */
#include "boot-lib.h"

__asm__(".section .note.Xen, \"a\", @note\n"
        ".balign 4\n"
        ".long 4, 4, 18\n"
        ".asciz \"Xen\"\n"
        ".long _start\n"
        ".section .head, \"ax\"\n"
        ".globl _start\n"
        "_start:\n"
        "    movl $stack_top, %esp\n"
        "    pushl %ebx\n"
        "    call kernel_main\n"
        ".section .bss\n"
        ".balign 16\n"
        ".skip 8192\n"
        "stack_top:\n"
        ".text\n");

typedef struct StartInfo {
    uint32_t magic, version, flags, nmodules;
    uint64_t modules, cmdline, rsdp, map;
    uint32_t nmap, reserved;
} StartInfo;
typedef struct Module {
    uint64_t addr, size, cmdline, reserved;
} Module;
typedef struct Range {
    uint64_t addr, size;
    uint32_t type, reserved;
} Range;

void kernel_main(const StartInfo *s);

static volatile uint32_t data_word = 0x600d;

static uint8_t sum_of(const void *p, uint32_t n)
{
    const uint8_t *b = p;
    uint8_t sum = 0;

    while (n--) {
        sum += *b++;
    }
    return sum;
}

static uint32_t word_at(const uint8_t *p)
{
    return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

static void show_table(const uint8_t *t)
{
    put("acpi: ");
    put_n((const char *)t, 4);
    put(sum_of(t, word_at(t + 4)) ? " bad sum\n" : " ok\n");
}

static void show_acpi(uint64_t rsdp)
{
    const uint8_t *r = (const uint8_t *)(uintptr_t)rsdp, *rsdt;

    if (!rsdp) {
        put("acpi: none\n");
        return;
    }
    put(sum_of(r, 20) ? "rsdp: bad sum\n" : "rsdp: ok\n");
    rsdt = (const uint8_t *)(uintptr_t)word_at(r + 16);
    show_table(rsdt);
    for (uint32_t at = 36; at < word_at(rsdt + 4); at += 4) {
        const uint8_t *t = (const uint8_t *)(uintptr_t)word_at(rsdt + at);

        show_table(t);
        if (t[0] == 'F' && t[3] == 'P') {
            show_table((const uint8_t *)(uintptr_t)word_at(t + 40));
            line_hex("pm1: ", word_at(t + 56));
        }
    }
}

static void show_smbios(void)
{
    for (uint32_t at = 0xf0000; at < 0x100000; at += 16) {
        const uint8_t *e = (const uint8_t *)(uintptr_t)at;

        if (e[0] == '_' && e[1] == 'S' && e[2] == 'M' && e[3] == '_' &&
            !sum_of(e, e[5]) && !sum_of(e + 16, 15)) {
            line_hex("smbios: type ",
                     *(const uint8_t *)(uintptr_t)word_at(e + 24));
        }
    }
}

void kernel_main(const StartInfo *s)
{
    int first = boot_is_first();
    const Range *map = (const Range *)(uintptr_t)s->map;
    Module *m = (Module *)(uintptr_t)s->modules;

    line_hex("magic: ", s->magic);
    line_hex("version: ", s->version);
    line_hex("data: ", data_word);
    data_word = 0xbad;
    put("cmdline: ");
    put((char *)(uintptr_t)s->cmdline);
    put("\n");
    for (uint32_t i = 0; i < s->nmap; i++) {
        put("range: ");
        put_hex(map[i].addr);
        put(" + ");
        put_hex(map[i].size);
        line_hex(" type ", map[i].type);
    }
    for (uint32_t i = 0; i < s->nmodules; i++) {
        put("module: ");
        put_n((char *)(uintptr_t)m[i].addr, m[i].size);
        put("\n");
        *(char *)(uintptr_t)m[i].addr = '#';
    }
    show_acpi(s->rsdp);
    show_smbios();
    boot_end(first);
}
