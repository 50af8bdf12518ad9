# SPDX-License-Identifier: GPL-2.0-or-later
#
# What the tests of NBD share: a folder, TAP lines, programs with time limits,
# servers that are waited for and ended by their number, and the protocol by
# hand.

import atexit
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

BUILD = os.path.abspath(os.environ.get('BUILD', 'build'))
NBD = os.path.join(BUILD, 'tern-nbd')
IMG = os.path.join(BUILD, 'tern-img')
IO = os.path.join(BUILD, 'tern-io')
PEER_NBD = shutil.which('qemu-nbd')
PEER_IMG = shutil.which('qemu-img')
PEER_IO = shutil.which('qemu-io')

folder = tempfile.mkdtemp(prefix='tern-nbd-')
atexit.register(shutil.rmtree, folder, True)
tests = []


def test(needs=()):
    """A test; needs: programs without which it is skipped."""
    def add(fn):
        tests.append((fn, needs))
        return fn
    return add


def main():
    only = sys.argv[1] if len(sys.argv) > 1 else ''
    todo = [t for t in tests if only in t[0].__name__]
    failed = 0
    print(f'1..{len(todo)}', flush=True)
    for i, (fn, needs) in enumerate(todo):
        lack = [n for n in needs if not shutil.which(n)]
        name = fn.__name__
        if lack:
            print(f'ok {i + 1} - {name} # SKIP no {lack[0]}', flush=True)
            continue
        try:
            fn()
            print(f'ok {i + 1} - {name}', flush=True)
        except Exception as e:      # the next tests are still of interest
            failed += 1
            at = e.__traceback__
            while at.tb_next and at.tb_next.tb_frame.f_code.co_filename == \
                    sys.argv[0]:
                at = at.tb_next
            text = str(e).replace('\n', '\n#   ')
            print(f'# line {at.tb_lineno}: {type(e).__name__}: {text}')
            print(f'not ok {i + 1} - {name}', flush=True)
        for s in list(Server.running):
            s.stop()
    sys.exit(1 if failed else 0)


def path(name):
    return os.path.join(folder, name)


def run(*args, status=0, timeout=60, text=True, env=None):
    """Output and errors together of a program with this exit status."""
    p = subprocess.run(args, cwd=folder, stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       timeout=timeout, env=env)
    out = p.stdout.decode(errors='replace') if text else p.stdout
    if status is not None and p.returncode != status:
        raise AssertionError(f'{args}: status {p.returncode}, not {status}: '
                             f'{out}')
    if p.returncode < 0:
        raise AssertionError(f'{args}: signal {-p.returncode}: {out}')
    return out


def same(got, want, what=''):
    if got != want:
        raise AssertionError(f'{what}\ngot  {got!r:.600}\nwant {want!r:.600}')


def has(text, part):
    if part not in text:
        raise AssertionError(f'no {part!r} in {text!r:.600}')


def random_file(name, size, holes=False):
    """Random bytes, with holes of 64 KiB where asked for."""
    with open(path(name), 'wb') as f:
        for at in range(0, size, 65536):
            n = min(65536, size - at)
            if holes and at // 65536 % 3:
                continue
            f.seek(at)
            f.write(os.urandom(n))
        f.truncate(size)
    return path(name)


def read_file(name):
    with open(path(name), 'rb') as f:
        return f.read()


def wait_for(fn, seconds=20):
    """The first true value of fn."""
    end = time.monotonic() + seconds
    while True:
        got = fn()
        if got:
            return got
        if time.monotonic() > end:
            raise AssertionError('waited in vain')
        time.sleep(0.01)


