#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""README's ten things to try: what stands behind "$" is run in a shell, what is
typed to a program is typed, and what comes is what is printed there. A line "…"
stands for any lines, "…" at the end of a line for its rest, digits of a kernel's
line for any digits."""
import os
import re
import subprocess
import sys
import threading
from multiprocessing.pool import ThreadPool

sys.dont_write_bytecode = True
sys.path.insert(0, "tests")
import libtern                                                   # noqa: E402
from libtap import end, result, skip                             # noqa: E402

PATIENCE = 90 * int(os.environ.get("TERN_TEST_PATIENCE", "1"))
TYPED = re.compile(r'(?:\(qemu\) )(.+)|(\{"execute".*|outb .*|inb .*|clock_step .*)')


def things():
    """(number, command, lines) of each command in the section."""
    with open("README.md", encoding="utf-8") as f:
        text = f.read()
    part = re.search(r"^## Ten things to try\n(.*?)^## ", text, re.M | re.S)[1]
    for number, item in re.findall(r"^(\d+)\. (.*?)(?=^\d+\. |\Z)", part,
                                   re.M | re.S):
        block = re.search(r"^ *```\n(.*?)^ *```", item, re.M | re.S)[1]
        indent = len(block) - len(block.lstrip(" "))
        lines = [x[indent:] for x in block.splitlines()]
        at = 0
        while at < len(lines):
            command = lines[at][2:]
            at += 1
            while command.endswith("\\"):
                command = command[:-1] + lines[at].strip() + " "
                at += 1
            begin = at
            while at < len(lines) and not lines[at].startswith("$ "):
                at += 1
            yield number, command, lines[begin:at]


def pattern(lines, echo):
    """The output, as an expression for whole lines."""
    out = ""
    for line in lines:
        if line == "…":
            out += r"(?:.*\n)*?"
            continue
        if not echo and TYPED.fullmatch(line):
            continue
        p = re.escape(line.removesuffix("…"))
        if line.startswith("["):
            p = re.sub(r"\d+", r"\\d+", re.sub(r"^\\\[(\\ )+", r"\\[ *", p))
        out += p + (".*" if line.endswith("…") else "") + r"\n"
    return re.compile(out)


def run(folder, command, want, typed):
    """What comes until it is what is wanted, and whether the program ended."""
    p = subprocess.Popen(["sh", "-c", "exec " + command], cwd=folder, text=True,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, errors="replace")
    timer = threading.Timer(PATIENCE, p.kill)
    timer.start()
    got = ""
    seen = False
    p.stdin.write("".join(x + "\n" for x in typed))
    p.stdin.flush()
    for line in p.stdout:
        got += line.replace("\r", "")
        if not seen and want.match(got):
            # What has more to say says it soon; what goes on is ended.
            seen = True
            timer.cancel()
            timer = threading.Timer(2, p.kill)
            timer.start()
    p.wait()
    timer.cancel()
    return got, p.returncode >= 0


def kernel(folder):
    """A vmlinuz in the folder; why there is none."""
    r = subprocess.run(["sh", "scripts/linux-guest", libtern.BUILD + "/demo"],
                       capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if r.returncode:
        return (r.stdout + r.stderr).strip().splitlines()[-1:] or ["no kernel"]
    os.symlink(libtern.BUILD + "/demo/vmlinuz", folder + "/vmlinuz")
    return None


def main():
    with libtern.Folder("tern-readme") as folder:
        os.symlink(libtern.BUILD, folder + "/build")
        lacks = kernel(folder)

        def one(thing):
            number, command, lines = thing
            if "vmlinuz" in command and lacks:
                return thing, None, ""
            hmp = any(x.startswith("(qemu) ") for x in lines)
            typed = [m[1] or m[2] for m in map(TYPED.fullmatch, lines) if m]
            want = pattern(lines, hmp)
            got, ended = run(folder, command, want, typed)
            same = want.fullmatch(got) if ended else want.match(got)
            return thing, bool(same), got

        every = list(things())
        result(len({n for n, _, _ in every}) == 10, "ten things")
        with ThreadPool(4) as pool:
            for (number, command, lines), same, got in pool.map(one, every):
                if same is None:
                    skip("%s. %s" % (number, command), lacks[0])
                else:
                    result(same, "%s. %s" % (number, command),
                           "wanted:\n" + "\n".join(lines), "came:\n" + got)
    return end()


sys.exit(main())
