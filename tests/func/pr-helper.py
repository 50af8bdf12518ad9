#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Persistent reservations by way of a helper process: a guest's commands to
scsi-generic, through the object pr-manager-helper, to tern-pr-helper, and with
the peer's programs on either side. The SCSI disk is made by sg-device.c. The
guest is this program, which drives virtio-scsi over qtest."""
import array
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, "tests")
import libtern                                                   # noqa: E402
from libvscsi import Scsi                                       # noqa: E402

TERN = os.path.abspath(os.environ.get("TERN", "build/tern"))
BUILD = os.path.dirname(TERN)
HELPER = os.path.join(BUILD, "tern-pr-helper")
PEER = shutil.which("qemu-system-x86_64")
PEER_HELPER = shutil.which("qemu-pr-helper")
COMPAT = os.path.join(BUILD, "compat", "qemu-pr-helper")
tmp = tempfile.mkdtemp(prefix="tern-pr-")
SHIM = tmp + "/sg-device.so"
SOCK = tmp + "/pr.sock"
HALT = tmp + "/halt"
results = []


def check(name, ok, why=""):
    results.append(bool(ok))
    if not ok:
        print("# " + str(why).replace("\n", "\n# "))
    print("%s %d - %s" % ("ok" if ok else "not ok", len(results), name),
          flush=True)


def shim_env(pr):
    env = dict(os.environ, LD_PRELOAD=SHIM)
    env.pop("SG_DEVICE_PR", None)
    if pr:
        env["SG_DEVICE_PR"] = "1"
    # A sanitizer's library need not be the first.
    env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + \
        ":verify_asan_link_order=0"
    return env


def wait_for(what, seconds=20):
    stop = time.time() + seconds
    while time.time() < stop:
        got = what()
        if got:
            return got
        time.sleep(0.02)
    return None


def connects(path):
    s = socket.socket(socket.AF_UNIX)
    try:
        s.connect(path)
    except OSError:
        s.close()
        return None
    return s


def helper_start(prog):
    p = subprocess.Popen([prog, "-k", SOCK], env=shim_env(True),
                         stderr=subprocess.DEVNULL)

    def up():
        s = connects(SOCK)
        if s:
            s.close()
        return s is not None
    wait_for(up)
    return p


def stop(p):
    p.terminate()
    try:
        return p.wait(20)
    except subprocess.TimeoutExpired:
        p.kill()
        return p.wait()


# ---- a guest

class Emulator(Scsi):
    """virtio-scsi with one scsi-generic, QMP and a qtest driver."""

    def __init__(self, prog, device="scsi-generic"):
        names = ("qtest", "qmp")
        listeners = []
        for n in names:
            s = socket.socket(socket.AF_UNIX)
            s.bind("%s/%s" % (tmp, n))
            s.listen(1)
            s.settimeout(60)
            listeners.append(s)
        self.log = open(tmp + "/log", "w+")
        self.proc = subprocess.Popen(
            [prog, "-machine", "pc", "-accel", "tcg", "-m", "16", "-bios", HALT,
             "-nodefaults", "-display", "none",
             "-qtest", "unix:%s/qtest" % tmp, "-qmp", "unix:%s/qmp" % tmp,
             "-object", "pr-manager-helper,id=pr,path=" + SOCK,
             "-blockdev", json.dumps({
                 "driver": "host_device", "filename": "/dev/null",
                 "node-name": "d", "pr-manager": "pr"}),
             "-device", "virtio-scsi-pci,addr=5", "-device",
             device + ",drive=d"],
            env=shim_env(False), stdin=subprocess.DEVNULL, stderr=self.log)
        conns = []
        for n, s in zip(names, listeners):
            try:
                conns.append(s.accept()[0])
            except socket.timeout:
                self.proc.kill()
                self.proc.wait()
                self.log.seek(0)
                raise RuntimeError(self.log.read())
            s.close()
            os.unlink("%s/%s" % (tmp, n))
            conns[-1].settimeout(60)
        self.qtest = conns[0].makefile("rw")
        self.qmp = libtern.Qmp(conns[1], 60, prog)
        self.cmd = self.qmp.ask
        self.bring_up()

    @property
    def events(self):
        return [e["data"] for e in self.qmp.events
                if e["event"] == "PR_MANAGER_STATUS_CHANGED"]

    def ask_all(self, lines):
        self.qtest.write("".join(x + "\n" for x in lines))
        self.qtest.flush()
        answers = []
        while len(answers) < len(lines):
            words = self.qtest.readline().split()
            if not words:
                raise RuntimeError("the emulator has ended")
            if words[0] == "OK":
                answers.append(words[1] if len(words) > 1 else "")
        return answers

    def end(self):
        self.proc.kill()
        self.proc.wait()
        self.log.close()


def pr_in(action, length):
    return struct.pack(">BB5xHx", 0x5e, action, length)


def pr_out(action, length):
    return struct.pack(">BB3xIx", 0x5f, action, length)


def pair(title, prog, helper_prog, restart):
    helper = helper_start(helper_prog)
    try:
        e = Emulator(prog)
    except RuntimeError as err:
        check("%s: starts" % title, False, err)
        stop(helper)
        return
    r = e.cmd("query-pr-managers")
    check("%s: connected" % title,
          r.get("return") == [{"id": "pr", "connected": True}], r)
    for _ in range(4):                 # unit attentions
        st = e.scsi(b"\0" * 6)[0]
        if st == 0:
            break
    got = e.scsi(struct.pack(">BBBHB", 0x12, 0, 0, 36, 0), want=36)
    check("%s: INQUIRY" % title, got[0] == 0 and got[2][8:20] ==
          b"FAKE    DISK", got)
    data = os.urandom(1024)
    got = e.scsi(struct.pack(">BBIBHB", 0x2a, 0, 5, 0, 2, 0), out=data)
    back = e.scsi(struct.pack(">BBIBHB", 0x28, 0, 5, 0, 2, 0), want=1024)
    check("%s: WRITE, READ" % title, (got[0], back[0]) == (0, 0) and
          back[2] == data, (got, back[:2]))
    key = bytes(range(1, 9))
    got = e.scsi(pr_in(0, 64), want=64)
    check("%s: READ KEYS, none" % title, got[0] == 0 and
          got[2][:8] == bytes(8), got)
    got = e.scsi(pr_out(0, 24), bytes(8) + key + bytes(8))
    check("%s: REGISTER" % title, got[0] == 0, got)
    got = e.scsi(pr_in(0, 64), want=64)
    check("%s: READ KEYS, that" % title, got[0] == 0 and
          got[2][:16] == struct.pack(">II", 1, 8) + key, got)
    got = e.scsi(pr_out(0, 24), b"wrong..." + key + bytes(8))
    check("%s: RESERVATION CONFLICT" % title, got[0] == 0x18, got)
    got = e.scsi(pr_in(1, 64), want=64)
    check("%s: sense of the device" % title,
          got[0] == 2 and (got[1][2], got[1][12]) == (5, 0x24), got)
    if restart:
        stop(helper)
        helper = helper_start(helper_prog)
        got = e.scsi(pr_in(0, 64), want=64)
        check("%s: after a restart of the helper" % title, got[0] == 0 and
              got[2][:8] == bytes(8), got)
        wait_for(lambda: e.cmd("query-status") and len(e.events) >= 2, 5)
        check("%s: events tell of it" % title, e.events[-2:] == [
            {"id": "pr", "connected": False}, {"id": "pr", "connected": True}],
            e.events)
        stop(helper)
        got = e.scsi(pr_in(0, 64), want=64)
        check("%s: without a helper the command fails" % title,
              got[0] not in (0, None), got)
        r = e.cmd("query-pr-managers")
        check("%s: and is known to be gone" % title,
              r.get("return") == [{"id": "pr", "connected": False}], r)
        r = e.cmd("object-del", id="pr")
        check("%s: in use" % title, "in use" in
              r.get("error", {}).get("desc", ""), r)
        helper = helper_start(helper_prog)
    e.end()
    stop(helper)


def block():
    """scsi-block sends the guest's commands on in the same way."""
    helper = helper_start(HELPER)
    try:
        e = Emulator(TERN, "scsi-block")
    except RuntimeError as err:
        check("scsi-block: starts", False, err)
        stop(helper)
        return
    for _ in range(4):                 # unit attentions
        if e.scsi(b"\0" * 6)[0] == 0:
            break
    got = e.scsi(struct.pack(">BBBHB", 0x12, 0, 0, 36, 0), want=36)
    check("scsi-block: INQUIRY", got[0] == 0 and got[2][8:20] ==
          b"FAKE    DISK", got)
    data = os.urandom(512)
    got = e.scsi(struct.pack(">BBIBHB", 0x2a, 0, 9, 0, 1, 0), out=data)
    back = e.scsi(struct.pack(">BBIBHB", 0x28, 0, 9, 0, 1, 0), want=512)
    check("scsi-block: WRITE, READ", (got[0], back[0]) == (0, 0) and
          back[2] == data, (got, back[:2]))
    got = e.scsi(struct.pack(">BBIBHB", 0x28, 0, 64, 0, 1, 0), want=512)
    check("scsi-block: the device's sense", got[0] == 2 and
          (got[1][2], got[1][12]) == (5, 0x21), got)
    got = e.scsi(pr_in(0, 64), want=64)
    check("scsi-block: READ KEYS by the helper", got[0] == 0, got)
    e.end()
    stop(helper)


