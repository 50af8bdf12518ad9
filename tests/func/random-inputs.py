#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Random QMP and HMP inputs and command lines, at least half of them well
formed: generated from what the program says of itself (query-qmp-schema, help,
device-list-properties, -device help). No crash, no hang, one reply to each, and
every reply and event is of the type that the schema promises.

usage: random-inputs.py [--qmp N] [--hmp N] [--lines N] [--seed S]
                        [--minutes M]   QMP for that long, N at a time
"""
import argparse
import json
import os
import random
import resource
import select
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
import libschema                                                 # noqa: E402

BUILD = os.environ.get('BUILD', 'build')
TERN = os.path.abspath(os.path.join(BUILD, 'tern'))
SLOW = float(os.environ.get('TEST_SLOW', '1'))
# Ends the program, as it should; or waits for what no test provides.
NOT_RUN = {'quit', 'exit_preconfig', 'x-exit-preconfig'}
BASE = ['-accel', 'qtest', '-display', 'none', '-nodefaults', '-m', '32', '-S']

results = []


def report(ok, name, why=''):
    results.append(ok)
    print('%s %d - %s' % ('ok' if ok else 'not ok', len(results), name))
    if why:
        for line in why.splitlines():
            print('# ' + line)
    sys.stdout.flush()


def small_files():
    """A command that writes without end gets an error, not the disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (256 << 20, 256 << 20))


class Died(Exception):
    pass


class Qmp:
    """One program with a monitor on its standard input and output."""

    def __init__(self, machine):
        self.err = tempfile.TemporaryFile()
        self.p = subprocess.Popen(
            [TERN] + BASE + ['-machine', machine, '-qmp', 'stdio'],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.err,
            restore_signals=False, preexec_fn=small_files)
        self.buf = b''
        self.shutdown = False
        self.last = []
        self.told = None                # libschema.Schema, once it is asked for
        self.faults = []
        self.read()
        self.ask({'execute': 'qmp_capabilities'})

    def read(self):
        end = time.time() + 20 * SLOW
        while True:
            while b'\n' in self.buf:
                line, self.buf = self.buf.split(b'\n', 1)
                msg = json.loads(line)
                if 'event' in msg:
                    self.shutdown |= msg['event'] == 'SHUTDOWN'
                    if self.told:
                        self.fault(msg['event'], self.told.event_faults(msg))
                    continue
                return msg
            r, _, _ = select.select([self.p.stdout], [], [],
                                    max(0, end - time.time()))
            if not r:
                raise Died('no reply in time')
            data = os.read(self.p.stdout.fileno(), 65536)
            if not data:
                self.left()
                raise Died('status %d%s' % (self.p.returncode, self.tail()))
            self.buf += data

    def fault(self, what, faults):
        self.faults += ['%s: %s' % (what, f) for f in faults]

    def check(self, text, reply):
        """text: a well-formed command, which reply answers."""
        self.fault(text[:200], self.told.reply_faults(
            json.loads(text)['execute'], reply))

    def tail(self):
        self.err.seek(0)
        text = self.err.read().decode('utf-8', 'replace')
        at = text.find('Sanitizer')
        text = text[at:][:3000] if at >= 0 else text[-1500:]
        return ('\n' + text) if text else ''

    def send(self, text):
        self.last = (self.last + [text])[-3:]
        try:
            self.p.stdin.write(text.encode() + b'\n')
            self.p.stdin.flush()
        except BrokenPipeError:
            self.left()
            raise Died('status %d%s' % (self.p.returncode, self.tail()))

    def left(self):
        """Its end of a pipe is closed: so the program ends, or else its monitor
        has been taken away."""
        try:
            self.p.wait(20 * SLOW)
        except subprocess.TimeoutExpired:
            self.p.kill()
            self.p.wait()

    def reset(self):
        """The byte that no JSON has: drops whatever was begun."""
        self.p.stdin.write(b'\xff\n')
        self.p.stdin.flush()

    def ask(self, cmd):
        self.send(json.dumps(cmd))
        return self.read()

    def close(self):
        try:
            self.send('{"execute":"quit"}')
            self.p.wait(timeout=20 * SLOW)
        except (Died, subprocess.TimeoutExpired):
            self.p.kill()
            self.p.wait()
        return self.p.returncode


