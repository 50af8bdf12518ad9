#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every SCSI opcode, with the values that matter and some that do not, to the
program's and to the peer's disks and CD-ROM drives behind virtio-scsi: status,
sense, residue and data are the same. SCSI_SEED and SCSI_ROUNDS: further random
ones."""

import os
import random
import struct
import sys
import tempfile

from libqmp import Machine, OURS, PEER, end, peer_there, result
from libvscsi import Scsi

SEED = int(os.environ.get("SCSI_SEED", "5"))
ROUNDS = int(os.environ.get("SCSI_ROUNDS", "300"))
SHOWN = int(os.environ.get("SCSI_SHOWN", "1"))
# What takes data: all others give it.
OUT = {0x04, 0x07, 0x0a, 0x15, 0x1d, 0x24, 0x27, 0x2a, 0x2e, 0x2f, 0x3a, 0x3b,
       0x3f, 0x41, 0x42, 0x4c, 0x54, 0x55, 0x56, 0x5b, 0x5d, 0x5f, 0x8a, 0x8b,
       0x8e, 0x8f, 0x90, 0x93, 0xa4, 0xaa, 0xae, 0xb6, 0xbf}
# name, device, bytes of its image
UNITS = (("disk", "scsi-hd,serial=abc,wwn=0x5000123400000001", 8 << 20),
         ("disk of 4096", "scsi-hd,logical_block_size=4096,"
          "physical_block_size=4096,rotation_rate=1,product=P,vendor=V",
          8 << 20),
         ("CD", "scsi-cd", 4 << 20), ("DVD", "scsi-cd", 900 << 20))


class Rig(Machine, Scsi):
    def __init__(self, prog, folder):
        args = ["-device", "virtio-scsi-pci,addr=5,id=s"]
        for n, (_, device, size) in enumerate(UNITS):
            device += ",scsi-id=%d,id=u%d" % (n, n)
            with open("%s/u%d" % (folder, n), "wb") as f:
                for k in range(64):
                    f.write(struct.pack("<I", k) * 512)
                f.truncate(size)
            ro = ",readonly=on" if "cd" in device else ""
            args += ["-drive", "if=none,id=d%d,format=raw,discard=unmap,"
                     "file=u%d%s" % (n, n, ro),
                     "-device", device + ",drive=d%d" % n]
        super().__init__(prog, folder, args)
        self.bring_up()

    def run(self, target, case):
        cdb, out, want = case
        if out is None:
            out = bytes(want) if cdb[0] in OUT else b""
        got = self.request(cdb, out, 0 if cdb[0] in OUT else want, target, 0)
        # bytes of sense that were not written are what was there before
        r = got[0]
        left, = struct.unpack("<i", r[4:8])
        return (r[:4] + struct.pack("<i", abs(left)) + r[8:12 + r[0]],
                got[1] if want else b"")


def lba(op, at, n):
    """READ and its like, of any length."""
    if op < 0x20:
        return struct.pack(">BBHBB", op, at >> 16 & 31, at & 0xffff, n & 255, 0)
    if op < 0x60:
        return struct.pack(">BBIBHB", op, 0, at, 0, n, 0)
    if op < 0xa0:
        return struct.pack(">BBQIBB", op, 0, at, n, 0, 0)
    return struct.pack(">BBIIBB", op, 0, at, n, 0, 0)


def of_all(blocks, block):
    for op in range(256):
        yield bytes([op]) + bytes(15), None, 512
        yield bytes([op, 0, 0, 0, 8, 0, 0, 0, 8]) + bytes(7), None, 4096
    for n in (0, 4, 5, 18, 36, 96, 255):
        yield bytes([0x12, 0, 0, 0, n, 0]), None, 255
        yield bytes([0x03, 0, 0, 0, n, 0]), None, 255
        yield bytes([0x03, 1, 0, 0, n, 0]), None, 255
        yield struct.pack(">BB7xBH", 0xa0, 0, 0, n) + bytes(4), None, 255
        yield struct.pack(">BB4xIBB", 0xa0, 0, n, 0, 0), None, 255
        yield struct.pack(">BB8xIBB", 0x9e, 0x10, n, 0, 0), None, 255
    for page in range(256):
        yield bytes([0x12, 1, page, 0, 255, 0]), None, 255
        yield bytes([0x12, 0, page, 0, 255, 0]), None, 255
        yield bytes([0x1a, 0, page, 0, 255, 0]), None, 255
        yield bytes([0x1a, 8, page, 0, 255, 0]), None, 255
        yield struct.pack(">BBBBBHHB", 0x5a, 0, page, 0, 0, 0, 255, 0), None, 255
    for op in (0x08, 0x28, 0x88, 0xa8, 0x0a, 0x2a, 0x8a, 0xaa, 0x2e, 0x8e, 0xae,
               0x2f, 0x8f, 0xaf, 0x41, 0x93, 0x35, 0x91, 0x2b, 0x34, 0x90):
        for at in (0, 1, blocks - 2, blocks - 1, blocks, blocks + 1,
                   0xffffffff):
            for n in (1, 2):           # the peer moves as much as there is room
                yield lba(op, at, n), None, n * block
            if op >= 0x20:
                yield lba(op, at, 0), None, 0
        yield lba(op, 3, 1), None, 100     # less room than data
    for mode in range(64):
        for n in (0, 8, 24, 64):
            yield struct.pack(">BBBB3xHB", 0x43, mode & 3, mode >> 2, 0, n,
                              0), None, 64
    for fmt in (0, 1, 2, 3, 4, 5, 0xff):
        yield bytes([0xad, 0, 0, 0, 0, 0, 0, fmt, 0x08, 0x10, 0, 0]), None, 4096
    for classes in (0, 0x10, 0x50, 0xff):
        for how in (0, 1):
            yield bytes([0x4a, how, 0, 0, classes, 0, 0, 0, 8, 0]), None, 16
    for service in range(32):
        yield struct.pack(">BB8xIBB", 0x9e, service, 32, 0, 0), None, 32
        yield struct.pack(">BB4xIBB", 0xa3, service, 255, 0, 0), None, 255
        yield struct.pack(">BB5xHB", 0x5e, service, 64, 0), None, 64


def of_disks(block):
    pages = (bytes([8, 18, 4]) + bytes(17), bytes([8, 18, 0]) + bytes(17),
             bytes([8, 18, 4, 0, 0xff]) + bytes(15), bytes([8, 10]) + bytes(10),
             bytes([1, 10, 0x80]) + bytes(9), bytes([0x0a, 10]) + bytes(10),
             bytes([0x3f, 4]) + bytes(4), bytes([8, 255]) + bytes(20))
    for body in pages:
        for save in (0x10, 0x11, 0x00):
            for head in (bytes(4), bytes([0, 0, 0, 8]) + bytes(8), bytes(3)):
                data = head + body
                yield bytes([0x15, save, 0, 0, len(data), 0]), data, 0
                yield bytes([0x1a, 8, 8, 0, 64, 0]), None, 64
            data = bytes(8) + body
            yield struct.pack(">BB5xHB", 0x55, save, len(data), 0), data, 0
    for at, n in ((0, 1), (16, 8), (16, 0), (1 << 20, 1), (1 << 60, 1)):
        for size in (0, 8, 24, 40):    # of UNMAP's list, and what it says
            data = struct.pack(">HH4xQI4x", 22, 16, at, n)
            yield struct.pack(">BB5xHB", 0x42, 0, size, 0), data.ljust(
                size, b"\0")[:size], 0
    for bits in (0, 8, 0x18, 0x10, 2, 4):   # 1: the peer does nothing
        for n in (0, 1, 64, 3000):
            for data in (bytes(block), b"\xa5" * block):
                yield struct.pack(">BBIBHB", 0x41, bits, 100, 0, n, 0), data, 0
                yield struct.pack(">BBQIBB", 0x93, bits, 100, n, 0, 0), data, 0
                yield lba(0x28, 100, 1), None, block
    for bits in range(0, 32, 2):       # VERIFY
        yield struct.pack(">BBIBHB", 0x2f, bits, 100, 0, 1, 0), bytes(block), 0
        yield struct.pack(">BBQIBB", 0x8f, bits, 100, 1, 0, 0), bytes(block), 0
    for bits in range(0, 256, 8):      # FUA, DPO, protection
        yield struct.pack(">BBIBHB", 0x28, bits, 10, 0, 1, 0), None, block
        yield struct.pack(">BBIBHB", 0x2a, bits, 10, 0, 1, 0), bytes(block), 0
    yield from trays((0, 1, 2, 3, 0x10), block)


def of_drives(block):
    yield from trays((1, 0), block)


def trays(locks, block):
    for v in locks:
        yield bytes([0x1e, 0, 0, 0, v, 0]), None, 0
        for s in (2, 0, 3, 1, 2, 0x12, 0x33):
            yield bytes([0x1b, 0, 0, 0, s, 0]), None, 0
            yield bytes(6), None, 0
            yield bytes([0x1a, 0, 0x2a, 0, 64, 0]), None, 64
            yield bytes([0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8, 0]), None, 16
            yield lba(0x28, 0, 1), None, block
    yield bytes([0x1e, 0, 0, 0, 0, 0]), None, 0
    yield bytes([0x1b, 0, 0, 0, 3, 0]), None, 0
    yield bytes(6), None, 0


# The peer's disks know some of what drives for discs know.
DISCS = (0x43, 0x46, 0x4a, 0x51, 0xac, 0xad, 0xbd)


def odd(cdb):
    """Commands of drives for discs in which the two differ: pages that are not
    listed, what may be changed of error recovery, commands that write, the
    session's track, what a CD says of DVDs."""
    op = cdb[0]
    return (op in (0x41, 0x42, 0x93, 0xad) or
            op == 0x12 and cdb[1] & 1 and cdb[2] in (0xb1, 0xb2) or
            op in (0x1a, 0x5a) and cdb[2] >> 6 == 1 or
            op == 0x43 and (cdb[2] & 15 or cdb[9] >> 6) == 1)


