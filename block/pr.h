/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pr.h - persistent reservations by way of a helper process: the object
 * pr-manager-helper, and the numbers of the protocol (QEMU's docs/interop/
 * pr-helper), which tern-pr-helper speaks on the other side.
 */
#ifndef TERN_BLOCK_PR_H
#define TERN_BLOCK_PR_H

#include "obj.h"

/* The helper begins with a word of its features, the client answers with those
 * it wants; none is defined. Then requests, each with the device's descriptor:
 * a command block, behind PERSISTENT RESERVE OUT its parameters. The reply is
 * status and length of data, big-endian, sense, data. */
enum { PR_CDB_LEN = 16, PR_SENSE_LEN = 96, PR_REPLY_LEN = 8 + PR_SENSE_LEN,
       PR_DATA_MAX = 8192 };
enum { PR_OP_IN = 0x5e, PR_OP_OUT = 0x5f };

/* Bytes that the command moves, as its block says. */
static inline uint32_t pr_length(const uint8_t *cdb)
{
    return cdb[0] == PR_OP_IN ? ld_be16(cdb + 7) : ld_be32(cdb + 5);
}

/* The object of that name, claimed: it stays until pr_manager_put. NULL: there
 * is none. */
Obj *pr_manager_get(const char *id, Error **errp) MACHINE_CALL;
void pr_manager_put(Obj *manager) MACHINE_CALL;
/* Whether hdr, an sg_io_hdr_t, is one of the commands that helpers do. */
bool pr_manager_takes(const void *hdr);
/* Does it, with fd the device; fills hdr as the ioctl SG_IO would. 0 or -errno.
 * Waits: for the pool's workers. */
int pr_manager_run(Obj *manager, int fd, void *hdr);

#endif
