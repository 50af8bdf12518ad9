# SPDX-License-Identifier: GPL-2.0-or-later
"""A program with a QMP monitor on its standard input and output; the schema
that it tells; whether an answer is what that schema promises."""

import json
import os
import select
import subprocess

PATIENCE = 30 * int(os.environ.get("TERN_TEST_PATIENCE", "1"))


class Died(Exception):
    pass


class Qmp:
    """ask() gives the whole answer, get() what it returned. Events are kept
    in .events."""

    def __init__(self, argv, **popen):
        popen.setdefault("stderr", subprocess.DEVNULL)
        self.p = subprocess.Popen(argv + ["-qmp", "stdio"],
                                  stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, **popen)
        self.buf = b""
        self.events = []
        self.greeting = self.read()
        self.ask("qmp_capabilities")

    def read(self):
        while True:
            while b"\n" not in self.buf:
                r, _, _ = select.select([self.p.stdout], [], [], PATIENCE)
                got = os.read(self.p.stdout.fileno(), 1 << 20) if r else b""
                if not got:
                    self.kill()
                    raise Died("no answer" if not r else "ended")
                self.buf += got
            line, self.buf = self.buf.split(b"\n", 1)
            msg = json.loads(line)
            if "event" not in msg:
                return msg
            self.events.append(msg)

    def send(self, line):
        try:
            self.p.stdin.write(line.encode() + b"\n")
            self.p.stdin.flush()
        except BrokenPipeError as e:
            self.kill()
            raise Died("ended") from e

    def ask(self, command, **args):
        """_ in names of arguments stands for -."""
        self.send(json.dumps({"execute": command, "arguments": {
            k.replace("_", "-"): v for k, v in args.items()}}))
        return self.read()

    def get(self, command, **args):
        return self.ask(command, **args).get("return")

    def kill(self):
        self.p.kill()
        self.p.wait()
        self.p.stdin.close()
        self.p.stdout.close()


class Schema:
    """What query-qmp-schema told. faults() lists where a value is not of its
    type, with the path to the place."""

    def __init__(self, rows):
        self.rows = {r["name"]: r for r in rows}

    def meta(self, kind):
        return {n: r for n, r in self.rows.items() if r["meta-type"] == kind}

    def reply_faults(self, command, reply):
        if "error" in reply:
            err = reply["error"]
            bad = sorted(set(err) ^ {"class", "desc"})
            return ["error: %s" % bad] if bad or not all(
                isinstance(v, str) for v in err.values()) else []
        row = self.rows.get(command)
        if row is None or row["meta-type"] != "command":
            return ["a command without schema was carried out"]
        return self.faults(reply.get("return"), row["ret-type"], "return")

    def event_faults(self, msg):
        row = self.rows.get(msg["event"])
        if row is None or row["meta-type"] != "event":
            return ["event without schema"]
        stamp = msg.get("timestamp", {})
        if sorted(stamp) != ["microseconds", "seconds"]:
            return ["event without time"]
        return self.faults(msg.get("data", {}), row["arg-type"], "data")

    def faults(self, value, name, path):
        row = self.rows[name]
        meta = row["meta-type"]
        if meta == "builtin":
            return [] if fits(value, row["json-type"]) else [
                "%s: %r is no %s" % (path, value, row["json-type"])]
        if meta == "enum":
            return [] if value in row["values"] else [
                "%s: %r is not in the enumeration" % (path, value)]
        if meta == "array":
            if not isinstance(value, list):
                return ["%s: not a list" % path]
            return [f for i, v in enumerate(value) for f in self.faults(
                v, row["element-type"], "%s[%d]" % (path, i))]
        if meta == "alternate":
            tries = [self.faults(value, m["type"], path)
                     for m in row["members"]]
            return min(tries, key=len)
        return self.object_faults(value, row, path)

    def all_members(self, value, row):
        members = {m["name"]: m for m in row["members"]}
        for v in row.get("variants", []):
            if v["case"] == value.get(row["tag"]):
                members.update(self.all_members(value, self.rows[v["type"]]))
        return members

    def object_faults(self, value, row, path):
        if not isinstance(value, dict):
            return ["%s: not an object" % path]
        members = self.all_members(value, row)
        out = []
        for n, m in members.items():
            if n in value:
                out += self.faults(value[n], m["type"], path + "." + n)
            elif "default" not in m:
                out.append("%s: lacks %s" % (path, n))
        return out + ["%s: %s is not in the schema" % (path, n)
                      for n in value if n not in members]


def fits(value, kind):
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return {"string": isinstance(value, str), "boolean": isinstance(value, bool),
            "int": number and isinstance(value, int), "number": number,
            "null": value is None, "value": True,
            "object": isinstance(value, dict),
            "array": isinstance(value, list)}[kind]
