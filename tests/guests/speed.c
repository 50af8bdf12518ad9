/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * speed: loops of a known number of instructions, for "make bench". Prints
 * "begin NAME COUNT" before a loop and "end NAME" after it on the first serial
 * port; who listens takes the time, and ends it: it sleeps in the end.
 *
 * Starts through machine.S; no interrupts.
 */
#include <stdint.h>
#include "ports.h"

void guest_main(uint32_t magic, uint64_t info);
void ap_main(uint32_t n);
void interrupt(void *f);

#define BUFFER (1u << 20)
static uint8_t buffer[BUFFER] __attribute__((aligned(4096)));
static uint8_t wide[64u << 20] __attribute__((aligned(4096)));
static uint64_t user_stack[512], kernel_stack[512];
uint64_t speed_save[3];                /* kernel's stack, user's, leaving     */

void ap_main(uint32_t n)
{
}
void interrupt(void *f)
{
}

static void put(const char *s)
{
    for (; *s; s++) {
        out8(0x3f8, *s);
    }
}

static void begin(const char *name, uint64_t count)
{
    char text[24], *p = text + 23;

    *p = 0;
    *--p = '\n';
    do {
        *--p = '0' + count % 10;
    } while (count /= 10);
    put("begin ");
    put(name);
    put(" ");
    put(p);
}

static void end(const char *name)
{
    put("end ");
    put(name);
    put("\n");
}

/* 32 instructions a turn: whichever way a branch goes, the same number. */
static void integer(uint64_t turns)
{
    begin("integer", turns * 32 + 4);
    __asm__ volatile(
        "mov $88172645463325252, %%rax\n"
        "xor %%edx, %%edx\n"
        "xor %%r8d, %%r8d\n"
        "xor %%r9d, %%r9d\n"
        "1: mov %%rax, %%rdx\n"
        "shl $13, %%rdx\n"
        "xor %%rdx, %%rax\n"
        "mov %%rax, %%rdx\n"
        "shr $7, %%rdx\n"
        "xor %%rdx, %%rax\n"
        "mov %%rax, %%rdx\n"
        "shl $17, %%rdx\n"
        "xor %%rdx, %%rax\n"
        "lea 7(%%r8,%%rax,4), %%r8\n"
        "test $1, %%al\n"
        "je 2f\n"
        "add %%rax, %%r9\n"
        "jmp 3f\n"
        "2: sub %%rax, %%r9\n"
        "nop\n"
        "3: movzbl %%al, %%edx\n"
        "cmp %%r9d, %%r8d\n"
        "cmovb %%rdx, %%r9\n"
        "setb %%dl\n"
        "add %%rdx, %%r8\n"
        "movslq %%r9d, %%r10\n"
        "imul %%r10, %%r8\n"
        "and $0xffffff, %%r10d\n"
        "or $1, %%r10d\n"
        "add %%r10d, %%r9d\n"
        "neg %%r10\n"
        "cmp $-5, %%r10\n"
        "jg 4f\n"
        "inc %%r8\n"
        "4: not %%r10\n"
        "adc $0, %%r9\n"
        "dec %0\n"
        "jnz 1b\n"
        : "+r"(turns) : : "rax", "rdx", "r8", "r9", "r10", "cc");
    end("integer");
}

