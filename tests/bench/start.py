#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Start-up, footprint and monitor figures of build/tern, interleaved with the
peer's where it is installed (qemu-system-x86_64, or $PEER). Same options on
both sides. CPU is user + system time of the whole process; medians of $ROUNDS
rounds (15). Arguments choose rows by a part of their name. What each figure
means: docs/performance.md."""

import os
import subprocess
import sys
import threading
import time

from libsides import BUILD, ROUNDS, cpu_ns, measure

QUERIES = int(os.environ.get("QUERIES", "20000"))
KVM = os.access("/dev/kvm", os.R_OK | os.W_OK)
ACCEL = ["-accel", "kvm" if KVM else "tcg"]
QUIET = ["-nodefaults", "-display", "none", "-m", "128"]
PC = ACCEL + QUIET + ["-machine", "pc", "-S", "-qmp", "stdio"]
NONE = QUIET + ["-machine", "none", "-S", "-qmp", "stdio"]
FIRST = ACCEL + QUIET + [
    "-machine", "pc", "-bios", BUILD + "/tests/guests/first-insn.bin",
    "-device", "isa-debug-exit,iobase=0xf4,iosize=4"]


def finish(proc, began, wanted=0):
    """Waits; gives CPU ms and wall ms."""
    _, status, use = os.wait4(proc.pid, 0)
    proc.returncode = os.waitstatus_to_exitcode(status)
    if proc.returncode != wanted:
        sys.exit("bench: status %d of: %s" %
                 (proc.returncode, " ".join(proc.args)))
    return {"CPU ms": (use.ru_utime + use.ru_stime) * 1e3,
            "wall ms": (time.monotonic() - began) * 1e3}


def start(prog, args, pipes):
    end = subprocess.PIPE if pipes else subprocess.DEVNULL
    return subprocess.Popen([prog] + args, stdin=end, stdout=end,
                            stderr=subprocess.DEVNULL)


def run(prog, args):
    began = time.monotonic()
    return finish(start(prog, args, False), began)


def first_instruction(prog, args):
    """The guest's byte 0 at the port ends the program with status 1."""
    began = time.monotonic()
    return finish(start(prog, args, False), began, 1)


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
        return cpu_ns(self.proc.pid)


def start_and_quit(prog, args):
    q = Qmp(prog, args)
    ready = {"CPU ms to QMP": q.cpu_ns() / 1e6,
             "wall ms to QMP": (time.monotonic() - q.began) * 1e3}
    ready.update(q.quit())
    return ready


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


def per_query(q, queries):
    before = q.cpu_ns()
    began = time.monotonic()
    queries()
    took = time.monotonic() - began
    used = q.cpu_ns() - before
    q.quit()
    return {"CPU us": used / QUERIES / 1e3, "wall us": took / QUERIES * 1e6}


def query_status(prog, args):
    """One at a time: the next when the reply is there."""
    q = Qmp(prog, args)

    def queries():
        for _ in range(QUERIES):
            q.call("query-status")
    return per_query(q, queries)


def query_pipelined(prog, args):
    """All are sent at once while replies are read."""
    q = Qmp(prog, args)

    def send():
        q.proc.stdin.write(b'{"execute":"query-status"}\n' * QUERIES)
        q.proc.stdin.flush()

    def queries():
        sender = threading.Thread(target=send)
        sender.start()
        for _ in range(QUERIES):
            while b'"return"' not in q.line():
                pass
        sender.join()
    return per_query(q, queries)


ROWS = [
    ("--version", run, ["--version"]),
    ("machine none", start_and_quit, NONE),
    ("machine pc", start_and_quit, PC),
    ("first instruction", first_instruction, FIRST),
    ("footprint of pc", footprint, PC),
    ("query-status", query_status, PC),
    ("query-status, piped", query_pipelined, PC),
]


measure(ROWS, lambda name: ROUNDS if "query" not in name else
        (ROUNDS + 4) // 5,
        "%d rounds, medians, %s" % (ROUNDS, ACCEL[1]), "bench-start")
