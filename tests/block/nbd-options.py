#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# tern-nbd option by option: what it says of bad command lines is what the peer
# says; both servers show the same to both programs' --list; each option does
# what it is for.

import json
import os
import re
import resource
import shlex
import socket
import struct
import subprocess
import time

from libnbdside import (IMG, IO, NBD, PEER_IMG, PEER_NBD, Raw, Server, has,
                        main, path, random_file, read_file, run, same, test,
                        wait_for)

MiB = 1 << 20

# Lines that must fail alike; "~": only the status is compared, the words are
# the option parser's.
LINES = '''
~
~a.raw b.raw
-f nosuch a.raw
-f qcow2 a.raw
nofile
-p abc a.raw
-k rel a.raw
-k /nodir/x -f raw a.raw
-e -1 a.raw
-e abc a.raw
-e 99999999999999999999 a.raw
-o abc a.raw
-o 2M -f raw a.raw
-o -1 -f raw a.raw
-o 1048577 -f raw a.raw
--cache=foo a.raw
--cache=none --cache=none a.raw
-n --cache=none a.raw
--aio=foo a.raw
--aio=native -f raw a.raw
--aio=threads --aio=threads a.raw
--discard=foo a.raw
--discard=unmap --discard=unmap a.raw
--detect-zeroes=foo a.raw
--detect-zeroes=unmap --discard=ignore a.raw
--image-opts -f raw driver=raw,file.filename=a.raw
--image-opts foo
--image-opts driver=raw,file.filename=nofile
-l snap -f qcow2 q.qcow2
-l snap -f raw a.raw
-l snapshot.id=3 q.qcow2
-l snapshot.foo=3 q.qcow2
-l snapshot.name=zz q.qcow2
-s -l x q.qcow2
-L a.raw
-L -k /nosuch
-L -p 1
-L -x foo
-L -f raw
-L -l x
-L -D foo
-L -o 1
-L -A
-L -B x
-L --fork
-L -c /dev/nbd0
-L -e abc
-d /dev/nosuch
-d a.raw
~-d /dev/nosuch a.raw
~-d
-d -e foo /dev/nosuch
-c /dev/nosuch a.raw
-c /dev/nosuch -f raw a.raw
-c /dev/null -f raw a.raw
--tls-creds=foo a.raw
--tls-creds=foo -k /nodir/x -f raw a.raw
--tls-creds=foo -k rel a.raw
--tls-authz=foo a.raw
--tls-hostname=foo a.raw
--tls-hostname=foo --tls-creds=x a.raw
--tls-hostname=x -L -k /x
--tls-creds=foo -c /dev/nosuch a.raw
--tls-authz=x --tls-creds=foo -L
--tls-creds=foo -L
--object secret,id=s a.raw
--object foo,id=s a.raw
--object secret,id=s,data=x --tls-creds=s a.raw
-B foo -f qcow2 q.qcow2
-B foo -f raw a.raw
-b 300.1.1.1 -p 1 -f raw a.raw
-b 192.0.2.1 -p 10809 -f raw a.raw
--pid-file=/nodir/x -k FOLDER/sk -f raw a.raw
--fork nofile
--fork -f qcow2 a.raw
--fork --pid-file=/nodir/x -k FOLDER/sk -f raw a.raw
--selinux-label=x -L
~--foo
~-Z
~--port
~-P 1 a.raw
-k FOLDER/sk -p 1 nofile
-c /dev/nbd0 -k FOLDER/sk nofile
-f raw -f qcow2 a.raw
-v nofile
-s -f raw nofile
--aio=native -n nofile
'''


def said(program, line):
    args = shlex.split(line.replace('FOLDER', path('')))
    p = subprocess.run([program] + args, cwd=path(''), timeout=30,
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE)
    text = (p.stdout + b'--' + p.stderr).decode().replace('tern-nbd', 'qemu-nbd')
    text = re.sub(r' +Fix: format=raw.*\n', '', text)   # the peer has none
    return p.returncode, text


def cpu_ticks(pid):
    with open(f'/proc/{pid}/stat', encoding='utf-8') as f:
        return sum(int(n) for n in f.read().rsplit(')', 1)[1].split()[11:13])


def images():
    with open(path('a.raw'), 'wb') as f:
        f.truncate(MiB)
    run(IMG, 'create', '-q', '-f', 'qcow2', path('q.qcow2'), '1M')


