#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# -device and -global from the command line: help, and one line for each fault.
# shellcheck disable=SC2086  # $run is words
. tests/tap.sh

qemu=$BUILD/compat/qemu-system-x86_64
run="$qemu -accel qtest -machine pc -m 16 -nodefaults -display none -S"

first()     # the first line of what a command says
{
    timeout 60 "$@" </dev/null 2>&1 | head -n 1
}

refuses()   # $1 text after the place, rest: arguments
{
    want=$1
    shift
    text=$(timeout 60 $run "$@" </dev/null 2>&1)
    status=$?
    if [ $status -eq 1 ] && [ "$(echo "$text" | head -n 1)" = "qemu-system-x86_64: $want" ]; then
        pass "$*"
    else
        fail "$*" "status $status, said: $text"
    fi
}

same 'help without a machine' "$(first "$qemu" -device pci-testdev,help)" 'pci-testdev options:'
same 'help for an unknown device' "$(first "$qemu" -device foo,help)" \
    "qemu-system-x86_64: -device foo,help: Device 'foo' not found"
case "$(timeout 60 "$qemu" -device help)" in
*'
Misc devices:
'*'name "pci-testdev", bus PCI, desc "PCI Test Device"'*) pass 'list of devices' ;;
*) fail 'list of devices' ;;
esac
refuses "-device foo: 'foo' is not a valid device model name" -device foo
refuses "-device id=x: Parameter 'driver' is missing" -device id=x
refuses "-device PIIX3: Parameter 'driver' expects a pluggable device type" -device PIIX3
refuses "-device pci-testdev,bus=no: Bus 'no' not found" -device pci-testdev,bus=no
refuses "-device pci-testdev,bus=isa.0: Device 'pci-testdev' can't go on ISA bus" \
    -device pci-testdev,bus=isa.0
refuses "-device pci-testdev,addr=1: PCI: slot 1 function 0 not available for pci-testdev, in use by PIIX3,id=(null)" \
    -device pci-testdev,addr=1
refuses "-device pci-testdev,id=a: Duplicate ID 'a' for device" \
    -device pci-testdev,id=a -device pci-testdev,id=a
refuses "-device pci-testdev,addr=32: Property 'pci-testdev.addr' doesn't take value '32'" \
    -device pci-testdev,addr=32
refuses "-device pci-testdev,id=1a: Parameter 'id' expects an identifier" \
    -device pci-testdev,id=1a
refuses "-device pci-testdev,x=y: Property 'pci-testdev.x' not found" -device pci-testdev,x=y
refuses "-device {\"driver\":\"pci-testdev\",\"membar\":\"1M\"}: Parameter 'membar' expects uint64" \
    -device '{"driver":"pci-testdev","membar":"1M"}'
refuses "-device {\"driver\":\"pci-testdev\",\"addr\":5}: PCI: single function device can't be populated in function 0.5" \
    -device '{"driver":"pci-testdev","addr":5}'
refuses '-device pci-testdev,romfile=/dev/null: romfile "/dev/null" is empty' \
    -device pci-testdev,romfile=/dev/null
refuses "-device pci-testdev: can't apply global pci-testdev.x=1: Property 'pci-testdev.x' not found" \
    -global pci-testdev.x=1 -device pci-testdev
refuses "can't apply global PIIX3.x=1: Property 'PIIX3.x' not found" -global PIIX3.x=1
board=$run
run="$qemu -accel qtest -machine none -nodefaults -display none -S"
refuses "-device pci-testdev: No 'PCI' bus found for device 'pci-testdev'" \
    -device pci-testdev
run=$board
warned=$(timeout 60 $run -global no.x=1 -device nosuch </dev/null 2>&1)
same 'a fault comes before warnings' "$(echo "$warned" | head -n 1)" \
    "qemu-system-x86_64: -device nosuch: 'nosuch' is not a valid device model name"
warned=$(timeout 5 $run -global no.x=1 -global PIIX3.addr=1 -machine none </dev/null 2>&1)
same 'a global that nothing uses' "$(echo "$warned" | grep -c 'warning: global \(no.x has invalid class name\|PIIX3.addr=1 not used\)$')" 2
finish
