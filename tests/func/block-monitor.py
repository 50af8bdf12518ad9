#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Disks of a running machine, watched by the monitor while a guest device
reads and writes them: qemu-io, histograms and counts, the write threshold,
detect-zeroes, snapshot=on, file descriptor sets. The same is asked of the
installed peer, and must end alike; without one what ours must do is checked."""

import os
import re
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import libqmp                                                    # noqa: E402
from libqmp import DISK, OURS, PEER, Machine, result             # noqa: E402

IMG = libqmp.BUILD + "/tern-img"
SIDES = []
PATH = "/machine/peripheral/hd"


def img(folder, line):
    return subprocess.run([IMG] + line.split(), cwd=folder, check=True,
                          stdout=subprocess.PIPE, text=True).stdout


def both(name, story, sure=lambda out: True):
    """story(prog, folder) on both; sure: what must be so in any case."""
    seen = []
    for prog in SIDES:
        with tempfile.TemporaryDirectory() as folder:
            seen.append(story(prog, folder))
    result(sure(seen[0]) and all(s == seen[0] for s in seen), name,
           *("%s: %s" % x for x in zip(("ours", "peer"), seen)))


IO = """qemu-io d "write -P 5 0 64k"
qemu-io d "read -P 5 0 64k"
qemu-io d "read -P 6 4k 4k"
qemu-io d "read -v -P 5 0 32"
qemu-io d foo
qemu-io d ""
qemu-io d "read 0"
qemu-io d "read 0 4k 5"
qemu-io d "read 2M 4k"
qemu-io nodev "read 0 4k"
qemu-io d
qemu-io -d hd "read 0 4k"
qemu-io -d nodev "read 0 4k"
qemu-io -d %s "read 0 4k"
qemu-io d "aio_write -P 7 64k 64k"
qemu-io d aio_flush
qemu-io nn "read -P 7 64k 64k"
qemu-io d length
qemu-io d map
qemu-io d "alloc 0 1M"
qemu-io d "open foo"
qemu-io d quit
qemu-io d close
qemu-io d "sleep 10"
qemu-io d "write -z 64k 64k"
qemu-io d "discard 0 64k"
qemu-io d "truncate 2M"
qemu-io d length
qemu-io ff "read -q 0 4k"
qemu-io d "reopen -r -w"
qemu-io d "reopen -c foo"
qemu-io d "reopen -c directsync"
qemu-io d "reopen -o driver=raw"
qemu-io ro "write 0 4k"
qemu-io ro "read -P 0 0 4k"
qemu-io empty "read 0 4k"
info block d""" % PATH


def monitor_io(prog, folder):
    img(folder, "create -q -f qcow2 disk 1M")
    img(folder, "create -q -f raw ro 1M")
    m = Machine(prog, folder, [
        "-blockdev", "driver=file,node-name=rof,filename=ro,read-only=on",
        "-blockdev", "driver=raw,node-name=ro,file=rof,read-only=on",
        "-drive", "if=none,id=d,file=disk,node-name=nn,file.node-name=ff"
        ] + DISK)
    said = [(line, m.hmp(line)) for line in IO.split("\n")]
    out = m.end()
    out = re.sub(r"ops; .*", "ops; TIME", out)
    return said, out.split("\n")


def figures(prog, folder):
    """What is counted."""
    img(folder, "create -q -f qcow2 disk 8M")
    m = Machine(prog, folder, ["-drive", "if=none,id=d,file=disk"] + DISK)
    args = {"id": PATH, "boundaries": [1000, 1000000000000]}
    said = [m.qmp("block-latency-histogram-set", **args)]
    for sector in (0, 100, 2048):
        m.transfer(True, sector)
        m.transfer(False, sector)
    m.transfer(False, 100)
    for more in ({"boundaries-flush": [5, 6, 7]},
                 {"boundaries-read": [10 ** 15]}, {}):
        said.append(m.qmp("block-latency-histogram-set", id=PATH, **more))
        s = m.qmp("query-blockstats")[0]["stats"]
        for k in list(s):
            if "time_ns" in k or "latency_ns" in k:
                s[k] = s[k] > 0
            elif k.endswith("_histogram"):
                s[k]["bins"] = [len(s[k]["bins"]), sum(s[k]["bins"])]
        s.pop("timed_stats", None)
        said.append(s)
    m.end()
    return said


def threshold(prog, folder):
    img(folder, "create -q -f raw disk 8M")
    m = Machine(prog, folder, [
        "-drive", "if=none,id=d,file=disk,format=raw,node-name=n,"
        "file.node-name=f"] + DISK)
    said = []
    for node, at in (("f", 1 << 20), ("n", 2 << 20), ("f", 4096)):
        m.qmp("block-set-write-threshold", **{"node-name": node,
                                              "write-threshold": at})
        for sector in (0, at // 512 - 1, at // 512, at // 512 + 5):
            m.transfer(True, sector)
            said.append((node, at, sector, [
                x["write_threshold"] for x in m.qmp("query-named-block-nodes")
                if x["node-name"] == node]))
        m.qmp("query-status")
    said.append(m.told())
    m.end()
    return said


def zeroes(how):
    def story(prog, folder):
        with open(folder + "/disk", "wb") as f:
            f.write(b"\1" * (1 << 20))
        m = Machine(prog, folder, [
            "-drive", "if=none,id=d,file=disk,format=raw," + how] + DISK)
        said = m.hmp("info block d")
        for line in ("write -P 0 0 128k", "write -P 0 256k 512",
                     "write -P 3 300k 4k"):
            m.hmp('qemu-io d "%s"' % line)
        m.end()
        extents = [(e["start"], e["length"], e["data"], e["zero"])
                   for e in __import__("json").loads(
                       img(folder, "map -f raw --output=json disk"))]
        with open(folder + "/disk", "rb") as f:
            return said, extents, f.read()[::512].count(0)
    return story


def temporary(prog, folder):
    with open(folder + "/disk", "wb") as f:
        f.write(b"\1" * (1 << 20))
    m = Machine(prog, folder, [
        "-drive", "if=none,id=d,file=disk,format=raw,snapshot=on"] + DISK)
    m.transfer(True, 8)
    said = [m.hmp('qemu-io d "read -q -P 1 0 4k"')]

    def there():
        with open(folder + "/disk", "rb") as f:
            f.seek(4096)
            return f.read(4)
    said.append(there())
    said.append(m.hmp("commit d"))
    said.append(there())
    m.transfer(True, 16)
    m.end()
    with open(folder + "/disk", "rb") as f:
        said.append(f.read()[8192:8196])
    return said


def fdset(prog, folder):
    """The image is opened by descriptors alone, read-only first."""
    img(folder, "create -q -f raw disk 1M")
    fds = [os.open(folder + "/disk", mode) for mode in (os.O_RDONLY, os.O_RDWR)]
    try:
        m = Machine(prog, folder, [
            "-add-fd", "fd=%d,set=2,opaque=ro" % fds[0],
            "-add-fd", "fd=%d,set=2,opaque=rw" % fds[1],
            "-drive", "if=none,id=d,file=/dev/fdset/2,format=raw"] + DISK,
            pass_fds=fds)
        m.transfer(True, 8)
        said = [m.hmp("info block d"), [
            (s["fdset-id"], sorted(f["opaque"] for f in s["fds"]))
            for s in m.qmp("query-fdsets")],
            m.qmp("blockdev-add", driver="file", filename="/dev/fdset/3",
                  **{"node-name": "n"}),
            m.qmp("remove-fd", **{"fdset-id": 7})]
        m.end()
    finally:
        for fd in fds:
            os.close(fd)
    with open(folder + "/disk", "rb") as f:
        f.seek(4096)
        return said, f.read(4)


def auto_ro(prog, folder):
    """A file that cannot be written: refused, or opened as it can be."""
    said = []
    img(folder, "create -q -f raw disk 1M")
    os.chmod(folder + "/disk", 0o444)
    m = Machine(prog, folder, ["-drive", "if=none,id=d,file=disk,format=raw,"
                               "auto-read-only=on,read-only=on"])
    ro = {"auto-read-only": True}
    for name, opts in (("a", ro), ("b", dict(ro, **{"read-only": True})),
                       ("c", {"read-only": False})):
        said.append(m.qmp("blockdev-add", driver="raw", **{
            "node-name": name, "read-only": True,
            "file": dict({"driver": "file", "filename": "disk"}, **opts)}))
        said.append([x["ro"] for x in m.qmp("query-named-block-nodes")])
    said.append(m.hmp("info block"))
    m.end()
    return said


def kept(size, more=""):
    """What ours keeps of an image's tables: its limits, and what it has."""
    with tempfile.TemporaryDirectory() as folder:
        img(folder, "create -q -f qcow2 disk " + size)
        m = Machine(OURS, folder, ["-drive", "if=none,id=d,file=disk,"
                                   "node-name=n" + more] + DISK)

        def now():
            node, = (x for x in m.qmp("query-named-block-nodes")
                     if x["node-name"] == "n")
            d = node["image"]["format-specific"]["data"]
            return [d[k] for k in ("l2-cache-size", "l2-cache-used",
                                   "refcount-cache-size",
                                   "refcount-cache-used")]
        before = now()
        for at in ("0", "1G", "2G"):
            m.hmp('qemu-io d "write -q %s 4k"' % at)
        after = now()
        text = m.hmp("info block -v d")
        m.end()
    return before, after, text


