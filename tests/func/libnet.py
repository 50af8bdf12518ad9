# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of networks share: results, machines without a board whose
backends a hub joins, frames over streams and datagrams, the parts of packets."""
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, "tests")
import libtern                                                   # noqa: E402

TERN = os.environ.get("TERN", "build/tern")
PEER = "qemu" in TERN
PATIENCE = 20 * int(os.environ.get("TERN_TEST_PATIENCE", "1"))
tmp = tempfile.mkdtemp(prefix="net-")
results, machines = [], []


# ---- results

def check(name, ok, why=""):
    results.append(bool(ok))
    if not ok and why != "":
        print("# " + str(why).replace("\r", "").replace("\n", "\n# "))
    print("%s %d - %s" % ("ok" if ok else "not ok", len(results), name),
          flush=True)


def run_parts(parts):
    """Runs them; what they raise is a failure. Ends the program."""
    for part in parts:
        try:
            part()
        except Exception as e:                        # counted as a failure
            check(part.__name__, False, repr(e))
    for p in machines:
        p.kill()
        p.wait()
    shutil.rmtree(tmp)
    print("1..%d" % len(results))
    sys.exit(0 if all(results) else 1)


def in_namespace(flags, why):
    """Goes on in namespaces of the test's own, or skips it."""
    if os.environ.get("NET_INSIDE") == flags:
        return
    if (os.geteuid() or not shutil.which("unshare") or not shutil.which("ip") or
            not os.path.exists("/dev/net/tun") or subprocess.call(
                ["unshare"] + flags.split() + ["true"],
                stderr=subprocess.DEVNULL)):
        print("1..0 # SKIP " + why)
        sys.exit(0)
    os.environ["NET_INSIDE"] = flags
    os.execvp("unshare", ["unshare"] + flags.split() + [sys.executable] +
              sys.argv)


# ---- machines

class Qmp(libtern.Qmp):
    def __init__(self, path, alive=lambda: True):
        stop = time.time() + PATIENCE
        while True:
            try:
                s = socket.socket(socket.AF_UNIX)
                s.connect(path)
                break
            except OSError:
                if time.time() > stop or not alive():
                    raise
                time.sleep(0.02)
        super().__init__(s, PATIENCE, TERN)

    def cmd(self, verb, /, **args):
        return self.ask(verb, **args)

    def hmp(self, line):
        return self.cmd("human-monitor-command", command_line=line)["return"]


class Machine:
    """No board; the -netdev texts a and b joined by a hub. b left out: a stream
    socket in the test's hand, .wire."""

    count = 0

    def __init__(self, a, b=None, more=(), fds=(), **popen):
        Machine.count += 1
        path = os.path.join(tmp, "qmp%d" % Machine.count)
        its = None
        if b is None:
            mine, its = socket.socketpair()
            self.wire = Stream(mine)
            b = "socket,fd=%d" % its.fileno()
            fds = tuple(fds) + (its.fileno(),)
        self.p = subprocess.Popen(
            [TERN, "-M", "none", "-display", "none", "-nodefaults", "-qmp",
             "unix:%s,server=on,wait=off" % path, "-netdev", a + ",id=na",
             "-netdev", b + ",id=nb", "-netdev",
             "hubport,id=h1,hubid=1,netdev=na", "-netdev",
             "hubport,id=h2,hubid=1,netdev=nb"] + list(more),
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            pass_fds=fds, **popen)
        machines.append(self.p)
        if its:
            its.close()
        self.q = Qmp(path, lambda: self.p.poll() is None)
        self.cmd, self.hmp = self.q.cmd, self.q.hmp

    @property
    def events(self):
        return self.q.events

    def info(self):
        return self.hmp("info network")

    def settle(self, text):
        """Waits until `info network` has the text."""
        stop = time.time() + PATIENCE
        while text not in self.info() and time.time() < stop:
            time.sleep(0.02)
        return text in self.info()

    def memory(self):
        with open("/proc/%d/statm" % self.p.pid) as f:
            return int(f.read().split()[1]) * 4096

    def quit(self):
        """Ends it; its status and what it said."""
        self.cmd("quit")
        said = self.p.communicate(timeout=PATIENCE)[1]
        return self.p.returncode, said


def refused(name, netdev, text, **popen):
    """The option ends the program, and this is what it says."""
    p = subprocess.run([TERN, "-M", "none", "-display", "none", "-nodefaults",
                        "-netdev", netdev + ",id=n"], capture_output=True,
                       stdin=subprocess.DEVNULL, text=True, timeout=PATIENCE,
                       **popen)
    check(name, p.returncode == 1 and text in p.stderr, p.stderr)


# ---- frames

class Stream:
    """Frames after their length, over a connected socket."""

    def __init__(self, s):
        self.s = s
        s.settimeout(PATIENCE)

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
    """A frame in each datagram, to who is named or connected."""

    def __init__(self, s, to=None):
        self.s, self.to = s, to
        s.settimeout(PATIENCE)

    def put(self, frame):
        if self.to:
            self.s.sendto(frame, self.to)
        else:
            self.s.send(frame)

    def get(self):
        return self.s.recv(70000)


def port(kind=socket.SOCK_STREAM):
    """A number that is free."""
    s = socket.socket(socket.AF_INET, kind)
    s.bind(("127.0.0.1", 0))
    n = s.getsockname()[1]
    s.close()
    return n


def connect(where, family=socket.AF_INET):
    stop = time.time() + PATIENCE
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


def accept(ear):
    ear.settimeout(PATIENCE)
    return Stream(ear.accept()[0])


def listener(where, family=socket.AF_INET):
    s = socket.socket(family)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(where)
    s.listen(4)
    return s


# ---- packets (RFC 768, 791, 826, 1071)

def checksum(b):
    b += b"\0" * (len(b) % 2)
    n = sum(struct.unpack(">%dH" % (len(b) // 2), b))
    while n >> 16:
        n = (n & 0xffff) + (n >> 16)
    return 0xffff - n


def ether(to, frm, kind, body):
    return to + frm + struct.pack(">H", kind) + body


def arp(op, mac, ip, to_mac, to_ip):
    return (struct.pack(">HHBBH", 1, 0x0800, 6, 4, op) + mac +
            socket.inet_aton(ip) + to_mac + socket.inet_aton(to_ip))


def ipv4(src, dst, proto, body):
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 1, 0, 64,
                       proto, 0, socket.inet_aton(src), socket.inet_aton(dst))
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + body


def with_sum(src, dst, proto, body, at):
    """A body of TCP or UDP with its checksum at that place."""
    pseudo = socket.inet_aton(src) + socket.inet_aton(dst) + struct.pack(
        ">HH", proto, len(body))
    n = checksum(pseudo + body)
    return body[:at] + struct.pack(">H", n) + body[at + 2:]


def udp(src, dst, sport, dport, data):
    body = struct.pack(">HHHH", sport, dport, 8 + len(data), 0) + data
    return ipv4(src, dst, 17, with_sum(src, dst, 17, body, 6))


def echo(src, dst, data):
    body = struct.pack(">BBHHH", 8, 0, 0, 0x1234, 1) + data
    return ipv4(src, dst, 1, body[:2] + struct.pack(">H", checksum(body)) +
                body[4:])
