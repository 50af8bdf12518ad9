/* SPDX-License-Identifier: GPL-2.0-or-later */
/* file.h - the driver of host files, private to its files. */
#ifndef TERN_BLOCK_FILE_H
#define TERN_BLOCK_FILE_H

#include "block/driver.h"

typedef enum FileAio { AIO_THREADS, AIO_NATIVE, AIO_URING } FileAio;

typedef struct FileNode {
    BlkNode node;
    char *path;                        /* properties                          */
    OnOffAuto locking;
    int aio;                           /* FileAio                             */
    int64_t aio_max_batch;
    char *pr_manager;
    Obj *pr;                           /* claimed; NULL: none                 */
    bool drop_cache, check_cache;
    int fd;
    bool in_memory;                    /* on tmpfs: reading does not wait     */
    bool regular, can_punch, can_zero, lock_used;
    uint64_t discards, discard_failed, discard_bytes;  /* atomic              */
    uint64_t locks;                    /* bytes held: perm, unshared << 8     */
    struct FileAioContext *native;     /* both NULL: threads                  */
    struct FileUring *uring;
    BlkReq *writes, **writes_last;     /* of this turn of the loop            */
    Work write;
    struct FileWriter *writer;         /* NULL: nothing written yet           */
    unsigned read_misses;              /* in a row: not in the page cache     */
} FileNode;

typedef struct FileTask {              /* in BlkReq.drv                       */
    PoolTask task;
    FileNode *file;
} FileTask;
_Static_assert(sizeof(FileTask) <= sizeof(((BlkReq *)0)->drv), "task fits");

/* file-lock.c */
bool file_locks_set(FileNode *f, uint64_t perm, uint64_t shared, Error **errp)
    MACHINE_CALL;
/* The locks held are taken on another descriptor of the file too. */
void file_locks_copy(const FileNode *f, int fd) MACHINE_CALL;
/* file-size.c */
bool file_truncate(BlkNode *n, uint64_t len, BlkPrealloc prealloc, bool exact,
                   Error **errp) MACHINE_CALL;
int file_lend(BlkNode *n, uint64_t off, uint64_t len, uint64_t *at,
              bool now);
int file_copy_range(BlkNode *from, uint64_t from_off, BlkNode *to,
                    uint64_t to_off, uint64_t len);
int file_extent(BlkNode *n, uint64_t off, uint64_t len, BlkExtent *x);
bool file_create(BlkCreate *head, Error **errp) MACHINE_CALL;
extern const Prop file_create_props[];
/* file-io.c: ends requests. */
bool file_io_init(FileNode *f, Error **errp) MACHINE_CALL;
void file_io_fini(FileNode *f) MACHINE_CALL;
void file_submit(BlkNode *n, BlkReq *req);
void file_by_worker(FileNode *f, BlkReq *req);
/* file-write.c: writes, zeroes and discards by workers. */
void file_write_queue(FileNode *f, BlkReq *req);
void file_write_fini(FileNode *f);
/* file-uring.c: with f->uring, reads, writes and flushes. */
bool file_uring_init(FileNode *f, Error **errp) MACHINE_CALL;
void file_uring_fini(FileNode *f) MACHINE_CALL;
void file_uring_submit(FileNode *f, BlkReq *req);
void file_uring_plug(FileNode *f, bool on);
void file_uring_set_loop(FileNode *f, Loop *to) MACHINE_CALL;
int file_sync(BlkNode *n, BlkReq *req);
void file_plug(BlkNode *n);
void file_unplug(BlkNode *n);
void file_set_loop(BlkNode *n, Loop *to) MACHINE_CALL;

#endif
