/* SPDX-License-Identifier: GPL-2.0-or-later */
/* reader.h - sequential reading some parts ahead. MACHINE_CALL. */
#ifndef TERN_TOOLS_READER_H
#define TERN_TOOLS_READER_H

#include "tools/tool.h"

typedef struct Reader Reader;
/* part: bytes of one request. */
Reader *reader_new(BlkBackend *b, size_t part) MACHINE_CALL;
void reader_free(Reader *r) MACHINE_CALL;          /* NULL is fine            */
/* Begins again at off; what was under way is waited for. */
void reader_start(Reader *r, uint64_t off, uint64_t len) MACHINE_CALL;
/* The next bytes, valid until the next call. *n is the same for readers that
 * were started alike. 0 or -errno. */
int reader_next(Reader *r, uint8_t **p, size_t *n) MACHINE_CALL;

/* Leading bytes that are zero. ANY_THREAD. */
size_t zero_prefix(const void *buf, size_t len);
static inline bool is_zero(const void *buf, size_t len)
{
    return zero_prefix(buf, len) == len;
}
/* Memory for requests: aligned for O_DIRECT; free(). */
void *buf_alloc(size_t n);

#endif
