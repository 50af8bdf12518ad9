#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Network options and commands to $BUILD/compat/qemu-system-x86_64 and to the
installed qemu-system-x86_64 ($PEER): what they accept, what they say, what `info
network`, `info usernet` and query-rx-filter show must be equal, apart from what
tests/func/net-accepted.json lists with a reason each. Arguments choose sessions;
-v prints both answers of what differs."""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
import peer                                                     # noqa: E402
from libschema import piped                                     # noqa: E402
from peer import hmp, q                                         # noqa: E402

INFO = hmp("info network")
USERNET = hmp("info usernet")


def user(options):
    """Added, looked at, and gone again."""
    return [hmp("netdev_add user,id=u," + options), INFO, hmp("netdev_del u")]


def every(make, texts):
    return [c for t in texts for c in make(t)]


USER = [
    *(hmp("netdev_add" + t) for t in (
        "", " user", " nonesuch,id=a", " nic,id=a", " type=none,id=a", " id=a",
        " user,id=u0")), INFO, USERNET, hmp("netdev_del nonesuch"),
    q("netdev_add", type="user", id="u0"), q("netdev_add", type="user"),
    q("netdev_add", id="a"), q("netdev_add", type="user", id="1x"),
    q("netdev_add", type="user", id="a", nonesuch=1),
    q("netdev_add", type="user", id="a", restrict="maybe"),
    q("netdev_add", type="user", id="a", hostfwd="tcp::0-:22"),
    q("netdev_add", type="user", id="a", hostfwd=[{"str": "x"}]),
    q("netdev_add", type="user", id="a", hostfwd=[{"str": "tcp::1-:x"}],
      restrict=True),
    q("netdev_del", id="u0"), q("netdev_del", id="u0"),
    q("set_link", name="nonesuch", up=True), q("set_link", name="x"),
    *every(user, (
        "nonesuch=1", "net=bad", "net=10.0.0.0/99", "net=10.0.0.0/3",
        "net=10.0.0.0/8x", "net=10.0.0.0/255.255.255.0.0",
        "net=10.0.0.0/255.0.255.0", "net=10.0.0.0", "net=172.20.0.0",
        "net=192.168.9.0", "ip=10.3.0.0",
        "net=192.168.76.0/24,dhcpstart=192.168.76.9,host=192.168.76.1,"
        "dns=192.168.76.5", "net=192.168.76.0/24,dhcpstart=10.0.0.1",
        "net=192.168.76.0/24,host=10.0.0.1", "host=10.0.2.3", "dns=10.0.2.2",
        "net=192.168.76.0/24,dns=10.0.0.1", "host=x", "dns=x", "dhcpstart=x",
        "dhcpstart=10.0.2.2", "dhcpstart=10.0.2.3", "restrict=maybe",
        "restrict=on", "restrict=y", "ipv4=off,ipv6=off", "ipv4=x",
        "ipv4=off,net=10.0.0.0/8", "ipv6=off,ipv6-prefix=fec0::", "ipv4=off",
        "ipv6=off", "ipv4=on", "ipv6=on", "ipv6-prefix=zz",
        "ipv6-prefix=fd00::,ipv6-prefixlen=127",
        "ipv6-prefix=fd00::,ipv6-prefixlen=-1", "ipv6-prefixlen=x",
        "ipv6-prefix=fd00::,ipv6-prefixlen=60",
        "ipv6-prefix=fd00::,ipv6-host=fd01::2",
        "ipv6-prefix=fd00::,ipv6-host=zz", "ipv6-dns=zz",
        "ipv6-prefix=fd00::,ipv6-dns=fd01::2",
        "ipv6-prefix=fd00::,ipv6-prefixlen=64,ipv6-host=fd00::2,"
        "ipv6-dns=fd00::5", "domainname=", "hostname=" + "a" * 300,
        "tftp-server-name=" + "a" * 300, "domainname=" + "a" * 300,
        "hostname=h,domainname=d.org,dnssearch=a.org,dnssearch=b.org,"
        "tftp=/tmp,bootfile=/b,tftp-server-name=srv",
        "tftp=/nonesuch", "smb=/nonesuch", "smbserver=x", "smbserver=10.0.2.4",
        "hostfwd=", "hostfwd=x", "hostfwd=tcp::x-:22", "hostfwd=tcp::0-:22",
        "hostfwd=tcp::70000-:22", "hostfwd=tcp::5555",
        "hostfwd=sctp::5555-:22", "hostfwd=tcp:1.2.3.4:5555-:22",
        "hostfwd=tcp:zz:5555-:22", "hostfwd=tcp::5555-zz:22",
        "hostfwd=tcp::5555-:", "hostfwd=tcp::5555-:0", "guestfwd=",
        "guestfwd=x", "guestfwd=tcp:10.0.2.100:x-null",
        "guestfwd=tcp:10.0.2.100:80-", "guestfwd=tcp:10.0.2.100:80-nonesuch",
        "guestfwd=udp:10.0.2.100:80-null", "guestfwd=tcp:zz:80-null",
        "guestfwd=tcp:11.0.2.100:80-null", "guestfwd=tcp:10.0.2.2:80-null",
        "guestfwd=tcp:10.0.2.100:0-null",
        "guestfwd=tcp:10.0.2.100:81-cmd:cat,guestfwd=:10.0.2.101:81-cmd:cat")),
    q("netdev_add", type="user", id="u", hostfwd=[
        {"str": "tcp:127.0.0.1:PORT1-:22"}, {"str": "udp:127.0.0.1:PORT1-:53"},
        {"str": ":127.0.0.1:PORT2-10.0.2.20:80"}]), USERNET,
    *(hmp("hostfwd_" + t) for t in (
        "add", "add x", "add tcp:127.0.0.1:PORT3-:22",
        "add u tcp:127.0.0.1:PORT4-:22", "add u tcp:127.0.0.1:PORT4-:22",
        "add z tcp:127.0.0.1:PORT4-:22")), USERNET,
    *(hmp("hostfwd_remove" + t) for t in (
        "", " x", " tcp:127.0.0.1:PORT3", " u tcp:127.0.0.1:PORT4",
        " u tcp:127.0.0.1:PORT4", " udp:127.0.0.1:PORT1", " tcp::zz",
        " z tcp:127.0.0.1:PORT4", " tcp:127.0.0.1:PORT2-")), USERNET,
    hmp("netdev_del u"), hmp("hostfwd_add tcp:127.0.0.1:PORT3-:22"),
    hmp("hostfwd_remove tcp:127.0.0.1:PORT3"), USERNET,
    hmp("netdev_add user,id=u,guestfwd=tcp:10.0.2.100:81-null"),
    hmp("info chardev"), hmp("netdev_del u"), hmp("info chardev"),
]


def backend(text):
    return [hmp("netdev_add " + text), INFO, hmp("netdev_del a")]


def nested(text):
    """The same by QMP: a.b=c is member b of a."""
    kind, *rest = text.split(",")
    args = {"type": kind, "id": "a"}
    for part in rest:
        key, value = part.split("=")
        of, _, member = key.rpartition(".")
        at = args.setdefault(of, {}) if of else args
        at[member] = {"on": True, "off": False}.get(value, value)
    return [{"execute": "netdev_add", "arguments": args}, INFO,
            q("netdev_del", id="a")]


BACKENDS = every(backend, (
    "socket,id=a", "socket,id=a,listen=x", "socket,id=a,listen=:x",
    "socket,id=a,connect=127.0.0.1", "socket,id=a,listen=:0,connect=:1",
    "socket,id=a,fd=99,listen=:0", "socket,id=a,fd=x",
    "socket,id=a,fd=999", "socket,id=a,mcast=1.2.3.4:5",
    "socket,id=a,mcast=230.0.0.1", "socket,id=a,udp=127.0.0.1:5",
    "socket,id=a,udp=127.0.0.1:5,localaddr=x",
    "socket,id=a,localaddr=127.0.0.1:5", "socket,id=a,mcast=230.0.0.1:0",
    "socket,id=a,listen=:0,localaddr=127.0.0.1:4",
    "socket,id=a,listen=127.0.0.1:PORT1", "socket,id=a,nonesuch=1",
    "socket,id=a,udp=127.0.0.1:PORT2,localaddr=127.0.0.1:PORT1",
    "tap,id=a,fd=x", "tap,id=a,fd=999", "tap,id=a,fd=99,ifname=x",
    "tap,id=a,fd=99,script=x", "tap,id=a,fds=98:99,ifname=x",
    "tap,id=a,fds=98:99,queues=2", "tap,id=a,fd=97,fds=98:99",
    "tap,id=a,fd=97,helper=x", "tap,id=a,helper=x,ifname=y",
    "tap,id=a,queues=x", "tap,id=a,sndbuf=x", "tap,id=a,vhost=x",
    "tap,id=a,poll-us=x", "tap,id=a,vnet_hdr=maybe", "bridge,id=a,nonesuch=1",
    "hubport,id=a", "hubport,id=a,hubid=x")) + every(nested, (
    "stream", "stream,addr.type=inet", "stream,addr.type=x",
    "stream,addr.type=inet,addr.host=::1", "stream,addr.host=x",
    "stream,server=on,addr.type=inet,addr.host=127.0.0.1,addr.port=PORT1",
    "stream,server=maybe,addr.type=inet,addr.host=127.0.0.1,addr.port=1",
    "stream,addr.type=unix", "stream,addr.type=fd",
    "dgram", "dgram,local.type=inet", "dgram,local.type=x",
    "dgram,local.type=inet,local.host=127.0.0.1,local.port=PORT1",
    "dgram,local.type=unix,local.path=/nonesuch/a",
    "dgram,local.type=unix,local.path=/nonesuch/a,remote.type=inet,"
    "remote.host=127.0.0.1,remote.port=5",
    "dgram,remote.type=inet,remote.host=127.0.0.1,remote.port=5",
    "dgram,remote.type=inet,remote.host=230.0.0.1,remote.port=PORT2",
    "dgram,local.type=fd,local.str=999", "dgram,local.type=fd,"
    "local.str=99,remote.type=inet,remote.host=127.0.0.1,remote.port=5",
    "dgram,local.type=inet,local.host=127.0.0.1,local.port=PORT1,"
    "remote.type=inet,remote.host=127.0.0.1,remote.port=PORT2")) + [
        # a hub of the peer's stays when its ports have gone
        hmp("netdev_add hubport,id=a,hubid=3"), INFO,
        hmp("netdev_add hubport,id=b,hubid=3"), INFO,
        hmp("netdev_add hubport,id=c,hubid=3,netdev=nonesuch")]

CARDS_ARGS = [
    "-machine", "pc", "-m", "32", "-netdev", "user,id=n0", "-device",
    "virtio-net-pci,netdev=n0,id=v0", "-netdev", "hubport,id=n1,hubid=7",
    "-device", "e1000,netdev=n1,id=e0,mac=52:54:00:00:00:99", "-netdev",
    "hubport,id=n2,hubid=7", "-device", "rtl8139,netdev=n2,addr=9",
    "-netdev", "user,id=n3,restrict=on",
    "-device", "virtio-net-pci,mq=on,mac=52:54:00:12:34:57",
]
CARDS = [
    INFO, q("query-rx-filter"), q("query-rx-filter", name="v0"),
    q("query-rx-filter", name="e0"), q("query-rx-filter", name="n0"),
    q("query-rx-filter", name="nonesuch"), hmp("info usernet"),
    q("set_link", name="v0", up=False), q("set_link", name="n0", up=False),
    INFO, q("set_link", name="v0", up=True), q("set_link", name="n0", up=True),
    hmp("set_link e0 off"), hmp("set_link e0"), hmp("set_link nonesuch on"),
    hmp("set_link rtl8139.0 on"), hmp("set_link e0 on"),
    q("qom-get", path="e0", property="mac"),
    q("qom-get", path="e0", property="netdev"),
    q("qom-get", path="v0", property="netdev"),
    q("qom-set", path="e0", property="mac", value="52:54:00:00:00:01"),
    q("netdev_del", id="v0"),
    q("device_add", driver="e1000", id="x", netdev="nonesuch"),
    q("device_add", driver="e1000", id="x", netdev="n0"),
    q("device_add", driver="e1000", id="x", mac="zz"),
    q("device_add", driver="e1000", id="x", mac="52:54:00:00:00"),
    q("device_add", driver="virtio-net-pci", id="x", rx_queue_size=100),
    q("device_add", driver="virtio-net-pci", id="x", tx_queue_size=100),
    q("device_add", driver="virtio-net-pci", id="x", rx_queue_size=2048),
    q("device_add", driver="virtio-net-pci", id="x", tx_queue_size=2048),
    q("device_add", driver="virtio-net-pci", id="x", tx="nonesuch"),
    q("device_add", driver="virtio-net-pci", id="x", duplex="nonesuch"),
    q("device_add", driver="virtio-net-pci", id="x", speed=-5),
    q("device_add", driver="virtio-net-pci", id="x", host_mtu=70000),
    q("device_add", driver="virtio-net-pci", id="x", failover=True),
    q("device_add", driver="virtio-net-pci", id="x", netdev="n3",
      host_mtu=1400, speed=10000, duplex="full", tx="timer", vectors=4), INFO,
    q("query-rx-filter", name="x"), q("netdev_del", id="n3"), INFO,
    q("announce-self", initial=50, max=550, rounds=0, step=50),
    q("announce-self", initial=50, max=550, rounds=2, step=50, id="a",
      interfaces=["v0"]),
    q("announce-self", initial=0, max=550, rounds=2, step=50, id="a"),
    q("announce-self", initial=50, max=5, rounds=2, step=50),
    hmp("announce_self"), hmp("announce_self nonesuch"),
    hmp("announce_self v0 a"),
    *(q("qom-list-properties", typename=t) for t in (
        "e1000", "e1000-82544gc", "rtl8139", "virtio-net-pci")),
    *(q("device-list-properties", typename=t) for t in (
        "e1000", "e1000-82545em", "rtl8139", "virtio-net-pci")),
]

SESSIONS = {"user": (["-machine", "none"], USER),
            "backends": (["-machine", "none"], BACKENDS),
            "cards": (CARDS_ARGS, CARDS)}
SESSIONS["default"] = (["-machine", "pc"], [INFO, USERNET, q("query-pci")])
SESSIONS["old"] = (["-machine", "pc", "-net", "nic,model=rtl8139", "-net",
                    "user,net=10.9.0.0/24,hostfwd=tcp:"
                    "127.0.0.1:0-:1,hostfwd=udp:127.0.0.1:0-:2", "-net", "nic,macaddr=52:54:00:00:00:01",
                    "-nic", "user,model=virtio,mac=52:54:00:00:00:02", "-nic",
                    "user,id=b,model=e1000-82545em"],
                   [INFO, USERNET, q("query-rx-filter")])

# The command line: what ends at once, or is accepted (QMP's quit follows).
LINES = [x.split() for x in (
    "-netdev", "-netdev help", "-netdev nonesuch,id=a", "-netdev user",
    "-netdev user,id=1", "-netdev user,id=a -netdev user,id=a", "-nic help",
    "-nic none", "-nic model=help", "-nic user,model=help", "-nic user",
    "-nic user,model=nonesuch", "-nic hubport", "-nic nic", "-nic none,id=1",
    "-nic user,mac=zz", "-nic user,mac=01:00:00:00:00:01", "-nic user,id=a -nic"
    " user,id=a", "-nic user,addr=99", "-nic user,vectors=x",
    "-nic user,nonesuch=1", "-nic tap,fd=99", "-net", "-net none", "-net nic",
    "-net nic,model=help", "-net nic,model=nonesuch", "-net nic,netdev=x",
    "-net nic,nonesuch=x", "-net user,nonesuch=x", "-net user", "-net help",
    "-net nic -net none", "-net nonesuch", "-net user -net user",
    "-net nic,macaddr=zz", "-device e1000,netdev=x", "-device virtio-net,help",
    "-device virtio-net-pci,mq=maybe", "-netdev user,id=a -device e1000,"
    "netdev=a -device e1000,netdev=a", "-device e1000,mac=1",
    "-netdev user,id=a -net nic,netdev=a,model=virtio",
    "-netdev user,id=a", "-device rtl8139",
    "-object filter-dump,id=f", "-object filter-dump,id=f,netdev=x",
    "-object filter-dump,id=f,netdev=x,file=/nonesuch/f",
    "-netdev user,id=a -object filter-dump,id=f,netdev=a,file=/nonesuch/f",
    "-netdev user,id=a -object filter-dump,id=f,netdev=a,file=/dev/null,"
    "queue=nonesuch", "-netdev user,id=a -object filter-dump,id=f,netdev=a,"
    "file=/dev/null,position=x", "-netdev user,id=a -object filter-dump,id=f,"
    "netdev=a,file=/dev/null,status=x", "-netdev user,id=a -object filter-dump,"
    "id=f,netdev=a,file=/dev/null,maxlen=0", "-redir tcp:1::2",
    "-netdev {\"type\":\"user\",\"id\":\"a\",\"hostfwd\":[{\"str\":\"x\"}]}",
    "-netdev {\"type\":\"user\",\"id\":\"a\",\"nonesuch\":1}",
    "-netdev {\"type\":\"user\"}", "-netdev {\"type\":\"nonesuch\"}",
    "-netdev {")]


def ports_free():
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(8)]
    found = [str(s.getsockname()[1]) for s in held]
    for s in held:
        s.close()
    return found


class Session(peer.Session):
    """Puts ports that are free for PORT1 to PORT4, and back in the answers."""

    ports = {}

    def __init__(self, prog, args):
        if prog not in Session.ports:
            Session.ports[prog] = [Session.free.pop() for _ in range(4)]
        self.mine = Session.ports[prog]
        super().__init__(prog, args)

    def ask(self, command):
        text = command if isinstance(command, str) else json.dumps(command)
        for i, n in enumerate(self.mine):
            text = text.replace("PORT%d" % (i + 1), n)
        answer = json.dumps(super().ask(text))
        for i, n in enumerate(self.mine):
            answer = re.sub(r"\b%s\b" % n, "PORT%d" % (i + 1), answer)
        # nobody's promise: descriptors' numbers, made-up names
        answer = re.sub(r"#net\d+", "#net", answer)
        answer = re.sub(r"(\[HOST_FORWARD\]) +\d+( +127.0.0.1) (\d+|PORT)",
                        r"\1 N\2 \3", answer)
        answer = re.sub(r"(N +127.0.0.1) \d+", r"\1 N", answer)
        return json.loads(answer)


ASKED = '{"execute":"qmp_capabilities"}\n{"execute":"quit"}\n'


def line_run(prog, accel, args):
    with tempfile.TemporaryDirectory() as folder:
        p = subprocess.run(
            [prog, "-machine", "pc,accel=" + accel, "-m", "16", "-no-user-config",
             "-S", "-display", "none", "-qmp", "stdio"] + args,
            input=ASKED, capture_output=True, text=True, timeout=60,
            cwd=folder)
    piped(prog, ASKED, p.stdout)
    out = "\n".join(x for x in p.stdout.split("\n") if not x.startswith("{"))
    said = re.sub(r"#net\d+", "#net", p.stderr)
    err = [x for x in said.split("\n") if "host doesn't support" not in x]
    return {"status": p.returncode, "out": out, "err": "\n".join(err).strip()}


def main():
    accel = peer.both()
    if not accel:
        return 0
    v = peer.Verdict("net-accepted.json")
    Session.free = ports_free()
    peer.Session = Session
    for name, (args, commands) in SESSIONS.items():
        if peer.CHOSEN and name not in peer.CHOSEN:
            continue
        more = ["-nodefaults"] if name not in ("default", "old") else []
        v.session(name, ["-accel", accel, "-no-user-config", "-display", "none",
                         "-S", "-qmp", "stdio"] + more + args, commands)
    if not peer.CHOSEN or "line" in peer.CHOSEN:
        ours = os.path.abspath(peer.OURS)
        for args in LINES:
            v.row("line", " ".join(args), line_run(ours, accel, args),
                  line_run(peer.PEER, accel, args))
    return v.end()


if __name__ == "__main__":
    sys.exit(main())
