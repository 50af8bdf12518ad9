#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Hyper-V enlightenments beside the peer's, switch by switch: the CPUID leaves
that a vCPU gets, the capabilities and MSRs that are set, words about what is
missing, what comes out of the kernel. hv-kvm.c plays the host's KVM, so that each
may be there or not. The guest is one HLT."""
import os
import re
import subprocess
import sys
import time
from multiprocessing.pool import ThreadPool

sys.dont_write_bytecode = True
sys.path.insert(0, "tests")
import libtern                                                   # noqa: E402
from libqmp import OURS, PATIENCE, PEER, peer_there              # noqa: E402
from libtap import end, result, skip                             # noqa: E402

# Every vCPU of the peer gets these where KVM knows them, asked for or not.
ALWAYS = set(range(0x400000b0, 0x400000b8)) | set(range(0x40000100, 0x40000106)) \
    | {0x40000010}
ALL = "hv_relaxed,hv_vapic,hv_time,hv_spinlocks=0x1fff,hv_vpindex,hv_synic," \
    "hv_stimer,hv_runtime,hv_crash,hv_reset,hv_frequencies," \
    "hv_reenlightenment,hv_tlbflush,hv_ipi,hv_evmcs,hv_avic"
NOTHING = {"HV_3A": "0", "HV_3D": "0", "HV_4A": "0", "HV_AA": "0"}
SYNIC = "hv_vpindex,hv_synic,hv_relaxed,hv_crash"

GIVEN = [
    "hv_relaxed", "hv_vapic", "hv_time", "hv_crash", "hv_reset", "hv_vpindex",
    "hv_runtime", "hv_vpindex,hv_synic", "hv_frequencies", "hv_reenlightenment",
    "hv_vpindex,hv_synic,hv_time,hv_stimer,hv_stimer_direct",
    "hv_vpindex,hv_tlbflush,hv_tlbflush_ext", "hv_vpindex,hv_ipi",
    "hv_vapic,hv_evmcs", "hv_avic", "hv_vapic,hv_apicv", "hv_xmm_input",
    "hv_emsr_bitmap", "hv_vapic,hv_tlbflush_direct", "hv_spinlocks=0x1fff",
    "hv_spinlocks=0xffffffff", "hv_syndbg," + SYNIC, ALL,
    "hv_relaxed,hv_vendor_id=KVMKVM", "hv_vendor_id=KVMKVM",
    "hv_relaxed,hv_vendor_id=waytoolongvendorid",
    "hv_relaxed,hv-version-id-major=6,hv-version-id-minor=1,"
    "hv-version-id-build=7601,hv-version-id-spack=3,hv-version-id-sbranch=5,"
    "hv-version-id-snumber=0x123456", "hv_relaxed,x-hv-max-vps=5",
    "hv_relaxed,hv_enforce_cpuid", "hv_enforce_cpuid", "hv_relaxed,kvm=off",
    "hv_relaxed,hv-no-nonarch-coresharing=on",
    "hv_relaxed,hv-no-nonarch-coresharing=auto",
    "hv_vpindex,hv_synic,x-hv-synic-kvm-only=on", "hv-passthrough",
    "hv-passthrough,hv_time=off,hv_spinlocks=0x500,hv-vendor-id=abc,"
    "x-hv-max-vps=3,hv-version-id-build=8,hv-enforce-cpuid",
]
MISSING = [
    "relaxed", "vapic", "time", "crash", "reset", "vpindex", "runtime", "synic",
    "stimer", "frequencies", "reenlightenment", "tlbflush", "evmcs", "ipi",
    "stimer-direct", "avic", "xmm-input", "emsr-bitmap", "tlbflush-ext",
    "tlbflush-direct", "syndbg",
]
REFUSED = [
    ("hv_synic", {}), ("hv_stimer", {}), ("hv_time,hv_stimer", {}),
    ("hv_tlbflush", {}), ("hv_evmcs", {}), ("hv_ipi", {}), ("hv_syndbg", {}),
    ("hv_stimer_direct", {}), ("hv_tlbflush_ext", {}), ("hv_tlbflush_direct", {}),
    ("hv_synic,hv_time,hv_stimer", {"HV_3A": "2af7"}),
    ("hv_time", {"HV_3A": "2"}), ("hv_frequencies", {"HV_3D": "0"}),
    ("hv_tlbflush,hv_vpindex", {"HV_4A": "4"}),
    ("hv_vpindex,hv_synic", {"HV_CAPS": "148"}), ("hv_vpindex", {"HV_CAPS": "149"}),
    ("hv_relaxed,hv_enforce_cpuid", {"HV_CAPS": "199"}),
]
OTHER = [
    ("hv-passthrough", NOTHING), ("hv_spinlocks=5", NOTHING),
    ("hv_vapic", {"HV_4A": "0"}), ("hv-passthrough", {"HV_4A": "44e6c"}),
    ("hv_relaxed,hv-no-nonarch-coresharing=auto", {"HV_4A": "44e6c"}),
    ("hv_relaxed,hv_vpindex,hv_synic", {"HV_CAPS": "191"}),
    ("hv_relaxed,hv_spinlocks=0x1fff,enforce", {"HV_CAPS": "none"}),
    ("hv-passthrough", {"HV_CAPS": "none"}),
]
EXITS = [
    "hcall 5c 0", "hcall 1005c 0", "hcall 5c 1002", "hcall 5c 1004",
    "hcall 5c ffff04", "hcall 5d 0", "hcall 5d 1003", "hcall 1005d 1",
    "hcall 1005d 1000001", "hcall 1005d 100000001",
    "hcall 1005d 1000000000001", "hcall 3 0", "hcall 69 0",
    "synic 40000080 1 5001 6001", "synic 40000082 1 5001 6000",
    "synic 40000083 0 5001 6001", "synic 40000084 1 5001 6001", "syndbg 1",
]


def features(prog, more):
    """Options that leave only what both find on this host's KVM."""
    return "qemu64,-pni,-cx16,-svm,-3dnow," + more


