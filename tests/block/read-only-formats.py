#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# cloop, bochs and dmg: images that this file makes are read as the bytes they
# were made of; damaged ones are refused with the peer's words; none is opened
# for writing; they are found by their contents.

import base64
import os
import random
import struct
import zlib

from libnbdside import IMG, PEER_IMG, has, main, path, run, same, test

r = random.Random(1)
data = (r.randbytes(100000) + bytes(200000) + b'hello' * 30000).ljust(
    7 * 65536, b'\0')


def save(name, what):
    with open(path(name), 'wb') as f:
        f.write(what)


def patched(name, what, off, part):
    out = bytearray(what)
    if off < 0:
        off += len(out)
    out[off:off + len(part)] = part
    save(name, out)
    return name


def cloop(block=65536):
    blocks = [zlib.compress(data[i:i + block].ljust(block, b'\0'))
              for i in range(0, len(data), block)]
    head = (b'#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t '
            b'iso9660 /dev/cloop $1\n').ljust(128, b'\0')
    at = 136 + 8 * (len(blocks) + 1)
    table = b''
    for b in blocks + [b'']:
        table += struct.pack('>Q', at)
        at += len(b)
    return head + struct.pack('>II', block, len(blocks)) + table + \
        b''.join(blocks)


def bochs(extent=65536, version=0x20000):
    """Extents in random order; sectors of zeroes are not in the bitmap, and
    hold nonsense."""
    bitmap = (extent // 512 + 7) // 8
    n = len(data) // extent
    head = (b'Bochs Virtual HD Image'.ljust(32, b'\0') +
            b'Redolog'.ljust(16, b'\0') + b'Growing'.ljust(16, b'\0') +
            struct.pack('<IIIII', version, 512, n, bitmap, extent) +
            (bytes(4) if version == 0x20000 else b'') +
            struct.pack('<Q', len(data))).ljust(512, b'\0')
    order = [i for i in range(n) if any(data[i * extent:(i + 1) * extent])]
    r.shuffle(order)
    body = b''
    for i in order:
        part = data[i * extent:(i + 1) * extent]
        bits = bytearray((bitmap + 511) // 512 * 512)
        for s in range(extent // 512):
            if any(part[s * 512:s * 512 + 512]):
                bits[s // 8] |= 1 << s % 8
            else:
                part = part[:s * 512] + b'\xee' * 512 + part[s * 512 + 512:]
        body += bytes(bits) + part
    return head + b''.join(
        struct.pack('<I', order.index(i) if i in order else 0xffffffff)
        for i in range(n)) + body


def dmg(chunks, xml=None):
    """The image, and what it shows."""
    body, rows, sector, shown = b'', [], 0, b''
    for kind, what in chunks:
        raw = b'' if isinstance(what, int) else \
            zlib.compress(what) if kind == 0x80000005 else what
        plain = bytes(what * 512) if isinstance(what, int) else what
        rows.append(struct.pack('>IIQQQQ', kind, 0, sector, len(plain) // 512,
                                len(body), len(raw)))
        body += raw
        shown += plain
        sector += len(plain) // 512
    rows.append(struct.pack('>IIQQQQ', 0xffffffff, 0, sector, 0, len(body), 0))
    mish = b'mish' + struct.pack('>IQQQ', 1, 0, sector, 0) + bytes(168) + \
        struct.pack('>I', len(rows)) + b''.join(rows)
    if xml is None:
        xml = (b'<?xml version="1.0"?><plist version="1.0"><dict><key>'
               b'resource-fork</key><dict><key>blkx</key><array><dict><key>Data'
               b'</key><data>\n' + base64.encodebytes(mish) + b'</data></dict>'
               b'</array></dict></dict></plist>')
    koly = b'koly' + struct.pack('>IIIQQQ', 4, 512, 1, 0, 0, len(body))
    koly = koly.ljust(216, b'\0') + struct.pack('>QQ', len(body), len(xml))
    koly = koly.ljust(492, b'\0') + struct.pack('>Q', sector)
    return body + xml + koly.ljust(512, b'\0'), shown


PARTS = [(0x80000005, data[:131072]), (0, 100), (1, r.randbytes(51200)),
         (2, 50), (0x80000005, b'z' * 512 * 300), (0x7ffffffe, 0)]


def reads(name, fmt, want):
    """By its contents and by its name, whole and in pieces, as the peer."""
    save('want', want)
    has(run(IMG, 'info', name), f'file format: {fmt}')
    run(IMG, 'compare', '-F', 'raw', name, 'want')
    run(IMG, 'compare', '-f', fmt, '-F', 'raw', name, 'want')
    if PEER_IMG:
        run(PEER_IMG, 'compare', '-f', fmt, '-F', 'raw', name, 'want')
    for bs, skip, end in ((512, 3, 5), (7000, 9, 11), (65536, 1, 3)):
        run(IMG, 'dd', '-f', fmt, '-O', 'raw', f'bs={bs}', f'skip={skip}',
            f'count={end}', f'if={name}', 'of=part')
        with open(path('part'), 'rb') as f:
            same(f.read()[:bs * (end - skip)] == want[bs * skip:bs * end], True,
                 f'{name} {bs} {skip}')
    has(run(IMG, 'commit', '-f', fmt, name, status=1), 'read-only')


def refused(name, fmt, words):
    has(run(IMG, 'info', '-f', fmt, name, status=1), words)
    if PEER_IMG:
        has(run(PEER_IMG, 'info', '-f', fmt, name, status=1), words)


@test()
def cloop_images():
    for block in (65536, 512, 4096, 1 << 20):
        save('a.cloop', cloop(block))
        size = (len(data) + block - 1) // block * block
        reads('a.cloop', 'cloop', data.ljust(size, b'\0'))


@test()
def damaged_cloop_images():
    good = cloop()
    for off, fmt, v, words in (
            (128, '>I', 0, 'block_size cannot be zero'),
            (128, '>I', 513, 'block_size 513 must be a multiple of 512'),
            (128, '>I', 128 << 20, 'block_size 134217728 must be 64 MB or less'),
            (132, '>I', 0xffffffff, 'n_blocks 4294967295 must be 536870911 or'),
            (132, '>I', 0x8000000, 'image requires too many offsets, try incr'),
            (132, '>I', 0x3fffffe, 'invalid compressed block size at index 8'),
            (144, '>Q', 0, 'offsets not monotonically increasing at index 1'),
            (144, '>Q', 1 << 40, 'invalid compressed block size at index 1'),
            (136, '>Q', 10 ** 8, 'offsets not monotonically increasing at')):
        refused(patched('b.cloop', good, off, struct.pack(fmt, v)), 'cloop',
                words)
    patched('b.cloop', good, 136 + 64, b'x' * 16)
    has(run(IMG, 'convert', '-O', 'raw', 'b.cloop', 'out', status=1),
        'Input/output error')
    for n in (0, 100, 140, 300):
        save('b.cloop', good[:n])
        run(IMG, 'convert', '-f', 'cloop', '-O', 'raw', 'b.cloop', 'out',
            status=1)


@test()
def bochs_images():
    for args in ((65536, 0x20000), (65536, 0x10000), (4096, 0x20000),
                 (512, 0x20000)):
        save('a.bochs', bochs(*args))
        reads('a.bochs', 'bochs', data)


@test()
def damaged_bochs_images():
    good = bochs()
    for off, fmt, v, words in (
            (0, '<I', 0, 'Image not in Bochs format'),
            (32, '<I', 0, 'Image not in Bochs format'),
            (64, '<I', 0x30000, 'Image not in Bochs format'),
            (72, '<I', 0, 'Catalog size is too small for this disk size'),
            (72, '<I', 0x200000, 'Catalog size is too large'),
            (80, '<I', 0, 'Extent size must be at least 512'),
            (80, '<I', 513, 'Extent size 513 is not a power of two'),
            (80, '<I', 1 << 24, 'Extent size 16777216 is too large'),
            (88, '<Q', 1 << 60, 'Catalog size is too small for this disk size')):
        refused(patched('b.bochs', good, off, struct.pack(fmt, v)), 'bochs',
                words)


@test()
def dmg_images():
    image, shown = dmg(PARTS)
    save('a.dmg', image)
    reads('a.dmg', 'dmg', shown)
    save('a.dmg', image + bytes(100))
    run(IMG, 'compare', '-F', 'raw', 'a.dmg', 'want')


@test()
def damaged_dmg_images():
    image, _ = dmg(PARTS)
    refused(patched('b.dmg', image, -512, b'xxxx'), 'dmg',
            'Could not locate UDIF trailer in dmg file')
    for off, v in ((216, 1 << 60), (224, 1 << 40), (224, 0)):
        refused(patched('b.dmg', image, off - 512, struct.pack('>Q', v)), 'dmg',
                'Invalid argument')
    save('b.dmg', dmg([(0x80000005, b'a' * (128 << 20))])[0])
    refused('b.dmg', 'dmg', 'sector count 262144 for chunk 0 is larger than max')
    save('b.dmg', dmg([(0x80000006, data[:65536]), (1, data[:512])])[0])
    has(run(IMG, 'convert', '-O', 'raw', 'b.dmg', 'out', status=1),
        'bzip2 compressed blocks will result in I/O errors')
    save('b.dmg', dmg([(1, data[:512])], b'<plist><data>%!</data></plist>')[0])
    run(IMG, 'info', 'b.dmg')
    save('b.dmg', dmg([(1, data[:512])], b'<plist><data>' + b'A' * 5000)[0])
    run(IMG, 'info', 'b.dmg', status=1)


main()