class Server:
    """A program that serves on a local socket of the folder."""
    running = []
    count = 0

    def __init__(self, *args, program=NBD, own=None, pass_fds=(), env=None):
        Server.count += 1
        self.sock = own or path(f's{Server.count}')
        self.log = open(path(f'log{Server.count}'), 'w+b')
        args = [a.replace('SOCK', self.sock) for a in args]
        if program in (NBD, PEER_NBD) and not own:
            args = ['-k', self.sock] + args
        self.p = subprocess.Popen([program] + args, cwd=folder, env=env,
                                  stdin=subprocess.DEVNULL, stdout=self.log,
                                  stderr=self.log, pass_fds=pass_fds)
        Server.running.append(self)
        if self.sock[0] == '/':
            wait_for(self.listens)

    def listens(self):
        if self.p.poll() is not None:
            raise AssertionError(f'server ended: {self.said()}')
        # A connection would count as a client: the kernel's table is read.
        with open('/proc/net/unix', encoding='utf-8') as f:
            return any(line.split()[3] == '00010000' and    # it listens
                       line.rstrip().endswith(' ' + self.sock)
                       for line in f)

    def said(self):
        self.log.flush()
        self.log.seek(0)
        return self.log.read().decode(errors='replace')

    def uri(self, name='', scheme='nbd'):
        return f'{scheme}+unix:///{name}?socket={self.sock}'

    def stop(self, sig=signal.SIGTERM):
        """The exit status."""
        if self in Server.running:
            Server.running.remove(self)
        if self.p.poll() is None:
            self.p.send_signal(sig)
        try:
            return self.p.wait(20)
        except subprocess.TimeoutExpired:
            self.p.kill()
            self.p.wait()
            raise AssertionError('server does not end') from None
        finally:
            self.log.close()
            if os.path.exists(self.sock):
                os.unlink(self.sock)

    def wait(self):
        """The exit status of a server that ends by itself."""
        status = self.p.wait(20)
        self.stop()
        return status


# ---- the protocol by hand ------------------------------------------------------

MAGIC = b'NBDMAGIC'
OPTS = b'IHAVEOPT'
REP = 0x3e889045565a9


class Raw:
    """A client that says what it likes."""

    def __init__(self, sock, flags=3):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(10)
        self.s.connect(sock)
        self.greeting = self.get(18)
        if flags is not None:
            self.put(struct.pack('>I', flags))

    def put(self, data):
        self.s.sendall(data)

    def get(self, n):
        out = b''
        while len(out) < n:
            part = self.s.recv(n - len(out))
            if not part:
                raise EOFError(f'{len(out)} of {n} bytes')
            out += part
        return out

    def closed(self):
        """Does the server end the connection?"""
        try:
            while self.s.recv(65536):
                pass
            return True
        except ConnectionError:
            return True
        except socket.timeout:
            return False

    def option(self, opt, data=b'', length=None):
        self.put(OPTS + struct.pack('>II', opt, len(data) if length is None
                                    else length) + data)

    def reply(self):
        magic, opt, kind, n = struct.unpack('>QIII', self.get(20))
        same(magic, REP, 'magic of a reply')
        return opt, kind, self.get(n)

    def replies(self):
        """Up to an acknowledgement or an error."""
        out = []
        while True:
            out.append(self.reply())
            if out[-1][1] == 1 or out[-1][1] >> 31:
                return out

    def go(self, name=b'', structured=False, context=None):
        """Into transmission; the flags of the export."""
        if structured:
            self.option(8)
            same(self.replies()[-1][1], 1, 'structured replies')
        if context:
            data = struct.pack('>I', len(name)) + name + \
                struct.pack('>II', 1, len(context)) + context
            self.option(10, data)
            self.contexts = self.replies()
        self.option(7, struct.pack('>I', len(name)) + name +
                    struct.pack('>H', 0))
        got = self.replies()
        same(got[-1][1], 1, 'go')
        for _, kind, data in got:
            if kind == 3 and data[:2] == b'\0\0':
                self.size, self.flags = struct.unpack('>QH', data[2:])
        return self.flags

    def request(self, kind, off=0, length=0, data=b'', flags=0, handle=1,
                magic=0x25609513):
        self.put(struct.pack('>IHHQQI', magic, flags, kind, handle, off,
                             length) + data)

    def simple(self):
        magic, err, handle = struct.unpack('>IIQ', self.get(16))
        same(magic, 0x67446698, 'magic of a simple reply')
        return err, handle

    def chunk(self):
        """flags, type, handle, payload"""
        magic, flags, kind, handle, n = struct.unpack('>IHHQI', self.get(20))
        same(magic, 0x668e33ef, 'magic of a chunk')
        return flags, kind, handle, self.get(n)

    def close(self):
        self.s.close()
