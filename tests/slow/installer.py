#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's netboot installer, watched and typed to by VNC alone: it boots by PXE
from the user network and from an ISO on an IDE CD, shows its help page, is
asked for, starts its kernel, and shows its first dialogue.

Arguments choose: pxe, iso."""
import os
import shutil
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path[:0] = ["tests", "tests/slow"]
from libscreen import Screen, font
from libtap import end, result
from libtern import BUILD, Folder, Gone, Machine, skip_all

SLOW = int(os.environ.get("TEST_PATIENCE", "4"))
PACKAGE = "debian-installer-12-netboot-amd64"
IMAGES = "/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64/"
# No frame buffer terminal of the installer's own: letters can be read.
CONFIG = """display f1.txt
prompt 1
timeout 0
label install
kernel linux
append initrd=initrd.gz vga=normal fb=false quiet
"""


def unpacked(*packages):
    r = subprocess.run(["sh", "scripts/debian-unpack", BUILD + "/media",
                        *packages], capture_output=True, text=True)
    if r.returncode:
        skip_all((r.stdout + r.stderr).strip().splitlines()[-1])
    return [BUILD + "/media/" + p for p in packages]


def common(top, where):
    os.makedirs(where)
    for f in ("linux", "initrd.gz", "boot-screens/f1.txt",
              "boot-screens/ldlinux.c32"):
        shutil.copy(top + IMAGES + f, where)


def by_pxe(folder):
    top, = unpacked(PACKAGE)
    tftp = folder + "/tftp"
    common(top, tftp)
    shutil.copy(top + IMAGES + "pxelinux.0", tftp)
    os.mkdir(tftp + "/pxelinux.cfg")
    with open(tftp + "/pxelinux.cfg/default", "w") as f:
        f.write(CONFIG)
    return ["-netdev", "user,id=n,bootfile=pxelinux.0,tftp=" + tftp,
            "-device", "e1000,netdev=n,bootindex=1"]


def by_iso(folder):
    top, isolinux, modules = unpacked(PACKAGE, "isolinux", "syslinux-common")
    tree = folder + "/tree"
    common(top, tree)
    shutil.copy(isolinux + "/usr/lib/ISOLINUX/isolinux.bin", tree)
    shutil.copy(modules + "/usr/lib/syslinux/modules/bios/ldlinux.c32", tree)
    with open(tree + "/isolinux.cfg", "w") as f:
        f.write(CONFIG)
    subprocess.run(
        ["xorriso", "-as", "mkisofs", "-quiet", "-o", folder + "/cd.iso", "-b",
         "isolinux.bin", "-c", "boot.cat", "-no-emul-boot", "-boot-load-size",
         "4", "-boot-info-table", tree], check=True)
    shutil.rmtree(tree)
    return ["-drive", "if=none,id=c,media=cdrom,format=raw,readonly=on,file=" +
            folder + "/cd.iso", "-device", "ide-cd,drive=c,bootindex=1"]


def watch(name, folder, arguments):
    vnc = folder + "/vnc"
    with Machine("-accel", "soft", "-M", "pc", "-m", "1024", "-nodefaults",
                 "-vga", "std", "-no-reboot", "-vnc", "unix:" + vnc,
                 *arguments) as m:
        for _ in range(100):
            if os.path.exists(vnc):
                break
            time.sleep(0.1)
        screen = Screen(vnc)

        def seen(what, words, seconds):
            text = screen.wait(words, seconds * SLOW)
            return result(text, "%s: %s" % (name, what),
                          "" if text else screen.text())
        if seen("its help page", "Welcome to Debian GNU/Linux!", 90) and \
                seen("the prompt", "boot:", 30):
            screen.type("boot: ", "install", 30 * SLOW)
            if seen("its first dialogue", "Select a language", 300):
                seen("in full", "Choose the language to be used ", 30)
        try:
            m.quit()
        except (Gone, OSError):
            result(False, name + ": ends")


def main():
    if not font():
        skip_all("no VGA BIOS of SeaBIOS with its font")
    if not shutil.which("apt-get"):
        skip_all("no apt-get for the packages")
    ways = {"pxe": by_pxe, "iso": by_iso}
    for name in sys.argv[1:] or ways:
        if name == "iso" and not shutil.which("xorriso"):
            print("# no xorriso, no ISO")
            continue
        with Folder("installer") as folder:
            watch(name, folder, ways[name](folder))
    return end()


sys.exit(main())
