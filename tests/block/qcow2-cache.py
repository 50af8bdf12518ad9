#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The caches of qcow2 size themselves: with default options the tables of a
fully allocated image of 64 GiB have room within 32 MiB, no memory is taken before
they are looked at, and query-named-block-nodes says how much of which limit."""

import json
import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, "tests")
from libschema import piped                                      # noqa: E402

BUILD = os.path.abspath(os.environ.get("BUILD", "build"))
TERN = os.environ.get("TERN") or BUILD + "/tern"
IMG = os.environ.get("TERN_IMG") or BUILD + "/tern-img"
IO = os.environ.get("TERN_IO") or BUILD + "/tern-io"
PATIENCE = 60 * int(os.environ.get("TERN_TEST_PATIENCE", "1"))
TABLES = 64 * 1024 // 64 * 1024 * 8    # 64 GiB in clusters of 64 KiB


def caches(folder, image, more=""):
    say = [{"execute": "qmp_capabilities"},
           {"execute": "query-named-block-nodes"}, {"execute": "quit"}]
    r = subprocess.run(
        [TERN, "-machine", "none", "-nodefaults", "-display", "none", "-qmp",
         "stdio", "-blockdev", "driver=qcow2,node-name=q,read-only=on,"
         "file.driver=file,file.read-only=on,file.filename=" +
         image + more],
        input="\n".join(json.dumps(x) for x in say) + "\n", cwd=folder,
        timeout=PATIENCE, stdout=subprocess.PIPE, text=True, check=True)
    for message in piped(TERN, say, r.stdout):
        answer = message.get("return")
        for node in answer if isinstance(answer, list) else []:
            if node["node-name"] == "q":
                return node["image"]["format-specific"]["data"]
    return {}


def unsafe_ok(folder):
    """With cache=unsafe no flush reaches the file, which would refuse it."""
    image = os.path.join(folder, "small")
    opts = ("driver=qcow2,file.driver=blkdebug,file.image.driver=file,"
            "file.inject-error.0.event=none,file.inject-error.0.iotype=flush,"
            "file.image.filename=" + image)
    done = {}
    for mode in ("unsafe", "writeback"):
        subprocess.run([IMG, "create", "-q", "-f", "qcow2", image, "64M"],
                       check=True, timeout=PATIENCE)
        done[mode] = subprocess.run(
            [IO, "-t", mode, "--image-opts", opts, "-c", "write 0 1M", "-c",
             "flush"], timeout=PATIENCE, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, check=False).returncode
        if mode == "unsafe":
            done["check"] = subprocess.run(
                [IMG, "check", "-q", image], timeout=PATIENCE,
                check=False).returncode
    if done != {"unsafe": 0, "check": 0, "writeback": 1}:
        print("#", done)
        return False
    return True


def main():
    if not os.path.exists(TERN):
        print("1..0 # SKIP the emulator is not built")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([IMG, "create", "-q", "-f", "qcow2", "-o",
                        "preallocation=metadata", "big", "64G"], cwd=folder,
                       check=True, timeout=PATIENCE)
        new = caches(folder, "big")
        told = caches(folder, "big", ",l2-cache-size=1M")
        unsafe = unsafe_ok(folder)
    ok = (TABLES <= new.get("l2-cache-size", 0) <= 32 << 20 and
          new["l2-cache-used"] == 0 and told["l2-cache-size"] == 1 << 20)
    if not ok:
        print("#", new, told)
    print("%sok 1 - the limit has room for 64 GiB, or is what was asked for" %
          ("" if ok else "not "))
    print("%sok 2 - cache=unsafe waits for no disk" % ("" if unsafe else "not "))
    print("1..2")
    return not (ok and unsafe)


sys.exit(main())
