# SPDX-License-Identifier: GPL-2.0-or-later
#
# schema.awk - turns the .schema files into tables: schema.h (C types,
# prototypes), schema.c (types and events), tables.c (commands and options).
#
#     awk -v out=FOLDER/schema -f schema.awk *.schema
#
# A line that starts in the first column opens an entry; indented lines belong
# to it; '#' starts a comment line. Names are those of the protocol. Text at a
# line's end is its documentation.
#
#   enum NAME               lines: VALUE [{FEATURE ...}] [text]
#   struct NAME             lines: MEMBER[?]: TYPE [{FEATURE ...}] text
#                                  base STRUCT
#   union NAME              a struct, and: tag MEMBER
#                                  case VALUE: STRUCT   (a value without a case
#                                  adds nothing)
#   alternate NAME          lines: BRANCH: TYPE   (told apart by JSON kind)
#   command NAME            lines: arg STRUCT, or arg MEMBER[?]: TYPE text
#                                  ret TYPE, since VERSION
#                                  flags oob preconfig co raw twin
#                                  hmp WORDS, alias WORD, args PATTERN,
#                                  params TEXT, help TEXT, print [FUNCTION]
#                                  also PREFIX   (same command without reply:
#                                  hmp_run handles the HMP side)
#                                  twin: what the HMP side (run) prints is the
#                                  text returned, or, without ret, the error
#   hmp WORDS               HMP only; lines as above; function hmp_WORDS
#   event NAME              lines: arg as above, rate SECONDS, key MEMBER
#   section TEXT            heading of the options that follow
#   option NAME             lines: params TEXT (has a value), help TEXT,
#                                  group NAME (query-command-line-options),
#                                  implied KEY, param NAME TYPE [=DEFAULT] [text],
#                                  handle NAME (cli_NAME), hidden
#
# Everywhere: doc TEXT, features WORDS. A struct or union with `open REGISTRY`
# is carried as JSON (OpenArg) and its further members are those of the
# registry's rows. TYPE: a name above, str bool int int8..int64 uint8..uint64
# size number any null, or [TYPE]. doc, help and params may repeat.
#
# In C: `x?` is a NULL pointer when absent for str, any, struct and union, else
# has_x says so; [T] is a struct of v and n; an alternate has kind (index of the
# branch) and u; union branches are in u.

