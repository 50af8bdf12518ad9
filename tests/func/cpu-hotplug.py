#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""vCPUs come and go under Debian's unmodified cloud kernel on the software CPU:
the guest hears of them by ACPI, puts them to use, gives them back."""

import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import time

BUILD = os.environ.get("BUILD", "build")
TERN = os.environ.get("TERN", BUILD + "/tern")
PATIENCE = 60 * int(os.environ.get("TERN_TEST_PATIENCE", "1"))
results = []


def check(name, ok, why=""):
    results.append(ok)
    if not ok and why:
        print("# %r" % (why,))
    print("%s %d - %s" % ("ok" if ok else "not ok", len(results), name))
    sys.stdout.flush()


class Guest:
    """A program with a monitor and a serial line, both sockets."""

    def __init__(self, folder, *args):
        ends = [socket.socketpair() for _ in range(2)]
        self.line, self.mon = (a for a, _ in ends)
        fds = [b.fileno() for _, b in ends]
        chars = []
        for name, fd in zip(("line", "mon"), fds):
            chars += ["-chardev", "socket,id=%s,fd=%d" % (name, fd)]
        self.p = subprocess.Popen(
            [TERN, *chars, "-serial", "chardev:line", "-mon",
             "chardev=mon,mode=control", "-display", "none", *args],
            pass_fds=fds, stdin=subprocess.DEVNULL,
            stderr=open(folder + "/err", "w"))
        for _, b in ends:
            b.close()
        self.heard = b""
        self.half = b""
        self.events = []
        self.cmd("qmp_capabilities")

    def until(self, text, limit=PATIENCE):
        """Serial output through `text`; None if it does not come."""
        end = time.time() + limit
        while text not in self.heard:
            left = end - time.time()
            if left <= 0 or not select.select([self.line], [], [], left)[0]:
                return None
            data = self.line.recv(65536)
            if not data:
                return None
            self.heard += data
        at = self.heard.index(text) + len(text)
        got, self.heard = self.heard[:at], self.heard[at:]
        return got.decode(errors="replace")

    def sh(self, command):
        """Runs it in the guest's shell; the last word it says."""
        self.line.sendall(("%s; echo en''d\r" % command).encode())
        got = self.until(b"end\r\n")
        return got and got.split("\r\n")[-3].split()[-1]

    def message(self, limit=PATIENCE):
        while b"\n" not in self.half:
            if not select.select([self.mon], [], [], limit)[0]:
                return None
            data = self.mon.recv(65536)
            if not data:
                return None
            self.half += data
        line, self.half = self.half.split(b"\n", 1)
        return json.loads(line)

    def cmd(self, name, **args):
        self.mon.sendall(json.dumps({"execute": name, "arguments": args})
                         .encode() + b"\n")
        while True:
            m = self.message()
            if m is None or "return" in m or "error" in m:
                return m
            if "event" in m:
                self.events.append(m)

    def event(self, name):
        while True:
            for m in self.events:
                if m["event"] == name:
                    self.events.remove(m)
                    return m["data"]
            m = self.message()
            if m is None:
                return None
            if "event" in m:
                self.events.append(m)

    def end(self):
        self.cmd("quit")
        try:
            return self.p.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.p.kill()
            return self.p.wait()


def add(g, core):
    return g.cmd("device_add", driver="qemu64-x86_64-cpu", id="c%d" % core,
                 **{"socket-id": 0, "core-id": core, "thread-id": 0})


ONLINE = ("for i in 1 2 3 4 5 6 7 8 9 10; do [ -e %(f)s ] && break; sleep 1; "
          "done; echo 1 >%(f)s; nproc")


def online(g, n):
    return g.sh(ONLINE % {"f": "/sys/devices/system/cpu/cpu%d/online" % n})


def come_and_go(folder, demo):
    g = Guest(folder, "-accel", "soft", "-m", "256", "-smp", "1,maxcpus=3",
              "-nodefaults", "-kernel", demo + "/vmlinuz",
              "-initrd", demo + "/initrd.gz", "-append",
              "console=ttyS0 panic=-1 quiet")
    try:
        check("the kernel boots", g.until(b"# ", 3 * PATIENCE) is not None,
              g.heard[-500:])
        g.sh("mount -t sysfs sysfs /sys 2>/dev/null; stty -echo")
        got = g.sh("nproc")
        check("one vCPU at first", got == "1", got)
        check("device_add", add(g, 1) == {"return": {}})
        got = online(g, 1)
        check("the guest uses it", got == "2", got)
        told = g.event("ACPI_DEVICE_OST")
        check("and says so", told and told["info"]["device"] == "c1" and
              told["info"]["slot"] == "1", told)
        add(g, 2)
        got = online(g, 2)
        check("and one more", got == "3", got)
        check("the boot processor stays", "error" in g.cmd(
            "device_del", id=g.cmd("query-cpus-fast")["return"][0]
            ["qom-path"]))
        check("device_del", g.cmd("device_del", id="c1") == {"return": {}})
        gone = g.event("DEVICE_DELETED")
        check("the guest lets it go", gone and gone.get("device") == "c1", gone)
        got = g.sh("nproc")
        check("two are left", got == "2", got)
        got = [c["cpu-index"] for c in g.cmd("query-cpus-fast")["return"]]
        check("the first and the third", got == [0, 2], got)
        add(g, 1)
        got = online(g, 1)
        check("it comes again", got == "3", got)
        g.until(b"# ")
        g.cmd("system_reset")
        check("the kernel boots anew", g.until(b"# ", 3 * PATIENCE),
              g.heard[-500:])
        got = g.sh("nproc")
        check("with all of them", got == "3", got)
    finally:
        check("a clean end", g.end() == 0, open(folder + "/err").read())


def main():
    demo = BUILD + "/demo"
    made = subprocess.run(["sh", "scripts/linux-guest", demo, "cloud"],
                          capture_output=True, text=True, check=False)
    if made.returncode:
        print("1..0 # SKIP no kernel: " + made.stdout[-200:])
        return 0
    with tempfile.TemporaryDirectory(prefix="tern-cpus-") as folder:
        come_and_go(folder, demo)
    print("1..%d" % len(results))
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
