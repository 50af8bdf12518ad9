#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Each option of each program is in its manual page and in the completion for
bash and zsh: those of the emulator by the schema, those of the other
programs as their own help names them."""
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, "tests")
from libtap import end, result                                   # noqa: E402
from libtern import BUILD, skip_all                              # noqa: E402

PROGRAMS = ("tern", "tern-img", "tern-io", "tern-nbd", "tern-pr-helper")


def said(*argv):
    p = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True,
                       text=True, timeout=120)
    return p.stdout


def schema_options():
    """Name to whether it is hidden, of those that something handles."""
    names, now, lines = {}, None, []
    for name in sorted(os.listdir("schema")):
        if name.endswith(".schema"):
            with open("schema/" + name, encoding="utf-8") as f:
                lines += list(f)
    for line in lines:
        w = line.split()
        if w[:1] == ["option"] and line[0] == "o":
            now = w[1]
            names[now] = False
        elif line[:1] not in " \n#":
            now = None
        elif now and w == ["hidden"]:
            names[now] = True
    return names


def options_of(name, program):
    if name != "tern":
        return set(re.findall(r"(?:^|[ ,|(\[])(--?[a-zA-Z][a-zA-Z-]*)",
                              said(program, "--help"), re.M))
    told = set(re.findall(r"^-([\w.-]+)", said(program, "-help"), re.M))
    table = {n for n, hidden in schema_options().items() if not hidden}
    result(not told - table, "-help tells what the table has",
           sorted(told - table))
    return {"-" + n for n in told}


def main():
    if not os.path.exists(BUILD + "/tern"):
        skip_all("tern is not built")
    for name in PROGRAMS:
        program = BUILD + "/" + name
        options = options_of(name, program)
        page = said(program, "--x-man").replace("\\-", "-")
        page = re.sub(r"\\f[BIRP]", " ", page)
        result(len(options) >= 3 and page.startswith((".TH", ".\\\"")),
               "%s has a page, and %d options" % (name, len(options)),
               page[:200])
        lost = [o for o in sorted(options) if not
                re.search(r"(?<![\w-])%s(?![\w-])" % re.escape(o), page)]
        result(not lost, "%s: its page has each" % name, lost)
        for shell in ("bash", "zsh"):
            text = said("scripts/completion", shell, program)
            lost = [o for o in sorted(options) if not
                    re.search(r"(?<![\w-])%s(?![\w-])" % re.escape(o), text)]
            result(not lost, "%s: %s completes each" % (name, shell), lost)
    return end()


if __name__ == "__main__":
    sys.exit(main())
