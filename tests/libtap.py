# SPDX-License-Identifier: GPL-2.0-or-later
"""TAP lines of a test in Python, counted."""

count = failed = 0


def result(ok, name, *texts):
    """Prints the line, and the texts when it is not so; whether it is."""
    global count, failed
    count += 1
    failed += not ok
    if not ok:
        for t in texts:
            print("# " + str(t).replace("\n", "\n# "))
    print("%sok %d - %s" % ("" if ok else "not ", count, name), flush=True)
    return bool(ok)


def skip(name, why):
    """Counts as passed, and says why nothing was looked at."""
    global count
    count += 1
    print("ok %d - %s # SKIP %s" % (count, name, why), flush=True)


def check(name, ok, *texts):
    """The same, in the other order."""
    return result(ok, name, *texts)


def end():
    """The plan's line, and the program's status."""
    print("1..%d" % count)
    return failed > 0
