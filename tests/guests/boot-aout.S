/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * boot-aout: a Multiboot 1 kernel that is no ELF file: its header says what is
 * loaded where (specification 0.6.96, section 3.1.3). Prints that it runs and
 * whether the memory after it was cleared.
 */
#define SERIAL 0x3f8

        .section .text
        .code32
        .globl  _start
_start: jmp     go
        .balign 4
header: .long   0x1badb002, 0x10003, -(0x1badb002 + 0x10003)
        .long   header                  /* header_addr                         */
        .long   _start                  /* load_addr                           */
        .long   load_end
        .long   load_end + 4096         /* bss_end_addr                        */
        .long   go                      /* entry_addr                          */
go:     movl    $text, %esi
        cmpl    $0x2badb002, %eax
        jne     2f
        cmpl    $0, load_end + 4092
        jne     2f
1:      lodsb
        testb   %al, %al
        jz      2f
        movw    $SERIAL, %dx
        outb    %al, %dx
        jmp     1b
2:      movb    $0xfe, %al
        outb    %al, $0x64
3:      hlt
        jmp     3b
text:   .asciz  "aout: loaded by address\n"
        .balign 16
load_end:
        .fill   64, 1, 0xff             /* of the file, but not to be loaded   */