# ---- the helper alone

def exact(s, n):
    got = b""
    while len(got) < n:
        more = s.recv(n - len(got))
        if not more:
            break
        got += more
    return got


def talk(path, cdb, mode=os.O_RDWR, fds=1, features=0, out=b""):
    """What the helper answers to one request."""
    s = connects(path)
    s.settimeout(20)
    held = [os.open("/dev/null", mode) for _ in range(fds)]
    try:
        first = exact(s, 4)
        s.sendall(struct.pack(">I", features))
        s.sendmsg([cdb], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                           array.array("i", held))] if held else [])
        if out:
            s.sendall(out)
        head = exact(s, 104)
        if len(head) < 104:
            return first, None
        return first, (head[3], head[8:26],
                       exact(s, struct.unpack(">I", head[4:8])[0]))
    except (BrokenPipeError, ConnectionResetError):
        return b"", None
    finally:
        for fd in held:
            os.close(fd)
        s.close()


def alone(title, prog):
    helper = helper_start(prog)
    cdb = (pr_in(0, 64) + bytes(6), pr_out(0, 24) + bytes(6))
    first, r = talk(SOCK, cdb[0])
    check("%s: READ KEYS" % title, first == bytes(4) and r == (
        0, bytes(18), bytes(8)), (first, r))
    r = talk(SOCK, cdb[1], os.O_RDONLY, out=bytes(24))[1]
    check("%s: OUT needs a descriptor for writing" % title,
          r and r[0] == 2 and (r[1][2], r[1][12]) == (5, 0x20), r)
    for what, args in (
            ("another command", {"cdb": b"\x12" + bytes(15)}),
            ("too much data", {"cdb": pr_in(0, 8193) + bytes(6)}),
            ("too many parameters", {"cdb": pr_out(0, 8193) + bytes(6)}),
            ("no descriptor", {"cdb": cdb[0], "fds": 0}),
            ("unknown features", {"cdb": cdb[0], "features": 4})):
        check("%s: %s ends the connection" % (title, what),
              talk(SOCK, **args)[1] is None)
    many = [connects(SOCK) for _ in range(20)]
    check("%s: twenty clients" % title, all(many) and
          all(exact(s, 4) == bytes(4) for s in many) and
          talk(SOCK, cdb[0])[1] is not None)
    for s in many:
        s.close()
    check("%s: still there" % title, talk(SOCK, cdb[0])[1] is not None)
    check("%s: ends on SIGTERM" % title, stop(helper) in (0, -signal.SIGTERM))
    check("%s: takes its socket along" % title, prog == PEER_HELPER or
          not os.path.exists(SOCK))


