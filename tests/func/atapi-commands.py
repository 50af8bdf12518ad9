#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Packets to the program's and to the peer's IDE CD-ROM drives: every opcode, the
fields of those that drives know, byte counts and allocation lengths of all kinds,
by PIO and by DMA; trays that are locked, opened, emptied and filled by guest and
monitor. Registers, data, sense, events and what the monitor tells of the drives
are the same. ATAPI_SEED and ATAPI_ROUNDS: further random ones."""

import os
import random
import struct
import sys
import tempfile

from libata import BUF, Rig
from libqmp import OURS, PEER, end, peer_there, result

SEED = int(os.environ.get("ATAPI_SEED", "7"))
ROUNDS = int(os.environ.get("ATAPI_ROUNDS", "160"))
SHOWN = int(os.environ.get("ATAPI_SHOWN", "1"))
MOST = 0xfffe
# name, base, unit, bytes of the disc (None: the drive is empty)
DRIVES = (("CD", 0x1f0, 0, 4 << 20), ("DVD", 0x1f0, 1, 900 << 20),
          ("odd disc", 0x170, 0, 359999 * 2048 + 700),
          ("empty drive", 0x170, 1, None))


def be(form, *values):
    return struct.pack(">" + form, *values).ljust(12, b"\0")


class Drives(Rig):
    def __init__(self, prog, folder):
        args = []
        for n, (_, base, unit, size) in enumerate(DRIVES):
            drive = "if=none,id=d%d" % n
            if size is not None:
                with open("%s/disc%d" % (folder, n), "wb") as f:
                    for k in range(64):
                        f.write(struct.pack("<I", k << 8 | n) * 512)
                    f.truncate(size)
                drive += ",format=raw,readonly=on,file=disc%d" % n
            args += ["-drive", drive, "-device", "ide-cd,id=cd%d,drive=d%d,"
                     "bus=ide.%d,unit=%d" % (n, n, base == 0x170, unit)]
        with open(folder + "/other", "wb") as f:
            f.write(b"other" * 4096)
        super().__init__(prog, folder, args)

    def packet(self, n, cdb, limit=MOST, dma=False):
        """All that is seen of a packet: registers whenever the drive is not
        busy, and the data."""
        self.base, self.unit = DRIVES[n][1:3]
        base, alt = self.base, 0x3f6 if self.base == 0x1f0 else 0x376
        self.alt, self.bm = alt, 0xc000 + (8 if base == 0x170 else 0)
        look = ["inb %#x" % alt] + [
            "inb %#x" % (base + i) for i in range(1, 7)]
        asks = self.dma_start(False) if dma else []
        asks += ["outb %#x %#x" % x for x in (
            (base + 6, 0xa0 | self.unit << 4), (base + 1, int(dma)),
            (base + 4, limit & 255), (base + 5, limit >> 8),
            (base + 7, 0xa0))] + look
        asks += ["outw %#x %#x" % (base, w) for w in struct.unpack("<6H", cdb)]
        asks += ["outb %#x 9" % self.bm] if dma else []
        got = self.ask_all(asks + look)
        at = len(asks)
        first = at - 6 - dma - len(look)
        seen = [self.state_of(got[first:first + len(look)])]
        if dma:
            return known(cdb, seen + self.dma_done())
        seen.append(self.state_of(got[at:]))
        for _ in range(40):
            s, (_, _, _, low, high, _) = seen[-1]
            if not s & 8 or s & 0x80:
                return known(cdb, seen)
            size = low | high << 8
            if size & 1:               # the peer never comes to the end
                break
            seen += self.block(size, look)
        # in the midst of the data
        return known(cdb, seen + [self.reset(n, "device")])

    def state_of(self, got):
        """Status and registers, once the drive is not busy."""
        s, *more = [int(x, 0) for x in got]
        return self.registers() if s & 0x80 else (s, more)

    def dma_done(self):
        for _ in range(100):
            bm, s = self.ins(self.bm + 2, self.alt)
            if not bm & 1 or not s & 0x88:
                break
        got, _ = self.ask_all(["read %#x 0x2000" % BUF, "outb %#x 0" % self.bm])
        return [bm & 2, got.rstrip("c"), self.registers()]

    def registers(self):
        s, more = self.ready()
        return s, more

    def block(self, n, look):
        # the peer cuts what crosses a sector's end
        wide = not n & 3
        asks = ["%s %#x" % ("inl" if wide else "inw", self.base)] * (
            n // 4 if wide else n // 2)
        got = []
        while len(asks) > 8192:        # no more at a time than sockets take
            got += self.ask_all(asks[:8192])
            asks = asks[8192:]
        got += self.ask_all(asks + look)
        data = [int(x, 0) for x in got[:-len(look)]]
        return [struct.pack("<%d%s" % (len(data), "I" if wide else "H"),
                            *data).hex(), self.state_of(got[-len(look):])]

    def reset(self, n, how):
        base, unit = DRIVES[n][1:3]
        self.outs((base + 6, 0xa0 | unit << 4))
        if how == "device":
            self.outs((base + 7, 8))
        elif how == "software":
            alt = 0x3f6 if base == 0x1f0 else 0x376
            self.outs((alt, 6), (alt, 2))
        else:
            self.qmp("system_reset")
            self.qmp("query-status")
            self.bars()
        self.base, self.alt = base, 0x3f6 if base == 0x1f0 else 0x376
        return self.registers()


def known(cdb, seen):
    """What was seen without that in which the two may differ."""
    data = "".join(x for x in seen if isinstance(x, str))
    rest = [x for x in seen if not isinstance(x, str)]
    if cdb[0] == 0x43 and cdb[9] >> 6 == 1:
        data = data[:8]                # the peer's session has no first track
    elif cdb[0] == 0x5a and cdb[2] == 0x0e:
        data = data[:20]               # the peer gives what was in its buffer
    elif cdb[0] == 0x03 and data[4:6] == "00":
        data = data[:24]               # no sense: its code means nothing
    elif cdb[0] == 0xbe and cdb[9] & 0xf8 == 0xf8:
        raw = bytearray.fromhex(data[2:] if data[:2] == "0x" else data)
        for at in range(0, len(raw), 2352):
            raw[at + 12:at + 15] = bytes(len(raw[at + 12:at + 15]))
        data = raw.hex()               # its addresses are not in BCD
    return rest + [data]


# ---- cases: packet, byte count's limit, by DMA ------------------------------

def opcodes():
    for op in range(256):
        yield bytes([op]) + bytes(11), MOST, False
        yield bytes([op, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0, 0]), 0, False


def limits():
    """Byte counts and allocation lengths."""
    for limit in (0, 2, 3, 5, 8, 17, 18, 510, 511, 2047, 2048, 2049, 4095,
                  0xfffd, 0xfffe, 0xffff):
        for size in (0, 1, 2, 5, 18, 36, 255):
            yield bytes([0x12, 0, 0, 0, size]) + bytes(7), limit, False
            if limit in (0, 18):
                yield bytes([0x12, 0, 0, 0, size]) + bytes(7), limit, True
        for size in (1, 3, 20, 0x800):
            yield be("B6xHB", 0x43, size, 0), limit, False
        if limit > 200 or not limit:
            yield be("BBIBHB", 0x28, 0, 2, 0, 3, 0), limit, False
        if limit in (510, 2047, 2048, 4095, 0xfffd):
            yield be("BBIBHB", 0xbe, 0, 2, 0, 2, 0xf8), limit, False
    yield be("BBIBHB", 0x28, 0, 2, 0, 33, 0), MOST, False
    yield be("BBIBHB", 0xbe, 0, 2, 0, 30, 0xf8), 0xfffc, False


def contents():
    for how in (0, 2):
        for form in (0, 1, 2, 5):
            for at in (0, 1, 2, 0xaa):
                for control in (0, 0x40, 0x80, 0xc0):
                    yield (be("BBB3xBHB", 0x43, how, form, at, 64, control),
                           MOST, False)
        for size in (0, 1, 2, 3, 4, 12, 13, 4096):
            for control in (0, 0x40, 0x80):
                yield be("BB5xHB", 0x43, how, size, control), MOST, False


def configuration():
    for rt in (0, 1, 2, 3):
        for feature in (0, 1, 3, 0x1e, 0x105, 0xffff):
            yield be("BBH3xH", 0x46, rt, feature, 255), MOST, False
        for size in (0, 1, 2, 4, 7, 8, 10, 12, 19, 20, 21, 40, 4096):
            yield be("BBH3xH", 0x46, rt, 0, size), MOST, rt == 1


def events():
    for how in (0, 1, 2, 3):
        for classes in (0, 1, 2, 4, 8, 0x10, 0x12, 0x20, 0x40, 0x80, 0xff):
            for size in (0, 2, 4, 5, 8, 9):
                yield be("BB2xB2xH", 0x4a, how, classes, size), MOST, False


def reading(blocks):
    for kind in range(0, 32):
        yield be("BBIBHB", 0xbe, kind << 1 & 0xff, 3, 0, 1, 0x10), MOST, \
            False
    for field in list(range(0, 256, 8)) + [1, 0x17, 0xfc, 0xfe]:
        yield be("BBIBHB", 0xbe, 0, 3, 0, 1, field), MOST, False
    for field in (0, 0x10, 0xf8, 0x40):
        for sub in (1, 2, 4):
            yield be("BBIBHBB", 0xbe, 0, 3, 0, 1, field, sub), MOST, False
        for n in (0, 1, 2):
            for at in (0, blocks - 2, blocks - 1, blocks, 0xffffffff):
                for dma in (False, True):
                    yield (be("BBIBHB", 0xbe, 0, at & 0xffffffff, 0, n,
                              field), MOST, dma)
    for op in (0x28, 0xa8, 0x2b):
        for at in (0, blocks - 2, blocks - 1, blocks, 0xffffffff):
            for n in (0, 1, 2):
                for dma in (False, True):
                    yield (be("BBIBHB", op, 0, at & 0xffffffff, 0, n, 0)
                           if op == 0x28 else
                           be("BBIIBB", op, 0, at & 0xffffffff, n, 0, 0),
                           MOST, dma)


def structures():
    for form in list(range(16)) + list(range(16, 256, 8)) + [255]:
        yield be("BBIBBHBB", 0xad, 0, 0, 0, form, 64, 0, 0), MOST, False
    for form in (0, 1, 2, 4, 0xff):
        for media in (0, 1):
            for layer in (0, 1):
                for at in (0, 0x30000):
                    # of another layer, the peer heeds short lengths
                    for size in (8, 4096) if layer else (0, 3, 8, 4096):
                        yield (be("BBIBBHBB", 0xad, media, at, layer, form,
                                  size, 0, 0), MOST, False)
            for agid in (0, 0x40, 0x80):
                yield (be("BBIBBHBB", 0xad, media, 0, 0, form, 64, agid, 0),
                       MOST, False)


def pages():
    for op in (0x5a,):
        for page in range(256):
            yield be("BBB4xH", op, 0, page, 255), MOST, False
        for sub in (0, 1, 255):
            yield be("BBBB3xH", op, 8, 0x2a, sub, 64), MOST, False
    for page in (0, 1, 0x0e, 0x2a, 0x3f):
        for size in (0, 1, 2, 7, 8, 9, 255):
            yield be("BBB4xH", 0x5a, 0, page, size), MOST, False
    for page in (0, 1, 0x80, 0x83, 0xff):
        for how in (0, 1, 2, 3):
            for size in (0, 5, 28, 100, 255):
                yield be("BBBBB", 0x12, how, page, 0, size), MOST, False
    for how in range(8):
        for size in (0, 1, 2, 33, 34, 35, 255):
            yield be("BB5xH", 0x51, how, size), MOST, False
    for size in (0, 7, 8, 9):
        yield be("B7xH", 0xbd, size), MOST, False
        yield be("BB2xB", 0x03, 1, size), MOST, False
        yield be("B6xH", 0x25, size), size, False
    for speed in (0, 176, 0xffff):
        yield be("BBH", 0xbb, 0, speed), MOST, False


def groups(blocks):
    """What each drive is asked: all of it where it may make a difference."""
    every = {"opcodes": opcodes(), "byte counts": limits(),
             "READ TOC": contents(), "GET CONFIGURATION": configuration(),
             "events": events(), "reading": reading(blocks),
             "DVD structures": structures(), "pages": pages()}
    some = {"DVD": ("GET CONFIGURATION", "DVD structures"),
            "odd disc": ("READ TOC",), "empty drive": ("opcodes",)}
    some["CD"] = set(every) - {"DVD structures"}
    return {d[0]: [(k, v) for k, v in every.items() if k in some[d[0]]]
            for d in DRIVES}


# ---- trays -------------------------------------------------------------------

def sense(r, n):
    return r.packet(n, be("B3xB", 0x03, 18))


def probes(r, n):
    seen = []
    for cdb in (be("B", 0), be("B", 0), be("BB2xB2xH", 0x4a, 1, 0x10, 8),
                be("BB2xB2xH", 0x4a, 1, 0x10, 8), be("B", 0x25),
                be("B6xH", 0x46, 64), be("BBB4xH", 0x5a, 0, 0x2a, 64),
                be("BBIBHB", 0x28, 0, 0, 0, 1, 0), be("B6xH", 0x51, 64)):
        seen.append(r.packet(n, cdb))
        if seen[-1][-2][0] & 1:
            seen.append(sense(r, n))
    return seen


def monitor(r, n):
    told = [(e, {k: v for k, v in d.items()}) for e, d in r.told()]
    info = [{k: v for k, v in b.items() if k in (
        "locked", "tray_open", "removable", "qdev", "device")} | {
            "medium": b.get("inserted", {}).get("file")}
        for b in r.qmp("query-block") if b.get("qdev") == "cd%d" % n]
    return told, info


def guest(cdb):
    return lambda r, n: [r.packet(n, cdb), sense(r, n)]


def tray(name, **more):
    return lambda r, n: r.qmp(name, id="cd%d" % n, **more)


STEPS = {
    "lock": guest(be("B3xB", 0x1e, 1)), "unlock": guest(be("B3xB", 0x1e, 0)),
    "lock persistently": guest(be("B3xB", 0x1e, 3)),
    "guest ejects": guest(be("B3xB", 0x1b, 2)),
    "guest loads": guest(be("B3xB", 0x1b, 3)),
    "guest stops": guest(be("B3xB", 0x1b, 0)),
    "guest starts": guest(be("B3xB", 0x1b, 1)),
    "power condition": guest(be("B3xB", 0x1b, 0x22)),
    "immediate": guest(be("BB2xB", 0x1b, 1, 2)),
    "open tray": tray("blockdev-open-tray"),
    "force tray": tray("blockdev-open-tray", force=True),
    "close tray": tray("blockdev-close-tray"),
    "remove": tray("blockdev-remove-medium"),
    "insert": lambda r, n: r.qmp("blockdev-insert-medium", **{
        "id": "cd%d" % n, "node-name": "spare"}),
    "change": tray("blockdev-change-medium", filename="other", format="raw"),
    "change by force": tray("blockdev-change-medium", filename="other",
                            format="raw", force=True),
    "eject": tray("eject"), "force eject": tray("eject", force=True),
    "hmp eject": lambda r, n: r.hmp("eject d%d" % n),
    "hmp change": lambda r, n: r.hmp("change d%d other raw" % n),
    "device reset": lambda r, n: r.reset(n, "device"),
    "software reset": lambda r, n: r.reset(n, "software"),
    "machine reset": lambda r, n: r.reset(n, "machine"),
    "look": probes,
    "events": guest(be("BB2xB2xH", 0x4a, 1, 0x10, 8)),
    "ready": guest(be("B", 0)),
}


def walks(rnd, usual):
    """Sequences of steps: ones that people take, and random ones."""
    for _ in range(ROUNDS // 40):
        yield tuple(rnd.choice(list(STEPS)) for _ in range(12))
    if not usual:
        return
    yield ("eject", "look", "eject", "change", "look", "look")
    yield ("lock", "eject", "events", "look", "unlock", "eject", "look")
    yield ("lock", "force eject", "look", "change", "look", "unlock", "look")
    yield ("lock", "guest ejects", "look", "unlock", "guest ejects", "look",
           "guest loads", "look")
    for reset in ("device reset", "software reset", "machine reset"):
        yield ("lock", reset, "look", "guest ejects", "look", reset, "look",
               "guest loads", "ready", reset, "look", "unlock")
    yield ("change", "look", "change", "events", "events", "ready", "look")
    yield ("open tray", "look", "remove", "look", "insert", "close tray",
           "look", "look")
    yield ("lock", "open tray", "look", "force tray", "look", "guest loads",
           "unlock", "look")
    yield ("lock persistently", "guest ejects", "look", "unlock")
    yield ("hmp eject", "look", "hmp change", "look")
    yield ("lock", "change", "look", "change by force", "look", "unlock")


def random_ones(rnd):
    for _ in range(ROUNDS):
        cdb = bytearray(rnd.choice((0, 0, 0, 1, 2, 4, 8, rnd.randrange(256)))
                        for _ in range(12))
        cdb[0] = rnd.choice((0x12, 0x5a, 0x28, 0x43, 0x25, 0x03, 0x4a, 0x46,
                             0x51, 0xad, 0xbd, 0xbe, 0xa8, 0x2b))
        cdb[6] *= cdb[0] != 0xad
        # the peer waits for ever where a list is too short for a read
        yield bytes(cdb), rnd.choice((MOST, MOST, 0, 3, 2048)), \
            cdb[0] not in (0x28, 0xa8, 0xbe) and not rnd.randrange(3)


# ---- the comparison ----------------------------------------------------------

def differ(name, rigs, n, cases):
    wrong, count = [], 0
    for cdb, limit, dma in cases:
        pair = [r.packet(n, cdb, limit, dma) for r in rigs]
        extra = [sense(r, n) for r in rigs] if pair[1][-2][0] & 1 else [0, 0]
        count += 1
        if pair[0] != pair[1] or extra[0] != extra[1]:
            wrong.append("%s limit %#x%s\n  peer %s\n  here %s" % (
                cdb.hex(), limit, " dma" if dma else "",
                str((pair[1], extra[1]))[:600], str((pair[0], extra[0]))[:600]))
    result(not wrong, "%s: %d packets" % (name, count),
           "%d differ" % len(wrong), *wrong[:SHOWN])


def walk_all(rigs, n, name, usual):
    rnd = random.Random(SEED)
    wrong, count = [], 0
    for walk in walks(rnd, usual):
        for r in rigs:                 # where each begins
            r.qmp("blockdev-close-tray", id="cd%d" % n)
            r.told()
        for at, step in enumerate(walk):
            a, b = ((STEPS[step](r, n), monitor(r, n)) for r in rigs)
            count += 1
            if a != b:
                wrong.append("%s\n  peer %s\n  here %s" % (
                    walk[:at + 1], *different(b, a)))
                break
        for r in rigs:
            settle(r, n)
    result(not wrong, "%s: %d steps of trays" % (name, count),
           "%d differ" % len(wrong), *wrong[:SHOWN])


def different(a, b):
    """The parts of two like things that differ."""
    if isinstance(a, (list, tuple)) and isinstance(b, type(a)) and \
            len(a) == len(b):
        pairs = [different(x, y) for x, y in zip(a, b) if x != y]
        return (str([p[0] for p in pairs])[:900],
                str([p[1] for p in pairs])[:900])
    return str(a)[:900], str(b)[:900]


def settle(r, n):
    """The drive unlocked, closed and with its own disc."""
    r.packet(n, be("B3xB", 0x1e, 0))
    if DRIVES[n][3] is None:
        r.qmp("eject", id="cd%d" % n, force=True)
        r.qmp("blockdev-close-tray", id="cd%d" % n)
    else:
        r.qmp("blockdev-change-medium", id="cd%d" % n, format="raw",
              filename="disc%d" % n, force=True)
    for _ in range(3):
        r.packet(n, be("B", 0))
        sense(r, n)
        r.packet(n, be("BB2xB2xH", 0x4a, 1, 0x10, 8))
    r.told()


def compare(folder, rigs):
    for i, prog in enumerate((OURS, PEER)):
        os.mkdir("%s/%d" % (folder, i))
        rigs.append(Drives(prog, "%s/%d" % (folder, i)))
        rigs[i].qmp("blockdev-add", **{
            "driver": "raw", "node-name": "spare", "read-only": True,
            "file": {"driver": "file", "filename": "other"}})
    for n, (name, _, _, size) in enumerate(DRIVES):
        for what, cases in groups((size or 0) // 2048)[name]:
            differ("%s, %s" % (name, what), rigs, n, cases)
        if name in ("CD", "empty drive"):
            walk_all(rigs, n, name, name == "CD")
            differ(name + ", random", rigs, n,
                   random_ones(random.Random(SEED)))
    for r in rigs:
        r.end()


def main():
    if not peer_there():
        print("1..0 # SKIP the peer is not installed")
        return 0
    rigs = []
    with tempfile.TemporaryDirectory(prefix="tern-atapi-") as folder:
        try:
            compare(folder, rigs)
        finally:
            for r in rigs:
                r.proc.kill()
    return end()


sys.exit(main())
