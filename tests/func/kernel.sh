#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# -kernel: each kind of kernel starts, is told what the user gave, finds its
# memory restored after a reset; files that are no kernels are refused.
. tests/tap.sh

[ -x "$TERN" ] || skip_all "tern is not built"
G=$BUILD/tests/guests
CASE=$TMP
printf 'first module' >"$CASE/one"
printf 'second' >"$CASE/two"

# tern with what all cases share; the exit status is in $rc, output in $out.
run()
{
    out=$(timeout 150 "$TERN" -machine pc,accel="$accel" -m 64 -nodefaults \
        -display none -serial stdio "$@" 2>"$TMP/err" </dev/null)
    rc=$?
    if [ $rc = 124 ]; then
        out="$out
timed out: $(cat "$TMP/err")"
    fi
}

count()
{
    printf '%s\n' "$out" | grep -c -- "$1"
}

EXIT="-device isa-debug-exit,iobase=0xf4,iosize=4"

multiboot()
{
    # Two boots: the second ends with isa-debug-exit's 21 * 2 + 1.
    # shellcheck disable=SC2086
    run $EXIT -kernel "$G/boot-multiboot.elf" -append 'hello there' \
        -initrd "$CASE/one with words,$CASE/two"
    same "$accel: multiboot: status" "$rc" 43
    has "$accel: multiboot: registers" "$out" "magic: 2badb002
cr0: 1
if: 0"
    same "$accel: multiboot: both boots" "$(count '^boot: [12]$')" 2
    same "$accel: multiboot: data and bss are as new twice" \
        "$(count '^data: 600d$') $(count '^bss: 0$')" "2 2"
    same "$accel: multiboot: command line" \
        "$(count "^cmdline: $G/boot-multiboot.elf hello there\$")" 2
    same "$accel: multiboot: first module, restored" \
        "$(count "^module: $CASE/one with words = first module\$")" 2
    same "$accel: multiboot: second module, restored" \
        "$(count "^module: $CASE/two = second\$")" 2
    has "$accel: multiboot: memory map" "$out" "range: 0 + 9fc00 type 1
range: 9fc00 + 400 type 2
range: f0000 + 10000 type 2
range: 100000 + "
    run -no-reboot -kernel "$G/boot-multiboot.elf"
    same "$accel: -no-reboot ends at the reset" "$rc $(count '^boot: ')" "0 1"
    run -no-reboot -kernel "$G/boot-aout.bin"
    has "$accel: multiboot: loaded by addresses" "$out" \
        "aout: loaded by address"
}

pvh()
{
    # shellcheck disable=SC2086
    run $EXIT -kernel "$G/boot-pvh.elf" -append 'hello there' \
        -initrd "$CASE/one"
    same "$accel: pvh: status" "$rc" 43
    has "$accel: pvh: start information" "$out" "magic: 336ec578
version: 1
data: 600d
cmdline: hello there"
    same "$accel: pvh: module, restored" "$(count '^module: first module$')" 2
    has "$accel: pvh: ACPI by the RSDP" "$out" "rsdp: ok
acpi: RSDT ok
acpi: FACP ok
acpi: DSDT ok
pm1: 600
acpi: APIC ok"
    same "$accel: pvh: no bad checksum" "$(count 'bad sum')" 0
    has "$accel: pvh: SMBIOS" "$out" "smbios: type 0"
    run -no-reboot -no-acpi -kernel "$G/boot-pvh.elf"
    has "$accel: pvh: no ACPI where it is off" "$out" "acpi: none"
}

bzimage()
{
    # shellcheck disable=SC2086
    run $EXIT -kernel "$G/boot-bzimage.bin" -append 'hello there' \
        -initrd "$CASE/one"
    same "$accel: bzImage: status" "$rc" 43
    same "$accel: bzImage: all of it, restored" "$out" "entry: 64 bits
boot: 1
state: fresh
cmdline: hello there
initrd: first module
end
entry: 64 bits
boot: 2
state: fresh
cmdline: hello there
initrd: first module
end"
    # Without the flag that says that there is a 64-bit entry.
    cp "$G/boot-bzimage.bin" "$CASE/old"
    printf '\000' | dd of="$CASE/old" bs=1 seek=566 conv=notrunc 2>/dev/null
    run -no-reboot -kernel "$CASE/old" -append old
    has "$accel: bzImage: 32-bit entry" "$out" "entry: 32 bits
boot: 1
state: fresh
cmdline: old
initrd: "
}

