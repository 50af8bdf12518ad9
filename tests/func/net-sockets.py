#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Network backends over sockets: frames go in at one and come out at another by
way of a hub; connections that come and go; what a hostile other end sends; the
file of filter-dump. $TERN may be the peer's program."""
import json
import os
import random
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time

TERN = os.environ.get("TERN", "build/tern")
PEER = "qemu" in TERN
tmp = tempfile.mkdtemp(prefix="net-")
results, machines = [], []


def check(name, ok, why=""):
    results.append(ok)
    if not ok and why != "":
        print("# %r" % (why,))
    print("%s %d - %s" % ("ok" if ok else "not ok", len(results), name),
          flush=True)


class Machine:
    """A and B are -netdev texts that one hub joins."""

    def __init__(self, a, b, more=(), fds=()):
        path = os.path.join(tmp, "qmp")
        self.p = subprocess.Popen(
            [TERN, "-M", "none", "-display", "none", "-nodefaults", "-qmp",
             "unix:%s,server=on,wait=off" % path, "-netdev", a + ",id=na",
             "-netdev", b + ",id=nb", "-netdev",
             "hubport,id=h1,hubid=1,netdev=na", "-netdev",
             "hubport,id=h2,hubid=1,netdev=nb"] + list(more),
            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=fds)
        machines.append(self.p)
        stop = time.time() + 20
        while True:
            try:
                self.s = socket.socket(socket.AF_UNIX)
                self.s.connect(path)
                break
            except OSError:
                if time.time() > stop or self.p.poll() is not None:
                    raise
                time.sleep(0.02)
        self.f = self.s.makefile("rw")
        self.f.readline()
        self.events = []
        self.cmd("qmp_capabilities")

    def cmd(self, name, **args):
        self.f.write(json.dumps({"execute": name, "arguments": args}) + "\n")
        self.f.flush()
        while True:
            r = json.loads(self.f.readline())
            if "event" not in r:
                return r
            self.events.append(r)

    def info(self):
        return self.cmd("human-monitor-command",
                        **{"command-line": "info network"})["return"]

    def memory(self):
        with open("/proc/%d/statm" % self.p.pid) as f:
            return int(f.read().split()[1]) * 4096

    def quit(self):
        self.cmd("quit")
        return self.p.wait(20) == 0


def port(kind=socket.SOCK_STREAM):
    s = socket.socket(socket.AF_INET, kind)
    s.bind(("127.0.0.1", 0))
    n = s.getsockname()[1]
    s.close()
    return n


class Stream:
    def __init__(self, s):
        self.s = s
        s.settimeout(20)

    def put(self, frame):
        self.s.sendall(struct.pack(">I", len(frame)) + frame)

    def exactly(self, n):
        b = b""
        while len(b) < n:
            part = self.s.recv(n - len(b))
            if not part:
                raise EOFError
            b += part
        return b

    def get(self):
        return self.exactly(struct.unpack(">I", self.exactly(4))[0])


class Dgram:
    def __init__(self, s, to=None):
        self.s, self.to = s, to
        s.settimeout(20)

    def put(self, frame):
        if self.to:
            self.s.sendto(frame, self.to)
        else:
            self.s.send(frame)

    def get(self):
        return self.s.recv(70000)


def connect(where, family=socket.AF_INET):
    stop = time.time() + 20
    while True:
        s = socket.socket(family)
        try:
            s.connect(where)
            return Stream(s)
        except OSError:
            s.close()
            if time.time() > stop:
                raise
            time.sleep(0.02)


def accept(l):
    l.settimeout(20)
    return Stream(l.accept()[0])


def listener(where, family=socket.AF_INET):
    l = socket.socket(family)
    l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    l.bind(where)
    l.listen(4)
    return l


def settle(m, text, limit=20):
    stop = time.time() + limit
    while text not in m.info() and time.time() < stop:
        time.sleep(0.02)
    return text in m.info()


def swap(name, a, b, big=20000):
    """Frames both ways, whole and in order."""
    ok = True
    for n in (14, 60, 1514, 9014, big):
        frames = [os.urandom(n) for _ in range(8)]
        for f in frames:
            a.put(f)
        ok = ok and all(b.get() == f for f in frames)
        for f in frames:
            b.put(f)
        ok = ok and all(a.get() == f for f in frames)
    check(name, ok)


