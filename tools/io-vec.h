/* SPDX-License-Identifier: GPL-2.0-or-later */
/* io-vec.h - buffers of a request with several parts. MACHINE_CALL. */
#ifndef TERN_TOOLS_IO_VEC_H
#define TERN_TOOLS_IO_VEC_H

#include "tools/io.h"

typedef struct IoVec {
    uint8_t *buf;                      /* the parts, one after another        */
    struct iovec *iov;
    int n;
    int64_t len;                       /* of all                              */
} IoVec;
/* From words that are lengths; false: a text has been printed. */
bool io_vec_read(IoVec *v, char **words, int n, int pattern);
void io_vec_fini(IoVec *v);

#endif
