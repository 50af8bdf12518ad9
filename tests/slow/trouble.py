#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Four machines at once on the software CPU, their guests writing to a qcow2 disk
on a small file system and to one served by tern-nbd, and reading by TFTP, while
they are paused, reset, hot-plugged and killed, the host's disk fills up, servers
die, and clients of QMP, VNC and NBD drop in the middle. Guests' data stays what
was written, images check clean, memory and descriptors stay flat.

TROUBLE_MINUTES: how long (25, and some minutes to end).
TROUBLE_SEED: which troubles (the time; printed)."""
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
sys.path[:0] = ["tests", "tests/slow"]
from libguest import Guest, IMG, Kernel, check, finish, skip_all
from libtern import Gone, Qmp

NBD = os.path.abspath(os.environ.get("TERN_NBD", "build/tern-nbd"))
MINUTES = float(os.environ.get("TROUBLE_MINUTES", "25"))
SEED = int(os.environ.get("TROUBLE_SEED", str(int(time.time()))))
MEMORY = 192                    # MiB of a guest
ROOM = 320                      # MiB of the small file system
DISK = 48                       # MiB of each guest's disks
MODULES = ("virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev "
           "virtio_pci virtio_blk failover net_failover virtio_net")
# What the guest does until it is ended; what is wrong it says in /tmp/bad.
LOAD = (
    "mkdir -p /a /b; mke2fs /dev/vda >/dev/null 2>&1; "
    "mke2fs /dev/vdb >/dev/null 2>&1; { mount -t ext4 /dev/vda /a && "
    "mount -t ext4 /dev/vdb /b; } || echo no mount >>/tmp/bad; ip link set eth0 up; "
    "ip addr add 10.0.2.15/24 dev eth0; "
    "for d in a b; do (while :; do "
    "dd if=/dev/urandom of=/$d/x bs=64k count=96 conv=fsync 2>/dev/null; "
    "cp /$d/x /$d/y; sync; echo 3 >/proc/sys/vm/drop_caches; "
    "cmp /$d/x /$d/y >>/tmp/bad 2>&1; echo >>/tmp/rounds-$d; done) & done; "
    "(while :; do tftp -g -r blob -l /tmp/blob 10.0.2.2 2>/dev/null && "
    "{ md5sum </tmp/blob | grep -q SUM || echo blob >>/tmp/bad; "
    "echo >>/tmp/rounds-net; }; done) & echo")


def img(*args):
    r = subprocess.run([IMG, *args], capture_output=True, text=True)
    return r.returncode, r.stdout + r.stderr


def footprint(pid):
    """KiB that are not the guest's memory, and the number of descriptors."""
    own = 0
    with open("/proc/%d/smaps" % pid, encoding="utf-8") as f:
        for part in re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", f.read(),
                             flags=re.M)[1:]:
            sizes = dict(re.findall(r"^(\w+): +(\d+) kB", part, re.M))
            if int(sizes["Size"]) != MEMORY << 10:
                own += int(sizes["Private_Dirty"])
    return own, len(os.listdir("/proc/%d/fd" % pid))


