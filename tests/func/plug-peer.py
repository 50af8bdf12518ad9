#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""device_add of each type that both programs have, with nothing but an id, in a
machine that is there: the same answer from the installed emulator ($PEER)."""
import os
import re
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, "tests")
from libtap import check, end
from libtern import Gone, Machine, TERN, skip_all

PEER = os.environ.get("PEER") or shutil.which("qemu-system-x86_64")
BOARD = ("-machine", "pc", "-m", "32", "-S", "-display", "none", "-nodefaults",
         "-device", "ich9-ahci,id=a")


def types(program):
    text = subprocess.run([program, "-device", "help"], text=True, timeout=60,
                          capture_output=True).stdout
    return set(re.findall(r'^name "([^"]+)"', text, re.M))


def answers(program, names):
    said = {}
    with Machine(*BOARD, program=program) as m:
        for n in names:
            r = m.qmp.ask("device_add", driver=n, id="x")
            said[n] = r["error"]["desc"] if "error" in r else ""
            m.qmp.ask("device_del", id="x")
    return said


def main():
    if not PEER:
        skip_all("the peer is not installed")
    names = sorted(types(TERN) & types(PEER))
    ours = answers(TERN, names)
    for turn in range(3):
        try:
            theirs = answers(PEER, names)
            break
        except Gone:                   # of a fault of its own
            if turn == 2:
                raise
    check("both have them", len(names) > 150, len(names))
    for n in names:
        check(n, ours[n].split("\n")[0] == theirs[n],
           "%r, the peer %r" % (ours[n], theirs[n]))
    return end()


sys.exit(main())
