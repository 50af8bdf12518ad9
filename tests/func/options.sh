#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# -set, -writeconfig and -readconfig, -add-fd; options that nothing carries out
# say so.
. tests/tap.sh

[ -x "$TERN" ] || skip_all "tern is not built"

# Ends by itself: the error comes first, or the monitor's input does.
run()
{
    echo quit | timeout 60 "$TERN" -accel qtest -machine pc -m 16 -nodefaults \
        -display none -S -monitor stdio "$@" 2>&1
}

# text, arguments: fails and says text
says()
{
    text=$1
    shift
    if out=$(run "$@"); then
        fail "$* is refused" "$out"
    else
        has "$* is refused" "$out" "$text"
    fi
}

says "can't parse: \"foo\"" -set foo
says "There is no option group 'bar'" -set bar.x.y=1
says 'there is no device "x" defined' -set device.x.y=1
says "Property 'isa-serial.foo' not found" -device isa-serial,id=s \
    -set device.s.foo=1
out=$(printf 'info qtree\nquit\n' | timeout 60 "$TERN" -accel qtest -nodefaults \
    -display none -S -monitor stdio -device isa-debug-exit,id=e,iobase=0x501 \
    -set device.e.iobase=0x777 2>&1)
has "-set replaces what -device said" "$out" "iobase = 1911"

says "fd cannot be a standard I/O stream" -add-fd fd=1,set=1
says "fd option is required" -add-fd set=1
says "set option is required" -add-fd fd=9 9</dev/null
says "fd is not valid or already in use" -add-fd fd=200,set=1
truncate -s 1M "$TMP/img"
check "an inherited descriptor is a disk" run -add-fd fd=9,set=2 \
    -drive if=none,id=d,format=raw,file=/dev/fdset/2 9<>"$TMP/img"

check "-writeconfig writes" run -writeconfig "$TMP/c" -chardev null,id=c \
    -device isa-debug-exit,id=e,iobase=0x777 -hdc "$TMP/img" \
    -set chardev.c.logfile="$TMP/a,b"
has "a device's section" "$(cat "$TMP/c")" '[device "e"]'
has "a comma is a plain character there" "$(cat "$TMP/c")" "a,b\""
cat >"$TMP/mon" <<X
[chardev "m"]
  backend = "stdio"
[mon]
  chardev = "m"
  mode = "readline"
X
out=$(printf 'info qtree\nquit\n' | timeout 60 "$TERN" -accel qtest -nodefaults \
    -display none -S -readconfig "$TMP/c" -readconfig "$TMP/mon" 2>&1)
has "-readconfig takes what -writeconfig wrote" "$out" "iobase = 1911"
says "quotation mark" -writeconfig "$TMP/d" -name x -chardev 'null,id=c,logfile="'

says "does not count instructions" -icount shift=3
says "does not support if=sd,bus=0,unit=0" -drive if=sd,format=raw,file="$TMP/img"
says "does not support if=scsi" -drive if=scsi,format=raw,file="$TMP/img"
check "-snapshot" run -snapshot -hda "$TMP/img"
says "is unexpected" -compat foo=accept
says "does not accept value 'reject'" -compat deprecated-input=reject
says "no device tree" -dtb x
says "Bad argument to echr" -echr x
check "-k is taken without a word" test -z "$(run -k de 2>&1 >/dev/null)"
says "Cannot find object ID 'nope'" -fw_cfg name=opt/x,gen_id=nope
says "Object ID 's' is not a 'fw_cfg-data-generator' subclass" \
    -object secret,id=s,data=x -fw_cfg name=opt/x,gen_id=s
says "name, plus exactly one of file, string and gen_id" \
    -fw_cfg name=opt/x,string=a,gen_id=s
# Old names do what the modern ones do, and say which these are.
old()   # text, arguments
{
    text=$1
    shift
    if out=$(run "$@"); then
        has "$1: an old name" "$out" "$text"
    else
        fail "$1: an old name" "$out"
    fi
}
old "use -rtc base=localtime" -localtime
old "use -rtc base=2006-06-17" -startdate 2006-06-17
old "use -rtc driftfix=slew" -rtc-td-hack
old "use -machine kernel-irqchip=off" -no-kvm-irqchip
old "use -global kvm-pit.lost_tick_policy=discard" -no-kvm-pit-reinjection
old "use -device ib700" -watchdog ib700
old "use bootindex=" -drive "if=none,format=raw,file=$TMP/img,boot=on"
old "use ide-hd" -device ide-drive,drive=d \
    -drive "if=none,id=d,format=raw,file=$TMP/img"
old "'pc-i440fx-7.2' is used" -machine rhel6.6.0
has "watchdogs are listed" "$("$TERN" -watchdog help)" i6300esb
says "sound cards are not in this version" -soundhw hda
says "USB is not in this version" -usbdevice tablet
says "Did you mean 'virtio-blk-pci'?" -device virtio-blk-pcii
says "Did you mean 'max-bytes'?" -device virtio-rng-pci,max-byte=5
says "Did you mean 'hpet'?" -machine pc,hpett=on
says "Did you mean 'isapc'?" -machine isapcc
says "Did you mean 'iothread'?" -object iothred,id=x
says "Did you mean 'socket'?" -chardev sockt,id=x
has "so does the monitor" "$(printf 'info statu\nquit\n' | timeout 60 "$TERN" \
    -accel qtest -nodefaults -display none -S -monitor stdio)" \
    "Did you mean 'info status'?"
says "SPICE is not in this version" -spice port=1
says "9p" -virtfs local,path=/,mount_tag=x
old "use -overcommit mem-lock=off" -realtime mlock=off
old "no effect: there is no window" -no-frame
# More tables than the RSDT is made for: refused, not fallen over.
head -c 64 /dev/zero >"$TMP/table"
tables=
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24; do
    tables="$tables -acpitable file=$TMP/table"
done
# shellcheck disable=SC2086
says "too many ACPI tables" $tables
says "claiming to have header is too short" -acpitable file=VERSION
says "Parameter 'rev' expects uint8_t" -acpitable rev=300,data=VERSION
says "requires one of 'data' or 'file'" -acpitable sig=AAAA
has "members of a group are listed" "$("$TERN" -boot help)" \
    "reboot-timeout=<num>"
has "so are folders of firmware" "$("$TERN" -L "$TMP/fw" -L help)" "$TMP/fw"
has "other options take the word" "$(printf 'info name\nquit\n' | timeout 60 \
    "$TERN" -accel qtest -nodefaults -display none -S -monitor stdio \
    -name help)" "help"
has "a page is printed" "$("$TERN" --x-man)" '.TH TERN 1'
# Networks: what old guides say, and the manual page.
out=$(printf 'info network\nquit\n' | timeout 60 "$TERN" -accel qtest -m 16 \
    -nodefaults -display none -S -monitor stdio -net nic,vlan=3,model=rtl8139 \
    -net socket,vlan=3,listen=127.0.0.1:0 2>&1)
has "vlan= is the number of a hub" "$out" "hub 3"
has "with the card in it" "$out" "model=rtl8139"
has "and what to say now" "$out" "use -netdev hubport,hubid=3, or -nic"
out=$("$TERN" --x-man | sed 's/\\-/-/g')
for word in "NETWORK BACKENDS" hubid= local= remote= reconnect= mcast= vnet_hdr= \
    sndbuf= helper= ifname= maxlen= rx_queue_size= host_mtu= \
    autonegotiation=; do
    has "the manual page knows $word" "$out" "$word"
done

finish
