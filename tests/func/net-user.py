#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The user network, with the test in the guest's place behind a hub: DHCP with
its options, ARP and ping, TFTP, DNS to a server of the test's, forwarded ports
both ways (TCP, UDP, character devices, commands, SMB), restrict, IPv6. $TERN may
be the peer's program."""
import os
import socket
import struct
import subprocess
import sys
import threading

sys.dont_write_bytecode = True
import libnet                                                   # noqa: E402
from libnet import (PATIENCE, arp, check, echo, ether, ipv4,    # noqa: E402
                    port, run_parts, tmp, udp, with_sum)

MAC, ALL = bytes.fromhex("525400123456"), b"\xff" * 6


class Guest(libnet.Machine):
    """The user network's only guest; its address is given by DHCP."""

    def __init__(self, options="", **more):
        super().__init__("user" + options, **more)
        self.ip, self.ident, self.kept = "0.0.0.0", 0, []
        self.gate = ALL
        self.router = "10.0.2.2"

    def put(self, packet):
        self.wire.put(ether(self.gate, MAC, 0x0800, packet))

    def frame(self, wanted, limit=PATIENCE):
        """The next frame that wanted() gives something for. ARP is answered."""
        self.wire.s.settimeout(limit)
        try:
            while True:
                f = self.wire.get()
                if f[12:14] == b"\x08\x06" and f[20:22] == b"\0\1" and \
                        f[38:42] == socket.inet_aton(self.ip):
                    who = socket.inet_ntoa(f[28:32])
                    self.wire.put(ether(f[6:12], MAC, 0x0806, arp(
                        2, MAC, self.ip, f[6:12], who)) + bytes(18))
                    continue
                got = wanted(f)
                if got is not None:
                    return got
        except socket.timeout:
            return None
        finally:
            self.wire.s.settimeout(PATIENCE)

    def datagram(self, sport, limit=PATIENCE):
        """Data of the next UDP datagram from a port, and who sent it."""
        def wanted(f):
            if f[12:14] == b"\x08\0" and f[23] == 17 and \
                    f[34:36] == struct.pack(">H", sport):
                return f[42:34 + struct.unpack(">H", f[38:40])[0]], \
                    socket.inet_ntoa(f[26:30]), struct.unpack(
                        ">H", f[36:38])[0]
            return None
        return self.frame(wanted, limit)

    def dhcp(self, kind, more=b""):
        ask = (struct.pack(">BBBBIHH", 1, 1, 6, 0, 0x1234, 0, 0) + bytes(16) +
               MAC + bytes(10 + 192) + b"\x63\x82\x53\x63\x35\1" +
               bytes([kind]) + more + b"\xff")
        self.wire.put(ether(ALL, MAC, 0x0800, udp(
            "0.0.0.0", "255.255.255.255", 68, 67, ask + bytes(60))))
        data = self.datagram(67)[0]
        options, at = {}, 240
        while at < len(data) and data[at] != 255:
            if data[at] == 0:
                at += 1
                continue
            n = data[at + 1]
            options[data[at]] = data[at + 2:at + 2 + n]
            at += 2 + n
        return data, options

    def configure(self):
        data, options = self.dhcp(1)
        self.ip = socket.inet_ntoa(data[16:20])
        data, options = self.dhcp(3, b"\x32\4" + data[16:20])
        self.router = socket.inet_ntoa(options.get(3, data[20:24]))
        self.gate = self.resolve(self.router) or ALL
        return data, options

    def resolve(self, who):
        self.wire.put(ether(ALL, MAC, 0x0806, arp(1, MAC, self.ip, bytes(6),
                                                 who)) + bytes(18))
        return self.frame(lambda f: f[22:28] if f[12:14] == b"\x08\x06" and
                          f[28:32] == socket.inet_aton(who) else None, 5)

    def ping(self, who, limit=PATIENCE):
        data = os.urandom(200)
        self.put(echo(self.ip, who, data))
        return self.frame(lambda f: True if f[12:14] == b"\x08\0" and
                          f[23] == 1 and f[34] == 0 and f[42:242] == data
                          else None, limit)

    def ask(self, who, dport, data, limit=PATIENCE):
        self.put(udp(self.ip, who, 4000, dport, data))
        got = self.datagram(dport, limit)
        return got and got[0]