def caches():
    """Up to 32 MiB as they are needed, or what -drive says."""
    for size, more, limit in (("64G", "", 32 << 20), ("2T", "", 32 << 20),
                              ("64G", ",l2-cache-size=1M", 1 << 20),
                              ("64G", ",cache-size=2M", None)):
        before, after, text = kept(size, more)
        ok = before[1] == 0 and 0 < after[1] <= after[0] and \
            after[0] == before[0] and 0 < after[3] <= after[2] and \
            (limit is None or before[0] == limit) and \
            (limit or before[0] + before[2] <= 2 << 20) and \
            "l2 cache used: %d" % after[1] in text
        result(ok, "caches of %s%s" % (size, more), before, after, text)


def warned():
    """Who lets a raw image be guessed is told what to write instead."""
    with tempfile.TemporaryDirectory() as folder:
        img(folder, "create -q -f raw disk 1M")
        p = subprocess.run([IMG, "resize", "disk", "2M"], cwd=folder, text=True,
                           stderr=subprocess.PIPE, stdout=subprocess.PIPE)
        result("probing guessed raw" in p.stderr and
               "Fix: format=raw (-drive), -f raw" in p.stderr,
               "a guess is warned of, with the remedy", p.stderr)


def main():
    SIDES.extend([OURS] + ([PEER] if libqmp.peer_there() else []))
    both("qemu-io in the monitor", monitor_io,
         lambda s: "read 65536/65536 bytes at offset 0" in s[1])
    both("counts and histograms", figures,
         lambda s: s[2]["rd_operations"] == 4 and
         s[2]["wr_latency_histogram"]["bins"] == [3, 3] and
         s[4]["rd_latency_histogram"]["bins"] == [2, 0] and
         "wr_latency_histogram" not in s[6])
    both("write threshold", threshold,
         lambda s: len(s[-1]) == 3)
    for how in ("discard=unmap,detect-zeroes=unmap", "detect-zeroes=on",
                "detect-zeroes=off", "discard=ignore,detect-zeroes=on"):
        both(how, zeroes(how), lambda s: s[2] > 256)
    both("snapshot=on", temporary,
         lambda s: s[1] == b"\1\1\1\1" and s[3] == b"\0A\1A" and
         s[4] == b"\1\1\1\1")
    both("/dev/fdset", fdset, lambda s: s[1] == b"\0A\1A")
    both("auto-read-only", auto_ro)
    caches()
    warned()
    return libqmp.end()


sys.exit(main())
