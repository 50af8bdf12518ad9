#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Screens of real guests, dot by dot as on the installed emulator ($PEER): SeaBIOS
with its boot menu, GRUB in text, in planar and in linear modes, memtest86+, and
Linux's console in text, in linear modes and on DRM drivers, with VGA and with
Cirrus. (A planar console of Linux's, vga16fb, wants a boot loader that leaves mode
0x12 and says so; Debian's kernel has no other way to it.) Both programs run the same guest at the same time on their software CPUs.

Cursors blink: what is compared is the set of pictures that a screen shows for some
time. Arguments choose guests by a part of their names."""
import os
import shutil
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path[:0] = ["tests", os.path.dirname(os.path.abspath(__file__))]
from libtern import Folder, Machine, TERN, skip_all             # noqa: E402
import libguest                                                 # noqa: E402
import libtap                                                   # noqa: E402

PEER = os.environ.get("PEER") or shutil.which("qemu-system-x86_64")
PATIENCE = 60 * int(os.environ.get("TEST_PATIENCE", "15"))
WINDOW = 2.0                            # longer than a cursor's two phases
CELL = (9, 16)                          # dots of a letter in text mode
MEDIA = os.path.join(os.environ.get("BUILD", "build"), "media")
tmp = ""


class Side:
    """One of the two programs with the guest."""

    def __init__(self, program, args, serial):
        self.told = "%s/told-%d" % (tmp, id(self))
        # an option ROM of its own, which a boot menu shows
        own = ["-global", "apic-common.vapic=off"] if program == PEER else []
        self.m = Machine("-accel", "tcg", "-display", "none", "-nodefaults",
                         "-no-reboot", *own, *[a.replace("TOLD", self.told)
                                         for a in args],
                         program=program, serial=serial, timeout=PATIENCE)
        self.dump = "%s/dump-%d" % (tmp, id(self))
        self.got = []                   # (when, picture)

    def has_told(self, text):
        """Has the guest written that to its debug port?"""
        return os.path.exists(self.told) and text in open(
            self.told, "rb").read()

    def picture(self, masks):
        self.m.cmd("screendump", filename=self.dump)
        with open(self.dump, "rb") as f:
            return masked(f.read(), masks)

    def look(self, masks):
        now = time.time()
        self.got = [g for g in self.got if now - g[0] < WINDOW]
        self.got.append((now, self.picture(masks)))
        return {g[1] for g in self.got}


def masked(ppm, masks):
    """The picture with rectangles of letters (column, row, columns, rows) made
    black."""
    if not masks:
        return ppm
    magic, size, most, dots = ppm.split(b"\n", 3)
    w, h = map(int, size.split())
    out = bytearray(dots)
    for col, row, cols, rows in masks:
        x, n = col * CELL[0], min(cols * CELL[0], w - col * CELL[0])
        for y in range(row * CELL[1], min((row + rows) * CELL[1], h)):
            out[(y * w + x) * 3:(y * w + x + n) * 3] = bytes(n * 3)
    return b"\n".join((magic, size, most, bytes(out)))


class Pair:
    """The guest on both programs."""

    def __init__(self, *args, serial=False):
        self.sides = []
        for program in (TERN, PEER):
            self.sides.append(Side(program, args, serial))

    def each(self, fn):
        """fn(side) for both at the same time; whether both are true."""
        results = []
        threads = [threading.Thread(target=lambda s=s: results.append(fn(s)))
                   for s in self.sides]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        return len(results) == 2 and all(results)

    def wait_told(self, text):
        end = time.time() + PATIENCE
        while not all(s.has_told(text) for s in self.sides):
            if time.time() > end:
                return False
            time.sleep(0.2)
        return True

    def keys(self, *names):
        for s in self.sides:
            s.m.cmd("send-key", keys=[{"type": "qcode", "data": n}
                                      for n in names])

    def same(self, name, masks=(), settle=1.0, size=None):
        """Says ok once both have shown the same pictures, and only these, for
        some time."""
        begin = time.time()
        end, equal_since, a, b = begin + PATIENCE / 3, None, (), ()
        for s in self.sides:
            s.got = []
        while time.time() < end:
            a, b = (s.look(masks) for s in self.sides)
            now = time.time()
            if a != b or now - begin < settle + WINDOW:
                equal_since = None
            elif equal_since is None:
                equal_since = now
            elif now - equal_since > WINDOW / 2:
                break
            time.sleep(0.05)
        shown = size_of(a)
        ok = a == b and equal_since is not None and size in (None, shown)
        if not ok:
            self.keep(name)
        libtap.result(ok, "%s (%dx%d)" % ((name,) + shown),
                      "pictures: %d and %d, in common %d" % (
                          len(a), len(b), len(set(a) & set(b))),
                      [difference(x, y) for x in list(a)[:2]
                       for y in list(b)[:2]])

    def keep(self, name):
        """The two pictures, for people, where $SCREENS says."""
        if os.environ.get("SCREENS"):
            for s, side in zip(self.sides, ("tern", "peer")):
                shutil.copy(s.dump, "%s/%s-%s.ppm" % (
                    os.environ["SCREENS"], name.replace(" ", "-").replace(
                        "/", "-"), side))

    def end(self):
        for s in self.sides:
            s.m.kill()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


def size_of(pictures):
    for p in pictures:
        return tuple(map(int, p.split(b"\n", 2)[1].split()))
    return (0, 0)


def difference(a, b):
    """Where two pictures differ, in words."""
    if a.split(b"\n", 2)[1] != b.split(b"\n", 2)[1]:
        return "sizes %s, %s" % (size_of([a]), size_of([b]))
    w = size_of([a])[0]
    a, b = a.split(b"\n", 3)[3], b.split(b"\n", 3)[3]
    at = [i // 3 for i in range(0, len(a), 3) if a[i:i + 3] != b[i:i + 3]]
    return "%d dots differ, from (%d,%d)" % (len(at), at[0] % w, at[0] // w) \
        if at else "equal"


# ---- SeaBIOS -----------------------------------------------------------------
def seabios(vga):
    disk = tmp + "/empty"
    with open(disk, "wb") as f:
        f.truncate(1 << 20)
    with Pair("-m", "32", "-vga", vga, "-boot", "menu=on,splash-time=60000",
              "-drive", "if=ide,format=raw,file=%s,snapshot=on" % disk,
              "-drive", "if=floppy,format=raw,file=%s,snapshot=on" % disk,
              "-debugcon", "file:TOLD", "-global",
              "isa-debugcon.iobase=0x402") as p:
        p.wait_told(b"Press ESC for boot menu")
        p.same("SeaBIOS asks, " + vga)
        p.keys("esc")
        p.wait_told(b"Select boot device")
        p.same("SeaBIOS's menu, " + vga)
        p.keys("1")
        p.wait_told(b"No bootable device")
        p.same("SeaBIOS finds nothing, " + vga)


# ---- GRUB --------------------------------------------------------------------
GRUB_CFG = """
set timeout=-1
menuentry "The first entry" { true }
menuentry "A second one, with a longer name" { true }
submenu "More of them" { menuentry "Inside" { true } }
%s
outb 0xe9 0x47
"""


GRUB_VIDEO = {
    "text": "",
    "planar": "insmod vga; set gfxmode=640x480",
    "graphics": "insmod vbe; set gfxmode=800x600x32,800x600,640x480",
}
GRUB_GRAPHICS = """
loadfont /boot/grub/ascii.pf2
terminal_output gfxterm
"""


def grub_disk(kind):
    """GRUB's boot sector and core with all that it needs inside."""
    subprocess.run(["sh", "scripts/debian-unpack", MEDIA, "grub-common",
                    "grub-pc-bin"], check=True, stdout=subprocess.DEVNULL)
    mods = MEDIA + "/grub-pc-bin/usr/lib/grub/i386-pc"
    top = tmp + "/grub"
    shutil.rmtree(top, ignore_errors=True)
    os.makedirs(top + "/boot/grub")
    with open(top + "/boot/grub/grub.cfg", "w") as f:
        f.write(GRUB_CFG % (GRUB_VIDEO[kind] +
                            (GRUB_GRAPHICS if kind != "text" else "")))
    for name in ("vga", "vbe"):         # each to be loaded alone
        os.makedirs(top + "/boot/grub/i386-pc", exist_ok=True)
        shutil.copy(mods + "/%s.mod" % name, top + "/boot/grub/i386-pc")
    shutil.copy(MEDIA + "/grub-common/usr/share/grub/ascii.pf2",
                top + "/boot/grub")
    subprocess.run(["tar", "-cf", tmp + "/memdisk", "-C", top, "boot"],
                   check=True)
    subprocess.run([MEDIA + "/grub-common/usr/bin/grub-mkimage", "-O",
                    "i386-pc", "-d", mods, "-p", "(memdisk)/boot/grub", "-m",
                    tmp + "/memdisk", "-o", tmp + "/core", "biosdisk",
                    "memdisk", "tar", "normal", "iorw", "true", "font",
                    "gfxterm", "video", "video_fb", "echo"], check=True)
    with open(tmp + "/grub.disk", "wb") as f, open(
            mods + "/boot.img", "rb") as b, open(tmp + "/core", "rb") as c:
        f.write(b.read()[:440].ljust(510, b"\0") + b"\x55\xaa" + c.read())
        f.truncate(8 << 20)
    return tmp + "/grub.disk"


def grub(vga):
    for kind, size in (("text", (720, 400)), ("planar", (640, 480)),
                       ("graphics", None)):
        with Pair("-m", "64", "-vga", vga, "-debugcon", "file:TOLD", "-drive",
                  "if=ide,format=raw,snapshot=on,file=" +
                  grub_disk(kind)) as p:
            p.wait_told(b"G")
            p.same("GRUB's menu in %s, %s" % (kind, vga),
                   size=size)
            p.keys("down")
            p.keys("down")
            p.keys("ret")
            p.same("GRUB's menu below it in %s, %s" % (kind, vga))
            p.keys("c")
            for key in "echo":
                p.keys(key)
            p.same("GRUB's prompt in %s, %s" % (kind, vga))


# ---- memtest86+ --------------------------------------------------------------
# Measured speeds; how far the test is, and its pattern; time and a turning bar.
MEMTEST_MOVES = ((0, 1, 28, 5), (30, 1, 50, 5), (44, 7, 36, 1), (44, 8, 10, 1))


def memtest(vga):
    subprocess.run(["sh", "scripts/debian-unpack", MEDIA, "memtest86+"],
                   check=True, stdout=subprocess.DEVNULL)
    with Pair("-m", "64", "-vga", vga, "-kernel",
              MEDIA + "/memtest86+/boot/memtest86+x64.bin") as p:
        p.same("memtest86+ at work, " + vga, MEMTEST_MOVES, settle=15,
               size=(720, 400))
        p.keys("f1")
        p.same("memtest86+'s menu, " + vga, MEMTEST_MOVES, settle=3,
               size=(720, 400))


# ---- Linux -------------------------------------------------------------------
# Colours and attributes, letters beyond ASCII, lines that wrap and that scroll,
# deleted and inserted ones, a cursor that stands somewhere.
DRAW = "{ " + "; ".join((
    r"printf '\033c'",
    "i=0",
    "while [ $i -lt 70 ]",
    "do echo \"line $i scrolls away\"",
    "i=$((i+1))",
    "done",
    "for b in 40 41 42 43 44 45 46 47",
    "do for f in 30 31 32 33 34 35 36 37",
    r"do printf '\033[%d;%dmA\033[1mB\033[4mC\033[7mD\033[0m' $b $f",
    "done",
    "echo",
    "done",
    r"printf 'caf\303\251 \303\234ber \342\224\214\342\224\200\342\224\220 "
    r"\342\226\210\342\226\221 \316\261\316\262 \302\243\n'",
    "printf '%s%s%s%s\\n' 0123456789abcdefghijklmnopqrstuvwxyz "
    "0123456789abcdefghijklmnopqrstuvwxyz 0123456789 XYZ",
    r"printf '\033[3;10H\033[2L\033[5;4H\033[3@\033[6;1H\033[M\033[12;30H'",
)) + "; } >/dev/tty1"
MODULES = ("drm_panel_orientation_quirks", "drm",
           "drm_kms_helper", "ttm", "drm_ttm_helper", "drm_vram_helper",
           "drm_shmem_helper", "fb_sys_fops", "syscopyarea", "sysfillrect",
           "sysimgblt", "i2c-core", "cec", "rc-core", "bochs", "cirrus")
DRM = ("for m in rc-core cec drm_panel_orientation_quirks drm drm_kms_helper "
       "ttm drm_ttm_helper drm_vram_helper drm_shmem_helper %s; do "
       "[ ! -f /m/$m.ko ] || insmod /m/$m.ko; done")


def linux(kernel, vga, append, steps):
    """steps: name, a line for the shell before, the size that is shown."""
    with Pair("-m", "256", "-vga", vga, "-kernel", kernel.vmlinuz, "-initrd",
              kernel.initrd, "-append", "console=tty1 console=ttyS0 quiet "
              "loglevel=1 panic=-1 run=shell.sh " + append, serial=True) as p:
        if not p.each(lambda s: s.m.line.expect("shell is ready", PATIENCE)):
            libtap.result(False, "Linux starts, %s %s" % (vga, append),
                          *(s.m.line.tail() for s in p.sides))
            return
        for name, before, size in steps:
            line = "; ".join(filter(None, (before, DRAW)))
            for s in p.sides:
                s.m.line.send(line + "\n")
            p.each(lambda s: s.m.line.expect(r"@@\d+@@", PATIENCE))
            p.same("Linux, %s, %s" % (name, vga), size=size)


BOOTS = (
    ("std", "", (("text", "", (720, 400)),
                 ("bochs-drm", DRM % "bochs", None))),
    ("std", "vga=0x305", (("linear 8 bits", "", (1024, 768)),)),
    ("std", "vga=0x314", (("linear 16 bits", "", (800, 600)),)),
    ("std", "vga=0x318", (("linear 32 bits", "", (1024, 768)),)),
    ("cirrus", "", (("text", "", (720, 400)),
                    ("cirrus-drm", DRM % "cirrus", None))),
    ("cirrus", "vga=0x301", (("linear 8 bits", "", (640, 480)),)),
    ("cirrus", "vga=0x317", (("linear 16 bits", "", (1024, 768)),)),
)


def consoles(chosen):
    rows = [b for b in BOOTS if chosen("linux %s %s %s" % (
        b[0], b[1], " ".join(s[0] for s in b[2])))]
    kernel = libguest.Kernel(MODULES, ()) if rows else None
    try:
        for row in rows:
            linux(kernel, *row)
    finally:
        if kernel:
            kernel.end()


def main():
    global tmp
    if not PEER:
        skip_all("no other emulator is installed")

    def chosen(name):
        return not sys.argv[1:] or any(a in name for a in sys.argv[1:])
    with Folder("screens") as tmp:
        for vga in ("std", "cirrus"):
            for fn in (seabios, grub, memtest):
                if chosen("%s %s" % (fn.__name__, vga)):
                    fn(vga)
        consoles(chosen)
    sys.exit(libtap.end())


if __name__ == "__main__":
    main()
