/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * boot-bzimage: a file in the format of a Linux bzImage (the Linux/x86 boot
 * protocol, version 2.15), which prints by which entry it was started, its
 * command line and its initrd, spoils itself, and resets once. Entries: real
 * mode, 0x200 into the setup part; 32 bits at the start of the protected-mode
 * part, 64 bits 0x200 into it.
 *
 * What both of the latter run is written so that its machine code means the same
 * in 32 and 64 bits: no absolute addresses in operands, no short INC or DEC.
 */
#define SERIAL 0x3f8
#define HEADER 0x1f1

        .section .text
        .code16
        .globl  _start
_start:
setup:
        .org    setup + HEADER
        .byte   1                       /* setup sectors beside the first      */
        .word   0
        .long   (body_end - body) / 16
        .word   0, 0, 0
        .word   0xaa55
        .byte   0xeb, real - setup - 0x202     /* a short jump                 */
        .ascii  "HdrS"
        .word   0x20f
        .long   0
        .word   0, 0
        .byte   0, 1                    /* loader; loaded high                 */
        .word   0
        .long   0x100000                /* code32_start                        */
        .long   0, 0, 0                 /* initrd; bootsect_kludge             */
        .word   0
        .byte   0, 0
        .long   0                       /* command line                        */
        .long   0x7fffffff              /* highest byte of the initrd          */
        .long   0x200000
        .byte   0, 21                   /* not relocatable                     */
#ifdef ONLY_32
        .word   0
#else
        .word   1                       /* has a 64-bit entry                  */
#endif
        .long   255                     /* longest command line                */
        .long   0
        .quad   0
        .long   0, 0
        .quad   0
        .quad   0x100000                /* preferred address                   */
        .long   0x10000                 /* init size                           */
        .long   0
real:   jmp     go

        .balign 4
gdt:    .quad   0, 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdtr:   .word   4 * 8 - 1
        .long   0

go:     cli
        cld
        movw    $(real_text - setup), %si
1:      lodsb
        testb   %al, %al
        jz      2f
        movw    $SERIAL, %dx
        outb    %al, %dx
        jmp     1b
2:      xorl    %esi, %esi
        movw    %ds, %si
        shll    $4, %esi                /* the parameters lie in the setup     */
        leal    gdt - setup(%esi), %eax
        movl    %eax, gdtr - setup + 2
        lgdtl   gdtr - setup
        movl    %cr0, %eax
        orb     $1, %al
        movl    %eax, %cr0
        ljmpl   $0x10, $0x100000
real_text:
        .asciz  "entry: real mode\n"

        .org    setup + 1024
body:
/* ---- at 0x100000, 32 bits: ESI the parameters ------------------------------------ */
        .code32
        movl    $0x18, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        movl    $0x9f000, %esp
        movl    %esi, %ebp
        movl    $(0x100000 + text32 - body), %esi
        call    put
        jmp     common

        .org    body + 0x200
/* ---- at 0x100200, 64 bits: RSI the parameters --------------------------------------- */
        .code64
        movl    $0x9f000, %esp
        movl    %esi, %ebp
        movl    $(0x100000 + text64 - body), %esi
        call    put
        jmp     common

/* ---- 32 or 64 bits: EBP the parameters ------------------------------------------------ */
        .code32
common: movb    $0x50, %al              /* which boot, from CMOS               */
        outb    %al, $0x70
        inb     $0x71, %al
        movb    %al, %bl
        movb    $0x50, %al
        outb    %al, $0x70
        movb    %bl, %al
        addb    $1, %al
        outb    %al, $0x71
        movl    $(0x100000 + text_boot - body), %esi
        call    put
        movb    %bl, %al
        addb    $'1', %al
        movw    $SERIAL, %dx
        outb    %al, %dx
        movl    $(0x100000 + text_state - body), %esi
        call    put
        movl    $(0x100000 + state - body), %esi
        call    put
        movb    $'#', (%esi)            /* just past it: not restored, unread  */
        movl    $(0x100000 + state - body), %esi
        movb    $'#', (%esi)
        movl    $(0x100000 + text_cmdline - body), %esi
        call    put
        movl    0x228(%ebp), %esi
        call    put
        movl    $(0x100000 + text_initrd - body), %esi
        call    put
        movl    0x218(%ebp), %esi
        movl    0x21c(%ebp), %ecx
        testl   %ecx, %ecx
        jz      2f
        movb    (%esi), %bh
1:      lodsb
        outb    %al, %dx
        subl    $1, %ecx
        jnz     1b
        movl    0x218(%ebp), %esi
        movb    $'#', (%esi)
2:      movl    $(0x100000 + text_end - body), %esi
        call    put
        testb   %bl, %bl
        jz      3f
        movb    $21, %al
        outb    %al, $0xf4
3:      movb    $0xfe, %al
        outb    %al, $0x64
4:      hlt
        jmp     4b

put:    movw    $SERIAL, %dx
5:      lodsb
        testb   %al, %al
        jz      6f
        outb    %al, %dx
        jmp     5b
6:      ret

text32: .asciz  "entry: 32 bits\n"
text64: .asciz  "entry: 64 bits\n"
text_boot:
        .asciz  "boot: "
text_state:
        .asciz  "\nstate: "
state:  .asciz  "fresh"
        .byte   0
text_cmdline:
        .asciz  "\ncmdline: "
text_initrd:
        .asciz  "\ninitrd: "
text_end:
        .asciz  "\nend\n"
        .balign 512
body_end:
