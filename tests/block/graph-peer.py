#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Nodes, filters and locks with data: the same commands to tern-io and to the
installed qemu-io, on equal images. What they print (but for speeds), how they
end and what the images hold afterwards must be equal. Also locks: each program
refuses what the other has open. Skips where there is no peer."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, "tests")
import libtap                                                    # noqa: E402
from libtap import result                                        # noqa: E402

BUILD = os.path.abspath(os.environ.get("BUILD", "build"))
OURS = os.environ.get("TERN_IO") or BUILD + "/tern-io"
PEER = shutil.which("qemu-io")
IMG = shutil.which("qemu-img")
PATIENCE = 30 * int(os.environ.get("TERN_TEST_PATIENCE", "1"))


def run(argv, **more):
    return subprocess.run(argv, stdin=subprocess.DEVNULL, timeout=PATIENCE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, **more)


def normal(text):
    text = re.sub(r"\d{2}(:\d{2})*\.\d+ sec \([^)]*\)", "TIME", text)
    text = re.sub(r"\b(tern|qemu)-(io|img)\b", r"PROG-\2", text)
    text = re.sub(r".*\bProcess \d+ has it.*\n", "", text)
    return text


IMAGES = [
    ["create", "-q", "-f", "raw", "a.raw", "1M"],
    ["create", "-q", "-f", "raw", "b.raw", "1M"],
    ["create", "-q", "-f", "raw", "c.raw", "1049088"],
    ["create", "-q", "-f", "qcow2", "base.qcow2", "4M"],
    ["create", "-q", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2",
     "mid.qcow2", "4M"],
    ["create", "-q", "-f", "qcow2", "-b", "mid.qcow2", "-F", "qcow2",
     "top.qcow2", "5M"],
    ["create", "-q", "-f", "qcow2", "odd.qcow2", "1000448"],
]
FILL = [("base.qcow2", ["write -P 1 0 256k", "write -P 2 1M 70k"]),
        ("mid.qcow2", ["write -P 3 128k 64k", "write -z 1M 4k"])]


def images(folder):
    for argv in IMAGES:
        subprocess.run([IMG] + argv, cwd=folder, check=True)
    for name, lines in FILL:
        argv = [PEER, "-f", "qcow2"]
        for line in lines:
            argv += ["-c", line]
        subprocess.run(argv + [name], cwd=folder, check=True,
                       stdout=subprocess.DEVNULL)


def contents(folder):
    """What each image shows, and where its clusters are from."""
    out = {}
    for name in sorted(os.listdir(folder)):
        if name.endswith(".conf"):
            continue
        fmt = "qcow2" if name.endswith("qcow2") else "raw"
        m = run([IMG, "map", "-U", "-f", fmt, "--output=json", name],
                cwd=folder).stdout
        m = re.sub(r', "offset": \d+|"start": ', "", m) if fmt == "qcow2" else ""
        c = run([IMG, "convert", "-U", "-f", fmt, "-O", "raw", name,
                 folder + ".raw"], cwd=folder)
        with open(folder + ".raw", "rb") as f:
            out[name] = (m, c.stdout, f.read())
        os.unlink(folder + ".raw")
    return out


def case(name, argv, lines=(), compare_map=True):
    sides = []
    for prog in (OURS, PEER):
        with tempfile.TemporaryDirectory() as top:
            folder = top + "/images"
            os.mkdir(folder)
            images(folder)
            with open(folder + "/rules.conf", "w") as f:
                f.write('[inject-error]\nevent = "write_aio"\nerrno = "28"\n'
                        'once = "on"\nsector = "16"\n\n[set-state]\n'
                        'event = "read_aio"\nstate = "1"\nnew_state = "2"\n\n'
                        '[inject-error]\nevent = "read_aio"\nstate = "2"\n'
                        'immediately = "on"\n')
            full = [prog]
            for line in lines:
                full += ["-c", line]
            r = run(full + argv, cwd=folder)
            held = contents(folder)
            sides.append((normal(r.stdout + r.stderr).replace(top, "TOP"),
                          r.returncode,
                          held))
    a, b = sides
    result(a[0] == b[0] and a[1] == b[1], name + ": what is said",
           "ours (%d):\n%s" % (a[1], a[0]), "peer (%d):\n%s" % (b[1], b[0]))
    wrong = [n for n in b[2] if a[2][n][1:] != b[2][n][1:] or
             (compare_map and a[2][n][0] != b[2][n][0])]
    result(not wrong, name + ": what images hold", wrong,
           *[(a[2][n][0], b[2][n][0]) for n in wrong])


