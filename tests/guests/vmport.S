/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmport: 64 KiB of firmware that accesses ports for tests/func/vmport.py. Over
 * the first serial port come 28 bytes: EAX EBX ECX EDX ESI EDI, and what to do:
 * 0 "in dx, eax", 1 "out eax", 2 "in al", 3 "out al", 4 "in ax". The first six
 * go back as they are after it.
 */
        .code16
        .globl  _start
_start:
        cli
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
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
        movw    $28, %cx
1:      movw    $0x3fd, %dx
2:      movw    $1000, %bx              /* others want the machine too        */
5:      decw    %bx
        jnz     5b
        inb     %dx, %al
        testb   $1, %al
        jz      2b
        movw    $0x3f8, %dx
        inb     %dx, %al
        stosb
        loop    1b
        movw    $0x600, %sp             /* in the order of PUSHes reversed     */
        popl    %eax
        popl    %ebx
        popl    %ecx
        popl    %edx
        popl    %esi
        popl    %edi
        cmpb    $1, 0x618
        jb      in_4
        je      out_4
        cmpb    $3, 0x618
        jb      in_1
        je      out_1
        inw     %dx, %ax
        jmp     done
in_4:   inl     %dx, %eax
        jmp     done
out_4:  outl    %eax, %dx
        jmp     done
in_1:   inb     %dx, %al
        jmp     done
out_1:  outb    %al, %dx
done:   pushl   %edi
        pushl   %esi
        pushl   %edx
        pushl   %ecx
        pushl   %ebx
        pushl   %eax
        movw    $0x600, %si
        movw    $24, %cx
3:      movw    $0x3fd, %dx
4:      inb     %dx, %al
        testb   $0x20, %al
        jz      4b
        movw    $0x3f8, %dx
        lodsb
        outb    %al, %dx
        loop    3b
        jmp     again

        .section .head, "ax"
        ljmp    $0xf000, $_start
