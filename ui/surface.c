/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * surface.c - pixels of screens and pictures of pointers.
 *
 * Thread class: any; a surface's pixels belong to its source.
 *
 * Invariants:
 * 1. A surface's size is 1 to SURFACE_MAX both ways, its stride holds a line.
 */
#include <glib.h>
#include <stdlib.h>
#include "console.h"
#include "module.h"
#include "ui/pictures.h"

static Surface *make(int width, int height, int stride, uint8_t *data)
{
    Surface *s = g_new0(Surface, 1);

    s->image = pixman_image_create_bits_no_clear(PIXMAN_x8r8g8b8, width, height,
                                                 (uint32_t *)(void *)data,
                                                 stride);
    if (!s->image) {
        g_free(s);
        return NULL;
    }
    s->data = (uint8_t *)pixman_image_get_data(s->image);
    s->width = width;
    s->height = height;
    s->stride = stride;
    s->refs = 1;
    return s;
}

static bool size_ok(int width, int height)
{
    return width > 0 && height > 0 && width <= SURFACE_MAX &&
           height <= SURFACE_MAX;
}

Surface *surface_new(int width, int height)
{
    uint8_t *data;
    Surface *s;

    if (!size_ok(width, height)) {
        return NULL;
    }
    data = calloc((size_t)height, (size_t)width * 4);
    s = data ? make(width, height, width * 4, data) : NULL;
    if (!s) {
        free(data);
    }
    return s;
}

Surface *surface_borrow(int width, int height, int stride, uint8_t *data,
                        void (*release)(void *arg), void *arg)
{
    Surface *s;

    if (!size_ok(width, height) || stride < width * 4 || stride % 4 ||
        (uintptr_t)data % 4) {
        return NULL;
    }
    s = make(width, height, stride, data);
    if (s) {
        s->borrowed = true;
        s->release = release;
        s->arg = arg;
    }
    return s;
}

Surface *surface_ref(Surface *s)
{
    __atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
    return s;
}

void surface_unref(Surface *s)
{
    if (!s || __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL)) {
        return;
    }
    pixman_image_unref(s->image);
    if (!s->borrowed) {
        free(s->data);
    } else if (s->release) {
        s->release(s->arg);
    }
    g_free(s);
}

Cursor *cursor_new(int width, int height)
{
    Cursor *c;

    if (width < 1 || height < 1 || width > CURSOR_MAX || height > CURSOR_MAX) {
        return NULL;
    }
    c = g_malloc0(sizeof(*c) + (size_t)width * (size_t)height * 4);
    c->width = width;
    c->height = height;
    c->refs = 1;
    return c;
}

Cursor *cursor_ref(Cursor *c)
{
    __atomic_add_fetch(&c->refs, 1, __ATOMIC_RELAXED);
    return c;
}

void cursor_unref(Cursor *c)
{
    if (c && !__atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL)) {
        g_free(c);
    }
}

const PictureOps *picture_ops(Error **errp)
{
    return module_symbol("ui-pictures", "picture_module", errp);
}
