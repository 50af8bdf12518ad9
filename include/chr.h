/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * chr.h - character ports: backends (socket, pty, …) and front ends (serial
 * ports, monitors, …). Control: MACHINE_CALL; data callbacks run in the port's
 * loop (the main loop, or a monitor's iothread).
 */
#ifndef TERN_CHR_H
#define TERN_CHR_H

#include "loop.h"
#include "obj.h"

typedef struct CharPort CharPort;
typedef struct CharFront CharFront;

typedef enum ChrEvent {
    CHR_OPENED, CHR_CLOSED, CHR_BREAK,
    CHR_MUX_IN, CHR_MUX_OUT,           /* focus gained, lost                  */
} ChrEvent;
typedef enum ChrIoctl {
    CHR_SERIAL_PARAMS,                 /* ChrSerialParams *                   */
    CHR_SERIAL_BREAK,                  /* int * on/off                        */
    CHR_SERIAL_GET_TIOCM, CHR_SERIAL_SET_TIOCM,    /* int * of TIOCM_ bits    */
    CHR_PP_READ_DATA, CHR_PP_WRITE_DATA, CHR_PP_READ_CONTROL,
    CHR_PP_WRITE_CONTROL, CHR_PP_READ_STATUS, CHR_PP_DATA_DIR,
    CHR_PP_EPP_READ_ADDR, CHR_PP_EPP_READ, CHR_PP_EPP_WRITE_ADDR,
    CHR_PP_EPP_WRITE,
} ChrIoctl;
typedef struct ChrSerialParams {
    int speed, parity, data_bits, stop_bits;       /* parity 'N' 'E' 'O'      */
} ChrSerialParams;

typedef struct CharDriver {
    const char *name, *alias;          /* "socket"; "tty" for "serial"        */
    const char *type;                  /* QOM type: "chardev-socket"          */
    const char *desc, *doc;
    size_t size;                       /* of the struct; CharPort first       */
    const char *parent;                /* QOM parent; NULL: "chardev"         */
    const Prop *props;                 /* options of -chardev                 */
    const Prop *shown;                 /* what the object tree shows, or NULL */
    /* `-serial tcp:…` short forms: fills the option object; false: not ours or
     * bad (then *errp). */
    bool (*short_form)(const char *text, Json *opts, Error **errp);
    bool (*open)(CharPort *p, Error **errp) MACHINE_PTR;
    void (*close)(CharPort *p) MACHINE_PTR;
    /* Returns bytes taken, or -EAGAIN, or another -errno (dropped). */
    ssize_t (*write)(CharPort *p, const void *buf, size_t n);
    void (*accept_input)(CharPort *p); /* front end has room again            */
    int (*ioctl)(CharPort *p, ChrIoctl cmd, void *arg);
    void (*set_open)(CharPort *p, bool front_open);
    void (*set_echo)(CharPort *p, bool on);
    void (*set_loop)(CharPort *p, Loop *l);
    int (*take_fds)(CharPort *p, int *fds, int n); /* received by SCM_RIGHTS  */
    bool (*add_fds)(CharPort *p, const int *fds, int n);
    void (*filename)(const CharPort *p, char *buf, size_t n);  /* query-chardev */
    /* A write was refused, and somebody waits for room: call chr_writable. */
    void (*want_write)(CharPort *p);
    /* Several front ends (mux); NULL: the one in CharPort.front. */
    bool (*attach)(CharPort *p, CharFront *f, Error **errp) MACHINE_PTR;
    void (*detach)(CharPort *p, CharFront *f) MACHINE_PTR;
    bool (*busy)(const CharPort *p);
    /* chardev-add's members that are called otherwise: pairs name, option;
     * ends with NULL. */
    const char *const *renamed;
    /* chardev-add's defaults that differ: pairs option, "on" or "off". */
    const char *const *qmp_defaults;
    bool internal;                     /* not for chardev-add                 */
    bool no_oob;                       /* a monitor on it offers no "oob"     */
} CharDriver;
#define CHAR_DRIVER(sym, ...) \
    SET_MEMBER(char_drivers, CharDriver, sym, __VA_ARGS__)

struct CharPort {
    Obj obj;                           /* /chardevs/<label>                   */
    const CharDriver *drv;
    char *label;
    char *logfile;
    bool logappend, logfile_set;
    bool mux_wanted;                   /* mux=on                              */
    int log_fd;
    bool open;                         /* the other end is there              */
    CharFront *front;                  /* NULL: none attached                 */
    unsigned claims;                   /* by properties, not yet attached     */
    Loop *loop;
    pthread_mutex_t write_lock;        /* leaf                                */
    struct CharWatch *watches;         /* private                             */
};

/* A front end embeds this. */
struct CharFront {
    CharPort *port;                    /* NULL: not connected                 */
    /* Room for how many bytes; 0 stops input until chr_accept_input. */
    int (*can_receive)(void *arg);
    void (*receive)(void *arg, const uint8_t *buf, int n);
    void (*event)(void *arg, ChrEvent e);
    /* The backend is being replaced: NULL refuses chardev-change. */
    bool (*changed)(void *arg);
    void *arg;
    bool manual_open;                  /* calls chr_set_open by itself; else
                                          chr_listen does                     */
    int mux_tag;                       /* private                             */
    bool attached, open, open_told, listens;       /* private                 */
};

/* -chardev / chardev-add: opts has backend (or type), id and its members. */
CharPort *chr_add(const Json *opts, bool text, Error **errp) MACHINE_CALL;
/* -serial X, -monitor X, …: short form or "chardev:ID". label names it. */
CharPort *chr_new_short(const char *label, const char *text, bool with_mux,
                        Error **errp) MACHINE_CALL;
/* Listening sockets do not hold up the start until a client is there. */
extern bool chr_never_wait;
void chr_help(void);                   /* -chardev help, on stdout            */
bool chr_remove(const char *label, Error **errp) MACHINE_CALL;
/* Puts another backend behind the front end that uses label. */
bool chr_change(const char *label, const Json *opts, bool text, Error **errp)
    MACHINE_CALL;
CharPort *chr_find(const char *label) MACHINE_CALL;
void chr_each(void (*fn)(CharPort *p, void *arg), void *arg) MACHINE_CALL;
void chr_close_all(void) MACHINE_CALL;

/* Front end side. */
bool chr_attach(CharFront *f, CharPort *p, Error **errp) MACHINE_CALL;
void chr_detach(CharFront *f) MACHINE_CALL;
/* Sets handlers (from f's members) active; sends CHR_OPENED when open. A port
 * that came by a property (PROP_CHR) is attached by this. */
void chr_listen(CharFront *f, Loop *l) MACHINE_CALL;
void chr_set_open(CharFront *f, bool open);
/* chr_write: as much as fits, -EAGAIN; chr_write_all: waits (bounded for a dead
 * peer). Both log to logfile. */
ssize_t chr_write(CharFront *f, const void *buf, size_t n);
ssize_t chr_write_all(CharFront *f, const void *buf, size_t n);
/* Calls fn once in the port's loop when it takes output again. */
void chr_on_writable(CharFront *f, void (*fn)(void *arg), void *arg);
void chr_accept_input(CharFront *f);
void chr_set_echo(CharFront *f, bool on);
int chr_ioctl(CharFront *f, ChrIoctl cmd, void *arg);
int chr_take_fd(CharFront *f);         /* -1: none came                       */
void chr_take_focus(CharFront *f);     /* mux                                 */
bool chr_is_open(const CharFront *f);

/* Backend side. */
int chr_can_receive(CharPort *p);
void chr_receive(CharPort *p, const uint8_t *buf, int n);
void chr_event(CharPort *p, ChrEvent e);
void chr_writable(CharPort *p);        /* runs the watches                    */

/* A device's chardev property: PROP_CHR("chardev", T, front). */
extern const PropRef prop_ref_chr;
#define PROP_CHR(n, T, f, ...) PROP_REF(n, T, f.port, &prop_ref_chr, \
                                        ##__VA_ARGS__)
/* -serial, -parallel, -debugcon… slots for the board; NULL: none there. */
extern CharPort *serial_ports[4], *parallel_ports[3], *debugcon_port;

#endif
