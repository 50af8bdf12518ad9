#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Everything compiles without a warning under the other compiler, and under
# clang's thread-safety analysis.
. tests/tap.sh

unset BUILD TERN ONLY MAKEFLAGS MAKELEVEL MFLAGS
for cc in gcc clang; do
    if ! command -v $cc >/dev/null; then
        skip "$cc" "not installed"
        continue
    fi
    wrap=
    command -v ccache >/dev/null && wrap='ccache '
    check "$cc: configure" ./configure --build-dir=build-$cc --cc="$wrap$cc"
    check "$cc: make" make BUILD=build-$cc -j2 all test-programs check-headers
done
finish
