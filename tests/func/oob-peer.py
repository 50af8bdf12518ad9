#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Out-of-band execution (exec-oob), query-yank and yank: the same to our
program and to the installed peer, and the same answers in the same order. A
server that has stopped holds up a command of the main loop; what is out of band
overtakes it, and yank ends it. Without a peer the order alone is looked at."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, "tests")
from libtap import end, result                                   # noqa: E402
from libtern import Folder, skip_all                             # noqa: E402

BUILD = os.path.abspath(os.environ.get("BUILD", "build"))
OURS = BUILD + "/compat/qemu-system-x86_64"
NBD = BUILD + "/tern-nbd"
PEER = os.environ.get("PEER") or shutil.which("qemu-system-x86_64")
PATIENCE = 30 * int(os.environ.get("TERN_TEST_PATIENCE", "1"))

OOB = '{"execute":"qmp_capabilities","arguments":{"enable":["oob"]}}'
LINES = [
    '{"exec-oob":"query-yank"}',
    '{"execute":"qmp_capabilities","arguments":{"enable":["oob","oob"]}}',
    '{"exec-oob":"query-yank"}', '{"exec-oob":"query-yank","id":5}',
    '{"exec-oob":"query-status","id":6}', '{"exec-oob":"nonesuch","id":7}',
    '{"exec-oob":"yank","id":8}', '{"execute":"yank"}',
    '{"exec-oob":"yank","arguments":{"instances":[]}}',
    '{"exec-oob":"yank","arguments":{"instances":[{"type":"chardev"}]}}',
    '{"exec-oob":"yank","arguments":{"instances":[{"type":"foo"}]}}',
    '{"exec-oob":"yank","arguments":{"instances":[{"type":"migration"}]}}',
    '{"exec-oob":"yank","id":9,"arguments":{"instances":['
    '{"type":"chardev","id":"s"},{"type":"chardev","id":"q"}]}}',
    '{"exec-oob":"yank","arguments":{"instances":['
    '{"type":"block-node","node-name":"s"}]}}',
    '{"exec-oob":"yank","arguments":{"instances":['
    '{"type":"chardev","id":"s"}]}}',
    '{"execute":"query-yank"}', '{"exec-oob":5}',
    '{"exec-oob":"query-yank","execute":"query-yank"}',
    '{"exec-oob":"query-yank","x":1}',
    '{"exec-oob":"query-yank","arguments":[]}',
    '{"exec-oob":"query-yank","arguments":{"x":1}}',
    '{"exec-oob":"qmp_capabilities"}',
    '{"exec-oob":"query-yank","id":[1,{"a":null}]}', '[1]',
    '{"execute":"chardev-add","arguments":{"id":"t","backend":{"type":'
    '"socket","data":{"addr":{"type":"unix","data":{"path":"t"}},'
    '"wait":false}}}}', '{"exec-oob":"query-yank"}',
    '{"execute":"chardev-change","arguments":{"id":"s","backend":{"type":'
    '"null","data":{}}}}', '{"exec-oob":"query-yank"}',
    '{"execute":"chardev-remove","arguments":{"id":"t"}}',
    '{"exec-oob":"query-yank"}',
]


class Session:
    def __init__(self, prog, *args):
        mine, theirs = socket.socketpair()
        mine.settimeout(PATIENCE)
        self.sock, self.file = mine, mine.makefile("rb")
        self.p = subprocess.Popen(
            [prog, "-machine", "none", "-display", "none", "-nodefaults",
             "-qmp", "stdio", *args], stdin=theirs, stdout=theirs)
        theirs.close()
        self.greeting = self.next()

    def say(self, *lines):
        self.sock.sendall("".join(x + "\n" for x in lines).encode())

    def next(self):
        while True:
            line = self.file.readline()
            if not line:
                return None
            # qemu-io writes to the same standard output
            got = json.loads(line) if line[:1] == b"{" else {"event": 0}
            if "event" not in got:
                return got

    def ask(self, line):
        self.say(line)
        return self.next()

    def kill(self):
        self.p.kill()
        self.p.wait()
        self.sock.close()


def line_by_line(prog):
    s = Session(prog, "-chardev",
                "socket,id=s,path=s.sock,server=on,wait=off,mux=off")
    out = [s.greeting["QMP"]["capabilities"]] + [s.ask(x) for x in LINES]
    s.kill()
    return out


