/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mce: 64 KiB of firmware that reads and writes model-specific registers for
 * tests/func/mce.py, and counts machine checks. Over the first serial port come
 * 16 bytes: what to do, ECX, EAX, EDX: 0 RDMSR, 1 WRMSR, 2 write CR4, 3 tell the
 * count. EAX and EDX go back.
 */
        .code16
        .globl  _start
_start:
        cli
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    $0x7000, %sp
        movw    $check, 18 * 4          /* the machine check's vector         */
        movw    $0xf000, 18 * 4 + 2
        movl    $0, 0x500
        movw    $0x3fb, %dx             /* 115200 baud, 8 bits                */
        movb    $0x83, %al
        outb    %al, %dx
        movw    $0x3f8, %dx
        movb    $1, %al
        outb    %al, %dx
        incw    %dx
        movb    $0, %al
        outb    %al, %dx
        movw    $0x3fb, %dx
        movb    $3, %al
        outb    %al, %dx
again:  movw    $0x600, %di
        movw    $16, %cx
1:      movw    $0x3fd, %dx
2:      movw    $1000, %bx              /* others want the machine too        */
3:      decw    %bx
        jnz     3b
        inb     %dx, %al
        testb   $1, %al
        jz      2b
        movw    $0x3f8, %dx
        inb     %dx, %al
        stosb
        loop    1b
        movl    0x604, %ecx
        movl    0x608, %eax
        movl    0x60c, %edx
        cmpb    $1, 0x600
        jb      read
        je      write
        cmpb    $2, 0x600
        je      cr4
        movl    0x500, %eax
        jmp     done
read:   rdmsr
        jmp     done
write:  wrmsr
        jmp     done
cr4:    movl    %eax, %cr4
done:   movl    %eax, 0x600
        movl    %edx, 0x604
        movw    $0x600, %si
        movw    $8, %cx
4:      movw    $0x3fd, %dx
5:      inb     %dx, %al
        testb   $0x20, %al
        jz      5b
        movw    $0x3f8, %dx
        lodsb
        outb    %al, %dx
        loop    4b
        jmp     again

check:  incl    0x500                   /* DS is 0 everywhere                 */
        iretw
        .section .head, "ax"
        ljmp    $0xf000, $_start
