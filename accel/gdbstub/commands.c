/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * commands.c - the debugger's packets ("Debugging with GDB", appendix E.2):
 * registers, memory, break- and watchpoints, going on.
 *
 * Thread class: MACHINE_CALL; the machine is stopped while a client is served.
 *
 * Invariants
 * 1. Every packet is answered once: with a result, "OK", an error "E..", or ""
 *    for what is not supported; but c, s, C, S and vCont when the machine stops.
 * 2. Lengths are bounded by what fits into an answer.
 */
#include "accel/gdbstub/gdb.h"
#include "machine.h"

#define MEM_MAX (GDB_PACKET_MAX / 2)
enum { E_INVAL = 22, E_FAULT = 14 };

static void reply_error(Gdb *g, int e) MACHINE_CALL;
static void reply_error(Gdb *g, int e)
{
    char text[8];

    snprintf(text, sizeof(text), "E%02x", e);
    gdb_reply(g, text);
}

static void reply_ok(Gdb *g, bool ok, int e) MACHINE_CALL;
static void reply_ok(Gdb *g, bool ok, int e)
{
    if (ok) {
        gdb_reply(g, "OK");
    } else {
        reply_error(g, e);
    }
}

static X86Cpu *cpu_synced(unsigned i) MACHINE_CALL;
static X86Cpu *cpu_synced(unsigned i)
{
    if (i >= cpu_count) {
        return NULL;
    }
    cpu_sync(cpus[i]);
    return x86_cpu(cpus[i]);
}

bool gdb_is64(void)
{
    return !cpu_count ||
           x86_cpu(cpus[0])->features[FW_8000_0001_EDX] & 1ull << 29;
}

bool gdb_thread(const char **p, int *index)
{
    uint64_t v;

    if (**p == 'p') {                  /* process.thread; there is one process */
        (*p)++;
        if (!strncmp(*p, "-1", 2)) {
            *p += 2;
        } else if (!gdb_number(p, &v) || v > 1) {
            return false;
        }
        if (**p != '.') {
            *index = -1;
            return true;
        }
        (*p)++;
    }
    if (!strncmp(*p, "-1", 2)) {
        *p += 2;
        *index = -1;
        return true;
    }
    if (!gdb_number(p, &v) || v > MAX2(cpu_count, 1)) {
        return false;
    }
    *index = (int)v - 1;               /* 0: any                              */
    return true;
}

/* ---- registers ---------------------------------------------------------- */

static void regs_read(Gdb *g) MACHINE_CALL;
static void regs_read(Gdb *g)
{
    GString *s = g_string_new(NULL);
    X86Cpu *c = cpu_synced(g->cpu);
    bool is64 = gdb_is64();
    uint8_t v[16];

    for (unsigned i = 0; i < gdb_reg_count(is64); i++) {
        unsigned n = gdb_reg_bytes(is64, i);

        if (c) {
            gdb_reg_get(&c->regs, is64, i, v);
            gdb_hex_out(s, v, n);
        } else {                       /* unavailable                         */
            for (unsigned k = 0; k < n; k++) {
                g_string_append(s, "xx");
            }
        }
    }
    gdb_reply(g, s->str);
    g_string_free(s, TRUE);
}

/* What cannot be set keeps its value: a client writes back what it read. */
static void regs_write(Gdb *g, const char *p) MACHINE_CALL;
static void regs_write(Gdb *g, const char *p)
{
    X86Cpu *c = cpu_synced(g->cpu);
    bool is64 = gdb_is64();
    uint8_t v[16];
    unsigned n;

    for (unsigned i = 0; c && (n = gdb_reg_bytes(is64, i)) && *p; i++) {
        if (strlen(p) < 2 * n) {
            reply_error(g, E_INVAL);
            return;
        }
        if (gdb_hex_in(p, n, v)) {     /* "xx..": not known to the client     */
            gdb_reg_set(&c->regs, is64, i, v);
        }
        p += 2 * n;
    }
    reply_ok(g, c != NULL, E_INVAL);
}

