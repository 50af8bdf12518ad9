# SPDX-License-Identifier: GPL-2.0-or-later
"""For tests in Python: a machine driven over QMP, and what a guest
says on its serial line. A script of tests/X finds it by
sys.path.insert(0, "tests"), as the runner starts it in the top folder."""
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

from libschema import Checker

TERN = os.path.abspath(os.environ.get("TERN", "build/tern"))
TERN_IMG = os.path.abspath(os.environ.get("TERN_IMG", "build/tern-img"))
BUILD = os.path.abspath(os.environ.get("BUILD", "build"))
os.environ.setdefault("TERN_MODULE_DIR", BUILD + "/modules")


def skip_all(why):
    print("1..0 # SKIP " + why)
    sys.exit(0)


def vbe_on(width, height):
    """Lines of the qtest protocol after which the VGA card at 00:02.0 shows
    32-bit pixels from 0xe0000000."""
    lines = []
    for reg, v in ((0x10, 0xe0000000), (4, 7)):
        lines += ["outl 0xcf8 0x%x" % (0x80001000 | reg), "outl 0xcfc 0x%x" % v]
    for i, v in ((4, 0), (1, width), (2, height), (3, 32), (4, 0x41)):
        lines += ["outw 0x1ce 0x%x" % i, "outw 0x1d0 0x%x" % v]
    return lines + ["outb 0x3c2 0x67", "inb 0x3da", "outb 0x3c0 0x20"]


def x509_files(d):
    """A CA, a server's and a client's certificate into that folder, as GnuTLS's
    names have them."""
    def openssl(*args):
        subprocess.run(["openssl", *args], check=True, capture_output=True,
                       cwd=d)
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout",
            "ca-key.pem", "-out", "ca-cert.pem", "-subj", "/CN=Test CA",
            "-days", "2", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    for who, usage in (("server", "serverAuth"), ("client", "clientAuth")):
        with open(d + "/ext", "w") as f:
            f.write("basicConstraints=critical,CA:FALSE\nextendedKeyUsage=%s\n"
                    "keyUsage=critical,digitalSignature,keyEncipherment\n"
                    "subjectAltName=IP:127.0.0.1,DNS:127.0.0.1\n" % usage)
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout",
                who + "-key.pem", "-out", "csr", "-subj", "/CN=" + who)
        openssl("x509", "-req", "-in", "csr", "-CA", "ca-cert.pem", "-CAkey",
                "ca-key.pem", "-CAcreateserial", "-out", who + "-cert.pem",
                "-days", "2", "-extfile", "ext")


class Folder:
    """A private folder, removed at the end: with Folder("name") as path."""

    def __init__(self, name):
        self.path = tempfile.mkdtemp(prefix=name + "-")

    def __enter__(self):
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)


class Gone(Exception):
    """The program ended, or closed its socket."""


class Qmp:
    """A QMP session on a connected socket. Events are kept in .events. What
    our program says is held against its schema."""

    def __init__(self, sock, timeout=60, program=TERN):
        self.sock = sock
        self.sock.settimeout(timeout)
        self.check = Checker(program)
        self.rest = b""
        self.events = []
        self.greeting = self.read()
        self.raw({"execute": "qmp_capabilities"})

    def read(self):
        """The next message, whatever it is."""
        while b"\n" not in self.rest:
            try:
                got = self.sock.recv(65536)
            except ConnectionError:
                got = b""
            if not got:
                raise Gone("QMP: the connection is closed")
            self.rest += got
        line, self.rest = self.rest.split(b"\n", 1)
        return self.check.came(json.loads(line))

    def raw(self, request, fds=()):
        """The reply, whole: with "return" or "error". request: an object, or
        a line of text; fds go with it."""
        self.check.sent(request)
        if not isinstance(request, str):
            request = json.dumps(request)
        try:
            socket.send_fds(self.sock, [request.encode() + b"\n"], fds)
        except (BrokenPipeError, ConnectionError):
            raise Gone("QMP: the connection is closed") from None
        while True:
            r = self.read()
            if "event" not in r:
                return r
            self.events.append(r)

    def ask(self, verb, /, **arguments):
        """The reply, whole. An underscore in a name stands for a dash; one at
        its end is dropped."""
        args = {k.rstrip("_").replace("_", "-"): v
                for k, v in arguments.items()}
        return self.raw({"execute": verb, "arguments": args})

    def cmd(self, verb, /, **arguments):
        """What the command returns; an error is an exception."""
        r = self.ask(verb, **arguments)
        if "error" in r:
            raise RuntimeError("%s: %s" % (verb, r["error"]["desc"]))
        return r["return"]

    def hmp(self, line):
        r = self.raw({"execute": "human-monitor-command",
                      "arguments": {"command-line": line}})
        return r["return"].replace("\r", "")

    def event(self, name, seconds=60, **data):
        """Waits for the event, with these data, and takes it out; None if it
        does not come."""
        stop = time.time() + seconds
        old = self.sock.gettimeout()
        try:
            while True:
                for e in self.events:
                    if e["event"] == name and all(
                            e.get("data", {}).get(k) == v
                            for k, v in data.items()):
                        self.events.remove(e)
                        return e
                left = stop - time.time()
                if left <= 0:
                    return None
                self.sock.settimeout(left)
                self.events.append(self.read())
        except (socket.timeout, Gone):
            return None
        finally:
            self.sock.settimeout(old)