function die(s) { print FILENAME ":" FNR ": " s > "/dev/stderr"; bad = 1; exit 1 }
function q(s) { gsub(/\\/, "\\\\", s); gsub(/"/, "\\\"", s); gsub(/\n/, "\\n", s); return "\"" s "\"" }
function qn(s) { return s == "" ? "NULL" : q(s) }
function c(s) { gsub(/[^A-Za-z0-9_]/, "_", s); if (s in reserved) s = s "_"; return s }
function rest(n,   i, s) { s = $0; for (i = 0; i < n; i++) sub(/^[ \t]*[^ \t]+/, "", s); sub(/^[ \t]+/, "", s); return s }
function join(a, b, sep) { return a == "" ? b : a sep b }
function upper(s,   i, ch, o, p) {      # RunState -> RUN_STATE
    for (i = 1; i <= length(s); i++) {
        ch = substr(s, i, 1); p = substr(s, i - 1, 1)
        if (ch ~ /[A-Z]/ && i > 1 && (p ~ /[a-z0-9]/ || substr(s, i + 1, 1) ~ /[a-z]/) && p != "_") o = o "_"
        o = o ch
    }
    return toupper(o)
}
function camel(s,   i, n, a, o) {       # query-status, RTC_CHANGE -> QueryStatus, RtcChange
    n = split(s, a, /[-_.]/)
    for (i = 1; i <= n; i++) o = o toupper(substr(a[i], 1, 1)) tolower(substr(a[i], 2))
    return o
}
function open_entry(k, n) {
    kind = k; name = n
    if ((k, n) in seen) die(k " '" n "' is there twice")
    seen[k, n] = 1
    if (k == "enum" || k == "struct" || k == "union" || k == "alternate") {
        if (n in what) die("type '" n "' is there twice")
        what[n] = k; torder[++nt] = n; where[n] = FILENAME ":" FNR
    } else if (k == "command" || k == "hmp") { corder[++nc] = k SUBSEP n; where[k, n] = FILENAME ":" FNR
    } else if (k == "event") eorder[++ne] = n
    else if (k == "option") { oorder[++no] = n; osection[n] = section }
}
# Takes "{a b}" off the front of s; leaves the features in F and the rest in R.
function features_of(s) {
    F = ""; R = s
    if (s ~ /^\{/) { F = substr(s, 2, index(s, "}") - 2); R = substr(s, index(s, "}") + 1); sub(/^[ \t]+/, "", R) }
}
function member(owner, f, ty, text,   i) {
    sub(/:$/, "", f)
    i = ++nm[owner]
    mopt[owner, i] = sub(/\?$/, "", f)
    mname[owner, i] = f; mtype[owner, i] = ty
    features_of(text)
    mfeat[owner, i] = F; mdoc[owner, i] = R
    if (R == "") die("member '" f "' without a text")
}
function anon(k, n,   t) {              # the struct of a command's or event's arguments
    t = camel(n) (k == "event" ? "Event" : "Arg")
    if (!(t in what)) { what[t] = "struct"; torder[++nt] = t; where[t] = FILENAME ":" FNR; hidden_name[t] = 1 }
    attr[k, n, "arg"] = t
    return t
}
BEGIN {
    H = out ".h"; C = out ".c"; T = out; sub(/[^\/]*$/, "tables.c", T)
    split("int QB_INT int64_t int8 QB_I8 int8_t int16 QB_I16 int16_t int32 QB_I32 int32_t int64 QB_I64 int64_t " \
          "uint8 QB_U8 uint8_t uint16 QB_U16 uint16_t uint32 QB_U32 uint32_t uint64 QB_U64 uint64_t size QB_SIZE uint64_t " \
          "bool QB_BOOL bool number QB_NUMBER double str QB_STR char* any QB_ANY Json* null QB_NULL uint8_t", b, " ")
    for (i = 1; i in b; i += 3) { builtin[b[i]] = b[i + 1]; ctype[b[i]] = b[i + 2]; border[++nbi] = b[i] }
    split("auto break case char const continue default do double else enum extern float for goto if inline int long " \
          "register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while bool " \
          "linux unix errno", b, " ")
    for (i = 1; i in b; i++) reserved[b[i]] = 1
}
{ sub(/[ \t]+$/, "") }
/^#/ || /^[ \t]*$/ { next }
/^section / { section = rest(1); kind = ""; next }
/^hmp / { open_entry("hmp", rest(1)); next }
/^[a-z]/ {
    if ($1 !~ /^(enum|struct|union|alternate|command|event|option)$/ || NF != 2) die("'" $0 "' opens no entry")
    open_entry($1, $2); next
}
kind == "" { die("line outside an entry") }
$1 == "doc" { attr[kind, name, "doc"] = join(attr[kind, name, "doc"], rest(1), " "); next }
$1 == "features" { attr[kind, name, "features"] = rest(1); next }
kind == "enum" {
    i = ++nv[name]; val[name, i] = $1; features_of(rest(1))
    vfeat[name, i] = F; vdoc[name, i] = R; if (F != "") has_vfeat[name] = 1
    next
}
$1 == "open" && NF == 2 && (kind == "struct" || kind == "union") { open_set[name] = $2; next }
$1 == "base" && NF == 2 && (kind == "struct" || kind == "union") {
    if (!($2 in what)) die("base '" $2 "' is not known yet")
    for (i = 1; i <= nm[$2]; i++) { j = ++nm[name]
        mopt[name, j] = mopt[$2, i]; mname[name, j] = mname[$2, i]; mtype[name, j] = mtype[$2, i]
        mfeat[name, j] = mfeat[$2, i]; mdoc[name, j] = mdoc[$2, i] }
    next
}
kind == "union" && $1 == "tag" { tag[name] = $2; next }
kind == "union" && $1 == "case" { f = $2; sub(/:$/, "", f); i = ++nb[name]; bname[name, i] = f; btype[name, i] = $3; next }
kind == "struct" || kind == "union" {
    if ($1 !~ /:$/) die("expected 'member: type text'")
    member(name, $1, $2, rest(2)); next
}
kind == "alternate" { f = $1; sub(/:$/, "", f); i = ++nb[name]; bname[name, i] = f; btype[name, i] = $2; next }
(kind == "command" || kind == "event") && $1 == "arg" {
    if ($2 ~ /:$/) member(anon(kind, name), $2, $3, rest(3))
    else attr[kind, name, "arg"] = $2
    next
}
kind == "option" && $1 == "param" { i = ++np[name]; pname[name, i] = $2; ptype[name, i] = $3; phelp[name, i] = rest(3)
    if (phelp[name, i] ~ /^=/) { pdef[name, i] = substr($4, 2); phelp[name, i] = rest(4) }
    next }
$1 ~ /^(params|help)$/ && (kind == "option" || kind == "command" || kind == "hmp") {
    if ((kind, name, $1) in attr) attr[kind, name, $1] = attr[kind, name, $1] "\n" rest(1)
    else attr[kind, name, $1] = rest(1)
    next
}
kind == "command" && $1 ~ /^(ret|since|flags|hmp|alias|args|print|run)$/ { attr[kind, name, $1] = rest(1); has[kind, name, $1] = 1; next }
kind == "hmp" && $1 ~ /^(since|flags|alias|args)$/ { attr[kind, name, $1] = rest(1); next }
kind == "event" && $1 ~ /^(rate|key)$/ { attr[kind, name, $1] = $2; next }
kind == "option" && $1 ~ /^(group|implied|handle|alias)$/ { attr[kind, name, $1] = $2; next }
kind == "option" && $1 == "hidden" { attr[kind, name, "hidden"] = 1; next }
{ die("'" $1 "' is nothing that a " kind " has") }

# ---- output

function list_name(t,   e) { e = substr(t, 2, length(t) - 2); return (e ~ /^\[/ ? list_name(e) : toupper(substr(e, 1, 1)) substr(e, 2)) "List" }
function sym(t) { return t ~ /^\[/ ? "qt_" list_name(t) : "qt_" t }
function need(t, at,   e) {             # checks a type's name, makes list types
    if (t ~ /^\[.*\]$/) {
        e = substr(t, 2, length(t) - 2); need(e, at)
        if (!(t in listed)) { listed[t] = 1; lorder[++nl] = t }
    } else if (!(t in builtin) && !(t in what)) {
        print at ": type '" t "' is not known" > "/dev/stderr"; bad = 1
    }
}
function ct(t) {                        # C type of a value
    if (t ~ /^\[/) return list_name(t) " "
    if (t in builtin) return ctype[t] ~ /\*$/ ? substr(ctype[t], 1, length(ctype[t]) - 1) " *" : ctype[t] " "
    if (t in open_set) return "OpenArg "
    return t " "
}
function is(t, kind) { return (t in what) && what[t] == kind }
function pointer(t, o) { return o && (is(t, "struct") || is(t, "union")) && !(t in open_set) }
function natural(t) { return t == "str" || t == "any" }
function print_struct(t,   i, f, p) {
    print "struct " t " {" > H
    for (i = 1; i <= nm[t]; i++) { f = c(mname[t, i]); p = pointer(mtype[t, i], mopt[t, i])
        print "    " ct(mtype[t, i]) (p ? "*" : "") f ";" > H
        if (mopt[t, i] && !p && !natural(mtype[t, i])) print "    bool has_" c(mname[t, i]) ";" > H }
    if (what[t] == "struct" && nm[t] == 0) print "    char empty_;" > H
    if (what[t] == "union") { f = 0
        for (i = 1; i <= nb[t]; i++) if (nm[btype[t, i]] || is(btype[t, i], "union")) {
            if (!f++) print "    union {" > H
            print "        " ct(btype[t, i]) c(bname[t, i]) ";" > H }
        if (f) print "    } u;" > H
    }
    if (what[t] == "alternate") {
        print "    int kind;\n    union {" > H
        for (i = 1; i <= nb[t]; i++) print "        " ct(btype[t, i]) (pointer(btype[t, i], 1) ? "*" : "") c(bname[t, i]) ";" > H
        print "    } u;" > H
    }
    print "};" > H
}
function layout(t,   i) {               # by-value parts first
    if (!(t in what) || state[t] == 2 || what[t] == "enum" || t in open_set) return
    if (state[t] == 1) { print where[t] ": '" t "' contains itself" > "/dev/stderr"; bad = 1; return }
    state[t] = 1
    for (i = 1; i <= nm[t]; i++) if (!pointer(mtype[t, i], mopt[t, i])) layout(mtype[t, i])
    if (what[t] == "union") for (i = 1; i <= nb[t]; i++) layout(btype[t, i])
    if (what[t] == "alternate") for (i = 1; i <= nb[t]; i++) if (!pointer(btype[t, i], 1)) layout(btype[t, i])
    state[t] = 2
    print_struct(t)
}
function print_members(t,   i, f, p, fl, op) {
    op = t in open_set
    print "static const QMember " t "_members[] = {" > C
    for (i = 1; i <= nm[t]; i++) {
        f = c(mname[t, i]); p = pointer(mtype[t, i], mopt[t, i]); fl = mopt[t, i] ? "QF_OPT" : "0"; if (p) fl = fl " | QF_PTR"
        print "    { " q(mname[t, i]) ", &" sym(mtype[t, i]) ", " (op ? "0, 0" : "offsetof(" t ", " f "), " \
            (mopt[t, i] && !p && !natural(mtype[t, i]) ? "offsetof(" t ", has_" f ")" : "0")) ", " fl ", " qn(mfeat[t, i]) ",\n      " q(mdoc[t, i]) " }," > C
    }
    print "    { .name = NULL }\n};" > C
}
function print_variants(t,   i, off) {
    print "static const QVariant " t "_variants[] = {" > C
    for (i = 1; i <= nb[t]; i++) {
        off = t in open_set || (what[t] == "union" && !nm[btype[t, i]] && !is(btype[t, i], "union")) ? "0" : "offsetof(" t ", u." c(bname[t, i]) ")"
        print "    { " q(bname[t, i]) ", &" sym(btype[t, i]) ", " off " }," > C
    }
    print "    { .name = NULL }\n};" > C
}
function print_type(t,   i, s, m) {
    m = what[t]
    if (m == "enum") {
        print "static const char *const " t "_values[] = {" > C
        for (i = 1; i <= nv[t]; i++) print "    " q(val[t, i]) "," > C
        print "    NULL\n};" > C
        if (has_vfeat[t]) { print "static const char *const " t "_value_features[] = {" > C
            for (i = 1; i <= nv[t]; i++) print "    " qn(vfeat[t, i]) "," > C
            print "};" > C }
    } else if (m != "alternate") print_members(t)
    if (m == "union" || m == "alternate") print_variants(t)
    s = "const QType qt_" t " = { .name = " q(t) ", .meta = QM_" toupper(m)
    if (m == "enum") s = s ", .size = sizeof(int),\n    .values = " t "_values" (has_vfeat[t] ? ", .value_features = " t "_value_features" : "")
    else if (m == "alternate") s = s ", .size = sizeof(" t "),\n    .variants = " t "_variants"
    else s = s ", .size = sizeof(" (t in open_set ? "OpenArg" : t) "),\n    .members = " t "_members"
    if (m == "union") s = s ", .tag = " q(tag[t]) ", .variants = " t "_variants"
    if (t in open_set) s = s ", .open_set = " q(open_set[t])
    print s ",\n    .features = " qn(attr[m, t, "features"]) ", .doc = " qn(attr[m, t, "doc"]) " };" > C
}
function sorted(a, n,   i, j, v) {      # by name, so that look-up can be binary
    for (i = 2; i <= n; i++) { v = a[i]
        for (j = i - 1; j >= 1 && a[j] > v; j--) a[j + 1] = a[j]
        a[j + 1] = v }
}
function flags(s,   i, n, a, o) {
    n = split(s, a, " ")
    for (i = 1; i <= n; i++) if (a[i] != "twin") o = join(o, "CMD_" toupper(a[i]), " | ")
    return o == "" ? "0" : o
}
function weak(f) { print "extern __typeof__(" f ") " f " WEAK;" > T }
END {
    if (bad) exit 1
    head = "/* Generated from the .schema files: do not edit. */\n"
    print head "#ifndef TERN_SCHEMA_H\n#define TERN_SCHEMA_H\n#include \"monitor.h\"\n" > H
    print head "#include \"schema/schema.h\"\n" > C
    print head "#include \"schema/schema.h\"\n#define WEAK __attribute__((weak, visibility(\"hidden\")))\n" > T

    for (k = 1; k <= nt; k++) { t = torder[k]
        for (i = 1; i <= nm[t]; i++) need(mtype[t, i], where[t])
        for (i = 1; i <= nb[t]; i++) need(btype[t, i], where[t])
        if (!hidden_name[t] && attr[what[t], t, "doc"] == "") { print where[t] ": '" t "' without a doc" > "/dev/stderr"; bad = 1 }
        if (what[t] == "union") { for (i = 1; i <= nm[t]; i++) if (mname[t, i] == tag[t]) break
            if (i > nm[t] || !is(mtype[t, i], "enum")) { print where[t] ": '" t "' needs a tag of an enum type" > "/dev/stderr"; bad = 1 } }
    }
    for (k = 1; k <= nc; k++) { split(corder[k], b, SUBSEP)
        if (attr[b[1], b[2], "doc"] == "") { print where[b[1], b[2]] ": without a doc" > "/dev/stderr"; bad = 1 }
        if ((b[1], b[2], "ret") in attr) need(attr[b[1], b[2], "ret"], where[b[1], b[2]])
        if ((b[1], b[2], "arg") in attr) need(attr[b[1], b[2], "arg"], where[b[1], b[2]]) }
    for (k = 1; k <= ne; k++) if (("event", eorder[k], "arg") in attr) need(attr["event", eorder[k], "arg"], eorder[k])
    if (bad) exit 1

    # types
    for (k = 1; k <= nbi; k++) { t = border[k]
        print "extern const QType qt_" t ";" > H
        print "const QType qt_" t " = { .name = " q(t) ", .meta = " (t == "any" ? "QM_ANY" : "QM_BUILTIN") ", .builtin = " builtin[t] ", .size = sizeof(" ctype[t] ") };" > C }
    for (k = 1; k <= nt; k++) { t = torder[k]
        print "extern const QType qt_" t ";" > H
        if (what[t] == "enum") {
            print "typedef enum " t " {" > H
            for (i = 1; i <= nv[t]; i++) print "    " upper(t) "_" toupper(c(val[t, i])) "," > H
            print "} " t ";\nenum { " upper(t) "__COUNT = " nv[t] " };" > H
        } else if (!(t in open_set)) print "typedef struct " t " " t ";" > H
    }
    for (k = 1; k <= nl; k++) { t = lorder[k]; e = substr(t, 2, length(t) - 2)
        print "typedef struct " list_name(t) " {\n    " ct(e) "*v;\n    size_t n;\n} " list_name(t) ";\nextern const QType " sym(t) ";" > H }
    for (k = 1; k <= nt; k++) layout(torder[k])
    if (bad) exit 1
    for (k = 1; k <= nl; k++) { t = lorder[k]; e = substr(t, 2, length(t) - 2)
        print "const QType " sym(t) " = { .name = " q(t) ", .meta = QM_LIST, .size = sizeof(" list_name(t) "), .element = &" sym(e) " };" > C }
    for (k = 1; k <= nt; k++) print_type(torder[k])

    # events
    sorted(eorder, ne)
    for (k = 1; k <= ne; k++) { t = eorder[k]
        print "extern const Event event_" t ";" > H
        print "const Event event_" t " = { .name = " q(t) (attr["event", t, "arg"] ? ", .arg = &" sym(attr["event", t, "arg"]) : "") \
            ", .rate_ns = " int(attr["event", t, "rate"] * 1000) " * 1000000ll, .rate_key = " qn(attr["event", t, "key"]) \
            ",\n    .features = " qn(attr["event", t, "features"]) ", .doc = " q(attr["event", t, "doc"]) " };" > C }
    print "extern const Event *const events[];" > H
    print "const Event *const events[] = {" > C
    for (k = 1; k <= ne; k++) print "    &event_" eorder[k] "," > C
    print "    NULL\n};" > C

    # commands
    for (k = 1; k <= nc; k++) { split(corder[k], b, SUBSEP); if (b[1] == "command") qmp[++nq] = b[2]; else hmps[++nh] = b[2] }
    sorted(qmp, nq); sorted(hmps, nh)
    for (k = 1; k <= nq; k++) { t = qmp[k]
        twin[t] = attr["command", t, "flags"] ~ /twin/
        if (!twin[t]) { print "bool cmd_" c(t) "(const void *arg, void *ret, Error **errp) MACHINE_CALL;" > H; weak("cmd_" c(t)) }
        if (has["command", t, "print"]) { f = attr["command", t, "print"]; if (f == "") f = c(attr["command", t, "hmp"]); pf[t] = "hmp_print_" f
            if (!(pf[t] in declared)) { declared[pf[t]] = 1; print "void " pf[t] "(const void *ret, const Json *args) MACHINE_CALL;" > H; weak(pf[t]) } }
        if (has["command", t, "run"]) { print "void hmp_" c(attr["command", t, "hmp"]) "(const Json *args) MACHINE_CALL;" > H; weak("hmp_" c(attr["command", t, "hmp"])) }
    }
    for (k = 1; k <= nh; k++) { print "void hmp_" c(hmps[k]) "(const Json *args) MACHINE_CALL;" > H; weak("hmp_" c(hmps[k])) }
    print "const Command commands[] = {" > T
    for (k = 1; k <= nq; k++) { t = qmp[k]; a = attr["command", t, "arg"]; r = attr["command", t, "ret"]; w = attr["command", t, "hmp"]
        print "    { .name = " q(t) (a ? ", .arg = &" sym(a) : "") (r ? ", .ret = &" sym(r) : "") ", .flags = " flags(attr["command", t, "flags"]) \
            (twin[t] ? "" : ", .call = cmd_" c(t)) ",\n      .features = " qn(attr["command", t, "features"]) ", .doc = " q(attr["command", t, "doc"]) ", .since = " qn(attr["command", t, "since"]) \
            (w == "" ? "" : ",\n      .hmp = " q(w) ", .hmp_alias = " qn(attr["command", t, "alias"]) ", .hmp_args = " q(attr["command", t, "args"]) \
            ", .hmp_params = " q(attr["command", t, "params"]) ",\n      .hmp_help = " q(attr["command", t, "help"]) (pf[t] ? ", .hmp_print = " pf[t] : "") \
            (has["command", t, "run"] ? ", .hmp_run = hmp_" c(w) : "")) " }," > T }
    for (k = 1; k <= nh; k++) { t = hmps[k]
        print "    { .flags = CMD_HMP_ONLY, .doc = " q(attr["hmp", t, "doc"]) ", .since = " qn(attr["hmp", t, "since"]) ",\n      .hmp = " q(t) ", .hmp_alias = " qn(attr["hmp", t, "alias"]) \
            ", .hmp_args = " q(attr["hmp", t, "args"]) ", .hmp_params = " q(attr["hmp", t, "params"]) ",\n      .hmp_help = " q(attr["hmp", t, "help"]) ", .hmp_run = hmp_" c(t) " }," > T }
    print "};\nconst unsigned command_count = " nq + nh ", qmp_command_count = " nq + 0 ";" > T
    print "extern const Command commands[];           /* QMP by name, then HMP only */\nextern const unsigned command_count, qmp_command_count;" > H

    # options
    for (k = 1; k <= no; k++) { t = oorder[k]; f = attr["option", t, "handle"]; if (f == "") f = c(t); oh[t] = "cli_" f
        if (!(oh[t] in declared)) { declared[oh[t]] = 1; print "bool cli_" f "(const char *arg, Error **errp) MACHINE_CALL;" > H; weak(oh[t]) }
        if (np[t]) { print "static const OptionParam params_" c(t) "[] = {" > T
            for (i = 1; i <= np[t]; i++) print "    { " q(pname[t, i]) ", " q(ptype[t, i]) ", " qn(phelp[t, i]) ", " qn(pdef[t, i]) " }," > T
            print "    { .name = NULL }\n};" > T } }
    print "const OptionRow option_rows[] = {" > T
    for (k = 1; k <= no; k++) { t = oorder[k]
        print "    { .name = " q(t) ", .alias = " qn(attr["option", t, "alias"]) ", .section = " qn(osection[t]) ", .group = " qn(attr["option", t, "group"]) ", .implied = " qn(attr["option", t, "implied"]) \
            ", .has_arg = " (("option", t, "params") in attr ? "true" : "false") ", .hidden = " (attr["option", t, "hidden"] ? "true" : "false") \
            ",\n      .params = " qn(attr["option", t, "params"]) ",\n      .help = " qn(attr["option", t, "help"]) ",\n      .doc = " qn(attr["option", t, "doc"]) \
            (np[t] ? ", .args = params_" c(t) : "") ", .handle = " oh[t] " }," > T }
    print "    { .name = NULL }\n};" > T
    print "extern const OptionRow option_rows[];      /* in the order of -help */" > H
    print "#endif" > H
}
