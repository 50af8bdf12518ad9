#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""dump-guest-memory: core files and makedumpfile's form hold the memory that
pmemsave writes and the registers that the monitor shows; with paging, addresses
are the guest's own (a Linux kernel on the software CPU, whose text is found at
the address that its page tables say). The installed qemu-system-x86_64's dumps
are read by the same readers."""

import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import zlib

sys.dont_write_bytecode = True
sys.path.insert(0, "tests")
import libtap                                                    # noqa: E402
import libtern                                                   # noqa: E402
from libtap import check                                         # noqa: E402

BUILD = os.environ.get("BUILD", "build")
OURS = BUILD + "/compat/qemu-system-x86_64"
PEER = os.environ.get("PEER") or shutil.which("qemu-system-x86_64")
PATIENCE = 60 * int(os.environ.get("TERN_TEST_PATIENCE", "1"))
PAGE = 4096


class Program(libtern.Program):
    def __init__(self, exe, *args):
        super().__init__([exe, "-nodefaults", "-display", "none", *args],
                         PATIENCE)

    def cmd(self, verb, /, **args):
        try:
            return self.ask(verb, **args)
        except libtern.Gone:
            return {"error": {"desc": "it ended"}}

    def desc(self, name, **args):
        return self.cmd(name, **args).get("error", {}).get("desc")

    def data(self, name):
        m = self.event(name, PATIENCE)
        return m and m.get("data", {})

    def end(self):
        self.cmd("quit")
        return self.p.wait(PATIENCE)


def notes_read(data):
    """[(name, type, contents)]"""
    out, at = [], 0
    while at < len(data):
        n, size, kind = struct.unpack_from("<III", data, at)
        at += 12
        name = data[at:at + n - 1].decode()
        at += (n + 3) & ~3
        out.append((name, kind, data[at:at + size]))
        at += (size + 3) & ~3
    return out


def elf_read(path):
    """Machine, notes, [(va, pa, length, offset)], the bytes."""
    with open(path, "rb") as f:
        b = f.read()
    machine, = struct.unpack_from("<H", b, 18)
    phoff, = struct.unpack_from("<Q", b, 32)
    size, count = struct.unpack_from("<HH", b, 54)
    if count == 0xffff:
        count, = struct.unpack_from("<I", b,
                                    struct.unpack_from("<Q", b, 40)[0] + 44)
    notes, loads = None, []
    for i in range(count):
        kind, _, off, va, pa, filesz, memsz, _ = struct.unpack_from(
            "<IIQQQQQQ", b, phoff + i * size)
        if kind == 4:
            notes = notes_read(b[off:off + filesz])
        else:
            loads.append((va, pa, memsz, off))
            assert filesz == memsz
    return machine, notes, loads, b


def kdump_read(path):
    """Notes and {page number: contents} of a flattened dump."""
    with open(path, "rb") as f:
        b = f.read()
    assert b[:16] == b"makedumpfile\0\0\0\0"
    assert struct.unpack_from(">QQ", b, 16) == (1, 1)
    pieces, at = {}, PAGE
    while True:
        place, size = struct.unpack_from(">QQ", b, at)
        at += 16
        if place == (1 << 64) - 1:
            break
        pieces[place] = b[at:at + size]
        at += size
    assert at == len(b)
    flat = bytearray(max(p + len(d) for p, d in pieces.items()))
    for place, data in pieces.items():
        flat[place:place + len(data)] = data
    assert flat[:8] == b"KDUMP   "
    version, = struct.unpack_from("<I", flat, 8)
    _, block, sub, maps, _ = struct.unpack_from("<IIIII", flat, 424)
    note_at, note_len = struct.unpack_from("<QQ", flat, block + 48)
    top, = struct.unpack_from("<Q", flat, block + 96)
    assert version == 6 and block == PAGE
    bits = block * (1 + sub)
    half = maps * block // 2
    assert flat[bits:bits + half] == flat[bits + half:bits + 2 * half]
    desc = bits + 2 * half
    pages = {}
    for pfn in range(top):
        if flat[bits + pfn // 8] >> (pfn % 8) & 1:
            off, size, flags = struct.unpack_from("<QII", flat, desc)
            desc += 24
            data = bytes(flat[off:off + size])
            pages[pfn] = zlib.decompress(data) if flags & 1 else data
            assert len(pages[pfn]) == PAGE
    return notes_read(bytes(flat[note_at:note_at + note_len])), pages


def state(note):
    """rip, rsp, rflags, cr0, cr3, cr4, cs of a QEMU note."""
    q = struct.unpack_from("<18Q", note, 8)
    cr = struct.unpack_from("<5Q", note, 392)
    return {"rip": q[16], "rsp": q[6], "rflags": q[17], "cr0": cr[0],
            "cr3": cr[3], "cr4": cr[4],
            "cs": struct.unpack_from("<I", note, 152)[0]}


def shown(text):
    got = {}
    for name, key in (("rip", "[RE]IP"), ("rsp", "[RE]SP"),
                      ("rflags", "[RE]FL"), ("cr0", "CR0"), ("cr3", "CR3"),
                      ("cr4", "CR4"), ("cs", "CS ")):
        got[name] = int(re.search(key + r" ?=([0-9a-f]+)", text).group(1), 16)
    return got


def memory_is(loads, b, start, want):
    """Whether the dump has `want` at physical address start."""
    for _, pa, size, off in loads:
        if pa <= start and start + len(want) <= pa + size:
            at = off + start - pa
            return b[at:at + len(want)] == want
    return False


def firmware(exe, who, folder):
    """The two forms of one stopped machine are compared with each other, with
    pmemsave and with the monitor's registers."""
    p = Program(exe, "-accel", "tcg", "-m", "32", "-smp", "2", "-S")
    name = folder + "/" + who
    p.cmd("cont")
    time.sleep(0.5)
    p.cmd("stop")
    for form in ("elf", "kdump-zlib"):
        got = p.cmd("dump-guest-memory", paging=False, format=form,
                    protocol="file:%s.%s" % (name, form))
        told = p.data("DUMP_COMPLETED")
        check("%s: %s" % (who, form), got == {"return": {}} and
              told["result"]["status"] == "completed" and
              told["result"]["completed"] == told["result"]["total"],
              (got, told))
    p.cmd("pmemsave", val=0, size=32 << 20, filename=name + ".mem")
    regs = [shown(p.hmp("info registers"))]
    p.cmd("human-monitor-command", **{"command-line": "info registers",
                                      "cpu-index": 1})
    regs.append(shown(p.cmd("human-monitor-command", **{
        "command-line": "info registers", "cpu-index": 1})["return"]))
    p.cmd("dump-guest-memory", paging=False, begin=0x100000, length=0x2000,
          protocol="file:%s.part" % name)
    p.end()
    machine, notes, loads, b = elf_read(name + ".elf")
    with open(name + ".mem", "rb") as f:
        mem = f.read()
    check("%s: the core file has the memory" % who,
          machine == 3 and memory_is(loads, b, 0, mem[:0xa0000]) and
          memory_is(loads, b, 0xc0000, mem[0xc0000:]), loads)
    check("%s: and the registers" % who,
          [state(n[2]) for n in notes if n[0] == "QEMU"] == regs,
          ([state(n[2]) for n in notes if n[0] == "QEMU"], regs))
    check("%s: a note of the kernel's form for each" % who,
          [(n[0], n[1], len(n[2]), struct.unpack_from("<I", n[2], 24)[0])
           for n in notes if n[0] == "CORE"] ==
          [("CORE", 1, 144, 1), ("CORE", 1, 144, 2)])
    knotes, pages = kdump_read(name + ".kdump-zlib")
    check("%s: the compressed one has the same notes" % who, knotes == notes)
    same = {}
    for _, pa, size, off in loads:
        for at in range(0, size, PAGE):
            same[(pa + at) // PAGE] = b[off + at:off + at + PAGE]
    check("%s: and the same pages" % who, pages == same,
          (len(pages), len(same)))
    _, _, loads, b = elf_read(name + ".part")
    check("%s: a part" % who, [x[:3] for x in loads] ==
          [(0x100000, 0x100000, 0x2000)] and
          memory_is(loads, b, 0x100000, mem[0x100000:0x102000]), loads)
    return name + ".elf"


def refusals(folder):
    p = Program(OURS, "-accel", "tcg", "-m", "32", "-S")
    to = "file:" + folder + "/x"
    form = "kdump-compressed format doesn't support paging or filter"
    for name, want, args in (
            ("lzo", "kdump-lzo is not available now",
             {"format": "kdump-lzo"}),
            ("begin alone", "Parameter 'length' is missing", {"begin": 1}),
            ("length alone", "Parameter 'begin' is missing", {"length": 1}),
            ("nothing there", "dump: no guest memory to dump",
             {"begin": 1 << 40, "length": 1}),
            ("a compressed part", form,
             {"begin": 0, "length": 1, "format": "kdump-zlib"}),
            ("no such protocol", "Invalid parameter 'protocol'",
             {"protocol": "tcp:x"}),
            ("no such descriptor",
             "File descriptor named 'x' has not been found",
             {"protocol": "fd:x"}),
            ("no such folder", "Could not open '/nonexistent/x': No such file "
             "or directory", {"protocol": "file:/nonexistent/x"})):
        got = p.desc("dump-guest-memory",
                     **{"paging": False, "protocol": to, **args})
        check("refused: " + name, got == want, got)
    if os.path.exists("/dev/full"):
        got = p.desc("dump-guest-memory", paging=False,
                     protocol="file:/dev/full")
        told = p.data("DUMP_COMPLETED")
        check("a full disk is told", got and "No space left" in got and
              told["result"]["status"] == "failed" and
              told["error"] == got, (got, told))
    check("info dump", p.hmp("info dump") == "Status: failed\n")
    got = p.hmp("dump-guest-memory -z " + folder + "/h")
    check("and from the console", got == "" and
          p.hmp("info dump") == "Status: completed\n" and
          len(kdump_read(folder + "/h")[1]) > 1000, got)
    check("the capabilities", p.cmd("query-dump-guest-memory-capability") ==
          {"return": {"formats": ["elf", "kdump-zlib"]}})
    p.end()


def through_a_pipe(folder):
    """A reader who takes his time: the machine stays stopped, others are told
    to wait, and it runs again when the last byte is out."""
    path = folder + "/fifo"
    os.mkfifo(path)
    p = Program(OURS, "-accel", "tcg", "-m", "32")
    rd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    got = p.cmd("dump-guest-memory", paging=False, detach=True,
                protocol="file:" + path)
    check("detached", got == {"return": {}}, got)
    first = p.cmd("query-dump")["return"]
    check("query-dump", first["status"] == "active" and
          first["completed"] < first["total"], first)
    check("the machine is stopped",
          p.cmd("query-status")["return"]["status"] == "save-vm")
    wait = "There is a dump in process, please wait."
    check("cont waits", p.desc("cont") == wait)
    check("another dump waits", p.desc(
        "dump-guest-memory", paging=False,
        protocol="file:" + folder + "/y") == wait)
    os.set_blocking(rd, True)
    total = 0
    while True:
        data = os.read(rd, 1 << 20)
        if not data:
            break
        total += len(data)
    os.close(rd)
    told = p.data("DUMP_COMPLETED")
    check("all of it comes", told and told["result"]["status"] ==
          "completed" and total > told["result"]["total"], (told, total))
    check("the machine runs again", p.data("RESUME") is not None and
          p.cmd("query-status")["return"]["status"] == "running")
    # the program ends while a dump is under way
    rd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    p.cmd("dump-guest-memory", paging=False, detach=True,
          protocol="file:" + path)
    check("quit does not wait for the reader", p.end() == 0)
    os.close(rd)


def kernel(folder):
    made = subprocess.run(["sh", "scripts/linux-guest", BUILD + "/demo",
                           "cloud"], capture_output=True, text=True,
                          check=False)
    if made.returncode:
        print("# no kernel: " + made.stdout[-200:])
        return
    p = Program(OURS, "-accel", "soft", "-m", "192", "-kernel",
                BUILD + "/demo/vmlinuz", "-append", "nokaslr panic=0")
    end = time.time() + PATIENCE
    text = ""
    while time.time() < end and "ffffffff" not in text:
        time.sleep(0.2)
        text = p.hmp("info registers")
        text = text[text.find("RIP"):][:24]
    p.cmd("stop")
    p.cmd("dump-guest-memory", paging=True, protocol="file:%s/l" % folder)
    regs = shown(p.hmp("info registers"))
    rip = regs["rip"] & ~(PAGE - 1)
    p.cmd("memsave", val=rip - (1 << 64) if rip >> 63 else rip, size=PAGE,
          filename=folder + "/text")
    p.end()
    machine, notes, loads, b = elf_read(folder + "/l")
    check("a 64-bit guest", machine == 62 and
          [len(n[2]) for n in notes] == [336, 440], machine)
    pr = struct.unpack_from("<27Q", notes[0][2], 112)
    check("its registers", (pr[16], pr[18], pr[19], pr[17]) ==
          (regs["rip"], regs["rflags"], regs["rsp"], regs["cs"]) and
          state(notes[1][2]) == regs, (pr, regs))
    at = [off + rip - va for va, _, size, off in loads
          if va <= rip < va + size]
    with open(folder + "/text", "rb") as f:
        want = f.read()
    check("its code at the address that it has there",
          at and b[at[0]:at[0] + PAGE] == want and len(want) == PAGE,
          (hex(rip), len(loads)))


def main():
    with tempfile.TemporaryDirectory(prefix="tern-dump-") as folder:
        core = firmware(OURS, "tern", folder)
        if shutil.which("readelf"):
            got = subprocess.run(["readelf", "-W", "-h", "-l", "-n", core],
                                 capture_output=True, text=True, check=False)
            check("readelf has nothing to say against it",
                  not got.stderr and "NT_PRSTATUS" in got.stdout, got.stderr)
        if PEER:
            firmware(PEER, "peer", folder)
        refusals(folder)
        through_a_pipe(folder)
        kernel(folder)
    return libtap.end()


if __name__ == "__main__":
    sys.exit(main())
