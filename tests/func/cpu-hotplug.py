#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""vCPUs come and go under Debian's unmodified cloud kernel on the software CPU:
the guest hears of them by ACPI, puts them to use, gives them back."""

import os
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, "tests")
import libtap                                                    # noqa: E402
from libtap import check                                         # noqa: E402
from libtern import BUILD, Machine                               # noqa: E402

PATIENCE = 60 * int(os.environ.get("TERN_TEST_PATIENCE", "1"))


def sh(g, command):
    """Runs it in the guest's shell; the last word it says."""
    g.line.send("%s; echo en''d\r" % command)
    m = g.line.expect(r"(\S*)\s*^end$", PATIENCE)
    return m and m.group(1)


def cmd(g, verb, **args):
    return g.qmp.raw({"execute": verb, "arguments": args})


def told(g, name):
    m = g.event(name, PATIENCE)
    return m and m["data"]


def add(g, core):
    return cmd(g, "device_add", driver="qemu64-x86_64-cpu", id="c%d" % core,
               **{"socket-id": 0, "core-id": core, "thread-id": 0})


ONLINE = ("for i in 1 2 3 4 5 6 7 8 9 10; do [ -e %(f)s ] && break; sleep 1; "
          "done; echo 1 >%(f)s; nproc")


def online(g, n):
    return sh(g, ONLINE % {"f": "/sys/devices/system/cpu/cpu%d/online" % n})


def come_and_go(demo):
    g = Machine("-display", "none", "-accel", "soft", "-m", "256", "-smp",
                "1,maxcpus=3", "-nodefaults", "-kernel", demo + "/vmlinuz",
                "-initrd", demo + "/initrd.gz", "-append",
                "console=ttyS0 panic=-1 quiet", serial=True, timeout=PATIENCE)
    try:
        check("the kernel boots", g.line.expect("# ", 3 * PATIENCE),
              g.line.tail())
        sh(g, "mount -t sysfs sysfs /sys 2>/dev/null; stty -echo")
        got = sh(g, "nproc")
        check("one vCPU at first", got == "1", got)
        check("device_add", add(g, 1) == {"return": {}})
        got = online(g, 1)
        check("the guest uses it", got == "2", got)
        ost = told(g, "ACPI_DEVICE_OST")
        check("and says so", ost and ost["info"]["device"] == "c1" and
              ost["info"]["slot"] == "1", ost)
        add(g, 2)
        got = online(g, 2)
        check("and one more", got == "3", got)
        check("the boot processor stays", "error" in cmd(
            g, "device_del",
            id=g.cmd("query-cpus-fast")[0]["qom-path"]))
        check("device_del", cmd(g, "device_del", id="c1") == {"return": {}})
        gone = told(g, "DEVICE_DELETED")
        check("the guest lets it go", gone and gone.get("device") == "c1", gone)
        got = sh(g, "nproc")
        check("two are left", got == "2", got)
        got = [c["cpu-index"] for c in g.cmd("query-cpus-fast")]
        check("the first and the third", got == [0, 2], got)
        add(g, 1)
        got = online(g, 1)
        check("it comes again", got == "3", got)
        g.line.expect("# ", PATIENCE)
        cmd(g, "system_reset")
        check("the kernel boots anew", g.line.expect("# ", 3 * PATIENCE),
              g.line.tail())
        got = sh(g, "nproc")
        check("with all of them", got == "3", got)
    finally:
        check("a clean end", g.quit() == 0, g.errors())


def main():
    demo = BUILD + "/demo"
    made = subprocess.run(["sh", "scripts/linux-guest", demo, "cloud"],
                          capture_output=True, text=True, check=False)
    if made.returncode:
        print("1..0 # SKIP no kernel: " + made.stdout[-200:])
        return 0
    come_and_go(demo)
    return libtap.end()


if __name__ == "__main__":
    sys.exit(main())
