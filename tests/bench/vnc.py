#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What showing a screen by VNC costs: CPU time of the emulator for a whole frame
of 1024 x 768 by encoding, and for a second in which nobody looks, beside the
peer's. The picture is half text, a quarter gradient, a quarter noise; no guest
runs. docs/performance.md.

ROUNDS: how often (3); arguments choose rows by name."""
import os
import random
import socket
import struct
import subprocess
import sys
import tempfile
import time

import libsides

sys.dont_write_bytecode = True
sys.path.insert(0, "tests")
from libtern import vbe_on                                       # noqa: E402

FRAMES = 6
W, H = 1024, 768
ENCODINGS = (("raw", (0,), ""), ("hextile", (5,), ""), ("zlib", (6,), ""),
             ("tight", (7,), ""), ("zrle", (16,), ""),
             ("tight png", (-260,), ""), ("tight jpeg", (7, -26), ",lossy=on,non-adaptive=on"))
rng = random.Random(1)


def picture():
    """Rows of x8r8g8b8, the same for both sides."""
    glyphs = [bytes(rng.choice((b"\0\0\0\0", b"\xff\xff\xff\0", b"\0\0\0\0"))
                    [0] for _ in range(8)) for _ in range(1024)]
    rows = []
    for y in range(H):
        text = b"".join(struct.pack("<I", 0xffffff if b else 0)
                        for g in range(W // 16)
                        for b in glyphs[(y // 16 * 61 + g * 7 + y % 16) % 1024])
        if y < H // 2:
            fade = b"".join(struct.pack("<I", (x // 2) << 16 | y // 2)
                            for x in range(W // 2))
        else:
            fade = rng.randbytes(W * 2)
        rows.append(text + fade)
    return rows


ROWS = picture()


class Server:
    def __init__(self, prog, options=""):
        self.dir = tempfile.mkdtemp(prefix="bench-vnc-")
        self.path = self.dir + "/s"
        peer = os.path.basename(prog).startswith("qemu")
        mon, theirs = socket.socketpair()
        self.p = subprocess.Popen(
            [prog, "-M", "pc", "-m", "16", "-nodefaults", "-vga", "none",
             "-device", "VGA,addr=2,romfile=", "-display", "none", "-qtest",
             "stdio", "-S", "-chardev", "socket,id=m,fd=%d" % theirs.fileno(), "-mon",
             "m,mode=control", "-vnc", "unix:" + self.path + options] +
            ([] if peer else ["-accel", "qtest"]), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            pass_fds=[theirs.fileno()])
        theirs.close()
        # the machine stands, and has been reset, when the monitor answers
        mon.sendall(b'{"execute":"qmp_capabilities"}')
        while b"return" not in mon.recv(4096):
            pass
        self.mon = mon
        for line in vbe_on(W, H):
            self.say(line)
        for y in range(0, H, 4):
            data = b"".join(ROWS[y:y + 4])
            self.say("write 0x%x 0x%x 0x%s" % (0xe0000000 + y * W * 4,
                                               len(data), data.hex()))

    def say(self, line):
        self.p.stdin.write(line + "\n")
        self.p.stdin.flush()
        r = self.p.stdout.readline()
        while r and not r.startswith("OK"):
            r = self.p.stdout.readline()    # what is told besides
        return r

    def cpu_ms(self):
        return libsides.cpu_ns(self.p.pid) / 1e6

    def end(self):
        self.p.kill()
        self.p.wait()
        if os.path.exists(self.path):
            os.unlink(self.path)
        os.rmdir(self.dir)


class Reader:
    """Updates are read whole, and skipped: how long they are is what counts. A
    pause does not tell where one ends: a server that is not given the processor
    pauses too."""

    def __init__(self, sock):
        self.sock, self.buf, self.at, self.total = sock, b"", 0, 0

    def skip(self, n):
        """The last byte of the next n, or 0."""
        self.total += n
        while len(self.buf) - self.at < n:
            part = self.sock.recv(1 << 20)
            if not part:
                raise EOFError
            self.buf, self.at = self.buf[self.at:] + part, 0
        self.at += n
        return self.buf[self.at - 1] if n else 0

    def u(self, n):
        self.skip(n)
        return int.from_bytes(self.buf[self.at - n:self.at], "big")

    def compact(self):
        n = 0
        for k in range(3):
            b = self.u(1)
            n |= (b & (127 if k < 2 else 255)) << 7 * k
            if b < 128:
                break
        return n

    def hextile(self, w, h):
        for y in range(0, h, 16):
            for x in range(0, w, 16):
                flags = self.u(1)
                if flags & 1:
                    self.skip(min(16, w - x) * min(16, h - y) * 4)
                    continue
                self.skip((flags >> 1 & 1) * 4 + (flags >> 2 & 1) * 4)
                if flags & 8:
                    self.skip(self.u(1) * (6 if flags & 16 else 2))

    def tight(self, w, h):
        control, colors = self.u(1), 0
        if control >> 4 == 8:
            self.skip(3)
            return
        if control >> 4 in (9, 10):
            self.skip(self.compact())
            return
        if control & 0x40 and self.u(1) == 1:
            colors = self.u(1) + 1
            self.skip(colors * 3)
        n = h * (w * 3 if not colors else (w + 7) // 8 if colors == 2 else w)
        self.skip(n if n < 12 else self.compact())

    def update(self):
        """Bytes of the next one."""
        begin = self.total
        if self.u(1):
            raise ValueError("not an update")
        self.skip(1)
        for _ in range(self.u(2)):
            self.skip(4)
            w, h = self.u(2), self.u(2)
            encoding = self.u(4)
            if encoding == 0:
                self.skip(w * h * 4)
            elif encoding == 5:
                self.hextile(w, h)
            elif encoding in (6, 16):
                self.skip(self.u(4))
            elif encoding in (7, 0x100000000 - 260):
                self.tight(w, h)
            else:
                raise ValueError("encoding %d" % encoding)
        return self.total - begin


def frames(prog, args):
    encodings, options = args
    server = Server(prog, options)
    try:
        s = socket.socket(socket.AF_UNIX)
        s.connect(server.path)
        s.settimeout(120)
        r = Reader(s)
        r.skip(12)
        s.sendall(b"RFB 003.008\n")
        r.skip(2)
        s.sendall(b"\1")
        r.skip(4)
        s.sendall(b"\1" + struct.pack(">BxH%di" % len(encodings), 2,
                                      len(encodings), *encodings))
        r.skip(20)
        r.skip(r.u(4))
        ask = struct.pack(">BB4H", 3, 0, 0, 0, W, H)
        s.sendall(ask)
        r.update()                      # tables and threads are made
        before, size = server.cpu_ms(), 0
        for _ in range(FRAMES):
            s.sendall(ask)
            size += r.update()
        used = server.cpu_ms() - before
        s.close()
        return {"CPU ms": used / FRAMES, "KiB": size / FRAMES / 1024}
    finally:
        server.end()


def unwatched(prog, args):
    server = Server(prog)
    try:
        time.sleep(0.5)
        before = server.cpu_ms()
        time.sleep(3)
        # never quite nothing, so that there is a ratio
        return {"CPU ms a second": max((server.cpu_ms() - before) / 3, 0.01)}
    finally:
        server.end()


if __name__ == "__main__":
    libsides.measure(
        [(name, frames, (enc, opt)) for name, enc, opt in ENCODINGS] +
        [("unwatched", unwatched, None)],
        lambda name: int(os.environ.get("ROUNDS", "3")),
        "A frame of %d x %d by VNC, medians" % (W, H), "bench-vnc")
    sys.exit(0)
