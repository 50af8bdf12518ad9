#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Command lines (guides.list) and monitor sessions that users' guides print:
each works, or says in one message what it lacks. Arguments choose lines by
their place ("S196"); -v prints what the programs say.

Runs in a network of its own where that is allowed, as the lines name ports."""

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, "tests")
import libtern                                                   # noqa: E402
from libschema import piped                                      # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.abspath(os.environ.get("BUILD", "build"))
COMPAT = BUILD + "/compat/"
PATIENCE = 30 * int(os.environ.get("TERN_TEST_PATIENCE", "1"))
KVM = os.access("/dev/kvm", os.R_OK | os.W_OK)
VERBOSE = "-v" in sys.argv
results = []

IMAGES = [("sles/hda", "raw", "8M"), ("sles.raw", "raw", "8M"),
          ("sles_base.raw", "raw", "8M"), ("grow.raw", "raw", "2G"),
          ("image1.raw", "raw", "1M"), ("image2.raw", "raw", "1M"),
          ("image3.raw", "raw", "1M"), ("image4.raw", "raw", "1M"),
          ("cdrom.iso", "raw", "1M"), ("sles.qcow2", "qcow2", "8M"),
          ("snap.qcow2", "qcow2", "8M"), ("sle15_base.img", "raw", "8M")]
FILES = ["isos/15 SP6-Online-ARCH-GM-media1.iso", "dev/cdrom", "dev/hdb",
         "virt/usb_disk.raw", "tmp/test.img"]


def report(good, name, why=""):
    results.append(good)
    if not good or VERBOSE:
        for line in why.splitlines()[:20]:
            print("# " + line)
    print("%s %d - %s" % ("ok" if good else "not ok", len(results), name),
          flush=True)


def furnish(top):
    os.makedirs(top + "/images/sles")
    for d in ("tmp", "etc/pki/qemu", "path/to"):
        os.makedirs(top + "/" + d)
    libtern.x509_files(top + "/etc/pki/qemu")
    for name, fmt, size in IMAGES:
        subprocess.run([COMPAT + "qemu-img", "create", "-q", "-f", fmt,
                        top + "/images/" + name, size], check=True)
    for name in FILES:
        os.makedirs(os.path.dirname(top + "/" + name), exist_ok=True)
        with open(top + "/" + name, "wb") as f:
            f.truncate(1 << 20)
    subprocess.run([COMPAT + "qemu-img", "snapshot", "-c", "first",
                    top + "/images/snap.qcow2"], check=True)


def lines():
    with open(HERE + "/guides.list", encoding="utf-8") as f:
        for text in f:
            if text.strip() and not text.startswith("#"):
                parts = [p.strip() for p in text.split(";;")]
                # A list of words has single semicolons.
                yield parts[0], parts[1], parts[2].split(";"), parts[3]


def argv_of(text, top):
    text = re.sub(r"(?<![\w.:/])/(?=(images|isos|tmp|dev|virt|etc|path)/)",
                  top + "/", text)
    if not KVM:
        text = text.replace("accel=kvm", "accel=kvm:tcg")
        text = text.replace(" -enable-kvm", "")
    words = shlex.split(text)
    words[0] = COMPAT + {"qemu": "qemu-system-x86_64"}.get(words[0], words[0])
    return words


class Machine:
    """A line's machine, stopped, with one more monitor to end it by."""

    def __init__(self, words, top):
        self.path = tempfile.mktemp(dir=top + "/tmp")
        self.p = subprocess.Popen(
            words + ["-S", "-qmp", "unix:%s,server,nowait" % self.path],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, cwd=top)

    def connect(self):
        """The monitor, or None: the program has ended."""
        end = time.time() + PATIENCE
        while time.time() < end and self.p.poll() is None:
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(PATIENCE)
            try:
                s.connect(self.path)
                return s
            except OSError:
                s.close()
                time.sleep(0.02)
        return None

    def end(self):
        """Waits for the end; what was said."""
        try:
            out, err = self.p.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.p.kill()
            out, err = self.p.communicate()
            err += b"\nno end within the time limit"
        return (out + err).decode("utf-8", "replace")


ASKED = '{"execute":"qmp_capabilities"}\n{"execute":"quit"}\n'


def start(words, top):
    """(it ran, exit status, what it said)"""
    m = Machine(words, top)
    s = m.connect()
    heard = b""
    if s:
        try:
            s.sendall(ASKED.encode())
            while got := s.recv(65536):
                heard += got
        except OSError:
            pass                        # its status says how it ended
        s.close()
    said = m.end()
    # A monitor that listens is not yet one that answers.
    if b'"return"' not in heard:
        return False, m.p.returncode, said
    piped(words[0], ASKED, heard.decode())
    return True, m.p.returncode, said


