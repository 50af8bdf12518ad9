#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""cirrus-vga beside the installed emulator's ($PEER): the same blits by both
blitters, video memory compared after each, for all raster operations, depths,
and kinds of source; the same modes with a pointer, the pictures compared.

Left out, because the two differ on purpose: dword-wise bits from the processor
(padded to dwords here), blits whose source the blit itself overwrites within a
line, scan doubling above 8 bits. Arguments: first seed, blits, pictures."""
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, "tests")
import libtern                                                   # noqa: E402

TERN = os.environ.get("TERN", "build/tern")
PEER = os.environ.get("PEER") or shutil.which("qemu-system-x86_64")
SLOW = os.environ.get("TEST_SLOW")
SEED, BLITS, PICTURES = (int(a) for a in (sys.argv[1:] + [
    "1", "1200" if SLOW else "160", "30" if SLOW else "5"][len(sys.argv) - 1:]))
SIZE = 4 << 20
MEM, REGS = 0xe0000000, 0xf0000000
ROPS = (0, 5, 6, 9, 0xb, 0xd, 0xe, 0x50, 0x59, 0x6d, 0x90, 0x95, 0xad, 0xd0,
        0xd6, 0xda)
tmp = tempfile.mkdtemp(prefix="cirrus-")


class Side:
    def __init__(self, exe, ours):
        mon, theirs = socket.socketpair()
        self.path = "%s/%d.ppm" % (tmp, ours)
        self.p = subprocess.Popen(
            [exe, "-M", "pc", "-m", "16", "-nodefaults", "-vga", "none", "-S",
             "-display", "none", "-device", "cirrus-vga,addr=2,romfile=",
             "-qtest", "stdio", "-chardev", "socket,id=m,fd=%d" %
             theirs.fileno(), "-mon", "m,mode=control"] +
            (["-accel", "qtest"] if ours else []), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            pass_fds=[theirs.fileno()])
        theirs.close()
        self.qmp = libtern.Qmp(mon, 60, exe).ask
        for reg, val in ((0x10, MEM), (0x14, REGS), (4, 7)):
            self.do("outl 0xcf8 0x%x" % (0x80001000 | reg),
                    "outl 0xcfc 0x%x" % val)
        self.do("outb 0x3c2 0x67")

    def do(self, *lines):
        """Sends all of them, returns what the last one answered."""
        self.p.stdin.write("\n".join(lines) + "\n")
        self.p.stdin.flush()
        for _ in lines:
            r = self.p.stdout.readline()
            while r and not r.startswith("OK"):
                r = self.p.stdout.readline()
        return (r.split() + [""])[1]

    def picture(self):
        self.qmp("screendump", filename=self.path)
        with open(self.path, "rb") as f:
            return f.read()

    def quit(self):
        self.p.kill()
        self.p.wait()


def reg(port, i, v):
    return ["outb 0x%x %d" % (port, i), "outb 0x%x %d" % (port + 1, v)]


def write(at, data):
    return "write 0x%x 0x%x 0x%s" % (MEM + at, len(data), data.hex())


def blit_case(r, base):
    """Lines that set a blit up, and whether it wants data."""
    kind = r.choice(("copy", "copy", "bits", "tile", "bit tile", "fill", "fed",
                     "fed bits", "fed tile", "fed bit tile"))
    depth = r.randrange(4)
    size = depth + 1
    w = r.choice((2, 3, 4, 8, 16, 24, 31, 64)) * size
    h = r.choice((1, 2, 3, 8, 9))
    mode, ext = depth << 4, 0
    if kind == "copy":
        mode |= r.choice((0, 0, 1))
    if "bit" in kind:
        mode |= 0x80
    if "tile" in kind:
        mode |= 0x40
    if kind == "fill":
        mode, ext = mode | 0xc0, 4
    elif r.random() < 0.4:
        mode |= 8
        ext |= r.choice((0, 2))
    if kind.startswith("fed"):
        mode |= 4
    dp, sp = (r.choice((w, w + 3, 128, 256)) for _ in range(2))
    dst, src = base + r.randrange(0x1000), base + r.randrange(0x1000)
    if kind == "copy":
        if r.random() < 0.3:
            src = dst + r.randrange(-20, 20)
    else:
        src += 0x2800
    if r.random() < 0.1:
        dst = r.choice((0, SIZE - 10, SIZE - 100, SIZE - w))
    if kind == "fill" and dst + h * dp > SIZE:
        dst = base
    # bits beyond what was fed are whatever was there before
    skip = 0 if kind == "fed bits" else r.choice((0, 0, 1, 3, 7))
    rows = ((0x20, w - 1, 2), (0x22, h - 1, 2), (0x24, dp, 2), (0x26, sp, 2),
            (0x28, dst, 3), (0x2c, src, 3), (0x2f, skip, 1),
            (0x30, mode, 1), (0x32, r.choice(ROPS), 1), (0x33, ext, 1),
            (0x34, r.randrange(4) * 0x5555, 2))
    lines = []
    for i, v, n in rows:
        for k in range(n):
            lines += reg(0x3ce, i + k, v >> 8 * k & 255)
    for i in (0, 1, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15):
        lines += reg(0x3ce, i, r.randrange(256))
    lines += reg(0x3ce, 0x31, 0) + reg(0x3ce, 0x31, 2)
    if mode & 4:
        n = 300 if mode & 0x40 else h * (w + 8)
        data = r.randbytes(n + 3 & ~3)
        # what is left of the last dword: padding here everywhere
        at = r.choice((0xe1000000, 0xa0000) if kind == "fed bits"
                      else (0xe1000000, 0xa0000, MEM))
        lines += ["writel 0x%x 0x%x" % (at + (k & 0x7ffc), int.from_bytes(
            data[k:k + 4], "little")) for k in range(0, len(data), 4)]
        lines += reg(0x3ce, 0x31, 4) + reg(0x3ce, 0x31, 0)
    return "%s %d bytes mode %02x" % (kind, w, mode), lines


def blits(sides):
    bad = []
    for s in sides:
        s.do(*reg(0x3c4, 7, 1))
    for seed in range(SEED, SEED + BLITS):
        r = random.Random(seed)
        base = r.choice((0x1000, 0x200000, SIZE - 0x8000))
        blob = r.randbytes(0x4000)
        if r.random() < 0.3:
            blob = bytes(r.choice((0, 0x55, 0xaa, 0xff)) for _ in range(0x4000))
        name, lines = blit_case(r, base)
        lines = [write(base, blob), write(0, bytes(4096)),
                 write(SIZE - 4096, bytes(4096) if base < SIZE // 2
                       else blob[:4096])] + lines
        reads = ["read 0x%x 0x%x" % (MEM + at, n) for at, n in
                 ((0, 4096), (base - 0x1000, 0x6000), (SIZE - 4096, 4096))]
        for s in sides:
            s.do(*lines)
        if any(sides[0].do(x) != sides[1].do(x) for x in reads):
            bad.append("seed %d: %s" % (seed, name))
    return bad


def mode_case(r):
    w, h = r.choice(((640, 480), (320, 200), (800, 600)))
    depth = r.choice((8, 8, 16, 24, 32))
    stride = w * (depth // 8) // 8
    start = r.choice((0, 0, 80, 0x10000, 0x4321))
    crtc = {1: w // 8 - 1, 7: (h - 1 >> 7 & 2) | (h - 1 >> 3 & 0x40) | 0x10,
            9: 0x40, 0xc: start >> 8 & 255, 0xd: start & 255,
            0x12: h - 1 & 255, 0x13: stride & 255, 0x17: 0xe3, 0x18: 0xff,
            0x1b: 0x22 | stride >> 4 & 0x10 | start >> 16}
    if depth == 8 and r.random() < 0.4:
        crtc[9] = r.choice((0x41, 0xc0))
    lines = [x for i, v in crtc.items() for x in reg(0x3d4, i, v)]
    lines += reg(0x3c4, 6, 0x12)
    lines += reg(0x3c4, 7, {8: 1, 16: 7, 24: 5, 32: 9}[depth])
    lines += ["inb 0x3c8"] + ["inb 0x3c6"] * 4
    lines += ["outb 0x3c6 0x%x" % {8: 0, 16: 0xe1, 24: 0xe5, 32: 0xe5}[depth]]
    lines += reg(0x3ce, 5, 0x40) + reg(0x3ce, 6, 5) + reg(0x3c4, 4, 14)
    lines += ["outb 0x3c6 0xff", "outb 0x3c8 0"]
    lines += ["outb 0x3c9 %d" % r.randrange(64) for _ in range(768)]
    blob = r.randbytes(0x8000)
    lines += [write(at, blob) for at in range(0, 2 << 20, 0x20000)]
    if r.random() < 0.7:
        lines += [write(SIZE - 0x4000, r.randbytes(0x4000))]
        lines += reg(0x3c4, 0x12, 2)
        for i in (0, 15):
            lines += ["outb 0x3c8 %d" % i]
            lines += ["outb 0x3c9 %d" % r.randrange(64) for _ in range(3)]
        lines += reg(0x3c4, 0x13, r.randrange(256))
        lines += reg(0x3c4, r.choice((0x10, 0x30, 0xf0)), r.randrange(100))
        lines += reg(0x3c4, r.choice((0x11, 0x31, 0xf1)), r.randrange(70))
        lines += reg(0x3c4, 0x12, r.choice((1, 5)))
    else:
        lines += reg(0x3c4, 0x12, 0)
    return "%dx%dx%d" % (w, h, depth), lines + ["inb 0x3da", "outb 0x3c0 0x20"]


def pictures(sides):
    bad = []
    for seed in range(SEED, SEED + PICTURES):
        name, lines = mode_case(random.Random(seed))
        for s in sides:
            s.do(*lines)
        if sides[0].picture() != sides[1].picture():
            bad.append("seed %d: %s" % (seed, name))
    return bad


if not PEER:
    print("1..0 # SKIP no other emulator is installed")
    sys.exit(0)
sides = [Side(TERN, True), Side(PEER, False)]
try:
    for i, (what, bad) in enumerate((("%d blits" % BLITS, blits(sides)),
                                     ("%d pictures" % PICTURES,
                                      pictures(sides)))):
        for b in bad:
            print("#", b)
        print("%sok %d - %s equal" % ("not " if bad else "", i + 1, what))
    print("1..2")
finally:
    for s in sides:
        s.quit()
    shutil.rmtree(tmp)
sys.exit(bool(bad))