class Vm:
    def __init__(self, kernel, top, small, number, log):
        self.kernel, self.number, self.log = kernel, number, log
        self.rng = random.Random(SEED + number)
        self.small, self.blob = small, top + "/tftp"
        self.path = "%s/vm%d" % (top, number)
        self.disk = "%s/disk%d.qcow2" % (small, number)
        self.far = self.path + ".qcow2"
        for image in (self.disk, self.far):
            img("create", "-q", "-f", "qcow2", image, "%dM" % DISK)
        self.server = self.g = None
        self.done, self.faults, self.base = {}, [], None
        self.settled = time.time() + MINUTES * 15
        self.extra = self.stops = 0
        self.over = False

    def wrong(self, what):
        self.faults.append("machine %d: %s" % (self.number, what))
        self.log(self.faults[-1])

    # ---- its parts

    def serve(self):
        path = self.path + ".nbd"
        if os.path.exists(path):
            os.unlink(path)
        self.server = subprocess.Popen(
            [NBD, "-k", path, "-f", "qcow2", "-t", "-e", "8", self.far],
            stdin=subprocess.DEVNULL)
        stop = time.time() + 60
        while not os.path.exists(path) and time.time() < stop:
            time.sleep(0.05)

    def start(self):
        self.extra += 1
        if not self.server:
            self.serve()
        self.g = Guest(self.kernel, "vm%d-%d" % (self.number, self.extra), [
            "-drive", "if=none,id=a,format=qcow2,werror=enospc,file=" +
            self.disk, "-device", "virtio-blk-pci,drive=a", "-blockdev",
            "driver=nbd,node-name=b,reconnect-delay=600,server.type=unix,"
            "server.path=" + self.path + ".nbd",
            "-device", "virtio-blk-pci,drive=b", "-netdev",
            "user,id=u,tftp=" + self.blob, "-device",
            "virtio-net-pci,netdev=u,romfile=", "-vga", "std", "-vnc",
            "unix:" + self.path + ".vnc", "-qmp",
            "unix:" + self.path + ".mon,server=on,wait=off", "-qmp",
            "unix:" + self.path + ".keep,server=on,wait=off"],
            cpus=1 + self.number % 2, mem=MEMORY)
        return self.load()

    def load(self):
        """Once the guest's shell is there its work is begun."""
        if not self.g.up(MODULES):
            self.wrong("no shell: " + self.g.text[-400:] + self.g.errors())
            return False
        status, text = self.g.sh(LOAD.replace("SUM", self.sum()), 120)
        if status:
            self.wrong("the load: %s" % text)
        return not status

    def sum(self):
        return subprocess.run(["md5sum", self.blob + "/blob"],
                              capture_output=True, text=True).stdout.split()[0]

    # ---- troubles

    def pause(self):
        self.g.cmd("stop")
        time.sleep(self.rng.random() * 2)
        self.go_on()

    def go_on(self):
        """What stops for want of room is the keeper's."""
        self.g.cmd("cont")
        got = self.g.qcmd("query-status", {})
        if not got["running"] and got["status"] != "io-error":
            self.wrong("does not go on: %s" % got)

    def keep(self):
        """By a monitor of its own, for all its life: a machine that has stopped
        because there is no room is told to try again."""
        while not self.over:
            try:
                with socket.socket(socket.AF_UNIX) as s:
                    s.settimeout(60)
                    s.connect(self.path + ".keep")
                    q = Qmp(s)
                    while not self.over:
                        if q.cmd("query-status")["status"] == "io-error":
                            q.cmd("cont")
                            self.stops += 1
                        q.events.clear()
                        time.sleep(0.5)
            except (OSError, Gone):
                time.sleep(0.5)         # it was killed, and comes again

    def reset(self):
        self.g.cmd("system_reset")
        self.load()

    def plug(self):
        disk = self.path + ".more"
        img("create", "-q", "-f", "qcow2", disk, "16M")
        ask = [("blockdev-add", {"driver": "qcow2", "node_name": "more", "file":
                                 {"driver": "file", "filename": disk}}),
               ("device_add", {"driver": "virtio-blk-pci", "id": "md",
                               "drive": "more"}),
               ("netdev_add", {"type": "user", "id": "mn"}),
               ("device_add", {"driver": "virtio-net-pci", "id": "mc",
                               "netdev": "mn"})]
        for verb, args in ask:
            got = self.g.cmd(verb, **args)
            if "error" in got:
                self.wrong("%s: %s" % (verb, got["error"]["desc"]))
        status, text = self.g.sh(
            "n=0; until [ -e /sys/block/vdc -a -e /sys/class/net/eth1 ]; do "
            "sleep 1; n=$((n+1)); [ $n -lt 60 ] || break; done; "
            "dd if=/dev/urandom of=/dev/vdc bs=64k count=8 2>&1", 120)
        if status:
            self.wrong("what was plugged: %s" % text)
        for dev in ("md", "mc"):
            self.g.cmd("device_del", id=dev)
            if not self.g.await_event("DEVICE_DELETED", 60, device=dev):
                self.wrong(dev + " is not let go")
        self.g.cmd("blockdev-del", node_name="more")
        self.g.cmd("netdev_del", id="mn")
        if img("check", disk)[0]:
            self.wrong("the plugged disk's image")
        os.unlink(disk)

    def clients(self):
        """Come, begin something, and are gone."""
        words = {".mon": b'{"execute":"qmp_capabilities"}{"execute":"query-',
                 ".vnc": b"RFB 003.008\n\1\1" + self.rng.randbytes(300),
                 ".nbd": b"\0\0\0\3IHAVEOPT" + self.rng.randbytes(300)}
        for _ in range(10):
            for end, text in words.items():
                with socket.socket(socket.AF_UNIX) as s:
                    s.settimeout(20)
                    try:
                        s.connect(self.path + end)
                        s.sendall(text[:self.rng.randrange(1, len(text))])
                        if self.rng.random() < 0.5:
                            s.recv(64)
                    except OSError:
                        pass            # it refused: that is its right

    def server_dies(self):
        self.server.kill()
        self.server.wait()
        time.sleep(self.rng.random() * 3)
        self.serve()

    def full(self):
        """The small file system is filled; then there is room again."""
        with open("%s/filler%d" % (self.small, self.number), "wb") as f:
            try:
                while True:
                    f.write(bytes(1 << 20))
                    f.flush()
            except OSError:
                pass
            time.sleep(5)
        os.unlink(f.name)
        self.go_on()

    def killed(self):
        self.g.proc.kill()
        self.g.proc.wait()
        self.g.line.close()
        self.g.qsock.close()
        status, text = img("check", self.disk)
        if status not in (0, 3):        # 3: clusters that nothing uses
            self.wrong("killed: " + text)
        self.start()

    def live(self, stop):
        threading.Thread(target=self.keep, daemon=True).start()
        try:
            if not self.start():
                return
            ways = [self.pause, self.reset, self.plug, self.clients,
                    self.server_dies, self.full]
            if self.number:             # one lives through it all
                ways.append(self.killed)
            while time.time() < stop and self.g.proc.poll() is None:
                way = self.rng.choice(ways)
                way()
                self.go_on()
                self.done[way.__name__] = self.done.get(way.__name__, 0) + 1
                if not self.base and time.time() > self.settled:
                    self.base = footprint(self.g.proc.pid)
                time.sleep(self.rng.random() * 3)
            if self.g.proc.poll() is not None:
                self.wrong("it ended by itself: status %s, %s" % (
                    self.g.proc.poll(), self.g.errors()))
        except Exception as e:          # a thread's end must be heard of
            self.wrong("%s: %s" % (type(e).__name__, e))

    def end(self):
        name = "machine %d: " % self.number
        self.over = True
        if not self.g or self.g.proc.poll() is not None:
            check(name + "lives", False)
            return
        # One that was reset last has done nothing yet.
        self.g.sh("n=0; until [ -e /tmp/rounds-a -a -e /tmp/rounds-b -a -e "
                  "/tmp/rounds-net -o $n = 300 ]; do sleep 1; n=$((n+1)); done",
                  400)
        got = self.g.sh("touch /tmp/bad; cat /tmp/bad; wc -l /tmp/rounds-a "
                        "/tmp/rounds-b /tmp/rounds-net", 60)
        check(name + "its data is what it wrote", not re.search(
            "differ|EOF|blob\n|no mount", got[1]) and got[0] == 0, got)
        print("# %s, no room %d times\n# %s" % (
            self.done, self.stops, " ".join(got[1].split())))
        now = footprint(self.g.proc.pid)
        if not self.number:
            check(name + "descriptors stay", now[1] <= self.base[1] + 2,
                  "%d, then %d" % (self.base[1], now[1]))
            check(name + "memory stays", now[0] < self.base[0] + (24 << 10),
                  "%d KiB, then %d" % (self.base[0], now[0]))
            print("# KiB and descriptors at a quarter of the time and at the "
                  "end: %s, %s" % (self.base, now))
        check(name + "ends", self.g.end() == 0, self.g.errors())

    def images(self):
        if self.server:
            self.server.send_signal(signal.SIGTERM)
            self.server.wait()
        for image in (self.disk, self.far):
            status, text = img("check", image)
            check("machine %d: %s is whole" % (
                self.number, os.path.basename(image)), status in (0, 3), text)


