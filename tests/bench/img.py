#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Figures of build/tern-img, interleaved with the peer's qemu-img (or
$PEER_IMG): CPU and wall time of whole commands, medians of $ROUNDS rounds (3).
Arguments choose rows by a part of their name. Images are made in $BENCH_DIR
(/var/tmp: direct I/O needs a disk), $IMAGE_MB of data (512)."""

import os
import random
import shutil
import subprocess
import tempfile

from libsides import BUILD, measure, timed

ROUNDS = int(os.environ.get("ROUNDS", "3"))
MB = int(os.environ.get("IMAGE_MB", "512"))
TERN_IMG = os.environ.get("TERN_IMG", BUILD + "/tern-img")
PEER_IMG = os.environ.get("PEER_IMG") or shutil.which("qemu-img")
MAKER = PEER_IMG or TERN_IMG
COUNT = int(os.environ.get("REQUESTS", "40000"))
work = tempfile.mkdtemp(prefix="bench-img-",
                        dir=os.environ.get("BENCH_DIR", "/var/tmp"))


def at(name):
    return os.path.join(work, name)


def make(*args):
    subprocess.run([MAKER] + list(args), check=True,
                   stdout=subprocess.DEVNULL)


def data_make():
    """Half random, half text of few words, with holes between."""
    chance = random.Random(1)
    words = [bytes(chance.choices(range(97, 123), k=7)) for _ in range(3000)]
    with open(at("raw"), "wb") as f:
        for i in range(MB):
            kind = i % 4
            if kind == 0:
                f.write(chance.randbytes(1 << 20))
            elif kind < 3:
                text = b" ".join(chance.choices(words, k=140000))
                f.write(text[:1 << 20].ljust(1 << 20, b"."))
            else:
                f.seek(1 << 20, 1)
        f.truncate(MB << 20)


def images_make():
    data_make()
    make("convert", "-O", "qcow2", at("raw"), at("q"))
    make("convert", "-O", "raw", at("raw"), at("raw2"))
    make("convert", "-S", "0", "-O", "raw", at("raw"), at("full"))
    make("convert", "-O", "qcow2", "-S", "0", at("full"), at("fullq"))
    make("create", "-q", "-f", "qcow2", "-o", "preallocation=metadata",
         at("big"), "160G")
    make("create", "-q", "-f", "raw", at("base"), "%dM" % MB)
    make("create", "-q", "-f", "qcow2", "-F", "raw", "-b", at("base"),
         at("empty"))
    make("convert", "-n", "-O", "qcow2", at("raw"), at("empty"))
    os.rename(at("empty"), at("over"))
    make("create", "-q", "-f", "qcow2", "-F", "raw", "-b", at("raw"),
         at("thin"))
    shutil.copy(at("raw"), at("raw3"))
    with open(at("raw3"), "r+b") as f:
        for i in range(0, MB, 4):
            f.seek(i << 20)
            f.write(random.Random(i).randbytes(1 << 20))


def to_fresh(prog, args):
    """The last argument is a file that is not there before."""
    if os.path.exists(args[-1]):
        os.unlink(args[-1])
    return timed(prog, args)


def commit(prog, args):
    shutil.copy(at("over"), at("over2"))
    make("create", "-q", "-f", "raw", at("base"), "%dM" % MB)
    return timed(prog, ["commit", "-q", at("over2")])


def rebase(prog, args):
    """To a base of which a quarter is other, and all was the old base's."""
    shutil.copy(at("thin"), at("thin2"))
    return timed(prog, ["rebase", "-F", "raw", "-b", at("raw3"), at("thin2")])


def alloc(prog, args):
    make("create", "-q", "-f", "qcow2", at("x"), "%dM" % MB)
    return timed(prog, args)


def rows_of_bench():
    null = ["--image-opts", "driver=null-co,size=1G"]
    yield "null depth 1", ["-d", "1", "-c", str(COUNT * 5)] + null
    yield "null depth 32", ["-d", "32", "-c", str(COUNT * 5)] + null
    for fmt, name in (("raw", "full"), ("qcow2", "fullq")):
        for aio in ("threads", "native", "io_uring"):
            for depth in (1, 32):
                for verb, w in (("read", []), ("write", ["-w"])):
                    direct = [] if aio == "threads" else ["-t", "none"]
                    count = COUNT // 8 if depth == 1 else COUNT
                    # A step that is prime to the size visits all parts.
                    yield ("%s %s %d %s" % (fmt, aio, depth, verb),
                           ["-i", aio, "-d", str(depth), "-f", fmt, "-c",
                            str(count), "-S", str(4096 * 1237)] + direct + w +
                           [at(name)])


def main():
    images_make()
    rows = [
        ("create", to_fresh, ["create", "-q", "-f", "qcow2", at("x"), "64G"]),
        ("raw to qcow2", to_fresh,
         ["convert", "-O", "qcow2", at("raw"), at("x")]),
        ("qcow2 to raw", to_fresh, ["convert", "-O", "raw", at("q"), at("x")]),
        ("convert -c zlib", to_fresh,
         ["convert", "-c", "-O", "qcow2", at("raw"), at("x")]),
        ("convert -c zstd", to_fresh,
         ["convert", "-c", "-O", "qcow2", "-o", "compression_type=zstd",
          at("raw"), at("x")]),
        ("compare raw", timed, ["compare", at("raw"), at("raw2")]),
        ("compare qcow2", timed, ["compare", at("raw"), at("q")]),
        ("check", timed, ["check", "-q", at("big")]),
        ("commit", commit, []),
        ("rebase", rebase, []),
        ("allocate", alloc, ["bench", "-w", "-d", "32", "-s", "64k", "-f",
                             "qcow2", "-c", str(MB * 16), at("x")]),
        ("allocate 4k", alloc, ["bench", "-w", "-d", "32", "-S", "64k", "-f",
                                "qcow2", "-c", str(MB * 16), at("x")]),
    ]
    rows += [(n, timed, ["bench"] + a) for n, a in rows_of_bench()]
    sides = [("tern", TERN_IMG)]
    if PEER_IMG:
        sides.append(("peer", PEER_IMG))
    measure(rows, lambda name: ROUNDS, "Image tools, %d MiB" % MB, "bench-img",
            sides)


try:
    main()
finally:
    shutil.rmtree(work)
