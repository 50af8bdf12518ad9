/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bytes.h - numbers at the end of a growing table, lowest byte first. */
#ifndef TERN_HW_FW_BYTES_H
#define TERN_HW_FW_BYTES_H

#include <glib.h>
#include "base.h"

/* The low n bytes of v, at most 8. */
static inline void bytes_put(GByteArray *to, uint64_t v, unsigned n)
{
    uint8_t b[8];

    st_le64(b, v);
    g_byte_array_append(to, b, n);
}

#endif
