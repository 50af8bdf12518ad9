#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# SeaBIOS starts a boot sector from a floppy, from disks on every controller, and
# from a CD on each that can have one; bootindex says which of several.
. tests/tap.sh

boot=${BUILD:-build}/tests/guests/boot-hello.bin
[ -x "$TERN" ] || skip_all "tern is not built"
[ -r "$boot" ] || skip_all "the guest is not built"
[ -r /usr/share/seabios/bios-256k.bin ] || skip_all "no SeaBIOS"

image()
{
    head -c 512 "$boot" >"$1"
    printf '\125\252' | dd of="$1" bs=1 seek=510 conv=notrunc 2>/dev/null
    truncate -s "$2" "$1"
}

# name, what the guest says, arguments
boots()
{
    name=$1 want=$2
    shift 2
    rm -f "$TMP/serial"
    "$TERN" -display none -nodefaults -serial "file:$TMP/serial" "$@" \
        >"$TMP/out" 2>&1 &
    pid=$!
    i=0
    while [ $i -lt 400 ] && kill -0 $pid 2>/dev/null; do
        grep -q "$want" "$TMP/serial" 2>/dev/null && break
        sleep 0.1
        i=$((i + 1))
    done
    kill $pid 2>/dev/null
    wait $pid 2>/dev/null
    has "$name" "$(cat "$TMP/serial" "$TMP/out" 2>/dev/null)" "$want"
}

# A CD that says the sector should be started without emulation (El Torito 1.0).
cd_image()
{
    python3 - "$boot" "$1" <<'END'
import struct
import sys

cd = bytearray(64 * 2048)
boot = open(sys.argv[1], "rb").read()[:512]
cd[16 * 2048:16 * 2048 + 7] = b"\1CD001\1"
cd[17 * 2048:17 * 2048 + 7] = b"\0CD001\1"
cd[17 * 2048 + 7:17 * 2048 + 39] = b"EL TORITO SPECIFICATION".ljust(32, b"\0")
cd[17 * 2048 + 71:17 * 2048 + 75] = struct.pack("<I", 19)
cd[18 * 2048:18 * 2048 + 7] = b"\xffCD001\1"
head = bytearray(b"\1" + bytes(29) + b"\x55\xaa")
head[28:30] = struct.pack("<H", -sum(struct.unpack("<16H", head)) & 0xffff)
cd[19 * 2048:19 * 2048 + 32] = head
cd[19 * 2048 + 32:19 * 2048 + 44] = struct.pack("<BBHBBHI", 0x88, 0, 0, 0, 0,
                                                4, 20)
cd[20 * 2048:20 * 2048 + 512] = boot
open(sys.argv[2], "wb").write(cd)
END
}

image "$TMP/disk" 1M
cd_image "$TMP/cd"
sed 's/started from/chosen, from/' "$TMP/disk" >"$TMP/other"
image "$TMP/floppy" 1440K
node="-blockdev driver=file,node-name=f,filename=$TMP/disk
    -blockdev driver=raw,node-name=d,file=f"
cd="-blockdev driver=file,node-name=cf,filename=$TMP/cd,read-only=on
    -blockdev driver=raw,node-name=c,file=cf,read-only=on"
other="-blockdev driver=file,node-name=of,filename=$TMP/other
    -blockdev driver=raw,node-name=o,file=of"
disk="-drive file=$TMP/disk,format=raw"
floppy="-drive file=$TMP/floppy,format=raw,if=floppy"
# shellcheck disable=SC2086 # lists of words
{
    boots "floppy, software CPU" "started from drive 00" \
        -accel tcg -M pc $floppy -boot a
    boots "IDE disk, software CPU" "started from drive 80" \
        -accel tcg -M pc $disk
    boots "IDE disk, O_DIRECT and native AIO" "started from drive 80" \
        -accel tcg -M pc $disk,cache=none,aio=native
    boots "virtio-blk" "started from drive 80" -accel tcg -M pc $node \
        -device virtio-blk-pci,drive=d
    boots "virtio-scsi" "started from drive 80" -accel tcg -M pc $node \
        -device virtio-scsi-pci -device scsi-hd,drive=d
    boots "lsi53c895a" "started from drive 80" -accel tcg -M pc $node \
        -device lsi53c895a -device scsi-hd,drive=d,scsi-id=2
    boots "AHCI disk" "started from drive 80" -accel tcg -M pc $node \
        -device ich9-ahci,id=a -device ide-hd,drive=d,bus=a.0
    boots "IDE CD" "started from drive e0" -accel tcg -M pc $cd \
        -device ide-cd,drive=c,bus=ide.1 -boot d
    boots "AHCI CD" "started from drive e0" -accel tcg -M pc $cd \
        -device ich9-ahci,id=a -device ide-cd,drive=c,bus=a.2
    boots "virtio-scsi CD" "started from drive e0" -accel tcg -M pc $cd \
        -device virtio-scsi-pci -device scsi-cd,drive=c
    boots "bootindex: virtio-scsi before AHCI" "chosen, from drive 80" \
        -accel tcg -M pc $node $other -device ich9-ahci,id=a \
        -device ide-hd,drive=d,bus=a.0,bootindex=2 -device virtio-scsi-pci \
        -device scsi-hd,drive=o,scsi-id=3,lun=2,bootindex=1
    boots "bootindex: AHCI before virtio-blk" "chosen, from drive 80" \
        -accel tcg -M pc $node $other -device virtio-blk-pci,drive=d \
        -device ich9-ahci,id=a -device ide-hd,drive=o,bus=a.4,bootindex=0
    three="$disk $floppy -drive file=$TMP/cd,format=raw,media=cdrom"
    boots "-boot order=c of three" "started from drive 80" \
        -accel tcg -M pc $three -boot order=c
    boots "-boot order=d of three" "started from drive e0" \
        -accel tcg -M pc $three -boot order=dca
    boots "-boot order=a of three" "started from drive 00" \
        -accel tcg -M pc $three -boot order=ac
    boots "-boot once=d before order=c" "started from drive e0" \
        -accel tcg -M pc $three -boot once=d,order=c
    boots "virtio-blk behind a bridge" "started from drive 80" \
        -accel tcg -M pc $node -device pci-bridge,id=b1,chassis_nr=1 \
        -device virtio-blk-pci,drive=d,bus=b1,addr=1,bootindex=0
    if [ -r /dev/kvm ] && [ -w /dev/kvm ]; then
        boots "IDE disk, KVM" "started from drive 80" -accel kvm -M pc $disk
    else
        skip "IDE disk, KVM" "no access to /dev/kvm"
    fi
}
finish
