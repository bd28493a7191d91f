/* Bringing a mirror up to date while the store is in use. */
#ifndef CYTOFS_MIRROR_FILL_H
#define CYTOFS_MIRROR_FILL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"

struct mirror_set;
struct chunk_store;
struct catalog;

struct mirror_fill {
    struct mirror_set *mirrors;
    struct chunk_store *chunks; /* the layer of chunk_store_mirror.h */
    struct catalog *catalog;
    enum code (*settle)(void *context, struct failure *why); /* commits all that there is; NULL: nothing changes the store */
    bool (*progress)(void *context, uint64_t bytes_done, uint64_t bytes_all); /* false: stop.  May be NULL */
    void *context;
};

/* Copies what the side lacks, and no more, from the first current one; it is CURRENT afterwards.  The side is BEHIND when
 * this begins, and again where it fails (CODE_INTERRUPTED: it was stopped); what was copied is not copied again the next
 * time. */
MUST_CHECK enum code mirror_fill_run(const struct mirror_fill *fill, size_t side, struct failure *why);

/* Every side that is behind, one after the other.  A failure of one is told in the log and does not keep the others; *left:
 * how many are behind afterwards. */
void mirror_fill_all(const struct mirror_fill *fill, size_t *left);

#endif
