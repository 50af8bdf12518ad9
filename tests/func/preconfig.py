#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""-preconfig: monitors answer before the machine is made, set-numa-node tells of
its nodes, x-exit-preconfig has it made. Where the installed qemu-system-x86_64 is
there, it gives the same answers."""

import os
import shutil
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, "tests")
import libtap                                                    # noqa: E402
from libtap import result                                        # noqa: E402
from libtern import TERN, Program                                # noqa: E402

PEER = os.environ.get("PEER") or shutil.which("qemu-system-x86_64")
PATIENCE = 60 * int(os.environ.get("TERN_TEST_PATIENCE", "1"))
ARGS = ["-accel", "tcg", "-machine", "pc", "-m", "64", "-smp", "2,sockets=2",
        "-display", "none", "-nodefaults", "-S", "-object",
        "memory-backend-ram,id=m0,size=32M", "-object",
        "memory-backend-ram,id=m1,size=32M", "-preconfig"]


def numa(**args):
    return ("set-numa-node", {k.replace("_", "-"): v for k, v in args.items()})


BEFORE = [
    ("query-status", {}), ("query-cpus-fast", {}), ("cont", {}),
    ("device_add", {"driver": "e1000"}),
    ("human-monitor-command", {"command-line": "info cpus"}),
    numa(type="node", nodeid=0, memdev="m0"),
    numa(type="node", nodeid=1, memdev="m1"),
    numa(type="node", nodeid=1), numa(type="foo"), numa(type="node", x=1),
    numa(type="dist", src=0, dst=1, val=20),
    numa(type="dist", src=0, dst=1, val=5),
    numa(type="cpu", node_id=0, socket_id=0),
    numa(type="cpu", node_id=1, socket_id=1),
    numa(type="cpu", node_id=9, socket_id=1),
]
AFTER = [("x-exit-preconfig", {}), numa(type="node", nodeid=2),
         ("query-status", {})]


def session(program):
    """What it answers, the nodes of its vCPUs, its exit status."""
    q = Program([program] + ARGS, PATIENCE)
    try:
        return conversation(q)
    finally:
        q.kill()


def conversation(q):
    said = [q.raw({"execute": n, "arguments": a}) for n, a in BEFORE]
    said.append(q.ask("x-exit-preconfig"))
    said += [q.raw({"execute": n, "arguments": a}) for n, a in AFTER]
    nodes = [c["props"].get("node-id") for c in q.cmd("query-cpus-fast")]
    q.ask("quit")
    return said, nodes, q.p.wait(PATIENCE)


def main():
    said, nodes, status = session(TERN)
    asked = [n for n, _ in BEFORE] + ["x-exit-preconfig"] + \
        [n for n, _ in AFTER]
    result(said[len(BEFORE)] == {"return": {}} and nodes == [0, 1] and
           status == 0, "the machine has the nodes that were told", nodes,
           status, said)
    if PEER:
        theirs = session(PEER)
        for name, a, b in zip(asked, said, theirs[0]):
            result(a == b, "as the peer: " + name, a, b)
        result(nodes == theirs[1], "as the peer: nodes", theirs[1])
    q = Program([TERN] + ARGS, PATIENCE)
    q.ask("quit")
    result(q.p.wait(PATIENCE) == 0, "quit instead of a machine")
    return libtap.end()


if __name__ == "__main__":
    sys.exit(main())
