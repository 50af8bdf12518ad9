/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pictures.h - compressed pictures, of a module that is loaded when the first
 * one is wanted.
 */
#ifndef UI_PICTURES_H
#define UI_PICTURES_H

#include <glib.h>
#include "error.h"

typedef struct PictureOps {
    /* Append w * h pixels (x8r8g8b8, lines of `stride` bytes) to out. level: of
     * zlib, -1 usual; quality: 1 to 100. false: no memory. ANY_THREAD. */
    bool (*png)(GByteArray *out, const void *pixels, int w, int h, int stride,
                int level);
    bool (*jpeg)(GByteArray *out, const void *pixels, int w, int h, int stride,
                 int quality);
} PictureOps;

/* NULL: this program was built or installed without it; *errp says so. */
const PictureOps *picture_ops(Error **errp);

#endif
