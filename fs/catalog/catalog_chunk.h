/* Rows of `chunks`, and of `packs`, which counts them. */
#ifndef CYTOFS_CATALOG_CHUNK_H
#define CYTOFS_CATALOG_CHUNK_H

#include <stdbool.h>
#include <stddef.h>

#include "catalog.h"

#define CATALOG_CHUNK_NONCE_BYTES 12
#define CATALOG_CHUNK_PRINT_BYTES 16

struct catalog_chunk {
    uint64_t inode;
    uint64_t index;
    uint32_t pack;
    uint32_t bytes; /* sealed */
    uint64_t offset;
    uint8_t nonce[CATALOG_CHUNK_NONCE_BYTES];
    uint32_t generation; /* of the space's key that sealed it, from 1; 0: sealed by format 1 */
    bool printed;        /* has a print: chunks of one space with equal contents have equal ones */
    uint8_t print[CATALOG_CHUNK_PRINT_BYTES];
    bool shared; /* not kept: another row named the chunk when this one was made */
};

/* CODE_NO_DATA with *why untouched where the file has a hole there. */
MUST_CHECK enum code catalog_chunk_get(struct catalog *catalog, uint64_t inode, uint64_t index, struct catalog_chunk *out,
                                       struct failure *why);

/* Makes or replaces the row, and counts in its pack (and no more in the old row's). */
MUST_CHECK enum code catalog_chunk_put(struct catalog *catalog, const struct catalog_chunk *chunk, struct failure *why);

/* Removes one row (a missing one is fine), or those from `index` on, or those in [from, to). */
MUST_CHECK enum code catalog_chunk_delete(struct catalog *catalog, uint64_t inode, uint64_t index, struct failure *why);
MUST_CHECK enum code catalog_chunk_delete_from(struct catalog *catalog, uint64_t inode, uint64_t index, struct failure *why);

MUST_CHECK enum code catalog_chunk_delete_range(struct catalog *catalog, uint64_t inode, uint64_t from, uint64_t to,
                                                struct failure *why);

/* The indices of up to max of the file's rows, from `from` on, in order. */
MUST_CHECK enum code catalog_chunk_indices(struct catalog *catalog, uint64_t inode, uint64_t from, uint64_t *indices,
                                           size_t max, size_t *count, struct failure *why);

/* How many rows the file has; reads each. */
MUST_CHECK enum code catalog_chunk_count(struct catalog *catalog, uint64_t inode, uint64_t *count, struct failure *why);

/* Up to max rows behind (inode, index), in order; for checking. */
MUST_CHECK enum code catalog_chunk_walk(struct catalog *catalog, uint64_t inode, int64_t index, struct catalog_chunk *rows,
                                        size_t max, size_t *count, struct failure *why);

/* Up to max rows of one file behind `index` (-1: from the first), in order. */
MUST_CHECK enum code catalog_chunk_of_inode(struct catalog *catalog, uint64_t inode, int64_t index,
                                            struct catalog_chunk *rows, size_t max, size_t *count, struct failure *why);

/* Up to max rows with that print, in no order. */
MUST_CHECK enum code catalog_chunk_printed(struct catalog *catalog, const uint8_t print[CATALOG_CHUNK_PRINT_BYTES],
                                           struct catalog_chunk *rows, size_t max, size_t *count, struct failure *why);

/* Up to max rows that point into a pack, in the order of their offsets. */
MUST_CHECK enum code catalog_chunk_of_pack(struct catalog *catalog, uint32_t pack, struct catalog_chunk *rows, size_t max,
                                           size_t *count, struct failure *why);

/* Up to max rows whose chunks begin in a range of a pack, in the order of their offsets. */
struct catalog_chunk_range {
    uint32_t pack;
    uint64_t from, to; /* half-open */
};
MUST_CHECK enum code catalog_chunk_in_range(struct catalog *catalog, const struct catalog_chunk_range *range,
                                            struct catalog_chunk *rows, size_t max, size_t *count, struct failure *why);

/* Points every row that names the chunk at (pack, offset) to its copy at another place: they share it before and after. */
struct catalog_chunk_move {
    uint32_t from_pack, to_pack;
    uint64_t from_offset, to_offset;
};
MUST_CHECK enum code catalog_chunk_move(struct catalog *catalog, const struct catalog_chunk_move *move, struct failure *why);

/* How many different chunks of a pack are named, and their sealed bytes together, each counted once however many rows
 * share it. */
MUST_CHECK enum code catalog_chunk_alive(struct catalog *catalog, uint32_t pack, uint64_t *chunks, uint64_t *bytes,
                                         struct failure *why);

/* The lowest pack above `after` that rows point into, and where the last chunk that they name begins and how long it is;
 * CODE_NO_DATA behind the last such pack. */
MUST_CHECK enum code catalog_chunk_next_pack(struct catalog *catalog, uint32_t after, uint32_t *pack, uint64_t *last_offset,
                                             uint32_t *last_bytes, struct failure *why);

/* The lowest pack above `after` that no row points into any more; CODE_NO_DATA where there is none. */
MUST_CHECK enum code catalog_chunk_dead_pack(struct catalog *catalog, uint32_t after, uint32_t *pack, struct failure *why);

/* Takes such a pack out of the books. */
MUST_CHECK enum code catalog_chunk_forget_pack(struct catalog *catalog, uint32_t pack, struct failure *why);

/* How many rows point into a pack, and with how many sealed bytes; 0 where it is not in the books. */
MUST_CHECK enum code catalog_chunk_pack_use(struct catalog *catalog, uint32_t pack, uint64_t *chunks, uint64_t *bytes,
                                            struct failure *why);

/* Whether a chunk of the space lies in the pack that a lower generation of its key than this one sealed. */
MUST_CHECK enum code catalog_chunk_pack_has_older(struct catalog *catalog, uint32_t pack, uint64_t space,
                                                  uint32_t generation, bool *has, struct failure *why);

#endif
