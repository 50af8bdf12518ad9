#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Block commands by QMP and HMP to $BUILD/compat/qemu-system-x86_64 and to the
installed qemu-system-x86_64 ($PEER), each in a folder of its own with equal
images; what they answer must be equal, apart from what
tests/func/block-accepted.json lists with a reason each. Skips where there is no
peer or no accelerator that both have.

Made-up node names compare by the order in which they appear; places on the
host, times and dates are taken out. Arguments choose sessions by name; -v prints
both answers of what differs."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]
import peer                                                     # noqa: E402
from libsessions import SESSIONS                             # noqa: E402

IMG = shutil.which("qemu-img")
ZEROED = re.compile(r"(actual-size|date-n?sec|vm-clock-n?sec|idle_time_ns|"
                    r".*_total_time_ns|(min|max|avg)_.*_latency_ns|"
                    r"avg_.*_queue_depth)")


# how much of an image's tables is kept, which only ours tells
OWN = re.compile(r"(l2|refcount)[- ]cache[- ](size|used)")
DATE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


class Names:
    """Made-up node names become #1, #2, ... as they are met."""

    def __init__(self):
        self.seen = {}

    def of(self, name):
        return self.seen.setdefault(name, "#%d" % (len(self.seen) + 1))

    def text(self, v):
        v = v.replace("\r", "")
        v = re.sub(r"#block\d+", lambda m: self.of(m.group(0)), v)
        v = re.sub(r"idle_time_ns=\d+", "idle_time_ns=N", v)
        v = re.sub(r"_total_time_ns=\d+", "_total_time_ns=N", v)
        v = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "DATE", v)
        v = re.sub(r"/var/tmp/vl\.\w+", "TEMP", v)
        v = re.sub(r"disk size: .*", "disk size: N", v)
        v = re.sub(r"json:(\{.*\})(?= \(|$)", lambda m: "json:" + json.dumps(
            json.loads(m.group(1)), sort_keys=True), v, flags=re.M)
        return re.sub(r"(process|Process) \d+", r"\1 N", v)

    def walk(self, v, key=""):
        if isinstance(v, dict):
            # in one order, or the names would be met differently
            return {k: self.walk(v[k], k) for k in sorted(v)
                    if not OWN.fullmatch(k)}
        if isinstance(v, list):
            return [self.walk(x, key) for x in v]
        if ZEROED.fullmatch(key):
            return 0
        if isinstance(v, str) and v.startswith("json:"):
            # the members' order is nobody's promise
            return self.walk(json.loads(v[5:]))
        return self.text(v) if isinstance(v, str) else v


def graph(v):
    """x-debug-query-block-graph without its numbers."""
    names = {n["id"]: n["type"] + ":" + n["name"] for n in v["nodes"]}
    return {"nodes": sorted(names.values()),
            "edges": sorted([names[e["parent"]], names[e["child"]], e["name"],
                             sorted(e["perm"]), sorted(e["shared-perm"])]
                            for e in v["edges"])}


def normal(names, command, v):
    v = names.walk(v)
    if isinstance(v, dict) and isinstance(v.get("return"), dict) and \
            "edges" in v["return"]:
        v["return"] = graph(v["return"])
    v = peer.normal(v)
    if isinstance(v, dict) and isinstance(v.get("return"), str):
        v["return"] = [DATE.sub("DATE", x) for x in v["return"].split("\n")
                       if not OWN.match(x.strip())]
    return v


def images_make(folder, lines):
    for line in lines:
        for _ in range(20):
            p = subprocess.run(["qemu-img"] + line.split(), cwd=folder,
                               text=True, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT)
            # The peer cannot always measure the time a password takes.
            if "Unable to get accurate CPU usage" not in p.stdout:
                break
        if p.returncode:
            raise RuntimeError(p.stdout)


def session_run(name, prog, args, commands, images):
    with tempfile.TemporaryDirectory() as folder:
        images_make(folder, images)
        here = os.getcwd()
        os.chdir(folder)
        try:
            s = peer.Session(prog, args)
        finally:
            os.chdir(here)
        names = Names()
        rows = []
        for c in commands:
            rows.append((peer.label(c), normal(names, c, s.ask(c))))
        end = s.end()
        rows.append(("quit", end[0]))
        said = re.sub(r"^[^ ]*(tern|qemu-system-x86_64): ", "", end[1],
                      flags=re.M)
        said = re.sub(r" +Fix: format=raw.*\n", "", said)
        # ours warns of more
        said = "".join(line for line in said.splitlines(True)
                       if ": warning: " not in line)
        rows.append(("stderr", names.text(said).strip()))
        return rows


def main():
    chosen = [a for a in sys.argv[1:] if a != "-v"]
    if not peer.PEER or not IMG:
        print("1..0 # SKIP no peer is installed")
        return 0
    accel = next((a for a in ("kvm", "tcg") if peer.usable(peer.OURS, a) and
                  peer.usable(peer.PEER, a)), None)
    if not accel:
        print("1..0 # SKIP no accelerator that both programs can use")
        return 0
    with open(peer.HERE + "/block-accepted.json") as f:
        rules = json.load(f)
    used = set()
    n = bad = 0
    ours = os.path.abspath(peer.OURS)
    for name, (args, images, commands) in SESSIONS.items():
        if chosen and name not in chosen:
            continue
        args = ["-accel", accel, "-nodefaults", "-no-user-config", "-display",
                "none", "-S", "-qmp", "stdio"] + args
        a_rows = session_run(name, ours, args, commands, images)
        b_rows = session_run(name, peer.PEER, args, commands, images)
        for (what, a), (_, b) in zip(a_rows, b_rows):
            n += 1
            wrong = [d for d in peer.differences(peer.hintless(a, b), b) if not
                     peer.accept(rules, used, name, what, d[0], d[1])]
            for path, kind, x, y in wrong:
                print("# %s %s: ours %s; peer %s" %
                      (path or "/", kind, peer.short(x), peer.short(y)))
            bad += bool(wrong)
            print("%sok %d - %s: %s" % ("not " if wrong else "", n, name, what))
    if not chosen:
        for i, r in enumerate(rules):
            if i not in used and not r.get("maybe"):
                print("# accepted, but no difference: " + json.dumps(r))
    print("1..%d" % n)
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
