#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The guest tests/guests/machine on the board: interrupts, timers, processors
# with each place the interrupt controllers can be, and the ways to end.
. tests/tap.sh

[ -x "$TERN" ] || skip_all "tern is not built"
guest=$BUILD/tests/guests/machine.elf
[ -f "$guest" ] || skip_all "$guest is not built"

run()       # $1 seconds, then arguments of tern; output in $out, status in $rc
{
    seconds=$1
    shift
    out=$(timeout "$seconds" "$TERN" -display none -nodefaults -monitor none \
          -serial stdio -kernel "$guest" \
          -device isa-debug-exit,iobase=0x501 "$@" 2>&1)
    rc=$?
}

all_of_it() # $1 name, then arguments
{
    name=$1
    shift
    run 120 -no-reboot "$@"
    if [ $rc -eq 1 ] && case "$out" in *passed*) ;; *) false ;; esac; then
        pass "$name"
    else
        fail "$name" "status $rc
$out"
    fi
}

ends()      # $1 name, $2 accelerator
{
    run 60 -accel "$2" -no-reboot -append 'end-only reset'
    same "$1: -no-reboot ends at a reset" $rc 0
    run 60 -accel "$2" -no-reboot -append 'end-only triple'
    same "$1: a triple fault is a reset" $rc 0
    run 60 -accel "$2" -no-reboot -append 'end-only'
    same "$1: the guest's exit code" $rc 1
}

if [ -r /dev/kvm ] && [ -w /dev/kvm ]; then
    for chip in on split off; do
        all_of_it "kvm, kernel-irqchip=$chip, four processors" \
            -accel kvm,kernel-irqchip=$chip -cpu max -smp 4
    done
    all_of_it "kvm, one processor" -accel kvm
    ends kvm kvm
    # Beginning again: the guest is loaded anew and says so each time.
    run 5 -accel kvm -append 'end-only reset'
    n=$(printf '%s\n' "$out" | grep -c begins)
    if [ "$n" -ge 2 ]; then
        pass "kvm: a reset begins again"
    else
        fail "kvm: a reset begins again" "$out"
    fi
else
    skip "kvm" "no access to /dev/kvm"
fi
all_of_it "software CPU, four processors" -accel tcg -cpu max -smp 4
ends "software CPU" tcg
finish
