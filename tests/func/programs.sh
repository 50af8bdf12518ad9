#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What scripts parse of every program: its version under both names, one line
# for an unknown option, status 1. And that tern stays light.
. tests/tap.sh

version=$(cat VERSION)
compat=$BUILD/compat

said()      # $1 name, $2 program, $3 what its first line of --version begins with
{
    if [ ! -x "$2" ]; then
        skip "$1 --version" "not built"
        return
    fi
    first=$("$2" --version 2>&1 | head -n 1)
    case "$first" in
    "$3"*) pass "$1 --version" ;;
    *) fail "$1 --version" "got '$first', wanted '$3…'" ;;
    esac
}
said qemu-system-x86_64 "$compat/qemu-system-x86_64" \
    "QEMU emulator version 7.2.22 (Tern $version)"
said qemu-img "$compat/qemu-img" "qemu-img version 7.2.22 (Tern $version)"
said qemu-io "$compat/qemu-io" "qemu-io version 7.2.22 (Tern $version)"
said qemu-nbd "$compat/qemu-nbd" "qemu-nbd 7.2.22 (Tern $version)"
said qemu-storage-daemon "$compat/qemu-storage-daemon" \
    "qemu-storage-daemon version 7.2.22 (Tern $version)"

for p in "$BUILD/tern" "$BUILD"/tern-*; do
    [ -x "$p" ] || continue
    name=$(basename "$p")
    case "$name" in *-helper) continue ;; esac
    first=$("$p" --version 2>&1 | head -n 1)
    has "$name speaks for itself" "$first" "$version"
    case "$first" in
    *QEMU*) fail "$name does not call itself QEMU" "$first" ;;
    *) pass "$name does not call itself QEMU" ;;
    esac
    page=$("$p" --x-man 2>&1 | sed 's/\\-/-/g')
    upper=$(echo "$name" | tr a-z A-Z)
    has "$name has a manual page" "$(echo "$page" | sed "s/$upper/$name/")" \
        ".TH $name 1"
    # Every long option that its help shows, or for tern every option.
    lacks=
    for o in $("$p" --help | grep -oE -- '--[a-z][a-z-]+' | sort -u); do
        case "$page" in *"$o"*) ;; *) lacks="$lacks $o" ;; esac
    done
    for o in $([ "$name" != tern ] || "$p" -help | grep -oE '^-[a-zA-Z-]+'); do
        case "$page" in *"$o"*) ;; *) lacks="$lacks $o" ;; esac
    done
    same "which names every option" "$lacks" ""
    refuse "$name refuses an unknown option" "$p" --no-such-option
    has "and names it" "$tap_out" no-such-option
done

if [ -x "$TERN" ]; then
    has "a message begins with the program's name" \
        "$("$TERN" -machine nosuch 2>&1)" "tern: "
    has "help" "$("$TERN" -help)" "-machine"
    n=$(ldd "$TERN" | grep -v linux-vdso | grep -c '\.so') # the kernel's is no file
    if [ "$n" -le 12 ]; then
        pass "12 shared libraries at most"
    else
        fail "12 shared libraries at most" "$(ldd "$TERN")"
    fi
else
    skip tern "not built"
fi
finish
