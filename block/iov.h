/* SPDX-License-Identifier: GPL-2.0-or-later */
/* iov.h - parts of scattered buffers. ANY_THREAD. */
#ifndef TERN_BLOCK_IOV_H
#define TERN_BLOCK_IOV_H

#include <sys/uio.h>
#include "base.h"

/* Copies len bytes between buf and the vector from its byte `off` on. Stops at
 * the vector's end. */
void iov_from_buf(const struct iovec *iov, unsigned niov, size_t off,
                  const void *buf, size_t len);
void iov_to_buf(const struct iovec *iov, unsigned niov, size_t off, void *buf,
                size_t len);
void iov_zero(const struct iovec *iov, unsigned niov, size_t off, size_t len);
/* The part [off, off + len) as a vector of its own: its length, at most niov
 * elements of out are written. */
unsigned iov_slice(const struct iovec *iov, unsigned niov, size_t off,
                   size_t len, struct iovec *out);

#endif
