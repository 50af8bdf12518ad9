#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The same QMP and HMP commands to $BUILD/compat/qemu-system-x86_64 and to the
installed qemu-system-x86_64 ($PEER); what they answer must be equal, apart
from what tests/func/peer-accepted.json lists with a reason each. Skips where
there is no peer or no accelerator that both have.

Before comparing: objects compare without regard to member order; lists of
named things by name; times, thread ids and versions are taken out. Arguments
choose sessions by name; -v prints both answers of what differs."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
from libschema import Checker                                    # noqa: E402

BUILD = os.environ.get("BUILD", "build")
OURS = BUILD + "/compat/qemu-system-x86_64"
PEER = os.environ.get("PEER") or shutil.which("qemu-system-x86_64")
PATIENCE = 20 * int(os.environ.get("TERN_TEST_PATIENCE", "1"))
HERE = os.path.dirname(os.path.abspath(__file__))
VERBOSE = "-v" in sys.argv[1:]
CHOSEN = [a for a in sys.argv[1:] if a != "-v"]


def q(name, /, **args):
    """A QMP command; _ in argument names stands for -."""
    return {"execute": name,
            "arguments": {k.replace("_", "-"): v for k, v in args.items()}}


def raw(text):
    return text


def hmp(line):
    return q("human-monitor-command", command_line=line)