static void reg_read(Gdb *g, const char *p) MACHINE_CALL;
static void reg_read(Gdb *g, const char *p)
{
    X86Cpu *c = cpu_synced(g->cpu);
    unsigned bytes;
    uint8_t v[16];
    uint64_t n;
    GString *s;

    if (!c || !gdb_number(&p, &n) || n > 1000 ||
        !(bytes = gdb_reg_bytes(gdb_is64(), n))) {
        reply_error(g, E_FAULT);
        return;
    }
    gdb_reg_get(&c->regs, gdb_is64(), n, v);
    s = g_string_new(NULL);
    gdb_hex_out(s, v, bytes);
    gdb_reply(g, s->str);
    g_string_free(s, TRUE);
}

static void reg_write(Gdb *g, const char *p) MACHINE_CALL;
static void reg_write(Gdb *g, const char *p)
{
    X86Cpu *c = cpu_synced(g->cpu);
    unsigned bytes = 0;
    uint8_t v[16];
    uint64_t n;
    bool ok = c && gdb_number(&p, &n) && n <= 1000 && *p++ == '=' &&
              (bytes = gdb_reg_bytes(gdb_is64(), n)) &&
              strlen(p) == 2 * bytes && gdb_hex_in(p, bytes, v) &&
              gdb_reg_set(&c->regs, gdb_is64(), n, v);

    reply_ok(g, ok, E_INVAL);
}

/* ---- memory ------------------------------------------------------------- */

/* One direction, page by page, as the chosen vCPU translates. */
static bool memory(Gdb *g, uint64_t addr, uint8_t *buf, uint64_t len,
                   bool write) MACHINE_CALL;
static bool memory(Gdb *g, uint64_t addr, uint8_t *buf, uint64_t len,
                   bool write)
{
    X86Cpu *c = g->physical ? NULL : cpu_synced(g->cpu);

    while (len) {
        uint64_t n = MIN2(len, 4096 - addr % 4096), pa = addr;

        if (c && !x86_gva2gpa(c, addr, &pa)) {
            return false;
        }
        if ((write ? mem_poke(&mem_system, pa, buf, n)
                   : mem_read(&mem_system, pa, buf, n, MEM_ATTRS_NONE)) !=
            MEM_OK) {
            return false;
        }
        addr += n;
        buf += n;
        len -= n;
    }
    return true;
}

static void mem_command(Gdb *g, char op, const char *p, size_t left)
    MACHINE_CALL;
static void mem_command(Gdb *g, char op, const char *p, size_t left)
{
    const char *start = p;
    uint8_t buf[MEM_MAX];
    uint64_t addr, len;
    GString *s;

    if (!gdb_number(&p, &addr) || *p++ != ',' || !gdb_number(&p, &len) ||
        (op != 'm' && *p++ != ':')) {
        reply_error(g, E_INVAL);
        return;
    }
    left -= p - start;
    if (op == 'm') {
        len = MIN2(len, MEM_MAX);      /* a short answer is allowed           */
        if (!memory(g, addr, buf, len, false)) {
            reply_error(g, E_FAULT);
            return;
        }
        s = g_string_new(NULL);
        gdb_hex_out(s, buf, len);
        gdb_reply(g, s->str);
        g_string_free(s, TRUE);
        return;
    }
    if (len > MEM_MAX || left != (op == 'M' ? 2 * len : len) ||
        (op == 'M' && !gdb_hex_in(p, len, buf))) {
        reply_error(g, E_INVAL);
        return;
    }
    if (op == 'X') {
        memcpy(buf, p, len);
    }
    reply_ok(g, memory(g, addr, buf, len, true), E_FAULT);
}

/* ---- break- and watchpoints --------------------------------------------- */

static bool point_set(const GdbPoint *b, bool insert) MACHINE_CALL;
static bool point_set(const GdbPoint *b, bool insert)
{
    return accel->type->breakpoint(cpus[0], b->addr, b->len, b->type, insert);
}

