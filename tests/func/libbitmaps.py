# SPDX-License-Identifier: GPL-2.0-or-later
"""Dirty bitmaps, for tests/func/block-peer.py: those of nodes and those that
qcow2 images keep, with what writes between do to them. As libsessions.py."""

from peer import hmp, q

NODES = q("query-named-block-nodes")
BLOCK = q("query-block")


def bm(what, node, name=None, **more):
    if name is not None:
        more["name"] = name
    return q("block-dirty-bitmap-" + what, node=node, **more)


def sha(node, name):
    return q("x-debug-block-dirty-bitmap-sha256", node=node, name=name)


def io(line, node="n"):
    return hmp('qemu-io %s "%s"' % (node, line))


def merge(node, target, *sources):
    return q("block-dirty-bitmap-merge", node=node, target=target,
             bitmaps=list(sources))


def action(kind, **args):
    return {"type": "block-dirty-bitmap-" + kind,
            "data": {k.replace("_", "-"): v for k, v in args.items()}}


def transaction(*actions):
    return q("transaction", actions=list(actions))


BITMAPS = [
    NODES,
    # refused
    bm("add", "n"), bm("add", "nonesuch", "b"), bm("add", "n", ""),
    bm("add", "n", "b", granularity=3), bm("add", "n", "b", granularity=0),
    bm("add", "n", "b", granularity=256),
    bm("add", "n", "b", granularity=1 << 31),
    bm("add", "n", "x" * 1024), bm("add", "n", "x" * 1024, persistent=True),
    bm("add", "n", "b", nonesuch=1),
    bm("add", "r", "b", persistent=True), bm("add", "o", "b", persistent=True),
    bm("remove", "n", "nonesuch"), bm("clear", "n", "nonesuch"),
    bm("enable", "n", "nonesuch"), bm("disable", "n", "nonesuch"),
    bm("remove", "nonesuch", "b"), merge("n", "nonesuch", "b"),
    # of the node alone
    bm("add", "n", "b"), bm("add", "n", "b"), bm("add", "n", "d",
                                                 disabled=True),
    bm("add", "n", "g", granularity=4096),
    bm("add", "n", "p", persistent=True),
    bm("add", "n", "pd", persistent=True, disabled=True, granularity=512),
    bm("add", "n", "p2", persistent=True, granularity=2 << 20),
    bm("add", "r", "rb"), bm("add", "o", "ob"), NODES, BLOCK,
    io("write -q 0 1k"), io("write -q 1M 100k"), io("discard -q 3M 64k"),
    io("write -q -z 5M 70k"), NODES, BLOCK,
    *[sha("n", b) for b in ("b", "d", "g", "p", "pd", "p2", "nonesuch")],
    bm("disable", "n", "g"), bm("disable", "n", "g"), bm("enable", "n", "d"),
    bm("disable", "n", "p"), io("write -q 2M 64k"), NODES,
    bm("clear", "n", "b"), bm("clear", "n", "g"), NODES,
    # merged: other granularities, other nodes
    merge("n", "g", "d", "p"), merge("n", "d", "p2"), merge("n", "p2", "g"),
    merge("n", "pd", "g"),
    merge("n", "g", "nonesuch"), merge("n", "g", "g"),
    merge("n", "g", {"node": "r", "name": "rb"}),
    merge("n", "g", {"node": "nonesuch", "name": "rb"}), NODES,
    *[sha("n", b) for b in ("b", "d", "g", "p", "pd", "p2")],
    # all or nothing
    transaction(action("add", node="n", name="t"),
                action("clear", node="n", name="g"),
                action("merge", node="n", target="t", bitmaps=["p"]),
                action("disable", node="n", name="b")), NODES,
    # the peer does not survive one of two actions that fails
    transaction(action("remove", node="n", name="t"),
                action("enable", node="n", name="b")), NODES,
    transaction(), transaction(action("nonesuch", node="n", name="b")),
    bm("remove", "n", "b"), bm("remove", "n", "p2"), NODES,
    # sizes
    q("block_resize", node_name="n", size=12 << 20),
    q("block_resize", node_name="n", size=6 << 20), NODES,
    sha("n", "g"), sha("n", "p"),
    # stored, and there again
    q("blockdev-snapshot-internal-sync", device="n", name="s"),
    io("write -q 100k 1k"), NODES,
    q("blockdev-reopen", options=[{"driver": "qcow2", "node-name": "n",
                                   "file": "f", "read-only": True}]), NODES,
    bm("clear", "n", "p"), bm("enable", "n", "p"), bm("remove", "n", "p"),
    bm("add", "n", "late"), bm("add", "n", "late2", persistent=True), NODES,
    q("blockdev-reopen", options=[{"driver": "qcow2", "node-name": "n",
                                   "file": "f", "read-only": False}]), NODES,
    io("write -q 200k 1k"), NODES,
    q("blockdev-del", node_name="n"),
    q("blockdev-add", driver="qcow2", node_name="n", file="f"), NODES,
    *[sha("n", b) for b in ("p", "pd")],
    bm("enable", "n", "p"), bm("add", "n", "again", persistent=True),
    bm("add", "n", "gone"), io("write -q 300k 1k"), NODES,
    q("blockdev-del", node_name="n"),
    q("blockdev-add", driver="qcow2", node_name="n", file="f",
      read_only=True), NODES, *[sha("n", b) for b in ("p", "again")],
    bm("remove", "n", "p"), q("blockdev-del", node_name="n"),
]

SESSION = (["-machine", "none",
            "-blockdev", "driver=file,node-name=f,filename=n.qcow2",
            "-blockdev", "driver=qcow2,node-name=n,file=f",
            "-blockdev", "driver=raw,node-name=r,file.driver=file,"
                         "file.filename=a.raw",
            "-blockdev", "driver=qcow2,node-name=o,file.driver=file,"
                         "file.filename=old.qcow2"],
           ["create -q -f qcow2 n.qcow2 10M", "create -q -f raw a.raw 1M",
            "create -q -f qcow2 -o compat=0.10 old.qcow2 1M"], BITMAPS)
