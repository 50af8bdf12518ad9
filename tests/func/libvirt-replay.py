#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What libvirt 9.0 sends when it probes an emulator, starts a domain and works on
it, sent without libvirt: each reply has the members, of the same JSON types, that
qemu-system-x86_64 7.2 gave it (libvirt-traffic.json, where a member with '?' is
not in all elements). A type that is asked about and is not here is an error of
class DeviceNotFound, as libvirt needs it."""

import array
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, "tests")
from libschema import Checker                                    # noqa: E402

BUILD = os.environ.get("BUILD", "build")
OURS = os.environ.get("EMULATOR") or BUILD + "/compat/qemu-system-x86_64"
IMG = os.environ.get("TERN_IMG", BUILD + "/tern-img")
PATIENCE = 60 * int(os.environ.get("TERN_TEST_PATIENCE", "1"))
HERE = os.path.dirname(os.path.abspath(__file__))
# Members that the peer does not have: caches of a qcow2 image.
MORE = re.compile("(l2|refcount)-cache-(size|used)")
# libvirt asks these only where such types are listed.
ASKED_FOR = {"query-sev-capabilities": "sev-guest",
             "query-sgx-capabilities": "sgx-epc"}
results = []


def check(name, ok, why=""):
    results.append(bool(ok))
    if not ok and why != "":
        print("# " + str(why)[:1500].replace("\n", "\n# "))
    print("%s %d - %s" % ("ok" if ok else "not ok", len(results), name),
          flush=True)


class Client:
    def __init__(self, path):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(PATIENCE)
        self.s.connect(path)
        self.f = self.s.makefile("rb")
        self.check = Checker(OURS)
        self.greeting = json.loads(self.f.readline())

    def call(self, name, args=None, fd=None):
        q = {"execute": name, "id": "libvirt-1"}
        if args is not None:
            q["arguments"] = args
        self.check.sent(q)
        data = json.dumps(q).encode() + b"\r\n"
        if fd is None:
            self.s.sendall(data)
        else:
            self.s.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                                     array.array("i", [fd]))])
        while True:
            line = self.f.readline()
            if not line:
                return {"error": {"class": "gone", "desc": "it ended"}}
            m = self.check.came(json.loads(line))
            if "event" not in m:
                return m


def letter(v):
    for kind, name in ((bool, "b"), (int, "i"), (float, "n"), (str, "s")):
        if isinstance(v, kind):
            return name
    return "z" if v is None else type(v).__name__


def differences(want, got, at, out):
    """What of `got` has not the shape `want`."""
    if isinstance(want, dict):
        if not isinstance(got, dict):
            out.append("%s: %s, no object" % (at, letter(got)))
            return
        names = {k.rstrip("?"): k for k in want}
        for k, full in names.items():
            if k in got:
                differences(want[full], got[k], at + "." + k, out)
            elif full == k:
                out.append("%s.%s is missing" % (at, k))
        out.extend("%s.%s is nothing libvirt was told of" % (at, k)
                   for k in got if k not in names and
                   not MORE.fullmatch(k))
    elif isinstance(want, list):
        if not isinstance(got, list):
            out.append("%s: %s, no list" % (at, letter(got)))
            return
        for i, v in enumerate(got):
            if want:
                differences(want[0], v, "%s[%d]" % (at, i), out)
    elif letter(got) not in want:
        out.append("%s: %s, not %s" % (at, letter(got), want))


def conforms(call, reply):
    """None, or what is wrong with it."""
    if "error" in call:
        got = reply.get("error", {}).get("class")
        return None if got == call["error"] else "%s, not an error of class " \
            "%s" % (reply, call["error"])
    if "return" not in reply:
        return json.dumps(reply)
    out = []
    differences(call["return"], reply["return"], "return", out)
    return "\n".join(sorted(set(out))[:12]) or None


def label(call):
    args = call.get("arguments", {})
    more = args.get("typename") or args.get("property") or args.get(
        "path") or args.get("id") or ""
    return "%s: %s %s" % (call["at"], call["execute"], more)


def probe(calls, folder):
    """As libvirt starts it to look at it: a daemon, whose parent ends when the
    monitor can be reached."""
    sock, pid = folder + "/qmp.monitor", folder + "/qmp.pid"
    kvm = os.access("/dev/kvm", os.R_OK | os.W_OK)
    rc = subprocess.run(
        [OURS, "-S", "-no-user-config", "-nodefaults", "-nographic", "-machine",
         "none,accel=" + ("kvm:tcg" if kvm else "tcg"), "-qmp",
         "unix:%s,server=on,wait=off" % sock, "-pidfile", pid, "-daemonize"],
        stdin=subprocess.DEVNULL, timeout=PATIENCE, check=False).returncode
    check("the parent of the daemon ends well", rc == 0, rc)
    c = Client(sock)
    with open(pid) as f:
        number = int(f.read())
    check("its number is in the file", os.path.exists("/proc/%d" % number))
    types = None
    for call in calls:
        reply = c.call(call["execute"], call.get("arguments"))
        name = call.get("arguments", {}).get("typename")
        if call["execute"] == "qom-list-types" and "return" in reply:
            types = {t["name"] for t in reply["return"]}
        if call["execute"] == "query-cpu-model-expansion" and not kvm:
            continue                   # "host" is the host's
        if types and ASKED_FOR.get(call["execute"], "") not in types | {""}:
            continue
        if name and types is not None and name not in types:
            # libvirt asks for some without looking at the list
            call = dict(call, error="DeviceNotFound")
        if call["execute"] != "qmp_capabilities" or not c.greeting.get("done"):
            c.greeting["done"] = True
            why = conforms(call, reply)
            check(label(call), why is None, why)
    c.call("quit")


class Domain:
    """As libvirt starts it: monitor and channel are sockets it listens on."""

    def __init__(self, argv, folder, tcg):
        self.folder = folder
        fds, words = [], []
        for name in ("MON", "CHANNEL"):
            s = socket.socket(socket.AF_UNIX)
            s.bind(folder + "/" + name)
            s.listen(1)
            fds.append(s)
        for w in argv:
            w = w.replace("@MON", str(fds[0].fileno()))
            w = w.replace("@CHANNEL", str(fds[1].fileno()))
            words.append(w.replace("@/", folder + "/"))
        if tcg:
            words[words.index("-accel") + 1] = "tcg"
        self.p = subprocess.Popen([OURS, *words], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL,
                                  pass_fds=[s.fileno() for s in fds])
        for s in fds:
            s.close()
        self.c = Client(folder + "/MON")

    def call(self, call):
        args = call.get("arguments")
        if args is not None:
            args = json.loads(json.dumps(args).replace("@/",
                                                       self.folder + "/"))
        if call["execute"] == "getfd":
            fd = os.open("/dev/null", os.O_WRONLY)
            reply = self.c.call("getfd", args, fd)
            os.close(fd)
            return reply
        return self.c.call(call["execute"], args)

    def wait_dump(self):
        end = time.time() + PATIENCE
        while time.time() < end and self.c.call("query-dump")["return"][
                "status"] == "active":
            time.sleep(0.05)

    def end(self):
        self.p.terminate()             # as libvirt does; -no-shutdown is given
        return self.p.wait(PATIENCE)


def files_make(folder):
    for name in ("pc", "hot", "lx"):
        subprocess.run([IMG, "create", "-q", "-f", "qcow2",
                        "%s/%s.qcow2" % (folder, name), "64M"], check=True)
    for name in ("a.iso", "b.iso", "hot.raw"):
        with open(folder + "/" + name, "wb") as f:
            f.truncate(4 << 20)
    with open(folder + "/master-key.aes", "wb") as f:
        f.write(os.urandom(32))


def domain(traffic, folder):
    files_make(folder)
    d = Domain(traffic["argv"], folder,
               not os.access("/dev/kvm", os.R_OK | os.W_OK))
    cpu = "/machine/unattached/device[0]"
    bad = []
    for call in traffic["calls"]:
        if call["at"] == "probe":
            continue
        if call["execute"] == "query-iothreads" and call["at"] == "start":
            for p in traffic["cpu"]:
                got = d.call({"execute": "qom-get", "arguments": {
                    "path": cpu, "property": p}}).get("return")
                if not isinstance(got, bool):
                    bad.append(p)
            check("start: qom-get of %d properties of a vCPU" %
                  len(traffic["cpu"]), not bad, " ".join(bad))
        if call["at"].startswith("67") and call["execute"] == "cont":
            d.wait_dump()
        if call["execute"] == "qmp_capabilities" and call["at"] != "start":
            d.c.f.close()              # the daemon is another one
            d.c.s.close()
            d.c = Client(folder + "/MON")
        why = conforms(call, d.call(call))
        check(label(call), why is None, why)
    check("SIGTERM ends it although it has -no-shutdown", d.end() == 0)


def main():
    if not os.access(OURS, os.X_OK) or not shutil.which(IMG):
        print("1..0 # SKIP not built")
        return 0
    with open(HERE + "/libvirt-traffic.json") as f:
        traffic = json.load(f)
    with tempfile.TemporaryDirectory(prefix="tern-replay-") as folder:
        probe([c for c in traffic["calls"] if c["at"] == "probe"], folder)
        domain(traffic, folder)
    print("1..%d" % len(results))
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
