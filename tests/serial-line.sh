# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
#
# For tests that talk to a guest on its serial line: ". tests/serial-line.sh"
# after tap.sh.
#
#     line_start ARGUMENTS...      starts $TERN, serial line to here
#     line_wait SECONDS TEXT       until TEXT has come since the last success;
#                                  false: it has not, or tern has ended
#     line_say TEXT                types, with a carriage return
#     line_end SECONDS             waits for the end of tern, else kills it;
#                                  its status
#     line_shown                   what came last, readable

# A guest that has ended must not end the test when it is spoken to.
trap '' PIPE

line_start()
{
    rm -f "$TMP/line.in"
    mkfifo "$TMP/line.in"
    : >"$TMP/line.out"
    line_seen=0
    "$TERN" -display none -serial stdio "$@" <"$TMP/line.in" \
        >"$TMP/line.out" 2>"$TMP/line.err" &
    line_pid=$!
    exec 9>"$TMP/line.in"
}

# Without escape sequences.
line_clean()
{
    tail -c +$((line_seen + 1)) "$TMP/line.out" | tr -d '\r\000' |
        sed 's/\x1b\[[0-9;?=]*[a-zA-Z]//g; s/\x1bc//g'
}

line_wait()
{
    line_left=$(($1 * 5))
    while [ $line_left -gt 0 ]; do
        line_size=$(wc -c <"$TMP/line.out")
        if line_clean | grep -qF -- "$2"; then
            line_seen=$line_size
            return 0
        fi
        kill -0 $line_pid 2>/dev/null || break
        sleep 0.2
        line_left=$((line_left - 1))
    done
    line_clean | grep -qF -- "$2"
}

line_say()
{
    printf '%s\r' "$1" >&9
}

line_shown()
{
    line_seen=0
    line_clean | tail -n 25
    cat "$TMP/line.err"
}

line_end()
{
    line_left=$(($1 * 5))
    while [ $line_left -gt 0 ] && kill -0 $line_pid 2>/dev/null; do
        sleep 0.2
        line_left=$((line_left - 1))
    done
    kill $line_pid 2>/dev/null
    wait $line_pid
    line_rc=$?
    exec 9>&-
    return $line_rc
}
