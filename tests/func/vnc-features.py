#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Parts of the VNC protocol beyond pixels: lamps, keys by number, pauses between
keys, Num Lock, power, several screens, sharing, loss where a screen changes often,
large screens, and what a server may refuse to many."""
import os
import resource
import shutil
import socket
import struct
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, "tests")
from libtap import end                                          # noqa: E402
from libtern import TERN, Gone                                  # noqa: E402
from librfb import Client                                       # noqa: E402
from libvnc import (Painted, certificates, check, closed,       # noqa: E402
                    paint, scancodes, tmp)

ANY = "127.0.0.1:0,to=99"
LED, EXT_KEY, POINTER, XVP, EXT_SIZE = -261, -258, -257, -309, -308


def keyboard_on(m):
    m.say("outb 0x64 0x60")
    m.say("outb 0x60 0x41")             # translated, with interrupts


def key(c, sym, down):
    c.s.sendall(struct.pack(">BBxxI", 4, down, sym))


def number(c, code, down, sym=0):
    c.s.sendall(struct.pack(">BBHII", 255, 0, down, sym, code))


def lamps():
    m = Painted(ANY + ",key-delay-ms=0")
    m.mode(64, 48)
    keyboard_on(m)
    c = Client(m.port())
    c.encodings(0, LED)
    check("lamps are told at first", c.until(
        lambda: ("led", 0) in c.seen), c.seen)
    for byte, want in ((4, 4), (2, 2), (1, 1), (7, 7), (0, 0)):
        c.seen.clear()
        for b in (0xed, byte):          # the guest sets them
            m.say("outb 0x60 0x%x" % b)
            m.say("clock_step 1000000")
            scancodes(m)
        check("lamps %d are told" % byte, c.until(
            lambda w=want: ("led", w) in c.seen), c.seen)
    c.close()
    check("the machine ends well", m.end())


def keys():
    m = Painted(ANY + ",key-delay-ms=0")
    m.mode(64, 48)
    keyboard_on(m)
    c = Client(m.port())
    c.encodings(0, EXT_KEY)
    check("keys by number are announced", c.until(
        lambda: ("ext", EXT_KEY, 0) in c.seen), c.seen)
    rows = ((0x1e, [0x1e], [0x9e]), (0xc8, [0xe0, 0x48], [0xe0, 0xc8]),
            (0x9d, [0xe0, 0x1d], [0xe0, 0x9d]), (0x56, [0x56], [0xd6]))
    for code, down, up in rows:
        got = []
        for d in (1, 0):
            number(c, code, d)
            m.ask("query-status")
            time.sleep(0.1)
            got.append(scancodes(m))
        check("key 0x%x by its number" % code, got == [down, up], got)
    for what in ((0x1e, 0xc8), (0x9d,)):
        for code in what:
            number(c, code, 1)
    time.sleep(0.2)
    scancodes(m)
    c.close()                           # with three keys held
    m.told("VNC_DISCONNECTED")
    time.sleep(0.1)
    got = scancodes(m)
    check("keys of a client that goes come up", sorted(got) == sorted(
        [0x9e, 0xe0, 0xc8, 0xe0, 0x9d]), got)
    c = Client(m.port())
    got = []
    for sym in (0xffb1, 0xffb2, 0xff9c):        # KP_1, KP_2, KP_End
        key(c, sym, 1)
        key(c, sym, 0)
        time.sleep(0.1)
        m.ask("query-status")
        got.append(scancodes(m))
    check("Num Lock follows the keypad's symbols", got == [
        [0x45, 0xc5, 0x4f, 0xcf], [0x50, 0xd0], [0x45, 0xc5, 0x4f, 0xcf]], got)
    c.close()
    check("the machine ends well", m.end())


def locks():
    """With Caps Lock's lamp on letters change places with their capitals, and
    nothing else does: not the French key of 2, where a small letter is."""
    for layout, rows in (
            ("de", ((0x61, [0x2a, 0x1e, 0xaa, 0x9e]), (0x41, [0x1e, 0x9e]),
                    (0xe4, [0x2a, 0x28, 0xaa, 0xa8]), (0xc4, [0x28, 0xa8]),
                    (0xdf, [0x0c, 0x8c]), (0x31, [2, 0x82]))),
            ("fr", ((0x61, [0x2a, 0x10, 0xaa, 0x90]), (0x41, [0x10, 0x90]),
                    (0xe9, [3, 0x83]), (0x32, [0x2a, 3, 0xaa, 0x83])))):
        m = Painted(ANY + ",key-delay-ms=0", "-k", layout)
        m.mode(64, 48)
        keyboard_on(m)
        for b in (0xed, 4):
            m.say("outb 0x60 0x%x" % b)
            m.say("clock_step 1000000")
            scancodes(m)
        c = Client(m.port())
        got = []
        for sym, _ in rows:
            key(c, sym, 1)
            key(c, sym, 0)
            time.sleep(0.1)
            m.ask("query-status")
            got.append(scancodes(m))
        check("%s: Caps Lock is for letters" % layout,
              got == [codes for _, codes in rows], got)
        c.close()
        m.end()


def pauses():
    m = Painted(ANY + ",key-delay-ms=30")
    m.mode(64, 48)
    keyboard_on(m)
    c = Client(m.port())
    for sym in b"abc":
        key(c, sym, 1)
        key(c, sym, 0)
    time.sleep(0.3)
    m.ask("query-status")
    got = [scancodes(m)]
    for _ in range(6):
        m.say("clock_step 31000000")
        got.append(scancodes(m))
    check("keys come with pauses", got == [
        [0x1e], [0x9e], [0x30], [0xb0], [0x2e], [0xae], []], got)
    for _ in range(3000):               # more than there is room for
        key(c, ord("x"), 1)
        key(c, ord("x"), 0)
    key(c, ord("y"), 1)
    key(c, ord("y"), 0)
    time.sleep(0.5)
    m.ask("query-status")
    downs = ups = 0
    for _ in range(1100):
        m.say("clock_step 31000000")
        for code in scancodes(m):
            ups, downs = ups + (code >= 0x80), downs + (code < 0x80)
    check("of too many no key stays down", downs == ups > 100, (downs, ups))
    m.ask("send-key", keys=[{"type": "number", "data": 0x1e},
                            {"type": "qcode", "data": "b"}], **{
                                "hold-time": 200})
    got = [scancodes(m)]
    for _ in range(5):
        m.say("clock_step 100000000")
        got.append(scancodes(m))
    check("send-key by number and name, with its time",
          [x for x in got if x] == [[0x1e], [0x30], [0xb0]] or
          got == [[0x1e], [], [0x30], [], [0xb0], []], got)
    c.close()
    check("the machine ends well", m.end())


def power():
    for on in (True, False):
        m = Painted(ANY + (",power-control=on" if on else ""))
        m.mode(64, 48)
        c = Client(m.port())
        c.encodings(0, XVP)
        version = bytes([0, 1, 1 if on else 0])
        check("power control %s is told" % ("on" if on else "off"), c.until(
            lambda: ("xvp", version) in c.seen), c.seen)
        for code, event in ((2, "POWERDOWN"), (4, "RESET"), (3, "RESET")):
            m.qmp.events.clear()
            c.s.sendall(bytes([250, 0, 1, code]))
            if on:
                check("power %d: %s" % (code, event),
                      m.told(event) is not None)
            else:
                c.seen.clear()
                check("power %d is refused" % code, c.until(
                    lambda: ("xvp", b"\0\1\0") in c.seen) and
                    not [e for e in m.qmp.events if e["event"] == event],
                    c.seen)
        c.close()
        check("the machine ends well", m.end())


def heads():
    """Two cards, a server for each, and one that follows."""
    m = Painted(ANY + ",id=both", "-device", "secondary-vga,id=two,addr=5",
                "-vnc", ANY + ",id=second,display=two,head=0")
    m.mode(320, 200)
    paint(m, 320, 200, 4)
    servers = {s["id"]: s for s in m.ask("query-vnc-servers")}
    check("query-vnc-servers names the screen", servers["second"].get(
        "display") == "two" and "display" not in servers["both"], servers)
    ports = {i: int(s["server"][0]["service"]) for i, s in servers.items()}
    for base, reg, v in ((0x80002810, 0x10, 0xd0000000),
                         (0x80002804, 4, 2), (0x80002818, 0x18, 0xd8000000)):
        m.say("outl 0xcf8 0x%x" % base)
        m.say("outl 0xcfc 0x%x" % v)
    for i, v in ((4, 0), (1, 160), (2, 100), (3, 32), (4, 0x41)):
        m.say("writew 0x%x 0x%x" % (0xd8000500 + i * 2, v))
    m.say("writeb 0xd8000400 0x20")     # the attribute controller shows it
    for line in range(0, 100, 10):
        row = struct.pack("<I", 0x102030 * (line // 10)) * 160 * 10
        for at in range(0, len(row), 3200):
            m.say("write 0x%x 0x%x 0x%s" % (
                0xd0000000 + line * 640 + at, 3200, row[at:at + 3200].hex()))
    path = tmp + "/two.ppm"
    r = m.ask("screendump", filename=path, device="two", head=0)
    two = open(path, "rb").read() if os.path.exists(path) else b""
    check("screendump of the second card", r == {} and
          two.startswith(b"P6\n160 100\n"), (r, two[:20]))
    pictures = {}
    for name, port in ports.items():
        c = Client(port)
        c.encodings(0)
        c.request()
        c.update()
        pictures[name] = (c.w, c.h, c.rgb())
        c.close()
    check("each server shows its card", pictures["both"] == m.dump() and
          pictures["second"][:2] == (160, 100) and
          pictures["second"][2] == two[-160 * 100 * 3:],
          [p[:2] for p in pictures.values()])
    for args, want in (({"device": "none"}, "Device 'none' not found"),
                       ({"device": "two", "head": 7}, "is not bound"),
                       ({"head": 0}, "'head' must be specified")):
        r = m.ask("screendump", filename=path, **args)
        check("screendump of %r" % args, want in r.get("error", {}).get(
            "desc", ""), r)
    r = m.ask("screendump", filename=path, format="png")
    check("screendump as PNG", r == {} and
          open(path, "rb").read(8) == b"\x89PNG\r\n\x1a\n", r)
    check("the machine ends well", m.end())


def large():
    """4K in 64 MiB of video memory."""
    m = Painted(ANY, "-global", "VGA.vgamem_mb=64", "-global",
                "VGA.xres=3840", "-global", "VGA.yres=2160")
    m.mode(3840, 2160)
    row = b"".join(struct.pack("<I", (x * 7) & 0xffffff) for x in range(3840))
    for y in range(0, 2160, 216):
        m.write(row, y * 3840 * 4)
    c = Client(m.port())
    c.encodings(16)
    c.request()
    c.s.settimeout(120)
    got = c.read(4 + 12)
    check("a screen of 3840 x 2160", (c.w, c.h) == (3840, 2160) and
          got[0] == 0 and m.dump()[:2] == (3840, 2160), (c.w, c.h))
    c.close()
    check("the machine ends well", m.end())


def sharing():
    rows = (("force-shared", 0, "refused"), ("force-shared", 1, "both"),
            ("ignore", 0, "both"), ("allow-exclusive", 0, "alone"),
            ("allow-exclusive", 1, "both"))
    for policy, shared, want in rows:
        m = Painted(ANY + ",share=" + policy)
        a = Client(m.port(), shared=1)
        try:
            b = Client(m.port(), shared=shared)
        except (EOFError, ConnectionResetError):
            b = None
        time.sleep(0.1)
        n = len(m.ask("query-vnc")["clients"])
        check("share=%s, shared %d: %s" % (policy, shared, want),
              {"refused": b is None and n == 1, "both": b and n == 2,
               "alone": b and n == 1 and closed(a.s)}[want], (b, n))
        m.end()


def loss():
    """JPEG comes for what changes often, and the sharp picture afterwards;
    non-adaptive: JPEG always."""
    for more, first in ((",lossy=on", False),
                        (",lossy=on,non-adaptive=on", True), ("", False)):
        m = Painted(ANY + more)
        m.mode(256, 128)
        paint(m, 256, 128, 3)
        c = Client(m.port())
        c.encodings(7, -26)
        jpeg = c.jpeg = []
        c.request()
        c.update()
        check("lossy%s: the first picture is %s" % (
            more, "JPEG" if first else "sharp"), bool(jpeg) == first, jpeg)
        if first or not more:
            m.end()
            continue
        noise = [os.urandom(32 * 4) for _ in range(64)]
        for turn in range(60):
            for y in range(32):
                m.write(noise[(turn + y) % 64], y * 256 * 4)
            c.request(1)
            c.update()
            if jpeg:
                break
        check("lossy: what changes often is JPEG", jpeg, turn)
        want = m.dump()[2]
        sharp = c.until(lambda: c.rgb() == want)
        check("lossy: and sharp when it rests", sharp)
        m.end()


def crowd():
    """A thousand who never say who they are, and a thousand who do."""
    m = Painted(ANY)
    m.mode(64, 48)
    port = m.port()
    c = Client(port)
    before = m.rss()
    some = [socket.create_connection(("127.0.0.1", port)) for _ in range(400)]
    time.sleep(0.5)
    n = len(m.ask("query-vnc")["clients"])
    fds = len(os.listdir("/proc/%d/fd" % m.p.pid))
    check("few of those who say nothing are kept", fds < 100, (n, fds))
    for _ in range(600):
        s = socket.create_connection(("127.0.0.1", port))
        s.close()
    c.encodings(0)
    c.request()
    check("who is in stays", c.update())
    d = Client(port)
    check("and others get in", (d.w, d.h) == (64, 48))
    for s in some:
        s.close()
    check("a thousand connections cost little", m.rss() - before < 8 << 20,
          m.rss() - before)
    some = []
    for _ in range(300):                # all that they have to say at once
        s = socket.create_connection(("127.0.0.1", port))
        s.sendall(b"RFB 003.008\n\1\1")
        some.append(s)
    inside = 0
    for s in some:
        s.settimeout(20)
        got = b""
        try:
            while len(got) < 12 + 2 + 4 + 24:
                part = s.recv(100)
                if not part:
                    break
                got += part
        except ConnectionError:
            pass
        inside += len(got) >= 12 + 2 + 4 + 24
    check("there is an end to those who are let in", 200 < inside < 300, inside)
    for x in some:
        x.close()
    m.mode(80, 48)
    check("and the server goes on", d.until(lambda: True) and
          m.ask("query-status").get("running") is not None)
    check("the machine ends well", m.end())


def descriptors():
    """None is left for who connects: sent away, and nobody waits in a circle."""
    m = Painted(ANY)
    m.mode(64, 48)
    port, pid = m.port(), m.p.pid
    c = Client(port)
    used = max(int(n) for n in os.listdir("/proc/%d/fd" % pid))
    most = resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 3, most))
    some, away = [], 0
    for _ in range(12):
        s = socket.create_connection(("127.0.0.1", port))
        s.settimeout(10)
        try:
            away += s.recv(12) == b""
        except ConnectionError:
            away += 1
        some.append(s)
    check("without descriptors left who connects is sent away", away > 4, away)

    def ticks():
        with open("/proc/%d/stat" % pid) as f:
            return sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13]))
    began = ticks()
    time.sleep(0.5)
    check("and the server is idle", ticks() - began < 20, ticks() - began)
    for s in some:
        s.close()
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, most))
    c.encodings(0)
    c.request()
    check("who was in stays, and others get in later", c.update() and
          (Client(port).w, 64) == (64, 64))
    check("the machine ends well", m.end())


def old_tls():
    """-vnc …,tls,x509verify=DIR, as old guides have it."""
    d = certificates()
    for more, kind in ((",tls=on", "tls-none"),
                       (",tls=on,x509=" + d, "x509-none"),
                       (",tls=on,password=on,x509verify=" + d, "x509-vnc")):
        m = Painted(ANY + more)
        s = m.ask("query-vnc-servers")[0]
        check("-vnc %s" % more.replace(d, "DIR"), s["auth"] == "vencrypt" and
              s["vencrypt"] == kind, s)
        m.end()
    try:
        Painted(ANY + ",tls=on,x509=/nonexistent").end()
        check("a folder that is not there", False)
    except Gone as e:
        check("a folder that is not there", "/nonexistent" in str(e), e)


def defaults():
    """Without a word about displays there is one on the loopback address, and
    displays of libraries that are not there say so."""
    p = subprocess.Popen([TERN, "-accel", "qtest", "-S", "-m", "16"],
                         stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                         stdout=subprocess.DEVNULL)
    line = p.stderr.readline().decode()
    ok = line.startswith("VNC server running on ")
    if ok:
        host, port = line.split()[-1].rsplit(":", 1)
        c = Client(socket.create_connection((host.strip("[]"), int(port))))
        ok = host in ("127.0.0.1", "::1", "[::1]") and c.w > 0
        c.close()
    p.kill()
    p.wait()
    p.stderr.close()
    check("the default display", ok, line)
    for kind in ("gtk", "sdl", "egl-headless", "spice-app", "dbus"):
        r = subprocess.run([TERN, "-M", "none", "-display", kind],
                           capture_output=True, timeout=30, text=True)
        check("-display %s" % kind, r.returncode == 1 and
              "Display '%s' is not available" % kind in r.stderr, r.stderr)


def main():
    rows = (lamps, keys, locks, pauses, power, heads, large, sharing, loss, crowd,
            descriptors, old_tls, defaults)
    try:
        for row in rows:
            if not sys.argv[1:] or row.__name__ in sys.argv[1:]:
                row()
    finally:
        shutil.rmtree(tmp, ignore_errors=True)
    sys.exit(end())


main()
