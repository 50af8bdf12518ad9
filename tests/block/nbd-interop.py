#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# NBD between programs: ours serves to nbdcopy, qemu-img and qemu-io; our client
# reads and writes what qemu-nbd and nbdkit serve, with the restrictions that
# nbdkit's filters make; random requests against a flat file; TLS of each kind
# in both directions; a client that connects again.

import os
import random
import socket
import struct
import subprocess
import threading

from libnbdside import (IMG, NBD, PEER_IMG, PEER_NBD, Raw, Server, has, main,
                        path, random_file, read_file, run, same, test)

MiB = 1 << 20


def flat(size, seed):
    """A file and requests of qemu-io with what the file is after them."""
    r = random.Random(seed)
    data = bytearray(size)
    words = []
    for _ in range(60):
        off = r.randrange(size)
        n = min(r.choice((1, 511, 512, 4096, 70000, 300000)), size - off)
        kind = r.randrange(4)
        if kind < 2:
            pat = r.randrange(1, 256)
            words += ['-c', f'write -P {pat} {off} {n}']
            data[off:off + n] = bytes([pat]) * n
        elif kind == 2:
            words += ['-c', f'write -z{"u" * r.randrange(2)} {off} {n}']
            data[off:off + n] = bytes(n)
        else:
            words += ['-c', r.choice(('flush', f'read {off} {n}'))]
    return words, bytes(data)


# ---- our server ----------------------------------------------------------------

def serve_random(fmt, opts, extra):
    words, want = flat(3 * MiB + 512, len(fmt + opts))
    create = ['-o', opts] if opts else []
    run(IMG, 'create', '-q', '-f', fmt, *create, f'r.{fmt}', str(len(want)))
    s = Server('-t', '-f', fmt, *extra, f'r.{fmt}')
    run('qemu-io', '-f', 'raw', *words, s.uri())
    run(PEER_IMG, 'convert', '-f', 'raw', s.uri(), 'got.raw')
    s.stop()
    same(read_file('got.raw')[:len(want)] == want, True, f'{fmt} by NBD')
    with open(path('want.raw'), 'wb') as f:
        f.write(want)
    run(PEER_IMG, 'compare', '-f', 'raw', '-F', fmt, 'want.raw', f'r.{fmt}')


@test(['qemu-img', 'qemu-io'])
def random_requests_to_us():
    for fmt, opts, extra in (('raw', '', ()), ('qcow2', '', ()),
                             ('qcow2', 'cluster_size=4k', ('--cache=none',)),
                             ('vmdk', '', ()), ('qed', '', ()),
                             ('raw', '', ('--cache=directsync',
                                          '--aio=native'))):
        serve_random(fmt, opts, extra)


@test(['nbdcopy', 'qemu-img'])
def nbdcopy_both_ways():
    random_file('src.raw', 32 * MiB, holes=True)
    want = read_file('src.raw')
    for fmt in ('raw', 'qcow2'):
        for flags in ((), ('--connections=4', '--requests=32'),
                      ('--synchronous',), ('--destination-is-zero',)):
            run(IMG, 'create', '-q', '-f', fmt, 'dst', str(32 * MiB))
            s = Server('-t', '-e', '4', '-f', fmt, 'dst')
            run('nbdcopy', *flags, 'src.raw', s.uri())
            run('nbdcopy', *[f for f in flags if 'zero' not in f], s.uri(),
                'back.raw')
            s.stop()
            same(read_file('back.raw') == want, True, f'{fmt} {flags}')
    a = Server('-t', '-e', '0', '-f', 'raw', 'src.raw')
    run(IMG, 'create', '-q', '-f', 'qcow2', 'dst', str(32 * MiB))
    b = Server('-t', '-e', '0', '-f', 'qcow2', 'dst')
    run('nbdcopy', a.uri(), b.uri())
    b.stop()
    run(PEER_IMG, 'compare', '-f', 'raw', '-F', 'qcow2', 'src.raw', 'dst')


@test(['qemu-img'])
def convert_through_us():
    random_file('cv.raw', 8 * MiB, holes=True)
    run(IMG, 'create', '-q', '-f', 'qcow2', 'cv.qcow2', '8M')
    s = Server('-t', '-f', 'qcow2', 'cv.qcow2')
    run(PEER_IMG, 'convert', '-n', '-f', 'raw', '-O', 'raw', 'cv.raw', s.uri())
    run(PEER_IMG, 'compare', '-f', 'raw', '-F', 'raw', 'cv.raw', s.uri())
    has(run(PEER_IMG, 'map', '-f', 'raw', '--output=json', s.uri()),
        '"zero": true')
    run(IMG, 'compare', '-f', 'raw', '-F', 'raw', 'cv.raw', s.uri())
    s.stop()