STRINGS = ['', 'a', 'foo', '/machine', '/', 'pc.ram', 'x' * 300, '%s%n', '\u00e9',
           'type', 'id', 'on', '0', '-1', '/machine/unattached/device[0]', 'bar,baz']
NUMBERS = [0, 1, 2, 3, -1, 7, 64, 255, 4096, 2**31, 2**32, 2**63 - 1, -2**63]


class Schema:
    def __init__(self, qmp):
        rows = qmp.ask({'execute': 'query-qmp-schema'})['return']
        self.rows = {r['name']: r for r in rows}
        self.told = libschema.Schema(rows)
        self.commands = [r for r in rows if r['meta-type'] == 'command'
                         and r['name'] not in NOT_RUN]
        types = qmp.ask({'execute': 'qom-list-types',
                         'arguments': {'implements': 'device'}})['return']
        self.devices = [t['name'] for t in types]
        self.words = STRINGS + self.devices

    def value(self, rnd, name, depth=0):
        t = self.rows[name]
        meta = t['meta-type']
        if meta == 'builtin':
            kind = t['json-type']
            if kind == 'string':
                return rnd.choice(self.words)
            if kind in ('int', 'number'):
                return rnd.choice(NUMBERS)
            if kind == 'boolean':
                return rnd.random() < 0.5
            if kind == 'null':
                return None
            return rnd.choice(['a', 1, True, [], {}])
        if meta == 'enum':
            return rnd.choice(t['values'])
        if meta == 'array':
            n = 0 if depth > 4 else rnd.randrange(3)
            return [self.value(rnd, t['element-type'], depth + 1)
                    for _ in range(n)]
        if meta == 'alternate':
            return self.value(rnd, rnd.choice(t['members'])['type'], depth + 1)
        return self.object(rnd, t, depth)

    def object(self, rnd, t, depth):
        out = {}
        for m in t['members']:
            if 'default' in m and (depth > 4 or rnd.random() < 0.5):
                continue
            out[m['name']] = self.value(rnd, m['type'], depth + 1)
            if m['name'] == 'wait':
                out['wait'] = False     # for a client that never comes
            if m['name'] == 'reboot':
                out['reboot'] = 'reset'     # else a reset ends the program
            if 'timeout' in m['name'] and \
                    isinstance(out[m['name']], int):
                out[m['name']] %= 2     # seconds, which the test waits
        if 'variants' in t and t.get('tag') in out:
            for v in t['variants']:
                if v['case'] == out[t['tag']]:
                    out.update(self.object(rnd, self.rows[v['type']],
                                           depth + 1))
        return out

    def command(self, rnd):
        c = rnd.choice(self.commands)
        return {'execute': c['name'],
                'arguments': self.object(rnd, self.rows[c['arg-type']], 0)}


def damage(rnd, text):
    """A nearly valid line: bytes lost, doubled, changed, or nonsense added."""
    b = list(text)
    for _ in range(rnd.randrange(1, 4)):
        i = rnd.randrange(len(b)) if b else 0
        kind = rnd.randrange(4)
        if kind == 0 and b:
            del b[i]
        elif kind == 1 and b:
            b.insert(i, b[i])
        elif kind == 2 and b:
            b[i] = chr(rnd.randrange(32, 127))
        else:
            b[i:i] = rnd.choice(['{', '}', '[', ']', '"', ':', ',', '\\u12'])
    return ''.join(b).replace('\n', ' ')


def bad_member(rnd, cmd):
    args = cmd['arguments']
    if args and rnd.random() < 0.5:
        args[rnd.choice(list(args))] = rnd.choice([None, 1, 'x', [], {}, True])
    else:
        args[rnd.choice(['foo', 'id', 'props'])] = 1
    return cmd


