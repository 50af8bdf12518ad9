#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A disk in an iothread whose NBD server, asked by TLS, dies and comes again:
the connection is made anew by that thread, and what was asked is done."""
import os
import shutil
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, "tests")
from libtern import Folder, Machine, TERN_IMG, skip_all, x509_files  # noqa: E402

NBD = os.path.abspath(os.environ.get("TERN_NBD", "build/tern-nbd"))
results = []


def check(name, ok, got=""):
    results.append(bool(ok))
    if not ok:
        print("# %s" % str(got))
    print("%s %d - %s" % ("ok" if ok else "not ok", len(results), name),
          flush=True)


def serve(top, *tls):
    """Listens when it returns."""
    path = top + "/sock"
    if os.path.exists(path):
        os.unlink(path)
    p = subprocess.Popen([NBD, "-t", "-k", path, "-f", "raw", *tls,
                          top + "/disk"], stdin=subprocess.DEVNULL)
    end = time.time() + 60
    while not os.path.exists(path) and time.time() < end:
        time.sleep(0.02)
    return p


def come_back(top, secure):
    name = "by TLS" if secure else "plain"
    tls = ("--object", "tls-creds-x509,id=t,endpoint=server,dir=" + top,
           "--tls-creds", "t") if secure else ()
    server = serve(top, *tls)
    m = Machine("-accel", "qtest", "-nodefaults", "-display", "none",
                "-object", "iothread,id=io", "-object",
                "tls-creds-x509,id=c,endpoint=client,dir=" + top, "-blockdev",
                "driver=nbd,node-name=n,reconnect-delay=60,server.type=unix,"
                "server.path=%s/sock%s" % (
                    top, ",tls-creds=c,tls-hostname=127.0.0.1" if secure else ""),
                "-device", "virtio-blk-pci,id=d,drive=n,iothread=io")
    with m:
        def reads():
            """What it says is on its standard output, as the peer's."""
            m.hmp("qemu-io -d /machine/peripheral/d/virtio-backend "
                  "\"read 0 64k\"")
            s = m.cmd("query-blockstats")[0]["stats"]
            return s["rd_operations"], s["failed_rd_operations"]

        first, failed = reads()
        check(name + ": reads", first and not failed, (first, failed))
        for turn in range(3):
            server.kill()
            server.wait()
            server = serve(top, *tls)
            got = reads()
            check("%s: reads after loss %d" % (name, turn + 1),
                  got == (first + turn + 1, 0), got)
        check(name + ": ends", m.quit() == 0, m.errors())
    server.kill()
    server.wait()


def main():
    if not shutil.which("openssl"):
        skip_all("no openssl")
    with Folder("tern-nbd") as top:
        x509_files(top)
        subprocess.run([TERN_IMG, "create", "-q", "-f", "raw", top + "/disk",
                        "1M"], check=True)
        come_back(top, False)
        come_back(top, True)
    print("1..%d" % len(results))
    return 0 if all(results) else 1


sys.exit(main())
