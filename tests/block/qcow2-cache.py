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

BUILD = os.path.abspath(os.environ.get("BUILD", "build"))
TERN = os.environ.get("TERN") or BUILD + "/tern"
IMG = os.environ.get("TERN_IMG") or BUILD + "/tern-img"
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
    for line in r.stdout.splitlines():
        answer = json.loads(line).get("return")
        for node in answer if isinstance(answer, list) else []:
            if node["node-name"] == "q":
                return node["image"]["format-specific"]["data"]
    return {}


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
    ok = (TABLES <= new.get("l2-cache-size", 0) <= 32 << 20 and
          new["l2-cache-used"] == 0 and told["l2-cache-size"] == 1 << 20)
    if not ok:
        print("#", new, told)
    print("%sok 1 - the limit has room for 64 GiB, or is what was asked for" %
          ("" if ok else "not "))
    print("1..1")
    return not ok


sys.exit(main())
