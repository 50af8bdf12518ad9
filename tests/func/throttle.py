#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How long throttled requests take: limits, bursts and their lengths, sizes of
operations, groups; by the throttle filter and by -drive's throttling, which must
do the same. The installed peer runs beside, and must take as long."""

import os
import shutil
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE]
import libqmp                                                    # noqa: E402
from libqmp import BUILD, OURS, PEER, result                     # noqa: E402

# name, limits, requests, seconds
CASES = [
    ("bps-total", "bps-total=1048576", ["write %dk 64k" % (64 * i)
                                        for i in range(28)], 1.6),
    ("bps-write does not hold reads", "bps-write=262144",
     ["read %dk 64k" % (64 * i) for i in range(64)], 0),
    ("bps-read", "bps-read=1048576", ["read %dk 64k" % (64 * i)
                                      for i in range(24)] + ["write 0 4M"],
     1.35),
    ("a burst", "bps-total=524288,bps-total-max=2097152",
     ["write %dk 64k" % (64 * i) for i in range(48)], 1.5),
    ("a burst of two seconds", "bps-total=524288,bps-total-max=1048576,"
     "bps-total-max-length=2", ["write %dk 64k" % (64 * i)
                                for i in range(32)], 1.8),
    ("iops-total", "iops-total=20", ["read 0 512"] * 30, 1.35),
    ("iops with a burst", "iops-total=10,iops-total-max=40",
     ["read 0 512"] * 50, 0.9),
    ("iops of a burst's length", "iops-total=10,iops-total-max=20,"
     "iops-total-max-length=2", ["read 0 512"] * 35, 1.6),
    ("iops-write", "iops-write=20", ["write 0 512"] * 25 + ["read 0 512"] * 60,
     1.1),
    ("iops-size", "iops-total=40,iops-size=4096", ["write 0 16k"] * 15, 1.25),
    ("both", "bps-total=1048576,iops-total=10", ["write 0 64k"] * 14, 1.2),
]


def by_filter(prog, limits):
    text = ",".join("x-" + x for x in limits.split(","))
    return [prog, "--object", "throttle-group,id=g," + text, "--image-opts",
            "driver=throttle,throttle-group=g,file.driver=null-co,"
            "file.size=64M"], "%s\n"


def by_drive(prog, limits):
    text = ",".join("throttling." + x for x in limits.split(",") if x)
    return [prog, "-machine", "none", "-display", "none", "-monitor", "stdio",
            "-drive", "if=none,id=d,driver=null-co,size=64M" +
            ("," + text if text else "")], 'qemu-io d "%s"\n'


def took(way, prog, limits, lines, out):
    argv, form = way(prog, limits)
    began = time.monotonic()
    p = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL, text=True)
    p.communicate("".join(form % x for x in lines) + "quit\n",
                  timeout=libqmp.PATIENCE)
    out[way.__name__, prog] = time.monotonic() - began


def at_once(rows):
    """{(way, program): seconds}, all running beside one another."""
    out = {}
    threads = [threading.Thread(target=took, args=r + (out,)) for r in rows]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return out


def ways():
    out = [(by_filter, BUILD + "/tern-io"), (by_drive, OURS)]
    if libqmp.peer_there() and shutil.which("qemu-io"):
        out += [(by_filter, shutil.which("qemu-io")), (by_drive, PEER)]
    return out


def good(times, start, want):
    return all(want * 0.9 - 0.1 < t - start[k] < want * 1.3 + 0.8
               for k, t in times.items())


def groups(start):
    """Two drives of one group share what one of its own has for itself."""
    lines = ['qemu-io %s "write 0 64k"\n' % d for d in "ab" * 10] + ["quit\n"]
    seen = []
    for name in ("shared", "own"):
        for _ in range(3):
            argv = [OURS, "-machine", "none", "-display", "none", "-monitor",
                    "stdio"]
            for d in "ab":
                argv += ["-drive", "if=none,id=%s,driver=null-co,size=64M,"
                         "throttling.bps-total=1048576,throttling.group=%s" % (
                             d, "g" if name == "shared" else d)]
            began = time.monotonic()
            subprocess.run(argv, input="".join(lines), text=True, check=True,
                           stdout=subprocess.DEVNULL, timeout=libqmp.PATIENCE)
            seen.append(time.monotonic() - began - start)
            want = 1.0 if name == "shared" else 0.35
            ok = want * 0.9 - 0.1 < seen[-1] < want * 1.3 + 0.6
            if ok:
                break
        result(ok, "two drives, %s group" % name, seen)


def main():
    all_ways = ways()
    nothing = [(w, p, "bps-total=0" if w is by_filter else "", [])
               for w, p in all_ways]
    for name, limits, lines, want in CASES:
        for _ in range(4):             # a loaded host may be late
            start = at_once(nothing)
            times = at_once([(w, p, limits, lines) for w, p in all_ways])
            if good(times, start, want):
                break
        result(good(times, start, want), name, want, *sorted(
            "%s %s: %.2f (start %.2f)" % (k + (t - start[k], start[k]))
            for k, t in times.items()))
    groups(start["by_drive", OURS])
    return libqmp.end()


sys.exit(main())
