# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
#
# For tests that boot Linux: ". tests/guest-linux.sh" after tap.sh.
#
#     linux_make FLAVOUR           kernel and initrd of scripts/linux-guest with
#                                  the checks; sets $vmlinuz and $initrd, fails
#                                  with a reason in $tap_out
#     linux_boot NAME CPUS ARGUMENTS...
#                                  boots and says ok if the guest's answers are
#                                  the host's, it powers off, the status is 0
#     linux_disk                   $linux_image: a disk image from which GRUB
#                                  starts them; fails with a reason in $tap_out
#     linux_boot_disk NAME CPUS ARGUMENTS...
#                                  the same from the first IDE disk

[ -n "$linux_limit" ] || linux_limit=240

# What is computed in the guest and here. The host's shell may have other
# builtins than busybox, not other results.
linux_sums()
{
    printf 'the quick brown fox' | md5sum
    n=0
    while [ $n -lt 2000 ]; do
        echo "line $n"
        n=$((n + 1))
    done >"$1"
    sha256sum <"$1"
    gzip -c "$1" | gunzip -c | sha1sum
    dd if=/dev/zero bs=65536 count=16 2>/dev/null | sha512sum
    awk 'BEGIN { for (i = 1; i < 2000; i++) s += (i / 7 - 3) / (i * 1.1 + s)
                 printf "%.15g\n", s }'
    (sh -c 'kill -TERM $$'; echo "signal $?") 2>/dev/null
    for p in 1 2 3 4 5 6 7 8; do
        sha256sum "$1" >"$1.$p" &
    done
    wait
    cat "$1".[1-8] | cut -d ' ' -f 1 | sort -u
}

# One file as a cpio archive: the kernel unpacks several in a row.
linux_entry()   # name, mode, size
{
    printf '070701%08x%08x%08x%08x%08x%08x%08x' 1 "$2" 0 0 1 0 "$3"
    printf '%08x%08x%08x%08x%08x%08x%s\000' 0 0 0 0 $((${#1} + 1)) 0 "$1"
    head -c $(((4 - (111 + ${#1}) % 4) % 4)) /dev/zero
}

linux_make()
{
    linux_dir=$BUILD/linux-$1
    [ "$1" != cloud ] || linux_dir=$BUILD/demo
    # shellcheck disable=SC2034 # for the test that sources this
    tap_out=$(sh scripts/linux-guest "$linux_dir" "$1" 2>&1) || return 1
    sed -n '/^linux_sums()/,/^}/p' tests/guest-linux.sh >"$TMP/check.sh"
    cat >>"$TMP/check.sh" <<'END'
stty -opost 2>/dev/null
echo "cpus $(nproc)"
linux_sums /tmp/lines
dmesg | grep -E 'Call Trace|WARNING:|BUG:|Oops|soft lockup|rcu.*stall'
echo "checks end"
END
    linux_size=$(wc -c <"$TMP/check.sh")
    {
        linux_entry check.sh 33261 "$linux_size"
        cat "$TMP/check.sh"
        head -c $(((4 - linux_size % 4) % 4)) /dev/zero
        linux_entry 'TRAILER!!!' 0 0
    } | gzip >"$TMP/check.gz"
    vmlinuz=$linux_dir/vmlinuz
    initrd=$TMP/initrd-$1.gz
    cat "$linux_dir/initrd.gz" "$TMP/check.gz" >"$initrd"
}

linux_append='console=ttyS0 panic=-1 run=check.sh quiet'

# From here: a master boot record with one partition at 1 MiB, GRUB's core
# behind it, in the partition an ext2 file system with kernel and initrd.
linux_disk()
{
    linux_image=$TMP/linux.disk
    linux_grub=$BUILD/media
    # shellcheck disable=SC2034 # for the test that sources this
    tap_out=$(sh scripts/debian-unpack "$linux_grub" grub-common grub-pc-bin \
        2>&1) || return 1
    linux_mods=$linux_grub/grub-pc-bin/usr/lib/grub/i386-pc
    rm -rf "$TMP/disk"
    mkdir -p "$TMP/disk/boot/grub"
    cp "$vmlinuz" "$TMP/disk/vmlinuz"
    cp "$initrd" "$TMP/disk/initrd.gz"
    cat >"$TMP/disk/boot/grub/grub.cfg" <<END
linux /vmlinuz $linux_append
initrd /initrd.gz
boot
END
    cat >"$TMP/early.cfg" <<'END'
serial --unit=0 --speed=115200
terminal_input serial
terminal_output serial
END
    # shellcheck disable=SC2034
    tap_out=$(PATH=$PATH:/usr/sbin:/sbin
        "$linux_grub/grub-common/usr/bin/grub-mkimage" -O i386-pc \
            -d "$linux_mods" -p '(hd0,msdos1)/boot/grub' \
            -c "$TMP/early.cfg" -o "$TMP/core.img" biosdisk serial terminal \
            linux linux16 normal configfile echo ls part_msdos ext2 2>&1 &&
        mke2fs -q -t ext2 -b 1024 -d "$TMP/disk" "$TMP/fs" 60M 2>&1) ||
        return 1
    head -c 440 "$linux_mods/boot.img" >"$linux_image"
    truncate -s 446 "$linux_image"
    # active, type 83, from sector 2048, 60 MiB
    printf '\200\376\377\377\203\376\377\377\0\010\0\0\0\340\1\0' \
        >>"$linux_image"
    truncate -s 510 "$linux_image"
    printf '\125\252' >>"$linux_image"
    cat "$TMP/core.img" >>"$linux_image"
    truncate -s 1M "$linux_image"
    cat "$TMP/fs" >>"$linux_image"
    rm -rf "$TMP/disk" "$TMP/fs"
}

linux_boot()
{
    linux_name=$1
    linux_cpus=$2
    shift 2
    linux_judge -kernel "$vmlinuz" -initrd "$initrd" -append "$linux_append" \
        "$@"
}

linux_boot_disk()
{
    linux_name=$1
    linux_cpus=$2
    shift 2
    linux_judge -drive "file=$linux_image,format=raw,if=ide" "$@"
}

linux_judge()
{
    timeout "$linux_limit" "$TERN" -machine pc -m 256 -smp "$linux_cpus" \
        -nodefaults -display none -serial stdio -no-reboot "$@" \
        >"$TMP/console" 2>"$TMP/err" </dev/null
    linux_rc=$?
    linux_got=$(tr -d '\r' <"$TMP/console" | sed -n '/^cpus /,/^checks end/p')
    linux_want="cpus $linux_cpus
$(linux_sums "$TMP/lines")
checks end"
    if [ "$linux_got" = "$linux_want" ] && [ $linux_rc = 0 ]; then
        pass "$linux_name"
    else
        fail "$linux_name" "status $linux_rc; wanted:
$linux_want
got:
$linux_got
$(cat "$TMP/err")
$(tail -n 25 "$TMP/console")"
    fi
}
