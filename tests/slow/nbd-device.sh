#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# tern-nbd -c and -d in a guest, whose kernel has the nbd driver: an image is
# tied to /dev/nbd0, its file system mounted, written, let go and tied again.
. tests/tap.sh
. tests/guest-linux.sh

nbd=${TERN_NBD:-$BUILD/tern-nbd}
PATH=$PATH:/usr/sbin:/sbin
for p in apt-get mke2fs ldd; do
    command -v $p >/dev/null || skip_all "no $p"
done
linux_make cloud || skip_all "$(echo "$tap_out" | tail -n 1)"
kernel=$(apt-cache depends linux-image-cloud-amd64 |
    sed -n 's/.*Depends: \(linux-image-[0-9][^:]*\).*/\1/p' | head -n 1)
media=$BUILD/media
sh scripts/debian-unpack "$media" "$kernel" >"$TMP/out" 2>&1 ||
    skip_all "$(tail -n 1 "$TMP/out")"
modules=$(echo "$media/$kernel"/lib/modules/*/kernel)

file()      # $1 name in the guest, $2 file, $3 mode
{
    # the folders above it
    at=
    for part in $(dirname "$1" | tr / ' '); do
        at=$at${at:+/}$part
        [ "$at" = . ] || linux_entry "$at" 16877 0
    done
    size=$(wc -c <"$2")
    linux_entry "$1" "$3" "$size"
    cat "$2"
    head -c $(((4 - size % 4) % 4)) /dev/zero
}

mkdir "$TMP/tree"
head -c 3000000 /dev/urandom >"$TMP/tree/data"
sum=$(md5sum <"$TMP/tree/data")
mke2fs -q -t ext4 -d "$TMP/tree" "$TMP/fs" 24M 2>"$TMP/out" &&
    "$TERN_IMG" convert -O qcow2 "$TMP/fs" "$TMP/disk" ||
    skip_all "no file system: $(cat "$TMP/out")"

cat >"$TMP/nbd.sh" <<'END'
stty -opost 2>/dev/null
dmesg -n 1
for m in crc32c_generic crc16 mbcache jbd2 ext4 nbd; do
    [ ! -f /m/$m.ko ] || insmod /m/$m.ko || echo "no module $m"
done
echo "begin"
/tern-nbd -c /dev/nbd0 -f qcow2 /disk
echo "tied $? $(cat /sys/block/nbd0/size)"
/tern-nbd -c /dev/nbd0 -f raw /nbd.sh 2>&1 | cut -c 1-9
mkdir -p /mnt
mount -t ext4 /dev/nbd0 /mnt
md5sum </mnt/data
dd if=/dev/urandom of=/mnt/new bs=65536 count=100 2>/dev/null
want=$(md5sum </mnt/new)
rm /mnt/data
umount /mnt
/tern-nbd -d /dev/nbd0
n=0
while [ "$(cat /sys/block/nbd0/size)" != 0 ] && [ $n -lt 100 ]; do
    n=$((n + 1))
    usleep 100000
done
n=0
while pidof tern-nbd >/dev/null && [ $n -lt 100 ]; do
    n=$((n + 1))
    usleep 100000
done
echo "left: $(pidof tern-nbd)"
/tern-nbd -r -c /dev/nbd0 /disk
echo "again $? $(cat /sys/block/nbd0/ro)"
mount -t ext4 -o ro /dev/nbd0 /mnt
ls /mnt | tr '\n' ' '
[ "$(md5sum </mnt/new)" = "$want" ] && echo "what was written"
umount /mnt
dd if=/dev/zero of=/dev/nbd0 bs=4096 count=1 2>/dev/null || echo "read-only"
/tern-nbd -d /dev/nbd0
dmesg | grep -E 'Call Trace|BUG:|Oops'
echo "end"
END
{
    for m in crypto/crc32c_generic lib/crc16 fs/mbcache fs/jbd2/jbd2 \
        fs/ext4/ext4 drivers/block/nbd; do
        [ ! -f "$modules/$m.ko" ] ||
            file "m/$(basename $m).ko" "$modules/$m.ko" 33188
    done
    ldd "$nbd" | sed -n 's/.* => \(\/[^ ]*\).*/\1/p; s/^\t\(\/[^ ]*\) .*/\1/p' |
        while read -r lib; do
            file "${lib#/}" "$lib" 33261
        done
    file tern-nbd "$nbd" 33261
    file disk "$TMP/disk" 33188
    file nbd.sh "$TMP/nbd.sh" 33261
    linux_entry 'TRAILER!!!' 0 0
} | gzip -1 >"$TMP/more.gz"
cat "$linux_dir/initrd.gz" "$TMP/more.gz" >"$TMP/initrd"

timeout "${GUEST_LIMIT:-300}" "$TERN" -machine pc -accel soft -m 512 \
    -nodefaults -display none -serial stdio -no-reboot -kernel "$vmlinuz" \
    -initrd "$TMP/initrd" \
    -append 'console=ttyS0 panic=-1 run=nbd.sh quiet nbd.max_part=4' \
    >"$TMP/console" 2>"$TMP/err" </dev/null
rc=$?
got=$(tr -d '\r' <"$TMP/console" | sed -n '/^begin/,/^end/p')
want="begin
tied 0 49152
tern-nbd:
$sum
/dev/nbd0 disconnected
left: 
again 0 1
lost+found new what was written
read-only
/dev/nbd0 disconnected
end"
if [ "$got" = "$want" ] && [ $rc = 0 ]; then
    pass "a file system by /dev/nbd0"
else
    fail "a file system by /dev/nbd0" "status $rc; wanted:
$want
got:
$got
$(cat "$TMP/err")
$(tail -n 25 "$TMP/console")"
fi
finish
