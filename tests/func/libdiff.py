# SPDX-License-Identifier: GPL-2.0-or-later
"""What two programs tell about themselves, and where it differs. A difference
is (what, place, text); `what` is a row of the coverage table."""

import json

LISTS = ["query-qmp-schema", "query-commands", "query-command-line-options",
         "query-machines", "query-cpu-definitions"]


def bare(props):
    """Name, type and default; the words about them are everyone's own."""
    return {p["name"]: [p["type"]] + (
        [p["default-value"]] if "default-value" in p else []) for p in props}


def types_of(rows):
    """Children of a type: name -> parent. One type is known by two numbers
    ("child<x>", "link<x>"): members are what they are."""
    return {r["name"]: r.get("parent") for r in rows}


def collect(start):
    """start() gives a new libtold.Qmp; a program that dies while it describes
    a type is started again and has nothing to say about that type."""
    qmp = start()
    out = {c: qmp.get(c) for c in LISTS}
    out["types"] = types_of(qmp.get("qom-list-types", abstract=True))
    concrete = [t["name"] for t in qmp.get("qom-list-types")]
    for key, cmd in (("device", "device-list-properties"),
                     ("object", "qom-list-properties")):
        found = out[key] = {}
        for name in sorted(concrete):
            try:
                props = qmp.get(cmd, typename=name)
            except Exception:       # pylint: disable=broad-except
                qmp.kill()
                qmp = start()
                continue
            if props is not None:
                found[name] = bare(props)
    qmp.kill()
    return out


# ---- the form in which the facts lie in the tree

def pack(table):
    """{type: {name: [type, default?]}} -> types told by their difference to
    one told before."""
    rows = []
    for name in sorted(table):
        props = table[name]
        best = min(([sum(1 for n in props if old.get(n) != props[n]) +
                     sum(1 for n in old if n not in props), k]
                    for k, (_, old) in enumerate(rows[-80:])), default=None)
        base = rows[-80:][best[1]] if best and best[0] < len(props) else None
        old = base[1] if base else {}
        rows.append((name, props))
        yield {"type": name, **({"like": base[0]} if base else {}),
               **({"less": less} if (less := sorted(set(old) - set(props)))
                  else {}),
               "props": {n: props[n] for n in sorted(props)
                         if old.get(n) != props[n]}}


def unpack(rows):
    table = {}
    for r in rows:
        props = dict(table.get(r.get("like"), {}))
        for n in r.get("less", []):
            del props[n]
        props.update(r["props"])
        table[r["type"]] = props
    return table


def write(path, rows):
    with open(path, "w", encoding="utf-8") as f:
        f.write("[\n" + ",\n".join(
            json.dumps(r, separators=(",", ":")) for r in rows) + "\n]\n")


def without_words(options):
    return [{"option": o["option"], "parameters": [
        {k: v for k, v in p.items() if k != "help"}
        for p in o["parameters"]]} for o in options]


def save(folder, facts):
    for name, rows in (
            ("schema", facts["query-qmp-schema"]),
            ("options", without_words(facts["query-command-line-options"])),
            ("machines", facts["query-machines"]),
            ("cpus", [{k: v for k, v in c.items()
                       if k != "unavailable-features"}
                      for c in facts["query-cpu-definitions"]]),
            ("types", sorted(facts["types"].items())),
            ("device-properties", pack(facts["device"])),
            ("object-properties", pack(facts["object"]))):
        write("%s/%s.json" % (folder, name), rows)


def load(folder):
    def rows(name):
        with open("%s/%s.json" % (folder, name), encoding="utf-8") as f:
            return json.load(f)
    schema = rows("schema")
    return {"query-qmp-schema": schema,
            "query-commands": [{"name": r["name"]} for r in schema
                               if r["meta-type"] == "command"],
            "query-command-line-options": rows("options"),
            "query-machines": rows("machines"),
            "query-cpu-definitions": rows("cpus"),
            "types": dict(rows("types")),
            "device": unpack(rows("device-properties")),
            "object": unpack(rows("object-properties"))}


