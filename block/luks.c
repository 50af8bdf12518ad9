/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * luks.c - the format "luks": a disk behind a LUKS version 1 header.
 *
 * Thread class: LOOP_CALL(node's loop); open, create, amend MACHINE_CALL.
 *
 * Invariants
 * 1. The caller's buffer is never encrypted in place: a guest sees its own data.
 */
#include <glib.h>
#include "block/crypto.h"
#include "block/iov.h"

#define PART (256 * KiB)               /* of a request at a time              */

typedef struct LuksNode {
    BlkNode node;
    char *key_secret;                  /* property                            */
    CryptoBlk *crypto;
} LuksNode;
typedef struct LuksAmend {
    CryptoAmend a;
} LuksAmend;
typedef struct LuksCreate {
    BlkCreate base;
    CryptoSpec spec;
    int prealloc;
} LuksCreate;

static int luks_rw(BlkNode *n, BlkReq *req, uint8_t *buf)
{
    LuksNode *l = (LuksNode *)n;
    uint64_t payload = crypto_payload_offset(l->crypto);
    int ret = 0;

    for (uint64_t done = 0; ret >= 0 && done < req->len;) {
        size_t part = MIN2(PART, req->len - done);
        uint64_t off = req->off + done;

        if (req->op == BLK_READ) {
            ret = blk_co_pread(n->file, payload + off, buf, part);
            ret = ret < 0 ? ret : crypto_decrypt(l->crypto, off, buf, buf,
                                                 part);
            if (ret >= 0) {
                iov_from_buf(req->iov, req->niov, done, buf, part);
            }
        } else {
            iov_to_buf(req->iov, req->niov, done, buf, part);
            ret = crypto_encrypt(l->crypto, off, buf, buf, part);
            ret = ret < 0 ? ret : blk_co_pwrite(n->file, payload + off, buf,
                                                part, req->flags & BLKF_FUA);
        }
        done += part;
    }
    return ret;
}

static int luks_run(BlkNode *n, BlkReq *req)
{
    g_autofree uint8_t *buf = NULL;

    switch (req->op) {
    case BLK_READ:
    case BLK_WRITE:
        buf = g_malloc(MIN2(PART, MAX2(req->len, 1)));
        return luks_rw(n, req, buf);
    case BLK_FLUSH:
        return blk_co_flush(n->file);
    case BLK_DISCARD:
        return 0;                      /* would show which sectors are in use */
    default:
        return -ENOTSUP;
    }
}

static MACHINE_CALL bool luks_open(BlkNode *n, Error **errp)
{
    LuksNode *l = (LuksNode *)n;
    CryptoIo io = { .node = n->file };
    uint64_t payload;

    l->crypto = crypto_luks_open(&io, l->key_secret, "",
                                 n->flags & BLKO_NO_IO, errp);
    if (!l->crypto) {
        return false;
    }
    payload = crypto_payload_offset(l->crypto);
    if (payload > n->file->length) {
        crypto_free(l->crypto);
        return error_set(errp, "LUKS payload lies beyond the end of the file");
    }
    n->length = n->file->length - payload;
    n->limits.align = CRYPTO_SECTOR;
    return true;
}

static MACHINE_CALL void luks_close(BlkNode *n)
{
    crypto_free(((LuksNode *)n)->crypto);
}

static int luks_probe(const uint8_t *buf, size_t n, const char *filename)
{
    return crypto_luks_probe(buf, n) ? 100 : 0;
}

static MACHINE_CALL bool luks_truncate(BlkNode *n, uint64_t len,
                                       BlkPrealloc prealloc, bool exact,
                                       Error **errp)
{
    uint64_t payload = crypto_payload_offset(((LuksNode *)n)->crypto);

    if (len > INT64_MAX - 512 - payload) {
        return error_set(errp, "The requested file size is too large");
    }
    if (!blk_node_truncate(n->file, len + payload, prealloc, exact, errp)) {
        return false;
    }
    n->length = n->file->length - payload;
    return true;
}

static int64_t luks_allocated(BlkNode *n)
{
    return n->file->drv->allocated ? n->file->drv->allocated(n->file)
                                   : -ENOTSUP;
}

static void luks_info(BlkNode *n, BlkNodeInfo *i)
{
    i->encrypted = true;
}

static Json *luks_specific(BlkNode *n)
{
    return crypto_luks_info(((LuksNode *)n)->crypto);
}

/* ---- making and changing images ------------------------------------------ */

static MACHINE_CALL bool luks_create(BlkCreate *b, Error **errp)
{
    LuksCreate *c = (LuksCreate *)b;
    CryptoIo io = { .node = b->file };
    CryptoBlk *crypto;
    uint64_t header;

    if (!crypto_luks_header_size(&c->spec, &header, errp)) {
        return false;
    }
    if (b->size > INT64_MAX - 512 - header) {
        return error_set(errp, "The requested file size is too large");
    }
    if (!blk_node_truncate(b->file, header + b->size,
                           c->prealloc == PREALLOC_METADATA
                               ? PREALLOC_OFF : (BlkPrealloc)c->prealloc,
                           false, errp)) {
        return false;
    }
    crypto = crypto_luks_create(&io, &c->spec, "", errp);
    crypto_free(crypto);
    return crypto != NULL;
}

static MACHINE_CALL bool luks_measure(const BlkCreate *b, BlkNode *in,
                                      BlkMeasure *m, Error **errp)
{
    const LuksCreate *c = (const LuksCreate *)b;
    uint64_t header;

    if (!c->spec.key_secret) {
        return error_set(errp, "Parameter 'key-secret' is required for cipher");
    }
    if (!crypto_luks_header_size(&c->spec, &header, errp)) {
        return false;
    }
    m->required = m->fully_allocated = (in ? in->length : b->size) + header;
    m->bitmaps = -1;
    return true;
}

static MACHINE_CALL bool luks_amend(BlkNode *n, const BlkAmend *a, Error **errp)
{
    const LuksAmend *l = a->opts;

    return crypto_luks_amend(((LuksNode *)n)->crypto, &l->a, a->force, errp);
}

static const Prop luks_props[] = {
    PROP_STR("key-secret", LuksNode, key_secret,
             .desc = "ID of the secret that provides the keyslot passphrase"),
    PROP_END
};
static const Prop luks_create_props[] = {
    PROP_STR("key-secret", LuksCreate, spec.key_secret,
             .desc = "ID of the secret that provides the keyslot passphrase"),
    CRYPTO_CREATE_PROPS("", LuksCreate, spec),
    /* The file's option, for here the file gets its length. */
    PROP_ENUM("preallocation", LuksCreate, prealloc, &blk_prealloc_enum,
              PREALLOC_OFF, .flags = PF_NO_DEFAULT | PF_HIDDEN),
    PROP_END
};
static const Prop luks_amend_props[] = {
    CRYPTO_AMEND_PROPS("", LuksAmend, a),
    PROP_END
};
static const BlkChildRow luks_children[] = {
    { .name = "file", .role = ROLE_STORAGE },
    { .name = NULL }
};

BLK_DRIVER(luks_driver, {
    .name = "luks", .desc = "LUKS version 1", .size = sizeof(LuksNode),
    .doc = "A disk encrypted by a key that up to eight passwords open.",
    .props = luks_props, .children = luks_children, .open = luks_open,
    .close = luks_close, .co_run = luks_run, .probe = luks_probe,
    .truncate = luks_truncate, .allocated = luks_allocated,
    .info = luks_info, .specific = luks_specific, .amend = luks_amend,
    .create_props = luks_create_props, .create_size = sizeof(LuksCreate),
    .amend_props = luks_amend_props, .amend_size = sizeof(LuksAmend),
    .create = luks_create, .measure = luks_measure, .encrypts = true,
});
