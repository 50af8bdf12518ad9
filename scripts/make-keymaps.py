#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Makes ui/keymaps-a.c and -b.c of the xkb data that is installed: for each layout of -k,
# which key with which level (plain, shift, AltGr, both) gives a symbol. Needs
# Debian's libxkbcommon-tools, xkb-data and libxkbcommon-dev.
#
#     scripts/make-keymaps.py
import re
import subprocess

LAYOUTS = {
    'ar': 'ara', 'bepo': 'fr bepo', 'cz': 'cz', 'da': 'dk', 'de': 'de',
    'de-ch': 'ch', 'en-gb': 'gb', 'en-us': 'us', 'es': 'es', 'et': 'ee',
    'fi': 'fi', 'fo': 'fo', 'fr': 'fr', 'fr-be': 'be', 'fr-ca': 'ca fr',
    'fr-ch': 'ch fr', 'hr': 'hr', 'hu': 'hu', 'is': 'is', 'it': 'it',
    'ja': 'jp', 'lt': 'lt', 'lv': 'lv', 'mk': 'mk', 'nl': 'nl', 'no': 'no',
    'pl': 'pl', 'pt': 'pt', 'pt-br': 'br', 'ru': 'ru', 'sl': 'si', 'sv': 'se',
    'th': 'th', 'tr': 'tr',
}


def keysyms():
    path = '/usr/include/xkbcommon/xkbcommon-keysyms.h'
    found = {}
    for line in open(path):
        m = re.match(r'#define XKB_KEY_(\w+)\s+(0x[0-9a-f]+)', line)
        if m:
            found[m.group(1)] = int(m.group(2), 16)
    return found


SYMS = keysyms()


def value(name):
    if name in SYMS:
        return SYMS[name]
    m = re.match(r'U([0-9A-Fa-f]{4,6})$', name)
    if m:
        u = int(m.group(1), 16)
        return u if u < 0x100 else 0x01000000 | u
    m = re.match(r'0x([0-9a-f]+)$', name)
    return int(m.group(1), 16) if m else 0


def layout(spec):
    parts = spec.split()
    cmd = ['xkbcli', 'compile-keymap', '--model', 'pc105', '--layout', parts[0]]
    if len(parts) > 1:
        cmd += ['--variant', parts[1]]
    text = subprocess.run(cmd, check=True, capture_output=True,
                          text=True).stdout
    codes = {m.group(1): int(m.group(2)) for m in
             re.finditer(r'<(\w+)>\s*=\s*(\d+);', text)}
    rows = []
    body = text[text.index('xkb_symbols'):]
    for m in re.finditer(r'key <(\w+)>\s*\{(.*?)\};', body, re.S):
        number = codes.get(m.group(1), 0) - 8
        # the typewriter's part: XT numbers are evdev's there
        if not (2 <= number <= 13 or 16 <= number <= 27 or
                30 <= number <= 41 or 43 <= number <= 53 or
                number in (57, 86, 89, 124)):
            continue
        number = {89: 0x73, 124: 0x7d}.get(number, number)
        g = re.search(r'\[([^\]]*)\]\s*(?:,|$|\n|\})?', m.group(2))
        lists = re.findall(r'\[\s*([^\]]*?)\s*\]', m.group(2))
        syms = None
        for text_list in lists:
            if not re.search(r'Action|\(', text_list) and \
                    not re.match(r'\s*Group\d', text_list) and text_list:
                syms = text_list
                break
        if not g or not syms:
            continue
        for level, name in enumerate(x.strip() for x in syms.split(',')):
            v = value(name)
            if level < 4 and v:
                rows.append((v, number, level))
    seen = set()
    best = []
    for row in sorted(rows, key=lambda r: (r[0], r[2], r[1])):
        if row[0] not in seen:
            seen.add(row[0])
            best.append(row)
    return best


def write(path, part, names):
    with open(path, 'w') as f:
        def out(line=''):
            print(line, file=f)
        out('/* SPDX-License-Identifier: GPL-2.0-or-later */')
        out('/*')
        out(f' * {path.split("/")[-1]} - layouts of keyboards: symbol, key '
            'number, level. Made by\n * scripts/make-keymaps.py of the data of '
            'xkb; not written by hand.\n */')
        out('#include "ui/keymaps.h"\n')
        for name in names:
            out(f'static const KeymapRow {ident(name)}[] = {{')
            line = '   '
            for v, number, level in layout(LAYOUTS[name]):
                item = f' {{ 0x{v:x}, {number}, {level} }},'
                if len(line) + len(item) > 80:
                    out(line)
                    line = '   '
                line += item
            out(line)
            out('};\n')
        out(f'const Keymap keymaps_{part}[] = {{')
        for name in names:
            out(f'    {{ "{name}", {ident(name)}, ARRAY_SIZE({ident(name)}) }},')
        out('    { NULL, NULL, 0 },\n};')


def ident(name):
    return 'rows_' + name.replace('-', '_')


names = sorted(LAYOUTS)
write('ui/keymaps-a.c', 'a', names[:17])
write('ui/keymaps-b.c', 'b', names[17:])