# The same kernels where firmware runs first and loads a boot ROM: memory map
# and ACPI tables are firmware's then.
by_firmware()
{
    if [ ! -e /usr/share/seabios/bios-256k.bin ]; then
        skip "$accel: kernels through firmware" "no SeaBIOS"
        return
    fi
    run -no-reboot -bios bios-256k.bin -kernel "$G/boot-bzimage.bin" \
        -append 'hello there' -initrd "$CASE/one"
    same "$accel: bzImage through firmware" "$out" "entry: real mode
entry: 32 bits
boot: 1
state: fresh
cmdline: hello there
initrd: first module
end"
    # shellcheck disable=SC2086
    run $EXIT -bios bios-256k.bin -kernel "$G/boot-multiboot.elf" \
        -append 'hello there' -initrd "$CASE/one with words,$CASE/two"
    same "$accel: multiboot through firmware: status" "$rc" 43
    has "$accel: multiboot through firmware: start" "$out" "boot: 1
magic: 2badb002
cr0: 1
if: 0
data: 600d
bss: 0
flags: 24f
lower: 27f
upper: fb80
cmdline: $G/boot-multiboot.elf hello there
loader: tern
range: 0 + 9fc00 type 1
range: 9fc00 + 400 type 2
range: f0000 + 10000 type 2
range: 100000 + 3ee0000 type 1
range: 3fe0000 + 20000 type 2
"
    same "$accel: multiboot through firmware: modules, restored" \
        "$(count "^module: $CASE/one with words = first module\$") \
$(count "^module: $CASE/two = second\$") $(count '^data: 600d$') \
$(count '^bss: 0$')" "2 2 2 2"
    run -no-reboot -bios bios-256k.bin -kernel "$G/boot-aout.bin"
    has "$accel: multiboot through firmware: by addresses" "$out" \
        "aout: loaded by address"
    # shellcheck disable=SC2086
    run $EXIT -bios bios-256k.bin -kernel "$G/boot-pvh.elf" \
        -append 'hello there' -initrd "$CASE/one"
    same "$accel: pvh through firmware: status" "$rc" 43
    has "$accel: pvh through firmware: start" "$out" "boot: 1
magic: 336ec578
version: 1
data: 600d
cmdline: hello there
range: 0 + 9fc00 type 1"
    has "$accel: pvh through firmware: firmware's ACPI tables" "$out" "rsdp: ok
acpi: RSDT ok
acpi: FACP ok"
    same "$accel: pvh through firmware: module, restored; checksums" \
        "$(count '^module: first module$') $(count 'bad sum')" "2 0"
}

# refused NAME 'first line' arguments...
refused()
{
    name=$1
    want=$2
    shift 2
    timeout 60 "$TERN" -machine pc,accel=qtest -m 16 -nodefaults \
        -display none "$@" >"$TMP/out" 2>&1 </dev/null
    rc=$?
    same "refused: $name" "$rc $(grep -v warning: "$TMP/out" | head -1)" \
        "1 tern: $want"
}

refused "no such file" "could not open kernel file '/nonexistent': No such \
file or directory" -kernel /nonexistent
refused "a text" "invalid kernel header" -kernel "$CASE/one"
refused "a program" "Error loading uncompressed kernel without PVH ELF Note" \
    -kernel /bin/true
refused "-append alone" "-append only allowed with -kernel option" -append x
refused "-initrd alone" "-initrd only allowed with -kernel option" \
    -initrd "$CASE/one"
refused "no such initrd" "could not open initrd '/nonexistent': No such file \
or directory" -kernel "$G/boot-bzimage.bin" -initrd /nonexistent
refused "no such module" "could not open module '/nonexistent': No such file \
or directory" -kernel "$G/boot-multiboot.elf" -initrd "$CASE/one,/nonexistent a"
head -c 700 "$G/boot-bzimage.bin" >"$CASE/short"
refused "a truncated bzImage" "kernel '$CASE/short' is truncated" \
    -kernel "$CASE/short"
head -c 4200 "$G/boot-multiboot.elf" >"$CASE/short.elf"
refused "a truncated ELF file" "kernel '$CASE/short.elf' is truncated" \
    -kernel "$CASE/short.elf"
truncate -s 20M "$CASE/large"
refused "an initrd larger than memory" "initrd '$CASE/large' is too large for \
the guest's memory" -kernel "$G/boot-bzimage.bin" -initrd "$CASE/large"
long=$(printf '%0300d' 0)
refused "a long command line" "kernel command line is 300 bytes, this kernel \
takes at most 255" -kernel "$G/boot-bzimage.bin" -append "$long"
refused "a text through firmware" "invalid kernel header" -bios bios-256k.bin \
    -kernel "$CASE/one"
# Loaded by addresses, into the BIOS data area: header, load, entry.
cp "$G/boot-aout.bin" "$CASE/low"
printf '\004\004\000\000\000\004\000\000\000\000\000\000\000\000\000\000\044\004\000\000' |
    dd of="$CASE/low" bs=1 seek=16 conv=notrunc 2>/dev/null
refused "a kernel in firmware's memory" "$CASE/low at 0x400 lies where \
firmware works" -bios bios-256k.bin -kernel "$CASE/low"

for accel in kvm tcg; do
    if [ $accel = kvm ] && ! { [ -r /dev/kvm ] && [ -w /dev/kvm ]; }; then
        skip "kernels under kvm" "no access to /dev/kvm"
        continue
    fi
    if ! timeout 20 "$TERN" -accel help | grep -q "^$accel\$"; then
        skip "kernels under $accel" "not built in"
        continue
    fi
    multiboot
    pvh
    bzimage
    by_firmware
done
finish