class Tcp:
    """A connection of the guest's, as far as a test needs one: what comes is
    taken in order, one segment goes out at a time."""

    def __init__(self, guest, who, number, mine=5000):
        self.g, self.who, self.port, self.mine = guest, who, number, mine
        self.seq, self.next = 1000, 0
        self.data, self.over = b"", False

    def segment(self, flags, data=b""):
        body = struct.pack(">HHIIBBHHH", self.mine, self.port, self.seq,
                           self.next, 0x50, flags, 60000, 0, 0) + data
        self.g.put(ipv4(self.g.ip, self.who, 6, with_sum(
            self.g.ip, self.who, 6, body, 16)))
        self.seq += len(data) + (flags & 3 != 0)

    def take(self, limit=PATIENCE):
        """One segment of this connection: its flags; what is new is kept."""
        def wanted(f):
            if f[12:14] != b"\x08\0" or f[23] != 6 or \
                    f[34:38] != struct.pack(">HH", self.port, self.mine):
                return None
            return f[34:14 + struct.unpack(">H", f[16:18])[0]]
        s = self.g.frame(wanted, limit)
        if s is None:
            return None
        seq = struct.unpack(">I", s[4:8])[0]
        data, flags = s[(s[12] >> 4) * 4:], s[13]
        if flags & 2:
            self.next = seq + 1
        elif seq == self.next and (data or flags & 1):
            self.data += data
            self.next += len(data) + (flags & 1)
            self.over = self.over or bool(flags & 1)
            self.segment(0x10)
        return flags

    def open(self):
        self.segment(2)
        flags = self.take()
        if flags is None or flags & 0x12 != 0x12:
            return False
        self.segment(0x10)
        return True

    def accept(self):
        """The other end's SYN has come."""
        def wanted(f):
            if f[12:14] == b"\x08\0" and f[23] == 6 and f[47] & 0x12 == 2 and \
                    f[36:38] == struct.pack(">H", self.mine):
                return f
            return None
        f = self.g.frame(wanted)
        if f is None:
            return False
        self.who = socket.inet_ntoa(f[26:30])
        self.port, self.next = struct.unpack(">HI", f[34:36] + f[38:42])
        self.next += 1
        self.segment(0x12)
        return self.take() is not None

    def say(self, data):
        self.segment(0x18, data)

    def hear(self, n):
        while len(self.data) < n and not self.over:
            if self.take() is None:
                break
        got, self.data = self.data[:n], self.data[n:]
        return got


# ---- the network's own services

def addresses():
    tftp = os.path.join(tmp, "tftp")
    os.makedirs(tftp)
    g = Guest(",hostname=guest,domainname=test.org,dnssearch=a.test.org,"
              "dnssearch=b.org,tftp=%s,bootfile=/boot/file,"
              "tftp-server-name=server.org" % tftp)
    data, o = g.configure()
    check("DHCP: addresses", g.ip == "10.0.2.15" and g.router == "10.0.2.2" and
          o[1] == b"\xff\xff\xff\0" and o[6] == b"\x0a\0\2\3", o)
    check("DHCP: names", o.get(12) == b"guest" and o.get(15) == b"test.org" and
          b"\1a\4test\3org" in o.get(119, b"") and
          o.get(66) == b"server.org", o)
    check("DHCP: boot file", data[108:].startswith(b"/boot/file\0"), data[108:])
    check("ARP and ping", len(g.gate) == 6 and g.ping("10.0.2.2"), g.gate)
    with open(os.path.join(tftp, "file"), "wb") as f:
        body = os.urandom(700)
        f.write(body)
    g.put(udp(g.ip, "10.0.2.2", 4001, 69, b"\0\1file\0octet\0"))
    got = b""
    for n in (1, 2):
        part = g.datagram(69)[0]
        got += part[4:]
        g.put(udp(g.ip, "10.0.2.2", 4001, 69, b"\0\4" + bytes([0, n])))
    check("TFTP", got == body, len(got))
    g.put(udp(g.ip, "10.0.2.2", 4002, 69, b"\0\1../secret\0octet\0"))
    check("TFTP: not beyond its folder", g.datagram(69)[0][:2] == b"\0\5")
    g.quit()
    g = Guest(",net=192.168.76.0/24,host=192.168.76.9,dhcpstart=192.168.76.20,"
              "dns=192.168.76.8")
    data, o = g.configure()
    check("another network", g.ip == "192.168.76.20" and
          g.router == "192.168.76.9" and o[6] == bytes((192, 168, 76, 8)) and
          g.ping("192.168.76.9"), (g.ip, o))
    g.quit()


def names():
    """Questions to the network's name server reach the host's."""
    resolv = os.path.join(tmp, "resolv.conf")
    with open(resolv, "w") as f:
        f.write("nameserver 127.0.0.1\n")
    if subprocess.call(["mount", "--bind", resolv, "/etc/resolv.conf"]):
        check("DNS # SKIP /etc/resolv.conf cannot be replaced", True)
        return
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.1", 53))
    s.settimeout(PATIENCE)

    def answer():
        ask, who = s.recvfrom(600)
        s.sendto(ask[:2] + b"\x81\x80" + ask[4:] + b" answered", who)
    threading.Thread(target=answer, daemon=True).start()
    g = Guest()
    g.configure()
    ask = b"\x12\x34\1\0\0\1\0\0\0\0\0\0\4test\3org\0\0\1\0\1"
    got = g.ask("10.0.2.3", 53, ask)
    check("DNS", got == ask[:2] + b"\x81\x80" + ask[4:] + b" answered", got)
    g.quit()
    s.close()
    subprocess.call(["umount", "/etc/resolv.conf"])


