#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How many of each a machine may have by the guides: 160 processors, 216 virtio
devices behind bridges, 100 SCSI controllers with 700 disks; and the firmware's
screen on the serial line of a machine without one of its own."""
import os
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, "tests")
from libtap import end, result                                   # noqa: E402
from libtern import Gone, Machine, TERN                          # noqa: E402

PATIENCE = 60 * int(os.environ.get("TERN_TEST_PATIENCE", "1"))
BRIDGES = [w for n in range(1, 9) for w in (
    "-device", "pci-bridge,id=b%d,chassis_nr=%d,addr=%#x" % (n, n, n + 1))]


def behind(k):
    return "bus=b%d,addr=%#x" % (k // 31 + 1, k % 31 + 1)


def counted(name, want, arguments, count):
    try:
        m = Machine("-accel", "qtest", "-m", "64", "-nodefaults", "-display",
                    "none", "-S", *arguments, timeout=PATIENCE)
        got = count(m)
        m.cmd("quit")
        status = m.wait(PATIENCE)
        result(got == want and status == 0, name, got, status, m.errors())
    except Gone as e:
        result(False, name, e)


def plugged(m):
    return sum(c["type"] == "child<virtio-rng-pci>"
               for c in m.cmd("qom-list", path="/machine/peripheral-anon"))


def serial_screen():
    p = subprocess.Popen([TERN, "-accel", "tcg", "-m", "64", "-net", "none",
                          "-nographic"], stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                         text=True, errors="replace")
    seen = ""
    for line in p.stdout:
        seen += line
        if "No bootable device" in line:
            break
    p.kill()
    p.wait()
    result("SeaBIOS (version" in seen and "Booting from" in seen,
           "the firmware's screen is on the serial line", seen)


def main():
    counted("160 processors", 160, ["-smp", "160"],
            lambda m: len(m.cmd("query-cpus-fast")))
    counted("216 virtio devices", 216, BRIDGES + [
        w for k in range(216) for w in (
            "-device", "virtio-rng-pci," + behind(k))], plugged)
    disks = [w for k in range(100) for w in (
        "-device", "virtio-scsi-pci,id=s%d,%s" % (k, behind(k)))]
    disks += [w for k in range(100) for t in range(7) for w in (
        "-drive", "if=none,id=d%d_%d,driver=null-co,size=1M" % (k, t),
        "-device", "scsi-hd,bus=s%d.0,scsi-id=%d,drive=d%d_%d" % (k, t, k, t))]
    counted("700 SCSI disks on 100 controllers", 700, BRIDGES + disks,
            lambda m: len(m.cmd("query-block")))
    serial_screen()
    return end()


sys.exit(main())
