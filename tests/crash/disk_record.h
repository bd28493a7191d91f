/* What a program did to the files of one folder: every change, in order, with its bytes; syncs; and marks by which a test
 * says what it was told at that moment ("this fsync has returned").  disk_calls.c fills it in, disk_state.h makes from it
 * the folders that a power cut may leave behind.
 */
#ifndef CYTOFS_DISK_RECORD_H
#define CYTOFS_DISK_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum disk_change {
    DISK_BYTES,  /* object: `bytes` were written at `offset`, `count` of them */
    DISK_SIZE,   /* object: cut or extended with zeros to `count` bytes */
    DISK_ZEROS,  /* object: `count` bytes at `offset` became zeros; its size stays */
    DISK_NAME,   /* folder `object`: `name` is now `other` */
    DISK_UNNAME, /* folder `object`: `name` is gone */
    DISK_MOVE,   /* `name` of folder `object`, which is `moved`, became `other_name` of folder `other` */
    DISK_SYNC,   /* what was done to `object` among the first `offset` changes is durable */
    DISK_MARK,   /* `offset` is the mark */
};

struct disk_op {
    enum disk_change change;
    uint32_t object, other, moved;
    uint64_t offset, count;
    uint8_t *bytes;
    char *name, *other_name;
};

/* A file or folder, whatever names it has.  Number 0 is the folder that is recorded. */
struct disk_object {
    bool folder;
    uint8_t *bytes; /* what it held when recording began */
    uint64_t size;
};

struct disk_record {
    char *root; /* absolute */
    struct disk_op *ops;
    size_t count, room;
    size_t begins; /* the first ops say what was there, and are durable: this is the first that was recorded */
    struct disk_object *objects;
    size_t object_count, object_room;
    struct disk_live *live; /* the names as they are now, while it is filled in */
    size_t live_count, live_room;
    uint64_t unseen; /* changes that cannot be recorded (a shared mapping, an exchange): must stay 0 */
};

/* Looks at what lies in the folder, which must exist. */
void disk_record_begin(struct disk_record *record, const char *root);
void disk_record_free(struct disk_record *record);

/* The object that has this path now, relative to the root ("" for itself); -1: none. */
int disk_record_find(const struct disk_record *record, const char *path);

/* What was done, after it was done; paths are relative to the root. */
void disk_record_bytes(struct disk_record *record, int object, uint64_t offset, const void *bytes, size_t count);
void disk_record_size(struct disk_record *record, int object, uint64_t size);
void disk_record_zeros(struct disk_record *record, int object, uint64_t offset, uint64_t count);
int disk_record_made(struct disk_record *record, const char *path, bool folder);
void disk_record_linked(struct disk_record *record, int object, const char *path);
void disk_record_unlinked(struct disk_record *record, const char *path);
void disk_record_moved(struct disk_record *record, const char *from, const char *to);
void disk_record_synced(struct disk_record *record, int object, size_t covers);
void disk_record_mark(struct disk_record *record, uint64_t mark);

#endif