# ---- forwarding

def to_the_guest():
    a, b, c = port(), port(socket.SOCK_DGRAM), port()
    g = Guest(",hostfwd=tcp:127.0.0.1:%d-:22,hostfwd=udp:127.0.0.1:%d-"
              "10.0.2.15:53" % (a, b))
    g.configure()
    with socket.create_connection(("127.0.0.1", a), PATIENCE) as s:
        t = Tcp(g, "", 0, 22)
        check("a port of the host leads in", t.accept())
        t.say(b"hello")
        s.sendall(b"question")
        check("and both ways", s.recv(5) == b"hello" and
              t.hear(8) == b"question")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(PATIENCE)
        s.sendto(b"ping", ("127.0.0.1", b))
        got = g.frame(lambda f: f if f[23] == 17 and
                      f[36:38] == b"\0\x35" else None)
        g.put(udp(g.ip, socket.inet_ntoa(got[26:30]), 53,
                  struct.unpack(">H", got[34:36])[0], b"pong"))
        check("a UDP port too", got[42:46] == b"ping" and s.recv(9) == b"pong")
    text = g.hmp("hostfwd_add na tcp:127.0.0.1:%d-:80" % c)
    with socket.create_connection(("127.0.0.1", c), PATIENCE):
        check("added later", text == "" and Tcp(g, "", 0, 80).accept(), text)
    g.hmp("hostfwd_remove na tcp:127.0.0.1:%d" % c)
    try:
        socket.create_connection(("127.0.0.1", c), PATIENCE).close()
        check("and removed", False)
    except ConnectionRefusedError:
        check("and removed", True)
    path = os.path.join(tmp, "a-socket:x")
    for turn in ("a UNIX socket", "and again"):
        text = g.hmp("hostfwd_add na unix:%s-:22" % path)
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(PATIENCE)
            s.connect(path)
            t = Tcp(g, "", 0, 22)
            ok = t.accept()
            t.say(b"hello")
            check(turn, text == "" and ok and s.recv(5) == b"hello", text)
        again = g.hmp("hostfwd_add na unix:%s-:23" % path)
        text = g.hmp("hostfwd_remove na unix:" + path)
        check(turn + ", once only", "Could not set up" in again, again)
        check(turn + ", gone", "removed" in text and not os.path.exists(path),
              text)
    check("info usernet", "TCP[HOST_FORWARD]" in g.hmp("info usernet") and
          "UDP[HOST_FORWARD]" in g.hmp("info usernet"))
    g.quit()


def to_the_host():
    with socket.create_server(("127.0.0.1", 0)) as ear:
        path = os.path.join(tmp, "guestfwd")
        their = socket.socket(socket.AF_UNIX)
        their.bind(path)
        their.listen(1)
        g = Guest(",guestfwd=tcp:10.0.2.100:80-tcp:127.0.0.1:%d,guestfwd=tcp:"
                  "10.0.2.101:81-unix:%s,guestfwd=tcp:10.0.2.102:82-cmd:"
                  "cat -n" % (ear.getsockname()[1], path))
        g.configure()
        for who, n, s in (("10.0.2.100", 80, ear), ("10.0.2.101", 81, their)):
            s.settimeout(PATIENCE)
            c = s.accept()[0]
            c.settimeout(PATIENCE)
            t = Tcp(g, who, n, 5000 + n)
            ok = t.open()
            t.say(b"from the guest")
            c.sendall(b"from the host")
            check("an address of the network leads to a %s socket" %
                  ("UNIX" if s is their else "TCP"), ok and
                  c.recv(14) == b"from the guest" and
                  t.hear(13) == b"from the host", t.data)
        t = Tcp(g, "10.0.2.102", 82)
        ok = t.open()
        t.say(b"a line\n")
        got = t.hear(14)
        check("and to a program", ok and got == b"     1\ta line\n", got)
        t.say(b"another\n")
        check("which goes on", t.hear(15) == b"     2\tanother\n")
        g.quit()


