#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Which accelerator is used: what the command line says, what the log, the
# monitor and the object tree show; and that no guest on the software CPU keeps
# the program from answering.
. tests/tap.sh

[ -x "$TERN" ] || skip_all "tern is not built"

hmp()       # commands in $1, then arguments; output in $out
{
    what=$1
    shift
    out=$(printf '%s\nquit\n' "$what" | timeout 60 "$TERN" -S -display none \
        -nodefaults -monitor stdio "$@" 2>&1 | tr -d '\r')
}

# Hardware that backs KVM: rule 2 of docs/accelerators.md
backed=
if [ -w /dev/kvm ] && grep -qE '^flags.*\b(vmx|svm)\b' /proc/cpuinfo &&
    [ -d /sys/module/kvm_intel ] || [ -d /sys/module/kvm_amd ]; then
    backed=y
fi
wanted="accelerator: soft"
[ ! "$backed" ] || wanted="accelerator: kvm"

hmp 'info kvm' -d accel
has "nothing said: the choice is logged" "$out" " is used"
has "nothing said: info kvm" "$out" "$wanted"
[ "$backed" ] || has "why kvm was passed over is logged" "$out" \
    "accel: kvm passed over: "
hmp 'info kvm' -machine pc,accel=kvm:tcg
has "a list with a colon" "$out" "$wanted"
hmp 'info kvm' -accel kvm -accel tcg
has "two options" "$out" "$wanted"
hmp 'info kvm' -machine pc,accel=tcg:kvm
has "the order of a list" "$out" "accelerator: soft"
for name in tcg soft tcg,thread=multi soft,thread=single,tb-size=32; do
    hmp 'info kvm' -accel $name -d accel
    has "-accel $name is obeyed" "$out" "accel: soft is used"
done
hmp 'qom-get /machine accel' -accel soft
has "it is in the object tree" "$out" /machine/accel
hmp 'qom-get /machine/accel type' -accel soft
has "its type" "$out" tcg-accel
refuse "an unknown name" "$TERN" -accel nobody -display none
has "an unknown name: the message" "$tap_out" "invalid accelerator nobody"

# What clients look for
qmp='{"execute":"qmp_capabilities"}
{"execute":"qom-list-types","arguments":{"implements":"accel"}}
{"execute":"qom-list-types","arguments":{"implements":"x86_64-cpu"}}
{"execute":"query-kvm"}
{"execute":"quit"}'
out=$(talk "$TERN" "$qmp" -S -accel tcg -display none -nodefaults)
for type in tcg-accel kvm-accel qtest-accel max-x86_64-cpu qemu64-x86_64-cpu \
    host-x86_64-cpu; do
    has "type $type" "$out" "\"name\": \"$type\""
done
case "$out" in
*'{"return": {"enabled": false, "present": '*'}}'*)
    pass "query-kvm has its two members" ;;
*) fail "query-kvm has its two members" "$out" ;;
esac

# A guest that does nothing but this, from its first instruction.
hang()      # name, code as printf has it
{
    head -c 65536 /dev/zero | tr '\0' '\364' >"$TMP/bios"
    # shellcheck disable=SC2059 # the code is the format
    printf "$2" | dd of="$TMP/bios" bs=1 seek=65280 conv=notrunc 2>/dev/null
    # jmp f000:ff00
    printf '\352\000\377\000\360' |
        dd of="$TMP/bios" bs=1 seek=65520 conv=notrunc 2>/dev/null
    {
        echo '{"execute":"qmp_capabilities"}'
        sleep 0.5
        for c in stop query-status cont query-status system_reset quit; do
            echo "{\"execute\":\"$c\"}"
        done | tee "$TMP/asked"
        sleep 0.2
    } | timeout 60 "$TERN" -accel tcg -m 16 -smp "${3:-1}" -display none \
        -nodefaults -bios "$TMP/bios" -qmp stdio >"$TMP/out" 2>&1
    rc=$?
    { echo '{"execute":"qmp_capabilities"}'; cat "$TMP/asked"; } \
        >>"$TMP/qmp.asked"
    cat "$TMP/out" >>"$TMP/qmp.said"
    if [ $rc = 0 ] && grep -q '"status": "paused"' "$TMP/out" &&
        grep -q '"status": "running"' "$TMP/out"; then
        pass "$1: stops, goes on and ends when told"
    else
        fail "$1: stops, goes on and ends when told" "status $rc
$(cat "$TMP/out")"
    fi
}
hang "hlt with interrupts off" '\372\364'
hang "jump to itself" '\353\376'
hang "rep movsb without end" '\271\377\377\363\244\353\371'
hang "rep insb from a port" '\272\200\000\271\377\377\363\154\353\371'
hang "faults without end" '\017\013\353\374' 2
conforms
finish