def sense(r):
    return r[24] if r[10] == 2 else 0


def excused(cdb, ours, peers, disc):
    """One of the differences that may be."""
    op, a, b = cdb[0], sense(ours), sense(peers)
    # It is no command, and its length exceeds the buffer: either is told first.
    if a == 0x20 and peers[11] == 1 or b == 0x20 and ours[11] == 1:
        return True
    # Beyond the end the peer verifies and fills; it never compares.
    if op in (0x2f, 0x8f, 0xaf):
        return a == 0x21 or b == 0x24
    if op in (0x41, 0x93) and not disc:
        return a in (0x21, 0x24)
    if op in (0x15, 0x55):             # which fault of a list
        return {a, b} == {0x1a, 0x26}
    if op in (0x56, 0x57):             # reservations with data
        return ours[10] == 0
    return disc and odd(cdb)


def random_ones():
    rnd = random.Random(SEED)
    for _ in range(ROUNDS):
        cdb = bytearray(rnd.choice((0, 0, 0, 1, 2, 4, 8, rnd.randrange(256)))
                        for _ in range(16))
        cdb[0] = rnd.choice((0x12, 0x1a, 0x5a, 0x28, 0x88, 0x43, 0x9e, 0x25,
                             0xa0, 0x03, 0x4a, 0x46, 0x51, 0xad, 0xbd, 0x23))
        yield bytes(cdb), None, rnd.choice((0, 8, 255, 4096))


