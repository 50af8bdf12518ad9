#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# docs/add-a-device.md, followed: in a copy of the tree the example becomes a new
# device by one file and the one build line that the page shows, nothing else is
# touched, and everything that the page promises of the tables is there.
. tests/tap.sh
unset MAKEFLAGS MAKELEVEL MAKEOVERRIDES MFLAGS

page=docs/add-a-device.md
example=tests/toys/toy-pci.c
[ -f "$BUILD/main.o" ] || skip_all "no objects to build on"

# The page's code is the example's: no line of it is out of date.
squeeze='s,/\*.*\*/,,; s/[ ][ ]*/ /g; s/^ //; s/ $//'
sed "$squeeze" $example >"$TMP/example"
stale=$(sed -n '/^```c/,/^```$/p' $page | grep -v -e '^```' -e '…' |
    sed "$squeeze" | while read -r line; do
        grep -qF -- "$line" "$TMP/example" || echo "$line"
    done)
same "the page's code is the example's" "$stale" ""

# The copy, with its objects, so that only what changes is built.
tree=$TMP/tree
mkdir -p "$tree"
for f in *; do
    case "$f" in
    build*) ;;
    *) cp -a "$f" "$tree" ;;
    esac
done
(cd "$BUILD" && find . \( -path ./media -o -path ./debian -o -path ./demo \
    -o -name 'linux-*' -o -path ./test-out -o -path ./tests \) -prune \
    -o \( -name '*.[och]' -o -name '*.d' -o -name 'config.*' -o -name stamp \
    -o -name '*.so' -o -name export.list \) -type f -print0 |
    tar cf - --null -T -) >"$TMP/objects.tar"
mkdir "$tree/build"
tar xf "$TMP/objects.tar" -C "$tree/build"
rm "$TMP/objects.tar"
cd "$tree" || exit 2
: >"$TMP/before"

# What the page says: a file, and its line.
sed 's/toy-pci/toy-new/g; s/toy_pci/toy_new/g; s/ToyPci/ToyNew/g; s/10f0/10f1/' \
    $example >hw/misc/toy-new.c
line=$(sed -n 's/^hw-y += hw\/misc\/toy-pci.o$/hw-y += hw\/misc\/toy-new.o/p' $page)
has "the page shows the line" "$line" "hw-y +="
echo "$line" >>hw/misc/build.mk
touched=$(find . -path ./build -prune -o -type f -newer "$TMP/before" -print |
    sort | tr '\n' ' ')
same "one file and one line" "$touched" "./hw/misc/build.mk ./hw/misc/toy-new.c "

check "it builds" make BUILD=build build/tern
tern=$tree/build/tern
[ -x "$tern" ] || finish
has "-device help" "$("$tern" -device help 2>&1)" 'name "toy-new", bus PCI'
has "-device X,help" "$("$tern" -device toy-new,help 2>&1)" \
    'milliseconds from start to fill'
has "the manual" "$("$tern" --x-man 2>&1)" 'Btoy\-new'

qmp()   # $1 machine, $2 commands: the replies
{
    talk "$tern" '{"execute":"qmp_capabilities"}'"$2"'{"execute":"quit"}' \
        -machine "$1",accel=qtest -display none -nodefaults -S \
        -device toy-new,id=t
}
prop='"path":"/machine/peripheral/t","property":"interval"'
get="{\"execute\":\"qom-get\",\"arguments\":{$prop}}"
has "introspection" "$(qmp pc '{"execute":"device-list-properties","arguments":
    {"typename":"toy-new"}}' | tr -d '\n')" '"burst"'
has "this version's default" "$(qmp pc "$get")" '{"return": 10}'
has "a machine version's default" "$(qmp pc-i440fx-7.1 "$get")" '{"return": 20}'
has "info qtree" "$(qmp pc '{"execute":"human-monitor-command","arguments":
    {"command-line":"info qtree"}}')" 'dev: toy-new, id'
conforms
check "the contract tests build with it" make BUILD=build \
    build/tests/contract/life
check "it keeps the contract" timeout 250 build/tests/contract/life
finish
