#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Each HMP command has a QMP command that does the same: the reference's own, or
one of ours ("x-tern-"), whose text is the one that HMP prints. Misspelt commands
are told the name that may have been meant."""

import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, "tests")
import libtap                                                    # noqa: E402
from libtap import result                                        # noqa: E402
from libtern import TERN, Program                                # noqa: E402

# HMP commands without an entry of their own in the schema, and what does their
# work for a QMP client. None: of a session itself.
OTHERS = {
    "help": "query-commands", "info": "query-commands", "info history": None,
    "cpu": None, "info block": "query-block", "drive_add": "blockdev-add",
    "drive_del": "blockdev-del", "info vnc": "query-vnc-servers",
    "info stats": "query-stats", "info snapshots": "query-named-block-nodes",
    "migrate_set_capability": "migrate-set-capabilities",
    "commit": "block-commit", "qemu-io": "x-tern-qemu-io",
    "boot_set": "x-tern-boot-set", "gdbserver": "x-tern-gdbserver",
    "hostfwd_add": "x-tern-hostfwd-add",
    "hostfwd_remove": "x-tern-hostfwd-remove",
    "delvm": "blockdev-snapshot-delete-internal-sync",
}
# HMP line, QMP command, arguments.
PAIRS = [
    ("info registers", "x-tern-query-registers", {}),
    ("info registers -a", "x-tern-query-registers", {"all": True}),
    ("info lapic", "x-tern-query-lapic", {}),
    ("info lapic 1", "x-tern-query-lapic", {"apic-id": 1}),
    ("info mem", "x-tern-query-mem", {}), ("info tlb", "x-tern-query-tlb", {}),
    ("info pic", "x-tern-query-pic", {}),
    ("info mtree", "x-tern-query-mtree", {}),
    ("info mtree -f", "x-tern-query-mtree", {"flat": True}),
    ("info network", "x-tern-query-network", {}),
    ("info qom-tree", "x-tern-query-qom-tree", {}),
    ("info qom-tree /objects", "x-tern-query-qom-tree", {"path": "/objects"}),
    ("info qtree", "x-tern-query-qtree", {}),
    ("info qdm", "x-tern-query-device-types", {}),
    ("x /4xw 0xffff0", "x-tern-read-virtual",
     {"format": "x", "count": 4, "size": 4, "addr": 0xffff0}),
    ("xp /2gx 0xfffffff0", "x-tern-read-physical",
     {"format": "x", "count": 2, "size": 8, "addr": 0xfffffff0}),
    ("xp /3i 0xfffffff0", "x-tern-read-physical",
     {"format": "i", "count": 3, "size": 4, "addr": 0xfffffff0}),
    ("i /b 0x70.0x0f", "x-tern-read-port",
     {"addr": 0x70, "size": 1, "index": 15}),
    ("gva2gpa 0xfff0", "x-tern-translate-virtual", {"addr": 0xfff0}),
    ("gpa2hva 0xffffffffff", "x-tern-translate-physical",
     {"addr": 0xffffffffff}),
    ("sum 0xfffffff0 16", "x-tern-sum-memory",
     {"start": 0xfffffff0, "size": 16}),
    ("sum 0x80000008 0xfffffff0", "x-tern-sum-memory",
     {"start": 0x80000008, "size": 0xfffffff0}),
    ("sync-profile", "x-tern-sync-profile", {}),
    ("info sync-profile", "x-tern-query-sync-profile", {}),
    ("print /x 255", "x-tern-print", {"format": "x", "expr": 255}),
]
ACTIONS = [
    ("x-tern-inject-mce", {"cpu-index": 0, "bank": 99, "status": 1 << 63,
                           "mcg-status": 0, "addr": 0, "misc": 0},
     "Invalid MCE bank number"),
    ("x-tern-inject-mce", {"cpu-index": 1, "bank": 0, "status": 1 << 63,
                           "mcg-status": 0, "addr": 0, "misc": 0}, None),
    ("x-tern-singlestep", {"option": "on"}, None),
    ("x-tern-singlestep", {"option": "off"}, None),
    ("x-tern-singlestep", {"option": "x"}, "unexpected option x"),
    ("x-tern-log", {"items": "int"}, None),
    ("x-tern-log", {"items": "none"}, None),
    ("x-tern-log", {"items": "nonesuch"}, "'nonesuch' is not a log item"),
    ("x-tern-mouse-move", {"dx": "1", "dy": "2"}, None),
    ("x-tern-mouse-button", {"state": 1}, None),
    ("x-tern-mouse-button", {"state": 0}, None),
    ("x-tern-mouse-set", {"index": 99}, "Mouse at index '99' not found"),
    ("x-tern-write-port", {"addr": 0x70, "size": 1, "val": 15}, None),
    ("x-tern-query-mem", {"cpu-index": 9},
     "Parameter 'cpu-index' expects a CPU number"),
]


def hmp_names(qmp):
    """As help tells them."""
    for what, head in (("help", ""), ("help info", "info ")):
        for line in qmp.hmp(what).splitlines():
            words = line.split(" -- ")[0].replace("info ", "", 1) if head \
                else line
            if " -- " in line:
                yield head + words.split()[0].split("|")[0]


def main():
    qmp = Program([TERN, "-machine", "pc", "-accel", "qtest", "-smp", "2",
                   "-nodefaults", "-display", "none", "-S", "-m", "64",
                   "-chardev", "null,id=c", "-serial", "chardev:c"])
    qmp_names = {c["name"] for c in qmp.cmd("query-commands")}
    twins = {r["hmp"] for r in rows_of_schema() if r["qmp"]}
    alone = [n for n in hmp_names(qmp) if n not in twins]
    bad = [n for n in alone if n not in OTHERS]
    result(not bad, "each HMP command has a QMP command", bad)
    lost = [n for n in alone if OTHERS.get(n) and
            OTHERS[n] not in qmp_names | {"block-commit"}]
    result(not lost, "and that is here", lost)
    for line, name, args in PAIRS:
        want = qmp.hmp(line)
        got = qmp.raw({"execute": name, "arguments": args})
        text = got.get("return", {}).get("human-readable-text")
        result(text == want, "%s: %s" % (name, line), got, want)
    for name, args, error in ACTIONS:
        got = qmp.raw({"execute": name, "arguments": args})
        text = got.get("error", {}).get("desc")
        result(text == error, "%s %s" % (name, args), got)
    for name, near in (("query-versio", "query-version"),
                       ("blockdev-ad", "blockdev-add")):
        got = qmp.ask(name)
        result("Did you mean '%s'?" % near in got["error"]["desc"],
               "QMP: %s" % name, got)
    got = qmp.ask("device_add", driver="e100")
    result("Did you mean 'e1000'?" in got["error"]["desc"], "QMP: a device",
           got)
    for line, near in (("infoo", "info"), ("info statu", "info status"),
                       ("object_add iothred,id=x", "iothread")):
        got = qmp.hmp(line)
        result("Did you mean '%s'?" % near in got, "HMP: " + line, got)
    qmp.kill()
    return libtap.end()


def rows_of_schema():
    """HMP words of the schema's entries, and whether QMP has them."""
    for name in sorted(os.listdir("schema")):
        if name.endswith(".schema"):
            kind = None
            with open("schema/" + name, encoding="utf-8") as f:
                for line in f:
                    w = line.split()
                    if line[:1] not in " \n#":
                        kind = w[0]
                    if w[:1] == ["hmp"] and (line[0] == "h" or
                                             kind == "command"):
                        yield {"hmp": " ".join(w[1:]), "qmp": line[0] != "h"}


if __name__ == "__main__":
    sys.exit(main())
