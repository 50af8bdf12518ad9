#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's generic kernel on the software CPU finds a disk on every controller with
its own drivers, all at once, on four processors with several queues and two
iothreads: partitions it, formats it with ext4 and xfs, fills, verifies and trims
it; finds the data after a reboot and in a new machine; loses and gets media; sees
disks and controllers come and go, under load too. On raw images, then on qcow2.

FORMATS: which image formats (raw qcow2). PARTS: which parts (disks hotplug media)."""
import hashlib
import os
import re
import shutil
import subprocess

from libguest import IMG, Guest, Kernel, check, finish, skip_all

MODULES = """crc16 crc64 crc64_rocksoft_generic crc64-rocksoft crct10dif_common
crct10dif_generic crc-t10dif t10-pi crc32c_generic libcrc32c virtio_ring virtio
virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci scsi_common scsi_mod sd_mod
cdrom sr_mod sg virtio_blk virtio_scsi libata libahci ahci ata_piix
scsi_transport_spi sym53c8xx floppy mbcache jbd2 ext4 xfs""".split()
PROGRAMS = ("mke2fs", "e2fsck", "mkfs.xfs", "xfs_repair", "sfdisk", "fstrim")
SIZE = 400 << 20
LABEL = "label: dos\\n2048,98304\\n100352,\\n"
# serial number, controller, the device's arguments
DISKS = (
    ("PIIX", "IDE", "ide-hd,bus=ide.0"),
    ("AHCI", "AHCI", "ide-hd,bus=ahci.1"),
    ("VBLK1", "virtio-blk, iothread", "virtio-blk-pci,num-queues=4,iothread=t1"),
    ("VBLK2", "virtio-blk, packed", "virtio-blk-pci,packed=on,iothread=t2"),
    ("VSCSI", "virtio-scsi, iothread", "scsi-hd,bus=vs.0,scsi-id=200,lun=9000"),
    ("LSI", "lsi53c895a", "scsi-hd,bus=lsi.0,scsi-id=3"),
)
CONTROLLERS = ["-object", "iothread,id=t1", "-object", "iothread,id=t2",
               "-device", "ich9-ahci,id=ahci", "-device", "lsi53c895a,id=lsi",
               "-device", "virtio-scsi-pci,id=vs,num_queues=4,iothread=t2"]

# The guest's part. "disk S" prints the block device with serial number S.
TOOLS = r"""
serial() {
    if [ -r /sys/block/$1/serial ]; then tr -d ' \n' </sys/block/$1/serial
    elif [ -r /sys/block/$1/device/vpd_pg80 ]; then
        tail -c +5 /sys/block/$1/device/vpd_pg80 | tr -d ' \n\0'
    fi
}
disk() {
    for d in $(ls /sys/block); do
        [ "$(serial $d)" = $1 ] && echo $d && return 0
    done
    return 1
}
sum() { md5sum <$1 | cut -c 1-32; }
check() { # where it is mounted
    [ "$(sum $1/a)" = "$(cat $1/sum)" ] && [ "$(sum $1/b)" = "$(cat $1/sum)" ]
}
fsck_of() {
    case $2 in
    ext4) /host/e2fsck -fn $1 ;;
    xfs) /host/xfs_repair -n $1 ;;
    esac >/tmp/fsck.$$ 2>&1 && echo "$3 $2 clean" || cat /tmp/fsck.$$
}
make() { # device, type, name
    local m=/mnt/$3$2
    mkdir -p $m
    case $2 in
    ext4) /host/mke2fs -q -t ext4 -F $1 ;;
    xfs) /host/mkfs.xfs -q -f $1 ;;
    esac && mount -t $2 $1 $m || return
    dd if=/dev/urandom of=$m/a bs=64k count=32 2>/dev/null
    cp $m/a $m/b
    sum $m/a >$m/sum
    sync
    if [ $2 = ext4 ]; then
        n=0
        while cp $m/a $m/full$n 2>/dev/null; do n=$((n + 1)); done
        echo "$3 $2 full"
        sync
    fi
    umount $m
    mount -t $2 $1 $m && check $m && echo "$3 $2 same"
    rm -f $m/full*
    sync
    /host/fstrim $m && echo "$3 $2 trimmed"
    umount $m
    fsck_of $1 $2 $3
}
first() { # serial
    local d=$(disk $1) p
    [ "$d" ] || { echo "$1 is not there"; return; }
    printf 'LABEL' | /host/sfdisk -q /dev/$d || return
    case $d in *[0-9]) p=p ;; esac
    make /dev/$d${p}1 ext4 $1
    make /dev/$d${p}2 xfs $1
}
again() { # serial
    local d=$(disk $1) p t n=0
    [ "$d" ] || { echo "$1 is not there"; return; }
    for t in ext4 xfs; do
        n=$((n + 1))
        mkdir -p /mnt/$1$t
        mount -t $t /dev/$d$n /mnt/$1$t && check /mnt/$1$t &&
            echo "$1 $t kept"
        umount /mnt/$1$t
        fsck_of /dev/$d$n $t $1
    done
}
all() { # what to do, with each of the serials, at once
    local w=$1 s
    shift
    for s; do ($w $s >/tmp/out.$s 2>&1) & done
    wait
    for s; do cat /tmp/out.$s; done
}
bad() {
    dmesg | grep -E 'Call Trace|WARNING:|BUG:|Oops|lockup|I/O error|timed out'
}
""".replace("LABEL", LABEL)


def tools(g, disks=0):
    with_load = g.up(" ".join(MODULES))
    quoted = TOOLS.replace("\\", "\\\\").replace("'", "'\\''")
    quoted = quoted.replace("\n", "\\n").replace("%", "%%")
    g.sh("printf '%s' >/tools" % quoted)
    g.sh(". /tools; n=0; while [ $(ls /sys/block | wc -l) -lt %d ] && "
         "[ $n -lt 600 ]; do sleep 1; n=$((n+1)); done" % disks, 900)
    return with_load


def lines(names, *forms):
    return sorted(f % (n, t) for n in names for t in ("ext4", "xfs")
                  for f in forms)


def expect(name, got, wanted):
    """One result for each disk, from what the guest said of it."""
    for serial, what, _ in DISKS:
        mine = sorted(x for x in got.splitlines() if x.startswith(serial + " "))
        check("%s: %s" % (what, name),
              mine == sorted(x for x in wanted if x.startswith(serial + " ")),
              got[-1500:])


def image(kernel, fmt, name, size=SIZE):
    path = os.path.join(kernel.tmp, name)
    subprocess.run([IMG, "create", "-q", "-f", fmt, path, str(size)], check=True)
    return path


def drive(name, path, fmt):
    return ["-drive", "if=none,id=%s,file=%s,format=%s,discard=unmap" %
            (name, path, fmt)]


def blocks(path):
    return os.stat(path).st_blocks * 512


def on_disks(kernel, fmt):
    """First boot, reboot, another machine."""
    serials = [d[0] for d in DISKS]
    args = list(CONTROLLERS)
    paths = {}
    for serial, _, device in DISKS:
        paths[serial] = image(kernel, fmt, serial)
        args += drive("d" + serial, paths[serial], fmt)
        args += ["-device", "%s,drive=d%s,serial=%s" % (device, serial, serial)]
    g = Guest(kernel, "first-" + fmt, args, 4)
    tools(g, len(DISKS))
    names = " ".join(serials)
    status, got = g.sh("all first " + names, 600)
    forms = ["%s %s same", "%s %s trimmed", "%s %s clean"]
    expect(fmt + ", found, partitioned, made, filled, verified, trimmed", got,
           lines(serials, *forms) + ["%s ext4 full" % s for s in serials])
    for serial, what, _ in DISKS:
        check("%s: %s: what was trimmed is free here" % (what, fmt),
              blocks(paths[serial]) < 110 << 20, blocks(paths[serial]))
    status, got = g.sh("ls -d /sys/block/vd?/mq/3 | wc -l")
    check("four queues on four processors", got.split() == ["2"], got)
    status, got = g.sh("bad")
    check("%s: nothing bad in the kernel's log" % fmt, not got, got)
    check("%s: reboot" % fmt, g.reboot())
    g.text = "shell is ready\n" + g.text
    tools(g, len(DISKS))
    kept = lines(serials, "%s %s kept", "%s %s clean")
    expect(fmt + ", data after a reboot", g.sh("all again " + names, 300)[1],
           kept)
    check("%s: ends" % fmt, g.end() == 0, g.errors())
    if fmt != "raw":
        for serial, what, _ in DISKS:
            r = subprocess.run([IMG, "check", "-q", paths[serial]])
            check("%s: image checks" % what, r.returncode == 0)
    g = Guest(kernel, "second-" + fmt, args, 1)
    tools(g, len(DISKS))
    expect(fmt + ", data in another machine",
           g.sh("all again " + names, 300)[1], kept)
    check("%s: ends again" % fmt, g.end() == 0, g.errors())
    for path in paths.values():
        os.unlink(path)


def medium(kernel, name, size):
    data = os.urandom(size)
    path = os.path.join(kernel.tmp, name)
    with open(path, "wb") as f:
        f.write(data)
    return path, hashlib.md5(data).hexdigest()


CDS = (("ide-cd,bus=ide.1", "IDE"), ("ide-cd,bus=ahci.2", "AHCI"),
       ("scsi-cd,bus=vs.0,scsi-id=1", "virtio-scsi"),
       ("scsi-cd,bus=lsi.0,scsi-id=2", "lsi53c895a"))


def on_cds(g, kernel, sums):
    """Reads, is locked, ejected by the guest, changed from outside."""
    other, other_sum = medium(kernel, "cd-other", 1 << 20)
    _, got = g.sh("for c in /dev/sr?; do echo $c $(sum $c); done")
    found = dict(x.split() for x in got.splitlines() if len(x.split()) == 2)
    for i, (_, where) in enumerate(CDS):
        dev = [d for d, s in found.items() if s == sums[i]]
        if not check("%s CD: read" % where, dev, got):
            continue
        dev, ident = dev[0], "cd%d" % i
        g.sh("exec 5<%s" % dev)
        r = g.cmd("eject", id=ident)
        check("%s CD: the guest's lock holds" % where,
              "is locked" in r.get("error", {}).get("desc", ""), r)
        check("%s CD: and asks the guest" % where, "return" in
              g.cmd("blockdev-open-tray", id=ident) and
              not g.await_event("DEVICE_TRAY_MOVED", 0, id=ident,
                                tray_open=True))
        g.sh("exec 5<&-")
        status, got = g.sh("/host/eject %s" % dev)
        check("%s CD: the guest ejects" % where, status == 0 and g.await_event(
            "DEVICE_TRAY_MOVED", id=ident, tray_open=True), got)
        r = g.cmd("blockdev-change-medium", id=ident, filename=other,
                  format="raw")
        check("%s CD: another medium" % where, "return" in r and
              g.await_event("DEVICE_TRAY_MOVED", id=ident, tray_open=False), r)
        # An IDE drive tells of the change first: the reader's error, as the peer's.
        _, got = g.sh("sum %s 2>/dev/null | grep -v d41d8cd98 || sum %s" %
                      (dev, dev))
        check("%s CD: is read" % where, got.split()[-1:] == [other_sum], got)
        r = g.cmd("eject", id=ident, force=True)
        _, got = g.sh("sum %s 2>&1" % dev)
        check("%s CD: is gone" % where, "return" in r and "medium" in got, got)


def on_floppy(g, kernel):
    status, got = g.sh("/host/mke2fs -q -F /dev/fd0 && mkdir -p /mnt/f && mount -t "
                       "ext4 /dev/fd0 /mnt/f && echo kept >/mnt/f/x && umount "
                       "/mnt/f && /host/e2fsck -fn /dev/fd0", 180)
    check("floppy: made, written, checked", status == 0, got)
    path, want = medium(kernel, "fd-other", 1440 << 10)
    r = g.cmd("blockdev-change-medium", id="fd0", filename=path, format="raw")
    check("floppy: another medium", "return" in r, r)
    _, got = g.sh("sum /dev/fd0", 180)
    check("floppy: is read", got.strip() == want, got)
    r = g.cmd("eject", id="fd0", force=True)
    status, got = g.sh("sum /dev/fd0 2>&1", 180)
    check("floppy: is gone", "return" in r and want not in got, got)


def removable(kernel):
    sums, args = [], list(CONTROLLERS)
    for i, (device, _) in enumerate(CDS):
        path, s = medium(kernel, "cd%d.iso" % i, (i + 1) << 20)
        sums.append(s)
        args += ["-drive", "if=none,id=c%d,file=%s,format=raw,readonly=on" %
                 (i, path), "-device", "%s,drive=c%d,id=cd%d" % (device, i, i)]
    path, _ = medium(kernel, "fd", 1440 << 10)
    args += ["-drive", "if=none,id=f,file=%s,format=raw" % path,
             "-device", "floppy,drive=f,id=fd0"]
    g = Guest(kernel, "media", args, 2)
    tools(g, len(CDS) + 1)
    on_cds(g, kernel, sums)
    on_floppy(g, kernel)
    check("media: ends", g.end() == 0, g.errors())


# How a guest is told to look where nothing tells it by itself.
LOOK = ("for h in /sys/class/scsi_host/*; do grep -q sym53 $h/proc_name && "
        "echo '- - -' >$h/scan; done")
# name, what device_add gets, what the guest is told meanwhile
PLUGS = (
    ("virtio-blk", ["virtio-blk-pci,num-queues=2,iothread=t1,drive=%s,serial=HOT"],
     ":"),
    ("virtio-blk below a bridge", ["virtio-blk-pci,bus=br,addr=4,drive=%s,"
                                   "serial=HOT"], ":"),
    ("scsi-hd on virtio-scsi", ["scsi-hd,bus=vs.0,drive=%s,serial=HOT"], ":"),
    ("scsi-hd on lsi53c895a", ["scsi-hd,bus=lsi.0,scsi-id=5,drive=%s,serial=HOT"],
     LOOK),
    ("virtio-scsi with its disk", ["virtio-scsi-pci,id=hotc",
                                   "scsi-hd,bus=hotc.0,drive=%s,serial=HOT"],
     ":"),
    ("lsi53c895a with its disk", ["lsi53c895a,id=hotc",
                                  "scsi-hd,bus=hotc.0,drive=%s,serial=HOT"],
     LOOK),
)
WAIT = ("n=0; until disk HOT; do sleep 1; %s; n=$((n+1)); [ $n -gt 300 ] && "
        "break; done")


def device_add(g, text, ident):
    args = dict(x.split("=", 1) for x in text.split(",")[1:])
    args.setdefault("id", ident)
    for k in ("scsi-id", "num-queues"):
        if k in args:
            args[k] = int(args[k])
    return g.cmd("device_add", driver=text.split(",")[0], **args)


def plug(g, kernel, fmt, name, devices, look):
    path = image(kernel, fmt, "hot", 100 << 20)
    r = g.cmd("blockdev-add", driver=fmt, node_name="hot", discard="unmap",
              file={"driver": "file", "filename": path})
    for d in devices:
        r = device_add(g, d % "hot" if "%s" in d else d, "hotd")
        if not check("%s: plugged (%s)" % (name, d.split(",")[0]),
                     "return" in r, r):
            return
    g.sh(WAIT % look, 600)
    _, got = g.sh("make /dev/$(disk HOT) ext4 hot", 300)
    check("%s: made, filled, verified, trimmed, checked" % name,
          set(got.split("\n")) >= {"hot ext4 full", "hot ext4 same",
                                   "hot ext4 trimmed", "hot ext4 clean"}, got)
    g.sh("d=$(disk HOT); while dd if=/dev/$d of=/dev/null bs=64k iflag=direct "
         "2>/dev/null; do :; done >/dev/null 2>&1 &")
    if "lsi" in name:
        g.sh("echo 1 >/sys/block/$(disk HOT)/device/delete")
    r = g.cmd("device_del", id="hotd")
    check("%s: unplugged under load" % name, "return" in r and
          g.await_event("DEVICE_DELETED", 30, device="hotd"), r)
    if len(devices) > 1:
        r = g.cmd("device_del", id="hotc")
        check("%s: its controller too" % name, "return" in r and
              g.await_event("DEVICE_DELETED", 30, device="hotc"), r)
    _, got = g.sh("n=0; while disk HOT && [ $n -lt 300 ]; do sleep 1; n=$((n+1)); "
                  "done; disk HOT || echo gone; wait")
    check("%s: gone in the guest" % name, "gone" in got, got)
    r = g.cmd("blockdev-del", node_name="hot")
    check("%s: its node is free" % name, "return" in r, r)
    os.unlink(path)


# What these drivers do wrong as they go, whatever the device: memory freed with
# interrupts off, and a work that is set up again while it is cancelled.
DRIVERS = ("___free_dma_mem_cluster", "virtscsi_remove")


def complaints(g):
    """What the kernel's log complains of, but for DRIVERS."""
    _, text = g.sh("dmesg")
    parts = re.split(r"^.*\[ cut here \].*$", text, flags=re.M)
    for i, p in enumerate(parts):
        trace, end, rest = p.partition("end trace")
        if i and end and any(d in trace for d in DRIVERS):
            parts[i] = rest
    return "\n".join(line for line in "\n".join(parts).splitlines() if re.search(
        "Call Trace|WARNING:|BUG:|Oops|lockup", line))