static void memory(uint64_t turns)
{
    begin("memory", turns * 28 + 3);
    __asm__ volatile(
        "xor %%edx, %%edx\n"
        "xor %%eax, %%eax\n"
        "mov $1, %%r8d\n"
        "1: mov (%1,%%rdx), %%r9\n"
        "mov 8(%1,%%rdx), %%r10d\n"
        "movzbl 16(%1,%%rdx), %%ecx\n"
        "add %%r9, %%r8\n"
        "add %%r10, 24(%1,%%rdx)\n"
        "add 32(%1,%%rdx), %%rcx\n"
        "mov %%r8, 40(%1,%%rdx)\n"
        "mov %%ecx, 48(%1,%%rdx)\n"
        "movb $3, 56(%1,%%rdx)\n"
        "push %%rdx\n"
        "push %%r8\n"
        "call 5f\n"
        "pop %%r8\n"
        "pop %%rdx\n"
        "cmpl $100, 8(%1,%%rdx)\n"
        "jb 2f\n"
        "2: movslq 4(%1,%%rdx), %%r10\n"
        "xor %%r10, %%r9\n"
        "mov %%r9w, 60(%1,%%rdx)\n"
        "add $4160, %%rdx\n"
        "and $0xfffc0, %%edx\n"
        "dec %0\n"
        "jnz 1b\n"
        "jmp 6f\n"
        "5: mov 24(%%rsp), %%r9\n"
        "lea 1(%%r9), %%r9\n"
        "mov %%r9, (%1,%%rdx)\n"
        "incl 4(%1,%%rdx)\n"
        "ret\n"
        "6:\n"
        : "+r"(turns) : "r"(buffer)
        : "rax", "rcx", "rdx", "r8", "r9", "r10", "cc", "memory");
    end("memory");
}

/* A page further each time: more pages than any TLB holds. */
static void pages(uint64_t turns)
{
    begin("pages", turns * 6 + 1);
    __asm__ volatile(
        "xor %%edx, %%edx\n"
        "1: mov (%1,%%rdx), %%r9\n"
        "add %%r9, 8(%1,%%rdx)\n"
        "add $4096, %%rdx\n"
        "and $0x3ffffff, %%edx\n"
        "dec %0\n"
        "jnz 1b\n"
        : "+r"(turns) : "r"(wide) : "rdx", "r9", "cc", "memory");
    end("pages");
}

static void sse(uint64_t turns)
{
    begin("sse", turns * 20);
    __asm__ volatile(
        "1: cvtsi2sd %0, %%xmm0\n"
        "movsd %%xmm0, (%1)\n"
        "movsd 8(%1), %%xmm1\n"
        "mulsd %%xmm0, %%xmm1\n"
        "addsd (%1), %%xmm1\n"
        "divsd %%xmm0, %%xmm1\n"
        "sqrtsd %%xmm1, %%xmm2\n"
        "subsd %%xmm2, %%xmm1\n"
        "ucomisd %%xmm1, %%xmm2\n"
        "movapd %%xmm1, %%xmm3\n"
        "unpcklpd %%xmm2, %%xmm3\n"
        "mulpd %%xmm3, %%xmm3\n"
        "addpd %%xmm3, %%xmm4\n"
        "movups %%xmm4, 16(%1)\n"
        "pxor %%xmm5, %%xmm5\n"
        "paddd %%xmm3, %%xmm5\n"
        "pshufd $0x1b, %%xmm5, %%xmm6\n"
        "cvttsd2si %%xmm1, %%rax\n"
        "dec %0\n"
        "jnz 1b\n"
        : "+r"(turns) : "r"(buffer) : "rax", "cc", "memory");
    end("sse");
}

static void x87(uint64_t turns)
{
    begin("x87", turns * 10 + 1);
    __asm__ volatile(
        "fninit\n"
        "1: mov %0, (%1)\n"
        "fildll (%1)\n"
        "fld1\n"
        "fadd %%st(1), %%st\n"
        "fmulp\n"
        "fsqrt\n"
        "fstpl 8(%1)\n"
        "fnstsw %%ax\n"
        "dec %0\n"
        "jnz 1b\n"
        : "+r"(turns) : "r"(buffer) : "rax", "cc", "memory");
    end("x87");
}

/* Bytes, not instructions. */
static void strings(uint64_t turns)
{
    begin("strings", turns * 6000);
    while (turns--) {
        void *to = buffer + 8192, *from = buffer + 8;
        uint64_t n = 4000, v = 0;

        __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) :
                         : "memory");
        n = 250;
        __asm__ volatile("rep stosq" : "+D"(to), "+c"(n) : "a"(v) : "memory");
    }
    end("strings");
}

/* ---- ring 3 -------------------------------------------------------------- */
static void wrmsr(uint32_t msr, uint64_t v)
{
    __asm__ volatile("wrmsr" : : "a"((uint32_t)v), "d"((uint32_t)(v >> 32)),
                     "c"(msr) : "memory");
}

