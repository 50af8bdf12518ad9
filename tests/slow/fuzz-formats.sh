#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# tests/fuzz/formats under the address and undefined-behaviour sanitizers, for
# ten minutes ($FUZZ_MINUTES).
. tests/tap.sh

unset TERN ONLY MAKEFLAGS MAKELEVEL MFLAGS
dir=build-asan
[ -f $dir/config.mk ] || ./configure --build-dir=$dir \
    --enable-sanitizers=address,undefined >/dev/null
check "the program" make BUILD=$dir -j2 $dir/tests/fuzz/formats $dir/modules/stamp
FUZZ_SECONDS=$((${FUZZ_MINUTES:-10} * 60))
TERN_TEST_PATIENCE=6
ASAN_OPTIONS="allocator_may_return_null=1:$ASAN_OPTIONS"
UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1:$UBSAN_OPTIONS"
export FUZZ_SECONDS TERN_TEST_PATIENCE ASAN_OPTIONS UBSAN_OPTIONS
unset BUILD
check "damaged images" $dir/tests/fuzz/formats
finish