def main():
    if not peer_there():
        print("1..0 # SKIP the peer is not installed")
        return 0
    with tempfile.TemporaryDirectory(prefix="tern-scsi-") as folder:
        rigs = []
        for i, prog in enumerate((OURS, PEER)):
            os.mkdir("%s/%d" % (folder, i))
            rigs.append(Rig(prog, "%s/%d" % (folder, i)))
        for n, (name, device, size) in enumerate(UNITS):
            block = 4096 if "4096" in name else 2048 if "cd" in device else 512
            groups = [of_all(size // block, block),
                      (of_drives if "cd" in device else of_disks)(block),
                      random_ones()]
            wrong, count = [], 0
            for case in (c for g in groups for c in g):
                if case[0][0] in DISCS and "cd" not in device:
                    continue
                ours, peers = (r.run(n, case) for r in rigs)
                count += 1
                if ours != peers and not excused(
                        case[0], ours[0], peers[0], "cd" in device):
                    wrong.append("%s %s\n  peer %s %s\n  here %s %s" % (
                        case[0].hex(), case[2], peers[0].hex(),
                        peers[1].hex()[:300], ours[0].hex(),
                        ours[1].hex()[:300]))
            ops = sorted(set(w[:2] for w in wrong))
            result(not wrong, "%s: %d commands" % (name, count),
                   "%d differ: %s" % (len(wrong), " ".join(ops)),
                   *(w for o in ops for w in
                     [x for x in wrong if x[:2] == o][:SHOWN]))
        for r in rigs:
            r.end()
    return end()


sys.exit(main())