def streams():
    n = port()
    l = listener(("127.0.0.1", 0))
    m = Machine("socket,listen=127.0.0.1:%d" % n,
                "socket,connect=127.0.0.1:%d" % l.getsockname()[1])
    b = accept(l)
    a = connect(("127.0.0.1", n))
    settle(m, "connection from")
    swap("socket listen and connect", a, b, 65536)
    text = m.info()
    check("information of a connection", "socket: connection from 127.0.0.1:%d"
          % a.s.getsockname()[1] in text and
          "socket: connect to 127.0.0.1:%d" % l.getsockname()[1] in text, text)
    a.s.close()
    settle(m, "na: index=0,type=socket,\r\n")
    a = connect(("127.0.0.1", n))
    settle(m, "connection from")
    swap("the next client", a, b)
    check("ends", m.quit())


def stream_family():
    path, other = os.path.join(tmp, "s"), os.path.join(tmp, "t")
    l = listener(other, socket.AF_UNIX)
    m = Machine("stream,server=on,addr.type=unix,addr.path=" + path,
                "stream,addr.type=unix,addr.path=" + other)
    b = accept(l)
    a = connect(path, socket.AF_UNIX)
    settle(m, "na: index=0,type=stream,unix:")
    swap("stream over UNIX sockets", a, b, 65536)
    a.s.close()
    settle(m, "na: index=0,type=stream,\r\n")
    names = [e["event"] for e in m.events]
    check("events of streams", names.count("NETDEV_STREAM_CONNECTED") >= 1 and
          names.count("NETDEV_STREAM_DISCONNECTED") == 1, m.events)
    m.quit()
    x, y = socket.socketpair()
    n = port()
    m = Machine("stream,addr.type=fd,addr.str=%d" % y.fileno(),
                "stream,server=on,addr.type=inet,addr.host=127.0.0.1,"
                "addr.port=%d,addr.ipv4=on" % n, fds=(y.fileno(),))
    b = connect(("127.0.0.1", n))
    settle(m, "nb: index=0,type=stream,tcp:")
    swap("stream over a descriptor and TCP", Stream(x), b, 65536)
    m.quit()


def again():
    n, path = port(), os.path.join(tmp, "u")
    l = listener(path, socket.AF_UNIX)
    m = Machine("stream,addr.type=inet,addr.host=127.0.0.1,addr.port=%d,"
                "reconnect=1" % n, "stream,addr.type=unix,addr.path=" + path)
    b = accept(l)
    settle(m, "connection error")
    l2 = listener(("127.0.0.1", n))
    a = accept(l2)
    settle(m, "na: index=0,type=stream,tcp:")
    swap("a server that comes later", a, b)
    a.s.close()
    a = accept(l2)
    settle(m, "na: index=0,type=stream,tcp:")
    swap("and comes again", a, b)
    m.quit()


def datagrams():
    mine, its, its2 = (port(socket.SOCK_DGRAM) for _ in range(3))
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.1", mine))
    p, q = os.path.join(tmp, "p"), os.path.join(tmp, "q")
    u = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    u.bind(p)
    m = Machine("socket,udp=127.0.0.1:%d,localaddr=127.0.0.1:%d" % (mine, its),
                "dgram,local.type=unix,local.path=%s,remote.type=unix,"
                "remote.path=%s" % (q, p))
    swap("udp and datagrams of UNIX", Dgram(s, ("127.0.0.1", its)), Dgram(u, q))
    m.quit()
    x, y = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    m = Machine("dgram,local.type=inet,local.host=127.0.0.1,local.port=%d,"
                "remote.type=inet,remote.host=127.0.0.1,remote.port=%d"
                % (its2, mine), "dgram,local.type=fd,local.str=%d" % y.fileno(),
                fds=(y.fileno(),))
    swap("dgram over IP and a descriptor", Dgram(s, ("127.0.0.1", its2)),
         Dgram(x))
    m.quit()


def group():
    n = port(socket.SOCK_DGRAM)
    spec = "socket,mcast=230.0.0.1:%d,localaddr=127.0.0.1" % n
    x, y = socket.socketpair()
    v, w = socket.socketpair()
    a = Machine(spec, "stream,addr.type=fd,addr.str=%d" % y.fileno(),
                fds=(y.fileno(),))
    os.rename(os.path.join(tmp, "qmp"), os.path.join(tmp, "qmp1"))
    b = Machine("dgram,remote.type=inet,remote.host=230.0.0.1,remote.port=%d,"
                "local.type=inet,local.host=127.0.0.1,local.port=0" % n,
                "socket,fd=%d" % w.fileno(), fds=(w.fileno(),))
    frame, back = os.urandom(1000), os.urandom(600)
    Stream(x).put(frame)
    check("a frame to a group", Stream(v).get() == frame)
    # What a member sends comes back to it too.
    Stream(v).put(back)
    got = Stream(x).get()
    check("and back", back in (got, Stream(x).get()))
    a.quit()
    b.quit()


