#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Options that contradict each other, or have nothing to act upon: the first
are refused, the second warn once, and what is neither is silent. Each line of
contradictions.list: exit status ;; what is said once ;; the options."""
import concurrent.futures
import os
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, "tests")
from libtap import end, result                                   # noqa: E402
from libtern import TERN, Folder, skip_all                       # noqa: E402

LIST = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                    "contradictions.list")
PATIENCE = 60 * int(os.environ.get("TERN_TEST_PATIENCE", "1"))


def cases():
    with open(LIST, encoding="utf-8") as f:
        for line in f:
            if line.strip() and not line.startswith("#"):
                status, text, args = (p.strip() for p in line.split(";;"))
                yield int(status), text, args.split()


def said(args, folder):
    """Status, and the lines on standard error."""
    base = [TERN, "-nodefaults", "-S"]
    for name, value in (("-m", "16"), ("-display", "none")):
        if name not in args:
            base += [name, value]
    if "accel" not in " ".join(args):
        base += ["-accel", "qtest"]
    if "stdio" not in " ".join(args):
        base += ["-chardev", "stdio,id=mm", "-mon", "mm"]
    p = subprocess.run(base + args, input="quit\n", capture_output=True,
                       text=True, cwd=folder, timeout=PATIENCE)
    return p.returncode, p.stderr.splitlines()


def make_files(folder):
    """Of its own for each case: images are locked."""
    os.mkdir(folder)
    for name in ("a", "b"):
        with open(folder + "/" + name, "wb") as f:
            f.truncate(1 << 20)
    with open(folder + "/table", "wb") as f:
        f.write(b"AAAA" * 10)


def fault(case, folder):
    status, text, args = case
    make_files(folder)
    got, lines = said(args, folder)
    why = ["status %d" % got] if got != status else []
    if not text and lines:
        why.append("says something")
    if text and sum(text in line for line in lines) != 1:
        why.append("does not say it once")
    # A refusal may have hints behind it, a warning stands alone.
    if text and not status and len(lines) != 1:
        why.append("says more")
    return "\n".join(why + lines) if why else ""


def main():
    if not os.path.exists(TERN):
        skip_all("tern is not built")
    with Folder("contradictions") as folder, \
            concurrent.futures.ThreadPoolExecutor(2) as pool:
        rows = list(cases())
        whys = pool.map(lambda i: fault(rows[i], "%s/%d" % (folder, i)),
                        range(len(rows)))
        for row, why in zip(rows, whys):
            result(not why, "%s: %s" % (" ".join(row[2]),
                                        row[1] or "silent"), why)
        result(len(rows) >= 160, "%d cases" % len(rows))
    return end()


if __name__ == "__main__":
    sys.exit(main())