def main():
    if os.geteuid():
        skip_all("trouble", "a small file system needs root")
    print("# seed %d, %g minutes" % (SEED, MINUTES), flush=True)
    kernel = Kernel(MODULES.split(), [], flavour="cloud")
    top = tempfile.mkdtemp(prefix="tern-trouble-")
    small = top + "/small"
    os.makedirs(top + "/tftp")
    os.mkdir(small)
    with open(top + "/tftp/blob", "wb") as f:
        f.write(os.urandom(1 << 20))
    vms = []
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%dM" % ROOM,
                        "tern-trouble", small], check=True)
        lock = threading.Lock()

        def log(text):
            with lock:
                print("# " + text.replace("\n", "\n# "), flush=True)
        vms = [Vm(kernel, top, small, n, log) for n in range(4)]
        stop = time.time() + MINUTES * 60
        threads = [threading.Thread(target=v.live, args=(stop,)) for v in vms]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        check("nothing went wrong on the way",
              not any(v.faults for v in vms))
        for v in vms:
            v.end()
        for v in vms:
            v.images()
    finally:
        for v in vms:
            for p in (v.g and v.g.proc, v.server):
                if p and p.poll() is None:
                    p.kill()
                    p.wait()
        subprocess.run(["umount", small], check=False)
        shutil.rmtree(top, ignore_errors=True)
        kernel.end()
    finish()


main()
