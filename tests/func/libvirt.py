#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""An unmodified libvirt drives it: capabilities, domains of type kvm and qemu that
start a boot sector, through what virsh can ask of them without an operating
system; with TEST_SLOW, one of type qemu that boots Debian's generic kernel,
through all the rest. Arguments choose among kvm, qemu, linux."""

import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import liblibvirt as lv                # noqa: E402
from liblibvirt import PATIENCE, Serial, check, until   # noqa: E402

DOMAIN = """
<domain type='%(type)s'><name>%(name)s</name>
<memory unit='MiB'>256</memory><vcpu current='1'>2</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type>%(boot)s</os>
<features><acpi/><apic/>%(features)s</features>
<on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot>
<on_crash>preserve</on_crash>
<devices><emulator>%(emulator)s</emulator>
<controller type='usb' model='none'/>
<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>
<source file='%(folder)s/%(name)s.qcow2'/><target dev='vda' bus='virtio'/></disk>
<disk type='file' device='cdrom'><driver name='qemu' type='raw'/>
<source file='%(folder)s/a.iso'/><target dev='hdc' bus='ide'/><readonly/></disk>
<interface type='user'><mac address='52:54:00:11:22:01'/>
<model type='e1000'/></interface>
<interface type='user'><mac address='52:54:00:11:22:02'/>
<model type='virtio'/></interface>
<serial type='pty'><log file='%(folder)s/%(name)s.log' append='on'/></serial>
<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/>
</channel>
<graphics type='vnc' port='-1' autoport='yes'/>
<video><model type='vga'/></video>
<watchdog model='%(watchdog)s' action='%(action)s'/>
<memballoon model='virtio'><stats period='1'/></memballoon>
<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
<panic model='isa'/>
</devices></domain>
"""

# Says so on the serial line at each start, and winds up the ib700 if the byte
# behind it says so: 2 s, port 0x443.
SECTOR = bytes.fromhex(
    "fa31c08ed8fc baf803 be317c ac 84c0 7403 ee ebf8"    # print 0x7c31
    "a0307c 84c0 7406 ba4304 b00e ee"                    # if [0x7c30]: wind
    "fb f4 ebfd")                                        # wait


def sector(armed):
    text = bytes([armed]) + b"sector started\r\n\0"
    return (SECTOR.ljust(0x30, b"\x90") + text).ljust(510, b"\0") + b"\x55\xaa"


def image(lib, name, first=b"", size="64M"):
    raw, path = lib.folder + "/raw", "%s/%s.qcow2" % (lib.folder, name)
    with open(raw, "wb") as f:
        f.write(first)
    img = lv.BUILD + "/tern-img"
    subprocess.run([img, "resize", "-q", "-f", "raw", raw, size], check=True)
    subprocess.run([img, "convert", "-f", "raw", "-O", "qcow2", raw, path],
                   check=True)
    os.unlink(raw)
    return path


def define(lib, name, **more):
    a = {"name": name, "folder": lib.folder, "emulator": lib.emulator,
         "boot": "", "watchdog": "i6300esb", "action": "pause",
         "features": "", **more}
    path = "%s/%s.xml" % (lib.folder, name)
    with open(path, "w") as f:
        f.write(DOMAIN % a)
    lib.ok("define", path)
    lib.ok("start", name, limit=2 * PATIENCE)
    if not lv.results[-1]:
        print("# " + lib.errors().replace("\n", "\n# "))
        return None
    return Serial("%s/%s.log" % (lib.folder, name))


class Events:
    """virsh event, listening."""

    def __init__(self, lib, dom):
        self.path = lib.folder + "/events"
        self.p = lib.popen("qemu-monitor-event", dom, "--loop",
                           stdin=subprocess.DEVNULL,
                           stdout=open(self.path, "w"),
                           stderr=subprocess.STDOUT)

    def text(self):
        with open(self.path) as f:
            return f.read()

    def seen(self, what, limit=PATIENCE):
        return until(lambda: re.search(what, self.text()), limit)

    def stop(self):
        self.p.terminate()
        self.p.wait()


def capabilities(lib):
    said = lib.ok("capabilities", has="<guest>.*<arch name='x86_64'>")
    for kind in ("kvm", "qemu"):
        if kind == "kvm" and not os.access("/dev/kvm", os.R_OK | os.W_OK):
            continue
        lib.ok("domcapabilities", "--emulatorbin", lib.emulator, "--virttype",
               kind, has="<machine>pc-i440fx-7.2<.*<value>vnc<.*<value>vga<",
               name="virsh domcapabilities, " + kind)
    return said


# ---- without an operating system --------------------------------------------

def steady(lib, dom):
    """What needs nothing of the guest."""
    lib.ok("suspend", dom)
    lib.state_is("is paused", dom, "paused (user)")
    lib.ok("resume", dom)
    lib.state_is("runs", dom, "running (unpaused)")
    lib.ok("dominfo", dom, has=r"Max memory: +262144 KiB")
    lib.ok("domstats", dom, has=r"state\.state=1.*balloon\.current=.*"
           r"vcpu\.current=1.*net\.count=2.*block\.count=2.*"
           r"block\.0\.rd\.reqs=\d+.*block\.0\.capacity=67108864")
    lib.ok("domblkstat", dom, "vda", has=r"rd_req \d+.*flush_total_times")
    lib.ok("domblkinfo", dom, "vda", has=r"Capacity: +67108864")
    lib.ok("domblklist", dom, has="vda.*hdc")
    lib.ok("domblkerror", dom, has="No errors found")
    lib.ok("vcpuinfo", dom, has="State: +running")
    lib.ok("domdisplay", dom, has="vnc://127.0.0.1:")
    lib.ok("blkdeviotune", dom, "vda", "--total-bytes-sec", "10485760",
           "--live")
    lib.ok("blkdeviotune", dom, "vda", has="total_bytes_sec: 10485760",
           name="virsh blkdeviotune shows it")
    lib.ok("blkdeviotune", dom, "vda", "--total-bytes-sec", "0", "--live",
           name="virsh blkdeviotune lets go")
    lib.ok("domblkthreshold", dom, "vda", "1000000")
    lib.ok("change-media", dom, "hdc", "--eject", "--live")
    lib.ok("change-media", dom, "hdc", lib.folder + "/b.iso", "--insert",
           "--live")
    lib.ok("change-media", dom, "hdc", lib.folder + "/a.iso", "--update",
           "--live")
    for way in ("down", "up"):
        lib.ok("domif-setlink", dom, "52:54:00:11:22:01", way)
        lib.ok("domif-getlink", dom, "52:54:00:11:22:01", has=way)
    lib.ok("send-key", dom, "KEY_LEFTCTRL", "KEY_A")
    lib.ok("screenshot", dom, lib.folder + "/shot")
    with open(lib.folder + "/shot", "rb") as f:
        check("a picture", f.read(2) in (b"P6", b"\x89P"))
    lib.ok("qemu-monitor-command", "--hmp", dom, "info status",
           has="VM status: running")
    lib.ok("qemu-monitor-command", dom, '{"execute":"query-status"}',
           has='"status":"running"')
    lib.ok("set-lifecycle-action", dom, "reboot", "destroy", "--live")
    lib.ok("set-lifecycle-action", dom, "reboot", "restart", "--live")


def dumps(lib, dom, linux=False):
    lib.ok("dump", dom, lib.folder + "/core", "--memory-only", "--live",
           limit=3 * PATIENCE)
    with open(lib.folder + "/core", "rb") as f:
        head = f.read(65536)
    check("a core file", head[:4] == b"\x7fELF" and
          struct.unpack("<H", head[16:18])[0] == 4 and
          os.path.getsize(lib.folder + "/core") > 256 << 20)
    if linux:
        check("with the kernel's own note", b"VMCOREINFO\0" in head and
              b"OSRELEASE=" in head and b"NUMBER(phys_base)=" in head)
    os.unlink(lib.folder + "/core")
    lib.ok("dump", dom, lib.folder + "/kdump", "--memory-only", "--format",
           "kdump-zlib", limit=3 * PATIENCE)
    with open(lib.folder + "/kdump", "rb") as f:
        head = f.read(4120)
    check("a compressed dump", head[:12] == b"makedumpfile" and
          head[4112:4120] == b"KDUMP   ")
    os.unlink(lib.folder + "/kdump")
    lib.state_is("it runs again", dom, "running (unpaused)")


def console(lib, dom, say, want):
    """virsh console on a terminal."""
    ours, theirs = pty.openpty()
    p = lib.popen("console", dom, "--force", stdin=theirs, stdout=theirs,
                  stderr=theirs)
    os.close(theirs)
    os.set_blocking(ours, False)
    heard = b""
    end = time.time() + PATIENCE
    said = 0
    while time.time() < end and want not in heard:
        if time.time() > said + 3:
            os.write(ours, say)
            said = time.time()
        try:
            heard += os.read(ours, 4096)
        except BlockingIOError:
            time.sleep(0.05)
        except OSError:
            break
    os.write(ours, b"\x1d")
    try:
        rc = p.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        p.kill()
        rc = p.wait()
    os.close(ours)
    check("virsh console " + dom, want in heard and rc == 0, (rc, heard))


def bare(lib, kind):
    """SeaBIOS and a boot sector."""
    image(lib, kind, sector(0))
    line = define(lib, kind, type=kind, watchdog="ib700", action="reset",
                  boot="<boot dev='hd'/>")
    if not line:
        return
    check("SeaBIOS starts the boot sector", line.wait("sector started"),
          line.tail() + lib.state(kind))
    steady(lib, kind)
    lib.ok("setmem", kind, "200M", "--live")
    lib.ok("inject-nmi", kind)
    dumps(lib, kind)
    lib.ok("blockresize", kind, "vda", "80M")
    lib.ok("domblkinfo", kind, "vda", has="Capacity: +83886080")
    lib.ok("domdirtyrate-calc", kind, "--seconds", "1")
    lib.ok("reset", kind)
    check("the boot sector starts again", line.wait("sector started"),
          line.tail())
    hot(lib, kind, None)
    reconnect(lib, kind)
    lib.ok("shutdown", kind, "--mode", "acpi",
           name="virsh shutdown is sent, the sector does not care")
    lib.ok("set-lifecycle-action", kind, "reboot", "destroy", "--live",
           name="virsh set-lifecycle-action, once more")
    lib.ok("reset", kind, name="virsh reset, which is an end now")
    check("it is off", until(lambda: lib.state(kind).startswith("shut off")),
          lib.state(kind))
    lib.ok("undefine", kind)
    dog(lib, kind)


def dog(lib, kind):
    """The ib700 wound up by a boot sector, and what follows."""
    image(lib, "dog", sector(1))
    after = {"pause": "paused (watchdog)", "none": "running (booted)",
             "inject-nmi": "running (booted)", "poweroff": "shut off",
             "reset": "running (booted)"}
    for action in after if kind == "qemu" else ["pause"]:
        line = define(lib, "dog", type=kind, watchdog="ib700", action=action,
                      boot="<boot dev='hd'/>")
        if not line:
            return
        events = Events(lib, "dog")
        check("%s: the ib700 is told of" % action,
              line.wait("sector started") and
              events.seen("event WATCHDOG.*" + action, 2 * PATIENCE),
              events.text())
        check("%s: and this comes of it" % action,
              until(lambda: lib.state("dog").startswith(after[action])) and
              (action != "reset" or line.wait("sector started")),
              lib.state("dog"))
        events.stop()
        lib.virsh("destroy", "dog")
        if action != "poweroff":       # the program's sudden end: "crashed"
            lib.state_is("is off", "dog", "shut off (destroyed)")
        lib.ok("undefine", "dog")


# ---- with one ---------------------------------------------------------------

def ask(lib, line, command, want, name):
    """Says it on the serial line (the terminal of the domain)."""
    path = re.search(r"<source path='(/dev/pts/\d+)'",
                     lib.virsh("dumpxml", line.dom)[1])
    fd = os.open(path.group(1), os.O_RDWR | os.O_NOCTTY)
    os.write(fd, command.encode() + b"\n")
    got = line.wait(want, PATIENCE)
    os.close(fd)
    if name:
        check(name, got, line.tail())
    return got


def hot(lib, dom, line):
    """Disk and card come; with a guest that answers, they go again."""
    image(lib, "hot-" + dom, size="32M")
    lib.ok("attach-disk", dom, "%s/hot-%s.qcow2" % (lib.folder, dom), "vdb",
           "--driver", "qemu", "--subdriver", "qcow2", "--targetbus",
           "virtio", "--live")
    with open(lib.folder + "/if.xml", "w") as f:
        f.write("<interface type='user'><mac address='52:54:00:11:22:03'/>"
                "<model type='virtio'/></interface>")
    lib.ok("attach-device", dom, lib.folder + "/if.xml", "--live")
    lib.ok("domblklist", dom, has="vdb")
    lib.ok("domiflist", dom, has="52:54:00:11:22:03")
    if not line:
        return

    def appears(command, want):
        return until(lambda: ask(lib, line, command, want, None))

    check("the guest has the disk",
          until(lambda: ask(lib, line, "disks", r"disks (.*)\.", None)
                .group(1).count("vdb")), line.tail())
    check("and the card", ask(lib, line, "cards", r"cards .*eth2.*\.", None),
          line.tail())
    lib.ok("detach-disk", dom, "vdb", "--live")
    lib.ok("detach-interface", dom, "user", "--mac", "52:54:00:11:22:03",
           "--live")
    check("both are gone", until(
        lambda: "vdb" not in lib.virsh("domblklist", dom)[1] and
        "22:03" not in lib.virsh("domiflist", dom)[1]), lib.errors())


def reconnect(lib, dom):
    rc = lib.end_daemon()
    check("libvirtd ends", rc == 0, rc)
    check("and starts again", lib.start())
    lib.state_is("it finds the domain", dom, "running (unpaused)")
    lib.ok("domstats", dom, "--balloon", has="balloon.current=")
    lib.ok("qemu-monitor-command", "--hmp", dom, "info status",
           has="running", name="and its monitor")


def balloon(lib, line, events):
    lib.ok("setmem", "lx", "200M", "--live")
    check("the guest gives memory back", until(
        lambda: "actual 204800" in lib.virsh("dommemstat", "lx")[1]),
        lib.virsh("dommemstat", "lx")[1])
    check("which libvirt is told", events.seen("event BALLOON_CHANGE"))
    lib.ok("setmem", "lx", "256M", "--live")
    lib.ok("dommemstat", "lx", "--period", "1", "--live")
    check("it tells how it uses its memory", until(
        lambda: re.search(r"available \d+.*last_update [1-9]",
                          lib.virsh("dommemstat", "lx")[1], re.S)),
        lib.virsh("dommemstat", "lx")[1])


def media(lib, line):
    check("the guest reads the CD", until(
        lambda: (ask(lib, line, "cd sr0", r"cd (.*)\.", None) or [0, 0])[1]
        == "first"), line.tail())
    lib.ok("change-media", "lx", "hdc", lib.folder + "/b.iso", "--update",
           "--live", "--force")
    check("and the next one", until(
        lambda: (ask(lib, line, "cd sr0", r"cd (.*)\.", None) or [0, 0])[1]
        == "second"), line.tail())
    lib.ok("blockresize", "lx", "vda", "80M")
    check("the disk has grown for the guest", until(
        lambda: (ask(lib, line, "size vda", r"size (\d+)\.", None) or
                 [0, 0])[1] == "163840"), line.tail())


def kernel(lib, files):
    image(lib, "lx")
    line = define(lib, "lx", type="qemu",
                  features="<vmcoreinfo state='on'/>", boot="<kernel>%s</kernel>"
                  "<initrd>%s</initrd><cmdline>console=ttyS0 panic=-1 quiet no_timer_check "
                  "run=guest.sh</cmdline>" % files)
    if not line:
        return
    line.dom = "lx"
    events = Events(lib, "lx")
    if not check("Linux boots", line.wait("guest ready", 20 * PATIENCE),
                 line.tail()):
        return
    check("the guest has opened its channel",
          events.seen('event VSERPORT_CHANGE.*"open": ?true') is not None,
          events.text())
    steady(lib, "lx")
    lib.ok("qemu-agent-command", "lx", '{"execute":"guest-info"}',
           has='"version":"7.2"')
    ask(lib, line, "rng", r"rng virtio_rng.0 8\.", "the guest has entropy")
    check("keys arrive", line.wait("input on event", 5) or
          "input on event" in open(line.path).read())
    balloon(lib, line, events)
    media(lib, line)
    hot(lib, "lx", line)
    console(lib, "lx", b"echo a word\r", b"said a word")
    lib.ok("inject-nmi", "lx")
    check("the guest gets the NMI", line.wait("NMI"), line.tail())
    dumps(lib, "lx", True)
    reconnect(lib, "lx")
    events.stop()
    events = Events(lib, "lx")
    ask(lib, line, "watchdog", r"watchdogs i6300ESB timer",
        "the guest finds the i6300esb")
    lib.state_is("which pauses it when it is not fed", "lx",
                 "paused (watchdog)")
    check("and that is told", events.seen("event WATCHDOG.*pause"),
          events.text())
    lib.ok("resume", "lx")
    restarts(lib, line, events)
    events.stop()


def restarts(lib, line, events):
    """Each way to start again and to end."""
    lib.ok("reset", "lx")
    check("boots again", line.wait("guest ready", 20 * PATIENCE), line.tail())
    lib.ok("reboot", "lx", "--mode", "acpi")
    check("the guest sees the button", line.wait("the button"), line.tail())
    check("and boots again", line.wait("guest ready", 20 * PATIENCE),
          line.tail())
    ask(lib, line, "crash", "Kernel panic", "the guest panics")
    lib.state_is("its panic is known", "lx", "crashed (panicked)")
    check("and told", events.seen("event GUEST_PANICKED"), events.text())
    lib.ok("destroy", "lx", name="virsh destroy after it")
    lib.ok("start", "lx", name="virsh start after it", limit=2 * PATIENCE)
    check("and it boots", line.wait("guest ready", 20 * PATIENCE),
          line.tail())
    lib.ok("shutdown", "lx", "--mode", "acpi")
    check("the guest sees the button again", line.wait("the button"),
          line.tail())
    lib.state_is("and is off", "lx", "shut off (shutdown)")
    lib.ok("undefine", "lx")


def main():
    reason = lv.why_not()
    if reason:
        print("1..0 # SKIP " + reason)
        return 0
    chosen = sys.argv[1:] or ["kvm", "qemu"] + (
        ["linux"] if os.environ.get("TEST_SLOW") else [])
    with tempfile.TemporaryDirectory(prefix="tern-lv-") as folder:
        lib = lv.Libvirt(folder)
        for name, text in (("a", b"first"), ("b", b"second")):
            with open("%s/%s.iso" % (folder, name), "wb") as f:
                f.write(text.ljust(1 << 20, b"\0"))
        try:
            check("libvirtd starts", lib.start(),
                  open(folder + "/libvirtd.err").read())
            capabilities(lib)
            if "kvm" in chosen and os.access("/dev/kvm", os.R_OK | os.W_OK):
                bare(lib, "kvm")
            if "qemu" in chosen:
                bare(lib, "qemu")
            files = lv.guest_make(folder) if "linux" in chosen else None
            if isinstance(files, tuple):
                kernel(lib, files)
            elif files:
                print("# no kernel: " + files)
        finally:
            check("nothing is left over", lib.stop())
            lib.conforms()
    print("1..%d" % len(lv.results))
    return 0 if all(lv.results) else 1


if __name__ == "__main__":
    sys.exit(main())
