#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's generic kernel on the software CPU sleeps to memory, woken by the monitor
and by its clock's alarm, and to disk, its memory found again in a new machine; the
disk, the card and two processors work afterwards as before."""
import os
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path[:0] = ["tests", "tests/slow"]
from libguest import IMG, Guest, Kernel, check, finish

MODULES = """virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev
virtio_pci virtio_blk crc16 crc32c_generic libcrc32c mbcache jbd2 ext4
scsi_common scsi_mod sd_mod libata ata_piix e1000 rtc-cmos""".split()
LOOK = "md5sum </mnt/a | cut -c 1-32; grep -c ^processor /proc/cpuinfo"


def disk(kernel, name, size):
    path = os.path.join(kernel.tmp, name)
    subprocess.run([IMG, "create", "-q", "-f", "qcow2", path, size], check=True)
    return path


def started(kernel, name, images):
    """A guest with a shell, its drivers loaded."""
    args = ["-device", "e1000,netdev=n", "-netdev", "user,id=n"]
    for i, kind in enumerate(("ide-hd", "virtio-blk-pci")):
        args += ["-blockdev", "qcow2,node-name=d%d,file.driver=file,"
                 "file.filename=%s" % (i, images[i]),
                 "-device", "%s,drive=d%d" % (kind, i)]
    g = Guest(kernel, name, args, 2, append="no_console_suspend")
    check("%s: starts" % name, g.up(" ".join(MODULES)), g.text + g.errors())
    return g


def frames(g):
    """Whether a frame goes out and its answer comes back."""
    return g.sh("ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0 "
                "2>/dev/null; ping -c 1 -W 9 10.0.2.2 || "
                "ping -c 1 -W 9 10.0.2.2")


def same(g, name, before):
    status, got = g.sh(LOOK)
    check("%s: memory, disk and processors as before" % name,
          status == 0 and got == before, got)
    status, got = g.sh("echo 3 >/proc/sys/vm/drop_caches; " + LOOK)
    check("%s: the disk is read again" % name, status == 0 and got == before,
          got)
    status, got = g.sh("dd if=/dev/urandom of=/mnt/b bs=64k count=20 "
                       "conv=fsync 2>&1")
    check("%s: and written" % name, status == 0, got)
    status, got = frames(g)
    check("%s: the card works" % name, status == 0, got)
    _, got = g.sh("dmesg | grep -E 'Call Trace|WARNING:|BUG:|Oops|lockup'")
    check("%s: nothing bad in the kernel's log" % name, not got, got)


def to_memory(g, before):
    support = g.qcmd("query-current-machine", {})
    check("the machine says that it can wake up",
          support["wakeup-suspend-support"] is True, support)
    refused = g.cmd("system_wakeup")
    check("a machine that is awake is not woken", "error" in refused, refused)
    for name, alarm in (("woken", False), ("alarm", True)):
        wait = "echo +8 >/sys/class/rtc/rtc0/wakealarm; " if alarm else ""
        g.line.sendall((wait + "echo mem >/sys/power/state\n").encode())
        check("%s: SUSPEND" % name, g.await_event("SUSPEND", 60),
              g.text + g.errors())
        if not alarm:
            check("%s: status" % name,
                  g.qcmd("query-status", {})["status"] == "suspended")
            g.cmd("system_wakeup")
        check("%s: WAKEUP" % name, g.await_event("WAKEUP", 60))
        check("%s: the shell goes on" % name,
              g.await_text(r"@@0@@\n", 60), g.text + g.errors())
        same(g, name, before)


def to_disk(kernel, g, images, before):
    status, got = g.sh("mkswap /dev/vda && swapon /dev/vda && "
                       "cat /sys/power/state /sys/block/vda/dev")
    check("there is room to sleep on", status == 0 and "disk" in got, got)
    dev = got.split()[-1]
    g.sh("echo platform >/sys/power/disk; echo left >/tmp/left")
    g.line.sendall(b"echo disk >/sys/power/state\n")
    check("disk: SUSPEND_DISK", g.await_event("SUSPEND_DISK", 120),
          g.text + g.errors())
    check("disk: the machine ends", g.proc.wait(600) == 0, g.errors())
    g.end()
    g = started(kernel, "again", images)
    g.line.sendall(("echo %s >/sys/power/resume\n" % dev).encode())
    check("disk: the shell that slept goes on", g.await_text(r"@@0@@\n", 120),
          g.text + g.errors())
    status, got = g.sh("cat /tmp/left")
    check("disk: it is the memory that slept", got == "left\n", got)
    same(g, "disk", before)
    return g


def main():
    kernel = Kernel(MODULES, ["mke2fs"])
    try:
        images = [disk(kernel, "a.qcow2", "200M"), disk(kernel, "b.qcow2", "1G")]
        g = started(kernel, "first", images)
        g.sh("/host/mke2fs -q -t ext4 /dev/sda; mkdir -p /mnt; "
             "mount -t ext4 /dev/sda /mnt; "
             "dd if=/dev/urandom of=/mnt/a bs=64k count=100 conv=fsync")
        status, before = g.sh(LOOK)
        check("a file is made", status == 0 and len(before.split()) == 2, before)
        to_memory(g, before)
        g = to_disk(kernel, g, images, before)
        check("ends", g.end() == 0, g.errors())
        for path in images:
            r = subprocess.run([IMG, "check", "-q", path])
            check("%s is clean" % os.path.basename(path), r.returncode == 0)
    finally:
        kernel.end()
    finish()


main()
