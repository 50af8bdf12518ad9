#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# qcow2 images in turn in the hands of tern-img, tern-io and of the peer's
# tools: made by one, written, resized, snapshot, amended by either, with a
# flat file as model. After each turn the other one checks the image and
# compares it with the model. Arguments: seeds, or none for a few (with
# TEST_SLOW for many); a seed decides everything, so that a failure is seen
# again.

import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile

BUILD = os.environ.get("BUILD", "build")
PEER = os.path.dirname(shutil.which("qemu-img") or "")
OURS = os.path.abspath(os.path.join(BUILD, "compat"))
KiB, MiB = 1 << 10, 1 << 20
SECRET = ["--object", "secret,id=s0,data=sesame"]


class Fault(Exception):
    pass


def shown(cmd):
    return " ".join("'%s'" % c if " " in c else c for c in cmd)


def bitmaps_read(path, size):
    """{name: (flags, granularity, bits)} of an image; bits: one byte each."""
    with open(path, "rb") as f:
        data = f.read()
    cluster = 1 << struct.unpack(">I", data[20:24])[0]
    at = struct.unpack(">I", data[100:104])[0]
    found = {}
    while True:
        magic, n = struct.unpack(">II", data[at:at + 8])
        if not magic:
            return found
        if magic == 0x23852875:
            break
        at += 8 + (n + 7) // 8 * 8
    count, _, _, place = struct.unpack(">IIQQ", data[at + 8:at + 32])
    for _ in range(count):
        table, n, flags, kind, bits, name, extra = struct.unpack(
            ">QIIBBHI", data[place:place + 24])
        label = data[place + 24 + extra:place + 24 + extra + name].decode()
        place += (24 + extra + name + 7) // 8 * 8
        raw = b""
        for i in range(n):
            e = struct.unpack(">Q", data[table + 8 * i:table + 8 * i + 8])[0]
            off = e & ~0x1ff
            raw += (data[off:off + cluster].ljust(cluster, b"\0") if off else
                    (b"\xff" if e & 1 else b"\0") * cluster)
        total = -(-size // (1 << bits))
        found[label] = (flags, 1 << bits, bytes(
            raw[i // 8] >> i % 8 & 1 for i in range(total)))
    return found


class Image:
    def __init__(self, seed, folder):
        self.chance = random.Random(seed)
        self.folder = folder
        self.log = []
        self.snaps = {}
        self.bitmaps = {}              # name: [enabled, granularity, bits]
        self.size = 0
        self.opts = self.options()
        self.secret = "encrypt.format" in self.opts
        self.touched = False

    def path(self, name):
        return os.path.join(self.folder, name)

    # ---- commands

    def run(self, side, tool, args, may_fail=False):
        cmd = [os.path.join(side, "qemu-" + tool)] + args
        self.log.append(shown(cmd))
        for _ in range(20):
            p = subprocess.run(cmd, stdin=subprocess.DEVNULL, timeout=60,
                               stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT)
            # The peer cannot always measure the time a password takes.
            if b"Unable to get accurate CPU usage" not in p.stdout:
                break
        if p.returncode and not may_fail:
            raise Fault("status %d\n%s" % (p.returncode,
                                          p.stdout.decode(errors="replace")))
        return p

    def image(self, name="img"):
        """The image in words of --image-opts, with what goes before it."""
        key = ",encrypt.key-secret=s0" if self.secret else ""
        return (SECRET if self.secret else []) + [
            "--image-opts", "driver=qcow2%s,file.filename=%s" % (
                key, self.path(name))]

    def io(self, side, commands):
        args = ["-d", "unmap"]
        for c in commands:
            args += ["-c", c]
        p = self.run(side, "io", args + self.image())
        if b"failed" in p.stdout:
            raise Fault(p.stdout.decode(errors="replace"))

    def check(self, side):
        p = self.run(side, "img", ["check"] + self.image(), may_fail=True)
        if p.returncode not in (0, 3) or (p.returncode == 3 and
                                          not self.leaks_ok):
            raise Fault("check: status %d\n%s" % (
                p.returncode, p.stdout.decode(errors="replace")))

    def compare(self, side):
        args = ["compare"]
        if self.secret:
            args += SECRET
        args += ["--image-opts", self.image()[-1],
                 "driver=raw,file.filename=" + self.path("flat")]
        self.run(side, "img", args)

    # ---- what it is

    def options(self):
        c = self.chance
        o = {"cluster_size": 1 << c.choice([9, 10, 12, 12, 14, 15, 16, 16, 16,
                                            18, 21])}
        v2 = c.random() < 0.2
        if v2:
            o["compat"] = "0.10"
        else:
            o["refcount_bits"] = 1 << c.randrange(7)
            if o["cluster_size"] >= 16384 and c.random() < 0.4:
                o["extended_l2"] = "on"
            if c.random() < 0.3:
                o["lazy_refcounts"] = "on"
            if c.random() < 0.4:
                o["compression_type"] = "zstd"
            if c.random() < 0.15:
                o["data_file"] = self.path("data")
                if c.random() < 0.5:
                    o["data_file_raw"] = "on"
        self.backed = "data_file_raw" not in o and c.random() < 0.35
        if not self.backed or "extended_l2" in o:
            o["preallocation"] = c.choice(["off", "off", "off", "metadata",
                                           "falloc", "full"])
        if c.random() < 0.15:
            o["encrypt.format"] = c.choice(["luks", "luks", "aes"])
            o["encrypt.key-secret"] = "s0"
            if o["encrypt.format"] == "luks":
                o["encrypt.iter-time"] = 10
        self.leaks_ok = False
        return o

    def make(self, side):
        c = self.chance
        self.size = c.choice([1, 2, 3]) * MiB + c.randrange(8) * 512
        args = ["create", "-q", "-f", "qcow2"]
        if self.secret:
            args += SECRET
        args += ["-o", ",".join("%s=%s" % x for x in self.opts.items())]
        flat = bytearray(self.size)
        if self.backed:
            n = c.randrange(1, self.size + MiB) // 512 * 512 + 512
            base = bytes(i // 512 * 7 & 255 for i in range(0, n, 8)) * 8
            base = base[:n]
            with open(self.path("base"), "wb") as f:
                f.write(base)
            args += ["-F", "raw", "-b", self.path("base")]
            k = min(n, self.size)
            flat[:k] = base[:k]
        self.run(side, "img", args + [self.path("img"), str(self.size)])
        with open(self.path("flat"), "wb") as f:
            f.write(flat)
        if side == PEER and self.secret:
            self.adopt()               # preallocated: what zeroes decrypt to

    # ---- what is done to it

    def place(self, unit=1):
        c = self.chance
        n = 1 + c.randrange(c.choice([600, 5000, 70000, 400000]))
        n = max(unit, n // unit * unit)
        n = min(n, self.size // unit * unit)
        off = c.randrange(self.size - n + 1) // unit * unit
        return off, n

    def requests(self, side):
        """A turn of writes; the model follows."""
        c = self.chance
        cs = self.opts["cluster_size"]
        commands, adopt = [], False
        with open(self.path("flat"), "r+b") as f:
            for _ in range(c.randrange(1, 14)):
                kind = c.choice(["write", "write", "write", "zero", "unmap",
                                 "discard", "squeeze", "flush"])
                off, n = self.place(c.choice([1, 512, 4096]))
                byte = c.randrange(1, 256)
                if kind == "squeeze":
                    # The peer's refuses clusters that are allocated.
                    if "data_file" in self.opts or self.secret or \
                       self.size < cs or (side == PEER and (
                           self.touched or commands or self.backed or
                           self.opts.get("preallocation", "off") != "off")):
                        continue
                    off, n = self.place(cs)
                    commands.append("write -c -P %d %d %d" % (byte, off, n))
                elif kind == "write":
                    commands.append("write %s-P %d %d %d" % (
                        "-f " if c.random() < 0.1 else "", byte, off, n))
                elif kind in ("zero", "unmap"):
                    commands.append("write -z %s%d %d" % (
                        "-u " if kind == "unmap" else "", off, n))
                    byte = 0
                elif kind == "flush":
                    commands.append("flush")
                    continue
                else:
                    off, n = self.place(512)
                    commands.append("discard %d %d" % (off, n))
                    # What it reads as now depends on the layout.
                    adopt = True
                    self.dirty(off, n)
                    break
                f.seek(off)
                f.write(bytes([byte]) * n)
                self.dirty(off, n)
        self.io(side, commands)
        self.touched = True
        if adopt:
            self.adopt()

    def adopt(self):
        """The peer says what the image holds."""
        args = ["convert"]
        if self.secret:
            args += SECRET
        self.run(PEER, "img", args + ["--image-opts", "-O", "raw",
                                      self.image()[-1], self.path("flat")])

    def snapshot(self, side):
        c = self.chance
        if "data_file" in self.opts or self.secret:
            return
        what = c.choice(["-c", "-c", "-a", "-d"])
        if what == "-c":
            # With few bits the peer's leaves references behind.
            if self.opts.get("refcount_bits", 16) < 8 or len(self.snaps) > 3:
                return
            name = "s%d" % c.randrange(1000)
            if name in self.snaps:
                return
        elif not self.snaps:
            return
        else:
            name = c.choice(sorted(self.snaps))
            if what == "-a" and self.bitmaps and \
               self.snaps[name] != self.size:
                return                 # refused
        self.run(side, "img", ["snapshot", "-q", what, name,
                               self.path("img")])
        if what == "-c":
            shutil.copy(self.path("flat"), self.path("flat-" + name))
            self.snaps[name] = self.size
        elif what == "-a":
            shutil.copy(self.path("flat-" + name), self.path("flat"))
            self.size = self.snaps[name]
            self.bits_resize()
        else:
            del self.snaps[name]

    def resize(self, side):
        c = self.chance
        size = self.size + c.randrange(-1500, 3000) * 512
        if size <= 4 * KiB or self.backed or \
           (self.snaps and (self.opts.get("compat") or size < self.size)):
            return
        args = ["resize", "-q", "--shrink"]
        if size > self.size and c.random() < 0.3:
            args += ["--preallocation=" + c.choice(["metadata", "falloc",
                                                    "full"])]
        self.run(side, "img", args + self.image() + [str(size)])
        os.truncate(self.path("flat"), size)
        self.size = size
        self.bits_resize()
        if side == PEER:
            self.adopt()               # what a cluster's end held may be back

    # ---- dirty bitmaps

    def dirty(self, off, n):
        for b in self.bitmaps.values():
            if b[0] and n:
                first, last = off // b[1], (off + n - 1) // b[1]
                b[2][first:last + 1] = b"\1" * (last + 1 - first)

    def bits_resize(self):
        for b in self.bitmaps.values():
            n = -(-self.size // b[1])
            b[2] = b[2][:n].ljust(n, b"\0")

    def bitmap(self, side):
        c = self.chance
        if self.opts.get("compat") or self.secret:
            return
        what = c.choice(["--add", "--add", "--add", "--remove", "--clear",
                         "--enable", "--disable", "--merge"])
        names = sorted(self.bitmaps)
        if what == "--add":
            if len(names) > 3:
                return
            name = "b%d" % c.randrange(100000)
            g = 1 << c.choice([9, 10, 12, 16, 18, 21])
            args = [what, "-g", str(g)]
            self.bitmaps[name] = [True, g, bytearray(-(-self.size // g))]
        elif not names:
            return
        else:
            name = c.choice(names)
            b = self.bitmaps[name]
            args = [what]
            if what == "--remove":
                del self.bitmaps[name]
            elif what == "--clear":
                b[2] = bytearray(len(b[2]))
            elif what == "--merge":
                other = c.choice(names)
                args += [other]
                was = b[0]
                b[0] = True
                o = self.bitmaps[other]
                mine = self.bitmaps
                self.bitmaps = {name: b}
                for i, bit in enumerate(bytes(o[2])):
                    if bit:
                        self.dirty(i * o[1], min(o[1], self.size - i * o[1]))
                self.bitmaps = mine
                b[0] = was
            else:
                b[0] = what == "--enable"
        self.run(side, "img", ["bitmap"] + args + ["-f", "qcow2",
                                                  self.path("img"), name])

    def bitmaps_check(self):
        found = bitmaps_read(self.path("img"), self.size)
        want = {n: (2 if b[0] else 0, b[1], bytes(b[2]))
                for n, b in self.bitmaps.items()}
        for name in set(found) | set(want):
            a, b = found.get(name), want.get(name)
            if a != b:
                what = "there: %s" % (a,) if not b else \
                    "missing" if not a else "flags %d for %d" % (a[0], b[0]) \
                    if a[0] != b[0] else "bit %d" % [
                        i for i in range(len(b[2])) if a[2][i] != b[2][i]][0]
                raise Fault("bitmap %s: %s" % (name, what))

    def amend(self, side):
        c = self.chance
        if self.opts.get("compat") or self.secret:
            return
        what = c.choice(["lazy_refcounts=on", "lazy_refcounts=off", "bits"])
        if what == "bits":
            side = OURS                # the peer's does not always end
            bits = 1 << c.randrange(1 if not self.snaps else 4, 7)
            what = "refcount_bits=%d" % bits
            p = self.run(side, "img", ["amend", "-f", "qcow2", "-o", what,
                                       self.path("img")], may_fail=True)
            if not p.returncode:
                self.opts["refcount_bits"] = bits
            elif bits > 8:
                raise Fault(p.stdout.decode(errors="replace"))
            return
        self.run(side, "img", ["amend", "-f", "qcow2", "-o", what,
                               self.path("img")])

    def downgrade(self):
        """To version 2, snapshots and all, where that is possible."""
        if self.opts.get("compat") or self.secret:
            return
        p = self.run(OURS, "img", ["amend", "-f", "qcow2", "-o",
                                   "compat=0.10", self.path("img")],
                     may_fail=True)
        text = p.stdout.decode(errors="replace")
        if p.returncode and "downgrade" not in text and \
                "refcount_bits=16" not in text:
            raise Fault(text)
        self.check(PEER)
        self.compare(PEER)

    def turn(self, side, other):
        c = self.chance
        what = c.choice([self.requests, self.requests, self.requests,
                         self.snapshot, self.resize, self.amend,
                         self.bitmap])
        what(side)
        if not self.opts.get("compat"):
            self.bitmaps_check()
        self.check(other)
        self.compare(other)

    def life(self, turns):
        sides = [PEER, OURS]
        self.chance.shuffle(sides)
        self.make(sides[0])
        self.check(sides[1])
        self.compare(sides[1])
        for _ in range(turns):
            self.chance.shuffle(sides)
            self.turn(*sides)
        self.downgrade()
        self.check(OURS)
        self.compare(OURS)
        for name in sorted(self.snaps):
            self.view(name)

    def view(self, name):
        """A snapshot's contents, shown without going to it."""
        shown = []
        for side in (PEER, OURS):
            self.run(side, "img", ["convert", "-l", "snapshot.name=" + name,
                                   "-f", "qcow2", "-O", "raw",
                                   self.path("img"), self.path("shown")])
            with open(self.path("shown"), "rb") as f:
                shown.append(f.read())
        with open(self.path("flat-" + name), "rb") as f:
            was = f.read()
        n = min(len(was), len(shown[0]))
        if shown[0] != shown[1] or shown[1][:n] != was[:n]:
            raise Fault("snapshot %s differs" % name)


def one(seed, turns):
    folder = tempfile.mkdtemp(prefix="qcow2-peer-")
    keep = os.environ.get("KEEP")
    image = Image(seed, folder)
    try:
        image.life(turns)
        return True
    except (Fault, subprocess.TimeoutExpired) as e:
        print("# seed %d, %s" % (seed, image.opts))
        for line in image.log[-60:] if not keep else image.log:
            print("# " + line.replace(folder, "D"))
        print("# " + str(e).replace("\n", "\n# ").replace(folder, "D"))
        return False
    finally:
        if keep:
            print("# in " + folder)
        else:
            shutil.rmtree(folder)


def zeroes_of_snapshots(over):
    """Version 2 says what snapshots and the image said: zero clusters of each
    kind, in tables of one, of several, and that the image shares."""
    folder = tempfile.mkdtemp(prefix="qcow2-peer-")
    names = ["", "a", "b", "c"]

    def run(side, tool, *args):
        subprocess.run([os.path.join(side, "qemu-" + tool)] + list(args),
                       check=True, cwd=folder, timeout=60,
                       stdout=subprocess.DEVNULL)

    def views(prefix):
        found = []
        for n in names:
            run(PEER, "img", "convert", *(["-l", n] if n else []), "-O", "raw",
                "img", prefix + n)
            with open(os.path.join(folder, prefix + n), "rb") as f:
                found.append(f.read())
        return found

    def write(*commands):
        run(PEER, "io", *[x for c in commands for x in ("-c", c)], "img")

    try:
        with open(os.path.join(folder, "base"), "wb") as f:
            f.write(b"base" * (MiB // 2))
        run(PEER, "img", "create", "-q", "-f", "qcow2", "-o",
            "cluster_size=4k", *(["-F", "raw", "-b", "base"] if over else []),
            "img", "4M")
        write("write -P 1 0 2M", "write -z 1M 512k", "write -z -u 600k 80k",
              "write -z 3M 256k")
        run(PEER, "img", "snapshot", "-c", "a", "img")
        run(PEER, "img", "snapshot", "-c", "b", "img")
        write("write -P 2 1200k 300k", "write -z 100k 64k")
        run(PEER, "img", "snapshot", "-c", "c", "img")
        was = views("was")
        run(OURS, "img", "amend", "-o", "compat=0.10", "img")
        for side in (PEER, OURS):
            run(side, "img", "check", "img")
        good = views("is") == was
        for n in names[1:]:
            run(PEER, "img", "snapshot", "-d", n, "img")
        run(PEER, "img", "check", "img")
        return good
    except subprocess.CalledProcessError as e:
        print("# " + shown(e.cmd) + ": status %d" % e.returncode)
        return False
    finally:
        shutil.rmtree(folder)


def main():
    slow = os.environ.get("TEST_SLOW")
    seeds = [int(x) for x in sys.argv[1:]] or \
        list(range(1, 200 if slow else 9))
    if not PEER:
        print("1..1\nok 1 - qcow2-peer # SKIP no qemu-img to compare with")
        return
    print("1..%d" % (len(seeds) + 2))
    for i, seed in enumerate(seeds):
        good = one(seed, 30 if slow else 12)
        print("%sok %d - images by both programs, seed %d" % (
            "" if good else "not ", i + 1, seed), flush=True)
    for i, over in enumerate((False, True)):
        print("%sok %d - version 2 with snapshots%s" % (
            "" if zeroes_of_snapshots(over) else "not ", len(seeds) + i + 1,
            ", over a base" if over else ""))


main()
