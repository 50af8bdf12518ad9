#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# NBD peers that break the protocol: our server loses the client and nothing
# else; our client says an error and ends; neither takes memory or time that the
# other side chose.

import os
import random
import socket
import struct
import subprocess
import threading

from libnbdside import (IMG, MAGIC, NBD, OPTS, REP, Raw, Server, has, main,
                        path, random_file, run, same, test)

MiB = 1 << 20


def limit():
    """A bound on the client's memory; the address sanitizer takes all there is."""
    with open(os.path.join(os.path.dirname(IMG), 'config.flags'),
              encoding='ascii') as f:
        sane = any(w.startswith('SANITIZERS') and ('address' in w or 'thread' in w)
                   for w in f)
    return '' if sane else 'ulimit -v 2000000; '


LIMIT = limit()
pack = struct.pack


def memory(pid):
    """Peak resident bytes of a process."""
    with open(f'/proc/{pid}/status', encoding='ascii') as f:
        for line in f:
            if line.startswith('VmHWM'):
                return int(line.split()[1]) * 1024
    return 0


# ---- bad clients ---------------------------------------------------------------

def alive(s):
    c = Raw(s.sock)
    c.go(structured=True)
    c.request(0, 0, 512)
    same(c.chunk()[1], 1, 'the server answers others')
    c.close()


def serving(*args):
    random_file('a.raw', MiB)
    return Server('-t', '-e', '0', '-f', 'raw', *args, 'a.raw')


@test()
def handshakes_that_break_the_rules():
    s = serving()
    for first in (b'', b'\0', b'\xff\xff\xff\xff', pack('>I', 4), b'GET / HTTP'):
        c = Raw(s.sock, flags=None)
        c.put(first)
        c.s.shutdown(socket.SHUT_WR)
        same(c.closed(), True, f'{first}')
    for option in (b'NOTMAGIC' + bytes(8), OPTS + pack('>II', 1, 5000),
                   OPTS + pack('>II', 7, 0xffffffff),
                   OPTS + pack('>II', 99, 64 * MiB)):
        c = Raw(s.sock)
        c.put(option + b'x' * 5000)
        c.s.shutdown(socket.SHUT_WR)
        same(c.closed(), True, f'{option}')
    alive(s)
    same(s.stop(), 0)


@test()
def options_that_are_malformed_are_answered():
    s = serving('-x', 'name')
    c = Raw(s.sock)
    invalid, unsup, unknown, big = (0x80000000 | n for n in (3, 1, 6, 9))
    for opt, data, want in (
            (99, b'', unsup), (99, b'x' * 100, unsup),
            (4, b'', unsup),
            (3, b'x', invalid),
            (5, b'', 0x80000002), (5, b'x', invalid),
            (6, b'', invalid), (7, b'\0', invalid),
            (7, pack('>I', 0xffffffff) + b'\0\0', invalid),
            (7, pack('>I', 5) + b'x', invalid),
            (7, pack('>IH', 0, 3), invalid),
            (7, pack('>IH', 0, 0) + b'xx', invalid),
            (7, pack('>IH', 0, 0), unknown),
            (7, pack('>I', 3) + b'a\0b' + pack('>H', 0), unknown),
            (8, b'x', invalid),
            (9, pack('>II', 0, 0), invalid),
            (10, pack('>II', 0, 0), invalid),
            (7, b'x' * 100000, big)):
        c.option(opt, data)
        got = c.replies()[-1]
        same((got[0], got[1]), (opt, want), f'{opt} {data[:12]}')
    c.option(8)
    same(c.replies()[-1][1], 1)
    for data in (b'', pack('>I', 100), pack('>II', 4, 1),
                 pack('>I', 4) + b'name' + pack('>II', 1, 1000),
                 pack('>I', 4) + b'name' + pack('>I', 0xffffffff)):
        c.option(10, data)
        same(c.replies()[-1][1], invalid, f'{data}')
    c.option(10, pack('>I', 4) + b'name' + pack('>I', 2) +
             pack('>I', 3) + b'abc' + pack('>I', 9) + b'no:such\0x')
    same(c.replies()[-1][1], 1, 'unknown contexts are passed over')
    same(c.go(b'name') & 1, 1)
    s.stop()


