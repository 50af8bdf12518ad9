#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""-dry-run tells every problem and starts nothing; -print-config writes a file
that makes the same machine, down to the properties of its devices."""

import difflib
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
    text = re.sub(r"vl\.\w{6}", "vl.X", re.sub(r"#block\d+", "#block", text))
    return re.sub(r"(?m)^compat_monitor\d.*\n", "", text)


def machine_answers(args):
    """What programs are told of it."""
    qmp = libtold.Qmp([TERN] + args + ["-S"])
    told = {c: qmp.get(c) for c in (
        "query-block", "query-named-block-nodes", "query-chardev",
        "query-memdev", "query-cpus-fast", "query-iothreads",
        "query-hotpluggable-cpus", "query-memory-size-summary", "query-uuid",
        "query-name", "query-vnc", "query-pci")}
    told["objects"] = qmp.get("qom-list", path="/objects")
    qmp.kill()
    told["query-chardev"] = sorted(
        (c["label"], c["filename"]) for c in told["query-chardev"]
        if not c["label"].startswith("compat_monitor"))
    text = json.dumps(told, sort_keys=True, indent=1)
    text = re.sub(r"vl\.\w{6}", "vl.X", re.sub(r"#block\d+", "#block", text))
    return re.sub(r'"(thread-id|pid)": \d+', "", text)


def changed(one, two):
    return "\n".join(difflib.unified_diff(one.splitlines(),
                                          two.splitlines(), lineterm="", n=0))


def same_machine(name, args):
    rc, first, err = run(*BASE, *args, "-print-config")
    with open("first.cfg", "w", encoding="utf-8") as f:
        f.write(first)
    rc2, second, err2 = run("-readconfig", "first.cfg", "-print-config")
    report(rc == 0 and rc2 == 0 and first == second,
           "%s: what was printed prints the same" % name,
           "%s %s\n%s" % (err, err2, second if rc2 else changed(first, second)))
    if rc or rc2:
        return
    one = machine_tree(BASE + args)
    two = machine_tree(["-readconfig", "first.cfg"])
    lost = [ln for ln in one.splitlines() if ln not in two.splitlines()]
    report(one == two, "%s: and makes the same machine" % name,
           "\n".join(lost[:20]))
    one = machine_answers(BASE + args)
    two = machine_answers(["-readconfig", "first.cfg"])
    lost = ["%s | %s" % p for p in zip(one.splitlines(), two.splitlines())
            if p[0] != p[1]]
    report(one == two, "%s: of which programs are told the same" % name,
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


MACHINES = {
    "isapc": ["-machine", "isapc", "-cpu", "486", "-drive",
              "file=a.img,format=raw,if=ide", "-device",
              "isa-debugcon,chardev=c", "-chardev", "null,id=c"],
    "isapc with little": ["-machine", "isapc", "-nodefaults", "-serial",
                          "null", "-parallel", "null", "-vga", "none"],
    "nodes": ["-smp", "4,sockets=2,cores=2", "-object",
              "memory-backend-ram,id=m0,size=32M,prealloc=on", "-object",
              "memory-backend-ram,id=m1,size=32M,share=on,merge=off", "-numa",
              "node,nodeid=0,cpus=0-1,memdev=m0", "-numa",
              "node,nodeid=1,memdev=m1", "-numa", "cpu,node-id=1,socket-id=1",
              "-numa", "dist,src=0,dst=1,val=30"],
    "topology and CPU": ["-smp", "2,sockets=2,dies=2,cores=2,threads=2,"
                         "maxcpus=16", "-cpu", "Haswell-v3,+x2apic,-aes,"
                         "vendor=AuthenticAMD,family=15,hv-time=on",
                         "-machine", "pc-i440fx-6.0,smm=off,vmport=off,"
                         "hpet=off,mem-merge=off"],
    "memory backend": ["-object", "memory-backend-memfd,id=r,size=64M,"
                       "share=on", "-machine", "pc,memory-backend=r"],
    "memory that may grow": ["-m", "64,slots=3,maxmem=1G", "-overcommit",
                             "mem-lock=off"],
    "drives": ["-drive", "file=a.img,format=raw,if=virtio,cache=writeback,"
               "werror=stop,rerror=stop", "-drive",
               "file=b.img,format=raw,if=ide,index=1,readonly=off,"
               "snapshot=on", "-drive", "if=floppy,file=c.img,format=raw",
               "-cdrom", "d.img", "-drive", "file=e.img,format=raw,if=none,"
               "id=e,copy-on-read=on", "-device", "lsi53c895a",
               "-device", "scsi-hd,drive=e,scsi-id=3",
               "-drive", "if=pflash,file=f.img,format=raw,readonly=on"],
    "limits of drives": ["-drive", "file=a.img,format=raw,if=none,id=d,"
                         "bps_rd=1000000,iops_wr=100,iops_wr_max=200,"
                         "group=g,discard=unmap,detect-zeroes=unmap",
                         "-device", "ide-hd,drive=d,wwn=0x5000c50015ea71aa",
                         "-object", "throttle-group,id=t,x-bps-total=1000"],
    "block nodes": ["-blockdev", "driver=file,filename=a.img,node-name=f",
                    "-blockdev", "driver=raw,file=f,node-name=r,offset=512",
                    "-blockdev", "driver=null-co,size=1M,node-name=z",
                    "-device", "virtio-scsi-pci,id=s", "-device",
                    "scsi-hd,drive=r,bus=s.0,scsi-id=2,lun=1", "-device",
                    "virtio-blk-pci,drive=z,num-queues=2"],
    "character devices": ["-nodefaults", "-chardev",
                          "socket,id=s,path=s.sock,server=on,wait=off,"
                          "logfile=log", "-chardev", "ringbuf,id=r,size=4096",
                          "-chardev", "file,id=f,path=out,append=on",
                          "-chardev", "udp,id=u,host=127.0.0.1,port=9",
                          "-chardev", "null,id=m,mux=on", "-serial",
                          "chardev:m", "-mon", "chardev=m,mode=readline",
                          "-serial", "chardev:s", "-device",
                          "virtio-serial-pci", "-device",
                          "virtserialport,chardev=r,name=org.x", "-device",
                          "virtconsole,chardev=f", "-parallel", "chardev:u"],
    "networks": ["-netdev", "user,id=u,net=10.1.0.0/24,restrict=on,"
                 "hostfwd=tcp:127.0.0.1:0-:22,hostfwd=udp:127.0.0.1:0-:53",
                 "-device", "e1000,netdev=u,mac=52:54:00:00:00:01,addr=9",
                 "-netdev", "hubport,id=h,hubid=1", "-device",
                 "virtio-net-pci,netdev=h,mq=off,csum=off", "-netdev",
                 "socket,id=s,udp=127.0.0.1:9,localaddr=127.0.0.1:0",
                 "-device", "rtl8139,netdev=s", "-object",
                 "filter-dump,id=fd,netdev=u,file=dump"],
    "old network options": ["-net", "nic,model=rtl8139", "-net", "user"],
    "firmware": ["-smbios", "type=0,vendor=v,version=1.2", "-smbios",
                 "type=1,manufacturer=m,product=a,,b,serial=s", "-smbios",
                 "type=11,value=x,value=y", "-fw_cfg",
                 "name=opt/a,string=hello", "-fw_cfg", "name=opt/b,file=blob",
                 "-boot", "order=nc,once=d,menu=on,splash-time=5,strict=on",
                 "-acpitable", "sig=TEST,data=blob", "-option-rom", "a.img"],
    "a kernel": ["-kernel", os.path.join(os.path.dirname(TERN),
                                         "tests/guests/demo.elf"), "-append",
                 "console=ttyS0 x=y z,w", "-no-reboot"],
    "time and ends": ["-rtc", "base=2020-01-02T03:04:05,clock=vm,"
                      "driftfix=slew", "-action", "reboot=shutdown,panic=pause",
                      "-watchdog-action", "pause", "-device",
                      "i6300esb", "-device", "ib700", "-name",
                      "guest=n,process=p", "-msg", "timestamp=off,"
                      "guest-name=on"],
    "iothreads": ["-object", "iothread,id=a,poll-max-ns=1000", "-object",
                  "iothread,id=b", "-drive",
                  "file=a.img,format=raw,if=none,id=d", "-device",
                  "virtio-blk-pci,drive=d,iothread=a,write-cache=off",
                  "-device", "virtio-scsi-pci,iothread=b"],
    "objects": ["-object", "secret,id=sec,data=abc", "-object",
                "rng-random,id=rng,filename=/dev/urandom", "-device",
                "virtio-rng-pci,rng=rng", "-object",
                "authz-simple,id=az,identity=u"],
    "screens": ["-vga", "cirrus", "-vnc",
                "unix:v.sock,password=on,share=force-shared", "-device",
                "secondary-vga,id=sv,edid=on,xres=800,yres=600", "-device",
                "virtio-keyboard-pci", "-device", "virtio-tablet-pci", "-k",
                "de"],
    "bridges": ["-device", "pci-bridge,id=b1,chassis_nr=1", "-device",
                "pci-bridge,id=b2,chassis_nr=2,bus=b1,addr=3", "-device",
                "pci-testdev,bus=b2,addr=1.0,multifunction=on,id=t0",
                "-device", "pci-testdev,bus=b2,addr=1.1", "-device", "pvpanic",
                "-device", "vmgenid,guid=auto", "-device",
                "isa-debug-exit,iobase=0xf4"],
    "globals": ["-global", "e1000.mac=52:54:00:12:00:00", "-global",
                "virtio-pci.disable-modern=on", "-global",
                "PIIX4_PM.disable_s3=1", "-device", "virtio-balloon-pci",
                "-device", "e1000", "-global", "driver=isa-fdc,"
                "property=bootindexA,value=3"],
}


def main():
    if not os.access(TERN, os.X_OK):
        print("ok 1 - whole configurations # SKIP tern is not built\n1..1")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for name in "abcdef":
            with open(name + ".img", "wb") as f:
                f.truncate(1 << 20)
        with open("blob", "wb") as f:
            f.write(b"blob")
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
        for name, args in MACHINES.items():
            same_machine(name, args)
        os.chdir("/")
    print("1..%d" % len(results))
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    sys.exit(main())
