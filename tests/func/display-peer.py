#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Displays and input beside the peer: what a card's monitor says of itself (EDID)
and which modes its registers allow, for the properties that change them; the
lamps of the keyboard and the kind of pointer as a VNC client is told; the names
of keys."""

import os
import re
import shutil
import socket
import struct
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path[:0] = ["tests", os.path.dirname(os.path.abspath(__file__))]
from libtap import check, end, skip                              # noqa: E402
from libtern import Machine, TERN                                # noqa: E402
from librfb import Client                                        # noqa: E402

PEER = shutil.which("qemu-system-x86_64")
MMIO, EDID = 0xf0000000, 384
LED, POINTER = -261, -257
tmp = tempfile.mkdtemp(prefix="display-peer-")


class Side(Machine):
    """Without a running processor; registers are reached by qtest."""

    def __init__(self, ours, *more):
        path = "%s/qtest" % tmp
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        listener.settimeout(60)
        super().__init__(
            "-S", "-accel", "qtest" if ours else "tcg", "-m", "32",
            "-nodefaults", "-vga", "none", "-display", "none", "-qtest",
            "unix:" + path, *more, program=TERN if ours else PEER)
        self.qt = listener.accept()[0]
        listener.close()
        os.unlink(path)
        self.qf = self.qt.makefile("rw")

    def do(self, line):
        self.qf.write(line + "\n")
        self.qf.flush()
        while True:
            got = self.qf.readline()
            if got.startswith(("OK", "FAIL")) or not got:
                return (got.split() + ["", ""])[1]

    def end(self):
        self.qf.close()
        self.qt.close()
        self.kill()


def both(what, args, *more):
    """What each side answers."""
    out = []
    for ours in (True, False):
        m = Side(ours, *args)
        try:
            out.append(what(m, *more))
        finally:
            m.end()
    return out


def registers(m, regs_at):
    """EDID, and what the VBE registers hold at most (Bochs: GETCAPS)."""
    for reg, val in ((0x18, MMIO), (4, 7)):
        m.do("outl 0xcf8 0x%x" % (0x80001000 | reg))
        m.do("outl 0xcfc 0x%x" % val)
    edid = bytes.fromhex(m.do("read 0x%x %d" % (MMIO, EDID))[2:])
    vbe = MMIO + regs_at
    m.do("writew 0x%x 2" % (vbe + 8))           # ENABLE: capabilities
    caps = [m.do("readw 0x%x" % (vbe + 2 * i)) for i in (0, 1, 2, 3, 10)]
    m.do("writew 0x%x 0" % (vbe + 8))
    return edid, caps


def cards():
    rows = ["VGA,addr=2,romfile=" + more for more in (
        "", ",xres=1920,yres=1080", ",xres=640,yres=480,xmax=1024,ymax=768",
        ",xres=3840,yres=2160,vgamem_mb=64", ",xres=5120,yres=2880", ",refresh_rate=75000",
        ",xmax=800,ymax=600", ",xmax=1920,ymax=1440",
        ",xmax=1900,ymax=1400", ",vgamem_mb=4", ",edid=off")]
    rows += ["bochs-display,addr=2" + more for more in (
        "", ",xres=1920,yres=1080", ",xres=2560,yres=1600,vgamem=64M",
        ",xmax=1400,ymax=1050",
        ",xres=3840,yres=2160", ",edid=off")]
    for row in rows:
        a, b = both(registers, ["-device", row], 0x500)
        check("%s: the monitor" % row, a[0] == b[0],
              "\n".join(["%d: ours %02x peer %02x" % (i, x, y) for i, (x, y) in
                         enumerate(zip(a[0], b[0])) if x != y][:20]))
        check("%s: the modes" % row, a[1] == b[1], "ours %s" % a[1],
              "peer %s" % b[1])


def cirrus():
    """It has no monitor; its memory and BARs say what it shows."""
    def sizes(m):
        out = []
        for reg in (0x10, 0x14):
            m.do("outl 0xcf8 0x%x" % (0x80001000 | reg))
            m.do("outl 0xcfc 0xffffffff")
            out.append(m.do("inl 0xcfc"))
        return out
    for more in ("", ",vgamem_mb=8", ",global-vmstate=on"):
        a, b = both(sizes, ["-device", "cirrus-vga,addr=2,romfile=" + more])
        check("cirrus-vga%s: its memory" % more, a == b, a, b)


def seen_by(c, want, seconds=10):
    """Updates until something of the encoding is told."""
    c.until(lambda: any(s[0] == want for s in c.seen), seconds)
    got = [s for s in c.seen if s[0] == want]
    c.seen.clear()
    return got


def lamps(m, path):
    m.do("outb 0x64 0x60")
    m.do("outb 0x60 0x41")
    c = Client(path)
    c.encodings(0, LED)
    out = [seen_by(c, "led")]
    for byte in (4, 2, 1, 7, 0):
        for b in (0xed, byte):
            m.do("outb 0x60 0x%x" % b)
            m.do("inb 0x60")
        out.append(seen_by(c, "led"))
    c.close()
    return out


def pointers(m, path):
    """The kind is told when the pseudo-encoding is asked for, and when another
    device becomes the pointer."""
    c = Client(path)
    c.encodings(0, POINTER)
    out = [seen_by(c, "ext")]
    mice = sorted((x["name"], x["index"]) for x in m.cmd("query-mice"))
    out.append([name for name, _ in mice])
    for name, index in mice:
        m.hmp("mouse_set %d" % index)
        # A pointer's event brings what is due.
        c.s.sendall(struct.pack(">BBHH", 5, 0, 3, 4))
        out.append((name, seen_by(c, "ext", 2)))
    c.close()
    return out


def told():
    path = tmp + "/vnc"
    for name, what, more in (
            ("lamps", lamps, []), ("a mouse", pointers, []),
            ("a tablet beside it", pointers,
             ["-device", "virtio-tablet-pci,addr=5"])):
        a, b = both(what, ["-device", "VGA,addr=2", "-vnc", "unix:" + path] +
                    more, path)
        check("VNC is told of " + name, a == b, "ours %s" % (a,),
              "peer %s" % (b,))


def keys():
    """Each name that the schema has, and others that people may try."""
    with open("tests/reference/qemu-7.2/schema.json", encoding="utf-8") as f:
        text = f.read()
    names = sorted(set(re.findall(r'"name":\s*"([a-z0-9_]+)"', next(
        line for line in text.split("\n") if '"kp_multiply"' in line))))
    tries = names + ["0x1e", "0xe048", "30", "0x1", "0xff", "0x100", "enter",
                     "return", "ctl", "", "ctrl-", "-a", "a-b-c-d", "ctrl-alt-",
                     "shift-0x1e", "unmapped", "<", "A", "ret-ret", "a b", "spc",
                     "sysrq", "a 100", "a foo", "0x", "0xzz", "ctrl-alt-delete"]

    def say(m):
        out = [re.sub(r"\s+", " ", m.hmp("sendkey " + t)) for t in tries]
        for n in names + ["nosuch", ""]:
            r = m.qmp.ask("send-key", keys=[{"type": "qcode", "data": n}],
                          hold_time=1)
            out.append(r.get("error", {}).get("desc"))
        for n in (0, 30, 0x80, 0xc8, 255, 256, -1):
            r = m.qmp.ask("send-key", keys=[{"type": "number", "data": n}],
                          hold_time=1)
            out.append(r.get("error", {}).get("desc"))
        return out
    a, b = both(say, [])
    rows = tries + names + ["nosuch", ""] + ["number"] * 7
    check("%d names of keys" % len(names), a == b and len(names) > 150,
          *["%r: ours %r peer %r" % (t, x, y)
            for t, x, y in zip(rows, a, b) if x != y])


def main():
    if not PEER:
        skip("display-peer", "no peer is installed")
        return end()
    try:
        for row in (cards, cirrus, told, keys):
            if not sys.argv[1:] or row.__name__ in sys.argv[1:]:
                row()
    finally:
        shutil.rmtree(tmp, ignore_errors=True)
    return end()


sys.exit(main())
