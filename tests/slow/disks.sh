#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Debian's generic kernel on the software CPU finds disks on every controller with
# its own drivers; makes a file system on each, fills, trims and checks it; finds
# the data again after a second boot; reads CDs; sees disks come and go.
. tests/tap.sh
. tests/guest-linux.sh

[ -x "$TERN" ] || skip_all "tern is not built"
command -v apt-get >/dev/null || skip_all "no apt-get for the kernel package"
command -v mke2fs >/dev/null || skip_all "no mke2fs"
command -v python3 >/dev/null || skip_all "no python3"
linux_make amd64 || skip_all "no kernel: $(echo "$tap_out" | tail -n 1)"
package=$(apt-cache depends linux-image-amd64 2>/dev/null |
    sed -n 's/.*Depends: \(linux-image-[0-9][^:]*\).*/\1/p' | head -n 1)
tap_out=$(sh scripts/debian-unpack "$BUILD/media" "$package" 2>&1) ||
    skip_all "no modules: $(echo "$tap_out" | tail -n 1)"
modules=$(find "$BUILD/media/$package" -type d -name kernel -path '*modules*')
patience=${TEST_PATIENCE:-4}

# In the order in which they need each other.
list='crc16 crc64 crc64_rocksoft_generic crc64-rocksoft crct10dif_common
crct10dif_generic crc-t10dif t10-pi crc32c_generic libcrc32c virtio_ring virtio
virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci scsi_common scsi_mod sd_mod
cdrom sr_mod virtio_blk virtio_scsi libata libahci ahci scsi_transport_spi
sym53c8xx mbcache jbd2 ext4'

make_root()
{
    root=$TMP/root
    mkdir -p "$root/m" "$root/bin"
    for m in $list; do
        find "$modules" -name "$m.ko" -exec cp {} "$root/m/" \;
    done
    for p in mke2fs e2fsck; do
        p=$(PATH=$PATH:/usr/sbin:/sbin command -v $p)
        cp "$p" "$root/bin/"
        ldd "$p" | grep -o '/[^ ]*' | while read -r l; do
            mkdir -p "$root$(dirname "$l")"
            cp -L "$l" "$root$l"
        done
    done
    cat >"$root/disks.sh" <<'END'
stty -opost 2>/dev/null
for x in $(cat /m/list); do insmod /m/$x.ko 2>&1 | grep -v exists; done
sleep 2
set -- $(sed 's/.*disks=\([^ ]*\).*/\1/; s/,/ /g' /proc/cmdline)
mkdir -p /mnt
sum() { md5sum <$1 | cut -c 1-32; }
for d in "$@"; do
    if mount -t ext4 /dev/$d /mnt 2>/dev/null; then
        [ "$(sum /mnt/a)" = "$(cat /mnt/sum)" ] && echo "$d kept"
        umount /mnt
    else
        mke2fs -q -t ext4 -F /dev/$d && mount -t ext4 /dev/$d /mnt || continue
        dd if=/dev/urandom of=/mnt/a bs=64k count=100 2>/dev/null
        cp /mnt/a /mnt/b
        sum /mnt/a >/mnt/sum
        sync
        umount /mnt
        echo 3 >/proc/sys/vm/drop_caches
        mount -t ext4 /dev/$d /mnt
        [ "$(sum /mnt/b)" = "$(cat /mnt/sum)" ] && echo "$d same"
        rm /mnt/b
        fstrim /mnt && echo "$d trimmed"
        umount /mnt
    fi
    e2fsck -fn /dev/$d >/tmp/out 2>&1 && echo "$d clean" || cat /tmp/out
done
for c in /dev/sr?; do [ -b $c ] && echo "cd $(sum $c)"; done
dmesg | grep -E 'Call Trace|WARNING:|BUG:|Oops|soft lockup|I/O error|timed out'
echo checks end
END
    echo "$list" >"$root/m/list"
    python3 - "$root" "$TMP/root.gz" <<'END'
import gzip
import os
import sys

out = gzip.open(sys.argv[2], "wb", 1)
os.chdir(sys.argv[1])
serial = 0


def entry(name, mode, data):
    global serial
    serial += 1
    name = name.encode() + b"\0"
    head = b"070701" + b"".join(b"%08x" % n for n in (
        serial, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)) + name
    out.write(head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4))


for where, folders, files in os.walk("."):
    for f in folders:
        entry(os.path.join(where, f)[2:], 0o40755, b"")
    for f in files:
        path = os.path.join(where, f)
        with open(path, "rb") as data:
            entry(path[2:], 0o100755, data.read())
entry("TRAILER!!!", 0, b"")
out.close()
END
    cat "$linux_dir/initrd.gz" "$TMP/root.gz" >"$TMP/initrd.gz"
}

# name, disks, what the guest says, CPUs, arguments
disks()
{
    name=$1 which=$2 want=$3 cpus=$4
    shift 4
    timeout $((120 * patience)) "$TERN" -accel soft -machine pc -m 320 \
        -smp "$cpus" -nodefaults -display none -serial stdio -no-reboot \
        -kernel "$vmlinuz" -initrd "$TMP/initrd.gz" -append \
        "console=ttyS0 panic=-1 quiet run=disks.sh disks=$which" "$@" \
        >"$TMP/console" 2>"$TMP/err" </dev/null
    got=$(tr -d '\r' <"$TMP/console" | grep -E '^(sd|vd|cd )|checks end|Call Trace|rror')
    if [ "$got" = "$want
checks end" ]; then
        pass "$name"
    else
        fail "$name" "$got
$(tail -n 5 "$TMP/err")"
    fi
}

# disks: what a first and a second boot say of them
first()
{
    for d in "$@"; do
        printf '%s same\n%s trimmed\n%s clean\n' "$d" "$d" "$d"
    done
}
second()
{
    for d in "$@"; do
        printf '%s kept\n%s clean\n' "$d" "$d"
    done
}

make_root
head -c 1M /dev/urandom >"$TMP/cd"
cd=$(md5sum <"$TMP/cd" | cut -c 1-32)
for n in 1 2 3 4; do
    truncate -s 100M "$TMP/disk$n"
done
drive() { echo "-drive if=none,id=d$1,file=$TMP/disk$1,format=raw,discard=unmap"; }
disc="-drive if=none,id=c$$,file=$TMP/cd,format=raw,readonly=on"

# shellcheck disable=SC2046,SC2086 # lists of words
for boot in first second; do
    disks "virtio-scsi and virtio-blk, 4 CPUs, 2 iothreads: $boot boot" \
        sda,vda "$($boot sda vda)
cd $cd" 4 -object iothread,id=t1 -object iothread,id=t2 $(drive 1) $(drive 2) \
        $disc -device virtio-scsi-pci,iothread=t1,num_queues=4 \
        -device scsi-hd,drive=d1 -device scsi-cd,drive=c$$ \
        -device virtio-blk-pci,drive=d2,iothread=t2,num-queues=4
    disks "AHCI: $boot boot" sda "$($boot sda)
cd $cd" 1 -device ich9-ahci,id=a $(drive 3) $disc \
        -device ide-hd,drive=d3,bus=a.0 -device ide-cd,drive=c$$,bus=a.3
    disks "lsi53c895a: $boot boot" sda "$($boot sda)
cd $cd" 1 -device lsi53c895a $(drive 4) $disc -device scsi-hd,drive=d4 \
        -device scsi-cd,drive=c$$
done
finish