def opts(text):
    return ["--image-opts", text]


COR = "driver=copy-on-read,file.driver=qcow2,file.file.filename=top.qcow2"
COMPRESS = "driver=compress,file.driver=qcow2,file.file.filename=%s"
DEBUG = "driver=blkdebug,image.driver=file,image.filename=a.raw"
RAW = "driver=raw,file.driver=file,file.filename=a.raw"


def cases():
    case("copy-on-read", opts(COR),
         ["read -P 1 4k 4k", "read -P 3 128k 1k", "read -P 0 1M 4k",
          "read -P 2 1028k 4k", "read -P 0 3M 64k", "read -P 0 4M 512k",
          "write -P 9 2M 1k", "read -P 9 2M 1k", "read -P 1 0 128k",
          "flush", "map"])
    case("copy-on-read with a bottom", opts(
        COR + ",bottom=m,file.backing.driver=qcow2,file.backing.node-name=m,"
        "file.backing.file.filename=mid.qcow2"),
        ["read -P 1 0 64k", "read -P 3 128k 64k", "read -P 0 1M 4k"])
    case("copy-on-read flag", ["-C", "-f", "qcow2", "top.qcow2"],
         ["read -P 1 4k 4k", "read -P 3 128k 1k", "read 0 5M"], compare_map=False)
    case("compress", opts(COMPRESS % "top.qcow2"),
         ["write -P 5 0 64k", "write -P 6 100k 100k", "read -P 5 0 64k",
          "read -P 1 64k 36k", "read -P 6 100k 100k", "write -z 192k 64k",
          "flush"])
    case("blkverify, equal", opts("driver=blkverify,raw.driver=file,"
                                  "raw.filename=a.raw,test.driver=file,"
                                  "test.filename=b.raw"),
         ["write -P 5 0 64k", "read -P 5 0 64k", "discard 4k 4k", "flush",
          "read 0 1M"])
    case("blkverify by name", ["-f", "raw", "blkverify:a.raw:base.qcow2"],
         ["read 512k 64k", "read -q 0 1M"])
    case("raw with an offset", opts(RAW + ",offset=4096,size=8192"),
         ["write -P 5 0 8k", "write 8k 512", "read -P 5 0 8k", "read 8k 1",
          "length", "truncate 1M", "discard 0 4k"])
    case("raw with an offset alone", opts(RAW + ",offset=512"),
         ["write -P 5 0 8k", "length", "truncate 2M", "length"])
    for text in ("discard=unmap,detect-zeroes=unmap", "detect-zeroes=on",
                 "discard=unmap", "read-only=on", "cache.direct=on",
                 "cache.direct=on,file.aio=native",
                 "cache.direct=on,file.aio=io_uring", "cache.no-flush=on"):
        case("raw, " + text, opts(RAW + "," + text),
             ["write -P 5 0 64k", "write -P 0 4k 4k", "discard 16k 16k",
              "write -z 40k 4k", "write -P 7 100 100", "read -P 5 200 300",
              "read -P 7 100 100", "write -f -P 8 60k 8k", "flush",
              "aio_write -P 9 900k 10k", "aio_flush", "read -P 9 901k 1k"])
    for align in (1, 512, 4096):
        case("blkdebug, blocks of %d" % align,
             opts("driver=raw,file.driver=blkdebug,file.align=%d,"
                  "file.image.driver=file,file.image.filename=%s.raw,"
                  "file.max-transfer=65536" %
                  (align, "a" if align > 512 else "c")),
             ["write -P 1 0 100k", "write -P 2 1000 3000", "write -P 3 4095 2",
              "read -P 1 0 1000", "read -P 2 1000 3000", "read -P 3 4095 2",
              "read -P 1 4097 90000", "write -P 4 1048576 512",
              "read -P 4 1048576 512", "write -z 5000 10000",
              "read -P 0 5000 10000", "read -P 1 15000 100"],
             compare_map=False)
    case("blkdebug, faults once", opts(
        DEBUG.replace("driver=", "driver=raw,file.driver=", 1)
        .replace("image.", "file.image.") +
        ",file.inject-error.0.event=write_aio,file.inject-error.0.errno=28,"
        "file.inject-error.0.once=on,file.inject-error.1.event=none,"
        "file.inject-error.1.iotype=flush"),
        ["write 0 4k", "write 0 4k", "write 4k 4k", "flush", "read 0 4k"])
    case("blkdebug, a file of rules", ["-f", "raw",
                                       "blkdebug:rules.conf:a.raw"],
         ["write 0 4k", "write 8k 4k", "write 8k 4k", "read 0 4k",
          "read 0 4k", "read 4k 4k"])
    case("blkdebug, breakpoints", ["-f", "raw", "blkdebug::a.raw"],
         ["break write_aio A", "aio_write -P 5 0 4k", "wait_break A",
          "write -P 6 4k 4k", "resume A", "aio_flush", "read -P 5 0 4k",
          "remove_break A"])
    case("null", opts("driver=null-co,read-zeroes=on,size=65536"),
         ["write 0 4k", "read -P 0 0 4k", "length", "read 64k 1", "discard 0 4k",
          "map"])
    case("json:", ['json:{"driver":"raw","file":{"driver":"file","filename":'
                   '"a.raw"},"offset":512}'], ["write -P 5 0 4k", "length"])
    case("wrong json:", ['json:{"driver":'], ["length"])