def run_monitor(name, rnd, count, machine, one):
    """one(qmp, schema, rnd) sends an input and reads what answers it."""
    qmp = Qmp(machine)
    schema = Schema(qmp)
    qmp.told = schema.told
    replies = {'return': 0, 'error': 0}
    for _ in range(count):
        try:
            text, reply = one(qmp, schema, rnd)
            if one is one_qmp and 'unchecked' not in reply:
                qmp.check(text, reply)
            replies['return' if 'return' in reply else 'error'] += 1
        except Died as e:
            if qmp.shutdown and qmp.p.poll() == 0:
                faults = qmp.faults
                qmp = Qmp(machine)
                qmp.told, qmp.faults = schema.told, faults
                continue
            report(False, '%s on %s' % (name, machine),
                   '%s after %s' % (e, '\n'.join(qmp.last)[:1500]))
            return
    status = qmp.close()
    report(status == 0 and replies['return'] > 0,
           '%s on %s: %d inputs' % (name, machine, count),
           '%d replies, %d errors, status %d%s'
           % (replies['return'], replies['error'], status,
              qmp.tail() if status else ''))
    report(not qmp.faults, '%s on %s: replies and events are as the schema '
           'says' % (name, machine), '\n'.join(sorted(set(qmp.faults))[:20]))


def rootless(value):
    """No file is made but in the program's own folder."""
    if isinstance(value, str):
        return value.lstrip('/')
    if isinstance(value, list):
        return [rootless(v) for v in value]
    if isinstance(value, dict):
        return {k: rootless(v) for k, v in value.items()}
    return value


def one_qmp(qmp, schema, rnd):
    cmd = schema.command(rnd)
    if not cmd['execute'].startswith(('qom-', 'device', 'query-', 'x-query-',
                                      'x-tern-query-')):
        cmd = rootless(cmd)
    kind = rnd.random()
    if kind < 0.3:
        cmd = bad_member(rnd, cmd)
    text = json.dumps(cmd)
    if kind > 0.85:
        # Garbage may answer once, several times or not at all: what counts is
        # that the next good command is answered.
        text = damage(rnd, text)
        qmp.send(text)
        qmp.reset()
        qmp.send('{"execute":"query-version","id":"after"}')
        while qmp.read().get('id') != 'after':
            pass
        return text, {'error': True, 'unchecked': True}
    qmp.send(text)
    return text, qmp.read()


class Hmp:
    """Command words and parameters as `help` shows them."""

    def __init__(self, qmp):
        self.rows = []
        for what in ('help', 'help info'):
            text = qmp.ask({'execute': 'human-monitor-command', 'arguments':
                            {'command-line': what}})['return']
            for line in text.splitlines():
                head = line.split(' -- ')[0].strip()
                if head:
                    self.rows.append(head.split())
        self.rows = [r for r in self.rows
                     if r[0].split('|')[0] not in ('quit', 'q')]


hmp_rows = {}
# Where a slash begins a format or a place in the object tree, not a file.
SLASHED = {'x', 'xp', 'p', 'print', 'i', 'o', 'info', 'qom-list', 'qom-get',
           'qom-set', 'help', 'device_add', 'device_del'}


def one_hmp(qmp, schema, rnd):
    rows = hmp_rows.setdefault(id(qmp), None) or Hmp(qmp).rows
    hmp_rows[id(qmp)] = rows
    row = rnd.choice(rows)
    words = [row[0].split('|')[0]]
    if words[0] == 'info' and len(row) > 1:
        words.append(row[1])
    for _ in row[len(words):]:
        words.append(str(rnd.choice(
            STRINGS[:6] + ['0x1000', '$rip', '1+1', '-f', '/4xw', '/2i', 'rax',
                           rnd.choice(schema.devices)] + NUMBERS)))
    line = ' '.join(words)
    if rnd.random() < 0.3:
        line = damage(rnd, line)
    words = line.split()
    if words[:1] in (['q'], ['quit']):
        line = 'help'
    elif words and words[0].split('/')[0] not in SLASHED:
        line = ' '.join(w.lstrip('/') for w in words)
    return line, qmp.ask({'execute': 'human-monitor-command',
                          'arguments': {'command-line': line}})


