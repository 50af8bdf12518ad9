#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Clients of VNC that mean harm: messages with fields at random, bytes at random,
frames of WebSocket with impossible lengths, readers that stop, dozens at a time,
while the screen changes its size. The server stays, and does not grow.

FUZZ_SECONDS: how long (60); FUZZ_SEED."""
import os
import random
import shutil
import socket
import struct
import sys
import time

sys.dont_write_bytecode = True
sys.path[:0] = ["tests", "tests/func"]
from libtap import end                                          # noqa: E402
from libvnc import Painted, check, tmp                          # noqa: E402

SECONDS = float(os.environ.get("FUZZ_SECONDS", "60"))
SEED = int(os.environ.get("FUZZ_SEED", "0")) or random.randrange(1, 1 << 30)
rng = random.Random(SEED)
ENCODINGS = (0, 1, 5, 6, 7, 16, -260, -223, -224, -239, -257, -258, -259, -261,
             -307, -308, -309, -314, -32, -26, -23, -256, -250, -247)
UPGRADE = (b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: "
           b"Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
           b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: binary"
           b"\r\n\r\n")


def message():
    kind = rng.choice((0, 2, 3, 4, 5, 6, 250, 251, 255, None))
    if kind is None:
        return rng.randbytes(rng.randrange(1, 40))
    if kind == 0:
        return struct.pack(
            ">BxxxBBBBHHHBBBxxx", 0, rng.choice((8, 16, 32, 24, 77)),
            rng.choice((8, 16, 24, 32)), rng.randrange(2), rng.randrange(2),
            *(rng.choice((7, 31, 63, 255, 1, 0, 65535)) for _ in range(3)),
            *(rng.choice((0, 8, 16, 5, 11, 24, 31, 40)) for _ in range(3)))
    if kind == 2:
        list_of = [rng.choice(ENCODINGS + (rng.randrange(-2**31, 2**31),))
                   for _ in range(rng.randrange(12))]
        return struct.pack(">BxH%di" % len(list_of), 2, len(list_of), *list_of)
    if kind == 3:
        return struct.pack(">BB4H", 3, rng.randrange(2), *(
            rng.choice((0, 1, 100, 65535, rng.randrange(65536)))
            for _ in range(4)))
    if kind == 6:
        n = rng.choice((0, 5, 100, 1 << 20, 0x7fffffff, 0x80000000, 0xffffffff))
        return struct.pack(">BxxxI", 6, n) + rng.randbytes(min(n, 300))
    if kind == 251:
        return struct.pack(">BxHHBx", 251, rng.randrange(65536), rng.randrange(
            65536), rng.randrange(256)) + rng.randbytes(64)
    return bytes([kind, rng.randrange(6)]) + rng.randbytes(
        {4: 6, 5: 4, 250: 2, 255: 10}[kind])


def client(port, websocket):
    how = rng.random()
    s = socket.create_connection(("127.0.0.1", port if how > 0.2 else
                                  websocket))
    if how < 0.1:
        s.sendall(UPGRADE + bytes([0x82, rng.choice((0xff, 0xfe, 0x85, 0x7f))]) +
                  rng.randbytes(300))
    elif how < 0.3:
        s.sendall(rng.randbytes(rng.randrange(1, 400)))
    else:
        s.sendall(b"RFB 003.008\n\1\1" + b"".join(
            message() for _ in range(rng.randrange(1, 60))))
        if rng.random() < 0.3:
            s.settimeout(0.02)
            s.recv(rng.randrange(1, 100000))
    return s


def main():
    m = Painted("127.0.0.1:0,to=99,lossy=on,power-control=on,websocket=on")
    ports = {s["websocket"]: int(s["service"])
             for s in m.ask("query-vnc-servers")[0]["server"]}
    held, n, before = [], 0, 0
    stop = time.time() + SECONDS
    while time.time() < stop and m.p.poll() is None:
        n += 1
        try:
            held.append(client(ports[False], ports[True]))
        except OSError:
            pass
        if len(held) > 40:
            held.pop(rng.randrange(len(held))).close()
        if n % 50 == 0:
            m.mode(rng.choice((100, 333, 640)), rng.choice((50, 150, 480)))
            m.write(rng.randbytes(4096), rng.randrange(100000) & ~3)
            m.ask("query-name")         # takes the events as well
            m.qmp.events.clear()
            before = before or n >= 1000 and m.rss()
    for s in held:
        s.close()
    # an allocator that keeps what is freed, to find errors, keeps much
    room = (400 if "ASAN_OPTIONS" in os.environ else 24) << 20
    grown = m.rss() - before if before else 0
    check("%d clients, seed %d: no growth" % (n, SEED), grown < room, grown)
    check("the machine ends well", m.end(), m.errors()[-3000:])


try:
    main()
finally:
    shutil.rmtree(tmp, ignore_errors=True)
sys.exit(end())
