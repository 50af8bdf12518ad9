#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Images on block devices of the host: two loop devices of equal files, one for
# tern-img and tern-io, one for the peer's tools; what they say, how they end and
# what the devices hold afterwards must be equal. Needs root and loop devices.

import os
import re
import shutil
import subprocess
import sys
import tempfile

BUILD = os.path.abspath(os.environ.get("BUILD", "build"))
OURS = BUILD + "/compat"
PEER = os.path.dirname(shutil.which("qemu-img") or "")
SIZE = 4 << 20
PATIENCE = 60 * int(os.environ.get("TERN_TEST_PATIENCE", "1"))

# DEV is the device, SRC a file of its size. The device is zeroed before lines
# that begin with "new".
LINES = """
img info DEV
img info --output=json -f raw DEV
img info -f host_device DEV
img create -f raw DEV 1M
img create -f raw DEV 4M
img create -f raw DEV 8M
img create -f host_device DEV 4M
io -f raw -c 'write -P 5 0 64k' -c 'read -P 5 0 64k' -c 'write -P 6 100 1000' -c 'read -P 6 100 1000' -c length DEV
io -f raw -n -c 'write -P 7 512 512' -c 'write -P 8 4000 200' -c 'read -P 8 4000 200' -c flush DEV
io -f raw -n -k -c 'aio_write -P 9 1M 256k' -c aio_flush -c 'read -P 9 1M 256k' DEV
io -f raw -n -i io_uring -c 'write -P 10 2M 256k' -c 'read -P 10 2M 256k' DEV
io -f raw -c 'write -z 0 64k' -c 'read -P 0 0 64k' -c 'write -z -u 1M 64k' -c 'read -P 0 1M 64k' DEV
io -f raw -c 'discard 2M 64k' -c 'read 2M 64k' -c 'write 4M 512' -c 'read 4095k 2k' DEV
io -f raw -r -c 'write 0 512' -c 'read 0 512' DEV
io -f raw -c 'truncate 8M' -c 'truncate 2M' -c length DEV
io --image-opts -c length driver=file,filename=DEV
io --image-opts -c length driver=raw,file.driver=file,file.filename=DEV
io --image-opts -c 'write -P 3 0 4k' -c 'read -P 3 0 4k' driver=host_device,filename=DEV
io --image-opts -c length driver=raw,file.driver=host_device,file.filename=DEV,offset=512,size=1024
io -c length host_device:DEV
io -r -c 'read 0 4k' host_cdrom:DEV
io --image-opts -r -c 'read 0 4k' driver=host_cdrom,filename=DEV
img resize -f raw DEV 8M
img resize -f raw --shrink DEV 1M
img map -f raw DEV
img map -f raw --output=json DEV
img check DEV
img measure -f raw -O qcow2 DEV
img convert -n -f raw -O raw SRC DEV
img compare -f raw -F raw SRC DEV
img convert -n -f raw -O host_device SRC DEV
img convert -f raw -O raw SRC DEV
img compare -f raw -F raw SRC DEV
img convert -n -t none -T none -f raw -O raw SRC DEV
img dd -f raw -O raw if=SRC of=DEV bs=64k
img rebase -u -b SRC -F raw DEV
new
img create -f qcow2 DEV 16M
img info DEV
img info --output=json DEV
io -f qcow2 -c 'write -P 1 0 1M' -c 'write -P 2 8M 100k' -c 'read -P 2 8M 100k' DEV
! img check -f qcow2 DEV
! img map -f qcow2 DEV
img snapshot -c one DEV
img snapshot -l DEV
img resize -f qcow2 DEV 32M
io -f qcow2 -c 'write -P 3 16M 8M' DEV
! img check -f qcow2 DEV
io -f qcow2 -c 'read -P 2 8M 100k' DEV
img amend -f qcow2 -o lazy_refcounts=on DEV
img bitmap -f qcow2 --add DEV b
img info -f qcow2 DEV
new
img convert -n -f raw -O qcow2 SRC DEV
! img convert -f raw -O qcow2 SRC DEV
img create -f qcow2 -b SRC -F raw DEV 8M
io -f qcow2 -c 'write -P 2 1M 64k' DEV
img commit -f qcow2 DEV
new
img create -f vmdk DEV 16M
img create -f vdi DEV 2M
img info -f vdi DEV
img create -f luks --object secret,id=s,data=x -o key-secret=s,iter-time=10 DEV 1M
""".strip().split("\n")


def normal(text):
    for a, b in ((r"ops; .*", "ops; TIME"), (r"\d{4}-\d\d-\d\d .*", "DATE"),
                 (r"\b(tern|qemu)-(io|img)\b", r"PROG-\2"),
                 (r".*\bProcess \d+ has it.*\n", ""),
                 (r" +Fix: format=raw.*\n", ""),
                 (r'"date-(n?sec)": \d+', "DATE")):
        text = re.sub(a, b, text)
    return text


class Side:
    def __init__(self, folder, name, programs):
        self.programs = programs
        self.file = "%s/%s.disk" % (folder, name)
        self.src = "%s/%s.src" % (folder, name)
        with open(self.file, "wb") as f:
            f.truncate(SIZE)
        with open(self.src, "wb") as f:
            f.write(bytes(i // 512 * 7 & 255 for i in range(0, SIZE, 16)) * 16)
        self.dev = subprocess.run(
            ["losetup", "-f", "--show", self.file], check=True, text=True,
            stdout=subprocess.PIPE).stdout.strip()

    def run(self, line):
        if line == "new":
            with open(self.dev, "r+b") as f:
                f.write(bytes(SIZE))
            return ""
        tool, rest = line.split(" ", 1)
        rest = rest.replace("DEV", self.dev).replace("SRC", self.src)
        for _ in range(20):
            p = subprocess.run(
                ["sh", "-c", "exec %s/qemu-%s %s" % (self.programs, tool,
                                                     rest)],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, timeout=PATIENCE)
            # The peer cannot always measure the time a password takes.
            if "Unable to get accurate CPU usage" not in p.stdout:
                break
        out = normal(p.stdout.replace(self.dev, "DEV").replace(self.src, "SRC"))
        return "status %d\n%s" % (p.returncode, out)

    def held(self):
        with open(self.dev, "rb") as f:
            return f.read()

    def end(self):
        subprocess.run(["losetup", "-d", self.dev], check=True)


def sides(folder):
    out = []
    try:
        for name, programs in (("ours", OURS), ("peer", PEER)):
            out.append(Side(folder, name, programs))
    except (OSError, subprocess.CalledProcessError):
        for s in out:
            s.end()
        return None
    return out


def main():
    if not PEER or not shutil.which("losetup"):
        print("1..0 # SKIP no qemu-img or no losetup")
        return 0
    bad = 0
    with tempfile.TemporaryDirectory(prefix="tern-dev-") as folder:
        both = sides(folder)
        if not both:
            print("1..0 # SKIP loop devices cannot be set up here")
            return 0
        try:
            raw = True                 # else clusters may lie elsewhere
            for n, line in enumerate(LINES):
                raw &= line != "new"
                said = [s.run(line.lstrip("! ")) for s in both]
                if line[0] == "!":
                    said = [s.split("\n")[0] for s in said]
                ok = said[0] == said[1] and \
                    (not raw or both[0].held() == both[1].held())
                bad += not ok
                if not ok:
                    for s in said:
                        print("# " + s.replace("\n", "\n# "))
                print("%sok %d - %s" % ("" if ok else "not ", n + 1, line),
                      flush=True)
        finally:
            for s in both:
                s.end()
    print("1..%d" % len(LINES))
    return bad > 0


sys.exit(main())
