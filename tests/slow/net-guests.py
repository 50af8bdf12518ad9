#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's generic kernel on the software CPU with each network card: on the user
network DHCP, DNS, ping, TFTP, TCP both ways with checksums, a forwarded port, the
link down and up, the card taken out and put in again under traffic; and two guests
on a bridge, one with four processors and as many queues, with jumbo frames. All in
network namespaces of the test's own, with a name server of its own.

Arguments choose cards, or --bridge. NET_MIB: MiB of each TCP transfer (256)."""
import gzip
import hashlib
import os
import re
import socket
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "func"))
import libnet                                                   # noqa: E402
from libnet import check, tmp                                   # noqa: E402

TERN = os.path.abspath(libnet.TERN)
BUILD = os.environ.get("BUILD", "build")
MIB = int(os.environ.get("NET_MIB", "256"))
LIMIT = 1500
MODULES = ("mii", "failover", "net_failover", "virtio_ring", "virtio",
           "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci",
           "e1000", "8139cp", "virtio_net")
LOAD = """
cd /mod
for m in %s; do [ -f $m.ko ] && insmod $m.ko; done
sleep 1
ip link set lo up
mkfifo /tmp/f
""" % " ".join(MODULES)

USER = LOAD + """
cat > /tmp/dhcp <<'END'
#!/bin/sh
case $1 in bound|renew)
    ip addr add $ip/$mask dev $interface
    echo "dhcp $ip $router $dns";;
esac
END
chmod +x /tmp/dhcp
ip link set eth0 up
echo "card $(readlink /sys/class/net/eth0/device/driver | sed 's,.*/,,')"
udhcpc -i eth0 -s /tmp/dhcp -n -q -t 9 -T 3 2>/dev/null
ping -c 3 -s 1400 10.0.2.2 | grep transmitted
nslookup -type=a guests.test.org 10.0.2.3 | grep 'Address.*192.0.2.77'
tftp -g -r file -l /tmp/t 10.0.2.2 && echo "tftp $(md5sum < /tmp/t)"
echo "down $(nc 10.0.2.2 DOWN <>/tmp/f | md5sum)"
dd if=/dev/zero bs=65536 count=BLOCKS 2>/dev/null | nc 10.0.2.2 UP
echo "up sent"
echo serving; echo "from the guest" | nc -l -p 8000
echo "link down?"
while [ $(cat /sys/class/net/eth0/carrier) = 1 ]; do sleep 1; done
echo "link is down"
while [ $(cat /sys/class/net/eth0/carrier) = 0 ]; do sleep 1; done
ping -c 20 -W 2 10.0.2.2 | grep -q "bytes from" && echo "link is up"
for n in 1 2; do
    nc 10.0.2.2 STREAM <>/tmp/f >/dev/null &
    sleep 2
    echo "unplug $n?"
    while [ -e /sys/class/net/eth0 ]; do sleep 1; done
    echo "gone $n"
    kill %1 2>/dev/null
    until [ -e /sys/class/net/eth0 ]; do sleep 1; done
    ip link set eth0 up
    udhcpc -i eth0 -s /tmp/dhcp -n -q -t 9 -T 3 >/dev/null 2>&1
    ping -c 5 -W 2 10.0.2.2 | grep -q "bytes from" && echo "back $n"
