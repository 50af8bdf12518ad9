#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""CPU time of a frame through a network card and a socket backend, interleaved
with the peer's. The driver's part is played over qtest: rings that are set up
once and made available again whole (256 or 1024 descriptors), so that a batch
costs a handful of commands; the guest's processor stands at HLT. Bytes of a second
of CPU follow from the frame's size."""

import os
import socket
import struct
import subprocess
import sys
import tempfile
import time

from libsides import cpu_ns, measure

BATCHES = int(os.environ.get("BATCHES", "150"))
RX, TX, DATA = 0x200000, 0x220000, 0x400000
RING = 1024                            # of receive descriptors
tmp = tempfile.mkdtemp(prefix="bench-net-")
halt = os.path.join(tmp, "halt.bin")
with open(halt, "wb") as f:
    f.write(b"\xf4" * 65536)


class Machine:
    def __init__(self, prog, card):
        accel = "tcg" if "qemu" in prog else "soft"
        self.lan = socket.create_server(("127.0.0.1", 0))
        path = os.path.join(tmp, "qtest")
        ear = socket.socket(socket.AF_UNIX)
        ear.bind(path)
        ear.listen(1)
        self.p = subprocess.Popen(
            [prog, "-machine", "pc", "-accel", accel, "-m", "32", "-bios",
             halt, "-nodefaults", "-display", "none", "-qtest",
             "unix:" + path, "-qtest-log", "none", "-netdev",
             "socket,id=n,connect=127.0.0.1:%d" % self.lan.getsockname()[1],
             "-device", card + ",netdev=n,addr=4,romfile="],
            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.q = ear.accept()[0].makefile("rw")
        os.unlink(path)
        ear.close()
        self.s = self.lan.accept()[0]
        self.s.settimeout(60)
        for off, v in ((0x10, 0xe0000000 if card == "e1000" else 0xc001),
                       (0x14, 0xc001 if card == "e1000" else 0xe0100000),
                       (4, 7)):
            self.out("l", 0xcf8, 0x80000000 | 4 << 11 | off)
            self.out("l", 0xcfc, v)

    def cmd(self, text):
        self.q.write(text + "\n")
        self.q.flush()
        r = self.q.readline()
        if not r.startswith("OK"):
            raise SystemExit("bench: %s: %s" % (text, r))
        return r.split()[1] if " " in r else ""

    def out(self, size, port, v):
        self.cmd("out%s 0x%x 0x%x" % (size, port, v))

    def poke(self, size, addr, v):
        self.cmd("write%s 0x%x 0x%x" % (size, addr, v))

    def peek(self, size, addr):
        return int(self.cmd("read%s 0x%x" % (size, addr)), 16)

    def block(self, addr, data):
        for i in range(0, len(data), 2048):
            part = data[i:i + 2048]
            self.cmd("write 0x%x 0x%x 0x%s" % (addr + i, len(part), part.hex()))

    def drain(self, n):
        while n > 0:
            n -= len(self.s.recv(1 << 20))

    def end(self):
        self.p.kill()
        self.p.wait()
        self.s.close()
        self.lan.close()


def frame_of(size):
    return b"\x52\x54\x00\x12\x34\x56" * 2 + b"\x88\xb5" + bytes(size - 14)


class Virtio(Machine):
    """By the old interface; each ring's parts are 4 KiB aligned."""
    batch_out, batch_in = 256, RING

    def __init__(self, prog, size):
        super().__init__(prog, "virtio-net-pci,rx_queue_size=%d" % RING)
        self.idx, io = 0, 0xc000
        self.out("b", io + 18, 3)
        self.out("l", io + 4, 0)
        for i, at in ((0, RX), (1, TX)):
            self.out("w", io + 14, i)
            self.out("l", io + 8, at >> 12)
        frame = DATA + RING * 2048
        for at, n, part in ((RX, RING, lambda i: (DATA + i * 2048, 2048, 2)),
                            (TX, 256, lambda i: (frame, size + 10, 0))):
            self.block(at, b"".join(struct.pack("<QIHH", *part(i), 0)
                                    for i in range(n)))
            self.block(at + 16 * n, b"\1\0\0\0" + struct.pack(
                "<%dH" % n, *range(n)))
        self.block(frame, bytes(10) + frame_of(size))
        self.out("b", io + 18, 7)

    def transmit(self):
        self.idx += 256
        self.poke("w", TX + 4096 + 2, self.idx & 0xffff)
        self.out("w", 0xc010, 1)

    def offer(self):
        self.idx += RING
        self.poke("w", RX + 16 * RING + 2, self.idx & 0xffff)
        self.out("w", 0xc010, 0)

    def all_there(self):
        used = (RX + 16 * RING + 6 + 2 * RING + 4095) & ~4095
        return self.peek("w", used + 2) == self.idx & 0xffff


class E1000(Machine):
    batch_out = batch_in = RING - 1

    def __init__(self, prog, size):
        super().__init__(prog, "e1000")
        self.at, self.bar = 0, 0xe0000000
        frame = DATA + RING * 2048
        self.block(RX, b"".join(struct.pack("<QQ", DATA + i * 2048, 0)
                                for i in range(RING)))
        self.block(TX, struct.pack("<QQ", frame, size | 0x0b << 24) * RING)
        self.block(frame, frame_of(size))
        for reg, v in ((0x2800, RX), (0x2808, 16 * RING), (0x3800, TX),
                       (0x3808, 16 * RING), (0x100, 0x0400801a), (0x400, 10)):
            self.poke("l", self.bar + reg, v)

    def transmit(self):
        self.at = (self.at + RING - 1) % RING
        self.poke("l", self.bar + 0x3818, self.at)

    def offer(self):
        self.at = (self.at + RING - 1) % RING
        self.poke("l", self.bar + 0x2818, self.at)

    def all_there(self):
        return self.peek("l", self.bar + 0x2810) == self.at


def sending(prog, args):
    kind, size = args
    m = kind(prog, size)
    used = 0
    for i in range(BATCHES + 5):
        if i == 5:
            used = cpu_ns(m.p.pid)
        m.transmit()
        m.drain(m.batch_out * (size + 4))
    used = cpu_ns(m.p.pid) - used
    m.end()
    return {"CPU ns/frame": used / (BATCHES * m.batch_out)}


def receiving(prog, args):
    kind, size = args
    m = kind(prog, size)
    f = frame_of(size)
    f = (len(f).to_bytes(4, "big") + f) * m.batch_in
    used = 0
    for i in range(BATCHES + 5):
        if i == 5:
            used = cpu_ns(m.p.pid)
        m.offer()
        m.s.sendall(f)
        while not m.all_there():
            time.sleep(0.001)           # each question costs the other side
    used = cpu_ns(m.p.pid) - used
    m.end()
    return {"CPU ns/frame": used / (BATCHES * m.batch_in)}


ROWS = [("%s %s %d" % (name, way, size), fn, (kind, size))
        for name, kind in (("virtio", Virtio), ("e1000", E1000))
        for way, fn in (("out", sending), ("in", receiving))
        for size in (60, 1514)]

try:
    measure(ROWS, lambda name: int(os.environ.get("ROUNDS", "5")),
            "CPU time of a frame through card and socket, ns", "bench-net")
finally:
    os.unlink(halt)
    os.rmdir(tmp)
