#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Debian's cloud, generic and i686 kernels on the software CPU, directly and
# through firmware, with one and with four processors, again and again. BOOTS is
# how often the cloud kernel boots with four (50), the others a tenth of that.
. tests/tap.sh
. tests/guest-linux.sh

[ -x "$TERN" ] || skip_all "tern is not built"
command -v apt-get >/dev/null || skip_all "no apt-get for the kernel packages"
boots=${BOOTS:-50}
few=$(((boots + 9) / 10))

repeat()    # times, name, CPUs, arguments
{
    times=$1
    name=$2
    cpus=$3
    shift 3
    turn=1
    while [ "$turn" -le "$times" ]; do
        linux_boot "$name, $cpus CPUs, $turn" "$cpus" -accel soft "$@"
        turn=$((turn + 1))
    done
}

for flavour in cloud amd64 686; do
    if ! linux_make $flavour; then
        skip "$flavour kernel" "$(echo "$tap_out" | tail -n 1)"
        continue
    fi
    for cpus in 1 4; do
        times=$few
        [ "$flavour $cpus" != "cloud 4" ] || times=$boots
        repeat "$times" "$flavour kernel" $cpus
        if [ -e /usr/share/seabios/bios-256k.bin ]; then
            repeat "$few" "$flavour kernel, SeaBIOS" "$cpus" -bios bios-256k.bin
        fi
    done
done
finish
