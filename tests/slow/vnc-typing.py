#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Lines typed by VNC reach a shell of the guest, in en-us, de and fr: the server
makes keys of the characters (-k), Linux on the software CPU makes characters of the
keys by the same layout from Debian's keymaps, and its shell runs the line. Plus
virtio-keyboard, -mouse and -tablet with Linux's driver."""
import base64
import os
import struct
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path[:0] = ["tests", os.path.dirname(os.path.abspath(__file__))]
from libguest import Guest, Kernel, check, finish, skip_all     # noqa: E402
from librfb import Client                                       # noqa: E402

BUILD = os.environ.get("BUILD", "build")
MEDIA = os.path.join(BUILD, "media")
ASCII = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 "
LINES = {
    "en-us": ASCII + "!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~",
    "de": ASCII + "\u00e4\u00f6\u00fc\u00c4\u00d6\u00dc\u00df\u00a7\u20ac"
    "\u00b5!\"$%&/()=?{[]}\\@~|<>,.-;:_#+*",
    "fr": ASCII + "\u00e0\u00e9\u00e8\u00e7\u00f9\u00a7\u00a3\u00b5\u20ac"
    "!\"$%&/()=?{[]}\\@#|<>,.-;:_+*",
}
LOCKED = {"en-us": "Caps LOCK 1 !", "de": "Caps LOCK 1 ? \u00e4\u00d6\u00fc z Y",
          "fr": "Caps LOCK 1 ? q M az WZ"}
XKB = {"en-us": "us", "de": "de", "fr": "fr"}
# EV_KEY, EV_REL, EV_ABS of struct input_event
KEY, REL, ABS = 1, 2, 3


def keymap(layout):
    """What loadkmap reads, made by the tools that Debian makes it with."""
    subprocess.run(["sh", "scripts/debian-unpack", MEDIA, "kbd",
                    "console-setup", "xkb-data"], check=True,
                   stdout=subprocess.DEVNULL)
    text = subprocess.run(
        ["perl", MEDIA + "/console-setup/usr/bin/ckbcomp", "-I" + MEDIA +
         "/xkb-data/usr/share/X11/xkb", XKB[layout]], check=True,
        capture_output=True).stdout
    # Where there are letters beyond Latin-1 Debian's maps make Caps Lock another
    # lock, of which the lamp that a server goes by says nothing; other systems
    # have the real one.
    text = text.replace(b"CtrlL_Lock", b"Caps_Lock")
    return subprocess.run([MEDIA + "/kbd/bin/loadkeys", "-b", "-u", "-"],
                          input=text, check=True, capture_output=True).stdout


def sym_of(ch):
    """The symbol of a character, as X has it."""
    return {"\u20ac": 0x20ac, "\n": 0xff0d}.get(ch, ord(ch))


def type_text(client, text):
    for ch in text:
        for down in (1, 0):
            client.s.sendall(struct.pack(">BBxxI", 4, down, sym_of(ch)))


def shell_on_screen(guest, layout):
    data = base64.b64encode(keymap(layout)).decode()
    for i in range(0, len(data), 900):
        guest.sh("printf %%s %s >>/tmp/map" % data[i:i + 900])
    code, out = guest.sh("base64 -d /tmp/map | loadkmap")
    check("%s: the guest takes the keymap" % layout, code == 0, out)
    guest.sh("setsid sh -c 'PS1=: exec sh -i </dev/tty1 >/dev/tty1 2>&1' &")
    guest.sh("sleep 1")


def line_in(guest, path):
    """What the shell has written there, once it has."""
    code, out = 1, ""
    for _ in range(30):
        code, out = guest.sh("sleep 1; test -s %s && base64 -w 0 %s" % (path,
                                                                       path))
        if code == 0:
            return base64.b64decode(out.strip()).decode()
    return out