class Run:
    """One start: .errors, .status, what KVM was asked, and .seen at an exit."""

    def __init__(self, shim, folder, prog, cpu, env, more=(), enter=""):
        self.errors, self.status, self.seen = "", None, ()
        self.cpuid, self.caps, self.msrs, self.results = {}, set(), {}, []
        log = os.path.join(folder, "log-%d" % id(self))
        full = dict(os.environ, LD_PRELOAD=shim, HV_LOG=log, **env)
        full["ASAN_OPTIONS"] = full.get("ASAN_OPTIONS", "") + \
            ":verify_asan_link_order=0"
        if enter:
            full["HV_EXIT"] = enter
        # what env(1) starts is the program, and no shell
        words = ["env"] + ["%s=%s" % kv for kv in full.items()
                           if os.environ.get(kv[0]) != kv[1]]
        p = subprocess.Popen(
            words + [prog, "-accel", "kvm", "-machine", "pc", "-m", "16",
                     "-bios", folder + "/bios", "-cpu", features(prog, cpu),
                     "-nodefaults", "-display", "none", "-S", "-qmp", "stdio",
                     *more], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
        try:
            out, err = self.talk(p, log, enter)
        finally:
            p.kill()
            p.wait()
        self.status = p.returncode
        self.errors = [re.sub(r"^[^:]*: ", "", x) for x in err.splitlines()
                       if "host doesn't support" not in x]
        self.panic = re.findall(r'"GUEST_PANICKED", "data": (.*)}', out)
        self.read(log)

    def talk(self, p, log, enter):
        """Runs the guest until the exit has been dealt with."""
        ask = '{"execute": "%s"}\n'
        out = ""
        try:
            p.stdin.write(ask % "qmp_capabilities" + ask % "cont")
            p.stdin.flush()
            # A peer that ends with a request under way hangs at times.
            out = self.wait_panic(p) if enter == "crash" else \
                self.wait_entered(p, log)
            if '"poweroff"' in out:
                raise BrokenPipeError
            p.stdin.write(ask % "stop" + '{"execute": "human-monitor-command", '
                          '"arguments": {"command-line": "info mtree"}}\n' +
                          ask % "query-status" + ask % "quit")
            p.stdin.flush()
        except BrokenPipeError:
            pass
        rest, err = p.communicate(timeout=PATIENCE)
        out += rest
        self.seen = (sorted(set(re.findall(
            r"([0-9a-f]{16})-[0-9a-f]{16} \(prio [01], ram\): synic-0-(\w+)-",
            out))), '"internal-error"' in out)
        return out, err

    @staticmethod
    def wait_panic(p):
        out = ""
        for line in p.stdout:
            out += line
            if "GUEST_PANICKED" in line:
                break
        return out

    @staticmethod
    def wait_entered(p, log):
        """Until the guest was entered after the exit, or the machine stopped."""
        out = ""
        while '"STOP"' not in out:
            p.stdin.write('{"execute": "query-status"}\n')
            p.stdin.flush()
            line = p.stdout.readline()
            out += line
            if not line or (os.path.exists(log) and
                            "entered" in open(log).read()):
                break
            time.sleep(0.01)
        return out

    def read(self, log):
        if not os.path.exists(log):
            return
        for line in open(log):
            w = line.split()
            if w[0] == "cpuid":
                self.cpuid[w[1], w[2]] = w[3:]
            elif w[0] == "cap":
                self.caps.add(tuple(w[1:]))
            elif w[0] == "msr":
                k, v = w[2].split("=")
                self.msrs[w[1], int(k, 16)] = v
            elif w[0] == "result":
                self.results.append(w[1])
        os.unlink(log)

    def first_error(self):
        return next((e for e in self.errors if "warning:" not in e), "")

    def warned(self):
        return [e for e in self.errors if "truncated" in e]


def unlike(ours, peer):
    """What differs between two runs, as text."""
    bad = []
    if ours.cpuid != peer.cpuid:
        for k in sorted(set(ours.cpuid) | set(peer.cpuid)):
            if ours.cpuid.get(k) != peer.cpuid.get(k):
                bad.append("cpuid %s: %s, peer %s" % (
                    k, ours.cpuid.get(k), peer.cpuid.get(k)))
    for what in ("caps", "results", "seen"):
        if getattr(ours, what) != getattr(peer, what):
            bad.append("%s: %s, peer %s" % (what, getattr(ours, what),
                                            getattr(peer, what)))
    for k in sorted(set(ours.msrs) | set(peer.msrs)):
        if peer.status == 0 and ours.msrs.get(k) != peer.msrs.get(k) and not (
                k not in ours.msrs and k[1] in ALWAYS | {0x40000000, 0x40000001}):
            bad.append("msr %s %x: %s, peer %s" % (
                *k, ours.msrs.get(k), peer.msrs.get(k)))
    if ours.first_error() != peer.first_error() and peer.status == 1:
        bad.append("says: %s\npeer: %s" % (ours.first_error(),
                                           peer.first_error()))
    if ours.warned() != peer.warned() or ours.status != peer.status:
        bad.append("ends with %s, peer %s: %s" % (ours.status, peer.status,
                                                  ours.errors))
    return bad


def crash(run, option):
    """The event of a crash, and how the program ends."""
    ours, peer = (run(p, SYNIC, {}, option.split(), "crash")
                  for p in (OURS, PEER))
    words = [sorted(re.findall(r'"\w+": (?:"[\w-]+"|\d+)', " ".join(r.panic)))
             for r in (ours, peer)]
    result(words[0] == words[1] and len(words[0]) == 7 and
           ours.status == peer.status,
           "the guest's crash registers come with the event: " + option,
           words[0], words[1], ours.status, peer.status)


def beside_peer(run):
    def pair(job):
        return job, [run(p, *job[1:]) for p in (OURS, PEER)]

    jobs = [("given: " + c, c, {}) for c in GIVEN]
    jobs += [("not in the kernel: hv-" + c, "hv-" + c, NOTHING)
             for c in MISSING]
    jobs += [("refused: %s %s" % (c, e), c, e) for c, e in REFUSED]
    jobs += [("%s with %s" % (c, e), c, e) for c, e in OTHER]
    jobs += [("exit: " + x, SYNIC, {}, (), x) for x in EXITS]
    jobs += [("exit: " + x, SYNIC + ",hv-syndbg", {}, (), x)
             for x in ("syndbg 1", "syndbg 2")]
    with ThreadPool(6) as pool:
        for job, (ours, peer) in pool.imap(pair, jobs):
            bad = unlike(ours, peer)
            result(not bad, job[0], *bad)
    for option in ("", "-no-shutdown", "-action panic=pause",
                   "-action panic=exit-failure", "-action panic=none"):
        crash(run, option)


def bare_host():
    """Where KVM has nothing, and on the software CPU, they cost one line."""
    for accel in ("kvm", "tcg"):
        m = libtern.Machine("-accel", accel, "-machine", "pc", "-m", "16",
                            "-cpu", "qemu64," + ALL + ",hv-passthrough",
                            "-nodefaults", "-display", "none", "-S",
                            program=OURS)
        m.cmd("quit")
        m.wait()
        lines = [x for x in m.errors().splitlines() if "Hyper-V" in x]
        result(len(lines) <= 1, "the PC starts with every switch on " + accel,
               m.errors())


def main():
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        libtern.skip_all("/dev/kvm cannot be opened")
    with libtern.Folder("tern-hyperv") as folder:
        with open(folder + "/bios", "wb") as f:
            f.write(bytes(0xfff0) + b"\xfa\xf4\xeb\xfd" + bytes(12))
        bare_host()
        if peer_there():
            shim = folder + "/hv-kvm.so"
            subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-O1",
                            "-D_GNU_SOURCE", "-Wall", "-o", shim,
                            "tests/func/hv-kvm.c", "-ldl"], check=True)
            beside_peer(lambda *a: Run(shim, folder, *a))
        else:
            skip("beside the peer", "no qemu-system-x86_64")
    return end()


sys.exit(main())
