# SPDX-License-Identifier: GPL-2.0-or-later
"""A driver of virtio-scsi in slot 5, for classes that have ask_all(lines): the
answers of qtest to lines, as text."""
import struct
import time

REGION, RING, DATA = 0xe0000000, 0x100000, 0x200000
PATIENCE = 20


def stored(at, data):
    return "write 0x%x 0x%x 0x%s" % (at, len(data), data.hex())


class Scsi:
    def put(self, size, off, value):
        self.ask_all(["write%s 0x%x 0x%x" % (size, REGION + off, value)])

    def pci(self, off, value):
        self.ask_all(["outl 0xcf8 0x%x" % (0x80002800 | off),
                      "outl 0xcfc 0x%x" % value])

    def bring_up(self):
        self.pci(0x20, REGION)
        self.pci(0x24, 0)
        self.pci(4, 6)
        for status in (0, 1, 3):
            self.put("b", 20, status)
        self.put("l", 8, 1)
        self.put("l", 12, 1)           # VIRTIO_F_VERSION_1 alone
        self.put("b", 20, 11)
        self.put("w", 22, 2)           # the first request queue
        self.put("w", 24, 64)
        for i, off in enumerate((0, 0x1000, 0x2000)):
            self.put("l", 32 + 8 * i, RING + off)
            self.put("l", 36 + 8 * i, 0)
        self.put("w", 28, 1)
        self.put("b", 20, 15)
        self.index = 0

    def load(self, *places):
        """What is at places, each an address and a length."""
        return [bytes.fromhex(x[2:]) for x in self.ask_all(
            ["read 0x%x 0x%x" % p for p in places])]

    def answered(self):
        done = struct.pack("<H", self.index & 0xffff)
        stop = time.time() + PATIENCE
        while time.time() < stop:
            if self.load((RING + 0x2002, 2)) == [done]:
                return True
            time.sleep(0.0005)
        return False

    def request(self, cdb, out, want, target, lun):
        """The whole response of one command, and its data; None: no answer."""
        parts = [(DATA, 51, 0), (DATA + 0x1000, len(out), 0),
                 (DATA + 0x2000, 108, 2), (DATA + 0x3000, want, 2)]
        parts = [p for p in parts if p[1]]
        ring = b"".join(
            struct.pack("<QIHH", at, n, flags | (i < len(parts) - 1), i + 1)
            for i, (at, n, flags) in enumerate(parts))
        lines = [stored(DATA, struct.pack(">BBH", 1, target, 0x4000 | lun) +
                        bytes(15) + cdb.ljust(32, b"\0")), stored(RING, ring),
                 stored(RING + 0x1004 + 2 * (self.index % 64), b"\0\0"),
                 "memset 0x%x 0x%x 0" % (DATA + 0x2000, 0x1000 + want)]
        if out:
            lines.append(stored(DATA + 0x1000, out))
        self.index += 1
        lines.append(stored(RING + 0x1002, struct.pack(
            "<H", self.index & 0xffff)))
        lines.append("writew 0x%x 2" % (REGION + 0x3008))
        self.ask_all(lines)
        if not self.answered():
            return None
        return self.load((DATA + 0x2000, 108), (DATA + 0x3000, max(want, 1)))

    def scsi(self, cdb, out=b"", want=0, target=0, lun=0):
        """Status, sense, data of one command."""
        got = self.request(cdb, out, want, target, lun)
        if not got:
            return None, b"", b""
        r, data = got
        return (r[10] if not r[11] else -r[11], r[12:30],
                data if want else b"")
