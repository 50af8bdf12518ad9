#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""-vnc, sub-option by sub-option, beside the peer: the status, the first line that
is said and what `info vnc` shows are the same. D is a free display, F a folder.
Each sub-option that the peer knows is in our manual."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path[:0] = ["tests", os.path.dirname(os.path.abspath(__file__))]
import libqmp                                                    # noqa: E402
from libqmp import OURS, PEER, result                            # noqa: E402

LINES = """
127.0.0.1:D
:D
[::1]:D
127.0.0.1:D,to=50
127.0.0.1:D,websocket=on
:D,websocket=on
unix:F/s
unix:F/s,websocket=on
unix:F/s,to=3
unix:/nodir/x
none
none,password=on
127.0.0.1:D,websocket=foo
127.0.0.1:D,reverse=on,websocket=on
unix:F/nobody,reverse=on
127.0.0.1:D,reverse=maybe
127.0.0.1:D,password=on
127.0.0.1:D,nopassword
127.0.0.1:D,password=on,password-secret=x
127.0.0.1:D,password-secret=x
127.0.0.1:D,tls-creds=x
127.0.0.1:D,tls-authz=x
127.0.0.1:D,sasl-authz=x
127.0.0.1:D,share=foo
127.0.0.1:D,share=ignore,lossy=on,non-adaptive=on,power-control=on
127.0.0.1:D,lossy=maybe
127.0.0.1:D,key-delay-ms=foo
127.0.0.1:D,key-delay-ms=5,lock-key-sync=off,connections=3
127.0.0.1:D,connections=foo
127.0.0.1:D,audiodev=x
127.0.0.1:D,display=x
127.0.0.1:D,ipv4=foo
127.0.0.1:D,ipv4=on,ipv6=off
127.0.0.1:D,acl=on
127.0.0.1:D,id=1x
127.0.0.1:D,id=mine
127.0.0.1:D,foo=bar
127.0.0.1:-1
127.0.0.1:99999
127.0.0.1:foo
127.0.0.1
:
"""
NAMES = ("to", "reverse", "websocket", "password", "password-secret",
         "tls-creds", "tls-authz", "sasl", "sasl-authz", "lossy",
         "non-adaptive", "share", "key-delay-ms", "audiodev", "power-control",
         "display", "head", "connections", "lock-key-sync", "ipv4", "ipv6",
         "id", "tls", "x509", "x509verify")


def free_display():
    """One whose port, and that of its websocket, nobody has."""
    for d in range(40, 99):
        try:
            for port in (5900 + d, 5700 + d):
                for family in (socket.AF_INET, socket.AF_INET6):
                    with socket.socket(family) as s:
                        s.bind(("", port))
            return d
        except OSError:
            pass
    return 99


def said(prog, line):
    p = subprocess.run(
        [prog, "-machine", "none", "-display", "none", "-monitor", "stdio",
         "-vnc", line], input="info vnc\nquit\n", stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, timeout=libqmp.PATIENCE)
    shown = re.findall(r"^(?:\w+:|  .*|None)$", p.stdout.replace("\r", ""),
                       re.M)
    words = re.sub(r"^[^ ]*(tern|qemu-system-x86_64): ", "", p.stderr)
    return p.returncode, words.split("\n")[0], shown


def manual():
    text = subprocess.run([OURS, "-x-man"], stdout=subprocess.PIPE, text=True,
                          timeout=libqmp.PATIENCE).stdout.replace("\\-", "-")
    line = [x for x in text.split("\n") if x.startswith("\\fB-vnc\\fR")][0]
    absent = [n for n in NAMES if "," + n + "=" not in line]
    result(not absent, "the manual lists all", absent)


def main():
    if not libqmp.peer_there():
        print("1..0 # SKIP no peer is installed")
        return 0
    folder = tempfile.mkdtemp(prefix="vnc-options-")
    try:
        for line in LINES.strip().split("\n"):
            text = line.replace("F/", folder + "/")
            for _ in range(3):          # another may take the port meanwhile
                now = text.replace(":D", ":%d" % free_display())
                a, b = said(OURS, now), said(PEER, now)
                if a == b:
                    break
            result(a == b, line, "ours: %s" % (a,), "peer: %s" % (b,))
        manual()
    finally:
        shutil.rmtree(folder)
    return libqmp.end()


sys.exit(main())
