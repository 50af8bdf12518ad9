/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * linuxboot-rom.S - a boot ROM that starts the bzImage in fw_cfg (the
 * Linux/x86 boot protocol, "running the kernel"). See boot-rom.h.
 */
#include "hw/fw/boot-rom.h"

#define CMDLINE_ADDR 0x13
#define CMDLINE_SIZE 0x14
#define CMDLINE_DATA 0x15
#define SETUP_ADDR   0x16
#define SETUP_SIZE   0x17
#define SETUP_DATA   0x18
#define KERNEL_ADDR  0x07
#define KERNEL_SIZE  0x08
#define KERNEL_DATA  0x11
#define INITRD_ADDR  0x0a
#define INITRD_SIZE  0x0b
#define INITRD_DATA  0x12

        .section .rodata
        .code16
        .balign 16
        .globl  linuxboot_rom, linuxboot_rom_size
linuxboot_rom:
rom:    rom_head "Linux loader DMA"

/* Four bytes of item AX to EAX. */
item32: pushl   $0
        movw    %sp, %bp
        pushw   %ax
        xorl    %edx, %edx
        movw    %ss, %dx
        shll    $4, %edx
        movzwl  %bp, %eax
        addl    %eax, %edx              /* address of the zero                 */
        popw    %ax
        movl    $4, %ecx
        call    fetch
        popl    %eax
        ret

/* Item AX, ECX bytes of it to physical address EDX. Keeps EBX, ESI, EDI. */
fetch:  shll    $16, %eax
        movw    $DMA_SELECT_READ, %ax
        rom_dma

/* Data item \data, of the size and to the address that two others give. */
        .macro  load addr, size, data
        movw    $\addr, %ax
        call    item32
        movl    %eax, %ebx
        movw    $\size, %ax
        call    item32
        movl    %eax, %ecx
        movl    %ebx, %edx
        movw    $\data, %ax
        call    fetch
        .endm

boot:   cli
        cld
        xorw    %ax, %ax
        movw    %ax, %ss
        movl    $0x7c00, %esp           /* firmware's own is not ours to keep  */
        load    INITRD_ADDR, INITRD_SIZE, INITRD_DATA
        load    KERNEL_ADDR, KERNEL_SIZE, KERNEL_DATA
        load    CMDLINE_ADDR, CMDLINE_SIZE, CMDLINE_DATA
        load    SETUP_ADDR, SETUP_SIZE, SETUP_DATA
        movw    $SETUP_ADDR, %ax
        call    item32
        shrl    $4, %eax                /* its segment; entry 0x20 beyond      */
        movl    %eax, %ebx
        movw    $CMDLINE_ADDR, %ax
        call    item32
        movl    %ebx, %ecx
        shll    $4, %ecx
        subl    %ecx, %eax              /* the stack ends at the command line, */
        subl    $16, %eax               /* or with the segment                 */
        movl    $0xfff0, %ecx
        cmpl    %ecx, %eax
        jbe     3f
        movl    %ecx, %eax
3:      movw    %bx, %ds
        movw    %bx, %es
        movw    %bx, %fs
        movw    %bx, %gs
        movw    %bx, %ss
        movl    %eax, %esp
        addw    $0x20, %bx
        pushw   %bx
        pushw   $0
        lret

        .balign 512
rom_end:
linuxboot_rom_size:
        .long   rom_end - rom
        .section .note.GNU-stack, "", @progbits
