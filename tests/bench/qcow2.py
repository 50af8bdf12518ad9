#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""qcow2 where its metadata counts, interleaved with the peer's qemu-img (or
$PEER_IMG): reads all over a fully allocated 64-GiB image, in turns with raw, writes that
allocate in several layouts, reads of compressed data, snapshots. CPU and wall
time of whole commands, medians of $ROUNDS rounds (3). Arguments choose rows by a
part of their name. Images are made in $BENCH_DIR (/var/tmp); they are sparse."""

import os
import shutil
import subprocess
import tempfile

from libsides import BUILD, measure, timed

ROUNDS = int(os.environ.get("ROUNDS", "3"))
TERN_IMG = os.environ.get("TERN_IMG", BUILD + "/tern-img")
PEER_IMG = os.environ.get("PEER_IMG") or shutil.which("qemu-img")
MAKER = PEER_IMG or TERN_IMG
READS = os.environ.get("REQUESTS", "200000")
# All over the image: prime to the number of 4k blocks.
JUMP = str(4096 * 327689)
work = tempfile.mkdtemp(prefix="bench-qcow2-",
                        dir=os.environ.get("BENCH_DIR", "/var/tmp"))


def at(name):
    return os.path.join(work, name)


def make(*args):
    subprocess.run([MAKER] + list(args), check=True,
                   stdout=subprocess.DEVNULL)


def images_make():
    make("create", "-q", "-f", "raw", at("raw"), "64G")
    make("create", "-q", "-f", "qcow2", "-o", "preallocation=metadata",
         at("full"), "64G")
    line = b"".join(b"%07d " % i for i in range(8192))
    with open(at("text"), "wb") as f:
        for i in range(1024):
            f.write(line[i:] + line[:i])
    make("convert", "-c", "-O", "qcow2", at("text"), at("packed"))


def beside_raw(prog, args):
    """The same reads of raw and of qcow2: per cent of the time of raw."""
    raw = timed(prog, args + ["-f", "raw", at("raw")])
    full = timed(prog, args + ["-f", "qcow2", at("full")])
    return {"CPU ms": full["CPU ms"], "wall ms": full["wall ms"],
            "CPU, % of raw": 100 * full["CPU ms"] / raw["CPU ms"],
            "wall, % of raw": 100 * full["wall ms"] / raw["wall ms"]}


def fresh(prog, args):
    """The first argument: options of a new image to write to."""
    make("create", "-q", "-f", "qcow2", "-o", args[0], at("x"), "1G")
    return timed(prog, args[1:] + [at("x")])


def snapshot(prog, args):
    timed(prog, ["snapshot", "-q", "-d", "s", at("full")]
          if snapshot.there else ["--version"])
    snapshot.there = True
    return timed(prog, ["snapshot", "-q", "-c", "s", at("full")])


snapshot.there = False


def main():
    images_make()
    rows = []
    for aio, depth in (("threads", 1), ("threads", 32), ("native", 32)):
        direct = [] if aio == "threads" else ["-t", "none"]
        rows.append(("64G %s %d" % (aio, depth), beside_raw,
                     ["bench", "-i", aio, "-d", str(depth), "-c", READS, "-S",
                      JUMP] + direct))
    write = ["bench", "-w", "-d", "32", "-f", "qcow2"]
    rows += [
        ("allocate 64k", fresh, ["cluster_size=64k"] + write +
         ["-s", "64k", "-c", "8192"]),
        ("allocate 4k apart", fresh, ["cluster_size=64k"] + write +
         ["-S", "64k", "-c", "8192"]),
        ("allocate subcluster", fresh, ["extended_l2=on,cluster_size=128k"] +
         write + ["-S", "128k", "-c", "8192"]),
        ("allocate 4k in a row", fresh, ["cluster_size=64k"] + write +
         ["-c", "32768"]),
        ("compressed to raw", timed,
         ["convert", "-O", "raw", at("packed"), at("x")]),
        ("snapshot of 64G", snapshot, []),
    ]
    sides = [("tern", TERN_IMG)]
    if PEER_IMG:
        sides.append(("peer", PEER_IMG))
    measure(rows, lambda name: ROUNDS, "qcow2 metadata", "bench-qcow2", sides)


try:
    main()
finally:
    shutil.rmtree(work)