# ---- our client ----------------------------------------------------------------

@test(['qemu-nbd', 'qemu-img'])
def we_read_and_write_the_peer():
    random_file('p.raw', 8 * MiB, holes=True)
    for fmt in ('raw', 'qcow2'):
        run(PEER_IMG, 'create', '-q', '-f', fmt, 'pd', '8M')
        s = Server('-t', '-e', '3', '-f', fmt, 'pd', program=PEER_NBD)
        run(IMG, 'convert', '-n', '-f', 'raw', '-O', 'raw', 'p.raw', s.uri())
        run(IMG, 'compare', '-f', 'raw', '-F', 'raw', 'p.raw', s.uri())
        same(run(IMG, 'map', '-f', 'raw', '--output=json', s.uri()),
             run(PEER_IMG, 'map', '-f', 'raw', '--output=json', s.uri()))
        run(IMG, 'convert', '-f', 'raw', '-O', 'qcow2', s.uri(), 'back.qcow2')
        s.stop()
        run(PEER_IMG, 'compare', 'p.raw', 'back.qcow2')


FILTERS = (
    (),
    ('--filter=noextents',),
    ('--filter=nozero',),
    ('--filter=nozero', '--filter=fua', 'fuamode=discard'),
    ('--filter=fua', 'fuamode=force'),
    ('--filter=blocksize-policy', 'blocksize-minimum=4096',
     'blocksize-preferred=64k', 'blocksize-maximum=1M',
     'blocksize-error-policy=error'),
    ('--filter=noparallel', '--no-sr'),
    ('--filter=delay', 'rdelay=1ms', 'wdelay=1ms'),
    ('--filter=checkwrite',),
    ('--mask-handshake=0',),
    ('-o',),
    ('-e', 'some name'),
)


@test(['nbdkit', 'qemu-img'])
def we_read_and_write_nbdkit():
    random_file('k.raw', 4 * MiB, holes=True)
    for f in FILTERS:
        writes = '--filter=checkwrite' not in f and '-o' not in f
        with open(path('kd.raw'), 'wb') as out:
            out.write(bytes(4 * MiB) if writes else read_file('k.raw'))
        options = [o for o in f if o[0] == '-' and o != '-e']
        values = [o for o in f if o[0] != '-']
        if '-e' in f:
            options, values = ['-e', 'some name'], []
        s = Server('-f', '-U', 'SOCK', *options, 'file', path('kd.raw'),
                   *values, program='nbdkit', own=path('kit'))
        uri = s.uri('some%20name' if '-e' in f else '')
        if writes:
            run(IMG, 'convert', '-n', '-f', 'raw', '-O', 'raw', 'k.raw', uri)
        run(IMG, 'compare', '-f', 'raw', '-F', 'raw', 'k.raw', uri)
        s.stop()
        same(read_file('kd.raw') == read_file('k.raw'), True, f'{f}')


@test(['nbdkit'])
def errors_of_a_server_are_reported():
    for kind, word in (('EIO', 'Input/output error'),
                       ('ENOSPC', 'No space left on device'),
                       ('EPERM', 'Operation not permitted')):
        s = Server('-f', '-U', 'SOCK', '--filter=error', 'memory', '1M',
                   f'error={kind}', 'error-pread-rate=100%', program='nbdkit',
                   own=path('kit'))
        has(run(IMG, 'dd', '-f', 'raw', '-O', 'raw', f'if={s.uri()}',
                'of=out.raw', status=1), word)
        s.stop()


# ---- TLS -----------------------------------------------------------------------

def certificates():
    """A folder with an authority, a server's and a client's certificate."""
    d = path('pki')
    if os.path.isdir(d):
        return d
    os.mkdir(d)

    def make(name, issuer, template):
        with open(f'{d}/t', 'w', encoding='utf-8') as f:
            f.write(template)
        run('certtool', '--generate-privkey', '--key-type=ecdsa', '--outfile',
            f'{d}/{name}-key.pem')
        sign = ['--generate-certificate', '--load-ca-certificate',
                f'{d}/ca-cert.pem', '--load-ca-privkey', f'{d}/ca-key.pem'] \
            if issuer else ['--generate-self-signed']
        run('certtool', *sign, '--load-privkey', f'{d}/{name}-key.pem',
            '--template', f'{d}/t', '--outfile', f'{d}/{name}-cert.pem')
    make('ca', False, 'cn = "Authority"\nca\ncert_signing_key\n'
         'expiration_days = 10\n')
    make('server', True, 'cn = "localhost"\ndns_name = "localhost"\n'
         'ip_address = "127.0.0.1"\ntls_www_server\nsigning_key\n'
         'encryption_key\nexpiration_days = 10\n')
    make('client', True, 'cn = "some client"\ntls_www_client\nsigning_key\n'
         'encryption_key\nexpiration_days = 10\n')
    return d


