# SPDX-License-Identifier: GPL-2.0-or-later
"""For tests that run libvirt: a daemon of its own in folders of its own, without
systemd, as session of an unprivileged user (root becomes one by a user
namespace), and virsh as its client; a Linux guest that obeys by its serial line.

Everything is below the folder that the test gives, and gone after stop()."""

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
import libschema                                                 # noqa: E402

BUILD = os.path.abspath(os.environ.get("BUILD", "build"))
EMULATOR = BUILD + "/compat/qemu-system-x86_64"
PATIENCE = 60 * int(os.environ.get("TERN_TEST_PATIENCE", "1"))
LIBVIRTD = shutil.which("libvirtd") or "/usr/sbin/libvirtd"
results = []


def check(name, ok, why=""):
    results.append(bool(ok))
    if not ok and why != "":
        print("# " + str(why)[-1500:].replace("\n", "\n# "))
    print("%s %d - %s" % ("ok" if ok else "not ok", len(results), name),
          flush=True)
    return ok


def until(test, limit=PATIENCE):
    """Waits for test() to be true; its value."""
    end = time.time() + limit
    while True:
        got = test()
        if got or time.time() > end:
            return got
        time.sleep(0.1)


def as_user():
    """What makes a command unprivileged; None where that cannot be."""
    if os.getuid():
        return []
    words = ["unshare", "-U", "--map-user=1000", "--map-group=1000"]
    if not shutil.which("unshare") or subprocess.run(
            words + ["true"], capture_output=True, check=False).returncode:
        return None
    return words


def why_not():
    """The reason to skip; None: all is there."""
    for p in ("virsh", "apt-get"):
        if not shutil.which(p):
            return "no " + p
    if not os.access(LIBVIRTD, os.X_OK):
        return "no libvirtd"
    if as_user() is None:
        return "no user namespaces to run a session in"
    return None


