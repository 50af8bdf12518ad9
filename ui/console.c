/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * console.c - screens, who looks at them, and when they are drawn.
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. Every console has a surface; graphical consoles come before text ones,
 *    each kind in order of creation; index is the place in the list.
 * 2. The refresh timer is armed exactly while a display with an interval looks
 *    at some console: an unwatched screen costs nothing.
 */
#include <assert.h>
#include <glib.h>
#include "console.h"
#include "input.h"

#define NO_IMAGE "Guest has not initialized the display (yet)."

static Console *consoles, *selected;
static Display *displays;
static Timer timer;

/* ---- the object tree ----------------------------------------------------- */
static const char *console_type_name(const Obj *o)
{
    return "qemu-console";
}

static Json *device_get(const Obj *o, const Prop *p, Error **errp)
{
    const Console *c = (const Console *)o;
    char *path;
    Json *j;

    machine_assert_locked();
    path = c->dev ? obj_path(&c->dev->obj) : g_strdup("");
    j = json_str(path);
    g_free(path);
    return j;
}

static const Prop console_props[] = {
    { .name = "device", .kind = PK_CALL, .type = "link<device>",
      .get = device_get, .flags = PF_READONLY,
      .desc = "display device that draws here" },
    PROP_U32("head", Console, head, 0, .flags = PF_READONLY,
             .desc = "which of the device's screens"),
    PROP_END
};

static const Prop *console_props_of(const Obj *o, unsigned i)
{
    return i ? NULL : console_props;
}

static const ObjKind console_kind = {
    .type_name = console_type_name, .props = console_props_of,
};
TYPE_NAME(qemu_console, { "qemu-console", "object" });

/* ---- surfaces ------------------------------------------------------------ */
static Surface *placeholder(int w, int h, const char *why)
{
    int n = (int)strlen(why), x = (w - n * 8) / 2, y = (h - 16) / 2;
    Surface *s = surface_new(w, h);

    assert(s);                          /* a megabyte: as glib has it          */
    for (int i = 0; i < n; i++) {
        console_glyph(s, x + i * 8, y, (uint8_t)why[i], console_palette[7], 0);
    }
    s->placeholder = true;
    return s;
}

static void tell_switched(Console *c) MACHINE_CALL;
static void tell_switched(Console *c)
{
    for (Display *d = displays; d; d = d->next) {
        if (d->con == c && d->ops->switched) {
            d->ops->switched(d);
        }
    }
}

void console_show(Console *c, Surface *s, const char *why)
{
    Surface *old = c->surface;

    if (!s) {
        s = placeholder(640, 480, why ? why : NO_IMAGE);
    }
    c->surface = s;
    tell_switched(c);
    surface_unref(old);
}

void console_changed(Console *c, int x, int y, int w, int h)
{
    int right = MIN2(x + w, c->surface->width);
    int below = MIN2(y + h, c->surface->height);

    x = MAX2(x, 0);
    y = MAX2(y, 0);
    if (right <= x || below <= y) {
        return;
    }
    for (Display *d = displays; d; d = d->next) {
        if (d->con == c && d->ops->changed) {
            d->ops->changed(d, x, y, right - x, below - y);
        }
    }
}

void console_cursor(Console *c, Cursor *shape)
{
    Cursor *old = c->cursor;

    c->cursor = shape ? cursor_ref(shape) : NULL;
    for (Display *d = displays; d; d = d->next) {
        if (d->con == c && d->ops->cursor) {
            d->ops->cursor(d);
        }
    }
    cursor_unref(old);
}

void console_cursor_place(Console *c, int x, int y, bool on)
{
    c->cursor_x = x;
    c->cursor_y = y;
    c->cursor_on = on;
    for (Display *d = displays; d; d = d->next) {
        if (d->con == c && d->ops->cursor_place) {
            d->ops->cursor_place(d);
        }
    }
}

/* ---- the list ------------------------------------------------------------ */
static void number(void) MACHINE_CALL;
static void number(void)
{
    int n = 0;

    for (Console *c = consoles; c; c = c->next) {
        c->index = n++;
    }
}

/* Displays that follow the selection look at it. */
static void follow(void) MACHINE_CALL;
static void follow(void)
{
    for (Display *d = displays; d; d = d->next) {
        if (!d->pinned && d->con != selected) {
            d->con = selected;
            if (d->con && d->ops->switched) {
                d->ops->switched(d);
            }
        }
    }
}

Console *console_new(Device *dev, unsigned head, const char *label,
                     const ConsoleOps *ops, void *arg)
{
    Console *c = g_new0(Console, 1), **p = &consoles;

    c->obj.kind = &console_kind;
    c->dev = dev;
    c->head = head;
    c->label = g_strdup(label);
    c->ops = ops;
    c->arg = arg;
    while (*p && (console_is_graphic(*p) || !console_is_graphic(c))) {
        p = &(*p)->next;
    }
    c->next = *p;
    *p = c;
    number();
    c->surface = placeholder(640, 480, NO_IMAGE);
    obj_add(obj_dir("backend"), "console[*]", &c->obj);
    if (!selected || (console_is_graphic(c) && !console_is_graphic(selected))) {
        console_select(c);
    }
    return c;
}

