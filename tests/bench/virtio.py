#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""virtio-blk of build/tern and of the peer, in turns: CPU time and wall time of
one request of 4 KiB through the whole path, from the ring and back. The driver
is this program, over qtest: it makes 512 indirect chains available with one
store and one kick, and waits for the used index. The vCPU is halted. Arguments
choose rows by a part of their name."""

import os
import socket
import struct
import subprocess
import sys
import tempfile
import time

from libsides import BUILD, chosen, cpu_ns, measure

BLOCK = 4096
DEPTH = 512
ROUNDS = int(os.environ.get("ROUNDS", "7"))
BATCHES = 400
RING, TABLES, DATA = 0x100000, 0x200000, 0x400000
DISK = 64 << 20


class Driver:
    """One virtio-blk function, by the new interface."""

    def __init__(self, prog, args, folder):
        path = folder + "/qtest"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(1)
        listener.settimeout(60)
        self.proc = subprocess.Popen(
            [prog, "-accel", "tcg", "-machine", "pc", "-m", "64",
             "-nodefaults", "-display", "none", "-bios", folder + "/halt",
             "-qtest", "unix:" + path] + args, stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        self.sock, _ = listener.accept()
        self.sock.settimeout(60)
        listener.close()
        os.unlink(path)
        self.file = self.sock.makefile("rb")
        self.bring_up()

    def ask(self, line):
        self.sock.sendall(line.encode() + b"\n")
        while True:
            words = self.file.readline().split()
            if not words:
                sys.exit("bench: %s has ended" % self.proc.args[0])
            if words[0] == b"OK":
                return words
            if words[0] != b"IRQ":
                sys.exit("bench: %s" % words)

    def get(self, size, addr):
        return int(self.ask("read%s 0x%x" % (size, addr))[1], 16)

    def put(self, size, addr, value):
        self.ask("write%s 0x%x 0x%x" % (size, addr, value))

    def store(self, addr, data):
        self.ask("write 0x%x 0x%x 0x%s" % (addr, len(data), data.hex()))

    def config(self, off, value=None):
        self.ask("outl 0xcf8 0x%x" % (0x80000000 | self.slot << 11 | off))
        if value is not None:
            self.ask("outl 0xcfc 0x%x" % value)
            return None
        return int(self.ask("inl 0xcfc")[1], 16)

    def find(self):
        for self.slot in range(32):
            if self.config(0) in (0x10421af4, 0x10011af4):
                return
        sys.exit("bench: no virtio-blk")

    def bring_up(self):
        self.find()
        self.config(0x20, 0xe0000000)
        self.config(0x24, 0)
        self.config(4, 6)
        self.common, self.notify = 0xe0000000, 0xe0003000
        for status in (0, 1, 3):
            self.put("b", self.common + 20, status)
        for half, bits in ((0, 1 << 28), (1, 1)):
            self.put("l", self.common + 8, half)
            self.put("l", self.common + 12, bits)
        self.put("b", self.common + 20, 11)
        self.put("w", self.common + 22, 0)
        self.put("w", self.common + 24, DEPTH)
        self.used = RING + 0x8000
        self.avail = RING + 0x4000
        for i, at in enumerate((RING, self.avail, self.used)):
            self.put("l", self.common + 32 + 8 * i, at)
            self.put("l", self.common + 36 + 8 * i, 0)
        self.put("w", self.common + 28, 1)
        self.put("b", self.common + 20, 15)
        self.fill()
        self.index = 0

    def fill(self):
        """Request i reads block i; its table has header, data, status."""
        rings, tables = b"", b""
        for i in range(DEPTH):
            at = TABLES + 128 * i
            rings += struct.pack("<QIHH", at, 48, 4, 0)
            tables += struct.pack("<QIHHQIHHQIHH", at + 64, 16, 1, 1,
                                  DATA + BLOCK * i, BLOCK, 3, 2, at + 96, 1,
                                  2, 0)
            tables += bytes(16)
            tables += struct.pack("<IIQ", 0, 0, i * 167 % 4096 * BLOCK // 512)
            tables += bytes(48)
        self.store(RING, rings)
        self.store(TABLES, tables)
        # No interrupts: what they cost is the controller's business.
        self.store(self.avail, struct.pack("<HH", 1, 0) +
                   b"".join(struct.pack("<H", i) for i in range(DEPTH)))

    def batch(self):
        self.index = (self.index + DEPTH) & 0xffff
        self.put("w", self.avail + 2, self.index)
        self.put("w", self.notify, 0)
        while self.get("w", self.used + 2) != self.index:
            time.sleep(0.0002)

    def end(self):
        status = self.get("b", TABLES + 96)
        self.proc.kill()
        self.proc.wait()
        if status:
            sys.exit("bench: request failed: %d" % status)


def run(prog, args):
    with tempfile.TemporaryDirectory(prefix="tern-bench-") as folder:
        with open(folder + "/halt", "wb") as f:
            # cli; hlt; jmp back
            f.write(bytes(65520) + b"\xfa\xf4\xeb\xfd" + bytes(12))
        d = Driver(prog, args, folder)
        for _ in range(20):
            d.batch()
        cpu, wall = cpu_ns(d.proc.pid), time.monotonic_ns()
        for _ in range(BATCHES):
            d.batch()
        cpu, wall = cpu_ns(d.proc.pid) - cpu, time.monotonic_ns() - wall
        d.end()
    return {"CPU ns/request": cpu / BATCHES / DEPTH,
            "wall ns/request": wall / BATCHES / DEPTH}


NULL = ["-blockdev", "driver=null-co,node-name=d,size=%d" % DISK]
DEV = "virtio-blk-pci,drive=d,queue-size=%d,num-queues=1" % DEPTH
THREAD = ["-object", "iothread,id=t,poll-max-ns=0"]


def raw():
    path = BUILD + "/bench-disk.raw"
    with open(path, "wb") as f:
        for _ in range(DISK >> 20):
            f.write(os.urandom(1 << 20))
    return ["-blockdev", "driver=file,node-name=f,filename=" + path,
            "-blockdev", "driver=raw,node-name=d,file=f"]


def main():
    disk = raw()
    rows = [
        ("null", run, NULL + ["-device", DEV]),
        ("null, iothread", run, NULL + THREAD + ["-device",
                                                 DEV + ",iothread=t"]),
        ("raw", run, disk + ["-device", DEV]),
        ("raw, iothread", run, disk + THREAD + ["-device",
                                                DEV + ",iothread=t"]),
    ]
    try:
        if chosen(rows):
            measure(rows, lambda name: ROUNDS,
                    "virtio-blk, %d requests of 4 KiB at once" % DEPTH,
                    "bench-virtio")
    finally:
        os.unlink(BUILD + "/bench-disk.raw")


main()
