#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""-dry-run tells every problem and starts nothing; -print-config writes a file
that makes the same machine, down to the properties of its devices."""

import json
import os
import re
import subprocess
import sys
import tempfile

import libtold

TERN = os.path.abspath(os.environ.get("BUILD", "build")) + "/tern"
PATIENCE = 60 * int(os.environ.get("TERN_TEST_PATIENCE", "1"))
BASE = ["-accel", "qtest", "-m", "64", "-display", "none", "-nic", "none"]
results = []


def report(good, name, why=""):
    results.append(bool(good))
    if not good:
        print("# " + str(why)[:3000].replace("\n", "\n# "))
    print("%s %d - %s" % ("ok" if good else "not ok", len(results), name),
          flush=True)


def run(*args):
    p = subprocess.run([TERN, *args], stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       timeout=PATIENCE)
    return p.returncode, p.stdout.decode(), p.stderr.decode()


def machine_tree(args):
    """What people see of all devices and memory."""
    qmp = libtold.Qmp([TERN] + args + ["-S"])
    text = "".join(str(qmp.get("human-monitor-command", command_line=c))
                   for c in ("info qtree", "info mtree -f", "info block",
                             "info chardev", "info numa"))
    qmp.kill()
    text = re.sub(r"#block\d+", "#block", text)
    return re.sub(r"(?m)^compat_monitor\d.*\n", "", text)


def same_machine(name, args):
    rc, first, err = run(*BASE, *args, "-print-config")
    with open("first.cfg", "w", encoding="utf-8") as f:
        f.write(first)
    rc2, second, err2 = run("-readconfig", "first.cfg", "-print-config")
    report(rc == 0 and rc2 == 0 and first == second,
           "%s: what was printed prints the same" % name,
           "%s %s\n%s" % (err, err2, second))
    one = machine_tree(BASE + args)
    two = machine_tree(["-readconfig", "first.cfg"])
    lost = [ln for ln in one.splitlines() if ln not in two.splitlines()]
    report(one == two, "%s: and makes the same machine" % name,
           "\n".join(lost[:20]))


# A word of each message that the test below provokes.
FOUND = {
    "-machine": ".acpo' not found", "hpet": "hpet", "-cpu": "'Haswel'",
    "-m": "-m", "-smp": "cors", "-boot": "'mneu'", "-accel": "kvmm",
    "-numa": "'nod'", "-netdev": "'usr'", "-drive": "'virtoi'",
    "-blockdev": "'qcow22'", "-bios": "no-such", "-vga": "cirus",
    "-rtc": "'bas'", "-serial": "nul", "-fw_cfg": "name", "-d": "nonesuch",
    "-kernel": "kernel", "-device": "'zz'", "-name": "proces",
    "-display": "'vnx'", "-vnc": "pasword"}


def dry_runs():
    rc, out, err = run(*BASE, "-dry-run")
    report(rc == 0 and "no problem" in out, "nothing is wrong", out + err)
    bad = ["-devise", "x", "-device", "foo", "-device",
           "virtio-blk-pci,nonesuch=1", "-chardev", "foo,id=x", "-object",
           "bar,id=b"]
    rc, out, err = run(*BASE, "-dry-run", *bad)
    found = [ln for ln in err.splitlines() if ln.startswith("tern: ")]
    report(rc == 1 and len(found) == 5, "five problems are five", err)
    rc, out, err = run(*BASE, "-dry-run=json", *bad, "-full-screen")
    rows = json.loads(out)
    report(rc == 1 and not err and
           [r["severity"] for r in rows].count("error") == 5 and
           [r["severity"] for r in rows].count("warning") == 1 and
           any("Did you mean '-device'" in r.get("hint", "") for r in rows) and
           all(set(r) <= {"severity", "where", "message", "hint"}
               for r in rows), "and as JSON", out + err)
    many = {"-machine": "pc,acpo=on,hpet=of", "-cpu": "Haswel", "-m": "x",
            "-smp": "cors=2", "-boot": "mneu=on", "-accel": "kvmm",
            "-numa": "nod", "-netdev": "usr,id=n", "-drive": "if=virtoi",
            "-blockdev": "qcow22,node-name=n", "-bios": "no-such",
            "-vga": "cirus", "-rtc": "bas=utc", "-serial": "nul",
            "-fw_cfg": "nme=x", "-d": "nonesuch", "-kernel": "no-such",
            "-device": "virtio-net-pci,netdev=zz", "-name": "proces=x",
            "-display": "vnx", "-vnc": ":1,pasword=on"}
    rc, out, err = run("-dry-run=json", *sum(many.items(), ()))
    rows = json.loads(out)
    said = [r["message"] for r in rows if r["severity"] == "error"]
    wrong = [k for k, v in FOUND.items() if not any(v in t for t in said)]
    report(rc == 1 and not wrong and len(said) == len(FOUND),
           "%d problems of all parts are found at once" % len(FOUND),
           "lacks %s\n%s%s" % (wrong, "\n".join(said), err))
    hints = " ".join(r.get("hint", "") for r in rows)
    near = ("acpi", "Haswell", "cores", "menu", "kvm", "node", "user", "virtio",
            "qcow2", "cirrus", "base", "null", "process", "vnc", "password")
    lacks = [n for n in near if "'%s'" % n not in hints]
    report(not lacks, "and what may have been meant is told", str(lacks))
    rc, out, err = run(*BASE, "-dry-run=xml")
    report(rc == 1 and "neither text nor json" in err, "a third form", err)
    rc, out, err = run(*BASE, "-dry-run", "-chardev",
                       "socket,id=s,path=sock,server=on", "-daemonize",
                       "-pidfile", "pid")
    report(rc == 0 and not os.path.exists("pid"),
           "no client is waited for, no file made", err)


def main():
    if not os.access(TERN, os.X_OK):
        print("ok 1 - whole configurations # SKIP tern is not built\n1..1")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for name in ("a.img", "b.img"):
            with open(name, "wb") as f:
                f.truncate(1 << 20)
        dry_runs()
        same_machine("the default machine", [])
        same_machine("none", ["-machine", "none"])
        same_machine("an old one", ["-machine", "pc-i440fx-2.1,hpet=off",
                                    "-hda", "a.img", "-no-acpi"])
        same_machine("many devices", [
            "-nodefaults", "-smp", "2,sockets=2,maxcpus=4", "-cpu",
            "qemu64,+avx", "-name", "x", "-boot", "order=dc,menu=on",
            "-uuid", "12345678-1234-1234-1234-123456789abc",
            "-drive", "if=none,id=d0,file=a.img,format=raw,cache=none",
            "-device", "virtio-blk-pci,drive=d0,id=vb,bootindex=1,addr=7",
            "-blockdev", '{"driver":"raw","node-name":"n","file":'
            '{"driver":"file","filename":"b.img"}}',
            "-device", "ide-hd,drive=n,serial=abc",
            "-object", "iothread,id=io", "-device",
            "virtio-scsi-pci,iothread=io,id=s0", "-device",
            "virtio-rng-pci,max-bytes=100,period=1000",
            "-chardev", "null,id=c", "-device", "isa-serial,chardev=c",
            "-device", "virtio-balloon-pci", "-device", "pci-bridge,id=br,"
            "chassis_nr=1", "-device", "pci-testdev,bus=br,addr=1",
            "-global", "isa-debugcon.iobase=0x402", "-rtc", "base=localtime"])
        os.chdir("/")
    print("1..%d" % len(results))
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    sys.exit(main())