COMMON = [
    q("query-version"), q("query-status"), q("query-name"), q("query-uuid"),
    q("query-target"), q("query-kvm"), q("query-jobs"), q("query-tpm"),
    q("query-tpm-models"), q("query-tpm-types"), q("query-fdsets"),
    q("query-iothreads"), q("query-memdev"), q("query-current-machine"),
    q("query-machines"), q("query-memory-size-summary"),
    q("query-migrate-capabilities"), q("query-cpus-fast"), q("query-pci"),
    q("query-chardev"), q("query-hotpluggable-cpus"), q("query-acpi-ospm-status"),
    q("query-rx-filter"), q("query-block"), q("query-mice"), q("query-balloon"),
    q("query-vnc"), q("query-spice"), q("query-migrate"), q("query-dump"),
    q("query-command-line-options", option="smp-opts"),
    q("query-command-line-options", option="nonesuch"),
    q("trace-event-get-state", name="nonesuch"), q("query-yank"),
    q("yank", instances=[]), q("yank"),
    q("yank", instances=[{"type": "chardev", "id": "nonesuch"}]),
    # malformed and refused
    raw('{"execute":"nonesuch"}'), raw('{"execute":1}'), raw('{}'), raw('[]'),
    raw('"text"'), raw('{"execute":"query-status","extra":1}'),
    raw('{"execute":"query-status","arguments":[]}'),
    raw('{"execute":"query-status","arguments":{"x":1}}'),
    raw("{'execute':'query-status','id':{'a':[1,null,true,'x']}}"),
    raw('{"execute":"qom-get","arguments":{"path":1,"property":"x"}}'),
    raw('{"execute":"qom-get","arguments":{"path":"/machine"}}'),
    raw('{"arguments":{}}'), raw('{"execute":"query-status" x}'),
    raw('{"exec-oob":"query-status"}'), raw('{"execute":"a","exec-oob":"b"}'),
    q("qmp_capabilities"), q("qom-get", path="/nonesuch", property="x"),
    q("qom-get", path="/machine", property="nonesuch"),
    q("qom-set", path="/nonesuch", property="x", value=1),
    q("qom-set", path="/machine", property="nonesuch", value=1),
    q("qom-set", path="/machine", property="type", value="x"),
    q("qom-list", path="/nonesuch"), q("qom-list", path="/"),
    q("qom-list-types", implements="nonesuch"),
    q("qom-list-properties", typename="nonesuch"),
    q("qom-list-properties", typename="memory-backend-ram"),
    q("device-list-properties", typename="nonesuch"),
    q("device-list-properties", typename="memory-backend-ram"),
    q("device_add", driver="nonesuch", id="a"), q("device_add", id="a"),
    q("device_del", id="nonesuch"), q("object-del", id="nonesuch"),
    q("object-add", qom_type="nonesuch", id="o"),
    q("object-add", qom_type="memory-backend-ram", id="o"),
    q("object-add", qom_type="memory-backend-ram", id="1bad", size=4096),
    q("object-add", qom_type="memory-backend-ram", id="m0", size=1 << 20),
    q("object-add", qom_type="memory-backend-ram", id="m0", size=1 << 20),
    q("qom-get", path="/objects/m0", property="size"),
    q("qom-get", path="m0", property="size"),
    q("qom-get", path="m0", property="policy"),
    q("qom-set", path="m0", property="size", value=1),
    q("qom-set", path="m0", property="merge", value="maybe"),
    q("qom-list", path="/objects"), q("query-memdev"),
    q("object-del", id="m0"), q("qom-list", path="/objects"),
    q("object-add", qom_type="iothread", id="io0"),
    q("query-iothreads"), q("qom-get", path="io0", property="poll-max-ns"),
    q("qom-set", path="io0", property="poll-max-ns", value=-1),
    q("object-del", id="io0"), q("query-iothreads"),
    q("getfd", fdname="0bad"), q("getfd", fdname="good"),
    q("add_client", protocol="vnc", fdname="0"), q("query-status"),
    q("closefd", fdname="nonesuch"), q("add-fd"), q("remove-fd", fdset_id=9),
    q("memsave", val=0, size=16, filename="/nonesuch/file"),
    q("pmemsave", val=0, size=16, filename="/nonesuch/file"),
    q("set-action", reboot="reset", shutdown="poweroff"),
    q("set-action", reboot="nonesuch"), q("set-action", panic=1),
    q("watchdog-set-action", action="pause"),
    q("watchdog-set-action", action="nonesuch"),
    q("migrate-set-capabilities", capabilities=[{"capability": "x"}]),
    q("migrate-set-capabilities", capabilities=[]),
    q("migrate-set-capabilities", capabilities=1),
    q("x-exit-preconfig"), q("stop"), q("query-status"),
    q("human-monitor-command", command_line="info status", cpu_index=999),
]
PARTS = [
    q("query-replay"), q("replay-break", icount=5), q("replay-delete-break"),
    q("replay-seek", icount=5), q("query-rocker", name="x"),
    q("query-rocker-ports", name="x"), q("query-rocker-of-dpa-flows", name="x"),
    q("query-rocker-of-dpa-groups", name="x", type=1), q("query-sev"),
    q("query-sev-launch-measure"), q("query-sgx"), q("query-sgx-capabilities"),
    q("query-sev-attestation-report", mnonce="aaaa"),
    q("sev-inject-launch-secret", packet_header="a", secret="b"),
    q("query-colo-status"), q("x-colo-lost-heartbeat"),
    q("query-xen-replication-status"), q("dumpdtb", filename="/nonesuch/x"),
    q("x-query-rdma"), q("x-query-profile"), q("x-query-usb"),
    q("query-spice"), q("query-pr-managers"), q("query-display-options"),
    q("client_migrate_info", protocol="spice", hostname="a"),
    q("client_migrate_info", protocol="vnc", hostname="a", port=5),
    q("query-memory-devices"), q("query-stats", target="vm", providers=[]),
    q("query-stats", target="nonesuch"), q("query-stats"),
    q("query-stats-schemas", provider="nonesuch"), q("x-query-virtio"),
    q("x-query-virtio-status", path="/nonesuch"),
    q("x-query-virtio-queue-status", path="/nonesuch", queue=0),
    q("x-query-virtio-vhost-queue-status", path="/machine", queue=0),
    q("x-query-virtio-queue-element", path="/machine", queue=-1),
    hmp("info replay"), hmp("info sev"), hmp("info spice"),
    hmp("info memory-devices"), hmp("info virtio"), hmp("info rocker x"),
    hmp("singlestep on"), q("query-status"), hmp("info status"),
    hmp("singlestep off"), q("query-status"), hmp("singlestep x"),
]
HMP = [hmp(x) for x in (
    "info status", "info version", "info name", "info uuid", "info kvm",
    "info iothreads", "info memdev", "info tpm", "info cpus",
    "info memory_size_summary", "info hotpluggable-cpus", "info nonesuch",
    "nonesuch", "", "info", "info status extra", "help nonesuch",
    "p 1+2*3", "p/x 255", "p/d 0x10", "p/o 8", "p/c 65", "p 1/0", "p (1",
    "p 1 +", "p 7%4", "p 6&3|8", "p 1-2", "p ~0", "print/x -1", "p $nonesuch",
    "x", "xp", "p", "i", "o", "device_add", "device_add nonesuch",
    "device_del nonesuch", "object_del nonesuch", "object_add",
    "object_add nonesuch,id=x", "qom-get /machine nonesuch", "qom-list /nonesuch",
    "qom-set /machine nonesuch 1", "stop", "info status", "cpu 9",
    "log nonesuch", "trace-event nonesuch on", "info trace-events nonesuch",
    "watchdog_action nonesuch", "sum 0 4", "gva2gpa 0", "gpa2hva 0xffffffffff",
    "gpa2hva x", "info vm-generation-id", "chardev-remove nonesuch",
    "chardev-add nonesuch", "mouse_move 1", "sync-profile", "sync-profile on",
    "info balloon", "info dirty_rate", "info dump", "info jit", "info mice",
    "info numa", "info opcount", "info profile", "info qtree", "info ramblock",
    "info rdma", "info rocker-ports x", "info rocker-of-dpa-flows x",
    "info rocker-of-dpa-groups x 1", "info sgx", "info stats", "info stats vm",
    "info stats x",
    "info stats vm nonesuch", "info stats vm pages_2m,pages_4k x", "info usb",
    "info usbhost", "info virtio-status /nonesuch",
    "info virtio-queue-status /nonesuch 0",
    "info virtio-queue-element /nonesuch 0",
    "info virtio-vhost-queue-status /nonesuch 0", "info vcpu_dirty_limit", "info capture", "info migrate",
    "info migrate_parameters", "info migrate_capabilities", "info block-jobs",
    "info qdm", "info commands",
    "sync-profile", "sync-profile x", "sync-profile off", "sync-profile reset",
    "info sync-profile", "info sync-profile -m", "info sync-profile -n 0",
    "info sync-profile -x", "help sync-profile", "help info sync-profile", "sendkey", "info chardev",
    "info pci", "info history", "info mtree -x", "closefd nonesuch",
)]
BOARD = [
    q("query-cpu-model-expansion", type="static", model={"name": "nonesuch"}),
    q("query-cpu-model-expansion", type="nonesuch", model={"name": "max"}),
    q("qom-list", path="/machine"), q("qom-list", path="/machine/unattached"),
    q("qom-get", path="/machine", property="type"),
    q("qom-get", path="/machine/peripheral", property="type"),
    q("qom-list", path="/machine/peripheral"),
    q("qom-get", path="/machine", property="usb"),
    q("qom-get", path="/machine", property="kernel"),
    q("qom-get", path="/machine", property="max-ram-below-4g"),
    q("qom-get", path="/machine", property="vmport"),
    q("qom-get", path="/machine", property="rtc-time"),
    q("qom-list-properties", typename="pc-i440fx-7.2-machine"),
    q("device-list-properties", typename="isa-debug-exit"),
    q("device-list-properties", typename="isa-debugcon"),
    q("device-list-properties", typename="pci-testdev"),
    q("device-list-properties", typename="pvpanic"),
    q("device-list-properties", typename="isa-serial"),
    q("device-list-properties", typename="vmgenid"),
    q("device_add", driver="isa-serial", id="s"),
    q("device_add", driver="isa-debug-exit", id="de"),
    q("device_add", driver="pvpanic", id="pp"),
    q("device_add", driver="vmgenid", id="vg"),
    q("device_add", driver="pci-testdev", id="1x"),
    q("device_add", driver="pci-testdev", id="pb", membar=True),
    q("device_add", driver="pci-testdev", id="pb", multifunction="maybe"),
    q("device_add", driver="pci-testdev", id="pi", addr=5),
    q("qom-get", path="pi", property="legacy-addr"),
    q("device_add", driver="pci-testdev", id="pt", addr="99"),
    q("device_add", driver="pci-testdev", id="pt", bus="nonesuch"),
    q("device_add", driver="pci-testdev", id="pt", nonesuch="1"),
    q("device_add", driver="pci-testdev", id="pt", addr="1.0"),
    q("device_add", driver="pci-testdev", id="pt", addr="7", membar="1M"),
    q("device_add", driver="pci-testdev", id="pt", addr="8"),
    q("device_add", driver="pci-testdev", id="pu", addr="7"),
    q("qom-list", path="/machine/peripheral"),
    q("qom-list", path="/machine/peripheral/pt"),
    q("qom-get", path="pt", property="membar"),
    q("qom-get", path="pt", property="addr"),
    q("qom-get", path="pt", property="legacy-addr"),
    q("qom-get", path="pt", property="type"),
    q("qom-get", path="pt", property="parent_bus"),
    q("qom-get", path="pt", property="realized"),
    q("qom-get", path="pt", property="hotplugged"),
    q("qom-set", path="pt", property="membar", value=5),
    q("query-pci"),
    q("qom-get", path="/machine/unattached/device[0]", property="apic-id"),
    q("qom-get", path="/machine/unattached/device[0]", property="socket-id"),
    q("qom-get", path="/machine/unattached/device[0]", property="vendor"),
    q("system_wakeup"), q("inject-nmi"), q("system_reset"),
    q("query-status"), q("query-vm-generation-id"), q("query-hotpluggable-cpus"),
    q("rtc-reset-reinjection"), q("query-current-machine"),
] + [hmp(x) for x in (
    "info registers", "info mem", "info tlb", "x/4xw 0xfffffff0",
    "xp/4xw 0xfffffff0", "xp/2gx 0xfffffff0", "xp/8xb 0xffffffff0",
    "xp/3cw 0xffff0", "xp/4dh 0xffff0", "xp/2c 0xfffffff0", "x/2i 0xfffffff0", "xp/3i 0xfffffff0",
    "info pci", "p $eip", "p $cs", "p/x $eax+1", "o 0x70 0x0f",
    "i 0x70", "i/b 0x71", "i /b 0x71", "sum 0xfffffff0 16", "gva2gpa 0xfffffff0",
    "info qom-tree /machine/peripheral", "nmi", "info lapic", "info pic",
    "info stats vcpu", "info stats vcpu * kvm",
    "info stats vcpu exits,halt_wait_hist,blocking,nonesuch",
    "mce 0 99 1 0 0 0", "mce 0 1 0 0 0 0", "mce 0 1 1<<63 0 0 0", "help mce",
    "mce 0 1 0x8000000000000000 0 0x1000 5", "mce -b 0 0 0 0 0 0", "mce 0",
    "info irq", "info roms", "cpu 0", "cpu 1", "system_reset", "info status",
)]

