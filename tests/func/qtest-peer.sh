#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The device tests of disks, PCI and virtio, as they are, against the peer where it
# is installed: what both pass is no author's misreading. What the peer cannot serve
# is named below with the reason.
. tests/tap.sh

peer=$(command -v qemu-system-x86_64) || skip_all "the peer is not installed"

why()       # program:test
{
    case $1 in
    ide:security_is_off) ;;
    ide:security_*) echo "it has no security feature set" ;;
    virtio-rng:broken_rings_need_a_reset)
        echo "its status does not show NEEDS_RESET" ;;
    virtio-scsi:task_management)
        echo "it ends in an assertion: a reset of a unit in an iothread" ;;
    iothread-load:*) echo "it has no iothread-vq-mapping" ;;
    esac
}

# A race of the peer's own may end it: such a test is asked again.
ask()       # command...
{
    for turn in 1 2 3 4; do
        out=$(QTEST_ACCEL=tcg TERN=$peer timeout 120 "$@" 2>&1) && return 0
        case $out in
        *"qtest: the emulator ended"*) ;;
        *) return 1 ;;
        esac
    done
    return 1
}

for p in ahci fdc ide lsi pci-bridge pci-testdev virtio-balloon virtio-blk \
    virtio-rng virtio-scsi virtio-serial; do
    prog=$BUILD/tests/qtest/$p
    [ -x "$prog" ] || {
        skip "$p" "not built"
        continue
    }
    for t in $("$prog" --list); do
        reason=$(why "$p:$t")
        if [ -n "$reason" ]; then
            skip "$p: $t" "$reason"
            continue
        fi
        if ask "$prog" "$t"; then
            pass "$p: $t"
        else
            fail "$p: $t" "$out"
        fi
    done
done
finish
