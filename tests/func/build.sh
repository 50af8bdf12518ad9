#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The build's own promises: configure's messages, the runner's arithmetic.
. tests/tap.sh

# The trial tree is not the one under test.
unset BUILD TERN ONLY TEST_SLOW MAKEFLAGS MAKELEVEL MAKEOVERRIDES MFLAGS
work=$TMP/tree
mkdir -p "$work/tests/unit" "$work/core"
cp -R configure Makefile VERSION "$work"
cp tests/run tests/tern-test.h "$work/tests"
cd "$work" || exit 2
echo 'core-y += core/one.o' >core/build.mk
echo 'int one(void); int one(void) { return 1; }' >core/one.c
cat >tests/unit/one.c <<'END'
#include "tests/tern-test.h"
int one(void);
TEST(right) { CHECK_EQ(one(), 1); }
TEST(wrong) { CHECK_EQ(one(), 2); }
TEST(absent) { SKIP("nothing there"); }
TEST(crash) { raise(SIGSEGV); }
TEST(never) { CHECK(true); }
END

has "help names the options" "$(./configure --help)" --enable-sanitizers
refuse "an unknown option" ./configure --enable-warp
has "an unknown option is named" "$(./configure --enable-warp 2>&1)" \
    "--enable-warp: no such option"
out=$(PKG_CONFIG=false ./configure --cc="$CC" 2>&1)
same "a missing library is one line that names its package" "$out" \
    "configure: glib-2.0 (event loop, containers) not found; Debian package: libglib2.0-dev"
check "configure, with an option that has a space" \
    ./configure --cc="$CC" --extra-cflags='-DA=1 -DB=2' --without-optional
has "the option arrives" "$(cat build/config.flags)" "-DA=1 -DB=2"
check "make" make
touch configure
check "make runs a changed configure" make
has "with the same options" "$(cat build/config.flags)" "-DA=1 -DB=2"
same "and builds nothing anew" "$(make 2>&1)" "make: Nothing to be done for 'all'."
out=$(make check-quick 2>&1)
has "failures are counted and named" "$out" "FAILED unit/one: wrong"
has "a crash too" "$out" "FAILED unit/one: crash # Segmentation fault"
has "the last line" "$out" "
1 passed, 2 failed, 1 skipped"
sed -i '/wrong\|crash\|absent/d' tests/unit/one.c
same "all is well" "$(make check-quick 2>&1 | tail -n 1)" "2 passed, 0 failed"
echo 'TEST(leaves) { _exit(0); }' >>tests/unit/one.c
has "a program that ends early fails" "$(make check-quick 2>&1)" \
    "FAILED unit/one: ended after 2 of 3 tests, status 0"
cat >tests/unit/one.c <<'END'
#include "tests/tern-test.h"
TEST(hangs) { TEST_LIMIT(1); for (;;) { pause(); } }
END
has "a test that hangs fails" "$(make check-quick 2>&1)" \
    "FAILED unit/one: hangs # timed out"
finish
