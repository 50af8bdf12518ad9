#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Boot loaders and firmware from Debian's packages, unmodified, on the software
# CPU, each to its prompt on the serial line: GRUB, SYSLINUX, ISOLINUX, iPXE,
# OVMF; and memtest86+ through its first pass.
. tests/tap.sh
. tests/guest-linux.sh
. tests/serial-line.sh

[ -x "$TERN" ] || skip_all "tern is not built"
command -v apt-get >/dev/null || skip_all "no apt-get for the packages"
media=$BUILD/media
slow=${TEST_PATIENCE:-4}

verdict()   # name; the result of what ran before
{
    if [ "$2" = 0 ]; then
        pass "$1"
    else
        fail "$1" "$(line_shown)"
    fi
}

grub()
{
    linux_make cloud && linux_disk || {
        skip "GRUB" "$(echo "$tap_out" | tail -n 1)"
        return
    }
    # without its configuration GRUB stops at the prompt
    bytes=$(LC_ALL=C grep -obaF 'linux /vmlinuz' "$linux_image" | head -n 1)
    printf '#' | dd of="$linux_image" bs=1 seek="${bytes%%:*}" conv=notrunc \
        2>/dev/null
    line_start -accel soft -M pc -m 256 -nodefaults -no-reboot \
        -drive "file=$linux_image,format=raw"
    line_wait $((15 * slow)) 'grub>' && line_say 'ls (hd0,msdos1)/' &&
        line_wait $((5 * slow)) initrd.gz
    verdict "GRUB from an IDE disk: prompt, file system" $?
    line_say "linux /vmlinuz $linux_append"
    line_wait $((5 * slow)) 'grub>' && line_say 'initrd /initrd.gz' &&
        line_wait $((5 * slow)) 'grub>' && line_say boot &&
        line_wait $((40 * slow)) 'checks end' && line_end $((5 * slow))
    verdict "GRUB starts the kernel by commands" $?
    line_end 0
}

syslinux_()
{
    linux_make cloud && tap_out=$(sh scripts/debian-unpack "$media" mtools \
        syslinux 2>&1) || {
        skip "SYSLINUX" "$(echo "$tap_out" | tail -n 1)"
        return
    }
    cat >"$TMP/syslinux.cfg" <<'END2'
serial 0 115200
prompt 1
timeout 0
END2
    truncate -s 64M "$TMP/fat"
    (
        PATH=$PATH:$media/mtools/usr/bin
        mformat -i "$TMP/fat" -T 131072 -h 16 -s 63 -H 0 :: &&
            "$media/syslinux/usr/bin/syslinux" --install "$TMP/fat" &&
            mcopy -i "$TMP/fat" "$TMP/syslinux.cfg" "$vmlinuz" :: &&
            mcopy -i "$TMP/fat" "$initrd" ::initrd.gz
    ) >"$TMP/made" 2>&1 || {
        fail "SYSLINUX image" "$(cat "$TMP/made")"
        return
    }
    line_start -accel soft -M pc -m 256 -nodefaults -no-reboot \
        -drive "file=$TMP/fat,format=raw"
    line_wait $((15 * slow)) 'boot:'
    verdict "SYSLINUX from an IDE disk: prompt" $?
    line_say "vmlinuz initrd=initrd.gz $linux_append"
    line_wait $((60 * slow)) 'checks end' && line_end $((5 * slow))
    verdict "SYSLINUX starts the kernel" $?
    line_end 0
    rm -f "$TMP/fat"
}

# An ISO with the kernel, and the boot image that $1 names in $TMP/iso.
iso()
{
    xorriso -as mkisofs -quiet -o "$TMP/cd" -b "$1" -c boot/boot.cat \
        -no-emul-boot -boot-load-size 4 -boot-info-table "$TMP/iso" \
        >"$TMP/made" 2>&1
}

from_cd()   # name, arguments of the drive
{
    name=$1
    shift
    line_start -accel soft -M pc -m 256 -nodefaults -no-reboot -boot d "$@"
    line_wait $((20 * slow)) "$prompt"
    verdict "$name: prompt" $?
    if [ "$prompt" = 'boot:' ]; then
        line_say "/boot/vmlinuz initrd=/boot/initrd.gz $linux_append"
    else
        line_say "linux /boot/vmlinuz $linux_append"
        line_wait $((20 * slow)) 'grub>' &&
            line_say 'initrd /boot/initrd.gz' &&
            line_wait $((20 * slow)) 'grub>' && line_say boot
    fi
    line_wait $((60 * slow)) 'checks end' && line_end $((5 * slow))
    verdict "$name starts the kernel" $?
    line_end 0
}

