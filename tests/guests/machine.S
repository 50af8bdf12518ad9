/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * machine: entry, interrupt stubs and the start-up code of further processors
 * for machine.c. Multiboot 1, or started at _start in flat 32-bit mode with EAX
 * and EBX 0; goes on in long mode with the low 4 GiB mapped as they are.
 */
        .section .head, "ax"
        .balign 4
        .long   0x1badb002, 3, -(0x1badb002 + 3)

        .text
        .code32
        .globl  _start
_start: movl    $stacks + 4096, %esp
        movl    %eax, %esi
        movl    %ebx, %ebp
        movl    $level4, %edi           /* tables: 2-MiB pages                */
        movl    $level3 + 3, (%edi)
        movl    $level3, %edi
        movl    $level2 + 3, %eax
        movl    $4, %ecx
1:      movl    %eax, (%edi)
        addl    $4096, %eax
        addl    $8, %edi
        decl    %ecx
        jnz     1b
        movl    $level2, %edi
        movl    $0x83, %eax
        movl    $2048, %ecx
2:      movl    %eax, (%edi)
        addl    $0x200000, %eax
        addl    $8, %edi
        decl    %ecx
        jnz     2b
        call    long_mode
        ljmp    $24, $3f

long_mode:                              /* all but the far jump               */
        lgdt    gdt_pointer
        movl    %cr4, %eax
        orl     $0x20, %eax
        movl    %eax, %cr4
        movl    $level4, %eax
        movl    %eax, %cr3
        movl    $0xc0000080, %ecx
        rdmsr
        orl     $0x100, %eax
        wrmsr
        movl    %cr0, %eax
        orl     $0x80000001, %eax
        movl    %eax, %cr0
        ret

        .code64
3:      call    segments
        movl    %esi, %edi
        movl    %ebp, %esi
        call    guest_main
4:      cli
        hlt
        jmp     4b

segments:
        movl    $16, %ecx
        movl    %ecx, %ds
        movl    %ecx, %es
        movl    %ecx, %ss
        ret

/* Copied to 0x8000, where a start-up IPI with vector 8 begins. */
        .globl  ap_start, ap_end
        .code16
ap_start:
        cli
        xorw    %ax, %ax
        movw    %ax, %ds
        lgdtl   0x8000 + (ap_gdt - ap_start)
        movl    %cr0, %eax
        orb     $1, %al
        movl    %eax, %cr0
        ljmpl   $8, $ap_flat
        .balign 4
ap_gdt: .word   gdt_end - gdt - 1
        .long   gdt
ap_end:
        .code32
ap_flat:
        movl    $16, %ecx
        movl    %ecx, %ds
        movl    %ecx, %es
        movl    %ecx, %ss
        movl    $1, %edi
        lock xaddl %edi, ap_count
        incl    %edi                    /* 1 for the first of them            */
        movl    %edi, %esp
        shll    $12, %esp
        addl    $stacks + 4096, %esp
        call    long_mode
        ljmp    $24, $5f
        .code64
5:      call    segments
        call    ap_main
        jmp     4b

/* One stub per vector: vector and error code on the stack, then common. */
        .globl  stubs
        .balign 16
stubs:
        .set    vector, 0
        .rept   256
        .balign 16
        .if     !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17)
        pushq   $0
        .endif
        pushq   $vector
        jmp     common
        .set    vector, vector + 1
        .endr

common: pushq   %rax
        pushq   %rcx
        pushq   %rdx
        pushq   %rbx
        pushq   %rsi
        pushq   %rdi
        pushq   %rbp
        pushq   %r8
        pushq   %r9
        pushq   %r10
        pushq   %r11
        cld
        movq    %rsp, %rdi
        call    interrupt
        popq    %r11
        popq    %r10
        popq    %r9
        popq    %r8
        popq    %rbp
        popq    %rdi
        popq    %rsi
        popq    %rbx
        popq    %rdx
        popq    %rcx
        popq    %rax
        addq    $16, %rsp
        iretq

        .data
        .balign 8
gdt:    .quad   0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff
gdt_end:
gdt_pointer:
        .word   gdt_end - gdt - 1
        .long   gdt
        .globl  ap_count
ap_count:
        .long   0

        .bss
        .balign 4096
level4: .skip   4096
level3: .skip   4096
level2: .skip   4096 * 4
stacks: .skip   4096 * 9
        .section .note.GNU-stack, "", @progbits
