/* SPDX-License-Identifier: GPL-2.0-or-later */
/* iov.c - parts of scattered buffers. Thread class: ANY_THREAD. */
#include "block/iov.h"

unsigned iov_slice(const struct iovec *iov, unsigned niov, size_t off,
                   size_t len, struct iovec *out)
{
    unsigned n = 0;

    for (unsigned i = 0; i < niov && len; i++) {
        size_t part;

        if (off >= iov[i].iov_len) {
            off -= iov[i].iov_len;
            continue;
        }
        part = MIN2(iov[i].iov_len - off, len);
        out[n++] = (struct iovec){ (char *)iov[i].iov_base + off, part };
        off = 0;
        len -= part;
    }
    return n;
}

enum { FROM_BUF, TO_BUF, ZERO };

static void walk(const struct iovec *iov, unsigned niov, size_t off, void *buf,
                 size_t len, int how)
{
    char *p = buf;

    for (unsigned i = 0; i < niov && len; i++) {
        char *at = iov[i].iov_base;
        size_t part;

        if (off >= iov[i].iov_len) {
            off -= iov[i].iov_len;
            continue;
        }
        at += off;
        part = MIN2(iov[i].iov_len - off, len);
        if (how == FROM_BUF) {
            memcpy(at, p, part);
        } else if (how == TO_BUF) {
            memcpy(p, at, part);
        } else {
            memset(at, 0, part);
        }
        p = p ? p + part : NULL;
        off = 0;
        len -= part;
    }
}

void iov_from_buf(const struct iovec *iov, unsigned niov, size_t off,
                  const void *buf, size_t len)
{
    walk(iov, niov, off, (void *)(uintptr_t)buf, len, FROM_BUF);
}

void iov_to_buf(const struct iovec *iov, unsigned niov, size_t off, void *buf,
                size_t len)
{
    walk(iov, niov, off, buf, len, TO_BUF);
}

void iov_zero(const struct iovec *iov, unsigned niov, size_t off, size_t len)
{
    walk(iov, niov, off, NULL, len, ZERO);
}
