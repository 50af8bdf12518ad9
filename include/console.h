/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * console.h - screens: what a display device draws and what displays (VNC,
 * curses, screen dumps) show of it. MACHINE_CALL throughout, but for
 * surface_ref and surface_unref: ANY_THREAD.
 *
 * Nothing is drawn unless somebody looks: a console's source is asked to bring
 * its surface up to date by console_refresh, which runs every so often while a
 * display is there, and before a screen dump.
 */
#ifndef TERN_CONSOLE_H
#define TERN_CONSOLE_H

#include <pixman.h>
#include "device.h"

#define SURFACE_MAX 16384              /* pixels, each way                    */

/* Pixels of 32 bits, x8r8g8b8 in host order; a line is `stride` bytes. A
 * borrowed one looks into memory of its source, which a guest changes at any
 * time; others change only under the machine lock. */
typedef struct Surface {
    pixman_image_t *image;
    uint8_t *data;
    int width, height, stride;
    bool borrowed, placeholder;        /* placeholder: "no image", not the
                                          guest's                             */
    unsigned refs;                     /* atomic                              */
    void (*release)(void *arg);        /* of a borrowed one, once; or NULL    */
    void *arg;
} Surface;
/* Black; one reference. NULL: size out of 1..SURFACE_MAX, or no memory. */
Surface *surface_new(int width, int height);
Surface *surface_borrow(int width, int height, int stride, uint8_t *data,
                        void (*release)(void *arg), void *arg);
Surface *surface_ref(Surface *s);
void surface_unref(Surface *s);        /* NULL: nothing                       */
static inline uint32_t *surface_line(const Surface *s, int y)
{
    return (uint32_t *)(s->data + (size_t)y * s->stride);
}

/* A pointer's picture: ARGB, not premultiplied, width * height. */
typedef struct Cursor {
    int width, height, hot_x, hot_y;
    unsigned refs;
    uint32_t data[];
} Cursor;
#define CURSOR_MAX 512
Cursor *cursor_new(int width, int height);         /* all transparent         */
Cursor *cursor_ref(Cursor *c);
void cursor_unref(Cursor *c);          /* NULL: nothing                       */

/* Characters of a screen in text mode: code (CP437) in bits 0-7, attribute
 * (VGA: foreground 0-3, background 4-6, blink 7) in bits 8-15. */
typedef struct ConsoleText {
    int columns, rows;
    int cursor_x, cursor_y;            /* -1: none                            */
    uint16_t *cells;                   /* owned by the console's source       */
} ConsoleText;

/* What a viewer wishes the screen to be; 0: no wish. */
typedef struct ConsoleWish {
    uint32_t width, height, width_mm, height_mm, refresh_mhz;
    int32_t x, y;
} ConsoleWish;

typedef struct Console Console;
typedef struct Display Display;

/* The source of a console: a display device's head, or a text console. */
typedef struct ConsoleOps {
    /* Draws what has changed, and says so by console_changed. */
    void (*update)(void *arg) MACHINE_PTR;
    /* All is to be drawn and told anew by the next update. */
    void (*invalidate)(void *arg) MACHINE_PTR;
    /* The screen as characters; false: it is in graphics mode. Optional. */
    bool (*text)(void *arg, ConsoleText *out) MACHINE_PTR;
    /* Told when a viewer wishes another size. Optional: size is the guest's. */
    void (*wish)(void *arg, const ConsoleWish *w) MACHINE_PTR;
    /* Keys for a text console: a Unicode character, or CONSOLE_KEY_*. Set for
     * text consoles only: the others get theirs through input.h. */
    void (*key)(void *arg, unsigned key) MACHINE_PTR;
} ConsoleOps;
enum { CONSOLE_KEY_UP = 0x110000, CONSOLE_KEY_DOWN, CONSOLE_KEY_LEFT,
       CONSOLE_KEY_RIGHT, CONSOLE_KEY_HOME, CONSOLE_KEY_END,
       CONSOLE_KEY_PAGEUP, CONSOLE_KEY_PAGEDOWN, CONSOLE_KEY_DELETE,
       CONSOLE_KEY_INSERT, CONSOLE_KEY_BACKSPACE,
       CONSOLE_KEY_CTRL_UP, CONSOLE_KEY_CTRL_DOWN, /* scroll by a line        */
       CONSOLE_KEY_CTRL_PAGEUP, CONSOLE_KEY_CTRL_PAGEDOWN };

