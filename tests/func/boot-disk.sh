#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# SeaBIOS starts a boot sector from a floppy, an IDE disk and an IDE disk of the
# ISA machine; OVMF starts from flash.
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

image "$TMP/disk" 1M
image "$TMP/floppy" 1440K
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
    if [ -r /dev/kvm ] && [ -w /dev/kvm ]; then
        boots "IDE disk, KVM" "started from drive 80" -accel kvm -M pc $disk
    else
        skip "IDE disk, KVM" "no access to /dev/kvm"
    fi
}
finish