# ---- locks


def hold(prog, argv, folder):
    p = subprocess.Popen([prog] + argv, cwd=folder, stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    p.stdin.write(b"length\n")
    p.stdin.flush()
    p.stdout.readline()
    return p


def locks():
    with tempfile.TemporaryDirectory() as folder:
        images(folder)
        for first, second in ((OURS, PEER), (PEER, OURS), (OURS, OURS)):
            for mine, yours, free in (
                    ([], [], False), ([], ["-r"], False), (["-r"], [], False),
                    (["-r"], ["-r"], True), ([], ["-r", "-U"], True),
                    (["-r", "-U"], [], True)):
                p = hold(first, mine + ["-f", "qcow2", "odd.qcow2"], folder)
                r = run([second, "-c", "length"] + yours +
                        ["-f", "qcow2", "odd.qcow2"], cwd=folder)
                p.stdin.close()
                p.wait(PATIENCE)
                ok = (r.returncode == 0) == free
                if second == OURS and not free:
                    ok &= ("process %d" % p.pid).lower() in (r.stdout + r.stderr).lower() \
                        and all(
                            x in r.stderr
                            for x in ("odd.qcow2", "lock", "force-share"))
                result(ok, "%s %s, then %s %s: %s" % (
                    os.path.basename(first), " ".join(mine),
                    os.path.basename(second), " ".join(yours),
                    "open" if free else "refused"), r.stdout, r.stderr)


def throttled():
    with tempfile.TemporaryDirectory() as folder:
        images(folder)
        began = time.monotonic()
        r = run([OURS, "--object", "throttle-group,id=g,x-bps-total=262144",
                 "--image-opts", "driver=throttle,throttle-group=g,"
                 "file.driver=file,file.filename=a.raw"] +
                sum((["-c", "write %dk 64k" % (64 * i)] for i in range(6)), []),
                cwd=folder)
        took = time.monotonic() - began
        # 384 KiB at 256 KiB a second, a tenth of a second's worth at once
        result(r.returncode == 0 and 1.0 < took < 4, "throttle holds back",
               took, r.stdout, r.stderr)


def compressed_end():
    """Parts of clusters, and an image whose end is not a cluster's."""
    with tempfile.TemporaryDirectory() as folder:
        images(folder)
        lines = ["write -P 5 950k 27k", "write -P 6 1000000 448",
                 "read -P 5 950k 1k", "read -P 6 1000000 448",
                 "write -P 7 917504 82944", "read -P 7 917504 82944",
                 "write -P 1 0 64k", "write -P 2 512 512", "read -P 2 512 512",
                 "read -P 1 1k 63k"]
        argv = sum((["-c", x] for x in lines), [])
        r = run([OURS] + argv + opts(COMPRESS % "odd.qcow2"), cwd=folder)
        c = run([IMG, "check", "odd.qcow2"], cwd=folder)
        result(r.returncode == 0 and c.returncode == 0 and
               "100.00% compressed" in c.stdout,
               "compress: parts of clusters, an odd end",
               r.stdout, r.stderr, c.stdout)


def main():
    if not PEER or not IMG or not os.path.exists(OURS):
        print("1..0 # SKIP no peer is installed")
        return 0
    cases()
    locks()
    throttled()
    compressed_end()
    return libtap.end()


sys.exit(main())
