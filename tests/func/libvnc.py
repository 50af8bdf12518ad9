# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine without a guest whose screen a test paints, for tests of VNC."""
import os
import random
import socket
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, "tests")
from libtap import result                                       # noqa: E402
from libtern import Machine, vbe_on, x509_files                 # noqa: E402

tmp = tempfile.mkdtemp(prefix="vnc-")


def check(name, ok, why=""):
    return result(ok, name, repr(why))


class Painted(Machine):
    """It shows itself as -vnc says; video memory is written by qtest."""

    def __init__(self, vnc, *more):
        self.qt, theirs = socket.socketpair()
        super().__init__(
            "-accel", "qtest", "-m", "32", "-nodefaults", "-device",
            "VGA,addr=2", "-vnc", vnc, "-chardev", "socket,id=q,fd=%d" %
            theirs.fileno(), "-qtest", "chardev:q", *more, passing=[theirs])
        self.qf = self.qt.makefile("rw")
        self.on = False

    def ask(self, verb, **arguments):
        """What the command returns, or the reply with its error."""
        r = self.qmp.raw({"execute": verb, "arguments": arguments})
        return r.get("return", r)

    def told(self, name):
        """The data of an event that comes; None: it does not."""
        e = self.event(name, 10)
        return e and e.get("data", {})

    def say(self, line):
        self.qf.write(line + "\n")
        self.qf.flush()
        return self.qf.readline().strip()

    def mode(self, w, h):
        for line in vbe_on(w, h):
            self.say(line)

    def write(self, data, at=0):
        for i in range(0, len(data), 32768):
            part = data[i:i + 32768]
            self.say("write 0x%x 0x%x 0x%s" % (0xe0000000 + at + i, len(part),
                                               part.hex()))

    def dump(self):
        """Width, height, bytes red, green, blue of each dot."""
        self.ask("screendump", filename=tmp + "/dump.ppm")
        with open(tmp + "/dump.ppm", "rb") as f:
            d = f.read().split(b"\n", 3)
        w, h = map(int, d[1].split())
        return w, h, d[3]

    def port(self):
        return int(self.ask("query-vnc")["service"])

    def rss(self):
        with open("/proc/%d/status" % self.p.pid) as f:
            for line in f:
                if line.startswith("VmRSS"):
                    return int(line.split()[1]) << 10
        return 0

    def end(self):
        """Whether it was still there and ends well."""
        alive = self.p.poll() is None
        return self.quit() == 0 and alive


def paint(m, w, h, seed):
    """Noise, flat areas and text-like patterns."""
    r = random.Random(seed)
    rows = []
    for y in range(h):
        row = bytearray()
        for x in range(w):
            if x < w // 4:
                v = r.getrandbits(24)
            elif x < w // 2:
                v = 0x336699 if y // 8 % 2 else 0xffffff
            elif y < h // 2:
                v = 0xf0f0f0 if (x * 7 + y * 3) % 11 < 3 else 0x101010
            else:
                v = [0xff0000, 0x00ff00, 0x0000ff, 0x123456,
                     0xabcdef][(x // 5 + y // 3) % 5]
            row += struct.pack("<I", v)
        rows.append(bytes(row))
    m.write(b"".join(rows))


def closed(s):
    """The other side ends the connection in a while."""
    s.settimeout(10)
    try:
        while s.recv(65536):
            pass
    except ConnectionResetError:
        pass
    except socket.timeout:
        return False
    return True


def certificates():
    """The folder with a CA's, a server's and a client's."""
    d = tmp + "/pki"
    if not os.path.exists(d):
        os.mkdir(d)
        x509_files(d)
    return d


def users(name, word, mechanisms):
    """SASL with a file of that one user; the folder goes to the program."""
    conf = tmp + "/sasl"
    os.makedirs(conf, exist_ok=True)
    with open(conf + "/qemu.conf", "w") as f:
        f.write("mech_list: %s\npwcheck_method: auxprop\n"
                "auxprop_plugin: sasldb\nsasldb_path: %s/db\n" % (mechanisms,
                                                                   conf))
    subprocess.run(["saslpasswd2", "-p", "-c", "-f", conf + "/db", "-u",
                    socket.gethostname(), name], input=word.encode(),
                   check=True)
    os.environ["SASL_CONF_PATH"] = conf


def scancodes(m):
    """What the keyboard has to say, set 1."""
    out = []
    for _ in range(200):
        if not int(m.say("inb 0x64").split()[1], 16) & 1:
            break
        out.append(int(m.say("inb 0x60").split()[1], 16))
    return out