# ---- the differences

class SchemaDiff:
    """Types have no names to clients: they are compared where commands and
    events use them. Each pair is looked at once, where first met."""

    def __init__(self, ref, here):
        self.ref = {r["name"]: r for r in ref}
        self.here = {r["name"]: r for r in here}
        self.met = set()
        self.out = []

    def tell(self, path, text):
        what = "event" if path.split(".")[0].isupper() else "command"
        self.out.append((what, path, text))

    def run(self):
        for meta in ("command", "event"):
            ref = {n for n, r in self.ref.items() if r["meta-type"] == meta}
            here = {n for n, r in self.here.items() if r["meta-type"] == meta}
            for n in sorted(ref - here):
                self.out.append((meta, n, "is not here"))
            for n in sorted(here - ref):
                if not n.startswith("x-tern-"):
                    self.out.append((meta, n, "is not in the reference"))
            for n in sorted(ref & here):
                self.entry(n, self.ref[n], self.here[n])
        return self.out

    def entry(self, name, ref, here):
        self.plain(name, "features", sorted(ref.get("features", [])),
                   sorted(here.get("features", [])))
        self.plain(name, "allow-oob", ref.get("allow-oob"),
                   here.get("allow-oob"))
        self.type(name + ".", ref["arg-type"], here["arg-type"])
        if "ret-type" in ref:
            self.type(name + ".return", ref["ret-type"], here["ret-type"])

    def plain(self, path, what, ref, here):
        if ref != here:
            self.tell(path, "%s: %s, here %s" % (what, ref, here))

    def type(self, path, a, b):
        if (a, b) in self.met:
            return
        self.met.add((a, b))
        ref, here = self.ref[a], self.here[b]
        self.plain(path, "features", sorted(ref.get("features", [])),
                   sorted(here.get("features", [])))
        if ref["meta-type"] != here["meta-type"]:
            self.plain(path, "kind", ref["meta-type"], here["meta-type"])
        else:
            getattr(self, ref["meta-type"])(path, ref, here)

    def builtin(self, path, ref, here):
        self.plain(path, "type", ref["name"], here["name"])
        self.plain(path, "json-type", ref["json-type"], here["json-type"])

    def array(self, path, ref, here):
        self.type(path + "[]", ref["element-type"], here["element-type"])

    def names(self, path, what, ref, here):
        for n in ref:
            if n not in here:
                self.tell("%s%s" % (path, n), "%s is not here" % what)
        for n in here:
            if n not in ref:
                self.tell("%s%s" % (path, n),
                          "%s is not in the reference" % what)
        return [n for n in ref if n in here]

    def enum(self, path, ref, here):
        a = {m["name"]: m.get("features", []) for m in ref["members"]}
        b = {m["name"]: m.get("features", []) for m in here["members"]}
        for n in self.names(path + "=", "the value", a, b):
            self.plain(path + "=" + n, "features", sorted(a[n]), sorted(b[n]))
        self.plain(path, "values", sorted(b), sorted(here["values"]))

    def alternate(self, path, ref, here):
        def kinds(rows, row):
            return {(rows[m["type"]]["meta-type"],
                     rows[m["type"]].get("json-type")): m["type"]
                    for m in row["members"]}
        a, b = kinds(self.ref, ref), kinds(self.here, here)
        self.plain(path, "branches", sorted(map(str, a)), sorted(map(str, b)))
        for k in a:
            if k in b:
                self.type(path + "|", a[k], b[k])

    def object(self, path, ref, here):
        a = {m["name"]: m for m in ref["members"]}
        b = {m["name"]: m for m in here["members"]}
        dot = path if path.endswith(".") else path + "."
        for n in self.names(dot, "the member", a, b):
            self.plain(dot + n, "optional", "default" in a[n],
                       "default" in b[n])
            self.plain(dot + n, "features", sorted(a[n].get("features", [])),
                       sorted(b[n].get("features", [])))
            self.type(dot + n, a[n]["type"], b[n]["type"])
        self.plain(path, "tag", ref.get("tag"), here.get("tag"))
        va = {v["case"]: v["type"] for v in ref.get("variants", [])}
        vb = {v["case"]: v["type"] for v in here.get("variants", [])}
        # A case without members and none at all say the same.
        va = {k: v for k, v in va.items() if k in vb or
              self.ref[v].get("members")}
        for n in self.names(path + "/", "the case", va, vb):
            self.type(path + "/" + n, va[n], vb[n])


