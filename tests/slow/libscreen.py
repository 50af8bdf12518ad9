# SPDX-License-Identifier: GPL-2.0-or-later
"""What a person at a VNC viewer sees of a screen of text: a client that takes
whole pictures in 32-bit dots, reads the letters out of them by the VGA BIOS's
font, and types. Linux's own font on a frame buffer draws a few otherwise (f, m,
w, T): those are read as question marks."""
import socket
import struct
import time

ROM = "/usr/share/seabios/vgabios-stdvga.bin"
LETTER_A = bytes.fromhex("000010386cc6c6fec6c6c6c600000000")
HEIGHT = 16                     # dots of a character


def font():
    """Sixteen rows of a character to the character."""
    with open(ROM, "rb") as f:
        rom = f.read()
    at = rom.find(LETTER_A)
    if at < 0x41 * 16:
        return None
    at -= 0x41 * 16
    shapes = {}
    for c in range(126, 31, -1):
        shapes[rom[at + c * 16:at + c * 16 + 16]] = chr(c)
    return shapes


class Screen:
    def __init__(self, path):
        self.shapes = font()
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(60)
        self.s.connect(path)
        self.read(12)
        self.s.sendall(b"RFB 003.008\n")
        self.read(self.read(1)[0])
        self.s.sendall(b"\1")
        self.read(4)
        self.s.sendall(b"\1")
        self.w, self.h = struct.unpack(">HH", self.read(4))
        self.read(16)
        self.read(struct.unpack(">I", self.read(4))[0])
        # red, green and blue in the low 24 bits; raw, and new sizes
        self.s.sendall(b"\0\0\0\0" + struct.pack(
            ">BBBBHHHBBB3x", 32, 24, 0, 1, 255, 255, 255, 16, 8, 0))
        self.s.sendall(b"\2\0" + struct.pack(">Hii", 2, 0, -223))

    def read(self, n):
        data = b""
        while len(data) < n:
            got = self.s.recv(n - len(data))
            if not got:
                raise OSError("the server has gone")
            data += got
        return data

    def picture(self):
        """Rows of dots, as bytes of four each."""
        rows = [bytearray(self.w * 4) for _ in range(self.h)]
        self.s.sendall(struct.pack(">BBHHHH", 3, 0, 0, 0, self.w, self.h))
        while self.read(1) != b"\0":
            pass                        # a bell
        again = False
        for _ in range(struct.unpack(">xH", self.read(3))[0]):
            x, y, w, h, kind = struct.unpack(">HHHHi", self.read(12))
            if kind == -223:
                self.w, self.h = w, h
                again = True
                continue
            data = self.read(w * h * 4)
            for k in range(h):
                if y + k < len(rows):
                    rows[y + k][x * 4:(x + w) * 4] = \
                        data[k * w * 4:(k + 1) * w * 4]
        return self.picture() if again else rows

    def letter(self, rows, x, y):
        """The character whose dots are those that differ from its cell's
        background: the colour of most of its dots."""
        cells = [struct.unpack("<8I", bytes(r[x * 4:x * 4 + 32]))
                 for r in rows[y:y + HEIGHT]]
        seen = [d & 0xffffff for c in cells for d in c]
        ground = max(set(seen), key=seen.count)
        shape = bytes(sum(128 >> k for k, d in enumerate(c)
                          if d & 0xffffff != ground) for c in cells)
        return self.shapes.get(shape) or \
            self.shapes.get(bytes(255 - b for b in shape)) or "?"

    def text(self):
        rows = self.picture()
        width = 9 if (self.w, self.h) == (720, 400) else 8
        if self.h % HEIGHT or self.w % width:
            return "(%d x %d dots)" % (self.w, self.h)
        return "\n".join(
            "".join(self.letter(rows, x, y) for x in range(0, self.w, width))
            .rstrip() for y in range(0, self.h, HEIGHT))

    def wait(self, words, seconds):
        """Until the words are on the screen; the text, or None."""
        stop = time.time() + seconds
        while True:
            text = self.text()
            if words in text:
                return text
            if time.time() > stop:
                return None
            time.sleep(2)

    def press(self, key):
        for down in (1, 0):
            self.s.sendall(struct.pack(">BBHI", 4, down, 0, key))

    def type(self, prompt, text, seconds):
        """Each letter once the one before it stands behind the prompt: a guest
        that is slow to read its keyboard loses none. Then Enter."""
        seen = prompt
        for c in text:
            self.press(ord(c))
            seen += c
            if not self.wait(seen, seconds):
                return False
        self.press(0xff0d)
        return True
