#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# make demo: Debian's kernel boots to a shell, runs a command and powers off.
. tests/tap.sh

[ -x "$BUILD/tern" ] || skip_all "tern is not built"
command -v apt-get >/dev/null || skip_all "no apt-get for the kernel package"

check "the demo runs" env CI=true sh scripts/run-demo
for want in 'the answer is 42 on x86_64' 'Power down'; do
    has "it prints: $want" "$tap_out" "$want"
done
finish
