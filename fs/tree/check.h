/* The consistency of a whole store, looked at row by row: what `cytofs fsck` does. */
#ifndef CYTOFS_CHECK_H
#define CYTOFS_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "buffer.h"
#include "failure.h"

struct tree;

struct check_options {
    bool contents; /* also read, authenticate and decrypt every chunk; otherwise only its row is checked */
    /* Told now and then how far the contents are; NULL for none. */
    void (*progress)(void *context, uint64_t chunks_done);
    void *progress_context;
};

struct check_summary {
    uint64_t problems; /* what must not be; each is described in the report, up to CHECK_PROBLEMS_TOLD of them */
    uint64_t files, folders, links, snapshots_and_frozen; /* nodes */
    uint64_t chunks, bytes_sealed;
    uint64_t closed;       /* nodes in spaces that the member has no key for: what is sealed in them was not checked */
    uint64_t orphans;      /* unlinked while open when the program ended: no problem, collected at the next mount */
    uint64_t parts_lost;   /* of files, whose bytes are gone, as fsck --repair noted: no news */
    uint64_t unused_bytes; /* in packs, named by nothing: no problem */
};

#define CHECK_PROBLEMS_TOLD 200

/* Checks everything: every row decrypts with the key of its space, every name leads to a node and
 * every node to the root, links and live chunks are counted right, every chunk is where its row says and is what was
 * written.  One line a problem is appended to *report.  Nothing is repaired, and nothing else can use the tree meanwhile.
 * CODE_OK means that the check was completed, whatever it found. */
MUST_CHECK enum code check_run(struct tree *tree, const struct check_options *options, struct buffer *report,
                               struct check_summary *out, struct failure *why);

#endif
