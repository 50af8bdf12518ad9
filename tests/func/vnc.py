#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The VNC server against a client written from the specification: versions,
security types, every encoding compared with a screen dump, several sizes, keys,
sharing, WebSocket, refusals, and clients that mean harm."""
import os
import random
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, "tests")
from libtap import end, skip                                 # noqa: E402
from libtern import TERN                                        # noqa: E402
from librfb import Client                                       # noqa: E402
from libvnc import (Painted, certificates, check, closed,       # noqa: E402
                    paint, scancodes, tmp, users)


def encodings(m, port):
    names = {0: "raw", 5: "hextile", 6: "zlib", 16: "ZRLE", 7: "tight",
             -260: "tight PNG"}
    for e, name in names.items():
        m.mode(333, 217)
        paint(m, 333, 217, 5)
        c = Client(port)
        c.encodings(e)
        c.request()
        used = c.update()
        w, h, want = m.dump()
        same = (c.w, c.h) == (w, h) and c.rgb() == want
        # a change is told alone, and streams go on
        m.write(b"\x12\x34\x56\0" * 40, (50 * 333 + 20) * 4)
        c.request(1)
        c.update()
        again = c.rgb() == m.dump()[2]
        check("%s shows what a screen dump shows" % name,
              same and again and (e in used), (c.w, c.h, w, h, used, same,
                                               again))
        c.close()


def formats(m, port):
    m.mode(64, 32)
    paint(m, 64, 32, 9)
    want = m.dump()[2]
    for bits, maxes, shifts, big in ((16, (31, 63, 31), (11, 5, 0), 0),
                                     (16, (31, 63, 31), (11, 5, 0), 1),
                                     (8, (7, 7, 3), (0, 3, 6), 0),
                                     (32, (255, 255, 255), (0, 8, 16), 1)):
        c = Client(port)
        c.s.sendall(struct.pack(">BxxxBBBBHHHBBBxxx", 0, bits, bits, big, 1,
                                *maxes, *shifts))
        c.encodings(0)
        c.request()
        got = {}
        assert c.read(2) == b"\0\0"
        for _ in range(c.u(2)):
            x, y, w, h, _e = struct.unpack(">HHHHi", c.read(12))
            d = c.read(w * h * bits // 8)
            for i in range(w * h):
                px = d[i * bits // 8:(i + 1) * bits // 8]
                got[x + i % w, y + i // w] = int.from_bytes(
                    px, "big" if big else "little")
        ok = len(got) == 64 * 32
        for (x, y), v in got.items():
            for k in range(3):
                a = want[(y * 64 + x) * 3 + k]
                ok &= abs((v >> shifts[k] & maxes[k]) * 255 / maxes[k] - a) <= \
                    255 / maxes[k] / 2 + 1
        check("pixels of %d bits%s" % (bits, ", big end first" * big), ok)
        c.close()


def sizes(m, port):
    m.mode(320, 200)
    c = Client(port)
    d = Client(port)
    c.encodings(16, -223)
    d.encodings(0, -308, -261, -258)
    c.request()
    d.request()
    c.update()
    d.update()
    m.mode(640, 480)
    paint(m, 640, 480, 2)
    c.request(1)
    d.request(1)
    used = c.update() | d.update()
    while -223 not in used:
        c.request(1)
        used |= c.update()
    while (d.w, d.h) != (640, 480):
        d.request(1)
        d.update()
    for k in (c, d):
        k.request(0)
        k.update()
    want = m.dump()
    check("a new size is told to those who know how",
          (c.w, c.h) == (640, 480) == (d.w, d.h) and c.rgb() == want[2] ==
          d.rgb(), (c.w, c.h, d.w, d.h))
    check("extended sizes, lights and keys are announced",
          {s[0] for s in d.seen} >= {"size", "led", "ext"}, d.seen)
    d.s.sendall(struct.pack(">BxHHBxIHHHHI", 251, 800, 600, 1, 0, 0, 0, 800,
                            600, 0))
    d.seen.clear()
    d.request(1)
    d.update()
    check("a size that is the guest's to choose is refused",
          any(s[0] == "size" and s[1] == 1 and s[2] == 3 for s in d.seen),
          d.seen)
    c.close()
    d.close()


def security():
    m = Painted("127.0.0.1:0,to=99,password=on")
    port = m.port()
    try:
        Client(port, password="x")
        check("nobody gets in before a password is set", False)
    except PermissionError as e:
        check("nobody gets in before a password is set",
              "Authentication failed" in str(e), str(e))
    m.ask("set_password", protocol="vnc", password="secret12")
    for version in (3, 7, 8):
        c = Client(port, version=version, password="secret12")
        c.encodings(0)
        c.request()
        check("password, protocol 3.%d" % version, c.types == [2] and
              c.update())
        c.close()
    for version in (7, 8):
        try:
            Client(port, version=version, password="wrong")
            check("a wrong password, protocol 3.%d" % version, False)
        except (PermissionError, EOFError):
            check("a wrong password, protocol 3.%d" % version, True)
    info = m.ask("query-vnc")
    check("query-vnc tells the security type", info["auth"] == "vnc" and
          info["enabled"] and info["host"] == "127.0.0.1" and
          info["family"] == "ipv4", info)
    m.ask("expire_password", protocol="vnc", time="now")
    try:
        Client(port, password="secret12")
        check("a password that has ended", False)
    except PermissionError:
        check("a password that has ended", True)
    m.ask("expire_password", protocol="vnc", time="never")
    m.ask("change-vnc-password", password="other")
    c = Client(port, password="other")
    check("change-vnc-password", c.result == 0)
    r = m.ask("set_password", protocol="vnc", password="a",
              connected="disconnect")
    check("VNC keeps its clients", "must be 'keep'" in
          r.get("error", {}).get("desc", ""), r)
    r = m.ask("set_password", protocol="spice", password="a")
    check("there is no SPICE", r["error"]["class"] == "DeviceNotActive", r)
    check("info vnc", "Auth: vnc (Sub: none)" in m.hmp("info vnc") and
          "Client: 127.0.0.1:" in m.hmp("info vnc"), m.hmp("info vnc"))
    c.close()
    check("the machine ends well", m.end())


def events_and_sharing(m, port):
    m.qmp.events.clear()
    c = Client(port)
    a, b = m.told("VNC_CONNECTED"), m.told("VNC_INITIALIZED")
    check("events of a client that comes", a and b and
          a["server"]["service"] == str(port) and b["client"]["family"] ==
          "ipv4" and a["server"]["auth"] == "none", (a, b))
    d = Client(port, shared=0)
    check("one who wants to be alone is", closed(c.s) and
          m.told("VNC_DISCONNECTED") is not None)
    e = socket.create_connection(("127.0.0.1", port))
    try:
        Client(e, shared=1)
        check("and others wait", False)
    except (EOFError, ConnectionResetError):
        check("and others wait", True)
    d.close()


def hostile(m, port):
    r = random.Random(7)
    for i in range(60):
        s = socket.create_connection(("127.0.0.1", port))
        try:
            if i % 3:
                c = Client(s)
                s.sendall(bytes(r.getrandbits(8) for _ in range(3000)))
            else:
                s.sendall(bytes(r.getrandbits(8) for _ in range(200)))
        except (OSError, EOFError, AssertionError):
            pass
        s.close()
    check("random bytes", m.ask("query-status").get("running") is not None)
    c = Client(port)
    c.s.sendall(struct.pack(">BxxxI", 6, 0x7fffffff) + b"x" * 1000)
    check("a clipboard of 2 GiB ends the connection", closed(c.s))
    c = Client(port)
    c.s.sendall(struct.pack(">BxxxBBBBHHHBBBxxx", 0, 24, 24, 0, 1, 255, 255,
                            255, 0, 8, 16))
    check("a pixel of 24 bits ends the connection", closed(c.s))
    many = [socket.create_connection(("127.0.0.1", port)) for _ in range(200)]
    time.sleep(0.3)
    for s in many:
        s.close()
    # one that asks and does not read: memory stays within a frame or two
    m.mode(1024, 768)
    c = Client(port)
    c.encodings(0)
    time.sleep(0.3)
    before = m.rss()
    for i in range(300):
        c.request()
    for i in range(20):
        m.write(bytes([i]) * 65536, i * 65536)
        time.sleep(0.02)
    check("a client that does not read costs little",
          m.rss() - before < 24 << 20, m.rss() - before)
    c.close()
    # and one that makes the server talk: 1.5 KiB for each 20 bytes
    c = Client(port)
    before, sent = m.rss(), 0
    c.s.settimeout(1)
    try:
        while sent < 100000:
            c.s.sendall(struct.pack(">BxxxBBBBHHHBBBxxx", 0, 8, 8, 0, 0, 7, 7,
                                    3, 0, 3, 6) * 500)
            sent += 500
    except socket.timeout:
        pass
    time.sleep(3)                       # for all that it would take in
    check("nor one that asks for palettes and does not read",
          m.rss() - before < 64 << 20, (sent, m.rss() - before))
    c.close()
    c = Client(port)
    c.encodings(0)
    c.request()
    check("and the next one is served", c.update())
    c.close()


def websocket():
    m = Painted("127.0.0.1:0,to=99,websocket=on")
    ws = [s for s in m.ask("query-vnc-servers")[0]["server"] if s["websocket"]]
    check("a websocket has a port of its own", len(ws) == 1 and
          int(ws[0]["service"]) in range(5700, 5800), ws)
    s = socket.create_connection(("127.0.0.1", int(ws[0]["service"])))
    s.settimeout(20)
    s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
              b"Connection: Upgrade\r\nSec-WebSocket-Key: "
              b"dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
              b"Sec-WebSocket-Protocol: binary\r\n\r\n")
    head = b""
    while b"\r\n\r\n" not in head:
        head += s.recv(1)
    check("its handshake", b"101" in head and
          b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head, head)

    class Framed:
        def __init__(self):
            self.have = b""

        def settimeout(self, t):
            s.settimeout(t)

        def exactly(self, n):
            b = b""
            while len(b) < n:
                part = s.recv(n - len(b))
                if not part:
                    raise EOFError
                b += part
            return b

        def recv(self, n):
            if not self.have:
                a, b = self.exactly(2)
                n2 = b & 127
                if n2 == 126:
                    n2 = int.from_bytes(self.exactly(2), "big")
                elif n2 == 127:
                    n2 = int.from_bytes(self.exactly(8), "big")
                self.have = self.exactly(n2)
            out, self.have = self.have[:n], self.have[n:]
            return out

        def sendall(self, data):
            key = b"\1\2\3\4"
            s.sendall(bytes([0x82, 0x80 | len(data)]) + key +
                      bytes(b ^ key[i % 4] for i, b in enumerate(data)))

    m.mode(100, 60)
    paint(m, 100, 60, 3)
    c = Client(Framed())
    c.encodings(16)
    c.request()
    c.update()
    check("a picture through it", c.rgb() == m.dump()[2])
    s.close()
    check("the machine ends well", m.end())


def refusals():
    rows = [("foo=bar", "Invalid parameter 'foo'"),
            (":70000", "port 70000 out of range"),
            ("1.2.3.4", "no vnc port specified"),
            ("127.0.0.1:x", "can't convert to a number: x"),
            ("127.0.0.1:99,share=foo", "unknown vnc share= option"),
            ("127.0.0.1:99,tls-creds=zz", "No TLS credentials with id 'zz'"),
            ("127.0.0.1:99,sasl-authz=x",
             "'sasl-authz' provided but SASL auth is not enabled"),
            ("unix:/proc/x", "Failed to bind socket to /proc/x: "
             "No such file or directory")]
    for arg, want in rows:
        r = subprocess.run([TERN, "-M", "none", "-nodefaults", "-vnc", arg],
                           capture_output=True, timeout=20)
        check("-vnc %s" % arg, r.returncode == 1 and
              r.stderr.decode().split("\n")[0].endswith(
                  ": -vnc %s: %s" % (arg, want)), r.stderr)
    for arg, want in (("vnc", "VNC requires a display argument vnc=<display>"),
                      ("foo", "Parameter 'type' does not accept value 'foo'"),
                      ("none,foo=1", "Parameter 'foo' is unexpected")):
        r = subprocess.run([TERN, "-M", "none", "-nodefaults", "-display", arg],
                           capture_output=True, timeout=20)
        check("-display %s" % arg, r.returncode == 1 and want in
              r.stderr.decode(), r.stderr)


def other_places():
    path = tmp + "/sock"
    m = Painted("unix:" + path)
    m.mode(80, 50)
    c = Client(path)
    c.encodings(5)
    c.request()
    c.update()
    check("a Unix socket", c.rgb() == m.dump()[2] and
          m.ask("query-vnc")["family"] == "unix")
    r = m.ask("display-update", type="vnc", addresses=[
        {"type": "inet", "host": "127.0.0.1", "port": "0"}])
    check("display-update moves the server", r == {} and
          m.port() and not os.path.exists(path), r)
    c.close()
    check("the machine ends well", m.end() and not os.path.exists(path))
    m = Painted("none,password=on")
    ours, theirs = socket.socketpair()
    m.qmp.raw({"execute": "getfd", "arguments": {"fdname": "v"}},
              fds=[theirs.fileno()])
    theirs.close()
    r = m.ask("add_client", protocol="vnc", fdname="v", skipauth=True)
    c = Client(ours)
    check("a client that was handed over", r == {} and c.types == [1], r)
    c.close()
    r = m.ask("add_client", protocol="nope", fdname="v")
    check("a descriptor that is not there", "error" in r, r)
    m.end()
    wait = socket.create_server(("127.0.0.1", 0))
    m = Painted("127.0.0.1:%d,reverse=on" % wait.getsockname()[1])
    s, _ = wait.accept()
    c = Client(s)
    check("a connection outwards", c.name.startswith(b"QEMU"))
    c.close()
    wait.close()
    check("the machine ends well", m.end())


def vencrypt(port, d, client):
    """VeNCrypt up to the inner security type; a Client's socket and subtype."""
    s = socket.create_connection(("127.0.0.1", port))
    s.settimeout(20)

    def read(n):
        b = b""
        while len(b) < n:
            part = s.recv(n - len(b))
            if not part:
                raise EOFError
            b += part
        return b
    assert read(12) == b"RFB 003.008\n"
    s.sendall(b"RFB 003.008\n")
    types = read(read(1)[0])
    s.sendall(types[:1])
    assert types == b"\x13" and read(2) == b"\0\2", types
    s.sendall(b"\0\2")
    assert read(1) == b"\0"
    subs = read(read(1)[0] * 4)
    s.sendall(subs[:4])
    assert read(1) == b"\1"
    ctx = ssl.create_default_context(cafile=d + "/ca-cert.pem")
    ctx.check_hostname = True
    if client:
        ctx.load_cert_chain(d + "/client-cert.pem", d + "/client-key.pem")
    return ctx.wrap_socket(s, server_hostname="127.0.0.1"), \
        struct.unpack(">I", subs)[0]


