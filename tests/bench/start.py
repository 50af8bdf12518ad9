#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Start-up, footprint and monitor figures of build/tern, interleaved with the
peer's where it is installed (qemu-system-x86_64, or $PEER). Same options on
both sides. CPU is user + system time of the whole process; medians of $ROUNDS
rounds (15). Arguments choose rows by a part of their name."""

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
KVM = os.access("/dev/kvm", os.R_OK | os.W_OK)
ACCEL = ["-accel", "kvm" if KVM else "tcg"]
QUIET = ["-nodefaults", "-display", "none", "-m", "128"]
PC = ACCEL + QUIET + ["-machine", "pc", "-S", "-qmp", "stdio"]
NONE = QUIET + ["-machine", "none", "-S", "-qmp", "stdio"]
FIRST = ACCEL + QUIET + [
    "-machine", "pc", "-bios", BUILD + "/tests/guests/first-insn.bin",
    "-device", "isa-debug-exit,iobase=0xf4,iosize=4"]


def finish(proc, began):
    """Waits; gives CPU ms and wall ms."""
    _, _, use = os.wait4(proc.pid, 0)
    proc.returncode = 0
    return {"CPU ms": (use.ru_utime + use.ru_stime) * 1e3,
            "wall ms": (time.monotonic() - began) * 1e3}


def start(prog, args, pipes):
    end = subprocess.PIPE if pipes else subprocess.DEVNULL
    return subprocess.Popen([prog] + args, stdin=end, stdout=end,
                            stderr=subprocess.DEVNULL)


def run(prog, args):
    began = time.monotonic()
    return finish(start(prog, args, False), began)


class Qmp:
    def __init__(self, prog, args):
        self.began = time.monotonic()
        self.proc = start(prog, args, True)
        self.line()
        self.call("qmp_capabilities")

    def line(self):
        text = self.proc.stdout.readline()
        if not text:
            raise RuntimeError("no reply: " + " ".join(self.proc.args))
        return text

    def call(self, name):
        self.proc.stdin.write(b'{"execute":"%s"}\n' % name.encode())
        self.proc.stdin.flush()
        while b'"return"' not in self.line():
            pass

    def quit(self):
        self.call("quit")
        self.proc.stdout.read()
        return finish(self.proc, self.began)

    def cpu_ns(self):
        total = 0
        base = "/proc/%d/task" % self.proc.pid
        for tid in os.listdir(base):
            with open("%s/%s/schedstat" % (base, tid)) as f:
                total += int(f.read().split()[0])
        return total


def start_and_quit(prog, args):
    return Qmp(prog, args).quit()


def footprint(prog, args):
    q = Qmp(prog, args)
    with open("/proc/%d/smaps_rollup" % q.proc.pid) as f:
        dirty = [int(l.split()[1]) for l in f if l.startswith("Private_Dirty")]
    with open("/proc/%d/maps" % q.proc.pid) as f:
        libs = {l.split()[-1] for l in f if ".so" in l}
    threads = len(os.listdir("/proc/%d/task" % q.proc.pid))
    q.quit()
    return {"private dirty KiB": dirty[0], "shared libraries": len(libs),
            "threads": threads}


def query_status(prog, args):
    q = Qmp(prog, args)
    n = 1000
    q.call("query-status")
    before = q.cpu_ns()
    began = time.monotonic()
    for _ in range(n):
        q.call("query-status")
    took = time.monotonic() - began
    used = q.cpu_ns() - before
    q.quit()
    return {"CPU us": used / n / 1e3, "round trip us": took / n * 1e6}


ROWS = [
    ("--version", run, ["--version"]),
    ("machine none", start_and_quit, NONE),
    ("machine pc", start_and_quit, PC),
    ("first instruction", run, FIRST),
    ("footprint of pc", footprint, PC),
    ("query-status", query_status, PC),
]


def main():
    chosen = [r for r in ROWS
              if not sys.argv[1:] or any(a in r[0] for a in sys.argv[1:])]
    sides = [("tern", TERN)] if os.access(TERN, os.X_OK) else []
    if PEER:
        sides.append(("peer", PEER))
    if not sides:
        sys.exit("bench: %s is not built" % TERN)
    print("%d rounds, medians, %s" % (ROUNDS, ACCEL[1]))
    print("%-20s %-18s" % ("", "") + "".join("%12s" % s for s, _ in sides) +
          ("%10s" % "ratio" if len(sides) == 2 else ""))
    result = {}
    for name, fn, args in chosen:
        got = {s: [] for s, _ in sides}
        for _ in range(ROUNDS):
            for side, prog in sides:
                got[side].append(fn(prog, args))
        for figure in got[sides[0][0]][0]:
            med = [statistics.median(r[figure] for r in got[s])
                   for s, _ in sides]
            ratio = "%10.2f" % (med[0] / med[1]) if len(med) == 2 else ""
            print("%-20s %-18s" % (name, figure) +
                  "".join("%12.1f" % m for m in med) + ratio, flush=True)
            result[name + ", " + figure] = med
    out = BUILD + "/bench-start.json"
    with open(out, "w") as f:
        json.dump({"sides": [s for s, _ in sides], "rows": result}, f, indent=1)


main()
