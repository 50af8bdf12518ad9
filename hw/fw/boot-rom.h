/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * boot-rom.h - what the boot ROMs begin with and how they read fw_cfg, for
 * assembler (PC expansion ROM and boot entry vector: Plug and Play BIOS
 * specification 1.0A, section 3.2; BIOS Boot Specification 1.01, section 3.3).
 *
 * The ROMs run in real mode. Everything is copied by fw_cfg's DMA, which reaches
 * all memory without leaving it. They are linked into the emulator's constants,
 * so addresses are differences of labels. boot_rom_add() sets their checksums.
 */
#define DMA_HIGH   0x514
#define DMA_LOW    0x518
#define DMA_READ        0x02
#define DMA_SELECT_READ 0x0a            /* | key << 16                         */

/* Headers. Needs labels rom (before it), rom_end, boot. */
        .macro  rom_head product
        .byte   0x55, 0xaa
        .byte   (rom_end - rom) / 512
        lret                            /* initialisation: nothing to do       */
        .org    rom + 0x18
        .word   0                       /* no PCI data structure               */
        .word   1f - rom
        .balign 16
1:      .ascii  "$PnP"
        .byte   1, 2                    /* revision, length in 16 bytes        */
        .word   0, 0                    /* next header                         */
        .long   0                       /* device                              */
        .word   0                       /* manufacturer                        */
        .word   2f - rom
        .byte   2, 0, 0                 /* class: network, for the boot menu   */
        .byte   0x14                    /* read-cacheable, not an input device */
        .word   0, 0                    /* boot connection, disconnect         */
        .word   boot - rom
        .word   0, 0
2:      .asciz  "\product"
        .balign 16
        .endm

/* fw_dma: control EAX, ECX bytes, to physical address EDX. Keeps EBX, ESI, EDI;
 * waits until it is done. */
        .macro  rom_dma
fw_dma: jecxz   2f
        pushw   %bp
        /* The descriptor, big-endian, on the stack: control, length, address. */
        bswapl  %edx
        pushl   %edx
        pushl   $0
        bswapl  %ecx
        pushl   %ecx
        bswapl  %eax
        pushl   %eax
        movw    %sp, %bp
        xorl    %eax, %eax
        movw    %ss, %ax
        shll    $4, %eax
        movzwl  %bp, %edx
        addl    %edx, %eax
        bswapl  %eax
        pushl   %eax
        xorl    %eax, %eax
        movw    $DMA_HIGH, %dx
        outl    %eax, %dx
        popl    %eax
        movw    $DMA_LOW, %dx
        outl    %eax, %dx
1:      movl    (%bp), %eax             /* the device clears it when done      */
        bswapl  %eax
        testl   $~1, %eax
        jnz     1b
        addw    $16, %sp
        popw    %bp
2:      ret
        .endm
