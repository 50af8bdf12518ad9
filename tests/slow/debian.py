#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A Debian system, made by debootstrap, on a qcow2 image, through SeaBIOS and
GRUB on the software CPU: with virtio, and with IDE and e1000. It is lived
with: log in on the serial line and by ssh, install a package, plug and unplug a
disk and a card, change the CD, stop and go on, reboot, grow the disk, power
down, and return to an internal snapshot.

DEBIAN_ROUNDS: which of "virtio ide". DEBIAN_LIMIT: seconds for one boot."""
import os
import re
import shutil
import socket
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, "tests")
from libtap import end, result
from libtern import BUILD, Folder, Machine, skip_all, TERN_IMG

LIMIT = int(os.environ.get("DEBIAN_LIMIT", "900"))
# A line editor may put escape sequences before them.
PROMPT = r"anna@debian:.*\$ "
ROOT = r"root@debian:.*# "


def check(name, ok, why=""):
    return result(ok, name, *([why] if why else []))


def img(*args):
    r = subprocess.run([TERN_IMG, *args], capture_output=True, text=True)
    return r.returncode, r.stdout + r.stderr


class System:
    """The machine with the shell of root on its serial line."""

    def __init__(self, arguments):
        self.m = Machine("-accel", "soft", "-m", "512", "-smp", "2",
                         "-nodefaults", "-display", "none", *arguments,
                         serial=True)
        self.line = self.m.line

    def login(self, name):
        ok = (self.line.expect("debian login: ", LIMIT) and
              not self.line.send("anna\n") and
              self.line.expect("Password: ", LIMIT) and
              not self.line.send("secret\n") and
              self.line.expect(PROMPT, LIMIT))
        check(name + ": logs in as anna", ok, self.line.tail())
        if not ok:
            return False
        self.line.send("su -\n")
        self.line.expect("Password: ", LIMIT)
        self.line.send("secret\n")
        ok = self.line.expect(ROOT, LIMIT)
        # What is read from here on is what commands print, and prompts; not
        # what the kernel has to say.
        for plain in ("exec bash --noediting\n", "dmesg -n 1\n",
                      "stty -echo\n"):
            self.line.send(plain)
            ok = ok and self.line.expect(ROOT, LIMIT)
        return check(name + ": becomes root", ok, self.line.tail())

    def run(self, command, seconds=LIMIT):
        """What the command prints, and its status as a last word."""
        self.line.send(command + "; echo end=$?.\n")
        begin = self.line.at
        m = self.line.expect(r"end=(\d+)\.\n", seconds)
        if not m:
            return "no answer:\n" + self.line.tail()
        text = self.line.text[begin:m.start()]
        self.line.expect(ROOT, seconds)
        return text + m.group(1)

    def until(self, command, want, tries=60):
        """Repeats a command of the guest till its output has the words."""
        for _ in range(tries):
            got = self.run(command)
            if want in got:
                return True
            time.sleep(1)
        print("# %s\n# %s" % (command, got.replace("\n", "\n# ")))
        return False


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def ssh(port, command):
    r = subprocess.run(
        ["ssh", "-i", BUILD + "/debian/key", "-p", str(port), "-o",
         "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o",
         "LogLevel=ERROR", "-o", "ConnectTimeout=%d" % LIMIT, "-o",
         "IdentitiesOnly=yes", "root@127.0.0.1", command],
        capture_output=True, text=True, timeout=LIMIT, stdin=subprocess.DEVNULL)
    return r.stdout.strip() or r.stderr


def packages(s, name, port):
    got = ssh(port, "cat /etc/hostname; systemctl is-active count")
    check(name + ": ssh through a forwarded port", got == "debian\nactive", got)
    got = s.run("apt-get install -qq -y /srv/packages/hello-tern.deb "
                ">/tmp/apt 2>&1 </dev/null; hello-tern")
    check(name + ": a package is installed", got == "hello from a package\n0",
          got)


def hot_plug(s, name, folder, card):
    disk = os.path.join(folder, "more.qcow2")
    img("create", "-q", "-f", "qcow2", disk, "64M")
    s.m.cmd("blockdev-add", driver="qcow2", node_name="more",
            file={"driver": "file", "filename": disk})
    s.m.cmd("device_add", driver="virtio-blk-pci", id="moredisk", drive="more",
            serial="plugged")
    s.m.cmd("netdev_add", type="user", id="morenet")
    s.m.cmd("device_add", driver=card, id="morecard", netdev="morenet")
    check(name + ": a disk appears",
          s.until("lsblk -dno SERIAL,SIZE", "plugged"))
    check(name + ": a card appears", s.until("ls /sys/class/net", "eth1"))
    got = s.run("d=$(readlink -f /dev/disk/by-id/virtio-plugged); "
                "mke2fs -q -F $d && mount $d /mnt && cp /bin/bash /mnt/ && "
                "sync && cmp /bin/bash /mnt/bash && umount /mnt && echo same")
    check(name + ": it keeps data", got == "same\n0", got)
    for dev, node in (("moredisk", "more"), ("morecard", None)):
        s.m.cmd("device_del", id=dev)
        check(name + ": %s is let go" % dev,
              s.m.event("DEVICE_DELETED", LIMIT, device=dev))
        if node:
            s.m.cmd("blockdev-del", node_name=node)
    s.m.cmd("netdev_del", id="morenet")
    code, text = img("check", disk)
    check(name + ": the image is whole", code == 0, text)


def disc(s, name, discs):
    sums = [subprocess.run(["md5sum", d], capture_output=True,
                           text=True).stdout.split()[0] for d in discs]
    got = s.run("md5sum </dev/sr0")
    check(name + ": reads the CD", sums[0] in got, got)
    s.run("eject /dev/sr0")
    check(name + ": ejects the CD",
          s.m.event("DEVICE_TRAY_MOVED", 60, **{"tray-open": True}))
    s.m.cmd("blockdev-change-medium", id="cd", filename=discs[1], format="raw")
    check(name + ": reads the next CD", s.until("md5sum </dev/sr0", sums[1]))


def stop_and_go(s, name):
    s.line.send("(while sleep 0.2; do echo tick; done) & ticker=$!\n")
    ticking = s.line.expect("^tick$", LIMIT)
    s.m.cmd("stop")
    time.sleep(1)
    before = len(s.line.text)
    time.sleep(3)
    check(name + ": a stopped guest is silent",
          ticking and len(s.line.text) == before)
    s.m.cmd("cont")
    s.line.at = before
    check(name + ": it goes on", s.line.expect("^tick$", LIMIT))
    s.run("kill $ticker; wait $ticker 2>/dev/null")


def starts(s, name, want):
    got = s.run("systemctl is-active count; cat /var/lib/starts")
    check("%s: the service ran at start %d" % (name, want),
          got == "active\n%d\n0" % want, got)


def reboot(s, name):
    s.m.qmp.events.clear()
    s.line.send("reboot\n")
    check(name + ": reboots", s.m.event("RESET", LIMIT, guest=True))
    return s.login(name + ", again")


def power_down(s, name):
    s.m.cmd("system_powerdown")
    seen = s.m.event("SHUTDOWN", LIMIT, guest=True)
    check(name + ": powers down when asked to", seen and s.m.wait() == 0,
          s.line.tail())


def grow(s, name, device, in_use):
    """To 3 GiB, while the guest runs if its driver hears of it."""
    s.m.cmd("block_resize", device="root", size=3 << 30)
    if in_use:
        check(name + ": sees the bigger disk",
              s.until("cat /sys/block/%s/size" % device, str(3 << 21)))


def spread(s, name, device):
    got = s.run("echo ', +' | sfdisk -q --no-reread -f -N 1 /dev/%s && "
                "partx -u /dev/%s && resize2fs /dev/%s1 >/dev/null 2>&1; "
                "df -m --output=size / | tail -n 1" % ((device,) * 3))
    size = [int(w) for w in got.split() if w.isdigit()]
    check(name + ": the file system grows", len(size) == 2 and
          size[0] > 2700, got)


ROUNDS = {
    "virtio": ("vda", "virtio-net-pci", [
        "-device", "virtio-blk-pci,drive=root"]),
    "ide": ("sda", "e1000", ["-device", "ide-hd,drive=root,bus=ide.0,unit=0"]),
}


def live(name, folder, base):
    device, card, disk = ROUNDS[name]
    image = os.path.join(folder, name + ".qcow2")
    shutil.copyfile(base, image)
    discs = []
    for k in (1, 2):
        discs.append(os.path.join(folder, "disc%d" % k))
        with open(discs[-1], "wb") as f:
            f.write(os.urandom(2 << 20))
    port = free_port()
    arguments = [
        "-drive", "if=none,id=root,format=qcow2,discard=unmap,file=" + image,
        *disk, "-netdev", "user,id=net,hostfwd=tcp:127.0.0.1:%d-:22" % port,
        "-device", card + ",netdev=net"]
    cd = ["-drive", "if=none,id=disc,media=cdrom,format=raw,file=" + discs[0],
          "-device", "ide-cd,id=cd,drive=disc,bus=ide.1,unit=0"]
    s = System(arguments + cd)
    try:
        if not s.login(name):
            return
        starts(s, name, 1)
        packages(s, name, port)
        hot_plug(s, name, folder, card)
        disc(s, name, discs)
        stop_and_go(s, name)
        grow(s, name, device, name == "virtio")
        if name == "virtio":
            spread(s, name, device)
        if not reboot(s, name):
            return
        starts(s, name, 2)
        if name == "ide":
            check(name + ": sees the bigger disk after a reboot",
                  s.until("cat /sys/block/sda/size", str(3 << 21)))
            spread(s, name, device)
        got = s.run("hello-tern; dmesg | grep -E 'Call Trace|WARNING:|BUG:|I/O error'")
        check(name + ": all is there and nothing complains",
              got == "hello from a package\n1", got)
        power_down(s, name)
    finally:
        s.m.kill()
    revert(name, image, arguments)


def revert(name, image, arguments):
    """A snapshot while off, a change, and back."""
    code, text = img("snapshot", "-c", "before", image)
    check(name + ": takes a snapshot", code == 0, text)
    s = System(arguments)
    try:
        if not s.login(name + ", after it"):
            return
        starts(s, name, 3)
        s.run("echo changed >/srv/changed; sync")
        power_down(s, name)
    finally:
        s.m.kill()
    code, text = img("snapshot", "-a", "before", image)
    check(name + ": reverts to it", code == 0, text)
    s = System(arguments)
    try:
        if not s.login(name + ", reverted"):
            return
        starts(s, name, 3)
        got = s.run("ls /srv/changed 2>/dev/null")
        check(name + ": the change is undone", re.fullmatch("[12]", got), got)
        power_down(s, name)
    finally:
        s.m.kill()
    code, text = img("check", image)
    check(name + ": the image is whole", code == 0, text)


def main():
    for tool in ("debootstrap", "mke2fs", "ssh", "ssh-keygen"):
        if not shutil.which(tool, path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
            skip_all("no " + tool)
    if os.geteuid():
        skip_all("debootstrap needs root")
    r = subprocess.run(["sh", "tests/debian-disk", BUILD + "/debian"],
                       capture_output=True, text=True)
    if not check("the system is made", r.returncode == 0, r.stdout + r.stderr):
        return end()
    with Folder("debian") as folder:
        for name in os.environ.get("DEBIAN_ROUNDS", "virtio ide").split():
            live(name, folder, BUILD + "/debian/disk.qcow2")
    return end()


sys.exit(main())
