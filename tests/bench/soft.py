#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The software CPU of build/tern and of the peer, in turns: a Linux kernel to
init, loops of a guest in millions of instructions a second, SeaBIOS to its
prompt; one vCPU. Arguments choose rows by a part of their name. What each
figure means: docs/performance.md."""

import os
import subprocess
import sys
import time

from libsides import BUILD, ROUNDS, chosen, cpu_ns, measure

LIMIT = 300
PC = ["-accel", "tcg", "-machine", "pc", "-nodefaults", "-display", "none"]
LINUX = BUILD + "/demo"
SPEED = PC + [
    "-m", "128", "-serial", "stdio",
    "-kernel", BUILD + "/tests/guests/speed.elf"]
INIT = PC + [
    "-m", "256", "-serial", "stdio", "-no-reboot",
    "-kernel", LINUX + "/vmlinuz", "-initrd", LINUX + "/initrd.gz",
    "-append", "console=ttyS0 panic=-1 quiet"]
BIOS = PC + [
    "-m", "128", "-bios", "bios-256k.bin", "-boot", "menu=on",
    "-chardev", "stdio,id=log",
    "-device", "isa-debugcon,iobase=0x402,chardev=log"]


def lines(prog, args):
    """Starts it; yields process, line, and ends the process afterwards."""
    proc = subprocess.Popen(["timeout", str(LIMIT), prog] + args,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL)
    with open("/proc/%d/task/%d/children" % (proc.pid, proc.pid)) as f:
        child = f.read().split()
    while not child:
        with open("/proc/%d/task/%d/children" % (proc.pid, proc.pid)) as f:
            child = f.read().split()
    try:
        for line in proc.stdout:
            yield int(child[0]), line.decode("latin-1").strip()
    finally:
        proc.terminate()
        proc.stdout.close()
        proc.wait()


def until(word):
    """Times from the start to a line with this word."""
    def run(prog, args):
        began = time.monotonic()
        for pid, line in lines(prog, args):
            if word in line:
                return {"wall ms": (time.monotonic() - began) * 1e3,
                        "CPU ms": cpu_ns(pid) / 1e6}
        sys.exit("bench: no '%s' from: %s %s" % (word, prog, " ".join(args)))
    return run


def loops(prog, args):
    got = {}
    for pid, line in lines(prog, args):
        word = line.split()
        if word[0] == "begin":
            used, began = cpu_ns(pid), time.monotonic()
            count = int(word[2])
        elif word[0] == "end":
            took = time.monotonic() - began
            unit = "MB" if word[1] == "strings" else "M"
            got[word[1] + ", %s/s" % unit] = count / took / 1e6
            got[word[1] + ", CPU ms"] = (cpu_ns(pid) - used) / 1e6
            if word[1] == "syscalls":
                return got
    sys.exit("bench: no end of: %s %s" % (prog, " ".join(args)))


ROWS = [
    ("linux to init", until("of memory."), INIT),
    ("seabios", until("Press ESC for boot menu"), BIOS),
    ("loops", loops, SPEED),
]
if chosen(ROWS):
    try:
        subprocess.run(["sh", "scripts/linux-guest", LINUX], check=True,
                       stdout=subprocess.DEVNULL)
    except subprocess.CalledProcessError:
        print("no Linux guest: that row is left out")
        ROWS = ROWS[1:]
    rounds = max(ROUNDS // 3, 1)
    measure(ROWS, lambda name: rounds,
            "%d rounds, medians, the software CPU" % rounds, "bench-soft")
