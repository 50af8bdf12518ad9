# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine whose IDE drives are driven by their registers over qtest: PIO and
the PIIX3's bus-master DMA."""

import struct

from libqmp import Machine

PRD, BUF, BM = 0x10000, 0x20000, 0xc000


class Rig(Machine):
    def __init__(self, prog, folder, drives):
        super().__init__(prog, folder, drives)
        self.bars()

    def bars(self):
        """The controller's ports."""
        for reg, v in ((0x04, 7), (0x20, BM | 1), (0x40, 0x80008000)):
            self.qt("outl 0xcf8 %#x" % (0x80000900 | reg))
            self.qt("outl 0xcfc %#x" % v)

    def outs(self, *pairs):
        self.ask_all(["outb %#x %#x" % p for p in pairs])

    def ins(self, *ports):
        return [int(x, 0) for x in self.ask_all(["inb %#x" % p for p in ports])]

    def select(self, base, unit):
        """A drive after a software reset."""
        self.base = base
        self.alt = 0x3f6 if base == 0x1f0 else 0x376
        self.bm = BM + (8 if base == 0x170 else 0)
        self.outs((self.bm, 0), (self.alt, 6), (self.alt, 2))
        self.ready()
        self.outs((base + 6, 0xa0 | unit << 4))

    def ready(self):
        """Status, and the registers then."""
        regs = range(self.base + 1, self.base + 7)
        for _ in range(100):
            s, *more = self.ins(*[self.alt] * 6, *regs)[5:]
            if not s & 0x80:
                break
        return s, more

    def words(self, n):
        """n words of data, as the device gives them."""
        return "".join(x[2:] for x in self.ask_all(["inw %#x" % self.base] * n))

    def dma_start(self, write):
        return ([
            "write %#x 8 0x%s" % (PRD, struct.pack("<II", BUF,
                                                   0x80000000).hex()),
            "memset %#x 0x10000 %#x" % (BUF, 0 if write else 0xcc),
            "outl %#x %#x" % (self.bm + 4, PRD), "outb %#x 6" % (self.bm + 2),
            "outb %#x %d" % (self.bm, 0 if write else 8)])

    def dma_end(self):
        for _ in range(300):
            s, = self.ins(self.bm + 2)
            if s & 4 or not s & 1:
                break
        self.outs((self.bm, 0))
        return s & 7, self.ask("read %#x 0x2000" % BUF)
