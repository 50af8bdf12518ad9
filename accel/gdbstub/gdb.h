/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gdb.h - the debugger's server, private to this folder. MACHINE_CALL but for
 * the packet parser, which knows nothing but bytes.
 */
#ifndef TERN_ACCEL_GDBSTUB_GDB_H
#define TERN_ACCEL_GDBSTUB_GDB_H

#include <glib.h>
#include "accel.h"
#include "chr.h"
#include "runstate.h"
#include "x86.h"

#define GDB_PACKET_MAX 4096u           /* told to the client in hexadecimal   */

/* ---- packet.c: "$data#cs" ------------------------------------------------ */
typedef enum GdbSeen {
    GDB_NOTHING,                       /* more is needed                      */
    GDB_PACKET,                        /* buf[0..n) is one, unescaped         */
    GDB_BAD,                           /* wrong checksum or too long          */
    GDB_ACK, GDB_NACK, GDB_INTERRUPT,
} GdbSeen;
typedef struct GdbIn {
    uint8_t buf[GDB_PACKET_MAX + 1];   /* a NUL follows                       */
    uint32_t n;
    uint8_t state, sum, want;
    bool escape, overrun;
} GdbIn;
GdbSeen gdb_feed(GdbIn *in, uint8_t byte);
/* The packet around data, escaped; appends. */
void gdb_frame(GByteArray *out, const void *data, size_t n);
void gdb_hex_out(GString *s, const void *data, size_t n);
/* n pairs of hexadecimal digits; false: something else. */
bool gdb_hex_in(const char *s, size_t n, uint8_t *out);
/* A hexadecimal number; moves *s behind it. False: none, or above 64 bits. */
bool gdb_number(const char **s, uint64_t *out);

/* ---- regs.c -------------------------------------------------------------- */
/* Rows of the register file the client is told; 32-bit CPUs have fewer. */
unsigned gdb_reg_count(bool is64);
unsigned gdb_reg_bytes(bool is64, unsigned n);     /* at most 16; 0: no such  */
void gdb_reg_get(const X86Regs *r, bool is64, unsigned n, uint8_t *out);
/* False: this register is not to be written, or not to this value. */
bool gdb_reg_set(X86Regs *r, bool is64, unsigned n, const uint8_t *in);
/* target.xml; made once. */
const char *gdb_target_xml(bool is64);

/* ---- stub.c -------------------------------------------------------------- */
typedef struct GdbPoint {
    uint64_t addr, len;
    int type;
} GdbPoint;
typedef struct Gdb {
    CharFront front;
    RunNotify notify;
    GdbIn in;
    GByteArray *last;                  /* sent last, for NACK                 */
    GByteArray *out;                   /* taken by no one yet                 */
    bool out_waits;                    /* for room                            */
    GArray *points;                    /* of GdbPoint, inserted               */
    char *label;                       /* of a chardev of its own; or NULL    */
    unsigned cpu, cont_cpu;            /* index, of H g and H c               */
    int stepping;                      /* index; -1: none                     */
    bool no_ack, waiting;              /* waiting: the client let it run      */
    bool physical;                     /* addresses are physical              */
    bool attached;                     /* a client is there                   */
} Gdb;
void gdb_reply(Gdb *g, const char *text) MACHINE_CALL;
void gdb_reply_bytes(Gdb *g, const void *data, size_t n) MACHINE_CALL;
void gdb_points_drop(Gdb *g) MACHINE_CALL;

/* ---- commands.c, query.c ------------------------------------------------- */
/* p[n] is NUL. */
void gdb_command(Gdb *g, const char *p, size_t n) MACHINE_CALL;
void gdb_query(Gdb *g, const char *p) MACHINE_CALL;
void gdb_v_command(Gdb *g, const char *p) MACHINE_CALL;
/* "T05thread:01;…" for the vCPU with that index. */
void gdb_stop_text(GString *s, int sig, unsigned cpu) MACHINE_CALL;
void gdb_resume(Gdb *g, int step_cpu) MACHINE_CALL;    /* -1: no step         */
bool gdb_is64(void) MACHINE_CALL;
/* "p1.2", "2", "-1", "0": *index, or -1 for any; moves *p. False: no such
 * thread. */
bool gdb_thread(const char **p, int *index) MACHINE_CALL;

#endif
