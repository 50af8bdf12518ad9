#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/guides.md and the other pages: each test that they name exists, is one
that the runner starts (or belongs to one), and has the words that stand behind
the colon; each row of the table has a state, and what works names its tests."""
import glob
import os
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, "tests")
from libtap import end, result

TABLE = "docs/guides.md"
NAMED = re.compile(r"`(tests/[\w./-]+?)(?:: ([^`]+))?`")


def fault(path, words):
    """What is wrong with a test that a page names; empty: nothing."""
    if not os.path.exists(path):
        return "%s does not exist" % path
    runs = path.endswith((".sh", ".py")) and "/lib" not in path
    if runs and re.match("tests/(func|block|slow|bench)/", path) and \
            not os.access(path, os.X_OK):
        return "%s is not started by the runner" % path
    if not words:
        return ""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    if path.endswith(".list"):
        there = re.search("^%s ;;" % re.escape(words), text, re.M)
    else:
        there = words in text
    return "" if there else "%s: nothing about '%s'" % (path, words)


def rows():
    with open(TABLE, encoding="utf-8") as f:
        for line in f:
            cells = [c.strip() for c in line.strip().strip("|").split("|")]
            if line.startswith("|") and len(cells) == 4 and \
                    cells[0] != "feature" and set(cells[0]) != {"-"}:
                yield cells


def row_fault(cells):
    _, where, state, shown = cells
    if not re.search(r"[BRS]\d", where):
        return "no line of a guide"
    if not re.match(r"works$|partly: .|later$", state):
        return "its state is '%s'" % state
    tests = NAMED.findall(shown)
    if not tests and state != "later":
        return "no test"
    if "`" in NAMED.sub("", shown):
        return "a test outside of tests/"
    return "; ".join(filter(None, (fault(*t) for t in tests)))


def main():
    count = {}
    for cells in rows():
        why = row_fault(cells)
        state = cells[2].split(":")[0]
        count[state] = count.get(state, 0) + 1
        if why:
            result(False, cells[0], why)
    result(count.get("works", 0) >= 80, "rows: %s" % ", ".join(
        "%d %s" % (n, s) for s, n in sorted(count.items())))
    for page in ["README.md", *sorted(glob.glob("docs/*.md"))]:
        with open(page, encoding="utf-8") as f:
            text = f.read()
        wrong = [w for w in (fault(*t) for t in NAMED.findall(text)
                             if "NAME" not in t[0]) if w]
        result(not wrong, "%s: the tests that it names" % page,
               "\n".join(wrong))
    return end()


sys.exit(main())
