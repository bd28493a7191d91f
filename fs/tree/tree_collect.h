/* All dead space given back at once: what `cytofs gc` and lab/gc do. */
#ifndef CYTOFS_TREE_COLLECT_H
#define CYTOFS_TREE_COLLECT_H

#include <stdbool.h>
#include <stdint.h>

#include "failure.h"

struct tree;

#define TREE_COLLECT_DEAD_PERCENT 25 /* unless said otherwise */

struct tree_collect_options {
    unsigned dead_percent; /* packs of which at least this part is dead are emptied: 1 .. 100; 0: the default */
    bool unhurried;        /* rests as long as it works: for a lab that is in use */
    /* Told now and then about bytes given back and to be given back; false stops (CODE_INTERRUPTED).  May be NULL. */
    bool (*progress)(void *context, uint64_t done, uint64_t all);
    void *context;
};

struct tree_collect_summary {
    uint64_t bytes_before, bytes_after; /* of all packs */
    uint64_t bytes_moved;               /* to give them back */
    uint64_t bytes_dead;                /* still, in packs of which less is dead */
    uint32_t packs_given_back;
    uint32_t packs_stuck; /* not emptied, because a chunk in them cannot be read: fsck tells which */
    bool held;            /* a backup is being made: emptied packs go when it is done */
};

/* Drops what nothing names and empties packs, a step at a time, beside everything else; what a reader, an open file, a
 * snapshot, a backup or a crash may need stays.  Not with a read-only tree. */
MUST_CHECK enum code tree_collect(struct tree *tree, const struct tree_collect_options *options,
                                  struct tree_collect_summary *out, struct failure *why);

/* What came out, for the person, without a last line feed. */
struct buffer;
void tree_collect_describe(const struct tree_collect_summary *summary, struct buffer *out);

#endif