cds()
{
    command -v xorriso >/dev/null || {
        skip "CDs" "no xorriso"
        return
    }
    linux_make cloud && tap_out=$(sh scripts/debian-unpack "$media" isolinux \
        syslinux-common grub-common grub-pc-bin 2>&1) || {
        skip "CDs" "$(echo "$tap_out" | tail -n 1)"
        return
    }
    mkdir -p "$TMP/iso/boot" "$TMP/iso/isolinux"
    cp "$vmlinuz" "$TMP/iso/boot/vmlinuz"
    cp "$initrd" "$TMP/iso/boot/initrd.gz"
    cp "$media/isolinux/usr/lib/ISOLINUX/isolinux.bin" \
        "$media/syslinux-common/usr/lib/syslinux/modules/bios/ldlinux.c32" \
        "$TMP/iso/isolinux/"
    printf 'serial 0 115200\nprompt 1\ntimeout 0\n' \
        >"$TMP/iso/isolinux/isolinux.cfg"
    prompt='boot:'
    if iso isolinux/isolinux.bin; then
        from_cd "ISOLINUX from an IDE CD" -cdrom "$TMP/cd"
    else
        fail "an ISO with ISOLINUX" "$(cat "$TMP/made")"
    fi
    cat >"$TMP/early.cfg" <<'END2'
serial --unit=0 --speed=115200
terminal_input serial
terminal_output serial
END2
    prompt='grub>'
    if "$media/grub-common/usr/bin/grub-mkimage" -O i386-pc-eltorito \
        -d "$media/grub-pc-bin/usr/lib/grub/i386-pc" -p /boot/grub \
        -c "$TMP/early.cfg" -o "$TMP/iso/boot/grub.img" biosdisk iso9660 \
        serial terminal linux normal echo ls >"$TMP/made" 2>&1 &&
        iso boot/grub.img; then
        from_cd "GRUB from an IDE CD" -cdrom "$TMP/cd"
        from_cd "GRUB from an AHCI CD" -device ich9-ahci,id=a \
            -drive "if=none,id=c,format=raw,readonly=on,file=$TMP/cd" \
            -device ide-cd,bus=a.1,drive=c,bootindex=0
    else
        fail "an ISO with GRUB" "$(cat "$TMP/made")"
    fi
    rm -rf "$TMP/iso" "$TMP/cd"
}

ipxe()
{
    tap_out=$(sh scripts/debian-unpack "$media" ipxe 2>&1) || {
        skip "iPXE" "$(echo "$tap_out" | tail -n 1)"
        return
    }
    # its console is the firmware's, which -nographic puts on the serial line
    line_start -accel soft -M pc -m 64 -nographic -monitor none -net none \
        -bios bios-256k.bin -kernel "$media/ipxe/boot/ipxe.lkrn"
    if line_wait $((20 * slow)) 'Press Ctrl-B'; then
        printf '\002' >&9
        line_wait $((5 * slow)) 'iPXE>' && line_say 'show version' &&
            line_wait $((5 * slow)) 'version:'
    else
        false
    fi
    verdict "iPXE: prompt, a command" $?
    line_end 0
}

ovmf()
{
    code=/usr/share/OVMF/OVMF_CODE_4M.fd
    [ -r $code ] || {
        skip "OVMF" "not installed"
        return
    }
    cp /usr/share/OVMF/OVMF_VARS_4M.fd "$TMP/vars"
    line_start -accel soft -M pc -m 256 -nodefaults -no-reboot \
        -drive "if=pflash,unit=0,format=raw,readonly=on,file=$code" \
        -drive "if=pflash,unit=1,format=raw,file=$TMP/vars"
    line_wait $((30 * slow)) 'Press ESC' && printf '\033' >&9 &&
        line_wait $((5 * slow)) 'Shell>' && line_say ver &&
        line_wait $((5 * slow)) 'UEFI v2.' && line_say 'reset -s' &&
        line_end $((5 * slow))
    verdict "OVMF from flash: shell, a command, off" $?
    line_end 0
}

memtest()
{
    tap_out=$(sh scripts/debian-unpack "$media" memtest86+ 2>&1) || {
        skip "memtest86+" "$(echo "$tap_out" | tail -n 1)"
        return
    }
    line_start -accel soft -M pc -m 64 -nodefaults -append "console=ttyS0" \
        -kernel "$media/memtest86+/boot/memtest86+x64.bin"
    line_wait $((600 * slow)) 'Pass:  1        Errors: 0'
    verdict "memtest86+, first pass over 64 MiB" $?
    line_end 0
}

for what in ${MEDIA:-grub syslinux_ cds ipxe ovmf memtest}; do
    $what
done
finish