def option_words(rnd, devices):
    dev = rnd.choice(devices)
    good = [['-m', rnd.choice(['16', '64', '128', '1G'])],
            ['-smp', rnd.choice(['1', '2', '4,cores=2', '2,maxcpus=4'])],
            ['-machine', rnd.choice(['pc', 'none', 'isapc', 'pc,hpet=off',
                                     'pc-i440fx-2.0', 'pc,acpi=off'])],
            ['-device', dev], ['-device', dev + ',id=d' + str(rnd.randrange(3))],
            ['-name', 'x'], ['-uuid', '12345678-1234-1234-1234-123456789abc'],
            ['-object', 'iothread,id=i' + str(rnd.randrange(3))],
            ['-object', 'memory-backend-ram,id=r,size=1M'],
            ['-chardev', 'null,id=c' + str(rnd.randrange(3))],
            ['-serial', 'null'], ['-boot', 'order=cd,menu=on'], ['-no-reboot'],
            ['-rtc', 'base=utc'], ['-action', 'reboot=shutdown'],
            ['-fw_cfg', 'name=opt/x,string=y'], ['-global', dev + '.x=1'],
            ['-cpu', rnd.choice(['qemu64', 'max', 'qemu64,+avx,-sse4a'])]]
    bad = [['-' + rnd.choice(['foo', 'devise', 'mm', ''])],
           ['-m', rnd.choice(['', '-1', 'x', '99999T', '1,,'])],
           ['-device', rnd.choice(['', ',', 'foo', dev + ',foo=bar', '{', '{}'])],
           ['-object', rnd.choice(['x', 'iothread', '{"qom-type":1}'])],
           ['-machine', rnd.choice(['', 'foo', 'pc,foo=1', 'pc,hpet=x'])],
           ['-smp', rnd.choice(['0', '-1', 'x', '3,sockets=2', '999'])],
           ['-chardev', rnd.choice(['', 'null', 'foo,id=x', 'file,id=x'])],
           ['-cpu', rnd.choice(['', 'foo', 'qemu64,+foo', 'qemu64,x=y'])],
           ['-rtc', 'base=x'], ['-global', 'x'], ['-boot', 'order=z'],
           ['-bios', '/no/such/file'], ['-readconfig', '/dev/null/x']]
    words = []
    for _ in range(rnd.randrange(1, 5)):
        words += rnd.choice(good)
    well_formed = rnd.random() < 0.6
    if not well_formed:
        words += rnd.choice(bad)
    return words


def run_lines(rnd, count, devices):
    codes = {}
    for i in range(count):
        words = option_words(rnd, devices)
        args = [TERN, '-accel', 'qtest', '-display', 'none', '-nodefaults',
                '-S', '-monitor', 'stdio'] + words
        try:
            p = subprocess.run(args, input=b'quit\n', stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, timeout=30 * SLOW)
        except subprocess.TimeoutExpired:
            report(False, 'command lines', 'hangs: ' + ' '.join(words))
            return
        codes[p.returncode] = codes.get(p.returncode, 0) + 1
        if p.returncode not in (0, 1) or \
                (p.returncode == 1 and not p.stderr.startswith(b'tern: ')):
            report(False, 'command lines', 'status %d: %s\n%s' % (
                p.returncode, ' '.join(words),
                p.stderr[-1500:].decode('utf-8', 'replace')))
            return
    report(codes.get(0, 0) > 0 and codes.get(1, 0) > 0,
           'command lines: %d of them' % count, str(codes))


def main():
    a = argparse.ArgumentParser()
    a.add_argument('--qmp', type=int, default=7000)
    a.add_argument('--hmp', type=int, default=3000)
    a.add_argument('--lines', type=int, default=1000)
    a.add_argument('--seed', type=int, default=1)
    a.add_argument('--minutes', type=float, default=0)
    a = a.parse_args()
    if not os.access(TERN, os.X_OK):
        print('ok 1 - random inputs # SKIP tern is not built\n1..1')
        return 0
    rnd = random.Random(a.seed)
    # Commands that write files write them here.
    folder = tempfile.TemporaryDirectory()
    os.chdir(folder.name)
    end = time.time() + 60 * a.minutes
    while time.time() < end:
        for machine in ('none', 'pc'):
            run_monitor('QMP', rnd, a.qmp // 2, machine, one_qmp)
    for machine in ('none', 'pc') if not a.minutes else ():
        run_monitor('QMP', rnd, a.qmp // 2, machine, one_qmp)
        run_monitor('HMP', rnd, a.hmp // 2, machine, one_hmp)
    qmp = Qmp('pc')
    devices = Schema(qmp).devices
    qmp.close()
    if not a.minutes:
        run_lines(rnd, a.lines, devices)
    os.chdir('/')
    print('1..%d' % len(results))
    return 0 if all(results) else 1


if __name__ == '__main__':
    sys.exit(main())
