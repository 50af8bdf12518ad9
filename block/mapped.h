/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mapped.h - what formats have in common that map a disk's clusters to places in
 * a file: the walk of a request over them, copy-on-write of what a write leaves
 * of a new cluster, extents; and a cache of table bytes.
 *
 * A driver embeds MapNode first, declares MapOps and uses map_run, map_extent.
 * LOOP_CALL(node's loop).
 */
#ifndef TERN_BLOCK_MAPPED_H
#define TERN_BLOCK_MAPPED_H

#include "block/driver.h"

/* Bytes of tables, read by pages, written through. */
typedef struct TabPage {
    uint64_t at;
    uint64_t used;                     /* when                                */
    uint8_t *data;
} TabPage;
#define TAB_PAGE  16384u
#define TAB_PAGES 128u                 /* 2 MiB for each file                 */
typedef struct Tab {
    BlkNode *file;
    uint64_t clock, gen;
    TabPage page[TAB_PAGES];
} Tab;
int tab_read(Tab *t, uint64_t off, void *buf, size_t n);
int tab_write(Tab *t, uint64_t off, const void *buf, size_t n);
void tab_free(Tab *t);
int tab_le32(Tab *t, uint64_t off, uint32_t *v);
int tab_be32(Tab *t, uint64_t off, uint32_t *v);
int tab_le64(Tab *t, uint64_t off, uint64_t *v);
int tab_be64(Tab *t, uint64_t off, uint64_t *v);

typedef enum MapState {
    MAP_NONE,                          /* not here: backing, or zeroes        */
    MAP_ZERO,
    MAP_DATA,                          /* at map of file                      */
    MAP_PACKED,                        /* only ops->unpack can tell           */
} MapState;
typedef struct MapAt {
    MapState state;
    BlkNode *file;
    uint64_t map;                      /* of the byte that was asked about    */
    uint64_t len;                      /* from it on; never past a cluster    */
} MapAt;

typedef struct MapOps {
    /* What is at off; at->len is preset to the end of the cluster. */
    int (*find)(BlkNode *n, uint64_t off, MapAt *at);
    /* Room for the cluster that begins at off, and afterwards, with the data
     * written, the entry that points to it. Under the node's lock. */
    int (*place)(BlkNode *n, uint64_t off, BlkNode **file, uint64_t *map);
    int (*link)(BlkNode *n, uint64_t off, uint64_t map);
    /* Makes the cluster read as zeroes; NULL or -ENOTSUP: data is written.
     * unmap: the image may shrink by it. */
    int (*zero)(BlkNode *n, uint64_t off, bool unmap);
    /* The whole cluster at off, when find says MAP_PACKED. */
    int (*unpack)(BlkNode *n, uint64_t off, uint8_t *buf, size_t len);
    /* Writes one cluster compressed (BLKF_COMPRESSED). */
    int (*pack)(BlkNode *n, uint64_t off, const uint8_t *buf, size_t len);
    /* Are all writes of this cluster pack's? NULL: no. */
    bool (*must_pack)(BlkNode *n, uint64_t off);
    /* In place; off: in the disk. */
    int (*crypt)(BlkNode *n, bool encrypt, uint64_t off, void *buf, size_t len);
    int (*flush)(BlkNode *n);          /* NULL: file                          */
} MapOps;

typedef struct MapNode {
    BlkNode node;
    const MapOps *ops;
    uint64_t cluster;                  /* bytes                               */
    CoMutex lock;                      /* of whoever changes the map          */
    Tab tab;
} MapNode;

int map_run(BlkNode *n, BlkReq *req);
int map_extent(BlkNode *n, uint64_t off, uint64_t len, BlkExtent *x);
int64_t map_allocated(BlkNode *n);
/* A file's size as far as the map may use it, from which tables are checked. */
static inline bool map_inside(const BlkNode *file, uint64_t off, uint64_t len)
{
    return off <= file->length && len <= file->length - off;
}
/* Deflate (RFC 1951), raw by wbits < 0. The length of out, or -errno. */
int64_t map_deflate(const void *in, size_t n, void *out, size_t room, int wbits);
/* Exactly room bytes must come out. 0 or -errno. */
int map_inflate(const void *in, size_t n, void *out, size_t room, int wbits);
/* Random bytes with the marks of a version 4 UUID (RFC 4122), in its order. */
void map_uuid(uint8_t out[16]);

#endif
