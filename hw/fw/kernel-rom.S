/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kernel-rom.S - a boot ROM that puts a Multiboot or PVH kernel where it belongs
 * and enters it in flat 32-bit mode (Multiboot Specification 0.6.96, section
 * 3.2; Xen's x86/HVM direct boot ABI). See boot-rom.h; what to do is a table
 * behind the code, which kernel-start.c writes.
 *
 * Firmware alone knows where memory ends (interrupt 15h, function E820h: ACPI
 * specification 15.1) and where the RSDP is (5.2.5.1), so they are found here.
 * Until the kernel runs, memory below 8000h is the ROM's: its stack, the map.
 */
#include "hw/fw/boot-rom.h"

#define SELECT      0x510
#define KERNEL_DATA 0x11
#define NO_ITEM     0xffff              /* reads as zeros                      */

#define GDTR  0x5f8
#define GDT   0x600
#define LOWER 0x680                     /* KiB below 640 KiB                   */
#define ROWS  0x684                     /* of the map                          */
#define MAP   0x1000
#define ROW   24

/* The table, in 32-bit words. */
#define P_ENTRY     0
#define P_EAX       4
#define P_EBX       8
#define P_MAP_AT    12
#define P_MAP_MOST  16
#define P_ROW_HEAD  20                  /* what stands before a row            */
#define P_ROW_SKIP  24                  /* where a row begins                  */
#define P_COUNT_AT  28
#define P_COUNT_BY  32
#define P_RSDP_AT   36                  /* 0: not wanted                       */
#define P_MEMORY_AT 40                  /* 0: not wanted; lower, upper KiB     */
#define P_PIECES    44
#define P_PIECE     48                  /* address, bytes of data, of zeros    */

        .section .rodata
        .code16
        .balign 16
        .globl  kernel_rom, kernel_rom_size
kernel_rom:
rom:    rom_head "Kernel loader DMA"

        rom_dma

#define TABLE(what) rom_end - rom + what

/* Firmware's memory map to MAP, in rows as the kernel wants them. */
read_map:
        movw    $MAP - 4, %di
        movw    TABLE(P_MAP_MOST), %ax
        movw    $ROW / 4, %dx
        mulw    %dx
        movw    %ax, %cx
        incw    %cx
        xorl    %eax, %eax
        rep stosl
        movw    $MAP, %di
        addw    TABLE(P_ROW_SKIP), %di
        xorl    %ebx, %ebx
        xorl    %ebp, %ebp
1:      movl    $0xe820, %eax
        movl    $0x534d4150, %edx
        movl    $20, %ecx
        int     $0x15
        jc      2f
        movl    TABLE(P_ROW_HEAD), %eax
        movl    %eax, %es:-4(%di)
        addw    $ROW, %di
        incl    %ebp
        cmpl    TABLE(P_MAP_MOST), %ebp
        jae     2f
        testl   %ebx, %ebx
        jnz     1b
2:      movl    %ebp, %es:ROWS
        xorl    %eax, %eax
        int     $0x12
        movl    %eax, %es:LOWER
        ret

/* All pieces: data in the order of the item, then what is to be zero. */
load:   movw    $KERNEL_DATA, %ax
        movw    $SELECT, %dx
        outw    %ax, %dx
        movw    $TABLE(P_PIECE), %si
        movw    TABLE(P_PIECES), %di
1:      movl    $DMA_READ, %eax
        movl    (%si), %edx
        movl    4(%si), %ecx
        call    fw_dma
        addw    $12, %si
        decw    %di
        jnz     1b
        movw    $TABLE(P_PIECE), %si
        movw    TABLE(P_PIECES), %di
2:      movl    $(NO_ITEM << 16 | DMA_SELECT_READ), %eax
        movl    (%si), %edx
        addl    4(%si), %edx
        movl    8(%si), %ecx
        call    fw_dma
        addw    $12, %si
        decw    %di
        jnz     2b
        ret

boot:   cli
        cld
        xorl    %eax, %eax
        movw    %ax, %es
        movw    %ax, %ss
        movl    $0x7c00, %esp           /* firmware's own is not ours to keep  */
        pushw   %cs
        popw    %ds
        call    read_map
        call    load
        cli
        inb     $0x92, %al              /* address line 20                     */
        orb     $2, %al
        andb    $~1, %al
        outb    %al, $0x92
        movw    $gdt - rom, %si
        movw    $GDT, %di
        movw    $(gdt_end - gdt), %cx
        rep movsb
        movl    $(gdt_end - gdt - 1) | GDT << 16, %es:GDTR
        movw    $0, %es:GDTR + 4
        xorl    %esi, %esi
        movw    %cs, %si
        shll    $4, %esi
        leal    flat - rom(%esi), %edx
        addl    $TABLE(0), %esi
        lgdtl   %es:GDTR
        movl    %cr0, %eax
        orl     $1, %eax
        movl    %eax, %cr0
        pushl   $0x10
        pushl   %edx
        lretl

        .code32
flat:   movw    $0x18, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    %ax, %fs
        movw    %ax, %gs
        movw    $0x20, %ax
        ltr     %ax
        movl    %esi, %ebp              /* the table                           */
        movl    ROWS, %eax
        imull   $ROW / 4, %eax, %ecx
        movl    $MAP, %esi
        movl    P_MAP_AT(%ebp), %edi
        rep movsl
        mull    P_COUNT_BY(%ebp)
        movl    P_COUNT_AT(%ebp), %edi
        movl    %eax, (%edi)

        movl    P_MEMORY_AT(%ebp), %edi
        testl   %edi, %edi
        jz      3f
        movl    LOWER, %eax
        stosl
        movl    P_ROW_SKIP(%ebp), %esi
        addl    $MAP, %esi
        movl    ROWS, %ecx
        jecxz   3f
1:      cmpl    $0x100000, (%esi)
        jne     2f
        cmpl    $0, 4(%esi)
        jne     2f
        movl    8(%esi), %eax
        movl    12(%esi), %edx
        shrdl   $10, %edx, %eax
        stosl
        jmp     3f
2:      addl    $ROW, %esi
        loop    1b

3:      movl    P_RSDP_AT(%ebp), %edi
        testl   %edi, %edi
        jz      6f
        movl    $0xe0000, %esi
4:      cmpl    $0x20445352, (%esi)     /* "RSD PTR "                          */
        jne     5f
        cmpl    $0x20525450, 4(%esi)
        jne     5f
        movl    %esi, (%edi)
        jmp     6f
5:      addl    $16, %esi
        cmpl    $0x100000, %esi
        jb      4b

6:      pushl   P_ENTRY(%ebp)
        movl    P_EAX(%ebp), %eax
        movl    P_EBX(%ebp), %ebx
        xorl    %ecx, %ecx
        xorl    %edx, %edx
        xorl    %esi, %esi
        xorl    %edi, %edi
        xorl    %ebp, %ebp
        ret

        .balign 8
gdt:    .quad   0, 0
        .quad   0x00cf9b000000ffff      /* 10h: code                           */
        .quad   0x00cf93000000ffff      /* 18h: data                           */
        .quad   0x0000890000000067      /* 20h: a task, as PVH wants one       */
gdt_end:
        .balign 16
rom_end:
kernel_rom_size:
        .long   rom_end - rom
        .section .note.GNU-stack, "", @progbits
