#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a disk's failed requests lead to, by werror= and rerror=: a guest writes
and reads by PIO over a blkdebug node that fails once; the machine stops or not,
events, query-block's io-status, and after "cont" the request is done again. The
same is asked of the installed peer, and must end alike. Without a peer what is
expected of ours is still checked."""

import os
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import libqmp                                                    # noqa: E402
from libqmp import DISK, OURS, PEER, Machine, result             # noqa: E402


def story(prog, write, policy, err):
    with tempfile.TemporaryDirectory() as folder:
        with open(folder + "/disk", "wb") as f:
            f.truncate(1 << 20)
        m = Machine(prog, folder, [
            "-drive", "if=none,id=d,driver=raw,file.driver=blkdebug,"
            "file.image.driver=file,file.image.filename=disk,"
            "file.inject-error.0.event=%s,file.inject-error.0.errno=%d,"
            "file.inject-error.0.once=on,file.inject-error.0.sector=8,%s" % (
                "write_aio" if write else "read_aio", err, policy)] + DISK)
        out = [("before", m.state())]
        status = m.transfer(write)
        state = m.state()
        if state[0] != "running":
            status = 0                 # no guest sees it
        out += [("status %#x" % (status & 0xc9), state), m.told()]
        if m.qmp("query-status")["status"] == "io-error":
            m.qmp("cont")
            status = m.wait(0x80, 0)
            out += [("after cont %#x" % (status & 0xc9), m.state()), m.told()]
        m.end()
        with open(folder + "/disk", "rb") as f:
            f.seek(4096)
            out.append(f.read(4))
        return out


def expected(write, policy, err, got):
    """What must be so, whoever says so."""
    stops = policy.endswith("stop") or (policy.endswith("enospc") and err == 28)
    text = str(got)
    ok = ("io-error" in text) == stops and \
        ("BLOCK_IO_ERROR" in text)
    if write:
        ok &= (got[-1] == b"\0A\1A") == stops
    return ok


def main():
    peer = libqmp.peer_there()
    for write in (True, False):
        for policy in ("stop", "report", "ignore", "enospc"):
            if policy == "enospc" and not write:
                continue
            for err in (5, 28):
                opt = "%s=%s" % ("werror" if write else "rerror", policy)
                name = "%s, errno %d" % (opt, err)
                a = story(OURS, write, opt, err)
                result(expected(write, opt, err, a), name, a)
                if peer:
                    b = story(PEER, write, opt, err)
                    result(a == b, name + ": as the peer", a, b)
    return libqmp.end()


sys.exit(main())
