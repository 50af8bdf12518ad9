#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A boot sector that asks the VGA BIOS for a mode and fills the screen: text,
CGA, planar, 256 colours and linear modes, on VGA and on Cirrus. The screen dumps
equal those of the installed emulator ($PEER) running the same sector. The end of
drawing is told on the debug port, and waited for."""
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, "tests")
import libtern                                                   # noqa: E402

TERN = libtern.TERN
PEER = os.environ.get("PEER") or shutil.which("qemu-system-x86_64")
PATIENCE = 120 * int(os.environ.get("TERN_TEST_PATIENCE", "1"))
MODES = (1, 3, 4, 6, 0xd, 0x10, 0x12, 0x13, 0x101, 0x103, 0x111, 0x112)
SOURCE = """
.code16
.globl _start
_start: xor %ax, %ax; mov %ax, %ds; mov %ax, %ss; mov $0x7c00, %sp; sti
    mov $0x4f02, %ax; mov mode, %bx
    cmp $0x100, %bx; jae 1f
    mov %bx, %ax
1:  int $0x10
    mov $0xa000, %ax
    mov mode, %bx
    cmp $0xd, %bx; jae 2f
    mov $0xb800, %ax
2:  mov %ax, %es
    xor %di, %di; xor %ax, %ax; mov $0x4000, %cx
3:  stosw; add $0x1357, %ax; rol $1, %ax; loop 3b
    cmp $0x13, %bx; jae 9f
    cmp $0xd, %bx; jb 9f
    mov $100, %dx               # planes, dot by dot
4:  xor %cx, %cx
5:  mov $0x0c, %ah; mov %cl, %al; shr $2, %al; and $15, %al
    xor %bh, %bh; int $0x10
    inc %cx; cmp $300, %cx; jne 5b
    inc %dx; cmp $110, %dx; jne 4b
9:  cmp $0x100, %bx; jae 8f
    mov $1, %ah; mov $0x2000, %cx; int $0x10   # no cursor: it blinks
8:  mov $'D', %al; mov $0xe9, %dx; out %al, %dx
7:  hlt; jmp 7b
.org 0x1f0
mode: .word 0
.org 0x1fe
    .word 0xaa55
"""
tmp = tempfile.mkdtemp(prefix="vga-modes-")


def sector():
    with open(tmp + "/s.S", "w") as f:
        f.write(SOURCE)
    for args in (["as", "--32", "-o", tmp + "/s.o", tmp + "/s.S"],
                 ["ld", "-m", "elf_i386", "-Ttext=0x7c00", "--oformat=binary",
                  "-o", tmp + "/s.bin", tmp + "/s.o"]):
        subprocess.run(args, check=True)
    with open(tmp + "/s.bin", "rb") as f:
        return bytearray(f.read())


def dump(exe, vga, image):
    """The screen once the guest has drawn; None: it did not."""
    told, out = tmp + "/told", tmp + "/dump.ppm"
    for path in (told, out):
        if os.path.exists(path):
            os.unlink(path)
    with libtern.Machine(
            "-accel", "tcg", "-display", "none", "-vga", vga, "-m", "32",
            "-net", "none", "-drive", "if=floppy,format=raw,file=" + image,
            "-boot", "a", "-debugcon", "file:" + told, "-serial", "none",
            program=exe, timeout=PATIENCE) as m:
        end = time.time() + PATIENCE
        while not (os.path.exists(told) and open(told, "rb").read()):
            if time.time() > end:
                return None
            time.sleep(0.1)
        m.cmd("screendump", filename=out)
        with open(out, "rb") as picture:
            return picture.read()


if not PEER or not shutil.which("as"):
    print("1..0 # SKIP no other emulator, or no assembler, is installed")
    sys.exit(0)
failed, n = 0, 0
try:
    boot = sector()
    for vga in ("std", "cirrus"):
        for mode in MODES:
            boot[0x1f0:0x1f2] = struct.pack("<H", mode)
            with open(tmp + "/floppy", "wb") as f:
                f.write(bytes(boot).ljust(1474560, b"\0"))
            ours, theirs = (dump(e, vga, tmp + "/floppy") for e in (TERN, PEER))
            n += 1
            same = ours is not None and ours == theirs
            failed += not same
            print("%sok %d - %s, mode %x" % ("" if same else "not ", n, vga,
                                             mode), flush=True)
    print("1..%d" % n)
finally:
    shutil.rmtree(tmp)
sys.exit(failed != 0)