def serve(argv, top):
    """(a client saw the image, exit status, what both said)"""
    p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, cwd=top,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    end = time.time() + PATIENCE
    while True:
        c = subprocess.run([COMPAT + "qemu-img", "info", "nbd://localhost"],
                           capture_output=True, text=True, timeout=PATIENCE)
        if c.returncode == 0 or p.poll() is not None or time.time() > end:
            break
        time.sleep(0.02)
    p.terminate()
    said = p.communicate(timeout=PATIENCE)[0].decode("utf-8", "replace")
    return c.returncode == 0, p.returncode, c.stdout + c.stderr + said


def one_line(place, outcome, words, text, top):
    argv = argv_of(text, top)
    program = os.path.basename(argv[0])
    if outcome == "serves":
        ran, status, said = serve(argv, top)
    elif not program.startswith("qemu-system") and program != "qemu-kvm" or \
            outcome == "prints":
        p = subprocess.run(argv, stdin=subprocess.DEVNULL, cwd=top,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           timeout=PATIENCE)
        ran, status = p.returncode == 0, p.returncode
        said = p.stdout.decode("utf-8", "replace")
    else:
        ran, status, said = start(argv, top)
    lost = [w for w in words if w.lower() not in said.lower()]
    # A line that works may go without a warning that names a modern form.
    good = {"runs": ran and status == 0,
            "prints": ran and status == 0 and not lost,
            "serves": ran and status == 0 and not lost,
            "warns": ran and status == 0 and not lost,
            "video": (ran and status == 0 and not lost) or
                     (not ran and status == 1 and
                      re.search("vga|cirrus|qxl|virtio", said)),
            "refused": not ran and status == 1 and not lost and
                       len(re.findall(r"^%s: (?!.*warning: )" %
                                      program, said, re.M)) <= 1}[outcome]
    report(bool(good), "%s: %s: %s" % (place, outcome, text[:90]),
           "status %s, %s\nlacks %s\n%s" % (
               status, "ran" if ran else "did not run", lost, said))