static int point_find(const Gdb *g, const GdbPoint *b)
{
    for (unsigned i = 0; i < g->points->len; i++) {
        const GdbPoint *q = &g_array_index(g->points, GdbPoint, i);

        if (q->addr == b->addr && q->len == b->len && q->type == b->type) {
            return (int)i;
        }
    }
    return -1;
}

void gdb_points_drop(Gdb *g)
{
    while (g->points->len) {
        GdbPoint b = g_array_index(g->points, GdbPoint, g->points->len - 1);

        g_array_set_size(g->points, g->points->len - 1);
        point_set(&b, false);
    }
}

static void point_command(Gdb *g, bool insert, const char *p) MACHINE_CALL;
static void point_command(Gdb *g, bool insert, const char *p)
{
    GdbPoint b;
    uint64_t type;
    int at;

    if (!accel || !accel->type->breakpoint || !cpu_count) {
        gdb_reply(g, "");
        return;
    }
    if (!gdb_number(&p, &type) || type > 4 || *p++ != ',' ||
        !gdb_number(&p, &b.addr) || *p++ != ',' || !gdb_number(&p, &b.len)) {
        reply_error(g, E_INVAL);
        return;
    }
    b.type = (int)type;
    at = point_find(g, &b);
    if (insert == (at >= 0)) {         /* repeated: nothing more to do        */
        reply_ok(g, insert, E_INVAL);
        return;
    }
    if (insert && (g->points->len >= 1024 || !point_set(&b, true))) {
        reply_error(g, E_INVAL);
        return;
    }
    if (insert) {
        g_array_append_val(g->points, b);
    } else {
        g_array_remove_index(g->points, at);
        point_set(&b, false);
    }
    gdb_reply(g, "OK");
}

/* ---- going on ----------------------------------------------------------- */

void gdb_stop_text(GString *s, int sig, unsigned cpu)
{
    static const char *const watch[] = { [2] = "watch", [3] = "rwatch",
                                         [4] = "awatch" };
    const DebugStop *d = &accel_debug_stop;

    g_string_append_printf(s, "T%02xthread:%02x;", sig, cpu + 1);
    if (sig == 5 && d->type >= 2 && d->type <= 4) {
        g_string_append_printf(s, "%s:%" PRIx64 ";", watch[d->type], d->addr);
    }
}

void gdb_resume(Gdb *g, int step_cpu)
{
    Error *err = NULL;
    GString *s;

    accel_debug_stop = (DebugStop){ .cpu = g->cpu, .type = -1 };
    if (step_cpu >= 0) {
        if (!accel || !accel->type->single_step ||
            (unsigned)step_cpu >= cpu_count ||
            !accel->type->single_step(cpus[step_cpu], true)) {
            reply_error(g, E_INVAL);
            return;
        }
        g->stepping = step_cpu;
    }
    g->waiting = true;
    if (vm_start(&err)) {
        return;
    }
    /* A state that only a reset leaves: the client gets its prompt back. */
    error_report(err);
    g->waiting = false;
    s = g_string_new(NULL);
    gdb_stop_text(s, 6, g->cpu);
    gdb_reply(g, s->str);
    g_string_free(s, TRUE);
}

static void go(Gdb *g, const char *p, bool with_signal, bool step)
    MACHINE_CALL;
static void go(Gdb *g, const char *p, bool with_signal, bool step)
{
    X86Cpu *c = cpu_synced(g->cont_cpu);
    uint64_t v;

    if (with_signal) {
        if (!gdb_number(&p, &v)) {
            reply_error(g, E_INVAL);
            return;
        }
        p += *p == ';';
    }
    if (*p && (!c || !gdb_number(&p, &c->regs.rip))) {
        reply_error(g, E_INVAL);
        return;
    }
    gdb_resume(g, step ? (int)g->cont_cpu : -1);
}

