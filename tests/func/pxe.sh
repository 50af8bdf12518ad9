#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# SeaBIOS and the iPXE ROMs of Debian's ipxe-qemu load a program over the user
# network's TFTP and start it: each card, chosen by bootindex.
. tests/tap.sh

[ -x "$TERN" ] || skip_all "tern is not built"
[ -e /usr/lib/ipxe/qemu/efi-e1000.rom ] || skip_all "no ipxe-qemu"
mkdir -p "$TMP/tftp"
# Writes a text to the serial port, then has the keyboard controller reset the
# machine.
{
    printf '\214\310\216\330\276\031\174\272\370\003\254\204\300\164\003\356'
    printf '\353\370\260\376\346\144\364\353\375loaded by the network\n\000'
} >"$TMP/tftp/program"

for card in virtio-net-pci e1000 rtl8139; do
    timeout 240 "$TERN" -machine pc -accel soft -m 64 -nodefaults \
        -display none -no-reboot -serial "file:$TMP/serial" \
        -netdev user,id=n,tftp="$TMP/tftp",bootfile=/program \
        -device $card,netdev=n,bootindex=1 >"$TMP/out" 2>&1 </dev/null
    rc=$?
    if [ $rc = 0 ] && grep -q 'loaded by the network' "$TMP/serial"; then
        pass "$card"
    else
        fail "$card" "status $rc; $(cat "$TMP/out"); $(tail -n 5 "$TMP/serial")"
    fi
done
finish
