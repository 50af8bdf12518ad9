/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vc.c - a text console's port: its size as given. The display gives it a
 * screen; a console that nothing shows takes all that is written.
 *
 * Thread class: MACHINE_CALL.
 */
#include <glib.h>
#include "chardev/chr-priv.h"

typedef struct VcChr {
    CharPort p;
    uint16_t width, height, cols, rows;
} VcChr;

static bool vc_open(CharPort *p, Error **errp)
{
    return true;
}

/* vc, vc:WxH in pixels, vc:WCxHC in characters */
static bool vc_short(const char *text, Json *opts, Error **errp)
{
    unsigned w, h;
    int n = 0;
    char num[16];

    if (!strcmp(text, "vc")) {
        return true;
    }
    if (strncmp(text, "vc:", 3)) {
        return false;
    }
    if (sscanf(text + 3, "%5ux%5u%n", &w, &h, &n) == 2 && !text[3 + n]) {
        snprintf(num, sizeof(num), "%u", w);
        json_set_str(opts, "width", num);
        snprintf(num, sizeof(num), "%u", h);
        json_set_str(opts, "height", num);
        return true;
    }
    if (sscanf(text + 3, "%5uCx%5u%n", &w, &h, &n) == 2 &&
        (!text[3 + n] || !strcmp(text + 3 + n, "C"))) {
        snprintf(num, sizeof(num), "%u", w);
        json_set_str(opts, "cols", num);
        snprintf(num, sizeof(num), "%u", h);
        json_set_str(opts, "rows", num);
        return true;
    }
    return error_set(errp, "'%s' is not of the form vc:800x600 or vc:80Cx24C",
                     text);
}

static const Prop vc_props[] = {
    PROP_U16("width", VcChr, width, 0, .desc = "in pixels"),
    PROP_U16("height", VcChr, height, 0, .desc = "in pixels"),
    PROP_U16("cols", VcChr, cols, 0, .desc = "in characters"),
    PROP_U16("rows", VcChr, rows, 0, .desc = "in characters"),
    PROP_END
};

CHAR_DRIVER(chr_vc, {
    .name = "vc", .type = "chardev-vc", .size = sizeof(VcChr),
    .desc = "text console on the display",
    .doc = "A text console of the display.", .props = vc_props,
    .short_form = vc_short, .open = vc_open,
});