/* The first action that names a vCPU to step decides; the others run. */
static void vcont(Gdb *g, const char *p) MACHINE_CALL;
static void vcont(Gdb *g, const char *p)
{
    int step = -1;
    bool any = false;

    while (*p == ';') {
        char op = *++p;
        int index = -1;
        uint64_t sig;

        if (!op || !strchr("cCsS", op)) {
            reply_error(g, E_INVAL);
            return;
        }
        p++;
        if ((op == 'C' || op == 'S') && !gdb_number(&p, &sig)) {
            reply_error(g, E_INVAL);
            return;
        }
        if (*p == ':') {
            p++;
            if (!gdb_thread(&p, &index)) {
                reply_error(g, E_INVAL);
                return;
            }
        }
        if ((op == 's' || op == 'S') && step < 0) {
            step = index < 0 ? (int)g->cont_cpu : index;
        }
        any = true;
    }
    if (*p || !any) {
        reply_error(g, E_INVAL);
        return;
    }
    if (step >= 0) {
        g->cpu = (unsigned)step;
    }
    gdb_resume(g, step);
}

static void kill_program(Gdb *g) MACHINE_CALL;
static void kill_program(Gdb *g)
{
    info_report("Terminated via GDBstub");
    gdb_points_drop(g);
    loop_quit();
}

void gdb_v_command(Gdb *g, const char *p)
{
    if (!strcmp(p, "Cont?")) {
        gdb_reply(g, "vCont;c;C;s;S");
    } else if (!strncmp(p, "Cont", 4)) {
        vcont(g, p + 4);
    } else if (!strncmp(p, "Kill;", 5)) {
        gdb_reply(g, "OK");
        kill_program(g);
    } else {
        gdb_reply(g, "");
    }
}

static void choose_thread(Gdb *g, const char *p) MACHINE_CALL;
static void choose_thread(Gdb *g, const char *p)
{
    char what = *p ? *p++ : 0;
    int index;

    if ((what != 'g' && what != 'c') || !gdb_thread(&p, &index)) {
        reply_error(g, E_INVAL);
        return;
    }
    if (index >= 0) {
        *(what == 'g' ? &g->cpu : &g->cont_cpu) = (unsigned)index;
    }
    gdb_reply(g, "OK");
}

static void detach(Gdb *g) MACHINE_CALL;
static void detach(Gdb *g)
{
    Error *err = NULL;

    gdb_points_drop(g);
    gdb_reply(g, "OK");
    g->waiting = false;
    g->attached = false;
    if (!vm_start(&err)) {
        error_report(err);
    }
}

static void why_stopped(Gdb *g) MACHINE_CALL;
static void why_stopped(Gdb *g)
{
    GString *s = g_string_new(NULL);

    /* A client that asks has just come: breakpoints of one before it go. */
    gdb_points_drop(g);
    accel_debug_stop.type = -1;
    gdb_stop_text(s, 5, g->cpu);
    gdb_reply(g, s->str);
    g_string_free(s, TRUE);
}

void gdb_command(Gdb *g, const char *p, size_t n)
{
    char op = *p;
    int index;

    switch (n ? *p++ : 0) {
    case '?':
        why_stopped(g);
        break;
    case 'c':
    case 's':
    case 'C':
    case 'S':
        go(g, p, op == 'C' || op == 'S', op == 's' || op == 'S');
        break;
    case 'D':
        detach(g);
        break;
    case 'g':
        regs_read(g);
        break;
    case 'G':
        regs_write(g, p);
        break;
    case 'p':
        reg_read(g, p);
        break;
    case 'P':
        reg_write(g, p);
        break;
    case 'm':
    case 'M':
    case 'X':
        mem_command(g, op, p, n - 1);
        break;
    case 'H':
        choose_thread(g, p);
        break;
    case 'T':
        reply_ok(g, gdb_thread(&p, &index) && index >= 0, E_INVAL);
        break;
    case 'Z':
    case 'z':
        point_command(g, op == 'Z', p);
        break;
    case 'k':
        kill_program(g);
        break;
    case 'q':
    case 'Q':
        gdb_query(g, p - 1);
        break;
    case 'v':
        gdb_v_command(g, p);
        break;
    default:
        gdb_reply(g, "");
        break;
    }
}
