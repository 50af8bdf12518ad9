# SPDX-License-Identifier: GPL-2.0-or-later
"""For tests that drive Linux from outside: Debian's generic kernel on the software
CPU, with chosen kernel modules and programs of this machine, a shell on its serial
line, and a QMP connection whose events are kept."""
import gzip
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

TERN = os.path.abspath(os.environ.get("TERN", "build/tern"))
IMG = os.path.abspath(os.environ.get("TERN_IMG", "build/tern-img"))
BUILD = os.environ.get("BUILD", "build")
PATIENCE = int(os.environ.get("TEST_PATIENCE", "6"))
results = []


def check(name, ok, why=""):
    results.append(bool(ok))
    if not ok and why != "":
        print("# " + str(why).replace("\n", "\n# "))
    print("%s %d - %s" % ("ok" if ok else "not ok", len(results), name),
          flush=True)
    return ok


def skip_all(name, why):
    print("ok 1 - %s # SKIP %s\n1..1" % (name, why))
    raise SystemExit(0)


def finish():
    print("1..%d" % len(results))
    raise SystemExit(0 if all(results) else 1)


def entry(name, mode, data):
    """A member of a cpio archive, as the kernel unpacks it."""
    n = name.encode() + b"\0"
    head = b"070701" + b"".join(b"%08x" % x for x in (
        1, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(n), 0)) + n
    return (head + b"\0" * (-len(head) % 4) + data +
            b"\0" * (-len(data) % 4))


def program_files(name):
    """Paths of a program here and of the libraries it names."""
    where = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if not where:
        return []
    out = subprocess.run(["ldd", where], capture_output=True, text=True).stdout
    return [where] + re.findall(r"/\S+", out)


# The guest is asked in lines; each answer ends with a mark and the status.
SHELL = b"""stty -echo -opost 2>/dev/null
echo shell is ready
while read -r line; do
    eval "$line"
    echo "@@$?@@"
done
"""


class Kernel:
    """Kernel and initial RAM disk, made once for all guests."""

    def __init__(self, modules, programs, packaged=(), flavour="amd64"):
        """packaged: pairs of a Debian package and a program of it."""
        base = os.path.join(BUILD, "linux-" + flavour)
        meta = "linux-image-" + {"cloud": "cloud-amd64"}.get(flavour, flavour)
        subprocess.run(["sh", "scripts/linux-guest", base, flavour],
                       check=True, stdout=subprocess.DEVNULL)
        out = subprocess.run(["apt-cache", "depends", meta],
                             capture_output=True, text=True).stdout
        package = re.search(r"Depends: (linux-image-[0-9]\S*)", out).group(1)
        top = os.path.join(BUILD, "media")
        subprocess.run(["sh", "scripts/debian-unpack", top, package],
                       check=True, stdout=subprocess.DEVNULL)
        self.tmp = tempfile.mkdtemp(prefix="tern-guest-")
        self.vmlinuz = os.path.join(top, package, "boot", "vmlinuz-" +
                                    package[len("linux-image-"):])
        self.initrd = os.path.join(self.tmp, "initrd.gz")
        kos = {}
        for where, _, names in os.walk(os.path.join(top, package, "lib")):
            for n in names:
                if n.endswith(".ko"):
                    kos[n[:-3]] = os.path.join(where, n)
        files = {"/m/%s.ko" % m: kos[m] for m in modules if m in kos}
        for p in programs:
            for f in program_files(p):
                # Not in the path: busybox has some of these names itself.
                at = "/host/" + p if os.path.basename(f) == p else f
                files[at] = f
        for p, program in packaged:
            subprocess.run(["sh", "scripts/debian-unpack", top, p], check=True,
                           stdout=subprocess.DEVNULL)
            files["/host/" + program] = os.path.join(top, p, "usr/bin", program)
        with open(self.initrd, "wb") as f:
            with open(os.path.join(base, "initrd.gz"), "rb") as b:
                f.write(b.read())
            f.write(gzip.compress(self.archive(files), 1))

    @staticmethod
    def archive(files):
        blob, made = b"", set()
        for name, path in files.items():
            parts = name.strip("/").split("/")
            for i in range(1, len(parts)):
                folder = "/".join(parts[:i])
                if folder not in made:
                    made.add(folder)
                    blob += entry(folder, 0o40755, b"")
            with open(path, "rb") as f:
                blob += entry(name.strip("/"), 0o100755, f.read())
        return (blob + entry("shell.sh", 0o100755, SHELL) +
                entry("TRAILER!!!", 0, b""))

    def end(self):
        shutil.rmtree(self.tmp, ignore_errors=True)


def waited(pid):
    """Nanoseconds for which each thread of a process was ready to run and other
    programs ran instead."""
    out = {}
    try:
        for tid in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/schedstat" % (pid, tid)) as f:
                out[tid] = int(f.read().split()[1])
    except (OSError, IndexError):
        pass
    return out


class Deadline:
    """Seconds of a process, those for which it had no processor not counted: a
    loaded machine makes no test fail, a guest that hangs does."""

    def __init__(self, pid, seconds):
        self.pid, self.left = pid, seconds
        self.at, self.then = time.time(), waited(pid)

    def over(self):
        now, wait = time.time(), waited(self.pid)
        most = max((n - self.then.get(t, n) for t, n in wait.items()),
                   default=0) / 1e9
        self.left -= max(0, now - self.at - most)
        self.at, self.then = now, wait
        return self.left <= 0


