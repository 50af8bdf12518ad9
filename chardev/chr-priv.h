/* SPDX-License-Identifier: GPL-2.0-or-later */
/* chr-priv.h - shared inside chardev/. MACHINE_CALL unless stated. */
#ifndef TERN_CHARDEV_CHR_PRIV_H
#define TERN_CHARDEV_CHR_PRIV_H

#include "chr.h"

const CharDriver *chr_driver_find(const char *name);
CharPort *chr_open_driver(const CharDriver *d, const char *label,
                          const Json *opts, bool text, Error **errp);
void chr_close(CharPort *p);
bool chr_busy(const CharPort *p);
/* Tells f, if it has not heard that already (OPENED, CLOSED). */
void chr_front_event(CharFront *f, ChrEvent e);
void chr_unlink(CharFront *f);         /* its port is gone                    */
/* Options of a short form ("tcp:…"), with backend and id; NULL: *errp. */
Json *chr_short_opts(const char *label, const char *text, Error **errp);
/* Writes as the port's owner, with log. Any thread. */
ssize_t chr_port_write(CharPort *p, const void *buf, size_t n);

/* mux.c: a mux port named label over base, which becomes "<label>-base". */
CharPort *chr_mux_over(CharPort *base, const char *label, Error **errp);
/* "mon:X": a mux over X with an HMP monitor on it. */
CharPort *chr_mon_mux(const char *label, const char *text, Error **errp);
void chr_mux_focus(CharPort *p, CharFront *f);
bool chr_mux_room(const CharPort *p);  /* for one more front end              */
/* f is ready for events: takes the focus, and hears OPENED in the loop. */
void chr_mux_listen(CharPort *p, CharFront *f);
void chr_mux_close_all(void);

/* fd.c: reading and writing descriptors, for drivers that have them. */
typedef struct FdChr {
    CharPort p;
    int in, out;                       /* -1: none                            */
    bool in_on, out_on;                /* are waited for                      */
    bool want_out;                     /* out is to be; atomic                */
    bool in_ended;
    unsigned in_events, out_events;    /* as the loop was told                */
    Work watch_work;
} FdChr;
void fdchr_start(FdChr *c, int in, int out);
void fdchr_stop(FdChr *c, bool close_fds);
ssize_t fdchr_write(CharPort *p, const void *buf, size_t n);
void fdchr_accept_input(CharPort *p);
void fdchr_want_write(CharPort *p);
void fdchr_set_loop(CharPort *p, Loop *l);

#endif
