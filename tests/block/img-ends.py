#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How tern-img and tern-io end: no room for the output, killed or interrupted in
the middle, asked how far they are, kept away from an image that another program
holds. Where the peer is there it must end in the same way."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

BUILD = os.environ.get("BUILD", "build")
IMG = os.environ.get("TERN_IMG", BUILD + "/tern-img")
IO = os.environ.get("TERN_IO", BUILD + "/tern-io")
PEER_IMG = shutil.which("qemu-img")
PEER_IO = shutil.which("qemu-io")
work = tempfile.mkdtemp(prefix="img-ends-")
done = []


def at(name):
    return os.path.join(work, name)


def result(name, reason=""):
    done.append(not reason)
    if reason:
        print("# " + reason.replace("\n", "\n# "))
    print("%sok %d - %s" % ("not " if reason else "", len(done), name),
          flush=True)


def run(*args, **kw):
    return subprocess.run(args, stdin=subprocess.DEVNULL, timeout=120,
                          capture_output=True, text=True, **kw)


def must(*args):
    p = run(*args)
    if p.returncode:
        raise RuntimeError("%s: %s" % (" ".join(args), p.stderr))


def data_make():
    with open(at("data"), "wb") as f:
        for i in range(48):
            f.write(bytes([i + 1]) * (1 << 20))
    must(IMG, "convert", "-f", "raw", "-O", "qcow2", at("data"), at("q"))


# ---- no room -----------------------------------------------------------------

def limited(prog, *args):
    """A limit on the size of files stands for a full disk: the signal that comes
    with it is ignored, so that writes give an error."""
    def limit():
        import resource
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8 << 20, 8 << 20))
    return run(prog, *args, preexec_fn=limit)


def no_room(name, *args):
    ends = []
    for prog in filter(None, (IMG, PEER_IMG)):
        if os.path.exists(at("out")):
            os.unlink(at("out"))
        p = limited(prog, *args)
        text = re.sub(r"at byte \d+", "at byte N", p.stderr)
        text = text.replace("qemu-img", "tern-img")
        # The peer calls a limit on files a limit of the format.
        text = re.sub(r"(out: ).*(too large).*", r"\1\2", text)
        ends.append((p.returncode, text.split("\n", 1)[0]))
    reason = ""
    if ends[0][0] != 1:
        reason = "status %d: %s" % ends[0]
    elif len(ends) > 1 and ends[0] != ends[1]:
        reason = "ours %r\npeer %r" % (ends[0], ends[1])
    result("no room: " + name, reason)


def no_room_all():
    raw = ["convert", "-f", "raw"]
    no_room("convert to raw", *raw, "-O", "raw", at("data"), at("out"))
    no_room("convert to qcow2", *raw, "-O", "qcow2", at("data"), at("out"))
    no_room("dd", "dd", "-f", "raw", "bs=1M", "if=" + at("data"),
            "of=" + at("out"))
    no_room("full preallocation", "create", "-q", "-f", "raw", "-o",
            "preallocation=full", at("out"), "32M")
    must(IMG, "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", at("q"),
         at("over"))
    no_room("rebase", "rebase", "-b", "", at("over"))
    p = run(IMG, "check", "-q", at("over"))
    result("no room: rebase leaves a consistent image",
           "" if p.returncode in (0, 3) else p.stderr)
    p = run(IMG, "compare", "-q", at("over"), at("q"))
    result("no room: rebase leaves the contents",
           "" if not p.returncode else p.stderr)


def full_device():
    """Writes to a file system without room: ENOSPC itself."""
    if not os.path.exists("/dev/full"):
        return result("no room: output of info # SKIP no /dev/full")
    with open("/dev/full", "w") as full:
        p = subprocess.run([IMG, "info", at("q")], stdout=full,
                           stderr=subprocess.PIPE, timeout=60)
    result("no room: output of info",
           "" if p.returncode == 1 else "status %d" % p.returncode)


# ---- signals -----------------------------------------------------------------