# What people type, and what the answer must have.
HMP = [
    ("S584", "change vnc password secret", r"^$"),
    ("S589", "drive_add 0 if=none,file=%s/tmp/test.img,format=raw,id=disk1",
     "^OK$"),
    ("S591", "info block", r"disk1.*: .*/tmp/test.img \(raw\)"),
    ("S596", "device_add ?", r'name "virtio-blk-pci", bus PCI[^$]*'
                             r'name "VGA", bus PCI'),
    ("S598", "device_add virtio-blk-pci,drive=disk1,id=myvirtio1", "^$"),
    ("S600", "info pci", r'SCSI controller: PCI device 1af4:1001[^$]*'
                         r'id "myvirtio1"'),
    ("S609", "help device_del", "device_del"),
    ("S619", "info block", r"ide1-cd0: .*[^$]*Removable device"),
    ("S619", "change ide1-cd0 %s/images/cdrom.iso raw", "^$"),
    ("S619", "info block", r"ide1-cd0.*: .*cdrom.iso"),
    ("S613", "eject ide1-cd0", "^$"),
    ("S627", "sendkey ctrl-alt-f1", "^$"),
    ("S631", "mouse_move 1 1", "^$"),
    ("S632", "mouse_button 1", "^$"),
    ("S634", "info mice", r"Mouse #\d+: .*PS/2"),
    ("S633", "mouse_set 1", ""),
    ("S644", "info balloon", "^balloon: actual="),
    ("S648", "balloon 400", "^$"),
    ("S652", 'pmemsave 0 4096 "%s/tmp/mem"', "^$"),
    ("S651", 'memsave 0 4096 "%s/tmp/vmem"', ""),
    ("S654", "x /4xb 0xfff0", r"^0*fff0: 0x"),
    ("S659", "xp /4xw 0xfffffff0", r"^0*fffffff0: 0x"),
    ("S677", "info snapshots", "snapshot"),
    ("S673", "savevm first", "saved states are not in this version"),
    ("S674", "loadvm first", "saved states are not in this version"),
    ("S675", "delvm first", "^$|does not support snapshots"),
    ("S685", "stop", "^$"), ("S686", "cont", "^$"),
    ("S687", "system_reset", "^$"), ("S688", "system_powerdown", "^$"),
    ("S707", "migrate -d tcp:127.0.0.1:1", "migration is not in this version"),
    ("S709", "migrate_cancel", "migration is not in this version"),
    ("S710", "migrate_set_downtime 1", "migration is not in this version"),
    ("S711", "migrate_set_speed 1m", "migration is not in this version"),
    ("S708", "info migrate", "migration is not in this version"),
    ("S544", "info version", "7.2"), ("S545", "info commands", "^query-kvm$"),
    ("S546", "info network", "virtio-net|e1000"),
    ("S547", "info chardev", "filename="), ("S548", "info block", "ide1-cd0"),
    ("S549", "info blockstats", "rd_bytes="),
    ("S550", "info registers", "EIP=|RIP="), ("S551", "info cpus", "CPU #0"),
    ("S552", "info history", ""), ("S553", "info irq", ""),
    ("S554", "info pic", "pic0"), ("S555", "info pci", "Bus +0"),
    ("S556", "info tlb", ""), ("S557", "info mem", ""),
    ("S558", "info jit", ""), ("S559", "info kvm", "kvm support"),
    ("S560", "info numa", "nodes"), ("S561", "info usb", ""),
    ("S562", "info usbhost", "USB is not in this version"),
    ("S563", "info profile", "profiler"),
    ("S564", "info capture", "sound cards are not in this version"),
    ("S565", "info snapshots", "snapshot"),
    ("S566", "info status", "VM status"), ("S567", "info mice", "Mouse"),
    ("S568", "info vnc", "Server|default"), ("S569", "info name", ""),
    ("S570", "info uuid", "0000"), ("S571", "info usernet", ""),
    ("S572", "info migrate", "migration is not in this version"),
    ("S573", "info balloon", "balloon"),
    ("S574", "info qtree", "bus: main-system-bus"),
    ("S575", "info qdm", "virtio"), ("S576", "info roms", "mem=|fw="),
    ("S577", "info migrate_cache_size", "migration is not in this version"),
    ("S578", "info migrate_capabilities", ""),
    ("S579", "info mtree", "memory"), ("S580", "info trace-events", ""),
    ("S793", "query-kvm", "unknown command[^$]*'info kvm'"),
]
QMP = [
    ("S729", '{ "execute": "qmp_capabilities" }', r"CommandNotFound"),
    ("S736", '{ "execute": "eject", "arguments": { "device": "ide1-cd0" } }',
     r'"return": \{\s*\}'),
    ("S787", '{ "execute": "query-kvm" }', r'"present": (true|false)'),
    ("S746", '{ "execute": "system_powerdown" }', r'"return": \{\s*\}'),
    ("R6257", '{ "execute": "human-monitor-command", "arguments": '
              '{ "command-line": "info status" } }', "VM status"),
]


def sessions(top):
    m = Machine([COMPAT + "qemu-system-x86_64", "-m", "64", "-vnc",
                 "unix:%s/tmp/vnc,password" % top, "-balloon", "virtio"], top)
    s = m.connect()
    if not s:
        report(False, "the machine of the monitor sessions", m.end())
        return
    qmp = libtern.Qmp(s, PATIENCE, m.p.args[0])
    for place, line, want in QMP:
        got = json.dumps(qmp.raw(line))
        report(bool(re.search(want, got)), "%s: %s" % (place, line), got)
    for place, line, want in HMP:
        line = line.replace("%s", top)
        text = qmp.hmp(line).strip()
        bad = "unknown" in text and not re.search("unknown|not in this", want)
        report(not bad and bool(re.search(want, text, re.M)),
               "%s: (qemu) %s" % (place, line.replace(top, "")), text)
    qmp.ask("quit")
    s.close()
    m.end()


def main():
    if not os.access(COMPAT + "qemu-system-x86_64", os.X_OK):
        print("ok 1 - guides # SKIP the program is not built\n1..1")
        return 0
    if "TERN_OWN_NET" not in os.environ and shutil.which("unshare") and \
            shutil.which("ip") and subprocess.run(
                ["unshare", "-n", "true"], stderr=subprocess.DEVNULL
            ).returncode == 0:
        os.environ["TERN_OWN_NET"] = "1"
        os.execvp("unshare", ["unshare", "-n", "sh", "-c",
                              'ip link set lo up; exec "$0" "$@"'] + sys.argv)
    chosen = [a for a in sys.argv[1:] if a != "-v"]
    with tempfile.TemporaryDirectory() as top:
        furnish(top)
        for place, outcome, words, text in lines():
            if not chosen or place in chosen:
                one_line(place, outcome, words, text, top)
        if not chosen:
            print("# %d command lines" % len(results))
        if not chosen or "sessions" in chosen:
            sessions(top)
            print("# %d lines of monitor sessions" % (len(HMP) + len(QMP)))
    print("1..%d" % len(results))
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
