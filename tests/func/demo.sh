#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# make demo: a Multiboot kernel of our own finds its machine and resets it.
. tests/tap.sh

[ -x "$TERN" ] || skip_all "tern is not built"
[ -r /dev/kvm ] && [ -w /dev/kvm ] || skip_all "no access to /dev/kvm"

check "the demo runs" sh scripts/run-demo
for want in 'Hello from a guest.' 'memory      64 MiB' 'greetings' \
    'PCI 00:00.0 8086:1237 class 0600' 'PCI 00:01.0 8086:7000 class 0601'; do
    has "it prints: $want" "$tap_out" "$want"
done
finish
