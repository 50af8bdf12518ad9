#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Network backends over sockets: frames go in at one and come out at another by
way of a hub; connections that come and go; what a hostile other end sends; the
file of filter-dump. $TERN may be the peer's program."""
import os
import random
import shutil
import socket
import subprocess
import sys

sys.dont_write_bytecode = True
from libnet import (Dgram, Machine, PATIENCE, PEER, Stream,     # noqa: E402
                    accept, check, connect, listener, port, run_parts, tmp)


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
    m.settle("connection from")
    swap("socket listen and connect", a, b, 65536)
    text = m.info()
    check("information of a connection", "socket: connection from 127.0.0.1:%d"
          % a.s.getsockname()[1] in text and
          "socket: connect to 127.0.0.1:%d" % l.getsockname()[1] in text, text)
    a.s.close()
    m.settle("na: index=0,type=socket,\r\n")
    a = connect(("127.0.0.1", n))
    m.settle("connection from")
    swap("the next client", a, b)
    check("ends", m.quit()[0] == 0)


def stream_family():
    path, other = os.path.join(tmp, "s"), os.path.join(tmp, "t")
    l = listener(other, socket.AF_UNIX)
    m = Machine("stream,server=on,addr.type=unix,addr.path=" + path,
                "stream,addr.type=unix,addr.path=" + other)
    b = accept(l)
    a = connect(path, socket.AF_UNIX)
    m.settle("na: index=0,type=stream,unix:")
    swap("stream over UNIX sockets", a, b, 65536)
    a.s.close()
    m.settle("na: index=0,type=stream,\r\n")
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
    m.settle("nb: index=0,type=stream,tcp:")
    swap("stream over a descriptor and TCP", Stream(x), b, 65536)
    m.quit()


def again():
    n, path = port(), os.path.join(tmp, "u")
    l = listener(path, socket.AF_UNIX)
    m = Machine("stream,addr.type=inet,addr.host=127.0.0.1,addr.port=%d,"
                "reconnect=1" % n, "stream,addr.type=unix,addr.path=" + path)
    b = accept(l)
    m.settle("connection error")
    l2 = listener(("127.0.0.1", n))
    a = accept(l2)
    m.settle("na: index=0,type=stream,tcp:")
    swap("a server that comes later", a, b)
    a.s.close()
    a = accept(l2)
    m.settle("na: index=0,type=stream,tcp:")
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
    m.settle("connection from")
    a.s.sendall(b"\xff\xff\xff\xff" + b"x" * 1000)
    check("an oversized frame ends the connection",
          m.settle("na: index=0,type=socket,\r\n"))
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
    m.settle("connection from")
    b.s.setblocking(False)
    try:
        while b.s.recv(65536):
            pass
    except BlockingIOError:
        pass
    b.s.close()
    b = None
    m.settle("nb: index=0,type=stream,\r\n")
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
    check("ends", m.quit()[0] == 0)


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
    m.settle("connection from")
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
    for reader, args in (("tshark", ["-nr"]), ("tcpdump", ["-nr"])):
        if not shutil.which(reader):
            check("%s reads it # SKIP no %s" % (reader, reader), True)
            continue
        out = subprocess.run([reader] + args + [pcap], capture_output=True,
                             text=True, timeout=PATIENCE).stdout.lower()
        check(reader + " reads it", "who has 10.0.2.2? tell 10.0.2.15" in
              out.replace("who-has 10.0.2.2 tell", "who has 10.0.2.2? tell"),
              out)


parts = [streams, stream_family, again, datagrams, group, hostile, dump]
if PEER:
    parts.remove(again)                # the option is younger than it
run_parts(parts)