struct Console {
    Obj obj;                           /* /backend/console[N]                 */
    int index;                         /* Ctrl-Alt-<index + 1>                */
    Device *dev;                       /* NULL: a text console                */
    unsigned head;                     /* of the device                       */
    char *label;                       /* text: the character device's        */
    const ConsoleOps *ops;
    void *arg;
    Surface *surface;                  /* never NULL                          */
    Cursor *cursor;                    /* NULL: the source draws its own      */
    int cursor_x, cursor_y;
    bool cursor_on;
    ConsoleWish wish;
    Console *next;                     /* by index                            */
};

/* ---- sources ------------------------------------------------------------- */
/* dev NULL: a text console, called label. The surface is a placeholder until
 * the source shows one. Graphical consoles come before text consoles. */
Console *console_new(Device *dev, unsigned head, const char *label,
                     const ConsoleOps *ops, void *arg) MACHINE_CALL;
void console_free(Console *c) MACHINE_CALL;
/* From now on this surface; takes over the reference. NULL: a placeholder that
 * says `why` (NULL: "Guest has not initialized the display (yet)."). */
void console_show(Console *c, Surface *s, const char *why) MACHINE_CALL;
/* These pixels differ from what they were. Clipped to the surface. */
void console_changed(Console *c, int x, int y, int w, int h) MACHINE_CALL;
/* The pointer that the device has, to be drawn by viewers; NULL: it has none.
 * Takes a reference of its own. */
void console_cursor(Console *c, Cursor *shape) MACHINE_CALL;
void console_cursor_place(Console *c, int x, int y, bool on) MACHINE_CALL;

/* ---- viewers ------------------------------------------------------------- */
typedef struct DisplayOps {
    /* Another surface: d->con->surface. Also when d looks at another console. */
    void (*switched)(Display *d) MACHINE_PTR;
    void (*changed)(Display *d, int x, int y, int w, int h) MACHINE_PTR;
    void (*cursor)(Display *d) MACHINE_PTR;        /* d->con->cursor          */
    void (*cursor_place)(Display *d) MACHINE_PTR;
    /* After each round of updates. */
    void (*refreshed)(Display *d) MACHINE_PTR;
} DisplayOps;                          /* each may be NULL                    */
struct Display {
    const DisplayOps *ops;
    void *arg;
    Console *con;                      /* what it shows; NULL: none exists    */
    bool pinned;                       /* else it follows console_select      */
    bool text;                         /* asks for characters when refreshed:
                                          nothing is drawn for it             */
    unsigned interval_ms;              /* 0: it wants no updates now          */
    Display *next;                     /* private                             */
};
#define DISPLAY_INTERVAL_MS 30
#define DISPLAY_IDLE_MS 3000
/* con NULL: the selected one, followed. Calls ops->switched. */
void display_add(Display *d, Console *con) MACHINE_CALL;
void display_remove(Display *d) MACHINE_CALL;
void display_set_interval(Display *d, unsigned ms) MACHINE_CALL;
/* This display looks at con (NULL: back to following). */
void display_look_at(Display *d, Console *con) MACHINE_CALL;

/* Brings the surface up to date now. */
void console_refresh(Console *c) MACHINE_CALL;
void console_invalidate(Console *c) MACHINE_CALL;
void console_wish(Console *c, const ConsoleWish *w) MACHINE_CALL;
/* The one that displays follow; NULL: there is none. */
Console *console_selected(void) MACHINE_CALL;
void console_select(Console *c) MACHINE_CALL;
Console *console_first(void) MACHINE_CALL;
Console *console_by_index(int index) MACHINE_CALL; /* NULL: none              */
/* Of device id or path; dev NULL: the first graphical one. NULL with *errp. */
Console *console_find(const char *dev, unsigned head, Error **errp)
    MACHINE_CALL;
static inline NO_TSA bool console_is_graphic(const Console *c)
{
    return c && !c->ops->key;
}

/* ---- fonts --------------------------------------------------------------- */
/* 256 glyphs of CP437, 8 x 16, bit 7 left. */
extern const uint8_t console_font[256][16];
/* The 16 colours of text, x8r8g8b8. */
extern const uint32_t console_palette[16];
/* Draws a cell of 8 x 16 at pixel (x, y), clipped. */
void console_glyph(Surface *s, int x, int y, uint8_t ch, uint32_t fg,
                   uint32_t bg);
/* CP437 of a Unicode character; '?' when it has none. */
uint8_t console_cp437(uint32_t unicode);
uint32_t console_unicode(uint8_t cp437);

#endif
