#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""VMware's port and the mouse behind it, as a guest sees them: each command of
the port, with the device's properties one by one, and a session of the mouse
whose events come over QMP. Every register after every access is what QEMU 7.2
gives its guest, as vmport.json has it; --record writes that file from the
installed one ($PEER)."""
import json
import os
import re
import shutil
import socket
import struct
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, "tests")
import libtern                                                   # noqa: E402
from libtap import end, result                                   # noqa: E402

PEER = os.environ.get("PEER") or shutil.which("qemu-system-x86_64")
PATIENCE = 30 * int(os.environ.get("TERN_TEST_PATIENCE", "1"))
FIRMWARE = libtern.BUILD + "/tests/guests/vmport.bin"
FACTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "vmport.json")
MAGIC = 0x564d5868
PORT = 0x5658
DATA, STATUS, COMMAND = 39, 40, 41
ASK_ID, ASK_END = 0x45414552, 0xf5
ASK_RELATIVE, ASK_ABSOLUTE = 0x4c455252, 0x53424152
OFF = ["x-read-set-eax", "x-signal-unsupported-cmd", "x-report-vmx-type",
       "x-cmds-v2"]


class Guest:
    def __init__(self, program, args):
        self.line, theirs = socket.socketpair()
        self.line.settimeout(PATIENCE)
        self.m = libtern.Machine(
            "-chardev", "socket,id=s,fd=%d" % theirs.fileno(), "-serial",
            "chardev:s", "-display", "none", "-nodefaults", "-net", "none",
            "-m", "64", "-uuid", "11223344-5566-7788-99aa-bbccddeeff00",
            "-bios", FIRMWARE, *args, program=program, timeout=PATIENCE,
            passing=(theirs,))
        self.log = []

    def access(self, ecx, ebx=0, eax=MAGIC, port=PORT, how=0):
        """The six registers after it, EAX first; kept in the log."""
        self.line.sendall(struct.pack("<7I", eax, ebx, ecx, 0x22220000 | port,
                                      0x33334444, 0x55556666, how))
        got = b""
        while len(got) < 24:
            more = self.line.recv(24 - len(got))
            if not more:
                raise libtern.Gone("the guest is gone")
            got += more
        regs = struct.unpack("<6I", got)
        self.log.append("%x %x %x %d: %s" % (ecx, ebx, eax, how, " ".join(
            "%08x" % r for r in regs)))
        return regs

    def send(self, *events):
        r = self.m.qmp.ask("input-send-event", events=[
            {"type": t, "data": d} for t, d in events])
        self.log.append("%s: %s" % (events, sorted(r)))
        self.access(STATUS)

    def move(self, kind, x, y):
        self.send((kind, {"axis": "x", "value": x}),
                  (kind, {"axis": "y", "value": y}))

    def button(self, name):
        for down in (True, False):
            self.send(("btn", {"button": name, "down": down}))

    def mice(self):
        rows = self.m.cmd("query-mice")
        self.log.append(str([sorted(r.items()) for r in rows]))
        self.log.append(self.m.hmp("info mice"))
        return rows

    def byte(self, port):
        return self.access(0, port=port, how=2)[0] & 0xff

    def end(self):
        self.m.quit()
        self.line.close()
        return self.log


def commands(g, which=range(0x80)):
    for ecx in which:
        # The host's clocks are nobody's promise.
        if ecx != 45:
            g.access(ecx, 0x12345678)
    g.access(0x1234000a)
    g.access(10, eax=0x11112222)
    for how in (1, 2, 4):
        g.access(10, how=how)
        g.access(1, how=how)
        g.access(10, eax=5, how=how)


def some_commands(g):
    commands(g, (1, 10, 19, 20, 39, 40, 41, 46, 68))


def mouse(g):
    def ask(what):
        g.access(COMMAND, what)
        g.access(STATUS)

    def take(n):
        g.access(DATA, n)
        g.access(STATUS)
    g.mice()
    for what in (0, ASK_ID):
        ask(what)
    g.mice()
    take(1)
    take(1)
    for what in (ASK_ID, ASK_ID):
        ask(what)
    take(2)
    g.move("abs", 100, 200)
    ask(ASK_ABSOLUTE)
    g.mice()
    g.move("abs", 1000, 2000)
    take(4)
    for name in ("left", "right", "middle", "side", "extra", "wheel-up",
                 "wheel-down", "wheel-left", "wheel-right"):
        g.button(name)
    for n in (1, 2, 3, 4, 5, 6, 0, 7):
        take(n)
    ask(ASK_ID)
    g.move("abs", 0x7fff, 0)
    for what in (ASK_RELATIVE, ASK_RELATIVE):
        ask(what)
    g.mice()
    g.move("rel", 3, -4)
    g.move("abs", 9, 9)
    g.send(("rel", {"axis": "x", "value": 5}), ("btn", {
        "button": "wheel-up", "down": True}))
    g.button("left")
    ask(ASK_ABSOLUTE)
    g.move("rel", 3, -4)
    g.send(*[("btn", {"button": "wheel-down", "down": True})] * 260)
    take(4)
    g.move("abs", 7, 8)
    for what in (ASK_END, ASK_RELATIVE, ASK_ABSOLUTE, ASK_ID):
        ask(what)
        g.mice()


def calls(g):
    """The PS/2 mouse, once the guest has switched it on, calls the driver."""
    for port, value in ((0x64, 0xa8), (0x64, 0xd4), (0x60, 0xf4)):
        g.access(0, eax=value, port=port, how=3)
    g.byte(0x60)
    g.access(COMMAND, ASK_ID)
    g.access(COMMAND, ASK_ABSOLUTE)
    g.move("abs", 1, 2)
    for _ in range(4):
        full = g.byte(0x64) & 0x21
        g.log[-1] = "full %x" % full
        g.byte(0x60)


def told(program, args, session):
    g = Guest(program, args)
    try:
        session(g)
        return g.end()
    except (libtern.Gone, OSError) as e:
        g.m.kill()
        return g.log + ["%s: %s" % (e, g.m.errors())]


TCG = ["-accel", "tcg"]
SESSIONS = {
    "commands": (TCG, commands), "the mouse": (TCG, mouse),
    "the driver is called": (TCG, calls),
    "version and product": (TCG + [
        "-global", "vmport.vmware-vmx-version=77", "-global",
        "vmport.vmware-vmx-type=200"], some_commands),
    **{p + "=off": (TCG + ["-global", "vmport.%s=off" % p], some_commands)
       for p in OFF},
    **{m: (TCG + ["-M", m], some_commands)
       for m in ("pc-i440fx-5.0", "pc-i440fx-5.1", "isapc")},
}


def record():
    with open(FACTS, "w", encoding="utf-8") as f:
        json.dump({n: told(PEER, *s) for n, s in SESSIONS.items()}, f,
                  indent=0)
        f.write("\n")


def same(name, wanted, args, session):
    ours = told(libtern.TERN, args, session)
    diff = ["%s\n  wanted %s" % (a, b) for a, b in zip(ours, wanted) if a != b]
    result(ours == wanted, "%s: %d answers are the peer's" % (name, len(ours)),
           "\n".join(diff[:10]))


def reset(g):
    """While the guest waits for the line: it starts again, and well."""
    for i in range(3):
        g.m.cmd("system_reset")
        g.m.event("RESET", PATIENCE)
        result(g.access(STATUS)[0] == 0xffff0000,
               "reset %d: no words, no mouse" % i, g.log[-1])
    result([r["name"] for r in g.mice()] == ["QEMU PS/2 Mouse"],
           "the PS/2 mouse is in use again", g.log[-1])


def known():
    g = Guest(libtern.TERN, ["-accel", "tcg"])
    eax, ebx, ecx = g.access(10)[:3]
    result((eax, ebx, ecx) == (6, MAGIC, 2), "version and product", g.log[-1])
    result(g.access(19)[:4] == (0x44332211, 0x88776655, 0xccbbaa99,
                                0xffeedd), "UUID", g.log[-1])
    result(g.access(20)[0] == 64 << 20, "memory", g.log[-1])
    result(g.access(3)[0] == 0xffffffff, "an unknown command", g.log[-1])
    result(g.access(45)[1] == 0xffffffff, "no clocks of the host's",
           g.log[-1])
    g.access(COMMAND, ASK_ID)
    g.access(COMMAND, ASK_ABSOLUTE)
    rows = [r for r in g.mice() if r["name"] == "vmmouse"]
    result(rows and rows[0]["current"] and rows[0]["absolute"],
           "the mouse is the pointer in use, of places", rows)
    g.access(DATA, 1)
    g.move("abs", 1000, 2000)
    result(g.access(DATA, 4)[:4] == (0, 2000, 4000, 0), "a place", g.log[-1])
    reset(g)
    g.end()
    text = Guest(libtern.TERN, ["-accel", "tcg", "-M", "pc,vmport=off"])
    result(text.access(10)[0] == 0xffffffff, "vmport=off: nothing is there")
    result(not re.search("vmport|vmmouse", text.m.hmp("info qtree")),
           "and nothing is in the tree")
    text.end()


def clocks():
    g = Guest(libtern.TERN, ["-accel", "kvm"])
    eax, ebx, ecx = g.access(45)[:3]
    result(ebx << 32 | eax > 100000000 and ecx == 1000000000,
           "KVM: the clocks", g.log[-1])
    g.end()


def main():
    if not os.path.exists(FIRMWARE):
        libtern.skip_all("the guest is not built")
    if "--record" in sys.argv:
        record()
        return 0
    with open(FACTS, encoding="utf-8") as f:
        facts = json.load(f)
    known()
    for name, (args, session) in SESSIONS.items():
        same(name, facts[name], args, session)
    if os.access("/dev/kvm", os.R_OK | os.W_OK):
        clocks()
        same("kvm: the mouse", facts["the mouse"], ["-accel", "kvm"], mouse)
    return end()


if __name__ == "__main__":
    sys.exit(main())
