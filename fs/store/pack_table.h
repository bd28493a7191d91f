/* Inside fs/store: the pack files of a folder, and which of them are open.
 *
 * A lab of terabytes has thousands of packs, and a process may hold few descriptors: a pack is opened when it
 * is first read, and the ones not used for longest are closed when more than PACK_TABLE_OPEN_MAX are open.  A
 * lease keeps a pack's descriptor valid, also when the pack is dropped meanwhile.
 *
 * Thread-safe.  One lock (rank: leaf, below the chunk store's), held for look-ups, open(2) and unlink(2),
 * never for reading a chunk or for fsync.
 */
#ifndef CYTOFS_PACK_TABLE_H
#define CYTOFS_PACK_TABLE_H

#include "chunk_store.h"
#include "identity.h"

#define PACK_TABLE_OPEN_MAX 128

struct pack_table;

/* One pack.  Owned by the table; valid while leased. */
struct pack_file {
    uint32_t number;
    int fd; /* -1 while closed; valid and constant while leased */
    /* The rest is the table's. */
    uint64_t bytes;
    unsigned leases;
    bool dropped;  /* unlinked; goes away with its last lease */
    uint64_t used; /* when it was last leased, by the table's counter */
    /* The chunk store's: its place among the packs to fsync. */
    struct pack_file *next_unsynced;
    uint64_t unsynced_from; /* the first put that is not durable; 0: not among them */
};

/* Lists the folder; names that are none of a pack's are left alone.  `folder` is copied. */
MUST_CHECK enum code pack_table_open(const char *folder, const struct store_id *store, struct pack_table **out,
                                     struct failure *why);

/* No lease may be left. */
void pack_table_destroy(struct pack_table *table);

/* Takes a lease, opening the file and checking its header first where it was closed.  CODE_NOT_FOUND: no such
 * pack. */
MUST_CHECK enum code pack_table_lease(struct pack_table *table, uint32_t number, struct pack_file **out,
                                      struct failure *why);
void pack_table_return(struct pack_table *table, struct pack_file *file);

/* Makes the pack behind the highest number (1 in an empty folder), with its header, and leases it.  Neither
 * the file nor its name is durable yet. */
MUST_CHECK enum code pack_table_create(struct pack_table *table, struct pack_file **out, struct failure *why);

/* Leases the pack of this number, above the highest or not, and makes what is missing of it: the file, a sound header.
 * *made: there was no file. */
MUST_CHECK enum code pack_table_ensure(struct pack_table *table, uint32_t number, struct pack_file **out, bool *made,
                                       struct failure *why);

/* Reads the header of a leased pack again. */
MUST_CHECK enum code pack_table_check_header(struct pack_table *table, const struct pack_file *file, struct failure *why);

/* Unlinks it.  Its name's end is not durable yet. */
MUST_CHECK enum code pack_table_drop(struct pack_table *table, uint32_t number, struct failure *why);

/* Makes what create and drop did durable. */
MUST_CHECK enum code pack_table_sync_folder(struct pack_table *table, struct failure *why);

/* The highest number, 0 where there is no pack; what it holds. */
uint32_t pack_table_highest(struct pack_table *table);

/* The pack's size, where it grew or was found to be another; and as the table knows it. */
void pack_table_set_bytes(struct pack_table *table, struct pack_file *file, uint64_t bytes);
uint64_t pack_table_bytes(struct pack_table *table, const struct pack_file *file);

MUST_CHECK enum code pack_table_list(struct pack_table *table, struct chunk_pack_list *out, struct failure *why);

/* How many packs, and their bytes together. */
void pack_table_totals(struct pack_table *table, uint64_t *packs, uint64_t *bytes);

#endif
