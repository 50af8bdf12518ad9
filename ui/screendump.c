/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * screendump.c - a screen as a picture in a file: portable pixmap (Netpbm's
 * raw PPM, "P6"), or PNG where libpng was found.
 *
 * Thread class: machine lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdio.h>
#include <unistd.h>
#include "console.h"
#include "monitor.h"
#include "schema/schema.h"
#include "ui/pictures.h"

static void line_rgb(const Surface *s, int y, uint8_t *out)
{
    const uint32_t *p = surface_line(s, y);

    for (int x = 0; x < s->width; x++) {
        *out++ = (uint8_t)(p[x] >> 16);
        *out++ = (uint8_t)(p[x] >> 8);
        *out++ = (uint8_t)p[x];
    }
}

static bool write_ppm(FILE *f, const Surface *s, Error **errp)
{
    uint8_t *line = g_malloc((size_t)s->width * 3);
    bool ok = fprintf(f, "P6\n%d %d\n%d\n", s->width, s->height, 255) > 0;

    for (int y = 0; ok && y < s->height; y++) {
        line_rgb(s, y, line);
        ok = fwrite(line, 3, (size_t)s->width, f) == (size_t)s->width;
    }
    g_free(line);
    return ok || error_set_errno(errp, errno, "could not write the picture");
}

static bool write_png(FILE *f, const Surface *s, Error **errp)
{
    const PictureOps *ops = picture_ops(NULL);
    GByteArray *data;
    bool ok;

    if (!ops) {
        return error_set(errp, "Enable PNG support with libpng for screendump");
    }
    data = g_byte_array_new();
    ok = ops->png(data, s->data, s->width, s->height, s->stride, -1) ||
        error_set(errp, "no memory for the picture");
    if (ok && fwrite(data->data, 1, data->len, f) != data->len) {
        ok = error_set_errno(errp, errno, "could not write the picture");
    }
    g_byte_array_free(data, true);
    return ok;
}

static FILE *open_file(const char *name, Error **errp) MACHINE_CALL;
static FILE *open_file(const char *name, Error **errp)
{
    int flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, fd;
    FILE *f;

    if (g_str_has_prefix(name, "/dev/fdset/")) {
        fd = fdset_open(g_ascii_strtoll(name + strlen("/dev/fdset/"), NULL, 10),
                        O_WRONLY, errp);
        if (fd < 0) {
            return NULL;
        }
    } else {
        fd = open(name, flags, 0666);
    }
    f = fd >= 0 ? fdopen(fd, "wb") : NULL;
    if (!f) {
        error_set_errno(errp, errno, "failed to open file '%s'", name);
    }
    return f;
}

bool cmd_screendump(const void *arg, void *ret, Error **errp)
{
    const ScreendumpArg *a = arg;
    bool png = a->has_format && a->format == IMAGE_FORMAT_PNG, ok;
    Console *c;
    FILE *f;

    if (a->has_head && !a->device) {
        return error_set(errp, "'head' must be specified together with "
                         "'device'");
    }
    if (a->has_head && (a->head < 0 || a->head > UINT16_MAX)) {
        return error_set(errp, "Device %s (head %" PRId64 ") is not bound to a "
                         "QemuConsole", a->device, a->head);
    }
    c = console_find(a->device, a->has_head ? (unsigned)a->head : 0, errp);
    if (!c) {
        return false;
    }
    console_refresh(c);
    f = open_file(a->filename, errp);
    if (!f) {
        return false;
    }
    ok = png ? write_png(f, c->surface, errp) : write_ppm(f, c->surface, errp);
    if (fclose(f) && ok) {
        ok = error_set_errno(errp, errno, "failed to write '%s'", a->filename);
    }
    return ok;
}
