#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# make demo: Debian's kernel boots to a shell with a disk and the network, runs
# commands and powers off.
. tests/tap.sh

[ -x "$BUILD/tern" ] || skip_all "tern is not built"
command -v apt-get >/dev/null || skip_all "no apt-get for the kernel package"

check "the demo runs" env CI=true sh scripts/run-demo
for want in 'the answer is 42 on x86_64' 'the disk keeps 2' 'Power down' \
    'No errors were found on the image'; do
    has "it prints: $want" "$tap_out" "$want"
done
if "$TERN" -netdev help | grep -qx user; then
    has "an address" "$tap_out" 'Network: eth0 has 10.0.2.15/24, gateway 10.0.2.2'
    has "an answer" "$tap_out" '1 packets transmitted, 1 packets received'
fi
finish