class Libvirt:
    def __init__(self, folder, emulator=EMULATOR):
        self.folder = folder
        self.emulator = emulator
        self.log = folder + "/libvirtd.log"
        self.env = dict(os.environ, HOME=folder + "/home",
                        XDG_RUNTIME_DIR=folder + "/run",
                        XDG_CONFIG_HOME=folder + "/conf",
                        XDG_CACHE_HOME=folder + "/cache",
                        XDG_DATA_HOME=folder + "/data",
                        LIBVIRT_DEFAULT_URI="qemu:///session?socket=" +
                        folder + "/run/libvirt/libvirt-sock")
        self.env.pop("DBUS_SESSION_BUS_ADDRESS", None)
        for d in ("home", "run", "conf/libvirt", "cache", "data"):
            os.makedirs(folder + "/" + d, 0o700)
        with open(folder + "/conf/libvirt/qemu.conf", "w") as f:
            f.write('stdio_handler = "file"\n')
        with open(folder + "/conf/libvirt/libvirtd.conf", "w") as f:
            f.write('log_outputs = "1:file:%s"\n'
                    'log_filters = "1:qemu.qemu_monitor 3:*"\n' % self.log)
        self.daemon = None

    def start(self):
        self.daemon = subprocess.Popen(
            as_user() + [LIBVIRTD, "-f", self.folder +
                         "/conf/libvirt/libvirtd.conf"],
            env=self.env, cwd=self.folder, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=open(self.folder + "/libvirtd.err", "a"))
        return until(lambda: self.virsh("version")[0] == 0)

    def end_daemon(self):
        self.daemon.terminate()
        try:
            return self.daemon.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.daemon.kill()
            return self.daemon.wait()

    def virsh(self, *args, stdin=subprocess.DEVNULL, limit=PATIENCE):
        """Status and what it says."""
        try:
            p = subprocess.run(as_user() + ["virsh", "-q", *args],
                               env=self.env, cwd=self.folder, stdin=stdin,
                               stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True,
                               errors="replace", timeout=limit, check=False)
        except subprocess.TimeoutExpired:
            return 99, "no answer in time"
        return p.returncode, p.stdout.strip()

    def ok(self, *args, has="", name=None, limit=PATIENCE):
        """A check that virsh does it, and says what matches `has`."""
        rc, said = self.virsh(*args, limit=limit)
        check(name or "virsh " + re.sub(r"/\S*/", "", " ".join(args)),
              rc == 0 and re.search(has, said, re.M | re.S),
              "status %d: %s" % (rc, said))
        return said

    def popen(self, *args, **kw):
        return subprocess.Popen(as_user() + ["virsh", "-q", *args],
                                env=self.env, cwd=self.folder, **kw)

    def state(self, dom):
        return self.virsh("domstate", dom, "--reason")[1]

    def state_is(self, name, dom, want, limit=PATIENCE):
        got = until(lambda: self.state(dom) == want, limit)
        check(name, got, got or self.state(dom))

    def left(self):
        """Our processes that are still there."""
        got = []
        for pid in os.listdir("/proc"):
            try:
                with open("/proc/%s/cmdline" % pid, "rb") as f:
                    line = f.read().replace(b"\0", b" ").decode()
            except (OSError, UnicodeDecodeError):
                continue
            if pid.isdigit() and int(pid) != os.getpid() and \
                    self.folder in line:
                got.append((int(pid), line[:100]))
        return got

    def stop(self):
        """Ends domains and daemon; True: nothing was left over."""
        for dom in self.virsh("list", "--name")[1].split():
            self.virsh("destroy", dom)
        self.end_daemon()
        clean = until(lambda: not self.left(), 10)
        for pid, line in self.left():
            print("# left over: %d %s" % (pid, line))
            os.kill(pid, 9)
        return clean

    def conforms(self):
        """A check that what the monitors said to the daemon, as its log has it,
        is what the schema says."""
        checkers = {}
        with open(self.log, errors="replace") as f:
            text = f.read()
        for m in re.finditer(r"QEMU_MONITOR_(SEND_MSG|RECV_REPLY|RECV_EVENT): "
                             r"mon=(\S+) (?:msg|reply|event)=(\{.*\})", text):
            checker = checkers.setdefault(
                m.group(2), libschema.Checker(self.emulator))
            if m.group(1) == "SEND_MSG":
                checker.sent(m.group(3))
            else:
                checker.came(json.loads(m.group(3)))
        check("replies and events are as the schema says: %(replies)d, "
              "%(events)d" % libschema.seen, not libschema.found and
              libschema.seen["replies"] > 100,
              "\n".join(sorted(set(libschema.found))[:20]))

    def errors(self):
        """What the daemon complained about."""
        with open(self.log, errors="replace") as f:
            return "".join(x for x in f if ": error :" in x)[-1500:]


# ---- the guest --------------------------------------------------------------

MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "e1000", "virtio_console",
           "virtio_balloon", "virtio-rng", "button", "evdev", "i6300esb",
           "pvpanic-mmio", "ata_piix", "sr_mod", "qemu_fw_cfg")

SCRIPT = r"""
stty -opost 2>/dev/null
export PATH=/bin:/sbin
cd /mod
for m in $(cat order); do insmod $m.ko; done
cd /
mkdir -p /etc/acpi/PWRF
printf '#!/bin/sh\necho "the button" >/dev/console; poweroff -f\n' \
    >/etc/acpi/PWRF/00000080
chmod 755 /etc/acpi/PWRF/00000080
acpid -l /dev/null 2>/dev/null
# a guest agent: says its name, pings, closes
agent() {
    while :; do
        IFS= read -r line || { usleep 200000; continue; }
        id=$(echo "$line" | sed -n 's/.*"id": *\([0-9]*\).*/\1/p')
        case $line in
        *guest-sync*) echo "{\"return\": $id}" >&3 ;;
        *guest-ping*) echo '{"return": {}}' >&3 ;;
        *guest-info*) echo '{"return": {"version": "7.2"}}' >&3 ;;
        *) echo '{"error": {"class": "GenericError", "desc": "no"}}' >&3 ;;
        esac
    done <&3
}
n=0                            # ports are told of after the driver is there
until [ -e /sys/class/virtio-ports/vport*/name ] || [ $n -gt 99 ]; do
    n=$((n + 1)); usleep 100000
done
for p in /sys/class/virtio-ports/*; do
    [ "$(cat $p/name)" != org.qemu.guest_agent.0 ] || {
        exec 3<>/dev/${p##*/}
        agent &
    }
done
for e in /dev/input/event*; do
    (head -c 24 $e >/dev/null && echo "input on ${e##*/}") &
done
dmesg -n 4
echo "guest ready"
while read -r word rest; do
    case $word in
    disks) echo "disks $(ls /sys/block | tr '\n' ' ')." ;;
    size) echo "size $(cat /sys/block/$rest/size)." ;;
    cards) echo "cards $(ls /sys/class/net | tr '\n' ' ')." ;;
    carrier) ip link set $rest up; sleep 1
             echo "carrier $(cat /sys/class/net/$rest/carrier)." ;;
    cd) echo "cd $(dd if=/dev/$rest bs=16 count=1 2>/dev/null | tr -d '\0')." ;;
    rng) echo "rng $(cat /sys/class/misc/hw_random/rng_current) \
$(head -c 8 /dev/hwrng | wc -c)." ;;
    watchdog) echo "watchdogs $(cat /sys/class/watchdog/watchdog*/identity |
        tr '\n' ' ')."; watchdog -T 2 -t 600 /dev/watchdog0 ;;
    reboot) reboot -f ;;
    crash) echo c >/proc/sysrq-trigger ;;
    off) poweroff -f ;;
    sh) sh -c "$rest" ;;
    echo) echo "said $rest" ;;
    esac
done
"""