/* 4 and 20 instructions a turn. The last call (rax 1) goes back to C. */
extern uint8_t speed_entry[], speed_user[];
__asm__(
    ".globl speed_entry, speed_user\n"
    "speed_user:\n"
    "1: xor %eax, %eax\n"
    "syscall\n"
    "dec %rbx\n"
    "jnz 1b\n"
    "mov $1, %eax\n"
    "syscall\n"
    "speed_entry:\n"
    "swapgs\n"
    "mov %rsp, speed_save + 8(%rip)\n"
    "mov speed_save(%rip), %rsp\n"
    "push %rcx\n"
    "push %r11\n"
    "push %rdi\n"
    "push %rbx\n"
    "mov %eax, %edi\n"
    "cmp $1, %eax\n"
    "je 2f\n"
    "call 3f\n"
    "pop %rbx\n"
    "pop %rdi\n"
    "pop %r11\n"
    "pop %rcx\n"
    "mov speed_save + 8(%rip), %rsp\n"
    "swapgs\n"
    "sysretq\n"
    "2: mov speed_save + 16(%rip), %rsp\n"
    "ret\n"
    "3: lea 1(%rdi), %eax\n"
    "ret\n");

static void segments(void)
{
    static uint64_t gdt[7] = {
        0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff,
        0x00cf93000000ffff, 0x00cff3000000ffff, 0x00affb000000ffff
    };
    struct { uint16_t limit; uint64_t base; } __attribute__((packed)) at = {
        sizeof(gdt) - 1, (uintptr_t)gdt
    };

    __asm__ volatile("lgdt %0" : : "m"(at));
    wrmsr(0xc0000080, 0x501);
    wrmsr(0xc0000081, (uint64_t)(3 * 8) << 32 | (uint64_t)(4 * 8 | 3) << 48);
    wrmsr(0xc0000082, (uintptr_t)speed_entry);
    wrmsr(0xc0000084, 0x40700);
}

/* All pages for all; the kernel's tables have eight entries at most in use. */
static void user_pages(void)
{
    uint64_t top, *p4, *p3;

    __asm__ volatile("mov %%cr3, %0" : "=r"(top));
    p4 = (uint64_t *)top;
    p4[0] |= 4;
    p3 = (uint64_t *)(p4[0] & ~0xfffull);
    for (int i = 0; i < 4; i++) {
        uint64_t *p2 = (uint64_t *)(p3[i] & ~0xfffull);

        p3[i] |= 4;
        for (int k = 0; k < 512; k++) {
            p2[k] |= 4;
        }
    }
    __asm__ volatile("mov %0, %%cr3" : : "r"(top) : "memory");
}

static void syscalls(uint64_t turns)
{
    segments();
    user_pages();
    speed_save[0] = (uintptr_t)(kernel_stack + 512);
    begin("syscalls", turns * 24);
    __asm__ volatile(
        "push %%rbp\n"
        "mov %0, %%rbx\n"
        "lea 1f(%%rip), %%rax\n"
        "push %%rax\n"
        "mov %%rsp, speed_save + 16(%%rip)\n"
        "mov %1, %%rsp\n"
        "mov $2, %%r11d\n"
        "sysretq\n"
        "1: pop %%rbp\n"
        : : "r"(turns), "r"(user_stack + 512), "c"(speed_user)
        : "rax", "rbx", "r11", "cc", "memory");
    end("syscalls");
}

void guest_main(uint32_t magic, uint64_t info)
{
    uint64_t cr;

    __asm__ volatile("mov %%cr0, %0" : "=r"(cr));
    __asm__ volatile("mov %0, %%cr0" : : "r"((cr & ~12ull) | 2));
    __asm__ volatile("mov %%cr4, %0" : "=r"(cr));
    __asm__ volatile("mov %0, %%cr4" : : "r"(cr | 0x600));
    integer(4000000);
    memory(4000000);
    pages(5000000);
    sse(1000000);
    x87(1000000);
    strings(100000);
    syscalls(2000000);
    for (;;) {
        __asm__ volatile("cli; hlt");
    }
}
