# SPDX-License-Identifier: GPL-2.0-or-later
"""One table of what the programs of this folder wrote to FOLDER/bench-*.json.
usage: libtable.py FOLDER"""
import glob
import json
import os
import sys


def lines(name, data):
    """Rows are "row, figure": a median for each side that was measured."""
    for key, medians in data["rows"].items():
        at = dict(zip(data["sides"], medians))
        row, figure = key.rsplit(", ", 1)
        ours, peers = at.get("tern"), at.get("peer")
        yield [name, row, figure] + [
            "" if v is None else "%.1f" % v for v in (ours, peers)] + [
            "%.2f" % (ours / peers) if ours and peers else ""]


def main(folder):
    rows = [["", "what", "figure", "tern", "peer", "ratio"]]
    for path in sorted(glob.glob(folder + "/bench-*.json")):
        with open(path, encoding="utf-8") as f:
            name = os.path.basename(path)[len("bench-"):-len(".json")]
            rows += lines(name, json.load(f))
    width = [max(len(r[k]) for r in rows) for k in range(6)]
    for r in rows:
        print("  ".join(c.ljust(width[k]) if k < 3 else c.rjust(width[k])
                        for k, c in enumerate(r)).rstrip())


if __name__ == "__main__":
    main(sys.argv[1])
