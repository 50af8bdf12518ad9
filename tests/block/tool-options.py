#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Options of the image programs beside the peer's, from what both print: every
# option that the peer lists is in our --help and manual; an option that a
# command does not have, and one whose value is missing, are refused in the
# same words; formats and protocols have the same creation and amend options;
# tern-io has the same commands.

import os
import re
import shutil
import subprocess
import sys
import tempfile

BUILD = os.environ.get('BUILD', 'build')
OURS = os.path.abspath(os.path.join(BUILD, 'compat'))
PEER = os.path.dirname(shutil.which('qemu-img') or '')
OPTION = re.compile(r"(?<![\w-])(--?[A-Za-z][\w-]*)")
FOLDER = tempfile.mkdtemp(prefix='tool-options-')


def run(side, program, *args):
    p = subprocess.run([os.path.join(side, program), *args], cwd=FOLDER,
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, timeout=60)
    return p.returncode, p.stdout.decode(), p.stderr.decode()


def manual(program):
    text = run(OURS, program, '--x-man')[1]
    return re.sub(r'\\f[A-Z]', ' ', text).replace('\\-', '-')


def img_syntax():
    """Command: what the peer's help shows behind it."""
    text = run(PEER, 'qemu-img', '--help')[1]
    text = text.split('Command syntax:\n')[1].split('\n\n')[0]
    return dict(line.strip().split(' ', 1) for line in text.split('\n'))


def sections(text):
    """Command: its section of our manual."""
    parts = re.split(r'^\.SS (\w+).*$', text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def img_listed():
    ours = sections(manual('qemu-img'))
    helped = dict(line.strip().split(' ', 1) for line in
                  run(OURS, 'qemu-img', '--help')[1].split('\n')
                  if line.startswith('  ') and '[' in line)
    missing = []
    for command, syntax in img_syntax().items():
        for option in set(OPTION.findall(syntax)):
            for where, text in (('manual', ours.get(command, '')),
                                ('help', helped.get(command, ''))):
                if option not in OPTION.findall(text):
                    missing.append(f'{command} {option} in the {where}')
    return missing


def listed(program):
    """Options of one program without commands, and their long forms."""
    theirs = run(PEER, program, '--help')[1]
    ours = {'manual': manual(program), 'help': run(OURS, program, '--help')[1]}
    # "enable=" belongs to a value.
    want = {o for line in theirs.split('\n')
            for o in re.findall(r'(?:^ {2,4}|, )(--?[A-Za-z][\w-]*)', line)}
    return len(want) < 15 and ['too few in the peer\'s help'] or \
        [f'{o} in the {where}' for o in sorted(want)
         for where, text in ours.items() if o not in OPTION.findall(text)]


def both(program, *args):
    """None, or how the two differ."""
    got = [run(side, program, *args) for side in (PEER, OURS)]
    return None if got[0] == got[1] else f'{args}: {got[0]} {got[1]}'


def misuse():
    faults = []
    for command, syntax in img_syntax().items():
        if command == 'measure':
            continue            # the peer answers with its help, and succeeds
        for option, value in re.findall(r'\[?(--?[\w-]+)([ =][a-zA-Z_]+)?',
                                        syntax):
            if value and value.strip() not in ('filename', 'snapshot'):
                faults.append(both('qemu-img', command, option))
        faults += [both('qemu-img', command, '-Z', 'a'),
                   both('qemu-img', command, '--nope', 'a')]
    return [f for f in faults if f]


def rows(text):
    return sorted(re.findall(r'^  ([\w.-]+=<[^>]*>)', text, re.M))


def creation_options():
    faults = []
    for fmt in ('raw', 'file', 'qcow2', 'qcow', 'qed', 'vdi', 'vhdx', 'vmdk',
                'vpc', 'parallels', 'luks'):
        for name in ([], ['x']):
            got = [rows(run(s, 'qemu-img', 'create', '-f', fmt, '-o', 'help',
                            *name)[1]) for s in (PEER, OURS)]
            if got[0] != got[1] or not got[0]:
                faults.append(f'create {fmt} {name}: {got}')
    for fmt in ('qcow2', 'luks', 'raw', 'vdi'):
        got = [run(s, 'qemu-img', 'amend', '-f', fmt, '-o', 'help')
               for s in (PEER, OURS)]
        if (got[0][0], rows(got[0][1])) != (got[1][0], rows(got[1][1])):
            faults.append(f'amend {fmt}: {got}')
    return faults


def io_commands():
    """Names and short names of all commands."""
    got = []
    for side in (PEER, OURS):
        text = run(side, 'qemu-io', '-c', 'help')[1]
        got.append({line.split()[0] for line in text.split('\n')
                    if ' -- ' in line})
    faults = [f'{name} of the peer' for name in got[0] - got[1]]
    for name in sorted(got[0]):
        theirs, ours = (run(s, 'qemu-io', '-c', 'help ' + name)[1].split('\n')
                        for s in (PEER, OURS))
        want = set(re.findall(r'^ -(\w),', '\n'.join(theirs), re.M))
        have = set(OPTION.findall('\n'.join(ours)))
        faults += [f'{name} -{letter}' for letter in want
                   if '-' + letter not in have]
    return faults + ([] if len(got[0]) > 20 else ['too few commands'])


TESTS = [
    ('tern-img lists what the peer lists', img_listed),
    ('tern-nbd lists what the peer lists', lambda: listed('qemu-nbd')),
    ('tern-io lists what the peer lists', lambda: listed('qemu-io')),
    ('missing values and unknown options', misuse),
    ('creation and amend options of each format', creation_options),
    ('commands of tern-io and their options', io_commands),
]


def main():
    if not PEER:
        print('1..1\nok 1 - tool-options # SKIP no qemu-img to compare with')
        return 0
    print(f'1..{len(TESTS)}')
    bad = 0
    try:
        for i, (name, test) in enumerate(TESTS):
            faults = test()
            for fault in faults:
                print('# ' + fault)
            bad += bool(faults)
            print(f'{"not ok" if faults else "ok"} {i + 1} - {name}',
                  flush=True)
    finally:
        shutil.rmtree(FOLDER)
    return 1 if bad else 0


sys.exit(main())
