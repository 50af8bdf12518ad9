# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether answers and events are what query-qmp-schema promises. Each QMP
conversation of a test has a Checker, which sees what is sent and what comes;
what it finds fails the test program at its end.

As a program, for scripts (conforms of tests/tap.sh): libschema.py PROGRAM
REQUESTS ANSWERS, two files; status 1 when an answer is not as promised."""
import atexit
import functools
import json
import os
import re
import subprocess
import sys

CLASSES = {"GenericError", "CommandNotFound", "DeviceNotActive",
           "DeviceNotFound", "KVMMissingCap"}


class Schema:
    """What query-qmp-schema told. faults() lists where a value is not of its
    type, with the path to the place."""

    def __init__(self, rows):
        self.rows = {r["name"]: r for r in rows}

    def reply_faults(self, command, reply):
        more = set(reply) - {"return", "error", "id"}
        if more or ("return" in reply) == ("error" in reply):
            return ["a reply of %s" % sorted(reply)]
        if "error" in reply:
            err = reply["error"]
            bad = sorted(set(err) ^ {"class", "desc"})
            if bad or not all(isinstance(v, str) for v in err.values()):
                return ["error: %s" % bad]
            return [] if err["class"] in CLASSES and err["desc"] else [
                "error: %s" % err]
        row = self.rows.get(command)
        if row is None or row["meta-type"] != "command":
            return ["a command without schema was carried out"]
        return self.faults(reply["return"], row["ret-type"], "return")

    def event_faults(self, msg):
        row = self.rows.get(msg["event"])
        if row is None or row["meta-type"] != "event":
            return ["event without schema"]
        if set(msg) - {"event", "data", "timestamp"}:
            return ["an event of %s" % sorted(msg)]
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


@functools.lru_cache(maxsize=None)
def schema_of(program):
    """The schema that the program tells; None: it is another one than ours,
    or does not run here."""
    if os.path.basename(os.path.realpath(program)) != "tern":
        return None
    p = subprocess.run(
        [program, "-machine", "none", "-accel", "tcg", "-nodefaults",
         "-display", "none", "-qmp", "stdio"], stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, check=False, text=True,
        input="\n".join('{"execute":"%s"}' % c for c in (
            "qmp_capabilities", "query-qmp-schema", "quit")))
    for line in p.stdout.splitlines():
        rows = json.loads(line).get("return")
        if isinstance(rows, list):
            return Schema(rows)
    return None


# ---- all the conversations of a test program

seen = {"replies": 0, "events": 0}
found = []


@atexit.register
def tell():
    if sum(seen.values()):
        print("# the schema: %(replies)d replies, %(events)d events" % seen +
              ", %d not as it says" % len(found))
    for text in sorted(set(found))[:20]:
        print("# " + text)
    if found:
        print("not ok - replies and events are as the schema says", flush=True)


class Checker:
    """Of one conversation: knows which command an answer belongs to."""

    def __init__(self, program):
        self.program = os.path.abspath(program)
        self.asked = []                 # commands without an id, in order
        self.by_id = {}

    def sent(self, request):
        """request: an object, or a line as it was sent."""
        if isinstance(request, (str, bytes)):
            try:
                request = json.loads(request)
            except ValueError:          # single quotes, or worse
                m = re.search(r"""['"]exec\S*\s*:\s*['"]([\w-]+)""",
                              str(request))
                request = {"execute": m.group(1)} if m else None
        if not isinstance(request, dict):
            request = {}
        name = request.get("execute", request.get("exec-oob"))
        if "id" in request:
            self.by_id[json.dumps(request["id"])] = name
        else:
            self.asked.append(name)

    def came(self, msg):
        """An answer, event or greeting, which is returned."""
        if "QMP" in msg:
            return msg
        key = json.dumps(msg.get("id"))
        schema = schema_of(self.program)
        if "event" in msg:
            name = msg["event"]
        elif "id" in msg and key in self.by_id:
            name = self.by_id.pop(key)
        else:
            name = self.asked.pop(0) if self.asked else None
        if schema:
            seen["events" if "event" in msg else "replies"] += 1
            bad = schema.event_faults(msg) if "event" in msg else \
                schema.reply_faults(name, msg)
            found.extend("%s: %s" % (name, f) for f in bad)
        return msg


def requests_of(text):
    """The objects that stand in a text, one behind the other."""
    read = json.JSONDecoder().raw_decode
    text = text.strip()
    while text:
        value, end = read(text)
        yield value
        text = text[end:].lstrip()


def piped(program, requests, output):
    """A conversation that was sent at once: the requests, as a text or as
    objects, and all that the program said. Returns the messages."""
    check = Checker(program)
    if isinstance(requests, str):
        requests = requests_of(requests)
    for r in requests:
        check.sent(r)
    return [check.came(json.loads(line)) for line in output.splitlines()
            if line.startswith("{")]


def main():
    program, *files = sys.argv[1:]
    texts = []
    for path in files:
        with open(path, encoding="utf-8") as f:
            texts.append(f.read())
    piped(program, *texts)
    if not seen["replies"]:
        found.append("nothing was answered")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
