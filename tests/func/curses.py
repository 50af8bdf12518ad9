#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""-display curses on a pseudo-terminal: the firmware's screen in text mode, a
text console with the monitor, switching between them, a screen in graphics
mode, and the terminal as it was afterwards."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

TERN = os.environ.get("TERN", "build/tern")
PATIENCE = 60 * int(os.environ.get("TERN_TEST_PATIENCE", "1"))
results = []


def check(name, ok):
    results.append(bool(ok))
    print("%s %d - %s" % ("ok" if ok else "not ok", len(results), name),
          flush=True)


class Terminal:
    """A screen of 100 x 30 that understands what ncurses sends to a vt100."""

    def __init__(self, *args):
        self.fd, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 30, 100, 0, 0))
        self.tty = theirs
        self.before = termios.tcgetattr(theirs)
        self.cells = [[" "] * 100 for _ in range(30)]
        self.x = self.y = 0
        self.rest = ""
        self.p = subprocess.Popen(
            [TERN, "-m", "32", "-display", "curses", *args], stdin=theirs,
            stdout=theirs, stderr=subprocess.PIPE, start_new_session=True,
            env=dict(os.environ, TERM="vt100", LC_ALL="C.UTF-8"))

    def control(self, args, kind):
        n = [int(a) for a in args.split(";") if a.isdigit()]
        if kind in "Hf":
            self.y, self.x = (n + [1, 1])[0] - 1, (n + [1, 1])[1] - 1
        elif kind == "J":
            for y in range(self.y, 30):
                self.cells[y] = [" "] * 100
        elif kind == "K":
            first, last = (0, self.x + 1) if n == [1] else (self.x, 100)
            self.cells[self.y][first:last] = [" "] * (last - first)
        elif kind in "ABCD":
            step = (n + [1])[0]
            self.y += {"A": -step, "B": step}.get(kind, 0)
            self.x += {"C": step, "D": -step}.get(kind, 0)

    def feed(self, text):
        text = self.rest + text
        i = 0
        while i < len(text):
            c = text[i]
            if c == "\033":
                m = re.match(r"\033(\[([?\d;]*)([@-~])|[()][0-9A-Za-z]|[^\[()])",
                             text[i:])
                if not m:
                    break
                if m.group(3):
                    self.control(m.group(2), m.group(3))
                i += m.end()
                continue
            i += 1
            if c == "\n":
                self.y += 1
            elif c == "\r":
                self.x = 0
            elif c == "\b":
                self.x -= 1
            elif c >= " ":
                if 0 <= self.y < 30 and 0 <= self.x < 100:
                    self.cells[self.y][self.x] = c
                self.x += 1
        self.rest = text[i:]

    def text(self):
        return "\n".join("".join(row) for row in self.cells)

    def wait(self, what):
        end = time.time() + PATIENCE
        while time.time() < end:
            if select.select([self.fd], [], [], 0.2)[0]:
                try:
                    data = os.read(self.fd, 65536)
                except OSError:
                    return what in self.text()
                self.feed(data.decode("utf-8", "replace"))
            if what in self.text():
                return True
            if self.p.poll() is not None:
                return False
        return False

    def resize(self, lines, columns):
        """What was shown is forgotten: all has to be drawn again."""
        while select.select([self.fd], [], [], 0.1)[0]:
            os.read(self.fd, 65536)
        self.cells = [[" "] * 100 for _ in range(30)]
        fcntl.ioctl(self.tty, termios.TIOCSWINSZ,
                    struct.pack("4H", lines, columns, 0, 0))
        os.killpg(self.p.pid, signal.SIGWINCH)

    def type(self, text):
        os.write(self.fd, text.encode())

    def end(self):
        """Waits for its end; True: the terminal is as it was."""
        end = time.time() + PATIENCE
        while self.p.poll() is None and time.time() < end:
            if select.select([self.fd], [], [], 0.1)[0]:
                os.read(self.fd, 65536)
        if self.p.poll() is None:
            os.killpg(self.p.pid, signal.SIGKILL)
            self.p.wait()
            return False
        same = termios.tcgetattr(self.tty)[:4] == self.before[:4]
        os.close(self.fd)
        os.close(self.tty)
        return same


if "curses" not in subprocess.run([TERN, "-display", "help"], text=True,
                                  capture_output=True).stdout:
    print("1..0 # SKIP built without ncurses")
    sys.exit(0)

r = subprocess.run([TERN, "-accel", "qtest", "-display", "curses"], text=True,
                   stdin=subprocess.DEVNULL, capture_output=True)
check("no terminal", r.returncode == 1 and
      "We need a terminal output" in r.stderr)
r = subprocess.run([TERN, "-accel", "qtest", "-display", "curses,nonesuch=1"],
                   stdin=subprocess.DEVNULL, capture_output=True, text=True)
check("members", r.returncode == 1 and
      "Parameter 'nonesuch' is unexpected" in r.stderr)

t = Terminal("-accel", "tcg", "-net", "none", "-boot", "a", "-no-fd-bootchk")
check("the firmware's screen", t.wait("SeaBIOS (version"))
check("to its end", t.wait("No bootable device"))
t.type("\0332")                         # Alt-2: the monitor
check("the monitor's console", t.wait("(qemu)"))
t.type("info nome\x7f\x7f\x7fame -h\x7f\x7f\x7f\r")
t.type("info version\r")
check("a line typed there", t.wait("info version") and t.wait("7.2.22"))
t.type("\0331")
check("back to the machine", t.wait("No bootable device"))
t.resize(26, 90)
check("drawn again on a terminal of another size",
      t.wait("No bootable device") and t.wait("SeaBIOS (version"))

def small():
    """What the old size still drew may come after: then once more."""
    for i in range(9):
        t.resize(6, 40 + i)
        if t.wait("SeaBIOS (version") and "No bootable" not in t.text():
            return True
    return False


check("on a small one as much as fits", small())
t.resize(30, 100)
check("and whole again", t.wait("No bootable device"))
t.type("\0332")
t.wait("(qemu)")
t.type("quit\r")
check("the terminal as it was", t.end() and t.p.returncode == 0)

t = Terminal("-accel", "qtest", "-nodefaults", "-vga", "none", "-device",
             "bochs-display")
check("a screen without characters", t.wait("640 x 480 Graphic mode"))
os.killpg(t.p.pid, signal.SIGTERM)
check("ended by a signal", t.end())
print("1..%d" % len(results))
sys.exit(0 if all(results) else 1)