@test()
def options_without_end():
    s = serving()
    c = Raw(s.sock)
    try:
        for _ in range(3000):
            c.option(99)
            c.reply()
        raise AssertionError('3000 options and it goes on')
    except (ConnectionError, EOFError):
        pass
    alive(s)
    s.stop()


@test()
def requests_out_of_bounds():
    s = serving()
    c = Raw(s.sock)
    c.go(structured=True, context=b'base:allocation')
    for kind, off, n, err in (
            (0, MiB, 1, 22), (0, MiB - 1, 2, 22), (0, 1 << 63, 512, 22),
            (0, 2 ** 64 - 1, 512, 22), (0, 0, 64 * MiB, 22),
            (4, MiB, 1, 22), (6, MiB - 1, 2, 28), (6, 2 ** 64 - 512, 1024, 28),
            (7, MiB, 1, 22), (7, 0, 0, 22), (5, 2 * MiB, 1, 22),
            (99, 0, 0, 22)):
        c.request(kind, off, n, handle=7)
        if kind in (0, 7):
            flags, what, handle, data = c.chunk()
            same((flags, what, handle), (1, 32769, 7), f'{kind} {off} {n}')
            same(struct.unpack('>I', data[:4])[0], err, f'{kind} {off} {n}')
        else:
            same(c.simple(), (err, 7), f'{kind} {off} {n}')
    c.request(1, MiB - 100, 200, b'x' * 200, handle=8)
    same(c.simple(), (28, 8), 'write past the end')
    for flags in (2, 8, 32, 0x8000):
        c.request(1, 0, 10, b'x' * 10, flags=flags, handle=9)
        same(c.simple(), (22, 9), f'flags {flags}')
    c.request(0, 0, 0, handle=3)
    same(c.chunk()[2], 3, 'an empty read')
    c.close()
    alive(s)
    s.stop()


@test()
def broken_requests_end_the_connection():
    s = serving()
    for breaks in (lambda c: c.request(0, 0, 512, magic=0x12345678),
                   lambda c: c.request(1, 0, 33 * MiB),
                   lambda c: c.put(b'%`\x95\x13' + b'x' * 10),
                   lambda c: c.request(1, 0, 4096, b'x' * 100)):
        c = Raw(s.sock)
        c.go()
        breaks(c)
        c.s.shutdown(socket.SHUT_WR)
        same(c.closed(), True)
    alive(s)
    s.stop()


@test()
def answers_that_nobody_reads():
    """Clients that ask and never read cost a bounded piece of memory."""
    s = serving()
    before = memory(s.p.pid)
    cs = []
    for _ in range(8):
        c = Raw(s.sock)
        c.go()
        c.s.setblocking(False)
        try:
            for k in range(20000):
                c.request(0, 0, MiB, handle=k)
        except BlockingIOError:
            pass
        cs.append(c)
    alive(s)
    grown = memory(s.p.pid) - before
    same(grown < 8 * 16 * 2 * MiB, True, f'{grown >> 20} MiB more')
    for c in cs:
        c.close()
    alive(s)
    same(s.stop(), 0)


@test()
def requests_in_flight_when_clients_go():
    s = serving()
    r = random.Random(3)
    for i in range(150):
        c = Raw(s.sock)
        c.go(structured=i % 2)
        c.s.setblocking(False)
        try:
            for k in range(r.randrange(40)):
                kind = r.choice((0, 0, 1, 3, 4, 6))
                n = r.choice((1, 4096, 100000)) if kind != 3 else 0
                c.request(kind, r.randrange(MiB - 100000), n,
                          b'x' * n if kind == 1 else b'', handle=k)
        except BlockingIOError:
            pass
        if i % 3:
            c.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, pack('ii', 1, 0))
        c.close()
    alive(s)
    same(s.stop(), 0)


