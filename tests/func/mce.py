#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Machine checks that the monitor injects (mce): what a guest finds in its banks
(Intel SDM vol. 3, 15.3), how often its handler runs, what the monitor says and
which events come, with the software CPU and with KVM: the same as by the
installed peer ($PEER), where there is one."""
import json
import os
import shutil
import socket
import struct
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, "tests")
import libtern                                                   # noqa: E402
from libtap import end, result, skip                             # noqa: E402

PEER = os.environ.get("PEER") or shutil.which("qemu-system-x86_64")
PATIENCE = 30 * int(os.environ.get("TERN_TEST_PATIENCE", "1"))
FIRMWARE = libtern.BUILD + "/tests/guests/mce.bin"
STATUS, CTL, CAP = 0x17a, 0x17b, 0x179
VAL, OVER, UC, EN, MISCV, ADDRV, PCC, AR = (
    1 << 63, 1 << 62, 1 << 61, 1 << 60, 1 << 59, 1 << 58, 1 << 57, 1 << 55)


def bank(n):
    return 0x400 + 4 * n


class Guest:
    def __init__(self, program, accel, *args):
        self.line, theirs = socket.socketpair()
        self.line.settimeout(PATIENCE)
        self.m = libtern.Machine(
            "-chardev", "socket,id=s,fd=%d" % theirs.fileno(), "-serial",
            "chardev:s", "-display", "none", "-nodefaults", "-net", "none",
            "-m", "64", "-accel", accel, "-bios", FIRMWARE, *args,
            program=program, timeout=PATIENCE, passing=(theirs,))
        self.log = []

    def do(self, what, ecx=0, value=0):
        self.line.sendall(struct.pack("<4I", what, ecx, value & 0xffffffff,
                                      value >> 32))
        got = b""
        while len(got) < 8:
            more = self.line.recv(8 - len(got))
            if not more:
                raise libtern.Gone("the guest is gone")
            got += more
        return struct.unpack("<Q", got)[0]

    def read(self, msr):
        return self.do(0, msr)

    def write(self, msr, value):
        self.do(1, msr, value)

    def enable(self, on=True):
        self.do(2, 0, 0x40 if on else 0)

    def note(self, what, *rows):
        self.log.append("%s: %s" % (what, " ".join(str(r) for r in rows)))

    def look(self, *banks):
        """How often the handler ran, and the registers that are not 0."""
        found = ["%d" % (self.do(3) & 0xffffffff), "%x" % self.read(STATUS)]
        for b in banks:
            found += ["%x=%x" % (m, self.read(m)) for m in
                      range(bank(b), bank(b) + 4) if self.read(m)]
        self.note("guest", *found)

    def mce(self, *args, flags="", banks=()):
        line = "mce " + flags + " ".join("%#x" % a for a in args)
        said = self.m.hmp(line).replace("\n", "").strip()
        if "triple fault" in said:
            self.m.qmp.events.append(
                self.m.event("RESET", PATIENCE) or {"event": "no reset"})
        events = [(e["event"], json.dumps(e.get("data"), sort_keys=True))
                  for e in self.m.qmp.events]
        self.m.qmp.events.clear()
        self.note(line, said, *events)
        if banks:
            self.look(*banks)

    def end(self):
        self.m.quit()
        self.line.close()
        return self.log


def refused(g):
    g.look(0)
    for args in ((0, 10, VAL, 0, 0, 0), (0, 99, VAL, 0, 0, 0),
                 (0, 0, 0, 0, 0, 0), (0, 99, 0, 0, 0, 0),
                 (0, 0, VAL - 1, 0, 0, 0)):
        g.mce(*args)
    for line in ("mce", "mce 0", "mce 0 0 0 0 0", "mce -x 0 0 0 0 0 0",
                 "mce 0 0 0 0 0 0 0", "mce a 0 0 0 0 0", "help mce"):
        g.note(line, g.m.hmp(line))


def corrected(g):
    g.note("cap", "%x" % g.read(CAP), "%x" % g.read(CTL))
    g.mce(0, 1, VAL | EN | ADDRV | MISCV | 5, 0, 0x1234000, 0x8c, banks=(1,))
    g.mce(0, 1, VAL | EN | 6, 0, 0x5678000, 1, banks=(1,))
    g.mce(0, 9, VAL, 5, 1, 2, banks=(9, 1))
    g.write(bank(1) + 1, 0)
    g.mce(0, 1, VAL | EN | 7, 0, 0x5678000, 1, banks=(1,))


def uncorrected(g):
    g.enable()
    g.mce(0, 1, VAL | UC | EN | ADDRV | 5, 5, 0x1234000, 0x8c, banks=(1,))
    g.write(STATUS, 0)
    g.mce(0, 1, VAL | 9, 0, 0, 0, banks=(1,))        # what is there stays
    g.mce(0, 1, VAL | UC | EN | 6, 5, 0x5000, 0, banks=(1,))
    g.write(STATUS, 0)
    g.mce(0, 2, VAL | UC | EN | AR | 6, 7, 0x5000, 0, banks=(2,))
    g.write(STATUS, 0)
    g.mce(0, 3, VAL | UC | PCC, 4, 0, 0, flags="-b ", banks=(3, 1))
    # another before the first was handled
    g.mce(0, 4, VAL | UC | EN, 5, 0, 0, banks=(4,))
    g.look(3, 4)


def switched_off(g):
    g.enable()
    g.write(bank(2), 0)
    g.mce(0, 2, VAL | UC | EN | 6, 5, 0x5000, 0, banks=(2,))
    g.mce(0, 2, VAL | EN | 6, 5, 0x5000, 0, banks=(2,))
    g.write(CTL, 0)
    g.mce(0, 3, VAL | UC | EN | 6, 5, 0x5000, 0, banks=(3,))
    g.mce(0, 3, VAL | EN | 6, 5, 0x5000, 0, banks=(3,))


def not_enabled(g):
    g.mce(0, 1, VAL | UC | EN | 6, 5, 0x5000, 0)
    g.enable()
    g.mce(0, 1, VAL | UC | EN | 6, 5, 0x5000, 0, banks=(1,))


def others(g):
    g.enable()
    g.mce(1, 1, VAL | 5, 0, 0x1000, 0, banks=(1,))
    g.mce(0, 3, VAL | 5, 0, 0x1000, 0, flags="-b ", banks=(3, 1))
    g.mce(0, 3, VAL | UC | 5, 5, 0x1000, 0, banks=(3, 1))


def none_there(g):
    g.note("mce", g.m.hmp("mce 0 0 0 0 0 0"))


RUNS = [
    ("refused", refused, []), ("corrected", corrected, []),
    ("uncorrected", uncorrected, []), ("switched off", switched_off, []),
    ("not enabled", not_enabled, []), ("two processors", others, ["-smp", "2"]),
    ("no machine checks", none_there, ["-cpu", "qemu64,-mca"]),
    ("too old", none_there, ["-cpu", "486"]),
    ("no broadcast", others, ["-cpu", "Conroe,model=13", "-smp", "2"]),
]


def session(program, accel, run, args):
    g = Guest(program, accel, *args)
    try:
        run(g)
    except (libtern.Gone, OSError) as e:
        g.note("gone", type(e).__name__)
    return g.end()


def usable(program, accel):
    try:
        m = libtern.Machine("-accel", accel, "-machine", "pc", "-nodefaults",
                            "-display", "none", "-S", program=program)
    except libtern.Gone:
        return False
    m.kill()
    return True


def main():
    if not os.path.exists(FIRMWARE) or not os.path.exists(libtern.TERN):
        libtern.skip_all("not built")
    for accel in ("tcg", "kvm"):
        if not usable(libtern.TERN, accel):
            skip(accel, "cannot be used here")
            continue
        peer = PEER if PEER and usable(PEER, accel) else None
        for name, run, args in RUNS:
            ours = session(libtern.TERN, accel, run, args)
            theirs = session(peer, accel, run, args) if peer else ours
            faults = ["ours  %s\npeer  %s" % p for p in zip(ours, theirs)
                      if p[0] != p[1]]
            result(ours == theirs and len(ours) > 0, "%s: %s" % (accel, name),
                   *faults, *(["ours %d, peer %d" % (len(ours), len(theirs))]
                              if len(ours) != len(theirs) else []))
            if run is uncorrected:
                result("guest: 1 5 404=ffffffffffffffff "
                       "405=b400000000000005 406=1234000 407=8c" in ours,
                       "%s: the handler ran" % accel, *ours)
    return end()


if __name__ == "__main__":
    sys.exit(main())
