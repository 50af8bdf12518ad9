/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * boot-hello: a boot sector. Says "boot-hello: started from drive XX" on the
 * first serial port and on the debug console (port 0xe9), where XX is the
 * drive number in DL that the firmware passes, then halts.
 */
        .code16
        .globl  _start
_start:
        cli
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %ss
        movw    $0x7c00, %sp
        movw    $message, %si
1:      lodsb
        testb   %al, %al
        jz      2f
        call    put
        jmp     1b
2:      movb    %dl, %al
        shrb    $4, %al
        call    digit
        movb    %dl, %al
        andb    $15, %al
        call    digit
        movb    $'\n', %al
        call    put
3:      hlt
        jmp     3b

digit:  addb    $'0', %al
        cmpb    $'9', %al
        jbe     put
        addb    $'a' - '0' - 10, %al
put:    pushw   %dx                     /* AL to both ports */
        outb    %al, $0xe9
        movw    $0x3f8, %dx
        outb    %al, %dx
        popw    %dx
        ret

message:
        .asciz  "boot-hello: started from drive "
