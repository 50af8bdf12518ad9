#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Debian's unmodified cloud kernel boots on the software CPU with one and with
# four processors, computes what the host computes, and powers off.
. tests/tap.sh
. tests/guest-linux.sh

[ -x "$TERN" ] || skip_all "tern is not built"
command -v apt-get >/dev/null || skip_all "no apt-get for the kernel package"
linux_make cloud || skip_all "no kernel: $(echo "$tap_out" | tail -n 1)"
for cpus in 1 4; do
    linux_boot "cloud kernel, $cpus CPUs" $cpus -accel soft
done
# all that the software CPU has: five-level page tables, the paravirtual clock
linux_boot "cloud kernel, -cpu max" 2 -accel soft -cpu max,kvmclock=on
finish
