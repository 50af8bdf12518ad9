#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every ATA opcode, with the values that matter and some that do not, to the
program's and to the peer's IDE disk and CD-ROM drive: registers and data are the
same. What is not is listed with a reason."""

import os
import struct
import sys
import tempfile

from libata import Rig
from libqmp import OURS, PEER, end, peer_there, result

SHOWN = int(os.environ.get("ATA_SHOWN", "1"))
SECTORS = 20480
# From the device: all others that move data take it.
TO_DEVICE = {0x30, 0x31, 0x34, 0x39, 0x3c, 0xc5, 0xe8, 0xf1, 0xf2, 0xf4, 0xf6}
DMA = {0x06, 0x25, 0x35, 0xc8, 0xc9, 0xca, 0xcb}

# ATA opcodes that are not compared, and why.
SKIPPED = {
    0x06: "the peer counts what TRIM's list names as sectors moved",
    0x40: "beyond the end the peer verifies", 0x42: "the same",
    0x41: "the same",
    0x91: "the peer's geometry outlives a reset", 0xf5: "registers after it",
}
# Data is asked for first, or the address is looked at first.
WRITES = {0x30, 0x31, 0x34, 0x39, 0x3c, 0xc5, 0xca, 0xcb, 0x35}


class Disks(Rig):
    def ata(self, cmd, regs, high=()):
        """Status and data of one command. regs: feature to select; high: what
        is written before, for 48 bits."""
        seen = []
        dma, write = cmd in DMA, cmd in (0x35, 0xca, 0xcb, 0x06)
        self.ask_all((self.dma_start(write) if dma else []) + [
            "outb %#x %#x" % x for x in
            [(self.base + r, v) for r, v in enumerate(high, 1)] +
            [(self.base + r, v) for r, v in enumerate(regs, 1)] +
            [(self.base + 7, cmd)] +
            ([(self.bm, 1 if write else 9)] if dma else [])])
        for _ in range(0 if dma else 12):
            s, more = self.ready()
            seen.append((s, more))
            if not s & 8 or s & 0x80:
                break
            if cmd in TO_DEVICE:
                self.ask_all(["outw %#x %#x" % (self.base, 0x1100 + i)
                              for i in range(256)])
            else:
                data = self.words(256)
                # of SMART data, the attributes
                seen.append(data[:172] if cmd == 0xb0 else data)
        if dma:
            active, data = self.dma_end()
            seen += [data, self.ready()]
            if not seen[-1][0] & 1:    # after an error it may seem to go on
                seen[0:0] = [active]
        return seen


def disk_cases():
    """Opcode, low registers (feature, count, LBA in three, select), high."""
    for cmd in range(256):
        if cmd == 0x91:                # of no sectors the peer dies at the next
            continue
        yield cmd, (0, 1, 1, 0, 0, 0xe0), (0,) * 5
        yield cmd, (1, 2, 1, 0, 0, 0xe0), (0,) * 5
    for cmd in (0x20, 0x30, 0xc4, 0xc5, 0xc8, 0xca, 0x40):
        for lba in (SECTORS - 1, SECTORS - 2, SECTORS):
            yield cmd, (0, 2, lba & 255, lba >> 8 & 255, lba >> 16, 0xe0), ()
        yield cmd, (0, 1, 63, 5, 0, 0xa3), ()
        yield cmd, (0, 1, 64, 5, 0, 0xa3), ()
        yield cmd, (0, 1, 1, 20, 0, 0xa0), ()
    for cmd in (0x24, 0x34, 0x29, 0x39, 0x25, 0x35, 0x42):
        yield cmd, (0, 2, 7, 0, 0, 0x40), (0, 0, 0, 0, 0)
        yield cmd, (0, 1, 7, 0, 0, 0x40), (0, 0, 1, 0, 0)
        yield cmd, (0, 1, 7, 0, 0, 0x40), (0, 0, 0, 0, 1)
    for sub in (0xd0, 0xd1, 0xd9, 0xda):                   # SMART
        yield 0xb0, (0xd8, 0, 0, 0x4f, 0xc2, 0xa0), ()
        for n in (0, 1, 6, 9, 0xe0):
            yield 0xb0, (sub, 1, n, 0x4f, 0xc2, 0xa0), ()
        yield 0xb0, (sub, 1, 0, 0, 0, 0xa0), ()
        yield 0xb0, (0xd9, 0, 0, 0x4f, 0xc2, 0xa0), ()
        yield 0xb0, (sub, 1, 0, 0x4f, 0xc2, 0xa0), ()
    for sub in range(256):
        yield 0xef, (sub, 0x42, 0, 0, 0, 0xa0), ()
    for mode in (0, 1, 8, 9, 10, 11, 12, 16, 17, 18, 32, 33, 34, 64, 65, 66, 67,
                 68, 69):
        yield 0xef, (3, mode, 0, 0, 0, 0xa0), ()
        yield 0xec, (0, 0, 0, 0, 0, 0xa0), ()
    for n in (0, 1, 2, 3, 4, 8, 16, 17, 32, 128):
        yield 0xc6, (0, n, 0, 0, 0, 0xa0), ()
        yield 0xec, (0, 0, 0, 0, 0, 0xa0), ()
    for sub in (0, 1, 0x4e, 0x44):
        for cmd in (0x95, 0xe1, 0x97, 0xe3, 0x99, 0xe6, 0x98, 0xe5):
            yield cmd, (sub, 5, 0, 0, 0, 0xa0), ()


def compare(name, rigs, cases, run):
    """The cases on both; the first differences."""
    n, wrong = 0, {}
    for case in cases:
        try:
            a, b = (run(r, case) for r in rigs)
        except (OSError, RuntimeError):
            for r in rigs:
                print("# %s: %s, at %s" % (r.proc.args[0], r.proc.poll(), case),
                      flush=True)
            raise
        n += 1
        if a != b and not (
                case[0] in SKIPPED or case[0] in WRITES and
                a[-1][0] == b[-1][0] == 0x41):
            wrong.setdefault("%02x" % case[0], []).append(
                "%s\n  peer %s\n  here %s" % (case, str(b)[:300],
                                              str(a)[:300]))
    texts = [x for w in wrong.values() for x in w[:SHOWN]]
    result(not wrong, "%s: %d commands" % (name, n),
           "differ: " + " ".join(wrong), *texts)


def main():
    if not peer_there():
        print("1..0 # SKIP the peer is not installed")
        return 0
    with tempfile.TemporaryDirectory(prefix="tern-ata-") as folder:
        rigs = []
        for i, prog in enumerate((OURS, PEER)):
            sub = "%s/%d" % (folder, i)
            os.mkdir(sub)
            args = []
            for name, size, bus in (("hd", SECTORS * 512, "ide-hd,bus=ide.0"),
                                    ("cd", 4 << 20, "ide-cd,bus=ide.1")):
                with open("%s/%s" % (sub, name), "wb") as f:
                    for k in range(64):
                        f.write(struct.pack("<I", k) * 512)
                    f.truncate(size)
                args += ["-drive", "if=none,id=%s,format=raw,file=%s%s" % (
                    name, name, "" if name == "hd" else ",readonly=on"),
                    "-device", bus + ",drive=%s,serial=1,ver=2.5+" % name]
            rigs.append(Disks(prog, sub, args))

        def ata(base, unit):
            def run(r, case):
                cmd, regs, high = case
                r.select(base, unit)
                regs = regs[:5] + (regs[5] | unit << 4,)
                return r.ata(cmd, regs, high)
            return run

        compare("disk", rigs, disk_cases(), ata(0x1f0, 0))
        compare("CD-ROM drive's ATA", rigs,
                ((c, (0, 1, 1, 0, 0, 0xa0), ()) for c in range(256)
                 if c != 0xa0), ata(0x170, 0))
        for r in rigs:
            r.end()
    return end()


sys.exit(main())
