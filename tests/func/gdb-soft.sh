#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# gdb drives the software CPU: steps, breakpoints, watchpoints, in firmware from
# the reset vector and in the kernel.
. tests/tap.sh

command -v gdb >/dev/null || skip_all "there is no gdb"
boot=$BUILD/tests/guests/boot-hello.bin
[ -r "$boot" ] || skip_all "the guest is not built"

serve()     # further options
{
    "$TERN" -accel soft -machine pc -nodefaults -display none -S \
        -serial "file:$TMP/serial" \
        -gdb "unix:$TMP/gdb,server=on,wait=off" "$@" 2>"$TMP/err" &
    pid=$!
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        [ -S "$TMP/gdb" ] && break
        sleep 0.5
    done
}

debug()     # commands from standard input; output to $out
{
    cat >"$TMP/commands"
    out=$(timeout 60 gdb -q -batch -nx -ex 'set pagination off' \
        -ex "target remote $TMP/gdb" -x "$TMP/commands" 2>&1)
}

head -c 512 "$boot" >"$TMP/disk"
printf '\125\252' | dd of="$TMP/disk" bs=1 seek=510 conv=notrunc 2>/dev/null
truncate -s 1M "$TMP/disk"
serve -drive "file=$TMP/disk,format=raw" -smp 2
debug <<'END'
stepi
printf "step %#x %#x\n", $cs, $rip
stepi
printf "next %#x %#x\n", $cs, $rip
break *0x7c00
hbreak *0xfe05b
continue
printf "boot sector at %#x, signature %#x\n", $cs * 16 + $rip, *(unsigned short *)0x7dfe
stepi
printf "one on %#x\n", $cs * 16 + $rip
delete
watch *(unsigned short *)0x7bfc
continue
printf "pushed %#x\n", *(unsigned short *)0x7bfc
delete
rwatch *(unsigned short *)0x7bfc
continue
printf "popped\n"
delete
monitor info status
detach
END
has "the far jump is one step" "$out" "step 0xf000 0xe05b"
has "another step" "$out" "next 0xf000 0xe0"
has "a breakpoint stops at the boot sector" "$out" \
    "boot sector at 0x7c00, signature 0xaa55"
has "a step goes on from there" "$out" "one on 0x7c01"
has "a write watchpoint stops" "$out" "pushed 0x80"
has "and says what it watched" "$out" "atchpoint"
has "a read watchpoint stops" "$out" "popped"
has "the run state is debug" "$out" "VM status: paused (debug)"
i=0
while [ $i -lt 100 ] && ! grep -q "started from" "$TMP/serial"; do
    sleep 0.2
    i=$((i + 1))
done
has "it runs on without the debugger" "$(cat "$TMP/serial")" "started from"
kill $pid
wait $pid
finish
