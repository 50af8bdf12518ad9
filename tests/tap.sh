# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
#
# For test scripts: ". tests/tap.sh" from the top folder, which is where the
# runner starts them. Gives a private folder in $TMP (removed at the end) and
#
#     check "name" command...      ok if the command succeeds
#     refuse "name" command...     ok if it ends with status 1, not by a signal
#     same "name" got wanted       ok if the strings are equal
#     has "name" text part         ok if part occurs in text
#     pass "name", fail "name" reason, skip "name" reason
#     talk program requests arguments...    a QMP conversation on the program's
#                                  standard input; prints what it says
#     conforms                     ok if all that was said in those is as
#                                  query-qmp-schema promises
#     skip_all reason              ends the script
#     finish                       prints the plan; the last line of a script
#
# Programs are in $TERN, $TERN_IMG, $TERN_IO, $TERN_NBD.

tap_n=0
tap_bad=0
TMP=$(mktemp -d "${TMPDIR:-/tmp}/tern-test.XXXXXX") || exit 2
export TMP
trap 'rm -rf "$TMP"' EXIT
trap 'exit 2' INT TERM HUP

pass()
{
    tap_n=$((tap_n + 1))
    echo "ok $tap_n - $1"
}

fail()
{
    tap_n=$((tap_n + 1))
    tap_bad=$((tap_bad + 1))
    [ -z "$2" ] || printf '%s\n' "$2" | sed 's/^/# /'
    echo "not ok $tap_n - $1"
}

skip()
{
    tap_n=$((tap_n + 1))
    echo "ok $tap_n - $1 # SKIP $2"
}

check()
{
    tap_name=$1
    shift
    if tap_out=$("$@" 2>&1); then
        pass "$tap_name"
    else
        fail "$tap_name" "status $? of: $*
$tap_out"
    fi
}

refuse()
{
    tap_name=$1
    shift
    tap_out=$("$@" 2>&1)
    tap_rc=$?
    if [ $tap_rc = 1 ]; then
        pass "$tap_name"
    else
        fail "$tap_name" "status $tap_rc of: $*
$tap_out"
    fi
}

same()
{
    if [ "$2" = "$3" ]; then
        pass "$1"
    else
        fail "$1" "got:
$2
wanted:
$3"
    fi
}

has()
{
    case "$2" in
    *"$3"*) pass "$1" ;;
    *) fail "$1" "no '$3' in:
$2" ;;
    esac
}

talk()
{
    tap_prog=$1
    printf '%s\n' "$2" >>"$TMP/qmp.asked"
    printf '%s\n' "$2" >"$TMP/qmp.in"
    echo "$1" >"$TMP/qmp.program"
    shift 2
    timeout 60 "$tap_prog" "$@" -qmp stdio <"$TMP/qmp.in" >"$TMP/qmp.out" 2>&1
    tap_rc=$?
    tee -a "$TMP/qmp.said" <"$TMP/qmp.out"
    return $tap_rc
}

conforms()
{
    check "replies and events are as the schema says" python3 \
        tests/libschema.py "$(cat "$TMP/qmp.program")" "$TMP/qmp.asked" \
        "$TMP/qmp.said"
}

skip_all()
{
    skip "$(basename "$0")" "$1"
    finish
}

finish()
{
    echo "1..$tap_n"
    [ $tap_bad = 0 ]
    exit
}
