#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# tern-img beside qemu-img: the same command lines in two folders with the same
# files; output, errors and exit status must be the same. Tables are
# tests/block/img-peer/*.txt: a line "# name" begins a group with a fresh
# folder, "$ text" is a shell line that prepares both, "! reason" excuses the
# next line's output (the exit status must still agree), "~ reason" excuses the
# status too, other lines are arguments; those that begin with "io" are for
# tern-io and qemu-io.

import glob
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ.get('BUILD', 'build')
OURS = os.path.join(BUILD, 'compat')
PEER = os.path.dirname(shutil.which('qemu-img') or '')
VARY = [
    (re.compile(r'\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b'), 'UUID'),
    (re.compile(r'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d'), 'DATE'),
    (re.compile(r'"date-(n?sec)": \d+'), r'"date-\1": N'),
    (re.compile(r'(iters"?): \d+'), r'\1: N'),
    (re.compile(r'(\bcid"?): \d+'), r'\1: N'),
    (re.compile(r'Run completed in [0-9.]+ seconds'), 'Run completed'),
    (re.compile(r'disk size: .*'), 'disk size: N'),
    (re.compile(r'"actual-size": \d+'), '"actual-size": N'),
    (re.compile(r'ops; [0-9:.]+( sec)? \(.*\)'), 'ops; TIME'),
    (re.compile(r',1,\d+:\d\d:\d\d\.\d\d,.*'), ',1,TIME'),
    (re.compile(r'\((\d+\.\d\d/100%)\)'), '(P)'),
    (re.compile(r'#block\d+'), '#blockN'),
    (re.compile(r' +Fix: format=raw.*\n'), ''),
]
# The peer cannot always measure the time that a password takes.
FLAKY = 'Unable to get accurate CPU usage'


class Side:
    def __init__(self, programs):
        self.programs = programs
        self.folder = None

    def fresh(self):
        if self.folder:
            shutil.rmtree(self.folder)
        self.folder = tempfile.mkdtemp(prefix='img-peer-')

    def shell(self, line):
        env = dict(os.environ, PATH=PEER + ':' + os.environ['PATH'])
        subprocess.run(['sh', '-c', line], cwd=self.folder, env=env,
                       stdout=subprocess.DEVNULL, check=True, timeout=60)

    def run(self, args):
        name = 'qemu-img'
        if args[0] == 'io':
            name, args = 'qemu-io', args[1:]
        p = subprocess.run([os.path.join(self.programs, name)] + args,
                           cwd=self.folder, stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           timeout=60)
        text = (p.stdout + b'--\n' + p.stderr).decode(errors='replace')
        text = text.replace(self.folder, 'FOLDER')
        for pattern, word in VARY:
            text = pattern.sub(word, text)
        # A percentage that is shown more often says the same.
        text = re.sub(r'(\s*\(P\)\r?)+', ' (P)', text)
        return p.returncode, text


def groups(path):
    name, lines, reason = None, [], None
    with open(path, encoding='utf-8') as f:
        for line in f:
            line = line.rstrip('\n')
            if line.startswith('# '):
                if name:
                    yield name, lines
                name, lines = line[2:], []
            elif line.startswith(('! ', '~ ')):
                reason = line
            elif line:
                lines.append((line, reason))
                reason = None
    if name:
        yield name, lines


def group_run(lines, sides):
    """What differs; how many lines were compared."""
    faults, count = [], 0
    for side in sides:
        side.fresh()
    for line, reason in lines:
        if line.startswith('$ '):
            for side in sides:
                side.shell(line[2:])
            continue
        got = [side.run(shlex.split(line)) for side in sides]
        count += 1
        same = reason or got[0][1] == got[1][1]
        if not reason or reason[0] != '~':
            same = same and got[0][0] == got[1][0]
        if not same:
            faults.append(f'{line}\n  peer {got[0][0]}: {got[0][1]!r}\n'
                          f'  ours {got[1][0]}: {got[1][1]!r}')
    return faults, count


def main():
    only = sys.argv[1] if len(sys.argv) > 1 else ''
    if not PEER:
        print('1..1\nok 1 - img-peer # SKIP no qemu-img to compare with')
        return
    todo = []
    for path in sorted(glob.glob(os.path.join(TOP, 'img-peer', '*.txt'))):
        todo += [g for g in groups(path) if only in g[0]]
    print(f'1..{len(todo)}')
    sides = [Side(PEER), Side(os.path.abspath(OURS))]
    for i, (name, lines) in enumerate(todo):
        faults, count = group_run(lines, sides)
        for _ in range(10):
            if not any(FLAKY in f for f in faults):
                break
            faults, count = group_run(lines, sides)
        for fault in faults:
            print('# ' + fault.replace('\n', '\n# '))
        print(f'{"not ok" if faults else "ok"} {i + 1} - {name}, '
              f'{count} command lines', flush=True)
    for side in sides:
        if side.folder:
            shutil.rmtree(side.folder)


main()