def slow(prog, out, *more):
    """A conversion that takes long, at 4 MiB a second."""
    return subprocess.Popen([prog, "convert", "-f", "raw", "-O", "qcow2", "-r",
                             "4M", *more, at("data"), at(out)],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def wait_for(path, size, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if os.path.exists(path) and os.stat(path).st_size >= size:
            return True
        time.sleep(0.01)
    return False


def killed(sig):
    if os.path.exists(at("out")):
        os.unlink(at("out"))
    p = slow(IMG, "out")
    begun = wait_for(at("out"), 1 << 20)
    p.send_signal(sig)
    p.communicate(timeout=60)
    name = "%s in the middle of convert" % sig.name
    if not begun:
        return result(name, "it wrote nothing")
    if p.returncode != -sig:
        return result(name, "status %d" % p.returncode)
    c = run(IMG, "check", at("out"))
    result(name, "" if c.returncode in (0, 3) else c.stdout + c.stderr)


def asked():
    """SIGUSR1 prints a line on stderr and nothing ends."""
    p = slow(IMG, "out2")
    wait_for(at("out2"), 4 << 20)
    for _ in range(3):
        p.send_signal(signal.SIGUSR1)
        time.sleep(0.6)
    alive = p.poll() is None
    p.terminate()
    _, err = p.communicate(timeout=60)
    lines = re.findall(r"^    \(\d+\.\d\d/100%\)$", err, re.M)
    result("SIGUSR1 tells how far convert is",
           "" if alive and lines else "alive %s, %r" % (alive, err))


def progress():
    p = subprocess.run([IMG, "convert", "-p", "-f", "raw", "-O", "raw",
                        at("data"), at("out3")], stdout=subprocess.PIPE,
                       timeout=60)
    parts = [float(x) for x in re.findall(rb"\((\d+\.\d\d)/100%\)\r", p.stdout)]
    ok = parts and parts[0] == 0 and parts[-1] == 100 and parts == sorted(parts)
    result("-p counts up to 100 in one line",
           "" if ok and p.stdout.endswith(b"\r\n") and
           p.stdout.count(b"\n") == 1 else repr(p.stdout))


def rate():
    begun = time.monotonic()
    must(IMG, "convert", "-r", "16M", "-f", "raw", "-O", "raw", at("data"),
         at("out3"))
    took = time.monotonic() - begun
    result("-r 16M: 48 MiB take three seconds",
           "" if took > 2 else "%.1f s" % took)


# ---- locks -------------------------------------------------------------------

def holder(prog, *args):
    """An interactive tern-io or qemu-io that has the image open."""
    p = subprocess.Popen([prog, *args, at("q")], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         text=True)
    p.stdin.write("length\n")
    p.stdin.flush()
    while "48 MiB" not in p.stdout.readline():
        if p.poll() is not None:
            break
    return p


def locked(keeper, other, name):
    p = holder(keeper)
    got = run(other, "snapshot", "-c", "x", at("q"))
    shared = run(other, "info", "-U", at("q"))
    plain = run(other, "info", at("q"))
    reason = ""
    if got.returncode != 1 or 'Failed to get' not in got.stderr or \
            " lock" not in got.stderr:
        reason = "status %d: %s" % (got.returncode, got.stderr)
    elif other == IMG and str(p.pid) not in got.stderr:
        reason = "the holder %d is not named: %s" % (p.pid, got.stderr)
    elif shared.returncode:
        reason = "-U: " + shared.stderr
    elif plain.returncode != 1:
        reason = "info without -U reads what is being written"
    p.stdin.write("quit\n")
    p.stdin.close()
    p.wait(timeout=60)
    result(name, reason)


# ---- tern-io -----------------------------------------------------------------

def typed(prog, text):
    p = subprocess.run([prog, "-f", "raw", at("typed")], input=text,
                       capture_output=True, text=True, timeout=60)
    out = re.sub(r"; .*", "; T", p.stdout + "--\n" + p.stderr)
    return p.returncode, out.replace("qemu-io", "tern-io")


def interactive():
    lines = ["", "# nothing", "length", "write -P 7 0 4k", "read -P 7 0 4k",
             "read -P 8 0 512", "nope", "read -v 0 32", "  length  ", "close",
             "length", "open -f raw " + at("typed"), "length", "quit",
             "length"]
    text = "\n".join(lines) + "\n"
    ends = []
    for prog in filter(None, (IO, PEER_IO)):
        with open(at("typed"), "wb") as f:
            f.truncate(1 << 20)
        ends.append(typed(prog, text))
    reason = "" if "1 MiB" in ends[0][1] else ends[0][1]
    if not reason and len(ends) > 1 and ends[0] != ends[1]:
        reason = "ours %d\n%s\npeer %d\n%s" % (ends[0] + ends[1])
    result("tern-io reads commands from its input", reason)


def main():
    print("1..%d" % (16 + 2 * bool(PEER_IO and PEER_IMG)))
    data_make()
    no_room_all()
    full_device()
    killed(signal.SIGINT)
    killed(signal.SIGTERM)
    killed(signal.SIGKILL)
    asked()
    progress()
    rate()
    locked(IO, IMG, "an image that is open is kept from others")
    if PEER_IO and PEER_IMG:
        locked(PEER_IO, IMG, "from us by the peer")
        locked(IO, PEER_IMG, "from the peer by us")
    interactive()


try:
    main()
finally:
    shutil.rmtree(work)
sys.exit(0)