def tls():
    d = certificates()
    creds = "tls-creds-x509,id=t,endpoint=server,dir=%s,verify-peer=" % d
    m = Painted("127.0.0.1:0,to=99,tls-creds=t", "-object", creds + "off")
    s, sub = vencrypt(m.port(), d, False)
    info = m.ask("query-vnc-servers")[0]
    check("TLS with a server's certificate", sub == 260 and
          info["auth"] == "vencrypt" and info["vencrypt"] == "x509-none" and
          m.ask("query-vnc")["auth"] == "vencrypt+x509+none", (sub, info))
    assert s.recv(4) == b"\0\0\0\0"
    s.sendall(b"\1")
    check("and the protocol goes on inside", len(s.recv(24)) > 0)
    r = m.ask("display-reload", type="vnc", **{"tls-certs": True})
    check("certificates are loaded again", r == {}, r)
    s.close()
    s, sub = vencrypt(m.port(), d, False)
    check("for the next client", s.recv(4) == b"\0\0\0\0")
    s.close()
    m.end()
    m = Painted("127.0.0.1:0,to=99,tls-creds=t,tls-authz=z,password=on",
                "-object", creds + "on", "-object",
                "authz-simple,id=z,identity=CN=client")
    try:
        s, sub = vencrypt(m.port(), d, False)
        s.settimeout(5)
        check("a client without a certificate is refused", not s.recv(16))
    except (ssl.SSLError, EOFError, ConnectionResetError):
        check("a client without a certificate is refused", True)
    s, sub = vencrypt(m.port(), d, True)
    check("one with it is asked for the password", sub == 261 and
          len(s.recv(16)) == 16)
    name = m.ask("query-vnc")["clients"][0].get("x509_dname")
    check("and its name is told", name == "CN=client", name)
    s.close()
    m.end()
    m = Painted("127.0.0.1:0,to=99,tls-creds=t,websocket=on", "-object",
                creds + "off")
    ws = [x for x in m.ask("query-vnc-servers")[0]["server"]
          if x["websocket"]][0]
    ctx = ssl.create_default_context(cafile=d + "/ca-cert.pem")
    s = ctx.wrap_socket(socket.create_connection(
        ("127.0.0.1", int(ws["service"]))), server_hostname="127.0.0.1")
    s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
              b"Connection: Upgrade\r\nSec-WebSocket-Key: "
              b"dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
              b"Sec-WebSocket-Protocol: binary\r\n\r\n")
    got = b""
    while b"RFB 003.008" not in got:
        part = s.recv(4096)
        if not part:
            break
        got += part
    check("a websocket with TLS around it", b"101" in got and
          b"RFB 003.008" in got, got)
    s.close()
    check("the machine ends well", m.end())