SESSIONS = {
    "none": (["-machine", "none"], COMMON + HMP),
    "pc": (["-machine", "pc", "-m", "128", "-smp", "2", "-name", "test",
            "-uuid", "12345678-1234-1234-1234-123456789abc"],
           COMMON + PARTS + HMP + BOARD),
    "disks of isapc": (["-machine", "isapc", "-cpu", "qemu64"] + [
        x for i, m in ((0, "disk"), (1, "disk"), (2, "cdrom")) for x in (
            "-drive", "file=null-co://,format=raw,if=ide,index=%d,media=%s"
            % (i, m))], [q("query-block"), q("query-blockstats"), q("query-pci")]),
    "isapc": (["-machine", "isapc", "-cpu", "qemu64", "-m", "32"],
              [q("query-pci"), q("query-cpus-fast"), q("query-status"),
               q("query-current-machine"), q("query-memory-size-summary"),
               q("qom-list", path="/machine"), hmp("info pci"),
               hmp("info mem"), hmp("system_reset"),
               q("query-hotpluggable-cpus"), q("query-memdev"),
               q("device_add", driver="pci-testdev", id="x"),
               q("qom-list-properties", typename="isapc-machine")]),
}

# ---- sessions


class Session:
    def __init__(self, prog, args):
        self.err = tempfile.TemporaryFile()
        self.proc = subprocess.Popen(
            [prog] + args, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self.err)
        self.timer = threading.Timer(PATIENCE * 6, self.proc.kill)
        self.timer.start()
        self.check = Checker(prog)
        self.greeting = self.reply()
        if self.greeting is not None:
            self.ask(q("qmp_capabilities"))

    def reply(self):
        while True:
            line = self.proc.stdout.readline()
            if not line:
                return None
            got = self.check.came(json.loads(line))
            if "event" not in got:
                return got

    def ask(self, command):
        text = command if isinstance(command, str) else json.dumps(command)
        self.check.sent(text)
        try:
            self.proc.stdin.write(text.encode() + b"\n")
            self.proc.stdin.flush()
        except BrokenPipeError:
            return None
        return self.reply()

    def end(self):
        self.ask(q("quit"))
        self.timer.cancel()
        try:
            status = self.proc.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            status = "no end"
        self.err.seek(0)
        return status, self.err.read().decode(errors="replace")


