#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A device is one file and one build line: the toys are nothing more, and still
# have help, properties, compat values, manual text.
. tests/tap.sh

for toy in toy-isa toy-pci; do
    under=$(echo $toy | tr - _)
    others=$(grep -rlE "$toy|$under" --include='*.[chS]' --include='*.mk' \
        --include='*.schema' --include='*.awk' --include=Makefile . \
        --exclude-dir=.git --exclude-dir='build*' | sort | tr '\n' ' ')
    same "$toy is named in its file and one build line only" "$others" \
        "./tests/toys/build.mk ./tests/toys/$toy.c "
    same "one line" "$(grep -c "$toy" tests/toys/build.mk)" 1
done

tern=$BUILD/tests/toys/tern
[ -x "$tern" ] || skip_all "$tern is not built"

has "the manual page has it" "$("$tern" --x-man 2>&1)" 'Btoy\-pci'
has "-device help lists it" "$("$tern" -device help 2>&1)" \
    'name "toy-pci", bus PCI'
help=$("$tern" -device toy-pci,help 2>&1)
has "help shows a property" "$help" "pattern=<uint8>"
has "its default" "$help" "burst=<size>"
has "its text" "$help" "milliseconds from start to fill"
has "the bus's properties" "$help" "multifunction=<bool>"
has "the other bus too" "$("$tern" -device toy-isa,help 2>&1)" "iobase=<uint32>"
refuse "a value beyond its range is refused" "$tern" -machine pc,accel=qtest \
    -display none -nodefaults -device toy-pci,interval=60001
has "with the property's name" "$tap_out" interval

qmp()   # $1 machine, $2 command lines: the replies
{
    talk "$tern" '{"execute":"qmp_capabilities"}'"$2"'{"execute":"quit"}' \
        -machine "$1",accel=qtest -display none -nodefaults -S \
        -device toy-pci,id=t
}
get='{"execute":"qom-get","arguments":{"path":"/machine/peripheral/t","property":"interval"}}'
has "the newest machine has the default" "$(qmp pc "$get")" '{"return": 10}'
has "an older machine has the compat value" \
    "$(qmp pc-i440fx-7.1 "$get")" '{"return": 20}'
list='{"execute":"device-list-properties","arguments":{"typename":"toy-pci"}}'
has "device-list-properties has it" "$(qmp pc "$list")" '"burst"'
conforms
finish
