#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a disk's failed requests lead to, by werror= and rerror=: a guest writes
and reads by PIO over a blkdebug node that fails once; the machine stops or not,
events, query-block's io-status, and after "cont" the request is done again. The
same is asked of the installed peer, and must end alike. Without a peer what is
expected of ours is still checked."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

BUILD = os.path.abspath(os.environ.get("BUILD", "build"))
OURS = os.environ.get("TERN") or BUILD + "/tern"
PEER = os.environ.get("PEER") or shutil.which("qemu-system-x86_64")
PATIENCE = 30 * int(os.environ.get("TERN_TEST_PATIENCE", "1"))
count = failed = 0


def result(ok, name, *texts):
    global count, failed
    count += 1
    failed += not ok
    if not ok:
        for t in texts:
            print("# " + str(t).replace("\n", "\n# "))
    print("%sok %d - %s" % ("" if ok else "not ", count, name))


class Machine:
    def __init__(self, prog, folder, drive):
        socks = []
        # a firmware that halts: what happens is what is done here
        with open(folder + "/bios", "wb") as f:
            f.write(bytes(0xfff0) + b"\xfa\xf4\xeb\xfd" + bytes(12))
        args = [prog, "-accel", "kvm", "-accel", "tcg", "-machine", "pc",
                "-m", "16", "-bios", "bios",
                "-cpu", "qemu64", "-nodefaults", "-display", "none",
                "-qtest-log", "none"]
        for kind in ("qmp", "qtest"):
            s = socket.socket(socket.AF_UNIX)
            s.bind("%s/%s" % (folder, kind))
            s.listen(1)
            s.settimeout(PATIENCE)
            socks.append(s)
            args += ["-" + kind, "unix:%s/%s" % (folder, kind)]
        args += ["-drive", "if=none,id=d," + drive,
                 "-device", "ide-hd,drive=d,id=hd,bus=ide.0"]
        self.proc = subprocess.Popen(args, stdin=subprocess.DEVNULL, cwd=folder)
        # qtest may be connected before or after the monitor
        self.qmp_f, self.qt_f = (s.accept()[0] for s in socks)
        for s in socks:
            s.close()
        for s in (self.qmp_f, self.qt_f):
            s.settimeout(PATIENCE)
        self.qmp_r, self.qt_r = self.qmp_f.makefile(), self.qt_f.makefile()
        self.events = []
        self.qmp_r.readline()
        self.qmp("qmp_capabilities")

    def qmp(self, name, **args):
        self.qmp_f.sendall(json.dumps({"execute": name, "arguments": args})
                           .encode() + b"\n")
        while True:
            got = json.loads(self.qmp_r.readline())
            if "event" not in got:
                return got.get("return", got)
            self.events.append(got)

    def qt(self, line):
        self.qt_f.sendall(line.encode() + b"\n")
        while True:
            got = self.qt_r.readline().split()
            if got and got[0] != "IRQ":
                return int(got[1], 0) if len(got) > 1 else None

    def wait(self, mask, value):
        end = time.monotonic() + 3
        while time.monotonic() < end:
            s = self.qt("inb 0x3f6")
            if s & mask == value:
                return s
            if any(e["event"] == "STOP" for e in self.events):
                break
            self.qmp("query-status")
        return self.qt("inb 0x3f6")

    def transfer(self, write):
        # the controller's ports
        for reg, v in ((0x80000904, 7), (0x80000940, 0x80008000)):
            self.qt("outl 0xcf8 %#x" % reg)
            self.qt("outl 0xcfc %#x" % v)
        for port, v in ((0x3f6, 2), (0x1f6, 0xe0), (0x1f2, 1), (0x1f3, 8),
                        (0x1f4, 0), (0x1f5, 0), (0x1f7, 0x30 if write else 0x20)):
            self.qt("outb %#x %#x" % (port, v))
        if write:
            self.wait(0x88, 0x08)
            for i in range(256):
                self.qt("outw 0x1f0 %#x" % (0x4100 + i))
        return self.wait(0x80, 0)

    def told(self):
        out = []
        for e in self.events:
            data = {k: re.sub("#block.*", "#N", v) if isinstance(v, str) else v
                    for k, v in e.get("data", {}).items()}
            out.append((e["event"], data))
        self.events = []
        return out

    def state(self):
        b = self.qmp("query-block")[0]
        return self.qmp("query-status")["status"], b.get("io-status")

    def end(self):
        self.qmp("quit")
        self.proc.wait(PATIENCE)


def story(prog, write, policy, err):
    with tempfile.TemporaryDirectory() as folder:
        with open(folder + "/disk", "wb") as f:
            f.truncate(1 << 20)
        m = Machine(prog, folder,
                    "driver=raw,file.driver=blkdebug,file.image.driver=file,"
                    "file.image.filename=disk,file.inject-error.0.event=%s,"
                    "file.inject-error.0.errno=%d,file.inject-error.0.once=on,"
                    "file.inject-error.0.sector=8,"
                    "%s" % ("write_aio" if write else "read_aio", err, policy))
        out = [("before", m.state())]
        status = m.transfer(write)
        state = m.state()
        if state[0] != "running":
            status = 0                 # no guest sees it
        out += [("status %#x" % (status & 0xc9), state), m.told()]
        if m.qmp("query-status")["status"] == "io-error":
            m.qmp("cont")
            status = m.wait(0x80, 0)
            out += [("after cont %#x" % (status & 0xc9), m.state()), m.told()]
        m.end()
        with open(folder + "/disk", "rb") as f:
            f.seek(4096)
            out.append(f.read(4))
        return out


def expected(write, policy, err, got):
    """What must be so, whoever says so."""
    stops = policy.endswith("stop") or (policy.endswith("enospc") and err == 28)
    text = str(got)
    ok = ("io-error" in text) == stops and \
        ("BLOCK_IO_ERROR" in text)
    if write:
        ok &= (got[-1] == b"\0A\1A") == stops
    return ok


def main():
    peer = PEER and subprocess.run(
        [PEER, "-version"], stdout=subprocess.DEVNULL).returncode == 0
    for write in (True, False):
        for policy in ("stop", "report", "ignore", "enospc"):
            if policy == "enospc" and not write:
                continue
            for err in (5, 28):
                opt = "%s=%s" % ("werror" if write else "rerror", policy)
                name = "%s, errno %d" % (opt, err)
                a = story(OURS, write, opt, err)
                result(expected(write, opt, err, a), name, a)
                if peer:
                    b = story(PEER, write, opt, err)
                    result(a == b, name + ": as the peer", a, b)
    print("1..%d" % count)
    return failed > 0


sys.exit(main())