void console_free(Console *c)
{
    Console **p = &consoles;

    while (*p != c) {
        p = &(*p)->next;
    }
    *p = c->next;
    number();
    if (selected == c) {
        selected = consoles;
    }
    for (Display *d = displays; d; d = d->next) {
        if (d->con == c) {
            d->pinned = false;
        }
    }
    follow();
    input_forget(c);
    obj_remove(&c->obj);
    surface_unref(c->surface);
    cursor_unref(c->cursor);
    g_free(c->label);
    g_free(c);
}

Console *console_selected(void)
{
    return selected;
}

void console_select(Console *c)
{
    selected = c;
    follow();
}

Console *console_first(void)
{
    return consoles;
}

Console *console_by_index(int index)
{
    Console *c = consoles;

    while (c && c->index != index) {
        c = c->next;
    }
    return c;
}

Console *console_find(const char *dev, unsigned head, Error **errp)
{
    Device *d = NULL;

    if (dev) {
        d = device_find(dev);
        if (!d) {
            error_set_class(errp, ERROR_DEVICE_NOT_FOUND,
                            "Device '%s' not found", dev);
            return NULL;
        }
    }
    for (Console *c = consoles; c; c = c->next) {
        if (dev ? c->dev == d && c->head == head : console_is_graphic(c)) {
            return c;
        }
    }
    if (dev) {
        error_set(errp, "Device %s (head %u) is not bound to a QemuConsole",
                  dev, head);
    } else {
        error_set(errp, "There is no console to take a screendump from");
    }
    return NULL;
}

/* ---- viewers ------------------------------------------------------------- */
static int64_t shortest(void) MACHINE_CALL;
static int64_t shortest(void)
{
    unsigned ms = 0;

    for (Display *d = displays; d; d = d->next) {
        if (d->con && d->interval_ms && (!ms || d->interval_ms < ms)) {
            ms = d->interval_ms;
        }
    }
    return (int64_t)ms * NS_PER_MS;
}

static void plan(void) MACHINE_CALL;
static void plan(void)
{
    int64_t wait = shortest(), at = clock_ns(CLOCK_RT) + wait;

    if (!timer.fn) {                    /* nothing has ever been added        */
        return;
    }
    if (!wait) {
        timer_clear(&timer);
    } else if (!timer_armed(&timer) || timer.deadline > at) {
        timer_set(&timer, at);
    }
}

static bool watched(const Console *c) MACHINE_CALL;
static bool watched(const Console *c)
{
    for (Display *d = displays; d; d = d->next) {
        if (d->con == c && d->interval_ms && !d->text) {
            return true;
        }
    }
    return false;
}

static void refresh(void *arg)
{
    Display *next;

    machine_assert_locked();
    for (Console *c = consoles; c; c = c->next) {
        if (watched(c)) {
            console_refresh(c);
        }
    }
    for (Display *d = displays; d; d = next) {
        next = d->next;
        if (d->con && d->interval_ms && d->ops->refreshed) {
            d->ops->refreshed(d);
        }
    }
    plan();
}

void display_add(Display *d, Console *con)
{
    Display **p = &displays;

    if (!timer.fn) {
        timer_init(&timer, NULL, CLOCK_RT, refresh, NULL);
    }
    while (*p) {
        p = &(*p)->next;
    }
    *p = d;
    d->next = NULL;
    d->pinned = con != NULL;
    d->con = con ? con : selected;
    if (d->con && d->ops->switched) {
        d->ops->switched(d);
    }
    plan();
}

void display_remove(Display *d)
{
    Display **p = &displays;

    while (*p && *p != d) {
        p = &(*p)->next;
    }
    if (*p) {
        *p = d->next;
    }
    plan();
}

void display_set_interval(Display *d, unsigned ms)
{
    if (d->interval_ms != ms) {
        d->interval_ms = ms;
        plan();
    }
}

void display_look_at(Display *d, Console *con)
{
    Console *c = con ? con : selected;

    d->pinned = con != NULL;
    if (d->con != c) {
        d->con = c;
        if (c && d->ops->switched) {
            d->ops->switched(d);
        }
    }
}

void console_refresh(Console *c)
{
    if (c->ops->update) {
        c->ops->update(c->arg);
    }
}

void console_invalidate(Console *c)
{
    if (c->ops->invalidate) {
        c->ops->invalidate(c->arg);
    }
}

void console_wish(Console *c, const ConsoleWish *w)
{
    c->wish = *w;
    if (c->ops->wish) {
        c->ops->wish(c->arg, w);
    }
}
