#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# SeaBIOS and the iPXE ROM of each card (or of those that are named) load Debian's
# PXELINUX by DHCP and TFTP from the user network; at its prompt the kernel and the
# initial RAM disk of Debian's netboot installer are asked for, and the installer
# asks back.
. tests/tap.sh
. tests/serial-line.sh

[ -x "$TERN" ] || skip_all "tern is not built"
[ -e /usr/lib/ipxe/qemu/efi-e1000.rom ] || skip_all "no ipxe-qemu"
command -v apt-get >/dev/null || skip_all "no apt-get for the packages"
slow=${TEST_PATIENCE:-4}
package=debian-installer-12-netboot-amd64
tap_out=$(sh scripts/debian-unpack "$BUILD/media" $package 2>&1) ||
    skip_all "$(echo "$tap_out" | tail -n 1)"
images=$BUILD/media/$package/usr/lib/debian-installer/images/12/amd64/text
images=$images/debian-installer/amd64

mkdir -p "$TMP/tftp/pxelinux.cfg"
cp "$images/pxelinux.0" "$images/linux" "$images/initrd.gz" \
    "$images/boot-screens/ldlinux.c32" "$TMP/tftp"
cat >"$TMP/tftp/pxelinux.cfg/default" <<'END'
serial 0 115200
prompt 1
timeout 0
label install
kernel linux
append initrd=initrd.gz console=ttyS0 DEBIAN_FRONTEND=text quiet
END

for card in ${*:-virtio-net-pci e1000 rtl8139}; do
    line_start -accel soft -M pc -m 512 -nodefaults -no-reboot \
        -netdev "user,id=n,tftp=$TMP/tftp,bootfile=pxelinux.0" \
        -device $card,netdev=n,bootindex=1
    if line_wait $((60 * slow)) 'boot:'; then
        pass "$card: a boot loader"
    else
        fail "$card: a boot loader" "$(line_shown)"
    fi
    # With this little memory the installer says so before all else.
    if line_say install && line_wait $((300 * slow)) 'You should set up swap'
    then
        pass "$card: Debian's netboot installer"
    else
        fail "$card: Debian's netboot installer" "$(line_shown)"
    fi
    line_end 0
done
finish
