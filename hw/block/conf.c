/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conf.c - the properties that disk devices share: checks and defaults.
 *
 * Thread class: MACHINE_CALL.
 */
#include "blk-conf.h"

const PropEnum blk_conf_errors = {
    .type = "BlockdevOnError",
    .names = (const char *const[]){ "report", "ignore", "enospc", "stop",
                                    "auto", NULL },
};
const PropEnum blk_conf_trans = {
    .type = "BiosAtaTranslation",
    .names = (const char *const[]){ "auto", "none", "lba", "large", "rechs",
                                    NULL },
};

static bool size_ok(const char *name, uint64_t v, Error **errp)
{
    if (!IS_POW2(v) || v < 512 || v > 2 * MiB) {
        return error_set(errp, "Property '%s' doesn't take value '%" PRIu64
                         "', it's not a power of 2 between 512 and 2097152",
                         name, v);
    }
    return true;
}

static bool sizes_apply(BlkConf *c, Error **errp)
{
    c->logical = c->logical ? c->logical : 512;
    c->physical = c->physical ? c->physical : MAX2(c->logical, 512);
    if (!size_ok("logical_block_size", c->logical, errp) ||
        !size_ok("physical_block_size", c->physical, errp)) {
        return false;
    }
    if (c->logical > c->physical) {
        return error_set(errp, "logical_block_size > physical_block_size not "
                         "supported");
    }
    if (c->min_io % c->logical) {
        return error_set(errp, "min_io_size must be a multiple of "
                         "logical_block_size");
    }
    if (c->opt_io % c->logical) {
        return error_set(errp, "opt_io_size must be a multiple of "
                         "logical_block_size");
    }
    if (c->discard_granularity == UINT32_MAX) {
        c->discard_granularity = c->logical;
    }
    if (c->discard_granularity % c->logical) {
        return error_set(errp, "discard_granularity must be a multiple of "
                         "logical_block_size");
    }
    return true;
}

bool blk_conf_apply(BlkConf *c, bool read_only, bool resizable, Error **errp)
{
    static const BlkAction map[] = { BLKA_REPORT, BLKA_IGNORE, BLKA_ENOSPC,
                                     BLKA_STOP };
    uint64_t perm = BLKP_CONSISTENT_READ, shared;

    if (!sizes_apply(c, errp)) {
        return false;
    }
    if (!read_only) {
        perm |= BLKP_WRITE;
    }
    shared = BLKP_CONSISTENT_READ | BLKP_WRITE_UNCHANGED |
             (resizable ? BLKP_RESIZE : 0) | (c->share_rw ? BLKP_WRITE : 0);
    if (!blk_set_perm(c->blk, perm, shared, errp)) {
        return false;
    }
    if (c->write_cache != OOA_AUTO) {
        blk_set_write_cache(c->blk, c->write_cache == OOA_ON);
    }
    if (c->rerror == 2) {
        return error_set(errp, "rerror=enospc: only writes run out of space");
    }
    if (c->rerror < 4 || c->werror < 4) {
        blk_on_error(c->blk, c->rerror < 4 ? map[c->rerror] : BLKA_REPORT,
                     c->werror < 4 ? map[c->werror] : BLKA_ENOSPC);
    }
    return true;
}

bool blk_conf_geometry(BlkConf *c, int *trans, uint32_t max_cyls,
                       uint32_t max_heads, uint32_t max_secs, Error **errp)
{
    if (!c->cyls && !c->heads && !c->secs) {
        BlkGeometry g;
        BlkTrans t;

        blk_guess_geometry(c->blk, &g, &t);
        c->cyls = g.cyls;
        c->heads = g.heads;
        c->secs = g.secs;
        if (trans && *trans == TRANS_AUTO) {
            *trans = t;
        }
    } else if (trans && *trans == TRANS_AUTO) {
        uint64_t n = (uint64_t)c->cyls * c->heads;

        *trans = c->cyls <= 1024 && c->heads <= 16 ? TRANS_NONE
               : n <= 131072 ? TRANS_LARGE : TRANS_LBA;
    }
    if (c->cyls < 1 || c->cyls > max_cyls) {
        return error_set(errp, "cyls must be between 1 and %u", max_cyls);
    }
    if (c->heads < 1 || c->heads > max_heads) {
        return error_set(errp, "heads must be between 1 and %u", max_heads);
    }
    if (c->secs < 1 || c->secs > max_secs) {
        return error_set(errp, "secs must be between 1 and %u", max_secs);
    }
    return true;
}
