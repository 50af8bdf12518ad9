#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Character devices of the whole program against real clients: Telnet,
WebSocket, inherited sockets, a terminal with the multiplexer's keys, input from
a file, clients that go in the middle."""
import base64
import os
import pty
import select
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, "tests")
import libtap                                                    # noqa: E402
import libtern                                                   # noqa: E402
from libtap import check                                         # noqa: E402

TERN = os.environ.get("TERN", "build/tern")
tmp = tempfile.mkdtemp(prefix="chardev-")


def hear(fd, end, limit=20.0):
    """Bytes from fd until `end` was among them."""
    got, stop = b"", time.time() + limit
    while end not in got and time.time() < stop:
        if select.select([fd], [], [], 0.1)[0]:
            try:
                part = os.read(fd if isinstance(fd, int) else fd.fileno(),
                               65536)
            except OSError:
                break
            if not part:
                break
            got += part
    return got


class Client(libtern.Qmp):
    def __init__(self, s):
        super().__init__(s, 20, TERN)

    def cmd(self, verb, /, **args):
        return self.raw({"execute": verb, "arguments": args})


class Machine:
    def __init__(self, *args, **more):
        self.path = os.path.join(tmp, "qmp")
        self.p = subprocess.Popen(
            [TERN, "-M", "none", "-display", "none", "-nodefaults", "-qmp",
             "unix:%s,server=on,wait=off" % self.path] + list(args),
            stdin=more.pop("stdin", subprocess.DEVNULL), **more)
        self.qmp = self.client()
        self.cmd = self.qmp.cmd

    def client(self):
        stop = time.time() + 20
        while True:
            s = socket.socket(socket.AF_UNIX)
            try:
                s.connect(self.path)
                return Client(s)
            except OSError:
                if time.time() > stop:
                    raise
                time.sleep(0.02)

    def filename(self, label):
        for c in self.cmd("query-chardev")["return"]:
            if c["label"] == label:
                return c["filename"]

    def tcp(self, label):
        name = self.filename(label)
        port = int(name.split("127.0.0.1:")[1].split(",")[0])
        return socket.create_connection(("127.0.0.1", port))

    def end(self):
        self.cmd("quit")
        return self.p.wait(20)


def frame(op, data):
    mask = os.urandom(4)
    n = len(data)
    head = bytes([0x80 | op]) + (bytes([0x80 | n]) if n < 126 else
                                 struct.pack(">BH", 0x80 | 126, n))
    return head + mask + bytes(b ^ mask[i & 3] for i, b in enumerate(data))


def sockets():
    own = socket.socket()
    own.bind(("127.0.0.1", 0))
    own.listen()
    srv = "host=127.0.0.1,port=0,server=on,wait=off"
    m = Machine("-chardev", "socket,id=t,telnet=on," + srv, "-mon", "t",
                "-chardev", "socket,id=w,websocket=on," + srv, "-mon", "w",
                "-chardev", "socket,id=f,server=on,wait=off,fd=%d" %
                own.fileno(), "-mon", "f", pass_fds=[own.fileno()])
    t = m.tcp("t")
    got = hear(t, b"(qemu) ")
    check("telnet greets", got.startswith(bytes.fromhex(
        "fffb01fffb03fffb00fffd00")) and b"monitor" in got, got)
    t.sendall(b"\xff\xfd\x03info sta\xff\xfa\x1f\x00\x50\x00\x18\xff\xf0tus\r")
    check("telnet commands are taken out",
          b"VM status" in hear(t, b"VM status: running"))

    w = m.tcp("w")
    key = base64.b64encode(os.urandom(16)).decode()
    w.sendall(("GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
               "Connection: Upgrade\r\nSec-WebSocket-Key: %s\r\n"
               "Sec-WebSocket-Protocol: binary\r\n"
               "Sec-WebSocket-Version: 13\r\n\r\n" % key).encode() +
              frame(2, b"info "))
    got = hear(w, b"(qemu) ")
    check("websocket opens", got.startswith(b"HTTP/1.1 101 "), got)
    w.sendall(frame(9, b"ping") + frame(2, b"status\r"))
    got = hear(w, b"VM status: running")
    check("websocket data and ping", b"\x8a\x04ping" in got, got)
    w.sendall(frame(8, struct.pack(">H", 1000)))
    got = hear(w, b"\x88\x02\x03\xe8")
    check("websocket closes", got.endswith(b"\x88\x02\x03\xe8"), got)
    w.close()
    w = m.tcp("w")
    w.sendall(b"GET / HTTP/1.0\r\n\r\n")
    check("websocket refuses", b"505" in hear(w, b"\r\n\r\n"))
    w.close()

    f = socket.create_connection(own.getsockname())
    check("an inherited socket listens", b"(qemu)" in hear(f, b"(qemu) "))
    t.close()
    for i in range(30):
        c = m.tcp("w" if i % 2 else "t")
        c.sendall(os.urandom(300))
        c.close()
    check("clients that go are survived",
          "return" in m.cmd("query-status"))
    check("ends well", m.end() == 0 and not os.path.exists(m.path))
    own.close()


def passing():
    m = Machine()
    r, w = os.pipe()
    got = m.qmp.raw({"execute": "getfd", "arguments": {"fdname": "x"}}, [w])
    check("getfd", "return" in got, got)
    a, b = socket.socketpair()
    m.qmp.raw({"execute": "getfd", "arguments": {"fdname": "s"}},
              [b.fileno()])
    got = m.cmd("chardev-add", id="c", backend={
        "type": "socket", "data": {"server": False, "addr": {
            "type": "fd", "data": {"str": "s"}}}})
    check("chardev-add with a named descriptor", "return" in got, got)
    check("busy and unknown are refused",
          "error" in m.cmd("chardev-remove", id="compat_monitor0") and
          "error" in m.cmd("chardev-remove", id="zz"))
    check("chardev-remove", "return" in m.cmd("chardev-remove", id="c"))
    got = m.cmd("chardev-add", id="p", backend={"type": "pty", "data": {}})
    check("pty", os.path.exists(got["return"]["pty"]), got)
    m.end()
    for fd in (r, w):
        os.close(fd)


def terminal():
    master, slave = pty.openpty()
    m = Machine("-chardev", "stdio,id=c,mux=on", "-serial", "chardev:c",
                "-mon", "chardev=c", stdin=slave, stdout=slave)
    os.close(slave)
    hear(master, b"(qemu) ")
    os.write(master, b"\x01h")
    check("the keys are listed",
          b"C-a C-a  sends C-a" in hear(master, b"C-a C-a  sends C-a"))
    os.write(master, b"\x01c")
    hear(master, b"(qemu) ", 2)
    os.write(master, b"info name\r")
    os.write(master, b"\x01x")
    check("Ctrl-a x ends it",
          b"QEMU: Terminated" in hear(master, b"QEMU: Terminated") and
          m.p.wait(20) == 0)
    os.close(master)


def plain_input():
    name = os.path.join(tmp, "in")
    with open(name, "w") as f:
        f.write("info status\nquit\n")
    for what, path in (("a file", name), ("/dev/null", "/dev/null")):
        with open(path) as f:
            p = subprocess.Popen([TERN, "-M", "none", "-display", "none",
                                  "-nodefaults", "-monitor", "stdio"],
                                 stdin=f, stdout=subprocess.PIPE)
            if path == name:
                out = p.communicate(timeout=20)[0]
                check("input from " + what,
                      b"VM status: running" in out and p.returncode == 0, out)
            else:
                out = hear(p.stdout, b"(qemu) ")
                cpu = os.times().children_user
                time.sleep(0.3)
                p.terminate()
                p.wait(20)
                busy = os.times().children_user - cpu
                check("input from " + what, b"(qemu) " in out and busy < 0.2,
                      (out, busy))


for part in (sockets, passing, terminal, plain_input):
    try:
        part()
    except Exception as e:                            # counted as a failure
        check(part.__name__, False, e)
subprocess.call(["rm", "-rf", tmp])
sys.exit(libtap.end())
