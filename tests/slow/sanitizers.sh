#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Unit, contract and qtest suites under the address and undefined-behaviour
# sanitizers, and under the thread sanitizer. What each suite took is printed.
. tests/tap.sh

unset BUILD TERN TERN_IMG TERN_IO TERN_NBD TERN_MODULE_DIR ONLY TEST_SLOW
unset CC MAKEFLAGS MAKELEVEL MAKEOVERRIDES MFLAGS TEST_TIMEOUT
for kind in asan tsan; do
    check "$kind" sh scripts/check-sanitize $kind
    printf '%s\n' "$tap_out" | grep -E ' passed ' | sed 's/^/# /'
done
finish
