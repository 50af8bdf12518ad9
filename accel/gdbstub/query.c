/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * query.c - general queries of the remote protocol ("Debugging with GDB",
 * appendix E.4): what is supported, threads, the description of the registers,
 * monitor commands; and qqemu.PhyMemMode, by which scripts choose physical
 * addresses.
 *
 * Thread class: MACHINE_CALL.
 */
#include "accel/gdbstub/gdb.h"
#include "monitor.h"

/* "…:OFFSET,LENGTH" of text, as 'm' (more follows) or 'l' and the bytes. */
static void reply_part(Gdb *g, const char *text, const char *p) MACHINE_CALL;
static void reply_part(Gdb *g, const char *text, const char *p)
{
    size_t size = strlen(text);
    uint64_t off, len;
    GString *s;

    if (!gdb_number(&p, &off) || *p++ != ',' || !gdb_number(&p, &len) || *p ||
        off > size) {
        gdb_reply(g, "E00");
        return;
    }
    len = MIN2(len, GDB_PACKET_MAX / 2);
    s = g_string_new(off + len < size ? "m" : "l");
    g_string_append_len(s, text + off, MIN2(len, size - off));
    gdb_reply_bytes(g, s->str, s->len);
    g_string_free(s, TRUE);
}

/* The first packet that asks gets all the threads that fit; there are at most 255. */
static void thread_list(Gdb *g) MACHINE_CALL;
static void thread_list(Gdb *g)
{
    GString *s = g_string_new("m01");

    for (unsigned i = 1; i < cpu_count; i++) {
        g_string_append_printf(s, ",%02x", i + 1);
    }
    gdb_reply(g, s->str);
    g_string_free(s, TRUE);
}

static void thread_about(Gdb *g, const char *p) MACHINE_CALL;
static void thread_about(Gdb *g, const char *p)
{
    GString *s;
    char text[48];
    int index;

    if (!gdb_thread(&p, &index) || index < 0 ||
        (unsigned)index >= cpu_count) {
        gdb_reply(g, "E16");
        return;
    }
    snprintf(text, sizeof(text), "CPU#%d [%s]", index,
             cpus[index]->halted ? "halted " : "running");
    s = g_string_new(NULL);
    gdb_hex_out(s, text, strlen(text));
    gdb_reply(g, s->str);
    g_string_free(s, TRUE);
}

/* A command line of the human monitor, in hexadecimal; its output in packets of
 * 'O', then "OK". */
static void monitor_command(Gdb *g, const char *p) MACHINE_CALL;
static void monitor_command(Gdb *g, const char *p)
{
    size_t n = strlen(p) / 2, len;
    char *line = g_malloc0(n + 1), *text;

    if (strlen(p) % 2 || !gdb_hex_in(p, n, (uint8_t *)line)) {
        g_free(line);
        gdb_reply(g, "E16");
        return;
    }
    text = mon_hmp_line(line, cpu_count ? (int)g->cpu : -1);
    len = text ? strlen(text) : 0;
    for (size_t i = 0; i < len; i += GDB_PACKET_MAX / 2 - 8) {
        GString *s = g_string_new("O");

        gdb_hex_out(s, text + i, MIN2(len - i, GDB_PACKET_MAX / 2 - 8));
        gdb_reply(g, s->str);
        g_string_free(s, TRUE);
    }
    gdb_reply(g, "OK");
    g_free(text);
    g_free(line);
}

static void supported(Gdb *g) MACHINE_CALL;
static void supported(Gdb *g)
{
    char text[128];

    snprintf(text, sizeof(text), "PacketSize=%x;qXfer:features:read+;"
             "vContSupported+;QStartNoAckMode+", GDB_PACKET_MAX);
    gdb_reply(g, text);
}

static const char *after(const char *p, const char *prefix)
{
    size_t n = strlen(prefix);

    return strncmp(p, prefix, n) ? NULL : p + n;
}

void gdb_query(Gdb *g, const char *p)
{
    const char *rest;
    char text[16];

    if (after(p, "qSupported")) {
        supported(g);
    } else if ((rest = after(p, "qXfer:features:read:target.xml:"))) {
        reply_part(g, gdb_target_xml(gdb_is64()), rest);
    } else if (!strcmp(p, "QStartNoAckMode")) {
        gdb_reply(g, "OK");
        g->no_ack = true;
    } else if (!strcmp(p, "qfThreadInfo")) {
        thread_list(g);
    } else if (!strcmp(p, "qsThreadInfo")) {
        gdb_reply(g, "l");
    } else if ((rest = after(p, "qThreadExtraInfo,"))) {
        thread_about(g, rest);
    } else if (!strcmp(p, "qC")) {
        snprintf(text, sizeof(text), "QC%02x", g->cpu + 1);
        gdb_reply(g, text);
    } else if (after(p, "qAttached")) {
        gdb_reply(g, "1");
    } else if ((rest = after(p, "qRcmd,"))) {
        monitor_command(g, rest);
    } else if (!strcmp(p, "qqemu.PhyMemMode")) {
        gdb_reply(g, g->physical ? "1" : "0");
    } else if ((rest = after(p, "Qqemu.PhyMemMode:"))) {
        g->physical = *rest == '1';
        gdb_reply(g, "OK");
    } else {
        gdb_reply(g, "");
    }
}