def nbd_server(name):
    """One that serves a file, on a Unix socket."""
    p = subprocess.Popen([NBD, "-f", "raw", "-t", "-k", os.path.abspath(name),
                          "disk"])
    stop = time.time() + PATIENCE
    while not os.path.exists(name) and time.time() < stop:
        time.sleep(0.02)
    return p


def overtaken(prog, *more):
    """What a stopped server holds up, and what goes past it."""
    server = nbd_server("nbd.sock")
    s = Session(prog, "-blockdev", "driver=nbd,node-name=n,server.type=unix,"
                "server.path=nbd.sock" + "".join(more))
    try:
        out = [s.ask(OOB)]
        os.kill(server.pid, signal.SIGSTOP)
        s.say('{"execute":"human-monitor-command","id":"slow","arguments":'
              '{"command-line":"qemu-io n \\"read 0 4k\\""}}',
              '{"execute":"query-version","id":"behind"}',
              '{"exec-oob":"query-yank","id":"past"}')
        out.append(s.next())
        s.say('{"exec-oob":"yank","id":"yank","arguments":{"instances":['
              '{"type":"block-node","node-name":"n"}]}}')
        # what it ends may be told before the answer to it
        out += sorted((s.next() for _ in range(3)), key=lambda r: r["id"])
        # nobody comes back after a yank
        os.kill(server.pid, signal.SIGCONT)
        out.append(s.ask('{"execute":"human-monitor-command","arguments":'
                         '{"command-line":"qemu-io n \\"read 0 4k\\""}}'))
        out.append(s.ask('{"execute":"blockdev-del","arguments":'
                         '{"node-name":"n"}}'))
        out.append(s.ask('{"exec-oob":"query-yank"}'))
    finally:
        s.kill()
        server.kill()
        server.wait()
        if os.path.exists("nbd.sock"):
            os.unlink("nbd.sock")
    return out


def connections(prog):
    """A chardev's client goes at yank; it may come again."""
    s = Session(prog, "-chardev", "socket,id=s,path=c.sock,server=on,wait=off",
                "-chardev", "socket,id=m,path=c.sock,mux=on,telnet=on")
    out = [s.ask(OOB), s.ask('{"exec-oob":"query-yank"}')]
    out.append(s.ask('{"exec-oob":"yank","arguments":{"instances":['
                     '{"type":"chardev","id":"m-base"}]}}'))
    for _ in range(2):
        c = socket.socket(socket.AF_UNIX)
        c.settimeout(PATIENCE)
        c.connect("c.sock")
        stop = time.time() + PATIENCE
        while time.time() < stop:      # until it is let in
            got = s.ask('{"execute":"query-chardev"}')["return"]
            if [x for x in got if x["label"] == "s" and
                    not x["filename"].startswith("disconnected")]:
                break
        out.append(s.ask('{"exec-oob":"yank","arguments":{"instances":['
                         '{"type":"chardev","id":"s"}]}}'))
        out.append(c.recv(1).decode())
        c.close()
    s.kill()
    return out


def clean(v):
    """Without versions, and what belongs to one run."""
    text = json.dumps(v, sort_keys=True)
    return json.loads(re.sub(r'"package": "[^"]*"', '"package": ""', text))


def compare(name, session, *args):
    ours = clean(session(OURS, *args))
    if not PEER:
        return ours
    theirs = clean(session(PEER, *args))
    faults = ["ours %s\npeer %s" % (a, b) for a, b in zip(ours, theirs)
              if a != b]
    result(ours == theirs, name + ": as the peer", *faults)
    return ours


def main():
    if not os.path.exists(OURS):
        skip_all("tern is not built")
    with Folder("oob") as folder:
        os.chdir(folder)
        with open("disk", "wb") as f:
            f.truncate(1 << 20)
        compare("requests", line_by_line)
        for more in ((), (",reconnect-delay=60",)):
            got = compare("a stopped server%s" % "".join(more), overtaken,
                          *more)
            result([r.get("id") for r in got[1:5]] ==
                   ["past", "behind", "slow", "yank"],
                   "what is out of band goes past", got)
        compare("connections", connections)
        os.chdir("/")
    return end()


if __name__ == "__main__":
    sys.exit(main())