# ---- comparison

NAMES = ("name", "qom-path", "id", "capability", "option")


def normal(v, key=""):
    if isinstance(v, dict):
        return {k: normal(x, k) for k, x in v.items()}
    if isinstance(v, list):
        v = [normal(x, key) for x in v]
        for name in NAMES:
            if v and all(isinstance(x, dict) and
                     isinstance(x.get(name), str) for x in v):
                # a list of named things is a table; equal names stay in order
                table = {}
                for x in v:
                    n = str(x[name])
                    while n in table:
                        n += "'"
                    table[n] = x
                return table
        return v
    if key in ("thread-id", "pid"):
        return 0
    if key == "package":
        return "package"
    if isinstance(v, str):
        v = v.replace("\r", "").rstrip("\n")
        v = re.sub(r"thread_id=\d+", "thread_id=N", v)
        v = re.sub(r"thread[_-]id = \d+", "thread_id = N", v)
        v = re.sub(r"0x7[0-9a-f]{11}", "HOST", v)
        return re.sub(r"\b(tern|qemu-system-x86_64)(: |\b)", r"PROG\2", v)
    return v


def differences(a, b, path=""):
    """Pairs (path, what) where a (ours) and b (the peer's) differ."""
    if isinstance(a, dict) and isinstance(b, dict):
        for k in sorted(set(a) | set(b)):
            at = path + "/" + k
            if k not in a:
                yield at, "lacks", None, b[k]
            elif k not in b:
                yield at, "extra", a[k], None
            else:
                yield from differences(a[k], b[k], at)
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for i, (x, y) in enumerate(zip(a, b)):
            yield from differences(x, y, "%s/%d" % (path, i))
    elif a != b or isinstance(a, bool) != isinstance(b, bool):
        yield path, "differs", a, b