@test()
def nonsense_of_clients():
    s = serving('-A')
    r = random.Random(4)
    for i in range(300):
        c = Raw(s.sock)
        if i % 3:
            c.go(structured=i % 2)
        words = [OPTS, pack('>I', 0x25609513), bytes(4), b'\xff' * 4,
                 pack('>I', r.randrange(12)), r.randbytes(9),
                 pack('>HHQQI', r.randrange(32), r.randrange(9), i,
                      r.randrange(2 * MiB), r.randrange(200000))]
        try:
            c.put(b''.join(r.choice(words) for _ in range(40)))
            c.s.shutdown(socket.SHUT_WR)
            c.closed()
        except (ConnectionError, BrokenPipeError, OSError):
            pass
        c.close()
    alive(s)
    same(s.stop(), 0)


# ---- bad servers ---------------------------------------------------------------

class Fake(threading.Thread):
    """A server that answers by a script: talk(sock) for each connection."""

    def __init__(self, talk):
        super().__init__(daemon=True)
        self.sock = path('fake')
        if os.path.exists(self.sock):
            os.unlink(self.sock)
        self.s = socket.socket(socket.AF_UNIX)
        self.s.bind(self.sock)
        self.s.listen(5)
        self.talk = talk
        self.start()

    def run(self):
        while True:
            try:
                c, _ = self.s.accept()
            except OSError:
                return
            c.settimeout(10)
            try:
                self.talk(c)
            except (OSError, EOFError, struct.error):
                pass
            c.close()

    def end(self):
        self.s.shutdown(socket.SHUT_RDWR)
        self.s.close()
        self.join()


def take(c, n):
    out = b''
    while len(out) < n:
        part = c.recv(n - len(out))
        if not part:
            raise EOFError
        out += part
    return out


def reply(c, opt, kind, data=b'', magic=REP, length=None):
    c.sendall(pack('>QIII', magic, opt, kind,
                   len(data) if length is None else length) + data)


def export(size, flags):
    return pack('>HQH', 0, size, flags)


def honest(c, size=MiB, flags=0x9ed, block=None):
    """A handshake as it should be; the flags of what was asked for."""
    c.sendall(MAGIC + OPTS + pack('>H', 3))
    take(c, 4)
    while True:
        magic, opt, n = struct.unpack('>8sII', take(c, 16))
        same(magic, OPTS)
        take(c, n)
        if opt == 8:
            reply(c, opt, 1)
        elif opt == 10:
            reply(c, opt, 4, pack('>I', 5) + b'base:allocation')
            reply(c, opt, 1)
        elif opt == 7:
            reply(c, opt, 3, export(size, flags))
            if block:
                reply(c, opt, 3, pack('>HIII', 3, *block))
            reply(c, opt, 1)
            return
        else:
            reply(c, opt, 0x80000001)


def client(talk, *args, timeout=20):
    """Status and output of our client at a server that talks so."""
    f = Fake(talk)
    try:
        args = [a.replace('URI', f'nbd+unix:///?socket={f.sock}').replace(
            'SOCK', f.sock) for a in args or ('info', 'URI')]
        program = IMG
        if args[0] == 'list':
            program, args = NBD, ['-L', '-k', f.sock]
        p = subprocess.run(['sh', '-c', LIMIT + 'exec "$@"', 'sh', program] + args, cwd=path(''),
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, timeout=timeout)
    finally:
        f.end()
    return p.returncode, p.stdout.decode(errors='replace')


def must_fail(talk, *args):
    status, text = client(talk, *args)
    same(status, 1, text)
    has(text, 'tern-')


HELLOS = (
    b'', b'\0' * 18, b'NBDMAGIC', MAGIC + bytes(8) + b'\0\3',
    MAGIC + pack('>Q', 0x420281861253) + pack('>QI', 2 ** 64 - 1, 1),
    MAGIC + pack('>Q', 0x420281861253) + pack('>QI', MiB, 1) + bytes(60),
    MAGIC + OPTS + b'\0\0', MAGIC + OPTS + b'\xff\xff',
)