def keys():
    d = path('psk')
    if not os.path.isdir(d):
        os.mkdir(d)
        run('psktool', '-u', 'alice', '-p', f'{d}/keys.psk')
    return d


KINDS = {
    'x509': lambda end: f'tls-creds-x509,id=t,endpoint={end},'
                        f'dir={certificates()}',
    'psk': lambda end: f'tls-creds-psk,id=t,endpoint={end},dir={keys()}' +
                       (',username=alice' if end == 'client' else ''),
    'anon': lambda end: f'tls-creds-anon,id=t,endpoint={end}',
}


def image(sock, name='localhost'):
    return ('driver=nbd,tls-creds=t,server.type=unix,server.path=' + sock +
            (f',tls-hostname={name}' if name else ''))


@test(['certtool', 'psktool', 'qemu-nbd', 'qemu-img'])
def tls_of_each_kind_both_ways():
    random_file('tls.raw', 2 * MiB)
    for kind, creds in KINDS.items():
        for server, client in ((NBD, PEER_IMG), (PEER_NBD, IMG), (NBD, IMG)):
            s = Server('-t', '--object', creds('server'), '--tls-creds=t', '-f',
                       'raw', 'tls.raw', program=server)
            run(client, 'convert', '--object', creds('client'), '--image-opts',
                '-O', 'raw', image(s.sock), 'out.raw')
            same(read_file('out.raw') == read_file('tls.raw'), True, kind)
            out = run(client, 'info', s.uri(), status=1)
            has(out.lower(), 'tls')
            lister = NBD if client == IMG else PEER_NBD
            has(run(lister, '-L', '-k', s.sock, '--object', creds('client'),
                    '--tls-creds=t', '--tls-hostname=localhost'),
                'size:  2097152')
            s.stop()


@test(['certtool', 'psktool', 'nbdinfo'])
def tls_of_libnbd():
    random_file('tls.raw', 2 * MiB)
    s = Server('-t', '--object', KINDS['x509']('server'), '--tls-creds=t', '-f',
               'raw', 'tls.raw')
    run('nbdcopy', f'nbds+unix://localhost/?socket={s.sock}'
        f'&tls-certificates={certificates()}', 'out.raw')
    same(read_file('out.raw') == read_file('tls.raw'), True, 'x509')
    s.stop()
    s = Server('-t', '--object', KINDS['psk']('server'), '--tls-creds=t', '-f',
               'raw', 'tls.raw')
    run('nbdcopy', f'nbds+unix://alice@localhost/?socket={s.sock}'
        f'&tls-psk-file={keys()}/keys.psk', 'out.raw')
    same(read_file('out.raw') == read_file('tls.raw'), True, 'psk')
    s.stop()


@test(['certtool', 'nbdkit'])
def tls_of_nbdkit():
    random_file('tls.raw', 2 * MiB)
    d = certificates()
    s = Server('-f', '-U', 'SOCK', '--tls=require', f'--tls-certificates={d}',
               'file', path('tls.raw'), program='nbdkit', own=path('kit'))
    run(IMG, 'convert', '--object', KINDS['x509']('client'), '--image-opts',
        '-O', 'raw', image(s.sock), 'out.raw')
    s.stop()
    same(read_file('out.raw') == read_file('tls.raw'), True, 'x509')


@test(['certtool'])
def tls_keeps_strangers_out():
    random_file('tls.raw', MiB)
    x509 = KINDS['x509']
    s = Server('-t', '-e', '0', '--object', x509('server'), '--tls-creds=t',
               '-f', 'raw', 'tls.raw')
    out = run(IMG, 'info', '--object', x509('client'), '--image-opts',
              image(s.sock, 'otherhost'), status=1)
    has(out.lower(), 'certificate')
    c = Raw(s.sock)
    c.option(7, struct.pack('>IH', 0, 0))
    same(c.replies()[-1][1], 0x80000005, 'GO before TLS')
    c.option(3)
    same(c.replies()[-1][1], 0x80000005, 'LIST before TLS')
    c.option(1)
    same(c.closed(), True, 'EXPORT_NAME before TLS')
    c = Raw(s.sock)
    c.option(5)
    same(c.replies()[-1][1], 1, 'STARTTLS')
    c.put(b'this is no TLS' * 100)
    same(c.closed(), True, 'nonsense in place of TLS')
    s.stop()
    allow = 'authz-simple,id=a,identity=CN=%s'
    for name, status in (('some client', 0), ('another', 1)):
        s = Server('-t', '--object', x509('server') + ',verify-peer=on',
                   '--object', allow % name, '--tls-creds=t', '--tls-authz=a',
                   '-f', 'raw', 'tls.raw')
        run(IMG, 'info', '--object', x509('client'), '--image-opts',
            image(s.sock), status=status)
        s.stop()


