# SPDX-License-Identifier: GPL-2.0-or-later
"""A client of VNC for tests, from the specification (RFC 6143 and the community's
rfbproto.rst): security types none and password, all encodings of the server."""
import os
import socket
import struct
import subprocess
import time
import zlib

PATIENCE = 60 * int(os.environ.get("TERN_TEST_PATIENCE", "1"))


# ---- the password's answer: DES, by openssl ---------------------------------
def des_by_openssl(key, data):
    r = subprocess.run(["openssl", "enc", "-des-ecb", "-nopad", "-nosalt",
                        "-provider", "legacy", "-provider", "default",
                        "-K", key.hex()], input=data, capture_output=True)
    return r.stdout


def answer(password, challenge):
    key = bytes(int("{:08b}".format(b)[::-1], 2)
                for b in password.encode()[:8].ljust(8, b"\0"))
    return des_by_openssl(key, challenge)


# ---- the client --------------------------------------------------------------
class Client:
    def __init__(self, where, version=8, password=None, shared=1, types=None):
        if isinstance(where, str):
            self.s = socket.socket(socket.AF_UNIX)
            self.s.connect(where)
        elif isinstance(where, int):
            self.s = socket.create_connection(("127.0.0.1", where))
        else:
            self.s = where
        self.s.settimeout(PATIENCE)
        self.z = {}
        assert self.read(12) == b"RFB 003.008\n"
        self.s.sendall(b"RFB 003.%03d\n" % version)
        if version == 3:
            self.types = [struct.unpack(">I", self.read(4))[0]]
        else:
            self.types = list(self.read(self.read(1)[0]))
            self.s.sendall(bytes(self.types[:1]))
        if self.types[0] == 2:
            self.s.sendall(answer(password, self.read(16)))
        if version >= 8 or self.types[0] != 1:
            self.result = struct.unpack(">I", self.read(4))[0]
            if self.result:
                n = struct.unpack(">I", self.read(4))[0] if version >= 8 else 0
                raise PermissionError(self.read(n).decode())
        self.s.sendall(bytes([shared]))
        self.w, self.h = struct.unpack(">HH", self.read(4))
        self.format = self.read(16)
        self.name = self.read(struct.unpack(">I", self.read(4))[0])
        self.fb = bytearray(self.w * self.h * 4)
        self.seen = []
        self.jpeg = []

    def read(self, n):
        b = b""
        while len(b) < n:
            part = self.s.recv(min(n - len(b), 1 << 20))
            if not part:
                raise EOFError
            b += part
        return b

    def u(self, n):
        return int.from_bytes(self.read(n), "big")

    def encodings(self, *list_of):
        self.s.sendall(struct.pack(">BxH", 2, len(list_of)) +
                       b"".join(struct.pack(">i", e) for e in list_of))

    def request(self, incremental=0):
        self.s.sendall(struct.pack(">BBHHHH", 3, incremental, 0, 0, 65535,
                                   65535))

    def put(self, x, y, w, h, data):
        for j in range(h):
            at = ((y + j) * self.w + x) * 4
            self.fb[at:at + w * 4] = data[j * w * 4:(j + 1) * w * 4]

    def inflate(self, stream, data):
        return self.z.setdefault(stream, zlib.decompressobj()).decompress(data)

    def hextile(self, x, y, w, h):
        bg = fg = b""
        for ty in range(y, y + h, 16):
            for tx in range(x, x + w, 16):
                tw, th = min(16, x + w - tx), min(16, y + h - ty)
                flags = self.u(1)
                if flags & 1:
                    self.put(tx, ty, tw, th, self.read(tw * th * 4))
                    continue
                bg = self.read(4) if flags & 2 else bg
                fg = self.read(4) if flags & 4 else fg
                self.put(tx, ty, tw, th, bg * (tw * th))
                for _ in range(self.u(1) if flags & 8 else 0):
                    c = self.read(4) if flags & 16 else fg
                    a, b = self.read(2)
                    sw, sh = (b >> 4) + 1, (b & 15) + 1
                    self.put(tx + (a >> 4), ty + (a & 15), sw, sh,
                             c * (sw * sh))

    def zrle(self, x, y, w, h):
        d = self.inflate("zrle", self.read(self.u(4)))
        at = 0
        for ty in range(y, y + h, 64):
            for tx in range(x, x + w, 64):
                tw, th = min(64, x + w - tx), min(64, y + h - ty)
                at = self.zrle_tile(d, at, tx, ty, tw, th)
        assert at == len(d)

    def zrle_tile(self, d, at, tx, ty, tw, th):
        kind = d[at]
        at += 1
        n = kind if kind <= 16 else kind - 128
        n = {0: tw * th, 128: 0}.get(kind, n)
        colors = [d[at + i * 3:at + i * 3 + 3] + b"\0" for i in range(n)]
        at += 3 * n
        out = []
        if kind == 0:
            out = colors
        elif kind == 1:
            out = colors * (tw * th)
        elif kind <= 16:
            bits = 1 if kind == 2 else 2 if kind <= 4 else 4
            for _ in range(th):
                row = []
                for byte in d[at:at + (tw * bits + 7) // 8]:
                    row += [byte >> (8 - bits - k) & (1 << bits) - 1
                            for k in range(0, 8, bits)]
                at += (tw * bits + 7) // 8
                out += [colors[i] for i in row[:tw]]
        else:
            while len(out) < tw * th:
                run, long = 1, True
                if kind == 128:
                    c = d[at:at + 3] + b"\0"
                    at += 3
                else:
                    c, long = colors[d[at] & 127], d[at] & 128
                    at += 1
                while long:
                    run += d[at]
                    at += 1
                    long = d[at - 1] == 255
                out += [c] * run
        assert len(out) == tw * th
        self.put(tx, ty, tw, th, b"".join(out))
        return at

    def length(self):
        n = 0
        for k in range(3):
            b = self.u(1)
            n |= (b & (127 if k < 2 else 255)) << 7 * k
            if b < 128:
                break
        return n

    def tight(self, x, y, w, h):
        def tpixel(b):
            return bytes([b[2], b[1], b[0], 0])
        c = self.u(1)
        if c >> 4 == 8:
            self.put(x, y, w, h, tpixel(self.read(3)) * (w * h))
            return
        if c >> 4 == 10:
            self.png(x, y, w, h, self.read(self.length()))
            return
        if c >> 4 == 9:                 # not unpacked, but counted
            self.jpeg.append(self.read(self.length())[:2] == b"\xff\xd8")
            return
        assert c < 0x80, c
        colors = []
        if c & 0x40 and self.u(1) == 1:
            colors = [tpixel(self.read(3)) for _ in range(self.u(1) + 1)]
        line = w * 3 if not colors else (w + 7) // 8 if len(colors) == 2 else w
        d = self.read(line * h) if line * h < 12 else \
            self.inflate(c >> 4 & 3, self.read(self.length()))
        assert len(d) == line * h
        if not colors:
            out = [tpixel(d[i:i + 3]) for i in range(0, len(d), 3)]
        elif len(colors) == 2:
            out = [colors[d[j * line + i // 8] >> (7 - i % 8) & 1]
                   for j in range(h) for i in range(w)]
        else:
            out = [colors[i] for i in d]
        self.put(x, y, w, h, b"".join(out))

    def png(self, x, y, w, h, d):
        assert d[:8] == b"\x89PNG\r\n\x1a\n"
        at, packed = 8, b""
        while at < len(d):
            n, kind = struct.unpack(">I4s", d[at:at + 8])
            if kind == b"IHDR":
                assert struct.unpack(">IIBB", d[at + 8:at + 18]) == \
                    (w, h, 8, 2)
            if kind == b"IDAT":
                packed += d[at + 8:at + 8 + n]
            at += n + 12
        raw = zlib.decompress(packed)
        last = bytearray(w * 3)
        out = b""
        for j in range(h):
            f, row = raw[j * (w * 3 + 1)], bytearray(
                raw[j * (w * 3 + 1) + 1:(j + 1) * (w * 3 + 1)])
            for i in range(w * 3):
                a = row[i - 3] if i >= 3 else 0
                b, cc = last[i], last[i - 3] if i >= 3 else 0
                pa, pb, pc = abs(b - cc), abs(a - cc), abs(a + b - 2 * cc)
                row[i] = (row[i] + [0, a, b, (a + b) // 2,
                                    a if pa <= pb and pa <= pc else
                                    b if pb <= pc else cc][f]) & 255
            last = row
            out += b"".join(bytes([row[i + 2], row[i + 1], row[i], 0])
                            for i in range(0, w * 3, 3))
        self.put(x, y, w, h, out)

    def resize(self, w, h):
        self.w, self.h = w, h
        self.fb = bytearray(w * h * 4)

    def update(self):
        """Takes one update; the encodings that were in it."""
        used = set()
        kind = self.u(1)
        if kind == 250:
            self.seen.append(("xvp", self.read(3)))
            return self.update()
        assert kind == 0, kind
        self.read(1)
        for _ in range(self.u(2)):
            x, y, w, h, e = struct.unpack(">HHHHi", self.read(12))
            used.add(e)
            if e == 0:
                self.put(x, y, w, h, self.read(w * h * 4))
            elif e == 5:
                self.hextile(x, y, w, h)
            elif e == 6:
                self.put(x, y, w, h, self.inflate("z", self.read(self.u(4))))
            elif e == 16:
                self.zrle(x, y, w, h)
            elif e in (7, -260):
                self.tight(x, y, w, h)
            elif e == -223:
                self.resize(w, h)
            elif e == -308:
                self.seen.append(("size", x, y, w, h,
                                  self.read(4 + 16 * 1)))
                self.resize(w, h)
            elif e == -261:
                self.seen.append(("led", self.u(1)))
            elif e in (-257, -258):
                self.seen.append(("ext", e, x))
            elif e == -224:
                break
            else:
                raise AssertionError(e)
        return used

    def until(self, seen, seconds=15):
        """Asks for updates until one brings what seen() wants; whether it has."""
        stop = time.monotonic() + seconds
        while True:
            self.request(1)
            self.s.settimeout(0.3)
            try:
                self.update()
            except socket.timeout:
                pass
            self.s.settimeout(20)
            if seen():
                return True
            if time.monotonic() > stop:
                return False

    def rgb(self):
        out = bytearray(self.w * self.h * 3)
        out[0::3], out[1::3], out[2::3] = (self.fb[2::4], self.fb[1::4],
                                           self.fb[0::4])
        return bytes(out)

    def close(self):
        self.s.close()
