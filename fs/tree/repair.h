/* Repairing a damaged store: what `cytofs fsck --repair` does. */
#ifndef CYTOFS_REPAIR_H
#define CYTOFS_REPAIR_H

#include <stdbool.h>
#include <stdint.h>

#include "buffer.h"
#include "failure.h"

struct tree;

struct repair_options {
    bool accept; /* rows that cannot be vouched for are taken as they are, and sealed anew */
    void (*progress)(void *context, uint64_t chunks_done); /* may be NULL */
    void *context;
};

struct repair_summary {
    uint64_t unproven; /* files and folders whose rows are not as they were written last */
    uint64_t rows;     /* that made no sense, or were counted wrong */
    uint64_t names_removed, links_counted,
        attached;           /* names that led nowhere; wrong counts; nodes put into lab/lost+found */
    uint64_t links_removed; /* symbolic links that had lost their target */
    uint64_t parts_cut;     /* of files, beyond their end */
    uint64_t parts_lost;    /* whose bytes are gone: noted now; reading them goes on giving EIO */
    uint64_t problems_left;
    bool changed; /* what was repaired is committed */
};

/* A tree that was opened with tree_open_options.repair.  Either everything is repaired that can be, in one transaction, or
 * nothing is changed: where something cannot be vouched for and accept is not given, and where more would be wrong
 * afterwards than before.  One line is appended to *report for each thing that was done or that needs to be accepted, up
 * to CHECK_PROBLEMS_TOLD.  The tree is to be closed afterwards. */
MUST_CHECK enum code repair_run(struct tree *tree, const struct repair_options *options, struct buffer *report,
                                struct repair_summary *out, struct failure *why);

#endif
