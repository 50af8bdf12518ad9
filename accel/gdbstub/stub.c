/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stub.c - a server of gdb's remote serial protocol on a character device: -gdb,
 * -s, the monitor's gdbserver.
 *
 * Thread class: MACHINE_CALL, in the main loop.
 *
 * Invariants
 * 1. One server, one client. While a client is attached and has not let the
 *    machine run, it is stopped.
 * 2. `waiting` is true exactly while the client waits for a stop packet.
 * 3. A client that does not read holds nothing up: what it has not taken waits
 *    in `out`, and nothing more is read from it meanwhile.
 * 4. A client that goes leaves no break- or watchpoint behind.
 */
#include "accel/gdbstub/gdb.h"
#include "gdbstub.h"
#include "monitor.h"
#include "schema/schema.h"

DebugStop accel_debug_stop = { .type = -1 };

static Gdb *server;                    /* NULL: none                          */

/* ---- output ------------------------------------------------------------- */

static void flush(void *arg)
{
    Gdb *g = arg;
    size_t at = 0;

    g->out_waits = false;
    while (at < g->out->len) {
        ssize_t n = chr_write(&g->front, g->out->data + at, g->out->len - at);

        if (n == -EAGAIN || n == 0) {
            break;
        }
        at = n < 0 ? g->out->len : at + n;     /* <0: nobody there            */
    }
    g_byte_array_remove_range(g->out, 0, at);
    if (g->out->len) {
        g->out_waits = true;
        chr_on_writable(&g->front, flush, g);
    } else if (at) {
        chr_accept_input(&g->front);
    }
}

static void put(Gdb *g, const void *data, size_t n)
{
    g_byte_array_append(g->out, data, n);
    if (!g->out_waits) {
        flush(g);
    }
}

void gdb_reply_bytes(Gdb *g, const void *data, size_t n)
{
    g_byte_array_set_size(g->last, 0);
    gdb_frame(g->last, data, n);
    put(g, g->last->data, g->last->len);
}

void gdb_reply(Gdb *g, const char *text)
{
    gdb_reply_bytes(g, text, strlen(text));
}

/* ---- input -------------------------------------------------------------- */

static void acknowledge(Gdb *g, const char *how)
{
    if (!g->no_ack) {
        put(g, how, 1);
    }
}

static void byte_in(Gdb *g, uint8_t byte) MACHINE_CALL;
static void byte_in(Gdb *g, uint8_t byte)
{
    switch (gdb_feed(&g->in, byte)) {
    case GDB_PACKET:
        acknowledge(g, "+");
        gdb_command(g, (const char *)g->in.buf, g->in.n);
        break;
    case GDB_BAD:
        acknowledge(g, "-");
        break;
    case GDB_NACK:
        if (!g->no_ack) {
            put(g, g->last->data, g->last->len);
        }
        break;
    case GDB_INTERRUPT:
        vm_stop(RS_PAUSED);
        break;
    case GDB_ACK:
    case GDB_NOTHING:
        break;
    }
}

static int can_receive(void *arg)
{
    Gdb *g = arg;

    return g->out->len ? 0 : GDB_PACKET_MAX;
}

static void receive(void *arg, const uint8_t *buf, int n)
{
    machine_assert_locked();
    /* A monitor command may have closed this server, or opened another. */
    for (int i = 0; i < n && server == arg; i++) {
        byte_in(arg, buf[i]);
    }
}

static void event(void *arg, ChrEvent e)
{
    Gdb *g = arg;

    machine_assert_locked();
    if (e == CHR_OPENED) {
        g->in = (GdbIn){ 0 };
        g->no_ack = g->waiting = g->physical = false;
        g->cpu = g->cont_cpu = 0;
        g->attached = true;
        if (run_state_is_running()) {
            vm_stop(RS_PAUSED);
        }
    } else if (e == CHR_CLOSED) {
        gdb_points_drop(g);
        g_byte_array_set_size(g->out, 0);
        g->attached = g->waiting = false;
    }
}

/* ---- the machine stops -------------------------------------------------- */

/* As POSIX systems on x86 number signals; 0: the client hears nothing. */
static int signal_of(RunStateNr s)
{
    switch (s) {
    case RS_DEBUG:
        return 5;
    case RS_PAUSED:
        return 2;
    case RS_SHUTDOWN:
        return 3;
    case RS_IO_ERROR:
        return 29;
    case RS_WATCHDOG:
        return 14;
    case RS_INTERNAL_ERROR:
        return 6;
    case RS_SAVE_VM:
    case RS_RESTORE_VM:
    case RS_FINISH_MIGRATE:
        return 0;
    default:
        return 143;
    }
}

