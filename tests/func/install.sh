#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# make install: programs, their manual pages and the names that scripts know, at
# work from where they are installed.
. tests/tap.sh

[ -x "$TERN" ] || skip_all "tern is not built"
unset MAKEFLAGS MAKELEVEL MAKEOVERRIDES MFLAGS TERN_MODULE_DIR
check "make install" make install BUILD="$BUILD" DESTDIR="$TMP/root"
bin=$(dirname "$(find "$TMP/root" -path '*/bin/tern' -type f)")
for p in "$bin"/*; do
    name=$(basename "$p")
    check "$name has a manual page" test -s "$bin/../share/man/man1/$name.1"
    check "$name starts" "$p" --version
done
complete()      # words; prints what bash would offer for the last
{
    # shellcheck disable=SC2016
    bash -c '. "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        $(sed -n "s/^complete.* \(_[a-z_]*\) .*/\1/p" "$0") "$1"
        echo "${COMPREPLY[@]}"' \
        "$bin/../share/bash-completion/completions/$(basename "$1")" "$@"
}
if command -v bash >/dev/null; then
    has "an option is completed" "$(complete "$bin/tern" -devi)" "-device"
    has "a device is" "$(complete "$bin/tern" -device virtio-bl)" virtio-blk-pci
    has "a machine is" "$(complete "$bin/tern" -machine isa)" isapc
    has "a processor is" "$(complete "$bin/tern" -cpu qem)" qemu64
    has "a drive's parts are" \
        "$(complete "$bin/tern" -drive file = x.img,form)" x.img,format=
    has "a command is" "$(complete "$bin/tern-img" conv)" convert
else
    skip "completion" "there is no bash"
fi
has "zsh's is there" "$(cat "$bin/../share/zsh/site-functions/_tern")" "-device["
has "qemu-system-x86_64 is a link to it" \
    "$("$bin/../libexec/tern/compat/qemu-system-x86_64" --version)" "7.2.22 (Tern"
check "no page for what only tern starts" \
    test ! -e "$bin/../share/man/man1/tern-bridge-helper.1"
finish
