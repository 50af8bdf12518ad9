#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""CPU models beside the installed peer: the list that people see, what is not
available on the accelerator, expansion, every property of the live CPU object,
and what -cpu's forms make of them."""

import json
import os
import shutil
import subprocess
import sys

import libtold

BUILD = os.path.abspath(os.environ.get("BUILD", "build"))
OURS = BUILD + "/compat/qemu-system-x86_64"
PEER = os.environ.get("PEER") or shutil.which("qemu-system-x86_64")
REST = ["-machine", "pc", "-S", "-display", "none", "-nic", "none", "-vga",
        "none", "-m", "16"]
results = []

# Properties whose values are each program's own.
OWN = {"memory": "memory regions are no objects",
       "ucode-rev": "of a model without a vendor: Intel's or AMD's form",
       "hv-vendor-id": "told by the reference though nothing uses it",
       "tsc-frequency": "the reference tells the host's when it was not given"}
# Features of the software CPUs differ: of them, only what is told is compared.
FORMS = ["qemu64", "qemu64,+sse4.1,-sse3,ssse3=on", "EPYC-Rome", "base,+fpu,+msr",
         "qemu64,level=7,family=6,model=3,stepping=1,vendor=GenuineIntel,"
         "model-id=abc,migratable=off", "Haswell-noTSX,x2apic=off,check=off",
         "qemu64,nonesuch=on", "nonesuch", "qemu64,+nonesuch",
         "Haswell,enforce"]


def report(good, name, why=""):
    results.append(bool(good))
    if not good:
        print("# " + str(why)[:2000].replace("\n", "\n# "))
    print("%s %d - %s" % ("ok" if good else "not ok", len(results), name),
          flush=True)


def order(v):
    """Lists of bits and names come in any order."""
    if isinstance(v, list):
        # without XSAVE there is no XSAVE state to tell of (leaf 13)
        return sorted(json.dumps(x, sort_keys=True) for x in v if not (
            isinstance(x, dict) and x.get("cpuid-input-eax") == 13))
    return v


def cpu_of(prog, accel, model):
    """(properties, values, expansion) or the last line of the refusal."""
    try:
        qmp = libtold.Qmp([prog, "-accel", accel, "-cpu", model] + REST)
    except libtold.Died:
        return None
    path = qmp.get("query-cpus-fast")[0]["qom-path"]
    types = {p["name"]: p["type"] for p in qmp.get("qom-list", path=path)}
    values = {n: order(qmp.get("qom-get", path=path, property=n))
              for n in types}
    name = model.split(",")[0]
    more = {k: qmp.ask("query-cpu-model-expansion", type=k,
                       model={"name": name}).get("return", {})
            .get("model", {}).get("props", {}) for k in ("full", "static")}
    more["full"].pop("memory", None)
    away = {c["name"]: sorted(c["unavailable-features"])
            for c in qmp.get("query-cpu-definitions")}
    qmp.kill()
    return types, values, more, away


def unlike(a, b, skip=()):
    return ["%s: %s, peer %s" % (n, a.get(n), b.get(n))
            for n in sorted(set(a) | set(b))
            if n not in skip and a.get(n) != b.get(n)]


def compare(accel, model):
    ours, peer = cpu_of(OURS, accel, model), cpu_of(PEER, accel, model)
    what = "%s, -cpu %s: " % (accel, model)
    if not ours or not peer:
        report(bool(ours) == bool(peer), what + "refused by both",
               "ours %s, peer %s" % (bool(ours), bool(peer)))
        return
    def told(t):
        return {n: k for n, k in t.items()
                if not n.startswith(("legacy-", "memory[", "smram["))}
    bad = unlike(told(ours[0]), told(peer[0]))
    report(not bad, what + "%d properties" % len(ours[0]), "\n".join(bad))
    if accel != "kvm":
        return
    bad = unlike({n: v for n, v in ours[1].items() if n in peer[1]},
                 {n: v for n, v in peer[1].items() if n in ours[1]}, OWN)
    report(not bad, what + "their values", "\n".join(bad))
    for k in ("full", "static"):
        bad = unlike(ours[2][k], peer[2][k])
        report(not bad, what + k + " expansion", "\n".join(bad))
    if "," not in model:
        bad = unlike(ours[3], peer[3])
        report(not bad, what + "what is unavailable", "\n".join(bad))


def works(prog, accel):
    return cpu_of(prog, accel, "qemu64") is not None


def main():
    if not PEER or not os.access(OURS, os.X_OK):
        print("1..0 # SKIP no peer is installed")
        return 0
    lists = [subprocess.run([p, "-cpu", "help"], stdout=subprocess.PIPE,
                            check=True).stdout for p in (OURS, PEER)]
    report(lists[0] == lists[1], "-cpu help")
    for accel in ("kvm", "tcg"):
        if not works(OURS, accel) or not works(PEER, accel):
            print("ok %d - %s # SKIP not for both" % (len(results) + 1, accel))
            results.append(True)
            continue
        for model in FORMS if accel == "kvm" else FORMS[:1] + ["max"]:
            compare(accel, model)
    print("1..%d" % len(results))
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
