#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""CPU time of a frame through a network card and a socket backend, interleaved
with the peer's. The driver's part is played over qtest: rings that are set up
once and made available again 256 (or 255) descriptors at a time, so that a batch
costs a handful of commands; the guest's processor stands at HLT. Bytes of a second
of CPU follow from the frame's size."""

import os
import socket
import subprocess
import sys
import tempfile

from libsides import cpu_ns, measure

BATCHES = int(os.environ.get("BATCHES", "150"))
RX, TX, DATA = 0x200000, 0x210000, 0x400000
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
    batch = 256

    def __init__(self, prog, size):
        super().__init__(prog, "virtio-net-pci")
        self.idx, io = 0, 0xc000
        self.out("b", io + 18, 3)
        self.out("l", io + 4, 0)
        for i, at in ((0, RX), (1, TX)):
            self.out("w", io + 14, i)
            self.out("l", io + 8, at >> 12)
        table = [b"", b""]
        for i in range(256):
            for k, flags in ((0, 2), (1, 0)):
                n = 2048 if k == 0 else size + 10
                at = DATA + (k * 256 + i) * 2048 if k == 0 else DATA + (1 << 20)
                table[k] += (at.to_bytes(8, "little") + n.to_bytes(4, "little")
                             + flags.to_bytes(2, "little") + b"\0\0")
        ring = b"\1\0\0\0" + b"".join(i.to_bytes(2, "little")
                                      for i in range(256))
        for k, at in ((0, RX), (1, TX)):
            self.block(at, table[k])
            self.block(at + 4096, ring)
        self.block(DATA + (1 << 20), bytes(10) + frame_of(size))
        self.out("b", io + 18, 7)

    def transmit(self):
        self.idx += 256
        self.poke("w", TX + 4096 + 2, self.idx & 0xffff)
        self.out("w", 0xc010, 1)

    def offer(self):
        self.idx += 256
        self.poke("w", RX + 4096 + 2, self.idx & 0xffff)
        self.out("w", 0xc010, 0)

    def await_all(self):
        while self.peek("w", RX + 8192 + 2) != self.idx & 0xffff:
            pass


class E1000(Machine):
    batch = 255

    def __init__(self, prog, size):
        super().__init__(prog, "e1000")
        self.at, self.bar = 0, 0xe0000000
        tx = rx = b""
        for i in range(256):
            rx += (DATA + i * 2048).to_bytes(8, "little") + bytes(8)
            tx += (DATA + (1 << 20)).to_bytes(8, "little") + \
                (size | 0x0b << 24).to_bytes(8, "little")
        self.block(RX, rx)
        self.block(TX, tx)
        self.block(DATA + (1 << 20), frame_of(size))
        for reg, v in ((0x2800, RX), (0x2808, 4096), (0x3800, TX),
                       (0x3808, 4096), (0x100, 0x0400801a), (0x400, 10)):
            self.poke("l", self.bar + reg, v)

    def transmit(self):
        self.at = (self.at + 255) % 256
        self.poke("l", self.bar + 0x3818, self.at)

    def offer(self):
        self.at = (self.at + 255) % 256
        self.poke("l", self.bar + 0x2818, self.at)

    def await_all(self):
        while self.peek("l", self.bar + 0x2810) != self.at:
            pass


def sending(prog, args):
    kind, size = args
    m = kind(prog, size)
    used = 0
    for i in range(BATCHES + 5):
        if i == 5:
            used = cpu_ns(m.p.pid)
        m.transmit()
        m.drain(m.batch * (size + 4))
    used = cpu_ns(m.p.pid) - used
    m.end()
    return {"CPU ns/frame": used / (BATCHES * m.batch)}


def receiving(prog, args):
    kind, size = args
    m = kind(prog, size)
    f = frame_of(size)
    f = (len(f).to_bytes(4, "big") + f) * m.batch
    used = 0
    for i in range(BATCHES + 5):
        if i == 5:
            used = cpu_ns(m.p.pid)
        m.offer()
        m.s.sendall(f)
        m.await_all()
    used = cpu_ns(m.p.pid) - used
    m.end()
    return {"CPU ns/frame": used / (BATCHES * m.batch)}


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