def sasl():
    """SASL's PLAIN inside TLS, with the library's own file of users."""
    if not shutil.which("saslpasswd2"):
        skip("SASL", "no sasl2-bin")
        return
    d = certificates()
    users("fred", "pass", "plain")
    m = Painted("127.0.0.1:0,to=99,tls-creds=t,sasl=on,sasl-authz=z",
                "-object", "tls-creds-x509,id=t,endpoint=server,dir=%s,"
                "verify-peer=off" % d, "-object",
                "authz-simple,id=z,identity=fred")
    for user, word, want in (("fred", "pass", 0), ("fred", "wrong", 1),
                             ("jane", "pass", 1)):
        s, sub = vencrypt(m.port(), d, False)
        n = struct.unpack(">I", s.recv(4))[0]
        names = s.recv(n)
        plain = b"\0" + user.encode() + b"\0" + word.encode() + b"\0"
        s.sendall(struct.pack(">I5sI", 5, b"PLAIN", len(plain)) + plain)
        got = b""
        try:
            while len(got) < (9 if not want else 4):
                part = s.recv(64)
                if not part:
                    break
                got += part
        except (OSError, ssl.SSLError):
            pass
        ok = got[:9] == b"\0\0\0\0\1\0\0\0\0" if not want else \
            got[:4] == b"\0\0\0\1"
        check("SASL, %s with %s" % (user, word), sub == 263 and
              names == b"PLAIN" and ok, (sub, names, got))
        if not want:
            who = m.ask("query-vnc")["clients"][0].get("sasl_username")
            check("and query-vnc knows the name", who and
                  who.startswith("fred"), who)
        s.close()
    check("the machine ends well", m.end())


