#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The VNC server with clients that others wrote: libvncclient (tests/vnc-shot.c),
gvncviewer's gvnccapture, TigerVNC's vncviewer on a virtual X server. Each
encoding, each security type; pictures equal the screen dump dot by dot."""
import os
import shutil
import struct
import subprocess
import sys
import time
import zlib

sys.dont_write_bytecode = True
sys.path.insert(0, "tests")
from libtap import end, skip                                    # noqa: E402
from libvnc import Painted, certificates, check, tmp, users     # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
PATIENCE = 60 * int(os.environ.get("TERN_TEST_PATIENCE", "1"))
W, H = 320, 240


class Machine(Painted):
    """A screen of W x H with areas that suit each encoding."""

    def __init__(self, more, *arguments):
        super().__init__("127.0.0.1:0,to=99" + more, *arguments)
        self.mode(W, H)
        noise = os.urandom(W * 4)
        two = struct.pack("<2I", 0x123456, 0xfedcba)
        self.write(b"".join(
            noise[y * 4:] + noise[:y * 4] if y < 40 else
            two * (W // 2) if y < 80 else
            struct.pack("<%dI" % W, *(x << 16 | y << 8 for x in range(W)))
            if y < 160 else struct.pack("<I", 0x00aa55) * W
            for y in range(H)))
        self.display = self.port()
        self.ppm = b"P6\n%d %d\n255\n" % (W, H) + self.dump()[2]


def run(args, env=()):
    try:
        r = subprocess.run(args, capture_output=True, timeout=PATIENCE,
                           env=dict(os.environ, **dict(env)), text=True,
                           stdin=subprocess.DEVNULL)
        return r.returncode, r.stderr[-500:]
    except subprocess.TimeoutExpired:
        return -1, "no end"


# ---- libvncclient ------------------------------------------------------------
def shot_program():
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "libvncclient"],
                           capture_output=True, text=True) \
        if shutil.which("pkg-config") else None
    out = tmp + "/vnc-shot"
    if not flags or flags.returncode or subprocess.run(
            [os.environ.get("CC", "cc"), "-o", out, HERE + "/../vnc-shot.c"] +
            flags.stdout.split(), capture_output=True).returncode:
        return None
    return out


def shot(program, m, name, encoding, want=True, **env):
    out = tmp + "/shot.ppm"
    if os.path.exists(out):
        os.unlink(out)
    code, err = run([program, str(m.display), encoding, out], env.items())
    if not want:
        check("libvncclient, %s: refused" % name, code == 1, err)
        return
    same = code == 0 and open(out, "rb").read() == m.ppm
    check("libvncclient, %s" % name, same, (code, err))


def with_library(program):
    m = Machine("")
    for encoding in ("raw", "hextile", "zlib", "tight", "zrle",
                     "copyrect tight zrle hextile zlib raw"):
        shot(program, m, encoding, encoding)
    m.end()
    m = Machine(",lossy=on")
    shot(program, m, "zrle where loss is allowed", "zrle")
    m.end()
    m = Machine(",password=on", "-object", "secret,id=s,data=x")
    m.ask("set_password", protocol="vnc", password="pass word")
    shot(program, m, "a password", "zrle", VNC_PASSWORD="pass word")
    shot(program, m, "a wrong one", "zrle", False, VNC_PASSWORD="guess")
    m.end()
    m = Machine(",tls-creds=t", "-object", "tls-creds-anon,id=t,endpoint=server")
    shot(program, m, "TLS without certificates", "tight")
    m.end()
    if not shutil.which("openssl"):
        skip("libvncclient, TLS", "no openssl")
        return
    d = certificates()
    x509 = "tls-creds-x509,id=t,endpoint=server,verify-peer=off,dir=" + d
    m = Machine(",tls-creds=t", "-object", x509)
    shot(program, m, "TLS", "zrle", VNC_CA=d + "/ca-cert.pem")
    m.end()
    m = Machine(",tls-creds=t,password=on", "-object", x509)
    m.ask("set_password", protocol="vnc", password="pw")
    shot(program, m, "TLS and a password", "zrle", VNC_CA=d + "/ca-cert.pem",
         VNC_PASSWORD="pw")
    m.end()
    if not shutil.which("saslpasswd2"):
        skip("libvncclient, SASL", "no sasl2-bin")
        return
    users("fred", "word", "scram-sha-256")
    m = Machine(",tls-creds=t,sasl=on", "-object", x509)
    shot(program, m, "SASL inside TLS", "zrle", VNC_CA=d + "/ca-cert.pem",
         VNC_USER="fred", VNC_PASSWORD="word")
    shot(program, m, "SASL with a wrong word", "zrle", False, VNC_USER="fred",
         VNC_CA=d + "/ca-cert.pem", VNC_PASSWORD="guess")
    m.end()


# ---- gvnccapture -------------------------------------------------------------
def png_rgb(path):
    """Dots of a PNG of 8 bits a channel, not interlaced."""
    with open(path, "rb") as f:
        data = f.read()
    at, idat, size = 8, b"", None
    while at < len(data):
        n, kind = struct.unpack(">I4s", data[at:at + 8])
        if kind == b"IHDR":
            size = struct.unpack(">2I5B", data[at + 8:at + 8 + n])
        elif kind == b"IDAT":
            idat += data[at + 8:at + 8 + n]
        at += n + 12
    w, h, _, kind = size[:4]
    step = {2: 3, 6: 4}[kind]
    raw, line, out = zlib.decompress(idat), bytearray(w * step), b""
    for y in range(h):
        f, row = raw[y * (w * step + 1)], bytearray(
            raw[y * (w * step + 1) + 1:(y + 1) * (w * step + 1)])
        for i in range(len(row)):
            a = row[i - step] if i >= step else 0
            b, c = line[i], line[i - step] if i >= step else 0
            p = a + b - c
            near = min((abs(p - a), 0, a), (abs(p - b), 1, b),
                       (abs(p - c), 2, c))[2]
            row[i] = row[i] + (0, a, b, (a + b) // 2, near)[f] & 255
        line = row
        out += bytes(row) if step == 3 else \
            b"".join(bytes(row[i:i + 3]) for i in range(0, len(row), 4))
    return w, h, out


def with_gvnccapture():
    m = Machine("")
    out = tmp + "/capture.png"
    code, err = run(["gvnccapture", "127.0.0.1:%d" % (m.display - 5900), out])
    ok = code == 0 and os.path.exists(out)
    w, h, rgb = png_rgb(out) if ok else (0, 0, b"")
    check("gvnccapture", ok and (w, h) == (W, H) and
          rgb == m.ppm[-W * H * 3:], (code, err, w, h))
    m.end()


# ---- vncviewer ---------------------------------------------------------------
def on_screen(path, rgb):
    """Is the picture somewhere on that screen of 32 bits a dot, dot by dot?"""
    if not os.path.exists(path):
        return False
    with open(path, "rb") as f:
        data = f.read()
    head = struct.unpack(">25I", data[:100])
    start, stride, w, h = head[0] + head[19] * 12, head[12], head[4], head[5]
    rows = []
    for y in range(h):
        row = data[start + y * stride:start + y * stride + w * 4]
        dots = bytearray(w * 3)
        dots[0::3], dots[1::3], dots[2::3] = row[2::4], row[1::4], row[0::4]
        rows.append(bytes(dots))
    for top in range(h - H):
        left = rows[top].find(rgb[:W * 3])
        if left >= 0:
            return all(rows[top + y][left:left + W * 3] ==
                       rgb[y * W * 3:(y + 1) * W * 3] for y in range(H))
    return False


def with_vncviewer():
    r, w = os.pipe()
    x = subprocess.Popen(
        ["Xvfb", "-displayfd", str(w), "-screen", "0", "800x600x24", "-fbdir",
         tmp, "-nolisten", "tcp"], pass_fds=[w], stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(w)
    with os.fdopen(r) as f:
        display = ":" + f.readline().strip()
    m = Machine("")
    for encoding in ("Raw", "Hextile", "ZRLE", "Tight"):
        v = subprocess.Popen(
            ["vncviewer", "-SecurityTypes", "None", "-AutoSelect=0",
             "-PreferredEncoding", encoding, "-NoJPEG", "-FullColor",
             "-RemoteResize=0", "-MenuKey=", "-geometry", "%dx%d+0+0" % (W, H),
             "127.0.0.1::%d" % m.display], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=dict(os.environ, DISPLAY=display, HOME=tmp))
        end, same = time.time() + PATIENCE, False
        while not same and time.time() < end and v.poll() is None:
            time.sleep(0.3)
            same = on_screen(tmp + "/Xvfb_screen0", m.ppm[-W * H * 3:])
        check("vncviewer, %s" % encoding, same, v.poll())
        v.kill()
        v.wait()
    m.end()
    x.kill()
    x.wait()


try:
    program = shot_program()
    if program:
        with_library(program)
    else:
        skip("libvncclient", "it is not installed")
    if shutil.which("gvnccapture"):
        with_gvnccapture()
    else:
        skip("gvnccapture", "it is not installed")
    if shutil.which("vncviewer") and shutil.which("Xvfb"):
        with_vncviewer()
    else:
        skip("vncviewer", "it or Xvfb is not installed")
finally:
    shutil.rmtree(tmp)
sys.exit(end())
