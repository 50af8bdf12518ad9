#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# libguestfs-test-tool with the program as its hypervisor: an appliance made of
# the installed kernel boots on the software CPU, its daemon answers by
# virtio-serial, partitions and file systems are made on a virtio-scsi disk.
. tests/tap.sh

for p in libguestfs-test-tool supermin; do
    command -v $p >/dev/null || skip_all "no $p"
done
ls /boot/vmlinuz-* >/dev/null 2>&1 || skip_all "no kernel for the appliance"
mkdir "$TMP/cache" "$TMP/tmp"
export HOME="$TMP" XDG_RUNTIME_DIR="$TMP/tmp" LIBGUESTFS_TMPDIR="$TMP/tmp" \
    LIBGUESTFS_CACHEDIR="$TMP/cache" LIBGUESTFS_BACKEND=direct \
    LIBGUESTFS_BACKEND_SETTINGS=force_tcg
LIBGUESTFS_HV=$(cd "$BUILD" && pwd)/compat/qemu-system-x86_64
export LIBGUESTFS_HV

timeout 1700 libguestfs-test-tool -t 1600 >"$TMP/out" 2>&1
rc=$?
check "the appliance starts" grep -q 'Guest launched OK' \
    "$TMP/out"
if [ $rc = 0 ] && grep -q '===== TEST FINISHED OK =====' "$TMP/out"; then
    pass "libguestfs-test-tool"
else
    fail "libguestfs-test-tool" "status $rc: $(tail -n 30 "$TMP/out")"
fi
finish