def rows_diff(what, key, ref, here, skip=()):
    a = {r[key]: r for r in ref}
    b = {r[key]: r for r in here}
    out = [(what, n, "is not here") for n in a if n not in b]
    out += [(what, n, "is not in the reference") for n in b if n not in a]
    for n in sorted(set(a) & set(b)):
        for m in sorted((set(a[n]) | set(b[n])) - set(skip)):
            if a[n].get(m) != b[n].get(m):
                out.append((what, n + "." + m, "%s, here %s" % (
                    json.dumps(a[n].get(m)), json.dumps(b[n].get(m)))))
    return out


def options_diff(ref, here):
    def flat(rows):
        return [{"option": r["option"], **{p["name"]: [
            p["type"], p.get("default")] for p in r["parameters"]}}
            for r in rows]
    return rows_diff("option", "option", flat(ref), flat(here))


def props_diff(what, ref, here):
    """Of the types that both have; those of one side are told as types."""
    out = []
    for t in sorted(set(ref) & set(here)):
        a, b = ref[t], here[t]
        for n in sorted(set(a) | set(b)):
            if n not in b:
                out.append((what, t + "." + n, "is not here"))
            elif n not in a:
                out.append((what, t + "." + n, "is not in the reference"))
            elif a[n] != b[n]:
                out.append((what, t + "." + n, "%s, here %s" % (
                    json.dumps(a[n]), json.dumps(b[n]))))
    return out


def ours_alone(facts):
    """Names of commands that clients of the reference do not ask for."""
    return {r["name"] for r in facts["query-qmp-schema"]
            if r["name"].startswith("x-tern-")}


def compare(ref, here):
    out = SchemaDiff(ref["query-qmp-schema"], here["query-qmp-schema"]).run()
    out += options_diff(ref["query-command-line-options"],
                        here["query-command-line-options"])
    out += rows_diff("machine", "name", ref["query-machines"],
                     here["query-machines"])
    out += rows_diff("CPU model", "name", ref["query-cpu-definitions"],
                     here["query-cpu-definitions"], ["unavailable-features"])
    out += rows_diff("type", "name",
                     [{"name": n, "parent": p} for n, p in ref["types"].items()],
                     [{"name": n, "parent": p} for n, p in here["types"].items()])
    out += props_diff("device property", ref["device"], here["device"])
    out += props_diff("object property", ref["object"], here["object"])
    return out


def counts(ref, here):
    """Rows of the coverage table: {what: (here, reference)}; of properties,
    those of the types that exist here."""
    def meta(facts, kind):
        return {r["name"] for r in facts["query-qmp-schema"]
                if r["meta-type"] == kind}

    def names(facts, key, name):
        return {r[name] for r in facts[key]}

    def props(key):
        both = set(ref[key]) & set(here[key])
        return (sum(len(set(here[key][t]) & set(ref[key][t])) for t in both),
                sum(len(ref[key][t]) for t in both))

    def both(a, b):
        return len(a & b), len(b)
    opts = "query-command-line-options"
    return {
        "command": both(meta(here, "command"), meta(ref, "command")),
        "event": both(meta(here, "event"), meta(ref, "event")),
        "type": both(set(here["types"]), set(ref["types"])),
        "device": both(set(here["device"]), set(ref["device"])),
        "device property": props("device"),
        "object property": props("object"),
        "option": both(names(here, opts, "option"), names(ref, opts, "option")),
        "machine": both(names(here, "query-machines", "name"),
                        names(ref, "query-machines", "name")),
        "CPU model": both(names(here, "query-cpu-definitions", "name"),
                          names(ref, "query-cpu-definitions", "name")),
    }