def label(command):
    if isinstance(command, str):
        return command
    name, args = command["execute"], command["arguments"]
    if name == "human-monitor-command" and len(args) == 1:
        return "hmp " + args["command-line"]
    return " ".join([name] + ["%s=%s" % (k, v if isinstance(v, str)
                                         else json.dumps(v))
                              for k, v in args.items()])


def accept(rules, used, session, command, path, kind):
    for i, r in enumerate(rules):
        if (re.fullmatch(r.get("session", ".*"), session) and
                re.fullmatch(r["command"], command) and
                re.fullmatch(r.get("path", ".*"), path) and
                r.get("kind", kind) == kind):
            used.add(i)
            return True
    return False


def short(v):
    text = json.dumps(v)
    return text if VERBOSE or len(text) < 300 else text[:300] + "..."


def usable(prog, accel):
    p = subprocess.run([prog, "-accel", accel, "-machine", "none", "-display",
                        "none", "-nodefaults", "-S", "-qmp", "stdio"],
                       input=b'{"execute":"qmp_capabilities"}\n'
                             b'{"execute":"quit"}\n',
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return p.returncode == 0


def both():
    """An accelerator that both programs have, or None; says why to skip."""
    if not PEER:
        print("1..0 # SKIP no peer is installed")
        return None
    accel = next((a for a in ("kvm", "tcg")
                  if usable(OURS, a) and usable(PEER, a)), None)
    if not accel:
        print("1..0 # SKIP no accelerator that both programs can use")
    return accel


def hintless(ours, peer):
    """Our answer without what only we say behind the peer's words of an error:
    the name that may have been meant, or a remedy on a line of its own."""
    for text, put in ((("error", "desc"), lambda t: {"error": dict(
            ours["error"], desc=t)}), (("return",), lambda t: {"return": t})):
        a, b = ours, peer
        for key in text:
            a = a.get(key) if isinstance(a, dict) else None
            b = b.get(key) if isinstance(b, dict) else None
        if not isinstance(a, str) or not isinstance(b, str):
            continue
        b = b.rstrip("\r\n")
        if text == ("error", "desc"):
            said = a.startswith(b + ". Did you mean '")
        else:
            said = b.startswith("Error: ") and "\n" not in b and \
                a.replace("\r", "").startswith(b + "\n")
        if said:
            return {**ours, **put(b)}
    return ours


def answers(prog, args, commands):
    """A session that has ended: said, status and error are what came of it."""
    s = Session(prog, args)
    s.said = [s.ask(c) for c in commands]
    s.status, s.error = s.end()
    return s


class Verdict:
    """Compares pairs of answers, with a list of what is accepted."""

    def __init__(self, rules):
        with open(os.path.join(HERE, rules)) as f:
            self.rules = json.load(f)
        self.used = set()
        self.n = self.bad = 0

    def row(self, session, what, a, b):
        self.n += 1
        a = hintless(a, b)
        wrong = [d for d in differences(normal(a), normal(b)) if not
                 accept(self.rules, self.used, session, what, d[0], d[1])]
        for path, kind, x, y in wrong:
            print("# %s %s: ours %s; peer %s" %
                  (path or "/", kind, short(x), short(y)))
        self.bad += bool(wrong or a is None)
        print("%sok %d - %s: %s" % ("not " if wrong or a is None else "",
                                    self.n, session, what))

    def session(self, name, args, commands):
        ours, peer = answers(OURS, args, commands), None
        for _ in range(3):
            # the installed peer dies at times of its own races
            peer = answers(PEER, args, commands)
            if None not in peer.said:
                break
        before = self.bad
        self.row(name, "greeting", ours.greeting, peer.greeting)
        for c, a, b in zip(commands, ours.said, peer.said):
            self.row(name, label(c), a, b)
        self.row(name, "quit", ours.status, peer.status)
        if self.bad > before and ours.error:
            print("# said: " + ours.error[:600].replace("\n", "\n# "))

    def all_infos(self, accel):
        """Each info of the peer is asked here, or beside one of these."""
        text = "".join(open(os.path.join(HERE, f), encoding="utf-8").read()
                       for f in ("peer.py", "libsessions.py", "net-peer.py",
                                 "vnc-options.py"))
        asked = set(re.findall(r"\"info ([\w-]+)", text))
        s = answers(PEER, ["-accel", accel, "-nodefaults", "-S", "-display",
                           "none", "-qmp", "stdio"], [hmp("help info")])
        there = re.findall(r"(?m)^info ([\w-]+)", s.said[0]["return"])
        lost = [n for n in there if n not in asked]
        self.n += 1
        self.bad += bool(lost or len(there) < 50)
        print("%sok %d - %d infos are asked%s" % (
            "not " if lost or len(there) < 50 else "", self.n, len(there),
            ": not " + " ".join(lost) if lost else ""))

    def end(self):
        for i, r in enumerate(self.rules):
            if not CHOSEN and i not in self.used and not r.get("maybe"):
                print("# accepted, but no difference: " + json.dumps(r))
        print("1..%d" % self.n)
        return self.bad > 0


def main():
    accel = both()
    if not accel:
        return 0
    v = Verdict("peer-accepted.json")
    if not CHOSEN:
        v.all_infos(accel)
    for name, (args, commands) in SESSIONS.items():
        if not CHOSEN or name in CHOSEN:
            v.session(name, ["-accel", accel, "-nodefaults", "-no-user-config",
                             "-display", "none", "-S", "-qmp", "stdio"] + args,
                      commands)
    return v.end()


if __name__ == "__main__":
    sys.exit(main())
