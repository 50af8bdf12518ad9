#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""TAP and bridge backends against the kernel, in a network namespace of the
test's own: the kernel answers ARP for frames that come in at a socket and go
through a hub; scripts; several queues; given descriptors; the bridge helper and
its list."""
import fcntl
import os
import re
import shutil
import socket
import struct
import subprocess
import sys

sys.dont_write_bytecode = True
import libnet                                                   # noqa: E402
from libnet import TERN, check, ether, refused, run_parts, tmp  # noqa: E402

libnet.in_namespace("-n -m", "needs root, ip, unshare and /dev/net/tun")
MAC, ALL = bytes.fromhex("525400aabb01"), b"\xff" * 6
US = "10.77.0.2"


def ip(text):
    subprocess.run(["ip"] + text.split(), check=True)


class Machine(libnet.Machine):
    def frame(self, kind):
        """The next frame of an Ethernet type, for us."""
        while True:
            f = self.wire.get()
            if f[:6] == MAC and f[12:14] == struct.pack(">H", kind):
                return f

    def arp(self, who):
        """The address that the kernel gives for an IP address."""
        ask = ether(ALL, MAC, 0x0806, libnet.arp(1, MAC, US, bytes(6), who))
        for _ in range(50):
            self.wire.put(ask + bytes(18))
            self.wire.s.settimeout(0.4)
            try:
                f = self.frame(0x0806)
                return f[22:28] if f[28:32] == socket.inet_aton(who) else b""
            except socket.timeout:
                continue
            finally:
                self.wire.s.settimeout(libnet.PATIENCE)
        return b""

    def ping(self, mac, who, size):
        data = os.urandom(size)
        self.wire.put(ether(mac, MAC, 0x0800, libnet.echo(US, who, data)))
        f = self.frame(0x0800)
        return f[34:35] == b"\0" and f[42:42 + size] == data

    def quit(self):
        """Status, and what it says and has said."""
        text = self.info()
        code, said = super().quit()
        self.wire.s.close()
        return code, text + said


def talks(name, m, where="10.77.0.1"):
    mac = m.arp(where)
    check(name, len(mac) == 6 and m.ping(mac, where, 1000), mac)


def script(name, text):
    path = os.path.join(tmp, name)
    with open(path, "w") as f:
        f.write("#!/bin/sh\n" + text)
    os.chmod(path, 0o755)
    return path


def by_name():
    up = script("up", "ip addr add 10.77.0.1/24 dev $1 && ip link set $1 up\n")
    down = script("down", "echo $1 > %s/downed\n" % tmp)
    m = Machine("tap,ifname=t0,script=%s,downscript=%s" % (up, down))
    talks("an interface that a script sets up", m)
    code, out = m.quit()
    check("its information", "type=tap,ifname=t0,script=%s,downscript=%s" %
          (up, down) in out, out)
    check("the other script", code == 0 and
          os.path.exists(os.path.join(tmp, "downed")))
    for more in ("vnet_hdr=off", "vnet_hdr=on,sndbuf=100000"):
        m = Machine("tap,ifname=t0,downscript=no,script=%s,%s" % (up, more))
        talks("with " + more, m)
        m.quit()
    refused("a script that fails", "tap,ifname=t0,script=/bin/false",
            "network script /bin/false failed with status 256")
    m = Machine("tap,ifname=t0,script=no,downscript=no,vhost=on")
    check("vhost is warned of", "tap: open vhost char device failed" in
          m.quit()[1] or os.path.exists("/dev/vhost-net"))
    if not os.path.exists("/dev/vhost-net"):
        refused("vhostforce without vhost-net",
                "tap,ifname=t0,script=no,downscript=no,vhostforce=on",
                "tap: open vhost char device failed: No such file or directory")


TUNSETIFF, IFF_TAP, IFF_NO_PI, IFF_MQ, IFF_VNET = (0x400454ca, 2, 0x1000, 0x100,
                                                   0x4000)


def tun(name, flags):
    fd = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name, IFF_TAP |
                                           IFF_NO_PI | flags))
    return fd


def descriptors():
    ip("tuntap add t1 mode tap")
    ip("addr add 10.77.0.1/24 dev t1")
    ip("link set t1 up")
    for flags in (0, IFF_VNET):
        fd = tun(b"t1", flags)
        m = Machine("tap,fd=%d" % fd, fds=(fd,))
        os.close(fd)
        talks("a given descriptor, flags %#x" % flags, m)
        code, out = m.quit()
        check("its information", "type=tap,fd=%d" % fd in out, out)
    ip("link del t1")
    refused("no TAP device", "tap,fd=0", "Unable to query TUNGETIFF on FD 0: ")
    refused("fd= and what it excludes", "tap,fd=0,ifname=x", "ifname=, script=, downscript=, vnet_hdr=, "
            "helper=, queues=, fds=, and vhostfds= are invalid with fd=")
    ip("tuntap add t2 mode tap multi_queue")
    ip("addr add 10.77.0.1/24 dev t2")
    ip("link set t2 up")
    fds = [tun(b"t2", IFF_MQ | IFF_VNET) for _ in range(3)]
    m = Machine("tap,fds=" + ":".join(map(str, fds)), fds=fds)
    for fd in fds:
        os.close(fd)
    code, out = m.quit()
    check("several descriptors", code == 0 and out.count("type=tap,fd=") == 3,
          out)
    m = Machine("tap,ifname=t2,queues=4,script=no,downscript=no")
    code, out = m.quit()
    check("several queues", code == 0 and out.count("ifname=t2") >= 4, out)
    ip("link del t2")


def advice():
    """What fails says what to do."""
    ip("tuntap add t3 mode tap")
    m = Machine("tap,ifname=t3,script=no,downscript=no")
    refused("an interface in use", "tap,ifname=t3,script=no,downscript=no",
            "Another program has it")
    m.quit()
    refused("too many queues", "tap,ifname=t3,script=no,downscript=no,queues=2",
            "must have been made for as many queues")
    ip("link del t3")
    refused("a missing script", "tap,ifname=t3,script=/nonesuch",
            "script=no sets up nothing")
    refused("a missing helper", "bridge,helper=/nonesuch",
            "/nonesuch could not be started")
    if subprocess.call([TERN, "-version"], user=65534, group=65534,
                       extra_groups=[], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL) == 0:
        refused("no privilege", "tap,ifname=t3,script=no,downscript=no",
                "or use -netdev bridge", user=65534, group=65534,
                extra_groups=[])
    else:
        check("no privilege # SKIP the program is not for all", True)
    subprocess.run(["mount", "-t", "tmpfs", "none", "/dev/net"], check=True)
    refused("no TAP in the kernel", "tap,ifname=t3,script=no,downscript=no",
            "modprobe tun")
    subprocess.run(["umount", "/dev/net"], check=True)


def macvtap():
    ip("link add d0 type veth peer name d1")
    ip("link set d0 up")
    ip("link set d1 up")
    try:
        ip("link add link d0 name m0 type macvtap mode bridge")
        ip("link add link d0 name v0 type macvlan mode bridge")
    except subprocess.CalledProcessError:
        check("macvtap # SKIP the kernel has none", True)
        return
    ip("link set m0 address 52:54:00:aa:bb:01")
    ip("link set m0 up")
    ip("addr add 10.77.0.1/24 dev v0")
    ip("link set v0 up")
    with open("/sys/class/net/m0/macvtap/tap%d/dev" %
              socket.if_nametoindex("m0")) as f:
        major, minor = map(int, f.read().split(":"))
    path = os.path.join(tmp, "tapdev")
    os.mknod(path, 0o600 | 0o020000, os.makedev(major, minor))
    fd = os.open(path, os.O_RDWR)
    m = Machine("tap,fd=%d" % fd, fds=(fd,))
    os.close(fd)
    talks("macvtap", m)
    m.quit()
    ip("link del d0")


def bridge():
    helper = os.path.join(os.path.dirname(os.path.abspath(TERN)),
                          "tern-bridge-helper")
    with open(os.path.join(os.path.dirname(helper), "config.h")) as f:
        sysconf = re.search(r'SYSCONFDIR "(.*)"', f.read()).group(1)
    top = sysconf
    while not os.path.isdir(top):
        top = os.path.dirname(top)
    subprocess.run(["mount", "-t", "tmpfs", "none", top], check=True)
    os.makedirs(sysconf, exist_ok=True)
    acl = os.path.join(sysconf, "bridge.conf")

    def allow(text):
        with open(acl, "w") as f:
            f.write(text)
    ip("link add br7 type bridge")
    ip("addr add 10.77.0.1/24 dev br7")
    ip("link set br7 up mtu 1400")
    with open(os.path.join(sysconf, "more.conf"), "w") as f:
        f.write("allow br7   # this one\n")
    allow("include %s/more.conf\n\ndeny br8\n" % sysconf)
    m = Machine("bridge,br=br7,helper=" + helper)
    talks("a bridge by the helper", m)
    link = subprocess.run(["ip", "-o", "link", "show", "master", "br7"],
                          capture_output=True, text=True).stdout
    check("with its MTU", " mtu 1400 " in link, link)
    code, out = m.quit()
    check("its information", "type=bridge,helper=%s,br=br7" % helper in out,
          out)
    m = Machine("tap,br=br7,helper=%s --br=br7" % helper)
    talks("a helper with arguments", m)
    m.quit()
    m = Machine("bridge,br=br7")
    talks("the helper that is ours", m)
    m.quit()
    for text, why in (("allow br8\n", "access denied by acl file"),
                      ("allow all\ndeny br7\n", "access denied by acl file"),
                      ("deny all\nallow br7\n", "access denied by acl file"),
                      ("allow\n", "failed to parse acl file"),
                      ("include %s\n" % acl, "include one another")):
        allow(text)
        refused("list: " + text.replace("\n", "; ").replace(sysconf, ""),
                "bridge,br=br7", why)
    allow("allow all\n")
    refused("no such bridge", "bridge,br=nobr",
            "failed to get mtu of bridge `nobr'")
    bad = subprocess.run([helper, "--fd=0", "--br=br7"], capture_output=True,
                         stdin=subprocess.DEVNULL, text=True)
    check("no socket", bad.returncode == 1 and "not a unix socket" in
          bad.stderr, bad.stderr)
    os.chmod(tmp, 0o755)
    copy = os.path.join(tmp, "helper")
    shutil.copy(helper, copy)
    os.chmod(copy, 0o4755)
    s, its = socket.socketpair()
    r = subprocess.run([copy, "--fd=%d" % its.fileno(), "--br=br7"],
                       user=65534, group=65534, extra_groups=[],
                       pass_fds=(its.fileno(),), capture_output=True, text=True)
    s.settimeout(5)
    fds = socket.recv_fds(s, 1, 1)[1] if r.returncode == 0 else []
    check("setuid, for a user", len(fds) == 1, r.stderr)
    os.chmod(acl, 0o666)
    r = subprocess.run([copy, "--fd=%d" % its.fileno(), "--br=br7"],
                       user=65534, group=65534, extra_groups=[],
                       pass_fds=(its.fileno(),), capture_output=True, text=True)
    check("not by a list that all can write", r.returncode == 1 and
          "can be written by others" in r.stderr, r.stderr)


subprocess.run(["mount", "-t", "sysfs", "none", "/sys"])
ip("link set lo up")
run_parts((by_name, descriptors, advice, macvtap, bridge))
