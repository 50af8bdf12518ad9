/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blk-conf.h - what all disk devices have in common: the drive, block sizes,
 * geometry, error policy. MACHINE_CALL.
 */
#ifndef TERN_BLK_CONF_H
#define TERN_BLK_CONF_H

#include "blk.h"
#include "device.h"

typedef struct BlkConf {
    BlkBackend *blk;
    uint64_t logical, physical, min_io, opt_io, discard_granularity;
    OnOffAuto backend_defaults, write_cache, account_invalid, account_failed;
    bool share_rw;
    int rerror, werror;                /* index of blk_conf_errors            */
    uint32_t cyls, heads, secs, lcyls, lheads, lsecs;
} BlkConf;

extern const PropEnum blk_conf_errors, blk_conf_trans;

#define PROP_BLK_SIZE_ROWS(T, f) \
    PROP_DRIVE("drive", T, f.blk, \
               .desc = "Node name or ID of a block device to use as a backend"), \
    PROP_AUTO("backend_defaults", T, f.backend_defaults, OOA_AUTO, \
              .desc = "on/off/auto"), \
    PROP_SIZE("logical_block_size", T, f.logical, 0, .max = 2 * MiB, \
              .desc = "A power of two between 512 B and 2 MiB"), \
    PROP_SIZE("physical_block_size", T, f.physical, 0, .max = 2 * MiB, \
              .desc = "A power of two between 512 B and 2 MiB"), \
    PROP_SIZE("min_io_size", T, f.min_io, 0), \
    PROP_SIZE("opt_io_size", T, f.opt_io, 0), \
    PROP_SIZE("discard_granularity", T, f.discard_granularity, UINT32_MAX), \
    PROP_AUTO("write-cache", T, f.write_cache, OOA_AUTO, \
              .desc = "on/off/auto"), \
    PROP_BOOL("share-rw", T, f.share_rw, false), \
    PROP_AUTO("account-invalid", T, f.account_invalid, OOA_AUTO, \
              .desc = "on/off/auto"), \
    PROP_AUTO("account-failed", T, f.account_failed, OOA_AUTO, \
              .desc = "on/off/auto")
#define PROP_BLK_ERROR_ROWS(T, f) \
    PROP_ENUM("rerror", T, f.rerror, &blk_conf_errors, 4, \
              .desc = "Error handling policy, report/ignore/enospc/stop/" \
                      "auto"), \
    PROP_ENUM("werror", T, f.werror, &blk_conf_errors, 4, \
              .desc = "Error handling policy, report/ignore/enospc/stop/" \
                      "auto")
#define PROP_BLK_GEOMETRY_ROWS(T, f) \
    PROP_U32("cyls", T, f.cyls, 0), \
    PROP_U32("heads", T, f.heads, 0), \
    PROP_U32("secs", T, f.secs, 0), \
    PROP_U32("lcyls", T, f.lcyls, 0), \
    PROP_U32("lheads", T, f.lheads, 0), \
    PROP_U32("lsecs", T, f.lsecs, 0)

/* In realize, the drive being there: fills sizes in and checks them, sets error
 * policy and cache, takes the permissions. */
bool blk_conf_apply(BlkConf *c, bool read_only, bool resizable, Error **errp)
    MACHINE_CALL;
/* Fills the geometry in, or checks the user's against the limits. */
bool blk_conf_geometry(BlkConf *c, int *trans, uint32_t max_cyls,
                       uint32_t max_heads, uint32_t max_secs, Error **errp)
    MACHINE_CALL;

#endif
