# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine of either program under QMP and qtest, with an IDE disk that is
written and read by PIO."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, "tests")
import libtern                                                   # noqa: E402
from libtap import end, result                                   # noqa: E402,F401

BUILD = os.path.abspath(os.environ.get("BUILD", "build"))
OURS = os.environ.get("TERN") or BUILD + "/tern"
PEER = os.environ.get("PEER") or shutil.which("qemu-system-x86_64")
PATIENCE = 30 * int(os.environ.get("TERN_TEST_PATIENCE", "1"))


def peer_there():
    return PEER and subprocess.run(
        [PEER, "-version"], stdout=subprocess.DEVNULL).returncode == 0


DISK = ["-device", "ide-hd,drive=d,id=hd,bus=ide.0"]


class Machine:
    def __init__(self, prog, folder, extra, **more):
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
        self.out = open(folder + "/stdout", "w+")
        self.proc = subprocess.Popen(args + extra, stdin=subprocess.DEVNULL,
                                     stdout=self.out, cwd=folder, **more)
        # qtest may be connected before or after the monitor
        qmp_f, self.qt_f = (s.accept()[0] for s in socks)
        for s in socks:
            s.close()
        self.qt_f.settimeout(PATIENCE)
        self.qt_r = self.qt_f.makefile()
        self.mon = libtern.Qmp(qmp_f, PATIENCE, prog)

    def qmp(self, name, **args):
        got = self.mon.raw({"execute": name, "arguments": args})
        return got.get("return", got)

    def hmp(self, line):
        got = self.qmp("human-monitor-command", **{"command-line": line})
        return re.sub("#block[0-9]+", "#N", got.replace("\r", ""))

    def ask_all(self, lines):
        """What qtest answers to some lines, as text: sent at once."""
        self.qt_f.sendall("".join(x + "\n" for x in lines).encode())
        answers = []
        while len(answers) < len(lines):
            got = self.qt_r.readline().split()
            if not got:
                raise RuntimeError("the program has ended")
            if got[0] != "IRQ":
                answers.append(got[1] if len(got) > 1 else "")
        return answers

    def ask(self, line):
        return self.ask_all([line])[0]

    def qt(self, line):
        got = self.ask(line)
        return int(got, 0) if got else None

    def wait(self, mask, value):
        end = time.monotonic() + 3
        while time.monotonic() < end:
            s = self.qt("inb 0x3f6")
            if s & mask == value:
                return s
            if any(e["event"] == "STOP" for e in self.mon.events):
                break
            self.qmp("query-status")
        return self.qt("inb 0x3f6")

    def transfer(self, write, sector=8):
        # the controller's ports
        for reg, v in ((0x80000904, 7), (0x80000940, 0x80008000)):
            self.qt("outl 0xcf8 %#x" % reg)
            self.qt("outl 0xcfc %#x" % v)
        for port, v in ((0x3f6, 2), (0x1f6, 0xe0), (0x1f2, 1),
                        (0x1f3, sector & 255), (0x1f4, sector >> 8 & 255),
                        (0x1f5, sector >> 16), (0x1f7, 0x30 if write else 0x20)):
            self.qt("outb %#x %#x" % (port, v))
        if write:
            self.wait(0x88, 0x08)
            for i in range(256):
                self.qt("outw 0x1f0 %#x" % (0x4100 + i))
            return self.wait(0x80, 0)
        status = self.wait(0x80, 0)
        for i in range(256 if status & 9 == 8 else 0):
            self.qt("inw 0x1f0")
        return status

    def told(self):
        out = []
        for e in self.mon.events:
            data = {k: re.sub("#block.*", "#N", v) if isinstance(v, str) else v
                    for k, v in e.get("data", {}).items()}
            out.append((e["event"], data))
        self.mon.events = []
        return out

    def state(self):
        b = self.qmp("query-block")[0]
        return self.qmp("query-status")["status"], b.get("io-status")

    def end(self):
        self.qmp("quit")
        self.proc.wait(PATIENCE)
        self.out.seek(0)
        return self.out.read()
