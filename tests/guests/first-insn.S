/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * first-insn: a 64-KiB firmware image whose first instruction, at the reset
 * vector, ends the emulator through isa-debug-exit at port 0xf4. For "make
 * bench": how long until a guest runs.
 */
        .code16
        .globl  _start
_start:
        movb    $0, %al
        outb    %al, $0xf4
1:      hlt
        jmp     1b