class Guest:
    def __init__(self, kernel, name, args, cpus=1, mem=384, append=""):
        self.folder = kernel.tmp
        serial = os.path.join(kernel.tmp, name + ".serial")
        qmp = os.path.join(kernel.tmp, name + ".qmp")
        self.err = open(os.path.join(kernel.tmp, name + ".err"), "w+")
        self.events, self.text = [], ""
        listeners = []
        for path in (serial, qmp):
            s = socket.socket(socket.AF_UNIX)
            s.bind(path)
            s.listen(1)
            listeners.append(s)
        self.proc = subprocess.Popen(
            [TERN, "-machine", "pc", "-accel", "soft", "-m", str(mem), "-smp",
             str(cpus), "-nodefaults", "-display", "none",
             "-serial", "unix:" + serial, "-qmp", "unix:" + qmp,
             "-kernel", kernel.vmlinuz, "-initrd", kernel.initrd, "-append",
             "console=ttyS0 quiet panic=-1 run=shell.sh " + append] + args,
            stdin=subprocess.DEVNULL, stderr=self.err)
        conns = []
        for s in listeners:
            s.settimeout(60)
            conns.append(s.accept()[0])
            s.close()
        os.unlink(serial)
        os.unlink(qmp)
        # Not one file for both: a write would drop what was read ahead.
        self.line, self.qmp = conns[0], conns[1].makefile("r")
        self.qsock = conns[1]
        self.qsock.settimeout(60 * PATIENCE)
        self.check = Checker(TERN)
        self.qmp.readline()
        self.cmd("qmp_capabilities")

    # ---- QMP

    def cmd(self, verb, **args):
        request = {"execute": verb, "arguments": {
            k.replace("_", "-"): v for k, v in args.items()}}
        self.check.sent(request)
        self.qsock.sendall(json.dumps(request).encode() + b"\n")
        while True:
            answer = self.check.came(json.loads(self.qmp.readline()))
            if "event" not in answer:
                return answer
            self.events.append(answer)

    def hmp(self, text):
        return self.qcmd("human-monitor-command", {"command-line": text})

    def qcmd(self, verb, args):
        return self.cmd(verb, **args)["return"]

    def await_event(self, name, seconds=20, **data):
        """Whether such an event has come, or comes; it is taken."""
        stop, ended = Deadline(self.proc.pid, seconds * PATIENCE), False
        while True:
            for e in self.events:
                if e["event"] == name and all(
                        e.get("data", {}).get(k.replace("_", "-")) == v
                        for k, v in data.items()):
                    self.events.remove(e)
                    return e
            if stop.over() or self.proc.poll() is not None and ended:
                return None
            try:
                self.cmd("query-status")
            except (OSError, ValueError):
                ended = not self.rest()
            time.sleep(0.1)

    def rest(self):
        """Events that a program which ended has left; whether there were any."""
        n = len(self.events)
        for line in self.qmp:
            answer = self.check.came(json.loads(line))
            if "event" in answer:
                self.events.append(answer)
        return len(self.events) > n

    # ---- the shell

    def await_text(self, pattern, seconds):
        """The match of a pattern in what the guest has printed."""
        stop = Deadline(self.proc.pid, seconds * PATIENCE)
        while True:
            m = re.search(pattern, self.text)
            if m:
                before = self.text[:m.start()]
                self.text = self.text[m.end():]
                return before, m
            self.line.settimeout(1)
            try:
                got = self.line.recv(65536)
            except socket.timeout:
                if stop.over():
                    return None
                continue
            except OSError:
                got = b""
            if not got:
                return None
            self.text += got.decode(errors="replace").replace("\r", "")

    def up(self, modules=""):
        ok = self.await_text("shell is ready\n", 60)
        if ok and modules:
            self.sh("for x in %s; do insmod /m/$x.ko; done" % modules, 60)
        return ok

    def sh(self, line, seconds=60):
        """Status and output of one line for the guest's shell."""
        self.line.sendall(line.encode() + b"\n")
        got = self.await_text(r"@@(\d+)@@\n", seconds)
        if not got:
            return -1, self.text + self.errors()
        return int(got[1].group(1)), got[0]

    def errors(self):
        self.err.flush()
        self.err.seek(0)
        return self.err.read()

    def reboot(self):
        self.line.sendall(b"sync; reboot -f\n")
        return self.await_text("shell is ready\n", 60)

    def end(self):
        """Powers off; the status of the program."""
        try:
            self.line.sendall(b"sync; poweroff -f\n")
            self.line.settimeout(1)
            stop = Deadline(self.proc.pid, 60 * PATIENCE)
            while self.proc.poll() is None and not stop.over():
                try:
                    if not self.line.recv(65536):
                        break
                except socket.timeout:
                    continue
            code = self.proc.wait(30 * PATIENCE)
        except (OSError, subprocess.TimeoutExpired):
            self.proc.kill()
            code = self.proc.wait()
        self.line.close()
        self.qsock.close()
        return code