@test(['qemu-nbd'])
def bad_command_lines():
    images()
    faults = []
    for line in LINES.strip().split('\n'):
        words = line.lstrip('~')
        want, got = said(PEER_NBD, words), said(NBD, words)
        if got[0] != want[0] or (line[:1] != '~' and got[1] != want[1]):
            faults.append(f'{line}\n  peer {want}\n  ours {got}')
    same('\n'.join(faults), '')


@test(['qemu-nbd'])
def lists_agree():
    """Two servers, two programs that list: four times the same text."""
    images()
    faults = []
    for line in ('-f raw a.raw', '-f raw -e 2 a.raw', '-f raw -e 0 a.raw',
                 '-f raw -r a.raw', '-f raw -r -e 2 a.raw',
                 '-f qcow2 -e 2 q.qcow2', '-f raw -s -e 2 a.raw',
                 '-f raw --discard=ignore a.raw', '-f raw --cache=none a.raw',
                 '-f raw --cache=writethrough a.raw', '-f raw -A a.raw',
                 '-f qcow2 -A q.qcow2', '-f raw -o 512 a.raw',
                 '-f raw -D "some words" -x name a.raw',
                 '--image-opts driver=raw,size=4096,file.filename=a.raw'):
        texts = []
        for server in (PEER_NBD, NBD):
            s = Server('-t', *shlex.split(line), program=server)
            texts += [run(p, '-L', '-k', s.sock) for p in (PEER_NBD, NBD)]
            same(s.stop(), 0, 'status')
        if len(set(texts)) != 1:
            faults.append(line + '\n' + '\n'.join(texts))
    same('\n'.join(faults), '')


@test(['nbdinfo'])
def info_is_what_was_asked():
    images()
    s = Server('-t', '-f', 'raw', '-x', 'n', '-D', 'words', '-r', 'a.raw')
    got = json.loads(run('nbdinfo', '--no-content', '--json', s.uri('n')))
    e = got['exports'][0]
    same([e['export-name'], e['description'], e['export-size'],
          e['is_read_only'], e['can_multi_conn'], e['can_df']],
         ['n', 'words', MiB, True, False, True])
    run('nbdinfo', '--json', s.uri('other'), status=1)
    got = json.loads(run('nbdinfo', '--no-content', '--list', '--json',
                         s.uri('')))
    same([e['export-name'] for e in got['exports']], ['n'])


@test()
def ends_with_its_last_client():
    images()
    s = Server('-f', 'raw', 'a.raw')
    run(IMG, 'info', s.uri())
    same(s.wait(), 0, 'status')
    same(os.path.exists(s.sock), False, 'socket')
    s = Server('-t', '-f', 'raw', 'a.raw')
    for _ in range(3):
        run(IMG, 'info', s.uri())
    same(s.stop(), 0, 'status')
    same(os.path.exists(s.sock), False, 'socket')


@test()
def clients_are_counted():
    images()
    s = Server('-t', '-e', '2', '-f', 'raw', 'a.raw')
    a, b = Raw(s.sock), Raw(s.sock)
    c = socket.socket(socket.AF_UNIX)
    c.connect(s.sock)
    c.settimeout(0.3)
    try:
        same(c.recv(18), None, 'a third is not greeted')
    except socket.timeout:
        pass
    a.close()
    c.settimeout(10)
    same(c.recv(8), b'NBDMAGIC', 'when one goes')
    b.close()
    c.close()
    s = Server('-t', '-e', '0', '-f', 'raw', 'a.raw')
    many = [Raw(s.sock) for _ in range(50)]
    same(len([m.go() for m in many]), 50)


@test()
def in_the_background():
    images()
    sock, pid = path('fork'), path('pid')
    env = dict(os.environ)
    run(NBD, '--fork', '--pid-file', pid, '-t', '-k', sock, '-f', 'raw', 'a.raw',
        env=env)
    n = int(read_file('pid'))
    run(IMG, 'info', f'nbd+unix:///?socket={sock}')
    same(os.readlink(f'/proc/{n}/fd/1'), '/dev/null')
    os.kill(n, 15)
    wait_for(lambda: not os.path.exists(pid))
    same(os.path.exists(sock), False, 'socket')


