#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Debian's cloud, generic and i686 kernels on the software CPU, directly and
# through firmware, and by GRUB from an IDE disk, with one and with four
# processors, again and again. BOOTS is how often the cloud kernel boots with
# four (50), the others a tenth of that. KERNELS: which ones.
. tests/tap.sh
. tests/guest-linux.sh

[ -x "$TERN" ] || skip_all "tern is not built"
command -v apt-get >/dev/null || skip_all "no apt-get for the kernel packages"
boots=${BOOTS:-50}
few=$(((boots + 9) / 10))

repeat()    # times, function, name, CPUs, arguments
{
    times=$1
    how=$2
    name=$3
    cpus=$4
    shift 4
    turn=1
    while [ "$turn" -le "$times" ]; do
        $how "$name, $cpus CPUs, $turn" "$cpus" -accel soft "$@"
        turn=$((turn + 1))
    done
}

for flavour in ${KERNELS:-cloud amd64 686}; do
    if ! linux_make $flavour; then
        skip "$flavour kernel" "$(echo "$tap_out" | tail -n 1)"
        continue
    fi
    disk=
    if [ ! -e /usr/share/seabios/bios-256k.bin ]; then
        skip "$flavour kernel through firmware" "no SeaBIOS"
    elif linux_disk; then
        disk=y
    else
        skip "$flavour kernel by GRUB" "$(echo "$tap_out" | tail -n 1)"
    fi
    for cpus in 1 4; do
        times=$few
        [ "$flavour $cpus" != "cloud 4" ] || times=$boots
        repeat "$times" linux_boot "$flavour kernel" $cpus
        [ ! -e /usr/share/seabios/bios-256k.bin ] ||
            repeat "$few" linux_boot "$flavour kernel, SeaBIOS" $cpus \
                -bios bios-256k.bin
        [ ! "$disk" ] ||
            repeat "$few" linux_boot_disk "$flavour kernel, GRUB, IDE" $cpus
    done
done
finish