class Program(Qmp):
    """A program, .p, with QMP on its standard input and output."""

    def __init__(self, argv, timeout=60, **popen):
        mine, theirs = socket.socketpair()
        self.p = subprocess.Popen(argv + ["-qmp", "stdio"], stdin=theirs,
                                  stdout=theirs, **popen)
        theirs.close()
        super().__init__(mine, timeout, argv[0])

    def kill(self):
        self.p.kill()
        self.p.wait()
        self.sock.close()


class Line:
    """The other end of a serial line: a socket of which all is kept."""

    def __init__(self, sock):
        self.sock = sock
        self.text = ""
        self.at = 0
        self.thread = threading.Thread(target=self.pump, daemon=True)
        self.thread.start()

    def pump(self):
        while True:
            try:
                got = self.sock.recv(65536)
            except OSError:
                got = b""
            if not got:
                return
            self.text += got.decode(errors="replace").replace("\r", "")

    def send(self, text):
        self.sock.sendall(text.encode())

    def expect(self, pattern, seconds=120):
        """The match of the first place behind the last one; None if there is
        none in time."""
        stop = time.time() + seconds
        while True:
            m = re.compile(pattern, re.M).search(self.text, self.at)
            if m:
                self.at = m.end()
                return m
            if time.time() > stop or not self.thread.is_alive():
                return None
            time.sleep(0.1)

    def tail(self, lines=25):
        return "\n".join(self.text.splitlines()[-lines:])


class Machine:
    """Starts the emulator with a QMP socket, and a serial line if asked. It
    gets the sockets `passing`, which are closed here."""

    def __init__(self, *arguments, serial=False, program=TERN, timeout=60,
                 passing=()):
        mine, theirs = socket.socketpair()
        fds = [theirs, *passing]
        args = [program, "-chardev", "socket,id=qmp,fd=%d" % theirs.fileno(),
                "-mon", "chardev=qmp,mode=control"]
        line = None
        if serial:
            line, other = socket.socketpair()
            fds.append(other)
            args += ["-chardev", "socket,id=line,fd=%d" % other.fileno(),
                     "-serial", "chardev:line"]
        self.err = tempfile.TemporaryFile()
        self.p = subprocess.Popen(
            args + list(arguments), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=self.err,
            pass_fds=[f.fileno() for f in fds])
        for f in fds:
            f.close()
        self.line = Line(line) if serial else None
        try:
            self.qmp = Qmp(mine, timeout, program)
        except Gone:
            self.kill()
            raise Gone("does not start: " + self.errors()) from None
        self.cmd = self.qmp.cmd
        self.hmp = self.qmp.hmp
        self.event = self.qmp.event

    def errors(self):
        self.err.seek(0)
        return self.err.read().decode(errors="replace")

    def wait(self, seconds=120):
        """The exit status; None if it does not end, and then it is killed."""
        try:
            return self.p.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return None

    def kill(self):
        self.p.kill()
        self.p.wait()

    def quit(self):
        try:
            self.cmd("quit")
        except (Gone, OSError):
            pass
        return self.wait(30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.p.poll() is None:
            self.kill()
