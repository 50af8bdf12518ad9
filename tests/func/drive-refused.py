#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""-drive and -blockdev with what they do not take: the first line that is said and
the status are those of the installed peer. Skips where there is none."""

import os
import re
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE]
import libqmp                                                    # noqa: E402
from libdrives import BOARD, REFUSED                             # noqa: E402
from libqmp import OURS, PEER, result                            # noqa: E402


def started(prog, args):
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("raw", "qcow2"):
            subprocess.run([libqmp.BUILD + "/tern-img", "create", "-q", "-f",
                            kind, "a." + kind, "1M"], cwd=folder, check=True)
        p = subprocess.run([prog, "-display", "none"] + args, cwd=folder,
                           input="quit\n", stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True,
                           timeout=libqmp.PATIENCE)
        lines = re.sub(r"^[^ ]*(tern|qemu-system-x86_64): ", "", p.stderr,
                       flags=re.M).split("\n")
        # ours warns of more
        lines = [line for line in lines if ": warning: " not in line]
        return p.returncode, lines[0]


def said(prog, text):
    return started(prog, ["-machine", "none", "-monitor", "stdio", "-drive",
                          "if=none,id=d," + text.replace("@", "a")])


def said_by_board(prog, words):
    return started(prog, ["-machine", "pc,accel=qtest" if prog == OURS
                          else "pc,accel=tcg", "-nodefaults", "-S", "-monitor",
                          "stdio"] + words)


def main():
    if not libqmp.peer_there():
        print("1..0 # SKIP no peer is installed")
        return 0
    for text in REFUSED:
        a, b = said(OURS, text), said(PEER, text)
        result(a == b, text, "ours: %s" % (a,), "peer: %s" % (b,))
    for words in BOARD:
        a, b = said_by_board(OURS, words), said_by_board(PEER, words)
        result(a == b, " ".join(words), "ours: %s" % (a,), "peer: %s" % (b,))
    return libqmp.end()


sys.exit(main())