def tap(c, *syms):
    for down in (1, 0):
        for sym in syms if down else reversed(syms):
            c.s.sendall(struct.pack(">BBxxI", 4, down, sym))


def text_console():
    m = Painted("127.0.0.1:0,to=99", "-monitor", "vc:60Cx20C", "-S")
    c = Client(m.port())
    c.encodings(0, -223)
    c.request()
    c.update()
    graphic = (c.w, c.h)
    tap(c, 0xffe3, 0xffe9, ord("2"))
    c.request(1)
    while -223 not in c.update():
        c.request(1)
    check("Ctrl-Alt-2 shows the text console", (c.w, c.h) == (480, 320),
          (c.w, c.h))
    c.request()
    c.update()
    before = c.rgb()
    for ch in "cont":
        tap(c, ord(ch))
    tap(c, 0xff0d)
    check("what is typed there goes to the monitor",
          m.told("RESUME") is not None)
    time.sleep(0.2)
    c.request()
    c.update()
    check("and its answer is seen", c.rgb() != before)
    tap(c, 0xffe3, 0xffe9, ord("1"))
    c.request(1)
    while -223 not in c.update():
        c.request(1)
    check("Ctrl-Alt-1 goes back", (c.w, c.h) == graphic)
    c.close()
    check("the machine ends well", m.end())


