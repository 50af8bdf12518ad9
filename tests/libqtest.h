/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libqtest.h - drives an emulator over the qtest protocol and QMP, for
 * tests/qtest/NAME.c. Used from one thread. Numbers on the wire are the guest's;
 * values here are host integers.
 *
 * Where the emulator dies, refuses (FAIL) or sends what the protocol does not
 * know, the library says so on stdout as a TAP comment and aborts, which the
 * harness reports as the failure of the running test.
 *
 * $TERN is the program. $QTEST_ACCEL (default qtest) may be "tcg" to run against
 * an emulator whose qtest accelerator is not built; its clock then runs freely.
 */
#ifndef TESTS_LIBQTEST_H
#define TESTS_LIBQTEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct QTest QTest;

/* Starts the emulator with further arguments, separated by spaces. */
QTest *qtest_start(const char *args, ...)
    __attribute__((format(printf, 1, 2)));
/* Asks it to quit over QMP and waits. Aborts if it ends otherwise than with
 * status 0. */
void qtest_quit(QTest *q);
/* Runs it to its own end (bad options): exit status; its stderr in *text, which
 * the caller frees. -1: killed by a signal. */
int qtest_run(char **text, const char *args, ...)
    __attribute__((format(printf, 2, 3)));

/* Does the virtual clock move by command only? */
bool qtest_has_clock(const QTest *q);

uint8_t qtest_inb(QTest *q, uint16_t port);
uint16_t qtest_inw(QTest *q, uint16_t port);
uint32_t qtest_inl(QTest *q, uint16_t port);
void qtest_outb(QTest *q, uint16_t port, uint8_t v);
void qtest_outw(QTest *q, uint16_t port, uint16_t v);
void qtest_outl(QTest *q, uint16_t port, uint32_t v);

uint8_t qtest_readb(QTest *q, uint64_t addr);
uint16_t qtest_readw(QTest *q, uint64_t addr);
uint32_t qtest_readl(QTest *q, uint64_t addr);
uint64_t qtest_readq(QTest *q, uint64_t addr);
void qtest_writeb(QTest *q, uint64_t addr, uint8_t v);
void qtest_writew(QTest *q, uint64_t addr, uint16_t v);
void qtest_writel(QTest *q, uint64_t addr, uint32_t v);
void qtest_writeq(QTest *q, uint64_t addr, uint64_t v);
void qtest_read(QTest *q, uint64_t addr, void *buf, size_t len);
void qtest_write(QTest *q, uint64_t addr, const void *buf, size_t len);
void qtest_memset(QTest *q, uint64_t addr, uint8_t byte, size_t len);

/* Each gives the new time in ns of the virtual clock. */
int64_t qtest_clock_step(QTest *q, int64_t ns);
int64_t qtest_clock_step_next(QTest *q);       /* to the next timer           */
int64_t qtest_clock_set(QTest *q, int64_t ns);

/* Interrupt lines of one object from now on, by QOM path; n is the number of
 * the line in its unnamed set. */
void qtest_irq_intercept_in(QTest *q, const char *path);
void qtest_irq_intercept_out(QTest *q, const char *path);
bool qtest_irq(QTest *q, unsigned n);
unsigned qtest_irq_raised(QTest *q, unsigned n);   /* how often, ever         */
void qtest_set_irq_in(QTest *q, const char *path, const char *name, unsigned n,
                      int level);

/* QOM path of the board's n-th own device of a type, from 0; caller frees. Aborts
 * when there is none. */
char *qtest_path(QTest *q, const char *type, unsigned n);

/* Any line; the reply without its newline, valid until the next call. FAIL
 * replies are returned too. */
const char *qtest_raw(QTest *q, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Sends a QMP command (JSON, single quotes allowed) and returns its reply line,
 * error or not; caller frees. Events in between are kept. */
char *qtest_qmp(QTest *q, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* The same; aborts if the reply is an error. */
void qtest_qmp_ok(QTest *q, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Waits for an event, looking at kept ones first; its line, caller frees. */
char *qtest_event(QTest *q, const char *name);
/* Has it come by now? Forgets it if so. */
bool qtest_event_seen(QTest *q, const char *name);
/* For who makes more of them than can be kept. */
void qtest_ignore_events(QTest *q);
/* Text of an HMP command, with JSON's escapes undone; caller frees. */
char *qtest_hmp(QTest *q, const char *command);

/* ---- PCI, by configuration mechanism 1, bus 0 unless bus is in bits 8..15 ---- */
uint32_t qpci_read(QTest *q, unsigned devfn, unsigned off, unsigned size);
void qpci_write(QTest *q, unsigned devfn, unsigned off, unsigned size,
                uint32_t v);
/* devfn of the n-th function with these ids on bus 0, -1: none. */
int qpci_find(QTest *q, uint16_t vendor, uint16_t device, unsigned n);
/* Sizes BAR n, maps it (I/O from 0xc000, memory from 0xe0000000 up), enables
 * decoding and bus mastering. Gives the address, 0: there is no such BAR. */
uint64_t qpci_map(QTest *q, unsigned devfn, unsigned n, uint64_t *size);
/* Reserves size bytes (a power of two) of guest port or memory space. */
uint64_t qpci_space(QTest *q, bool io, uint64_t size);
/* Offset of a capability; 0: none. */
unsigned qpci_cap(QTest *q, unsigned devfn, uint8_t id);

#endif