@test()
def without_descriptors_left():
    """Who cannot be let in is sent away; the server neither ends nor spins."""
    images()
    s = Server('-t', '-e', '0', '-f', 'raw', 'a.raw')
    first = Raw(s.sock)
    first.go()
    used = max(int(n) for n in os.listdir(f'/proc/{s.p.pid}/fd'))
    resource.prlimit(s.p.pid, resource.RLIMIT_NOFILE, (used + 3, used + 40))
    many, away = [], 0
    for _ in range(20):
        c = socket.socket(socket.AF_UNIX)
        c.settimeout(10)
        c.connect(s.sock)
        away += c.recv(18) == b''
        many.append(c)
    same(away >= 10, True, f'{away} of 20 are sent away')
    began = cpu_ticks(s.p.pid)
    time.sleep(0.5)
    same(cpu_ticks(s.p.pid) - began < 20, True, 'it is idle')
    for c in many:
        c.close()
    resource.prlimit(s.p.pid, resource.RLIMIT_NOFILE, (used + 40, used + 40))
    same(Raw(s.sock).go() > 0, True, 'later ones are let in')
    same(s.stop(), 0)


def sectors(first, count, generation):
    """Each says where it is and of when."""
    return b''.join(struct.pack('>QQ', i, generation) * 32
                    for i in range(first, first + count))