def hostile():
    n, path = port(), os.path.join(tmp, "h")
    l = listener(path, socket.AF_UNIX)
    m = Machine("socket,listen=127.0.0.1:%d" % n,
                "stream,addr.type=unix,addr.path=" + path)
    b = accept(l)
    a = connect(("127.0.0.1", n))
    settle(m, "connection from")
    a.s.sendall(b"\xff\xff\xff\xff" + b"x" * 1000)
    check("an oversized frame ends the connection",
          settle(m, "na: index=0,type=socket,\r\n"))
    rnd = random.Random(5)
    for i in range(40):
        a = connect(("127.0.0.1", n))
        try:
            for _ in range(20):
                a.s.sendall(rnd.randbytes(rnd.randrange(1, 3000)))
        except OSError:
            pass
        a.s.close()
    a = connect(("127.0.0.1", n))
    settle(m, "connection from")
    b.s.setblocking(False)
    try:
        while b.s.recv(65536):
            pass
    except BlockingIOError:
        pass
    b.s.close()
    b = None
    settle(m, "nb: index=0,type=stream,\r\n")
    check("garbage is survived", m.cmd("query-status")["return"]["running"]
          in (True, False))
    # One who sends and never reads: the machine does not grow.
    x = Stream(a.s)
    for i in range(200):
        x.put(bytes([i]) * 1500)
    size = m.memory()
    try:
        a.s.settimeout(3)
        for i in range(20000):
            x.put(b"y" * 1500)
    except OSError:
        pass
    check("memory stays bounded", m.memory() - size < 48 << 20,
          (size, m.memory()))
    check("ends", m.quit())


def dump():
    n, path = port(), os.path.join(tmp, "d")
    pcap, one = os.path.join(tmp, "f.pcap"), os.path.join(tmp, "g.pcap")
    l = listener(path, socket.AF_UNIX)
    m = Machine("socket,listen=127.0.0.1:%d" % n,
                "stream,addr.type=unix,addr.path=" + path,
                ("-object", "filter-dump,id=f0,netdev=na,file=" + pcap,
                 "-object", "filter-dump,id=f1,netdev=na,queue=tx,maxlen=60,"
                 "file=" + one))
    b = accept(l)
    a = connect(("127.0.0.1", n))
    settle(m, "connection from")
    there = bytes.fromhex("ffffffffffff52540012345608060001080006040001"
                          "5254001234560a00020f0000000000000a000202") + bytes(40)
    back = bytes.fromhex("525400123456525400123457") + b"\x88\xb5" + bytes(70)
    a.put(there)
    b.get()
    b.put(back)
    a.get()
    r = m.cmd("qom-set", path="/objects/f1", property="status", value="off")
    a.put(there)
    b.get()
    m.quit()
    with open(pcap, "rb") as f:
        d = f.read()
    with open(one, "rb") as f:
        e = f.read()
    check("a dump of both ways", len(d) == 24 + 3 * 16 + 2 * len(there) +
          len(back) and d[40:40 + len(there)] == there, len(d))
    check("a dump of one way, cut", "return" in r and
          len(e) == 24 + 16 + 60 and e[40:] == there[:60], (r, len(e)))
    if shutil.which("tcpdump"):
        out = subprocess.run(["tcpdump", "-nr", pcap], capture_output=True,
                             text=True, timeout=20).stdout
        check("tcpdump reads it", "who-has 10.0.2.2 tell 10.0.2.15" in out, out)
    else:
        check("tcpdump reads it # SKIP no tcpdump", True)


parts = [streams, stream_family, again, datagrams, group, hostile, dump]
if PEER:
    parts.remove(again)                # the option is younger than it
for part in parts:
    try:
        part()
    except Exception as e:                            # counted as a failure
        check(part.__name__, False, e)
for p in machines:
    p.kill()
    p.wait()
shutil.rmtree(tmp)
print("1..%d" % len(results))
sys.exit(0 if all(results) else 1)