def layouts():
    """The same characters by three layouts, as set 1 codes of the keys."""
    rows = {None: {"q": [0x10], "Q": [0x2a, 0x10], "/": [0x35],
                   "!": [0x2a, 2], "z": [0x2c]},
            "de": {"q": [0x10], "z": [0x15], "/": [0x2a, 8], "!": [0x2a, 2],
                   "@": [0xe0, 0x38, 0x10], "\u00fc": [0x1a]},
            "fr": {"a": [0x10], "q": [0x1e], "1": [0x2a, 2], "&": [2],
                   "\u00e9": [3], "m": [0x27]}}
    for layout, keys in rows.items():
        m = Painted("127.0.0.1:0,to=99,key-delay-ms=0",
                    *(["-k", layout] if layout else []))
        m.say("outb 0x64 0x60")
        m.say("outb 0x60 0x41")         # translated, with interrupts
        c = Client(m.port())
        ok, got = True, {}
        for ch, want in keys.items():
            scancodes(m)
            c.s.sendall(struct.pack(">BBxxI", 4, 1, ord(ch)))
            time.sleep(0.1)
            m.ask("query-status")
            got[ch] = scancodes(m)
            c.s.sendall(struct.pack(">BBxxI", 4, 0, ord(ch)))
            time.sleep(0.05)
            ok &= got[ch][:len(want)] == want
        said = [x for x in m.errors().split("\n")
                if x and not x.startswith("[")          # qtest's own log
                and not x.startswith("VNC server running on")]
        check("keys of layout %s" % (layout or "en-us"), ok and not said,
              (got, said))
        c.close()
        m.end()
    r = subprocess.run([TERN, "-M", "none", "-nodefaults", "-k", "klingon",
                        "-vnc", "127.0.0.1:0,to=99"], capture_output=True,
                       timeout=20)
    check("a layout that is not there", r.returncode == 1 and
          b"could not read keymap file: 'klingon'" in r.stderr, r.stderr)


def main():
    refusals()
    text_console()
    layouts()
    m = Painted("127.0.0.1:0,to=99")
    port = m.port()
    c = Client(port, version=3)
    check("protocol 3.3", c.types == [1] and c.format[0] == 32)
    c.close()
    encodings(m, port)
    formats(m, port)
    sizes(m, port)
    events_and_sharing(m, port)
    hostile(m, port)
    check("the machine ends well", m.end())
    security()
    websocket()
    other_places()
    tls()
    sasl()


try:
    main()
finally:
    shutil.rmtree(tmp, ignore_errors=True)
sys.exit(end())