# ---- connecting again ----------------------------------------------------------

class Between(threading.Thread):
    """Passes bytes on, and breaks each connection after some of them."""

    def __init__(self, to, limits):
        super().__init__(daemon=True)
        self.to, self.limits, self.broken = to, limits, 0
        self.s = socket.socket(socket.AF_UNIX)
        self.s.bind(to + '.b')
        self.s.listen(5)
        self.start()

    def run(self):
        while True:
            try:
                a, _ = self.s.accept()
            except OSError:
                return
            self.pass_on(a)

    def pass_on(self, a):
        left = [self.limits.pop(0) if self.limits else 1 << 60]
        b = socket.socket(socket.AF_UNIX)
        b.connect(self.to)

        def one(x, y):
            try:
                while left[0] > 0:
                    part = x.recv(min(65536, left[0]))
                    if not part:
                        break
                    left[0] -= len(part)
                    y.sendall(part)
            except OSError:
                pass
            for s in (x, y):
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        t = threading.Thread(target=one, args=(b, a), daemon=True)
        t.start()
        one(a, b)
        t.join()
        self.broken += left[0] <= 0
        a.close()
        b.close()


@test()
def broken_connections_are_made_again():
    random_file('re.raw', 8 * MiB)
    want = read_file('re.raw')
    limits = [3 * MiB, 100, 5, 300 * 1024 + 7, MiB, 200, 2 * MiB + 1]
    s = Server('-t', '-e', '0', '-f', 'raw', 're.raw')
    between = Between(s.sock, list(limits))
    run(IMG, 'convert', '--image-opts', '-O', 'raw', 'driver=nbd,'
        f'reconnect-delay=30,server.type=unix,server.path={s.sock}.b',
        'out.raw')
    same(read_file('out.raw') == want, True, 'read')
    same(between.broken >= 4, True, f'{between.broken} broken')
    s.stop()
    with open(path('to.raw'), 'wb') as f:
        f.truncate(8 * MiB)
    s = Server('-t', '-e', '0', '-f', 'raw', 'to.raw')
    between = Between(s.sock, list(limits))
    run(IMG, 'convert', '-n', '-f', 'raw', '--target-image-opts', 're.raw',
        'driver=raw,file.driver=nbd,file.reconnect-delay=30,'
        f'file.server.type=unix,file.server.path={s.sock}.b')
    s.stop()
    same(read_file('to.raw') == want, True, 'written')
    same(between.broken >= 4, True, f'{between.broken} broken')


@test()
def without_delay_a_broken_connection_is_an_error():
    random_file('re.raw', 8 * MiB)
    s = Server('-t', '-e', '0', '-f', 'raw', 're.raw')
    Between(s.sock, [3 * MiB, 0, 0, 0])
    has(run(IMG, 'convert', '-O', 'raw', '-f', 'raw',
            f'nbd+unix:///?socket={s.sock}.b', 'out.raw', status=1),
        'Input/output error')


@test()
def a_server_may_be_started_later():
    random_file('re.raw', MiB)
    sock = path('later')
    made = []
    timer = threading.Timer(1, lambda: made.append(subprocess.Popen(
        [NBD, '-f', 'raw', '-k', sock, path('re.raw')])))
    timer.start()
    run(IMG, 'convert', '--image-opts', '-O', 'raw', 'driver=nbd,'
        f'open-timeout=20,server.type=unix,server.path={sock}', 'out.raw')
    timer.join()
    same(read_file('out.raw') == read_file('re.raw'), True)
    same(made[0].wait(20), 0, 'status')
    run(IMG, 'info', f'nbd+unix:///?socket={sock}', status=1)


@test()
def many_at_once():
    """Connections that write beside each other see each other's flushes."""
    with open(path('m.raw'), 'wb') as f:
        f.truncate(4 * MiB)
    s = Server('-t', '-e', '0', '-f', 'raw', 'm.raw')
    cs = [Raw(s.sock) for _ in range(8)]
    for i, c in enumerate(cs):
        same(c.go() & 256, 256, 'multi-conn')
        for k in range(10):
            c.request(1, (k * 8 + i) * 4096, 4096, bytes([i + 1]) * 4096,
                      handle=k)
    for c in cs:
        same(sorted(c.simple() for _ in range(10)),
             [(0, k) for k in range(10)])
        c.request(3)
        same(c.simple()[0], 0)
    cs[0].request(0, 0, 80 * 4096)
    same(cs[0].simple()[0], 0)
    want = b''.join(bytes([i + 1]) * 4096 for _ in range(10) for i in range(8))
    same(cs[0].get(80 * 4096) == want, True)
    s.stop()


main()
