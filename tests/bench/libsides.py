# SPDX-License-Identifier: GPL-2.0-or-later
"""What the programs in this folder share: the two sides that are measured in
turns, build/tern and the peer (qemu-system-x86_64, or $PEER), and the table of
medians. docs/performance.md."""

import json
import os
import shutil
import statistics
import subprocess
import sys
import time

BUILD = os.environ.get("BUILD", "build")
ROUNDS = int(os.environ.get("ROUNDS", "15"))
TERN = os.environ.get("TERN", BUILD + "/tern")
PEER = os.environ.get("PEER") or shutil.which("qemu-system-x86_64")


def cpu_ns(pid):
    """CPU time of all threads that live."""
    total = 0
    base = "/proc/%d/task" % pid
    for tid in os.listdir(base):
        try:
            with open("%s/%s/schedstat" % (base, tid)) as f:
                total += int(f.read().split()[0])
        except FileNotFoundError:
            pass                        # it ended meanwhile
    return total


def timed(prog, args):
    """CPU and wall time of a command that must succeed."""
    began = time.monotonic()
    p = subprocess.Popen([prog] + args, stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL)
    _, status, use = os.wait4(p.pid, 0)
    p.returncode = os.waitstatus_to_exitcode(status)
    if p.returncode:
        sys.exit("bench: status %d of: %s" % (p.returncode,
                                              " ".join(p.args)))
    return {"CPU ms": (use.ru_utime + use.ru_stime) * 1e3,
            "wall ms": (time.monotonic() - began) * 1e3}


def chosen(rows):
    """Those with one of the arguments in their name."""
    return [r for r in rows
            if not sys.argv[1:] or any(a in r[0] for a in sys.argv[1:])]


def measure(rows, rounds_of, title, out, sides=None):
    """Rows are (name, function of program and arguments, arguments); a
    function gives {figure: number}. Writes the table, and build/OUT.json."""
    if sides is None:
        sides = [("tern", TERN)] if os.access(TERN, os.X_OK) else []
        if PEER:
            sides.append(("peer", PEER))
    if not sides:
        sys.exit("bench: %s is not built" % TERN)
    print(title)
    print("%-20s %-18s" % ("", "") + "".join("%12s" % s for s, _ in sides) +
          ("%10s" % "ratio" if len(sides) == 2 else ""))
    result = {}
    for name, fn, args in chosen(rows):
        got = {s: [] for s, _ in sides}
        for _ in range(rounds_of(name)):
            for side, prog in sides:
                got[side].append(fn(prog, args))
        for figure in got[sides[0][0]][0]:
            med = [statistics.median(r[figure] for r in got[s])
                   for s, _ in sides]
            ratio = "%10.2f" % (med[0] / med[1]) if len(med) == 2 and \
                med[1] else ""
            print("%-20s %-18s" % (name, figure) +
                  "".join("%12.1f" % m for m in med) + ratio, flush=True)
            result[name + ", " + figure] = med
    with open("%s/%s.json" % (BUILD, out), "w") as f:
        json.dump({"sides": [s for s, _ in sides], "rows": result}, f, indent=1)