def typed(kernel, layout):
    path = kernel.tmp + "/vnc"
    # no ROM on the card: the kernel starts at once, in no mode
    g = Guest(kernel, layout, ["-device", "VGA,romfile=", "-k", layout, "-vnc",
                               "unix:" + path])
    try:
        if not check("%s: the guest is up" % layout, g.up(), g.text):
            return
        shell_on_screen(g, layout)
        c = Client(path)
        text = LINES[layout]
        type_text(c, "echo '%s' >/tmp/l\n" % text)
        got = line_in(g, "/tmp/l")
        check("%s: a typed line reaches the shell" % layout,
              got == text + "\n", "sent %r\ngot  %r" % (text, got))
        c.s.sendall(struct.pack(">BBxxI", 4, 1, 0xffe5))        # Caps Lock
        c.s.sendall(struct.pack(">BBxxI", 4, 0, 0xffe5))
        g.sh("sleep 1")                     # the lamp comes from the guest
        text = LOCKED[layout]
        type_text(c, "echo '%s' >/tmp/m\n" % text)
        got = line_in(g, "/tmp/m")
        check("%s: also while Caps Lock is on" % layout, got == text + "\n",
              "sent %r\ngot  %r" % (text, got))
        c.close()
    finally:
        g.end()


def events(data):
    """Rows type, code, value of what evdev told; ends of reports left out."""
    rows = [struct.unpack("<QQHHi", data[i:i + 24])[2:]
            for i in range(0, len(data) // 24 * 24, 24)]
    return [r for r in rows if r[0]]


def virtio_input(kernel):
    """Each device is read by its own name while QMP moves it."""
    g = Guest(kernel, "virtio", ["-device", "VGA,romfile=", "-device",
                                 "virtio-keyboard-pci", "-device",
                                 "virtio-mouse-pci", "-device",
                                 "virtio-tablet-pci"])
    rows = (
        ("Keyboard", [{"type": "key", "data": {"down": d, "key": {
            "type": "qcode", "data": "q"}}} for d in (True, False)],
         [(KEY, 16, 1), (KEY, 16, 0)]),
        ("Tablet", [{"type": "abs", "data": {"axis": "x", "value": 1234}},
                    {"type": "abs", "data": {"axis": "y", "value": 4321}}],
         [(ABS, 0, 1234), (ABS, 1, 4321)]),
        ("Mouse", [{"type": "rel", "data": {"axis": "x", "value": 5}},
                   {"type": "rel", "data": {"axis": "y", "value": -7}},
                   {"type": "btn", "data": {"button": "left", "down": True}},
                   {"type": "btn", "data": {"button": "left",
                                            "down": False}}],
         [(REL, 0, 5), (REL, 1, -7), (KEY, 272, 1), (KEY, 272, 0)]),
    )
    try:
        check("virtio: the guest is up", g.up(
            "virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev "
            "virtio_pci virtio_input evdev"), g.text)
        for name, sent, want in rows:
            if name == "Mouse":         # the tablet was the newer one
                index = [x["index"] for x in g.cmd("query-mice")["return"]
                         if "Mouse" in x["name"] and "PS/2" not in x["name"]]
                g.hmp("mouse_set %d" % index[0])
            code, out = g.sh(
                "e=$(grep -A 4 'QEMU Virtio %s' /proc/bus/input/devices | "
                "sed -n 's/.*\\(event[0-9]*\\).*/\\1/p' | head -n 1); "
                "cat /dev/input/$e >/tmp/%s & sleep 1; echo $e" % (name, name))
            g.cmd("input-send-event", events=sent)
            code, out = g.sh("sleep 1; kill $!; base64 -w 0 /tmp/%s" % name)
            try:
                got = events(base64.b64decode(out.strip()))
            except ValueError:
                got = out
            check("virtio: %s" % name.lower(), got == want, got)
    finally:
        g.end()


def main():
    try:
        kernel = Kernel(("virtio_ring", "virtio", "virtio_pci_legacy_dev",
                         "virtio_pci_modern_dev", "virtio_pci",
                         "virtio_input", "evdev"), ())
    except (subprocess.CalledProcessError, OSError) as e:
        skip_all("typing", "no kernel: %s" % e)
    chosen = sys.argv[1:] or list(LINES) + ["virtio"]
    try:
        for name in chosen:
            if name == "virtio":
                virtio_input(kernel)
            else:
                typed(kernel, name)
    finally:
        kernel.end()
    finish()


if __name__ == "__main__":
    main()