def cpio(name, mode, data):
    n = name.encode() + b"\0"
    head = b"070701" + b"".join(b"%08x" % x for x in (
        1, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(n), 0)) + n
    return (head + b"\0" * (-len(head) % 4) + data +
            b"\0" * (-len(data) % 4))


def guest_make(folder):
    """(kernel, initrd), or a text that says why not."""
    base = BUILD + "/linux-amd64"
    out = subprocess.run(["apt-cache", "depends", "linux-image-amd64"],
                         capture_output=True, text=True, check=False).stdout
    kernel = re.search(r"Depends: (linux-image-[0-9]\S*)", out)
    if not kernel:
        return "apt knows no linux-image-amd64"
    top = BUILD + "/net-guest"
    for words in (["scripts/linux-guest", base, "amd64"],
                  ["scripts/debian-unpack", top, kernel.group(1)]):
        p = subprocess.run(["sh"] + words, capture_output=True, text=True,
                           check=False)
        if p.returncode:
            return (p.stdout + p.stderr)[-200:]
    found, order = {}, []
    for where, _, names in os.walk(top + "/" + kernel.group(1) + "/lib"):
        found.update((n[:-3].replace("-", "_"), where + "/" + n)
                     for n in names if n.endswith(".ko"))
    blob = cpio("mod", 0o40755, b"")

    def take(name):
        """Modules that it needs first."""
        nonlocal blob
        name = name.replace("-", "_")
        if name not in order and name in found:
            with open(found[name], "rb") as f:
                data = f.read()
            needs = re.search(rb"\0depends=([^\0]*)\0", data)
            for n in needs.group(1).decode().split(",") if needs else ():
                take(n)
            order.append(name)
            blob += cpio("mod/%s.ko" % name, 0o100644, data)

    for name in MODULES:
        take(name)
    blob += cpio("mod/order", 0o100644, " ".join(order).encode())
    blob += cpio("guest.sh", 0o100755, SCRIPT.encode())
    with open(folder + "/initrd.gz", "wb") as f:
        with open(base + "/initrd.gz", "rb") as b:
            f.write(b.read())
        f.write(gzip.compress(blob + cpio("TRAILER!!!", 0, b""), 1))
    version = kernel.group(1)[len("linux-image-"):]
    return ("%s/%s/boot/vmlinuz-%s" % (top, kernel.group(1), version),
            folder + "/initrd.gz")


class Serial:
    """The log of a serial line, read on from where the last wait ended."""

    def __init__(self, path):
        self.path = path
        self.at = 0

    def rest(self):
        try:
            with open(self.path, "rb") as f:
                return f.read()[self.at:].decode(errors="replace")
        except OSError:
            return ""

    def wait(self, pattern, limit=3 * PATIENCE):
        m = until(lambda: re.search(pattern, self.rest()), limit)
        if m:
            self.at += len(self.rest()[:m.end()].encode())
        return m

    def tail(self):
        return self.rest()[-1000:]