@test()
def greetings_of_bad_servers():
    for hello in HELLOS:
        def talk(c, hello=hello):
            c.sendall(hello)
            c.shutdown(socket.SHUT_WR)
            while c.recv(4096):
                pass
        for args in (('info', 'URI'), ('list',)):
            must_fail(talk, *args)


@test()
def replies_of_bad_servers():
    def answers(*replies):
        def talk(c):
            c.sendall(MAGIC + OPTS + pack('>H', 3))
            take(c, 4)
            for k, d in replies * 20:
                _, opt, n = struct.unpack('>8sII', take(c, 16))
                take(c, n)
                if callable(k):
                    k(c, opt)
                else:
                    reply(c, opt, k, d)
            while c.recv(4096):
                pass
        return talk
    err = 0x80000000
    for bad in (
            ((lambda c, o: reply(c, o, 1, magic=5), b''),),
            ((lambda c, o: reply(c, o + 1, 1), b''),),
            ((lambda c, o: reply(c, o, 1, length=0xffffffff), b''),),
            ((lambda c, o: reply(c, o, 3, length=0x7fffffff), b''),),
            ((err | 1, b'x' * 4096),), ((err | 2, b'%s%n' * 100),),
            ((err | 6, b'\xff\xfe\0' * 50),), ((err | 999, b''),),
            ((1, b'data in an acknowledgement'),),
            ((1, b''), (4, b''), (1, b'')), ((1, b''), (4, b'\0' * 3)),
            ((1, b''), (1, b''), (3, b'')), ((1, b''), (1, b''), (3, b'\0')),
            ((1, b''), (1, b''), (3, export(MiB, 1)[:-1])),
            ((1, b''), (1, b''), (3, export(2 ** 63, 1))),
            ((1, b''), (1, b''), (3, export(2 ** 64 - 1, 1))),
            ((1, b''), (1, b''), (3, pack('>HIII', 3, 0, 0, 0))),
            ((1, b''), (1, b''), (3, pack('>HIII', 3, 3, 5, 1))),
            ((1, b''), (1, b''), (3, pack('>HIII', 3, 1 << 31, 1 << 31, 1))),
            ((1, b''), (1, b''), (1, b'')), ((1, b''), (1, b''), (2, b''))):
        must_fail(answers(*bad))
        status, _ = client(answers(*bad), 'list')
        same(status in (0, 1), True, f'{bad}: {status}')


@test()
def lists_without_end():
    def talk(c):
        c.sendall(MAGIC + OPTS + pack('>H', 3))
        take(c, 4)
        while True:
            _, opt, n = struct.unpack('>8sII', take(c, 16))
            take(c, n)
            while opt == 3:
                reply(c, opt, 2, pack('>I', 4000) + b'n' * 4000)
            reply(c, opt, 1)
    must_fail(talk, 'list')


def requests(answer, **how):
    """After an honest handshake each request is answered so."""
    def talk(c):
        honest(c, **how)
        while True:
            _, flags, kind, handle, off, n = struct.unpack(
                '>IHHQQI', take(c, 28))
            if kind == 2:
                return
            if kind == 1:
                take(c, n)
            c.sendall(answer(kind, handle, off, n))
    return talk


def chunk(flags, kind, handle, data=b'', n=None):
    return pack('>IHHQI', 0x668e33ef, flags, kind, handle,
                len(data) if n is None else n) + data