def command(*args, **kw):
    return subprocess.run(args, capture_output=True, text=True, timeout=60, **kw)


def life():
    """Command line, background, socket activation, rights."""
    pid, path = tmp + "/pid", tmp + "/b.sock"
    r = command(HELPER, "-d", "-f", pid, "-k", path)
    check("in the background: the parent ends", r.returncode == 0, r)
    with open(pid) as f:
        number = int(f.read())
    s = connects(path)
    check("in the background: serves", s and exact(s, 4) == bytes(4))
    s.close()
    os.kill(number, signal.SIGTERM)
    check("in the background: ends, and its files go", wait_for(
        lambda: not os.path.exists(pid) and not os.path.exists(path)))
    l = socket.socket(socket.AF_UNIX)
    l.bind(path)
    l.listen(5)
    p = subprocess.Popen(
        ["sh", "-c", "LISTEN_PID=$$ LISTEN_FDS=1 exec %s 3<&0" % HELPER],
        stdin=l)
    s = connects(path)
    s.settimeout(20)
    check("socket activation", exact(s, 4) == bytes(4))
    s.close()
    stop(p)
    check("socket activation: the socket stays", os.path.exists(path))
    l.close()
    for want, args in (
            ("unrecognized option '--bogus'", ("--bogus",)),
            ("invalid user 'no such'", ("-k", path, "-u", "no such")),
            ("invalid group 'no such'", ("-k", path, "-g", "no such")),
            ("Failed to bind socket to /nonexistent/x: No such file or "
             "directory", ("-k", "/nonexistent/x"))):
        r = command(HELPER, *args)
        check("refused: " + want, r.returncode == 1 and
              r.stderr.startswith("tern-pr-helper: " + want), r)
    if os.path.exists(COMPAT):
        r = command(COMPAT, "-V")
        check("version under the other name", r.stdout.startswith(
            "qemu-pr-helper 7.2.22"), r)
    if os.geteuid():
        check("drops rights # SKIP not root", True)
        return
    os.chmod(tmp, 0o755)
    p = subprocess.Popen([HELPER, "-k", path, "-u", "nobody"],
                         env=shim_env(True))
    s = wait_for(lambda: connects(path))
    s.settimeout(20)
    exact(s, 4)
    with open("/proc/%d/status" % p.pid) as f:
        status = dict(x.split(":", 1) for x in f.read().splitlines())
    check("drops rights: user", status["Uid"].split()[0] != "0", status)
    check("drops rights: keeps one capability at most",
          int(status["CapPrm"], 16) & ~(1 << 17) == 0 and
          int(status["CapEff"], 16) & ~(1 << 17) == 0 and
          status["NoNewPrivs"].strip() == "1", status)
    s.close()
    stop(p)


def main():
    cc = os.environ.get("CC", "cc").split()
    if not os.path.exists(HELPER):
        print("ok 1 - pr-helper # SKIP tern-pr-helper is not built\n1..1")
        return
    with open(HALT, "wb") as f:        # cli; hlt; jmp back
        f.write(bytes(65520) + b"\xfa\xf4\xeb\xfd" + bytes(12))
    try:
        subprocess.run(cc + ["-shared", "-fPIC", "-O1", "-o", SHIM,
                             "tests/func/sg-device.c", "-ldl"], check=True)
        alone("tern-pr-helper", HELPER)
        life()
        block()
        pair("tern, tern-pr-helper", TERN, HELPER, True)
        if PEER and PEER_HELPER:
            alone("qemu-pr-helper", PEER_HELPER)
            pair("tern, qemu-pr-helper", TERN, PEER_HELPER, True)
            pair("qemu, tern-pr-helper", PEER, HELPER, False)
        else:
            check("the peer's programs # SKIP not installed", True)
    finally:
        shutil.rmtree(tmp, ignore_errors=True)
    print("1..%d" % len(results))
    sys.exit(0 if all(results) else 1)


main()