def outwards():
    """The guest's connections are the process's; restrict keeps them in."""
    with socket.create_server(("127.0.0.1", 0)) as ear:
        n = ear.getsockname()[1]
        ear.settimeout(PATIENCE)
        g = Guest()
        g.configure()
        t = Tcp(g, "10.0.2.2", n)
        ok = t.open()
        c = ear.accept()[0]
        c.sendall(b"x" * 5000)
        c.close()
        check("TCP to the host", ok and t.hear(5000) == b"x" * 5000)
        g.quit()
        a = port()
        g = Guest(",restrict=on,hostfwd=tcp:127.0.0.1:%d-:22,guestfwd=tcp:"
                  "10.0.2.100:80-cmd:cat" % a)
        g.configure()
        t = Tcp(g, "10.0.2.2", n)
        t.segment(2)
        ear.settimeout(1)
        try:
            ear.accept()
            check("restrict", False)
        except socket.timeout:
            check("restrict", True)
        t = Tcp(g, "10.0.2.100", 80, 5001)
        ok = t.open()
        t.say(b"still")
        check("but for what is forwarded", ok and t.hear(5) == b"still")
        with socket.create_connection(("127.0.0.1", a), PATIENCE):
            check("both ways", Tcp(g, "", 0, 22).accept())
        g.quit()


def version6():
    """Router advertisements have the prefix; nothing comes when it is off."""
    def prefix(options):
        g = Guest(options)
        body = b"\x85\0\0\0" + bytes(4)
        src = bytes.fromhex("fe80000000000000505400fffe123456")
        dst = bytes.fromhex("ff020000000000000000000000000002")
        total = libnet.checksum(src + dst + struct.pack(">II", len(body), 58) +
                                body)
        body = body[:2] + struct.pack(">H", total) + body[4:]
        g.wire.put(ether(bytes.fromhex("333300000002"), MAC, 0x86dd,
                         b"\x60\0\0\0" + struct.pack(">HBB", len(body), 58, 255)
                         + src + dst + body))

        def wanted(f):
            at = f.find(b"\3\4", 70)
            if f[12:14] == b"\x86\xdd" and f[20] == 58 and f[54] == 134 and \
                    at > 0:
                return f[at + 2], socket.inet_ntop(socket.AF_INET6,
                                                   f[at + 16:at + 32])
            return None
        got = g.frame(wanted, 2 if "ipv6=off" in options else PATIENCE)
        g.quit()
        return got
    got = prefix("")
    check("IPv6: the usual prefix", got == (64, "fec0::"), got)
    got = prefix(",ipv6-prefix=fd12::,ipv6-prefixlen=60,ipv6-host=fd12::9,"
                 "ipv6-dns=fd12::8")
    check("IPv6: another", got == (60, "fd12::"), got)
    check("IPv6: off", prefix(",ipv6=off") is None)
    g = Guest(",ipv4=off")
    check("IPv4: off", g.resolve("10.0.2.2") is None)
    g.quit()


def smb():
    """With a stand-in for the server, which says how it was started."""
    upper, work = (os.path.join(tmp, n) for n in ("upper", "work"))
    share = os.path.join(tmp, "share")
    for d in (upper, work, share):
        os.makedirs(d)
    os.chmod(tmp, 0o755)
    subprocess.call(["mount", "-t", "tmpfs", "none", work])
    for d in ("u", "w"):
        os.makedirs(os.path.join(work, d))
    if subprocess.call(["mount", "-t", "overlay", "none", "-o",
                        "lowerdir=/usr/sbin,upperdir=%s/u,workdir=%s/w" %
                        (work, work), "/usr/sbin"]):
        check("SMB # SKIP no overlay over /usr/sbin", True)
        return
    if os.path.exists("/usr/sbin/smbd"):
        os.unlink("/usr/sbin/smbd")
    libnet.refused("SMB: without its server", "user,smb=" + share,
                   "Could not find '/usr/sbin/smbd', please install it")
    with open("/usr/sbin/smbd", "w") as f:
        f.write("#!/bin/sh\nwhile [ \"$1\" != -s ]; do shift; done\n"
                "grep -c '^path=%s$' \"$2\"\nexec cat\n" % share)
    os.chmod("/usr/sbin/smbd", 0o755)
    libnet.refused("SMB: no such folder", "user,smb=/nonesuch",
                   "Error accessing shared directory '/nonesuch'")
    for server in ("10.0.2.4", "10.0.2.7"):
        g = Guest(",smb=%s%s" % (share, ",smbserver=" + server
                                 if server[-1] == "7" else ""))
        g.configure()
        for n in (139, 445):
            t = Tcp(g, server, n, 5000 + n)
            ok = t.open()
            said = t.hear(2)
            t.say(b"session")
            check("SMB: %s port %d" % (server, n), ok and said == b"1\n" and
                  t.hear(7) == b"session", said)
        before = set(os.listdir("/tmp"))
        g.quit()
        gone = before - set(os.listdir("/tmp"))
        check("SMB: its folder goes", any("smb." in x for x in gone), gone)
    subprocess.call(["umount", "/usr/sbin"])
    subprocess.call(["umount", work])


libnet.in_namespace("-n -m", "needs root, ip, unshare and /dev/net/tun")
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
run_parts((addresses, names, to_the_guest, to_the_host, outwards, version6, smb))
