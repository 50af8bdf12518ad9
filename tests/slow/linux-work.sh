#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The host's own programs in a Linux guest on the software CPU: compression,
# cryptography, the compiler, and a stress of processes, threads, signals,
# mappings and floating point. Every result must be the host's.  CPUS: how many
# processors, for each run.
. tests/tap.sh
. tests/guest-linux.sh

[ -x "$TERN" ] || skip_all "tern is not built"
command -v apt-get >/dev/null || skip_all "no apt-get for the kernel package"
linux_make cloud || skip_all "no kernel: $(echo "$tap_out" | tail -n 1)"
cc1=$(${CC:-gcc} -print-prog-name=cc1 2>/dev/null)

# Everything the guest gets, under its path: programs, the libraries they name.
root=$TMP/root
add()       # path of a file
{
    mkdir -p "$root$(dirname "$1")"
    cp -L "$1" "$root$1"
}
add_program()
{
    found=$(command -v "$1") || return
    found=$(readlink -f "$found")
    add "$found"
    for lib in $(ldd "$found" 2>/dev/null | grep -o '/[^ ]*'); do
        add "$lib"
    done
    mkdir -p "$root/guest/bin"
    ln -sf "$found" "$root/guest/bin/$(basename "$1")"
}

mkdir -p "$root/guest"
${CC:-gcc} -O2 -static -pthread -o "$root/guest/stress" \
    tests/slow/linux-stress.c -lm || skip_all "no static C library"
programs=
for p in openssl gzip xz zstd bzip2 "$cc1"; do
    ! command -v "$p" >/dev/null || {
        add_program "$p"
        programs="$programs $p"
    }
done
[ ! -e "$root/guest/bin/openssl" ] || {
    openssl genrsa 2048 >"$root/guest/key" 2>/dev/null
    for conf in /usr/lib/ssl/openssl.cnf /etc/ssl/openssl.cnf; do
        [ ! -r "$conf" ] || add "$conf"
    done
}
${CC:-gcc} -E -P tests/slow/linux-stress.c -o "$root/guest/code.i"
head -c 1500000 "$TERN" >"$root/guest/data"

cat >"$root/guest/all.sh" <<'END'
cd "$WORK" || exit 1
stty -opost 2>/dev/null
sum() { sha256sum | cut -d ' ' -f 1; }
echo "work begins"
for c in 'gzip -n9' 'xz -2 -T1' 'zstd -q -6' 'bzip2 -5'; do
    p=${c%% *}
    case " $PROGRAMS " in *" $p "*) ;; *) continue ;; esac
    "$WORK/bin/"$c -c <data >packed
    echo "$p $(sum <packed) $("$WORK/bin/$p" -dc <packed | sum)"
done
case " $PROGRAMS " in *" openssl "*)
    for d in md5 sha1 sha256 sha512 sha3-256 blake2b512 sm3 ripemd160; do
        echo "$d $($WORK/bin/openssl dgst -$d -r <data 2>&1 | cut -d ' ' -f 1)"
    done
    for e in aes-128-cbc aes-256-ctr chacha20 camellia-192-cbc aria-256-ctr; do
        $WORK/bin/openssl enc -$e -K 000102030405060708090a0b0c0d0e0f \
            -iv 0f0e0d0c0b0a09080706050403020100 <data 2>/dev/null >packed
        echo "$e $(sum <packed)"
    done
    echo "sign $($WORK/bin/openssl dgst -sha256 -sign key <data | sum)"
    echo "prime $($WORK/bin/openssl prime -hex 1$(printf '%0130d' 0)1 2>&1)"
    $WORK/bin/openssl speed -seconds 1 -bytes 4096 -evp aes-128-gcm >/dev/null 2>&1
    echo "speed $?"
    ;;
esac
case "$PROGRAMS" in *cc1*)
    for o in '-O0' '-O2' '-O3 -mavx2 -mfma' '-Os -m32'; do
        echo "cc1 $o $($CC1 -quiet -fpreprocessed $o code.i -o - 2>&1 | sum)"
    done
    ;;
esac
./stress
echo "work ends"
END
{
    echo "PROGRAMS='$programs' CC1='$cc1' WORK=/guest"
    echo '. /guest/all.sh'
} >"$root/work.sh"

pack()      # the folder $root as a cpio archive
{
    (cd "$root" && find . -mindepth 1 | sort) | while read -r f; do
        f=${f#./}
        if [ -L "$root/$f" ]; then
            to=$(readlink "$root/$f")
            linux_entry "$f" 41471 ${#to}
            printf '%s' "$to"
            head -c $(((4 - ${#to} % 4) % 4)) /dev/zero
        elif [ -d "$root/$f" ]; then
            linux_entry "$f" 16877 0
        else
            size=$(wc -c <"$root/$f")
            linux_entry "$f" 33261 "$size"
            cat "$root/$f"
            head -c $(((4 - size % 4) % 4)) /dev/zero
        fi
    done
    linux_entry 'TRAILER!!!' 0 0
}
pack | gzip -1 | cat "$linux_dir/initrd.gz" - >"$TMP/initrd"
wanted=$(WORK=$root/guest PROGRAMS=$programs CC1=$cc1 sh "$root/guest/all.sh" 2>&1)

for cpus in ${CPUS:-1 4}; do
    timeout "${WORK_LIMIT:-1500}" "$TERN" -accel soft -cpu max -M pc -m 1024 \
        -smp "$cpus" -nodefaults -display none -serial stdio -no-reboot \
        -kernel "$vmlinuz" -initrd "$TMP/initrd" \
        -append 'console=ttyS0 panic=-1 run=work.sh quiet' \
        >"$TMP/console" 2>"$TMP/err" </dev/null
    rc=$?
    got=$(tr -d '\r' <"$TMP/console" | sed -n '/^work begins/,/^work ends/p')
    if [ "$got" = "$wanted" ] && [ $rc = 0 ]; then
        pass "the host's programs, $cpus CPUs: $(echo "$got" | wc -l) lines"
    else
        echo "$got" >"$TMP/got"
        fail "the host's programs, $cpus CPUs" "status $rc
$(echo "$wanted" | diff - "$TMP/got")
$(cat "$TMP/err")"
    fi
done
finish
