#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# LUKS images with each cipher, mode, way to make initial vectors and hash: made
# and written by tern-img and tern-io, read by the peer's tools, and the other way
# round; both refuse the same combinations with the same words. Key slots are
# added by one and used by the other.

import os
import re
import shutil
import subprocess
import sys
import tempfile

BUILD = os.path.abspath(os.environ.get("BUILD", "build"))
OURS = BUILD + "/compat"
PEER = os.path.dirname(shutil.which("qemu-img") or "")
PATIENCE = 60 * int(os.environ.get("TERN_TEST_PATIENCE", "1"))
# libgcrypt has no twofish-192; the peer falls over its own with 192 bits
CIPHERS = ["aes-128", "aes-192", "aes-256", "serpent-128", "serpent-256",
           "twofish-128", "twofish-256", "cast5-128", "des", "3des", "nonesuch"]
MODES = ["xts", "cbc", "ecb", "ctr", "nonesuch"]
IVGENS = ["plain", "plain64", "essiv", "nonesuch"]
HASHES = ["md5", "sha1", "sha224", "sha256", "sha384", "sha512", "ripemd160",
          "nonesuch"]
ROWS = [{"cipher-alg": c} for c in CIPHERS] + \
    [{"cipher-alg": c, "cipher-mode": "cbc", "ivgen-alg": "plain64"}
     for c in CIPHERS[3:-1]] + \
    [{"cipher-mode": m} for m in MODES] + \
    [{"ivgen-alg": i, "cipher-mode": "cbc"} for i in IVGENS] + \
    [{"ivgen-alg": "essiv", "ivgen-hash-alg": h, "cipher-mode": "cbc"}
     for h in HASHES] + \
    [{"hash-alg": h} for h in HASHES] + \
    [{"ivgen-hash-alg": "sha256"}, {"iter-time": "0"}, {"iter-time": "x"},
     {"preallocation": "full"}, {"preallocation": "metadata"},
     {"preallocation": "nonesuch"}, {"key-secret": "nonesuch"}]
KEYS = ["--object", "secret,id=s,data=abc", "--object", "secret,id=t,data=def"]


made = []                              # not refused


def run(side, folder, tool, *args):
    words = list(args[:1]) + KEYS + list(args[1:]) if tool == "img" else \
        KEYS + list(args)
    p = subprocess.run([side + "/qemu-" + tool] + words, text=True, cwd=folder,
                       stdin=subprocess.DEVNULL, timeout=PATIENCE,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    text = re.sub(r"^(qemu|tern)-(img|io): ([ab]: )?", "", p.stdout, flags=re.M)
    return p.returncode, re.sub(r"ops; .*", "ops; TIME", text)


def timed(*args):
    """Run again where the host was too loaded to time the password."""
    for _ in range(30):
        got = run(*args)
        if "accurate CPU" not in got[1]:
            break
    return got


def make(side, folder, name, row):
    opts = dict({"key-secret": "s", "iter-time": "10"}, **row)
    return timed(side, folder, "img", "create", "-q", "-f", "luks", "-o",
                 ",".join("%s=%s" % x for x in opts.items()), name, "1M")


def image(name, key="s"):
    return ["--image-opts", "driver=luks,file.filename=%s,key-secret=%s" % (
        name, key)]


def one(folder, row):
    said = [make(s, folder, n, row) for s, n in ((OURS, "a"), (PEER, "b"))]
    if said[0] != said[1]:
        return said
    if said[0][0]:
        return None
    made.append(row)
    for maker, other, name in ((OURS, PEER, "a"), (PEER, OURS, "b")):
        w = run(maker, folder, "io", "-c", "write -P 5 0 64k", "-c",
                "write -P 6 100k 1k", *image(name))
        r = run(other, folder, "io", "-c", "read -P 5 0 64k", "-c",
                "read -P 6 100k 1k", "-c", "write -P 7 512k 512",
                *image(name))
        b = run(maker, folder, "io", "-c", "read -P 7 512k 512", *image(name))
        if w[0] or r[0] or b[0] or "failed" in w[1] + r[1] + b[1]:
            return [name, w, r, b]
        # its own key slot more, opened by the other
        a = timed(maker, folder, "img", "amend", "-q", "-o",
                  "state=active,new-secret=t,iter-time=10", *image(name))
        r = run(other, folder, "io", "-c", "read -P 5 0 64k", *image(name, "t"))
        d = run(other, folder, "img", "amend", "-q", "-o",
                "state=inactive,keyslot=0", *image(name, "t"))
        x = run(maker, folder, "io", "-c", "read 0 64k", *image(name))
        if a[0] or r[0] or d[0] or "failed" in r[1] or not x[0]:
            return [name, a, r, d, x]
    info = [re.sub(r"(uuid: .*|iters: .*|disk size: .*|image: .)", "", run(
        OURS, folder, "img", "info", n)[1]) for n in "ab"]
    return None if info[0] == info[1] else info


def main():
    if not PEER:
        print("1..0 # SKIP no qemu-img to compare with")
        return 0
    bad = 0
    print("1..%d" % (len(ROWS) + 1))
    for n, row in enumerate(ROWS):
        with tempfile.TemporaryDirectory(prefix="luks-peer-") as folder:
            wrong = one(folder, row)
        bad += bool(wrong)
        for x in wrong or []:
            print("# " + str(x).replace("\n", "\n# "))
        print("%sok %d - %s" % ("not " if wrong else "", n + 1, ",".join(
            "%s=%s" % x for x in row.items())), flush=True)
    enough = len(made) > 30
    print("%sok %d - most are made" % ("" if enough else "not ", len(ROWS) + 1))
    return bad > 0 or not enough


sys.exit(main())