@test()
def reads_beside_writes():
    """Answers that wait in sockets while their clusters are freed and taken for
    other places: what is read was there once, before or after."""
    size, part = 8 * MiB, 256 * 1024
    with open(path('old.raw'), 'wb') as f:
        f.write(sectors(0, size // 512, 0))
    run(IMG, 'convert', '-O', 'qcow2', path('old.raw'), path('w.qcow2'))
    s = Server('-t', '-e', '0', '--discard=unmap', '-f', 'qcow2', 'w.qcow2')
    reader, writer = Raw(s.sock), Raw(s.sock)
    reader.go()
    writer.go()
    asked = [k * 37 * 65536 % (size - part) for k in range(24)]
    for k, off in enumerate(asked):
        reader.put(struct.pack('>IHHQQI', 0x25609513, 0, 0, k, off, part))
    for k in range(size // part):
        off = (size // part - 1 - k) * part
        writer.put(struct.pack('>IHHQQI', 0x25609513, 0, 4, 0, off, part))
        same(writer.get(16)[4:8], bytes(4), 'trim')
        off = k * part
        writer.put(struct.pack('>IHHQQI', 0x25609513, 0, 1, 0, off, part) +
                   sectors(off // 512, part // 512, 1))
        same(writer.get(16)[4:8], bytes(4), 'write')
    for _ in asked:
        head = reader.get(16)
        same(head[:8], struct.pack('>II', 0x67446698, 0), 'answer')
        off = asked[struct.unpack('>Q', head[8:])[0]]
        data = reader.get(part)
        for i in range(0, part, 512):
            n = (off + i) // 512
            assert data[i:i + 512] in (sectors(n, 1, 0), sectors(n, 1, 1),
                                       bytes(512)), f'foreign data at {n}'
    same(s.stop(), 0)


@test()
def over_tcp():
    images()
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    s = Server('-t', '-b', '127.0.0.1', '-p', str(port), '-f', 'raw', 'a.raw',
               own='tcp')
    wait_for(lambda: 'exports' in run(NBD, '-L', '-b', '127.0.0.1', '-p',
                                      str(port), status=None))
    has(run(IMG, 'info', f'nbd://127.0.0.1:{port}'), '1 MiB (1048576 bytes)')
    same(s.stop(), 0)


@test()
def sockets_may_be_passed_in():
    images()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path('passed'))
    listener.listen(5)
    script = ('exec 3<&%d; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"' %
              listener.fileno())
    p = subprocess.Popen(['sh', '-c', script, 'sh', NBD, '-f', 'raw', 'a.raw'],
                         cwd=path(''), pass_fds=[listener.fileno()])
    listener.close()
    try:
        run(IMG, 'info', f'nbd+unix:///?socket={path("passed")}')
        same(p.wait(20), 0, 'status')
    finally:
        p.kill()
        p.wait()
    for line, words in (('-p 1', 'The -p/--port option'),
                        ('-b x', 'The -b/--bind option'),
                        ('-k /x', 'Unix socket')):
        out = run('sh', '-c', 'LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"', 'sh', NBD,
                  *line.split(), 'a.raw', status=1)
        has(out, words + " can't be set when using socket activation")


@test()
def writes_may_be_refused_or_forgotten():
    want = random_file('w.raw', MiB)
    data = read_file('w.raw')
    s = Server('-t', '-r', '-f', 'raw', want)
    c = Raw(s.sock)
    same(c.go() & 2, 2, 'read-only flag')
    for kind, n in ((1, 512), (4, 512), (6, 512)):
        c.request(kind, 0, n, b'x' * n if kind == 1 else b'')
        same(c.simple()[0], 1, f'EPERM of {kind}')
    s.stop()
    s = Server('-t', '-s', '-f', 'raw', want)
    c = Raw(s.sock)
    c.go()
    c.request(1, 0, 4096, b'x' * 4096)
    same(c.simple()[0], 0)
    c.request(0, 0, 8192)
    same(c.simple()[0], 0)
    same(c.get(8192), b'x' * 4096 + data[4096:8192])
    s.stop()
    same(read_file('w.raw') == data, True, 'the file')


@test(['qemu-img', 'qemu-io'])
def snapshots_are_shown():
    run(IMG, 'create', '-q', '-f', 'qcow2', 'sn.qcow2', '1M')
    run('qemu-io', '-c', 'write -P 1 0 1M', 'sn.qcow2')
    run(PEER_IMG, 'snapshot', '-c', 'one', 'sn.qcow2')
    run('qemu-io', '-c', 'write -P 2 0 1M', 'sn.qcow2')
    for word in ('one', '1', 'snapshot.name=one', 'snapshot.id=1,'
                 'snapshot.name=one'):
        s = Server('-t', '-f', 'qcow2', '-l', word, 'sn.qcow2')
        c = Raw(s.sock)
        same(c.go() & 2, 2, 'read-only')
        c.request(0, 0, 65536)
        same(c.simple()[0], 0)
        same(c.get(65536), b'\1' * 65536, word)
        c.close()
        s.stop()


@test()
def parts_of_an_image():
    random_file('o.raw', MiB)
    data = read_file('o.raw')
    s = Server('-t', '-o', '4608', '-f', 'raw', 'o.raw')
    c = Raw(s.sock)
    c.go()
    same(c.size, MiB - 4608)
    c.request(0, 100, 1000)
    same(c.simple()[0], 0)
    same(c.get(1000), data[4708:5708])
    s.stop()
    s = Server('-t', '--image-opts',
               'driver=raw,offset=512,size=1024,file.filename=o.raw')
    c = Raw(s.sock)
    c.go()
    same(c.size, 1024)


@test()
def large_reads_show_what_is_there():
    data = os.urandom(4 * MiB)
    with open(path('l.raw'), 'wb') as f:
        f.write(data)
    run(IMG, 'convert', '-O', 'qcow2', 'l.raw', 'l.qcow2')
    places = [(i * 77777 % (3 * MiB), 1 + i * 12347 % 700000)
              for i in range(40)]
    for args in (('-f', 'raw', 'l.raw'), ('-r', '-f', 'raw', 'l.raw'),
                 ('-f', 'qcow2', 'l.qcow2'), ('-r', '-f', 'qcow2', 'l.qcow2'),
                 ('-f', 'raw', '--cache=none', 'l.raw')):
        s = Server('-t', *args)
        for structured in (False, True):
            c = Raw(s.sock)
            c.go(structured=structured)
            for i, (off, n) in enumerate(places):
                c.request(0, off, n, handle=i)
            for _ in places:
                if structured:
                    flags, kind, handle, got = c.chunk()
                    off, n = places[handle]
                    same((flags, kind, struct.unpack('>Q', got[:8])[0]),
                         (1, 1, off), args)
                    got = got[8:]
                else:
                    err, handle = c.simple()
                    same(err, 0, args)
                    off, n = places[handle]
                    got = c.get(n)
                same(got == data[off:off + n], True, f'{args} {off} {n}')
            c.close()
        s.stop()


def read_in_chunks(c, off, n, flags=0):
    """What a structured read shows; the kinds of its chunks."""
    c.request(0, off, n, flags=flags, handle=5)
    got, seen, done = bytearray(b'?' * n), [], 0
    while not done:
        done, kind, handle, data = c.chunk()
        at = struct.unpack('>Q', data[:8])[0] - off
        if kind == 2:
            data = data[:8] + bytes(struct.unpack('>I', data[8:])[0])
        same((handle, kind in (1, 2), at), (5, True, sum(s for _, s in seen)))
        seen.append((kind, len(data) - 8))
        got[at:at + len(data) - 8] = data[8:]
    return bytes(got), seen


@test()
def holes_are_told_in_replies():
    data = bytearray(4 * MiB)
    with open(path('h.raw'), 'wb') as f:
        for at in (0, 192 * 1024, MiB, 2 * MiB + 4096, 3 * MiB):
            data[at:at + 65536] = os.urandom(65536)
            f.seek(at)
            f.write(data[at:at + 65536])
        for at in range(3 * MiB + 131072, 4 * MiB, 16384):
            data[at:at + 4096] = os.urandom(4096)
            f.seek(at)
            f.write(data[at:at + 4096])
        f.truncate(4 * MiB)
    run(IMG, 'convert', '-O', 'qcow2', 'h.raw', 'h.qcow2')
    run(IMG, 'create', '-f', 'qcow2', '-F', 'qcow2', '-b', 'h.qcow2',
        'h2.qcow2')
    run(IO, '-c', 'write -z 0 64k', '-c', 'write -P 7 640k 64k', 'h2.qcow2')
    over = bytearray(data)
    over[:65536] = bytes(65536)
    over[640 * 1024:704 * 1024] = b'\7' * 65536
    for args, want in ((('-r', '-f', 'qcow2', 'h2.qcow2'), over),
                       (('-f', 'raw', 'h.raw'), data),
                       (('-f', 'qcow2', 'h.qcow2'), data)):
        s = Server('-t', *args)
        c = Raw(s.sock)
        c.go(structured=True)
        got, seen = read_in_chunks(c, 256 * 1024, 256 * 1024)
        same((got, seen), (bytes(256 * 1024), [(2, 256 * 1024)]), args)
        got, seen = read_in_chunks(c, MiB - 100, 200 * 1024)
        same(got, want[MiB - 100:MiB - 100 + 200 * 1024], args)
        same(max(k for k, _ in seen), 2, args)
        same(read_in_chunks(c, 0, 4 * MiB)[0] == want, True, args)
        # a client that cannot put parts together
        got, seen = read_in_chunks(c, MiB - 65536, 200 * 1024, flags=4)
        same(seen, [(1, 200 * 1024)], args)
        for i in range(40):
            off, n = i * 77777 % (3 * MiB), 1 + i * 12347 % 900000
            same(read_in_chunks(c, off, n)[0] == want[off:off + n], True,
                 f'{args} {off} {n}')
        if '-r' not in args:           # what is written is no hole any more
            c.request(1, 300 * 1024, 3, b'abc')
            same(c.simple()[0], 0)
            same(read_in_chunks(c, 256 * 1024, 65536)[0][44 * 1024:][:4],
                 b'abc\0', args)
        c.close()
        s.stop()


@test()
def file_that_shrinks_under_a_reply():
    with open(path('l.raw'), 'wb') as f:
        f.write(b'x' * 4 * MiB)
    s = Server('-t', '-f', 'raw', 'l.raw')
    c = Raw(s.sock)
    c.go()
    for i in range(8):
        c.request(0, 0, 4 * MiB, handle=i)
    time.sleep(0.2)
    os.truncate(path('l.raw'), MiB)
    for i in range(8):
        same(c.simple(), (0, i))
        same(len(c.get(4 * MiB)), 4 * MiB)
    os.truncate(path('l.raw'), 4 * MiB)
    c.request(1, MiB, 4, b'abcd')
    same(c.simple()[0], 0)
    c.request(0, MiB, 40000)
    same(c.simple()[0], 0)
    same(c.get(40000), b'abcd' + bytes(39996))
    s.stop()


@test()
def zeroes_may_be_detected():
    for mode, most in (('off', None), ('on', None), ('unmap', 0)):
        random_file('z.raw', MiB)
        s = Server('-t', '-f', 'raw', f'--detect-zeroes={mode}',
                   '--discard=unmap', 'z.raw')
        c = Raw(s.sock)
        c.go()
        c.request(1, 0, MiB, bytes(MiB))
        same(c.simple()[0], 0)
        c.request(3)
        same(c.simple()[0], 0)
        s.stop()
        blocks = os.stat(path('z.raw')).st_blocks
        same(read_file('z.raw') == bytes(MiB), True)
        same(blocks <= most if most is not None else blocks > 0, True,
             f'{mode}: {blocks}')


@test()
def trims_reach_the_file():
    for mode, frees in (('unmap', True), ('ignore', False)):
        random_file('t.raw', MiB)
        s = Server('-t', '-f', 'raw', f'--discard={mode}', 't.raw')
        c = Raw(s.sock)
        c.go()
        c.request(4, 0, MiB)
        same(c.simple()[0], 0)
        s.stop()
        same(os.stat(path('t.raw')).st_blocks == 0, frees, mode)


@test()
def caches_and_engines():
    """All that can be combined serves the same bytes."""
    random_file('c.raw', MiB)
    data = read_file('c.raw')
    for cache in ('none', 'writeback', 'writethrough', 'directsync', 'unsafe'):
        for aio in ('threads', 'native', 'io_uring'):
            if aio == 'native' and cache not in ('none', 'directsync'):
                continue
            s = Server('-t', '-f', 'raw', f'--cache={cache}', f'--aio={aio}',
                       'c.raw')
            c = Raw(s.sock)
            c.go()
            c.request(1, 300, 5000, data[300:5300])
            same(c.simple()[0], 0, f'{cache} {aio}')
            c.request(0, 1, MiB - 1)
            same(c.simple()[0], 0, f'{cache} {aio}')
            same(c.get(MiB - 1) == data[1:], True, f'{cache} {aio}')
            s.stop()


@test(['qemu-nbd', 'qemu-img', 'qemu-io', 'nbdinfo'])
def depth_and_allocation():
    """nbdinfo --map sees the same on both servers."""
    run(PEER_IMG, 'create', '-q', '-f', 'qcow2', 'base.qcow2', '4M')
    run('qemu-io', '-c', 'write 0 1M', '-c', 'write -z 2M 128k', 'base.qcow2')
    run(PEER_IMG, 'create', '-q', '-f', 'qcow2', '-b', 'base.qcow2', '-F',
        'qcow2', 'top.qcow2', '5M')
    run('qemu-io', '-c', 'write 512k 1M', '-c', 'write -z 3M 64k', 'top.qcow2')
    random_file('holes.raw', MiB, holes=True)
    for args in (('-f', 'qcow2', 'top.qcow2'), ('-f', 'raw', 'holes.raw'),
                 ('-f', 'qcow2', 'base.qcow2')):
        for context in ('base:allocation', 'qemu:allocation-depth'):
            texts = []
            for program in (PEER_NBD, NBD):
                s = Server('-t', '-A', *args, program=program)
                texts.append(run('nbdinfo', f'--map={context}', s.uri()))
                s.stop()
            same(texts[1], texts[0], f'{args} {context}')


@test(['qemu-nbd', 'qemu-img', 'qemu-io', 'nbdinfo'])
def dirty_bitmaps():
    """Of an image and of what lies below it, as the peer shows them."""
    run(PEER_IMG, 'create', '-q', '-f', 'qcow2', 'bm.qcow2', '4M')
    run(PEER_IMG, 'bitmap', '--add', 'bm.qcow2', 'b0')
    run(PEER_IMG, 'bitmap', '--add', '--disable', 'bm.qcow2', 'b2')
    run('qemu-io', '-c', 'write 1M 256k', '-c', 'write 3M 1k', 'bm.qcow2')
    run(PEER_IMG, 'bitmap', '--merge', 'b0', 'bm.qcow2', 'b2')
    run(PEER_IMG, 'create', '-q', '-f', 'qcow2', '-b', 'bm.qcow2', '-F',
        'qcow2', 'bt.qcow2')
    for line in ('-r -B b0 bm.qcow2', '-B b2 bm.qcow2', '-B b2 -B b0 bm.qcow2',
                 '-r -B b0 bt.qcow2', '-r -s -B b2 bm.qcow2'):
        texts = []
        for program in (PEER_NBD, NBD):
            s = Server('-t', '-f', 'qcow2', *line.split(), program=program)
            texts.append([run(PEER_NBD, '-L', '-k', s.sock)] +
                         [run('nbdinfo', f'--map=qemu:dirty-bitmap:{b}',
                              s.uri())
                          for b in ('b0', 'b2') if f'-B {b}' in line])
            s.stop()
        same(texts[1], texts[0], line)
    s = Server('-t', '-f', 'qcow2', '-B', 'b2', 'bm.qcow2')
    out = run(IMG, 'map', '--output=json', '--image-opts', 'driver=nbd,'
              f'server.type=unix,server.path={s.sock},'
              'x-dirty-bitmap=qemu:dirty-bitmap:b2')
    same([(e['start'], e['length']) for e in json.loads(out) if not e['data']],
         [(MiB, 262144), (3 * MiB, 65536)])


@test()
def help_and_version():
    out = run(NBD, '--help')
    for word in ('-k, --socket path', '--tls-creds id', '-A, ', '--fork'):
        has(out, word)
    same(bool(re.match(r'tern-nbd (version )?\S+', run(NBD, '--version'))), True)


main()
