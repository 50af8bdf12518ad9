#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the program tells about itself (schema, commands, events, options,
machines, CPU models, types and their properties with types and defaults)
against the facts in tests/reference. Each difference needs a line with a
reason in differences.json; docs/coverage.md is the summary.

usage: differences.py            the test
       differences.py --write    writes docs/coverage.md anew
       differences.py --list     prints the differences without a reason
       differences.py --record   writes tests/reference from the installed peer
"""

import collections
import json
import os
import re
import shutil
import sys

import libdiff
import libtold

BUILD = os.environ.get("BUILD", "build")
HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
REFERENCE = TOP + "/tests/reference/qemu-7.2"
TABLE = TOP + "/docs/coverage.md"
ARGS = ["-machine", "none", "-accel", "tcg", "-display", "none", "-nodefaults"]
LIMIT = 5       # per cent, of what exists here

PLURAL = {"CPU model": "CPU models", "device property": "properties of devices",
          "object property": "properties of all types", "command": "commands",
          "event": "events", "type": "types", "device": "devices",
          "option": "option groups", "machine": "machines"}
HEAD = """# Coverage

What `query-qmp-schema`, `query-command-line-options`, `query-machines`,
`query-cpu-definitions`, `qom-list-types`, `device-list-properties` and
`qom-list-properties` tell, against QEMU 7.2 for x86_64 as Debian 12 has it.
Written by `tests/func/differences.py --write`; as a test that script compares
every name, type, default, member, variant, feature and enumeration value.

*Part not here* counts what belongs to a part that this version does not have;
*exceptions* are differences in what is here. Each of both kinds stands in
`tests/func/differences.json` with its reason. Properties are those of the
types that exist here. Beside these commands there are %d of this program's
own, `x-tern-...`: what HMP alone does in the reference.

| | here | reference | part not here | exceptions |
|---|---:|---:|---:|---:|
"""


def start(program):
    return lambda: libtold.Qmp([program] + ARGS)


def sort_out(found):
    """found: differences. Gives ({what: Counter of "part" and "exception"},
    those without a reason, reasons: Counter, entries without use)."""
    with open(HERE + "/differences.json", encoding="utf-8") as f:
        listed = json.load(f)
    for e in listed:
        e["re"] = re.compile("(?:%s): (?:%s)" % (
            e["what"], e.get("place", ".*")))
        e["say"] = re.compile(e.get("text", ".*"))
        e["uses"] = 0
    sums = collections.defaultdict(lambda: {"part": set(), "exception": set()})
    missing = []
    for what, place, text in found:
        for e in listed:
            if e["re"].fullmatch(what + ": " + place) and \
                    e["say"].fullmatch(text):
                e["uses"] += 1
                # Differences within one command are one exception.
                name = place.split(".")[0] if what in (
                    "command", "event", "option") else place
                sums[what]["part" if e.get("part") else "exception"].add(name)
                break
        else:
            missing.append("%s %s: %s" % (what, place, text))
    return sums, missing, listed


def table(sums, counts, listed, own):
    out = [HEAD % own]
    for what, (here, ref) in counts.items():
        s = sums[what]
        absent = ref - here if what == "device" else len(s["part"])
        bad = len(s["exception"])
        out.append("| %s | %d | %d | %d | %d%s |\n" % (
            PLURAL[what], here, ref, absent, bad,
            " (%.1f %%)" % (100 * bad / here) if bad else ""))
    for title, part in (("Parts not here", True), ("Exceptions", False)):
        out.append("\n## %s\n\n" % title)
        lines = collections.OrderedDict()
        for e in listed:
            if e["uses"] and bool(e.get("part")) == part:
                lines.setdefault(e["why"], []).append(e["what"])
        for why in sorted(lines, key=str.lower):
            kinds = sorted({k for w in lines[why] for k in w.split("|")})
            kinds = ", ".join("everything" if k == ".*" else PLURAL[k]
                              for k in kinds)
            out.append(wrap("* %s (%s)" % (why, kinds)))
    return "".join(out)


def wrap(text):
    lines, line = [], ""
    for word in text.split():
        if len(line) + len(word) > 77:
            lines.append(line)
            line = "  " + word
        else:
            line += (" " if line.strip() else "") + word
    return "\n".join(lines + [line]) + "\n"


def figures(text):
    """name -> number of exceptions, of the table's lines."""
    return {r[0].strip(): r[4].split()[0] for r in (
        line.strip("|\n").split("|") for line in text.splitlines()
        if line.startswith("|")) if r[4].split()[0].isdigit()}


def test(sums, missing, counts, text):
    results = []

    def report(good, name, why=()):
        for line in list(why)[:40]:
            print("# " + line)
        results.append(good)
        print("%s %d - %s" % ("ok" if good else "not ok", len(results), name))
    for what in counts:
        bad = [m for m in missing if m.startswith(what + " ")]
        if what == "device":
            continue
        report(not bad, "%s: each difference has a reason" % PLURAL[what], bad)
        if what in ("command", "event", "device property"):
            share = 100 * len(sums[what]["exception"]) / counts[what][0]
            report(share <= LIMIT, "%s: exceptions in at most %d %%" % (
                PLURAL[what], LIMIT), ["%.2f %%" % share])
    try:
        with open(TABLE, encoding="utf-8") as f:
            old = f.read()
    except OSError:
        old = ""
    report(figures(old) == figures(text),
           "docs/coverage.md has the exceptions' numbers",
           [] if old == text else ["it is older: differences.py --write"])
    print("1..%d" % len(results))
    return 0 if all(results) else 1


def main():
    sys.path.insert(0, HERE)
    if "--record" in sys.argv:
        peer = os.environ.get("PEER") or shutil.which("qemu-system-x86_64")
        libdiff.save(REFERENCE, libdiff.collect(start(peer)))
        return 0
    program = BUILD + "/tern"
    if not os.access(program, os.X_OK):
        print("ok 1 - differences # SKIP tern is not built\n1..1")
        return 0
    ref = libdiff.load(REFERENCE)
    here = libdiff.collect(start(program))
    counts = libdiff.counts(ref, here)
    sums, missing, listed = sort_out(libdiff.compare(ref, here))
    text = table(sums, counts, listed, len(libdiff.ours_alone(here)))
    for e in listed:
        if not e["uses"]:
            print("# no difference: %s %s" % (e["what"], e.get("place", "")))
    if "--list" in sys.argv:
        print("\n".join(missing))
        return 0
    if "--write" in sys.argv:
        with open(TABLE, "w", encoding="utf-8") as f:
            f.write(text)
        return 0
    return test(sums, missing, counts, text)


if __name__ == "__main__":
    sys.exit(main())