done
dmesg | grep -E "Call Trace|WARNING:|BUG:|transmit timed out|tx hang"
echo "checks end"
"""

PAIR = LOAD + """
for w in $(cat /proc/cmdline); do
    case $w in me=*) me=${w#me=};; to=*) to=${w#to=};; esac
done
ip link set eth0 mtu 9000
ip addr add $me/24 dev eth0
ip link set eth0 up
echo "queues $(ls /sys/class/net/eth0/queues | grep -c rx)"
if [ -n "$to" ]; then
    n=0
    until ping -c 1 -W 2 $to >/dev/null 2>&1; do
        n=$((n+1)); [ $n -gt 99 ] && break; sleep 1
    done
    ping -c 3 -s 8972 $to | grep transmitted
    dd if=/dev/urandom of=/tmp/r bs=65536 count=256 2>/dev/null
    echo "sent $(md5sum < /tmp/r)"
    for k in 1 2 3 4; do nc $to 500$k < /tmp/r & done; wait
    echo "got $(nc $to 5009 <>/tmp/f | md5sum)"
else
    dd if=/dev/urandom of=/tmp/r bs=65536 count=256 2>/dev/null
    echo "gives $(md5sum < /tmp/r)"
    for k in 1 2 3 4; do
        (nc -l -p 500$k <>/tmp/f > /tmp/g$k; echo "took $(md5sum < /tmp/g$k)") &
    done
    nc -l -p 5009 < /tmp/r > /dev/null
    wait
fi
grep -E "virtio.-input" /proc/interrupts
echo "checks end"
"""


def entry(name, mode, data):
    n = name.encode() + b"\0"
    head = b"070701" + b"".join(b"%08x" % x for x in (
        1, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(n), 0)) + n
    return (head + b"\0" * (-len(head) % 4) + data +
            b"\0" * (-len(data) % 4))


def guest_files():
    """Kernel, and an initrd with its network modules and our scripts."""
    base = os.path.join(BUILD, "linux-amd64")
    subprocess.run(["sh", "scripts/linux-guest", base, "amd64"], check=True,
                   stdout=subprocess.DEVNULL)
    out = subprocess.run(["apt-cache", "depends", "linux-image-amd64"],
                         capture_output=True, text=True).stdout
    kernel = re.search(r"Depends: (linux-image-[0-9]\S*)", out).group(1)
    top = os.path.join(BUILD, "net-guest")
    subprocess.run(["sh", "scripts/debian-unpack", top, kernel], check=True,
                   stdout=subprocess.DEVNULL)
    blob = b""
    for dirpath, _, names in os.walk(os.path.join(top, kernel, "lib")):
        for n in names:
            if n.endswith(".ko") and n[:-3] in MODULES:
                with open(os.path.join(dirpath, n), "rb") as f:
                    blob += entry("mod/" + n, 0o100644, f.read())
    return (os.path.join(top, kernel, "boot", "vmlinuz-" +
                         kernel[len("linux-image-"):]),
            os.path.join(base, "initrd.gz"), entry("mod", 0o40755, b"") + blob)


vmlinuz, base_initrd, modules = guest_files()
libnet.in_namespace("-n -m", "needs root, ip, unshare and /dev/net/tun")
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def initrd_make(name, script):
    path = os.path.join(tmp, name + ".gz")
    with open(path, "wb") as f:
        with open(base_initrd, "rb") as b:
            f.write(b.read())
        f.write(gzip.compress(modules + entry("net.sh", 0o100755,
                                              script.encode()) +
                              entry("TRAILER!!!", 0, b"")))
    return path


class Guest:
    def __init__(self, name, initrd, more, append="", cpus=1):
        self.log = os.path.join(tmp, name + ".log")
        self.qmp = os.path.join(tmp, name + ".qmp")
        self.p = subprocess.Popen(
            [TERN, "-machine", "pc", "-accel", "soft", "-m", "256", "-smp",
             str(cpus), "-nodefaults", "-display", "none", "-no-reboot",
             "-serial", "file:" + self.log, "-qmp",
             "unix:%s,server=on,wait=off" % self.qmp, "-kernel", vmlinuz,
             "-initrd", initrd, "-append",
             "console=ttyS0 quiet panic=-1 run=net.sh " + append] + more,
            stdin=subprocess.DEVNULL)
        self.q = libnet.Qmp(self.qmp, lambda: self.p.poll() is None)
        libnet.machines.append(self.p)

    def text(self):
        try:
            with open(self.log, errors="replace") as f:
                return f.read().replace("\r", "")
        except OSError:
            return ""

    def await_text(self, what):
        stop = time.time() + LIMIT
        while (what not in self.text() and time.time() < stop and
               self.p.poll() is None):
            time.sleep(0.5)
        return what in self.text()

    def end(self):
        try:
            return self.p.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.p.kill()
            self.p.wait()
            return -1


def name_server():
    """Answers every question of a name with one address."""
    resolv = os.path.join(tmp, "resolv.conf")
    with open(resolv, "w") as f:
        f.write("nameserver 127.0.0.1\n")
    subprocess.run(["mount", "--bind", resolv, "/etc/resolv.conf"], check=True)
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.1", 53))

    def answer():
        while True:
            ask, who = s.recvfrom(600)
            end = ask.index(b"\0", 12) + 5
            s.sendto(ask[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + ask[12:end] +
                     b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\x4d", who)
    threading.Thread(target=answer, daemon=True).start()


def stream():
    """A port that sends for ever."""
    a = socket.create_server(("127.0.0.1", 0))

    def give(c):
        try:
            while True:
                c.sendall(bytes(65536))
        except OSError:
            c.close()

    def wait():
        while True:
            threading.Thread(target=give, args=(a.accept()[0],),
                             daemon=True).start()
    threading.Thread(target=wait, daemon=True).start()
    return a.getsockname()[1]


def serve(data):
    """Listens twice: sends data to who comes, and hashes what comes."""
    a, b = socket.create_server(("127.0.0.1", 0)), \
        socket.create_server(("127.0.0.1", 0))
    got = {}

    def give():
        c = a.accept()[0]
        try:
            for _ in range(MIB):
                c.sendall(data)
        except OSError:
            pass
        c.close()

    def take():
        c, h = b.accept()[0], hashlib.md5()
        while True:
            part = c.recv(1 << 20)
            if not part:
                break
            h.update(part)
        got["md5"] = h.hexdigest()
        c.close()
    for f in (give, take):
        threading.Thread(target=f, daemon=True).start()
    return a.getsockname()[1], b.getsockname()[1], got


def on_user_network(card, driver):
    data = os.urandom(1 << 20)
    down, zero = hashlib.md5(), hashlib.md5()
    for _ in range(MIB):
        down.update(data)
        zero.update(bytes(1 << 20))
    p_down, p_up, got = serve(data)
    tftp = os.path.join(tmp, "tftp")
    os.makedirs(tftp, exist_ok=True)
    with open(os.path.join(tftp, "file"), "wb") as f:
        f.write(data)
    s = socket.create_server(("127.0.0.1", 0))
    fwd = s.getsockname()[1]
    s.close()
    script = USER.replace("DOWN", str(p_down)).replace("UP", str(p_up)) \
        .replace("BLOCKS", str(MIB * 16)).replace("STREAM", str(stream()))
    g = Guest(card, initrd_make(card, script), [
        "-netdev", "user,id=n,tftp=%s,hostfwd=tcp:127.0.0.1:%d-:8000" %
        (tftp, fwd), "-device", card + ",netdev=n,id=nic"])
    heard = b""
    if g.await_text("serving"):
        time.sleep(3)
        with socket.create_connection(("127.0.0.1", fwd), timeout=60) as c:
            heard = c.recv(100)
    if g.await_text("link down?"):
        g.q.cmd("set_link", name="nic", up=False)
        g.await_text("link is down")
        g.q.cmd("set_link", name="nic", up=True)
    for n in (1, 2):
        if g.await_text("unplug %d?" % n):
            g.q.cmd("device_del", id="nic")
            g.await_text("gone %d" % n)
            stop = time.time() + 60
            while time.time() < stop and "error" in g.q.cmd(
                    "device_add", driver=card, netdev="n", id="nic"):
                time.sleep(0.5)
    g.await_text("checks end")
    code, t = g.end(), g.text()
    check(card + ": its driver", "card " + driver in t, t[-2000:])
    check(card + ": DHCP", "dhcp 10.0.2.15 10.0.2.2 10.0.2.3" in t)
    check(card + ": DNS", "192.0.2.77" in t)
    check(card + ": ping", "3 packets transmitted, 3 packets received" in t)
    check(card + ": TFTP", "tftp " + hashlib.md5(data).hexdigest() in t)
    check("%s: %d MiB of TCP down" % (card, MIB),
          "down " + down.hexdigest() in t)
    check("%s: %d MiB of TCP up" % (card, MIB),
          got.get("md5") == zero.hexdigest(), got)
    check(card + ": a forwarded port", heard == b"from the guest\n", heard)
    check(card + ": link down and up", "link is down" in t and
          "link is up" in t, t[-1000:])
    check(card + ": out and in again under traffic", all(
        w + " %d" % n in t for n in (1, 2) for w in ("gone", "back")),
        t[-1500:])
    check(card + ": ends", code == 0 and "checks end" in t and
          "Call Trace" not in t and "timed out" not in t, (code, t[-1000:]))


def two_on_a_bridge():
    for line in ("link add br7 type bridge",
                 "link set br7 up mtu 9000",
                 "tuntap add ta mode tap multi_queue",
                 "tuntap add tb mode tap multi_queue",
                 "link set ta mtu 9000 master br7 up",
                 "link set tb mtu 9000 master br7 up"):
        subprocess.run(["ip"] + line.split(), check=True)
    image = initrd_make("pair", PAIR)
    nic = ["-netdev", "tap,id=n,ifname=%s,script=no,downscript=no,queues=4",
           "-device", "virtio-net-pci,netdev=n,mq=on,mac=52:54:00:00:00:0%d"]
    a = Guest("a", image, [nic[0], nic[1] % "ta", nic[2], nic[3] % 1],
              "me=10.9.0.1", 4)
    b = Guest("b", image, [nic[0], nic[1] % "tb", nic[2], nic[3] % 2],
              "me=10.9.0.2 to=10.9.0.1", 2)
    codes = (b.end(), a.end())
    ta, tb = a.text(), b.text()
    sent = re.search(r"sent (\w+)", tb)
    gives = re.search(r"gives (\w+)", ta)
    check("bridge: queues", "queues 4" in ta and "queues 2" in tb, ta[-1000:])
    check("bridge: jumbo frames",
          "3 packets transmitted, 3 packets received" in tb, tb[-1000:])
    check("bridge: four connections", sent and
          ta.count("took " + sent.group(1)) == 4, (ta[-1500:], tb[-1500:]))
    check("bridge: and back", gives and "got " + gives.group(1) in tb,
          (ta[-1500:], tb[-1500:]))
    check("bridge: end", codes == (0, 0), codes)


CARDS = {"virtio-net-pci": "virtio_net", "e1000": "e1000", "rtl8139": "8139cp"}
chosen = sys.argv[1:] or list(CARDS) + ["--bridge"]
parts = [lambda c=c: on_user_network(c, CARDS[c]) for c in chosen if c in CARDS]
if parts:
    name_server()
libnet.run_parts(parts + [two_on_a_bridge] * ("--bridge" in chosen))