def hotplug(kernel, fmt):
    g = Guest(kernel, "hot-" + fmt, CONTROLLERS + [
        "-device", "pci-bridge,id=br,chassis_nr=1"], 4)
    tools(g)
    for name, devices, look in PLUGS:
        plug(g, kernel, fmt, "%s, %s" % (name, fmt), devices, look)
    for driver, bus in (("ide-hd", "ide.0"), ("ide-hd", "ahci.3")):
        g.cmd("blockdev-add", driver="null-co", node_name="no", size=1 << 20)
        r = g.cmd("device_add", driver=driver, bus=bus, drive="no", id="no")
        check("%s on %s is refused with a reason" % (driver, bus),
              "does not support hotplugging" in
              r.get("error", {}).get("desc", ""), r)
        g.cmd("blockdev-del", node_name="no")
    got = complaints(g)
    check("hot-plug, %s: nothing bad in the kernel's log" % fmt, not got, got)
    check("hot-plug, %s: ends" % fmt, g.end() == 0, g.errors())


def main():
    for need in ("apt-get",) + PROGRAMS:
        if not shutil.which(need, path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
            skip_all("disks", "no " + need)
    kernel = Kernel(MODULES, PROGRAMS, [("eject", "eject")])
    try:
        parts = os.environ.get("PARTS", "disks hotplug media").split()
        for fmt in os.environ.get("FORMATS", "raw qcow2").split():
            if "disks" in parts:
                on_disks(kernel, fmt)
            if "hotplug" in parts:
                hotplug(kernel, fmt)
        if "media" in parts:
            removable(kernel)
    finally:
        kernel.end()
    finish()


main()
