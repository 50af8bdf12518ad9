#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# make install: programs, their manual pages and the names that scripts know, at
# work from where they are installed.
. tests/tap.sh

[ -x "$TERN" ] || skip_all "tern is not built"
unset MAKEFLAGS MAKELEVEL MAKEOVERRIDES MFLAGS TERN_MODULE_DIR
check "make install" make install BUILD="$BUILD" DESTDIR="$TMP/root"
bin=$(dirname "$(find "$TMP/root" -name tern -type f)")
for p in "$bin"/*; do
    name=$(basename "$p")
    check "$name has a manual page" test -s "$bin/../share/man/man1/$name.1"
    check "$name starts" "$p" --version
done
has "qemu-system-x86_64 is a link to it" \
    "$("$bin/../libexec/tern/compat/qemu-system-x86_64" --version)" "7.2.22 (Tern"
check "no page for what only tern starts" \
    test ! -e "$bin/../share/man/man1/tern-bridge-helper.1"
finish
