#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# README's two commands from nothing: a Debian 12 made by debootstrap, with nothing
# in it but what is essential, a copy of the tree, root, and the host's package
# sources. The demo installs what is missing, builds, and boots its guest; the
# checks pass; and so does the build by clang. What each step took is printed.
#
# FROM_NOTHING_CHECKS: a pattern of test names, empty for all of "make check".
. tests/tap.sh

[ "$(id -u)" = 0 ] || skip_all "needs root"
command -v debootstrap >/dev/null || skip_all "no debootstrap"
. /etc/os-release
[ "$VERSION_CODENAME" = bookworm ] || skip_all "not on Debian 12"

root=$TMP/root
leave()
{
    for m in dev/pts dev proc; do
        umount -l "$root/$m" 2>/dev/null
    done
    rm -rf --one-file-system "$TMP"
}
trap leave EXIT

timed()     # $1 name, then a command; says how long it took
{
    timed_at=$(date +%s)
    check "$@"
    echo "# $1: $(($(date +%s) - timed_at)) s"
    [ -z "$timed_log" ] || printf '%s\n' "$tap_out" | grep -E "$timed_log" |
        sed 's/^/# /'
}

timed "a Debian" debootstrap --variant=minbase bookworm "$root"
[ $tap_bad = 0 ] || finish

mkdir "$root/srv/tern"
for f in .ci *; do
    case "$f" in
    build*) ;;
    *) cp -a "$f" "$root/srv/tern" ;;
    esac
done
cp /etc/resolv.conf /etc/hosts "$root/etc/"
rm -f "$root"/etc/apt/sources.list
cp /etc/apt/sources.list "$root/etc/apt/" 2>/dev/null
cp /etc/apt/sources.list.d/debian.sources "$root/etc/apt/sources.list.d/" \
    2>/dev/null
for f in /etc/apt/apt.conf.d/*prox*; do
    [ ! -f "$f" ] || cp "$f" "$root/etc/apt/apt.conf.d/"
done
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
mount --bind /dev/pts "$root/dev/pts"

inside()    # a line for a shell in the tree, with nothing of this environment
{
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 CI=true \
        ONLY="$FROM_NOTHING_CHECKS" http_proxy="$http_proxy" \
        https_proxy="$https_proxy" \
        chroot "$root" sh -c "cd /srv/tern && $1"
}

timed_log='^(Linux |A disk|Network: |the answer is)'
timed "scripts/demo" inside scripts/demo
has "its guest answers" "$tap_out" 'the answer is 42 on x86_64'
timed_log=' passed .* failed .* s  |passed, '
timed "scripts/check" inside scripts/check
has "with its count" "$tap_out" ', 0 failed'
timed_log=
timed "clang is installed" inside \
    'apt-get -q -y --no-install-recommends install clang </dev/null'
timed "clang builds it" inside './configure --build-dir=build-clang --cc=clang &&
    make BUILD=build-clang -j$(nproc)'
check "and that runs" inside 'build-clang/tern -version'
finish
