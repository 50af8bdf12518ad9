#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Figures of build/tern-nbd, interleaved with the peer's qemu-nbd (or
$PEER_NBD): CPU time of the server and wall time of a client, medians of $ROUNDS
rounds (3). Clients are nbdcopy and, for small requests, one that this file has.
Arguments choose rows by a part of their name. Images are made in $BENCH_DIR
(/dev/shm), $IMAGE_MB of data (256)."""

import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

from libsides import BUILD, measure

ROUNDS = int(os.environ.get("ROUNDS", "3"))
MB = int(os.environ.get("IMAGE_MB", "256"))
TERN_NBD = os.environ.get("TERN_NBD", BUILD + "/tern-nbd")
PEER_NBD = os.environ.get("PEER_NBD") or shutil.which("qemu-nbd")
TERN_IMG = os.environ.get("TERN_IMG", BUILD + "/tern-img")
SMALL = int(os.environ.get("REQUESTS", "40000"))
work = tempfile.mkdtemp(prefix="bench-nbd-",
                        dir=os.environ.get("BENCH_DIR", "/dev/shm"))


def at(name):
    return os.path.join(work, name)


def images_make():
    with open(at("raw"), "wb") as f:
        for _ in range(MB):
            f.write(os.urandom(1 << 20))
    with open(at("holes"), "wb") as f:
        f.truncate(MB << 20)
        for i in range(0, MB, 8):
            f.seek(i << 20)
            f.write(b"x" * 65536)
    for name in ("raw", "holes"):
        subprocess.run([TERN_IMG, "convert", "-O", "qcow2", at(name),
                        at(name + ".qcow2")], check=True)


class Server:
    def __init__(self, prog, fmt, image, extra=()):
        self.sock = at("sock")
        if os.path.exists(self.sock):
            os.unlink(self.sock)
        self.p = subprocess.Popen([prog, "-t", "-e", "0", "-k", self.sock,
                                   "-f", fmt] + list(extra) + [image])
        while True:
            try:
                s = socket.socket(socket.AF_UNIX)
                s.connect(self.sock)
                s.close()
                break
            except OSError:
                time.sleep(0.005)
        self.uri = "nbd+unix:///?socket=" + self.sock

    def end(self):
        """CPU time of its whole life, ms."""
        self.p.send_signal(signal.SIGTERM)
        _, status, use = os.wait4(self.p.pid, 0)
        self.p.returncode = os.waitstatus_to_exitcode(status)
        return (use.ru_utime + use.ru_stime) * 1e3


def copies(prog, args):
    fmt, image, flags, to = args
    if to == "fresh":
        subprocess.run([TERN_IMG, "create", "-q", "-f", fmt, image,
                        "%dM" % MB], check=True)
    s = Server(prog, fmt, image)
    ends = [s.uri, to] if to == "null:" else [at("raw"), s.uri]
    began = time.monotonic()
    subprocess.run(["nbdcopy"] + flags + ends, check=True)
    wall = (time.monotonic() - began) * 1e3
    return {"CPU ms": s.end(), "wall ms": wall}


def handshake(path):
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    f = s.makefile("rb")
    f.read(18)
    s.sendall(struct.pack(">I8sIIIH", 3, b"IHAVEOPT", 7, 6, 0, 0))
    while True:
        _, _, kind, n = struct.unpack(">QIII", f.read(20))
        f.read(n)
        if kind == 1:
            return s, f


def small(prog, args):
    """Reads or writes of 4 KiB, 16 in flight, each at another place."""
    fmt, image, write = args
    server = Server(prog, fmt, image)
    s, f = handshake(server.sock)
    data = b"w" * 4096 if write else b""
    answer = 16 if write else 16 + 4096
    began = time.monotonic()
    for i in range(0, SMALL, 16):
        s.sendall(b"".join(
            struct.pack(">IHHQQI", 0x25609513, 0, write, k,
                        k * 1237 * 4096 % (MB << 20), 4096) + data
            for k in range(i, i + 16)))
        f.read(answer * 16)
    wall = (time.monotonic() - began) * 1e3
    s.close()
    return {"CPU ms": server.end(), "wall ms": wall}


def main():
    images_make()
    one = ["--connections=1", "--requests=16"]
    rows = [
        ("raw read", copies, ("raw", at("raw"), [], "null:")),
        ("raw read, 1 conn.", copies, ("raw", at("raw"), one, "null:")),
        ("raw write", copies, ("raw", at("x"), [], "fresh")),
        ("qcow2 read", copies, ("qcow2", at("raw.qcow2"), [], "null:")),
        ("qcow2 write", copies, ("qcow2", at("x"), [], "fresh")),
        ("holes read", copies, ("qcow2", at("holes.qcow2"), [], "null:")),
        ("raw 4k read", small, ("raw", at("raw"), 0)),
        ("raw 4k write", small, ("raw", at("raw"), 1)),
        ("qcow2 4k read", small, ("qcow2", at("raw.qcow2"), 0)),
        ("qcow2 4k write", small, ("qcow2", at("raw.qcow2"), 1)),
    ]
    if not shutil.which("nbdcopy"):
        rows = [r for r in rows if r[1] is not copies]
    sides = [("tern", TERN_NBD)]
    if PEER_NBD:
        sides.append(("peer", PEER_NBD))
    measure(rows, lambda name: ROUNDS, "NBD serving, %d MiB" % MB, "bench-nbd",
            sides)


try:
    main()
except BrokenPipeError:
    sys.exit(1)
finally:
    shutil.rmtree(work)
