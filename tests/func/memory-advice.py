#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel is told of the guest's memory: that it may be merged with equal
pages (mem-merge), and whether it belongs into the program's core dumps
(dump-guest-core). /proc/PID/smaps shows the flags."""
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, "tests")
from libtap import end, result
from libtern import Machine

SIZE = 48 << 10                 # KiB


def flags(*options):
    """The flags of the guest's memory in a machine with these options."""
    with Machine("-accel", "qtest", "-nodefaults", "-display", "none", "-S",
                 "-m", "%dK" % SIZE, *options) as m:
        with open("/proc/%d/smaps" % m.p.pid, encoding="utf-8") as f:
            text = f.read()
        m.quit()
    for part in re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", text, flags=re.M):
        size = re.search(r"^Size: +(\d+) kB", part, re.M)
        if size and int(size.group(1)) == SIZE:
            return re.search("^VmFlags: (.*)", part, re.M).group(1).split()
    return None


def main():
    usual = flags("-machine", "pc")
    if not result(usual is not None, "the guest's memory is found"):
        return end()
    result("mg" in usual, "it may be merged", usual)
    result("dd" not in usual, "it is in core dumps", usual)
    got = flags("-machine", "pc,mem-merge=off,dump-guest-core=off")
    result("mg" not in got, "mem-merge=off", got)
    result("dd" in got, "dump-guest-core=off", got)
    got = flags("-machine", "pc,memory-backend=m", "-object",
                "memory-backend-ram,id=m,size=%dK,merge=off,dump=off" % SIZE)
    result("mg" not in got, "a backend's merge=off", got)
    result("dd" in got, "a backend's dump=off", got)
    return end()


sys.exit(main())