BAD_ANSWERS = (
    lambda k, h, o, n: b'\0' * 16,
    lambda k, h, o, n: pack('>IIQ', 0x67446698, 0, h + 1),
    lambda k, h, o, n: pack('>IIQ', 0x67446698, 0, h),
    lambda k, h, o, n: chunk(1, 1, h ^ 0x100, pack('>Q', o) + bytes(n)),
    lambda k, h, o, n: chunk(1, 1, h, pack('>Q', o)),
    lambda k, h, o, n: chunk(1, 1, h, pack('>Q', o + n) + bytes(n)),
    lambda k, h, o, n: chunk(1, 1, h, pack('>Q', o) + bytes(n + 1)),
    lambda k, h, o, n: chunk(1, 1, h, pack('>Q', o - 1) + bytes(n)),
    lambda k, h, o, n: chunk(1, 1, h, pack('>Q', o) + bytes(9), 0xffffffff),
    lambda k, h, o, n: chunk(1, 2, h, pack('>QI', o, n + 1)),
    lambda k, h, o, n: chunk(1, 2, h, pack('>QI', 2 ** 64 - 1, n)),
    lambda k, h, o, n: chunk(1, 2, h, b'short'),
    lambda k, h, o, n: chunk(1, 5, h, b''),
    lambda k, h, o, n: chunk(1, 5, h, pack('>III', 5, 0, 0)),
    lambda k, h, o, n: chunk(1, 5, h, pack('>IIII', 5, 1, 0, 1)),
    lambda k, h, o, n: chunk(1, 0, h, b'data'),
    lambda k, h, o, n: chunk(1, 32769, h, b''),
    lambda k, h, o, n: chunk(1, 32769, h, pack('>IH', 5, 60000)),
    lambda k, h, o, n: chunk(1, 99, h, b'?'),
    lambda k, h, o, n: chunk(1, 33000, h, pack('>IH', 5, 0)),
)


@test()
def answers_of_bad_servers():
    for i, answer in enumerate(BAD_ANSWERS):
        status, text = client(requests(answer), 'convert', '-f', 'raw', '-O',
                              'raw', 'URI', 'out.raw')
        same(status, 1, f'answer {i}: {text}')


@test()
def restrictions_of_servers():
    """Odd block sizes and sizes are kept to or refused."""
    seen = []

    def answer(k, h, o, n):
        seen.append((k, o, n))
        return chunk(1, 1, h, pack('>Q', o) + bytes(n)) if k == 0 else \
            chunk(1, 5, h, pack('>III', 5, n, 0)) if k == 7 else \
            pack('>IIQ', 0x67446698, 0, h)
    status, text = client(requests(answer, block=(4096, 4096, 65536)),
                          'convert', '-f', 'raw', '-O', 'raw', 'URI', 'out.raw')
    same(status, 0, text)
    same([s for s in seen if s[1] % 4096 or s[2] % 4096 or
          (s[0] < 2 and s[2] > 65536)], [], 'requests')
    seen.clear()
    status, text = client(requests(answer, size=MiB + 100), 'convert', '-f',
                          'raw', '-O', 'raw', 'URI', 'out.raw')
    same(status, 0, text)
    same([s for s in seen if s[1] + s[2] > MiB + 100], [], 'past the end')


@test()
def contexts_that_never_end():
    """A server whose extents are one byte long is slow, not fatal."""
    def answer(k, h, o, n):
        return chunk(1, 5, h, pack('>III', 5, 1, 0)) if k == 7 else \
            chunk(1, 1, h, pack('>Q', o) + bytes(n))
    status, _ = client(requests(answer, size=4096), 'map', '-f', 'raw', 'URI',
                       timeout=60)
    same(status, 0)


@test()
def nonsense_of_servers():
    r = random.Random(5)
    for _ in range(120):
        words = [pack('>I', 0x668e33ef), pack('>I', 0x67446698), bytes(4),
                 pack('>HH', 1, r.choice((0, 1, 2, 5, 32769))),
                 pack('>QI', r.randrange(5), r.randrange(70000)),
                 r.randbytes(6), pack('>QI', 256, 12)]

        def answer(*_):
            return b''.join(r.choice(words) for _ in range(12))
        status, text = client(requests(answer), 'dd', '-f', 'raw', '-O', 'raw',
                              'if=URI', 'of=out.raw')
        same(status, 1, text)


main()