static void run_changed(RunNotify *n, bool running, RunStateNr s)
{
    Gdb *g = container_of(n, Gdb, notify);
    int sig = signal_of(s);
    GString *text;

    machine_assert_locked();
    if (running || !sig) {
        return;
    }
    if (g->stepping >= 0 && (unsigned)g->stepping < cpu_count) {
        accel->type->single_step(cpus[g->stepping], false);
    }
    g->stepping = -1;
    if (!g->waiting) {
        return;
    }
    g->waiting = false;
    if (s == RS_DEBUG && accel_debug_stop.cpu < cpu_count) {
        g->cpu = g->cont_cpu = accel_debug_stop.cpu;
    }
    text = g_string_new(NULL);
    gdb_stop_text(text, sig, g->cpu);
    gdb_reply(g, text->str);
    g_string_free(text, TRUE);
}

static void program_ends(Notify *n, void *data)
{
    machine_assert_locked();
    if (server && server->attached && server->waiting) {
        gdb_reply(server, "W00");
    }
    gdbserver_stop();
}
static Notify at_exit = { .fn = program_ends };

/* ---- open and close ----------------------------------------------------- */

/* A debugger comes when it likes: nobody waits for it. */
static char *device_text(const char *dev)
{
    return !strncmp(dev, "tcp:", 4)
         ? g_strdup_printf("%s,wait=off,nodelay=on,server=on", dev)
         : g_strdup(dev);
}

bool gdbserver_start(const char *dev, Error **errp)
{
    static unsigned number;
    static bool hooked;
    char *text, *label;
    CharPort *port;
    Gdb *g;

    gdbserver_stop();
    if (!strcmp(dev, "none")) {
        return true;
    }
    text = device_text(dev);
    label = number ? g_strdup_printf("gdb%u", number) : g_strdup("gdb");
    port = chr_new_short(label, text, true, errp);
    g_free(text);
    if (!port) {
        g_free(label);
        return false;
    }
    number++;
    g = g_new0(Gdb, 1);
    g->front = (CharFront){
        .can_receive = can_receive, .receive = receive, .event = event,
        .arg = g,
    };
    if (!chr_attach(&g->front, port, errp)) {
        g_free(label);
        g_free(g);
        return false;
    }
    g->last = g_byte_array_new();
    g->out = g_byte_array_new();
    g->label = strcmp(port->label, label) ? NULL : g_strdup(label);
    g_free(label);
    g->points = g_array_new(FALSE, FALSE, sizeof(GdbPoint));
    g->stepping = -1;
    g->notify.fn = run_changed;
    run_notify_add(&g->notify);
    if (!hooked) {
        notify_add(&exit_notify, &at_exit);
        hooked = true;
    }
    server = g;
    chr_set_open(&g->front, true);
    chr_listen(&g->front, loop_main);
    return true;
}

static void gdb_free(void *p)
{
    g_free(p);
}

void gdbserver_stop(void)
{
    Gdb *g = server;

    if (!g) {
        return;
    }
    server = NULL;
    gdb_points_drop(g);
    run_notify_del(&g->notify);
    chr_detach(&g->front);
    if (g->label) {
        chr_remove(g->label, NULL);
    }
    g_free(g->label);
    g_byte_array_free(g->last, TRUE);
    g_byte_array_free(g->out, TRUE);
    g_array_free(g->points, TRUE);
    /* It may be its own command that closes it. */
    loop_post_fn(loop_main, gdb_free, g);
}

bool cmd_x_tern_gdbserver(const void *arg, void *ret, Error **errp)
{
    const XTernGdbserverArg *a = arg;

    return gdbserver_start(a->device ? a->device : "tcp::1234", errp);
}

void hmp_gdbserver(const Json *args)
{
    const char *dev = json_get_str(args, "device");
    Error *err = NULL;

    dev = dev ? dev : "tcp::1234";
    if (!gdbserver_start(dev, &err)) {
        mon_printf("Could not open gdbserver on device '%s'\n", dev);
        error_report(err);
    } else if (!strcmp(dev, "none")) {
        mon_printf("Disabled gdbserver\n");
    } else {
        mon_printf("Waiting for gdb connection on device '%s'\n", dev);
    }
}
